//! Every byte of the store's JSON files, changed to every other byte: seen, or without a meaning.

use dbbak_core::{
    model::{BackupId, BinlogCoordinates, BinlogName, LogTime, Lsn},
    store::{
        BackedUpServer, BackupMeta, BackupPaths, BinlogDamage, BinlogEnding, BinlogEntry, BinlogIndex, BinlogSource,
        Digest, FileEntry, FileList, KeyPart, Manifest, ManifestEntry, PitrState, StoreError, StoreFile, Sums,
        ToolRecord, layout,
    },
};
use dbbak_testkit::store_suite::key;
use std::{collections::BTreeMap, fmt::Debug};
use uuid::Uuid;

/// Parses the content with each byte changed in turn. Each time it must fail and name the file, or mean the same, as
/// other white space does.
fn flip_all<T: Debug + PartialEq>(bytes: &[u8], at: &str, parse: impl Fn(&[u8]) -> Result<T, StoreError>) {
    let original = parse(bytes).expect("the content is good as it was written");
    let mut flipped = bytes.to_vec();
    let mut meaningless = 0;
    for place in 0..bytes.len() {
        for change in 1..=u8::MAX {
            flipped[place] = bytes[place] ^ change;
            match parse(&flipped) {
                Err(error) => assert_eq!(error.key(), Some(&key(at)), "{error}"),
                Ok(value) => {
                    let text = String::from_utf8_lossy(&flipped);
                    assert_eq!(value, original, "byte {place} changed by {change:#04x} unseen in {at}: {text}");
                    assert!(bytes[place].is_ascii_whitespace() && flipped[place].is_ascii_whitespace());
                    meaningless += 1;
                }
            }
        }
        flipped[place] = bytes[place];
    }
    assert!(meaningless <= 3 * bytes.iter().filter(|byte| byte.is_ascii_whitespace()).count());
}

fn id() -> BackupId {
    BackupId::incremental("2025-10-03T02-00Z".parse().unwrap(), "2025-10-02T02-00Z".parse().unwrap())
}

fn entry() -> ManifestEntry {
    ManifestEntry {
        parent: Some("2025-10-02T02-00Z".parse().unwrap()),
        to_lsn: Some(Lsn(124_123_456)),
        ended_at: Some("2025-10-03T02:05:00Z".parse().unwrap()),
        binlog: Some(BinlogCoordinates {
            file: "b.000001".parse().unwrap(),
            position: 157,
            gtid: Some("0-1-5".into()),
        }),
        pitr: Some(PitrState::Yes),
        server: Some(BackedUpServer { id: Some(1), ..BackedUpServer::default() }),
        lock_seconds: Some(1.25),
        unknown: BTreeMap::from([("later".to_owned(), serde_json::json!([1, {"x": null}]))]),
        ..ManifestEntry::basic(id(), Some(5))
    }
}

#[test]
fn in_the_manifest() {
    let full = ManifestEntry::basic(BackupId::full("2025-10-02T02-00Z".parse().unwrap()), Some(7));
    let manifest = Manifest { entries: vec![full, entry()] };
    flip_all(&manifest.to_bytes(), "manifest.json", |bytes| Manifest::parse(bytes, Sums::Required));
}

#[test]
fn in_the_facts_of_a_backup() {
    let tool = ToolRecord { cmd: Some("x --backup".to_owned()), lsn_to: Some(Lsn(9)), ..ToolRecord::default() };
    let paths = BackupPaths { raw: Some("raw/".to_owned()), ..BackupPaths::default() };
    let bytes = BackupMeta::new(entry(), paths, tool).to_bytes();
    let digest = Digest::of(&bytes);
    let at = layout::meta(&id());
    flip_all(&bytes, at.as_str(), |bytes| BackupMeta::parse(bytes, &id(), None, Sums::Required));
    // By the digest in the manifest, even a change without a meaning is one.
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= 1;
        assert!(BackupMeta::parse(&flipped, &id(), Some(&digest), Sums::Required).is_err());
    }
}

