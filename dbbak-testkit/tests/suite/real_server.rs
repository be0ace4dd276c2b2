//! The test kit's own servers: they start, crash, restart, and leave nothing behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::server::{MariadbServer, Options, Server};
use dbbak_testkit::workload::{Mix, Workload};

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[test]
fn real_server_survives_a_crash_with_what_was_committed() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut server = MariadbServer::start(dir.path(), Options::default()).unwrap();
    let pid = server.pid().unwrap();
    assert_eq!(std::fs::read_to_string(server.pid_file()).unwrap().trim(), pid.to_string());
    assert_eq!(std::fs::metadata(server.backup_option_file()).unwrap().permissions().mode() & 0o777, 0o600);

    let mut workload = Workload::new(&server, "shop", 7, Mix::default()).unwrap();
    workload.run(200).unwrap();
    let before = workload.snapshot(&server).unwrap();
    assert!(before.checksums["items"].rows > 50, "{before:?}");
    assert!(server.binlog_dir().join(&before.binlog.0).is_file());

    server.kill9();
    assert!(!is_alive(pid));
    server.restart().unwrap();
    assert_eq!(server.checksums("shop").unwrap(), before.checksums);
    server.stop().unwrap();
    assert!(server.error_log_tail(3).contains("Shutdown complete"), "{}", server.error_log_tail(3));
}

#[test]
fn real_workload_runs_beside_and_is_the_same_for_one_seed() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = MariadbServer::start(dir.path(), Options::default()).unwrap();
    let running = Workload::new(&server, "shop", 1, Mix::default()).unwrap().spawn();
    while running.steps() < 100 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let one = running.snapshot(&server).unwrap();
    let mut stopped = running.stop().unwrap();
    let two = stopped.snapshot(&server).unwrap();
    assert!(two.step >= one.step);
    stopped.run(20).unwrap();
    assert_ne!(stopped.snapshot(&server).unwrap().checksums, two.checksums);

    // The tables hold times of day, so two runs of one seed differ in their sums, but never in their rows.
    let sums: Vec<_> = ["a", "b"]
        .iter()
        .map(|database| {
            let mut workload = Workload::new(&server, database, 42, Mix::default()).unwrap();
            workload.run(150).unwrap();
            let sums = workload.snapshot(&server).unwrap().checksums;
            sums.into_iter().map(|(table, sum)| (table, sum.rows)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn real_server_ends_when_a_test_panics() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let path = dir.path().to_owned();
    let thread = std::thread::spawn(move || {
        let server = MariadbServer::start(&path, Options::default()).unwrap();
        sender.send(server.pid().unwrap()).unwrap();
        panic!("a failing test");
    });
    let pid = receiver.recv().unwrap();
    assert!(thread.join().is_err());
    assert!(!is_alive(pid));
}

#[test]
fn real_server_outlives_the_thread_that_started_it() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let server = std::thread::spawn(move || MariadbServer::start(&path, Options::default()).unwrap()).join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert_eq!(server.value("SELECT 1"), "1");
    assert!(server.try_sql("SELECT nonsense").unwrap_err().to_string().contains("Unknown column"));
}

/// Not a test by itself: the process that the next test kills.
#[test]
fn helper_server_until_killed() {
    if let Some(dir) = std::env::var_os("DBBAK_TEST_HELPER_DIR") {
        let _server = MariadbServer::start(Path::new(&dir), Options::default()).unwrap();
        std::fs::write(Path::new(&dir).join("up"), "").unwrap();
        std::thread::sleep(std::time::Duration::from_secs(60));
    }
}

#[test]
fn real_server_ends_when_the_test_process_is_killed() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut helper = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "real_server::helper_server_until_killed"])
        .env("DBBAK_TEST_HELPER_DIR", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let tick = std::time::Duration::from_millis(10);
    while !dir.path().join("up").exists() {
        assert_eq!(helper.try_wait().unwrap(), None, "the helper ended");
        std::thread::sleep(tick);
    }
    let pid: u32 = std::fs::read_to_string(dir.path().join("server.pid")).unwrap().trim().parse().unwrap();
    assert!(is_alive(pid));
    helper.kill().unwrap();
    helper.wait().unwrap();
    let ended = (0..500).any(|_| {
        std::thread::sleep(tick);
        !is_alive(pid)
    });
    assert!(ended, "the server {pid} outlived its test");
}

#[test]
fn real_mysql_server_survives_a_crash_with_what_was_committed() {
    if !require_mysql() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(&dir.path().join("one"), Options::mysql()).unwrap();
    let other = Server::start(&dir.path().join("two"), Options::mysql()).unwrap();
    assert_ne!(server.value("SELECT @@server_uuid"), other.value("SELECT @@server_uuid"));
    let version = server.value("SELECT VERSION()");
    assert!(["8.", "9."].iter().any(|series| version.starts_with(series)), "{version}");
    server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); INSERT INTO shop.t VALUES (1), (2)");
    let mut session = server.client().unwrap();
    session.run("BEGIN; INSERT INTO shop.t VALUES (3)").unwrap();
    let before = server.value("SELECT @@global.gtid_executed");
    assert!(before.ends_with(":1-3"), "{before}");
    server.kill9();
    server.restart().unwrap();
    assert_eq!(server.sql("SELECT a FROM shop.t ORDER BY a"), [["1"], ["2"]]);
    assert_eq!(server.value("SELECT @@global.gtid_executed"), before);
    server.stop().unwrap();
}
