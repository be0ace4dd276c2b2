//! Enters what a run brought into the store: files and meta first, the manifest or the index last.

mod mark;
mod rebuild;

pub use mark::{record_mark_off, record_unusable};
pub use rebuild::{Damage, Rebuilt, find_damage, rebuild};

use crate::{
    execute::{NewBackup, Outcome, TreeListing},
    model::{BackupId, BackupKind, Stamp, TreeName},
    plan::{RecordBackup, RecordTrees},
    store::{
        BackupMeta, BackupPart, BackupPaths, BinlogEntry, BinlogIndex, Digest, FileEntry, FileList, KeyClass, KeyPart,
        Manifest, ManifestEntry, MarkChange, Operation, Session, StoreError, StoreFile, StoreKey, StoreReader, Sums,
        ToolRecord, backup_dirs, binlog_files, classify, layout, sums_of,
    },
    tools::{PERSISTED, Standing, TablespaceIds, masked_file},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
};

/// Why something could not be entered into the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The run did not bring what the record needs: somebody edited the plan.
    #[error("nothing to record: {missing} is missing")]
    Incomplete {
        /// What is missing.
        missing: &'static str,
    },
    /// A store that holds backups or binlogs lacks the list of them: it is no new store.
    #[error("the store holds what {key} must list, and {key} is not there")]
    ListLost {
        /// The list.
        key: StoreKey,
    },
    /// What was to be removed as an orphan is named by the manifest or the binlog index.
    #[error("{key} is no orphan: the store's lists name it")]
    Named {
        /// Its place.
        key: StoreKey,
    },
}

/// Enters a new backup: `files.json`, `meta.json`, and last its entry in the manifest, which makes it exist.
///
/// # Errors
///
/// [`RecordError`]; the backup does not exist then.
pub fn record_backup(
    session: &dyn Session,
    plan: &RecordBackup,
    outcome: &Outcome,
) -> Result<ManifestEntry, RecordError> {
    let missing = |missing| RecordError::Incomplete { missing };
    let id = plan.backup_id().ok_or(missing("the backup's name"))?;
    let backup = outcome.backup.as_ref().ok_or(missing("what the tool says of the backup"))?;
    session.settle_owner(&layout::backup(&id))?;
    let list = file_list(&outcome.listings)?;
    let bytes = list.to_bytes();
    publish(session, &layout::files(&id), &bytes)?;
    // What the engine wrote stands first: a clone has no raw tree.
    let first = plan.trees.first().and_then(|tree| outcome.listings.get(tree));
    let first = first.ok_or(missing("the list of the backup's files"))?;
    let stored = stored_size(outcome);
    let entry = ManifestEntry { stored_size: Some(stored), ..entry_of(plan, id, backup, first, Digest::of(&bytes)) };
    let meta = BackupMeta::new(entry, paths(&plan.trees), tool_record(plan, id, backup));
    let bytes = meta.to_bytes();
    publish(session, &layout::meta(&id), &bytes)?;
    let entry = meta.manifest_entry(Digest::of(&bytes));
    let sums = sums(session)?;
    let (mut manifest, version) = split(Manifest::load(session, sums)?);
    manifest.entries.push(entry.clone());
    manifest.save(session, version.as_ref())?;
    Ok(entry)
}

/// Enters an archived binlog into the index, in the place of the entry of that very file where there is one: its file was
/// lost then, and is there again.
///
/// # Errors
///
/// [`RecordError`]. The binlog may be an orphan then; where only the outcome is unknown, it is named.
pub fn record_binlog(session: &dyn Session, entry: &BinlogEntry) -> Result<(), RecordError> {
    let (mut index, version) = split(BinlogIndex::load(session, sums(session)?)?);
    if !index.update(&entry.stored_as, |known| *known = entry.clone()) {
        index.append(entry.clone());
    }
    index.save(session, version.as_ref())?;
    Ok(())
}

