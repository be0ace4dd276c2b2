//! The closed vocabulary of steps that plans are made of.

pub use super::restore_step::{
    BinlogCopy, CatchUp, Channel, Custody, Examination, Examine, Feeder, GoingOn, KeyringFile, MakeReady, Ownership,
    PlaceBinlogs, PrivateServer, Relay, Replay, UnpackBinlogs,
};
use crate::{
    model::{BackupId, BinlogName, TreeName},
    store::{BackedUpServer, BinlogEntry, Codec, Digest, KeyPart, StoreKey},
    tools::{Client, CommandSpec, DumpFinding, Expected, Launch, Standing},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// One step. Every path, argument, position and order stands in it; carrying it out decides nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Creates a directory in the store for a tool to write into. It must not exist.
    CreateStoreDir {
        /// The directory.
        key: StoreKey,
    },
    /// Creates a directory, and the parents that it lacks. It may exist if it is empty.
    CreateDir {
        /// The directory.
        path: PathBuf,
    },
    /// Gives a directory of the run's own to the user that another server runs as, which is to write into it. Needs root.
    GiveDir {
        /// The directory.
        path: PathBuf,
        /// The user.
        uid: u32,
    },
    /// Goes through a tree once: hashes, compares, copies and syncs, as asked.
    PassTree(PassTree),
    /// Goes through a copy that a dead run left: what has not its recorded digest is copied again, what was never recorded
    /// is removed.
    MendTree(PassTree),
    /// Runs a tool and judges whether it succeeded.
    RunTool(Box<RunTool>),
    /// Reads what the backup tool left (LSNs, coordinates) and checks that the coordinates are a transaction boundary.
    ReadBackup(ReadBackup),
    /// Ends clones that dead runs have left at work: the server does not notice that its client died.
    EndClones(Box<EndClones>),
    /// Has the server write a copy of its data.
    TakeClone(Box<TakeClone>),
    /// Starts a private server on the copy, which finds out where it stands, and shuts it down again.
    OpenClone(Box<OpenClone>),
    /// Has the dump program print all databases, and stores what it prints.
    TakeDump(Box<TakeDump>),
    /// Makes an empty data directory.
    InitDatadir(Box<InitDatadir>),
    /// Loads a dump into it through a private server.
    LoadDump(Box<LoadDump>),
    /// Renames a tree, inside one file system.
    MoveTree {
        /// The tree.
        from: PathBuf,
        /// Its new path, which must not exist.
        to: PathBuf,
    },
    /// Removes a tree of dbbak's own.
    RemoveTree {
        /// The tree.
        path: PathBuf,
    },
    /// Removes from restored data what leads a server to its source: its identity, the state of its replication, what the
    /// backup tool wrote down. Lists of logs name those of the data directory alone then.
    CutTies {
        /// The data directory.
        datadir: PathBuf,
        /// MySQL: what was kept of the settings that the source had persisted; they come back, but for those that name paths.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        persisted: Option<StoreKey>,
    },
    /// Keeps a copy of the server's settings with the backup, secrets masked.
    KeepServerFiles {
        /// The server's variables, by name.
        variables: std::collections::BTreeMap<String, String>,
        /// Tables that have lost their tablespace on the server, as `database.table`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        broken: Vec<String>,
        /// What stood on the server before the backup was taken.
        #[serde(default, skip_serializing_if = "Standing::is_empty")]
        standing: Standing,
        /// Option files to copy.
        files: Vec<PathBuf>,
        /// MySQL: the settings that it has persisted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        persisted: Option<PersistedSettings>,
        /// Where they go.
        to: StoreKey,
    },
    /// Enters the backup into the store: files, meta, manifest last.
    RecordBackup(RecordBackup),
    /// Enters the trees that were made of a recorded backup beside what it has.
    RecordTrees(RecordTrees),
    /// Enters that a backup can be applied after all: the steps before it have.
    TakeMarkOff(TakeMarkOff),
    /// Has the server begin a new binlog, so that everything up to now lies in closed files.
    FlushBinlogs {
        /// The command.
        launch: Launch,
    },
    /// Has the server send one closed binlog into a directory of the run's own.
    FetchBinlog(Box<FetchBinlog>),
    /// Archives one binlog and enters it into the index.
    ShipBinlog(Box<ShipBinlog>),
    /// Enters into the index of binlogs which timelines they belong to.
    NameTimelines {
        /// Stored names, and the timeline of each.
        names: BTreeMap<KeyPart, String>,
    },
    /// Makes the transaction index of an archived binlog, and completes its entry.
    IndexBinlog(Box<IndexBinlog>),
    /// Takes binlogs out of the archive while verifying them.
    UnpackBinlogs(UnpackBinlogs),
    /// Replays binlogs on a private server and proves where they ended.
    Replay(Box<Replay>),
    /// Starts a private server on a backup that is restored as it is, examines it and shuts it down again.
    Examine(Box<Examine>),
    /// Has a private server follow living sources, examines it and shuts it down.
    CatchUp(Box<CatchUp>),
    /// Makes a restored data directory ready to be taken into use.
    MakeReady(Box<MakeReady>),
    /// Writes the report of a restore.
    WriteReport {
        /// The file.
        path: PathBuf,
        /// What is known before the run.
        report: Box<super::RestoreReport>,
    },
    /// Removes what nothing names from the store.
    RemoveStored {
        /// What is removed.
        keys: Vec<StoreKey>,
    },
}

