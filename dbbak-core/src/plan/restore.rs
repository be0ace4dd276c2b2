//! Plans a restore: chain, prepare, window, replay, proof.

mod lacks;
mod outside;
mod workdir;

use super::{
    Aim, Plan, PlanError, Summary,
    aim::resolve_aim,
    backup::program,
    base::{base_tree, engine_of, family_of, fitting_tool, may_lack_counters},
    batches::divide,
    explain::{describe_aim, explain},
    keyring::{KEYS, shared_keyring},
    other_data,
    replay::{self, RelayJob},
    report::{PassedOver, ReportedBackup, ReportedSegment, ReportedWindow, RestoreReport},
    request::{ReplayWay, RestoreRequest},
    resume::{journal_of, pinned, planned_journal},
    scratch::{SCRATCH_PREFIX, scratch_root},
    select::{Selection, Window, select},
    standing::{by_transaction_warning, memory_warning},
    step::{KnownTablespaces, OptionFiles, PassTree, Replay, RunTool, Step, StoredTree, SyncSide, UnpackBinlogs},
    time_zone, untold,
};
use crate::{
    catalog::{Backup, Catalog},
    config::Config,
    engine::{Engine, PrepareJob},
    facts::{EdgeFact, Facts, StoredBackup, ToolFact},
    model::{BinlogName, BinlogPosition, TreeName},
    store::{BinlogEntry, LockScope, layout},
    tools::{
        Dialect, Family, Launch, ReplayReader, RunAs, ToolRole, ToolVersion, UntestedSeries, Version, key_options,
        parse_server_version, untested_series,
    },
};
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};

/// Plans a restore.
///
/// # Errors
///
/// [`PlanError`] when no chain and window reach the target, or a precondition does not hold. Nothing was written then.
pub fn plan_restore(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    now: DateTime<Utc>,
    request: &RestoreRequest,
) -> Result<Plan, PlanError> {
    let pinned = pinned(request, facts)?;
    let aim = resolve_aim(config, catalog, facts, now, &pinned)?;
    let selection = select(catalog, &pinned, &aim, facts)?;
    let request = &RestoreRequest { id: pinned.id, ..request.clone() };
    let edges = edges_of(catalog, facts, &selection)?;
    let mut plan = Plan::new("restore", now);
    plan.locks = vec![LockScope::Read];
    explain(&mut plan, &aim, &selection, edges, (config, catalog));
    let restore = Restore::new(config, catalog, facts, request, &selection)?;
    restore.check_backups()?;
    plan.warnings.extend(restore.untested_series().map(|series| series.to_string()));
    plan.reasons.extend(restore.encrypted().map(|(backup, encryption)| {
        format!(
            "backup {} is encrypted ({encryption}): private servers get what `server` says of the keys",
            backup.ts()
        )
    }));
    if selection.window.is_none() {
        restore.check_space(restore.data_space())?;
    }
    plan.reasons.extend(restore.whom_servers_run_as());
    restore.bring_up(&mut plan)?;
    restore.cut_ties(&mut plan);
    let mut not_in_log = Vec::new();
    if let Some(window) = &selection.window {
        let last = selection.chain.last();
        not_in_log.extend(last.map(|backup| other_data::of_window(window, backup)).unwrap_or_default());
        let variables = restore.last_variables();
        not_in_log.extend(variables.and_then(|variables| time_zone::warning(config, facts, variables)));
        not_in_log.extend(variables.map(untold::of_settings).unwrap_or_default());
        not_in_log.extend(untold::of_window(&facts.untold, variables, &request.skip));
        plan.warnings.extend(not_in_log.iter().cloned());
        plan.warnings.extend(restore.upgrade_within());
    }
    let reported = match &selection.window {
        Some(window) => Some(restore.replay(&mut plan, window)?),
        None if !request.skip.is_empty() => {
            return Err(PlanError::NoSkip { reason: "no binlogs are replayed".into() });
        }
        None => None,
    };
    restore.examine(&mut plan)?;
    restore.catch_up(&mut plan)?;
    let ready = restore.make_ready(&mut plan, selection.window.as_ref().and_then(stop_of))?;
    let last = selection.chain.last();
    let begun = journal_of(request, facts)?.map(|journal| &journal.header);
    let report = RestoreReport {
        version: 1,
        restore: request.id,
        planned_at: now,
        aim: begun.map_or_else(|| describe_aim(&aim), |header| header.aim.clone()),
        target: match (&aim, begun) {
            (_, Some(header)) => header.target,
            (Aim::Moment { at, .. }, None) => Some(*at),
            (Aim::Cut { .. } | Aim::End { .. } | Aim::Backup { .. }, None) => None,
        },
        chain: selection.chain.iter().map(|backup| ReportedBackup::of(backup)).collect(),
        passed_over: selection.passed_over.iter().map(PassedOver::of).collect(),
        coordinates: last.and_then(|backup| backup.entry.binlog.clone()),
        window: reported,
        edges: edges.cloned(),
        datadir: restore.datadir(),
        keyring: restore.keyring_copy(),
        finished_at: None,
        proof: None,
        ready: Some(ready),
        caught_up: Vec::new(),
        examination: None,
        unproven: None,
        not_in_log,
        untold: facts.untold.clone(),
        phases: Vec::new(),
    };
    plan.discard_dirs.push(restore.run_dir());
    plan.discard_dirs.extend(restore.own_dirs());
    plan.summary = Summary::Restore { report: Box::new(report.clone()) };
    let journal = planned_journal((&plan, &report, begun), &selection, request, facts)?;
    plan.journal = Some(Box::new(journal));
    plan.steps.push(Step::WriteReport { path: restore.workdir.join("dbbak-restore.json"), report: Box::new(report) });
    for backup in restore.chain {
        plan.warnings.extend(stored(facts, backup)?.spoilt.iter().cloned());
    }
    plan.warn_of_losses(catalog);
    plan.bind(catalog);
    Ok(plan)
}

