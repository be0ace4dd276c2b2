//! Fulls by MySQL's clone plugin while the schema changes: what was cloned and what was logged fit together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dbbak_testkit::real::require_mysql;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Session};

const FULL: [&str; 4] = ["backup-full", "--engine", "clone", "--exec"];

/// A MySQL server with the clone plugin, tables that change, and enough in one that does not to make a clone last.
fn scenario() -> Scenario {
    let scenario = Scenario::with(Options::mysql(), "");
    scenario.server.sql(
        "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(300), KEY (b));
         CREATE TABLE shop.turned (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(300));
         CREATE TABLE shop.large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB);
         INSERT INTO shop.large (b) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6)
         SELECT REPEAT('x', 8000000) FROM n;
         SET GLOBAL clone_autotune_concurrency = OFF; SET GLOBAL clone_max_concurrency = 1;
         SET GLOBAL clone_max_data_bandwidth = 20;",
    );
    scenario
}

/// One round of changes of the schema, with rows between them.
fn ddl(worker: usize, round: usize) -> String {
    let name = format!("shop.w{worker}_{round}");
    let old = round.checked_sub(3).map(|old| format!("DROP TABLE shop.v{worker}_{old};")).unwrap_or_default();
    format!(
        "CREATE TABLE {name} (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(100)); INSERT INTO {name} (b) VALUES ('x'), ('y');
         ALTER TABLE {name} ADD COLUMN n INT DEFAULT 7; INSERT INTO {name} (b, n) VALUES ('z', {round});
         ALTER TABLE {name} ADD KEY (b), ALGORITHM=INPLACE; ALTER TABLE {name} FORCE;
         RENAME TABLE {name} TO shop.v{worker}_{round}; UPDATE shop.v{worker}_{round} SET n = n + a;
         TRUNCATE TABLE shop.turned; INSERT INTO shop.turned (b) VALUES ('{worker}.{round}'); {old}"
    )
}

fn rows(session: &mut Session, round: usize) {
    session
        .run(&format!(
            "INSERT INTO shop.t (b) VALUES (REPEAT('{round} ', 30)); UPDATE shop.t SET b = CONCAT(b, '!') ORDER BY a DESC \
             LIMIT 2; DELETE FROM shop.t WHERE a % 7 = {} LIMIT 1",
            round % 7
        ))
        .unwrap();
}

#[test]
fn real_mysql_clone_while_the_schema_changes() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario();
    let (done, changes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let during = std::thread::scope(|scope| {
        for worker in 0..2 {
            let (mut session, done, changes) = (scenario.server.client().unwrap(), &done, &changes);
            scope.spawn(move || {
                for round in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    session.run(&ddl(worker, round)).unwrap();
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let (mut session, stop) = (scenario.server.client().unwrap(), &done);
        scope.spawn(move || {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                rows(&mut session, round);
                round += 1;
            }
        });
        while changes.load(Ordering::Relaxed) < 8 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let before = changes.load(Ordering::Relaxed);
        let ran = scenario.dbbak(&FULL);
        let during = changes.load(Ordering::Relaxed) - before;
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::Relaxed);
        ran.exits(0);
        during
    });
    assert!(during >= 10, "only {during} rounds of changes fell into the clone");
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    assert_eq!(list["backups"][0]["pitr"], "yes", "{list:#}");
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way, "--check", "full"]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{way}");
    }
    // As it was taken it is of one moment, too: the server finds all its tables sound.
    let restored = scenario.restore(&["--no-pitr", "--check", "full"]);
    let cloned = scenario.checksums_of(&restored.datadir, "shop");
    assert_eq!(cloned["large"], wanted["large"]);
    scenario.nothing_survives();
}

/// Where the server blocks changes of the schema for a clone, one that is at work is waited for, and then the backup says
/// what stood in its way; nothing of it is listed, and changes go on behind it.
#[test]
fn real_mysql_clone_that_waits_in_vain_for_a_change_of_the_schema() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario();
    scenario
        .server
        .sql("SET GLOBAL clone_block_ddl = ON; SET GLOBAL clone_ddl_timeout = 2; INSERT INTO shop.t (b) VALUES ('x')");
    let mut reader = scenario.server.client().unwrap();
    reader.run("BEGIN; SELECT COUNT(*) FROM shop.t").unwrap();
    let mut changer = scenario.server.client().unwrap();
    let change = "ALTER TABLE shop.t ADD COLUMN n INT DEFAULT 7";
    changer.send(change).unwrap();
    let waiting = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata%'";
    let deadline = Instant::now() + Duration::from_secs(60);
    while scenario.server.value(waiting) == "0" {
        assert!(Instant::now() < deadline, "the change does not wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    let failed = scenario.dbbak(&FULL).exits(6);
    assert!(failed.stderr.contains("the clone failed"), "{failed}");
    assert!(failed.stderr.contains("clone_ddl_timeout"), "{failed}");
    assert!(scenario.listed().is_empty());
    scenario.nothing_survives();
    reader.run("COMMIT").unwrap();
    changer.receive(change).unwrap();
    // While the clone lasts, a change waits for it.
    let wanted = std::thread::scope(|scope| {
        let backup = scope.spawn(|| scenario.dbbak(&FULL));
        let cloning = "SELECT COUNT(*) FROM performance_schema.clone_progress WHERE STAGE = 'FILE COPY' AND STATE = 'In Progress'";
        while scenario.server.value(cloning) == "0" {
            assert!(!backup.is_finished(), "no clone was seen");
            std::thread::sleep(Duration::from_millis(20));
        }
        scenario.server.sql("CREATE TABLE shop.late (a INT PRIMARY KEY); INSERT INTO shop.late VALUES (1)");
        backup.join().unwrap().exits(0);
        scenario.server.checksums("shop").unwrap()
    });
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    scenario.nothing_survives();
}
