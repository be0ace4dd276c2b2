//! The write side of a local store, standing on its lease.

use super::{files::Files, lease::Lease, ownership, publish::LocalPublish, reader::LocalReader};
use crate::store::{
    LocalDir, LockScope, ObjectInfo, Operation, ProcessGroup, Publish, Session, StoreError, StoreKey, StoreReader,
    Version, layout,
};
use std::{
    io::{ErrorKind, Read},
    ops::Range,
    path::PathBuf,
    sync::Arc,
};

/// A locked local store.
#[derive(Debug)]
pub(super) struct LocalSession {
    pub(super) files: Files,
    pub(super) lease: Arc<Lease>,
}

impl StoreReader for LocalSession {
    fn list(&self, prefix: &StoreKey) -> Result<Vec<ObjectInfo>, StoreError> {
        self.files.list(prefix)
    }

    fn list_keys(&self, prefix: &StoreKey) -> Result<Vec<StoreKey>, StoreError> {
        self.files.list_keys(prefix)
    }

    fn head(&self, key: &StoreKey) -> Result<Option<ObjectInfo>, StoreError> {
        self.files.head(key)
    }

    fn open(&self, key: &StoreKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, StoreError> {
        Ok(Box::new(LocalReader::open(&self.files, key, range)?))
    }

    fn local_dir(&self) -> Option<LocalDir> {
        Some(self.files.dir.clone())
    }

    fn describe(&self) -> String {
        self.files.dir.root().display().to_string()
    }
}

impl Session for LocalSession {
    fn scopes(&self) -> &[LockScope] {
        self.lease.scopes()
    }

    fn publish(&self, key: &StoreKey) -> Result<Box<dyn Publish>, StoreError> {
        Ok(Box::new(LocalPublish::start(&self.files, &self.lease, key)?))
    }

    fn replace(&self, key: &StoreKey, expected: Option<&Version>, bytes: &[u8]) -> Result<Version, StoreError> {
        self.lease.check_for(key, Operation::Replace)?;
        let current = self.files.read(key).map_err(|source| StoreError::from_io(key, Operation::Read, source))?;
        let found = current.as_deref().map(Version::of);
        if found.as_ref() != expected {
            return Err(StoreError::VersionConflict { key: key.clone(), expected: expected.copied(), found });
        }
        let version = Version::of(bytes);
        if found == Some(version) {
            return Ok(version);
        }
        self.lease.note_change();
        let Some(current) = current else {
            let settled = self.files.stage_bytes(key, bytes)?;
            self.files.publish_new(settled, key)?;
            return Ok(version);
        };
        // The previous generation is a copy, never a link: over NFS version 3 a reader elsewhere finds the old file by
        // its handle for up to a minute as long as that file lives, under whatever name.
        let previous = self.files.stage_bytes(key, &current)?;
        let settled = match self.files.stage_bytes(key, bytes) {
            Ok(settled) => settled,
            Err(error) => {
                self.files.remove_stage(&previous.stage);
                return Err(error);
            }
        };
        let named = self
            .files
            .publish_over(previous, &layout::previous(key), Operation::KeepPrevious)
            .and_then(|()| self.lease.check());
        if let Err(error) = named {
            self.files.remove_stage(&settled.stage);
            return Err(error);
        }
        self.files.publish_over(settled, key, Operation::Replace)?;
        Ok(version)
    }

    fn create_dir(&self, key: &StoreKey) -> Result<PathBuf, StoreError> {
        let operation = Operation::CreateDir;
        self.lease.check_for(key, operation)?;
        if self.files.head(key)?.is_some() {
            return Err(StoreError::AlreadyExists { key: key.clone(), operation });
        }
        let parent = key.parent().unwrap_or_else(StoreKey::root);
        self.files.create_dirs(&parent)?;
        let path = self.files.place(key);
        match self.files.disk.create_dir(&path) {
            Ok(()) => {}
            // Nothing was there a moment ago, and the lock keeps others out: an NFS request was sent twice. What is not
            // empty was hidden by a cache.
            Err(error)
                if error.kind() == ErrorKind::AlreadyExists
                    && self.files.disk.read_dir(&path).is_ok_and(|names| names.is_empty()) => {}
            Err(error) => return Err(StoreError::from_io(key, operation, error)),
        }
        self.files.sync_dir(&parent)?;
        Ok(path.path())
    }

    fn sync_tree(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.lease.check_for(key, Operation::Sync)?;
        self.files.sync_tree(key)
    }

    fn settle_owner(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.lease.check_for(key, Operation::Sync)?;
        ownership::give_tree(self.files.dir.root(), &self.files.place(key));
        Ok(())
    }

    fn remove(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.lease.check_for(key, Operation::Remove)?;
        self.files.remove(key)
    }

    fn remove_tree(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.lease.check_for(key, Operation::Remove)?;
        self.files.remove_tree(key)
    }

    fn check_lease(&self) -> Result<(), StoreError> {
        self.lease.check()
    }

    fn note_children(&self, groups: &[ProcessGroup]) -> Result<(), StoreError> {
        self.lease.note_children(groups)
    }

    fn release(self: Box<Self>) -> Result<(), StoreError> {
        self.lease.release()
    }
}

impl Drop for LocalSession {
    fn drop(&mut self) {
        // A file on its way may outlive the session and hold the lease, so the end of the lease is not enough.
        let _ = self.lease.release();
    }
}
