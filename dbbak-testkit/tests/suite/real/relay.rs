//! The replay by the private server's own applier: it lands where the pipe lands, and what goes wrong is named.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use dbbak_testkit::real::{find_program, require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Rows, Server};

/// What a log can hold that an applier may take in another way than a client does.
const ODDITIES: &str = "
    CREATE TABLE shop.copied SELECT * FROM shop.t;
    CREATE EVENT shop.on_event ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t WHERE a < 0;
    CREATE DEFINER=root@localhost EVENT shop.off_event ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM shop.t WHERE a < 0;
    CREATE TEMPORARY TABLE shop.scratch (x INT); INSERT INTO shop.scratch VALUES (1), (2);
    SET binlog_format = STATEMENT; INSERT INTO shop.t (b) SELECT x FROM shop.scratch; SET binlog_format = MIXED;
    INSERT INTO shop.t (b, c) VALUES ('random', RAND());
    SET timestamp = 1790000000.000123; INSERT INTO shop.t (b) VALUES (NOW(6)); SET timestamp = DEFAULT;
    XA START 'a'; INSERT INTO shop.t (b) VALUES ('xa'); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a';
    BEGIN; INSERT INTO shop.t (b) VALUES ('no'); INSERT INTO shop.flat VALUES (1); ROLLBACK;
    BEGIN; SAVEPOINT s; INSERT INTO shop.t (b) VALUES ('back'); ROLLBACK TO s; COMMIT;
    SET gtid_domain_id = 7; INSERT INTO shop.t (b) VALUES ('another domain'); SET gtid_domain_id = 0;
    SET server_id = 55; INSERT INTO shop.t (b) VALUES ('another server'); SET server_id = 1;
    FLUSH BINARY LOGS;
    SET GLOBAL binlog_checksum = NONE;
    INSERT INTO shop.t (b) VALUES ('without checksums');
    FLUSH BINARY LOGS;
    SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10;
    INSERT INTO shop.t (b) VALUES (REPEAT('compressed ', 20));
    ALTER DEFINER=root@localhost EVENT shop.on_event COMMENT 'changed';
    SET GLOBAL log_bin_compress = OFF, GLOBAL binlog_checksum = CRC32;
    CREATE PROCEDURE shop.p() INSERT INTO shop.t (b) VALUES ('by a procedure');
    CALL shop.p();
    CREATE USER someone@localhost IDENTIFIED BY 'word';
    ALTER TABLE shop.t ADD COLUMN d INT DEFAULT 5;
    UPDATE shop.t SET d = a;
";

/// Events whose owner is whoever changed them.
const OWNED: &str = "
    CREATE DEFINER=someone@localhost EVENT shop.owned ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t WHERE a < 0;
    ALTER EVENT shop.owned ON SCHEDULE EVERY 2 DAY;
    SET SESSION sql_mode = 'ANSI_QUOTES';
    ALTER EVENT shop.off_event RENAME TO shop.`off``event`;
";

fn prepared(options: Options) -> Scenario {
    let scenario = Scenario::with(options, "");
    scenario.server.sql(
        "CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(300), c DOUBLE) ENGINE=InnoDB;
         CREATE TABLE shop.flat (a INT) ENGINE=MyISAM;
         INSERT INTO shop.t (b) VALUES ('before')",
    );
    scenario
}

/// What tables, events and the GTID position of a server show.
fn shown(server: &Server) -> Vec<Rows> {
    [
        "SELECT * FROM shop.t ORDER BY a",
        "SELECT * FROM shop.flat",
        "SELECT event_name, status, event_comment, definer, originator, sql_mode FROM information_schema.events ORDER BY 1",
        "SELECT user FROM mysql.global_priv WHERE user = 'someone' OR user LIKE 'dbbak%'",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'shop' ORDER BY 1",
    ]
    .iter()
    .map(|sql| server.sql(sql))
    .collect()
}

fn looked_at(scenario: &Scenario, datadir: &std::path::Path) -> (Vec<Rows>, String) {
    let options = Options { log_bin: None, ..Options::default() };
    let mut server = Server::on_datadir(datadir, &scenario.fresh("look"), options).unwrap();
    let shown = shown(&server);
    let position = server.value("SELECT @@GLOBAL.gtid_slave_pos");
    server.stop().unwrap();
    (shown, position)
}

