//! Runs real throw-away servers of both vendors on private sockets, and leaves no process behind.

mod client;
mod keyring;
mod process;
mod template;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use client::{Rows, Session};
pub use keyring::mysql_with_manifest;
pub use process::{dying_with_parent, spawn};
pub use template::copy_tree;

/// The password of `root@localhost` on every server of the test kit.
pub const ROOT_PASSWORD: &str = "root-of-the-throw-away-server";

/// The account with which dbbak and the backup tool connect.
pub const BACKUP_USER: &str = "dbbak";

/// The planted password of [`BACKUP_USER`]: no output, plan, log, argument or stored file may ever hold it.
pub const BACKUP_PASSWORD: &str = "planted-secret-4f1d9c";

/// How long a server may take to start or to stop on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What went wrong with a throw-away server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A program is not installed.
    #[error("{0} is not installed (./dev setup installs it)")]
    Missing(String),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A tool failed.
    #[error("{what} ended with {status}: {message}")]
    Tool {
        /// The tool.
        what: String,
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// A statement failed, or the session was gone.
    #[error("{message}\nin: {sql}")]
    Sql {
        /// The statements.
        sql: String,
        /// The client's message.
        message: String,
    },
    /// The server did not come up, or did not end.
    #[error("{what}; the end of its error log:\n{log}")]
    Server {
        /// What was expected.
        what: String,
        /// The last lines of the error log.
        log: String,
    },
}

impl ServerError {
    /// Turns an operating-system error into a [`ServerError`] that says what was being done.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}

/// Whose server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Vendor {
    /// MariaDB, as the system has it.
    #[default]
    Mariadb,
    /// Oracle's MySQL, as `./dev setup` unpacks it.
    Mysql,
}

impl Vendor {
    /// The absolute path of one of this vendor's programs.
    pub fn program(self, name: &str) -> Result<PathBuf, ServerError> {
        let found = match self {
            Self::Mariadb => crate::real::find_program(name),
            Self::Mysql => crate::real::find_mysql_program(name),
        };
        found.ok_or_else(|| ServerError::Missing(name.to_owned()))
    }

    /// The vendor's binlog reader.
    pub fn binlog_reader(self) -> Result<PathBuf, ServerError> {
        self.program(match self {
            Self::Mariadb => "mariadb-binlog",
            Self::Mysql => "mysqlbinlog",
        })
    }

    fn server(self) -> Result<PathBuf, ServerError> {
        self.program(match self {
            Self::Mariadb => "mariadbd",
            Self::Mysql => "mysqld",
        })
    }

    fn client(self) -> Result<PathBuf, ServerError> {
        self.program(match self {
            Self::Mariadb => "mariadb",
            Self::Mysql => "mysql",
        })
    }
}

fn program(name: &str) -> Result<PathBuf, ServerError> {
    Vendor::Mariadb.program(name)
}

/// A server refuses to run as root unless it is told so.
fn user_option() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

/// How a throw-away server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose server it is.
    pub vendor: Vendor,
    /// The `server_id`; those of servers that replicate from each other must differ.
    pub server_id: u32,
    /// The base name of the binary logs, or none to run without them.
    pub log_bin: Option<String>,
    /// Whether the binary logs lie in the data directory, as by default, or in a directory of their own.
    pub binlogs_in_datadir: bool,
    /// Further server options, after the test kit's own, so that they win.
    pub extra: Vec<String>,
    /// Environment variables for the server, such as `TZ`.
    pub env: Vec<(String, String)>,
    /// The server program; the vendor's own when absent.
    pub program: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            vendor: Vendor::default(),
            server_id: 1,
            log_bin: Some("mysql-bin".to_owned()),
            binlogs_in_datadir: false,
            extra: Vec::new(),
            env: vec![("TZ".to_owned(), "UTC".to_owned())],
            program: None,
        }
    }
}

impl Options {
    /// A MySQL server with GTIDs.
    #[must_use]
    pub fn mysql() -> Self {
        let options = Self { vendor: Vendor::Mysql, ..Self::default() };
        options.with("--gtid-mode=ON").with("--enforce-gtid-consistency=ON")
    }

    /// Adds a server option, such as `--binlog-format=ROW`.
    #[must_use]
    pub fn with(mut self, option: impl Into<String>) -> Self {
        self.extra.push(option.into());
        self
    }

    /// Sets the server's time zone.
    #[must_use]
    pub fn with_time_zone(mut self, zone: &str) -> Self {
        self.env.retain(|(name, _)| name != "TZ");
        self.env.push(("TZ".to_owned(), zone.to_owned()));
        self
    }
}

/// A table's content in short: equal sums mean equal content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSum {
    /// The checksum over all rows, as `CHECKSUM TABLE ... EXTENDED` gives it.
    pub checksum: String,
    /// The number of rows.
    pub rows: u64,
}

