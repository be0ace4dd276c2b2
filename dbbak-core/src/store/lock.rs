//! What a lock on a store covers, who holds one, and how one is asked for.

use super::StoreKey;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use uuid::Uuid;

/// What a lock covers.
///
/// The order is the order in which several are taken, so that two callers never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LockScope {
    /// Backups, their manifest and the store's own file; one holder.
    Backups,
    /// Archived binlogs, their index and transaction indexes; one holder.
    Binlogs,
    /// The right to delete what was published; one holder, and none while a read lease lives.
    Prune,
    /// A read lease: what the holder reads must stay. Any number of holders, and none beside a pruner.
    Read,
}

impl LockScope {
    /// Every scope, in the order in which they are taken.
    pub const ALL: [LockScope; 4] = [LockScope::Backups, LockScope::Binlogs, LockScope::Prune, LockScope::Read];

    /// The scope's name, as it stands in lock files and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            LockScope::Backups => "backups",
            LockScope::Binlogs => "binlogs",
            LockScope::Prune => "prune",
            LockScope::Read => "read",
        }
    }
}

impl fmt::Display for LockScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A process group, told from a later one with the same number by its leader's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessGroup {
    /// The group's number, which is its leader's process id.
    pub pgid: u32,
    /// When the leader started, in the kernel's ticks since the boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
}

/// Who holds a lock, as the lock file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// What the lock covers.
    pub scope: LockScope,
    /// The holder's own id, new with each lock.
    pub owner: Uuid,
    /// The machine's host name.
    pub host: String,
    /// The machine's own id (`/etc/machine-id`), where it has one: host names repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The id of the machine's boot, where it tells: process ids mean nothing across boots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The holder's process id namespace, where it tells: process ids mean nothing across containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_namespace: Option<String>,
    /// The holder's process id.
    pub pid: u32,
    /// When the process started, in the kernel's ticks since the boot; `None` where it was not to be learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid_start: Option<u64>,
    /// What the holder does, as it was asked for.
    pub command: String,
    /// When the lock was taken, by the holder's wall clock.
    pub since: DateTime<Utc>,
    /// How often the holder has said that it lives.
    #[serde(default)]
    pub heartbeat: u64,
    /// When the holder last said so, by its own wall clock: for people, not for judging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_at: Option<DateTime<Utc>>,
    /// The process groups that the holder started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<ProcessGroup>,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} on {}, process {}, since {}",
            self.command,
            self.host,
            self.pid,
            self.since.format("%Y-%m-%d %H:%M:%S UTC")
        )
    }
}

/// How a lock is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRequest {
    /// What the caller does, for the people that find its lock.
    pub command: String,
    /// How long to wait for a living or silent holder; zero fails at once.
    pub wait: Duration,
    /// The time between two heartbeats of the lock once it is held.
    pub heartbeat: Duration,
    /// How long a holder elsewhere must have been silent, seen by the contender's own clock, to be taken for dead.
    /// The same on every machine that uses the store, and many times `heartbeat`.
    pub stale_after: Duration,
    /// How long the children of a dead holder may take to go after they were killed.
    pub kill_patience: Duration,
}

impl LockRequest {
    /// A request that fails at once when the holder is not provably dead; a heartbeat every 5 s, silence of 60 s.
    pub fn new(command: impl Into<String>) -> Self {
        LockRequest {
            command: command.into(),
            wait: Duration::ZERO,
            heartbeat: Duration::from_secs(5),
            stale_after: Duration::from_secs(60),
            kill_patience: Duration::from_secs(30),
        }
    }

    /// The same, waiting at most so long.
    #[must_use]
    pub fn waiting(self, wait: Duration) -> Self {
        LockRequest { wait, ..self }
    }
}

/// Whether the held scopes cover a place for writing; a store asks before each write.
///
/// Logs, history and staged files may be written under any lock; lock files only by the locks themselves.
pub fn covers(held: &[LockScope], key: &StoreKey) -> bool {
    match key.parts().next() {
        None | Some("locks") => false,
        Some("logs" | "history" | "tmp") => !held.is_empty(),
        Some("binlogs") => held.contains(&LockScope::Binlogs),
        Some(_) => held.contains(&LockScope::Backups),
    }
}
