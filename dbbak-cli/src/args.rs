//! The command line.

use crate::{
    examples,
    times::{GivenTime, given_time},
};
use chrono::Utc;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use dbbak_core::{
    find::TablePattern,
    model::{BackupId, BinlogPosition, Donor, Gtid, OwnerName, SourceAddress, Stamp},
};
use regex::{Regex, RegexBuilder};
use std::path::PathBuf;

/// Physical backup, binlog archiving and exact point-in-time recovery for MySQL, Percona Server and MariaDB.
///
/// Everything that changes something only shows its plan until --exec is given. Logs and progress go to standard error,
/// results to standard output.
#[derive(Debug, Parser)]
#[command(name = "dbbak", version, max_term_width = 100, after_help = examples::ALL)]
pub struct Cli {
    /// The configuration file. Without it: the one that the environment's DBBAK_CONFIG names, else ~/.dbbak.yml, else
    /// /etc/dbbak.yml.
    #[arg(short, long, global = true, value_name = "FILE")]
    pub config_path: Option<PathBuf>,

    /// Print the result as JSON.
    #[arg(short, long, global = true)]
    pub json: bool,

    /// Say nothing on standard error but warnings and errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// Append what is said on standard error to this file too, each line with its time, also with --quiet.
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

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
    #[command(after_help = examples::BACKUP_FULL)]
    BackupFull(BackupFullArgs),
    /// Take an incremental backup on the chain of the latest full.
    #[command(after_help = examples::BACKUP_INCR)]
    BackupIncr(BackupIncrArgs),
    /// Archive the closed binlogs that the store lacks.
    #[command(after_help = examples::SHIP)]
    ShipBinlogs(ShipArgs),
    /// Restore to an exact point, or a backup as it is, and print the data directory's path.
    #[command(after_help = examples::RESTORE)]
    Restore(RestoreArgs),
    /// Show the engines that can take a full of the server, and what is missing to use each.
    Engines,
    /// List the backups as a tree, and what can be restored.
    List(ListArgs),
    /// Show which moments can be restored, where the holes are, and what would close them.
    #[command(after_help = examples::TIMELINE)]
    Timeline(TimelineArgs),
    /// Find transactions in the archived binlogs, with the command that restores to just before each.
    #[command(after_help = examples::FIND)]
    Find(FindArgs),
    /// Remove what nothing names.
    Prune(PruneArgs),
    /// Rebuild what can be rebuilt from the rest of the store: transaction indexes, index entries, the manifest.
    Reindex(ReindexArgs),
    /// Try a backup again that is marked as one that cannot be applied, and take the mark off where it can.
    #[command(after_help = examples::UNMARK)]
    Unmark(UnmarkArgs),

    /// Take locks away that a dead dbbak left. Acts at once.
    Unlock(UnlockArgs),
    /// Show the whole story on a private server: backups, an accident, the restore to just before it.
    Demo(DemoArgs),
    /// Print the completions for a shell, to be sourced by it.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print the manual page of the program, or of a command.
    #[command(after_help = examples::MAN)]
    Man(ManArgs),
}

/// Whether to act.
#[derive(Debug, Clone, Args)]
pub struct ExecArgs {
    /// Carry out the plan; without it the plan is only shown.
    #[arg(short = 'x', long)]
    pub exec: bool,
}

/// A full backup.
#[derive(Debug, Clone, Args)]
pub struct BackupFullArgs {
    /// How it is taken, instead of as the configuration says.
    #[arg(short, long, value_name = "ENGINE")]
    pub engine: Option<EngineName>,

    /// The server's address where it runs on another machine: a clone is fetched from there.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub clone_donor: Option<Donor>,

    /// What a dump does about tables of engines without transactions, instead of what the configuration says.
    #[arg(long, value_name = "WAY")]
    pub non_transactional: Option<NonTransactionalName>,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// How a full is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineName {
    /// By the backup tool that is found, or by the clone plugin where none fits.
    Auto,
    /// By XtraBackup.
    Xtrabackup,
    /// By mariadb-backup.
    MariadbBackup,
    /// By MySQL's clone plugin.
    Clone,
    /// By mysqldump or mariadb-dump.
    Dump,
}

/// What a dump does about tables of engines without transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NonTransactionalName {
    /// No dump is taken.
    Refuse,
    /// All tables are locked for the whole dump.
    Lock,
    /// They are dumped as they are when it is their turn; no replay can start from such a dump.
    Accept,
}

/// An incremental backup.
#[derive(Debug, Clone, Args)]
pub struct BackupIncrArgs {
    /// The full whose chain is continued, by its stamp or its name; the latest when absent.
    #[arg(short, long, value_name = "TS", value_parser = backup)]
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
    #[arg(short, long)]
    pub flush: bool,

