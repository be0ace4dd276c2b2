//! Chooses the chain and the window of a restore.

use super::{
    across::explained,
    aim::Aim,
    error::PlanError,
    request::RestoreRequest,
    start::{Lead, Start, blocked, locate},
    whereabouts::{TimelineSpan, whereabouts},
};
use crate::{
    catalog::{Backup, Catalog, ChainError, Stretch},
    facts::{CutFact, CutFlaw, Facts},
    model::{BackupKind, BinlogCoordinates, BinlogPosition, Goal, GtidSet, Stamp},
    store::BinlogEntry,
};
use chrono::{DateTime, Utc};
use std::cmp::Reverse;

/// The chain and the window that reach an aim.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection<'a> {
    /// The full first.
    pub chain: Vec<&'a Backup>,
    /// What is replayed; none: the chain's last backup as it is.
    pub window: Option<Window<'a>>,
    /// Better backups that were passed over, and why.
    pub passed_over: Vec<(Stamp, PlanError)>,
}

/// The span of binlogs between a chain's end and a cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Window<'a> {
    /// The timeline.
    pub timeline: String,
    /// The chain's coordinates.
    pub coordinates: BinlogCoordinates,
    /// The cut.
    pub cut: BinlogPosition,
    /// Whether the last file is gone through up to its end, as far as it is good.
    pub to_end: bool,
    /// The files from the coordinates' to the cut's; where the window goes over to another server's binlogs, those of the
    /// first one come first.
    pub files: Vec<&'a BinlogEntry>,
    /// Transactions of the cut's file before the cut, where the cut was looked for.
    pub transactions_before: Option<u64>,
    /// The part before the place where the window goes over to another server's binlogs; the coordinates are in it.
    pub lead: Option<Lead<'a>>,
}

/// A part of a window that is of one timeline.
#[derive(Debug, Clone, Copy)]
pub struct Segment<'w, 'a> {
    /// The timeline.
    pub timeline: &'w str,
    /// Where it starts.
    pub from: &'w BinlogPosition,
    /// Where it ends.
    pub until: &'w BinlogPosition,
    /// The files.
    pub files: &'w [&'a BinlogEntry],
    /// Whether the end is that of its last file.
    pub to_end: bool,
}

impl<'a> Window<'a> {
    /// The parts of it, in the order in which they are replayed. `from` is the place of the coordinates.
    pub fn segments<'w>(&'w self, from: &'w BinlogPosition) -> Vec<Segment<'w, 'a>> {
        let (timeline, until, files, to_end) = (self.timeline.as_str(), &self.cut, self.files.as_slice(), self.to_end);
        let Some(lead) = &self.lead else {
            return vec![Segment { timeline, from, until, files, to_end }];
        };
        let (before, files) = files.split_at(lead.files.len().min(files.len()));
        let first = Segment { timeline: &lead.timeline, from, until: &lead.leave, files: before, to_end: false };
        vec![first, Segment { timeline, from: &lead.place.enter, until, files, to_end }]
    }

    /// Its files, each with the offsets that the window begins and ends at in it.
    pub fn spans(&self) -> Vec<(&'a BinlogEntry, (u64, u64))> {
        let from = self.coordinates.place();
        let of = |segment: &Segment<'_, 'a>| {
            let last = segment.files.len().saturating_sub(1);
            let files = segment.files.iter().enumerate().map(|(place, file)| {
                let start = if place == 0 { segment.from.position } else { 0 };
                let stop = if place == last && !segment.to_end { segment.until.position } else { u64::MAX };
                (*file, (start, stop))
            });
            files.collect::<Vec<_>>()
        };
        self.segments(&from).iter().flat_map(of).collect()
    }
}

