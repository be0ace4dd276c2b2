//! A half-done replay goes on behind what its private server has applied, or is redone: never something in between.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use dbbak_core::plan::RestoreReport;
use dbbak_testkit::cli::Ran;
use dbbak_testkit::random::Random;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Checksums, Options, Server, Vendor};

/// Transactions in each binlog of the window.
const EACH: u64 = 3000;

/// A backup, a window that takes a while to replay, and what it must come to.
struct Stage {
    scenario: Scenario,
    wanted: Checksums,
    gtids: String,
}

impl Stage {
    fn new(options: Options, config: &str, files: u64) -> Self {
        let mysql = options.vendor == Vendor::Mysql;
        let scenario = Scenario::with(options, &format!("prepared: none\n{config}"));
        let server = &scenario.server;
        server.sql("CREATE DATABASE shop; SET GLOBAL sync_binlog = 0");
        server.sql("SET GLOBAL innodb_flush_log_at_trx_commit = 2");
        // Without a key a row that is inserted twice is not refused.
        server.sql(
            "CREATE TABLE shop.log (n INT, text VARCHAR(400));
             CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b INT, c VARCHAR(100), KEY (b))",
        );
        if mysql {
            server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
            scenario.backup(&["backup-full", "--engine", "clone"]);
        } else {
            scenario.full();
        }
        for file in 0..files {
            server.sql(&work(file));
            server.sql("FLUSH BINARY LOGS");
        }
        let wanted = server.checksums("shop").unwrap();
        let gtids =
            server.value(if mysql { "SELECT @@GLOBAL.gtid_executed" } else { "SELECT @@GLOBAL.gtid_binlog_pos" });
        scenario.ship();
        Stage { scenario, wanted, gtids }
    }

    fn args<'a>(&self, workdir: &'a Path) -> Vec<&'a str> {
        vec!["restore", "--latest", "--workdir", workdir.to_str().unwrap()]
    }

    /// The plan that a dry run shows.
    #[track_caller]
    fn plan(&self, workdir: &Path) -> String {
        self.scenario.dbbak(&self.args(workdir)).exits(0).stdout
    }

    fn run(&self, workdir: &Path) -> Ran {
        self.scenario.dbbak(&[&self.args(workdir)[..], &["--json", "--exec"]].concat())
    }

    fn spawn(&self, workdir: &Path) -> Child {
        let args = [&self.args(workdir)[..], &["--exec"]].concat();
        self.scenario.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Kills a restore when so many more bytes of logs were written by its private server, also of those that are emptied;
    /// whether there was still something to kill.
    #[track_caller]
    fn dies_after(&self, workdir: &Path, bytes: u64) -> bool {
        let mut child = self.spawn(workdir);
        let mut highest: std::collections::BTreeMap<PathBuf, u64> = logs(workdir).into_iter().collect();
        let before: u64 = highest.values().sum();
        loop {
            for (log, size) in logs(workdir) {
                let seen = highest.entry(log).or_default();
                *seen = (*seen).max(size);
            }
            let ended = child.try_wait().unwrap();
            if ended.is_some() || highest.values().sum::<u64>() >= before + bytes {
                child.kill().unwrap();
                child.wait().unwrap();
                self.scenario.nothing_survives();
                return ended.is_none();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Checks what a restore that is done has come to; its report.
    #[track_caller]
    fn is_right(&self, ran: &Ran) -> RestoreReport {
        self.has_come_to(&ran.stdout)
    }

    /// The same by the text of its report.
    #[track_caller]
    fn has_come_to(&self, ran: &str) -> RestoreReport {
        let report: RestoreReport = serde_json::from_str(ran).unwrap();
        let proof = report.proof.as_ref().unwrap();
        assert_eq!(Some(proof.transactions), report.window.as_ref().unwrap().transactions, "{ran}");
        let vendor = self.scenario.server.options().vendor;
        let options = Options { vendor, log_bin: None, ..Options::default() };
        let mut server = Server::on_datadir(&report.datadir, &self.scenario.fresh("look"), options).unwrap();
        assert_eq!(server.checksums("shop").unwrap(), self.wanted, "{ran}");
        let asked = if vendor == Vendor::Mysql { "gtid_executed" } else { "gtid_slave_pos" };
        assert_eq!(server.value(&format!("SELECT @@GLOBAL.{asked}")), self.gtids, "{ran}");
        server.stop().unwrap();
        self.scenario.nothing_survives();
        report
    }
}

/// The statements of one binlog: a transaction each.
fn work(file: u64) -> String {
    let mut text = String::new();
    for n in 0..EACH / 3 {
        let row = 1 + (n * 7919) % (file * EACH / 3 + n + 1);
        let _ = write!(
            text,
            "INSERT INTO shop.log VALUES ({n}, REPEAT('x', 300)); INSERT INTO shop.t (b, c) VALUES ({n}, UUID());
             UPDATE shop.t SET c = UUID() WHERE a = {row};"
        );
    }
    text
}

/// The private server's logs, with their sizes.
fn logs(workdir: &Path) -> Vec<(PathBuf, u64)> {
    let Ok(entries) = fs::read_dir(workdir.join("replay-log")) else { return Vec::new() };
    let logs = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let number = name.strip_prefix("replay.")?;
        number.parse::<u32>().ok()?;
        Some((entry.path(), entry.metadata().ok()?.len()))
    });
    logs.collect()
}

/// Dies again and again in mid replay, and goes on each time; the report says so.
fn dies_in_mid_replay(stage: &Stage, seed: u64, most: u64) {
    let rounds = if std::env::var_os("DBBAK_SOAK").is_some() { 10 } else { 1 };
    for round in 0..rounds {
        dies_and_goes_on(stage, seed + 100 * round, most);
    }
}

fn dies_and_goes_on(stage: &Stage, seed: u64, most: u64) {
    let mut random = Random::new(seed);
    let workdir = stage.scenario.fresh("half");
    let (mut deaths, mut before, mut emptied) = (0, 0, false);
    while deaths < 6 && stage.dies_after(&workdir, 40_000 + random.below(most)) {
        deaths += 1;
        let shown = stage.plan(&workdir);
        // The kill may come when the replay has just ended.
        if fs::read_to_string(workdir.join("dbbak-journal.jsonl")).unwrap().contains(r#""replay":{"#) {
            break;
        }
        let applied = shown.split_once("which its server logged last: ").map(|(_, rest)| rest);
        let applied = applied.unwrap_or_else(|| panic!("{shown}")).split_once(" of ");
        let applied: u64 = applied.unwrap_or_else(|| panic!("{shown}")).0.parse().unwrap();
        assert!(applied > before, "{before}: {shown}");
        before = applied;
        if let Ok(text) = fs::read_to_string(workdir.join("replay-log/halfway.json")) {
            emptied |= !text.contains(r#""log":null"#);
        }
    }
    assert!(deaths >= 2, "{deaths} with seed {seed}");
    // Where the last kill came too late, it is done.
    let ran = match fs::read_to_string(workdir.join("dbbak-restore.json")) {
        Ok(report) if !workdir.join("dbbak-journal.jsonl").exists() => report,
        _ => stage.run(&workdir).exits(0).stdout,
    };
    let report = stage.has_come_to(&ran);
    fs::remove_dir_all(&workdir).unwrap();
    assert!(report.proof.unwrap().went_on.unwrap().applied.unwrap() >= before, "{ran}");
    // Later ones rest on the proof that was written down.
    assert!(emptied);
}

#[test]
fn real_mysql_replay_goes_on_where_it_died() {
    if !require_mysql() {
        return;
    }
    dies_in_mid_replay(&Stage::new(Options::mysql(), "", 3), 1, 700_000);
}

#[test]
fn real_mariadb_replay_goes_on_where_it_died() {
    if !require_servers() {
        return;
    }
    dies_in_mid_replay(&Stage::new(Options::default(), "", 6), 3, 1_500_000);
}

#[test]
fn real_mariadb_replay_of_many_batches_goes_on_where_it_died() {
    if !require_servers() {
        return;
    }
    dies_in_mid_replay(&Stage::new(Options::default(), "replay_space: 6M", 6), 4, 1_000_000);
}

/// The logs of the private server are small, and emptied when they were compared: what they proved is not lost.
#[test]
fn real_mysql_replay_of_many_batches_goes_on_where_it_died() {
    if !require_mysql() {
        return;
    }
    dies_in_mid_replay(&Stage::new(Options::mysql(), "replay_space: 6M", 6), 2, 2_500_000);
}

/// What a dead replay left is not as it left it: it is redone, or refused.
#[test]
fn real_mysql_replay_that_was_meddled_with_never_succeeds_wrongly() {
    if !require_mysql() {
        return;
    }
    let stage = Stage::new(Options::mysql(), "", 3);
    let dead = || {
        let workdir = stage.scenario.fresh("meddled");
        assert!(stage.dies_after(&workdir, 400_000));
        let (log, size) = logs(&workdir).pop().unwrap();
        (workdir, log, size)
    };
    let is_redone = |workdir: &Path, why: &str| {
        let shown = stage.plan(workdir);
        assert!(
            shown.contains("begins anew in it: it died in the replay, which cannot go on") && shown.contains(why),
            "{shown}"
        );
        let report = stage.is_right(&stage.run(workdir).exits(0));
        assert_eq!(report.proof.unwrap().went_on, None);
    };

    // One byte of what it logged is another.
    let (workdir, log, size) = dead();
    let mut bytes = fs::read(&log).unwrap();
    bytes[usize::try_from(size / 2).unwrap()] ^= 1;
    fs::write(&log, &bytes).unwrap();
    is_redone(&workdir, "is damaged");

    // The machine was started anew.
    let (workdir, log, _) = dead();
    let path = log.with_file_name("halfway.json");
    let text = fs::read_to_string(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
    is_redone(&workdir, "the machine was started anew since");

    // There is a table that a crash may have left half-changed.
    let (workdir, ..) = dead();
    fs::write(workdir.join("data/shop/flat_412.sdi"), "{}").unwrap();
    is_redone(&workdir, "a crash may leave half-changed");

    // The server has more than its log: the log's end is gone, cut between two transactions.
    let (workdir, log, _) = dead();
    let mut ends = Vec::new();
    let mut input = fs::File::open(&log).unwrap();
    let scan = dbbak_core::binlog::scan(&mut input, &mut |transaction| {
        ends.push(transaction.end);
        std::ops::ControlFlow::Continue(())
    });
    scan.unwrap();
    fs::File::options().write(true).open(&log).unwrap().set_len(ends[ends.len() - 20]).unwrap();
    assert!(stage.plan(&workdir).contains("goes on with the replay after"));
    let ran = stage.run(&workdir).exits(6);
    assert!(ran.stderr.contains("the half-done replay cannot be gone on with: the server has "), "{ran}");
    assert!(ran.stderr.contains("begins the restore anew"), "{ran}");
    let report = stage.is_right(&stage.run(&workdir).exits(0));
    assert_eq!(report.proof.unwrap().went_on, None);
}
