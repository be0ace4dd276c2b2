//! Cuts what leads a server on restored data to its source.

use super::{error::ExecuteError, files};
use crate::tools::{inward_index, is_log_index, is_tie};
use std::path::Path;

/// Removes the files that lead a server to its source, and has each list of logs name those of the data directory alone. Doing
/// so twice does no harm.
///
/// # Errors
///
/// When a file cannot be read, written or removed.
pub(super) fn cut_ties(datadir: &Path) -> Result<(), ExecuteError> {
    let names = files::names_in(datadir)?;
    for name in &names {
        let path = datadir.join(name);
        if is_tie(name) {
            files::remove_file(&path)?;
        } else if is_log_index(name)
            && let Some(bytes) = files::read_file(&path)?
            && let Some(inward) = inward_index(&bytes, &|other| names.iter().any(|name| name == other))
        {
            files::write_replacing(&path, &inward)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests look at what was written")]

    use super::*;
    use std::fs;

    #[test]
    fn nothing_leads_to_the_source_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["auto.cnf", "ibdata1", "backup-my.cnf", "master-c1.info", "binlog.000007"] {
            fs::write(file(name), name).unwrap();
        }
        fs::write(file("binlog.index"), "/var/log/mysql/binlog.000007\n").unwrap();
        fs::create_dir(file("shop")).unwrap();
        for _ in 0..2 {
            cut_ties(dir.path()).unwrap();
            let names = files::names_in(dir.path()).unwrap();
            assert_eq!(names, ["binlog.000007", "binlog.index", "ibdata1", "shop"]);
            assert_eq!(fs::read_to_string(file("binlog.index")).unwrap(), "./binlog.000007\n");
        }
    }
}
