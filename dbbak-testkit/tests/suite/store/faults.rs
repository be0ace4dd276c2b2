//! Faults of the file system below a local store.

use super::{directory, local};
use dbbak_core::store::{
    LocalStore, LockRequest, LockScope, Operation, Store, StoreError, StoreReader, Version, local::LocalParts,
};
use dbbak_testkit::{
    fake_clock::FakeClock,
    faulty::{Fault, FaultyDisk, Op},
    store_suite::{get, key, put, session},
};
use rustix::io::Errno;
use std::{
    io::{Read, Write},
    sync::Arc,
};
use tempfile::TempDir;

struct Bench {
    directory: TempDir,
    disk: FaultyDisk,
    clock: Arc<FakeClock>,
    store: LocalStore,
}

fn bench() -> Bench {
    let (directory, disk, clock) = (directory(), FaultyDisk::new(), Arc::new(FakeClock::default()));
    let parts = LocalParts { disk: Arc::new(disk.clone()), clock: clock.clone(), ..LocalParts::default() };
    let store = local(&directory, &parts);
    Bench { directory, disk, clock, store }
}

impl Bench {
    fn staged(&self) -> Vec<String> {
        self.store.list(&key("tmp")).unwrap().into_iter().map(|info| info.key.to_string()).collect()
    }
}

/// The error of a publication during which one operation on the staged file fails.
fn publish_with(op: Op, errno: Errno) -> StoreError {
    let bench = bench();
    let session = session(&bench.store);
    bench.disk.once(op, "staged-", Fault::Refused(errno));
    let error = put(&*session, "binlogs/x.gz", &[7; 500_000]).unwrap_err();
    assert_eq!(bench.disk.happened(), 1);
    assert_eq!(bench.store.head(&key("binlogs/x.gz")).unwrap(), None, "{op:?}");
    assert_eq!(bench.staged(), [""; 0], "{op:?} gives the space back");
    put(&*session, "binlogs/x.gz", b"the next attempt").unwrap();
    error
}

#[test]
fn a_full_disk_is_reported_with_the_key_wherever_it_shows() {
    for op in [Op::Create, Op::Write, Op::SyncFile, Op::Close] {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            let error = publish_with(op, errno);
            assert!(matches!(&error, StoreError::NoSpace { .. }), "{op:?}: {error:?}");
            assert_eq!(error.key(), Some(&key("binlogs/x.gz")), "{op:?}");
        }
    }
}

#[test]
fn an_io_error_is_reported_with_the_key_wherever_it_shows() {
    for (op, operation) in
        [(Op::Write, Operation::Write), (Op::SyncFile, Operation::Sync), (Op::Close, Operation::Close)]
    {
        match publish_with(op, Errno::IO) {
            StoreError::Io { key: at, operation: found, .. } => {
                assert_eq!((at, found), (key("binlogs/x.gz"), operation));
            }
            other => panic!("{op:?}: {other:?}"),
        }
    }
}

#[test]
fn a_read_only_store_says_so() {
    let bench = bench();
    bench.disk.always(Op::Create, "", Fault::Refused(Errno::ROFS));
    let error =
        bench.store.lock(dbbak_core::store::LockScope::Read, &dbbak_testkit::store_suite::request()).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    bench.disk.heal();
    let session = session(&bench.store);
    bench.disk.always(Op::RenameNew, "binlogs", Fault::Refused(Errno::ROFS));
    let error = put(&*session, "binlogs/x", b"").unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[test]
fn a_name_that_may_not_last_is_taken_back() {
    let bench = bench();
    let session = session(&bench.store);
    put(&*session, "binlogs/first", b"").unwrap();
    bench.disk.once(Op::Sync, "binlogs", Fault::Refused(Errno::IO));
    let error = put(&*session, "binlogs/x", b"x").unwrap_err();
    assert!(matches!(error, StoreError::Io { operation: Operation::Sync, .. }), "{error:?}");
    assert_eq!(bench.store.head(&key("binlogs/x")).unwrap(), None);
    put(&*session, "binlogs/x", b"x").unwrap();
}

#[test]
fn the_other_content_wins_when_a_name_is_really_taken() {
    for disk in [FaultyDisk::new(), FaultyDisk::like_nfs()] {
        let directory = directory();
        let store = local(&directory, &LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() });
        let session = session(&store);
        let mut file = session.publish(&key("x")).unwrap();
        file.write_all(b"same size").unwrap();
        // Someone without a lock: no session of ours could.
        std::fs::write(directory.path().join("x"), b"not ours!").unwrap();
        assert!(matches!(file.commit(), Err(StoreError::AlreadyExists { .. })));
        assert_eq!(get(&store, "x").unwrap(), b"not ours!");
        assert_eq!(store.list(&key("tmp")).unwrap(), []);
    }
}

#[test]
fn a_replacement_that_fails_leaves_the_old_content() {
    for (op, path) in [
        (Op::Create, "staged-"),
        (Op::SyncFile, "staged-"),
        (Op::Close, "staged-"),
        (Op::Rename, "manifest.json.prev"),
        (Op::Rename, "manifest.json"),
    ] {
        let bench = bench();
        let session = session(&bench.store);
        let at = key("manifest.json");
        let version = session.replace(&at, None, b"one").unwrap();
        bench.disk.once(op, path, Fault::Refused(Errno::IO));
        assert!(session.replace(&at, Some(&version), b"two").is_err(), "{op:?} {path}");
        assert_eq!(get(&bench.store, "manifest.json").unwrap(), b"one", "{op:?} {path}");
        assert_eq!(bench.staged(), [""; 0], "{op:?} {path}");
        assert_eq!(session.replace(&at, Some(&version), b"two").unwrap(), Version::of(b"two"));
    }
}

