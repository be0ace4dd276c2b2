//! The backup engines: what each can do, what it needs, and the commands that it is made of.

mod mariadb_backup;
mod xtrabackup;

use crate::{
    config::Config,
    model::Lsn,
    tools::{CommandError, CommandSpec, Expected, Flavor, ToolKind, ToolVersion, Version},
};
use std::{fmt::Debug, path::Path};

/// A way to take physical backups and to bring them to a data directory that a server can start on.
pub trait Engine: Debug + Sync {
    /// Its name in the configuration, in metadata and in messages.
    fn name(&self) -> &'static str;

    /// The tool that it drives.
    fn tool(&self) -> ToolKind;

    /// Whether a tree that accepts incrementals differs from one that a server can start on, so that the last prepare is
    /// another than those before it.
    fn has_final_prepare(&self) -> bool;

    /// Whether this version of the tool suits a server.
    ///
    /// # Errors
    ///
    /// What would suit, and what was found.
    fn suits(&self, tool: &ToolVersion, flavor: Flavor, server: Version) -> Result<(), Misfit>;

    /// The command that takes a backup.
    ///
    /// # Errors
    ///
    /// When an option cannot be passed.
    fn backup_command(&self, job: &BackupJob<'_>) -> Result<CommandSpec, CommandError>;

    /// The command that prepares a tree, or applies an incremental to it.
    ///
    /// # Errors
    ///
    /// When an option cannot be passed.
    fn prepare_command(&self, job: &PrepareJob<'_>) -> Result<CommandSpec, CommandError>;

    /// What a prepare must leave. `to_lsn` is the end of the last backup applied.
    fn prepared(&self, last: bool, to_lsn: Option<Lsn>) -> Expected {
        let expected = Expected::prepared(self.tool(), !last, to_lsn.unwrap_or(Lsn(0)));
        Expected { to_lsn, ..expected }
    }
}

/// What a backup is taken with.
#[derive(Debug, Clone, Copy)]
pub struct BackupJob<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The tool.
    pub program: &'a Path,
    /// Its version.
    pub version: &'a ToolVersion,
    /// The directory that it writes; its parent exists, it does not.
    pub target_dir: &'a Path,
    /// The parent's tree, for an incremental.
    pub parent_dir: Option<&'a Path>,
    /// The server's data directory.
    pub datadir: &'a Path,
}

/// What a tree is prepared with.
#[derive(Debug, Clone, Copy)]
pub struct PrepareJob<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The tool.
    pub program: &'a Path,
    /// Its version.
    pub version: &'a ToolVersion,
    /// The private copy that is prepared.
    pub target_dir: &'a Path,
    /// The private copy of the incremental that is applied.
    pub incremental_dir: Option<&'a Path>,
    /// Whether a server shall be able to start on the tree afterwards, and no incremental follow.
    pub last: bool,
}

/// A tool that does not suit a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// What would suit.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// All engines.
pub fn engines() -> &'static [&'static dyn Engine] {
    &[&xtrabackup::Xtrabackup, &mariadb_backup::MariadbBackup]
}

/// The engine of a name.
pub fn engine_named(name: &str) -> Option<&'static dyn Engine> {
    engines().iter().copied().find(|engine| engine.name() == name)
}

/// The engine that drives a tool.
pub fn engine_for(tool: ToolKind) -> Option<&'static dyn Engine> {
    engines().iter().copied().find(|engine| engine.tool() == tool)
}
