//! A slow, obvious oracle of restores. It knows the history's events and copies; it shares no code with the planner.

use super::places;
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use dbbak_core::{
    model::{BackupKind, Stamp},
    plan::{Plan, PlanError, RestoreReport, Step, Summary},
};
use dbbak_testkit::history::{ArchivedCopy, Happening, History, TakenBackup};

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ask {
    /// A moment as it stands.
    Exact(DateTime<Utc>),
    /// A moment, floored to a quarter of an hour.
    Floored(DateTime<Utc>),
    /// Nothing in particular.
    Latest,
    /// A backup as it is.
    Backup(Stamp),
    /// The newest backup up to a moment, as it is.
    NoPitr(DateTime<Utc>),
    /// Right after a transaction, or right before it: its file (a place in `History::files`) and its place there.
    Gtid { file: usize, place: usize, included: bool },
    /// An offset in a file, the timeline named or not.
    Position { file: usize, position: u64, named: bool },
    /// The very end of the archive.
    End,
}

/// What the server held just before a moment.
pub(crate) fn live(history: &History, at: DateTime<Utc>) -> Vec<usize> {
    let mut state = Vec::new();
    for (time, happening) in &history.happened {
        match happening {
            _ if *time >= at => {}
            Happening::Committed(number) => state.push(*number),
            Happening::Replaced(by) => state.clone_from(by),
        }
    }
    state
}

/// The backups that must be restored one after the other, if the store has them all.
pub(super) fn chain<'a>(history: &'a History, last: &'a TakenBackup) -> Option<Vec<&'a TakenBackup>> {
    let mut chain = vec![last];
    while let Some(parent) = chain[0].parent {
        chain.insert(0, history.backups.iter().find(|backup| backup.id.ts == parent)?);
    }
    chain.iter().all(|backup| !backup.lost).then_some(chain)
}

/// The copy of a binlog that holds most.
pub(super) fn best_copy(history: &History, file: usize) -> Option<&ArchivedCopy> {
    let copies = history.archived.iter().filter(|copy| copy.file == file && !copy.lost);
    copies.max_by_key(|copy| (copy.transactions, !copy.partial))
}

/// The moment up to which the archive is known to hold everything after a backup, and the times of what it holds.
pub(super) fn known(history: &History, backup: &TakenBackup) -> (Option<DateTime<Utc>>, Vec<DateTime<Utc>>) {
    let (mut until, mut times, mut file) = (None, Vec::new(), backup.file);
    while let Some(copy) = best_copy(history, file) {
        let log = &history.files[file];
        let there = &log.transactions[..copy.transactions];
        times.extend(there.iter().map(|transaction| transaction.time));
        let end = match (copy.damaged, copy.partial) {
            (true, _) => there.last().map(|transaction| whole_second(transaction.time)),
            (false, true) => known_of_partial(history, file, copy),
            (false, false) => log.closed.map(whole_second),
        };
        until = until.max(end);
        let next = history.files.get(file + 1);
        if copy.damaged || copy.partial || next.is_none_or(|next| next.history != log.history) {
            break;
        }
        file += 1;
    }
    (until, times)
}

/// The moment up to which a file is known that was saved while it was open: to the end of its last event's second.
pub(super) fn known_of_partial(history: &History, file: usize, copy: &ArchivedCopy) -> Option<DateTime<Utc>> {
    let log = &history.files[file];
    let times = log.transactions[..copy.transactions].iter().map(|transaction| transaction.time);
    Some(copy.at.min(whole_second(times.max().unwrap_or(log.opened)) + TimeDelta::seconds(1)))
}

fn whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    at.with_nanosecond(0).unwrap_or(at)
}

/// Whether a restore from a backup to a moment is possible.
fn reaches(history: &History, backup: &TakenBackup, at: DateTime<Utc>) -> bool {
    let (until, times) = known(history, backup);
    let far_enough = until.is_some_and(|until| at <= until) || times.iter().any(|time| *time >= at);
    chain(history, backup).is_some() && backup.ended_at <= at && far_enough
}

fn reachable(history: &History, at: DateTime<Utc>) -> bool {
    history.backups.iter().any(|backup| reaches(history, backup, at))
}

fn quarter(at: DateTime<Utc>) -> DateTime<Utc> {
    whole_second(at) - TimeDelta::seconds(i64::from(at.minute() % 15 * 60 + at.second()))
}

/// The newest backup up to a moment that can be restored as it is.
pub(super) fn newest(history: &History, at: DateTime<Utc>) -> Option<&TakenBackup> {
    let usable = history.backups.iter().filter(|backup| backup.ended_at <= at && chain(history, backup).is_some());
    usable.max_by_key(|backup| backup.ended_at)
}

/// The state that a restore shall reach; `None` when none is possible.
pub(crate) fn expected(history: &History, ask: Ask) -> Option<Vec<usize>> {
    let moment = |at| reachable(history, at).then(|| live(history, at));
    match ask {
        Ask::Exact(at) => moment(at),
        Ask::Floored(at) => moment(quarter(at)),
        Ask::Backup(ts) => {
            let backup = history.backups.iter().find(|backup| backup.id.ts == ts)?;
            chain(history, backup).map(|_| backup.state.clone())
        }
        Ask::NoPitr(at) => newest(history, at).map(|backup| backup.state.clone()),
        Ask::Latest => {
            let usable = history.backups.iter().filter(|backup| chain(history, backup).is_some());
            let reach = usable.filter_map(|backup| known(history, backup).0.filter(|until| *until >= backup.ended_at));
            let newest = newest(history, history.now)?;
            match reach.max() {
                Some(reach) if reach > newest.ended_at => {
                    let floored = quarter(reach);
                    if reachable(history, floored) && floored != reach {
                        moment(floored)
                    } else {
                        places::at_the_end(history, false)
                    }
                }
                _ if best_copy(history, newest.file).is_some() => places::at_the_end(history, false),
                _ => Some(newest.state.clone()),
            }
        }
        Ask::End => places::at_the_end(history, true),
        Ask::Gtid { file, place, included } => places::around(history, file, place, included),
        Ask::Position { file, position, named } => places::at(history, file, position, named),
    }
}

