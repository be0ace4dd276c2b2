//! What a private server will have of that which a logged statement names, as far as a plan can know.

use super::{
    plugins::{ACTIVE_PLUGINS, BARRED, INSTALLED_PLUGINS, PERMITTED},
    tool::Family,
};
use crate::model::Need;
use std::collections::BTreeMap;

/// Whether a private server will have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It will, or nothing speaks against it: the server itself is asked before the window is applied.
    Yes,
    /// It will not.
    No,
    /// Nobody knows: what was kept with the backup does not say.
    Unknown,
}

/// Engines that every server of a family has.
const ENGINES: [&str; 9] =
    ["INNODB", "MYISAM", "MEMORY", "HEAP", "CSV", "MERGE", "MRG_MYISAM", "PERFORMANCE_SCHEMA", "INNOBASE"];
/// The same of MariaDB alone, and of MySQL alone.
const OF_MARIADB: [&str; 3] = ["ARIA", "MARIA", "SEQUENCE"];
const OF_MYSQL: [&str; 2] = ["ARCHIVE", "BLACKHOLE"];
/// Ways to log in that every server of a family has.
const LOGINS_OF_MARIADB: [&str; 3] = ["mysql_native_password", "mysql_old_password", "unix_socket"];
const LOGINS_OF_MYSQL: [&str; 2] = ["caching_sha2_password", "sha256_password"];

/// What is known of the plugins of a private server before it is started.
#[derive(Debug)]
pub struct Holdings<'a> {
    family: Family,
    /// The source's from libraries, name and library; `None`: they were not kept.
    kept: Option<Vec<(&'a str, &'a str)>>,
    /// Names of those that stand in the data themselves; `None`: that was not kept.
    installed: Option<Vec<&'a str>>,
    options: &'a [String],
}

impl<'a> Holdings<'a> {
    /// By what was kept with a backup, and the options of private servers.
    pub fn of(family: Family, variables: &'a BTreeMap<String, String>, options: &'a [String]) -> Self {
        let list = |name: &str| {
            let kept = variables.get(name)?;
            Some(kept.split(',').filter_map(|plugin| plugin.split_once(':')).collect::<Vec<_>>())
        };
        let installed = list(INSTALLED_PLUGINS).map(|all| all.into_iter().map(|(name, _)| name).collect());
        Holdings { family, kept: list(ACTIVE_PLUGINS), installed, options }
    }

    /// Whether it was kept which plugins the source had.
    pub fn is_known(&self) -> bool {
        self.kept.is_some()
    }

    /// The library that the source had something from.
    pub fn library(&self, name: &str) -> Option<&'a str> {
        let mut kept = self.kept.iter().flatten();
        kept.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, library)| *library)
    }

    /// Whether the private server will have what a statement names.
    pub fn holds(&self, need: Need, name: &str) -> Held {
        let among = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let mysql = self.family == Family::Mysql;
        let everywhere = match need {
            Need::Engine => among(&ENGINES) || if mysql { among(&OF_MYSQL) } else { among(&OF_MARIADB) },
            Need::Login if mysql => among(&LOGINS_OF_MYSQL),
            Need::Login => among(&LOGINS_OF_MARIADB),
            // Any of those that the source had.
            Need::AnyEngine => {
                let engines = self.kept.iter().flatten().filter(|(_, library)| library.starts_with("ha_"));
                let worst = engines.map(|(name, _)| self.holds(Need::Engine, name)).find(|held| *held != Held::Yes);
                return worst.map_or(Held::Yes, |_| Held::Unknown);
            }
        };
        if everywhere {
            return Held::Yes;
        }
        // What the configuration says of it counts before anything that is known here.
        let wanted = self.options.iter().any(|option| {
            let option = option.to_ascii_lowercase();
            let library = self.library(name).unwrap_or(name).to_ascii_lowercase();
            option.contains("plugin") && option.contains(&library)
                || option
                    .trim_start_matches("--")
                    .trim_start_matches("loose-")
                    .trim_start_matches("plugin-")
                    .strip_prefix(&name.to_ascii_lowercase())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        if wanted {
            return Held::Yes;
        }
        if !mysql && need == Need::Engine && among(&BARRED) {
            return Held::No;
        }
        let installed = self.installed.as_ref().map(|names| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
        match (self.library(name), &self.kept, installed) {
            (Some(library), _, _) if PERMITTED.contains(&library) => Held::Yes,
            (_, _, Some(true)) => Held::Yes,
            (Some(_), _, Some(false)) => Held::No,
            // Of a program's own, or none that the source had: the server is asked.
            _ => Held::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(family: Family, kept: &[(&str, &str)], options: &[&str], need: Need, name: &str) -> Held {
        let variables = kept.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        Holdings::of(family, &variables, &options).holds(need, name)
    }

    #[test]
    fn tells_what_a_private_server_will_have() {
        let active =
            "ARCHIVE:ha_archive,FEDERATED:ha_federatedx,CONNECT:ha_connect,ed25519:auth_ed25519,gssapi:auth_gssapi";
        let all = [(ACTIVE_PLUGINS, active), (INSTALLED_PLUGINS, "CONNECT:ha_connect")];
        let mariadb = |name| held(Family::Mariadb, &all, &[], Need::Engine, name);
        for (name, wanted) in [
            ("InnoDB", Held::Yes),
            ("archive", Held::Yes),
            ("FEDERATED", Held::No),
            ("CONNECT", Held::No),
            ("BLACKHOLE", Held::Unknown),
            ("Aria", Held::Yes),
        ] {
            assert_eq!(mariadb(name), wanted, "{name}");
        }
        let login = |kept: &[_], name| held(Family::Mariadb, kept, &[], Need::Login, name);
        assert_eq!(login(&all, "gssapi"), Held::No);
        assert_eq!(login(&all[..1], "gssapi"), Held::Unknown);
        assert_eq!(login(&all, "ED25519"), Held::Yes);
        assert_eq!(login(&[], "ed25519"), Held::Unknown);
        assert_eq!(login(&[], "mysql_native_password"), Held::Yes);
        // Nothing was kept: an older backup.
        assert_eq!(held(Family::Mariadb, &[], &[], Need::Engine, "ARCHIVE"), Held::Unknown);
        assert_eq!(held(Family::Mysql, &[], &[], Need::Engine, "ARCHIVE"), Held::Yes);
        assert_eq!(held(Family::Mariadb, &[], &[], Need::Engine, "Spider"), Held::No);
        // What the configuration names.
        let options = ["--federated=ON", "--plugin-load-add=auth_gssapi.so", "--plugin-connect=ON"];
        assert_eq!(held(Family::Mariadb, &all, &options, Need::Engine, "CONNECT"), Held::Yes);
        assert_eq!(held(Family::Mariadb, &all, &options, Need::Engine, "FEDERATED"), Held::Yes);
        assert_eq!(held(Family::Mariadb, &all, &options, Need::Login, "gssapi"), Held::Yes);
        // A statement that is too long to be read to its end may name any of those that the source had.
        assert_eq!(held(Family::Mariadb, &all, &[], Need::AnyEngine, ""), Held::Unknown);
        assert_eq!(held(Family::Mariadb, &[(ACTIVE_PLUGINS, "A:ha_archive")], &[], Need::AnyEngine, ""), Held::Yes);
    }
}
