//! Carries a plan out: checks it, walks its steps, enters what they bring, and cleans up behind a failure.

pub use super::trial::UnusableBackup;
use super::{RunError, trial};
use crate::{
    clock::Clock,
    execute::{
        CopyState, Effects, Event, ExecuteError, Executor, JournalWriter, LeaseWatch, Outcome, Reporter, TreeError,
        Walk, discard, kept_keyring, write_report,
    },
    plan::{Plan, RestoreReport, Step, Touch, check_runnable, not_in_log, touch},
    record::{
        RecordError, discard_stored, record_backup, record_binlog, record_broken_tables, record_indexed,
        record_mark_off, record_server_files, record_standing, record_timelines, record_trees, record_unusable,
        remove_orphans,
    },
    store::{LockScope, PitrState, Session, StoreError, StoreKey, StoreReader, read_version},
    tools::ToolRunError,
};
use std::path::PathBuf;

/// What running needs.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The store's read side.
    pub store: &'a dyn StoreReader,
    /// The locks; a restore can do without where the store cannot be written.
    pub session: Option<&'a dyn Session>,
    /// Starts programs.
    pub executor: &'a dyn Executor,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Takes what is to be said.
    pub reporter: &'a dyn Reporter,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// What it found out.
    pub outcome: Outcome,
    /// The report of a restore.
    pub report: Option<RestoreReport>,
    /// What could not be done all the same.
    pub incomplete: Vec<String>,
    /// What the user must know.
    pub warnings: Vec<String>,
    /// Backups that cannot be applied, as this run found them.
    pub unusable: Vec<UnusableBackup>,
}

/// Checks a plan that is about to be carried out, wherever it comes from: it keeps the rules, is for this store, and the
/// store is as it was when the plan was made.
fn check_before(plan: &Plan, store: &dyn StoreReader) -> Result<(), RunError> {
    if let Some(violation) = check_runnable(plan).into_iter().next() {
        return Err(RunError::Broken(violation));
    }
    let root = store.local_dir().map(|dir| dir.root().to_owned());
    if let (Some(planned), found) = (&plan.store, &root)
        && found.as_ref() != Some(planned)
    {
        return Err(RunError::OtherStore { planned: planned.display().to_string(), found: store.describe() });
    }
    for from in &plan.made_from {
        let found = read_version(store, &from.key)?.map(|(_, version)| version.0);
        if found != from.content {
            return Err(RunError::Outdated { key: from.key.clone() });
        }
    }
    Ok(())
}

/// Runs a plan as it stands, and enters into the store what it brings.
///
/// # Errors
///
/// [`RunError`]. What the run itself had begun is discarded; what was recorded before, or is recorded by now, stays.
pub fn run(plan: &Plan, running: &Running<'_>) -> Result<Finished, RunError> {
    let Running { store, session, executor, clock, reporter } = *running;
    check_before(plan, store)?;
    let watch = LeaseWatch::new(reporter, session, clock);
    let effects = Effects { store, session, executor, clock, reporter: &watch };
    let resume = plan.journal.as_ref().and_then(|journal| journal.resume.as_ref());
    let mut walk = resume.map_or_else(|| Walk::new(effects), |resume| Walk::go_on(effects, resume));
    let mut journal = JournalWriter::begin(plan, clock)?;
    let mut finished = Finished {
        outcome: Outcome::default(),
        report: None,
        incomplete: plan.incomplete.clone(),
        warnings: Vec::new(),
        unusable: Vec::new(),
    };
    for (number, step) in plan.steps.iter().enumerate() {
        if plan.trial.as_ref().is_some_and(|trial| trial.from == number) && !finished.unusable.is_empty() {
            // Its own files have shown it.
            break;
        }
        let result = journal
            .begun(step)
            .and_then(|()| walk.step(step, (number + 1, plan.steps.len())))
            .map_err(|error| RunError::from(watch.cause(error)))
            .and_then(|()| record(step, &walk, session, clock, &mut finished))
            .and_then(|()| Ok(journal.done(step, walk.outcome())?));
        let tried = result.as_ref().err().and_then(|error| Some((error, trial::tried(plan, number, error)?)));
        if let Some((error, tried)) = tried {
            let discard_copies =
                |walk: &Walk<'_>| discard(plan.discard_dirs.iter().filter(|dir| walk.made(dir)), reporter);
            discard_copies(&walk);
            let second = trial::once_more(tried, (step, error), &mut walk, |error| watch.cause(error));
            discard_copies(&walk);
            match second {
                Some(Err((_, error))) if !trial::ends_no_run(&error) => {
                    clean_up((plan, step), running, &error, (&walk, &journal));
                    return Err(error);
                }
                second => trial::judge(tried, (step, error), second, running, &mut finished),
            }
            break;
        }
        if let Err(error) = result {
            journal.failed(step, &error.to_string(), is_unproven(&error));
            mark_unusable(plan, running, &error, number);
            clean_up((plan, step), running, &error, (&walk, &journal));
            return Err(error);
        }
    }
    journal.end()?;
    finished.outcome = walk.into_outcome();
    Ok(finished)
}

