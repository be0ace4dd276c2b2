//! Stitches timelines: where GTID sets prove that another server's binlogs go on where one server's end.

use super::{Catalog, Finding, archive::Line, continuity::minus, same_server};
use crate::{
    model::{BinlogName, GtidSet, LogTime, MariadbGtidState},
    store::BinlogSource,
};
use serde::{Deserialize, Serialize};

/// That one timeline goes on in another, as after a failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stitch {
    /// The timeline that goes on.
    pub from: String,
    /// Its last file.
    pub last: BinlogName,
    /// The timeline that it goes on in.
    pub to: String,
    /// The file of it from which on it holds everything that the first one lacks.
    pub file: BinlogName,
    /// The GTIDs before that file; the first timeline holds them all.
    pub gtids_before: String,
    /// GTIDs that the first timeline holds and the other never had: they were lost in the failover, and the first
    /// timeline goes on in the other before them. `None`: the other had everything.
    pub left_behind: Option<String>,
}

/// The GTIDs of a gap-free piece of a timeline, which ends the timeline.
struct Known<'a> {
    line: &'a Line,
    /// First file of the piece, as a place in the line.
    first: usize,
    source: &'a BinlogSource,
    /// Everything before the piece and in it.
    all: GtidSet,
}

impl Catalog {
    /// The places where GTID sets prove that one timeline goes on in another one.
    ///
    /// What must hold: the first timeline's last gap-free piece knows all its GTIDs, whole; another server wrote the other
    /// timeline; the GTIDs before a file of the other's last gap-free piece are not empty and all known to the first;
    /// and the other adds some. No two timelines of one server may hold the same GTIDs (after a reset they begin
    /// anew): then equal GTIDs prove nothing. MariaDB names only the last GTID of each domain and server, so there
    /// the numbers must also rise within each domain whatever the server, as `gtid_strict_mode` keeps them. Where both
    /// timelines hold something that the other lacks, the sets are the same both ways: the one that stands first in the
    /// index comes first.
    pub fn stitches(&self) -> Vec<Stitch> {
        let known: Vec<Known<'_>> = self.archive().lines.iter().filter_map(|line| self.known(line)).collect();
        let reused = self.reused();
        let mut stitches = Vec::new();
        for (place, from) in known.iter().enumerate() {
            for (later, to) in known.iter().enumerate() {
                let is_reused = |line: &Line| reused.iter().any(|(one, other, _)| [one, other].contains(&&line.id));
                if same_server(from.source, to.source) != Some(false) || is_reused(from.line) || is_reused(to.line) {
                    continue;
                }
                let stitch = self.stitch(from, to);
                stitches.extend(stitch.filter(|stitch| place < later || stitch.left_behind.is_none()));
            }
        }
        stitches
    }

    /// The moment up to which a timeline's last gap-free piece holds everything.
    pub fn end_of(&self, timeline: &str) -> Option<LogTime> {
        let line = self.archive().lines.iter().find(|line| line.id == timeline)?;
        let first = line.last.partition_point(|last| *last + 1 < line.files.len());
        line.reach.get(first).copied().flatten()
    }

    /// The last gap-free piece of a timeline and its GTIDs, where they are known in full.
    fn known<'a>(&'a self, line: &'a Line) -> Option<Known<'a>> {
        let end = line.files.len().checked_sub(1)?;
        let last = &self.binlogs[*line.files.get(end)?];
        last.gtids_before.as_ref()?;
        if last.incomplete().is_some() {
            return None;
        }
        let all = last.gtids_after().filter(|all| !all.is_empty() && rises(all))?;
        // The runs that end with the last file are neighbours: the first of them is where the others end before it.
        let first = line.last.partition_point(|last| *last < end);
        // Where numbers went back, sets tell nothing of what came before what.
        if line.files[first..=end].iter().any(|file| self.binlogs[*file].went_back()) {
            return None;
        }
        Some(Known { line, first, source: last.source.as_ref()?, all })
    }

