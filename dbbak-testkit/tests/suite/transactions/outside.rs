//! Statements of a window that put files elsewhere are found, by an index or without one, however long they are.

use super::find::add;
use chrono::Utc;
use dbbak_core::{
    facts::OutsideFact,
    record::record_layout,
    store::{BinlogEntry, LocalStore, LockRequest, LockScope, Store, StoreFile},
    survey,
};
use dbbak_testkit::binlog_writer::{BinlogWriter, STANDALONE, Vendor};
use uuid::Uuid;

/// So many columns that what stands behind them is beyond all that is kept of a statement.
fn columns(bytes: usize) -> String {
    (0..bytes / 20).map(|number| format!("column_{number:06} INT,")).collect::<String>() + "last INT"
}

struct Archive {
    _dir: tempfile::TempDir,
    store: LocalStore,
    entries: Vec<BinlogEntry>,
}

/// One binlog for each list of statements.
fn archive(vendor: Vendor, compressed: bool, files: &[Vec<String>]) -> Archive {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = LocalStore::new(dir.path());
    let session = store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("test")).unwrap();
    record_layout(&*session, &StoreFile::new(Uuid::new_v4(), Utc::now())).unwrap();
    let mut entries = Vec::new();
    for (number, statements) in files.iter().enumerate() {
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
        let name = format!("bin.{:06}", number + 1).parse().unwrap();
        entries.push(add(&*session, "t1", &name, &log.into_bytes()));
    }
    session.release().unwrap();
    Archive { _dir: dir, store, entries }
}

impl Archive {
    fn found(&self, start: u64, indexed: bool) -> Vec<OutsideFact> {
        let mut entries = self.entries.clone();
        if !indexed {
            entries.iter_mut().for_each(|entry| entry.tx = None);
        }
        let span = |place: usize| (if place == 0 { start } else { 0 }, u64::MAX);
        let files: Vec<_> = entries.iter().enumerate().map(|(place, entry)| (entry, span(place))).collect();
        survey::outside(&self.store, &files)
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
