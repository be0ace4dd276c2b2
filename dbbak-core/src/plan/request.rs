//! What a user asks for, one type a command.

use crate::{
    model::{Goal, Gtid, OwnerName, SourceAddress, Stamp, Target},
    tools::CheckWay,
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use uuid::Uuid;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupRequest {
    /// A full.
    Full,
    /// An incremental.
    Incremental {
        /// The full whose chain it continues; absent: the latest.
        base: Option<Stamp>,
        /// Whether it is taken on the full itself instead of the chain's newest backup.
        differential: bool,
    },
}

/// Archiving binlogs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipRequest {
    /// Has the server begin a new binlog first.
    pub flush: bool,
    /// The binlog directory of a dead server, whose last open file is taken along.
    pub rescue: Option<PathBuf>,
    /// Has the server send its binlogs instead of reading its files.
    pub from_server: bool,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// Tells this restore apart; names its private directories and account.
    pub id: Uuid,
    /// Where it shall land.
    pub target: Target,
    /// The backup to start from; absent: the newest that can reach the target.
    pub backup: Option<Stamp>,
    /// Incrementals that were found not to apply: chains with them are passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<Stamp>,
    /// Whether a full's prepared trees are left aside where its raw tree can do instead: one of them was found damaged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw_only: bool,
    /// The timeline that is meant, where several have the target.
    #[serde(default)]
    pub timeline: Option<String>,
    /// The work directory; absent: one below `scratch_dir`.
    pub workdir: Option<PathBuf>,
    /// How binlogs are replayed.
    #[serde(default)]
    pub replay: ReplayWay,
    /// Transactions of the window that are not replayed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<Gtid>,
    /// What is done with the restored data before they are given away.
    #[serde(default)]
    pub finish: FinishRequest,
}

/// What is done with restored data before they are given away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishRequest {
    /// How thoroughly their tables are checked.
    #[serde(default)]
    pub check: CheckWay,
    /// Whom their files shall belong to; absent: whoever restores.
    #[serde(default)]
    pub owner: Option<OwnerName>,
    /// Whether the window's binlogs are put back as the server's own history.
    #[serde(default)]
    pub with_binlogs: bool,
    /// Living servers whose binlogs are followed up to now.
    #[serde(default)]
    pub catch_up: Vec<SourceAddress>,
    /// The option file with the account for them; absent: the configured one.
    #[serde(default)]
    pub catch_up_login: Option<PathBuf>,
    /// How far behind them the restored server may be when it stops, in seconds; absent: one.
    #[serde(default)]
    pub max_lag_seconds: Option<u32>,
}

impl RestoreRequest {
    /// Whether a backup is asked for as it is.
    pub fn replays_nothing(&self) -> bool {
        matches!(self.target, Target::NoPitr { .. })
    }

    /// The places of the transactions that are left out, which a survey has to look for.
    pub fn skip_goals(&self) -> impl Iterator<Item = Goal> {
        self.skip.iter().cloned().map(Goal::Before)
    }
}

/// How binlogs are replayed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayWay {
    /// By the private server's own applier where it can, else through a pipe.
    #[default]
    Auto,
    /// By the private server's own applier.
    Relay,
    /// Through a pipe of binlog reader and client.
    Pipe,
}

/// Removing what nothing names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphansRequest {
    /// Seconds that an orphan must have lain untouched.
    pub older_than_seconds: u64,
}

/// What is asked of taking a mark off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmarkRequest {
    /// The backup that bears it.
    pub backup: Stamp,
    /// What whoever asks says of it, for those who find it in the store.
    pub note: Option<String>,
}
