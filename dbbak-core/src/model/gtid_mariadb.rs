//! MariaDB's binlog state and GTID position: the last transaction of each domain, or of each domain and server.

use super::gtid::{GtidError, parse_mariadb};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// How far each replication domain has come.
///
/// Two forms share the type. A *state* (`gtid_binlog_state`, a Gtid_list event) names the last transaction of every
/// server of a domain, the domain's last one at the end. A *position* (`gtid_binlog_pos`, a backup's coordinates) names
/// only the last of each domain. Printed as MariaDB does: `0-2-7,0-1-9,1-1-4`, domains in ascending order, within a
/// domain the servers in ascending order but the server of its last transaction at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct MariadbGtidState {
    domains: BTreeMap<u32, Domain>,
}

/// One replication domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Domain {
    servers: BTreeMap<u32, u64>,
    last: u32,
}

impl MariadbGtidState {
    /// Whether no transaction was seen.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Notes a transaction as the domain's last.
    ///
    /// A sequence number that is lower than the server's last one (which `gtid_strict_mode=OFF` lets happen) does not
    /// take the server back.
    pub fn insert(&mut self, domain: u32, server: u32, seq: u64) {
        let domain = self.domains.entry(domain).or_default();
        let last = domain.servers.entry(server).or_default();
        *last = seq.max(*last);
        domain.last = server;
    }

    /// The state behind transactions of which only the last of each server is known: their numbers count, also lower ones, as in the
    /// server's own state (`gtid_strict_mode=OFF`; seen on 10.11: `SET gtid_seq_no = 3` makes `0-1-8` to `0-1-3`).
    #[must_use]
    pub fn overlaid(&self, later: &Self) -> Self {
        let mut all = self.clone();
        for (domain, server, seq) in later.entries() {
            let domain = all.domains.entry(domain).or_default();
            domain.servers.insert(server, seq);
            domain.last = server;
        }
        all
    }

    /// Notes a transaction as the domain's last, whatever number the server's last one had. Returns whether it went back.
    pub fn follow(&mut self, domain: u32, server: u32, seq: u64) -> bool {
        let domain = self.domains.entry(domain).or_default();
        domain.last = server;
        domain.servers.insert(server, seq).is_some_and(|last| seq < last)
    }

    /// Notes the next transaction of a file, of which `before` names what was before it. Returns whether the number is lower than that of its
    /// server's last one, be it in the file or before.
    pub fn follow_in_file(&mut self, before: Option<&Self>, (domain, server, seq): (u32, u32, u64)) -> bool {
        let known = self.last_of(domain, server).is_some();
        let last = before.filter(|_| !known).and_then(|before| before.last_of(domain, server));
        self.follow(domain, server, seq) || last.is_some_and(|last| seq < last)
    }

    /// Whether a transaction of that server is in the state: its number is not above the server's last one.
    pub fn contains(&self, domain: u32, server: u32, seq: u64) -> bool {
        self.last_of(domain, server).is_some_and(|last| seq <= last)
    }

    /// The last number of a server in a domain.
    pub fn last_of(&self, domain: u32, server: u32) -> Option<u64> {
        self.domains.get(&domain)?.servers.get(&server).copied()
    }

    /// The last transaction of a domain: server and number.
    pub fn last_in(&self, domain: u32) -> Option<(u32, u64)> {
        let domain = self.domains.get(&domain)?;
        Some((domain.last, *domain.servers.get(&domain.last)?))
    }

    /// Domain, server and number of each entry, in the order of the printed form.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u32, u64)> {
        self.domains.iter().flat_map(|(id, domain)| {
            let of = move |(server, seq): (&u32, &u64)| (*id, *server, *seq);
            let others = domain.servers.iter().filter(|(server, _)| **server != domain.last).map(of);
            others.chain(domain.servers.get_key_value(&domain.last).map(of))
        })
    }

    /// The position form: only the last transaction of each domain.
    #[must_use]
    pub fn position(&self) -> Self {
        let mut position = MariadbGtidState::default();
        for (domain, server, seq) in
            self.domains.keys().filter_map(|id| self.last_in(*id).map(|last| (*id, last.0, last.1)))
        {
            position.insert(domain, server, seq);
        }
        position
    }

    /// Both states' progress; the other, taken as the later one, says which server was last in each of its domains.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        for (domain, server, seq) in other.entries() {
            all.insert(domain, server, seq);
        }
        all
    }

    /// Whether the other has come as far in every domain and server of this one.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.entries().all(|(domain, server, seq)| other.contains(domain, server, seq))
    }

    /// Whether a position has come as far as this in every domain, by sequence number whatever the server.
    ///
    /// True to life only where numbers rise across the servers of a domain (`gtid_strict_mode`).
    pub fn is_reached_by(&self, position: &Self) -> bool {
        self.entries().all(|(domain, _, seq)| position.last_in(domain).is_some_and(|(_, last)| seq <= last))
    }
}

impl FromStr for MariadbGtidState {
    type Err = GtidError;

    /// Reads `0-1-5,1-2-7` with spaces and line breaks between the pieces; the last entry of a domain is its last one.
    fn from_str(text: &str) -> Result<Self, GtidError> {
        let mut state = MariadbGtidState::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (domain, server, seq) = parse_mariadb(part)
                .ok_or_else(|| GtidError::NotASet { text: text.to_owned(), part: part.to_owned() })?;
            state.insert(domain, server, seq);
        }
        Ok(state)
    }
}

impl fmt::Display for MariadbGtidState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (domain, server, seq)) in self.entries().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{domain}-{server}-{seq}")?;
        }
        Ok(())
    }
}

impl Serialize for MariadbGtidState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MariadbGtidState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> MariadbGtidState {
        text.parse().unwrap()
    }

    #[test]
    fn keeps_the_last_of_a_domain_at_its_end() {
        let mut found = state("1-2-7, 0-1-9,\n0-2-8");
        assert_eq!(found.to_string(), "0-1-9,0-2-8,1-2-7");
        found.insert(0, 1, 10);
        assert_eq!(found.to_string(), "0-2-8,0-1-10,1-2-7");
        assert_eq!(state(&found.to_string()), found);
        assert_eq!(found.position().to_string(), "0-1-10,1-2-7");
        assert!("0-1".parse::<MariadbGtidState>().is_err());
    }

    #[test]
    fn compares_by_domain_and_server_or_by_domain() {
        let all = state("0-1-9,0-2-12");
        assert!(state("0-1-9").is_subset_of(&all) && state("0-2-3").is_subset_of(&all));
        assert!(!state("0-1-10").is_subset_of(&all) && !state("1-1-1").is_subset_of(&all));
        assert!(all.is_reached_by(&state("0-2-12")) && !all.is_reached_by(&state("0-1-11")));
        assert!(!all.is_subset_of(&state("0-2-12")));
        assert_eq!(state("0-1-5").union(&state("0-2-7,1-1-1")), state("0-1-5,0-2-7,1-1-1"));
    }

    #[test]
    fn a_lower_number_does_not_take_a_server_back() {
        let mut found = state("0-1-9");
        found.insert(0, 1, 4);
        assert_eq!(found.to_string(), "0-1-9");
    }
}
