//! The clients of the workload: what each is doing, and the statements that it can run without waiting for another.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Change, Column, State};
use crate::random::Random;
use crate::server::{Server, ServerError, Session, Vendor};

/// How many clients take turns.
pub(super) const CLIENTS: u64 = 4;

/// The client that logs statements: servers allow that with the default isolation only. There a savepoint must not be
/// rolled back to, since the locks of the rows that go become locks of the gaps, and others wait.
pub(super) const STATEMENTS: u64 = 2;

/// The isolation of all others, under which no gap is locked.
pub(super) const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// The owner of the rows that XA transactions write.
pub(super) const XA_OWNER: u64 = CLIENTS;

/// The owner of the rows that statements write which run for long.
pub(super) const SLOW_OWNER: u64 = CLIENTS + 1;

/// Rows belong to one owner, by the remainder of their id: nobody waits for another's row locks.
pub(super) const OWNERS: u64 = CLIENTS + 2;

/// One client: a session, opened when it is needed, with the transaction that is open in it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) session: Option<Session>,
    pub(super) open: Option<Open>,
    /// Whether its clock is skewed until the end of the transaction.
    pub(super) skewed: bool,
}

/// What a transaction did so far.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) changes: Vec<Change>,
    /// Savepoints: name, and how many changes there were.
    pub(super) savepoints: Vec<(String, usize)>,
    /// Tables that it has touched: no DDL on them can run until it ends, whatever was rolled back.
    pub(super) tables: BTreeSet<String>,
}

/// A statement and what it does.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) changes: Vec<Change>,
    pub(super) table: String,
}

impl Client {
    pub(super) fn new(number: u64) -> Self {
        Self { number, session: None, open: None, skewed: false }
    }

    /// The session, which is opened in the client's own style: together the clients use what servers offer.
    pub(super) fn session(&mut self, server: &Server) -> Result<&mut Session, ServerError> {
        if self.session.is_none() {
            let style = match (server.options().vendor, self.number) {
                (Vendor::Mariadb, STATEMENTS) => "SET SESSION binlog_format = STATEMENT",
                (Vendor::Mariadb, 0 | 1) => "SET SESSION binlog_format = MIXED",
                (Vendor::Mariadb, _) => "SET SESSION binlog_format = ROW",
                (Vendor::Mysql, 1) => "SET SESSION binlog_transaction_compression = ON",
                (Vendor::Mysql, STATEMENTS) => "SET SESSION binlog_format = STATEMENT",
                (Vendor::Mysql, 3) => "SET gtid_next = 'AUTOMATIC:shop', SESSION binlog_rows_query_log_events = ON",
                (Vendor::Mysql, _) => "SET SESSION binlog_row_image = MINIMAL",
            };
            let mut session = server.client()?;
            if self.number != STATEMENTS {
                session.run(ISOLATION)?;
            }
            session.run(&format!("SET SESSION innodb_lock_wait_timeout = 10, lock_wait_timeout = 10; {style}"))?;
            self.session = Some(session);
        }
        self.session.as_mut().ok_or_else(|| ServerError::io("opening a session")(std::io::Error::other("none")))
    }

    /// The client's own rows of a table, as its open transaction sees them.
    fn rows(&self, state: &State, table: &str) -> BTreeMap<u64, Vec<String>> {
        own_rows(state, table, self.number, self.open.as_ref().map_or(&[], |open| &open.changes))
    }

    /// A statement that writes to a table.
    pub(super) fn write(&self, state: &State, random: &mut Random, table: &str, ids: &mut u64) -> Statement {
        write(state, random, table, self.number, &self.rows(state, table), ids)
    }
}

/// An owner's rows of a table, with changes that are not committed.
pub(super) fn own_rows(state: &State, table: &str, owner: u64, changes: &[Change]) -> BTreeMap<u64, Vec<String>> {
    let committed = state.tables.get(table).into_iter().flat_map(|table| &table.rows);
    let mut rows: BTreeMap<u64, Vec<String>> =
        committed.filter(|(id, _)| *id % OWNERS == owner).map(|(id, values)| (*id, values.clone())).collect();
    for change in changes {
        match change {
            Change::Put(name, id, values) if name == table => drop(rows.insert(*id, values.clone())),
            Change::Delete(name, id) if name == table => drop(rows.remove(id)),
            _ => {}
        }
    }
    rows
}

