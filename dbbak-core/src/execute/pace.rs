//! Estimates how long something takes that goes through a known number of bytes.

use std::{collections::VecDeque, time::Duration};

/// The span whose rate counts: long enough to level bursts, short enough to notice that the work has changed.
const SPAN: Duration = Duration::from_secs(30);
/// With less than this nothing can be said.
const LEAST: Duration = Duration::from_secs(3);
/// Between two notes that are kept.
const STEP: Duration = Duration::from_millis(500);

/// How far something was at the moments of the last while.
#[derive(Debug, Default)]
pub(super) struct Pace {
    notes: VecDeque<(Duration, u64)>,
    now: (Duration, u64),
}

impl Pace {
    /// Notes how many bytes are done now.
    pub(super) fn note(&mut self, now: Duration, done: u64) {
        self.now = (now, done);
        if self.notes.back().is_none_or(|(at, _)| now.saturating_sub(*at) >= STEP) {
            self.notes.push_back((now, done));
        }
        // The one that is older than the span is the one to measure from.
        while self.notes.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= SPAN) {
            self.notes.pop_front();
        }
    }

    /// How long so many more bytes take at the rate of the last while; `None` while that cannot be said.
    pub(super) fn left(&self, bytes: u64) -> Option<Duration> {
        let (since, before) = self.notes.front()?;
        let (now, done) = self.now;
        let took = now.saturating_sub(*since);
        let gone = done.saturating_sub(*before);
        if bytes == 0 {
            return Some(Duration::ZERO);
        }
        if took < LEAST || gone == 0 {
            return None;
        }
        Some(Duration::from_secs_f64(took.as_secs_f64() * bytes as f64 / gone as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_said_at_first_nor_while_nothing_moves() {
        let mut pace = Pace::default();
        assert_eq!(pace.left(100), None);
        pace.note(at(10), 0);
        pace.note(at(12), 500);
        assert_eq!(pace.left(100), None, "two seconds tell nothing");
        pace.note(at(14), 1000);
        assert_eq!(pace.left(1000), Some(at(4)));
        let mut still = Pace::default();
        still.note(at(0), 700);
        still.note(at(20), 700);
        assert_eq!(still.left(100), None);
        assert_eq!(still.left(0), Some(at(0)));
    }

    #[test]
    fn the_rate_is_that_of_the_last_while() {
        let mut pace = Pace::default();
        // A second for a thousand bytes, and then, for two minutes, a second for ten.
        (0..100).for_each(|second| pace.note(at(second), second * 1000));
        (0..120).for_each(|second| pace.note(at(100 + second), 100_000 + second * 10));
        let left = pace.left(1000).unwrap();
        assert!((at(95)..at(105)).contains(&left), "{left:?}");
    }
}