/// Enters what was found out of an archived binlog into its entry in the index.
///
/// # Errors
///
/// [`RecordError`]; the entry stays as it was then.
pub fn record_indexed(session: &dyn Session, entry: &BinlogEntry) -> Result<(), RecordError> {
    let (mut index, version) = split(BinlogIndex::load(session, sums(session)?)?);
    if !index.update(&entry.stored_as, |known| *known = entry.clone()) {
        return Err(RecordError::Incomplete { missing: "the binlog's entry" });
    }
    index.save(session, version.as_ref())?;
    Ok(())
}

/// Enters into the index of binlogs which timelines they belong to.
///
/// # Errors
///
/// [`RecordError`]; the index stays as it was then.
pub fn record_timelines(session: &dyn Session, names: &BTreeMap<KeyPart, String>) -> Result<(), RecordError> {
    let (mut index, version) = split(BinlogIndex::load(session, sums(session)?)?);
    for (stored_as, timeline) in names {
        index.update(stored_as, |entry| entry.timeline = Some(timeline.clone()));
    }
    index.save(session, version.as_ref())?;
    Ok(())
}

/// Adds the trees that were made of a recorded backup: list and facts are replaced, and last its entry in the manifest. The
/// generations before stay until then: whichever the manifest names is there.
///
/// # Errors
///
/// [`RecordError`]; the backup is recorded as it was before, or with the trees where only the outcome is unknown.
pub fn record_trees(session: &dyn Session, plan: &RecordTrees, outcome: &Outcome) -> Result<(), RecordError> {
    let missing = |missing| RecordError::Incomplete { missing };
    let id: BackupId = plan.id.parse().map_err(|_| missing("the backup's name"))?;
    if plan.trees.iter().any(|tree| !outcome.listings.contains_key(tree)) {
        return Err(missing("the list of a tree's files"));
    }
    session.settle_owner(&layout::backup(&id))?;
    let sums = sums(session)?;
    let (mut manifest, version) = split(Manifest::load(session, sums)?);
    let entry = manifest.entries.iter_mut().find(|entry| entry.id() == id).ok_or(missing("the backup's entry"))?;
    let meta = BackupMeta::load(session, &id, entry.meta_digest.as_ref(), sums)?;
    let list = file_list(&outcome.listings)?.to_bytes();
    let files_digest = Some(Digest::of(&list));
    let stored = stored_size(outcome);
    let final_from = plan.final_from.map(|tree| tree.as_str().to_owned());
    let meta = BackupMeta::new(
        ManifestEntry { files_digest, stored_size: Some(stored), ..meta.entry },
        paths(&plan.trees),
        ToolRecord { final_from, ..meta.tool },
    );
    let facts = meta.to_bytes();
    supersede(session, &layout::files(&id), &list)?;
    supersede(session, &layout::meta(&id), &facts)?;
    (entry.files_digest, entry.meta_digest) = (files_digest, Some(Digest::of(&facts)));
    entry.stored_size = Some(stored);
    manifest.save(session, version.as_ref())?;
    for key in [layout::files(&id), layout::meta(&id)] {
        // Of no use any more, and no harm.
        let _ = session.remove(&layout::previous(&key));
    }
    Ok(())
}

/// The link of a stamp in the chain that leads to an incremental; `None` for its full, which its own run has judged.
pub fn recorded_link(reader: &dyn StoreReader, incremental: &str, ts: Stamp) -> Option<BackupId> {
    let root = incremental.parse::<BackupId>().ok()?.root();
    let sums = sums_of(StoreFile::load(reader).ok()?.map(|(file, _)| file).as_ref());
    let (manifest, _) = split(Manifest::load(reader, sums).ok()?);
    let mut ids = manifest.entries.iter().map(ManifestEntry::id);
    ids.find(|id| id.ts == ts && id.base == Some(root))
}

/// What all trees of a backup take together, bytes.
fn stored_size(outcome: &Outcome) -> u64 {
    outcome.listings.values().flat_map(|tree| &tree.files).map(|file| file.size).sum()
}

fn supersede(session: &dyn Session, key: &StoreKey, bytes: &[u8]) -> Result<(), StoreError> {
    let current = crate::store::read_version(session, key)?.map(|(_, version)| version);
    session.replace(key, current.as_ref(), bytes).map(|_| ())
}

