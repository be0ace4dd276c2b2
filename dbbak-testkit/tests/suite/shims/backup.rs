//! The backup shim, driven by dbbak's own command lines and judged by dbbak's own rules.

use super::{Bench, exit, names_in, run, scan, text};
use dbbak_core::{
    model::Lsn,
    tools::{
        BackupCommand, BackupSeries, BackupType, Checkpoints, Expected, FailureClass, Login, MetadataFile,
        PrepareCommand, RunEnd, ToolRole, ToolRunError, consumed_deltas, judge_backup_run, parse_binlog_info,
        parse_info, parse_version, version_query,
    },
};
use dbbak_testkit::shim::{Done, Effect, Point, Scenario, Series, ShimTool};
use std::{path::Path, process::Command, time::Duration};

const ALL: [(Series, BackupSeries); 5] = [
    (Series::Xtrabackup24, BackupSeries::Xtrabackup24),
    (Series::Xtrabackup80, BackupSeries::Xtrabackup80),
    (Series::Xtrabackup84, BackupSeries::Xtrabackup84),
    (Series::Mariadb1011, BackupSeries::MariadbBackup),
    (Series::Mariadb118, BackupSeries::MariadbBackup),
];

/// Three states: a table that changes, one that does not, one that comes, one that goes.
fn story(series: Series) -> Scenario {
    let gtid = |number| format!("0-1-{number}");
    Scenario::of(series).points([
        Point::new(1000).table("shop/orders", "orders 1").table("shop/same", "same").table("shop/old", "old").binlog(
            "mysql-bin.000001",
            100,
            Some(&gtid(1)),
        ),
        Point::new(2000)
            .table("shop/orders", "orders 2")
            .table("shop/same", "same")
            .created_meanwhile("shop/new", "new")
            .binlog("mysql-bin.000002", 200, Some(&gtid(2))),
        Point::new(3000).table("shop/orders", "orders 3").table("shop/same", "same").table("shop/new", "new 3").binlog(
            "mysql-bin.000003",
            300,
            Some(&gtid(3)),
        ),
    ])
}

fn backup(bench: &Bench, series: BackupSeries, target: &str, parent: Option<&str>) -> BackupCommand {
    let login = bench.path("backup.cnf");
    std::fs::write(&login, "[client]\nuser=b\n").unwrap();
    BackupCommand {
        program: bench.shims.backup.clone(),
        series,
        login: Login::OptionFile(login),
        target_dir: bench.path(target),
        parent_dir: parent.map(|name| bench.path(name)),
        datadir: Some("/var/lib/mysql".into()),
        socket: None,
        parallel: Some(2),
        throttle: None,
        slave_info: false,
        galera_info: false,
        safe_slave_backup: false,
        extra: Vec::new(),
    }
}

fn prepare(bench: &Bench, series: BackupSeries, target: &str, incremental: Option<&str>, more: bool) -> PrepareCommand {
    PrepareCommand {
        program: bench.shims.backup.clone(),
        series,
        target_dir: bench.path(target),
        incremental_dir: incremental.map(|name| bench.path(name)),
        more_follow: more,
        use_memory: Some(100 << 20),
        extra: Vec::new(),
    }
}

fn judge(expected: &Expected, output: &std::process::Output, dir: &Path) -> Result<Option<Checkpoints>, ToolRunError> {
    let files = if dir.is_dir() { names_in(dir) } else { Vec::new() };
    let checkpoints = MetadataFile::Checkpoints.select(&files).map(|name| std::fs::read(dir.join(name)).unwrap());
    let (stderr, checkpoints) = (scan(output), checkpoints.as_deref());
    judge_backup_run(expected, &RunEnd { exit: exit(output), stderr: &stderr, files: &files, checkpoints })
}

