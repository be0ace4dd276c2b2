//! Reads what a client printed with `--batch`: tables, and the answers that dbbak asks for.

use crate::model::{BinlogName, BinlogPosition};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A result set. An empty one has no columns either: the client prints nothing at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// One row of a [`Table`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    table: &'a Table,
    fields: &'a [String],
}

/// An answer that is not of the form that the question asks for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// A row has more or fewer fields than there are columns.
    #[error("row {row} has {found} fields, expected {expected}")]
    Ragged {
        /// The row, counted from 1.
        row: usize,
        /// The number of columns.
        expected: usize,
        /// The number of fields.
        found: usize,
    },
    /// A column is absent.
    #[error("no column {column} among {columns:?}")]
    NoColumn {
        /// The column.
        column: &'static str,
        /// The columns that are there.
        columns: Vec<String>,
    },
    /// There is no row.
    #[error("no row in the answer to {question}")]
    NoRow {
        /// What was asked.
        question: &'static str,
    },
    /// A field cannot be read.
    #[error("{column} is {text:?}, expected {expected}")]
    BadField {
        /// The column.
        column: &'static str,
        /// The field.
        text: String,
        /// What it should have been.
        expected: &'static str,
    },
}

/// A binlog as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinaryLog {
    /// Its name.
    pub name: BinlogName,
    /// Bytes.
    pub size: u64,
    /// Whether it is encrypted: its bytes are of no use without the server's keyring. MariaDB does not say.
    pub encrypted: Option<bool>,
}

/// Where a server writes its binlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinlogStatus {
    /// File and offset of the next event.
    pub at: BinlogPosition,
    /// Databases that alone are logged; others are missing from every replay.
    pub do_db: Vec<String>,
    /// Databases that are not logged, and missing from every replay.
    pub ignore_db: Vec<String>,
    /// `gtid_executed`; MySQL with GTIDs.
    pub gtid_executed: Option<String>,
}

/// One source that a server replicates from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaStatus {
    /// The channel or connection; empty for the default one.
    pub channel: String,
    /// The source's host.
    pub source_host: String,
    /// Whether events are fetched.
    pub io_running: bool,
    /// Whether events are applied.
    pub sql_running: bool,
    /// Where in the source's binlogs the applied events end.
    pub applied: Option<BinlogPosition>,
    /// How far the applier is behind, in seconds; `None` where it does not run.
    pub seconds_behind: Option<u64>,
    /// The last error of either thread.
    pub last_error: Option<String>,
}

/// Tables and bytes of one storage engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineUse {
    /// The engine.
    pub engine: String,
    /// How many tables.
    pub tables: u64,
    /// Bytes of data and indexes, as the server estimates them.
    pub bytes: u64,
}

/// What an account may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Privileges on everything (`*.*`), in capitals.
    pub global: BTreeSet<String>,
    /// Privileges on less, by what they are on, in capitals.
    pub scoped: BTreeMap<String, BTreeSet<String>>,
    /// Roles, whose privileges are not listed here.
    pub roles: Vec<String>,
    /// The lines, password hashes masked.
    pub lines: Vec<String>,
}

/// Reads a table that a client printed with `--batch` and column names.
///
/// Tab, line feed, NUL and backslash come as `\t`, `\n`, `\0` and `\\`, so that lines and tabs separate nothing but rows
/// and fields. A NULL comes as the word `NULL` and cannot be told from the text.
///
/// # Errors
///
/// [`AnswerError::Ragged`].
pub fn parse_table(stdout: &str) -> Result<Table, AnswerError> {
    let mut lines = stdout.split_terminator('\n').map(|line| line.split('\t').map(unescaped).collect::<Vec<String>>());
    let Some(columns) = lines.next() else { return Ok(Table::default()) };
    let rows: Vec<Vec<String>> = lines.collect();
    match rows.iter().enumerate().find(|(_, row)| row.len() != columns.len()) {
        Some((at, row)) => Err(AnswerError::Ragged { row: at + 1, expected: columns.len(), found: row.len() }),
        None => Ok(Table { columns, rows }),
    }
}

