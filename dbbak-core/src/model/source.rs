//! A living server that a restored one catches up from.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The port that servers listen on unless they are told otherwise.
const DEFAULT_PORT: u16 = 3306;

/// The address of a living server: `HOST`, `HOST:PORT`, `[::1]:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceAddress {
    /// The host's name or number.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST or HOST:PORT, found {0:?}")]
pub struct SourceAddressError(pub String);

impl FromStr for SourceAddress {
    type Err = SourceAddressError;

    fn from_str(text: &str) -> Result<Self, SourceAddressError> {
        let wrong = || SourceAddressError(text.to_owned());
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').ok_or_else(wrong)?)),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(DEFAULT_PORT), |port| port.parse().map_err(|_| wrong()))?;
        let bad = |c: char| !(c.is_ascii_alphanumeric() || ".-_:%".contains(c));
        if host.is_empty() || host.starts_with('-') || host.contains(bad) || port == 0 {
            return Err(wrong());
        }
        Ok(SourceAddress { host: host.to_owned(), port })
    }
}

impl fmt::Display for SourceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl TryFrom<String> for SourceAddress {
    type Error = SourceAddressError;

    fn try_from(text: String) -> Result<Self, SourceAddressError> {
        text.parse()
    }
}

impl From<SourceAddress> for String {
    fn from(source: SourceAddress) -> String {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_hosts_and_ports() {
        for (text, shown) in
            [("db1", "db1:3306"), ("10.0.0.2:3307", "10.0.0.2:3307"), ("[::1]", "[::1]:3306"), ("[::1]:33", "[::1]:33")]
        {
            assert_eq!(text.parse::<SourceAddress>().unwrap().to_string(), shown);
        }
        for text in ["", ":3306", "a:b", "a:0", "a:70000", "--socket=x", "a'b", "::1", "[::1]x"] {
            assert!(text.parse::<SourceAddress>().is_err(), "{text}");
        }
    }
}
