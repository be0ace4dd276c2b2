//! Rewrites a statement whose session had strings and names read otherwise than usual, so that everything that looks at statements
//! needs one reading alone: a backslash hides what follows it in a string, double quotes are a string's, no byte of a character
//! is taken for a sign, and `/*!` and `/*M!` begin a comment that the server executed.
//!
//! Which of those comments a server executes needs no look at their version numbers: in what it logs, a server writes a blank for the
//! exclamation mark of each one that it did not execute, and `(*` for a comment in it (seen with MariaDB 10.11.19 and MySQL 9.7.4:
//! text, prepared statements, views; bodies of routines are logged without them). MySQL does not know `/*M!`, which it leaves as
//! it is: an ordinary comment.

use super::blank::begins_line_comment;
use super::format::LogFlavor;
use super::source::Source;
use std::borrow::Cow;

/// Bits of a SQL mode in a Query event.
pub(super) const ANSI_QUOTES: u64 = 1 << 2;
pub(super) const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
const NO_DIR_IN_CREATE: u64 = 1 << 7;

/// How a session had its statements read, as the status variables of its Query events tell it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// `NO_BACKSLASH_ESCAPES` in its SQL mode.
    pub(super) plain_backslash: bool,
    /// `ANSI_QUOTES` in it: double quotes are a name's.
    pub(super) ansi_quotes: bool,
    /// `NO_DIR_IN_CREATE` in it: the directories that a definition names do not count.
    pub(super) no_directories: bool,
    pub(super) letters: Letters,
    /// `/*M!` begins an ordinary comment, as it does for MySQL.
    pub(super) plain_m: bool,
}

/// What bytes above 127 are in a client's character set, as far as it matters where a string or a word ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Letters {
    /// Parts of characters that no sign is a part of: UTF-8, EUC.
    #[default]
    Usual,
    /// Characters of one byte; 160 is a blank there (`ctype` tables of both vendors).
    Single,
    /// The first byte of two, the second of which may be a backslash or a backtick.
    Big5,
    /// sjis and cp932.
    Sjis,
    /// gbk and gb18030, whose characters of four bytes hold nothing but digits beside their like.
    Gbk,
}

impl Letters {
    /// Those of a character set, by the number of one of its collations (`information_schema` of MariaDB 10.11.19 and MySQL 9.7.4).
    /// MariaDB's collations without padding are numbered 1024 higher.
    pub(super) fn of(collation: u16) -> Self {
        match if collation & !1023 == 1024 { collation & 1023 } else { collation } {
            1 | 84 => Letters::Big5,
            13 | 88 | 95 | 96 => Letters::Sjis,
            28 | 87 | 248..=250 => Letters::Gbk,
            // ujis, euckr, gb2312, utf8mb3, ucs2, utf8mb4, utf16, utf16le, utf32, binary, utf8mb3_tolower_ci, eucjpms.
            12 | 91 | 19 | 85 | 24 | 86 | 33 | 83 | 35 | 90 | 45 | 46 | 54..=56 | 60..=63 | 76 | 97 | 98 => {
                Letters::Usual
            }
            0..100 => Letters::Single,
            _ => Letters::Usual,
        }
    }

    /// Whether the second byte of a character may be a backslash or a backtick.
    pub(super) fn hide_signs(self) -> bool {
        matches!(self, Letters::Big5 | Letters::Sjis | Letters::Gbk)
    }

    /// How many bytes the character at a text's beginning has (`strings/ctype-big5.c`, `-sjis.c`, `-gbk.c` of both vendors: two bytes
    /// that do not belong together are two characters).
    fn length(self, text: &[u8]) -> usize {
        let [first, second, ..] = *text else { return 1 };
        let pair = match self {
            Letters::Usual | Letters::Single => false,
            Letters::Big5 => matches!(first, 0xa1..=0xf9) && matches!(second, 0x40..=0x7e | 0xa1..=0xfe),
            Letters::Sjis => matches!(first, 0x81..=0x9f | 0xe0..=0xfc) && matches!(second, 0x40..=0x7e | 0x80..=0xfc),
            Letters::Gbk => matches!(first, 0x81..=0xfe) && matches!(second, 0x40..=0x7e | 0x80..=0xfe),
        };
        if pair { 2 } else { 1 }
    }
}

