//! Reads the checkpoints file of a backup: its type and its LSNs.

use super::backup_files::{BackupFileError, MetadataFile};
use crate::model::Lsn;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a backup directory is at this moment. A prepare rewrites it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupType {
    /// A full as it was taken.
    FullBackuped,
    /// An incremental as it was taken.
    Incremental,
    /// Redo applied: XtraBackup takes further incrementals on it; with mariadb-backup every prepared directory is this.
    LogApplied,
    /// Redo applied and transactions rolled back, by XtraBackup: can be started, takes no incremental any more.
    FullPrepared,
}

/// The content of `xtrabackup_checkpoints` or `mariadb_backup_checkpoints`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoints {
    /// What the directory is.
    pub backup_type: BackupType,
    /// Where the backup begins: 0 for a full, the parent's `to_lsn` for an incremental.
    pub from_lsn: Lsn,
    /// The checkpoint at the backup's end, where the next incremental begins.
    pub to_lsn: Lsn,
    /// The last redo that was copied; at `to_lsn` or later.
    pub last_lsn: Option<Lsn>,
    /// What the server had flushed; XtraBackup, and 0 unless it locked DDL.
    pub flushed_lsn: Option<Lsn>,
}

/// Reads the file. The form is `key = value` a line; XtraBackup 2.4, 8.0, 8.4 and mariadb-backup differ in what follows
/// `last_lsn` (`compact`, `recover_binlog_info`, `flushed_lsn`, `redo_memory`, `redo_frames`). Only the first three keys
/// are mandatory, as for the tools' own readers.
///
/// # Errors
/// [`BackupFileError::MissingKey`], [`BackupFileError::BadValue`].
pub fn parse_checkpoints(bytes: &[u8]) -> Result<Checkpoints, BackupFileError> {
    const FILE: MetadataFile = MetadataFile::Checkpoints;
    let text = String::from_utf8_lossy(bytes);
    let value = |key: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(found, _)| found.trim() == key).map(|(_, value)| value.trim())
    };
    let optional = |key: &'static str| {
        value(key).map(|text| text.parse::<Lsn>().map_err(|_| FILE.bad(key, text, "an LSN"))).transpose()
    };
    let mandatory = |key: &'static str| optional(key)?.ok_or(BackupFileError::MissingKey { file: FILE, key });

    let backup_type = match value("backup_type") {
        Some("full-backuped") => BackupType::FullBackuped,
        Some("incremental") => BackupType::Incremental,
        Some("log-applied") => BackupType::LogApplied,
        Some("full-prepared") => BackupType::FullPrepared,
        Some(other) => {
            let expected = "full-backuped, incremental, log-applied or full-prepared";
            return Err(FILE.bad("backup_type", other, expected));
        }
        None => {
            return Err(BackupFileError::MissingKey { file: FILE, key: "backup_type" });
        }
    };
    Ok(Checkpoints {
        backup_type,
        from_lsn: mandatory("from_lsn")?,
        to_lsn: mandatory("to_lsn")?,
        last_lsn: optional("last_lsn")?,
        flushed_lsn: optional("flushed_lsn")?,
    })
}

impl fmt::Display for BackupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackupType::FullBackuped => "full-backuped",
            BackupType::Incremental => "incremental",
            BackupType::LogApplied => "log-applied",
            BackupType::FullPrepared => "full-prepared",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn reads_every_generation() {
        let read = |path: &str| parse_checkpoints(&fixture(path)).unwrap();
        let full = read("mariadb-backup-10.11.19/full/xtrabackup_checkpoints");
        assert_eq!(full.backup_type, BackupType::FullBackuped);
        assert_eq!((full.from_lsn, full.to_lsn), (Lsn(0), Lsn(389745)));
        assert_eq!((full.last_lsn, full.flushed_lsn), (Some(Lsn(391705)), None));

        let incremental = read("mariadb-backup-10.11.19/inc1/xtrabackup_checkpoints");
        assert_eq!(incremental.backup_type, BackupType::Incremental);
        assert_eq!(incremental.from_lsn, full.to_lsn);

        let prepared = read("mariadb-backup-10.11.19/prepared-after-inc2/xtrabackup_checkpoints");
        assert_eq!((prepared.backup_type, prepared.to_lsn), (BackupType::LogApplied, Lsn(497146)));

        let newer = read("mariadb-backup-11.8.9/full/mariadb_backup_checkpoints");
        assert_eq!((newer.backup_type, newer.to_lsn), (BackupType::FullBackuped, Lsn(45_418)));
        assert_eq!(read("mariadb-backup-11.8.9/inc1/mariadb_backup_checkpoints").from_lsn, newer.to_lsn);

        for (path, kind) in [
            ("mariadb-backup-11.8.9/inc1/mariadb_backup_checkpoints", BackupType::Incremental),
            ("mariadb-backup-11.8.9/prepared-full/mariadb_backup_checkpoints", BackupType::LogApplied),
            ("xtrabackup-2.4/full/xtrabackup_checkpoints", BackupType::FullBackuped),
            ("xtrabackup-2.4/inc1/xtrabackup_checkpoints", BackupType::Incremental),
            ("xtrabackup-8.0/full/xtrabackup_checkpoints", BackupType::FullBackuped),
            ("xtrabackup-8.0/prepared/xtrabackup_checkpoints", BackupType::FullPrepared),
            ("xtrabackup-8.4/full/xtrabackup_checkpoints", BackupType::FullBackuped),
        ] {
            assert_eq!(read(path).backup_type, kind, "{path}");
        }
    }

    #[test]
    fn refuses_what_is_not_whole() {
        let ok = "backup_type = incremental\nfrom_lsn = 1\nto_lsn = 2\n";
        assert!(parse_checkpoints(ok.as_bytes()).is_ok());
        for broken in ["", "backup_type = incremental\nfrom_lsn = 1\n", "from_lsn = 1\nto_lsn = 2\n"] {
            assert!(
                matches!(parse_checkpoints(broken.as_bytes()), Err(BackupFileError::MissingKey { .. })),
                "{broken}"
            );
        }
        for (good, bad) in [("incremental", "full-compacted"), ("= 2", "= 2x"), ("= 1", "= 0:1")] {
            let broken = ok.replace(good, bad);
            assert!(matches!(parse_checkpoints(broken.as_bytes()), Err(BackupFileError::BadValue { .. })), "{broken}");
        }
    }
}
