//! An incremental goes on a base that is the server's own past, or a full is taken: on a server that was restarted, put back in
//! part or as a whole, and reset.

use dbbak_core::model::RestoredMark;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, copy_tree};
use std::fs;
use std::path::{Path, PathBuf};

/// Takes an incremental, or what is taken in its place: its name, and the warnings.
#[track_caller]
fn taken(scenario: &Scenario) -> (String, String) {
    scenario.next_second();
    let ran = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(0);
    let (json, stderr) = (ran.json(), ran.stderr.clone());
    (json["backup"].as_str().unwrap().to_owned(), stderr)
}

#[track_caller]
fn goes_on(scenario: &Scenario) {
    let (name, said) = taken(scenario);
    assert!(name.starts_with("incr_"), "{name}\n{said}");
}

/// The server's LSN at its start proves it; before 10.8 none tells that one.
#[track_caller]
fn goes_on_after_a_start(scenario: &Scenario) {
    match scenario.server.value("SELECT VERSION() LIKE '10.6.%'").as_str() {
        "1" => takes_a_full(scenario, "nothing tells with which data"),
        _ => goes_on(scenario),
    }
}

#[track_caller]
fn takes_a_full(scenario: &Scenario, why: &str) {
    let (name, said) = taken(scenario);
    assert!(name.starts_with("full_"), "{name}\n{said}");
    assert!(said.contains("a full is taken instead of an incremental") && said.contains(why), "{said}");
}

fn lsn(scenario: &Scenario) -> u64 {
    let value =
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'INNODB_LSN_CURRENT'";
    scenario.server.value(value).parse().unwrap()
}

/// A server with its binlogs in the data directory, and two tables.
fn with_shop() -> Scenario {
    let scenario = Scenario::with(Options { binlogs_in_datadir: true, ..Options::default() }, "");
    scenario.server.sql(
        "CREATE DATABASE shop; USE shop; CREATE TABLE t (id INT, t TEXT) ENGINE=InnoDB SELECT seq AS id, REPEAT('t', 200) AS t FROM seq_1_to_300;
         CREATE TABLE shop.other (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT) ENGINE=InnoDB;",
    );
    scenario
}

/// Changes every row.
fn write(scenario: &Scenario, text: &str) {
    scenario.server.sql(&format!("UPDATE shop.t SET t = CONCAT('{text}', t)"));
}

/// Writes other rows until the redo log has passed a place.
fn write_past(scenario: &Scenario, passed: u64) {
    while lsn(scenario) < passed + 20_000 {
        scenario.server.sql("USE shop; INSERT INTO other (t) SELECT REPEAT('o', 400) FROM seq_1_to_50");
    }
}

/// A copy of the data directory, in place of an older one.
fn kept_copy(scenario: &mut Scenario) -> PathBuf {
    let copy = scenario.root().join("before");
    scenario.server.stop().unwrap();
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    copy_tree(scenario.server.datadir(), &copy).unwrap();
    scenario.server.restart().unwrap();
    copy
}

/// Starts the server on a copy of another directory, with the files of its own that are kept.
fn put_in_place(scenario: &mut Scenario, from: &Path, keep: impl Fn(&str) -> bool) {
    scenario.server.stop().unwrap();
    let datadir = scenario.server.datadir().to_owned();
    let kept = fs::read_dir(&datadir).unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| keep(path.file_name().unwrap().to_str().unwrap()));
    let kept: Vec<_> = kept.map(|path| (fs::read(&path).unwrap(), path)).collect();
    fs::remove_dir_all(&datadir).unwrap();
    copy_tree(from, &datadir).unwrap();
    kept.into_iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
    scenario.server.restart().unwrap();
}

/// The latest state that can be restored is the server's.
#[track_caller]
fn latest_is_right(scenario: &Scenario) {
    let wanted = scenario.server.checksums("shop").unwrap();
    // What a reset left behind is a gap, and told as one.
    let shipped = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]);
    assert!(matches!(shipped.code, Some(0 | 9)), "{}", shipped.stderr);
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
}

