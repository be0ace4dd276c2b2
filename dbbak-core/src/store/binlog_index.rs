//! `binlogs/index.json` and its segments: the list of archived binlogs.
//!
//! The newest entries stand in `index.json`; older ones in segments of some hundreds, which are never changed. So archiving
//! one binlog rewrites one small file, however many are archived. `index.json` has the digest of each segment.

use super::{
    BinlogEntry, Digest, Flaw, KeyPart, Operation, Session, StoreError, StoreReader, Sums, Version, layout,
    meta::check_digest,
    read_version,
    store_file::damaged,
    sum::{SUM, Sum, check_sum, entry_label, parse_summed, to_object, to_summed_line},
};
use crate::model::LogTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// How many entries a segment holds, and how many `index.json` may hold. An entry has about a kilobyte, so archiving one
/// binlog writes less than a megabyte, the previous generation included.
pub const SEGMENT_ENTRIES: usize = 400;

/// Segments that are read at the same time, at most.
const LOAD_THREADS: usize = 4;

const FILES: &str = "files";
const SEGMENTS: &str = "segments";

/// The list of archived binlogs, in the order in which they were archived.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BinlogIndex {
    segments: Vec<Segment>,
    /// The entries of `index.json`.
    newest: Vec<BinlogEntry>,
    unknown: BTreeMap<String, Value>,
}

/// A segment, as `index.json` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRef {
    /// Its file's name below `binlogs/index/`.
    pub name: KeyPart,
    /// The digest of its file.
    pub digest: Digest,
    /// How many entries it holds.
    pub count: usize,
    /// The earliest first event of its binlogs.
    pub first: LogTime,
    /// The latest last event of its binlogs.
    pub last: LogTime,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, PartialEq)]
struct Segment {
    number: u64,
    entries: Vec<BinlogEntry>,
    /// The file that holds exactly these entries; `None` until it is written.
    stored: Option<SegmentRef>,
}

/// What is to be written for an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedIndex {
    /// The new segments, each to be published before `index.json` names it.
    pub segments: Vec<(KeyPart, Vec<u8>)>,
    /// The content of `index.json`.
    pub index: Vec<u8>,
}

impl BinlogIndex {
    /// Reads the index with all its segments; `None` when there is none, which only a store without sums may lack.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], naming the file and the entry; others when the store cannot be read.
    pub fn load(reader: &dyn StoreReader, sums: Sums) -> Result<Option<(Self, Version)>, StoreError> {
        let key = layout::binlog_index();
        let Some((bytes, version)) = read_version(reader, &key)? else {
            return match sums {
                Sums::Required => Err(damaged(&key, None, Flaw::Missing)),
                Sums::Optional => Ok(None),
            };
        };
        let mut flaws = Vec::new();
        let (references, newest, unknown) = parse_head(&bytes, sums, &mut flaws);
        if let Some(flaw) = flaws.into_iter().next() {
            return Err(flaw);
        }
        let segments = load_segments(reader, references)?;
        Ok(Some((BinlogIndex { segments, newest, unknown }, version)))
    }

    /// Reads the index from its content; `segment` gives the content of a segment by its name.
    ///
    /// # Errors
    ///
    /// [`StoreError::Damaged`], naming the file and the entry.
    pub fn parse(
        bytes: &[u8],
        sums: Sums,
        segment: impl FnMut(&KeyPart) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> Result<Self, StoreError> {
        let (index, flaws) = BinlogIndex::inspect(bytes, sums, segment);
        flaws.into_iter().next().map_or(Ok(index), Err)
    }

    /// Reads what can be read of the index, and says what cannot. For reports: nothing may be planned or written on a
    /// part.
    pub fn inspect(
        bytes: &[u8],
        sums: Sums,
        mut segment: impl FnMut(&KeyPart) -> Result<Option<Vec<u8>>, StoreError>,
    ) -> (Self, Vec<StoreError>) {
        let mut flaws = Vec::new();
        let (references, newest, unknown) = parse_head(bytes, sums, &mut flaws);
        let mut segments = Vec::with_capacity(references.len());
        for reference in references {
            match segment(&reference.name).and_then(|bytes| parse_segment(bytes.as_deref(), &reference)) {
                Ok(entries) => {
                    segments.push(Segment { number: number_of(&reference.name), entries, stored: Some(reference) });
                }
                Err(error) => flaws.push(error),
            }
        }
        (BinlogIndex { segments, newest, unknown }, flaws)
    }

    /// The archived binlogs, in the order in which they were archived.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &BinlogEntry> + Clone {
        self.segments.iter().flat_map(|segment| &segment.entries).chain(&self.newest)
    }

