//! XtraBackup's chains on real MySQL: they restore to their rows, replays start from them, and what the tool refuses is said.

use super::clone::{without_gtids, workload};
use super::encryption::COMPONENT;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::{find_mysql_program, require_xtrabackup};
use dbbak_testkit::scenario::{Scenario, give_keys, let_in};
use dbbak_testkit::server::{Options, Server, mysql_with_manifest};
use tempfile::TempDir;

/// The line of the configuration that names the tool, which is not on the path.
fn config() -> String {
    format!("xtrabackup: {}", find_mysql_program("xtrabackup").unwrap().display())
}

/// A MySQL server whose account has what the README grants.
fn scenario(options: Options) -> Scenario {
    let scenario = Scenario::with(options, &config());
    grant(&scenario);
    scenario
}

fn grant(scenario: &Scenario) {
    scenario.server.sql(
        "GRANT BACKUP_ADMIN, PROCESS, RELOAD, LOCK TABLES, REPLICATION CLIENT ON *.* TO 'dbbak'@'localhost';
         GRANT SELECT ON performance_schema.log_status TO 'dbbak'@'localhost';
         GRANT SELECT ON performance_schema.keyring_component_status TO 'dbbak'@'localhost';
         GRANT SELECT ON performance_schema.replication_group_members TO 'dbbak'@'localhost'",
    );
}

/// Changes of the schema, of which an incremental takes whole files.
fn change_schema(scenario: &Scenario, round: u32) {
    scenario.server.sql(&format!(
        "CREATE TABLE shop.round{round} (id INT PRIMARY KEY, t TEXT); INSERT INTO shop.round{round} VALUES (1, 'x'), (2, 'y');
         ALTER TABLE shop.round{round} ADD COLUMN n INT DEFAULT 7, ADD INDEX (n), ALGORITHM=INPLACE;
         CREATE TABLE shop.gone{round} (id INT PRIMARY KEY); INSERT INTO shop.gone{round} VALUES ({round})"
    ));
    if round > 0 {
        let before = round - 1;
        scenario.server.sql(&format!(
            "DROP TABLE shop.gone{before}; RENAME TABLE shop.round{before} TO shop.renamed{before};
             OPTIMIZE TABLE shop.renamed{before}"
        ));
    }
}

#[test]
fn real_mysql_xtrabackup_chains_restore_to_their_rows() {
    if !require_xtrabackup() {
        return;
    }
    let scenario = scenario(Options::mysql());
    let mut workload = workload(&scenario, 81);
    workload.run(80).unwrap();
    change_schema(&scenario, 0);
    let mut links = vec![(scenario.full(), scenario.server.checksums("shop").unwrap())];
    for round in 1..3 {
        workload.run(60).unwrap();
        change_schema(&scenario, round);
        links.push((scenario.incr(), scenario.server.checksums("shop").unwrap()));
    }
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    for backup in list["backups"].as_array().unwrap() {
        assert_eq!(backup["engine"].as_str(), Some("xtrabackup"), "{backup:#}");
    }
    let full = scenario.store().join(format!("full_{}", links[0].0));
    for tree in ["raw", "prepared-redo", "prepared-final"] {
        assert!(full.join(tree).join("shop/customers.ibd").is_file(), "{tree}");
    }
    for (stamp, wanted) in &links {
        let restored = scenario.restore(&["--no-pitr", "--backup", stamp]);
        assert_eq!(&scenario.checksums_of(&restored.datadir, "shop"), wanted, "{stamp}");
    }
    scenario.nothing_survives();
}

