//! Ends what a run does once its lock is lost: what tools, tree passes and renames write does not pass through the session.

use super::{Event, ExecuteError, Reporter};
use crate::{
    clock::Clock,
    store::{LockScope, Session, StoreError},
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

/// How often a long step has the lock looked at. Whoever takes over waits much longer for a heartbeat.
const INTERVAL: Duration = Duration::from_secs(5);

/// What long steps are told in place of a signal's number. No signal has it.
const LOST: i32 = 0;

/// Passes on what a run says, and has long steps end early once the run's lock belongs to someone else.
///
/// Every loop that heeds [`Reporter::interrupted`] heeds the lock by that: programs are killed, copies stop.
#[derive(Debug)]
pub struct LeaseWatch<'a> {
    reporter: &'a dyn Reporter,
    session: Option<&'a dyn Session>,
    clock: &'a dyn Clock,
    state: Mutex<State>,
}

/// Whether a session's locks are for writing.
pub(super) fn writes(session: &dyn Session) -> bool {
    session.scopes().iter().any(|scope| *scope != LockScope::Read)
}

#[derive(Debug, Default)]
struct State {
    next: Duration,
    lost: Option<StoreError>,
}

impl<'a> LeaseWatch<'a> {
    /// Watches the session's locks, where one of them is for writing. A read lease is no licence to write: what is read
    /// under it is verified, and goes elsewhere.
    pub fn new(reporter: &'a dyn Reporter, session: Option<&'a dyn Session>, clock: &'a dyn Clock) -> Self {
        LeaseWatch { reporter, session: session.filter(|session| writes(*session)), clock, state: Mutex::default() }
    }

    /// Why a step failed: the lost lock, where that ended it.
    pub fn cause(&self, error: ExecuteError) -> ExecuteError {
        match self.state().lost.take() {
            Some(lost) if error.signal() == Some(LOST) => ExecuteError::Store(lost),
            _ => error,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> bool {
        let Some(session) = self.session else { return false };
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            // Another thread looks just now, and this one asks again soon.
            Err(TryLockError::WouldBlock) => return false,
        };
        let now = self.clock.monotonic();
        if state.lost.is_none() && now >= state.next {
            state.next = now + INTERVAL;
            // A lock file that cannot be read for a moment ends no backup of many hours: the next write looks again.
            if let Err(lost @ StoreError::LeaseLost { .. }) = session.check_lease() {
                state.lost = Some(lost);
            }
        }
        state.lost.is_some()
    }
}

impl Reporter for LeaseWatch<'_> {
    fn report(&self, event: &Event<'_>) {
        self.reporter.report(event);
    }

    fn interrupted(&self) -> Option<i32> {
        self.reporter.interrupted().or_else(|| self.lost().then_some(LOST))
    }
}
