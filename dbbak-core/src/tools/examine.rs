//! What a restored server is asked before it is given away: whether its tables are sound, and what it still holds prepared.

use super::{
    answers::{AnswerError, number, parse_table},
    tool::Family,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How thoroughly the tables of a restored server are checked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckWay {
    /// Not at all.
    None,
    /// `CHECK TABLE ... FAST QUICK`. InnoDB ignores `FAST`, and with `QUICK` reads every page of every index once and
    /// counts the rows in each (seen on MySQL 9.7.4 and MariaDB 10.11.19: all pages of a cold table were read). MyISAM and
    /// Aria look at the tables that were not closed properly.
    #[default]
    Fast,
    /// `CHECK TABLE ... EXTENDED`: InnoDB also validates the trees; MariaDB's looks every row up in every index. MyISAM
    /// and Aria read every row and every key.
    Full,
}

impl CheckWay {
    /// The options of the statement.
    fn options(self) -> &'static str {
        match self {
            CheckWay::None | CheckWay::Fast => "FAST QUICK",
            CheckWay::Full => "EXTENDED",
        }
    }
}

impl fmt::Display for CheckWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CheckWay::None => "none",
            CheckWay::Fast => "fast",
            CheckWay::Full => "full",
        })
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableName {
    /// Its database.
    pub database: String,
    /// Its name.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.table)
    }
}

/// Asks for all tables that hold rows, the server's own included: [`parse_tables`].
pub const ALL_TABLES: &str = "SELECT TABLE_SCHEMA AS db, TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_TYPE \
                              NOT IN ('VIEW', 'SYSTEM VIEW') AND TABLE_SCHEMA NOT IN ('information_schema', \
                              'performance_schema') ORDER BY TABLE_SCHEMA, TABLE_NAME;";

/// Reads the answer to [`ALL_TABLES`].
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_tables(stdout: &str) -> Result<Vec<TableName>, AnswerError> {
    let table = parse_table(stdout)?;
    table
        .rows()
        .map(|row| Ok(TableName { database: row.must(&["db"])?.to_owned(), table: row.must(&["name"])?.to_owned() }))
        .collect()
}

/// Checks one table: its answer is read by [`parse_check_row`], line by line.
pub fn check_statement(table: &TableName, way: CheckWay) -> String {
    let name = |text: &str| format!("`{}`", text.replace('`', "``"));
    format!("CHECK TABLE {}.{} {};", name(&table.database), name(&table.table), way.options())
}

/// One thing that the server says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRow {
    /// The table, as the server writes it.
    pub table: String,
    /// What it says.
    pub says: CheckSays,
}

/// What a server says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckSays {
    /// It is sound, as far as it was looked at.
    Sound,
    /// Its engine cannot be checked.
    Unchecked,
    /// Something that does no harm by itself.
    Remark(String),
    /// It is damaged.
    Damaged(String),
}

/// Reads one line of the answers to [`check_statement`]; `None` for a line of column names.
pub fn parse_check_row(line: &str) -> Option<CheckRow> {
    let fields: Vec<&str> = line.trim_end_matches('\n').splitn(4, '\t').collect();
    let [table, operation, kind, text] = fields.as_slice() else {
        let says = CheckSays::Damaged(format!("an answer that cannot be read: {line:?}"));
        return Some(CheckRow { table: String::new(), says });
    };
    if (*operation, *kind) == ("Op", "Msg_type") {
        return None;
    }
    let says = match (*kind, *text) {
        ("status", "OK" | "Table is already up to date") => CheckSays::Sound,
        ("note", text) if text.contains("doesn't support check") => CheckSays::Unchecked,
        // MySQL writes what the opening of the table warned of with a capital.
        ("note" | "info" | "warning" | "Note" | "Warning", text) => CheckSays::Remark(text.to_owned()),
        (_, text) => CheckSays::Damaged(text.to_owned()),
    };
    Some(CheckRow { table: (*table).to_owned(), says })
}

