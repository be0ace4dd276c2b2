//! `dbbak restore`.

use super::{fall_back::another_way, plan_and_run};
use crate::{
    CommandError,
    args::{CheckArg, ReplayArg, RestoreArgs},
    context::Context,
    exit_code,
    messages::{Weight, say},
    output,
};
use chrono::{DateTime, Utc};
use dbbak_core::{
    model::{Goal, Target, floor_time},
    plan::{FinishRequest, PlanError, ReplayWay, RestoreRequest},
    run::{Command, RunError},
    tools::CheckWay,
};
use uuid::Uuid;

pub(super) fn run(context: &Context, args: &RestoreArgs) -> Result<u8, CommandError> {
    let target = target_of(args);
    if let Some(time) = args.time.filter(|time| time.relative && args.exec.exec) {
        let exact = if args.exact { " --exact" } else { "" };
        let text = format!(
            "--time means {} UTC; to go on with this restore later, give it as --time \"{}\"{exact}",
            time.at.format("%Y-%m-%d %H:%M:%S"),
            time.at.format("%Y-%m-%d %H:%M:%S%.f")
        );
        say(Weight::Detail, &text);
    }
    let workdir = args.workdir.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let mut request = RestoreRequest {
        id: Uuid::new_v4(),
        target,
        backup: args.backup,
        avoid: Vec::new(),
        raw_only: false,
        timeline: args.timeline.clone(),
        workdir,
        replay: match args.replay {
            ReplayArg::Auto => ReplayWay::Auto,
            ReplayArg::Relay => ReplayWay::Relay,
            ReplayArg::Pipe => ReplayWay::Pipe,
        },
        skip: args.skip_gtid.clone(),
        finish: finish_of(args),
    };
    let mut first = None;
    let done = loop {
        let ran = plan_and_run(context, Command::Restore, args.exec.exec, &|| context.planning().restore(&request));
        match ran {
            Ok(done) => break done,
            Err(error) => {
                if let Some(text) = floored(context, &request, &error) {
                    say(Weight::Important, &text);
                }
                request = another_way(context, &request, &error, &mut first).ok_or(error)?;
            }
        }
    };
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let Some(report) = &done.finished.report else { return Ok(exit_code::BUG) };
    if context.json {
        output::json(report)?;
    } else {
        output::text(&format!("{}\n", report.datadir.display()))?;
    }
    Ok(exit_code::DONE)
}

/// Where no plan is possible, that the time asked for is not the one that was looked for.
fn floored(context: &Context, request: &RestoreRequest, error: &CommandError) -> Option<String> {
    let CommandError::Run(RunError::Plan(error)) = error else { return None };
    let Target::Time { at, exact: false } = request.target else { return None };
    let minutes = context.config.pitr_round_minutes;
    let floor = floor_time(at, minutes);
    // That one has it as a hint.
    if floor == at || matches!(error, PlanError::NoFullBefore { .. }) {
        return None;
    }
    let text = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S%.f").to_string();
    Some(format!(
        "{} UTC was floored to {} UTC (pitr_round_minutes: {minutes}); --exact takes it as it stands",
        text(at),
        text(floor)
    ))
}

/// What is done with the restored data at the end.
fn finish_of(args: &RestoreArgs) -> FinishRequest {
    FinishRequest {
        check: match args.check {
            CheckArg::None => CheckWay::None,
            CheckArg::Fast => CheckWay::Fast,
            CheckArg::Full => CheckWay::Full,
        },
        owner: args.owner.clone(),
        with_binlogs: args.with_binlogs,
        catch_up: args.catch_up_from.clone(),
        catch_up_login: args
            .catch_up_login
            .as_ref()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        max_lag_seconds: args.max_lag,
    }
}

/// The arguments exclude each other.
fn target_of(args: &RestoreArgs) -> Target {
    match args {
        _ if args.no_pitr => Target::NoPitr { at: args.time.map(|time| time.at) },
        RestoreArgs { time: Some(time), .. } => Target::Time { at: time.at, exact: args.exact },
        RestoreArgs { gtid: Some(gtid), .. } => Target::Cut(Goal::After(gtid.clone())),
        RestoreArgs { before_gtid: Some(gtid), .. } => Target::Cut(Goal::Before(gtid.clone())),
        RestoreArgs { position: Some(position), .. } => Target::Cut(Goal::Position(position.clone())),
        RestoreArgs { latest: true, .. } => Target::End,
        _ if !args.catch_up_from.is_empty() && args.backup.is_none() => Target::End,
        _ => Target::Latest,
    }
}
