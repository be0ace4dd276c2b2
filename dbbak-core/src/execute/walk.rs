//! Walks the steps of a plan: carries each out as it stands and notes what it found out.

use super::{
    Event, ExecuteError, Executor, Outcome, Reporter, TreePass, batches::Unpacking, catch_up, clone, copies::Verified,
    dump, examine, examine::Ended, fetch, files, load, mend::mend_tree, read_backup, ready, reindex, replay,
    running::Running, ship, tablespaces::Tablespaces, ties, tree::ExpectedFiles, walk_tree,
};
use crate::{
    beneath::Place,
    clock::Clock,
    model::BackupId,
    plan::{KnownTablespaces, PassTree, Phase, Replay, ReplayProof, RestoreReport, Resume, RunTool, Step, StoredTree},
    store::{FileList, Session, StoreKey, StoreReader, layout, read_version},
    tools::{FailureClass, TablespaceIds, ToolRunError, consumed_deltas},
};
use chrono::{DateTime, Utc};
use std::{
    num::NonZero,
    path::{Path, PathBuf},
};

/// What steps act through.
#[derive(Debug, Clone, Copy)]
pub struct Effects<'a> {
    /// The store's read side.
    pub store: &'a dyn StoreReader,
    /// The store's write side, where the plan writes.
    pub session: Option<&'a dyn Session>,
    /// Starts programs.
    pub executor: &'a dyn Executor,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Takes what is to be said.
    pub reporter: &'a dyn Reporter,
}

/// A walk through the steps of one plan.
#[derive(Debug)]
pub struct Walk<'a> {
    effects: Effects<'a>,
    outcome: Outcome,
    tool_times: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What the server had before the backup tool was started.
    tablespaces: Option<TablespaceIds>,
    window: Option<Unpacking>,
    cloned: Option<clone::Taken>,
    /// The copies that were compared with what the store recorded.
    copies: Verified,
    /// How long the parts of the step took.
    parts: Vec<Phase>,
    /// What this run has made itself: directories, and places in the store.
    made_dirs: Vec<PathBuf>,
    made_keys: Vec<StoreKey>,
}

impl<'a> Walk<'a> {
    /// A walk that has done nothing yet.
    pub fn new(effects: Effects<'a>) -> Self {
        Walk {
            effects,
            outcome: Outcome::default(),
            tool_times: None,
            tablespaces: None,
            window: None,
            cloned: None,
            copies: Verified::default(),
            parts: Vec::new(),
            made_dirs: Vec::new(),
            made_keys: Vec::new(),
        }
    }

    /// A walk that takes over what the steps of a dead run have found out.
    pub fn go_on(effects: Effects<'a>, resume: &Resume) -> Self {
        let outcome = Outcome { phases: resume.phases.clone(), ..Outcome::taking_over(resume.carried.clone()) };
        Walk { outcome, ..Walk::new(effects) }
    }

    /// Whether this run has made a directory, or one that it lies in.
    pub fn made(&self, path: &Path) -> bool {
        self.made_dirs.iter().any(|dir| path.starts_with(dir))
    }

    /// Whether this run has made a place in the store, or one that it lies in.
    pub fn made_in_store(&self, key: &StoreKey) -> bool {
        let below =
            |made: &StoreKey| key.as_str().strip_prefix(made.as_str()).is_some_and(|rest| rest.starts_with('/'));
        self.made_keys.iter().any(|made| made == key || below(made))
    }

    /// What was found out so far.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// What was found out.
    pub fn into_outcome(self) -> Outcome {
        self.outcome
    }

