//! Small files and directories of a run's own: private directories, logs, reports.
#![expect(clippy::disallowed_methods, reason = "the work directory of a run is made and read here")]

use super::{
    custody::adopt,
    error::ExecuteError,
    opened::{self, SMALL},
    tree::sync_dir,
    tree_owner::{self, Change},
};
use rustix::fs::{AtFlags, Mode, OFlags, ioctl_ficlone};
use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, lchown},
    path::Path,
};

/// Offset of the low byte of the format description event's flags, whose lowest bit says that the file is in use. Its
/// checksum is taken with the bit cleared.
const IN_USE_OFFSET: u64 = 21;
/// Lines of a log that errors show.
const TAIL_LINES: usize = 40;
/// Bytes of a log that are looked at for them.
const TAIL_BYTES: u64 = 64 << 10;

pub(super) fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ExecuteError + use<'a> {
    move |source| ExecuteError::Io { action, path: path.to_owned(), source }
}

/// Creates a directory that only its owner may enter, and the parents that it lacks.
pub(super) fn create_private_dir(path: &Path) -> Result<(), ExecuteError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("create", path))
}

/// Creates a directory that only its owner may enter; it must not exist, and its parent must.
pub(super) fn create_new_dir(path: &Path) -> Result<(), ExecuteError> {
    DirBuilder::new().mode(0o700).create(path).map_err(failed("create", path))
}

/// Lets only its owner enter a directory.
pub(super) fn make_private(path: &Path) -> Result<(), ExecuteError> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed("set the mode of", path))
}

/// Creates a directory and the parents that it lacks; it may exist if it is empty.
pub(super) fn create_empty_dir(path: &Path) -> Result<(), ExecuteError> {
    // A private server of another user passes what lies above.
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o751).create(parent).map_err(failed("create", parent))?;
    }
    DirBuilder::new().recursive(true).mode(0o750).create(path).map_err(failed("create", path))?;
    let mut entries = fs::read_dir(path).map_err(failed("read", path))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => {
            let source = io::Error::from(io::ErrorKind::DirectoryNotEmpty);
            Err(ExecuteError::Io { action: "use", path: path.to_owned(), source })
        }
    }
}

/// Writes a file that only its owner may read, and syncs it. It must not exist.
pub(super) fn write_private(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), ExecuteError> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = opened::in_own_directory(path, flags, Mode::RUSR | Mode::WUSR);
    let mut file = file.map_err(failed("create", path))?;
    adopt(&file, path).map_err(failed("give away", path))?;
    file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).map_err(failed("write", path))
}

/// Copies a small file to one that nobody else may read, in the place of an older one.
pub(super) fn copy_private(from: &Path, to: &Path) -> Result<(), ExecuteError> {
    let missing = || failed("read", from)(io::ErrorKind::NotFound.into());
    let bytes = read_file_behind(from)?.ok_or_else(missing)?;
    remove_file(to)?;
    write_private(to, bytes)
}

/// Writes a file in the place of an older one, at once and durably.
pub(super) fn write_replacing(path: &Path, bytes: &[u8]) -> Result<(), ExecuteError> {
    let staged = path.with_extension("tmp");
    // A private server's user may have made a link of that name.
    remove_file(&staged)?;
    let mut file = File::create_new(&staged).map_err(failed("create", &staged))?;
    adopt(&file, &staged).map_err(failed("give away", &staged))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &staged));
    if written.is_err() {
        // Half a file, on a full file system: the error that is told is the first one.
        let _ = remove_file(&staged);
    }
    written?;
    fs::rename(&staged, path).map_err(failed("rename", path))?;
    match path.parent() {
        Some(parent) => Ok(sync_dir(parent)?),
        None => Ok(()),
    }
}

/// Removes a file; one that is not there counts as removed.
pub(super) fn remove_file(path: &Path) -> Result<(), ExecuteError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a tree, or a file; one that is not there counts as removed.
pub(super) fn remove_tree(path: &Path) -> Result<(), ExecuteError> {
    remove_tree_by(path, &mut |path| fs::remove_dir_all(path))
}

/// Removes a file from a directory that belongs to another user, who may put something else in its place: what a link there
/// leads to is left alone.
pub(super) fn remove_inside(path: &Path) -> Result<(), ExecuteError> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return remove_file(path) };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let removed = rustix::fs::open(dir, flags, Mode::empty())
        .and_then(|dir| rustix::fs::unlinkat(dir, name, AtFlags::empty()))
        .map_err(io::Error::from);
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// How often a tree is gone through that another process changes meanwhile.
const REMOVALS: u32 = 5;

