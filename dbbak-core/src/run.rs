//! Puts the parts together: one value that loads, surveys, plans and runs, for frontends and embedders alike.

use crate::{
    catalog::Catalog,
    clock::Clock,
    config::{Config, EngineChoice},
    engine::can_clone,
    execute::{
        Effects, Event, ExecuteError, Executor, JournalWriter, Outcome, Reporter, TreeError, Walk, discard,
        write_report,
    },
    facts::Facts,
    find::FindError,
    plan::{
        Aim, BackupRequest, EngineReport, OrphansRequest, Plan, PlanError, RestoreReport, RestoreRequest, Selection,
        ShipRequest, Step, Summary, Touch, backup_tool_suits, check, check_resumed, family_of, pinned, plan_backup,
        plan_orphans, plan_reindex, plan_restore, plan_resume, plan_ship, report_engines, resolve_aim, select, touch,
    },
    probe::Probe,
    record::{RecordError, record_backup, record_binlog, record_indexed, record_server_files, record_timelines},
    setup::{Finding, judge},
    store::{LockRequest, LockScope, Operation, Session, Store, StoreError, StoreFile, StoreKey, StoreReader, layout},
    survey::{self, SurveyError},
    tools::{Family, ToolRole},
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The store could not be read, written or locked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The world could not be asked.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// A search could not be made.
    #[error(transparent)]
    Find(#[from] FindError),
    /// No plan is possible.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A plan breaks a rule that every plan keeps: a bug.
    #[error("the plan breaks a rule: {0}")]
    Broken(crate::plan::Violation),
    /// The plan could not be carried out.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// What was done could not be recorded.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// What planning needs: it reads the store, asks the world, and changes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Planning<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The store's read side.
    pub store: &'a dyn StoreReader,
    /// Asks the world.
    pub probe: &'a dyn Probe,
    /// Tells the time.
    pub clock: &'a dyn Clock,
}

impl Planning<'_> {
    /// Plans a backup.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn backup(&self, request: &BackupRequest) -> Result<Plan, RunError> {
        let catalog = Catalog::load(self.store)?;
        let mut facts = survey::host(self.probe);
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Client], None);
        usable_client(&facts)?;
        survey::server(&mut facts, self.config, self.probe)?;
        survey::encryption(&mut facts, self.config, self.probe)?;
        let family = facts.server_family();
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Backup], family);
        self.clone_facts(&mut facts, request)?;
        self.dump_facts(&mut facts, request)?;
        survey::backup_paths(&mut facts, self.config, &catalog, self.probe)?;
        checked(plan_backup(self.config, &catalog, &facts, self.clock.now(), request)?)
    }

    /// Reports what each engine needs to take a full of the server, and what is missing.
    ///
    /// # Errors
    ///
    /// [`RunError`], also when the server does not answer.
    pub fn engines(&self) -> Result<Vec<EngineReport>, RunError> {
        let catalog = Catalog::load(self.store)?;
        let mut facts = survey::host(self.probe);
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Client], None);
        usable_client(&facts)?;
        survey::server(&mut facts, self.config, self.probe)?;
        let family = facts.server_family();
        survey::tools(
            &mut facts,
            self.config,
            self.probe,
            &[ToolRole::Backup, ToolRole::Server, ToolRole::Dump],
            family,
        );
        survey::clone_facts(&mut facts, self.config, self.probe)?;
        survey::dump_facts(&mut facts, self.config, self.probe)?;
        survey::backup_paths(&mut facts, self.config, &catalog, self.probe)?;
        match &facts.server {
            Some(Ok(server)) => Ok(report_engines(self.config, &catalog, &facts, server)),
            Some(Err(problem)) => Err(RunError::Plan(PlanError::ServerUnreachable {
                problem: problem.text.clone(),
                access_denied: problem.access_denied,
            })),
            None => Err(RunError::Plan(PlanError::ServerUnreachable {
                problem: "it was not asked".into(),
                access_denied: false,
            })),
        }
    }

    /// Asks what a clone of the server needs, where a full may be taken by one.
    fn clone_facts(&self, facts: &mut Facts, request: &BackupRequest) -> Result<(), RunError> {
        let possible = match &facts.server {
            Some(Ok(server)) => can_clone(server.flavor, server.version),
            _ => false,
        };
        let asked = matches!(self.config.engine, EngineChoice::Auto | EngineChoice::Clone);
        if possible && asked && *request == BackupRequest::Full {
            survey::tools(facts, self.config, self.probe, &[ToolRole::Server], facts.server_family());
            survey::clone_facts(facts, self.config, self.probe)?;
        }
        Ok(())
    }

    /// Asks what a dump of the server needs, where a full may be taken by one.
    fn dump_facts(&self, facts: &mut Facts, request: &BackupRequest) -> Result<(), RunError> {
        let may = match self.config.engine {
            EngineChoice::Dump => true,
            EngineChoice::Auto => !backup_tool_suits(facts),
            _ => false,
        };
        if may && *request == BackupRequest::Full {
            survey::tools(facts, self.config, self.probe, &[ToolRole::Dump], facts.server_family());
            survey::dump_facts(facts, self.config, self.probe)?;
        }
        Ok(())
    }

    /// Plans the archiving of binlogs.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn ship(&self, request: &ShipRequest) -> Result<Plan, RunError> {
        let catalog = Catalog::load(self.store)?;
        let mut facts = survey::host(self.probe);
        if request.rescue.is_none() {
            survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Client], None);
            survey::server(&mut facts, self.config, self.probe)?;
        }
        if request.from_server {
            usable_client(&facts)?;
            let family = facts.server_family();
            survey::tools(&mut facts, self.config, self.probe, &[ToolRole::BinlogReader], family);
            survey::fetch_paths(&mut facts, self.config, &catalog, self.probe)?;
            survey::remote_binlogs(&mut facts, self.config, &catalog, self.probe, request.flush)?;
        } else {
            survey::source_binlogs(&mut facts, self.config, &catalog, self.probe, request.rescue.as_deref())?;
        }
        checked(plan_ship(self.config, &catalog, &facts, self.clock.now(), request)?)
    }

    /// Plans a restore.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn restore(&self, request: &RestoreRequest) -> Result<Plan, RunError> {
        let catalog = Catalog::load(self.store)?;
        let now = self.clock.now();
        let mut facts = survey::host(self.probe);
        survey::journal(&mut facts, self.probe, request.workdir.as_deref())?;
        let (asked, request) = (request, &pinned(request, &facts)?);
        if !request.replays_nothing() {
            facts.crossings = survey::crossings(self.store, &catalog);
        }
        let aim = resolve_aim(self.config, &catalog, &facts, now, request)?;
        let goals: Vec<_> = aim.goal().into_iter().chain(request.skip_goals()).collect();
        for goal in goals {
            survey::cuts(&mut facts, self.store, &catalog, &goal, request.timeline.as_deref())?;
        }
        let selection = self.select(&catalog, request, &aim, &mut facts)?;
        survey::stored_chain(&mut facts, self.store, &selection.chain)?;
        if let Some((timeline, at)) = selection.ends_at(&catalog) {
            let from = selection.window.as_ref().map(|window| match &window.lead {
                Some(lead) => lead.place.enter.clone(),
                None => window.coordinates.place(),
            });
            let goal = aim.goal();
            survey::edges(&mut facts, self.store, &catalog, &timeline, (from.as_ref(), &at), goal.as_ref())?;
        }
        let family = selection.chain.first().and_then(|full| family_of(full));
        let is_dump = selection.chain.first().is_some_and(|full| full.entry.engine.as_deref() == Some("dump"));
        if is_dump && family == Some(Family::Mariadb) {
            survey::install_db(&mut facts, self.config, self.probe);
        }
        let roles = [ToolRole::Backup, ToolRole::BinlogReader, ToolRole::Client, ToolRole::Server];
        survey::tools(&mut facts, self.config, self.probe, &roles, family);
        survey::live_server(&mut facts, self.config, self.probe);
        survey::restore_paths(&mut facts, self.config, &catalog, self.probe, request.workdir.as_deref())?;
        if let Some(owner) = &asked.finish.owner {
            survey::owner(&mut facts, owner, self.probe)?;
        }
        let plan = checked(plan_restore(self.config, &catalog, &facts, now, asked)?)?;
        survey::done_place(&mut facts, self.store, &plan.window_files())?;
        let resumed = plan_resume(plan.clone(), &facts);
        match check_resumed(&plan, &resumed).into_iter().next() {
            Some(violation) => Err(RunError::Broken(violation)),
            None => Ok(resumed),
        }
    }

    /// Chooses chain and window. Whether a backup's coordinates are a transaction boundary is looked up for the one that
    /// is chosen alone; where they are not, another is chosen.
    fn select<'a>(
        &self,
        catalog: &'a Catalog,
        request: &RestoreRequest,
        aim: &Aim,
        facts: &mut Facts,
    ) -> Result<Selection<'a>, RunError> {
        loop {
            let selection = select(catalog, request, aim, facts)?;
            let (Some(window), Some(last)) = (&selection.window, selection.chain.last()) else { return Ok(selection) };
            let (true, Some(file)) = (facts.starts.iter().all(|start| start.backup != last.ts()), window.files.first())
            else {
                return Ok(selection);
            };
            survey::start(facts, self.store, last.ts(), file, &window.coordinates)?;
        }
    }

    /// Proves the setup.
    ///
    /// # Errors
    ///
    /// Only when the machine itself cannot be looked at: everything else is a finding.
    pub fn check(&self) -> Result<Vec<Finding>, RunError> {
        let catalog = Catalog::load(self.store);
        let mut facts = survey::host(self.probe);
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Client], None);
        survey::server(&mut facts, self.config, self.probe)?;
        survey::encryption(&mut facts, self.config, self.probe)?;
        let family = facts.server_family();
        let roles = [ToolRole::Backup, ToolRole::BinlogReader, ToolRole::Client, ToolRole::Server];
        survey::tools(&mut facts, self.config, self.probe, &roles, family);
        self.clone_facts(&mut facts, &BackupRequest::Full)?;
        self.dump_facts(&mut facts, &BackupRequest::Full)?;
        survey::check_paths(&mut facts, self.config, self.probe)?;
        if let Ok(catalog) = &catalog
            && survey::source_binlogs(&mut facts, self.config, catalog, self.probe, None).is_err()
        {
            facts.source = None;
        }
        Ok(judge(self.config, catalog.as_ref(), &facts, self.clock.now()))
    }

    /// Plans the rebuilding of transaction indexes and index entries.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn reindex(&self) -> Result<Plan, RunError> {
        let catalog = Catalog::load(self.store)?;
        let mut facts = survey::host(self.probe);
        survey::transaction_indexes(&mut facts, self.store, &catalog)?;
        checked(plan_reindex(&catalog, &facts, self.clock.now()))
    }

    /// Plans the removal of orphans.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn orphans(&self, request: &OrphansRequest) -> Result<Plan, RunError> {
        let mut catalog = Catalog::load(self.store)?;
        catalog.find_binlog_orphans(self.store)?;
        checked(plan_orphans(&catalog, self.clock.now(), request))
    }
}

