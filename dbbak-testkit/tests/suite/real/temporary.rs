//! Temporary tables in logs of statements: what a source logs of them, and what a private server logs again.

use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Vendor};

fn scenario(vendor: Vendor, format: &str, gtids: bool) -> Scenario {
    let options = match (vendor, gtids) {
        (Vendor::Mysql, true) => Options::mysql(),
        // On by default since 9.7.
        (Vendor::Mysql, false) => Options { vendor, ..Options::default() }.with("--gtid-mode=OFF"),
        (Vendor::Mariadb, _) => Options::default(),
    };
    let mut scenario = Scenario::with(options.with(format!("--binlog-format={format}")), "");
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(100)) ENGINE=InnoDB;
         INSERT INTO shop.t (b) VALUES ('before')",
    );
    scenario.planted_full();
    scenario
}

/// All that a session does with temporary tables: made, filled, read, altered, dropped by it or with its end.
const SESSIONS: [&str; 4] = [
    "CREATE TEMPORARY TABLE shop.x (x INT); INSERT INTO shop.x VALUES (1), (2); INSERT INTO shop.t (b) SELECT x FROM shop.x;
     DROP TEMPORARY TABLE shop.x; INSERT INTO shop.t (b) VALUES ('behind')",
    "CREATE TEMPORARY TABLE shop.y (y INT); INSERT INTO shop.y VALUES (3); ALTER TABLE shop.y ADD COLUMN z INT DEFAULT 4;
     INSERT INTO shop.t (b) SELECT CONCAT(y, z) FROM shop.y; TRUNCATE TABLE shop.y; INSERT INTO shop.t (b) SELECT COUNT(*) FROM shop.y",
    "USE shop; CREATE TEMPORARY TABLE t2 LIKE t; CREATE TEMPORARY TABLE t3 (a INT) ENGINE=MyISAM; INSERT INTO t2 SELECT * FROM t;
     INSERT INTO t3 VALUES (1); UPDATE t2 SET b = 'copied'; INSERT INTO t (b) SELECT b FROM t2",
    "USE shop; BEGIN; INSERT INTO t (b) VALUES ('in one'); DELETE FROM t WHERE a = 1; COMMIT; DROP TEMPORARY TABLE IF EXISTS none;
     INSERT INTO t (b) VALUES ('last')",
];

fn replays(vendor: Vendor, format: &str, gtids: bool) {
    let scenario = scenario(vendor, format, gtids);
    for session in SESSIONS {
        scenario.server.sql(session);
    }
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{way}");
        assert!(!restored.ran.stderr.contains(EARLIER), "{}", restored.ran);
    }
    scenario.nothing_survives();
}

#[test]
fn real_temporary_tables_in_statements() {
    if require_servers() {
        replays(Vendor::Mariadb, "STATEMENT", true);
    }
}

#[test]
fn real_mysql_temporary_tables_in_statements() {
    if require_mysql() {
        replays(Vendor::Mysql, "STATEMENT", true);
    }
}

#[test]
fn real_mysql_temporary_tables_in_statements_without_gtids() {
    if require_mysql() {
        replays(Vendor::Mysql, "STATEMENT", false);
    }
}

/// What the plan says of temporary tables that were there before the window.
const EARLIER: &str = "depends on a temporary table that its session had";

/// A temporary table that is open while the backup is taken, of the name of a permanent one.
fn earlier_ones_are_named(options: Options) {
    let scenario = Scenario::with(options, "");
    if scenario.server.options().vendor == Vendor::Mysql {
        scenario.server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
    }
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY, b INT) ENGINE=InnoDB; INSERT INTO shop.t VALUES (1, 1);
         CREATE TABLE shop.u (b INT) ENGINE=InnoDB",
    );
    let mut session = scenario.server.client().unwrap();
    session.run("CREATE TEMPORARY TABLE shop.t (a INT PRIMARY KEY, b INT)").unwrap();
    session.run("INSERT INTO shop.t VALUES (10, 100)").unwrap();
    scenario.full();
    session.run("INSERT INTO shop.u SELECT b FROM shop.t").unwrap();
    session.run("INSERT INTO shop.u VALUES (CONNECTION_ID() > 0)").unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    let told: Vec<&str> = restored.ran.stderr.lines().filter(|line| line.contains(EARLIER)).collect();
    assert!(told.len() == 1 && told[0].contains("shop.u"), "{}", restored.ran);
}

#[test]
fn real_temporary_tables_of_before_the_window_are_named() {
    if require_servers() {
        for format in ["MIXED", "STATEMENT"] {
            earlier_ones_are_named(Options::default().with(format!("--binlog-format={format}")));
        }
    }
}

#[test]
fn real_mysql_temporary_tables_of_before_the_window_are_named() {
    if require_mysql() {
        earlier_ones_are_named(Options::mysql().with("--binlog-format=STATEMENT"));
    }
}
