//! Names the metadata files of a backup, in both generations, and what a listing of the backup tells by itself.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, fmt};

/// A metadata file that the backup tools leave at the top of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataFile {
    /// Backup type and LSNs.
    Checkpoints,
    /// Versions, options and coordinates.
    Info,
    /// Binlog file, position and GTIDs of the backed-up server.
    BinlogInfo,
    /// The same of the server that it replicates from.
    SlaveInfo,
    /// The Galera node's state.
    GaleraInfo,
    /// Tablespaces outside the data directory, and all undo tablespaces; XtraBackup 8.0 and later.
    Tablespaces,
    /// The server settings that a prepare needs.
    BackupCnf,
}

/// A metadata file that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupFileError {
    /// A line that the reader needs is absent.
    #[error("{file} has no {key}")]
    MissingKey {
        /// The file.
        file: MetadataFile,
        /// The key at the line's start.
        key: &'static str,
    },
    /// A value cannot be read.
    #[error("{file} has {key} = {text:?}, expected {expected}")]
    BadValue {
        /// The file.
        file: MetadataFile,
        /// The key, or the field's name.
        key: &'static str,
        /// The value as it was found.
        text: String,
        /// What the value should have been.
        expected: &'static str,
    },
    /// The content has another form altogether.
    #[error("{file} is not of the form {expected}: {text:?}")]
    BadForm {
        /// The file.
        file: MetadataFile,
        /// The form.
        expected: &'static str,
        /// The start of the content.
        text: String,
    },
    /// The file is of a later version than this reader knows.
    #[error("{file} is of version {found}, newer than {known}")]
    TooNew {
        /// The file.
        file: MetadataFile,
        /// The version in the file.
        found: u64,
        /// The newest one known.
        known: u64,
    },
}

impl MetadataFile {
    /// The names that the file may have, the one to believe first.
    ///
    /// From 11.1 on mariadb-backup writes names of its own (MDEV-18931). When it prepares a backup with the old names it
    /// writes the new checkpoints file and leaves the old one stale: the new name wins wherever both are.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            MetadataFile::Checkpoints => &["mariadb_backup_checkpoints", "xtrabackup_checkpoints"],
            MetadataFile::Info => &["mariadb_backup_info", "xtrabackup_info"],
            MetadataFile::BinlogInfo => &["mariadb_backup_binlog_info", "xtrabackup_binlog_info"],
            MetadataFile::SlaveInfo => &["mariadb_backup_slave_info", "xtrabackup_slave_info"],
            MetadataFile::GaleraInfo => &["mariadb_backup_galera_info", "xtrabackup_galera_info"],
            MetadataFile::Tablespaces => &["xtrabackup_tablespaces"],
            MetadataFile::BackupCnf => &["backup-my.cnf"],
        }
    }

    /// The name to read among those that are present at the top of the backup.
    pub fn select<S: AsRef<str>>(self, present: &[S]) -> Option<&'static str> {
        let is_there = |name: &&&str| present.iter().any(|other| other.as_ref() == **name);
        self.names().iter().find(is_there).copied()
    }

    pub(super) fn bad(self, key: &'static str, text: &str, expected: &'static str) -> BackupFileError {
        BackupFileError::BadValue { file: self, key, text: start_of(text), expected }
    }

    pub(super) fn bad_form(self, text: &str, expected: &'static str) -> BackupFileError {
        BackupFileError::BadForm { file: self, expected, text: start_of(text) }
    }
}

impl fmt::Display for MetadataFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MetadataFile::Checkpoints => "checkpoints file",
            MetadataFile::Info => "info file",
            MetadataFile::BinlogInfo => "binlog info file",
            MetadataFile::SlaveInfo => "slave info file",
            MetadataFile::GaleraInfo => "galera info file",
            MetadataFile::Tablespaces => "tablespaces file",
            MetadataFile::BackupCnf => "backup-my.cnf",
        })
    }
}

/// The deltas that an incremental has lost to an earlier prepare: paths with their `.meta` but without their `.delta`.
///
/// A prepare by mariadb-backup deletes each delta that it applied and moves each `.new` file away (seen on 10.11.19).
/// When such a directory is applied once more, the tool removes from the target every table whose delta it does not
/// find, and ends with status 0 and `completed OK!`: the whole database is gone. So this must be empty before a prepare.
///
/// `paths` are those of the incremental's files, relative to its top.
pub fn consumed_deltas<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let paths: BTreeSet<&str> = paths.into_iter().collect();
    paths
        .iter()
        .filter_map(|path| path.strip_suffix(".meta"))
        .map(|stem| format!("{stem}.delta"))
        .filter(|delta| !paths.contains(delta.as_str()))
        .collect()
}

/// What kind of table a MariaDB or MySQL 5.7 `.frm` file declares, as far as its data files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrmKind {
    /// An InnoDB table: an `.ibd` file of the same name must be there, in the data directory or where its `.isl` says.
    Innodb,
    /// A partitioned table: its files are named `TABLE#P#PARTITION`.
    Partitioned,
    /// A view, or a table of another engine.
    Other,
}

/// Reads the kind of a table off the first four bytes of its `.frm` file: `fe 01`, a version, the engine's number.
pub fn frm_kind(start: &[u8]) -> FrmKind {
    match start {
        [0xfe, 0x01, _, 12, ..] => FrmKind::Innodb,
        [0xfe, 0x01, _, 20, ..] => FrmKind::Partitioned,
        _ => FrmKind::Other,
    }
}

/// The first 200 characters: a damaged file must not flood an error message.
pub(super) fn start_of(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefers_the_new_names_over_stale_old_ones() {
        let both = ["xtrabackup_checkpoints", "mariadb_backup_checkpoints"];
        assert_eq!(MetadataFile::Checkpoints.select(&both), Some("mariadb_backup_checkpoints"));
        assert_eq!(MetadataFile::Checkpoints.select(&both[..1]), Some("xtrabackup_checkpoints"));
        assert_eq!(MetadataFile::BinlogInfo.select(&both), None);
    }

    #[test]
    fn finds_the_deltas_that_a_prepare_consumed() {
        let fresh = ["ibdata1.delta", "ibdata1.meta", "shop/a.ibd.delta", "shop/a.ibd.meta", "shop/b.new"];
        assert!(consumed_deltas(fresh).is_empty());
        assert_eq!(
            consumed_deltas(["ibdata1.meta", "shop/a.ibd.meta", "shop/a.frm"]),
            ["ibdata1.delta", "shop/a.ibd.delta"]
        );
    }

    #[test]
    fn reads_the_engine_of_a_table() {
        assert_eq!(frm_kind(&[0xfe, 0x01, 0x0a, 0x0c, 0x15]), FrmKind::Innodb);
        assert_eq!(frm_kind(&[0xfe, 0x01, 0x0a, 0x14]), FrmKind::Partitioned);
        for other in [&b"TYPE=VIEW\n"[..], &[0xfe, 0x01, 0x0a, 0x2a], &[0xfe, 0x01], &[]] {
            assert_eq!(frm_kind(other), FrmKind::Other);
        }
    }
}
