//! Reading one file of a local store, across an NFS server that forgets the handle.

use super::{disk::DiskFile, files::Files};
use crate::store::{Operation, StoreError, StoreKey};
use std::{
    io::{self, ErrorKind, Read, SeekFrom},
    ops::Range,
};

/// The content of a file, or a part of it.
#[derive(Debug)]
pub(super) struct LocalReader {
    files: Files,
    key: StoreKey,
    file: Box<dyn DiskFile>,
    identity: (u64, u64),
    /// The next byte's offset in the file.
    position: u64,
    /// The offset of the first byte handed out.
    start: u64,
    /// The offset after the last byte to hand out.
    end: u64,
}

impl LocalReader {
    pub(super) fn open(files: &Files, key: &StoreKey, range: Option<Range<u64>>) -> Result<Self, StoreError> {
        let range = range.unwrap_or(0..u64::MAX);
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotADirectory => StoreError::NotFound { key: key.clone(), operation: Operation::Open },
            _ => StoreError::from_io(key, Operation::Open, source),
        };
        let (file, identity) = open_at(files, key, range.start).map_err(failed)?;
        Ok(LocalReader {
            files: files.clone(),
            key: key.clone(),
            file,
            identity,
            position: range.start,
            start: range.start,
            end: range.end,
        })
    }

    /// Opens the file again after its handle was forgotten. Another file under the same name would be another content,
    /// so it is taken only while nothing of the first was handed out.
    fn reopen(&mut self) -> io::Result<()> {
        let (file, identity) = open_at(&self.files, &self.key, self.position)?;
        if identity != self.identity && self.position != self.start {
            return Err(ErrorKind::StaleNetworkFileHandle.into());
        }
        (self.file, self.identity) = (file, identity);
        Ok(())
    }
}

fn open_at(files: &Files, key: &StoreKey, offset: u64) -> io::Result<(Box<dyn DiskFile>, (u64, u64))> {
    let path = files.place(key);
    files.patiently(|| {
        let mut file = files.disk.open(&path)?;
        let identity = file.stat()?.identity;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset))?;
        }
        Ok((file, identity))
    })
}

impl Read for LocalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut read = self.file.read(&mut buffer[..wanted]);
        if matches!(&read, Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle) {
            read = self.reopen().and_then(|()| self.file.read(&mut buffer[..wanted]));
        }
        match read {
            Ok(read) => {
                self.position += read as u64;
                Ok(read)
            }
            // The caller's loop repeats an interrupted read, which it must recognise.
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => Err(StoreError::from_io(&self.key, Operation::Read, error).into_io()),
        }
    }
}
