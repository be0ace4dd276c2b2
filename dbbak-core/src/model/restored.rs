//! The mark that a restore leaves in the data directory that it makes.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What stands in [`RestoredMark::FILE`] of a restored data directory. Pages of such data are no later state of any backup's pages, whatever
/// their LSNs and binlogs say: a backup that was taken before is no parent for what is taken there.
///
/// Neither backup tool copies the file, and a restore replaces one that it finds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredMark {
    /// The version of the format: 1.
    pub version: u32,
    /// The restore, as its report names it.
    pub restore: Uuid,
    /// When it was ended.
    pub at: DateTime<Utc>,
}

impl RestoredMark {
    /// The file's name, at the top of the data directory. Servers do not mind files there that they do not know.
    pub const FILE: &str = "dbbak-restored.json";
    /// No such file is longer, in bytes.
    pub const LONGEST: u64 = 4096;
}

/// Whether a data directory came from a restore of this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoredFact {
    /// It has no mark.
    Never,
    /// It has the mark of this restore.
    By(RestoredMark),
    /// There is a mark, or may be one, and it cannot be read.
    Unread {
        /// Why.
        problem: String,
    },
}
