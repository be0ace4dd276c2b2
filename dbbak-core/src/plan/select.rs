//! Chooses the chain and the window of a restore.

use super::{error::PlanError, request::RestoreRequest};
use crate::{
    catalog::{Backup, Catalog, ChainError, RunEnd, Stretch},
    config::Config,
    facts::CutFact,
    model::{BackupKind, BinlogCoordinates, BinlogPosition, LogTime, Stamp, Target, floor_time},
    store::BinlogEntry,
};
use chrono::{DateTime, Utc};

/// What a restore aims at, after rounding.
#[derive(Debug, Clone, PartialEq)]
pub enum Aim {
    /// The state just before the first transaction whose time is this moment or later.
    Moment {
        /// The moment.
        at: DateTime<Utc>,
        /// The moment that was asked for, where it was floored.
        asked: Option<DateTime<Utc>>,
        /// Whether nothing was asked for, and this is the latest reachable moment, floored.
        latest: bool,
    },
    /// A backup as it is.
    Backup {
        /// The backup.
        ts: Stamp,
        /// Why no binlogs are replayed.
        why: NoReplay,
    },
}

/// Why no binlogs are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoReplay {
    /// It was asked for.
    Asked,
    /// Nothing later is in the archive.
    NothingLater,
}

/// The chain and the window that reach an aim.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection<'a> {
    /// The full first.
    pub chain: Vec<&'a Backup>,
    /// What is replayed; none: the chain's last backup as it is.
    pub window: Option<Window<'a>>,
    /// Newer backups that were passed over, and why.
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
    /// Where the moment cuts the timeline.
    pub fact: CutFact,
}

/// Resolves what was asked for to what is aimed at.
///
/// # Errors
///
/// [`PlanError`] when the target lies in the future, or nothing is in the store.
pub fn resolve_aim(
    config: &Config,
    catalog: &Catalog,
    now: DateTime<Utc>,
    request: &RestoreRequest,
) -> Result<Aim, PlanError> {
    if catalog.latest_full().is_none() {
        return Err(PlanError::NoFull);
    }
    if let Some(ts) = request.backup
        && catalog.backup(ts).is_none()
    {
        return Err(unknown_backup(catalog, ts));
    }
    match (&request.target, request.backup) {
        (Target::Time { at, .. } | Target::NoPitr { at: Some(at) }, _) if *at > now => {
            Err(PlanError::TargetInFuture { target: *at, now })
        }
        (Target::Time { at, exact }, _) => {
            let floored = if *exact { *at } else { floor_time(*at, config.pitr_round_minutes) };
            Ok(Aim::Moment { at: floored, asked: (floored != *at).then_some(*at), latest: false })
        }
        // `--backup TS` alone restores that backup as it is.
        (Target::Latest | Target::NoPitr { .. }, Some(ts)) => Ok(Aim::Backup { ts, why: NoReplay::Asked }),
        (Target::NoPitr { at }, None) => {
            let at = at.unwrap_or(now);
            let newest = candidates(catalog, at).into_iter().find(|backup| catalog.is_whole(backup.ts()));
            match newest {
                Some(backup) => Ok(Aim::Backup { ts: backup.ts(), why: NoReplay::Asked }),
                None => Err(no_backup_before(catalog, at)),
            }
        }
        (Target::Latest, None) => latest_aim(config, catalog, now),
    }
}

/// The latest reachable moment: where the binlogs after some usable backup end, floored. Where no backup reaches the
/// floored moment, it is taken as it stands; where nothing is archived after the newest backup, it is that backup.
fn latest_aim(config: &Config, catalog: &Catalog, now: DateTime<Utc>) -> Result<Aim, PlanError> {
    let usable = |backup: &&Backup| catalog.is_whole(backup.ts());
    let Some(newest) = candidates(catalog, now).into_iter().find(usable) else {
        return Err(no_backup_before(catalog, now));
    };
    let reaches: Vec<(DateTime<Utc>, DateTime<Utc>)> = candidates(catalog, now)
        .into_iter()
        .filter(usable)
        .filter_map(|backup| Some((backup.ended_at, reach_after(catalog, backup)?.at())))
        .filter(|(ended, reach)| reach >= ended)
        .collect();
    match reaches.iter().map(|(_, reach)| *reach).max() {
        Some(reach) if reach > newest.ended_at => {
            let floored = floor_time(reach, config.pitr_round_minutes);
            let reachable = reaches.iter().any(|(ended, reach)| *ended <= floored && floored <= *reach);
            let at = if reachable { floored } else { reach };
            Ok(Aim::Moment { at, asked: (at != reach).then_some(reach), latest: true })
        }
        _ => Ok(Aim::Backup { ts: newest.ts(), why: NoReplay::NothingLater }),
    }
}

fn reach_after(catalog: &Catalog, backup: &Backup) -> Option<LogTime> {
    let coordinates = backup.coordinates().ok()?;
    catalog.reach(coordinates, backup.entry.binlog_head.as_ref())
}

