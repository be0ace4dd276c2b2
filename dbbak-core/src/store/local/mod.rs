//! A store in a directory: a local disk or an NFS mount.
//!
//! A new file is staged below `tmp/`, forced to the disk, given a name that nothing has, and the directory is forced to
//! the disk; so a name never stands for half a content. What network file systems do differently is dealt with where it
//! happens: errors that come only with the sync or the close, requests that are sent twice and fail the second time,
//! forgotten file handles, listings that lag behind.

mod contend;
pub mod disk;
mod files;
mod judge;
mod lease;
mod lock_file;
mod owner;
mod ownership;
pub mod processes;
mod publish;
mod reader;
mod reserve;
mod session;
mod tree;
mod unlock;

pub use ownership::give_new_dir;

use super::{
    LocalDir, LockHolder, LockRequest, LockScope, ObjectInfo, Session, Store, StoreError, StoreKey, StoreReader,
};
use crate::clock::{Clock, SystemClock};
use disk::{Disk, SystemDisk};
use files::Files;
use lease::Lease;
use processes::{Processes, SystemProcesses};
use reader::LocalReader;
use session::LocalSession;
use std::{io::Read, ops::Range, path::PathBuf, sync::Arc};

/// A store in a directory.
#[derive(Debug, Clone)]
pub struct LocalStore {
    files: Files,
    processes: Arc<dyn Processes>,
}

impl LocalStore {
    /// The store whose root is this directory. Nothing is looked at yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let parts = LocalParts::default();
        LocalStore::with(root, parts)
    }

    /// The same, made of other parts: for tests.
    pub fn with(root: impl Into<PathBuf>, parts: LocalParts) -> Self {
        let LocalParts { disk, clock, processes } = parts;
        LocalStore { files: Files { dir: LocalDir::new(root), disk, clock }, processes }
    }
}

/// What a local store is made of.
#[derive(Debug, Clone)]
pub struct LocalParts {
    /// The file system.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The processes that locks ask about.
    pub processes: Arc<dyn Processes>,
}

impl Default for LocalParts {
    fn default() -> Self {
        LocalParts {
            disk: Arc::new(SystemDisk),
            clock: Arc::new(SystemClock::new()),
            processes: Arc::new(SystemProcesses),
        }
    }
}

impl StoreReader for LocalStore {
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

impl Store for LocalStore {
    fn lock_many(&self, scopes: &[LockScope], request: &LockRequest) -> Result<Box<dyn Session>, StoreError> {
        let lease = Lease::take(&self.files, &*self.processes, scopes, request)?;
        Ok(Box::new(LocalSession { files: self.files.clone(), lease: Arc::new(lease) }))
    }

    fn lock_holders(&self) -> Result<Vec<LockHolder>, StoreError> {
        self.files.lock_holders()
    }
}
