//! The server's own clone plugin, for MySQL 8.0.17 and later.

use super::{BackupJob, Engine, Misfit, PrepareJob};
use crate::tools::{Client, CommandError, CommandSpec, Flavor, Login, ToolKind, ToolVersion, Version};

/// `CLONE LOCAL DATA DIRECTORY`: the server writes a copy of its InnoDB data itself, and a client only asks for it.
#[derive(Debug)]
pub(super) struct Clone;

/// The first version with the plugin.
pub(super) const FIRST: Version = Version::new(8, 0, 17);

impl Engine for Clone {
    fn name(&self) -> &'static str {
        "clone"
    }

    /// The client.
    fn tool(&self) -> ToolKind {
        ToolKind::Mysql
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

    fn locks(&self) -> &'static str {
        "nothing; before 8.0.27 DDL for the whole clone"
    }

    /// `tool` is the server program that opens the copy: another version than the server's own would upgrade it.
    fn suits(&self, tool: &ToolVersion, flavor: Flavor, server: Version) -> Result<(), Misfit> {
        if flavor == Flavor::Mariadb || server < FIRST {
            return Err(Misfit {
                expected: format!("MySQL {FIRST} or later, which has the clone plugin"),
                found: format!("{flavor} {server}"),
            });
        }
        if tool.kind != ToolKind::Mysqld || tool.version != Some(server) {
            return Err(Misfit { expected: format!("mysqld {server}"), found: format!("{} {}", tool.kind, tool.full) });
        }
        Ok(())
    }

    /// `program` is the client.
    fn backup_command(&self, job: &BackupJob<'_>) -> Result<CommandSpec, CommandError> {
        let login = job.config.mysql_option_file.clone().map_or(Login::Defaults, Login::OptionFile);
        let client =
            Client { program: job.program.to_owned(), login, socket: job.config.server.socket.clone(), run_as: None };
        client.clone_local(job.target_dir)
    }

    fn prepare_command(&self, _job: &PrepareJob<'_>) -> Result<CommandSpec, CommandError> {
        Err(CommandError::Unsupported {
            tool: "the clone engine".into(),
            feature: "prepare: a server has opened the copy",
        })
    }
}
