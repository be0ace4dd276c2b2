//! A restore stays inside of its work directory, and what it restores leads nowhere else: not to the source's tables, not to
//! the sources that it replicated from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::{Restored, Scenario};
use dbbak_testkit::server::{Options, Rows, Server};

/// The files below a directory.
fn files_below(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => drop(found.insert(path)),
        }
    }
    found
}

/// What keeps the SQL mode that it was made in, made in sessions that take no directories of their own, and in others.
const ROUTINES: &str = "
    CREATE DATABASE kept; CREATE TABLE kept.t (a INT PRIMARY KEY);
    CREATE PROCEDURE kept.p() SET @a = 1; CREATE FUNCTION kept.f() RETURNS INT DETERMINISTIC RETURN 1;
    CREATE TRIGGER kept.g BEFORE INSERT ON kept.t FOR EACH ROW SET @a = 1;
    CREATE EVENT kept.e ON SCHEDULE EVERY 1 DAY DO SET @a = 1;
    SET sql_mode = CONCAT(@@sql_mode, ',NO_DIR_IN_CREATE');
    CREATE PROCEDURE kept.p2() SET @a = 1; INSERT INTO kept.t VALUES (1);
    CREATE FUNCTION kept.f2() RETURNS INT DETERMINISTIC RETURN 1;
    CREATE TRIGGER kept.g2 BEFORE UPDATE ON kept.t FOR EACH ROW SET @a = 1;
    CREATE EVENT kept.e2 ON SCHEDULE EVERY 1 DAY DO SET @a = 1; ALTER PROCEDURE kept.p COMMENT 'changed';
    SET sql_mode = ''; CREATE PROCEDURE kept.p3() SET @a = 1";

/// What the routines of `kept` say of their SQL mode.
fn modes(server: &Server) -> Rows {
    server.sql(
        "SELECT routine_name AS n, sql_mode FROM information_schema.routines WHERE routine_schema = 'kept'
         UNION ALL SELECT trigger_name, sql_mode FROM information_schema.triggers WHERE trigger_schema = 'kept'
         UNION ALL SELECT event_name, sql_mode FROM information_schema.events WHERE event_schema = 'kept' ORDER BY 1",
    )
}

/// The same of what was restored.
fn modes_of(scenario: &Scenario, restored: &Restored, options: Options) -> Rows {
    let options = Options { log_bin: None, ..options };
    let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("modes"), options).unwrap();
    let found = modes(&server);
    server.stop().unwrap();
    found
}

/// The tables of the source that lie elsewhere are dropped by accident; a restore to before that makes them inside, and the source
/// can make them again.
#[test]
fn real_inside_tables_with_directories_of_their_own() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::with(Options::default().with("--symbolic-links=ON"), "");
    let source = &scenario.server;
    source.sql("CREATE DATABASE far");
    scenario.full();
    let far = scenario.fresh("far");
    fs::create_dir(&far).unwrap();
    let (at, far_dir) = (format!("DATA DIRECTORY='{}'", far.display()), far.display());
    let tables = format!(
        "USE far; CREATE TABLE i (a INT PRIMARY KEY) ENGINE=InnoDB {at}; CREATE TABLE m (a INT PRIMARY KEY) ENGINE=MyISAM {at} \
         INDEX DIRECTORY='{far_dir}'; CREATE TABLE r (a INT PRIMARY KEY) ENGINE=Aria TRANSACTIONAL=0 {at}; CREATE TABLE p (a INT \
         PRIMARY KEY) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (2) {at}); ALTER TABLE p ADD PARTITION (PARTITION \
         p1 VALUES LESS THAN MAXVALUE {at}); CREATE TABLE l LIKE p; CREATE TABLE s {at} AS SELECT 1 AS a"
    );
    source.sql(&tables);
    for table in ["i", "m", "r", "p", "l"] {
        source.sql(&format!("INSERT INTO far.{table} VALUES (1), (2)"));
    }
    source.sql(ROUTINES);
    let kept = modes(source);
    assert_eq!(kept.len(), 9, "{kept:?}");
    let sums = source.checksums("far").unwrap();
    assert!(files_below(&far).len() > 5, "they lie elsewhere");
    source.sql("DROP DATABASE far");
    let accident = source.value("SELECT @@GLOBAL.gtid_binlog_pos");
    scenario.ship();
    let left = files_below(&far);
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--before-gtid", &accident, "--replay", way]);
        assert_eq!(files_below(&far), left, "{way}: nothing is written into the source's directories");
        assert!(restored.ran.stderr.contains("it is made in the restored data directory"), "{}", restored.ran);
        assert_eq!(scenario.checksums_of(&restored.datadir, "far"), sums, "{way}");
        assert_eq!(modes_of(&scenario, &restored, Options::default()), kept, "{way}");
    }
    source.sql(&format!("CREATE DATABASE far; {tables}"));
}

