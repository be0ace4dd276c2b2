//! `dbbak.json`, the store's own file: its format, its id, and what a program must know to read or write it.

use super::{
    Access, Flaw, Session, StoreError, StoreKey, StoreReader, Sums, Version, layout, read_version,
    sum::{check_sum, to_summed_line},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The newest store format that this program knows.
pub const FORMAT: u32 = 1;

/// The features that this program knows; a store names those that its readers or writers must know.
pub const FEATURES: &[&str] = &[];

/// What stands in `dbbak.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreFile {
    /// The store's format.
    pub format: u32,
    /// The store's own id, new with each store.
    pub id: Uuid,
    /// When the store was made.
    pub created: DateTime<Utc>,
    /// What a program must know to read the store.
    #[serde(default)]
    pub reader_requires: Vec<String>,
    /// What a program must know beyond that to write it.
    #[serde(default)]
    pub writer_requires: Vec<String>,
    /// Whether every entry of the store's JSON files has a sum, so that a missing one is damage.
    #[serde(default)]
    pub sums: bool,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl StoreFile {
    /// The file of a new store.
    pub fn new(id: Uuid, created: DateTime<Utc>) -> Self {
        StoreFile {
            format: FORMAT,
            id,
            created,
            reader_requires: Vec::new(),
            writer_requires: Vec::new(),
            sums: true,
            unknown: BTreeMap::new(),
        }
    }

    /// Reads the store's file; `None` when the store has none: such a store holds the basic fields only, and is read
    /// but not written.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`]; [`StoreError::TooNew`] when this program must not read the store.
    pub fn load(reader: &dyn StoreReader) -> Result<Option<(Self, Version)>, StoreError> {
        match read_version(reader, &layout::store_file())? {
            Some((bytes, version)) => Ok(Some((StoreFile::parse(&bytes)?, version))),
            None => Ok(None),
        }
    }

    /// Reads the file's content.
    ///
    /// # Errors
    ///
    /// As [`StoreFile::load`].
    pub fn parse(bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged = |flaw| StoreError::Damaged { key: layout::store_file(), entry: None, flaw };
        let syntax = |error: serde_json::Error| damaged(Flaw::Syntax(error.to_string()));
        let mut object: Map<String, Value> = serde_json::from_slice(bytes).map_err(syntax)?;
        // Who promises sums has one here too.
        let sums = match object.get("sums") {
            Some(Value::Bool(true)) => Sums::Required,
            _ => Sums::Optional,
        };
        check_sum(&mut object, sums).map_err(damaged)?;
        // Asked before the rest is understood: a newer format may have changed it.
        let needs = missing(&object, "reader_requires");
        if !needs.is_empty() {
            return Err(StoreError::TooNew { key: layout::store_file(), access: Access::Read, needs });
        }
        StoreFile::deserialize(&object).map_err(syntax)
    }

    /// The file's content.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut line, _) = to_summed_line(self);
        line.push('\n');
        line.into_bytes()
    }

    /// Checks that this program may write the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooNew`] when the store asks for what this program does not know.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let known = |feature: &&String| !FEATURES.contains(&feature.as_str());
        let needs: Vec<String> = self.writer_requires.iter().filter(known).cloned().collect();
        if needs.is_empty() {
            return Ok(());
        }
        Err(StoreError::TooNew { key: layout::store_file(), access: Access::Write, needs })
    }

    /// Whether every entry of the store's JSON files must have a sum.
    pub fn sums(&self) -> Sums {
        if self.sums { Sums::Required } else { Sums::Optional }
    }

    /// Writes the file in place of the version that was read, or anew.
    ///
    /// # Errors
    ///
    /// As [`Session::replace`].
    pub fn save(&self, session: &dyn Session, expected: Option<&Version>) -> Result<Version, StoreError> {
        session.replace(&layout::store_file(), expected, &self.to_bytes())
    }
}

/// Whether the entries of a store must have sums; those of a store without a file of its own need not.
pub fn sums_of(file: Option<&StoreFile>) -> Sums {
    file.map_or(Sums::Optional, StoreFile::sums)
}

/// What an object asks for that this program does not know.
fn missing(object: &Map<String, Value>, member: &str) -> Vec<String> {
    let mut needs = Vec::new();
    if let Some(format) = object.get("format").and_then(Value::as_u64)
        && format > u64::from(FORMAT)
    {
        needs.push(format!("format {format}"));
    }
    let features = object.get(member).and_then(Value::as_array).into_iter().flatten();
    let names = features.filter_map(Value::as_str).filter(|feature| !FEATURES.contains(feature));
    needs.extend(names.map(str::to_owned));
    needs
}

/// An error about a JSON file of the store.
pub(super) fn damaged(key: &StoreKey, entry: Option<String>, flaw: Flaw) -> StoreError {
    StoreError::Damaged { key: key.clone(), entry, flaw }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> StoreFile {
        StoreFile::new(Uuid::from_u128(7), "2025-10-02T02:00:00Z".parse().unwrap())
    }

    #[test]
    fn round_trips_with_what_it_does_not_know() {
        let mut written = file();
        written.unknown.insert("later".to_owned(), serde_json::json!({"a": [1, 2]}));
        assert_eq!(StoreFile::parse(&written.to_bytes()).unwrap(), written);
        let basic = br#"{"format": 1, "id": "00000000-0000-0000-0000-000000000007", "created": "2025-10-02T02:00:00Z",
            "reader_requires": [], "writer_requires": []}"#;
        assert_eq!(StoreFile::parse(basic).unwrap(), StoreFile { sums: false, ..file() });
    }

    #[test]
    fn refuses_a_newer_store_before_it_trips_over_it() {
        let newer = br#"{"format": 2, "id": {"changed": true}, "reader_requires": ["shards"]}"#;
        let error = StoreFile::parse(newer).unwrap_err();
        assert_eq!(
            error.to_string(),
            "dbbak.json asks for what this program does not know, for reading: format 2, shards"
        );
        let mut for_writers = file();
        for_writers.writer_requires.push("leases".to_owned());
        let read = StoreFile::parse(&for_writers.to_bytes()).unwrap();
        assert!(matches!(read.check_writable(), Err(StoreError::TooNew { access: Access::Write, .. })));
        assert!(file().check_writable().is_ok());
    }
}