fn remove_tree_by(path: &Path, remove: &mut dyn FnMut(&Path) -> io::Result<()>) -> Result<(), ExecuteError> {
    let mut tries = 1..=REMOVALS;
    loop {
        let error = match remove(path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => error,
        };
        let is_dir = || fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        match error.kind() {
            io::ErrorKind::NotADirectory if !is_dir() => return remove_file(path),
            // A directory in it was swapped for something else, or filled again, while it was gone through.
            io::ErrorKind::NotADirectory | io::ErrorKind::DirectoryNotEmpty if tries.next().is_some() => {}
            _ => return Err(failed("remove", path)(error)),
        }
    }
}

/// Removes files and trees, the others also where one cannot be removed.
pub(super) fn remove_each<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<(), ExecuteError> {
    let removals: Vec<_> = paths.map(remove_tree).collect();
    removals.into_iter().collect()
}

/// Renames a tree to a path that must not exist.
pub(super) fn move_tree(from: &Path, to: &Path) -> Result<(), ExecuteError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(failed("create", to)(io::Error::from(io::ErrorKind::AlreadyExists)));
    }
    fs::rename(from, to).map_err(failed("rename", from))?;
    match to.parent() {
        Some(parent) => Ok(sync_dir(parent)?),
        None => Ok(()),
    }
}

/// The names in a directory; empty when it is not there.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>, ExecuteError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(failed("read", path))?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Goes through all regular files below a directory.
pub(super) fn each_file(
    dir: &Path,
    sink: &mut dyn FnMut(&Path) -> Result<(), ExecuteError>,
) -> Result<(), ExecuteError> {
    for entry in fs::read_dir(dir).map_err(failed("read", dir))? {
        let entry = entry.map_err(failed("read", dir))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed("read", dir))?);
        if kind.is_dir() {
            each_file(&path, sink)?;
        } else if kind.is_file() {
            sink(&path)?;
        }
    }
    Ok(())
}

