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
    rows
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
    server.sql("CREATE DATABASE odd; CREATE DATABASE victim; CREATE TABLE victim.t (a INT PRIMARY KEY)");
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
        "SET SESSION binlog_format = STATEMENT; USE `\u{e9}`; SET @`\u{fc}` = 5; INSERT INTO t VALUES (3); INSERT INTO t VALUES (@`\u{fc}`)",
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
