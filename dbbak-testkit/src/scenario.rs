//! One server, one store, one workload in a directory of their own: the stage for tests that drive the built `dbbak`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dbbak_core::model::RestoredMark;
use dbbak_core::plan::RestoreReport;
use tempfile::TempDir;

use crate::cli::{Ran, dbbak};
use crate::looking::{files_below, processes_that_mention};
use crate::planted::plant_full;
use crate::server::{Checksums, MariadbServer, Options, Server, Vendor};
use crate::workload::{Mix, Workload};

/// The environment variable that, when it is set, keeps the directories of scenarios for a look after a failure.
pub const KEEP: &str = "DBBAK_TEST_KEEP";

/// Lets the user of a private server into a directory of a test's own that root has made: dbbak changes no directory that it did
/// not make itself.
///
/// # Panics
///
/// When its mode cannot be set.
pub fn let_in(dir: &Path) {
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o711)).expect("setting a directory's mode");
    }
}

/// Gives a file with keys to the user of root's private servers, as a server's keys belong to the server's user.
///
/// # Panics
///
/// When the system has no such user, or the file cannot be given away.
pub fn give_keys(file: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the system's users");
    let id =
        |name: &str| users.lines().find(|line| line.starts_with(&format!("{name}:")))?.split(':').nth(2)?.parse().ok();
    let user: Option<u32> = id("mysql").or_else(|| id("nobody"));
    std::os::unix::fs::chown(file, user, None).expect("giving a file away");
}

/// A server with a store beside it.
///
/// # Panics
///
/// Its methods panic when anything fails that the test does not ask about: there is nothing to do after that.
#[derive(Debug)]
pub struct Scenario {
    /// The source server.
    pub server: Server,
    count: AtomicU32,
    root: PathBuf,
    // Last, so that the server ends before its directory goes.
    _dir: TempDir,
}

/// A restore that was carried out.
#[derive(Debug)]
pub struct Restored {
    /// The data directory that a server can start on.
    pub datadir: PathBuf,
    /// What the restore reported.
    pub report: RestoreReport,
    /// What it printed.
    pub ran: Ran,
}

impl Scenario {
    /// A server as the test kit sets it up, and an initialised store.
    #[track_caller]
    pub fn new() -> Self {
        Self::with(Options::default(), "")
    }

    /// A server and a store with more lines of configuration.
    #[track_caller]
    pub fn with(options: Options, config: &str) -> Self {
        Self::with_store(options, config, |_| ())
    }

    /// The same, with a store's directory that the test has prepared: its path is given before anything lies there.
    #[track_caller]
    pub fn with_store(options: Options, config: &str, prepare: impl FnOnce(&Path)) -> Self {
        let keep = std::env::var_os(KEEP).is_some();
        let dir = tempfile::Builder::new().prefix("real-").disable_cleanup(keep).tempdir();
        let dir = dir.expect("a temporary directory");
        let root = dir.path().to_owned();
        let_in(&root);
        let server = Server::start(&root.join("server"), options).expect("the server starts");
        let scenario = Self { server, count: AtomicU32::new(0), root, _dir: dir };
        for dir in ["scratch", "tmp"] {
            fs::create_dir(scenario.root.join(dir)).expect("creating a directory");
        }
        scenario.configure(config);
        prepare(&scenario.store());
        scenario.dbbak(&["init"]).exits(0);
        scenario
    }

    /// Writes the configuration anew, with more lines than the test's own.
    pub fn configure(&self, more: &str) {
        self.write_config("", more);
    }

    /// Writes the configuration anew, with another member of its `server` section.
    pub fn configure_server(&self, member: &str) {
        self.write_config(&format!(", {member}"), "");
    }

    /// Writes the configuration anew, with another member of its `server` section and more lines.
    pub fn configure_with(&self, member: &str, more: &str) {
        self.write_config(&format!(", {member}"), more);
    }

    fn write_config(&self, server: &str, more: &str) {
        let mut more = more.to_owned();
        // The tests' MySQL is not on the path.
        let vendor = self.server.options().vendor;
        if vendor == Vendor::Mysql {
            for program in ["mysql", "mysqlbinlog", "mysqld", "mysqldump"] {
                if more.lines().any(|line| line.starts_with(&format!("{program}:"))) {
                    continue;
                }
                let path = vendor.program(program).expect("./dev setup has unpacked MySQL");
                more += &format!("\n{program}: {}", path.display());
            }
        }
        let text = format!(
            "nfs_root: {}\nmysql_option_file: {}\nscratch_dir: {}\npitr_round_minutes: 0\nparallel: 2\n\
             prepare_memory: 32M\nserver: {{start_timeout_seconds: 120{server}}}\n{more}\n",
            self.store().display(),
            self.server.backup_option_file().display(),
            self.root.join("scratch").display(),
        );
        fs::write(self.root.join("dbbak.yml"), text).expect("writing the configuration");
    }

