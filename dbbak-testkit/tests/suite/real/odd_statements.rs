//! Statements that did a part of what they say, and what a replay makes of them: the data of the source.

use dbbak_testkit::{
    real::{require_mysql, require_servers},
    scenario::Scenario,
    server::{Options, Server, Vendor},
};

/// Whatever a server holds names no account, role, event, database or table of dbbak's runs.
#[track_caller]
fn no_trace(server: &Server) {
    let vendor = server.options().vendor;
    let program = vendor.program(if vendor == Vendor::Mysql { "mysqldump" } else { "mariadb-dump" }).unwrap();
    let dump = |databases: &[&str]| {
        let mut command = std::process::Command::new(&program);
        command.arg(format!("--defaults-file={}", server.root_option_file().display()));
        command.args(["--routines", "--events", "--skip-extended-insert"]).args(databases);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(text.lines().find(|line| line.contains("dbbak_")), None);
    };
    dump(&["--all-databases"]);
    dump(&["mysql"]);
}

/// Runs statements, of which some fail, and compares a restore by the applier with the source. Returns the server on what was restored.
fn replays(options: Options, before: &str, statements: &[&str], questions: &[&str]) -> (Scenario, Server) {
    let mut scenario = Scenario::with(options, "");
    scenario.server.sql(before);
    scenario.planted_full();
    for statement in statements {
        // What fails here is logged with its error, or without.
        drop(scenario.server.try_sql(statement));
    }
    let ask = |server: &Server| -> Vec<String> {
        questions.iter().flat_map(|question| server.sql(question)).map(|row| row.join("\t")).collect()
    };
    let (wanted, sums) = (ask(&scenario.server), scenario.server.checksums("shop").unwrap());
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    let looking = scenario.fresh("looking");
    let server = Server::on_datadir(&restored.datadir, &looking, scenario.server.options().clone()).unwrap();
    assert_eq!(ask(&server), wanted);
    assert_eq!(server.checksums("shop").unwrap(), sums);
    (scenario, server)
}

const BEFORE: &str = "CREATE DATABASE shop; CREATE TABLE shop.i (id INT PRIMARY KEY, v INT) ENGINE=InnoDB;
    CREATE TABLE shop.m (id INT PRIMARY KEY, v INT) ENGINE=MyISAM; CREATE TABLE shop.d1 (id INT); CREATE TABLE shop.d2 (id INT);
    CREATE VIEW shop.w1 AS SELECT 1; CREATE USER u1, u2, u3";

fn statements_that_failed_in_part(format: &str) {
    let statements = [
        "DROP USER u1, nobody",
        "CREATE USER u2, u9",
        "DROP TABLE shop.d1, shop.d77, shop.d2",
        "DROP VIEW shop.w1, shop.w77",
        "REVOKE ALL, GRANT OPTION FROM u3, nobody3",
        "INSERT INTO shop.m VALUES (5, 1), (6, 1), (5, 2), (7, 1)",
        "BEGIN; INSERT INTO shop.i VALUES (2, 1); SAVEPOINT s; INSERT INTO shop.i VALUES (3, 1); INSERT INTO shop.m VALUES (3, 1);
         ROLLBACK TO s; INSERT INTO shop.i VALUES (4, 1); COMMIT",
        "INSERT INTO shop.m VALUES (8, 1), (8, 2)",
        "INSERT INTO shop.i VALUES (9, 1)",
        "GRANT SELECT, UPDATE (v) ON shop.i TO u2; CREATE ROLE r1; GRANT r1 TO u2; CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY DO SELECT 1;
         ALTER EVENT shop.e COMMENT 'c'; CREATE PROCEDURE shop.p() SELECT 1; GRANT EXECUTE ON PROCEDURE shop.p TO u2",
    ];
    let questions = [
        "SHOW TABLES FROM shop",
        "SELECT user FROM mysql.user WHERE user LIKE 'u_' ORDER BY 1",
        "SELECT * FROM mysql.tables_priv ORDER BY db, user, table_name",
        "SELECT * FROM mysql.procs_priv",
        "SELECT * FROM mysql.roles_mapping ORDER BY user, role",
        "SELECT event_name, definer, originator FROM information_schema.events",
    ];
    let options = Options::default().with(format!("--binlog-format={format}"));
    let (scenario, server) = replays(options, BEFORE, &statements, &questions);
    no_trace(&server);
    drop(server);
    scenario.nothing_survives();
}

#[test]
fn real_statements_that_failed_in_part_are_replayed() {
    if require_servers() {
        for format in ["ROW", "MIXED"] {
            statements_that_failed_in_part(format);
        }
    }
}

