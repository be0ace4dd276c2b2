//! What is recorded stays: a plan that is run twice, a plan from elsewhere, and errors whose outcome is unknown.

use super::{
    Trouble, Watcher,
    backup::{Bench, bench, bench_on, whole},
};
use dbbak_cli::SystemProbe;
use dbbak_core::{
    catalog::Catalog,
    plan::{OrphansRequest, Plan, ShipRequest, Step},
    record::RecordError,
    run::{self, Command, Planning, RunError, Running},
    store::{LockRequest, StoreKey, StoreReader, layout, local::LocalParts},
};
use dbbak_testkit::{
    binlog_writer::{BinlogWriter, Vendor},
    fake_executor::{FakeExecutor, Script},
    faulty::{Fault, FaultyDisk, Op},
};
use rustix::io::Errno;
use std::{fs, path::Path, sync::Arc, time::Duration};

fn never() -> Watcher {
    Watcher::new(Trouble::Never)
}

/// The one backup is listed, and all its files are there.
#[track_caller]
fn assert_whole(bench: &Bench) {
    let catalog = Catalog::load(&bench.store).unwrap();
    assert_eq!((catalog.backups.len(), catalog.orphans.len()), (1, 0));
    let id = catalog.backups[0].id.to_string();
    for name in ["raw/ibdata1", "prepared-final", "files.json", "meta.json"] {
        assert!(bench.path("store").join(&id).join(name).exists(), "{name} is gone");
    }
}

#[test]
fn a_plan_that_is_run_twice_leaves_the_first_backup_alone() {
    let bench = bench();
    let plan = bench.plan();
    bench.run_plan(&plan, &FakeExecutor::new(whole()), &never()).unwrap();
    let again = FakeExecutor::new(whole());
    let error = bench.run_plan(&plan, &again, &never()).unwrap_err();
    assert!(matches!(&error, RunError::Outdated { key } if *key == layout::manifest()), "{error:?}");
    assert!(again.launched().is_empty(), "something was begun");
    assert_whole(&bench);
}

/// Where the manifest does not show it, the directory does: what another run made is not this one's to remove.
#[test]
fn a_run_discards_only_what_it_has_made() {
    let bench = bench();
    let plan = bench.plan();
    let Some(Step::CreateStoreDir { key }) = plan.steps.iter().find(|step| matches!(step, Step::CreateStoreDir { .. }))
    else {
        panic!("no directory is made")
    };
    let others = bench.path("store").join(key.as_str());
    fs::create_dir(&others).unwrap();
    fs::write(others.join("somebodys"), "file").unwrap();
    bench.run_plan(&plan, &FakeExecutor::new(whole()), &never()).unwrap_err();
    assert!(others.join("somebodys").exists());
    let scratch = plan.discard_dirs[0].clone();
    fs::remove_dir_all(&others).unwrap();
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join("somebodys"), "file").unwrap();
    bench.run_plan(&plan, &FakeExecutor::new(whole()), &never()).unwrap_err();
    assert!(scratch.join("somebodys").exists());
}

/// The rename has happened, and then something fails: the backup is recorded, and stays.
#[test]
fn an_error_behind_the_manifests_rename_keeps_the_backup() {
    // The writes of the manifest when the tool's tree is recorded, and when the prepared ones are. Before its own sync come those
    // for the lists beside the backup and for the generations before.
    for (op, path, fault, step, skip) in [
        (Op::Sync, "/store", Fault::Refused(Errno::IO), 6, 3),
        (Op::Sync, "/store", Fault::DoneAndDenied(Errno::IO), 6, 3),
        (Op::Sync, "/store", Fault::Refused(Errno::IO), 17, 5),
        (Op::Rename, "store/manifest.json", Fault::DoneAndDenied(Errno::IO), 6, 0),
    ] {
        let disk = FaultyDisk::new();
        let bench = bench_on(LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() });
        let watcher = FailsAt { disk: disk.clone(), step, fault: (op, path, fault, skip), inner: never() };
        let result = bench.carry_out(Command::Backup, &bench.plan(), &FakeExecutor::new(whole()), &watcher);
        disk.heal();
        if op == Op::Sync {
            let Err(RunError::Record(RecordError::Store(error))) = &result else { panic!("{result:?}") };
            assert_eq!(error.key(), Some(&StoreKey::root()), "{error:?}");
        }
        match (op, step) {
            (Op::Sync, 6) => {
                let catalog = Catalog::load(&bench.store).unwrap();
                assert_eq!((catalog.backups.len(), catalog.orphans.len()), (1, 0));
                let id = catalog.backups[0].id.to_string();
                assert!(bench.path("store").join(id).join("raw/ibdata1").exists());
            }
            _ => assert_whole(&bench),
        }
    }
}

