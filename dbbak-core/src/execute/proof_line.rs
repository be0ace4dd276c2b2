//! A transaction as a line of text, by which what a replay must log is compared with what was logged.

use crate::{binlog::Transaction, model::Printable};
use std::fmt::Write;

/// Stands before a table that a statement made and filled, with the rows in the same group.
const FILLED: &str = "new ";

/// Stands before what failed at its source, and need not be logged again.
pub(super) const FAILED: &str = "!";

/// Stands for the GTID of a transaction that has none.
const NO_GTID: &str = "-";

/// Two lines of one GTID as one.
pub(super) fn merged(first: &str, second: &str) -> Option<String> {
    let (gtid, rows) = first.split_once('\t')?;
    let (other, more) = second.split_once('\t')?;
    if gtid != other || gtid == NO_GTID {
        return None;
    }
    let gap = if rows.is_empty() || more.is_empty() { "" } else { " " };
    Some(format!("{gtid}\t{rows}{gap}{more}"))
}

/// A transaction as a line: its GTID, and per table the rows that it changed where it logged rows.
///
/// A statement may be logged as rows by one server and as text by another, so that only the GTID can be compared then.
pub(super) fn line_of(transaction: &Transaction) -> String {
    let gtid = transaction.gtid.as_ref().map_or_else(|| NO_GTID.to_owned(), ToString::to_string);
    let mut tables: Vec<String> = transaction
        .tables
        .iter()
        .filter(|change| change.inserts + change.updates + change.deletes > 0)
        .map(|change| {
            let (inserts, updates, deletes) = (change.inserts, change.updates, change.deletes);
            let made = if change.ddl.is_some() { FILLED } else { "" };
            let (database, table) = (word(&change.database).replace('.', "\\d"), word(&change.table));
            format!("{made}{database}.{table}:{inserts}/{updates}/{deletes}")
        })
        .collect();
    tables.sort();
    format!("{gtid}\t{}", tables.join(" "))
}

/// What is expected of a transaction.
///
/// One that failed at its source after a part of its work is logged there with its error, and a server that applies it must fail alike;
/// that server may log it again or not (MariaDB 10.11.19 does not where it is a statement on a MyISAM table). Where a part was taken
/// back (`ROLLBACK TO SAVEPOINT` over tables with transactions and without) the source logs its rows all the same, and a server that
/// replays it logs those alone that stayed.
pub(super) fn expected_line(transaction: &Transaction) -> String {
    if transaction.error_code == 0 && !transaction.taken_back {
        return line_of(transaction);
    }
    let mark = if transaction.error_code == 0 { "" } else { FAILED };
    format!("{mark}{}", line_of(&Transaction { tables: Vec::new(), ..transaction.clone() }))
}

/// Whether a logged transaction is the one that failed at its source. Without GTIDs one with rows never is.
pub(super) fn is_failed(failed: &str, found: &str) -> bool {
    same(failed, found) && (parts(failed).0 != NO_GTID || parts(found).1.is_empty())
}

/// A name as one word of a line, whatever stands in it: two names are never the same word.
fn word(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for sign in name.chars() {
        match sign {
            '\\' => word.push_str("\\\\"),
            ' ' => word.push_str("\\s"),
            sign if Printable::is_hidden(sign) => {
                let _ = write!(word, "{}", Printable(sign.encode_utf8(&mut [0; 4])));
            }
            sign => word.push(sign),
        }
    }
    word
}

pub(super) fn same(expected: &str, found: &str) -> bool {
    let (expected_gtid, expected_rows) = parts(expected);
    let (found_gtid, found_rows) = parts(found);
    expected_gtid == found_gtid && (expected_rows.is_empty() || rows_of(expected_rows) == rows_of(found_rows))
}

fn parts(line: &str) -> (&str, &str) {
    line.split_once('\t').unwrap_or((line, ""))
}

/// The rows without the word that tells how their table came to be.
fn rows_of(rows: &str) -> String {
    rows.replace(FILLED, "")
}

/// Whether a statement that made a table and filled it was logged as two groups, the second under another GTID.
pub(super) fn filled(expected: &str, found: &str, next: &str) -> bool {
    let ((gtid, rows), (found_gtid, found_rows), (_, next_rows)) = (parts(expected), parts(found), parts(next));
    gtid == found_gtid && rows.starts_with(FILLED) && found_rows.is_empty() && rows_of(rows) == next_rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{EndKind, TableChange, TransactionTime};

    fn change(database: &str, table: &str) -> TableChange {
        let (database, table) = (database.to_owned(), table.to_owned());
        TableChange { database, table, inserts: 1, updates: 0, deletes: 0, counted: true, ddl: None, dml: None }
    }

    fn line(tables: &[(&str, &str)]) -> String {
        line_of(&Transaction {
            gtid: None,
            start: 4,
            end: 5,
            time: TransactionTime::default(),
            tables: tables.iter().map(|(database, table)| change(database, table)).collect(),
            more_tables: false,
            statement: None,
            end_kind: EndKind::Commit,
            has_rows: true,
            compressed: false,
            xa: None,
            error_code: 0,
            taken_back: false,
            plain_commit: false,
            server_id: 0,
            session: None,
            outside: None,
            untold: None,
            by_statement: false,
            renames_variable: false,
        })
    }

    #[test]
    fn names_make_no_lines_of_their_own() {
        assert_eq!(line(&[("shop", "orders")]), "-\tshop.orders:1/0/0");
        assert_eq!(line(&[("new shop", "a.b\n7\t8")]), "-\tnew\\sshop.a.b\\n7\\t8:1/0/0");
        let names = [
            ("a", "b"),
            ("a.b", "c"),
            ("a", "b.c"),
            ("a\\d", "b"),
            ("a", "b\n"),
            ("a", "b\\n"),
            ("a", "b\r"),
            ("a", "b\t1\t2"),
            ("a", "b:1/0/0 a.b"),
            ("a", "\u{1b}[2J"),
            ("a", "\\u{1b}[2J"),
            ("new a", "b"),
        ];
        let mut lines: Vec<String> = names.iter().map(|name| line(&[*name])).collect();
        for line in &lines {
            let (gtid, rows) = line.split_once('\t').unwrap();
            assert!(gtid == "-" && !rows.contains([' ', '\t', '\n', '\r', '\u{1b}']), "{line}");
            assert!(!rows.starts_with(FILLED));
        }
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), names.len());
    }
}
