//! Tells transactions that are about temporary tables alone: they change nothing that stays.

use crate::binlog::Transaction;
use std::collections::BTreeSet;

/// The temporary tables that a log has open, by session, database and name.
///
/// A server whose log holds statements logs what is done to temporary tables, and one that logs statements and rows mixed
/// logs it or not, as it has to: MySQL 9.7.4 logs an empty transaction of the same GTID, or nothing where there are none;
/// MariaDB 10.11.19 logs some of it, and drops each table by a transaction of its own. So both logs are compared without.
#[derive(Debug, Default)]
pub(super) struct Temporaries {
    open: BTreeSet<(u32, String, String)>,
}

impl Temporaries {
    /// Takes the next transaction of a log; whether it is about temporary tables alone. Where that is not sure, it is not.
    pub(super) fn alone(&mut self, transaction: &Transaction) -> bool {
        let Some(session) = &transaction.session else { return false };
        if session.temporary.is_empty() && self.open.is_empty() {
            return false;
        }
        let mut alone =
            !session.partial && !transaction.has_rows && !transaction.more_tables && transaction.xa.is_none();
        for (place, table) in transaction.tables.iter().enumerate() {
            let key = (session.thread, table.database.clone(), table.table.clone());
            let temporary = session.temporary.iter().find(|temporary| temporary.table == place);
            alone &= match temporary {
                Some(temporary) => !temporary.used_after && (temporary.first || self.open.contains(&key)),
                None => self.open.contains(&key),
            };
            match temporary {
                Some(temporary) if temporary.made => drop(self.open.insert(key)),
                Some(_) => drop(self.open.remove(&key)),
                None => {}
            }
        }
        alone && !transaction.tables.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{EndKind, SessionTables, TableChange, TemporaryTable, TransactionTime};

    fn transaction(thread: u32, tables: &[&str], temporary: &[TemporaryTable]) -> Transaction {
        let change = |name: &&str| TableChange {
            database: "shop".into(),
            table: (*name).to_owned(),
            inserts: 0,
            updates: 0,
            deletes: 0,
            counted: false,
            ddl: None,
            dml: None,
        };
        Transaction {
            gtid: None,
            start: 0,
            end: 1,
            time: TransactionTime::default(),
            tables: tables.iter().map(change).collect(),
            more_tables: false,
            statement: Some("x".into()),
            end_kind: EndKind::Commit,
            has_rows: false,
            compressed: false,
            xa: None,
            error_code: 0,
            taken_back: false,
            plain_commit: false,
            server_id: 0,
            session: Some(SessionTables {
                thread,
                partial: false,
                own: false,
                no_directories: false,
                temporary: temporary.to_vec(),
            }),
            outside: None,
            untold: None,
            by_statement: false,
            renames_variable: false,
        }
    }

    const MADE: TemporaryTable = TemporaryTable { table: 0, first: true, made: true, used_after: false };
    const DROPPED: TemporaryTable = TemporaryTable { made: false, ..MADE };

    #[test]
    fn knows_the_tables_of_a_session() {
        let mut log = Temporaries::default();
        assert!(!log.alone(&transaction(1, &["x"], &[])), "a table that stays");
        assert!(log.alone(&transaction(1, &["x"], &[MADE])));
        assert!(log.alone(&transaction(1, &["x"], &[])));
        assert!(!log.alone(&transaction(2, &["x"], &[])), "another session sees the table that stays");
        assert!(!log.alone(&transaction(1, &["x", "t"], &[])), "both");
        assert!(log.alone(&transaction(1, &["x"], &[DROPPED])));
        assert!(!log.alone(&transaction(1, &["x"], &[])), "it is gone");
        // What the server drops at a session's end, and was made before the window.
        assert!(log.alone(&transaction(3, &["y"], &[DROPPED])));
    }

    #[test]
    fn what_is_not_sure_counts() {
        let mut log = Temporaries::default();
        assert!(log.alone(&transaction(1, &["x"], &[MADE])));
        let changed = |change: fn(&mut Transaction)| {
            let mut transaction = transaction(1, &["x"], &[]);
            change(&mut transaction);
            transaction
        };
        assert!(!log.alone(&changed(|t| t.has_rows = true)));
        assert!(!log.alone(&changed(|t| t.more_tables = true)));
        assert!(!log.alone(&changed(|t| t.session.as_mut().unwrap().partial = true)));
        assert!(!log.alone(&changed(|t| t.session = None)));
        assert!(!log.alone(&changed(|t| t.tables.clear())));
        // In one transaction: a table that stays, then a temporary one of its name; or the other way round.
        let mut log = Temporaries::default();
        assert!(!log.alone(&transaction(1, &["x"], &[TemporaryTable { first: false, ..MADE }])));
        assert!(log.alone(&transaction(1, &["x"], &[])), "open from here on");
        assert!(!log.alone(&transaction(1, &["x"], &[TemporaryTable { used_after: true, ..DROPPED }])));
    }
}
