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
    let after = last.gtids_before.as_ref().and_then(|_| last.gtids_at_end());
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::LogTime,
        store::{BinlogEnding, BinlogEntry, KeyPart},
    };
    use std::collections::BTreeSet;

    const A: &str = "00000000-0000-4000-8000-00000000000a";
    const B: &str = "00000000-0000-4000-8000-00000000000b";

    fn source(id: u32, uuid: Option<&str>) -> BinlogSource {
        BinlogSource { server_id: Some(id), uuid: uuid.map(str::to_owned), ..BinlogSource::default() }
    }

    fn archived(timeline: &str, source: BinlogSource, before: &str, added: &str) -> BinlogEntry {
        let name: BinlogName = "bin.000005".parse().unwrap();
        let at = LogTime::from_seconds(1_759_413_600);
        BinlogEntry {
            timeline: Some(timeline.to_owned()),
            source: Some(source),
            gtids_before: Some(before.to_owned()),
            gtids_added: Some(added.to_owned()),
            ending: Some(BinlogEnding::Rotate),
            successor: Some(name.successor()),
            ..BinlogEntry::basic(name, KeyPart::new(format!("binlog_{timeline}.gz")).unwrap(), 500, at, at)
        }
    }

    fn said(archived: Vec<BinlogEntry>, server: &BinlogSource, before: Option<&str>) -> String {
        let catalog = Catalog::from_parts(None, None, Vec::new(), &[], archived, BTreeSet::new());
        let text = match origin(&catalog, &"bin.000001".parse().unwrap(), server, before) {
            Origin::First => "first".to_owned(),
            Origin::Proven(text) => format!("proven: {text}"),
            Origin::Missing(text) => format!("missing: {text}"),
        };
        text.replace(A, "A").replace(B, "B")
    }

    #[test]
    fn after_a_reset() {
        let server = source(1, Some(A));
        let held = || vec![archived("t1", server.clone(), &format!("{A}:1-5"), &format!("{A}:6-9"))];
        let lost = "missing: the server began a new history with bin.000001: of the one before it (timeline t1) nothing was archived from bin.000006 on; ";
        assert_eq!(
            said(held(), &server, Some("")),
            format!("{lost}its previous GTIDs are empty, which proves nothing of the time before")
        );
        assert_eq!(
            said(held(), &server, Some(&format!("{A}:1-12"))),
            format!("{lost}its previous GTIDs are A:1-12, those of the archive end with A:1-9")
        );
        assert_eq!(
            said(held(), &server, None),
            format!("{lost}it names no GTIDs that could prove that nothing is missing")
        );
        assert_eq!(
            said(held(), &server, Some(&format!("{A}:1-9"))),
            "proven: the server began a new history with bin.000001, and its previous GTIDs are exactly those up to the end of timeline t1 (A:1-9): no transaction is missing between them"
        );
        // Without GTIDs on either side nothing is proven by equality.
        let silent = vec![archived("t1", server.clone(), "", "")];
        assert!(said(silent, &server, Some("")).starts_with("missing: "));
    }

    #[test]
    fn after_a_failover() {
        let (old, new) = (source(1, Some(A)), source(2, Some(B)));
        let held = || vec![archived("t1", old.clone(), &format!("{A}:1-5"), &format!("{A}:6-9"))];
        let begins = "bin.000001 begins a timeline of its own: server 2 wrote no archived binlog yet";
        assert_eq!(
            said(held(), &new, Some(&format!("{A}:1-7"))),
            format!(
                "proven: {begins}, and timeline t1 holds all GTIDs before it (A:1-7): no transaction is missing between them"
            )
        );
        assert_eq!(
            said(held(), &new, Some(&format!("{A}:1-12,{B}:1"))),
            format!("missing: gap: {begins}, and of the GTIDs before it these are in no archived binlog: A:10-12,B:1")
        );
        assert_eq!(
            said(held(), &new, Some("")),
            format!("proven: {begins}; it names no GTIDs, so that nothing tells how it stands to timeline t1")
        );
        assert_eq!(said(Vec::new(), &new, Some(&format!("{A}:1-7"))), "first");
        let mariadb = vec![archived("t1", source(1, None), "0-1-5", "0-1-9")];
        assert_eq!(
            said(mariadb, &source(2, None), Some("0-1-12")),
            format!("missing: gap: {begins}, and of the GTIDs before it these are in no archived binlog: up to 0-1-12")
        );
    }
}
