//! Restores that are not possible, on stores that other programs wrote: exit code 5, and what could be asked for instead.

use super::{Series, bench, run};
use dbbak_testkit::command_line::Bench;
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// A full and two incrementals of 2025, and binlogs that reach up to the next evening.
fn chain() -> Vec<Value> {
    vec![
        backup("full", "2025-10-02T02-00Z", None, None, (0, 1000)),
        backup("incr", "2025-10-03T02-00Z", Some("2025-10-02T02-00Z"), Some("2025-10-02T02-00Z"), (1000, 2000)),
        backup("incr", "2025-10-04T02-00Z", Some("2025-10-02T02-00Z"), Some("2025-10-03T02-00Z"), (2000, 3000)),
    ]
}

fn backup(kind: &str, ts: &str, base: Option<&str>, parent: Option<&str>, (from, to): (u64, u64)) -> Value {
    let moment = format!("{}:{}:00Z", &ts[..13], &ts[14..16]);
    json!({
        "type": kind, "ts": ts, "base": base, "parent": parent, "from_lsn": from, "to_lsn": to, "size": 3_221_225_472_u64,
        "started_at": moment, "ended_at": moment, "engine": "xtrabackup", "tool_version": "8.0.35-31",
        "server": {"uuid": "5548e6f5-e54c-11f1-bda1-02fc00000001", "id": 1, "version": "8.0.35", "flavor": "mysql"},
        "binlog": {"file": "mysql-bin.000001", "position": 4}, "pitr": "yes",
    })
}

fn store_of(backups: &[Value]) -> Bench {
    let bench = bench(Series::Xtrabackup80);
    let file = r#"{"format": 1, "id": "5548e6f5-e54c-11f1-bda1-02fc00000001", "created": "2025-10-01T00:00:00Z"}"#;
    bench.write("store/dbbak.json", file).unwrap();
    bench.write("store/manifest.json", json!(backups).to_string()).unwrap();
    bench.fill_store().unwrap();
    bench
}

/// Asks for a restore, as a dry run and in earnest: both are refused with the same words, and nothing is touched.
fn refused(backups: &[Value], args: &[&str]) -> String {
    let bench = store_of(backups);
    let asked: Vec<&str> = std::iter::once("restore").chain(args.iter().copied()).collect();
    let dry = run(&bench, &asked);
    assert_eq!(dry.code(), Some(5), "{dry}");
    let earnest = run(&bench, &[&asked[..], &["--exec"]].concat());
    let moment = |text: &str| text.split("(now ").next().unwrap_or_default().to_owned();
    assert_eq!(moment(&earnest.stderr), moment(&dry.stderr));
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    dry.to_string()
}

#[test]
fn no_backup_at_all() {
    assert_snapshot!(refused(&[], &[]));
}

#[test]
fn no_full_before_the_target() {
    assert_snapshot!(refused(&chain(), &["--time", "2025-10-01 12:00"]));
}

#[test]
fn no_full_before_the_target_without_binlogs() {
    assert_snapshot!(refused(&chain(), &["--no-pitr", "--time", "2025-10-01 12:00"]));
}

#[test]
fn target_in_the_future() {
    assert_snapshot!(refused(&chain(), &["--time", "2225-10-01 12:00"]));
}

#[test]
fn target_beyond_the_archive() {
    assert_snapshot!(refused(&chain(), &["--time", "2025-10-05 12:00"]));
}

/// The same store with one archived binlog: three transactions with tagged GTIDs, of a MySQL 9.7.4.
fn archived(args: &[&str]) -> String {
    let bench = store_of(&chain());
    let binlog = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/binlog/mysql-9.7.4/binlog.000004");
    bench.write("store/binlogs/binlog_2026-11-21T01-40Z_mysql-bin.000001", fs::read(binlog).unwrap()).unwrap();
    let file = |timeline: &str| {
        json!({
            "name": "mysql-bin.000001", "stored_as": "binlog_2026-11-21T01-40Z_mysql-bin.000001", "size": 1175,
            "timeline": timeline, "first_event_time": "2026-11-21 01:40:43", "last_event_time": "2026-11-21 01:40:44",
        })
    };
    let files = if args.contains(&"mysql-bin.000001:508") { vec![file("t1"), file("t2")] } else { vec![file("t1")] };
    bench.write("store/binlogs/index.json", json!({"files": files}).to_string()).unwrap();
    bench.fill_store().unwrap();
    let spoken = run(&bench, &[&["restore"], args].concat());
    assert_eq!(spoken.code(), Some(5), "{spoken}");
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    spoken.to_string()
}