impl Table {
    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|fields| Row { table: self, fields })
    }
}

impl<'a> Row<'a> {
    /// A field by its column's name, in any case; `None` for a NULL (or the word) and for an absent column.
    pub fn get(&self, column: &str) -> Option<&'a str> {
        let at = self.table.columns.iter().position(|name| name.eq_ignore_ascii_case(column))?;
        self.fields.get(at).map(String::as_str).filter(|text| *text != "NULL")
    }

    /// The field of the first of several columns that is there: names differ between versions.
    pub(super) fn any(&self, columns: &[&'static str]) -> Option<&'a str> {
        columns.iter().find_map(|column| self.get(column))
    }

    pub(super) fn must(&self, columns: &[&'static str]) -> Result<&'a str, AnswerError> {
        self.any(columns).ok_or_else(|| AnswerError::NoColumn {
            column: columns.first().copied().unwrap_or_default(),
            columns: self.table.columns.clone(),
        })
    }
}

/// Reads `SHOW GLOBAL VARIABLES`: names in lower case. Values that may be secrets are masked.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_variables(stdout: &str) -> Result<BTreeMap<String, String>, AnswerError> {
    let table = parse_table(stdout)?;
    let pair = |row: Row<'_>| {
        let name = row.must(&["Variable_name"])?.to_ascii_lowercase();
        // The word NULL stands for itself here, as for an unset value.
        let value = row.get("Value").unwrap_or_default();
        let value = super::shown_value(&name, value).into_owned();
        Ok((name, value))
    };
    table.rows().map(pair).collect()
}

/// Reads `SHOW GLOBAL STATUS`: names in lower case.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_status(stdout: &str) -> Result<BTreeMap<String, String>, AnswerError> {
    parse_variables(stdout)
}

/// Reads `SHOW BINARY LOGS`, in the server's order: oldest first, the last is the one being written.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_binary_logs(stdout: &str) -> Result<Vec<BinaryLog>, AnswerError> {
    let log = |row: Row<'_>| {
        let (name, size) = (row.must(&["Log_name"])?, row.must(&["File_size"])?);
        Ok(BinaryLog {
            name: name.parse().map_err(|_| bad("Log_name", name, "a binlog file's name"))?,
            size: number("File_size", size)?,
            encrypted: row.get("Encrypted").map(|text| text.eq_ignore_ascii_case("yes")),
        })
    };
    parse_table(stdout)?.rows().map(log).collect()
}

/// Reads `SHOW MASTER STATUS`, `SHOW BINARY LOG STATUS` or `SHOW BINLOG STATUS`; `None` where the server keeps no binlog.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_binlog_status(stdout: &str) -> Result<Option<BinlogStatus>, AnswerError> {
    let table = parse_table(stdout)?;
    let Some(row) = table.rows().next() else { return Ok(None) };
    let (file, position) = (row.must(&["File"])?, row.must(&["Position"])?);
    let list = |column| {
        let text: &str = row.get(column).unwrap_or_default();
        text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    };
    let gtids: Option<String> = row.get("Executed_Gtid_Set").map(|text| text.split_whitespace().collect());
    Ok(Some(BinlogStatus {
        at: BinlogPosition {
            file: file.parse().map_err(|_| bad("File", file, "a binlog file's name"))?,
            position: number("Position", position)?,
        },
        do_db: list("Binlog_Do_DB"),
        ignore_db: list("Binlog_Ignore_DB"),
        gtid_executed: gtids.filter(|text| !text.is_empty()),
    }))
}

