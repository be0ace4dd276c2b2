//! `dbbak engines`.

use crate::{CommandError, context::Context, exit_code, output};
use dbbak_core::plan::EngineReport;
use serde_json::json;
use std::fmt::Write;

pub(super) fn run(context: &Context) -> Result<u8, CommandError> {
    context.require_option_file()?;
    let engines = context.planning().engines()?;
    if context.json {
        output::json(&json!({ "version": 1, "engines": engines }))?;
    } else {
        output::text(&text(&engines))?;
    }
    Ok(exit_code::DONE)
}

fn text(engines: &[EngineReport]) -> String {
    let mut text = String::new();
    for engine in engines {
        let version = engine.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let state = match (engine.chosen, engine.missing.is_empty()) {
            (true, _) => "takes the next full",
            (false, true) => "can be used",
            (false, false) => "cannot be used",
        };
        let incrementals = if engine.incrementals { "" } else { ", no incrementals" };
        let locks =
            engine.last_lock_seconds.map(|seconds| format!(", locked for {seconds} s last")).unwrap_or_default();
        let _ = writeln!(text, "{}{version}: {state}{incrementals}{locks}", engine.name);
        if let Some(reason) = &engine.reason {
            let _ = writeln!(text, "  because: {reason}");
        }
        let _ = writeln!(text, "  locks: {}", engine.locks);
        for missing in &engine.missing {
            let _ = writeln!(text, "  missing: {missing}");
        }
    }
    text
}
