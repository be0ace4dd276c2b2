//! `dbbak unmark`.

use super::plan_and_run;
use crate::{CommandError, args::UnmarkArgs, context::Context, exit_code, output};
use dbbak_core::{
    plan::{Step, UnmarkRequest},
    run::{Command, RunError},
};
use serde_json::json;

pub(super) fn run(context: &Context, args: &UnmarkArgs) -> Result<u8, CommandError> {
    let request = UnmarkRequest { backup: args.backup, note: args.reason.clone() };
    let done = plan_and_run(context, Command::Unmark, args.exec.exec, &|| context.planning().unmark(&request));
    let Some(done) = done.map_err(|error| still_marked(args, error))? else { return Ok(exit_code::DONE) };
    let Some(Step::TakeMarkOff(mark)) = done.plan.steps.last() else { return Ok(exit_code::BUG) };
    if context.json {
        output::json(&json!({
            "version": 1, "backup": mark.backup, "unmarked": true, "said": mark.said, "because": mark.because,
            "by": mark.by, "reason": mark.note, "warnings": done.finished.warnings,
        }))?;
    } else {
        output::text(&format!("{}: the mark is taken off ({})\n", mark.backup, mark.because))?;
    }
    Ok(exit_code::DONE)
}

/// Says of a trial that failed what it comes to.
fn still_marked(args: &UnmarkArgs, error: CommandError) -> CommandError {
    let ran = |error: &CommandError| matches!(error, CommandError::Run(RunError::Execute(_)));
    match &error {
        CommandError::OutOfSpace { error: cause, .. } if ran(cause) => {}
        error if ran(error) => {}
        _ => return error,
    }
    CommandError::StillMarked { backup: args.backup, error: Box::new(error) }
}
