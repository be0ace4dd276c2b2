//! Opens files in directories that another user may write into: the file itself, and nothing that waits.
#![expect(clippy::disallowed_methods, reason = "opens and reads files")]

use crate::beneath::Place;
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// Bytes that a file may have which is read as a whole: settings, notes, metadata of a backup.
pub(super) const SMALL: u64 = 64 << 20;

/// Opens a regular file for reading. A link is refused, and a pipe, which would wait for a writer for ever.
///
/// # Errors
///
/// When it cannot be opened, or is something else.
pub(super) fn regular(path: &Path) -> io::Result<File> {
    opened(File::options().read(true), OFlags::NOFOLLOW, path)
}

/// Opens a regular file below a directory, through no link at all, for reading.
///
/// # Errors
///
/// As [`regular`].
pub(super) fn regular_at(place: &Place) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::from(place.open(flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// Opens a regular file of a server's or an administrator's for reading, be it behind a link.
///
/// # Errors
///
/// As [`regular`].
pub(super) fn regular_behind(path: &Path) -> io::Result<File> {
    opened(File::options().read(true), OFlags::empty(), path)
}

/// Opens a regular file that is there for reading and writing. One with another name elsewhere is refused: somebody may have
/// linked to it what is not theirs.
///
/// # Errors
///
/// As [`regular`].
pub(super) fn writable(path: &Path) -> io::Result<File> {
    let file = opened(File::options().read(true).write(true), OFlags::NOFOLLOW, path)?;
    only_name(file)
}

/// Opens a file in a directory in whose place another user may put a link: the run directory of a private server lies below `/tmp`,
/// and belongs to the server's user, who may rename it. A link to the directory is followed only where it is root's or this user's
/// own; the file itself is never behind one.
///
/// # Errors
///
/// When it cannot be opened, or the directory is somebody else's link.
pub fn in_own_directory(path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let base = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(dir, base | OFlags::NOFOLLOW, Mode::empty()) {
        Err(Errno::NOTDIR | Errno::LOOP) => {
            let owner = std::fs::symlink_metadata(dir)?.uid();
            if owner != 0 && owner != rustix::process::geteuid().as_raw() {
                return Err(io::Error::other(format!("its directory is a link that user {owner} has made")));
            }
            rustix::fs::open(dir, base, Mode::empty())?
        }
        opened => opened?,
    };
    Ok(rustix::fs::openat(opened, name, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC, mode)?.into())
}

/// Passes on a file that has one name.
///
/// # Errors
///
/// Where it has more.
pub(super) fn only_name(file: File) -> io::Result<File> {
    match file.metadata()?.nlink() {
        0 | 1 => Ok(file),
        names => Err(io::Error::other(format!("it has {names} names (hard links)"))),
    }
}

fn opened(options: &mut OpenOptions, flags: OFlags, path: &Path) -> io::Result<File> {
    // Regular files know no waiting. Without it, opening a pipe waits, and a terminal may become the process's own.
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options.custom_flags(flags.bits() as i32).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no regular file")) }
}

/// A file's bytes, which must not be more than a limit.
///
/// # Errors
///
/// When it cannot be read, or is longer.
pub(super) fn read_at_most(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 <= limit {
        return Ok(bytes);
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than the limit of {limit} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};
    use std::{fs, os::unix::fs::symlink};

    #[test]
    fn a_directory_that_is_somebody_elses_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let create = |path: &Path| in_own_directory(path, OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR);
        create(&real.join("a")).unwrap();
        create(&link.join("b")).unwrap();
        assert!(real.join("b").exists());
        std::os::unix::fs::symlink(real.join("a"), real.join("c")).unwrap();
        assert!(create(&real.join("c")).is_err());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(65_534), None).unwrap();
            let refused = create(&link.join("d")).unwrap_err();
            assert!(refused.to_string().contains("a link that user 65534 has made"), "{refused}");
            assert!(!real.join("d").exists());
        }
    }

    #[test]
    fn only_the_file_itself_is_opened_and_nothing_waits() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, link, file, other] = ["pipe", "link", "file", "other"].map(|name| dir.path().join(name));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        fs::write(&file, "text").unwrap();
        symlink(&file, &link).unwrap();
        for refused in [&pipe, &link, dir.path()] {
            assert!(regular(refused).is_err() && writable(refused).is_err(), "{}", refused.display());
        }
        assert!(regular_behind(&pipe).is_err());
        assert_eq!(read_at_most(regular(&file).unwrap(), 4).unwrap(), b"text");
        assert_eq!(read_at_most(regular_behind(&link).unwrap(), 4).unwrap(), b"text");
        let long = read_at_most(regular(&file).unwrap(), 3).unwrap_err();
        assert_eq!(long.to_string(), "it is longer than the limit of 3 bytes");
        writable(&file).unwrap();
        fs::hard_link(&file, &other).unwrap();
        assert_eq!(writable(&file).unwrap_err().to_string(), "it has 2 names (hard links)");
    }
}
