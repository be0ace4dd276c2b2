//! Which variables and options hold a secret.

use super::{statement::masked_statement, text::without_credentials};
use crate::tools::MASK;
use std::borrow::Cow;

/// Parts of names that hold a credential, with underscores. They were held against all variables and options of MariaDB
/// 10.3 to 12 and MySQL 5.7 to 9.7, of the plugins and components of both vendors and of Percona, and of the backup tools:
/// `report_password`, `authentication_ldap_simple_bind_root_pwd`, `keyring_encrypted_file_password`,
/// `keyring_hashicorp_secret_id`, `hashicorp_key_management_token`, `file_key_management_filekey`,
/// `handlersocket_plain_secret`, `wsrep_sst_auth`, `s3_access_key`, `ssl_passphrase`,
/// `telemetry.otel_exporter_otlp_traces_headers`, XtraBackup's `encrypt_key`, `transition_key` and `swift_key`.
const SECRET: &[&str] = &[
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "credential",
    "sst_auth",
    "filekey",
    "access_key",
    "api_key",
    "apikey",
    "encrypt_key",
    "encryption_key",
    "transition_key",
    "private_key",
    "swift_key",
    "auth_string",
    "authentication_string",
    "role_id",
    "otlp_traces_headers",
    "otlp_metrics_headers",
    "otlp_logs_headers",
];

/// Whole words of names that hold a credential.
const SECRET_WORDS: &[&str] = &["pass", "tkey"];

/// Beginnings of names that speak of credentials and hold none: rules for passwords, switches, lengths.
const OPEN: &[&str] = &[
    "default_password_lifetime",
    "disconnect_on_expired_password",
    "generated_random_password_length",
    "max_password_errors",
    "old_passwords",
    "password_history",
    "password_require_current",
    "password_reuse_",
    "strict_password_validation",
    "caching_sha2_password_",
    "sha256_password_",
    "mysql_native_password_",
    "validate_password",
    "simple_password_check_",
    "cracklib_password_check_",
];

/// Ends of names that hold the place of a secret, or a number.
const PLACE: &[&str] =
    &["_path", "_file", "_dir", "_filename", "_size", "_length", "_timeout", "_interval", "_key_id", "_provider"];

/// Names of which the end may be left out in an option file, as the programs allow for any name.
const SHORTENED: &[&str] = &[
    "wsrep_sst_auth",
    "report_password",
    "master_password",
    "file_key_management_filekey",
    "authentication_ldap_simple_bind_root_pwd",
    "authentication_ldap_sasl_bind_root_pwd",
    "hashicorp_key_management_token",
    "encrypt_key",
    "transition_key",
];

/// Whether a variable or option holds a secret, by its name: with dashes or underscores, in any case, with `loose-` and the
/// like in front.
pub fn is_secret_name(name: &str) -> bool {
    let name = plain(name);
    if OPEN.iter().any(|open| name.starts_with(open)) || PLACE.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    let shortened = |known: &&&str| known.starts_with(&name) && name.len() * 3 > known.len() * 2;
    SECRET.iter().any(|part| name.contains(part))
        || name.split(['_', '.']).any(|word| SECRET_WORDS.contains(&word))
        || SHORTENED.iter().any(|known| shortened(&known))
}

/// Whether an option carries a secret itself, and not the place of one: `--file-key-management-filekey` may name a file,
/// `FILE:/path`.
pub fn is_secret_option(option: &str) -> bool {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    is_secret_name(name) && !is_place(value)
}

/// The value of a variable as it may be kept and shown.
pub fn shown_value<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret_name(name) && !value.is_empty() && !is_place(value) {
        return MASK.into();
    }
    // Statements that a server runs for each client or replica.
    if plain(name).starts_with("init_") { masked_statement(value).into() } else { without_credentials(value) }
}