/// The first bytes of a file; `None` where it has fewer.
pub(super) fn head<const N: usize>(path: &Path) -> Result<Option<[u8; N]>, ExecuteError> {
    let mut head = [0; N];
    match open(path)?.read_exact(&mut head) {
        Ok(()) => Ok(Some(head)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// A small file's bytes; `None` when it is not there. It may lie where another user writes: a link is not followed.
///
/// # Errors
///
/// When it cannot be read, is no regular file, or is longer than [`SMALL`].
pub(super) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, ExecuteError> {
    small(opened::regular(path), path)
}

/// The bytes of a small file of a server's or an administrator's, be it behind a link; `None` when it is not there.
///
/// # Errors
///
/// As [`read_file`].
pub(super) fn read_file_behind(path: &Path) -> Result<Option<Vec<u8>>, ExecuteError> {
    small(opened::regular_behind(path), path)
}

fn small(file: io::Result<File>, path: &Path) -> Result<Option<Vec<u8>>, ExecuteError> {
    match file.and_then(|file| opened::read_at_most(file, SMALL)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Gives a tree to an owner: directories get 0750, files 0640. Links are not followed.
pub(super) fn give_tree(path: &Path, uid: u32, gid: u32) -> Result<(), ExecuteError> {
    tree_owner::change(path, Change::Deliver(uid, gid))
}

/// Gives one file or directory to an owner.
pub(super) fn give(path: &Path, uid: u32, gid: u32) -> Result<(), ExecuteError> {
    lchown(path, Some(uid), Some(gid)).map_err(failed("give away", path))
}

/// Gives one file or directory to a user; its group stays.
pub(super) fn give_to_user(path: &Path, uid: u32) -> Result<(), ExecuteError> {
    lchown(path, Some(uid), None).map_err(failed("give away", path))
}

/// Clears the bit in a binlog's first event that says that a server still writes the file.
pub(super) fn mark_closed(path: &Path) -> Result<(), ExecuteError> {
    let mut file = opened::writable(path).map_err(failed("open", path))?;
    let mut flags = [0];
    file.seek(SeekFrom::Start(IN_USE_OFFSET)).map_err(failed("read", path))?;
    file.read_exact(&mut flags).map_err(failed("read", path))?;
    file.seek(SeekFrom::Start(IN_USE_OFFSET)).map_err(failed("write", path))?;
    file.write_all(&[flags[0] & !1]).and_then(|()| file.sync_all()).map_err(failed("write", path))
}

/// Opens a regular file for reading: itself, and not what a link of that name leads to.
pub(super) fn open(path: &Path) -> Result<File, ExecuteError> {
    opened::regular(path).map_err(failed("read", path))
}

/// Opens a regular file of a server's or an administrator's for reading, be it behind a link.
pub(super) fn open_behind(path: &Path) -> Result<File, ExecuteError> {
    opened::regular_behind(path).map_err(failed("read", path))
}

/// Opens a file for reading, as [`open`]; `None` when it is not there.
pub(super) fn open_if_there(path: &Path) -> Result<Option<File>, ExecuteError> {
    match opened::regular(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Gives a file of a run's own another name, under which nobody looks at it before.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), ExecuteError> {
    fs::rename(from, to).map_err(failed("rename", from))
}

/// Copies a file to a new one, by reflink where the file system can. Both are held by descriptors: their directory may be
/// another user's.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ExecuteError> {
    let mut input = opened::regular(from).and_then(opened::only_name).map_err(failed("copy", from))?;
    let mut output = create_new(to)?;
    if ioctl_ficlone(&output, &input).is_err() {
        io::copy(&mut input, &mut output).map_err(failed("copy", from))?;
    }
    Ok(())
}

/// Creates a file that must not exist.
pub(super) fn create_new(path: &Path) -> Result<File, ExecuteError> {
    let file = File::options().write(true).create_new(true).mode(0o640).open(path).map_err(failed("create", path))?;
    adopt(&file, path).map_err(failed("give away", path))?;
    Ok(file)
}

/// Gives a file that somebody has open another text.
pub(super) fn rewrite(path: &Path, text: &str) -> Result<(), ExecuteError> {
    let file = opened::writable(path).and_then(|file| file.set_len(0).map(|()| file));
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed("write", path))
}

/// Cuts a file off.
pub(super) fn truncate(path: &Path, length: u64) -> Result<(), ExecuteError> {
    let file = opened::writable(path).map_err(failed("open", path))?;
    file.set_len(length).map_err(failed("cut", path))
}

/// Writes over a part of a file, with what `write` brings.
pub(super) fn overwrite(
    path: &Path,
    at: u64,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ExecuteError> {
    let mut file = opened::writable(path).map_err(failed("open", path))?;
    file.seek(SeekFrom::Start(at)).and_then(|_| write(&mut file)).map_err(failed("write", path))
}

/// Goes through the event headers of a binlog whose events were verified before: offset and server id of each, until the
/// sink has seen enough.
pub(super) fn each_event(path: &Path, sink: &mut dyn FnMut(u64, u32) -> bool) -> Result<(), ExecuteError> {
    let mut input = BufReader::with_capacity(1 << 18, open(path)?);
    let mut header = [0; 19];
    let mut at = 4;
    input.seek_relative(4).map_err(failed("read", path))?;
    while input.read_exact(&mut header).is_ok() {
        let number = |from: usize| header[from..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let (server_id, length) = (number(5), u64::from(number(9)));
        if length < header.len() as u64 || !sink(at, server_id) {
            return Ok(());
        }
        input.seek_relative((length - header.len() as u64) as i64).map_err(failed("read", path))?;
        at += length;
    }
    Ok(())
}

/// Whether a directory has a name, be it that of a symbolic link that leads nowhere.
pub(super) fn is_named(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Whether something lies there; if that cannot be told, yes.
pub(super) fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

/// The length of a file in bytes; 0 when it is not there.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |meta| meta.len())
}

/// Removes a directory that nothing lies in; one that is not there counts as removed.
pub(super) fn remove_if_empty(path: &Path) -> Result<(), ExecuteError> {
    match fs::remove_dir(path) {
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
            Err(failed("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Removes a log that nothing was written into; that it stays is no error.
pub(super) fn remove_empty(path: &Path) {
    if length(path) == 0 {
        let _ = fs::remove_file(path);
    }
}

/// A log as text, at most its last 64 KiB; empty when it is not there.
pub(super) fn text(path: &Path) -> Result<String, ExecuteError> {
    if length(path) == 0 {
        return Ok(String::new());
    }
    tail_bytes(path).map_err(failed("read", path))
}

/// Goes through the lines of a log from an offset on; invalid UTF-8 is replaced.
pub(super) fn each_line(path: &Path, from: u64, sink: &mut dyn FnMut(&str)) -> Result<(), ExecuteError> {
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(from)).map_err(failed("read", path))?;
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(failed("read", path))? == 0 {
            return Ok(());
        }
        sink(&String::from_utf8_lossy(&line));
    }
}

/// The last lines of a log.
pub(super) fn tail(path: &Path) -> Vec<String> {
    let text = tail_bytes(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

fn tail_bytes(path: &Path) -> io::Result<String> {
    let mut file = opened::regular(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, mknodat};
    use std::{
        fs,
        os::unix::fs::{MetadataExt, symlink},
    };

    #[test]
    fn a_tree_that_is_swapped_meanwhile_is_gone_through_again() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("inner")).unwrap();
        // As the system says where a directory in it was swapped for a file between two looks.
        let mut swapped = 0;
        let mut remove = |path: &Path| match swapped {
            2 => fs::remove_dir_all(path),
            _ => {
                swapped += 1;
                Err(io::ErrorKind::NotADirectory.into())
            }
        };
        remove_tree_by(&tree, &mut remove).unwrap();
        assert!(!tree.exists());
        // Never without an end, and with the word for what happened.
        fs::create_dir(&tree).unwrap();
        let error = remove_tree_by(&tree, &mut |_| Err(io::ErrorKind::NotADirectory.into())).unwrap_err();
        assert!(matches!(error, ExecuteError::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory));
        // A file is no tree, and goes.
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        remove_tree(&file).unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_file_is_removed_from_the_directory_itself_and_not_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (own, victim) = (dir.path().join("own"), dir.path().join("victim"));
        fs::create_dir(&victim).unwrap();
        fs::write(victim.join("init.sql"), "of somebody else").unwrap();
        symlink(&victim, &own).unwrap();
        assert!(remove_inside(&own.join("init.sql")).is_err());
        assert!(victim.join("init.sql").exists());
        remove_inside(&victim.join("init.sql")).unwrap();
        remove_inside(&victim.join("init.sql")).unwrap();
        assert!(!victim.join("init.sql").exists());
    }

    #[test]
    fn what_cannot_be_removed_keeps_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        // No path leads through a file, whoever asks.
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let (stuck, secret) = (file.join("below"), dir.path().join("secret"));
        fs::create_dir(&secret).unwrap();
        fs::write(secret.join("master.info"), "password").unwrap();
        let removed = remove_each([stuck.as_path(), &secret].into_iter());
        assert!(removed.is_err());
        assert!(!secret.exists());
    }
    /// What a private server's user puts in the place of a file must not have root read, write or give away another.
    #[test]
    fn a_copy_goes_through_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let [secret, log, link, kept] = ["secret", "log", "link", "log.kept"].map(|name| dir.path().join(name));
        fs::write(&secret, "root's").unwrap();
        fs::write(&log, "events").unwrap();
        symlink(&secret, &link).unwrap();
        assert!(copy(&link, &kept).is_err() && !kept.exists());
        symlink(&secret, &kept).unwrap();
        assert!(copy(&log, &kept).is_err());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root's");
        fs::remove_file(&kept).unwrap();
        fs::hard_link(&secret, dir.path().join("other")).unwrap();
        assert!(copy(&secret, &kept).is_err() && !kept.exists());
        assert!(truncate(&secret, 0).is_err() && rewrite(&secret, "").is_err() && mark_closed(&secret).is_err());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "root's");
        copy(&log, &kept).unwrap();
        assert_eq!(fs::read_to_string(&kept).unwrap(), "events");
    }

    #[test]
    fn a_copy_belongs_to_whom_its_directory_does() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        lchown(dir.path(), Some(65_534), Some(65_534)).unwrap();
        let (log, kept) = (dir.path().join("log"), dir.path().join("log.kept"));
        fs::write(&log, "events").unwrap();
        copy(&log, &kept).unwrap();
        let meta = fs::metadata(&kept).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o777), (65_534, 65_534, 0o640));
    }

    /// As `mysqld-auto.cnf` in a data directory it made a restore wait for ever.
    #[test]
    fn no_pipe_or_link_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, link, file] = ["pipe", "link", "file"].map(|name| dir.path().join(name));
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        fs::write(&file, "text").unwrap();
        symlink(&file, &link).unwrap();
        for path in [&pipe, &link] {
            assert!(matches!(read_file(path), Err(ExecuteError::Io { path: named, .. }) if named == *path));
            assert!(open(path).is_err() && open_if_there(path).is_err() && head::<1>(path).is_err());
            assert!(each_line(path, 0, &mut |_| ()).is_err() && tail(path).is_empty());
        }
        assert!(truncate(&pipe, 0).is_err() && copy(&pipe, &dir.path().join("copy")).is_err());
        assert_eq!(read_file_behind(&link).unwrap().unwrap(), b"text");
        assert!(read_file_behind(&pipe).is_err());
        assert_eq!(read_file(&dir.path().join("none")).unwrap(), None);
        // It has holes alone, and takes no room.
        File::create(&file).unwrap().set_len(SMALL + 1).unwrap();
        let error = std::error::Error::source(&read_file(&file).unwrap_err()).map(ToString::to_string);
        assert_eq!(error.unwrap(), "it is longer than the limit of 67108864 bytes");
    }
}