impl Reading {
    /// Reads it out of the status variables of a Query event, in whose order both vendors write SQL mode and character set before
    /// texts of any other kind than the catalog's name.
    pub(super) fn of_status(flavor: LogFlavor, mut status: &[u8]) -> Self {
        let mut reading = Reading { plain_m: flavor == LogFlavor::Mysql, ..Reading::default() };
        let mut next = || {
            match status.u8()? {
                0 | 3 => status.skip(4)?,
                1 => {
                    let mode = status.u64()?;
                    reading.plain_backslash = mode & NO_BACKSLASH_ESCAPES != 0;
                    reading.ansi_quotes = mode & ANSI_QUOTES != 0;
                    reading.no_directories = mode & NO_DIR_IN_CREATE != 0;
                }
                4 => {
                    reading.letters = Letters::of(status.u16()?);
                    status.skip(4)?;
                }
                6 => {
                    let length = status.u8()?;
                    status.skip(u64::from(length))?;
                }
                _ => return None,
            }
            Some(())
        };
        while next().is_some() {}
        reading
    }

    /// The statement as one that means the same in the usual reading. Of a text that was cut off, what comes out is not shorter.
    pub(super) fn usual(self, text: &[u8]) -> Cow<'_, [u8]> {
        let signs = |signs: &[u8]| text.iter().any(|byte| signs.contains(byte));
        let needed = (self.plain_backslash && signs(b"\\"))
            || (self.ansi_quotes && signs(b"\""))
            || match self.letters {
                Letters::Usual => false,
                Letters::Single => signs(&[BLANK_LETTER]),
                Letters::Big5 | Letters::Sjis | Letters::Gbk => !text.is_ascii(),
            }
            || self.has_unusual_comment(text);
        if !needed {
            return Cow::Borrowed(text);
        }
        let usual = Vec::with_capacity(text.len() + 64);
        let mut rewriter = Rewriter { reading: self, rest: text, usual, in_executed: false };
        while !rewriter.rest.is_empty() {
            rewriter.step();
        }
        let mut usual = rewriter.usual;
        usual.resize(usual.len().max(text.len()), b' ');
        Cow::Owned(usual)
    }

    /// Whether a comment may begin that only this reading takes for an ordinary one, or one right behind a star or a comment's end,
    /// which `*/*` leaves open to whoever does not know what came before.
    fn has_unusual_comment(self, text: &[u8]) -> bool {
        let holds = |sign: &[u8]| text.windows(sign.len()).any(|window| window == sign);
        text.contains(&b'*') && (holds(b"*/*") || (self.plain_m && holds(b"/*M!")))
    }
}

/// The no-break space of ISO 8859.
const BLANK_LETTER: u8 = 0xa0;
/// What stands for a character of two bytes.
const LETTER: &str = "\u{fffd}";

struct Rewriter<'t> {
    reading: Reading,
    rest: &'t [u8],
    usual: Vec<u8>,
    /// In a comment that the server executed: the first `*/` ends it, however many began.
    in_executed: bool,
}

impl Rewriter<'_> {
    fn step(&mut self) {
        match self.rest {
            [quote @ (b'\'' | b'"' | b'`'), ..] => self.quoted(*quote),
            [b'/', b'*', b'M', b'!', ..] if self.reading.plain_m => {
                self.usual.extend_from_slice(b"/* ");
                self.skip(2);
                self.keep(end_of(self.rest, 0, b"*/"));
            }
            [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                self.in_executed = true;
                self.keep(3);
            }
            [b'/', b'*', ..] => self.keep(end_of(self.rest, 2, b"*/")),
            [b'*', b'/', next, ..] if self.in_executed => {
                self.in_executed = false;
                let multiplies = *next == b'*';
                self.keep(2);
                self.usual.extend_from_slice(if multiplies { b" " } else { b"" });
            }
            // A star, and a comment that begins behind it.
            [b'*', b'/', b'*', ..] => {
                self.keep(1);
                self.usual.push(b' ');
            }
            rest if begins_line_comment(rest) => self.keep(end_of(self.rest, 1, b"\n")),
            [BLANK_LETTER, ..] if self.reading.letters == Letters::Single => {
                self.usual.push(b' ');
                self.skip(1);
            }
            _ => self.letter(),
        }
    }

    /// Takes a quoted text, whose quote comes next.
    fn quoted(&mut self, quote: u8) {
        let name = quote == b'`' || (quote == b'"' && self.reading.ansi_quotes);
        let written = if name { b'`' } else { quote };
        self.usual.push(written);
        self.skip(1);
        loop {
            match *self.rest {
                [] => return,
                [next, ..] if next == quote => {
                    self.skip(1);
                    if self.rest.first() != Some(&quote) {
                        self.usual.push(written);
                        return;
                    }
                    // A doubled quote is one of the text.
                    self.skip(1);
                    self.usual.push(quote);
                    if quote == written {
                        self.usual.push(quote);
                    }
                }
                [b'`', ..] if name => {
                    self.usual.extend_from_slice(b"``");
                    self.skip(1);
                }
                [b'\\', ..] if !name && self.reading.plain_backslash => {
                    self.usual.extend_from_slice(b"\\\\");
                    self.skip(1);
                }
                // It hides a byte, not a character.
                [b'\\', ..] if !name => self.keep(2),
                _ => self.letter(),
            }
        }
    }

    fn letter(&mut self) {
        match self.reading.letters.length(self.rest) {
            1 => self.keep(1),
            length => {
                self.usual.extend_from_slice(LETTER.as_bytes());
                self.skip(length);
            }
        }
    }

    fn keep(&mut self, count: usize) {
        let count = count.min(self.rest.len());
        self.usual.extend_from_slice(self.rest.get(..count).unwrap_or_default());
        self.skip(count);
    }

    fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