/// A last binlog in which MySQL's applier would find no transaction, and take it out of its relay logs.
#[test]
fn real_mysql_a_last_binlog_of_single_statements_is_replayed() {
    if !require_mysql() {
        return;
    }
    let before = "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY)";
    let statements = [
        "INSERT INTO shop.t VALUES (1)",
        // What a session switched off for itself is in no log.
        "SET innodb_strict_mode=OFF; CREATE TABLE shop.loose (a INT PRIMARY KEY) ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=4",
        "FLUSH BINARY LOGS",
        "ANALYZE TABLE shop.t; CREATE TABLE shop.m (a INT) ENGINE=MyISAM; ANALYZE TABLE shop.m",
        // Whose grants they are goes by who made them.
        "GRANT SELECT, UPDATE (a) ON shop.t TO u; GRANT EXECUTE ON PROCEDURE shop.p TO u; CREATE ROLE r; GRANT r TO u;
         GRANT PROXY ON u TO v; CREATE PROCEDURE shop.q() SELECT 2; CREATE VIEW shop.w AS SELECT * FROM shop.t; GRANT SELECT ON shop.w TO v",
    ];
    let before = format!("{before}; CREATE PROCEDURE shop.p() SELECT 1; CREATE USER u, v");
    let questions = [
        "SHOW TABLES FROM shop",
        "SELECT * FROM mysql.tables_priv ORDER BY db, user, table_name",
        "SELECT * FROM mysql.columns_priv",
        "SELECT * FROM mysql.procs_priv",
        "SELECT * FROM mysql.proxies_priv ORDER BY user",
        "SELECT * FROM mysql.role_edges",
        "SELECT user, host FROM mysql.user ORDER BY 1",
        "SELECT routine_name, definer FROM information_schema.routines WHERE routine_schema = 'shop' ORDER BY 1",
    ];
    let (_scenario, server) = replays(Options::mysql(), &before, &statements, &questions);
    no_trace(&server);
}

/// The ordinary way to GTIDs, and back.
#[test]
fn real_mysql_gtid_mode_changes_in_a_window() {
    if !require_mysql() {
        return;
    }
    let options = Options { vendor: Vendor::Mysql, ..Options::default() };
    let options = options.with("--gtid-mode=OFF").with("--enforce-gtid-consistency=ON");
    let before = "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, v TEXT); INSERT INTO shop.t (v) VALUES ('off')";
    let mut scenario = Scenario::with(options, "");
    scenario.server.sql(before);
    scenario.planted_full();
    for mode in ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON", "ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"] {
        scenario.server.sql(&format!("SET GLOBAL gtid_mode={mode}"));
        scenario.server.sql(&format!("INSERT INTO shop.t (v) VALUES ('{mode}')"));
    }
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{way}");
    }
}

/// Tables of a session's own default engine, and beside them such that are what they seem to be.
fn tables_of_a_sessions_own_engine_are_named(options: Options) {
    let mariadb = options.vendor == Vendor::Mariadb;
    let mut scenario = Scenario::with(options, "");
    scenario.server.sql("CREATE DATABASE shop");
    scenario.planted_full();
    if mariadb {
        scenario.server.sql(
            "CREATE TABLE shop.by_trx (a INT PRIMARY KEY, v INT, s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, e BIGINT UNSIGNED
             GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) ENGINE=InnoDB WITH SYSTEM VERSIONING;
             INSERT INTO shop.by_trx (a, v) VALUES (1, 1); CREATE TABLE shop.by_time (a INT PRIMARY KEY) WITH SYSTEM VERSIONING",
        );
    }
    scenario.server.sql(
        "CREATE TABLE shop.usual (a INT PRIMARY KEY); INSERT INTO shop.usual VALUES (1);
         CREATE TABLE shop.said (a INT PRIMARY KEY) ENGINE=MyISAM; INSERT INTO shop.said VALUES (1); CREATE TABLE shop.copied LIKE shop.said;
         INSERT INTO shop.copied VALUES (1); SET default_storage_engine=MyISAM; CREATE TABLE shop.other (a INT PRIMARY KEY);
         INSERT INTO shop.other VALUES (1); INSERT INTO shop.other VALUES (2)",
    );
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    let told: Vec<&str> = restored.ran.stderr.lines().filter(|line| line.contains("default_storage_engine")).collect();
    assert!(told.len() == 1 && told[0].contains(" on shop.other: "), "{}", restored.ran);
    let told = restored
        .ran
        .stderr
        .lines()
        .any(|line| line.contains("goes by transaction ids") && line.ends_with(": shop.by_trx"));
    assert_eq!(told, mariadb, "{}", restored.ran);
}

#[test]
fn real_tables_of_a_sessions_own_engine_are_named() {
    if require_servers() {
        for format in ["ROW", "MIXED"] {
            tables_of_a_sessions_own_engine_are_named(Options::default().with(format!("--binlog-format={format}")));
        }
    }
}

#[test]
fn real_mysql_tables_of_a_sessions_own_engine_are_named() {
    if require_mysql() {
        tables_of_a_sessions_own_engine_are_named(Options::mysql());
    }
}
