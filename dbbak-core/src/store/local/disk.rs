//! The few file operations that a local store is made of, behind a trait, so that tests can make each of them fail.
#![expect(clippy::disallowed_methods, reason = "the local store's own access to the file system")]

use super::ownership;
use chrono::{DateTime, Utc};
use rustix::fs::{Advice, CWD, OFlags, RenameFlags, fadvise, renameat_with};
use std::{
    ffi::OsString,
    fmt::Debug,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    num::NonZero,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Bytes after which the system is told to begin writing a file out: the sync at its end finds little left to do.
const WRITE_OUT: u64 = 8 << 20;

/// Backups and binlogs hold all the data there is: others see nothing, whatever the umask.
const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// What something on a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// What a file system says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskStat {
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was last changed, by the file system's clock.
    pub modified: Option<DateTime<Utc>>,
    /// Device and inode: the same for every name of one file.
    pub identity: (u64, u64),
}

/// A file system.
///
/// Each method is one system call or nearly so, with its errors as they come; what an error means over NFS, where a
/// request that succeeded may be sent twice, is the caller's to judge.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file that must not exist and opens it for writing.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Looks at a path; a symbolic link is looked at itself.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn stat(&self, path: &Path) -> io::Result<DiskStat>;

    /// Looks at a path; of a symbolic link, at what it leads to.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn stat_target(&self, path: &Path) -> io::Result<DiskStat>;

    /// What a symbolic link says.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a directory, not its parents.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of what has it.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name that nothing has yet, in one step. Many network file systems cannot
    /// (`InvalidInput` or `Unsupported`).
    ///
    /// # Errors
    ///
    /// As the system says.
    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name that nothing has yet.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// Forces a file or a directory that is there already to the disk.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn sync(&self, path: &Path) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Read + Write + Seek + Debug + Send {
    /// Looks at the file.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn stat(&self) -> io::Result<DiskStat>;

    /// Forces the content to the disk.
    ///
    /// # Errors
    ///
    /// As the system says: here network file systems report what earlier writes hid.
    fn sync(&mut self) -> io::Result<()>;

    /// Closes the file.
    ///
    /// # Errors
    ///
    /// As the system says, where it can be asked. The system's own disk has nothing left to say after [`DiskFile::sync`].
    fn close(self: Box<Self>) -> io::Result<()>;
}

/// The operating system's file systems.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

#[derive(Debug)]
struct SystemFile {
    file: File,
    /// Bytes written, and how many of them the system was told to write out.
    written: u64,
    told: u64,
}

impl SystemFile {
    fn new(file: File) -> Self {
        SystemFile { file, written: 0, told: 0 }
    }
}

fn stat_of(metadata: &fs::Metadata) -> DiskStat {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Symlink,
        _ => FileKind::Other,
    };
    DiskStat {
        kind,
        size: metadata.len(),
        modified: metadata.modified().ok().map(DateTime::from),
        identity: (metadata.dev(), metadata.ino()),
    }
}

impl Disk for SystemDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        // Somebody else may write into a store. Opening a pipe would wait for a writer for ever; regular files know no waiting.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Box::new(SystemFile::new(file)))
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
        ownership::give_new_file(&file, path);
        Ok(Box::new(SystemFile::new(file)))
    }

    fn stat(&self, path: &Path) -> io::Result<DiskStat> {
        fs::symlink_metadata(path).map(|metadata| stat_of(&metadata))
    }

    fn stat_target(&self, path: &Path) -> io::Result<DiskStat> {
        fs::metadata(path).map(|metadata| stat_of(&metadata))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.file_name())).collect()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(DIRECTORY_MODE).create(path)?;
        ownership::give_new_dir(path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl Read for SystemFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Write for SystemFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        let more = NonZero::new(self.written - self.told).filter(|more| more.get() >= WRITE_OUT);
        if more.is_some() {
            // Begins the writing and waits for nothing (posix_fadvise(2)). Advice alone: what fails shows at the sync.
            let _ = fadvise(&self.file, self.told, more, Advice::DontNeed);
            self.told = self.written;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for SystemFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl DiskFile for SystemFile {
    fn stat(&self) -> io::Result<DiskStat> {
        self.file.metadata().map(|metadata| stat_of(&metadata))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn close(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, Mode, mknodat};

    #[test]
    fn a_pipe_in_a_store_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let (pipe, file) = (dir.path().join("pipe"), dir.path().join("file"));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        fs::write(&file, "text").unwrap();
        for refused in [pipe.as_path(), dir.path()] {
            assert_eq!(SystemDisk.open(refused).unwrap_err().to_string(), "it is no regular file");
        }
        let mut text = String::new();
        SystemDisk.open(&file).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }
}