fn record(
    step: &Step,
    walk: &Walk<'_>,
    session: Option<&dyn Session>,
    clock: &dyn Clock,
    finished: &mut Finished,
) -> Result<(), RunError> {
    let locked = || session.ok_or(RecordError::Incomplete { missing: "the lock" });
    let outcome = walk.outcome();
    match step {
        Step::KeepServerFiles { variables, broken, standing, to, .. } => {
            let tablespaces = outcome.backup.as_ref().and_then(|backup| backup.tablespaces.as_ref());
            let persisted = outcome.persisted.as_deref();
            let problems =
                record_server_files(locked()?, to, variables, (tablespaces, persisted), &outcome.server_files)?;
            let all = outcome.not_kept.iter().cloned().chain(problems);
            finished
                .warnings
                .extend(all.map(|problem| format!("not all of the server's settings were kept: {problem}")));
            let mut broken = broken.clone();
            broken.extend(outcome.backup.iter().flat_map(|backup| backup.broken.iter().cloned()));
            broken.sort();
            broken.dedup();
            record_broken_tables(locked()?, to, &broken)?;
            record_standing(locked()?, to, standing)?;
        }
        Step::RecordTrees(plan) => record_trees(locked()?, plan, outcome)?,
        Step::TakeMarkOff(plan) => record_mark_off(locked()?, plan, clock.now())?,
        Step::RecordBackup(plan) => {
            let entry = record_backup(locked()?, plan, outcome)?;
            if let Some(reason) = &entry.unusable {
                finished.unusable.push(UnusableBackup {
                    backup: entry.id().to_string(),
                    reason: reason.clone(),
                    marked: true,
                });
                finished.incomplete.push(format!(
                    "{} cannot be applied: {reason}; restores pass it over, and the next backup is a full",
                    entry.id()
                ));
            }
            if let Some(PitrState::No(reason)) = &entry.pitr {
                finished.warnings.push(format!("this backup cannot start a point-in-time recovery: {reason}"));
            }
        }
        Step::ShipBinlog(ship) if outcome.purged.last() == Some(&ship.entry.name) => {
            finished.incomplete.push(format!(
                "gap: {} was purged by the server before it could be archived (timeline {})",
                ship.entry.name,
                ship.entry.timeline.as_deref().unwrap_or("unknown")
            ));
        }
        Step::ShipBinlog(_) => {
            let entry = outcome.shipped.last().ok_or(RecordError::Incomplete { missing: "the archived binlog" })?;
            record_binlog(locked()?, entry)?;
            if let Some(damage) = &entry.damaged {
                let (name, what, last_good) = (&entry.name, &damage.what, damage.last_good);
                finished.incomplete.push(format!(
                    "binlog {name} is damaged ({what}): it was kept, and can be replayed up to byte {last_good}"
                ));
            }
        }
        Step::NameTimelines { names } => record_timelines(locked()?, names)?,
        Step::IndexBinlog(_) => {
            let indexed = outcome.indexed.last().ok_or(RecordError::Incomplete { missing: "the indexed binlog" })?;
            match &indexed.result {
                Ok(entry) => record_indexed(locked()?, entry)?,
                Err(problem) => finished.incomplete.push(format!("{} was not indexed: {problem}", indexed.stored_as)),
            }
        }
        Step::RemoveStored { keys } => {
            remove_orphans(locked()?, keys)?;
        }
        Step::WriteReport { path, report } => {
            let report = RestoreReport {
                finished_at: Some(clock.now()),
                proof: outcome.replay.clone(),
                not_in_log: not_in_log(&report.not_in_log, &outcome.untold),
                untold: outcome.untold.clone(),
                caught_up: outcome.caught_up.clone(),
                examination: outcome.examination.clone(),
                phases: outcome.phases.clone(),
                keyring: kept_keyring(report),
                ..(**report).clone()
            };
            write_report(path, &report)?;
            finished.report = Some(report);
        }
        _ => {}
    }
    Ok(())
}

