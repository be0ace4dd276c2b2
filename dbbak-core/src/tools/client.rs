//! Builds the command lines of the vendors' clients: questions, statements, the applying end of a replay.

use super::{
    clone::clone_statement,
    command::{CommandError, CommandSpec, QueryCommand, Stdin},
    dump_findings::ask_dump_findings,
    encryption::ask_encrypted,
    examine::ask_prepared,
    login::Login,
    plugins::{ASK_COMPONENTS, ASK_FUNCTIONS, ASK_INSTALLED, ASK_PLUGINS},
    run_as::RunAs,
    secrets::masked,
    standing::{BY_TRANSACTION, FOREIGN_EVENTS, MEMORY_TABLES},
    stderr_scan::FailureClass,
    tablespace_ids::{ask_outside_files, ask_tablespaces, ask_without_tablespace},
    tool::{Family, Version},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// A client program and the server that it talks to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The program: `mysql` or `mariadb`.
    pub program: PathBuf,
    /// Where it finds its credentials.
    pub login: Login,
    /// The server's socket, where the option file does not name it.
    pub socket: Option<PathBuf>,
    /// Whom the program runs as; `None` for dbbak's own user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,
}

/// The questions that dbbak asks a server. None of them changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Query {
    /// All global variables: `parse_variables`. Needs no privilege.
    Variables,
    /// Whether SYSDATE is the time of the statement, as one more of the variables. An option without a variable decides it
    /// (`--sysdate-is-now`, both vendors), so the server is asked what it does. Needs no privilege.
    SysdateIsNow,
    /// The binlogs: `parse_binary_logs`. Needs REPLICATION CLIENT (MariaDB: BINLOG MONITOR).
    BinaryLogs,
    /// Where the server writes: `parse_binlog_status`. Needs the same.
    BinlogStatus(Dialect),
    /// What the server replicates from: `parse_replica_status`. Needs REPLICATION CLIENT (MariaDB: SLAVE MONITOR).
    ReplicaStatus(Dialect),
    /// What the account may do: `parse_grants`. Needs no privilege.
    Grants,
    /// The server's clock: `parse_clock`. Needs no privilege.
    Clock,
    /// Tables and bytes an engine, without the server's own schemas: `parse_engines`. Shows what the account may see.
    Engines,
    /// Whether the server answers at all.
    Ping,
    /// Where InnoDB's redo log stands, how many bytes of it were written since the server's start, and how long ago that was (s).
    InnodbLsn,
    /// The state of the clone plugin: `parse_clone_plugin`. Needs no privilege.
    ClonePlugin,
    /// Tables that a clone leaves empty: `parse_uncloned`. Shows what the account may see.
    NotCloned,
    /// Tables that no snapshot of a dump holds: `parse_uncloned`. Shows what the account may see.
    NotTransactional,
    /// Where a clone that a server was started on stands: `parse_clone_status`.
    CloneStatus,
    /// How many bytes a clone has copied so far: `parse_clone_progress`. Needs SELECT on it.
    CloneProgress,
    /// What all sessions do; those of the account itself are always shown: `parse_clone_sessions`.
    Sessions,
    /// MySQL: the GTIDs that the server has, the column `gtids`. Needs no privilege.
    ExecutedGtids,
    /// MariaDB: the last transactions in the server's binlog, the column `gtids`. Needs no privilege.
    BinlogGtids,
    /// Encrypted tablespaces: `parse_encrypted`. Needs PROCESS.
    Encrypted(Dialect),
    /// MySQL 8.0.24 and later: the component that keeps the keys: `parse_keyring`. Needs SELECT on it.
    Keyring,
    /// XA transactions that are prepared: `parse_prepared`. Needs XA_RECOVER_ADMIN on MySQL 8.0 and later.
    Prepared(Family),
    /// Events that other servers made: `parse_foreign_events`. Shows those of databases in which the account has EVENT.
    ForeignEvents,
    /// Tables of the engine MEMORY: `parse_tables`. Shows what the account may see.
    MemoryTables,
    /// MariaDB: tables whose history goes by transaction ids. Needs SELECT on `mysql.transaction_registry`.
    ByTransaction,
    /// Plugins that stand in the data: `parse_libraries`. Needs SELECT on mysql.plugin.
    InstalledPlugins,
    /// MySQL's components: `parse_libraries`. Needs SELECT on mysql.component.
    Components,
    /// Loadable functions: `parse_libraries`. Needs SELECT on mysql.func.
    LoadableFunctions,
    /// MariaDB: InnoDB's tables without files of their own. Needs PROCESS.
    InSystemTablespace,
    /// InnoDB's tablespaces (MySQL 8.0.14 and later, MariaDB): `parse_tablespaces_asked`. Needs PROCESS.
    Tablespaces(Family),
    /// InnoDB's tables without their tablespace (the same servers): `parse_tablespaces_asked`. Needs PROCESS.
    WithoutTablespace(Family),
    /// What a dump cannot hold as it is, or what needs help to be loaded.
    DumpFindings(Dialect),
    /// Under which account the server let the client in: the column `account`. Needs no privilege.
    CurrentUser,
    /// MySQL 8.0 and later: the settings that are persisted, the column `name`. Needs SELECT on it.
    Persisted,
    /// The active plugins: [`ActivePlugins::parse`](super::ActivePlugins::parse). Needs no privilege.
    Plugins,
    /// MySQL 8.0 and later, MariaDB 10.6 and later: files of InnoDB's tables that lie outside of the data directory, the column `path`.
    /// Needs PROCESS.
    OutsideFiles(Family),
}

