//! Names of binlog files and places in them.

use super::gtid::readable_gtids;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{cmp::Ordering, fmt, str::FromStr};

/// The name of a binlog file without its directory: a base name and a number, `mysql-bin.000123`.
///
/// The server counts with at least six digits and goes on with more (`mysql-bin.1000000`), so order is by the number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BinlogName {
    text: String,
    /// Bytes of the base name, so that comparing does not look for the dot.
    base: usize,
    number: u64,
}

/// A text that names no binlog file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a binlog file's name, like mysql-bin.000123: {text:?}")]
pub struct BinlogNameError {
    /// The text as it was found.
    pub text: String,
}

/// A text that names no place in a binlog file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a binlog, like mysql-bin.000123:4: {text:?}")]
pub struct BinlogPositionError {
    /// The text as it was found.
    pub text: String,
}

/// A place in a binlog file: the offset of an event in bytes from the file's start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BinlogPosition {
    /// The file.
    pub file: BinlogName,
    /// Bytes from the start of the file.
    pub position: u64,
}

/// Where a backup stands in its server's binlogs, as the tool recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BinlogCoordinates {
    /// The file.
    pub file: BinlogName,
    /// Bytes from the start of the file: everything before is in the backup, nothing after.
    pub position: u64,
    /// The GTID set (MySQL) or GTID position (MariaDB), where the server keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_gtids")]
    pub gtid: Option<String>,
}

impl BinlogName {
    /// The part before the number, without the dot.
    pub fn base(&self) -> &str {
        self.text.get(..self.base).unwrap_or_default()
    }

    /// The number after the last dot.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name that the server gives to the next file.
    pub fn successor(&self) -> Self {
        let number = self.number.saturating_add(1);
        BinlogName { text: format!("{}.{number:06}", self.base()), base: self.base, number }
    }
}

impl BinlogCoordinates {
    /// The place without the GTIDs.
    pub fn place(&self) -> BinlogPosition {
        BinlogPosition { file: self.file.clone(), position: self.position }
    }
}

impl fmt::Display for BinlogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl fmt::Display for BinlogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.position)
    }
}

impl FromStr for BinlogPosition {
    type Err = BinlogPositionError;

    /// Reads `FILE:POS`. The first event of every binlog stands at 4.
    fn from_str(text: &str) -> Result<Self, BinlogPositionError> {
        let error = || BinlogPositionError { text: text.to_owned() };
        let (file, position) = text.trim().rsplit_once(':').ok_or_else(error)?;
        let digits = !position.is_empty() && position.bytes().all(|digit| digit.is_ascii_digit());
        let position = position.parse().ok().filter(|position| digits && *position >= 4).ok_or_else(error)?;
        if file.contains('/') {
            return Err(error());
        }
        Ok(BinlogPosition { file: file.parse().map_err(|_| error())?, position })
    }
}

impl FromStr for BinlogName {
    type Err = BinlogNameError;

    /// Takes a bare name or a path as it stands in the server's index file, and keeps the last component.
    fn from_str(text: &str) -> Result<Self, BinlogNameError> {
        let error = || BinlogNameError { text: text.to_owned() };
        let name = text.trim().rsplit('/').next().unwrap_or_default();
        let (base, digits) = name.rsplit_once('.').ok_or_else(error)?;
        let well_formed = !base.is_empty() && digits.len() >= 6 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let number = digits.parse().ok().filter(|_| well_formed).ok_or_else(error)?;
        Ok(BinlogName { text: name.to_owned(), base: base.len(), number })
    }
}

impl Ord for BinlogName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.base().cmp(other.base()).then(self.number.cmp(&other.number)).then_with(|| self.text.cmp(&other.text))
    }
}

impl PartialOrd for BinlogName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for BinlogName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for BinlogName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> BinlogName {
        text.parse().unwrap()
    }

    #[test]
    fn takes_names_and_index_lines() {
        assert_eq!(name("./mysql-bin.000123\n").as_str(), "mysql-bin.000123");
        assert_eq!(name("/var/log/a.b.000001").base(), "a.b");
        for text in
            ["mysql-bin", "mysql-bin.idx", ".000001", "mysql-bin.00001", "mysql-bin.0000+1", "mysql-bin.000001.idx"]
        {
            assert!(text.parse::<BinlogName>().is_err(), "{text}");
        }
    }

    #[test]
    fn reads_places() {
        let place: BinlogPosition = "mysql-bin.000123:4".parse().unwrap();
        assert_eq!((place.file, place.position), (name("mysql-bin.000123"), 4));
        for text in ["mysql-bin.000123", "mysql-bin.000123:", "mysql-bin.000123:3", "b.000001:+9", "/b.000001:9", ":9"]
        {
            assert!(text.parse::<BinlogPosition>().is_err(), "{text}");
        }
    }

    #[test]
    fn orders_and_counts_past_six_digits() {
        assert!(name("b.999999") < name("b.1000000"));
        assert_eq!(name("b.999999").successor(), name("b.1000000"));
        assert_eq!(name("b.000009").successor(), name("b.000010"));
    }
}
