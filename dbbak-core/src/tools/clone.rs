//! The clone plugin's statement and its answers.

use super::{
    answers::{AnswerError, parse_table},
    command::CommandError,
};
use crate::model::{BinlogCoordinates, MysqlGtidSet};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// What a session says of itself while it clones, without the directory.
const STATEMENT: &str = "CLONE LOCAL DATA DIRECTORY = ";

/// A session that clones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneSession {
    /// Its number.
    pub id: u64,
    /// Its statement.
    pub statement: String,
}

/// What a server that was started on a clone knows of the moment at which it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloneStatus {
    /// `Completed` after a good start.
    pub state: String,
    /// Where the copy stands in the binlogs of the server that was cloned; `None` where that one writes none.
    pub binlog: Option<BinlogCoordinates>,
    /// `gtid_executed` of the server on the copy.
    pub executed: String,
}

/// A table whose rows a clone does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnclonedTable {
    /// Its database.
    pub database: String,
    /// Its name.
    pub table: String,
    /// Its storage engine.
    pub engine: String,
}

impl fmt::Display for UnclonedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} ({})", self.database, self.table, self.engine)
    }
}

/// The statement that has a server write its data into a directory.
pub(super) fn clone_statement(dir: &Path) -> Result<String, CommandError> {
    let text = dir.to_str().ok_or_else(|| CommandError::PathNotUtf8 { path: dir.to_owned() })?;
    Ok(format!("{STATEMENT}'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
}

/// Reads the state of the plugin: `ACTIVE`, `DISABLED`; `None` where it is not installed.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_clone_plugin(stdout: &str) -> Result<Option<String>, AnswerError> {
    let table = parse_table(stdout)?;
    table.rows().next().map(|row| row.must(&["status"]).map(str::to_owned)).transpose()
}

/// Reads the tables that a clone leaves empty.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_uncloned(stdout: &str) -> Result<Vec<UnclonedTable>, AnswerError> {
    let table = parse_table(stdout)?;
    table
        .rows()
        .map(|row| {
            Ok(UnclonedTable {
                database: row.must(&["db"])?.to_owned(),
                table: row.must(&["name"])?.to_owned(),
                engine: row.must(&["engine"])?.to_owned(),
            })
        })
        .collect()
}

/// Reads `SHOW FULL PROCESSLIST`: the sessions that clone.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_clone_sessions(stdout: &str) -> Result<Vec<CloneSession>, AnswerError> {
    let mut sessions = Vec::new();
    for row in parse_table(stdout)?.rows() {
        let Some(statement) = row.get("Info").filter(|text| text.starts_with(STATEMENT)) else { continue };
        let text = row.must(&["Id"])?;
        let id = text.parse().map_err(|_| bad("Id", text, "a number"))?;
        sessions.push(CloneSession { id, statement: statement.to_owned() });
    }
    Ok(sessions)
}

/// Reads `performance_schema.clone_status` of a server that was started on a clone.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_clone_status(stdout: &str) -> Result<CloneStatus, AnswerError> {
    let table = parse_table(stdout)?;
    let row = table.rows().next().ok_or(AnswerError::NoRow { question: "where the clone stands" })?;
    // The sets come in lines; a client prints the line feed as two characters that the table reader has put together.
    let set = |column| {
        let text: String = row.get(column).unwrap_or_default().split_whitespace().collect();
        text.parse::<MysqlGtidSet>().map(|_| text.clone()).map_err(|_| bad(column, &text, "a set of GTIDs"))
    };
    let file = row.get("file").unwrap_or_default();
    let binlog = match file {
        "" => None,
        file => {
            let position = row.must(&["position"])?;
            Some(BinlogCoordinates {
                file: file.parse().map_err(|_| bad("file", file, "a binlog file's name"))?,
                position: position.parse().map_err(|_| bad("position", position, "a number"))?,
                gtid: Some(set("gtids")?).filter(|text| !text.is_empty()),
            })
        }
    };
    Ok(CloneStatus { state: row.must(&["state"])?.to_owned(), binlog, executed: set("executed")? })
}

fn bad(column: &'static str, text: &str, expected: &'static str) -> AnswerError {
    AnswerError::BadField { column, text: text.chars().take(200).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_the_directory() {
        assert_eq!(clone_statement(Path::new("/a/b")).unwrap(), "CLONE LOCAL DATA DIRECTORY = '/a/b'");
        assert_eq!(clone_statement(Path::new("/a'b\\")).unwrap(), "CLONE LOCAL DATA DIRECTORY = '/a''b\\\\'");
    }

    /// As MySQL 9.7.4 answers.
    #[test]
    fn reads_where_a_clone_stands() {
        let text = "state\tfile\tposition\tgtids\texecuted\nCompleted\tbinlog.000003\t683\t\
                    47fb10be-e57f-11f1-bded-02fc00000001:1-18\t47fb10be-e57f-11f1-bded-02fc00000001:1-18\n";
        let status = parse_clone_status(text).unwrap();
        assert_eq!(status.state, "Completed");
        assert_eq!(
            status.binlog.as_ref().map(|binlog| binlog.place().to_string()).as_deref(),
            Some("binlog.000003:683")
        );
        assert_eq!(status.binlog.and_then(|binlog| binlog.gtid).as_deref(), Some(status.executed.as_str()));
        let none = parse_clone_status("state\tfile\tposition\tgtids\texecuted\nCompleted\t\t0\t\t\n").unwrap();
        assert_eq!((none.binlog, none.executed.as_str()), (None, ""));
        assert!(matches!(parse_clone_status(""), Err(AnswerError::NoRow { .. })));
    }

    #[test]
    fn finds_the_sessions_that_clone() {
        let text = "Id\tUser\tHost\tdb\tCommand\tTime\tState\tInfo\n\
                    5\tevent_scheduler\tlocalhost\tNULL\tDaemon\t14\tWaiting on empty queue\tNULL\n\
                    24\tdbbak\tlocalhost\tNULL\tQuery\t2\tstarting\tCLONE LOCAL DATA DIRECTORY = '/tmp/cx/c1'\n\
                    25\tdbbak\tlocalhost\tNULL\tQuery\t0\tinit\tSHOW FULL PROCESSLIST\n";
        let sessions = parse_clone_sessions(text).unwrap();
        let ids: Vec<u64> = sessions.iter().map(|session| session.id).collect();
        assert_eq!(ids, [24]);
        assert!(sessions[0].statement.contains("/tmp/cx/c1"));
    }

    #[test]
    fn reads_the_plugin_and_the_tables() {
        assert_eq!(parse_clone_plugin("status\nACTIVE\n").unwrap().as_deref(), Some("ACTIVE"));
        assert_eq!(parse_clone_plugin("").unwrap(), None);
        let tables = parse_uncloned("db\tname\tengine\nshop\tm\tMyISAM\n").unwrap();
        assert_eq!(tables[0].to_string(), "shop.m (MyISAM)");
    }
}
