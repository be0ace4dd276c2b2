//! Chooses the chain and the window of a restore.

use super::{
    across::across,
    aim::Aim,
    error::{PlanError, ReplayEnd},
    request::RestoreRequest,
    whereabouts::{TimelineSpan, whereabouts},
};
use crate::{
    catalog::{Backup, Catalog, ChainError, RunEnd, Stretch},
    facts::{CutFact, CutFlaw, CutPlace, Facts},
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
    /// The files from the coordinates' to the cut's.
    pub files: Vec<&'a BinlogEntry>,
    /// Transactions of the cut's file before the cut, where the cut was looked for.
    pub transactions_before: Option<u64>,
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
    let mut candidates = match named(catalog, request)? {
        Some(backup) if backup.ended_at > at => {
            return Err(PlanError::BackupAfterTarget { backup: backup.ts(), ended: backup.ended_at, target: at });
        }
        Some(backup) => vec![backup],
        None => candidates(catalog, at),
    };
    if candidates.is_empty() {
        return Err(no_backup_before(catalog, at));
    }
    if let Some(id) = &request.timeline {
        candidates.retain(|backup| locate(catalog, backup).is_ok_and(|run| run.timeline() == id));
        if candidates.is_empty() {
            let target = super::error::utc(&at);
            return Err(PlanError::NoBackupInTimeline { timeline: id.clone(), target });
        }
    }
    let reach = |backup: &'a Backup| -> Result<(Vec<&'a Backup>, Window<'a>), PlanError> {
        let start = Start::of(catalog, backup, facts)?;
        let window = start.to_moment(at, &facts.cuts)?;
        Ok((start.chain, window))
    };
    let selection =
        first_that_reaches(&candidates, reach).map_err(|all| across(catalog, most_telling(all, catalog, at)))?;
    // Servers that were live at the same time may both have been archived: which one is meant would be a guess.
    if let (Some(window), None, None) = (&selection.window, &request.timeline, request.backup) {
        let mut several = vec![window.timeline.clone()];
        for backup in candidates {
            let Ok(run) = locate(catalog, backup) else { continue };
            if !several.iter().any(|id| id == run.timeline()) && reach(backup).is_ok() {
                several.push(run.timeline().to_owned());
            }
        }
        if several.len() > 1 {
            return Err(PlanError::AmbiguousTimeline {
                target: super::error::utc(&at),
                candidates: TimelineSpan::named(catalog, |id| several.iter().any(|other| other == id)),
            });
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
        Some(backup) => Some(locate(catalog, backup)?.timeline()),
        None => None,
    };
    let wanted =
        |id: &str| request.timeline.as_deref().is_none_or(|named| named == id) && own.is_none_or(|own| own == id);
    let held: Vec<&CutFact> = facts
        .cuts
        .iter()
        .filter(|fact| fact.goal == *goal && (fact.cut.is_some() || fact.flaw.is_some()) && wanted(&fact.timeline))
        .collect();
    let fact = match held.as_slice() {
        [] => return Err(not_found(catalog, named, goal, wanted)),
        [fact] => *fact,
        several => {
            return Err(PlanError::AmbiguousTimeline {
                target: goal.to_string(),
                candidates: TimelineSpan::named(catalog, |id| several.iter().any(|fact| fact.timeline == id)),
            });
        }
    };
    let place = match (&fact.cut, &fact.flaw) {
        (Some(place), _) => place,
        (None, flaw) => return Err(flawed(goal, flaw.as_ref())),
    };
    let before = |backup: &&'a Backup| {
        let place_of = backup.coordinates().ok().filter(|coordinates| coordinates.place() <= place.until);
        place_of.is_some() && locate(catalog, backup).is_ok_and(|run| run.timeline() == fact.timeline)
    };
    let candidates = match named {
        Some(backup) if !before(&backup) => {
            let coordinates = backup.coordinates().map(BinlogCoordinates::place);
            let coordinates =
                coordinates.map_err(|reason| PlanError::BackupWithoutPitr { backup: backup.ts(), reason })?;
            return Err(PlanError::BackupHoldsTarget { backup: backup.ts(), target: goal.to_string(), coordinates });
        }
        Some(backup) => vec![backup],
        None => by_place(catalog.backups.iter().filter(before).collect()),
    };
    if candidates.is_empty() {
        let placed = catalog
            .backups
            .iter()
            .filter(|backup| locate(catalog, backup).is_ok_and(|run| run.timeline() == fact.timeline));
        let oldest = by_place(placed.collect()).pop();
        return Err(PlanError::NoBackupBefore {
            target: goal.to_string(),
            timeline: fact.timeline.clone(),
            cut: place.at.clone(),
            oldest: oldest.and_then(|backup| Some(Box::new((backup.ts(), backup.coordinates().ok()?.place())))),
        });
    }
    let reach = |backup: &'a Backup| -> Result<(Vec<&'a Backup>, Window<'a>), PlanError> {
        let start = Start::of(catalog, backup, facts)?;
        let window = start.to_place(place)?;
        Ok((start.chain, window))
    };
    first_that_reaches(&candidates, reach).map_err(|all| first_of(all, catalog))
}