/// Takes the full and two incrementals of the story.
fn take_all(bench: &Bench, series: BackupSeries) -> [Checkpoints; 3] {
    let kind = kind(series);
    let mut parent: Option<(&str, Lsn)> = None;
    ["full", "inc1", "inc2"].map(|name| {
        let output = run(&backup(bench, series, name, parent.map(|(dir, _)| dir)).build().unwrap());
        let expected = match parent {
            None => Expected::full(kind, true, false),
            Some((_, lsn)) => Expected::incremental(kind, true, false, lsn),
        };
        let state = judge(&expected, &output, &bench.path(name)).unwrap().unwrap();
        parent = Some((name, state.to_lsn));
        state
    })
}

fn kind(series: BackupSeries) -> dbbak_core::tools::ToolKind {
    ToolRole::Backup.kind(series.family())
}

#[test]
fn a_chain_of_each_series_ends_in_the_last_state() {
    for (shim, series) in ALL {
        let bench = Bench::new(&story(shim));
        let states = take_all(&bench, series);
        let steps = [(None, true, states[0]), (Some("inc1"), true, states[1]), (Some("inc2"), false, states[2])];
        for (incremental, more, state) in steps {
            let output = run(&prepare(&bench, series, "full", incremental, more).build().unwrap());
            let expected = Expected::prepared(kind(series), more, state.to_lsn);
            assert!(judge(&expected, &output, &bench.path("full")).is_ok(), "{shim:?}: {}", text(&output.stderr));
        }
        let table = |name: &str| bench.read(&format!("full/shop/{name}.ibd"));
        assert_eq!(table("orders").as_deref(), Some("orders 3"), "{shim:?}");
        assert_eq!(table("same").as_deref(), Some("same"), "{shim:?}");
        assert_eq!(table("new").as_deref(), Some("new 3"), "{shim:?}");
        assert_eq!(table("old"), None, "{shim:?}");
        let names = names_in(&bench.path("full"));
        let binlog_info = MetadataFile::BinlogInfo.select(&names).unwrap();
        let at = parse_binlog_info(bench.read(&format!("full/{binlog_info}")).unwrap().as_bytes()).unwrap();
        assert_eq!(at.place().to_string(), "mysql-bin.000003:300");
        let info = MetadataFile::Info.select(&names).unwrap();
        let info = parse_info(bench.read(&format!("full/{info}")).unwrap().as_bytes()).unwrap();
        assert_eq!((info.from_lsn, info.to_lsn, info.incremental), (Lsn(2000), Lsn(3000), true));
    }
}

#[test]
fn prints_the_version_of_each_series() {
    for (shim, series) in ALL {
        let bench = Bench::new(&Scenario::of(shim));
        let output = run(version_query(&bench.shims.backup).spec());
        assert_eq!(output.stdout, b"", "the tools print it on standard error");
        let version = parse_version(ToolRole::Backup, &text(&output.stderr)).unwrap();
        assert_eq!(BackupSeries::of(&version), Some(series));
        assert_eq!(version.full, Scenario::of(shim).tool_version);
    }
}

#[test]
fn refuses_a_gap_and_mariadb_has_already_moved_files() {
    for (shim, series) in ALL {
        let gap = Scenario::of(shim).points([
            Point::new(1000).table("d/t", "1"),
            Point::new(2000).table("d/t", "2"),
            Point::new(3000).table("d/t", "3").created_meanwhile("d/n", "n"),
        ]);
        let bench = Bench::new(&gap);
        take_without_binlog(&bench, series);
        run(&prepare(&bench, series, "full", None, true).build().unwrap());
        let output = run(&prepare(&bench, series, "full", Some("inc2"), true).build().unwrap());
        assert_eq!((output.status.code(), scan(&output).cause().0), (Some(1), FailureClass::LsnGap), "{shim:?}");
        let mariadb = shim.is_mariadb();
        assert_eq!(bench.path("full/d/n.ibd").exists(), mariadb, "{shim:?}");
        assert!(!bench.path("inc2/d/n.new").exists(), "{shim:?}");
    }
}

