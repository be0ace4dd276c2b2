//! The configuration: parsed from bytes, validated once, the same value for every command.

use crate::model::{Donor, OwnerName};
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Everything that dbbak is told. Paths are absolute (`~/` is resolved against the home directory that the caller names).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The root directory of the store, often an NFS mount.
    pub nfs_root: PathBuf,
    /// The option file with the credentials (`[client]`); only the vendor's programs read it.
    #[serde(default)]
    pub mysql_option_file: Option<PathBuf>,
    /// `xtrabackup` or `mariadb-backup`; looked up on PATH under both names when absent.
    #[serde(default)]
    pub xtrabackup: Option<PathBuf>,
    /// `mysqlbinlog` or `mariadb-binlog`.
    #[serde(default)]
    pub mysqlbinlog: Option<PathBuf>,
    /// `mysql` or `mariadb`, the client.
    #[serde(default)]
    pub mysql: Option<PathBuf>,
    /// `mysqld` or `mariadbd`, for the private server of a restore.
    #[serde(default)]
    pub mysqld: Option<PathBuf>,
    /// `mysqldump` or `mariadb-dump`, for the engine `dump`.
    #[serde(default)]
    pub mysqldump: Option<PathBuf>,
    /// `mariadb-install-db`, which makes the data directory that a dump of MariaDB is loaded into.
    #[serde(default)]
    pub mariadb_install_db: Option<PathBuf>,
    /// A target time is floored to this many minutes; 0 never floors.
    #[serde(default = "default_round_minutes")]
    pub pitr_round_minutes: u32,
    /// Whether binlogs are stored compressed.
    #[serde(default = "yes")]
    pub compress: bool,
    /// How they are compressed.
    #[serde(default)]
    pub binlog_compression: BinlogCompression,
    /// Where the server's binlogs lie; the server is asked when absent.
    #[serde(default)]
    pub binlog_source_dir: Option<PathBuf>,
    /// A local directory with room for prepares and restores.
    #[serde(default)]
    pub scratch_dir: Option<PathBuf>,
    /// How fulls are taken.
    #[serde(default)]
    pub engine: EngineChoice,
    /// The server's address, where it runs on another machine than dbbak: a clone is fetched from there.
    #[serde(default)]
    pub clone_donor: Option<Donor>,
    /// What a dump does about tables of engines without transactions.
    #[serde(default)]
    pub non_transactional: NonTransactional,
    /// What a dump does about `FLOAT` columns, of which it holds six digits.
    #[serde(default)]
    pub rounded_floats: RoundedFloats,
    /// Which prepared trees a full keeps beside `raw/`.
    #[serde(default)]
    pub prepared: Prepared,
    /// Whether each incremental is applied on trial, on a copy, right after it was taken.
    #[serde(default)]
    pub try_incrementals: bool,
    /// Threads for copies, and the backup tool's `--parallel`.
    #[serde(default = "default_parallel")]
    pub parallel: u32,
    /// Memory for a prepare, in bytes (the tool's `--use-memory`); written as a number with K, M or G.
    #[serde(default = "default_prepare_memory", deserialize_with = "bytes")]
    pub prepare_memory: u64,
    /// What the unpacked binlogs of a replay, and the logs beside them, may take of the disk at most, in bytes.
    #[serde(default = "default_replay_space", deserialize_with = "bytes")]
    pub replay_space: u64,
    /// The backup tool's `--throttle`; absent: none.
    #[serde(default)]
    pub throttle: Option<u32>,
    /// Take a replica's source coordinates along (`--slave-info`).
    #[serde(default)]
    pub slave_info: bool,
    /// Take a Galera node's coordinates along (`--galera-info`).
    #[serde(default)]
    pub galera_info: bool,
    /// Stop the replica's SQL thread while no temporary table is open (`--safe-slave-backup`).
    #[serde(default)]
    pub safe_slave_backup: bool,
    /// Seconds to wait for a lock that somebody else holds; a dead holder on another host is only told after 60.
    #[serde(default)]
    pub lock_wait_seconds: u64,
    /// More options for the backup tool's `--backup`, as they are.
    #[serde(default)]
    pub extra_backup_options: Vec<String>,
    /// More options for the backup tool's `--prepare`, as they are.
    #[serde(default)]
    pub extra_prepare_options: Vec<String>,
    /// What is not usual about the server.
    #[serde(default)]
    pub server: ServerSection,
}

