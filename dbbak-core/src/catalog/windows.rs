//! What can be restored: windows of time, the holes between them, and what serves each window.

use super::{Backup, Catalog, Finding, RunEnd, Stitch, Stretch, archive::Line, lost::lost_text};
use crate::{
    facts::CrossingFact,
    model::{BackupKind, BinlogName, BinlogPosition, LogTime, Stamp},
    store::BinlogSource,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What can be restored from a store, as its catalog says; nothing was read for it but the index and the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineReport {
    /// The format of this report, 1.
    pub version: u32,
    /// When it was made.
    pub now: DateTime<Utc>,
    /// Spans of time in which every moment can be restored, by their beginnings. Those of different timelines may overlap.
    pub windows: Vec<RestoreWindow>,
    /// The times between the first window's beginning and now that cannot be restored.
    pub holes: Vec<Hole>,
    /// Seconds from the end of the newest window to now; none without a window.
    pub lag_seconds: Option<i64>,
    /// The timelines of the archive.
    pub timelines: Vec<ArchivedTimeline>,
    /// Where GTID sets prove that one timeline goes on in another.
    pub stitches: Vec<Stitch>,
    /// The backups.
    pub backups: Vec<BackupMark>,
    /// What was found out about the archived binlogs.
    pub findings: Vec<TimelineFinding>,
}

/// A span of time in which every moment can be restored, from one timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreWindow {
    /// The first moment: when the first backup ended that a replay can start from.
    pub from: DateTime<Utc>,
    /// The last moment.
    pub until: DateTime<Utc>,
    /// The timeline.
    pub timeline: String,
    /// Where the first replay would start: the transactions after it can be reached one by one.
    pub first: BinlogPosition,
    /// The end of the last transaction that can be reached.
    pub last: BinlogPosition,
    /// The time of the last transaction, as far as the index knows it.
    pub last_transaction_time: Option<LogTime>,
    /// How many binlogs it spans.
    pub files: usize,
    /// Bytes of these binlogs.
    pub bytes: u64,
    /// Transactions in these binlogs, those of the first file before `first` included; none where the index does not say.
    pub transactions: Option<u64>,
    /// The fulls that serve it, each with its incrementals.
    pub chains: Vec<ServingChain>,
    /// What ends it.
    pub end: WindowEnd,
}

/// A full and those of its incrementals that a replay into a window can start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServingChain {
    /// The full.
    pub full: Stamp,
    /// How many backups of the chain can start a replay into the window.
    pub backups: usize,
    /// The newest of them.
    pub newest: Stamp,
    /// When that ended.
    pub newest_ended: DateTime<Utc>,
}

/// What ends a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum WindowEnd {
    /// The timeline's last archived file.
    ArchiveEnds {
        /// The file.
        last: BinlogName,
        /// Whether it was saved while open: its server is dead, or was thought so.
        rescued: bool,
    },
    /// A hole in the archive, or a damaged file.
    Blocked {
        /// What it is.
        finding: Box<Finding>,
    },
}

/// A span of time that cannot be restored; its ends can.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hole {
    /// The last moment before it that can be restored.
    pub from: DateTime<Utc>,
    /// The first moment after it that can be restored; now for the last hole.
    pub until: DateTime<Utc>,
    /// Whether nothing after it can be restored.
    pub is_last: bool,
    /// The timeline of the window before it; none where there is no window.
    pub timeline: Option<String>,
    /// What ends that window.
    pub end: Option<WindowEnd>,
    /// The timeline that goes on, where GTID sets prove it.
    pub goes_on_in: Option<String>,
    /// The timeline of the window after it.
    pub next_timeline: Option<String>,
}

/// One timeline's files, in gap-free pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArchivedTimeline {
    /// Its id.
    pub timeline: String,
    /// The server that wrote its last file.
    pub source: Option<BinlogSource>,
    /// How many binlogs it has.
    pub files: usize,
    /// Bytes of these binlogs.
    pub bytes: u64,
    /// Its gap-free pieces.
    pub pieces: Vec<Piece>,
}

