//! What a run found out that no plan could know.

use super::tree::TreeListing;
use crate::{
    model::{BinlogCoordinates, BinlogName, Lsn, MariadbGtidState, TreeName},
    plan::{Carried, CaughtUp, ExaminationReport, Phase, ReplayProof, UntoldOfWindow},
    store::{BinlogEntry, Digest, KeyPart, PitrState},
    tools::{GaleraInfo, SlaveInfo, TablespaceIds},
};
use chrono::{DateTime, Utc};
use std::{collections::BTreeMap, path::PathBuf};

/// What a run found out that no plan could know.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    /// The trees that were gone through, by the names under which they are recorded.
    pub listings: BTreeMap<TreeName, TreeListing>,
    /// What the new backup says of itself.
    pub backup: Option<NewBackup>,
    /// The server's option files, as read.
    pub server_files: Vec<(PathBuf, String)>,
    /// MySQL: the file of the settings that it has persisted, without secrets.
    pub persisted: Option<Vec<u8>>,
    /// Why an option file could not be kept.
    pub not_kept: Vec<String>,
    /// The binlogs that were archived.
    pub shipped: Vec<BinlogEntry>,
    /// The binlogs that were to be archived and were no longer there: the server purged them meanwhile.
    pub purged: Vec<BinlogName>,
    /// The archived binlogs that were read for the index.
    pub indexed: Vec<IndexedBinlog>,
    /// What the replay was proven to have done.
    pub replay: Option<ReplayProof>,
    /// What no log tells of the window that was replayed.
    pub untold: UntoldOfWindow,
    /// MariaDB: the GTIDs of the history up to the window's end, as a binlog's own list has them.
    pub binlog_state: Option<MariadbGtidState>,
    /// What was caught up from living sources.
    pub caught_up: Vec<CaughtUp>,
    /// What a private server said of the restored data at the end.
    pub examination: Option<ExaminationReport>,
    /// How long each step took.
    pub phases: Vec<Phase>,
}

impl Outcome {
    /// What a restore that goes on takes over. Each part is decided on here: one that a later step needs must not be lost.
    pub fn carried(&self) -> Carried {
        let Outcome {
            listings: _,
            backup: _,
            server_files: _,
            persisted: _,
            not_kept: _,
            shipped: _,
            purged: _,
            indexed: _,
            replay,
            untold,
            binlog_state,
            examination,
            caught_up,
            phases: _,
        } = self;
        Carried {
            replay: replay.clone(),
            untold: untold.clone(),
            binlog_state: binlog_state.clone(),
            examination: examination.clone(),
            caught_up: caught_up.clone(),
        }
    }

    /// What the steps of a dead run have found out.
    pub fn taking_over(carried: Carried) -> Self {
        let Carried { replay, untold, binlog_state, examination, caught_up } = carried;
        Outcome { replay, untold, binlog_state, examination, caught_up, ..Outcome::default() }
    }
}

/// An archived binlog that was read for the index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexedBinlog {
    /// Its name in the store.
    pub stored_as: KeyPart,
    /// Its completed entry, or why it was left as it is.
    pub result: Result<Box<BinlogEntry>, String>,
}

/// What a new backup says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBackup {
    /// Tables that were found broken on the server itself, as `database.table`.
    pub broken: Vec<String>,
    /// When the tool was started.
    pub started_at: DateTime<Utc>,
    /// The moment that the backup stands for: when the tool ended; of a dump, when all its tables had been opened.
    pub ended_at: DateTime<Utc>,
    /// Where it begins; a dump has no place in the redo log.
    pub from_lsn: Option<Lsn>,
    /// Where it ends.
    pub to_lsn: Option<Lsn>,
    /// The last of the redo that it holds.
    pub last_lsn: Option<Lsn>,
    /// Where it stands in the server's binlogs.
    pub binlog: Option<BinlogCoordinates>,
    /// Digest of that binlog's first events, which tells it from another file of the same name.
    pub binlog_head: Option<Digest>,
    /// Digest of that binlog's bytes before the coordinates.
    pub binlog_prefix: Option<Digest>,
    /// Why it cannot be applied, where that shows.
    pub unusable: Option<String>,
    /// Whether a replay may start from there.
    pub pitr: PitrState,
    /// Where a replica stood in its source's binlogs.
    pub slave_info: Option<SlaveInfo>,
    /// Where a Galera node stood in its cluster's history.
    pub galera_info: Option<GaleraInfo>,
    /// How long the tool held its locks, in seconds.
    pub lock_seconds: Option<u64>,
    /// Which tablespaces the server had after it, where it was asked and told.
    pub tablespaces: Option<TablespaceIds>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_carried_over_comes_back_from_a_journal() {
        let mut state = MariadbGtidState::default();
        for (domain, server, seq) in [(0, 2, 9), (7, 1, 3), (0, 1, 5)] {
            state.insert(domain, server, seq);
        }
        let outcome = Outcome {
            replay: Some(ReplayProof { transactions: 3, went_on: None }),
            untold: UntoldOfWindow { count: 3, ..UntoldOfWindow::default() },
            binlog_state: Some(state),
            examination: Some(ExaminationReport::default()),
            ..Outcome::default()
        };
        let line = serde_json::to_value(outcome.carried()).unwrap();
        assert_eq!(Outcome::taking_over(serde_json::from_value(line).unwrap()), outcome);
    }
}
