//! Plans: pure functions of configuration, catalog, facts, time and request, that return what to do as data.
//!
//! A planner does no I/O, reads no clock and knows no dry run: the value that a dry run prints is the value that runs.

mod across;
mod aim;
mod backup;
mod base;
mod batches;
mod bound;
mod catch_up;
mod check;
mod clone;
mod display;
mod dump;
mod dump_findings;
mod engines;
mod error;
mod explain;
mod fetch;
mod finish;
mod going_on;
mod gtid_mode;
mod keyring;
mod lack;
mod load;
mod not_readable;
mod origin;
mod orphans;
mod other_data;
mod past;
mod prisoner;
mod private_server;
mod ready;
mod reindex;
mod replay;
mod replay_end;
mod report;
mod request;
mod restore;
mod restore_step;
mod resume;
mod scratch;
mod select;
mod server_home;
mod server_record;
mod ship;
mod standing;
mod start;
mod step;
mod time_zone;
mod touch;
mod trial;
mod unmark;
mod untold;
mod whereabouts;
mod words;

pub use crate::facts::{UntoldFact, UntoldOfWindow};
pub use aim::{Aim, NoReplay, resolve_aim};
pub use backup::{parent_of, plan_backup};
pub use base::family_of;
pub use batches::Batch;
pub use bound::MadeFrom;
pub use check::{Violation, check, check_resumed, check_runnable};
pub(crate) use engines::named_tool;
pub use engines::{EngineReport, auto_changes_form, backup_tool_suits, engine_without_tool, report_engines};
pub use error::PlanError;
pub use keyring::config_names_keyring;
pub use lack::Lack;
pub use not_readable::{NeededFor, NotReadable, binlogs as binlogs_not_readable};
pub use orphans::plan_orphans;
pub use past::Unproven;
pub use reindex::plan_reindex;
pub use replay_end::ReplayEnd;
pub use report::{
    CaughtUp, DurabilityReport, ExaminationReport, PassedOver, Phase, ReadyReport, ReplayProof, ReportedBackup,
    ReportedSegment, ReportedWindow, RestoreReport,
};
pub use request::{
    BackupRequest, FinishRequest, OrphansRequest, ReplayWay, RestoreRequest, ShipRequest, UnmarkRequest,
};
pub use restore::plan_restore;
pub use resume::{Carried, PlannedJournal, Resume, journal_of, pinned, plan_resume};
pub use scratch::{SCRATCH_PREFIX, scratch_root, unusable as unusable_scratch};
pub use select::{Segment, Selection, Window, candidates, select};
pub use ship::plan_ship;
pub(crate) use standing::by_transaction_warning;
pub use start::Lead;
pub use step::{
    BinlogCopy, CatchUp, Channel, Custody, EndClones, Examination, Examine, Feeder, FetchBinlog, GoingOn, IndexBinlog,
    InitDatadir, KeyringFile, KnownTablespaces, LoadDump, MakeReady, OpenClone, OptionFiles, Ownership, PassTree,
    PersistedSettings, PlaceBinlogs, PrivateServer, ReadBackup, RecordBackup, RecordTrees, Relay, RemoteClone, Replay,
    RunTool, ShipBinlog, Step, StoredTree, SyncSide, TakeClone, TakeDump, TakeMarkOff, UnpackBinlogs,
};
pub use touch::{Touch, touch};
pub use trial::Trial;
pub use unmark::{UnmarkError, plan_unmark};
pub use untold::{Matters, Told, not_in_log, statements, told_of};
pub use whereabouts::{TimelineSpan, Whereabouts};

use crate::{
    model::TreeName,
    store::{LockScope, StoreKey},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a command will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The format of this value, 1.
    pub version: u32,
    /// The command.
    pub command: String,
    /// The moment that the plan was made for.
    pub planned_at: DateTime<Utc>,
    /// What it comes to.
    pub summary: Summary,
    /// Why it is as it is.
    pub reasons: Vec<String>,
    /// What the user must know.
    pub warnings: Vec<String>,
    /// What it cannot do all the same: after a run the command is done, but incomplete.
    pub incomplete: Vec<String>,
    /// The locks that it needs.
    pub locks: Vec<LockScope>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What a failed run removes from the store, so far as it has made it itself and no list names it.
    pub discard_on_failure: Vec<StoreKey>,
    /// Directories of its own that a failed run removes, so far as it has made them itself.
    pub discard_dirs: Vec<PathBuf>,
    /// The store's directory, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
    /// The directory in which the run makes directories of its own, and removes those that dead runs left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch: Option<PathBuf>,
    /// The state of the store that the plan was made from. It is not carried out on another.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_from: Vec<MadeFrom>,
    /// What would mend what is incomplete, as far as the planner knows. How to ask for it is the frontend's to say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Remedy>,
    /// The journal that a restore keeps, by which it can go on after its death.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal: Option<Box<PlannedJournal>>,
    /// The steps that try whether the incremental can be applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// What would mend what a plan leaves incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Remedy {
    /// The server can send what is not here, or can be read by it alone.
    FetchFromServer,
}

