//! `dbbak reindex`.

use super::{code_of, plan_and_run};
use crate::{
    CommandError,
    args::ReindexArgs,
    context::Context,
    exit_code,
    messages::{Weight, say},
    output,
};
use dbbak_core::{
    clock::Clock,
    record::{Damage, Rebuilt, find_damage, rebuild},
    run,
    store::{LockRequest, LockScope, Store, StoreError},
};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

pub(super) fn run(context: &Context, args: &ReindexArgs) -> Result<u8, CommandError> {
    let damage = find_damage(&context.store)?;
    // What is sound is left alone, unless the manifest is asked for by name.
    let rebuilt = match damage.is_none() {
        true => Rebuilt::default(),
        false if !args.exec.exec => return shown(context, &damage),
        false => lists(context, &damage)?,
    };
    if damage.is_none() {
        run::check_writable(&context.store)?;
    }
    if args.manifest && !args.exec.exec {
        return nothing_to_rebuild(context);
    }
    if args.manifest {
        let backups = context.trusted()?.backups.len();
        if context.json {
            let (rebuilt, left) = (&rebuilt.done, &rebuilt.left);
            output::json(&json!({ "version": 1, "backups": backups, "rebuilt": rebuilt, "unreadable": left }))?;
        } else {
            output::text(&format!("manifest.json lists {}\n", output::count(backups, "backup")))?;
        }
        return Ok(code_of(&rebuilt.left));
    }
    let code = binlogs(context, args, &rebuilt)?;
    Ok(if rebuilt.left.is_empty() { code } else { exit_code::INCOMPLETE })
}

/// Transaction indexes, and the entries of the binlog index.
fn binlogs(context: &Context, args: &ReindexArgs, rebuilt: &Rebuilt) -> Result<u8, CommandError> {
    let done = plan_and_run(context, run::Command::Reindex, args.exec.exec, &|| context.planning().reindex())?;
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let indexed: Vec<_> = done.finished.outcome.indexed.iter().filter(|indexed| indexed.result.is_ok()).collect();
    if context.json {
        let names: Vec<String> = indexed.iter().map(|indexed| indexed.stored_as.to_string()).collect();
        let incomplete: Vec<&String> = rebuilt.left.iter().chain(&done.finished.incomplete).collect();
        output::json(&json!({ "version": 1, "rebuilt": rebuilt.done, "indexed": names, "incomplete": incomplete }))?;
    } else {
        output::text(&format!("{} indexed\n", output::count(indexed.len(), "binlog")))?;
    }
    Ok(code_of(&done.finished.incomplete))
}

/// Says that the lists agree with what lies in the store.
fn nothing_to_rebuild(context: &Context) -> Result<u8, CommandError> {
    let backups = context.trusted()?.backups.len();
    if context.json {
        output::json(
            &json!({ "version": 1, "command": "reindex", "backups": backups, "damaged": [], "unlisted": [] }),
        )?;
    } else {
        output::text(&format!(
            "Plan: nothing is to be rebuilt: manifest.json and what lies in the store agree ({})\n\
             This was a dry run. Add --exec to do it.\n",
            output::count(backups, "backup")
        ))?;
    }
    Ok(exit_code::DONE)
}

/// Says what is wrong with the store's lists, and what a rebuilding would do.
fn shown(context: &Context, damage: &Damage) -> Result<u8, CommandError> {
    let unlisted: Vec<String> = damage
        .backups
        .iter()
        .map(ToString::to_string)
        .chain(damage.binlogs.iter().map(|name| format!("binlogs/{name}")))
        .collect();
    if context.json {
        let damaged = json!({ "version": 1, "command": "reindex", "damaged": damage.flaws, "unlisted": unlisted });
        output::json(&damaged)?;
        return Ok(exit_code::DONE);
    }
    let mut text = String::from("Plan: rebuild the store's lists from what describes itself\n");
    for flaw in &damage.flaws {
        text.push_str(&format!("  damaged: {flaw}\n"));
    }
    for name in &unlisted {
        text.push_str(&format!("  in no list: {name}\n"));
    }
    text.push_str("This was a dry run. Add --exec to do it.\n");
    output::text(&text)?;
    Ok(exit_code::DONE)
}

/// Rebuilds the lists under the locks of both.
fn lists(context: &Context, damage: &Damage) -> Result<Rebuilt, CommandError> {
    if !damage.store_file {
        run::check_writable(&context.store)?;
    }
    let wait = Duration::from_secs(context.config.lock_wait_seconds);
    let request = LockRequest::new("dbbak reindex").waiting(wait);
    let session = context.store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &request)?;
    let rebuilt = rebuild(&*session, (Uuid::new_v4(), context.clock.now()), &context.reporter)?;
    session.release().or_else(|error| match error {
        StoreError::NotFound { .. } => Ok(()),
        error => Err(error),
    })?;
    for line in &rebuilt.done {
        say(Weight::Important, &format!("rebuilt: {line}"));
    }
    for line in &rebuilt.left {
        say(Weight::Important, &format!("INCOMPLETE: {line}"));
    }
    Ok(rebuilt)
}
