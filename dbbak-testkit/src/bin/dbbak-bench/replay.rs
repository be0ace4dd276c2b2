//! A replay by the private server's own applier against the vendor's reader piped into its client, in interleaved pairs.

use crate::{
    Failure, Options,
    measure::{Run, Spread, run, settle},
    report::{Row, Section},
};
use dbbak_testkit::{
    planted::plant_full,
    server::{Checksums, Options as ServerOptions, Server, Vendor, copy_tree},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const TICK: Duration = Duration::from_millis(5);
const BUFFER_POOL: u64 = 512 << 20;
/// The time that dbbak may take, as a part of the time by hand: MariaDB, MySQL.
const RATIOS_ALLOWED: [f64; 2] = [1.0 / 3.0, 1.0 / 3.3];

/// Measures replays on both vendors.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let transactions: u64 = if options.quick { 2_000 } else { 100_000 };
    let mut rows = Vec::new();
    let mut pairs_run = 0;
    for (vendor, name, allowed) in
        [(Vendor::Mariadb, "MariaDB", RATIOS_ALLOWED[0]), (Vendor::Mysql, "MySQL", RATIOS_ALLOWED[1])]
    {
        if vendor.program(programs(vendor)[0]).is_err() {
            crate::say(&format!("{name} is not there: left out"));
            continue;
        }
        let dir = dir.join(format!("replay-{name}"));
        fs::create_dir_all(&dir)?;
        let bench = Bench::new(vendor, dbbak, &dir, transactions)?;
        settle()?;
        bench.with_dbbak()?;
        bench.by_hand()?;
        let mut pairs = Vec::new();
        for number in 0..options.repetitions() {
            // Who goes first changes, for what one leaves behind may slow the other.
            let (own, hand) = if number % 2 == 0 {
                let own = bench.with_dbbak()?;
                (own, bench.by_hand()?)
            } else {
                let hand = bench.by_hand()?;
                (bench.with_dbbak()?, hand)
            };
            crate::say(&format!("{name}, pair {}: dbbak {:.2} s, by hand {:.2} s", number + 1, own, hand.seconds));
            pairs.push((own, hand));
        }
        pairs_run = pairs.len();
        let own = Spread::of(pairs.iter().map(|(own, _)| *own));
        let hand = Spread::of(pairs.iter().map(|(_, hand)| hand.seconds));
        let ratio = Spread::of(pairs.iter().map(|(own, hand)| own / hand.seconds));
        rows.push(Row::free(format!("{name}, dbbak: unpack, verify, replay, proof"), own, 2, " s", 1.0));
        rows.push(Row::free(format!("{name}, by hand: reader piped into client"), hand, 2, " s", 1.0));
        rows.push(Row::limited(format!("{name}: ratio dbbak / by hand"), ratio, 3, "", 1.0, allowed));
    }
    Ok(Section {
        name: "replay",
        title: format!("Replay of {transactions} transactions, {} row changes", 3 * transactions),
        method: format!(
            "Transactions of one insert and two updates on three InnoDB tables. `dbbak restore --replay relay --exec` from a \
             copy of the stopped server's data directory, of which the steps that unpack and verify the archived binlogs and \
             that replay them count: start of the private server, the replay by its own applier, the comparison of what it \
             logged with the archive, and the clean shutdown. By hand, `dbbak-testkit/bench/by-hand-replay.sh` on a copy of \
             the same directory: start, `mysqlbinlog | mysql` (or MariaDB's) from the same position over the same files, not \
             compressed, and the clean shutdown; nothing is compared there. Neither side checks tables (`--check none`). Both servers log what they apply, with \
             sync_binlog=0 and innodb_flush_log_at_trx_commit=2 and a buffer pool of {BUFFER_POOL} bytes. The tables' \
             checksums are equal to the source's after each run. {pairs_run} pairs, the order changing from pair to pair, \
             after one uncounted run of each. The ratio is that of each pair."
        ),
        rows,
    })
}

/// The names of a vendor's server and client.
fn programs(vendor: Vendor) -> [&'static str; 2] {
    match vendor {
        Vendor::Mariadb => ["mariadbd", "mariadb"],
        Vendor::Mysql => ["mysqld", "mysql"],
    }
}

struct Bench<'a> {
    vendor: Vendor,
    dbbak: &'a Path,
    dir: &'a Path,
    config: PathBuf,
    server: Server,
    /// The planted full.
    base: PathBuf,
    /// The first file and the offset in it.
    from: (String, String),
    wanted: Checksums,
}

