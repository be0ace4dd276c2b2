//! Plans the loading of a dump into a data directory of its own.

use super::{
    Plan, PlanError,
    backup::program,
    keyring::{KEYS, encryption_of, keyring},
    restore::{Restore, short, stored},
    server_home::{Served, ServerHome},
    step::{Custody, InitDatadir, KeyringFile, LoadDump, PassTree, Step},
};
use crate::{
    catalog::Backup,
    config::Config,
    facts::{Facts, StoredBackup},
    model::TreeName,
    tools::{
        Client, Family, InitialiseCommand, Launch, PrivateServerCommand, RunAs, ToolRole, ToolVersion, Version,
        carried_settings, encryption_settings, format_settings, give_back_events, plugin_options,
    },
};
use std::path::{Path, PathBuf};

/// The private server's id: nothing is replayed on it.
const PRIVATE_SERVER_ID: u32 = 4_294_967_295;

impl Restore<'_> {
    /// The steps that verify the dump and load it.
    pub(super) fn load(&self, plan: &mut Plan, full: &Backup) -> Result<(), PlanError> {
        if let Step::PassTree(pass) = self.copy(full, TreeName::Dump, &self.datadir(), "verify the dump")? {
            plan.steps.push(Step::PassTree(PassTree { to: None, ..pass }));
        }
        let (server, version) = self.family_tool(ToolRole::Server)?;
        self.check_server_version(full, version)?;
        let job = LoadJob {
            config: self.config,
            facts: self.facts,
            backup: full,
            stored: stored(self.facts, full)?,
            root: self.catalog.root.as_deref().unwrap_or(Path::new("/")),
            workdir: &self.workdir,
            home: self.home(),
            family: self.family,
            server: (program(server)?, version),
            client: self.client()?,
            run_as: self.run_as(),
            prisoner: self.prisoner.clone(),
            custody: self.custody(),
            id: short(&self.request.id),
        };
        plan.steps.extend(job.plan()?);
        Ok(())
    }
}

/// A dump that is loaded.
struct LoadJob<'a> {
    config: &'a Config,
    facts: &'a Facts,
    backup: &'a Backup,
    stored: &'a StoredBackup,
    root: &'a Path,
    workdir: &'a Path,
    home: ServerHome,
    family: Family,
    server: (&'a Path, &'a ToolVersion),
    client: Client,
    run_as: Option<String>,
    prisoner: Option<RunAs>,
    custody: Option<Custody>,
    id: String,
}

impl LoadJob<'_> {
    /// The steps that make the data directory and load the dump.
    fn plan(&self) -> Result<Vec<Step>, PlanError> {
        let tmp = self.workdir.join("tmp");
        let mut settings = carried_settings(self.family, self.version(), &self.stored.variables, &self.stored.settings);
        let initialise = InitialiseCommand {
            program: self.initialiser()?,
            family: self.family,
            datadir: self.home.datadir.clone(),
            settings: format_settings(&settings),
            run_as: self.run_as.clone(),
        }
        .build()?;
        // Statements of any length and rows in any order: what the dump says is what the server had.
        settings.insert("innodb_doublewrite".into(), "OFF".into());
        // It took each table as it is, whatever the source's settings say today.
        settings.insert("innodb_strict_mode".into(), "OFF".into());
        if self.family == Family::Mysql {
            settings.insert("restrict_fk_on_non_standard_key".into(), "OFF".into());
        }
        // Its tables are made encrypted where they were.
        let encryption = encryption_of(self.backup, self.stored);
        if encryption.is_some() {
            settings.extend(encryption_settings(&self.stored.variables));
        }
        let holder = format!("backup {}", self.backup.ts());
        let named = encryption.as_ref().map(|found| (holder.as_str(), found));
        let keyring = keyring(self.config, named, &self.home.datadir, Some((&self.workdir.join(KEYS), false)))?;
        let log = self.workdir.join("load.log");
        Ok(vec![
            Step::CreateDir { path: tmp.clone() },
            Step::InitDatadir(Box::new(InitDatadir {
                datadir: self.home.datadir.clone(),
                custody: self.custody.clone(),
                launch: Launch {
                    command: initialise.run_as(self.prisoner.clone()),
                    log: self.workdir.join("initialise.log"),
                },
            })),
            Step::LoadDump(Box::new(self.load(&tmp, settings, log, keyring)?)),
            Step::RemoveTree { path: tmp },
        ])
    }

    fn version(&self) -> Version {
        self.server.1.version.unwrap_or(Version::new(0, 0, 0))
    }

    fn initialiser(&self) -> Result<PathBuf, PlanError> {
        match self.family {
            Family::Mysql => Ok(self.server.0.to_owned()),
            Family::Mariadb => self.facts.install_db.clone().ok_or(PlanError::NoInstallDb),
        }
    }

    fn load(
        &self,
        tmp: &Path,
        settings: std::collections::BTreeMap<String, String>,
        log: PathBuf,
        keyring: Vec<KeyringFile>,
    ) -> Result<LoadDump, PlanError> {
        // The events that it makes keep the id as that of the server that made them.
        let own_id =
            self.backup.server().and_then(|server| server.id).filter(|id| *id != 0).unwrap_or(PRIVATE_SERVER_ID);
        let account = format!("dbbak_{}", self.id);
        let command = PrivateServerCommand {
            program: self.server.0.to_owned(),
            family: self.family,
            version: self.version(),
            datadir: self.home.datadir.clone(),
            socket: self.home.socket(),
            pid_file: self.home.pid_file(),
            log_error: None,
            tmpdir: tmp.to_owned(),
            init_file: Some(self.home.init_file()),
            log_bin: None,
            log_size: 1 << 30,
            server_id: own_id,
            settings,
            time_zone: None,
            run_as: self.run_as.clone(),
            buffer_pool: Some(self.config.prepare_memory),
            redo_log: None,
            relay: None,
            extra: plugin_options(&self.stored.variables, &self.config.server.options)
                .into_iter()
                .chain(self.config.server.options.iter().cloned())
                .collect(),
        }
        .build()?;
        // The dump has replaced the accounts: a session that is in stays in, and nobody else gets in any more.
        let events = give_back_events(self.family, &self.stored.standing.events, own_id);
        let farewell = format!("SET sql_log_bin=0; {events}DROP USER IF EXISTS '{account}'@'localhost'; SHUTDOWN;");
        let dir = self.root.join(self.backup.id.to_string()).join(TreeName::Dump.as_str());
        Ok(LoadDump {
            dir,
            client: Launch { command: self.client.replay()?, log },
            farewell: farewell.clone(),
            bytes: self.stored.trees.get(&TreeName::Dump).copied().flatten(),
            server: self.home.server(
                self.config,
                Served {
                    command,
                    client: &self.client,
                    account,
                    all_rights: true,
                    farewell,
                    keyring,
                    custody: self.custody.clone(),
                },
            )?,
        })
    }
}
