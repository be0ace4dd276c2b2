//! What a failed command says, what to do next, and the exit code.

use crate::{
    exit_code,
    hints::{applier_hints, clone_hints, keyring_hints, prepared_hints, reader_hints},
    output,
};
use dbbak_core::{
    config::ConfigError,
    execute::{ExecError, ExecuteError, TreeError},
    find::FindError,
    model::Printable,
    plan::{PlanError, Whereabouts},
    record::RecordError,
    run::RunError,
    store::{Access, StoreError, layout},
    survey::SurveyError,
    tools::{FailureClass, ToolRole, ToolRunError},
};
use std::{
    error::Error,
    fmt::Write,
    io,
    path::{Path, PathBuf},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The configuration cannot be used.
    #[error("the configuration {} cannot be used: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The store could not be read, written or locked.
    #[error("{}", store_message(root, source))]
    Store {
        /// The store's root.
        root: PathBuf,
        /// What is wrong.
        source: Box<StoreError>,
    },
    /// The directory that the store's root would be made in is not there.
    #[error("cannot make {}: the directory above it is not there", root.display())]
    NoParent {
        /// The store's root.
        root: PathBuf,
    },
    /// Anything else behind the configuration.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The demonstration failed.
    #[error("the demonstration failed: {0}")]
    Demo(String),
    /// The setup has problems that keep dbbak from working.
    #[error("{problems} {} found", if *problems == 1 { "problem" } else { "problems" })]
    CheckFailed {
        /// How many.
        problems: usize,
    },
    /// Output could not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// A page could not be written.
    #[error("cannot write the page {}", path.display())]
    Page {
        /// Where it was to be written.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        CommandError::Run(error.into())
    }
}

impl From<RecordError> for CommandError {
    fn from(error: RecordError) -> Self {
        CommandError::Run(error.into())
    }
}

impl CommandError {
    /// Says of a store's error which store it is.
    #[must_use]
    pub fn in_store(self, root: &Path) -> Self {
        let root = root.to_owned();
        match self {
            CommandError::Run(
                RunError::Store(source)
                | RunError::Survey(SurveyError::Store(source))
                | RunError::Find(FindError::Store(source))
                | RunError::Record(RecordError::Store(source))
                | RunError::Execute(ExecuteError::Store(source)),
            ) => CommandError::Store { root, source: Box::new(source) },
            other => other,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::ConfigFile { .. } | CommandError::Config { .. } => exit_code::CONFIG,
            CommandError::Store { source, .. } => store_code(source),
            CommandError::NoParent { .. } => exit_code::STORE,
            CommandError::Run(error) => run_code(error),
            CommandError::Demo(_) => exit_code::TOOL,
            CommandError::CheckFailed { .. } => exit_code::NO_PLAN,
            CommandError::Output(_) => exit_code::BUG,
            CommandError::Page { .. } => exit_code::USAGE,
        }
    }

