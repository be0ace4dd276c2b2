//! Locks of a local store: who is dead, who takes over, and who loses.

use super::{directory, local};
use chrono::{DateTime, Utc};
use dbbak_core::{
    clock::{Clock, SystemClock},
    store::{
        LocalStore, LockHolder, LockRequest, LockScope, ProcessGroup, Session, Store, StoreError, StoreReader, layout,
        local::{
            LocalParts,
            processes::{GroupState, Processes, SystemProcesses},
        },
    },
};
use dbbak_testkit::{
    fake_clock::FakeClock,
    fake_processes::FakeProcesses,
    faulty::FaultyDisk,
    store_suite::{key, put, request},
};
use std::{
    os::unix::process::CommandExt,
    process::Command,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

const MINUTE: Duration = Duration::from_secs(60);

/// Two processes at one store, as far as nothing else is said on one machine.
struct Bench {
    directory: TempDir,
    clock: Arc<FakeClock>,
    first: FakeProcesses,
}

fn bench() -> Bench {
    Bench { directory: directory(), clock: Arc::new(FakeClock::default()), first: FakeProcesses::new(100) }
}

impl Bench {
    fn store(&self, processes: &FakeProcesses) -> LocalStore {
        self.store_on(processes, self.clock.clone())
    }

    fn store_on(&self, processes: &FakeProcesses, clock: Arc<dyn Clock>) -> LocalStore {
        let processes = Arc::new(processes.clone());
        local(&self.directory, &LocalParts { clock, processes, ..LocalParts::default() })
    }

    /// The first process's session, whose heart beats only when it is told to.
    fn locked(&self, scope: LockScope) -> Box<dyn Session> {
        self.store(&self.first).lock(scope, &rarely()).unwrap()
    }

    fn lock_files(&self) -> Vec<String> {
        let children = self.store(&self.first).list(&layout::locks()).unwrap();
        children.into_iter().map(|info| info.key.to_string()).collect()
    }

    fn write(&self, at: &dbbak_core::store::StoreKey, content: &str) {
        let path = self.directory.path().join(at.as_str());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

/// A request whose heartbeat comes in an hour of real time, so never in a test. The fake clock knows nothing of that.
fn rarely() -> LockRequest {
    LockRequest { heartbeat: MINUTE * 60, stale_after: MINUTE * 60 * 20, ..request() }
}

#[track_caller]
fn assert_locked(result: Result<Box<dyn Session>, StoreError>, by: u32) {
    match result {
        Err(StoreError::Locked { holder, .. }) => assert_eq!(holder.pid, by),
        other => panic!("expected a lock held by process {by}, found {other:?}"),
    }
}

#[track_caller]
fn assert_lost<T: std::fmt::Debug>(result: Result<T, StoreError>, to: Option<u32>) {
    match result {
        Err(StoreError::LeaseLost { holder, .. }) => assert_eq!(holder.map(|holder| holder.pid), to),
        other => panic!("expected a lost lease, found {other:?}"),
    }
}

#[test]
fn the_living_keep_their_lock_and_the_dead_lose_it_at_once() {
    for end in [FakeProcesses::die, FakeProcesses::be_replaced] {
        let bench = bench();
        let first = bench.locked(LockScope::Backups);
        let mut file = first.publish(&key("x")).unwrap();
        std::io::Write::write_all(&mut file, b"x").unwrap();
        let second = bench.store(&bench.first.other(200, |_| {}));
        assert_locked(second.lock(LockScope::Backups, &request()), 100);
        end(&bench.first);
        let session = second.lock(LockScope::Backups, &request()).unwrap();
        assert_eq!(bench.clock.sleeps(), 0);

        assert_lost(first.check_lease(), Some(200));
        assert_lost(file.commit(), Some(200));
        assert_lost(put(&*first, "x", b""), Some(200));
        assert_lost(first.replace(&key("manifest.json"), None, b""), Some(200));
        assert_lost(first.remove(&key("x")), Some(200));
        assert_lost(first.create_dir(&key("full_x")), Some(200));
        assert_lost(first.release(), Some(200));
        session.check_lease().unwrap();
        put(&*session, "x", b"mine").unwrap();
        session.release().unwrap();
        assert_eq!(bench.lock_files(), [""; 0], "nothing is left behind");
    }
}

#[test]
fn a_reboot_ends_a_holder_and_its_children_need_no_killing() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let group = ProcessGroup { pgid: 500, start_time: 1 };
    first.note_children(&[group]).unwrap();
    bench.first.start_group(group, GroupState::Running);
    let rebooted = bench.first.other(200, |identity| identity.boot_id = Some("boot-2".to_owned()));
    bench.store(&rebooted).lock(LockScope::Backups, &request()).unwrap();
    assert_eq!(bench.first.killed(), []);
}

#[test]
fn elsewhere_or_in_another_container_nothing_is_proved() {
    type Change = fn(&mut dbbak_core::store::local::processes::ProcessIdentity);
    let changes: [Change; 5] = [
        |identity| identity.host = "db2".to_owned(),
        |identity| identity.pid_namespace = Some("pid:[2]".to_owned()),
        |identity| {
            // Host names repeat: another machine of that name was booted at another time.
            identity.boot_id = Some("boot-2".to_owned());
            identity.machine = Some("machine-2".to_owned());
        },
        |identity| {
            identity.boot_id = Some("boot-2".to_owned());
            identity.machine = None;
        },
        |identity| identity.boot_id = None,
    ];
    for change in changes {
        let bench = bench();
        let _first = bench.locked(LockScope::Backups);
        bench.first.die();
        let second = bench.store(&bench.first.other(200, change));
        assert_locked(second.lock(LockScope::Backups, &request()), 100);
    }
}

#[test]
fn silence_as_long_as_agreed_counts_as_death() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let second = bench.store(&bench.first.other(200, |identity| identity.host = "db2".to_owned()));
    assert_locked(second.lock(LockScope::Backups, &request().waiting(MINUTE / 2)), 100);
    assert_eq!(bench.clock.monotonic(), MINUTE / 2);
    let session = second.lock(LockScope::Backups, &request().waiting(MINUTE * 10)).unwrap();
    let waited = bench.clock.monotonic() - MINUTE / 2;
    assert!(waited >= MINUTE && waited < MINUTE + Duration::from_secs(3), "{waited:?}");
    assert_lost(first.check_lease(), Some(200));
    session.release().unwrap();
}

/// A clock on which each wait also does something else.
struct BusyClock<F>(Arc<FakeClock>, F);

impl<F> std::fmt::Debug for BusyClock<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl<F: Fn(Duration) + Send + Sync> Clock for BusyClock<F> {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, time: Duration) {
        self.0.sleep(time);
        (self.1)(time);
    }
}

