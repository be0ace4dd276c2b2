//! Patterns for names of tables: `shop.orders`, `shop.*`, `*.order?`, `orders`.

use crate::model::Printable;
use std::{fmt, str::FromStr};

/// A pattern for tables. `*` stands for any characters and `?` for one; upper and lower case are the same, so that a search
/// finds rather too much than too little.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablePattern {
    text: String,
    /// Database and table. A name may hold a dot itself: each dot of the text may be the one between them.
    readings: Vec<(Vec<char>, Vec<char>)>,
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a table like shop.orders, shop.* or orders: {text:?}")]
pub struct PatternError {
    /// The text.
    pub text: String,
}

impl TablePattern {
    /// Whether a table is meant. An empty table stands for the database as such: what happens to it happens to all its
    /// tables.
    pub fn matches(&self, database: &str, table: &str) -> bool {
        // What `find` prints can be given back to it: a line end in a name is shown as \n.
        let fits = |pattern: &[char], name: &str| glob(pattern, name) || glob(pattern, &Printable(name).to_string());
        let meant =
            |(own, tables): &(Vec<char>, Vec<char>)| fits(own, database) && (table.is_empty() || fits(tables, table));
        self.readings.iter().any(meant)
    }
}

impl FromStr for TablePattern {
    type Err = PatternError;

    /// Reads `DATABASE.TABLE`, or `TABLE` in any database. Backticks around the names are taken off.
    fn from_str(text: &str) -> Result<Self, PatternError> {
        let bare = text.replace('`', "");
        let dots = bare.match_indices('.').map(|(at, _)| (&bare[..at], &bare[at + 1..]));
        let parts = if bare.contains('.') { dots.collect() } else { vec![("*", bare.as_str())] };
        let lower = |part: &str| part.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
        let named = parts.into_iter().filter(|(database, table)| !database.is_empty() && !table.is_empty());
        let readings: Vec<_> = named.map(|(database, table)| (lower(database), lower(table))).collect();
        if readings.is_empty() {
            return Err(PatternError { text: text.to_owned() });
        }
        Ok(TablePattern { text: text.to_owned(), readings })
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a pattern in lower case fits a whole text. Goes back to the last star alone, so that it takes no longer than
/// the product of the lengths.
fn glob(pattern: &[char], text: &str) -> bool {
    let text: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    let (mut at, mut in_pattern) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some('*') => {
                star = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(char) if *char == '?' || *char == text[at] => {
                at += 1;
                in_pattern += 1;
            }
            _ => match star {
                Some((place, from)) => {
                    star = Some((place, from + 1));
                    at = from + 1;
                    in_pattern = place + 1;
                }
                None => return false,
            },
        }
    }
    pattern[in_pattern..].iter().all(|char| *char == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_tables_and_what_holds_them() {
        let is = |pattern: &str, database: &str, table: &str| {
            pattern.parse::<TablePattern>().unwrap().matches(database, table)
        };
        assert!(is("shop.orders", "shop", "orders") && is("SHOP.Orders", "shop", "oRders"));
        assert!(!is("shop.orders", "shop", "orders_old") && !is("shop.orders", "shop2", "orders"));
        assert!(is("shop.*", "shop", "x") && is("orders", "any", "orders") && is("*.order?", "a", "orders"));
        assert!(is("shop.orders", "shop", "") && !is("shop.orders", "other", ""));
        assert!(is("a*b*c.t", "a_b_b_c", "t") && !is("a*b*c.t", "a_b_b_d", "t"));
        assert!(is("`shop`.`orders`", "shop", "orders"));
        assert!(is("my db.v1#@.tab x", "my db.v1#@", "tab x") && is("a.b.c", "a", "b.c") && !is("a.b.c", "a", "c"));
        assert!(is("shop.a\\nb", "shop", "a\nb") && is("shop.a*", "shop", "a\nb"));
        assert!("shop.".parse::<TablePattern>().is_err() && "".parse::<TablePattern>().is_err());
    }
}