/// Makes an operation fail in a step, after some that go well.
#[derive(Debug)]
struct FailsAt {
    disk: FaultyDisk,
    step: usize,
    fault: (Op, &'static str, Fault, u32),
    inner: Watcher,
}

impl dbbak_core::execute::Reporter for FailsAt {
    fn report(&self, event: &dbbak_core::execute::Event<'_>) {
        if let dbbak_core::execute::Event::StepStarted { number, .. } = event
            && *number == self.step
        {
            let (op, path, fault, skip) = self.fault;
            self.disk.after(op, path, fault, skip);
        }
        self.inner.report(event);
    }

    fn interrupted(&self) -> Option<i32> {
        None
    }
}

#[test]
fn plans_from_elsewhere_are_checked_before_anything_is_done() {
    let bench = bench();
    let victim = bench.path("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("somebodys"), "file").unwrap();
    type Change = fn(&mut Plan, &Path);
    let changes: [(&str, Change); 8] = [
        ("removes a directory", |plan, victim| plan.steps.insert(0, Step::RemoveTree { path: victim.to_owned() })),
        ("removes one that it says it will make", |plan, victim| {
            plan.steps.insert(0, Step::RemoveTree { path: victim.to_owned() });
            plan.steps.insert(1, Step::CreateDir { path: victim.to_owned() });
        }),
        ("a failure removes a directory", |plan, victim| plan.discard_dirs.push(victim.to_owned())),
        ("climbs out of its own", |plan, _| {
            let path = plan.discard_dirs[0].join("../../victim");
            plan.steps.insert(plan.steps.len() - 2, Step::RemoveTree { path });
        }),
        ("moves a directory away", |plan, victim| {
            let to = plan.discard_dirs[0].join("moved");
            plan.steps.insert(plan.steps.len() - 2, Step::MoveTree { from: victim.to_owned(), to });
        }),
        ("is bound to nothing", |plan, _| plan.made_from.clear()),
        ("names no store", |plan, _| plan.store = None),
        ("names another store", |plan, victim| plan.store = Some(victim.to_owned())),
    ];
    for (what, change) in changes {
        let mut plan = bench.plan();
        change(&mut plan, &victim);
        let json = serde_json::to_string(&plan).unwrap();
        let plan: Plan = serde_json::from_str(&json).unwrap();
        let executor = FakeExecutor::new([Script::not_started()]);
        let error = bench.run_plan(&plan, &executor, &never()).unwrap_err();
        assert!(matches!(error, RunError::Broken(_) | RunError::OtherStore { .. }), "{what}: {error:?}");
        assert!(executor.launched().is_empty() && victim.join("somebodys").exists(), "{what}");
    }
    // The same plan as it was made is carried out after a way through JSON.
    let plan: Plan = serde_json::from_str(&serde_json::to_string(&bench.plan()).unwrap()).unwrap();
    bench.run_plan(&plan, &FakeExecutor::new(whole()), &never()).unwrap();
    assert_whole(&bench);
}

/// A directory with the binlogs of a dead server.
pub(super) fn binlogs(dir: &Path, names: &[&str]) {
    fs::create_dir_all(dir).unwrap();
    for (number, name) in names.iter().enumerate() {
        let mut writer = BinlogWriter::new(Vendor::Mysql, true, 1_759_370_400 + number as u32 * 60);
        writer.anonymous();
        writer.query("shop", "CREATE TABLE t (a INT)");
        if let Some(next) = names.get(number + 1) {
            writer.rotate(next);
        } else {
            writer.stop();
        }
        fs::write(dir.join(name), writer.into_bytes()).unwrap();
    }
    let index: String = names.iter().map(|name| format!("./{name}\n")).collect();
    fs::write(dir.join("bin.index"), index).unwrap();
}

#[test]
fn a_ship_plan_that_is_run_twice_enters_each_binlog_once() {
    let bench = bench();
    let source = bench.path("binlogs");
    binlogs(&source, &["bin.000001", "bin.000002"]);
    let planning = Planning { config: &bench.config, store: &bench.store, probe: &SystemProbe, clock: &bench.clock };
    let plan = planning.ship(&ShipRequest { rescue: Some(source), ..ShipRequest::default() }).unwrap();
    assert_eq!(plan.steps.len(), 2);
    let carry_out = |plan: &Plan| bench.carry_out(Command::Ship, plan, &FakeExecutor::default(), &never());
    carry_out(&plan).unwrap();
    let error = carry_out(&plan).unwrap_err();
    assert!(matches!(&error, RunError::Outdated { key } if *key == layout::binlog_index()), "{error:?}");
    // Also where it says that it was made from what is there now: an entered file is no leftover.
    let mut forged = plan.clone();
    let now = Catalog::load(&bench.store).unwrap();
    forged.made_from.iter_mut().for_each(|from| from.content = now.index.map(|version| version.0));
    carry_out(&forged).unwrap_err();
    let catalog = Catalog::load(&bench.store).unwrap();
    assert_eq!(catalog.binlogs.len(), 2);
    for entry in &catalog.binlogs {
        assert!(bench.store.head(&layout::binlog(&entry.stored_as)).unwrap().is_some());
    }
}

#[test]
fn what_a_list_names_is_no_orphan() {
    let bench = bench();
    bench.run(&FakeExecutor::new(whole()), &never()).unwrap();
    let named = Catalog::load(&bench.store).unwrap().backups[0].id;
    fs::create_dir(bench.path("store/full_2020-01-01T00-00Z")).unwrap();
    // Ages are by the store's own clock, which is the machine's.
    bench.clock.advance(Duration::from_secs(50 * 365 * 86_400));
    let planning = Planning { config: &bench.config, store: &bench.store, probe: &SystemProbe, clock: &bench.clock };
    let mut plan = planning.orphans(&OrphansRequest { older_than_seconds: 0 }).unwrap();
    let Some(Step::RemoveStored { keys }) = plan.steps.first_mut() else { panic!("no orphan is found") };
    keys.push(layout::backup(&named));
    let error = bench.carry_out(Command::Prune, &plan, &FakeExecutor::default(), &never()).unwrap_err();
    assert!(matches!(error, RunError::Record(RecordError::Named { .. })), "{error:?}");
    assert_whole_but_orphan(&bench);
}

/// What was removed is gone; nothing else is touched by the same plan again, whichever way it came.
#[test]
fn a_prune_plan_that_is_run_twice_removes_nothing_more() {
    let bench = bench();
    bench.run(&FakeExecutor::new(whole()), &never()).unwrap();
    fs::create_dir(bench.path("store/full_2020-01-01T00-00Z")).unwrap();
    bench.clock.advance(Duration::from_secs(50 * 365 * 86_400));
    let planning = Planning { config: &bench.config, store: &bench.store, probe: &SystemProbe, clock: &bench.clock };
    let plan = planning.orphans(&OrphansRequest { older_than_seconds: 0 }).unwrap();
    let carry_out = |plan: &Plan| bench.carry_out(Command::Prune, plan, &FakeExecutor::default(), &never());
    carry_out(&plan).unwrap();
    assert_eq!(bench.names_in("store").len(), 1);
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
    for again in [&plan, &read] {
        // What is gone already counts as removed.
        carry_out(again).unwrap();
        assert_whole(&bench);
    }
    // A backup that took the orphan's name meanwhile, and is recorded, is no orphan.
    let named = Catalog::load(&bench.store).unwrap().backups[0].id;
    let mut forged = plan.clone();
    forged.steps = vec![Step::RemoveStored { keys: vec![layout::backup(&named)] }];
    carry_out(&forged).unwrap_err();
    assert_whole(&bench);
}

/// The store lies elsewhere when the plan is carried out, and another one, or none, where it was.
#[test]
fn a_store_that_was_moved_since_the_plan_was_made() {
    let bench = bench();
    let plan = bench.plan();
    let (was, is) = (bench.path("store"), bench.path("moved"));
    fs::rename(&was, &is).unwrap();
    let moved = dbbak_core::store::LocalStore::new(is);
    let session = run::lock(&moved, Command::Backup, &LockRequest::new("a full")).unwrap();
    let (executor, reporter) = (FakeExecutor::new(whole()), never());
    let running = Running {
        store: &moved,
        session: Some(&*session),
        executor: &executor,
        clock: &bench.clock,
        reporter: &reporter,
    };
    let error = run::run(&plan, &running).unwrap_err();
    assert!(matches!(&error, RunError::OtherStore { .. }), "{error:?}");
    assert!(executor.launched().is_empty() && !was.exists());
    assert_eq!(Catalog::load(&moved).unwrap().backups.len(), 0);
}

fn assert_whole_but_orphan(bench: &Bench) {
    assert_eq!(bench.listed(), 1);
    assert_eq!(bench.names_in("store").len(), 2, "something was removed");
}

/// What the server purges between the plan and the archiving is a gap, and the rest goes on.
#[test]
fn a_binlog_that_is_purged_meanwhile_is_a_gap_and_the_rest_goes_on() {
    let bench = bench();
    let source = bench.path("binlogs");
    binlogs(&source, &["bin.000001", "bin.000002", "bin.000003"]);
    let planning = Planning { config: &bench.config, store: &bench.store, probe: &SystemProbe, clock: &bench.clock };
    let plan = planning.ship(&ShipRequest { rescue: Some(source.clone()), ..ShipRequest::default() }).unwrap();
    fs::remove_file(source.join("bin.000002")).unwrap();
    let finished = bench.carry_out(Command::Ship, &plan, &FakeExecutor::default(), &never()).unwrap();
    assert_eq!(
        finished.incomplete,
        ["gap: bin.000002 was purged by the server before it could be archived (timeline t1)"]
    );
    let catalog = Catalog::load(&bench.store).unwrap();
    let names: Vec<String> = catalog.binlogs.iter().map(|entry| entry.name.to_string()).collect();
    assert_eq!(names, ["bin.000001", "bin.000003"]);
    assert_eq!(catalog.open_gaps().len(), 1);
}