/// Chooses the chain and the window.
///
/// Of the backups that ended at or before the aim the newest is taken whose chain is whole, whose coordinates are in the
/// archive, and from which gap-free, undamaged binlogs lead to the cut.
///
/// # Errors
///
/// [`PlanError`]: the reason that holds for the newest candidate.
pub fn select<'a>(
    catalog: &'a Catalog,
    request: &RestoreRequest,
    aim: &Aim,
    cuts: &[CutFact],
) -> Result<Selection<'a>, PlanError> {
    let at = match aim {
        Aim::Backup { ts, .. } => {
            let chain = catalog.chain(*ts).map_err(chain_error)?;
            return Ok(Selection { chain, window: None, passed_over: Vec::new() });
        }
        Aim::Moment { at, .. } => *at,
    };
    let candidates = match request.backup {
        Some(ts) => {
            let backup = catalog.backup(ts).ok_or_else(|| unknown_backup(catalog, ts))?;
            if backup.ended_at > at {
                return Err(PlanError::BackupAfterTarget { backup: ts, ended: backup.ended_at, target: at });
            }
            vec![backup]
        }
        None => candidates(catalog, at),
    };
    if candidates.is_empty() {
        return Err(no_backup_before(catalog, at));
    }
    let mut passed_over = Vec::new();
    for backup in candidates {
        match reach_from(catalog, backup, at, cuts) {
            Ok((chain, window)) => return Ok(Selection { chain, window: Some(window), passed_over }),
            Err(error) => passed_over.push((backup.ts(), error)),
        }
    }
    Err(most_telling(passed_over, catalog, at))
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

fn reach_from<'a>(
    catalog: &'a Catalog,
    backup: &'a Backup,
    at: DateTime<Utc>,
    cuts: &[CutFact],
) -> Result<(Vec<&'a Backup>, Window<'a>), PlanError> {
    if !catalog.is_whole(backup.ts()) {
        catalog.chain(backup.ts()).map_err(chain_error)?;
    }
    let without = |reason| PlanError::BackupWithoutPitr { backup: backup.ts(), reason };
    let coordinates = backup.coordinates().map_err(without)?;
    let run = locate(catalog, backup, coordinates)?;
    let fact = cuts.iter().find(|fact| fact.timeline == run.timeline() && fact.target == at);
    let Some(fact) = fact else {
        return Err(without(format!("timeline {} was not searched for the target", run.timeline())));
    };
    // What is held from the backup on reaches up to here; a backup's own end proves nothing of the binlogs.
    let latest = run.reaches().map(|reach| reach.at()).filter(|reach| *reach >= backup.ended_at);
    let held = latest.is_some_and(|latest| at <= latest);
    let cut = fact.cut.as_ref().map(|place| BinlogPosition { file: place.file.clone(), position: place.position });
    if let Some(cut) = &cut
        && *cut < coordinates.place()
    {
        // A backup ended before the target, yet holds transactions of the target's time or later: clocks differ.
        return Err(without(format!("it already holds transactions from {cut} on")));
    }
    let last = cut.as_ref().and_then(|cut| run.find(&cut.file));
    let (cut, files, to_end) = match (cut, last) {
        (Some(cut), Some(last)) => {
            if let (RunEnd::Incomplete { what, last_good }, true) = (run.end(), last + 1 == run.count())
                && cut.position > last_good
            {
                return Err(damaged(&run, what, last_good, latest));
            }
            (cut, run.files(last + 1), false)
        }
        // Nothing from the target on is in the gap-free piece, and it reaches up to the target: it ends there.
        _ if held => {
            let last = run.last();
            let end = BinlogPosition { file: last.name.clone(), position: last.good_bytes() };
            if end < coordinates.place() {
                return Err(without(format!("the archive holds {} only up to byte {}", end.file, end.position)));
            }
            (end, run.files(run.count()), true)
        }
        (None, _) if run.end() == RunEnd::ArchiveEnds => {
            return Err(PlanError::TargetBeyondBinlogs { target: at, latest });
        }
        _ => return Err(blocked(backup, &run, latest)),
    };
    let (timeline, coordinates) = (run.timeline().to_owned(), coordinates.clone());
    let window = Window { timeline, coordinates, cut, to_end, files, fact: fact.clone() };
    Ok((catalog.chain(backup.ts()).map_err(chain_error)?, window))
}

fn locate<'a>(
    catalog: &'a Catalog,
    backup: &Backup,
    coordinates: &BinlogCoordinates,
) -> Result<Stretch<'a>, PlanError> {
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
    let (next, finding) = match run.end() {
        RunEnd::Incomplete { what, last_good } => return damaged(run, what, last_good, latest),
        RunEnd::Gap { next, finding } => (Some(next), Some(finding)),
        RunEnd::ArchiveEnds => (None, None),
    };
    PlanError::BinlogGap { backup: backup.ts(), after: run.last().name.clone(), next, finding, latest }
}

fn damaged(run: &Stretch<'_>, what: String, last_good: u64, latest: Option<DateTime<Utc>>) -> PlanError {
    PlanError::DamagedBinlog { file: run.last().name.clone(), last_good, what, latest }
}

/// Backups that ended at or before a moment, the newest first.
pub fn candidates(catalog: &Catalog, at: DateTime<Utc>) -> Vec<&Backup> {
    let mut candidates: Vec<&Backup> = catalog.backups.iter().filter(|backup| backup.ended_at <= at).collect();
    candidates.sort_by_key(|backup| std::cmp::Reverse((backup.ended_at, backup.ts())));
    candidates
}

fn no_backup_before(catalog: &Catalog, target: DateTime<Utc>) -> PlanError {
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