#[test]
fn a_heartbeat_elsewhere_is_seen() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let session: Arc<dyn Session> = first.into();
    let last_beat = Mutex::new(Duration::ZERO);
    let (beating, clock) = (session.clone(), bench.clock.clone());
    let clock = BusyClock(bench.clock.clone(), move |_| {
        let mut last_beat = last_beat.lock().unwrap();
        if clock.monotonic() >= *last_beat + MINUTE * 9 / 10 {
            *last_beat = clock.monotonic();
            beating.note_children(&[]).unwrap();
        }
    });
    let second = bench.first.other(200, |identity| identity.host = "db2".to_owned());
    let second = bench.store_on(&second, Arc::new(clock));
    assert_locked(second.lock(LockScope::Backups, &request().waiting(MINUTE * 20)), 100);
    session.check_lease().unwrap();
}

#[test]
fn a_contender_that_was_suspended_itself_has_not_watched() {
    let bench = bench();
    let _first = bench.locked(LockScope::Backups);
    let (looks, clock) = (Arc::new(AtomicU32::new(0)), bench.clock.clone());
    let seen = looks.clone();
    let clock = BusyClock(bench.clock.clone(), move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) == 3 {
            clock.advance(MINUTE * 60);
        }
    });
    let second = bench.first.other(200, |identity| identity.host = "db2".to_owned());
    bench.store_on(&second, Arc::new(clock)).lock(LockScope::Backups, &request().waiting(MINUTE * 90)).unwrap();
    assert!(looks.load(Ordering::Relaxed) > 55, "{looks:?}");
}

