//! How the first binlog of a new timeline stands to what the archive holds.

use crate::{
    catalog::{Catalog, Timeline, same_server},
    model::{BinlogName, GtidSet},
    store::BinlogSource,
};

/// How the first binlog of a new timeline stands to what the archive holds.
pub(super) enum Origin {
    /// The archive holds nothing that it could go on from.
    First,
    /// How it stands to another timeline, with nothing missing as far as can be known.
    Proven(String),
    /// What is not archived, or may not be.
    Missing(String),
}

/// Compares a file that continues no timeline with the timelines that there are.
///
/// Of the same server, it follows a reset (or a server that was set back): what that server wrote after the last archived
/// file is lost, unless the GTIDs before the new file are exactly those up to there. Of another server, it
/// follows a failover: the GTIDs before it must all be archived.
pub(super) fn origin(
    catalog: &Catalog,
    file: &BinlogName,
    source: &BinlogSource,
    gtids_before: Option<&str>,
) -> Origin {
    let before: Option<GtidSet> = gtids_before.and_then(|text| text.parse().ok());
    let timelines = catalog.timelines();
    let is_own = |timeline: &&Timeline<'_>| {
        let last = timeline.files.last();
        last.is_some_and(|last| match &last.source {
            Some(server) => same_server(server, source) == Some(true),
            None => last.name.base() == file.base(),
        })
    };
    if let Some(own) = timelines.iter().rev().find(is_own) {
        return after_reset(own, file, before.as_ref());
    }
    let others: Vec<&Timeline<'_>> = timelines.iter().filter(|timeline| !timeline.files.is_empty()).collect();
    let Some(newest) = others.last() else { return Origin::First };
    let server = source.server_id.map_or("an unknown server".to_owned(), |id| format!("server {id}"));
    let begins = format!("{file} begins a timeline of its own: {server} wrote no archived binlog yet");
    let Some(before) = before.filter(|before| !before.is_empty()) else {
        return Origin::Proven(format!(
            "{begins}; it names no GTIDs, so that nothing tells how it stands to timeline {}",
            newest.id
        ));
    };
    let archived = others.iter().filter_map(|timeline| Some((timeline, timeline.files.last()?.gtids_after()?)));
    let mut known: Option<GtidSet> = None;
    for (timeline, set) in archived {
        if before.is_subset_of(&set) {
            return Origin::Proven(format!(
                "{begins}, and timeline {} holds all GTIDs before it ({before}): no transaction is missing between them",
                timeline.id
            ));
        }
        known = match known {
            Some(known) => known.union(&set).ok(),
            None => Some(set),
        };
    }
    match known {
        Some(known) if before.is_subset_of(&known) => {
            Origin::Proven(format!("{begins}, and all GTIDs before it are archived ({before})"))
        }
        Some(known) => Origin::Missing(format!(
            "gap: {begins}, and of the GTIDs before it these are in no archived binlog: {}",
            lacking(&before, &known)
        )),
        None => Origin::Proven(format!(
            "{begins}; the archived ones name no GTIDs, so that nothing tells how it stands to them"
        )),
    }
}

fn after_reset(own: &Timeline<'_>, file: &BinlogName, before: Option<&GtidSet>) -> Origin {
    let Some(last) = own.files.last() else { return Origin::First };
    let after = last.gtids_before.as_ref().and_then(|_| last.gtids_after());
    let whole = last.damaged.is_none();
    if let (Some(before), Some(after), true) = (before, &after, whole)
        && !after.is_empty()
        && before == after
    {
        return Origin::Proven(format!(
            "the server began a new history with {file}, and its previous GTIDs are exactly those up to the end of timeline {} ({after}): no transaction is missing between them",
            own.id
        ));
    }
    let Some(successor) = &last.successor else { return Origin::First };
    let why = match (before, &after) {
        (Some(before), Some(after)) if before.is_empty() && !after.is_empty() => {
            "its previous GTIDs are empty, which proves nothing of the time before".to_owned()
        }
        (Some(before), Some(after)) if !after.is_empty() => {
            format!("its previous GTIDs are {before}, those of the archive end with {after}")
        }
        _ => "it names no GTIDs that could prove that nothing is missing".to_owned(),
    };
    Origin::Missing(format!(
        "the server began a new history with {file}: of the one before it (timeline {}) nothing was archived from {successor} on; {why}",
        own.id
    ))
}

/// What one set holds and the other lacks.
fn lacking(one: &GtidSet, other: &GtidSet) -> String {
    match (one, other) {
        (GtidSet::Mysql(one), GtidSet::Mysql(other)) => one.subtract(other).to_string(),
        (GtidSet::Mariadb(one), GtidSet::Mariadb(other)) => {
            let lacked = one.entries().filter(|(domain, server, seq)| !other.contains(*domain, *server, *seq));
            let texts: Vec<String> =
                lacked.map(|(domain, server, seq)| format!("up to {domain}-{server}-{seq}")).collect();
            texts.join(", ")
        }
        (one, _) => one.to_string(),
    }
}
