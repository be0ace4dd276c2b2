//! The files of a restored data directory that lead a server to its source, and what they must say instead.

use super::backup_files::MetadataFile;
use std::path::{Component, Path};

/// What the backup tool's own files are named: they tell of the source's paths and, after a replay, of a place where the data
/// no longer stand. No server reads them.
const TOOL_FILES: [MetadataFile; 7] = [
    MetadataFile::Checkpoints,
    MetadataFile::Info,
    MetadataFile::BinlogInfo,
    MetadataFile::SlaveInfo,
    MetadataFile::GaleraInfo,
    MetadataFile::Tablespaces,
    MetadataFile::BackupCnf,
];

/// Other files that a server must not find: the source's uuid (MySQL), where the prepare found the source's binlog (written by both tools),
/// and of which sources which server fetched how much (MySQL before 8.0, MariaDB; with it a server begins to replicate by itself).
const FILES: [&str; 5] =
    ["auto.cnf", "xtrabackup_binlog_pos_innodb", "master.info", "relay-log.info", "multi-master.info"];

/// Whether a file at the top of a data directory leads a server to its source, or is of no use but to the backup tool. Such
/// a file is removed.
///
/// MariaDB keeps the state of a named connection in `master-NAME.info` and `relay-log-NAME.info`.
pub fn is_tie(name: &str) -> bool {
    let connection = ["master-", "relay-log-"].iter().any(|start| name.starts_with(start)) && name.ends_with(".info");
    connection || FILES.contains(&name) || TOOL_FILES.iter().any(|file| file.names().contains(&name))
}

/// Whether a file at the top of a data directory may be a list of binlogs or relay logs.
pub fn is_log_index(name: &str) -> bool {
    name.ends_with(".index")
}

/// What a list of logs must say so that it names files of its own data directory alone; `None` where it does so already.
///
/// XtraBackup copies the source's newest binlog, and its line of the source's index as it stands there: with an absolute
/// path where the source had one. A server that is started on it reads that file, and purges it. `there` tells whether the data
/// directory has a file of a name; lines for others are left out.
pub fn inward_index(index: &[u8], there: &dyn Fn(&str) -> bool) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(index);
    let leaves = |line: &str| {
        let parts = Path::new(line).components().filter(|part| *part != Component::CurDir);
        parts.clone().count() != 1 || parts.into_iter().any(|part| !matches!(part, Component::Normal(_)))
    };
    if !text.lines().filter(|line| !line.is_empty()).any(leaves) {
        return None;
    }
    let name = |line: &str| Path::new(line).file_name().map(|name| name.to_string_lossy().into_owned());
    let kept = text.lines().filter_map(name).filter(|name| there(name));
    Some(kept.map(|name| format!("./{name}\n")).collect::<String>().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_leads_to_the_source() {
        for name in [
            "auto.cnf",
            "backup-my.cnf",
            "xtrabackup_info",
            "mariadb_backup_binlog_info",
            "xtrabackup_binlog_pos_innodb",
            "xtrabackup_tablespaces",
            "master.info",
            "master-c1.info",
            "relay-log-c1.info",
        ] {
            assert!(is_tie(name), "{name}");
        }
        for name in
            ["ibdata1", "mysql.ibd", "my.cnf", "mysqld-auto.cnf", "binlog.index", "master.ibd", "mysql-bin.state"]
        {
            assert!(!is_tie(name), "{name}");
        }
    }

    #[test]
    fn a_list_names_files_of_its_own_directory() {
        let there = |name: &str| name == "mysql-bin.000007";
        let inward = |index: &str| {
            inward_index(index.as_bytes(), &there).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        assert_eq!(inward("./mysql-bin.000006\n./mysql-bin.000007\n"), None);
        assert_eq!(inward("mysql-bin.000007\n"), None);
        assert_eq!(inward(""), None);
        let own = Some("./mysql-bin.000007\n".to_owned());
        assert_eq!(inward("/var/log/mysql/mysql-bin.000007\n"), own);
        assert_eq!(inward("/var/log/mysql/mysql-bin.000006\n/var/log/mysql/mysql-bin.000007\n"), own);
        assert_eq!(inward("../log/mysql-bin.000007\n"), own);
        assert_eq!(inward("./logs/mysql-bin.000007\n"), own);
        assert_eq!(inward("/var/log/mysql/mysql-bin.000009\n"), Some(String::new()));
        assert_eq!(inward("/var/log/mysql/..\n"), Some(String::new()));
    }
}