#[test]
fn real_relay_lands_where_the_pipe_lands() {
    if !require_servers() {
        return;
    }
    let scenario = prepared(Options::default());
    scenario.full();
    scenario.server.sql(ODDITIES);
    let wanted = shown(&scenario.server);
    let position = scenario.server.value("SELECT @@GLOBAL.gtid_binlog_pos");
    scenario.ship();
    let relay = scenario.restore(&["--latest", "--replay", "relay"]);
    let strays: Vec<String> = fs::read_dir(&relay.datadir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("relay") || name.contains("master"))
        .collect();
    assert_eq!(strays, Vec::<String>::new());
    let (rows, at) = looked_at(&scenario, &relay.datadir);
    assert_eq!(rows, wanted);
    assert_eq!(at, position);
    if let Some(pipe) = scenario.pipe_unless_old(&["--latest", "--replay", "pipe"]) {
        assert_eq!(looked_at(&scenario, &pipe.datadir).0, wanted);
    }
    // Whose an event is then goes by who changed it, which a pipe does not tell.
    scenario.server.sql(OWNED);
    scenario.ship();
    let refused = scenario.try_restore(&["--latest", "--replay", "pipe"]).exits(5);
    assert!(refused.stderr.contains("by the account that ran it, root@localhost"), "{refused}");
    // mariadb-binlog refuses a number that does not grow; the applier takes it as the source did.
    scenario.server.sql("SET gtid_seq_no = 3; INSERT INTO shop.t (b) VALUES ('out of order')");
    let wanted = shown(&scenario.server);
    scenario.ship();
    let relay = scenario.restore(&["--latest", "--replay", "relay"]);
    assert_eq!(looked_at(&scenario, &relay.datadir).0, wanted);
    scenario.nothing_survives();
}

/// The applier skips events of its own id without a word: the private server takes another one.
#[test]
fn real_relay_has_an_id_that_is_in_no_log() {
    if !require_servers() {
        return;
    }
    let scenario = prepared(Options { server_id: u32::MAX, ..Options::default() });
    scenario.full();
    scenario
        .server
        .sql("INSERT INTO shop.t (b) VALUES ('x'); SET server_id = 4294967294; INSERT INTO shop.t (b) VALUES ('y')");
    let wanted = shown(&scenario.server);
    scenario.ship();
    let restored = scenario.restore(&["--latest", "--replay", "relay"]);
    assert!(restored.ran.stderr.contains("--server-id=4294967293"), "{}", restored.ran);
    assert_eq!(looked_at(&scenario, &restored.datadir).0, wanted);
}

