//! Random targets in a random workload, from every engine's backups and by both ways of replaying: the restored rows are those
//! that the source had there, by the word of a witness that knows nothing of dbbak's reader and planners.

#![expect(clippy::print_stdout, reason = "the soak prints its results; a failure shows the seed")]

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use dbbak_core::plan::RestoreReport;
use dbbak_testkit::random::Random;
use dbbak_testkit::real::{find_mysql_program, has_xtrabackup, require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, Vendor};
use dbbak_testkit::witness::targets::Target;
use dbbak_testkit::witness::{Driver, History, Seen, log};

/// How much is done: enough to run with each change, or for hours.
fn soaking() -> bool {
    std::env::var_os("DBBAK_SOAK").is_some()
}

fn micros() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// A moment as the command line takes it.
fn text(micros: u64) -> String {
    let time = DateTime::<Utc>::from_timestamp_micros(i64::try_from(micros).unwrap()).unwrap();
    time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

/// The ways of replaying.
const WAYS: [&str; 2] = ["relay", "pipe"];

/// The engines that a vendor's server can be backed up with here.
fn engines(vendor: Vendor) -> Vec<&'static str> {
    match vendor {
        Vendor::Mariadb => vec!["mariadb-backup", "dump"],
        Vendor::Mysql if has_xtrabackup() => vec!["clone", "dump", "xtrabackup"],
        Vendor::Mysql => vec!["clone", "dump"],
    }
}

/// A full in the middle of the workload.
struct Backup {
    engine: &'static str,
    /// What its manifest entry is called.
    stamp: String,
    /// How many transactions of the log were certainly there when it had ended, and at least one more.
    first: usize,
    /// The clock when the backup was there.
    backed_up: u64,
}

/// What was run of a workload, and where a target may lie.
struct Story {
    history: History,
    backups: Vec<Backup>,
}

impl Story {
    /// The target of a number, after the backup: the first one while a statement runs for seconds, then one of each kind.
    fn target(&self, backup: &Backup, random: &mut Random, number: usize) -> Target {
        let late = |target: &Target| !matches!(target, Target::Time(at) if *at <= backup.backed_up);
        if number == 0
            && let Some(target) = self.history.choose_within_a_statement(backup.first).filter(late)
        {
            return target;
        }
        let kind = KINDS[number % KINDS.len()];
        loop {
            let target = self.history.choose(random, kind, backup.first, self.history.log.len());
            if late(&target) {
                return target;
            }
        }
    }

    /// The differences between what was restored and what the source held after so many transactions.
    fn differences(&self, found: &Seen, transactions: usize) -> Vec<String> {
        found.differences(&self.history.state_after(transactions).seen())
    }
}

/// A backup that is taken while one client goes on writing.
fn back_up(scenario: &Scenario, driver: &mut Driver, engine: &'static str) -> (Backup, usize) {
    let server = &scenario.server;
    if engine == "dump" {
        // No dump holds a prepared transaction, and its locks wait for a statement that runs.
        driver.decide_all(server).unwrap();
        driver.end_slow(server).unwrap();
    } else {
        driver.leave_one_prepared(server).unwrap();
    }
    let stamp = scenario.backup(&["backup-full", "--engine", engine]);
    let backed_up = micros();
    driver.run(server, 5).unwrap();
    (Backup { engine, stamp, first: 0, backed_up }, driver.commits())
}

