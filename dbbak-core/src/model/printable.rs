//! Text of a server as one line that no terminal interprets.

use std::fmt;

/// Shows text that a server's user could choose (names, statements, messages): control characters, and signs that reorder
/// or hide text, are shown as `\n`, `\t` or `\u{1b}`. Text without any is shown as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Printable<'t>(pub &'t str);

impl Printable<'_> {
    /// Whether a sign is shown by an escape: it could end a line, steer a terminal, or show text that is not there.
    pub fn is_hidden(sign: char) -> bool {
        sign.is_control()
            || matches!(sign, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(sign, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(Printable::is_hidden) {
            let (plain, hidden) = rest.split_at(at);
            f.write_str(plain)?;
            let mut signs = hidden.chars();
            match signs.next() {
                Some('\n') => f.write_str("\\n")?,
                Some('\r') => f.write_str("\\r")?,
                Some('\t') => f.write_str("\\t")?,
                Some(sign) => write!(f, "\\u{{{:x}}}", u32::from(sign))?,
                None => {}
            }
            rest = signs.as_str();
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_a_terminal_would_obey() {
        for (text, shown) in [
            ("orders", "orders"),
            ("it's \"q\" \\ %", "it's \"q\" \\ %"),
            ("データ ж é", "データ ж é"),
            ("a\nDROP TABLE x", "a\\nDROP TABLE x"),
            ("\u{1b}]0;title\u{7}\u{9b}2J", "\\u{1b}]0;title\\u{7}\\u{9b}2J"),
            ("a\tb\r\u{0}", "a\\tb\\r\\u{0}"),
            ("abc\u{202e}txt.exe", "abc\\u{202e}txt.exe"),
        ] {
            assert_eq!(Printable(text).to_string(), shown);
        }
    }
}
