//! What must be known of the world before deciding, as one serialisable value.

mod outside;
mod past;
mod prison;
mod server;
mod window;

pub use outside::OutsideFact;
pub use past::{PastFact, PastFile};
pub use prison::{PrisonFacts, PrisonUser, lets};
pub use window::{DemandFact, UntoldFact, UntoldOfWindow};

use crate::{
    binlog::{FileHead, LogFlavor},
    halfway::DeadReplay,
    journal::{Journal, JournalError},
    model::{BinlogCoordinates, BinlogName, BinlogPosition, Goal, LogTime, Lsn, RestoredFact, Stamp, TreeName},
    probe::{ClosedPath, Filesystem, HostFacts, PathState, TreeSize},
    store::{Digest, Encryption, StoreKey},
    tools::{DumpFinding, Family, Flavor, Grants, Standing, ToolRole, ToolVersion, UnclonedTable, Version},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

pub use crate::{binlog::Untold, model::Need};

/// Everything that a survey found out for one command. What a command does not need is left empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The machine.
    pub host: HostFacts,
    /// The programs.
    pub tools: Vec<ToolFact>,
    /// The server, or why it could not be asked.
    pub server: Option<Result<ServerFacts, ServerProblem>>,
    /// What stands at paths that matter.
    pub paths: BTreeMap<PathBuf, PathState>,
    /// The file systems of paths that matter.
    pub filesystems: BTreeMap<PathBuf, Filesystem>,
    /// Sizes of trees that matter.
    pub sizes: BTreeMap<PathBuf, TreeSize>,
    /// What this process's user may not read of the server's data; looked at before a backup alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<ClosedPath>,
    /// The first path of the server's binlogs that this process may not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_binlogs: Option<ClosedPath>,
    /// Directory names in the scratch directory that a dead run left.
    pub leftovers: Vec<PathBuf>,
    /// The binlogs that could be archived.
    pub source: Option<SourceBinlogs>,
    /// Where the target cuts each timeline that matters.
    pub cuts: Vec<CutFact>,
    /// What stands around the places that matter.
    pub edges: Vec<EdgeFact>,
    /// What the store holds of the backups of the chains that matter.
    pub stored: BTreeMap<String, StoredBackup>,
    /// The transaction indexes in the archive, by the stored names of the binlogs.
    #[serde(default)]
    pub indexes: BTreeMap<String, IndexFact>,
    /// When the first file of the server's InnoDB system tablespace was made, where the file system keeps it: a data directory that was put
    /// back from copies has another one. Looked at before a backup and before binlogs are archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_born: Option<DateTime<Utc>>,
    /// Whom restored files shall belong to, or why that is not known; looked up where it was asked for.
    #[serde(default)]
    pub owner: Option<Result<OwnerFact, String>>,
    /// What decides whether the server can be cloned; looked at before a full alone.
    #[serde(default)]
    pub clone: Option<CloneFacts>,
    /// Tables that no snapshot of a dump holds; looked at before a dump alone.
    #[serde(default)]
    pub non_transactional: Option<Vec<UnclonedTable>>,
    /// What else a dump cannot hold as it is; asked for before a dump alone. `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<Vec<DumpFinding>>,
    /// XA transactions that stand prepared, which no dump holds; asked for before a dump alone. `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepared: Option<Vec<String>>,
    /// What makes an empty data directory of MariaDB; looked for where a dump is to be loaded.
    #[serde(default)]
    pub install_db: Option<PathBuf>,
    /// Coordinates whose place was looked at: whether they are a transaction boundary, and what follows.
    pub starts: Vec<StartFact>,
    /// Where one server's binlogs go on in another's, as after a failover.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crossings: Vec<CrossingFact>,
    /// The journal of a restore that lies in the work directory.
    #[serde(default)]
    pub journal: Option<Box<JournalFact>>,
    /// Tables that have lost their tablespace on the server, as `database.table`; asked for before a backup alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// Files of InnoDB's tables on the server that lie outside of its data directory; asked for before a backup alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside_files: Vec<String>,
    /// MariaDB: InnoDB's tables without files of their own, as files would be named; asked for before a backup alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_tables: Option<Vec<String>>,
    /// What stands on the server and is in no backup; asked for before a backup alone.
    #[serde(default, skip_serializing_if = "Standing::is_empty")]
    pub standing: Standing,
    /// What the server's binlogs hold of the place that an incremental's parent ended at; looked at before an incremental alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<PastFact>,
    /// What decides whom private servers run as; looked at where dbbak is root and starts one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prison: Option<PrisonFacts>,
    /// Transactions of a restore's window that put files outside of the data directory, the first ones of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<OutsideFact>,
    /// Transactions of a restore's window that name what the private server may lack, the first for each name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<DemandFact>,
    /// What no log tells of a restore's window.
    #[serde(default, skip_serializing_if = "UntoldOfWindow::is_empty")]
    pub untold: UntoldOfWindow,
    /// Whether the server's data directory came from a restore; looked at before a backup alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoredFact>,
}