#[test]
fn position_inside_a_transaction() {
    assert_snapshot!(archived(&["--position", "mysql-bin.000001:600"]));
}

#[test]
fn position_in_no_archived_binlog() {
    assert_snapshot!(archived(&["--position", "mysql-bin.000009:4"]));
}

#[test]
fn position_in_two_timelines() {
    assert_snapshot!(archived(&["--position", "mysql-bin.000001:508"]));
}

#[test]
fn transaction_in_no_archived_binlog() {
    assert_snapshot!(archived(&["--gtid", "5548e6f5-e54c-11f1-bda1-02fc00000001:nightly:2"]));
    assert_snapshot!("transaction_of_the_other_vendor", archived(&["--before-gtid", "0-1-2"]));
}

#[test]
fn unknown_timeline() {
    assert_snapshot!(archived(&["--latest", "--timeline", "t9"]));
}

#[test]
fn targets_exclude_each_other() {
    let targets = [
        ["--time", "2025-10-05 12:00"],
        ["--gtid", "0-1-2"],
        ["--before-gtid", "0-1-2"],
        ["--position", "mysql-bin.000001:4"],
        ["--latest", "--no-pitr"],
    ];
    let bench = store_of(&chain());
    for (number, one) in targets.iter().enumerate() {
        for other in &targets[number + 1..] {
            let spoken = run(&bench, &[&["restore"], &one[..], &other[..]].concat());
            assert_eq!(spoken.code(), Some(2), "{spoken}");
            assert!(spoken.stderr.contains("cannot be used with"), "{spoken}");
        }
    }
    for (option, wrong) in
        [("--gtid", "1-2"), ("--before-gtid", "x:1"), ("--position", "mysql-bin.000001"), ("--position", "4")]
    {
        let spoken = run(&bench, &["restore", option, wrong]);
        assert_eq!(spoken.code(), Some(2), "{spoken}");
    }
}

#[test]
fn unknown_backup() {
    assert_snapshot!(refused(&chain(), &["--backup", "2025-10-03T03-00Z"]));
}

#[test]
fn target_before_the_named_backup() {
    assert_snapshot!(refused(&chain(), &["--backup", "2025-10-04T02-00Z", "--time", "2025-10-03 12:00"]));
}

#[test]
fn chain_with_a_gap_between_lsns() {
    let mut backups = chain();
    backups[2]["from_lsn"] = json!(2500);
    assert_snapshot!(refused(&backups, &["--backup", "2025-10-04T02-00Z"]));
}

#[test]
fn chain_without_a_parent() {
    let mut backups = chain();
    backups.remove(1);
    assert_snapshot!(refused(&backups, &["--backup", "2025-10-04T02-00Z"]));
}

#[test]
fn lists_a_chain_and_what_is_broken_in_it() {
    let mut backups = chain();
    backups[2]["from_lsn"] = json!(2500);
    backups.push(backup("full", "2025-10-05T02-00Z", None, None, (0, 4000)));
    backups[3]["pitr"] = json!("the server writes no binlog (log_bin is off)");
    let bench = store_of(&backups);
    bench.write("store/full_2025-10-06T02-00Z/raw/ibdata1", "left by a dead run").unwrap();
    assert_snapshot!("list_text", run(&bench, &["list"]));
    assert_snapshot!("list_json", run(&bench, &["list", "--json"]));
}

#[test]
fn incremental_on_something_that_is_no_full() {
    let bench = store_of(&chain());
    assert_snapshot!(run(&bench, &["backup-incr", "--base-ts", "2025-10-03T02-00Z"]));
}

#[test]
fn incremental_on_an_empty_store() {
    let bench = store_of(&[]);
    assert_snapshot!(run(&bench, &["backup-incr", "--exec"]));
}

#[test]
fn incremental_on_a_broken_chain() {
    let mut backups = chain();
    backups.remove(1);
    let bench = store_of(&backups);
    let before = bench.backup_dirs();
    assert_snapshot!(run(&bench, &["backup-incr", "--exec"]));
    assert_eq!(bench.backup_dirs(), before);
}
