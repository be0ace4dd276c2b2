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
    /// A tablespace was discarded or imported: its file is in no log.
    Tablespace,
}

/// Functions that give another value each time, and whose value no log holds.
const EACH_TIME: &[&str] = &["UUID", "UUID_V4", "UUID_V7", "UUID_SHORT", "SYS_GUID", "RANDOM_BYTES", "LOAD_FILE"];

/// What the log does not tell of a statement, if something.
pub fn untold(statement: &str) -> Option<Untold> {
    let words = words_of(statement);
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
            if calls(EACH_TIME) || calls(&["RAND", "CONNECTION_ID", "ROW_COUNT", "FOUND_ROWS"]) {
                return Some(Untold::NewValues);
            }
            if adds_numbers(&words) {
                return Some(Untold::NewNumbers);
            }
            calls(&["SYSDATE"]).then_some(Untold::NewTimes)
        }
        "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "LOAD" => calls(EACH_TIME).then_some(Untold::Values),
        _ => None,
    }
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
            "BEGIN",
            "",
        ] {
            assert_eq!(untold(statement), None, "{statement}");
        }
    }
}
