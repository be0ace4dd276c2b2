//! Changes whom a tree belongs to, by descriptors: a user that may write into it can swap any name for a link meanwhile.
#![expect(clippy::disallowed_methods, reason = "opens the directories above the trees")]

use super::{error::ExecuteError, files::failed};
use rustix::{
    fs::{self, AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid},
    io::Errno,
};
use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

/// Bits that nothing that is taken over may keep: to write for others, and to lend its owner or group to who runs it.
const UNSAFE_BITS: u32 = 0o7022;
/// What an access control list adds to the bits of a mode.
const LISTS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// What becomes of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It becomes a private server's user's. Links and the like stay whose they are.
    Give(u32, u32),
    /// What is another's becomes dbbak's own.
    Take,
    /// It becomes the owner's that the restored data shall have: directories get 0750, files 0640.
    Deliver(u32, u32),
}

/// Changes the owner of a tree, or of a file. Nothing happens where nothing is there.
///
/// A directory is dbbak's own, and nobody else may write into it, from before it is looked into until all below it is done:
/// no name below can change meanwhile. It is given away after what lies in it, so that the tree's root is the last.
///
/// # Errors
///
/// [`ExecuteError::PlantedLink`] for what no server makes: a file with several names; where the tree is taken, a link, pipe,
/// socket or device of another's too. What else lies there is taken all the same. When something cannot be looked at or
/// changed, or lies on another file system.
pub(super) fn change(path: &Path, change: Change) -> Result<(), ExecuteError> {
    change_seen(path, change, &mut |_| ())
}

/// Does so, and says before each thing is opened that it was seen.
fn change_seen(path: &Path, change: Change, seen: &mut dyn FnMut(&Path)) -> Result<(), ExecuteError> {
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed("give away", path)(io::ErrorKind::InvalidInput.into()));
    };
    let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
    let parent = match File::open(above) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        parent => parent.map_err(failed("read", above))?,
    };
    let own = (rustix::process::geteuid(), rustix::process::getegid());
    let mut walk = Walk { change, own, device: None, planted: None, seen };
    walk.entry(parent.as_fd(), name, path)?;
    walk.planted.map_or(Ok(()), |path| Err(ExecuteError::PlantedLink { path }))
}

struct Walk<'a> {
    change: Change,
    own: (Uid, Gid),
    /// The file system of the tree's root.
    device: Option<u64>,
    /// The first thing that no server makes.
    planted: Option<PathBuf>,
    seen: &'a mut dyn FnMut(&Path),
}