/// What is not usual about the server, and what the private server of a restore needs beside what the backup recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSection {
    /// The data directory; the server is asked when absent.
    #[serde(default)]
    pub datadir: Option<PathBuf>,
    /// The socket, when the option file does not name it.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The server's `my.cnf` files, kept (secrets masked) with each full.
    #[serde(default)]
    pub config_files: Vec<PathBuf>,
    /// More options for the private server of a restore (keyring, plugins), as they are.
    #[serde(default)]
    pub options: Vec<String>,
    /// Files that tell a private server of MySQL where its keys are (`mysqld.my`, `component_keyring_file.cnf`): they lie in
    /// its data directory while it runs. An empty list: the program finds its keyring by itself.
    #[serde(default)]
    pub keyring_files: Option<Vec<PathBuf>>,
    /// Whom private servers run as where dbbak is root; `root` only where it stands here.
    #[serde(default)]
    pub run_as: Option<OwnerName>,
    /// The zone that the server's machine runs in, as a name that the system knows (`Europe/Berlin`). Statements that were
    /// logged under `time_zone = SYSTEM` are replayed in it.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Seconds that the private server may take to start (crash recovery of a large backup included).
    #[serde(default = "default_start_timeout")]
    pub start_timeout_seconds: u64,
}

impl Default for ServerSection {
    fn default() -> Self {
        ServerSection {
            datadir: None,
            socket: None,
            config_files: Vec::new(),
            options: Vec::new(),
            keyring_files: None,
            run_as: None,
            time_zone: None,
            start_timeout_seconds: default_start_timeout(),
        }
    }
}

/// How binlogs are compressed in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BinlogCompression {
    /// With gzip.
    #[default]
    Gzip,
    /// With zstd.
    Zstd,
}

/// How fulls are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineChoice {
    /// By the backup tool that is found; where none fits a server that can clone itself, by that.
    #[default]
    Auto,
    /// By XtraBackup.
    Xtrabackup,
    /// By mariadb-backup.
    MariadbBackup,
    /// By MySQL's clone plugin.
    Clone,
    /// By mysqldump or mariadb-dump: statements instead of files.
    Dump,
}

/// What a dump does about tables of engines without transactions (MyISAM, Aria, MEMORY), which no snapshot holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NonTransactional {
    /// No dump is taken.
    #[default]
    Refuse,
    /// All tables are locked for the whole dump: nobody writes meanwhile.
    Lock,
    /// They are dumped as they are when it is their turn. No replay can start from such a dump.
    Accept,
}

/// What a dump does about `FLOAT` columns. The dump programs of both vendors print six digits of a value that needs nine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoundedFloats {
    /// No dump is taken.
    #[default]
    Refuse,
    /// They are dumped rounded. No replay can start from such a dump.
    Accept,
}

impl EngineChoice {
    /// The name of the engine; `None` where it is to be chosen.
    pub fn name(self) -> Option<&'static str> {
        match self {
            EngineChoice::Auto => None,
            EngineChoice::Xtrabackup => Some("xtrabackup"),
            EngineChoice::MariadbBackup => Some("mariadb-backup"),
            EngineChoice::Clone => Some("clone"),
            EngineChoice::Dump => Some("dump"),
        }
    }
}

/// Which prepared trees a full keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prepared {
    /// `prepared-redo/` and `prepared-final/`.
    #[default]
    Both,
    /// `prepared-redo/` alone: incrementals can be applied to it.
    Redo,
    /// `prepared-final/` alone: a server can start on it.
    Final,
    /// Neither: a restore prepares from `raw/`.
    None,
}

impl Prepared {
    /// Whether `prepared-redo/` is kept.
    pub fn redo(self) -> bool {
        matches!(self, Prepared::Both | Prepared::Redo)
    }

    /// Whether `prepared-final/` is kept.
    pub fn finished(self) -> bool {
        matches!(self, Prepared::Both | Prepared::Final)
    }
}

/// Why a configuration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The bytes are no UTF-8 text.
    #[error("not UTF-8 text (byte {at})")]
    NotText {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// A key that dbbak does not know.
    #[error("unknown key {key:?}\n{snippet}")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
        /// Line and column with the source line and a caret.
        snippet: String,
    },
    /// YAML that cannot be read, or a value of the wrong type.
    #[error("{snippet}")]
    Syntax {
        /// Line and column with the source line and a caret.
        snippet: String,
    },
    /// A value that cannot be used.
    #[error("{key}: expected {expected}, found {found}")]
    Value {
        /// The key.
        key: String,
        /// What would be right.
        expected: String,
        /// What stands there.
        found: String,
    },
}

impl Config {
    /// Parses and validates a YAML text. `home` resolves paths that begin with `~/`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for what is no text, no YAML, an unknown key (with the nearest known one) or an unusable value.
    pub fn parse(bytes: &[u8], home: Option<&Path>) -> Result<Self, ConfigError> {
        let text = std::str::from_utf8(bytes).map_err(|error| ConfigError::NotText { at: error.valid_up_to() })?;
        let mut config: Config = serde_saphyr::from_str(text).map_err(|error| syntax_error(&error))?;
        config.resolve_home(home)?;
        config.validate()?;
        Ok(config)
    }

    fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let optional = [
            ("mysql_option_file", &mut self.mysql_option_file),
            ("xtrabackup", &mut self.xtrabackup),
            ("mysqlbinlog", &mut self.mysqlbinlog),
            ("mysql", &mut self.mysql),
            ("mysqld", &mut self.mysqld),
            ("mysqldump", &mut self.mysqldump),
            ("mariadb_install_db", &mut self.mariadb_install_db),
            ("binlog_source_dir", &mut self.binlog_source_dir),
            ("scratch_dir", &mut self.scratch_dir),
            ("server.datadir", &mut self.server.datadir),
            ("server.socket", &mut self.server.socket),
        ];
        let mut paths = vec![("nfs_root", &mut self.nfs_root)];
        paths.extend(optional.into_iter().filter_map(|(key, path)| path.as_mut().map(|path| (key, path))));
        paths.extend(self.server.config_files.iter_mut().map(|path| ("server.config_files", path)));
        let keyring_files = self.server.keyring_files.iter_mut().flatten();
        paths.extend(keyring_files.map(|path| ("server.keyring_files", path)));
        paths
    }

    fn resolve_home(&mut self, home: Option<&Path>) -> Result<(), ConfigError> {
        for (key, path) in self.paths_mut() {
            if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), home) {
                *path = home.join(rest);
            }
            if !path.is_absolute() {
                return Err(ConfigError::Value {
                    key: key.to_owned(),
                    expected: "an absolute path".to_owned(),
                    found: format!("{:?}", path.display().to_string()),
                });
            }
        }
        Ok(())
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let value = |key: &str, expected: &str, found: String| {
            Err(ConfigError::Value { key: key.to_owned(), expected: expected.to_owned(), found })
        };
        if self.pitr_round_minutes > 24 * 60 {
            return value("pitr_round_minutes", "0 to 1440 minutes", self.pitr_round_minutes.to_string());
        }
        if !(1..=256).contains(&self.parallel) {
            return value("parallel", "1 to 256 threads", self.parallel.to_string());
        }
        if self.prepare_memory < 8 << 20 {
            return value("prepare_memory", "at least 8M", self.prepare_memory.to_string());
        }
        if self.replay_space < 1 << 20 {
            return value("replay_space", "at least 1M", self.replay_space.to_string());
        }
        // They lie in one directory while a server runs.
        let mut names = BTreeSet::new();
        if let Some(again) = self.server.keyring_files.iter().flatten().find(|path| !names.insert(path.file_name())) {
            return value("server.keyring_files", "files of different names", format!("{} twice", again.display()));
        }
        let secret = |option: &&String| {
            let name = option.trim_start_matches('-').replace('_', "-");
            name.starts_with("password") || name.starts_with("encrypt-key=")
        };
        for (key, options) in [
            ("extra_backup_options", &self.extra_backup_options),
            ("extra_prepare_options", &self.extra_prepare_options),
            ("server.options", &self.server.options),
        ] {
            if options.iter().any(|option| secret(&option)) {
                return value(key, "no secrets (they belong in mysql_option_file)", "a password or key".to_owned());
            }
        }
        Ok(())
    }
}

/// The keys of the top level, for the nearest-key suggestion and the README's table.
pub const KEYS: &[&str] = &[
    "nfs_root",
    "mysql_option_file",
    "xtrabackup",
    "mysqlbinlog",
    "mysql",
    "mysqld",
    "mysqldump",
    "mariadb_install_db",
    "pitr_round_minutes",
    "compress",
    "binlog_compression",
    "binlog_source_dir",
    "scratch_dir",
    "engine",
    "clone_donor",
    "non_transactional",
    "rounded_floats",
    "prepared",
    "try_incrementals",
    "parallel",
    "prepare_memory",
    "replay_space",
    "throttle",
    "slave_info",
    "galera_info",
    "safe_slave_backup",
    "lock_wait_seconds",
    "extra_backup_options",
    "extra_prepare_options",
    "server",
];

/// The keys of the `server` section.
pub const SERVER_KEYS: &[&str] =
    &["datadir", "socket", "config_files", "options", "keyring_files", "run_as", "time_zone", "start_timeout_seconds"];

fn syntax_error(error: &serde_saphyr::Error) -> ConfigError {
    let snippet = tidy(&error.render());
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => {
            ConfigError::UnknownKey { key: field.clone(), nearest: nearest(field, expected.iter().copied()), snippet }
        }
        _ => ConfigError::Syntax { snippet },
    }
}

