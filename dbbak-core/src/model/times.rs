//! Times as the binlog index holds them: `YYYY-MM-DD HH:MM:SS`, UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// A moment in UTC, written `YYYY-MM-DD HH:MM:SS` or, where microseconds are known, `YYYY-MM-DD HH:MM:SS.ffffff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(DateTime<Utc>);

/// A text that is no such time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2025-10-02 14:00:00: {text:?}")]
pub struct LogTimeError {
    /// The text as it was found.
    pub text: String,
}

impl LogTime {
    /// The moment of a binlog event header's stamp (whole seconds since 1970, UTC).
    pub fn from_seconds(seconds: u32) -> Self {
        LogTime(DateTime::from_timestamp(i64::from(seconds), 0).unwrap_or_default())
    }

    /// The moment of a commit stamp (microseconds since 1970, UTC); `None` past the year 262142.
    pub fn from_micros(micros: u64) -> Option<Self> {
        i64::try_from(micros).ok().and_then(DateTime::from_timestamp_micros).map(LogTime)
    }

    /// Whether [`Self::from_micros`] knows the moment.
    pub(crate) fn holds_micros(micros: u64) -> bool {
        i64::try_from(micros).is_ok_and(|micros| micros <= DateTime::<Utc>::MAX_UTC.timestamp_micros())
    }

    /// The moment, cut to microseconds.
    pub fn from_utc(at: DateTime<Utc>) -> Self {
        DateTime::from_timestamp_micros(at.timestamp_micros()).map_or(LogTime(at), LogTime)
    }

    /// The moment at which its second is over.
    #[must_use]
    pub fn end_of_second(&self) -> Self {
        DateTime::from_timestamp(self.0.timestamp().saturating_add(1), 0).map_or(*self, LogTime)
    }

    /// The moment as chrono has it.
    pub fn at(&self) -> DateTime<Utc> {
        self.0
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.0.timestamp_subsec_micros() == 0 { "%Y-%m-%d %H:%M:%S" } else { "%Y-%m-%d %H:%M:%S%.6f" };
        self.0.format(format).fmt(f)
    }
}

impl FromStr for LogTime {
    type Err = LogTimeError;

    fn from_str(text: &str) -> Result<Self, LogTimeError> {
        if let Some(at) = parse_fixed(text.as_bytes()) {
            return Ok(LogTime(at.and_utc()));
        }
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .map(|at| LogTime(at.and_utc()))
            .map_err(|_| LogTimeError { text: text.to_owned() })
    }
}

/// Reads the two forms that are written. The general parser takes five times as long, and an index of a hundred
/// thousand binlogs holds more than half a million times.
fn parse_fixed(text: &[u8]) -> Option<NaiveDateTime> {
    let (seconds, fraction) = match text.len() {
        19 => (text, 0),
        26 if text[19] == b'.' => (&text[..19], number(&text[20..])?),
        _ => return None,
    };
    for (place, separator) in [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')] {
        if seconds[place] != separator {
            return None;
        }
    }
    let part = |from: usize| number(&seconds[from..from + 2]);
    let year = i32::try_from(number(&seconds[..4])?).ok()?;
    let day = NaiveDate::from_ymd_opt(year, part(5)?, part(8)?)?;
    day.and_hms_micro_opt(part(11)?, part(14)?, part(17)?, fraction)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = LogTime;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time like 2025-10-02 14:00:00")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<LogTime, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_seconds_and_microseconds() {
        for text in ["2025-10-02 14:00:00", "2025-10-02 14:00:00.000001"] {
            assert_eq!(text.parse::<LogTime>().unwrap().to_string(), text);
        }
        assert!("2025-10-02T14:00:00Z".parse::<LogTime>().is_err());
        assert_eq!(LogTime::from_seconds(0).to_string(), "1970-01-01 00:00:00");
        for text in ["2025-02-29 00:00:00", "2025-10-02 24:00:00", "2025-10-02 14:00:0x", "2025-10-02 14:00:00.00000x"]
        {
            assert!(text.parse::<LogTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_quick_parser_agrees_with_the_general_one() {
        for text in ["2024-02-29 23:59:59", "0001-01-01 00:00:00.999999", "9999-12-31 23:59:59.000001"] {
            let general = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").unwrap();
            assert_eq!(parse_fixed(text.as_bytes()), Some(general), "{text}");
        }
        assert_eq!(parse_fixed(b"2025-10-02 14:00:00.1"), None);
        assert_eq!("2025-10-02 14:00:00.1".parse::<LogTime>().unwrap().at().timestamp_subsec_millis(), 100);
    }
}