#[test]
fn a_holder_that_was_suspended_looks_for_a_claim() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    bench.clock.advance(MINUTE * 60 * 24);
    first.check_lease().unwrap();
    let holder = bench.store(&bench.first).lock_holder(LockScope::Backups).unwrap().unwrap();
    assert_eq!(holder.heartbeat, 2, "it has said that it lives");

    bench.clock.advance(MINUTE * 60 * 24);
    let claim = LockHolder { owner: Uuid::from_u128(7), pid: 300, ..holder.clone() };
    bench.write(&layout::takeover(holder.owner), &serde_json::to_string(&claim).unwrap());
    assert_lost(first.check_lease(), Some(300));
}

#[test]
fn the_children_of_the_dead_are_killed_first() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let groups = [ProcessGroup { pgid: 500, start_time: 1 }, ProcessGroup { pgid: 501, start_time: 2 }];
    first.note_children(&groups).unwrap();
    bench.first.start_group(groups[1], GroupState::Running);
    bench.first.die();
    bench.store(&bench.first.other(200, |_| {})).lock(LockScope::Backups, &request()).unwrap();
    assert_eq!(bench.first.killed(), [groups[1]], "those that are gone need no killing");
}

#[test]
fn children_that_stay_keep_the_lock() {
    for state in [GroupState::Running, GroupState::Leaderless] {
        let bench = bench();
        let first = bench.locked(LockScope::Backups);
        let group = ProcessGroup { pgid: 500, start_time: 1 };
        first.note_children(&[group]).unwrap();
        bench.first.start_group(group, state);
        bench.first.make_unkillable();
        bench.first.die();
        let second = bench.store(&bench.first.other(200, |_| {}));
        match second.lock(LockScope::Backups, &request()) {
            Err(StoreError::ChildrenAlive { holder, groups, .. }) => {
                assert_eq!((holder.pid, groups), (100, vec![group]));
            }
            other => panic!("expected children that stay, found {other:?}"),
        }
        assert!(bench.clock.monotonic() >= Duration::from_secs(30));
        // One that may be someone else's is never killed.
        assert_eq!(bench.first.killed().is_empty(), state == GroupState::Leaderless);
        first.check_lease().unwrap();
        bench.first.start_group(group, GroupState::Gone);
        second.lock(LockScope::Backups, &request()).unwrap();
    }
}

#[test]
fn a_claim_of_the_living_is_respected_and_one_of_the_dead_taken_over() {
    let bench = bench();
    let _first = bench.locked(LockScope::Backups);
    let third = bench.first.other(300, |_| {});
    let holder = bench.store(&bench.first).lock_holder(LockScope::Backups).unwrap().unwrap();
    let claim = LockHolder { owner: Uuid::from_u128(7), pid: 300, pid_start: Some(3000), ..holder.clone() };
    bench.write(&layout::takeover(holder.owner), &serde_json::to_string(&claim).unwrap());
    bench.first.die();
    let second = bench.store(&bench.first.other(200, |_| {}));
    assert_locked(second.lock(LockScope::Backups, &request()), 300);
    third.die();
    second.lock(LockScope::Backups, &request()).unwrap().release().unwrap();
    assert_eq!(bench.lock_files(), [""; 0], "nothing is left behind");
}

#[test]
fn an_unreadable_lock_file_is_waited_for_like_a_silent_holder() {
    for content in ["", "{\"scope\":\"backups\"", "\u{0}\u{0}"] {
        let bench = bench();
        bench.write(&layout::lock(LockScope::Backups, Uuid::nil()), content);
        let store = bench.store(&bench.first);
        // Also by a request that would not wait: nobody else would ever take it over.
        store.lock(LockScope::Backups, &request()).unwrap();
        assert!(bench.clock.monotonic() >= MINUTE);
    }
}

