//! The address of a server that is cloned over the network.

use serde::{Deserialize, Serialize};

/// The address of a server that is cloned over the network, `HOST` or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Donor {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl std::str::FromStr for Donor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("expected HOST or HOST:PORT, found {text:?}");
        // The list of valid donors is separated by commas, and takes no IPv6 address.
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?),
            None => (text, 3306),
        };
        let fine = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
        if host.is_empty() || !host.chars().all(fine) {
            return Err(bad());
        }
        Ok(Donor { host: host.to_owned(), port })
    }
}

impl TryFrom<String> for Donor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Donor> for String {
    fn from(donor: Donor) -> Self {
        format!("{}:{}", donor.host, donor.port)
    }
}
