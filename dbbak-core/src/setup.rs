//! Proves a setup: what `check` finds out about store, tools, server, account, binlogs, clock, files and space.

mod binlog;
mod full;
mod settings;
mod space;
mod store;

pub use store::StoreTrouble;

use crate::{
    catalog::Catalog,
    config::Config,
    engine::engine_for,
    facts::{Facts, ServerFacts},
    plan::{PlanError, auto_changes_form, config_names_keyring, engine_without_tool},
    probe::PathState,
    store::StoreError,
    tools::{Family, ToolKind, ToolRole, UntestedSeries, Version, untested_series},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::path::PathBuf;

/// One thing that was looked at. Its remedy, where it needs one, is for the frontend to say.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Finding {
    /// The store can be read and holds this.
    Store {
        /// Backups.
        backups: usize,
        /// Archived binlogs.
        binlogs: usize,
        /// What nothing names.
        orphans: usize,
    },
    /// The store cannot be used.
    StoreUnusable {
        /// Why.
        problem: String,
        /// Of which kind that is.
        trouble: StoreTrouble,
    },
    /// The store lacks something that its lists name.
    StoreLacks {
        /// What, in words.
        loss: String,
    },
    /// A backup bears the mark that it cannot be applied.
    BackupUnusable {
        /// The backup.
        backup: String,
        /// Why.
        reason: String,
        /// Whether no newer backup is whole: a restore replays from before it.
        newest: bool,
    },
    /// Finished backups or archived binlogs are in the store, and no list names them.
    Unlisted {
        /// How many.
        count: usize,
    },
    /// Binlogs are missing, and no backup stands behind the gap.
    Gap {
        /// The timeline.
        timeline: String,
        /// What is missing, in words.
        gap: String,
    },
    /// The store was made by another program: it can be read and not written.
    StoreWithoutFile,
    /// This process may not write to the store.
    StoreNotWritable {
        /// The store.
        path: PathBuf,
    },
    /// A usable program.
    Tool {
        /// What it is for.
        role: ToolRole,
        /// Where it is.
        path: PathBuf,
        /// What it is.
        version: String,
    },
    /// A program that is missing or unusable.
    ToolUnusable {
        /// What it is for.
        role: ToolRole,
        /// Where it was looked for.
        path: Option<PathBuf>,
        /// What is wrong.
        problem: String,
    },
    /// A program of the other vendor, or of another series than the server's.
    ToolMisfit {
        /// What it is for.
        role: ToolRole,
        /// What would fit.
        expected: String,
        /// What was found.
        found: String,
    },
    /// Fulls are taken without a backup tool.
    Engine {
        /// The engine's name.
        name: String,
        /// Why it is this one.
        reason: Option<String>,
    },
    /// The engine that would take fulls lacks something.
    EngineMissing {
        /// The engine's name.
        name: String,
        /// What.
        missing: Vec<String>,
        /// Whether it was asked for, or chosen; else it would serve in the place of the backup tool.
        chosen: bool,
    },
    /// The server answers.
    Server {
        /// Its version.
        version: String,
        /// Its data directory.
        datadir: PathBuf,
    },
    /// The server is of a newer series than those that dbbak is tested with.
    ServerUntested {
        /// Which, and what it is treated as.
        series: UntestedSeries,
    },
    /// The server does not answer.
    ServerUnreachable {
        /// What its client said.
        problem: String,
        /// Whether the credentials were refused.
        access_denied: bool,
    },
    /// The account may do what dbbak needs.
    Grants,
    /// The account lacks privileges.
    GrantsMissing {
        /// Which.
        missing: Vec<String>,
    },
    /// The account lacks SELECT on tables that the backup tool reads.
    SelectMissing {
        /// Which.
        tables: Vec<&'static str>,
    },
    /// The server writes a binlog.
    Binlog {
        /// `binlog_format`.
        format: String,
    },
    /// The server writes no binlog.
    BinlogOff,
    /// Binlog events carry no checksums, so that damage goes unnoticed.
    BinlogChecksumOff,
    /// The server does not sync its binlog at each commit: a crash of the machine may lose its end.
    BinlogNotSynced {
        /// `sync_binlog`.
        value: String,
    },
    /// The binlogs' directory can be read.
    BinlogDir {
        /// The directory.
        path: PathBuf,
        /// Closed binlogs that are not archived.
        waiting: usize,
    },
    /// The binlogs' directory cannot be read.
    BinlogDirUnreadable {
        /// The directory, where it is known.
        path: Option<PathBuf>,
        /// Why.
        problem: String,
    },
    /// The account may have the server send its binlogs.
    MayFetch,
    /// It may not, and not all of the binlogs can be read here.
    MayNotFetch {
        /// The privileges that it lacks.
        missing: Vec<String>,
    },
    /// Settings of the server that the table of settings does not know: nobody has said whether a replay depends on them.
    SettingsUnknown {
        /// Their names.
        names: Vec<String>,
    },
    /// A setting that a replay depends on and does not take over.
    SettingTold {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it changes.
        what: &'static str,
    },
    /// Statements mean the time zone of the server's machine, and the configuration does not name it.
    SystemZone {
        /// `system_time_zone`, an abbreviation.
        zone: String,
    },
    /// The server keeps its binlogs for this long; none: until somebody purges them.
    Expiry {
        /// Seconds.
        seconds: Option<u64>,
    },
    /// The server purges binlogs before they are surely archived.
    ExpiryTooShort {
        /// Seconds for which the server keeps them.
        seconds: u64,
        /// Seconds since the oldest binlog that is not archived was begun, where there is one.
        waiting_seconds: Option<i64>,
    },
    /// The clocks of the server and of this machine agree.
    Clock,
    /// They do not.
    ClockSkew {
        /// Seconds that the server is ahead.
        seconds: i64,
    },
    /// Only its owner may read the option file.
    OptionFile {
        /// The file.
        path: PathBuf,
    },
    /// Others may read the option file.
    OptionFileMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The option file is not there.
    OptionFileMissing {
        /// The file.
        path: PathBuf,
    },
    /// Something is encrypted, and private servers are told where the keys are.
    Encrypted {
        /// What.
        what: String,
        /// What keeps the keys, where the account may see it.
        keyring: Option<String>,
    },
    /// Something is encrypted, and private servers are not told where the keys are: no restore could be made.
    NoKeyring {
        /// What is encrypted.
        what: String,
        /// What keeps the keys, where the account may see it.
        keyring: Option<String>,
    },
    /// The data directory cannot be read by this process.
    DatadirUnreadable {
        /// The directory.
        path: PathBuf,
    },
    /// A full would be refused for a reason that no other finding names.
    FullRefused {
        /// The reason.
        #[serde(serialize_with = "as_text")]
        problem: Box<PlanError>,
    },
    /// A full by a backup tool would hold tables that keep it from being restored.
    FilesOutside {
        /// Their files, outside of the data directory.
        files: Vec<String>,
    },
    /// Tables have lost their tablespace on the server already.
    TablesBroken {
        /// The tables.
        tables: Vec<String>,
    },
    /// No backup holds the rows of these tables, which the engine MEMORY keeps.
    MemoryTables {
        /// The tables.
        tables: Vec<String>,
    },
    /// There is room.
    Space {
        /// A path on the file system.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that the next full needs there, about; `None`: nobody knows how large the data are.
        needed: Option<u64>,
    },
    /// There is not enough room for the next full.
    SpaceLow {
        /// A path on the file system.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that the next full needs there, about.
        needed: u64,
    },
    /// `engine: auto` would take the next full in another form than the newest one has: nothing goes on that chain.
    FormChanges {
        /// The engine of the newest full.
        before: String,
        /// The one that would be chosen.
        chosen: String,
    },
    /// The configuration names a backup tool that cannot be used.
    NamedToolUnusable {
        /// The program.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// No local directory for prepares and restores.
    NoScratch {
        /// Why.
        problem: String,
    },
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and it may hurt one day.
    Warning,
    /// dbbak cannot do its work.
    Problem,
}

/// Clocks further apart than this are a finding, in seconds.
const CLOCK_TOLERANCE: i64 = 5;

impl Finding {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Finding::Store { .. }
            | Finding::Tool { .. }
            | Finding::Engine { .. }
            | Finding::Server { .. }
            | Finding::Grants
            | Finding::Binlog { .. }
            | Finding::BinlogDir { .. }
            | Finding::MayFetch
            | Finding::Expiry { .. }
            | Finding::Clock
            | Finding::Encrypted { .. }
            | Finding::OptionFile { .. }
            | Finding::Space { .. } => Severity::Ok,
            Finding::StoreWithoutFile
            | Finding::ServerUntested { .. }
            | Finding::BinlogChecksumOff
            | Finding::BinlogNotSynced { .. }
            | Finding::SettingsUnknown { .. }
            | Finding::SettingTold { .. }
            | Finding::SystemZone { .. }
            | Finding::ExpiryTooShort { waiting_seconds: None, .. }
            | Finding::ClockSkew { .. }
            | Finding::OptionFileMode { .. }
            | Finding::BackupUnusable { newest: false, .. }
            | Finding::TablesBroken { .. }
            | Finding::MemoryTables { .. }
            | Finding::EngineMissing { chosen: false, .. } => Severity::Warning,
            _ => Severity::Problem,
        }
    }
}

