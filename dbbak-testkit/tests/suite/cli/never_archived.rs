//! Backups that stand in a binlog which was never archived: what a replay lacks is said by name, and the backup restores as it is.

use super::{Bench, Series, run, with_store};
use dbbak_testkit::shim::Point;
use std::fs;

/// A full in the second of four binlogs, and no archive yet.
fn bench(series: Series) -> Bench {
    let (bench, _) = with_store(series);
    bench.binlog(1, 3, true).unwrap();
    let ends = bench.binlog(2, 3, true).unwrap();
    bench.binlog(3, 2, true).unwrap();
    bench.binlog(4, 1, false).unwrap();
    let point = Point::new(1000).table("shop/orders", "orders 1").binlog("mysql-bin.000002", ends[0], None);
    bench.play(&bench.scenario().points([point])).unwrap();
    bench
}

fn purge(bench: &Bench, number: u32) {
    fs::remove_file(bench.path(&format!("binlogs/mysql-bin.{number:06}"))).unwrap();
}

/// It restores as it is; every way that leads on names the binlog that is missing.
#[track_caller]
fn leads_nowhere(bench: &Bench, what: &str) {
    let spoken = run(bench, &["restore", "--latest"]);
    assert_eq!(spoken.code(), Some(5), "{what}: {spoken}");
    assert!(
        spoken.stderr.contains("stands in binlog mysql-bin.000002, which is not in the archive"),
        "{what}: {spoken}"
    );
    let spoken = run(bench, &["restore"]);
    assert_eq!(spoken.code(), Some(0), "{what}: {spoken}");
    assert!(spoken.stdout.contains("mysql-bin.000002, in which backup"), "{what}: {spoken}");
    let workdir = bench.path("restored");
    let _ = fs::remove_dir_all(&workdir);
    let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
    let spoken = run(bench, &args);
    assert_eq!(spoken.code(), Some(0), "{what}: {spoken}");
    assert_eq!(fs::read_to_string(workdir.join("data/shop/orders.ibd")).unwrap(), "orders 1", "{what}");
}

#[test]
fn a_backup_in_a_binlog_that_was_never_archived() {
    for series in [Series::Xtrabackup80, Series::Mariadb1011] {
        // Purged before the archive had it: the file before it and those behind it are there.
        let case = bench(series);
        assert_eq!(run(&case, &["backup-full", "--exec"]).code(), Some(0));
        purge(&case, 2);
        let shipped = run(&case, &["ship-binlogs", "--exec"]);
        assert_eq!(shipped.code(), Some(9), "{shipped}");
        leads_nowhere(&case, "purged");
        let listed = run(&case, &["list"]);
        assert!(listed.stdout.contains("not shipped yet") || listed.stdout.contains("mysql-bin.000002"), "{listed}");
        let timeline = run(&case, &["timeline"]);
        assert!(timeline.stdout.contains("mysql-bin.000002"), "{timeline}");
        // The same where it is the archive's first binlogs that are missing.
        let case = bench(series);
        assert_eq!(run(&case, &["backup-full", "--exec"]).code(), Some(0));
        purge(&case, 1);
        purge(&case, 2);
        run(&case, &["ship-binlogs", "--exec"]);
        leads_nowhere(&case, "the first ones purged");
        // Not archived yet: it will be.
        let case = bench(series);
        assert_eq!(run(&case, &["backup-full", "--exec"]).code(), Some(0));
        let kept: Vec<_> = [2, 3].map(|number| format!("binlogs/mysql-bin.{number:06}")).into();
        let aside: Vec<Vec<u8>> = kept.iter().map(|name| fs::read(case.path(name)).unwrap()).collect();
        kept.iter().for_each(|name| fs::remove_file(case.path(name)).unwrap());
        run(&case, &["ship-binlogs", "--exec"]);
        // Nothing is archived that comes behind the backup.
        let spoken = run(&case, &["restore", "--latest"]);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
        assert!(spoken.stdout.contains("the archive holds no binlogs after"), "{spoken}");
        kept.iter().zip(aside).for_each(|(name, bytes)| fs::write(case.path(name), bytes).unwrap());
        let shipped = run(&case, &["ship-binlogs", "--exec"]);
        assert!(matches!(shipped.code(), Some(0 | 9)), "{shipped}");
        let spoken = run(&case, &["restore", "--latest"]);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
    }
}

/// A plan says what its time was floored to. Where none is possible, the refusal does.
#[test]
fn a_time_that_is_floored_is_told_where_no_plan_is_possible() {
    let case = bench(Series::Mariadb1011);
    assert_eq!(run(&case, &["backup-full", "--exec"]).code(), Some(0));
    purge(&case, 2);
    run(&case, &["ship-binlogs", "--exec"]);
    let told = "2031-01-01 00:01:59 UTC was floored to 2031-01-01 00:00:00 UTC (pitr_round_minutes: 15); --exact takes it as it stands";
    for (args, is_told) in [
        (&["--time", "2031-01-01 00:01:59"][..], true),
        (&["--time", "2031-01-01 00:01:59", "--exact"], false),
        (&["--time", "2031-01-01 00:00:00"], false),
    ] {
        let refused = run(&case, &[&["restore"], args].concat());
        assert_eq!(refused.code(), Some(5), "{refused}");
        assert_eq!(refused.stderr.contains(told), is_told, "{refused}");
        assert_eq!(refused.stderr.contains("floored"), is_told, "{refused}");
    }
}