/// A MySQL source with channels, and a full of it.
fn a_replica(far: &Path) -> Scenario {
    let options = Options::mysql().with(format!("--innodb-directories={}", far.display()));
    let scenario = Scenario::with(options, "");
    scenario.server.sql(
        "INSTALL PLUGIN clone SONAME 'mysql_clone.so';
         CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=1, SOURCE_USER='r', SOURCE_AUTO_POSITION=1;
         CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.2', SOURCE_PORT=2, SOURCE_USER='r', SOURCE_LOG_FILE='binlog.000007',
         SOURCE_LOG_POS=4711 FOR CHANNEL 'west'; CREATE DATABASE far;
         INSTALL PLUGIN group_replication SONAME 'group_replication.so';
         SET PERSIST group_replication_group_name = '9aaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa'; SET PERSIST max_connections = 77;
         SET PERSIST slow_query_log_file = '/tmp/dbbak-test-of-the-source-slow.log'",
    );
    scenario.backup(&["backup-full", "--engine", "clone"]);
    scenario
}

/// What was restored replicates from nobody, and the restore said so.
#[track_caller]
fn is_no_replica(scenario: &Scenario, restored: &Restored) {
    let said = &restored.ran.stderr;
    assert!(said.contains("the source replicated from 127.0.0.1:1 (channel \"\""), "{said}");
    assert!(said.contains("127.0.0.2:2 (channel \"west\", up to binlog.000007:4711)"), "{said}");
    assert_eq!(restored.report.examination.as_ref().unwrap().channels.len(), 2);
    let coordinates = &restored.report.ready.as_ref().unwrap().coordinates;
    let coordinates: serde_json::Value = serde_json::from_slice(&fs::read(coordinates).unwrap()).unwrap();
    let west = &coordinates["channels"][1];
    assert_eq!((&west["file"], &west["position"]), (&"binlog.000007".into(), &4711.into()), "{coordinates:#}");
    let names = files_below(&restored.datadir).into_iter().map(|path| path.display().to_string());
    assert_eq!(names.filter(|name| name.contains("relay")).collect::<Vec<_>>(), Vec::<String>::new());
    assert!(said.contains("had persisted slow_query_log_file"), "{said}");
    let options = Options { log_bin: None, ..Options::mysql() };
    let server = Server::on_datadir(&restored.datadir, &scenario.fresh("used"), options).unwrap();
    assert_eq!(server.value("SELECT COUNT(*) FROM mysql.slave_master_info"), "0");
    assert_eq!(server.value("SELECT COUNT(*) FROM mysql.slave_relay_log_info"), "0");
    // A server reads it unless it was started with --no-defaults, as the test's are.
    let persisted = fs::read(restored.datadir.join("mysqld-auto.cnf")).unwrap();
    let persisted: serde_json::Value = serde_json::from_slice(&persisted).unwrap();
    let text = persisted.to_string();
    assert!(text.contains("max_connections") && text.contains("\"77\""), "{persisted:#}");
    assert!(!text.contains("of-the-source"), "{persisted:#}");
    assert!(said.contains("a member of a replication group"), "{said}");
    let joins = "/mysql_static_variables/group_replication_start_on_boot/Value";
    assert_eq!(persisted.pointer(joins), Some(&"OFF".into()), "{persisted:#}");
}