/// Without a client no server can be asked: that is what is wrong then, and not the server.
fn usable_client(facts: &Facts) -> Result<(), PlanError> {
    match facts.tool(ToolRole::Client) {
        Some(tool) if tool.version.is_none() => Err(PlanError::Tool {
            role: ToolRole::Client,
            path: tool.path.clone(),
            problem: tool.problem.clone().unwrap_or_else(|| "none was named or found on PATH".into()),
        }),
        _ => Ok(()),
    }
}

fn checked(plan: Plan) -> Result<Plan, RunError> {
    match check(&plan).into_iter().next() {
        Some(violation) => Err(RunError::Broken(violation)),
        None => Ok(plan),
    }
}

/// The locks that a command needs, to be taken before its plan is made.
pub fn locks_of(command: Command) -> &'static [LockScope] {
    match command {
        Command::Backup => &[LockScope::Backups],
        Command::Ship | Command::Reindex => &[LockScope::Binlogs],
        Command::Restore => &[LockScope::Read],
        Command::Prune => &[LockScope::Backups, LockScope::Binlogs, LockScope::Prune],
    }
}

/// The commands that lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Full or incremental backup.
    Backup,
    /// Archiving of binlogs.
    Ship,
    /// Rebuilding of what is known of the archived binlogs.
    Reindex,
    /// Restore.
    Restore,
    /// Removal from the store.
    Prune,
}