    /// What to look at or to type next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            CommandError::ConfigFile { source, .. } if source.kind() == io::ErrorKind::NotFound => vec![
                "write one; the smallest names the store and the credentials: nfs_root: /mnt/backup/mysql, mysql_option_file: ~/.my.cnf".into(),
                "or name another with --config-path FILE".into(),
            ],
            CommandError::Config { source: ConfigError::UnknownKey { nearest: Some(nearest), .. }, .. } => {
                vec![format!("did you mean {nearest:?}?")]
            }
            CommandError::Store { source, .. } => store_hints(source),
            CommandError::NoParent { .. } => {
                vec!["is it mounted? `dbbak init` makes one directory alone, so that it never fills in a missing mount".into()]
            }
            CommandError::Run(error) => run_hints(error),
            CommandError::CheckFailed { .. } => vec!["each finding above says what to do".into()],
            _ => Vec::new(),
        }
    }

    /// The whole message: the error, its causes, the end of a tool's output, the hints.
    pub fn render(&self) -> String {
        let mut text = format!("error: {}", Printable(&self.message()));
        if let CommandError::Config { .. } = self {
            // The parser of YAML shows the lines that it is about.
            text = format!("error: {}", output::screened(&self.message()));
        }
        for line in self.quoted() {
            let _ = write!(text, "\n  | {}", Printable(&line));
        }
        for hint in self.hints() {
            let _ = write!(text, "\nhint: {}", Printable(&hint));
        }
        text
    }

    /// The error and its causes.
    pub fn message(&self) -> String {
        let mut text = self.to_string();
        if matches!(self, CommandError::Store { source, .. } if matches!(**source, StoreError::NotFound { .. })) {
            // Said already, in words that name the whole path.
            return text;
        }
        let mut cause = self.source();
        let mut last = self.to_string();
        while let Some(error) = cause {
            let message = error.to_string();
            if !last.contains(&message) {
                let _ = write!(text, ": {message}");
            }
            last = message;
            cause = error.source();
        }
        text
    }

    /// What a tool printed before it failed.
    fn quoted(&self) -> Vec<String> {
        let CommandError::Run(RunError::Execute(error)) = self else { return Vec::new() };
        match error {
            ExecuteError::Tool { problem, .. } => match &**problem {
                ToolRunError::Exited { tail, .. } | ToolRunError::NoSuccessLine { tail, .. } => last_lines(tail),
                ToolRunError::Alarms { lines, .. } => last_lines(lines),
                _ => Vec::new(),
            },
            ExecuteError::Flush { stderr, .. }
            | ExecuteError::ServerStart { stderr, .. }
            | ExecuteError::Clone { stderr, .. }
            | ExecuteError::Dump { stderr, .. }
            | ExecuteError::Initialise { stderr, .. }
            | ExecuteError::Load { stderr, .. }
            | ExecuteError::Replay { stderr, .. } => last_lines(stderr),
            ExecuteError::Fetch { problem, .. } => last_lines(&problem.lines),
            _ => Vec::new(),
        }
    }
}

/// What is wrong with a store, for people who know its path and not its keys.
fn store_message(root: &Path, error: &StoreError) -> String {
    let root = root.display();
    match error {
        StoreError::NotFound { key, .. } if key.is_root() => format!("the store {root} is not there"),
        StoreError::NotFound { key, .. } if *key == layout::store_file() => {
            format!("{root} is no store that dbbak may write: it has no {key}")
        }
        StoreError::Locked { .. } | StoreError::ChildrenAlive { .. } | StoreError::LeaseLost { .. } => {
            format!("the store {root} is locked: {error}")
        }
        _ => format!("the store {root}: {error}"),
    }
}

fn last_lines(lines: &[String]) -> Vec<String> {
    lines[lines.len().saturating_sub(8)..].to_vec()
}

fn run_code(error: &RunError) -> u8 {
    match error {
        RunError::Store(error) => store_code(error),
        RunError::Survey(SurveyError::Store(error)) => store_code(error),
        RunError::Survey(SurveyError::Binlog { .. } | SurveyError::BackupFile { .. }) => exit_code::DAMAGE,
        RunError::Survey(_) => exit_code::TOOL,
        RunError::Find(FindError::Store(error)) => store_code(error),
        RunError::Find(FindError::NoTimeline { .. }) => exit_code::NO_PLAN,
        RunError::Find(_) => exit_code::TOOL,
        RunError::Plan(error) => plan_code(error),
        RunError::Execute(error) => execute_code(error),
        RunError::Record(RecordError::Store(error)) => store_code(error),
        RunError::OtherStore { .. } | RunError::Outdated { .. } | RunError::Record(RecordError::Named { .. }) => {
            exit_code::STORE
        }
        _ => exit_code::BUG,
    }
}

fn store_code(error: &StoreError) -> u8 {
    match error {
        StoreError::Locked { .. } | StoreError::ChildrenAlive { .. } => exit_code::LOCKED,
        _ => exit_code::STORE,
    }
}

fn plan_code(error: &PlanError) -> u8 {
    match error {
        PlanError::ServerUnreachable { .. } | PlanError::Tool { .. } => exit_code::TOOL,
        PlanError::Command(_) => exit_code::CONFIG,
        PlanError::WorkdirInUse { .. } => exit_code::LOCKED,
        _ => exit_code::NO_PLAN,
    }
}

