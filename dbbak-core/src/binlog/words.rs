//! Says in words how a binlog ends and where its boundaries lie.

use super::scan::{Boundary, Ending};
use std::fmt;

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Rotate { next, .. } => write!(f, "ends with a rotation to {next}"),
            Ending::Stop => f.write_str("ends with an orderly shutdown"),
            Ending::Open => f.write_str("ends between transactions, neither rotated nor stopped"),
            Ending::InTransaction { start } => write!(f, "the transaction that begins at byte {start} has no end"),
            Ending::Truncated { at, expected, available } => {
                write!(f, "the event at byte {at} is cut short: {available} of {expected} bytes")
            }
            Ending::Damaged(damage) => damage.fmt(f),
            Ending::Interrupted { at } => write!(f, "reading stopped at byte {at}"),
        }
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Boundary::Yes => f.write_str("a transaction boundary"),
            Boundary::No { before, after: Some(after) } => {
                write!(f, "the nearest boundaries are {before} and {after}")
            }
            Boundary::No { before, after: None } => write!(f, "the last boundary is {before}"),
            Boundary::BeyondEnd { size } => write!(f, "the file ends at byte {size}"),
        }
    }
}