/// Takes the locks of a command. A command that writes refuses a store that this program must not write before it leaves
/// anything in it.
///
/// # Errors
///
/// [`StoreError::Locked`] when somebody else holds one; [`StoreError::TooNew`] when the store asks its writers for more
/// than this program knows; [`StoreError::NotFound`] of `dbbak.json` in a store that another program made.
pub fn lock(store: &dyn Store, command: Command, request: &LockRequest) -> Result<Box<dyn Session>, StoreError> {
    if command != Command::Restore {
        check_writable(store)?;
    }
    store.lock_many(locks_of(command), request)
}

/// Checks that this program may write a store.
///
/// # Errors
///
/// [`StoreError::TooNew`]; [`StoreError::NotFound`] of the root, or of `dbbak.json`, which only `init` adds to a store
/// that another program made.
pub fn check_writable(store: &dyn StoreReader) -> Result<(), StoreError> {
    store.list(&StoreKey::root())?;
    match StoreFile::load(store)? {
        Some((file, _)) => file.check_writable(),
        None => Err(StoreError::NotFound { key: layout::store_file(), operation: Operation::Read }),
    }
}

/// What running needs.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// The store's read side.
    pub store: &'a dyn StoreReader,
    /// The locks; a restore can do without where the store cannot be written.
    pub session: Option<&'a dyn Session>,
    /// Starts programs.
    pub executor: &'a dyn Executor,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// Takes what is to be said.
    pub reporter: &'a dyn Reporter,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// What it found out.
    pub outcome: Outcome,
    /// The report of a restore.
    pub report: Option<RestoreReport>,
    /// What could not be done all the same.
    pub incomplete: Vec<String>,
    /// What the user must know.
    pub warnings: Vec<String>,
}

