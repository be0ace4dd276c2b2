//! The few file operations that a local store is made of, behind a trait, so that tests can make each of them fail.

use super::ownership;
pub use crate::beneath::Place;
use chrono::{DateTime, Utc};
use rustix::fs::{
    Advice, AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fadvise, fstat, linkat, mkdirat, openat, renameat,
    renameat_with, statat, unlinkat,
};
use std::{
    ffi::OsString,
    fmt::Debug,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    num::NonZero,
    os::unix::ffi::OsStringExt,
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

/// A file system. No symbolic link below the root of a place is followed.
///
/// Each method is one system call or nearly so, with its errors as they come; what an error means over NFS, where a
/// request that succeeded may be sent twice, is the caller's to judge.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn open(&self, place: &Place) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a file that must not exist and opens it for writing.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn create_new(&self, place: &Place) -> io::Result<Box<dyn DiskFile>>;

    /// Looks at a path; a symbolic link is looked at itself.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn stat(&self, place: &Place) -> io::Result<DiskStat>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn read_dir(&self, place: &Place) -> io::Result<Vec<OsString>>;

    /// Makes a directory, not its parents.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn create_dir(&self, place: &Place) -> io::Result<()>;

    /// Gives a file another name, in place of what has it.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn rename(&self, from: &Place, to: &Place) -> io::Result<()>;

    /// Gives a file another name that nothing has yet, in one step. Many network file systems cannot
    /// (`InvalidInput` or `Unsupported`).
    ///
    /// # Errors
    ///
    /// As the system says.
    fn rename_new(&self, from: &Place, to: &Place) -> io::Result<()>;

    /// Gives a file a second name that nothing has yet.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn link(&self, from: &Place, to: &Place) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn remove_file(&self, place: &Place) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn remove_dir(&self, place: &Place) -> io::Result<()>;

    /// Forces a file or a directory that is there already to the disk.
    ///
    /// # Errors
    ///
    /// As the system says.
    fn sync(&self, place: &Place) -> io::Result<()>;
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

fn stat_of(stat: &Stat) -> DiskStat {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    DiskStat {
        kind,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: DateTime::from_timestamp(stat.st_mtime, nanos),
        identity: (stat.st_dev, stat.st_ino),
    }
}

impl Disk for SystemDisk {
    fn open(&self, place: &Place) -> io::Result<Box<dyn DiskFile>> {
        // Somebody else may write into a store. Opening a pipe would wait for a writer for ever; regular files know no waiting.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(place.open(flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Box::new(SystemFile::new(file)))
    }

    fn create_new(&self, place: &Place) -> io::Result<Box<dyn DiskFile>> {
        let (dir, name) = place.parent()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&dir, name, flags, Mode::from_raw_mode(FILE_MODE))?;
        ownership::give_new(&file, &dir);
        Ok(Box::new(SystemFile::new(file.into())))
    }

    fn stat(&self, place: &Place) -> io::Result<DiskStat> {
        if place.is_root() {
            return Ok(stat_of(&fstat(place.open(OFlags::PATH, Mode::empty())?)?));
        }
        let (dir, name) = place.parent()?;
        Ok(stat_of(&statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    fn read_dir(&self, place: &Place) -> io::Result<Vec<OsString>> {
        let dir = place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(dir)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if !matches!(name.as_slice(), b"." | b"..") {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    fn create_dir(&self, place: &Place) -> io::Result<()> {
        let (dir, name) = place.parent()?;
        mkdirat(&dir, name, Mode::from_raw_mode(DIRECTORY_MODE))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(made) = openat(&dir, name, flags, Mode::empty()) {
            ownership::give_new(&made, &dir);
        }
        Ok(())
    }

    fn rename(&self, from: &Place, to: &Place) -> io::Result<()> {
        let ((from, old), (to, new)) = (from.parent()?, to.parent()?);
        Ok(renameat(from, old, to, new)?)
    }

    fn rename_new(&self, from: &Place, to: &Place) -> io::Result<()> {
        let ((from, old), (to, new)) = (from.parent()?, to.parent()?);
        Ok(renameat_with(from, old, to, new, RenameFlags::NOREPLACE)?)
    }

    fn link(&self, from: &Place, to: &Place) -> io::Result<()> {
        let ((from, old), (to, new)) = (from.parent()?, to.parent()?);
        Ok(linkat(from, old, to, new, AtFlags::empty())?)
    }

    fn remove_file(&self, place: &Place) -> io::Result<()> {
        let (dir, name) = place.parent()?;
        Ok(unlinkat(dir, name, AtFlags::empty())?)
    }

    fn remove_dir(&self, place: &Place) -> io::Result<()> {
        let (dir, name) = place.parent()?;
        Ok(unlinkat(dir, name, AtFlags::REMOVEDIR)?)
    }

    fn sync(&self, place: &Place) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        File::from(place.open(flags, Mode::empty())?).sync_all()
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
        Ok(stat_of(&fstat(&self.file)?))
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
    #![expect(clippy::disallowed_methods, reason = "lays files and links for the tests")]

    use super::*;
    use rustix::fs::{CWD, mknodat};
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_pipe_in_a_store_stops_nobody() {
        let dir = tempfile::tempdir().unwrap();
        mknodat(CWD, dir.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        fs::write(dir.path().join("file"), "text").unwrap();
        let place = |name: &str| Place::new(dir.path(), name);
        for refused in ["pipe", ""] {
            assert_eq!(SystemDisk.open(&place(refused)).unwrap_err().to_string(), "it is no regular file");
        }
        let mut text = String::new();
        SystemDisk.open(&place("file")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }

    /// Whoever may write into a store must not be able to have another place read, written or emptied.
    #[test]
    fn nothing_is_done_behind_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let [root, elsewhere] = ["root", "elsewhere"].map(|name| dir.path().join(name));
        fs::create_dir_all(elsewhere.join("empty")).unwrap();
        fs::write(elsewhere.join("kept"), "kept").unwrap();
        fs::create_dir(&root).unwrap();
        fs::write(root.join("own"), "own").unwrap();
        symlink(&elsewhere, root.join("dir")).unwrap();
        symlink(elsewhere.join("kept"), root.join("file")).unwrap();
        symlink(elsewhere.join("new"), root.join("dangling")).unwrap();
        let place = |name: &str| Place::new(&root, name);
        let disk = SystemDisk;
        for name in ["file", "dir/kept", "dangling"] {
            assert!(disk.open(&place(name)).is_err() && disk.create_new(&place(name)).is_err(), "{name}");
            assert!(disk.sync(&place(name)).is_err(), "{name}");
        }
        assert!(disk.create_new(&place("dir/new")).is_err() && disk.create_dir(&place("dir/new")).is_err());
        assert!(disk.read_dir(&place("dir")).is_err() && disk.stat(&place("dir/kept")).is_err());
        assert!(disk.rename(&place("own"), &place("dir/own")).is_err());
        assert!(disk.rename(&place("dir/kept"), &place("taken")).is_err());
        assert!(disk.rename_new(&place("own"), &place("dir/own")).is_err());
        assert!(disk.link(&place("dir/kept"), &place("taken")).is_err());
        assert!(disk.remove_file(&place("dir/kept")).is_err() && disk.remove_dir(&place("dir/empty")).is_err());
        let kinds = ["file", "dir", "dangling"].map(|name| disk.stat(&place(name)).unwrap().kind);
        assert_eq!(kinds, [FileKind::Symlink; 3]);
        // The link itself is the store's to remove.
        disk.remove_file(&place("dir")).unwrap();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(elsewhere.join("kept")).unwrap(), "kept");
    }
}
