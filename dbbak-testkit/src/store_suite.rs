//! What every store must do, as functions over `&dyn Store`. Each wants an empty store.
#![expect(clippy::unwrap_used, reason = "a step of the suite that fails is a test that fails")]

use dbbak_core::store::{
    LockRequest, LockScope, ObjectInfo, Operation, ProcessGroup, Session, Store, StoreError, StoreKey, StoreReader,
    Version, layout, read_version,
};
use std::io::{Read, Write};

/// A function of the suite, with its name.
pub type Check = (&'static str, fn(&dyn Store));

/// The whole suite.
pub const CHECKS: &[Check] = &[
    ("lists_and_reads", lists_and_reads),
    ("reads_ranges", reads_ranges),
    ("publishes_whole_or_not_at_all", publishes_whole_or_not_at_all),
    ("never_publishes_over", never_publishes_over),
    ("replaces_what_was_read", replaces_what_was_read),
    ("removes", removes),
    ("locks_exclude_by_scope", locks_exclude_by_scope),
    ("pruners_and_readers_exclude_each_other", pruners_and_readers_exclude_each_other),
    ("takes_all_locks_or_none", takes_all_locks_or_none),
    ("writes_only_where_locked", writes_only_where_locked),
    ("writes_nothing_after_release", writes_nothing_after_release),
    ("notes_children", notes_children),
    ("makes_directories_where_it_is_one", makes_directories_where_it_is_one),
];

/// A key that is known to be one.
///
/// # Panics
///
/// When it is none.
pub fn key(text: &str) -> StoreKey {
    text.parse().expect("the test's key is a key")
}

/// A request that fails at once.
pub fn request() -> LockRequest {
    LockRequest::new("test")
}

/// A session that may write everything.
///
/// # Panics
///
/// When the store is locked.
pub fn session(store: &dyn Store) -> Box<dyn Session> {
    store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &request()).expect("nobody else has locked the store")
}

/// Publishes a content.
///
/// # Errors
///
/// As the store's.
pub fn put(session: &dyn Session, at: &str, bytes: &[u8]) -> Result<ObjectInfo, StoreError> {
    let at = key(at);
    let mut file = session.publish(&at)?;
    file.write_all(bytes).map_err(|error| StoreError::from_io(&at, Operation::Write, error))?;
    file.commit()
}

/// Reads a content.
///
/// # Errors
///
/// As the store's.
pub fn get(store: &dyn StoreReader, at: &str) -> Result<Vec<u8>, StoreError> {
    let at = key(at);
    let mut bytes = Vec::new();
    let read = store.open(&at, None)?.read_to_end(&mut bytes);
    read.map_err(|error| StoreError::from_io(&at, Operation::Read, error))?;
    Ok(bytes)
}

fn names(store: &dyn StoreReader, at: &str) -> Vec<String> {
    let children = store.list(&key(at)).expect("the directory can be listed");
    children.into_iter().map(|child| child.key.to_string()).collect()
}

/// The scopes of everyone who holds a lock.
fn held(store: &dyn Store) -> Vec<LockScope> {
    let holders = store.lock_holders().expect("the locks can be listed");
    holders.into_iter().map(|holder| holder.scope).collect()
}

#[track_caller]
fn assert_locked<T: std::fmt::Debug>(result: Result<T, StoreError>, scope: LockScope) {
    match result {
        Err(StoreError::Locked { scope: found, .. }) if found == scope => {}
        other => panic!("expected the {scope} lock to be held by someone else, found {other:?}"),
    }
}

fn lists_and_reads(store: &dyn Store) {
    let session = session(store);
    for at in ["manifest.json", "a/b/c", "a/b-c", "a/d"] {
        let info = put(&*session, at, at.as_bytes()).unwrap();
        assert_eq!((info.key, info.size, info.is_prefix), (key(at), at.len() as u64, false));
        assert_eq!(get(store, at).unwrap(), at.as_bytes());
    }
    assert_eq!(names(store, "a"), ["a/b", "a/b-c", "a/d"], "sorted by name, children only");
    assert!(names(store, "").contains(&"manifest.json".to_owned()));
    assert_eq!(names(store, "nowhere"), [""; 0]);
    assert!(store.head(&key("a/b")).unwrap().is_some_and(|info| info.is_prefix && info.size == 0));
    assert!(store.head(&key("a/b/c")).unwrap().is_some_and(|info| !info.is_prefix && info.size == 5));
    assert_eq!(store.head(&key("nowhere")).unwrap(), None);
    assert_eq!(store.head(&key("manifest.json/below")).unwrap(), None);
    for nowhere in ["nowhere", "manifest.json/below"] {
        assert!(matches!(get(store, nowhere), Err(StoreError::NotFound { .. })), "{nowhere}");
    }
    assert_eq!(read_version(store, &key("nowhere")).unwrap(), None);
    assert_eq!(read_version(store, &key("a/d")).unwrap(), Some((b"a/d".to_vec(), Version::of(b"a/d"))));
}

