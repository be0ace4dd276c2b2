//! Says of every setting of a server what a private server does with it: takes it over, sets it itself, or needs nothing of it.

mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};
use table::{EMPTY_MEANS_SOMETHING, ENCRYPTION, FORMAT, REST, STATEMENTS, TOLD};

/// What a private server does with a setting of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is taken over: the files of the data directory depend on it.
    Format,
    /// It is taken over: what a logged statement does depends on it, and the log does not say it.
    Statements,
    /// It is taken over where the private server has the keys.
    Encryption,
    /// It is not taken over, and told where it has a value that matters.
    Told,
    /// The time zone, which `server.time_zone` names.
    Zone,
    /// The log says it with each statement, or it belongs to one session or transaction.
    Logged,
    /// The private server has a value of its own, which the replay needs.
    Own,
    /// It forbids or ends what the source executed all the same; a private server is not to be stricter.
    Stricter,
    /// It decides who gets in; what accounts are is in the log and in the data.
    Accounts,
    /// Sizes of buffers and caches.
    Memory,
    /// How a statement is executed or shown, not what it does.
    Plan,
    /// How pages and files are written, not what is in them.
    Storage,
    /// How a server gets its log from others, or hands it on.
    Replication,
    /// Connections.
    Network,
    /// Logs and measurements for people.
    Diagnosis,
    /// It cannot be set: it says what the server is.
    Fact,
    /// It belongs to a plugin or an engine that the private server gets by `server.options`.
    Plugin,
}

impl Fate {
    /// All, in the order of the documentation.
    pub const ALL: [Fate; 17] = [
        Fate::Format,
        Fate::Statements,
        Fate::Encryption,
        Fate::Told,
        Fate::Zone,
        Fate::Logged,
        Fate::Own,
        Fate::Stricter,
        Fate::Accounts,
        Fate::Memory,
        Fate::Plan,
        Fate::Storage,
        Fate::Replication,
        Fate::Network,
        Fate::Diagnosis,
        Fate::Fact,
        Fate::Plugin,
    ];

    /// What is done with such a setting, and why, in words: a heading and a sentence.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Fate::Format => ("Taken over: files", "The files of the data directory are made with it."),
            Fate::Statements => {
                ("Taken over: statements", "What a logged statement does depends on it, and the log does not say it.")
            }
            Fate::Encryption => ("Taken over: encryption", "Taken over where the private server has the keys."),
            Fate::Told => {
                ("Told", "Not taken over. `check` and the plan of a restore warn where it has a value that matters.")
            }
            Fate::Zone => (
                "Time zone",
                "`server.time_zone` names the zone of the source's machine. A server with a zone of its own logs it with each \
                 statement that uses it.",
            ),
            Fate::Logged => (
                "In the log",
                "The log says it with each statement that it matters for, or it belongs to a session or to a transaction.",
            ),
            Fate::Own => {
                ("The private server's own", "The replay needs another value than the source's, or sets it itself.")
            }
            Fate::Stricter => (
                "Forbids or ends",
                "It refuses or ends statements. What the source executed is to be executed, so the private server does not refuse.",
            ),
            Fate::Accounts => (
                "Accounts",
                "It decides who gets in. What accounts are is in the data, and how they change is in the log.",
            ),
            Fate::Memory => ("Memory", "Sizes of buffers and caches. They change how long a statement takes."),
            Fate::Plan => ("How, not what", "How a statement is executed, or how something is shown."),
            Fate::Storage => ("Storage", "How pages and files are written, not what is in them."),
            Fate::Replication => ("Replication", "How a server gets a log from others or hands on its own."),
            Fate::Network => ("Network", "Connections."),
            Fate::Diagnosis => ("Diagnosis", "Logs and measurements for people."),
            Fate::Fact => ("Facts", "Cannot be set: it says what the server is."),
            Fate::Plugin => (
                "Plugins",
                "It belongs to a plugin, a component or an engine. The private server gets what `server.options` gives it.",
            ),
        }
    }
}

/// A row of the table: a name, or how names begin where a star ends it, and what depends on it where that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The name in lower case.
    pub name: &'static str,
    /// What is done with it.
    pub fate: Fate,
    /// What depends on it.
    pub what: Option<&'static str>,
}