fn take_without_binlog(bench: &Bench, series: BackupSeries) {
    let mut parent = None;
    for name in ["full", "inc1", "inc2"] {
        let output = run(&backup(bench, series, name, parent).build().unwrap());
        assert!(output.status.success(), "{}", text(&output.stderr));
        parent = Some(name);
    }
}

#[test]
fn loses_every_table_at_the_second_use_of_an_incremental() {
    let bench = Bench::new(&story(Series::Mariadb1011));
    let series = BackupSeries::MariadbBackup;
    let states = take_all(&bench, series);
    bench.copy("full", "first");
    bench.copy("full", "second");
    for target in ["first", "second"] {
        run(&prepare(&bench, series, target, None, true).build().unwrap());
    }
    let paths = |dir: &str| names_in(&bench.path(dir));
    assert!(consumed_deltas(paths("inc1").iter().map(String::as_str)).is_empty());
    let good = run(&prepare(&bench, series, "first", Some("inc1"), false).build().unwrap());
    let expected = Expected::prepared(kind(series), false, states[1].to_lsn);
    assert!(judge(&expected, &good, &bench.path("first")).is_ok());
    assert_eq!(consumed_deltas(paths("inc1").iter().map(String::as_str)), ["ibdata1.delta"]);

    let bad = run(&prepare(&bench, series, "second", Some("inc1"), false).build().unwrap());
    assert!(bad.status.success() && scan(&bad).ends_in_success());
    assert!(matches!(judge(&expected, &bad, &bench.path("second")), Err(ToolRunError::Alarms { .. })));
    assert!(!bench.path("second/shop/orders.ibd").exists() && bench.path("second/shop/orders.frm").exists());
}

#[test]
fn xtrabackup_keeps_its_order() {
    let series = BackupSeries::Xtrabackup80;
    let bench = Bench::new(&story(Series::Xtrabackup80));
    take_all(&bench, series);
    let refused = |target: &str, incremental: Option<&str>| {
        let output = run(&prepare(&bench, series, target, incremental, true).build().unwrap());
        assert_eq!(output.status.code(), Some(1));
        scan(&output).cause().0
    };
    // Not prepared yet; an incremental by itself; prepared to the end.
    assert_eq!(refused("full", Some("inc1")), FailureClass::TargetNotReady);
    assert_eq!(refused("inc1", None), FailureClass::NotABackup);
    run(&prepare(&bench, series, "full", None, false).build().unwrap());
    assert_eq!(refused("full", Some("inc1")), FailureClass::TargetNotReady);
    // Preparing once more is accepted, and a backup of another series is not.
    assert!(run(&prepare(&bench, series, "full", None, false).build().unwrap()).status.success());
    bench.shims.play(&story(Series::Xtrabackup84)).unwrap();
    assert_eq!(refused("full", None), FailureClass::VersionMismatch);
}

#[test]
fn mariadb_refuses_an_unprepared_target_and_spoils_one_that_is_newer() {
    let series = BackupSeries::MariadbBackup;
    let bench = Bench::new(&story(Series::Mariadb1011));
    take_all(&bench, series);
    bench.copy("inc1", "inc1-again");
    let apply = |incremental| run(&prepare(&bench, series, "full", incremental, true).build().unwrap());
    assert_eq!(scan(&apply(Some("inc1"))).cause().0, FailureClass::TargetNotReady);
    assert!(!bench.path("inc1/shop/new.new").exists(), "a refused prepare has used it up");

    // The same to_lsn everywhere: no checkpoint ran between the backups, so that any order passes the test of LSNs.
    let idle = |last_lsn| Point { last_lsn, ..Point::new(1000) };
    let bench = Bench::new(&Scenario::of(Series::Mariadb1011).points([idle(1010), idle(1020), idle(1030)]));
    take_without_binlog(&bench, series);
    let apply = |incremental| run(&prepare(&bench, series, "full", incremental, true).build().unwrap());
    assert!(apply(None).status.success() && apply(Some("inc2")).status.success(), "skipping inc1 goes unnoticed");
    let late = apply(Some("inc1"));
    assert_eq!((late.status.code(), scan(&late).cause().0), (Some(1), FailureClass::PagesFromTheFuture));
}

