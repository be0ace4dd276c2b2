//! Scenarios for the shims: programs that stand in for backup tools, binlog readers and clients in tests.
//!
//! A shim reads `scenario.json` beside the path that it was started under (or where `DBBAK_SHIM_SCENARIO` says), appends
//! its arguments to `calls.jsonl` there, and behaves as the program that the scenario names: the files, the state of a
//! backup directory, the exit statuses and the last lines are those of the real one. `fixtures/README.md` cites the
//! source of each behaviour. Failures are scripted by the number of the call.

mod dir;
pub mod run;

pub use dir::{Call, ShimDir, ShimPrograms};

use dbbak_core::tools::{Family, Query};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Names the built shims; only a test target knows their paths, so that it must be a macro.
#[macro_export]
macro_rules! shim_programs {
    () => {
        $crate::shim::ShimPrograms {
            backup: env!("CARGO_BIN_EXE_fake-xtrabackup").into(),
            reader: env!("CARGO_BIN_EXE_fake-mysqlbinlog").into(),
            client: env!("CARGO_BIN_EXE_fake-mysql").into(),
        }
    };
}

/// What the shims in one directory do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// The vendor and series that all of them stand in for.
    pub series: Series,
    /// The version that the backup tool prints: `8.0.35-31`, `10.11.19-MariaDB`.
    pub tool_version: String,
    /// The server's `@@version`.
    pub server_version: String,
    /// The server's uuid; MariaDB has none.
    pub server_uuid: Option<String>,
    /// What each `--backup` finds, in the order of the calls; the last one stays.
    pub points: Vec<Point>,
    /// The client's answers, by statement: one an asking, the last one stays.
    pub answers: BTreeMap<String, Vec<Answer>>,
    /// What goes wrong.
    pub failures: Vec<Failure>,
}

/// The vendor and series that a shim stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// XtraBackup 2.4 and MySQL 5.7.
    Xtrabackup24,
    /// XtraBackup 8.0 and MySQL 8.0.
    Xtrabackup80,
    /// XtraBackup 8.4 and MySQL 8.4.
    Xtrabackup84,
    /// mariadb-backup and MariaDB 10.11.
    Mariadb1011,
    /// mariadb-backup and MariaDB 11.8.
    Mariadb118,
}

/// The state of the server at one backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The checkpoint at the backup's end.
    pub to_lsn: u64,
    /// The last redo; at `to_lsn` or later.
    pub last_lsn: u64,
    /// Where the backup stands in the binlogs; none: the server keeps no binlog.
    pub binlog: Option<Coordinates>,
    /// The content of the slave info file, where it is asked for.
    pub source: Option<String>,
    /// InnoDB tables as `database/table`, with a content that tells one state from another.
    pub tables: BTreeMap<String, String>,
    /// Those of the tables that were created while the backup ran: mariadb-backup writes them as `.new`.
    pub created_meanwhile: BTreeSet<String>,
}

/// A place in the binlogs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinates {
    /// The file's name.
    pub file: String,
    /// Bytes from its start.
    pub position: u64,
    /// GTIDs, where the server keeps some.
    pub gtid: Option<String>,
}

/// What the client prints for a statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// The exit status.
    pub code: u8,
}

/// A scripted failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which shim fails.
    pub tool: ShimTool,
    /// Only calls count that have this among their arguments, or one that begins with it where it ends with a space; an
    /// empty one counts every call.
    pub argument: String,
    /// The call that fails, counted from 1.
    pub call: usize,
    /// What happens.
    pub effect: Effect,
}

/// One of the shims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShimTool {
    /// `xtrabackup` or `mariadb-backup`.
    Backup,
    /// `mysqlbinlog` or `mariadb-binlog`.
    Reader,
    /// `mysql` or `mariadb`.
    Client,
}

