//! Plans the private server of a restore.

use super::{
    PlanError,
    backup::{program, series, tool},
    batches::Division,
    gtid_mode,
    keyring::{self, KEYS, encryption_of},
    prisoner::{Reach, custody, prisoner, told},
    replay,
    restore::{Restore, short, stored},
    select::Window,
    server_home::{Served, ServerHome},
    step::{Custody, KeyringFile, PrivateServer},
    time_zone, untold,
};
use crate::{
    catalog::Backup,
    facts::ToolFact,
    halfway::{REPLAY_BASE, REPLAY_LOG},
    store::Encryption,
    tools::{
        ACTIVE_PLUGINS, Client, Family, PrivateServerCommand, RunAs, ToolRole, ToolVersion, Version, carried_settings,
        encryption_settings, plugin_options,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

impl<'a> Restore<'a> {
    /// A program of the vendor whose server was backed up.
    pub(super) fn family_tool(&self, role: ToolRole) -> Result<(&'a ToolFact, &'a ToolVersion), PlanError> {
        let (tool, version) = tool(self.facts, role)?;
        let family = self.family;
        if version.kind.family() != family {
            return Err(PlanError::Mismatch {
                what: format!("the vendor of {}", tool.path.as_deref().unwrap_or(Path::new("?")).display()),
                expected: family_name(family).into(),
                found: family_name(version.kind.family()).into(),
            });
        }
        Ok((tool, version))
    }

    /// The servers refuse to run as root without being told so.
    pub(super) fn run_as(&self) -> Option<String> {
        (self.facts.host.root && self.prisoner.is_none()).then(|| "root".to_owned())
    }

    /// Whom private servers run as.
    pub(super) fn find_prisoner(&self) -> Result<Option<RunAs>, PlanError> {
        let roles = [ToolRole::Server, ToolRole::Client, ToolRole::BinlogReader];
        let tools = roles.into_iter().filter_map(|role| self.facts.tool(role)?.path.as_deref());
        let reach = Reach {
            workdir: &self.workdir,
            run_dir: self.run_dir(),
            programs: tools.chain(self.facts.install_db.as_deref()).collect(),
        };
        prisoner(self.config, self.facts, &reach)
    }

    /// Says whom they run as, where dbbak is root.
    pub(super) fn whom_servers_run_as(&self) -> Option<String> {
        told(self.facts, self.prisoner.as_ref())
    }

    /// What belongs to their user while they run.
    pub(super) fn custody(&self) -> Option<Custody> {
        let names = ["data", "tmp", "load", "binlogs", "replay-log", "catch-up"].into_iter();
        let names: Vec<&str> = names.chain(self.keyring_copy().map(|_| KEYS)).chain(replay::OWN_DIRS).collect();
        custody(self.prisoner.as_ref(), &self.workdir, &names)
    }

    pub(super) fn private_server(
        &self,
        server_id: u32,
        relay: Option<&Window<'_>>,
        log: Option<&Division>,
    ) -> Result<PrivateServer, PlanError> {
        let (mysqld, version) = self.family_tool(ToolRole::Server)?;
        let last = self.chain.last().ok_or(PlanError::NoFull)?;
        self.check_server_version(last, version)?;
        let stored = stored(self.facts, last)?;
        let home = self.home();
        let family = self.family;
        let number = version.version.unwrap_or(Version::new(0, 0, 0));
        let mut settings = carried_settings(family, number, &stored.variables, &stored.settings);
        // What the logs hold as rows is logged as rows again, and statements as statements, one transaction for one: so
        // the private server's log can be compared with the archive.
        settings.insert("binlog_format".into(), "MIXED".into());
        if log.is_some() {
            settings.extend(yielding(family).map(|(name, value)| (name.to_owned(), value.to_owned())));
            self.gtid_mode(&mut settings);
        }
        let keyring = self.keyring(&mut settings)?;
        let command = PrivateServerCommand {
            program: program(mysqld)?.to_owned(),
            family,
            version: number,
            datadir: home.datadir.clone(),
            socket: home.socket(),
            pid_file: home.pid_file(),
            log_error: None,
            // Replayed DDL may sort as much as the table holds: too much for a system's temporary directory.
            tmpdir: self.workdir.join("tmp"),
            init_file: Some(home.init_file()),
            log_bin: log.map(|_| home.log_dir.join(REPLAY_BASE)),
            log_size: log.map_or(1 << 30, |log| log.log_size),
            server_id,
            settings,
            time_zone: time_zone::of_private_server(self.config, self.facts, &stored.variables),
            run_as: self.run_as(),
            buffer_pool: Some(self.config.prepare_memory),
            redo_log: None,
            relay: relay
                .zip(log)
                .map(|(window, log)| replay::relay_settings(family, &self.workdir, window, log.relay_space)),
            extra: self.plugins(&stored.variables),
        }
        .build()?;
        let account = format!("dbbak_{}", short(&self.request.id));
        let client = self.client()?;
        // From here on a commit is as durable as on any server.
        let farewell = format!(
            "SET sql_log_bin=0; DROP USER '{account}'@'localhost'; SET GLOBAL innodb_flush_log_at_trx_commit=1; \
             SET GLOBAL sync_binlog=1; SHUTDOWN;"
        );
        // MariaDB's applier needs no account, and nothing goes through the client but definitions of events.
        let all_rights = log.is_some() && (relay.is_none() || family == Family::Mysql);
        let custody = self.custody();
        home.server(self.config, Served { command, client: &client, account, all_rights, farewell, keyring, custody })
    }

    /// The options of private servers: what loads the source's plugins, and the configuration's.
    pub(super) fn plugins(&self, variables: &BTreeMap<String, String>) -> Vec<String> {
        let own = &self.config.server.options;
        plugin_options(variables, own).into_iter().chain(own.iter().cloned()).collect()
    }

    /// The source's plugins from libraries: name and library.
    pub(super) fn source_plugins(&self) -> BTreeMap<String, String> {
        let kept = self.last_variables().and_then(|variables| variables.get(ACTIVE_PLUGINS));
        let found = kept.iter().flat_map(|kept| kept.split(',')).filter_map(|plugin| plugin.split_once(':'));
        found.map(|(name, library)| (name.to_owned(), library.to_owned())).collect()
    }

    /// Warns of an upgrade of the server within the window.
    pub(super) fn upgrade_within(&self) -> Option<String> {
        let backup = self.chain.last()?.server()?.version.as_deref()?;
        untold::of_upgrade(&self.window?.files, backup)
    }

    /// Sets the mode in which the private server can apply the window; says why it is another than the source's.
    pub(super) fn gtid_mode(&self, settings: &mut BTreeMap<String, String>) -> Option<String> {
        let window = self.window.filter(|_| self.family == Family::Mysql)?;
        gtid_mode::fit(settings, &window.files)
    }

    /// Where the private servers' copy of the keyring lies, if they get one. It stays where a replay made keys.
    pub(super) fn keyring_copy(&self) -> Option<PathBuf> {
        let named = self.config.server.keyring_files.as_ref().is_some_and(|files| !files.is_empty());
        named.then(|| self.workdir.join(KEYS))
    }

    /// What tells the private server where its keys are; with keys it encrypts what the source did.
    fn keyring(&self, settings: &mut BTreeMap<String, String>) -> Result<Vec<KeyringFile>, PlanError> {
        let encrypted = self.encrypted();
        if let Some((backup, _)) = &encrypted {
            settings.extend(encryption_settings(&stored(self.facts, backup)?.variables));
        }
        let named = encrypted.as_ref().map(|(backup, encryption)| (format!("backup {}", backup.ts()), encryption));
        let named = named.as_ref().map(|(holder, encryption)| (holder.as_str(), *encryption));
        keyring::keyring(self.config, named, &self.datadir(), Some((&self.workdir.join(KEYS), false)))
    }

    /// The last backup of the chain that holds something encrypted, and what.
    pub(super) fn encrypted(&self) -> Option<(&'a Backup, Encryption)> {
        self.chain.iter().rev().find_map(|backup| {
            let stored = stored(self.facts, backup).ok()?;
            Some((*backup, encryption_of(backup, stored)?))
        })
    }

    /// Where private servers live.
    pub(super) fn home(&self) -> ServerHome {
        ServerHome {
            datadir: self.datadir(),
            run_dir: self.run_dir(),
            log: self.workdir.join("server.log"),
            log_dir: self.workdir.join(REPLAY_LOG),
        }
    }

    /// The client of the private server.
    pub(super) fn client(&self) -> Result<Client, PlanError> {
        let (client, _) = self.family_tool(ToolRole::Client)?;
        Ok(self.home().client(program(client)?, self.prisoner.as_ref()))
    }

    /// The variables of the server that was backed up, as far as they were kept.
    pub(super) fn last_variables(&self) -> Option<&'a BTreeMap<String, String>> {
        self.chain.last().and_then(|last| stored(self.facts, last).ok()).map(|stored| &stored.variables)
    }

    /// The private server must be of the flavour and series that was backed up: a newer one would upgrade the data, an
    /// older one refuses it.
    pub(super) fn check_server_version(&self, backup: &Backup, version: &ToolVersion) -> Result<(), PlanError> {
        let Some(record) = backup.server() else { return Ok(()) };
        let Some(recorded) = &record.version else { return Ok(()) };
        let found = version.version.map(|version| version.series());
        if let (Some(made), Some(found)) = (series(recorded), found)
            && made != found
        {
            return Err(PlanError::Mismatch {
                what: "the version series of the private server".into(),
                expected: format!("{}.{} (the backup is of {recorded})", made.0, made.1),
                found: version.full.clone(),
            });
        }
        Ok(())
    }
}

/// Settings that only decide whether a server refuses a statement. A session may have changed them, which no log tells, and what was logged was
/// not refused: so the private server refuses nothing of that kind.
fn yielding(family: Family) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own: &[_] = match family {
        Family::Mariadb => &[("system_versioning_alter_history", "KEEP")],
        Family::Mysql => &[("restrict_fk_on_non_standard_key", "OFF")],
    };
    own.iter().copied().chain([("innodb_strict_mode", "OFF")])
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::Mysql => "MySQL",
        Family::Mariadb => "MariaDB",
    }
}
