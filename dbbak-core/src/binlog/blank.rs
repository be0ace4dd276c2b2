//! Passes over what stands between the words of a statement.

/// What follows blanks and comments; what a `/*! ... */` comment holds is read as statement.
pub(super) fn skip_blank(mut rest: &str) -> &str {
    loop {
        rest = rest.trim_start();
        rest = if let Some(text) = executed_comment(rest) {
            text
        } else if let Some(text) = rest.strip_prefix("/*") {
            text.split_once("*/").map_or("", |(_, after)| after)
        } else if let Some(text) = rest.strip_prefix("*/") {
            text
        } else if begins_line_comment(rest.as_bytes()) {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else {
            return rest;
        };
    }
}

/// What stands in the comment that begins here, if the server executed it; see [`usual_text`](super::usual_text).
pub(super) fn executed_comment(rest: &str) -> Option<&str> {
    let text = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!"))?;
    Some(text.trim_start_matches(|char: char| char.is_ascii_digit()))
}

/// Whether a comment up to the line's end begins here: servers take two dashes for that before any blank or control character, and at
/// the end (`sql_lex.cc` of both vendors).
pub(super) fn begins_line_comment(rest: &[u8]) -> bool {
    match rest {
        [b'#', ..] | [b'-', b'-'] => true,
        [b'-', b'-', next, ..] => next.is_ascii_whitespace() || next.is_ascii_control(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_over_what_a_server_does() {
        for blank in
            ["-- don't\n", "--\tdon't\n", "--\r\n", "--\u{1}'\n", "--\n", "# don't\n", "/* don't */", "/*!50701 "]
        {
            assert_eq!(skip_blank(&format!("{blank} t1")), "t1", "{blank:?}");
        }
        assert_eq!([skip_blank("--1"), skip_blank("-- x"), skip_blank("--")], ["--1", "", ""]);
    }
}
