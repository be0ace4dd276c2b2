//! The server that is backed up and replayed from, with what the measurements on it share: its tables, small transactions,
//! configurations for dbbak, and the comparison of restored tables with its own.

use crate::{
    Failure, Options,
    measure::{Run, run},
};
use dbbak_testkit::server::{Checksums, Options as ServerOptions, Server, Vendor};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

const TICK: Duration = Duration::from_millis(5);
/// Memory of every server on restored data, dbbak's and those by hand.
pub(crate) const BUFFER_POOL: u64 = 512 << 20;
/// Tables of random text.
const TABLES: usize = 4;
/// Rows of random text that each of them gets for a gigabyte in all.
const GIGABYTE: usize = 650;

/// A server with tables for transactions, and a directory of its own.
pub(crate) struct Source<'a> {
    pub(crate) vendor: Vendor,
    pub(crate) server: Server,
    pub(crate) dir: PathBuf,
    dbbak: &'a Path,
    /// More options of dbbak's private servers.
    with: Vec<String>,
}

/// The vendors and their names; one whose server is missing is left out, and said so.
pub(crate) fn vendors() -> impl Iterator<Item = (Vendor, &'static str)> {
    [(Vendor::Mariadb, "MariaDB"), (Vendor::Mysql, "MySQL")].into_iter().filter(|(vendor, name)| {
        let there = vendor.program(programs(*vendor)[0]).is_ok();
        if !there {
            crate::say(&format!("{name} is not there: left out"));
        }
        there
    })
}

/// The names of a vendor's server and client.
pub(crate) fn programs(vendor: Vendor) -> [&'static str; 2] {
    match vendor {
        Vendor::Mariadb => ["mariadbd", "mariadb"],
        Vendor::Mysql => ["mysqld", "mysql"],
    }
}

/// One of the expert's scripts.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench").join(name)
}

/// Reads every file below a directory, so that no run pays for being the first.
pub(crate) fn warm(dir: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            warm(&entry.path())?;
        } else {
            std::io::copy(&mut fs::File::open(entry.path())?, &mut std::io::sink())?;
        }
    }
    Ok(())
}

/// The bytes of all files below a directory.
pub(crate) fn bytes_below(dir: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        bytes += if meta.is_dir() { bytes_below(&entry.path())? } else { meta.len() };
    }
    Ok(bytes)
}

