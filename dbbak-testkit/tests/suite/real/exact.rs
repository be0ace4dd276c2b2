//! Random targets in a random workload: the restored rows are those that the source had there, by the word of a witness that
//! knows nothing of dbbak's reader and planners.

#![expect(clippy::print_stdout, reason = "the soak prints its results; a failure shows the seed")]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use dbbak_cli::SystemProbe;
use dbbak_core::catalog::Catalog;
use dbbak_core::model::Goal;
use dbbak_core::plan::RestoreReport;
use dbbak_core::store::{LocalStore, open_binlog};
use dbbak_core::survey;
use dbbak_testkit::random::Random;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, Vendor, copy_tree};
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
    /// The target of a number, after the backup: the first one while a statement runs for seconds, then one of each kind.
    fn target(&self, random: &mut Random, number: usize) -> Target {
        if number == 0
            && let Some(target) = self.history.choose_within_a_statement(self.first)
        {
            return target;
        }
        let kind = KINDS[number % KINDS.len()];
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
}

/// Writes, backs up, writes on through rotations, restarts and crashes, and archives all of it.
fn mariadb_story(scenario: &mut Scenario, seed: u64) -> Story {
    println!("seed {seed} in {}", scenario.root().display());
    let mut random = Random::new(seed ^ 0x7A16);
    let mut driver = Driver::new(&scenario.server, seed).unwrap();
    driver.run(&scenario.server, 80).unwrap();
    driver.leave_one_prepared(&scenario.server).unwrap();
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
fn restored(scenario: &Scenario, story: &Story, target: &Target, way: &str) -> Seen {
    let args = restore_args(target);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["--replay", way]);
    let ran = scenario.try_restore(&args);
    // Whatever transaction the message of a failure names: what stands there.
    let named =
        story.history.log.iter().position(|logged| ran.stdout.contains(&format!("expected {}\\t", logged.gtid)));
    if let Some(named) = named.filter(|_| ran.code != Some(0)) {
        println!("{}", story.history.around(named));
    }
    let report: RestoreReport = serde_json::from_str(&ran.exits(0).stdout).unwrap();
    let datadir = report.datadir;
    let options = Options { log_bin: None, ..Options::default() };
    let mut server = Server::on_datadir(&datadir, &scenario.fresh("look"), options).unwrap();
    let seen = Seen::of(&server).unwrap();
    server.kill9();
    drop(server);
    std::fs::remove_dir_all(datadir.parent().unwrap()).unwrap();
    seen
}

/// The kinds of targets that are tried, in turn.
const KINDS: [u64; 4] = [0, 1, 2, 3];

