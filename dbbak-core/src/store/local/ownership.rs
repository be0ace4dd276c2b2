//! What root makes in a store belongs to whom the store belongs to: one run as root must not lock out the user who owns it.
//!
//! Nothing here follows a link or goes by a path twice: the store's owner could put something else in a place meanwhile. What cannot be given
//! away (a file system that maps root to nobody) stays as it is.
#![expect(clippy::disallowed_methods, reason = "the owners of the store's files are set here")]

use crate::beneath::Place;
use rustix::{
    fd::{AsFd, OwnedFd},
    fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchown, fstat, open, openat},
    process::geteuid,
};
use std::{fs, os::unix::fs::MetadataExt, path::Path};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Owner and group of a directory, where this is root and that is another user's.
fn heir(dir: &Path) -> Option<(Option<Uid>, Option<Gid>)> {
    let meta = geteuid().is_root().then(|| fs::symlink_metadata(dir).ok()).flatten()?;
    (meta.uid() != 0).then(|| (Some(Uid::from_raw(meta.uid())), Some(Gid::from_raw(meta.gid()))))
}

/// Gives what was just made in a directory to the directory's owner, where this is root and that is another user's.
pub(super) fn give_new(made: &OwnedFd, dir: &OwnedFd) {
    if let Some(owner) = geteuid().is_root().then(|| fstat(dir).ok()).flatten()
        && owner.st_uid != 0
        && fstat(made).is_ok_and(|stat| stat.st_uid == 0)
    {
        let _ = fchown(made, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)));
    }
}

/// Gives a directory that was just made to the owner of the directory that it lies in.
pub fn give_new_dir(path: &Path) {
    let Some((uid, gid)) = path.parent().and_then(heir) else { return };
    if let Ok(dir) = open(path, DIRECTORY, Mode::empty())
        && fstat(&dir).is_ok_and(|stat| stat.st_uid == 0)
    {
        let _ = fchown(&dir, uid, gid);
    }
}

/// Gives what root has in a tree of a store to the store's owner.
pub(super) fn give_tree(root: &Path, tree: &Place) {
    if let Some(owner) = heir(root)
        && let Ok(dir) = tree.open(DIRECTORY, Mode::empty())
    {
        give_below(&dir, owner);
    }
}

fn give_below(dir: &OwnedFd, owner: (Option<Uid>, Option<Gid>)) {
    let Ok(entries) = Dir::read_from(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        if let Ok(child) = openat(dir, name, DIRECTORY, Mode::empty()) {
            give_below(&child, owner);
            continue;
        }
        let Ok(file) = openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) else {
            continue;
        };
        // A second name may be one of elsewhere.
        let own = |stat: &rustix::fs::Stat| {
            stat.st_uid == 0 && stat.st_nlink == 1 && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
        };
        if fstat(&file).is_ok_and(|stat| own(&stat)) {
            let _ = chownat(file.as_fd(), "", owner.0, owner.1, AtFlags::EMPTY_PATH);
        }
    }
    if fstat(dir).is_ok_and(|stat| stat.st_uid == 0) {
        let _ = fchown(dir, owner.0, owner.1);
    }
}
