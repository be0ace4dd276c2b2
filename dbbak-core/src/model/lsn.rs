//! InnoDB log sequence numbers.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// An InnoDB log sequence number: bytes of redo written since the data directory was made. Printed as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

/// A text that is no LSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an LSN: {text:?}")]
pub struct LsnError {
    /// The text as it was found.
    pub text: String,
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Self, LsnError> {
        text.trim().parse().map(Lsn).map_err(|_| LsnError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_number_and_nothing_else() {
        assert_eq!("18961605\n".parse(), Ok(Lsn(18961605)));
        assert!("-1".parse::<Lsn>().is_err());
        assert!("12:34".parse::<Lsn>().is_err());
        assert_eq!(Lsn(7).to_string(), "7");
    }
}
