//! What a restore says of itself, before and after.

use super::{PlanError, request::ReplayWay, restore_step::GoingOn, select::Window};
use crate::{
    catalog::{Backup, Link},
    facts::{EdgeFact, UntoldOfWindow},
    model::{BinlogCoordinates, BinlogPosition, Gtid, Lsn, OwnerName, SourceAddress, Stamp},
    tools::{CheckWay, HeldChannel},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use uuid::Uuid;

/// The report of a restore, `dbbak-restore.json` in its work directory. What only the run can know is filled in by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// The format of this report, 1.
    pub version: u32,
    /// Tells this restore apart.
    pub restore: Uuid,
    /// When the plan was made.
    pub planned_at: DateTime<Utc>,
    /// What the restore aims at, in words.
    pub aim: String,
    /// The moment that it aims at; none for a backup as it is.
    pub target: Option<DateTime<Utc>>,
    /// The chain, the full first.
    pub chain: Vec<ReportedBackup>,
    /// Better backups that were passed over: what they bear is replayed instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// Where the chain ends in the server's binlogs.
    pub coordinates: Option<BinlogCoordinates>,
    /// What is replayed.
    pub window: Option<ReportedWindow>,
    /// What stands on both sides of the place where the restored state ends: the last transaction in it and the first one
    /// that is not. None for a backup as it is whose place is not in the archive.
    #[serde(default)]
    pub edges: Option<EdgeFact>,
    /// The data directory that a server can start on.
    pub datadir: PathBuf,
    /// Where the copy of the keyring lies in which the replay made keys: the data may need them, and no other keyring has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<PathBuf>,
    /// When the restore ended well.
    pub finished_at: Option<DateTime<Utc>>,
    /// What was proven.
    pub proof: Option<ReplayProof>,
    /// What lies where, for whoever takes the data into use.
    #[serde(default)]
    pub ready: Option<ReadyReport>,
    /// What was caught up from living sources, one entry a channel.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caught_up: Vec<CaughtUp>,
    /// What the private server was asked at the end; none where no server was started on the data.
    #[serde(default)]
    pub examination: Option<ExaminationReport>,
    /// Why the restored data must not be used, where they were kept for a look all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unproven: Option<String>,
    /// What no log tells of the window: in this the restored data may differ from the source's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_in_log: Vec<String>,
    /// The same of its transactions, as data: what the plan found; after the run, what all transactions have shown.
    #[serde(default, skip_serializing_if = "UntoldOfWindow::is_empty")]
    pub untold: UntoldOfWindow,
    /// How long each step took.
    pub phases: Vec<Phase>,
}

/// A backup of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedBackup {
    /// Its directory in the store.
    pub backup: String,
    /// The backup that it was taken on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Stamp>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// The LSN that it starts at.
    pub from_lsn: Option<Lsn>,
    /// The LSN that it ends at.
    pub to_lsn: Option<Lsn>,
}

/// A backup that a restore passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// The backup.
    pub backup: Stamp,
    /// Why.
    pub reason: String,
}

/// The replayed window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportedWindow {
    /// The timeline.
    pub timeline: String,
    /// Where it starts.
    pub from: BinlogPosition,
    /// Where it ends.
    pub cut: BinlogPosition,
    /// How many binlogs it spans.
    pub files: usize,
    /// How many transactions it holds, as far as the index says.
    pub transactions: Option<u64>,
    /// How it is replayed.
    #[serde(default)]
    pub replay: ReplayWay,
    /// Transactions that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Gtid>,
    /// Where it goes over from one server's binlogs to another's: its parts, in order. Empty where it is of one timeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<ReportedSegment>,
}

/// A part of a window, of one timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedSegment {
    /// The timeline.
    pub timeline: String,
    /// Where it starts.
    pub from: BinlogPosition,
    /// Where it ends.
    pub until: BinlogPosition,
    /// How many binlogs it spans.
    pub files: usize,
    /// The GTIDs that both servers had where this part begins; none for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gtids_before: Option<String>,
    /// Transactions of the part before that this one's server never had: they are not in the restored state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_behind: Option<String>,
}