/// Runs a plan as it stands, and enters into the store what it brings.
///
/// # Errors
///
/// [`RunError`]. What the plan had begun is discarded; what was recorded before stays.
pub fn run(plan: &Plan, running: &Running<'_>) -> Result<Finished, RunError> {
    let Running { store, session, executor, clock, reporter } = *running;
    let effects = Effects { store, session, executor, clock, reporter };
    let resume = plan.journal.as_ref().and_then(|journal| journal.resume.as_ref());
    let mut walk = resume.map_or_else(|| Walk::new(effects), |resume| Walk::go_on(effects, resume));
    let mut journal = JournalWriter::begin(plan, clock)?;
    let mut finished = Finished {
        outcome: Outcome::default(),
        report: None,
        incomplete: plan.incomplete.clone(),
        warnings: Vec::new(),
    };
    for (number, step) in plan.steps.iter().enumerate() {
        let result = journal
            .begun(step)
            .and_then(|()| walk.step(step, (number + 1, plan.steps.len())))
            .map_err(RunError::from)
            .and_then(|()| record(step, &walk, session, clock, &mut finished))
            .and_then(|()| Ok(journal.done(step, walk.outcome())?));
        if let Err(error) = result {
            journal.failed(step, &error.to_string(), is_unproven(&error));
            clean_up((plan, step), running, &error, walk.outcome());
            return Err(error);
        }
    }
    journal.end()?;
    finished.outcome = walk.into_outcome();
    Ok(finished)
}

