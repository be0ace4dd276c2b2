//! Binlogs that real servers send: the same bytes as their files hold, encrypted ones in the clear.

use dbbak_core::store::Digest;
use dbbak_testkit::{
    cli::Ran,
    real::{encryption_plugins, find_program, require_mysql, require_servers},
    scenario::Scenario,
    server::Options,
};
use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

fn grant(scenario: &Scenario) {
    scenario.server.sql("GRANT REPLICATION SLAVE ON *.* TO 'dbbak'@'localhost'");
}

fn fetch(scenario: &Scenario) -> Ran {
    scenario.dbbak(&["ship-binlogs", "--from-server", "--flush", "--exec"])
}

/// The entries of the binlog index.
fn archived(scenario: &Scenario) -> Vec<serde_json::Value> {
    let index = fs::read(scenario.store().join("binlogs/index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    index["files"].as_array().unwrap().clone()
}

/// Compares what is archived with the server's files.
fn holds_the_servers_files(scenario: &Scenario) {
    let entries = archived(scenario);
    assert!(entries.len() > 1, "{entries:#?}");
    for entry in entries {
        let name = entry["name"].as_str().unwrap();
        let bytes = fs::read(scenario.server.binlog_dir().join(name)).unwrap();
        assert_eq!(entry["digest"], serde_json::to_value(Digest::of(&bytes)).unwrap(), "{name}");
        assert_eq!(entry["damaged"], serde_json::Value::Null, "{name}");
    }
}

fn nothing_is_left(scenario: &Scenario) {
    let left: Vec<_> = fs::read_dir(scenario.root().join("scratch")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn real_from_server_archives_the_bytes_that_lie_there() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 51);
    workload.run(30).unwrap();
    scenario.full();
    scenario.server.sql("FLUSH BINARY LOGS");
    scenario.server.sql("REVOKE REPLICATION SLAVE ON *.* FROM 'dbbak'@'localhost'");
    // Without the grant nothing comes, and that is said.
    scenario.dbbak(&["ship-binlogs", "--from-server", "--exec"]).exits(6).says("GRANT REPLICATION SLAVE");
    grant(&scenario);
    fetch(&scenario).exits(0);
    scenario.server.sql("SET GLOBAL binlog_checksum = NONE");
    workload.run(30).unwrap();
    scenario.server.sql("SET GLOBAL binlog_checksum = CRC32");
    workload.run(30).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap().checksums;
    scenario.next_second();
    fetch(&scenario).exits(0);
    nothing_is_left(&scenario);
    holds_the_servers_files(&scenario);
    // Read on the spot they are the same files.
    let again = scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
    assert!(again.stdout.contains("0 binlogs archived"), "{again}");
    let again = scenario.dbbak(&["ship-binlogs", "--from-server", "--exec"]).exits(0);
    assert!(again.stdout.contains("0 binlogs archived"), "{again}");
    let restored = scenario.restore(&[]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);

    // After a reset the names come again, and the history before lost its end.
    scenario.server.sql("RESET MASTER");
    workload.run(20).unwrap();
    fetch(&scenario).exits(9);
    let timelines: std::collections::BTreeSet<String> =
        archived(&scenario).iter().map(|entry| entry["timeline"].to_string()).collect();
    assert_eq!(timelines.len(), 2, "{timelines:?}");
}

#[test]
fn real_from_server_brings_encrypted_binlogs_in_the_clear() {
    if !require_servers() {
        return;
    }
    let Some(plugins) = encryption_plugins() else { return };
    let keys = tempfile::NamedTempFile::new().unwrap();
    fs::write(keys.path(), "1;a7addd9adea9978fda19f21e6be987880e68ac92632ca052e5bb42b1a506939a\n").unwrap();
    let options = Options::default()
        .with(format!("--plugin-dir={}", plugins.display()))
        .with("--plugin-load-add=file_key_management")
        .with(format!("--file-key-management-filename={}", keys.path().display()))
        .with("--encrypt-binlog=ON");
    let scenario = Scenario::with(options, "");
    grant(&scenario);
    let mut workload = scenario.workload("shop", 52);
    workload.run(30).unwrap();
    // Read on the spot it is of no use, and what helps is said.
    scenario.server.sql("FLUSH BINARY LOGS");
    scenario
        .dbbak(&["ship-binlogs", "--exec"])
        .exits(9)
        .says("can be read by its server alone: a binlog with encrypted events (encrypt_binlog)")
        .says("ship-binlogs --from-server");
    scenario.full();
    workload.run(40).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap().checksums;
    let time = scenario.next_second();
    workload.run(20).unwrap();
    scenario.server.sql("SET GLOBAL binlog_checksum = NONE");
    workload.run(20).unwrap();
    let last = workload.snapshot(&scenario.server).unwrap().checksums;
    scenario.next_second();
    fetch(&scenario).exits(0);
    nothing_is_left(&scenario);
    let clear = archived(&scenario).into_iter().filter(|entry| entry["damaged"].is_null());
    let clear: Vec<String> = clear.map(|entry| entry["name"].as_str().unwrap().to_owned()).collect();
    let mut closed = fs::read_to_string(scenario.server.binlog_dir().join("mysql-bin.index")).unwrap();
    closed.truncate(closed.trim_end().rfind('\n').unwrap());
    let closed: Vec<&str> = closed.lines().map(|line| line.rsplit('/').next().unwrap()).collect();
    assert_eq!(clear, closed);
    // A pipe is the only way for binlogs that say that they are encrypted.
    for (args, wanted) in [(&["--time", &time, "--exact"][..], wanted), (&[], last)] {
        if let Some(restored) = scenario.pipe_unless_old(args) {
            assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
        }
    }
}

#[test]
fn real_from_server_survives_a_kill() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    grant(&scenario);
    let mut workload = scenario.workload("shop", 53);
    workload.run(30).unwrap();
    scenario.server.sql("FLUSH BINARY LOGS");
    workload.run(30).unwrap();
    // The reader of the second file waits, with a part of its copy written.
    let (program, go) = (scenario.root().join("mariadb-binlog"), scenario.root().join("go"));
    let (real, dir) = (find_program("mariadb-binlog").unwrap(), scenario.root().join("scratch"));
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *--raw*000002) for d in '{}'/dbbak-fetch-*; do echo part > \"$d/mysql-bin.000002\"; done;\n\
         while ! [ -e '{}' ]; do sleep 0.05; done;; esac\nexec '{}' \"$@\"\n",
        dir.display(),
        go.display(),
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("mysqlbinlog: {}", program.display()));

    let mut child = scenario.command(&["ship-binlogs", "--from-server", "--flush", "--exec"]).spawn().unwrap();
    let left = || fs::read_dir(&dir).unwrap().flatten().any(|entry| entry.path().join("mysql-bin.000002").exists());
    for _ in 0..600 {
        if left() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(left(), "the second file was never fetched");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(left());
    fs::write(&go, "").unwrap();
    // The lock of the dead run is taken over once its heartbeat has been silent for long enough.
    let mut ran = fetch(&scenario);
    for _ in 0..20 {
        if ran.code != Some(8) {
            break;
        }
        std::thread::sleep(Duration::from_secs(2));
        ran = fetch(&scenario);
    }
    ran.exits(0).says("was left by a run that died");
    nothing_is_left(&scenario);
    holds_the_servers_files(&scenario);
}

#[test]
fn real_mysql_from_server_archives_the_bytes_that_lie_there() {
    if !require_mysql() {
        return;
    }
    let scenario = Scenario::with(Options::mysql(), "");
    grant(&scenario);
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY, b TEXT)");
    for round in 0..4 {
        scenario.server.sql(&format!("INSERT INTO shop.t VALUES ({round}, REPEAT('x', 5000))"));
        let checksum = if round % 2 == 0 { "NONE" } else { "CRC32" };
        scenario.server.sql(&format!("SET GLOBAL binlog_checksum = {checksum}; FLUSH BINARY LOGS"));
    }
    fetch(&scenario).exits(0);
    nothing_is_left(&scenario);
    holds_the_servers_files(&scenario);
    let again = scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
    assert!(again.stdout.contains("0 binlogs archived"), "{again}");
}
