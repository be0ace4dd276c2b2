//! Engines and ways to log in that a server loads by its option file: a private server has them too, or says that it lacks them.

use dbbak_testkit::{
    real::{engine_plugins, require_mysql, require_servers},
    scenario::Scenario,
    server::{BACKUP_USER, Options, Server},
};

/// The rows that a statement brings of restored data.
#[track_caller]
fn rows_of(scenario: &Scenario, datadir: &std::path::Path, extra: &[&str], sql: &str) -> Vec<Vec<String>> {
    let vendor = scenario.server.options().vendor;
    let options = Options { vendor, log_bin: None, ..Options::default() };
    let options = extra.iter().fold(options, |options, option| options.with(*option));
    let mut server = Server::on_datadir(datadir, &scenario.fresh("look"), options).unwrap();
    let rows = server.sql(sql);
    server.stop().unwrap();
    rows
}

#[test]
fn real_plugins_of_the_option_file_are_loaded() {
    if !require_servers() {
        return;
    }
    let Some(dir) = engine_plugins() else { return };
    let dir_option = format!("--plugin-dir={}", dir.display());
    let load = "--plugin-load-add=ha_archive";
    let options = Options::default().with(&dir_option).with(load).with("--plugin-load-add=ha_blackhole");
    let scenario = Scenario::with(options.with("--sql-mode="), "");
    // Where a server's libraries lie is not taken over from the source.
    scenario.configure_server(&format!("options: [{dir_option:?}]"));
    // One of them stands in the data too.
    scenario.server.sql(
        "INSTALL SONAME 'ha_blackhole'; CREATE DATABASE shop;
         CREATE TABLE shop.before_it (a INT, b TEXT) ENGINE=ARCHIVE; INSERT INTO shop.before_it VALUES (1, 'x')",
    );
    scenario.full();
    scenario.server.sql(
        "INSERT INTO shop.before_it VALUES (2, 'y'); CREATE TABLE shop.late (a INT, b TEXT) ENGINE=ARCHIVE;
         INSERT INTO shop.late VALUES (3, 'z'); CREATE TABLE shop.hole (a INT) ENGINE=BLACKHOLE; INSERT INTO shop.hole VALUES (1)",
    );
    scenario.ship();
    let sql = "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'shop' ORDER BY 1;
               SELECT * FROM shop.before_it UNION ALL SELECT * FROM shop.late ORDER BY 1";
    let wanted = scenario.server.sql(sql);
    assert!(wanted.iter().flatten().any(|cell| cell == "ARCHIVE"), "{wanted:?}");
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(rows_of(&scenario, &restored.datadir, &[&dir_option, load], sql), wanted, "{way}");
    }
    scenario.nothing_survives();
}

/// What the source wrote through a FEDERATED table went to another server, which lives: here to itself.
#[test]
fn real_plugins_that_reach_other_servers_are_turned_off() {
    if !require_servers() {
        return;
    }
    let Some(dir) = engine_plugins() else { return };
    let scenario = Scenario::with(Options::default().with(format!("--plugin-dir={}", dir.display())), "");
    let socket = scenario.server.socket();
    scenario.server.sql(&format!(
        "INSTALL SONAME 'ha_federatedx'; CREATE DATABASE shop; CREATE DATABASE far; CREATE TABLE far.r (a INT);
         CREATE USER fed@localhost IDENTIFIED BY 'pw'; GRANT ALL ON far.* TO fed@localhost;
         CREATE SERVER srv FOREIGN DATA WRAPPER mysql
             OPTIONS (SOCKET '{}', USER 'fed', PASSWORD 'pw', DATABASE 'far', HOST 'localhost');
         CREATE TABLE shop.f (a INT) ENGINE=FEDERATED CONNECTION='srv/r'; INSERT INTO shop.f VALUES (1)",
        socket.display()
    ));
    scenario.full();
    scenario.server.sql("INSERT INTO shop.f VALUES (2)");
    scenario.server.sql("CREATE TABLE shop.t (a INT)");
    scenario.ship();
    scenario.restore(&["--no-pitr"]);
    let mut gtid = String::new();
    for way in ["pipe", "relay"] {
        let stopped = scenario.try_restore(&["--latest", "--replay", way]).exits(6);
        assert!(stopped.stderr.contains("FEDERATED"), "{stopped}");
        let named = stopped.stderr.split("did not apply transaction ").nth(1).and_then(|rest| rest.split(' ').next());
        gtid = named.unwrap().to_owned();
    }
    // The source logged the row twice: as one of the table, and as one of the table behind it.
    scenario.restore(&["--latest", "--skip-gtid", &gtid]);
    // One that is installed in the data, and whose name is no option by itself.
    scenario.server.sql(
        "INSTALL SONAME 'ha_sphinx'; CREATE TABLE shop.s (id BIGINT UNSIGNED NOT NULL, weight INT NOT NULL, query VARCHAR(300) NOT \
         NULL, INDEX (query)) ENGINE=SPHINX CONNECTION='sphinx://127.0.0.1:1/i'",
    );
    scenario.full();
    scenario.server.sql("CREATE TABLE shop.s2 LIKE shop.s; CREATE TABLE shop.t2 (a INT)");
    scenario.ship();
    for way in ["pipe", "relay"] {
        let stopped = scenario.try_restore(&["--latest", "--replay", way]).exits(6);
        assert!(stopped.stderr.contains("SPHINX"), "{stopped}");
    }
    assert_eq!(scenario.server.value("SELECT COUNT(*) FROM far.r"), "2", "a restore wrote to a living server");
    scenario.nothing_survives();
}

