//! `manifest.json`: the list of backups. A backup exists when it stands here.

use super::{
    Digest, Encryption, Flaw, MarkChange, Session, StoreError, StoreReader, Sums, Version, layout, read_version,
    store_file::damaged,
    sum::{entry_label, parse_summed, to_summed_line},
};
use crate::model::{BackupId, BackupKind, BinlogCoordinates, Lsn, Stamp};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// The list of backups, in the order in which they were recorded.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Manifest {
    /// The backups.
    pub entries: Vec<ManifestEntry>,
}

/// What the manifest says of a backup. Entries of other programs may hold the first four fields only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// Full or incremental.
    #[serde(rename = "type")]
    pub kind: BackupKind,
    /// When it was started; with `base`, its identity.
    pub ts: Stamp,
    /// The full at the root of an incremental's chain; `None` for a full.
    #[serde(default)]
    pub base: Option<Stamp>,
    /// Bytes of its files, uncompressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of all that it keeps in the store: every tree, as it is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<u64>,
    /// The backup that an incremental was taken on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Stamp>,
    /// The LSN that it starts at; a full starts at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_lsn: Option<Lsn>,
    /// The LSN that it reaches, at which its child starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_lsn: Option<Lsn>,
    /// The last LSN of the redo that it holds: at `to_lsn` or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_lsn: Option<Lsn>,
    /// When the tool was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When the tool ended, which is the moment that the backup stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// Where it stands in its server's binlogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog: Option<BinlogCoordinates>,
    /// On a replica: where it stands in the source's binlogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_binlog: Option<BinlogCoordinates>,
    /// The digest of the head of the binlog file that `binlog` names, which tells it from a later one of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_head: Option<Digest>,
    /// The digest of that file's bytes before the position in `binlog`, the in-use bit cleared: what an incremental on this backup looks
    /// for in the server's own binlogs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_prefix: Option<Digest>,
    /// Whether binlogs can be replayed on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pitr: Option<PitrState>,
    /// Why it cannot be applied, where that is known: no restore uses it, and no incremental goes on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// How that mark was changed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<MarkChange>,
    /// The server that it was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<BackedUpServer>,
    /// The engine that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// The version of the tool that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// How long the server was locked, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock_seconds: Option<f64>,
    /// How its data lie in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Whether it and what it stands on are kept, whatever the retention says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// When all its files were last compared with their digests and agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<DateTime<Utc>>,
    /// The digest of its `files.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_digest: Option<Digest>,
    /// The digest of its `meta.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta_digest: Option<Digest>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// The server that a backup was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BackedUpServer {
    /// Its `server_uuid`; MariaDB has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its `server_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// Its version as it prints it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its flavour: `mysql`, `percona` or `mariadb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// What was encrypted on it; `None`: nothing that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// The restore of this program that its data directory came from, by the mark that lay in it; `None`: from none, or not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Uuid>,
    /// When the first file of its InnoDB system tablespace was made; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_born: Option<DateTime<Utc>>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Whether binlogs can be replayed on a backup: `"yes"`, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum PitrState {
    /// They can.
    Yes,
    /// They cannot, for this reason.
    No(String),
}

impl From<String> for PitrState {
    fn from(text: String) -> Self {
        if text == "yes" { PitrState::Yes } else { PitrState::No(text) }
    }
}

impl From<PitrState> for String {
    fn from(state: PitrState) -> Self {
        state.to_string()
    }
}

impl fmt::Display for PitrState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PitrState::Yes => f.pad("yes"),
            PitrState::No(reason) => f.pad(reason),
        }
    }
}

impl ManifestEntry {
    /// An entry with the basic fields only.
    pub fn basic(id: BackupId, size: Option<u64>) -> Self {
        ManifestEntry {
            kind: id.kind(),
            ts: id.ts,
            base: id.base,
            size,
            stored_size: None,
            parent: None,
            from_lsn: None,
            to_lsn: None,
            last_lsn: None,
            started_at: None,
            ended_at: None,
            binlog: None,
            source_binlog: None,
            binlog_head: None,
            binlog_prefix: None,
            unusable: None,
            marks: Vec::new(),
            pitr: None,
            server: None,
            engine: None,
            tool_version: None,
            lock_seconds: None,
            format: None,
            pinned: None,
            verified: None,
            files_digest: None,
            meta_digest: None,
            unknown: BTreeMap::new(),
        }
    }

    /// The backup's identity, from which its directory follows.
    pub fn id(&self) -> BackupId {
        BackupId { ts: self.ts, base: self.base }
    }

    /// What in the entry contradicts itself, if anything.
    pub fn contradiction(&self) -> Option<String> {
        if self.id().kind() != self.kind {
            let base = if self.base.is_some() { "a base" } else { "no base" };
            return Some(format!("{} backup with {base}", self.kind));
        }
        None
    }
}

impl Manifest {
    /// Reads the manifest; `None` when there is none, which only a store without sums may lack.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], naming the first entry at fault; others when the store cannot be read.
    pub fn load(reader: &dyn StoreReader, sums: Sums) -> Result<Option<(Self, Version)>, StoreError> {
        let key = layout::manifest();
        match read_version(reader, &key)? {
            Some((bytes, version)) => Ok(Some((Manifest::parse(&bytes, sums)?, version))),
            None if sums == Sums::Required => Err(damaged(&key, None, Flaw::Missing)),
            None => Ok(None),
        }
    }