#[test]
fn real_an_incremental_never_goes_on_a_foreign_base() {
    if !require_servers() {
        return;
    }
    let mut scenario = with_shop();
    scenario.full();
    write(&scenario, "a");
    let before = kept_copy(&mut scenario);

    // What servers do every day: a restart, rotations, a crash, files that were archived and purged.
    goes_on_after_a_start(&scenario);
    scenario.server.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    write(&scenario, "b");
    goes_on(&scenario);
    write(&scenario, "c");
    scenario.server.kill9();
    scenario.server.restart().unwrap();
    goes_on_after_a_start(&scenario);
    write(&scenario, "d");
    scenario.server.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    scenario.ship();
    scenario.server.sql("FLUSH BINARY LOGS");
    let listed = scenario.server.sql("SHOW BINARY LOGS");
    let last_archived = listed.iter().rev().nth(2).unwrap()[0].clone();
    scenario.server.sql(&format!("PURGE BINARY LOGS TO '{last_archived}'"));
    goes_on(&scenario);
    latest_is_right(&scenario);

    // Put back as a whole; the log's names come again.
    let passed = lsn(&scenario);
    put_in_place(&mut scenario, &before, |_| false);
    write_past(&scenario, passed);
    takes_a_full(&scenario, "this server's past");
    latest_is_right(&scenario);
    scenario.next_second();
    let second = scenario.full();
    goes_on(&scenario);

    // The data alone: its binlogs say that nothing was lost.
    let before = kept_copy(&mut scenario);
    write(&scenario, "e");
    goes_on_after_a_start(&scenario);
    let passed = lsn(&scenario);
    put_in_place(&mut scenario, &before, |name| name.contains("bin."));
    write_past(&scenario, passed);
    // Before 10.8 no server tells at which LSN it was started, and after a second start none tells of the first: the files do.
    let others = "data files are not those that were backed up";
    let once = if scenario.server.value("SELECT VERSION() LIKE '10.6.%'") == "1" {
        others
    } else {
        "the data directory was put back"
    };
    let planned = scenario.dbbak(&["backup-incr"]).exits(0);
    assert!(planned.stdout.contains(once), "{}", planned.stdout);
    scenario.server.restart().unwrap();
    takes_a_full(&scenario, others);
    let shipped = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0);
    assert!(shipped.stderr.contains("the server's data files are others from"), "{}", shipped.stderr);
    let across = scenario.dbbak(&["restore", "--latest", "--backup", &second, "--workdir", "/nowhere/new"]);
    assert!(across.stdout.contains("the server's data files are others from"), "{}{}", across.stdout, across.stderr);

    // Purged and never archived; a reset.
    scenario.server.sql("FLUSH BINARY LOGS; FLUSH BINARY LOGS");
    let listed = scenario.server.sql("SHOW BINARY LOGS");
    scenario.server.sql(&format!("PURGE BINARY LOGS TO '{}'", listed.last().unwrap()[0]));
    takes_a_full(&scenario, "no archived binlogs lead from there");
    scenario.server.sql("RESET MASTER");
    takes_a_full(&scenario, "begun anew");
    write(&scenario, "f");
    goes_on(&scenario);
    latest_is_right(&scenario);
}

/// A restore from an older full, with its binlogs, to a place behind the parent's end: the server's own logs prove all that is asked of them,
/// and its pages are others than those that the parent holds.
#[test]
fn real_an_incremental_never_goes_from_before_a_restore_to_behind_it() {
    if !require_servers() {
        return;
    }
    let mut scenario = with_shop();
    let full = scenario.full();
    write(&scenario, "a");
    goes_on(&scenario);
    let passed = lsn(&scenario);
    write(&scenario, "b");
    scenario.ship();
    let restored = scenario.restore(&["--latest", "--backup", &full, "--with-binlogs"]);
    let mark = restored.datadir.join(RestoredMark::FILE);
    let found: RestoredMark = serde_json::from_slice(&fs::read(&mark).unwrap()).unwrap();
    assert_eq!(found.restore, restored.report.restore);

    // It is taken into use, and writes until its redo log has passed the parent's end; restarts hide where it began.
    put_in_place(&mut scenario, &restored.datadir, |_| false);
    write_past(&scenario, passed);
    scenario.server.restart().unwrap();
    write(&scenario, "c");
    // Without the mark the files tell, where the file system says when they were made.
    let mark = scenario.server.datadir().join(RestoredMark::FILE);
    let kept = fs::read(&mark).unwrap();
    fs::remove_file(&mark).unwrap();
    let unmarked = scenario.dbbak(&["backup-incr"]).exits(0);
    assert!(unmarked.stdout.contains("data files are not those that were backed up"), "{}", unmarked.stdout);
    fs::write(&mark, "no mark").unwrap();
    let unread = scenario.dbbak(&["backup-incr"]).exits(0);
    assert!(unread.stdout.contains("was restored by dbbak is not known"), "{}", unread.stdout);
    fs::write(&mark, kept).unwrap();
    let ran = scenario.dbbak(&["backup-incr", "--base-ts", &full]).exits(5);
    assert!(ran.stderr.contains("was restored by dbbak"), "{}", ran.stderr);
    takes_a_full(&scenario, "was restored by dbbak");
    write(&scenario, "d");
    goes_on(&scenario);
    latest_is_right(&scenario);
}

