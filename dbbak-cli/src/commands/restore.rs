//! `dbbak restore`.

use super::plan_and_run;
use crate::{
    CommandError,
    args::{ReplayArg, RestoreArgs},
    context::Context,
    exit_code, output,
};
use dbbak_core::{
    model::Target,
    plan::{ReplayWay, RestoreRequest},
    run::Command,
};
use uuid::Uuid;

pub(super) fn run(context: &Context, args: &RestoreArgs) -> Result<u8, CommandError> {
    let target = match (args.time, args.no_pitr) {
        (at, true) => Target::NoPitr { at },
        (Some(at), false) => Target::Time { at, exact: args.exact },
        (None, false) => Target::Latest,
    };
    let workdir = args.workdir.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let request = RestoreRequest {
        id: Uuid::new_v4(),
        target,
        backup: args.backup,
        workdir,
        replay: match args.replay {
            ReplayArg::Auto => ReplayWay::Auto,
            ReplayArg::Relay => ReplayWay::Relay,
            ReplayArg::Pipe => ReplayWay::Pipe,
        },
        skip: args.skip_gtid.clone(),
    };
    let done = plan_and_run(context, Command::Restore, args.exec.exec, &|| context.planning().restore(&request))?;
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let Some(report) = &done.finished.report else { return Ok(exit_code::BUG) };
    if context.json {
        output::json(report)?;
    } else {
        output::text(&format!("{}\n", report.datadir.display()))?;
    }
    Ok(exit_code::DONE)
}
