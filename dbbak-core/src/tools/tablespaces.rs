//! Reads where a backup's tablespaces lay on the server: outside the data directory, a restore could write over them.

use super::backup_files::{BackupFileError, MetadataFile};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The newest version of `xtrabackup_tablespaces` that is known: 8.4.0-5 and 9.7.1 write 3, in which undo
/// tablespaces are not listed any more (seen; a server finds those that lie in its data directory).
const KNOWN_VERSION: u64 = 3;

/// One entry of `xtrabackup_tablespaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalTablespace {
    /// The file's real path on the server.
    pub file_name: PathBuf,
    /// The tablespace; its file in the backup is `NAME.ibd`, or `NAME.ibu` for undo.
    pub tablespace_name: String,
    /// What it holds. Version 1 of the file does not say, and knows tablespaces alone.
    #[serde(default)]
    pub tablespace_type: TablespaceType,
}

/// What a tablespace holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TablespaceType {
    /// Tables.
    #[default]
    Tablespace,
    /// Undo logs. Listed wherever they lie, also in the data directory.
    UndoLog,
}

#[derive(Deserialize)]
struct File {
    version: u64,
    external_tablespaces: Vec<ExternalTablespace>,
}

/// Reads `xtrabackup_tablespaces`: JSON with a version and a list.
///
/// # Errors
/// [`BackupFileError::BadForm`], [`BackupFileError::TooNew`].
pub fn parse_tablespaces(bytes: &[u8]) -> Result<Vec<ExternalTablespace>, BackupFileError> {
    const FILE: MetadataFile = MetadataFile::Tablespaces;
    let file: File = serde_json::from_slice(bytes).map_err(|_| {
        let text = String::from_utf8_lossy(bytes);
        FILE.bad_form(&text, "JSON with version and external_tablespaces")
    })?;
    if file.version > KNOWN_VERSION {
        return Err(BackupFileError::TooNew { file: FILE, found: file.version, known: KNOWN_VERSION });
    }
    Ok(file.external_tablespaces)
}

/// Reads an `.isl` file of MariaDB or MySQL 5.7: the path of a table's file, `DATA DIRECTORY`.
pub fn parse_isl(bytes: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    (!text.is_empty()).then(|| PathBuf::from(text))
}

impl ExternalTablespace {
    /// Whether the file lies outside a data directory.
    pub fn is_outside(&self, datadir: &Path) -> bool {
        !self.file_name.starts_with(datadir)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn tells_which_tablespaces_lie_outside() {
        let spaces = parse_tablespaces(&fixture("xtrabackup-8.0/full/xtrabackup_tablespaces")).unwrap();
        assert_eq!(spaces.len(), 3);
        let outside: Vec<&str> = spaces
            .iter()
            .filter(|space| space.is_outside(Path::new("/var/lib/mysql")))
            .map(|space| space.tablespace_name.as_str())
            .collect();
        assert_eq!(outside, ["shop/ledger", "undo_x001"]);
        assert_eq!(spaces[0].tablespace_type, TablespaceType::Tablespace);
    }

    #[test]
    fn reads_versions_1_to_3_and_refuses_version_4() {
        let one = br#"{"version":1,"external_tablespaces":[{"file_name":"/a/t.ibd","tablespace_name":"d/t"}]}"#;
        assert_eq!(parse_tablespaces(one).unwrap()[0].tablespace_type, TablespaceType::Tablespace);
        let empty = br#"{"version":2,"external_tablespaces":[]}"#;
        assert_eq!(parse_tablespaces(empty), Ok(Vec::new()));
        let three = parse_tablespaces(&fixture("xtrabackup-9.7/full/xtrabackup_tablespaces")).unwrap();
        let files: Vec<&str> = three.iter().filter_map(|space| space.file_name.to_str()).collect();
        assert_eq!(files, ["/srv/ext/gts.ibd", "/srv/ext/shop/parte#p#a.ibd", "/srv/ext/shop/e1.ibd"]);
        let four = br#"{"version":4,"external_tablespaces":[]}"#;
        assert!(matches!(parse_tablespaces(four), Err(BackupFileError::TooNew { found: 4, .. })));
        assert!(parse_tablespaces(b"{\"version\":2").is_err());
    }

    #[test]
    fn reads_links() {
        assert_eq!(parse_isl(b"/srv/ext/e/ext.ibd"), Some(PathBuf::from("/srv/ext/e/ext.ibd")));
        assert_eq!(parse_isl(b"\n"), None);
    }
}