/// The place of a secret is none: `file_key_management_filekey` may be `FILE:/path`.
pub(super) fn is_place(value: &str) -> bool {
    value.trim_matches([' ', '"', '\'']).starts_with("FILE:")
}

fn plain(name: &str) -> String {
    let name = name.trim().trim_start_matches('-').replace('-', "_").to_ascii_lowercase();
    let bare = ["loose_", "maximum_", "skip_", "enable_", "disable_"]
        .iter()
        .fold(name.as_str(), |name, prefix| name.strip_prefix(prefix).unwrap_or(name));
    bare.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_both_vendors_and_their_plugins() {
        for name in [
            // Servers.
            "report_password",
            "master-password",
            "wsrep_sst_auth",
            "wsrep-sst-auth",
            "keyring_migration_password",
            "loose-report-password",
            "ssl_passphrase",
            "admin_ssl_passphrase",
            // Plugins and components of MariaDB.
            "file_key_management_filekey",
            "file-key-management-filekey",
            "hashicorp-key-management-token",
            "s3_access_key",
            "s3_secret_key",
            "handlersocket_plain_secret",
            "handlersocket_plain_secret_wr",
            // Of MySQL and Percona.
            "authentication_ldap_simple_bind_root_pwd",
            "authentication_ldap_sasl_bind_root_pwd",
            "keyring_encrypted_file_password",
            "keyring_hashicorp_secret_id",
            "keyring_hashicorp_role_id",
            "keyring_vault_token",
            "telemetry.otel_exporter_otlp_traces_headers",
            "secret_access_key",
            // Of the clients and backup tools, in the same files.
            "password",
            "password1",
            "Password",
            "passwd",
            "encrypt-key",
            "transition-key",
            "s3-access-key",
            "s3-secret-key",
            "s3-session-token",
            "google-secret-key",
            "swift-password",
            "swift-key",
            // With the end left out.
            "report-passw",
            "wsrep_sst_au",
            "wsrep_sst_aut",
            "file_key_management_filek",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "default_password_lifetime",
            "disconnect_on_expired_password",
            "max_password_errors",
            "old_passwords",
            "password_history",
            "password_reuse_interval",
            "password_reuse_check_interval",
            "ngram_token_size",
            "innodb_ft_max_token_size",
            "validate_password.policy",
            "validate_password_length",
            "caching_sha2_password_private_key_path",
            "caching_sha2_password_digest_rounds",
            "secure_auth",
            "ssl_key",
            "sha256_password_proxy_users",
            "simple_password_check_digits",
            "strict_password_validation",
            "file_key_management_filename",
            "encrypt_key_file",
            "encrypt",
            "socket.ssl_password_file",
            "keyring_vault_config",
            "innodb_default_encryption_key_id",
            "telemetry.secret_provider",
            "wsrep_sst_method",
            "report_host",
            "binlog_rotate_encryption_master_key_at_startup",
            "key_buffer_size",
            "skip_show_database",
            "user",
            "aws_key_management_master_key_id",
            "hashicorp_key_management_vault_url",
            "compass",
            "bypass_checks",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn places_of_secrets_and_statements_are_shown() {
        for (name, value, shown) in [
            ("report_password", "hunter2", "***"),
            ("report_password", "", ""),
            ("file_key_management_filekey", "FILE:/etc/key", "FILE:/etc/key"),
            ("file_key_management_filekey", "key", "***"),
            ("init_connect", "SET @p = 'x'; SET PASSWORD = 'y'", "SET @p = 'x'; SET PASSWORD = '***'"),
            ("feedback_url", "https://u:p@h/x", "https://u:***@h/x"),
            ("datadir", "/var/lib/mysql/", "/var/lib/mysql/"),
        ] {
            assert_eq!(shown_value(name, value), shown, "{name}");
        }
        assert!(is_secret_option("--keyring-encrypted-file-password=x"));
        assert!(!is_secret_option("--file-key-management-filekey=FILE:/x") && !is_secret_option("--ssl-key=/x"));
    }
}
