//! The option file that a backup tool's prepare obeys, written from what is known to be harmless.
//!
//! A prepare reads `backup-my.cnf` in the directory that it works on, and obeys all of it: with `plugin_dir` and
//! `plugin_load` there, mariadb-backup loads a library of the writer's choice (tried on 10.11.19). The file comes from the
//! store, and what comes from a store is data. So a prepare gets a file of dbbak's own: the settings of the files' format,
//! each with a value of that setting's kind, and what the configuration or the server itself says of the keys.

use super::{BackupCnf, encryption::KEY_PLUGINS};
use std::collections::BTreeMap;

/// Settings that say how a backup's files are laid out: what mariadb-backup 10.3 to 11.8 and XtraBackup 2.4 to 9.7 write
/// into `backup-my.cnf`, paths and plugins left out.
const FORMAT: [&str; 19] = [
    "innodb_checksum_algorithm",
    "innodb_compression_level",
    "innodb_encrypt_log",
    "innodb_fast_checksum",
    "innodb_log_block_size",
    "innodb_log_checksum_algorithm",
    "innodb_log_checksums",
    "innodb_log_file_size",
    "innodb_log_files_in_group",
    "innodb_page_size",
    "innodb_redo_log_capacity",
    "innodb_redo_log_encrypt",
    "innodb_undo_log_encrypt",
    "innodb_undo_tablespaces",
    "lower_case_table_names",
    "master_key_id",
    "redo_log_version",
    "server_id",
    "server_uuid",
];

/// MariaDB's plugins that unpack compressed pages (10.7 and later). A prepare needs those that the server had.
const PROVIDERS: [&str; 5] = ["provider_bzip2", "provider_lz4", "provider_lzma", "provider_lzo", "provider_snappy"];

/// The file's new content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrepareOptions {
    /// Its text: one group, `[mysqld]`.
    pub text: String,
    /// Settings of the file that was there which are not in it, by name.
    pub left_out: Vec<String>,
}

/// Writes the option file anew. `keys`: settings that say where the keys are, from a trusted side; they go before
/// whatever the file says.
pub fn prepare_options(found: &BackupCnf, keys: &BTreeMap<String, String>) -> PrepareOptions {
    let mut settings = BTreeMap::new();
    let mut left_out = Vec::new();
    for (name, value) in &found.settings {
        let plain = name.strip_prefix("loose_").unwrap_or(name);
        let kept = match plain {
            _ if FORMAT.contains(&plain) => is_plain(value).then(|| value.clone()),
            "innodb_data_file_path" => data_files(value),
            // Copies lie where they lie, whatever the source's directories were.
            "innodb_undo_directory" | "innodb_data_home_dir" | "innodb_log_group_home_dir" => Some("./".to_owned()),
            "plugin_load" => Some(providers(value)).filter(|kept| !kept.is_empty()),
            _ => None,
        };
        match kept {
            Some(kept) => {
                if plain == "plugin_load" && kept != *value {
                    left_out.push(name.clone());
                }
                settings.insert(plain.to_owned(), kept);
            }
            None if value.is_empty() => {}
            None => left_out.push(name.clone()),
        }
    }
    for (name, value) in keys {
        match (name.as_str(), settings.get_mut("plugin_load")) {
            ("plugin_load", Some(providers)) => {
                providers.push(';');
                providers.push_str(value);
            }
            _ => drop(settings.insert(name.clone(), value.clone())),
        }
    }
    left_out.retain(|name| !keys.contains_key(name));
    let mut text = "# Written by dbbak: the settings of the backup's format alone.\n[mysqld]\n".to_owned();
    for (name, value) in &settings {
        text.push_str(&if value.is_empty() { format!("{name}\n") } else { format!("{name}={value}\n") });
    }
    PrepareOptions { text, left_out }
}

/// What a configuration's options for a private server say of keys, as settings of the option file.
pub fn key_options(options: &[String]) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for option in options {
        let (name, value) = option.trim_start_matches('-').split_once('=').unwrap_or((option, ""));
        let name = name.trim_start_matches('-').replace('-', "_").to_ascii_lowercase();
        let plain = name.strip_prefix("loose_").unwrap_or(&name);
        if !one_line(value) {
            continue;
        }
        match plain {
            "plugin_dir" => drop(settings.insert("plugin_dir".to_owned(), value.to_owned())),
            "plugin_load" | "plugin_load_add" if KEY_PLUGINS.iter().any(|plugin| value.contains(plugin)) => {
                let loaded: &mut String = settings.entry("plugin_load".to_owned()).or_default();
                if !loaded.is_empty() {
                    loaded.push(';');
                }
                loaded.push_str(value);
            }
            _ if KEY_PLUGINS.iter().any(|plugin| plain.starts_with(plugin)) => {
                settings.insert(format!("loose_{plain}"), value.to_owned());
            }
            _ => {}
        }
    }
    settings
}