/// Whether what was restored was looked at, and is not what was planned. A server that could not be asked, or did not end
/// well, is no such look: a full disk does that too, and the restore may begin anew.
fn is_unproven(error: &RunError) -> bool {
    let ended =
        |error: &ExecuteError| matches!(error, ExecuteError::Examination { .. } | ExecuteError::ServerStop { .. });
    matches!(error, RunError::Execute(error) if error.is_unproven() && !ended(error))
}

/// Whether the run's lock for writing belongs to someone else.
fn lost_lease(error: &RunError) -> bool {
    let lost = |error: &StoreError| matches!(error, StoreError::LeaseLost { scope, .. } if *scope != LockScope::Read);
    match error {
        RunError::Execute(ExecuteError::Store(error)) | RunError::Record(RecordError::Store(error)) => lost(error),
        RunError::Store(error) => lost(error),
        _ => false,
    }
}

/// Whether a restore that failed in a step may go on from what it has: a place was full, say, and has room again.
fn can_go_on(plan: &Plan, step: &Step, error: &RunError) -> bool {
    let passing = matches!(
        error,
        RunError::Execute(ExecuteError::Io { .. } | ExecuteError::Tree(TreeError::Io { .. }) | ExecuteError::Store(_))
    );
    plan.journal.is_some() && passing && !matches!(touch(step, plan.datadir()), Touch::Changes { .. })
}

/// Removes what a failed run had begun: what it has made itself, and nothing that the store's lists name. A restored data
/// directory that was not proven is kept for a look at it, and one that was proven is kept although its report could not be
/// written.
fn clean_up(
    (plan, step): (&Plan, &Step),
    running: &Running<'_>,
    error: &RunError,
    (walk, journal): (&Walk<'_>, &JournalWriter<'_>),
) {
    let outcome = walk.outcome();
    if lost_lease(error) {
        // What lies there may be somebody else's by now, who removes what dead runs have left.
        return;
    }
    match error {
        RunError::Execute(error) if error.is_unproven() => mark_unproven(plan, running, error, outcome),
        // Whoever ends a restore, or loses the session that it runs in, keeps at least what a power cut would leave.
        RunError::Execute(error) if error.signal().is_some() && plan.journal.is_some() => {}
        _ if outcome.replay.is_none() && !can_go_on(plan, step, error) => {
            let own = |dir: &&PathBuf| walk.made(dir) || journal.has_taken_over(dir);
            discard(plan.discard_dirs.iter().filter(own), running.reporter);
        }
        _ => {}
    }
    let Some(session) = running.session else { return };
    let own: Vec<&StoreKey> = plan.discard_on_failure.iter().filter(|key| walk.made_in_store(key)).collect();
    for text in discard_stored(session, &own) {
        running.reporter.report(&Event::Warning { text: &text });
    }
}

/// Marks a backup that was recorded before its prepare showed that the tool has left data out: nothing may rest on it. A prepare
/// that fails otherwise (of an option, of a full disk) says nothing of what was backed up.
fn mark_unusable(plan: &Plan, running: &Running<'_>, error: &RunError, failed: usize) {
    let RunError::Execute(ExecuteError::Tool { problem, copy, .. }) = error else { return };
    // Of a copy of which somebody took a part away it says nothing.
    let lossy = **copy == CopyState::Whole
        && problem.is_of_the_backup()
        && matches!(**problem, ToolRunError::Alarms { .. } | ToolRunError::DamageReported { .. });
    let recorded = plan.steps[..failed].iter().find_map(|step| match step {
        Step::RecordBackup(backup) => backup.backup_id(),
        _ => None,
    });
    let (true, Some(id), Some(session)) = (lossy, recorded, running.session) else { return };
    let text = match record_unusable(session, &id, &format!("its prepare failed: {problem}"), running.clock.now()) {
        Ok(()) => format!("{id} cannot be applied: restores pass it over, and the next backup is a full"),
        Err(problem) => format!("{id} cannot be applied, and that could not be noted: {problem}"),
    };
    running.reporter.report(&Event::Warning { text: &text });
}

/// Writes into the report of a restore that its data are not what they must be.
fn mark_unproven(plan: &Plan, running: &Running<'_>, error: &ExecuteError, outcome: &Outcome) {
    let Some(Step::WriteReport { path, report }) = plan.steps.last() else { return };
    let report = RestoreReport {
        unproven: Some(error.to_string()),
        examination: outcome.examination.clone(),
        phases: outcome.phases.clone(),
        keyring: kept_keyring(report),
        ..(**report).clone()
    };
    if let Err(problem) = write_report(path, &report) {
        running.reporter.report(&Event::Warning { text: &format!("the restored data could not be marked: {problem}") });
    }
}
