//! The statements that steer a server's own applier, and what it says of itself.

use super::answers::{AnswerError, parse_table};
use crate::model::{BinlogPosition, Gtid};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What an applier says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplierStatus {
    /// Whether events are fetched, or are to be.
    pub io_running: bool,
    /// Whether events are applied.
    pub sql_running: bool,
    /// Where in the source's binlogs the applied events end.
    pub applied: Option<BinlogPosition>,
    /// Where in its relay logs the applied events end.
    pub applied_relay: Option<BinlogPosition>,
    /// Why nothing is applied any more: the server's number and its words.
    pub sql_error: Option<(u32, String)>,
    /// Why nothing is fetched.
    pub io_error: Option<(u32, String)>,
    /// What the applier does, in the server's words.
    pub state: String,
}

/// Reads `SHOW REPLICA STATUS`, `SHOW SLAVE STATUS` or `SHOW ALL SLAVES STATUS` of a server with one source; `None` where
/// nothing is replicated.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_applier_status(stdout: &str) -> Result<Option<ApplierStatus>, AnswerError> {
    let table = parse_table(stdout)?;
    let Some(row) = table.rows().next() else { return Ok(None) };
    let place = |files: &[&'static str], positions: &[&'static str]| {
        let file = row.any(files).filter(|file| !file.is_empty())?.parse().ok()?;
        let position = row.any(positions)?.parse().ok()?;
        Some(BinlogPosition { file, position })
    };
    let error = |number: &str, text: &str| {
        let number: u32 = row.get(number)?.parse().ok().filter(|number| *number != 0)?;
        Some((number, without_query(row.get(text).unwrap_or_default())))
    };
    Ok(Some(ApplierStatus {
        io_running: row.any(&["Replica_IO_Running", "Slave_IO_Running"]) != Some("No"),
        sql_running: row.any(&["Replica_SQL_Running", "Slave_SQL_Running"]) == Some("Yes"),
        applied: place(
            &["Relay_Source_Log_File", "Relay_Master_Log_File"],
            &["Exec_Source_Log_Pos", "Exec_Master_Log_Pos"],
        ),
        applied_relay: place(&["Relay_Log_File"], &["Relay_Log_Pos"]),
        sql_error: error("Last_SQL_Errno", "Last_SQL_Error"),
        io_error: error("Last_IO_Errno", "Last_IO_Error"),
        state: row
            .any(&["Replica_SQL_Running_State", "Slave_SQL_State", "Slave_SQL_Running_State"])
            .unwrap_or_default()
            .to_owned(),
    }))
}

/// Why a worker of MySQL's applier failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFailure {
    /// The server's number for it.
    pub number: u32,
    /// Its words, without the statement.
    pub text: String,
    /// The transaction's GTID, where it has one.
    gtid: Option<Gtid>,
    /// An offset in the transaction, or its end.
    position: Option<u64>,
}

impl WorkerFailure {
    /// Whether it is about the transaction with this GTID, or, without one, about the one that lies there.
    pub fn is_of(&self, gtid: Option<&Gtid>, (start, end): (u64, u64)) -> bool {
        match &self.gtid {
            Some(own) => Some(own) == gtid,
            None => self.position.is_some_and(|position| start < position && position <= end),
        }
    }
}

/// Reads what [`Applier::ask_workers`] asks for: the failures that name a transaction.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_worker_failures(stdout: &str) -> Result<Vec<WorkerFailure>, AnswerError> {
    let table = parse_table(stdout)?;
    let failure = |number: &str, text: &str| {
        let gtid = text.split_once("transaction '").and_then(|(_, rest)| rest.split_once('\''));
        let position = text.split_once("end_log_pos ").map(|(_, rest)| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            &rest[..end]
        });
        Some(WorkerFailure {
            number: number.parse().ok()?,
            text: without_query(text),
            gtid: gtid.and_then(|(gtid, _)| gtid.parse().ok()),
            position: position.and_then(|digits| digits.parse().ok()),
        })
    };
    let failures = table.rows().filter_map(|row| failure(row.get("number")?, row.get("text")?));
    Ok(failures.filter(|failure| failure.gtid.is_some() || failure.position.is_some()).collect())
}

/// An applier's error without the statement that it repeats: data and secrets stand in that.
pub(super) fn without_query(text: &str) -> String {
    let kept = text.find("Query: '").map_or(text, |at| text.get(..at).unwrap_or_default());
    super::masked(kept.trim_end_matches([' ', '.']))
}