fn reads_ranges(store: &dyn Store) {
    put(&*session(store), "x", b"0123456789").unwrap();
    for (range, expected) in [(0..3, "012"), (3..7, "3456"), (8..99, "89"), (10..20, ""), (50..60, ""), (4..4, "")] {
        let mut text = String::new();
        store.open(&key("x"), Some(range.clone())).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, expected, "{range:?}");
    }
}

fn publishes_whole_or_not_at_all(store: &dyn Store) {
    let session = session(store);
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut file = session.publish(&key("d/big")).unwrap();
    for chunk in big.chunks(70_001) {
        file.write_all(chunk).unwrap();
    }
    assert_eq!(store.head(&key("d/big")).unwrap(), None, "not there before the commit");
    file.commit().unwrap();
    assert!(get(store, "d/big").unwrap() == big);

    let mut file = session.publish(&key("d/aborted")).unwrap();
    file.write_all(b"x").unwrap();
    file.abort().unwrap();
    let mut file = session.publish(&key("d/dropped")).unwrap();
    file.write_all(b"x").unwrap();
    drop(file);
    assert_eq!(names(store, "d"), ["d/big"]);
    assert_eq!(names(store, "tmp"), [""; 0], "nothing is left behind");
    assert_eq!(put(&*session, "d/empty", b"").unwrap().size, 0);
    assert_eq!(get(store, "d/empty").unwrap(), b"");
}

fn never_publishes_over(store: &dyn Store) {
    let session = session(store);
    let mut slow = session.publish(&key("x")).unwrap();
    slow.write_all(b"second").unwrap();
    put(&*session, "x", b"first").unwrap();
    assert!(matches!(slow.commit(), Err(StoreError::AlreadyExists { .. })));
    assert!(matches!(session.publish(&key("x")), Err(StoreError::AlreadyExists { .. })));
    assert_eq!(get(store, "x").unwrap(), b"first");
    assert_eq!(names(store, "tmp"), [""; 0], "nothing is left behind");
}

fn replaces_what_was_read(store: &dyn Store) {
    let session = session(store);
    let at = key("manifest.json");
    let one = session.replace(&at, None, b"one").unwrap();
    assert_eq!(store.head(&layout::previous(&at)).unwrap(), None);
    let two = session.replace(&at, Some(&one), b"two").unwrap();
    assert_eq!(get(store, "manifest.json.prev").unwrap(), b"one");
    for (expected, found) in [(Some(&one), Some(two)), (None, Some(two))] {
        match session.replace(&at, expected, b"three") {
            Err(StoreError::VersionConflict { expected: e, found: f, .. }) => {
                assert_eq!((e.as_ref(), f), (expected, found));
            }
            other => panic!("expected a conflict, found {other:?}"),
        }
    }
    let missing = session.replace(&key("other.json"), Some(&one), b"three");
    assert!(matches!(missing, Err(StoreError::VersionConflict { found: None, .. })));
    assert_eq!(session.replace(&at, Some(&two), b"two").unwrap(), two);
    assert_eq!(get(store, "manifest.json.prev").unwrap(), b"one", "the same content is no new generation");
    session.replace(&at, Some(&two), b"three").unwrap();
    assert_eq!(get(store, "manifest.json").unwrap(), b"three");
    assert_eq!(get(store, "manifest.json.prev").unwrap(), b"two");
    assert_eq!(names(store, "tmp"), [""; 0], "nothing is left behind");
}

fn removes(store: &dyn Store) {
    let session = session(store);
    for at in ["a/b/c", "a/d", "ab/c", "x"] {
        put(&*session, at, b"").unwrap();
    }
    session.remove(&key("x")).unwrap();
    session.remove(&key("x")).unwrap();
    session.remove_tree(&key("a")).unwrap();
    session.remove_tree(&key("a")).unwrap();
    assert_eq!(store.head(&key("x")).unwrap(), None);
    assert_eq!(store.head(&key("a/b/c")).unwrap(), None);
    assert_eq!(get(store, "ab/c").unwrap(), b"");
    assert_eq!(names(store, "tmp"), [""; 0], "nothing is left behind");
    put(&*session, "a/d", b"again").unwrap();
}

fn locks_exclude_by_scope(store: &dyn Store) {
    let backups = store.lock(LockScope::Backups, &request()).unwrap();
    assert_locked(store.lock(LockScope::Backups, &request()), LockScope::Backups);
    let binlogs = store.lock(LockScope::Binlogs, &LockRequest::new("ship")).unwrap();
    assert_eq!(held(store), [LockScope::Backups, LockScope::Binlogs]);
    let holder = store.lock_holder(LockScope::Binlogs).unwrap().unwrap();
    assert_eq!((holder.command.as_str(), holder.scope), ("ship", LockScope::Binlogs));
    backups.release().unwrap();
    drop(binlogs);
    assert_eq!(held(store), []);
    store.lock(LockScope::Backups, &request()).unwrap().release().unwrap();
}