/// A cron job does not wait for a lock. A holder elsewhere that has died is watched all the same, until its silence proves it.
#[test]
fn a_dead_holder_elsewhere_is_taken_over_without_a_wait() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let second = bench.store(&bench.first.other(200, |identity| identity.host = "db2".to_owned()));
    // Its last sign of life is fresh: no time is spent on it.
    assert_locked(second.lock(LockScope::Backups, &request()), 100);
    assert_eq!(bench.clock.monotonic(), Duration::ZERO);
    bench.clock.advance(MINUTE * 10);
    let before = bench.clock.monotonic();
    let session = second.lock(LockScope::Backups, &request()).unwrap();
    let watched = bench.clock.monotonic() - before;
    assert!(watched >= MINUTE && watched < MINUTE + Duration::from_secs(3), "{watched:?}");
    assert_lost(first.check_lease(), Some(200));
    session.release().unwrap();
}

/// The clock of the holder's host is wrong, and it lives: its next heartbeat says so.
#[test]
fn a_living_holder_with_a_wrong_clock_keeps_its_lock() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let session: Arc<dyn Session> = first.into();
    bench.clock.advance(MINUTE * 60);
    let beating = session.clone();
    let clock = BusyClock(bench.clock.clone(), move |_| beating.note_children(&[]).unwrap());
    let second = bench.first.other(200, |identity| identity.host = "db2".to_owned());
    let before = bench.clock.monotonic();
    assert_locked(bench.store_on(&second, Arc::new(clock)).lock(LockScope::Backups, &request()), 100);
    assert!(bench.clock.monotonic() - before < MINUTE / 2);
    session.check_lease().unwrap();
}

#[test]
fn a_person_takes_a_lock_away_with_a_reason() {
    let bench = bench();
    let first = bench.locked(LockScope::Backups);
    let elsewhere = bench.store(&bench.first.other(200, |identity| identity.host = "db2".to_owned()));
    // Here the holder's process can be seen, and it lives.
    let here = bench.store(&bench.first.other(300, |_| {}));
    assert!(matches!(here.unlock(&[], "it hangs"), Err(StoreError::Locked { .. })));
    first.check_lease().unwrap();
    assert!(elsewhere.unlock(&[LockScope::Binlogs], "not that one").unwrap().is_empty());
    let taken = elsewhere.unlock(&[], "the host\nburned down").unwrap();
    assert_eq!(taken.iter().map(|holder| holder.pid).collect::<Vec<_>>(), [100]);
    assert_lost(first.check_lease(), None);
    elsewhere.lock(LockScope::Backups, &request()).unwrap().release().unwrap();
    let logs = elsewhere.list(&key("logs")).unwrap();
    let text = std::fs::read_to_string(bench.directory.path().join(logs[0].key.as_str())).unwrap();
    assert!(text.starts_with("reason: the host burned down\nbackups lock of "), "{text}");
}

#[test]
fn a_lock_file_that_was_removed_is_a_lost_lease() {
    let bench = bench();
    let session = bench.locked(LockScope::Backups);
    std::fs::remove_file(bench.directory.path().join("locks/backups.json")).unwrap();
    assert_lost(session.check_lease(), None);
    assert_lost(put(&*session, "x", b""), None);
    assert_lost(session.release(), None);
}

#[test]
fn read_leases_of_the_dead_stop_no_pruner() {
    let bench = bench();
    let reader = bench.locked(LockScope::Read);
    let second = bench.store(&bench.first.other(200, |_| {}));
    assert_locked(second.lock(LockScope::Prune, &request()), 100);
    bench.first.die();
    let pruner = second.lock(LockScope::Prune, &request()).unwrap();
    assert_lost(reader.check_lease(), None);
    drop(reader);
    pruner.release().unwrap();
    assert_eq!(bench.lock_files(), [""; 0], "nothing is left behind");
}

#[test]
fn a_pruner_that_died_stops_no_reader() {
    let bench = bench();
    let pruner = bench.locked(LockScope::Prune);
    bench.first.die();
    let second = bench.store(&bench.first.other(200, |_| {}));
    let reader = second.lock(LockScope::Read, &request()).unwrap();
    assert_lost(pruner.check_lease(), None);
    reader.check_lease().unwrap();
}

