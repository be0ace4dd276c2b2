//! A clock that tests set, and on which waiting takes no time.

use chrono::{DateTime, Utc};
use dbbak_core::clock::Clock;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// A clock that stands still until someone waits on it or moves it. Its clones go with it.
#[derive(Debug, Clone)]
pub struct FakeClock {
    start: DateTime<Utc>,
    passed: Arc<Mutex<Duration>>,
    sleeps: Arc<AtomicU64>,
}

impl FakeClock {
    /// A clock that shows this moment.
    pub fn new(start: DateTime<Utc>) -> Self {
        FakeClock { start, passed: Arc::default(), sleeps: Arc::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }

    /// How often someone waited.
    pub fn sleeps(&self) -> u64 {
        self.sleeps.load(Ordering::Relaxed)
    }
}

impl Default for FakeClock {
    /// A clock that shows 2025-10-02 02:00 UTC.
    fn default() -> Self {
        FakeClock::new(DateTime::from_timestamp(1_759_370_400, 0).unwrap_or_default())
    }
}

impl Clock for FakeClock {
    fn now(&self) -> DateTime<Utc> {
        self.start + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        *self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, time: Duration) {
        self.sleeps.fetch_add(1, Ordering::Relaxed);
        self.advance(time);
    }
}