fn select_end<'a>(
    catalog: &'a Catalog,
    request: &RestoreRequest,
    (timeline, asked): (&str, bool),
    facts: &Facts,
) -> Result<Selection<'a>, PlanError> {
    let candidates = match named(catalog, request)? {
        Some(backup) => vec![backup],
        None => by_place(
            catalog
                .backups
                .iter()
                .filter(|backup| locate(catalog, backup).is_ok_and(|run| run.timeline() == timeline))
                .collect(),
        ),
    };
    let timelines = catalog.timelines();
    let last = timelines.iter().find(|line| line.id == timeline).and_then(|line| line.files.last());
    let reach = |backup: &'a Backup| -> Result<(Vec<&'a Backup>, Window<'a>), PlanError> {
        let start = Start::of(catalog, backup, facts)?;
        // What was asked for is every transaction: those behind a gap are missing then.
        if asked && last.is_some_and(|last| last.name != start.run.last().name) {
            return Err(blocked(backup, &start.run, start.latest()));
        }
        let end = end_of(&start.run).position;
        // A backup that stands behind the end holds everything that is archived.
        let own = start.coordinates.place();
        let window = if end < own {
            let Some(place) = start.run.find(&own.file) else { return Err(blocked(backup, &start.run, None)) };
            start.window(own, false, start.run.files(place + 1))
        } else {
            start.to_the_end()?
        };
        Ok((start.chain, window))
    };
    first_that_reaches(&candidates, reach).map_err(|all| first_of(all, catalog))
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
            PlanError::GtidRepeated { target: goal.to_string(), first: first.clone(), again: *again }
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

/// A backup that a replay may start from.
struct Start<'a> {
    backup: &'a Backup,
    chain: Vec<&'a Backup>,
    coordinates: &'a BinlogCoordinates,
    run: Stretch<'a>,
}

impl<'a> Start<'a> {
    fn of(catalog: &'a Catalog, backup: &'a Backup, facts: &Facts) -> Result<Self, PlanError> {
        if !catalog.is_whole(backup.ts()) {
            catalog.chain(backup.ts()).map_err(chain_error)?;
        }
        let run = locate(catalog, backup)?;
        let without = |reason| PlanError::BackupWithoutPitr { backup: backup.ts(), reason };
        let coordinates = backup.coordinates().map_err(without)?;
        if facts.starts.iter().any(|start| start.backup == backup.ts() && !start.boundary) {
            return Err(PlanError::NotABoundary { position: coordinates.place() });
        }
        let chain = catalog.chain(backup.ts()).map_err(chain_error)?;
        Ok(Start { backup, chain, coordinates, run })
    }

    /// What is held from the backup on reaches up to here; a backup's own end proves nothing of the binlogs.
    fn latest(&self) -> Option<DateTime<Utc>> {
        self.run.reaches().map(|reach| reach.at()).filter(|reach| *reach >= self.backup.ended_at)
    }

