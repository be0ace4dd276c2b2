//! What a replay writes down while it is under way, so that one that died can go on behind what it had done.
//!
//! It lies beside the private server's logs and goes with them. Without it, or with one that cannot be read, a half-done
//! replay is redone.

use crate::{
    model::{BinlogName, Gtid},
    store::Digest,
};
use serde::{Deserialize, Serialize};

/// The directory of the private server's logs, in the work directory.
pub const REPLAY_LOG: &str = "replay-log";
/// The file's name in that directory.
pub const HALFWAY: &str = "halfway.json";
/// The base name of the private server's logs.
pub const REPLAY_BASE: &str = "replay";

/// The format of the files that this program writes and reads.
const FORMAT: u32 = 1;

/// How far a replay is, and whether it may go on after its death.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halfway {
    /// The format of this value.
    pub halfway: u32,
    /// Since which start of the machine the private server runs, where the system says so.
    pub boot: Option<String>,
    /// Something in the window, as far as it was unpacked, behind which nobody can say what a dead server had done.
    pub hindrance: Option<String>,
    /// What was compared and then removed.
    pub compared: Compared,
}

/// The proof of what the private server logged, up to the end of a log. What it rests on is gone: the log was emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// The last log that was compared; none: none yet.
    pub log: Option<BinlogName>,
    /// Lines of the list of expected transactions that were found as expected.
    pub lines: u64,
    /// The digest of those lines, one after the other, so that another list is not taken for this one.
    pub chain: Option<Digest>,
    /// The last transaction that was logged, which is compared when the one behind it is known.
    pub found: Option<String>,
    /// How many logged transactions were compared.
    pub number: u64,
    /// The GTID of the last transaction that was logged.
    pub last: Option<Gtid>,
}

impl Halfway {
    /// A replay that begins.
    pub fn new(boot: Option<String>, hindrance: Option<String>) -> Self {
        Halfway { halfway: FORMAT, boot, hindrance, compared: Compared::default() }
    }

    /// Reads what was written down; `None` where it is not understood.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|halfway: &Halfway| halfway.halfway == FORMAT)
    }
}

/// A replay that died, as far as its work directory and the archive tell of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadReplay {
    /// What it wrote down; none: that cannot be read.
    pub halfway: Option<Halfway>,
    /// The GTID of the last whole transaction that its private server logged.
    pub last: Option<Gtid>,
    /// What is wrong with the logs that it left, or with the data.
    pub flaw: Option<String>,
    /// Where the last transaction stands in the window, once the window is known.
    pub place: Option<DonePlace>,
}

/// Where the last transaction that a private server logged stands in the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DonePlace {
    /// The file of the window, from 0.
    pub file: usize,
    /// Where the transaction ends in it.
    pub end: u64,
    /// Transactions of the window up to there, where the index tells.
    pub transactions: Option<u64>,
    /// A transaction close behind it of which a dead server may have done a part, and why.
    pub half_done: Option<String>,
    /// Where its GTID stands in the window once more: nobody can say behind which of the two the server died.
    #[serde(default)]
    pub again: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_counts_as_not_there() {
        let mut halfway = Halfway::new(Some("boot".into()), None);
        halfway.compared.log = Some("replay.000003".parse().unwrap());
        let text = serde_json::to_vec(&halfway).unwrap();
        assert_eq!(Halfway::parse(&text), Some(halfway.clone()));
        assert_eq!(Halfway::parse(&text[..text.len() - 1]), None);
        halfway.halfway = FORMAT + 1;
        assert_eq!(Halfway::parse(&serde_json::to_vec(&halfway).unwrap()), None);
    }
}