/// What a replay does about durability.
const RELAXED: &str = "single commits are not made durable while binlogs are replayed \
                       (innodb_flush_log_at_trx_commit=2, sync_binlog=0); they are again before the clean shutdown";

/// The private server's id. It must differ from the ids in the logs only where the applier threads replay them.
pub(super) const PRIVATE_SERVER_ID: u32 = 4_294_967_295;

pub(super) struct Restore<'a> {
    pub(super) config: &'a Config,
    pub(super) catalog: &'a Catalog,
    pub(super) facts: &'a Facts,
    pub(super) request: &'a RestoreRequest,
    pub(super) chain: &'a [&'a Backup],
    pub(super) window: Option<&'a Window<'a>>,
    pub(super) workdir: PathBuf,
    pub(super) engine: &'static dyn Engine,
    /// The tree of the full that is copied, and whether it still has to be prepared.
    base: (TreeName, bool),
    /// The family of the server that was backed up.
    pub(super) family: Family,
    /// Whom private servers run as, where that is not dbbak's own user.
    pub(super) prisoner: Option<RunAs>,
}

impl<'a> Restore<'a> {
    fn new(
        config: &'a Config,
        catalog: &'a Catalog,
        facts: &'a Facts,
        request: &'a RestoreRequest,
        selection: &'a Selection<'a>,
    ) -> Result<Self, PlanError> {
        let chain: &[&Backup] = &selection.chain;
        let full = chain.first().ok_or(PlanError::NoFull)?;
        let engine = engine_of(facts, full)?;
        let stored = stored(facts, full)?;
        let alone = chain.len() == 1;
        let base = base_tree(engine, full, stored, alone)?;
        let workdir = match &request.workdir {
            Some(workdir) => workdir.clone(),
            None => {
                let root = catalog.root.as_deref().unwrap_or(Path::new("/"));
                let stamp = chain.last().map_or(full.ts(), |backup| backup.ts());
                let id = short(&request.id);
                scratch_root(config, facts, root)?.join(format!("{SCRATCH_PREFIX}restore-{stamp}-{id}"))
            }
        };
        let family = family_of(full).unwrap_or(engine.tool().family());
        let window = selection.window.as_ref();
        let prisoner = None;
        let mut restore =
            Restore { family, config, catalog, facts, request, chain, window, workdir, engine, base, prisoner };
        restore.check_workdir()?;
        restore.prisoner = restore.find_prisoner()?;
        Ok(restore)
    }

    /// What a failed restore leaves behind of no use to anybody; its logs stay.
    fn own_dirs(&self) -> Vec<PathBuf> {
        let incrementals = (1..self.chain.len()).map(|number| format!("incremental-{number}"));
        let names = ["data", "binlogs", "load", "tmp", "replay-log", "log-bin", "server-settings", "catch-up", KEYS]
            .into_iter()
            .chain(replay::OWN_DIRS);
        names.map(str::to_owned).chain(incrementals).map(|name| self.workdir.join(name)).collect()
    }

    pub(super) fn datadir(&self) -> PathBuf {
        self.workdir.join("data")
    }

    /// A short private path: a socket's must fit into 107 bytes.
    pub(super) fn run_dir(&self) -> PathBuf {
        let temp = &self.facts.host.temp_dir;
        let temp = if temp.as_os_str().len() > 60 { Path::new("/tmp") } else { temp };
        temp.join(format!("{SCRATCH_PREFIX}{}", short(&self.request.id)))
    }

