//! What a server's binlogs and data directory hold of the place that a backup of it ended at.

use crate::{
    model::{BinlogName, Stamp},
    store::Digest,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a server's binlogs hold of the place that a backup ended at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFact {
    /// The backup.
    pub backup: Stamp,
    /// The directory of the server's binlogs.
    pub dir: Option<PathBuf>,
    /// Whether they lie in another file system than the data, which may be put back alone; `None`: not known.
    #[serde(default)]
    pub apart: Option<bool>,
    /// The binlogs that the server lists, oldest first: those from the backup's own on, or all where it is not among them.
    pub files: Vec<PastFile>,
}

/// A binlog that the server lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastFile {
    /// Its name.
    pub name: BinlogName,
    /// Bytes, as the server counts them.
    pub size: u64,
    /// Digest of its first events, where they can be read.
    pub head: Option<Digest>,
    /// Whether the server was started with it; `None` where its first events cannot be read.
    pub begun_by_start: Option<bool>,
    /// Of the backup's own file: the digest of its bytes before the backup's place; `None` also where it is shorter.
    pub prefix: Option<Digest>,
    /// Digest of all its bytes, taken only of a closed file that the archive holds too and that has to prove something.
    pub content: Option<Digest>,
    /// Why it cannot be read.
    pub problem: Option<String>,
}
