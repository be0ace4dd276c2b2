//! Tells which tool a program is, and of which version, from what it prints.

use super::names::role_of;
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

/// Reads `--version` output (standard output and standard error together), or that of `--help`.
///
/// The forms, all seen on real programs: `xtrabackup version 8.0.35-31 based on MySQL server ...` between notes,
/// `mariadb-backup based on MariaDB server 10.11.19-MariaDB ...`, `mysqld  Ver 8.0.35 for Linux on ...`,
/// `mysql  Ver 14.14 Distrib 5.7.44, for ...`, `mariadb from 11.8.3-MariaDB, client 15.2 for ...`, and
/// `mysqlbinlog Ver 3.4 for Linux at x86_64`, which does not tell the vendor: its `--help` does.
///
/// # Errors
/// [`VersionError`]: no version found, or the program is another tool.
pub fn parse_version(role: ToolRole, output: &str) -> Result<ToolVersion, VersionError> {
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(form) = Form::of(&words) else { continue };
        if let Some(found) = form.role(&words).filter(|found| *found != role) {
            return Err(VersionError::OtherTool { expected: role, found, line: line.trim().to_owned() });
        }
        return form.read(role, line, output);
    }
    Err(VersionError::NoVersion { role, output: output.lines().take(3).collect::<Vec<_>>().join("\n") })
}

/// Reads `@@version` and `@@version_comment` of a server.
///
/// # Errors
/// [`VersionError::NotAVersion`].
pub fn parse_server_version(version: &str, comment: &str) -> Result<(Flavor, Version), VersionError> {
    // MariaDB puts 5.5.5- before its version on the wire, and some proxies repeat it in the variable.
    let text = version.strip_prefix("5.5.5-").filter(|rest| rest.contains("MariaDB")).unwrap_or(version);
    Ok((flavor_of(&format!("{text} {comment}")), text.parse()?))
}

fn flavor_of(text: &str) -> Flavor {
    if text.contains("MariaDB") {
        Flavor::Mariadb
    } else if text.contains("Percona") {
        Flavor::Percona
    } else {
        Flavor::Mysql
    }
}