/// How a gap-free piece of one timeline stands to one of another server's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossingFact {
    /// The timeline that goes on.
    pub from: String,
    /// The last file of the piece of it.
    pub last: BinlogName,
    /// The timeline that it goes on in.
    pub to: String,
    /// The first file of the piece of that.
    pub first: BinlogName,
    /// The last place at which both hold the very same transactions, or why there is none.
    pub place: Result<CrossingPlace, String>,
}

/// The last place at which the logs of two servers hold the very same transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossingPlace {
    /// Where the first log is left: the end of its last transaction that both have.
    pub leave: BinlogPosition,
    /// Transactions of that file before it.
    pub leave_before: u64,
    /// Up to here no further transaction stands in that file.
    pub leave_until: u64,
    /// Where the other log is entered.
    pub enter: BinlogPosition,
    /// Transactions of that file before it.
    pub enter_before: u64,
    /// The time of the newest transaction of either log before the place, as far as the archive has it.
    pub newest: Option<LogTime>,
    /// The GTIDs up to there.
    pub gtids: String,
    /// GTIDs of the first log that the other one lacks: its server never had them. `None`: there are none.
    pub left_behind: Option<String>,
    /// Whether the other log adds transactions of its own server: it took over, then, and did not only follow. What only
    /// follows may lag behind: the end of its log says nothing of a moment.
    pub promoted: bool,
}

/// The journal of a restore, and what is there of what it tells of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalFact {
    /// Its path.
    pub path: PathBuf,
    /// What it says.
    pub journal: Result<Journal, JournalError>,
    /// Since which start the machine runs, where the system says so.
    pub boot: Option<String>,
    /// Processes that are at work in the work directory.
    pub living: Vec<LivingProcess>,
    /// The state of the trees that finished steps changed, where they are there.
    pub trees: BTreeMap<PathBuf, Digest>,
    /// The same without the files that the last step brings about, as the journal names them.
    #[serde(default)]
    pub apart: BTreeMap<PathBuf, Digest>,
    /// The names in the work directory.
    pub names: Vec<String>,
    /// A replay that was begun in it and not finished.
    #[serde(default)]
    pub replay: Option<DeadReplay>,
}

/// A process at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivingProcess {
    /// Its id.
    pub pid: u32,
    /// Its program.
    pub program: String,
}

/// Whom files shall belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerFact {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

/// What decides whether a server can be cloned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneFacts {
    /// Files of its tables that lie outside of the data directory: a clone cannot write them a second time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<String>,
    /// The state of the plugin; `None`: it is not installed.
    pub plugin: Option<String>,
    /// Tables that a clone would leave empty, as far as the account may see them.
    pub uncloned: Vec<UnclonedTable>,
}

/// The transaction index of an archived binlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexFact {
    /// It is whole.
    Good,
    /// It is whole, and tells what the binlog index does not: the order in which MariaDB's numbers went back
    /// ([`BinlogEntry::gtids_last`](crate::store::BinlogEntry::gtids_last)).
    TellsOrder,
    /// There is none.
    Missing,
    /// It cannot be used.
    Bad {
        /// What is wrong with it.
        problem: String,
    },
}

/// A program that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolFact {
    /// What it is needed for.
    pub role: ToolRole,
    /// Where it was named or found.
    pub path: Option<PathBuf>,
    /// What it says it is.
    pub version: Option<ToolVersion>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// A server that answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Who made it.
    pub flavor: Flavor,
    /// Its version.
    pub version: Version,
    /// Its version with all suffixes.
    pub version_text: String,
    /// `server_id`.
    pub server_id: u32,
    /// `server_uuid`, which MariaDB lacks.
    pub uuid: Option<String>,
    /// Its data directory.
    pub datadir: PathBuf,
    /// Whether it writes a binlog.
    pub log_bin: bool,
    /// The directory and base name of its binlogs.
    pub log_bin_basename: Option<PathBuf>,
    /// The LSN that it stands at.
    pub lsn: Option<Lsn>,
    /// The least LSN that it can have had at its last start: where it stands, less what it has written since.
    #[serde(default)]
    pub start_lsn: Option<Lsn>,
    /// Seconds since its last start.
    #[serde(default)]
    pub uptime: Option<u64>,
    /// All its variables, secrets masked.
    pub variables: BTreeMap<String, String>,
    /// Its binlogs, oldest first, as it lists them; the last is the one being written.
    pub binlogs: Vec<ListedBinlog>,
    /// Its clock.
    pub now: Option<DateTime<Utc>>,
    /// What the account may do.
    pub grants: Grants,
    /// What is encrypted; looked at before a backup alone. `None`: nothing that the account may see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// MySQL: the names of the settings that it has persisted, as far as the account may see them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persisted: Vec<String>,
}

