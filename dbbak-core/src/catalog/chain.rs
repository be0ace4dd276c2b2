//! Chains: a full and the incrementals taken on it, in order.

use super::{Backup, Catalog, Link};
use crate::model::{BackupKind, Lsn, Stamp};
use std::collections::{BTreeMap, BTreeSet};

/// Why a backup is not the end of a usable chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No such backup.
    #[error("the store holds no backup {ts}")]
    Unknown {
        /// The stamp.
        ts: Stamp,
    },
    /// The manifest names it, and the store no longer holds it.
    #[error("backup {ts} is in the manifest, and no longer in the store")]
    Lost {
        /// The stamp.
        ts: Stamp,
    },
    /// A backup of the chain is not in the store.
    #[error("backup {child} was taken on {parent}, which the store does not hold")]
    MissingParent {
        /// The incremental.
        child: Stamp,
        /// Its parent.
        parent: Stamp,
    },
    /// A basic store does not say which backup it was taken on.
    #[error("backup {child} does not say which backup it was taken on, and {candidates} would fit")]
    AmbiguousParent {
        /// The incremental.
        child: Stamp,
        /// How many backups would fit.
        candidates: usize,
    },
    /// Two linked backups do not meet.
    #[error("backup {child} starts at LSN {found}, but its parent {parent} ends at LSN {expected}")]
    LsnMismatch {
        /// The incremental.
        child: Stamp,
        /// Its parent.
        parent: Stamp,
        /// The LSN that the parent ends at.
        expected: Lsn,
        /// The LSN that the incremental starts at.
        found: Lsn,
    },
    /// A backup of the chain cannot be applied.
    #[error("backup {link} cannot be applied: {reason}")]
    Unusable {
        /// The backup that is the end of the chain.
        child: Stamp,
        /// The one that cannot be applied.
        link: Stamp,
        /// Why.
        reason: String,
    },
    /// The links do not lead to the full that the incremental's name says.
    #[error("backup {child} belongs to the full {base}, but its parents lead elsewhere")]
    WrongRoot {
        /// The incremental.
        child: Stamp,
        /// The full in its name.
        base: Stamp,
    },
}

impl Catalog {
    /// The chain that ends with a backup: its full first, itself last. Each link is one by `parent`, and the LSNs of
    /// each link meet, so far as the store records them.
    ///
    /// # Errors
    ///
    /// [`ChainError`], naming the first broken link seen from the backup.
    pub fn chain(&self, ts: Stamp) -> Result<Vec<&Backup>, ChainError> {
        let chain = self.linked(ts)?;
        if let Some((link, reason)) = chain.iter().find_map(|link| Some((link.ts(), link.entry.unusable.clone()?))) {
            return Err(ChainError::Unusable { child: ts, link, reason });
        }
        Ok(chain)
    }

    /// The same, also where a link is marked as one that cannot be applied.
    ///
    /// # Errors
    ///
    /// As [`Catalog::chain`], but [`ChainError::Unusable`].
    pub fn linked(&self, ts: Stamp) -> Result<Vec<&Backup>, ChainError> {
        let missing = || match self.lost_backup(ts) {
            Some(_) => ChainError::Lost { ts },
            None => ChainError::Unknown { ts },
        };
        let last = self.backup(ts).ok_or_else(missing)?;
        let mut chain = vec![last];
        let mut child = last;
        let mut seen = BTreeSet::from([ts]);
        while child.kind() == BackupKind::Incremental {
            let wrong_root = || ChainError::WrongRoot { child: last.ts(), base: last.id.root() };
            let parent = match child.link {
                Link::Parent(parent) => {
                    self.backup(parent).ok_or(ChainError::MissingParent { child: child.ts(), parent })?
                }
                Link::Unknown { candidates } => {
                    return Err(ChainError::AmbiguousParent { child: child.ts(), candidates });
                }
                Link::Root => return Err(wrong_root()),
            };
            if let (Some(expected), Some(found)) = (parent.to_lsn, child.from_lsn)
                && expected != found
            {
                return Err(ChainError::LsnMismatch { child: child.ts(), parent: parent.ts(), expected, found });
            }
            if parent.id.root() != last.id.root() || !seen.insert(parent.ts()) {
                return Err(wrong_root());
            }
            chain.push(parent);
            child = parent;
        }
        chain.reverse();
        Ok(chain)
    }

    /// Notes of a backup that it cannot be applied, in this snapshot alone; where the store says why, that stays.
    pub fn pass_over(&mut self, ts: Stamp, reason: &str) {
        for backup in self.backups.iter_mut().filter(|backup| backup.ts() == ts) {
            backup.entry.unusable.get_or_insert_with(|| reason.to_owned());
        }
        self.whole = std::sync::OnceLock::new();
    }

    /// Whether the chain that ends with a backup is whole: [`Catalog::chain`] would return it. For questions about many
    /// backups: each backup is looked at once.
    pub fn is_whole(&self, ts: Stamp) -> bool {
        let whole = self.whole.get_or_init(|| self.find_whole());
        self.by_stamp.get(&ts).and_then(|place| whole.get(*place)).copied().unwrap_or(false)
    }

    fn find_whole(&self) -> Vec<bool> {
        let mut known: Vec<Option<bool>> = vec![None; self.backups.len()];
        for place in 0..self.backups.len() {
            // Down the chain to a backup of which it is known, and up again.
            let mut open = Vec::new();
            let mut next = Some(place);
            let mut whole = false;
            while let Some(place) = next {
                if let Some(found) = known[place] {
                    whole = found;
                    break;
                }
                open.push(place);
                if self.backups[place].entry.unusable.is_some() {
                    known[place] = Some(false);
                    break;
                }
                // A ring of parents ends here, and is not whole.
                known[place] = Some(false);
                let backup = &self.backups[place];
                if backup.kind() == BackupKind::Full {
                    whole = true;
                    break;
                }
                next = self.meets_parent(backup);
            }
            open.into_iter().for_each(|place| known[place] = Some(whole));
        }
        known.into_iter().map(|known| known == Some(true)).collect()
    }

    /// The place of a backup's parent, where it has one whose LSN and root are right.
    fn meets_parent(&self, backup: &Backup) -> Option<usize> {
        let Link::Parent(parent) = backup.link else { return None };
        let place = *self.by_stamp.get(&parent)?;
        let parent = &self.backups[place];
        let meet = match (parent.to_lsn, backup.from_lsn) {
            (Some(expected), Some(found)) => expected == found,
            _ => true,
        };
        (meet && parent.id.root() == backup.id.root()).then_some(place)
    }

    /// The newest full, by its stamp.
    pub fn latest_full(&self) -> Option<&Backup> {
        self.backups.iter().filter(|backup| backup.kind() == BackupKind::Full).max_by_key(|backup| backup.ts())
    }

    /// The newest backup that hangs on a full through an unbroken chain; the full itself when there is none.
    pub fn newest_on(&self, full: Stamp) -> Option<&Backup> {
        let on_it = |backup: &&Backup| backup.id.root() == full && self.is_whole(backup.ts());
        self.backups.iter().filter(on_it).max_by_key(|backup| backup.ts())
    }

    /// The backups taken directly on each backup, in order.
    pub fn children(&self) -> BTreeMap<Stamp, Vec<&Backup>> {
        let mut children: BTreeMap<Stamp, Vec<&Backup>> = BTreeMap::new();
        for backup in &self.backups {
            if let Link::Parent(parent) = backup.link {
                children.entry(parent).or_default().push(backup);
            }
        }
        children
    }
}