/// A gap-free piece of a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Its first file.
    pub first: BinlogName,
    /// Its last file.
    pub last: BinlogName,
    /// How many files it has.
    pub files: usize,
    /// The stamp of its first event.
    pub from: LogTime,
    /// The moment up to which it holds everything.
    pub reaches: Option<LogTime>,
}

/// A backup, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMark {
    /// Its stamp.
    pub ts: Stamp,
    /// Full or incremental.
    #[serde(rename = "type")]
    pub kind: BackupKind,
    /// The full at the root of its chain.
    pub full: Stamp,
    /// The moment that it stands for: it can be restored as it is.
    pub ended_at: DateTime<Utc>,
    /// Why not even that is so.
    pub broken: Option<String>,
    /// The moment up to which binlogs lead from it.
    pub pitr_until: Option<DateTime<Utc>>,
    /// Why no binlogs lead from it.
    pub no_pitr: Option<String>,
}

/// A finding and the timeline that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineFinding {
    /// The timeline.
    pub timeline: String,
    /// Whether no replay can go past it.
    pub gap: bool,
    /// The finding in words.
    pub text: String,
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What one backup reaches.
struct Span<'a> {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    stretch: Stretch<'a>,
    backup: &'a Backup,
    /// Where a replay enters the stretch.
    start: BinlogPosition,
}

/// What can be restored from a store.
///
/// A moment lies in a window exactly where a restore to it finds a plan, as far as the index can tell: it knows times in
/// whole seconds, and not whether a client made up the stamp of a transaction shortly before a backup's coordinates. How
/// timelines go on in others was read from the files.
pub fn timeline_report(catalog: &Catalog, crossings: &[CrossingFact], now: DateTime<Utc>) -> TimelineReport {
    let mut spans = Vec::new();
    let mut backups = Vec::with_capacity(catalog.backups.len());
    for backup in &catalog.backups {
        let found = span_of(catalog, backup, now);
        let broken = || catalog.chain(backup.ts()).err().map(|error| error.to_string());
        backups.push(BackupMark {
            ts: backup.ts(),
            kind: backup.kind(),
            full: backup.id.root(),
            ended_at: backup.ended_at,
            broken: if catalog.is_whole(backup.ts()) { None } else { broken() },
            pitr_until: found.as_ref().ok().map(|span| span.until),
            no_pitr: found.as_ref().err().cloned(),
        });
        spans.extend(spans_across(catalog, backup, crossings, now));
        spans.extend(found);
    }
    backups.extend(catalog.lost_backups.iter().map(|entry| BackupMark {
        ts: entry.ts,
        kind: entry.kind,
        full: entry.id().root(),
        ended_at: entry.ended_at.unwrap_or_else(|| entry.ts.at()),
        broken: Some(lost_text(entry)),
        pitr_until: None,
        no_pitr: None,
    }));
    let windows = windows(spans);
    let stitches = catalog.stitches();
    let newest = windows.iter().map(|window| window.until).max();
    TimelineReport {
        version: 1,
        now,
        holes: holes(catalog, &windows, &stitches, now),
        windows,
        lag_seconds: newest.map(|newest| (now - newest).num_seconds()),
        timelines: catalog.archive().lines.iter().map(|line| archived(catalog, line)).collect(),
        stitches,
        backups,
        findings: catalog
            .findings()
            .into_iter()
            .map(|(timeline, finding)| {
                let (gap, text) = (finding.is_gap(), finding.to_string());
                TimelineFinding { timeline, gap, text, finding }
            })
            .collect(),
    }
}