#[test]
fn real_relay_leaves_out_what_is_named() {
    if !require_servers() {
        return;
    }
    let scenario = prepared(Options::default());
    scenario.full();
    let sql = |sql: &str| {
        scenario.server.sql(sql);
        scenario.server.value("SELECT @@GLOBAL.gtid_binlog_pos")
    };
    sql("INSERT INTO shop.t (b) VALUES ('one')");
    let accident = sql("DELETE FROM shop.t");
    sql("INSERT INTO shop.t (b) VALUES ('two'); FLUSH BINARY LOGS");
    let first = sql("INSERT INTO shop.t (b) VALUES ('not this')");
    let second = sql("CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY DO SET @a = 1");
    sql("INSERT INTO shop.t (b) VALUES ('three')");
    let last = sql("DROP TABLE shop.flat");
    scenario.ship();

    let mut args = vec!["--latest"];
    for gtid in [&accident, &first, &second, &last] {
        args.extend(["--skip-gtid", gtid]);
    }
    let restored = scenario.restore(&args);
    let said = format!("transaction {accident} is left out of the replay; later transactions may depend on it");
    assert!(restored.ran.stderr.contains(&said), "{}", restored.ran);
    assert_eq!(restored.report.window.as_ref().unwrap().skipped.len(), 4);
    let (shown, position) = looked_at(&scenario, &restored.datadir);
    let texts: Vec<&str> = shown[0].iter().map(|row| row[1].as_str()).collect();
    assert_eq!(texts, ["before", "one", "two", "three"]);
    assert!(shown[2].is_empty(), "{shown:?}");
    assert_eq!(position, last, "what was left out counts as done");

    let unknown = scenario.try_restore(&["--latest", "--skip-gtid", "0-1-4711"]).exits(5);
    assert!(
        unknown.stderr.contains("transaction 0-1-4711, which is to be left out, is not in the window"),
        "{unknown}"
    );
    let behind = scenario.try_restore(&["--before-gtid", &first, "--skip-gtid", &last]).exits(5);
    assert!(behind.stderr.contains("is not in the window"), "{behind}");
    let pipe = scenario.try_restore(&["--latest", "--replay", "pipe", "--skip-gtid", &accident]).exits(5);
    assert!(pipe.stderr.contains("transactions cannot be left out of this replay"), "{pipe}");

    // Without gtid_strict_mode a number can stand twice: in one file, and in two. Which one is meant cannot be told.
    let (domain_and_server, _) = accident.rsplit_once('-').unwrap();
    scenario.server.sql(
        "SET gtid_seq_no = 500; INSERT INTO shop.t (b) VALUES ('a'); SET gtid_seq_no = 501; INSERT INTO shop.t (b) VALUES ('b'); \
         SET gtid_seq_no = 500; INSERT INTO shop.t (b) VALUES ('c'); SET gtid_seq_no = 502; INSERT INTO shop.t (b) VALUES ('d'); \
         FLUSH BINARY LOGS; \
         SET gtid_seq_no = 501; INSERT INTO shop.t (b) VALUES ('e')",
    );
    let twice = format!("{domain_and_server}-501");
    let found = scenario.dbbak(&["find", "--gtid", &twice, "--json"]).exits(0).json();
    let points: Vec<_> = found["hits"].as_array().unwrap().iter().map(|hit| &hit["restore_point"]).collect();
    assert!(points.len() == 2 && points.iter().all(|point| point["position"].is_object()), "{found:#}");
    scenario.ship();
    // A search names the place of each of them so that a restore takes it.
    let found =
        scenario.dbbak(&["find", "--archive-only", "--kind", "insert", "--limit", "5", "--json"]).exits(0).json();
    for hit in found["hits"].as_array().unwrap() {
        let point = &hit["restore_point"]["position"];
        let place = format!("{}:{}", point["file"].as_str().unwrap(), point["position"]);
        assert!(hit["restore_command"].as_str().unwrap().ends_with(&format!("restore --position {place}")), "{hit}");
        let plan = scenario.dbbak(&["restore", "--position", &place]).exits(0);
        let excluded = plan.stdout.lines().find(|line| line.contains("first excluded:")).unwrap_or_default();
        assert!(excluded.contains(&place) && excluded.contains(hit["gtid"].as_str().unwrap()), "{plan}");
    }
    for number in [500, 501] {
        let gtid = format!("{domain_and_server}-{number}");
        for arguments in [&["--latest", "--skip-gtid", &gtid][..], &["--gtid", &gtid], &["--before-gtid", &gtid]] {
            let refused = scenario.try_restore(arguments).exits(5);
            assert!(
                refused.stderr.contains("stands in the log twice, at ") && refused.stderr.contains(&gtid),
                "{refused}"
            );
        }
    }
}

/// The restored copy holds a row that the log will insert.
#[test]
fn real_relay_names_the_transaction_that_it_stops_at() {
    if !require_servers() {
        return;
    }
    let scenario = prepared(Options::default());
    scenario.server.sql("SET sql_log_bin = 0; INSERT INTO shop.t (a, b) VALUES (700, 'planted')");
    scenario.full();
    scenario.server.sql("SET sql_log_bin = 0; DELETE FROM shop.t WHERE a = 700");
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('fine')");
    scenario.server.sql("INSERT INTO shop.t (a, b) VALUES (700, 'secret text')");
    let guilty = scenario.server.value("SELECT @@GLOBAL.gtid_binlog_pos");
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('late')");
    scenario.ship();
    for way in ["relay", "pipe"] {
        let failed = scenario.try_restore(&["--latest", "--replay", way]).exits(6);
        assert!(failed.stderr.contains(&format!("did not apply transaction {guilty} at mysql-bin.0000")), "{failed}");
        assert!(failed.stderr.contains("insert shop.t)"), "{failed}");
        assert!(failed.stderr.contains("1062"), "{failed}");
        assert!(!failed.stderr.contains("secret text"), "{failed}");
    }
    scenario.nothing_survives();
}

