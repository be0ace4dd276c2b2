//! Where a replay may start, and how far it gets from there: along one timeline, or over to another server's.

use super::{
    PlanError,
    replay_end::ReplayEnd,
    select::{Window, chain_error},
};
use crate::{
    catalog::{Backup, Catalog, RunEnd, Stretch},
    facts::{CrossingFact, CrossingPlace, CutFact, CutPlace, Facts},
    model::{BinlogCoordinates, BinlogPosition, Goal},
    store::BinlogEntry,
};
use chrono::{DateTime, Utc};

/// A backup that a replay may start from.
#[derive(Clone)]
pub(super) struct Start<'a> {
    pub(super) backup: &'a Backup,
    pub(super) chain: Vec<&'a Backup>,
    pub(super) coordinates: &'a BinlogCoordinates,
    /// The gap-free piece that the cut is looked for in.
    pub(super) run: Stretch<'a>,
    /// Where the replay enters that piece.
    own: BinlogPosition,
    /// What is replayed before it, of another server's timeline.
    lead: Option<Lead<'a>>,
}

/// The part of a window before the place where it goes over to another server's binlogs.
#[derive(Debug, Clone, PartialEq)]
pub struct Lead<'a> {
    /// The timeline.
    pub timeline: String,
    /// The files from the coordinates' to the one that is left.
    pub files: Vec<&'a BinlogEntry>,
    /// Where the timeline is left: the coordinates, if nothing of it is replayed.
    pub leave: BinlogPosition,
    /// What is proven of the place.
    pub place: CrossingPlace,
}

impl<'a> Start<'a> {
    pub(super) fn of(catalog: &'a Catalog, backup: &'a Backup, facts: &Facts) -> Result<Self, PlanError> {
        if !catalog.is_whole(backup.ts()) {
            catalog.chain(backup.ts()).map_err(chain_error)?;
        }
        let run = locate(catalog, backup)?;
        let without = |reason| PlanError::BackupWithoutPitr { backup: backup.ts(), reason };
        let coordinates = backup.coordinates().map_err(without)?;
        let own = coordinates.place();
        if facts.starts.iter().any(|start| start.backup == backup.ts() && !start.boundary) {
            return Err(PlanError::NotABoundary { position: own });
        }
        let chain = catalog.chain(backup.ts()).map_err(chain_error)?;
        Ok(Start { backup, chain, coordinates, run, own, lead: None })
    }

    /// The starts in other servers' timelines that this one leads to.
    pub(super) fn across(&self, catalog: &'a Catalog, facts: &Facts) -> Vec<(String, Result<Start<'a>, PlanError>)> {
        let found = facts.crossings.iter().filter(|fact| fact.goes_on_from(&self.run));
        found.map(|fact| (fact.to.clone(), self.over(catalog, fact))).collect()
    }