impl Step {
    /// The private server that the step starts on a copy.
    pub fn private_server(&self) -> Option<&PrivateServer> {
        match self {
            Step::Replay(step) => Some(&step.server),
            Step::Examine(step) => Some(&step.server),
            Step::CatchUp(step) => Some(&step.server),
            Step::LoadDump(step) => Some(&step.server),
            Step::OpenClone(step) => Some(&step.server),
            Step::TakeClone(step) => step.remote.as_ref().map(|remote| &remote.server),
            _ => None,
        }
    }
}

/// A pass over a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassTree {
    /// What it is for, as a person would say it.
    pub title: String,
    /// The tree that is read.
    pub from: PathBuf,
    /// Where the copy goes; none: the tree is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PathBuf>,
    /// The backup and tree whose recorded digests every file must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<StoredTree>,
    /// The name under which the listing is kept for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_as: Option<TreeName>,
    /// What is on disk when the step ends.
    pub sync: SyncSide,
    /// Files worked on at the same time.
    pub threads: u32,
    /// How many bytes the tree holds, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What is to be on disk when a pass ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncSide {
    /// Nothing: the copy is a private one, which a power failure may take.
    Nothing,
    /// The tree that is read: another program wrote it, and nobody synced it yet.
    Source,
    /// The copy.
    Copy,
}

/// The settings that a MySQL server keeps in a file of its data directory, which no backup tool copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistedSettings {
    /// The data directory, as the server names it.
    pub datadir: PathBuf,
    /// The server's uuid: the directory is its own where `auto.cnf` says the same.
    pub uuid: Option<String>,
    /// The names of the settings.
    pub names: Vec<String>,
}

/// A tree of a backup in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTree {
    /// The backup's directory name.
    pub backup: String,
    /// Which of its trees.
    pub tree: TreeName,
    /// Digest of the list that holds the digests, where the store records one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_digest: Option<Digest>,
}

/// A run of the backup tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunTool {
    /// What it is for, as a person would say it.
    pub title: String,
    /// The command.
    pub launch: Launch,
    /// The directory that the tool works on.
    pub dir: PathBuf,
    /// What the run must leave to count as a success.
    pub expect: Expected,
    /// The incremental that a prepare applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies: Option<crate::model::Stamp>,
    /// Which tablespaces the server has, or had when the backup ended whose redo a prepare applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablespaces: Option<KnownTablespaces>,
    /// About how many bytes it writes into its directory, where that is known: progress is told by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// A prepare: the option files that it obeys, which are written anew before it is started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<OptionFiles>,
    /// A backup: how often it is taken anew, at most, where a statement that ran beside it made the tool fail.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub again: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The option files of a prepare (`backup-my.cnf`). They come from the store, so that the tool is given the settings of the
