//! The archive of binlogs when the server's history is not one straight line: resets, purged files, a dead server.

use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::Options;
use std::{
    thread,
    time::{Duration, Instant},
};

/// After `RESET MASTER` the file names, and the GTIDs, come again: both histories stay, each with its own backups.
#[test]
fn real_reset_begins_a_timeline_of_its_own() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 21);
    workload.run(40).unwrap();
    let old = scenario.full();
    workload.run(40).unwrap();
    let before = workload.snapshot(&scenario.server).unwrap();
    let before_reset = scenario.next_second();
    workload.run(20).unwrap();
    let end = workload.snapshot(&scenario.server).unwrap();
    scenario.next_second();
    scenario.ship();
    scenario.server.sql("RESET MASTER");
    workload.run(20).unwrap();
    scenario.server.sql("FLUSH BINARY LOGS");
    let new = scenario.full();
    workload.run(40).unwrap();
    let after = workload.snapshot(&scenario.server).unwrap();
    let after_reset = scenario.next_second();
    workload.run(20).unwrap();
    let newest = workload.snapshot(&scenario.server).unwrap();
    scenario.next_second();
    // What the open file of the old history held at the reset nobody can archive any more: that is told.
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9).says("the server began a new history");
    scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);

    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    let timelines = list["binlogs"].as_array().unwrap();
    assert_eq!(timelines.len(), 2, "{list:#}");
    assert_eq!(timelines[0]["first"], timelines[1]["first"], "the names repeat: {list:#}");

    for (time, wanted, base) in [(&before_reset, &before, &old), (&after_reset, &after, &new)] {
        let restored = scenario.restore_at(time);
        assert!(restored.report.chain[0].backup.contains(base.as_str()), "{:?}", restored.report.chain);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums, "{time}");
    }
    let restored = scenario.restore(&[]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), newest.checksums);
    // The old backup cannot be led into the new history, only to the end of its own.
    let refused = scenario.try_restore(&["--backup", &old, "--time", &after_reset, "--exact"]).exits(5);
    assert!(refused.stderr.contains("hint: or land at the end of the archive: --latest --timeline t1\n"), "{refused}");
    let restored = scenario.restore(&["--backup", &old, "--latest", "--timeline", "t1"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), end.checksums);
}

#[test]
fn real_purged_binlog_is_a_gap_that_is_told_and_never_crossed() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 22);
    workload.run(40).unwrap();
    let old = scenario.full();
    workload.run(40).unwrap();
    let before = workload.snapshot(&scenario.server).unwrap();
    let before_gap = scenario.next_second();
    scenario.ship();
    let lost = workload.snapshot(&scenario.server).unwrap().binlog.0;
    workload.run(20).unwrap();
    scenario.server.sql("FLUSH BINARY LOGS");
    scenario.next_second();
    let kept = workload.snapshot(&scenario.server).unwrap().binlog.0;
    // The server keeps a binlog, without an error, until InnoDB has written what stands in it: on a busy machine that takes
    // a while.
    let asked = Instant::now();
    while scenario.server.binlog_dir().join(&lost).exists() {
        assert!(asked.elapsed() < Duration::from_secs(60), "{lost} is never purged");
        scenario.server.sql(&format!("PURGE BINARY LOGS TO '{kept}'"));
        thread::sleep(Duration::from_millis(50));
    }
    workload.run(20).unwrap();
    let across = scenario.next_second();
    let ran = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9);
    let ran = ran.says(&format!("gap: the server no longer has {lost} to {lost}")).says("UTC");
    assert!(ran.stdout.contains("1 binlog archived"), "{ran}");
    gap_is_told(&scenario, &lost);

    for args in [&["--time", &across, "--exact"][..], &["--backup", &old, "--time", &across, "--exact"]] {
        let refused = scenario.try_restore(args).exits(5);
        assert!(refused.stderr.contains("binlogs are missing between") && refused.stderr.contains(&kept), "{refused}");
    }
    let restored = scenario.restore_at(&before_gap);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), before.checksums);

    // A new full leads on beyond the gap.
    scenario.full();
    workload.run(20).unwrap();
    let after = workload.snapshot(&scenario.server).unwrap();
    let beyond = scenario.next_second();
    scenario.ship();
    let restored = scenario.restore_at(&beyond);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), after.checksums);
}

