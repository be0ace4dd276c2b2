//! What makes restored data ready to be taken into use, as a step of a plan.

use crate::{
    model::BinlogPosition,
    store::{BinlogEntry, StoreKey},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Binlogs that are put back as a server's own history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaceBinlogs {
    /// The directory that they are put into.
    pub dir: PathBuf,
    /// The files in log order.
    pub files: Vec<BinlogEntry>,
    /// Where the last one is cut off; none: it ends where it ends.
    pub stop: Option<u64>,
    /// The list of the files that the server reads.
    pub index: PathBuf,
    /// The directory under which the list names them: the source's own, or `.` for the data directory. A server takes a
    /// relative name in its list from its data directory (seen on both vendors).
    pub listed_in: PathBuf,
}

/// What makes a restored data directory ready to be taken into use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MakeReady {
    /// The directory that a server starts on.
    pub datadir: PathBuf,
    /// Files that make up the identity of the private server: removed.
    pub identity: Vec<PathBuf>,
    /// Base name and index of binlogs that a backup may have brought along, and that end before the data do: removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_logs: Option<(String, String)>,
    /// The file that says where the data stand.
    pub coordinates: PathBuf,
    /// The timeline, and the place in its binlogs; none where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<(Option<String>, BinlogPosition)>,
    /// The GTIDs of the backup, as it recorded them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_gtid: Option<String>,
    /// What was kept of the source's settings, and where it goes.
    pub settings: BTreeMap<StoreKey, PathBuf>,
    /// MariaDB: the file from which the server learns which GTIDs stand in its history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_state: Option<PathBuf>,
    /// The window's binlogs, put back as the server's own history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<PlaceBinlogs>,
    /// Whom the files shall belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Ownership>,
}

/// Whom files shall belong to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The trees that are given away, with all that is in them: directories 0750, files 0640.
    pub trees: Vec<PathBuf>,
    /// The directory that they lie in, which the owner must be able to pass through.
    pub parent: PathBuf,
}