/// The forms of a line with a version; each holds the version's word.
enum Form<'a> {
    Xtrabackup(&'a str),
    MariadbBackup(&'a str),
    /// Everything else prints `NAME Ver V for`, `NAME Ver N Distrib V, for` or `NAME from V, client N for`.
    Named(&'a str),
}

impl<'a> Form<'a> {
    fn of(words: &[&'a str]) -> Option<Self> {
        let after = |text: &[&str]| {
            let at = words.windows(text.len()).position(|window| window == text)?;
            words.get(at + text.len()).copied()
        };
        let named = || after(&["Distrib"]).or_else(|| after(&["from"])).or_else(|| after(&["Ver"]));
        // The name may be a whole path, so that only its end is looked at.
        let xtrabackup = words
            .iter()
            .position(|word| *word == "version")
            .filter(|at| *at > 0 && words[at - 1].ends_with("xtrabackup"))
            .and_then(|at| words.get(at + 1).copied());
        if let Some(version) = xtrabackup {
            Some(Form::Xtrabackup(version))
        } else if let Some(version) = after(&["based", "on", "MariaDB", "server"]) {
            Some(Form::MariadbBackup(version))
        } else {
            let version = named()?.trim_end_matches(',');
            version.starts_with(|first: char| first.is_ascii_digit()).then_some(Form::Named(version))
        }
    }

    fn role(&self, words: &[&str]) -> Option<ToolRole> {
        match self {
            Form::Xtrabackup(_) | Form::MariadbBackup(_) => Some(ToolRole::Backup),
            Form::Named(_) => role_of(words.first()?.rsplit('/').next()?),
        }
    }

    fn read(self, role: ToolRole, line: &str, output: &str) -> Result<ToolVersion, VersionError> {
        let (flavor, full) = match self {
            Form::Xtrabackup(full) => (Flavor::Percona, full),
            Form::MariadbBackup(full) => (Flavor::Mariadb, full),
            Form::Named(full) if full.matches('.').count() >= 2 => (flavor_of(line), full),
            Form::Named(full) => {
                // A number of the tool's own. Only MariaDB ever came to 3.5 (10.x); 3.4 and less stand for both.
                let flavor = if full == "3.5" || output.contains("MariaDB") {
                    Flavor::Mariadb
                } else if output.contains("Oracle") {
                    Flavor::Mysql
                } else {
                    return Err(VersionError::UnknownVendor { line: line.trim().to_owned() });
                };
                return Ok(ToolVersion {
                    kind: role.kind(flavor.family()),
                    flavor,
                    version: None,
                    full: full.to_owned(),
                });
            }
        };
        Ok(ToolVersion {
            kind: role.kind(flavor.family()),
            flavor,
            version: Some(full.parse()?),
            full: full.to_owned(),
        })
    }
}

impl FromStr for Version {
    type Err = VersionError;

    /// Takes the three numbers at the start and ignores a rest that does not go on with a digit or a dot.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError::NotAVersion { text: text.to_owned() };
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let mut numbers = text[..end].split('.').map(str::parse);
        let mut number = || numbers.next().and_then(Result::ok).ok_or_else(error);
        let version = Version::new(number()?, number()?, number()?);
        if numbers.next().is_some() { Err(error()) } else { Ok(version) }
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
    use ToolKind as K;
    use ToolRole as R;

    #[test]
    fn reads_what_real_programs_print() {
        type Case = (R, &'static str, K, Flavor, Option<(u32, u32, u32)>, &'static str);
        let cases: &[Case] = &[
            (
                R::Backup,
                "xtrabackup: recognized server arguments: --datadir=/var/lib/mysql\n\
                 xtrabackup version 2.4.24 based on MySQL server 5.7.35 Linux (x86_64) (revision id: b4ee263)\n",
                K::Xtrabackup,
                Flavor::Percona,
                Some((2, 4, 24)),
                "2.4.24",
            ),
            (
                R::Backup,
                "2022-08-02T17:34:33.011020+08:00 0 [Note] [MY-011825] [Xtrabackup] recognized server arguments: --datadir=/d\n\
                 /root/xtrabackup_8032/bin/xtrabackup version 8.0.32-26 based on MySQL server 8.0.32 Linux (x86_64) (revision id: )\n",
                K::Xtrabackup,
                Flavor::Percona,
                Some((8, 0, 32)),
                "8.0.32-26",
            ),
            (
                R::Backup,
                "mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)\n",
                K::MariadbBackup,
                Flavor::Mariadb,
                Some((10, 11, 19)),
                "10.11.19-MariaDB",
            ),
            (
                R::BinlogReader,
                "mysqlbinlog  Ver 9.7.4 for Linux on x86_64 (MySQL Community Server - GPL)\n",
                K::Mysqlbinlog,
                Flavor::Mysql,
                Some((9, 7, 4)),
                "9.7.4",
            ),
            (
                R::BinlogReader,
                "mariadb-binlog from 11.8.6-MariaDB, client 3.6 for debian-linux-gnu (x86_64)\n",
                K::MariadbBinlog,
                Flavor::Mariadb,
                Some((11, 8, 6)),
                "11.8.6-MariaDB",
            ),
            (
                R::BinlogReader,
                "mariadb-binlog Ver 3.5 for debian-linux-gnu at x86_64\n",
                K::MariadbBinlog,
                Flavor::Mariadb,
                None,
                "3.5",
            ),
            (
                R::BinlogReader,
                "/usr/local/mysql/bin/mysqlbinlog Ver 3.4 for Linux at x86_64\n\
                 Copyright (c) 2000, 2017, Oracle and/or its affiliates. All rights reserved.\n",
                K::Mysqlbinlog,
                Flavor::Mysql,
                None,
                "3.4",
            ),
            (
                R::Client,
                "mysql  Ver 14.14 Distrib 5.7.44, for Linux (x86_64) using  EditLine wrapper\n",
                K::Mysql,
                Flavor::Mysql,
                Some((5, 7, 44)),
                "5.7.44",
            ),
            (
                R::Client,
                "mysql  Ver 15.1 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64) using  EditLine wrapper\n",
                K::Mariadb,
                Flavor::Mariadb,
                Some((10, 11, 19)),
                "10.11.19-MariaDB",
            ),
            (
                R::Server,
                "/usr/sbin/mysqld  Ver 8.0.35-27 for Linux on x86_64 (Percona Server (GPL), Release '27', Revision '2f8eeab2'$)\n",
                K::Mysqld,
                Flavor::Percona,
                Some((8, 0, 35)),
                "8.0.35-27",
            ),
            (
                R::Server,
                "mariadbd  Ver 10.11.19-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)\n",
                K::Mariadbd,
                Flavor::Mariadb,
                Some((10, 11, 19)),
                "10.11.19-MariaDB-0+deb12u1",
            ),
            (
                R::Dump,
                "mysqldump  Ver 10.19 Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)\n",
                K::MariadbDump,
                Flavor::Mariadb,
                Some((10, 11, 19)),
                "10.11.19-MariaDB",
            ),
        ];
        for (role, output, kind, flavor, numbers, full) in cases {
            let expected = ToolVersion {
                kind: *kind,
                flavor: *flavor,
                version: numbers.map(|(major, minor, patch)| Version::new(major, minor, patch)),
                full: (*full).to_owned(),
            };
            assert_eq!(parse_version(*role, output), Ok(expected), "{output}");
            assert_eq!((kind.role(), kind.family()), (*role, flavor.family()));
        }
    }

    #[test]
    fn refuses_another_tool_and_an_unknown_vendor() {
        let line = "mysqld  Ver 8.0.35 for Linux on x86_64 (MySQL Community Server - GPL)";
        assert!(matches!(
            parse_version(R::BinlogReader, line),
            Err(VersionError::OtherTool { expected: R::BinlogReader, found: R::Server, .. })
        ));
        assert!(matches!(
            parse_version(R::BinlogReader, "mysqlbinlog Ver 3.4 for Linux at x86_64\n"),
            Err(VersionError::UnknownVendor { .. })
        ));
        for output in ["", "sh: xtrabackup: not found", "xtrabackup version"] {
            assert!(parse_version(R::Backup, output).is_err(), "{output}");
        }
    }

    #[test]
    fn reads_server_versions_and_orders_them() {
        for (version, comment, flavor, shown) in [
            ("10.11.19-MariaDB-0+deb12u1-log", "Debian 12", Flavor::Mariadb, "10.11.19"),
            ("5.5.5-10.6.18-MariaDB", "", Flavor::Mariadb, "10.6.18"),
            ("8.0.35-27", "Percona Server (GPL), Release 27", Flavor::Percona, "8.0.35"),
            ("5.7.44-log", "MySQL Community Server (GPL)", Flavor::Mysql, "5.7.44"),
        ] {
            let (found, number) = parse_server_version(version, comment).unwrap();
            assert_eq!((found, number.to_string()), (flavor, shown.to_owned()));
        }
        assert!(Version::new(8, 0, 9) < Version::new(8, 0, 34) && Version::new(9, 7, 0) < Version::new(10, 11, 0));
        for text in ["", "8.0", "8.0.x", "8.0.35.1", "-8.0.1"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
