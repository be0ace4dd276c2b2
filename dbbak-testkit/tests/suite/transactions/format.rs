//! The format: everything comes back, every flipped byte is noticed, small transactions cost little.

use super::{index_of, kept, read};
use crate::binlog::{sample, sample_names};
use dbbak_core::{
    binlog::{DdlKind, DmlKind, EndKind, TableChange, Transaction, TransactionTime},
    model::Gtid,
    store::{
        Digest,
        transactions::{BLOCK_TRANSACTIONS, IndexedFile, TransactionIndex, TransactionWriter, TransactionsError},
    },
};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, TRANSACTIONAL, Vendor};
use proptest::{collection::vec, option, prelude::*};
use uuid::Uuid;

#[test]
fn samples_come_back_whole() {
    let mut seen = 0;
    for name in sample_names() {
        let Some((bytes, scan, transactions)) = index_of(&sample(&name)) else { continue };
        let expected: Vec<Transaction> = transactions.iter().map(kept).collect();
        assert_eq!(read(&bytes), expected, "{name}");
        let index = TransactionIndex::open(bytes).unwrap();
        index.verify().unwrap();
        assert_eq!(index.contents().transactions(), scan.transactions, "{name}");
        seen += expected.len();
    }
    assert!(seen > 800, "{seen}");
}

fn change() -> impl Strategy<Value = TableChange> {
    let count = prop_oneof![Just(0), 1..4_u64, any::<u64>()];
    let ddl = option::of(prop_oneof![Just(DdlKind::DropTable), Just(DdlKind::Other), Just(DdlKind::AlterDatabase)]);
    let dml = option::of(prop_oneof![Just(DmlKind::Insert), Just(DmlKind::Load), Just(DmlKind::Delete)]);
    let names = ("[a-cä]{0,2}", "[a-c]{0,2}");
    (names, [count.clone(), count.clone(), count], any::<bool>(), ddl, dml).prop_map(
        |((database, table), [inserts, updates, deletes], counted, ddl, dml)| TableChange {
            database,
            table,
            inserts,
            updates,
            deletes,
            counted,
            ddl,
            dml,
        },
    )
}

fn gtid() -> impl Strategy<Value = Gtid> {
    prop_oneof![
        (0..2_u128, option::of("[a-b]{1,2}"), any::<u64>()).prop_map(|(uuid, tag, gno)| Gtid::Mysql {
            uuid: Uuid::from_u128(uuid),
            tag,
            gno
        }),
        (0..2_u32, any::<u32>(), any::<u64>()).prop_map(|(domain, server, seq)| Gtid::Mariadb { domain, server, seq }),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let end_kind = prop_oneof![
        Just(EndKind::Commit),
        Just(EndKind::Ddl),
        Just(EndKind::Rollback),
        Just(EndKind::XaRollback),
        Just(EndKind::Payload),
    ];
    let commit = prop_oneof![Just(None), any::<u64>().prop_map(Some), (0..9_u64).prop_map(Some)];
    let times = (any::<u32>(), commit.clone(), commit, any::<bool>());
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop_oneof![Just(0), any::<u16>()]);
    let text = option::of(prop_oneof![".{0,20}", Just("ü".repeat(1500))]);
    (option::of(gtid()), (0..3_u64, 0..1_u64 << 40), times, vec(change(), 0..4), text, end_kind, flags).prop_map(
        |(gtid, (gap, length), (stamp, immediate, original, same), tables, statement, end_kind, flags)| Transaction {
            gtid,
            start: gap,
            end: length,
            time: TransactionTime {
                header_max: stamp,
                immediate_commit: immediate,
                original_commit: if same { immediate } else { original },
            },
            tables,
            more_tables: flags.0,
            statement,
            end_kind,
            has_rows: flags.1,
            compressed: flags.2,
            xa: None,
            error_code: flags.3,
            taken_back: false,
            plain_commit: false,
            server_id: 0,
            session: None,
            outside: None,
            untold: None,
            by_statement: false,
            renames_variable: false,
        },
    )
}

fn file() -> IndexedFile {
    IndexedFile { digest: Digest::of(b"binlog"), size: 7, max_event_stamp: 9 }
}

