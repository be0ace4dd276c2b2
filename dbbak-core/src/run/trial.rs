//! Judges a trial of a new incremental that failed: what it shows of the backup is noted in the store.

use super::{Finished, RunError, Running};
use crate::{
    execute::{CopyState, Event, ExecuteError, Walk},
    plan::{Plan, RunTool, Step, Trial},
    record::{record_unusable, recorded_link},
    tools::ToolRunError,
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

/// What a failed prepare may show of the link that it applied.
#[derive(Clone, Copy)]
struct Shown<'a> {
    run: &'a RunTool,
    problem: &'a ToolRunError,
    copy: &'a CopyState,
}

fn shown<'a>(step: &'a Step, error: &'a RunError) -> Option<Shown<'a>> {
    let Step::RunTool(run) = step else { return None };
    let RunError::Execute(ExecuteError::Tool { problem, copy, .. }) = error else { return None };
    (run.applies.is_some() && problem.is_of_the_backup()).then_some(Shown { run, problem, copy })
}

/// The trial that a step belongs to, where its failure ends no run: whoever asked the run to stop, or took its lock, ends it.
pub(super) fn tried<'a>(plan: &'a Plan, number: usize, error: &RunError) -> Option<&'a Trial> {
    plan.trial.as_ref().filter(|trial| number >= trial.from && ends_no_run(error))
}

/// Whether a failure in a trial says something of the backup, or that it could not be tried.
pub(super) fn ends_no_run(error: &RunError) -> bool {
    matches!(error, RunError::Execute(error) if error.signal().is_none() && !matches!(error, ExecuteError::Store(_)))
}

/// Tries once more, on fresh copies, where a first failure may be the backup's own. `None`: it says nothing of the backup, or there is no
/// other way to try it. The steps are told as those that follow `from`.
pub(super) fn once_more<'a>(
    trial: &'a Trial,
    (step, error): (&Step, &RunError),
    walk: &mut Walk<'_>,
    cause: impl Fn(ExecuteError) -> ExecuteError,
) -> Option<Result<(), (&'a Step, RunError)>> {
    shown(step, error)?;
    if trial.again.is_empty() {
        return None;
    }
    let of = trial.from + trial.again.len();
    for (number, step) in trial.again.iter().enumerate() {
        if let Err(error) = walk.step(step, (trial.from + number + 1, of)) {
            return Some(Err((step, RunError::from(cause(error)))));
        }
    }
    Some(Ok(()))
}

/// Notes what a failed trial shows: a link is marked where a second try on whole copies has failed alike.
pub(super) fn judge(
    trial: &Trial,
    (step, error): (&Step, &RunError),
    second: Option<Result<(), (&Step, RunError)>>,
    running: &Running<'_>,
    finished: &mut Finished,
) {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let backup = &trial.backup;
    let unknown = |why: String| {
        format!("{backup} was not tried to its end ({error}{cause}){why}: whether it can be applied is not known")
    };
    let second = match second {
        None => return finished.incomplete.push(unknown(String::new())),
        Some(Ok(())) => {
            let text = format!(
                "a first trial of {backup} failed ({error}), and a second one on fresh copies applied it: nothing is marked"
            );
            return finished.warnings.push(text);
        }
        Some(Err(second)) => second,
    };
    let (Some(first), Some(again)) = (shown(step, error), shown(second.0, &second.1)) else {
        return finished.incomplete.push(unknown(format!(", nor a second time ({})", second.1)));
    };
    match again.copy {
        _ if first.run.applies != again.run.applies || !first.problem.is_like(again.problem) => {
            return finished.incomplete.push(unknown(format!(", and in another way the second time ({})", second.1)));
        }
        CopyState::Changed { path } => {
            let why = format!("; somebody else removed or changed {} while it was tried", path.display());
            return finished.incomplete.push(unknown(why));
        }
        CopyState::Unverified => {
            let why = "; what was tried could not be compared with what was recorded".to_owned();
            return finished.incomplete.push(unknown(why));
        }
        CopyState::Whole => {}
    }
    let Some(link) = again.run.applies.and_then(|link| recorded_link(running.store, backup, link)) else {
        return finished.incomplete.push(unknown(String::new()));
    };
    let reason = format!("a trial could not apply it, twice alike on fresh copies: {}", again.problem.with_its_line());
    let marked = match running.session {
        Some(session) => {
            record_unusable(session, &link, &reason, running.clock.now()).map_err(|error| error.to_string())
        }
        None => Err("the store is not locked".to_owned()),
    };
    if let Err(problem) = &marked {
        running.reporter.report(&Event::Warning { text: &format!("{link} could not be marked: {problem}") });
    }
    let rests = if link.to_string() == *backup { String::new() } else { format!(", nor {backup} on it") };
    finished.incomplete.push(match &marked {
        Ok(()) => {
            format!("{link} cannot be applied{rests}: {reason}; restores pass it over, and the next backup is a full")
        }
        Err(problem) => format!("{link} cannot be applied{rests}: {reason}; that could not be noted: {problem}"),
    });
    finished.unusable.push(UnusableBackup { backup: link.to_string(), reason, marked: marked.is_ok() });
}