/// Waits for a file below the private directories of a restore.
fn wait_for(scenario: &Scenario, name: &str) -> PathBuf {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        for entry in fs::read_dir(scenario.root().join("tmp")).unwrap() {
            let path = entry.unwrap().path().join(name);
            if path.exists() {
                return path;
            }
        }
        assert!(Instant::now() < deadline, "no {name}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn real_relay_whose_servers_die() {
    if !require_servers() {
        return;
    }
    let scenario = prepared(Options::default().with("--binlog-format=STATEMENT"));
    scenario.full();
    scenario.server.sql("INSERT INTO shop.t (c) VALUES (SLEEP(8))");
    scenario.ship();
    for (victim, said) in
        [("pid", "the private server died while it applied"), ("feeder.pid", "the server that feeds the binlogs died")]
    {
        let workdir = scenario.fresh("dies");
        let args = ["restore", "--latest", "--replay", "relay", "--exec", "--workdir", workdir.to_str().unwrap()];
        let child = scenario.command(&args).spawn().unwrap();
        // The account's file goes when the feeder is known to serve.
        wait_for(&scenario, "feeder.pid");
        let pid = wait_for(&scenario, victim);
        std::thread::sleep(Duration::from_millis(2500));
        let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
        assert!(!workdir.join("data").exists());
        scenario.nothing_survives();
    }
}

/// An applier that leaves something out without a word is found out.
#[test]
fn real_relay_that_skips_fails_the_proof() {
    if !require_servers() {
        return;
    }
    let scenario = prepared(Options::default());
    scenario.full();
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('x')");
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('y')");
    scenario.ship();
    let program = scenario.root().join("mariadbd");
    let real = find_program("mariadbd").unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--relay-log=*) exec '{0}' \"$@\" --replicate-ignore-table=shop.t;; esac\nexec '{0}' \"$@\"\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("mysqld: {}", program.display()));
    let failed = scenario.try_restore(&["--latest", "--replay", "relay"]).exits(7);
    assert!(failed.stderr.contains("differs: expected"), "{failed}");
    scenario.nothing_survives();
}

const MYSQL_ODDITIES: &str = "
    CREATE EVENT shop.on_event ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t WHERE a < 0;
    CREATE DEFINER=root@localhost EVENT shop.off_event ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM shop.t WHERE a < 0;
    INSERT INTO shop.t (b, c) VALUES ('random', RAND());
    XA START 'a'; INSERT INTO shop.t (b) VALUES ('xa'); XA END 'a'; XA PREPARE 'a'; XA COMMIT 'a';
    BEGIN; SAVEPOINT s; INSERT INTO shop.t (b) VALUES ('back'); ROLLBACK TO s; INSERT INTO shop.t (b) VALUES ('on'); COMMIT;
    FLUSH BINARY LOGS;
    SET binlog_transaction_compression = ON; INSERT INTO shop.t (b) VALUES (REPEAT('compressed ', 20));
    SET binlog_transaction_compression = OFF;
    SET GLOBAL binlog_checksum = NONE; INSERT INTO shop.t (b) VALUES ('without checksums');
    SET GLOBAL binlog_checksum = CRC32;
    ALTER DEFINER=root@localhost EVENT shop.on_event COMMENT 'changed';
    CREATE PROCEDURE shop.p() INSERT INTO shop.t (b) VALUES ('by a procedure'); CALL shop.p();
    CREATE USER someone@localhost IDENTIFIED BY 'word';
    ALTER TABLE shop.t ADD COLUMN d INT DEFAULT 5; UPDATE shop.t SET d = a;
";

/// A MySQL server with a copy of its stopped data directory in the store, as a full that is prepared: there is no backup
/// tool for MySQL yet.
fn mysql_with_a_full(options: Options) -> Scenario {
    let mut scenario = Scenario::with(options, "");
    scenario.server.sql(
        "CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(300), c DOUBLE);
         INSERT INTO shop.t (b) VALUES ('before')",
    );
    scenario.planted_full();
    scenario
}

