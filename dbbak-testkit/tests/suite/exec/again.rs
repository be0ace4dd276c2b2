//! Plans that are carried out twice, and stores that take nothing more in the middle: what is listed stays whole, and the next run works.

use super::{
    Trouble, Watcher,
    backup::{Bench, bench_on, prepares, target, whole},
    recorded::binlogs,
    unmark,
};
use dbbak_cli::SystemProbe;
use dbbak_core::{
    catalog::Catalog,
    clock::Clock as _,
    facts::Facts,
    model::RestoredFact,
    plan::{BackupRequest, Plan, ShipRequest, plan_backup},
    record::rebuild,
    run::{self, Command, Finished, Planning, RunError, Running},
    store::{LocalStore, LockRequest, LockScope, Store as _, layout, local::LocalParts},
    survey,
};
use dbbak_testkit::{
    fake_executor::{FakeExecutor, Script},
    faulty::{Fault, FaultyDisk, Op},
};
use rustix::io::Errno;
use std::{fs, sync::Arc, time::Duration};

/// A command: how the store is made ready for it, its plan, what its tools do, and how many backups and binlogs are listed before and after.
struct Case {
    name: &'static str,
    command: Command,
    begin: fn(&Bench),
    plan: fn(&Bench) -> Plan,
    scripts: fn() -> Vec<Script>,
    listed: [(usize, usize); 2],
}

const CASES: [Case; 5] = [
    Case {
        name: "full",
        command: Command::Backup,
        begin: |_| {},
        plan: Bench::plan,
        scripts: whole,
        listed: [(0, 0), (1, 0)],
    },
    Case {
        name: "incremental",
        command: Command::Backup,
        begin: full,
        plan: incremental,
        scripts: || vec![Script::success(), takes_incremental(), Script::success()],
        listed: [(1, 0), (2, 0)],
    },
    Case {
        name: "ship",
        command: Command::Ship,
        begin: |_| {},
        plan: ship,
        scripts: Vec::new,
        listed: [(0, 0), (0, 2)],
    },
    Case {
        name: "reindex",
        command: Command::Reindex,
        begin: without_indexes,
        plan: |bench| planning(bench).reindex().unwrap(),
        scripts: Vec::new,
        listed: [(0, 2), (0, 2)],
    },
    Case {
        name: "unmark",
        command: Command::Unmark,
        begin: marked,
        plan: unmark::plan,
        scripts: || vec![prepares("full-prepared")],
        listed: [(1, 0), (1, 0)],
    },
];

fn planning(bench: &Bench) -> Planning<'_> {
    Planning { config: &bench.config, store: &bench.store, probe: &SystemProbe, clock: &bench.clock }
}

fn full(bench: &Bench) {
    bench.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
    bench.clock.advance(Duration::from_secs(120));
}

fn marked(bench: &Bench) {
    full(bench);
    unmark::mark(bench, "it was said");
}

/// An incremental of a server without binlogs that was not started since the full.
fn incremental(bench: &Bench) -> Plan {
    let catalog = Catalog::load(&bench.store).unwrap();
    let mut facts: Facts = bench.facts(&catalog);
    facts.restored = Some(RestoredFact::Never);
    let Some(Ok(server)) = &mut facts.server else { panic!("no server") };
    (server.log_bin, server.now, server.uptime) = (false, Some(bench.clock.now()), Some(1 << 20));
    let request = BackupRequest::Incremental { base: None, differential: false };
    let plan = plan_backup(&bench.config, &catalog, &facts, bench.clock.now(), &request).unwrap();
    assert!(plan.warnings.iter().all(|warning| !warning.contains("instead of")), "{:?}", plan.warnings);
    plan
}

