//! Rebuilds a store's lists from what describes itself: each backup's facts, segments, binlogs, and the generations before.
//!
//! Nothing is removed but a damaged file that is written anew, and nothing becomes an orphan: what cannot be described stays
//! where it is, and is told.

use super::{RecordError, publish};
use crate::{
    beneath::Place,
    execute::{Reporter, TreePass, describe_stored, walk_tree},
    model::{BackupId, TreeName},
    plan::SyncSide,
    store::{
        BackupMeta, BackupPaths, BinlogEntry, BinlogIndex, Digest, FileList, Flaw, KeyPart, Manifest, ManifestEntry,
        Session, StoreError, StoreFile, StoreKey, StoreReader, Sums, ToolRecord, backup_dirs, binlog_files, described,
        described_later, layout, read_version, salvage_index, salvage_manifest, salvage_store_file, sums_of,
    },
};
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeMap, HashSet},
    num::NonZero,
};
use uuid::Uuid;

/// What is to be rebuilt of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong, in words.
    pub flaws: Vec<String>,
    /// Whether the store's own file is lost or damaged.
    pub store_file: bool,
    /// Whether the manifest is lost or damaged.
    pub manifest: bool,
    /// Whether the index of the archived binlogs is lost or damaged.
    pub index: bool,
    /// Finished backups that the manifest does not name.
    pub backups: Vec<BackupId>,
    /// Archived binlogs that the index does not name.
    pub binlogs: Vec<KeyPart>,
    /// Backups whose `meta.json` is lost or damaged.
    pub metas: Vec<BackupId>,
    /// Backups whose `files.json` is lost or damaged.
    pub file_lists: Vec<BackupId>,
}

impl Damage {
    /// Whether nothing is to be rebuilt.
    pub fn is_none(&self) -> bool {
        *self == Damage::default()
    }
}

/// What a rebuilding came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// What was done, in words.
    pub done: Vec<String>,
    /// What could not be mended, in words.
    pub left: Vec<String>,
}

/// The lists as they can be trusted, and what is wrong.
struct Survey {
    store: Option<StoreFile>,
    backups: Vec<ManifestEntry>,
    binlogs: Vec<BinlogEntry>,
    damage: Damage,
}

/// Looks for what is to be rebuilt. Changes nothing.
///
/// # Errors
///
/// When the store cannot be read, or is newer than this program.
pub fn find_damage(reader: &dyn StoreReader) -> Result<Damage, RecordError> {
    Ok(look(reader)?.damage)
}

fn look(reader: &dyn StoreReader) -> Result<Survey, RecordError> {
    let (store, flaw) = salvage_store_file(reader)?;
    let sums = if flaw.is_some() { Sums::Optional } else { sums_of(store.as_ref()) };
    let (mut manifest, index) = (salvage_manifest(reader, sums)?, salvage_index(reader, sums)?);
    let there = backup_dirs(reader)?;
    for entry in manifest.entries.iter_mut().filter(|entry| there.contains(&entry.id())) {
        if let Some(later) = described_later(reader, entry)? {
            let key = layout::manifest();
            let text = format!("is of an earlier generation than meta.json of {}", entry.id());
            manifest.flaws.push(StoreError::Damaged { key, entry: None, flaw: Flaw::Contradiction(text) });
            *entry = later;
        }
    }
    let flaws = flaw.iter().chain(&manifest.flaws).chain(&index.flaws).map(ToString::to_string).collect();
    let mut damage = Damage {
        flaws,
        store_file: flaw.is_some(),
        manifest: !manifest.flaws.is_empty(),
        index: !index.flaws.is_empty(),
        ..Damage::default()
    };
    let named: HashSet<BackupId> = manifest.entries.iter().map(ManifestEntry::id).collect();
    for id in there.iter().filter(|id| !named.contains(id)) {
        if reader.head(&layout::meta(id))?.is_some() || reader.head(&layout::files(id))?.is_some() {
            damage.backups.push(*id);
        }
    }
    let archived: HashSet<&KeyPart> = index.entries.iter().map(|entry| &entry.stored_as).collect();
    damage.binlogs = binlog_files(reader)?.into_iter().filter(|name| !archived.contains(name)).collect();
    for entry in &manifest.entries {
        let id = entry.id();
        if !there.contains(&id) {
            continue;
        }
        let wrong = |error: StoreError| match error {
            StoreError::Damaged { .. } => Ok(Some(error.to_string())),
            error => Err(error),
        };
        let meta = BackupMeta::load(reader, &id, entry.meta_digest.as_ref(), sums).map(|_| None).or_else(wrong)?;
        if let Some(flaw) = meta {
            damage.flaws.push(flaw);
            damage.metas.push(id);
        }
        // Another program records no digests, and writes no list.
        let Some(digest) = &entry.files_digest else { continue };
        let files = FileList::load(reader, &id, Some(digest)).map(|_| None).or_else(wrong)?;
        if let Some(flaw) = files {
            damage.flaws.push(flaw);
            damage.file_lists.push(id);
        }
    }
    Ok(Survey { store, backups: manifest.entries, binlogs: index.entries, damage })
}

