//! What dumps do not hold by themselves, or could not be loaded with: each kind is loaded with the source's rows, or refused
//! by name before.

use std::path::Path;

use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, Vendor};

const FULL: [&str; 3] = ["backup-full", "--engine", "dump"];

fn scenario(options: Options) -> Scenario {
    let mysql = options.vendor == Vendor::Mysql;
    let scenario = Scenario::with(options, "");
    scenario.server.sql("GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'dbbak'@'localhost'; CREATE DATABASE shop");
    if mysql {
        scenario.server.sql("GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost'");
    }
    scenario
}

/// Tables that a server takes only where it is not strict, that lie elsewhere, or whose values are hard to print.
fn tables(outside: &Path) -> String {
    let columns: String = (1..190).map(|number| format!("c{number} CHAR(60), ")).collect();
    format!(
        "USE shop; SET SESSION innodb_strict_mode = OFF;
         CREATE TABLE wide ({columns} PRIMARY KEY (c1)) ENGINE=InnoDB CHARSET=latin1;
         INSERT INTO wide (c1, c189) VALUES ('a', 'z');
         CREATE TABLE elsewhere (a INT PRIMARY KEY, t TEXT) ENGINE=InnoDB DATA DIRECTORY='{outside}';
         INSERT INTO elsewhere VALUES (1, 'x'), (2, 'y');
         CREATE TABLE parted (a INT PRIMARY KEY) ENGINE=InnoDB PARTITION BY RANGE (a)
           (PARTITION p0 VALUES LESS THAN (10) DATA DIRECTORY='{outside}', PARTITION p1 VALUES LESS THAN MAXVALUE);
         INSERT INTO parted VALUES (1), (11);
         CREATE TABLE numbers (id INT PRIMARY KEY, d DOUBLE, s FLOAT(10,3), r FLOAT(7,2), m DOUBLE(30,10), b BIT(17)) ENGINE=InnoDB;
         INSERT INTO numbers VALUES (1, 5e-324, 1234567.891, 12345.67, 1e15, b'10000000000000001'),
           (2, 1.7976931348623157e308, 9999999.999, 0.1, -0.1, NULL), (3, 0.1, -0.001, NULL, 1/3, 0);
         CREATE VIEW good AS SELECT a FROM elsewhere;",
        outside = outside.display()
    )
}

const BROKEN_VIEWS: &str =
    "USE shop; CREATE TABLE gone (a INT, b INT) ENGINE=InnoDB; CREATE TABLE stays (a INT, b INT) ENGINE=InnoDB;
    CREATE FUNCTION f_one() RETURNS INT DETERMINISTIC RETURN 1;
    CREATE VIEW lost_table AS SELECT a FROM gone; CREATE VIEW `lost\nview` AS SELECT a FROM lost_table;
    CREATE VIEW lost_column AS SELECT b FROM stays; CREATE VIEW lost_function AS SELECT f_one() AS a;
    CREATE USER leaver@localhost; CREATE USER poor@localhost;
    CREATE DEFINER=leaver@localhost VIEW lost_definer AS SELECT a FROM stays;
    CREATE DEFINER=leaver@localhost SQL SECURITY INVOKER VIEW by_invoker AS SELECT a FROM stays;
    CREATE DEFINER=poor@localhost VIEW of_the_poor AS SELECT a FROM stays;
    DROP TABLE gone; ALTER TABLE stays DROP COLUMN b; DROP FUNCTION f_one; DROP USER leaver@localhost;";

const VIEWS: &str = "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = 'shop' ORDER BY 1";

/// A restore, and answers of a server on it.
fn restored(scenario: &Scenario, target: &str, options: &Options, sql: &str) -> Vec<Vec<String>> {
    let restored = scenario.restore(&[target]);
    let options = Options { log_bin: None, ..options.clone() };
    let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("check"), options).unwrap();
    let mut rows = server.sql(sql);
    rows.extend(server.checksums("shop").unwrap().into_iter().map(|(table, sum)| vec![table, sum.checksum]));
    server.stop().unwrap();
    rows
}

fn wanted(scenario: &Scenario, sql: &str) -> Vec<Vec<String>> {
    let mut rows = scenario.server.sql(sql);
    rows.extend(scenario.server.checksums("shop").unwrap().into_iter().map(|(table, sum)| vec![table, sum.checksum]));
    rows
}