    /// Has the backup tool wait, before it begins, until the file exists whose path is returned: a slow backup.
    #[track_caller]
    pub fn hold_backups(&self) -> PathBuf {
        let (program, go) = (self.root.join("mariadb-backup"), self.root.join("go"));
        let real = crate::real::find_program("mariadb-backup").expect("mariadb-backup is installed");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in *--backup*) while ! [ -e '{}' ]; do sleep 0.05; done;; esac\nexec '{}' \"$@\"\n",
            go.display(),
            real.display()
        );
        fs::write(&program, script).expect("writing the script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("making the script executable");
        self.configure(&format!("xtrabackup: {}", program.display()));
        go
    }

    /// The directory in which everything lies.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The store's root.
    pub fn store(&self) -> PathBuf {
        self.root.join("store")
    }

    /// A workload on a database of its own.
    #[track_caller]
    pub fn workload(&self, database: &str, seed: u64) -> Workload {
        Workload::new(&self.server, database, seed, Mix::default()).expect("the workload's database")
    }

    /// `dbbak` with the test's configuration, ready to run.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(dbbak());
        command
            .arg("--config-path")
            .arg(self.root.join("dbbak.yml"))
            .args(args)
            // Private sockets and the like lie in the test's directory too, where survivors are looked for.
            .env("TMPDIR", self.root.join("tmp"))
            .env("HOME", &self.root)
            // As in the journal: the tests read the lines without a time before each.
            .env("JOURNAL_STREAM", "0:0")
            .env("PATH", crate::real::path_of_programs())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `dbbak`.
    #[track_caller]
    pub fn dbbak(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("dbbak can be started");
        Ran {
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: crate::redact::without_times(&String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Takes a full and returns its stamp.
    #[track_caller]
    pub fn full(&self) -> String {
        self.backup(&["backup-full"])
    }

    /// Plants a full that no backup tool took: a copy of the stopped server's data.
    #[track_caller]
    pub fn planted_full(&mut self) {
        self.planted_full_with(|_| ());
    }

    /// Plants a full that is not what it says: the copy is changed before `init` takes it over.
    #[track_caller]
    pub fn planted_full_with(&mut self, change: impl FnOnce(&Path)) {
        // Another program's store, which `init` takes over.
        fs::remove_file(self.store().join("dbbak.json")).expect("an initialised store");
        let store = self.store();
        change(&plant_full(&mut self.server, &store).expect("a planted full"));
        self.dbbak(&["init"]).exits(0);
    }

    /// Takes an incremental on the latest chain and returns its stamp.
    #[track_caller]
    pub fn incr(&self) -> String {
        self.backup(&["backup-incr"])
    }

    /// Takes a backup with arguments of the test's own and returns its stamp.
    #[track_caller]
    pub fn backup(&self, args: &[&str]) -> String {
        let args = [args, &["--json", "--exec"]].concat();
        let mut ran = self.dbbak(&args);
        // Stamps are whole seconds, and a backup of a small server takes less.
        while ran.code == Some(5) && ran.stderr.contains("is taken") {
            std::thread::sleep(Duration::from_millis(200));
            ran = self.dbbak(&args);
        }
        let ran = ran.exits(0);
        let id = ran.json()["backup"].as_str().expect("the backup's name").to_owned();
        let end = id.find("_from_").unwrap_or(id.len());
        id[..end].split_once('_').expect("a backup's name has a stamp").1.to_owned()
    }

    /// Archives everything up to now.
    #[track_caller]
    pub fn ship(&self) -> Ran {
        self.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0)
    }

    /// Restores into a new work directory.
    #[track_caller]
    pub fn restore(&self, args: &[&str]) -> Restored {
        let ran = self.try_restore(args).exits(0);
        let report: RestoreReport = serde_json::from_str(&ran.stdout).expect("the restore's report");
        let mark = fs::read(report.datadir.join(RestoredMark::FILE)).expect("the mark of the restore");
        let mark: RestoredMark = serde_json::from_slice(&mark).expect("a mark");
        assert_eq!(mark.restore, report.restore);
        Restored { datadir: report.datadir.clone(), report, ran }
    }

    /// Restores to just before a moment of the server's clock.
    #[track_caller]
    pub fn restore_at(&self, time: &str) -> Restored {
        self.restore(&["--time", time, "--exact"])
    }

    /// Tries a restore into a new work directory.
    #[track_caller]
    pub fn try_restore(&self, args: &[&str]) -> Ran {
        let workdir = self.fresh("restore");
        let workdir = workdir.to_str().expect("a path of plain text");
        self.dbbak(&[&["restore"], args, &["--workdir", workdir, "--json", "--exec"]].concat())
    }

    /// Restores through a pipe. `None`, which is said: the series' binlog reader leaves zeros of a statement's time out (MariaDB 10.6,
    /// 10.11 up to 10.11.17), and the restore was refused for that.
    #[track_caller]
    pub fn pipe_unless_old(&self, args: &[&str]) -> Option<Restored> {
        let ran = self.try_restore(args);
        if ran.code == Some(0) {
            let report: RestoreReport = serde_json::from_str(&ran.stdout).expect("the restore's report");
            return Some(Restored { datadir: report.datadir.clone(), report, ran });
        }
        let version = self.server.value("SELECT VERSION()");
        let parts: Vec<u32> = version.split(['.', '-']).map_while(|part| part.parse().ok()).take(3).collect();
        let old = parts.starts_with(&[10]) && parts.as_slice() < [10, 11, 18].as_slice();
        assert!(old, "{version}: {ran}");
        ran.exits(5).says("it leaves the zeros behind the point out");
        let _ = writeln!(
            std::io::stderr(),
            "a pipe was not tried: the binlog reader of {version} leaves zeros of a statement's time out"
        );
        None
    }

    /// A path in the test's directory at which nothing lies yet.
    pub fn fresh(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}-{}", self.count.fetch_add(1, Ordering::Relaxed)))
    }

    /// What a database holds in a restored data directory, by a server that is started on it.
    #[track_caller]
    pub fn checksums_of(&self, datadir: &Path, database: &str) -> Checksums {
        let work = self.fresh("check");
        let vendor = self.server.options().vendor;
        let options = Options { vendor, log_bin: None, ..Options::default() };
        let mut server = MariadbServer::on_datadir(datadir, &work, options).expect("a server on the restored data");
        let checksums = server.checksums(database).expect("the sums");
        server.stop().expect("the server stops");
        checksums
    }

    /// Waits until the server's clock has reached another second, and returns it, `YYYY-MM-DD HH:MM:SS`. MariaDB stamps
    /// events with whole seconds.
    #[track_caller]
    pub fn next_second(&self) -> String {
        let now = || self.server.value("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%d %H:%i:%s')");
        let before = now();
        loop {
            std::thread::sleep(Duration::from_millis(50));
            let after = now();
            if after != before {
                return after;
            }
        }
    }

    /// The stamps of the backups that `dbbak list` shows.
    #[track_caller]
    pub fn listed(&self) -> Vec<String> {
        let list = self.dbbak(&["list", "--json"]).exits(0).json();
        let backups = list["backups"].as_array().expect("a list of backups");
        backups.iter().filter_map(|backup| backup["ts"].as_str().map(str::to_owned)).collect()
    }

    /// A digest of every file in the store, by its path; locks come and go and are left out.
    #[track_caller]
    pub fn store_digests(&self) -> BTreeMap<PathBuf, blake3::Hash> {
        let mut digests = BTreeMap::new();
        for path in files_below(&self.store()) {
            let name = path.strip_prefix(self.store()).expect("a path in the store").to_owned();
            if !name.starts_with("locks") {
                digests.insert(name, blake3::hash(&fs::read(&path).expect("reading a stored file")));
            }
        }
        digests
    }

    /// Processes that mention the test's directory and are not the test's own children.
    pub fn strangers(&self) -> Vec<String> {
        processes_that_mention(&self.root)
    }

    /// Waits until no process of `dbbak` is left.
    #[track_caller]
    pub fn nothing_survives(&self) {
        let mut left = Vec::new();
        for _ in 0..150 {
            left = self.strangers();
            if left.is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("processes outlived dbbak: {left:#?}");
    }

    /// Checks that nothing blocks the server: a change of the schema and a write succeed at once.
    #[track_caller]
    pub fn server_is_free(&self) {
        self.server.sql(
            "SET SESSION lock_wait_timeout = 5, innodb_lock_wait_timeout = 5;
             CREATE DATABASE IF NOT EXISTS probe; CREATE OR REPLACE TABLE probe.t (a INT) ENGINE=InnoDB;
             INSERT INTO probe.t VALUES (1); DROP DATABASE probe;",
        );
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::new()
    }
}
