//! What a server says of its encryption, and which options give a private server the keys.

use super::{
    answers::{AnswerError, parse_table},
    client::Dialect,
    tool::{Family, Version},
};
use std::collections::BTreeMap;

/// Encrypted tablespaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncryptedSpaces {
    /// How many there are.
    pub count: u64,
    /// The name of one of them, as the server writes it (`shop/orders`).
    pub example: Option<String>,
}

/// The question for encrypted tablespaces. Needs PROCESS.
pub(super) fn ask_encrypted(dialect: Dialect) -> &'static str {
    match dialect.family {
        // A tablespace that is told to be in the clear is listed too, with the scheme 0 (seen on 10.11.19).
        Family::Mariadb => {
            "SELECT COUNT(*) AS spaces, MIN(NAME) AS example FROM information_schema.INNODB_TABLESPACES_ENCRYPTION WHERE \
             ENCRYPTION_SCHEME <> 0"
        }
        // Undo tablespaces are named here alone, and not in the flags (seen on 9.7.4).
        Family::Mysql if dialect.version >= Version::new(8, 0, 13) => {
            "SELECT COUNT(*) AS spaces, MIN(NAME) AS example FROM information_schema.INNODB_TABLESPACES WHERE ENCRYPTION = \
             'Y'"
        }
        // Bit 13 of the tablespace's flags.
        Family::Mysql => {
            "SELECT COUNT(*) AS spaces, MIN(NAME) AS example FROM information_schema.INNODB_SYS_TABLESPACES WHERE FLAG & \
             8192"
        }
    }
}

/// Reads how many tablespaces are encrypted.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_encrypted(stdout: &str) -> Result<EncryptedSpaces, AnswerError> {
    let table = parse_table(stdout)?;
    let Some(row) = table.rows().next() else { return Ok(EncryptedSpaces::default()) };
    let count = row.must(&["spaces"])?;
    let count = count.parse().map_err(|_| AnswerError::BadField {
        column: "spaces",
        text: count.to_owned(),
        expected: "a number of tablespaces",
    })?;
    let example = row.get("example").filter(|name| *name != "NULL").map(str::to_owned);
    Ok(EncryptedSpaces { count, example })
}

/// Reads the name of MySQL's keyring component; `None` where none is at work.
///
/// # Errors
///
/// [`AnswerError`].
pub fn parse_keyring(stdout: &str) -> Result<Option<String>, AnswerError> {
    Ok(parse_table(stdout)?.rows().next().and_then(|row| row.get("name")).map(str::to_owned))
}

/// Plugins that keep keys, by the beginning of their variables' and options' names.
pub(super) const KEY_PLUGINS: &[&str] = &[
    "file_key_management",
    "hashicorp_key_management",
    "aws_key_management",
    "keyring_file",
    "keyring_encrypted_file",
    "keyring_okv",
    "keyring_aws",
    "keyring_oci",
    "keyring_vault",
    "keyring_hashicorp",
];

/// The plugin that keeps a server's keys, as its variables tell. A component of MySQL has no variables.
pub fn key_plugin(variables: &BTreeMap<String, String>) -> Option<&'static str> {
    KEY_PLUGINS.iter().copied().find(|plugin| variables.keys().any(|name| name.starts_with(plugin)))
}

/// The logs that a server encrypts, as its variables tell.
pub fn encrypted_logs(variables: &BTreeMap<String, String>) -> Vec<&'static str> {
    let on = |name: &str| variables.get(name).is_some_and(|value| value.eq_ignore_ascii_case("on") || value == "1");
    let mut logs = Vec::new();
    if on("innodb_redo_log_encrypt") || on("innodb_encrypt_log") {
        logs.push("redo");
    }
    if on("innodb_undo_log_encrypt") {
        logs.push("undo");
    }
    logs
}