impl Walk<'_> {
    fn entry(&mut self, parent: BorrowedFd<'_>, name: &OsStr, path: &Path) -> Result<(), ExecuteError> {
        let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat.map_err(at("read", path))?,
        };
        if *self.device.get_or_insert(stat.st_dev) != stat.st_dev {
            return Err(failed("give away", path)(io::ErrorKind::CrossesDevices.into()));
        }
        (self.seen)(path);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => match open(parent, name, OFlags::DIRECTORY) {
                // It was a directory just now.
                Err(Errno::LOOP | Errno::NOTDIR) => self.plant(path),
                dir => self.directory(&dir.map_err(at("open", path))?, path),
            },
            FileType::RegularFile => match open(parent, name, OFlags::NONBLOCK | OFlags::NOCTTY) {
                Err(Errno::LOOP | Errno::NXIO) => self.plant(path),
                file => self.file(&file.map_err(at("open", path))?, path),
            },
            _ => self.other(parent, name, &stat, path),
        }
    }

    fn directory(&mut self, dir: &OwnedFd, path: &Path) -> Result<(), ExecuteError> {
        let stat = fs::fstat(dir).map_err(at("read", path))?;
        if Some(stat.st_dev) != self.device {
            return self.plant(path);
        }
        self.secure(dir, &stat, path)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(dir).map_err(at("read", path))? {
            let entry = entry.map_err(at("read", path))?;
            names.push(entry.file_name().to_owned());
        }
        for name in names.iter().map(|name| OsStr::from_bytes(name.to_bytes())) {
            if name != "." && name != ".." {
                self.entry(dir.as_fd(), name, &path.join(name))?;
            }
        }
        self.hand_on(dir, 0o750, path)
    }

    fn file(&mut self, file: &OwnedFd, path: &Path) -> Result<(), ExecuteError> {
        let stat = fs::fstat(file).map_err(at("read", path))?;
        // Another name of what may be somebody else's file.
        if !FileType::from_raw_mode(stat.st_mode).is_file() || stat.st_nlink > 1 {
            return self.plant(path);
        }
        if self.change == Change::Take && !self.is_own(&stat) {
            self.secure(file, &stat, path)?;
        }
        self.hand_on(file, 0o640, path)
    }

    /// A link, pipe, socket or device.
    fn other(&mut self, parent: BorrowedFd<'_>, name: &OsStr, stat: &Stat, path: &Path) -> Result<(), ExecuteError> {
        match self.change {
            Change::Take if !self.is_own(stat) => self.plant(path),
            Change::Deliver(uid, gid) => {
                let (uid, gid) = ids(uid, gid);
                fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(at("give away", path))
            }
            Change::Take | Change::Give(..) => Ok(()),
        }
    }

    fn is_own(&self, stat: &Stat) -> bool {
        stat.st_uid == self.own.0.as_raw()
    }

    /// Makes something dbbak's own, and leaves it no way for others to change it. The owner first: who is no longer the owner
    /// cannot change the mode back. The mode's group is the limit of what an access control list grants.
    fn secure(&self, fd: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), ExecuteError> {
        if !self.is_own(stat) {
            fs::fchown(fd, Some(self.own.0), Some(self.own.1)).map_err(at("take back", path))?;
            if self.change == Change::Take {
                // Most have none, and not every file system knows them.
                for list in LISTS {
                    let _ = fs::fremovexattr(fd, list);
                }
            }
        }
        let mode = fs::fstat(fd).map_err(at("read", path))?.st_mode & 0o7777;
        if mode & UNSAFE_BITS == 0 {
            return Ok(());
        }
        fs::fchmod(fd, Mode::from_raw_mode(mode & !UNSAFE_BITS)).map_err(at("set the mode of", path))
    }

    fn hand_on(&self, fd: &OwnedFd, mode: u32, path: &Path) -> Result<(), ExecuteError> {
        let (uid, gid) = match self.change {
            Change::Take => return Ok(()),
            Change::Give(uid, gid) | Change::Deliver(uid, gid) => ids(uid, gid),
        };
        if let Change::Deliver(..) = self.change {
            fs::fchmod(fd, Mode::from_raw_mode(mode)).map_err(at("set the mode of", path))?;
        }
        fs::fchown(fd, uid, gid).map_err(at("give away", path))
    }

    /// Notes what nobody should have made. Nothing is given to anybody then; what is taken is taken to the end.
    fn plant(&mut self, path: &Path) -> Result<(), ExecuteError> {
        if self.change != Change::Take {
            return Err(ExecuteError::PlantedLink { path: path.to_owned() });
        }
        self.planted.get_or_insert_with(|| path.to_owned());
        Ok(())
    }
}

fn ids(uid: u32, gid: u32) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

