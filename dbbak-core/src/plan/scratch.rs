//! Chooses where private copies lie.

use super::PlanError;
use crate::{config::Config, facts::Facts, model::Stamp, probe::PathState};
use std::path::{Path, PathBuf};

/// Directories of dead runs begin with it.
pub const SCRATCH_PREFIX: &str = "dbbak-";

/// A directory for private copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scratch {
    /// The directory, which does not exist yet.
    pub(super) dir: PathBuf,
    /// Whether a rename leads from it into the store.
    pub(super) same_filesystem: bool,
}

/// The directory below which private copies lie: `scratch_dir`, else the store's own `tmp/` where the store is local.
///
/// # Errors
///
/// [`PlanError::NoScratch`] when the store is reached through the network and no `scratch_dir` is set.
pub fn scratch_root(config: &Config, facts: &Facts, root: &Path) -> Result<PathBuf, PlanError> {
    if let Some(dir) = &config.scratch_dir {
        return match facts.filesystems.get(dir) {
            Some(filesystem) if filesystem.network => Err(PlanError::WorkdirUnusable {
                path: dir.clone(),
                reason: "it is reached through the network, where no prepare may run".into(),
            }),
            _ => Ok(dir.clone()),
        };
    }
    match facts.filesystems.get(root) {
        Some(filesystem) if filesystem.network => Err(PlanError::NoScratch { store: root.to_owned() }),
        _ => Ok(root.join("tmp")),
    }
}

/// Why no directory can be made in a scratch directory, as far as the survey saw it or the directories above it.
pub fn unusable(facts: &Facts, dir: &Path) -> Option<String> {
    let there = dir.ancestors().find_map(|path| match facts.paths.get(path) {
        None | Some(PathState::Missing) => None,
        Some(state) => Some((path, state)),
    });
    match there? {
        (_, PathState::Directory { writable: true, .. }) => None,
        (path, PathState::Directory { .. }) => Some(format!("{} is not writable", path.display())),
        (path, _) => Some(format!("{} is no directory", path.display())),
    }
}

/// The directory of a backup's private copy.
pub(super) fn backup_scratch(config: &Config, facts: &Facts, root: &Path, ts: Stamp) -> Result<Scratch, PlanError> {
    let parent = scratch_root(config, facts, root)?;
    let device = |path: &Path| facts.filesystems.get(path).map(|filesystem| filesystem.device);
    let same_filesystem = match config.scratch_dir {
        None => true,
        Some(_) => device(&parent).is_some() && device(&parent) == device(root),
    };
    Ok(Scratch { dir: parent.join(format!("{SCRATCH_PREFIX}backup-{ts}")), same_filesystem })
}
