//! What is looked for.

use super::TablePattern;
use crate::{
    binlog::Transaction,
    model::{Gtid, LogTime},
    store::transactions::Kinds,
};
use chrono::{DateTime, Utc};
use regex::Regex;

/// What is looked for: transactions that fit everything that is given.
#[derive(Debug, Clone, Default)]
pub struct FindRequest {
    /// Tables, any of them.
    pub tables: Vec<TablePattern>,
    /// What is done, any of it, to one of the tables.
    pub kinds: Kinds,
    /// The earliest time.
    pub since: Option<DateTime<Utc>>,
    /// The time before which it was.
    pub until: Option<DateTime<Utc>>,
    /// The fewest rows. Where the log does not tell how many rows changed, any number is possible.
    pub min_rows: Option<u64>,
    /// What the statement holds.
    pub statement: Option<Regex>,
    /// The GTID.
    pub gtid: Option<Gtid>,
    /// The timeline.
    pub timeline: Option<String>,
    /// How many are shown, the newest; `None`: all.
    pub limit: Option<usize>,
}

/// What a transaction does to one table, as far as the filter asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// Whether the table is one that is looked for.
    pub(super) table: bool,
    pub(super) kinds: Kinds,
    pub(super) rows: [u64; 3],
    pub(super) counted: bool,
}

impl FindRequest {
    /// Whether a table is one that is looked for.
    pub(super) fn wants_table(&self, database: &str, table: &str) -> bool {
        self.tables.is_empty() || self.tables.iter().any(|pattern| pattern.matches(database, table))
    }

    /// Whether anything is asked of the changes.
    pub(super) fn asks_changes(&self) -> bool {
        !self.tables.is_empty() || !self.kinds.is_empty() || self.min_rows.is_some()
    }

    /// Whether a file or a block can hold what is looked for, by all that its transactions do.
    pub(super) fn wants_kinds(&self, all: Kinds) -> bool {
        self.kinds.is_empty() || all.meets(self.kinds.with(Kinds::UNLISTED))
    }

    /// Whether the changes of a transaction fit. `form`: what is known of it apart from its tables.
    pub(super) fn wants_changes(&self, form: Kinds, changes: impl Iterator<Item = Done>) -> bool {
        if !self.asks_changes() {
            return true;
        }
        // What is not told apart may be what is looked for: it is shown rather than left out.
        if form.meets(Kinds::UNLISTED) {
            return true;
        }
        let (mut fits, mut rows, mut uncounted) = (false, 0_u64, false);
        for change in changes {
            if change.table && (self.kinds.is_empty() || change.kinds.meets(self.kinds)) {
                fits = true;
                rows = rows.saturating_add(self.counted_rows(change.rows));
                uncounted |= !change.counted;
            }
        }
        // A definition that names no table, such as that of a user.
        fits |= self.tables.is_empty() && form.meets(self.kinds) && self.min_rows.is_none();
        fits && self.min_rows.is_none_or(|least| uncounted || rows >= least)
    }

    /// The rows that the wanted kinds of change are about.
    fn counted_rows(&self, rows: [u64; 3]) -> u64 {
        let of_rows = Kinds::INSERT.with(Kinds::UPDATE).with(Kinds::DELETE);
        let all = !self.kinds.meets(of_rows);
        let kinds = [Kinds::INSERT, Kinds::UPDATE, Kinds::DELETE];
        let wanted = rows.into_iter().zip(kinds).filter(|(_, kind)| all || self.kinds.meets(*kind));
        wanted.fold(0, |sum, (rows, _)| sum.saturating_add(rows))
    }

    /// Whether a time fits.
    pub(super) fn wants_time(&self, time: LogTime) -> bool {
        self.since.is_none_or(|since| time.at() >= since) && self.until.is_none_or(|until| time.at() < until)
    }

    /// Whether a statement fits.
    pub(super) fn wants_statement(&self, text: Option<&str>) -> bool {
        self.statement.as_ref().is_none_or(|regex| text.is_some_and(|text| regex.is_match(text)))
    }

    /// Whether a whole transaction fits, whose time is known.
    pub fn wants(&self, transaction: &Transaction, time: LogTime) -> bool {
        let form = Kinds::of_form(transaction.end_kind, transaction.more_tables);
        let changes = transaction.tables.iter().map(|change| Done {
            table: self.wants_table(&change.database, &change.table),
            kinds: Kinds::of_change(change),
            rows: [change.inserts, change.updates, change.deletes],
            counted: change.counted,
        });
        self.wants_time(time)
            && self.gtid.as_ref().is_none_or(|gtid| transaction.gtid.as_ref() == Some(gtid))
            && self.wants_changes(form, changes)
            && self.wants_statement(transaction.statement.as_deref())
    }
}
