//! Steps of a restore: private copies, used-up incrementals, and the report that is written after success alone.

use super::{Trouble, Watcher, directory};
use crate::real::disk_full::SmallDisk;
use dbbak_core::{
    clock::Clock,
    execute::{Event, ExecuteError, ExitStatus, Reporter},
    facts::UntoldOfWindow,
    journal::{Journal, JournalHeader, Pin},
    plan::{Carried, PassTree, Plan, PlannedJournal, RestoreReport, Resume, RunTool, Step, Summary, SyncSide},
    run::{self, Finished, RunError, Running},
    store::LocalStore,
    tools::{CommandSpec, Expected, Launch, ToolKind},
};
use dbbak_testkit::{
    fake_clock::FakeClock,
    fake_executor::{FakeExecutor, Script},
};
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    panic,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// Copies a stored tree, prepares the copy, and reports.
fn plan(root: &Path) -> Plan {
    let (stored, work) = (root.join("stored"), root.join("work"));
    let report = RestoreReport {
        version: 1,
        restore: Uuid::from_u128(1),
        planned_at: FakeClock::default().now(),
        aim: "backup 2025-10-02T02-00Z as it is".into(),
        target: None,
        chain: Vec::new(),
        passed_over: Vec::new(),
        coordinates: None,
        edges: None,
        window: None,
        datadir: work.join("data"),
        keyring: None,
        finished_at: None,
        proof: None,
        ready: None,
        caught_up: Vec::new(),
        examination: None,
        unproven: None,
        not_in_log: Vec::new(),
        untold: UntoldOfWindow::default(),
        phases: Vec::new(),
    };
    let prepare = RunTool {
        title: "prepare".into(),
        launch: Launch { command: CommandSpec::new("/bin/xtrabackup"), log: root.join("logs/prepare") },
        dir: work.join("data"),
        expect: Expected { to_lsn: None, ..Expected::prepared(ToolKind::Xtrabackup, false, dbbak_core::model::Lsn(0)) },
        applies: None,
        tablespaces: None,
        bytes: None,
        options: None,
        again: 0,
    };
    let steps = vec![
        Step::CreateDir { path: work.clone() },
        Step::PassTree(PassTree {
            title: "copy".into(),
            from: stored,
            to: Some(work.join("data")),
            verify: None,
            list_as: None,
            sync: SyncSide::Nothing,
            threads: 2,
            bytes: None,
        }),
        Step::RunTool(Box::new(prepare)),
        Step::WriteReport { path: work.join("dbbak-restore.json"), report: Box::new(report) },
    ];
    Plan {
        version: 1,
        command: "restore".into(),
        planned_at: FakeClock::default().now(),
        summary: Summary::Nothing,
        reasons: Vec::new(),
        warnings: Vec::new(),
        incomplete: Vec::new(),
        locks: Vec::new(),
        steps,
        discard_on_failure: Vec::new(),
        discard_dirs: vec![work],
        store: Some(root.join("store")),
        scratch: None,
        made_from: Vec::new(),
        remedies: Vec::new(),
        journal: None,
        trial: None,
    }
}

fn run_plan(plan: &Plan, executor: &FakeExecutor, trouble: Trouble) -> Result<Finished, RunError> {
    let store = LocalStore::new(plan.store.clone().unwrap());
    let (clock, watcher) = (FakeClock::default(), Watcher::new(trouble));
    run::run(plan, &Running { store: &store, session: None, executor, clock: &clock, reporter: &watcher })
}

fn stored(root: &Path) {
    fs::create_dir(root.join("stored")).unwrap();
    fs::write(root.join("stored/ibdata1"), "pages").unwrap();
    for name in ["xtrabackup_info", "backup-my.cnf", "xtrabackup_binlog_info", "xtrabackup_tablespaces"] {
        fs::write(root.join("stored").join(name), "").unwrap();
    }
    fs::write(root.join("stored/xtrabackup_checkpoints"), "as it was taken").unwrap();
}

