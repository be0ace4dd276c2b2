//! Looks at what the store holds of the backups of a chain.

use super::SurveyError;
use crate::{
    catalog::Backup,
    facts::{Facts, StoredBackup},
    model::TreeName,
    store::{
        BackupMeta, BackupPaths, EntryKind, FileList, StoreError, StoreKey, StoreReader, Sums, ToolRecord,
        described_later, layout, read_version, salvage_store_file, sums_of,
    },
    tools::{MetadataFile, Standing, parse_backup_cnf, parse_isl, parse_tablespaces},
};
use std::{collections::BTreeMap, path::Path};

/// Looks at each backup of a chain: which trees stand there, how large they are, and what a server needs to start on them.
///
/// # Errors
///
/// When the store cannot be read, or a file of a backup is damaged.
pub fn stored_chain(facts: &mut Facts, store: &dyn StoreReader, chain: &[&Backup]) -> Result<(), SurveyError> {
    let (file, flaw) = salvage_store_file(store)?;
    let sums = if flaw.is_some() { Sums::Optional } else { sums_of(file.as_ref()) };
    for backup in chain {
        let (mut later_entry, mut entry) = (None, &backup.entry);
        let mut spoilt = Vec::new();
        let meta = match BackupMeta::load(store, &backup.id, entry.meta_digest.as_ref(), sums) {
            // The manifest says most of it once more.
            Err(error @ StoreError::Damaged { .. }) => match described_later(store, entry)? {
                Some(later) => {
                    spoilt
                        .push(format!("the manifest is older than what {} says of itself, which is taken", backup.id));
                    entry = &*later_entry.insert(later);
                    BackupMeta::load(store, &backup.id, entry.meta_digest.as_ref(), sums)?
                }
                None => {
                    spoilt.push(format!("{error}: what the manifest says of the backup must do"));
                    BackupMeta::new(entry.clone(), BackupPaths::default(), ToolRecord::default())
                }
            },
            meta => meta?,
        };
        let list_digest = entry.files_digest.or(meta.entry.files_digest);
        let list = match store.head(&layout::files(&backup.id))? {
            Some(_) => Some(FileList::load(store, &backup.id, list_digest.as_ref())?),
            None if list_digest.is_some() => {
                // Recorded, so that its absence is damage: loading it says so.
                Some(FileList::load(store, &backup.id, list_digest.as_ref())?)
            }
            None => None,
        };
        let mut trees = BTreeMap::new();
        for info in store.list(&layout::backup(&backup.id))? {
            let tree = match info.key.file_name() {
                Some("raw") => TreeName::Raw,
                Some("prepared-redo") => TreeName::PreparedRedo,
                Some("prepared-final") => TreeName::PreparedFinal,
                Some("dump") => TreeName::Dump,
                _ => continue,
            };
            // What was being made when a run died is in no list.
            if list.as_ref().is_some_and(|list| !list.entries.iter().any(|entry| is_in(&entry.path, tree))) {
                continue;
            }
            trees.insert(tree, list.as_ref().map(|list| bytes_of(list, tree)));
        }
        if let Some(list) = &list {
            leave_aside_broken(store, backup, list, &mut trees, &mut spoilt)?;
        }
        // Only a tool's own tree says so; what a clone holds lies all in one directory, or it failed.
        let outside_paths = if trees.contains_key(&TreeName::Raw) { outside_paths(store, backup)? } else { Vec::new() };
        let stored = StoredBackup {
            trees,
            final_from_raw: meta.tool.final_from.as_deref() == Some(TreeName::Raw.as_str()),
            list_digest,
            outside_paths,
            settings: settings(store, backup)?,
            server_files: server_files(store, backup)?,
            variables: variables(store, backup)?,
            broken: broken(store, backup)?,
            standing: standing(store, backup)?,
            spoilt,
        };
        facts.stored.insert(backup.id.to_string(), stored);
    }
    Ok(())
}

fn is_in(path: &StoreKey, tree: TreeName) -> bool {
    path.parts().next() == Some(tree.as_str())
}

fn bytes_of(list: &FileList, tree: TreeName) -> u64 {
    list.entries.iter().filter(|entry| is_in(&entry.path, tree)).filter_map(|entry| entry.size).sum()
}

/// Leaves all prepared trees aside, where the raw tree can do instead: the content of one of them was found damaged.
pub fn leave_prepared_aside(facts: &mut Facts) {
    for (backup, stored) in &mut facts.stored {
        if !stored.trees.contains_key(&TreeName::Raw) {
            continue;
        }
        let before = stored.trees.len();
        stored.trees.retain(|tree, _| !matches!(tree, TreeName::PreparedFinal | TreeName::PreparedRedo));
        if stored.trees.len() < before {
            stored
                .spoilt
                .push(format!("the prepared trees of {backup} are not used, one is damaged: raw is taken instead"));
        }
    }
}

