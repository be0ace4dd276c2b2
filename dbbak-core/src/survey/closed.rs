//! Looks for what this process's user may not read of a server's files.

use super::SurveyError;
use crate::{
    config::Config,
    facts::Facts,
    probe::{Probe, ProbeError},
};
use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The variables that name further directories of InnoDB's and Aria's files; a list has semicolons between.
const DIRECTORIES: [&str; 5] = [
    "innodb_data_home_dir",
    "innodb_log_group_home_dir",
    "innodb_undo_directory",
    "innodb_directories",
    "aria_log_dir_path",
];

/// A link file of MariaDB's InnoDB holds a path alone.
const LINK_FILE_LIMIT: u64 = 4096;

/// Looks for what cannot be read of the data directory and of the directories and tables that lie elsewhere.
pub(super) fn of_data(facts: &mut Facts, config: &Config, probe: &dyn Probe) {
    let Some(Ok(server)) = &facts.server else { return };
    let datadir = config.server.datadir.as_ref().unwrap_or(&server.datadir);
    let mut found = probe.closed(datadir);
    let named = DIRECTORIES.iter().filter_map(|name| server.variables.get(*name));
    let mut elsewhere: Vec<PathBuf> = named.flat_map(|value| value.split(';')).map(PathBuf::from).collect();
    if found.is_empty() && !facts.host.root {
        elsewhere.extend(linked_tables(probe, datadir));
    }
    elsewhere.retain(|path| path.is_absolute() && !path.starts_with(datadir));
    elsewhere.sort();
    elsewhere.dedup();
    for path in elsewhere {
        let more = probe.closed(&path).into_iter().filter(|more| !found.contains(more)).collect::<Vec<_>>();
        found.extend(more);
    }
    facts.closed = found;
}

/// The tablespaces that `.isl` files name: InnoDB's tables with a `DATA DIRECTORY`.
fn linked_tables(probe: &dyn Probe, datadir: &Path) -> Vec<PathBuf> {
    let files = probe.tree_files(datadir).unwrap_or_default();
    let links = files.into_iter().filter(|file| file.path.ends_with(".isl"));
    let target = |path: String| {
        let mut text = String::new();
        let file = probe.open_file(&datadir.join(path)).ok()?;
        file.take(LINK_FILE_LIMIT).read_to_string(&mut text).ok()?;
        Some(PathBuf::from(text.trim()))
    };
    links.filter_map(|file| target(file.path)).collect()
}

/// Takes note of binlogs that may not be read here. Any other error is given back.
///
/// # Errors
///
/// What `error` was, where it tells of no closed path.
pub(super) fn of_binlogs(facts: &mut Facts, probe: &dyn Probe, error: SurveyError) -> Result<(), SurveyError> {
    let SurveyError::Probe(ProbeError::Io { path, source, .. }) = &error else { return Err(error) };
    if source.kind() != io::ErrorKind::PermissionDenied {
        return Err(error);
    }
    match probe.closed(path).into_iter().find(|closed| !closed.by_capability) {
        Some(closed) => {
            facts.closed_binlogs = Some(closed);
            Ok(())
        }
        None => Err(error),
    }
}
