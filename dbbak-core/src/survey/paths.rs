//! Looks at paths and file systems.

use super::{SurveyError, closed};
use crate::{
    catalog::Catalog,
    config::Config,
    facts::Facts,
    probe::{PathState, Probe},
};
use std::path::{Path, PathBuf};

/// What dead runs left begins with it: of backups, and of fetched binlogs. Each command looks for its own alone, since the
/// other one's may be at work.
const BACKUP_PREFIX: &str = "dbbak-backup-";
const FETCH_PREFIX: &str = "dbbak-fetch-";

/// Looks at what a backup needs: the store, the scratch directory and what dead runs left there, the data directory.
///
/// # Errors
///
/// When a path cannot be looked at.
pub fn backup_paths(
    facts: &mut Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
) -> Result<(), SurveyError> {
    look_at_scratch(facts, config, catalog, probe, BACKUP_PREFIX)?;
    size_of_data(facts, probe);
    closed::of_data(facts, config, probe);
    Ok(())
}

/// Looks at what fetching binlogs needs: the scratch directory and what dead runs left there.
///
/// # Errors
///
/// When a path cannot be looked at.
pub fn fetch_paths(
    facts: &mut Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
) -> Result<(), SurveyError> {
    look_at_scratch(facts, config, catalog, probe, FETCH_PREFIX)
}

fn look_at_scratch(
    facts: &mut Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
    prefix: &str,
) -> Result<(), SurveyError> {
    let root = catalog.root.as_deref().unwrap_or(&config.nfs_root);
    look(facts, probe, root)?;
    let scratch = config.scratch_dir.clone().unwrap_or_else(|| root.join("tmp"));
    look(facts, probe, &scratch)?;
    look_above(facts, probe, &scratch)?;
    if let Some(PathState::Directory { .. }) = facts.paths.get(&scratch) {
        let names = probe.list_dir(&scratch)?;
        let left = names.iter().filter(|name| name.starts_with(prefix));
        facts.leftovers = left.map(|name| scratch.join(name)).collect();
    }
    Ok(())
}

fn size_of_data(facts: &mut Facts, probe: &dyn Probe) {
    let datadir = match &facts.server {
        Some(Ok(server)) => Some(server.datadir.clone()),
        _ => None,
    };
    if let Some(datadir) = &datadir
        && let Ok(state) = probe.path_state(datadir)
    {
        facts.paths.insert(datadir.clone(), state);
    }
    // The server's files may belong to somebody else; then only the tool will know how large the backup gets.
    if let Some(datadir) = datadir
        && let Ok(size) = probe.tree_size(&datadir)
    {
        facts.sizes.insert(datadir, size);
    }
}

/// Looks at what `check` judges: the store, the scratch directory, the option file, the data directory.
///
/// # Errors
///
/// When a path cannot be looked at.
pub fn check_paths(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    look(facts, probe, &config.nfs_root)?;
    let scratch = config.scratch_dir.clone().unwrap_or_else(|| config.nfs_root.join("tmp"));
    look(facts, probe, &scratch)?;
    look_above(facts, probe, &scratch)?;
    if let Some(path) = &config.mysql_option_file {
        facts.paths.insert(path.clone(), probe.path_state(path)?);
    }
    size_of_data(facts, probe);
    closed::of_data(facts, config, probe);
    Ok(())
}

/// Looks at what a restore needs: the work directory, or the directory that it will be made in.
///
/// # Errors
///
/// When a path cannot be looked at.
pub fn restore_paths(
    facts: &mut Facts,
    config: &Config,
    catalog: &Catalog,
    probe: &dyn Probe,
    workdir: Option<&Path>,
) -> Result<(), SurveyError> {
    let root = catalog.root.as_deref().unwrap_or(&config.nfs_root);
    look(facts, probe, root)?;
    let scratch: PathBuf = config.scratch_dir.clone().unwrap_or_else(|| root.join("tmp"));
    look(facts, probe, &scratch)?;
    look_above(facts, probe, &scratch)?;
    if let Some(workdir) = workdir {
        look(facts, probe, workdir)?;
    }
    Ok(())
}

/// Looks at the directory in which a path that is not there would be made.
fn look_above(facts: &mut Facts, probe: &dyn Probe, path: &Path) -> Result<(), SurveyError> {
    for above in path.ancestors().skip(1) {
        if facts.paths.get(path) != Some(&PathState::Missing) {
            break;
        }
        let state = probe.path_state(above)?;
        let is_there = state != PathState::Missing;
        facts.paths.insert(above.to_owned(), state);
        if is_there {
            break;
        }
    }
    Ok(())
}

fn look(facts: &mut Facts, probe: &dyn Probe, path: &Path) -> Result<(), SurveyError> {
    facts.paths.insert(path.to_owned(), probe.path_state(path)?);
    facts.filesystems.insert(path.to_owned(), probe.filesystem(path)?);
    Ok(())
}