/// The sums of a database's tables, by table name.
pub type Checksums = BTreeMap<String, TableSum>;

/// A throw-away server: it listens on a private socket only, and dies with this value and with the process.
#[derive(Debug)]
pub struct Server {
    options: Options,
    work: PathBuf,
    datadir: PathBuf,
    socket: PathBuf,
    /// The socket's own short directory, where `work` has too long a path for it.
    _sockets: Option<TempDir>,
    child: Option<Child>,
}

/// The server of most tests, which are about MariaDB.
pub type MariadbServer = Server;

impl Server {
    /// Starts a server with a new data directory below `dir`, which may exist but holds no server yet.
    pub fn start(dir: &Path, options: Options) -> Result<Self, ServerError> {
        let datadir = dir.join("data");
        template::copy_to(&datadir, options.vendor)?;
        Self::on_datadir(&datadir, dir, options)
    }

    /// Starts a server on an existing data directory, such as a restored one; `work` takes its log, binary logs, temporary
    /// files and option files.
    ///
    /// The accounts are those in the data directory: when it came from a server of the test kit, the passwords fit.
    pub fn on_datadir(datadir: &Path, work: &Path, options: Options) -> Result<Self, ServerError> {
        let mut socket = work.join("s");
        let mut sockets = None;
        // The kernel takes 107 bytes at most.
        if socket.as_os_str().len() > 100 {
            let private = tempfile::Builder::new()
                .prefix("dbbak-")
                .tempdir_in("/tmp")
                .map_err(ServerError::io("creating the socket's directory"))?;
            socket = private.path().join("s");
            sockets = Some(private);
        }
        let (work, datadir) = (work.to_owned(), datadir.to_owned());
        let mut server = Self { options, work, datadir, socket, _sockets: sockets, child: None };
        for dir in [server.work.clone(), server.tmpdir(), server.binlog_dir()] {
            fs::create_dir_all(&dir).map_err(ServerError::io(format!("creating {}", dir.display())))?;
        }
        write_option_file(&server.root_option_file(), "root", ROOT_PASSWORD, &server.socket())?;
        write_option_file(&server.backup_option_file(), BACKUP_USER, BACKUP_PASSWORD, &server.socket())?;
        server.launch()?;
        Ok(server)
    }

    /// The data directory.
    pub fn datadir(&self) -> &Path {
        &self.datadir
    }

    /// The directory of the binary logs and their index.
    pub fn binlog_dir(&self) -> PathBuf {
        if self.options.binlogs_in_datadir { self.datadir.clone() } else { self.work.join("binlog") }
    }

    /// The private socket on which the server listens.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// The option file (mode 0600) with which a client connects as `root`.
    pub fn root_option_file(&self) -> PathBuf {
        self.work.join("root.cnf")
    }

    /// The option file (mode 0600) with which dbbak and the backup tool connect, with the least grants that they need.
    pub fn backup_option_file(&self) -> PathBuf {
        self.work.join("dbbak.cnf")
    }

    /// The server's error log.
    pub fn error_log(&self) -> PathBuf {
        self.work.join("error.log")
    }

    /// The server's own file with its process id.
    pub fn pid_file(&self) -> PathBuf {
        self.work.join("server.pid")
    }

    /// The id of the server's process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the server was started with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The same, to change before a [`restart`](Self::restart).
    pub fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Runs statements as `root` and returns the rows of all of them.
    pub fn try_sql(&self, sql: &str) -> Result<Rows, ServerError> {
        client::ask(self.options.vendor, &self.root_option_file(), sql)
    }

