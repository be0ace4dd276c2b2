//! Times as the binlog index holds them: `YYYY-MM-DD HH:MM:SS`, UTC.

use chrono::{DateTime, NaiveDateTime, Utc};
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

    /// The moment, cut to microseconds.
    pub fn from_utc(at: DateTime<Utc>) -> Self {
        DateTime::from_timestamp_micros(at.timestamp_micros()).map_or(LogTime(at), LogTime)
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
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .map(|at| LogTime(at.and_utc()))
            .map_err(|_| LogTimeError { text: text.to_owned() })
    }
}

impl Serialize for LogTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LogTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
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
    }
}
