//! One snapshot of a store, and the questions that planners ask of it.

mod archive;
mod backup;
mod chain;
mod continuity;
mod entry;
mod finding;
mod findings;
mod lost;
mod open_gaps;
mod passage;
#[cfg(test)]
mod sample;
mod stitch;
mod stretch;
mod timeline;
mod windows;

use archive::ArchiveIndex;
pub use backup::{Backup, Link};
pub use chain::ChainError;
pub use continuity::{Continuity, continuity, data_between, every_transaction_has_a_gtid, minus, same_server};
pub use finding::Finding;
pub use passage::Passage;
pub use stitch::Stitch;
pub use stretch::Stretch;
pub use timeline::{Located, Run, RunEnd, Timeline};
pub use windows::{
    ArchivedTimeline, BackupMark, Hole, Piece, RestoreWindow, ServingChain, TimelineFinding, TimelineReport, WindowEnd,
    timeline_report,
};

use crate::{
    model::{BackupId, BackupKind, Stamp},
    store::{
        BackupMeta, BinlogEntry, BinlogIndex, KeyClass, Manifest, ManifestEntry, Operation, StoreError, StoreFile,
        StoreKey, StoreReader, Sums, Version, classify, layout, salvage_index, salvage_manifest, salvage_store_file,
        sums_of,
    },
    tools::RecordedCommand,
};
use chrono::{DateTime, Utc};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// One snapshot of a store.
#[derive(Debug, Clone)]
pub struct Catalog {
    /// The store's own file; a basic store, which may be read and not written, has none.
    pub store: Option<StoreFile>,
    /// The store as a directory, where it is one.
    pub root: Option<PathBuf>,
    /// The backups, in the order in which they were recorded.
    pub backups: Vec<Backup>,
    /// The archived binlogs, in the order in which they were archived.
    pub binlogs: Vec<BinlogEntry>,
    /// Backups that the manifest names and the store lacks. Nothing is planned on them.
    pub lost_backups: Vec<ManifestEntry>,
    /// Binlogs that the index names and the store lacks. They are gaps.
    pub lost_binlogs: Vec<BinlogEntry>,
    /// What nothing names, and is of no use.
    pub orphans: Vec<Orphan>,
    /// Finished backups and archived binlogs that nothing names: the lists are older than they are, or were lost.
    pub unlisted: Vec<StoreKey>,
    /// What of the store's lists cannot be trusted, in words; nothing: they are whole.
    pub distrusted: Vec<String>,
    /// The manifest as it was read; none: it was not there.
    pub manifest: Option<Version>,
    /// The binlog index as it was read; none: it was not there.
    pub index: Option<Version>,
    /// The names at the top of the store.
    names: BTreeSet<String>,
    /// Each backup's place in `backups`, by its stamp.
    by_stamp: HashMap<Stamp, usize>,
    /// Made when it is first asked for.
    archive: OnceLock<ArchiveIndex>,
    /// Whether the chain of each backup is whole; made when it is first asked for.
    whole: OnceLock<Vec<bool>>,
}

/// Something in the store that nothing names: what a killed run left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Where it lies.
    pub key: StoreKey,
    /// When it was last changed, by the store's clock.
    pub modified: Option<DateTime<Utc>>,
}

impl Catalog {
    /// Reads a store: its own file, the manifest, the binlog index, and the names at its top and of its archive. The facts
    /// about a backup are read only where the manifest's entry lacks them.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store is missing, damaged, or newer than this program.
    pub fn load(reader: &dyn StoreReader) -> Result<Self, StoreError> {
        let store = StoreFile::load(reader)?.map(|(file, _)| file);
        let sums = sums_of(store.as_ref());
        let (manifest, manifest_version) = Manifest::load(reader, sums)?.unzip();
        let (index, index_version) = BinlogIndex::load(reader, sums)?.unzip();
        let lists = Lists {
            store,
            backups: manifest.unwrap_or_default().entries,
            binlogs: index.unwrap_or_default().into_entries(),
            manifest: manifest_version,
            index: index_version,
            distrusted: None,
        };
        Catalog::assemble(reader, lists)
    }

