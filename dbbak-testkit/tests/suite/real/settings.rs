//! Settings of a source that its statements depend on and no log tells: what they did there, they do in a replay.

use dbbak_testkit::{
    real::{require_mysql, require_servers},
    scenario::Scenario,
    server::{Options, Server},
};

/// The answer of a server in lines.
fn answer(server: &Server, questions: &[&str]) -> Vec<String> {
    questions.iter().flat_map(|question| server.sql(question)).map(|row| row.join("\t")).collect()
}

/// Takes a full, has the source execute, and compares what it answers then with what servers on the restored data answer.
fn replays(options: Options, before: &str, statements: &[&str], questions: &[&str], ways: &[&str]) {
    let mut scenario = Scenario::with(options.clone(), "");
    scenario.server.sql(before);
    scenario.planted_full();
    for statement in statements {
        scenario.server.sql(statement);
    }
    // What SYSDATE means shows in another second alone.
    scenario.next_second();
    let wanted = answer(&scenario.server, questions);
    scenario.ship();
    for way in ways {
        let args = ["--latest", "--replay", way];
        let restored = match *way {
            "pipe" => scenario.pipe_unless_old(&args),
            _ => Some(scenario.restore(&args)),
        };
        let Some(restored) = restored else { continue };
        let server = Server::on_datadir(&restored.datadir, &scenario.fresh("looking"), options.clone()).unwrap();
        assert_eq!(answer(&server, questions), wanted, "{way}");
    }
}

#[test]
fn real_settings_of_the_source_are_taken_over() {
    if !require_servers() {
        return;
    }
    let options = [
        "--old-mode=",
        "--innodb-strict-mode=OFF",
        "--sysdate-is-now",
        "--default-regex-flags=DOTALL",
        "--group-concat-max-len=8",
        "--default-time-zone=+05:00",
        "--binlog-format=MIXED",
    ];
    let options = options.into_iter().fold(Options::default(), Options::with);
    let before = "CREATE DATABASE shop; CREATE TABLE shop.old (id INT PRIMARY KEY, at DATETIME) ENGINE=InnoDB;
        INSERT INTO shop.old VALUES (1, '2026-01-15 12:00:00'), (2, '2026-07-15 12:00:00')";
    let statements = [
        "CREATE TABLE shop.words (id INT PRIMARY KEY, word VARCHAR(10)) DEFAULT CHARSET utf8;
         INSERT INTO shop.words VALUES (1, CONVERT(UNHEX('F09F9880') USING utf8mb4))",
        "CREATE TABLE shop.loose (id INT PRIMARY KEY) ENGINE=InnoDB ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=8",
        "ALTER TABLE shop.old ADD COLUMN made DATETIME NOT NULL DEFAULT SYSDATE(), MODIFY at TIMESTAMP NULL",
        "CREATE TABLE shop.lines (line VARCHAR(20), matches INT AS (line REGEXP 'a.b') STORED);
         INSERT INTO shop.lines (line) VALUES ('a\\nb'), ('c'); INSERT INTO shop.lines (line) SELECT GROUP_CONCAT(line) FROM shop.lines",
        "CREATE EVENT shop.daily ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 10:00:00' DO SELECT 1",
    ];
    let questions = [
        "SHOW CREATE TABLE shop.words",
        "SELECT HEX(word) FROM shop.words",
        "SHOW CREATE TABLE shop.loose",
        "SELECT * FROM shop.old",
        "SELECT * FROM shop.lines",
        "SELECT name, starts, time_zone FROM mysql.event",
    ];
    replays(options, before, &statements, &questions, &["relay", "pipe"]);
}

#[test]
fn real_mysql_settings_of_the_source_are_taken_over() {
    if !require_mysql() {
        return;
    }
    let options = [
        "--partial-revokes=ON",
        "--innodb-strict-mode=OFF",
        "--sysdate-is-now",
        "--sql-generate-invisible-primary-key=ON",
        "--disabled-storage-engines=MyISAM",
        "--sql-mode=",
        "--restrict-fk-on-non-standard-key=OFF",
        "--default-time-zone=+05:00",
        "--group-concat-max-len=8",
        "--binlog-format=MIXED",
    ];
    let options = options.into_iter().fold(Options::mysql(), Options::with);
    let before =
        "CREATE DATABASE shop; CREATE USER v@localhost; CREATE TABLE shop.old (id INT PRIMARY KEY, at DATETIME);
        INSERT INTO shop.old VALUES (1, '2026-01-15 12:00:00'), (2, '2026-07-15 12:00:00')";
    let statements = [
        "GRANT SELECT ON *.* TO v@localhost; REVOKE IF EXISTS SELECT ON shop.* FROM v@localhost; REVOKE SELECT ON mysql.* FROM v@localhost",
        "ALTER TABLE shop.old MODIFY at TIMESTAMP NULL, ADD COLUMN made DATETIME DEFAULT NOW()",
        "CREATE TABLE shop.noted (a INT, b VARCHAR(20)); INSERT INTO shop.noted VALUES (1, SYSDATE()), (2, 'y');
         INSERT INTO shop.noted SELECT 3, GROUP_CONCAT(b) FROM shop.noted",
        "CREATE TABLE shop.other (a INT) ENGINE=MyISAM",
        "CREATE TABLE shop.parent (a INT, KEY (a)) ROW_FORMAT=DYNAMIC KEY_BLOCK_SIZE=8;
         CREATE TABLE shop.child (a INT, FOREIGN KEY (a) REFERENCES shop.parent (a))",
    ];
    let questions = [
        "SHOW GRANTS FOR v@localhost",
        "SELECT * FROM shop.old",
        "SELECT * FROM shop.noted",
        "SHOW CREATE TABLE shop.noted",
        "SHOW CREATE TABLE shop.other",
        "SHOW CREATE TABLE shop.parent",
        "SHOW CREATE TABLE shop.child",
    ];
    replays(options.clone(), before, &statements, &questions, &["relay"]);
    // What MySQL logs of a partial revoke goes by who ran it, which a pipe refuses.
    replays(options, before, &statements[1..], &questions, &["pipe"]);
}
