//! Point-in-time recovery: the restored rows are those of the moment asked for, or nothing is restored.

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

#[test]
fn real_pitr_lands_between_two_transactions() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 11);
    workload.run(50).unwrap();
    scenario.full();
    // (the first moment at which the rows are these, the rows)
    let mut points = Vec::new();
    for round in 0..4 {
        let rows = workload.snapshot(&scenario.server).unwrap().checksums;
        points.push((scenario.next_second(), rows));
        workload.run(30).unwrap();
        if round % 2 == 0 {
            scenario.server.sql("FLUSH BINARY LOGS");
        }
    }
    let last = workload.snapshot(&scenario.server).unwrap().checksums;
    let end = scenario.next_second();
    scenario.ship();
    for (time, wanted) in &points {
        let restored = scenario.restore_at(time);
        assert_eq!(&scenario.checksums_of(&restored.datadir, "shop"), wanted, "{time}");
    }
    for restored in [scenario.restore_at(&end), scenario.restore(&[])] {
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last);
    }

    let late = scenario.next_second();
    let refused = scenario.try_restore(&["--time", &late, "--exact"]).exits(5);
    assert!(refused.stderr.contains("binlogs reach up to"), "{refused}");
    assert!(refused.stderr.contains("hint: or land at the end of the archive: --latest"), "{refused}");
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last);
    scenario.nothing_survives();
}

/// A transaction is all or nothing: it began before the moment and committed after it.
#[test]
fn real_pitr_leaves_out_an_open_transaction() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 12);
    workload.run(30).unwrap();
    scenario.server.sql("CREATE TABLE shop.t (a INT PRIMARY KEY) ENGINE=InnoDB");
    scenario.full();
    workload.run(20).unwrap();
    scenario.next_second();
    let mut session = scenario.server.client().unwrap();
    let before = workload.snapshot(&scenario.server).unwrap();
    session.run("BEGIN; INSERT INTO shop.t VALUES (1)").unwrap();
    let inside = scenario.next_second();
    scenario.next_second();
    session.run("INSERT INTO shop.t VALUES (2); COMMIT").unwrap();
    let after = workload.snapshot(&scenario.server).unwrap();
    let behind = scenario.next_second();
    workload.run(20).unwrap();
    scenario.next_second();
    scenario.ship();

    let restored = scenario.restore_at(&inside);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), before.checksums);
    let restored = scenario.restore_at(&behind);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), after.checksums);
}

#[test]
fn real_pitr_goes_across_a_later_full() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 13);
    workload.run(40).unwrap();
    let old = scenario.full();
    workload.run(40).unwrap();
    scenario.ship();
    let new = scenario.full();
    scenario.next_second();
    workload.run(40).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let time = scenario.next_second();
    workload.run(20).unwrap();
    scenario.ship();

    let from_new = scenario.restore_at(&time);
    let from_old = scenario.restore(&["--backup", &old, "--time", &time, "--exact"]);
    assert!(from_new.report.chain[0].backup.contains(&new), "{:?}", from_new.report.chain);
    assert!(from_old.report.chain[0].backup.contains(&old), "{:?}", from_old.report.chain);
    let (from_new, from_old) =
        (scenario.checksums_of(&from_new.datadir, "shop"), scenario.checksums_of(&from_old.datadir, "shop"));
    assert_eq!(from_new, wanted.checksums);
    assert_eq!(from_old, wanted.checksums);
}

/// MariaDB stamps events with whole seconds: a restore to the moment at which the last binlog was closed would leave out what
/// was committed in that second.
#[test]
fn real_restore_without_a_target_brings_back_the_last_second() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY) ENGINE=InnoDB");
    scenario.full();
    scenario.server.sql("INSERT INTO shop.t VALUES (1)");
    // The last rows and the rotation stand in one second.
    let mut last = 2;
    loop {
        let second = scenario.next_second();
        scenario.server.sql(&format!("INSERT INTO shop.t VALUES ({last}); FLUSH BINARY LOGS"));
        let now = scenario.server.value("SELECT DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%d %H:%i:%s')");
        if now == second {
            break;
        }
        last += 1;
    }
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
    for args in [&["--latest"][..], &[]] {
        let restored = scenario.restore(args);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{args:?}");
        assert!(restored.report.aim.starts_with("to the end of the archive"), "{}", restored.report.aim);
    }
}
