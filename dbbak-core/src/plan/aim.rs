//! What a restore aims at: what was asked for, after rounding.

use super::{
    error::PlanError,
    request::RestoreRequest,
    select::{candidates, no_backup_before, unknown_backup},
    start::{led_to, locate},
    whereabouts::TimelineSpan,
};
use crate::{
    catalog::{Backup, Catalog, Stretch},
    config::Config,
    facts::Facts,
    model::{Goal, Stamp, Target, floor_time},
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
    /// The state at a place that the log itself names.
    Cut {
        /// The transaction or the offset.
        goal: Goal,
    },
    /// The end of a timeline: every whole transaction of it that is archived.
    End {
        /// The timeline.
        timeline: String,
        /// Whether that was asked for; else nothing was.
        asked: bool,
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
    /// Later binlogs are in the archive, and the one that the backup stands in is not: no replay leads to them.
    NotArchived,
}

impl Aim {
    /// What has to be looked for in the binlogs.
    pub fn goal(&self) -> Option<Goal> {
        match self {
            Aim::Moment { at, .. } => Some(Goal::Moment(*at)),
            Aim::Cut { goal } => Some(goal.clone()),
            Aim::End { .. } | Aim::Backup { .. } => None,
        }
    }
}

/// Resolves what was asked for to what is aimed at. Of the facts, only how timelines go on in others is looked at.
///
/// # Errors
///
/// [`PlanError`] when the target lies in the future, nothing is in the store, or it is not clear which timeline is meant.
pub fn resolve_aim(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
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
    if let Some(timeline) = &request.timeline {
        let known = TimelineSpan::named(catalog, |_| true);
        if known.iter().all(|span| span.id != *timeline) {
            return Err(PlanError::UnknownTimeline { timeline: timeline.clone(), known });
        }
    }
    match (&request.target, request.backup) {
        (Target::Time { at, .. } | Target::NoPitr { at: Some(at) } | Target::Cut(Goal::Moment(at)), _) if *at > now => {
            Err(PlanError::TargetInFuture { target: *at, now })
        }
        (Target::Time { at, exact }, _) => {
            let floored = if *exact { *at } else { floor_time(*at, config.pitr_round_minutes) };
            Ok(Aim::Moment { at: floored, asked: (floored != *at).then_some(*at), latest: false })
        }
        (Target::Cut(Goal::Moment(at)), _) => Ok(Aim::Moment { at: *at, asked: None, latest: false }),
        (Target::Cut(goal), _) => Ok(Aim::Cut { goal: goal.clone() }),
        (Target::End, Some(ts)) => {
            let backup = catalog.backup(ts).ok_or_else(|| unknown_backup(catalog, ts))?;
            let own = locate(catalog, backup)?;
            let timeline = own.timeline().to_owned();
            match &request.timeline {
                Some(id) if *id == timeline => Ok(Aim::End { timeline, asked: true }),
                Some(id) if led_to(catalog, facts, backup, &own).iter().any(|(run, _)| run.timeline() == id) => {
                    Ok(Aim::End { timeline: id.clone(), asked: true })
                }
                Some(id) => Err(PlanError::NoBackupInTimeline { timeline: id.clone(), target: "its end".into() }),
                None => Ok(Aim::End { timeline, asked: true }),
            }
        }
        (Target::End, None) => end_aim((catalog, facts), now, request.timeline.as_deref(), true),
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
        (Target::Latest, None) => latest_aim(config, (catalog, facts), now, request.timeline.as_deref()),
    }
}

/// A usable backup and a gap-free piece that it leads to.
struct Placed<'a> {
    backup: &'a Backup,
    run: Stretch<'a>,
    /// Up to where the piece holds everything.
    reach: Option<DateTime<Utc>>,
    /// Where the piece is another server's: the timeline that is left for it, if that has nothing that the other one lacks.
    ends: Option<String>,
}

/// Usable backups whose place in the archive is known, the newest first, and what they lead to.
fn placed<'a>((catalog, facts): (&'a Catalog, &Facts), now: DateTime<Utc>, timeline: Option<&str>) -> Vec<Placed<'a>> {
    let usable = candidates(catalog, now).into_iter().filter(|backup| catalog.is_whole(backup.ts()));
    let mut placed = Vec::new();
    for backup in usable {
        let Ok(own) = locate(catalog, backup) else { continue };
        let reach = own.reaches().map(|reach| reach.at());
        placed.push(Placed { backup, run: own, reach, ends: None });
        for (run, place) in led_to(catalog, facts, backup, &own) {
            let reach = if place.promoted { run.reaches() } else { run.newest() };
            let ends = place.left_behind.is_none().then(|| own.timeline().to_owned());
            placed.push(Placed { backup, run, reach: reach.map(|reach| reach.at()), ends });
        }
    }
    placed.retain(|placed| timeline.is_none_or(|id| placed.run.timeline() == id));
    placed
}

