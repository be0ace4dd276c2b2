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

/// The files that a private server finds in its data directory while it runs, which tell it where the keys are.
///
/// # Errors
///
/// [`PlanError::NoKeyring`] where something is encrypted and the configuration names no keyring.
pub(super) fn keyring(
    config: &Config,
    encrypted: Option<(&str, &Encryption)>,
    datadir: &Path,
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
    Ok(files.filter_map(|from| Some(KeyringFile { from: from.clone(), to: datadir.join(from.file_name()?) })).collect())
}
