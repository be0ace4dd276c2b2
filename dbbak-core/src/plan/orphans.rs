//! Plans the removal of what nothing names.

use super::{Plan, Step, Summary, request::OrphansRequest};
use crate::{catalog::Catalog, store::LockScope};
use chrono::{DateTime, TimeDelta, Utc};

/// Plans the removal of orphans that have lain untouched for long enough.
pub fn plan_orphans(catalog: &Catalog, now: DateTime<Utc>, request: &OrphansRequest) -> Plan {
    let mut plan = Plan::new("prune --orphans", now);
    plan.locks = vec![LockScope::Backups, LockScope::Binlogs, LockScope::Prune];
    let age = TimeDelta::seconds(i64::try_from(request.older_than_seconds).unwrap_or(i64::MAX / 1000));
    let (old, young): (Vec<_>, Vec<_>) =
        catalog.orphans.iter().partition(|orphan| orphan.modified.is_some_and(|modified| modified + age <= now));
    for key in &catalog.unlisted {
        plan.reasons
            .push(format!("{key} is kept: no list names it, and it is more than a leftover; `reindex` enters it"));
    }
    for orphan in young {
        plan.reasons.push(format!("{} is kept: it is too young, or the store does not tell its age", orphan.key));
    }
    let keys: Vec<_> = old.into_iter().map(|orphan| orphan.key.clone()).collect();
    plan.summary = Summary::Orphans { removed: keys.len() };
    if !keys.is_empty() {
        plan.steps.push(Step::RemoveStored { keys });
    }
    plan.bind(catalog);
    plan
}
