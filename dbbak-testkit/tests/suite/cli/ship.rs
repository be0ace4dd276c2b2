//! Archiving binlogs: whole ones, damaged ones, those that a name was taken from; and what `check` finds.

use super::{Bench, Series, run, with_store};
use chrono::Utc;
use dbbak_testkit::command_line::{FIRST_EVENT, Spoken};
use dbbak_testkit::shim::Answer;
use insta::assert_snapshot;
use std::fs;

/// A server with two closed binlogs and an open one.
fn with_binlogs() -> Bench {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 2, true).unwrap();
    bench.binlog(3, 1, false).unwrap();
    bench.play(&bench.scenario()).unwrap();
    bench
}

fn ship(bench: &Bench) -> Spoken {
    run(bench, &["ship-binlogs", "--exec"])
}

fn archived(bench: &Bench) -> Vec<String> {
    let mut names = bench.names_in("store/binlogs");
    names.retain(|name| name.starts_with("binlog_") && !name.ends_with(".tx"));
    names
}

#[test]
fn closed_binlogs_are_archived_once() {
    let bench = with_binlogs();
    assert_snapshot!("ship_first", ship(&bench));
    let before = bench.contents("store/binlogs").unwrap();
    assert_snapshot!("ship_again", ship(&bench));
    assert_eq!(bench.contents("store/binlogs").unwrap(), before);
    assert_eq!(archived(&bench).len(), 2);
    assert_snapshot!("ship_list", run(&bench, &["list"]));
}

#[test]
fn damaged_binlog_is_kept_and_marked() {
    let bench = with_binlogs();
    let path = bench.path("binlogs/mysql-bin.000001");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 150;
    bytes[at] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let spoken = ship(&bench);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    assert_eq!(archived(&bench).len(), 2);
    let index = fs::read_to_string(bench.path("store/binlogs/index.json")).unwrap();
    assert!(index.contains("\"damaged\"") && index.contains("last_good"), "{index}");
    assert_snapshot!("ship_damaged", spoken);
    assert_snapshot!("ship_damaged_again", ship(&bench));
}

#[test]
fn other_content_under_the_same_name_is_another_file() {
    let bench = with_binlogs();
    assert_eq!(ship(&bench).code(), Some(0));
    // As after a reset: another first event, in the same minute, so that the stored name is taken too.
    bench.binlog_at(FIRST_EVENT + 3630, 1, 5, true).unwrap();
    bench.play(&bench.scenario()).unwrap();
    let spoken = ship(&bench);
    let names = archived(&bench);
    assert_eq!(names.len(), 3, "{spoken}");
    assert!(names.iter().filter(|name| name.contains("mysql-bin.000001")).count() == 2, "{names:?}");
    assert_snapshot!(spoken);
}

#[test]
fn binlog_that_the_server_lists_and_the_directory_lacks() {
    let bench = with_binlogs();
    fs::remove_file(bench.path("binlogs/mysql-bin.000001")).unwrap();
    let spoken = ship(&bench);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    assert_snapshot!(spoken);
}

#[test]
fn rescue_of_a_dead_server() {
    let bench = with_binlogs();
    let dir = bench.path("binlogs");
    let bytes = fs::read(dir.join("mysql-bin.000003")).unwrap();
    fs::write(dir.join("mysql-bin.000003"), [&bytes[..], &bytes[200..260]].concat()).unwrap();
    bench.configure("mysql: /nowhere/mysql\n").unwrap();
    let spoken = run(&bench, &["ship-binlogs", "--rescue", dir.to_str().unwrap(), "--exec"]);
    assert_eq!(archived(&bench).len(), 3, "{spoken}");
    assert_snapshot!(spoken);
}

#[test]
fn rescue_of_a_directory_that_is_not_there() {
    let bench = with_binlogs();
    assert_snapshot!(run(&bench, &["ship-binlogs", "--rescue", "/nowhere/binlogs", "--exec"]));
}

#[test]
fn binlog_directory_that_is_not_there() {
    let bench = with_binlogs();
    bench.configure("binlog_source_dir: /nowhere/binlogs\n").unwrap();
    assert_snapshot!(ship(&bench));
}

#[test]
fn ship_as_json() {
    let bench = with_binlogs();
    let spoken = run(&bench, &["ship-binlogs", "--exec", "--json"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    let value: serde_json::Value = serde_json::from_str(&spoken.stdout).unwrap();
    assert_eq!(value["shipped"].as_array().unwrap().len(), 2);
    assert_eq!(value["shipped"][0]["transactions"], 3);
}

#[test]
fn check_of_a_good_setup() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    let now = u32::try_from(Utc::now().timestamp()).unwrap();
    bench.binlog_at(now - 600, 1, 3, true).unwrap();
    bench.binlog_at(now - 300, 2, 1, false).unwrap();
    bench.play(&bench.scenario()).unwrap();
    assert_snapshot!("check_good", run(&bench, &["check"]));
    let json = run(&bench, &["check", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&value["version"], &value["problems"]), (&1.into(), &0.into()), "{json}");
}

/// What a full needs is not known where nobody says how large the data are.
#[test]
fn check_of_a_server_that_does_not_answer() {
    let (bench, mut scenario) = with_store(Series::Xtrabackup80);
    for answers in scenario.answers.values_mut() {
        *answers = vec![Answer::error(2002, "HY000", "Can't connect to local MySQL server through socket '/s' (2)")];
    }
    bench.play(&scenario).unwrap();
    let checked = run(&bench, &["check"]).to_string();
    assert!(!checked.contains("about 0 B"), "{checked}");
    assert!(checked.contains("; how much a full needs is not known, since the size of the data is not"), "{checked}");
}

#[test]
fn check_of_a_setup_where_all_is_wrong() {
    let bench = with_binlogs();
    fs::remove_dir_all(bench.path("store")).unwrap();
    fs::remove_file(bench.path("my.cnf")).unwrap();
    bench.configure("xtrabackup: /nowhere/xtrabackup\nmysqld: /nowhere/mysqld\n").unwrap();
    let variables =
        [("log_bin", "OFF"), ("binlog_checksum", "NONE"), ("sync_binlog", "0"), ("datadir", "/nowhere/data")];
    let scenario = bench.scenario().with_variables(&variables);
    let grants = ["GRANT SELECT ON *.* TO `backup`@`localhost`"];
    bench.play(&scenario.answer_with("SHOW GRANTS", &["Grants for backup@localhost"], &[&grants])).unwrap();
    assert_snapshot!("check_bad", run(&bench, &["check"]));
    let json = run(&bench, &["check", "--json"]);
    assert_eq!(json.code(), run(&bench, &["check"]).code());
}