impl<'a> Bench<'a> {
    fn new(vendor: Vendor, dbbak: &'a Path, dir: &'a Path, transactions: u64) -> Result<Self, Failure> {
        let options = match vendor {
            Vendor::Mariadb => ServerOptions::default(),
            Vendor::Mysql => ServerOptions::mysql(),
        };
        let options = options
            .with("--binlog-format=ROW")
            .with("--sync-binlog=0")
            .with("--innodb-flush-log-at-trx-commit=0")
            .with("--innodb-buffer-pool-size=512M");
        let mut server = Server::start(&dir.join("server"), options)?;
        server.try_sql(
            "CREATE DATABASE bench; USE bench;
             CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT, note VARCHAR(60), KEY (customer));
             CREATE TABLE customers (id INT PRIMARY KEY, orders INT NOT NULL DEFAULT 0);
             CREATE TABLE stock (id INT PRIMARY KEY, amount INT NOT NULL DEFAULT 0);
             INSERT INTO customers (id) WITH RECURSIVE n AS (SELECT 0 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             SELECT i FROM n;
             INSERT INTO stock (id) SELECT id FROM customers;",
        )?;
        server.try_sql(
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
        let store = dir.join("store");
        fs::create_dir_all(&store)?;
        let at = match vendor {
            Vendor::Mariadb => server.try_sql("SHOW MASTER STATUS")?,
            Vendor::Mysql => server.try_sql("SHOW BINARY LOG STATUS")?,
        };
        let at = at.into_iter().next().unwrap_or_default();
        let base = plant_full(&mut server, &store)?;
        crate::say("running the transactions");
        server.try_sql(&format!("CALL bench.sell({transactions})"))?;
        let wanted = server.checksums("bench")?;
        let config = dir.join("replay.yml");
        let mut text = format!(
            "nfs_root: {}\nmysql_option_file: {}\nscratch_dir: {}\nprepare_memory: {BUFFER_POOL}\n",
            store.display(),
            server.backup_option_file().display(),
            dir.display(),
        );
        let [server_program, client] = programs(vendor);
        for (key, program) in [
            ("mysqld", vendor.program(server_program)?),
            ("mysql", vendor.program(client)?),
            ("mysqlbinlog", vendor.binlog_reader()?),
        ] {
            text += &format!("{key}: {}\n", program.display());
        }
        fs::write(&config, text)?;
        let from = (at.first().cloned().unwrap_or_default(), at.get(1).cloned().unwrap_or_default());
        let bench = Bench { vendor, dbbak, dir, config, server, base, from, wanted };
        bench.run(&["init"])?;
        bench.run(&["ship-binlogs", "--flush", "--exec"])?;
        Ok(bench)
    }

    fn run(&self, arguments: &[&str]) -> Result<Run, Failure> {
        let mut command = Command::new(self.dbbak);
        command.arg("--config-path").arg(&self.config).args(arguments);
        run(&mut command, &self.dir.join("dbbak.log"), TICK)
    }

    /// Seconds of the steps that count.
    fn with_dbbak(&self) -> Result<f64, Failure> {
        let workdir = self.dir.join("restored");
        let place = workdir.display().to_string();
        settle()?;
        self.run(&["restore", "--latest", "--replay", "relay", "--check", "none", "--workdir", &place, "--exec"])?;
        let report: serde_json::Value = serde_json::from_slice(&fs::read(workdir.join("dbbak-restore.json"))?)?;
        let phases = report["phases"].as_array().cloned().unwrap_or_default();
        let counted = phases.iter().filter(|phase| {
            let title = phase["title"].as_str().unwrap_or_default();
            title.starts_with("unpack") || title.starts_with("replay")
        });
        let seconds = counted.filter_map(|phase| phase["seconds"].as_f64()).sum();
        self.compare(&workdir.join("data"))?;
        fs::remove_dir_all(&workdir)?;
        Ok(seconds)
    }

    fn by_hand(&self) -> Result<Run, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/by-hand-replay.sh");
        let (datadir, work) = (self.dir.join("by-hand"), self.dir.join("by-hand-work"));
        copy_tree(&self.base, &datadir)?;
        settle()?;
        let mut command = Command::new(script);
        let [server_program, client] = programs(self.vendor);
        command.arg(self.vendor.program(server_program)?).arg(self.vendor.binlog_reader()?);
        command.arg(self.vendor.program(client)?);
        command.arg(self.server.root_option_file()).arg(&datadir).arg(&work);
        command.arg(BUFFER_POOL.to_string()).arg(&self.from.1).args(self.binlogs()?);
        let measured = run(&mut command, &self.dir.join("by-hand.log"), TICK)?;
        self.compare(&datadir)?;
        fs::remove_dir_all(&datadir)?;
        fs::remove_dir_all(&work)?;
        Ok(measured)
    }

    /// The binlogs from the planted full's on, but for the one that is being written.
    fn binlogs(&self) -> Result<Vec<PathBuf>, Failure> {
        let names = self.server.try_sql("SHOW BINARY LOGS")?;
        let mut names: Vec<String> = names.into_iter().filter_map(|row| row.into_iter().next()).collect();
        names.pop();
        let dir = self.server.binlog_dir();
        Ok(names.into_iter().filter(|name| *name >= self.from.0).map(|name| dir.join(name)).collect())
    }

    fn compare(&self, datadir: &Path) -> Result<(), Failure> {
        let work = self.dir.join("compare");
        let options = ServerOptions { log_bin: None, ..self.server.options().clone() };
        let mut server = Server::on_datadir(datadir, &work, options)?;
        let found = server.checksums("bench")?;
        server.stop()?;
        drop(server);
        fs::remove_dir_all(&work)?;
        if found == self.wanted { Ok(()) } else { Err(Failure("the replayed tables differ from the source's".into())) }
    }
}