/// The whole table, in the order of [`Fate::ALL`], names in alphabetical order.
pub fn rows() -> Vec<Row> {
    let said = |list: &'static [table::Carried], fate| {
        list.iter().map(move |(name, what)| Row { name, fate, what: Some(what) })
    };
    let mut rows: Vec<Row> = said(FORMAT, Fate::Format)
        .chain(said(STATEMENTS, Fate::Statements))
        .chain(said(ENCRYPTION, Fate::Encryption))
        .chain(TOLD.iter().map(|(name, _, what)| Row { name, fate: Fate::Told, what: Some(what) }))
        .collect();
    for group in REST {
        rows.extend(group.names.split_whitespace().map(|name| Row { name, fate: group.fate, what: None }));
    }
    rows.sort_by_key(|row| (row.fate, row.name));
    rows
}

static EXACT: LazyLock<BTreeMap<&'static str, Fate>> = LazyLock::new(|| {
    rows().into_iter().filter(|row| !row.name.ends_with('*')).map(|row| (row.name, row.fate)).collect()
});

static BEGINNINGS: LazyLock<Vec<(&'static str, Fate)>> = LazyLock::new(|| {
    let mut found: Vec<(&str, Fate)> =
        rows().into_iter().filter_map(|row| Some((row.name.strip_suffix('*')?, row.fate))).collect();
    // The longest beginning tells most.
    found.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
    found
});

/// What is done with a setting; `None`: the table does not know it.
pub fn fate_of(name: &str) -> Option<Fate> {
    let name = name.to_ascii_lowercase();
    let exact = EXACT.get(name.as_str()).copied();
    exact.or_else(|| BEGINNINGS.iter().find(|(beginning, _)| name.starts_with(beginning)).map(|(_, fate)| *fate))
}

/// Settings of a server that the table does not know: nobody has said whether a replay depends on them.
pub fn unknown_settings(variables: &BTreeMap<String, String>) -> BTreeSet<String> {
    variables.keys().filter(|name| fate_of(name).is_none()).cloned().collect()
}

/// A setting that a replay does not take over, with a value that may matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldSetting {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it changes.
    pub what: &'static str,
}

/// The settings of a server that are not taken over although they may matter.
pub fn told_settings(variables: &BTreeMap<String, String>) -> Vec<ToldSetting> {
    let found = TOLD.iter().filter_map(|(name, harmless, what)| {
        let value = variables.get(*name).filter(|value| !value.is_empty())?;
        let matters = !harmless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value));
        let of_replicas = matches!(*name, "log_slave_updates" | "log_replica_updates");
        let told = matters && (!of_replicas || replicates(variables));
        told.then(|| ToldSetting { name, value: value.clone(), what })
    });
    let mut found: Vec<ToldSetting> = found.collect();
    // MySQL 8.0 shows both names of one setting.
    if found.iter().any(|told| told.name == "log_replica_updates") {
        found.retain(|told| told.name != "log_slave_updates");
    }
    found
}

/// The name under which the number of replication channels is kept beside a server's variables.
pub const CHANNELS: &str = "replication_channels";

/// Whether a server replicates from another: as it was asked, else, on MariaDB, whether it ever did.
fn replicates(variables: &BTreeMap<String, String>) -> bool {
    match variables.get(CHANNELS) {
        Some(channels) => channels != "0",
        None => variables.get("gtid_slave_pos").is_some_and(|position| !position.is_empty()),
    }
}

