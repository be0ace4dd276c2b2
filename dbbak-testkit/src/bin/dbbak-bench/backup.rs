//! A full backup against the same steps by hand, in interleaved pairs.

use crate::{
    Failure, Options,
    measure::{Run, Spread, run, settle},
    report::{Row, Section},
};
use dbbak_testkit::server::{MariadbServer, Options as ServerOptions};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const TICK: Duration = Duration::from_millis(5);
const RATIO_ALLOWED: f64 = 1.15;
const PEAK_ALLOWED: f64 = 100e6;
const TABLES: usize = 4;
/// As dbbak's own defaults.
const THREADS: u32 = 4;
const PREPARE_MEMORY: u64 = 512 << 20;

/// Measures full backups.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let rows = if options.quick { 10_000 } else { 650_000 };
    let server = MariadbServer::start(&dir.join("server"), server_options())?;
    crate::say("filling the server");
    let bytes = fill(&server, rows)?;
    let bench = Bench { dbbak, dir, server: &server };
    settle()?;
    // Both sides once without being counted: they find the same page cache from then on.
    bench.with_dbbak()?;
    bench.by_hand()?;
    let mut pairs = Vec::new();
    for number in 0..options.repetitions() + 2 {
        // Who goes first changes, for what one leaves behind may slow the other.
        let (own, hand) = if number % 2 == 0 {
            let own = bench.with_dbbak()?;
            (own, bench.by_hand()?)
        } else {
            let hand = bench.by_hand()?;
            (bench.with_dbbak()?, hand)
        };
        crate::say(&format!("pair {}: dbbak {:.2} s, by hand {:.2} s", number + 1, own.seconds, hand.seconds));
        pairs.push((own, hand));
    }
    let own = Spread::of(pairs.iter().map(|(own, _)| own.seconds));
    let hand = Spread::of(pairs.iter().map(|(_, hand)| hand.seconds));
    let ratio = Spread::of(pairs.iter().map(|(own, hand)| own.seconds / hand.seconds));
    let peak = Spread::of(pairs.iter().map(|(own, _)| own.peak as f64));
    let megabytes = bytes / 1_000_000;
    Ok(Section {
        name: "backup",
        title: format!("backup-full of {megabytes} MB of tables"),
        method: format!(
            "A MariaDB server with {TABLES} InnoDB tables of random text. `dbbak backup-full --exec` against \
             `dbbak-testkit/bench/by-hand-backup.sh`: mariadb-backup, two copies with `cp -a`, two prepares, `sync`. \
             {} pairs, the order changing from pair to pair, after one uncounted run of each; the target is fresh each \
             time, what the run before wrote is removed and `sync` has ended before the clock starts; the server's \
             files stay in the page cache for both. Both sides use {THREADS} threads and {PREPARE_MEMORY} bytes for a \
             prepare. Both end with everything on the disk; dbbak also reads and hashes every file of the three trees, \
             checks what the tool left and the binlog coordinates, and enters the backup into its store; it prepares once \
             and copies the result, since mariadb-backup has no prepare that ends early. The ratio is \
             that of each pair. Memory is the high-water mark of dbbak's own process.",
            pairs.len()
        ),
        rows: vec![
            Row::free("dbbak backup-full: time".into(), own, 2, " s", 1.0),
            Row::free("by hand: time".into(), hand, 2, " s", 1.0),
            Row::limited("ratio dbbak / by hand".into(), ratio, 3, "", 1.0, RATIO_ALLOWED),
            Row::limited("dbbak: peak memory".into(), peak, 0, " MB", 1e-6, PEAK_ALLOWED),
        ],
        table: Vec::new(),
    })
}

fn server_options() -> ServerOptions {
    // Filling goes quickly with a large log; what it holds at the end is not in the backups.
    ServerOptions::default().with("--innodb-log-file-size=256M").with("--innodb-buffer-pool-size=512M")
}

/// Makes tables of random text and returns their bytes on disk.
fn fill(server: &MariadbServer, rows: usize) -> Result<u64, Failure> {
    server.try_sql("CREATE DATABASE bench")?;
    for table in 0..TABLES {
        server.try_sql(&format!(
            "SET sql_log_bin = 0; USE bench;
             CREATE TABLE t{table} (id INT PRIMARY KEY, a VARCHAR(128), b VARCHAR(128), c VARCHAR(64)) ENGINE=InnoDB;
             INSERT INTO t{table} SELECT seq, SHA2(RAND(), 512), SHA2(RAND(), 512), SHA2(RAND(), 256)
             FROM seq_1_to_{rows};"
        ))?;
    }
    // Everything to the files, so that all runs back up the same.
    server.try_sql(
        "FLUSH TABLES; SET GLOBAL innodb_max_dirty_pages_pct = 0; SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0",
    )?;
    wait_until_clean(server)?;
    let files = fs::read_dir(server.datadir().join("bench"))?;
    Ok(files.filter_map(|file| file.ok()?.metadata().ok()).map(|meta| meta.len()).sum())
}

fn wait_until_clean(server: &MariadbServer) -> Result<(), Failure> {
    for _ in 0..600 {
        let rows = server.try_sql("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")?;
        if rows.first().and_then(|row| row.get(1)).is_some_and(|pages| pages == "0") {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(Failure("the server did not write its pages within a minute".into()))
}

struct Bench<'a> {
    dbbak: &'a Path,
    dir: &'a Path,
    server: &'a MariadbServer,
}

impl Bench<'_> {
    fn with_dbbak(&self) -> Result<Run, Failure> {
        let root = self.dir.join("store");
        let config = self.config(&root)?;
        let log = self.dir.join("dbbak.log");
        let dbbak = |arguments: &[&str]| {
            let mut command = Command::new(self.dbbak);
            command.arg("--config-path").arg(&config).args(arguments);
            command
        };
        run(&mut dbbak(&["init"]), &log, TICK)?;
        settle()?;
        let measured = run(&mut dbbak(&["backup-full", "--exec"]), &log, TICK)?;
        fs::remove_dir_all(&root)?;
        settle()?;
        Ok(measured)
    }

    fn by_hand(&self) -> Result<Run, Failure> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/by-hand-backup.sh");
        let target = self.dir.join("by-hand");
        settle()?;
        let mut command = Command::new(script);
        command.arg(self.server.backup_option_file()).arg(&target);
        command.args([THREADS.to_string(), PREPARE_MEMORY.to_string()]);
        let measured = run(&mut command, &self.dir.join("by-hand.log"), TICK)?;
        fs::remove_dir_all(&target)?;
        settle()?;
        Ok(measured)
    }

    fn config(&self, root: &Path) -> Result<PathBuf, Failure> {
        let path = self.dir.join("backup.yml");
        let option_file = self.server.backup_option_file();
        let text = format!(
            "nfs_root: {}\nmysql_option_file: {}\nparallel: {THREADS}\nprepare_memory: {PREPARE_MEMORY}\n",
            root.display(),
            option_file.display()
        );
        fs::write(&path, text)?;
        Ok(path)
    }
}
