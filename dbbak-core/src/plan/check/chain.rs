//! Rule 1: a chain is linked by parents, and the LSNs of each link meet.

use super::{Broken, option};
use crate::{
    model::BackupId,
    plan::{Plan, ReadBackup, RecordBackup, RunTool, Step, Summary},
};
use std::path::Path;

/// The chain of a restore.
pub(super) fn restored(plan: &Plan, broken: Broken<'_>) {
    let Summary::Restore { report } = &plan.summary else { return };
    let ids: Vec<Option<BackupId>> = report.chain.iter().map(|backup| backup.backup.parse().ok()).collect();
    let full = ids.first().copied().flatten();
    if full.is_none_or(|full| full.base.is_some()) {
        broken(1, "the chain does not begin with a full".into());
    }
    for (link, ids) in report.chain.windows(2).zip(ids.windows(2)) {
        let ([parent, child], [parent_id, child_id]) = (link, ids) else { continue };
        if child.parent.is_none() || child.parent != parent_id.map(|id| id.ts) {
            broken(1, format!("{} was not taken on {}", child.backup, parent.backup));
        }
        if child_id.map(|id| id.root()) != full.map(|id| id.ts) {
            broken(1, format!("{} is of another full's chain", child.backup));
        }
        if let (Some(end), Some(start)) = (parent.to_lsn, child.from_lsn)
            && end != start
        {
            broken(1, format!("{} starts at {start}, {} ends at {end}", child.backup, parent.backup));
        }
    }
    let copied = plan.steps.iter().filter_map(|step| match step {
        Step::PassTree(pass) => pass.verify.as_ref().map(|stored| stored.backup.as_str()),
        _ => None,
    });
    if !copied.eq(report.chain.iter().map(|backup| backup.backup.as_str())) {
        broken(1, "the backups that are copied are not those of the chain, each once and in order".into());
    }
}

/// The parent of a new backup: what is recorded is what the tool was given.
pub(super) fn taken(plan: &Plan, broken: Broken<'_>) {
    let mut run: Option<&RunTool> = None;
    let mut read: Option<&ReadBackup> = None;
    let mut record: Option<&RecordBackup> = None;
    for step in &plan.steps {
        match step {
            Step::RunTool(tool) if super::has(&tool.launch.command, "--backup") => run = Some(tool),
            Step::ReadBackup(step) => read = Some(step),
            Step::RecordBackup(step) => record = Some(step),
            _ => {}
        }
    }
    let (Some(run), Some(record)) = (run, record) else { return };
    let given = option(&run.launch.command, "--incremental-basedir").map(Path::new);
    let given: Option<BackupId> = given.and_then(|dir| dir.parent()?.file_name()?.to_str()?.parse().ok());
    if given.map(|id| id.ts) != record.parent {
        broken(1, "the recorded parent is not the one that the tool was given".into());
    }
    let id = record.backup_id();
    if id.is_none_or(|id| id.base != given.map(|parent| parent.root())) {
        broken(1, format!("{} does not belong to its parent's full", record.id));
    }
    if read.is_some_and(|read| read.from_lsn.is_some() && read.from_lsn != run.expect.from_lsn) {
        broken(1, "the tool may start at another LSN than the parent's end".into());
    }
}
