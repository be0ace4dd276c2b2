//! Plans a full by the server's clone plugin.

use super::{
    Plan, PlanError, Summary,
    backup::{binlog_dir, free_stamp, persisted, program, tool},
    keyring::{KEYS, keyring},
    not_readable,
    prisoner::{Reach, custody, prisoner, told},
    scratch::{self, Scratch},
    server_home::{Served, ServerHome},
    server_record::server_record,
    standing::{broken_warning, prepared_warning},
    step::{
        Custody, EndClones, InitDatadir, OpenClone, PassTree, PrivateServer, RecordBackup, RemoteClone, Step, SyncSide,
        TakeClone,
    },
};
use crate::{
    catalog::Catalog,
    config::{Config, EngineChoice},
    engine::{BackupJob, Engine, can_clone, engine_for, engine_named},
    facts::{Facts, ServerFacts},
    model::{BackupId, TreeName},
    probe::PathState,
    store::{Encryption, LockScope, layout},
    survey::client_of,
    tools::{
        Client, Dialect, Family, InitialiseCommand, Launch, PrivateServerCommand, Query, RunAs, ToolRole,
        carried_settings, encryption_settings, format_settings,
    },
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The private server's id: nothing is replayed on it.
const PRIVATE_SERVER_ID: u32 = 4_294_967_295;

/// Why a full is taken by a clone; `None` where a backup tool takes it.
pub(super) fn reason(config: &Config, facts: &Facts, server: &ServerFacts) -> Option<String> {
    match config.engine {
        EngineChoice::Clone => Some("the engine clone was asked for".into()),
        EngineChoice::Xtrabackup | EngineChoice::MariadbBackup | EngineChoice::Dump => None,
        EngineChoice::Auto => {
            let plugin = facts.clone.as_ref()?.plugin.as_deref();
            if !can_clone(server.flavor, server.version) || plugin != Some("ACTIVE") {
                return None;
            }
            let misfit = match tool(facts, ToolRole::Backup) {
                Err(_) => "no backup tool was found".to_owned(),
                Ok((_, version)) => {
                    let fits = engine_for(version.kind)
                        .is_some_and(|engine| engine.suits(version, server.flavor, server.version).is_ok());
                    if fits {
                        return None;
                    }
                    format!("{version} does not suit {} {}", server.flavor, server.version)
                }
            };
            Some(format!("{misfit}, and the server has the clone plugin"))
        }
    }
}

/// Plans a full by a clone.
///
/// # Errors
///
/// [`PlanError`] when the server cannot be cloned, or no server of its version can open the copy.
pub(super) fn plan_clone(
    (config, catalog, facts): (&Config, &Catalog, &Facts),
    server: &ServerFacts,
    now: DateTime<Utc>,
    reason: String,
) -> Result<Plan, PlanError> {
    let root = catalog.root.as_deref().ok_or_else(|| PlanError::StoreUnusable {
        reason: "the backup's files must be reachable as a directory".into(),
    })?;
    let engine = engine_named("clone").ok_or(PlanError::NoFull)?;
    let (mysqld, mysqld_version) = tool(facts, ToolRole::Server)?;
    engine.suits(mysqld_version, server.flavor, server.version).map_err(|misfit| PlanError::Mismatch {
        what: format!("a clone of a {} {} server", server.flavor, server.version),
        expected: misfit.expected,
        found: misfit.found,
    })?;
    let found = facts.clone.clone().unwrap_or_default();
    if found.plugin.as_deref() != Some("ACTIVE") {
        return Err(PlanError::NoClonePlugin { state: found.plugin });
    }
    if !found.uncloned.is_empty() {
        return Err(PlanError::NotCloned { tables: found.uncloned.iter().map(ToString::to_string).collect() });
    }
    if config.clone_donor.is_none() && !found.outside.is_empty() {
        return Err(PlanError::ClonedElsewhere { files: found.outside });
    }
    let gives_to = server_user(config, facts, server)?;
    let (client_tool, _) = tool(facts, ToolRole::Client)?;
    let ts = free_stamp(catalog, now)?;
    let id = BackupId::full(ts);
    let Scratch { dir: scratch, same_filesystem } = scratch::backup_scratch(config, facts, root, ts)?;
    if let Some(refusal) = gives_to.and_then(|uid| not_readable::clone_parent(facts, uid, &scratch)) {
        return Err(PlanError::Closed(Box::new(refusal)));
    }
    let reach = Reach {
        workdir: &scratch,
        run_dir: scratch.join("r"),
        programs: vec![program(mysqld)?, program(client_tool)?],
    };
    let prisoner = prisoner(config, facts, &reach)?;
    let work = Work {
        config,
        facts,
        server,
        engine,
        mysqld: program(mysqld)?,
        client: program(client_tool)?,
        log: root.join("logs").join(format!("{id}.log")),
        scratch,
        prisoner,
    };
    let mut plan = Plan::new("backup", now);
    plan.locks = vec![LockScope::Backups];
    plan.reasons.push(reason);
    plan.reasons.extend(told(facts, work.prisoner.as_ref()));
    if !server.log_bin {
        plan.warnings.push("the server writes no binlog: this backup cannot start a point-in-time recovery".into());
    }
    let below = scratch::scratch_root(config, facts, root)?;
    if let Some(reason) = scratch::unusable(facts, &below) {
        return Err(PlanError::WorkdirUnusable { path: below, reason });
    }
    if config.clone_donor.is_none() {
        plan.steps.push(Step::EndClones(Box::new(work.end_clones(below)?)));
    }
    for leftover in &facts.leftovers {
        plan.reasons.push(format!("{} was left by a run that died", leftover.display()));
        plan.steps.push(Step::RemoveTree { path: leftover.clone() });
    }
    plan.steps.push(Step::CreateStoreDir { key: layout::backup(&id) });
    plan.steps.push(Step::CreateDir { path: work.scratch.clone() });
    // Where it is cloned from elsewhere, the private server makes the copy.
    let writer = work.prisoner.as_ref().filter(|_| config.clone_donor.is_some()).map(|user| user.uid);
    if let Some(uid) = gives_to.or(writer) {
        plan.steps.push(Step::GiveDir { path: work.scratch.clone(), uid });
    }
    plan.steps.push(Step::CreateDir { path: work.scratch.join("tmp") });
    if config.clone_donor.is_some() {
        plan.steps.push(Step::InitDatadir(Box::new(work.initialise()?)));
    }
    let take = work.take()?;
    let command = take.launch.command.to_string();
    plan.steps.push(Step::TakeClone(Box::new(take)));
    plan.steps.push(Step::OpenClone(Box::new(work.open()?)));
    work.keep(&mut plan, &root.join(id.to_string()).join(TreeName::PreparedFinal.as_str()), same_filesystem);
    plan.steps.push(Step::RemoveTree { path: work.scratch.clone() });
    plan.warnings.extend(broken_warning(facts));
    plan.warnings.extend(prepared_warning(facts, server.family()));
    plan.steps.push(Step::KeepServerFiles {
        broken: facts.broken.clone(),
        standing: facts.standing.clone(),
        variables: server.variables.clone(),
        files: config.server.config_files.clone(),
        persisted: persisted(server),
        to: layout::server(&id),
    });
    let trees = vec![TreeName::PreparedFinal];
    plan.steps.push(Step::RecordBackup(RecordBackup {
        id: id.to_string(),
        parent: None,
        engine: engine.name().to_owned(),
        tool_version: server.version_text.clone(),
        server: server_record(server, facts),
        command,
        trees: trees.clone(),
        final_from: None,
    }));
    plan.discard_on_failure = vec![layout::backup(&id)];
    plan.discard_dirs = vec![work.scratch.clone()];
    plan.summary = Summary::Backup { id: id.to_string(), engine: engine.name().to_owned(), trees };
    Ok(plan)
}

/// The user that the server runs as, where that is another one than dbbak's: the directory that it writes the copy into must be
/// its own. Its data directory tells who it is.
///
/// # Errors
///
/// [`PlanError::CloneOfAnother`] where dbbak cannot give a directory away.
fn server_user(config: &Config, facts: &Facts, server: &ServerFacts) -> Result<Option<u32>, PlanError> {
    let (None, Some(PathState::Directory { owner, .. })) = (&config.clone_donor, facts.paths.get(&server.datadir))
    else {
        return Ok(None);
    };
    match facts.host.uid {
        Some(own) if own == *owner => Ok(None),
        _ if facts.host.root => Ok((*owner != 0).then_some(*owner)),
        Some(own) => Err(PlanError::CloneOfAnother { datadir: server.datadir.clone(), owner: *owner, own }),
        None => Ok(None),
    }
}

struct Work<'a> {
    config: &'a Config,
    facts: &'a Facts,
    server: &'a ServerFacts,
    engine: &'static dyn Engine,
    mysqld: &'a Path,
    client: &'a Path,
    log: PathBuf,
    /// The run's own directory.
    scratch: PathBuf,
    /// Whom private servers run as, where that is not dbbak's own user.
    prisoner: Option<RunAs>,
}