#[test]
fn an_old_option_is_unknown_to_mariadb() {
    let bench = Bench::new(&story(Series::Mariadb1011));
    let target = format!("--target-dir={}", bench.path("full").display());
    let status = |args: &[&str]| Command::new(&bench.shims.backup).args(args).output().unwrap().status.code();
    assert_eq!(status(&["--prepare", "--apply-log-only", &target]), Some(2));
    assert_eq!(status(&["--backup", "--bogus=1", &target]), Some(7));
    assert_eq!(status(&["--backup", &target, "--defaults-file=/dev/null"]), Some(1));
    assert_eq!(status(&["--backup", &target, "bare"]), Some(1));
    bench.shims.play(&story(Series::Xtrabackup80)).unwrap();
    assert_eq!(status(&["--backup", "--bogus=1", &target]), Some(255));
}

#[test]
fn the_target_must_be_new_and_the_parent_readable() {
    for (shim, series) in ALL {
        let bench = Bench::new(&story(shim));
        let cause = |target: &str, parent: Option<&str>| {
            let output = run(&backup(&bench, series, target, parent).build().unwrap());
            assert_eq!(output.status.code(), Some(1));
            scan(&output).cause().0
        };
        assert_eq!(cause("no/such/parent", None), FailureClass::NoParentDirectory);
        assert_eq!(cause("inc", Some("nowhere")), FailureClass::MetadataUnreadable);
        std::fs::create_dir(bench.path("used")).unwrap();
        std::fs::write(bench.path("used/x"), "").unwrap();
        assert_eq!(cause("used", None), FailureClass::TargetNotEmpty);
    }
}

#[test]
fn copies_back_what_a_server_needs() {
    for (shim, series) in ALL {
        let bench = Bench::new(&story(shim));
        take_all(&bench, series);
        let copy_back = |to: &str| {
            let dirs = [("target-dir", "full"), ("datadir", to)];
            let args = dirs.map(|(name, dir)| format!("--{name}={}", bench.path(dir).display()));
            Command::new(&bench.shims.backup).arg("--copy-back").args(args).output().unwrap()
        };
        let unprepared = copy_back("data");
        // mariadb-backup takes an unprepared backup without a word.
        assert_eq!(unprepared.status.success(), shim.is_mariadb(), "{shim:?}");
        run(&prepare(&bench, series, "full", None, false).build().unwrap());
        let output = copy_back("data2");
        assert!(judge(&Expected::copied_back(kind(series)), &output, &bench.path("data2")).is_ok());
        let names = names_in(&bench.path("data2"));
        assert!(
            names.iter().any(|name| name.ends_with("_info")) && !names.iter().any(|name| name.contains("checkpoints"))
        );
        assert_eq!(scan(&copy_back("data2")).cause().0, FailureClass::TargetNotEmpty);
    }
}

#[test]
fn a_newer_mariadb_tool_leaves_a_stale_file() {
    let bench = Bench::new(&story(Series::Mariadb1011));
    let series = BackupSeries::MariadbBackup;
    let states = take_all(&bench, series);
    bench.shims.play(&story(Series::Mariadb118)).unwrap();
    let output = run(&prepare(&bench, series, "full", None, true).build().unwrap());
    assert!(bench.read("full/xtrabackup_checkpoints").unwrap().contains("full-backuped"));
    let expected = Expected::prepared(kind(series), true, states[0].to_lsn);
    assert!(judge(&expected, &output, &bench.path("full")).is_ok(), "the new name is believed");
    // The other way round the older tool finds nothing.
    let bench = Bench::new(&story(Series::Mariadb118));
    take_all(&bench, series);
    bench.shims.play(&story(Series::Mariadb1011)).unwrap();
    let output = run(&prepare(&bench, series, "full", None, true).build().unwrap());
    assert_eq!(scan(&output).cause().0, FailureClass::MetadataUnreadable);
}

