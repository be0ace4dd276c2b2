//! One flipped byte in any stored file: nothing is replayed, and the message names the file.

use std::fs;
use std::path::{Path, PathBuf};

use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

/// Flips a bit of one byte, and says how to put it back.
fn flip(path: &Path, at: usize) -> Vec<u8> {
    let original = fs::read(path).unwrap();
    let mut damaged = original.clone();
    damaged[at] ^= 0x04;
    fs::write(path, damaged).unwrap();
    original
}

/// Restores from a store in which one file is damaged, and then is not.
#[track_caller]
fn is_refused(scenario: &Scenario, path: &Path, at: usize, args: &[&str]) {
    let original = flip(path, at);
    let ran = scenario.try_restore(args);
    fs::write(path, original).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(matches!(ran.code, Some(4 | 7)), "{name} at {at}: {ran}");
    assert!(ran.stderr.contains(name), "the message does not name {name}: {ran}");
    assert!(!ran.stderr.contains("] replay"), "replayed before {name} was refused: {ran}");
}

/// Restores from a store in which one file of a prepared tree is damaged: `raw` is whole, and holds the same.
#[track_caller]
fn goes_on_from_raw(scenario: &Scenario, path: &Path, at: usize, args: &[&str]) -> PathBuf {
    let original = flip(path, at);
    let ran = scenario.try_restore(args).exits(0);
    fs::write(path, original).unwrap();
    assert!(ran.stderr.contains("one is damaged: raw is taken instead"), "{ran}");
    let report: dbbak_core::plan::RestoreReport = serde_json::from_str(&ran.stdout).unwrap();
    report.datadir
}

fn below(scenario: &Scenario, stamp: &str, tree: &str) -> PathBuf {
    let dirs = fs::read_dir(scenario.store()).unwrap().map(|entry| entry.unwrap().path());
    let starts = [format!("full_{stamp}"), format!("incr_{stamp}_from_")];
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name == starts[0] || name.starts_with(&starts[1])
    };
    dirs.into_iter().find(is_it).unwrap().join(tree)
}

#[test]
fn real_flipped_byte_is_refused_wherever_it_lies() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 41);
    workload.run(40).unwrap();
    let full = scenario.full();
    workload.run(40).unwrap();
    let incr = scenario.incr();
    scenario.configure("prepared: none");
    let unprepared = scenario.full();
    workload.run(40).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let time = scenario.next_second();
    scenario.ship();
    let before = scenario.store_digests();

    for (stamp, tree, chosen) in
        [(&full, "prepared-final", &full), (&incr, "raw", &incr), (&unprepared, "raw", &unprepared)]
    {
        let tree = below(&scenario, stamp, tree);
        let mut files = files_below(&tree);
        files.retain(|path| fs::metadata(path).unwrap().len() > 0);
        let largest = files.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap().clone();
        // Named for the tool that wrote it from 11 on.
        let small = ["xtrabackup_checkpoints", "mariadb_backup_checkpoints"];
        let small = files.iter().find(|path| small.iter().any(|name| path.ends_with(name))).unwrap().clone();
        for path in [largest, small] {
            let middle = usize::try_from(fs::metadata(&path).unwrap().len() / 2).unwrap();
            let args = ["--backup", chosen, "--time", &time, "--exact"];
            if tree.ends_with("prepared-final") {
                let datadir = goes_on_from_raw(&scenario, &path, middle, &args);
                assert_eq!(scenario.checksums_of(&datadir, "shop"), wanted.checksums);
                continue;
            }
            is_refused(&scenario, &path, middle, &args);
            is_refused(&scenario, &path, middle, &args[..2]);
        }
    }
    let latest = ["--time", &time, "--exact"];
    let binlogs = files_below(&scenario.store().join("binlogs"));
    let binlog = binlogs.iter().rfind(|path| path.extension().is_some_and(|end| end == "gz")).unwrap();
    let length = usize::try_from(fs::metadata(binlog).unwrap().len()).unwrap();
    for at in [0, 20, length / 2, length - 1] {
        is_refused(&scenario, binlog, at, &latest);
    }
    is_refused(&scenario, &below(&scenario, &unprepared, "files.json"), 0, &latest);
    // What describes the backups otherwise stands elsewhere too: a restore goes on with that, and says so.
    for path in [
        below(&scenario, &unprepared, "meta.json"),
        scenario.store().join("binlogs/index.json"),
        scenario.store().join("manifest.json"),
        scenario.store().join("dbbak.json"),
    ] {
        let original = flip(&path, 0);
        let ran = scenario.try_restore(&latest);
        fs::write(&path, original).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(ran.stderr.contains(name), "the message does not name {name}: {ran}");
        if matches!(ran.code, Some(4 | 7)) {
            continue;
        }
        assert!(matches!(ran.code, Some(0 | 9)), "{name}: {ran}");
        let report: dbbak_core::plan::RestoreReport = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(scenario.checksums_of(&report.datadir, "shop"), wanted.checksums, "{name}: {ran}");
    }
    assert_eq!(scenario.store_digests(), before);
    let restored = scenario.restore(&latest);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
    scenario.nothing_survives();
}

/// A flipped bit inside a JSON file may leave a file that can be read: then it is refused, or it changes nothing about the
/// rows.
#[test]
fn real_flipped_byte_in_a_description_never_restores_other_rows() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::with(Default::default(), "prepared: none");
    let mut workload = scenario.workload("shop", 42);
    workload.run(40).unwrap();
    let full = scenario.full();
    workload.run(40).unwrap();
    let incr = scenario.incr();
    workload.run(40).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let time = scenario.next_second();
    workload.run(10).unwrap();
    scenario.ship();
    let step = if std::env::var_os("DBBAK_SOAK").is_some() { 7 } else { 97 };
    let mut landed = 0;
    for path in [
        below(&scenario, &full, "meta.json"),
        below(&scenario, &incr, "meta.json"),
        below(&scenario, &incr, "files.json"),
        scenario.store().join("binlogs/index.json"),
        scenario.store().join("manifest.json"),
    ] {
        let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap().min(20_000);
        let step = step.max(length / 60);
        for at in (11..length).step_by(step) {
            let original = flip(&path, at);
            // A look at the plan is enough to see most refused; what is planned is carried out only now and then.
            let planned = scenario.dbbak(&["restore", "--time", &time, "--exact"]);
            if planned.code == Some(0) && at % 5 == 0 {
                let ran = scenario.try_restore(&["--time", &time, "--exact"]);
                if let Some(0) = ran.code {
                    landed += 1;
                    let report: dbbak_core::plan::RestoreReport = serde_json::from_str(&ran.stdout).unwrap();
                    let rows = scenario.checksums_of(&report.datadir, "shop");
                    assert_eq!(rows, wanted.checksums, "{} at {at}: {ran}", path.display());
                } else {
                    assert!(matches!(ran.code, Some(4..=7)), "{} at {at}: {ran}", path.display());
                }
            } else {
                assert!(matches!(planned.code, Some(0 | 4..=7)), "{} at {at}: {planned}", path.display());
            }
            fs::write(&path, original).unwrap();
        }
    }
    println!("{landed} restores went on in spite of a flipped bit, all with the right rows");
}