/// Whoever knows of a gap says it, each time.
#[track_caller]
fn gap_is_told(scenario: &Scenario, lost: &str) {
    for args in [&["list"][..], &["timeline"], &["check"], &["ship-binlogs", "--exec"]] {
        let told = scenario.dbbak(args);
        assert!(format!("{}{}", told.stdout, told.stderr).contains(lost), "{told}");
    }
}

#[test]
fn real_mysql_purged_binlog_is_a_gap_that_is_told_and_never_crossed() {
    if !require_mysql() {
        return;
    }
    let mut scenario = Scenario::with(Options::mysql(), "");
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY)");
    scenario.planted_full();
    let write = |value: u32| scenario.server.sql(&format!("INSERT INTO shop.t VALUES ({value})"));
    let current = || scenario.server.value("SHOW BINARY LOG STATUS");
    write(1);
    let before = scenario.server.checksums("shop").unwrap();
    let before_gap = scenario.next_second();
    scenario.ship();
    let lost = current();
    write(2);
    scenario.server.sql("FLUSH BINARY LOGS");
    let kept = current();
    scenario.server.sql(&format!("PURGE BINARY LOGS TO '{kept}'"));
    write(3);
    let across = scenario.next_second();
    let ran = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9);
    ran.says(&format!("gap: the server no longer has {lost} to {lost}"));
    gap_is_told(&scenario, &lost);
    for args in [&["--time", &across, "--exact"][..], &["--latest"]] {
        let refused = scenario.try_restore(args).exits(5);
        assert!(refused.stderr.contains("binlogs are missing between") && refused.stderr.contains(&kept), "{refused}");
    }
    let restored = scenario.restore_at(&before_gap);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), before);
}

#[test]
fn real_rescue_brings_back_every_committed_transaction() {
    if !require_servers() {
        return;
    }
    let mut scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 23);
    workload.run(40).unwrap();
    scenario.server.sql("CREATE TABLE shop.counted (n INT PRIMARY KEY, filler TEXT) ENGINE=InnoDB");
    scenario.full();
    workload.run(40).unwrap();
    scenario.ship();
    workload.run(40).unwrap();
    let quiet = workload.snapshot(&scenario.server).unwrap();
    drop(workload);

    // One client counts what was acknowledged; the server dies under it, with a transaction open beside.
    let mut open = scenario.server.client().unwrap();
    open.run("BEGIN; INSERT INTO shop.counted VALUES (-1, 'never committed')").unwrap();
    let mut client = scenario.server.client().unwrap();
    let writer = thread::spawn(move || {
        let mut acknowledged = 0_u64;
        let insert = |n: u64| format!("INSERT INTO shop.counted VALUES ({n}, REPEAT('x', 200))");
        while client.run(&insert(acknowledged + 1)).is_ok() {
            acknowledged += 1;
        }
        acknowledged
    });
    thread::sleep(Duration::from_millis(1500));
    scenario.server.kill9();
    let acknowledged = writer.join().unwrap();
    assert!(acknowledged > 50, "{acknowledged}");

    let dir = scenario.server.binlog_dir();
    let rescue = ["ship-binlogs", "--rescue", dir.to_str().unwrap(), "--exec"];
    scenario.dbbak(&rescue).exits(0);
    // Once more: nothing is archived twice.
    let again = scenario.dbbak(&rescue).exits(0);
    assert!(again.stdout.contains("0 binlogs archived"), "{again}");

    let restored = scenario.restore(&[]);
    let mut sums = scenario.checksums_of(&restored.datadir, "shop");
    let counted = sums.remove("counted").unwrap();
    // The last statement may have committed without the client hearing of it.
    assert!((acknowledged..=acknowledged + 1).contains(&counted.rows), "{acknowledged} acknowledged, {counted:?}");
    let mut wanted = quiet.checksums;
    wanted.remove("counted");
    assert_eq!(sums, wanted);

    // The server comes back, and the archive goes on from where it was.
    scenario.server.restart().unwrap();
    scenario.server.sql("INSERT INTO shop.counted VALUES (1000000, 'after the crash')");
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.next_second();
    scenario.ship();
    let restored = scenario.restore(&[]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
}