/// Whether a server encrypts new tables by default.
pub fn encrypts_tables(variables: &BTreeMap<String, String>) -> bool {
    let value = |name: &str| variables.get(name).map(|value| value.to_ascii_lowercase()).unwrap_or_default();
    matches!(value("innodb_encrypt_tables").as_str(), "on" | "force" | "1" | "2")
        || value("aria_encrypt_tables") == "on"
}

/// Whether options of a private server name a plugin that keeps keys.
pub fn names_keyring(options: &[String]) -> bool {
    options.iter().any(|option| {
        let option = option.trim_start_matches('-').replace('-', "_").to_ascii_lowercase();
        let (name, value) = option.split_once('=').unwrap_or((&option, ""));
        let name = name.strip_prefix("loose_").unwrap_or(name);
        let loaded = name.contains("plugin_load") && (value.contains("key_management") || value.contains("keyring"));
        loaded || KEY_PLUGINS.iter().any(|plugin| name.starts_with(plugin))
    })
}

/// The configuration of a component among files: `component_keyring_file.cnf`, say.
pub fn is_component_config(name: &str) -> bool {
    name.starts_with("component_keyring_") && name.ends_with(".cnf")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn options(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    /// As MySQL 9.7.4 and MariaDB 10.11.19 answer.
    #[test]
    fn reads_what_is_encrypted() {
        let found = parse_encrypted("spaces\texample\n4\tinnodb_undo_001\n").unwrap();
        assert_eq!(found, EncryptedSpaces { count: 4, example: Some("innodb_undo_001".into()) });
        assert_eq!(parse_encrypted("spaces\texample\n0\tNULL\n").unwrap(), EncryptedSpaces::default());
        assert_eq!(parse_keyring("name\ncomponent_keyring_file\n").unwrap().as_deref(), Some("component_keyring_file"));
        assert_eq!(parse_keyring("").unwrap(), None);
    }

    #[test]
    fn asks_each_server_in_its_words() {
        let ask = |family, version: &str| ask_encrypted(Dialect { family, version: version.parse().unwrap() });
        assert!(ask(Family::Mysql, "5.7.44").contains("INNODB_SYS_TABLESPACES"));
        assert!(ask(Family::Mysql, "8.0.35").contains("ENCRYPTION = 'Y'"));
        assert!(ask(Family::Mariadb, "10.11.19").contains("INNODB_TABLESPACES_ENCRYPTION"));
    }

    #[test]
    fn knows_what_variables_tell() {
        let mariadb = variables(&[("file_key_management_filename", "/k"), ("innodb_encrypt_tables", "FORCE")]);
        assert_eq!((key_plugin(&mariadb), encrypts_tables(&mariadb)), (Some("file_key_management"), true));
        let mysql = variables(&[("keyring_operations", "ON"), ("innodb_undo_log_encrypt", "ON")]);
        assert_eq!((key_plugin(&mysql), encrypts_tables(&mysql)), (None, false));
        assert_eq!(encrypted_logs(&mysql), ["undo"]);
        assert_eq!(encrypted_logs(&variables(&[("innodb_encrypt_log", "ON")])), ["redo"]);
    }

    #[test]
    fn knows_options_that_bring_keys() {
        for option in [
            "--plugin-load-add=file_key_management",
            "--plugin_load=file_key_management.so",
            "--file-key-management-filename=/etc/mysql/keys",
            "--loose-file_key_management_filename=/etc/mysql/keys",
            "--early-plugin-load=keyring_file.so",
            "--keyring-file-data=/var/lib/mysql-keyring/keyring",
        ] {
            assert!(names_keyring(&options(&[option])), "{option}");
        }
        assert!(!names_keyring(&options(&["--plugin-load-add=server_audit", "--innodb-encrypt-tables=ON"])));
    }

    #[test]
    fn knows_the_configuration_of_a_component() {
        assert!(is_component_config("component_keyring_file.cnf") && !is_component_config("mysqld.my"));
    }
}