fn prepares(root: &Path) -> Script {
    let path = root.join("work/data/xtrabackup_checkpoints");
    Script::success()
        .says("completed OK!")
        .does(move |_| fs::write(&path, "backup_type = full-prepared\nfrom_lsn = 0\nto_lsn = 1000\nlast_lsn = 1016\n"))
}

#[test]
fn the_report_is_written_after_success() {
    let dir = directory();
    stored(dir.path());
    let executor = FakeExecutor::new([prepares(dir.path())]);
    let finished = run_plan(&plan(dir.path()), &executor, Trouble::Never).unwrap();
    let written = fs::read(dir.path().join("work/dbbak-restore.json")).unwrap();
    let written: RestoreReport = serde_json::from_slice(&written).unwrap();
    assert_eq!(Some(&written), finished.report.as_ref());
    assert_eq!(written.finished_at, Some(FakeClock::default().now()));
    let phases: Vec<&str> = written.phases.iter().map(|phase| phase.title.as_str()).collect();
    assert_eq!(phases[1..3], ["copy", "prepare"]);
    let original = fs::read_to_string(dir.path().join("stored/xtrabackup_checkpoints")).unwrap();
    assert_eq!(original, "as it was taken", "the original was prepared");
}

/// What the first run has restored is not the second one's to work on, nor to clean up.
#[test]
fn a_restore_plan_that_is_run_twice_leaves_what_it_restored() {
    let dir = directory();
    stored(dir.path());
    let plan = plan(dir.path());
    run_plan(&plan, &FakeExecutor::new([prepares(dir.path())]), Trouble::Never).unwrap();
    let report = fs::read(dir.path().join("work/dbbak-restore.json")).unwrap();
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    for again in [&plan, &read] {
        let executor = FakeExecutor::new([prepares(dir.path())]);
        run_plan(again, &executor, Trouble::Never).unwrap_err();
        assert!(executor.launched().is_empty(), "something was begun");
        assert_eq!(fs::read_to_string(dir.path().join("work/data/ibdata1")).unwrap(), "pages");
        assert_eq!(fs::read(dir.path().join("work/dbbak-restore.json")).unwrap(), report);
    }
}

#[test]
fn no_report_and_no_copy_after_a_failure() {
    let dir = directory();
    stored(dir.path());
    for script in [
        Script::success().status([ExitStatus::Code(1)]),
        Script::success().says("completed OK!"),
        Script::not_started(),
    ] {
        let error = run_plan(&plan(dir.path()), &FakeExecutor::new([script]), Trouble::Never).unwrap_err();
        assert!(matches!(error, RunError::Execute(_)), "{error:?}");
        assert!(!dir.path().join("work").exists());
    }
    for trouble in (1..=3).flat_map(|number| [Trouble::Inside(number), Trouble::After(number)]) {
        let executor = FakeExecutor::new([prepares(dir.path())]);
        let RunError::Execute(error) = run_plan(&plan(dir.path()), &executor, trouble).unwrap_err() else {
            panic!("{trouble:?}")
        };
        assert_eq!(error.signal(), Some(15), "{trouble:?}");
        assert!(!dir.path().join("work").exists(), "{trouble:?}");
    }
}

/// A plan that keeps a journal.
fn with_journal(root: &Path) -> Plan {
    let path = root.join("work/dbbak-journal.jsonl");
    let header = JournalHeader {
        journal: JournalHeader::FORMAT,
        restore: Uuid::from_u128(1),
        began: FakeClock::default().now(),
        aim: "a backup as it is".into(),
        target: None,
        request: serde_json::json!({}),
        pin: Pin { backup: "2025-10-02T02-00Z".parse().unwrap(), cut: None },
        identity: BTreeMap::new(),
    };
    Plan { journal: Some(Box::new(PlannedJournal { path, header, resume: None })), ..plan(root) }
}