impl Selection<'_> {
    /// The place at which the restored state ends, and its timeline; `None` for a backup as it is whose place is not in the
    /// archive.
    pub fn ends_at(&self, catalog: &Catalog) -> Option<(String, BinlogPosition)> {
        match (&self.window, self.chain.last()) {
            (Some(window), _) => Some((window.timeline.clone(), window.cut.clone())),
            (None, Some(backup)) => {
                let run = locate(catalog, backup).ok()?;
                Some((run.timeline().to_owned(), backup.coordinates().ok()?.place()))
            }
            (None, None) => None,
        }
    }
}

/// Chooses the chain and the window.
///
/// For a moment: of the backups that ended at or before it the newest whose chain is whole, whose coordinates are in the
/// archive, and from which gap-free, undamaged binlogs lead to the cut. For another cut and for the end of a timeline: of
/// the backups with coordinates before it in its timeline the last one, likewise.
///
/// # Errors
///
/// [`PlanError`]: the reason that holds for the best candidate, or why it is not clear which timeline is meant.
pub fn select<'a>(
    catalog: &'a Catalog,
    request: &RestoreRequest,
    aim: &Aim,
    facts: &Facts,
) -> Result<Selection<'a>, PlanError> {
    match aim {
        Aim::Backup { ts, .. } => {
            let chain = catalog.chain(*ts).map_err(chain_error)?;
            Ok(Selection { chain, window: None, passed_over: Vec::new() })
        }
        Aim::Moment { at, .. } => select_moment(catalog, request, *at, facts),
        Aim::Cut { goal } => select_cut(catalog, request, goal, facts),
        Aim::End { timeline, asked } => select_end(catalog, request, (timeline, *asked), facts),
    }
}

fn select_moment<'a>(
    catalog: &'a Catalog,
    request: &RestoreRequest,
    at: DateTime<Utc>,
    facts: &Facts,
) -> Result<Selection<'a>, PlanError> {
    let candidates = match named(catalog, request)? {
        Some(backup) if backup.ended_at > at => {
            return Err(PlanError::BackupAfterTarget { backup: backup.ts(), ended: backup.ended_at, target: at });
        }
        Some(backup) => vec![backup],
        None => candidates(catalog, at),
    };
    if candidates.is_empty() {
        return Err(no_backup_before(catalog, at));
    }
    let wanted = |id: &str| request.timeline.as_deref().is_none_or(|named| named == id);
    let mut own = candidates.clone();
    if request.timeline.is_some() {
        own.retain(|backup| locate(catalog, backup).is_ok_and(|run| wanted(run.timeline())));
    }
    let reach = |backup: &'a Backup| -> Result<Reached<'a>, PlanError> {
        let start = Start::of(catalog, backup, facts)?;
        let window = start.to_moment(at, &facts.cuts)?;
        Ok((start.chain, window))
    };
    let across = reach_across(catalog, &candidates, facts, &wanted, |start| start.to_moment(at, &facts.cuts));
    let selection = match first_that_reaches(&own, reach) {
        Ok(selection) => selection,
        Err(mut reasons) => {
            return match one_timeline(catalog, &across, super::words::utc(&at))? {
                Some(selection) => Ok(selection),
                None if own.is_empty() && across.refused.is_empty() => {
                    let timeline = request.timeline.clone().unwrap_or_default();
                    Err(PlanError::NoBackupInTimeline { timeline, target: super::words::utc(&at) })
                }
                None => {
                    reasons.extend(across.refused.iter().cloned());
                    Err(explained(catalog, most_telling(reasons, catalog, at), &across.refused))
                }
            };
        }
    };
    // Servers that were live at the same time may both have been archived, and after a failover two may have gone on: which one
    // is meant would be a guess.
    if let (Some(window), None) = (&selection.window, &request.timeline) {
        let mut several = vec![window.timeline.clone()];
        if request.backup.is_none() {
            for backup in candidates {
                let Ok(run) = locate(catalog, backup) else { continue };
                if !several.iter().any(|id| id == run.timeline()) && reach(backup).is_ok() {
                    several.push(run.timeline().to_owned());
                }
            }
        }
        for (_, start, other) in &across.reached {
            let known = several.contains(&other.timeline);
            if !known && !is_the_same(window, start, other) {
                several.push(other.timeline.clone());
            }
        }
        if several.len() > 1 {
            return Err(ambiguous(catalog, super::words::utc(&at), &several));
        }
    }
    Ok(selection)
}

