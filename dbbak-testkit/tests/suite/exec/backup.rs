//! A full backup whose tool is scripted: what a failure, a signal or a crash at each step leaves.

use super::{Trouble, Watcher, directory};
use dbbak_cli::SystemProbe;
use dbbak_core::{
    catalog::Catalog,
    clock::Clock,
    config::Config,
    execute::{ExecuteError, ExitStatus, Reporter},
    facts::{Facts, ServerFacts, ToolFact},
    plan::{BackupRequest, KnownTablespaces, Plan, Step, plan_backup},
    probe::Probe,
    record::record_layout,
    run::{self, Command, Finished, RunError, Running},
    store::{LocalStore, LockRequest, LockScope, Store, StoreFile, local::LocalParts},
    survey,
    tools::{Flavor, Grants, Launch, ToolKind, ToolRole, ToolRunError, ToolVersion, Version},
};
use dbbak_testkit::{
    fake_clock::FakeClock,
    fake_executor::{FakeExecutor, Script},
};
use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

/// Steps of a full that keeps both prepared trees.
pub(super) const STEPS: usize = 17;
/// The one that records what the tool wrote.
const RECORDED: usize = 6;

pub(super) struct Bench {
    dir: TempDir,
    pub(super) store: LocalStore,
    pub(super) clock: FakeClock,
    pub(super) config: Config,
}

pub(super) fn bench() -> Bench {
    bench_on(LocalParts::default())
}

/// The same on a store made of other parts.
pub(super) fn bench_on(parts: LocalParts) -> Bench {
    let dir = directory();
    let path = |name: &str| dir.path().join(name);
    for name in ["store", "scratch", "data"] {
        fs::create_dir(path(name)).unwrap();
    }
    let store = LocalStore::with(path("store"), parts);
    let session = store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("init")).unwrap();
    let clock = FakeClock::default();
    record_layout(&*session, &StoreFile::new(Uuid::from_u128(7), clock.now())).unwrap();
    session.release().unwrap();
    let text = format!("nfs_root: {}\nscratch_dir: {}\n", path("store").display(), path("scratch").display());
    let config = Config::parse(text.as_bytes(), None).unwrap();
    Bench { dir, store, clock, config }
}

impl Bench {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn plan(&self) -> Plan {
        let catalog = Catalog::load(&self.store).unwrap();
        plan_backup(&self.config, &catalog, &self.facts(&catalog), self.clock.now(), &BackupRequest::Full).unwrap()
    }

    /// Carries a plan out under its locks, which are given back where they are held still.
    pub(super) fn carry_out(
        &self,
        command: Command,
        plan: &Plan,
        executor: &FakeExecutor,
        reporter: &dyn Reporter,
    ) -> Result<Finished, RunError> {
        let session = run::lock(&self.store, command, &LockRequest::new("a test"))?;
        let (store, clock) = (&self.store, &self.clock);
        run::run(plan, &Running { store, session: Some(&*session), executor, clock, reporter })
    }

    pub(super) fn facts(&self, catalog: &Catalog) -> Facts {
        let mut facts = Facts::of_host(SystemProbe.host());
        facts.tools.push(ToolFact {
            role: ToolRole::Backup,
            path: Some("/usr/bin/xtrabackup".into()),
            version: Some(ToolVersion {
                kind: ToolKind::Xtrabackup,
                flavor: Flavor::Percona,
                version: Some(Version::new(8, 0, 35)),
                full: "8.0.35-31".into(),
            }),
            problem: None,
        });
        facts.tools.push(ToolFact {
            role: ToolRole::Client,
            path: Some("/usr/bin/mysql".into()),
            version: Some(ToolVersion {
                kind: ToolKind::Mysql,
                flavor: Flavor::Mysql,
                version: Some(Version::new(8, 0, 35)),
                full: "8.0.35".into(),
            }),
            problem: None,
        });
        facts.server = Some(Ok(ServerFacts {
            flavor: Flavor::Mysql,
            version: Version::new(8, 0, 35),
            version_text: "8.0.35".into(),
            server_id: 1,
            uuid: None,
            datadir: self.path("data"),
            log_bin: true,
            log_bin_basename: Some(self.path("data/mysql-bin")),
            lsn: None,
            start_lsn: None,
            uptime: None,
            variables: BTreeMap::new(),
            binlogs: Vec::new(),
            now: None,
            grants: Grants::default(),
            encryption: None,
            persisted: Vec::new(),
        }));
        survey::backup_paths(&mut facts, &self.config, catalog, &SystemProbe).unwrap();
        facts
    }