    /// Reads what can be trusted of a store, and says in [`Catalog::distrusted`] what cannot. For commands that change
    /// nothing in it.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store is missing, cannot be read, or is newer than this program.
    pub fn load_trusted(reader: &dyn StoreReader) -> Result<Self, StoreError> {
        let (store, flaw) = salvage_store_file(reader)?;
        // What is no longer known to have sums is compared with those that are there.
        let sums = if flaw.is_some() { Sums::Optional } else { sums_of(store.as_ref()) };
        let (manifest, index) = (salvage_manifest(reader, sums)?, salvage_index(reader, sums)?);
        let flaws = flaw.iter().chain(&manifest.flaws).chain(&index.flaws).map(ToString::to_string).collect();
        let lists = Lists {
            store,
            backups: manifest.entries,
            binlogs: index.entries,
            manifest: manifest.version,
            index: index.version,
            distrusted: Some(flaws),
        };
        Catalog::assemble(reader, lists)
    }

    fn assemble(reader: &dyn StoreReader, lists: Lists) -> Result<Self, StoreError> {
        let Lists { store, backups, binlogs, manifest, index, mut distrusted } = lists;
        let sums = sums_of(store.as_ref());
        let top = reader.list_keys(&StoreKey::root())?;
        if store.is_none() && backups.is_empty() && binlogs.is_empty() {
            let known = top
                .iter()
                .any(|key| matches!(classify(key), KeyClass::Manifest | KeyClass::BinlogIndex | KeyClass::Binlogs));
            if !known {
                return Err(StoreError::NotFound { key: layout::store_file(), operation: Operation::Read });
            }
        }
        let names: BTreeSet<String> = top.iter().filter_map(|key| key.file_name().map(str::to_owned)).collect();
        let (there, lost_backups) = lost::split_backups(backups, &names, reader)?;
        let archived = lost::split_binlogs(binlogs, reader)?;
        let mut entries = Vec::with_capacity(there.len());
        let mut commands = Vec::with_capacity(there.len());
        for entry in there {
            let is_basic = entry.to_lsn.is_none() || (entry.base.is_some() && entry.parent.is_none());
            let meta = match is_basic {
                true => {
                    match (BackupMeta::load(reader, &entry.id(), entry.meta_digest.as_ref(), sums), &mut distrusted) {
                        (Ok(meta), _) => Some(meta),
                        (Err(error @ StoreError::Damaged { .. }), Some(flaws)) => {
                            flaws.push(error.to_string());
                            None
                        }
                        (Err(error), _) => return Err(error),
                    }
                }
                false => None,
            };
            commands.push(meta.as_ref().and_then(|meta| meta.tool.cmd.clone()));
            entries.push(match &meta {
                Some(meta) => completed(entry, meta),
                None => entry,
            });
        }
        let root = reader.local_dir().map(|dir| dir.root().to_owned());
        let mut catalog = Catalog::from_parts(store, root, entries, &commands, archived.there, names);
        (catalog.lost_backups, catalog.lost_binlogs) = (lost_backups, archived.lost);
        (catalog.manifest, catalog.index) = (manifest, index);
        catalog.distrusted = distrusted.unwrap_or_default();
        catalog.unlisted = archived.unlisted;
        catalog.find_orphans(reader, &top)?;
        Ok(catalog)
    }

