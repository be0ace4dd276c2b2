//! Plans a full or an incremental backup.

use super::{
    Plan, PlanError, Summary, clone, dump,
    engines::{choose, form_changes},
    not_readable,
    past::{self, InsteadOf, Unproven},
    request::BackupRequest,
    scratch::{self, Scratch},
    select,
    server_record::server_record,
    standing::{broken_warning, outside_warning, prepared_warning},
    step::{
        KnownTablespaces, OptionFiles, PassTree, PersistedSettings, ReadBackup, RecordBackup, RecordTrees, RunTool,
        Step, StoredTree, SyncSide,
    },
};
use crate::{
    catalog::{Backup, Catalog},
    config::Config,
    engine::{BackupJob, Engine, PrepareJob, engine_for, engine_named},
    facts::{Facts, ServerFacts, ToolFact},
    model::{BackupId, BackupKind, Lsn, Stamp, TreeName},
    store::{LockScope, layout},
    survey::client_of,
    tools::{
        Expected, Family, Launch, MASK, Query, ToolRole, ToolVersion, key_options, key_plugin, key_variables,
        parse_server_version, untested_series,
    },
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// How often a backup is taken anew, at most, where a statement that ran beside it made the tool fail.
const AGAIN: u32 = 2;

/// Plans a backup.
///
/// # Errors
///
/// [`PlanError`] when the server cannot be asked, the tool does not suit it, or the chain cannot be continued.
pub fn plan_backup(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    now: DateTime<Utc>,
    request: &BackupRequest,
) -> Result<Plan, PlanError> {
    let mut plan = plan_unbound(config, catalog, facts, now, request)?;
    plan.scratch = catalog.root.as_deref().and_then(|root| scratch::scratch_root(config, facts, root).ok());
    plan.warn_of_losses(catalog);
    plan.bind(catalog);
    Ok(plan)
}

fn plan_unbound(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    now: DateTime<Utc>,
    request: &BackupRequest,
) -> Result<Plan, PlanError> {
    let server = server(facts)?;
    let mut plan = by_engine(config, catalog, facts, now, request, server)?;
    plan.warnings.extend(untested_series(server.family(), server.version).map(|series| series.to_string()));
    Ok(plan)
}

fn by_engine(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    now: DateTime<Utc>,
    request: &BackupRequest,
    server: &ServerFacts,
) -> Result<Plan, PlanError> {
    let choice = (*request == BackupRequest::Full).then(|| choose(config, facts, server));
    let reason = choice.as_ref().and_then(|choice| choice.reason.clone());
    if let (Some(choice), true) = (&choice, config.xtrabackup.is_some())
        && config.engine.name().is_none()
        && matches!(choice.engine, Some("clone" | "dump"))
    {
        // What is named must be there: another form of backup is no answer to a wrong path.
        tool(facts, ToolRole::Backup)?;
    }
    let changed = choice.as_ref().and_then(|choice| form_changes(config, catalog, choice.engine?));
    let planned = match choice.and_then(|choice| choice.engine) {
        Some("clone") => {
            Some(clone::plan_clone((config, catalog, facts), server, now, reason.clone().unwrap_or_default())?)
        }
        Some("dump") => {
            Some(dump::plan_dump((config, catalog, facts), server, now, reason.clone().unwrap_or_default())?)
        }
        _ => None,
    };
    if let Some(mut plan) = planned {
        plan.warnings.extend(changed.map(|before| {
            format!("engine auto: this full is of another form than the newest one ({before}): nothing goes on that chain; name the engine, or mend what is missing (`dbbak engines`)")
        }));
        return Ok(plan);
    }
    let (mut proof, mut instead) = (None, None);
    let asked = match (parent_of(catalog, request), request) {
        (
            Err(PlanError::UnusableLink { backup, link, reason }),
            BackupRequest::Incremental { base: None, differential: false },
        ) => {
            instead = Some(InsteadOf { parent: backup, why: Unproven::Unusable { link, reason } });
            None
        }
        (asked, _) => asked?,
    };
    if let Some(parent) = asked {
        same_server(parent, server)?;
        match (past::prove(parent, server, facts, catalog), request) {
            (Ok(text), _) => proof = Some(text),
            (Err(why), BackupRequest::Incremental { base: Some(_), .. }) => {
                return Err(PlanError::NotInPast { parent: parent.ts(), why });
            }
            (Err(why), _) => instead = Some(InsteadOf { parent: parent.ts(), why }),
        }
    }
    let parent = asked.filter(|_| instead.is_none());
    let (tool, version) = tool(facts, ToolRole::Backup)?;
    let engine = engine_for(version.kind).ok_or_else(|| no_engine(tool, version))?;
    if let Some(wanted) = config.engine.name().filter(|wanted| parent.is_none() && *wanted != engine.name()) {
        return Err(PlanError::Mismatch {
            what: "the backup tool for the engine that was asked for".into(),
            expected: wanted.to_owned(),
            found: version.to_string(),
        });
    }
    engine.suits(version, server.flavor, server.version).map_err(|misfit| PlanError::Mismatch {
        what: format!("{} {} for a {} {} server", version.kind, version.full, server.flavor, server.version),
        expected: misfit.expected,
        found: misfit.found,
    })?;
    let datadir = config.server.datadir.as_deref().unwrap_or(&server.datadir);
    if let Some(refusal) = not_readable::by_tool(facts, server, version.kind, datadir) {
        return Err(PlanError::Closed(Box::new(refusal)));
    }
    if let Some(variable) = key_in_the_clear(engine.tool().family(), server) {
        return Err(PlanError::KeyInTheClear { variable, tool: version.kind.to_string() });
    }
    let root = catalog
        .root
        .clone()
        .ok_or_else(|| PlanError::StoreUnusable { reason: "the backup tools need a directory to write into".into() })?;
    let mut plan = Plan::new("backup", now);
    plan.locks = vec![LockScope::Backups];
    plan.reasons.extend(reason);
    let ts = free_stamp(catalog, now)?;
    let id = match parent {
        None => BackupId::full(ts),
        Some(parent) => BackupId::incremental(ts, parent.id.root()),
    };
    if let Some(parent) = parent {
        plan.reasons.push(format!("on {} {}, which ends at LSN {}", parent.kind(), parent.ts(), lsn(parent)));
        plan.reasons.extend(proof.map(|text| format!("its end lies in the server's past: {text}")));
    }
    plan.warnings.extend(instead.map(|instead| instead.warning()));
    if !server.log_bin {
        plan.warnings.push("the server writes no binlog: this backup cannot start a point-in-time recovery".into());
    }
    let work = Work { config, facts, engine, program: program(tool)?, version, root: &root, id, ts };
    for leftover in &facts.leftovers {
        plan.reasons.push(format!("{} was left by a run that died", leftover.display()));
        plan.steps.push(Step::RemoveTree { path: leftover.clone() });
    }
    plan.steps.push(Step::CreateStoreDir { key: layout::backup(&id) });
    let take = work.take(server, parent)?;
    let command = take.launch.command.to_string();
    plan.steps.push(Step::RunTool(Box::new(take)));
    plan.steps.push(Step::ReadBackup(ReadBackup {
        dir: work.path(TreeName::Raw),
        binlog_dir: binlog_dir(config, server),
        from_lsn: parent.and_then(|parent| parent.to_lsn),
        binlog_enabled: server.log_bin,
        datadir: (server.family() == Family::Mariadb).then(|| server.datadir.clone()),
        system_tables: facts.system_tables.clone(),
        tablespaces: work.ask_tablespaces(server)?,
    }));
    plan.warnings.extend(broken_warning(facts));
    plan.warnings.extend(outside_warning(facts));
    plan.warnings.extend(prepared_warning(facts, server.family()));
    // What the tool wrote is recorded before anything is made of it: a full that is there is not thrown away because of that.
    plan.steps.push(work.list(TreeName::Raw, "list and sync the backup"));
    plan.steps.push(Step::KeepServerFiles {
        variables: server.variables.clone(),
        broken: facts.broken.clone(),
        standing: facts.standing.clone(),
        files: config.server.config_files.clone(),
        persisted: persisted(server),
        to: layout::server(&id),
    });
    plan.steps.push(Step::RecordBackup(RecordBackup {
        id: id.to_string(),
        parent: parent.map(Backup::ts),
        engine: engine.name().to_owned(),
        tool_version: version.full.clone(),
        server: server_record(server, facts),
        command,
        trees: vec![TreeName::Raw],
        final_from: None,
    }));
    plan.discard_on_failure = vec![layout::backup(&id)];
    let mut trees = vec![TreeName::Raw];
    if id.kind() == BackupKind::Full {
        trees.extend(work.prepare(&mut plan)?);
    }
    if let Some(parent) = parent {
        work.try_it(&mut plan, catalog, parent)?;
    }
    if trees.len() > 1 {
        let from_raw = engine.has_final_prepare() && trees.contains(&TreeName::PreparedFinal);
        plan.steps.push(Step::RecordTrees(RecordTrees {
            id: id.to_string(),
            trees: trees.clone(),
            final_from: from_raw.then_some(TreeName::Raw),
        }));
        plan.discard_on_failure.extend([layout::prepared_redo(&id), layout::prepared_final(&id)]);
    }
    plan.summary = Summary::Backup { id: id.to_string(), engine: engine.name().to_owned(), trees };
    warn_about_space(&mut plan, facts, server, &root, config);
    Ok(plan)
}

/// The variable of a server's key plugin that holds a secret and not its place: mariadb-backup writes the plugin's
/// variables into `backup-my.cnf` (seen on 10.11.19). The survey has masked it.
fn key_in_the_clear(family: Family, server: &ServerFacts) -> Option<String> {
    let holds = |(name, value): &(&String, &String)| name.contains("key_management_") && *value == MASK;
    let found = server.variables.iter().find(holds).map(|(name, _)| name.clone());
    found.filter(|_| family == Family::Mariadb)
}

/// The parent of an incremental; `None` for a full.
///
/// # Errors
///
/// [`PlanError`] when there is no such backup, or its chain is not whole.
pub fn parent_of<'a>(catalog: &'a Catalog, request: &BackupRequest) -> Result<Option<&'a Backup>, PlanError> {
    let BackupRequest::Incremental { base, differential } = request else { return Ok(None) };
    let full = match base {
        Some(ts) => catalog.backup(*ts).ok_or_else(|| select::unknown_backup(catalog, *ts))?,
        None => catalog.latest_full().ok_or(PlanError::NoFull)?,
    };
    if let Some(base) = full.id.base {
        return Err(PlanError::NotAFull { ts: full.ts(), base });
    }
    if let Some(engine) =
        full.entry.engine.as_deref().and_then(engine_named).filter(|engine| !engine.has_incrementals())
    {
        return Err(PlanError::NoIncrementals { full: full.ts(), engine: engine.name().to_owned() });
    }
    let parent = match differential {
        true => full,
        false => {
            // The newest backup, not the newest usable one: a hole in the chain is to be heard of now.
            let family = catalog.backups.iter().filter(|backup| backup.id.root() == full.ts());
            family.max_by_key(|backup| backup.ts()).unwrap_or(full)
        }
    };
    catalog.chain(parent.ts()).map_err(select::chain_error)?;
    Ok(Some(parent))
}