    /// Carries out one step. Steps that enter something into the store are left to the caller, which records them.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]; the step is not done then, and what it had begun is for the caller to discard.
    pub fn step(&mut self, step: &Step, (number, of): (usize, usize)) -> Result<(), ExecuteError> {
        let title = step.title();
        let effects = self.effects;
        if let Some(signal) = effects.reporter.interrupted() {
            return Err(ExecuteError::Interrupted { signal });
        }
        effects.reporter.report(&Event::StepStarted { number, of, title: &title, bytes: step.bytes() });
        // What tools, copies and renames write does not pass through the session: the lock is looked at here, and by a
        // [`super::LeaseWatch`] while they run.
        if let Some(session) = effects.session
            && super::lease_watch::writes(session)
        {
            session.check_lease()?;
        }
        let started = effects.clock.monotonic();
        self.carry_out(step)?;
        let took = effects.clock.monotonic().saturating_sub(started);
        effects.reporter.report(&Event::StepFinished { number, title: &title, took });
        let parts = std::mem::take(&mut self.parts);
        self.outcome.phases.push(Phase { title, seconds: took.as_secs_f64(), parts });
        Ok(())
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), ExecuteError> {
        let effects = self.effects;
        match step {
            Step::CreateStoreDir { key } => {
                self.session()?.create_dir(key)?;
                self.made_keys.push(key.clone());
            }
            Step::GiveDir { path, uid } => files::give_to_user(path, *uid)?,
            Step::CreateDir { path } => {
                files::create_empty_dir(path)?;
                self.made_dirs.push(path.clone());
            }
            Step::PassTree(pass) => self.pass_tree(pass)?,
            Step::MendTree(pass) => self.mend_tree(pass)?,
            Step::RunTool(run) => self.run_tool(run)?,
            Step::ReadBackup(read) => {
                let now = effects.clock.now();
                let times = self.tool_times.unwrap_or((now, now));
                self.outcome.backup =
                    Some(read_backup::read_backup(read, times, self.tablespaces.as_ref(), &self.running())?);
            }
            Step::EndClones(end) => clone::end_clones(end, &self.running())?,
            Step::TakeClone(take) => self.cloned = Some(clone::take_clone(take, &self.running())?),
            Step::OpenClone(open) => {
                let missing = || ExecuteError::BadPlan { problem: "a clone is opened that was not taken".into() };
                let taken = self.cloned.take().ok_or_else(missing)?;
                self.outcome.backup = Some(clone::open_clone(open, &taken, &self.running())?);
            }
            Step::TakeDump(take) => self.outcome.backup = Some(dump::take_dump(take, &self.running())?),
            Step::InitDatadir(init) => load::init_datadir(init, &self.running())?,
            Step::LoadDump(load) => load::load_dump(load, &self.running())?,
            Step::MoveTree { from, to } => files::move_tree(from, to)?,
            Step::RemoveTree { path } => {
                files::remove_tree(path)?;
                self.copies.forget(path);
            }
            Step::CutTies { datadir, persisted } => {
                ties::cut_ties(datadir, persisted.as_ref(), effects.store, effects.reporter)?;
            }
            Step::FlushBinlogs { launch } => {
                let exits = self.running().run(std::slice::from_ref(launch))?;
                if !exits.iter().all(|exit| exit.status.success()) {
                    let (problem, stderr) = (replay::describe(&exits), files::tail(&launch.log));
                    return Err(ExecuteError::Flush { problem, stderr });
                }
                files::remove_empty(&launch.log);
            }
            Step::FetchBinlog(fetch) => match fetch::fetch_binlog(fetch, &self.running()) {
                Err(ExecuteError::Fetch { problem, .. }) if problem.is_purged() => {
                    self.outcome.purged.push(fetch.name.clone());
                }
                fetched => fetched?,
            },
            Step::ShipBinlog(ship) if self.outcome.purged.last() == Some(&ship.entry.name) => {}
            Step::ShipBinlog(ship) => match ship::ship_binlog(ship, self.session()?, effects.reporter)? {
                Some(entry) => self.outcome.shipped.push(entry),
                None => self.outcome.purged.push(ship.entry.name.clone()),
            },
            Step::IndexBinlog(index) => {
                let indexed = reindex::index_binlog(index, self.session()?, effects.reporter)?;
                self.outcome.indexed.push(indexed);
            }
            Step::UnpackBinlogs(unpack) => {
                self.window = Some(Unpacking::begin(unpack, effects.store, effects.reporter)?);
            }
            Step::Replay(replay) => self.replay(replay)?,
            Step::Examine(step) => {
                let ended = examine::run_examine(step, &self.running())?;
                self.ended(ended);
            }
            Step::CatchUp(step) => {
                let (ended, reached) = catch_up::run_catch_up(step, &self.running())?;
                self.ended(ended);
                self.outcome.caught_up = reached;
            }
            Step::MakeReady(ready) => {
                ready::make_ready(ready, &self.outcome, effects.store, effects.clock.now(), effects.reporter)?
            }
            Step::KeepServerFiles { files: paths, persisted, .. } => {
                if let Some(persisted) = persisted {
                    self.outcome.persisted = ties::read_persisted(persisted, effects.reporter);
                }
                for path in paths {
                    match files::read_file_behind(path) {
                        Ok(Some(bytes)) => {
                            let text = String::from_utf8_lossy(&bytes).into_owned();
                            self.outcome.server_files.push((path.clone(), text));
                        }
                        Ok(None) => self.outcome.not_kept.push(format!("{} is not there", path.display())),
                        Err(error) => self.outcome.not_kept.push(describe_error(&error)),
                    }
                }
            }
            Step::RecordBackup(_)
            | Step::RecordTrees(_)
            | Step::TakeMarkOff(_)
            | Step::WriteReport { .. }
            | Step::RemoveStored { .. }
            | Step::NameTimelines { .. } => {}
        }
        Ok(())
    }

