//! Fulls by MySQL's clone plugin: they restore to their rows, replays start from them, and what a clone lacks is refused.

use std::time::Duration;

use dbbak_testkit::real::require_mysql;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server};
use dbbak_testkit::workload::{Mix, Workload};

const FULL: [&str; 3] = ["backup-full", "--engine", "clone"];

/// A MySQL server with the clone plugin.
fn scenario(options: Options) -> Scenario {
    let scenario = Scenario::with(options, "");
    scenario.server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
    scenario
}

/// Its own changes of the schema are in MariaDB's words.
pub(super) fn workload(scenario: &Scenario, seed: u64) -> Workload {
    Workload::new(&scenario.server, "shop", seed, Mix { ddl: false, ..Mix::default() }).unwrap()
}

pub(super) fn without_gtids() -> Options {
    Options::mysql().with("--gtid-mode=OFF").with("--enforce-gtid-consistency=OFF")
}

#[test]
fn real_mysql_clone_restores_to_its_rows() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario(Options::mysql());
    let mut workload = workload(&scenario, 61);
    workload.run(100).unwrap();
    let wanted = scenario.server.checksums("shop").unwrap();
    let ts = scenario.backup(&FULL);
    workload.run(20).unwrap();
    assert_eq!(scenario.listed(), [ts.as_str()]);

    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    let backup = &list["backups"][0];
    assert_eq!((&backup["engine"], &backup["pitr"]), (&"clone".into(), &"yes".into()), "{backup:#}");
    let tree = scenario.store().join(format!("full_{ts}"));
    assert!(tree.join("prepared-final/shop/customers.ibd").is_file());
    assert!(!tree.join("prepared-final/auto.cnf").exists() && !tree.join("raw").exists());

    let restored = scenario.restore(&["--no-pitr"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    scenario.nothing_survives();
}

/// Across changes of the schema and rotations, to a time, a transaction, and the end.
fn replays(options: Options, gtids: bool, seed: u64) {
    let scenario = scenario(options);
    let mut workload = workload(&scenario, seed);
    workload.run(60).unwrap();
    scenario.backup(&FULL);
    let (mut points, mut executed) = (Vec::new(), Vec::new());
    for round in 0..3 {
        workload.run(30).unwrap();
        scenario.server.sql(&format!(
            "CREATE TABLE shop.round{round} (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB;
             INSERT INTO shop.round{round} VALUES (1, 'x'), (2, 'y'); ALTER TABLE shop.round{round} ADD COLUMN n INT DEFAULT 7;"
        ));
        let rows = scenario.server.checksums("shop").unwrap();
        let gtid = gtids.then(|| {
            executed.push(scenario.server.value("SELECT @@GLOBAL.gtid_executed"));
            let number = scenario.server.value("SELECT REGEXP_SUBSTR(@@GLOBAL.gtid_executed, '[0-9]+$')");
            format!("{}:{number}", scenario.server.value("SELECT @@server_uuid"))
        });
        points.push((scenario.next_second(), gtid, rows));
        if round == 1 {
            scenario.server.sql("FLUSH BINARY LOGS; DROP TABLE shop.round0");
        }
    }
    workload.run(20).unwrap();
    let last = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for (number, (time, gtid, wanted)) in points.iter().enumerate() {
        // Each restore takes seconds: by its time once without GTIDs, else the first of them.
        if number == 1 || !gtids {
            let restored = scenario.restore_at(time);
            assert_eq!(&scenario.checksums_of(&restored.datadir, "shop"), wanted, "{time}");
        }
        if let Some(gtid) = gtid {
            let restored = scenario.restore(&["--gtid", gtid]);
            // The transactions keep their GTIDs, and nothing of dbbak's own is among them.
            let options = Options { log_bin: None, ..Options::mysql() };
            let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("check"), options).unwrap();
            assert_eq!(server.value("SELECT @@GLOBAL.gtid_executed"), executed[number], "{gtid}");
            assert_eq!(server.value("SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'dbbak\\_%'"), "0");
            assert_eq!(&server.checksums("shop").unwrap(), wanted, "{gtid}");
            server.stop().unwrap();
        }
    }
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last);
    scenario.nothing_survives();
}