/// What goes wrong in a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Ends with a status and a text on standard error, with so much of the work done.
    Exit {
        /// The status.
        code: u8,
        /// The text.
        stderr: String,
        /// How much of the work is done first.
        done: Done,
    },
    /// Never ends, with so much of the work done.
    Hang {
        /// How much of the work is done first.
        done: Done,
    },
    /// Is killed by signal 9, with so much of the work done.
    Killed {
        /// How much of the work is done first.
        done: Done,
    },
    /// Succeeds, but a file that it should have written is absent.
    MissingFile {
        /// The file's path from the top of the backup.
        name: String,
    },
    /// Succeeds, but the checkpoints file names another type.
    WrongType {
        /// The type.
        backup_type: String,
    },
    /// Succeeds, but says something alarming on the way.
    Alarm {
        /// The line.
        line: String,
    },
    /// Ends with status 0, but its last line is not the one for success.
    NoSuccessLine,
}

/// How much of its work a failing call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// Nothing.
    Nothing,
    /// About half of the files or of the output.
    Half,
    /// Everything.
    All,
}

impl Series {
    /// Whether it is MariaDB's.
    pub fn is_mariadb(self) -> bool {
        matches!(self, Series::Mariadb1011 | Series::Mariadb118)
    }

    /// The family of its server.
    pub fn family(self) -> Family {
        if self.is_mariadb() { Family::Mariadb } else { Family::Mysql }
    }

    /// Whether metadata files have MariaDB's own names, as from 11.1 on.
    pub fn has_new_names(self) -> bool {
        self == Series::Mariadb118
    }

    /// The names under which the backup tool, the binlog reader and the client are installed.
    pub fn program_names(self) -> [&'static str; 3] {
        if self.is_mariadb() {
            ["mariadb-backup", "mariadb-binlog", "mariadb"]
        } else {
            ["xtrabackup", "mysqlbinlog", "mysql"]
        }
    }
}

impl Scenario {
    /// A server of a series with one small table and a binlog, and the answers of its client to dbbak's questions.
    pub fn of(series: Series) -> Self {
        let (tool_version, server_version) = match series {
            Series::Xtrabackup24 => ("2.4.29", "5.7.44-log"),
            Series::Xtrabackup80 => ("8.0.35-31", "8.0.35"),
            Series::Xtrabackup84 => ("8.4.0-6", "8.4.8"),
            Series::Mariadb1011 => ("10.11.19-MariaDB", "10.11.19-MariaDB-0+deb12u1-log"),
            Series::Mariadb118 => ("11.8.6-MariaDB", "11.8.6-MariaDB-0+deb13u1-log"),
        };
        let uuid = "5548e6f5-e54c-11f1-bda1-02fc00000001";
        Scenario {
            series,
            tool_version: tool_version.to_owned(),
            server_version: server_version.to_owned(),
            server_uuid: (!series.is_mariadb()).then(|| uuid.to_owned()),
            points: vec![Point::new(1000).table("shop/orders", "v1").binlog("mysql-bin.000001", 4711, Some("0-1-17"))],
            answers: BTreeMap::new(),
            failures: Vec::new(),
        }
        .with_variables(&[])
        .answer_with("SELECT UTC_TIMESTAMP(6) AS now", &["now"], &[&["2026-11-21 03:00:00.000000"]])
        .answer_with("SELECT 1 AS one", &["one"], &[&["1"]])
        .answer_with(
            "SHOW GRANTS",
            &["Grants for root@localhost"],
            &[&["GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION"]],
        )
        .answer_with("SHOW BINARY LOGS", &["Log_name", "File_size"], &[&["mysql-bin.000001", "4711"]])
        .answer_with(
            "SHOW MASTER STATUS",
            &["File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB"],
            &[&["mysql-bin.000001", "4711", "", ""]],
        )
        .answer_with(Query::Tablespaces(series.family()).sql(), &["space", "name"], &[&["5", "shop/orders"]])
        .answer_with(Query::WithoutTablespace(series.family()).sql(), &["space", "name"], &[])
    }

    /// The same with these points instead.
    #[must_use]
    pub fn points(mut self, points: impl IntoIterator<Item = Point>) -> Self {
        self.points = points.into_iter().collect();
        self
    }

