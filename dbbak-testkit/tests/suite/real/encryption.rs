//! Encrypted tablespaces: a backup says what is encrypted, a restore that lacks the keys is refused, one that has them lands.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::{encryption_plugins, require_mysql, require_servers};
use dbbak_testkit::scenario::{Scenario, give_keys, let_in};
use dbbak_testkit::server::{Checksums, Options, Server, mysql_with_manifest};
use tempfile::TempDir;

pub(super) const COMPONENT: &str = r#"{"components": "file://component_keyring_file"}"#;

pub(super) fn sums(scenario: &Scenario, datadir: &Path) -> Checksums {
    let options = Options { log_bin: None, ..scenario.server.options().clone() };
    let mut server = Server::on_datadir(datadir, &scenario.fresh("look"), options).unwrap();
    let sums = server.checksums("shop").unwrap();
    server.stop().unwrap();
    sums
}

/// The names of all files below a directory.
fn names(dir: &Path) -> BTreeSet<String> {
    files_below(dir).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

/// No file below a directory holds a text that is nowhere in the clear.
fn nothing_in_the_clear(dir: &Path, text: &str) {
    for path in files_below(dir) {
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!found, "{} holds {text}", path.display());
    }
}

#[track_caller]
fn check_says(scenario: &Scenario, text: &str) {
    let checked = scenario.dbbak(&["check"]);
    assert!(checked.stdout.contains(text), "{checked}");
}