#[test]
fn real_mysql_pitr_from_a_clone() {
    if require_mysql() {
        replays(Options::mysql(), true, 62);
    }
}

#[test]
fn real_mysql_pitr_from_a_clone_without_gtids() {
    if require_mysql() {
        replays(without_gtids(), false, 63);
    }
}

/// A table that is made of another one is logged as one transaction, `CREATE TABLE ... START TRANSACTION` and its rows. In a
/// client's session MySQL 9.7.2 loses it where the server has no binlog, and counts its GTID all the same.
#[test]
fn real_mysql_tables_made_of_others_replay_either_way() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario(Options::mysql());
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.few (id INT PRIMARY KEY, t TEXT); INSERT INTO shop.few VALUES (1, 'x'), (2, 'y');
         CREATE TABLE shop.none LIKE shop.few; CREATE TABLE shop.many (id INT PRIMARY KEY, t TEXT);
         INSERT INTO shop.many WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
         SELECT i, REPEAT('many ', 20) FROM n",
    );
    scenario.backup(&FULL);
    let made = |kind: &str| {
        let one = |from: &str| format!("CREATE TABLE shop.{kind}_{from} (PRIMARY KEY (id)) SELECT * FROM shop.{from};");
        ["none", "few", "many"].map(one).concat()
    };
    scenario.server.sql(&format!(
        "{} SET gtid_next = 'AUTOMATIC:shop'; {} SET binlog_rows_query_log_events = ON; {}
         SET binlog_transaction_compression = ON; {} FLUSH BINARY LOGS; SET TIMESTAMP = UNIX_TIMESTAMP() + 5000; {}
         INSERT INTO shop.compressed_few VALUES (3, 'z')",
        made("plain"),
        made("tagged"),
        made("quoted"),
        made("compressed"),
        made("ahead")
    ));
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for way in ["pipe", "relay"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{way}");
    }
}

#[test]
fn real_mysql_pitr_across_a_reset_of_the_binlogs() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario(Options::mysql());
    let mut workload = workload(&scenario, 64);
    workload.run(40).unwrap();
    scenario.backup(&FULL);
    workload.run(40).unwrap();
    let before = scenario.server.checksums("shop").unwrap();
    let time = scenario.next_second();
    workload.run(10).unwrap();
    scenario.next_second();
    scenario.ship();
    scenario.server.sql("RESET BINARY LOGS AND GTIDS");
    let full = scenario.backup(&FULL);
    workload.run(40).unwrap();
    let after = scenario.server.checksums("shop").unwrap();
    scenario.next_second();
    // Nothing was archived of what came between the last binlog of the old history and the reset: that is said.
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9);

    let restored = scenario.restore_at(&time);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), before);
    let restored = scenario.restore(&["--backup", &full, "--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), after);
}

#[test]
fn real_mysql_clone_refuses_tables_that_it_would_leave_empty() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario(Options::mysql());
    scenario
        .server
        .sql("CREATE DATABASE shop; CREATE TABLE shop.old (a INT) ENGINE=MyISAM; INSERT INTO shop.old VALUES (1)");
    // An account sees only tables that it has a privilege on: what it does not see is found on the copy.
    for (code, granted) in [(6, "SELECT 1"), (5, "GRANT SELECT ON shop.* TO 'dbbak'@'localhost'")] {
        scenario.server.sql(granted);
        let refused = scenario.dbbak(&[&FULL[..], &["--exec"]].concat()).exits(code);
        assert!(refused.stderr.contains("shop.old (MyISAM)"), "{refused}");
        assert!(scenario.listed().is_empty());
        scenario.nothing_survives();
    }
    scenario.server.sql("ALTER TABLE shop.old ENGINE=InnoDB");
    scenario.backup(&FULL);
}

