//! Hides secrets in SQL statements that are shown to people.

use super::text::without_credentials;
use crate::tools::MASK;
use std::borrow::Cow;

/// Parts of words after which every literal may be a secret: `IDENTIFIED BY`, `SET PASSWORD`, `MASTER_PASSWORD`,
/// `OPTIONS (PASSWORD ...)`, `mysql.user` and its like, `SET GLOBAL ..._token`.
const PARTS: [&str; 13] = [
    "identified",
    "passw",
    "passphrase",
    "secret",
    "auth_string",
    "authentication_string",
    "token",
    "credential",
    "filekey",
    "sst_auth",
    "root_pwd",
    "access_key",
    "global_priv",
];

/// Whole words of the same kind: functions that take keys, and the tables of accounts and of servers.
const WORDS: [&str; 10] = [
    "encrypt",
    "decrypt",
    "aes_encrypt",
    "aes_decrypt",
    "des_encrypt",
    "des_decrypt",
    "encode",
    "decode",
    "mysql.user",
    "mysql.servers",
];

/// A logged statement with the secrets in it masked: from the first word on that speaks of a credential, every literal;
/// and in every literal before it, the password of an address like `mysql://user:password@host`.
///
/// Clients write these words in any case and with either quote, and servers log them so. A literal that holds such a word
/// is masked too: it may be a comment of an engine that takes its password there.
pub fn masked_statement(text: &str) -> String {
    mask(text, false)
}

/// The same for a text that may quote a statement without escaping its quotes: nothing behind a literal that holds such a
/// word is shown.
pub(super) fn masked_quotation(text: &str) -> String {
    mask(text, true)
}

fn mask(text: &str, quoted: bool) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(start) = first_word(&lower) else { return without_credentials(text).into_owned() };
    // Whether a backslash escapes a quote depends on the session's mode: where one stands before a quote, nobody can say
    // where a literal ends, and so everything is hidden from the first one on. So it is where a comment begins for one vendor alone,
    // or right behind a star: within a comment for servers that is its end.
    let unclear = ["\\'", "\\\"", "/*m!", "*/*"].iter().any(|sign| lower.contains(sign));
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some((begin, end, token)) = next_token(text, at) {
        out.push_str(&text[at..begin]);
        let found = &text[begin..end];
        let shown_quote =
            |quote: char| if end - begin > 1 && found.ends_with(quote) { quote.to_string() } else { String::new() };
        at = end;
        match token {
            _ if end <= start => out.push_str(&without_credentials(found)),
            Token::Name => out.push_str(found),
            Token::Comment if !found.contains(['\'', '"']) => out.push_str(found),
            _ if unclear || (quoted && begin <= start) => return format!("{out}{MASK}"),
            Token::Comment | Token::Hex => out.push_str(MASK),
            // The statement may have been cut within the text.
            Token::Literal(quote) => out.push_str(&format!("{quote}{MASK}{}", shown_quote(quote))),
        }
    }
    out.push_str(&text[at..]);
    out
}

/// What a statement holds beside plain words.
#[derive(Debug, Clone, Copy)]
enum Token {
    /// Within quotes of this kind.
    Literal(char),
    /// `0x24...`.
    Hex,
    /// Within backquotes.
    Name,
    /// `/* ... */`, `-- ...`, `# ...`. What a comment for servers holds, `/*! ... */`, is code.
    Comment,
}

/// The next token from a byte on: its bounds and what it is.
fn next_token(text: &str, from: usize) -> Option<(usize, usize, Token)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let until = |begin: usize, end: &str| text[begin..].find(end).map_or(text.len(), |at| begin + at + end.len());
    text[from..].char_indices().find_map(|(offset, char)| {
        let begin = from + offset;
        let rest = &text[begin..];
        let (end, token) = match char {
            '\'' | '"' => (begin + literal_end(rest, char), Token::Literal(char)),
            '`' => (until(begin + 1, "`"), Token::Name),
            '#' => (until(begin, "\n"), Token::Comment),
            '-' if begins_line_comment(rest) => (until(begin, "\n"), Token::Comment),
            '/' if rest.starts_with("/*") && !rest.starts_with("/*!") && !rest.starts_with("/*M!") => {
                (until(begin + 2, "*/"), Token::Comment)
            }
            '0' if rest.starts_with("0x") && !text[..begin].ends_with(is_word) => {
                let digits = rest[2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - 2);
                if digits == 0 {
                    return None;
                }
                (begin + 2 + digits, Token::Hex)
            }
            _ => return None,
        };
        Some((begin, end, token))
    })
}

/// Whether two dashes stand here before a blank or a control character, or at the end: to servers they begin a comment.
fn begins_line_comment(rest: &str) -> bool {
    let ends = |next: char| next.is_ascii_whitespace() || next.is_ascii_control();
    rest.strip_prefix("--").is_some_and(|rest| rest.chars().next().is_none_or(ends))
}