fn execute_code(error: &ExecuteError) -> u8 {
    if let Some(signal) = error.signal() {
        return exit_code::for_signal(signal);
    }
    match error {
        ExecuteError::Store(error) => store_code(error),
        ExecuteError::Tree(TreeError::Damaged { .. } | TreeError::Missing { .. } | TreeError::Unknown { .. })
        | ExecuteError::ArchivedBinlog { .. }
        | ExecuteError::ConsumedIncremental { .. }
        | ExecuteError::WindowDiffers { .. }
        | ExecuteError::NotABoundary { .. }
        | ExecuteError::PositionDiffers { .. }
        | ExecuteError::TablesDamaged { .. }
        | ExecuteError::Examination { .. }
        | ExecuteError::ServerStop { .. }
        | ExecuteError::ProofFailed { .. } => exit_code::DAMAGE,
        ExecuteError::SkipNotFound { .. }
        | ExecuteError::ServerIdTaken { .. }
        | ExecuteError::PipeHazard { .. }
        | ExecuteError::PutsOutside { .. } => exit_code::NO_PLAN,
        ExecuteError::Tree(_) | ExecuteError::Io { .. } => exit_code::STORE,
        ExecuteError::BadPlan { .. } => exit_code::BUG,
        ExecuteError::WorkdirBusy { .. } => exit_code::LOCKED,
        _ => exit_code::TOOL,
    }
}

fn run_hints(error: &RunError) -> Vec<String> {
    match error {
        RunError::Store(error)
        | RunError::Survey(SurveyError::Store(error))
        | RunError::Record(RecordError::Store(error)) => store_hints(error),
        RunError::Plan(error) => plan_hints(error),
        RunError::Execute(error) => execute_hints(error),
        RunError::Survey(SurveyError::Remote { source, .. }) => reader_hints(source),
        RunError::Broken(_) => vec!["this is a bug in dbbak; nothing was changed".into()],
        RunError::Outdated { .. } => vec!["nothing was changed: make the plan again".into()],
        _ => Vec::new(),
    }
}

fn store_hints(error: &StoreError) -> Vec<String> {
    match error {
        StoreError::NotFound { .. } => {
            vec![
                "is nfs_root right, and is it mounted?".into(),
                "`dbbak init` makes a new store, and one that another program made writable".into(),
            ]
        }
        StoreError::Locked { holder, .. } => {
            vec![format!("try again later; if it hangs, look at process {} on {}", holder.pid, holder.host)]
        }
        StoreError::TooNew { access: Access::Read, .. } => vec!["use the dbbak that wrote it, or a newer one".into()],
        StoreError::TooNew { .. } => vec!["use a newer dbbak to write to this store".into()],
        StoreError::Damaged { key, .. } if key.as_str() == "manifest.json" => vec![
            "`dbbak reindex --manifest` rebuilds it from the meta.json of each backup".into(),
            "the generation before lies beside it as manifest.json.prev".into(),
        ],
        StoreError::Damaged { key, .. } if key.as_str() == "binlogs/index.json" => {
            vec!["the generation before lies beside it as index.json.prev".into()]
        }
        StoreError::NoSpace { .. } => {
            vec!["free some space, then run the command again: nothing half-done is listed".into()]
        }
        StoreError::ReadOnly { .. } => vec!["is the store mounted read-only, or owned by somebody else?".into()],
        _ => Vec::new(),
    }
}

