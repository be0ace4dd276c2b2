//! Checks the options that an operator adds to a tool's command line.

use super::{command::CommandError, secrets::is_secret_option};

/// Options that dbbak sets itself, or that break what it relies on: name and reason, by the tool that would get them.
type Reserved = &'static [(&'static str, &'static str)];

const SECRETS: &str = "secrets come from the option file alone";
const KEYS: &str = "it holds a secret itself: name a file that holds it (for file-key-management-filekey: FILE:/path)";
const FIRST: &str = "it must come first, and the option file stands there";
const MODE: &str = "dbbak chooses what the tool does";
const PLACE: &str = "dbbak chooses where the tool works";
const CHAIN: &str = "dbbak chooses the parent of an incremental";
const PARTIAL: &str = "a partial backup cannot be restored as a server";
const CODING: &str = "the store does the packing, and a prepare could not read the files";
const LOCKS: &str = "a backup without locks has no reliable coordinates";
const APPLIER: &str = "every transaction of the log is applied as it stands, and logged";
const KEY: &str = "it has a configuration key of its own";

/// What `--backup` and `--prepare` of the backup tools may not get.
pub(super) const BACKUP_TOOL: Reserved = &[
    ("password", SECRETS),
    ("encrypt-key", SECRETS),
    ("transition-key", SECRETS),
    ("defaults-file", FIRST),
    ("defaults-extra-file", FIRST),
    ("defaults-group-suffix", FIRST),
    ("login-path", FIRST),
    // Seen on mariadb-backup 10.11.19: with it a prepare ignores backup-my.cnf and takes the page size and the data file
    // path for the built-in ones, without a word.
    ("no-defaults", "a prepare would not read the backup's own settings"),
    ("print-defaults", MODE),
    ("backup", MODE),
    ("prepare", MODE),
    ("copy-back", MODE),
    ("move-back", MODE),
    ("decompress", MODE),
    ("decrypt", MODE),
    ("export", MODE),
    ("stats", MODE),
    ("print-param", MODE),
    ("apply-log-only", "dbbak knows which step is the last one"),
    ("target-dir", PLACE),
    ("incremental-dir", PLACE),
    ("stream", PLACE),
    ("incremental-basedir", CHAIN),
    ("incremental-lsn", CHAIN),
    ("incremental-history-name", CHAIN),
    ("incremental-history-uuid", CHAIN),
    ("incremental", CHAIN),
    ("tables", PARTIAL),
    ("tables-file", PARTIAL),
    ("tables-exclude", PARTIAL),
    ("databases", PARTIAL),
    ("databases-file", PARTIAL),
    ("databases-exclude", PARTIAL),
    ("compress", CODING),
    ("encrypt", CODING),
    ("encrypt-key-file", CODING),
    ("no-lock", LOCKS),
    ("no-backup-locks", LOCKS),
    ("binlog-info", LOCKS),
    ("log-innodb-page-corruption", "the backup would go on over damaged pages"),
    ("history", "it writes to the server that is backed up"),
    ("datadir", KEY),
    ("socket", KEY),
    ("parallel", KEY),
    ("throttle", KEY),
    ("use-memory", KEY),
    ("slave-info", KEY),
    ("galera-info", KEY),
    ("safe-slave-backup", KEY),
];

/// What the private server may not get.
pub(super) const PRIVATE_SERVER: Reserved = &[
    ("defaults-file", FIRST),
    ("defaults-extra-file", FIRST),
    ("no-defaults", FIRST),
    ("datadir", PLACE),
    ("socket", PLACE),
    ("pid-file", PLACE),
    ("log-error", PLACE),
    ("log-bin", PLACE),
    ("log-bin-index", PLACE),
    ("skip-log-bin", PLACE),
    ("disable-log-bin", PLACE),
    ("innodb-data-home-dir", PLACE),
    ("innodb-log-group-home-dir", PLACE),
    ("innodb-undo-directory", PLACE),
    ("port", "the private server listens on its socket alone"),
    ("networking", "the private server listens on its socket alone"),
    ("skip-networking", "the private server listens on its socket alone"),
    ("bind-address", "the private server listens on its socket alone"),
    ("skip-grant-tables", "the replay could not change accounts"),
    ("init-file", "dbbak uses it for its own account"),
    ("event-scheduler", "events would change the data"),
    ("skip-slave-start", "replication would change the data"),
    ("skip-replica-start", "replication would change the data"),
    ("server-id", "it must differ from the source's"),
    ("read-only", "the replay writes"),
    ("super-read-only", "the replay writes"),
    ("relay-log", PLACE),
    ("relay-log-index", PLACE),
    ("master-info-file", PLACE),
    ("relay-log-info-file", PLACE),
    ("replicate-same-server-id", APPLIER),
    ("replicate-do-db", APPLIER),
    ("replicate-ignore-db", APPLIER),
    ("replicate-do-table", APPLIER),
    ("replicate-ignore-table", APPLIER),
    ("replicate-wild-do-table", APPLIER),
    ("replicate-wild-ignore-table", APPLIER),
    ("replicate-rewrite-db", APPLIER),
    ("replicate-events-marked-for-skip", APPLIER),
    ("slave-skip-errors", APPLIER),
    ("replica-skip-errors", APPLIER),
    ("slave-exec-mode", APPLIER),
    ("replica-exec-mode", APPLIER),
    ("slave-ddl-exec-mode", APPLIER),
    ("slave-run-triggers-for-rbr", APPLIER),
    ("log-slave-updates", APPLIER),
    ("log-replica-updates", APPLIER),
    ("wsrep-on", "the private server joins no cluster"),
    ("wsrep-cluster-address", "the private server joins no cluster"),
];

