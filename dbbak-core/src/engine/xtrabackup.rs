//! Percona XtraBackup 2.4, 8.0 and 8.4, for MySQL and Percona Server.

use super::{BackupJob, Engine, Misfit, PrepareJob, backup_command, prepare_command, suits};
use crate::tools::{CommandError, CommandSpec, Flavor, ToolKind, ToolVersion, Version};

/// Percona XtraBackup. Its last prepare rolls back what was not committed, after which no incremental can be applied.
#[derive(Debug)]
pub(super) struct Xtrabackup;

impl Engine for Xtrabackup {
    fn name(&self) -> &'static str {
        "xtrabackup"
    }

    fn tool(&self) -> ToolKind {
        ToolKind::Xtrabackup
    }

    fn has_final_prepare(&self) -> bool {
        true
    }

    fn suits(&self, tool: &ToolVersion, flavor: Flavor, server: Version) -> Result<(), Misfit> {
        suits(tool, flavor, server)
    }

    fn backup_command(&self, job: &BackupJob<'_>) -> Result<CommandSpec, CommandError> {
        backup_command(job)
    }

    fn prepare_command(&self, job: &PrepareJob<'_>) -> Result<CommandSpec, CommandError> {
        prepare_command(job)
    }
}
