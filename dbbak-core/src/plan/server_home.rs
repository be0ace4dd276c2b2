//! Where a private server lives, and how it is put together: the one way for restores, loads of dumps and clones.

use super::{
    PlanError,
    prisoner::imprisoned,
    step::{Custody, KeyringFile, PrivateServer},
};
use crate::{
    config::Config,
    halfway::REPLAY_BASE,
    tools::{Client, CommandSpec, Launch, Login, Query, RunAs},
};
use std::path::{Path, PathBuf};

/// The places of a private server.
#[derive(Debug, Clone)]
pub(super) struct ServerHome {
    /// The data that it is started on.
    pub(super) datadir: PathBuf,
    /// The directory that it listens in.
    pub(super) run_dir: PathBuf,
    /// Where its output goes.
    pub(super) log: PathBuf,
    /// Where it logs what it applies.
    pub(super) log_dir: PathBuf,
}

/// What one private server does, beside where it lives.
#[derive(Debug)]
pub(super) struct Served<'a> {
    /// The server's command.
    pub(super) command: CommandSpec,
    /// Its client.
    pub(super) client: &'a Client,
    /// The account that its init file makes.
    pub(super) account: String,
    /// Whether that account has all rights.
    pub(super) all_rights: bool,
    /// What drops the account and shuts the server down.
    pub(super) farewell: String,
    /// What tells it where its keys are.
    pub(super) keyring: Vec<KeyringFile>,
    /// What belongs to its user while it runs.
    pub(super) custody: Option<Custody>,
}

impl ServerHome {
    /// The socket.
    pub(super) fn socket(&self) -> PathBuf {
        self.run_dir.join("s")
    }

    /// The file with the server's number.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.run_dir.join("pid")
    }

    /// The file of statements that makes the account.
    pub(super) fn init_file(&self) -> PathBuf {
        self.run_dir.join("init.sql")
    }

    /// The client's option file.
    pub(super) fn client_file(&self) -> PathBuf {
        self.run_dir.join("client.cnf")
    }

    /// The client of the server that lives here. The socket stands on its command line too: an option file that the client
    /// ignores (for its mode, say) must not lead it to the production server.
    pub(super) fn client(&self, program: &Path, prisoner: Option<&RunAs>) -> Client {
        Client {
            program: program.to_owned(),
            login: Login::OptionFile(self.client_file()),
            socket: Some(self.socket()),
            run_as: prisoner.cloned(),
        }
    }

    /// The server that lives here; the same user runs it and its client.
    pub(super) fn server(&self, config: &Config, served: Served<'_>) -> Result<PrivateServer, PlanError> {
        let Served { command, client, account, all_rights, farewell, keyring, custody } = served;
        let log_name = format!("{REPLAY_BASE}.000001");
        let server = PrivateServer {
            launch: Launch { command, log: self.log.clone() },
            datadir: self.datadir.clone(),
            ping: client.query(Query::Ping)?.spec().clone(),
            statements: client.statements(farewell)?,
            run_dir: self.run_dir.clone(),
            socket: self.socket(),
            init_file: self.init_file(),
            client_file: self.client_file(),
            account,
            all_rights,
            log_dir: self.log_dir.clone(),
            log_name: log_name.parse().map_err(|_| PlanError::StoreUnusable { reason: "log name".into() })?,
            start_timeout_seconds: config.server.start_timeout_seconds,
            keyring,
            custody: None,
        };
        Ok(imprisoned(server, client.run_as.as_ref(), custody))
    }
}