/// What a server itself says of its key plugin, as settings of the option file.
pub fn key_variables(plugin: Option<&str>, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let Some(plugin) = plugin.filter(|plugin| KEY_PLUGINS.contains(plugin)) else { return settings };
    settings.insert("plugin_load".to_owned(), plugin.to_owned());
    let told = |name: &str| name == "plugin_dir" || name.starts_with(plugin);
    for (name, value) in variables.iter().filter(|(name, value)| told(name) && !value.is_empty() && one_line(value)) {
        let name = if name == "plugin_dir" { name.clone() } else { format!("loose_{name}") };
        settings.insert(name, value.clone());
    }
    settings
}

/// Numbers, words and UUIDs: nothing that could be a path, a list or a second line.
fn is_plain(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn one_line(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

/// The system tablespace's files, each by its name alone: in a backup they lie side by side.
fn data_files(value: &str) -> Option<String> {
    let mut files = Vec::new();
    for file in value.split(';') {
        let (path, size) = file.split_once(':')?;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty() && is_plain(name) && *name != "..")?;
        if !size.split(':').all(is_plain) {
            return None;
        }
        files.push(format!("{name}:{size}"));
    }
    Some(files.join(";"))
}

/// Of a list of plugins, those that unpack pages: `provider_lz4=provider_lz4.so`.
fn providers(value: &str) -> String {
    let known = |entry: &&str| {
        let (name, library) = entry.split_once('=').unwrap_or((entry, entry));
        [name, library].iter().all(|part| PROVIDERS.contains(&part.strip_suffix(".so").unwrap_or(part)))
    };
    value.split(';').filter(known).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, parse_backup_cnf};
    use super::*;

    fn rewritten(text: &str, keys: &[(&str, &str)]) -> PrepareOptions {
        let keys = keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        prepare_options(&parse_backup_cnf(text.as_bytes()).unwrap(), &keys)
    }

    #[test]
    fn every_tools_own_file_says_the_same_afterwards() {
        for tool in [
            "mariadb-backup-10.11.19",
            "mariadb-backup-11.8.9",
            "xtrabackup-2.4",
            "xtrabackup-8.0",
            "xtrabackup-8.4",
            "xtrabackup-9.7",
        ] {
            let found = parse_backup_cnf(&fixture(&format!("{tool}/full/backup-my.cnf"))).unwrap();
            let options = prepare_options(&found, &BTreeMap::new());
            assert_eq!(options.left_out, Vec::<String>::new(), "{tool}");
            assert_eq!(parse_backup_cnf(options.text.as_bytes()).unwrap(), found, "{tool}");
        }
    }

    #[test]
    fn what_a_tool_would_obey_is_left_out() {
        let options = rewritten(
            "[mysqld]\ninnodb_page_size=16384\nplugin_dir=/evil\nplugin-load=evil.so\nloose_init_file=/evil.sql\n!include /evil\n\
             innodb_buffer_pool_filename=../../x\nserver_id=1 --x\nuser=root\n[mariadb-backup]\nplugin_load=evil.so\n",
            &[],
        );
        assert_eq!(options.text.lines().skip(1).collect::<Vec<_>>(), ["[mysqld]", "innodb_page_size=16384"]);
        let left_out =
            ["innodb_buffer_pool_filename", "loose_init_file", "plugin_dir", "plugin_load", "server_id", "user"];
        assert_eq!(options.left_out, left_out);
    }

    #[test]
    fn files_of_the_system_tablespace_lie_in_the_copy() {
        let options = rewritten(
            "[mysqld]\ninnodb_data_file_path=/srv/a/ibdata1:12M;../b/ibdata2:1G:autoextend:max:4G\ninnodb_undo_directory=/srv/undo\n",
            &[],
        );
        let expected = "innodb_data_file_path=ibdata1:12M;ibdata2:1G:autoextend:max:4G\ninnodb_undo_directory=./\n";
        assert!(options.text.ends_with(expected), "{}", options.text);
    }

    #[test]
    fn keys_are_where_a_trusted_side_says() {
        let found = "[mysqld]\nplugin_load=evil;provider_lz4=provider_lz4.so\nplugin_dir=/evil\n\
                     loose_file_key_management_filename=/evil\n";
        let config = [
            "--plugin-load-add=file_key_management",
            "--loose-file-key-management-filename=/etc/keys",
            "--sort-buffer-size=1M",
        ];
        let keys = key_options(&config.map(str::to_owned));
        let options = prepare_options(&parse_backup_cnf(found.as_bytes()).unwrap(), &keys);
        let lines: Vec<&str> = options.text.lines().skip(2).collect();
        let expected = [
            "loose_file_key_management_filename=/etc/keys",
            "plugin_load=provider_lz4=provider_lz4.so;file_key_management",
        ];
        assert_eq!(lines, expected);

        let variables =
            [("plugin_dir", "/usr/lib/mysql/plugin/"), ("file_key_management_filename", "/k"), ("port", "1")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let keys = key_variables(Some("file_key_management"), &variables);
        assert_eq!(keys["plugin_dir"], "/usr/lib/mysql/plugin/");
        assert_eq!(keys["loose_file_key_management_filename"], "/k");
        assert_eq!(keys["plugin_load"], "file_key_management");
        assert!(key_variables(None, &variables).is_empty());
    }
}
