//! What a window names that the private server will not have.

use crate::model::Printable;
use std::fmt;

/// Something that a statement of a window names and the private server will not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// What it is.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// The transaction: GTID, file and position.
    pub transaction: String,
    /// The library that the source had it from, where that is known.
    pub library: Option<String>,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lack { what, name, transaction, .. } = self;
        write!(
            f,
            "transaction {transaction} names the {what} {}, which the private server will not have",
            Printable(name)
        )
    }
}
