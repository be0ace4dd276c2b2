//! What stands along a window: where it ends, and the transactions that a replay must stop at.

use crate::{
    binlog::{EndKind, Transaction, defines_event},
    model::{BinlogName, BinlogPosition, Gtid, GtidSet, MariadbGtidState, MysqlGtidSet},
    store::BinlogEntry,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// What stands along a window, noted while its files are read.
#[derive(Debug, Default)]
pub(super) struct Landmarks {
    /// Transactions to leave out that were not met yet.
    awaited: BTreeSet<Gtid>,
    /// What stands in the batch that is being read.
    batch: Marks,
    /// The transaction that was left out last.
    skipped: Option<Gtid>,
    /// MariaDB: the transactions that the server's own applier must not apply.
    pub(super) apart: BTreeSet<Gtid>,
    /// MariaDB: the last transaction of each domain in log order, whatever its number: server and number.
    pub(super) position: BTreeMap<u32, (u32, u64)>,
    /// MariaDB: what a binlog that follows the window would list as its history.
    pub(super) state: Option<MariadbGtidState>,
    /// MySQL: the GTIDs of the window.
    pub(super) executed: MysqlGtidSet,
    /// The latest time of any transaction, seconds since 1970, UTC.
    pub(super) newest: u64,
    /// The same without what the server's own applier does not apply.
    applied: BTreeMap<u32, (u32, u64)>,
    /// The place up to which a dead replay had applied the window.
    done_until: Option<BinlogPosition>,
    /// Something behind which nobody can say what a dead server had done.
    hindrance: Option<String>,
    /// The names of the XA transactions that the batch prepares, as their hashes.
    prepared: HashSet<u64>,
    /// Whether the file that is read prepares one under a name that was used before.
    name_used_again: bool,
}

/// What stands in one batch.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The files.
    pub(super) files: Vec<BinlogName>,
    /// Transactions that the server's own applier must not apply, in log order.
    pub(super) apart: Vec<Apart>,
    /// The end of the last transaction.
    pub(super) end: Option<BinlogPosition>,
    /// What stands before the place up to which a dead replay had applied the window, where that is in this batch.
    pub(super) done: Option<Done>,
    /// Why a replay that dies in this batch or a later one cannot go on.
    pub(super) hindrance: Option<String>,
    /// The files that prepare an XA transaction under a name that was used before.
    pub(super) names_used_again: BTreeSet<BinlogName>,
}

/// What a dead replay had done.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// MySQL: its GTIDs.
    pub(super) executed: MysqlGtidSet,
    /// MariaDB: the last transaction of each domain that its applier applied.
    pub(super) position: BTreeMap<u32, (u32, u64)>,
}

/// A transaction that the server's own applier must not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) file: BinlogName,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) gtid: Option<Gtid>,
    /// Whether it is left out; otherwise it goes through the pipe.
    pub(super) skipped: bool,
}

impl Landmarks {
    /// Those of a window; of one that a dead replay had applied in part, up to where.
    pub(super) fn new(skip: &[Gtid], done_until: Option<BinlogPosition>) -> Self {
        Landmarks { awaited: skip.iter().cloned().collect(), done_until, ..Landmarks::default() }
    }

    /// Notes what stands before the place up to which a dead replay came, if that is here.
    fn note_done(&mut self, at: &BinlogPosition) {
        if self.done_until.as_ref() == Some(at) {
            self.batch.done = Some(Done { executed: self.executed.clone(), position: self.applied.clone() });
        }
    }

    /// The next file begins, with this history.
    pub(super) fn begin(&mut self, entry: &BinlogEntry) {
        if let Some(Ok(GtidSet::Mariadb(state))) = entry.gtids_before.as_deref().map(str::parse) {
            self.state = Some(state);
        }
    }

    /// Takes a transaction of the history, be it in the window or before it.
    pub(super) fn remember(&mut self, transaction: &Transaction) {
        if let (Some(state), Some(Gtid::Mariadb { domain, server, seq })) = (&mut self.state, &transaction.gtid) {
            state.insert(*domain, *server, *seq);
        }
        if let (EndKind::XaPrepare, Some(name)) = (transaction.end_kind, &transaction.xa) {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            self.name_used_again |= !self.prepared.insert(hasher.finish());
        }
    }

