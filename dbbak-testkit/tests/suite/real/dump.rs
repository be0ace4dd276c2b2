//! Fulls by mysqldump and mariadb-dump, on both vendors: they restore to their rows and accounts, replays start from them,
//! and what no snapshot holds is refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, Vendor};
use dbbak_testkit::workload::{Mix, Workload};

const FULL: [&str; 3] = ["backup-full", "--engine", "dump"];

/// What a dump needs beyond the other engines.
const GRANTS: &str = "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'dbbak'@'localhost'";

fn scenario(options: Options) -> Scenario {
    let scenario = Scenario::with(options, "");
    grant(&scenario);
    scenario
}

pub(super) fn grant(scenario: &Scenario) {
    scenario.server.sql(GRANTS);
    if scenario.server.options().vendor == Vendor::Mysql {
        scenario.server.sql("GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost'");
    }
}

/// Its own changes of the schema are in MariaDB's words.
fn workload(scenario: &Scenario, seed: u64) -> Workload {
    Workload::new(&scenario.server, "shop", seed, Mix { ddl: false, ..Mix::default() }).unwrap()
}

/// Everything that is not rows: programs, accounts, odd values.
const OTHERS: &str = "
    CREATE TABLE shop.odd (id INT PRIMARY KEY, b VARBINARY(40), t TEXT CHARACTER SET utf8mb4, at TIMESTAMP(6) NULL,
      n INT, g INT GENERATED ALWAYS AS (n + 1) STORED) ENGINE=InnoDB;
    INSERT INTO shop.odd (id, b, t, at, n) VALUES (1, X'00FF270A5C0D1A', 'a\\nb\\\\''\"\\0-- Dump completed\\n', NOW(6), 1),
      (2, NULL, 'grüß 🐘', '2026-03-29 01:30:00.123456', NULL), (0, '', '', NULL, -1);
    CREATE VIEW shop.seen AS SELECT id, t FROM shop.odd;
    CREATE PROCEDURE shop.run() SELECT 'x; y' AS '-- Current Database: `no`';
    CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND DO DELETE FROM shop.odd;
    CREATE TRIGGER shop.odd_in BEFORE INSERT ON shop.odd FOR EACH ROW SET NEW.t = CONCAT(COALESCE(NEW.t, ''), '!');
    CREATE USER 'app'@'%' IDENTIFIED BY 'secret-of-app'; GRANT SELECT, INSERT ON shop.* TO 'app'@'%';
    CREATE ROLE reader; GRANT SELECT ON shop.odd TO reader;";

/// Rows, programs and accounts of a server.
fn content(server: &Server) -> Vec<Vec<String>> {
    let accounts = match server.options().vendor {
        Vendor::Mariadb => "SELECT Host, User, Priv FROM mysql.global_priv ORDER BY 1, 2",
        Vendor::Mysql => {
            "SELECT Host, User, authentication_string, plugin, account_locked FROM mysql.user ORDER BY 1, 2"
        }
    };
    let mut rows = server.sql(accounts);
    for (table, sum) in server.checksums("shop").unwrap() {
        rows.push(vec![table, sum.checksum, sum.rows.to_string()]);
    }
    rows.extend(server.sql(
        "SELECT ROUTINE_NAME, ROUTINE_DEFINITION, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'shop' ORDER BY 1;
         SELECT EVENT_NAME, EVENT_DEFINITION, STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA = 'shop' ORDER BY 1;
         SELECT TRIGGER_NAME, ACTION_STATEMENT, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'shop' ORDER BY 1;
         SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop' ORDER BY 1;
         SELECT * FROM mysql.db ORDER BY 1, 2, 3; SELECT Host, Db, User, Table_name, Table_priv FROM mysql.tables_priv ORDER BY 1, 2, 3, 4",
    ));
    rows
}

fn content_of(scenario: &Scenario, restored: &std::path::Path, extra: &str) -> Vec<Vec<String>> {
    let vendor = scenario.server.options().vendor;
    let options = Options { vendor, log_bin: None, ..Options::default() }.with(extra);
    let mut server = Server::on_datadir(restored, &scenario.fresh("check"), options).unwrap();
    let rows = content(&server);
    server.stop().unwrap();
    rows
}

