//! What can go wrong with a transaction index.

use std::io;

/// Why a transaction index cannot be read. It can be made again from the binlog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionsError {
    /// The bytes are no transaction index.
    #[error("no transaction index: {problem}")]
    NotOne {
        /// What says so.
        problem: String,
    },
    /// It was written in a newer format.
    #[error("a transaction index of format {found}; this program knows up to {known}")]
    TooNew {
        /// The format of the file.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// A part does not hold what was written.
    #[error("{part} is damaged: {problem}")]
    Damaged {
        /// The part: `directory`, `block 3, column tables`.
        part: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It was made of another binlog than the one that it lies beside.
    #[error("it is of another binlog: digest {found}, expected {expected}")]
    OtherBinlog {
        /// Digest of the binlog beside it.
        expected: String,
        /// Digest of the binlog that it was made of.
        found: String,
    },
    /// It could not be read.
    #[error("cannot be read")]
    Input(#[from] io::Error),
}

impl TransactionsError {
    /// A part whose content makes no sense.
    pub(super) fn content(part: &str) -> Self {
        TransactionsError::Damaged { part: part.to_owned(), problem: "its content makes no sense".to_owned() }
    }
}
