//! Every shape of a transaction that servers of both vendors write, made by the test kit's writer.

use super::scan_all;
use dbbak_core::binlog::{
    Boundary, Damage, DamageKind, EndKind, Ending, FileScan, LogFlavor, Transaction, boundary, read_head, scan,
};
use dbbak_core::model::{GtidSet, MysqlGtidSet};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, STANDALONE, TRANSACTIONAL, Vendor, event_type};
use std::ops::ControlFlow;
use uuid::Uuid;

const TIME: u32 = 1_790_000_000;

fn uuid() -> Uuid {
    Uuid::from_u128(0x5548_e6f5_e54c_11f1_bda1_02fc_0000_0001)
}

fn writer(vendor: Vendor) -> BinlogWriter {
    let mut writer = BinlogWriter::new(vendor, true, TIME);
    match vendor {
        Vendor::Mariadb => writer.gtid_list(&"0-1-9".parse().unwrap()),
        Vendor::Mysql | Vendor::Mysql56 => writer.previous_gtids(&MysqlGtidSet::default()),
    };
    writer
}

fn read(writer: &BinlogWriter) -> (FileScan, Vec<Transaction>) {
    scan_all(writer.bytes()).unwrap()
}

fn insert_one(writer: &mut BinlogWriter) {
    writer.table_map(7, "shop", "acct");
    writer.rows(RowChange::Insert, 7, &[(1, "a")], true);
}

#[test]
fn a_log_of_each_vendor_reads_back() {
    for checksum in [true, false] {
        for vendor in [Vendor::Mysql, Vendor::Mysql56, Vendor::Mariadb] {
            let mut writer = BinlogWriter::new(vendor, checksum, TIME);
            let before = match vendor {
                Vendor::Mariadb => {
                    writer.gtid_list(&"0-1-9,3-2-1".parse().unwrap());
                    "0-1-9,3-2-1".to_owned()
                }
                Vendor::Mysql | Vendor::Mysql56 => {
                    let set = format!("{0}:1-5:7-8", uuid());
                    writer.previous_gtids(&set.parse().unwrap());
                    set
                }
            };
            let start = writer.offset();
            writer.time += 5;
            match vendor {
                Vendor::Mariadb => {
                    writer.mariadb_gtid(0, 10, TRANSACTIONAL);
                }
                Vendor::Mysql | Vendor::Mysql56 => {
                    writer.gtid(uuid(), 9);
                    writer.begin();
                }
            }
            writer.statement_text("insert into shop.acct values (1, 'a'), (2, 'b')");
            writer.table_map(7, "shop", "acct");
            writer.rows(RowChange::Insert, 7, &[(1, "a"), (2, "b")], false);
            writer.rows(RowChange::Update, 7, &[(1, "a"), (1, "c")], true);
            writer.table_map(8, "shop", "other");
            writer.rows(RowChange::Delete, 8, &[(1, "a"), (2, "b"), (3, "")], true);
            let end = writer.xid(4);
            writer.time += 1;
            let size = writer.rotate("./log.000002");
            let (found, transactions) = read(&writer);
            assert_eq!(found.head.previous_gtids.as_ref().unwrap().to_string(), before);
            assert_eq!(found.head.flavor == LogFlavor::Mariadb, vendor == Vendor::Mariadb);
            assert_eq!(found.ending, Ending::Rotate { next: "log.000002".parse().unwrap(), position: 4 });
            assert_eq!((found.size, found.good_end, found.transactions), (size, size, 1));
            assert_eq!((found.last_event_time, found.last_transaction_time), (TIME + 6, Some(TIME + 5)));
            let one = &transactions[0];
            assert_eq!((one.start, one.end, one.end_kind), (start, end, EndKind::Commit));
            assert_eq!(found.last_gtid, one.gtid);
            assert_eq!(found.gtids.as_ref().map(GtidSet::to_string), one.gtid.as_ref().map(ToString::to_string));
            let rows: Vec<_> = one
                .tables
                .iter()
                .map(|table| (table.table.as_str(), table.inserts, table.updates, table.deletes, table.counted))
                .collect();
            assert_eq!(rows, [("acct", 2, 1, 0, true), ("other", 0, 0, 3, true)]);
            assert_eq!(one.statement.as_deref(), Some("insert into shop.acct values (1, 'a'), (2, 'b')"));
            let commit = (vendor == Vendor::Mysql).then_some(u64::from(TIME) * 1_000_000);
            assert_eq!((one.time.original_commit, one.time.immediate_commit), (commit, commit));
        }
    }
}

