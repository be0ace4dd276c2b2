//! The servers that a history can be of, and the programs that go with each.

use dbbak_core::{
    facts::ToolFact,
    tools::{Family, Flavor, ToolRole, ToolVersion, Version},
};

/// A server and its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// MariaDB 10.11 with mariadb-backup.
    Mariadb,
    /// MySQL 5.7 without GTIDs, with XtraBackup 2.4.
    Mysql57,
    /// Percona Server 8.0 with XtraBackup 8.0.
    Percona80,
    /// MySQL 8.4 with XtraBackup 8.4.
    Mysql84,
}

impl Product {
    /// The family that it belongs to.
    pub fn family(self) -> Family {
        self.flavor().family()
    }

    /// Who makes it.
    pub fn flavor(self) -> Flavor {
        match self {
            Product::Mariadb => Flavor::Mariadb,
            Product::Mysql57 | Product::Mysql84 => Flavor::Mysql,
            Product::Percona80 => Flavor::Percona,
        }
    }

    /// The server's version.
    pub fn version(self) -> Version {
        match self {
            Product::Mariadb => Version::new(10, 11, 19),
            Product::Mysql57 => Version::new(5, 7, 44),
            Product::Percona80 => Version::new(8, 0, 35),
            Product::Mysql84 => Version::new(8, 4, 3),
        }
    }

    /// The version as the server prints it.
    pub fn version_text(self) -> String {
        match self {
            Product::Mariadb => "10.11.19-MariaDB-log".into(),
            Product::Mysql57 => "5.7.44-log".into(),
            Product::Percona80 => "8.0.35-27".into(),
            Product::Mysql84 => "8.4.3".into(),
        }
    }

    /// The engine that backs it up.
    pub fn engine(self) -> &'static str {
        if self == Product::Mariadb { "mariadb-backup" } else { "xtrabackup" }
    }

    /// The version of the backup tool.
    pub fn tool_version(self) -> &'static str {
        match self {
            Product::Mariadb => "10.11.19-MariaDB",
            Product::Mysql57 => "2.4.29",
            Product::Percona80 => "8.0.35-31",
            Product::Mysql84 => "8.4.0-1",
        }
    }

    /// Whether its logs hold commit times.
    pub fn logs_commit_times(self) -> bool {
        matches!(self, Product::Percona80 | Product::Mysql84)
    }

    /// Whether its logs hold GTIDs.
    pub fn has_gtids(self) -> bool {
        self != Product::Mysql57
    }

    /// The GTID of the transaction with a number in a history.
    pub fn gtid(self, history: usize, number: u64) -> String {
        match self {
            Product::Mariadb => format!("0-{}-{number}", history + 1),
            _ => format!("00000000-0000-4000-8000-{history:012}:{number}"),
        }
    }

    /// The GTIDs of the transactions from one number to another; an empty text when there are none.
    pub fn gtids(self, history: usize, from: u64, to: u64) -> String {
        match self {
            _ if to < from => String::new(),
            Product::Mariadb => self.gtid(history, to),
            _ => format!("{}-{to}", self.gtid(history, from)),
        }
    }

    /// The programs, as a survey finds them.
    pub fn tools(self) -> Vec<ToolFact> {
        [ToolRole::Backup, ToolRole::BinlogReader, ToolRole::Client, ToolRole::Server]
            .into_iter()
            .map(|role| self.tool(role))
            .collect()
    }

    /// A program.
    pub fn tool(self, role: ToolRole) -> ToolFact {
        let name = match (role, self.family()) {
            (ToolRole::Backup, _) => self.engine(),
            (ToolRole::BinlogReader, Family::Mysql) => "mysqlbinlog",
            (ToolRole::BinlogReader, Family::Mariadb) => "mariadb-binlog",
            (ToolRole::Client, Family::Mysql) => "mysql",
            (ToolRole::Client, Family::Mariadb) => "mariadb",
            (ToolRole::Server, Family::Mysql) => "mysqld",
            (ToolRole::Server, Family::Mariadb) => "mariadbd",
            (ToolRole::Dump, _) => "mysqldump",
        };
        let full = if role == ToolRole::Backup { self.tool_version().to_owned() } else { self.version_text() };
        let numbers = full.split('-').next().and_then(|numbers| numbers.parse().ok());
        let flavor = match (role, self.flavor()) {
            (ToolRole::Backup, Flavor::Mysql) => Flavor::Percona,
            (_, flavor) => flavor,
        };
        let version = ToolVersion { kind: role.kind(self.family()), flavor, version: numbers, full };
        ToolFact { role, path: Some(format!("/usr/bin/{name}").into()), version: Some(version), problem: None }
    }
}
