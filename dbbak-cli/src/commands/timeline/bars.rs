//! Where times lie on a bar, for text and page alike.

use chrono::{DateTime, TimeDelta, Utc};
use dbbak_core::catalog::TimelineReport;

/// The span of time that a bar shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
}

/// A report longer than this also gets a bar of its newest part, where a hole of an hour can be seen.
const LONG: TimeDelta = TimeDelta::days(3);
/// That part.
const NEWEST: TimeDelta = TimeDelta::days(1);

impl Range {
    /// From the first backup or window to now; none where there is nothing to show.
    pub(super) fn of(report: &TimelineReport) -> Option<Self> {
        let backups = report.backups.iter().map(|backup| backup.ended_at);
        let from = report.windows.iter().map(|window| window.from).chain(backups).min()?;
        (from < report.now).then_some(Range { from, until: report.now })
    }

    /// The newest part of a long one.
    pub(super) fn newest(self) -> Option<Self> {
        (self.until - self.from > LONG).then(|| Range { from: self.until - NEWEST, until: self.until })
    }

    /// Where a moment lies, from 0 to 1; what lies outside lies at an end.
    pub(super) fn place(self, at: DateTime<Utc>) -> f64 {
        let all = (self.until - self.from).num_milliseconds().max(1) as f64;
        ((at - self.from).num_milliseconds() as f64 / all).clamp(0.0, 1.0)
    }

    /// The moment at a place.
    pub(super) fn at(self, place: f64) -> DateTime<Utc> {
        let all = (self.until - self.from).num_milliseconds() as f64;
        self.from + TimeDelta::milliseconds((all * place) as i64)
    }
}

/// Joins spans that lie less than a step apart, so that a bar has at most as many pieces as it has room for.
pub(super) fn joined(mut spans: Vec<(f64, f64)>, step: f64) -> Vec<(f64, f64)> {
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut all: Vec<(f64, f64)> = Vec::new();
    for (from, until) in spans {
        match all.last_mut() {
            Some(last) if from - last.1 <= step => last.1 = last.1.max(until),
            _ => all.push((from, until)),
        }
    }
    all
}