/// The seeds to run, from `DBBAK_SEED` on where that is set, and how many targets each.
fn amount(first: u64) -> (Range<u64>, usize) {
    let first = std::env::var("DBBAK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(first);
    if soaking() { (first..first + 5, 12) } else { (first..first + 1, 6) }
}

/// What agreed, as a row for `docs/benchmarks.md`.
#[derive(Default)]
struct Tally {
    /// Targets by kind: time, GTID, before a GTID, position.
    kinds: [usize; 4],
}

impl Tally {
    fn add(&mut self, target: &Target) {
        let kind = match target {
            Target::Time(_) => 0,
            Target::Gtid(_) => 1,
            Target::BeforeGtid(_) => 2,
            Target::Position(..) => 3,
        };
        self.kinds[kind] += 1;
    }

    fn say(&self, server: &Server, seeds: &Range<u64>, since: Instant) {
        let [time, gtid, before, position] = self.kinds;
        println!(
            "| {} | {}-{} | {time} | {gtid} | {before} | {position} | {} of {} | {} s |",
            server.value("SELECT CONCAT(@@version_comment, ' ', VERSION())"),
            seeds.start,
            seeds.end - 1,
            self.kinds.iter().sum::<usize>(),
            self.kinds.iter().sum::<usize>(),
            since.elapsed().as_secs(),
        );
    }
}

#[test]
fn real_random_targets_land_where_the_witness_says() {
    if !require_servers() {
        return;
    }
    let (since, mut tally) = (Instant::now(), Tally::default());
    let (seeds, targets) = amount(7100);
    for seed in seeds.clone() {
        let mut scenario = Scenario::new();
        let story = mariadb_story(&mut scenario, seed);
        let mut random = Random::new(seed);
        for number in 0..targets {
            let target = story.target(&mut random, number);
            let wanted = story.history.taken_in(&target);
            let way = if number % 3 == 2 { "pipe" } else { "relay" };
            let seen = restored(&scenario, &story, &target, way);
            let differences = story.differences(&seen, wanted);
            assert!(
                differences.is_empty(),
                "seed {seed}, {way}, {target:?}, after {wanted} transactions: {differences:#?}\n{}",
                story.history.around(wanted)
            );
            // The comparison would notice one transaction too many, and one too few.
            assert!(!story.differences(&seen, wanted + 1).is_empty());
            assert!(!story.differences(&seen, wanted - 1).is_empty());
            tally.add(&target);
        }
        if seed + 1 == seeds.end {
            tally.say(&scenario.server, &seeds, since);
        }
    }
}

/// A logical copy of a MySQL server, taken at a known place of its log: there is no physical backup of MySQL yet.
struct Copy {
    datadir: PathBuf,
    /// The file and the offset at which it was taken.
    at: (String, u64),
}

/// Dumps the server while nobody commits, and loads the dump into another one, of which the data directory stays.
fn copy_mysql(scenario: &Scenario, driver: &mut Driver) -> Copy {
    let server = &scenario.server;
    driver.decide_all(server).unwrap();
    let dump = || {
        let at = server.sql("SHOW BINARY LOG STATUS").remove(0);
        let databases = server.sql(
            "SELECT schema_name FROM information_schema.schemata
             WHERE schema_name NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
        );
        let output = Command::new(Vendor::Mysql.program("mysqldump").unwrap())
            .arg(format!("--defaults-file={}", server.root_option_file().display()))
            .args(["--single-transaction", "--set-gtid-purged=ON", "--default-character-set=utf8mb4", "--databases"])
            .args(databases.into_iter().flatten())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        ((at[0].clone(), at[1].parse().unwrap()), String::from_utf8(output.stdout).unwrap())
    };
    let (at, dump) = driver.quietly(server, dump).unwrap();
    let dir = scenario.fresh("copy");
    let mut copy = Server::start(&dir, Options::mysql()).unwrap();
    copy.try_sql(&dump).unwrap();
    copy.stop().unwrap();
    Copy { datadir: dir.join("data"), at }
}

/// The same workload on MySQL, with the sessions' clocks skewed by hours in both directions.
fn mysql_story(scenario: &mut Scenario, seed: u64) -> (Story, Copy) {
    println!("seed {seed} in {}", scenario.root().display());
    let mut random = Random::new(seed ^ 0x7A16);
    let mut driver = Driver::new(&scenario.server, seed).unwrap();
    driver.pace = Duration::from_millis(8);
    driver.run(&scenario.server, 80).unwrap();
    let copy = copy_mysql(scenario, &mut driver);
    for round in 0..3 {
        driver.run(&scenario.server, 100).unwrap();
        if round < 2 {
            driver.restart(&mut scenario.server, random.percent(60)).unwrap();
        }
        if random.percent(40) {
            scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
        }
    }
    let witness = driver.stop(&scenario.server).unwrap();
    scenario.ship();
    let history = witness.along(log::read(&scenario.server).unwrap()).unwrap();
    let first = history.log.iter().position(|logged| (&logged.file, logged.start) >= (&copy.at.0, copy.at.1)).unwrap();
    (Story { history, first, backed_up: 0 }, copy)
}

/// Where dbbak cuts the archive.
fn cut_of(scenario: &Scenario, target: &Target) -> (String, u64) {
    let store = LocalStore::new(scenario.store());
    let catalog = Catalog::load(&store).unwrap();
    let goal = match target {
        Target::Time(at) => Goal::Moment(DateTime::from_timestamp_micros(i64::try_from(*at).unwrap()).unwrap()),
        Target::Gtid(gtid) => Goal::After(gtid.parse().unwrap()),
        Target::BeforeGtid(gtid) => Goal::Before(gtid.parse().unwrap()),
        Target::Position(file, position) => Goal::Position(format!("{file}:{position}").parse().unwrap()),
    };
    let mut facts = survey::host(&SystemProbe);
    survey::cuts(&mut facts, &store, &catalog, &goal, None).unwrap();
    let [fact] = facts.cuts.as_slice() else { panic!("{:?}", facts.cuts) };
    let at = fact.cut.clone().unwrap_or_else(|| panic!("{fact:?}")).at;
    (at.file.to_string(), at.position)
}

/// What a replay onto the copy came to.
struct Replayed {
    seen: Seen,
    /// How many transactions of the log the server counts as executed.
    transactions: usize,
}

/// Keeps the binlogs and the statements of a replay that failed, and quotes the statements around the line that the
/// client names.
fn evidence(work: &Path, statements: &Path, words: &str) -> String {
    let kept = tempfile::Builder::new().prefix("kept-").disable_cleanup(true).tempdir().unwrap();
    for entry in std::fs::read_dir(work).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), kept.path().join(entry.file_name())).unwrap();
        }
    }
    let number = words.split_once("at line ").and_then(|(_, rest)| rest.split(':').next()?.parse().ok()).unwrap_or(1);
    let text = std::fs::read(statements).unwrap();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().enumerate().skip(usize::saturating_sub(number, 40)).take(60);
    let quoted: String = lines.map(|(at, line)| format!("{}: {line:.200}\n", at + 1)).collect();
    format!("kept in {}\n{quoted}", kept.path().display())
}