/// A process of its own for each call, on the real clock with quick polls.
fn contender(directory: &TempDir, first: &FakeProcesses, only_link: bool) -> (LocalStore, FakeProcesses) {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    let processes = first.other(NEXT.fetch_add(1, Ordering::Relaxed), |_| {});
    let disk = Arc::new(if only_link { FaultyDisk::like_nfs() } else { FaultyDisk::new() });
    let parts = LocalParts { disk, clock: Arc::new(SystemClock::new()), processes: Arc::new(processes.clone()) };
    (local(directory, &parts), processes)
}

fn quick() -> LockRequest {
    LockRequest { heartbeat: Duration::from_millis(20), wait: MINUTE, ..request() }
}

#[test]
fn of_many_that_find_a_dead_holder_one_takes_over() {
    for round in 0..12 {
        let (directory, first) = (directory(), FakeProcesses::new(100));
        let (store, holder) = contender(&directory, &first, round % 2 == 0);
        let dead = store.lock(LockScope::Backups, &request()).unwrap();
        holder.die();
        let winners: Vec<Box<dyn Session>> = std::thread::scope(|scope| {
            let attempts: Vec<_> = (0..8)
                .map(|_| {
                    let (store, _) = contender(&directory, &first, round % 2 == 0);
                    scope.spawn(move || match store.lock(LockScope::Backups, &request()) {
                        Ok(session) => Some(session),
                        Err(StoreError::Locked { .. }) => None,
                        Err(other) => panic!("{other:?}"),
                    })
                })
                .collect();
            attempts.into_iter().filter_map(|attempt| attempt.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1, "round {round}");
        assert!(matches!(dead.check_lease(), Err(StoreError::LeaseLost { .. })));
        winners[0].check_lease().unwrap();
        drop((dead, winners));
        assert_eq!(store.list(&layout::locks()).unwrap(), [], "nothing is left behind");
    }
}

#[test]
fn no_two_are_ever_inside_while_holders_come_go_and_die() {
    for only_link in [false, true] {
        let (directory, first) = (directory(), FakeProcesses::new(100));
        let inside = AtomicBool::new(false);
        let turns = AtomicU32::new(0);
        let dead = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (directory, first, inside, turns, dead) = (&directory, &first, &inside, &turns, &dead);
                scope.spawn(move || {
                    for turn in 0..8 {
                        let (store, process) = contender(directory, first, only_link);
                        let session = store.lock(LockScope::Backups, &quick()).unwrap();
                        assert!(!inside.swap(true, Ordering::AcqRel), "two are inside");
                        session.check_lease().unwrap();
                        turns.fetch_add(1, Ordering::Relaxed);
                        inside.store(false, Ordering::Release);
                        if (thread + turn) % 3 == 0 {
                            // Its session lives on, as that of a process which is taken for dead by mistake would.
                            process.die();
                            dead.lock().unwrap().push(session);
                        }
                    }
                });
            }
        });
        assert_eq!(turns.load(Ordering::Relaxed), 48);
        drop(dead);
        let (store, _) = contender(&directory, &first, only_link);
        store.lock(LockScope::Backups, &quick()).unwrap().release().unwrap();
        assert_eq!(store.list(&layout::locks()).unwrap(), [], "nothing is left behind");
    }
}

