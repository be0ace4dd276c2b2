//! The servers that steps start: the private one, and what feeds its applier.

use crate::{
    model::BinlogName,
    tools::{Applier, Client, CommandSpec, Launch, ReplayReader},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
}