/// Replays the archive onto the copy up to a place, and looks at what is there then.
fn replayed(scenario: &Scenario, copy: &Copy, (file, position): &(String, u64), story: &Story) -> Replayed {
    let work = scenario.fresh("replay");
    let datadir = work.join("data");
    copy_tree(&copy.datadir, &datadir).unwrap();
    // The archived files, decoded, in the archive's own order.
    let store = LocalStore::new(scenario.store());
    let catalog = Catalog::load(&store).unwrap();
    let timelines = catalog.timelines();
    let [timeline] = timelines.as_slice() else { panic!("{timelines:?}") };
    let names: Vec<&str> = timeline.files.iter().map(|file| file.name.as_str()).collect();
    let index = |name: &str| names.iter().position(|candidate| *candidate == name).unwrap();
    let mut files = Vec::new();
    for entry in &timeline.files[index(&copy.at.0)..=index(file)] {
        let path = work.join(entry.name.as_str());
        let mut input = open_binlog(&store, entry).unwrap();
        std::io::copy(&mut input, &mut File::create(&path).unwrap()).unwrap();
        files.push(path);
    }

    // With a binlog, as dbbak's own servers have one: without, MySQL 9.7.2 loses `CREATE TABLE ... SELECT` in a client's
    // session and counts its GTID (docs/notes-mysql.md).
    let mut server = Server::on_datadir(&datadir, &work, Options::mysql()).unwrap();
    let statements = work.join("replay.sql");
    let reader = Command::new(Vendor::Mysql.binlog_reader().unwrap())
        .args(["--no-defaults", "--verify-binlog-checksum"])
        .args([format!("--start-position={}", copy.at.1), format!("--stop-position={position}")])
        .args(&files)
        .stdout(File::create(&statements).unwrap())
        .status()
        .unwrap();
    assert!(reader.success());
    let client = Command::new(Vendor::Mysql.program("mysql").unwrap())
        .arg(format!("--defaults-file={}", server.root_option_file().display()))
        .args(["--binary-mode", "--max-allowed-packet=1G"])
        .stdin(File::open(&statements).unwrap())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&client.stderr);
    assert!(client.status.success(), "{words}{}", evidence(&work, &statements, &words));
    let seen = Seen::of(&server).unwrap();
    // The GTIDs are executed up to some transaction, and none from there on.
    let question = |gtid: &str| format!("SELECT GTID_SUBSET('{gtid}', @@global.gtid_executed)");
    let transactions = story.history.log.partition_point(|logged| server.value(&question(&logged.gtid)) == "1");
    server.kill9();
    drop(server);
    std::fs::remove_dir_all(work).unwrap();
    Replayed { seen, transactions }
}

#[test]
fn real_mysql_random_targets_land_where_the_witness_says() {
    if !require_mysql() {
        return;
    }
    let (since, mut tally) = (Instant::now(), Tally::default());
    let (seeds, targets) = amount(9700);
    for seed in seeds.clone() {
        let mut scenario = Scenario::with(Options::mysql(), "");
        let (story, copy) = mysql_story(&mut scenario, seed);
        let mut random = Random::new(seed);
        for number in 0..targets {
            let target = story.target(&mut random, number);
            let wanted = story.history.taken_in(&target);
            let replayed_to = |place: &(String, u64)| replayed(&scenario, &copy, place, &story);
            let landed = replayed_to(&cut_of(&scenario, &target));
            let differences = story.differences(&landed.seen, wanted);
            assert!(
                differences.is_empty(),
                "seed {seed}, {target:?}, after {wanted} transactions: {differences:#?}\n{}",
                story.history.around(wanted)
            );
            assert_eq!(landed.transactions, wanted, "seed {seed}, {target:?}\n{}", story.history.around(wanted));
            tally.add(&target);
            if number == 0 {
                // A cut that is off by one transaction in either direction shows.
                let shifts = [(wanted, wanted + 1), (wanted - 2, wanted - 1)];
                for (index, shifted) in shifts.into_iter().take(if soaking() { 2 } else { 1 }) {
                    let place = &story.history.log[index];
                    let landed = replayed_to(&(place.file.clone(), place.end));
                    assert!(!story.differences(&landed.seen, wanted).is_empty());
                    assert_eq!(story.differences(&landed.seen, shifted), [""; 0]);
                    assert_eq!(landed.transactions, shifted);
                }
            }
        }
        if seed + 1 == seeds.end {
            tally.say(&scenario.server, &seeds, since);
        }
    }
}