fn select_cut<'a>(
    catalog: &'a Catalog,
    request: &RestoreRequest,
    goal: &Goal,
    facts: &Facts,
) -> Result<Selection<'a>, PlanError> {
    let named = named(catalog, request)?;
    let own = match named {
        Some(backup) => Some(locate(catalog, backup)?),
        None => None,
    };
    let wanted = |id: &str| request.timeline.as_deref().is_none_or(|named| named == id);
    // Whether the named backup leads there is told later, with the reason why not.
    let is_led_to = |id: &str| {
        let goes_on = |run: &Stretch<'_>| facts.crossings.iter().any(|fact| fact.to == id && fact.goes_on_from(run));
        own.as_ref().is_none_or(|run| run.timeline() == id || goes_on(run))
    };
    let is_there = |fact: &&CutFact| {
        fact.goal == *goal
            && (fact.cut.is_some() || fact.flaw.is_some())
            && wanted(&fact.timeline)
            && is_led_to(&fact.timeline)
    };
    let mut held: Vec<&CutFact> = facts.cuts.iter().filter(is_there).collect();
    // The timeline that the named backup was taken in comes before those that it leads to.
    if let Some(run) = &own
        && held.iter().any(|fact| fact.timeline == run.timeline())
    {
        held.retain(|fact| fact.timeline == run.timeline());
    }
    let fact = match held.as_slice() {
        [] => return Err(not_found(catalog, named, goal, |id| wanted(id) && is_led_to(id))),
        [fact] => *fact,
        several => {
            let several: Vec<String> = several.iter().map(|fact| fact.timeline.clone()).collect();
            return Err(ambiguous(catalog, goal.to_string(), &several));
        }
    };
    let place = match (&fact.cut, &fact.flaw) {
        (Some(place), _) => place,
        (None, flaw) => return Err(flawed(goal, flaw.as_ref())),
    };
    let is_own = |backup: &Backup| locate(catalog, backup).is_ok_and(|run| run.timeline() == fact.timeline);
    let before = |backup: &&'a Backup| {
        let place_of = backup.coordinates().ok().filter(|coordinates| coordinates.place() <= place.until);
        place_of.is_some() && is_own(backup)
    };
    let candidates = match named {
        Some(backup) if !before(&backup) && is_own(backup) => {
            let coordinates = backup.coordinates().map(BinlogCoordinates::place);
            let coordinates =
                coordinates.map_err(|reason| PlanError::BackupWithoutPitr { backup: backup.ts(), reason })?;
            return Err(PlanError::BackupHoldsTarget { backup: backup.ts(), target: goal.to_string(), coordinates });
        }
        Some(backup) => Some(backup).filter(before).into_iter().collect(),
        None => by_place(catalog.backups.iter().filter(before).collect()),
    };
    let reach = |backup: &'a Backup| -> Result<Reached<'a>, PlanError> {
        let start = Start::of(catalog, backup, facts)?;
        let window = start.to_place(place)?;
        Ok((start.chain, window))
    };
    let reasons = match first_that_reaches(&candidates, reach) {
        Ok(selection) => return Ok(selection),
        Err(reasons) => reasons,
    };
    let others = named.map_or_else(|| newest_first(catalog), |backup| vec![backup]);
    let is_target = |id: &str| id == fact.timeline;
    let across = reach_across(catalog, &others, facts, &is_target, |start| match start.is_behind(&place.until) {
        true => Err(start.behind(&place.at)),
        false => start.to_place(place),
    });
    if let Some(selection) = one_timeline(catalog, &across, goal.to_string())? {
        return Ok(selection);
    }
    if candidates.is_empty() {
        if let Some((_, error)) = across.refused.into_iter().next() {
            return Err(error);
        }
        let placed = catalog.backups.iter().filter(|backup| is_own(backup));
        let oldest = by_place(placed.collect()).pop();
        return Err(PlanError::NoBackupBefore {
            target: goal.to_string(),
            timeline: fact.timeline.clone(),
            cut: place.at.clone(),
            oldest: oldest.and_then(|backup| Some(Box::new((backup.ts(), backup.coordinates().ok()?.place())))),
        });
    }
    Err(first_of(reasons, catalog))
}

