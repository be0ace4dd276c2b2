//! Global transaction identifiers of both vendors: one transaction, and sets of them.

use super::gtid_mariadb::MariadbGtidState;
use super::gtid_mysql::{MysqlGtidSet, parse_tag};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// The largest transaction number that MySQL gives out.
pub(crate) const MAX_GNO: u64 = i64::MAX as u64 - 1;

/// The identifier of one transaction.
///
/// Printed as MySQL does, `UUID:N` or `UUID:TAG:N`, or as MariaDB does, `DOMAIN-SERVER-SEQ`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gtid {
    /// As MySQL and Percona Server number transactions.
    Mysql {
        /// The server (or the group) that first committed the transaction.
        uuid: Uuid,
        /// The tag in lower case (MySQL 8.3 and later); `None` where the transaction bears none.
        tag: Option<String>,
        /// The transaction's number under that UUID and tag, from 1.
        gno: u64,
    },
    /// As MariaDB numbers transactions.
    Mariadb {
        /// The replication domain.
        domain: u32,
        /// The server that first committed the transaction.
        server: u32,
        /// The transaction's number in the domain; it rises within each server, not always across servers.
        seq: u64,
    },
}

/// A set of transactions of one vendor.
///
/// An empty set belongs to either vendor: it equals the other vendor's empty set and joins with any set.
#[derive(Debug, Clone, Eq)]
pub enum GtidSet {
    /// A MySQL set of intervals.
    Mysql(MysqlGtidSet),
    /// A MariaDB state: the last transaction of each domain and server.
    Mariadb(MariadbGtidState),
}

/// A text that names no GTID or set of GTIDs, or two sets that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GtidError {
    /// The text is no single GTID.
    #[error("not a GTID: {text:?}")]
    NotAGtid {
        /// The text as it was found.
        text: String,
    },
    /// A piece of the text does not belong in a set.
    #[error("not a GTID set: {part:?} in {text:?}")]
    NotASet {
        /// The text as it was found.
        text: String,
        /// The piece that does not fit.
        part: String,
    },
    /// A MySQL and a MariaDB value were put together.
    #[error("GTIDs of two vendors: {left} and {right}")]
    MixedVendors {
        /// The first value.
        left: String,
        /// The second value.
        right: String,
    },
}

impl GtidSet {
    /// Whether the set holds no transaction.
    pub fn is_empty(&self) -> bool {
        match self {
            GtidSet::Mysql(set) => set.is_empty(),
            GtidSet::Mariadb(state) => state.is_empty(),
        }
    }

    /// Whether the set holds a transaction; a MariaDB state holds all up to the last of the same domain and server.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (GtidSet::Mysql(set), Gtid::Mysql { uuid, tag, gno }) => set.contains(uuid, tag.as_deref(), *gno),
            (GtidSet::Mariadb(state), Gtid::Mariadb { domain, server, seq }) => state.contains(*domain, *server, *seq),
            _ => false,
        }
    }

    /// Adds one transaction.
    ///
    /// # Errors
    /// The set holds transactions of the other vendor.
    pub fn insert(&mut self, gtid: &Gtid) -> Result<(), GtidError> {
        if self.is_empty() && self.is_mysql() != matches!(gtid, Gtid::Mysql { .. }) {
            *self = GtidSet::empty_of(gtid);
        }
        match (&mut *self, gtid) {
            (GtidSet::Mysql(set), Gtid::Mysql { uuid, tag, gno }) => set.insert(*uuid, tag.as_deref(), *gno, *gno),
            (GtidSet::Mariadb(state), Gtid::Mariadb { domain, server, seq }) => state.insert(*domain, *server, *seq),
            (set, gtid) => {
                return Err(GtidError::MixedVendors { left: set.to_string(), right: gtid.to_string() });
            }
        }
        Ok(())
    }

    /// The transactions of either set.
    ///
    /// # Errors
    /// The sets are of two vendors and neither is empty.
    pub fn union(&self, other: &Self) -> Result<Self, GtidError> {
        match (self, other) {
            (GtidSet::Mysql(left), GtidSet::Mysql(right)) => Ok(GtidSet::Mysql(left.union(right))),
            (GtidSet::Mariadb(left), GtidSet::Mariadb(right)) => Ok(GtidSet::Mariadb(left.union(right))),
            (left, right) if left.is_empty() => Ok(right.clone()),
            (left, right) if right.is_empty() => Ok(left.clone()),
            (left, right) => Err(GtidError::MixedVendors { left: left.to_string(), right: right.to_string() }),
        }
    }

    /// Whether every transaction of this set is in the other; sets of two vendors are subsets only when empty.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match (self, other) {
            (GtidSet::Mysql(left), GtidSet::Mysql(right)) => left.is_subset_of(right),
            (GtidSet::Mariadb(left), GtidSet::Mariadb(right)) => left.is_subset_of(right),
            (left, _) => left.is_empty(),
        }
    }

    fn is_mysql(&self) -> bool {
        matches!(self, GtidSet::Mysql(_))
    }

    fn empty_of(gtid: &Gtid) -> Self {
        match gtid {
            Gtid::Mysql { .. } => GtidSet::Mysql(MysqlGtidSet::default()),
            Gtid::Mariadb { .. } => GtidSet::Mariadb(MariadbGtidState::default()),
        }
    }
}

