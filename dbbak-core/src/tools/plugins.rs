//! Which plugins a private server loads because its source had them, and which names a server knows.

use super::answers::{AnswerError, parse_table};
use std::collections::{BTreeMap, BTreeSet};

/// The name under which a server's active plugins from libraries are kept beside its variables: `NAME:LIBRARY`, with commas between.
pub const ACTIVE_PLUGINS: &str = "active_plugins";

/// The name under which the plugins that `INSTALL PLUGIN` has put into the data themselves are kept, in the same form.
pub const INSTALLED_PLUGINS: &str = "installed_plugins";

/// The name under which MySQL's components are kept: the libraries of `mysql.component`, with commas between.
pub const COMPONENTS: &str = "installed_components";

/// The name under which loadable functions are kept: `NAME:LIBRARY`, with commas between.
pub const LOADABLE_FUNCTIONS: &str = "loadable_functions";

/// Asks for the plugins that stand in the data. Needs SELECT on the table.
pub(super) const ASK_INSTALLED: &str = "SELECT name, dl AS soname FROM mysql.plugin ORDER BY 1";

/// Asks for the loadable functions. Needs SELECT on the table.
pub(super) const ASK_FUNCTIONS: &str = "SELECT name, dl AS soname FROM mysql.func ORDER BY 1";

/// Asks for MySQL's components. Needs SELECT on the table.
pub(super) const ASK_COMPONENTS: &str =
    "SELECT component_urn AS name, component_urn AS soname FROM mysql.component ORDER BY 1";

/// Reads a list of names and libraries as it is kept.
///
/// # Errors
///
/// When it is no answer to one of the questions.
pub fn parse_libraries(answer: &str) -> Result<String, AnswerError> {
    let table = parse_table(answer)?;
    // A name with the signs of the list in it would be read as something else.
    let plain = |text: &&str| !text.is_empty() && !text.contains([',', '\n', '\t']);
    let named = table.rows().filter_map(|row| {
        let (name, library) = (row.get("name").filter(plain)?, row.get("soname").filter(plain)?);
        let library = library.strip_prefix("file://").unwrap_or(stem(library));
        Some(if name.starts_with("file://") {
            library.to_owned()
        } else {
            format!("{}:{library}", name.replace(':', "_"))
        })
    });
    Ok(named.collect::<Vec<_>>().join(","))
}

/// Asks for the active plugins: name, kind, and library where it has one. Needs no privilege.
pub const ASK_PLUGINS: &str = "SELECT PLUGIN_NAME AS name, PLUGIN_TYPE AS kind, COALESCE(PLUGIN_LIBRARY, '') AS soname \
                               FROM information_schema.PLUGINS WHERE PLUGIN_STATUS = 'ACTIVE' ORDER BY 1, 2";

/// Libraries of the vendors' that a private server loads where its source had them: engines that keep rows in the data directory, or
/// nowhere, ways to log in, types of columns, and parsers of full texts. Not here is what reaches other servers or files elsewhere
/// (FEDERATED, CONNECT, Spider, S3, Sphinx), and what only watches (audit, checks of passwords).
pub(super) const PERMITTED: &[&str] = &[
    "auth_ed25519",
    "auth_pam",
    "auth_pam_v1",
    "auth_parsec",
    "auth_socket",
    "authentication_fido",
    "authentication_kerberos",
    "authentication_ldap_sasl",
    "authentication_ldap_simple",
    "authentication_openid_connect",
    "authentication_pam",
    "authentication_webauthn",
    "auth_pam_compat",
    "ha_archive",
    "ha_blackhole",
    "ha_example",
    "ha_mroonga",
    "ha_oqgraph",
    "ha_rocksdb",
    "libpluginmecab",
    "mysql_native_password",
    "mysql_no_login",
    "type_mysql_json",
    "type_mysql_timestamp",
];

/// Engines that reach other servers, or files elsewhere, as the names in the options that turn them off: a private server has none of them,
/// though the data may have them installed. Rows of a window would be written to the other server, or the source's file, a second time.
pub(super) const BARRED: [&str; 5] = ["federated", "spider", "s3", "connect", "sphinx"];

/// Whether a server says of a table that its engine is one of those that reach elsewhere and were turned off.
pub fn is_barred(text: &str) -> bool {
    let engine = text.strip_prefix("Unknown storage engine '").and_then(|rest| rest.strip_suffix('\''));
    engine.is_some_and(|engine| BARRED.iter().any(|barred| barred.eq_ignore_ascii_case(engine)))
}

/// A server's active plugins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivePlugins {
    /// Names of storage engines, in upper case.
    engines: BTreeSet<String>,
    /// Names of authentication plugins, in upper case.
    logins: BTreeSet<String>,
    /// Those from libraries: name, and the library without its suffix.
    loaded: Vec<(String, String)>,
}

