//! What a plan must tell of a window is found, by an index or without one: statements that put files elsewhere however long they are, names
//! of what a server may lack, and what no log tells.

use super::find::add;
use chrono::Utc;
use dbbak_core::{
    facts::{Need, OutsideFact, Untold},
    record::record_layout,
    store::{
        BinlogEntry, LocalStore, LockRequest, LockScope, Store, StoreFile,
        transactions::{Kinds, StoredRanges, TransactionIndex},
    },
    survey::{self, WindowFindings},
};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, STANDALONE, Vendor};
use uuid::Uuid;

/// So many columns that what stands behind them is beyond all that is kept of a statement.
fn columns(bytes: usize) -> String {
    (0..bytes / 20).map(|number| format!("column_{number:06} INT,")).collect::<String>() + "last INT"
}

pub(super) struct Archive {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: LocalStore,
    pub(super) entries: Vec<BinlogEntry>,
}

/// One binlog for each list of statements.
fn archive(vendor: Vendor, compressed: bool, files: &[Vec<String>]) -> Archive {
    let log = |(number, statements): (usize, &Vec<String>)| {
        let mut log = BinlogWriter::new(vendor, true, 1_700_000_000 + number as u32 * 100);
        for (place, text) in statements.iter().enumerate() {
            let seq = (number * 100 + place + 1) as u64;
            match vendor {
                Vendor::Mariadb => log.mariadb_gtid(0, seq, STANDALONE),
                _ => log.gtid(Uuid::from_u128(7), seq),
            };
            if compressed {
                log.compressed_query("shop", text)
            } else {
                log.query("shop", text)
            };
        }
        log.rotate("next.000001");
        log.into_bytes()
    };
    stored(files.iter().enumerate().map(log).collect())
}

impl Archive {
    /// What is found of the part from `start` on; of binlogs that have to be read whole at most so many bytes.
    fn look(&self, start: u64, indexed: bool, most: u64) -> WindowFindings {
        let mut entries = self.entries.clone();
        if !indexed {
            entries.iter_mut().for_each(|entry| entry.tx = None);
        }
        let span = |place: usize| (if place == 0 { start } else { 0 }, u64::MAX);
        let files: Vec<_> = entries.iter().enumerate().map(|(place, entry)| (entry, span(place))).collect();
        let doubtful = |need, name: &str| need != Need::Engine || !name.eq_ignore_ascii_case("InnoDB");
        survey::window_within(&self.store, &files, &doubtful, most)
    }

    fn found(&self, start: u64, indexed: bool) -> Vec<OutsideFact> {
        self.look(start, indexed, u64::MAX).outside
    }
}

/// A store with these binlogs.
pub(super) fn stored(files: Vec<Vec<u8>>) -> Archive {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = LocalStore::new(dir.path());
    let session = store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("test")).unwrap();
    record_layout(&*session, &StoreFile::new(Uuid::new_v4(), Utc::now())).unwrap();
    let entry = |(number, bytes): (usize, Vec<u8>)| {
        add(&*session, "t1", &format!("bin.{:06}", number + 1).parse().unwrap(), &bytes)
    };
    let entries = files.into_iter().enumerate().map(entry).collect();
    session.release().unwrap();
    Archive { dir, store, entries }
}

/// The header flag of a statement that goes by its session's temporary tables.
const THREAD_SPECIFIC: u16 = 4;

/// A transaction of rows.
fn rows(log: &mut BinlogWriter, seq: u64) {
    log.mariadb_gtid(0, seq, 0);
    log.statement_text("INSERT INTO t VALUES (UUID())");
    log.table_map(7, "shop", "t");
    log.rows(RowChange::Insert, 7, &[(1, "a")], true);
    log.xid(seq);
}

