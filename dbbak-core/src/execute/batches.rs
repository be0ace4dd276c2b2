//! Unpacks the batches of a window, each while the one before it is applied.

use super::{
    Event, Reporter,
    error::ExecuteError,
    landmarks::{Landmarks, Marks},
    proof::ExpectedLog,
    unpack::unpack_file,
    untold::UntoldLook,
};
use crate::{
    plan::{UnpackBinlogs, UntoldOfWindow},
    store::StoreReader,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread::{Scope, ScopedJoinHandle},
};

/// A window of which some batches are unpacked.
#[derive(Debug)]
pub(super) struct Unpacking {
    pub(super) step: UnpackBinlogs,
    expected: ExpectedLog,
    untold: UntoldLook,
    batch: usize,
    /// What stands in the first batch, until somebody takes it.
    first: Option<Marks>,
}

impl Unpacking {
    /// Unpacks the first batch.
    ///
    /// # Errors
    ///
    /// As [`Unpacking::next`].
    pub(super) fn begin(
        step: &UnpackBinlogs,
        store: &dyn StoreReader,
        reporter: &dyn Reporter,
    ) -> Result<Self, ExecuteError> {
        super::files::create_private_dir(&step.dir)?;
        let landmarks = Landmarks::new(&step.skip, step.done_until.clone());
        let expected = ExpectedLog::create(&step.expected_list, landmarks)?;
        let mut unpacking =
            Unpacking { step: step.clone(), expected, untold: UntoldLook::default(), batch: 0, first: None };
        unpacking.first = unpacking.next(store, reporter)?;
        Ok(unpacking)
    }

    /// Unpacks the next batch, verifies it, and notes its transactions; `None` after the last one.
    ///
    /// # Errors
    ///
    /// When an archived file is missing, differs from what was archived, or the window's ends are no transaction
    /// boundaries; after the last batch, when the window is not the one that was planned.
    fn next(&mut self, store: &dyn StoreReader, reporter: &dyn Reporter) -> Result<Option<Marks>, ExecuteError> {
        let sizes = self.step.batch_sizes();
        let Some(size) = sizes.get(self.batch) else { return Ok(None) };
        let before: usize = sizes.iter().take(self.batch).sum();
        for place in before..before + size {
            unpack_file(&self.step, place, store, (&mut self.expected, &mut self.untold), reporter)?;
        }
        self.batch += 1;
        let marks = self.expected.end_batch()?;
        if self.batch == sizes.len() {
            self.expected.finish()?;
            if let Some(gtid) = self.expected.landmarks().not_met() {
                return Err(ExecuteError::SkipNotFound { gtid });
            }
            let found = self.expected.transactions();
            if let Some(expected) = self.step.transactions.filter(|planned| *planned != found) {
                return Err(ExecuteError::WindowDiffers { expected, found });
            }
        }
        Ok(Some(marks))
    }

    /// What was noted of the whole window.
    pub(super) fn landmarks(&self) -> &Landmarks {
        self.expected.landmarks()
    }

    /// What no log tells of the window.
    pub(super) fn untold(&self) -> &UntoldOfWindow {
        self.untold.found()
    }

    /// How many transactions the window holds.
    pub(super) fn transactions(&self) -> u64 {
        self.expected.transactions()
    }
}

/// Batches that are unpacked in a thread, at most one ahead of the one that was taken.
#[derive(Debug)]
pub(super) struct Ahead<'scope> {
    first: Option<Marks>,
    batches: Receiver<Marks>,
    stop: Arc<AtomicBool>,
    thread: Option<ScopedJoinHandle<'scope, Result<Unpacking, ExecuteError>>>,
    whole: Option<Unpacking>,
}

impl<'scope> Ahead<'scope> {
    /// Begins with the batch after the first.
    pub(super) fn start<'env>(
        mut unpacking: Unpacking,
        scope: &'scope Scope<'scope, 'env>,
        (store, reporter): (&'env dyn StoreReader, &'env dyn Reporter),
    ) -> Self {
        let first = unpacking.first.take();
        // A batch is handed over when the one before it is applied and gone: no other is begun until then.
        let (sender, batches) = sync_channel(0);
        let stop = Arc::new(AtomicBool::new(false));
        let quiet = Quiet { reporter, stop: Arc::clone(&stop) };
        let thread = scope.spawn(move || {
            while let Some(marks) = unpacking.next(store, &quiet)? {
                if sender.send(marks).is_err() {
                    break;
                }
            }
            Ok(unpacking)
        });
        Ahead { first, batches, stop, thread: Some(thread), whole: None }
    }

    /// The next batch, waiting until it is there; `None` after the last.
    ///
    /// # Errors
    ///
    /// What went wrong while it was unpacked.
    pub(super) fn next(&mut self) -> Result<Option<Marks>, ExecuteError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if let Ok(marks) = self.batches.recv() {
            return Ok(Some(marks));
        }
        self.end()?;
        Ok(None)
    }

    /// The window after its last batch was taken.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::BadPlan`] before that.
    pub(super) fn finish(mut self) -> Result<Unpacking, ExecuteError> {
        self.end()?;
        let missing = || ExecuteError::BadPlan { problem: "a replay ended before its last batch".into() };
        self.whole.take().ok_or_else(missing)
    }

    fn end(&mut self) -> Result<(), ExecuteError> {
        if let Some(thread) = self.thread.take() {
            let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.whole = Some(ended);
        }
        Ok(())
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Passes on what the user must know, and the wish to stop: the progress that is shown is the applier's.
#[derive(Debug)]
struct Quiet<'a> {
    reporter: &'a dyn Reporter,
    stop: Arc<AtomicBool>,
}

impl Reporter for Quiet<'_> {
    fn report(&self, event: &Event<'_>) {
        if !matches!(event, Event::Progress { .. }) {
            self.reporter.report(event);
        }
    }

    fn interrupted(&self) -> Option<i32> {
        // Nobody waits for the batch any more: as if the user had asked, and nobody will hear of it.
        let stopped = self.stop.load(Ordering::Relaxed).then_some(15);
        stopped.or_else(|| self.reporter.interrupted())
    }
}