    /// Puts a snapshot together from what a store's files say: the manifest's entries, the command line recorded with
    /// each (where it is needed to tell the parent), the index, and the names at the store's top.
    pub fn from_parts(
        store: Option<StoreFile>,
        root: Option<PathBuf>,
        entries: Vec<ManifestEntry>,
        commands: &[Option<String>],
        binlogs: Vec<BinlogEntry>,
        names: BTreeSet<String>,
    ) -> Self {
        let backups = link(entries, commands);
        let mut by_stamp = HashMap::with_capacity(backups.len());
        for (place, backup) in backups.iter().enumerate() {
            by_stamp.entry(backup.ts()).or_insert(place);
        }
        Catalog {
            store,
            root,
            backups,
            binlogs,
            lost_backups: Vec::new(),
            lost_binlogs: Vec::new(),
            orphans: Vec::new(),
            unlisted: Vec::new(),
            distrusted: Vec::new(),
            manifest: None,
            index: None,
            names,
            by_stamp,
            archive: OnceLock::new(),
            whole: OnceLock::new(),
        }
    }

    /// The backup of a stamp.
    pub fn backup(&self, ts: Stamp) -> Option<&Backup> {
        self.by_stamp.get(&ts).and_then(|place| self.backups.get(*place))
    }

    /// Whether a backup, or what is left of one, has this stamp.
    pub fn stamp_taken(&self, ts: Stamp) -> bool {
        let text = ts.to_string();
        let own = |name: &String| {
            let id = name.strip_prefix("full_").or_else(|| name.strip_prefix("incr_"));
            id.and_then(|id| id.split('_').next()) == Some(text.as_str())
        };
        self.backup(ts).is_some() || self.lost_backup(ts).is_some() || self.names.iter().any(own)
    }

    /// The directory of the store's logs, where the store is a directory.
    pub fn logs_dir(&self) -> PathBuf {
        self.root.as_deref().unwrap_or(Path::new("/")).join("logs")
    }

    /// Finds the backups' directories that nothing names. One that says of itself what it is was finished: it is no orphan.
    fn find_orphans(&mut self, reader: &dyn StoreReader, top: &[StoreKey]) -> Result<(), StoreError> {
        let lost = self.lost_backups.iter().map(ManifestEntry::id);
        let named: HashSet<BackupId> = self.backups.iter().map(|backup| backup.id).chain(lost).collect();
        let mut left = Vec::new();
        for key in top {
            let KeyClass::Backup { id, .. } = classify(key) else { continue };
            if named.contains(&id) {
                continue;
            }
            let inside = match reader.list_keys(key) {
                // A link is nobody's half backup, and nothing behind it is looked at.
                Err(StoreError::Link { .. }) => continue,
                found => found?,
            };
            match inside.iter().any(|key| *key == layout::meta(&id) || *key == layout::files(&id)) {
                true => self.unlisted.push(key.clone()),
                false => left.push(key.clone()),
            }
        }
        self.orphans = orphans(reader, left.iter())?;
        Ok(())
    }

    /// Finds the transaction indexes whose binlogs are neither named nor there; that takes a listing of the whole archive.
    /// Binlogs that the index does not name are no orphans: they may be all that is left of a history.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn find_binlog_orphans(&mut self, reader: &dyn StoreReader) -> Result<(), StoreError> {
        let all = self.binlogs.iter().chain(&self.lost_binlogs);
        let named: HashSet<&str> = all.map(|entry| entry.stored_as.as_str()).collect();
        let listed = reader.list_keys(&layout::binlogs())?;
        let there: HashSet<&str> = listed.iter().filter_map(StoreKey::file_name).collect();
        // The names that the index has need no closer look, and they are nearly all.
        let unnamed = listed.iter().filter(|key| key.file_name().is_none_or(|name| !named.contains(name)));
        let is_orphan = |key: &&StoreKey| match classify(key) {
            KeyClass::Transactions(name) => !named.contains(name.as_str()) && !there.contains(name.as_str()),
            _ => false,
        };
        self.orphans.extend(orphans(reader, unnamed.filter(is_orphan))?);
        Ok(())
    }

    /// Counts something that no list names as an orphan, because all of it is in the store once more.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn is_twice(&mut self, reader: &dyn StoreReader, key: &StoreKey) -> Result<(), StoreError> {
        self.unlisted.retain(|unlisted| unlisted != key);
        self.orphans.extend(orphans(reader, std::iter::once(key))?);
        Ok(())
    }
}

