//! `dbbak ship-binlogs`.

use super::{code_of, plan_and_run};
use crate::{CommandError, args::ShipArgs, context::Context, exit_code, output};
use dbbak_core::{plan::ShipRequest, run::Command};
use serde_json::json;

pub(super) fn run(context: &Context, args: &ShipArgs) -> Result<u8, CommandError> {
    let request = ShipRequest { flush: args.flush, rescue: args.rescue.clone(), from_server: args.from_server };
    if args.rescue.is_none() {
        context.require_option_file()?;
    }
    let done = plan_and_run(context, Command::Ship, args.exec.exec, &|| context.planning().ship(&request))?;
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let shipped = &done.finished.outcome.shipped;
    if context.json {
        output::json(&json!({ "version": 1, "shipped": shipped, "incomplete": done.finished.incomplete }))?;
    } else {
        let bytes = shipped.iter().map(|entry| entry.size).sum();
        output::text(&format!("{} archived, {}\n", output::count(shipped.len(), "binlog"), output::bytes(bytes)))?;
    }
    Ok(code_of(&done.finished.incomplete))
}