#[test]
fn the_journal_says_how_far_a_restore_came_that_died() {
    for dies_in in 2..=4 {
        let dir = directory();
        stored(dir.path());
        let plan = with_journal(dir.path());
        let executor = FakeExecutor::new([prepares(dir.path())]);
        let died = panic::catch_unwind(|| run_plan(&plan, &executor, Trouble::Panic(dies_in)));
        assert!(died.is_err());
        let journal = fs::read_to_string(dir.path().join("work/dbbak-journal.jsonl")).unwrap();
        let journal = Journal::parse(&journal).unwrap();
        assert_eq!(journal.begun, Some(plan.step_keys()[dies_in - 1]), "step {dies_in}");
        let done: Vec<_> = journal.done.iter().map(|done| done.step).collect();
        let wanted: Vec<_> = plan.step_keys()[1..dies_in - 1].to_vec();
        assert_eq!(done, wanted, "step {dies_in}");
        // What a prepare has left is known.
        assert_eq!(journal.done.iter().filter(|done| !done.left.is_empty()).count(), usize::from(dies_in == 4));
    }
}

#[test]
fn the_journal_of_a_restore_that_is_done_is_removed() {
    let dir = directory();
    stored(dir.path());
    let executor = FakeExecutor::new([prepares(dir.path())]);
    run_plan(&with_journal(dir.path()), &executor, Trouble::Never).unwrap();
    assert!(dir.path().join("work/dbbak-restore.json").exists());
    assert!(!dir.path().join("work/dbbak-journal.jsonl").exists());
}

#[test]
fn a_second_run_in_a_work_directory_is_refused() {
    let dir = directory();
    stored(dir.path());
    let plan = with_journal(dir.path());
    let executor = FakeExecutor::new([prepares(dir.path())]);
    assert!(panic::catch_unwind(|| run_plan(&plan, &executor, Trouble::Panic(3))).is_err());
    let held = fs::File::open(dir.path().join("work")).unwrap();
    held.lock().unwrap();
    let resume = Resume { restart: true, preparing: 0, phases: Vec::new(), carried: Carried::default() };
    let journal = PlannedJournal { resume: Some(resume), ..*plan.journal.clone().unwrap() };
    let again = Plan { journal: Some(Box::new(journal)), ..plan };
    let error = run_plan(&again, &executor, Trouble::Never).unwrap_err();
    assert!(matches!(error, RunError::Execute(ExecuteError::WorkdirBusy { .. })), "{error:?}");
    assert!(dir.path().join("work/data/ibdata1").exists(), "the other run's copy is gone");
}

#[test]
fn an_incremental_that_a_prepare_has_used_up_is_refused() {
    let dir = directory();
    stored(dir.path());
    fs::write(dir.path().join("stored/ibdata1.meta"), "page_size = 16384\n").unwrap();
    fs::write(dir.path().join("stored/t.ibd.meta"), "page_size = 16384\n").unwrap();
    fs::write(dir.path().join("stored/t.ibd.delta"), "").unwrap();
    let executor = FakeExecutor::default();
    let error = run_plan(&plan(dir.path()), &executor, Trouble::Never).unwrap_err();
    let RunError::Execute(ExecuteError::ConsumedIncremental { path }) = &error else { panic!("{error:?}") };
    assert!(path.to_string_lossy().contains("stored/ibdata1"), "{}", path.display());
    assert!(executor.launched().is_empty());
    assert!(!dir.path().join("work").exists());
}

#[test]
fn a_work_directory_that_was_filled_meanwhile_is_refused() {
    let dir = directory();
    stored(dir.path());
    fs::create_dir(dir.path().join("work")).unwrap();
    fs::write(dir.path().join("work/somebodys"), "file").unwrap();
    assert!(run_plan(&plan(dir.path()), &FakeExecutor::default(), Trouble::Never).is_err());
    assert!(dir.path().join("work/somebodys").exists());
}