    /// The same with one more failure: the call is counted from 1 among those that have `argument` among their arguments.
    #[must_use]
    pub fn fail(mut self, tool: ShimTool, argument: &str, call: usize, effect: Effect) -> Self {
        self.failures.push(Failure { tool, argument: argument.to_owned(), call, effect });
        self
    }

    /// The same with an answer to a statement instead of those that it had.
    #[must_use]
    pub fn answer(mut self, sql: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.answers.insert(sql.to_owned(), answers.into_iter().collect());
        self
    }

    /// The same with a result set as the answer to a statement.
    #[must_use]
    pub fn answer_with(self, sql: &str, columns: &[&str], rows: &[&[&str]]) -> Self {
        let answer = Answer { stdout: batch(columns, rows), ..Answer::default() };
        self.answer(sql, [answer])
    }

    /// The same with the server's usual variables, and these on top of them.
    #[must_use]
    pub fn with_variables(self, pairs: &[(&str, &str)]) -> Self {
        let mut variables: BTreeMap<String, String> = [
            ("version", self.server_version.as_str()),
            ("version_comment", if self.series.is_mariadb() { "Debian 12" } else { "MySQL Community Server - GPL" }),
            ("server_id", "1"),
            ("datadir", "/var/lib/mysql/"),
            ("socket", "/run/mysqld/mysqld.sock"),
            ("log_bin", "ON"),
            ("log_bin_basename", "/var/lib/mysql/mysql-bin"),
            ("log_bin_index", "/var/lib/mysql/mysql-bin.index"),
            ("binlog_format", "ROW"),
            ("binlog_checksum", "CRC32"),
            ("innodb_page_size", "16384"),
            ("innodb_data_file_path", "ibdata1:12M:autoextend"),
            ("lower_case_table_names", "0"),
            ("max_allowed_packet", "16777216"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        if let Some(uuid) = &self.server_uuid {
            variables.insert("server_uuid".to_owned(), uuid.clone());
            variables.insert("gtid_mode".to_owned(), "ON".to_owned());
        }
        variables.extend(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let rows: Vec<[&str; 2]> = variables.iter().map(|(name, value)| [name.as_str(), value.as_str()]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(|row| &row[..]).collect();
        self.answer_with("SHOW GLOBAL VARIABLES", &["Variable_name", "Value"], &rows)
    }
}

impl Point {
    /// A state that ends at an LSN, without tables and without a binlog.
    pub fn new(to_lsn: u64) -> Self {
        Point { to_lsn, last_lsn: to_lsn + 16, ..Point::default() }
    }

    /// The same with one more table.
    #[must_use]
    pub fn table(mut self, name: &str, content: &str) -> Self {
        self.tables.insert(name.to_owned(), content.to_owned());
        self
    }

    /// The same with one more table that was created while the backup ran.
    #[must_use]
    pub fn created_meanwhile(mut self, name: &str, content: &str) -> Self {
        self.created_meanwhile.insert(name.to_owned());
        self.table(name, content)
    }

    /// The same with coordinates.
    #[must_use]
    pub fn binlog(mut self, file: &str, position: u64, gtid: Option<&str>) -> Self {
        self.binlog = Some(Coordinates { file: file.to_owned(), position, gtid: gtid.map(str::to_owned) });
        self
    }

    /// The same on a replica: the content of the slave info file.
    #[must_use]
    pub fn source(mut self, statements: &str) -> Self {
        self.source = Some(statements.to_owned());
        self
    }
}

impl Answer {
    /// A failure as the clients print it.
    pub fn error(code: u32, sql_state: &str, message: &str) -> Self {
        Answer { stderr: format!("ERROR {code} ({sql_state}) at line 1: {message}\n"), code: 1, ..Answer::default() }
    }
}

/// A result set as the clients print it with `--batch`; an empty one prints nothing.
fn batch(columns: &[&str], rows: &[&[&str]]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let escaped =
        |field: &&str| field.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\0', "\\0");
    let line = |fields: &[&str]| fields.iter().map(escaped).collect::<Vec<_>>().join("\t") + "\n";
    std::iter::once(line(columns)).chain(rows.iter().map(|row| line(row))).collect()
}