/// The moments that a backup and the binlogs after it reach, or why there are none.
fn span_of<'a>(catalog: &'a Catalog, backup: &'a Backup, now: DateTime<Utc>) -> Result<Span<'a>, String> {
    if !catalog.is_whole(backup.ts()) {
        return Err("its chain is not whole".to_owned());
    }
    let coordinates = backup.coordinates()?;
    let stretch = catalog.stretch(coordinates, backup.entry.binlog_head.as_ref()).map_err(|candidates| {
        let file = &coordinates.file;
        match candidates {
            0 => format!("{file}, where it stands, is not archived"),
            _ => format!("the archive holds {candidates} different files {file}, where it stands"),
        }
    })?;
    let last = stretch.last();
    let end = BinlogPosition { file: last.name.clone(), position: last.good_bytes() };
    // A transaction of a later time proves that everything before it is there. So does a file's end.
    let ended = backup.ended_at;
    let held = stretch.reaches().map(|reach| reach.at()).filter(|reach| *reach >= ended && end >= coordinates.place());
    let newest = stretch.newest().map(|newest| newest.at());
    let until = held.max(newest).filter(|until| *until >= ended);
    let Some(until) = until else { return Err("no binlog that reaches beyond its end is archived".to_owned()) };
    // A time that files before the coordinates hold as well cuts there: the backup is past it.
    let before = stretch.newest_before().map(|newest| newest.end_of_second().at());
    let from = before.map_or(ended, |before| before.max(ended));
    let until = until.min(now);
    if from > until {
        return Err("the binlogs before it hold later times: clocks differ".to_owned());
    }
    Ok(Span { from, until, stretch, backup, start: coordinates.place() })
}

/// The moments that a backup reaches in timelines of other servers.
fn spans_across<'a>(
    catalog: &'a Catalog,
    backup: &'a Backup,
    crossings: &[CrossingFact],
    now: DateTime<Utc>,
) -> Vec<Span<'a>> {
    let (true, Ok(coordinates)) = (catalog.is_whole(backup.ts()), backup.coordinates()) else { return Vec::new() };
    let Ok(own) = catalog.stretch(coordinates, backup.entry.binlog_head.as_ref()) else { return Vec::new() };
    let over = |fact: &CrossingFact| {
        let place = fact.place.as_ref().ok().filter(|_| fact.leads(backup, &own).is_ok())?;
        let stretch = catalog.stretch_from(&fact.to, &place.enter.file)?;
        let newest = stretch.newest().map(|newest| newest.at());
        let held = stretch.reaches().map(|reach| reach.at()).filter(|_| place.promoted);
        let from = place.newest.map_or(backup.ended_at, |newest| newest.end_of_second().at().max(backup.ended_at));
        let until = held.max(newest)?.min(now);
        (from <= until).then(|| Span { from, until, stretch, backup, start: place.enter.clone() })
    };
    crossings.iter().filter(|fact| fact.goes_on_from(&own)).filter_map(over).collect()
}

/// Joins what the backups before each gap-free piece reach.
fn windows(mut spans: Vec<Span<'_>>) -> Vec<RestoreWindow> {
    spans.sort_by_key(|span| (span.stretch.timeline(), span.stretch.end_place(), span.from));
    let mut windows = Vec::new();
    let mut rest = spans.as_slice();
    while let Some(first) = rest.first() {
        let mut until = first.until;
        let same = |span: &Span<'_>| {
            let piece = |span: &Span<'_>| (span.stretch.timeline().to_owned(), span.stretch.end_place());
            piece(span) == piece(first)
        };
        let mut count = 1;
        while let Some(next) = rest.get(count).filter(|next| same(next) && next.from <= until) {
            until = until.max(next.until);
            count += 1;
        }
        let (joined, others) = rest.split_at(count);
        windows.extend(window(joined, until));
        rest = others;
    }
    windows.sort_by_key(|window| (window.from, window.until));
    windows
}