fn restores_to_all_that_it_had(options: Options) {
    let scenario = scenario(options);
    let mut workload = workload(&scenario, 71);
    workload.run(80).unwrap();
    scenario.server.sql(OTHERS);
    let wanted = content(&scenario.server);
    let ts = scenario.backup(&FULL);
    workload.run(20).unwrap();
    assert_eq!(scenario.listed(), [ts.as_str()]);
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    let backup = &list["backups"][0];
    assert_eq!((&backup["engine"], &backup["pitr"]), (&"dump".into(), &"yes".into()), "{backup:#}");
    let tree = scenario.store().join(format!("full_{ts}"));
    assert!(tree.join("dump/dump.sql.gz").is_file() && !tree.join("raw").exists());

    let restored = scenario.restore(&["--no-pitr"]);
    let found = content_of(&scenario, &restored.datadir, "--event-scheduler=OFF");
    assert_eq!(found, wanted);
    scenario.nothing_survives();
    // The store's copy is verified before a statement of it runs.
    let file = tree.join("dump/dump.sql.gz");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = scenario.try_restore(&["--no-pitr"]).exits(7);
    assert!(refused.stderr.contains("dump.sql.gz is damaged"), "{refused}");
    scenario.nothing_survives();
}

#[test]
fn real_dump_restores_to_all_that_it_had() {
    if require_servers() {
        restores_to_all_that_it_had(Options::default());
    }
}

#[test]
fn real_mysql_dump_restores_to_all_that_it_had() {
    if require_mysql() {
        restores_to_all_that_it_had(Options::mysql());
    }
}

/// Writers go on while the dump is taken; replays to a time and to the end.
fn replays(options: Options, seed: u64, config: &str) {
    let scenario = scenario(options);
    scenario.configure(config);
    let mut workload = workload(&scenario, seed);
    workload.run(60).unwrap();
    scenario.server.sql(
        "CREATE TABLE shop.busy (id INT AUTO_INCREMENT PRIMARY KEY, t VARCHAR(200)) ENGINE=InnoDB;
         INSERT INTO shop.busy (t) SELECT REPEAT('x', 150) FROM information_schema.COLUMNS LIMIT 800;",
    );
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, done) = (&scenario.server, &done);
        scope.spawn(move || {
            let mut session = server.client().unwrap();
            let mut round = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                session.run(&format!(
                    "INSERT INTO shop.busy (t) VALUES ('n{round}'); UPDATE shop.busy SET t = CONCAT('u{round}', LEFT(t, 90)) WHERE id % 7 = {round} % 7"
                )).unwrap();
            }
        });
        scenario.backup(&FULL);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let mut points = Vec::new();
    for round in 0..2 {
        workload.run(30).unwrap();
        scenario.server.sql(&format!(
            "CREATE TABLE shop.round{round} (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB;
             INSERT INTO shop.round{round} VALUES (1, 'x'), (2, 'y'); ALTER TABLE shop.round{round} ADD COLUMN n INT DEFAULT 7;
             CREATE USER 'late{round}'@'%' IDENTIFIED BY 'x'; FLUSH BINARY LOGS;"
        ));
        let rows = scenario.server.checksums("shop").unwrap();
        points.push((scenario.next_second(), rows));
    }
    workload.run(20).unwrap();
    let last = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let (time, wanted) = &points[0];
    let restored = scenario.restore_at(time);
    assert_eq!(&scenario.checksums_of(&restored.datadir, "shop"), wanted, "{time}");
    let relay = scenario.restore(&["--latest", "--replay", "relay"]);
    let pipe = scenario.pipe_unless_old(&["--latest", "--replay", "pipe"]);
    for restored in [Some(relay), pipe].into_iter().flatten() {
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last, "{:?}", restored.report.window);
    }
    scenario.nothing_survives();
}

#[test]
fn real_dump_pitr() {
    if require_servers() {
        replays(Options::default(), 72, "binlog_compression: zstd");
    }
}

#[test]
fn real_mysql_dump_pitr() {
    if require_mysql() {
        replays(Options::mysql(), 73, "compress: false");
    }
}

#[test]
fn real_mysql_dump_pitr_without_gtids() {
    if require_mysql() {
        replays(Options::mysql().with("--gtid-mode=OFF").with("--enforce-gtid-consistency=OFF"), 74, "");
    }
}

