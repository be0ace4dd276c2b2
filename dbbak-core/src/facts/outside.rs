//! What a window holds that would make files elsewhere.

use crate::model::BinlogPosition;
use serde::{Deserialize, Serialize};

/// A transaction of a window that puts files outside of a server's data directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideFact {
    /// Where it begins.
    pub at: BinlogPosition,
    /// Its GTID, where the log has one.
    pub gtid: Option<String>,
    /// The directory or file that it names.
    pub path: String,
    /// Whether it is a table's directory, which a server can leave aside.
    pub table: bool,
}
