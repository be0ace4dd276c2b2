//! What is told before a backup is taken of what stands on the server and is in no backup as it should be.

use crate::{
    facts::Facts,
    tools::{Family, Standing, may_be_lost},
};

/// Tells of tables that a backup can hold only as they are: without their rows.
pub(super) fn broken_warning(facts: &Facts) -> Option<String> {
    const NAMED: usize = 10;
    if facts.broken.is_empty() {
        return None;
    }
    let more = facts.broken.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "tables have lost their tablespace on the server already (discarded, or the file is gone), and the backup holds them as they are: {}{more}",
        facts.broken.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
    ))
}

/// Tells of tables whose rows no backup holds, where changes of them are replayed.
pub(super) fn memory_warning(standing: &Standing) -> Option<String> {
    const NAMED: usize = 10;
    let tables = &standing.memory;
    let more = tables.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = tables.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ");
    (!tables.is_empty()).then(|| {
        format!(
            "tables of the engine MEMORY are empty in the backup, and a change of a row that they had then stops the replay (error 1032; \
             --skip-gtid leaves it out): {named}{more}"
        )
    })
}

/// Tells of prepared XA transactions that MySQL may not keep.
pub(super) fn prepared_warning(facts: &Facts, family: Family) -> Option<String> {
    let doubtful = may_be_lost(family, facts.standing.prepared.as_deref().unwrap_or_default());
    (!doubtful.is_empty()).then(|| {
        format!(
            "XA transactions stand prepared with another format id than 1, and MySQL may roll them back when it is started on the \
             backup, as when it is started again itself; a restore compares, and names what is missing: {}",
            doubtful.join("; ")
        )
    })
}
