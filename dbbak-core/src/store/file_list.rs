//! `files.json`: every file of a backup with its size and digest, so that a copy can be proved whole.

use super::{
    Digest, Flaw, StoreError, StoreKey, StoreReader, layout, manifest::lines_to_array, meta::check_digest,
    read_version, store_file::damaged,
};
use crate::model::BackupId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The files of a backup, ordered by path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileList {
    /// The files, directories and symbolic links.
    pub entries: Vec<FileEntry>,
}

/// One file, directory or symbolic link of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it lies, relative to the backup's directory.
    pub path: StoreKey,
    /// What it is; a file where nothing is said.
    #[serde(default, rename = "type", skip_serializing_if = "EntryKind::is_file")]
    pub kind: EntryKind,
    /// Bytes of a file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The digest of a file's content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What a symbolic link says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Members that this program does not know.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What an entry of a backup's tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    #[default]
    File,
    /// A directory, which may be empty.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl EntryKind {
    fn is_file(&self) -> bool {
        *self == EntryKind::File
    }
}

impl FileEntry {
    /// A file.
    pub fn file(path: StoreKey, size: u64, digest: Digest) -> Self {
        FileEntry { size: Some(size), digest: Some(digest), ..FileEntry::directory(path) }.of_kind(EntryKind::File)
    }

    /// A directory.
    pub fn directory(path: StoreKey) -> Self {
        let (size, digest, target) = (None, None, None);
        FileEntry { path, kind: EntryKind::Directory, size, digest, target, unknown: BTreeMap::new() }
    }

    /// A symbolic link.
    pub fn symlink(path: StoreKey, target: impl Into<String>) -> Self {
        FileEntry { target: Some(target.into()), ..FileEntry::directory(path) }.of_kind(EntryKind::Symlink)
    }

    fn of_kind(self, kind: EntryKind) -> Self {
        FileEntry { kind, ..self }
    }

    /// What in the entry contradicts itself, if anything.
    fn contradiction(&self) -> Option<&'static str> {
        match self.kind {
            EntryKind::File if self.digest.is_none() || self.size.is_none() => Some("a file without size and digest"),
            EntryKind::Symlink if self.target.is_none() => Some("a symbolic link without a target"),
            _ => None,
        }
    }
}

impl FileList {
    /// A list of these entries, in order of their paths.
    pub fn new(mut entries: Vec<FileEntry>) -> Self {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        FileList { entries }
    }

    /// The bytes of all files together.
    pub fn total_size(&self) -> u64 {
        self.entries.iter().filter_map(|entry| entry.size).sum()
    }

    /// Reads a backup's list of files. `expected` is the digest that `meta.json` has of it, where it has one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the list is missing, does not have the digest, or an entry contradicts itself;
    /// others when the store cannot be read.
    pub fn load(reader: &dyn StoreReader, id: &BackupId, expected: Option<&Digest>) -> Result<Self, StoreError> {
        let key = layout::files(id);
        let found = match read_version(reader, &key)? {
            Some((bytes, _)) => FileList::parse(&bytes, id, expected),
            None => Err(damaged(&key, None, Flaw::Missing)),
        };
        // It was replaced, and the run died before the manifest was: the generation before has the digest.
        if found.is_err()
            && expected.is_some()
            && let Some((before, _)) = read_version(reader, &layout::previous(&key))?
            && let Ok(list) = FileList::parse(&before, id, expected)
        {
            return Ok(list);
        }
        found
    }

    /// Reads the content of a backup's `files.json`.
    ///
    /// # Errors
    ///
    /// As [`FileList::load`].
    pub fn parse(bytes: &[u8], id: &BackupId, expected: Option<&Digest>) -> Result<Self, StoreError> {
        let key = layout::files(id);
        check_digest(bytes, expected).map_err(|flaw| damaged(&key, None, flaw))?;
        let entries: Vec<FileEntry> =
            serde_json::from_slice(bytes).map_err(|error| damaged(&key, None, Flaw::Syntax(error.to_string())))?;
        match entries.iter().find_map(|entry| Some((entry, entry.contradiction()?))) {
            Some((entry, text)) => {
                Err(damaged(&key, Some(entry.path.to_string()), Flaw::Contradiction(text.to_owned())))
            }
            None => Ok(FileList { entries }),
        }
    }

    /// The file's content, whose digest goes into `meta.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let to_line =
            |entry: &FileEntry| serde_json::to_string(entry).expect("an entry is made of strings and numbers");
        let lines: Vec<String> = self.entries.iter().map(to_line).collect();
        lines_to_array(&lines).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> StoreKey {
        text.parse().unwrap()
    }

    #[test]
    fn round_trips_files_directories_and_links() {
        let id = BackupId::full("2025-10-02T02-00Z".parse().unwrap());
        let list = FileList::new(vec![
            FileEntry::symlink(key("raw/db/t.ibd"), "/elsewhere/t.ibd"),
            FileEntry::directory(key("raw/empty")),
            FileEntry::file(key("raw/db/a.ibd"), 16384, Digest::of(b"a")),
        ]);
        let bytes = list.to_bytes();
        assert_eq!(FileList::parse(&bytes, &id, Some(&Digest::of(&bytes))).unwrap(), list);
        assert_eq!(list.total_size(), 16384);
        assert!(String::from_utf8(bytes.clone()).unwrap().contains(r#"{"path":"raw/empty","type":"directory"}"#));
        assert!(FileList::parse(&bytes, &id, Some(&Digest::of(b""))).is_err());
        let error = FileList::parse(br#"[{"path": "raw/x"}]"#, &id, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "full_2025-10-02T02-00Z/files.json is damaged at raw/x: a file without size and digest"
        );
        assert!(FileList::parse(br#"[{"path": "../x", "type": "directory"}]"#, &id, None).is_err());
    }
}