fn pruners_and_readers_exclude_each_other(store: &dyn Store) {
    let one = store.lock(LockScope::Read, &request()).unwrap();
    let other = store.lock(LockScope::Read, &request()).unwrap();
    let backups = store.lock(LockScope::Backups, &request()).unwrap();
    assert_eq!(held(store), [LockScope::Backups, LockScope::Read, LockScope::Read]);
    drop(backups);
    drop(one);
    let all = [LockScope::Prune, LockScope::Backups, LockScope::Binlogs];
    assert_locked(store.lock_many(&all, &request()), LockScope::Read);
    assert_eq!(held(store), [LockScope::Read], "the failed attempt holds nothing");
    drop(other);
    let pruner = store.lock_many(&all, &request()).unwrap();
    assert_eq!(pruner.scopes(), [LockScope::Backups, LockScope::Binlogs, LockScope::Prune]);
    assert_locked(store.lock(LockScope::Read, &request()), LockScope::Prune);
    assert_eq!(held(store), [LockScope::Backups, LockScope::Binlogs, LockScope::Prune]);
    drop(pruner);
    store.lock_many(&[LockScope::Prune, LockScope::Read], &request()).unwrap();
}

fn takes_all_locks_or_none(store: &dyn Store) {
    let binlogs = store.lock(LockScope::Binlogs, &request()).unwrap();
    assert_locked(store.lock_many(&[LockScope::Binlogs, LockScope::Backups], &request()), LockScope::Binlogs);
    assert_eq!(held(store), [LockScope::Binlogs]);
    binlogs.check_lease().unwrap();
    drop(binlogs);
    let twice = store.lock_many(&[LockScope::Backups, LockScope::Backups], &request()).unwrap();
    assert_eq!(twice.scopes(), [LockScope::Backups]);
}

fn writes_only_where_locked(store: &dyn Store) {
    let refused = |result: Result<(), StoreError>| matches!(result, Err(StoreError::NotCovered { .. }));
    let backups = store.lock(LockScope::Backups, &request()).unwrap();
    put(&*backups, "full_x/meta.json", b"").unwrap();
    assert!(refused(put(&*backups, "binlogs/x", b"").map(drop)));
    assert!(refused(backups.replace(&key("binlogs/index.json"), None, b"").map(drop)));
    assert!(refused(backups.remove(&key("locks/backups.json"))));
    assert!(refused(backups.remove_tree(&StoreKey::root())));
    drop(backups);
    let binlogs = store.lock(LockScope::Binlogs, &request()).unwrap();
    put(&*binlogs, "binlogs/x", b"").unwrap();
    assert!(refused(binlogs.remove_tree(&key("full_x"))));
    drop(binlogs);
    let reader = store.lock(LockScope::Read, &request()).unwrap();
    assert!(refused(put(&*reader, "manifest.json", b"").map(drop)));
    put(&*reader, "history/run.json", b"").unwrap();
}

fn writes_nothing_after_release(store: &dyn Store) {
    let session = session(store);
    let mut file = session.publish(&key("x")).unwrap();
    file.write_all(b"x").unwrap();
    session.release().unwrap();
    assert!(matches!(file.commit(), Err(StoreError::LeaseLost { .. })));
    assert_eq!(store.head(&key("x")).unwrap(), None);
}

fn notes_children(store: &dyn Store) {
    let session = session(store);
    let group = ProcessGroup { pgid: 4_000_000, start_time: 7 };
    session.note_children(&[group]).unwrap();
    for scope in [LockScope::Backups, LockScope::Binlogs] {
        assert_eq!(store.lock_holder(scope).unwrap().unwrap().children, [group]);
    }
    session.note_children(&[]).unwrap();
    assert!(store.lock_holder(LockScope::Backups).unwrap().unwrap().children.is_empty());
}

fn makes_directories_where_it_is_one(store: &dyn Store) {
    let session = session(store);
    let at = key("full_x/raw");
    let Some(local) = store.local_dir() else {
        assert!(matches!(session.create_dir(&at), Err(StoreError::Unsupported { .. })));
        assert!(matches!(session.sync_tree(&at), Err(StoreError::Unsupported { .. })));
        return;
    };
    let path = session.create_dir(&at).unwrap();
    assert_eq!(path, local.path(&at));
    assert!(path.is_dir());
    assert!(matches!(session.create_dir(&at), Err(StoreError::AlreadyExists { .. })));
    std::fs::create_dir(path.join("db")).unwrap();
    std::fs::write(path.join("db/t.ibd"), b"page").unwrap();
    std::os::unix::fs::symlink("nowhere", path.join("link")).unwrap();
    session.sync_tree(&at).unwrap();
    assert_eq!(get(store, "full_x/raw/db/t.ibd").unwrap(), b"page");
    assert_eq!(names(store, "full_x/raw"), ["full_x/raw/db", "full_x/raw/link"]);
    session.remove_tree(&key("full_x")).unwrap();
    assert!(!path.exists());
    assert_eq!(names(store, "tmp"), [""; 0], "nothing is left behind");
}
