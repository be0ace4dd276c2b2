//! Judges a trial of a new incremental that failed: what it shows of the backup is noted in the store.

use super::{Finished, RunError, Running};
use crate::{
    execute::{Event, ExecuteError},
    plan::{Plan, Step, Trial},
    record::{record_unusable, recorded_link},
};
use serde::{Deserialize, Serialize};

/// A backup that cannot be applied, as a run found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusableBackup {
    /// The backup.
    pub backup: String,
    /// Why.
    pub reason: String,
    /// Whether the store bears the mark, so that nothing rests on the backup any more.
    pub marked: bool,
}

/// The trial that a step belongs to, where its failure ends no run: whoever asked the run to stop, or took its lock, ends it.
pub(super) fn tried<'a>(plan: &'a Plan, number: usize, error: &RunError) -> Option<&'a Trial> {
    let trial = plan.trial.as_ref().filter(|trial| number >= trial.from)?;
    match error {
        RunError::Execute(error) if error.signal().is_none() && !matches!(error, ExecuteError::Store(_)) => Some(trial),
        _ => None,
    }
}

/// Notes what a failed trial shows.
pub(super) fn judge(trial: &Trial, step: &Step, error: &RunError, running: &Running<'_>, finished: &mut Finished) {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let applied = match step {
        Step::RunTool(run) => run.applies,
        _ => None,
    };
    let proven = match error {
        RunError::Execute(ExecuteError::Tool { problem, .. }) => applied.filter(|_| problem.is_of_the_backup()),
        _ => None,
    };
    let Some(link) = proven.and_then(|ts| recorded_link(running.store, &trial.backup, ts)) else {
        finished.incomplete.push(format!(
            "{} was not tried to its end ({error}{cause}): whether it can be applied is not known",
            trial.backup
        ));
        return;
    };
    let reason = match error {
        RunError::Execute(ExecuteError::Tool { problem, .. }) => {
            format!("a trial could not apply it: {}", problem.with_its_line())
        }
        _ => format!("a trial could not apply it: {error}"),
    };
    let marked = match running.session {
        Some(session) => record_unusable(session, &link, &reason).map_err(|error| error.to_string()),
        None => Err("the store is not locked".to_owned()),
    };
    if let Err(problem) = &marked {
        running.reporter.report(&Event::Warning { text: &format!("{link} could not be marked: {problem}") });
    }
    let rests = if link.to_string() == trial.backup { String::new() } else { format!(", nor {} on it", trial.backup) };
    finished.incomplete.push(match &marked {
        Ok(()) => {
            format!("{link} cannot be applied{rests}: {reason}; restores pass it over, and the next backup is a full")
        }
        Err(problem) => format!("{link} cannot be applied{rests}: {reason}; that could not be noted: {problem}"),
    });
    finished.unusable.push(UnusableBackup { backup: link.to_string(), reason, marked: marked.is_ok() });
}