    /// Take the binlogs of a dead server from its directory, the last open one up to its last whole transaction.
    #[arg(long, value_name = "DIR", conflicts_with = "flush")]
    pub rescue: Option<PathBuf>,

    /// Have the server send its binlogs through the binlog reader instead of reading its files: for a server on another host,
    /// and for binlogs that only the server can decrypt.
    #[arg(long, conflicts_with = "rescue")]
    pub from_server: bool,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// A restore. Without a target it lands at the latest reachable moment, floored to pitr_round_minutes.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("target").args(["time", "gtid", "before_gtid", "position", "latest"])))]
pub struct RestoreArgs {
    /// The moment to land just before: YYYY-MM-DD HH:MM[:SS[.ffffff]] in UTC, RFC 3339, or how long ago ("10 minutes ago").
    /// Floored unless --exact.
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub time: Option<GivenTime>,

    /// Take --time as it stands instead of flooring it to pitr_round_minutes.
    #[arg(short, long, requires = "time")]
    pub exact: bool,

    /// Land right after this transaction: UUID:N or UUID:TAG:N (MySQL), DOMAIN-SERVER-SEQ (MariaDB).
    #[arg(short, long, value_name = "GTID", conflicts_with = "no_pitr")]
    pub gtid: Option<Gtid>,

    /// Land right before this transaction.
    #[arg(long, value_name = "GTID", conflicts_with = "no_pitr")]
    pub before_gtid: Option<Gtid>,

    /// Land at this place between two transactions of the server's binlogs.
    #[arg(short, long, value_name = "FILE:POS", conflicts_with = "no_pitr")]
    pub position: Option<BinlogPosition>,

    /// Land at the very end of the archive: every whole transaction that is archived, nothing floored.
    #[arg(short, long, conflicts_with = "no_pitr")]
    pub latest: bool,

    /// The timeline that is meant, where several have the target.
    #[arg(long, value_name = "ID", conflicts_with = "no_pitr")]
    pub timeline: Option<String>,

    /// Start from this backup, by its stamp or its name. Without a target it is restored as it is.
    #[arg(short, long, value_name = "TS", value_parser = backup)]
    pub backup: Option<Stamp>,

    /// Restore the newest backup before --time (or now) as it is, without binlogs.
    #[arg(long)]
    pub no_pitr: bool,

    /// The work directory: missing or empty, or that of the same restore, which died: then it goes on. The restored data
    /// directory is made in it.
    #[arg(short, long, value_name = "PATH")]
    pub workdir: Option<PathBuf>,

    /// How binlogs are replayed: by the private server's own applier (fast), or through a pipe of binlog reader and
    /// client. Auto takes the applier where it can and says why.
    #[arg(long, value_enum, value_name = "WAY", default_value_t = ReplayArg::Auto)]
    pub replay: ReplayArg,

    /// Leave this transaction out of the replay, by its GTID; may be given more than once. Later transactions may depend
    /// on it.
    #[arg(long, value_name = "GTID")]
    pub skip_gtid: Vec<Gtid>,

    /// How thoroughly the restored tables are checked: fast reads every page of InnoDB tables once, full also validates
    /// their trees and indexes.
    #[arg(long, value_enum, value_name = "WAY", default_value_t = CheckArg::Fast)]
    pub check: CheckArg,

    /// Give the restored files to this owner, names or numbers; needs root.
    #[arg(long, value_name = "USER[:GROUP]")]
    pub owner: Option<OwnerName>,

    /// Put the archived binlogs of the window back as the restored server's own, the last one cut off at the target.
    #[arg(long, conflicts_with = "no_pitr")]
    pub with_binlogs: bool,

    /// Then follow this living server up to now; may be given more than once. Without a target the restore goes to the end
    /// of the archive first.
    #[arg(long, value_name = "HOST[:PORT]", conflicts_with_all = ["time", "gtid", "before_gtid", "position"])]
    pub catch_up_from: Vec<SourceAddress>,

    /// The option file with user and password for the living servers, when it is not mysql_option_file.
    #[arg(long, value_name = "FILE", requires = "catch_up_from")]
    pub catch_up_login: Option<PathBuf>,

    /// Stop following when less than so many seconds behind.
    #[arg(long, value_name = "SECONDS", requires = "catch_up_from", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub max_lag: Option<u32>,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// How binlogs are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReplayArg {
    /// By the applier where it can.
    Auto,
    /// By the private server's own applier.
    Relay,
    /// Through a pipe of binlog reader and client.
    Pipe,
}

/// How thoroughly restored tables are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckArg {
    /// Not at all.
    None,
    /// Each page once.
    Fast,
    /// Trees and indexes too.
    Full,
}