/// How a server wants to be asked, where servers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dialect {
    /// The server's family.
    pub family: Family,
    /// The server's version.
    pub version: Version,
}

impl Dialect {
    /// The statement that tells where the server writes its binlog. MySQL renamed it in 8.2 and dropped the old name in
    /// 8.4; MariaDB has a second name since 10.5.2 and keeps the old one.
    pub fn binlog_status(self) -> &'static str {
        match self.family {
            Family::Mysql if self.version >= Version::new(8, 2, 0) => "SHOW BINARY LOG STATUS",
            Family::Mysql | Family::Mariadb => "SHOW MASTER STATUS",
        }
    }

    /// The statement that tells what the server replicates from: all channels or connections. MySQL renamed it in 8.0.22
    /// and dropped the old name in 8.4.
    pub fn replica_status(self) -> &'static str {
        match self.family {
            Family::Mysql if self.version >= Version::new(8, 0, 22) => "SHOW REPLICA STATUS",
            Family::Mysql => "SHOW SLAVE STATUS",
            Family::Mariadb => "SHOW ALL SLAVES STATUS",
        }
    }
}

impl Query {
    /// The statement.
    pub fn sql(self) -> &'static str {
        match self {
            Query::Variables => "SHOW GLOBAL VARIABLES",
            Query::Plugins => ASK_PLUGINS,
            Query::InstalledPlugins => ASK_INSTALLED,
            Query::Components => ASK_COMPONENTS,
            Query::LoadableFunctions => ASK_FUNCTIONS,
            Query::SysdateIsNow => {
                "SELECT 'sysdate_is_now' AS Variable_name, IF(SLEEP(0.01) = 0 AND SYSDATE(6) = NOW(6), 'ON', 'OFF') AS Value"
            }
            Query::BinaryLogs => "SHOW BINARY LOGS",
            Query::BinlogStatus(dialect) => dialect.binlog_status(),
            Query::ReplicaStatus(dialect) => dialect.replica_status(),
            Query::Grants => "SHOW GRANTS",
            Query::Clock => "SELECT UTC_TIMESTAMP(6) AS now",
            Query::Engines => {
                "SELECT ENGINE AS engine, COUNT(*) AS tables, CAST(COALESCE(SUM(DATA_LENGTH + INDEX_LENGTH), 0) AS UNSIGNED) \
                 AS bytes FROM information_schema.TABLES WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA NOT IN ('mysql', \
                 'sys', 'information_schema', 'performance_schema') GROUP BY ENGINE ORDER BY ENGINE"
            }
            Query::Ping => "SELECT 1 AS one",
            Query::ExecutedGtids => "SELECT @@GLOBAL.gtid_executed AS gtids",
            Query::BinlogGtids => "SELECT @@GLOBAL.gtid_binlog_pos AS gtids",
            Query::CurrentUser => "SELECT CURRENT_USER() AS account",
            Query::Persisted => {
                "SELECT VARIABLE_NAME AS name FROM performance_schema.persisted_variables ORDER BY VARIABLE_NAME"
            }
            Query::OutsideFiles(family) => ask_outside_files(family),
            Query::Encrypted(dialect) => ask_encrypted(dialect),
            Query::Prepared(family) => ask_prepared(family),
            Query::ForeignEvents => FOREIGN_EVENTS,
            Query::MemoryTables => MEMORY_TABLES,
            Query::ByTransaction => BY_TRANSACTION,
            // Its own begin with SYS_, and have no slash.
            Query::InSystemTablespace => {
                "SELECT NAME AS name FROM information_schema.INNODB_SYS_TABLES WHERE SPACE = 0 AND LOCATE('/', NAME) > 0"
            }
            Query::Tablespaces(family) => ask_tablespaces(family),
            Query::WithoutTablespace(family) => ask_without_tablespace(family),
            Query::DumpFindings(dialect) => ask_dump_findings(dialect),
            Query::Keyring => {
                "SELECT STATUS_VALUE AS name FROM performance_schema.keyring_component_status WHERE STATUS_KEY = \
                 'Component_name'"
            }
            Query::InnodbLsn => {
                "SHOW GLOBAL STATUS WHERE Variable_name LIKE 'Innodb%lsn%' OR Variable_name IN ('Innodb_os_log_written', 'Uptime')"
            }
            Query::ClonePlugin => {
                "SELECT PLUGIN_STATUS AS status FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'clone'"
            }
            // The two logs are of the engine CSV on every server.
            Query::NotCloned => {
                "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES WHERE \
                 TABLE_TYPE = 'BASE TABLE' AND ENGINE NOT IN ('InnoDB', 'BLACKHOLE', 'FEDERATED') AND TABLE_SCHEMA NOT IN \
                 ('information_schema', 'performance_schema') AND NOT (TABLE_SCHEMA = 'mysql' AND TABLE_NAME IN \
                 ('general_log', 'slow_log')) ORDER BY TABLE_SCHEMA, TABLE_NAME"
            }
            Query::NotTransactional => {
                "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name, ENGINE AS engine FROM information_schema.TABLES WHERE \
                 TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE') AND TABLE_SCHEMA NOT IN ('mysql', 'sys', \
                 'information_schema', 'performance_schema') AND ENGINE NOT IN ('BLACKHOLE', 'FEDERATED', 'MRG_MyISAM') AND ENGINE NOT IN \
                 (SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES') ORDER BY TABLE_SCHEMA, \
                 TABLE_NAME"
            }
            Query::CloneStatus => {
                "SELECT STATE AS state, BINLOG_FILE AS file, BINLOG_POSITION AS position, GTID_EXECUTED AS gtids, \
                 @@GLOBAL.gtid_executed AS executed FROM performance_schema.clone_status"
            }
            Query::CloneProgress => "SELECT DATA AS data FROM performance_schema.clone_progress",
            Query::Sessions => "SHOW FULL PROCESSLIST",
        }
    }
}

