//! The command line.

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};
use dbbak_core::model::{Stamp, parse_time};
use std::path::PathBuf;

/// Physical backup, binlog archiving and exact point-in-time recovery for MySQL, Percona Server and MariaDB.
///
/// Everything that changes something only shows its plan until --exec is given. Logs and progress go to standard error,
/// results to standard output.
#[derive(Debug, Parser)]
#[command(name = "dbbak", version, max_term_width = 100)]
pub struct Cli {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = "~/.dbbak.yml")]
    pub config_path: PathBuf,

    /// Print the result as JSON.
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the store's layout where it is missing.
    Init,
    /// Prove the setup: tools, grants, binlogs, clock, file modes, space.
    Check,
    /// Take a full backup.
    BackupFull(ExecArgs),
    /// Take an incremental backup on the chain of the latest full.
    BackupIncr(BackupIncrArgs),
    /// Archive the closed binlogs that the store lacks.
    ShipBinlogs(ShipArgs),
    /// Restore to an exact point, or a backup as it is, and print the data directory's path.
    Restore(RestoreArgs),
    /// List the backups as a tree, and what can be restored.
    List,
    /// Show which moments can be restored, where the holes are, and what would close them.
    Timeline(TimelineArgs),
    /// Remove what nothing names.
    Prune(PruneArgs),
    /// Rebuild what can be rebuilt from the rest of the store.
    Reindex(ReindexArgs),
    /// Show the whole story on a private server: backups, an accident, the restore to just before it.
    Demo(DemoArgs),
}

/// Whether to act.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// Carry out the plan; without it the plan is only shown.
    #[arg(long)]
    pub exec: bool,
}

/// An incremental backup.
#[derive(Debug, Clone, Args)]
pub struct BackupIncrArgs {
    /// The full whose chain is continued, by its stamp; the latest when absent.
    #[arg(long, value_name = "TS")]
    pub base_ts: Option<Stamp>,

    /// Take it on the full itself instead of on the chain's newest backup.
    #[arg(long)]
    pub differential: bool,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// Archiving binlogs.
#[derive(Debug, Clone, Args)]
pub struct ShipArgs {
    /// Have the server begin a new binlog first, so that everything up to now is archived.
    #[arg(long)]
    pub flush: bool,

    /// Take the binlogs of a dead server from its directory, the last open one up to its last whole transaction.
    #[arg(long, value_name = "DIR", conflicts_with = "flush")]
    pub rescue: Option<PathBuf>,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// A restore.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The moment to land just before: YYYY-MM-DD HH:MM[:SS[.ffffff]] in UTC, or RFC 3339. Floored unless --exact.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub time: Option<DateTime<Utc>>,

    /// Take --time as it stands instead of flooring it to pitr_round_minutes.
    #[arg(long, requires = "time")]
    pub exact: bool,

    /// Start from this backup. Without --time it is restored as it is.
    #[arg(long, value_name = "TS")]
    pub backup: Option<Stamp>,

    /// Restore the newest backup before --time (or now) as it is, without binlogs.
    #[arg(long)]
    pub no_pitr: bool,

    /// The work directory: missing or empty. The restored data directory is made in it.
    #[arg(long, value_name = "PATH")]
    pub workdir: Option<PathBuf>,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// What can be restored.
#[derive(Debug, Clone, Args)]
pub struct TimelineArgs {
    /// Write a page for a browser, complete in one file, and print its path.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Removing.
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Remove orphans: what killed runs left.
    #[arg(long, required = true)]
    pub orphans: bool,

    /// Keep orphans that were changed in the last so many hours.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub older_than: u64,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// Rebuilding.
#[derive(Debug, Clone, Args)]
pub struct ReindexArgs {
    /// Rebuild manifest.json from the meta.json of each backup.
    #[arg(long, required = true)]
    pub manifest: bool,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// The demonstration.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Keep the store and the restored data.
    #[arg(long)]
    pub keep: bool,

    /// Where the demonstration's directory is made; the system's temporary directory when absent.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    parse_time(text).map_err(|_| "expected YYYY-MM-DD HH:MM[:SS[.ffffff]] (UTC) or RFC 3339 with an offset".to_owned())
}