/// A rendered error without what its reader knows already: that it is one, that it is about the input, and, behind the
/// caret, its first line once more.
fn tidy(rendered: &str) -> String {
    let rendered = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let message = rendered.lines().next().unwrap_or_default();
    let repeated = |line: &&str| !line.trim_start().starts_with("--> <input>");
    let lines = rendered.lines().filter(repeated).map(|line| match line.split_once("^ ") {
        Some((before, after)) if message.ends_with(after) && before.trim_matches([' ', '|']).is_empty() => {
            format!("{before}^")
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The candidate with the smallest edit distance, if it is small enough to be a slip of the finger.
fn nearest<'a>(text: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let ranked = candidates.map(|candidate| (edit_distance(text, candidate), candidate)).min()?;
    (ranked.0 <= text.len().max(3) / 2).then(|| ranked.1.to_owned())
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_bytes(&text)
        .ok_or_else(|| serde::de::Error::custom(format!("expected bytes like 512M or 2G, found {text:?}")))
}

/// Bytes as the tools write them: a number, with K, M, G or T for powers of 1024. `None` for anything else.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn yes() -> bool {
    true
}

fn default_round_minutes() -> u32 {
    15
}

fn default_parallel() -> u32 {
    4
}

fn default_prepare_memory() -> u64 {
    512 << 20
}

fn default_replay_space() -> u64 {
    16 << 30
}

fn default_start_timeout() -> u64 {
    3600
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text.as_bytes(), Some(Path::new("/home/backup")))
    }

    #[test]
    fn reads_the_smallest_and_fills_the_defaults() {
        let config = parse("nfs_root: /mnt/backup\nmysql_option_file: ~/.my.cnf\n").unwrap();
        assert_eq!(config.mysql_option_file.as_deref(), Some(Path::new("/home/backup/.my.cnf")));
        assert_eq!((config.pitr_round_minutes, config.compress, config.parallel), (15, true, 4));
        assert_eq!(config.prepared, Prepared::Both);
        assert_eq!(config.server.start_timeout_seconds, 3600);
        assert_eq!(parse("nfs_root: /b\nserver: {socket: /s}").unwrap().server.start_timeout_seconds, 3600);
    }

    #[test]
    fn names_the_unknown_key_and_the_nearest() {
        let error = parse("nfs_root: /mnt/backup\nmysql_optionfile: /x\n").unwrap_err();
        let ConfigError::UnknownKey { key, nearest, snippet } = error else { panic!("{error:?}") };
        assert_eq!((key.as_str(), nearest.as_deref()), ("mysql_optionfile", Some("mysql_option_file")));
        assert!(snippet.contains("mysql_optionfile: /x") && snippet.contains('^'), "{snippet}");
    }

    #[test]
    fn names_the_key_of_an_unusable_value() {
        for (text, key) in [
            ("nfs_root: backups", "nfs_root"),
            ("nfs_root: /b\nparallel: 0", "parallel"),
            ("nfs_root: /b\nprepare_memory: 1K", "prepare_memory"),
            ("nfs_root: /b\nreplay_space: 1K", "replay_space"),
            ("nfs_root: /b\npitr_round_minutes: 5000", "pitr_round_minutes"),
            ("nfs_root: /b\nextra_backup_options: [--password=x]", "extra_backup_options"),
            ("nfs_root: /b\nserver: {keyring_files: [/a/k.cnf, /b/k.cnf]}", "server.keyring_files"),
        ] {
            let error = parse(text).unwrap_err();
            let ConfigError::Value { key: found, .. } = &error else { panic!("{error:?}") };
            assert_eq!(found, key);
            assert!(!error.to_string().contains("=x"));
        }
    }

    #[test]
    fn shows_where_the_yaml_is_broken() {
        for text in ["nfs_root: [", "", "nfs_root: /b\nparallel: many", "nfs_root: /b\nprepare_memory: 12Q", "- a"] {
            assert!(matches!(parse(text), Err(ConfigError::Syntax { .. })), "{text:?}: {:?}", parse(text));
        }
        assert!(matches!(Config::parse(b"nfs_root: \xff", None), Err(ConfigError::NotText { at: 10 })));
    }

    #[test]
    fn reads_byte_sizes() {
        assert_eq!(parse_bytes("512M"), Some(512 << 20));
        assert_eq!(parse_bytes("2 GiB"), Some(2 << 30));
        assert_eq!(parse_bytes("12"), Some(12));
        assert_eq!(parse_bytes("G"), None);
    }

    #[test]
    fn lists_every_key_that_it_takes() {
        let Err(ConfigError::UnknownKey { snippet, .. }) = parse("zzz: 1") else { panic!() };
        for key in KEYS {
            assert!(snippet.contains(key), "{key}: {snippet}");
        }
    }
}