/// Rebuilds what is lost, damaged, or older than what the store holds. The session needs the locks of backups and binlogs.
/// Transaction indexes and the facts that only a whole pass brings are for a `reindex` afterwards.
///
/// # Errors
///
/// [`RecordError`]; what was rebuilt before stays.
pub fn rebuild(
    session: &dyn Session,
    (id, now): (Uuid, DateTime<Utc>),
    reporter: &dyn Reporter,
) -> Result<Rebuilt, RecordError> {
    let Survey { store, mut backups, mut binlogs, damage } = look(session)?;
    let mut rebuilt = Rebuilt::default();
    let mut changed = damage.manifest;
    for id in &damage.backups {
        match described(session, id)? {
            Some(entry) => {
                rebuilt.done.push(format!("{id} is in the manifest again"));
                backups.push(entry);
                changed = true;
            }
            None => {
                rebuilt.left.push(format!("{id} stays as it is: neither a list nor its own meta.json describes it"))
            }
        }
    }
    for id in &damage.file_lists {
        let expected = backups.iter().find(|entry| entry.id() == *id).and_then(|entry| entry.files_digest);
        match list_anew(session, id, expected, reporter) {
            Ok(()) => {
                rebuilt.done.push(format!("files.json of {id} is there again: its files are those that were recorded"))
            }
            Err(problem) => rebuilt.left.push(format!("files.json of {id}: {problem}")),
        }
    }
    for id in &damage.metas {
        let Some(entry) = backups.iter_mut().find(|entry| entry.id() == *id) else { continue };
        let bytes = meta_anew(session, entry)?.to_bytes();
        replace_small(session, &layout::meta(id), &bytes)?;
        entry.meta_digest = Some(Digest::of(&bytes));
        changed = true;
        rebuilt.done.push(format!("meta.json of {id} is made of the manifest's entry"));
    }
    if changed {
        backups.sort_by_key(|entry| (entry.ended_at.unwrap_or_else(|| entry.ts.at()), entry.ts));
        let current = read_version(session, &layout::manifest())?.map(|(_, version)| version);
        rebuilt.done.push(format!("manifest.json lists {} backups", backups.len()));
        Manifest { entries: backups }.save(session, current.as_ref())?;
    }
    let mut named = damage.index;
    for name in &damage.binlogs {
        match describe_stored(session, name, reporter) {
            Ok(entry) if binlogs.iter().any(|known| known.digest.is_some() && known.digest == entry.digest) => {
                rebuilt
                    .left
                    .push(format!("binlogs/{name} holds what the index names already: `prune --orphans` removes it"));
            }
            Ok(entry) => {
                let timeline = timeline_of(&binlogs, &entry);
                rebuilt.done.push(format!("binlogs/{name} is in the index again (timeline {timeline})"));
                binlogs.push(BinlogEntry { timeline: Some(timeline), ..entry });
                named = true;
            }
            Err(problem) => rebuilt.left.push(format!("binlogs/{name} stays as it is: {problem}")),
        }
    }
    if named {
        let current = read_version(session, &layout::binlog_index())?.map(|(_, version)| version);
        rebuilt.done.push(format!("binlogs/index.json lists {} binlogs", binlogs.len()));
        let mut index = BinlogIndex::default();
        binlogs.into_iter().for_each(|entry| index.append(entry));
        index.save(session, current.as_ref())?;
    }
    // The promise that everything has a sum comes last.
    if damage.store_file {
        let current = read_version(session, &layout::store_file())?.map(|(_, version)| version);
        let is_old = store.is_some();
        let file = store.unwrap_or_else(|| StoreFile::new(id, now));
        file.save(session, current.as_ref())?;
        rebuilt.done.push(match is_old {
            true => "dbbak.json is the generation before".into(),
            false => "dbbak.json is made anew, with a new id".into(),
        });
    }
    Ok(rebuilt)
}