    pub(super) fn run(&self, executor: &FakeExecutor, watcher: &Watcher) -> Result<Finished, RunError> {
        self.run_plan(&self.plan(), executor, watcher)
    }

    pub(super) fn run_plan(
        &self,
        plan: &Plan,
        executor: &FakeExecutor,
        watcher: &Watcher,
    ) -> Result<Finished, RunError> {
        self.carry_out(Command::Backup, plan, executor, watcher)
    }

    pub(super) fn listed(&self) -> usize {
        Catalog::load(&self.store).unwrap().backups.len()
    }

    pub(super) fn names_in(&self, name: &str) -> Vec<String> {
        let names = fs::read_dir(self.path(name)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| name.starts_with("full_") || name.starts_with("dbbak-"));
        names
    }

    /// What the tool wrote is listed, and nothing is left of what was made of it.
    #[track_caller]
    fn assert_raw_alone(&self, what: &str) {
        assert_eq!(self.listed(), 1, "{what}");
        let names = self.names_in("store");
        let mut inside: Vec<String> = fs::read_dir(self.path("store").join(&names[0]))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        inside.sort();
        assert_eq!(inside, ["files.json", "meta.json", "raw", "server"], "{what}");
        assert_eq!(self.names_in("scratch"), [""; 0], "{what}");
    }

    /// Nothing is listed, and nothing is left of what was begun.
    fn assert_clean(&self, what: &str) {
        assert_eq!(self.listed(), 0, "{what}");
        assert_eq!(self.names_in("store"), [""; 0], "{what}");
        assert_eq!(self.names_in("scratch"), [""; 0], "{what}");
    }
}

pub(super) fn target(members: &[Launch]) -> PathBuf {
    let args = members.iter().flat_map(|launch| launch.command.masked_args());
    args.filter_map(|arg| arg.strip_prefix("--target-dir=")).next().unwrap().into()
}

fn checkpoints(kind: &str) -> String {
    format!("backup_type = {kind}\nfrom_lsn = 0\nto_lsn = 1000\nlast_lsn = 1016\nflushed_lsn = 1000\n")
}