/// Reads `SHOW REPLICA STATUS`, `SHOW SLAVE STATUS` or `SHOW ALL SLAVES STATUS`; empty where nothing is replicated.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_replica_status(stdout: &str) -> Result<Vec<ReplicaStatus>, AnswerError> {
    let source = |row: Row<'_>| {
        let file = row.any(&["Relay_Source_Log_File", "Relay_Master_Log_File"]).filter(|file| !file.is_empty());
        let position = row.any(&["Exec_Source_Log_Pos", "Exec_Master_Log_Pos"]);
        let applied = match (file, position) {
            (Some(file), Some(position)) => Some(BinlogPosition {
                file: file.parse().map_err(|_| bad("Relay_Source_Log_File", file, "a binlog file's name"))?,
                position: number("Exec_Source_Log_Pos", position)?,
            }),
            _ => None,
        };
        let error = row.any(&["Last_SQL_Error"]).filter(|text| !text.is_empty());
        let error = error.or_else(|| row.any(&["Last_IO_Error"]).filter(|text| !text.is_empty()));
        Ok(ReplicaStatus {
            channel: row.any(&["Channel_Name", "Connection_name"]).unwrap_or_default().to_owned(),
            source_host: row.must(&["Source_Host", "Master_Host"])?.to_owned(),
            io_running: row.any(&["Replica_IO_Running", "Slave_IO_Running"]) == Some("Yes"),
            sql_running: row.any(&["Replica_SQL_Running", "Slave_SQL_Running"]) == Some("Yes"),
            applied,
            seconds_behind: row
                .any(&["Seconds_Behind_Source", "Seconds_Behind_Master"])
                .and_then(|text| text.parse().ok()),
            last_error: error.map(str::to_owned),
        })
    };
    parse_table(stdout)?.rows().map(source).collect()
}

/// Reads `SELECT UTC_TIMESTAMP(6)`.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_clock(stdout: &str) -> Result<DateTime<Utc>, AnswerError> {
    let table = parse_table(stdout)?;
    let row = table.rows().next().ok_or(AnswerError::NoRow { question: "the server's time" })?;
    let text = row.must(&["now"])?;
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .map(|at| at.and_utc())
        .map_err(|_| bad("now", text, "a time"))
}

/// Reads the question for tables an engine.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_engines(stdout: &str) -> Result<Vec<EngineUse>, AnswerError> {
    let engine = |row: Row<'_>| {
        Ok(EngineUse {
            // A table whose definition cannot be read has none.
            engine: row.get("engine").unwrap_or("unknown").to_owned(),
            tables: number("tables", row.must(&["tables"])?)?,
            bytes: number("bytes", row.must(&["bytes"])?)?,
        })
    };
    parse_table(stdout)?.rows().map(engine).collect()
}

/// Reads `SHOW GRANTS`, in both vendors' forms.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_grants(stdout: &str) -> Result<Grants, AnswerError> {
    let table = parse_table(stdout)?;
    let mut grants = Grants::default();
    for line in table.rows().filter_map(|row| row.fields.first()) {
        grants.lines.push(super::masked(line));
        let Some(text) = line.strip_prefix("GRANT ") else { continue };
        // A grant of a role has no ON.
        let Some((privileges, rest)) = text.split_once(" ON ") else {
            if let Some((roles, _)) = text.split_once(" TO ") {
                grants.roles.extend(roles.split(',').map(|role| role.trim().to_owned()));
            }
            continue;
        };
        let scope = rest.split(" TO ").next().unwrap_or_default().trim();
        let names = split_privileges(privileges);
        if scope == "*.*" {
            grants.global.extend(names);
        } else {
            grants.scoped.entry(scope.to_owned()).or_default().extend(names);
        }
    }
    Ok(grants)
}

/// Splits at commas outside of parentheses: `SELECT (a, b), INSERT`.
fn split_privileges(text: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut depth = 0_u32;
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => names.push(String::new()),
            _ => {}
        }
        if letter != ',' || depth > 0 {
            names.last_mut().into_iter().for_each(|name| name.push(letter));
        }
    }
    names.into_iter().map(|name| name.trim().to_ascii_uppercase()).filter(|name| !name.is_empty()).collect()
}

impl Grants {
    /// Whether the account has a privilege on everything. Names are those of both vendors: MariaDB calls `REPLICATION
    /// CLIENT` `BINLOG MONITOR` since 10.5.2, and prints that.
    pub fn has(&self, privilege: &str) -> bool {
        const SAME: &[&str] = &["REPLICATION CLIENT", "BINLOG MONITOR"];
        let wanted = privilege.to_ascii_uppercase();
        self.global.contains("ALL PRIVILEGES")
            || self.global.contains(&wanted)
            || (SAME.contains(&wanted.as_str()) && SAME.iter().any(|name| self.global.contains(*name)))
    }

