//! Backups of which a part is spoilt: what can be done without it is done, and what was found is said and kept.

use super::{
    Bench, Series, backup, run,
    trial::{fail_twice, refusal},
    with_store,
};
use dbbak_testkit::shim::{Done, Effect, ShimTool};
use std::fs;

fn restore(bench: &Bench, workdir: &str) -> super::Spoken {
    let workdir = bench.path(workdir);
    run(bench, &["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"])
}

/// The data of the last state are there, whichever tree they came from.
#[track_caller]
fn is_right(bench: &Bench, spoken: &super::Spoken, content: &str) {
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    let datadir = spoken.stdout.trim().to_owned();
    assert_eq!(fs::read_to_string(format!("{datadir}/shop/orders.ibd")).unwrap(), content, "{spoken}");
    assert_eq!(bench.names_in("scratch"), [""; 0]);
}

#[test]
fn a_prepared_tree_that_is_spoilt_is_done_without() {
    for (series, incrementals, tree) in [
        (Series::Xtrabackup80, 1, "prepared-redo"),
        (Series::Xtrabackup80, 0, "prepared-final"),
        (Series::Mariadb1011, 1, "prepared-final"),
        (Series::Mariadb1011, 0, "prepared-final"),
    ] {
        let (bench, _) = with_store(series);
        backup(&bench, &["backup-full", "--exec"]);
        (0..incrementals).for_each(|_| drop(backup(&bench, &["backup-incr", "--exec"])));
        let full = bench.backup_dirs().into_iter().find(|name| name.starts_with("full_")).unwrap();
        let file = bench.path("store").join(full).join(tree).join("shop/orders.ibd");
        let good = fs::read(&file).unwrap();
        let content = format!("orders {}", incrementals + 1);

        // The size tells nothing: it is found while the tree is copied.
        fs::write(&file, vec![b'x'; good.len()]).unwrap();
        let spoken = restore(&bench, "by-content");
        is_right(&bench, &spoken, &content);
        assert!(spoken.stderr.contains("is damaged"), "{spoken}");
        assert!(spoken.stderr.contains("the prepared tree is left aside"), "{spoken}");

        fs::write(&file, b"").unwrap();
        let spoken = restore(&bench, "by-size");
        is_right(&bench, &spoken, &content);
        assert!(spoken.stderr.contains("another tree is taken instead"), "{spoken}");

        fs::remove_file(&file).unwrap();
        let spoken = restore(&bench, "missing");
        is_right(&bench, &spoken, &content);
        assert!(spoken.stderr.contains("another tree is taken instead"), "{spoken}");
    }
}

/// Without a raw tree there is nothing else to take.
#[test]
fn a_damaged_raw_tree_ends_a_restore() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.configure("prepared: none\n").unwrap();
    backup(&bench, &["backup-full", "--exec"]);
    let file = bench.path("store").join(&bench.backup_dirs()[0]).join("raw/shop/orders.ibd");
    let size = fs::read(&file).unwrap().len();
    fs::write(&file, vec![b'x'; size]).unwrap();
    let spoken = restore(&bench, "restored");
    assert_eq!(spoken.code(), Some(7), "{spoken}");
}

/// What a restore found is kept, so that nothing rests on the link again; it is listed as what it is.
#[test]
fn a_link_that_a_restore_could_not_apply_is_marked() {
    let it = with_store(Series::Mariadb1011);
    backup(&it.0, &["backup-full", "--exec"]);
    backup(&it.0, &["backup-incr", "--exec"]);
    fail_twice(&it, refusal(), refusal());
    let bench = it.0;
    let spoken = restore(&bench, "restored");
    assert_eq!(spoken.code(), Some(6), "{spoken}");
    assert!(spoken.stderr.contains("was marked in the store: no restore and no incremental rests on it"), "{spoken}");
    let listed = run(&bench, &["list"]);
    let line = listed.stdout.lines().find(|line| line.contains("unusable")).unwrap_or_default();
    assert!(line.trim_start().starts_with("incr "), "{listed}");
    // The restore of what is left, and the next backup.
    assert_eq!(restore(&bench, "again").code(), Some(0));
    let next = run(&bench, &["backup-incr", "--exec"]);
    assert_eq!(next.code(), Some(0), "{next}");
    assert!(next.stderr.contains("a full is taken instead of an incremental"), "{next}");
}

