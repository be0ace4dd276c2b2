//! Logical dumps by mysqldump and mariadb-dump.

use super::{BackupJob, Engine, Misfit, PrepareJob};
use crate::{
    config::NonTransactional,
    tools::{CommandError, CommandSpec, DumpCommand, DumpWay, Flavor, Login, ToolKind, ToolRole, ToolVersion, Version},
};

/// `mysqldump` or `mariadb-dump`: statements that make all databases anew, for servers of either family.
#[derive(Debug)]
pub(super) struct Dump;

impl Engine for Dump {
    fn name(&self) -> &'static str {
        "dump"
    }

    /// Of the two programs the one of MySQL's family; which of them is needed, the server says.
    fn tool(&self) -> ToolKind {
        ToolKind::Mysqldump
    }

    fn has_final_prepare(&self) -> bool {
        false
    }

    fn has_incrementals(&self) -> bool {
        false
    }

    fn writes_raw(&self) -> bool {
        false
    }

    fn is_logical(&self) -> bool {
        true
    }

    fn locks(&self) -> &'static str {
        "MySQL: all tables for a moment; MariaDB: nothing; with non_transactional: lock, all tables for the whole dump"
    }

    /// The other vendor's program, or an older one, asks for what the server does not have, and leaves out what it has.
    fn suits(&self, tool: &ToolVersion, flavor: Flavor, server: Version) -> Result<(), Misfit> {
        let kind = match flavor {
            Flavor::Mariadb => ToolKind::MariadbDump,
            Flavor::Mysql | Flavor::Percona => ToolKind::Mysqldump,
        };
        let (major, minor) = server.series();
        let recent = tool.version.is_some_and(|version| version.series() >= server.series());
        if tool.kind.role() == ToolRole::Dump && tool.kind == kind && recent {
            return Ok(());
        }
        Err(Misfit {
            expected: format!("{kind} {major}.{minor} or later"),
            found: format!("{} {}", tool.kind, tool.full),
        })
    }

    /// The dump goes to standard output.
    fn backup_command(&self, job: &BackupJob<'_>) -> Result<CommandSpec, CommandError> {
        DumpCommand {
            program: job.program.to_owned(),
            family: job.version.kind.family(),
            version: job.version.version.unwrap_or(Version::new(0, 0, 0)),
            login: job.config.mysql_option_file.clone().map_or(Login::Defaults, Login::OptionFile),
            socket: job.config.server.socket.clone(),
            way: match job.config.non_transactional {
                NonTransactional::Lock => DumpWay::LockAll,
                NonTransactional::Refuse | NonTransactional::Accept => DumpWay::Snapshot,
            },
            coordinates: job.log_bin,
            gtids: job.gtids,
        }
        .build()
    }

    fn prepare_command(&self, _job: &PrepareJob<'_>) -> Result<CommandSpec, CommandError> {
        Err(CommandError::Unsupported { tool: "the dump engine".into(), feature: "prepare: a dump is loaded" })
    }
}