/// Refuses to continue a chain on another server or another version series.
fn same_server(parent: &Backup, server: &ServerFacts) -> Result<(), PlanError> {
    let mismatch = |what: &str, expected: String, found: String| {
        let what = format!("{what} of the server and of the parent {}", parent.ts());
        Err(PlanError::Mismatch { what, expected, found })
    };
    if let Some(record) = parent.server() {
        if let (Some(expected), Some(found)) = (&record.uuid, &server.uuid)
            && expected != found
        {
            return mismatch("the server_uuid", expected.clone(), found.clone());
        }
        if record.uuid.is_none() && record.id.is_some_and(|id| id != server.server_id) {
            let expected = record.id.map(|id| id.to_string()).unwrap_or_default();
            return mismatch("the server_id", expected, server.server_id.to_string());
        }
        if let Some(recorded) = record.version.as_deref().and_then(series)
            && recorded != server.version.series()
        {
            let found = server.version.series();
            return mismatch(
                "the version series",
                format!("{}.{}", recorded.0, recorded.1),
                format!("{}.{}", found.0, found.1),
            );
        }
    }
    Ok(())
}

/// The series of a version that was recorded, of a server or a tool.
pub(super) fn series(version: &str) -> Option<(u32, u32)> {
    parse_server_version(version, "").ok().map(|(_, version)| version.series())
}

