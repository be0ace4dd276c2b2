//! Hides secrets in SQL statements that are shown to people.

use super::MASK;

/// Words after which every quoted text may be a secret.
const WORDS: [&str; 4] = ["identified", "password", "secret", "auth_string"];

/// A logged statement with the secrets in it masked: from the first word on that speaks of a password, every quoted text.
///
/// Clients write these words in any case and with either quote, and servers log them so.
pub fn masked_statement(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let Some(start) = WORDS.iter().filter_map(|word| lower.find(word)).min() else { return text.to_owned() };
    let (head, tail) = text.split_at(start);
    let mut out = String::with_capacity(text.len());
    out.push_str(head);
    let mut chars = tail.chars().peekable();
    while let Some(char) = chars.next() {
        out.push(char);
        if !matches!(char, '\'' | '"') {
            continue;
        }
        out.push_str(MASK);
        // The statement may have been cut within the text.
        while let Some(inner) = chars.next() {
            if inner == '\\' {
                chars.next();
            } else if inner == char && chars.next_if_eq(&char).is_none() {
                out.push(char);
                break;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_passwords_however_they_are_written() {
        for (text, shown) in [
            ("create user a@'b' identified by 's3cret'", "create user a@'b' identified by '***'"),
            (
                "ALTER USER a IDENTIFIED WITH x BY \"it''s\" REPLACE 'old'",
                "ALTER USER a IDENTIFIED WITH x BY \"***\" REPLACE '***'",
            ),
            ("SET PASSWORD FOR 'a'@'%' = PASSWORD('it''s\\'x')", "SET PASSWORD FOR '***'@'***' = PASSWORD('***')"),
            ("CHANGE MASTER TO MASTER_PASSWORD='cut in the midd", "CHANGE MASTER TO MASTER_PASSWORD='***"),
            ("drop table shop.orders /* 'a' */", "drop table shop.orders /* 'a' */"),
        ] {
            assert_eq!(masked_statement(text), shown);
        }
    }
}