/// Makes commits durable again, and asks whether they are: [`parse_durability`].
pub const SET_DURABILITY: &str = "SET GLOBAL innodb_flush_log_at_trx_commit=1; SET GLOBAL sync_binlog=1; SELECT \
                                  @@GLOBAL.innodb_flush_log_at_trx_commit AS flushed, @@GLOBAL.sync_binlog AS synced;";

/// Reads the answer to [`SET_DURABILITY`]: `innodb_flush_log_at_trx_commit` and `sync_binlog`.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_durability(stdout: &str) -> Result<(u64, u64), AnswerError> {
    let table = parse_table(stdout)?;
    let row = table.rows().next().ok_or(AnswerError::NoRow { question: "how durable commits are" })?;
    Ok((number("flushed", row.must(&["flushed"])?)?, number("synced", row.must(&["synced"])?)?))
}

/// The file in a data directory that MySQL 8.0 and later keeps settings in (`SET PERSIST`).
pub const PERSISTED: &str = "mysqld-auto.cnf";

/// Asks for XA transactions that are prepared and not ended: [`parse_prepared`].
pub fn ask_prepared(family: Family) -> &'static str {
    match family {
        Family::Mysql => "XA RECOVER CONVERT XID;",
        Family::Mariadb => "XA RECOVER FORMAT='SQL';",
    }
}

/// Reads the answer to [`ask_prepared`]: the ids, as `XA COMMIT` takes them.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_prepared(stdout: &str) -> Result<Vec<String>, AnswerError> {
    let table = parse_table(stdout)?;
    table
        .rows()
        .map(|row| {
            let data = row.must(&["data"])?;
            // MySQL prints the bytes of both parts as one hexadecimal number, and how long each part is.
            let Some(digits) = data.strip_prefix("0x") else { return Ok(data.to_owned()) };
            let length = row.must(&["gtrid_length"])?;
            let bytes = length.parse::<usize>().ok().filter(|bytes| *bytes <= digits.len() / 2);
            let bad = || AnswerError::BadField {
                column: "gtrid_length",
                text: length.to_owned(),
                expected: "a number of bytes of the name",
            };
            let (first, second) = bytes.and_then(|bytes| digits.split_at_checked(2 * bytes)).ok_or_else(bad)?;
            Ok(format!("X'{first}',X'{second}',{}", row.get("formatID").unwrap_or("1")))
        })
        .collect()
}

/// What the end of a server's error log says of its shutdown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShutdownLog {
    /// The server's last words, without the time.
    pub line: String,
}

/// InnoDB's last words; not every version puts its name in front of them.
const INNODB_ENDED: &str = "Shutdown completed; log sequence number";

