//! Two of dbbak at once on one store.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    time::{Duration, Instant},
};

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

#[test]
fn real_ship_works_beside_a_full_and_a_second_full_waits_its_turn() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 31);
    workload.run(40).unwrap();
    let go = scenario.hold_backups();
    let mut full = scenario.command(&["backup-full", "--exec"]).spawn().unwrap();
    let mut stderr = BufReader::new(full.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("] take the full backup") {
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let second = scenario.dbbak(&["backup-full", "--exec"]).exits(8);
    let pid = full.id().to_string();
    assert!(second.stderr.contains(&format!("process {pid} on ")), "pid {pid}: {second}");
    assert!(second.stderr.contains("backup-full --exec"), "{second}");
    scenario.dbbak(&["backup-incr", "--exec"]).exits(8);
    // That the search for survivors finds what is there is what the tests of kills rely on. The server is asked before the
    // tool is started.
    let runs = || scenario.strangers().iter().any(|line| line.contains("mariadb-backup"));
    let until = Instant::now() + Duration::from_secs(60);
    while !runs() {
        assert!(Instant::now() < until, "{:?}", scenario.strangers());
        std::thread::sleep(Duration::from_millis(50));
    }
    workload.run(20).unwrap();
    let shipped = scenario.ship();
    assert!(!shipped.stdout.starts_with("0 binlogs"), "{shipped}");
    assert!(scenario.listed().is_empty());
    assert!(full.try_wait().unwrap().is_none());
    std::fs::write(go, "").unwrap();
    stderr.read_to_string(&mut said).unwrap();
    assert!(full.wait().unwrap().success(), "{said}");

    workload.run(20).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let time = scenario.next_second();
    scenario.ship();
    let restored = scenario.restore_at(&time);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
    // Nobody holds anything any more.
    scenario.ship();
}
