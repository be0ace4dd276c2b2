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

/// Removes a copy in which no key was made, and tells of any other: the restored data may need these keys.
///
/// # Errors
///
/// When a file cannot be read or removed.
pub(super) fn settle(file: &KeyringFile, running: &Running<'_>) -> Result<(), ExecuteError> {
    if let Some(dir) = left(file)? {
        let text = format!(
            "the copy of the keyring in {} is another than what {} names: the replay made keys, or the running server did meanwhile. What the \
             replay encrypted may need the copy; keep it with the restored data, and start their server on it",
            dir.display(),
            file.from.display()
        );
        running.reporter.report(&Event::Warning { text: &text });
    }
    Ok(())
}

/// Removes a copy in which no key was made; gives back where any other lies.
fn left(file: &KeyringFile) -> Result<Option<PathBuf>, ExecuteError> {
    let Some((keys, dir)) = file.keys.as_ref().zip(directory(file)) else { return Ok(None) };
    if let Some((_, keyring, copy)) = copied(file)?
        && files::read_file(&copy)? == files::read_file_behind(&keyring)?
    {
        // The component's own, which it writes before it changes the keyring.
        let before = copy.with_file_name(format!("{}.backup", copy.file_name().unwrap_or_default().display()));
        files::remove_file(&before)?;
        files::remove_file(&copy)?;
    }
    // What is left holds keys that were made, or nobody can tell any more.
    files::remove_if_empty(&dir)?;
    if files::exists(&dir) {
        return Ok(Some(dir));
    }
    files::remove_if_empty(keys)?;
    Ok(None)
}

/// Where the copy of what a configuration names lies. Of each configuration its own: two may name keyrings of the same name.
fn directory(file: &KeyringFile) -> Option<PathBuf> {
    Some(file.keys.as_ref()?.join(file.to.file_name()?))
}

/// A component's configuration, the keyring that it names, and where the copy of that lies.
fn copied(file: &KeyringFile) -> Result<Option<(String, PathBuf, PathBuf)>, ExecuteError> {
    let Some(dir) = directory(file) else { return Ok(None) };
    let text = String::from_utf8_lossy(&files::read_file_behind(&file.from)?.unwrap_or_default()).into_owned();
    let named = keyring_of(&text).filter(|path| path.is_absolute());
    Ok(named.and_then(|keyring| {
        let copy = dir.join(keyring.file_name()?);
        Some((text, keyring, copy))
    }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test lays out the files that the code looks at")]

    use super::*;
    use std::fs;

    #[test]
    fn a_copy_goes_only_where_the_keyring_holds_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let names = |file: &str, keyring: &str| {
            fs::write(path(file), format!(r#"{{"path": "{}"}}"#, path(keyring).display())).unwrap();
        };
        fs::create_dir(path("data")).unwrap();
        fs::write(path("live"), "k1").unwrap();
        names("c.cnf", "live");
        let keys = Some(path("keyring"));
        let file = KeyringFile { from: path("c.cnf"), to: path("data/c.cnf"), keys, read_only: false };
        let kept = path("keyring/c.cnf");

        lay_out(&file).unwrap();
        assert_eq!(fs::read_to_string(kept.join("live")).unwrap(), "k1");
        assert_eq!(left(&file).unwrap(), None);
        assert!(!path("keyring").exists());

        // A key was made; the next server goes on with it.
        lay_out(&file).unwrap();
        fs::write(kept.join("live"), "k1 k2").unwrap();
        assert_eq!(left(&file).unwrap(), Some(kept.clone()));
        lay_out(&file).unwrap();
        assert_eq!(fs::read_to_string(kept.join("live")).unwrap(), "k1 k2");
        // Another keyring was named meanwhile, or the configuration is gone: the copy is all that has its key.
        names("c.cnf", "other");
        assert_eq!(left(&file).unwrap(), Some(kept.clone()));
        fs::remove_file(path("c.cnf")).unwrap();
        assert_eq!(left(&file).unwrap(), Some(kept.clone()));
        assert_eq!(fs::read_to_string(kept.join("live")).unwrap(), "k1 k2");
        assert_eq!(fs::read_to_string(path("live")).unwrap(), "k1");
    }
}