fn select_end<'a>(
    catalog: &'a Catalog,
    request: &RestoreRequest,
    (timeline, asked): (&str, bool),
    facts: &Facts,
) -> Result<Selection<'a>, PlanError> {
    let named = named(catalog, request)?;
    let is_own = |backup: &&'a Backup| locate(catalog, backup).is_ok_and(|run| run.timeline() == timeline);
    let candidates = match named {
        Some(backup) => Some(backup).filter(|backup| is_own(backup)).into_iter().collect(),
        None => by_place(catalog.backups.iter().filter(is_own).collect()),
    };
    let timelines = catalog.timelines();
    let last = timelines.iter().find(|line| line.id == timeline).and_then(|line| line.files.last());
    let to_end = |start: &Start<'a>| -> Result<Window<'a>, PlanError> {
        // What was asked for is every transaction: those behind a gap are missing then.
        if asked && last.is_some_and(|last| last.name != start.run.last().name) {
            return Err(blocked(start.backup, &start.run, start.latest()));
        }
        // A backup that stands behind the end holds everything that is archived.
        start.to_the_end_or_nothing()
    };
    let reach = |backup: &'a Backup| -> Result<Reached<'a>, PlanError> {
        let start = Start::of(catalog, backup, facts)?;
        let window = to_end(&start)?;
        Ok((start.chain, window))
    };
    let mut reasons = match first_that_reaches(&candidates, reach) {
        Ok(selection) => return Ok(selection),
        Err(reasons) => reasons,
    };
    let others = named.map_or_else(|| newest_first(catalog), |backup| vec![backup]);
    let across = reach_across(catalog, &others, facts, &|id| id == timeline, to_end);
    match one_timeline(catalog, &across, "the end of the archive".into())? {
        Some(selection) => Ok(selection),
        None => {
            reasons.extend(across.refused);
            Err(first_of(reasons, catalog))
        }
    }
}

/// A chain and the window behind it.
type Reached<'a> = (Vec<&'a Backup>, Window<'a>);

/// What backups reach in other servers' timelines than their own.
struct Across<'a> {
    reached: Vec<(Stamp, Start<'a>, Window<'a>)>,
    refused: Vec<(Stamp, PlanError)>,
    /// Backups that cannot be applied.
    unusable: Vec<(Stamp, PlanError)>,
}

/// Tries to reach an aim in timelines that others than the backups' own go on in.
fn reach_across<'a>(
    catalog: &'a Catalog,
    candidates: &[&'a Backup],
    facts: &Facts,
    wanted: &dyn Fn(&str) -> bool,
    reach: impl Fn(&Start<'a>) -> Result<Window<'a>, PlanError>,
) -> Across<'a> {
    let mut across = Across { reached: Vec::new(), refused: Vec::new(), unusable: Vec::new() };
    if facts.crossings.is_empty() {
        return across;
    }
    for backup in candidates {
        let start = match Start::of(catalog, backup, facts) {
            Ok(start) => start,
            Err(error @ PlanError::UnusableLink { .. }) => {
                across.unusable.push((backup.ts(), error));
                continue;
            }
            Err(_) => continue,
        };
        for (to, over) in start.across(catalog, facts) {
            if !wanted(&to) {
                continue;
            }
            match over.and_then(|over| reach(&over).map(|window| (over, window))) {
                Ok((over, window)) => across.reached.push((backup.ts(), over, window)),
                Err(error) => across.refused.push((backup.ts(), error)),
            }
        }
    }
    across
}