#[test]
fn gtids_with_tags_and_two_commit_stamps() {
    let mut writer = BinlogWriter::new(Vendor::Mysql, true, TIME);
    let set = format!("{0}:3:nightly:1-4:zeta:9", uuid());
    writer.previous_gtids(&set.parse().unwrap());
    writer.commit = (1_700_000_000_000_001, 1_790_000_000_000_002);
    for gno in [1, 127, 128, 1 << 40, (1 << 62) - 1, i64::MAX as u64 - 1] {
        writer.tagged_gtid(uuid(), "zeta", gno);
        writer.query("", "create database a");
    }
    writer.gtid(uuid(), 4);
    writer.query("", "create database b");
    let (found, transactions) = read(&writer);
    assert_eq!(found.head.previous_gtids.unwrap().to_string(), set);
    assert_eq!(
        found.gtids.unwrap().to_string(),
        format!("{}:4:zeta:1:127-128:1099511627776:4611686018427387903:9223372036854775806", uuid())
    );
    for one in transactions {
        assert_eq!(one.time.original_commit, Some(1_700_000_000_000_001));
        assert_eq!(one.time.immediate_commit, Some(1_790_000_000_000_002));
        assert_eq!(one.end_kind, EndKind::Ddl);
    }
}

#[test]
fn without_gtid_events_statements_and_blocks_are_transactions() {
    let mut writer = writer(Vendor::Mysql56);
    let mut starts = vec![writer.offset()];
    writer.query("shop", "create table t (a int)");
    starts.push(writer.offset());
    writer.begin();
    insert_one(&mut writer);
    writer.query("", "SAVEPOINT `a`");
    writer.query("", "ROLLBACK TO `a`");
    writer.query("", "COMMIT");
    starts.push(writer.offset());
    writer.intvar(5);
    writer.intvar(6);
    writer.query("shop", "insert into t values (null)");
    starts.push(writer.offset());
    writer.begin();
    writer.query("shop", "update t set a = 1");
    writer.query("", "ROLLBACK");
    starts.push(writer.offset());
    writer.begin();
    insert_one(&mut writer);
    writer.xid(3);
    starts.push(writer.offset());
    let (found, transactions) = read(&writer);
    assert_eq!(found.ending, Ending::Open);
    assert_eq!(found.gtids, None);
    let spans: Vec<_> = transactions.iter().map(|one| (one.start, one.end)).collect();
    let expected: Vec<_> = starts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    assert_eq!(spans, expected);
    let ends: Vec<_> = transactions.iter().map(|one| one.end_kind).collect();
    assert_eq!(ends, [EndKind::Ddl, EndKind::Commit, EndKind::Statement, EndKind::Rollback, EndKind::Commit]);
}

#[test]
fn xa_transactions_prepare_and_complete() {
    let mut log = writer(Vendor::Mysql);
    log.gtid(uuid(), 1);
    log.query("", "XA START X'6731',X'',1");
    insert_one(&mut log);
    log.query("", "XA END X'6731',X'',1");
    log.xa_prepare("g1", false);
    log.gtid(uuid(), 2);
    log.query("", "XA COMMIT X'6731',X'',1");
    log.gtid(uuid(), 3);
    log.query("", "XA ROLLBACK X'6732',X'',1");
    log.gtid(uuid(), 4);
    log.query("", "XA START X'6733',X'',1");
    insert_one(&mut log);
    log.query("", "XA END X'6733',X'',1");
    log.xa_prepare("g3", true);
    let (found, transactions) = read(&log);
    assert_eq!(found.ending, Ending::Open);
    let ends: Vec<_> = transactions.iter().map(|one| (one.end_kind, one.xa.as_ref().unwrap().to_string())).collect();
    let name = |digits: &str| format!("X'{digits}',X'',1");
    assert_eq!(
        ends,
        [
            (EndKind::XaPrepare, name("6731")),
            (EndKind::XaCommit, name("6731")),
            (EndKind::XaRollback, name("6732")),
            (EndKind::Commit, name("6733")),
        ]
    );
}