impl PartialEq for GtidSet {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (GtidSet::Mysql(left), GtidSet::Mysql(right)) => left == right,
            (GtidSet::Mariadb(left), GtidSet::Mariadb(right)) => left == right,
            (left, right) => left.is_empty() && right.is_empty(),
        }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gtid::Mysql { uuid, tag: None, gno } => write!(f, "{uuid}:{gno}"),
            Gtid::Mysql { uuid, tag: Some(tag), gno } => write!(f, "{uuid}:{tag}:{gno}"),
            Gtid::Mariadb { domain, server, seq } => write!(f, "{domain}-{server}-{seq}"),
        }
    }
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::Mysql(set) => set.fmt(f),
            GtidSet::Mariadb(state) => state.fmt(f),
        }
    }
}

impl FromStr for Gtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let parsed = if text.contains(':') {
            parse_mysql(text)
        } else {
            parse_mariadb(text).map(|(domain, server, seq)| Gtid::Mariadb { domain, server, seq })
        };
        parsed.ok_or_else(|| GtidError::NotAGtid { text: text.to_owned() })
    }
}

impl FromStr for GtidSet {
    type Err = GtidError;

    /// Reads a set of either vendor; MySQL's bear colons, MariaDB's do not. An empty text is an empty set.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        if text.contains(':') || text.trim().is_empty() {
            text.parse().map(GtidSet::Mysql)
        } else {
            text.parse().map(GtidSet::Mariadb)
        }
    }
}

fn parse_mysql(text: &str) -> Option<Gtid> {
    let mut parts = text.trim().split(':').map(str::trim);
    let uuid = Uuid::try_parse(parts.next()?).ok()?;
    let (tag, gno) = match (parts.next()?, parts.next(), parts.next()) {
        (gno, None, None) => (None, gno),
        (tag, Some(gno), None) => (Some(parse_tag(tag)?), gno),
        _ => return None,
    };
    let gno = parse_number(gno).filter(|gno| (1..=MAX_GNO).contains(gno))?;
    Some(Gtid::Mysql { uuid, tag, gno })
}

/// Reads `DOMAIN-SERVER-SEQ`.
pub(crate) fn parse_mariadb(text: &str) -> Option<(u32, u32, u64)> {
    let mut parts = text.trim().split('-');
    let mut number = || parts.next().and_then(parse_number);
    let (domain, server, seq) = (number()?, number()?, number()?);
    if parts.next().is_some() {
        return None;
    }
    Some((domain.try_into().ok()?, server.try_into().ok()?, seq))
}

/// Reads plain digits; `u64::from_str` would take a sign as well.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Reads the text of a set of GTIDs from a stored file, and keeps it as it stands. Text that is no set is refused: it is not
/// the empty set, and not "unknown" either.
///
/// # Errors
///
/// When the text is no set of GTIDs.
pub(crate) fn readable_gtids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    if let Some(text) = &text {
        text.parse::<GtidSet>().map_err(serde::de::Error::custom)?;
    }
    Ok(text)
}

impl Serialize for Gtid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Gtid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for GtidSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GtidSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "5548e6f5-e54c-11f1-bda1-02fc00000001";

    #[test]
    fn reads_one_transaction_of_either_vendor() {
        for text in [format!("{UUID}:23"), format!("{UUID}:nightly:1"), "0-1011-597".to_owned()] {
            assert_eq!(text.parse::<Gtid>().unwrap().to_string(), text);
        }
        assert_eq!(
            format!("{}:Tag:7", UUID.to_uppercase()).parse::<Gtid>().unwrap().to_string(),
            format!("{UUID}:tag:7")
        );
        for text in [
            "",
            "1-2",
            "1-2-3-4",
            "1-2-+3",
            "4294967296-1-1",
            &format!("{UUID}:0"),
            &format!("{UUID}:1-2"),
            &format!("{UUID}:9tag:1"),
            &format!("{UUID}:9223372036854775807"),
            "nonsense:1",
        ] {
            assert!(text.parse::<Gtid>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_set_belongs_to_either_vendor() {
        let mut set: GtidSet = "".parse().unwrap();
        let mariadb: GtidSet = "0-1-5".parse().unwrap();
        assert_eq!(set, GtidSet::Mariadb(MariadbGtidState::default()));
        assert_eq!(set.union(&mariadb).unwrap(), mariadb);
        assert!(set.is_subset_of(&mariadb) && !mariadb.is_subset_of(&set));
        set.insert(&"0-1-5".parse().unwrap()).unwrap();
        assert_eq!(set, mariadb);
        let mysql: GtidSet = format!("{UUID}:1-3").parse().unwrap();
        assert!(mysql.union(&mariadb).is_err() && !mysql.is_subset_of(&mariadb));
        assert!(set.insert(&format!("{UUID}:1").parse().unwrap()).is_err());
        assert!(!set.contains(&format!("{UUID}:1").parse().unwrap()));
    }

    #[test]
    fn serialises_as_text() {
        let set: GtidSet = format!("{UUID}:1-3").parse().unwrap();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, format!("\"{UUID}:1-3\""));
        assert_eq!(serde_json::from_str::<GtidSet>(&json).unwrap(), set);
    }
}
