//! Judges what a full would hold, and whether one could be taken.

use super::Finding;
use crate::{
    catalog::Catalog,
    config::Config,
    facts::Facts,
    plan::{BackupRequest, PlanError, Step, plan_backup},
};
use chrono::{DateTime, Utc};

/// Takes note of tables that a full by a backup tool holds otherwise than a restore needs them. Gives back why a full would be refused, where that is
/// a matter of what users may read and enter.
pub(super) fn judge(
    config: &Config,
    facts: &Facts,
    catalog: Option<&Catalog>,
    now: DateTime<Utc>,
    findings: &mut Vec<Finding>,
) -> Option<Box<PlanError>> {
    if !facts.broken.is_empty() {
        findings.push(Finding::TablesBroken { tables: facts.broken.clone() });
    }
    if !facts.standing.memory.is_empty() {
        findings.push(Finding::MemoryTables { tables: facts.standing.memory.clone() });
    }
    match plan_backup(config, catalog?, facts, now, &BackupRequest::Full) {
        Ok(plan) => {
            // A clone refuses such tables, and a dump brings them into the data directory.
            let by_tool = plan.steps.iter().any(|step| matches!(step, Step::ReadBackup(_)));
            if by_tool && !facts.outside_files.is_empty() {
                findings.push(Finding::FilesOutside { files: facts.outside_files.clone() });
            }
            None
        }
        Err(
            error @ (PlanError::Closed(_)
            | PlanError::ClosedToUser { .. }
            | PlanError::NoPrivateUser { .. }
            | PlanError::CloneOfAnother { .. }
            | PlanError::ClonedElsewhere { .. }),
        ) => Some(Box::new(error)),
        Err(_) => None,
    }
}