/// The settings of some fates, with their values. An empty value is none, unless it means something.
pub(super) fn settings_of(variables: &BTreeMap<String, String>, fates: &[Fate]) -> BTreeMap<String, String> {
    let kept = variables.iter().filter(|(name, value)| {
        let says = !value.is_empty() || EMPTY_MEANS_SOMETHING.contains(&name.as_str());
        says && EXACT.get(name.as_str()).is_some_and(|fate| fates.contains(fate))
    });
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{fixture, parse_variables};

    fn real(server: &str) -> BTreeMap<String, String> {
        let text = String::from_utf8(fixture(&format!("variables/{server}.tsv"))).unwrap();
        parse_variables(&text).unwrap()
    }

    const SERVERS: [&str; 6] =
        ["mariadb-10.6.7", "mariadb-10.11.19", "mariadb-11.8.9", "mysql-8.0.36", "mysql-8.4.8", "mysql-9.7.4"];

    #[test]
    fn knows_every_variable_of_real_servers() {
        for server in SERVERS {
            let variables = real(server);
            assert!(variables.len() > 590, "{server}: {}", variables.len());
            assert_eq!(unknown_settings(&variables), BTreeSet::new(), "{server}");
            assert_eq!(told_settings(&variables), [], "{server}: a new server has nothing to be told");
        }
    }

    #[test]
    fn tells_what_it_does_not_know() {
        let mut variables = real("mariadb-11.8.9");
        variables.insert("utf9_means_utf8".into(), "ON".into());
        assert_eq!(unknown_settings(&variables), BTreeSet::from(["utf9_means_utf8".to_owned()]));
    }

    #[test]
    fn has_each_name_once() {
        let names: Vec<&str> = rows().iter().map(|row| row.name).collect();
        let once: BTreeSet<&str> = names.iter().copied().collect();
        let twice: Vec<&&str> =
            once.iter().filter(|name| names.iter().filter(|other| other == name).count() > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        let ill: Vec<&&str> = names.iter().filter(|name| **name != name.to_ascii_lowercase()).collect();
        assert!(ill.is_empty(), "{ill:?}");
    }

    #[test]
    fn takes_over_what_statements_depend_on() {
        let mut variables = real("mariadb-10.11.19");
        variables.insert("old_mode".into(), String::new());
        variables.insert("sysdate_is_now".into(), "ON".into());
        let taken = settings_of(&variables, &[Fate::Format, Fate::Statements]);
        for (name, value) in
            [("old_mode", ""), ("innodb_strict_mode", "ON"), ("sysdate_is_now", "ON"), ("aria_block_size", "8192")]
        {
            assert_eq!(taken.get(name).map(String::as_str), Some(value), "{name}");
        }
        // Nothing is named that was never set.
        assert!(
            !taken.contains_key("enforce_storage_engine") && !taken.contains_key("default_regex_flags"),
            "{taken:?}"
        );
        assert!(settings_of(&real("mysql-9.7.4"), &[Fate::Statements]).contains_key("partial_revokes"));
    }

    /// MariaDB's default is OFF, which harms no server that replicates from none.
    #[test]
    fn a_replica_that_does_not_log_what_it_applies_is_told() {
        for (server, name) in [("mariadb-10.11.19", "log_slave_updates"), ("mysql-9.7.4", "log_replica_updates")] {
            let mut variables = real(server);
            for name in ["log_slave_updates", "log_replica_updates"] {
                variables.entry(name.into()).and_modify(|value| *value = "OFF".into());
            }
            let names = |variables: &BTreeMap<String, String>| -> Vec<&str> {
                told_settings(variables).iter().map(|told| told.name).collect()
            };
            assert_eq!(names(&variables), [""; 0], "{server}");
            variables.insert(CHANNELS.into(), "1".into());
            assert_eq!(names(&variables), [name], "{server}");
            variables.insert(CHANNELS.into(), "0".into());
            variables.insert("gtid_slave_pos".into(), "0-1-5".into());
            assert_eq!(names(&variables), [""; 0], "{server}");
            variables.remove(CHANNELS);
            assert_eq!(names(&variables), [name], "{server}");
        }
    }

    #[test]
    fn tells_settings_that_it_cannot_take_over() {
        let mut variables = real("mysql-9.7.4");
        variables.insert("ft_stopword_file".into(), "/etc/mysql/words".into());
        let told = told_settings(&variables);
        assert_eq!(
            told.iter().map(|told| (told.name, told.value.as_str())).collect::<Vec<_>>(),
            [("ft_stopword_file", "/etc/mysql/words")]
        );
        // Only a server that has the plugin has its variable.
        let mut variables = real("mariadb-11.8.9");
        variables.insert("password_reuse_check_interval".into(), "0".into());
        let told = told_settings(&variables);
        assert_eq!(told.iter().map(|told| told.name).collect::<Vec<_>>(), ["password_reuse_check_interval"]);
        assert!(told[0].what.contains("mysql.password_reuse_check_history"), "{told:?}");
    }
}
