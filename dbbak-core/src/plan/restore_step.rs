//! What the steps of a restore behind the copies are made of: the window, its replay, and what follows it.

use super::{Batch, untold::Told};
use crate::{
    model::{BinlogCoordinates, BinlogName, BinlogPosition, Gtid, SourceAddress},
    store::{BinlogEntry, StoreKey},
    tools::{Applier, CheckWay, Client, CommandSpec, Family, HeldChannel, Launch, ReplayReader, Standing},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};
use uuid::Uuid;

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
    /// How the files are divided: the first batch is unpacked by this step, each other one while the one before it is
    /// applied. None: this step unpacks all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<Batch>,
    /// The place up to which a dead replay had applied the window, which this restore goes on behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_until: Option<BinlogPosition>,
    /// Whether what applies the window leaves the directories aside that a statement names for a table. Otherwise such a
    /// statement is refused: the table would be made in the source's own directory.
    #[serde(default)]
    pub leaves_directories_aside: bool,
    /// What the plan tells of that which no log tells.
    #[serde(default)]
    pub told: Told,
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

    /// How many files each batch has; never empty.
    pub fn batch_sizes(&self) -> Vec<usize> {
        match self.batches.as_slice() {
            [] => vec![self.files.len()],
            batches => batches.iter().map(|batch| batch.files).collect(),
        }
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
    /// The plugins that the source had from libraries: name and library. What of them is permitted, the server loads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub source_plugins: BTreeMap<String, String>,
    /// What a dead run had applied of it, where this one goes on behind that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub going_on: Option<GoingOn>,
}

/// What a dead run had applied of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoingOn {
    /// The last transaction that the private server logged; none: it had logged none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Gtid>,
    /// Where that ends, in the copy that is applied.
    pub at: BinlogPosition,
    /// How many transactions of the window it had applied, where the index tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
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
    /// The directory under which the list names them: the one that they are put into, or `.` for the data directory. Never
    /// the source's, whose own files a server would then read and purge. A server takes a relative name in its list from its
    /// data directory (seen on both vendors).
    pub listed_in: PathBuf,
}

/// What makes a restored data directory ready to be taken into use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MakeReady {
    /// The directory that a server starts on.
    pub datadir: PathBuf,
    /// The restore, whose mark is left there; none in plans of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Uuid>,
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
    /// Where a replica stood in its source's binlogs when the backup ended, where the backup recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<BinlogCoordinates>,
    /// The channels that the source replicated on, where no server was asked for those of the data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<HeldChannel>,
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
    /// Tables that had lost their tablespace on the source already, as `database.table`: what is said of them is told, and no damage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<String>,
    /// What stood on the source when it was backed up.
    #[serde(default, skip_serializing_if = "Standing::is_empty")]
    pub standing: Standing,
}

/// A replay by the private server's own applier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Relay {
    /// The applier's directory, private to the run and removed after it.
    pub dir: PathBuf,
    /// The directory of the unpacked binlogs.
    pub binlogs: PathBuf,
    /// The files in log order.
    pub files: Vec<BinlogName>,
    /// Where the last file is cut off before anything is applied; none: it ends where it ends.
    pub stop: Option<u64>,
    /// How the applier is steered.
    pub applier: Applier,
    /// The list of the files, for whoever reads them.
    pub index: PathBuf,
    /// What serves the files to a MariaDB server's applier. MySQL's takes them as its relay logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feeder: Option<Feeder>,
    /// The client that steers the applier.
    pub client: Client,
    /// Reads single transactions which the applier would not apply as they are written (definitions of events, which it
    /// would disable): those go through the pipe. Their places are known when the archive was read.
    pub reader: ReplayReader,
    /// The GTID position of the backup (MariaDB), or its GTID set (MySQL).
    pub base_gtid: Option<String>,
    /// The private server's id. Its applier skips, without a word, events that have it.
    pub server_id: u32,
}

/// A second private server, which serves binlogs to the first one's applier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feeder {
    /// The server, but for its port: a free one is chosen when it starts.
    pub launch: Launch,
    /// The directory of its own tables.
    pub datadir: PathBuf,
    /// The file of statements that makes the account; it holds a password made up for this run, and is removed at once.
    pub init_file: PathBuf,
    /// The option file for the client, with the same password and the port.
    pub client_file: PathBuf,
    /// The account's name.
    pub account: String,
    /// Asks the server under which account the client is in.
    pub ping: CommandSpec,
}

/// The private server of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrivateServer {
    /// The server.
    pub launch: Launch,
    /// The data that it is started on.
    pub datadir: PathBuf,
    /// The directory that it listens in, mode 0700, made for the run and removed after it.
    pub run_dir: PathBuf,
    /// The socket.
    pub socket: PathBuf,
    /// The file of statements that makes the account; it holds a password made up for this run, and is removed at once.
    pub init_file: PathBuf,
    /// The option file for the client, with the same password.
    pub client_file: PathBuf,
    /// The account's name.
    pub account: String,
    /// Whether the account has all rights, since what a client gives it may grant any of them; otherwise it has no FILE.
    #[serde(default)]
    pub all_rights: bool,
    /// Where the server logs what it applies.
    pub log_dir: PathBuf,
    /// The first of those logs' names.
    pub log_name: BinlogName,
    /// Asks whether the server answers.
    pub ping: CommandSpec,
    /// Drops the account and shuts the server down.
    pub statements: CommandSpec,
    /// Seconds that it may take to start.
    pub start_timeout_seconds: u64,
    /// What lies in its data directory while it runs, and tells it where its keys are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keyring: Vec<KeyringFile>,
    /// What is its user's while it runs, where that is not dbbak's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custody: Option<Custody>,
}

/// What belongs to a private server's user while the server runs, and comes back when it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Custody {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The directory that it all lies in. It stays dbbak's; its group is the user's, so that the server can pass it.
    pub dir: PathBuf,
    /// What the server reads and writes, with all that lies in it; what is not there is passed over.
    pub trees: Vec<PathBuf>,
}

/// A file that tells a server where its keys are. It holds none, but may hold what unlocks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyringFile {
    /// The file.
    pub from: PathBuf,
    /// Where the server finds it.
    pub to: PathBuf,
    /// The directory for a copy of the keyring that the file names: a server that makes a key writes the whole keyring anew, and would take from a
    /// running server the keys that it has made since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<PathBuf>,
    /// The server may make no keys: nobody would find them again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}