#[test]
fn mariadb_groups_end_with_their_end_event_or_alone() {
    let mut log = writer(Vendor::Mariadb);
    log.mariadb_gtid(0, 10, STANDALONE);
    log.query("shop", "create table t (a int)");
    log.event(event_type::BINLOG_CHECKPOINT, 0, b"\x03\0\0\0a.1");
    log.mariadb_gtid(0, 11, 0);
    log.statement_text("insert into myisam values (1)");
    insert_one(&mut log);
    log.query("", "COMMIT");
    log.server_id = 2;
    log.mariadb_gtid(0, 12, STANDALONE);
    log.intvar(4);
    log.query("shop", "insert into t values (null)");
    log.mariadb_gtid(1, 1, TRANSACTIONAL);
    log.compressed_query("shop", "insert into t select * from u");
    log.table_map(9, "shop", "wide");
    log.compressed_inserts(9, &[(1, "x"), (2, "y"), (3, "z")], true);
    log.xid(5);
    let (found, transactions) = read(&log);
    assert_eq!(found.ending, Ending::Open);
    assert_eq!(found.gtids.unwrap().to_string(), "0-1-11,0-2-12,1-2-1");
    let ends: Vec<_> = transactions.iter().map(|one| one.end_kind).collect();
    assert_eq!(ends, [EndKind::Ddl, EndKind::Commit, EndKind::Statement, EndKind::Commit]);
    let last = &transactions[3];
    assert_eq!(last.statement.as_deref(), Some("insert into t select * from u"));
    assert_eq!((last.tables[1].table.as_str(), last.tables[1].inserts), ("wide", 3));
}

#[test]
fn a_transaction_of_savepoints_alone_is_empty() {
    let mut log = writer(Vendor::Mariadb);
    log.mariadb_gtid(0, 1, TRANSACTIONAL);
    log.query("", "SAVEPOINT `a`");
    log.query("", "COMMIT");
    for text in ["insert into t values (1)", "call p()", "set password = 'x'", "select f()"] {
        log.mariadb_gtid(0, 2, TRANSACTIONAL);
        log.query("", "SAVEPOINT `a`");
        log.query("shop", text);
        log.query("", "COMMIT");
    }
    log.mariadb_gtid(0, 3, TRANSACTIONAL);
    insert_one(&mut log);
    log.xid(3);
    log.mariadb_gtid(0, 4, TRANSACTIONAL);
    log.query("", "SAVEPOINT `a`");
    log.query("", "ROLLBACK");
    let empty: Vec<bool> = read(&log).1.iter().map(dbbak_core::binlog::Transaction::is_empty).collect();
    assert_eq!(empty, [true, false, false, false, false, false, false]);
}

/// The rows of such a transaction are more than those that stayed.
#[test]
fn a_transaction_that_was_taken_back_in_part_says_so() {
    let mut log = writer(Vendor::Mariadb);
    for (number, text) in [(1, "SAVEPOINT `a`"), (2, "ROLLBACK TO `a`"), (3, "rollback to savepoint a")] {
        log.mariadb_gtid(0, number, TRANSACTIONAL);
        insert_one(&mut log);
        log.query("shop", text);
        log.xid(number);
    }
    let taken_back: Vec<bool> = read(&log).1.iter().map(|transaction| transaction.taken_back).collect();
    assert_eq!(taken_back, [false, true, true]);
}

#[test]
fn a_compressed_transaction_shows_its_tables_or_says_that_it_hides_them() {
    let mut inner = BinlogWriter::payload(TIME + 9);
    inner.begin();
    insert_one(&mut inner);
    inner.xid(1);
    let plain = inner.into_bytes();
    let packed = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let mut log = writer(Vendor::Mysql);
    for (payload, compression) in
        [(packed.as_slice(), 0), (plain.as_slice(), 255), (packed.as_slice(), 7), (&packed[..20], 0), (b"no zstd", 0)]
    {
        log.gtid(uuid(), 1);
        log.transaction_payload(payload, compression, plain.len() as u64);
    }
    let (found, transactions) = read(&log);
    assert_eq!((found.ending, found.transactions), (Ending::Open, 5));
    for one in &transactions[..2] {
        assert_eq!((one.end_kind, one.compressed, one.more_tables), (EndKind::Commit, true, false));
        assert_eq!((one.tables[0].inserts, one.time.header_max), (1, TIME + 9));
    }
    for one in &transactions[2..] {
        assert_eq!((one.end_kind, one.more_tables, one.tables.len()), (EndKind::Payload, true, 0));
    }
    // Payloads do not nest.
    let mut log = writer(Vendor::Mysql);
    let mut nested = BinlogWriter::payload(TIME);
    nested.transaction_payload(&packed, 0, plain.len() as u64);
    log.gtid(uuid(), 1);
    log.transaction_payload(nested.bytes(), 255, 1);
    assert_eq!(read(&log).1[0].end_kind, EndKind::Payload);
}