    fn check_backups(&self) -> Result<(), PlanError> {
        for backup in self.chain {
            let stored = stored(self.facts, backup)?;
            if let Some(path) = stored.outside_paths.first() {
                return Err(PlanError::PathLeavesWorkdir { backup: backup.ts(), path: path.clone() });
            }
        }
        Ok(())
    }

    /// The series of the server that was backed up, where it is newer than all that are tested.
    fn untested_series(&self) -> Option<UntestedSeries> {
        let recorded = self.chain.last()?.server()?.version.as_deref()?;
        let (_, version) = parse_server_version(recorded, "").ok()?;
        untested_series(self.family, version)
    }

    /// The backup tool, of the series that made the backups.
    fn backup_tool(&self) -> Result<(&'a ToolFact, &'a ToolVersion), PlanError> {
        fitting_tool(self.facts, self.engine, self.chain)
    }

    /// The steps that leave a data directory that a server can start on.
    fn bring_up(&self, plan: &mut Plan) -> Result<(), PlanError> {
        plan.steps.push(Step::CreateDir { path: self.workdir.clone() });
        let Some((full, incrementals)) = self.chain.split_first() else { return Err(PlanError::NoFull) };
        if self.base.0 == TreeName::Dump {
            return self.load(plan, full);
        }
        if incrementals.is_empty() && may_lack_counters(self.engine, full, stored(self.facts, full)?) {
            let why = format!(
                "prepared-final of {} may have been prepared in two steps, which loses counters of AUTO_INCREMENT",
                full.ts()
            );
            match self.base.0 {
                TreeName::PreparedFinal => {
                    plan.warnings.push(format!("{why}; there is no raw tree to prepare instead"))
                }
                _ => plan.reasons.push(format!("{why}; raw is prepared anew")),
            }
        }
        plan.steps.push(self.copy(full, self.base.0, &self.datadir(), "copy the full")?);
        if self.base.1 {
            self.prepare(plan, full, None, incrementals.is_empty(), "prepare the copy")?;
        }
        for (number, backup) in incrementals.iter().enumerate() {
            let dir = self.workdir.join(format!("incremental-{}", number + 1));
            let last = number + 1 == incrementals.len();
            plan.steps.push(self.copy(backup, TreeName::Raw, &dir, &format!("copy incremental {}", backup.ts()))?);
            self.prepare(plan, backup, Some(&dir), last, &format!("apply incremental {}", backup.ts()))?;
            plan.steps.push(Step::RemoveTree { path: dir });
        }
        Ok(())
    }

    pub(super) fn copy(&self, backup: &Backup, tree: TreeName, to: &Path, title: &str) -> Result<Step, PlanError> {
        let root = self.catalog.root.as_deref().ok_or_else(|| PlanError::StoreUnusable {
            reason: "the backup's files must be reachable as a directory".into(),
        })?;
        let stored = stored(self.facts, backup)?;
        Ok(Step::PassTree(PassTree {
            title: title.to_owned(),
            from: root.join(backup.id.to_string()).join(tree.as_str()),
            to: Some(to.to_owned()),
            verify: Some(StoredTree { backup: backup.id.to_string(), tree, list_digest: stored.list_digest }),
            list_as: None,
            sync: SyncSide::Nothing,
            threads: self.config.parallel,
            bytes: stored.trees.get(&tree).copied().flatten(),
        }))
    }

    fn prepare(
        &self,
        plan: &mut Plan,
        backup: &Backup,
        incremental: Option<&Path>,
        last: bool,
        title: &str,
    ) -> Result<(), PlanError> {
        let (tool, version) = self.backup_tool()?;
        let datadir = self.datadir();
        let command = self.engine.prepare_command(&PrepareJob {
            config: self.config,
            program: program(tool)?,
            version,
            target_dir: &datadir,
            incremental_dir: incremental,
            last,
        })?;
        plan.steps.push(Step::RunTool(Box::new(RunTool {
            title: title.to_owned(),
            launch: Launch { command, log: self.workdir.join("prepare.log") },
            dir: datadir.clone(),
            expect: self.engine.prepared(last, backup.to_lsn),
            applies: incremental.map(|_| backup.ts()),
            tablespaces: self
                .engine
                .misses_dropped_tablespaces(version)
                .then(|| KnownTablespaces::Stored(layout::server_tablespaces(&backup.id))),
            bytes: None,
            again: 0,
            options: Some(OptionFiles {
                dirs: [Some(datadir), incremental.map(Path::to_owned)].into_iter().flatten().collect(),
                keys: self.keys(),
            }),
        })));
        Ok(())
    }

