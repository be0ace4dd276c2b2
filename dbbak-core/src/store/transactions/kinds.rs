//! What a transaction did, as a set of kinds that blocks and files can be skipped by.

use super::codes::ChangeCode;
use crate::binlog::{DdlKind, DmlKind, EndKind, TableChange, Transaction};

/// A set of kinds of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kinds(pub(super) u16);

impl Kinds {
    /// Rows inserted.
    pub const INSERT: Kinds = Kinds(1);
    /// Rows updated.
    pub const UPDATE: Kinds = Kinds(1 << 1);
    /// Rows deleted.
    pub const DELETE: Kinds = Kinds(1 << 2);
    /// Any data definition statement.
    pub const DDL: Kinds = Kinds(1 << 3);
    /// A table, an index or a database dropped.
    pub const DROP: Kinds = Kinds(1 << 4);
    /// A table truncated.
    pub const TRUNCATE: Kinds = Kinds(1 << 5);
    /// A table or a database altered, an index created, a table renamed.
    pub const ALTER: Kinds = Kinds(1 << 6);
    /// A table or a database created.
    pub const CREATE: Kinds = Kinds(1 << 7);
    /// A table renamed.
    pub const RENAME: Kinds = Kinds(1 << 8);
    /// Something that the index does not tell apart: tables that it does not list, a transaction that the reader cannot
    /// open, changes that the server lost.
    pub const UNLISTED: Kinds = Kinds(1 << 9);

    /// Rows written by a logged statement.
    pub const BY_STATEMENT: Kinds = Kinds(1 << 10);
    /// A statement that goes by what only its session has: temporary tables, or the session's number.
    pub const OF_SESSION: Kinds = Kinds(1 << 11);
    /// A statement of which no log tells what came of it.
    pub const UNTOLD: Kinds = Kinds(1 << 12);
    /// A change of tables without transactions alone.
    pub const PLAIN: Kinds = Kinds(1 << 13);
    /// The index tells [`Kinds::BY_STATEMENT`] to [`Kinds::PLAIN`], from statements that were read as their sessions had them read.
    /// Older ones told nothing, or, with 32768, what every statement meant to a session of the usual SQL mode and character set.
    pub const TELLS_STATEMENTS: Kinds = Kinds(1 << 14);

    /// No kind.
    pub const NONE: Kinds = Kinds(0);

    /// Whether the two have a kind in common.
    pub fn meets(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }

    /// The kinds of either.
    #[must_use]
    pub fn with(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What is done to one table.
    pub fn of_change(change: &TableChange) -> Kinds {
        ChangeCode::of(change).kinds()
    }

    /// What a data definition statement does.
    pub fn of_ddl(kind: DdlKind) -> Kinds {
        Kinds::DDL.with(match kind {
            DdlKind::DropTable | DdlKind::DropIndex | DdlKind::DropDatabase => Kinds::DROP,
            DdlKind::TruncateTable => Kinds::TRUNCATE,
            DdlKind::AlterTable | DdlKind::AlterDatabase | DdlKind::CreateIndex => Kinds::ALTER,
            DdlKind::RenameTable => Kinds::ALTER.with(Kinds::RENAME),
            DdlKind::CreateTable | DdlKind::CreateDatabase => Kinds::CREATE,
            _ => Kinds::NONE,
        })
    }

    /// What a statement that was logged as text does to rows.
    pub fn of_dml(kind: DmlKind) -> Kinds {
        match kind {
            DmlKind::Update => Kinds::UPDATE,
            DmlKind::Delete => Kinds::DELETE,
            _ => Kinds::INSERT,
        }
    }

    /// What is known of a transaction apart from its tables.
    pub fn of_form(end_kind: EndKind, more_tables: bool) -> Kinds {
        let unlisted = more_tables || matches!(end_kind, EndKind::Payload | EndKind::Incident);
        let form = if unlisted { Kinds::UNLISTED } else { Kinds::NONE };
        if end_kind == EndKind::Ddl { form.with(Kinds::DDL) } else { form }
    }

    /// Everything that a transaction does.
    pub fn of(transaction: &Transaction) -> Kinds {
        let when = |is: bool, kind: Kinds| if is { kind } else { Kinds::NONE };
        let of_session = transaction.session.as_ref().is_some_and(|of| of.own || !of.temporary.is_empty());
        let form = Kinds::of_form(transaction.end_kind, transaction.more_tables)
            .with(when(transaction.by_statement, Kinds::BY_STATEMENT))
            .with(when(of_session, Kinds::OF_SESSION))
            .with(when(transaction.untold.is_some(), Kinds::UNTOLD))
            .with(when(transaction.plain_commit && !transaction.tables.is_empty(), Kinds::PLAIN));
        transaction.tables.iter().fold(form, |kinds, change| kinds.with(Kinds::of_change(change)))
    }
}