/// Keeps the server's variables and copies of its option files with a backup, secrets masked, as far as that goes: no backup
/// fails because of them. Returns what could not be kept, in words.
///
/// # Errors
///
/// When the session's locks are lost.
pub fn record_server_files(
    session: &dyn Session,
    to: &StoreKey,
    variables: &BTreeMap<String, String>,
    (tablespaces, persisted): (Option<&TablespaceIds>, Option<&[u8]>),
    files: &[(PathBuf, String)],
) -> Result<Vec<String>, RecordError> {
    let mut kept = vec![("variables.json".to_owned(), serde_json::to_vec_pretty(variables).unwrap_or_default())];
    if let Some(ids) = tablespaces {
        kept.push(("tablespaces.json".to_owned(), serde_json::to_vec(ids).unwrap_or_default()));
    }
    if let Some(persisted) = persisted {
        kept.push((PERSISTED.to_owned(), persisted.to_vec()));
    }
    let mut seen: HashSet<&PathBuf> = HashSet::new();
    for (path, text) in files.iter().filter(|(path, _)| seen.insert(path)) {
        let plain: String = path.to_string_lossy().trim_start_matches('/').replace('/', "__");
        // Two paths may come to one name.
        let numbered = (2..).map(|number| format!("{plain}.{number}"));
        let mut names = std::iter::once(plain.clone()).chain(numbered);
        let name = names.find(|name| !kept.iter().any(|(other, _)| other == name)).unwrap_or(plain);
        kept.push((name, masked_file(text).into_bytes()));
    }
    let mut problems = Vec::new();
    for (name, bytes) in kept {
        let key = match to.join_text(&name) {
            Ok(key) => key,
            Err(error) => {
                problems.push(format!("server/{name}: {error}"));
                continue;
            }
        };
        match publish(session, &key, &bytes) {
            Ok(()) => {}
            Err(error @ (StoreError::LeaseLost { .. } | StoreError::NotCovered { .. })) => return Err(error.into()),
            Err(error) => problems.push(error.to_string()),
        }
    }
    Ok(problems)
}

/// Keeps with a backup which tables had lost their tablespace on the server; nothing where there are none.
///
/// # Errors
///
/// When the store cannot be written.
pub fn record_broken_tables(session: &dyn Session, to: &StoreKey, tables: &[String]) -> Result<(), RecordError> {
    if tables.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_vec(tables).map_err(|_| RecordError::Incomplete { missing: "broken tables" })?;
    let key = to.join_text("broken.json").map_err(|_| RecordError::Incomplete { missing: "a file's name" })?;
    publish(session, &key, &json)?;
    Ok(())
}

/// Keeps with a backup what stood on the server; nothing where nothing is known.
///
/// # Errors
///
/// When the store cannot be written.
pub fn record_standing(session: &dyn Session, to: &StoreKey, standing: &Standing) -> Result<(), RecordError> {
    if standing.is_empty() {
        return Ok(());
    }
    let json =
        serde_json::to_vec(standing).map_err(|_| RecordError::Incomplete { missing: "what stood on the server" })?;
    let key = to.join_text("standing.json").map_err(|_| RecordError::Incomplete { missing: "a file's name" })?;
    publish(session, &key, &json)?;
    Ok(())
}

/// What the store's lists name, read anew.
#[derive(Debug)]
struct Named {
    /// With the digest of the list of files.
    backups: HashMap<BackupId, Option<Digest>>,
    binlogs: HashSet<KeyPart>,
}

impl Named {
    fn read(reader: &dyn StoreReader) -> Result<Self, StoreError> {
        let sums = sums_of(StoreFile::load(reader)?.map(|(file, _)| file).as_ref());
        let (manifest, _) = split(Manifest::load(reader, sums)?);
        let (index, _) = split(BinlogIndex::load(reader, sums)?);
        Ok(Named {
            backups: manifest.entries.iter().map(|entry| (entry.id(), entry.files_digest)).collect(),
            binlogs: index.into_entries().into_iter().map(|entry| entry.stored_as).collect(),
        })
    }