/// Refuses what is no long option, and what is reserved, in any spelling that the tools take: underscores for dashes,
/// `skip-`, `loose-` and `maximum-` in front.
///
/// # Errors
///
/// [`CommandError::NotAnOption`], [`CommandError::ReservedOption`].
pub(super) fn check_extra_options(options: &[String], reserved: Reserved) -> Result<(), CommandError> {
    for option in options {
        let text = option
            .strip_prefix("--")
            .filter(|text| text.starts_with(|first: char| first.is_ascii_alphabetic()))
            .ok_or_else(|| CommandError::NotAnOption { text: without_value(option).to_owned() })?;
        let name = without_value(text).to_ascii_lowercase().replace('_', "-");
        let bare = ["loose-", "maximum-", "skip-", "disable-", "enable-"]
            .iter()
            .fold(name.as_str(), |name, prefix| name.strip_prefix(prefix).unwrap_or(name));
        // The tools take any unambiguous beginning of a name, so that `--target=/x` would be the target directory.
        let found = reserved.iter().find(|(known, _)| {
            *known == bare || *known == name || (bare.len() >= 3 && known.starts_with(bare) && !is_a_name(bare))
        });
        if found.is_none() && is_secret_option(option) {
            return Err(CommandError::ReservedOption { option: format!("--{name}"), reason: KEYS });
        }
        if let Some((_, reason)) = found {
            return Err(CommandError::ReservedOption { option: format!("--{name}"), reason });
        }
    }
    Ok(())
}

/// Options that exist and are the beginning of a reserved one.
fn is_a_name(name: &str) -> bool {
    matches!(name, "log" | "user" | "innodb")
}

fn without_value(option: &str) -> &str {
    option.split('=').next().unwrap_or(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(option: &str) -> Result<(), CommandError> {
        check_extra_options(&[option.to_owned()], BACKUP_TOOL)
    }

    #[test]
    fn lets_ordinary_options_pass() {
        for option in [
            "--open-files-limit=65536",
            "--kill-long-queries-timeout=20",
            "--lock-ddl-timeout=30",
            "--keyring-file-data=/etc/keyring",
            "--innodb-log-checkpoint-now",
            "--ftwrl-wait-timeout=60",
            "--safe-slave-backup-timeout=600",
            "--check-privileges",
        ] {
            assert_eq!(check(option), Ok(()), "{option}");
        }
    }

    #[test]
    fn refuses_what_dbbak_relies_on_in_every_spelling() {
        for option in [
            "--password=x",
            "--target-dir=/x",
            "--target_dir=/x",
            "--TARGET-DIR=/x",
            "--target=/x",
            "--loose-no-lock",
            "--skip-backup",
            "--no-defaults",
            "--databases-exclude=d",
            "--incremental-lsn=5",
            "--compress=zstd",
            "--stream=xbstream",
        ] {
            assert!(matches!(check(option), Err(CommandError::ReservedOption { .. })), "{option}: {:?}", check(option));
        }
        for option in ["-p", "-pX=1", "target", "--", "--=x", ""] {
            assert!(matches!(check(option), Err(CommandError::NotAnOption { .. })), "{option}");
        }
    }

    #[test]
    fn names_the_option_without_its_value() {
        let error = check("--password=hunter2").unwrap_err();
        assert_eq!(error.to_string(), "option --password is reserved: secrets come from the option file alone");
    }

    #[test]
    fn keeps_the_private_server_private() {
        for option in ["--port=3306", "--skip-networking=0", "--event_scheduler=ON", "--datadir=/var/lib/mysql"] {
            assert!(check_extra_options(&[option.to_owned()], PRIVATE_SERVER).is_err(), "{option}");
        }
        let key =
            check_extra_options(&["--file-key-management-filekey=hunter2".to_owned()], PRIVATE_SERVER).unwrap_err();
        assert!(key.to_string().contains("FILE:/path") && !key.to_string().contains("hunter2"), "{key}");
        for option in ["--plugin-load-add=file_key_management", "--innodb-buffer-pool-size=4G", "--plugin-dir=/p"] {
            assert_eq!(check_extra_options(&[option.to_owned()], PRIVATE_SERVER), Ok(()), "{option}");
        }
    }
}
