//! MariaDB's sequences: a restore gives the rows and the numbers that come next, or names what a way does not carry.

use dbbak_testkit::{
    real::require_servers,
    scenario::Scenario,
    server::{Options, Rows, Server},
};

/// Numbers taken by statements of their own, and set.
const ALONE: &str = "
    USE shop; SELECT NEXT VALUE FOR plain; SELECT SETVAL(plain, 500); SELECT NEXTVAL(short) FROM seq_1_to_4; ALTER SEQUENCE short RESTART 2;
    SELECT NEXTVAL(short); CREATE SEQUENCE late START WITH 7 INCREMENT BY 3 CACHE 5; CREATE TABLE e (a INT DEFAULT NEXTVAL(late), b INT)";

/// Numbers taken by rows, by statements and by defaults.
const TAKEN: &str = "
    USE shop; INSERT INTO d (b) VALUES ('row'), ('row'); INSERT INTO d (a, b) VALUES (NEXTVAL(plain), 'nextval');
    UPDATE d SET b = NEXTVAL(uncached) WHERE a < 100003; INSERT INTO e (b) VALUES (1)";

/// What the tables hold, and what the sequences give next.
fn shown(server: &Server) -> Vec<Rows> {
    let mut found: Vec<Rows> =
        ["d", "e"].iter().map(|table| server.sql(&format!("SELECT * FROM shop.{table} ORDER BY 1, 2"))).collect();
    for sequence in ["plain", "short", "uncached", "late", "by_default"] {
        found.push(server.sql(&format!("SELECT '{sequence}', s.* FROM shop.{sequence} s")));
    }
    found
}

#[test]
fn real_sequences_go_on_where_they_stood() {
    if !require_servers() {
        return;
    }
    // With STATEMENT the source refuses to take a default from a sequence (error 1665).
    let scenario = Scenario::new();
    scenario.server.sql(
        "CREATE DATABASE shop; USE shop; CREATE SEQUENCE plain; CREATE SEQUENCE short MAXVALUE 3 CYCLE CACHE 2;
         CREATE SEQUENCE uncached NOCACHE; CREATE SEQUENCE by_default START WITH 100000;
         CREATE TABLE d (a INT PRIMARY KEY DEFAULT NEXT VALUE FOR by_default, b TEXT); INSERT INTO d (b) VALUES ('before');
         SELECT NEXTVAL(plain)",
    );
    scenario.full();
    for (window, way) in [(ALONE, "pipe"), (TAKEN, "relay")] {
        scenario.server.sql(window);
        let wanted = shown(&scenario.server);
        scenario.ship();
        let restored = scenario.restore(&["--latest", "--replay", way]);
        let options = Options { log_bin: None, ..Options::default() };
        let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
        assert_eq!(shown(&server), wanted, "{way}");
        server.stop().unwrap();
    }
    // A client would commit the sequence's row by itself, and make two transactions of one.
    let refused = scenario.try_restore(&["--latest", "--replay", "pipe"]).exits(5);
    refused.says("a transaction holds a number of the sequence by_default, which a client would commit by itself");
}