/// Where the first `what` ends from an offset on; the text's end without one.
fn end_of(text: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.windows(what.len()).position(|window| window == what).map_or(text.len(), |at| from + at + what.len())
}

#[cfg(test)]
mod tests {
    use super::super::{directories, untold};
    use super::*;

    const PLAIN: Reading = Reading {
        plain_backslash: true,
        ansi_quotes: false,
        no_directories: false,
        letters: Letters::Usual,
        plain_m: false,
    };
    const ANSI: Reading = Reading {
        plain_backslash: false,
        ansi_quotes: true,
        no_directories: false,
        letters: Letters::Usual,
        plain_m: false,
    };
    const MYSQL: Reading = Reading { ansi_quotes: false, plain_m: true, ..ANSI };
    const fn of(letters: Letters) -> Reading {
        Reading { plain_backslash: false, ansi_quotes: false, no_directories: false, letters, plain_m: false }
    }

    fn usual(reading: Reading, text: &[u8]) -> String {
        String::from_utf8_lossy(&reading.usual(text)).trim_end().to_owned()
    }

    #[test]
    fn rewrites_what_is_read_otherwise() {
        for (reading, text, wanted) in [
            (PLAIN, &br"a 'c:\', 'it''s' -- '\' b"[..], r"a 'c:\\', 'it''s' -- '\' b"),
            (PLAIN, br#""c:\" `d\` /* '\' */ \N"#, r#""c:\\" `d\` /* '\' */ \N"#),
            (PLAIN, br"/*!50000 'x\' */ '\'", r"/*!50000 'x\\' */ '\\'"),
            (ANSI, br#""a""b`c\" 'x\'y' "z"#, r#"`a"b``c\` 'x\'y' `z"#),
            (of(Letters::Gbk), b"'\x95\\' \x95` '\\\x95\\'' `\x95``", "'\u{fffd}' \u{fffd} '\\\u{fffd}\\'' `\u{fffd}`"),
            (of(Letters::Sjis), b"'\x95\\', '\xb1\\''", "'\u{fffd}', '\u{fffd}\\''"),
            (of(Letters::Big5), b"'\xa5\\', '\x95\\''", "'\u{fffd}', '\u{fffd}\\''"),
            (of(Letters::Single), b"a\xa0b '\xa0'", "a b '\u{fffd}'"),
            (PLAIN, b"'\\", r"'\\"),
            (of(Letters::Gbk), b"'\x95", "'\u{fffd}"),
        ] {
            assert_eq!(usual(reading, text), wanted, "{}", text.escape_ascii());
        }
    }

    /// The texts are valid for the servers named, which read them so.
    #[test]
    fn comments_are_read_as_the_server_reads_them() {
        for (reading, text, wanted) in [
            (MYSQL, &b"a /*M! ' */ b /*M!100100 \" */ c"[..], "a /* M! ' */ b /* M!100100 \" */ c"),
            (MYSQL, b"a /*M!*/ /*! b */ 'c /*M! d'", "a /* M!*/ /*! b */ 'c /*M! d'"),
            (MYSQL, b"a /*M! /*! b", "a /* M! /*! b"),
            (MYSQL, b"2*/*'*/3 /*!50000 2*/*3", "2* /*'*/3 /*!50000 2*/ *3"),
            (Reading::default(), b"2*/*'*/3 /*M!100000 2*/*3", "2* /*'*/3 /*M!100000 2*/ *3"),
            (Reading::default(), b"/*! a /* x */ 2*/*3 /*' */ 4*/*/5*/6", "/*! a /* x */ 2*/ *3 /*' */ 4* /*/5*/6"),
        ] {
            assert_eq!(usual(reading, text), wanted, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn what_needs_nothing_stays() {
        for (reading, text) in [(Reading::default(), &b"a /*M!100100 b */ c"[..]), (MYSQL, b"/*!50000 a */ b /* c */")]
        {
            assert!(matches!(reading.usual(text), Cow::Borrowed(_)));
        }
        for (reading, text) in [
            (Reading::default(), &b"'\\'' \"\\\"\" \x95\\"[..]),
            (PLAIN, b"'a' \"b\""),
            (of(Letters::Gbk), b"'a\\''"),
            (of(Letters::Single), b"'caf\xe9\\''"),
        ] {
            assert!(matches!(reading.usual(text), Cow::Borrowed(_)));
        }
    }

    /// A cut text must not look like a whole one.
    #[test]
    fn nothing_gets_shorter() {
        let text = br#"CREATE TABLE """"""""(a INT)"#;
        assert!(ANSI.usual(text).len() >= text.len());
    }

    #[test]
    fn nothing_hides_behind_a_string() {
        let behind = b", ADD u CHAR(36) NOT NULL DEFAULT UUID() DATA DIRECTORY='/far'";
        for (reading, before) in [
            (PLAIN, &b"COMMENT 'c:\\'"[..]),
            (PLAIN, b"COMMENT \"c:\\\""),
            (ANSI, b"DROP \"c:\\\""),
            (of(Letters::Gbk), b"COMMENT '\x95\\'"),
            (of(Letters::Gbk), b"DROP \x95`"),
            (of(Letters::Sjis), b"COMMENT '\x95\\'"),
            (of(Letters::Big5), b"COMMENT \"\xa5\\\""),
            (of(Letters::Single), b"ADD\xa0x INT DEFAULT\xa0UUID\xa0()"),
            (MYSQL, b"ADD n INT /*M! ' */"),
            (MYSQL, b"ADD n INT DEFAULT (2*/*'*/3)"),
            (MYSQL, b"ADD n INT DEFAULT (/*!50000 2*/*3)"),
            (Reading::default(), b"ADD n INT DEFAULT (2*/*'*/3)"),
            (Reading::default(), b"ADD n INT DEFAULT (/*M!100000 2*/*3)"),
        ] {
            let text = [b"ALTER TABLE t ", before, behind].concat();
            let text = usual(reading, &text);
            assert_eq!(untold::untold(&text), Some(untold::Untold::NewValues), "{text}");
            assert_eq!(
                directories::puts_outside(&text),
                Some(directories::Outside::Table("/far".to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn a_comment_of_the_other_vendors_tells_nothing() {
        let text = b"ALTER TABLE t ADD n INT /*M!100000 , ADD u CHAR(36) DEFAULT UUID() DATA DIRECTORY='/far' */";
        let told = |reading| {
            let text = usual(reading, text);
            (untold::untold(&text), directories::puts_outside(&text))
        };
        assert_eq!(told(MYSQL), (None, None));
        let outside = directories::Outside::Table("/far".to_owned());
        assert_eq!(told(Reading::default()), (Some(untold::Untold::NewValues), Some(outside)));
    }

    /// In the form of MariaDB 10.11, with other values.
    #[test]
    fn is_read_out_of_an_event() {
        let mariadb =
            [&[0, 0, 0, 0, 0, 1, 4, 0, 0x30, 0x54, 0, 0, 0, 0, 6, 3][..], b"std", &[4, 28, 0, 28, 0, 8, 0]].concat();
        let of = |status: &[u8]| Reading::of_status(LogFlavor::Mariadb, status);
        let read = of(&mariadb);
        assert_eq!(
            read,
            Reading {
                plain_backslash: true,
                ansi_quotes: true,
                no_directories: false,
                letters: Letters::Gbk,
                plain_m: false
            }
        );
        assert_eq!(of(&mariadb[..5]), Reading::default());
        assert!(Reading::of_status(LogFlavor::Mysql, &[]).plain_m);
        assert!(of(&[1, 0x80, 0, 0, 0, 0, 0, 0, 0]).no_directories);
        assert_eq!(of(&[4, 0xff, 0, 0xff, 0, 8, 0]).letters, Letters::Usual);
        assert_eq!(of(&[4, 8, 4, 8, 4, 8, 0]).letters, Letters::Single);
        assert_eq!(of(&[4, 28, 4, 28, 4, 8, 0]).letters, Letters::Gbk);
        assert_eq!(of(&[4, 0, 9, 0, 9, 8, 0]).letters, Letters::Usual);
    }
}
