//! Restores to a transaction, a position, or the end of the archive: the restored rows are those of that place.

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

/// The GTID so many transactions further on.
fn later(gtid: &str, more: u64) -> String {
    let (domain_and_server, number) = gtid.rsplit_once('-').unwrap();
    format!("{domain_and_server}-{}", number.parse::<u64>().unwrap() + more)
}

#[test]
fn real_targets_by_gtid_and_position_land_where_they_say() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 31);
    workload.run(40).unwrap();
    let first = scenario.full();
    let mut points = Vec::new();
    for round in 0..2 {
        workload.run(25).unwrap();
        points.push(workload.snapshot(&scenario.server).unwrap());
        if round == 0 {
            scenario.server.sql("FLUSH BINARY LOGS");
        }
    }
    // A backup behind every point but the last: it must be passed over for what it already holds.
    let incremental = scenario.incr();
    workload.run(25).unwrap();
    points.push(workload.snapshot(&scenario.server).unwrap());
    workload.run(10).unwrap();
    scenario.ship();

    for (number, point) in points.iter().enumerate() {
        let position = format!("{}:{}", point.binlog.0, point.binlog.1);
        let next = later(&point.gtid, 1);
        let chosen = if number < 2 { &first } else { &incremental };
        for args in [["--gtid", &point.gtid], ["--before-gtid", &next], ["--position", &position]] {
            let restored = scenario.restore(&args);
            assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), point.checksums, "{args:?}");
            let report = &restored.report;
            assert!(report.chain.last().unwrap().backup.contains(chosen), "{args:?}: {:?}", report.chain);
            // The plan and the report name both sides of the cut.
            let edges = report.edges.as_ref().unwrap();
            assert_eq!(edges.last_included.as_ref().unwrap().gtid.as_ref(), Some(&point.gtid), "{args:?}");
            assert_eq!(edges.first_excluded.as_ref().unwrap().gtid.as_ref(), Some(&next), "{args:?}");
        }
    }
    scenario.nothing_survives();
}

#[test]
fn real_targets_that_are_no_place_are_refused() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 32);
    workload.run(10).unwrap();
    let full = scenario.full();
    workload.run(10).unwrap();
    let point = workload.snapshot(&scenario.server).unwrap();
    scenario.server.sql("INSERT INTO shop.customers (id, name, balance) VALUES (900001, 'inside', 1)");
    let end = workload.snapshot(&scenario.server).unwrap();
    scenario.ship();

    let (file, position) = &point.binlog;
    let refused = scenario.try_restore(&["--position", &format!("{file}:{}", position + 1)]).exits(5);
    let named = format!("the nearest places to cut at are {file}:{position} and {file}:{}", end.binlog.1);
    assert!(refused.stderr.contains(&named), "{refused}");
    let hint = format!("hint: use --position {file}:{position} or --position {file}:{}", end.binlog.1);
    assert!(refused.stderr.contains(&hint), "{refused}");

    let beyond = later(&end.gtid, 100);
    let refused = scenario.try_restore(&["--gtid", &beyond]).exits(5);
    assert!(refused.stderr.contains("it would stand behind"), "{refused}");
    let refused = scenario.try_restore(&["--gtid", "0-99-1"]).exits(5);
    assert!(refused.stderr.contains("no archived binlog knows of it"), "{refused}");
    let refused = scenario.try_restore(&["--backup", &full, "--before-gtid", "0-1-2"]).exits(5);
    assert!(refused.stderr.contains("it holds that already"), "{refused}");
    let refused = scenario.try_restore(&["--timeline", "t9", "--latest"]).exits(5);
    assert!(refused.stderr.contains("the archive has no timeline t9; it has t1: "), "{refused}");
}

/// `CREATE TABLE ... SELECT` may be logged as two groups of one GTID.
#[test]
fn real_targets_take_both_groups_of_one_gtid() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 33);
    workload.run(20).unwrap();
    scenario.full();
    workload.run(10).unwrap();
    let before = workload.snapshot(&scenario.server).unwrap();
    scenario.server.sql("CREATE TABLE shop.copied ENGINE=InnoDB AS SELECT id, name FROM shop.customers");
    let gtid = scenario.server.value("SELECT @@gtid_binlog_pos");
    let after = scenario.server.checksums("shop").unwrap();
    workload.run(5).unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--gtid", &gtid]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), after);
    let restored = scenario.restore(&["--before-gtid", &later(&before.gtid, 1)]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), before.checksums);
}

/// After a reset the names begin anew: a position alone does not say which binlog is meant.
#[test]
fn real_targets_need_a_timeline_where_names_repeat() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 34);
    workload.run(20).unwrap();
    scenario.full();
    workload.run(10).unwrap();
    let old = workload.snapshot(&scenario.server).unwrap();
    workload.run(5).unwrap();
    scenario.ship();
    scenario.server.sql("RESET MASTER");
    workload.run(40).unwrap();
    scenario.full();
    workload.run(10).unwrap();
    let last = workload.snapshot(&scenario.server).unwrap();
    // Nobody saw the end of the old history: that is said, and what is there is archived all the same.
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9);

    let position = format!("{}:{}", old.binlog.0, old.binlog.1);
    let refused = scenario.try_restore(&["--position", &position]).exits(5);
    assert!(refused.stderr.contains("is in 2 timelines: t1: "), "{refused}");
    assert!(refused.stderr.contains("hint: say which is meant: --timeline t1 or --timeline t2"), "{refused}");
    let restored = scenario.restore(&["--position", &position, "--timeline", "t1"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), old.checksums);
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last.checksums);
}