#[test]
fn pruners_and_readers_are_never_inside_together() {
    let (directory, first) = (directory(), FakeProcesses::new(100));
    let readers_inside = AtomicU32::new(0);
    let pruner_inside = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (directory, first) = (&directory, &first);
            let (readers_inside, pruner_inside) = (&readers_inside, &pruner_inside);
            scope.spawn(move || {
                for _ in 0..6 {
                    let (store, _) = contender(directory, first, thread % 2 == 0);
                    if thread < 2 {
                        let session = store.lock(LockScope::Prune, &quick()).unwrap();
                        assert!(!pruner_inside.swap(true, Ordering::SeqCst));
                        assert_eq!(readers_inside.load(Ordering::SeqCst), 0);
                        session.check_lease().unwrap();
                        pruner_inside.store(false, Ordering::SeqCst);
                        session.release().unwrap();
                    } else {
                        let session = store.lock(LockScope::Read, &quick()).unwrap();
                        readers_inside.fetch_add(1, Ordering::SeqCst);
                        assert!(!pruner_inside.load(Ordering::SeqCst));
                        session.check_lease().unwrap();
                        readers_inside.fetch_sub(1, Ordering::SeqCst);
                        session.release().unwrap();
                    }
                }
            });
        }
    });
    let (store, _) = contender(&directory, &first, false);
    assert_eq!(store.list(&layout::locks()).unwrap(), []);
}

#[test]
fn the_heart_beats_by_itself() {
    let directory = directory();
    let store = LocalStore::new(directory.path());
    let session = store.lock(LockScope::Backups, &quick()).unwrap();
    let clock = SystemClock::new();
    loop {
        let holder = store.lock_holder(LockScope::Backups).unwrap().unwrap();
        if holder.heartbeat > 3 {
            assert_eq!(holder.pid, std::process::id());
            break;
        }
        assert!(clock.monotonic() < MINUTE, "no heartbeat");
        clock.sleep(Duration::from_millis(5));
    }
    session.release().unwrap();
    assert_eq!(store.lock_holder(LockScope::Backups).unwrap(), None);
}

/// The lock of a real process that has ended, with a real child that has not.
#[test]
fn real_processes_are_judged_and_killed() {
    let directory = directory();
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = ended.id();
    ended.wait().unwrap();
    let mut child = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
    let group = ProcessGroup::led_by(child.id()).unwrap();
    let identity = SystemProcesses.identity();
    let dead = LockHolder {
        scope: LockScope::Binlogs,
        owner: Uuid::from_u128(7),
        host: identity.host,
        machine: identity.machine,
        boot_id: identity.boot_id,
        pid_namespace: identity.pid_namespace,
        pid,
        pid_start: Some(1),
        command: "ship".to_owned(),
        since: DateTime::UNIX_EPOCH,
        heartbeat: 0,
        heartbeat_at: None,
        children: Vec::new(),
    };
    let write = |at: &dbbak_core::store::StoreKey, content: &serde_json::Value| {
        std::fs::create_dir_all(directory.path().join("locks")).unwrap();
        std::fs::write(directory.path().join(at.as_str()), content.to_string()).unwrap();
    };
    write(&layout::lock(LockScope::Binlogs, dead.owner), &serde_json::to_value(&dead).unwrap());
    let heartbeat = serde_json::json!({"owner": dead.owner, "heartbeat": 3, "heartbeat_at": "2025-10-02T02:00:00Z",
        "children": [group]});
    write(&layout::heartbeat(dead.owner), &heartbeat);

    // A child of ours stays a zombie until it is waited for; the kill must be seen all the same.
    assert_eq!(SystemProcesses.group(&group), GroupState::Running);
    let other = ProcessGroup { start_time: group.start_time + 1, ..group };
    assert_eq!(SystemProcesses.group(&other), GroupState::Gone, "a later process with the number");
    let store = LocalStore::new(directory.path());
    let session = store.lock(LockScope::Binlogs, &request()).unwrap();
    assert_eq!(SystemProcesses.group(&group), GroupState::Gone);
    let status = child.wait().unwrap();
    assert!(!status.success());
    session.release().unwrap();
    assert_eq!(store.list(&layout::locks()).unwrap(), []);
}

#[test]
fn a_session_is_shared_between_threads() {
    static SESSION: OnceLock<Box<dyn Session>> = OnceLock::new();
    let directory = directory();
    let store = LocalStore::new(directory.path());
    let session = SESSION.get_or_init(|| store.lock(LockScope::Backups, &request()).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || put(&**session, &format!("full_x/{thread}"), b"x").unwrap());
        }
    });
    assert_eq!(store.list(&key("full_x")).unwrap().len(), 4);
}
