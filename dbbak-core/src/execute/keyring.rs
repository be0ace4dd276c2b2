//! Private servers' keyrings: a server of MySQL that makes a key writes its whole keyring file anew, without a look at what another server wrote into
//! it meanwhile (`component_keyring_file` of 9.7.4). So each works on a copy.

use super::{Event, error::ExecuteError, files, running::Running};
use crate::{
    plan::KeyringFile,
    tools::{keyring_of, with_keyring},
};
use std::path::{Path, PathBuf};

/// Puts a file that tells where the keys are to where a private server finds it, and a copy of the keyring that it names to where the file says
/// then. A copy that is there already is a run's that died: the data may need its keys.
///
/// # Errors
///
/// When a file cannot be read or written.
pub(super) fn lay_out(file: &KeyringFile) -> Result<(), ExecuteError> {
    let Some((text, keyring, copy)) = copied(file)? else { return files::copy_private(&file.from, &file.to) };
    for dir in [copy.parent().and_then(Path::parent), copy.parent()].into_iter().flatten() {
        if !files::exists(dir) {
            files::create_new_dir(dir)?;
        }
    }
    if !files::exists(&copy) && files::exists(&keyring) {
        // A copy that a death cut off must not be taken for a whole one.
        let begun = copy.with_extension("dbbak-new");
        files::copy_private(&keyring, &begun)?;
        files::rename(&begun, &copy)?;
    }
    files::remove_file(&file.to)?;
    files::write_private(&file.to, with_keyring(&text, &copy, file.read_only))
}

/// Removes the copies in which no key was made, and tells of the others: the restored data may need these keys.
///
/// # Errors
///
/// When a file cannot be read or removed.
pub(super) fn settle(file: &KeyringFile, running: &Running<'_>) -> Result<(), ExecuteError> {
    let Some((_, keyring, copy)) = copied(file)? else { return Ok(()) };
    let made = files::read_file(&copy)?;
    if made.is_some() && made != files::read_file_behind(&keyring)? && !file.read_only {
        let text = format!(
            "the keyring {} is another than {}: the replay made keys, or the running server did meanwhile. What the replay encrypted may need the \
             copy; keep it with the restored data, and start their server on it",
            copy.display(),
            keyring.display()
        );
        running.reporter.report(&Event::Warning { text: &text });
        return Ok(());
    }
    // Its own alone: that of another configuration may hold keys that were made.
    copy.parent().map_or(Ok(()), files::remove_tree)?;
    file.keys.as_deref().map_or(Ok(()), files::remove_if_empty)
}

/// A component's configuration, the keyring that it names, and where the copy of that lies.
fn copied(file: &KeyringFile) -> Result<Option<(String, PathBuf, PathBuf)>, ExecuteError> {
    let Some(keys) = &file.keys else { return Ok(None) };
    let text = String::from_utf8_lossy(&files::read_file_behind(&file.from)?.unwrap_or_default()).into_owned();
    let named = keyring_of(&text).filter(|path| path.is_absolute());
    Ok(named.and_then(|keyring| {
        // Of each configuration its own: two may name files of the same name.
        let copy = keys.join(file.to.file_name()?).join(keyring.file_name()?);
        Some((text, keyring, copy))
    }))
}