    /// The same, without the index: a hundred thousand entries are not to be in memory twice.
    pub fn into_entries(self) -> Vec<BinlogEntry> {
        let mut entries = Vec::with_capacity(self.len());
        for mut segment in self.segments {
            entries.append(&mut segment.entries);
        }
        entries.extend(self.newest);
        entries
    }

    /// How many binlogs are archived.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.entries.len()).sum::<usize>() + self.newest.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// The segments that are written already.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentRef> {
        self.segments.iter().filter_map(|segment| segment.stored.as_ref())
    }

    /// Adds a binlog, and seals a segment when `index.json` would hold too many.
    pub fn append(&mut self, entry: BinlogEntry) {
        self.newest.push(entry);
        if self.newest.len() > SEGMENT_ENTRIES {
            let rest = self.newest.split_off(SEGMENT_ENTRIES);
            let entries = std::mem::replace(&mut self.newest, rest);
            let number = self.segments.iter().map(|segment| segment.number).max().unwrap_or(0) + 1;
            self.segments.push(Segment { number, entries, stored: None });
        }
    }

    /// Changes the entry of the binlog that is stored under this name. Returns whether there is one.
    pub fn update(&mut self, stored_as: &KeyPart, change: impl FnOnce(&mut BinlogEntry)) -> bool {
        let is_wanted = |entry: &&mut BinlogEntry| entry.stored_as == *stored_as;
        if let Some(entry) = self.newest.iter_mut().find(is_wanted) {
            change(entry);
            return true;
        }
        for segment in &mut self.segments {
            if let Some(entry) = segment.entries.iter_mut().find(is_wanted) {
                change(entry);
                segment.stored = None;
                return true;
            }
        }
        false
    }

    /// Drops the entries that are not to be kept, and returns them.
    pub fn retain(&mut self, mut keep: impl FnMut(&BinlogEntry) -> bool) -> Vec<BinlogEntry> {
        let mut dropped = Vec::new();
        for segment in &mut self.segments {
            let before = dropped.len();
            dropped.extend(segment.entries.extract_if(.., |entry| !keep(entry)));
            if dropped.len() > before {
                segment.stored = None;
            }
        }
        self.segments.retain(|segment| !segment.entries.is_empty());
        dropped.extend(self.newest.extract_if(.., |entry| !keep(entry)));
        dropped
    }

    /// What is to be written for the index as it stands.
    pub fn encode(&self) -> EncodedIndex {
        let mut segments = Vec::new();
        let mut references = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            match &segment.stored {
                Some(reference) => references.push(reference.clone()),
                None => {
                    let (reference, bytes) = encode_segment(segment.number, &segment.entries);
                    segments.push((reference.name.clone(), bytes));
                    references.push(reference);
                }
            }
        }
        EncodedIndex { segments, index: encode_head(&references, &self.newest, &self.unknown) }
    }

    /// Writes the index in place of the version that was read, or anew: first the new segments, then `index.json`.
    ///
    /// Segments that are not named any more stay: the previous generation of `index.json` names them. They are orphans
    /// that a later clean-up finds.
    ///
    /// # Errors
    ///
    /// As [`Session::publish`] and [`Session::replace`].
    pub fn save(&mut self, session: &dyn Session, expected: Option<&Version>) -> Result<Version, StoreError> {
        let EncodedIndex { segments, index } = self.encode();
        for (name, bytes) in &segments {
            publish_segment(session, name, bytes)?;
        }
        let version = session.replace(&layout::binlog_index(), expected, &index)?;
        for segment in &mut self.segments {
            if segment.stored.is_none() {
                segment.stored = Some(encode_segment(segment.number, &segment.entries).0);
            }
        }
        Ok(version)
    }
}

