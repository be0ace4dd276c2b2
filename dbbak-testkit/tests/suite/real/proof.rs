//! What a restore finds out about its own result: a planted difference or a damaged table makes it fail, and the data are
//! kept and marked; prepared XA transactions are told of.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;

use dbbak_core::{
    plan::{DurabilityReport, RestoreReport},
    tools::CheckWay,
};
use dbbak_testkit::cli::Ran;
use dbbak_testkit::real::{find_program, require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, Vendor};

/// Tables of two engines, and a full of them.
fn with_a_full(vendor: Vendor, plant: impl FnOnce(&Path)) -> Scenario {
    let options = match vendor {
        Vendor::Mariadb => Options::default(),
        Vendor::Mysql => Options::mysql(),
    };
    let mut scenario = Scenario::with(options, "");
    scenario.server.sql(
        "CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(300), KEY (b));
         CREATE TABLE shop.flat (a INT, b VARCHAR(200), KEY (b)) ENGINE=MyISAM;
         CREATE TABLE shop.seen (a VARCHAR(300)) ;
         INSERT INTO shop.t (b) VALUES ('before'), ('too'); INSERT INTO shop.flat VALUES (1, 'x'), (2, 'y')",
    );
    for _ in 0..8 {
        scenario.server.sql(
            "INSERT INTO shop.t (b) SELECT CONCAT(b, a) FROM shop.t; INSERT INTO shop.flat SELECT * FROM shop.flat",
        );
    }
    if vendor == Vendor::Mysql {
        // What the source persisted is in its data, and is no private server's business.
        scenario.server.sql("SET PERSIST max_connections = 77");
    }
    scenario.planted_full_with(plant);
    scenario
}

/// Tries a restore that must fail: its data are kept, its report says why, and no account of the run is left in them.
#[track_caller]
fn is_marked(scenario: &Scenario, args: &[&str], said: &str) -> Ran {
    let workdir = scenario.fresh("unproven");
    let all = [&["restore"], args, &["--workdir", workdir.to_str().unwrap(), "--exec"]].concat();
    let failed = scenario.dbbak(&all).exits(7);
    assert!(failed.stderr.contains(said), "{failed}");
    assert!(workdir.join("data").exists(), "the data are kept for a look");
    let report: RestoreReport = serde_json::from_slice(&fs::read(workdir.join("dbbak-restore.json")).unwrap()).unwrap();
    assert!(report.unproven.as_ref().is_some_and(|text| text.contains(said)), "{report:?}");
    assert_eq!(report.finished_at, None);
    scenario.nothing_survives();
    failed
}

/// A server program that starts the real one with more options where it replays.
fn wrapped_server(scenario: &Scenario, options: &str) {
    let program = scenario.root().join("mariadbd");
    let real = find_program("mariadbd").unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--relay-log=*) exec '{0}' \"$@\" {options};; esac\nexec '{0}' \"$@\"\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("mysqld: {}", program.display()));
}

/// A trigger that is in the copy alone, and a server that runs triggers for replicated rows and logs what they do.
#[test]
fn real_proof_notices_one_row_more() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); CREATE TABLE shop.seen (a INT) ENGINE=InnoDB;
         SET sql_log_bin=0; CREATE TRIGGER shop.planted AFTER INSERT ON shop.t FOR EACH ROW INSERT INTO shop.seen VALUES (NEW.a)",
    );
    scenario.full();
    scenario.server.sql("SET sql_log_bin=0; DROP TRIGGER shop.planted");
    scenario.server.sql("SET binlog_format=ROW; INSERT INTO shop.t VALUES (1)");
    scenario.ship();
    wrapped_server(&scenario, "--slave-run-triggers-for-rbr=LOGGING");
    is_marked(&scenario, &["--latest", "--replay", "relay"], "shop.seen:1/0/0 shop.t:1/0/0");
}

