//! Tells whether a vendor's client ends a statement where its server did, when it reads the statement as text.

use std::fmt;

/// What stands behind each statement in the output of both vendors' binlog readers.
const DELIMITER: &[u8] = b"/*!*/";

/// Why a client may read a statement otherwise than the server that logged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The text that ends a statement in the reader's output stands in it, outside of quotes.
    Delimiter,
    /// A backslash outside of quotes: clients take commands after one.
    Backslash,
    /// A backslash where it depends on version and mode whether it hides the quote behind it.
    QuotedBackslash,
    /// A comment in a comment.
    NestedComment,
    /// A comment or a quote that does not end.
    NoEnd,
    /// A sign of a comment, or one that may be, in a comment whose content is executed by some versions.
    VersionComment,
    /// Two dashes that only one of client and server takes for a comment.
    Dashes,
    /// A control character outside of quotes.
    Control,
    /// A line that begins with the client's command for another delimiter.
    DelimiterCommand,
    /// A character of several bytes, the last of which is a backslash or a backtick.
    Multibyte,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Doubt::Delimiter => "the delimiter /*!*/ stands in it",
            Doubt::Backslash => "it has a backslash outside of quotes",
            Doubt::QuotedBackslash => "it has a backslash before a quote that may end there",
            Doubt::NestedComment => "it has a comment in a comment",
            Doubt::NoEnd => "it has a comment or a quote without an end",
            Doubt::VersionComment => "it has comment signs in a comment that some versions execute",
            Doubt::Dashes => "it has two dashes that may be a comment",
            Doubt::Control => "it has a control character outside of quotes",
            Doubt::DelimiterCommand => "a line of it begins with the word delimiter",
            Doubt::Multibyte => "it has a backslash or a backtick in a character of several bytes",
        })
    }
}

/// What a client has to know of the session that ran a statement to find the statement's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientReading {
    /// `NO_BACKSLASH_ESCAPES` in its SQL mode; `None` where the log does not say.
    pub(super) plain_backslash: Option<bool>,
    /// `ANSI_QUOTES` in it.
    pub(super) ansi_quotes: Option<bool>,
    /// Whether the second byte of a character may be a backslash or a backtick: big5, sjis, gbk, cp932, gb18030.
    pub(super) multibyte: bool,
    /// `/*M!` begins an ordinary comment, as it does for MySQL's server and client.
    pub(super) plain_m: bool,
}

/// Checks that a client with `--binary-mode` finds the end of a statement just where its text ends, and nothing for itself
/// in it. What is only unusual is refused too: a client is an interpreter of its own, and differs from version to version.
///
/// The client goes by quotes and comments alone; the server goes by its grammar. They differ in comments that some versions
/// execute (the client ends a statement in them, and ends a quote in them that the server does not see), in nested
/// comments, in backslashes outside of quotes (a client's commands) and in quotes whose backslashes depend on the SQL mode.
/// All of them were tried on the clients of MariaDB 10.11 and MySQL 9.7.
pub(super) fn check(text: &[u8], reading: ClientReading) -> Result<(), Doubt> {
    if reading.multibyte && text.windows(2).any(|pair| matches!(pair, [0x80..=0xff, b'\\' | b'`'])) {
        return Err(Doubt::Multibyte);
    }
    let mut lexer = Lexer { text, at: 0, in_version: false, seen_code: false, line_start: true };
    while lexer.at < text.len() {
        lexer.step(reading)?;
    }
    if lexer.in_version { Err(Doubt::NoEnd) } else { Ok(()) }
}

struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    /// In a comment that begins with `/*!` or `/*M!`.
    in_version: bool,
    /// Something else than blanks and comments came before.
    seen_code: bool,
    /// Nothing but blanks came since the line's start.
    line_start: bool,
}

