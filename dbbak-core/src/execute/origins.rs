//! Tells the transactions that a server applied as a replica from its own.

use crate::{binlog::Transaction, model::Gtid, plan::UnpackBinlogs};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Who wrote a part of a window's binlogs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origins {
    /// The ids that the server had. Empty: not known.
    ids: BTreeSet<u32>,
    /// Its `server_uuid`.
    uuid: Option<Uuid>,
}

impl Origins {
    /// Those of the part of a window in which a file lies.
    pub(super) fn of(step: &UnpackBinlogs, place: usize) -> Self {
        let entered = step.copies.iter().position(|copy| copy.enter.is_some()).unwrap_or(0);
        let (before, behind) = step.files.split_at(entered.min(step.files.len()));
        let part = if place < entered { before } else { behind };
        let sources = || part.iter().filter_map(|file| file.source.as_ref());
        Origins {
            ids: sources().filter_map(|source| source.server_id).collect(),
            uuid: sources().find_map(|source| source.uuid.as_deref()?.parse().ok()),
        }
    }

    /// A server with this id and UUID.
    #[cfg(test)]
    pub(super) fn known(id: Option<u32>, uuid: Option<&str>) -> Self {
        Origins { ids: id.into_iter().collect(), uuid: uuid.and_then(|uuid| uuid.parse().ok()) }
    }

    /// Whether the server applied a transaction that another one had made. An id can be changed while a server runs; its UUID
    /// stays.
    pub(super) fn is_foreign(&self, transaction: &Transaction) -> bool {
        let own = matches!(&transaction.gtid, Some(Gtid::Mysql { uuid, .. }) if self.uuid == Some(*uuid));
        !own && !self.ids.is_empty() && transaction.server_id != 0 && !self.ids.contains(&transaction.server_id)
    }
}
