//! Reads the server settings that a backup keeps for its prepare.

use super::backup_files::{BackupFileError, MetadataFile};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

/// The `[mysqld]` group of `backup-my.cnf`: names with underscores, values as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupCnf {
    /// Setting and value; an option without a value has an empty one.
    pub settings: BTreeMap<String, String>,
}

/// Reads `backup-my.cnf`.
///
/// # Errors
/// [`BackupFileError::BadForm`] where there is no `[mysqld]` group.
pub fn parse_backup_cnf(bytes: &[u8]) -> Result<BackupCnf, BackupFileError> {
    let text = String::from_utf8_lossy(bytes);
    let mut settings = BTreeMap::new();
    let mut group = "";
    let mut seen = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            group = name;
            seen |= name == "mysqld";
        } else if group == "mysqld" && !line.is_empty() && !line.starts_with(['#', ';']) {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            settings.insert(name.trim().replace('-', "_"), unquoted(value.trim()).to_owned());
        }
    }
    if seen {
        Ok(BackupCnf { settings })
    } else {
        Err(MetadataFile::BackupCnf.bad_form(&text, "an option file with a [mysqld] group"))
    }
}

impl BackupCnf {
    /// One setting; `name` with underscores.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(String::as_str)
    }

    /// The settings that name a directory or a file outside the data directory, so that a server started on the backup
    /// would write there: absolute paths and paths that go up.
    pub fn paths_outside(&self) -> Vec<(String, PathBuf)> {
        const DIRECTORIES: [&str; 4] = [
            "innodb_undo_directory",
            "innodb_data_home_dir",
            "innodb_log_group_home_dir",
            "innodb_temp_data_file_path",
        ];
        let mut outside = Vec::new();
        for name in DIRECTORIES {
            if let Some(value) = self.get(name).filter(|value| leaves(Path::new(value))) {
                outside.push((name.to_owned(), PathBuf::from(value)));
            }
        }
        for file in self.get("innodb_data_file_path").unwrap_or_default().split(';') {
            let path = file.split(':').next().unwrap_or_default();
            if leaves(Path::new(path)) {
                outside.push(("innodb_data_file_path".to_owned(), PathBuf::from(path)));
            }
        }
        outside
    }
}

/// Whether a path can lead out of the directory that it is taken from.
fn leaves(path: &Path) -> bool {
    path.components().any(|part| matches!(part, Component::RootDir | Component::ParentDir))
}

fn unquoted(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn reads_the_servers_settings() {
        let cnf = parse_backup_cnf(&fixture("mariadb-backup-10.11.19/full/backup-my.cnf")).unwrap();
        assert_eq!(cnf.get("innodb_page_size"), Some("16384"));
        assert_eq!(cnf.get("innodb_data_file_path"), Some("ibdata1:12M:autoextend"));
        assert!(cnf.paths_outside().is_empty());

        let cnf = parse_backup_cnf(&fixture("mariadb-backup-11.8.9/full/backup-my.cnf")).unwrap();
        assert_eq!((cnf.get("innodb_undo_tablespaces"), cnf.paths_outside().len()), (Some("3"), 0));

        let cnf = parse_backup_cnf(&fixture("xtrabackup-8.0/full/backup-my.cnf")).unwrap();
        assert_eq!(cnf.get("server_uuid"), Some("5548e6f5-e54c-11f1-bda1-02fc00000001"));
        assert!(parse_backup_cnf(b"innodb_page_size=16384\n").is_err());
    }

    #[test]
    fn finds_paths_that_leave_the_data_directory() {
        let text = "[mysqld]\ninnodb-undo-directory = \"/srv/undo\"\ninnodb_data_home_dir=./sub\n\
                    innodb_data_file_path=ibdata1:12M;../other/ibdata2:1G:autoextend\n[mysql]\nsocket=/x\n";
        let cnf = parse_backup_cnf(text.as_bytes()).unwrap();
        assert_eq!(
            cnf.paths_outside(),
            [
                ("innodb_undo_directory".to_owned(), PathBuf::from("/srv/undo")),
                ("innodb_data_file_path".to_owned(), PathBuf::from("../other/ibdata2")),
            ]
        );
        assert_eq!(cnf.get("socket"), None);
    }
}
