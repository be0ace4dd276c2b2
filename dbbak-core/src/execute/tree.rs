//! Copies, hashes and syncs directory trees in one parallel pass.
#![expect(clippy::disallowed_methods, reason = "the trees of a backup are read and written here")]

use super::{
    opened,
    reporter::{Event, Reporter},
};
use crate::{beneath::Place, plan::SyncSide, store::Digest};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, statat};
use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{self, Read, Write},
    num::NonZero,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
};

/// One file of a tree, as it was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeFile {
    /// Path below the tree's root, with slashes.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Digest of the content.
    pub digest: Digest,
}

/// What a pass went through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TreeListing {
    /// Every file, sorted by path.
    pub files: Vec<TreeFile>,
    /// Every directory below the root, sorted by path.
    pub directories: Vec<String>,
}

/// What files are expected to hold: size in bytes and digest, by path below the root.
pub type ExpectedFiles = BTreeMap<String, (u64, Digest)>;

/// How a tree is to be gone through.
#[derive(Debug, Clone, Copy)]
pub struct TreePass<'a> {
    /// The tree that is read. No link is followed.
    pub from: &'a Place,
    /// Where the copy goes: a directory that does not exist yet or is empty. `None`: the tree is read only.
    pub to: Option<&'a Path>,
    /// What every file must hold, by path; a file too many, a file missing or other content stops the pass.
    pub expected: Option<&'a ExpectedFiles>,
    /// What is on disk when the pass ends.
    pub sync: SyncSide,
    /// Files that are worked on at the same time.
    pub threads: NonZero<usize>,
}

/// Why a tree could not be gone through.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A path could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds other bytes than were recorded.
    #[error("{} is damaged: expected digest {expected} ({expected_size} bytes), found {found} ({found_size} bytes)", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The recorded digest.
        expected: Digest,
        /// The recorded size in bytes.
        expected_size: u64,
        /// The digest found.
        found: Digest,
        /// The size found in bytes.
        found_size: u64,
    },
    /// A recorded file is not there.
    #[error("{} is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file lies there that was never recorded.
    #[error("{} was never recorded as part of the backup", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// Neither a file nor a directory, or a name that is not text.
    #[error("{} is a {what}, which a backup cannot hold", path.display())]
    Unsupported {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The user asked to stop.
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}

pub(super) const BUFFER: usize = 1 << 20;

/// Goes through a tree once: reads and hashes every file, compares it, copies it (by reflink where the file system can)
/// and syncs it, as asked.
///
/// # Errors
///
/// [`TreeError`] at the first file that cannot be read, written, or is not what was recorded. What was copied until then
/// stays for the caller to discard.
pub fn walk_tree(pass: &TreePass<'_>, reporter: &dyn Reporter) -> Result<TreeListing, TreeError> {
    let (directories, files) = survey(pass.from)?;
    if let Some(expected) = pass.expected {
        compare_names(pass.from, &files, expected)?;
    }
    if let Some(to) = pass.to {
        for directory in std::iter::once("").chain(directories.iter().map(String::as_str)) {
            let path = to.join(directory);
            fs::create_dir_all(&path).map_err(|source| TreeError::Io { action: "create", path, source })?;
        }
    }
    let queue = Mutex::new(VecDeque::from(files));
    let work = || -> Result<Vec<TreeFile>, TreeError> {
        let mut buffer = vec![0; BUFFER];
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((path, _)) = next else { return Ok(done) };
            match pass_file(pass, path, &mut buffer, reporter) {
                Ok(file) => done.push(file),
                Err(error) => {
                    // The other workers find nothing more to do.
                    queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    return Err(error);
                }
            }
        }
    };
    let mut listing = TreeListing { files: Vec::new(), directories };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..pass.threads.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| {
            let files = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            listing.files.extend(files);
            Ok(())
        })
    })?;
    listing.files.sort();
    let synced = match pass.sync {
        SyncSide::Nothing => None,
        SyncSide::Source => Some(pass.from.clone()),
        SyncSide::Copy => pass.to.map(|to| Place::new(to, "")),
    };
    if let Some(root) = synced {
        for directory in listing.directories.iter().rev().map(String::as_str).chain(std::iter::once("")) {
            sync_place(&root.child(directory))?;
        }
    }
    Ok(listing)
}

/// Directories and files (with their sizes) below a root; the largest files first, so that no worker ends up alone with one.
pub(super) type Contents = (Vec<String>, Vec<(String, u64)>);

