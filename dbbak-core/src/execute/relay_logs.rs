//! Keeps the relay logs that MySQL may cut off while it looks through them.

use super::{error::ExecuteError, files};
use crate::model::BinlogName;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The relay logs of a batch before the applier is moved. MySQL looks through them then, and cuts off what it takes for
/// half a transaction: the end of an XA transaction whose name was used before in the log, too (seen on 9.7.4).
#[derive(Debug)]
pub(super) struct RelayLogs<'a> {
    dir: &'a Path,
    /// Those that are read, with their lengths.
    lengths: Vec<(&'a BinlogName, u64)>,
    kept: &'a BTreeSet<BinlogName>,
}

impl<'a> RelayLogs<'a> {
    /// Notes their lengths, and keeps copies of those that may be cut.
    ///
    /// # Errors
    ///
    /// When one cannot be copied.
    pub(super) fn keep(
        dir: &'a Path,
        read: impl Iterator<Item = &'a BinlogName>,
        may_be_cut: &'a BTreeSet<BinlogName>,
    ) -> Result<Self, ExecuteError> {
        let lengths = read.map(|file| (file, files::length(&dir.join(file.as_str())))).collect();
        let logs = RelayLogs { dir, lengths, kept: may_be_cut };
        for file in may_be_cut {
            files::remove_file(&logs.copy_of(file))?;
            files::copy(&dir.join(file.as_str()), &logs.copy_of(file))?;
        }
        Ok(logs)
    }

    /// Gives back what was cut off, and removes the copies.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::RelayLogCut`] where one was cut that was not kept.
    pub(super) fn give_back(self) -> Result<(), ExecuteError> {
        for (file, expected) in &self.lengths {
            let path = self.dir.join(file.as_str());
            let found = files::length(&path);
            if found != *expected && !self.kept.contains(*file) {
                return Err(ExecuteError::RelayLogCut { file: (*file).clone(), expected: *expected, found });
            }
            if found != *expected {
                files::rename(&self.copy_of(file), &path)?;
            }
        }
        self.kept.iter().try_for_each(|file| files::remove_file(&self.copy_of(file)))
    }

    fn copy_of(&self, file: &BinlogName) -> PathBuf {
        self.dir.join(file.as_str()).with_added_extension("kept")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "tests write the logs")]

    use super::*;

    #[test]
    fn what_is_cut_off_comes_back_or_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<BinlogName> = ["b.000001", "b.000002", "b.000003"].map(|name| name.parse().unwrap()).into();
        let text = |name: &BinlogName| std::fs::read_to_string(dir.path().join(name.as_str())).unwrap();
        for name in &names {
            std::fs::write(dir.path().join(name.as_str()), format!("all of {name}")).unwrap();
        }
        let kept = BTreeSet::from([names[0].clone(), names[1].clone()]);
        let cut = |name: &BinlogName| files::truncate(&dir.path().join(name.as_str()), 3).unwrap();
        // The last one is not read: it holds no transaction, and MySQL may do with it what it likes.
        let logs = RelayLogs::keep(dir.path(), names[..2].iter(), &kept).unwrap();
        cut(&names[1]);
        cut(&names[2]);
        logs.give_back().unwrap();
        assert_eq!((text(&names[0]), text(&names[1])), ("all of b.000001".into(), "all of b.000002".into()));
        assert_eq!(files::names_in(dir.path()).unwrap().len(), 3, "no copy is left");

        let none = BTreeSet::new();
        let logs = RelayLogs::keep(dir.path(), names[..2].iter(), &none).unwrap();
        logs.give_back().unwrap();
        let logs = RelayLogs::keep(dir.path(), names[..2].iter(), &none).unwrap();
        cut(&names[0]);
        let refused = logs.give_back();
        assert!(
            matches!(&refused, Err(ExecuteError::RelayLogCut { file, expected: 15, found: 3 }) if *file == names[0]),
            "{refused:?}"
        );
    }
    /// The directory is the private server's user's.
    #[test]
    fn a_relay_log_that_is_a_link_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let name: BinlogName = "b.000001".parse().unwrap();
        let (path, secret) = (dir.path().join("b.000001"), dir.path().join("secret"));
        std::fs::write(&secret, "root's").unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        let kept = BTreeSet::from([name.clone()]);
        let refused = RelayLogs::keep(dir.path(), [&name].into_iter(), &kept);
        assert!(matches!(&refused, Err(ExecuteError::Io { path: named, .. }) if *named == path), "{refused:?}");
        assert_eq!(files::names_in(dir.path()).unwrap(), ["b.000001", "secret"]);
    }
}