fn plan_hints(error: &PlanError) -> Vec<String> {
    let hint = |text: &str| vec![text.to_owned()];
    match error {
        PlanError::NoRelay { .. } => hint("--replay auto takes the pipe there"),
        PlanError::SkipNotInWindow { .. } => hint("`dbbak find` shows the transactions of the archive"),
        PlanError::NoFull => hint("take one with `dbbak backup-full --exec`"),
        PlanError::NoFullBefore { oldest: Some(oldest), .. } => {
            vec![format!("ask for {} or later, or see `dbbak list`", oldest.format("%Y-%m-%d %H:%M:%S"))]
        }
        PlanError::UnknownBackup { nearest, .. } if !nearest.is_empty() => {
            let nearest: Vec<String> = nearest.iter().map(ToString::to_string).collect();
            vec![format!("the nearest are {}", nearest.join(", "))]
        }
        PlanError::NoClonePlugin { state: None } => {
            hint("an administrator installs it: INSTALL PLUGIN clone SONAME 'mysql_clone.so'")
        }
        PlanError::NoDonorAccount { .. } => {
            hint("set mysql_option_file: PATH, with user and password in its group [client]")
        }
        PlanError::NoClonePlugin { .. } => hint("the server must be started without --clone=OFF"),
        PlanError::NotCloned { .. } => {
            hint("ALTER TABLE ... ENGINE=InnoDB, or take the full with xtrabackup (--engine xtrabackup)")
        }
        PlanError::NotTransactional { .. } => vec![
            "--non-transactional lock locks all tables for the whole dump: nobody can write meanwhile".into(),
            "or ALTER TABLE ... ENGINE=InnoDB; --non-transactional accept gives a dump that no replay can start from"
                .into(),
        ],
        PlanError::Prepared { .. } => prepared_hints(),
        PlanError::DumpPrivileges { missing } => {
            vec![format!("GRANT {} ON *.* TO the account", missing.join(", "))]
        }
        PlanError::NoKeyring { keyring, .. } => keyring_hints(keyring.as_deref()),
        PlanError::KeyInTheClear { .. } => {
            hint("put the secret into a file, and name that on the server: file_key_management_filekey = FILE:/path")
        }
        PlanError::NoInstallDb => hint("set mariadb_install_db: PATH in the configuration"),
        PlanError::NoIncrementals { .. } => hint("take another full with `dbbak backup-full --exec`"),
        PlanError::Mismatch { what, .. } if what.starts_with("a clone of a ") => {
            hint("the copy is opened once by a server of the very same version: set mysqld: PATH in the configuration")
        }
        PlanError::NotAFull { base, .. } => vec![format!("use --base-ts {base}")],
        PlanError::MissingParent { .. } | PlanError::BrokenChain { .. } | PlanError::AmbiguousParent { .. } => {
            hint("take a new full with `dbbak backup-full --exec`; --backup TS names an older backup to restore")
        }
        PlanError::TargetInFuture { .. } => hint("times without an offset are UTC"),
        PlanError::TargetBeyondBinlogs { timeline, .. } => vec![
            "archive what the server has: `dbbak ship-binlogs --flush --exec`".into(),
            format!("or land at the end of the archive: --latest --timeline {timeline}"),
        ],
        PlanError::BinlogGap { end, .. } | PlanError::DamagedBinlog { end, .. } => vec![format!(
            "to keep every transaction before it: --position {} --timeline {}",
            end.position, end.timeline
        )],
        PlanError::PositionNotBoundary { position, before, after } => {
            let file = &position.file;
            let after = after.map(|after| format!(" or --position {file}:{after}")).unwrap_or_default();
            vec![format!("use --position {file}:{before}{after}")]
        }
        PlanError::OtherTimeline { latest: Some(latest), stitch, .. } => vec![
            format!("the latest moment before it: --exact --time \"{}\"", latest.format("%Y-%m-%d %H:%M:%S%.f")),
            format!("a full backup of the server of timeline {} makes the time after it restorable", stitch.to),
        ],
        PlanError::CannotCross { from, to, .. } => vec![
            format!("what timeline {from} holds can be restored: add --timeline {from}"),
            format!("a full backup of the server of timeline {to} makes the time after it restorable"),
        ],
        PlanError::TargetNotArchived { whereabouts, .. } => match &**whereabouts {
            Whereabouts::BeyondArchive { timeline, .. } => vec![
                "archive what the server has: `dbbak ship-binlogs --flush --exec`".into(),
                format!("or land at the end of the archive: --latest --timeline {timeline}"),
            ],
            Whereabouts::InGap { .. } | Whereabouts::BeforeArchive { .. } => {
                hint("if the server or a copy of it still has these binlogs, archive them: `dbbak ship-binlogs --exec`")
            }
            Whereabouts::BehindGoodPart { timeline, file, last_good } => {
                vec![format!(
                    "to keep every transaction before it: --position {file}:{last_good} --timeline {timeline}"
                )]
            }
            _ => Vec::new(),
        },
        PlanError::GtidRepeated { first, again, .. } => {
            vec![format!(
                "name the place instead: --position {first} or --position {}:{again} cuts before it",
                first.file
            )]
        }
        PlanError::AmbiguousTimeline { candidates, .. } => {
            let options: Vec<String> = candidates.iter().map(|span| format!("--timeline {}", span.id)).collect();
            vec![format!("say which is meant: {}", options.join(" or "))]
        }
        PlanError::NoBackupInTimeline { .. } => hint(
            "take a full of that server with `dbbak backup-full --exec`; `dbbak list` shows what can be restored; --timeline names another timeline",
        ),
        PlanError::NoBackupBefore { oldest: Some(oldest), .. } => {
            vec![format!("the first state there: --backup {}", oldest.0)]
        }
        PlanError::BackupHoldsTarget { .. } => {
            hint("leave --backup out to have the last backup before the target chosen")
        }
        PlanError::CoordinatesNotArchived { .. } => {
            hint("archive it: `dbbak ship-binlogs --flush --exec`; or restore the backup as it is: --no-pitr")
        }
        PlanError::BackupWithoutPitr { backup, .. } => vec![format!("restore it as it is: --backup {backup}")],
        PlanError::Tool { role: ToolRole::Backup, path: None, .. } => {
            hint("install it (mariadb-backup, or percona-xtrabackup for your MySQL series), or set xtrabackup: PATH")
        }
        PlanError::Tool { path: None, role, .. } => {
            vec![format!("install it, or set {}: PATH in the configuration", config_key(*role))]
        }
        PlanError::Tool { path: Some(path), role, .. } => {
            let (path, key) = (path.display(), config_key(*role));
            vec![format!("{path} is what was named or found; set {key}: PATH in the configuration to the right one")]
        }
        PlanError::Mismatch { what, .. } if what.contains(" of the server and of the parent ") => {
            hint("an incremental needs its parent's server; take a new full with `dbbak backup-full --exec`")
        }
        PlanError::Mismatch { what, .. } if what.contains(" server") => {
            hint("install the tool that fits, and set xtrabackup: PATH in the configuration")
        }
        PlanError::Mismatch { what, .. } if what == "the binlog reader" => {
            hint("install the server vendor's own, and set mysqlbinlog: PATH in the configuration")
        }
        PlanError::BackupAfterTarget { .. } => {
            hint("leave --backup out to have the newest backup before the target chosen, or see `dbbak list`")
        }
        PlanError::ServerUnreachable { access_denied: true, .. } => {
            hint("check user and password in mysql_option_file, and the account's grants (`dbbak check`)")
        }
        PlanError::ServerUnreachable { problem, .. } if problem.contains("defaults file") => {
            hint("mysql_option_file must name a file with [client], user, password, socket or host; then chmod 600")
        }
        PlanError::ServerUnreachable { .. } => {
            hint("is it running, and does mysql_option_file name its socket or host?")
        }
        PlanError::NotInPast { .. } => hint(
            "take a new full with `dbbak backup-full --exec`; without --base-ts an incremental becomes one by itself",
        ),
        PlanError::WorkdirNotEmpty { .. } => hint("name another with --workdir, or remove what lies in it"),
        PlanError::JournalOfAnother { .. } => {
            hint("give the options of that restore to go on with it, or name another directory with --workdir")
        }
        PlanError::JournalUnusable { .. } | PlanError::Unproven { .. } => {
            hint("look at what lies there, remove the whole directory, and restore again")
        }
        PlanError::WorkdirInUse { .. } => hint("wait for its end, or end it"),
        PlanError::NoScratch { .. } => hint("set scratch_dir to a local directory with room for a copy of the data"),
        PlanError::NotEnoughSpace { .. } => hint("free some space, or name another place with --workdir"),
        PlanError::NoBinlog => hint("set log_bin in the server's configuration and restart it"),
        PlanError::BinlogDirUnknown { .. } => {
            hint("set binlog_source_dir in the configuration, or have the server send them: --from-server")
        }
        PlanError::BinlogInEngine { .. } => {
            hint("a replica with log_slave_updates=ON and a binlog in files can be archived in its place")
        }
        PlanError::StampTaken { .. } => hint("try again in a second"),
        _ => Vec::new(),
    }
}

