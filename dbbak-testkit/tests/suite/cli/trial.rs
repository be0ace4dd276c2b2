//! A new incremental that is applied on trial when it is taken: what that shows is recorded, and told by every command.

use super::{Bench, Series, Spoken, backup, run, with_store};
use dbbak_testkit::shim::{Done, Effect, Scenario, ShimTool};
use serde_json::Value;

const SERIES: [Series; 3] = [Series::Xtrabackup80, Series::Xtrabackup84, Series::Mariadb1011];

/// A store with a full, and a configuration that tries incrementals.
pub(super) fn with_full(series: Series, prepared: &str) -> (Bench, Scenario) {
    let (bench, scenario) = with_store(series);
    bench.configure(&format!("try_incrementals: true\nprepared: {prepared}\n")).unwrap();
    backup(&bench, &["backup-full", "--exec"]);
    (bench, scenario)
}

/// Lets the next call of `--prepare` but `later` go wrong.
pub(super) fn fail_prepare((bench, scenario): &(Bench, Scenario), later: usize, effect: Effect) {
    let calls = bench.shims.calls().unwrap();
    let before = calls.iter().filter(|call| call.args.iter().any(|arg| arg == "--prepare")).count();
    bench.play(&scenario.clone().fail(ShimTool::Backup, "--prepare", before + 1 + later, effect)).unwrap();
}

/// Lets the next apply go wrong, and the one that tries the same once more: behind the prepare of the raw full, on a fresh copy.
pub(super) fn fail_twice((bench, scenario): &(Bench, Scenario), first: Effect, second: Effect) {
    let calls = bench.shims.calls().unwrap();
    let before = calls.iter().filter(|call| call.args.iter().any(|arg| arg == "--prepare")).count();
    let scenario = scenario.clone().fail(ShimTool::Backup, "--prepare", before + 1, first);
    bench.play(&scenario.fail(ShimTool::Backup, "--prepare", before + 3, second)).unwrap();
}

fn json(spoken: &Spoken) -> Value {
    serde_json::from_str(&spoken.stdout).unwrap_or_else(|_| panic!("{spoken}"))
}

/// A link that the tool refused to apply, as mariadb-backup 10.11.19 says it after a storm of DDL.
pub(super) fn refusal() -> Effect {
    let stderr = "[00] FATAL ERROR: Can't rename ./shop/ex#.ibd.meta to ./shop/ex.ibd.meta errno 2".to_owned();
    Effect::Exit { code: 1, stderr, done: Done::Half }
}

fn is_marked(bench: &Bench, id: &str) {
    let listed = json(&run(bench, &["list", "--json"]));
    let entry = listed["backups"].as_array().unwrap().iter().find(|entry| entry["backup"] == id).unwrap();
    assert!(entry["unusable"].as_str().unwrap().contains("a trial could not apply it"), "{entry}");
    assert!(entry["unusable"].as_str().unwrap().contains("rename ./shop/ex#.ibd.meta"), "{entry}");
    assert_eq!(entry["whole"], false);
    let timeline = json(&run(bench, &["timeline", "--json"]));
    let marks = timeline["backups"].as_array().unwrap();
    assert!(marks.iter().any(|mark| mark["broken"].as_str().is_some_and(|text| text.contains("a trial could not"))));
    let text = run(bench, &["timeline"]).stdout;
    assert!(text.contains("Of no use"), "{text}");
    let checked = json(&run(bench, &["check", "--json"]));
    let found = checked["findings"].as_array().unwrap().iter().any(|found| {
        found["facts"]["finding"] == "backup_unusable"
            && found["facts"]["backup"] == id
            && found["severity"] == "problem"
    });
    assert!(found, "{checked}");
}

#[test]
fn an_incremental_that_applies_leaves_nothing_of_its_trial() {
    for series in SERIES {
        for (prepared, links) in [("both", 2), ("none", 1)] {
            let (bench, _) = with_full(series, prepared);
            for _ in 0..links {
                let spoken = backup(&bench, &["backup-incr", "--exec"]);
                assert!(spoken.stderr.contains("try to apply incremental"), "{spoken}");
            }
            assert_eq!(bench.names_in("scratch"), [""; 0]);
            let listed = json(&run(&bench, &["list", "--json"]));
            assert!(listed["backups"].as_array().unwrap().iter().all(|entry| entry["whole"] == true), "{listed}");
        }
    }
}

