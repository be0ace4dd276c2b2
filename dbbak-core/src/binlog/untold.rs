//! Finds statements that do something of which the log does not say what came of it.

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
}

/// Functions that give another value each time, and whose value no log holds.
const EACH_TIME: &[&str] = &["UUID", "UUID_V4", "UUID_V7", "UUID_SHORT", "SYS_GUID", "RANDOM_BYTES", "LOAD_FILE"];

/// What the log does not tell of a statement, if something.
pub fn untold(statement: &str) -> Option<Untold> {
    let mut words = words_of(statement);
    // `SET STATEMENT variable = value FOR` stands before a statement of MariaDB.
    if words.len() > 2 && words[0].0 == "SET" && words[1].0 == "STATEMENT" {
        let from = words.iter().position(|(word, _)| word == "FOR").map_or(words.len(), |place| place + 1);
        words.drain(..from);
    }
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
        // `CREATE TABLE ... SELECT`, a call of a function, and what a procedure has executed.
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD" | "WITH" | "SELECT" | "CREATE" => {
            if words[0].0 == "CREATE" && !(has("TABLE") && has("SELECT")) {
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

/// Whether a statement asks for what only its session or its server has, and no log holds: who runs it, what it did last, a
/// system variable.
fn of_session(words: &[(String, bool)]) -> bool {
    const CALLED: &[&str] = &["USER", "SESSION_USER", "SYSTEM_USER", "ROW_COUNT", "FOUND_ROWS"];
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
        } else if rest.starts_with("/*") {
            // What stands in `/*! ... */` is executed.
            let executed = rest.starts_with("/*!") || rest.starts_with("/*M!");
            rest = match executed {
                true => rest
                    .trim_start_matches(|c: char| c == '/' || c == '*' || c == 'M' || c == '!' || c.is_ascii_digit()),
                false => rest.split_once("*/").map_or("", |(_, rest)| rest),
            };
        } else if rest.starts_with("-- ") || first == '#' {
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
            ("/*!40000 REPLACE */ INTO t SELECT LOAD_FILE('/x')", Untold::Values),
        ] {
            assert_eq!(untold(statement), Some(wanted), "{statement}");
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
            "ALTER TABLE t ADD at DATETIME DEFAULT NOW()",
            "ALTER TABLE t ALTER u SET DEFAULT (UUID())",
            "CREATE TABLE t (u CHAR(36) DEFAULT UUID(), id INT AUTO_INCREMENT PRIMARY KEY)",
            "INSERT INTO t VALUES (RAND(), NOW(), uuid) -- UUID()",
            "INSERT INTO t VALUES ('UUID()') # UUID()",
            "CREATE TABLE t (u VARCHAR(90) DEFAULT CURRENT_USER())",
            "CREATE DEFINER=CURRENT_USER VIEW v AS SELECT 1",
            "INSERT INTO user (a) VALUES (@a, '@@x')",
            "SET STATEMENT max_statement_time=9 FOR INSERT INTO t VALUES (1)",
            "BEGIN",
            "",
        ] {
            assert_eq!(untold(statement), None, "{statement}");
        }
    }
}
