//! Times on the command line: moments, and how long ago they were.

use chrono::{DateTime, TimeDelta, Utc};
use dbbak_core::model::parse_time;

/// A moment as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenTime {
    /// The moment.
    pub at: DateTime<Utc>,
    /// Whether it was told from now: the same words mean another moment later.
    pub relative: bool,
}

/// Reads `YYYY-MM-DD HH:MM[:SS[.ffffff]]` in UTC, RFC 3339, what dbbak itself prints (`... UTC`, `... or later`), and
/// `10 minutes ago`, `1h 30m ago`, `now`.
pub(crate) fn given_time(text: &str, now: DateTime<Utc>) -> Result<GivenTime, String> {
    let text = text.trim();
    if let Some(at) = ago(text, now) {
        return Ok(GivenTime { at, relative: true });
    }
    let bare = text.strip_suffix("or later").unwrap_or(text).trim_end();
    let bare = bare.strip_suffix("UTC").unwrap_or(bare).trim_end();
    let wrong = || {
        "expected YYYY-MM-DD HH:MM[:SS[.ffffff]] (UTC), RFC 3339 with an offset, or how long ago: \"10 minutes ago\""
            .to_owned()
    };
    parse_time(bare).map(|at| GivenTime { at, relative: false }).map_err(|_| wrong())
}

/// `now`, or numbers with units and `ago` behind them.
fn ago(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let text = text.to_ascii_lowercase();
    if text == "now" {
        return Some(now);
    }
    let mut rest = text.strip_suffix("ago")?.trim();
    let mut seconds = 0_i64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = rest[digits..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86400,
            "w" | "week" | "weeks" => 7 * 86400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = rest[end..].trim_start_matches([' ', ',']);
    }
    now.checked_sub_signed(TimeDelta::try_seconds(seconds)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        let now = parse_time("2025-10-02 12:00").unwrap();
        given_time(text, now).map(|given| {
            format!("{}{}", given.at.format("%m-%d %H:%M:%S%.f"), if given.relative { " relative" } else { "" })
        })
    }

    #[test]
    fn reads_how_long_ago() {
        for (text, expected) in [
            ("10 minutes ago", "10-02 11:50:00 relative"),
            ("1 hour ago", "10-02 11:00:00 relative"),
            ("1h30m ago", "10-02 10:30:00 relative"),
            ("1 day, 2 hours ago", "10-01 10:00:00 relative"),
            ("90s ago", "10-02 11:58:30 relative"),
            ("Now", "10-02 12:00:00 relative"),
            ("2025-10-01 01:02", "10-01 01:02:00"),
            // What `find` and plans print.
            ("2025-10-01 01:02:03 or later", "10-01 01:02:03"),
            ("2025-10-01 01:02:03.000004 UTC", "10-01 01:02:03.000004"),
            ("2025-10-01 01:02:03 UTC or later", "10-01 01:02:03"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "ago",
            "ten minutes ago",
            "10 ago",
            "10 minutes",
            "10 parsecs ago",
            "-5m ago",
            "99999999999999999999 s ago",
            "",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