fn refuses(options: Options) {
    let scenario = Scenario::with(options, "");
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.old (a INT) ENGINE=MyISAM; INSERT INTO shop.old VALUES (1);
         CREATE TABLE shop.new (a INT) ENGINE=InnoDB; INSERT INTO shop.new VALUES (1)",
    );
    let refused = scenario.dbbak(&FULL).exits(5);
    assert!(refused.stderr.contains("it lacks SELECT, SHOW VIEW, TRIGGER, EVENT"), "{refused}");
    assert!(refused.stderr.contains("GRANT SELECT, SHOW VIEW, TRIGGER, EVENT"), "{refused}");
    grant(&scenario);
    let refused = scenario.dbbak(&FULL).exits(5);
    assert!(refused.stderr.contains("shop.old (MyISAM)") && !refused.stderr.contains("shop.new"), "{refused}");
    assert!(scenario.listed().is_empty());

    // Accepted, it is a dump that no replay starts from; locked, it is as good as any.
    let taken = scenario.dbbak(&[&FULL[..], &["--non-transactional", "accept", "--exec"]].concat()).exits(0);
    assert!(taken.stderr.contains("cannot start a point-in-time recovery: it holds tables without"), "{taken}");
    scenario.next_second();
    let locked = scenario.backup(&[&FULL[..], &["--non-transactional", "lock"]].concat());
    scenario.server.sql("INSERT INTO shop.old VALUES (2); INSERT INTO shop.new VALUES (3)");
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    let pitr: Vec<&serde_json::Value> =
        list["backups"].as_array().unwrap().iter().map(|backup| &backup["pitr"]).collect();
    assert_eq!(pitr.len(), 2);
    assert_eq!(pitr[1], "yes", "{list:#}");
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--backup", &locked, "--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    let refused = scenario.dbbak(&["backup-incr"]).exits(5);
    assert!(refused.stderr.contains("was taken by dump, which takes no incrementals"), "{refused}");
}

#[test]
fn real_dump_refuses_tables_of_no_snapshot() {
    if require_servers() {
        refuses(Options::default());
    }
}

#[test]
fn real_mysql_dump_refuses_tables_of_no_snapshot() {
    if require_mysql() {
        refuses(Options::mysql());
    }
}

/// The dump program behind a script, which waits in the middle of a dump until the file exists whose path is returned.
fn held(scenario: &Scenario) -> (std::path::PathBuf, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt as _;
    let vendor = scenario.server.options().vendor;
    let real = vendor.program(if vendor == Vendor::Mysql { "mysqldump" } else { "mariadb-dump" }).unwrap();
    let (program, go, there) =
        (scenario.root().join("dumper"), scenario.root().join("go"), scenario.root().join("there"));
    // What it prints is held back when the head is out: its snapshot stands then.
    let script = format!(
        "#!/bin/bash\ncase \"$*\" in *--version*) exec '{real}' \"$@\";; esac\nset -o pipefail\n\
         '{real}' \"$@\" | {{ head -c 3000; touch '{there}'; while ! [ -e '{go}' ]; do sleep 0.05; done; cat; }}\n",
        real = real.display(),
        go = go.display(),
        there = there.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("mysqldump: {}", program.display()));
    (go, there)
}

