//! The stamp that names a backup or a stored binlog: UTC to the minute, or to the second where the minute is taken.

use chrono::{DateTime, NaiveDate, SubsecRound, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A moment in UTC as it stands in stored names: `2025-10-02T02-00Z`, or `2025-10-02T02-00-37Z` where the minute was taken.
///
/// Order and equality are those of the moment, then of the precision; never of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    at: DateTime<Utc>,
    to_second: bool,
}

/// A text that is no stamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a stamp like 2025-10-02T02-00Z: {text:?}")]
pub struct StampError {
    /// The text as it was found.
    pub text: String,
}

impl Stamp {
    /// The stamp of a moment, to the minute (seconds are dropped, never rounded up).
    pub fn to_the_minute(at: DateTime<Utc>) -> Self {
        let at = at.trunc_subsecs(0);
        Stamp { at: at.with_second(0).unwrap_or(at), to_second: false }
    }

    /// The stamp of a moment, to the second.
    pub fn to_the_second(at: DateTime<Utc>) -> Self {
        Stamp { at: at.trunc_subsecs(0), to_second: true }
    }

    /// The moment that the text names.
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.to_second { "%Y-%m-%dT%H-%M-%SZ" } else { "%Y-%m-%dT%H-%MZ" };
        self.at.format(format).fmt(f)
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    fn from_str(text: &str) -> Result<Self, StampError> {
        parse_fixed(text.as_bytes()).ok_or_else(|| StampError { text: text.to_owned() })
    }
}

/// Reads the two forms, and nothing that would print differently: no signs, no leap second. By hand, since a listing of a
/// large archive holds a hundred thousand stamps.
fn parse_fixed(text: &[u8]) -> Option<Stamp> {
    let (second, to_second) = match text.len() {
        17 => (0, false),
        20 if text[16] == b'-' => (number(&text[17..19])?, true),
        _ => return None,
    };
    for (place, separator) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b'-'), (text.len() - 1, b'Z')] {
        if text[place] != separator {
            return None;
        }
    }
    let part = |from: usize| number(&text[from..from + 2]);
    let year = i32::try_from(number(&text[..4])?).ok()?;
    let day = NaiveDate::from_ymd_opt(year, part(5)?, part(8)?)?;
    Some(Stamp { at: day.and_hms_opt(part(11)?, part(14)?, second)?.and_utc(), to_second })
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_both_precisions() {
        for text in ["2025-10-02T02-00Z", "2025-10-02T02-00-37Z", "2025-10-02T02-00-00Z"] {
            assert_eq!(text.parse::<Stamp>().map(|stamp| stamp.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "2025-10-02T02:00Z",
            "2025-10-02T02-00",
            "2025-13-02T02-00Z",
            "2025-10-02T02-00-60Z",
            "",
            "+025-10-02T02-00Z",
        ] {
            assert!(text.parse::<Stamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn orders_by_the_moment_not_by_the_text() {
        let minute: Stamp = "2025-10-02T02-00Z".parse().unwrap();
        let second: Stamp = "2025-10-02T02-00-37Z".parse().unwrap();
        assert!(minute < second && minute.to_string() > second.to_string());
    }

    #[test]
    fn drops_what_the_precision_does_not_hold() {
        let at = "2025-10-02T02:00:59.999Z".parse().unwrap();
        assert_eq!(Stamp::to_the_minute(at).to_string(), "2025-10-02T02-00Z");
        assert_eq!(Stamp::to_the_second(at).to_string(), "2025-10-02T02-00-59Z");
    }
}