/// A replayed rotation of the master key, to an end behind it: the running server's keyring is left alone, though the private server might write it.
fn keys_are_made_in_a_copy(scenario: &Scenario, dir: &Path, keys: &Path) {
    let before = scenario.server.checksums("shop").unwrap();
    scenario.server.sql("ALTER INSTANCE ROTATE INNODB MASTER KEY; CREATE TABLE shop.rotated (a INT) ENCRYPTION='Y'");
    scenario.ship();
    let live = fs::read(keys).unwrap();
    for way in ["relay", "pipe"] {
        let beside = fs::read_dir(dir).unwrap().count();
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(fs::read(keys).unwrap(), live, "{way}");
        assert_eq!(fs::read_dir(dir).unwrap().count(), beside, "{way}");
        let copies = restored.datadir.with_file_name("keyring");
        let copy = copies.join("component_keyring_file.cnf/keyring");
        // That of the other component, in which no key was made, is gone.
        assert_eq!(fs::read_dir(&copies).unwrap().count(), 1);
        let report = fs::read_to_string(restored.datadir.with_file_name("dbbak-restore.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["keyring"], copies.to_str().unwrap());
        let told = restored.ran.stderr.lines().any(|line| {
            line.contains("keep it with the restored data") && line.contains(copy.parent().unwrap().to_str().unwrap())
        });
        assert!(told, "{}", restored.ran);
        let place = format!(r#"{{"path": "{}", "read_only": false}}"#, copy.display());
        let own = mysql_with_manifest(&dir.join(format!("own-{way}")), COMPONENT, &place).unwrap();
        let options = Options { program: Some(own), log_bin: None, ..scenario.server.options().clone() };
        let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
        let mut found = server.checksums("shop").unwrap();
        assert!(found.remove("rotated").is_some(), "{found:?}");
        assert_eq!(found, before, "{way}");
        server.stop().unwrap();
    }
}

#[test]
fn real_mysql_encrypted_tables_need_their_keyring() {
    if !require_mysql() {
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
    options.program = Some(source.clone());
    let scenario = Scenario::with(options, "");
    let more = format!("mysqld: {}", private.display());
    scenario.configure(&more);
    scenario.server.sql(
        "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; ALTER TABLESPACE mysql ENCRYPTION='Y'; CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(100)) ENCRYPTION='Y';
         CREATE TABLE shop.p (a INT PRIMARY KEY, b VARCHAR(100)); INSERT INTO shop.p VALUES (1, 'plain');
         INSERT INTO shop.t (b) VALUES ('planted-in-cipher-a')",
    );
    let full = ["backup-full", "--engine", "clone"];
    // A clone is opened once: a server that finds no keys could not.
    let refused = scenario.dbbak(&full).exits(5);
    assert!(refused.stderr.contains("the server is encrypted ("), "{refused}");
    assert!(refused.stderr.contains("the redo log, the undo log)"), "{refused}");
    assert!(refused.stderr.contains("server.keyring_files"), "{refused}");
    // Which component it is, an account sees that may.
    scenario.server.sql("GRANT SELECT ON performance_schema.keyring_component_status TO 'dbbak'@'localhost'");
    let refused = scenario.dbbak(&full).exits(5);
    assert!(refused.stderr.contains("its keys are kept by component_keyring_file"), "{refused}");
    check_says(&scenario, "a private server would not find the keys");

    let (manifest, config) = (dir.path().join("mysqld.my"), dir.path().join("component_keyring_file.cnf"));
    give_keys(&keys);
    fs::write(&manifest, COMPONENT).unwrap();
    fs::write(&config, &place).unwrap();
    let keyring = format!("keyring_files: [{}, {}]", manifest.display(), config.display());
    scenario.configure_with(&keyring, &more);
    check_says(&scenario, "private servers are told where the keys are (component_keyring_file)");
    scenario.backup(&full);
    let list = fs::read_to_string(scenario.store().join("manifest.json")).unwrap();
    assert!(
        list.contains(r#""keyring":"component_keyring_file""#) && list.contains(r#""logs":["redo","undo"]"#),
        "{list}"
    );
    scenario.server.sql(
        "INSERT INTO shop.t (b) VALUES ('planted-in-cipher-b'); CREATE TABLE shop.late (a INT PRIMARY KEY) ENCRYPTION='Y';
         INSERT INTO shop.late VALUES (7); UPDATE shop.t SET b = CONCAT(b, '-planted-c') WHERE a = 1",
    );
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        // Before a server of ours starts on it.
        let found = names(&restored.datadir);
        assert!(!found.contains("mysqld.my") && !found.contains("component_keyring_file.cnf"), "{found:?}");
        nothing_in_the_clear(&restored.datadir, "planted-");
        assert_eq!(sums(&scenario, &restored.datadir), wanted, "{way}");
    }
    let stored = names(&scenario.store());
    assert!(!stored.iter().any(|name| name.contains("keyring") || name == "mysqld.my"), "{stored:?}");
    nothing_in_the_clear(&scenario.store().join("manifest.json"), keys.to_str().unwrap());

    // Without a word about keys nothing is begun.
    scenario.configure(&more);
    let refused = scenario.try_restore(&["--latest"]).exits(5);
    assert!(
        refused.stderr.contains("is encrypted (") && refused.stderr.contains("component_keyring_file"),
        "{refused}"
    );
    // The program of the source brings its keyring itself.
    scenario.configure_with("keyring_files: []", &format!("mysqld: {}", source.display()));
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(sums(&scenario, &restored.datadir), wanted);
    // Keys that are not there: the server says so, and nothing is called restored.
    scenario.configure_with("keyring_files: []", &more);
    let failed = scenario.try_restore(&["--latest"]).exits(6);
    assert!(failed.stderr.contains("the private server did not start"), "{failed}");
    // Of a component that was in use once, with a keyring of the same name.
    let (old, elsewhere) = (dir.path().join("component_keyring_encrypted_file.cnf"), dir.path().join("old"));
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("keyring"), "old").unwrap();
    fs::write(&old, format!(r#"{{"path": "{}", "password": "p"}}"#, elsewhere.join("keyring").display())).unwrap();
    let both = format!("keyring_files: [{}, {}, {}]", old.display(), manifest.display(), config.display());
    scenario.configure_with(&both, &more);
    keys_are_made_in_a_copy(&scenario, dir.path(), &keys);
    scenario.nothing_survives();
}

#[test]
fn real_encrypted_tables_need_their_keys() {
    if !require_servers() {
        return;
    }
    let Some(plugins) = encryption_plugins() else { return };
    let keys = tempfile::NamedTempFile::new().unwrap();
    let key = "a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a";
    fs::write(keys.path(), format!("1;{key}\n")).unwrap();
    give_keys(keys.path());
    let key_options = [
        format!("--plugin-dir={}", plugins.display()),
        "--plugin-load-add=file_key_management".to_owned(),
        format!("--file-key-management-filename={}", keys.path().display()),
    ];
    let options = Options::default().with("--innodb-encrypt-tables=ON").with("--innodb-encrypt-log=ON");
    let options = key_options.iter().fold(options.with("--aria-encrypt-tables=ON"), |all, option| all.with(option));
    let scenario = Scenario::with(options, "");
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(100)) ENGINE=InnoDB;
         CREATE TABLE shop.ar (a INT, b VARCHAR(100)) ENGINE=Aria; INSERT INTO shop.ar VALUES (1, 'in the clear in the log of Aria');
         INSERT INTO shop.t (b) VALUES ('planted-in-cipher-b')",
    );
    scenario.full();
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('planted-in-cipher-c')");
    scenario.incr();
    scenario.server.sql(
        "INSERT INTO shop.t (b) VALUES ('planted-in-cipher-d'); CREATE TABLE shop.late (a VARCHAR(100)) ENGINE=InnoDB;
         INSERT INTO shop.late VALUES ('planted-in-cipher-e')",
    );
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let list = fs::read_to_string(scenario.store().join("manifest.json")).unwrap();
    assert!(list.contains(r#""keyring":"file_key_management""#) && list.contains(r#""logs":["redo"]"#), "{list}");
    nothing_in_the_clear(&scenario.store(), key);

    for args in [&["--latest"][..], &["--no-pitr"]] {
        let refused = scenario.try_restore(args).exits(5);
        assert!(refused.stderr.contains("is encrypted (") && refused.stderr.contains("the redo log)"), "{refused}");
        assert!(refused.stderr.contains("its keys are kept by file_key_management"), "{refused}");
        assert!(refused.stderr.contains("--file-key-management-filename"), "{refused}");
    }
    check_says(&scenario, "a private server would not find the keys");
    let leaks = "options: [--plugin-load-add=file_key_management, --file-key-management-filekey=hunter2]";
    scenario.configure_server(leaks);
    let refused = scenario.try_restore(&["--latest"]).exits(3);
    assert!(refused.stderr.contains("FILE:/path") && !refused.stderr.contains("hunter2"), "{refused}");

    scenario.configure_server(&format!("options: ['{}']", key_options.join("', '")));
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        nothing_in_the_clear(&restored.datadir, "planted-");
        assert_eq!(sums(&scenario, &restored.datadir), wanted, "{way}");
    }
    scenario.restore(&["--no-pitr"]);
    scenario.nothing_survives();
}

/// A server that was given the secret of its key file itself: mariadb-backup writes that into the backup.
#[test]
fn real_encrypted_key_file_whose_secret_is_no_file() {
    if !require_servers() {
        return;
    }
    let Some(plugins) = encryption_plugins() else { return };
    let dir = TempDir::new().unwrap();
    let (plain, keys, secret) = (dir.path().join("plain"), dir.path().join("keys"), dir.path().join("secret"));
    fs::write(&plain, "1;a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n").unwrap();
    fs::write(&secret, "planted-file-key\n").unwrap();
    let sealed = std::process::Command::new("openssl")
        .args(["enc", "-aes-256-cbc", "-md", "sha1", "-pass", "pass:planted-file-key", "-in"])
        .arg(&plain)
        .arg("-out")
        .arg(&keys)
        .output()
        .expect("openssl, which ./dev setup installs");
    assert!(sealed.status.success(), "{sealed:?}");
    let options = |filekey: String| {
        Options::default()
            .with(format!("--plugin-dir={}", plugins.display()))
            .with("--plugin-load-add=file_key_management")
            .with(format!("--file-key-management-filename={}", keys.display()))
            .with(format!("--file-key-management-filekey={filekey}"))
            .with("--innodb-encrypt-tables=ON")
    };
    let scenario = Scenario::with(options("planted-file-key".to_owned()), "");
    let refused = scenario.dbbak(&["backup-full", "--exec"]).exits(5);
    assert!(refused.stderr.contains("file_key_management_filekey holds a secret itself"), "{refused}");
    assert!(!refused.stderr.contains("planted-file-key"), "{refused}");
    let scenario = Scenario::with(options(format!("FILE:{}", secret.display())), "");
    scenario.full();
    nothing_in_the_clear(&scenario.store(), "planted-file-key");
}