/// A tool that leaves an incremental on a full that ends at 1000.
fn takes_incremental() -> Script {
    Script::success().says("completed OK!").does(|members| {
        let dir = target(members);
        fs::create_dir(&dir)?;
        fs::write(dir.join("ibdata1.delta"), "pages")?;
        fs::write(dir.join("ibdata1.meta"), "page_size = 16384\nzip_size = 0\nspace_id = 0\n")?;
        let checkpoints =
            "backup_type = incremental\nfrom_lsn = 1000\nto_lsn = 2000\nlast_lsn = 2016\nflushed_lsn = 2000\n";
        fs::write(dir.join("xtrabackup_checkpoints"), checkpoints)?;
        fs::write(dir.join("backup-my.cnf"), "[mysqld]\ninnodb_page_size=16384\n")?;
        fs::write(dir.join("xtrabackup_tablespaces"), r#"{"version":2,"external_tablespaces":[]}"#)?;
        fs::write(
            dir.join("xtrabackup_info"),
            "uuid = 1cc3b193-e54c-11f1-bac3-02fc00000002\nname = \ntool_name = xtrabackup\ntool_command = --backup\n\
             tool_version = 8.0.35-31\nibbackup_version = 8.0.35-31\nserver_version = 8.0.35\n\
             start_time = 2025-10-02 02:02:00\nend_time = 2025-10-02 02:02:01\nlock_time = 0\n\
             innodb_from_lsn = 1000\ninnodb_to_lsn = 2000\n\
             partial = N\nincremental = Y\nformat = file\ncompressed = N\nencrypted = N\n",
        )
    })
}

fn ship(bench: &Bench) -> Plan {
    let source = bench.path("binlogs");
    if !source.exists() {
        binlogs(&source, &["bin.000001", "bin.000002"]);
    }
    planning(bench).ship(&ShipRequest { rescue: Some(source), ..ShipRequest::default() }).unwrap()
}

fn without_indexes(bench: &Bench) {
    carry_out(bench, Command::Ship, &ship(bench), Vec::new()).unwrap();
    for entry in Catalog::load(&bench.store).unwrap().binlogs {
        fs::remove_file(bench.path("store").join(layout::transactions(&entry.stored_as).as_str())).unwrap();
    }
}

fn carry_out(bench: &Bench, command: Command, plan: &Plan, scripts: Vec<Script>) -> Result<Finished, RunError> {
    bench.carry_out(command, plan, &FakeExecutor::new(scripts), &Watcher::new(Trouble::Never))
}

/// How many backups and binlogs are listed; each of them is there.
#[track_caller]
fn listed(bench: &Bench, what: &str) -> (usize, usize) {
    let catalog = Catalog::load(&bench.store).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!((catalog.lost_backups.len(), catalog.losses().len()), (0, 0), "{what}");
    let mut facts = Facts::of_host(dbbak_core::probe::Probe::host(&SystemProbe));
    let all: Vec<_> = catalog.backups.iter().collect();
    survey::stored_chain(&mut facts, &bench.store, &all).unwrap_or_else(|error| panic!("{what}: {error}"));
    for (id, stored) in &facts.stored {
        assert!(stored.spoilt.is_empty() && !stored.trees.is_empty(), "{what}: {id}: {stored:?}");
    }
    for entry in &catalog.binlogs {
        let path = bench.path("store").join(layout::binlog(&entry.stored_as).as_str());
        assert!(path.exists(), "{what}: {} is gone", path.display());
    }
    (catalog.backups.len(), catalog.binlogs.len())
}

#[test]
fn a_plan_that_is_carried_out_twice_does_nothing_the_second_time() {
    for case in CASES {
        let bench = bench_on(LocalParts::default());
        (case.begin)(&bench);
        assert_eq!(listed(&bench, case.name), case.listed[0], "{}", case.name);
        let plan = (case.plan)(&bench);
        carry_out(&bench, case.command, &plan, (case.scripts)())
            .unwrap_or_else(|error| panic!("{}: {error:?}", case.name));
        assert_eq!(listed(&bench, case.name), case.listed[1], "{}", case.name);
        // Also where another run came between, and through JSON.
        let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        for again in [&plan, &read] {
            let before = lists(&bench);
            let result = carry_out(&bench, case.command, again, (case.scripts)());
            if case.name == "reindex" {
                // What it makes anew is what is there: the lists do not move, and a second run finds its plan to be of this store.
                result.unwrap();
            } else {
                let error = result.unwrap_err();
                assert!(matches!(error, RunError::Outdated { .. }), "{}: {error:?}", case.name);
            }
            assert_eq!(listed(&bench, case.name), case.listed[1], "{}", case.name);
            assert!(lists(&bench) == before, "{}: the lists were changed", case.name);
        }
    }
}

fn lists(bench: &Bench) -> [Option<Vec<u8>>; 2] {
    ["store/manifest.json", "store/binlogs/index.json"].map(|name| fs::read(bench.path(name)).ok())
}

/// What changes a file or a name.
const CHANGES: [Op; 8] =
    [Op::Create, Op::Write, Op::SyncFile, Op::CreateDir, Op::Rename, Op::RenameNew, Op::Link, Op::Sync];

/// Begins a command on a disk that refuses from some moment on; whether anything was refused.
fn refused(case: &Case, what: &str, spoil: impl FnOnce(&FaultyDisk)) -> bool {
    let disk = FaultyDisk::new();
    let bench = bench_on(LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() });
    (case.begin)(&bench);
    let plan = (case.plan)(&bench);
    let session = run::lock(&bench.store, case.command, &LockRequest::new("a test")).unwrap();
    let (executor, reporter) = (FakeExecutor::new((case.scripts)()), Watcher::new(Trouble::Never));
    let running = Running {
        store: &bench.store,
        session: Some(&*session),
        executor: &executor,
        clock: &bench.clock,
        reporter: &reporter,
    };
    spoil(&disk);
    let result = run::run(&plan, &running);
    let happened = disk.happened() > 0;
    disk.heal();
    drop(session);
    let found = listed(&bench, what);
    // Binlogs are entered one by one.
    let part = case.name == "ship" && found == (0, 1);
    assert!(part || case.listed.contains(&found), "{what}: {found:?} are listed");
    if result.is_ok() {
        assert_eq!(found, case.listed[1], "{what}: it said that it was done");
    }
    // There is room again: the next run comes to the end, unless this one had come so far.
    bench.clock.advance(Duration::from_secs(120));
    let is_done = match case.name {
        "unmark" => Catalog::load(&bench.store).unwrap().backups[0].entry.unusable.is_none(),
        "reindex" => false,
        _ => found == case.listed[1],
    };
    if !is_done {
        let plan = (case.plan)(&bench);
        carry_out(&bench, case.command, &plan, (case.scripts)()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        assert_eq!(listed(&bench, what), case.listed[1], "{what}");
    }
    happened
}

#[test]
fn a_store_that_is_full_from_any_moment_on_keeps_what_it_lists() {
    for case in CASES {
        let mut seen = 0;
        for op in [Op::Create, Op::Write] {
            for skip in 0.. {
                let what = format!("{}: full from {op:?} {skip} on", case.name);
                let full = |disk: &FaultyDisk| disk.from_then_on(op, "/store/", Fault::Refused(Errno::NOSPC), skip);
                if !refused(&case, &what, full) {
                    break;
                }
                seen += 1;
            }
        }
        assert!(seen > 3, "{}: nothing was refused", case.name);
    }
}

/// Rights that are taken away between plan and run: a mode, an ACL, an export that became read-only.
#[test]
fn rights_that_are_taken_away_after_the_plan_was_made() {
    for case in CASES {
        for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
            let what = format!("{}: {errno}", case.name);
            let all = |disk: &FaultyDisk| {
                CHANGES.iter().for_each(|op| disk.always(*op, "/store/", Fault::Refused(errno)));
            };
            assert!(refused(&case, &what, all), "{what}");
        }
    }
}