impl<'a> Source<'a> {
    /// Starts the server, with binlogs, and makes the tables for the transactions.
    pub(crate) fn start(vendor: Vendor, options: &Options, dbbak: &'a Path, dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir)?;
        let (server_options, redo) = match vendor {
            Vendor::Mariadb => (ServerOptions::default(), "--innodb-log-file-size=256M"),
            Vendor::Mysql => (ServerOptions::mysql(), "--innodb-redo-log-capacity=256M"),
        };
        let server_options = server_options
            .with("--binlog-format=ROW")
            .with("--sync-binlog=0")
            .with("--innodb-flush-log-at-trx-commit=0")
            .with("--innodb-buffer-pool-size=512M")
            .with(redo);
        let server = Server::start(&dir.join("server"), server_options)?;
        let source = Source { vendor, server, dir: dir.to_owned(), dbbak, with: options.with.clone() };
        source.server.try_sql(
            "CREATE DATABASE bench; USE bench;
             CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT, note VARCHAR(60), KEY (customer));
             CREATE TABLE customers (id INT PRIMARY KEY, orders INT NOT NULL DEFAULT 0);
             CREATE TABLE stock (id INT PRIMARY KEY, amount INT NOT NULL DEFAULT 0);
             INSERT INTO customers (id) WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             SELECT i FROM n;
             INSERT INTO stock (id) SELECT id FROM customers;",
        )?;
        source.server.try_sql(
            "DELIMITER //
             CREATE PROCEDURE bench.sell(count INT) BEGIN
               DECLARE i INT DEFAULT 0;
               WHILE i < count DO
                 START TRANSACTION;
                 INSERT INTO bench.orders (customer, note) VALUES (i * 7919 % 1000, CONCAT('order number ', i));
                 UPDATE bench.customers SET orders = orders + 1 WHERE id = i * 7919 % 1000;
                 UPDATE bench.stock SET amount = amount - 1 WHERE id = i * 104729 % 1000;
                 COMMIT;
                 SET i = i + 1;
               END WHILE;
             END//
             DELIMITER ;",
        )?;
        Ok(source)
    }

    /// Adds tables of random text, a gigabyte (or, to see that it works, a hundredth of it), waits until all of it is in
    /// their files, and returns these files' bytes.
    pub(crate) fn fill(&self, quick: bool) -> Result<u64, Failure> {
        crate::say("filling the server");
        let thousands = if quick { GIGABYTE / 100 } else { GIGABYTE };
        for table in 0..TABLES {
            self.server.try_sql(&format!(
                "SET sql_log_bin = 0; USE bench;
                 CREATE TABLE t{table} (id INT PRIMARY KEY, a VARCHAR(128), b VARCHAR(128), c VARCHAR(64)) ENGINE=InnoDB;
                 INSERT INTO t{table} SELECT high.id * 1000 + low.id, SHA2(RAND(), 512), SHA2(RAND(), 512), SHA2(RAND(), 256)
                 FROM customers AS high STRAIGHT_JOIN customers AS low WHERE high.id < {thousands} ORDER BY high.id, low.id;"
            ))?;
        }
        self.wait_until_clean()?;
        let files = fs::read_dir(self.server.datadir().join("bench"))?;
        Ok(files.filter_map(|file| file.ok()?.metadata().ok()).map(|meta| meta.len()).sum())
    }

    /// Has the server write its pages, so that all runs back up the same.
    fn wait_until_clean(&self) -> Result<(), Failure> {
        self.server.try_sql(
            "FLUSH TABLES; SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0; SET GLOBAL innodb_max_dirty_pages_pct = 0",
        )?;
        for _ in 0..1200 {
            let rows = self.server.try_sql("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")?;
            if rows.first().and_then(|row| row.get(1)).is_some_and(|pages| pages == "0") {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(Failure("the server did not write its pages within two minutes".into()))
    }

    /// Runs small transactions: an inserted row and two updated ones each.
    pub(crate) fn sell(&self, transactions: u64) -> Result<(), Failure> {
        crate::say("running the transactions");
        self.server.try_sql(&format!("CALL bench.sell({transactions})"))?;
        Ok(())
    }

    /// Runs small transactions that all update the same row.
    pub(crate) fn count(&self, transactions: u64) -> Result<(), Failure> {
        crate::say("running the transactions on one row");
        self.server.try_sql(&format!(
            "DELIMITER //
             CREATE PROCEDURE bench.hit(count INT) BEGIN
               DECLARE i INT DEFAULT 0;
               WHILE i < count DO
                 UPDATE bench.stock SET amount = amount - 1 WHERE id = 7;
                 SET i = i + 1;
               END WHILE;
             END//
             DELIMITER ;
             CALL bench.hit({transactions})"
        ))?;
        Ok(())
    }

    /// Where the server writes its binlog: file and position.
    pub(crate) fn place(&self) -> Result<(String, String), Failure> {
        let at = self.server.try_sql(match self.vendor {
            Vendor::Mariadb => "SHOW MASTER STATUS",
            Vendor::Mysql => "SHOW BINARY LOG STATUS",
        })?;
        let mut fields = at.into_iter().flatten();
        Ok((fields.next().unwrap_or_default(), fields.next().unwrap_or_default()))
    }

    /// The binlogs from one on, but for the one that is being written.
    pub(crate) fn binlogs(&self, from: &str) -> Result<Vec<PathBuf>, Failure> {
        let names = self.server.try_sql("SHOW BINARY LOGS")?;
        let mut names: Vec<String> = names.into_iter().filter_map(|row| row.into_iter().next()).collect();
        names.pop();
        let dir = self.server.binlog_dir();
        Ok(names.into_iter().filter(|name| name.as_str() >= from).map(|name| dir.join(name)).collect())
    }

    /// Writes a configuration for a store of its own, with more options of the private server; returns its path.
    pub(crate) fn configure(&self, name: &str, more: &str, with: &[String]) -> Result<PathBuf, Failure> {
        let store = self.store(name);
        fs::create_dir_all(&store)?;
        let mut text = format!(
            "nfs_root: {}\nmysql_option_file: {}\nscratch_dir: {}\nprepare_memory: {BUFFER_POOL}\n{more}",
            store.display(),
            self.server.backup_option_file().display(),
            self.dir.display(),
        );
        let with = [&self.with, with].concat();
        if !with.is_empty() {
            text += &format!("server: {{options: {}}}\n", serde_json::to_string(&with)?);
        }
        let [server_program, client] = programs(self.vendor);
        let dump = match self.vendor {
            Vendor::Mariadb => "mariadb-dump",
            Vendor::Mysql => "mysqldump",
        };
        for (key, program) in [
            ("mysqld", self.vendor.program(server_program)?),
            ("mysql", self.vendor.program(client)?),
            ("mysqlbinlog", self.vendor.binlog_reader()?),
            ("mysqldump", self.vendor.program(dump)?),
        ] {
            text += &format!("{key}: {}\n", program.display());
        }
        let path = self.dir.join(format!("{name}.yml"));
        fs::write(&path, text)?;
        Ok(path)
    }

    /// The root of a store that was [configured](Self::configure).
    pub(crate) fn store(&self, name: &str) -> PathBuf {
        self.dir.join(format!("store-{name}"))
    }

    /// Runs dbbak to its end.
    pub(crate) fn dbbak(&self, config: &Path, arguments: &[&str]) -> Result<Run, Failure> {
        let mut command = Command::new(self.dbbak);
        command.arg("--config-path").arg(config).args(arguments);
        self.run(&mut command, "dbbak.log")
    }

    /// Runs a program to its end; what it says goes to a file of this name.
    pub(crate) fn run(&self, command: &mut Command, log: &str) -> Result<Run, Failure> {
        run(command, &self.dir.join(log), TICK)
    }

    /// Runs `restore --exec` of dbbak's into a directory of this name, and returns what it took, its report and the data
    /// directory.
    pub(crate) fn restore(&self, config: &Path, arguments: &[&str]) -> Result<Restored, Failure> {
        let workdir = self.dir.join("restored");
        let place = workdir.display().to_string();
        let arguments = [&["restore", "--workdir", &place, "--exec"], arguments].concat();
        let run = self.dbbak(config, &arguments)?;
        let report = serde_json::from_slice(&fs::read(workdir.join("dbbak-restore.json"))?)?;
        Ok(Restored { run, report, workdir })
    }

    /// Starts a server on a data directory and compares the sums of its tables.
    pub(crate) fn compare(&self, datadir: &Path, wanted: &Checksums) -> Result<(), Failure> {
        let work = self.dir.join("compare");
        let options = ServerOptions { log_bin: None, ..self.server.options().clone() };
        let mut server = Server::on_datadir(datadir, &work, options)?;
        let found = server.checksums("bench")?;
        server.stop()?;
        drop(server);
        fs::remove_dir_all(&work)?;
        if found == *wanted { Ok(()) } else { Err(Failure("the restored tables differ from the source's".into())) }
    }
}

/// A restore of dbbak's.
pub(crate) struct Restored {
    pub(crate) run: Run,
    report: serde_json::Value,
    pub(crate) workdir: PathBuf,
}

impl Restored {
    /// The restored data directory.
    pub(crate) fn datadir(&self) -> PathBuf {
        self.workdir.join("data")
    }

    /// Seconds of the parts of steps that have this title.
    pub(crate) fn part_seconds(&self, title: &str) -> f64 {
        let phases = self.report["phases"].as_array().into_iter().flatten();
        let parts = phases.flat_map(|phase| phase["parts"].as_array().into_iter().flatten());
        parts.filter(|part| part["title"] == title).filter_map(|part| part["seconds"].as_f64()).sum()
    }

    /// Seconds of all steps whose title begins so.
    pub(crate) fn seconds(&self, begins: &[&str]) -> f64 {
        let phases = self.report["phases"].as_array().into_iter().flatten();
        let counted = phases.filter(|phase| {
            let title = phase["title"].as_str().unwrap_or_default();
            begins.iter().any(|begin| title.starts_with(begin))
        });
        counted.filter_map(|phase| phase["seconds"].as_f64()).sum()
    }
}
