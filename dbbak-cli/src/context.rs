//! What every subcommand needs: configuration, store, probe, clock, executor, reporter.

use crate::{
    CommandError, DuctExecutor, SystemProbe, TerminalReporter,
    args::Cli,
    config_path::{self, Found},
};
use chrono::{FixedOffset, Local, Offset};
use dbbak_core::{
    catalog::Catalog,
    clock::SystemClock,
    config::Config,
    execute::{Event, Reporter},
    plan::Plan,
    probe::{PathState, Probe},
    run::{self, Command, Finished, Planning, RunError, Running},
    store::{LocalStore, LockRequest, Session, StoreError},
};
use std::{
    path::Path,
    sync::{Arc, atomic::AtomicI32},
};

/// What every subcommand needs.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) store: LocalStore,
    pub(crate) probe: SystemProbe,
    pub(crate) clock: SystemClock,
    pub(crate) executor: DuctExecutor,
    pub(crate) reporter: TerminalReporter,
    pub(crate) json: bool,
}

impl Context {
    /// Reads the configuration and opens what it names.
    pub(crate) fn load(cli: &Cli) -> Result<Self, CommandError> {
        let home = config_path::home();
        let Found { path, bytes } = config_path::read(cli.config_path.as_deref(), home.as_deref())?;
        let config = Config::parse(&bytes, home.as_deref()).map_err(|source| CommandError::Config { path, source })?;
        Ok(Context::new(config, cli.json, install_signals()))
    }

    /// Opens what a configuration names.
    pub(crate) fn new(config: Config, json: bool, signal: Arc<AtomicI32>) -> Self {
        let probe = SystemProbe;
        let context = Context {
            store: LocalStore::new(&config.nfs_root),
            executor: DuctExecutor::new(probe.find_program(&["setpriv"])),
            reporter: TerminalReporter::new(signal),
            clock: SystemClock::new(),
            probe,
            config,
            json,
        };
        context.warn_about_option_file();
        context
    }

    /// As [`Context::new`], reporting warnings alone.
    pub(crate) fn quiet(config: Config, signal: Arc<AtomicI32>) -> Self {
        let mut context = Context::new(config, false, signal);
        context.reporter.quiet();
        context
    }

    /// A password that everybody may read is no secret.
    fn warn_about_option_file(&self) {
        let Some(path) = &self.config.mysql_option_file else { return };
        if let Ok(PathState::File { mode, .. }) = self.probe.path_state(path)
            && mode & 0o077 != 0
        {
            let (path, text) = (path.display(), "others than its owner may read it");
            let line = format!("the option file {path} has mode {mode:04o}: {text} (chmod 600 {path})");
            self.reporter.report(&Event::Warning { text: &line });
        }
    }

    /// Whether the option file is there that the vendors' programs are told to read; they would only say so one by one.
    pub(crate) fn require_option_file(&self) -> Result<(), CommandError> {
        match &self.config.mysql_option_file {
            Some(path) if matches!(self.probe.path_state(path), Ok(PathState::Missing)) => {
                Err(CommandError::OptionFileMissing { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// What planning needs.
    pub(crate) fn planning(&self) -> Planning<'_> {
        Planning { config: &self.config, store: &self.store, probe: &self.probe, clock: &self.clock }
    }

    /// What can be trusted of the store, for commands that change nothing. What cannot is said.
    pub(crate) fn trusted(&self) -> Result<Catalog, StoreError> {
        let catalog = Catalog::load_trusted(&self.store)?;
        for flaw in &catalog.distrusted {
            let text = format!(
                "{flaw}: what can be trusted of the store's lists is shown; `dbbak reindex` tells what can be rebuilt"
            );
            self.reporter.report(&Event::Warning { text: &text });
        }
        Ok(catalog)
    }

    /// Local time's offset, for plans.
    pub(crate) fn offset(&self) -> Option<FixedOffset> {
        let offset = Local::now().offset().fix();
        Some(offset).filter(|offset| offset.local_minus_utc() != 0)
    }

    /// Takes the locks of a command. A restore does without where the store cannot be written.
    pub(crate) fn lock(&self, command: Command) -> Result<Option<Box<dyn Session>>, RunError> {
        let line: Vec<String> = std::env::args().map(|arg| arg.replace('\n', " ")).collect();
        let wait = std::time::Duration::from_secs(self.config.lock_wait_seconds);
        match run::lock(&self.store, command, &LockRequest::new(line.join(" ")).waiting(wait)) {
            Ok(session) => Ok(Some(session)),
            Err(StoreError::ReadOnly { .. }) if command == Command::Restore => {
                let text = "the store cannot be written, so that no read lease keeps a prune away from it";
                self.reporter.report(&Event::Warning { text });
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Runs a plan under the locks.
    pub(crate) fn run(&self, plan: &Plan, session: Option<&dyn Session>) -> Result<Finished, RunError> {
        run::run(
            plan,
            &Running {
                store: &self.store,
                session,
                executor: &self.executor,
                clock: &self.clock,
                reporter: &self.reporter,
            },
        )
    }

    /// The store's root.
    pub(crate) fn root(&self) -> &Path {
        &self.config.nfs_root
    }
}

/// Notes SIGINT, SIGTERM and SIGHUP, for the steps to end early. A second one of the same kind ends the program at once.
pub(crate) fn install_signals() -> Arc<AtomicI32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let noted = Arc::new(AtomicI32::new(0));
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP]) {
        let note = Arc::clone(&noted);
        std::thread::spawn(move || {
            for signal in signals.forever() {
                if note.swap(signal, std::sync::atomic::Ordering::Relaxed) == signal {
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        });
    }
    noted
}