/// Judges a setup by what a survey found.
pub fn judge(
    config: &Config,
    catalog: Result<&Catalog, &StoreError>,
    facts: &Facts,
    now: DateTime<Utc>,
) -> Vec<Finding> {
    let mut findings = vec![store::finding(catalog)];
    if let Ok(catalog) = catalog {
        if catalog.store.is_none() {
            findings.push(Finding::StoreWithoutFile);
        }
        let flaws = catalog.distrusted.iter().cloned();
        findings.extend(flaws.map(|problem| Finding::StoreUnusable { problem, trouble: StoreTrouble::Damaged }));
        let unlisted = catalog.unlisted.len();
        if unlisted > 0 {
            findings.push(Finding::Unlisted { count: unlisted });
        }
        findings.extend(catalog.losses().into_iter().map(|loss| Finding::StoreLacks { loss }));
        findings.extend(unusable(catalog));
        let gaps = catalog.open_gaps().into_iter();
        let gaps = gaps.filter(|(_, gap)| !matches!(gap, crate::catalog::Finding::Lost { .. }));
        findings.extend(gaps.map(|(timeline, gap)| Finding::Gap { timeline, gap: gap.to_string() }));
        if let Some(PathState::Directory { writable: false, .. }) = facts.paths.get(&config.nfs_root) {
            findings.push(Finding::StoreNotWritable { path: config.nfs_root.clone() });
        }
    }
    option_file(config, facts, &mut findings);
    let server = match &facts.server {
        Some(Ok(server)) => Some(server),
        Some(Err(problem)) => {
            let (problem, access_denied) = (problem.text.clone(), problem.access_denied);
            findings.push(Finding::ServerUnreachable { problem, access_denied });
            None
        }
        None => None,
    };
    let engine = server.and_then(|server| engine_without_tool(config, facts, server));
    // Nobody needs a backup tool where another engine is all there.
    if engine.as_ref().is_none_or(|(_, _, missing)| !missing.is_empty()) {
        findings.push(tool(facts, ToolRole::Backup, server));
    }
    let form = form(config, catalog.ok(), facts, server);
    // No engine takes a full where what is named cannot be used.
    if let Some((name, reason, missing)) = engine.filter(|_| !matches!(form, Some(Finding::NamedToolUnusable { .. }))) {
        findings.push(match missing.is_empty() {
            true => Finding::Engine { name: name.into(), reason },
            false => Finding::EngineMissing { name: name.into(), missing, chosen: reason.is_some() },
        });
    }
    findings.extend(form);
    for role in [ToolRole::BinlogReader, ToolRole::Client, ToolRole::Server] {
        findings.push(tool(facts, role, server));
    }
    if let Some(server) = server {
        of_server(config, facts, server, now, catalog.ok(), &mut findings);
    }
    let data = server.and_then(|server| facts.sizes.get(&server.datadir)).map(|size| size.bytes);
    space::of_space(config, facts, data, &mut findings);
    findings
}

