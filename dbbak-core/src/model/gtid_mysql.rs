//! MySQL's sets of GTIDs: intervals of transaction numbers under each UUID and tag.

use super::gtid::{GtidError, MAX_GNO, parse_number};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, fmt, str::FromStr};
use uuid::Uuid;

/// The longest tag that the server takes, in characters.
const MAX_TAG: usize = 32;

/// A set of MySQL transactions: closed intervals of numbers under each UUID and tag.
///
/// Printed in MySQL's canonical form, without spaces or line breaks: UUIDs in ascending order, the untagged intervals
/// first, then each tag in ascending order, `UUID:1-5:7:nightly:1-3,UUID:1`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MysqlGtidSet {
    // Per owner the intervals are sorted and never touch; an owner without intervals does not stand here.
    owners: BTreeMap<(Uuid, Tag), Vec<(u64, u64)>>,
}

/// A tag in lower case; the empty one, which sorts first, stands for untagged transactions.
type Tag = String;

impl MysqlGtidSet {
    /// Whether the set holds no transaction.
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// How many transactions the set holds.
    pub fn count(&self) -> u64 {
        self.owners
            .values()
            .flatten()
            .fold(0, |sum: u64, (first, last)| sum.saturating_add((last - first).saturating_add(1)))
    }

    /// The intervals, each with its UUID, its tag (`None`: untagged), its first and its last number.
    pub fn intervals(&self) -> impl Iterator<Item = (&Uuid, Option<&str>, u64, u64)> {
        self.owners.iter().flat_map(|((uuid, tag), intervals)| {
            let tag = Some(tag.as_str()).filter(|tag| !tag.is_empty());
            intervals.iter().map(move |(first, last)| (uuid, tag, *first, *last))
        })
    }

    /// Adds the transactions `first` to `last`, both included. An interval that ends before it starts adds none.
    pub fn insert(&mut self, uuid: Uuid, tag: Option<&str>, first: u64, last: u64) {
        if first > last {
            return;
        }
        // A log mostly holds one server's transactions: no need to look for the owner then.
        if let Some(mut owner) = self.owners.last_entry()
            && owner.key().0 == uuid
            && owner.key().1.eq_ignore_ascii_case(tag.unwrap_or_default())
            && grow(owner.get_mut(), first, last)
        {
            return;
        }
        let intervals = self.owners.entry((uuid, owned_tag(tag))).or_default();
        if grow(intervals, first, last) {
            return;
        }
        let from = intervals.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = intervals.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let mut joined = (first, last);
        for interval in intervals.get(from..to).unwrap_or_default() {
            joined = (joined.0.min(interval.0), joined.1.max(interval.1));
        }
        intervals.splice(from..to, [joined]);
    }

    /// Whether the set holds one transaction.
    pub fn contains(&self, uuid: &Uuid, tag: Option<&str>, gno: u64) -> bool {
        self.holds(&(*uuid, owned_tag(tag)), gno, gno)
    }

    /// The transactions of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (uuid, tag, first, last) in other.intervals() {
            all.insert(*uuid, tag, first, last);
        }
        all
    }

    /// The transactions of this set that the other lacks.
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        let mut owners = BTreeMap::new();
        for (owner, intervals) in &self.owners {
            let taken = other.owners.get(owner).map(Vec::as_slice).unwrap_or_default();
            let rest = subtract_intervals(intervals, taken);
            if !rest.is_empty() {
                owners.insert(owner.clone(), rest);
            }
        }
        MysqlGtidSet { owners }
    }

    /// Whether every transaction of this set is in the other.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.owners
            .iter()
            .all(|(owner, intervals)| intervals.iter().all(|(first, last)| other.holds(owner, *first, *last)))
    }

    fn holds(&self, owner: &(Uuid, Tag), first: u64, last: u64) -> bool {
        self.owners.get(owner).is_some_and(|intervals| {
            let at = intervals.partition_point(|(_, end)| *end < first);
            intervals.get(at).is_some_and(|(start, end)| *start <= first && last <= *end)
        })
    }
}

/// Adds what continues the last interval, or lies in it; whether it did. A log appends in order: it nearly always does.
fn grow(intervals: &mut [(u64, u64)], first: u64, last: u64) -> bool {
    match intervals.last_mut() {
        Some(end) if end.0 <= first && first <= end.1.saturating_add(1) => {
            end.1 = end.1.max(last);
            true
        }
        _ => false,
    }
}

fn owned_tag(tag: Option<&str>) -> Tag {
    tag.map(str::to_ascii_lowercase).unwrap_or_default()
}

fn subtract_intervals(from: &[(u64, u64)], taken: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = Vec::new();
    let mut taken = taken.iter().peekable();
    for &(first, last) in from {
        let mut start = first;
        while let Some(&&(cut_first, cut_last)) = taken.peek() {
            if cut_first > last {
                break;
            }
            if cut_last >= start {
                if cut_first > start {
                    rest.push((start, cut_first - 1));
                }
                start = cut_last.saturating_add(1);
            }
            if cut_last >= last {
                break;
            }
            taken.next();
        }
        if start <= last {
            rest.push((start, last));
        }
    }
    rest
}

