//! What a restore is asked to reach.

use super::{BinlogPosition, Gtid};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a restore is asked to reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The latest reachable moment, floored.
    Latest,
    /// The very end of the archive: every archived whole transaction.
    End,
    /// A place that the log itself names.
    Cut(Goal),
    /// A moment: everything before it, nothing from it on.
    Time {
        /// The moment as asked for.
        at: DateTime<Utc>,
        /// Whether it is taken as it stands; otherwise it is floored.
        exact: bool,
    },
    /// A backup as it is, without binlogs: the newest that ended at or before a moment (now, when absent).
    NoPitr {
        /// The moment.
        at: Option<DateTime<Utc>>,
    },
}

/// What cuts a log in two: the restored state holds what stands before the cut, and nothing from it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The cut stands before the first transaction whose time is this moment or later.
    Moment(DateTime<Utc>),
    /// The cut stands right after a transaction.
    After(Gtid),
    /// The cut stands right before a transaction.
    Before(Gtid),
    /// The cut stands at an offset.
    Position(BinlogPosition),
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Goal::Moment(at) => write!(f, "the moment {}", super::LogTime::from_utc(*at)),
            Goal::After(gtid) | Goal::Before(gtid) => write!(f, "transaction {gtid}"),
            Goal::Position(position) => write!(f, "position {position}"),
        }
    }
}

/// A text that is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time: {text:?}")]
pub struct TimeError {
    /// The text as it was given.
    pub text: String,
}

/// Reads a time as a user writes it: `YYYY-MM-DD HH:MM[:SS[.ffffff]]` (also with a `T`) is UTC, RFC 3339 with an offset is
/// taken at its word.
///
/// # Errors
///
/// [`TimeError`] for every other text, a date alone included: the start of which day would be a guess.
pub fn parse_time(text: &str) -> Result<DateTime<Utc>, TimeError> {
    let trimmed = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(trimmed) {
        return Ok(at.with_timezone(&Utc));
    }
    let spaced = trimmed.replacen('T', " ", 1);
    let fraction = spaced.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let year_first = spaced.len() >= 16 && NaiveDate::parse_from_str(&spaced[..10], "%Y-%m-%d").is_ok();
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(&spaced, format).ok())
        .filter(|_| year_first && fraction <= 6)
        .map(|at| at.and_utc())
        .ok_or_else(|| TimeError { text: text.to_owned() })
}

/// A moment floored to a multiple of some minutes since midnight UTC; 0 minutes leave it as it is.
pub fn floor_time(at: DateTime<Utc>, minutes: u32) -> DateTime<Utc> {
    let step = i64::from(minutes) * 60_000_000;
    if step == 0 {
        return at;
    }
    let midnight = at.date_naive().and_time(chrono::NaiveTime::MIN).and_utc();
    let since = (at - midnight).num_microseconds().unwrap_or_default();
    midnight + TimeDelta::microseconds(since - since.rem_euclid(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
    }

    #[test]
    fn reads_utc_and_offsets() {
        for (text, expected) in [
            ("2025-10-02 14:41", "2025-10-02T14:41:00Z"),
            ("2025-10-02 14:41:07", "2025-10-02T14:41:07Z"),
            ("2025-10-02T14:41:07.000001", "2025-10-02T14:41:07.000001Z"),
            ("2025-10-02T14:41:07+07:00", "2025-10-02T07:41:07Z"),
            ("2025-10-02T14:41:07Z", "2025-10-02T14:41:07Z"),
        ] {
            assert_eq!(parse_time(text), Ok(utc(expected)), "{text}");
        }
    }

    #[test]
    fn refuses_what_it_would_have_to_guess() {
        for text in [
            "2025-10-02",
            "14:41",
            "tomorrow",
            "2025-10-02 14",
            "2025-02-30 10:00",
            "2025-10-02 25:00",
            "",
            "02-10-2025 14:41",
            "2025-10-02 14:41:07.1234567",
            "2025-10-02 14:41 UTC",
            "2025-10-02 14:41:07 garbage",
        ] {
            assert!(parse_time(text).is_err(), "{text}: {:?}", parse_time(text));
        }
    }

    #[test]
    fn floors_to_the_quarter() {
        assert_eq!(floor_time(utc("2025-10-02T02:41:59.999999Z"), 15), utc("2025-10-02T02:30:00Z"));
        assert_eq!(floor_time(utc("2025-10-02T02:30:00Z"), 15), utc("2025-10-02T02:30:00Z"));
        assert_eq!(floor_time(utc("2025-10-02T02:41:59Z"), 0), utc("2025-10-02T02:41:59Z"));
        assert_eq!(floor_time(utc("2025-10-02T02:41:59Z"), 1440), utc("2025-10-02T00:00:00Z"));
    }
}
