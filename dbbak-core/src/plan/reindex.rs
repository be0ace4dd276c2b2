//! Plans the rebuilding of what is known of the archived binlogs.

use super::{
    Plan, Summary,
    step::{IndexBinlog, Step},
};
use crate::{
    catalog::Catalog,
    facts::{Facts, IndexFact},
    store::{BinlogEntry, KeyPart, LockScope, layout},
};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Plans to make the transaction indexes that are missing or cannot be used, and to complete the entries that hold only
/// basic facts. Each binlog that this takes is read once.
pub fn plan_reindex(catalog: &Catalog, facts: &Facts, now: DateTime<Utc>) -> Plan {
    let mut plan = Plan::new("reindex", now);
    plan.locks = vec![LockScope::Binlogs];
    let names = timeline_names(catalog);
    let (mut missing, mut incomplete) = (0, 0);
    let (mut files, mut bytes) = (0, 0);
    let named = |stored_as: &KeyPart| names.get(stored_as).cloned();
    for entry in &catalog.binlogs {
        if entry.damaged.as_ref().is_some_and(|damage| damage.last_good == 0) {
            plan.reasons.push(format!("{} is left as it is: it cannot be read as a binlog", entry.stored_as));
            continue;
        }
        let fact = facts.indexes.get(entry.stored_as.as_str());
        let is_incomplete = lacks_facts(entry) || fact == Some(&IndexFact::TellsOrder);
        match fact {
            Some(IndexFact::Good) if !is_incomplete => continue,
            Some(IndexFact::Bad { problem }) => {
                plan.reasons.push(format!("the transaction index of {} cannot be used: {problem}", entry.stored_as));
            }
            Some(IndexFact::Missing) | None => missing += 1,
            Some(IndexFact::Good | IndexFact::TellsOrder) => {}
        }
        incomplete += usize::from(is_incomplete);
        files += 1;
        bytes += entry.size;
        plan.steps.push(Step::IndexBinlog(Box::new(IndexBinlog {
            from: layout::binlog(&entry.stored_as),
            to: layout::transactions(&entry.stored_as),
            rewrite: !matches!(fact, Some(IndexFact::Good | IndexFact::TellsOrder)),
            entry: BinlogEntry {
                timeline: entry.timeline.clone().or_else(|| named(&entry.stored_as)),
                ..entry.clone()
            },
        })));
    }
    let counted =
        |count: usize, one: &str, more: &str| if count == 1 { one.to_owned() } else { format!("{count} {more}") };
    if missing > 0 {
        plan.reasons.push(format!("{} no transaction index", counted(missing, "1 binlog has", "binlogs have")));
    }
    if incomplete > 0 {
        let entries = counted(incomplete, "1 entry of the binlog index lacks", "entries of the binlog index lack");
        plan.reasons.push(format!("{entries} facts that shipping records"));
    }
    // Timelines of entries that name none are counted over all such entries: named before the first is completed.
    if !plan.steps.is_empty() && !names.is_empty() {
        plan.steps.insert(0, Step::NameTimelines { names });
    }
    plan.summary = Summary::Reindex { files, bytes };
    plan.incomplete.extend(catalog.losses());
    plan.bind(catalog);
    plan
}

/// Whether an entry lacks what shipping enters together with a transaction index.
fn lacks_facts(entry: &BinlogEntry) -> bool {
    let times = entry.transaction_times.is_none() && entry.transactions != Some(0);
    entry.transactions.is_none() || entry.tx.is_none() || times
}

fn timeline_names(catalog: &Catalog) -> BTreeMap<KeyPart, String> {
    let mut names = BTreeMap::new();
    for timeline in catalog.timelines() {
        let unnamed = timeline.files.iter().filter(|file| file.timeline.is_none());
        names.extend(unnamed.map(|file| (file.stored_as.clone(), timeline.id.clone())));
    }
    names
}
