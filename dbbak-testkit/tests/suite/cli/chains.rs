//! The whole way on shims: a store, a full, two incrementals, a list, a restore, with each series' own rules of prepare.

use super::{Bench, Series, backup, run, with_store};
use insta::assert_snapshot;
use std::fs;

fn take_chain(bench: &Bench) {
    backup(bench, &["backup-full", "--exec"]);
    backup(bench, &["backup-incr", "--exec"]);
    backup(bench, &["backup-incr", "--exec"]);
}

/// The backup tool's calls from one on, without the options that are the same in all.
fn calls_from(bench: &Bench, first: usize) -> String {
    let calls = bench.shims.calls().unwrap();
    let root = bench.dir.path().display().to_string();
    let lines =
        calls.iter().skip(first).filter(|call| call.tool == "backup" && !call.args.contains(&"--version".into()));
    let lines = lines.map(|call| {
        assert_eq!((call.tz.as_deref(), call.lc_all.as_deref()), (Some("UTC"), Some("C")));
        let args = call.args.iter().filter(|arg| !arg.starts_with("--use-memory") && !arg.starts_with("--defaults"));
        args.map(|arg| arg.replace(&root, "/T")).collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Takes a chain and restores it as it is: the data must be those of the last state, prepared in the series' own way.
fn whole_way(series: Series, config: &str) -> String {
    let (bench, _) = with_store(series);
    bench.configure(config).unwrap();
    take_chain(&bench);
    let store = bench.contents("store").unwrap();
    let first = bench.shims.calls().unwrap().len();
    let workdir = bench.path("restored");
    let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
    let spoken = run(&bench, &args);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    let datadir = spoken.stdout.trim().to_owned();
    let read = |name: &str| fs::read_to_string(format!("{datadir}/shop/{name}.ibd")).unwrap();
    assert_eq!((read("orders").as_str(), read("same").as_str()), ("orders 3", "same"));
    assert_eq!(bench.contents("store").unwrap(), store, "the originals were touched");
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    let redactor = dbbak_testkit::redact::Redactor::new(bench.dir.path());
    redactor.redact(&format!("{}\n", calls_from(&bench, first)))
}

#[test]
fn xtrabackup_24() {
    assert_snapshot!(whole_way(Series::Xtrabackup24, ""));
}

#[test]
fn xtrabackup_80() {
    assert_snapshot!(whole_way(Series::Xtrabackup80, ""));
}

#[test]
fn xtrabackup_84() {
    assert_snapshot!(whole_way(Series::Xtrabackup84, ""));
}

#[test]
fn mariadb_1011() {
    assert_snapshot!(whole_way(Series::Mariadb1011, ""));
}

#[test]
fn mariadb_118() {
    assert_snapshot!(whole_way(Series::Mariadb118, ""));
}

#[test]
fn xtrabackup_80_from_raw() {
    assert_snapshot!(whole_way(Series::Xtrabackup80, "prepared: none\n"));
}

#[test]
fn mariadb_1011_from_raw() {
    assert_snapshot!(whole_way(Series::Mariadb1011, "prepared: none\n"));
}

#[test]
fn every_command_shows_its_plan_and_changes_nothing() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    backup(&bench, &["backup-full", "--exec"]);
    bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 1, false).unwrap();
    let points = bench.scenario().points([dbbak_testkit::shim::Point::new(5000).table("shop/orders", "later")]);
    bench.play(&points).unwrap();
    bench.write("store/full_2025-10-06T02-00Z/raw/ibdata1", "left by a dead run").unwrap();
    let before = bench.contents("store").unwrap();
    let called = bench.shims.calls().unwrap().len();
    let dry: [(&str, &[&str]); 7] = [
        ("dry_full", &["backup-full"]),
        ("dry_incr", &["backup-incr"]),
        ("dry_ship", &["ship-binlogs"]),
        ("dry_ship_flush", &["ship-binlogs", "--flush"]),
        ("dry_restore", &["restore", "--no-pitr", "--check", "none"]),
        ("dry_prune", &["prune", "--orphans", "--older-than", "0"]),
        ("dry_reindex", &["reindex", "--manifest"]),
    ];
    for (name, args) in dry {
        let spoken = run(&bench, args);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
        assert!(spoken.stdout.contains("This was a dry run. Add --exec to do it."), "{spoken}");
        assert_snapshot!(name, spoken);
        let json = run(&bench, &[args, &["--json"][..]].concat());
        assert_eq!(json.code(), Some(0), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json.stdout).expect(name);
        assert_eq!(value["version"], 1, "{name}");
    }
    assert_eq!(bench.contents("store").unwrap(), before);
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    assert_eq!(bench.names_in("tmp"), [""; 0]);
    let asked = bench.shims.calls().unwrap().split_off(called);
    let acts = |arg: &String| arg.contains("FLUSH") || arg == "--backup" || arg == "--prepare";
    assert!(!asked.iter().any(|call| call.args.iter().any(acts)));
}

#[test]
fn work_directory_that_is_not_empty() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    backup(&bench, &["backup-full", "--exec"]);
    bench.write("restored/keep-me", "somebody's").unwrap();
    let workdir = bench.path("restored");
    let spoken =
        run(&bench, &["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"]);
    assert_eq!(spoken.code(), Some(5), "{spoken}");
    assert_eq!(bench.names_in("restored"), ["keep-me"]);
    assert_snapshot!(spoken);
}

#[test]
fn work_directory_that_is_the_live_one() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    backup(&bench, &["backup-full", "--exec"]);
    let inside = bench.path("data/restored");
    let spoken =
        run(&bench, &["restore", "--no-pitr", "--check", "none", "--workdir", inside.to_str().unwrap(), "--exec"]);
    assert_eq!(spoken.code(), Some(5), "{spoken}");
    assert!(!inside.exists());
    assert_snapshot!(spoken);
}

#[test]
fn stored_backup_that_rotted() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.configure("prepared: none\n").unwrap();
    backup(&bench, &["backup-full", "--exec"]);
    let full = bench.backup_dirs()[0].clone();
    bench.write(&format!("store/{full}/raw/shop/orders.ibd"), "raw\norders !").unwrap();
    let workdir = bench.path("restored");
    let spoken =
        run(&bench, &["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"]);
    assert_eq!(spoken.code(), Some(7), "{spoken}");
    assert!(!bench.path("restored/dbbak-restore.json").exists());
    assert_snapshot!(spoken.without_plan());
}