    fn over(&self, catalog: &'a Catalog, fact: &CrossingFact) -> Result<Start<'a>, PlanError> {
        let refused = |reason: String| cannot_cross(self.backup, fact, reason);
        let leave = fact.leads(self.backup, &self.run).map_err(refused)?;
        let place = fact.place.clone().map_err(refused)?;
        let run = catalog.stretch_from(&fact.to, &place.enter.file);
        let (Some(last), Some(run)) = (self.run.find(&leave.file), run) else {
            return Err(refused(format!("{} or {} is not archived", leave.file, place.enter.file)));
        };
        let files = self.run.files(last + 1);
        let lead = Lead { timeline: fact.from.clone(), files, leave, place };
        Ok(Start { run, own: lead.place.enter.clone(), lead: Some(lead), ..self.clone() })
    }

    /// What is held from the backup on reaches up to here; a backup's own end proves nothing of the binlogs.
    pub(super) fn latest(&self) -> Option<DateTime<Utc>> {
        let promoted = self.lead.as_ref().is_none_or(|lead| lead.place.promoted);
        let reach = if promoted { self.run.reaches() } else { self.run.newest() };
        reach.map(|reach| reach.at()).filter(|reach| *reach >= self.backup.ended_at)
    }

    pub(super) fn to_moment(&self, at: DateTime<Utc>, cuts: &[CutFact]) -> Result<Window<'a>, PlanError> {
        let run = &self.run;
        let cut_of = |timeline: &str| {
            let wanted = |fact: &&CutFact| fact.timeline == timeline && fact.goal == Goal::Moment(at);
            let missing = || self.without(format!("timeline {timeline} was not searched for the target"));
            cuts.iter().find(wanted).ok_or_else(missing)
        };
        if let Some(lead) = &self.lead
            && let Some(cut) = &cut_of(&lead.timeline)?.cut
            && cut.at < lead.leave
        {
            return Err(self.astray(
                run,
                format!(
                    "the target is at {} of timeline {}, before the place where that is left",
                    cut.at, lead.timeline
                ),
            ));
        }
        let fact = cut_of(run.timeline())?;
        let latest = self.latest();
        match &fact.cut {
            // A backup ended before the target, yet holds transactions of the target's time or later: clocks differ.
            Some(place) if place.at < self.own => {
                let reason = format!("it already holds transactions from {} on", place.at);
                Err(if self.lead.is_some() { self.astray(run, reason) } else { self.without(reason) })
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
    pub(super) fn to_place(&self, place: &CutPlace) -> Result<Window<'a>, PlanError> {
        let run = &self.run;
        // No transaction stands between the cut and coordinates behind it: the caller has made sure of that.
        let (cut, before) = if self.own > place.at {
            (self.own.clone(), self.lead.as_ref().map(|lead| lead.place.enter_before))
        } else {
            (place.at.clone(), Some(place.transactions_before))
        };
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

    /// Whether the replay enters the piece behind a place that no transaction follows before `until`.
    pub(super) fn is_behind(&self, until: &BinlogPosition) -> bool {
        self.own > *until
    }

    /// That a place stands before the one at which the piece is entered.
    pub(super) fn behind(&self, place: &BinlogPosition) -> PlanError {
        let reason = format!("{place} stands before {}, where that is entered", self.own);
        self.astray(&self.run, reason)
    }

    /// The window to the end of what follows without a gap.
    pub(super) fn to_the_end(&self) -> Result<Window<'a>, PlanError> {
        let end = end_of(&self.run).position;
        if end < self.own {
            return Err(self.without(format!("the archive holds {} only up to byte {}", end.file, end.position)));
        }
        Ok(self.window(end, true, self.run.files(self.run.count())))
    }

    /// The window to the end, or nothing to replay where the backup stands behind it.
    pub(super) fn to_the_end_or_nothing(&self) -> Result<Window<'a>, PlanError> {
        if end_of(&self.run).position >= self.own {
            return self.to_the_end();
        }
        let Some(place) = self.run.find(&self.own.file) else { return Err(blocked(self.backup, &self.run, None)) };
        Ok(self.window(self.own.clone(), false, self.run.files(place + 1)))
    }

    /// Whether the window to a place in this piece brings just what stands before it is entered.
    pub(super) fn brings_nothing(&self, window: &Window<'_>) -> bool {
        window.cut == self.own
            || self.lead.as_ref().is_some_and(|lead| {
                let enter = &lead.place.enter;
                window.cut.file == enter.file && window.transactions_before == Some(lead.place.enter_before)
            })
    }

    fn window(&self, cut: BinlogPosition, to_end: bool, files: Vec<&'a BinlogEntry>) -> Window<'a> {
        let before = self.lead.iter().flat_map(|lead| lead.files.iter().copied());
        Window {
            timeline: self.run.timeline().to_owned(),
            coordinates: self.coordinates.clone(),
            cut,
            to_end,
            files: before.chain(files).collect(),
            transactions_before: None,
            lead: self.lead.clone(),
        }
    }

    fn without(&self, reason: String) -> PlanError {
        PlanError::BackupWithoutPitr { backup: self.backup.ts(), reason }
    }

    fn astray(&self, run: &Stretch<'_>, reason: String) -> PlanError {
        let from = self.lead.as_ref().map(|lead| lead.timeline.clone()).unwrap_or_default();
        PlanError::CannotCross { backup: self.backup.ts(), from, to: run.timeline().to_owned(), reason }
    }
}

/// The pieces of other timelines that a backup in a piece leads to.
pub(super) fn led_to<'a>(
    catalog: &'a Catalog,
    facts: &Facts,
    backup: &Backup,
    run: &Stretch<'a>,
) -> Vec<(Stretch<'a>, CrossingPlace)> {
    let over = |fact: &CrossingFact| {
        fact.leads(backup, run).ok()?;
        let place = fact.place.clone().ok()?;
        Some((catalog.stretch_from(&fact.to, &place.enter.file)?, place))
    };
    facts.crossings.iter().filter(|fact| fact.goes_on_from(run)).filter_map(over).collect()
}

fn cannot_cross(backup: &Backup, fact: &CrossingFact, reason: String) -> PlanError {
    PlanError::CannotCross { backup: backup.ts(), from: fact.from.clone(), to: fact.to.clone(), reason }
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

pub(super) fn blocked(backup: &Backup, run: &Stretch<'_>, latest: Option<DateTime<Utc>>) -> PlanError {
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
