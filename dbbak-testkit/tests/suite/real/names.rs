//! Names and statements that a client would take for something else: replayed as they are, or refused.

use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, Vendor};
use std::path::Path;

/// Names as a user with CREATE on one schema may choose them. None ends a line.
const ODD: [&str; 6] =
    ["it's \"q\" \\ %", "*/ x /*!*/;", "tab\there", "\u{1b}]0;x\u{7}", "new \u{202e}cod", "a\u{1}\u{7f} b:1/0/0"];

/// The name behind whose line end a client finds a statement, and then a comment.
const EVIL: &str = "t\nDROP DATABASE victim/*!*/;\n#";

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

fn rows(server: &Server, names: &[&str]) -> Vec<String> {
    let count = |name: &&str| server.value(&format!("SELECT COUNT(*) FROM odd.{}", quoted(name)));
    let mut rows: Vec<String> = names.iter().map(count).collect();
    rows.push(server.value("SELECT COUNT(*) FROM victim.t"));
    rows.push(
        server
            .value("SELECT HEX(MAX(ROUTINE_DEFINITION)) FROM information_schema.ROUTINES WHERE ROUTINE_NAME = 'said'"),
    );
    rows.push(server.value("SELECT GROUP_CONCAT(a) FROM `\u{e9}`.t"));
    rows.push(server.value("SELECT COUNT(*) FROM `\u{c3}\u{a9}`.t"));
    rows.extend(named(server));
    rows
}

/// A text of SQL, between quotes.
fn text(name: &str) -> String {
    format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"))
}

/// The account of a name: on MySQL a user's name has 32 characters.
fn account(name: &str) -> String {
    text(&name.chars().take(32).collect::<String>())
}

/// Takes a name for everything that is named, and for the comments: an object's, a column's, an index's, a partition's, a
/// constraint's, an account's, a savepoint's and a variable's.
fn name_all(server: &Server, name: &str, number: usize) {
    let (quoted, text) = (quoted(name), text(name));
    let user = account(name);
    server.sql(&format!(
        "USE odd; SET SESSION binlog_format = STATEMENT;
         CREATE TABLE odd.named{number} ({quoted} INT PRIMARY KEY COMMENT {text}, b INT DEFAULT 1, KEY {quoted} (b), CONSTRAINT {quoted} CHECK (b < 9))
           COMMENT {text} PARTITION BY RANGE ({quoted}) (PARTITION {quoted} VALUES LESS THAN (9) COMMENT {text});
         CREATE USER {user}@'localhost';
         CREATE DEFINER = {user}@'localhost' PROCEDURE odd.{quoted}() COMMENT {text} SELECT 1;
         CREATE DEFINER = {user}@'localhost' EVENT odd.{quoted} ON SCHEDULE EVERY 1 DAY COMMENT {text} DO SELECT 1;
         CREATE TRIGGER odd.{quoted} BEFORE INSERT ON odd.named{number} FOR EACH ROW SET @a = 1;
         CREATE DEFINER = {user}@'localhost' VIEW odd.{view} AS SELECT {quoted} FROM odd.named{number};
         SET @{quoted} = {text}; INSERT INTO odd.said VALUES ({text}), (@{quoted}); START TRANSACTION; INSERT INTO odd.said VALUES ('kept'); SAVEPOINT {quoted};
         INSERT INTO odd.said VALUES ('back'); ROLLBACK TO {quoted}; COMMIT;
         SET SESSION binlog_format = ROW; INSERT INTO odd.named{number} ({quoted}) VALUES (1); INSERT INTO odd.said VALUES ({text})",
        view = self::quoted(&format!("v{name}")),
    ));
}

/// Runs a statement that stands in a log in the bytes of a session's character set, which are no UTF-8.
fn run_in(server: &Server, charset: &str, statement: &[u8]) {
    let digits: String = statement.iter().map(|byte| format!("{byte:02X}")).collect();
    server.sql(&format!(
        "SET SESSION binlog_format = STATEMENT; SET NAMES {charset}; SET @q = CONVERT(X'{digits}' USING {charset}); PREPARE q FROM @q; EXECUTE q"
    ));
}

/// What `name_all` made, as digits.
fn named(server: &Server) -> Vec<String> {
    [
        "COUNT(*) FROM victim.t",
        "GROUP_CONCAT(HEX(a) ORDER BY 1) FROM odd.said",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', TABLE_NAME, COLUMN_NAME, COLUMN_COMMENT)) ORDER BY 1) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', TABLE_NAME, TABLE_COMMENT)) ORDER BY 1) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', INDEX_NAME)) ORDER BY 1) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', PARTITION_NAME, PARTITION_COMMENT)) ORDER BY 1) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', CONSTRAINT_NAME)) ORDER BY 1) FROM information_schema.TABLE_CONSTRAINTS WHERE TABLE_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', ROUTINE_NAME, ROUTINE_COMMENT, DEFINER)) ORDER BY 1) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', EVENT_NAME, EVENT_COMMENT, DEFINER, STATUS)) ORDER BY 1) FROM information_schema.EVENTS",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', TRIGGER_NAME, DEFINER)) ORDER BY 1) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = 'odd'",
        "GROUP_CONCAT(HEX(CONCAT_WS(',', User, Host, Select_priv)) ORDER BY 1) FROM mysql.db",
    ]
    .map(|what| server.value(&format!("SET SESSION group_concat_max_len = 1000000; SELECT {what}")))
    .to_vec()
}

fn looked_at(scenario: &Scenario, datadir: &Path, names: &[&str]) -> Vec<String> {
    let options = Options { log_bin: None, ..scenario.server.options().clone() };
    let mut server = Server::on_datadir(datadir, &scenario.fresh("look"), options).unwrap();
    let found = rows(&server, names);
    server.stop().unwrap();
    found
}

