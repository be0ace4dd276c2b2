//! The tables of a server as maps, changed as the server changes them.

use std::collections::{BTreeMap, BTreeSet};

use crate::server::{Server, ServerError};

/// The first column of every table is `id BIGINT PRIMARY KEY`; these are the others, with the value that a row gets when
/// the column is added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its default.
    pub default: String,
}

/// A table: columns, and rows by id.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// The columns but `id`.
    pub columns: Vec<Column>,
    /// The values of these columns, by id.
    pub rows: BTreeMap<u64, Vec<String>>,
}

/// What one statement does, once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A row is there with these values, whatever it was before.
    Put(String, u64, Vec<String>),
    /// A row is gone.
    Delete(String, u64),
    /// A table is there, empty.
    Create(String, Vec<Column>),
    /// A table is gone.
    Drop(String),
    /// A table is called otherwise.
    Rename(String, String),
    /// A table is empty.
    Truncate(String),
    /// A table has one more column, the last one.
    AddColumn(String, Column),
    /// A table's last column is gone.
    DropColumn(String),
    /// All tables of a database are gone.
    DropDatabase(String),
    /// An XA transaction is prepared and undecided.
    Prepared(String),
    /// It is decided.
    Decided(String),
}

/// All tables by `database.table`, and the prepared XA transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The tables.
    pub tables: BTreeMap<String, Table>,
    /// The names of the XA transactions that are prepared and undecided.
    pub prepared: BTreeSet<String>,
}

/// What can be seen of a state through a client: columns and rows of each table, and the prepared XA transactions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Column names and rows in the order of their ids, by `database.table`.
    pub tables: BTreeMap<String, (Vec<String>, Vec<Vec<String>>)>,
    /// The names of the XA transactions that are prepared and undecided.
    pub prepared: BTreeSet<String>,
}

impl State {
    /// Makes a change.
    ///
    /// # Panics
    ///
    /// When the change cannot be: a table that is not there, say. The server would have refused it.
    pub fn apply(&mut self, change: &Change) {
        let State { tables, prepared } = self;
        match change {
            Change::Put(name, id, values) => {
                let table = tables.get_mut(name).expect("a table to write to");
                assert_eq!(table.columns.len(), values.len(), "{change:?}");
                table.rows.insert(*id, values.clone());
            }
            Change::Delete(name, id) => {
                let gone = tables.get_mut(name).expect("a table to write to").rows.remove(id);
                assert!(gone.is_some(), "no row for {change:?}");
            }
            Change::Create(name, columns) => {
                let before = tables.insert(name.clone(), Table { columns: columns.clone(), rows: BTreeMap::new() });
                assert_eq!(before, None, "{change:?}");
            }
            Change::Drop(name) => assert!(tables.remove(name).is_some(), "{change:?}"),
            Change::Rename(from, to) => {
                let table = tables.remove(from).expect("a table to rename");
                assert_eq!(tables.insert(to.clone(), table), None, "{change:?}");
            }
            Change::Truncate(name) => tables.get_mut(name).expect("a table to write to").rows.clear(),
            Change::AddColumn(name, column) => {
                let table = tables.get_mut(name).expect("a table to alter");
                table.columns.push(column.clone());
                table.rows.values_mut().for_each(|row| row.push(column.default.clone()));
            }
            Change::DropColumn(name) => {
                let table = tables.get_mut(name).expect("a table to alter");
                table.columns.pop().expect("a column to drop");
                table.rows.values_mut().for_each(|row| drop(row.pop()));
            }
            Change::DropDatabase(name) => {
                let prefix = format!("{name}.");
                tables.retain(|table, _| !table.starts_with(&prefix));
            }
            Change::Prepared(xa) => assert!(prepared.insert(xa.clone()), "{change:?}"),
            Change::Decided(xa) => assert!(prepared.remove(xa), "{change:?}"),
        }
    }

    /// What a client would see.
    pub fn seen(&self) -> Seen {
        let tables = self.tables.iter().map(|(name, table)| {
            let columns =
                std::iter::once("id".to_owned()).chain(table.columns.iter().map(|column| column.name.clone()));
            let row = |(id, values): (&u64, &Vec<String>)| {
                std::iter::once(id.to_string()).chain(values.iter().cloned()).collect()
            };
            (name.clone(), (columns.collect(), table.rows.iter().map(row).collect()))
        });
        Seen { tables: tables.collect(), prepared: self.prepared.clone() }
    }
}

impl Seen {
    /// Looks at all tables of a server that are not its own.
    pub fn of(server: &Server) -> Result<Self, ServerError> {
        let mut seen = Self::default();
        let columns = server.try_sql(
            "SELECT c.table_schema, c.table_name, c.column_name FROM information_schema.columns c
             JOIN information_schema.tables t USING (table_schema, table_name)
             WHERE t.table_type = 'BASE TABLE'
               AND c.table_schema NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')
             ORDER BY c.table_schema, c.table_name, c.ordinal_position",
        )?;
        for column in columns {
            let [database, table, column] = <[String; 3]>::try_from(column).unwrap_or_default();
            seen.tables.entry(format!("{database}.{table}")).or_default().0.push(column);
        }
        // One session for all tables; the line before each table's rows cannot be a row, whose first field is a number.
        let script: String = seen
            .tables
            .keys()
            .map(|name| {
                let (database, table) = name.split_once('.').unwrap_or_default();
                format!("SELECT 'table', '{name}'; SELECT * FROM `{database}`.`{table}` ORDER BY id;\n")
            })
            .collect();
        let mut name = String::new();
        for row in server.try_sql(&script)? {
            if row.first().is_some_and(|first| first == "table") {
                name = row.into_iter().nth(1).unwrap_or_default();
            } else if let Some((_, rows)) = seen.tables.get_mut(&name) {
                rows.push(row);
            }
        }
        seen.prepared = server.try_sql("XA RECOVER")?.into_iter().filter_map(|row| row.into_iter().nth(3)).collect();
        Ok(seen)
    }

    /// The differences to another one, the first few of them; empty when there are none.
    pub fn differences(&self, wanted: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.prepared != wanted.prepared {
            found.push(format!("prepared XA: found {:?}, wanted {:?}", self.prepared, wanted.prepared));
        }
        let names: BTreeSet<&String> = self.tables.keys().chain(wanted.tables.keys()).collect();
        for name in names {
            match (self.tables.get(name), wanted.tables.get(name)) {
                (None, Some((_, rows))) => found.push(format!("{name}: absent, wanted with {} rows", rows.len())),
                (Some((_, rows)), None) => found.push(format!("{name}: found with {} rows, wanted absent", rows.len())),
                (Some((have, _)), Some((want, _))) if have != want => {
                    found.push(format!("{name}: found columns {have:?}, wanted {want:?}"));
                }
                (Some((_, have)), Some((_, want))) => {
                    let (had, wanted): (BTreeSet<_>, BTreeSet<_>) = (have.iter().collect(), want.iter().collect());
                    let brief = |row: &Vec<String>| row.join(", ").chars().take(100).collect::<String>();
                    for row in had.difference(&wanted).take(5) {
                        found.push(format!("{name}: found   {}", brief(row)));
                    }
                    for row in wanted.difference(&had).take(5) {
                        found.push(format!("{name}: missing {}", brief(row)));
                    }
                    if had == wanted && have != want {
                        found.push(format!("{name}: other order or number of rows"));
                    }
                }
                (None, None) => {}
            }
        }
        found
    }
}
