//! Finds out whether a logged statement puts files outside of a server's data directory.

use super::blank::skip_blank;
use super::objects::{Object, object};

/// Where a statement puts files.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outside {
    /// The DATA DIRECTORY or INDEX DIRECTORY of a table or a partition. A server can be told to leave it aside.
    Table(String),
    /// The file of a general tablespace, which a server makes there or not at all.
    Tablespace(String),
    /// That is not known: the statement is too long to be looked through.
    Unread,
}

/// Where a statement puts files, if that is outside of the data directory: the first such place. The text may be cut off.
///
/// Tables: `CREATE TABLE` and `CREATE SEQUENCE`, also for partitions, and `ALTER TABLE`, which adds partitions. Tablespaces: `CREATE
/// TABLESPACE ... ADD DATAFILE` with an absolute path, or one that leads up.
pub(crate) fn puts_outside(text: &str) -> Option<Outside> {
    let mut tokens = Tokens { rest: text };
    if !matches!(tokens.next()?, Token::Word(word) if matches!(word.as_str(), "CREATE" | "ALTER")) {
        return None;
    }
    // The words before the name of what is made; a routine's body is not executed.
    match about(&mut tokens)? {
        Object::Tablespace => {
            tokens.path_behind(&["DATAFILE"], &[]).filter(|path| leads_out(path)).map(Outside::Tablespace)
        }
        Object::Table => tokens.path_behind(&["DATA", "INDEX"], &["DIRECTORY"]).map(Outside::Table),
        Object::User | Object::Other => None,
    }
}

/// What the words behind CREATE or ALTER say that it is about.
fn about(tokens: &mut Tokens<'_>) -> Option<Object> {
    tokens.find_map(|token| match token {
        Token::Word(word) => object(&word),
        _ => None,
    })
}

/// Whether a statement that begins so may put files anywhere: the rest of it has to be looked at.
pub(crate) fn may_put_files(beginning: &str) -> bool {
    let mut tokens = Tokens { rest: beginning };
    let is = |token: Option<Token>, words: &[&str]| matches!(token, Some(Token::Word(word)) if words.contains(&word.as_str()));
    if !is(tokens.next(), &["CREATE", "ALTER"]) {
        return false;
    }
    about(&mut tokens).is_none_or(|about| matches!(about, Object::Table | Object::Tablespace))
}

fn leads_out(path: &str) -> bool {
    path.starts_with('/') || path.split('/').any(|part| part == "..")
}

pub(super) enum Token {
    /// A bare word, in upper case.
    Word(String),
    /// What stood between quotes `'` or `"`.
    Text(String),
    /// A name between backticks.
    Name(String),
    /// A sign.
    Sign(char),
}

/// The words of a statement, comments left out; what a `/*! ... */` comment holds is read as statement.
pub(super) struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Tokens { rest: text }
    }

    /// The text behind one of the first words, and behind one of the second ones where there are any, with a sign between or
    /// none.
    fn path_behind(&mut self, first: &[&str], second: &[&str]) -> Option<String> {
        let is = |token: &Token, words: &[&str]| matches!(token, Token::Word(word) if words.contains(&word.as_str()));
        let mut token = self.next()?;
        loop {
            let mut next = self.next()?;
            if is(&token, first) && (second.is_empty() || is(&next, second)) {
                if !second.is_empty() {
                    next = self.next()?;
                }
                if matches!(next, Token::Sign(_) | Token::Name(_)) {
                    next = self.next()?;
                }
                if let Token::Text(path) = next {
                    return Some(path);
                }
            }
            token = next;
        }
    }

    fn skip_blank(&mut self) {
        self.rest = skip_blank(self.rest);
    }

    /// What stands between quotes, the first of which comes next.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((_, char)) = chars.next() {
            if char == '\\' && quote != '`' {
                text.extend(chars.next().map(|(_, char)| char));
            } else if char != quote {
                text.push(char);
            } else if chars.next_if(|(_, next)| *next == quote).is_some() {
                text.push(quote);
            } else {
                let after = chars.peek().map_or(self.rest.len(), |(at, _)| *at);
                self.rest = self.rest.get(after..).unwrap_or_default();
                return text;
            }
        }
        self.rest = "";
        text
    }
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blank();
        let first = self.rest.chars().next()?;
        match first {
            '`' => Some(Token::Name(self.quoted(first))),
            '\'' | '"' => Some(Token::Text(self.quoted(first))),
            _ => {
                let is_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '$');
                let end = self.rest.find(|char| !is_word(char)).unwrap_or(self.rest.len());
                let end = if end == 0 { first.len_utf8() } else { end };
                let (word, rest) = self.rest.split_at(end);
                let token = if is_word(first) { Token::Word(word.to_ascii_uppercase()) } else { Token::Sign(first) };
                self.rest = rest;
                Some(token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_where_a_statement_puts_files() {
        let table = |path: &str| Some(Outside::Table(path.to_owned()));
        let space = |path: &str| Some(Outside::Tablespace(path.to_owned()));
        for (text, expected) in [
            ("CREATE TABLE t(id INT) DATA DIRECTORY='/far'", table("/far")),
            ("create or replace table a.t (id int) engine=myisam index directory \"/far/i\"", table("/far/i")),
            ("CREATE TABLE t(data INT, `index` INT) COMMENT 'it\\'s' DATA DIRECTORY = '/far'", table("/far")),
            ("CREATE TABLE t(data data INT) DATA DATA DIRECTORY '/far'", table("/far")),
            (
                "CREATE TABLE t(id INT) /*!50100 PARTITION BY RANGE(id) (PARTITION p0 VALUES LESS THAN (2) \
                 DATA DIRECTORY = '/far' ENGINE = InnoDB) */",
                table("/far"),
            ),
            (
                "ALTER TABLE t ADD PARTITION (PARTITION p2 VALUES LESS THAN MAXVALUE DATA DIRECTORY='/far')",
                table("/far"),
            ),
            ("CREATE SEQUENCE s DATA DIRECTORY='/far'", table("/far")),
            ("CREATE TABLESPACE ts ADD DATAFILE '/far/ts.ibd' ENGINE=InnoDB", space("/far/ts.ibd")),
            ("CREATE UNDO TABLESPACE u ADD DATAFILE '../u.ibu'", space("../u.ibu")),
            ("CREATE TABLESPACE ts ADD DATAFILE 'ts.ibd'", None),
            ("CREATE TABLE t(id INT COMMENT 'DATA DIRECTORY=\\'/far\\'')", None),
            ("CREATE TABLE t(id INT) -- DATA DIRECTORY='/far'", None),
            ("CREATE TABLE t LIKE u", None),
            ("CREATE PROCEDURE p() CREATE TABLE t(id INT) DATA DIRECTORY='/far'", None),
            ("INSERT INTO t VALUES('DATA DIRECTORY=')", None),
            ("CREATE TABLE t(id INT) DATA DIRECTORY=", None),
            ("", None),
        ] {
            assert_eq!(puts_outside(text), expected, "{text}");
        }
    }
}
