//! `dbbak backup-full` and `dbbak backup-incr`.

use super::{code_of, plan_and_run};
use crate::{
    CommandError,
    args::{BackupFullArgs, BackupIncrArgs, EngineName, NonTransactionalName},
    context::Context,
    exit_code, output,
};
use dbbak_core::{
    config::{Config, EngineChoice, NonTransactional},
    plan::{BackupRequest, Summary},
    run::{Command, Planning},
};
use serde_json::json;

pub(super) fn full(context: &Context, args: &BackupFullArgs) -> Result<u8, CommandError> {
    let engine = match args.engine {
        None => context.config.engine,
        Some(EngineName::Auto) => EngineChoice::Auto,
        Some(EngineName::Xtrabackup) => EngineChoice::Xtrabackup,
        Some(EngineName::MariadbBackup) => EngineChoice::MariadbBackup,
        Some(EngineName::Clone) => EngineChoice::Clone,
        Some(EngineName::Dump) => EngineChoice::Dump,
    };
    let non_transactional = match args.non_transactional {
        None => context.config.non_transactional,
        Some(NonTransactionalName::Refuse) => NonTransactional::Refuse,
        Some(NonTransactionalName::Lock) => NonTransactional::Lock,
        Some(NonTransactionalName::Accept) => NonTransactional::Accept,
    };
    let clone_donor = args.clone_donor.clone().or_else(|| context.config.clone_donor.clone());
    let config = Config { engine, non_transactional, clone_donor, ..context.config.clone() };
    run(context, args.exec.exec, &BackupRequest::Full, &config)
}

pub(super) fn incremental(context: &Context, args: &BackupIncrArgs) -> Result<u8, CommandError> {
    let request = BackupRequest::Incremental { base: args.base_ts, differential: args.differential };
    run(context, args.exec.exec, &request, &context.config)
}

fn run(context: &Context, exec: bool, request: &BackupRequest, config: &Config) -> Result<u8, CommandError> {
    context.require_option_file()?;
    let planning = Planning { config, ..context.planning() };
    let done = plan_and_run(context, Command::Backup, exec, &|| planning.backup(request))?;
    let Some(done) = done else { return Ok(exit_code::DONE) };
    let (Summary::Backup { id, .. }, Some(backup)) = (&done.plan.summary, &done.finished.outcome.backup) else {
        return Ok(exit_code::BUG);
    };
    if context.json {
        output::json(&json!({
            "version": 1, "backup": id, "from_lsn": backup.from_lsn, "to_lsn": backup.to_lsn,
            "ended_at": backup.ended_at, "binlog": backup.binlog, "pitr": backup.pitr,
            "phases": done.finished.outcome.phases, "warnings": done.finished.warnings,
            "incomplete": done.finished.incomplete, "unusable": done.finished.unusable,
        }))?;
    } else {
        let place = backup.binlog.as_ref().map(|binlog| format!(", binlog {}", binlog.place())).unwrap_or_default();
        let lsn = match (backup.from_lsn, backup.to_lsn) {
            (Some(from), Some(to)) => format!(", LSN {from} to {to}"),
            _ => String::new(),
        };
        output::text(&format!("{id}: done{lsn}{place}\n"))?;
    }
    Ok(code_of(&done.finished.incomplete))
}