#[test]
fn real_proof_notices_one_gtid_less() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY) ENGINE=InnoDB;
         CREATE TABLE shop.seen (a INT) ENGINE=InnoDB",
    );
    scenario.full();
    scenario.server.sql("INSERT INTO shop.seen VALUES (1)");
    let less = scenario.server.value("SELECT @@GLOBAL.gtid_binlog_pos");
    scenario.server.sql("INSERT INTO shop.t VALUES (1)");
    scenario.ship();
    wrapped_server(&scenario, "--replicate-ignore-table=shop.seen");
    is_marked(&scenario, &["--latest", "--replay", "relay"], &format!("expected {less}"));
}

#[test]
fn real_mysql_proof_notices_one_row_more() {
    if !require_mysql() {
        return;
    }
    let scenario = with_a_full(Vendor::Mysql, |_| ());
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('on')");
    scenario.ship();
    let program = scenario.root().join("mysql");
    let real = Vendor::Mysql.program("mysql").unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--binary-mode*) sed '0,/^COMMIT/s/^COMMIT/INSERT INTO shop.seen VALUES (UUID());\\nCOMMIT/' | \
         '{0}' \"$@\";; *) exec '{0}' \"$@\";; esac\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mysqld = Vendor::Mysql.program("mysqld").unwrap();
    let reader = Vendor::Mysql.program("mysqlbinlog").unwrap();
    let text = fs::read_to_string(scenario.root().join("dbbak.yml")).unwrap();
    let kept: String = text.lines().filter(|line| !line.starts_with("mysql")).map(|line| format!("{line}\n")).collect();
    let option_file = scenario.server.backup_option_file();
    fs::write(
        scenario.root().join("dbbak.yml"),
        format!(
            "{kept}mysql_option_file: {}\nmysql: {}\nmysqld: {}\nmysqlbinlog: {}\n",
            option_file.display(),
            program.display(),
            mysqld.display(),
            reader.display()
        ),
    )
    .unwrap();
    is_marked(&scenario, &["--latest", "--replay", "pipe"], "shop.seen:1/0/0 shop.t:1/0/0");
}

/// The backup says that it holds a transaction that it does not hold.
#[test]
fn real_mysql_proof_notices_one_gtid_less() {
    if !require_mysql() {
        return;
    }
    for way in ["relay", "pipe"] {
        let scenario = with_a_full(Vendor::Mysql, |tree| {
            let manifest = tree.ancestors().nth(2).unwrap().join("manifest.json");
            let text = fs::read_to_string(&manifest).unwrap();
            let more = text.replace("\"gtid\":\"", "\"gtid\":\"00000000-0000-4000-8000-000000000007:1,");
            assert_ne!(more, text);
            fs::write(&manifest, more).unwrap();
        });
        scenario.server.sql("INSERT INTO shop.t (b) VALUES ('on')");
        // The gap would be noticed in the binlog's own list of GTIDs too, which the window is not judged by.
        scenario.ship();
        is_marked(&scenario, &["--latest", "--replay", way], "the replay ended at GTID position");
    }
}

