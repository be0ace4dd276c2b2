//! Finds out which storage engines and authentication plugins a logged statement names.

use super::directories::{Token, Tokens};
use super::objects::{Object, object};
use crate::model::Need;

/// Engines that a server may lack, by the names that a statement has for them. A column may be named `engine`: only one of these names
/// is taken for an engine's where no sign of equality stands before it.
const ENGINES: [&str; 25] = [
    "ARCHIVE",
    "BLACKHOLE",
    "CASSANDRA",
    "COLUMNSTORE",
    "CONNECT",
    "CSV",
    "EXAMPLE",
    "FEDERATED",
    "HEAP",
    "INNODB",
    "MEMORY",
    "MERGE",
    "MROONGA",
    "MYISAM",
    "NDB",
    "NDBCLUSTER",
    "OQGRAPH",
    "PBXT",
    "ROCKSDB",
    "S3",
    "SEQUENCE",
    "SPHINX",
    "SPIDER",
    "TOKUDB",
    "XTRADB",
];

/// What a server must have for a statement to do what it did at its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Demands {
    /// Names of storage engines, in upper case.
    pub(crate) engines: Vec<String>,
    /// Names of authentication plugins, as they are written.
    pub(crate) logins: Vec<String>,
    /// Whether the text was cut off before the place where an engine would be named.
    pub(crate) cut: bool,
}

impl Demands {
    /// Each need with its name; that of any engine has none.
    pub(crate) fn needs(self) -> impl Iterator<Item = (Need, String)> {
        let engines = self.engines.into_iter().map(|name| (Need::Engine, name));
        let logins = self.logins.into_iter().map(|name| (Need::Login, name));
        engines.chain(logins).chain(self.cut.then(|| (Need::AnyEngine, String::new())))
    }
}

/// What a statement names; `whole`: the text was not cut off.
pub(crate) fn demands(text: &str, whole: bool) -> Demands {
    let mut found = Demands::default();
    let mut tokens = Tokens::new(text).peekable();
    let Some(Token::Word(first)) = tokens.next() else { return found };
    match first.as_str() {
        "CREATE" | "ALTER" => {
            let about = tokens.find_map(|token| match token {
                Token::Word(word) => object(&word),
                _ => None,
            });
            match about {
                Some(Object::Table) => {
                    engines(tokens, &mut found);
                    found.cut = !whole && found.engines.is_empty();
                }
                Some(Object::User) => logins(tokens, &mut found),
                _ => {}
            }
        }
        "GRANT" => logins(tokens, &mut found),
        _ => {}
    }
    found
}

fn engines<'t>(tokens: std::iter::Peekable<Tokens<'t>>, found: &mut Demands) {
    let (mut depth, mut behind) = (0_i64, Behind::Nothing);
    for token in tokens {
        let equals = matches!(token, Token::Sign('='));
        let named = match (&token, behind) {
            (Token::Word(name) | Token::Text(name) | Token::Name(name), Behind::Engine) => {
                Some(name.to_ascii_uppercase()).filter(|name| ENGINES.contains(&name.as_str()))
            }
            (Token::Word(name) | Token::Text(name) | Token::Name(name), Behind::Equals) => {
                Some(name.to_ascii_uppercase()).filter(|name| depth == 0 || ENGINES.contains(&name.as_str()))
            }
            _ => None,
        };
        if let Some(name) = named
            && !name.is_empty()
            && !found.engines.contains(&name)
        {
            found.engines.push(name);
        }
        behind = match (&token, behind) {
            (Token::Word(word), _) if word == "ENGINE" => Behind::Engine,
            (_, Behind::Engine) if equals => Behind::Equals,
            _ => Behind::Nothing,
        };
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth -= 1,
            // What is selected behind the options is no option.
            Token::Word(word) if word == "SELECT" && depth == 0 => return,
            _ => {}
        }
    }
}

/// What the last tokens were.
#[derive(Clone, Copy)]
enum Behind {
    Nothing,
    Engine,
    Equals,
}

