//! What an index entry means for a restore.

use crate::{
    model::{GtidSet, LogTime},
    store::BinlogEntry,
};

impl BinlogEntry {
    /// What keeps a replay from going through the whole file, and the offset up to which it may go.
    pub fn incomplete(&self) -> Option<(String, u64)> {
        self.damaged.as_ref().map(|damage| (damage.what.clone(), damage.last_good))
    }

    /// The offset after the last whole transaction that is there.
    pub fn good_bytes(&self) -> u64 {
        match (&self.damaged, &self.partial) {
            (Some(damage), _) => damage.last_good,
            (None, Some(partial)) => partial.last_good,
            (None, None) => self.size,
        }
    }

    /// Whether another file continues this one without a hole: the server counted on by one (or to the name that this
    /// file says), the next knows no GTIDs but those up to here, and of a copy that is not whole these prove that
    /// nothing was written after it.
    pub fn is_followed_by(&self, next: &BinlogEntry) -> bool {
        let successor = self.successor.clone().unwrap_or_else(|| self.name.successor());
        if next.name != successor {
            return false;
        }
        let before: Option<GtidSet> = next.gtids_before.as_deref().and_then(|text| text.parse().ok());
        let after = self.gtids_before.as_ref().and_then(|_| self.gtids_after());
        match (before, after) {
            (Some(before), Some(after)) => {
                before.is_subset_of(&after) && (self.partial.is_none() || !before.is_empty())
            }
            _ => self.partial.is_none(),
        }
    }

    /// The moment up to which the file and those before it hold everything. A basic store does not say: there it is the
    /// last event's stamp.
    pub fn reach(&self) -> Option<LogTime> {
        match &self.damaged {
            Some(_) => self.last_transaction_time,
            None => Some(self.reaches.unwrap_or(self.last_event_time)),
        }
    }

    /// The GTIDs of the file and of everything before it, as far as the index knows them.
    pub fn gtids_after(&self) -> Option<GtidSet> {
        let before: Option<GtidSet> = self.gtids_before.as_deref().and_then(|text| text.parse().ok());
        let added: Option<GtidSet> = self.gtids_added.as_deref().and_then(|text| text.parse().ok());
        match (before, added) {
            (Some(before), Some(added)) => before.union(&added).ok(),
            (before, added) => before.or(added),
        }
    }
}
