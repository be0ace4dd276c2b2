//! `meta.json`: the facts about one backup, written once, beside its data. Enough to rebuild the manifest's entry.

use super::{
    Digest, Flaw, ManifestEntry, StoreError, StoreReader, Sums, layout, read_version,
    store_file::damaged,
    sum::{check_sum, to_object, to_summed_line},
};
use crate::model::{BackupId, Lsn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The members of `meta.json` that the manifest's entry does not have.
const PATHS: &str = "paths";
const TOOL: &str = "xtrabackup";
/// Facts that change after the backup was taken, and the digest of `meta.json` itself: they stand in the manifest only.
const MANIFEST_ONLY: [&str; 3] = ["pinned", "verified", "meta_digest"];

/// What stands in `meta.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupMeta {
    /// The manifest's entry, without what stands in the manifest only: the pin, the verification, and the digest of
    /// this very file.
    pub entry: ManifestEntry,
    /// Where the backup's trees lie, relative to its directory.
    pub paths: BackupPaths,
    /// How the tool was called and what it reported.
    pub tool: ToolRecord,
}

/// Where a backup's trees lie, relative to its directory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackupPaths {
    /// The tree that the tool wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// The copy prepared by redo alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared_redo: Option<String>,
    /// The copy prepared to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared_final: Option<String>,
    /// The dump.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<String>,
    /// Members that this program does not know.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How the backup tool was called and what it reported.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ToolRecord {
    /// The command line, secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<String>,
    /// Of a full: the LSN at which the copying started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn_start: Option<Lsn>,
    /// Of a full: the LSN that it reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn_end: Option<Lsn>,
    /// Of an incremental: the LSN that it starts at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn_from: Option<Lsn>,
    /// Of an incremental: the LSN that it reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn_to: Option<Lsn>,
    /// The tree that XtraBackup's `prepared-final` was made from: `raw`. Without it the tree was made from `prepared-redo` by
    /// a second prepare, which loses counters (see [`crate::plan`]'s choice of the tree to restore).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_from: Option<String>,
    /// Members that this program does not know.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl BackupMeta {
    /// The facts about a backup, from what its manifest entry is going to say.
    pub fn new(entry: ManifestEntry, paths: BackupPaths, tool: ToolRecord) -> Self {
        let entry = ManifestEntry { pinned: None, verified: None, meta_digest: None, ..entry };
        BackupMeta { entry, paths, tool }
    }

    /// Reads a backup's facts. `expected` is the digest that the manifest has of the file, where it has one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`] when the file is missing, does not have the digest, its sum is wrong, or it speaks of
    /// another backup; others when the store cannot be read.
    pub fn load(
        reader: &dyn StoreReader,
        id: &BackupId,
        expected: Option<&Digest>,
        sums: Sums,
    ) -> Result<Self, StoreError> {
        let key = layout::meta(id);
        let found = match read_version(reader, &key)? {
            Some((bytes, _)) => BackupMeta::parse(&bytes, id, expected, sums),
            None => Err(damaged(&key, None, Flaw::Missing)),
        };
        // It was replaced, and the run died before the manifest was: the generation before has the digest.
        if found.is_err()
            && expected.is_some()
            && let Some((before, _)) = read_version(reader, &layout::previous(&key))?
            && let Ok(meta) = BackupMeta::parse(&before, id, expected, sums)
        {
            return Ok(meta);
        }
        found
    }

    /// Reads the content of a backup's `meta.json`.
    ///
    /// # Errors
    ///
    /// As [`BackupMeta::load`].
    pub fn parse(bytes: &[u8], id: &BackupId, expected: Option<&Digest>, sums: Sums) -> Result<Self, StoreError> {
        let meta = check_digest(bytes, expected).and_then(|()| {
            // The digest of the whole file says more than a sum in it.
            let sums = if expected.is_some() { Sums::Optional } else { sums };
            let object = serde_json::from_slice(bytes).map_err(|error| Flaw::Syntax(error.to_string()))?;
            let meta = from_object(object, sums)?;
            match meta.entry.contradiction() {
                Some(text) => Err(Flaw::Contradiction(text)),
                None if meta.entry.id() != *id => Err(Flaw::Contradiction(format!("speaks of {}", meta.entry.id()))),
                None => Ok(meta),
            }
        });
        meta.map_err(|flaw| damaged(&layout::meta(id), None, flaw))
    }

    /// The file's content, whose digest goes into the manifest's entry.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut object = to_object(&self.entry);
        for member in MANIFEST_ONLY {
            object.remove(member);
        }
        object.insert(PATHS.to_owned(), Value::Object(to_object(&self.paths)));
        object.insert(TOOL.to_owned(), Value::Object(to_object(&self.tool)));
        let (mut line, _) = to_summed_line(&object);
        line.push('\n');
        line.into_bytes()
    }

    /// The manifest's entry that follows from these facts, unpinned and not yet verified; `meta_digest` is the digest of
    /// the file that they were read from.
    pub fn manifest_entry(&self, meta_digest: Digest) -> ManifestEntry {
        ManifestEntry { meta_digest: Some(meta_digest), ..self.entry.clone() }
    }
}

