//! Whether a backup holds the tablespaces that the server has: a tool that lost one does not always say so.

use super::{Event, error::ExecuteError, files, running::Running};
use crate::tools::{Launch, PAGE_HEAD, TablespaceIds, parse_tablespaces_asked, tablespace_of_meta, tablespace_of_page};
use std::path::Path;

/// What a server said of its tablespaces.
#[derive(Debug, Clone, Default)]
pub(super) struct Tablespaces {
    /// Their numbers and names.
    found: Vec<(u32, String)>,
}

impl Tablespaces {
    /// Asks the server. Without an answer the run goes on, and says so.
    pub(super) fn ask(launch: &Launch, running: &Running<'_>) -> Result<Option<Self>, ExecuteError> {
        let problem = match running.ask(launch.clone(), None)? {
            Ok(answer) => match parse_tablespaces_asked(&answer) {
                Ok(found) if !found.is_empty() => return Ok(Some(Tablespaces { found })),
                Ok(_) => "it named none".to_owned(),
                Err(error) => error.to_string(),
            },
            Err(problem) => problem,
        };
        let text =
            format!("whether all tablespaces are in the backup is not known: the server did not say ({problem})");
        running.reporter.report(&Event::Warning { text: &text });
        Ok(None)
    }

    /// Their numbers.
    pub(super) fn ids(&self) -> TablespaceIds {
        self.found.iter().map(|(id, _)| *id).collect()
    }

    /// Refuses a backup that lacks a tablespace which was there before it and is there after it. One that was made or dropped
    /// meanwhile is the tool's matter, and so are the tables that an `ALTER` works on (`#sql-ib...`).
    ///
    /// # Errors
    ///
    /// [`ExecuteError::LostTablespaces`].
    pub(super) fn all_in(&self, before: &TablespaceIds, dir: &Path) -> Result<(), ExecuteError> {
        let (held, mut unwritten) = held_in(dir)?;
        let is_lost = |(id, name): &&(u32, String)| {
            let passing = |part: &str| part.starts_with("#sql") || part.starts_with("@0023sql");
            before.contains(*id) && !held.contains(*id) && !name.split('/').any(passing)
        };
        let mut lost: Vec<_> = self.found.iter().filter(is_lost).collect();
        // Where the first page is empty the file's name tells; what bears another name may be any of them.
        lost.retain(|(_, name)| match unwritten.iter().position(|file| file == name) {
            Some(place) => {
                unwritten.swap_remove(place);
                false
            }
            None => true,
        });
        match lost.first() {
            Some((id, name)) if lost.len() > unwritten.len() => {
                Err(ExecuteError::LostTablespaces { first: name.clone(), id: *id, count: lost.len() })
            }
            _ => Ok(()),
        }
    }
}

/// The tablespaces of which a backup's directory holds the file, or an incremental's changed pages; and the names of files
/// whose first page is empty, because the server had not written it yet: the redo makes it.
fn held_in(dir: &Path) -> Result<(TablespaceIds, Vec<String>), ExecuteError> {
    let (mut held, mut unwritten) = (Vec::new(), Vec::new());
    files::each_file(dir, &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A table that was made while the tool ran lies there whole, as `t.ibd.new`, or `t.new.ibd` in older ones.
        let whole = [".ibd", ".ibu", ".new"].iter().any(|end| name.ends_with(end)) || name.starts_with("undo_");
        if name.ends_with(".meta") {
            let text = files::read_file(path)?.unwrap_or_default();
            held.extend(tablespace_of_meta(&String::from_utf8_lossy(&text)));
        } else if whole && !name.ends_with(".delta") {
            match files::head::<PAGE_HEAD>(path)?.map_or(0, |head| tablespace_of_page(&head)) {
                0 => unwritten.push(name_of(path.strip_prefix(dir).unwrap_or(path))),
                id => held.push(id),
            }
        }
        Ok(())
    })?;
    Ok((held.into_iter().collect(), unwritten))
}

/// The name of the tablespace that a file of a backup is named for: `shop/t` for `shop/t.ibd`, `shop/t.ibd.new`, `shop/t.new`.
fn name_of(file: &Path) -> String {
    let name = file.to_string_lossy();
    let mut name = name.as_ref();
    while let Some(shorter) = [".ibd", ".new", ".ibu"].iter().find_map(|end| name.strip_suffix(end)) {
        name = shorter;
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test lays out the files that the code looks at")]

    use super::*;
    use std::fs;

    fn page(id: u32) -> Vec<u8> {
        [&[0; 34][..], &id.to_be_bytes(), &[7; 100]].concat()
    }

    fn found(ids: &[(u32, &str)]) -> Tablespaces {
        Tablespaces { found: ids.iter().map(|(id, name)| (*id, (*name).to_owned())).collect() }
    }

    #[test]
    fn what_was_there_before_and_after_must_be_in_the_backup() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("shop")).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
        write("shop/a.ibd", &page(1));
        write("shop/new.ibd.new", &page(2));
        write("undo_001", &page(4_294_967_279));
        write("far.ibu", &page(4_294_967_277));
        write("shop/d.ibd.meta", b"page_size = 16384\nzip_size = 0\nspace_id = 3\nspace_flags = 0\n");
        write("shop/d.ibd.delta", &page(77));
        write("ibdata1", &page(0));
        write("shop/table.sdi", &page(5));
        let all = found(&[(1, "shop/a"), (2, "shop/new"), (3, "shop/d"), (4_294_967_279, "u"), (4_294_967_277, "far")]);
        all.all_in(&all.ids(), dir.path()).unwrap();

        let more = found(&[(1, "shop/a"), (5, "shop/lost"), (9, "shop/#sql-ib7"), (77, "shop/gone")]);
        let lost = |before: &[u32]| more.all_in(&before.iter().copied().collect(), dir.path());
        let error = lost(&[1, 5, 9, 77]).unwrap_err();
        let ExecuteError::LostTablespaces { first, id, count } = error else { panic!("{error}") };
        assert_eq!((first.as_str(), id, count), ("shop/lost", 5, 2));
        // Made after the tool was started.
        lost(&[1, 9]).unwrap();
        // A file that nobody has written to yet may be the one.
        write("shop/lost.ibd", &[0; 200]);
        lost(&[1, 5]).unwrap();
        lost(&[1, 5, 77]).unwrap_err();
        // Empty files of other names do not hide one that is lost, and the lost one is named.
        let named = found(&[(5, "shop/lost"), (6, "shop/ex"), (8, "shop/dst")]);
        write("shop/ex.new", &[0; 200]);
        let error = named.all_in(&named.ids(), dir.path()).unwrap_err();
        let ExecuteError::LostTablespaces { first, count, .. } = error else { panic!("{error}") };
        assert_eq!((first.as_str(), count), ("shop/dst", 1));
        // One that was renamed meanwhile still bears its old name.
        write("shop/old.ibd.new", &[0; 200]);
        named.all_in(&named.ids(), dir.path()).unwrap();
    }
}