#[test]
fn real_mysql_inside_no_channel_and_no_directory_of_the_source() {
    if !require_mysql() {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let far = elsewhere.path();
    let scenario = a_replica(far);
    let source = &scenario.server;
    is_no_replica(&scenario, &scenario.restore(&["--no-pitr"]));
    let unchecked = scenario.restore(&["--no-pitr", "--check", "none"]);
    assert!(
        unchecked.ran.stderr.contains("a server is started on the restored data to forget them"),
        "{}",
        unchecked.ran
    );
    is_no_replica(&scenario, &unchecked);

    let own = |transaction: &str| format!("{}:{transaction}", source.value("SELECT @@server_uuid"));
    let last = || {
        let executed = source.value("SELECT @@GLOBAL.gtid_executed");
        own(executed.trim().rsplit(['-', ':']).next().unwrap())
    };
    source.sql("CREATE TABLE far.inside (a INT PRIMARY KEY)");
    source.sql(ROUTINES);
    let (inside, kept) = (last(), modes(source));
    assert_eq!(kept.len(), 9, "{kept:?}");
    let at = format!("DATA DIRECTORY='{}'", far.display());
    source.sql(&format!(
        "USE far; CREATE TABLE i (a INT PRIMARY KEY) {at}; INSERT INTO i VALUES (1), (2); CREATE TABLE p (a INT PRIMARY KEY) \
         PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (2) {at}); ALTER TABLE p ADD PARTITION (PARTITION p1 VALUES LESS \
         THAN MAXVALUE {at}); INSERT INTO p VALUES (1), (2); CREATE TABLE s {at} AS SELECT 1 AS a; CREATE TABLE l LIKE p; CREATE \
         PROCEDURE kept.p4() SET @a = 1; ALTER EVENT kept.e2 COMMENT 'changed'; SET sql_mode = CONCAT(@@sql_mode, ',NO_DIR_IN_CREATE'); CREATE TABLE n (a INT) {at}"
    ));
    let kept_with_tables = modes(source);
    let sums = source.checksums("far").unwrap();
    assert_eq!(files_below(far).len(), 6, "they lie elsewhere");
    let clone = scenario.dbbak(&["backup-full", "--engine", "clone", "--exec"]).exits(5);
    assert!(clone.stderr.contains("cannot hold tables that lie outside of the data directory"), "{clone}");
    source.sql("DROP DATABASE far");
    let accident = last();
    scenario.ship();
    let restored = scenario.restore(&["--before-gtid", &accident, "--replay", "relay"]);
    assert_eq!(files_below(far), BTreeSet::new(), "nothing is written into the source's directories");
    assert_eq!(scenario.checksums_of(&restored.datadir, "far"), sums);
    assert_eq!(modes_of(&scenario, &restored, Options::mysql()), kept_with_tables);
    is_no_replica(&scenario, &restored);
    let piped = scenario.restore(&["--gtid", &inside, "--replay", "pipe"]);
    assert_eq!(modes_of(&scenario, &piped, Options::mysql()), kept);
    is_no_replica(&scenario, &piped);
    let refused = scenario.try_restore(&["--before-gtid", &accident, "--replay", "pipe"]).exits(5);
    assert!(refused.stderr.contains("outside of the work directory"), "{refused}");
    assert!(refused.stderr.contains("--replay relay"), "{refused}");

    source.sql(&format!("CREATE TABLESPACE far ADD DATAFILE '{}/far.ibd'", far.display()));
    let space = last();
    // A last binlog of single statements, in which the applier finds no whole transaction but that one.
    source.sql(&format!(
        "FLUSH BINARY LOGS; CREATE DATABASE last; CREATE TABLE last.i (a INT PRIMARY KEY) {at}; ANALYZE TABLE last.i"
    ));
    let left = files_below(far);
    scenario.ship();
    let refused = scenario.try_restore(&["--latest"]).exits(5);
    assert!(refused.stderr.contains(&space) && refused.stderr.contains("far.ibd"), "{refused}");
    let restored = scenario.restore(&["--latest", "--skip-gtid", &space]);
    assert_eq!(files_below(far), left, "nothing is written into the source's directories");
    assert_eq!(scenario.checksums_of(&restored.datadir, "last"), source.checksums("last").unwrap());
}

/// MariaDB's channels are in files that no backup holds: where they stood is kept beside it.
#[test]
fn real_inside_channels_are_kept_with_a_backup() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    scenario.server.sql(
        "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, SLAVE MONITOR ON *.* TO 'dbbak'@'localhost';
         CHANGE MASTER 'west' TO MASTER_HOST='127.0.0.2', MASTER_PORT=2, MASTER_USER='r', MASTER_LOG_FILE='bin.000007', MASTER_LOG_POS=4711;
         CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY) ENGINE=InnoDB",
    );
    let holds = |args: &[&str]| {
        let restored = scenario.restore(args);
        let said = &restored.ran.stderr;
        let coordinates = &restored.report.ready.as_ref().unwrap().coordinates;
        let coordinates: serde_json::Value = serde_json::from_slice(&fs::read(coordinates).unwrap()).unwrap();
        let west = &coordinates["channels"][0];
        assert_eq!(
            (&west["channel"], &west["file"], &west["position"]),
            (&"west".into(), &"bin.000007".into(), &4711.into())
        );
        // Any server makes an empty list of its channels.
        let ties = files_below(&restored.datadir).into_iter().filter(|path| fs::metadata(path).unwrap().len() > 0);
        let mut ties = ties.filter(|path| path.file_name().unwrap().to_string_lossy().contains("master"));
        assert_eq!(ties.next(), None);
        assert!(
            args.contains(&"none") || said.contains("the source replicated from 127.0.0.2:2 (channel \"west\""),
            "{said}"
        );
    };
    scenario.full();
    holds(&["--no-pitr", "--check", "none"]);
    scenario.server.sql("INSERT INTO shop.t VALUES (1)");
    scenario.ship();
    holds(&["--latest"]);
    scenario.backup(&["backup-full", "--engine", "dump"]);
    holds(&["--no-pitr"]);
}