/// A server that did not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerProblem {
    /// What its client said.
    pub text: String,
    /// Whether the credentials were refused.
    pub access_denied: bool,
}

/// A binlog as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedBinlog {
    /// Its name.
    pub name: BinlogName,
    /// Bytes.
    pub size: u64,
    /// Whether it is encrypted, where the server says so (MySQL alone does).
    #[serde(default)]
    pub encrypted: Option<bool>,
}

/// The binlogs that could be archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceBinlogs {
    /// The directory that they lie in.
    pub dir: PathBuf,
    /// Whether the server itself listed them; otherwise its index file or directory did.
    pub listed_by_server: bool,
    /// The files, oldest first.
    pub files: Vec<SourceBinlog>,
}

/// A binlog that could be archived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceBinlog {
    /// Its name.
    pub name: BinlogName,
    /// The file; `None` when it is listed but not there.
    pub path: Option<PathBuf>,
    /// Bytes.
    pub size: u64,
    /// Whether the server still writes it.
    pub open: bool,
    /// What its first events say; `None` when they cannot be read.
    pub head: Option<HeadFact>,
    /// Why they cannot be read.
    pub problem: Option<String>,
    /// Whether that is because it is encrypted, so that its server alone can read it.
    #[serde(default)]
    pub sealed: bool,
    /// The digest of all its bytes, taken only where its name alone does not tell whether it is archived.
    pub digest: Option<Digest>,
    /// For the last file of a dead server: the offset after its last whole transaction.
    pub good_end: Option<u64>,
}

/// What the first events of a binlog say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadFact {
    /// Digest of the first events, the in-use bit masked.
    pub digest: Digest,
    /// The stamp of the first event.
    pub first_event_time: LogTime,
    /// The server that wrote it.
    pub server_id: u32,
    /// Its version.
    pub server_version: String,
    /// Whether MariaDB wrote it.
    pub family: Family,
    /// The GTIDs of all files before it.
    pub gtids_before: Option<String>,
    /// Whether the server was started with it; `None`: not looked at.
    #[serde(default)]
    pub begun_by_start: Option<bool>,
}

/// Where a goal cuts a timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutFact {
    /// The timeline.
    pub timeline: String,
    /// What cuts it.
    pub goal: Goal,
    /// The place of the cut. `None`: for a moment, that every archived transaction is earlier; for anything else, that it
    /// is not in the timeline's archived files, or that `flaw` says what is wrong with it.
    pub cut: Option<CutPlace>,
    /// Why the goal cuts nothing although the timeline has it.
    pub flaw: Option<CutFlaw>,
}

/// The place of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutPlace {
    /// The place, a transaction boundary.
    pub at: BinlogPosition,
    /// Transactions of the file before the cut.
    pub transactions_before: u64,
    /// Up to here no further transaction stands: the next one's start, or the end of what is archived without a gap. A
    /// backup with coordinates in between holds just what stands before the cut.
    pub until: BinlogPosition,
}

/// Why a goal cuts nothing although its timeline has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutFlaw {
    /// The offset lies in a transaction, in an event or after damage.
    NoBoundary {
        /// The last boundary before it.
        before: u64,
        /// The next boundary after it, where the file has one.
        after: Option<u64>,
    },
    /// Another transaction of the same GTID stands elsewhere in the log.
    Repeated {
        /// Where the first stands.
        first: BinlogPosition,
        /// Where it comes again.
        again: BinlogPosition,
    },
}

/// What stands on both sides of the place that a restore ends at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeFact {
    /// The timeline.
    pub timeline: String,
    /// The place.
    pub at: BinlogPosition,
    /// The last transaction before it; `None` where gap-free binlogs before it hold none.
    pub last_included: Option<TransactionFact>,
    /// The first transaction after it.
    pub first_excluded: Option<TransactionFact>,
    /// Why it is not known what comes next, where that is so: the archive has a gap there, or damage.
    pub unknown_after: Option<String>,
    /// Transactions further on whose own time is before the moment asked for all the same.
    pub earlier: Vec<TransactionFact>,
    /// How many of these there are in the files that were looked through; at most ten are kept.
    pub earlier_count: u64,
    /// The last file that was looked through for them.
    pub earlier_up_to: Option<BinlogName>,
    /// Places before the cut at which the times go back.
    pub jumps: Vec<TimeJump>,
    /// How many there are in the files that were looked through; at most five are kept.
    pub jump_count: u64,
    /// The first file that was looked through for them, where that is not the window's first.
    pub jumps_from: Option<BinlogName>,
}