/// A tool that leaves all that it must.
pub(super) fn takes() -> Script {
    Script::success().says("completed OK!").does(|members| {
        let dir = target(members);
        fs::create_dir(&dir)?;
        fs::write(dir.join("ibdata1"), "pages")?;
        fs::write(dir.join("xtrabackup_checkpoints"), checkpoints("full-backuped"))?;
        fs::write(dir.join("backup-my.cnf"), "[mysqld]\ninnodb_page_size=16384\n")?;
        fs::write(dir.join("xtrabackup_tablespaces"), r#"{"version":2,"external_tablespaces":[]}"#)?;
        fs::write(dir.join("xtrabackup_binlog_info"), "mysql-bin.000001\t4711\n")?;
        fs::write(
            dir.join("xtrabackup_info"),
            "uuid = 1cc3b193-e54c-11f1-bac3-02fc00000001\nname = \ntool_name = xtrabackup\ntool_command = --backup\n\
             tool_version = 8.0.35-31\nibbackup_version = 8.0.35-31\nserver_version = 8.0.35\n\
             start_time = 2025-10-02 02:00:00\nend_time = 2025-10-02 02:00:01\nlock_time = 0\n\
             binlog_pos = filename 'mysql-bin.000001', position '4711'\ninnodb_from_lsn = 0\ninnodb_to_lsn = 1000\n\
             partial = N\nincremental = N\nformat = file\ncompressed = N\nencrypted = N\n",
        )
    })
}

pub(super) fn prepares(kind: &'static str) -> Script {
    Script::success()
        .says("completed OK!")
        .does(move |members| fs::write(target(members).join("xtrabackup_checkpoints"), checkpoints(kind)))
}

/// A client that says nothing of the server's tablespaces.
fn asks() -> Script {
    Script::success()
}

pub(super) fn whole() -> Vec<Script> {
    vec![asks(), takes(), asks(), prepares("log-applied"), prepares("full-prepared")]
}

/// Which of them are the tool's own.
const TOOL_RUNS: [usize; 3] = [1, 3, 4];

#[test]
fn steps_run_in_the_order_of_the_plan() {
    let (bench, executor, watcher) = (bench(), FakeExecutor::new(whole()), Watcher::new(Trouble::Never));
    let plan = bench.plan();
    assert_eq!(plan.steps.len(), STEPS);
    let finished = bench.run(&executor, &watcher).unwrap();
    let titles: Vec<String> = plan.steps.iter().map(|step| step.title()).collect();
    assert_eq!(watcher.begun(), titles);
    let phases: Vec<String> = finished.outcome.phases.iter().map(|phase| phase.title.clone()).collect();
    assert_eq!(phases, titles);
    let asked = |ask: &Launch| ask.command.to_string();
    let planned: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| match step {
            Step::RunTool(run) => {
                let first = match &run.tablespaces {
                    Some(KnownTablespaces::Ask(ask)) => Some(asked(ask)),
                    _ => None,
                };
                first.into_iter().chain([run.launch.command.to_string()]).collect()
            }
            Step::ReadBackup(read) => read.tablespaces.iter().map(asked).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(planned.len(), whole().len());
    let launched: Vec<String> = executor.launched().iter().map(|members| members[0].command.to_string()).collect();
    assert_eq!(launched, planned);
    assert_eq!(bench.listed(), 1);
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    let catalog = Catalog::load(&bench.store).unwrap();
    assert_eq!((catalog.orphans.len(), catalog.backups[0].ended_at), (0, bench.clock.now()));
}

#[test]
fn a_failing_tool_ends_the_run_and_leaves_nothing() {
    for at in TOOL_RUNS {
        for bad in [
            Script::success().status([ExitStatus::Code(1)]).says("cannot go on"),
            Script::success().status([ExitStatus::Signal(9)]),
            Script::success().says("almost done"),
            Script::success().says("completed OK!"),
            Script::not_started(),
            Script::success().does(|_| Err(io::Error::other("the fake is broken"))),
        ] {
            let bench = bench();
            let (mut scripts, what) = (whole(), format!("{bad:?} at {at}"));
            // A backup that does nothing leaves no directory; a prepare that does nothing leaves the old type.
            scripts[at] = bad;
            let executor = FakeExecutor::new(scripts);
            let error = bench.run(&executor, &Watcher::new(Trouble::Never)).unwrap_err();
            assert!(
                matches!(error, RunError::Execute(ExecuteError::Tool { .. } | ExecuteError::Exec(_))),
                "{what}: {error:?}"
            );
            assert_eq!(executor.launched().len(), at + 1, "{what}");
            match at {
                1 => bench.assert_clean(&what),
                // A finished full is not thrown away because of what is made of it.
                _ => bench.assert_raw_alone(&what),
            }
        }
    }
}

#[test]
fn a_tool_that_says_it_succeeded_and_left_no_backup_failed() {
    let bench = bench();
    let executor = FakeExecutor::new([asks(), Script::success().says("completed OK!")]);
    let error = bench.run(&executor, &Watcher::new(Trouble::Never)).unwrap_err();
    let RunError::Execute(ExecuteError::Tool { problem, .. }) = error else { panic!("{error:?}") };
    assert!(matches!(*problem, ToolRunError::MissingFile { .. }), "{problem:?}");
}

#[test]
fn a_signal_leaves_nothing_at_any_step() {
    for number in 1..=STEPS {
        for trouble in [Trouble::Inside(number), Trouble::After(number)] {
            let bench = bench();
            let result = bench.run(&FakeExecutor::new(whole()), &Watcher::new(trouble));
            if number == STEPS {
                // The record is not divisible, and after it nothing is left to be done.
                assert!(result.is_ok() && bench.listed() == 1, "{trouble:?}: {result:?}");
                continue;
            }
            let RunError::Execute(error) = result.unwrap_err() else { panic!("{trouble:?}") };
            assert_eq!(error.signal(), Some(15), "{trouble:?}: {error:?}");
            match number < RECORDED {
                true => bench.assert_clean(&format!("{trouble:?}")),
                false => bench.assert_raw_alone(&format!("{trouble:?}")),
            }
        }
    }
}

#[test]
fn a_hanging_tool_is_killed_by_a_signal() {
    let bench = bench();
    let executor = FakeExecutor::new([asks(), takes().hangs()]);
    let RunError::Execute(error) = bench.run(&executor, &Watcher::new(Trouble::Inside(2))).unwrap_err() else {
        panic!("no error of a step")
    };
    assert_eq!((error.signal(), executor.killed()), (Some(15), 1));
    bench.assert_clean("hang");
}

/// Nobody cleans up after a crash: but nothing half-done is listed, what was left is found, and the next run succeeds.
#[test]
fn a_crash_lists_nothing_at_any_step_and_the_next_run_succeeds() {
    for number in 1..=STEPS {
        let bench = bench();
        let watcher = Watcher::new(Trouble::Panic(number));
        let run = AssertUnwindSafe(|| bench.run(&FakeExecutor::new(whole()), &watcher));
        assert!(catch_unwind(run).is_err(), "step {number}");
        let catalog = Catalog::load(&bench.store).unwrap();
        let left = bench.names_in("store").len();
        let listed = usize::from(number > RECORDED);
        // A backup that described itself before it was recorded is no orphan.
        assert_eq!((catalog.backups.len(), catalog.orphans.len()), (listed, left - listed), "step {number}");
        assert_eq!(left, usize::from(number > 1), "step {number}");
        bench.clock.advance(Duration::from_secs(60));
        bench.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
        assert_eq!(bench.listed(), listed + 1, "step {number}");
        assert_eq!(bench.names_in("scratch"), [""; 0], "step {number}");
    }
}

/// The same option file twice, one that is not there, and two that come to the same name: settings are kept as far as it goes.
#[test]
fn option_files_that_cannot_be_kept_cost_no_backup() {
    let mut bench = bench();
    let path = |name: &str| bench.path(name);
    fs::create_dir(path("a")).unwrap();
    fs::write(path("a/b.cnf"), "[mysqld]\n").unwrap();
    fs::write(path("a__b.cnf"), "[mysqld]\n").unwrap();
    let names = ["a/b.cnf", "a/b.cnf", "a__b.cnf", "nowhere.cnf", "a"];
    let files: Vec<String> = names.iter().map(|name| path(name).display().to_string()).collect();
    let text = format!(
        "nfs_root: {}\nscratch_dir: {}\nserver:\n  config_files: [{}]\n",
        path("store").display(),
        path("scratch").display(),
        files.join(", ")
    );
    bench.config = Config::parse(text.as_bytes(), None).unwrap();
    let finished = bench.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
    assert_eq!((bench.listed(), finished.warnings.len()), (1, 2), "{:?}", finished.warnings);
    let kept = fs::read_dir(bench.path("store").join(&bench.names_in("store")[0]).join("server")).unwrap().count();
    assert_eq!(kept, 3, "variables, and two option files");
}

/// A scratch directory that cannot be used is seen before the backup is taken: it is kept without prepared trees.
#[test]
fn an_unusable_scratch_directory_costs_no_backup() {
    type Spoil = fn(&mut Bench);
    let spoils: [(&str, Spoil); 3] = [
        ("a file", |bench| fs::write(bench.path("scratch"), "a file").unwrap()),
        ("below a file", |bench| {
            fs::write(bench.path("scratch"), "a file").unwrap();
            bench.config.scratch_dir = Some(bench.path("scratch/below"));
        }),
        ("a link to itself", |bench| std::os::unix::fs::symlink("scratch", bench.path("scratch")).unwrap()),
    ];
    for (what, spoil) in spoils {
        let mut bench = bench();
        fs::remove_dir(bench.path("scratch")).unwrap();
        spoil(&mut bench);
        let plan = bench.plan();
        assert_eq!(plan.incomplete.len(), 1, "{what}: {:?}", plan.incomplete);
        assert!(plan.incomplete[0].contains("is no directory"), "{what}: {:?}", plan.incomplete);
        let executor = FakeExecutor::new([asks(), takes(), asks()]);
        let finished = bench.run_plan(&plan, &executor, &Watcher::new(Trouble::Never));
        assert_eq!(finished.unwrap().incomplete, plan.incomplete, "{what}");
        assert_eq!(bench.listed(), 1, "{what}");
    }
}
