//! What is found is what a search by hand finds.

use super::index_of;
use chrono::{DateTime, Utc};
use dbbak_core::{
    binlog::{DdlKind, DmlKind, EndKind, TableChange, Transaction},
    catalog::Catalog,
    find::{FindRequest, Found, RestorePoint, find_archived},
    model::{BinlogName, LogTime, Stamp},
    record::record_layout,
    store::{
        BinlogEntry, BinlogIndex, Digest, LocalStore, LockRequest, LockScope, Session, Store, StoreFile, StoredBinlog,
        Sums, TimePrecision, TransactionIndexFile, layout, transactions::Kinds,
    },
};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, STANDALONE, TRANSACTIONAL, Vendor};
use std::ops::ControlFlow;
use tempfile::TempDir;
use uuid::Uuid;

const START: u32 = 1_700_000_000;

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// A binlog with everything that a search tells apart.
fn binlog(vendor: Vendor, random: &mut Random, time: u32, count: u64, first: u64) -> Vec<u8> {
    const TABLES: [(&str, &str); 5] =
        [("shop", "orders"), ("shop", "items"), ("shop", "orders_old"), ("crm", "orders"), ("crm", "people")];
    let mut log = BinlogWriter::new(vendor, true, time);
    for number in first..first + count {
        // Mostly forward; a client may set its clock.
        log.time =
            if random.below(40) == 0 { time - 500 } else { log.time.max(time) + u32::from(random.below(9) == 0) };
        let micros = u64::from(log.time) * 1_000_000 + random.below(3_000_000);
        log.commit = (micros, micros + random.below(2) * 70_000_000);
        let statement = random.below(12) == 0;
        match vendor {
            Vendor::Mariadb => {
                log.mariadb_gtid(0, number, if statement { STANDALONE } else { TRANSACTIONAL });
            }
            _ if random.below(5) == 0 => {
                log.anonymous();
            }
            _ => {
                log.gtid(Uuid::from_u128(7), number);
            }
        }
        if statement {
            let (database, text) = [
                ("shop", "DROP TABLE orders"),
                ("crm", "drop database shop"),
                ("shop", "TRUNCATE TABLE shop.items"),
                ("crm", "ALTER TABLE people ADD x INT"),
                ("", "CREATE USER x IDENTIFIED BY 'hidden'"),
                ("crm", "RENAME TABLE people TO shop.orders_old"),
                ("shop", "CREATE INDEX i ON orders (a)"),
                ("shop", "DELETE FROM crm.orders WHERE 1"),
                ("shop", "create table items (a int)"),
            ][random.below(9) as usize];
            log.query(database, text);
            continue;
        }
        if vendor != Vendor::Mariadb {
            log.begin();
        }
        for _ in 0..=random.below(2) {
            let (database, table) = TABLES[random.below(5) as usize];
            if random.below(3) == 0 {
                log.statement_text(&format!("touch {table} {}", random.below(20)));
            }
            log.table_map(18, database, table);
            let rows = vec![(1, "text"); 2 * (1 + random.below(4) as usize)];
            let change = [RowChange::Insert, RowChange::Update, RowChange::Delete][random.below(3) as usize];
            log.rows(change, 18, &rows, true);
        }
        log.xid(number);
    }
    log.rotate("next.000001");
    log.into_bytes()
}

/// A store, and what a scan of its binlogs shows: timeline, file and transaction, in log order.
struct Archive {
    _dir: TempDir,
    store: LocalStore,
    all: Vec<(String, BinlogName, Transaction)>,
}

