//! Reads the info file of a backup: versions, options, coordinates.

use super::backup_files::{BackupFileError, MetadataFile};
use crate::model::{BinlogCoordinates, GtidSet, Lsn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The content of `xtrabackup_info` or `mariadb_backup_info`.
///
/// Its `start_time` and `end_time` are left out: they are local times without a zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupInfo {
    /// The backup's own id.
    pub uuid: String,
    /// `xtrabackup`, `innobackupex`, `mariadb-backup`, `mariabackup`.
    pub tool_name: String,
    /// The arguments of the tool, joined by spaces without quotes; passwords are masked by the tool.
    pub tool_command: String,
    /// The tool's version as printed.
    pub tool_version: String,
    /// The server's `@@version`.
    pub server_version: String,
    /// The server's `@@version_comment`; XtraBackup 8.4.
    pub server_flavor: Option<String>,
    /// How long the tool held its locks, in seconds.
    pub lock_seconds: Option<u64>,
    /// Where the backup stands in the binlogs; `None` where the server has none.
    pub binlog: Option<BinlogCoordinates>,
    /// Where the backup begins.
    pub from_lsn: Lsn,
    /// The checkpoint at the backup's end.
    pub to_lsn: Lsn,
    /// Only some tables were taken: no base for a restore of the server.
    pub partial: bool,
    /// Taken on a parent.
    pub incremental: bool,
    /// `file`, `xbstream`, `mbstream` or `tar`.
    pub format: String,
    /// The tool compressed the files.
    pub compressed: bool,
    /// The tool encrypted the files; mariadb-backup cannot, and has no such line.
    pub encrypted: bool,
    /// How the tool kept DDL away: `ON`, `OFF` or `REDUCED`; XtraBackup from 8.0.3x on.
    pub lock_ddl_type: Option<String>,
}