/// Across changes of the schema and rotations, from a chain, to a time, a transaction, and the end.
fn replays(options: Options, gtids: bool, seed: u64) {
    let scenario = scenario(options);
    let mut workload = workload(&scenario, seed);
    workload.run(60).unwrap();
    scenario.full();
    workload.run(20).unwrap();
    change_schema(&scenario, 0);
    scenario.incr();
    let mut points = Vec::new();
    for round in 1..3 {
        workload.run(30).unwrap();
        change_schema(&scenario, round);
        let rows = scenario.server.checksums("shop").unwrap();
        let gtid = gtids.then(|| {
            let number = scenario.server.value("SELECT REGEXP_SUBSTR(@@GLOBAL.gtid_executed, '[0-9]+$')");
            format!("{}:{number}", scenario.server.value("SELECT @@server_uuid"))
        });
        points.push((scenario.next_second(), gtid, rows));
        scenario.server.sql("FLUSH BINARY LOGS");
    }
    workload.run(20).unwrap();
    let last = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for (time, gtid, wanted) in &points {
        let restored = scenario.restore_at(time);
        assert_eq!(&scenario.checksums_of(&restored.datadir, "shop"), wanted, "{time}");
        if let Some(gtid) = gtid {
            let restored = scenario.restore(&["--gtid", gtid, "--replay", "pipe"]);
            assert_eq!(&scenario.checksums_of(&restored.datadir, "shop"), wanted, "{gtid}");
        }
    }
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(restored.report.chain.len(), 2);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last);
    scenario.nothing_survives();
}

#[test]
fn real_mysql_xtrabackup_chains_replay() {
    if require_xtrabackup() {
        replays(Options::mysql(), true, 82);
    }
}

#[test]
fn real_mysql_xtrabackup_chains_replay_without_gtids() {
    if require_xtrabackup() {
        replays(without_gtids(), false, 83);
    }
}

/// What the server has of AUTO_INCREMENT stands in the redo until a checkpoint, and XtraBackup takes it from there in one way of
/// preparing alone. The dictionary's own counters are such, too: each change of the schema needs them.
#[test]
fn real_mysql_xtrabackup_counters_are_the_sources() {
    if !require_xtrabackup() {
        return;
    }
    // Nothing is written for lack of room in the redo.
    let mut scenario = scenario(Options::mysql().with("--innodb-redo-log-capacity=128M"));
    // The statements come right before the backup, so that no checkpoint comes between.
    let (program, statements) = (scenario.root().join("hurried"), scenario.root().join("statements.sql"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--backup*) '{}' --defaults-file='{}' <'{}' || exit;; esac\nexec '{}' \"$@\"\n",
        find_mysql_program("mysql").unwrap().display(),
        scenario.server.root_option_file().display(),
        statements.display(),
        find_mysql_program("xtrabackup").unwrap().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("xtrabackup: {}", program.display()));
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.ids (id INT PRIMARY KEY AUTO_INCREMENT, v INT)");
    let mut backups = Vec::new();
    for (number, command) in ["backup-full", "backup-incr", "backup-incr"].into_iter().enumerate() {
        let first = u32::try_from(number).unwrap() * 10;
        let mut sql = String::new();
        for number in first..first + 10 {
            sql += &format!(
                "CREATE TABLE shop.t{number} (a INT PRIMARY KEY); INSERT INTO shop.ids (v) VALUES ({number});"
            );
        }
        fs::write(&statements, sql + "DELETE FROM shop.ids WHERE id > 2;").unwrap();
        // A start writes all counters to the table that they are kept in; those of later have redo alone.
        scenario.server.restart().unwrap();
        backups.push((scenario.backup(&[command]), (first + 11).to_string(), first + 11));
    }
    let raw_only = |stamp: &str, part: &str| {
        let tree = scenario.store().join(format!("full_{stamp}")).join(part);
        fs::rename(&tree, tree.with_extension("aside")).unwrap();
    };
    let look = |stamp: &str, tables: &str, next: u32| {
        let restored = scenario.restore(&["--no-pitr", "--backup", stamp]);
        let options = Options { log_bin: None, ..Options::mysql() };
        let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
        let log = fs::read_to_string(server.error_log()).unwrap();
        assert!(!log.contains("Duplicate entry"), "{log}");
        assert_eq!(server.value("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'"), tables);
        for number in 0..10 {
            server.sql(&format!("CREATE TABLE shop.after{number} (a INT PRIMARY KEY, b INT, INDEX (b))"));
        }
        server.sql("INSERT INTO shop.ids (v) VALUES (7)");
        assert_eq!(server.value("SELECT MAX(id) FROM shop.ids"), next.to_string(), "{stamp}");
        server.stop().unwrap();
    };
    for (stamp, tables, next) in &backups {
        look(stamp, tables, *next);
    }
    // From the raw tree as well, alone and with incrementals.
    let full = backups[0].0.clone();
    raw_only(&full, "prepared-final");
    look(&full, &backups[0].1, backups[0].2);
    raw_only(&full, "prepared-redo");
    for (stamp, tables, next) in &backups {
        look(stamp, tables, *next);
    }
}

