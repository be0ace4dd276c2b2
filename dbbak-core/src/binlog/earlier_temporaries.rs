//! Finds statements on temporary tables that were made before a window begins.

use super::{DdlKind, Transaction, Untold, untold::words_of};
use std::collections::HashSet;

/// The temporary tables that the sessions of a window have made in it, by session, database and name.
///
/// A session may have a temporary table open when a backup is taken, which no backup holds. Its statements in the window
/// would be applied to the permanent table of that name, where there is one.
#[derive(Debug, Default)]
pub(super) struct EarlierTemporaries {
    open: HashSet<(u32, String, String)>,
}

impl EarlierTemporaries {
    /// Takes the next transaction of the window. Tells where it depends on a temporary table of its session, and the session
    /// has made none in the window.
    pub(super) fn see(&mut self, transaction: &Transaction) -> Option<Untold> {
        let session = transaction.session.as_ref()?;
        let had_one = self.open.iter().any(|(thread, ..)| *thread == session.thread);
        for temporary in &session.temporary {
            let Some(table) = transaction.tables.get(temporary.table) else { continue };
            let key = (session.thread, table.database.clone(), table.table.clone());
            if temporary.made {
                self.open.insert(key);
            } else {
                self.open.remove(&key);
            }
        }
        // One that makes or drops its temporary tables does nothing to those of before that would stay.
        let told = session.own && !had_one && session.temporary.is_empty() && !only_makes_or_drops(transaction);
        (told && !transaction.statement.as_deref().is_some_and(names_its_session)).then_some(Untold::EarlierTemporary)
    }
}

/// Whether a transaction only makes or drops permanent tables: servers mark such statements too, whatever temporary tables there are, and
/// write those that are about temporary ones as such.
fn only_makes_or_drops(transaction: &Transaction) -> bool {
    let copies = |text: &str| words_of(text).iter().any(|(word, _)| word == "LIKE");
    let permanent = |kind| match kind {
        Some(DdlKind::DropTable) => true,
        Some(DdlKind::CreateTable) => {
            !transaction.by_statement && !transaction.statement.as_deref().is_some_and(copies)
        }
        _ => false,
    };
    !transaction.tables.is_empty() && transaction.tables.iter().all(|change| permanent(change.ddl))
}

/// Whether a statement asks for its session's number, which the log has.
fn names_its_session(statement: &str) -> bool {
    words_of(statement).iter().any(|(word, _)| word == "CONNECTION_ID" || word == "PSEUDO_THREAD_ID")
}
