//! The backup engines: what each can do, what it needs, and the commands that it is made of.

mod clone;
mod dump;
mod mariadb_backup;
mod xtrabackup;

use crate::{
    config::Config,
    model::Lsn,
    tools::{
        BackupCommand, BackupSeries, CommandError, CommandSpec, Expected, Family, Flavor, Login, PrepareCommand,
        ToolKind, ToolRole, ToolVersion, Version, supports_server,
    },
};
use std::{fmt::Debug, path::Path};

/// A way to take backups and to bring them to a data directory that a server can start on.
pub trait Engine: Debug + Sync {
    /// Its name in the configuration, in metadata and in messages.
    fn name(&self) -> &'static str;

    /// The tool that it drives.
    fn tool(&self) -> ToolKind;

    /// Whether a tree that accepts incrementals differs from one that a server can start on, so that the last prepare is
    /// another than those before it.
    fn has_final_prepare(&self) -> bool;

    /// Whether it can take incrementals.
    fn has_incrementals(&self) -> bool {
        true
    }

    /// Whether a full keeps a tree as the tool wrote it, `raw/`. Without one its only tree is `prepared-final/`.
    fn writes_raw(&self) -> bool {
        true
    }

    /// Whether its backups are statements to be loaded, and not files of a data directory.
    fn is_logical(&self) -> bool {
        false
    }

    /// What it locks, and for how long.
    fn locks(&self) -> &'static str {
        "DDL for the whole copy or at its end, tables of other engines than InnoDB while they are copied"
    }

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

    /// Whether its prepare takes tablespaces that were dropped for lost ones, so that it must be known which there were.
    fn misses_dropped_tablespaces(&self, _tool: &ToolVersion) -> bool {
        false
    }

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
    /// Whether the server writes a binlog.
    pub log_bin: bool,
    /// Whether a dump can name GTIDs.
    pub gtids: bool,
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

/// Whether a tool's version suits a server, by its makers' word.
fn suits(tool: &ToolVersion, flavor: Flavor, server: Version) -> Result<(), Misfit> {
    let family = match flavor {
        Flavor::Mariadb => Family::Mariadb,
        Flavor::Mysql | Flavor::Percona => Family::Mysql,
    };
    let fits = match (BackupSeries::of(tool), tool.version) {
        (Some(series), Some(version)) => supports_server(series, version, family, server),
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let (major, minor) = server.series();
    let expected = match family {
        Family::Mariadb => format!("mariadb-backup {major}.{minor}"),
        Family::Mysql => format!("xtrabackup for {major}.{minor}"),
    };
    Err(Misfit { expected, found: format!("{} {}", tool.kind, tool.full) })
}

fn series(version: &ToolVersion) -> Result<BackupSeries, CommandError> {
    BackupSeries::of(version).ok_or_else(|| CommandError::Unsupported {
        tool: format!("{} {}", version.kind, version.full),
        feature: "series that dbbak knows",
    })
}

fn backup_command(job: &BackupJob<'_>) -> Result<CommandSpec, CommandError> {
    let config = job.config;
    BackupCommand {
        program: job.program.to_owned(),
        series: series(job.version)?,
        login: config.mysql_option_file.clone().map_or(Login::Defaults, Login::ExtraOptionFile),
        target_dir: job.target_dir.to_owned(),
        parent_dir: job.parent_dir.map(Path::to_owned),
        datadir: Some(job.datadir.to_owned()),
        socket: config.server.socket.clone(),
        parallel: Some(config.parallel),
        throttle: config.throttle,
        slave_info: config.slave_info,
        galera_info: config.galera_info,
        safe_slave_backup: config.safe_slave_backup,
        extra: config.extra_backup_options.clone(),
    }
    .build()
}

/// `keyring`: options that say where the keys are.
fn prepare_command(job: &PrepareJob<'_>, keyring: Vec<String>) -> Result<CommandSpec, CommandError> {
    PrepareCommand {
        program: job.program.to_owned(),
        series: series(job.version)?,
        target_dir: job.target_dir.to_owned(),
        incremental_dir: job.incremental_dir.map(Path::to_owned),
        more_follow: !job.last,
        use_memory: Some(job.config.prepare_memory),
        extra: keyring.into_iter().chain(job.config.extra_prepare_options.iter().cloned()).collect(),
    }
    .build()
}

/// All engines.
pub fn engines() -> &'static [&'static dyn Engine] {
    &[&xtrabackup::Xtrabackup, &mariadb_backup::MariadbBackup, &clone::Clone, &dump::Dump]
}

/// The engine of a name.
pub fn engine_named(name: &str) -> Option<&'static dyn Engine> {
    engines().iter().copied().find(|engine| engine.name() == name)
}

/// The engine that drives a backup tool; a client is none, although an engine uses it.
pub fn engine_for(tool: ToolKind) -> Option<&'static dyn Engine> {
    engines().iter().copied().find(|engine| engine.tool() == tool && tool.role() == ToolRole::Backup)
}

/// Whether a server can have the clone plugin.
pub fn can_clone(flavor: Flavor, server: Version) -> bool {
    flavor != Flavor::Mariadb && server >= clone::FIRST
}
