//! What the statements of a transaction say of temporary tables, which are their session's own.

use super::ddl::{Action, DdlKind, Named};

/// The session that ran the statements of a transaction, and what these did to temporary tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTables {
    /// The session's number on its server.
    pub thread: u32,
    /// Whether statements may change other tables than the transaction lists, or come from several sessions.
    pub partial: bool,
    /// Whether a statement depends on what only its session has: temporary tables, or the session's number.
    pub own: bool,
    /// Whether `NO_DIR_IN_CREATE` stood in its SQL mode: an applier does not take that from the log.
    pub no_directories: bool,
    /// The tables that statements made or dropped as temporary ones.
    pub temporary: Vec<TemporaryTable>,
}

/// A table that statements made or dropped as a temporary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemporaryTable {
    /// Its place in the transaction's list of tables.
    pub table: usize,
    /// Whether nothing was done before to a table of its name.
    pub first: bool,
    /// Whether it is there at the transaction's end.
    pub made: bool,
    /// Whether something was done to a table of its name after it was dropped.
    pub used_after: bool,
}

impl SessionTables {
    pub(super) fn of(thread: u32) -> Self {
        SessionTables { thread, partial: false, own: false, no_directories: false, temporary: Vec::new() }
    }

    /// Takes what a statement does to a table; `untouched`: it is the first statement on it.
    pub(super) fn note(&mut self, table: usize, named: &Named, untouched: bool) {
        let known = self.temporary.iter_mut().find(|temporary| temporary.table == table);
        let made = named.action == Action::Ddl(DdlKind::CreateTable);
        match (known, named.temporary) {
            (Some(known), true) => known.made = made,
            (Some(known), false) => known.used_after |= !known.made,
            (None, true) => {
                self.temporary.push(TemporaryTable { table, first: untouched, made, used_after: false });
            }
            (None, false) => {}
        }
    }
}