    /// Where a prepare finds the keys: as the configuration says, and the plugins of a living server's directory.
    fn keys(&self) -> std::collections::BTreeMap<String, String> {
        let mut keys = key_options(&self.config.server.options);
        let live = self.facts.server.as_ref().and_then(|server| server.as_ref().ok());
        if let Some(dir) = live.and_then(|server| server.variables.get("plugin_dir")).filter(|_| !keys.is_empty()) {
            keys.entry("plugin_dir".to_owned()).or_insert_with(|| dir.clone());
        }
        keys
    }

    /// The steps that replay the window and prove it. Returns what the report says of the window.
    fn replay(&self, plan: &mut Plan, window: &Window<'_>) -> Result<ReportedWindow, PlanError> {
        let from = window.coordinates.place();
        replay::check_skips(self.request, window, &self.facts.cuts)?;
        let mut reported = ReportedWindow {
            timeline: window.timeline.clone(),
            from: from.clone(),
            cut: window.cut.clone(),
            files: window.files.len(),
            transactions: self.transactions(window),
            replay: ReplayWay::Pipe,
            skipped: self.request.skip.clone(),
            segments: ReportedSegment::of(window),
        };
        if from == window.cut && window.lead.is_none() {
            self.check_space(self.data_space())?;
            plan.reasons.push("the backup already ends at the cut: nothing is to be replayed".into());
            return Ok(reported);
        }
        let files: Vec<BinlogEntry> = window.files.iter().map(|entry| (*entry).clone()).collect();
        let stop = stop_of(window);
        let dir = self.workdir.join("binlogs");
        let bytes = replay::bytes_between(window);
        let (_, server_version) = self.family_tool(ToolRole::Server)?;
        let version = server_version.version.unwrap_or(Version::new(0, 0, 0));
        let choice = replay::choose(self.request, window, Dialect { family: self.family, version })?;
        let sizes: Vec<u64> = files.iter().map(|file| file.size).collect();
        let division = divide(&sizes, self.room(), !choice.relay);
        self.check_space(division.needed)?;
        plan.reasons.extend(division.reason());
        plan.reasons.push(RELAXED.into());
        let unpack = UnpackBinlogs {
            dir: dir.clone(),
            files,
            start: from.position,
            stop,
            transactions: reported.transactions,
            expected_list: self.workdir.join("expected-transactions"),
            skip: self.request.skip.clone(),
            copies: replay::copies(window)?,
            batches: division.batches.clone(),
            done_until: None,
            // MySQL's client runs statements in the SQL mode that they were logged with; its applier is given NO_DIR_IN_CREATE.
            leaves_directories_aside: choice.relay || self.family == Family::Mariadb,
            told: untold::Told::of(&self.facts.untold, self.last_variables()),
        };
        plan.warnings.extend(self.stays_inside(unpack.leaves_directories_aside)?);
        plan.warnings.extend(self.lacks()?);
        let copies = unpack.names();
        // Where each file is a copy under its own name, these are the places themselves.
        let at = |copy: Option<&BinlogName>, place: &BinlogPosition| BinlogPosition {
            file: copy.unwrap_or(&place.file).clone(),
            position: place.position,
        };
        let (from, cut) = (at(copies.first(), &from), at(copies.last(), &window.cut));
        let names: Vec<PathBuf> = copies.iter().map(|name| dir.join(name.as_str())).collect();
        plan.steps.push(Step::UnpackBinlogs(unpack));
        plan.reasons.push(choice.reason);
        plan.reasons.extend(self.gtid_mode(&mut self.last_variables().cloned().unwrap_or_default()));
        plan.warnings.extend(memory_warning(&self.standing()));
        plan.warnings.extend(shared_keyring(self.config));
        plan.warnings.extend(by_transaction_warning(&self.standing().by_transaction));
        plan.warnings.extend(
            self.request.skip.iter().map(|gtid| {
                format!("transaction {gtid} is left out of the replay; later transactions may depend on it")
            }),
        );
        reported.replay = if choice.relay { ReplayWay::Relay } else { ReplayWay::Pipe };
        let server_ids = if choice.relay { replay::free_server_ids(window) } else { (replay::source_id(window), 0) };
        // With a binlog: the proof reads it. A client of MySQL 9.7.2 also needs it, or `CREATE TABLE ... SELECT` is lost
        // while its GTID counts as executed (docs/notes-mysql.md).
        let server = self.private_server(server_ids.0, Some(window).filter(|_| choice.relay), Some(&division))?;
        let (reader, _) = self.family_tool(ToolRole::BinlogReader)?;
        let load_dir = self.workdir.join("load");
        let tmp_dir = self.workdir.join("tmp");
        for path in [&load_dir, &tmp_dir] {
            plan.steps.push(Step::CreateDir { path: path.clone() });
        }
        let reader = ReplayReader {
            program: program(reader)?.to_owned(),
            family: self.family,
            files: names,
            start: from.position,
            stop,
            local_load: Some(load_dir.clone()),
            exclude_gtids: None,
        };
        let client = self.client()?;
        let relay = choice.relay.then(|| {
            let (mysqld, _) = self.family_tool(ToolRole::Server)?;
            let job = RelayJob {
                family: self.family,
                window,
                workdir: &self.workdir,
                run_dir: &server.run_dir,
                id: &short(&self.request.id),
                copies,
                server_program: program(mysqld)?,
                run_as: self.run_as(),
                prisoner: self.prisoner.clone(),
                stop,
                client: client.clone(),
                reader: reader.clone(),
                server_ids,
            };
            job.plan().map(Box::new)
        });
        let relay = relay.transpose()?;
        let own_dirs = relay
            .iter()
            .flat_map(|relay| [Some(relay.dir.clone()), relay.feeder.as_ref().map(|feeder| feeder.datadir.clone())]);
        let own_dirs: Vec<PathBuf> = own_dirs.flatten().collect();
        for path in &own_dirs {
            plan.steps.push(Step::CreateDir { path: path.clone() });
        }
        let examination = Some(self.examination(client.clone(), self.early_check()));
        let (reader, client) = (reader.build()?.run_as(self.prisoner.clone()), client.replay()?);
        plan.steps.push(Step::Replay(Box::new(Replay {
            server,
            relay,
            reader: Launch { command: reader, log: self.workdir.join("replay-reader.log") },
            client: Launch { command: client, log: self.workdir.join("replay-client.log") },
            from,
            cut,
            bytes,
            examination,
            source_plugins: self.source_plugins(),
            going_on: None,
        })));
        for path in [dir, load_dir, tmp_dir].into_iter().chain(own_dirs) {
            plan.steps.push(Step::RemoveTree { path });
        }
        Ok(reported)
    }

