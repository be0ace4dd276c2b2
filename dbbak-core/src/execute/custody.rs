//! Gives a private server's user what it works on, and takes it back when the server has ended.
#![expect(clippy::disallowed_methods, reason = "looks at the files of a work directory and gives them away")]

use super::{
    error::ExecuteError,
    files,
    tree_owner::{self, Change},
};
use crate::plan::Custody;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{MetadataExt, fchown, lchown},
    path::Path,
};

/// Gives a tree to a private server's user.
///
/// # Errors
///
/// As [`tree_owner::change`].
pub(super) fn give(path: &Path, (uid, gid): (u32, u32)) -> Result<(), ExecuteError> {
    tree_owner::change(path, Change::Give(uid, gid))
}

/// Gives a private server's user all that it works on, and lets it pass the directory that this lies in.
///
/// # Errors
///
/// As [`give`].
pub(super) fn hand_over(custody: &Custody) -> Result<(), ExecuteError> {
    let user = (custody.uid, custody.gid);
    let meta = fs::symlink_metadata(&custody.dir).map_err(files::failed("read", &custody.dir))?;
    if meta.uid() != custody.uid && meta.gid() != custody.gid {
        lchown(&custody.dir, None, Some(custody.gid)).map_err(files::failed("give away", &custody.dir))?;
    }
    custody.trees.iter().try_for_each(|tree| give(tree, user))
}

/// Takes everything back: restored data belong to whoever ran dbbak.
///
/// # Errors
///
/// As [`tree_owner::change`]; the other trees are taken back all the same.
pub(super) fn take_back(custody: &Custody) -> Result<(), ExecuteError> {
    let taken: Vec<_> = custody.trees.iter().map(|tree| tree_owner::change(tree, Change::Take)).collect();
    let group = rustix::process::getegid().as_raw();
    lchown(&custody.dir, None, Some(group)).map_err(files::failed("take back", &custody.dir))?;
    taken.into_iter().collect()
}

/// Gives a new file to whom the directory belongs that it lies in, where that is another one and dbbak may: a private server
/// must be able to read and to cut what is put into a directory of its own.
pub(super) fn adopt(file: &File, path: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    let meta = fs::symlink_metadata(parent)?;
    if meta.uid() == 0 { Ok(()) } else { fchown(file, Some(meta.uid()), Some(meta.gid())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// Only root can give files away.
    fn root() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn owner(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().uid()
    }

    #[test]
    fn what_is_given_comes_back() {
        if !root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        fs::create_dir_all(data.join("a")).unwrap();
        fs::write(data.join("a/t.ibd"), "x").unwrap();
        fs::set_permissions(data.join("a/t.ibd"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("/etc", data.join("link")).unwrap();
        let none = dir.path().join("none");
        let custody = Custody { uid: 65_534, gid: 65_534, dir: dir.path().into(), trees: vec![data.clone(), none] };
        hand_over(&custody).unwrap();
        assert_eq!([owner(&data), owner(&data.join("a/t.ibd")), owner(&data.join("link"))], [65_534, 65_534, 0]);
        assert_eq!((owner(dir.path()), fs::metadata(dir.path()).unwrap().gid()), (0, 65_534));
        let made = data.join("made");
        adopt(&File::create(&made).unwrap(), &made).unwrap();
        assert_eq!(owner(&made), 65_534);
        take_back(&custody).unwrap();
        assert_eq!([owner(&data), owner(&data.join("a/t.ibd")), owner(&made)], [0, 0, 0]);
        assert_eq!(fs::metadata(data.join("a/t.ibd")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::metadata(dir.path()).unwrap().gid(), rustix::process::getegid().as_raw());
    }
}