/// Reads the segments, several at a time: a hundred thousand entries are a hundred megabytes of text.
fn load_segments(reader: &dyn StoreReader, references: Vec<SegmentRef>) -> Result<Vec<Segment>, StoreError> {
    let load = |reference: &SegmentRef| {
        let bytes = read_version(reader, &layout::binlog_segment(&reference.name))?.map(|(bytes, _)| bytes);
        let entries = parse_segment(bytes.as_deref(), reference)?;
        Ok(Segment { number: number_of(&reference.name), entries, stored: Some(reference.clone()) })
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut loaded = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(reference) = references.get(place) else { return loaded };
            loaded.push((place, load(reference)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(LOAD_THREADS).min(references.len());
    let mut loaded: Vec<(usize, Result<Segment, StoreError>)> = if threads < 2 {
        work()
    } else {
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |worker: thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().flat_map(join).collect()
        })
    };
    // The first segment at fault is the one that is named, whoever read it.
    loaded.sort_by_key(|(place, _)| *place);
    loaded.into_iter().map(|(_, segment)| segment).collect()
}

fn publish_segment(session: &dyn Session, name: &KeyPart, bytes: &[u8]) -> Result<(), StoreError> {
    let key = layout::binlog_segment(name);
    // An attempt that was cut off may have left it; the name says what it holds.
    if let Some((found, _)) = read_version(session, &key)?
        && found == bytes
    {
        return Ok(());
    }
    let mut file = session.publish(&key)?;
    file.write_all(bytes).map_err(|error| StoreError::from_io(&key, Operation::Write, error))?;
    file.commit().map(|_| ())
}

/// The number in a segment's name; what has none counts as the first.
fn number_of(name: &KeyPart) -> u64 {
    name.as_str().split('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn encode_segment(number: u64, entries: &[BinlogEntry]) -> (SegmentRef, Vec<u8>) {
    let lines = entries.iter().map(|entry| serde_json::to_string(entry).expect("an entry is strings and numbers"));
    let lines: Vec<String> = lines.collect();
    let bytes = format!("{{\"{FILES}\":[\n{}\n]}}\n", lines.join(",\n")).into_bytes();
    let digest = Digest::of(&bytes);
    let epoch = LogTime::from_seconds(0);
    let reference = SegmentRef {
        name: layout::segment_name(number, &digest),
        digest,
        count: entries.len(),
        first: entries.iter().map(|entry| entry.first_event_time).min().unwrap_or(epoch),
        last: entries.iter().map(|entry| entry.last_event_time).max().unwrap_or(epoch),
        unknown: BTreeMap::new(),
    };
    (reference, bytes)
}

/// What a segment's file holds.
#[derive(Deserialize)]
struct File {
    files: Vec<BinlogEntry>,
}

/// The entries of a segment that nothing names; nothing where its name does not agree with its content.
pub(super) fn parse_loose_segment(name: &KeyPart, bytes: &[u8]) -> Vec<BinlogEntry> {
    if layout::segment_name(number_of(name), &Digest::of(bytes)) != *name {
        return Vec::new();
    }
    let files = serde_json::from_slice(bytes).map(|File { files }| files);
    let mut files = files.unwrap_or_default();
    files.iter_mut().for_each(|entry| drop(entry.unknown.remove(SUM)));
    files
}

fn parse_segment(bytes: Option<&[u8]>, reference: &SegmentRef) -> Result<Vec<BinlogEntry>, StoreError> {
    let parsed = bytes.ok_or(Flaw::Missing).and_then(|bytes| {
        check_digest(bytes, Some(&reference.digest))?;
        let File { mut files } = serde_json::from_slice(bytes).map_err(|error| Flaw::Syntax(error.to_string()))?;
        if files.len() != reference.count {
            return Err(Flaw::Contradiction(format!("{} entries, expected {}", files.len(), reference.count)));
        }
        // The digest of the whole makes a sum in an entry redundant; kept, it would be written twice.
        files.iter_mut().for_each(|entry| drop(entry.unknown.remove(SUM)));
        Ok(files)
    });
    parsed.map_err(|flaw| damaged(&layout::binlog_segment(&reference.name), None, flaw))
}

/// `index.json` is summed like every object, its entries standing for themselves with their sums.
fn sum_of_head(rest: &Map<String, Value>, entries: &[Sum]) -> Map<String, Value> {
    let mut object = rest.clone();
    let sums = entries.iter().map(|sum| Value::String(sum.to_string())).collect();
    object.insert(FILES.to_owned(), Value::Array(sums));
    object
}

fn encode_head(references: &[SegmentRef], newest: &[BinlogEntry], unknown: &BTreeMap<String, Value>) -> Vec<u8> {
    let mut rest: Map<String, Value> = unknown.clone().into_iter().collect();
    if !references.is_empty() {
        let references = references.iter().map(|reference| Value::Object(to_object(reference))).collect();
        rest.insert(SEGMENTS.to_owned(), Value::Array(references));
    }
    let (lines, sums): (Vec<String>, Vec<Sum>) = newest.iter().map(to_summed_line).unzip();
    let sum = Sum::of(&sum_of_head(&rest, &sums));
    let mut text = String::from("{\n");
    for (member, value) in &rest {
        let member = Value::String(member.clone());
        match value {
            Value::Array(values) if member == SEGMENTS => {
                let lines: Vec<String> = values.iter().map(Value::to_string).collect();
                text.push_str(&format!("{member}:[\n{}\n],\n", lines.join(",\n")));
            }
            value => text.push_str(&format!("{member}:{value},\n")),
        }
    }
    let separator = if lines.is_empty() { "" } else { "\n" };
    text.push_str(&format!("\"{FILES}\":[{separator}{}{separator}],\n\"{SUM}\":\"{sum}\"\n}}\n", lines.join(",\n")));
    text.into_bytes()
}

type Head = (Vec<SegmentRef>, Vec<BinlogEntry>, BTreeMap<String, Value>);

fn parse_head(bytes: &[u8], sums: Sums, flaws: &mut Vec<StoreError>) -> Head {
    let key = layout::binlog_index();
    match parse_members(bytes, sums, flaws) {
        Ok(head) => head,
        Err(flaw) => {
            flaws.push(damaged(&key, None, flaw));
            Head::default()
        }
    }
}

fn parse_members(bytes: &[u8], sums: Sums, flaws: &mut Vec<StoreError>) -> Result<Head, Flaw> {
    let syntax = |error: serde_json::Error| Flaw::Syntax(error.to_string());
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(bytes).map_err(syntax)?;
    let files = members.remove(FILES).ok_or_else(|| Flaw::Contradiction(format!("no member {FILES:?}")))?;
    let texts: Vec<&RawValue> = serde_json::from_str(files.get()).map_err(syntax)?;
    let mut newest = Vec::with_capacity(texts.len());
    let mut entry_sums = Vec::with_capacity(texts.len());
    let damaged_before = flaws.len();
    for (index, text) in texts.into_iter().enumerate() {
        match parse_summed::<BinlogEntry>(text.get(), sums) {
            Ok((entry, sum)) => {
                newest.push(entry);
                entry_sums.push(sum);
            }
            Err((flaw, object)) => {
                let label = entry_label(index, &object, &["stored_as", "name"]);
                flaws.push(damaged(&layout::binlog_index(), Some(label), flaw));
            }
        }
    }
    let mut rest = Map::new();
    for (member, text) in members {
        rest.insert(member, serde_json::from_str(text.get()).map_err(syntax)?);
    }
    // With an entry at fault the whole is too; the entry says more.
    if flaws.len() == damaged_before {
        let sum = rest.remove(SUM);
        let mut object = sum_of_head(&rest, &entry_sums);
        object.extend(sum.map(|sum| (SUM.to_owned(), sum)));
        check_sum(&mut object, sums)?;
    }
    rest.remove(SUM);
    let references = match rest.remove(SEGMENTS) {
        Some(references) => Vec::<SegmentRef>::deserialize(references).map_err(syntax)?,
        None => Vec::new(),
    };
    Ok((references, newest, rest.into_iter().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> BinlogEntry {
        let name = format!("mysql-bin.{number:06}");
        let stored_as = KeyPart::new(format!("binlog_2025-10-02T14-00Z_{name}.gz")).unwrap();
        let at = LogTime::from_seconds(1_759_413_600 + number);
        BinlogEntry::basic(name.parse().unwrap(), stored_as, 1000, at, at)
    }

    /// Writes an index to a map of segments and its own content, and reads that back.
    fn round_trip(index: &BinlogIndex, files: &mut BTreeMap<KeyPart, Vec<u8>>) -> BinlogIndex {
        let EncodedIndex { segments, index } = index.encode();
        files.extend(segments);
        BinlogIndex::parse(&index, Sums::Required, |name| Ok(files.get(name).cloned())).unwrap()
    }

    #[test]
    fn reads_the_basic_form_and_keeps_what_it_does_not_know() {
        let text = br#"{"note": "x", "files": [{"name": "mysql-bin.000123", "size": 1048576, "more": [1],
            "source": {"server_id": 1, "zone": "a"}, "damaged": {"what": "checksum", "last_good": 4, "by": "x"},
            "stored_as": "binlog_2025-10-02T14-00Z_mysql-bin.000123.gz",
            "first_event_time": "2025-10-02 14:00:00", "last_event_time": "2025-10-02 14:05:00"}]}"#;
        let index = BinlogIndex::parse(text, Sums::Optional, |_| Ok(None)).unwrap();
        assert_eq!((index.len(), index.is_empty()), (1, false));
        let again = round_trip(&index, &mut BTreeMap::new());
        assert_eq!(again, index);
        assert_eq!(again.unknown["note"], "x");
        let entry = &again.newest[0];
        assert_eq!(entry.unknown["more"], serde_json::json!([1]));
        assert_eq!(entry.source.as_ref().map(|source| &source.unknown["zone"]), Some(&Value::from("a")));
        assert_eq!(entry.damaged.as_ref().map(|damage| &damage.unknown["by"]), Some(&Value::from("x")));
        assert!(BinlogIndex::parse(br#"{"file": []}"#, Sums::Optional, |_| Ok(None)).is_err());
    }

    #[test]
    fn seals_changes_and_drops() {
        let mut files = BTreeMap::new();
        let mut index = BinlogIndex::default();
        (1..=1000).for_each(|number| index.append(entry(number)));
        let mut index = round_trip(&index, &mut files);
        assert_eq!((index.segments().count(), index.newest.len(), index.len()), (2, 200, 1000));
        assert_eq!(index.entries().next_back().map(|entry| entry.name.number()), Some(1000));

        assert!(index.update(&entry(600).stored_as, |entry| entry.transactions = Some(7)));
        assert!(!index.update(&entry(9999).stored_as, |_| {}));
        let written = index.encode();
        assert_eq!(written.segments.len(), 1);
        assert!(written.segments[0].0.as_str().starts_with("000002-"));
        let mut index = round_trip(&index, &mut files);

        let dropped = index.retain(|entry| entry.name.number() > 500);
        assert_eq!(dropped.len(), 500);
        let mut index = round_trip(&index, &mut files);
        assert_eq!((index.segments().count(), index.len()), (1, 500));
        assert_eq!(index.entries().find(|entry| entry.name.number() == 600).unwrap().transactions, Some(7));

        (1001..=1500).for_each(|number| index.append(entry(number)));
        let names: Vec<_> = index.encode().segments.into_iter().map(|(name, _)| name).collect();
        assert!(names[0].as_str().starts_with("000003-"), "{names:?}");
    }

    #[test]
    fn names_the_segment_or_entry_at_fault() {
        let mut index = BinlogIndex::default();
        (1..=401).for_each(|number| index.append(entry(number)));
        let EncodedIndex { segments, index: head } = index.encode();
        let (name, bytes) = segments.into_iter().next().unwrap();
        let error = |content: Option<Vec<u8>>| {
            BinlogIndex::parse(&head, Sums::Required, |_| Ok(content.clone())).unwrap_err().to_string()
        };
        assert_eq!(error(None), format!("binlogs/index/{name} is damaged: missing"));
        let flipped = [&bytes[..100], b"!", &bytes[101..]].concat();
        assert!(error(Some(flipped)).starts_with(&format!("binlogs/index/{name} is damaged: digest ")));

        let text = String::from_utf8(head).unwrap().replace("\"size\":1000", "\"size\":1001");
        let error = BinlogIndex::parse(text.as_bytes(), Sums::Required, |_| Ok(Some(bytes.clone()))).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with(
                "binlogs/index.json is damaged at entry 1 (binlog_2025-10-02T14-00Z_mysql-bin.000401.gz): digest "
            ),
            "{message}"
        );
    }
}