fn replays_or_refuses(mut scenario: Scenario) {
    let server = &scenario.server;
    server.sql("CREATE DATABASE odd; CREATE DATABASE victim; CREATE TABLE victim.t (a INT PRIMARY KEY); CREATE TABLE odd.said (a TEXT CHARACTER SET utf8mb4)");
    // The bytes of the first name, read as latin1, are the second one.
    for name in ["\u{e9}", "\u{c3}\u{a9}"] {
        server.sql(&format!("CREATE DATABASE `{name}`; CREATE TABLE `{name}`.t (a INT PRIMARY KEY)"));
    }
    if server.options().vendor == Vendor::Mysql {
        scenario.planted_full();
    } else {
        scenario.full();
    }
    let server = &scenario.server;
    server.sql(
        "SET SESSION binlog_format = STATEMENT; SET NAMES binary; INSERT INTO victim.t VALUES (8); SET NAMES utf8mb4;
         USE `\u{e9}`; SET @`\u{fc}` = 5; INSERT INTO t VALUES (3);
         SET NAMES binary; INSERT INTO victim.t VALUES (9); SET NAMES utf8mb4; INSERT INTO t VALUES (@`\u{fc}`)",
    );
    for name in ODD {
        server.sql(&format!(
            "CREATE TABLE odd.{0} (a INT PRIMARY KEY); SET SESSION binlog_format = ROW; INSERT INTO odd.{0} VALUES (1), (2)",
            quoted(name)
        ));
    }
    if server.options().vendor == Vendor::Mariadb {
        // The tests' client would take the comment out by itself, but out of no text.
        server.sql("EXECUTE IMMEDIATE 'CREATE PROCEDURE odd.said() SELECT /* kept */ 1 -- too'");
        // A session may, what the server refuses; no log says that it did.
        server.sql(
            "CREATE TABLE odd.history (a INT PRIMARY KEY) WITH SYSTEM VERSIONING; INSERT INTO odd.history VALUES (1);
             SET SESSION system_versioning_alter_history = KEEP; ALTER TABLE odd.history ADD b INT",
        );
    }
    for (number, name) in [ODD[0], ODD[1], ODD[3], EVIL].iter().enumerate() {
        name_all(server, name, number);
    }
    run_in(server, "binary", b"INSERT INTO odd.said VALUES (_latin1'\xe9\xff')");
    run_in(server, "latin1", b"CREATE TABLE odd.`\xe9\xff` (`\xe9` INT COMMENT '\xff')");
    run_in(server, "latin1", b"INSERT INTO odd.said VALUES ('\xe9\xff')");
    let safe = rows(server, &ODD);
    scenario.ship();
    for way in ["pipe", "relay"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(looked_at(&scenario, &restored.datadir, &ODD), safe, "{way}");
    }

    let server = &scenario.server;
    server.sql(&format!(
        "CREATE DATABASE {0}; CREATE TABLE {0}.{1} (a INT PRIMARY KEY)",
        quoted("d\nb\tc"),
        quoted(EVIL)
    ));
    server.sql(&format!("CREATE TABLE odd.{} (a INT PRIMARY KEY)", quoted(EVIL)));
    server.sql(&format!(
        "SET SESSION binlog_format = ROW; INSERT INTO odd.{} VALUES (1), (2), (3); INSERT INTO {}.{0} VALUES (7)",
        quoted(EVIL),
        quoted("d\nb\tc"),
    ));
    // A grant has a grantor, whom no text gives.
    for name in [ODD[0], ODD[1], ODD[3], EVIL] {
        server.sql(&format!("GRANT SELECT ON odd.* TO {}@'localhost'", account(name)));
    }
    // A client that did not know this character of two bytes would find the second one to hide the quote.
    run_in(server, "gbk", b"INSERT INTO odd.said VALUES ('\xbf\\'), (';\nDROP DATABASE victim/*!*/;\n-- ')");
    let names = [&ODD[..], &[EVIL]].concat();
    let all = rows(server, &names);
    scenario.ship();
    let restored = scenario.restore(&["--latest", "--replay", "relay"]);
    assert_eq!(looked_at(&scenario, &restored.datadir, &names), all);
    let refused = scenario.try_restore(&["--latest", "--replay", "pipe"]).exits(5);
    assert!(refused.stderr.contains("odd.") || refused.stderr.contains("t\\nDROP DATABASE victim"), "{refused}");
    assert!(!refused.stderr.contains("\nDROP DATABASE"), "{refused}");

    // What is shown ends no line and steers no terminal.
    for args in [&["find"][..], &["find", "--table", "odd.t\\nDROP*"], &["timeline"], &["restore", "--latest"]] {
        let shown = scenario.dbbak(args).exits(0);
        let text = format!("{}{}", shown.stdout, shown.stderr);
        assert!(!text.contains("\nDROP") && !text.contains(['\u{1b}', '\u{7}', '\u{202e}', '\t']), "{shown}");
    }
    let found = scenario.dbbak(&["find", "--table", "odd.t\\nDROP*", "--kind", "insert", "--json"]).exits(0).json();
    assert_eq!(found["hits"][0]["tables"][0]["table"], EVIL, "{found:#}");
    scenario.nothing_survives();
}

#[test]
fn real_names_with_statements_in_them_are_no_statements() {
    if require_servers() {
        replays_or_refuses(Scenario::new());
    }
}

#[test]
fn real_mysql_names_with_statements_in_them_are_no_statements() {
    if require_mysql() {
        replays_or_refuses(Scenario::with(Options::mysql(), ""));
    }
}