/// The first of the windows, if all are of one timeline.
fn one_timeline<'a>(
    catalog: &Catalog,
    across: &Across<'a>,
    target: String,
) -> Result<Option<Selection<'a>>, PlanError> {
    let Some((_, start, window)) = across.reached.first() else { return Ok(None) };
    let mut several: Vec<String> = Vec::new();
    for (_, _, window) in &across.reached {
        if !several.contains(&window.timeline) {
            several.push(window.timeline.clone());
        }
    }
    match several.len() {
        1 => {
            let (chain, window) = (start.chain.clone(), Some(window.clone()));
            let newer = across.unusable.iter().filter(|(ts, _)| *ts > start.backup.ts());
            Ok(Some(Selection { chain, window, passed_over: newer.cloned().collect() }))
        }
        _ => Err(ambiguous(catalog, target, &several)),
    }
}

/// Whether a window that goes over to another timeline brings the very state of one that does not.
fn is_the_same(window: &Window<'_>, start: &Start<'_>, other: &Window<'_>) -> bool {
    let Some(lead) = &other.lead else { return false };
    let until = BinlogPosition { position: lead.place.leave_until, ..lead.place.leave.clone() };
    let at_leave = window.timeline == lead.timeline && window.cut >= lead.place.leave && window.cut <= until;
    at_leave && start.brings_nothing(other)
}

fn ambiguous(catalog: &Catalog, target: String, several: &[String]) -> PlanError {
    let candidates = TimelineSpan::named(catalog, |id| several.iter().any(|other| other == id));
    PlanError::AmbiguousTimeline { target, candidates }
}

fn newest_first(catalog: &Catalog) -> Vec<&Backup> {
    candidates(catalog, DateTime::<Utc>::MAX_UTC)
}

/// The backup that the request names.
fn named<'a>(catalog: &'a Catalog, request: &RestoreRequest) -> Result<Option<&'a Backup>, PlanError> {
    let find = |ts| catalog.backup(ts).ok_or_else(|| unknown_backup(catalog, ts));
    request.backup.map(find).transpose()
}

/// Backups of one timeline by their coordinates, the last first.
fn by_place(mut backups: Vec<&Backup>) -> Vec<&Backup> {
    let place = |backup: &&Backup| backup.coordinates().ok().map(BinlogCoordinates::place);
    backups.sort_by_cached_key(|backup| Reverse((place(backup), backup.ended_at, backup.ts())));
    backups
}

/// The first candidate that reaches the aim; else each one's reason why not.
fn first_that_reaches<'a>(
    candidates: &[&'a Backup],
    reach: impl Fn(&'a Backup) -> Result<(Vec<&'a Backup>, Window<'a>), PlanError>,
) -> Result<Selection<'a>, Vec<(Stamp, PlanError)>> {
    let mut passed_over = Vec::new();
    for backup in candidates {
        match reach(backup) {
            Ok((chain, window)) => return Ok(Selection { chain, window: Some(window), passed_over }),
            Err(error) => passed_over.push((backup.ts(), error)),
        }
    }
    Err(passed_over)
}

fn first_of(reasons: Vec<(Stamp, PlanError)>, catalog: &Catalog) -> PlanError {
    let first = reasons.into_iter().next().map(|(_, error)| error);
    first.unwrap_or_else(|| no_backup_before(catalog, DateTime::<Utc>::MAX_UTC))
}

/// Why a goal that no timeline has cannot be reached.
fn not_found(catalog: &Catalog, named: Option<&Backup>, goal: &Goal, wanted: impl Fn(&str) -> bool) -> PlanError {
    if let (Some(backup), Goal::After(gtid) | Goal::Before(gtid)) = (named, goal)
        && let Ok(coordinates) = backup.coordinates()
        && let Some(Ok(held)) = coordinates.gtid.as_deref().map(str::parse::<GtidSet>)
        && held.contains(gtid)
    {
        let (target, coordinates) = (goal.to_string(), coordinates.place());
        return PlanError::BackupHoldsTarget { backup: backup.ts(), target, coordinates };
    }
    let whereabouts = Box::new(whereabouts(catalog, goal, wanted));
    PlanError::TargetNotArchived { target: goal.to_string(), whereabouts }
}

