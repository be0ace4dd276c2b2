//! A private MariaDB server: its own data directory, its own socket, nothing on the network.

use crate::{DuctExecutor, SystemProbe};
use dbbak_core::{
    execute::{ExecError, Executor, Process},
    probe::Probe,
    tools::{Client, CommandError as ToolError, CommandSpec, Family, Launch, Login, ToolRole, names_for},
};
use std::{
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What can go wrong in the demonstration outside of dbbak itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemoError {
    #[error("no {0} on PATH; `./dev demo` installs what is missing")]
    Missing(&'static str),
    #[error("{action}: {source}")]
    Io { action: String, source: io::Error },
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("{what} failed: {output}")]
    Failed { what: &'static str, output: String },
    #[error(transparent)]
    Run(#[from] dbbak_core::run::RunError),
    #[error("interrupted")]
    Interrupted,
}

/// The programs of the demonstration.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) client: PathBuf,
    install: PathBuf,
    pub(super) executor: DuctExecutor,
}

impl Programs {
    /// Finds them on PATH.
    pub(super) fn find() -> Result<Self, DemoError> {
        let probe = SystemProbe;
        let find = |names: &[&str], what| probe.find_program(names).ok_or(DemoError::Missing(what));
        find(names_for(ToolRole::Backup, Family::Mariadb), "mariadb-backup")?;
        find(names_for(ToolRole::BinlogReader, Family::Mariadb), "mariadb-binlog")?;
        Ok(Programs {
            server: find(names_for(ToolRole::Server, Family::Mariadb), "mariadbd")?,
            client: find(names_for(ToolRole::Client, Family::Mariadb), "mariadb")?,
            install: find(&["mariadb-install-db", "mysql_install_db"], "mariadb-install-db")?,
            executor: DuctExecutor::new(probe.find_program(&["setpriv"])),
        })
    }

    /// Runs a command to its end and returns what it printed.
    pub(super) fn run(&self, what: &'static str, command: CommandSpec, log: &Path) -> Result<String, DemoError> {
        let mut process = self.executor.spawn(&[Launch { command, log: log.to_owned() }])?;
        let mut output = String::new();
        if let Some(mut stdout) = process.take_stdout() {
            let _ = stdout.read_to_string(&mut output);
        }
        match process.wait(None)? {
            Some(exits) if exits.iter().all(|exit| exit.status.success()) => Ok(output),
            _ => {
                let log = std::fs::read_to_string(log).unwrap_or_default();
                // Some of the vendor's scripts complain on standard output.
                let lines: Vec<&str> = log.lines().rev().chain(output.lines().rev()).take(8).collect();
                Err(DemoError::Failed { what, output: lines.into_iter().rev().collect::<Vec<_>>().join(" / ") })
            }
        }
    }
}

/// A running private server. Dropping it ends it.
#[derive(Debug)]
pub(super) struct DemoServer<'a> {
    programs: &'a Programs,
    process: Box<dyn Process>,
    pub(super) dir: PathBuf,
    pub(super) option_file: PathBuf,
}

impl<'a> DemoServer<'a> {
    /// Makes a data directory and starts a server on it that writes a binlog. The account's password exists in its
    /// option file alone.
    pub(super) fn create(programs: &'a Programs, dir: &Path) -> Result<Self, DemoError> {
        make_private(dir)?;
        let datadir = dir.join("data");
        let install = CommandSpec::new(&programs.install)
            // Without --force it gives up on a machine whose own name cannot be looked up.
            .args(["--no-defaults", "--force", "--skip-test-db", "--auth-root-authentication-method=normal"])
            .path_option("--datadir", &datadir)?;
        let install = if rustix::process::geteuid().is_root() { install.arg("--user=root") } else { install };
        programs.run("mariadb-install-db", install, &dir.join("install.log"))?;
        let server = DemoServer::start(programs, dir, &datadir, true)?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        let account = dir.join("backup.cnf");
        let socket = dir.join("s");
        write_private(&account, &format!("[client]\nuser=backup\npassword={password}\nsocket={}\n", socket.display()))?;
        let sql = format!(
            "SET sql_log_bin=0; CREATE USER backup@localhost IDENTIFIED BY '{password}'; \
             GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO backup@localhost;"
        );
        server.sql(&sql)?;
        Ok(server)
    }

    /// Starts a server on a data directory and waits until it answers.
    pub(super) fn start(programs: &'a Programs, dir: &Path, datadir: &Path, binlog: bool) -> Result<Self, DemoError> {
        make_private(dir)?;
        let mut command = CommandSpec::new(&programs.server)
            .arg("--no-defaults")
            .path_option("--datadir", datadir)?
            .path_option("--socket", &dir.join("s"))?
            .path_option("--pid-file", &dir.join("pid"))?
            .path_option("--tmpdir", dir)?
            .args(["--skip-networking", "--server-id=1", "--innodb-buffer-pool-size=64M"]);
        command = if binlog {
            command.args(["--log-bin=shop-bin", "--sync-binlog=1"])
        } else {
            command.arg("--skip-log-bin")
        };
        if rustix::process::geteuid().is_root() {
            command = command.arg("--user=root");
        }
        let process = programs.executor.spawn(&[Launch { command, log: dir.join("server.log") }])?;
        let option_file = dir.join("root.cnf");
        let socket = dir.join("s");
        write_private(&option_file, &format!("[client]\nuser=root\nsocket={}\n", socket.display()))?;
        let mut server = DemoServer { programs, process, dir: dir.to_owned(), option_file };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&mut self) -> Result<(), DemoError> {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            if self.sql("SELECT 1").is_ok() {
                return Ok(());
            }
            let ended = self.process.wait(Some(Duration::from_millis(100)))?.is_some();
            if ended || Instant::now() > deadline {
                let log = std::fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or("no message").to_owned();
                return Err(DemoError::Failed { what: "starting the private server", output: last });
            }
        }
    }

    /// The client, as root.
    pub(super) fn client(&self) -> Client {
        let login = Login::OptionFile(self.option_file.clone());
        Client { program: self.programs.client.clone(), login, socket: Some(self.dir.join("s")), run_as: None }
    }

    /// Runs statements and returns what the client printed.
    pub(super) fn sql(&self, sql: &str) -> Result<String, DemoError> {
        let command = self.client().statements(sql)?;
        self.programs.run("a statement", command, &self.dir.join("client.log"))
    }

    /// Shuts the server down.
    pub(super) fn stop(mut self) -> Result<(), DemoError> {
        self.process.terminate()?;
        if self.process.wait(Some(Duration::from_secs(60)))?.is_none() {
            self.process.kill()?;
        }
        Ok(())
    }
}

fn make_private(dir: &Path) -> Result<(), DemoError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| DemoError::Io { action: format!("create {}", dir.display()), source })
}

fn write_private(path: &Path, text: &str) -> Result<(), DemoError> {
    let mut options = std::fs::OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    opened
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|source| DemoError::Io { action: format!("write {}", path.display()), source })
}