#[test]
fn real_mysql_plugins_of_the_option_file_are_loaded_or_named() {
    if !require_mysql() {
        return;
    }
    let options = Options::mysql().with("--plugin-load-add=auth_socket.so").with("--federated").with("--sql-mode=");
    let scenario = Scenario::with(options, "");
    scenario.server.sql(&format!(
        "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; CREATE DATABASE shop; INSTALL COMPONENT 'file://component_query_attributes';
         GRANT SELECT ON mysql.component TO {BACKUP_USER}@localhost; GRANT SELECT ON mysql.plugin TO {BACKUP_USER}@localhost"
    ));
    let backup = scenario.backup(&["backup-full", "--engine", "clone"]);
    let kept = std::fs::read_to_string(scenario.store().join(format!("full_{backup}/server/variables.json"))).unwrap();
    assert!(kept.contains("\"installed_components\": \"component_query_attributes\""), "{kept}");
    assert!(kept.contains("\"installed_plugins\": \"clone:mysql_clone\""), "{kept}");
    scenario.server.sql("CREATE USER a@localhost IDENTIFIED WITH auth_socket; CREATE TABLE shop.t (a INT PRIMARY KEY)");
    scenario.ship();
    let sql = "SELECT user, plugin FROM mysql.user WHERE user = 'a'";
    let wanted = scenario.server.sql(sql);
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(rows_of(&scenario, &restored.datadir, &["--plugin-load-add=auth_socket.so"], sql), wanted, "{way}");
    }
    // An engine that reaches other servers is not loaded; without it the table would be one of InnoDB.
    scenario.server.sql("CREATE TABLE shop.far (a INT) ENGINE=FEDERATED CONNECTION='mysql://u@127.0.0.1:1/a/b'");
    scenario.ship();
    // The plan names it before anything runs.
    let planned = scenario.dbbak(&["restore", "--latest"]).exits(0);
    let told = format!("{}{}", planned.stdout, planned.stderr);
    assert!(told.contains("names the storage engine FEDERATED"), "{planned}");
    for way in ["relay", "pipe"] {
        let refused = scenario.try_restore(&["--latest", "--replay", way]).exits(5);
        assert!(refused.stderr.contains("names the storage engine FEDERATED"), "{refused}");
        refused.says("server.options: [--federated=ON]").says("are written there a second time");
    }
    // What the hint names helps; the other server is not asked: nothing listens there.
    scenario.configure_server("options: [--federated=ON]");
    let restored = scenario.restore(&["--latest", "--replay", "relay"]);
    let sql = "SELECT engine FROM information_schema.tables WHERE table_name = 'far'";
    let options = ["--plugin-load-add=auth_socket.so", "--federated=ON"];
    assert_eq!(rows_of(&scenario, &restored.datadir, &options, sql), [["FEDERATED"]]);
    scenario.nothing_survives();
}
