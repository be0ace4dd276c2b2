//! A run as root in a store that belongs to another user leaves nothing there that this user could not use.

use super::{
    Trouble, Watcher,
    backup::{bench, takes, target, whole},
};
use dbbak_core::store::{LockRequest, LockScope, Store};
use dbbak_testkit::fake_executor::FakeExecutor;
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown, symlink},
    path::Path,
};

const USER: u32 = 65_534;
const GROUP: u32 = 65_533;

/// Everything below a directory that does not belong to the user.
fn foreign(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if (meta.uid(), meta.gid()) != (USER, GROUP) {
            found.push(path.display().to_string());
        }
        if meta.is_dir() {
            found.extend(foreign(&path));
        }
    }
    found
}

fn give_all(dir: &Path) {
    chown(dir, Some(USER), Some(GROUP)).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { give_all(&path) } else { chown(&path, Some(USER), Some(GROUP)).unwrap() }
    }
}

#[test]
fn what_root_makes_in_a_users_store_is_the_users() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = bench();
    let store = bench.path("store");
    give_all(&store);
    // A name of elsewhere, and a link, are not given away.
    let secret = bench.path("secret");
    fs::write(&secret, "root's").unwrap();
    let (linked, pointed) = (secret.clone(), secret.clone());
    let mut scripts = whole();
    scripts[1] = takes().also(move |members| {
        fs::create_dir(target(members).join("shop"))?;
        fs::write(target(members).join("shop/t.ibd"), "rows")?;
        fs::hard_link(&linked, target(members).join("shop/second.ibd"))
    });
    bench.run(&FakeExecutor::new(scripts), &Watcher::new(Trouble::Never)).unwrap();
    // Nobody reads a run's log but a person, and the owner of the directory may remove it.
    let second = |path: &String| path.ends_with("raw/shop/second.ibd") || path.ends_with(".log");
    let left: Vec<String> = foreign(&store).into_iter().filter(|path| !second(path)).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(fs::metadata(&secret).unwrap().uid(), 0);
    assert!(store.join("logs").is_dir() && store.join("manifest.json").is_file());

    // Locks, while they are held, and what is replaced.
    let session = bench.store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("root")).unwrap();
    assert!(fs::read_dir(store.join("locks")).unwrap().count() >= 3);
    let left: Vec<String> = foreign(&store).into_iter().filter(|path| !second(path)).collect();
    assert_eq!(left, [""; 0]);
    symlink(&pointed, store.join("tmp/link")).unwrap();
    session.settle_owner(&dbbak_testkit::store_suite::key("tmp")).unwrap();
    assert_eq!(fs::metadata(&secret).unwrap().uid(), 0);
    session.release().unwrap();

    // In a store of root's own nothing is given away.
    let own = super::backup::bench();
    own.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
    assert_eq!(fs::metadata(own.path("store/manifest.json")).unwrap().uid(), 0);
}
