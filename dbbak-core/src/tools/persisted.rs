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

/// The start of the names of group replication's settings.
const GROUP: &str = "group_replication_";
/// Whether a member of a group joins it by itself when it starts: ON by default.
pub const JOINS_AT_START: &str = "group_replication_start_on_boot";

/// The file with [`JOINS_AT_START`] off, where it holds settings of group replication. `None`: it holds none.
///
/// # Errors
///
/// Where it is no JSON.
pub fn out_of_group(file: &[u8]) -> Result<Option<Vec<u8>>, serde_json::Error> {
    let mut value: Value = serde_json::from_slice(file)?;
    if !stay_out(&mut value) {
        return Ok(None);
    }
    serde_json::to_vec(&value).map(Some)
}

fn stay_out(value: &mut Value) -> bool {
    let Value::Object(members) = value else { return false };
    let one = members.iter().find(|(name, member)| name.starts_with(GROUP) && member.get("Value").is_some());
    if let Some(mut off) = one.map(|(_, member)| member.clone()) {
        off["Value"] = "OFF".into();
        members.insert(JOINS_AT_START.to_owned(), off);
        return true;
    }
    members.values_mut().any(stay_out)
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

    /// As MySQL 9.7.4 writes it.
    #[test]
    fn a_member_of_a_group_stays_out_of_it() {
        let file = r#"{"Version": 2, "mysql_dynamic_variables": {"max_connections": {"Value": "77", "Metadata": {}}},
            "mysql_static_variables": {"group_replication_group_name": {"Value": "aaaa", "Metadata": {"User": "root"}}}}"#;
        let out: Value = serde_json::from_slice(&out_of_group(file.as_bytes()).unwrap().unwrap()).unwrap();
        let section = &out["mysql_static_variables"];
        assert_eq!(section[JOINS_AT_START], serde_json::json!({"Value": "OFF", "Metadata": {"User": "root"}}));
        assert_eq!(section["group_replication_group_name"]["Value"], "aaaa");
        let on = file.replace("group_name\"", "start_on_boot\"").replace("aaaa", "ON");
        assert!(String::from_utf8(out_of_group(on.as_bytes()).unwrap().unwrap()).unwrap().contains("OFF"));
        assert_eq!(out_of_group(FILE.as_bytes()).unwrap(), None);
    }

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