/// What a plan comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Summary {
    /// Nothing yet.
    Nothing,
    /// A backup.
    Backup {
        /// Its directory in the store.
        id: String,
        /// The engine.
        engine: String,
        /// The trees that are kept.
        trees: Vec<TreeName>,
    },
    /// Archived binlogs.
    Ship {
        /// How many files.
        files: usize,
        /// How many bytes.
        bytes: u64,
    },
    /// A restore.
    Restore {
        /// What its report will say.
        report: Box<RestoreReport>,
    },
    /// What is known of archived binlogs, made anew.
    Reindex {
        /// How many files are read.
        files: usize,
        /// How many bytes.
        bytes: u64,
    },
    /// A mark taken off.
    Unmark {
        /// The backup's directory in the store.
        id: String,
    },
    /// Orphans removed.
    Orphans {
        /// How many.
        removed: usize,
    },
}

impl Plan {
    /// An empty plan.
    pub(crate) fn new(command: &str, now: DateTime<Utc>) -> Self {
        Plan {
            version: 1,
            command: command.to_owned(),
            planned_at: now,
            summary: Summary::Nothing,
            reasons: Vec::new(),
            warnings: Vec::new(),
            incomplete: Vec::new(),
            locks: Vec::new(),
            steps: Vec::new(),
            discard_on_failure: Vec::new(),
            discard_dirs: Vec::new(),
            store: None,
            scratch: None,
            made_from: Vec::new(),
            remedies: Vec::new(),
            journal: None,
            trial: None,
        }
    }
}

impl Step {
    /// What the step does, as a person would say it.
    pub fn title(&self) -> String {
        match self {
            Step::CreateStoreDir { key } => format!("create {key} in the store"),
            Step::CreateDir { path } => format!("create {}", path.display()),
            Step::GiveDir { path, uid } => format!("give {} to the server's user {uid}", path.display()),
            Step::PassTree(pass) | Step::MendTree(pass) => pass.title.clone(),
            Step::RunTool(run) => run.title.clone(),
            Step::ReadBackup(_) => "read what the backup says of itself".into(),
            Step::EndClones(_) => "end clones that dead runs left at work".into(),
            Step::TakeClone(take) => match &take.remote {
                None => "have the server clone itself".into(),
                Some(remote) => {
                    format!("fetch a clone from {}:{} through a private server", remote.donor.host, remote.donor.port)
                }
            },
            Step::OpenClone(_) => "start a private server on the clone, and ask it where it stands".into(),
            Step::TakeDump(_) => "dump all databases".into(),
            Step::InitDatadir(_) => "make an empty data directory".into(),
            Step::LoadDump(_) => "load the dump through a private server".into(),
            Step::MoveTree { to, .. } => format!("move the copy to {}", to.display()),
            Step::RemoveTree { path } => format!("remove {}", path.display()),
            Step::CutTies { .. } => "remove from the data what leads a server to its source".into(),
            Step::KeepServerFiles { .. } => "keep the server's settings".into(),
            Step::RecordBackup(record) => format!("enter {} into the manifest", record.id),
            Step::RecordTrees(record) => format!("enter the prepared trees of {}", record.id),
            Step::TakeMarkOff(mark) => format!("take the mark off {}", mark.backup),
            Step::FlushBinlogs { .. } => "have the server begin a new binlog".into(),
            Step::FetchBinlog(fetch) => format!("fetch {} from the server", fetch.name),
            Step::ShipBinlog(ship) => format!("archive {}", ship.entry.name),
            Step::NameTimelines { .. } => "name the timelines of the binlogs".into(),
            Step::IndexBinlog(index) => format!("index the transactions of {}", index.entry.name),
            Step::UnpackBinlogs(unpack) => match (unpack.files.len(), unpack.batches.as_slice()) {
                (1, _) => "unpack and verify 1 binlog".into(),
                (files, []) => format!("unpack and verify {files} binlogs"),
                (files, [first, ..]) => format!("unpack and verify the first {} of {files} binlogs", first.files),
            },
            Step::Replay(replay) => format!("replay {} to {}", replay.from, replay.cut),
            Step::Examine(_) => "start a private server on the data, and examine them".into(),
            Step::CatchUp(step) => {
                format!("catch up from {}, until less than {} s behind", step.sources(), step.max_lag_seconds)
            }
            Step::MakeReady(ready) => format!("make {} ready to be taken into use", ready.datadir.display()),
            Step::WriteReport { path, .. } => format!("write {}", path.display()),
            Step::RemoveStored { keys } => format!("remove {}", display::count(keys.len(), "orphan")),
        }
    }

    /// How many bytes the step goes through, where the plan knows.
    pub fn bytes(&self) -> Option<u64> {
        match self {
            Step::PassTree(pass) | Step::MendTree(pass) => pass.bytes,
            Step::RunTool(run) => run.bytes,
            Step::FetchBinlog(fetch) => Some(fetch.size),
            Step::ShipBinlog(ship) => Some(ship.bytes.unwrap_or(ship.entry.size)),
            Step::IndexBinlog(index) => Some(index.entry.size),
            Step::UnpackBinlogs(unpack) => {
                let first = unpack.batches.first().map_or(usize::MAX, |batch| batch.files);
                Some(unpack.files.iter().take(first).map(|file| file.size).sum())
            }
            Step::MakeReady(ready) => {
                ready.history.as_ref().map(|place| place.files.iter().map(|file| file.size).sum())
            }
            Step::Replay(replay) => Some(replay.bytes),
            _ => None,
        }
    }
}