fn archive() -> Archive {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = LocalStore::new(dir.path());
    let scopes = [LockScope::Backups, LockScope::Binlogs];
    let session = store.lock_many(&scopes, &LockRequest::new("test")).unwrap();
    record_layout(&*session, &StoreFile::new(Uuid::new_v4(), Utc::now())).unwrap();
    let mut random = Random(11);
    let mut all = Vec::new();
    let mut index = BinlogIndex::default();
    for (timeline, vendor, number, count) in [
        ("t1", Vendor::Mariadb, 1, 300),
        // More than a block.
        ("t1", Vendor::Mariadb, 2, 9000),
        ("t1", Vendor::Mariadb, 3, 1),
        ("t2", Vendor::Mysql, 2, 700),
        ("t2", Vendor::Mysql56, 3, 200),
    ] {
        let time = START + number * 1000 + if timeline == "t2" { 5000 } else { 0 };
        let bytes = binlog(vendor, &mut random, time, count, u64::from(number) * 100_000);
        let name: BinlogName = format!("bin.{number:06}").parse().unwrap();
        index.append(add(&*session, timeline, &name, &bytes));
        dbbak_core::binlog::scan(&mut bytes.as_slice(), &mut |transaction| {
            all.push((timeline.to_owned(), name.clone(), transaction.clone()));
            ControlFlow::Continue(())
        })
        .unwrap();
    }
    let version = BinlogIndex::load(&*session, Sums::Required).unwrap().map(|(_, version)| version);
    index.save(&*session, version.as_ref()).unwrap();
    session.release().unwrap();
    Archive { _dir: dir, store, all }
}

pub(super) fn add(session: &dyn Session, timeline: &str, name: &BinlogName, bytes: &[u8]) -> BinlogEntry {
    let (tx, scan, transactions) = index_of(bytes).unwrap();
    let first = LogTime::from_seconds(scan.head.first_event_time);
    let stored =
        StoredBinlog { first: Stamp::to_the_minute(first.at()), name: name.clone(), digest: None, coding: "".into() };
    let stored_as = stored.stored_as().unwrap();
    for (key, bytes) in [(layout::binlog(&stored_as), bytes), (layout::transactions(&stored_as), tx.as_slice())] {
        let mut file = session.publish(&key).unwrap();
        file.write_all(bytes).unwrap();
        file.commit().unwrap();
    }
    let commits = transactions.iter().filter_map(|one| one.time.original_commit);
    BinlogEntry {
        timeline: Some(timeline.to_owned()),
        digest: Some(Digest::of(bytes)),
        max_event_time: Some(LogTime::from_seconds(scan.max_event_time)),
        last_transaction_time: scan.last_transaction_time.map(LogTime::from_seconds),
        newest_commit_time: commits.max().and_then(LogTime::from_micros),
        transaction_times: Some(TimePrecision::Mixed),
        transactions: Some(scan.transactions),
        gtids_added: scan.gtids.map(|gtids| gtids.to_string()),
        tx: Some(TransactionIndexFile { digest: Digest::of(&tx), size: tx.len() as u64, unknown: Default::default() }),
        ..BinlogEntry::basic(
            name.clone(),
            stored_as,
            bytes.len() as u64,
            first,
            LogTime::from_seconds(scan.last_event_time),
        )
    }
}

fn find(archive: &Archive, request: &FindRequest) -> Found {
    let catalog = Catalog::load(&archive.store).unwrap();
    let found = find_archived(&archive.store, &catalog, request).unwrap();
    assert_eq!(found.unsearched, []);
    found
}

/// The times of all transactions by definition: microseconds, and whether it is the commit time.
fn times(archive: &Archive) -> Vec<(i64, bool)> {
    let (mut newest, mut timeline) = (0, "");
    let mut times = Vec::new();
    for (own, _, transaction) in &archive.all {
        if own != timeline {
            (newest, timeline) = (0, own);
        }
        newest = newest.max(transaction.time.header_max);
        times.push(match transaction.time.original_commit {
            Some(commit) => (commit as i64, true),
            None => (i64::from(newest) * 1_000_000, false),
        });
    }
    times
}

