//! The time and waiting, behind a seam, so that tests need neither the wall clock nor sleep.
#![expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time and sleeps")]

use chrono::{DateTime, Utc};
use std::{
    fmt::Debug,
    time::{Duration, Instant, SystemTime},
};

/// Tells the time and waits.
pub trait Clock: Debug + Send + Sync {
    /// The wall clock: may jump either way. For records and names, never for measuring.
    fn now(&self) -> DateTime<Utc>;

    /// Time since some fixed moment: never goes back. For measuring, never for records.
    fn monotonic(&self) -> Duration;

    /// Returns when the time has passed on [`Clock::monotonic`].
    fn sleep(&self, time: Duration);
}

/// The system's clock.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts now.
    pub fn new() -> Self {
        SystemClock { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        SystemTime::now().into()
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