impl ActivePlugins {
    /// Reads the answer to [`ASK_PLUGINS`].
    ///
    /// # Errors
    ///
    /// When it is no answer to that.
    pub fn parse(answer: &str) -> Result<Self, AnswerError> {
        let mut found = ActivePlugins::default();
        for row in parse_table(answer)?.rows() {
            let (name, kind) = (row.get("name").unwrap_or_default(), row.get("kind").unwrap_or_default());
            match kind {
                "STORAGE ENGINE" => drop(found.engines.insert(name.to_ascii_uppercase())),
                "AUTHENTICATION" => drop(found.logins.insert(name.to_ascii_uppercase())),
                _ => {}
            }
            let library = row.get("soname").map(stem).filter(|library| !library.is_empty());
            found.loaded.extend(library.map(|library| (name.to_owned(), library.to_owned())));
        }
        Ok(found)
    }

    /// Those from libraries, as they are kept.
    pub fn kept(&self) -> String {
        let plugins: Vec<String> = self.loaded.iter().map(|(name, library)| format!("{name}:{library}")).collect();
        plugins.join(",")
    }

    /// Whether a statement may name a storage engine so.
    pub fn has_engine(&self, name: &str) -> bool {
        let name = name.to_ascii_uppercase();
        let name = match name.as_str() {
            "HEAP" => "MEMORY",
            "MERGE" => "MRG_MYISAM",
            "MARIA" => "ARIA",
            "NDB" => "NDBCLUSTER",
            "INNOBASE" => "INNODB",
            name => name,
        };
        self.engines.contains(name)
    }

    /// Whether an account may log in by a plugin of that name.
    pub fn has_login(&self, name: &str) -> bool {
        self.logins.contains(&name.to_ascii_uppercase())
    }
}

fn stem(library: &str) -> &str {
    library.strip_suffix(".so").or_else(|| library.strip_suffix(".dll")).unwrap_or(library)
}

/// The options that load what the source had loaded, of what is permitted: what was kept is never an option itself. What the options
/// name already is left out.
pub fn plugin_options(variables: &BTreeMap<String, String>, options: &[String]) -> Vec<String> {
    let kept = variables.get(ACTIVE_PLUGINS).map(String::as_str).unwrap_or_default();
    let libraries: BTreeSet<&str> = kept.split(',').filter_map(|plugin| Some(plugin.split_once(':')?.1)).collect();
    let permitted = PERMITTED.iter().filter(|library| libraries.contains(*library));
    let named = |library: &str| options.iter().any(|option| option.contains("plugin") && option.contains(library));
    permitted.filter(|library| !named(library)).map(|library| format!("--plugin-load-add={library}.so")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_kept_as_a_list() {
        let answer = "name\tsoname\nCONNECT\tha_connect.so\nodd,one\tx.so\na:b\ty.so\n";
        assert_eq!(parse_libraries(answer).unwrap(), "CONNECT:ha_connect,a_b:y");
        let components = "name\tsoname\nfile://component_validate_password\tfile://component_validate_password\n";
        assert_eq!(parse_libraries(components).unwrap(), "component_validate_password");
        assert_eq!(parse_libraries("").unwrap_or_default(), "");
    }

    #[test]
    fn only_what_is_permitted_is_loaded() {
        let answer = "name\tkind\tsoname\nARCHIVE\tSTORAGE ENGINE\tha_archive.so\nFEDERATED\tSTORAGE ENGINE\tha_federatedx.so\n\
                      InnoDB\tSTORAGE ENGINE\t\nMRG_MyISAM\tSTORAGE ENGINE\t\nauth_socket\tAUTHENTICATION\tauth_socket.so\n\
                      SERVER_AUDIT\tAUDIT\tserver_audit.so\nmysql_native_password\tAUTHENTICATION\t\n";
        let found = ActivePlugins::parse(answer).unwrap();
        let kept = "ARCHIVE:ha_archive,FEDERATED:ha_federatedx,auth_socket:auth_socket,SERVER_AUDIT:server_audit";
        assert_eq!(found.kept(), kept);
        assert!(found.has_engine("archive") && found.has_engine("INNODB") && found.has_engine("Merge"));
        assert!(!found.has_engine("BLACKHOLE") && !found.has_engine("auth_socket"));
        assert!(found.has_login("AUTH_SOCKET") && !found.has_login("ed25519"));
        let variables = BTreeMap::from([(ACTIVE_PLUGINS.to_owned(), kept.to_owned())]);
        assert_eq!(
            plugin_options(&variables, &[]),
            ["--plugin-load-add=auth_socket.so", "--plugin-load-add=ha_archive.so"]
        );
        let own = ["--plugin_load_add=ha_archive.so".to_owned()];
        assert_eq!(plugin_options(&variables, &own), ["--plugin-load-add=auth_socket.so"]);
        assert!(is_barred("Unknown storage engine 'FEDERATED'") && is_barred("Unknown storage engine 'S3'"));
        assert!(is_barred("Unknown storage engine 'CONNECT'"));
        assert!(!is_barred("Unknown storage engine 'ARCHIVE'") && !is_barred("Corrupt"));
        // A store can name nothing that is not known here.
        let hostile = "X:ha_archive --init-file=/x,Y:../../tmp/evil,Z:evil.so;,:,ARCHIVE";
        let variables = BTreeMap::from([(ACTIVE_PLUGINS.to_owned(), hostile.to_owned())]);
        assert_eq!(plugin_options(&variables, &[]), [""; 0]);
    }
}