impl Client {
    /// A question. Its answer is read by [`parse_table`](super::parse_table) and the parsers on top of it: one line of
    /// column names, one line a row, fields separated by tabs, with tab, line feed, backslash and NUL escaped.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn query(&self, query: Query) -> Result<QueryCommand, CommandError> {
        Ok(QueryCommand::of(self.batch()?.option("--execute", query.sql())))
    }

    /// A command that runs these statements, each ended by a semicolon, and stops at the first that fails. They stand in
    /// plans and on standard input, never on the command line; secrets do not belong in them.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn statements(&self, sql: impl Into<String>) -> Result<CommandSpec, CommandError> {
        Ok(self.batch()?.stdin(Stdin::Text(sql.into())))
    }

    /// The same for statements that hold a secret: the caller writes them to the pipe. MariaDB's client would repeat a
    /// failed statement on standard error; it is told not to.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn secret_statements(&self) -> Result<CommandSpec, CommandError> {
        Ok(self.batch()?.arg("--loose-skip-print-query-on-error").stdin(Stdin::Pipe))
    }

    /// Begins a new binlog. Needs RELOAD. A replica writes the statement into no binlog of its source.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn flush_binary_logs(&self) -> Result<CommandSpec, CommandError> {
        Ok(self.batch()?.option("--execute", "FLUSH NO_WRITE_TO_BINLOG BINARY LOGS"))
    }

    /// Has the server write a copy of its InnoDB data into a directory, which must not exist. Needs BACKUP_ADMIN.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn clone_local(&self, dir: &Path) -> Result<CommandSpec, CommandError> {
        Ok(self.batch()?.option("--execute", clone_statement(dir)?))
    }

    /// Ends another session. One of the same account needs no privilege.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn kill(&self, session: u64) -> Result<CommandSpec, CommandError> {
        Ok(self.batch()?.option("--execute", format!("KILL {session}")))
    }

    /// The applying end of a replay: takes a binlog reader's output, stops at the first error, does not connect again.
    ///
    /// `--binary-mode` keeps `\0` and `\r\n` in statements as they are and takes no client commands from the data;
    /// packets may be as large as the protocol allows (16 MB by default); `LOAD DATA LOCAL` is what the reader makes of
    /// logged load events. `--comments` keeps the comments in the bodies of routines, which MariaDB's client takes out, and
    /// MySQL's before 8.4. The character set is the one in which names stand in a log: MariaDB's client takes latin1 by itself.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn replay(&self) -> Result<CommandSpec, CommandError> {
        let spec =
            self.login()?.args(["--binary-mode", "--comments", "--max-allowed-packet=1073741824", "--local-infile=1"]);
        let spec = spec.args(["--default-character-set=utf8mb4", "--skip-reconnect"]);
        Ok(spec.arg("--loose-skip-print-query-on-error").stdin(Stdin::Pipe))
    }

    fn login(&self) -> Result<CommandSpec, CommandError> {
        let spec = self.login.command(&self.program)?.run_as(self.run_as.clone());
        match &self.socket {
            Some(socket) => spec.path_option("--socket", socket),
            None => Ok(spec),
        }
    }

    fn batch(&self) -> Result<CommandSpec, CommandError> {
        let spec = self.login()?.args(["--batch", "--column-names", "--skip-auto-rehash", "--skip-reconnect"]);
        // The escapes of --batch are what makes an answer unambiguous; an option file may have turned them off.
        Ok(spec.args(["--skip-raw", "--default-character-set=utf8mb4", "--connect-timeout=10"]))
    }
}

