//! Finds statements that do something of which the log does not say what came of it.

use super::blank::{begins_line_comment, executed_comment, skip_blank};
use super::objects::object;
use serde::{Deserialize, Serialize};

/// Something that a log does not tell of a statement that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untold {
    /// A new column was filled by a function that gives another value each time.
    NewValues,
    /// A new column was filled by SYSDATE, which `--sysdate-is-now` makes the time of the statement.
    NewTimes,
    /// A new AUTO_INCREMENT column was numbered in the order in which the rows lay there, unless the table had a primary key.
    NewNumbers,
    /// Rows were written by a logged statement that calls a function that gives another value each time.
    Values,
    /// It is the first that writes to a table which was made without naming an engine, and that table has no transactions.
    WithoutTransactions,
    /// A statement depends on a temporary table that its session had before the window began.
    EarlierTemporary,
    /// Rows were written by a logged statement that calls SYSDATE, which `--sysdate-is-now` makes the time of the statement.
    Times,
    /// A tablespace was discarded or imported: its file is in no log.
    Tablespace,
    /// A routine was created: a server grants the right to execute and to alter it to whoever did that, if he had none, and no log
    /// says who did.
    RoutineGrants,
    /// A role was granted to, or taken from, whoever ran the statement, and MariaDB does not log who that was.
    RoleOfInvoker,
}

/// Functions that give another value each time, and whose value no log holds.
const EACH_TIME: &[&str] = &["UUID", "UUID_V4", "UUID_V7", "UUID_SHORT", "SYS_GUID", "RANDOM_BYTES", "LOAD_FILE"];

/// Words without which there is nothing that the log does not tell: a statement that changes rows needs one of them.
const NEEDED: [&str; 15] = [
    "UUID",
    "SYS_GUID",
    "SYSDATE",
    "SYSTEM_USER",
    "SESSION_USER",
    "SLEEP",
    "RANDOM_BYTES",
    "ROW_COUNT",
    "RELEASE_",
    "LOAD_FILE",
    "USER",
    "CURRENT_",
    "FOUND_ROWS",
    "GET_LOCK",
    "IS_",
];

/// Whether a statement has to be looked at by [`untold`]: cheap, since every logged statement is asked so.
pub(super) fn may_be_untold(statement: &str) -> bool {
    let bytes = statement.as_bytes();
    let starts = |at: usize| {
        let rest = bytes.get(at..).unwrap_or_default();
        let with = |word: &&str| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word.as_bytes());
        NEEDED.iter().any(with)
    };
    let mut before = b' ';
    for (at, byte) in bytes.iter().enumerate() {
        let begins = !(before.is_ascii_alphanumeric() || before == b'_' || before == b'$');
        let candidate = matches!(byte.to_ascii_uppercase(), b'U' | b'S' | b'R' | b'L' | b'C' | b'F' | b'G' | b'I');
        if (before == b'@' && *byte == b'@') || (begins && candidate && starts(at)) {
            return true;
        }
        before = *byte;
    }
    // What an ALTER says of tablespaces and new columns needs none of the words, nor does a CREATE; MariaDB has one behind SET STATEMENT too.
    let start = skip_blank(statement).as_bytes();
    let begins = |word: &str| start.len() >= word.len() && start[..word.len()].eq_ignore_ascii_case(word.as_bytes());
    begins("ALTER") || begins("SET") || begins("CREATE")
}

/// The words of a statement without the `SET STATEMENT variable = value FOR` that may stand before one of MariaDB.
fn words_behind_settings(statement: &str) -> Vec<(String, bool)> {
    let mut words = words_of(statement);
    if words.len() > 2 && words[0].0 == "SET" && words[1].0 == "STATEMENT" {
        let from = words.iter().position(|(word, _)| word == "FOR").map_or(words.len(), |place| place + 1);
        words.drain(..from);
    }
    words
}

/// Whether a `CREATE TABLE` fills the table from a SELECT.
pub(super) fn selects(statement: &str) -> bool {
    words_of(statement).iter().any(|(word, _)| word == "SELECT" || word == "VALUES")
}

/// Whether a statement that begins with SET runs one that changes rows.
pub(super) fn changes_rows_behind_settings(statement: &str) -> bool {
    let words = words_behind_settings(statement);
    words.first().is_some_and(|(word, _)| CHANGES.contains(&word.as_str()))
}