/// The key that names a program in the configuration.
fn config_key(role: ToolRole) -> &'static str {
    match role {
        ToolRole::BinlogReader => "mysqlbinlog",
        ToolRole::Client => "mysql",
        ToolRole::Server => "mysqld",
        ToolRole::Dump => "mysqldump",
        ToolRole::Backup => "xtrabackup",
    }
}

/// What the server says when it cannot clone itself.
fn execute_hints(error: &ExecuteError) -> Vec<String> {
    match error {
        ExecuteError::Tool { problem, log, .. } => {
            let mut hints = vec![format!("the whole output lies in {}", log.display())];
            if let ToolRunError::Exited { class, .. } = &**problem {
                let hint = match class {
                    FailureClass::AccessDenied => "check user and password in mysql_option_file",
                    FailureClass::MissingPrivilege => "`dbbak check` names the missing grants",
                    FailureClass::NoSpace => "free some space, then run the command again",
                    _ => return hints,
                };
                hints.push(hint.into());
            }
            hints
        }
        ExecuteError::Clone { stderr, .. } => clone_hints(stderr),
        ExecuteError::Prepared { .. } => prepared_hints(),
        ExecuteError::SchemaChanged { .. } => {
            vec!["take the full again at a time when nobody changes the schema; nothing of this one is listed".into()]
        }
        ExecuteError::Dump { log, .. } | ExecuteError::Initialise { log, .. } | ExecuteError::Load { log, .. } => {
            vec![format!("the whole output lies in {}", log.display())]
        }
        ExecuteError::NotCloned { .. } => vec![
            "ALTER TABLE ... ENGINE=InnoDB, or take the full with xtrabackup (--engine xtrabackup)".into(),
            "the account saw no such table before: with SELECT on them they are told before the clone is taken".into(),
        ],
        ExecuteError::Fetch { problem, log, .. } => {
            let mut hints = vec![format!("the whole output lies in {}", log.display())];
            hints.extend(reader_hints(problem));
            hints
        }
        ExecuteError::FetchedSize { path, .. } => vec![
            "nothing of it was archived, and the copy was removed".into(),
            format!(
                "is there room in {}? the binlog reader cuts its copy on a full disk without a word",
                path.parent().and_then(Path::parent).unwrap_or(path).display()
            ),
        ],
        ExecuteError::FetchedEnd { .. } => {
            vec!["nothing of it was archived; run the command again when the server has closed it".into()]
        }
        ExecuteError::Tree(TreeError::Damaged { .. } | TreeError::Missing { .. } | TreeError::Unknown { .. }) => {
            vec![
                "the stored backup is not what was recorded; restore from another: --backup TS (see `dbbak list`)"
                    .into(),
            ]
        }
        ExecuteError::ArchivedBinlog { .. } => {
            vec!["if the server or a copy of the store still has it, bring that back; nothing was replayed".into()]
        }
        ExecuteError::Store(error) => store_hints(error),
        error if error.signal().is_some() => vec!["nothing half-done is listed; the work directory of a restore was kept, anything else that was begun was removed".into()],
        ExecuteError::Applier { log, problem, .. } => applier_hints(problem, log),
        ExecuteError::CatchUp { log, .. } => vec![
            format!("the private server's log is {}", log.display()),
            "the account in the option file needs REPLICATION SLAVE there; without --catch-up-from the restore ends at the archive's end".into(),
        ],
        ExecuteError::GoingOn { .. } => {
            vec!["the same command with the same --workdir begins the restore anew".into()]
        }
        ExecuteError::PipeHazard { .. } => vec![
            "the private server's own applier takes it as it is: leave --replay pipe out, where the plan does not say that only a pipe can".into(),
            "or land before it with --before-gtid or --position".into(),
        ],
        ExecuteError::RelayLogCut { .. } => vec!["--replay pipe uses no relay logs".into()],
        ExecuteError::ServerIdTaken { .. } => vec!["--replay pipe minds no server ids".into()],
        ExecuteError::PutsOutside { table: true, .. } => {
            vec!["--replay relay makes such a table in the restored data directory".into()]
        }
        ExecuteError::PutsOutside { .. } => vec![
            "--skip-gtid leaves the transaction out, with what depends on it; or restore to before it".into(),
        ],
        ExecuteError::SkipNotFound { .. } => vec!["`dbbak find` shows the transactions of the archive".into()],
        ExecuteError::ServerStart { log, .. } | ExecuteError::Replay { log, .. } => {
            vec![format!("the whole output lies in {}", log.display())]
        }
        error if error.is_unproven() => {
            vec!["the restored data directory was kept for a look at it, and its report says so; do not use it".into()]
        }
        ExecuteError::Exec(ExecError::Start { .. }) => vec!["is the program installed and executable?".into()],
        _ => Vec::new(),
    }
}
