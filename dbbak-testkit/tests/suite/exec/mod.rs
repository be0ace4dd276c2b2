//! Plans carried out on scripted processes: order, stop at the first failure, record after success alone, proof.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod again;
mod backup;
mod lease;
mod owner;
mod recorded;
mod replay;
mod restore;
mod unmark;

use dbbak_core::execute::{Event, Reporter};
use std::sync::{
    Mutex,
    atomic::{AtomicI32, Ordering},
};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// What happens when a step begins or has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Never,
    /// SIGTERM while this step runs.
    Inside(usize),
    /// SIGTERM after this step.
    After(usize),
    /// The program dies at the start of this step.
    Panic(usize),
}

/// Notes the steps that were begun, and makes trouble.
#[derive(Debug)]
struct Watcher {
    trouble: Trouble,
    signal: AtomicI32,
    begun: Mutex<Vec<String>>,
}

impl Watcher {
    fn new(trouble: Trouble) -> Self {
        Watcher { trouble, signal: AtomicI32::new(0), begun: Mutex::new(Vec::new()) }
    }

    fn begun(&self) -> Vec<String> {
        self.begun.lock().unwrap().clone()
    }
}

impl Reporter for Watcher {
    fn report(&self, event: &Event<'_>) {
        match event {
            Event::StepStarted { number, title, .. } => {
                self.begun.lock().unwrap().push((*title).to_owned());
                assert_ne!(self.trouble, Trouble::Panic(*number), "the program dies");
                if self.trouble == Trouble::Inside(*number) {
                    self.signal.store(15, Ordering::Relaxed);
                }
            }
            Event::StepFinished { number, .. } if self.trouble == Trouble::After(*number) => {
                self.signal.store(15, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn interrupted(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}