pub(super) fn survey(root: &Place) -> Result<Contents, TreeError> {
    let (mut directories, mut files) = (Vec::new(), Vec::new());
    let mut open = vec![String::new()];
    while let Some(above) = open.pop() {
        let place = root.child(&above);
        let read = |source: io::Error| TreeError::Io { action: "read", path: place.path(), source };
        let dir = place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).map_err(read)?;
        let names = Dir::read_from(&dir).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        for entry in names.map_err(|errno| read(errno.into()))? {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(text) = name.to_str() else {
                let path = place.path().join(&*name.to_string_lossy());
                return Err(TreeError::Unsupported { path, what: "name that is not UTF-8" });
            };
            let below = if above.is_empty() { text.to_owned() } else { format!("{above}/{text}") };
            let stat = statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|errno| read(errno.into()))?;
            let what = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {
                    directories.push(below.clone());
                    open.push(below);
                    continue;
                }
                FileType::RegularFile => {
                    files.push((below, u64::try_from(stat.st_size).unwrap_or(0)));
                    continue;
                }
                FileType::Symlink => "symbolic link",
                FileType::Socket => "socket",
                FileType::Fifo => "named pipe",
                _ => "device",
            };
            return Err(TreeError::Unsupported { path: root.child(&below).path(), what });
        }
    }
    directories.sort();
    files.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    Ok((directories, files))
}

pub(super) fn compare_names(
    root: &Place,
    files: &[(String, u64)],
    expected: &BTreeMap<String, (u64, Digest)>,
) -> Result<(), TreeError> {
    let found: BTreeMap<&str, u64> = files.iter().map(|(path, size)| (path.as_str(), *size)).collect();
    if let Some(missing) = expected.keys().find(|path| !found.contains_key(path.as_str())) {
        return Err(TreeError::Missing { path: root.child(missing).path() });
    }
    if let Some(unknown) = found.keys().find(|path| !expected.contains_key(**path)) {
        return Err(TreeError::Unknown { path: root.child(unknown).path() });
    }
    Ok(())
}

pub(super) fn pass_file(
    pass: &TreePass<'_>,
    path: String,
    buffer: &mut [u8],
    reporter: &dyn Reporter,
) -> Result<TreeFile, TreeError> {
    let place = pass.from.child(&path);
    let from = place.path();
    let io = |action: &'static str, path: &Path| {
        let path = path.to_owned();
        move |source| TreeError::Io { action, path, source }
    };
    let input = opened::regular_at(&place).map_err(io("read", &from))?;
    let to = pass.to.map(|to| to.join(&path));
    let output = match &to {
        Some(to) => {
            let mode = input.metadata().map_err(io("read", &from))?.permissions().mode() & 0o777;
            let opened = File::options().read(true).write(true).create_new(true).mode(mode | 0o600).open(to);
            Some(opened.map_err(io("create", to))?)
        }
        None => None,
    };
    // A reflink shares the blocks. What is read then is the copy: the source may change meanwhile.
    let shared = output.as_ref().is_some_and(|output| rustix::fs::ioctl_ficlone(output, &input).is_ok());
    let copied = output.as_ref().filter(|_| shared).map(File::try_clone).transpose().map_err(io("read", &from))?;
    let mut reader = copied.as_ref().unwrap_or(&input);
    let written = to.as_deref().unwrap_or(&from);
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    loop {
        if let Some(signal) = reporter.interrupted() {
            return Err(TreeError::Interrupted { signal });
        }
        let count = match reader.read(buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(TreeError::Io { action: "read", path: from, source }),
        };
        hasher.update(&buffer[..count]);
        if let Some(mut output) = output.as_ref().filter(|_| !shared) {
            output.write_all(&buffer[..count]).map_err(io("write", written))?;
        }
        size += count as u64;
        reporter.report(&Event::Progress { bytes: count as u64 });
    }
    let digest = Digest::from(hasher.finalize());
    if let Some((expected_size, expected)) = pass.expected.and_then(|expected| expected.get(&path))
        && (*expected_size, *expected) != (size, digest)
    {
        let (expected, expected_size) = (*expected, *expected_size);
        return Err(TreeError::Damaged { path: from, expected, expected_size, found: digest, found_size: size });
    }
    match pass.sync {
        SyncSide::Nothing => {}
        SyncSide::Source => input.sync_data().map_err(io("sync", &from))?,
        SyncSide::Copy => {
            if let Some(copy) = output {
                copy.sync_data().map_err(io("sync", written))?;
            }
        }
    }
    Ok(TreeFile { path, size, digest })
}

/// Makes a directory's entries durable.
///
/// # Errors
///
/// [`TreeError::Io`].
pub(super) fn sync_dir(path: &Path) -> Result<(), TreeError> {
    sync_place(&Place::new(path, ""))
}