    /// Reads the manifest's content.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], naming the first entry at fault.
    pub fn parse(bytes: &[u8], sums: Sums) -> Result<Self, StoreError> {
        let (manifest, flaws) = Manifest::inspect(bytes, sums);
        flaws.into_iter().next().map_or(Ok(manifest), Err)
    }

    /// Reads what can be read of the manifest's content, and says what cannot. For reports: nothing may be planned or
    /// written on a part.
    pub fn inspect(bytes: &[u8], sums: Sums) -> (Self, Vec<StoreError>) {
        let key = layout::manifest();
        let texts: Vec<&RawValue> = match serde_json::from_slice(bytes) {
            Ok(texts) => texts,
            Err(error) => return (Manifest::default(), vec![damaged(&key, None, Flaw::Syntax(error.to_string()))]),
        };
        let mut entries = Vec::with_capacity(texts.len());
        let mut flaws = Vec::new();
        for (index, text) in texts.into_iter().enumerate() {
            match parse_summed::<ManifestEntry>(text.get(), sums) {
                Ok((entry, _)) => match entry.contradiction() {
                    None => entries.push(entry),
                    Some(text) => {
                        let label = format!("entry {} ({})", index + 1, entry.ts);
                        flaws.push(damaged(&key, Some(label), Flaw::Contradiction(text)));
                    }
                },
                Err((flaw, object)) => flaws.push(damaged(&key, Some(entry_label(index, &object, &["ts"])), flaw)),
            }
        }
        (Manifest { entries }, flaws)
    }

    /// The manifest's content: one entry a line, each with its sum.
    pub fn to_bytes(&self) -> Vec<u8> {
        let lines: Vec<String> = self.entries.iter().map(|entry| to_summed_line(entry).0).collect();
        lines_to_array(&lines).into_bytes()
    }

    /// Writes the manifest in place of the version that was read, or anew.
    ///
    /// # Errors
    ///
    /// As [`Session::replace`].
    pub fn save(&self, session: &dyn Session, expected: Option<&Version>) -> Result<Version, StoreError> {
        session.replace(&layout::manifest(), expected, &self.to_bytes())
    }
}

/// A JSON array with one element a line, for people with `grep` and `diff`.
pub(super) fn lines_to_array(lines: &[String]) -> String {
    if lines.is_empty() {
        return "[]\n".to_owned();
    }
    format!("[\n{}\n]\n", lines.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASIC: &str = r#"[
        { "type": "full", "ts": "2025-10-02T02-00Z", "base": null, "size": 934857392 },
        { "type": "incr", "ts": "2025-10-03T02-00Z", "base": "2025-10-02T02-00Z", "size": 34857392, "note": {"x": 1} }
    ]"#;

    #[test]
    fn reads_basic_entries_and_keeps_what_it_does_not_know() {
        let manifest = Manifest::parse(BASIC.as_bytes(), Sums::Optional).unwrap();
        assert_eq!(manifest.entries[1].id().to_string(), "incr_2025-10-03T02-00Z_from_2025-10-02T02-00Z");
        let rewritten = manifest.to_bytes();
        assert_eq!(Manifest::parse(&rewritten, Sums::Required).unwrap(), manifest);
        assert!(String::from_utf8(rewritten).unwrap().contains(r#""note":{"x":1}"#));
        assert_eq!(Manifest::parse(b"[]", Sums::Required).unwrap(), Manifest::default());
    }

    #[test]
    fn names_every_entry_at_fault() {
        let mut text =
            String::from_utf8(Manifest::parse(BASIC.as_bytes(), Sums::Optional).unwrap().to_bytes()).unwrap();
        text = text.replace("934857392", "934857393");
        let (manifest, flaws) = Manifest::inspect(text.as_bytes(), Sums::Required);
        assert_eq!((manifest.entries.len(), flaws.len()), (1, 1));
        let message = flaws[0].to_string();
        assert!(message.starts_with("manifest.json is damaged at entry 1 (2025-10-02T02-00Z): digest "), "{message}");
        let (_, flaws) = Manifest::inspect(BASIC.as_bytes(), Sums::Required);
        assert_eq!(flaws.len(), 2);
    }

    #[test]
    fn refuses_an_incremental_without_a_base() {
        let text = br#"[{"type": "incr", "ts": "2025-10-03T02-00Z", "base": null}]"#;
        let error = Manifest::parse(text, Sums::Optional).unwrap_err();
        assert_eq!(
            error.to_string(),
            "manifest.json is damaged at entry 1 (2025-10-03T02-00Z): incremental backup with no base"
        );
    }

    #[test]
    fn writes_pitr_as_yes_or_the_reason() {
        for (state, text) in [(PitrState::Yes, "\"yes\""), (PitrState::No("no binlog".to_owned()), "\"no binlog\"")] {
            assert_eq!(serde_json::to_string(&state).unwrap(), text);
            assert_eq!(serde_json::from_str::<PitrState>(text).unwrap(), state);
        }
    }
}
