//! What is told before a backup is taken of what stands on the server and is in no backup as it should be.

use crate::{
    facts::Facts,
    tools::{Family, Standing, may_be_lost},
};

/// Tells of tables that a backup can hold only as they are: without their rows.
pub(super) fn broken_warning(facts: &Facts) -> Option<String> {
    (!facts.broken.is_empty()).then(|| {
        format!(
            "tables have lost their tablespace on the server already (discarded, or the file is gone), and the backup holds them as they are: {}",
            named(&facts.broken)
        )
    })
}

/// Tells of tables whose files are in a backup, and keep it from being restored: a server would open the source's own files.
pub(super) fn outside_warning(facts: &Facts) -> Option<String> {
    (!facts.outside_files.is_empty()).then(|| {
        format!(
            "tables have their files outside of the data directory, and a backup with such tables is not restored (PathLeavesWorkdir): a server \
             on the copy would open these very files: {}",
            named(&facts.outside_files)
        )
    })
}

/// The first names of a list, escaped, and how many more there are.
fn named(names: &[String]) -> String {
    const NAMED: usize = 10;
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let first: Vec<_> = names.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect();
    format!("{}{more}", first.join(", "))
}

/// Tells of tables whose rows no backup holds, where changes of them are replayed.
pub(super) fn memory_warning(standing: &Standing) -> Option<String> {
    let tables = &standing.memory;
    (!tables.is_empty()).then(|| {
        format!(
            "tables of the engine MEMORY are empty in the backup, and a change of a row that they had then stops the replay (error 1032; \
             --skip-gtid leaves it out): {}",
            named(tables)
        )
    })
}

/// Tells of tables whose history a replay writes with other transaction ids and coarser times than the source's.
pub(crate) fn by_transaction_warning(tables: &[String]) -> Option<String> {
    (!tables.is_empty()).then(|| {
        format!(
            "the history of these tables goes by transaction ids, which no log holds, and a log tells to the second when a transaction was \
             committed: what the window changed has other ids, and AS OF a moment can answer otherwise than the source did: {}",
            named(tables)
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