    fn stitch(&self, from: &Known<'_>, to: &Known<'_>) -> Option<Stitch> {
        let file = |place: usize| &self.binlogs[to.line.files[place]];
        let before = |place: usize| -> Option<GtidSet> { file(place).gtids_before.as_deref()?.parse().ok() };
        // Along a gap-free piece the sets only grow: the latest file whose set is known to the first timeline.
        let mut fits = (to.first, to.line.files.len());
        while fits.0 < fits.1 {
            let middle = fits.0.midpoint(fits.1);
            match before(middle) {
                Some(set) if set.is_subset_of(&from.all) => fits.0 = middle + 1,
                _ => fits.1 = middle,
            }
        }
        let place = fits.0.checked_sub(1).filter(|place| *place >= to.first)?;
        let set = before(place).filter(|set| !set.is_empty() && rises(set))?;
        minus(&to.all, &from.all)?;
        Some(Stitch {
            from: from.line.id.clone(),
            last: self.binlogs[*from.line.files.last()?].name.clone(),
            to: to.line.id.clone(),
            file: file(place).name.clone(),
            gtids_before: set.to_string(),
            left_behind: minus(&from.all, &to.all).map(|set| set.to_string()),
        })
    }

    /// Pairs of timelines of one server of which the later archived one uses GTIDs of the earlier one again: the server's
    /// GTIDs began anew. With each the first file of the later one.
    pub(super) fn reused(&self) -> Vec<(String, String, BinlogName)> {
        let spans = self.spans();
        let mut found = Vec::new();
        for (place, one) in spans.iter().enumerate() {
            for other in &spans[place + 1..] {
                if same_server(one.source, other.source) == Some(true)
                    && !one.all.is_subset_of(&other.before)
                    && overlap(&one.all, &other.added) != Some(0)
                {
                    found.push((one.id.to_owned(), other.id.to_owned(), other.first.clone()));
                }
            }
        }
        found
    }

    /// Resets, and what timelines of several servers hold alike.
    pub(super) fn between_timelines(&self) -> Vec<(String, Finding)> {
        let reset = |(before, timeline, file): (String, String, BinlogName)| {
            (timeline.clone(), Finding::Reset { before, timeline, file })
        };
        let mut findings: Vec<(String, Finding)> = self.reused().into_iter().map(reset).collect();
        let spans = self.spans();
        for (place, one) in spans.iter().enumerate() {
            for other in &spans[place + 1..] {
                let transactions = overlap(&one.added, &other.added);
                if same_server(one.source, other.source) == Some(false) && transactions != Some(0) {
                    let finding = Finding::Overlap { one: one.id.to_owned(), other: other.id.to_owned(), transactions };
                    findings.push((other.id.to_owned(), finding));
                }
            }
        }
        findings
    }

    /// The GTIDs of the timelines that know theirs.
    fn spans(&self) -> Vec<Span<'_>> {
        let span = |line: &'_ Line| {
            let (first, last) = (&self.binlogs[*line.files.first()?], &self.binlogs[*line.files.last()?]);
            let before: GtidSet = first.gtids_before.as_deref()?.parse().ok()?;
            let all = last.gtids_after()?;
            let added = minus(&all, &before)?;
            Some((last.source.as_ref()?, &first.name, before, all, added))
        };
        let lines = self.archive().lines.iter();
        let spans = lines.filter_map(|line| span(line).map(|span| (line.id.as_str(), span)));
        spans.map(|(id, (source, first, before, all, added))| Span { id, source, first, before, all, added }).collect()
    }
}

/// The GTIDs of a timeline, however many gaps it has.
struct Span<'a> {
    id: &'a str,
    source: &'a BinlogSource,
    first: &'a BinlogName,
    before: GtidSet,
    all: GtidSet,
    added: GtidSet,
}

/// How many transactions two sets share; `None`: some, but they cannot be counted.
fn overlap(one: &GtidSet, other: &GtidSet) -> Option<u64> {
    match (one, other) {
        (GtidSet::Mysql(set), GtidSet::Mysql(other)) => Some(set.count() - set.subtract(other).count()),
        (GtidSet::Mariadb(set), GtidSet::Mariadb(other)) => {
            let shared = set.entries().any(|(domain, server, _)| other.last_of(domain, server).is_some());
            if shared { None } else { Some(0) }
        }
        _ => Some(0),
    }
}