/// What no log tells is found wherever it stands in a transaction and in the window, and rows alone say nothing.
#[test]
fn what_no_log_tells_is_found_in_a_window() {
    let mut logs: Vec<BinlogWriter> =
        (0..5).map(|number| BinlogWriter::new(Vendor::Mariadb, true, 1_700_000_000 + number * 100)).collect();
    rows(&mut logs[0], 1);
    // The second statement of a transaction, and one that says it behind all that is kept of its text.
    logs[1].mariadb_gtid(0, 2, 0);
    logs[1].query("shop", "INSERT INTO t VALUES (1)");
    logs[1].query("shop", "INSERT INTO t VALUES (UUID())");
    logs[1].xid(2);
    logs[1].mariadb_gtid(0, 3, 0);
    logs[1].query("shop", &format!("INSERT INTO t VALUES ('{}', UUID())", "x".repeat(20_000)));
    logs[1].xid(3);
    rows(&mut logs[2], 4);
    rows(&mut logs[3], 5);
    // A statement on a temporary table that nobody made in the window.
    logs[3].mariadb_gtid(0, 6, 0);
    let (mut head, text) = (vec![9, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0], "UPDATE tmp SET a = 1");
    head.extend_from_slice(b"shop\0");
    head.extend_from_slice(text.as_bytes());
    logs[3].event(2, THREAD_SPECIFIC, &head);
    logs[3].xid(6);
    rows(&mut logs[4], 7);
    for (number, log) in logs.iter_mut().enumerate() {
        log.rotate(&format!("bin.{:06}", number + 2));
    }
    let archive = stored(logs.into_iter().map(BinlogWriter::into_bytes).collect());
    let sizes: Vec<u64> = archive.entries.iter().map(|entry| entry.size).collect();
    for indexed in [true, false] {
        let found = archive.look(0, indexed, u64::MAX).untold;
        let told: Vec<_> = found.transactions.iter().map(|fact| (fact.gtid.clone().unwrap(), fact.what)).collect();
        let wanted = [("0-1-2", Untold::Values), ("0-1-3", Untold::Values), ("0-1-6", Untold::EarlierTemporary)];
        assert_eq!(told, wanted.map(|(gtid, what)| (gtid.to_owned(), what)), "{indexed}");
        assert_eq!(found.statements_from.unwrap().file.as_str(), "bin.000002");
        assert_eq!((found.count, found.unseen_from), (3, None));
    }
    // Where reading all would take too long, what is not looked at is named; an index tells that most need not be read.
    let enough = sizes[1] + sizes[3];
    assert_eq!(archive.look(0, true, enough).untold.unseen_from, None);
    let short = archive.look(0, true, sizes[1]).untold;
    assert_eq!((short.count, short.unseen_from.unwrap().as_str()), (2, "bin.000004"));
    assert_eq!(archive.look(0, false, enough).untold.unseen_from.unwrap().as_str(), "bin.000003");
    // Statements are told of also where their file is not read.
    let none = archive.look(0, true, 0).untold;
    assert_eq!(
        (none.statements_from.unwrap().file.as_str(), none.unseen_from.unwrap().as_str()),
        ("bin.000002", "bin.000002")
    );
}

/// Status variables of a session with a SQL mode and a character set.
fn session(sql_mode: u64, charset: u16) -> Vec<u8> {
    let charset = charset.to_le_bytes();
    [&[0, 0, 0, 0, 0, 1][..], &sql_mode.to_le_bytes(), &[6, 3], b"std", &[4], &charset, &charset, &[8, 0]].concat()
}

const NO_BACKSLASH_ESCAPES: u64 = 1 << 20;
const GBK: u16 = 28;

/// Nothing hides behind a string that ends elsewhere for its session than usual.
#[test]
fn statements_are_read_as_their_sessions_had_them_read() {
    let long = "x".repeat(20_000);
    for (sql_mode, charset, before, compressed) in [
        (NO_BACKSLASH_ESCAPES, 33, b"COMMENT 'c:\\'".to_vec(), false),
        (NO_BACKSLASH_ESCAPES, 33, b"COMMENT 'c:\\'".to_vec(), true),
        (0, GBK, b"COMMENT '\x95\\'".to_vec(), false),
        (0, GBK, [b"COMMENT '", long.as_bytes(), b"\x95\\'"].concat(), false),
        (0, GBK, [b"COMMENT '", long.as_bytes(), b"\x95\\'"].concat(), true),
    ] {
        let mut log = BinlogWriter::new(Vendor::Mariadb, true, 1_700_000_000);
        log.mariadb_gtid(0, 1, STANDALONE);
        let behind = b", ENGINE=ARCHIVE DATA DIRECTORY='/far', ADD u CHAR(36) NOT NULL DEFAULT UUID()";
        let text = [b"ALTER TABLE t ", &before[..], behind].concat();
        log.query_of(&session(sql_mode, charset), "shop", &text, compressed);
        log.rotate("bin.000002");
        let archive = stored(vec![log.into_bytes()]);
        for indexed in [true, false] {
            let found = archive.look(0, indexed, u64::MAX);
            assert_eq!(found.untold.transactions[0].what, Untold::NewValues, "{indexed}");
            assert_eq!(found.outside[0].path, "/far", "{indexed}");
            let engine = if text.len() < 8_000 { "ARCHIVE" } else { "" };
            assert_eq!(found.demands[0].name, engine, "{indexed}");
        }
    }
}

/// An index that took every session for a usual one does not stop its binlog from being read.
#[test]
fn an_older_index_is_not_relied_on() {
    let mut log = BinlogWriter::new(Vendor::Mariadb, true, 1_700_000_000);
    log.mariadb_gtid(0, 1, STANDALONE);
    log.query_of(&session(NO_BACKSLASH_ESCAPES, 33), "shop", b"INSERT INTO t VALUES ('c:\\', UUID())", false);
    log.rotate("bin.000002");
    let mut archive = stored(vec![log.into_bytes()]);
    let older = std::fs::read(super::super::binlog::fixtures().join("sessions/older-index.tx")).unwrap();
    let entry = &mut archive.entries[0];
    entry.tx.as_mut().unwrap().size = older.len() as u64;
    let key = dbbak_core::store::layout::transactions(&entry.stored_as);
    std::fs::write(archive.dir.path().join(key.to_string()), older).unwrap();
    let index = TransactionIndex::open(StoredRanges::new(&archive.store, key, None)).unwrap();
    index.check_is_of(&archive.entries[0].digest.unwrap()).unwrap();
    assert!(!index.contents().kinds.meets(Kinds::UNTOLD));
    assert_eq!(archive.look(0, true, u64::MAX).untold.transactions[0].what, Untold::Values);
}