/// What a plan would leave, by the history's own books.
fn planned(history: &History, plan: &Plan) -> Result<Vec<usize>, String> {
    let Summary::Restore { report } = &plan.summary else { return Err("it is no restore".into()) };
    let mut state = chain_state(history, report)?;
    let unpacks = plan.steps.iter().filter_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack),
        _ => None,
    });
    for unpack in unpacks {
        let before = state.len();
        for (place, entry) in unpack.files.iter().enumerate() {
            let copy = history.copy_of(entry).ok_or_else(|| format!("{} was never archived", entry.name))?;
            let start = if place == 0 { unpack.start } else { 0 };
            let stop = unpack.stop.filter(|_| place + 1 == unpack.files.len()).unwrap_or(u64::MAX);
            let there = history.copied(copy).iter();
            let inside = there.filter(|transaction| transaction.start >= start && transaction.end <= stop);
            state.extend(inside.map(|transaction| transaction.number));
        }
        let found = (state.len() - before) as u64;
        if unpack.transactions.is_some_and(|said| said != found) {
            return Err(format!("the plan says {:?} transactions, there are {found}", unpack.transactions));
        }
    }
    Ok(state)
}

fn chain_state(history: &History, report: &RestoreReport) -> Result<Vec<usize>, String> {
    let ids: Vec<&str> = report.chain.iter().map(|backup| backup.backup.as_str()).collect();
    let last = history.backups.iter().find(|backup| Some(&*backup.id.to_string()) == ids.last().copied());
    let last = last.ok_or("the chain ends with no backup")?;
    let links = chain(history, last).ok_or("the chain has lost a backup")?;
    let links: Vec<String> = links.iter().map(|backup| backup.id.to_string()).collect();
    if links != ids {
        return Err(format!("the chain is {ids:?} and should be {links:?}"));
    }
    Ok(last.state.clone())
}

/// Whether the answer to a request is right.
pub(crate) fn judge(history: &History, ask: Ask, answer: &Result<Plan, PlanError>) -> Result<(), String> {
    match (answer, expected(history, ask)) {
        (Ok(plan), Some(expected)) => {
            let found = planned(history, plan)?;
            let fits = found == expected;
            fits.then_some(()).ok_or_else(|| format!("{ask:?}: the plan leads to {found:?}, not to {expected:?}"))
        }
        (Ok(_), None) => Err(format!("{ask:?}: a plan where none is possible")),
        (Err(error), Some(_)) => Err(format!("{ask:?}: refused, although a plan exists: {error}")),
        (Err(error), None) => refusal(history, ask, error).map_err(|why| format!("{ask:?}: {error}: {why}")),
    }
}

/// Whether what an error says is so.
fn refusal(history: &History, ask: Ask, error: &PlanError) -> Result<(), String> {
    if matches!(ask, Ask::Gtid { .. } | Ask::Position { .. } | Ask::End) {
        return places::refusal(history, ask, error);
    }
    let kept = || history.backups.iter().filter(|backup| !backup.lost);
    let find = |ts: &Stamp| kept().find(|backup| backup.id.ts == *ts);
    let (Ask::Exact(at) | Ask::NoPitr(at)) = ask else {
        let Ask::Floored(at) = ask else { return Ok(()) };
        return refusal(history, Ask::Exact(quarter(at)), error);
    };
    let latest_holds = |latest: &Option<DateTime<Utc>>| match latest {
        Some(latest) if !reachable(history, *latest) => Err(format!("{latest} cannot be reached either")),
        Some(latest) if *latest >= at => Err(format!("{latest} is not before the target")),
        _ => Ok(()),
    };
    let archived = |backup: &TakenBackup, name| {
        let of = history.files[backup.file].history;
        let file =
            |copy: &&ArchivedCopy| history.files[copy.file].history == of && history.files[copy.file].name == name;
        history.archived.iter().filter(|copy| !copy.lost).any(|copy| file(&copy))
    };
    let says = |so: bool| so.then_some(()).ok_or_else(|| "it is not so".to_owned());
    match error {
        PlanError::NoFull => says(kept().all(|backup| backup.id.kind() == BackupKind::Incremental)),
        PlanError::NoFullBefore { target, .. } => {
            says(*target == at && kept().all(|backup| backup.ended_at > at || chain(history, backup).is_none()))
        }
        PlanError::MissingParent { child, parent: Some(parent) } => {
            says(find(child).is_some_and(|child| child.parent == Some(*parent)) && find(parent).is_none())
        }
        PlanError::TargetBeyondBinlogs { target, latest, .. } => {
            says(*target == at).and_then(|()| latest_holds(latest))
        }
        PlanError::BinlogGap { backup, after, latest, .. } => {
            let backup = find(backup).ok_or("no such backup")?;
            says(archived(backup, after.clone()) && !archived(backup, after.successor()))?;
            latest_holds(latest)
        }
        PlanError::DamagedBinlog { latest, .. } => latest_holds(latest),
        PlanError::CoordinatesNotArchived { backup, coordinates } => {
            let backup = find(backup).ok_or("no such backup")?;
            says(!archived(backup, coordinates.file.clone()))
        }
        _ => Err("it has no reason to say so".into()),
    }
}
