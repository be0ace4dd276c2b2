//! A full whose lock somebody else takes over: from then on it writes nothing more into the store.

use super::backup::{Bench, STEPS, bench, takes, target, whole};
use dbbak_core::{
    execute::{Event, ExecuteError, Reporter},
    plan::Step,
    record::RecordError,
    run::{Command, RunError},
    store::{LocalStore, LockRequest, LockScope, Session, Store, StoreError},
};
use dbbak_testkit::{
    fake_clock::FakeClock,
    fake_executor::{FakeExecutor, Script},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

/// All that lies in the store, but for its locks.
type Content = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The other run's lock, and what the store held when it was taken.
type Taken = (Box<dyn Session>, Content);

fn content(root: &Path) -> Content {
    let mut found = Content::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.strip_prefix(root).unwrap().starts_with("locks") {
                continue;
            }
            if path.is_dir() {
                open.push(path.clone());
                found.insert(path, None);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, Some(bytes));
            }
        }
    }
    found
}

/// Takes the lock over, as after a long silence, and looks at what the store holds at that moment.
#[derive(Debug, Clone)]
struct Taker {
    root: PathBuf,
    clock: FakeClock,
    taken: Arc<Mutex<Option<Taken>>>,
}

impl Taker {
    fn of(bench: &Bench) -> Self {
        Taker { root: bench.path("store"), clock: bench.clock.clone(), taken: Arc::default() }
    }

    fn take_over(&self) {
        let mut taken = self.taken.lock().unwrap();
        if taken.is_some() {
            return;
        }
        fs::remove_file(self.root.join("locks/backups.json")).unwrap();
        let store = LocalStore::new(&self.root);
        let session = store.lock(LockScope::Backups, &LockRequest::new("another full")).unwrap();
        *taken = Some((session, content(&self.root)));
        self.clock.advance(Duration::from_secs(60));
    }

    fn held(&self) -> Content {
        self.taken.lock().unwrap().as_ref().expect("the lock was taken over").1.clone()
    }
}

/// Takes the lock over when a step begins, or with the first bytes of a step.
#[derive(Debug)]
struct TakesOver {
    taker: Taker,
    step: usize,
    at_bytes: bool,
    now: Mutex<usize>,
}

impl Reporter for TakesOver {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::StepStarted { number, .. } => {
                *self.now.lock().unwrap() = *number;
                if *number == self.step && !self.at_bytes {
                    self.taker.take_over();
                }
            }
            Event::Progress { .. } if self.at_bytes && *self.now.lock().unwrap() == self.step => {
                self.taker.take_over();
            }
            _ => {}
        }
    }
}

#[derive(Debug)]
struct Quiet;

impl Reporter for Quiet {
    fn report(&self, _: &Event<'_>) {}
}

/// Runs a full to its end. The lock is not given back where it is held no more.
fn full(bench: &Bench, executor: &FakeExecutor, reporter: &dyn Reporter) -> Result<(), RunError> {
    bench.carry_out(Command::Backup, &bench.plan(), executor, reporter).map(drop)
}

#[track_caller]
fn assert_lost(result: Result<(), RunError>, what: &str) {
    let error = result.expect_err(what);
    let store = match &error {
        RunError::Execute(ExecuteError::Store(error)) | RunError::Record(RecordError::Store(error)) => error,
        other => panic!("{what}: {other}"),
    };
    assert!(matches!(store, StoreError::LeaseLost { scope: LockScope::Backups, .. }), "{what}: {store}");
}

#[test]
fn a_run_whose_lock_was_taken_over_writes_nothing_more() {
    for step in 1..=STEPS {
        let bench = bench();
        let taker = Taker::of(&bench);
        let reporter = TakesOver { taker: taker.clone(), step, at_bytes: false, now: Mutex::new(0) };
        let result = full(&bench, &FakeExecutor::new(whole()), &reporter);
        assert_lost(result, &format!("step {step}"));
        assert_eq!(content(&bench.path("store")), taker.held(), "step {step}");
    }
}

#[test]
fn a_tool_is_ended_once_the_lock_is_lost() {
    let bench = bench();
    let taker = Taker::of(&bench);
    let thief = taker.clone();
    let hangs = Script::success().hangs().does(move |members| {
        fs::create_dir(target(members))?;
        thief.take_over();
        Ok(())
    });
    let executor = FakeExecutor::new([Script::success(), hangs]);
    assert_lost(full(&bench, &executor, &Quiet), "the tool");
    assert_eq!((executor.killed(), executor.launched().len()), (1, 2));
    assert_eq!(content(&bench.path("store")), taker.held());
}

#[test]
fn a_copy_ends_once_the_lock_is_lost() {
    const FILES: usize = 400;
    let bench = bench();
    let taker = Taker::of(&bench);
    let copied = bench.plan().steps.iter().position(|step| matches!(step, Step::PassTree(pass) if pass.to.is_some()));
    let step = copied.unwrap() + 1;
    let mut scripts = whole();
    scripts[1] = takes().also(|members| {
        (0..FILES).try_for_each(|number| fs::write(target(members).join(format!("t{number}.ibd")), "rows"))
    });
    let reporter = TakesOver { taker: taker.clone(), step, at_bytes: true, now: Mutex::new(0) };
    assert_lost(full(&bench, &FakeExecutor::new(scripts), &reporter), "the copy");
    let copies =
        |dir: &Path| content(dir).keys().filter(|path| path.extension().is_some_and(|end| end == "ibd")).count();
    assert!(copies(&bench.path("scratch")) < FILES, "{} files were copied", copies(&bench.path("scratch")));
    assert_eq!(content(&bench.path("store")), taker.held());
}