/// The stamp of a new backup: to the minute, and to the second where a backup or a leftover has that minute.
pub(super) fn free_stamp(catalog: &Catalog, now: DateTime<Utc>) -> Result<Stamp, PlanError> {
    let minute = Stamp::to_the_minute(now);
    if !catalog.stamp_taken(minute) {
        return Ok(minute);
    }
    let second = Stamp::to_the_second(now);
    if catalog.stamp_taken(second) { Err(PlanError::StampTaken { ts: second }) } else { Ok(second) }
}

/// What the steps of a backup are made of.
pub(super) struct Work<'a> {
    pub(super) config: &'a Config,
    pub(super) facts: &'a Facts,
    pub(super) engine: &'static dyn Engine,
    pub(super) program: &'a Path,
    pub(super) version: &'a ToolVersion,
    pub(super) root: &'a Path,
    pub(super) id: BackupId,
    pub(super) ts: Stamp,
}

impl Work<'_> {
    fn path(&self, tree: TreeName) -> PathBuf {
        self.root.join(self.id.to_string()).join(tree.as_str())
    }

    pub(super) fn log(&self) -> PathBuf {
        self.root.join("logs").join(format!("{}.log", self.id))
    }

    fn take(&self, server: &ServerFacts, parent: Option<&Backup>) -> Result<RunTool, PlanError> {
        let dir = self.path(TreeName::Raw);
        let parent_dir = parent.map(|parent| self.root.join(parent.id.to_string()).join(TreeName::Raw.as_str()));
        let command = self.engine.backup_command(&BackupJob {
            config: self.config,
            program: self.program,
            version: self.version,
            target_dir: &dir,
            parent_dir: parent_dir.as_deref(),
            datadir: self.config.server.datadir.as_deref().unwrap_or(&server.datadir),
            log_bin: server.log_bin,
            gtids: false,
        })?;
        let (kind, slave) = (self.engine.tool(), self.config.slave_info);
        let expect = match parent {
            None => Expected::full(kind, server.log_bin, slave),
            Some(parent) => Expected {
                from_lsn: parent.to_lsn,
                ..Expected::incremental(kind, server.log_bin, slave, parent.to_lsn.unwrap_or(Lsn(0)))
            },
        };
        let title = format!("take the {} backup", self.id.kind());
        Ok(RunTool {
            title,
            launch: Launch { command, log: self.log() },
            dir,
            expect,
            applies: None,
            tablespaces: self.ask_tablespaces(server)?.map(KnownTablespaces::Ask),
            // How much an incremental holds, only the tool knows.
            bytes: parent.is_none().then(|| self.facts.sizes.get(&server.datadir)).flatten().map(|size| size.bytes),
            options: None,
            again: AGAIN,
        })
    }

    /// Asks the server which tablespaces it has.
    fn ask_tablespaces(&self, server: &ServerFacts) -> Result<Option<Launch>, PlanError> {
        if !self.engine.misses_dropped_tablespaces(self.version) || !server.tells_tablespaces() {
            return Ok(None);
        }
        let (client, _) = tool(self.facts, ToolRole::Client)?;
        let query = client_of(self.config, program(client)?).query(Query::Tablespaces(server.family()))?;
        Ok(Some(Launch { command: query.spec().clone(), log: self.log() }))
    }

    fn list(&self, tree: TreeName, title: &str) -> Step {
        Step::PassTree(PassTree {
            title: title.to_owned(),
            from: self.path(tree),
            to: None,
            verify: None,
            list_as: Some(tree),
            sync: SyncSide::Source,
            threads: self.config.parallel,
            bytes: None,
        })
    }

    /// The steps that make the prepared trees, on a private copy. Returns the trees that are kept.
    fn prepare(&self, plan: &mut Plan) -> Result<Vec<TreeName>, PlanError> {
        let (keep_redo, keep_final) = (self.config.prepared.redo(), self.config.prepared.finished());
        if !keep_redo && !keep_final {
            return Ok(Vec::new());
        }
        let root = scratch::scratch_root(self.config, self.facts, self.root)?;
        if let Some(reason) = scratch::unusable(self.facts, &root) {
            plan.incomplete
                .push(format!("the full is kept without prepared trees: {} cannot be used ({reason})", root.display()));
            return Ok(Vec::new());
        }
        let Scratch { dir, same_filesystem } = scratch::backup_scratch(self.config, self.facts, self.root, self.ts)?;
        plan.steps.push(Step::CreateDir { path: dir.clone() });
        plan.discard_dirs.push(dir.clone());
        let mut kept = Vec::new();
        if !self.engine.has_final_prepare() {
            // One prepare makes both.
            let copy = self.copy_raw(plan, &dir, "copy the backup for the prepare");
            self.run_prepare(plan, &copy, true, "prepare the copy")?;
            if keep_redo {
                self.keep(plan, &copy, TreeName::PreparedRedo, !keep_final && same_filesystem);
                kept.push(TreeName::PreparedRedo);
            }
            if keep_final {
                self.keep(plan, &copy, TreeName::PreparedFinal, same_filesystem);
                kept.push(TreeName::PreparedFinal);
            }
            plan.steps.push(Step::RemoveTree { path: dir });
            return Ok(kept);
        }
        // Each from a copy of its own: see `base_tree`.
        let wanted = [
            (keep_redo, TreeName::PreparedRedo, "prepare a copy that takes incrementals"),
            (keep_final, TreeName::PreparedFinal, "prepare a copy to the end"),
        ];
        for (_, tree, title) in wanted.into_iter().filter(|(wanted, ..)| *wanted) {
            let copying = if kept.is_empty() { "copy the backup for the prepare" } else { "copy the backup once more" };
            let copy = self.copy_raw(plan, &dir, copying);
            self.run_prepare(plan, &copy, tree == TreeName::PreparedFinal, title)?;
            self.keep(plan, &copy, tree, same_filesystem);
            if !same_filesystem && keep_final && tree == TreeName::PreparedRedo {
                plan.steps.push(Step::RemoveTree { path: copy });
            }
            kept.push(tree);
        }
        plan.steps.push(Step::RemoveTree { path: dir });
        Ok(kept)
    }

    /// Copies the new backup into the scratch directory.
    fn copy_raw(&self, plan: &mut Plan, dir: &Path, title: &str) -> PathBuf {
        let copy = dir.join("prepare");
        plan.steps.push(Step::PassTree(PassTree {
            title: title.to_owned(),
            to: Some(copy.clone()),
            // It was listed by this run.
            verify: Some(StoredTree { backup: self.id.to_string(), tree: TreeName::Raw, list_digest: None }),
            ..self.pass(self.path(TreeName::Raw), None, SyncSide::Nothing)
        }));
        copy
    }

    fn run_prepare(&self, plan: &mut Plan, copy: &Path, last: bool, title: &str) -> Result<(), PlanError> {
        let command = self.engine.prepare_command(&PrepareJob {
            config: self.config,
            program: self.program,
            version: self.version,
            target_dir: copy,
            incremental_dir: None,
            last,
        })?;
        plan.steps.push(Step::RunTool(Box::new(RunTool {
            title: title.to_owned(),
            launch: Launch { command, log: self.log() },
            dir: copy.to_owned(),
            // The LSN that it must reach is that of the backup just taken: the tool checks it itself.
            expect: self.engine.prepared(last, None),
            applies: None,
            tablespaces: self.engine.misses_dropped_tablespaces(self.version).then_some(KnownTablespaces::Asked),
            bytes: None,
            options: Some(OptionFiles { dirs: vec![copy.to_owned()], keys: self.keys() }),
            again: 0,
        })));
        Ok(())
    }

    /// Where the prepare finds the keys: as the server itself says, and the configuration before it.
    pub(super) fn keys(&self) -> BTreeMap<String, String> {
        let variables =
            self.facts.server.as_ref().and_then(|server| server.as_ref().ok()).map(|server| &server.variables);
        let mut keys = variables.map(|found| key_variables(key_plugin(found), found)).unwrap_or_default();
        keys.extend(key_options(&self.config.server.options));
        keys
    }

    /// Puts a prepared tree into the store: by a rename where nothing else needs the copy, else by copying.
    fn keep(&self, plan: &mut Plan, copy: &Path, tree: TreeName, by_rename: bool) {
        let to = self.path(tree);
        if by_rename {
            plan.steps.push(Step::MoveTree { from: copy.to_owned(), to });
            plan.steps.push(self.list(tree, &format!("list and sync {}", tree.as_str())));
        } else {
            plan.steps.push(Step::PassTree(PassTree {
                title: format!("store {}", tree.as_str()),
                to: Some(to),
                ..self.pass(copy.to_owned(), Some(tree), SyncSide::Copy)
            }));
        }
    }

    fn pass(&self, from: PathBuf, list_as: Option<TreeName>, sync: SyncSide) -> PassTree {
        let threads = self.config.parallel;
        PassTree { title: String::new(), from, to: None, verify: None, list_as, sync, threads, bytes: None }
    }
}

