//! Where a restore works: a directory that may be used, with room for what is to come.

use super::Restore;
use crate::{
    plan::{
        PlanError,
        batches::{Room, data_space},
    },
    probe::{Filesystem, PathState},
};
use std::path::Path;

/// A server that starts on data without a redo log makes one: 100 MiB by default on MySQL 8.0.30 and later, 96 MiB on MariaDB
/// and MySQL 5.7. Neither a backup nor a private server has the source's size for it.
const REDO_LOG: u64 = 100 << 20;

/// What else a server makes when it starts, and removes when it stops: temporary tablespaces (12 MiB with both vendors), MySQL's
/// doublewrite files (16 MiB for a pool of the default size).
const OF_SERVER: u64 = 32 << 20;

impl<'a> Restore<'a> {
    pub(super) fn check_workdir(&self) -> Result<(), PlanError> {
        let unusable = |reason: String| Err(PlanError::WorkdirUnusable { path: self.workdir.clone(), reason });
        match self.facts.paths.get(&self.workdir) {
            // What a journal tells of is dbbak's own.
            Some(PathState::Directory { empty: false, .. }) if self.facts.journal.is_none() => {
                return Err(PlanError::WorkdirNotEmpty { path: self.workdir.clone() });
            }
            Some(PathState::Directory { writable: false, .. }) => return unusable("it is not writable".into()),
            Some(PathState::File { .. } | PathState::Other) => return unusable("it is no directory".into()),
            _ => {}
        }
        if !self.workdir.is_absolute() {
            return unusable("it is not an absolute path".into());
        }
        let running = match &self.facts.server {
            Some(Ok(server)) => Some(&server.datadir),
            _ => None,
        };
        // A server that does not answer may run all the same.
        for datadir in running.into_iter().chain(&self.config.server.datadir) {
            if self.workdir.starts_with(datadir) || datadir.starts_with(&self.workdir) {
                return unusable(format!("a running server uses {}", datadir.display()));
            }
        }
        if self.filesystem().is_some_and(|filesystem| filesystem.network) {
            return unusable("it is reached through the network, where no prepare may run".into());
        }
        let in_store = |root: &Path| self.workdir.starts_with(root) && !self.workdir.starts_with(root.join("tmp"));
        if self.catalog.root.as_deref().is_some_and(in_store) {
            return unusable("it lies in the store".into());
        }
        Ok(())
    }

    /// The file system of the work directory, or of the directory that it will be made in.
    fn filesystem(&self) -> Option<&'a Filesystem> {
        self.workdir.ancestors().find_map(|dir| self.facts.filesystems.get(dir))
    }

    /// Room for the restored data, in bytes, while it is brought up, with the redo log that a server makes in it.
    pub(super) fn data_space(&self) -> u64 {
        data_space(self.facts, self.chain, self.base.0) + REDO_LOG + OF_SERVER
    }

    /// Room for a replay.
    pub(super) fn room(&self) -> Room {
        Room { free: self.free(), data: self.data_space(), limit: self.config.replay_space }
    }

    /// What may be written, in bytes: what a dead run of this restore left is used again, or makes room.
    fn free(&self) -> Option<u64> {
        let left = self.facts.sizes.get(&self.workdir).filter(|_| self.facts.journal.is_some());
        let left = left.map_or(0, |size| size.bytes);
        self.filesystem().map(|filesystem| filesystem.free.saturating_add(left))
    }

    pub(super) fn check_space(&self, needed: u64) -> Result<(), PlanError> {
        match self.free() {
            Some(free) if free < needed => {
                let free = self.filesystem().map_or(free, |filesystem| filesystem.free);
                Err(PlanError::NotEnoughSpace { path: self.workdir.clone(), free, needed })
            }
            _ => Ok(()),
        }
    }
}