/// Whether the last transaction of each domain has the highest number in it, as it has where numbers rise across servers.
pub(super) fn rises(set: &GtidSet) -> bool {
    let GtidSet::Mariadb(state) = set else { return true };
    let domain_rises =
        |state: &MariadbGtidState, domain: u32, seq: u64| state.last_in(domain).is_some_and(|(_, last)| seq <= last);
    state.entries().all(|(domain, _, seq)| domain_rises(state, domain, seq))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sample::{catalog, file, lettered, partial};
    use crate::store::BinlogEntry;

    fn said(binlogs: Vec<BinlogEntry>) -> Vec<String> {
        let stitch = |stitch: Stitch| {
            let left = stitch.left_behind.map_or(String::new(), |left| format!(", without {left}"));
            let Stitch { from, last, to, file, gtids_before, .. } = stitch;
            lettered(&format!("{from} {last} -> {to} {file} after {gtids_before}{left}"))
        };
        catalog(binlogs).stitches().into_iter().map(stitch).collect()
    }

    /// Server 1 with two files up to `A:20`.
    fn source() -> Vec<BinlogEntry> {
        vec![file("t1", 1, 1, Some(""), "A:1-10"), file("t1", 1, 2, Some("A:1-10"), "A:11-20")]
    }

    fn with(more: Vec<BinlogEntry>) -> Vec<BinlogEntry> {
        source().into_iter().chain(more).collect()
    }

    #[test]
    fn a_replica_that_took_over() {
        // Its files overlap with those of its source: the latest one is taken before which the source holds everything.
        let replica = |before: &str, added: &str| {
            with(vec![
                file("t2", 2, 5, Some("A:1-8"), "A:9-15"),
                file("t2", 2, 6, Some("A:1-15"), before),
                file("t2", 2, 7, Some(&format!("A:1-{}", &before[5..])), added),
            ])
        };
        assert_eq!(said(replica("A:16-20", "B:1-5")), ["t1 bin.000002 -> t2 bin.000007 after A:1-20"]);
        assert_eq!(said(replica("A:16-18", "B:1-5")), ["t1 bin.000002 -> t2 bin.000007 after A:1-18, without A:19-20"]);
        // It knows more than the source's last archived file: from there on it still holds everything.
        assert_eq!(said(replica("A:16-22", "B:1-5")), ["t1 bin.000002 -> t2 bin.000006 after A:1-15"]);
        // It added nothing; its source did.
        let behind = with(vec![file("t2", 2, 5, Some("A:1-8"), "A:9-15")]);
        assert_eq!(said(behind), ["t2 bin.000005 -> t1 bin.000002 after A:1-10"]);
    }

    #[test]
    fn sets_that_prove_nothing() {
        let none: [String; 0] = [];
        // The beginning of the other's log is lost: A:21-30 is nowhere.
        assert_eq!(said(with(vec![file("t2", 2, 9, Some("A:1-30"), "B:1-5")])), none);
        assert_eq!(said(with(vec![file("t2", 2, 1, Some(""), "B:1-5")])), none);
        assert_eq!(said(with(vec![file("t2", 2, 1, None, "")])), none);
        // The same server after a reset uses its GTIDs again.
        let reset = vec![file("t2", 1, 1, Some(""), "A:1-5"), file("t2", 1, 2, Some("A:1-5"), "A:6-30")];
        assert_eq!(said(with(reset.clone())), none);
        // So that they prove nothing of its replica either.
        let replica = file("t3", 2, 3, Some("A:1-15"), "A:16-30,B:1-2");
        assert_eq!(said(with(reset.into_iter().chain([replica]).collect())), none);
        // The source's last file is damaged: what it held is not known.
        let mut damaged = with(vec![file("t2", 2, 7, Some("A:1-15"), "B:1-5")]);
        damaged[1].damaged = Some(Default::default());
        assert_eq!(said(damaged), none);
    }

    #[test]
    fn a_rescued_source_and_chains_of_failovers() {
        let mut binlogs = source();
        binlogs[1] = partial(binlogs[1].clone());
        binlogs.push(file("t2", 2, 7, Some("A:1-20"), "B:1-5"));
        binlogs.push(file("t3", 3, 1, Some("A:1-20,B:1-5"), "C:1"));
        assert_eq!(
            said(binlogs),
            ["t1 bin.000002 -> t2 bin.000007 after A:1-20", "t2 bin.000007 -> t3 bin.000001 after A:1-20,B:1-5"]
        );
    }

    #[test]
    fn mariadb_by_domain() {
        let source = |added: &str| vec![file("t1", 1, 1, Some(""), "0-1-10"), file("t1", 1, 2, Some("0-1-10"), added)];
        let other = |before: &str| file("t2", 2, 4, Some(before), "0-2-25");
        let both = |added: &str, before: &str| said(source(added).into_iter().chain([other(before)]).collect());
        assert_eq!(both("0-1-20", "0-1-20"), ["t1 bin.000002 -> t2 bin.000004 after 0-1-20"]);
        assert_eq!(both("0-1-20", "0-1-21"), [] as [String; 0]);
        assert_eq!(both("0-1-20", "0-1-20,7-1-1"), [] as [String; 0]);
        // Numbers that do not rise across servers tell nothing.
        assert_eq!(both("0-3-40,0-1-20", "0-1-20"), [] as [String; 0]);
    }
}