/// The list of backups.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Show all columns, however wide: sizes, LSNs, tool and server versions.
    #[arg(short, long)]
    pub wide: bool,
}

/// Completions for a shell.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// A manual page.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The command; without it the page of the program.
    pub command: Option<String>,
}

/// What can be restored.
#[derive(Debug, Clone, Args)]
pub struct TimelineArgs {
    /// Write a page for a browser, complete in one file, and print its path. Another file than an older page stays as it is.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// What is looked for. Everything that is given must fit; of several tables or kinds one is enough.
#[derive(Debug, Clone, Args)]
pub struct FindArgs {
    /// A table that was changed, also by a change of its whole database: shop.orders, shop.*, *.order?, orders.
    #[arg(short, long, value_name = "DB.TABLE")]
    pub table: Vec<TablePattern>,

    /// What was done to it.
    #[arg(short, long, value_name = "KIND")]
    pub kind: Vec<FindKind>,

    /// From this time on: YYYY-MM-DD HH:MM[:SS[.ffffff]] in UTC, RFC 3339, or how long ago ("2 hours ago").
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub since: Option<GivenTime>,

    /// Before this time.
    #[arg(short, long, value_name = "TIME", value_parser = time)]
    pub until: Option<GivenTime>,

    /// At least so many rows. Changes that were logged as statements are shown too: the log does not count their rows.
    #[arg(long, value_name = "N")]
    pub min_rows: Option<u64>,

    /// The statement, where the log has it (the first one of a transaction, its first 2 KiB), holds this regular
    /// expression. Upper and lower case are the same.
    #[arg(long, value_name = "REGEX", value_parser = statement)]
    pub statement: Option<Regex>,

    /// The transaction with this GTID.
    #[arg(long, value_name = "GTID")]
    pub gtid: Option<Gtid>,

    /// Search this timeline alone.
    #[arg(long, value_name = "ID")]
    pub timeline: Option<String>,

    /// Show the newest so many; 0 shows all.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: usize,

    /// Search the binlogs in this directory too that are not archived yet. Without it those of the server are searched
    /// where they can be read.
    #[arg(long, value_name = "DIR")]
    pub local: Option<PathBuf>,

    /// Search the archive alone.
    #[arg(long, conflicts_with = "local")]
    pub archive_only: bool,
}

/// What a transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FindKind {
    /// Rows inserted.
    Insert,
    /// Rows updated.
    Update,
    /// Rows deleted.
    Delete,
    /// A table, an index or a database dropped.
    Drop,
    /// A table truncated.
    Truncate,
    /// A table or a database altered, an index created, a table renamed.
    Alter,
    /// A table or a database created.
    Create,
    /// A table renamed.
    Rename,
    /// Any data definition statement.
    Ddl,
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
    /// Rebuild lists that are lost, damaged or too old, and leave what is known of the binlogs as it is.
    #[arg(long)]
    pub manifest: bool,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// Marks.
#[derive(Debug, Clone, Args)]
pub struct UnmarkArgs {
    /// The backup that is marked, as `list` and `check` name it.
    #[arg(value_name = "BACKUP", value_parser = backup)]
    pub backup: Stamp,

    /// Why, for those who find it in the store's lists.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// Whether to act.
    #[command(flatten)]
    pub exec: ExecArgs,
}

/// Locks.
#[derive(Debug, Clone, Args)]
pub struct UnlockArgs {
    /// Why, for those who find it in the store's logs.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,

    /// The locks to take away: backups, binlogs, prune, read. All of them, if none is named.
    #[arg(long, value_name = "LOCK", value_parser = lock_scope)]
    pub lock: Vec<dbbak_core::store::LockScope>,
}

fn lock_scope(text: &str) -> Result<dbbak_core::store::LockScope, String> {
    let known = dbbak_core::store::LockScope::ALL.into_iter();
    known.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| "backups, binlogs, prune or read".into())
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

fn statement(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text).case_insensitive(true).build().map_err(|error| error.to_string())
}

fn time(text: &str) -> Result<GivenTime, String> {
    given_time(text, Utc::now())
}

/// A backup as it is printed: its stamp, or the name of its directory.
fn backup(text: &str) -> Result<Stamp, String> {
    let name = || text.trim_end_matches('/').parse::<BackupId>().ok().map(|id| id.ts);
    text.parse()
        .ok()
        .or_else(name)
        .ok_or_else(|| "expected a stamp like 2025-10-02T02-00Z, or full_2025-10-02T02-00Z".into())
}
