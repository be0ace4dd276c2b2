//! A file system that fails as tests say: errors before and after the operation, at the sync and at the close, listings
//! that lag behind.

use dbbak_core::store::local::disk::{Disk, DiskFile, DiskStat, Place, SystemDisk};
use rustix::io::Errno;
use std::{
    ffi::OsString,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An operation that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Opening for reading.
    Open,
    /// Reading from an open file.
    Read,
    /// Creating a file.
    Create,
    /// Writing to an open file.
    Write,
    /// Forcing an open file to the disk.
    SyncFile,
    /// Closing a file.
    Close,
    /// Forcing a path to the disk.
    Sync,
    /// Looking at a path.
    Stat,
    /// Listing a directory.
    ReadDir,
    /// Making a directory.
    CreateDir,
    /// Renaming over.
    Rename,
    /// Renaming to a new name.
    RenameNew,
    /// Linking.
    Link,
    /// Removing a file.
    RemoveFile,
    /// Removing a directory.
    RemoveDir,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not done.
    Refused(Errno),
    /// It is done, and said to have failed, as by an NFS request that was sent twice.
    DoneAndDenied(Errno),
}

#[derive(Debug)]
struct Rule {
    op: Op,
    /// What the path (of two, the second) contains.
    path: String,
    fault: Fault,
    /// How many such operations go well before.
    skip: u32,
    /// How often it happens.
    times: u32,
}

#[derive(Debug, Default)]
struct Script {
    rules: Vec<Rule>,
    ghosts: Vec<(PathBuf, OsString)>,
    happened: u32,
    /// How many more changes there are before the writer is dead.
    alive_for: Option<u32>,
}

/// The real file system with faults. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk {
    script: Arc<Mutex<Script>>,
}

impl FaultyDisk {
    /// A disk without faults.
    pub fn new() -> Self {
        FaultyDisk::default()
    }

    /// A disk that knows no way to give a name without a clobber but linking, as NFS does.
    pub fn like_nfs() -> Self {
        let disk = FaultyDisk::new();
        disk.always(Op::RenameNew, "", Fault::Refused(Errno::INVAL));
        disk
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next such operation fail whose path contains a text.
    pub fn once(&self, op: Op, path: &str, fault: Fault) {
        self.times(op, path, fault, 1);
    }

    /// Makes every such operation fail whose path contains a text.
    pub fn always(&self, op: Op, path: &str, fault: Fault) {
        self.times(op, path, fault, u32::MAX);
    }

    /// Makes the next so many such operations fail whose path contains a text.
    pub fn times(&self, op: Op, path: &str, fault: Fault, times: u32) {
        self.script().rules.push(Rule { op, path: path.to_owned(), fault, skip: 0, times });
    }

    /// Lets so many such operations go well whose path contains a text, and makes the next one fail.
    pub fn after(&self, op: Op, path: &str, fault: Fault, skip: u32) {
        self.script().rules.push(Rule { op, path: path.to_owned(), fault, skip, times: 1 });
    }

    /// Lets so many such operations go well whose path contains a text, and makes every one after them fail.
    pub fn from_then_on(&self, op: Op, path: &str, fault: Fault, skip: u32) {
        self.script().rules.push(Rule { op, path: path.to_owned(), fault, skip, times: u32::MAX });
    }

    /// Lets so many changes of names go well, and refuses every change after them, as if the writer had been killed.
    pub fn dies_after(&self, changes: u32) {
        self.script().alive_for = Some(changes);
    }

    /// Makes listings of a directory name what is not there.
    pub fn ghost(&self, directory: &Path, name: &str) {
        self.script().ghosts.push((directory.to_owned(), name.into()));
    }

    /// Lifts all faults.
    pub fn heal(&self) {
        let mut script = self.script();
        script.rules.clear();
        script.ghosts.clear();
        script.alive_for = None;
    }

    /// How many operations failed so far.
    pub fn happened(&self) -> u32 {
        self.script().happened
    }

    fn fault(&self, op: Op, path: &Path) -> Option<Fault> {
        let mut script = self.script();
        let changes = [Op::Create, Op::CreateDir, Op::Rename, Op::RenameNew, Op::Link, Op::RemoveFile, Op::RemoveDir];
        if let Some(left) = script.alive_for.filter(|_| changes.contains(&op)) {
            script.alive_for = Some(left.saturating_sub(1));
            if left == 0 {
                script.happened += 1;
                return Some(Fault::Refused(Errno::IO));
            }
        }
        let text = path.to_string_lossy();
        let rule = script.rules.iter_mut().find(|rule| rule.op == op && rule.times > 0 && text.contains(&rule.path))?;
        if rule.skip > 0 {
            rule.skip -= 1;
            return None;
        }
        rule.times = rule.times.saturating_sub(1);
        let fault = rule.fault;
        script.happened += 1;
        Some(fault)
    }

    fn run<T>(&self, op: Op, path: &Path, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.fault(op, path) {
            None => operation(),
            Some(Fault::Refused(errno)) => Err(errno.into()),
            Some(Fault::DoneAndDenied(errno)) => operation().and(Err(errno.into())),
        }
    }

    fn wrap(&self, path: &Path, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultyFile { disk: self.clone(), path: path.to_owned(), inner })
    }
}

