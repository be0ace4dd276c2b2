//! Finds tables that a session made in an engine of its own choice (`SET default_storage_engine`), which no log tells.
//!
//! A `CREATE TABLE` without ENGINE is logged as it was given. What is written to the table afterwards tells what it is: a
//! transaction on tables with transactions ends with an XID event, one on tables without them with a logged COMMIT
//! (MariaDB 10.11 and 11.8, MySQL 9.7).

use super::{
    DdlKind, EndKind, Transaction,
    statement::STATEMENT_CAP,
    untold::{Untold, words_of},
};
use std::collections::HashSet;

/// The tables of a log that were made without naming an engine, and not written to yet.
#[derive(Debug, Default)]
pub(super) struct DefaultEngines {
    made: HashSet<(String, String)>,
}

impl DefaultEngines {
    /// Takes the next transaction of the log. Tells where it is the first one that writes to such a table, and that has no
    /// transactions.
    pub(super) fn see(&mut self, transaction: &Transaction) -> Option<Untold> {
        for change in transaction.tables.iter().filter(|change| change.ddl.is_some()) {
            let table = (change.database.clone(), change.table.clone());
            if change.ddl == Some(DdlKind::CreateTable) && transaction.statement.as_deref().is_some_and(leaves_engine) {
                self.made.insert(table);
            } else {
                self.made.remove(&table);
            }
        }
        let [change] = transaction.tables.as_slice() else { return None };
        if change.ddl.is_some() || transaction.more_tables || transaction.compressed {
            return None;
        }
        let changed = change.inserts + change.updates + change.deletes > 0 || change.dml.is_some();
        let written = transaction.end_kind == EndKind::Commit && changed;
        let known = written && self.made.remove(&(change.database.clone(), change.table.clone()));
        (known && transaction.plain_commit).then_some(Untold::WithoutTransactions)
    }
}

/// Whether a statement makes a table of the engine that is the session's default.
fn leaves_engine(statement: &str) -> bool {
    // What was cut off could name one.
    if statement.len() + 4 >= STATEMENT_CAP {
        return false;
    }
    let words = words_of(statement);
    let has = |word: &str| words.iter().any(|(found, _)| found == word);
    words.first().is_some_and(|(word, _)| word == "CREATE")
        && !["ENGINE", "TYPE", "LIKE", "SEQUENCE", "TEMPORARY"].into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_is_named_or_copied_is_no_default() {
        for statement in ["CREATE TABLE t (a INT)", "create or replace table `engine` (a int) comment 'ENGINE=x'"] {
            assert!(leaves_engine(statement), "{statement}");
        }
        let long = format!("CREATE TABLE t (a INT COMMENT '{}')", "x".repeat(STATEMENT_CAP));
        for statement in [
            "CREATE TABLE t (a INT) ENGINE = Aria",
            "CREATE TABLE t LIKE u",
            "CREATE SEQUENCE s",
            "DROP TABLE t",
            &long[..STATEMENT_CAP],
        ] {
            assert!(!leaves_engine(statement), "{statement}");
        }
    }
}
