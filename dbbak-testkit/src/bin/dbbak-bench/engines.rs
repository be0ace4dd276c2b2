//! The engines beside each other, on the same tables.

use crate::{
    Failure, Options,
    measure::{Spread, settle},
    report::Section,
    source::{Source, bytes_below, vendors},
};
use dbbak_testkit::real::{find_mysql_program, has_xtrabackup};
use dbbak_testkit::server::{Checksums, Vendor};
use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long the writer rests between two transactions.
const REST: Duration = Duration::from_millis(5);
/// How long the writer is watched without a backup.
const ALONE: Duration = Duration::from_secs(5);
const HEAD: [&str; 7] = [
    "Server",
    "Engine",
    "backup-full: s",
    "longest wait of a writer meanwhile: ms",
    "lock that the tool reports: s",
    "size in the store: MB",
    "restore: s",
];

/// What one round with one engine took.
struct Round {
    backup: f64,
    wait: f64,
    lock: Option<f64>,
    size: f64,
    restore: f64,
}

/// Measures the engines that are there.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let mut table = vec![HEAD.map(str::to_owned).to_vec()];
    let mut bytes = 0;
    // A time without a goal: three rounds show its spread.
    let rounds = options.repetitions().min(3);
    for (vendor, name) in vendors() {
        let source = Source::start(vendor, options, dbbak, &dir.join(format!("engines-{name}")))?;
        bytes = source.fill(options.quick)?;
        source.server.try_sql(
            "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'dbbak'@'localhost'; CREATE DATABASE probe;
             CREATE TABLE probe.one (n INT NOT NULL) ENGINE=InnoDB; INSERT INTO probe.one VALUES (0);",
        )?;
        let engines = match vendor {
            Vendor::Mariadb => vec!["mariadb-backup", "dump"],
            Vendor::Mysql => {
                source.server.try_sql(
                    "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost';
                     GRANT SELECT ON performance_schema.log_status TO 'dbbak'@'localhost';
                     GRANT SELECT ON performance_schema.keyring_component_status TO 'dbbak'@'localhost';
                     GRANT SELECT ON performance_schema.replication_group_members TO 'dbbak'@'localhost'",
                )?;
                let mut engines = vec!["clone", "dump"];
                engines.extend(has_xtrabackup().then_some("xtrabackup"));
                engines
            }
        };
        let wanted = source.server.checksums("bench")?;
        let ((), alone) = longest_wait(&source, || {
            thread::sleep(ALONE);
            Ok(())
        })?;
        let mut found: Vec<Vec<Round>> = engines.iter().map(|_| Vec::new()).collect();
        for round in 0..rounds {
            for step in 0..engines.len() {
                let which = (round + step) % engines.len();
                found[which].push(measure_one(&source, engines[which], &wanted)?);
            }
        }
        for (engine, rounds) in engines.iter().zip(&found) {
            let of = |value: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(value));
            let lock = rounds
                .iter()
                .filter_map(|round| round.lock)
                .fold(None, |most, lock| Some(lock.max(most.unwrap_or(0.0))));
            table.push(vec![
                name.to_owned(),
                (*engine).to_owned(),
                of(&|round| round.backup).text(1, ""),
                of(&|round| round.wait * 1000.0).text(0, ""),
                lock.map_or_else(|| "none".to_owned(), |lock| format!("{lock}")),
                of(&|round| round.size / 1e6).text(0, ""),
                of(&|round| round.restore).text(1, ""),
            ]);
        }
        let mut without =
            vec![name.to_owned(), "no backup".to_owned(), "-".to_owned(), format!("{:.0}", alone * 1000.0)];
        without.extend(["-"; 3].map(str::to_owned));
        table.push(without);
    }
    Ok(Section {
        name: "engines",
        title: format!("The engines beside each other, on {} MB of tables", bytes / 1_000_000),
        method: format!(
            "Four InnoDB tables of random text, and a table that a client updates all the while, in transactions of one row, \
             {REST:?} after each other: the longest that one of them took is what a backup holds writers up. `dbbak \
             backup-full --engine ENGINE --exec` into a fresh store, with dbbak's default settings (so a full of mariadb-backup or XtraBackup is \
             kept raw and prepared, three trees), and `dbbak restore --no-pitr --exec` of it into a fresh directory, the check \
             of all tables included; the tables' checksums are equal to the source's after each restore. {rounds} rounds, the \
             order changing; median (least-greatest). The tool's own report of its lock is in whole seconds. {}",
            if has_xtrabackup() { "" } else { "XtraBackup is missing: Debian has no package of it." }
        ),
        rows: Vec::new(),
        table,
    })
}

fn measure_one(source: &Source<'_>, engine: &str, wanted: &Checksums) -> Result<Round, Failure> {
    let program = find_mysql_program("xtrabackup").filter(|_| engine == "xtrabackup");
    let tool = program.map_or_else(String::new, |program| format!("xtrabackup: {}\n", program.display()));
    let config = source.configure("engines", &tool, &[])?;
    let store = source.store("engines");
    source.dbbak(&config, &["init"])?;
    settle()?;
    let (backup, wait) =
        longest_wait(source, || source.dbbak(&config, &["backup-full", "--engine", engine, "--exec"]))?;
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(store.join("manifest.json"))?)?;
    let size = bytes_below(&store)? as f64;
    settle()?;
    let restored = source.restore(&config, &["--no-pitr"])?;
    source.compare(&restored.datadir(), wanted)?;
    fs::remove_dir_all(&restored.workdir)?;
    fs::remove_dir_all(&store)?;
    settle()?;
    let round = Round {
        backup: backup.seconds,
        wait,
        lock: manifest[0]["lock_seconds"].as_f64(),
        size,
        restore: restored.run.seconds,
    };
    crate::say(&format!(
        "{engine}: backup {:.1} s, longest wait {:.0} ms, {:.0} MB, restore {:.1} s",
        round.backup,
        round.wait * 1000.0,
        round.size / 1e6,
        round.restore
    ));
    Ok(round)
}

/// Does something while a client writes; returns also the seconds that its longest transaction took.
fn longest_wait<T>(source: &Source<'_>, work: impl FnOnce() -> Result<T, Failure>) -> Result<(T, f64), Failure> {
    let mut session = source.server.client()?;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| -> Result<f64, Failure> {
            let mut longest: f64 = 0.0;
            while !done.load(Ordering::Relaxed) {
                let started = Instant::now();
                session.run("UPDATE probe.one SET n = n + 1")?;
                longest = longest.max(started.elapsed().as_secs_f64());
                thread::sleep(REST);
            }
            Ok(longest)
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        let longest = writer.join().map_err(|_| Failure("the writer panicked".into()))?;
        Ok((result?, longest?))
    })
}
