//! A witness of what a server held at each commit: it drives a random workload of several clients and writes down, while
//! they write, what each transaction did.
//!
//! Nothing here knows dbbak's reader of binlogs or its planners. The order of the transactions in the log, and where they
//! stand there, comes from the vendor's own binlog reader ([`log`]); what each did comes from the clients themselves
//! ([`Driver`]). Together they say what the tables hold at any place of the log.

mod clients;
mod driver;
pub mod log;
mod model;
mod noise;
mod schema;
pub mod targets;

use std::collections::BTreeMap;

pub use driver::Driver;
pub use log::Logged;
pub use model::{Change, Column, Seen, State, Table};

/// One transaction as its client knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The GTID that the server gave it.
    pub gtid: String,
    /// What it did.
    pub changes: Vec<Change>,
    /// The last statement, for messages.
    pub what: String,
    /// The machine's clock just before and just after the commit, microseconds since 1970.
    pub between: (u64, u64),
}

/// All that was written down.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// The transactions of the clients, in the order of their commits.
    pub commits: Vec<Commit>,
    /// The transactions of the client that waits for nobody, in their order. The server died before the last one before
    /// a crash was acknowledged: its GTID is known only if the client was told.
    pub noise: Vec<(u64, Option<String>)>,
    /// Single statements that ran for long: the GTID, and when they began and ended, microseconds since 1970.
    pub slow: Vec<(String, u64, u64)>,
}

/// The whole history of a server: its log, with what each transaction in it did.
#[derive(Debug, Clone)]
pub struct History {
    /// The transactions in log order.
    pub log: Vec<Logged>,
    /// What each did, in the same order.
    changes: Vec<Vec<Change>>,
    /// The statement that committed each, for messages.
    what: Vec<String>,
    /// As the [witness](Witness) has it.
    pub slow: Vec<(String, u64, u64)>,
}

impl Witness {
    /// Brings what was written down into the order of the log.
    ///
    /// # Errors
    ///
    /// A message, when log and witness contradict each other: a transaction that nobody made, one that is not logged,
    /// another order than that of the commits, or a commit time that the client knows to be wrong.
    pub fn along(&self, log: Vec<Logged>) -> Result<History, String> {
        let mut known: BTreeMap<&str, &[Change]> = BTreeMap::new();
        for commit in &self.commits {
            if known.insert(&commit.gtid, &commit.changes).is_some() {
                return Err(format!("two transactions have the GTID {}", commit.gtid));
            }
        }
        let noise: Vec<(Option<&str>, Vec<Change>)> =
            self.noise.iter().map(|(number, gtid)| (gtid.as_deref(), noise::changes(*number))).collect();
        known.extend(noise.iter().filter_map(|(gtid, changes)| Some(((*gtid)?, changes.as_slice()))));
        // Those that a crash kept the server from acknowledging, and that were in the tables after it.
        let mut unnamed = noise.iter().filter(|(gtid, _)| gtid.is_none());

        let mut changes = Vec::new();
        for logged in &log {
            let known = match known.remove(logged.gtid.as_str()) {
                Some(known) => known.to_vec(),
                None => match unnamed.next() {
                    Some((_, changes)) => changes.clone(),
                    None => return Err(format!("nobody made the transaction {logged:?}")),
                },
            };
            changes.push(known);
        }
        if let Some(gtid) = known.keys().next() {
            return Err(format!("{} transactions are not in the log, among them {gtid}", known.len()));
        }
        if unnamed.next().is_some() {
            return Err("a transaction that was in the tables after a crash is not in the log".to_owned());
        }
        self.check_order(&log)?;
        let texts: BTreeMap<&str, &str> =
            self.commits.iter().map(|commit| (commit.gtid.as_str(), commit.what.as_str())).collect();
        let what = |logged: &Logged| texts.get(logged.gtid.as_str()).copied().unwrap_or("noise").to_owned();
        let what = log.iter().map(what).collect();
        Ok(History { log, changes, what, slow: self.slow.clone() })
    }

    fn check_order(&self, log: &[Logged]) -> Result<(), String> {
        let place: BTreeMap<&str, &Logged> = log.iter().map(|logged| (logged.gtid.as_str(), logged)).collect();
        let index: BTreeMap<&str, usize> =
            log.iter().enumerate().map(|(index, logged)| (logged.gtid.as_str(), index)).collect();
        let mut last = None;
        for commit in &self.commits {
            let at = index.get(commit.gtid.as_str()).copied();
            if at <= last {
                return Err(format!("{commit:?} stands before a transaction that was committed before it"));
            }
            last = at;
            let (before, after) = commit.between;
            if let Some(time) = place.get(commit.gtid.as_str()).and_then(|logged| logged.committed)
                && !(before <= time && time <= after)
            {
                return Err(format!("{} was committed between {before} and {after}, logged: {time}", commit.gtid));
            }
        }
        Ok(())
    }
}

impl History {
    /// What the server held after so many transactions of its log.
    pub fn state_after(&self, transactions: usize) -> State {
        let mut state = State::default();
        self.changes[..transactions].iter().flatten().for_each(|change| state.apply(change));
        state
    }

    /// What stands around a place in the log, for messages.
    pub fn around(&self, transactions: usize) -> String {
        let from = transactions.saturating_sub(4);
        let lines = self.log.iter().zip(&self.what).enumerate().skip(from).take(8);
        lines.map(|(index, (logged, what))| format!("{index}: {logged:?} {what}\n")).collect()
    }

    /// Whether the transaction at an index of the log changed something that can be seen.
    pub fn shows(&self, index: usize) -> bool {
        self.state_after(index).seen() != self.state_after(index + 1).seen()
    }
}