impl ReportedSegment {
    /// The parts of a window that goes over to another server's binlogs; else none.
    pub(super) fn of(window: &Window<'_>) -> Vec<Self> {
        let Some(lead) = &window.lead else { return Vec::new() };
        let from = window.coordinates.place();
        let segments = window.segments(&from);
        let reported = segments.iter().enumerate().map(|(number, segment)| ReportedSegment {
            timeline: segment.timeline.to_owned(),
            from: segment.from.clone(),
            until: segment.until.clone(),
            files: segment.files.len(),
            gtids_before: (number > 0).then(|| lead.place.gtids.clone()),
            left_behind: lead.place.left_behind.clone().filter(|_| number > 0),
        });
        reported.collect()
    }
}

impl PassedOver {
    pub(super) fn of((backup, error): &(Stamp, PlanError)) -> Self {
        PassedOver { backup: *backup, reason: error.to_string() }
    }
}

impl ReportedBackup {
    pub(super) fn of(backup: &Backup) -> Self {
        ReportedBackup {
            backup: backup.id.to_string(),
            parent: match backup.link {
                Link::Parent(parent) => Some(parent),
                Link::Root | Link::Unknown { .. } => None,
            },
            ended_at: backup.ended_at,
            from_lsn: backup.from_lsn,
            to_lsn: backup.to_lsn,
        }
    }
}

/// What a replay was proven to have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayProof {
    /// Transactions that the archive holds in the window and the private server logged, one by one the same.
    pub transactions: u64,
    /// Where a replay that had died was gone on with; the transactions before were logged and compared by the run that died.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub went_on: Option<GoingOn>,
}

/// What a private server said of the restored data at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExaminationReport {
    /// How its tables were checked.
    pub check: CheckWay,
    /// Tables that were checked and are sound.
    pub tables: u64,
    /// Tables of engines that cannot be checked.
    pub unchecked: u64,
    /// What the server remarked about tables that are sound all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// XA transactions that are prepared and not ended, as `XA COMMIT` and `XA ROLLBACK` take them.
    pub prepared: Vec<String>,
    /// XA transactions that must be prepared and are not: the server has lost them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost_prepared: Vec<String>,
    /// After a replay on MariaDB: tables whose history goes by transaction ids, which are others than the source's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_transaction: Vec<String>,
    /// Channels of replication that the source had, and where they stood at the end of the backup: the server has forgotten
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<HeldChannel>,
    /// The GTIDs that the server has: MySQL's executed set, MariaDB's position.
    pub gtids: String,
    /// How durable what the server did last was made, as it said itself before it was shut down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<DurabilityReport>,
    /// Whether the account of the run was dropped.
    pub account_dropped: bool,
    /// The last words in the server's error log.
    pub shutdown: String,
}

/// What a private server said of its durability before it was shut down, read back after it was set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurabilityReport {
    /// `innodb_flush_log_at_trx_commit`: 1, each commit is.
    pub innodb_flush_log_at_trx_commit: u64,
    /// `sync_binlog`: 1, each commit is.
    pub sync_binlog: u64,
}

/// What lies where, for whoever takes restored data into use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyReport {
    /// The file that says where the data stand in the source's binlogs.
    pub coordinates: PathBuf,
    /// The directory with what was kept of the source's settings; none where nothing was.
    pub settings: Option<PathBuf>,
    /// The directory with the server's binlogs and what belongs to them; none where nothing was put back.
    pub binlogs: Option<PathBuf>,
    /// Where the source had its binlogs, if that is another place than the data directory. The index names the files where
    /// they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlogs_belong_to: Option<PathBuf>,
    /// Whom the files belong to, where that was asked for.
    pub owner: Option<OwnerName>,
}

/// What was caught up from a living source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaughtUp {
    /// The source.
    pub source: SourceAddress,
    /// The channel.
    pub channel: String,
    /// What the source had when it was asked last: the restored data hold all of it.
    pub gtids: String,
    /// How long before the end that was, in seconds.
    pub lag_seconds: f64,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// What it did.
    pub title: String,
    /// Seconds.
    pub seconds: f64,
    /// Its parts, where it has some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Phase>,
}