/// Writes, backs up with some engines, writes on through rotations, restarts and crashes, and archives all of it. The clocks
/// of MySQL's sessions are skewed by hours in both directions.
fn story(scenario: &mut Scenario, seed: u64, engines: &[&'static str]) -> Story {
    println!("seed {seed} in {}", scenario.root().display());
    let vendor = scenario.server.options().vendor;
    // Not in the log: the witness knows of no such transaction.
    scenario.server.sql("SET sql_log_bin = 0; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'dbbak'@'localhost';");
    if vendor == Vendor::Mysql {
        scenario.server.sql(
            "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; SET sql_log_bin = 0; \
             GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost'; \
             GRANT SELECT ON performance_schema.log_status TO 'dbbak'@'localhost'; \
             GRANT SELECT ON performance_schema.keyring_component_status TO 'dbbak'@'localhost'; \
             GRANT SELECT ON performance_schema.replication_group_members TO 'dbbak'@'localhost'",
        );
    }
    let (rounds, steps) = if soaking() { (5, 90) } else { (3, 45) };
    let mut random = Random::new(seed ^ 0x7A16);
    let mut driver = Driver::new(&scenario.server, seed).unwrap();
    if vendor == Vendor::Mysql {
        driver.pace = Duration::from_millis(8);
    }
    let mut taken = Vec::new();
    for engine in engines {
        driver.run(&scenario.server, steps).unwrap();
        taken.push(back_up(scenario, &mut driver, engine));
    }
    for round in 0..rounds {
        driver.run(&scenario.server, steps).unwrap();
        if round + 1 < rounds {
            driver.restart(&mut scenario.server, random.percent(60)).unwrap();
        }
        if random.percent(40) {
            scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
        }
    }
    let witness = driver.stop(&scenario.server).unwrap();
    scenario.ship();
    let history = witness.along(log::read(&scenario.server).unwrap()).unwrap();
    let place = |(backup, commits): (Backup, usize)| {
        let last = &witness.commits[commits].gtid;
        let first = history.log.iter().position(|logged| logged.gtid == *last).unwrap() + 1;
        Backup { first, ..backup }
    };
    let backups = taken.into_iter().map(place).collect();
    Story { history, backups }
}

fn restore_args(target: &Target) -> Vec<String> {
    let texts = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect();
    match target {
        Target::Time(at) => texts(&["--exact", "--time", &text(*at)]),
        Target::Gtid(gtid) => texts(&["--gtid", gtid]),
        Target::BeforeGtid(gtid) => texts(&["--before-gtid", gtid]),
        Target::Position(file, position) => texts(&["--position", &format!("{file}:{position}")]),
    }
}

/// What a server on the restored data shows.
struct Landed {
    seen: Seen,
    /// On MySQL how many transactions of the log the server counts as executed.
    transactions: Option<usize>,
}

fn restored(scenario: &Scenario, story: &Story, backup: &Backup, target: &Target, way: &str) -> Landed {
    let args = restore_args(target);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["--backup", &backup.stamp, "--replay", way]);
    let ran = scenario.try_restore(&args);
    // Whatever transaction the message of a failure names: what stands there.
    let named =
        story.history.log.iter().position(|logged| ran.stdout.contains(&format!("expected {}\\t", logged.gtid)));
    if let Some(named) = named.filter(|_| ran.code != Some(0)) {
        println!("{}", story.history.around(named));
    }
    let report: RestoreReport = serde_json::from_str(&ran.exits(0).stdout).unwrap();
    assert_eq!(report.chain.last().map(|link| link.backup.contains(&backup.stamp)), Some(true), "{:?}", report.chain);
    let datadir = report.datadir;
    let vendor = scenario.server.options().vendor;
    let options = Options { vendor, log_bin: None, ..Options::default() };
    let mut server = Server::on_datadir(&datadir, &scenario.fresh("look"), options).unwrap();
    let seen = Seen::of(&server).unwrap();
    let executed = |gtid: &str| server.value(&format!("SELECT GTID_SUBSET('{gtid}', @@global.gtid_executed)")) == "1";
    // The GTIDs are executed up to some transaction, and none from there on.
    let transactions =
        (vendor == Vendor::Mysql).then(|| story.history.log.partition_point(|logged| executed(&logged.gtid)));
    server.kill9();
    drop(server);
    std::fs::remove_dir_all(datadir.parent().unwrap()).unwrap();
    Landed { seen, transactions }
}

/// The kinds of targets that are tried, in turn.
const KINDS: [u64; 4] = [0, 1, 2, 3];

/// What agreed with one engine and one way, as a row for `docs/benchmarks.md`.
#[derive(Default)]
struct Tally {
    /// Targets by kind: time, GTID, before a GTID, position.
    kinds: [usize; 4],
    took: Duration,
}

