//! The binlog index at length: appending, changing, dropping, saving and loading against a plain list.

use dbbak_core::{
    model::LogTime,
    store::{
        BinlogEntry, BinlogIndex, BinlogSource, Digest, KeyPart, LockScope, Manifest, SEGMENT_ENTRIES, Store,
        StoreError, StoreReader, Sums, layout,
    },
};
use dbbak_testkit::{
    mem_store::MemStore,
    store_suite::{request, session},
};
use proptest::prelude::*;

fn entry(number: u64) -> BinlogEntry {
    let name = format!("mysql-bin.{number:06}");
    let stored_as = KeyPart::new(format!("binlog_2025-10-02T14-00Z_{name}.gz")).unwrap();
    let at = LogTime::from_seconds(1_759_413_600);
    BinlogEntry::basic(name.parse().unwrap(), stored_as, number, at, at)
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Change(prop::sample::Index),
    DropOldest(prop::sample::Index),
    SaveAndLoad,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..SEGMENT_ENTRIES as u64).prop_map(Step::Append),
        1 => Just(Step::Append(1)),
        1 => any::<prop::sample::Index>().prop_map(Step::Change),
        1 => any::<prop::sample::Index>().prop_map(Step::DropOldest),
        3 => Just(Step::SaveAndLoad),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_like_a_plain_list(steps in prop::collection::vec(step(), 1..10)) {
        let store = MemStore::new();
        let session = session(&store);
        let (mut index, mut version) = (BinlogIndex::default(), None);
        let mut list: Vec<BinlogEntry> = Vec::new();
        let mut next = 1;
        for step in steps {
            match step {
                Step::Append(count) => {
                    for _ in 0..count {
                        list.push(entry(next));
                        index.append(entry(next));
                        next += 1;
                    }
                }
                Step::Change(at) if !list.is_empty() => {
                    let at = at.index(list.len());
                    list[at].transactions = Some(7);
                    prop_assert!(index.update(&list[at].stored_as, |entry| entry.transactions = Some(7)));
                }
                Step::DropOldest(at) if !list.is_empty() => {
                    let kept = list.split_off(at.index(list.len()));
                    let first = kept[0].size;
                    prop_assert_eq!(index.retain(|entry| entry.size >= first), list);
                    list = kept;
                }
                Step::Change(_) | Step::DropOldest(_) => {}
                Step::SaveAndLoad => {
                    version = Some(index.save(&*session, version.as_ref()).unwrap());
                    let (loaded, found) = BinlogIndex::load(&store, Sums::Required).unwrap().unwrap();
                    prop_assert_eq!(Some(found), version);
                    prop_assert_eq!(&loaded, &index);
                    index = loaded;
                }
            }
            prop_assert_eq!(index.len(), list.len());
            prop_assert!(index.entries().eq(&list));
        }
    }
}

#[test]
fn archiving_one_binlog_writes_less_than_a_megabyte() {
    let store = MemStore::new();
    let session = session(&store);
    let mut index = BinlogIndex::default();
    let full = |number| BinlogEntry {
        timeline: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562".to_owned()),
        source: Some(BinlogSource {
            server_id: Some(101),
            uuid: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562".to_owned()),
            version: Some("8.0.36-28".to_owned()),
            flavor: Some("percona".to_owned()),
            ..BinlogSource::default()
        }),
        digest: Some(Digest::of(b"a")),
        head: Some(Digest::of(b"b")),
        stored_digest: Some(Digest::of(b"c")),
        gtids_before: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-1234567890".to_owned()),
        gtids_added: Some("3e11fa47-71ca-11e1-9e33-c80aa9429562:1234567891-1234577890".to_owned()),
        max_event_time: Some(LogTime::from_seconds(1)),
        first_transaction_time: Some(LogTime::from_seconds(1)),
        last_transaction_time: Some(LogTime::from_seconds(1)),
        reaches: Some(LogTime::from_seconds(1)),
        ..entry(number)
    };
    let mut version = None;
    let mut segments = 0;
    for number in 1..=3 * SEGMENT_ENTRIES as u64 {
        index.append(full(number));
        // What is written grows up to the sealing of a segment, so the steps around that one say enough.
        if (2..SEGMENT_ENTRIES as u64 - 1).contains(&(number % SEGMENT_ENTRIES as u64)) {
            continue;
        }
        let encoded = index.encode();
        let segment: usize = encoded.segments.iter().map(|(_, bytes)| bytes.len()).sum();
        // A hundred thousand archived binlogs have this many segments more than this test.
        let more = 100_000 / SEGMENT_ENTRIES * 200;
        let previous = store.head(&layout::binlog_index()).unwrap().map_or(0, |info| info.size as usize);
        assert!(encoded.index.len() + segment + previous + 2 * more < 1_000_000, "at {number}");
        segments += encoded.segments.len();
        version = Some(index.save(&*session, version.as_ref()).unwrap());
    }
    assert_eq!(segments, 2);
}

#[test]
fn a_cut_off_save_is_taken_up_and_a_second_writer_is_not_overwritten() {
    let store = MemStore::new();
    let session = session(&store);
    let mut index = BinlogIndex::default();
    (1..=500).for_each(|number| index.append(entry(number)));
    let (name, bytes) = index.encode().segments.remove(0);
    store.put(&layout::binlog_segment(&name), &bytes);
    let version = index.save(&*session, None).unwrap();

    let mut other = index.clone();
    other.append(entry(501));
    other.save(&*session, Some(&version)).unwrap();
    index.append(entry(502));
    let error = index.save(&*session, Some(&version)).unwrap_err();
    assert!(matches!(error, StoreError::VersionConflict { .. }), "{error:?}");
}

#[test]
fn what_must_be_there_is_missed() {
    let store = MemStore::new();
    for sums in [Sums::Optional, Sums::Required] {
        let (index, manifest) = (BinlogIndex::load(&store, sums), Manifest::load(&store, sums));
        match sums {
            Sums::Optional => assert!(index.unwrap().is_none() && manifest.unwrap().is_none()),
            Sums::Required => {
                assert_eq!(index.unwrap_err().to_string(), "binlogs/index.json is damaged: missing");
                assert_eq!(manifest.unwrap_err().to_string(), "manifest.json is damaged: missing");
            }
        }
    }
    let session = store.lock(LockScope::Backups, &request()).unwrap();
    let version = Manifest::default().save(&*session, None).unwrap();
    assert_eq!(Manifest::load(&store, Sums::Required).unwrap(), Some((Manifest::default(), version)));
}
