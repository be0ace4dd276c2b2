//! Runs the real `dbbak` binary on shims in a directory of its own, and shows what it said in a form that stays the same.

use crate::{
    binlog_writer::{BinlogWriter, RowChange, Vendor},
    redact::{Redactor, without_times},
    shim::{Scenario, Series, ShimDir, ShimPrograms},
};
use chrono::Utc;
use dbbak_core::{
    binlog,
    model::{GtidSet, MariadbGtidState, MysqlGtidSet},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fmt, fs, io,
    ops::ControlFlow,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The stamp of the first event of the bench's first binlog: 2025-10-02 02:00:00 UTC.
pub const FIRST_EVENT: u32 = 1_759_370_400;
/// How long anything on a bench may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names the built `dbbak`; only a test target knows its path, so that it must be a macro.
#[macro_export]
macro_rules! dbbak_program {
    () => {
        std::path::Path::new(env!("CARGO_BIN_EXE_dbbak-dup"))
    };
}

/// A directory with shims, a server's data and binlogs, a configuration, and room for a store and a restore.
#[derive(Debug)]
pub struct Bench {
    /// Removed with the bench.
    pub dir: TempDir,
    /// The programs.
    pub shims: ShimDir,
    series: Series,
}

impl Bench {
    /// A bench of a series below a directory; the server answers, and its configuration is as it should be.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn new(below: &Path, dbbak: &Path, programs: &ShimPrograms, series: Series) -> io::Result<Self> {
        let dir = tempfile::tempdir_in(below)?;
        let root = dir.path().to_owned();
        for name in ["home", "path", "tmp", "data", "binlogs", "scratch"] {
            fs::create_dir(root.join(name))?;
        }
        let setpriv = Path::new("/usr/bin/setpriv");
        if setpriv.exists() {
            symlink(setpriv, root.join("path/setpriv"))?;
        }
        // It calls itself by the name that it is started under.
        symlink(dbbak, root.join("path/dbbak"))?;
        fs::write(root.join("data/ibdata1"), vec![0; 4096])?;
        let shims = ShimDir::install(&root.join("bin"), programs, &Scenario::of(series))?;
        let bench = Bench { dir, shims, series };
        bench.script("mysqld", &format!("echo '{}'", server_version(series)))?;
        bench.play(&bench.scenario())?;
        bench.write("my.cnf", "[client]\nuser=backup\npassword=secret\n")?;
        fs::set_permissions(bench.path("my.cnf"), fs::Permissions::from_mode(0o600))?;
        bench.configure("")?;
        Ok(bench)
    }

    /// A path on the bench.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file, and makes the directories that it needs.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)
    }

    /// Makes empty places in the store for what its lists name, where there is none: backups with a tree, archived files.
    ///
    /// # Errors
    ///
    /// When a list cannot be read, or a place cannot be made.
    pub fn fill_store(&self) -> io::Result<()> {
        let list = |name: &str| -> io::Result<serde_json::Value> {
            match fs::read(self.path(name)) {
                Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(serde_json::Value::Null),
                Err(error) => Err(error),
            }
        };
        for entry in list("store/manifest.json")?.as_array().into_iter().flatten() {
            let (ts, base) = (entry["ts"].as_str().unwrap_or_default(), entry["base"].as_str());
            let id = base.map_or_else(|| format!("full_{ts}"), |base| format!("incr_{ts}_from_{base}"));
            fs::create_dir_all(self.path("store").join(id).join("raw"))?;
        }
        for entry in list("store/binlogs/index.json")?["files"].as_array().into_iter().flatten() {
            let path = self.path("store/binlogs").join(entry["stored_as"].as_str().unwrap_or_default());
            if !path.exists() {
                fs::write(path, "")?;
            }
        }
        Ok(())
    }

    /// Writes an executable shell script beside the shims.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn script(&self, name: &str, body: &str) -> io::Result<()> {
        let name = format!("bin/{name}");
        self.write(&name, format!("#!/bin/sh\n{body}\n"))?;
        fs::set_permissions(self.path(&name), fs::Permissions::from_mode(0o755))
    }

    /// The usual configuration with more lines at its end; a key that is given here replaces the usual one.
    pub fn config(&self, more: &str) -> String {
        let usual = [
            ("nfs_root", self.path("store")),
            ("mysql_option_file", self.path("my.cnf")),
            ("xtrabackup", self.shims.backup.clone()),
            ("mysqlbinlog", self.shims.reader.clone()),
            ("mysql", self.shims.client.clone()),
            ("mysqld", self.path("bin/mysqld")),
            ("scratch_dir", self.path("scratch")),
        ];
        let given = |key: &str| more.lines().any(|line| line.starts_with(&format!("{key}:")));
        let usual = usual.iter().filter(|(key, _)| !given(key));
        // The shims write down what they are asked, where root's tests have them do it.
        let root = if rustix::process::geteuid().is_root() { "server: {run_as: root}\n" } else { "" };
        usual.map(|(key, path)| format!("{key}: {}\n", path.display())).collect::<String>() + root + more
    }

    /// Writes the usual configuration with more lines at its end.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn configure(&self, more: &str) -> io::Result<()> {
        self.write("dbbak.yml", self.config(more))
    }

    /// The scenario of a server whose data and binlogs lie on the bench, and whose clock is right.
    pub fn scenario(&self) -> Scenario {
        let text = |name: &str| self.path(name).display().to_string();
        let binlogs = self.binlogs();
        let rows: Vec<[&str; 2]> = binlogs.iter().map(|(name, size)| [name.as_str(), size.as_str()]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
        Scenario::of(self.series)
            .with_variables(&[
                ("datadir", &text("data")),
                ("log_bin_basename", &text("binlogs/mysql-bin")),
                ("log_bin_index", &text("binlogs/mysql-bin.index")),
                ("sync_binlog", "1"),
                ("binlog_expire_logs_seconds", "2592000"),
            ])
            .answer_with("SHOW BINARY LOGS", &["Log_name", "File_size"], &rows)
            .answer_with(
                "SELECT UTC_TIMESTAMP(6) AS now",
                &["now"],
                &[&[&Utc::now().format("%Y-%m-%d %H:%M:%S%.6f").to_string()]],
            )
    }

    fn binlogs(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.path("binlogs")).into_iter().flatten().flatten();
        let mut found: Vec<(String, String)> = entries
            .filter_map(|entry| {
                let size = entry.metadata().ok()?.len().to_string();
                Some((entry.file_name().to_string_lossy().into_owned(), size))
            })
            .collect();
        found.sort();
        found
    }

    /// Has the shims play another scenario from the next call on.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn play(&self, scenario: &Scenario) -> io::Result<()> {
        self.shims.play(scenario)
    }

    /// Writes a binlog of the server with some transactions of one inserted row each, a minute apart; returns the offset
    /// after each. It names its successor unless it is the open one.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn binlog(&self, number: u32, transactions: u32, closed: bool) -> io::Result<Vec<u64>> {
        self.binlog_at(FIRST_EVENT + number * 3600, number, transactions, closed)
    }

    /// As [`Bench::binlog`], begun at this second.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn binlog_at(&self, start: u32, number: u32, transactions: u32, closed: bool) -> io::Result<Vec<u64>> {
        let vendor = if self.series.is_mariadb() { Vendor::Mariadb } else { Vendor::Mysql };
        let mut writer = BinlogWriter::new(vendor, true, start);
        match (vendor, self.gtids_up_to(number)) {
            (Vendor::Mariadb, GtidSet::Mariadb(state)) => writer.gtid_list(&state),
            (Vendor::Mariadb, _) => writer.gtid_list(&MariadbGtidState::default()),
            (_, GtidSet::Mysql(set)) => writer.previous_gtids(&set),
            _ => writer.previous_gtids(&MysqlGtidSet::default()),
        };
        let mut ends = Vec::new();
        for count in 1..=transactions {
            writer.time = start + count * 60;
            let moment = u64::from(writer.time) * 1_000_000;
            writer.commit = (moment, moment);
            match vendor {
                Vendor::Mariadb => writer.mariadb_gtid(0, u64::from(number * 100 + count), 0),
                _ => {
                    writer.gtid(uuid::Uuid::from_u128(1), u64::from(number * 100 + count));
                    writer.begin()
                }
            };
            writer.table_map(7, "shop", "orders");
            writer.rows(RowChange::Insert, 7, &[(1, "beer")], true);
            ends.push(writer.xid(u64::from(count)));
        }
        match closed {
            true => _ = writer.rotate(&format!("mysql-bin.{:06}", number + 1)),
            false => writer.set_in_use(),
        }
        self.write(&format!("binlogs/mysql-bin.{number:06}"), writer.bytes())?;
        Ok(ends)
    }

    /// The GTIDs before a binlog: those of the one before it, where that is there, and of all before that.
    fn gtids_up_to(&self, number: u32) -> GtidSet {
        let none = GtidSet::Mysql(MysqlGtidSet::default());
        let before = self.path(&format!("binlogs/mysql-bin.{:06}", number.saturating_sub(1)));
        let Ok(mut file) = fs::File::open(before) else { return none };
        let Ok(scan) = binlog::scan(&mut file, &mut |_| ControlFlow::Continue(())) else { return none };
        let sets = [scan.head.previous_gtids, scan.gtids];
        sets.into_iter().flatten().fold(none, |all, set| all.union(&set).unwrap_or(all))
    }

    /// The command, ready to start; the configuration is the bench's unless the arguments name one.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.path("path/dbbak"));
        command.env_clear().env("HOME", self.path("home")).env("PATH", self.path("path")).env("TZ", "UTC");
        command.env("LC_ALL", "C").env("TMPDIR", self.path("tmp")).current_dir(self.dir.path());
        if !args.contains(&"--config-path") {
            command.arg("--config-path").arg(self.path("dbbak.yml"));
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs `dbbak` to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn run(&self, args: &[&str]) -> io::Result<Spoken> {
        let child = self.command(args).spawn()?;
        self.finish(child, args)
    }

    /// Waits for the end of a `dbbak` that was started with these arguments; one that hangs is killed in the end.
    ///
    /// # Errors
    ///
    /// When its output cannot be read.
    pub fn finish(&self, child: Child, args: &[&str]) -> io::Result<Spoken> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let (done, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            if let (Err(mpsc::RecvTimeoutError::Timeout), Some(pid)) = (ended.recv_timeout(PATIENCE), pid) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let output = child.wait_with_output()?;
        drop(done);
        Ok(Spoken {
            line: format!("dbbak {}", args.join(" ")),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: without_times(&String::from_utf8_lossy(&output.stderr)),
            status: output.status,
            root: self.dir.path().to_owned(),
        })
    }

    /// Every file below a directory of the bench with its content, for a comparison; empty when it is not there.
    ///
    /// # Errors
    ///
    /// When something cannot be read.
    pub fn contents(&self, name: &str) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut open = vec![self.path(name)];
        while let Some(dir) = open.pop().filter(|dir| dir.exists()) {
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    files.push((path.clone(), Vec::new()));
                    open.push(path);
                } else {
                    files.push((path.clone(), fs::read(&path)?));
                }
            }
        }
        files.sort();
        Ok(files)
    }

    /// The names in a directory of the bench, sorted; empty when it is not there.
    pub fn names_in(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The backups that a store directory holds, whether they are listed or not.
    pub fn backup_dirs(&self) -> Vec<String> {
        let mut names = self.names_in("store");
        names.retain(|name| name.starts_with("full_") || name.starts_with("incr_"));
        names
    }

    /// The command lines of the shims that still run.
    pub fn shims_running(&self) -> Vec<String> {
        let root = self.path("bin").display().to_string();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(&root) && !line.contains("--config-path")).collect()
    }

    /// Waits until a condition holds.
    ///
    /// # Errors
    ///
    /// When it does not for a minute.
    pub fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) -> io::Result<()> {
        let started = Instant::now();
        while !holds() {
            if started.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("waited in vain until {what}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn server_version(series: Series) -> &'static str {
    match series {
        Series::Xtrabackup24 => "mysqld  Ver 5.7.44 for Linux on x86_64 (MySQL Community Server (GPL))",
        Series::Xtrabackup80 => "mysqld  Ver 8.0.35 for Linux on x86_64 (MySQL Community Server - GPL)",
        Series::Xtrabackup84 => "mysqld  Ver 8.4.8 for Linux on x86_64 (MySQL Community Server - GPL)",
        Series::Mariadb1011 => "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)",
        Series::Mariadb118 => "mariadbd  Ver 11.8.6-MariaDB-0+deb13u1 for debian-linux-gnu on x86_64 (Debian 13)",
    }
}

/// What a run of `dbbak` said, and how it ended. Displayed, everything that differs from run to run is replaced.
#[derive(Debug)]
pub struct Spoken {
    line: String,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
    root: PathBuf,
}

impl Spoken {
    /// The same without the plan that a run prints before it begins.
    #[must_use]
    pub fn without_plan(mut self) -> Self {
        let lines = self.stderr.lines();
        let shown =
            lines.skip_while(|line| line.starts_with("Plan: ") || line.starts_with("Steps:") || line.starts_with(' '));
        self.stderr = shown.map(|line| format!("{line}\n")).collect();
        self
    }

    /// The exit status, `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redactor = Redactor::new(&self.root);
        let whole = format!(
            "$ {}\n--- stdout\n{}--- stderr\n{}--- exit {}",
            self.line,
            closed(&self.stdout),
            closed(&self.stderr),
            self.code().map_or("by a signal".to_owned(), |code| code.to_string())
        );
        f.write_str(&redactor.redact(&whole))
    }
}

fn closed(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
}