#[test]
fn an_incremental_that_cannot_be_applied_is_marked_when_it_is_taken() {
    for series in SERIES {
        let it = with_full(series, "both");
        let bench = &it.0;
        fail_twice(&it, refusal(), refusal());
        let spoken = run(bench, &["backup-incr", "--json", "--exec"]);
        assert_eq!(spoken.code(), Some(9), "{spoken}");
        let said = json(&spoken);
        let id = said["backup"].as_str().unwrap();
        assert_eq!(said["unusable"][0]["backup"], id);
        assert_eq!(said["unusable"][0]["marked"], true);
        assert!(said["incomplete"][0].as_str().unwrap().contains("the next backup is a full"), "{said}");
        assert_eq!(bench.names_in("scratch"), [""; 0]);
        is_marked(bench, id);

        if series == Series::Mariadb1011 {
            // A manifest from before the mark: the backup's own facts are later.
            std::fs::copy(bench.path("store/manifest.json.prev"), bench.path("store/manifest.json")).unwrap();
            assert_eq!(run(bench, &["reindex", "--exec"]).code(), Some(0));
            is_marked(bench, id);
        }
        std::thread::sleep(std::time::Duration::from_millis(1010));
        let next = backup(bench, &["backup-incr", "--json", "--exec"]);
        assert!(json(&next)["backup"].as_str().unwrap().starts_with("full_"), "{next}");
        // A newer backup is whole: what is marked is told, and is no problem any more.
        let checked = json(&run(bench, &["check", "--json"]));
        let found =
            checked["findings"].as_array().unwrap().iter().find(|found| found["facts"]["finding"] == "backup_unusable");
        assert_eq!(found.unwrap()["severity"], "warning");
    }
}

/// What a restore would meet first is tried first: an older link that does not apply takes the new one with it.
#[test]
fn an_older_link_that_does_not_apply_is_the_one_that_is_marked() {
    let it = with_full(Series::Mariadb1011, "both");
    let bench = &it.0;
    bench.configure("prepared: both\n").unwrap();
    let first = backup(bench, &["backup-incr", "--json", "--exec"]);
    bench.configure("try_incrementals: true\n").unwrap();
    fail_twice(&it, refusal(), refusal());
    let spoken = run(bench, &["backup-incr", "--json", "--exec"]);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    let (older, said) = (json(&first)["backup"].clone(), json(&spoken));
    assert_eq!(said["unusable"][0]["backup"], older);
    assert!(said["incomplete"][0].as_str().unwrap().contains(&format!("nor {}", said["backup"].as_str().unwrap())));
    is_marked(bench, older.as_str().unwrap());
}

fn is_unmarked(bench: &Bench) {
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    let listed = json(&run(bench, &["list", "--json"]));
    assert!(listed["backups"].as_array().unwrap().iter().all(|entry| entry["whole"] == true), "{listed}");
}

/// One failure is no proof, whatever was said: what the second try shows counts.
#[test]
fn a_link_is_marked_only_where_it_fails_twice_alike() {
    let other = Effect::Exit { code: 1, stderr: "[00] FATAL ERROR: something else".into(), done: Done::Half };
    for series in SERIES {
        let it = with_full(series, "both");
        let bench = &it.0;
        fail_prepare(&it, 0, refusal());
        let spoken = run(bench, &["backup-incr", "--json", "--exec"]);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
        let said = json(&spoken);
        assert!(said["warnings"].to_string().contains("a second one on fresh copies applied it"), "{said}");
        assert_eq!(said["unusable"], serde_json::json!([]));
        is_unmarked(bench);

        let it = with_full(series, "both");
        fail_twice(&it, refusal(), other.clone());
        let spoken = run(&it.0, &["backup-incr", "--json", "--exec"]);
        assert_eq!(spoken.code(), Some(9), "{spoken}");
        let said = json(&spoken);
        assert!(said["incomplete"][0].as_str().unwrap().contains("in another way the second time"), "{said}");
        assert_eq!(said["unusable"], serde_json::json!([]));
        is_unmarked(&it.0);
    }
}

/// A tool behind which somebody takes a part of each copy away: it fails twice alike, and the link is good.
#[test]
fn a_copy_of_which_a_part_was_taken_away_marks_nothing() {
    for series in SERIES {
        for what in
            ["$target/shop/orders.ibd", "$incremental/shop/orders.ibd.meta", "$incremental/shop/orders.ibd.delta"]
        {
            let it = with_full(series, "both");
            let bench = &it.0;
            let (tool, program) = (bench.shims.backup.clone(), bench.path("cleaner"));
            let script = format!(
                "#!/bin/sh\ncase \"$*\" in *--incremental-dir=*)\n\
                 for arg; do case $arg in --target-dir=*) target=${{arg#*=}};; --incremental-dir=*) incremental=${{arg#*=}};; esac; done\n\
                 /bin/rm -f \"{what}\"\necho \"[00] FATAL ERROR: Can't rename ./shop/ex#.ibd.meta\" >&2; exit 1;; esac\n\
                 exec '{}' \"$@\"\n",
                tool.display()
            );
            std::fs::write(&program, script).unwrap();
            std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            bench.configure(&format!("try_incrementals: true\nxtrabackup: {}\n", program.display())).unwrap();
            let spoken = run(bench, &["backup-incr", "--json", "--exec"]);
            assert_eq!(spoken.code(), Some(9), "{spoken}");
            let said = json(&spoken);
            let file = what.rsplit('/').next().unwrap();
            let told = said["incomplete"][0].as_str().unwrap();
            assert!(
                told.contains("somebody else removed or changed") && told.contains(file),
                "{series:?} {what}: {spoken}"
            );
            assert_eq!(said["unusable"], serde_json::json!([]));
            is_unmarked(bench);
        }
    }
}