/// Where the transactions stand that a test by hand accepts, newest first.
fn expected(
    archive: &Archive,
    fits: &dyn Fn(&str, &Transaction, i64) -> bool,
) -> Vec<(String, String, u64, i64, bool)> {
    let rows = archive.all.iter().zip(times(archive));
    rows.rev()
        .filter(|((timeline, _, transaction), (time, _))| fits(timeline, transaction, *time))
        .map(|((timeline, file, one), (time, committed))| {
            (timeline.clone(), file.to_string(), one.start, time, committed)
        })
        .collect()
}

#[track_caller]
fn check(archive: &Archive, request: &FindRequest, fits: &dyn Fn(&str, &Transaction, i64) -> bool) {
    let found = find(archive, request);
    let places: Vec<_> = found
        .hits
        .iter()
        .map(|hit| {
            let timeline = hit.timeline.clone().unwrap();
            (timeline, hit.file.to_string(), hit.start, hit.time.at().timestamp_micros(), hit.committed_at)
        })
        .collect();
    let expected = expected(archive, fits);
    assert!(!expected.is_empty() && expected.len() < archive.all.len(), "the question separates nothing");
    assert_eq!(found.total, expected.len() as u64);
    assert!(places == expected, "{request:?}");
    let limited = find(archive, &FindRequest { limit: Some(7), ..request.clone() });
    assert_eq!(limited.total, found.total);
    assert_eq!(limited.hits, found.hits[..found.hits.len().min(7)]);
}

fn on(change: &TableChange, database: &str, table: &str) -> bool {
    change.database == database && (change.table == table || change.table.is_empty())
}

fn deletes(change: &TableChange) -> bool {
    change.deletes > 0 || change.dml == Some(DmlKind::Delete)
}

#[test]
fn finds_what_a_scan_finds() {
    let archive = archive();
    let all = FindRequest::default();
    let tables = |patterns: &[&str]| patterns.iter().map(|pattern| pattern.parse().unwrap()).collect::<Vec<_>>();
    let at = |seconds: u32| DateTime::from_timestamp(i64::from(seconds), 250_000_000).unwrap();
    let micros = |seconds: u32| at(seconds).timestamp_micros();

    let request = FindRequest { tables: tables(&["shop.orders"]), ..all.clone() };
    check(&archive, &request, &|_, one, _| one.tables.iter().any(|change| on(change, "shop", "orders")));
    let request = FindRequest { tables: tables(&["*.Order?", "crm.p*"]), ..all.clone() };
    check(&archive, &request, &|_, one, _| {
        let fits = |change: &TableChange| {
            on(change, "shop", "orders") || on(change, "crm", "orders") || on(change, "crm", "people")
        };
        one.tables.iter().any(fits)
    });
    let request = FindRequest { kinds: Kinds::DROP, ..all.clone() };
    let drops = |change: &TableChange| matches!(change.ddl, Some(DdlKind::DropTable | DdlKind::DropDatabase));
    check(&archive, &request, &|_, one, _| one.tables.iter().any(drops));
    let request = FindRequest { kinds: Kinds::DDL, ..all.clone() };
    check(&archive, &request, &|_, one, _| one.end_kind == EndKind::Ddl);
    let request = FindRequest { kinds: Kinds::TRUNCATE.with(Kinds::RENAME), ..all.clone() };
    check(&archive, &request, &|_, one, _| {
        let wanted = |change: &TableChange| matches!(change.ddl, Some(DdlKind::TruncateTable | DdlKind::RenameTable));
        one.tables.iter().any(wanted)
    });
    // Both must be true of one and the same table.
    let request = FindRequest { tables: tables(&["crm.orders"]), kinds: Kinds::DELETE, ..all.clone() };
    check(&archive, &request, &|_, one, _| {
        one.tables.iter().any(|change| on(change, "crm", "orders") && deletes(change))
    });
    let request = FindRequest { kinds: Kinds::DELETE, min_rows: Some(7), ..all.clone() };
    check(&archive, &request, &|_, one, _| {
        let rows: u64 = one.tables.iter().map(|change| change.deletes).sum();
        rows >= 7 || one.tables.iter().any(|change| deletes(change) && !change.counted)
    });
    let request = FindRequest { since: Some(at(START + 2300)), until: Some(at(START + 7020)), ..all.clone() };
    check(&archive, &request, &|_, _, time| (micros(START + 2300)..micros(START + 7020)).contains(&time));
    let request = FindRequest { since: Some(at(START + 7040)), ..all.clone() };
    check(&archive, &request, &|_, _, time| time >= micros(START + 7040));
    let request = FindRequest { until: Some(at(START + 1010)), timeline: Some("t1".into()), ..all.clone() };
    check(&archive, &request, &|timeline, _, time| timeline == "t1" && time < micros(START + 1010));
    let statement = regex::RegexBuilder::new("^TOUCH items 1[0-5]$").case_insensitive(true).build().unwrap();
    let request = FindRequest { statement: Some(statement), ..all.clone() };
    check(&archive, &request, &|_, one, _| {
        let number = one.statement.as_deref().and_then(|text| text.strip_prefix("touch items ")?.parse::<u32>().ok());
        number.is_some_and(|number| (10..=15).contains(&number))
    });
    for place in [0, 5000, 9302, 9500] {
        let Some(gtid) = archive.all[place].2.gtid.clone() else { continue };
        let request = FindRequest { gtid: Some(gtid.clone()), ..all.clone() };
        check(&archive, &request, &|_, one, _| one.gtid.as_ref() == Some(&gtid));
    }
}

