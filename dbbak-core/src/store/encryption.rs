//! What is encrypted in a backup. Keys are no part of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// What was encrypted on the server that a backup was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Encryption {
    /// Encrypted tablespaces, the server's own among them.
    #[serde(default)]
    pub tablespaces: u64,
    /// One of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// Encrypted logs of InnoDB: `redo`, `undo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<String>,
    /// The plugin or component that keeps the keys, where the account may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl Encryption {
    /// Whether a server needs keys to read what was backed up.
    pub fn needs_keys(&self) -> bool {
        self.tablespaces > 0 || !self.logs.is_empty()
    }
}

/// What is encrypted, in words: `2 tablespaces (one is shop/t), the redo log`.
impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (self.tablespaces, &self.example) {
            (0, _) => {}
            (1, Some(name)) => parts.push(format!("the tablespace {name}")),
            (count, Some(name)) => parts.push(format!("{count} tablespaces (one is {name})")),
            (count, None) => parts.push(format!("{count} tablespaces")),
        }
        parts.extend(self.logs.iter().map(|log| format!("the {log} log")));
        if parts.is_empty() {
            parts.push("new tables".into());
        }
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_encrypted() {
        let said = |tablespaces, example: Option<&str>, logs: &[&str]| {
            let logs = logs.iter().map(|log| (*log).to_owned()).collect();
            Encryption { tablespaces, example: example.map(str::to_owned), logs, ..Encryption::default() }.to_string()
        };
        assert_eq!(said(2, Some("shop/t"), &["redo"]), "2 tablespaces (one is shop/t), the redo log");
        assert_eq!(said(1, Some("shop/t"), &[]), "the tablespace shop/t");
        assert_eq!(said(0, None, &[]), "new tables");
    }
}