/// `FLOAT` is refused by the column's name, or dumped rounded where that is accepted, and no replay starts from it.
fn floats(scenario: &Scenario) {
    scenario.server.sql(
        "CREATE TABLE shop.measured (id INT PRIMARY KEY, f FLOAT, g FLOAT AS (id + 1) VIRTUAL) ENGINE=InnoDB;
         INSERT INTO shop.measured (id, f) VALUES (1, 16777217), (2, 3.1415927)",
    );
    let refused = scenario.dbbak(&[&FULL[..], &["--exec"]].concat()).exits(5);
    assert!(refused.stderr.contains("shop.measured.f (FLOAT: six digits)"), "{refused}");
    assert!(!refused.stderr.contains("measured.g") && refused.stderr.contains("rounded_floats: accept"), "{refused}");
    assert!(scenario.listed().is_empty());
    scenario.configure("rounded_floats: accept");
    let taken = scenario.dbbak(&[&FULL[..], &["--exec"]].concat()).exits(0);
    assert!(taken.stderr.contains("dumped with six digits, rounded: shop.measured.f"), "{taken}");
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    assert_ne!(list["backups"][0]["pitr"], "yes", "{list:#}");
    scenario.configure("");
    scenario.server.sql("ALTER TABLE shop.measured MODIFY f DOUBLE, DROP COLUMN g");
    scenario.next_second();
}

#[test]
fn real_dump_of_each_kind() {
    if !require_servers() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let scenario = scenario(Options::default());
    floats(&scenario);
    scenario.server.sql(&tables(outside.path()));
    scenario.server.sql(BROKEN_VIEWS);
    // A history by transactions, and tables without any that are no "base tables".
    scenario.server.sql(
        "CREATE TABLE shop.trx (id INT PRIMARY KEY, s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, e BIGINT UNSIGNED GENERATED \
         ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s, e)) ENGINE=InnoDB WITH SYSTEM VERSIONING",
    );
    let refused = scenario.dbbak(&FULL).exits(5);
    assert!(refused.stderr.contains("shop.trx (its history by transactions)"), "{refused}");
    scenario.server.sql(
        "DROP TABLE shop.trx; CREATE SEQUENCE shop.seq ENGINE=MyISAM;
         CREATE TABLE shop.old (a INT) ENGINE=Aria WITH SYSTEM VERSIONING",
    );
    // The dump tools of 10.11 and later take a history along.
    let takes_history = scenario.server.value("SELECT VERSION() NOT RLIKE '^10[.]([0-9]|10)[.]'") == "1";
    let refused = scenario.dbbak(&FULL).exits(5);
    let reason = if takes_history { "shop.old (Aria), shop.seq (MyISAM)" } else { "shop.old (its history)" };
    assert!(refused.stderr.contains(reason), "{refused}");
    scenario.server.sql(
        "DROP TABLE shop.old; DROP SEQUENCE shop.seq; CREATE SEQUENCE shop.seq ENGINE=InnoDB; SELECT NEXT VALUE FOR shop.seq;
         CREATE TABLE shop.kept (id INT PRIMARY KEY, t INT) ENGINE=InnoDB WITH SYSTEM VERSIONING; USE shop;
         INSERT INTO kept VALUES (1, 1), (2, 2); UPDATE kept SET t = 3 WHERE id = 1; DELETE FROM kept WHERE id = 2",
    );
    if !takes_history {
        let refused = scenario.dbbak(&FULL).exits(5);
        assert!(refused.stderr.contains("shop.kept (its history)"), "{refused}");
        scenario.server.sql("ALTER TABLE shop.kept DROP SYSTEM VERSIONING");
    }
    let recent = scenario.server.value("SELECT VERSION() NOT LIKE '10.%' AND VERSION() NOT LIKE '11.4%'") == "1";
    if recent {
        scenario.server.sql(
            "CREATE TABLE shop.vectors (id INT PRIMARY KEY, v VECTOR(3)) ENGINE=InnoDB;
             INSERT INTO shop.vectors VALUES (1, Vec_FromText('[1.1,2.2,3.3]'))",
        );
    }
    let taken = scenario.dbbak(&[&FULL[..], &["--exec"]].concat()).exits(0);
    let told = |name: &str| taken.stderr.contains(&format!("shop.{name}"));
    assert!(["lost_table", "lost_column", "lost_function"].into_iter().all(told), "{taken}");
    assert!(!told("good") && !told("lost_definer") && !told("of_the_poor") && !told("by_invoker"), "{taken}");
    scenario
        .server
        .sql("USE shop; UPDATE kept SET t = 4; INSERT INTO elsewhere VALUES (3, 'z'); INSERT INTO parted VALUES (2)");
    scenario.ship();
    let history = match takes_history {
        true => "SELECT id, t, row_start < NOW(6), row_end < NOW(6) FROM shop.kept FOR SYSTEM_TIME ALL ORDER BY 1, 2",
        false => "SELECT id, t FROM shop.kept ORDER BY 1, 2",
    };
    let (before, wanted) = (files_below(outside.path()), wanted(&scenario, history));
    assert_eq!(restored(&scenario, "--latest", &Options::default(), history), wanted);
    assert_eq!(files_below(outside.path()), before, "the load wrote beside the living tables");
    let views = restored(&scenario, "--latest", &Options::default(), VIEWS);
    for name in ["by_invoker", "good", "lost_definer", "of_the_poor"] {
        assert!(views.contains(&vec![name.to_owned()]), "{views:?}");
    }
    assert!(!views.contains(&vec!["lost_table".to_owned()]), "{views:?}");
}