/// The server, if it answered.
pub(super) fn server(facts: &Facts) -> Result<&ServerFacts, PlanError> {
    match &facts.server {
        Some(Ok(server)) => Ok(server),
        Some(Err(problem)) => {
            Err(PlanError::ServerUnreachable { problem: problem.text.clone(), access_denied: problem.access_denied })
        }
        None => Err(PlanError::ServerUnreachable { problem: "it was not asked".into(), access_denied: false }),
    }
}

/// A usable program for a role.
pub(super) fn tool(facts: &Facts, role: ToolRole) -> Result<(&ToolFact, &ToolVersion), PlanError> {
    let missing = || PlanError::Tool { role, path: None, problem: "none was named or found on PATH".into() };
    let tool = facts.tool(role).ok_or_else(missing)?;
    match &tool.version {
        Some(version) => Ok((tool, version)),
        None => {
            let problem = tool.problem.clone().unwrap_or_else(|| "none was named or found on PATH".into());
            Err(PlanError::Tool { role, path: tool.path.clone(), problem })
        }
    }
}

/// The path of a usable program.
pub(super) fn program(tool: &ToolFact) -> Result<&Path, PlanError> {
    tool.path.as_deref().ok_or_else(|| PlanError::Tool {
        role: tool.role,
        path: None,
        problem: "none was named or found on PATH".into(),
    })
}