/// What is wrong with how the next full would be taken: a tool that is named and not there, or another form than before.
fn form(config: &Config, catalog: Option<&Catalog>, facts: &Facts, server: Option<&ServerFacts>) -> Option<Finding> {
    let server = server.filter(|_| config.engine.name().is_none())?;
    let tool = facts.tool(ToolRole::Backup)?;
    let without = engine_without_tool(config, facts, server).is_some_and(|(_, _, missing)| missing.is_empty());
    if let (Some(path), None, true) = (&config.xtrabackup, &tool.version, without) {
        let problem = tool.problem.clone().unwrap_or_default();
        return Some(Finding::NamedToolUnusable { path: path.clone(), problem });
    }
    let (before, chosen) = auto_changes_form(config, catalog?, facts, server)?;
    Some(Finding::FormChanges { before, chosen })
}

/// The backups that cannot be applied.
fn unusable(catalog: &Catalog) -> Vec<Finding> {
    let whole = catalog.backups.iter().filter(|backup| catalog.is_whole(backup.ts())).map(|backup| backup.ts()).max();
    let found = catalog.unusable().into_iter().map(|(id, reason)| Finding::BackupUnusable {
        backup: id.to_string(),
        reason: reason.to_owned(),
        newest: whole.is_none_or(|whole| whole < id.ts),
    });
    found.collect()
}