fn from_object(mut object: Map<String, Value>, sums: Sums) -> Result<BackupMeta, Flaw> {
    fn part<T: Default + for<'de> Deserialize<'de>>(value: Option<Value>) -> Result<T, Flaw> {
        let value = value.map(T::deserialize).transpose();
        value.map(Option::unwrap_or_default).map_err(|error| Flaw::Syntax(error.to_string()))
    }
    check_sum(&mut object, sums)?;
    let paths = part(object.remove(PATHS))?;
    let tool: ToolRecord = part(object.remove(TOOL))?;
    let entry = ManifestEntry::deserialize(&object).map_err(|error| Flaw::Syntax(error.to_string()))?;
    // A store of another program says the LSNs only here.
    let from_lsn = entry.from_lsn.or(tool.lsn_from);
    let to_lsn = entry.to_lsn.or(tool.lsn_to).or(tool.lsn_end);
    Ok(BackupMeta { entry: ManifestEntry { from_lsn, to_lsn, ..entry }, paths, tool })
}

/// Compares a file's content with the digest that another file has of it.
pub(super) fn check_digest(bytes: &[u8], expected: Option<&Digest>) -> Result<(), Flaw> {
    let found = Digest::of(bytes);
    match expected {
        Some(expected) if *expected != found => {
            Err(Flaw::Digest { expected: expected.to_string(), found: found.to_string() })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> BackupId {
        BackupId::incremental("2025-10-03T02-00Z".parse().unwrap(), "2025-10-02T02-00Z".parse().unwrap())
    }

    #[test]
    fn reads_what_other_programs_wrote() {
        let text = br#"{"type": "incr", "ts": "2025-10-03T02-00Z", "base": "2025-10-02T02-00Z",
            "paths": {"raw": "raw/"}, "note": 7,
            "xtrabackup": {"cmd": "xtrabackup --backup --incremental ...", "lsn_from": 123999999, "lsn_to": 124123456}}"#;
        let meta = BackupMeta::parse(text, &id(), None, Sums::Optional).unwrap();
        assert_eq!((meta.entry.from_lsn, meta.entry.to_lsn), (Some(Lsn(123_999_999)), Some(Lsn(124_123_456))));
        assert_eq!(meta.paths.raw.as_deref(), Some("raw/"));
        assert_eq!(meta.entry.unknown["note"], 7);
        let other = BackupId::full("2025-10-02T02-00Z".parse().unwrap());
        assert!(BackupMeta::parse(text, &other, None, Sums::Optional).is_err());
    }

    #[test]
    fn rebuilds_the_entry() {
        let entry = ManifestEntry {
            to_lsn: Some(Lsn(9)),
            engine: Some("xtrabackup".to_owned()),
            pinned: Some(true),
            ..ManifestEntry::basic(id(), Some(5))
        };
        let tool = ToolRecord { cmd: Some("xtrabackup --backup".to_owned()), ..ToolRecord::default() };
        let meta = BackupMeta::new(entry.clone(), BackupPaths::default(), tool);
        let bytes = meta.to_bytes();
        let digest = Digest::of(&bytes);
        let read = BackupMeta::parse(&bytes, &id(), Some(&digest), Sums::Required).unwrap();
        assert_eq!(read, meta);
        assert_eq!(read.manifest_entry(digest), ManifestEntry { pinned: None, meta_digest: Some(digest), ..entry });
        let other = Digest::of(b"");
        let error = BackupMeta::parse(&bytes, &id(), Some(&other), Sums::Required).unwrap_err();
        assert!(error.to_string().contains("_from_2025-10-02T02-00Z/meta.json is damaged: digest"), "{error}");
    }
}