/// Undo tablespaces may lie anywhere: a restore has them in its data directory, and leaves those of the server alone. Tables
/// that lie outside are refused.
#[test]
fn real_mysql_xtrabackup_files_outside_of_the_data_directory() {
    if !require_xtrabackup() {
        return;
    }
    let outside = tempfile::Builder::new().prefix("outside-").tempdir().unwrap();
    let place = outside.path().display();
    let mut scenario = scenario(Options::mysql().with(format!("--innodb-directories={place}")));
    let mut workload = workload(&scenario, 84);
    workload.run(20).unwrap();
    scenario.server.sql(&format!(
        "CREATE UNDO TABLESPACE far ADD DATAFILE '{place}/far.ibu'; CREATE UNDO TABLESPACE near ADD DATAFILE 'near.ibu';
         CREATE TABLESPACE inside ADD DATAFILE 'inside.ibd'; CREATE TABLE shop.inside (a INT PRIMARY KEY) TABLESPACE inside;
         INSERT INTO shop.inside VALUES (1), (2)"
    ));
    let full = scenario.full();
    workload.run(40).unwrap();
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    scenario.server.sql(&format!(
        "CREATE TABLE shop.outside (a INT PRIMARY KEY) DATA DIRECTORY '{place}'; INSERT INTO shop.outside VALUES (1)"
    ));
    let other = scenario.full();
    scenario.server.stop().unwrap();
    let far = outside.path().join("far.ibu");
    let digest = || blake3::hash(&fs::read(&far).unwrap());
    let before = digest();

    let restored = scenario.restore(&["--latest", "--backup", &full]);
    let mut undo: Vec<String> = fs::read_dir(&restored.datadir)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".ibu"))
        .collect();
    undo.sort();
    assert_eq!(undo, ["far.ibu", "near.ibu"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    assert_eq!(digest(), before);

    let refused = scenario.try_restore(&["--no-pitr", "--backup", &other]).exits(5);
    let path = outside.path().join("shop/outside.ibd");
    assert!(refused.stderr.contains(&path.display().to_string()), "{refused}");
}

/// XtraBackup passes over directories whose names begin with a dot, and says nothing of what lies there. A server on such a
/// backup would take the original file.
#[test]
fn real_mysql_xtrabackup_that_passes_over_an_undo_tablespace_has_not_succeeded() {
    if !require_xtrabackup() {
        return;
    }
    let outside = tempfile::Builder::new().prefix(".hidden-").tempdir().unwrap();
    let place = outside.path().display();
    let scenario = scenario(Options::mysql().with(format!("--innodb-directories={place}")));
    let full = scenario.full();
    scenario.server.sql(&format!("CREATE UNDO TABLESPACE far ADD DATAFILE '{place}/far.ibu'"));
    for kind in ["backup-full", "backup-incr"] {
        let failed = scenario.dbbak(&[kind, "--exec"]).exits(6);
        assert!(failed.stderr.contains("lacks 1 of the server's tablespaces, first far (number 42949672"), "{failed}");
        assert_eq!(scenario.listed(), [full.as_str()]);
    }
    scenario.server.sql("ALTER UNDO TABLESPACE far SET INACTIVE");
    while scenario.server.value("SELECT STATE FROM information_schema.INNODB_TABLESPACES WHERE NAME = 'far'") != "empty"
    {
        std::thread::sleep(Duration::from_millis(100));
    }
    scenario.server.sql("DROP UNDO TABLESPACE far");
    scenario.incr();
    scenario.nothing_survives();
}

#[test]
fn real_mysql_xtrabackup_encrypted_tables_need_their_keyring() {
    if !require_xtrabackup() {
        return;
    }
    let dir = TempDir::new().unwrap();
    let_in(dir.path());
    let keys = dir.path().join("keyring");
    let place = format!(r#"{{"path": "{}", "read_only": false}}"#, keys.display());
    let source = mysql_with_manifest(&dir.path().join("source"), COMPONENT, &place).unwrap();
    let local = r#"{"read_local_manifest": true}"#;
    let private = mysql_with_manifest(&dir.path().join("private"), local, r#"{"read_local_config": true}"#).unwrap();
    let mut options = Options::mysql().with("--innodb-redo-log-encrypt=ON").with("--innodb-undo-log-encrypt=ON");
    options.program = Some(source);
    let scenario = scenario(options);
    let more = format!("mysqld: {}\n{}", private.display(), config());
    scenario.configure(&more);
    scenario.server.sql(
        "ALTER TABLESPACE mysql ENCRYPTION='Y'; CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(100)) ENCRYPTION='Y';
         CREATE TABLE shop.p (a INT PRIMARY KEY, b VARCHAR(100)); INSERT INTO shop.p VALUES (1, 'plain');
         INSERT INTO shop.t (b) VALUES ('planted-in-cipher-a')",
    );
    // The prepare has no keys.
    let failed = scenario.dbbak(&["backup-full", "--exec"]);
    failed.exits(6).says("stays: it is recorded");
    assert_eq!(scenario.listed().len(), 1);

    let (manifest, file) = (dir.path().join("mysqld.my"), dir.path().join("component_keyring_file.cnf"));
    give_keys(&keys);
    fs::write(&manifest, COMPONENT).unwrap();
    fs::write(&file, &place).unwrap();
    let keyring = format!("keyring_files: [{}, {}]", manifest.display(), file.display());
    scenario.configure_with(&keyring, &more);
    scenario.full();
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('planted-in-cipher-b')");
    scenario.incr();
    scenario.server.sql(
        "CREATE TABLE shop.late (a INT PRIMARY KEY) ENCRYPTION='Y'; INSERT INTO shop.late VALUES (7);
         UPDATE shop.t SET b = CONCAT(b, '-planted-c') WHERE a = 1",
    );
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    for path in files_below(&restored.datadir) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(8).any(|window| window == b"planted-"), "{} is in the clear", path.display());
    }
    // The private server has another UUID than the source, and its redo log a key of its own: it made that in the copy of the keyring.
    let copy = restored.datadir.with_file_name("keyring").join("component_keyring_file.cnf/keyring");
    assert!(restored.ran.stderr.contains("keep it with the restored data"), "{}", restored.ran);
    let place = format!(r#"{{"path": "{}", "read_only": false}}"#, copy.display());
    let own = mysql_with_manifest(&dir.path().join("own"), COMPONENT, &place).unwrap();
    let options = Options { program: Some(own), log_bin: None, ..scenario.server.options().clone() };
    let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
    assert_eq!(server.checksums("shop").unwrap(), wanted);
    server.stop().unwrap();
    scenario.configure(&more);
    let refused = scenario.try_restore(&["--latest"]).exits(5);
    assert!(refused.stderr.contains("component_keyring_file"), "{refused}");
}

/// A backup tool that loses the files of one table, and ends with status 0 and `completed OK!`.
fn losing(scenario: &Scenario, table: &str) -> String {
    let program = scenario.root().join("losing");
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\" || exit\ncase \"$*\" in *--backup*) for arg; do case $arg in\n\
         --target-dir=*) rm -f \"${{arg#*=}}/shop/{table}.\"*;; esac; done;; esac\n",
        find_mysql_program("xtrabackup").unwrap().display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    format!("xtrabackup: {}", program.display())
}

/// A table is missing that was there before and after the backup: neither the tool nor its prepare says a word.
#[test]
fn real_mysql_xtrabackup_that_loses_a_table_has_not_succeeded() {
    if !require_xtrabackup() {
        return;
    }
    let scenario = scenario(Options::mysql());
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.kept (a INT PRIMARY KEY); INSERT INTO shop.kept VALUES (1);
         CREATE TABLE shop.lost (a INT PRIMARY KEY); INSERT INTO shop.lost VALUES (1);
         CREATE TABLE shop.discarded (a INT PRIMARY KEY); ALTER TABLE shop.discarded DISCARD TABLESPACE",
    );
    let full = scenario.full();
    scenario.configure(&losing(&scenario, "lost"));
    for kind in ["backup-full", "backup-incr"] {
        let failed = scenario.dbbak(&[kind, "--exec"]).exits(6);
        assert!(failed.stderr.contains("lacks 1 of the server's tablespaces, first shop/lost (number "), "{failed}");
        assert_eq!(scenario.listed(), [full.as_str()]);
    }
    // What the server had is not among its settings.
    scenario.configure(&config());
    scenario.server.sql("DROP TABLE shop.discarded");
    scenario.incr();
    let restored = scenario.restore(&["--no-pitr"]);
    assert!(scenario.store().join(format!("full_{full}/server/tablespaces.json")).is_file());
    assert!(!restored.datadir.parent().unwrap().join("server-settings/tablespaces.json").exists());
}

/// The prepare names a table that was lost with the words that it has for those that were dropped. Where the list of the
/// server's tablespaces has it, it is one that was lost.
#[test]
fn real_mysql_xtrabackup_prepare_that_misses_a_table_has_not_succeeded() {
    if !require_xtrabackup() {
        return;
    }
    let scenario = scenario(Options::mysql());
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.kept (a INT PRIMARY KEY); INSERT INTO shop.kept VALUES (1);
         CREATE TABLE shop.dropped (a INT PRIMARY KEY); INSERT INTO shop.dropped VALUES (1)",
    );
    let id =
        scenario.server.value("SELECT SPACE FROM information_schema.INNODB_TABLESPACES WHERE NAME = 'shop/dropped'");
    let full = scenario.full();
    scenario.server.sql("INSERT INTO shop.dropped VALUES (2); DROP TABLE shop.dropped");
    let incr = scenario.incr();
    let wanted = scenario.server.checksums("shop").unwrap();
    let restored = scenario.restore(&["--no-pitr", "--backup", &incr]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    assert!(
        fs::read_to_string(restored.datadir.with_file_name("prepare.log")).unwrap().contains(&format!("ID: {id}\n"))
    );

    // As if it had not been dropped.
    let list = scenario.store().join(format!("incr_{incr}_from_{full}/server/tablespaces.json"));
    let known = fs::read_to_string(&list).unwrap();
    fs::write(&list, format!("[[{id},{id}],{}", &known[1..])).unwrap();
    // What fails so is marked, and not tried again.
    let manifest = scenario.store().join("manifest.json");
    let unmarked = fs::read(&manifest).unwrap();
    let fails = || {
        let failed = scenario.try_restore(&["--no-pitr", "--backup", &incr]).exits(6);
        fs::write(&manifest, &unmarked).unwrap();
        failed
    };
    let failed = fails();
    assert!(failed.stdout.contains("1 alarms, first ") && failed.stdout.contains(&format!("ID: {id}\\\"")), "{failed}");
    // Nobody knows.
    for text in ["", "no list"] {
        fs::write(&list, text).unwrap();
        fails();
    }
    fs::remove_file(&list).unwrap();
    fails();
}

/// What an account lacks is said before anything is begun, or by the tool, and nothing is listed.
#[test]
fn real_mysql_xtrabackup_says_what_the_account_lacks() {
    if !require_xtrabackup() {
        return;
    }
    let scenario = scenario(Options::mysql());
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)");
    for (taken, lacks) in [
        ("REVOKE BACKUP_ADMIN ON *.* FROM 'dbbak'@'localhost'", "BACKUP_ADMIN"),
        ("REVOKE SELECT ON performance_schema.log_status FROM 'dbbak'@'localhost'", "log_status"),
    ] {
        scenario.server.sql(taken);
        let checked = scenario.dbbak(&["check"]);
        assert!(checked.stdout.contains(lacks), "{checked}");
        let failed = scenario.dbbak(&["backup-full", "--exec"]);
        assert_ne!(failed.code, Some(0), "{failed}");
        assert!(scenario.listed().is_empty());
        grant(&scenario);
    }
    scenario.full();
    scenario.nothing_survives();
}

/// A tool that dies, and a dbbak that dies, leave nothing that is listed, and the next backup is good.
#[test]
fn real_mysql_xtrabackup_deaths_leave_nothing_listed() {
    if !require_xtrabackup() {
        return;
    }
    let scenario = scenario(Options::mysql());
    let mut workload = workload(&scenario, 85);
    workload.run(40).unwrap();
    for millis in [0, 300, 900, 1500, 2500, 4000] {
        let mut child = scenario.command(&["backup-full", "--exec"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        scenario.nothing_survives();
        workload.run(5).unwrap();
    }
    let died = scenario.listed().len();
    let wanted = scenario.server.checksums("shop").unwrap();
    let stamp = scenario.full();
    assert_eq!(scenario.listed().len(), died + 1);
    let restored = scenario.restore(&["--no-pitr", "--backup", &stamp]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
}