/// Lists are rebuilt on a store that becomes full in the middle: nothing is lost, and the next attempt comes to the end.
#[test]
fn a_rebuilding_of_lists_on_a_full_store_can_be_done_again() {
    for (lost, op) in [("manifest.json", Op::Create), ("binlogs/index.json", Op::Create), ("manifest.json", Op::Write)]
    {
        for skip in 0.. {
            let disk = FaultyDisk::new();
            let bench = bench_on(LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() });
            full(&bench);
            carry_out(&bench, Command::Ship, &ship(&bench), Vec::new()).unwrap();
            for name in [lost.to_owned(), format!("{lost}.prev")] {
                let _ = fs::remove_file(bench.path("store").join(name));
            }
            let again = |store: &LocalStore| {
                let session =
                    store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("reindex")).unwrap();
                let spoil = disk.happened() == 0;
                if spoil {
                    disk.from_then_on(op, "/store/", Fault::Refused(Errno::NOSPC), skip);
                }
                let id = uuid::Uuid::from_u128(9);
                let rebuilt = rebuild(&*session, (id, bench.clock.now()), &Watcher::new(Trouble::Never));
                disk.heal();
                rebuilt
            };
            let first = again(&bench.store);
            let what = format!("{lost}, full from {op:?} {skip} on");
            if disk.happened() == 0 {
                first.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(skip > 0, "{what}: nothing was refused");
                break;
            }
            first.err().unwrap_or_else(|| panic!("{what}: it said that it was done"));
            again(&bench.store).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(listed(&bench, &what), (1, 2), "{what}");
        }
    }
}