    /// Runs statements as `root` and returns the rows of all of them.
    ///
    /// # Panics
    ///
    /// When a statement fails: this is for tests, which have nothing to do after that.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Rows {
        match self.try_sql(sql) {
            Ok(rows) => rows,
            Err(error) => panic!("{error}"),
        }
    }

    /// The first field of the first row, or an empty text.
    ///
    /// # Panics
    ///
    /// As [`sql`](Self::sql).
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        self.sql(sql).into_iter().flatten().next().unwrap_or_default()
    }

    /// Opens a session that stays open, as `root`.
    pub fn client(&self) -> Result<Session, ServerError> {
        Session::open(self.options.vendor, &self.root_option_file())
    }

    /// The sums of all base tables of a database. The caller sees to it that nothing writes meanwhile.
    pub fn checksums(&self, database: &str) -> Result<Checksums, ServerError> {
        let tables = self.try_sql(&format!(
            "SELECT table_name FROM information_schema.tables \
             WHERE table_schema = '{database}' AND table_type = 'BASE TABLE' ORDER BY table_name"
        ))?;
        let tables: Vec<String> = tables.into_iter().flatten().collect();
        // One session for all: a connection for each question would be most of the time.
        let script: String = tables
            .iter()
            .map(|table| {
                format!(
                    "CHECKSUM TABLE `{database}`.`{table}` EXTENDED; SELECT COUNT(*) FROM `{database}`.`{table}`;\n"
                )
            })
            .collect();
        let answers = self.try_sql(&script)?;
        Ok(tables
            .into_iter()
            .zip(answers.chunks(2))
            .map(|(table, answer)| {
                let field = |row: usize, column: usize| answer.get(row).and_then(|row| row.get(column)).cloned();
                let rows = field(1, 0).and_then(|count| count.parse().ok()).unwrap_or(0);
                (table, TableSum { checksum: field(0, 1).unwrap_or_default(), rows })
            })
            .collect())
    }

    /// Shuts the server down in order and waits for its end.
    pub fn stop(&mut self) -> Result<(), ServerError> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            // A child that was not waited for keeps its id, so this cannot hit another process.
            kill_process(pid, Signal::TERM).map_err(|error| ServerError::io("stopping the server")(error.into()))?;
        }
        match wait(&mut child, PATIENCE) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(self.failed(format!("the server ended with {status} when it was stopped"))),
            Ok(None) => {
                end(child);
                Err(self.failed(format!("the server did not stop within {PATIENCE:?}")))
            }
            Err(error) => {
                end(child);
                Err(ServerError::io("waiting for the server")(error))
            }
        }
    }

    /// Kills the server as a crash would, with no chance to write anything.
    pub fn kill9(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }

    /// Stops the server when it runs, and starts it again on the same data directory.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        self.stop()?;
        self.launch()
    }

    /// The last lines of the error log.
    pub fn error_log_tail(&self, lines: usize) -> String {
        let log = fs::read(self.error_log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn tmpdir(&self) -> PathBuf {
        self.work.join("tmp")
    }

    fn failed(&self, what: String) -> ServerError {
        ServerError::Server { what, log: self.error_log_tail(20) }
    }

    /// The server's arguments, all of them: no option file is read.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={}", self.datadir.display()),
            format!("--socket={}", self.socket().display()),
            format!("--pid-file={}", self.pid_file().display()),
            format!("--log-error={}", self.error_log().display()),
            format!("--tmpdir={}", self.tmpdir().display()),
            format!("--server-id={}", self.options.server_id),
            self.options.vendor.redo_option(),
            "--innodb-buffer-pool-size=32M".to_owned(),
            // A crash in a test is the server's, never the machine's: what the kernel has is not lost.
            "--innodb-flush-log-at-trx-commit=2".to_owned(),
            "--sync-binlog=0".to_owned(),
            "--skip-networking".to_owned(),
            match self.options.vendor {
                Vendor::Mariadb => "--skip-slave-start".to_owned(),
                Vendor::Mysql => "--skip-replica-start".to_owned(),
            },
            "--secure-file-priv=".to_owned(),
            "--max-allowed-packet=1G".to_owned(),
        ];
        arguments.extend(user_option().map(str::to_owned));
        if let Some(base) = &self.options.log_bin {
            let base = self.binlog_dir().join(base);
            arguments.push(format!("--log-bin={}", base.display()));
            arguments.push(format!("--log-bin-index={}.index", base.display()));
        } else if self.options.vendor == Vendor::Mysql {
            arguments.push("--skip-log-bin".to_owned());
        }
        if self.options.vendor == Vendor::Mysql {
            arguments.push("--mysqlx=OFF".to_owned());
        }
        arguments.extend(self.options.extra.iter().cloned());
        arguments
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        // Left by a server that was killed; a client would wait for it in vain.
        let _ = fs::remove_file(self.socket());
        let program = self.options.program.clone().map_or_else(|| self.options.vendor.server(), Ok)?;
        let mut command = dying_with_parent(&program.display().to_string());
        command
            .args(self.arguments())
            .env("LC_ALL", "C")
            .envs(self.options.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = spawn(command).map_err(ServerError::io("starting the server"))?;
        let started = Instant::now();
        loop {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(self.failed(format!("the server ended with {status} while starting")));
            }
            if self.socket().exists() && client::ask(self.options.vendor, &self.root_option_file(), "SELECT 1").is_ok()
            {
                self.child = Some(child);
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                end(child);
                return Err(self.failed(format!("the server did not answer within {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Kills a child that this process started, and waits for it.
fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn wait(child: &mut Child, patience: Duration) -> std::io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > patience {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn write_option_file(path: &Path, user: &str, password: &str, socket: &Path) -> Result<(), ServerError> {
    let failed = || ServerError::io(format!("writing {}", path.display()));
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(failed())?;
    write!(file, "[client]\nuser={user}\npassword=\"{password}\"\nsocket={}\n", socket.display()).map_err(failed())
}
