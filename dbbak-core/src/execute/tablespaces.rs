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
    /// meanwhile is the tool's matter.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::LostTablespaces`].
    pub(super) fn all_in(&self, before: &TablespaceIds, dir: &Path) -> Result<(), ExecuteError> {
        let held = held_in(dir)?;
        let mut lost = self.found.iter().filter(|(id, _)| before.contains(*id) && !held.contains(*id));
        match lost.next() {
            None => Ok(()),
            Some((id, name)) => {
                Err(ExecuteError::LostTablespaces { first: name.clone(), id: *id, count: 1 + lost.count() })
            }
        }
    }
}

/// The tablespaces of which a backup's directory holds the file, or an incremental's changed pages.
fn held_in(dir: &Path) -> Result<TablespaceIds, ExecuteError> {
    let mut held = Vec::new();
    files::each_file(dir, &mut |path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A table that was made while the tool ran lies there whole, as `t.ibd.new`, or `t.new.ibd` in older ones.
        let whole = [".ibd", ".ibu", ".new"].iter().any(|end| name.ends_with(end)) || name.starts_with("undo_");
        if name.ends_with(".meta") {
            let text = files::read_file(path)?.unwrap_or_default();
            held.extend(tablespace_of_meta(&String::from_utf8_lossy(&text)));
        } else if whole && !name.ends_with(".delta") {
            held.extend(files::head::<PAGE_HEAD>(path)?.map(|head| tablespace_of_page(&head)));
        }
        Ok(())
    })?;
    Ok(held.into_iter().collect())
}