fn record(
    step: &Step,
    walk: &Walk<'_>,
    session: Option<&dyn Session>,
    clock: &dyn Clock,
    finished: &mut Finished,
) -> Result<(), RunError> {
    let locked = || session.ok_or(RecordError::Incomplete { missing: "the lock" });
    let outcome = walk.outcome();
    match step {
        Step::KeepServerFiles { variables, to, .. } => {
            let tablespaces = outcome.backup.as_ref().and_then(|backup| backup.tablespaces.as_ref());
            record_server_files(locked()?, to, variables, tablespaces, &outcome.server_files)?;
        }
        Step::RecordBackup(plan) => {
            let entry = record_backup(locked()?, plan, outcome)?;
            if let Some(crate::store::PitrState::No(reason)) = &entry.pitr {
                finished.warnings.push(format!("this backup cannot start a point-in-time recovery: {reason}"));
            }
        }
        Step::ShipBinlog(_) => {
            let entry = outcome.shipped.last().ok_or(RecordError::Incomplete { missing: "the archived binlog" })?;
            record_binlog(locked()?, entry)?;
            if let Some(damage) = &entry.damaged {
                let (name, what, last_good) = (&entry.name, &damage.what, damage.last_good);
                finished.incomplete.push(format!(
                    "binlog {name} is damaged ({what}): it was kept, and can be replayed up to byte {last_good}"
                ));
            }
        }
        Step::NameTimelines { names } => record_timelines(locked()?, names)?,
        Step::IndexBinlog(_) => {
            let indexed = outcome.indexed.last().ok_or(RecordError::Incomplete { missing: "the indexed binlog" })?;
            match &indexed.result {
                Ok(entry) => record_indexed(locked()?, entry)?,
                Err(problem) => finished.incomplete.push(format!("{} was not indexed: {problem}", indexed.stored_as)),
            }
        }
        Step::RemoveStored { keys } => {
            for key in keys {
                locked()?.remove_tree(key)?;
            }
        }
        Step::WriteReport { path, report } => {
            let report = RestoreReport {
                finished_at: Some(clock.now()),
                proof: outcome.replay.clone(),
                caught_up: outcome.caught_up.clone(),
                examination: outcome.examination.clone(),
                phases: outcome.phases.clone(),
                ..(**report).clone()
            };
            write_report(path, &report)?;
            finished.report = Some(report);
        }
        _ => {}
    }
    Ok(())
}

/// Whether what was restored was looked at, and is not what was planned. A server that could not be asked, or did not end
/// well, is no such look: a full disk does that too, and the restore may begin anew.
fn is_unproven(error: &RunError) -> bool {
    let ended =
        |error: &ExecuteError| matches!(error, ExecuteError::Examination { .. } | ExecuteError::ServerStop { .. });
    matches!(error, RunError::Execute(error) if error.is_unproven() && !ended(error))
}

/// Whether a restore that failed in a step may go on from what it has: a place was full, say, and has room again.
fn can_go_on(plan: &Plan, step: &Step, error: &RunError) -> bool {
    let passing = matches!(
        error,
        RunError::Execute(ExecuteError::Io { .. } | ExecuteError::Tree(TreeError::Io { .. }) | ExecuteError::Store(_))
    );
    plan.journal.is_some() && passing && !matches!(touch(step, plan.datadir()), Touch::Changes { .. })
}

/// Removes what a failed run had begun. A restored data directory that was not proven is kept for a look at it, and one
/// that was proven is kept although its report could not be written.
fn clean_up((plan, step): (&Plan, &Step), running: &Running<'_>, error: &RunError, outcome: &Outcome) {
    match error {
        RunError::Execute(error) if error.is_unproven() => mark_unproven(plan, running, error, outcome),
        _ if outcome.replay.is_none() && !can_go_on(plan, step, error) => {
            discard(&plan.discard_dirs, running.reporter);
        }
        _ => {}
    }
    let Some(session) = running.session else { return };
    // Once a backup is recorded it stays; a failed run never comes that far, since recording is its last step.
    for key in &plan.discard_on_failure {
        if let Err(error) = session.remove_tree(key) {
            running.reporter.report(&Event::Warning { text: &format!("could not clean up {key}: {error}") });
        }
    }
}

/// Writes into the report of a restore that its data are not what they must be.
fn mark_unproven(plan: &Plan, running: &Running<'_>, error: &ExecuteError, outcome: &Outcome) {
    let Some(Step::WriteReport { path, report }) = plan.steps.last() else { return };
    let report = RestoreReport {
        unproven: Some(error.to_string()),
        examination: outcome.examination.clone(),
        phases: outcome.phases.clone(),
        ..(**report).clone()
    };
    if let Err(problem) = write_report(path, &report) {
        running.reporter.report(&Event::Warning { text: &format!("the restored data could not be marked: {problem}") });
    }
}

impl Facts {
    /// The family of the server that answered.
    pub fn server_family(&self) -> Option<Family> {
        match &self.server {
            Some(Ok(server)) => Some(server.family()),
            _ => None,
        }
    }
}

impl Plan {
    /// Whether running the plan would change nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() || matches!(self.summary, Summary::Ship { files: 0, .. } if self.steps.is_empty())
    }
}