fn window(spans: &[Span<'_>], until: DateTime<Utc>) -> Option<RestoreWindow> {
    let earliest = spans.iter().map(|span| (span.start.clone(), span)).min_by(|one, other| one.0.cmp(&other.0))?;
    let (first, stretch) = (earliest.0, earliest.1.stretch);
    let mut chains: BTreeMap<Stamp, ServingChain> = BTreeMap::new();
    for span in spans {
        let (full, newest, newest_ended) = (span.backup.id.root(), span.backup.ts(), span.backup.ended_at);
        let chain = chains.entry(full).or_insert(ServingChain { full, backups: 0, newest, newest_ended });
        chain.backups += 1;
        if newest_ended > chain.newest_ended {
            (chain.newest, chain.newest_ended) = (newest, newest_ended);
        }
    }
    let files = stretch.files(stretch.count());
    let last = stretch.last();
    Some(RestoreWindow {
        from: spans.first()?.from,
        until,
        timeline: stretch.timeline().to_owned(),
        first,
        last: BinlogPosition { file: last.name.clone(), position: last.good_bytes() },
        last_transaction_time: stretch.newest(),
        files: files.len(),
        bytes: files.iter().map(|file| file.size).sum(),
        transactions: files.iter().map(|file| file.transactions).sum(),
        chains: chains.into_values().collect(),
        end: match stretch.end() {
            RunEnd::ArchiveEnds => WindowEnd::ArchiveEnds { last: last.name.clone(), rescued: last.partial.is_some() },
            RunEnd::Gap { finding, .. } => WindowEnd::Blocked { finding },
            RunEnd::Incomplete { what, last_good } => {
                let finding = Finding::Damaged { file: last.name.clone(), last_good, what };
                WindowEnd::Blocked { finding: Box::new(finding) }
            }
        },
    })
}

/// The times that no window covers.
fn holes(catalog: &Catalog, windows: &[RestoreWindow], stitches: &[Stitch], now: DateTime<Utc>) -> Vec<Hole> {
    let mut holes = Vec::new();
    let Some(first) = windows.first() else {
        let oldest = catalog.backups.iter().map(|backup| backup.ended_at).min();
        let hole = |from| Hole {
            from,
            until: now,
            is_last: true,
            timeline: None,
            end: None,
            goes_on_in: None,
            next_timeline: None,
        };
        return oldest.filter(|oldest| *oldest < now).map(hole).into_iter().collect();
    };
    let hole = |before: &RestoreWindow, next: Option<&RestoreWindow>| Hole {
        from: before.until,
        until: next.map_or(now, |next| next.from),
        is_last: next.is_none(),
        timeline: Some(before.timeline.clone()),
        end: Some(before.end.clone()),
        goes_on_in: stitches
            .iter()
            .find(|stitch| stitch.from == before.timeline && matches!(before.end, WindowEnd::ArchiveEnds { .. }))
            .map(|stitch| stitch.to.clone()),
        next_timeline: next.map(|next| next.timeline.clone()),
    };
    let mut furthest = first;
    for window in windows {
        if window.from > furthest.until {
            holes.push(hole(furthest, Some(window)));
        }
        if window.until > furthest.until {
            furthest = window;
        }
    }
    if furthest.until < now {
        holes.push(hole(furthest, None));
    }
    holes
}

fn archived(catalog: &Catalog, line: &Line) -> ArchivedTimeline {
    let entries = || line.files.iter().filter_map(|file| catalog.binlogs.get(*file));
    let mut pieces = Vec::new();
    let mut place = 0;
    while let (Some(first), Some(last)) = (line.files.get(place), line.last.get(place)) {
        let (first, end) = (&catalog.binlogs[*first], &catalog.binlogs[line.files[*last]]);
        pieces.push(Piece {
            first: first.name.clone(),
            last: end.name.clone(),
            files: last + 1 - place,
            from: first.first_event_time,
            reaches: line.reach[place],
        });
        place = last + 1;
    }
    ArchivedTimeline {
        timeline: line.id.clone(),
        source: line.files.last().and_then(|file| catalog.binlogs.get(*file)?.source.clone()),
        files: line.files.len(),
        bytes: entries().map(|entry| entry.size).sum(),
        pieces,
    }
}