/// A place at which the times of transactions go back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeJump {
    /// The transaction whose time is earlier than that of one before it.
    pub at: BinlogPosition,
    /// Its GTID, where the log has one.
    pub gtid: Option<String>,
    /// The newest time before it.
    pub from: LogTime,
    /// Its own time.
    pub to: LogTime,
}

/// One transaction, as plans and reports show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFact {
    /// The file.
    pub file: BinlogName,
    /// Where it starts.
    pub start: u64,
    /// The offset after it.
    pub end: u64,
    /// Its GTID, where the log has one.
    pub gtid: Option<String>,
    /// Its time by the documented definition.
    pub time: LogTime,
    /// Whether that is the commit time; otherwise it is a lower bound.
    pub committed_at: bool,
    /// The time that it has by itself, where it is not `time`: in a log without commit times its newest stamp, which may
    /// lie before that of an earlier transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_stamp: Option<LogTime>,
    /// When the server that wrote this log committed it, where another had committed it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_here: Option<LogTime>,
    /// The tables that it changed, as `database.table`.
    pub tables: Vec<String>,
    /// Its first statement, where the log has the text.
    pub statement: Option<String>,
}

/// What the store holds of a backup, read when its chain is chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredBackup {
    /// Which trees stand there, with their bytes where `files.json` says.
    pub trees: BTreeMap<TreeName, Option<u64>>,
    /// XtraBackup's `prepared-final` is known to be made from `raw` by one prepare.
    #[serde(default)]
    pub final_from_raw: bool,
    /// Digest of `files.json`, where the store records one.
    pub list_digest: Option<Digest>,
    /// Paths in it that lead out of a data directory.
    pub outside_paths: Vec<String>,
    /// Tables that had lost their tablespace on the server already, as `database.table`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// What stood on the server when it was backed up.
    #[serde(default, skip_serializing_if = "Standing::is_empty")]
    pub standing: Standing,
    /// Settings that a server needs to start on it, from the tool's own `backup-my.cnf`.
    pub settings: BTreeMap<String, String>,
    /// Copies of the server's option files that were kept with it.
    #[serde(default)]
    pub server_files: Vec<StoreKey>,
    /// The server's variables as they were at the time of the backup.
    pub variables: BTreeMap<String, String>,
    /// What of it is lost or damaged, in words, and done without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spoilt: Vec<String>,
}

/// What was found at a backup's coordinates in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFact {
    /// The backup.
    pub backup: Stamp,
    /// The coordinates.
    pub coordinates: BinlogCoordinates,
    /// Whether no transaction is open there.
    pub boundary: bool,
    /// Transactions of the file before the coordinates.
    pub transactions_before: u64,
    /// Transactions of the file in all.
    pub transactions: u64,
}

impl Facts {
    /// Facts about nothing but the machine.
    pub fn of_host(host: HostFacts) -> Self {
        Facts {
            host,
            tools: Vec::new(),
            server: None,
            paths: BTreeMap::new(),
            filesystems: BTreeMap::new(),
            sizes: BTreeMap::new(),
            leftovers: Vec::new(),
            source: None,
            cuts: Vec::new(),
            edges: Vec::new(),
            stored: BTreeMap::new(),
            indexes: BTreeMap::new(),
            data_born: None,
            owner: None,
            clone: None,
            non_transactional: None,
            dump: None,
            prepared: None,
            install_db: None,
            starts: Vec::new(),
            crossings: Vec::new(),
            journal: None,
            past: None,
            prison: None,
            outside: Vec::new(),
            demands: Vec::new(),
            untold: UntoldOfWindow::default(),
            restored: None,
            broken: Vec::new(),
            outside_files: Vec::new(),
            standing: Standing::default(),
            system_tables: None,
            closed: Vec::new(),
            closed_binlogs: None,
        }
    }

    /// The program for a role.
    pub fn tool(&self, role: ToolRole) -> Option<&ToolFact> {
        self.tools.iter().find(|tool| tool.role == role)
    }
}

impl From<&FileHead> for HeadFact {
    fn from(head: &FileHead) -> Self {
        HeadFact {
            digest: head.digest.parse().unwrap_or_else(|_| Digest::of(head.digest.as_bytes())),
            first_event_time: LogTime::from_seconds(head.first_event_time),
            server_id: head.server_id,
            server_version: head.server_version.clone(),
            family: match head.flavor {
                LogFlavor::Mysql => Family::Mysql,
                LogFlavor::Mariadb => Family::Mariadb,
            },
            gtids_before: head.previous_gtids.as_ref().map(ToString::to_string),
            begun_by_start: Some(head.created != 0),
        }
    }
}
