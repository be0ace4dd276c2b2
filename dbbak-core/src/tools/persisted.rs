//! MySQL's file of persisted settings (`SET PERSIST`), `mysqld-auto.cnf` in the data directory.
//!
//! It is JSON. Each setting is a member of some object in it, itself an object with `Value` (seen on 8.0 and 9.7.4; the objects around
//! have other names in each version of the format).

use super::secrets::is_secret_name;
use serde_json::Value;

/// A setting and its value.
pub type Persisted = (String, String);

/// What a file says without some of its settings, and those.
pub type LeftOut = (Vec<u8>, Vec<Persisted>);

/// The file without the settings whose names tell of a secret, and those that MySQL keeps encrypted: what a store may hold.
///
/// # Errors
///
/// Where it is no JSON.
pub fn without_secrets(file: &[u8]) -> Result<LeftOut, serde_json::Error> {
    without(file, &|name, _| is_secret_name(name))
}

/// The file without the settings that name an absolute path, or one that leads up: the source's files and directories.
///
/// # Errors
///
/// Where it is no JSON.
pub fn without_paths(file: &[u8]) -> Result<LeftOut, serde_json::Error> {
    without(file, &|_, value| {
        value.split([';', ':', ',']).map(str::trim).any(|part| part.starts_with('/') || part.starts_with(".."))
    })
}

fn without(file: &[u8], leave: &dyn Fn(&str, &str) -> bool) -> Result<LeftOut, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(file)?;
    let mut left = Vec::new();
    strip(&mut value, leave, &mut left);
    // The order of members is the parser's affair.
    left.sort();
    let bytes = if left.is_empty() { file.to_vec() } else { serde_json::to_vec(&value)? };
    Ok((bytes, left))
}

fn strip(value: &mut Value, leave: &dyn Fn(&str, &str) -> bool, left: &mut Vec<Persisted>) {
    let Value::Object(members) = value else { return };
    members.retain(|name, member| {
        if name == "mysql_sensitive_variables" {
            left.push((name.clone(), "encrypted".to_owned()));
            return false;
        }
        match member.get("Value").and_then(Value::as_str) {
            Some(text) if leave(name, text) => {
                left.push((name.clone(), text.to_owned()));
                false
            }
            Some(_) => true,
            None => {
                strip(member, leave, left);
                true
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"Version": 2, "mysql_dynamic_variables": {"general_log_file": {"Value": "/var/log/mysql/general.log", "Metadata":
        {"Host": "localhost", "User": "root", "Timestamp": 1}}, "max_connections": {"Value": "77", "Metadata": {}},
        "time_zone": {"Value": "Europe/Berlin", "Metadata": {}}}, "mysql_static_variables": {"innodb_directories":
        {"Value": "data;/far", "Metadata": {}}, "authentication_ldap_simple_bind_root_pwd": {"Value": "planted", "Metadata": {}}},
        "mysql_sensitive_variables": {"mysql_sensitive_static_variables": "9f"}}"#;

    fn names(left: &[Persisted]) -> Vec<&str> {
        left.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn leaves_out_paths_and_secrets() {
        let (bytes, left) = without_paths(FILE.as_bytes()).unwrap();
        assert_eq!(names(&left), ["general_log_file", "innodb_directories", "mysql_sensitive_variables"]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains("max_connections") && text.contains("Europe/Berlin") && !text.contains("/far"), "{text}");
        assert_eq!(without_paths(&bytes).unwrap(), (bytes, Vec::new()));
        let (bytes, left) = without_secrets(FILE.as_bytes()).unwrap();
        assert_eq!(names(&left), ["authentication_ldap_simple_bind_root_pwd", "mysql_sensitive_variables"]);
        assert!(!String::from_utf8(bytes).unwrap().contains("planted"));
        assert!(without_paths(b"no JSON").is_err());
    }
}
