//! What an index entry means for a restore.

use super::{Continuity, continuity};
use crate::{
    model::{GtidSet, LogTime, MariadbGtidState},
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

    /// Whether another file continues this one without a hole; [`continuity`] says why or why not.
    pub fn is_followed_by(&self, next: &BinlogEntry) -> bool {
        !matches!(continuity(self, next), Continuity::Broken(_))
    }

    /// The moment up to which the file and those before it hold everything. A basic store does not say: there it is the
    /// last event's stamp.
    ///
    /// What a server wrote last before it died says nothing of the time after it: another server may have taken over at once.
    /// A copy of an open file reaches to the end of its last event's second, however late it was archived.
    pub fn reach(&self) -> Option<LogTime> {
        let said = self.reaches.unwrap_or(self.last_event_time);
        match (&self.damaged, &self.partial) {
            (Some(_), _) => self.last_transaction_time,
            (None, Some(_)) => Some(said.min(self.end_of_last_event())),
            (None, None) => Some(said),
        }
    }

    /// The time of its newest transaction; whole seconds where it logs no commit times.
    pub fn newest_time(&self) -> Option<LogTime> {
        self.newest_commit_time.or(self.last_transaction_time)
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

    /// The GTIDs that the server's next binlog names as those before it: of MariaDB the last one of each domain and server, also where its
    /// number is lower than one before.
    pub fn gtids_at_end(&self) -> Option<GtidSet> {
        let set = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<GtidSet>().ok());
        let last = self.gtids_last.as_ref().or(self.gtids_added.as_ref()).cloned();
        match (set(&self.gtids_before), set(&last)) {
            (Some(GtidSet::Mariadb(before)), Some(GtidSet::Mariadb(last))) => {
                Some(GtidSet::Mariadb(before.overlaid(&last)))
            }
            // Nothing was before: the empty set is of either vendor.
            (Some(before), Some(last @ GtidSet::Mariadb(_))) if before.is_empty() => Some(last),
            _ => self.gtids_after(),
        }
    }

    /// What [`gtids_last`](BinlogEntry::gtids_last) is of a file whose transactions end so, in the order of the log.
    pub fn order_of(&self, last: &MariadbGtidState, went_back: bool) -> Option<String> {
        let told = BinlogEntry { gtids_last: Some(last.to_string()), ..self.clone() };
        (went_back || told.gtids_at_end() != told.gtids_after()).then(|| last.to_string())
    }

    /// Whether a domain's sequence numbers went back in the file: sets of GTIDs do not tell then what came before what.
    pub fn went_back(&self) -> bool {
        self.gtids_last.is_some()
    }
}
