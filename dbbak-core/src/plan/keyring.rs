//! Which keys a private server gets, and which backups need some.

use super::{PlanError, step::KeyringFile};
use crate::{
    catalog::Backup,
    config::Config,
    facts::StoredBackup,
    store::Encryption,
    tools::{encrypted_logs, encrypts_tables, key_plugin, names_keyring},
};
use std::path::Path;

/// What is encrypted in a backup: as it was recorded, else as the settings that were kept with it tell. `None`: nothing
/// that is known of.
pub(super) fn encryption_of(backup: &Backup, stored: &StoredBackup) -> Option<Encryption> {
    if let Some(recorded) = backup.server().and_then(|server| server.encryption.clone()) {
        return Some(recorded);
    }
    let variables = &stored.variables;
    let logs: Vec<String> = encrypted_logs(variables).into_iter().map(str::to_owned).collect();
    if logs.is_empty() && !encrypts_tables(variables) {
        return None;
    }
    let keyring = key_plugin(variables).map(str::to_owned);
    Some(Encryption { logs, keyring, ..Encryption::default() })
}

/// Whether a configuration tells a private server where its keys are.
pub fn config_names_keyring(config: &Config) -> bool {
    config.server.keyring_files.is_some() || names_keyring(&config.server.options)
}

/// What is told of a replay whose private server writes the keyring of others where it makes a key.
pub(super) fn shared_keyring(config: &Config) -> Option<String> {
    let of_plugin =
        |option: &String| option.replace('_', "-").contains("keyring-") && option.replace('_', "-").contains("-data=");
    let own = config.server.keyring_files.as_ref().is_some_and(Vec::is_empty);
    (own || config.server.options.iter().any(of_plugin)).then(|| {
        "the private server opens the very keyring that the configuration has it open: a statement of the window that makes a key (a \
         rotation of the master key, a first encrypted table) writes it, and a server that runs on the same file can lose keys; name one that no \
         server writes"
            .to_owned()
    })
}

/// The directory of a restore's work directory that holds the private servers' copy of a keyring.
pub(super) const KEYS: &str = "keyring";

/// The files that a private server finds in its data directory while it runs, which tell it where the keys are. It works on a copy of the keyring
/// in the directory of `keys`, which it may write unless that says that it is read-only.
///
/// # Errors
///
/// [`PlanError::NoKeyring`] where something is encrypted and the configuration names no keyring.
pub(super) fn keyring(
    config: &Config,
    encrypted: Option<(&str, &Encryption)>,
    datadir: &Path,
    keys: Option<(&Path, bool)>,
) -> Result<Vec<KeyringFile>, PlanError> {
    let named = config_names_keyring(config);
    if let Some((holder, encryption)) = encrypted.filter(|_| !named) {
        return Err(PlanError::NoKeyring {
            holder: holder.to_owned(),
            encrypted: encryption.to_string(),
            keyring: encryption.keyring.clone(),
        });
    }
    let files = config.server.keyring_files.iter().flatten();
    let file = |from: &std::path::PathBuf| {
        let to = datadir.join(from.file_name()?);
        let read_only = keys.is_some_and(|(_, read_only)| read_only);
        Some(KeyringFile { from: from.clone(), to, keys: keys.map(|(dir, _)| dir.to_owned()), read_only })
    };
    Ok(files.filter_map(file).collect())
}