    /// Whether the account may read a table, `schema.name`.
    pub fn may_read(&self, table: &str) -> bool {
        let (schema, name) = table.split_once('.').unwrap_or((table, "*"));
        let scopes = [format!("`{schema}`.*"), format!("`{schema}`.`{name}`")];
        let may = |scope| {
            self.scoped.get(scope).is_some_and(|names| names.contains("SELECT") || names.contains("ALL PRIVILEGES"))
        };
        self.has("SELECT") || scopes.iter().any(may)
    }

    /// Those of the privileges that the account lacks.
    pub fn missing<'a>(&self, privileges: &[&'a str]) -> Vec<&'a str> {
        privileges.iter().copied().filter(|privilege| !self.has(privilege)).collect()
    }
}

fn unescaped(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut letters = field.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('0') => out.push('\0'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}

pub(super) fn number(column: &'static str, text: &str) -> Result<u64, AnswerError> {
    text.parse().map_err(|_| bad(column, text, "a number"))
}

fn bad(column: &'static str, text: &str, expected: &'static str) -> AnswerError {
    AnswerError::BadField { column, text: text.chars().take(200).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undoes_the_clients_escapes() {
        let table = parse_table("a\\tb\tc\nd\\\\n\\n\\0\tNULL\n\tx\n").unwrap();
        let rows: Vec<_> = table.rows().map(|row| (row.get("A\tB"), row.get("c"))).collect();
        assert_eq!(rows, [(Some("d\\n\n\0"), None), (Some(""), Some("x"))]);
        assert_eq!(parse_table("").unwrap().rows().count(), 0);
        assert_eq!(parse_table("a\tb\n1\n"), Err(AnswerError::Ragged { row: 1, expected: 2, found: 1 }));
    }

    #[test]
    fn reads_variables_and_masks_secrets() {
        let text = "Variable_name\tValue\nserver_id\t11\nreport_password\thunter2\nwsrep_sst_auth\tu:p\n\
                    default_password_lifetime\t0\ninnodb_ft_max_token_size\t84\nreport_host\t\n\
                    gtid_executed\tu1:1-5,\\nu2:1\nmax_password_errors\t9\nCaching_sha2_password_private_key_path\tp.pem\n\
                    innodb_buffer_pool_filename\tNULL\nvalidate_password.policy\tMEDIUM\nkeyring_vault_token\tx\n\
                    ngram_token_size\t2\ndisconnect_on_expired_password\tON\nkeyring_hashicorp_secret_id\ty\n\
                    file_key_management_filekey\tz\n";
        let variables = parse_variables(text).unwrap();
        let get = |name: &str| variables.get(name).map(String::as_str);
        assert_eq!(get("server_id"), Some("11"));
        for masked in [
            "file_key_management_filekey",
            "report_password",
            "wsrep_sst_auth",
            "keyring_vault_token",
            "keyring_hashicorp_secret_id",
        ] {
            assert_eq!(get(masked), Some("***"), "{masked}");
        }
        let place = parse_variables("Variable_name\tValue\nfile_key_management_filekey\tFILE:/k\n").unwrap();
        assert_eq!(place["file_key_management_filekey"], "FILE:/k");
        assert_eq!(get("default_password_lifetime"), Some("0"));
        assert_eq!((get("ngram_token_size"), get("disconnect_on_expired_password")), (Some("2"), Some("ON")));
        assert_eq!(get("innodb_ft_max_token_size"), Some("84"));
        assert_eq!(get("caching_sha2_password_private_key_path"), Some("p.pem"));
        assert_eq!(get("gtid_executed"), Some("u1:1-5,\nu2:1"));
        assert_eq!(get("report_host"), Some(""));
    }

    #[test]
    fn reads_binary_logs_of_both_vendors() {
        let mysql =
            parse_binary_logs("Log_name\tFile_size\tEncrypted\nbinlog.000009\t337\tNo\nbinlog.000010\t1156\tYes\n");
        let mysql = mysql.unwrap();
        assert_eq!((mysql[1].name.as_str(), mysql[1].size, mysql[1].encrypted), ("binlog.000010", 1156, Some(true)));
        let mariadb = parse_binary_logs("Log_name\tFile_size\nmariadb-bin.000001\t19126870\n").unwrap();
        assert_eq!((mariadb[0].size, mariadb[0].encrypted), (19126870, None));
        assert!(matches!(parse_binary_logs("Name\tSize\na.000001\t1\n"), Err(AnswerError::NoColumn { .. })));
        assert!(parse_binary_logs("Log_name\tFile_size\na.000001\t-\n").is_err());
    }

    #[test]
    fn reads_the_binlog_lists_of_real_servers() {
        let read = |server: &str, file: &str| {
            String::from_utf8(crate::tools::fixture(&format!("binlog-lists/{server}/{file}.tsv"))).unwrap()
        };
        for (server, is_mysql) in [
            ("mariadb-10.6.7", false),
            ("mariadb-10.11.19", false),
            ("mariadb-11.8.9", false),
            ("mysql-8.0.36", true),
            ("mysql-8.4.8", true),
            ("mysql-9.7.4", true),
        ] {
            let logs = parse_binary_logs(&read(server, "binary-logs")).unwrap();
            let names: Vec<&str> = logs.iter().map(|log| log.name.as_str()).collect();
            assert_eq!(names, ["binlog.000001", "binlog.000002", "binlog.000003"], "{server}");
            assert!(logs.iter().all(|log| log.encrypted == is_mysql.then_some(false)), "{server}: {logs:?}");
            let status = parse_binlog_status(&read(server, "status")).unwrap().unwrap();
            assert_eq!((status.at.file.as_str(), status.at.position), (names[2], logs[2].size), "{server}");
            assert_eq!((status.gtid_executed, status.do_db.len()), (None, 0), "{server}");
            let status = parse_binlog_status(&read(server, "status-gtids")).unwrap().unwrap();
            assert_eq!(status.at.file.as_str(), "shop-bin.000001", "{server}");
            assert_eq!((status.do_db, status.ignore_db), (vec!["shop".into(), "a b".into()], vec!["test".into()]));
            let gtids = status.gtid_executed.unwrap_or_default();
            assert_eq!(gtids.starts_with("3e11fa47-71ca-11e1-9e33-c80aa9429562:7,"), is_mysql, "{server}: {gtids}");
            assert_eq!(gtids.ends_with(":1-4"), is_mysql, "{server}: {gtids}");
            if is_mysql {
                // Such a server goes on in this one file for ever: the error has its name.
                let logs = parse_binary_logs(&read(server, "binary-logs-nonumber")).unwrap_err().to_string();
                let status = parse_binlog_status(&read(server, "status-nonumber")).unwrap_err().to_string();
                assert!(logs.contains("my.host-1") && status.contains("my.host-1"), "{server}: {logs}; {status}");
            }
        }
    }

    #[test]
    fn reads_where_the_server_writes() {
        let mysql = "File\tPosition\tBinlog_Do_DB\tBinlog_Ignore_DB\tExecuted_Gtid_Set\n\
                     binlog.000012\t6543\t\tscratch,tmp\tu1:1-138:dbbak:1,\\nu2:1\n";
        let mysql = parse_binlog_status(mysql).unwrap().unwrap();
        assert_eq!(mysql.at.to_string(), "binlog.000012:6543");
        assert_eq!(mysql.ignore_db, ["scratch", "tmp"]);
        assert_eq!(mysql.gtid_executed.as_deref(), Some("u1:1-138:dbbak:1,u2:1"));
        let mariadb = "File\tPosition\tBinlog_Do_DB\tBinlog_Ignore_DB\nmariadb-bin.000003\t389\t\t\n";
        assert_eq!(parse_binlog_status(mariadb).unwrap().unwrap().gtid_executed, None);
        assert_eq!(parse_binlog_status(""), Ok(None));
    }

    #[test]
    fn reads_replicas_of_both_vendors() {
        let mariadb = "Connection_name\tMaster_Host\tRelay_Master_Log_File\tSlave_IO_Running\tSlave_SQL_Running\t\
                       Exec_Master_Log_Pos\tSeconds_Behind_Master\tLast_IO_Error\tLast_SQL_Error\n\
                       \t127.0.0.1\tsrc-bin.000007\tNo\tYes\t4711\tNULL\tbroken\t\n";
        let source = &parse_replica_status(mariadb).unwrap()[0];
        assert_eq!(source.applied.as_ref().map(ToString::to_string), Some("src-bin.000007:4711".into()));
        assert_eq!((source.io_running, source.sql_running, source.seconds_behind), (false, true, None));
        assert_eq!(source.last_error.as_deref(), Some("broken"));
        let mysql = "Source_Host\tRelay_Source_Log_File\tReplica_IO_Running\tReplica_SQL_Running\tExec_Source_Log_Pos\t\
                     Seconds_Behind_Source\tLast_SQL_Error\tChannel_Name\ndb1\t\tYes\tYes\t0\t3\t\teast\n";
        let source = &parse_replica_status(mysql).unwrap()[0];
        assert_eq!((source.channel.as_str(), source.seconds_behind, &source.applied), ("east", Some(3), &None));
        assert_eq!(parse_replica_status(""), Ok(Vec::new()));
    }

    #[test]
    fn reads_the_clock_and_the_engines() {
        let clock = parse_clock("now\n2026-11-21 03:44:27.072417\n").unwrap();
        assert_eq!(clock.to_rfc3339(), "2026-11-21T03:44:27.072417+00:00");
        assert!(parse_clock("").is_err());
        let engines = parse_engines("engine\ttables\tbytes\nInnoDB\t146\t17293312\nNULL\t1\t0\n").unwrap();
        assert_eq!((engines[0].tables, engines[0].bytes, engines[1].engine.as_str()), (146, 17293312, "unknown"));
    }

    #[test]
    fn reads_grants_of_both_vendors() {
        let mariadb = "Grants for bk@localhost\n\
            GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR ON *.* TO `bk`@`localhost` IDENTIFIED BY PASSWORD '*0123'\n\
            GRANT SELECT (`a`, `b`), INSERT ON `shop`.`t` TO `bk`@`localhost`\n";
        let mariadb = parse_grants(mariadb).unwrap();
        assert!(mariadb.has("reload") && mariadb.has("REPLICATION CLIENT") && !mariadb.has("SUPER"));
        assert_eq!(mariadb.missing(&["PROCESS", "SUPER"]), ["SUPER"]);
        assert_eq!(mariadb.scoped["`shop`.`t`"].len(), 2);
        // Some of its columns.
        assert!(!mariadb.may_read("shop.t"));
        assert!(mariadb.lines[0].ends_with("'***'") && !mariadb.lines[0].contains("0123"));

        let mysql = "Grants for b@%\nGRANT RELOAD ON *.* TO `b`@`%`\nGRANT BACKUP_ADMIN ON *.* TO `b`@`%`\n\
                     GRANT `backup_role`@`%` TO `b`@`%`\n";
        let mysql = parse_grants(mysql).unwrap();
        assert!(mysql.has("BACKUP_ADMIN") && mysql.has("RELOAD"));
        assert_eq!(mysql.roles, ["`backup_role`@`%`"]);
        let all =
            parse_grants("Grants for root@localhost\nGRANT ALL PRIVILEGES ON *.* TO `root`@`localhost`\n").unwrap();
        assert!(all.missing(&["RELOAD", "SUPER"]).is_empty() && all.may_read("a.b"));
        // As MySQL 9.7.2 prints it.
        let tables = "Grants for b@localhost\nGRANT PROCESS ON *.* TO `b`@`localhost`\n\
                      GRANT SELECT ON `performance_schema`.`log_status` TO `b`@`localhost`\n\
                      GRANT SELECT, INSERT ON `shop`.* TO `b`@`localhost`\n";
        let tables = parse_grants(tables).unwrap();
        assert!(tables.may_read("performance_schema.log_status") && tables.may_read("shop.anything"));
        assert!(!tables.may_read("performance_schema.replication_group_members") && !tables.may_read("shop2.t"));
    }
}