/// files' format alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionFiles {
    /// The directories that hold one: private copies.
    pub dirs: Vec<PathBuf>,
    /// Settings beside those of the format, which say where keys are: as the configuration or the server has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, String>,
}

/// How it is known which tablespaces a server has or had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownTablespaces {
    /// It is asked before the tool is started.
    Ask(Launch),
    /// It was asked in this run, after the tool had ended.
    Asked,
    /// It was asked when the backup was taken, and this was stored. Backups from before that was done have no such file.
    Stored(StoreKey),
}

/// Reading what the tool left of a new backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadBackup {
    /// The tree that the tool wrote.
    pub dir: PathBuf,
    /// The directory of the server's binlogs, where this machine can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_dir: Option<PathBuf>,
    /// The LSN that the backup must begin at (an incremental's parent's end).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_lsn: Option<crate::model::Lsn>,
    /// Whether the server keeps a binlog at all.
    pub binlog_enabled: bool,
    /// The server's data directory, where its tables' files are to be compared with the backup's (MariaDB).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datadir: Option<PathBuf>,
    /// InnoDB's tables without files of their own, as files would be named; none where the server did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_tables: Option<Vec<String>>,
    /// Asks the server which tablespaces it has. Those that it had before the tool was started too must be in the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tablespaces: Option<Launch>,
}

/// Ending clones that nobody waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndClones {
    /// Asks the server what its sessions do.
    pub sessions: CommandSpec,
    /// Ends a session.
    pub client: Client,
    /// Clones into this directory, or into one below it, are meant, and no others.
    pub below: PathBuf,
    /// What the client says goes here.
    pub log: PathBuf,
}

/// A copy that the server writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakeClone {
    /// The directory that the server makes.
    pub dir: PathBuf,
    /// The client that asks for it.
    pub launch: Launch,
    /// Asks where the server writes its binlog, before and after; none: it writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CommandSpec>,
    /// The directory of the server's binlogs, where this machine can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_dir: Option<PathBuf>,
    /// Ends the clone where the client was ended.
    pub end: EndClones,
    /// Asks how far it is.
    pub progress: CommandSpec,
    /// A server on another machine is cloned: a private server here fetches the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Box<RemoteClone>>,
}

/// A clone that a private server fetches from another machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteClone {
    /// The private server, on an empty data directory of its own.
    pub server: PrivateServer,
    /// The server that is cloned.
    pub donor: crate::model::Donor,
    /// The option file with the account for it: what it says is given to the client's standard input alone.
    pub option_file: PathBuf,
}

/// The first start of a server on a clone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenClone {
    /// The private server, on the copy.
    pub server: PrivateServer,
    /// Asks it where the copy stands.
    pub status: CommandSpec,
    /// Asks it for tables whose rows the copy does not hold.
    pub uncloned: CommandSpec,
    /// Asks it for its LSN.
    pub lsn: CommandSpec,
    /// The directory of the source's binlogs, where this machine can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_dir: Option<PathBuf>,
    /// Whether the source keeps a binlog at all.
    pub binlog_enabled: bool,
}

/// A dump of all databases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TakeDump {
    /// Where it is stored.
    pub file: PathBuf,
    /// How it is coded.
    pub codec: Codec,
    /// Threads that compress.
    pub threads: u32,
    /// The program.
    pub launch: Launch,
    /// Asks where the server writes its binlog, before and after; none: it writes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CommandSpec>,
    /// The directory of the server's binlogs, where this machine can read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binlog_dir: Option<PathBuf>,
    /// Whether the server keeps a binlog at all.
    pub binlog_enabled: bool,
    /// Tables without transactions that are dumped all the same, with their engines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<String>,
    /// `FLOAT` columns that are dumped all the same, rounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rounded: Vec<String>,
    /// Statements that stand before the dump's own: they make what it names and does not make.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prelude: String,
    /// Asks for what a dump cannot hold as it is, right before it; other findings than these end the run.
    pub findings: (CommandSpec, Vec<DumpFinding>),
    /// Whether all tables are locked for the whole dump.
    pub locked: bool,
    /// Asks for XA transactions that stand prepared, before and after.
    pub prepared: CommandSpec,
}