/// The same of binlogs that servers wrote; and of what is an ordinary comment for one vendor and is executed by the other: each server marks
/// in its log what it did not execute.
#[test]
fn real_sessions_and_comments_are_read_as_the_servers_read_them() {
    for fixtures in ["sessions", "comments"] {
        let read = |name: &str| std::fs::read(super::super::binlog::fixtures().join(fixtures).join(name)).unwrap();
        let mariadb = stored(vec![read("mariadb-10.11.19.000001")]);
        let mysql = stored(vec![read("mysql-9.7.4.000001")]);
        for indexed in [true, false] {
            let untold = mariadb.look(0, indexed, u64::MAX).untold;
            let what: Vec<Untold> = untold.transactions.iter().map(|fact| fact.what).collect();
            assert_eq!(what, [Untold::NewValues; 3], "{fixtures}, {indexed}");
            let demands = mysql.look(0, indexed, u64::MAX).demands;
            let names: Vec<&str> = demands.iter().map(|fact| fact.name.as_str()).collect();
            assert_eq!(names, ["MYISAM", "ARCHIVE", "BLACKHOLE"], "{fixtures}, {indexed}");
        }
    }
}

/// The first statement that names something is found, in the window alone, and none that failed.
#[test]
fn what_a_server_may_lack_is_found_in_a_window() {
    let long = |engine: &str| format!("CREATE TABLE l ({}) ENGINE={engine}", columns(4_000));
    let files = [
        vec!["CREATE TABLE a (a INT) ENGINE=ARCHIVE".to_owned(), "CREATE TABLE b (a INT) ENGINE=InnoDB".to_owned()],
        vec!["CREATE TABLE c (a INT) ENGINE=archive".to_owned(), long("BLACKHOLE"), long("InnoDB")],
        vec!["CREATE USER u IDENTIFIED VIA ed25519 USING 'x'".to_owned()],
    ];
    let archive = archive(Vendor::Mariadb, false, &files);
    for indexed in [true, false] {
        let names = |start| {
            let found = archive.look(start, indexed, u64::MAX).demands;
            found.into_iter().map(|fact| (fact.need, fact.name, fact.gtid.unwrap())).collect::<Vec<_>>()
        };
        let all = names(0);
        let wanted = [
            (Need::Engine, "ARCHIVE", "0-1-1"),
            (Need::Engine, "BLACKHOLE", "0-1-102"),
            (Need::Login, "ED25519", "0-1-201"),
        ];
        let wanted = wanted.map(|(need, name, gtid)| (need, name.to_owned(), gtid.to_owned()));
        assert_eq!(all, wanted, "{indexed}");
        let first = archive.look(0, indexed, u64::MAX).demands[0].at.position;
        assert_eq!(names(first + 1)[0].2, "0-1-101", "{indexed}");
    }
}

#[test]
fn what_puts_files_elsewhere_is_found_in_a_window() {
    let short = "CREATE TABLE t (a INT) DATA DIRECTORY='/far'".to_owned();
    let longer = |bytes| format!("CREATE TABLE long_{bytes} ({}) DATA DIRECTORY='/far/{bytes}'", columns(bytes));
    let space = "CREATE TABLESPACE s ADD DATAFILE '/far/s.ibd'".to_owned();
    let plain = |name: &str| format!("CREATE TABLE {name} ({})", columns(20_000));
    let files = [
        vec![short, plain("a")],
        vec![longer(3_000), longer(20_000)],
        vec![plain("b")],
        vec![longer(2_000_000), space],
    ];
    for (vendor, compressed) in [(Vendor::Mysql, false), (Vendor::Mariadb, false), (Vendor::Mariadb, true)] {
        let archive = archive(vendor, compressed, &files);
        for indexed in [true, false] {
            let found = archive.found(0, indexed);
            let paths: Vec<_> = found.iter().map(|fact| (fact.path.as_str(), fact.table)).collect();
            let expected = [
                ("/far", true),
                ("/far/3000", true),
                ("/far/20000", true),
                ("/far/2000000", true),
                ("/far/s.ibd", false),
            ];
            assert_eq!(paths, expected, "{vendor:?} {compressed} {indexed}");
            assert!(found.iter().all(|fact| fact.gtid.is_some()));
            // What stands before the window is none of its.
            let behind = archive.found(found[0].at.position + 1, indexed);
            assert_eq!(behind, found[1..], "{vendor:?} {compressed} {indexed}");
        }
    }
}