/// A text as an SQL literal.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The statements for an applier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applier {
    /// MariaDB's, which another server feeds.
    Fed,
    /// MySQL's, whose relay logs are the source's binlogs under their own names.
    RelayLogs {
        /// Their directory.
        dir: PathBuf,
    },
}

impl Applier {
    /// Has a fed applier follow a source. Holds the password: it belongs on standard input.
    pub fn follow(port: u16, account: &str, password: &str, from: &BinlogPosition) -> String {
        let (account, password) = (quoted(account), quoted(password));
        format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER={account}, \
             MASTER_PASSWORD={password}, MASTER_CONNECT_RETRY=1, MASTER_SSL=0, {};",
            fed_place(from)
        )
    }

    /// Moves the applier, which has stopped, to another place.
    pub fn move_to(&self, place: &BinlogPosition) -> String {
        match self {
            Applier::Fed => format!("STOP SLAVE; CHANGE MASTER TO {};", fed_place(place)),
            Applier::RelayLogs { dir } => {
                let file = quoted(&dir.join(place.file.as_str()).display().to_string());
                // The host is never asked: nothing is fetched.
                format!(
                    "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_HOST='dbbak', RELAY_LOG_FILE={file}, \
                     RELAY_LOG_POS={};",
                    place.position
                )
            }
        }
    }

    /// Applies up to a place.
    pub fn run_until(&self, place: &BinlogPosition) -> String {
        let (file, position) = (quoted(place.file.as_str()), place.position);
        match self {
            Applier::Fed => format!("START SLAVE UNTIL MASTER_LOG_FILE={file}, MASTER_LOG_POS={position};"),
            // With a directory in front of the name 9.7 says "UNTIL condition is bad".
            Applier::RelayLogs { .. } => {
                format!("START REPLICA SQL_THREAD UNTIL RELAY_LOG_FILE={file}, RELAY_LOG_POS={position};")
            }
        }
    }

    /// Waits until the applier is there or has stopped, at most a second, and asks how it stands.
    ///
    /// `asked`: how often that was asked since the applier was started. MySQL cannot tell by itself when it is there: what is asked first is
    /// asked at once, as an applier that stops at every other statement is soon there.
    pub fn wait_and_ask(&self, place: &BinlogPosition, asked: u32) -> String {
        let (file, position) = (quoted(place.file.as_str()), place.position);
        match self {
            Applier::Fed => format!("DO MASTER_POS_WAIT({file}, {position}, 1); SHOW ALL SLAVES STATUS;"),
            Applier::RelayLogs { .. } => {
                let seconds = match asked {
                    0 => "0.01",
                    1 => "0.03",
                    2 => "0.1",
                    _ => "0.2",
                };
                format!("DO SLEEP({seconds}); SHOW REPLICA STATUS;")
            }
        }
    }

    /// Has MySQL read the list of relay logs anew, which another program has changed: it keeps what it has read of it.
    pub fn read_index() -> &'static str {
        "FLUSH LOCAL RELAY LOGS;"
    }

    /// Stops fetching and applying between two batches. Temporary tables of the log stay open.
    pub fn rest(&self) -> &'static str {
        match self {
            Applier::Fed => "STOP SLAVE;",
            Applier::RelayLogs { .. } => "STOP REPLICA;",
        }
    }

    /// Asks which of several workers have failed, see [`parse_worker_failures`]; MariaDB has none.
    pub fn ask_workers(&self) -> Option<&'static str> {
        match self {
            Applier::Fed => None,
            Applier::RelayLogs { .. } => Some(
                "SELECT LAST_ERROR_NUMBER AS number, LAST_ERROR_MESSAGE AS text FROM \
                 performance_schema.replication_applier_status_by_worker WHERE LAST_ERROR_NUMBER <> 0;",
            ),
        }
    }

    /// Stops applying; what was begun is ended.
    pub fn stop(&self) -> &'static str {
        match self {
            Applier::Fed => "STOP SLAVE SQL_THREAD;",
            Applier::RelayLogs { .. } => "STOP REPLICA SQL_THREAD;",
        }
    }

    /// Has MariaDB's applier pass over tables that a DROP TABLE names and that are not there, or stop at them. What else this
    /// mode does (a CREATE TABLE replaces a table) is wanted nowhere: it is for one transaction at a time.
    pub fn drop_what_is_there(only: bool) -> &'static str {
        match only {
            true => "SET GLOBAL slave_ddl_exec_mode='IDEMPOTENT';",
            false => "SET GLOBAL slave_ddl_exec_mode='STRICT';",
        }
    }

    /// Has an applier that starts from here on make no table in a directory of its own, whatever a statement says, or take its
    /// directory. Of all modes in the log it leaves this one aside, and keeps its own (`Query_log_event::do_apply_event` of both
    /// vendors; seen on 9.7.4, 10.11.19 and 11.8.9).
    pub fn leave_directories_aside(yes: bool) -> &'static str {
        match yes {
            true => "SET GLOBAL sql_mode=CONCAT(@@GLOBAL.sql_mode, ',NO_DIR_IN_CREATE');",
            false => {
                "SET GLOBAL sql_mode=TRIM(BOTH ',' FROM REPLACE(CONCAT(',', @@GLOBAL.sql_mode, ','), ',NO_DIR_IN_CREATE,', ','));"
            }
        }
    }

    /// Ends the replication and forgets the source.
    pub fn forget(&self) -> &'static str {
        match self {
            Applier::Fed => "STOP SLAVE; RESET SLAVE ALL;",
            Applier::RelayLogs { .. } => "STOP REPLICA; RESET REPLICA ALL;",
        }
    }

    /// Where the applied events end, in the source's files.
    pub fn reached<'s>(&self, status: &'s ApplierStatus) -> Option<&'s BinlogPosition> {
        match self {
            Applier::Fed => status.applied.as_ref(),
            Applier::RelayLogs { .. } => status.applied_relay.as_ref(),
        }
    }

    /// Asks for the GTIDs that the server has: the column `position`.
    pub fn ask_position(&self) -> &'static str {
        match self {
            Applier::Fed => "SELECT @@GLOBAL.gtid_slave_pos AS position;",
            Applier::RelayLogs { .. } => "SELECT @@GLOBAL.gtid_executed AS position;",
        }
    }

    /// Sets MariaDB's GTID position. The server logs nothing of it.
    pub fn set_position(position: &str) -> String {
        format!("SET GLOBAL gtid_slave_pos={};", quoted(position))
    }

    /// Commits an empty transaction under a MySQL GTID: the applier passes over the one that has it.
    pub fn commit_empty(gtid: &str) -> String {
        format!("SET gtid_next={}; BEGIN; COMMIT; SET gtid_next='AUTOMATIC';", quoted(gtid))
    }
}