#[test]
fn endings_are_told_apart() {
    let base = writer(Vendor::Mysql);
    let with = |write: &dyn Fn(&mut BinlogWriter)| {
        let mut log = base.clone();
        log.gtid(uuid(), 1);
        log.query("", "create database a");
        write(&mut log);
        let (found, transactions) = read(&log);
        assert_eq!(transactions.len(), 1);
        (found.ending, found.good_end, log.offset())
    };
    let (ending, good_end, size) = with(&|_| ());
    assert_eq!((ending, good_end), (Ending::Open, size));
    let (ending, good_end, size) = with(&|log| {
        log.stop();
    });
    assert_eq!((ending, good_end), (Ending::Stop, size));
    let (ending, good_end, _) = with(&|log| {
        log.gtid(uuid(), 2);
        log.begin();
    });
    assert_eq!(ending, Ending::InTransaction { start: good_end });
    // A server that gave up writing a transaction rotates in the middle of it.
    let (ending, good_end, _) = with(&|log| {
        log.gtid(uuid(), 2);
        log.begin();
        log.rotate("a.000002");
    });
    assert_eq!(ending, Ending::InTransaction { start: good_end });
    let damage = |ending| match ending {
        Ending::Damaged(damage) => damage,
        other => panic!("{other:?}"),
    };
    let (ending, good_end, size) = with(&|log| {
        log.stop();
        log.query("", "create database b");
    });
    assert_eq!(
        damage(ending),
        Damage { at: good_end, what: DamageKind::AfterEnd, expected: 0, found: size - good_end }
    );
    let (ending, good_end, _) = with(&|log| {
        log.gtid(uuid(), 2);
        log.begin();
        log.gtid(uuid(), 3);
    });
    let found = damage(ending);
    assert_eq!((found.what, found.expected, found.found), (DamageKind::Unfinished, good_end, 33));
    let (ending, good_end, _) = with(&|log| {
        log.xid(1);
    });
    let found = damage(ending);
    assert_eq!((found.what, found.at), (DamageKind::OutOfPlace, good_end));
}

#[test]
fn a_missing_event_breaks_the_positions() {
    let mut log = writer(Vendor::Mysql);
    let mut cuts = Vec::new();
    for gno in 1..4 {
        cuts.push(log.offset() as usize);
        log.gtid(uuid(), gno);
        log.query("", "create database a");
    }
    let mut bytes = log.into_bytes();
    bytes.drain(cuts[1]..cuts[2]);
    let (found, transactions) = scan_all(&bytes).unwrap();
    assert_eq!(transactions.len(), 1);
    assert_eq!(found.good_end, cuts[1] as u64);
    assert!(
        matches!(found.ending, Ending::Damaged(Damage { what: DamageKind::EndPosition, .. })),
        "{:?}",
        found.ending
    );
}

#[test]
fn mariadb_leaves_out_positions_within_a_transaction() {
    let write = |vendor| {
        let mut log = writer(vendor);
        let start = log.offset();
        if vendor == Vendor::Mariadb {
            log.mariadb_gtid(0, 10, TRANSACTIONAL)
        } else {
            log.gtid(uuid(), 1)
        };
        log.without_positions = true;
        log.begin();
        let cut = log.offset() as usize;
        insert_one(&mut log);
        let cut = cut..log.offset() as usize;
        log.without_positions = false;
        log.xid(1);
        (log.into_bytes(), start, cut)
    };
    let (mut bytes, start, cut) = write(Vendor::Mariadb);
    let (found, transactions) = scan_all(&bytes).unwrap();
    assert_eq!((found.ending, transactions[0].tables[0].inserts), (Ending::Open, 1));
    // What is missing shows at the latest in the event that ends the transaction.
    bytes.drain(cut);
    let (found, transactions) = scan_all(&bytes).unwrap();
    let damaged = |ending| matches!(ending, Ending::Damaged(Damage { what: DamageKind::EndPosition, .. }));
    assert!(damaged(found.ending) && transactions.is_empty() && found.good_end == start);
    assert!(damaged(scan_all(&write(Vendor::Mysql).0).unwrap().0.ending));
}