impl Work<'_> {
    /// Where the server writes the copy.
    fn copy(&self) -> PathBuf {
        self.scratch.join("clone")
    }

    /// The private server's own directory, in the run's: nobody else can have made it. A short name, since a socket's
    /// path must fit into 107 bytes.
    fn run_dir(&self) -> PathBuf {
        self.scratch.join("r")
    }

    fn source(&self) -> Client {
        client_of(self.config, self.client)
    }

    fn end_clones(&self, below: PathBuf) -> Result<EndClones, PlanError> {
        let client = self.source();
        Ok(EndClones { sessions: client.query(Query::Sessions)?.spec().clone(), client, below, log: self.log.clone() })
    }

    fn take(&self) -> Result<TakeClone, PlanError> {
        let copy = self.copy();
        let command = self.engine.backup_command(&BackupJob {
            config: self.config,
            program: self.client,
            // The client takes whatever version of server it finds.
            version: tool(self.facts, ToolRole::Client)?.1,
            target_dir: &copy,
            parent_dir: None,
            datadir: &self.server.datadir,
            log_bin: self.server.log_bin,
            gtids: false,
        })?;
        let dialect = Dialect { family: Family::Mysql, version: self.server.version };
        let status = match self.server.log_bin {
            true => Some(self.source().query(Query::BinlogStatus(dialect))?.spec().clone()),
            false => None,
        };
        let end = self.end_clones(copy.clone())?;
        let progress = |client: &Client| Ok::<_, PlanError>(client.query(Query::CloneProgress)?.spec().clone());
        let take = TakeClone {
            binlog_dir: self.binlog_dir(),
            dir: copy,
            launch: Launch { command, log: self.log.clone() },
            status,
            end,
            progress: progress(&self.source())?,
            remote: None,
        };
        let Some(donor) = &self.config.clone_donor else { return Ok(take) };
        let option_file = self
            .config
            .mysql_option_file
            .clone()
            .ok_or_else(|| PlanError::NoDonorAccount { donor: String::from(donor.clone()) })?;
        let server = self.private_server(&self.empty())?;
        let client = self.private_client();
        Ok(TakeClone {
            launch: Launch { command: client.secret_statements()?, log: self.log.clone() },
            progress: progress(&client)?,
            remote: Some(Box::new(RemoteClone { server, donor: donor.clone(), option_file })),
            ..take
        })
    }

    /// The data directory of the private server that fetches a clone.
    fn empty(&self) -> PathBuf {
        self.scratch.join("empty")
    }

    /// The directory of the server's binlogs. One of that name here is another server's if the server is elsewhere.
    fn binlog_dir(&self) -> Option<PathBuf> {
        match self.config.clone_donor {
            None => binlog_dir(self.config, self.server),
            Some(_) => self.config.binlog_source_dir.clone(),
        }
    }

    fn settings(&self) -> BTreeMap<String, String> {
        let mut settings =
            carried_settings(Family::Mysql, self.server.version, &self.server.variables, &BTreeMap::new());
        if self.server.encryption.is_some() {
            settings.extend(encryption_settings(&self.server.variables));
        }
        settings
    }

    fn initialise(&self) -> Result<InitDatadir, PlanError> {
        let datadir = self.empty();
        let command = InitialiseCommand {
            program: self.mysqld.to_owned(),
            family: Family::Mysql,
            datadir: datadir.clone(),
            settings: format_settings(&self.settings()),
            run_as: self.run_as(),
        };
        Ok(InitDatadir {
            custody: self.custody(),
            datadir,
            launch: Launch { command: command.build()?.run_as(self.prisoner.clone()), log: self.log.clone() },
        })
    }

    fn run_as(&self) -> Option<String> {
        (self.facts.host.root && self.prisoner.is_none()).then(|| "root".to_owned())
    }

    /// What belongs to the private servers' user while they run.
    fn custody(&self) -> Option<Custody> {
        custody(self.prisoner.as_ref(), &self.scratch, &["clone", "empty", "tmp", "log"])
    }

    fn home(&self, datadir: &Path) -> ServerHome {
        ServerHome {
            datadir: datadir.to_owned(),
            run_dir: self.run_dir(),
            log: self.log.clone(),
            log_dir: self.scratch.join("log"),
        }
    }

    /// The client of the private server.
    fn private_client(&self) -> Client {
        self.home(&self.copy()).client(self.client, self.prisoner.as_ref())
    }

    fn open(&self) -> Result<OpenClone, PlanError> {
        let client = self.private_client();
        Ok(OpenClone {
            status: client.query(Query::CloneStatus)?.spec().clone(),
            uncloned: client.query(Query::NotCloned)?.spec().clone(),
            lsn: client.query(Query::InnodbLsn)?.spec().clone(),
            binlog_dir: self.binlog_dir(),
            binlog_enabled: self.server.log_bin,
            server: self.private_server(&self.copy())?,
        })
    }

    fn encrypted(&self) -> Option<(&str, &Encryption)> {
        self.server.encryption.as_ref().map(|encryption| ("the server", encryption))
    }

    /// The server has the plugin also where the one that is cloned loads it by an option, and lists it in no table.
    fn private_server(&self, datadir: &Path) -> Result<PrivateServer, PlanError> {
        let plugin = "--plugin-load-add=mysql_clone.so".to_owned();
        let home = self.home(datadir);
        let command = PrivateServerCommand {
            program: self.mysqld.to_owned(),
            family: Family::Mysql,
            version: self.server.version,
            datadir: datadir.to_owned(),
            socket: home.socket(),
            pid_file: home.pid_file(),
            log_error: None,
            tmpdir: self.scratch.join("tmp"),
            init_file: Some(home.init_file()),
            log_bin: None,
            log_size: 1 << 30,
            server_id: PRIVATE_SERVER_ID,
            settings: self.settings(),
            time_zone: None,
            run_as: self.run_as(),
            buffer_pool: Some(self.config.prepare_memory),
            redo_log: None,
            relay: None,
            extra: std::iter::once(plugin).chain(self.config.server.options.iter().cloned()).collect(),
        }
        .build()?;
        let client = self.private_client();
        let account = "dbbak_clone".to_owned();
        let farewell = format!("SET sql_log_bin=0; DROP USER '{account}'@'localhost'; SHUTDOWN;");
        // What fetches another machine's data encrypts them with keys of its own, which stay where the configuration says.
        let copy = home.run_dir.join(KEYS);
        let keys = self.config.clone_donor.is_none().then_some((copy.as_path(), true));
        let keyring = keyring(self.config, self.encrypted(), datadir, keys)?;
        home.server(
            self.config,
            Served { command, client: &client, account, all_rights: false, farewell, keyring, custody: self.custody() },
        )
    }

    /// Puts the copy into the store: by a rename where that is possible, else by copying.
    fn keep(&self, plan: &mut Plan, to: &Path, same_filesystem: bool) {
        let pass = |title: &str, from: &Path, to: Option<PathBuf>, sync| {
            Step::PassTree(PassTree {
                title: title.to_owned(),
                from: from.to_owned(),
                to,
                verify: None,
                list_as: Some(TreeName::PreparedFinal),
                sync,
                threads: self.config.parallel,
                bytes: None,
            })
        };
        let copy = self.copy();
        if same_filesystem {
            plan.steps.push(Step::MoveTree { from: copy, to: to.to_owned() });
            plan.steps.push(pass("list and sync prepared-final", to, None, SyncSide::Source));
        } else {
            plan.steps.push(pass("store prepared-final", &copy, Some(to.to_owned()), SyncSide::Copy));
        }
    }
}
