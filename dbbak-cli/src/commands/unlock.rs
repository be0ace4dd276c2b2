//! `dbbak unlock`.

use crate::{CommandError, args::UnlockArgs, context::Context, exit_code, output};
use serde_json::json;

pub(super) fn run(context: &Context, args: &UnlockArgs) -> Result<u8, CommandError> {
    let holders = context.store.unlock(&args.lock, &args.reason)?;
    if context.json {
        output::json(&json!({ "version": 1, "unlocked": holders }))?;
    } else if holders.is_empty() {
        output::text("nobody holds a lock\n")?;
    } else {
        for holder in &holders {
            output::text(&format!("took the {} lock from {holder}\n", holder.scope))?;
        }
    }
    Ok(exit_code::DONE)
}
