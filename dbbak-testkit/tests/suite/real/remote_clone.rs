//! Fulls by a clone that a private server fetches over the network.

use std::time::Duration;

use dbbak_testkit::real::require_mysql;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{BACKUP_PASSWORD, Options};
use dbbak_testkit::workload::{Mix, Workload};

/// A server that listens on a port, and the arguments of a full that is fetched from there.
fn scenario() -> (Scenario, Vec<String>) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = Options::mysql()
        .with("--skip-networking=OFF")
        .with("--bind-address=127.0.0.1")
        .with(format!("--port={port}"))
        .with("--clone-donor-timeout-after-network-failure=0")
        .with("--plugin-load-add=mysql_clone.so");
    let scenario = Scenario::with(options, "");
    let full = ["backup-full", "--engine", "clone", "--clone-donor", &format!("127.0.0.1:{port}")];
    (scenario, full.map(str::to_owned).into())
}

fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn real_mysql_remote_clone_restores_and_replays() {
    if !require_mysql() {
        return;
    }
    let (scenario, full) = scenario();
    let mut workload = Workload::new(&scenario.server, "shop", 81, Mix { ddl: false, ..Mix::default() }).unwrap();
    workload.run(60).unwrap();
    let plan = scenario.dbbak(&texts(&full)).exits(0);
    assert!(plan.stdout.contains("fetch a clone from 127.0.0.1:") && !plan.stdout.contains(BACKUP_PASSWORD), "{plan}");
    let wanted = scenario.server.checksums("shop").unwrap();
    let ts = scenario.backup(&texts(&full));
    assert_eq!(scenario.listed(), [ts.as_str()]);
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    assert_eq!((&list["backups"][0]["engine"], &list["backups"][0]["pitr"]), (&"clone".into(), &"yes".into()));
    workload.run(40).unwrap();
    let last = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--no-pitr"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), last);
    // The password was given to a client, and lies nowhere.
    for path in dbbak_testkit::looking::files_below(&scenario.store()) {
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(BACKUP_PASSWORD.len()).any(|window| window == BACKUP_PASSWORD.as_bytes());
        assert!(!found, "{}", path.display());
    }
    scenario.nothing_survives();
}

#[test]
fn real_mysql_remote_clone_says_what_the_donor_refuses() {
    if !require_mysql() {
        return;
    }
    let (scenario, full) = scenario();
    scenario.server.sql("REVOKE BACKUP_ADMIN ON *.* FROM 'dbbak'@'localhost'");
    let refused = scenario.dbbak(&[&texts(&full)[..], &["--exec"]].concat()).exits(6);
    assert!(refused.stderr.contains("ERROR 3862") && refused.stderr.contains("BACKUP_ADMIN"), "{refused}");
    assert!(refused.stderr.contains("GRANT BACKUP_ADMIN ON *.*"), "{refused}");
    assert!(scenario.listed().is_empty());
    scenario.nothing_survives();
}

/// The donor dies, then dbbak does: nothing is listed, nothing runs on, and the next full is a good one.
#[test]
fn real_mysql_remote_clone_that_breaks_off_leaves_nothing() {
    if !require_mysql() {
        return;
    }
    let (mut scenario, full) = scenario();
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB;
         INSERT INTO shop.large (b) VALUES (REPEAT('x', 30000000)), (REPEAT('y', 30000000));",
    );
    scenario.configure_server(
        "options: [--loose-clone-max-data-bandwidth=10, --loose-clone-autotune-concurrency=OFF, \
         --loose-clone-max-concurrency=1]",
    );
    let run = |scenario: &Scenario| {
        let mut child = scenario.command(&[&texts(&full)[..], &["--exec"]].concat()).spawn().unwrap();
        let scratch = scenario.root().join("scratch");
        // The copy grows.
        while dbbak_testkit::looking::files_below(&scratch).iter().all(|path| !path.ends_with("clone/mysql.ibd")) {
            assert!(child.try_wait().unwrap().is_none(), "dbbak ended before it cloned");
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(500));
        child
    };
    let child = run(&scenario);
    scenario.server.kill9();
    let ended = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("the clone failed") && stderr.contains("ERROR 3862"), "{stderr}");
    assert!(scenario.listed().is_empty());
    let scratch = scenario.root().join("scratch");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
    scenario.nothing_survives();

    scenario.server.restart().unwrap();
    scenario.next_second();
    let mut child = run(&scenario);
    child.kill().unwrap();
    child.wait().unwrap();
    scenario.nothing_survives();
    assert!(scenario.listed().is_empty());

    scenario.configure("");
    scenario.next_second();
    let ts = scenario.backup(&texts(&full));
    assert_eq!(scenario.listed(), [ts]);
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0);
}
