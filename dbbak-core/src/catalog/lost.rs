//! What the store's lists name and the store no longer holds.

use super::{Catalog, Finding, findings::timeline_name};
use crate::{
    model::{BackupId, Stamp, TreeName},
    store::{BinlogEntry, KeyClass, ManifestEntry, StoreError, StoreKey, StoreReader, classify, layout},
};
use std::collections::{BTreeSet, HashSet};

/// The trees of which a backup holds at least one.
const TREES: [TreeName; 4] = [TreeName::Raw, TreeName::PreparedRedo, TreeName::PreparedFinal, TreeName::Dump];

/// Takes the entries out of the manifest whose backups are not there, or hold no tree: nothing is planned on them. That takes
/// the names in each backup's directory.
///
/// # Errors
///
/// When the store cannot be read.
pub(super) fn split_backups(
    entries: Vec<ManifestEntry>,
    names: &BTreeSet<String>,
    reader: &dyn StoreReader,
) -> Result<(Vec<ManifestEntry>, Vec<ManifestEntry>), StoreError> {
    let (mut there, mut lost) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        let id = entry.id();
        let is_tree = |key: &StoreKey| TREES.iter().any(|tree| key.file_name() == Some(tree.as_str()));
        let is_there = names.contains(&id.to_string())
            && match reader.list_keys(&layout::backup(&id)) {
                // What lies behind a link is not in the store; the others are.
                Err(StoreError::Link { .. }) => false,
                found => found?.iter().any(is_tree),
            };
        if is_there { there.push(entry) } else { lost.push(entry) }
    }
    Ok((there, lost))
}

/// The archive as the index and the names in the store tell.
pub(super) struct Archived {
    pub(super) there: Vec<BinlogEntry>,
    /// Named, and not there.
    pub(super) lost: Vec<BinlogEntry>,
    /// There, and not named.
    pub(super) unlisted: Vec<StoreKey>,
}

/// Compares the index with the names of the archived files; nothing else of them is looked at.
///
/// # Errors
///
/// When the store cannot be read.
pub(super) fn split_binlogs(entries: Vec<BinlogEntry>, reader: &dyn StoreReader) -> Result<Archived, StoreError> {
    let keys: Vec<StoreKey> = reader.list_keys(&layout::binlogs())?;
    let names: HashSet<&str> = keys.iter().filter_map(StoreKey::file_name).collect();
    let (there, lost): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| names.contains(entry.stored_as.as_str()));
    let named: HashSet<&str> = there.iter().map(|entry| entry.stored_as.as_str()).collect();
    let unnamed = keys.iter().filter(|key| key.file_name().is_none_or(|name| !named.contains(name)));
    let unlisted = unnamed.filter(|key| matches!(classify(key), KeyClass::Binlog(_))).cloned().collect();
    Ok(Archived { there, lost, unlisted })
}

/// What is wrong with a backup that the manifest names and the store lacks.
pub(super) fn lost_text(entry: &ManifestEntry) -> String {
    format!("{} is in the manifest, and no longer in the store", entry.id())
}

impl Catalog {
    /// The manifest's entry of a backup that is no longer in the store.
    pub fn lost_backup(&self, ts: Stamp) -> Option<&ManifestEntry> {
        self.lost_backups.iter().find(|entry| entry.ts == ts)
    }

    /// The backups that bear the mark that they cannot be applied, and why.
    pub fn unusable(&self) -> Vec<(BackupId, &str)> {
        self.backups.iter().filter_map(|backup| Some((backup.id, backup.entry.unusable.as_deref()?))).collect()
    }

    /// What the store's lists name and the store lacks, in words.
    pub fn losses(&self) -> Vec<String> {
        let backups = self.lost_backups.iter().map(lost_text);
        let binlogs = self.lost_findings().map(|(timeline, finding)| format!("{finding}, timeline {timeline}"));
        backups.chain(binlogs).collect()
    }

    /// What the store lacks of its archive, with the timeline of each file.
    pub(super) fn lost_findings(&self) -> impl Iterator<Item = (String, Finding)> {
        self.lost_binlogs.iter().map(|entry| {
            let finding = Finding::Lost { file: entry.name.clone(), stored_as: entry.stored_as.to_string() };
            (timeline_name(entry), finding)
        })
    }

    /// Whether all that a gap lacks was archived, and was lost in the store.
    pub(super) fn is_lost(&self, timeline: &str, finding: &Finding) -> bool {
        let Finding::Gap { first_missing, next, .. } = finding else { return false };
        if first_missing.base() != next.base() || first_missing.number() >= next.number() {
            return false;
        }
        let lost: HashSet<u64> = self
            .lost_binlogs
            .iter()
            .filter(|entry| timeline_name(entry) == timeline && entry.name.base() == next.base())
            .map(|entry| entry.name.number())
            .collect();
        (first_missing.number()..next.number()).all(|number| lost.contains(&number))
    }
}

#[cfg(test)]
mod tests {
    use crate::catalog::sample::{catalog, file, lettered};

    #[test]
    fn a_file_that_was_lost_is_told_as_lost_and_not_as_never_archived() {
        let files: Vec<_> = (1..=5).map(|number| file("t1", 1, number, None, "")).collect();
        let kept = [0, 1, 4].map(|place| files[place].clone()).to_vec();
        let mut catalog = catalog(kept);
        let said = |catalog: &super::Catalog| {
            let findings = catalog.findings();
            findings.iter().map(|(timeline, finding)| lettered(&format!("{timeline}: {finding}"))).collect::<Vec<_>>()
        };
        assert_eq!(said(&catalog), ["t1: bin.000003 to bin.000004 were never archived"]);
        catalog.lost_binlogs = files[2..4].to_vec();
        let told = said(&catalog);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().all(|text| text.contains("is no longer in the store")), "{told:?}");
        // One of the two was never there.
        catalog.lost_binlogs.pop();
        assert_eq!(said(&catalog).len(), 2);
        assert!(catalog.findings().iter().all(|(_, finding)| finding.is_gap()));
    }
}
