//! Passes over what stands between the words of a statement.

/// What follows blanks and comments; what a `/*! ... */` comment holds is read as statement.
pub(super) fn skip_blank(mut rest: &str) -> &str {
    loop {
        rest = rest.trim_start();
        rest = if let Some(text) = rest.strip_prefix("/*!").or_else(|| rest.strip_prefix("/*M!")) {
            text.trim_start_matches(|char: char| char.is_ascii_digit())
        } else if let Some(text) = rest.strip_prefix("/*") {
            text.split_once("*/").map_or("", |(_, after)| after)
        } else if let Some(text) = rest.strip_prefix("*/") {
            text
        } else if rest.starts_with("-- ") || rest.starts_with('#') {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else {
            return rest;
        };
    }
}