#[test]
fn real_mysql_dump_of_each_kind() {
    if !require_mysql() {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let options = Options::mysql()
        .with("--loose-restrict-fk-on-non-standard-key=OFF")
        .with("--innodb-strict-mode=OFF")
        .with(format!("--innodb-directories={}", outside.path().display()));
    let scenario = scenario(options.clone());
    floats(&scenario);
    scenario.server.sql(&tables(outside.path()));
    scenario.server.sql(BROKEN_VIEWS);
    scenario.server.sql(
        "USE shop; CREATE TABLESPACE g ADD DATAFILE 'g.ibd' ENGINE=InnoDB;
         CREATE TABLE in_g (a INT PRIMARY KEY) TABLESPACE g; INSERT INTO in_g VALUES (1), (2);
         CREATE TABLESPACE `small``blocks` ADD DATAFILE 'small.ibd' FILE_BLOCK_SIZE = 8192 ENGINE=InnoDB;
         CREATE TABLE packed (a INT PRIMARY KEY) TABLESPACE `small``blocks` ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8;
         INSERT INTO packed VALUES (7);
         CREATE TABLE in_system (a INT PRIMARY KEY) TABLESPACE innodb_system; INSERT INTO in_system VALUES (5);
         CREATE TABLE parent (a INT, KEY (a)); CREATE TABLE child (a INT, FOREIGN KEY (a) REFERENCES parent (a));
         INSERT INTO parent VALUES (1), (1); INSERT INTO child VALUES (1);
         CREATE TABLE doc (id INT PRIMARY KEY, j JSON); INSERT INTO doc VALUES (1, '{\"a\": [1, 0.1, 5e-324, \"x\"]}');",
    );
    let taken = scenario.dbbak(&[&FULL[..], &["--exec"]].concat()).exits(0);
    let told = |name: &str| taken.stderr.contains(&format!("shop.{name}"));
    // MySQL looked at it again when the table was altered.
    let lost = ["lost_table", "lost_column", "lost_function", "lost_definer", "of_the_poor"];
    assert!(lost.into_iter().all(told) && !told("good") && !told("by_invoker"), "{taken}");
    assert!(taken.stderr.contains("a date or time a string, in shop.doc.j"), "{taken}");
    let spaces =
        "SELECT NAME, ZIP_PAGE_SIZE FROM information_schema.INNODB_TABLESPACES WHERE SPACE_TYPE = 'General' ORDER BY 1";
    let loaded = wanted(&scenario, spaces);
    assert_eq!(restored(&scenario, "--no-pitr", &options, spaces), loaded);
    // A strict server cannot open it (9.7.4), and the one of the proof is strict.
    scenario.server.sql(
        "USE shop; DROP TABLE wide; INSERT INTO in_g VALUES (3); INSERT INTO packed VALUES (8); INSERT INTO elsewhere VALUES (3, 'z')",
    );
    scenario.ship();
    let (before, wanted) = (files_below(outside.path()), wanted(&scenario, spaces));
    assert_eq!(restored(&scenario, "--latest", &options, spaces), wanted);
    assert_eq!(files_below(outside.path()), before, "the load wrote beside the living tables");
    let views = restored(&scenario, "--latest", &options, VIEWS);
    for name in ["by_invoker", "good"] {
        assert!(views.contains(&vec![name.to_owned()]), "{views:?}");
    }
}
