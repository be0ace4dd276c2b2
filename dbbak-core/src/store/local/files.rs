//! Reading, staging and naming files below a store's root, with what NFS does to each of these taken into account.

use super::disk::{Disk, DiskFile, DiskStat, FileKind, Place};
use crate::{
    beneath::link_at,
    clock::Clock,
    store::{KeyPart, LocalDir, ObjectInfo, Operation, StoreError, StoreKey, layout},
};
use rustix::io::Errno;
use std::{
    io::{self, BufWriter, ErrorKind, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use uuid::Uuid;

/// How often an operation is repeated that met a file handle which the NFS server has forgotten.
const STALE_ATTEMPTS: u32 = 5;
const STALE_PAUSE: Duration = Duration::from_millis(20);

/// Bytes gathered before they are written.
const WRITE_BUFFER: usize = 128 * 1024;

/// A store's directory, and the means to work in it.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) dir: LocalDir,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A file below `tmp/` on its way to its name.
#[derive(Debug)]
pub(super) struct Staged {
    /// Where it lies until then.
    pub(super) stage: StoreKey,
    file: BufWriter<Box<dyn DiskFile>>,
}

/// A staged file that is whole and on the disk.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) stage: StoreKey,
    pub(super) stat: DiskStat,
}

/// Whether the file system cannot do an operation at all, as opposed to not now.
pub(super) fn cannot(error: &io::Error) -> bool {
    let unable = [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL];
    unable.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

impl Files {
    pub(super) fn place(&self, key: &StoreKey) -> Place {
        Place::new(self.dir.root(), key.parts().collect::<PathBuf>())
    }

    /// Repeats what met a forgotten file handle; each attempt starts from the path again.
    pub(super) fn patiently<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        for _ in 1..STALE_ATTEMPTS {
            match attempt() {
                Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => self.clock.sleep(STALE_PAUSE),
                done => return done,
            }
        }
        attempt()
    }

    /// Looks at a place; `None` when nothing is there.
    pub(super) fn stat(&self, key: &StoreKey) -> io::Result<Option<DiskStat>> {
        let path = self.place(key);
        match self.patiently(|| self.disk.stat(&path)) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn head(&self, key: &StoreKey) -> Result<Option<ObjectInfo>, StoreError> {
        let stat = self.stat(key).map_err(|source| StoreError::from_io(key, Operation::Head, source))?;
        Ok(stat.map(|stat| info(key.clone(), &stat)))
    }

    pub(super) fn list(&self, prefix: &StoreKey) -> Result<Vec<ObjectInfo>, StoreError> {
        let keys = self.list_keys(prefix)?;
        let mut children = Vec::with_capacity(keys.len());
        for key in &keys {
            // A cached listing may name what is gone by now.
            children.extend(self.head(key)?);
        }
        Ok(children)
    }

    pub(super) fn list_keys(&self, prefix: &StoreKey) -> Result<Vec<StoreKey>, StoreError> {
        let failed = |source| StoreError::from_io(prefix, Operation::List, source);
        let path = self.place(prefix);
        let names = match self.patiently(|| self.disk.read_dir(&path)) {
            Ok(names) => names,
            // The root must be there: a mount that is missing is no empty store.
            Err(error) if error.kind() == ErrorKind::NotFound && !prefix.is_root() => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut children = Vec::with_capacity(names.len());
        for name in names {
            let part = name.to_str().and_then(|name| KeyPart::new(name).ok()).ok_or_else(|| StoreError::BadName {
                directory: prefix.clone(),
                name: name.to_string_lossy().into_owned(),
            })?;
            children.push(part);
        }
        // As names, before they are keys: comparing whole paths part by part is slow, and the parents are the same.
        children.sort();
        Ok(children.iter().map(|part| prefix.child(part)).collect())
    }

    /// Reads a small file whole; `None` when it is not there.
    pub(super) fn read(&self, key: &StoreKey) -> io::Result<Option<Vec<u8>>> {
        let path = self.place(key);
        let read = self.patiently(|| {
            let mut bytes = Vec::new();
            self.disk.open(&path)?.read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        match read {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the directories down to `key`, those that are missing, and forces their names to the disk.
    pub(super) fn create_dirs(&self, key: &StoreKey) -> Result<(), StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::CreateDir, source);
        if let Some(stat) = self.stat(key).map_err(failed)? {
            return match stat.kind {
                FileKind::Directory => Ok(()),
                FileKind::Symlink => Err(failed(link_at(key.as_str().as_ref()))),
                _ => Err(failed(ErrorKind::NotADirectory.into())),
            };
        }
        let Some(parent) = key.parent() else {
            return Err(StoreError::NotFound { key: key.clone(), operation: Operation::CreateDir });
        };
        self.create_dirs(&parent)?;
        match self.disk.create_dir(&self.place(key)) {
            Ok(()) => self.sync_dir(&parent),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn sync_dir(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self.disk.sync(&self.place(key)) {
            // Some file systems keep directories safe by themselves and refuse to be asked.
            Err(error) if !cannot(&error) => Err(StoreError::from_io(key, Operation::Sync, error)),
            _ => Ok(()),
        }
    }

    /// Starts a staged file; `target` stands for it in errors.
    pub(super) fn stage(&self, target: &StoreKey) -> Result<Staged, StoreError> {
        self.create_dirs(&layout::tmp())?;
        let mut attempts_left = 3;
        loop {
            attempts_left -= 1;
            let stage = layout::staged(Uuid::new_v4());
            match self.disk.create_new(&self.place(&stage)) {
                Ok(file) => return Ok(Staged { stage, file: BufWriter::with_capacity(WRITE_BUFFER, file) }),
                // The name is new, so it exists only when an NFS request was sent twice: take another.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempts_left > 0 => {}
                Err(error) => return Err(StoreError::from_io(target, Operation::Stage, error)),
            }
        }
    }

    /// Stages a small content whole.
    pub(super) fn stage_bytes(&self, target: &StoreKey, bytes: &[u8]) -> Result<Settled, StoreError> {
        let mut staged = self.stage(target)?;
        if let Err(error) = staged.file.write_all(bytes) {
            self.discard(staged);
            return Err(StoreError::from_io(target, Operation::Write, error));
        }
        self.settle(target, staged)
    }

    /// Forces a staged file to the disk and closes it. A failure removes it.
    pub(super) fn settle(&self, target: &StoreKey, staged: Staged) -> Result<Settled, StoreError> {
        let Staged { stage, file } = staged;
        let settled = settle_file(target, file);
        match settled {
            Ok(stat) => Ok(Settled { stage, stat }),
            Err(error) => {
                self.remove_stage(&stage);
                Err(error)
            }
        }
    }

    /// Throws a staged file away without writing what is still in memory.
    pub(super) fn discard(&self, staged: Staged) {
        let Staged { stage, file } = staged;
        drop(file.into_parts());
        self.remove_stage(&stage);
    }

    /// Removes a staged file; one that stays is an orphan that a later clean-up finds.
    pub(super) fn remove_stage(&self, stage: &StoreKey) {
        let _ = self.disk.remove_file(&self.place(stage));
    }

    /// Whether a staged file has its name, although the system said that giving it failed: an NFS request that was sent
    /// twice fails the second time because of the first.
    fn has_landed(&self, settled: &Settled, target: &Place) -> bool {
        let Ok(found) = self.patiently(|| self.disk.stat(target)) else {
            return false;
        };
        if found.identity == settled.stat.identity {
            return true;
        }
        // Where inodes do not last, a stage that only we could have moved away tells the same.
        let stage = self.patiently(|| self.disk.stat(&self.place(&settled.stage)));
        matches!(stage, Err(error) if error.kind() == ErrorKind::NotFound) && found.size == settled.stat.size
    }

    /// Gives a staged file a name that nothing has, and forces the name to the disk. A failure leaves neither.
    ///
    /// Where the file system knows no way to do that in one step, the session's lock keeps other writers out instead.
    pub(super) fn publish_new(&self, settled: Settled, key: &StoreKey) -> Result<(), StoreError> {
        self.publish_by(settled, key, |from, to| match self.rename_or_link(from, to) {
            Err(error) if cannot(&error) => match self.disk.stat(to) {
                Ok(_) => Err(ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == ErrorKind::NotFound => self.disk.rename(from, to),
                Err(error) => Err(error),
            },
            named => named,
        })
    }

    /// As [`Files::publish_new`], in one step or not at all: for the locks themselves.
    pub(super) fn publish_strictly(&self, settled: Settled, key: &StoreKey) -> Result<(), StoreError> {
        self.publish_by(settled, key, |from, to| self.rename_or_link(from, to))
    }

    fn publish_by(
        &self,
        settled: Settled,
        key: &StoreKey,
        give_name: impl FnOnce(&Place, &Place) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let named = self.name_new(&settled, key, give_name);
        if named.is_err() {
            self.remove_stage(&settled.stage);
        }
        named
    }

    fn name_new(
        &self,
        settled: &Settled,
        key: &StoreKey,
        give_name: impl FnOnce(&Place, &Place) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let parent = key.parent().unwrap_or_else(StoreKey::root);
        self.create_dirs(&parent)?;
        let (from, to) = (self.place(&settled.stage), self.place(key));
        if let Err(error) = give_name(&from, &to) {
            if !self.has_landed(settled, &to) {
                return Err(StoreError::from_io(key, Operation::Publish, error));
            }
            // It may have landed as a second name only.
            self.remove_stage(&settled.stage);
        }
        self.sync_dir(&parent).inspect_err(|_| {
            // A name that may not last must not be taken for a published one.
            let _ = self.disk.remove_file(&to);
        })
    }

    /// The ways to give a name without a clobber; NFS knows only the second.
    fn rename_or_link(&self, from: &Place, to: &Place) -> io::Result<()> {
        match self.disk.rename_new(from, to) {
            Err(error) if cannot(&error) => {}
            renamed => return renamed,
        }
        match self.disk.link(from, to) {
            Ok(()) => {
                let _ = self.disk.remove_file(from);
                Ok(())
            }
            // What link(2) says where the file system has no second names.
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => Err(Errno::OPNOTSUPP.into()),
            Err(error) => Err(error),
        }
    }

    /// Gives a staged file a name in place of what has it, and forces the name to the disk.
    pub(super) fn publish_over(
        &self,
        settled: Settled,
        key: &StoreKey,
        operation: Operation,
    ) -> Result<(), StoreError> {
        self.rename_over(settled, key, operation)?;
        self.sync_dir(&key.parent().unwrap_or_else(StoreKey::root))
    }

    fn rename_over(&self, settled: Settled, key: &StoreKey, operation: Operation) -> Result<(), StoreError> {
        let to = self.place(key);
        match self.disk.rename(&self.place(&settled.stage), &to) {
            Err(error) if !self.has_landed(&settled, &to) => {
                self.remove_stage(&settled.stage);
                Err(StoreError::from_io(key, operation, error))
            }
            _ => Ok(()),
        }
    }

    /// Replaces a small file that need not outlast the machine, such as a heartbeat: nothing is forced to the disk.
    pub(super) fn overwrite(&self, key: &StoreKey, bytes: &[u8]) -> Result<(), StoreError> {
        let Staged { stage, file } = self.stage(key)?;
        let (mut file, _) = file.into_parts();
        let written = file.write_all(bytes).and_then(|()| file.stat()).and_then(|stat| {
            file.close()?;
            Ok(stat)
        });
        let settled = match written {
            Ok(stat) => Settled { stage, stat },
            Err(error) => {
                self.remove_stage(&stage);
                return Err(StoreError::from_io(key, Operation::Write, error));
            }
        };
        let parent = key.parent().unwrap_or_else(StoreKey::root);
        self.create_dirs(&parent)?;
        self.rename_over(settled, key, Operation::Replace)
    }

    /// Removes a file's name; one that is not there counts as removed, as after an NFS request that was sent twice.
    pub(super) fn remove(&self, key: &StoreKey) -> Result<(), StoreError> {
        match self.disk.remove_file(&self.place(key)) {
            Ok(()) => self.sync_dir(&key.parent().unwrap_or_else(StoreKey::root)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
            Err(error) => Err(StoreError::from_io(key, Operation::Remove, error)),
        }
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn settle_file(target: &StoreKey, file: BufWriter<Box<dyn DiskFile>>) -> Result<DiskStat, StoreError> {
    let failed = |operation| move |source| StoreError::from_io(target, operation, source);
    let mut file = file.into_inner().map_err(|error| failed(Operation::Write)(error.into_error()))?;
    file.sync().map_err(failed(Operation::Sync))?;
    let stat = file.stat().map_err(failed(Operation::Sync))?;
    file.close().map_err(failed(Operation::Close))?;
    Ok(stat)
}

/// What the store says about something on its disk.
pub(super) fn info(key: StoreKey, stat: &DiskStat) -> ObjectInfo {
    let is_prefix = stat.kind == FileKind::Directory;
    ObjectInfo { key, size: if is_prefix { 0 } else { stat.size }, is_prefix, modified: stat.modified }
}