fn open(parent: BorrowedFd<'_>, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}

fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(Errno) -> ExecuteError + use<'a> {
    move |errno| failed(action, path)(errno.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, mknodat};
    use std::{
        fs,
        os::unix::{
            fs::{MetadataExt, PermissionsExt, lchown, symlink},
            net::UnixListener,
        },
    };

    const NOBODY: u32 = 65_534;
    const GIVE: Change = Change::Give(NOBODY, NOBODY);
    const CHANGES: [Change; 3] = [GIVE, Change::Take, Change::Deliver(1, 1)];

    /// Only root can give files away.
    fn root() -> bool {
        rustix::process::geteuid().is_root()
    }

    fn owner(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().uid()
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A data directory, and a file of root's that nobody may ever get.
    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Place { dir: tempfile::tempdir().unwrap() };
            fs::create_dir_all(place.at("data/shop")).unwrap();
            fs::create_dir(place.at("secret")).unwrap();
            for file in ["data/ibdata1", "data/shop/victim", "data/shop/t.ibd", "secret/victim"] {
                fs::write(place.at(file), file).unwrap();
                set_mode(&place.at(file), 0o600);
            }
            place
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }
    }

    #[test]
    fn a_directory_that_becomes_a_link_leads_nowhere() {
        for what in CHANGES.into_iter().filter(|_| root()) {
            let place = Place::new();
            let (shop, aside) = (place.at("data/shop"), place.at("aside"));
            let mut swapped = false;
            let refused = change_seen(&place.at("data"), what, &mut |path| {
                if path == shop && !std::mem::replace(&mut swapped, true) {
                    fs::rename(&shop, &aside).unwrap();
                    symlink(place.at("secret"), &shop).unwrap();
                }
            });
            assert!(
                matches!(&refused, Err(ExecuteError::PlantedLink { path }) if *path == shop),
                "{what:?} {refused:?}"
            );
            // And while it is gone through.
            let place = Place::new();
            let (shop, aside, inner) = (place.at("data/shop"), place.at("aside"), place.at("data/shop/victim"));
            change_seen(&place.at("data"), what, &mut |path| {
                if path == inner {
                    fs::rename(&shop, &aside).unwrap();
                    symlink(place.at("secret"), &shop).unwrap();
                }
            })
            .unwrap();
            assert_eq!((owner(&place.at("secret/victim")), mode(&place.at("secret/victim"))), (0, 0o600), "{what:?}");
            assert_eq!(owner(&place.at("secret")), 0, "{what:?}");
        }
    }

    #[test]
    fn a_file_that_becomes_a_link_or_a_pipe_leads_nowhere() {
        let plants: [fn(&Path, &Path); 3] = [
            |secret, name| symlink(secret, name).unwrap(),
            |secret, name| fs::hard_link(secret, name).unwrap(),
            |_, name| mknodat(CWD, name, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap(),
        ];
        for (what, plant) in CHANGES.iter().flat_map(|what| plants.map(|plant| (*what, plant))).filter(|_| root()) {
            let place = Place::new();
            let (file, secret) = (place.at("data/shop/victim"), place.at("secret/victim"));
            let refused = change_seen(&place.at("data"), what, &mut |path| {
                if path == file {
                    fs::remove_file(&file).unwrap();
                    plant(&secret, &file);
                }
            });
            assert!(
                matches!(&refused, Err(ExecuteError::PlantedLink { path }) if *path == file),
                "{what:?} {refused:?}"
            );
            assert_eq!((owner(&secret), mode(&secret)), (0, 0o600), "{what:?}");
        }
    }

    /// Whoever had it before must not change a name while it is gone through.
    #[test]
    fn a_directory_is_closed_before_it_is_looked_into_and_given_after() {
        for what in CHANGES.into_iter().filter(|_| root()) {
            let place = Place::new();
            for name in ["data", "data/shop", "data/shop/victim"] {
                lchown(place.at(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
            set_mode(&place.at("data/shop"), 0o7777);
            let mut count = 0;
            change_seen(&place.at("data"), what, &mut |path| {
                for above in path.ancestors().skip(1).take_while(|above| above.starts_with(place.at("data"))) {
                    count += 1;
                    assert_eq!((owner(above), mode(above) & 0o022), (0, 0), "{what:?} {}", path.display());
                }
            })
            .unwrap();
            assert_eq!(count, 2 + 2 * 2);
            let expected = match what {
                Change::Take => 0,
                Change::Give(uid, _) | Change::Deliver(uid, _) => uid,
            };
            assert_eq!(["data", "data/shop", "data/shop/victim"].map(|name| owner(&place.at(name))), [expected; 3]);
        }
    }

    #[test]
    fn nothing_that_is_taken_lends_rights_or_can_be_written_by_others() {
        if !root() {
            return;
        }
        let place = Place::new();
        let (shop, file, plain) = (place.at("data/shop"), place.at("data/shop/victim"), place.at("data/shop/t.ibd"));
        change(&place.at("data"), GIVE).unwrap();
        set_mode(&shop, 0o3777);
        set_mode(&file, 0o6777);
        set_mode(&plain, 0o640);
        change(&place.at("data"), Change::Take).unwrap();
        assert_eq!([&shop, &file, &plain].map(|path| (owner(path), mode(path))), [(0, 0o755), (0, 0o755), (0, 0o640)]);
        change(&place.at("data"), Change::Deliver(1, 1)).unwrap();
        assert_eq!([&shop, &file].map(|path| (owner(path), mode(path))), [(1, 0o750), (1, 0o640)]);
    }

    #[test]
    fn what_no_server_makes_is_told_and_the_rest_taken() {
        let plants: [fn(&Path); 5] = [
            |name| symlink("/etc/passwd", name).unwrap(),
            |name| drop(UnixListener::bind(name).unwrap()),
            |name| mknodat(CWD, name, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap(),
            |name| mknodat(CWD, name, FileType::CharacterDevice, Mode::from_raw_mode(0o666), 0x103).unwrap_or_default(),
            |name| fs::hard_link(name.with_file_name("t.ibd"), name).unwrap(),
        ];
        for plant in plants.into_iter().filter(|_| root()) {
            let place = Place::new();
            change(&place.at("data"), GIVE).unwrap();
            let planted = place.at("data/shop/aaa");
            plant(&planted);
            if !planted.is_symlink() && !planted.exists() {
                continue;
            }
            lchown(&planted, Some(NOBODY), Some(NOBODY)).unwrap();
            let taken = change(&place.at("data"), Change::Take);
            assert!(
                matches!(&taken, Err(ExecuteError::PlantedLink { path }) if path.starts_with(place.at("data/shop"))),
                "{taken:?}"
            );
            let taken = ["data", "data/ibdata1", "data/shop", "data/shop/victim"].map(|name| owner(&place.at(name)));
            assert_eq!(taken, [0; 4]);
        }
    }
}
