//! Percona XtraBackup 2.4, 8.0 and 8.4, for MySQL and Percona Server.

use super::{BackupJob, Engine, Misfit, PrepareJob, backup_command, prepare_command, suits};
use crate::tools::{CommandError, CommandSpec, Flavor, ToolKind, ToolVersion, Version, is_component_config};
use std::ffi::OsStr;

/// The option that names a component's configuration to a prepare.
const COMPONENT: &str = "--component-keyring-config";

fn without_value(option: &str) -> &str {
    option.split('=').next().unwrap_or(option)
}

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

    // Seen on 8.4.0-5 and 9.7.1. Before 8.0 InnoDB names the files in other words.
    fn misses_dropped_tablespaces(&self, tool: &ToolVersion) -> bool {
        tool.version.is_some_and(|version| version.series() >= (8, 0))
    }

    fn backup_command(&self, job: &BackupJob<'_>) -> Result<CommandSpec, CommandError> {
        backup_command(job)
    }

    fn prepare_command(&self, job: &PrepareJob<'_>) -> Result<CommandSpec, CommandError> {
        let named = |option: &str| job.config.extra_prepare_options.iter().any(|extra| extra.starts_with(option));
        let mut keyring = Vec::new();
        for file in job.config.server.keyring_files.iter().flatten() {
            let is_config = file.file_name().and_then(OsStr::to_str).is_some_and(is_component_config);
            if is_config && !named(COMPONENT) {
                keyring.push(format!("{COMPONENT}={}", file.display()));
            }
        }
        let plugin = |option: &&String| option.starts_with("--keyring-") && !named(without_value(option));
        keyring.extend(job.config.server.options.iter().filter(plugin).cloned());
        prepare_command(job, keyring)
    }
}
