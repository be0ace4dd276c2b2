//! Hides secrets in what tools print and in files of settings.

use super::{
    names::{is_place, is_secret_name},
    statement::{masked_quotation, masked_statement},
};
use crate::tools::MASK;
use std::borrow::Cow;

/// A line of a tool's output without secrets: mariadb-backup prints `SHOW GRANTS` with its hashes when a privilege is
/// missing, servers repeat statements and options in their errors.
pub fn masked(line: &str) -> String {
    let upper = line.to_ascii_uppercase();
    let is_statement =
        ["IDENTIFIED ", "PASSWORD(", "SET PASSWORD", "_PASSWORD=", "_PASSWORD =", "CREATE SERVER", "ALTER SERVER"];
    let line = if upper.contains("GRANT ") && (upper.contains(" USING '") || upper.contains(" AS '")) {
        hashes(line)
    } else if is_statement.iter().any(|word| upper.contains(word)) {
        masked_quotation(line)
    } else {
        line.to_owned()
    };
    pairs(&without_credentials(&line), false)
}

/// A file of settings with the values of all secrets masked: an option file, comments included, or the JSON of a keyring
/// component. Key files are blanked as well: PEM, and the lines of `file_key_management`.
pub fn masked_file(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_key = false;
    let mut value_follows = false;
    for line in text.lines() {
        let begins = line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----");
        if in_key || value_follows {
            in_key &= !line.contains("-----END ");
            value_follows = value_follows && line.trim().is_empty();
            out.push_str(if line.trim().is_empty() { "" } else { MASK });
        } else if begins {
            in_key = !line.contains("-----END ");
            out.push_str(if in_key { line } else { MASK });
        } else if let Some((number, _)) = line.split_once(';').filter(|(number, key)| is_key_line(number, key)) {
            out.push_str(&format!("{number};{MASK}"));
        } else {
            let shown = setting(line);
            value_follows =
                line.trim_end().ends_with(':') && is_secret_name(name_before(line.trim_end().trim_end_matches(':')));
            out.push_str(&shown);
        }
        out.push('\n');
    }
    out
}

/// A key of `file_key_management`: number and hexadecimal digits.
fn is_key_line(number: &str, key: &str) -> bool {
    let key = key.trim();
    let digits = number.trim_start_matches(['#', ' ']);
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && key.len() >= 32
        && key.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A line of a file: its value is whatever stands behind the first `=`.
fn setting(line: &str) -> String {
    if let Some((key, value)) = line.split_once('=') {
        let name = key.trim_start_matches([' ', '\t', '#', ';']);
        if is_secret_name(name) && !value.trim().is_empty() && !is_place(value) {
            return format!("{key}= {MASK}");
        }
        if name.trim_end().replace('-', "_").to_ascii_lowercase().starts_with("init_") {
            return format!("{key}={}", masked_statement(value));
        }
    }
    let line = pairs(&without_credentials(line), true);
    masked(&line)
}

/// A text with the values of all `name=value` masked where the name is a secret's; `colons`: of `name: value` too.
fn pairs(text: &str, colons: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c| c == '=' || (colons && c == ':')) {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        out.push_str(&rest[at..=at]);
        rest = after;
        let value_at = after.len() - after.trim_start_matches(' ').len();
        let end = value_at + value_end(&after[value_at..]);
        let value = &after[value_at..end];
        if is_secret_name(name_before(before)) && !value.is_empty() && !is_place(value) {
            let quote = value.chars().next().filter(|first| matches!(first, '\'' | '"'));
            out.push_str(&after[..value_at]);
            match quote {
                Some(quote) => out.push_str(&format!("{quote}{MASK}{quote}")),
                None => out.push_str(MASK),
            }
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

/// The name that a text ends with, its quotes and spaces left out.
fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '"', '\'']);
    let start = text.rfind(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).map_or(0, |at| at + 1);
    text.get(start..).unwrap_or_default()
}

fn value_end(value: &str) -> usize {
    match value.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        Some(quote) => value[1..].find(quote).map_or(value.len(), |at| at + 2),
        None => value.find(|c: char| c.is_whitespace() || ";,})".contains(c)).unwrap_or(value.len()),
    }
}

/// A text with the passwords masked that stand in addresses: `scheme://user:password@host`.
pub(super) fn without_credentials(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let authority = &rest[at + 3..];
        let end = authority.find(|c: char| c.is_whitespace() || "/'\"`?#,)".contains(c)).unwrap_or(authority.len());
        let user = authority[..end].rfind('@').and_then(|host| Some((authority[..host].find(':')?, host)));
        let (shown, next) = match user {
            Some((colon, host)) => {
                out.push_str(&rest[..at + 3 + colon + 1]);
                (MASK, &authority[host..])
            }
            None => (&rest[..at + 3], authority),
        };
        out.push_str(shown);
        rest = next;
    }
    if out.is_empty() {
        return text.into();
    }
    out.push_str(rest);
    out.into()
}

