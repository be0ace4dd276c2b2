//! A transaction that was found, as it is shown.

use crate::{
    binlog::{EndKind, TableChange, Transaction},
    model::{BinlogName, LogTime},
    store::transactions::Kinds,
    tools::masked_statement,
};
use serde::Serialize;
use std::collections::HashMap;

/// A transaction that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Its time: the commit time, or a lower bound of it.
    pub time: LogTime,
    /// Whether `time` is the commit time.
    pub committed_at: bool,
    /// Its GTID.
    pub gtid: Option<String>,
    /// The timeline; none: it is not archived yet, and continues none.
    pub timeline: Option<String>,
    /// The binlog.
    pub file: BinlogName,
    /// Whether the binlog is archived.
    pub archived: bool,
    /// Offset of its first event.
    pub start: u64,
    /// Offset after its last event.
    pub end: u64,
    /// What it does, table by table.
    pub tables: Vec<HitTable>,
    /// Whether it changes more tables than are listed.
    pub more_tables: bool,
    /// How it ends: `commit`, `rollback`, `ddl`, `statement`, `xa prepare`, `xa commit`, `xa rollback`, `incident`,
    /// `payload`.
    pub ends: &'static str,
    /// The XA transaction that it prepares, commits or rolls back.
    pub xa: Option<String>,
    /// The beginning of its first statement, where the log has it; secrets masked.
    pub statement: Option<String>,
    /// The place just before it.
    pub restore_point: RestorePoint,
}

/// What a transaction does to one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HitTable {
    /// The database.
    pub database: String,
    /// The table; empty where it is about the database as such.
    pub table: String,
    /// What is done: `insert`, `drop`, ...
    pub kinds: Vec<&'static str>,
    /// Rows inserted.
    pub inserts: u64,
    /// Rows updated.
    pub updates: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Whether these are all. Changes that are logged as statements cannot be counted.
    pub counted: bool,
}

/// The place just before a transaction, as `restore` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RestorePoint {
    /// `--before-gtid`, and `--timeline` where the GTID is in several. It stands once in that timeline.
    BeforeGtid {
        /// The GTID.
        gtid: String,
        /// The timeline, where it must be named.
        timeline: Option<String>,
    },
    /// `--position`, and `--timeline` where the file's name is in several.
    Position {
        /// The binlog.
        file: BinlogName,
        /// The offset.
        position: u64,
        /// The timeline, where it must be named.
        timeline: Option<String>,
    },
}

impl RestorePoint {
    /// The arguments of the command that restores to here, `restore` the first of them.
    pub fn arguments(&self) -> Vec<String> {
        let (mut arguments, timeline) = match self {
            RestorePoint::BeforeGtid { gtid, timeline } => {
                (vec!["restore".to_owned(), "--before-gtid".to_owned(), gtid.clone()], timeline)
            }
            RestorePoint::Position { file, position, timeline } => {
                (vec!["restore".to_owned(), "--position".to_owned(), format!("{file}:{position}")], timeline)
            }
        };
        if let Some(timeline) = timeline {
            arguments.extend(["--timeline".to_owned(), timeline.clone()]);
        }
        arguments
    }
}

/// Where a transaction was found.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) file: &'a BinlogName,
    pub(super) timeline: Option<&'a str>,
    pub(super) archived: bool,
    /// Whether another timeline has a file of this name.
    pub(super) name_is_ambiguous: bool,
    /// Whether MariaDB's sequence numbers went back in its timeline: a GTID may stand in it twice.
    pub(super) went_back: bool,
}

impl Hit {
    /// `gtid_is_ambiguous`: another timeline may have the GTID too.
    pub(super) fn new(
        place: &Place<'_>,
        transaction: &Transaction,
        (time, committed_at): (LogTime, bool),
        gtid_is_ambiguous: bool,
    ) -> Self {
        let gtid = transaction.gtid.as_ref().map(ToString::to_string);
        let timeline = place.timeline.map(str::to_owned);
        let restore_point = match &gtid {
            Some(gtid) if !place.went_back => RestorePoint::BeforeGtid {
                gtid: gtid.clone(),
                timeline: timeline.clone().filter(|_| gtid_is_ambiguous),
            },
            _ => RestorePoint::Position {
                file: place.file.clone(),
                position: transaction.start,
                timeline: timeline.clone().filter(|_| place.name_is_ambiguous),
            },
        };
        Hit {
            time,
            committed_at,
            gtid,
            timeline,
            file: place.file.clone(),
            archived: place.archived,
            start: transaction.start,
            end: transaction.end,
            tables: transaction.tables.iter().map(HitTable::of).collect(),
            more_tables: transaction.more_tables,
            ends: end_word(transaction.end_kind),
            xa: transaction.xa.as_ref().map(ToString::to_string),
            statement: transaction.statement.as_deref().map(masked_statement),
            restore_point,
        }
    }

    /// Names its place by file and offset.
    pub(super) fn go_by_position(&mut self, name_is_ambiguous: bool) {
        self.restore_point = RestorePoint::Position {
            file: self.file.clone(),
            position: self.start,
            timeline: self.timeline.clone().filter(|_| name_is_ambiguous),
        };
    }
}

/// Names the places of transactions whose GTID others share by file and offset: a restore refuses a GTID that stands twice.
pub(super) fn tell_apart(hits: &mut [Hit], name_is_ambiguous: &dyn Fn(&BinlogName) -> bool) {
    let mut counts: HashMap<(Option<String>, String), usize> = HashMap::new();
    let key = |hit: &Hit| hit.gtid.clone().map(|gtid| (hit.timeline.clone(), gtid));
    for key in hits.iter().filter_map(key) {
        *counts.entry(key).or_default() += 1;
    }
    for hit in hits {
        if key(hit).is_some_and(|key| counts.get(&key).is_some_and(|count| *count > 1)) {
            hit.go_by_position(name_is_ambiguous(&hit.file));
        }
    }
}

impl HitTable {
    fn of(change: &TableChange) -> Self {
        const NAMES: [(Kinds, &str); 8] = [
            (Kinds::INSERT, "insert"),
            (Kinds::UPDATE, "update"),
            (Kinds::DELETE, "delete"),
            (Kinds::DROP, "drop"),
            (Kinds::TRUNCATE, "truncate"),
            (Kinds::RENAME, "rename"),
            (Kinds::ALTER, "alter"),
            (Kinds::CREATE, "create"),
        ];
        let kinds = Kinds::of_change(change);
        let mut names: Vec<&str> = NAMES.iter().filter(|(kind, _)| kinds.meets(*kind)).map(|(_, name)| *name).collect();
        // A rename is an alteration too; one word is enough.
        if kinds.meets(Kinds::RENAME) {
            names.retain(|name| *name != "alter");
        }
        if names.is_empty() && kinds.meets(Kinds::DDL) {
            names.push("ddl");
        }
        HitTable {
            database: change.database.clone(),
            table: change.table.clone(),
            kinds: names,
            inserts: change.inserts,
            updates: change.updates,
            deletes: change.deletes,
            counted: change.counted,
        }
    }
}

fn end_word(kind: EndKind) -> &'static str {
    match kind {
        EndKind::Commit => "commit",
        EndKind::Rollback => "rollback",
        EndKind::Ddl => "ddl",
        EndKind::Statement => "statement",
        EndKind::XaPrepare => "xa prepare",
        EndKind::XaCommit => "xa commit",
        EndKind::XaRollback => "xa rollback",
        EndKind::Incident => "incident",
        EndKind::Payload => "payload",
    }
}
