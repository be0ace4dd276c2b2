//! Binds a plan to the state of the store that it was made from: where that has moved, the plan is not carried out.

use super::{Plan, Step};
use crate::{
    catalog::Catalog,
    store::{Digest, StoreKey, layout},
};
use serde::{Deserialize, Serialize};

/// One of the store's lists, as it was when a plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// The list.
    pub key: StoreKey,
    /// The digest of its content; none: it was not there.
    pub content: Option<Digest>,
}

impl Plan {
    /// Binds the plan to the lists that its steps change or rest on, and to the store.
    pub(super) fn bind(&mut self, catalog: &Catalog) {
        self.store = catalog.root.clone();
        self.made_from = self
            .lists()
            .into_iter()
            .map(|key| {
                let content = if key == layout::manifest() { catalog.manifest } else { catalog.index };
                MadeFrom { key, content: content.map(|version| version.0) }
            })
            .collect();
    }

    /// Warns of what the store's lists name and the store lacks: it is not chosen.
    pub(super) fn warn_of_losses(&mut self, catalog: &Catalog) {
        const TOLD: usize = 5;
        for flaw in &catalog.distrusted {
            self.warnings.push(format!("{flaw}: going on with what can be trusted of the store's lists"));
        }
        let losses = catalog.losses();
        self.warnings.extend(losses.iter().take(TOLD).cloned());
        if losses.len() > TOLD {
            self.warnings
                .push(format!("and {} more of what the store's lists name is no longer there", losses.len() - TOLD));
        }
    }

    /// The lists that must be as they were when the plan was made. A restore reads what its plan names, each with its
    /// digest: backups and binlogs that come meanwhile do not concern it.
    pub(super) fn lists(&self) -> Vec<StoreKey> {
        let of = |is: fn(&Step) -> bool| self.steps.iter().any(is);
        let manifest = of(|step| {
            matches!(
                step,
                Step::CreateStoreDir { .. }
                    | Step::RecordBackup(_)
                    | Step::RecordTrees(_)
                    | Step::TakeMarkOff(_)
                    | Step::RemoveStored { .. }
            )
        });
        let index = of(|step| {
            matches!(
                step,
                Step::ShipBinlog(_) | Step::IndexBinlog(_) | Step::NameTimelines { .. } | Step::RemoveStored { .. }
            )
        });
        let lists = [(manifest, layout::manifest()), (index, layout::binlog_index())];
        lists.into_iter().filter_map(|(concerns, key)| concerns.then_some(key)).collect()
    }
}
