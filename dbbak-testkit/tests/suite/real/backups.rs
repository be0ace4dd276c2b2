//! Fulls, chains, differentials: each restores to exactly the rows that it stands for.

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

#[test]
fn real_full_restores_to_its_rows() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 1);
    workload.run(150).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let ts = scenario.full();
    workload.run(20).unwrap();
    assert_eq!(scenario.listed(), [ts]);

    let restored = scenario.restore(&["--no-pitr"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
    assert_eq!(restored.report.chain.len(), 1);
    scenario.nothing_survives();
}

#[test]
fn real_chain_restores_to_each_of_its_points() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 2);
    workload.run(60).unwrap();
    scenario.server.sql(
        "USE shop; CREATE TABLE shop.dropped (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB; INSERT INTO shop.dropped VALUES (1, 'x');
         CREATE TABLE shop.renamed ENGINE=InnoDB SELECT seq AS id FROM seq_1_to_500;
         CREATE TABLE shop.truncated ENGINE=InnoDB SELECT seq AS id, REPEAT('t', 500) AS t FROM seq_1_to_500;",
    );
    let mut points = vec![(scenario.full(), workload.snapshot(&scenario.server).unwrap())];
    for ddl in [
        "USE shop; CREATE TABLE shop.created ENGINE=InnoDB SELECT seq AS id FROM seq_1_to_100; DROP TABLE shop.dropped;",
        "RENAME TABLE shop.renamed TO shop.moved; INSERT INTO shop.moved VALUES (501); TRUNCATE shop.truncated;
         CREATE TABLE shop.dropped (other INT) ENGINE=InnoDB; INSERT INTO shop.dropped VALUES (7);",
        "INSERT INTO shop.truncated VALUES (1, 'again'); ALTER TABLE shop.moved ADD COLUMN more INT DEFAULT 3;
         ALTER TABLE shop.created ADD KEY (id);",
    ] {
        workload.run(40).unwrap();
        scenario.server.sql(ddl);
        points.push((scenario.incr(), workload.snapshot(&scenario.server).unwrap()));
    }
    workload.run(20).unwrap();
    for (number, (ts, wanted)) in points.iter().enumerate() {
        let restored = scenario.restore(&["--backup", ts]);
        assert_eq!(restored.report.chain.len(), number + 1);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums, "backup {ts}");
    }
}

#[test]
fn real_differential_stands_beside_a_chain() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::with(Default::default(), "prepared: none");
    let mut workload = scenario.workload("shop", 3);
    workload.run(50).unwrap();
    let full = scenario.full();
    let mut points = Vec::new();
    for args in [&["backup-incr"][..], &["backup-incr", "--differential"], &["backup-incr", "--base-ts", &full]] {
        workload.run(40).unwrap();
        points.push((scenario.backup(args), workload.snapshot(&scenario.server).unwrap()));
    }
    for ((ts, wanted), length) in points.iter().zip([2, 2, 3]) {
        let restored = scenario.restore(&["--backup", ts]);
        assert_eq!(restored.report.chain.len(), length, "backup {ts}: {:?}", restored.report.chain);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums, "backup {ts}");
    }
}

/// Nothing was written between the backups, so their LSNs are equal: only the recorded parents tell them apart.
#[test]
fn real_idle_server_forms_the_right_chain() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 4);
    workload.run(50).unwrap();
    // No purge or flush of its own may move the LSN on.
    scenario.server.sql("SET GLOBAL innodb_max_purge_lag_wait = 0");
    scenario.full();
    let stamps = [scenario.incr(), scenario.incr(), scenario.incr()];
    let wanted = workload.snapshot(&scenario.server).unwrap();
    workload.run(30).unwrap();
    let later = scenario.incr();
    let changed = workload.snapshot(&scenario.server).unwrap();

    let restored = scenario.restore(&["--backup", &later]);
    assert_eq!(restored.report.chain.len(), 5);
    let chain = &restored.report.chain;
    let idle = chain[1..4].iter().filter(|backup| backup.from_lsn == backup.to_lsn).count();
    assert!(idle > 0, "none of the backups was idle: {chain:?}");
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), changed.checksums);
    let restored = scenario.restore(&["--backup", &stamps[1]]);
    assert_eq!(restored.report.chain.len(), 3);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
}

#[test]
fn real_restore_is_repeatable_and_leaves_the_store_alone() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 5);
    workload.run(60).unwrap();
    scenario.full();
    workload.run(40).unwrap();
    scenario.incr();
    workload.run(40).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    scenario.next_second();
    scenario.ship();
    let before = scenario.store_digests();
    let one = scenario.restore(&[]);
    let two = scenario.restore(&[]);
    assert_eq!(scenario.store_digests(), before);
    assert_eq!(one.report.window, two.report.window);
    for restored in [one, two] {
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
    }
}