/// What a client says when it fails: `ERROR 1045 (28000) at line 3: Access denied ...`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientError {
    /// The server's or the client's error number.
    pub code: u32,
    /// The SQL state.
    pub sql_state: String,
    /// The line of the input, where statements came on standard input.
    pub line: Option<u64>,
    /// The message.
    pub message: String,
}

/// Finds the error in what a client printed on standard error. Both vendors use the form.
pub fn parse_client_error(stderr: &str) -> Option<ClientError> {
    stderr.lines().find_map(|line| {
        let (code, rest) = line.strip_prefix("ERROR ")?.split_once(' ')?;
        let (state, rest) = rest.strip_prefix('(')?.split_once(')')?;
        let (place, message) = rest.split_once(": ")?;
        Some(ClientError {
            code: code.parse().ok()?,
            sql_state: state.to_owned(),
            line: place.trim().strip_prefix("at line ").and_then(|number| number.parse().ok()),
            message: masked(message),
        })
    })
}

impl ClientError {
    /// The kind of failure, in the words of the backup tools' failures.
    pub fn class(&self) -> FailureClass {
        match self.code {
            // ER_DBACCESS_DENIED, ER_ACCESS_DENIED, ER_ACCESS_DENIED_NO_PASSWORD
            1044 | 1045 | 1698 => FailureClass::AccessDenied,
            // ER_TABLEACCESS_DENIED, ER_COLUMNACCESS_DENIED, ER_SPECIFIC_ACCESS_DENIED
            1142 | 1143 | 1227 => FailureClass::MissingPrivilege,
            // Socket, TCP, unknown host, handshake
            2002 | 2003 | 2005 | 2012 => FailureClass::CannotConnect,
            2006 | 2013 | 1053 | 1927 => FailureClass::ServerGone,
            1205 => FailureClass::LockTimeout,
            1021 | 1114 => FailureClass::NoSpace,
            _ => FailureClass::Unknown,
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR {} ({})", self.code, self.sql_state)?;
        if let Some(line) = self.line {
            write!(f, " at line {line}")?;
        }
        write!(f, ": {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn client(program: &str) -> Client {
        Client {
            program: program.into(),
            login: Login::OptionFile("/etc/dbbak/backup.cnf".into()),
            socket: None,
            run_as: None,
        }
    }

    fn dialect(family: Family, version: &str) -> Dialect {
        Dialect { family, version: version.parse().unwrap() }
    }

    #[test]
    fn questions_and_statements() {
        let mysql = client("/usr/bin/mysql");
        assert_snapshot!(mysql.query(Query::Variables).unwrap(), @"/usr/bin/mysql --defaults-file=/etc/dbbak/backup.cnf --batch --column-names --skip-auto-rehash --skip-reconnect --skip-raw --default-character-set=utf8mb4 --connect-timeout=10 '--execute=SHOW GLOBAL VARIABLES'");
        let mariadb = Client { socket: Some("/run/s.sock".into()), ..client("/usr/bin/mariadb") };
        assert_snapshot!(mariadb.query(Query::Grants).unwrap(), @"/usr/bin/mariadb --defaults-file=/etc/dbbak/backup.cnf --socket=/run/s.sock --batch --column-names --skip-auto-rehash --skip-reconnect --skip-raw --default-character-set=utf8mb4 --connect-timeout=10 '--execute=SHOW GRANTS'");
        assert_snapshot!(mysql.flush_binary_logs().unwrap(), @"/usr/bin/mysql --defaults-file=/etc/dbbak/backup.cnf --batch --column-names --skip-auto-rehash --skip-reconnect --skip-raw --default-character-set=utf8mb4 --connect-timeout=10 '--execute=FLUSH NO_WRITE_TO_BINLOG BINARY LOGS'");
        assert_snapshot!(mysql.replay().unwrap(), @"/usr/bin/mysql --defaults-file=/etc/dbbak/backup.cnf --binary-mode --comments --max-allowed-packet=1073741824 --local-infile=1 --default-character-set=utf8mb4 --skip-reconnect --loose-skip-print-query-on-error");
        let statements = mysql.statements("SHUTDOWN;").unwrap();
        assert_eq!(statements.stdin, Stdin::Text("SHUTDOWN;".into()));
        assert_eq!(mysql.secret_statements().unwrap().stdin, Stdin::Pipe);
        assert_eq!(mysql.replay().unwrap().stdin, Stdin::Pipe);
    }

    #[test]
    fn speaks_each_dialect() {
        for (family, version, binlog, replica) in [
            (Family::Mysql, "5.7.44", "SHOW MASTER STATUS", "SHOW SLAVE STATUS"),
            (Family::Mysql, "8.0.35", "SHOW MASTER STATUS", "SHOW REPLICA STATUS"),
            (Family::Mysql, "8.4.0", "SHOW BINARY LOG STATUS", "SHOW REPLICA STATUS"),
            (Family::Mysql, "9.7.4", "SHOW BINARY LOG STATUS", "SHOW REPLICA STATUS"),
            (Family::Mariadb, "10.4.34", "SHOW MASTER STATUS", "SHOW ALL SLAVES STATUS"),
            (Family::Mariadb, "11.8.6", "SHOW MASTER STATUS", "SHOW ALL SLAVES STATUS"),
        ] {
            let dialect = dialect(family, version);
            assert_eq!((dialect.binlog_status(), dialect.replica_status()), (binlog, replica), "{version}");
        }
    }

    #[test]
    fn asks_nothing_that_changes_anything() {
        let dialect = dialect(Family::Mysql, "8.4.0");
        for query in [
            Query::Variables,
            Query::BinaryLogs,
            Query::BinlogStatus(dialect),
            Query::ReplicaStatus(dialect),
            Query::Grants,
            Query::Clock,
            Query::Engines,
            Query::Ping,
            Query::InnodbLsn,
            Query::CurrentUser,
            Query::NotCloned,
            Query::NotTransactional,
            Query::DumpFindings(dialect),
            Query::DumpFindings(Dialect { family: Family::Mysql, version: Version::new(5, 7, 44) }),
            Query::DumpFindings(Dialect { family: Family::Mariadb, version: Version::new(10, 11, 9) }),
            Query::ExecutedGtids,
            Query::BinlogGtids,
            Query::ForeignEvents,
        ] {
            let sql = query.sql();
            assert!((sql.starts_with("SHOW ") || sql.starts_with("SELECT ")) && !sql.contains(';'), "{sql}");
            assert!(!sql.contains("INTO ") && !sql.contains("FOR UPDATE"), "{sql}");
        }
    }

    #[test]
    fn reads_errors_of_both_vendors() {
        let denied = "ERROR 1045 (28000): Access denied for user 'x'@'localhost' (using password: YES)\n";
        let denied = parse_client_error(denied).unwrap();
        assert_eq!((denied.code, denied.class(), denied.line), (1045, FailureClass::AccessDenied, None));

        let duplicate = "--------------\ninsert into t values (1)\n--------------\n\n\
                         ERROR 1062 (23000) at line 4711: Duplicate entry '1' for key 'PRIMARY'\n";
        let duplicate = parse_client_error(duplicate).unwrap();
        assert_eq!((duplicate.code, duplicate.line), (1062, Some(4711)));
        assert_eq!(duplicate.to_string(), "ERROR 1062 (23000) at line 4711: Duplicate entry '1' for key 'PRIMARY'");

        let gone = "ERROR 2013 (HY000) at line 9: Lost connection to server during query";
        assert_eq!(parse_client_error(gone).unwrap().class(), FailureClass::ServerGone);
        let unreachable = "ERROR 2002 (HY000): Can't connect to local server through socket '/x.sock' (2)";
        assert_eq!(parse_client_error(unreachable).unwrap().class(), FailureClass::CannotConnect);
        assert_eq!(parse_client_error("mysql: [Warning] Using a password\n"), None);
    }
}