impl Tally {
    fn add(&mut self, target: &Target, took: Duration) {
        let kind = match target {
            Target::Time(_) => 0,
            Target::Gtid(_) => 1,
            Target::BeforeGtid(_) => 2,
            Target::Position(..) => 3,
        };
        self.kinds[kind] += 1;
        self.took += took;
    }

    fn say(&self, server: &Server, engine: &str, way: &str, seeds: &Range<u64>) {
        let [time, gtid, before, position] = self.kinds;
        let all: usize = self.kinds.iter().sum();
        println!(
            "| {} | {engine} | {way} | {}-{} | {time} | {gtid} | {before} | {position} | {all} of {all} | {} s |",
            server.value("SELECT CONCAT(@@version_comment, ' ', VERSION())"),
            seeds.start,
            seeds.end - 1,
            self.took.as_secs(),
        );
    }
}

/// The number in an environment variable, if it is set.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Each target of the soak is restored to from every engine's backup and by both ways. With each change there are six seeds
/// with a backup of one engine each, and a target for each way.
fn random_targets(options: &Options, first: u64) {
    let first = number("DBBAK_SEED").unwrap_or(first);
    let seeds = first..first + number("DBBAK_SEEDS").unwrap_or(if soaking() { 5 } else { 6 });
    let targets = usize::try_from(number("DBBAK_TARGETS").unwrap_or(12)).unwrap();
    let engines = engines(options.vendor);
    let xtrabackup = find_mysql_program("xtrabackup").filter(|_| engines.contains(&"xtrabackup"));
    let config = xtrabackup.map_or(String::new(), |program| format!("xtrabackup: {}", program.display()));
    let mut tallies: Vec<[Tally; 2]> = engines.iter().map(|_| Default::default()).collect();
    for seed in seeds.clone() {
        let mut scenario = Scenario::with(options.clone(), &config);
        let index = usize::try_from(seed - first).unwrap();
        let turn = index % engines.len();
        let some = if soaking() { &engines[..] } else { &engines[turn..=turn] };
        let story = story(&mut scenario, seed, some);
        let mut random = Random::new(seed);
        for backup in &story.backups {
            for number in 0..if soaking() { targets } else { WAYS.len() } {
                // Both ways get every kind of target.
                let kind = if soaking() { number } else { index * 3 + number };
                let target = story.target(backup, &mut random, kind);
                let wanted = story.history.taken_in(&target);
                let ways = if soaking() { &WAYS[..] } else { &WAYS[number..=number] };
                for way in ways {
                    let since = Instant::now();
                    let landed = restored(&scenario, &story, backup, &target, way);
                    let differences = story.differences(&landed.seen, wanted);
                    assert!(
                        differences.is_empty(),
                        "seed {seed}, {}, {way}, {target:?}, after {wanted} transactions: {differences:#?}\n{}",
                        backup.engine,
                        story.history.around(wanted)
                    );
                    // The comparison would notice one transaction too many, and one too few.
                    assert!(!story.differences(&landed.seen, wanted + 1).is_empty());
                    assert!(!story.differences(&landed.seen, wanted - 1).is_empty());
                    assert_eq!(landed.transactions.unwrap_or(wanted), wanted, "seed {seed}, {target:?}");
                    let place = |name, all: &[&str]| all.iter().position(|other| *other == name).unwrap();
                    let tally = &mut tallies[place(backup.engine, &engines)][place(way, &WAYS)];
                    tally.add(&target, since.elapsed());
                }
            }
        }
        if seed + 1 == seeds.end {
            for (engine, tallies) in engines.iter().zip(&tallies) {
                for (way, tally) in WAYS.iter().zip(tallies) {
                    tally.say(&scenario.server, engine, way, &seeds);
                }
            }
        }
    }
}

#[test]
fn real_random_targets_land_where_the_witness_says() {
    if require_servers() {
        random_targets(&Options::default(), 7100);
    }
}

#[test]
fn real_mysql_random_targets_land_where_the_witness_says() {
    if require_mysql() {
        random_targets(&Options::mysql(), 9700);
    }
}