impl Disk for FaultyDisk {
    fn open(&self, place: &Place) -> io::Result<Box<dyn DiskFile>> {
        self.run(Op::Open, &place.path(), || SystemDisk.open(place)).map(|file| self.wrap(&place.path(), file))
    }

    fn create_new(&self, place: &Place) -> io::Result<Box<dyn DiskFile>> {
        self.run(Op::Create, &place.path(), || SystemDisk.create_new(place)).map(|file| self.wrap(&place.path(), file))
    }

    fn stat(&self, place: &Place) -> io::Result<DiskStat> {
        self.run(Op::Stat, &place.path(), || SystemDisk.stat(place))
    }

    fn read_dir(&self, place: &Place) -> io::Result<Vec<OsString>> {
        let mut names = self.run(Op::ReadDir, &place.path(), || SystemDisk.read_dir(place))?;
        let script = self.script();
        names.extend(
            script.ghosts.iter().filter(|(directory, _)| *directory == place.path()).map(|(_, name)| name.clone()),
        );
        Ok(names)
    }

    fn create_dir(&self, place: &Place) -> io::Result<()> {
        self.run(Op::CreateDir, &place.path(), || SystemDisk.create_dir(place))
    }

    fn rename(&self, from: &Place, to: &Place) -> io::Result<()> {
        self.run(Op::Rename, &to.path(), || SystemDisk.rename(from, to))
    }

    fn rename_new(&self, from: &Place, to: &Place) -> io::Result<()> {
        self.run(Op::RenameNew, &to.path(), || SystemDisk.rename_new(from, to))
    }

    fn link(&self, from: &Place, to: &Place) -> io::Result<()> {
        self.run(Op::Link, &to.path(), || SystemDisk.link(from, to))
    }

    fn remove_file(&self, place: &Place) -> io::Result<()> {
        self.run(Op::RemoveFile, &place.path(), || SystemDisk.remove_file(place))
    }

    fn remove_dir(&self, place: &Place) -> io::Result<()> {
        self.run(Op::RemoveDir, &place.path(), || SystemDisk.remove_dir(place))
    }

    fn sync(&self, place: &Place) -> io::Result<()> {
        self.run(Op::Sync, &place.path(), || SystemDisk.sync(place))
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    inner: Box<dyn DiskFile>,
}

impl Read for FaultyFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let FaultyFile { disk, path, inner } = self;
        disk.run(Op::Read, path, || inner.read(buffer))
    }
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let FaultyFile { disk, path, inner } = self;
        disk.run(Op::Write, path, || inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Seek for FaultyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl DiskFile for FaultyFile {
    fn stat(&self) -> io::Result<DiskStat> {
        self.inner.stat()
    }

    fn sync(&mut self) -> io::Result<()> {
        let FaultyFile { disk, path, inner } = self;
        disk.run(Op::SyncFile, path, || inner.sync())
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        let FaultyFile { disk, path, inner } = *self;
        disk.run(Op::Close, &path, || inner.close())
    }
}
