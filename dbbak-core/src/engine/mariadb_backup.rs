//! mariadb-backup, for MariaDB 10.3 and later.

use super::{BackupJob, Engine, Misfit, PrepareJob, backup_command, prepare_command, suits};
use crate::tools::{CommandError, CommandSpec, Flavor, ToolKind, ToolVersion, Version};

/// mariadb-backup. Every prepare ends in a tree that accepts incrementals and that a server can start on: it never rolls
/// back, the server does.
#[derive(Debug)]
pub(super) struct MariadbBackup;

impl Engine for MariadbBackup {
    fn name(&self) -> &'static str {
        "mariadb-backup"
    }

    fn tool(&self) -> ToolKind {
        ToolKind::MariadbBackup
    }

    fn has_final_prepare(&self) -> bool {
        false
    }

    fn suits(&self, tool: &ToolVersion, flavor: Flavor, server: Version) -> Result<(), Misfit> {
        suits(tool, flavor, server)
    }

    // Seen on 10.11.19: a database that was dropped and made again while the backup ran.
    fn misses_dropped_tablespaces(&self, _tool: &ToolVersion) -> bool {
        true
    }

    fn backup_command(&self, job: &BackupJob<'_>) -> Result<CommandSpec, CommandError> {
        backup_command(job)
    }

    fn prepare_command(&self, job: &PrepareJob<'_>) -> Result<CommandSpec, CommandError> {
        // The backup's own settings name the plugin that keeps the keys, and where it finds them.
        prepare_command(job, Vec::new())
    }
}