fn mysql_shown(server: &Server) -> Vec<Rows> {
    [
        "SELECT * FROM shop.t ORDER BY a",
        "SELECT event_name, status, event_comment, definer, originator, sql_mode FROM information_schema.events ORDER BY 1",
        "SELECT user FROM mysql.user WHERE user = 'someone' OR user LIKE 'dbbak%'",
        "SELECT @@GLOBAL.gtid_executed",
        "SELECT COUNT(*) FROM mysql.slave_relay_log_info",
    ]
    .iter()
    .map(|sql| server.sql(sql))
    .collect()
}

fn mysql_looked_at(scenario: &Scenario, datadir: &std::path::Path) -> Vec<Rows> {
    let options = Options { log_bin: None, ..scenario.server.options().clone() };
    let mut server = Server::on_datadir(datadir, &scenario.fresh("look"), options).unwrap();
    let shown = mysql_shown(&server);
    server.stop().unwrap();
    shown
}

#[test]
fn real_relay_lands_where_the_pipe_lands_on_mysql() {
    if !require_mysql() {
        return;
    }
    for options in [Options::mysql(), Options { vendor: dbbak_testkit::server::Vendor::Mysql, ..Options::default() }] {
        let scenario = mysql_with_a_full(options);
        scenario.server.sql(MYSQL_ODDITIES);
        let wanted = mysql_shown(&scenario.server);
        scenario.ship();
        for way in ["relay", "pipe"] {
            let restored = scenario.restore(&["--latest", "--replay", way]);
            assert_eq!(mysql_looked_at(&scenario, &restored.datadir), wanted, "{way}");
        }
        scenario.server.sql(OWNED);
        let wanted = mysql_shown(&scenario.server);
        assert!(wanted[1].iter().any(|row| row[0] == "off`event" && row[3] == "root@localhost"), "{wanted:?}");
        scenario.ship();
        let restored = scenario.restore(&["--latest", "--replay", "relay"]);
        assert_eq!(mysql_looked_at(&scenario, &restored.datadir), wanted);
        let refused = scenario.try_restore(&["--latest", "--replay", "pipe"]).exits(5);
        assert!(refused.stderr.contains("by the account that ran it, root@localhost"), "{refused}");
        scenario.nothing_survives();
    }
}

#[test]
fn real_relay_leaves_out_what_is_named_on_mysql() {
    if !require_mysql() {
        return;
    }
    let scenario = mysql_with_a_full(Options::mysql());
    let uuid = scenario.server.value("SELECT @@server_uuid");
    let sql = |sql: &str| {
        scenario.server.sql(sql);
        let set = scenario.server.value("SELECT @@GLOBAL.gtid_executed");
        format!("{uuid}:{}", set.rsplit('-').next().unwrap())
    };
    sql("INSERT INTO shop.t (b) VALUES ('one')");
    let accident = sql("DELETE FROM shop.t");
    let last = sql("INSERT INTO shop.t (b) VALUES ('two')");
    let executed = scenario.server.value("SELECT @@GLOBAL.gtid_executed");
    scenario.ship();
    let restored = scenario.restore(&["--latest", "--skip-gtid", &accident, "--skip-gtid", &last]);
    let shown = mysql_looked_at(&scenario, &restored.datadir);
    let texts: Vec<&str> = shown[0].iter().map(|row| row[1].as_str()).collect();
    assert_eq!(texts, ["before", "one"]);
    assert_eq!(shown[3][0][0], executed, "what was left out counts as executed");
    scenario.nothing_survives();
}

#[test]
fn real_relay_names_the_transaction_that_it_stops_at_on_mysql() {
    if !require_mysql() {
        return;
    }
    let scenario = mysql_with_a_full(Options::mysql());
    scenario.server.sql("SET sql_log_bin = 0; DELETE FROM shop.t");
    scenario.server.sql("INSERT INTO shop.t (a, b) VALUES (1, 'secret text')");
    let guilty = scenario.server.value("SELECT @@GLOBAL.gtid_executed");
    scenario.ship();
    let number = guilty.rsplit('-').next().unwrap();
    for way in ["relay", "pipe"] {
        let failed = scenario.try_restore(&["--latest", "--replay", way]).exits(6);
        assert!(failed.stderr.contains(&format!(":{number} at mysql-bin.0000")), "{failed}");
        assert!(failed.stderr.contains("insert shop.t)") && failed.stderr.contains("1062"), "{failed}");
        assert!(!failed.stderr.contains("secret text"), "{failed}");
    }
    scenario.nothing_survives();
}
