//! A store whose file system is full: a clear message, nothing listed, and the next run works once there is room.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::Options;

/// A small file system of its own, unmounted at the end.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Whether one can be mounted here; says so where it cannot.
    pub(crate) fn can_be_mounted(test: &str) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let can = as_root("mount", &["-t", "tmpfs", "tmpfs"], dir.path());
        if can {
            drop(SmallDisk(dir.path().to_owned()));
        } else {
            // Past the test harness, which swallows what a passing test prints with the macros.
            let _ = writeln!(
                std::io::stderr(),
                "NOT RUN, though counted as passed: {test}, for the lack of `mount`, or of the right to mount a tmpfs (root's, or that of \
                 sudo without a password)"
            );
        }
        can
    }

    /// Mounted by root, or by whoever is allowed to `sudo` without a password.
    pub(crate) fn mount(at: &Path, megabytes: u32) -> Self {
        let options = format!("size={megabytes}m,mode=0777");
        let mounted = as_root("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], at);
        assert!(mounted, "this test mounts a tmpfs, for which it must be root or have sudo without a password");
        SmallDisk(at.to_owned())
    }
}

fn as_root(program: &str, arguments: &[&str], at: &Path) -> bool {
    let ran =
        |command: &mut Command| command.args(arguments).arg(at).output().is_ok_and(|output| output.status.success());
    ran(&mut Command::new(program)) || ran(Command::new("sudo").args(["-n", program]))
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root("umount", &["-l"], &self.0);
    }
}

#[test]
fn real_full_disk_fails_clearly_and_the_next_run_works() {
    if !require_servers() || !SmallDisk::can_be_mounted("real_full_disk_fails_clearly_and_the_next_run_works") {
        return;
    }
    let mut disk = None;
    let scenario = Scenario::with_store(Options::default(), "prepared: none", |store| {
        std::fs::create_dir(store).unwrap();
        disk = Some(SmallDisk::mount(store, 80));
    });
    // Declared after the scenario, and so unmounted before its directory is removed, also when the test fails.
    let _disk = disk;
    let mut workload = scenario.workload("shop", 71);
    workload.run(40).unwrap();
    let filler = scenario.store().join("tmp/filler");
    let fill = |leave: u64| {
        let free = rustix::fs::statvfs(scenario.store()).unwrap();
        let bytes = (free.f_bavail * free.f_frsize).saturating_sub(leave);
        std::fs::File::create(&filler).unwrap().write_all(&vec![0; usize::try_from(bytes).unwrap()]).unwrap();
    };
    let failed = |args: &[&str]| {
        let ran = scenario.dbbak(args);
        assert!(matches!(ran.code, Some(4 | 6)), "{ran}");
        let text = ran.stderr.to_lowercase();
        assert!(text.contains("space"), "{ran}");
        let named = format!("no space was left on the file system at {}: ", scenario.store().display());
        assert!(ran.stderr.contains(&named), "{ran}");
        scenario.nothing_survives();
        scenario.server_is_free();
    };
    for leave in [8 << 20, 200 << 10] {
        fill(leave);
        failed(&["backup-full", "--exec"]);
        assert!(scenario.listed().is_empty());
        std::fs::remove_file(&filler).unwrap();
    }
    let full = scenario.full();
    workload.run(300).unwrap();
    for leave in [24 << 10, 0] {
        scenario.server.sql("FLUSH BINARY LOGS");
        fill(leave);
        failed(&["ship-binlogs", "--exec"]);
        failed(&["backup-incr", "--exec"]);
        assert_eq!(scenario.listed(), [full.as_str()]);
        std::fs::remove_file(&filler).unwrap();
    }
    // What is full is told to programs too.
    fill(24 << 10);
    let told = scenario.dbbak(&["--json", "backup-incr", "--exec"]).json();
    assert_eq!(told["space"]["mounted_at"].as_str(), scenario.store().to_str(), "{told}");
    assert!(told["space"]["total"].as_u64() == Some(80 << 20) && told["space"]["free"].is_u64(), "{told}");
    std::fs::remove_file(&filler).unwrap();
    // A full store can be pruned.
    let orphan = scenario.store().join("full_2026-01-01T00-00Z");
    std::fs::create_dir(&orphan).unwrap();
    std::fs::write(orphan.join("left"), [7; 100_000]).unwrap();
    fill(0);
    scenario.dbbak(&["prune", "--orphans", "--older-than", "0", "--exec"]).exits(0);
    assert!(!orphan.exists());
    std::fs::remove_file(&filler).unwrap();
    scenario.incr();
    workload.run(20).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    scenario.next_second();
    scenario.ship();
    let restored = scenario.restore(&[]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
}