/// Data that were put back beside binlogs that lie elsewhere: nothing in the log tells, and a replay from before would give both histories.
/// The same files with older content are known by the LSN, copies by when they were made.
fn data_put_back_beside_their_binlogs(scenario: &mut Scenario) {
    scenario
        .server
        .sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT AUTO_INCREMENT PRIMARY KEY, t TEXT) ENGINE=InnoDB");
    let fill = |scenario: &Scenario, what: &str| {
        for _ in 0..40 {
            scenario.server.sql(&format!("INSERT INTO shop.t (t) VALUES (REPEAT('{what}', 60000))"));
        }
    };
    let full = scenario.full();
    let before = kept_copy(scenario);
    fill(scenario, "a");
    scenario.ship();
    let wanted = scenario.server.checksums("shop").unwrap();

    // In place, as a volume is put back: the system tablespace is the same file, and holds what it held.
    scenario.server.stop().unwrap();
    let (datadir, same) = (scenario.server.datadir().to_owned(), scenario.root().join("ibdata1"));
    fs::rename(datadir.join("ibdata1"), &same).unwrap();
    fs::remove_dir_all(&datadir).unwrap();
    copy_tree(&before, &datadir).unwrap();
    fs::copy(before.join("ibdata1"), &same).unwrap();
    fs::rename(&same, datadir.join("ibdata1")).unwrap();
    scenario.server.restart().unwrap();
    scenario.server.sql("INSERT INTO shop.t (t) VALUES ('other')");
    let shipped = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9);
    assert!(shipped.stderr.contains("the server's data went back between them"), "{}", shipped.stderr);
    // Told until a backup stands behind it; what lies before can be restored.
    let check = scenario.dbbak(&["check"]);
    assert!(check.stdout.contains("the server's data went back between them"), "{}{}", check.stdout, check.stderr);
    let refused = scenario.try_restore(&["--latest", "--backup", &full]).exits(5);
    let (_, place) = refused.stdout.split_once("to keep every transaction before it: --position ").unwrap();
    let place = place.split_whitespace().next().unwrap();
    let restored = scenario.restore(&["--position", place, "--timeline", "t1", "--backup", &full]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    scenario.next_second();
    scenario.full();
    latest_is_right(scenario);

    // Copies that lack what the log holds.
    fill(scenario, "b");
    scenario.ship();
    put_in_place(scenario, &before, |_| false);
    scenario.server.sql("INSERT INTO shop.t VALUES (900, 'another')");
    let shipped = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9);
    assert!(shipped.stderr.contains("the server's data went back between them"), "{}", shipped.stderr);
    scenario.next_second();
    scenario.full();

    // Copies that hold it all: the data were moved, which looks like any other copies.
    scenario.ship();
    scenario.server.stop().unwrap();
    let moved = scenario.root().join("moved");
    copy_tree(&datadir, &moved).unwrap();
    fs::remove_dir_all(&datadir).unwrap();
    copy_tree(&moved, &datadir).unwrap();
    scenario.server.restart().unwrap();
    scenario.server.sql("INSERT INTO shop.t VALUES (901, 'moved')");
    let wanted = scenario.server.checksums("shop").unwrap();
    let shipped = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0);
    assert!(shipped.stderr.contains("the server's data files are others from"), "{}", shipped.stderr);
    let across = scenario.restore(&["--latest"]);
    assert!(across.report.not_in_log.iter().any(|line| line.contains("the server's data files are others from")));
    assert_eq!(scenario.checksums_of(&across.datadir, "shop"), wanted);
}

#[test]
fn real_data_that_were_put_back_beside_their_binlogs_are_told() {
    if require_servers() {
        data_put_back_beside_their_binlogs(&mut Scenario::with(Options::default(), ""));
    }
}

/// MySQL's LSN at its start is a lower bound: the LSN itself tells.
#[test]
fn real_mysql_data_that_were_put_back_beside_their_binlogs_are_told() {
    if require_mysql() {
        let mut scenario = Scenario::with(Options::mysql(), "engine: dump\n");
        super::dump::grant(&scenario);
        data_put_back_beside_their_binlogs(&mut scenario);
    }
}
