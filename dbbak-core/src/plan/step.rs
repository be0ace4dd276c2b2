//! The closed vocabulary of steps that plans are made of.

mod servers;

use crate::{
    model::{BackupId, BinlogName, BinlogPosition, Gtid, SourceAddress, TreeName},
    store::{BackedUpServer, BinlogEntry, Codec, Digest, KeyPart, StoreKey},
    tools::{CheckWay, Client, CommandSpec, Expected, Family, Launch},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

pub use servers::{Feeder, PrivateServer, Relay};

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
    /// Keeps a copy of the server's settings with the backup, secrets masked.
    KeepServerFiles {
        /// The server's variables, by name.
        variables: std::collections::BTreeMap<String, String>,
        /// Option files to copy.
        files: Vec<PathBuf>,
        /// Where they go.
        to: StoreKey,
    },
    /// Enters the backup into the store: files, meta, manifest last.
    RecordBackup(RecordBackup),
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
    /// The private server.
    pub server: PrivateServer,
    /// The copy.
    pub datadir: PathBuf,
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
    /// Whether all tables are locked for the whole dump.
    pub locked: bool,
}

/// The making of a data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InitDatadir {
    /// The directory.
    pub datadir: PathBuf,
    /// The program.
    pub launch: Launch,
}

/// The loading of a dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadDump {
    /// The private server.
    pub server: PrivateServer,
    /// The data directory that it works on.
    pub datadir: PathBuf,
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
}

impl RecordBackup {
    /// The backup's identity; `None` for a plan that somebody edited.
    pub fn backup_id(&self) -> Option<BackupId> {
        self.id.parse().ok()
    }
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

/// Taking binlogs out of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnpackBinlogs {
    /// The directory that they are unpacked into.
    pub dir: PathBuf,
    /// The files in log order.
    pub files: Vec<BinlogEntry>,
    /// Where the window starts, in the first file.
    pub start: u64,
    /// Where the window ends, in the last file; none: at its end.
    pub stop: Option<u64>,
    /// How many transactions the window holds, as far as the index says.
    pub transactions: Option<u64>,
    /// Where the list of the window's transactions is kept for the proof.
    pub expected_list: PathBuf,
    /// Transactions that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<Gtid>,
    /// Where the window is of two servers' binlogs: how each of the files is copied, in the same order. Otherwise each is
    /// copied as it is, under its own name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<BinlogCopy>,
}

/// How a binlog is copied into a window of two servers' binlogs, so that all copies can be read as one log: under a name of a
/// common numbering, with nothing behind its last transaction, and with what is not wanted at its start blanked out. Every
/// event that is left keeps its offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinlogCopy {
    /// The copy's name.
    pub name: BinlogName,
    /// The place at which the file is entered: events between its head and here are blanked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enter: Option<u64>,
    /// The place at which the file is left: it is cut off there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave: Option<u64>,
    /// Whether it is cut off behind its last transaction, since another copy follows: the name of the next file, which it ends
    /// with, is not that of the next copy.
    pub trim: bool,
}

impl UnpackBinlogs {
    /// The name of each file's copy, in order.
    pub fn names(&self) -> Vec<BinlogName> {
        match self.copies.as_slice() {
            [] => self.files.iter().map(|file| file.name.clone()).collect(),
            copies => copies.iter().map(|copy| copy.name.clone()).collect(),
        }
    }

    /// The part of a file that belongs to the window, from and to.
    pub fn span_of(&self, place: usize) -> (u64, u64) {
        let copy = self.copies.get(place);
        let start = if place == 0 { self.start } else { copy.and_then(|copy| copy.enter).unwrap_or(0) };
        let last = place + 1 == self.files.len();
        let stop = copy.and_then(|copy| copy.leave).or(self.stop.filter(|_| last));
        (start, stop.unwrap_or(u64::MAX))
    }
}

/// A replay on a private server: through a pipe of reader and client, or by the server's own applier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The private server.
    pub server: PrivateServer,
    /// What reads the binlogs.
    pub reader: Launch,
    /// What applies them.
    pub client: Launch,
    /// The server's own applier, where it replays the window instead of reader and client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Box<Relay>>,
    /// The first transaction boundary of the window.
    pub from: BinlogPosition,
    /// The boundary at which the window ends.
    pub cut: BinlogPosition,
    /// Bytes of binlog to go through.
    pub bytes: u64,
    /// What the server is asked before it is shut down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examination: Option<Examination>,
}

/// A private server on a backup that is restored as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examine {
    /// The private server.
    pub server: PrivateServer,
    /// What it is asked.
    pub examination: Examination,
}

/// A private server that follows living sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatchUp {
    /// The private server.
    pub server: PrivateServer,
    /// The channels, one a source.
    pub channels: Vec<Channel>,
    /// The option file with the account for the sources. It is read when the step begins; what it says is told to the
    /// private server on its client's standard input.
    pub login: PathBuf,
    /// How far behind the sources the server may be when it stops, in seconds.
    pub max_lag_seconds: u32,
    /// The directory of the relay logs, private to the run and removed after it.
    pub dir: PathBuf,
    /// What the server is asked at the end.
    pub examination: Examination,
}

/// A channel from one living source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name on the private server.
    pub name: String,
    /// The source.
    pub source: SourceAddress,
    /// Asks the source which GTIDs it has.
    pub ask: CommandSpec,
}

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

/// What a private server is asked before it is shut down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examination {
    /// The client that asks.
    pub client: Client,
    /// The server's family.
    pub family: Family,
    /// How thoroughly its tables are checked.
    pub check: CheckWay,
    /// The GTIDs of the backup, as it recorded them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_gtid: Option<String>,
}