    /// Whether a list names a place, or something in it. Of what belongs to a recorded backup only a tree of which its list
    /// of files has nothing is not named.
    fn names(&self, reader: &dyn StoreReader, key: &StoreKey) -> bool {
        match classify(key) {
            KeyClass::Backup { id, part: BackupPart::PreparedRedo | BackupPart::PreparedFinal } => {
                let Some(digest) = self.backups.get(&id) else { return false };
                let Ok(list) = FileList::load(reader, &id, digest.as_ref()) else { return true };
                let name = key.file_name().unwrap_or_default();
                digest.is_none() || list.entries.iter().any(|entry| entry.path.parts().next() == Some(name))
            }
            KeyClass::Backup { id, .. } => self.backups.contains_key(&id),
            KeyClass::Binlog(name) | KeyClass::Transactions(name) => self.binlogs.contains(&name),
            _ => false,
        }
    }
}

/// Removes orphans: backups that the manifest does not name, binlogs that the index does not name. Both are read anew.
///
/// # Errors
///
/// [`RecordError::Named`], and nothing is removed; others when the store cannot be read or written.
pub fn remove_orphans(session: &dyn Session, keys: &[StoreKey]) -> Result<(), RecordError> {
    let named = Named::read(session)?;
    if let Some(key) = keys.iter().find(|key| named.names(session, key)) {
        return Err(RecordError::Named { key: key.clone() });
    }
    for key in keys {
        session.remove_tree(key)?;
    }
    Ok(())
}

/// Removes what a failed run had begun in the store. What a list names stays, whatever the run's error was: where the
/// outcome of its last write is unknown, the lists say what became of it. Returns why something stays.
pub fn discard_stored(session: &dyn Session, keys: &[&StoreKey]) -> Vec<String> {
    if keys.is_empty() {
        return Vec::new();
    }
    let named = match Named::read(session) {
        Ok(named) => named,
        Err(error) => {
            return keys
                .iter()
                .map(|key| format!("{key} stays: whether the store's lists name it cannot be told ({error})"))
                .collect();
        }
    };
    let discard = |key: &&StoreKey| {
        if named.names(session, key) {
            return Some(format!("{key} stays: it is recorded, whatever the error says"));
        }
        session.remove_tree(key).err().map(|error| format!("could not clean up {key}: {error}"))
    };
    keys.iter().filter_map(discard).collect()
}

/// Creates the layout of a store where it is missing. Returns what was created.
///
/// # Errors
///
/// When the store cannot be read or written, or is newer than this program.
pub fn record_layout(session: &dyn Session, file: &StoreFile) -> Result<Vec<StoreKey>, RecordError> {
    let mut created = Vec::new();
    // The store's own file comes last: only with it may the rest lack nothing.
    let existing = StoreFile::load(session)?;
    if let Some((existing, _)) = &existing {
        existing.check_writable()?;
    }
    let sums = existing.as_ref().map_or(Sums::Optional, |(file, _)| file.sums());
    let (mut manifest, manifest_version) = split(Manifest::load(session, sums)?);
    // What is there without its list would be taken for orphans.
    let lists = [
        (layout::manifest(), manifest_version.is_none() && !backup_dirs(session)?.is_empty()),
        (
            layout::binlog_index(),
            session.head(&layout::binlog_index())?.is_none() && !binlog_files(session)?.is_empty(),
        ),
    ];
    if let Some((key, _)) = lists.into_iter().find(|(_, lacks)| *lacks) {
        return Err(RecordError::ListLost { key });
    }
    if manifest_version.is_none() {
        created.push(layout::manifest());
    }
    let (mut index, index_version) = split(BinlogIndex::load(session, sums)?);
    if index_version.is_none() {
        created.push(layout::binlog_index());
    }
    if existing.is_none() {
        // Entries of a basic store get their sums by the rewrite; facts that have none get their digests noted here.
        for entry in manifest.entries.iter_mut().filter(|entry| entry.meta_digest.is_none()) {
            let meta = crate::store::read_version(session, &layout::meta(&entry.id()))?;
            entry.meta_digest = meta.map(|(bytes, _)| Digest::of(&bytes));
        }
        manifest.save(session, manifest_version.as_ref())?;
        index.save(session, index_version.as_ref())?;
        file.save(session, None)?;
        created.push(layout::store_file());
    }
    Ok(created)
}

