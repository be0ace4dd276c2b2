//! The configuration of MySQL's keyring components that keep the keys in a file (`component_keyring_file.cnf`, `component_keyring_encrypted_file.cnf`):
//! an object of JSON, in which `path` names the file (MySQL 9.7's manual, "Using the component_keyring_file File-Based Keyring Component").

use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// The keyring that a configuration names. `None`: it is no such configuration, a manifest (`mysqld.my`) for one.
pub fn keyring_of(text: &str) -> Option<PathBuf> {
    let Value::String(path) = object(text)?.remove("path")? else { return None };
    Some(path.into())
}

/// The same configuration with another keyring, which may be written or not. What it says beside these stays.
pub fn with_keyring(text: &str, keyring: &Path, read_only: bool) -> String {
    let mut object = object(text).unwrap_or_default();
    object.insert("path".into(), Value::String(keyring.display().to_string()));
    object.insert("read_only".into(), Value::Bool(read_only));
    Value::Object(object).to_string()
}

fn object(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_keeps_what_it_says_beside_its_keyring() {
        let text = r#"{"path": "/var/lib/keys", "password": "p", "read_only": true}"#;
        assert_eq!(keyring_of(text), Some("/var/lib/keys".into()));
        let written = with_keyring(text, Path::new("/w/keyring/keys"), false);
        let read: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, serde_json::json!({ "path": "/w/keyring/keys", "password": "p", "read_only": false }));
        for other in [r#"{"components": "file://component_keyring_file"}"#, r#"{"path": 1}"#, "[]", "", "x"] {
            assert_eq!(keyring_of(other), None, "{other}");
        }
    }
}