#[test]
fn hits_name_the_place_before_them() {
    let archive = archive();
    let found = find(&archive, &FindRequest::default());
    let anonymous = found.hits.iter().find(|hit| hit.gtid.is_none()).unwrap();
    // Both timelines have files of these names.
    assert_eq!(
        anonymous.restore_point.arguments(),
        ["restore", "--position", &format!("{}:{}", anonymous.file, anonymous.start), "--timeline", "t2"]
    );
    let first = found.hits.last().unwrap();
    assert_eq!(first.restore_point, RestorePoint::BeforeGtid { gtid: "0-1-100000".into(), timeline: None });
    let user =
        found.hits.iter().find(|hit| hit.statement.as_deref().is_some_and(|text| text.starts_with("CREATE USER")));
    assert_eq!(user.unwrap().statement.as_deref(), Some("CREATE USER x IDENTIFIED BY '***'"));
}

#[test]
fn what_has_no_index_or_a_damaged_one_is_named() {
    let archive = archive();
    let catalog = Catalog::load(&archive.store).unwrap();
    let path =
        |place: usize| archive._dir.path().join(layout::transactions(&catalog.binlogs[place].stored_as).as_str());
    std::fs::remove_file(path(0)).unwrap();
    let mut bytes = std::fs::read(path(1)).unwrap();
    bytes[100] ^= 1;
    std::fs::write(path(1), bytes).unwrap();
    // The index of another file.
    std::fs::copy(path(3), path(4)).unwrap();
    let found = find_archived(&archive.store, &catalog, &FindRequest::default()).unwrap();
    let problems: Vec<(String, bool)> =
        found.unsearched.iter().map(|file| (file.problem.chars().take(52).collect(), file.missing)).collect();
    assert_eq!(
        problems,
        [
            ("it has no transaction index".to_owned(), true),
            ("its transaction index: it is of another binlog: dige".to_owned(), false),
            // Seen only when what it says is to be shown.
            ("its transaction index: block 0, column tables is dam".to_owned(), false),
        ]
    );
    assert_eq!((found.searched, found.total), (2, 701));
    let other = FindRequest { timeline: Some("t9".into()), ..FindRequest::default() };
    let error = find_archived(&archive.store, &catalog, &other).unwrap_err();
    assert_eq!(error.to_string(), "there is no timeline t9; there are: t1, t2");
}