    /// Runs a tool; a backup that failed because of a statement that ran beside it is taken anew, as often as the plan says.
    fn run_tool(&mut self, run: &RunTool) -> Result<(), ExecuteError> {
        let clock = self.effects.clock;
        for left in (0..=run.again).rev() {
            if let Some(KnownTablespaces::Ask(ask)) = &run.tablespaces {
                self.tablespaces = Tablespaces::ask(ask, &self.running())?.map(|found| found.ids());
            }
            let started = clock.now();
            let mut copies = std::mem::take(&mut self.copies);
            let ran = self.running().run_tool(run, &mut copies, || self.known_tablespaces(run));
            self.copies = copies;
            match ran {
                Ok(_) => {
                    self.tool_times = Some((started, clock.now()));
                    return Ok(());
                }
                Err(error) if left > 0 && is_of_ddl(&error) => {
                    let times = if left == 1 { "once more".to_owned() } else { format!("{left} times more") };
                    let text = format!(
                        "{}: a statement ran beside the backup that the tool could not follow, and the backup is taken anew ({times} at most)",
                        describe_error(&error)
                    );
                    self.effects.reporter.report(&Event::Warning { text: &text });
                    files::remove_tree(&run.dir)?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn pass_tree(&mut self, pass: &PassTree) -> Result<(), ExecuteError> {
        let expected = match &pass.verify {
            None => None,
            Some(stored) => self.expected_files(stored)?,
        };
        let listing = walk_tree(
            &TreePass {
                from: &self.place(&pass.from),
                to: pass.to.as_deref(),
                expected: expected.as_ref(),
                sync: pass.sync,
                threads: NonZero::new(pass.threads as usize).unwrap_or(NonZero::<usize>::MIN),
            },
            self.effects.reporter,
        )?;
        // An incremental that an earlier prepare has used up would empty the target, with status 0.
        let paths = listing.files.iter().map(|file| file.path.as_str());
        if let Some(first) = consumed_deltas(paths).into_iter().next().filter(|_| pass.to.is_some()) {
            return Err(ExecuteError::ConsumedIncremental { path: pass.from.join(first) });
        }
        if let Some(name) = pass.list_as {
            self.outcome.listings.insert(name, listing);
        }
        if let (Some(to), Some(expected)) = (&pass.to, expected) {
            self.copies.add(to, expected);
        }
        Ok(())
    }

    /// A tree's place: one that lies in the store is looked for from the store's root on, through no link.
    fn place(&self, tree: &Path) -> Place {
        let store = self.effects.store.local_dir();
        let below = store.as_ref().and_then(|store| Some((store.root(), tree.strip_prefix(store.root()).ok()?)));
        below.map_or_else(|| Place::new(tree, ""), |(root, below)| Place::new(root, below))
    }

    fn mend_tree(&mut self, pass: &PassTree) -> Result<(), ExecuteError> {
        let unrecorded = || ExecuteError::BadPlan { problem: "a copy is mended that was never recorded".into() };
        let to = pass.to.as_deref().ok_or_else(unrecorded)?;
        let stored = pass.verify.as_ref().ok_or_else(unrecorded)?;
        let expected = self.expected_files(stored)?.ok_or_else(unrecorded)?;
        let threads = NonZero::new(pass.threads as usize).unwrap_or(NonZero::<usize>::MIN);
        let from = self.place(&pass.from);
        let tree =
            TreePass { from: &from, to: pass.to.as_deref(), expected: Some(&expected), sync: pass.sync, threads };
        let paths = expected.keys().map(String::as_str);
        if let Some(first) = consumed_deltas(paths).into_iter().next() {
            return Err(ExecuteError::ConsumedIncremental { path: pass.from.join(first) });
        }
        Ok(mend_tree(&tree, to, &expected, self.effects.reporter)?)
    }

    /// The recorded size and digest of every file of a tree; `None` where the store never recorded any.
    fn expected_files(&self, stored: &StoredTree) -> Result<Option<ExpectedFiles>, ExecuteError> {
        let id: BackupId = stored
            .backup
            .parse()
            .map_err(|_| ExecuteError::BadPlan { problem: format!("{:?} is no backup", stored.backup) })?;
        let Some(digest) = &stored.list_digest else {
            // The backup that this run takes was listed by it.
            let own = self.outcome.listings.get(&stored.tree).filter(|_| self.made_in_store(&layout::backup(&id)));
            let files = own.map(|listing| &listing.files).into_iter().flatten();
            return Ok(own.map(|_| files.map(|file| (file.path.clone(), (file.size, file.digest))).collect()));
        };
        let list = FileList::load(self.effects.store, &id, Some(digest))?;
        let below = |path: &StoreKey| {
            let rest = path.as_str().strip_prefix(stored.tree.as_str())?.strip_prefix('/')?;
            Some(rest.to_owned())
        };
        let files = list.entries.iter().filter_map(|entry| Some((below(&entry.path)?, (entry.size?, entry.digest?))));
        Ok(Some(files.collect()))
    }

    fn replay(&mut self, step: &Replay) -> Result<(), ExecuteError> {
        let Some(window) = self.window.take() else {
            return Err(ExecuteError::BadPlan { problem: "a replay without unpacked binlogs".into() });
        };
        let (window, ended) = replay::run_replay(step, window, self.effects.store, &self.running())?;
        self.outcome.binlog_state = window.landmarks().state.clone();
        self.outcome.untold = window.untold().clone();
        self.ended(ended);
        files::remove_tree(&step.server.log_dir)?;
        let went_on = step.going_on.clone();
        self.outcome.replay = Some(ReplayProof { transactions: window.transactions(), went_on });
        Ok(())
    }

    fn ended(&mut self, ended: Ended) {
        self.parts = ended.parts;
        self.outcome.examination = ended.examination;
    }

    /// Which tablespaces the server had when the backup that a prepare works on had ended, as far as that is known.
    fn known_tablespaces(&self, run: &RunTool) -> Result<Option<TablespaceIds>, ExecuteError> {
        match &run.tablespaces {
            None | Some(KnownTablespaces::Ask(_)) => Ok(None),
            Some(KnownTablespaces::Asked) => {
                Ok(self.outcome.backup.as_ref().and_then(|backup| backup.tablespaces.clone()))
            }
            Some(KnownTablespaces::Stored(key)) => {
                let stored = read_version(self.effects.store, key)?;
                Ok(stored.and_then(|(bytes, _)| serde_json::from_slice(&bytes).ok()))
            }
        }
    }

    fn session(&self) -> Result<&'a dyn Session, ExecuteError> {
        let missing = || ExecuteError::BadPlan { problem: "it writes to the store without a lock".into() };
        self.effects.session.ok_or_else(missing)
    }

    fn running(&self) -> Running<'a> {
        let Effects { session, executor, clock, reporter, .. } = self.effects;
        Running { executor, session, clock, reporter }
    }
}

/// Whether a backup tool failed because of a statement that ran beside it.
fn is_of_ddl(error: &ExecuteError) -> bool {
    let ExecuteError::Tool { problem, .. } = error else { return false };
    // mariadb-backup 11.8 goes on where a file was dropped that it copies anew, and ends with status 0.
    matches!(
        **problem,
        ToolRunError::Exited { class: FailureClass::DdlDuringBackup, .. }
            | ToolRunError::Alarms { class: FailureClass::DdlDuringBackup, .. }
    )
}

/// An error with its cause, on one line.
fn describe_error(error: &ExecuteError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Where a restore's copy of the keyring lies, if it stayed: keys were made in it.
pub fn kept_keyring(report: &RestoreReport) -> Option<PathBuf> {
    report.keyring.clone().filter(|keyring| files::exists(keyring))
}

/// Writes the report of a restore, at once and durably.
///
/// # Errors
///
/// When the work directory cannot be written.
pub fn write_report(path: &Path, report: &RestoreReport) -> Result<(), ExecuteError> {
    let json = serde_json::to_vec_pretty(report)
        .map_err(|error| ExecuteError::BadPlan { problem: format!("the report cannot be written: {error}") })?;
    files::write_replacing(path, &json)
}

/// Removes directories of a failed run's own, so far as that is possible.
pub fn discard<'a>(paths: impl IntoIterator<Item = &'a PathBuf>, reporter: &dyn Reporter) {
    for path in paths {
        if let Err(error) = files::remove_tree(path) {
            reporter.report(&Event::Warning { text: &format!("could not clean up: {error}") });
        }
    }
}