#[test]
fn real_mysql_clone_says_that_the_plugin_is_missing() {
    if !require_mysql() {
        return;
    }
    let scenario = Scenario::with(Options::mysql(), "");
    let engines = scenario.dbbak(&["engines"]).exits(0);
    assert!(
        engines.stdout.contains(&format!("clone {}", scenario.server.value("SELECT VERSION()")))
            && engines.stdout.contains("missing: the clone plugin is not installed"),
        "{engines}"
    );
    let checked = scenario.dbbak(&["check"]);
    assert!(
        checked.stdout.contains("WARNING  engine: clone would do without a backup tool, and cannot be used: the clone plugin is not installed\n")
            && checked.stdout.contains("-> INSTALL PLUGIN clone SONAME 'mysql_clone.so'"),
        "{checked}"
    );
    let refused = scenario.dbbak(&FULL).exits(5);
    assert!(refused.stderr.contains("the server's clone plugin is not installed"), "{refused}");
    assert!(refused.stderr.contains("INSTALL PLUGIN clone SONAME 'mysql_clone.so'"), "{refused}");
    scenario.server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
    scenario.dbbak(&FULL).exits(0);
    // What a full does not need is no finding.
    let checked = scenario.dbbak(&["check"]);
    assert!(
        checked.stdout.contains("ok       engine: clone (mariadb-backup ") && !checked.stdout.contains("backup tool"),
        "{checked}"
    );
    // The tools that the machine has are MariaDB's, so that auto clones too.
    let engines = scenario.dbbak(&["engines", "--json"]).exits(0).json();
    let clone = engines["engines"].as_array().unwrap().iter().find(|engine| engine["name"] == "clone").unwrap();
    assert_eq!((&clone["chosen"], &clone["missing"]), (&true.into(), &serde_json::json!([])), "{engines:#}");
    let plan = scenario.dbbak(&["backup-full"]).exits(0);
    assert!(
        plan.stdout.contains(" with clone\n") && plan.stdout.contains("and the server has the clone plugin"),
        "{plan}"
    );
}

/// The server does not notice that its client died, and would go on cloning: the next run ends that first.
#[test]
fn real_mysql_clone_that_was_killed_leaves_nothing_listed() {
    if !require_mysql() {
        return;
    }
    let scenario = scenario(Options::mysql());
    let mut workload = workload(&scenario, 65);
    workload.run(60).unwrap();
    scenario.server.sql(
        "CREATE TABLE shop.large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB;
         INSERT INTO shop.large (b) SELECT REPEAT('x', 8000000) FROM shop.customers LIMIT 10;
         SET GLOBAL clone_autotune_concurrency = OFF; SET GLOBAL clone_max_concurrency = 1;
         SET GLOBAL clone_max_data_bandwidth = 10;",
    );
    let cloning =
        || scenario.server.value("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'CLONE LOCAL%'");
    let run = || {
        let mut command = scenario.command(&[&FULL[..], &["--exec"]].concat());
        command.stderr(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut child = run();
    while cloning() == "0" {
        assert!(child.try_wait().unwrap().is_none(), "dbbak ended before it cloned");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(500));
    child.kill().unwrap();
    child.wait().unwrap();
    scenario.nothing_survives();
    assert_eq!(cloning(), "1", "the server goes on");
    let session = || {
        scenario
            .server
            .value("SELECT COALESCE(MAX(ID), 0) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'CLONE LOCAL%'")
    };
    let first = session();
    assert!(scenario.listed().is_empty());

    // The next run ends that one first; its own is ended with it when it is asked to stop.
    scenario.next_second();
    let mut child = run();
    // Files of the first clone lie there as well: only its session tells the second one from it.
    while matches!(session().as_str(), "0" | "NULL") || session() == first {
        assert!(child.try_wait().unwrap().is_none(), "dbbak ended before it cloned");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(700));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert_eq!(cloning(), "0");
    assert!(scenario.listed().is_empty());
    scenario.nothing_survives();

    scenario.server.sql("SET GLOBAL clone_max_data_bandwidth = 0");
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.next_second();
    let ts = scenario.backup(&FULL);
    assert_eq!(cloning(), "0");
    assert_eq!(scenario.listed(), [ts]);
    let scratch = scenario.root().join("scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "the killed run's copy is gone");
    let restored = scenario.restore(&["--no-pitr"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
}