impl Lexer<'_> {
    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn begins(&self, what: &[u8]) -> bool {
        self.rest().starts_with(what)
    }

    fn step(&mut self, reading: ClientReading) -> Result<(), Doubt> {
        let Some(&byte) = self.rest().first() else { return Ok(()) };
        match byte {
            b'\n' => self.line_start = true,
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => {}
            0..0x20 | 0x7f => return Err(Doubt::Control),
            b'/' if self.begins(DELIMITER) => return Err(Doubt::Delimiter),
            b'/' if self.begins(b"/*") => return self.comment(reading),
            b'*' if self.in_version && self.begins(b"*/") => {
                self.in_version = false;
                self.at += 1;
            }
            b'#' => return self.line_comment(),
            b'-' if self.begins(b"--") => match self.text.get(self.at + 2) {
                None | Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) => return self.line_comment(),
                Some(0..0x20 | 0x7f) => return Err(Doubt::Dashes),
                // A client takes any two dashes at a statement's start for a comment.
                Some(_) if !self.seen_code => return Err(Doubt::Dashes),
                Some(_) => self.code(),
            },
            // The short form of NULL.
            b'\\' if self.begins(b"\\N") => {
                self.code();
                self.at += 1;
            }
            b'\\' => return Err(Doubt::Backslash),
            b'\'' | b'"' | b'`' => return self.quoted(byte, reading),
            _ => {
                let word = self.rest().get(..9);
                if self.line_start && word.is_some_and(|word| word.eq_ignore_ascii_case(b"delimiter")) {
                    return Err(Doubt::DelimiterCommand);
                }
                self.code();
            }
        }
        self.at += 1;
        Ok(())
    }

    fn code(&mut self) {
        self.seen_code = true;
        self.line_start = false;
    }

    fn comment(&mut self, reading: ClientReading) -> Result<(), Doubt> {
        if self.in_version {
            return Err(Doubt::VersionComment);
        }
        let signs: &[&[u8]] = if reading.plain_m { &[b"/*!"] } else { &[b"/*!", b"/*M!"] };
        for sign in signs {
            if self.begins(sign) {
                self.in_version = true;
                self.code();
                self.at += sign.len();
                return Ok(());
            }
        }
        let hint = self.begins(b"/*+");
        let content = self.text.get(self.at + 2..).unwrap_or_default();
        let Some(end) = find(content, b"*/") else { return Err(Doubt::NoEnd) };
        let content = content.get(..end).unwrap_or_default();
        if find(content, b"/*").is_some() || (hint && content.iter().any(|byte| b"'\"`\\".contains(byte))) {
            return Err(Doubt::NestedComment);
        }
        if content.contains(&0) {
            return Err(Doubt::Control);
        }
        if hint {
            self.code();
        }
        self.at += 2 + end + 2;
        Ok(())
    }

    fn line_comment(&mut self) -> Result<(), Doubt> {
        if self.in_version {
            return Err(Doubt::VersionComment);
        }
        let end = self.rest().iter().position(|byte| *byte == b'\n').unwrap_or(self.rest().len());
        if self.rest().get(..end).is_some_and(|line| line.contains(&0)) {
            return Err(Doubt::Control);
        }
        self.at += end;
        Ok(())
    }

    fn quoted(&mut self, quote: u8, reading: ClientReading) -> Result<(), Doubt> {
        self.code();
        let begin = self.at + 1;
        let mut at = begin;
        loop {
            let Some(&byte) = self.text.get(at) else { return Err(Doubt::NoEnd) };
            if byte == quote {
                break;
            }
            if byte == b'\\' {
                let escapes = match (quote, reading.ansi_quotes, reading.plain_backslash) {
                    (b'`', ..) | (b'"', Some(true) | None, _) | (_, _, None) => None,
                    (_, _, Some(plain)) => Some(!plain),
                };
                let run = self.text.get(at..).unwrap_or_default().iter().take_while(|byte| **byte == b'\\').count();
                match escapes {
                    Some(true) => at += 1,
                    Some(false) => {}
                    None if self.text.get(at + run) == Some(&quote) => return Err(Doubt::QuotedBackslash),
                    None => at += run - 1,
                }
            }
            at += 1;
        }
        let content = self.text.get(begin..at).unwrap_or_default();
        if self.in_version && (find(content, b"*/").is_some() || find(content, b"/*").is_some()) {
            return Err(Doubt::VersionComment);
        }
        self.at = at + 1;
        Ok(())
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: ClientReading =
        ClientReading { plain_backslash: Some(false), ansi_quotes: Some(false), multibyte: false, plain_m: false };

    fn checked(text: &str) -> Result<(), Doubt> {
        check(text.as_bytes(), USUAL)
    }

    #[test]
    fn what_applications_write_is_plain() {
        for text in [
            "insert into t values ('it''s', \"a \\\" b\", 'a \\' b\\\\', N'x', _utf8mb4'y', \\N)",
            "CREATE TABLE `a``b` (i INT COMMENT 'x /*!*/; y', delimiter INT) -- last\n",
            "/* app:checkout;user='7 */ update t set a = a - -1, b = 'x\ny' # and so on\nwhere c--1 > 0",
            "/*!40000 ALTER TABLE `t` DISABLE KEYS */",
            "CREATE DEFINER=`root`@`localhost` TRIGGER t BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; /* c */ END",
            "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%` */ /*!50003 TRIGGER x AFTER INSERT ON y FOR EACH ROW SET @a='b' */",
            "CREATE TABLE t (a INT) /*!50100 PARTITION BY RANGE (a) (PARTITION p VALUES LESS THAN (1) COMMENT = 'x') */",
            "select /*+ MAX_EXECUTION_TIME(1000) */ 1",
            "SAVEPOINT `a\nDROP TABLE x`",
            "create database `d\nX y`",
            "insert into t values('\u{0}\u{1}\\0')",
            "create table `a\\b` (`\\\\ %` int)",
            "",
        ] {
            assert_eq!(checked(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_ends_elsewhere_for_a_client_is_doubted() {
        use Doubt as D;
        for (text, doubt) in [
            ("select 3 /*!99999 x */ /*!*/;\ndrop database a", D::Delimiter),
            ("select 3 /*!99999 /*!*/;\nselect 1 into outfile '/tmp/x' /*!*/;\n*/", D::Delimiter),
            ("select 1 /*!99999 \\C gbk */", D::Backslash),
            ("select 1 \\! id", D::Backslash),
            ("select 1 /*!99999 don't */", D::NoEnd),
            ("select 1 /*!99999 'a */ ' */", D::VersionComment),
            ("select 1 /*!99999 # */\n */", D::VersionComment),
            ("select 1 /*!99999 -- */\n */", D::VersionComment),
            ("select 1 /*!99999 /* x */ */", D::VersionComment),
            ("select 1 /*M!99999 /* x */ */", D::VersionComment),
            ("select 1 /* a /*!99999 b */ + 1", D::NestedComment),
            ("select /*+ ' */ 1", D::NestedComment),
            ("select 1 /* open", D::NoEnd),
            ("select 1 /*!50000 open", D::NoEnd),
            ("select 'open", D::NoEnd),
            ("insert into t values(1) --\u{1}'\n", D::Dashes),
            ("/* a */ --1", D::Dashes),
            ("select 1 \u{0}", D::Control),
            ("select 1 # a\u{0}b", D::Control),
            ("select 1 as\ndelimiter\nfrom t", D::DelimiterCommand),
            ("select 1 as\n  DELIMITER x", D::DelimiterCommand),
            ("select 1 as `a\\`", D::QuotedBackslash),
        ] {
            assert_eq!(checked(text), Err(doubt), "{text}");
        }
    }

    /// Tried on the clients of MariaDB 10.11 and MySQL 9.7, as all of these.
    #[test]
    fn mysql_takes_mariadbs_comments_for_ordinary_ones() {
        let mysql = ClientReading { plain_m: true, ..USUAL };
        for text in ["select 1 /*M! ; ' */ + 1", "select /*M!100100 don't \\C gbk -- # */ 1", "select 1 /*M!*/"] {
            assert_eq!(check(text.as_bytes(), mysql), Ok(()), "{text}");
        }
        assert_eq!(check(b"select 1 /*M! /*!*/", mysql), Err(Doubt::NestedComment));
        assert_eq!(check(b"select 1 /*M! don't */", USUAL), Err(Doubt::NoEnd));
        // Where the ordinary comment ends, the quote begins: it may hide nothing.
        assert_eq!(check(b"select 1 /*M! 'a */ /*!*/ ' */", mysql), Err(Doubt::Delimiter));
    }

    #[test]
    fn backslashes_go_by_the_sql_mode() {
        let plain = ClientReading { plain_backslash: Some(true), ..USUAL };
        assert_eq!(check(br"select 'a\'", plain), Ok(()));
        assert_eq!(check(br"select 'a\' b'", plain), Err(Doubt::NoEnd));
        let ansi = ClientReading { ansi_quotes: Some(true), ..USUAL };
        assert_eq!(check(br#"select "a\" from "t""#, ansi), Err(Doubt::QuotedBackslash));
        assert_eq!(check(br#"select "a\b" from "t""#, ansi), Ok(()));
        let unknown = ClientReading { plain_backslash: None, ansi_quotes: None, multibyte: false, plain_m: false };
        assert_eq!(check(br"select 'a\' or 1'", unknown), Err(Doubt::QuotedBackslash));
        assert_eq!(check(br"select 'a\b'", unknown), Ok(()));
        let chinese = ClientReading { multibyte: true, ..USUAL };
        assert_eq!(check(b"select '\xb1\\'", chinese), Err(Doubt::Multibyte));
    }
}
