//! `dbbak prune --orphans`.

use super::plan_and_run;
use crate::{CommandError, args::PruneArgs, context::Context, exit_code, output};
use dbbak_core::{
    plan::{OrphansRequest, Step},
    run::Command,
};
use serde_json::json;

pub(super) fn run(context: &Context, args: &PruneArgs) -> Result<u8, CommandError> {
    let request = OrphansRequest { older_than_seconds: args.older_than.saturating_mul(3600) };
    let done = plan_and_run(context, Command::Prune, args.exec.exec, &|| context.planning().orphans(&request))?;
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let removed: Vec<String> = done
        .plan
        .steps
        .iter()
        .flat_map(|step| match step {
            Step::RemoveStored { keys } => keys.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        })
        .collect();
    if context.json {
        output::json(&json!({ "version": 1, "removed": removed }))?;
    } else {
        output::text(&format!("{} removed\n", output::count(removed.len(), "orphan")))?;
    }
    Ok(exit_code::DONE)
}
