//! Changes of the schema: tables and databases come, go, and are renamed, emptied and altered.

use super::clients::{columns, create};
use super::driver::Driver;
use super::model::{Change, Column, Table};
use crate::server::{Server, ServerError};

impl Driver {
    /// Changes the schema where no open transaction is in the way.
    pub(super) fn change_schema(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        let idle = self.idle_tables();
        let all = self.state.tables.len();
        let Some(table) = self.random.pick(&idle).cloned() else { return Ok(()) };
        let (sql, changes) = match self.random.below(12) {
            0 | 1 if all < 10 => {
                let new = self.new_table();
                (create(&new), vec![Change::Create(new, columns())])
            }
            2 if all < 10 => {
                let new = self.new_table();
                self.copy(&table, &new)
            }
            3 if all > 6 => (format!("DROP TABLE {table}"), vec![Change::Drop(table)]),
            4 if all > 7 && idle.len() > 1 => {
                let other = idle.iter().find(|other| **other != table).cloned().unwrap_or_default();
                (format!("DROP TABLE {table}, {other}"), vec![Change::Drop(table), Change::Drop(other)])
            }
            5 | 6 => {
                let new = self.new_table();
                (format!("RENAME TABLE {table} TO {new}"), vec![Change::Rename(table, new)])
            }
            7 if idle.len() > 1 => {
                let other = idle.iter().find(|other| **other != table).cloned().unwrap_or_default();
                let away = self.new_table();
                let steps = [(&table, &away), (&other, &table), (&away, &other)];
                let list: Vec<String> = steps.iter().map(|(from, to)| format!("{from} TO {to}")).collect();
                let changes = steps.iter().map(|(from, to)| Change::Rename((*from).clone(), (*to).clone())).collect();
                (format!("RENAME TABLE {}", list.join(", ")), changes)
            }
            8 => (format!("TRUNCATE TABLE {table}"), vec![Change::Truncate(table)]),
            9 if self.columns_of(&table) > 2 => {
                let last =
                    self.state.tables[&table].columns.last().map(|column| column.name.clone()).unwrap_or_default();
                (format!("ALTER TABLE {table} DROP COLUMN {last}"), vec![Change::DropColumn(table)])
            }
            10 => return self.database_comes_and_goes(server, number),
            _ => {
                self.names += 1;
                let column = Column { name: format!("n{}", self.names), default: self.random.below(1000).to_string() };
                let Column { name, default } = &column;
                let sql = format!("ALTER TABLE {table} ADD COLUMN {name} BIGINT NOT NULL DEFAULT {default}");
                (sql, vec![Change::AddColumn(table, column)])
            }
        };
        self.skew(server, number)?;
        self.auto(server, number, &sql, changes)
    }

    fn columns_of(&self, table: &str) -> usize {
        self.state.tables.get(table).map_or(0, |table| table.columns.len())
    }

    fn new_table(&mut self) -> String {
        self.names += 1;
        let database = if self.random.percent(50) { "alpha" } else { "beta" };
        format!("{database}.t{}", self.names)
    }

    /// A table that is made of another one.
    fn copy(&self, from: &str, to: &str) -> (String, Vec<Change>) {
        let Table { columns, rows } = self.state.tables.get(from).cloned().unwrap_or_default();
        let mut changes = vec![Change::Create(to.to_owned(), columns)];
        changes.extend(rows.into_iter().map(|(id, values)| Change::Put(to.to_owned(), id, values)));
        (format!("CREATE TABLE {to} (PRIMARY KEY (id)) ENGINE=InnoDB SELECT * FROM {from}"), changes)
    }

    /// A database with a table appears, or the one that is there disappears with its tables.
    fn database_comes_and_goes(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        let inside = |table: &String| table.starts_with("gamma.");
        let there = self.state.tables.keys().filter(|table| inside(table)).count();
        if there == 0 {
            self.auto(server, number, "CREATE DATABASE IF NOT EXISTS gamma", Vec::new())?;
            let table = "gamma.one".to_owned();
            return self.auto(server, number, &create(&table), vec![Change::Create(table, columns())]);
        }
        if self.idle_tables().iter().filter(|table| inside(table)).count() < there {
            return Ok(());
        }
        self.auto(server, number, "DROP DATABASE gamma", vec![Change::DropDatabase("gamma".to_owned())])
    }
}
