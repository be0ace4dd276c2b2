//! Tells which tool a program is, and of which version, from what it prints.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What dbbak needs a program for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolRole {
    /// Physical backups: xtrabackup, mariadb-backup.
    Backup,
    /// Reads binlogs: mysqlbinlog, mariadb-binlog.
    BinlogReader,
    /// Talks to a server: mysql, mariadb.
    Client,
    /// The server itself: mysqld, mariadbd.
    Server,
    /// Logical dumps: mysqldump, mariadb-dump.
    Dump,
}

/// The two families of formats and dialects. Percona's tools are of MySQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// MySQL and Percona Server.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// Who made a program or a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavor {
    /// Oracle's MySQL.
    Mysql,
    /// Percona Server, and XtraBackup.
    Percona,
    /// MariaDB.
    Mariadb,
}

/// Which program it is, by what it prints and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    /// Percona XtraBackup.
    Xtrabackup,
    /// mariadb-backup, once mariabackup.
    MariadbBackup,
    /// MySQL's binlog reader.
    Mysqlbinlog,
    /// MariaDB's binlog reader.
    MariadbBinlog,
    /// MySQL's client.
    Mysql,
    /// MariaDB's client.
    Mariadb,
    /// MySQL's or Percona's server.
    Mysqld,
    /// MariaDB's server.
    Mariadbd,
    /// MySQL's dump program.
    Mysqldump,
    /// MariaDB's dump program.
    MariadbDump,
}

/// A version of three numbers. Ordered by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// The 8 of 8.0.35.
    pub major: u32,
    /// The 0 of 8.0.35.
    pub minor: u32,
    /// The 35 of 8.0.35.
    pub patch: u32,
}

/// A program that was asked for its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolVersion {
    /// Which program it is.
    pub kind: ToolKind,
    /// Who made it.
    pub flavor: Flavor,
    /// Its version; of a client tool the version of the server distribution that it came with. `None` where the tool
    /// prints only a number of its own: mysqlbinlog up to MySQL 5.7 and MariaDB 10.11 says `Ver 3.4` or `Ver 3.5`.
    pub version: Option<Version>,
    /// The version with all its suffixes, as printed: `8.0.35-31`, `10.11.19-MariaDB-0+deb12u1`.
    pub full: String,
}

/// Text that is no version, or not that of the tool that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// Not of the form `8.0.35` with an optional rest.
    #[error("not a version like 8.0.35: {text:?}")]
    NotAVersion {
        /// The text as it was found.
        text: String,
    },
    /// No line of the output has a version in a known form.
    #[error("no version of a {role} in {output:?}")]
    NoVersion {
        /// What the program is needed for.
        role: ToolRole,
        /// The first lines of the output.
        output: String,
    },
    /// The program is another one.
    #[error("expected a {expected}, found a {found}: {line:?}")]
    OtherTool {
        /// What the program is needed for.
        expected: ToolRole,
        /// What it is.
        found: ToolRole,
        /// The line that says so.
        line: String,
    },
    /// Both vendors print this line; their `--help` differs.
    #[error("the vendor does not follow from {line:?}")]
    UnknownVendor {
        /// The line with the version.
        line: String,
    },
}

impl ToolRole {
    /// All of them.
    pub const ALL: [ToolRole; 5] =
        [ToolRole::Backup, ToolRole::BinlogReader, ToolRole::Client, ToolRole::Server, ToolRole::Dump];

    /// The program of this role in a family.
    pub fn kind(self, family: Family) -> ToolKind {
        match (self, family) {
            (ToolRole::Backup, Family::Mysql) => ToolKind::Xtrabackup,
            (ToolRole::Backup, Family::Mariadb) => ToolKind::MariadbBackup,
            (ToolRole::BinlogReader, Family::Mysql) => ToolKind::Mysqlbinlog,
            (ToolRole::BinlogReader, Family::Mariadb) => ToolKind::MariadbBinlog,
            (ToolRole::Client, Family::Mysql) => ToolKind::Mysql,
            (ToolRole::Client, Family::Mariadb) => ToolKind::Mariadb,
            (ToolRole::Server, Family::Mysql) => ToolKind::Mysqld,
            (ToolRole::Server, Family::Mariadb) => ToolKind::Mariadbd,
            (ToolRole::Dump, Family::Mysql) => ToolKind::Mysqldump,
            (ToolRole::Dump, Family::Mariadb) => ToolKind::MariadbDump,
        }
    }
}

