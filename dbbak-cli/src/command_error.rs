//! What a failed command says, what to do next, and the exit code.

use crate::{
    exit_code,
    hints::{
        applier_hints, cascade_hint, clone_hints, engine_hint, lacking_hints, lost_hints, prepared_hints, reader_hints,
        store_hints,
    },
    output,
    plan_hints::plan_hints,
    space_lack::SpaceLack,
};
use dbbak_core::{
    config::ConfigError,
    execute::{ExecError, ExecuteError, TreeError},
    find::FindError,
    model::{Printable, Stamp},
    plan::PlanError,
    record::RecordError,
    run::RunError,
    store::{StoreError, layout},
    survey::SurveyError,
    tools::{FailureClass, ToolRunError},
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
    /// The option file that the configuration names is not there.
    #[error("mysql_option_file {} is not there", path.display())]
    OptionFileMissing {
        /// The file.
        path: PathBuf,
    },
    /// The log file cannot be written.
    #[error("cannot write the log file {}", path.display())]
    LogFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A manual page was asked for of what is no command.
    #[error("there is no command {name:?}")]
    NoCommand {
        /// The name.
        name: String,
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
    /// A run ended because a file system was full.
    #[error("{error}")]
    OutOfSpace {
        /// What failed.
        error: Box<CommandError>,
        /// Where room was lacking.
        lack: SpaceLack,
    },
    /// A backup that is marked could not be applied, or not be tried.
    #[error("backup {backup} stays marked: {error}")]
    StillMarked {
        /// The backup.
        backup: Stamp,
        /// What failed.
        error: Box<CommandError>,
    },
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
    /// A page is not written over a file that dbbak did not write.
    #[error("{} is {found}, and stays as it is", path.display())]
    PageTaken {
        /// Where the page was to be written.
        path: PathBuf,
        /// What lies there.
        found: &'static str,
    },
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
            CommandError::OutOfSpace { error, lack } => {
                CommandError::OutOfSpace { error: Box::new(error.in_store(&root)), lack }
            }
            CommandError::StillMarked { backup, error } => {
                CommandError::StillMarked { backup, error: Box::new(error.in_store(&root)) }
            }
            other => other,
        }
    }

    /// Where room was lacking, where that is why it failed.
    pub fn lack(&self) -> Option<&SpaceLack> {
        match self {
            CommandError::StillMarked { error, .. } => error.lack(),
            CommandError::OutOfSpace { lack, .. } => Some(lack),
            _ => None,
        }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            CommandError::ConfigFile { .. } | CommandError::Config { .. } | CommandError::OptionFileMissing { .. } => {
                exit_code::CONFIG
            }
            CommandError::Store { source, .. } => store_code(source),
            CommandError::NoParent { .. } => exit_code::STORE,
            CommandError::Run(error) => run_code(error),
            CommandError::OutOfSpace { error, .. } | CommandError::StillMarked { error, .. } => error.exit_code(),
            CommandError::Demo(_) => exit_code::TOOL,
            CommandError::CheckFailed { .. } => exit_code::NO_PLAN,
            CommandError::Output(_) => exit_code::BUG,
            CommandError::Page { .. }
            | CommandError::PageTaken { .. }
            | CommandError::LogFile { .. }
            | CommandError::NoCommand { .. } => exit_code::USAGE,
        }
    }

    /// What to look at or to type next.
    pub fn hints(&self) -> Vec<String> {
        match self {
            CommandError::ConfigFile { source, .. } if source.kind() == io::ErrorKind::NotFound => vec![
                "write one; the smallest names the store and the credentials: nfs_root: /mnt/backup/mysql, mysql_option_file: ~/.my.cnf".into(),
                "or name another with --config-path FILE or in DBBAK_CONFIG; without both it is looked for in ~/.dbbak.yml and /etc/dbbak.yml".into(),
            ],
            CommandError::ConfigFile { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => vec![
                "this user may not read it: run dbbak as one that may, or name another with --config-path FILE or in DBBAK_CONFIG".into(),
            ],
            CommandError::OptionFileMissing { .. } => {
                vec!["write it: [client], user, password, socket or host; then chmod 600".into()]
            }
            CommandError::PageTaken { .. } => vec!["name a new file, or an older page of dbbak timeline".into()],
            CommandError::Config { source: ConfigError::UnknownKey { nearest: Some(nearest), .. }, .. } => {
                vec![format!("did you mean {nearest:?}?")]
            }
            CommandError::Store { source, .. } => store_hints(source),
            CommandError::NoParent { .. } => {
                vec![
                    "mount what belongs there, or make the directory above it: `dbbak init` makes one directory alone, so that it never fills in a missing mount"
                        .into(),
                ]
            }
            CommandError::Run(error) => run_hints(error),
            CommandError::OutOfSpace { error, lack } => std::iter::once(lack.to_string()).chain(error.hints()).collect(),
            CommandError::StillMarked { error, .. } => error.hints(),
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
        match self {
            CommandError::OutOfSpace { error, .. } => return error.message(),
            CommandError::StillMarked { backup, error } => {
                return format!("backup {backup} stays marked: {}", error.message());
            }
            _ => {}
        }
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
        if let CommandError::OutOfSpace { error, .. } | CommandError::StillMarked { error, .. } = self {
            return error.quoted();
        }
        let CommandError::Run(RunError::Execute(error)) = self else { return Vec::new() };
        match error {
            ExecuteError::Tool { problem, .. } => match &**problem {
                ToolRunError::Exited { tail, .. } | ToolRunError::NoSuccessLine { tail, .. } => telling_lines(tail),
                ToolRunError::Alarms { lines, .. } => telling_lines(lines),
                ToolRunError::Stuck { line, .. } => telling_lines(std::slice::from_ref(line)),
                _ => Vec::new(),
            },
            ExecuteError::Flush { stderr, .. }
            | ExecuteError::ServerStart { stderr, .. }
            | ExecuteError::Clone { stderr, .. }
            | ExecuteError::Dump { stderr, .. }
            | ExecuteError::Initialise { stderr, .. }
            | ExecuteError::Load { stderr, .. }
            | ExecuteError::Replay { stderr, .. } => telling_lines(stderr),
            ExecuteError::Fetch { problem, .. } => telling_lines(&problem.lines),
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

/// The lines of a log that tell most: its last ones, and before them the first that a server marked as errors. What made it fail stands there, and
/// what followed from it behind.
fn telling_lines(lines: &[String]) -> Vec<String> {
    const SHOWN: usize = 8;
    const FIRST: usize = 5;
    let end = lines.len().saturating_sub(SHOWN);
    let errors: Vec<usize> = (0..end).filter(|at| lines[*at].contains("[ERROR]")).take(FIRST).collect();
    let errors_told = errors.len();
    let last = (end + errors_told..lines.len()).collect::<Vec<_>>();
    errors.into_iter().chain(last).map(|at| lines[at].clone()).collect()
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
        RunError::OtherStore { .. }
        | RunError::Outdated { .. }
        | RunError::Record(RecordError::Named { .. } | RecordError::ListLost { .. }) => exit_code::STORE,
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
        PlanError::Command(_) | PlanError::NamedTool { .. } | PlanError::NoPrivateUser { .. } => exit_code::CONFIG,
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
        | ExecuteError::UnreadGtids { .. }
        | ExecuteError::TablesDamaged { .. }
        | ExecuteError::Examination { .. }
        | ExecuteError::PlantedLink { .. }
        | ExecuteError::ServerStop { .. }
        | ExecuteError::ProofFailed { .. } => exit_code::DAMAGE,
        ExecuteError::SkipNotFound { .. }
        | ExecuteError::SkipRepeated { .. }
        | ExecuteError::ServerIdTaken { .. }
        | ExecuteError::PipeHazard { .. }
        | ExecuteError::Lacks { .. }
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
        RunError::Record(RecordError::ListLost { .. }) => {
            vec!["it is no new store: `dbbak reindex` tells what can be rebuilt of its lists".into()]
        }
        RunError::Outdated { .. } => vec!["nothing was changed: make the plan again".into()],
        _ => Vec::new(),
    }
}

/// What the server says when it cannot clone itself.
fn execute_hints(error: &ExecuteError) -> Vec<String> {
    match error {
        ExecuteError::Tool { problem, log, .. } => {
            let mut hints = vec![format!("the whole output lies in {}", log.display())];
            if let ToolRunError::Exited { .. } | ToolRunError::Stuck { .. } = &**problem {
                let hint = match problem.class() {
                    FailureClass::AccessDenied => "check user and password in mysql_option_file",
                    FailureClass::MissingPrivilege => "`dbbak check` names the missing grants",
                    FailureClass::NoSpace => "free some space, then run the command again",
                    FailureClass::StorageFault => {
                        "is there a limit of file sizes (`ulimit -f`, LimitFSIZE=)? else look at the disk: `dmesg`"
                    }
                    _ => return hints,
                };
                hints.push(hint.into());
            }
            hints
        }
        ExecuteError::LostTablespaces { .. } | ExecuteError::LostTables { .. } => lost_hints(),
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
        ExecuteError::Lacks { name, library, .. } => lacking_hints(name, library.as_deref()),
        ExecuteError::Applier { log, problem, .. } => applier_hints(problem, log),
        ExecuteError::CatchUp { log, .. } => vec![
            format!("the private server's log is {}", log.display()),
            "the account in the option file needs REPLICATION SLAVE there; without --catch-up-from the restore ends at the archive's end".into(),
        ],
        ExecuteError::GoingOn { .. } => {
            vec!["the same command with the same --workdir begins the restore anew".into()]
        }
        ExecuteError::PipeHazard { apart: true, .. } => vec![
            "--skip-gtid leaves the transaction out, with what depends on it".into(),
            "or land before it with --before-gtid or --position".into(),
        ],
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
        ExecuteError::SkipRepeated { places, .. } => vec![format!(
            "leave --skip-gtid out, and end before it: --position {}", places.0
        )],
        ExecuteError::SkipNotFound { .. } => vec!["`dbbak find` shows the transactions of the archive".into()],
        ExecuteError::ServerStart { log, .. } | ExecuteError::Replay { log, .. } => {
            vec![format!("the whole output lies in {}", log.display())]
        }
        error if error.is_unproven() => {
            let kept = "the restored data directory was kept for a look at it, and its report says so; do not use it";
            let cause = match error {
                ExecuteError::ProofFailed { expected, found, .. } => cascade_hint(expected, found),
                ExecuteError::TablesDamaged { tables, .. } => engine_hint(tables),
                _ => None,
            };
            std::iter::once(kept.to_owned()).chain(cause).collect()
        }
        ExecuteError::Exec(ExecError::Start { .. }) => vec!["is the program installed and executable?".into()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_made_a_server_fail_is_told_before_what_followed() {
        let mut log: Vec<String> = (0..30).map(|number| format!("[Note] {number}")).collect();
        log[4] = "[ERROR] the key file cannot be read".into();
        log[28] = "[ERROR] Aborting".into();
        let told = telling_lines(&log);
        assert_eq!(told.len(), 8);
        assert_eq!([&told[0], &told[1], &told[7]], ["[ERROR] the key file cannot be read", "[Note] 23", "[Note] 29"]);
        assert!(told.contains(&log[28]));
        assert_eq!(telling_lines(&log[20..]), log[22..]);
        assert_eq!(telling_lines(&log[29..]), log[29..]);
    }

    #[test]
    fn tables_that_nothing_could_look_at_are_told_from_damaged_ones() {
        let hints = |table: &str| execute_hints(&ExecuteError::TablesDamaged { tables: vec![table.into()] });
        let lacking = hints("a.og: Unknown storage engine 'OQGRAPH'");
        assert!(lacking.iter().any(|hint| hint.contains("server.options (--plugin-load-add=NAME")), "{lacking:?}");
        assert_eq!(hints("a.t: Corrupt").len(), 1);
    }

    #[test]
    fn a_server_that_does_not_fit_is_no_matter_of_the_backup_tool() {
        for what in ["the version series of the private server", "the vendor of /usr/sbin/mariadbd"] {
            let hints = plan_hints(&PlanError::Mismatch {
                what: what.into(),
                expected: "10.11".into(),
                found: "11.8.9".into(),
            });
            assert!(hints.iter().all(|hint| hint.contains("mysqld") && !hint.contains("xtrabackup")), "{hints:?}");
            assert_eq!(hints.len(), 1);
        }
    }
}