/// A statement of an owner that writes to a table: rows are inserted, updated or deleted.
pub(super) fn write(
    state: &State,
    random: &mut Random,
    table: &str,
    owner: u64,
    rows: &BTreeMap<u64, Vec<String>>,
    ids: &mut u64,
) -> Statement {
    let some: Vec<u64> = rows.keys().copied().collect();
    match random.below(10) {
        0..=4 => {
            let count = 1 + random.below(3);
            insert(state, random, table, owner, count, 0, ids)
        }
        5..=7 if !some.is_empty() => {
            let wanted = 1 + random.below(3);
            let chosen: BTreeSet<u64> = (0..wanted).filter_map(|_| random.pick(&some).copied()).collect();
            update(random, table, &chosen, rows)
        }
        8 | 9 if !some.is_empty() => {
            let id = random.pick(&some).copied().unwrap_or_default();
            let sql = format!("DELETE FROM {table} WHERE id = {id}");
            Statement { sql, changes: vec![Change::Delete(table.to_owned(), id)], table: table.to_owned() }
        }
        _ => insert(state, random, table, owner, 1, 0, ids),
    }
}

/// An insertion of new rows, each of about so many bytes more than a few.
pub(super) fn insert(
    state: &State,
    random: &mut Random,
    table: &str,
    owner: u64,
    count: u64,
    bytes: u64,
    ids: &mut u64,
) -> Statement {
    let columns: &[Column] = state.tables.get(table).map_or(&[], |table| &table.columns);
    let mut changes = Vec::new();
    let mut values = Vec::new();
    for _ in 0..count {
        *ids += 1;
        let id = *ids * OWNERS + owner;
        let row: Vec<String> = columns.iter().map(|column| value(random, column, bytes)).collect();
        let listed: String = row.iter().map(|value| format!(", '{value}'")).collect();
        values.push(format!("({id}{listed})"));
        changes.push(Change::Put(table.to_owned(), id, row));
    }
    let sql = format!("INSERT INTO {table} VALUES {}", values.join(", "));
    Statement { sql, changes, table: table.to_owned() }
}

/// Numbers are in columns whose name begins with `n`, text in the others.
fn value(random: &mut Random, column: &Column, bytes: u64) -> String {
    if column.name.starts_with('n') {
        return random.below(1_000_000).to_string();
    }
    let mut text = random.word();
    while u64::try_from(text.len()).unwrap_or(u64::MAX) < bytes {
        text.push_str(&format!("{:x}", random.number()));
    }
    text
}

/// Every table has the columns `n` and `w`: the one is computed by the server, so that a statement that is applied twice
/// or not at all shows.
fn update(random: &mut Random, table: &str, chosen: &BTreeSet<u64>, rows: &BTreeMap<u64, Vec<String>>) -> Statement {
    let (add, word) = (1 + random.below(1000), random.word());
    let mut changes = Vec::new();
    for id in chosen {
        let mut row = rows[id].clone();
        let number: u64 = row[0].parse().unwrap_or(0);
        row[0] = (number + add).to_string();
        row[1].clone_from(&word);
        changes.push(Change::Put(table.to_owned(), *id, row));
    }
    let list: Vec<String> = chosen.iter().map(u64::to_string).collect();
    // By the key, so that no lock is taken on a row of another owner.
    let sql = format!(
        "UPDATE {table} FORCE INDEX (PRIMARY) SET n = n + {add}, w = '{word}' WHERE id IN ({})",
        list.join(", ")
    );
    Statement { sql, changes, table: table.to_owned() }
}

/// A new table's columns.
pub(super) fn columns() -> Vec<Column> {
    let column = |name: &str, default: &str| Column { name: name.to_owned(), default: default.to_owned() };
    vec![column("n", "0"), column("w", "")]
}

/// The definition of a table with [`columns`].
pub(super) fn create(table: &str) -> String {
    format!(
        "CREATE TABLE {table} (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, w VARCHAR(4000) NOT NULL) ENGINE=InnoDB \
         DEFAULT CHARSET=utf8mb4"
    )
}