#[test]
fn what_is_unknown_or_ignorable_is_passed_over() {
    let mut log = writer(Vendor::Mysql);
    log.event(99, 0x80, b"something of a newer server");
    log.event(event_type::HEARTBEAT, 0, b"");
    log.gtid(uuid(), 1);
    log.begin();
    log.event(200, 0, b"?");
    insert_one(&mut log);
    log.xid(1);
    let before = log.offset();
    log.incident("LOST_EVENTS");
    let after = log.offset();
    log.gtid(uuid(), 2);
    log.incident("LOST_EVENTS");
    let (found, transactions) = read(&log);
    assert_eq!(found.ending, Ending::Open);
    assert_eq!((found.incidents[0].at, found.incidents[0].message.as_str()), (before, "LOST_EVENTS"));
    let ends: Vec<_> = transactions.iter().map(|one| (one.start, one.end_kind)).collect();
    assert_eq!(ends[1], (after, EndKind::Incident));
    assert_eq!(boundary(&mut log.bytes(), after).unwrap(), Boundary::Yes);
}

#[test]
fn rows_that_cannot_be_counted_are_still_seen() {
    let mut log = writer(Vendor::Mysql);
    log.gtid(uuid(), 1);
    log.begin();
    // A column type that no server has, and rows of a table that was never mapped.
    log.table_map_of(7, "shop", "odd", &[200], &[]);
    log.rows_of(RowChange::Insert, 7, 1, &[1, 2, 3], false);
    log.rows_of(RowChange::Insert, 8, 1, &[1, 2, 3], true);
    log.xid(1);
    let (_, transactions) = read(&log);
    let table = &transactions[0].tables[0];
    assert_eq!((table.table.as_str(), table.counted, table.inserts), ("odd", false, 0));
    assert!(transactions[0].has_rows && transactions[0].more_tables);
}

#[test]
fn times_are_the_latest_stamps() {
    let mut log = writer(Vendor::Mariadb);
    for (seq, stamps) in [(10, [5, 3]), (11, [90, 2]), (12, [7, 8])] {
        log.time = TIME + stamps[0];
        log.mariadb_gtid(0, seq, TRANSACTIONAL);
        log.time = TIME + stamps[1];
        log.query("", "COMMIT");
    }
    let (found, transactions) = read(&log);
    let times: Vec<_> = transactions.iter().map(|one| one.time.header_max - TIME).collect();
    assert_eq!(times, [5, 90, 8]);
    assert_eq!(found.first_transaction_time, Some(TIME + 5));
    assert_eq!(found.last_transaction_time, Some(TIME + 90));
    assert_eq!((found.last_event_time, found.max_event_time), (TIME + 8, TIME + 90));
}

#[test]
fn the_sink_can_break_off() {
    let mut log = writer(Vendor::Mysql);
    let mut ends = Vec::new();
    for gno in 1..4 {
        log.gtid(uuid(), gno);
        ends.push(log.query("", "create database a"));
    }
    let mut seen = 0;
    let found = scan(&mut log.bytes(), &mut |_| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!((found.ending, found.size, found.transactions), (Ending::Interrupted { at: ends[1] }, ends[1], 2));
}

#[test]
fn the_head_is_read_without_the_rest() {
    let mut log = BinlogWriter::new(Vendor::Mysql, true, TIME);
    log.set_in_use();
    let length = log.previous_gtids(&format!("{}:1-5", uuid()).parse().unwrap());
    let head = read_head(&mut log.bytes()).unwrap();
    assert_eq!((head.length, head.in_use, head.first_event_time), (length, true, TIME));
    assert_eq!((head.server_version.as_str(), head.server_id), ("8.4.3", 1));
    assert_eq!(head.digest.len(), 64);
    // What follows changes nothing; what stands in the head does.
    log.gtid(uuid(), 6);
    assert_eq!(read_head(&mut log.bytes()).unwrap(), head);
    let mut other = BinlogWriter::new(Vendor::Mysql, true, TIME);
    other.previous_gtids(&format!("{}:1-6", uuid()).parse().unwrap());
    assert_ne!(read_head(&mut other.bytes()).unwrap().digest, head.digest);
    // A server that has only just begun the file.
    let bare = BinlogWriter::new(Vendor::Mysql, true, TIME);
    let head = read_head(&mut bare.bytes()).unwrap();
    assert_eq!((head.length, head.previous_gtids), (bare.offset(), None));
}