/// Why a goal that a timeline has cuts nothing.
fn flawed(goal: &Goal, flaw: Option<&CutFlaw>) -> PlanError {
    match (goal, flaw) {
        (Goal::Position(position), Some(CutFlaw::NoBoundary { before, after })) => {
            PlanError::PositionNotBoundary { position: position.clone(), before: *before, after: *after }
        }
        (_, Some(CutFlaw::Repeated { first, again })) => {
            PlanError::GtidRepeated { target: goal.to_string(), first: first.clone(), again: Box::new(again.clone()) }
        }
        _ => PlanError::StoreUnusable { reason: format!("{goal} was not looked for") },
    }
}

/// Of the reasons of several backups the one that says most: that of the backup that gets furthest, else the newest
/// backup's own.
fn most_telling(reasons: Vec<(Stamp, PlanError)>, catalog: &Catalog, at: DateTime<Utc>) -> PlanError {
    let latest = |error: &PlanError| match error {
        PlanError::TargetBeyondBinlogs { latest, .. }
        | PlanError::BinlogGap { latest, .. }
        | PlanError::DamagedBinlog { latest, .. } => *latest,
        _ => None,
    };
    // The newest backup stands first, and wins where several get equally far.
    let furthest = reasons.iter().filter_map(|(_, error)| latest(error)).max();
    let chosen = reasons.iter().position(|(_, error)| latest(error) == furthest).unwrap_or(0);
    reasons.into_iter().nth(chosen).map_or_else(|| no_backup_before(catalog, at), |(_, error)| error)
}

/// Backups that ended at or before a moment, the newest first.
pub fn candidates(catalog: &Catalog, at: DateTime<Utc>) -> Vec<&Backup> {
    let mut candidates: Vec<&Backup> = catalog.backups.iter().filter(|backup| backup.ended_at <= at).collect();
    candidates.sort_by_key(|backup| std::cmp::Reverse((backup.ended_at, backup.ts())));
    candidates
}

pub(super) fn no_backup_before(catalog: &Catalog, target: DateTime<Utc>) -> PlanError {
    let fulls = catalog.backups.iter().filter(|backup| backup.kind() == BackupKind::Full);
    PlanError::NoFullBefore { target, oldest: fulls.map(|full| full.ended_at).min() }
}

/// The error for a stamp that the store lacks, with the stamps nearest to it.
pub(super) fn unknown_backup(catalog: &Catalog, ts: Stamp) -> PlanError {
    if catalog.lost_backup(ts).is_some() {
        return PlanError::BackupLost { ts };
    }
    let mut stamps: Vec<Stamp> = catalog.backups.iter().map(Backup::ts).collect();
    stamps.sort_by_key(|stamp| (stamp.at() - ts.at()).abs());
    stamps.truncate(3);
    PlanError::UnknownBackup { ts, nearest: stamps }
}

/// A chain's error as the plan's.
pub(super) fn chain_error(error: ChainError) -> PlanError {
    match error {
        ChainError::Lost { ts } => PlanError::BackupLost { ts },
        ChainError::Unknown { ts } => PlanError::UnknownBackup { ts, nearest: Vec::new() },
        ChainError::MissingParent { child, parent } => PlanError::MissingParent { child, parent: Some(parent) },
        ChainError::AmbiguousParent { child, candidates: 0 } => PlanError::MissingParent { child, parent: None },
        ChainError::AmbiguousParent { child, candidates } => PlanError::AmbiguousParent { child, candidates },
        ChainError::LsnMismatch { child, parent, expected, found } => {
            PlanError::BrokenChain { child, parent, expected, found }
        }
        ChainError::Unusable { child, link, reason } => PlanError::UnusableLink { backup: child, link, reason },
        ChainError::WrongRoot { child, base } => PlanError::MissingParent { child, parent: Some(base) },
    }
}