/// Looks whether a server's log ends with a shutdown that was complete.
///
/// MySQL: `/usr/sbin/mysqld: Shutdown complete (mysqld 9.7.4) ...`; MariaDB: `Shutdown completed; log sequence number ...`
/// and then `/usr/sbin/mariadbd: Shutdown complete` (both seen). InnoDB's line must be there where it said that it began.
///
/// # Errors
///
/// What is missing.
pub fn judge_shutdown(lines: &[String]) -> Result<ShutdownLog, String> {
    let at = |text: &str| lines.iter().rposition(|line| line.contains(text));
    let last_words = |line: &String| line.contains(": Shutdown complete") && !line.contains(INNODB_ENDED);
    let Some(end) = lines.iter().rposition(last_words) else {
        return Err("its log does not end with a complete shutdown".into());
    };
    if let Some(began) = at("InnoDB: Starting shutdown")
        && at(INNODB_ENDED).is_none_or(|ended| ended < began || end < ended)
    {
        return Err("its log does not say that InnoDB's shutdown was completed".into());
    }
    if let Some(later) = lines[end + 1..].iter().find(|line| line.contains("ready for connections")) {
        return Err(format!("its log goes on behind the shutdown: {}", later.trim()));
    }
    let line = &lines[end];
    let said = line.rfind("] ").map_or(line.as_str(), |at| line.get(at + 2..).unwrap_or(line));
    Ok(ShutdownLog { line: said.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(database: &str, table: &str) -> TableName {
        TableName { database: database.into(), table: table.into() }
    }

    #[test]
    fn statements_quote_names() {
        assert_eq!(check_statement(&name("a`b", "c d"), CheckWay::Fast), "CHECK TABLE `a``b`.`c d` FAST QUICK;");
        assert_eq!(check_statement(&name("a", "b"), CheckWay::Full), "CHECK TABLE `a`.`b` EXTENDED;");
    }

    /// As MySQL 9.7.4 and MariaDB 10.11.19 answer.
    #[test]
    fn reads_what_a_check_says() {
        let says = |line: &str| parse_check_row(line).map(|row| row.says);
        assert_eq!(says("Table\tOp\tMsg_type\tMsg_text\n"), None);
        assert_eq!(says("d.t\tcheck\tstatus\tOK\n"), Some(CheckSays::Sound));
        assert_eq!(says("d.m\tcheck\tstatus\tTable is already up to date"), Some(CheckSays::Sound));
        assert_eq!(
            says("d.b\tcheck\tnote\tThe storage engine for the table doesn't support check"),
            Some(CheckSays::Unchecked)
        );
        assert!(matches!(
            says("d.m\tcheck\twarning\t1 client is using or hasn't closed the table properly"),
            Some(CheckSays::Remark(_))
        ));
        assert!(matches!(says("d.w\tcheck\tWarning\tRow size too large (> 8126)."), Some(CheckSays::Remark(_))));
        for damage in [
            "d.t\tcheck\terror\tCorrupt",
            "d.m\tcheck\tError\tIncorrect file format 'm'",
            "d.m\tcheck\tstatus\tOperation failed",
            "nonsense",
        ] {
            assert!(matches!(says(damage), Some(CheckSays::Damaged(_))), "{damage}");
        }
    }

    #[test]
    fn reads_how_durable_commits_are() {
        assert_eq!(parse_durability("flushed\tsynced\n1\t1\n").unwrap(), (1, 1));
        assert!(parse_durability("flushed\tsynced\n").is_err());
        assert!(parse_durability("flushed\tsynced\nON\t1\n").is_err());
    }

    #[test]
    fn reads_what_is_prepared() {
        let mysql = "formatID\tgtrid_length\tbqual_length\tdata\n7\t2\t1\t0x616263\n1\t1\t0\t0x61\n";
        assert_eq!(parse_prepared(mysql).unwrap(), ["X'6162',X'63',7", "X'61',X'',1"]);
        let mariadb = "formatID\tgtrid_length\tbqual_length\tdata\n1\t1\t0\t'a'\n";
        assert_eq!(parse_prepared(mariadb).unwrap(), ["'a'"]);
        assert_eq!(parse_prepared("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn knows_a_complete_shutdown() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let mysql = "2026-11-21T09:00:00.1Z 0 [System] [MY-010910] [Server] /usr/sbin/mysqld: Shutdown complete (mysqld 9.7.4)  Source distribution.";
        let found = judge_shutdown(&lines(mysql)).unwrap();
        assert_eq!(found.line, "/usr/sbin/mysqld: Shutdown complete (mysqld 9.7.4)  Source distribution.");
        let mariadb = "2026-11-21  9:00:00 0 [Note] InnoDB: Starting shutdown...\n\
                       2026-11-21  9:00:01 0 [Note] Shutdown completed; log sequence number 1; transaction id 2\n\
                       2026-11-21  9:00:01 0 [Note] /usr/sbin/mariadbd: Shutdown complete\n";
        assert_eq!(judge_shutdown(&lines(mariadb)).unwrap().line, "/usr/sbin/mariadbd: Shutdown complete");
        let mut torn = lines(mariadb);
        torn.remove(1);
        assert!(judge_shutdown(&torn).is_err(), "InnoDB did not end");
        torn = lines(mariadb);
        torn.pop();
        assert!(judge_shutdown(&torn).is_err(), "the server did not end");
        torn = lines(mariadb);
        torn.push("2026-11-21  9:00:09 0 [Note] /usr/sbin/mariadbd: ready for connections.".into());
        assert!(judge_shutdown(&torn).is_err(), "another start");
    }
}
