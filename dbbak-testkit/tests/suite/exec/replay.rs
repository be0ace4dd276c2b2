//! The proof of a replay: what a private server logged against what the archive holds, one transaction at a time.

use super::{Trouble, Watcher, directory};
use dbbak_core::{
    execute::{Effects, ExecuteError, ExitStatus, Walk},
    model::{BinlogPosition, LogTime, MysqlGtidSet},
    plan::{PrivateServer, Replay, Step, UnpackBinlogs},
    store::{BinlogEntry, Digest, layout},
    tools::{CommandSpec, Launch},
};
use dbbak_testkit::{
    binlog_writer::{BinlogWriter, RowChange, Vendor},
    fake_clock::FakeClock,
    fake_executor::{FakeExecutor, Script},
    mem_store::MemStore,
};
use std::{fs, path::Path};
use tempfile::TempDir;
use uuid::Uuid;

/// A transaction: its number, and how many rows it inserts; with none it holds a savepoint alone.
type Transaction = (u64, usize);

const WINDOW: [Transaction; 3] = [(1, 1), (2, 3), (3, 1)];

/// A whole binlog with these transactions, and the offset of the first.
fn log_of(transactions: &[Transaction], whole: bool) -> (Vec<u8>, u64) {
    let mut writer = BinlogWriter::new(Vendor::Mysql, true, 1_759_370_400);
    let start = writer.previous_gtids(&MysqlGtidSet::default());
    for (number, rows) in transactions {
        writer.gtid(Uuid::from_u128(1), *number);
        writer.begin();
        if *rows == 0 {
            writer.query("", "SAVEPOINT `s`");
            writer.query("", "COMMIT");
            continue;
        }
        writer.table_map(7, "shop", "orders");
        writer.rows(RowChange::Insert, 7, &vec![(1, "beer"); *rows], true);
        writer.xid(*number);
    }
    if whole {
        writer.stop();
    }
    (writer.into_bytes(), start)
}

struct Bench {
    dir: TempDir,
    store: MemStore,
    unpack: UnpackBinlogs,
    replay: Replay,
}

fn bench() -> Bench {
    bench_of(&WINDOW)
}

fn bench_of(window: &[Transaction]) -> Bench {
    let dir = directory();
    let path = |name: &str| dir.path().join(name);
    let (bytes, start) = log_of(window, true);
    let stored_as = "binlog_2025-10-02T02-00Z_mysql-bin.000001".parse().unwrap();
    let mut entry = BinlogEntry::basic(
        "mysql-bin.000001".parse().unwrap(),
        stored_as,
        bytes.len() as u64,
        LogTime::from_seconds(1_759_370_400),
        LogTime::from_seconds(1_759_370_400),
    );
    entry.digest = Some(Digest::of(&bytes));
    let store = MemStore::new();
    store.put(&layout::binlog(&entry.stored_as), &bytes);
    let unpack = UnpackBinlogs {
        dir: path("binlogs"),
        files: vec![entry],
        start,
        stop: None,
        transactions: Some(window.len() as u64),
        expected_list: path("expected"),
        skip: Vec::new(),
        copies: Vec::new(),
        batches: Vec::new(),
        done_until: None,
        leaves_directories_aside: true,
        told: Default::default(),
    };
    let launch = |program: &str| Launch {
        command: CommandSpec::new(format!("/bin/{program}")),
        log: path(&format!("logs/{program}")),
    };
    let place = |position| BinlogPosition { file: "mysql-bin.000001".parse().unwrap(), position };
    let server = PrivateServer {
        launch: launch("mysqld"),
        datadir: path("data"),
        run_dir: path("run"),
        socket: path("run/socket"),
        init_file: path("run/init.sql"),
        client_file: path("run/client.cnf"),
        account: "dbbak-restore".into(),
        all_rights: true,
        log_dir: path("log"),
        log_name: "applied.000001".parse().unwrap(),
        ping: CommandSpec::new("/bin/ping"),
        statements: CommandSpec::new("/bin/statements"),
        start_timeout_seconds: 60,
        keyring: Vec::new(),
        custody: None,
    };
    let replay = Replay {
        server,
        relay: None,
        reader: launch("mysqlbinlog"),
        client: launch("mysql"),
        from: place(start),
        cut: place(bytes.len() as u64),
        bytes: bytes.len() as u64,
        examination: None,
        source_plugins: Default::default(),
        going_on: None,
    };
    Bench { dir, store, unpack, replay }
}