fn fed_place(place: &BinlogPosition) -> String {
    let file = quoted(place.file.as_str());
    // A position names one place in the log. A GTID does so only while every number in it grows.
    format!("MASTER_LOG_FILE={file}, MASTER_LOG_POS={}, MASTER_USE_GTID=no", place.position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_an_applier_stands() {
        let stdout = "Slave_SQL_State\tSlave_IO_Running\tSlave_SQL_Running\tRelay_Master_Log_File\tExec_Master_Log_Pos\t\
                      Last_SQL_Errno\tLast_SQL_Error\tLast_IO_Errno\tLast_IO_Error\n\
                      \tYes\tNo\tmysql-bin.000003\t874\t1062\tError 'Duplicate entry '7' for key 'PRIMARY'' on query. \
                      Default database: 'shop'. Query: 'insert into t values (7,'secret')'\t0\t\n";
        let status = parse_applier_status(stdout).unwrap().unwrap();
        assert!(status.io_running && !status.sql_running && status.io_error.is_none());
        assert_eq!(status.applied.unwrap().to_string(), "mysql-bin.000003:874");
        let (number, text) = status.sql_error.unwrap();
        assert_eq!(number, 1062);
        assert_eq!(text, "Error 'Duplicate entry '7' for key 'PRIMARY'' on query. Default database: 'shop'");
        assert_eq!(parse_applier_status("").unwrap(), None);
    }

    #[test]
    fn quotes_what_it_is_given() {
        let place = BinlogPosition { file: "it's\\x.000001".parse().unwrap(), position: 4 };
        assert_eq!(
            Applier::Fed.run_until(&place),
            "START SLAVE UNTIL MASTER_LOG_FILE='it''s\\\\x.000001', MASTER_LOG_POS=4;"
        );
    }
}