fn written(transactions: &[Transaction]) -> Vec<u8> {
    let mut writer = TransactionWriter::new(Vec::new()).unwrap();
    for transaction in transactions {
        writer.push(transaction).unwrap();
    }
    writer.finish(&file()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_transactions_come_back(mut transactions in vec(transaction(), 0..40)) {
        // Offsets rise in a log.
        let mut at = 4;
        for transaction in &mut transactions {
            transaction.start += at;
            transaction.end += transaction.start;
            at = transaction.end;
        }
        let expected: Vec<Transaction> = transactions.iter().map(kept).collect();
        let bytes = written(&transactions);
        prop_assert_eq!(read(&bytes), expected);
        let index = TransactionIndex::open(bytes).unwrap();
        index.check_is_of(&file().digest).unwrap();
        prop_assert!(index.check_is_of(&Digest::of(b"another")).is_err());
    }
}

/// Small transactions as an application makes them: about 250 bytes each, in a few tables.
fn small(vendor: Vendor, count: u64) -> Vec<u8> {
    let mut log = BinlogWriter::new(vendor, true, 1_700_000_000);
    let mut random = 7_u64;
    let mut micros = 1_700_000_000_000_000;
    for number in 1..=count {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        micros += 200 + (random >> 33) % 3000;
        log.time = (micros / 1_000_000) as u32;
        log.commit = (micros, micros);
        match vendor {
            Vendor::Mariadb => {
                log.mariadb_gtid(0, number, TRANSACTIONAL);
            }
            _ => {
                log.gtid(Uuid::from_u128(0x1234_5678_9abc_def0), number);
                log.begin();
            }
        }
        let table = ["orders", "items", "stock", "customers", "payments"][(random >> 40) as usize % 5];
        log.table_map(18, "shop", table);
        let text = &"a text in a row, as long as such are in real tables"[..(20 + (random >> 50) % 30) as usize];
        let change = [RowChange::Insert, RowChange::Delete][usize::from(random >> 60 == 3)];
        log.rows(change, 18, &[(number as i32, text)], true);
        log.xid(number);
    }
    log.rotate("bin.000002");
    log.into_bytes()
}

#[test]
fn small_transactions_cost_at_most_a_twentieth() {
    for vendor in [Vendor::Mariadb, Vendor::Mysql] {
        let count = 100_000;
        let binlog = small(vendor, count);
        let each = binlog.len() as f64 / count as f64;
        assert!((150.0..350.0).contains(&each), "{vendor:?}: {each} bytes each");
        let (bytes, ..) = index_of(&binlog).unwrap();
        let index = TransactionIndex::open(bytes.as_slice()).unwrap();
        let (text, _) = index.contents().stored_bytes();
        let ratio = (bytes.len() as u64 - text) as f64 / binlog.len() as f64;
        println!("{vendor:?}: {:.2} % of {each:.0} bytes", ratio * 100.0);
        assert!(ratio <= 0.05, "{vendor:?}: {:.2} % of {each:.0} bytes", ratio * 100.0);
    }
}

#[test]
fn every_flipped_byte_is_noticed_and_named() {
    let mut log = BinlogWriter::new(Vendor::Mariadb, true, 1_700_000_000);
    for number in 0..60 {
        log.mariadb_gtid(0, number + 1, TRANSACTIONAL);
        log.statement_text("insert into orders values (1, 'some text that repeats itself, some text that repeats')");
        log.table_map(18, "shop", "orders");
        log.rows(RowChange::Insert, 18, &[(1, "text")], true);
        log.xid(number);
    }
    let (bytes, ..) = index_of(log.bytes()).unwrap();
    let problem = |bytes: &[u8]| -> TransactionsError {
        match TransactionIndex::open(bytes) {
            Err(error) => error,
            Ok(index) => index.verify().expect_err("not noticed"),
        }
    };
    let mut named = std::collections::BTreeSet::new();
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut flipped = bytes.clone();
            flipped[at] ^= bit;
            let text = problem(&flipped).to_string();
            assert!(!text.is_empty(), "{at}");
            named.insert(text.split(" is damaged").next().unwrap().split(':').next().unwrap().to_owned());
        }
        // Nor is a part taken for the whole.
        problem(&bytes[..at]);
    }
    for part in ["block 0, column tables", "block 0, column text", "directory", "trailer", "no transaction index"] {
        assert!(named.contains(part), "{part} is not among {named:?}");
    }
}

#[test]
fn a_newer_format_is_told_from_damage() {
    let mut bytes = written(&[]);
    let trailer = bytes.len() - 36;
    bytes[trailer + 20] = 2;
    let crc = crc32fast::hash(&bytes[trailer..trailer + 24]);
    bytes[trailer + 24..trailer + 28].copy_from_slice(&crc.to_le_bytes());
    let error = TransactionIndex::open(bytes).unwrap_err();
    assert!(matches!(error, TransactionsError::TooNew { found: 2, known: 1 }), "{error}");
}

#[test]
fn blocks_end_by_number_and_by_size() {
    let (bytes, _, transactions) = index_of(&small(Vendor::Mariadb, BLOCK_TRANSACTIONS as u64 + 1)).unwrap();
    let index = TransactionIndex::open(bytes).unwrap();
    let counts: Vec<usize> = index.contents().blocks.iter().map(|block| block.count).collect();
    assert_eq!(counts, [BLOCK_TRANSACTIONS, 1]);
    let long = Transaction { statement: Some("x".repeat(2048)), ..transactions[0].clone() };
    let mut all = vec![long; 5000];
    let mut at = 4;
    for transaction in &mut all {
        (transaction.start, transaction.end) = (at, at + 10);
        at += 10;
    }
    let blocks = TransactionIndex::open(written(&all)).unwrap().contents().blocks.len();
    assert_eq!(blocks, 3, "4 MiB of text are a block");
}