/// What failed once and applies on fresh copies is no fault of the link: the restore is made of it, and nothing is marked.
#[test]
fn a_link_that_fails_once_is_restored_from() {
    let it = with_store(Series::Mariadb1011);
    backup(&it.0, &["backup-full", "--exec"]);
    backup(&it.0, &["backup-incr", "--exec"]);
    let prepares = it.0.shims.calls().unwrap();
    let prepares = prepares.iter().filter(|call| call.args.iter().any(|arg| arg == "--prepare")).count();
    it.0.play(&it.1.clone().fail(ShimTool::Backup, "--prepare", prepares + 1, refusal())).unwrap();
    let spoken = restore(&it.0, "restored");
    is_right(&it.0, &spoken, "orders 2");
    assert!(spoken.stderr.contains("is tried once more, on fresh copies"), "{spoken}");
    let listed = run(&it.0, &["list"]);
    assert!(!listed.stdout.contains("unusable"), "{listed}");

    // Nor does it mark one that fails in another way the second time.
    let other = Effect::Exit { code: 1, stderr: "[00] FATAL ERROR: something else".into(), done: Done::Half };
    fail_twice(&it, refusal(), other);
    let spoken = restore(&it.0, "again");
    assert_eq!(spoken.code(), Some(6), "{spoken}");
    assert!(spoken.stderr.contains("is not marked: it did not fail twice alike"), "{spoken}");
    let listed = run(&it.0, &["list"]);
    assert!(!listed.stdout.contains("unusable"), "{listed}");
}

/// What cannot be trusted as a whole is no success, whichever command shows it.
#[test]
fn every_view_of_damaged_lists_ends_with_9() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 1, false).unwrap();
    bench.play(&bench.scenario()).unwrap();
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
    let views: [&[&str]; 4] = [&["list"], &["timeline"], &["find", "--archive-only"], &["timeline", "--json"]];
    for args in views {
        assert_eq!(run(&bench, args).code(), Some(0), "{args:?}");
    }
    for list in ["store/manifest.json", "store/binlogs/index.json"] {
        let good = fs::read(bench.path(list)).unwrap();
        fs::write(bench.path(list), b"[").unwrap();
        for args in views {
            let spoken = run(&bench, args);
            assert_eq!(spoken.code(), Some(9), "{list} {args:?}: {spoken}");
        }
        fs::write(bench.path(list), good).unwrap();
    }
}

/// A binlog that was archived and is gone was not searched: that is said each time, and only where it could hold what is looked for.
#[test]
fn find_tells_of_an_archived_binlog_that_is_gone() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 1, false).unwrap();
    bench.play(&bench.scenario()).unwrap();
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
    let file = bench.names_in("store/binlogs").into_iter().find(|name| name.ends_with("000001.gz")).unwrap();
    fs::remove_file(bench.path("store/binlogs").join(file)).unwrap();
    for _ in 0..2 {
        let spoken = run(&bench, &["find", "--archive-only"]);
        assert_eq!(spoken.code(), Some(9), "{spoken}");
        assert!(spoken.stderr.contains("mysql-bin.000001"), "{spoken}");
        assert!(spoken.stderr.contains("it was archived, and is no longer in the store"), "{spoken}");
    }
    let later = run(&bench, &["find", "--archive-only", "--since", "2100-01-01"]);
    assert!(!later.stderr.contains("no longer in the store"), "{later}");
    let earlier = run(&bench, &["find", "--archive-only", "--until", "2001-01-01"]);
    assert!(!earlier.stderr.contains("no longer in the store"), "{earlier}");
}