/// The latest reachable moment, floored: where the binlogs after some usable backup end. Where nothing is floored, or no
/// backup reaches the floored moment, it is the end of the archive: a moment would leave out the transactions of its own
/// second. Where nothing is archived after the newest backup, it is that backup.
fn latest_aim(
    config: &Config,
    (catalog, facts): (&Catalog, &Facts),
    now: DateTime<Utc>,
    timeline: Option<&str>,
) -> Result<Aim, PlanError> {
    let reaches: Vec<(DateTime<Utc>, DateTime<Utc>)> = placed((catalog, facts), now, timeline)
        .into_iter()
        .filter_map(|placed| Some((placed.backup.ended_at, placed.reach?)))
        .filter(|(ended, reach)| reach >= ended)
        .collect();
    let newest = candidates(catalog, now).into_iter().find(|backup| catalog.is_whole(backup.ts()));
    let newest = newest.filter(|_| timeline.is_none()).map(|backup| backup.ended_at);
    match reaches.iter().map(|(_, reach)| *reach).max() {
        Some(reach) if newest.is_none_or(|newest| reach > newest) => {
            let floored = floor_time(reach, config.pitr_round_minutes);
            let reachable = reaches.iter().any(|(ended, reach)| *ended <= floored && floored <= *reach);
            if reachable && floored != reach {
                return Ok(Aim::Moment { at: floored, asked: Some(reach), latest: true });
            }
            end_aim((catalog, facts), now, timeline, false)
        }
        _ => end_aim((catalog, facts), now, timeline, false),
    }
}

/// Whether binlogs are archived that come behind the one that a backup stands in, by their names; those that were archived since it was
/// taken, so that names of before a reset do not count. Times do not tell: the server's clock may have been behind.
fn goes_on_behind(catalog: &Catalog, backup: &Backup) -> bool {
    let Ok(place) = backup.coordinates() else { return false };
    catalog.binlogs.iter().any(|file| {
        file.name.base() == place.file.base()
            && file.name.number() > place.file.number()
            && file.transactions != Some(0)
            && file.archived_at.is_some_and(|at| at > backup.ended_at)
    })
}

/// The end of the archive: of the timeline of the newest usable backup, or of the one that goes on behind that backup.
fn end_aim(
    (catalog, facts): (&Catalog, &Facts),
    now: DateTime<Utc>,
    timeline: Option<&str>,
    asked: bool,
) -> Result<Aim, PlanError> {
    let placed = placed((catalog, facts), now, timeline);
    if let Some(id) = timeline {
        return match placed.is_empty() {
            true => Err(PlanError::NoBackupInTimeline { timeline: id.to_owned(), target: "its end".into() }),
            false => Ok(Aim::End { timeline: id.to_owned(), asked }),
        };
    }
    let Some(newest) = candidates(catalog, now).into_iter().find(|backup| catalog.is_whole(backup.ts())) else {
        return Err(no_backup_before(catalog, now));
    };
    // A timeline that goes on behind the newest backup belongs to a server that was live then.
    let mut live: Vec<&str> = Vec::new();
    let mut ended: Vec<&str> = Vec::new();
    for Placed { backup, run, reach, ends } in &placed {
        let behind = reach.is_some_and(|reach| reach > newest.ended_at);
        let own = ends.is_none()
            && backup.ts() == newest.ts()
            && locate(catalog, backup).is_ok_and(|own| own.timeline() == run.timeline());
        if (own || behind) && !live.contains(&run.timeline()) {
            live.push(run.timeline());
        }
        if behind {
            ended.extend(ends.as_deref());
        }
    }
    // All of what goes on without a loss in another server's binlogs is there too.
    live.retain(|id| !ended.contains(id));
    let mut spans = TimelineSpan::named(catalog, |_| true);
    spans.retain(|span| !ended.contains(&span.id.as_str()));
    match live.as_slice() {
        [] => {
            let later = spans.iter().any(|span| span.to.is_some_and(|to| to.at() > newest.ended_at));
            match later || goes_on_behind(catalog, newest) {
                true if asked => Err(locate(catalog, newest).err().unwrap_or_else(|| no_backup_before(catalog, now))),
                true => Ok(Aim::Backup { ts: newest.ts(), why: NoReplay::NotArchived }),
                false => Ok(Aim::Backup { ts: newest.ts(), why: NoReplay::NothingLater }),
            }
        }
        [id] => {
            // Which of the two ends later may be a matter of a second, in which servers replaced each other.
            let later = spans.iter().find(|span| span.id != *id && span.to.is_some_and(|to| to.at() > newest.ended_at));
            match later {
                Some(span) if asked => Err(PlanError::NoBackupInTimeline {
                    timeline: span.id.clone(),
                    target: "the end of the archive".into(),
                }),
                _ => Ok(Aim::End { timeline: (*id).to_owned(), asked }),
            }
        }
        several => Err(PlanError::AmbiguousTimeline {
            target: "the end of the archive".into(),
            candidates: TimelineSpan::named(catalog, |id| several.contains(&id)),
        }),
    }
}
