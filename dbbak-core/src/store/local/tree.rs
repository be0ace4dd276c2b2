//! Whole directory trees of a local store: forcing them to the disk and removing them.

use super::{disk::FileKind, files::Files};
use crate::store::{KeyPart, Operation, StoreError, StoreKey, layout};
use std::io::ErrorKind;
use uuid::Uuid;

/// What the NFS client calls a file that is removed while someone has it open, until they close it.
const SILLY_RENAME: &str = ".nfs";

impl Files {
    /// Forces everything at and below `key` to the disk, and then its name.
    pub(super) fn sync_tree(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.sync_below(key)?;
        self.sync_dir(&key.parent().unwrap_or_else(StoreKey::root))
    }

    fn sync_below(&self, key: &StoreKey) -> Result<(), StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::Sync, source);
        match self.patiently(|| self.disk.stat(&self.place(key))).map_err(failed)?.kind {
            FileKind::Directory => {
                for child in self.children(key, Operation::Sync)? {
                    self.sync_below(&child)?;
                }
                self.sync_dir(key)
            }
            FileKind::File => self.patiently(|| self.disk.sync(&self.place(key))).map_err(failed),
            // What a link says lies in its directory.
            FileKind::Symlink | FileKind::Other => Ok(()),
        }
    }

    /// The places in a directory; a link to a directory is not entered.
    pub(super) fn children(&self, key: &StoreKey, operation: Operation) -> Result<Vec<StoreKey>, StoreError> {
        let names = self
            .patiently(|| self.disk.read_dir(&self.place(key)))
            .map_err(|source| StoreError::from_io(key, operation, source))?;
        let mut children = Vec::with_capacity(names.len());
        for name in names {
            let part = name.to_str().and_then(|name| KeyPart::new(name).ok()).ok_or_else(|| StoreError::BadName {
                directory: key.clone(),
                name: name.to_string_lossy().into_owned(),
            })?;
            children.push(key.child(&part));
        }
        children.sort();
        Ok(children)
    }

    /// Moves a tree out of sight in one step and then takes it apart, so that half a tree is never taken for a whole.
    pub(super) fn remove_tree(&self, key: &StoreKey) -> Result<(), StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::Remove, source);
        if self.disk.stat(&self.place(key)).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            return Ok(());
        }
        self.create_dirs(&layout::tmp())?;
        let aside = layout::removed(Uuid::new_v4());
        match self.disk.rename(&self.place(key), &self.place(&aside)) {
            Ok(()) => self.sync_dir(&key.parent().unwrap_or_else(StoreKey::root))?,
            // It has gone aside already when an NFS request was sent twice; otherwise it never was there.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        self.remove_below(&aside).map(|_| ())
    }

    /// Returns whether the place is empty now: what someone still has open goes by itself when they close it.
    fn remove_below(&self, key: &StoreKey) -> Result<bool, StoreError> {
        let path = self.place(key);
        let failed = |source| StoreError::from_io(key, Operation::Remove, source);
        let stat = match self.patiently(|| self.disk.stat(&path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            stat => stat.map_err(failed)?,
        };
        if stat.kind != FileKind::Directory {
            self.remove(key)?;
            return Ok(true);
        }
        let mut is_empty = true;
        for child in self.children(key, Operation::Remove)? {
            if child.file_name().is_some_and(|name| name.starts_with(SILLY_RENAME)) {
                is_empty = false;
            } else {
                is_empty &= self.remove_below(&child)?;
            }
        }
        if !is_empty {
            return Ok(false);
        }
        match self.disk.remove_dir(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            // A file that was open when it was removed stands there under its other name since.
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && self.only_silly(key) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    fn only_silly(&self, key: &StoreKey) -> bool {
        let silly = |child: &StoreKey| child.file_name().is_some_and(|name| name.starts_with(SILLY_RENAME));
        self.children(key, Operation::Remove).is_ok_and(|children| children.iter().all(silly))
    }
}
