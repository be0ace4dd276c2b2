//! The identity of a backup inside its store, and the directory that follows from it.

use super::Stamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// What a backup is: a full, or an incremental on a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BackupKind {
    /// Stands by itself.
    #[serde(rename = "full")]
    Full,
    /// Holds the pages changed since its parent.
    #[serde(rename = "incr")]
    Incremental,
}

/// The identity of a backup: its stamp and, for an incremental, the stamp of the full at the root of its chain.
///
/// Printed as the name of its directory in the store: `full_TS` or `incr_TS_from_BASE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackupId {
    /// When the backup was started.
    pub ts: Stamp,
    /// The full that an incremental's chain starts with; `None` for a full.
    pub base: Option<Stamp>,
}

/// A text that names no backup directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a backup directory's name: {text:?}")]
pub struct BackupIdError {
    /// The text as it was found.
    pub text: String,
}

impl BackupId {
    /// A full's identity.
    pub fn full(ts: Stamp) -> Self {
        BackupId { ts, base: None }
    }

    /// An incremental's identity; `base` is the full at the root of its chain.
    pub fn incremental(ts: Stamp, base: Stamp) -> Self {
        BackupId { ts, base: Some(base) }
    }

    /// Full or incremental.
    pub fn kind(&self) -> BackupKind {
        if self.base.is_some() { BackupKind::Incremental } else { BackupKind::Full }
    }

    /// The full at the root of the chain; a full's own stamp.
    pub fn root(&self) -> Stamp {
        self.base.unwrap_or(self.ts)
    }
}

impl fmt::Display for BackupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BackupKind::Full => "full",
            BackupKind::Incremental => "incremental",
        })
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            None => write!(f, "full_{}", self.ts),
            Some(base) => write!(f, "incr_{}_from_{base}", self.ts),
        }
    }
}

impl FromStr for BackupId {
    type Err = BackupIdError;

    fn from_str(text: &str) -> Result<Self, BackupIdError> {
        let parsed = if let Some(ts) = text.strip_prefix("full_") {
            ts.parse().ok().map(BackupId::full)
        } else {
            text.strip_prefix("incr_")
                .and_then(|rest| rest.split_once("_from_"))
                .and_then(|(ts, base)| Some(BackupId::incremental(ts.parse().ok()?, base.parse().ok()?)))
        };
        parsed.ok_or_else(|| BackupIdError { text: text.to_owned() })
    }
}

impl Serialize for BackupId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BackupId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_directory_and_reads_it_back() {
        for text in ["full_2025-10-02T02-00Z", "incr_2025-10-03T02-00-05Z_from_2025-10-02T02-00Z"] {
            assert_eq!(text.parse::<BackupId>().unwrap().to_string(), text);
        }
        for text in ["full_", "incr_2025-10-03T02-00Z", "partial_2025-10-02T02-00Z", "full_2025-10-02T02-00Z.tmp"] {
            assert!(text.parse::<BackupId>().is_err(), "{text}");
        }
    }
}
