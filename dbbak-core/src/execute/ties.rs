//! Cuts what leads a server on restored data to its source.

use super::{Event, Reporter, error::ExecuteError, files};
use crate::{
    plan::PersistedSettings,
    store::{StoreKey, StoreReader, read_version},
    tools::{
        JOINS_AT_START, PERSISTED, inward_index, is_log_index, is_tie, out_of_group, without_paths, without_secrets,
    },
};
use std::path::Path;

/// Removes the files that lead a server to its source, and has each list of logs name those of the data directory alone. Doing
/// so twice does no harm.
///
/// # Errors
///
/// When a file cannot be read, written or removed.
pub(super) fn cut_ties(
    datadir: &Path,
    persisted: Option<&StoreKey>,
    store: &dyn StoreReader,
    reporter: &dyn Reporter,
) -> Result<(), ExecuteError> {
    bring_persisted(datadir, persisted, store, reporter)?;
    let names = files::names_in(datadir)?;
    for name in &names {
        let path = datadir.join(name);
        if is_tie(name) {
            files::remove_file(&path)?;
        } else if is_log_index(name)
            && let Some(bytes) = files::read_file(&path)?
            && let Some(inward) = inward_index(&bytes, &|other| names.iter().any(|name| name == other))
        {
            files::write_replacing(&path, &inward)?;
        }
    }
    Ok(())
}

/// Gives MySQL's persisted settings back: those in the data, else those that were kept with the backup. What names a path of
/// the source is left out, and told.
fn bring_persisted(
    datadir: &Path,
    persisted: Option<&StoreKey>,
    store: &dyn StoreReader,
    reporter: &dyn Reporter,
) -> Result<(), ExecuteError> {
    let path = datadir.join(PERSISTED);
    let kept = match (files::read_file(&path)?, persisted) {
        (Some(bytes), _) => Some(bytes),
        (None, Some(key)) => read_version(store, key)?.map(|(bytes, _)| bytes),
        (None, None) => None,
    };
    let Some(kept) = kept else { return Ok(()) };
    let warn = |text: String| reporter.report(&Event::Warning { text: &text });
    match without_paths(&kept) {
        Ok((bytes, left)) => {
            for (name, value) in left {
                warn(format!(
                    "the source had persisted {name} = {value:?} (SET PERSIST): it is not given back, since it leads to the source's files"
                ));
            }
            // A member joins its group by itself when it starts, from wherever it was restored to.
            let out = out_of_group(&bytes).ok().flatten();
            if out.is_some() {
                warn(format!(
                    "the source was a member of a replication group: {JOINS_AT_START} is OFF among the persisted settings, so that the \
                     restored server joins nobody by itself (RESET PERSIST {JOINS_AT_START})"
                ));
            }
            files::write_replacing(&path, out.as_deref().unwrap_or(&bytes))
        }
        Err(error) => {
            warn(format!("the settings that the source had persisted ({PERSISTED}) are not given back: {error}"));
            files::remove_file(&path)
        }
    }
}

/// Reads the settings that a server has persisted, secrets left out. Where that cannot be, it is told: a backup is good
/// without them.
pub(super) fn read_persisted(step: &PersistedSettings, reporter: &dyn Reporter) -> Option<Vec<u8>> {
    let lost = |why: String| {
        let text = format!(
            "settings that the server has persisted (SET PERSIST) are not in this backup: {why}; they are {}",
            step.names.join(", ")
        );
        reporter.report(&Event::Warning { text: &text });
        None
    };
    let own = files::read_file(&step.datadir.join("auto.cnf"));
    let own = own.map(|bytes| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()));
    match (own, &step.uuid) {
        (Ok(Some(text)), Some(uuid)) if text.contains(uuid.as_str()) => {}
        (Ok(_), _) => return lost(format!("{} is not the server's own on this machine", step.datadir.display())),
        (Err(error), _) => return lost(error.to_string()),
    }
    match files::read_file(&step.datadir.join(PERSISTED)) {
        Ok(Some(bytes)) => match without_secrets(&bytes) {
            Ok((bytes, left)) => {
                if !left.is_empty() {
                    let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
                    let text =
                        format!("persisted settings that hold secrets are not in this backup: {}", names.join(", "));
                    reporter.report(&Event::Warning { text: &text });
                }
                Some(bytes)
            }
            Err(error) => lost(error.to_string()),
        },
        Ok(None) => lost(format!("{PERSISTED} is not there")),
        Err(error) => lost(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the tests look at what was written")]

    use super::super::reporter::Silent;
    use super::*;
    use std::fs;

    /// Without a store.
    fn bare(datadir: &Path) {
        let store = crate::store::LocalStore::new(datadir);
        cut_ties(datadir, None, &store, &Silent).unwrap();
    }

    #[test]
    fn nothing_leads_to_the_source_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        for name in ["auto.cnf", "ibdata1", "backup-my.cnf", "master-c1.info", "binlog.000007"] {
            fs::write(file(name), name).unwrap();
        }
        fs::write(file("binlog.index"), "/var/log/mysql/binlog.000007\n").unwrap();
        fs::create_dir(file("shop")).unwrap();
        for _ in 0..2 {
            bare(dir.path());
            let names = files::names_in(dir.path()).unwrap();
            assert_eq!(names, ["binlog.000007", "binlog.index", "ibdata1", "shop"]);
            assert_eq!(fs::read_to_string(file("binlog.index")).unwrap(), "./binlog.000007\n");
        }
    }
}