    /// How many transactions the window holds, as far as the index says.
    fn transactions(&self, window: &Window<'_>) -> Option<u64> {
        let last_backup = self.chain.last()?;
        let start = self.facts.starts.iter().find(|start| start.backup == last_backup.ts())?;
        let mut all: u64 = 0;
        for file in &window.files {
            all += file.transactions?;
        }
        if let Some(lead) = &window.lead {
            // What stands behind the place that is left, and before the one that is entered.
            let left = lead.files.last()?.transactions?.checked_sub(lead.place.leave_before)?;
            all = all.checked_sub(left)?.checked_sub(lead.place.enter_before)?;
        } else if window.cut == window.coordinates.place() {
            return Some(0);
        }
        let behind_cut = match (window.transactions_before, window.files.last()) {
            (Some(before), Some(last)) if !window.to_end => last.transactions?.checked_sub(before)?,
            _ => 0,
        };
        all.checked_sub(start.transactions_before)?.checked_sub(behind_cut)
    }
}

pub(super) fn stored<'a>(facts: &'a Facts, backup: &Backup) -> Result<&'a StoredBackup, PlanError> {
    facts
        .stored
        .get(&backup.id.to_string())
        .ok_or_else(|| PlanError::StoreUnusable { reason: format!("backup {} was not looked at", backup.ts()) })
}

/// Where the window's last file is cut off; none: it ends where it ends.
fn stop_of(window: &Window<'_>) -> Option<u64> {
    let last = window.files.last();
    let whole = window.to_end && last.is_none_or(|last| last.partial.is_none() && last.damaged.is_none());
    (!whole).then_some(window.cut.position)
}

/// What stands around the place where the restored state ends.
fn edges_of<'a>(
    catalog: &Catalog,
    facts: &'a Facts,
    selection: &Selection<'_>,
) -> Result<Option<&'a EdgeFact>, PlanError> {
    let Some((timeline, at)) = selection.ends_at(catalog) else { return Ok(None) };
    let found = facts.edges.iter().find(|fact| fact.timeline == timeline && fact.at == at);
    match (found, &selection.window) {
        (None, Some(_)) => Err(PlanError::StoreUnusable { reason: format!("{at} was not looked at") }),
        (found, _) => Ok(found),
    }
}

pub(super) fn short(id: &uuid::Uuid) -> String {
    id.simple().to_string()[..8].to_owned()
}