fn wait_for(path: &std::path::Path, child: &mut std::process::Child) {
    while !path.exists() {
        assert!(child.try_wait().unwrap().is_none(), "dbbak ended before it dumped");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A change of the schema while a dump is taken, and a kill in the middle of one: nothing is listed, and nothing runs on.
fn faults(options: Options) {
    let scenario = scenario(options);
    let mut workload = workload(&scenario, 75);
    workload.run(60).unwrap();
    // More than the pipes hold, so that the dump program is still at it.
    scenario.server.sql(
        "CREATE TABLE shop.large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB;
         INSERT INTO shop.large (b) SELECT REPEAT('x', 4000000) FROM shop.customers LIMIT 4;",
    );
    let (go, there) = held(&scenario);
    let run = || scenario.command(&[&FULL[..], &["--exec"]].concat()).spawn().unwrap();
    let mut child = run();
    wait_for(&there, &mut child);
    scenario.server.sql("CREATE PROCEDURE shop.late() SELECT 1");
    std::fs::write(&go, "").unwrap();
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("the schema was changed while the dump was taken, at mysql-bin.0"), "{stderr}");
    assert!(stderr.contains("PROCEDURE"), "{stderr}");
    assert!(scenario.listed().is_empty());

    // The dump waits for a table that another session has locked.
    scenario.configure("");
    let mut session = scenario.server.client().unwrap();
    session.run("LOCK TABLES shop.large WRITE").unwrap();
    scenario.next_second();
    let mut child = run();
    while !scenario.strangers().iter().any(|process| process.contains("--all-databases")) {
        assert!(child.try_wait().unwrap().is_none(), "dbbak ended before it dumped");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    child.kill().unwrap();
    child.wait().unwrap();
    scenario.nothing_survives();
    assert!(scenario.listed().is_empty());
    session.run("UNLOCK TABLES").unwrap();
    let dumping = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'dbbak'";
    for _ in 0..100 {
        if scenario.server.value(dumping) == "0" {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(scenario.server.value(dumping), "0");

    scenario.next_second();
    let wanted = scenario.server.checksums("shop").unwrap();
    let ts = scenario.backup(&FULL);
    assert_eq!(scenario.listed(), [ts]);
    let restored = scenario.restore(&["--no-pitr"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
}

#[test]
fn real_dump_faults() {
    if require_servers() {
        faults(Options::default());
    }
}

#[test]
fn real_mysql_dump_faults() {
    if require_mysql() {
        faults(Options::mysql());
    }
}

/// A transaction that stands prepared is in no dump, and what ends it later could not be replayed.
fn refuses_prepared(options: Options) {
    let scenario = scenario(options);
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO shop.t VALUES (1)",
    );
    let mut session = scenario.server.client().unwrap();
    session
        .run("XA START 'held', 'here'; INSERT INTO shop.t VALUES (2); XA END 'held', 'here'; XA PREPARE 'held', 'here'")
        .unwrap();
    let refused = scenario.dbbak(&[&FULL[..], &["--exec"]].concat()).exits(5);
    assert!(
        refused.stderr.contains("XA transactions stand prepared, and no dump holds what they changed: "),
        "{refused}"
    );
    let named = refused.stderr.to_lowercase();
    assert!(named.contains("'held'") || named.contains("x'68656c64',x'68657265',1"), "{refused}");
    assert!(refused.stderr.contains("XA COMMIT or XA ROLLBACK"), "{refused}");
    session.run("XA COMMIT 'held', 'here'").unwrap();

    // One that was prepared behind the plan's back: the dump program waits until it stands.
    let (program, real) = (scenario.root().join("dumper"), dumper(&scenario));
    let (begun, go) = (scenario.root().join("begun"), scenario.root().join("go"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--version*|*--help*) ;; *) touch '{}'; while ! [ -e '{}' ]; do sleep 0.05; done;; esac\n\
         exec '{}' \"$@\"\n",
        begun.display(),
        go.display(),
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("mysqldump: {}", program.display()));
    let held = |name: &str, row: u32| {
        format!("XA START '{name}'; INSERT INTO shop.t VALUES ({row}); XA END '{name}'; XA PREPARE '{name}'")
    };
    // Ended before the dump's moment, or behind it: only the second is missing in the dump.
    for (meanwhile, code) in [(held("late", 3) + "; XA COMMIT 'late'", 0), (held("late", 4), 6)] {
        scenario.next_second();
        let child = scenario.command(&[&FULL[..], &["--exec"]].concat()).spawn().unwrap();
        while !begun.exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        session.run(&meanwhile).unwrap();
        fs::write(&go, "").unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert_eq!(stderr.contains("XA transactions stood prepared when the dump was taken"), code == 6, "{stderr}");
        assert_eq!(scenario.listed().len(), 1, "{stderr}");
        fs::remove_file(&begun).unwrap();
        fs::remove_file(&go).unwrap();
    }
    session.run("XA COMMIT 'late'").unwrap();
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    // Of two XA transactions of one name in a log, MySQL 9.7.4 cuts the second one's end off when it looks through its
    // relay logs.
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    }
    scenario.nothing_survives();
}

fn dumper(scenario: &Scenario) -> std::path::PathBuf {
    let vendor = scenario.server.options().vendor;
    let name = match vendor {
        Vendor::Mariadb => "mariadb-dump",
        Vendor::Mysql => "mysqldump",
    };
    vendor.program(name).unwrap()
}

#[test]
fn real_dump_refuses_prepared_transactions() {
    if require_servers() {
        refuses_prepared(Options::default());
    }
}

#[test]
fn real_mysql_dump_refuses_prepared_transactions() {
    if require_mysql() {
        refuses_prepared(Options::mysql());
    }
}
