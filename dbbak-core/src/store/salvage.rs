//! Reads what can be trusted of a store's lists where they are lost or damaged: entries whose sums agree, the generation
//! before, segments whose names agree with their content, and what each backup says of itself.
//!
//! Nothing may be removed, and nothing but the lists themselves be written, on a part.

use super::{
    BackupMeta, BinlogEntry, BinlogIndex, Digest, Flaw, KeyPart, Manifest, ManifestEntry, StoreError, StoreFile,
    StoreKey, StoreReader, Sums, Version, binlog_index::parse_loose_segment, layout, read_version, store_file::damaged,
};
use crate::model::BackupId;
use std::collections::{HashMap, HashSet};

/// What was read of a list.
#[derive(Debug)]
pub struct Salvaged<T> {
    /// Its entries, as far as they can be trusted.
    pub entries: Vec<T>,
    /// What is wrong with it; nothing: it is whole.
    pub flaws: Vec<StoreError>,
    /// The version of the file as it lies there; none: it is not there.
    pub version: Option<Version>,
}

/// Reads the store's own file. With a flaw it is the generation before, where that can be read.
///
/// # Errors
///
/// [`StoreError::TooNew`], which no repair changes; others when the store cannot be read.
pub fn salvage_store_file(reader: &dyn StoreReader) -> Result<(Option<StoreFile>, Option<StoreError>), StoreError> {
    let key = layout::store_file();
    let flaw = match StoreFile::load(reader) {
        Ok(Some((file, _))) => return Ok((Some(file), None)),
        Ok(None) => damaged(&key, None, Flaw::Missing),
        Err(error @ StoreError::Damaged { .. }) => error,
        Err(error) => return Err(error),
    };
    let before = read_version(reader, &layout::previous(&key))?;
    let before = before.and_then(|(bytes, _)| StoreFile::parse(&bytes).ok());
    // Without it and its generation before, the store may be one of another program.
    let is_basic =
        matches!(&flaw, StoreError::Damaged { flaw: Flaw::Missing, .. }) && before.is_none() && !has_sums(reader)?;
    Ok((before, (!is_basic).then_some(flaw)))
}