/// The making of a data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitDatadir {
    /// The directory.
    pub datadir: PathBuf,
    /// The program.
    pub launch: Launch,
    /// What is its user's while it works, where that is not dbbak's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<Custody>,
}

/// The loading of a dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadDump {
    /// The private server.
    pub server: PrivateServer,
    /// The tree in the store that holds the dump.
    pub dir: PathBuf,
    /// The client that takes it.
    pub client: Launch,
    /// What the client is given behind the dump: it drops the account and shuts the server down.
    pub farewell: String,
    /// How many bytes lie in the store, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What is known of a new backup before it is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordBackup {
    /// The backup.
    pub id: String,
    /// The backup that it was taken on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<crate::model::Stamp>,
    /// The engine.
    pub engine: String,
    /// The tool's version.
    pub tool_version: String,
    /// The server that was backed up.
    pub server: BackedUpServer,
    /// The tool's command line, secrets masked.
    pub command: String,
    /// The trees that were kept.
    pub trees: Vec<TreeName>,
    /// The tree that XtraBackup's `prepared-final` was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_from: Option<TreeName>,
}

impl RecordBackup {
    /// The backup's identity; `None` for a plan that somebody edited.
    pub fn backup_id(&self) -> Option<BackupId> {
        self.id.parse().ok()
    }
}

/// What is added to a recorded backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordTrees {
    /// The backup.
    pub id: String,
    /// All trees that it has then.
    pub trees: Vec<TreeName>,
    /// The tree that XtraBackup's `prepared-final` was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_from: Option<TreeName>,
}

/// The fetching of one binlog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FetchBinlog {
    /// The file.
    pub name: BinlogName,
    /// The command.
    pub launch: Launch,
    /// Where the copy lies afterwards.
    pub path: PathBuf,
    /// Bytes that the server lists: all of them, or at least so many where the file is still open.
    pub size: u64,
    /// Whether the server still wrote it when it was looked at.
    pub open: bool,
}

/// The archiving of one binlog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShipBinlog {
    /// The file.
    pub from: PathBuf,
    /// Where it is stored.
    pub to: StoreKey,
    /// Where its transaction index is stored.
    pub index_to: StoreKey,
    /// How many bytes of it are archived: the last open one of a dead server is cut. None: all.
    pub bytes: Option<u64>,
    /// How it is coded.
    pub codec: Codec,
    /// Threads that compress.
    pub threads: u32,
    /// Digest of the file's head as it was surveyed: another file under this name is another history.
    pub head: Option<Digest>,
    /// Whether the server still wrote it when it was looked at.
    #[serde(default)]
    pub open: bool,
    /// Whether the file is a dead server's last one, to be kept up to its last whole transaction.
    pub partial: bool,
    /// The index entry as far as it is known.
    pub entry: BinlogEntry,
}

/// The indexing of an archived binlog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexBinlog {
    /// The archived file.
    pub from: StoreKey,
    /// Where its transaction index is stored.
    pub to: StoreKey,
    /// Whether the index is made anew; otherwise the one that is there is good, and the entry alone is completed.
    pub rewrite: bool,
    /// The index entry as it is.
    pub entry: BinlogEntry,
}

/// The mark that a backup cannot be applied, as it is taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeMarkOff {
    /// The backup.
    pub backup: String,
    /// What the mark says. Another one stays.
    pub said: String,
    /// Why it is taken off.
    pub because: String,
    /// Who asked for it.
    pub by: String,
    /// What they say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
