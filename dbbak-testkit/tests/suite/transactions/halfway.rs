//! Windows in which MariaDB's numbers went back: where the last transaction that a dead replay logged stands, and how a search names
//! the place before a transaction.

use super::window::{Archive, stored};
use dbbak_core::{
    catalog::Catalog,
    facts::JournalFact,
    find::{FindRequest, RestorePoint, find_archived},
    halfway::{DeadReplay, DonePlace, Halfway},
    journal::JournalError,
    model::{BinlogPosition, Goal},
    store::layout,
    survey,
};
use dbbak_testkit::binlog_writer::{BinlogWriter, STANDALONE, Vendor};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

/// A binlog of these sequence numbers, behind one that ended with another.
fn log(number: u32, before: u64, seqs: impl IntoIterator<Item = u64>) -> Vec<u8> {
    let mut log = BinlogWriter::new(Vendor::Mariadb, true, 1_700_000_000 + number * 100);
    let state = if before == 0 { String::new() } else { format!("0-1-{before}") };
    log.gtid_list(&state.parse().unwrap());
    for seq in seqs {
        log.mariadb_gtid(0, seq, STANDALONE);
        log.query("shop", "INSERT INTO t VALUES (1)");
    }
    log.rotate(&format!("bin.{:06}", number + 2));
    log.into_bytes()
}

/// These binlogs, as dbbak archives them.
fn archive(files: Vec<Vec<u8>>) -> Archive {
    let mut archive = stored(files.clone());
    for (entry, bytes) in archive.entries.iter_mut().zip(&files) {
        let scan = dbbak_core::binlog::scan(&mut &bytes[..], &mut |_| ControlFlow::Continue(())).unwrap();
        entry.gtids_before = scan.head.previous_gtids.map(|before| before.to_string());
        entry.gtids_last = scan.gtids_last.filter(|_| scan.went_back).map(|last| last.to_string());
    }
    archive
}

fn place(archive: &Archive, last: &str) -> Option<DonePlace> {
    let replay = DeadReplay {
        halfway: Some(Halfway::new(None, None)),
        last: Some(last.parse().unwrap()),
        flaw: None,
        place: None,
    };
    let journal = JournalFact {
        path: "/srv/rescue/dbbak-journal.jsonl".into(),
        journal: Err(JournalError::Empty),
        boot: None,
        living: Vec::new(),
        trees: BTreeMap::new(),
        apart: BTreeMap::new(),
        names: Vec::new(),
        replay: Some(replay),
    };
    let mut facts = super::super::binlog::cuts::facts();
    facts.journal = Some(Box::new(journal));
    let window: Vec<_> = archive.entries.iter().map(|entry| (entry.clone(), (0, u64::MAX))).collect();
    survey::done_place(&mut facts, &archive.store, &window).unwrap();
    facts.journal.unwrap().replay.unwrap().place
}

/// A number that stands twice, near or far, is no place to go on at.
#[test]
fn a_number_that_stands_twice_is_no_place() {
    let again = |files, last| place(&archive(files), last).unwrap().again;
    let files = || vec![log(0, 0, (1..=30).chain(5..=40)), log(1, 40, 41..=60)];
    assert!(again(files(), "0-1-7").unwrap().starts_with("bin.000001:"));
    assert_eq!(again(files(), "0-1-3"), None);
    assert_eq!(again(files(), "0-1-50"), None);
    // In another file, with one between.
    let files = || vec![log(0, 0, 1..=30), log(1, 30, 31..=50), log(2, 50, 20..=60)];
    assert!(again(files(), "0-1-25").unwrap().starts_with("bin.000003:"));
    assert!(again(files(), "0-1-35").unwrap().starts_with("bin.000003:"));
    assert_eq!(again(files(), "0-1-10"), None);
    assert_eq!(again(files(), "0-1-55"), None);
    // Right behind each other, as a server logs one statement in two groups.
    assert!(again(vec![log(0, 0, [1, 2, 2, 3])], "0-1-2").is_some());
}

/// What can hold it no second time is not read.
#[test]
fn files_behind_it_are_read_only_where_numbers_went_back() {
    let archive = archive(vec![log(0, 0, 1..=30), log(1, 30, 31..=50), log(2, 50, 51..=60)]);
    let path = archive.dir.path().join(layout::binlog(&archive.entries[2].stored_as).to_string());
    std::fs::remove_file(path).unwrap();
    let found = place(&archive, "0-1-33").unwrap();
    assert_eq!((found.file, found.transactions, found.again), (1, Some(33), None));
    let found = place(&archive, "0-1-10").unwrap();
    assert_eq!((found.file, found.transactions, found.again), (0, Some(10), None));
}

/// Whatever a search prints, a restore takes, and lands right before the transaction.
#[test]
fn a_search_names_places_that_a_restore_takes() {
    let found = |files: Vec<Vec<u8>>, older: bool| {
        let mut archive = archive(files);
        for entry in archive.entries.iter_mut().filter(|_| older) {
            entry.gtids_last = None;
        }
        let catalog = Catalog::from_parts(None, None, Vec::new(), &[], archive.entries.clone(), BTreeSet::new());
        let found = find_archived(&archive.store, &catalog, &FindRequest::default()).unwrap();
        assert_eq!((found.unsearched, found.total as usize), (Vec::new(), found.hits.len()));
        let mut by_gtid = 0;
        for hit in &found.hits {
            let goal = match &hit.restore_point {
                RestorePoint::BeforeGtid { gtid, .. } => Goal::Before(gtid.parse().unwrap()),
                RestorePoint::Position { file, position, .. } => {
                    Goal::Position(BinlogPosition { file: file.clone(), position: *position })
                }
            };
            by_gtid += usize::from(matches!(goal, Goal::Before(_)));
            let mut facts = super::super::binlog::cuts::facts();
            survey::cuts(&mut facts, &archive.store, &catalog, &goal, None).unwrap();
            let fact = facts.cuts.pop().unwrap();
            let at = fact.cut.unwrap_or_else(|| panic!("{goal}: {:?}", fact.flaw)).at;
            assert_eq!((&at.file, at.position), (&hit.file, hit.start), "{goal}");
        }
        by_gtid
    };
    assert_eq!(found(vec![log(0, 0, 1..=9), log(1, 9, 10..=12)], false), 12);
    assert_eq!(found(vec![log(0, 0, (1..=9).chain(5..=14)), log(1, 14, 15..=18)], false), 0);
    assert_eq!(found(vec![log(0, 0, 1..=9), log(1, 9, 10..=12), log(2, 12, 5..=13)], false), 0);
    // An older index does not tell that the numbers went back.
    assert_eq!(found(vec![log(0, 0, (1..=9).chain(5..=14)), log(1, 14, 15..=18)], true), 13);
}
