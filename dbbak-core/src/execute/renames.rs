//! Finds an incremental of mariadb-backup that its own prepare cannot apply: tables that took each other's names while it was taken.
//!
//! The tool writes `NEW` into `OLD.ren` for a table that was renamed. Its prepare moves the two files of changed pages (`.ibd.delta` and
//! `.ibd.meta`) one after the other, and where names go round in a ring it moves the second one before its time: `Can't rename
//! ./a/ex.ibd.meta to ./a/ex#.ibd.meta` (seen on 10.11.19 with `ALTER TABLE ... EXCHANGE PARTITION`). A full has one file a table,
//! and no such fault. Source: MariaDB's `extra/mariabackup/xtrabackup.cc` (`rename_table_in_prepare`).

use super::{error::ExecuteError, files};
use std::{collections::BTreeMap, path::Path};

/// The tables whose names go round in a ring, in order, the first one again at the end; `None`: there is no ring.
///
/// # Errors
///
/// When the directory cannot be read.
pub(super) fn ring_in(dir: &Path) -> Result<Option<Vec<String>>, ExecuteError> {
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    let mut found = Vec::new();
    files::each_file(dir, &mut |path| {
        if path.extension().is_some_and(|extension| extension == "ren") {
            found.push(path.to_owned());
        }
        Ok(())
    })?;
    for path in found {
        let (Ok(below), Some(to)) = (path.strip_prefix(dir), files::read_file(&path)?) else { continue };
        let from = below.with_extension("").to_string_lossy().into_owned();
        let to = String::from_utf8_lossy(&to).trim().trim_start_matches("./").to_owned();
        renamed.insert(from, to);
    }
    Ok(ring_of(&renamed))
}

fn ring_of(renamed: &BTreeMap<String, String>) -> Option<Vec<String>> {
    for first in renamed.keys() {
        let mut ring = vec![first.clone()];
        let mut last = first;
        while let Some(next) = renamed.get(last).filter(|_| ring.len() <= renamed.len()) {
            ring.push(next.clone());
            if next == first {
                return Some(ring);
            }
            last = next;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test lays out the files that the code looks at")]

    use super::*;
    use std::fs;

    fn ring(renames: &[(&str, &str)]) -> Option<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::create_dir(dir.path().join("b")).unwrap();
        for (from, to) in renames {
            fs::write(dir.path().join(format!("{from}.ren")), to).unwrap();
            fs::write(dir.path().join(format!("{from}.ibd.delta")), "pages").unwrap();
        }
        ring_in(dir.path()).unwrap()
    }

    #[test]
    fn names_that_go_round_are_found() {
        let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        // As 10.11.19 left it.
        assert_eq!(ring(&[("a/ex", "a/pt#P#p0"), ("a/pt#P#p0", "a/ex")]), named(&["a/ex", "a/pt#P#p0", "a/ex"]));
        let three = [("a/x", "b/y"), ("b/y", "a/z.ibd"), ("a/z.ibd", "a/x")];
        assert_eq!(ring(&three).map(|ring| ring.len()), Some(4));
        // Beside other renames, which lead into the ring or not.
        let more = [("a/one", "a/two"), ("a/s", "a/t"), ("a/t", "a/u"), ("a/u", "a/t")];
        assert!(ring(&more).is_some());
        assert_eq!(ring(&[("a/x", "./a/y"), ("a/y", "a/x\n")]), named(&["a/x", "a/y", "a/x"]));
    }

    #[test]
    fn a_chain_of_renames_is_no_ring() {
        assert_eq!(ring(&[]), None);
        assert_eq!(ring(&[("a/new", "a/t"), ("a/t", "a/old"), ("a/other", "b/other")]), None);
    }
}