#[test]
fn fails_as_scripted() {
    let series = BackupSeries::Xtrabackup80;
    let full = Expected::full(kind(series), true, false);
    let first = |effect| {
        let bench = Bench::new(&story(Series::Xtrabackup80).fail(ShimTool::Backup, "--backup", 1, effect));
        let output = run(&backup(&bench, series, "full", None).build().unwrap());
        let result = judge(&full, &output, &bench.path("full"));
        // The next call succeeds.
        let again = run(&backup(&bench, series, "again", None).build().unwrap());
        assert!(judge(&full, &again, &bench.path("again")).is_ok(), "{}", text(&again.stderr));
        result
    };
    let text = "error: log block numbers mismatch".to_owned();
    assert!(matches!(
        first(Effect::Exit { code: 1, stderr: text, done: Done::Half }),
        Err(ToolRunError::Exited { class: FailureClass::RedoOverwritten, .. })
    ));
    assert!(matches!(first(Effect::NoSuccessLine), Err(ToolRunError::NoSuccessLine { .. })));
    let missing = Effect::MissingFile { name: "xtrabackup_binlog_info".into() };
    assert!(matches!(first(missing), Err(ToolRunError::MissingFile { file: MetadataFile::BinlogInfo, .. })));
    let wrong = Effect::WrongType { backup_type: "incremental".into() };
    assert!(matches!(first(wrong), Err(ToolRunError::WrongType { found: BackupType::Incremental, .. })));
    let alarm = Effect::Alarm { line: "2026 0 [ERROR] [MY-012345] [InnoDB] Header page is corrupt".into() };
    assert!(matches!(first(alarm), Err(ToolRunError::Alarms { count: 1, .. })));
    let killed = Effect::Killed { done: Done::Half };
    assert!(matches!(first(killed), Err(ToolRunError::Exited { exit: dbbak_core::tools::Exit::Signal(9), .. })));
}

#[test]
fn hangs_as_scripted() {
    let hang = Effect::Hang { done: Done::Half };
    let bench = Bench::new(&story(Series::Mariadb1011).fail(ShimTool::Backup, "--backup", 1, hang));
    let spec = backup(&bench, BackupSeries::MariadbBackup, "full", None).build().unwrap();
    let mut child =
        Command::new(&spec.program).args(spec.masked_args()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let half = bench.path("full/ibdata1");
    while !half.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.try_wait().unwrap().is_none());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn logs_every_call_with_its_environment() {
    let bench = Bench::new(&story(Series::Mariadb1011));
    run(&backup(&bench, BackupSeries::MariadbBackup, "full", None).build().unwrap());
    let calls = bench.shims.calls().unwrap();
    assert_eq!((calls.len(), calls[0].tool.as_str()), (1, "backup"));
    assert_eq!((calls[0].tz.as_deref(), calls[0].lc_all.as_deref()), (Some("UTC"), Some("C")));
    assert!(calls[0].args.iter().any(|arg| arg == "--backup"));
}

#[test]
fn records_a_source_and_no_coordinates_without_a_binlog() {
    let statements = "CHANGE MASTER TO MASTER_LOG_FILE='src-bin.000007', MASTER_LOG_POS=4711;\n";
    let replica = Scenario::of(Series::Mariadb1011).points([Point::new(1000).source(statements)]);
    let bench = Bench::new(&replica);
    let command = BackupCommand { slave_info: true, ..backup(&bench, BackupSeries::MariadbBackup, "full", None) };
    let output = run(&command.build().unwrap());
    let kind = kind(BackupSeries::MariadbBackup);
    assert!(judge(&Expected::full(kind, false, true), &output, &bench.path("full")).is_ok());
    assert!(matches!(
        judge(&Expected::full(kind, true, true), &output, &bench.path("full")),
        Err(ToolRunError::MissingFile { file: MetadataFile::BinlogInfo, .. })
    ));
}
