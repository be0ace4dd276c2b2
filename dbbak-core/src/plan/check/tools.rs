//! Rules 3, 4 and 8: what the tools and the private server are told.

use super::{Broken, has, option};
use crate::{
    model::TreeName,
    plan::{Plan, RunTool, Step, Summary},
    tools::ToolKind,
};
use std::path::Path;

/// Rules 3 and 4: `--apply-log-only` stands on every XtraBackup prepare but the last, and never on mariadb-backup's; each
/// run must leave something to count as a success.
pub(super) fn prepares(plan: &Plan, broken: Broken<'_>) {
    let runs: Vec<&RunTool> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::RunTool(run) => Some(&**run),
            _ => None,
        })
        .collect();
    let prepares: Vec<&&RunTool> = runs.iter().filter(|run| has(&run.launch.command, "--prepare")).collect();
    // A trial ends as a restore does.
    let ends_redo_only = plan.trial.is_none()
        && matches!(&plan.summary, Summary::Backup { trees, .. } if !trees.contains(&TreeName::PreparedFinal));
    for (number, run) in prepares.iter().enumerate() {
        let last = number + 1 == prepares.len() && !ends_redo_only;
        let expected = run.expect.kind == ToolKind::Xtrabackup && !last;
        if has(&run.launch.command, "--apply-log-only") != expected {
            let word = if expected { "lacks" } else { "has" };
            broken(3, format!("prepare {} {word} --apply-log-only", number + 1));
        }
    }
    for pair in prepares.windows(2) {
        let finished = pair[0].dir == pair[1].dir && option(&pair[1].launch.command, "--incremental-dir").is_none();
        // What lies there may be another copy.
        let copied = |step: &&Step| matches!(step, Step::PassTree(pass) if pass.to.as_ref() == Some(&pair[1].dir));
        let runs = |step: &Step, run: &RunTool| matches!(step, Step::RunTool(found) if **found == *run);
        let between = plan.steps.iter().skip_while(|step| !runs(step, pair[0])).take_while(|step| !runs(step, pair[1]));
        if finished && !between.into_iter().any(|step| copied(&step)) {
            broken(3, format!("{} is prepared twice without an incremental", pair[1].dir.display()));
        }
    }
    for run in &runs {
        let prepares = has(&run.launch.command, "--prepare");
        let incremental = option(&run.launch.command, "--incremental-dir").map(Path::new);
        let wanted: Vec<&Path> = [Some(&*run.dir), incremental].into_iter().flatten().filter(|_| prepares).collect();
        let written: Vec<&Path> = run.options.iter().flat_map(|options| &options.dirs).map(|dir| &**dir).collect();
        if written != wanted {
            broken(4, format!("to {} would obey other option files than those that are written for it", run.title));
        }
    }
    for run in runs {
        if run.expect.files.is_empty() || run.expect.backup_type.is_none() {
            broken(4, format!("to {} succeeds without leaving anything", run.title));
        }
    }
}

/// Rule 8: the private server lets nobody in, and nothing in the data runs by itself.
pub(super) fn private_server(plan: &Plan, broken: Broken<'_>) {
    for step in &plan.steps {
        let (server, client) = match step {
            Step::Replay(replay) => (&replay.server, Some(&replay.client)),
            Step::Examine(step) => (&step.server, None),
            Step::CatchUp(step) => (&step.server, None),
            Step::OpenClone(open) => (&open.server, None),
            Step::TakeClone(take) => match &take.remote {
                Some(remote) => (&remote.server, Some(&take.launch)),
                None => continue,
            },
            Step::LoadDump(load) => (&load.server, Some(&load.client)),
            _ => continue,
        };
        let command = &server.launch.command;
        if !has(command, "--skip-networking") {
            broken(8, "the private server lacks --skip-networking".into());
        }
        if option(command, "--event-scheduler") != Some("OFF") {
            broken(8, "the private server would run events".into());
        }
        if !has(command, "--skip-slave-start") && !has(command, "--skip-replica-start") {
            broken(8, "the private server would begin to replicate".into());
        }
        if has(command, "--skip-grant-tables") {
            broken(8, "the private server lets everybody in".into());
        }
        let socket = server.socket.to_str();
        if option(command, "--socket") != socket || !server.socket.starts_with(&server.run_dir) {
            broken(8, "the private server does not listen in its private directory".into());
        }
        let examination = match step {
            Step::Replay(replay) => replay.examination.as_ref(),
            Step::Examine(step) => Some(&step.examination),
            Step::CatchUp(step) => Some(&step.examination),
            _ => None,
        };
        if examination.is_some_and(|examination| examination.client.socket.as_ref() != Some(&server.socket)) {
            broken(8, "the examination could reach another server than the private one".into());
        }
        if client.is_some_and(|client| option(&client.command, "--socket") != socket) {
            broken(8, "the replay could reach another server than the private one".into());
        }
    }
}