/// The hashes of a grant: behind `USING` and `AS`, which are ordinary words elsewhere.
fn hashes(line: &str) -> String {
    let keywords = ["IDENTIFIED BY PASSWORD '", "IDENTIFIED BY '", " USING '", " AS '"];
    let mut rest = line;
    let mut out = String::with_capacity(line.len());
    let next = |text: &str| keywords.iter().filter_map(|word| Some(text.find(word)? + word.len())).min();
    while let Some(start) = next(rest) {
        let end = rest[start..].find('\'').map_or(rest.len(), |end| start + end);
        out.push_str(&rest[..start]);
        out.push_str(MASK);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_hashes_and_options_in_output() {
        for (line, shown) in [
            (
                "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED VIA ed25519 USING 'hash1' OR x USING 'hash2'",
                "GRANT USAGE ON *.* TO `a`@`%` IDENTIFIED VIA ed25519 USING '***' OR x USING '***'",
            ),
            (
                "GRANT RELOAD ON *.* TO `b`@`localhost` IDENTIFIED BY PASSWORD '*AB'",
                "GRANT RELOAD ON *.* TO `b`@`localhost` IDENTIFIED BY PASSWORD '***'",
            ),
            ("opened as './a' USING 'b'", "opened as './a' USING 'b'"),
            (
                "Access denied for user 'backup'@'localhost' (using password: YES)",
                "Access denied for user 'backup'@'localhost' (using password: YES)",
            ),
            ("unknown variable 'wsrep-sst-auth=u:p'", "unknown variable 'wsrep-sst-auth=***"),
            ("started with --password=x --socket=/s", "started with --password=*** --socket=/s"),
            ("near 'CHANGE MASTER TO MASTER_PASSWORD='x' at line 1", "near ***"),
            ("proxy http://u:p@h:80/ refused", "proxy http://u:***@h:80/ refused"),
        ] {
            assert_eq!(masked(line), shown);
        }
    }

    #[test]
    fn hides_secrets_in_files_of_settings() {
        let file = "[mysqld]\nport=3306\nwsrep_sst_auth = root:pw # comment pw\n#report-password=old\n\
                    hashicorp-key-management-token=\"tok en\"\nfile_key_management_filekey=FILE:/etc/k\n\
                    file_key_management_filekey = raw\nloose-authentication_ldap_simple_bind_root_pwd='x y'\n\
                    wsrep_provider_options=\"gcache.size=1G; socket.ssl_key=/p; repl.password=zz; x=1\"\n\
                    init_connect = \"SET PASSWORD = 'q'\"\nssl_key=/etc/key.pem\npassword\n\
                    plugin-load-add=file_key_management\n";
        assert_eq!(
            masked_file(file),
            "[mysqld]\nport=3306\nwsrep_sst_auth = ***\n#report-password= ***\n\
             hashicorp-key-management-token= ***\nfile_key_management_filekey=FILE:/etc/k\n\
             file_key_management_filekey = ***\nloose-authentication_ldap_simple_bind_root_pwd= ***\n\
             wsrep_provider_options=\"gcache.size=1G; socket.ssl_key=/p; repl.password=***; x=1\"\n\
             init_connect = \"***\"\nssl_key=/etc/key.pem\npassword\n\
             plugin-load-add=file_key_management\n"
        );
    }

    #[test]
    fn hides_secrets_of_components_and_key_files() {
        for (file, shown) in [
            ("{\"path\": \"/k\", \"password\": \"p w\"}\n", "{\"path\": \"/k\", \"password\": \"***\"}\n"),
            (
                "  \"token\" : \"t\",\n  \"vault_url\": \"https://u:p@v/\"\n",
                "  \"token\" : \"***\",\n  \"vault_url\": \"https://u:***@v/\"\n",
            ),
            ("\"token\":\n  \"t\"\n\"path\": \"x\"\n", "\"token\":\n***\n\"path\": \"x\"\n"),
            ("1;a7addd9adea9978fda19f21e6be987880e68ac92\n", "1;***\n"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx=1\n",
                "-----BEGIN RSA PRIVATE KEY-----\n***\n***\nx=1\n",
            ),
            (
                "ExecStart=/usr/sbin/mysqld --wsrep-sst-auth=u:p --port=1\n",
                "ExecStart=/usr/sbin/mysqld --wsrep-sst-auth=*** --port=1\n",
            ),
        ] {
            assert_eq!(masked_file(file), shown);
        }
    }
}