#[test]
fn a_forgotten_handle_is_opened_again() {
    let bench = bench();
    let content: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    put(&*session(&bench.store), "x", &content).unwrap();
    bench.disk.times(Op::Open, "/x", Fault::Refused(Errno::STALE), 3);
    bench.disk.once(Op::Read, "/x", Fault::Refused(Errno::STALE));
    assert!(get(&bench.store, "x").unwrap() == content);
    assert_eq!((bench.disk.happened(), bench.clock.sleeps()), (4, 3));

    // In the middle the same file is gone on with; another one is not.
    for replaced in [false, true] {
        let mut reader = bench.store.open(&key("x"), None).unwrap();
        let mut start = vec![0; 1000];
        reader.read_exact(&mut start).unwrap();
        if replaced {
            let path = bench.directory.path().join("x");
            std::fs::write(path.with_extension("new"), &content).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        }
        bench.disk.once(Op::Read, "/x", Fault::Refused(Errno::STALE));
        let mut rest = Vec::new();
        let read = reader.read_to_end(&mut rest);
        if replaced {
            let error = StoreError::from_io(&key("elsewhere"), Operation::Read, read.unwrap_err());
            assert_eq!(error.key(), Some(&key("x")));
        } else {
            assert_eq!(read.unwrap(), content.len() - 1000);
            assert!(rest == content[1000..]);
        }
    }
}

#[test]
fn a_handle_that_stays_forgotten_is_an_error_in_the_end() {
    let bench = bench();
    put(&*session(&bench.store), "x", b"x").unwrap();
    bench.disk.always(Op::Open, "/x", Fault::Refused(Errno::STALE));
    let error = get(&bench.store, "x").unwrap_err();
    assert!(matches!(error, StoreError::Io { operation: Operation::Open, .. }), "{error:?}");
}

#[test]
fn a_listing_that_lags_behind_names_nothing_that_is_gone() {
    let bench = bench();
    put(&*session(&bench.store), "a/there", b"").unwrap();
    bench.disk.ghost(&bench.directory.path().join("a"), "gone");
    let names: Vec<_> = bench.store.list(&key("a")).unwrap().into_iter().map(|info| info.key).collect();
    assert_eq!(names, [key("a/there")]);
}

#[test]
fn a_store_that_is_not_mounted_is_not_an_empty_one() {
    let directory = directory();
    let store = LocalStore::new(directory.path().join("missing"));
    assert!(matches!(store.list(&key("")), Err(StoreError::NotFound { .. })));
    let error = store.lock(dbbak_core::store::LockScope::Backups, &dbbak_testkit::store_suite::request()).unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
    assert!(!directory.path().join("missing").exists());
}

#[test]
fn a_tree_that_someone_reads_goes_but_for_what_is_open() {
    let bench = bench();
    let session = session(&bench.store);
    put(&*session, "full_x/raw/a", b"").unwrap();
    put(&*session, "full_x/raw/.nfs0001", b"").unwrap();
    session.remove_tree(&key("full_x")).unwrap();
    assert_eq!(bench.store.head(&key("full_x")).unwrap(), None);
    assert_eq!(bench.staged().len(), 1);
}

#[test]
fn a_tree_with_a_bad_sector_is_not_called_safe() {
    let bench = bench();
    let session = session(&bench.store);
    put(&*session, "full_x/raw/db/t.ibd", b"").unwrap();
    bench.disk.once(Op::Sync, "t.ibd", Fault::Refused(Errno::IO));
    let error = session.sync_tree(&key("full_x")).unwrap_err();
    assert_eq!(error.key(), Some(&key("full_x/raw/db/t.ibd")));
}

/// A store without room for a lock's heartbeat can be pruned all the same: the reserve of an earlier run gives the room.
#[test]
fn a_full_store_can_be_locked_to_be_pruned() {
    let bench = bench();
    let reserve = bench.directory.path().join("history/reserve");
    let full = || bench.disk.once(Op::Write, "staged-", Fault::Refused(Errno::NOSPC));
    let lock = |scope| bench.store.lock(scope, &LockRequest::new("test"));
    let _ = std::fs::remove_file(&reserve);
    full();
    assert!(matches!(lock(LockScope::Prune), Err(StoreError::NoSpace { .. })), "there is no reserve yet");
    assert!(!reserve.exists());
    let change = |text: &[u8]| {
        let session = lock(LockScope::Backups).unwrap();
        let found = session
            .head(&key("manifest.json"))
            .unwrap()
            .map(|_| Version::of(&get(&bench.store, "manifest.json").unwrap()));
        session.replace(&key("manifest.json"), found.as_ref(), text).unwrap();
        session.release().unwrap();
    };
    change(b"[]");
    assert!(std::fs::metadata(&reserve).unwrap().len() >= 128 << 10);
    // Who would fill the store further does not get it.
    full();
    assert!(matches!(lock(LockScope::Backups), Err(StoreError::NoSpace { .. })));
    assert!(reserve.exists());
    full();
    let pruning = lock(LockScope::Prune).unwrap();
    assert!(!reserve.exists());
    pruning.release().unwrap();
    assert!(reserve.exists(), "it is made anew where there is room");
    std::fs::remove_file(&reserve).unwrap();
    bench.disk.once(Op::Write, "history/reserve", Fault::Refused(Errno::NOSPC));
    change(b"[ ]");
    assert!(!reserve.exists(), "half a reserve is none");
    // Who changes nothing makes none.
    lock(LockScope::Read).unwrap().release().unwrap();
    lock(LockScope::Backups).unwrap().release().unwrap();
    assert!(!reserve.exists());
}