/// Reads the file: `key = value` a line, where a line without a key goes on with the value before (long GTID sets).
///
/// # Errors
/// [`BackupFileError::MissingKey`], [`BackupFileError::BadValue`].
pub fn parse_info(bytes: &[u8]) -> Result<BackupInfo, BackupFileError> {
    const FILE: MetadataFile = MetadataFile::Info;
    let text = String::from_utf8_lossy(bytes);
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    let mut last = None;
    for line in text.lines() {
        let pair = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        match pair
            .filter(|(key, _)| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        {
            Some((key, value)) => {
                values.entry(key).or_insert_with(|| value.to_owned());
                last = Some(key);
            }
            None => {
                if let Some(value) = last.and_then(|key| values.get_mut(key)) {
                    value.push_str(line.trim());
                }
            }
        }
    }
    let mut take = |key: &'static str| values.remove(key);
    let missing = |key| BackupFileError::MissingKey { file: FILE, key };
    let flag = |key, text: Option<String>| match text.as_deref() {
        None | Some("N") => Ok(false),
        Some("Y") => Ok(true),
        Some(other) => Err(FILE.bad(key, other, "Y or N")),
    };
    let lsn = |key, text: Option<String>| {
        let text = text.ok_or_else(|| missing(key))?;
        text.parse::<Lsn>().map_err(|_| FILE.bad(key, &text, "an LSN"))
    };
    Ok(BackupInfo {
        uuid: take("uuid").unwrap_or_default(),
        tool_name: take("tool_name").unwrap_or_default(),
        tool_command: take("tool_command").unwrap_or_default(),
        tool_version: take("tool_version").ok_or_else(|| missing("tool_version"))?,
        server_version: take("server_version").ok_or_else(|| missing("server_version"))?,
        server_flavor: take("server_flavor"),
        lock_seconds: take("lock_time").and_then(|text| text.parse().ok()),
        binlog: take("binlog_pos").map(|text| parse_binlog_pos(&text)).transpose()?.flatten(),
        from_lsn: lsn("innodb_from_lsn", take("innodb_from_lsn"))?,
        to_lsn: lsn("innodb_to_lsn", take("innodb_to_lsn"))?,
        partial: flag("partial", take("partial"))?,
        incremental: flag("incremental", take("incremental"))?,
        format: take("format").unwrap_or_default(),
        // Not a flag: the value is N or the word "compressed".
        compressed: take("compressed").is_some_and(|text| text != "N"),
        encrypted: flag("encrypted", take("encrypted"))?,
        lock_ddl_type: take("lock_ddl_type"),
    })
}

/// Reads `filename 'F', position 'P'[, GTID of the last change 'G']`; `None` for an empty value.
fn parse_binlog_pos(text: &str) -> Result<Option<BinlogCoordinates>, BackupFileError> {
    let expected = "filename 'F', position 'P'[, GTID of the last change 'G']";
    let error = || MetadataFile::Info.bad("binlog_pos", text, expected);
    if text.is_empty() {
        return Ok(None);
    }
    let quoted = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.trim_start().strip_prefix('\'')?.split_once('\'').map(|(value, _)| value)
    };
    let gtid = quoted("GTID of the last change").filter(|gtid| !gtid.is_empty());
    gtid.unwrap_or_default().parse::<GtidSet>().map_err(|_| error())?;
    Ok(Some(BinlogCoordinates {
        file: quoted("filename").and_then(|file| file.parse().ok()).ok_or_else(error)?,
        position: quoted("position").and_then(|position| position.parse().ok()).ok_or_else(error)?,
        gtid: gtid.map(|gtid| gtid.split_whitespace().collect()),
    }))
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn reads_every_generation() {
        let full = parse_info(&fixture("mariadb-backup-10.11.19/full/xtrabackup_info")).unwrap();
        assert_eq!(full.tool_version, "10.11.19-MariaDB");
        assert_eq!(full.server_version, "10.11.19-MariaDB-0+deb12u1-log");
        let at = full.binlog.unwrap();
        assert_eq!((at.place().to_string(), at.gtid), ("mariadb-bin.000002:13762".into(), Some("0-1011-256".into())));
        assert!(!full.incremental && !full.partial && !full.compressed && !full.encrypted);

        let incremental = parse_info(&fixture("mariadb-backup-10.11.19/inc1/xtrabackup_info")).unwrap();
        assert!(incremental.incremental);
        assert_eq!((incremental.from_lsn, incremental.to_lsn), (Lsn(389745), Lsn(455453)));

        let newer = parse_info(&fixture("mariadb-backup-11.8.9/full/mariadb_backup_info")).unwrap();
        assert_eq!(newer.tool_version, "11.8.9-MariaDB");
        assert_eq!(newer.server_version, "11.8.9-MariaDB-0+deb13u1 from Debian-log");
        // Its `log_bin` was `my.host-1.bin.v2`: the server takes what stands before the first dot.
        assert_eq!(newer.binlog.unwrap().place().to_string(), "my.000001:809");
        assert!(parse_info(&fixture("mariadb-backup-11.8.9/inc1/mariadb_backup_info")).unwrap().incremental);

        let old = parse_info(&fixture("xtrabackup-2.4/full/xtrabackup_info")).unwrap();
        assert_eq!((old.tool_version.as_str(), old.lock_ddl_type), ("2.4.29", None));
        let gtid = old.binlog.unwrap().gtid.unwrap();
        assert!(gtid.starts_with("411148c1-") && gtid.ends_with(":1-19:21-30"), "{gtid}");

        let newest = parse_info(&fixture("xtrabackup-8.4/full/xtrabackup_info")).unwrap();
        assert_eq!(newest.lock_ddl_type.as_deref(), Some("ON"));
        assert_eq!(newest.server_flavor.as_deref(), Some("MySQL Community Server - GPL"));
        assert!(newest.compressed);

        let real = parse_info(&fixture("xtrabackup-9.7/inc1/xtrabackup_info")).unwrap();
        assert_eq!((real.tool_version.as_str(), real.server_flavor.as_deref()), ("9.7.1-rc1", Some("(Ubuntu)")));
        assert_eq!((real.from_lsn, real.to_lsn), (Lsn(19_499_661), Lsn(19_500_933)));
        assert_eq!(real.binlog.unwrap().place().to_string(), "binlog.000004:198");
    }

    #[test]
    fn tells_a_server_without_binlogs_and_refuses_damage() {
        let text = String::from_utf8(fixture("xtrabackup-8.0/full/xtrabackup_info")).unwrap();
        assert!(parse_info(text.as_bytes()).unwrap().binlog.is_some());
        let line = text.lines().find(|line| line.starts_with("binlog_pos")).unwrap();
        assert_eq!(parse_info(text.replace(line, "binlog_pos = ").as_bytes()).unwrap().binlog, None);
        assert!(parse_info(text.replace(line, "binlog_pos = mysql-bin.000001:4").as_bytes()).is_err());
        assert!(parse_info(text.replace("innodb_to_lsn = ", "innodb_to_lsn = x").as_bytes()).is_err());
        assert!(parse_info(text.replace("partial = N", "partial = perhaps").as_bytes()).is_err());
        assert!(parse_info(b"").is_err());
    }
}