/// How long the literal is that a text begins with; the whole text where it does not end.
fn literal_end(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if char == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

/// Where the first word that speaks of a credential begins, in lower case text.
fn first_word(lower: &str) -> Option<usize> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$');
    let parts = PARTS.iter().filter_map(|part| lower.find(part));
    // Quotes of names may stand within: `mysql`.`user`.
    let bare = if lower.contains('`') { Cow::from(lower.replace('`', "")) } else { Cow::from(lower) };
    let whole = WORDS.iter().filter_map(|word| {
        let found = bare
            .match_indices(word)
            .find(|(at, _)| !bare[..*at].ends_with(is_word) && !bare[at + word.len()..].starts_with(is_word))?;
        // Backquotes before it make it begin later in the text itself, so that this is never too late.
        Some(found.0)
    });
    parts.chain(whole).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server's error quotes the statement without escaping it.
    #[test]
    fn hides_all_behind_a_quoted_statement() {
        let error = "near 'CHANGE MASTER TO MASTER_PASSWORD='x', MASTER_USER='y'' at line 1";
        assert_eq!(masked_quotation(error), "near ***");
        assert_eq!(masked_quotation("GRANT x TO 'a' IDENTIFIED BY 'y' z"), "GRANT x TO 'a' IDENTIFIED BY '***' z");
    }

    #[test]
    fn hides_passwords_however_they_are_written() {
        for (text, shown) in [
            ("create user a@'b' identified by 's3cret'", "create user a@'b' identified by '***'"),
            (
                "ALTER USER a IDENTIFIED WITH x BY \"it''s\" REPLACE 'old'",
                "ALTER USER a IDENTIFIED WITH x BY \"***\" REPLACE '***'",
            ),
            ("SET PASSWORD FOR 'a'@'%' = PASSWORD('it''s x')", "SET PASSWORD FOR '***'@'***' = PASSWORD('***')"),
            ("CHANGE MASTER TO MASTER_PASSWORD='cut in the midd", "CHANGE MASTER TO MASTER_PASSWORD='***"),
            (
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='h', SOURCE_PASSWORD = 'p', SOURCE_PORT=3306",
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='h', SOURCE_PASSWORD = '***', SOURCE_PORT=3306",
            ),
            (
                "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD 'p', HOST 'h')",
                "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (USER 'u', PASSWORD '***', HOST '***')",
            ),
            // Hashes in hexadecimal, with or without quotes.
            (
                "CREATE USER u IDENTIFIED WITH 'caching_sha2_password' AS 0x24412430303524",
                "CREATE USER u IDENTIFIED WITH '***' AS ***",
            ),
            ("ALTER USER u IDENTIFIED WITH p AS X'2441'", "ALTER USER u IDENTIFIED WITH p AS X'***'"),
            // A literal that holds the word, with quotes of the other kind in it.
            (
                "CREATE TABLE t (a INT) ENGINE=SPIDER COMMENT='user \"u\", password \"p\"' CONNECTION='x'",
                "CREATE TABLE t (a INT) ENGINE=SPIDER COMMENT='***' CONNECTION='***'",
            ),
            (
                "CREATE USER a COMMENT 'my password' IDENTIFIED BY 'secret'",
                "CREATE USER a COMMENT '***' IDENTIFIED BY '***'",
            ),
            (
                "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:p@ss@h/d/t'",
                "CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='mysql://u:***@h/d/t'",
            ),
            // The mode decides whether the backslash escapes: nothing behind it is shown.
            ("SET PASSWORD = 'a\\', 'b'", "SET PASSWORD = ***"),
            ("CREATE USER c IDENTIFIED BY 'it\\'s', d IDENTIFIED BY 'x'", "CREATE USER c IDENTIFIED BY ***"),
            (
                "INSERT INTO `mysql`.`user` VALUES ('h','u','*AB')",
                "INSERT INTO `mysql`.`user` VALUES ('***','***','***')",
            ),
            (
                "REPLACE INTO mysql.global_priv VALUES ('h','u','{}')",
                "REPLACE INTO mysql.global_priv VALUES ('***','***','***')",
            ),
            ("UPDATE t SET a = AES_ENCRYPT('x', 'key')", "UPDATE t SET a = AES_ENCRYPT('***', '***')"),
            ("SET GLOBAL hashicorp_key_management_token = 'x'", "SET GLOBAL hashicorp_key_management_token = '***'"),
            // Quotes in comments and names begin nothing.
            ("/* it's */ CREATE USER a IDENTIFIED BY 'x'", "/* it's */ CREATE USER a IDENTIFIED BY '***'"),
            ("CREATE USER `o'b` IDENTIFIED BY 'x' /* 'old' */ # no", "CREATE USER `o'b` IDENTIFIED BY '***' *** # no"),
            ("ALTER USER a IDENTIFIED BY /*!80000 'x' */", "ALTER USER a IDENTIFIED BY /*!80000 '***' */"),
            ("-- don't\nALTER USER a IDENTIFIED BY 'x'", "-- don't\nALTER USER a IDENTIFIED BY '***'"),
            ("--\tdon't\nALTER USER a IDENTIFIED BY 'x'", "--\tdon't\nALTER USER a IDENTIFIED BY '***'"),
            ("CREATE SERVER s /*M! ' */ OPTIONS (PASSWORD 'x')", "CREATE SERVER s /*M! ***"),
            ("SET @a = /*!50000 2*/*3, PASSWORD = 'a*/b'", "SET @a = /*!50000 2****"),
            ("drop table shop.orders /* 'a' */", "drop table shop.orders /* 'a' */"),
            ("CREATE TABLE t (a INT) ENCRYPTION='Y'", "CREATE TABLE t (a INT) ENCRYPTION='Y'"),
            ("INSERT INTO mysql.user_log VALUES ('a')", "INSERT INTO mysql.user_log VALUES ('a')"),
        ] {
            assert_eq!(masked_statement(text), shown);
        }
    }
}