/// Whether the lists are of this program, or the facts of the backups: each of them has a sum.
fn has_sums(reader: &dyn StoreReader) -> Result<bool, StoreError> {
    let metas = backup_dirs(reader)?.into_iter().map(|id| layout::meta(&id));
    for key in [layout::manifest(), layout::binlog_index()].into_iter().chain(metas) {
        if let Some((bytes, _)) = read_version(reader, &key)?
            && String::from_utf8_lossy(&bytes).contains("\"sum\":")
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The backups' directories that lie in the store.
///
/// # Errors
///
/// When the store cannot be read.
pub fn backup_dirs(reader: &dyn StoreReader) -> Result<Vec<BackupId>, StoreError> {
    let mut dirs = Vec::new();
    for key in reader.list_keys(&StoreKey::root())? {
        let Some(id) = key.file_name().and_then(|name| name.parse().ok()) else { continue };
        // What lies behind a link is not in the store.
        match reader.list_keys(&key) {
            Err(StoreError::Link { .. }) => {}
            found => found.map(|_| dirs.push(id))?,
        }
    }
    Ok(dirs)
}

/// The names of the archived binlogs that lie in the store.
///
/// # Errors
///
/// When the store cannot be read.
pub fn binlog_files(reader: &dyn StoreReader) -> Result<Vec<KeyPart>, StoreError> {
    let keys = reader.list_keys(&layout::binlogs())?;
    Ok(keys
        .iter()
        .filter_map(|key| match layout::classify(key) {
            layout::KeyClass::Binlog(name) => Some(name),
            _ => None,
        })
        .collect())
}

/// Reads the manifest. Where it has a flaw, what its good entries lack is taken from the `meta.json` of each backup that is
/// there, and from the generation before.
///
/// # Errors
///
/// When the store cannot be read.
pub fn salvage_manifest(reader: &dyn StoreReader, sums: Sums) -> Result<Salvaged<ManifestEntry>, StoreError> {
    let key = layout::manifest();
    let found = read_version(reader, &key)?;
    let version = found.as_ref().map(|(_, version)| *version);
    let (manifest, mut flaws) = match &found {
        Some((bytes, _)) => Manifest::inspect(bytes, sums),
        None => (Manifest::default(), Vec::new()),
    };
    let before = read_version(reader, &layout::previous(&key))?;
    let dirs = if found.is_some() && flaws.is_empty() { Vec::new() } else { backup_dirs(reader)? };
    if found.is_none() && (sums == Sums::Required || before.is_some() || !dirs.is_empty()) {
        flaws.push(damaged(&key, None, Flaw::Missing));
    }
    let mut entries = manifest.entries;
    if !flaws.is_empty() {
        let mut known: HashMap<BackupId, usize> =
            entries.iter().enumerate().map(|(place, entry)| (entry.id(), place)).collect();
        let mut add = |entry: ManifestEntry| match known.get(&entry.id()) {
            Some(place) if is_later(&entry, &entries[*place]) => entries[*place] = entry,
            Some(_) => {}
            None => {
                known.insert(entry.id(), entries.len());
                entries.push(entry);
            }
        };
        for id in &dirs {
            described(reader, id)?.into_iter().for_each(&mut add);
        }
        let before = before.map(|(bytes, _)| Manifest::inspect(&bytes, sums).0).unwrap_or_default();
        before.entries.into_iter().filter(|entry| dirs.contains(&entry.id())).for_each(&mut add);
        entries.sort_by_key(|entry| (entry.ended_at.unwrap_or_else(|| entry.ts.at()), entry.ts));
    }
    Ok(Salvaged { entries, flaws, version })
}

/// Whether an entry is of a later generation of its backup's facts than another: trees are added to a backup, and a mark that it cannot
/// be applied is set, and taken off. Where two generations changed it as often, the one that bears it counts: no restore rests on what
/// may be of no use.
fn is_later(one: &ManifestEntry, other: &ManifestEntry) -> bool {
    let generation = |entry: &ManifestEntry| (entry.mark_changes(), entry.unusable.is_some(), entry.stored_size);
    generation(one) > generation(other)
}

/// The entry that a backup's own facts make, where they are of a later generation than the manifest's: that is older than the data.
///
/// # Errors
///
/// When the store cannot be read.
pub fn described_later(reader: &dyn StoreReader, entry: &ManifestEntry) -> Result<Option<ManifestEntry>, StoreError> {
    let found = described(reader, &entry.id())?;
    Ok(found.filter(|found| found.meta_digest != entry.meta_digest && is_later(found, entry)))
}

/// The entry that a backup's own facts make; `None` where they are not there or not to be trusted. A backup of another
/// program has no sums.
///
/// # Errors
///
/// When the store cannot be read.
pub fn described(reader: &dyn StoreReader, id: &BackupId) -> Result<Option<ManifestEntry>, StoreError> {
    let Some((bytes, _)) = read_version(reader, &layout::meta(id))? else { return Ok(None) };
    let meta = BackupMeta::parse(&bytes, id, None, Sums::Optional).ok();
    Ok(meta.map(|meta| meta.manifest_entry(Digest::of(&bytes))))
}

/// Reads the index of the archived binlogs. Where it has a flaw, what its good entries lack is taken from the generation
/// before, and from the segments that lie there.
///
/// # Errors
///
/// When the store cannot be read.
pub fn salvage_index(reader: &dyn StoreReader, sums: Sums) -> Result<Salvaged<BinlogEntry>, StoreError> {
    let key = layout::binlog_index();
    let found = read_version(reader, &key)?;
    let version = found.as_ref().map(|(_, version)| *version);
    let mut segment = |name: &KeyPart| Ok(read_version(reader, &layout::binlog_segment(name))?.map(|(bytes, _)| bytes));
    let (index, mut flaws) = match &found {
        Some((bytes, _)) => BinlogIndex::inspect(bytes, sums, &mut segment),
        None => (BinlogIndex::default(), Vec::new()),
    };
    let before = read_version(reader, &layout::previous(&key))?;
    if found.is_none() && (sums == Sums::Required || before.is_some() || !binlog_files(reader)?.is_empty()) {
        flaws.push(damaged(&key, None, Flaw::Missing));
    }
    if flaws.is_empty() {
        return Ok(Salvaged { entries: index.into_entries(), flaws, version });
    }
    let before = before.map(|(bytes, _)| BinlogIndex::inspect(&bytes, sums, &mut segment).0).unwrap_or_default();
    // Segments come first in the order of archiving; of two that hold the same binlog the later one counts.
    let mut names: Vec<KeyPart> = reader
        .list_keys(&layout::binlog_segments())?
        .iter()
        .filter_map(|key| match layout::classify(key) {
            layout::KeyClass::BinlogSegment(name) => Some(name),
            _ => None,
        })
        .collect();
    names.sort();
    let mut loose: Vec<BinlogEntry> = Vec::new();
    for name in &names {
        let Some((bytes, _)) = read_version(reader, &layout::binlog_segment(name))? else { continue };
        loose.extend(parse_loose_segment(name, &bytes));
    }
    let mut known: HashSet<KeyPart> = HashSet::new();
    let all = index.into_entries().into_iter().chain(before.into_entries()).chain(loose);
    let mut entries: Vec<BinlogEntry> = all.filter(|entry| known.insert(entry.stored_as.clone())).collect();
    entries.sort_by_key(|entry| entry.archived_at);
    Ok(Salvaged { entries, flaws, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MarkAct, MarkChange};
    use chrono::{DateTime, Utc};

    fn now() -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    /// A backup as it was recorded, as it was marked, as the mark was taken off, and as it was marked again.
    fn generations() -> [ManifestEntry; 4] {
        let recorded = ManifestEntry::basic(BackupId::full("2025-10-02T02-00Z".parse().unwrap()), Some(7));
        let mut marked = recorded.clone();
        marked.mark("the tool fell over", now());
        let mut cleared = marked.clone();
        let off = MarkChange::set(Some(now()), "a trial applied it");
        cleared.take_mark_off(MarkChange { change: MarkAct::TakenOff, ..off });
        let mut again = cleared.clone();
        again.mark("it fell over again", now());
        [recorded, marked, cleared, again]
    }

    #[test]
    fn the_generation_with_more_changes_of_the_mark_is_later() {
        let generations = generations();
        for (first, one) in generations.iter().enumerate() {
            for (second, other) in generations.iter().enumerate() {
                assert_eq!(is_later(one, other), first > second, "{first} against {second}");
            }
        }
        // How large it is says nothing where the mark was changed since.
        let mut larger = generations[1].clone();
        larger.stored_size = Some(u64::MAX);
        assert!(is_later(&generations[2], &larger) && !is_later(&larger, &generations[2]));
    }

    #[test]
    fn marks_of_an_older_program_are_of_a_later_generation_too() {
        let [recorded, _, cleared, _] = generations();
        let old = |entry: &ManifestEntry| ManifestEntry { unusable: Some("said".into()), ..entry.clone() };
        assert!(is_later(&old(&recorded), &recorded) && !is_later(&recorded, &old(&recorded)));
        assert!(is_later(&cleared, &old(&recorded)) && !is_later(&old(&recorded), &cleared));
        assert!(is_later(&old(&cleared), &cleared) && !is_later(&cleared, &old(&cleared)));
    }

    /// Two that were changed as often, as nobody but a hand can make them: what may be of no use is not used.
    #[test]
    fn of_two_that_were_changed_as_often_the_marked_one_counts() {
        let [_, marked, mut cleared, _] = generations();
        cleared.marks.remove(0);
        assert_eq!(marked.mark_changes(), cleared.mark_changes());
        assert!(is_later(&marked, &cleared) && !is_later(&cleared, &marked));
    }
}