fn sync_place(place: &Place) -> Result<(), TreeError> {
    let opened = place.open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    opened.and_then(|dir| File::from(dir).sync_all()).map_err(|source| TreeError::Io {
        action: "sync",
        path: place.path(),
        source,
    })
}

/// Has the file system that holds a tree write out all that it was given.
///
/// # Errors
///
/// [`TreeError::Io`].
pub(super) fn sync_file_system(path: &Path) -> Result<(), TreeError> {
    let failed = |source| TreeError::Io { action: "sync", path: path.to_owned(), source };
    let dir = File::open(path).map_err(failed)?;
    rustix::fs::syncfs(&dir).map_err(|errno| failed(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::super::reporter::Silent;
    use super::*;

    fn pass<'a>(from: &Path, to: Option<&'a Path>) -> TreePass<'a> {
        let from = Box::leak(Box::new(Place::new(from, "")));
        TreePass { from, to, expected: None, sync: SyncSide::Copy, threads: NonZero::new(3).unwrap() }
    }

    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("db/empty")).unwrap();
        fs::write(dir.path().join("ibdata1"), vec![7; 3 << 20]).unwrap();
        fs::write(dir.path().join("db/t.ibd"), b"rows").unwrap();
        fs::write(dir.path().join("db/zero"), b"").unwrap();
        dir
    }

    fn expected(listing: &TreeListing) -> BTreeMap<String, (u64, Digest)> {
        listing.files.iter().map(|file| (file.path.clone(), (file.size, file.digest))).collect()
    }

    #[test]
    fn a_copy_lists_as_its_source() {
        let (from, to) = (sample(), tempfile::tempdir().unwrap());
        let copied = walk_tree(&pass(from.path(), Some(to.path())), &Silent).unwrap();
        assert_eq!(copied, walk_tree(&pass(to.path(), None), &Silent).unwrap());
        assert_eq!(copied.directories, ["db", "db/empty"]);
        let names: Vec<_> = copied.files.iter().map(|file| (file.path.as_str(), file.size)).collect();
        assert_eq!(names, [("db/t.ibd", 4), ("db/zero", 0), ("ibdata1", 3 << 20)]);
    }

    #[test]
    fn other_content_or_names_stop_the_pass() {
        let dir = sample();
        let listing = walk_tree(&pass(dir.path(), None), &Silent).unwrap();
        let good = expected(&listing);
        let check = |expected: &BTreeMap<String, (u64, Digest)>| {
            walk_tree(&TreePass { expected: Some(expected), ..pass(dir.path(), None) }, &Silent)
        };
        assert!(check(&good).is_ok());
        let mut more = good.clone();
        more.insert("db/lost.ibd".into(), (1, Digest::of(b"x")));
        assert!(matches!(check(&more), Err(TreeError::Missing { path }) if path.ends_with("db/lost.ibd")));
        let mut fewer = good.clone();
        fewer.remove("db/zero");
        assert!(matches!(check(&fewer), Err(TreeError::Unknown { path }) if path.ends_with("db/zero")));
        fs::write(dir.path().join("db/t.ibd"), b"rowS").unwrap();
        assert!(matches!(check(&good), Err(TreeError::Damaged { path, .. }) if path.ends_with("db/t.ibd")));
    }

    #[test]
    fn never_overwrites_and_refuses_links() {
        let (from, to) = (sample(), tempfile::tempdir().unwrap());
        fs::write(to.path().join("ibdata1"), b"precious").unwrap();
        let error = walk_tree(&pass(from.path(), Some(to.path())), &Silent).unwrap_err();
        assert!(matches!(error, TreeError::Io { action: "create", .. }), "{error:?}");
        assert_eq!(fs::read(to.path().join("ibdata1")).unwrap(), b"precious");
        std::os::unix::fs::symlink("/etc/passwd", from.path().join("link")).unwrap();
        assert!(matches!(
            walk_tree(&pass(from.path(), None), &Silent),
            Err(TreeError::Unsupported { what: "symbolic link", .. })
        ));
        // A tree that lies behind a link in the store, and one that is a link.
        let store = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(sample().path(), store.path().join("full")).unwrap();
        for below in ["full/db", "full"] {
            let from = Place::new(store.path(), below);
            let error = walk_tree(&TreePass { from: &from, ..pass(store.path(), None) }, &Silent).unwrap_err();
            let TreeError::Io { action: "read", source, .. } = error else { panic!("{error:?}") };
            assert!(source.to_string().contains("is not followed"), "{source}");
        }
    }
}