/// Ctrl-C, SIGTERM or a lost session are to leave what a power cut would leave.
#[test]
fn a_restore_that_is_told_to_stop_keeps_what_it_has() {
    for trouble in (2..=3).flat_map(|number| [Trouble::Inside(number), Trouble::After(number)]) {
        let dir = directory();
        stored(dir.path());
        let plan = with_journal(dir.path());
        let executor = FakeExecutor::new([prepares(dir.path())]);
        let RunError::Execute(error) = run_plan(&plan, &executor, trouble).unwrap_err() else { panic!("{trouble:?}") };
        assert_eq!(error.signal(), Some(15), "{trouble:?}");
        let journal = fs::read_to_string(dir.path().join("work/dbbak-journal.jsonl")).unwrap();
        let journal = Journal::parse(&journal).unwrap();
        assert!(journal.failed.is_some_and(|(_, unproven)| !unproven), "{trouble:?}");
        let copied = matches!(trouble, Trouble::After(2) | Trouble::Inside(3) | Trouble::After(3));
        assert!(!copied || dir.path().join("work/data/xtrabackup_checkpoints").exists(), "{trouble:?}");
    }
}

/// Fills the file system when the report is about to be written.
#[derive(Debug)]
struct Fills(PathBuf);

impl Reporter for Fills {
    fn report(&self, event: &Event<'_>) {
        if matches!(event, Event::StepStarted { title, .. } if title.starts_with("write ")) {
            let mut file = fs::File::create(&self.0).unwrap();
            for piece in [1 << 16, 1 << 12, 1] {
                while file.write_all(&vec![0; piece]).is_ok() {}
            }
        }
    }

    fn interrupted(&self) -> Option<i32> {
        None
    }
}

/// The data are restored, and there is no room for the report: they stay, and the same restore writes it later.
#[test]
fn data_whose_report_finds_no_room_are_kept() {
    if !SmallDisk::can_be_mounted("data_whose_report_finds_no_room_are_kept") {
        return;
    }
    let dir = directory();
    let _disk = SmallDisk::mount(dir.path(), 2);
    stored(dir.path());
    let plan = with_journal(dir.path());
    let executor = FakeExecutor::new([prepares(dir.path())]);
    let filler = dir.path().join("filler");
    let store = LocalStore::new(plan.store.clone().unwrap());
    let (clock, reporter) = (FakeClock::default(), Fills(filler.clone()));
    let running = Running { store: &store, session: None, executor: &executor, clock: &clock, reporter: &reporter };
    let RunError::Execute(error) = run::run(&plan, &running).unwrap_err() else { panic!("another kind of error") };
    let ExecuteError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), ErrorKind::StorageFull, "{error}");
    let work = dir.path().join("work");
    let mut names: Vec<_> = fs::read_dir(&work).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["data", "dbbak-journal.jsonl"], "no half a report");
    assert_eq!(fs::read_to_string(work.join("data/ibdata1")).unwrap(), "pages");
    // Its end found no room either: it then ends with the step that was begun.
    let journal = Journal::parse(&fs::read_to_string(work.join("dbbak-journal.jsonl")).unwrap()).unwrap();
    assert!(!journal.failed.is_some_and(|(_, unproven)| unproven));
    assert_eq!(journal.done.len(), plan.steps.len() - 2, "all but the making of the directory, and the report");

    fs::remove_file(filler).unwrap();
    let resume = Resume { restart: false, preparing: 0, phases: Vec::new(), carried: Carried::default() };
    let planned = PlannedJournal { resume: Some(resume), ..*plan.journal.clone().unwrap() };
    let rest = plan.steps.last().cloned().into_iter().collect();
    let again = Plan { journal: Some(Box::new(planned)), steps: rest, discard_dirs: Vec::new(), ..plan };
    run_plan(&again, &FakeExecutor::default(), Trouble::Never).unwrap();
    assert!(work.join("dbbak-restore.json").exists() && !work.join("dbbak-journal.jsonl").exists());
}