#[test]
fn in_the_list_of_files() {
    let list = FileList::new(vec![
        FileEntry::directory(key("raw")),
        FileEntry::file(key("raw/ibdata1"), 12, Digest::of(b"x")),
        FileEntry::symlink(key("raw/link"), "ibdata1"),
    ]);
    let bytes = list.to_bytes();
    let digest = Digest::of(&bytes);
    let at = layout::files(&id());
    flip_all(&bytes, at.as_str(), |bytes| FileList::parse(bytes, &id(), Some(&digest)));
}

#[test]
fn in_the_store_file() {
    let file = StoreFile::new(Uuid::from_u128(7), "2025-10-02T02:00:00Z".parse().unwrap());
    flip_all(&file.to_bytes(), "dbbak.json", StoreFile::parse);
}

fn binlog(number: u32) -> BinlogEntry {
    let name: BinlogName = format!("b.{number:06}").parse().unwrap();
    let stored_as = KeyPart::new(format!("binlog_2025-10-02T14-00Z_{name}.gz")).unwrap();
    let at = LogTime::from_seconds(1_759_413_600);
    BinlogEntry::basic(name, stored_as, 1000, at, at)
}

#[test]
fn in_the_binlog_index_and_its_segments() {
    let mut index = BinlogIndex::default();
    (1..=400).for_each(|number| index.append(binlog(number)));
    let last = BinlogEntry {
        source: Some(BinlogSource { server_id: Some(1), ..BinlogSource::default() }),
        digest: Some(Digest::of(b"x")),
        ending: Some(BinlogEnding::Rotate),
        successor: Some("b.000402".parse().unwrap()),
        damaged: Some(BinlogDamage { what: "checksum".to_owned(), last_good: 7, ..BinlogDamage::default() }),
        ..binlog(401)
    };
    index.append(last);
    let encoded = index.encode();
    let (name, segment) = encoded.segments.first().unwrap();
    // Parsing the segment each time would take long; it is the head that is changed.
    let head_only = |bytes: &[u8]| {
        let (index, flaws) = BinlogIndex::inspect(bytes, Sums::Required, |_| Ok(Some(Vec::new())));
        let of_head = flaws.into_iter().find(|flaw| flaw.key() == Some(&layout::binlog_index()));
        of_head.map_or_else(|| Ok(index.entries().cloned().collect::<Vec<_>>()), Err)
    };
    flip_all(&encoded.index, "binlogs/index.json", head_only);
    for place in (0..segment.len()).step_by(97) {
        let mut flipped = segment.clone();
        flipped[place] ^= 1;
        let error = BinlogIndex::parse(&encoded.index, Sums::Required, |_| Ok(Some(flipped.clone()))).unwrap_err();
        assert_eq!(error.key(), Some(&layout::binlog_segment(name)));
    }
}

/// Text of GTIDs that was written so, its sums right: what is no set is not the empty set, and not "unknown" either.
#[test]
fn gtids_that_cannot_be_read_are_damage() {
    for text in ["0-1", "u:1-5", "3e11fa47-71ca-11e1-9e33-c80aa9429562:5-", "none"] {
        let unread = |error: StoreError| assert!(matches!(error, StoreError::Damaged { .. }), "{text}: {error}");
        let coordinates = BinlogCoordinates { gtid: Some(text.into()), ..entry().binlog.unwrap() };
        for entry in [
            ManifestEntry { binlog: Some(coordinates.clone()), ..entry() },
            ManifestEntry { source_binlog: Some(coordinates.clone()), ..entry() },
        ] {
            let manifest = Manifest { entries: vec![entry.clone()] };
            unread(Manifest::parse(&manifest.to_bytes(), Sums::Required).unwrap_err());
            let meta = BackupMeta::new(entry, BackupPaths::default(), ToolRecord::default());
            unread(BackupMeta::parse(&meta.to_bytes(), &id(), None, Sums::Required).unwrap_err());
        }
        for entry in [
            BinlogEntry { gtids_before: Some(text.into()), ..binlog(1) },
            BinlogEntry { gtids_added: Some(text.into()), ..binlog(1) },
        ] {
            let mut index = BinlogIndex::default();
            index.append(entry);
            unread(BinlogIndex::parse(&index.encode().index, Sums::Required, |_| Ok(None)).unwrap_err());
        }
    }
}