fn logins<'t>(mut tokens: std::iter::Peekable<Tokens<'t>>, found: &mut Demands) {
    let is = |token: &Token, words: &[&str]| matches!(token, Token::Word(word) if words.contains(&word.as_str()));
    // MariaDB: another way to log in stands behind OR.
    let mut via = false;
    while let Some(token) = tokens.next() {
        let follows = match &token {
            token if is(token, &["IDENTIFIED"]) => {
                via = tokens.peek().is_some_and(|next| is(next, &["VIA", "WITH"]));
                if via {
                    tokens.next();
                }
                via
            }
            token => via && is(token, &["OR"]),
        };
        if matches!(token, Token::Sign(',')) {
            via = false;
        }
        if follows
            && let Some(Token::Text(_) | Token::Name(_) | Token::Word(_)) = tokens.peek()
            && let Some(Token::Text(name) | Token::Name(name) | Token::Word(name)) = tokens.next()
            && !found.logins.iter().any(|known| known.eq_ignore_ascii_case(&name))
        {
            found.logins.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_engines() {
        for (text, expected) in [
            ("CREATE TABLE t(id INT) ENGINE=ARCHIVE", &["ARCHIVE"][..]),
            ("create table `a`.`engine` (id int) engine = `archive`", &["ARCHIVE"]),
            ("CREATE OR REPLACE TEMPORARY TABLE t(id INT) /*!40000 ENGINE 'Blackhole' */", &["BLACKHOLE"]),
            ("ALTER TABLE t ADD x INT, ENGINE rocksdb", &["ROCKSDB"]),
            ("ALTER TABLE t ENGINE=Unheard_Of", &["UNHEARD_OF"]),
            ("CREATE TABLE t(id INT) PARTITION BY HASH(id) (PARTITION p0 ENGINE = FEDERATED)", &["FEDERATED"]),
            ("CREATE SEQUENCE s ENGINE=MyISAM", &["MYISAM"]),
            ("CREATE TABLE t ENGINE=InnoDB SELECT 1 AS engine, 'x' = engine", &["INNODB"]),
            ("CREATE TABLE t(engine VARCHAR(9), CHECK (engine = 'diesel'))", &[]),
            ("ALTER TABLE t ADD engine INT, DROP COLUMN engine", &[]),
            ("CREATE TABLE t(c INT COMMENT 'ENGINE=ARCHIVE')", &[]),
            ("CREATE PROCEDURE p() CREATE TABLE t(id INT) ENGINE=ARCHIVE", &[]),
            ("INSERT INTO t VALUES ('ENGINE=ARCHIVE')", &[]),
            ("CREATE TABLE t LIKE u", &[]),
            ("CREATE TABLE t(id INT) ENGINE=", &[]),
            ("", &[]),
        ] {
            assert_eq!(demands(text, true).engines, expected, "{text}");
        }
        assert!(demands("CREATE TABLE t(a INT, b", false).cut);
        assert!(!demands("CREATE TABLE t(a INT) ENGINE=MEMORY COMMENT='", false).cut);
        assert!(!demands("INSERT INTO t VALUES (", false).cut);
    }

    #[test]
    fn finds_ways_to_log_in() {
        for (text, expected) in [
            ("CREATE USER a@localhost IDENTIFIED WITH auth_socket", &["AUTH_SOCKET"][..]),
            (
                "CREATE USER 'a'@'b' IDENTIFIED WITH 'caching_sha2_password' AS '$A$005$', c IDENTIFIED BY 'x'",
                &["caching_sha2_password"],
            ),
            ("ALTER USER a IDENTIFIED VIA ed25519 USING 'x' OR `pam` USING 'mariadb'", &["ED25519", "pam"]),
            ("CREATE OR REPLACE USER a IDENTIFIED BY PASSWORD '*x'", &[]),
            (
                "GRANT ALL ON *.* TO a IDENTIFIED WITH sha256_password AND IDENTIFIED WITH fido",
                &["SHA256_PASSWORD", "FIDO"],
            ),
            ("CREATE USER `identified with x`@h COMMENT 'IDENTIFIED WITH y'", &[]),
            ("CREATE USER a IDENTIFIED WITH", &[]),
            ("GRANT SELECT ON a.* TO b", &[]),
        ] {
            assert_eq!(demands(text, true).logins, expected, "{text}");
        }
    }
}
