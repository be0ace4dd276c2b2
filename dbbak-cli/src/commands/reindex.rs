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
    record::rebuild_manifest,
    run,
    store::{LockRequest, LockScope, Store, StoreKey, StoreReader},
};
use serde_json::json;

pub(super) fn run(context: &Context, args: &ReindexArgs) -> Result<u8, CommandError> {
    if args.manifest { manifest(context, args) } else { binlogs(context, args) }
}

/// Transaction indexes, and the entries of the binlog index.
fn binlogs(context: &Context, args: &ReindexArgs) -> Result<u8, CommandError> {
    let done = plan_and_run(context, run::Command::Reindex, args.exec.exec, &|| context.planning().reindex())?;
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let indexed: Vec<_> = done.finished.outcome.indexed.iter().filter(|indexed| indexed.result.is_ok()).collect();
    if context.json {
        let names: Vec<String> = indexed.iter().map(|indexed| indexed.stored_as.to_string()).collect();
        output::json(&json!({ "version": 1, "indexed": names, "incomplete": done.finished.incomplete }))?;
    } else {
        output::text(&format!("{} binlogs indexed\n", indexed.len()))?;
    }
    Ok(code_of(&done.finished.incomplete))
}

fn manifest(context: &Context, args: &ReindexArgs) -> Result<u8, CommandError> {
    if !args.exec.exec {
        let backups = context.store.list(&StoreKey::root())?;
        let is_backup =
            |name: Option<&str>| name.is_some_and(|name| name.parse::<dbbak_core::model::BackupId>().is_ok());
        let count = backups.iter().filter(|info| is_backup(info.key.file_name())).count();
        if context.json {
            output::json(&json!({ "version": 1, "command": "reindex", "backups": count }))?;
            return Ok(exit_code::DONE);
        }
        let directories =
            if count == 1 { "1 backup directory".to_owned() } else { format!("{count} backup directories") };
        output::text(&format!(
            "Plan: rebuild manifest.json from the facts in {directories}\nThis was a dry run. Add --exec to do it.\n"
        ))?;
        return Ok(exit_code::DONE);
    }
    run::check_writable(&context.store)?;
    let session = context.store.lock(LockScope::Backups, &LockRequest::new("dbbak reindex --manifest"))?;
    let (entries, unreadable) = rebuild_manifest(&*session)?;
    session.release()?;
    for error in &unreadable {
        say(Weight::Important, &format!("INCOMPLETE: {error}"));
    }
    if context.json {
        let problems: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        output::json(&json!({ "version": 1, "backups": entries.len(), "unreadable": problems }))?;
    } else {
        output::text(&format!("manifest.json lists {}\n", output::count(entries.len(), "backup")))?;
    }
    Ok(if unreadable.is_empty() { exit_code::DONE } else { exit_code::INCOMPLETE })
}
