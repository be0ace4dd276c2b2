//! A backup as planners see it, whichever program wrote the store.

use crate::{
    model::{BackupId, BackupKind, BinlogCoordinates, Lsn, Stamp},
    store::{BackedUpServer, ManifestEntry, PitrState},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A backup that stands in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Its identity.
    pub id: BackupId,
    /// The backup that it was taken on.
    pub link: Link,
    /// The LSN that it starts at.
    pub from_lsn: Option<Lsn>,
    /// The LSN that it ends at.
    pub to_lsn: Option<Lsn>,
    /// The moment that it stands for. A basic store does not say: there it is the stamp, the start.
    pub ended_at: DateTime<Utc>,
    /// The manifest's entry.
    pub entry: ManifestEntry,
}

/// How a backup hangs in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// It is a full.
    Root,
    /// It was taken on this backup.
    Parent(Stamp),
    /// It does not say, and this many backups of its base end at the LSN that it starts at.
    Unknown {
        /// How many would fit.
        candidates: usize,
    },
}

impl Backup {
    /// Its stamp.
    pub fn ts(&self) -> Stamp {
        self.id.ts
    }

    /// Full or incremental.
    pub fn kind(&self) -> BackupKind {
        self.id.kind()
    }

    /// Its coordinates, if a replay may start from them.
    ///
    /// # Errors
    ///
    /// The reason why not.
    pub fn coordinates(&self) -> Result<&BinlogCoordinates, String> {
        if let Some(PitrState::No(reason)) = &self.entry.pitr {
            return Err(reason.clone());
        }
        self.entry.binlog.as_ref().ok_or_else(|| "no binlog coordinates were recorded".to_owned())
    }

    /// The server that it was taken from.
    pub fn server(&self) -> Option<&BackedUpServer> {
        self.entry.server.as_ref()
    }
}