fn split<T: Default, V>(loaded: Option<(T, V)>) -> (T, Option<V>) {
    loaded.map_or((T::default(), None), |(value, version)| (value, Some(version)))
}

fn sums(session: &dyn Session) -> Result<Sums, StoreError> {
    Ok(sums_of(StoreFile::load(session)?.map(|(file, _)| file).as_ref()))
}

fn publish(session: &dyn Session, key: &StoreKey, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = session.publish(key)?;
    file.write_all(bytes).map_err(|error| StoreError::from_io(key, Operation::Write, error))?;
    file.commit().map(|_| ())
}

fn file_list(listings: &BTreeMap<TreeName, TreeListing>) -> Result<FileList, RecordError> {
    let mut entries = Vec::new();
    for (tree, listing) in listings {
        let key = |path: &str| {
            StoreKey::new(format!("{}/{path}", tree.as_str()))
                .map_err(|_| RecordError::Incomplete { missing: "a usable file name" })
        };
        for directory in &listing.directories {
            entries.push(FileEntry::directory(key(directory)?));
        }
        for file in &listing.files {
            entries.push(FileEntry::file(key(&file.path)?, file.size, file.digest));
        }
    }
    Ok(FileList::new(entries))
}

fn entry_of(
    plan: &RecordBackup,
    id: BackupId,
    backup: &NewBackup,
    first: &TreeListing,
    files_digest: Digest,
) -> ManifestEntry {
    let source = backup.slave_info.as_ref().and_then(|info| {
        let position = info.sources.first()?.position.clone()?;
        let gtid = info.gtid_slave_pos.clone().or_else(|| info.gtid_purged.clone());
        Some(crate::model::BinlogCoordinates { file: position.file, position: position.position, gtid })
    });
    ManifestEntry {
        parent: plan.parent,
        from_lsn: backup.from_lsn,
        to_lsn: backup.to_lsn,
        started_at: Some(backup.started_at),
        ended_at: Some(backup.ended_at),
        binlog: backup.binlog.clone(),
        source_binlog: source,
        last_lsn: backup.last_lsn,
        binlog_head: backup.binlog_head,
        binlog_prefix: backup.binlog_prefix,
        pitr: Some(backup.pitr.clone()),
        unusable: backup.unusable.clone(),
        marks: backup.unusable.iter().map(|said| MarkChange::set(Some(backup.ended_at), said)).collect(),
        server: Some(plan.server.clone()),
        engine: Some(plan.engine.clone()),
        tool_version: Some(plan.tool_version.clone()),
        lock_seconds: backup.lock_seconds.map(|seconds| seconds as f64),
        format: Some("directory".into()),
        files_digest: Some(files_digest),
        ..ManifestEntry::basic(id, Some(first.files.iter().map(|file| file.size).sum()))
    }
}

fn paths(trees: &[TreeName]) -> BackupPaths {
    let path = |tree: TreeName| trees.contains(&tree).then(|| format!("{}/", tree.as_str()));
    BackupPaths {
        raw: path(TreeName::Raw),
        prepared_redo: path(TreeName::PreparedRedo),
        prepared_final: path(TreeName::PreparedFinal),
        dump: path(TreeName::Dump),
        ..BackupPaths::default()
    }
}

fn tool_record(plan: &RecordBackup, id: BackupId, backup: &NewBackup) -> ToolRecord {
    let (from, to) = (backup.from_lsn, backup.to_lsn);
    let final_from = plan.final_from.map(|tree| tree.as_str().to_owned());
    let record = ToolRecord { cmd: Some(plan.command.clone()), final_from, ..ToolRecord::default() };
    match id.kind() {
        BackupKind::Full => ToolRecord { lsn_start: from, lsn_end: to, ..record },
        BackupKind::Incremental => ToolRecord { lsn_from: from, lsn_to: to, ..record },
    }
}