/// Leaves prepared trees aside of which a file is missing or has another size, where the raw tree can do instead.
fn leave_aside_broken(
    store: &dyn StoreReader,
    backup: &Backup,
    list: &FileList,
    trees: &mut BTreeMap<TreeName, Option<u64>>,
    spoilt: &mut Vec<String>,
) -> Result<(), SurveyError> {
    for tree in [TreeName::PreparedFinal, TreeName::PreparedRedo] {
        if !trees.contains_key(&TreeName::Raw) || !trees.contains_key(&tree) {
            continue;
        }
        for entry in list.entries.iter().filter(|entry| is_in(&entry.path, tree) && entry.kind == EntryKind::File) {
            let found = store.head(&layout::backup(&backup.id).join(&entry.path))?;
            let problem = match found {
                None => "is missing".to_owned(),
                Some(info) if Some(info.size) != entry.size => {
                    format!("has {} bytes, {} were recorded", info.size, entry.size.unwrap_or(0))
                }
                Some(_) => continue,
            };
            spoilt.push(format!(
                "{} of {} cannot be used, {} {problem}: another tree is taken instead",
                tree.as_str(),
                backup.id,
                entry.path
            ));
            trees.remove(&tree);
            break;
        }
    }
    Ok(())
}

fn read(store: &dyn StoreReader, key: &StoreKey) -> Result<Option<Vec<u8>>, SurveyError> {
    Ok(read_version(store, key)?.map(|(bytes, _)| bytes))
}

/// The settings of the tool's own option file.
fn settings(store: &dyn StoreReader, backup: &Backup) -> Result<BTreeMap<String, String>, SurveyError> {
    let name = MetadataFile::BackupCnf.names().first().copied().unwrap_or("backup-my.cnf");
    let key = layout::raw(&backup.id).join_text(name).map_err(|error| bad(backup, name, &error))?;
    match read(store, &key)? {
        Some(bytes) => Ok(parse_backup_cnf(&bytes).map_err(|error| bad(backup, name, &error))?.settings),
        None => Ok(BTreeMap::new()),
    }
}

/// What was kept of the server's settings.
fn server_files(store: &dyn StoreReader, backup: &Backup) -> Result<Vec<StoreKey>, SurveyError> {
    let kept = store.list(&layout::server(&backup.id))?.into_iter();
    // The numbers of tablespaces serve the prepare alone.
    let own = [
        layout::server_tablespaces(&backup.id),
        layout::server_broken(&backup.id),
        layout::server_standing(&backup.id),
    ];
    Ok(kept.filter(|info| !info.is_prefix && !own.contains(&info.key)).map(|info| info.key).collect())
}

/// The server's variables as they were kept with the backup.
fn variables(store: &dyn StoreReader, backup: &Backup) -> Result<BTreeMap<String, String>, SurveyError> {
    match read(store, &layout::server_variables(&backup.id))? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(backup, "server/variables.json", &error)),
        None => Ok(BTreeMap::new()),
    }
}

/// The tables that had lost their tablespace on the server already.
fn broken(store: &dyn StoreReader, backup: &Backup) -> Result<Vec<String>, SurveyError> {
    match read(store, &layout::server_broken(&backup.id))? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(backup, "server/broken.json", &error)),
        None => Ok(Vec::new()),
    }
}

/// What stood on the server when it was backed up.
fn standing(store: &dyn StoreReader, backup: &Backup) -> Result<Standing, SurveyError> {
    match read(store, &layout::server_standing(&backup.id))? {
        Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| bad(backup, "server/standing.json", &error)),
        None => Ok(Standing::default()),
    }
}

/// Paths in a backup that lead out of a data directory: a server on a copy would write over the originals.
fn outside_paths(store: &dyn StoreReader, backup: &Backup) -> Result<Vec<String>, SurveyError> {
    let raw = layout::raw(&backup.id);
    let mut outside = Vec::new();
    for name in MetadataFile::Tablespaces.names() {
        let key = raw.join_text(name).map_err(|error| bad(backup, name, &error))?;
        if let Some(bytes) = read(store, &key)? {
            let listed = parse_tablespaces(&bytes).map_err(|error| bad(backup, name, &error))?;
            let tables = listed.iter().filter(|space| space.tablespace_type != crate::tools::TablespaceType::UndoLog);
            outside.extend(tables.map(|space| space.file_name.display().to_string()));
        }
    }
    for database in store.list(&raw)?.into_iter().filter(|info| info.is_prefix) {
        for file in store.list(&database.key)? {
            if Path::new(file.key.as_str()).extension().is_some_and(|extension| extension == "isl")
                && let Some(bytes) = read(store, &file.key)?
                && let Some(path) = parse_isl(&bytes)
            {
                outside.push(path.display().to_string());
            }
        }
    }
    Ok(outside)
}

fn bad(backup: &Backup, what: &str, problem: &dyn std::fmt::Display) -> SurveyError {
    SurveyError::BackupFile { backup: backup.ts(), what: what.to_owned(), problem: problem.to_string() }
}
