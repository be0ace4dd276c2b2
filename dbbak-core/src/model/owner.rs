//! Whom restored files shall belong to.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Whom restored files shall belong to, as it was asked for: `user` or `user:group`, names or numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OwnerName {
    /// The user.
    pub user: String,
    /// The group; absent: the user's own.
    pub group: Option<String>,
}

/// A text that names no owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected USER or USER:GROUP, names or numbers, found {0:?}")]
pub struct OwnerNameError(pub String);

impl FromStr for OwnerName {
    type Err = OwnerNameError;

    fn from_str(text: &str) -> Result<Self, OwnerNameError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let good = |name: &str| {
            !name.is_empty() && !name.contains(|c: char| c == ':' || c == '/' || c.is_whitespace() || c.is_control())
        };
        if !good(user) || !group.is_none_or(good) {
            return Err(OwnerNameError(text.to_owned()));
        }
        Ok(OwnerName { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

impl fmt::Display for OwnerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.group {
            Some(group) => write!(f, "{}:{group}", self.user),
            None => f.write_str(&self.user),
        }
    }
}

impl TryFrom<String> for OwnerName {
    type Error = OwnerNameError;

    fn try_from(text: String) -> Result<Self, OwnerNameError> {
        text.parse()
    }
}

impl From<OwnerName> for String {
    fn from(owner: OwnerName) -> String {
        owner.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_users_and_groups() {
        for text in ["mysql", "mysql:mysql", "27:0"] {
            assert_eq!(text.parse::<OwnerName>().unwrap().to_string(), text);
        }
        for text in ["", ":mysql", "mysql:", "a b", "a:b:c", "../x"] {
            assert!(text.parse::<OwnerName>().is_err(), "{text}");
        }
    }
}