/// A full disk, a missing right, a signal, a lack of memory: they say nothing of the backup.
#[test]
fn a_trial_that_proves_nothing_marks_nothing() {
    let exit = |line: &str| Effect::Exit { code: 1, stderr: line.to_owned(), done: Done::Half };
    let effects = [
        exit("[00] Error: write to file ./ibdata1 failed: Errcode: 28 \"No space left on device\""),
        exit("[ERROR] InnoDB: Operating system error number 13 in a file operation. Permission denied"),
        exit("[ERROR] mmap can't allocate: Cannot allocate memory"),
        exit("[ERROR] InnoDB: Read-only file system"),
        exit("[ERROR] InnoDB: preallocating 28311552 bytes for file ./shop/t.ibd failed with error 28"),
        Effect::Killed { done: Done::Half },
        Effect::NoSuccessLine,
    ];
    let it = with_full(Series::Mariadb1011, "both");
    let bench = &it.0;
    for (number, effect) in effects.into_iter().enumerate() {
        // The last link is the one that is tried last.
        fail_prepare(&it, number, effect);
        let spoken = run(bench, &["backup-incr", "--json", "--exec"]);
        std::thread::sleep(std::time::Duration::from_millis(1010));
        assert_eq!(spoken.code(), Some(9), "{spoken}");
        let said = json(&spoken);
        assert!(said["backup"].as_str().unwrap().starts_with("incr_"), "{said}");
        assert_eq!(said["unusable"], serde_json::json!([]));
        assert!(said["incomplete"][0].as_str().unwrap().contains("was not tried to its end"), "{said}");
        assert_eq!(bench.names_in("scratch"), [""; 0]);
        let listed = json(&run(bench, &["list", "--json"]));
        assert!(listed["backups"].as_array().unwrap().iter().all(|entry| entry["whole"] == true), "{listed}");
    }
}

/// What the store holds of the chain is damaged: the new backup is kept, and that it was not tried is told.
#[test]
fn a_chain_that_cannot_be_tried_is_told() {
    let (bench, _) = with_full(Series::Mariadb1011, "both");
    let full = bench.backup_dirs()[0].clone();
    std::fs::write(bench.path("store").join(&full).join("prepared-final/shop/orders.ibd"), b"orders x").unwrap();
    let spoken = run(&bench, &["backup-incr", "--json", "--exec"]);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    assert!(json(&spoken)["incomplete"][0].as_str().unwrap().contains("was not tried to its end"), "{spoken}");
    std::fs::write(bench.path("store").join(&full).join("files.json"), b"[").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1010));
    let spoken = run(&bench, &["backup-incr", "--json", "--exec"]);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    assert!(json(&spoken)["incomplete"][0].as_str().unwrap().contains("is not tried"), "{spoken}");
    assert_eq!(bench.names_in("scratch"), [""; 0]);
}

/// What shows on the files alone needs no trial, and a restore falls back from it too.
#[test]
fn changed_pages_that_are_missing_show_when_the_backup_is_read() {
    for series in SERIES {
        let it = with_full(series, "both");
        let bench = &it.0;
        bench.configure("prepared: both\n").unwrap();
        let backups = bench.shims.calls().unwrap();
        let backups = backups.iter().filter(|call| call.args.iter().any(|arg| arg == "--backup")).count();
        let effect = Effect::MissingFile { name: "shop/orders.ibd.delta".into() };
        bench.play(&it.1.clone().fail(ShimTool::Backup, "--backup", backups + 1, effect)).unwrap();
        let spoken = run(bench, &["backup-incr", "--json", "--exec"]);
        assert_eq!(spoken.code(), Some(9), "{spoken}");
        let said = json(&spoken);
        assert!(said["unusable"][0]["reason"].as_str().unwrap().contains("shop/orders.ibd.delta"), "{said}");
    }
}