    /// Takes the next transaction of the window; whether it is to be left out.
    pub(super) fn pass(&mut self, file: &BinlogName, transaction: &Transaction) -> bool {
        let skipped =
            transaction.gtid.as_ref().is_some_and(|gtid| self.awaited.contains(gtid) || self.was_skipped(gtid));
        if let Some(gtid) = &transaction.gtid {
            self.awaited.remove(gtid);
            match gtid {
                Gtid::Mariadb { domain, server, seq } => drop(self.position.insert(*domain, (*server, *seq))),
                Gtid::Mysql { uuid, tag, gno } => self.executed.insert(*uuid, tag.as_deref(), *gno, *gno),
            }
        }
        let (start, end) = (transaction.start, transaction.end);
        let event = transaction.end_kind == EndKind::Ddl && transaction.statement.as_deref().is_some_and(defines_event);
        if skipped || event {
            self.skipped = transaction.gtid.clone().filter(|_| skipped);
            self.apart.extend(transaction.gtid.clone().filter(|gtid| matches!(gtid, Gtid::Mariadb { .. })));
            self.batch.apart.push(Apart { file: file.clone(), start, end, gtid: transaction.gtid.clone(), skipped });
        } else if let Some(Gtid::Mariadb { domain, server, seq }) = &transaction.gtid {
            self.applied.insert(*domain, (*server, *seq));
        }
        let end = BinlogPosition { file: file.clone(), position: end };
        let time = transaction.time.original_commit.map_or(u64::from(transaction.time.header_max), |at| at / 1_000_000);
        self.newest = self.newest.max(time);
        self.note_done(&end);
        self.batch.end = Some(end);
        if self.hindrance.is_none()
            && let Some(hindrance) = hindrance(transaction)
        {
            self.hindrance = Some(format!("{hindrance} at {file}:{start}"));
        }
        skipped
    }

    /// A source may log two groups of one GTID.
    fn was_skipped(&self, gtid: &Gtid) -> bool {
        self.skipped.as_ref() == Some(gtid)
    }

    /// Notes that a file of the batch was read.
    pub(super) fn file(&mut self, file: &BinlogName) {
        self.batch.files.push(file.clone());
        if std::mem::take(&mut self.name_used_again) {
            self.batch.names_used_again.insert(file.clone());
        }
    }

    /// What was noted of the batch, which ends here.
    pub(super) fn end_batch(&mut self) -> Marks {
        self.prepared.clear();
        Marks { hindrance: self.hindrance.clone(), ..std::mem::take(&mut self.batch) }
    }

    /// A transaction that is to be left out and was not met.
    pub(super) fn not_met(&self) -> Option<String> {
        self.awaited.iter().next().map(ToString::to_string)
    }
}

/// Why a replay that holds a transaction cannot go on after its death, wherever it died behind it: what the server kept of
/// it is in no log and no set of GTIDs.
fn hindrance(transaction: &Transaction) -> Option<&'static str> {
    let statement = transaction.statement.as_deref().unwrap_or_default();
    let words = statement.get(..statement.floor_char_boundary(200)).unwrap_or_default().to_ascii_uppercase();
    let session = transaction.session.as_ref();
    match transaction.end_kind {
        _ if transaction.gtid.is_none() => Some("there is a transaction without GTID"),
        _ if transaction.xa.is_some() => Some("there is an XA transaction"),
        EndKind::Incident => Some("there are changes that the server lost"),
        EndKind::Payload => Some("there is a transaction that cannot be read"),
        _ if session.is_some_and(|session| !session.temporary.is_empty()) => Some("there is a temporary table"),
        _ if session.is_some_and(|session| session.partial) => {
            Some("there are statements on tables that are not known")
        }
        _ if words.starts_with("CREATE") && words.contains("TEMPORARY") => Some("there is a temporary table"),
        _ => None,
    }
}