fn no_engine(tool: &ToolFact, version: &ToolVersion) -> PlanError {
    PlanError::Tool {
        role: ToolRole::Backup,
        path: tool.path.clone(),
        problem: format!("it is {} {}, which takes no backups", version.kind, version.full),
    }
}

/// The settings that a server has persisted, if any.
pub(super) fn persisted(server: &ServerFacts) -> Option<PersistedSettings> {
    (!server.persisted.is_empty()).then(|| PersistedSettings {
        datadir: server.datadir.clone(),
        uuid: server.uuid.clone(),
        names: server.persisted.clone(),
    })
}

/// The directory of the server's binlogs.
pub(super) fn binlog_dir(config: &Config, server: &ServerFacts) -> Option<PathBuf> {
    config.binlog_source_dir.clone().or_else(|| {
        let base = server.log_bin_basename.as_ref()?;
        base.parent().map(Path::to_owned)
    })
}

fn lsn(backup: &Backup) -> String {
    backup.to_lsn.map_or_else(|| "unknown".into(), |lsn| lsn.to_string())
}

/// A full needs as much room as the data directory, once for each tree. How much exactly, only the tool knows.
fn warn_about_space(plan: &mut Plan, facts: &Facts, server: &ServerFacts, root: &Path, config: &Config) {
    let (Some(size), Some(filesystem)) = (facts.sizes.get(&server.datadir), facts.filesystems.get(root)) else {
        return;
    };
    let Summary::Backup { trees, .. } = &plan.summary else { return };
    if trees.len() < 2 && config.prepared != crate::config::Prepared::None {
        return;
    }
    let wanted = size.bytes.saturating_mul(trees.len() as u64);
    if wanted > filesystem.free {
        plan.warnings.push(format!(
            "the store has {} bytes free; a full of {} bytes of data in {} trees may need {wanted}",
            filesystem.free,
            size.bytes,
            trees.len()
        ));
    }
}