fn option_file(config: &Config, facts: &Facts, findings: &mut Vec<Finding>) {
    let Some(path) = config.mysql_option_file.clone() else { return };
    findings.push(match facts.paths.get(&path) {
        Some(PathState::File { mode, .. }) if mode & 0o077 == 0 => Finding::OptionFile { path },
        Some(PathState::File { mode, .. }) => Finding::OptionFileMode { path, mode: *mode },
        _ => Finding::OptionFileMissing { path },
    });
}

fn tool(facts: &Facts, role: ToolRole, server: Option<&ServerFacts>) -> Finding {
    let fact = facts.tool(role);
    let path = fact.and_then(|fact| fact.path.clone());
    let (Some(fact), Some(path)) = (fact, path.clone()) else {
        return Finding::ToolUnusable { role, path, problem: "none was named or found on PATH".into() };
    };
    let Some(version) = &fact.version else {
        let problem = fact.problem.clone().unwrap_or_else(|| "it does not say its version".into());
        return Finding::ToolUnusable { role, path: Some(path), problem };
    };
    if let Some(server) = server {
        let misfit = |expected: String| Finding::ToolMisfit {
            role,
            expected,
            found: format!("{} {}", version.kind, version.full),
        };
        if version.kind.family() != server.family() {
            let vendor = if server.family() == Family::Mariadb { "MariaDB's" } else { "MySQL's or Percona's" };
            return misfit(format!("{vendor} program, for a {} server", server.version_text));
        }
        let unsuited =
            engine_for(version.kind).and_then(|engine| engine.suits(version, server.flavor, server.version).err());
        if let Some(unsuited) = unsuited {
            return misfit(unsuited.expected);
        }
        let series = version.version.map(|version| version.series());
        if role == ToolRole::Server && series.is_some_and(|series| series != server.version.series()) {
            let (major, minor) = server.version.series();
            return misfit(format!("series {major}.{minor}, the server's own"));
        }
    }
    Finding::Tool { role, path, version: format!("{} {}", version.kind, version.full) }
}

