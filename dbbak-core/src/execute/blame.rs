//! Names the transaction that a replay stopped at.

use super::files;
use crate::{
    binlog::{self, DdlKind, EndKind, TableChange, Transaction},
    model::{BinlogName, BinlogPosition, Gtid},
};
use std::{fmt, io::BufReader, ops::ControlFlow, path::Path};

/// The most tables that are named.
const MOST_TABLES: usize = 5;

/// A transaction that could not be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blamed {
    /// Where it begins.
    pub(super) at: BinlogPosition,
    /// Where it ends, in the same file.
    pub(super) end: u64,
    /// Whether it is a DROP TABLE of several tables. MariaDB logs it like this, without an error, also where one of them was not there.
    pub(super) drops_several: bool,
    gtid: Option<Gtid>,
    /// What it does to which tables.
    does: Vec<String>,
    more: bool,
}

impl Blamed {
    fn of(file: &BinlogName, transaction: &Transaction) -> Self {
        Blamed {
            at: BinlogPosition { file: file.clone(), position: transaction.start },
            end: transaction.end,
            drops_several: transaction.tables.len() > 1
                && transaction.tables.iter().all(|table| table.ddl == Some(DdlKind::DropTable)),
            gtid: transaction.gtid.clone(),
            does: xa_words(transaction)
                .into_iter()
                .chain(transaction.tables.iter().take(MOST_TABLES).map(words))
                .collect(),
            more: transaction.more_tables || transaction.tables.len() > MOST_TABLES,
        }
    }
}

impl fmt::Display for Blamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.gtid {
            Some(gtid) => write!(f, "transaction {gtid} at {}", self.at)?,
            None => write!(f, "the transaction at {}", self.at)?,
        }
        if self.does.is_empty() {
            return Ok(());
        }
        write!(f, " ({}{})", self.does.join(", "), if self.more { ", ..." } else { "" })
    }
}

/// What is done to an XA transaction that was prepared before.
fn xa_words(transaction: &Transaction) -> Option<String> {
    let xa = transaction.xa.as_ref()?;
    match transaction.end_kind {
        EndKind::XaCommit => Some(format!("XA COMMIT {xa}")),
        EndKind::XaRollback => Some(format!("XA ROLLBACK {xa}")),
        _ => None,
    }
}

/// What is done to a table. The statement itself may hold data, and is left out.
fn words(change: &TableChange) -> String {
    let rows = [("insert", change.inserts), ("update", change.updates), ("delete", change.deletes)];
    let mut kinds: Vec<String> =
        rows.iter().filter(|(_, rows)| *rows > 0).map(|(kind, _)| (*kind).to_owned()).collect();
    let kind = match change.ddl {
        None => None,
        Some(DdlKind::CreateTable) => Some("create table"),
        Some(DdlKind::AlterTable) => Some("alter table"),
        Some(DdlKind::DropTable) => Some("drop table"),
        Some(DdlKind::TruncateTable) => Some("truncate"),
        Some(DdlKind::RenameTable) => Some("rename table"),
        Some(DdlKind::CreateIndex) => Some("create index"),
        Some(DdlKind::DropIndex) => Some("drop index"),
        Some(DdlKind::CreateDatabase) => Some("create database"),
        Some(DdlKind::AlterDatabase) => Some("alter database"),
        Some(DdlKind::DropDatabase) => Some("drop database"),
        Some(_) => Some("definition"),
    };
    kinds.extend(kind.map(str::to_owned));
    kinds.extend(change.dml.map(|kind| format!("{kind:?}").to_lowercase()));
    kinds.dedup();
    let dot = if change.table.is_empty() { "" } else { "." };
    format!("{} {}{dot}{}", kinds.join("+"), change.database, change.table).trim_start().to_owned()
}

/// Unpacked binlogs in log order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) dir: &'a Path,
    pub(super) names: &'a [BinlogName],
}

impl Files<'_> {
    /// The first transaction at or behind a place.
    pub(super) fn at_or_behind(&self, place: &BinlogPosition) -> Option<Blamed> {
        for file in self.names.iter().skip_while(|file| **file != place.file) {
            let from = if *file == place.file { place.position } else { 0 };
            let (found, readable) = self.find_in(file, &|transaction| transaction.start >= from);
            if found.is_some() || !readable {
                return found;
            }
        }
        None
    }

    /// The first transaction that is the one.
    pub(super) fn find(&self, is_it: impl Fn(&Transaction) -> bool) -> Option<Blamed> {
        self.names.iter().find_map(|file| self.find_in(file, &is_it).0)
    }

    fn find_in(&self, file: &BinlogName, is_it: &dyn Fn(&Transaction) -> bool) -> (Option<Blamed>, bool) {
        let Ok(input) = files::open(&self.dir.join(file.as_str())) else { return (None, false) };
        let mut found = None;
        let scanned = binlog::scan(&mut BufReader::with_capacity(1 << 20, input), &mut |transaction| {
            if !is_it(transaction) {
                return ControlFlow::Continue(());
            }
            found = Some(Blamed::of(file, transaction));
            ControlFlow::Break(())
        });
        (found, scanned.is_ok())
    }
}