    fn to_moment(&self, at: DateTime<Utc>, cuts: &[CutFact]) -> Result<Window<'a>, PlanError> {
        let run = &self.run;
        let wanted = |fact: &&CutFact| fact.timeline == run.timeline() && fact.goal == Goal::Moment(at);
        let Some(fact) = cuts.iter().find(wanted) else {
            return Err(self.without(format!("timeline {} was not searched for the target", run.timeline())));
        };
        let latest = self.latest();
        match &fact.cut {
            // A backup ended before the target, yet holds transactions of the target's time or later: clocks differ.
            Some(place) if place.at < self.coordinates.place() => {
                Err(self.without(format!("it already holds transactions from {} on", place.at)))
            }
            Some(place) if run.find(&place.at.file).is_some() => self.to_place(place),
            // Nothing from the target on is in the gap-free piece, and it reaches up to the target: it ends there.
            _ if latest.is_some_and(|latest| at <= latest) => self.to_the_end(),
            None if run.end() == RunEnd::ArchiveEnds => {
                let timeline = run.timeline().to_owned();
                Err(PlanError::TargetBeyondBinlogs { target: at, latest, timeline })
            }
            _ => Err(blocked(self.backup, run, latest)),
        }
    }

    /// The window to a place in the same timeline.
    fn to_place(&self, place: &CutPlace) -> Result<Window<'a>, PlanError> {
        let run = &self.run;
        let own = self.coordinates.place();
        // No transaction stands between the cut and coordinates behind it: the caller has made sure of that.
        let (cut, before) =
            if own > place.at { (own, None) } else { (place.at.clone(), Some(place.transactions_before)) };
        let Some(last) = run.find(&cut.file) else { return Err(blocked(self.backup, run, self.latest())) };
        let is_last = last + 1 == run.count();
        if let (RunEnd::Incomplete { what, last_good }, true) = (run.end(), is_last)
            && cut.position > last_good
        {
            return Err(damaged(run, what, last_good, self.latest()));
        }
        let files = run.files(last + 1);
        let whole = files
            .last()
            .is_some_and(|file| file.partial.is_none() && file.damaged.is_none() && file.size == cut.position);
        Ok(Window { transactions_before: before, ..self.window(cut, whole, files) })
    }

    /// The window to the end of what follows without a gap.
    fn to_the_end(&self) -> Result<Window<'a>, PlanError> {
        let end = end_of(&self.run).position;
        if end < self.coordinates.place() {
            return Err(self.without(format!("the archive holds {} only up to byte {}", end.file, end.position)));
        }
        Ok(self.window(end, true, self.run.files(self.run.count())))
    }

    fn window(&self, cut: BinlogPosition, to_end: bool, files: Vec<&'a BinlogEntry>) -> Window<'a> {
        Window {
            timeline: self.run.timeline().to_owned(),
            coordinates: self.coordinates.clone(),
            cut,
            to_end,
            files,
            transactions_before: None,
        }
    }

    fn without(&self, reason: String) -> PlanError {
        PlanError::BackupWithoutPitr { backup: self.backup.ts(), reason }
    }
}

/// The gap-free piece of the archive that begins with the file of a backup's coordinates.
pub(super) fn locate<'a>(catalog: &'a Catalog, backup: &Backup) -> Result<Stretch<'a>, PlanError> {
    let without = |reason| PlanError::BackupWithoutPitr { backup: backup.ts(), reason };
    let coordinates = backup.coordinates().map_err(without)?;
    match catalog.stretch(coordinates, backup.entry.binlog_head.as_ref()) {
        Ok(stretch) => Ok(stretch),
        Err(candidates) if candidates > 0 => {
            let file = coordinates.file.clone();
            Err(PlanError::AmbiguousBinlog { backup: backup.ts(), file, candidates })
        }
        Err(_) => Err(PlanError::CoordinatesNotArchived { backup: backup.ts(), coordinates: coordinates.clone() }),
    }
}

fn blocked(backup: &Backup, run: &Stretch<'_>, latest: Option<DateTime<Utc>>) -> PlanError {
    let finding = match run.end() {
        RunEnd::Incomplete { what, last_good } => return damaged(run, what, last_good, latest),
        RunEnd::Gap { finding, .. } => Some(finding),
        RunEnd::ArchiveEnds => None,
    };
    let end = Box::new(end_of(run));
    PlanError::BinlogGap { backup: backup.ts(), after: run.last().name.clone(), finding, latest, end }
}

fn damaged(run: &Stretch<'_>, what: String, last_good: u64, latest: Option<DateTime<Utc>>) -> PlanError {
    PlanError::DamagedBinlog { file: run.last().name.clone(), last_good, what, latest, end: Box::new(end_of(run)) }
}

/// The end of what can be replayed.
fn end_of(run: &Stretch<'_>) -> ReplayEnd {
    let last = run.last();
    let position = BinlogPosition { file: last.name.clone(), position: last.good_bytes() };
    ReplayEnd { position, timeline: run.timeline().to_owned() }
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
    let mut stamps: Vec<Stamp> = catalog.backups.iter().map(Backup::ts).collect();
    stamps.sort_by_key(|stamp| (stamp.at() - ts.at()).abs());
    stamps.truncate(3);
    PlanError::UnknownBackup { ts, nearest: stamps }
}

/// A chain's error as the plan's.
pub(super) fn chain_error(error: ChainError) -> PlanError {
    match error {
        ChainError::Unknown { ts } => PlanError::UnknownBackup { ts, nearest: Vec::new() },
        ChainError::MissingParent { child, parent } => PlanError::MissingParent { child, parent: Some(parent) },
        ChainError::AmbiguousParent { child, candidates: 0 } => PlanError::MissingParent { child, parent: None },
        ChainError::AmbiguousParent { child, candidates } => PlanError::AmbiguousParent { child, candidates },
        ChainError::LsnMismatch { child, parent, expected, found } => {
            PlanError::BrokenChain { child, parent, expected, found }
        }
        ChainError::WrongRoot { child, base } => PlanError::MissingParent { child, parent: Some(base) },
    }
}