/// A store's lists as they were read.
struct Lists {
    store: Option<StoreFile>,
    backups: Vec<ManifestEntry>,
    binlogs: Vec<BinlogEntry>,
    manifest: Option<Version>,
    index: Option<Version>,
    /// What cannot be trusted; none: everything must be.
    distrusted: Option<Vec<String>>,
}

/// Orphans with what the store says of them; what is gone by now is none.
fn orphans<'a>(reader: &dyn StoreReader, keys: impl Iterator<Item = &'a StoreKey>) -> Result<Vec<Orphan>, StoreError> {
    let mut orphans = Vec::new();
    for key in keys {
        let found = reader.head(key)?;
        orphans.extend(found.map(|info| Orphan { key: info.key, modified: info.modified }));
    }
    Ok(orphans)
}

/// A basic entry with what its backup's own facts add.
fn completed(entry: ManifestEntry, meta: &BackupMeta) -> ManifestEntry {
    let own = &meta.entry;
    ManifestEntry {
        parent: entry.parent.or(own.parent),
        from_lsn: entry.from_lsn.or(own.from_lsn),
        to_lsn: entry.to_lsn.or(own.to_lsn),
        ended_at: entry.ended_at.or(own.ended_at),
        binlog: entry.binlog.clone().or_else(|| own.binlog.clone()),
        engine: entry.engine.clone().or_else(|| own.engine.clone()),
        ..entry
    }
}

/// Finds each backup's parent: by its own word, else by the recorded command's base directory, else by the only backup of
/// its base that ends where it starts.
fn link(entries: Vec<ManifestEntry>, commands: &[Option<String>]) -> Vec<Backup> {
    let ends: Vec<(Stamp, Stamp, Option<crate::model::Lsn>)> =
        entries.iter().map(|entry| (entry.ts, entry.id().root(), entry.to_lsn)).collect();
    let parent_of = |entry: &ManifestEntry, command: Option<&String>| {
        if entry.kind == BackupKind::Full {
            return Link::Root;
        }
        if let Some(parent) = entry.parent.or_else(|| command.and_then(|line| parent_in(line))) {
            return Link::Parent(parent);
        }
        let fits = |(ts, root, to_lsn): &&(Stamp, Stamp, Option<crate::model::Lsn>)| {
            *ts < entry.ts && Some(*root) == entry.base && to_lsn.is_some() && *to_lsn == entry.from_lsn
        };
        let mut candidates = ends.iter().filter(fits);
        match (candidates.next(), candidates.count()) {
            (Some((parent, ..)), 0) => Link::Parent(*parent),
            (None, _) => Link::Unknown { candidates: 0 },
            (Some(_), more) => Link::Unknown { candidates: more + 1 },
        }
    };
    let command = |number: usize| commands.get(number).and_then(Option::as_ref);
    let links: Vec<Link> =
        entries.iter().enumerate().map(|(number, entry)| parent_of(entry, command(number))).collect();
    let backup = |(entry, link): (ManifestEntry, Link)| Backup {
        id: entry.id(),
        link,
        from_lsn: entry.from_lsn,
        to_lsn: entry.to_lsn,
        ended_at: entry.ended_at.unwrap_or_else(|| entry.ts.at()),
        entry,
    };
    entries.into_iter().zip(links).map(backup).collect()
}

/// The backup whose directory a recorded command names as its base.
fn parent_in(line: &str) -> Option<Stamp> {
    let base = RecordedCommand::parse(line).incremental_basedir()?;
    let parts = base.components().rev().filter_map(|part| part.as_os_str().to_str());
    parts.filter_map(|part| part.parse::<crate::model::BackupId>().ok()).map(|id| id.ts).next()
}