impl Flavor {
    /// The family that the flavor belongs to.
    pub fn family(self) -> Family {
        match self {
            Flavor::Mysql | Flavor::Percona => Family::Mysql,
            Flavor::Mariadb => Family::Mariadb,
        }
    }
}

impl ToolKind {
    /// What the program is good for.
    pub fn role(self) -> ToolRole {
        match self {
            ToolKind::Xtrabackup | ToolKind::MariadbBackup => ToolRole::Backup,
            ToolKind::Mysqlbinlog | ToolKind::MariadbBinlog => ToolRole::BinlogReader,
            ToolKind::Mysql | ToolKind::Mariadb => ToolRole::Client,
            ToolKind::Mysqld | ToolKind::Mariadbd => ToolRole::Server,
            ToolKind::Mysqldump | ToolKind::MariadbDump => ToolRole::Dump,
        }
    }

    /// The family that the program belongs to.
    pub fn family(self) -> Family {
        match self {
            ToolKind::Xtrabackup | ToolKind::Mysqlbinlog | ToolKind::Mysql | ToolKind::Mysqld | ToolKind::Mysqldump => {
                Family::Mysql
            }
            ToolKind::MariadbBackup
            | ToolKind::MariadbBinlog
            | ToolKind::Mariadb
            | ToolKind::Mariadbd
            | ToolKind::MariadbDump => Family::Mariadb,
        }
    }
}

impl Version {
    /// A version of three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Version { major, minor, patch }
    }

    /// Major and minor: what decides whether a backup and a server fit.
    pub fn series(self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Takes the numbers at the start, at least two, and ignores what follows: a fourth number and a suffix do not decide
    /// what a program or a server can do. A missing patch is 0.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let ([major, minor, patch], _) =
            super::version_line::numbers(text).ok_or_else(|| VersionError::NotAVersion { text: text.to_owned() })?;
        Ok(Version { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl fmt::Display for ToolRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToolRole::Backup => "backup tool",
            ToolRole::BinlogReader => "binlog reader",
            ToolRole::Client => "client",
            ToolRole::Server => "server",
            ToolRole::Dump => "dump tool",
        })
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flavor::Mysql => "MySQL",
            Flavor::Percona => "Percona",
            Flavor::Mariadb => "MariaDB",
        })
    }
}

impl fmt::Display for ToolKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ToolKind::Xtrabackup => "xtrabackup",
            ToolKind::MariadbBackup => "mariadb-backup",
            ToolKind::Mysqlbinlog => "mysqlbinlog",
            ToolKind::MariadbBinlog => "mariadb-binlog",
            ToolKind::Mysql => "mysql",
            ToolKind::Mariadb => "mariadb",
            ToolKind::Mysqld => "mysqld",
            ToolKind::Mariadbd => "mariadbd",
            ToolKind::Mysqldump => "mysqldump",
            ToolKind::MariadbDump => "mariadb-dump",
        })
    }
}

impl fmt::Display for ToolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_and_orders_them() {
        for (text, shown) in [
            ("8.0.35", "8.0.35"),
            ("8.0.35-31", "8.0.35"),
            ("10.11.19-MariaDB-0+deb12u1", "10.11.19"),
            ("26.7", "26.7.0"),
            ("26.10.0.2", "26.10.0"),
            ("11.8.9-MariaDB-0+deb13u1 from Debian-log", "11.8.9"),
        ] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), shown);
        }
        assert!(Version::new(8, 0, 9) < Version::new(8, 0, 34) && Version::new(9, 7, 0) < Version::new(26, 7, 0));
        for text in ["", "8", "8.0.x", "8..1", "-8.0.1", "8.0.", "8.0/35"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
