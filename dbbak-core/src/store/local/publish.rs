//! A new file on its way into a local store.

use super::{
    files::{Files, Staged, info},
    lease::Lease,
};
use crate::store::{ObjectInfo, Operation, Publish, StoreError, StoreKey};
use std::{
    io::{self, Write},
    sync::Arc,
};

/// A staged file, and the name that it is to get.
#[derive(Debug)]
pub(super) struct LocalPublish {
    files: Files,
    lease: Arc<Lease>,
    key: StoreKey,
    /// Taken by the commit or the abort.
    staged: Option<Staged>,
}

impl LocalPublish {
    pub(super) fn start(files: &Files, lease: &Arc<Lease>, key: &StoreKey) -> Result<Self, StoreError> {
        let operation = Operation::Publish;
        lease.check_for(key, operation)?;
        if files.head(key)?.is_some() {
            return Err(StoreError::AlreadyExists { key: key.clone(), operation });
        }
        let staged = files.stage(key)?;
        Ok(LocalPublish { files: files.clone(), lease: Arc::clone(lease), key: key.clone(), staged: Some(staged) })
    }

    fn staged(&mut self) -> io::Result<&mut Staged> {
        self.staged.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for LocalPublish {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.staged()?.write(bytes);
        written.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => StoreError::from_io(&self.key, Operation::Write, error).into_io(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.staged()?.flush();
        flushed.map_err(|error| StoreError::from_io(&self.key, Operation::Write, error).into_io())
    }
}

impl Publish for LocalPublish {
    fn commit(mut self: Box<Self>) -> Result<ObjectInfo, StoreError> {
        let Some(staged) = self.staged.take() else {
            return Err(StoreError::NotFound { key: self.key.clone(), operation: Operation::Publish });
        };
        let settled = self.files.settle(&self.key, staged)?;
        // Asked as late as possible: writing the content may have taken hours.
        if let Err(lost) = self.lease.check() {
            self.files.remove_stage(&settled.stage);
            return Err(lost);
        }
        let stat = settled.stat;
        self.files.publish_new(settled, &self.key)?;
        Ok(info(self.key.clone(), &stat))
    }

    fn abort(mut self: Box<Self>) -> Result<(), StoreError> {
        if let Some(staged) = self.staged.take() {
            let stage = staged.stage.clone();
            self.files.discard(staged);
            if self.files.head(&stage)?.is_some() {
                return self.files.remove(&stage);
            }
        }
        Ok(())
    }
}

impl Drop for LocalPublish {
    fn drop(&mut self) {
        if let Some(staged) = self.staged.take() {
            self.files.discard(staged);
        }
    }
}