fn of_server(
    config: &Config,
    facts: &Facts,
    server: &ServerFacts,
    now: DateTime<Utc>,
    catalog: Option<&Catalog>,
    findings: &mut Vec<Finding>,
) {
    findings.push(Finding::Server { version: server.version_text.clone(), datadir: server.datadir.clone() });
    findings.extend(untested_series(server.family(), server.version).map(|series| Finding::ServerUntested { series }));
    let missing = server.grants.missing(needed_privileges(config, server));
    let unread: Vec<&str> =
        tables_to_read(config, facts, server).filter(|table| !server.grants.may_read(table)).collect();
    if missing.is_empty() && unread.is_empty() {
        findings.push(Finding::Grants);
    }
    if !missing.is_empty() {
        findings.push(Finding::GrantsMissing { missing: missing.into_iter().map(str::to_owned).collect() });
    }
    if !unread.is_empty() {
        findings.push(Finding::SelectMissing { tables: unread });
    }
    let refused = full::judge(config, facts, catalog, now, findings);
    let told = matches!(refused.as_deref(), Some(PlanError::Closed(_)));
    // A dump and a clone read no files of the server.
    if !told
        && !facts.sizes.contains_key(&server.datadir)
        && engine_without_tool(config, facts, server).is_none_or(|(_, _, missing)| !missing.is_empty())
    {
        findings.push(Finding::DatadirUnreadable { path: server.datadir.clone() });
    }
    findings.extend(refused.map(|problem| Finding::FullRefused { problem }));
    if let Some(at) = server.now {
        let seconds = (at - now).num_seconds();
        findings.push(if seconds.abs() > CLOCK_TOLERANCE { Finding::ClockSkew { seconds } } else { Finding::Clock });
    }
    if let Some(encryption) = &server.encryption {
        let (what, keyring) = (encryption.to_string(), encryption.keyring.clone());
        findings.push(match config_names_keyring(config) {
            true => Finding::Encrypted { what, keyring },
            false => Finding::NoKeyring { what, keyring },
        });
    }
    binlog::of_binlog(facts, server, now, catalog, findings);
    settings::of_settings(config, server, findings);
}

fn as_text<S: serde::Serializer>(problem: &PlanError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(problem)
}

/// What the account needs, by the makers' word and by trial (MariaDB 10.11: RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR).
fn needed_privileges(config: &Config, server: &ServerFacts) -> &'static [&'static str] {
    match (server.family(), config.slave_info) {
        (Family::Mariadb, false) => &["RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR"],
        (Family::Mariadb, true) => &["RELOAD", "PROCESS", "LOCK TABLES", "BINLOG MONITOR", "SLAVE MONITOR"],
        (Family::Mysql, _) if server.version.series() >= (8, 0) => {
            &["BACKUP_ADMIN", "PROCESS", "RELOAD", "LOCK TABLES", "REPLICATION CLIENT"]
        }
        (Family::Mysql, _) => &["PROCESS", "RELOAD", "LOCK TABLES", "REPLICATION CLIENT"],
    }
}

/// The tables that XtraBackup reads with a privilege of their own. By trial (9.7.1): without the first two it fails, without
/// the third it complains and goes on, which is no success.
fn tables_to_read<'a>(
    config: &'a Config,
    facts: &'a Facts,
    server: &'a ServerFacts,
) -> impl Iterator<Item = &'static str> + 'a {
    const TABLES: [(Version, &str); 3] = [
        (Version::new(8, 0, 0), "performance_schema.log_status"),
        (Version::new(8, 0, 24), "performance_schema.keyring_component_status"),
        (Version::new(8, 0, 0), "performance_schema.replication_group_members"),
    ];
    let tool = facts.tool(ToolRole::Backup).and_then(|tool| tool.version.as_ref());
    let wanted = config.engine.name().is_none_or(|engine| engine == "xtrabackup");
    let reads =
        wanted && server.family() == Family::Mysql && tool.is_some_and(|tool| tool.kind == ToolKind::Xtrabackup);
    TABLES.into_iter().filter(move |(since, _)| reads && server.version >= *since).map(|(_, table)| table)
}