/// What the end of a restore shows, for a window and for a backup as it is, with every way of checking.
fn examines(vendor: Vendor) {
    let scenario = with_a_full(vendor, |_| ());
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('on'), ('and on')");
    scenario.server.sql("XA START 'left', 'over'; INSERT INTO shop.t (b) VALUES ('xa'); XA END 'left', 'over'; XA PREPARE 'left', 'over'");
    scenario.ship();
    let gtids = match vendor {
        Vendor::Mariadb => "SELECT @@GLOBAL.gtid_binlog_pos",
        Vendor::Mysql => "SELECT @@GLOBAL.gtid_executed",
    };
    let gtids: String = scenario.server.value(gtids).split_whitespace().collect();
    for (args, way) in [
        (&["--latest"][..], CheckWay::Fast),
        (&["--latest", "--replay", "pipe", "--check", "full"], CheckWay::Full),
        (&["--latest", "--check", "none"], CheckWay::None),
        (&["--no-pitr"], CheckWay::Fast),
    ] {
        let restored = scenario.restore(args);
        let examination = restored.report.examination.as_ref().unwrap();
        assert_eq!(examination.check, way);
        assert_eq!(examination.tables > 10, way != CheckWay::None, "{examination:?}");
        assert!(examination.account_dropped && examination.shutdown.contains("Shutdown complete"), "{examination:?}");
        let durable = DurabilityReport { innodb_flush_log_at_trx_commit: 1, sync_binlog: 1 };
        assert_eq!(examination.durability, Some(durable));
        if vendor == Vendor::Mysql {
            let persisted = fs::read_to_string(restored.datadir.join("mysqld-auto.cnf")).unwrap();
            assert!(persisted.contains("max_connections"), "{persisted}");
        }
        assert_eq!(restored.report.unproven, None);
        let replays = args[0] == "--latest";
        let prepared = if replays { 1 } else { 0 };
        assert_eq!(examination.prepared.len(), prepared, "{examination:?}");
        assert_eq!(restored.ran.stderr.contains("XA transactions stand prepared"), replays, "{}", restored.ran);
        if replays {
            assert_eq!(examination.gtids, gtids);
        }
        let parts: Vec<&str> =
            restored.report.phases.iter().flat_map(|phase| &phase.parts).map(|p| &*p.title).collect();
        assert_eq!(parts.contains(&"check the tables"), way != CheckWay::None, "{parts:?}");
        let options = Options { log_bin: None, ..scenario.server.options().clone() };
        let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
        // What the report shows is what the server takes.
        for id in &examination.prepared {
            server.sql(&format!("XA ROLLBACK {id}"));
        }
        let position = match vendor {
            Vendor::Mariadb => "SELECT @@GLOBAL.gtid_slave_pos",
            Vendor::Mysql => "SELECT @@GLOBAL.gtid_executed",
        };
        assert_eq!(server.value(position).split_whitespace().collect::<String>(), examination.gtids);
        assert_eq!(server.value("SELECT COUNT(*) FROM mysql.user WHERE user LIKE 'dbbak\\\\_%'"), "0");
        server.stop().unwrap();
    }
    scenario.nothing_survives();
}

#[test]
fn real_proof_examines_the_end() {
    if require_servers() {
        examines(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_proof_examines_the_end() {
    if require_mysql() {
        examines(Vendor::Mysql);
    }
}

/// Overwrites bytes of a file.
fn spoil(path: &Path, at: u64, bytes: &[u8]) {
    fs::File::options().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

/// Damage of a kind that starts no alarm before somebody reads the table.
fn finds_damage(vendor: Vendor) {
    for table in ["flat", "t"] {
        let scenario = with_a_full(vendor, |tree| match table {
            // Crashed: rows that the header counts are gone, and it was not closed.
            "flat" => {
                let index = tree.join("shop/flat.MYI");
                spoil(&tree.join("shop/flat.MYD"), 40, &[0xff; 64]);
                let length = fs::metadata(&index).unwrap().len();
                fs::File::options().write(true).open(&index).unwrap().set_len(length - 1024).unwrap();
            }
            _ => {
                let pages = fs::metadata(tree.join("shop/t.ibd")).unwrap().len() / 16384;
                assert!(pages > 5);
                for page in 4..6 {
                    spoil(&tree.join("shop/t.ibd"), page * 16384 + 8000, &[0x5a; 64]);
                }
            }
        });
        scenario.server.sql("INSERT INTO shop.seen VALUES ('on')");
        scenario.ship();
        is_marked(&scenario, &["--latest", "--check", "full"], &format!("shop.{table}: "));
        is_marked(&scenario, &["--no-pitr", "--check", "full"], &format!("shop.{table}: "));
        if table == "t" {
            is_marked(&scenario, &["--latest"], "shop.t: ");
        }
    }
}

#[test]
fn real_proof_finds_damaged_tables() {
    if require_servers() {
        finds_damage(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_proof_finds_damaged_tables() {
    if require_mysql() {
        finds_damage(Vendor::Mysql);
    }
}
