//! Puts the parts together: one value that loads, surveys, plans and runs, for frontends and embedders alike.

mod carry_out;
mod trial;

pub use carry_out::{Finished, Running, UnusableBackup, run};

use crate::{
    catalog::Catalog,
    clock::Clock,
    config::{Config, EngineChoice},
    engine::can_clone,
    execute::ExecuteError,
    facts::Facts,
    find::FindError,
    plan::{
        Aim, BackupRequest, EngineReport, OrphansRequest, Plan, PlanError, RestoreRequest, Selection, ShipRequest,
        Summary, UnmarkRequest, Window, backup_tool_suits, check, check_resumed, family_of, named_tool, parent_of,
        pinned, plan_backup, plan_orphans, plan_reindex, plan_restore, plan_resume, plan_ship, plan_unmark,
        report_engines, resolve_aim, select,
    },
    probe::Probe,
    record::RecordError,
    setup::{Finding, judge},
    store::{LockRequest, LockScope, Operation, Session, Store, StoreError, StoreFile, StoreKey, StoreReader, layout},
    survey::{self, SurveyError},
    tools::{Family, Held, Holdings, ToolRole},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
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
    /// A plan breaks a rule that every plan keeps: a bug, or somebody edited it.
    #[error("the plan breaks a rule: {0}")]
    Broken(crate::plan::Violation),
    /// A plan was made for another store.
    #[error("the plan was made for the store {planned}, and not for {found}")]
    OtherStore {
        /// The store that it names.
        planned: String,
        /// The store that it was to be carried out on.
        found: String,
    },
    /// The store is no longer as it was when the plan was made.
    #[error("{key} was changed since the plan was made")]
    Outdated {
        /// The list that was changed.
        key: StoreKey,
    },
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
        usable_client(&facts).map_err(|error| named_tool(self.config, error))?;
        survey::server(&mut facts, self.config, self.probe)?;
        survey::encryption(&mut facts, self.config, self.probe)?;
        let family = facts.server_family();
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Backup], family);
        survey::restored(&mut facts, self.config, self.probe);
        survey::data_born(&mut facts, self.config, self.probe);
        if let Ok(Some(parent)) = parent_of(&catalog, request) {
            survey::past(&mut facts, self.config, &catalog.binlogs, self.probe, parent);
            if let (true, Ok(chain)) = (self.config.try_incrementals, catalog.chain(parent.ts())) {
                // What cannot be looked at is not tried, and the plan says so: it is no reason to take no backup.
                let _ = survey::stored_chain(&mut facts, self.store, &chain);
            }
        }
        survey::broken_tables(&mut facts, self.config, self.probe)?;
        survey::standing(&mut facts, self.config, self.probe)?;
        self.clone_facts(&mut facts, request)?;
        self.dump_facts(&mut facts, request)?;
        survey::backup_paths(&mut facts, self.config, &catalog, self.probe)?;
        let plan = plan_backup(self.config, &catalog, &facts, self.clock.now(), request);
        checked(plan.map_err(|error| named_tool(self.config, error))?)
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
        usable_client(&facts).map_err(|error| named_tool(self.config, error))?;
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
            let scratch = self.config.scratch_dir.clone().unwrap_or_else(|| self.config.nfs_root.join("tmp"));
            survey::prison(facts, self.config, self.probe, &[&scratch.join("x")])?;
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
            // A server that sends its binlogs may be on another machine, where this path is another server's.
            if !request.from_server {
                survey::restored(&mut facts, self.config, self.probe);
                survey::data_born(&mut facts, self.config, self.probe);
            }
        }
        if request.from_server {
            usable_client(&facts).map_err(|error| named_tool(self.config, error))?;
            let family = facts.server_family();
            survey::tools(&mut facts, self.config, self.probe, &[ToolRole::BinlogReader], family);
            survey::fetch_paths(&mut facts, self.config, &catalog, self.probe)?;
            survey::remote_binlogs(&mut facts, self.config, &catalog, self.probe, request.flush)?;
        } else {
            survey::source_binlogs(&mut facts, self.config, &catalog, self.probe, request.rescue.as_deref())?;
        }
        let plan = plan_ship(self.config, &catalog, &facts, self.clock.now(), request);
        checked(plan.map_err(|error| named_tool(self.config, error))?)
    }

    /// Where the server's binlogs lie: as the configuration says, else as the server answers.
    ///
    /// # Errors
    ///
    /// Why that is not known, as a person reads it.
    pub fn binlog_dir(&self) -> Result<PathBuf, String> {
        if let Some(dir) = &self.config.binlog_source_dir {
            return Ok(dir.clone());
        }
        let mut facts = survey::host(self.probe);
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Client], None);
        usable_client(&facts).map_err(|error| error.to_string())?;
        survey::server(&mut facts, self.config, self.probe).map_err(|error| error.to_string())?;
        let server = match &facts.server {
            Some(Ok(server)) => server,
            Some(Err(problem)) => return Err(format!("the server does not answer: {}", problem.text)),
            None => return Err("the server was not asked".into()),
        };
        let dir = server.log_bin_basename.as_ref().and_then(|base| base.parent());
        dir.map(Path::to_owned).ok_or_else(|| "the server does not say where its binlogs lie".into())
    }

    /// Plans a restore.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn restore(&self, request: &RestoreRequest) -> Result<Plan, RunError> {
        match self.restore_of_what_is_trusted(request) {
            // Where a list is damaged, that is what is wrong, and not what the rest of the store lacks.
            Err(RunError::Plan(error)) => match Catalog::load(self.store) {
                Ok(_) => Err(RunError::Plan(error)),
                Err(damage) => Err(damage.into()),
            },
            planned => planned,
        }
    }

    fn restore_of_what_is_trusted(&self, request: &RestoreRequest) -> Result<Plan, RunError> {
        let mut catalog = Catalog::load_trusted(self.store)?;
        for link in &request.avoid {
            catalog.pass_over(*link, "its prepare has failed");
        }
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
        if request.raw_only {
            survey::leave_prepared_aside(&mut facts);
        }
        if let Some((timeline, at)) = selection.ends_at(&catalog) {
            let from = selection.window.as_ref().map(|window| match &window.lead {
                Some(lead) => lead.place.enter.clone(),
                None => window.coordinates.place(),
            });
            let goal = aim.goal();
            survey::edges(&mut facts, self.store, &catalog, &timeline, (from.as_ref(), &at), goal.as_ref())?;
        }
        if let Some(window) = &selection.window {
            self.look_through(window, &selection, &mut facts);
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
        let scratch = self.config.scratch_dir.clone().unwrap_or_else(|| self.config.nfs_root.join("tmp"));
        let place = request.workdir.clone().unwrap_or_else(|| scratch.join("x"));
        survey::prison(&mut facts, self.config, self.probe, &[&place])?;
        let plan = plan_restore(self.config, &catalog, &facts, now, asked);
        let plan = checked(plan.map_err(|error| named_tool(self.config, error))?)?;
        survey::done_place(&mut facts, self.store, &plan.window_files())?;
        let resumed = plan_resume(plan.clone(), &facts);
        match check_resumed(&plan, &resumed).into_iter().next() {
            Some(violation) => Err(RunError::Broken(violation)),
            None => Ok(resumed),
        }
    }

    /// Looks through a window for what its plan must tell.
    fn look_through(&self, window: &Window<'_>, selection: &Selection<'_>, facts: &mut Facts) {
        let family = selection.chain.first().and_then(|full| family_of(full)).unwrap_or(Family::Mariadb);
        let last = selection.chain.last().and_then(|last| facts.stored.get(&last.id.to_string()));
        let none = BTreeMap::new();
        let variables = last.map_or(&none, |stored| &stored.variables);
        let holdings = Holdings::of(family, variables, &self.config.server.options);
        let doubtful = |need, name: &str| holdings.holds(need, name) != Held::Yes;
        let found = survey::window(self.store, &window.spans(), &doubtful);
        (facts.outside, facts.demands, facts.untold) = (found.outside, found.demands, found.untold);
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
        let catalog = Catalog::load_trusted(self.store);
        let mut facts = survey::host(self.probe);
        survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Client], None);
        survey::server(&mut facts, self.config, self.probe)?;
        survey::encryption(&mut facts, self.config, self.probe)?;
        let family = facts.server_family();
        let roles = [ToolRole::Backup, ToolRole::BinlogReader, ToolRole::Client, ToolRole::Server];
        survey::tools(&mut facts, self.config, self.probe, &roles, family);
        self.clone_facts(&mut facts, &BackupRequest::Full)?;
        self.dump_facts(&mut facts, &BackupRequest::Full)?;
        survey::broken_tables(&mut facts, self.config, self.probe)?;
        survey::standing(&mut facts, self.config, self.probe)?;
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

    /// Plans how a mark that a backup cannot be applied is taken off.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn unmark(&self, request: &UnmarkRequest) -> Result<Plan, RunError> {
        let catalog = Catalog::load(self.store)?;
        let mut facts = survey::host(self.probe);
        if let Ok(chain) = catalog.linked(request.backup) {
            let family = chain.first().and_then(|full| family_of(full));
            survey::tools(&mut facts, self.config, self.probe, &[ToolRole::Backup], family);
            survey::stored_chain(&mut facts, self.store, &chain)?;
        }
        survey::backup_paths(&mut facts, self.config, &catalog, self.probe)?;
        let plan = plan_unmark(self.config, &catalog, &facts, self.clock.now(), request);
        checked(plan.map_err(|error| named_tool(self.config, error))?)
    }

    /// Plans the removal of orphans.
    ///
    /// # Errors
    ///
    /// [`RunError`]; nothing was changed.
    pub fn orphans(&self, request: &OrphansRequest) -> Result<Plan, RunError> {
        let mut catalog = Catalog::load(self.store)?;
        catalog.find_binlog_orphans(self.store)?;
        survey::copies_of_listed(self.store, &mut catalog)?;
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
        Command::Backup | Command::Unmark => &[LockScope::Backups],
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
    /// The taking off of a mark.
    Unmark,
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