/// Writes a small file in the place of one that is lost or damaged.
fn replace_small(session: &dyn Session, key: &StoreKey, bytes: &[u8]) -> Result<(), RecordError> {
    session.remove(key)?;
    Ok(publish(session, key, bytes)?)
}

/// The facts about a backup, as far as the manifest and its directory tell them.
fn meta_anew(reader: &dyn StoreReader, entry: &ManifestEntry) -> Result<BackupMeta, RecordError> {
    let there: Vec<StoreKey> = reader.list_keys(&layout::backup(&entry.id()))?;
    let path = |tree: TreeName| {
        there.iter().any(|key| key.file_name() == Some(tree.as_str())).then(|| format!("{}/", tree.as_str()))
    };
    let paths = BackupPaths {
        raw: path(TreeName::Raw),
        prepared_redo: path(TreeName::PreparedRedo),
        prepared_final: path(TreeName::PreparedFinal),
        dump: path(TreeName::Dump),
        ..BackupPaths::default()
    };
    let tool = match entry.base {
        None => ToolRecord { lsn_start: entry.from_lsn, lsn_end: entry.to_lsn, ..ToolRecord::default() },
        Some(_) => ToolRecord { lsn_from: entry.from_lsn, lsn_to: entry.to_lsn, ..ToolRecord::default() },
    };
    Ok(BackupMeta::new(entry.clone(), paths, tool))
}

/// Writes a backup's list of files anew, where it comes out as it was recorded: then the files are those of the backup.
fn list_anew(
    session: &dyn Session,
    id: &BackupId,
    expected: Option<Digest>,
    reporter: &dyn Reporter,
) -> Result<(), String> {
    let dir = session.local_dir().ok_or("the store is no directory")?;
    let mut listings = BTreeMap::new();
    for tree in [TreeName::Raw, TreeName::PreparedRedo, TreeName::PreparedFinal, TreeName::Dump] {
        let key = layout::backup(id).join_text(tree.as_str()).map_err(|error| error.to_string())?;
        if session.head(&key).map_err(|error| error.to_string())?.is_none() {
            continue;
        }
        let from = Place::new(dir.root(), key.as_str());
        let pass =
            TreePass { from: &from, to: None, expected: None, sync: SyncSide::Nothing, threads: NonZero::<usize>::MIN };
        listings.insert(tree, walk_tree(&pass, reporter).map_err(|error| error.to_string())?);
    }
    let bytes = super::file_list(&listings).map_err(|error| error.to_string())?.to_bytes();
    let found = Digest::of(&bytes);
    if expected != Some(found) {
        let expected = expected.map(|digest| digest.to_string()).unwrap_or_default();
        let flaw = Flaw::Digest { expected, found: found.to_string() };
        return Err(format!("the files in the store are not those that were recorded ({flaw})"));
    }
    replace_small(session, &layout::files(id), &bytes).map_err(|error| error.to_string())
}

/// The timeline that a binlog which describes itself goes on in: that of the file before it by the same server, else that of
/// a file behind it, else a new one.
fn timeline_of(known: &[BinlogEntry], entry: &BinlogEntry) -> String {
    let server = |of: &BinlogEntry| of.source.as_ref().and_then(|source| source.server_id);
    let own = |other: &&BinlogEntry| {
        other.name.base() == entry.name.base() && other.timeline.is_some() && server(other) == server(entry)
    };
    let taken = |timeline: &str| {
        known.iter().any(|other| other.name == entry.name && other.timeline.as_deref() == Some(timeline))
    };
    let fits = |other: &&BinlogEntry| {
        let (first, second) = if other.name.number() < entry.name.number() { (*other, entry) } else { (entry, *other) };
        let follows = second.name.number() != first.name.number() + 1 || first.is_followed_by(second);
        follows && first.first_event_time <= second.first_event_time
    };
    let near = |other: &&BinlogEntry| other.name.number().abs_diff(entry.name.number());
    let candidates = known.iter().filter(own).filter(fits);
    let nearest = candidates.filter(|other| !other.timeline.as_deref().is_some_and(&taken)).min_by_key(near);
    nearest.and_then(|other| other.timeline.clone()).unwrap_or_else(|| {
        let used: HashSet<&str> = known.iter().filter_map(|entry| entry.timeline.as_deref()).collect();
        (1..).map(|number| format!("t{number}")).find(|id| !used.contains(id.as_str())).unwrap_or_default()
    })
}