/// Verbs of statements that change rows, or call something that may.
const CHANGES: [&str; 9] = ["INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "SELECT", "CALL", "DO"];

/// What the log does not tell of a statement, if something.
pub fn untold(statement: &str) -> Option<Untold> {
    let words = words_behind_settings(statement);
    let has = |word: &str| words.iter().any(|(found, _)| found == word);
    let calls = |names: &[&str]| words.iter().any(|(found, called)| *called && names.contains(&found.as_str()));
    match words.first().map(|(word, _)| word.as_str())? {
        "ALTER" if has("TABLE") => {
            let follows =
                |first: &str, second: &str| words.windows(2).any(|two| two[0].0 == first && two[1].0 == second);
            let files = ["IMPORT", "DISCARD"];
            if files.iter().any(|verb| ["TABLESPACE", "PARTITION"].iter().any(|what| follows(verb, what))) {
                return Some(Untold::Tablespace);
            }
            if !has("ADD") {
                return None;
            }
            // Beside those whose value the log holds for a statement that writes rows.
            let alone =
                ["RAND", "CONNECTION_ID", "NEXTVAL", "LASTVAL", "SETVAL", "DATABASE", "SCHEMA", "LAST_INSERT_ID"];
            let next = ["NEXT", "PREVIOUS"].iter().any(|first| follows(first, "VALUE"));
            if calls(EACH_TIME) || of_session(&words) || calls(&alone) || next {
                return Some(Untold::NewValues);
            }
            if adds_numbers(&words) {
                return Some(Untold::NewNumbers);
            }
            calls(&["SYSDATE"]).then_some(Untold::NewTimes)
        }
        // Only of privileges (`GRANT ... ON`) the log names who ran it.
        "GRANT" | "REVOKE" => {
            let account = words.iter().any(|(word, _)| word == "CURRENT_USER" || word == "CURRENT_ROLE");
            (account && !has("ON")).then_some(Untold::RoleOfInvoker)
        }
        // `CREATE TABLE ... SELECT`, a call of a function, and what a procedure has executed.
        verb if verb == "CREATE" || CHANGES.contains(&verb) => {
            if verb == "CREATE" && makes_routine(&words) {
                return Some(Untold::RoutineGrants);
            }
            if verb == "CREATE" && !(has("TABLE") && has("SELECT")) {
                return None;
            }
            if calls(EACH_TIME) || of_session(&words) {
                return Some(Untold::Values);
            }
            calls(&["SYSDATE"]).then_some(Untold::Times)
        }
        _ => None,
    }
}

/// Whether a CREATE makes a routine, and no loadable function.
fn makes_routine(words: &[(String, bool)]) -> bool {
    let Some(about) = words.iter().position(|(word, _)| object(word).is_some()) else { return false };
    if !["PROCEDURE", "FUNCTION", "PACKAGE"].contains(&words[about].0.as_str()) {
        return false;
    }
    // `CREATE FUNCTION name RETURNS type SONAME 'library'` has no body.
    !words[about..].iter().take(8).any(|(word, _)| word == "SONAME")
}

/// Whether a statement asks for what only its session or its server has, and no log holds: who runs it, what it did last, a
/// system variable.
fn of_session(words: &[(String, bool)]) -> bool {
    const CALLED: &[&str] = &[
        "USER",
        "SESSION_USER",
        "SYSTEM_USER",
        "ROW_COUNT",
        "FOUND_ROWS",
        "GET_LOCK",
        "RELEASE_LOCK",
        "RELEASE_ALL_LOCKS",
        "IS_FREE_LOCK",
        "IS_USED_LOCK",
        "SLEEP",
    ];
    // A table may have such a name, with its columns in parentheses behind it.
    const BEFORE_TABLES: &[&str] =
        &["INTO", "INSERT", "IGNORE", "REPLACE", "TABLE", "EXISTS", "UPDATE", "FROM", "JOIN"];
    words.iter().enumerate().any(|(at, (word, called))| {
        let table = at.checked_sub(1).is_some_and(|before| BEFORE_TABLES.contains(&words[before].0.as_str()));
        // The first ones stand without parentheses too.
        matches!(word.as_str(), "CURRENT_USER" | "CURRENT_ROLE" | "@@")
            || *called && !table && CALLED.contains(&word.as_str())
    })
}

/// Whether AUTO_INCREMENT stands in what an ADD adds: `AUTO_INCREMENT = N` is an option of the table.
fn adds_numbers(words: &[(String, bool)]) -> bool {
    let mut adds = false;
    for (at, (word, _)) in words.iter().enumerate() {
        match word.as_str() {
            "ADD" => adds = true,
            "MODIFY" | "CHANGE" | "DROP" | "ALTER" | "RENAME" => adds = false,
            "SERIAL" if adds => return true,
            "AUTO_INCREMENT" if adds && words.get(at + 1).is_none_or(|(next, _)| next != "=") => return true,
            _ => {}
        }
    }
    false
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || matches!(letter, '_' | '$')
}

/// The bare words of a statement in upper case, and whether a parenthesis opens behind each. Strings, quoted names and comments are none;
/// an equals sign counts as one.
pub(super) fn words_of(statement: &str) -> Vec<(String, bool)> {
    let mut words: Vec<(String, bool)> = Vec::new();
    let mut rest = statement;
    while let Some(first) = rest.chars().next() {
        let length = first.len_utf8();
        if matches!(first, '\'' | '"' | '`') {
            rest = behind_quote(&rest[length..], first);
            words.push((String::new(), false));
        } else if let Some(text) = executed_comment(rest) {
            rest = text;
        } else if let Some(text) = rest.strip_prefix("/*") {
            rest = text.split_once("*/").map_or("", |(_, rest)| rest);
        } else if begins_line_comment(rest.as_bytes()) {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if is_word(first) {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            words.push((word.to_ascii_uppercase(), behind.trim_start().starts_with('(')));
            rest = behind;
        } else {
            if rest.starts_with("@@") {
                words.push(("@@".to_owned(), false));
            }
            if first == '=' {
                words.push(("=".to_owned(), false));
            }
            rest = &rest[length..];
        }
    }
    words
}

/// What stands behind a closing quote; a doubled one and one behind a backslash close nothing.
fn behind_quote(text: &str, quote: char) -> &str {
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quote != '`' {
            letters.next();
        } else if letter == quote {
            match letters.peek() {
                Some((_, next)) if *next == quote => {
                    letters.next();
                }
                _ => return &text[at + letter.len_utf8()..],
            }
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_no_log_tells() {
        for (statement, wanted) in [
            ("ALTER TABLE t ADD COLUMN u CHAR(36) NOT NULL DEFAULT UUID()", Untold::NewValues),
            ("alter online table t add u char(36) default (uuid ( ))", Untold::NewValues),
            ("ALTER TABLE t ADD r DOUBLE DEFAULT RAND(), ADD s INT", Untold::NewValues),
            ("/* a comment */ ALTER TABLE t ADD at DATETIME DEFAULT SYSDATE()", Untold::NewTimes),
            ("ALTER TABLE a.t ADD COLUMN id INT AUTO_INCREMENT PRIMARY KEY", Untold::NewNumbers),
            ("ALTER TABLE t DROP COLUMN x, ADD (id SERIAL, n INT AUTO_INCREMENT UNIQUE)", Untold::NewNumbers),
            ("ALTER TABLE t IMPORT TABLESPACE", Untold::Tablespace),
            ("ALTER TABLE `t` DISCARD TABLESPACE", Untold::Tablespace),
            ("ALTER TABLE t DISCARD PARTITION p0 TABLESPACE", Untold::Tablespace),
            ("INSERT INTO t VALUES (UUID(), 'x')", Untold::Values),
            ("ALTER TABLE t ADD u VARCHAR(90) DEFAULT CURRENT_USER", Untold::NewValues),
            ("ALTER TABLE t ADD u VARCHAR(90) DEFAULT (USER()), ADD n INT", Untold::NewValues),
            ("ALTER TABLE t ADD n INT DEFAULT NEXTVAL(a.s)", Untold::NewValues),
            ("ALTER TABLE t ADD n INT DEFAULT (NEXT VALUE FOR s)", Untold::NewValues),
            ("ALTER TABLE t ADD n VARCHAR(9) DEFAULT (DATABASE())", Untold::NewValues),
            ("SET STATEMENT max_statement_time=9 FOR INSERT INTO t VALUES (UUID())", Untold::Values),
            ("CREATE TABLE t SELECT UUID() AS u", Untold::Values),
            ("INSERT INTO t SELECT CURRENT_USER, @@datadir", Untold::Values),
            ("INSERT INTO t VALUES (SYSDATE(6))", Untold::Times),
            ("UPDATE t SET a = @@socket", Untold::Values),
            ("INSERT INTO t VALUES (GET_LOCK('a', 1))", Untold::Values),
            ("CREATE DEFINER=`u`@`%` PROCEDURE a.p() SELECT 1", Untold::RoutineGrants),
            ("CREATE OR REPLACE AGGREGATE FUNCTION f(x INT) RETURNS INT RETURN UUID()", Untold::RoutineGrants),
            ("GRANT r TO CURRENT_USER", Untold::RoleOfInvoker),
            ("REVOKE ADMIN OPTION FOR r FROM CURRENT_USER()", Untold::RoleOfInvoker),
            ("CREATE DEFINER=`u`@`%` PACKAGE BODY a.p AS x INT; END", Untold::RoutineGrants),
            ("UPDATE t SET a = sleep(0.1), b = IS_FREE_LOCK('a')", Untold::Values),
            ("SET STATEMENT max_statement_time=9 FOR ALTER TABLE t IMPORT TABLESPACE", Untold::Tablespace),
            ("/*!40000 REPLACE */ INTO t SELECT LOAD_FILE('/x')", Untold::Values),
            ("ALTER TABLE t /*!ADD u CHAR(36) DEFAULT (UUID())*/", Untold::NewValues),
        ] {
            assert_eq!(untold(statement), Some(wanted), "{statement}");
            assert!(may_be_untold(statement), "{statement}");
        }
    }

    #[test]
    fn only_what_may_say_something_is_looked_at() {
        for statement in ["INSERT INTO t VALUES (1, 'visit us', 2)", "UPDATE t SET c = 1 WHERE fuuid = 3", "", "@", "I"]
        {
            assert!(!may_be_untold(statement), "{statement}");
        }
        for (statement, wanted) in [
            ("CREATE TABLE t (a INT)", false),
            ("CREATE TABLE t (a INT COMMENT 'SELECT')", false),
            ("CREATE TABLE t AS SELECT 1", true),
            ("CREATE TABLE t VALUES ROW(1)", true),
        ] {
            assert_eq!(selects(statement), wanted, "{statement}");
        }
        assert!(changes_rows_behind_settings("SET STATEMENT a=1 FOR UPDATE t SET b = 2"));
        assert!(!changes_rows_behind_settings("SET STATEMENT a=1 FOR ALTER TABLE t ADD b INT"));
        assert!(!changes_rows_behind_settings("SET PASSWORD FOR a = 'x'"));
    }

    #[test]
    fn a_comment_hides_nothing() {
        for dashes in ["-- don't\n", "--\tdon't\n", "--\n", "# don't\n", "/* don't */"] {
            let statement = format!("ALTER TABLE t {dashes} ADD COLUMN u CHAR(36) NOT NULL DEFAULT UUID()");
            let words = words_of(&statement);
            assert!(words.contains(&("UUID".to_owned(), true)), "{statement:?}: {words:?}");
        }
    }

    #[test]
    fn says_nothing_of_what_a_log_tells() {
        for statement in [
            "ALTER TABLE t ADD COLUMN u CHAR(36) DEFAULT 'UUID()'",
            "ALTER TABLE t ADD `uuid` INT, COMMENT = \"ADD x AUTO_INCREMENT, it''s UUID()\"",
            "ALTER TABLE t AUTO_INCREMENT = 5",
            "ALTER TABLE t ADD n INT, AUTO_INCREMENT = 5",
            "ALTER TABLE t ADD n INT, MODIFY id INT AUTO_INCREMENT",
            "ALTER TABLE t ADD n INT, /*!50000MODIFY id INT AUTO_INCREMENT*/",
            "ALTER TABLE t ADD at DATETIME DEFAULT NOW()",
            "ALTER TABLE t ALTER u SET DEFAULT (UUID())",
            "CREATE TABLE t (u CHAR(36) DEFAULT UUID(), id INT AUTO_INCREMENT PRIMARY KEY)",
            "INSERT INTO t VALUES (RAND(), NOW(), uuid) -- UUID()",
            "INSERT INTO t VALUES ('UUID()') # UUID()",
            "CREATE TABLE t (u VARCHAR(90) DEFAULT CURRENT_USER())",
            "CREATE DEFINER=CURRENT_USER VIEW v AS SELECT 1",
            "CREATE FUNCTION f RETURNS INTEGER SONAME 'udf.so'",
            "CREATE DEFINER=`u`@`%` TRIGGER t BEFORE INSERT ON a FOR EACH ROW CALL procedure_of()",
            "ALTER PROCEDURE p COMMENT 'x'",
            "GRANT SELECT ON a.t TO CURRENT_USER",
            "GRANT r TO `current_user`@h",
            "DROP PROCEDURE p",
            "INSERT INTO user (a) VALUES (@a, '@@x')",
            "SET STATEMENT max_statement_time=9 FOR INSERT INTO t VALUES (1)",
            "BEGIN",
            "",
        ] {
            assert_eq!(untold(statement), None, "{statement}");
        }
    }
}