/// The server, the ping, the pipeline, the shutdown.
fn scripts(logs: Vec<(&'static str, Vec<u8>)>, log_dir: &Path) -> Vec<Script> {
    let log_dir = log_dir.to_owned();
    let replays = Script::success().does(move |members| {
        assert_eq!(members.len(), 2);
        logs.iter().try_for_each(|(name, bytes)| fs::write(log_dir.join(name), bytes))
    });
    let server = Script::success().ends_after(3).says("2025-10-02 2:00:00 0 [Note] /bin/mysqld: Shutdown complete");
    vec![server, Script::success(), replays, Script::success()]
}

impl Bench {
    /// Unpacks and replays; the secrets of the private server are gone in any case.
    fn play(&self, scripts: Vec<Script>) -> Result<u64, ExecuteError> {
        let (executor, clock, watcher) =
            (FakeExecutor::new(scripts), FakeClock::default(), Watcher::new(Trouble::Never));
        let effects =
            Effects { store: &self.store, session: None, executor: &executor, clock: &clock, reporter: &watcher };
        let mut walk = Walk::new(effects);
        let steps = [Step::UnpackBinlogs(self.unpack.clone()), Step::Replay(Box::new(self.replay.clone()))];
        let result = steps.iter().enumerate().try_for_each(|(at, step)| walk.step(step, (at + 1, 2)));
        assert!(!self.replay.server.run_dir.exists(), "the password lies there");
        result.map(|()| walk.outcome().replay.as_ref().unwrap().transactions)
    }

    /// Replays onto a server that logs this.
    fn proves(&self, logged: &[Transaction]) -> Result<u64, ExecuteError> {
        let logs = vec![("applied.000001", log_of(logged, true).0)];
        self.play(scripts(logs, &self.replay.server.log_dir))
    }
}

#[test]
fn the_same_transactions_are_proven() {
    let bench = bench();
    assert_eq!(bench.proves(&WINDOW).unwrap(), 3);
    assert!(!bench.replay.server.log_dir.exists(), "what was proven is of no more use");
    assert!(bench.dir.path().join("binlogs/mysql-bin.000001").exists());
}

#[test]
fn the_same_transactions_over_several_logs_are_proven() {
    let bench = bench();
    let logs = vec![
        ("applied.000001", log_of(&WINDOW[..2], true).0),
        ("applied.000002", log_of(&WINDOW[2..], true).0),
        ("other.000001", log_of(&[(9, 9)], true).0),
    ];
    assert_eq!(bench.play(scripts(logs, &bench.replay.server.log_dir)).unwrap(), 3);
}

/// What is left of a transaction after `ROLLBACK TO SAVEPOINT` one server logs and another does not.
#[test]
fn transactions_without_a_change_need_not_appear() {
    let window = [(1, 1), (2, 0), (3, 3), (4, 0)];
    for logged in [&window[..], &[(1, 1), (3, 3)], &[(1, 1), (2, 0), (3, 3)], &[(7, 0), (1, 1), (3, 3), (9, 0)]] {
        assert_eq!(bench_of(&window).proves(logged).unwrap(), 4, "{logged:?}");
    }
    assert!(bench_of(&window).proves(&[(1, 1), (2, 0), (4, 0)]).is_err());
}

/// The server logs this instead of the window: the proof fails at this transaction.
#[track_caller]
fn differs(logged: &[Transaction], at: u64, expects: &str, finds: &str) {
    let bench = bench();
    let error = bench.proves(logged).unwrap_err();
    let ExecuteError::ProofFailed { number, expected, found } = &error else { panic!("{error:?}") };
    assert_eq!(*number, at, "{error}");
    assert!(expected.contains(expects), "{error}");
    assert!(found.contains(finds), "{error}");
    assert!(bench.replay.server.log_dir.exists(), "what differs is kept for a look");
}

#[test]
fn one_transaction_more() {
    differs(&[(1, 1), (2, 3), (3, 1), (4, 1)], 4, "the end of the window", ":4");
}

#[test]
fn one_transaction_less() {
    differs(&WINDOW[..2], 3, ":3", "nothing more");
}

#[test]
fn none_at_all() {
    differs(&[], 1, ":1", "nothing more");
}

#[test]
fn one_left_out_in_the_middle() {
    differs(&[(1, 1), (3, 1)], 2, ":2", ":3");
}

#[test]
fn another_gtid() {
    differs(&[(1, 1), (7, 3), (3, 1)], 2, ":2", ":7");
}

#[test]
fn another_number_of_rows() {
    differs(&[(1, 1), (2, 2), (3, 1)], 2, "shop.orders:3/0/0", "shop.orders:2/0/0");
}

#[test]
fn a_log_that_does_not_end() {
    let bench = bench();
    let logs = vec![("applied.000001", log_of(&WINDOW, false).0)];
    let error = bench.play(scripts(logs, &bench.replay.server.log_dir)).unwrap_err();
    assert!(matches!(&error, ExecuteError::ProofFailed { found, .. } if found.contains("applied.000001")), "{error:?}");
}

#[test]
fn a_server_that_does_not_start() {
    let bench = bench();
    let dead = Script::success().status([ExitStatus::Code(1)]).says("[ERROR] cannot allocate memory");
    let error = bench.play(vec![dead]).unwrap_err();
    let ExecuteError::ServerStart { problem, stderr, .. } = &error else { panic!("{error:?}") };
    assert!(problem.contains("mysqld ended with exit status 1") && stderr[0].contains("allocate"), "{error:?}");
}

#[test]
fn a_server_that_does_not_shut_down_cleanly() {
    let bench = bench();
    let log = vec![("applied.000001", log_of(&WINDOW, true).0)];
    let mut all = scripts(log, &bench.replay.server.log_dir);
    all[0] = Script::success().ends_after(3).says("2025-10-02 2:00:00 0 [Note] ready for connections");
    assert!(matches!(bench.play(all), Err(ExecuteError::ServerStop { .. })));
}

#[test]
fn a_client_that_refuses_a_statement() {
    let bench = bench();
    let mut all = scripts(Vec::new(), &bench.replay.server.log_dir);
    all[2] = Script::success()
        .status([ExitStatus::Signal(13), ExitStatus::Code(1)])
        .says("ERROR 1062 (23000) at line 7: Duplicate entry '1' for key 'PRIMARY'")
        .says("INSERT INTO customers VALUES ('Jane Doe')");
    let error = bench.play(all).unwrap_err();
    let ExecuteError::Applier { transaction, problem, .. } = &error else { panic!("{error:?}") };
    assert_eq!(problem, "ERROR 1062 (23000) at line 7: Duplicate entry '1' for key 'PRIMARY'");
    // Nothing was logged: it is the first one.
    assert!(transaction.ends_with(":1 at mysql-bin.000001:158 (insert shop.orders)"), "{transaction}");
}

#[test]
fn a_reader_that_fails_silently() {
    let bench = bench();
    let mut all = scripts(vec![("applied.000001", log_of(&WINDOW, true).0)], &bench.replay.server.log_dir);
    let log = bench.replay.reader.log.clone();
    all[2] = Script::success().does(move |_| fs::write(&log, "ERROR: Event truncated\n"));
    assert!(matches!(bench.play(all), Err(ExecuteError::Replay { .. })), "status 0 is not enough");
}

#[test]
fn a_window_that_is_not_what_the_plan_says() {
    let mut bench = bench();
    bench.unpack.transactions = Some(5);
    assert!(matches!(bench.play(Vec::new()), Err(ExecuteError::WindowDiffers { expected: 5, found: 3 })));
    bench.unpack.transactions = None;
    fs::remove_dir_all(&bench.unpack.dir).unwrap();
    bench.unpack.start += 1;
    assert!(matches!(bench.play(Vec::new()), Err(ExecuteError::NotABoundary { .. })));
}

#[test]
fn an_archived_binlog_that_rotted() {
    let bench = bench();
    let entry = &bench.unpack.files[0];
    let (mut bytes, _) = log_of(&WINDOW, true);
    let at = bytes.len() - 40;
    bytes[at] ^= 1;
    bench.store.put(&layout::binlog(&entry.stored_as), &bytes);
    assert!(matches!(bench.play(Vec::new()), Err(ExecuteError::ArchivedBinlog { .. })));
    bench.store.put(&layout::binlog(&entry.stored_as), &bytes[..at]);
    fs::remove_dir_all(&bench.unpack.dir).unwrap();
    assert!(matches!(bench.play(Vec::new()), Err(ExecuteError::ArchivedBinlog { .. })));
}
