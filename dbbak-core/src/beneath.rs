//! Opens what lies below a directory, and nothing else: no symbolic link on the way or at its end is followed, and nothing leads out.
//!
//! Whoever may write into a store can put a link anywhere in it, and swap a directory for one between a look and an opening. So a path is
//! resolved by the kernel in one step (`openat2(2)`, Linux 5.6), or step by step from descriptor to descriptor where that is not to be had: on
//! older kernels, and in containers that forbid it. The directory itself is the caller's word: a link to it is followed.

use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, openat, openat2, statat},
    io::Errno,
};
use std::{
    io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// A place below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    root: PathBuf,
    /// Names alone, no `..`; empty for the directory itself.
    below: PathBuf,
}

impl Place {
    /// The place of a relative path below a directory.
    pub fn new(root: impl Into<PathBuf>, below: impl Into<PathBuf>) -> Self {
        Place { root: root.into(), below: below.into() }
    }

    /// The whole path, for people and for programs that are given one.
    pub fn path(&self) -> PathBuf {
        if self.below.as_os_str().is_empty() { self.root.clone() } else { self.root.join(&self.below) }
    }

    /// The place of a relative path below this one.
    pub fn child(&self, below: &str) -> Place {
        let below = if below.is_empty() { self.below.clone() } else { self.below.join(below) };
        Place { root: self.root.clone(), below }
    }

    /// Opens what is there, or makes it (`O_CREAT`).
    ///
    /// # Errors
    ///
    /// As the system says; a link on the way or at the end is named as one.
    pub(crate) fn open(&self, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let root = self.open_root()?;
        if self.below.as_os_str().is_empty() {
            // A descriptor that only names it cannot be read.
            return Ok(openat(root, ".", flags | OFlags::CLOEXEC, mode)?);
        }
        open_below(&root, &self.below, flags, mode)
    }

    /// The directory that it lies in, opened, and its name there. The directory itself lies in none.
    ///
    /// # Errors
    ///
    /// As the system says; `InvalidInput` for the directory itself.
    pub(crate) fn parent(&self) -> io::Result<(OwnedFd, &Path)> {
        let name = self.below.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let root = self.open_root()?;
        let dir = self.below.parent().filter(|dir| !dir.as_os_str().is_empty());
        let opened = dir.map(|dir| open_below(&root, dir, STEP, Mode::empty())).transpose()?;
        Ok((opened.unwrap_or(root), Path::new(name)))
    }

    /// Whether it is the directory itself.
    pub(crate) fn is_root(&self) -> bool {
        self.below.as_os_str().is_empty()
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(&self.root, STEP, Mode::empty())?)
    }
}

fn open_below(root: &OwnedFd, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match openat2(root, below, flags, mode, RESOLVE) {
        // Not there, or forbidden by a filter that knows it not. A link where a directory must be is none: the steps tell which.
        Err(Errno::NOSYS | Errno::PERM | Errno::NOTDIR) => step_by_step(root, below, flags, mode),
        Err(Errno::LOOP) => Err(link_at(below)),
        // What leads out.
        Err(Errno::XDEV) => Err(io::Error::other(format!("{} leads out of its directory", below.display()))),
        opened => Ok(opened?),
    }
}

fn step_by_step(root: &OwnedFd, below: &Path, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let mut dir: Option<OwnedFd> = None;
    let mut names = below.components().peekable();
    while let Some(component) = names.next() {
        let Component::Normal(name) = component else {
            return Err(io::Error::other(format!("{} leads out of its directory", below.display())));
        };
        let at = dir.as_ref().unwrap_or(root);
        let last = names.peek().is_none();
        let (flags, mode) = if last { (flags, mode) } else { (STEP | OFlags::NOFOLLOW, Mode::empty()) };
        match openat(at, name, flags, mode) {
            Ok(opened) if last => return Ok(opened),
            Ok(opened) => dir = Some(opened),
            Err(Errno::LOOP) => return Err(link_at(Path::new(name))),
            // A link that is to be a directory.
            Err(Errno::NOTDIR) if is_link(at, Path::new(name)) => return Err(link_at(Path::new(name))),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::InvalidInput.into())
}

fn is_link(dir: impl AsFd, name: &Path) -> bool {
    statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// That a link stands at a path below a directory, or on the way to it.
#[derive(Debug, thiserror::Error)]
#[error("{} is a symbolic link, or lies behind one, and is not followed", path.escape_debug())]
struct Link {
    path: String,
}

/// The error of a place at which a link stands, or behind one.
pub(crate) fn link_at(below: &Path) -> io::Error {
    io::Error::other(Link { path: String::from_utf8_lossy(below.as_os_str().as_bytes()).into_owned() })
}

/// Whether an error is that.
pub(crate) fn is_link_error(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Link>())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "lays files and links for the tests")]

    use super::*;
    use std::{fs, io::Read, os::unix::fs::symlink};

    fn read(file: io::Result<OwnedFd>) -> Result<String, String> {
        let mut text = String::new();
        let file = file.map_err(|error| error.to_string())?;
        fs::File::from(file).read_to_string(&mut text).map_err(|error| error.to_string())?;
        Ok(text)
    }

    #[test]
    fn no_link_is_followed_and_nothing_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        let [root, elsewhere, link] = ["root", "elsewhere", "link"].map(|name| dir.path().join(name));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(root.join("a/b/file"), "inside").unwrap();
        fs::write(elsewhere.join("file"), "outside").unwrap();
        symlink(&elsewhere, root.join("a/out")).unwrap();
        symlink(elsewhere.join("file"), root.join("a/file")).unwrap();
        symlink("b/file", root.join("a/near")).unwrap();
        symlink(&root, &link).unwrap();
        let refused = ["a/out/file", "a/file", "a/near", "../elsewhere/file", "a/../../elsewhere/file"];
        for root in [&root, &link] {
            let base = rustix::fs::open(root, STEP, Mode::empty()).unwrap();
            for open in [open_below, step_by_step] {
                let open =
                    |below: &str| read(open(&base, Path::new(below), OFlags::RDONLY | OFlags::NOFOLLOW, Mode::empty()));
                assert_eq!(open("a/b/file").unwrap(), "inside");
                for below in refused {
                    let error = open(below).unwrap_err();
                    let said =
                        ["is not followed", "leads out of its directory"].iter().any(|text| error.contains(text));
                    assert!(said, "{below}: {error}");
                }
                assert!(open("a/none").unwrap_err().contains("No such file"));
            }
        }
        let place = Place::new(&root, "a/b/file");
        assert_eq!((place.path(), place.parent().unwrap().1), (root.join("a/b/file"), Path::new("file")));
        assert!(Place::new(&root, "a/out/new").parent().is_err());
        assert!(Place::new(&root, "").parent().is_err());
        Place::new(&link, "").open(OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
}