/// Reads a tag: a letter or underscore, then letters, digits and underscores; kept in lower case.
pub(super) fn parse_tag(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let first = bytes.next()?;
    let fits = text.len() <= MAX_TAG
        && (first == b'_' || first.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    fits.then(|| text.to_ascii_lowercase())
}

fn parse_interval(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (parse_number(first.trim())?, parse_number(last.trim())?);
    (1 <= first && first <= last && last <= MAX_GNO).then_some((first, last))
}

impl FromStr for MysqlGtidSet {
    type Err = GtidError;

    /// Reads `UUID:1-5:7:tag:1-3,UUID:1`, with spaces and line breaks anywhere between the pieces, as the server and
    /// the backup tools print it. Empty pieces between commas are passed over.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let mut set = MysqlGtidSet::default();
        for group in text.split(',').map(str::trim).filter(|group| !group.is_empty()) {
            let error = |part: &str| GtidError::NotASet { text: text.to_owned(), part: part.to_owned() };
            let mut parts = group.split(':').map(str::trim);
            let uuid = parts.next().and_then(|uuid| Uuid::try_parse(uuid).ok()).ok_or_else(|| error(group))?;
            let mut tag = None;
            // A UUID or a tag without an interval after it says nothing: more likely a text that was cut.
            let mut awaiting = true;
            for part in parts {
                if let Some((first, last)) = parse_interval(part) {
                    set.insert(uuid, tag.as_deref(), first, last);
                    awaiting = false;
                } else {
                    tag = Some(parse_tag(part).ok_or_else(|| error(part))?);
                    awaiting = true;
                }
            }
            if awaiting {
                return Err(error(group));
            }
        }
        Ok(set)
    }
}

impl fmt::Display for MysqlGtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut previous: Option<&Uuid> = None;
        for ((uuid, tag), intervals) in &self.owners {
            if previous != Some(uuid) {
                if previous.is_some() {
                    f.write_str(",")?;
                }
                uuid.fmt(f)?;
            }
            if !tag.is_empty() {
                write!(f, ":{tag}")?;
            }
            for (first, last) in intervals {
                if first == last {
                    write!(f, ":{first}")?;
                } else {
                    write!(f, ":{first}-{last}")?;
                }
            }
            previous = Some(uuid);
        }
        Ok(())
    }
}

impl Serialize for MysqlGtidSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MysqlGtidSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const A: &str = "11111111-1111-1111-1111-111111111111";
    const B: &str = "22222222-2222-2222-2222-222222222222";

    fn set(text: &str) -> MysqlGtidSet {
        text.replace('A', A).replace('B', B).parse().unwrap()
    }

    #[track_caller]
    fn check(found: &MysqlGtidSet, expected: &str) {
        assert_eq!(found.to_string(), expected.replace('A', A).replace('B', B));
    }

    #[test]
    fn prints_the_canonical_form() {
        check(&set(""), "");
        check(&set(" B:5 ,\n A:3-4:1-2 : 9,\nA:10\n"), "A:1-4:9-10,B:5");
        check(&set("A:1-138:nightly:1:dbbak:1"), "A:1-138:dbbak:1:nightly:1");
        check(&set("A:zeta:3,A:1,A:Zeta:4"), "A:1:zeta:3-4");
        check(&set("A:5-7:6:1-9"), "A:1-9");
    }

    #[test]
    fn refuses_what_is_no_set() {
        for text in ["A", "A:", "A:tag", "A:0-3", "A:5-3", "A:1-2-3", "A:1:2x", "xyz:1", "A:-1"] {
            let text = text.replace('A', A);
            assert!(text.parse::<MysqlGtidSet>().is_err(), "{text}");
        }
    }

    #[test]
    fn agrees_with_a_plain_set_of_numbers() {
        // Every pair of subsets of 1..=6, as bit masks: small enough to try them all.
        let build = |mask: u64| {
            let mut built = MysqlGtidSet::default();
            for gno in (1..=6).rev().filter(|gno| mask >> gno & 1 == 1) {
                built.insert(A.parse().unwrap(), None, gno, gno);
            }
            built
        };
        let numbers = |set: &MysqlGtidSet| -> BTreeSet<u64> {
            set.intervals().flat_map(|(_, _, first, last)| first..=last).collect()
        };
        for left in 0..64 {
            let left = build(left << 1);
            for right in 0..64 {
                let right = build(right << 1);
                let (l, r) = (numbers(&left), numbers(&right));
                assert_eq!(numbers(&left.union(&right)), &l | &r);
                assert_eq!(numbers(&left.subtract(&right)), &l - &r);
                assert_eq!(left.is_subset_of(&right), l.is_subset(&r));
                assert_eq!(left.union(&right), right.union(&left));
            }
            assert_eq!(left.count(), numbers(&left).len() as u64);
            assert_eq!(left.to_string().parse::<MysqlGtidSet>().unwrap(), left);
        }
    }

    #[test]
    fn keeps_tags_and_uuids_apart() {
        let all = set("A:1-5:t:1-2,B:7");
        check(&all.subtract(&set("A:2-3:t:2")), "A:1:4-5:t:1,B:7");
        assert!(set("A:t:1").is_subset_of(&all) && !set("A:u:1").is_subset_of(&all));
        assert!(all.contains(&A.parse().unwrap(), Some("T"), 2));
        assert!(!all.contains(&A.parse().unwrap(), Some("t"), 3));
        assert_eq!(all.count(), 8);
    }
}
