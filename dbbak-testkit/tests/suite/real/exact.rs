//! Random targets in a random workload: the restored rows are those that the source had there, by the word of a witness that
//! knows nothing of dbbak's reader and planners.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use dbbak_testkit::random::Random;
use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{MariadbServer, Options};
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

/// What is run of a workload, and where a target may lie.
struct Story {
    history: History,
    /// The first transaction that certainly came after the backup.
    first: usize,
    /// The clock when the backup was there.
    backed_up: u64,
}

impl Story {
    /// A target of a kind, after the backup.
    fn target(&self, random: &mut Random, kind: u64) -> Target {
        loop {
            match self.history.choose(random, kind, self.first, self.history.log.len()) {
                Target::Time(at) if at <= self.backed_up => {}
                target => return target,
            }
        }
    }

    /// The differences between what was restored and what the source held after so many transactions.
    fn differences(&self, found: &Seen, transactions: usize) -> Vec<String> {
        found.differences(&self.history.state_after(transactions).seen())
    }

    /// What stands around a place in the log, for messages.
    fn around(&self, transactions: usize) -> String {
        let times = self.history.times();
        let from = transactions.saturating_sub(3);
        let lines = self.history.log.iter().enumerate().skip(from).take(6);
        lines.map(|(index, logged)| format!("{index}: {} {logged:?}\n", text(times[index]))).collect()
    }
}

/// Writes, backs up, writes on through rotations, restarts and crashes, and archives all of it.
fn mariadb_story(scenario: &mut Scenario, seed: u64) -> Story {
    let mut random = Random::new(seed ^ 0x7A16);
    let mut driver = Driver::new(&scenario.server, seed).unwrap();
    driver.run(&scenario.server, 80).unwrap();
    scenario.full();
    let backed_up = micros();
    driver.run(&scenario.server, 5).unwrap();
    let commits = driver.commits();
    for round in 0..5 {
        driver.run(&scenario.server, 90).unwrap();
        if round < 4 {
            driver.restart(&mut scenario.server, random.percent(60)).unwrap();
        }
        if random.percent(40) {
            scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
        }
    }
    let witness = driver.stop(&scenario.server).unwrap();
    scenario.ship();
    let history = witness.along(log::read(&scenario.server).unwrap()).unwrap();
    let last = &witness.commits[commits].gtid;
    let first = history.log.iter().position(|logged| logged.gtid == *last).unwrap() + 1;
    Story { history, first, backed_up }
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
fn restored(scenario: &Scenario, target: &Target) -> Seen {
    let args = restore_args(target);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let restored = scenario.restore(&args);
    let options = Options { log_bin: None, ..Options::default() };
    let mut server = MariadbServer::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
    let seen = Seen::of(&server).unwrap();
    server.kill9();
    drop(server);
    std::fs::remove_dir_all(restored.datadir.parent().unwrap()).unwrap();
    seen
}

#[test]
fn real_random_targets_land_where_the_witness_says() {
    if !require_servers() {
        return;
    }
    let (seeds, targets) = if soaking() { (5, 12) } else { (1, 6) };
    let mut agreed = 0;
    for seed in (0..seeds).map(|seed| 7100 + seed) {
        let mut scenario = Scenario::new();
        let story = mariadb_story(&mut scenario, seed);
        let mut random = Random::new(seed);
        for number in 0..targets {
            let target = story.target(&mut random, KINDS[number % KINDS.len()]);
            let wanted = story.history.taken_in(&target);
            let seen = restored(&scenario, &target);
            let differences = story.differences(&seen, wanted);
            assert!(
                differences.is_empty(),
                "seed {seed}, {target:?}, after {wanted} transactions: {differences:#?}\n{}",
                story.around(wanted)
            );
            // The comparison would notice one transaction too many, and one too few.
            assert!(!story.differences(&seen, wanted + 1).is_empty());
            assert!(!story.differences(&seen, wanted - 1).is_empty());
            agreed += 1;
        }
    }
    println!("MariaDB: {seeds} seeds, {agreed} targets, {agreed} agreed");
}

const KINDS: [u64; 1] = [0];
