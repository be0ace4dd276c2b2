//! What each engine needs to take a full of the server, and what of it is missing.

use super::{PlanError, backup::tool, clone, dump, dump_findings::Findings};
use crate::{
    catalog::Catalog,
    config::{Config, NonTransactional},
    engine::{can_clone, engine_for, engine_named, engines},
    facts::{Facts, ServerFacts},
    tools::{ToolRole, ToolVersion},
};
use serde::Serialize;

/// An engine, as far as it goes for this server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineReport {
    /// Its name.
    pub name: String,
    /// The version of what takes the backup, where it is there.
    pub version: Option<String>,
    /// What is missing to use it; empty: it can be used.
    pub missing: Vec<String>,
    /// Whether it takes incrementals.
    pub incrementals: bool,
    /// Whether a full would be taken by it now.
    pub chosen: bool,
    /// Why it is this one.
    pub reason: Option<String>,
    /// What it locks, and for how long.
    pub locks: String,
    /// How long its newest backup in the store kept its locks, in seconds, where that is recorded.
    pub last_lock_seconds: Option<f64>,
}

/// The engine of a full, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// Its name; `None`: the backup tool's own, whatever it is.
    pub(super) engine: Option<&'static str>,
    /// Why it is this one.
    pub(super) reason: Option<String>,
}

/// More data than this are not dumped unless a dump is asked for: loading them takes hours.
const DUMP_LIMIT: u64 = 100 << 30;

/// Chooses how a full is taken: by the backup tool where one suits the server (files are copied while it works, and
/// incrementals can follow), else by a clone, else by a dump.
pub(super) fn choose(config: &Config, facts: &Facts, server: &ServerFacts) -> Choice {
    if let Some(name) = config.engine.name() {
        let reason = matches!(name, "clone" | "dump").then(|| format!("the engine {name} was asked for"));
        return Choice { engine: Some(name), reason };
    }
    let (flavor, number) = (server.flavor, server.version);
    if let Some(version) = suitable_tool(facts, server) {
        let reason = format!("engine auto: {version} suits {flavor} {number}, and can take incrementals");
        return Choice { engine: None, reason: Some(reason) };
    }
    let clone = clone::reason(config, facts, server);
    if clone.is_some() && lacks(facts, server).is_empty() {
        return Choice { engine: Some("clone"), reason: clone };
    }
    let bytes = facts.sizes.get(&server.datadir).map(|size| size.bytes);
    if dump_lacks(config, facts, server).1.is_empty() && bytes.is_none_or(|bytes| bytes <= DUMP_LIMIT) {
        let tool = match tool(facts, ToolRole::Backup) {
            Ok((_, version)) => format!("{version} does not suit {flavor} {number}"),
            Err(_) => "no backup tool was found".to_owned(),
        };
        let size = bytes.map_or_else(String::new, |bytes| format!(", its data directory holds {bytes} bytes"));
        let reason = format!("engine auto: {tool}, the server cannot be cloned, and it can be dumped{size}");
        return Choice { engine: Some("dump"), reason: Some(reason) };
    }
    // Nothing does: what is said then is what the tool lacks, or the clone.
    Choice { engine: clone.as_ref().map(|_| "clone"), reason: clone }
}

/// The engine of the newest full, where `auto` would take the next one in another form.
pub(crate) fn form_changes(config: &Config, catalog: &Catalog, chosen: &str) -> Option<String> {
    let before = catalog.latest_full().and_then(|full| full.entry.engine.clone())?;
    (config.engine.name().is_none() && before != chosen).then_some(before)
}

/// The engine that `auto` chooses for a full now, and that of the newest full, where these differ.
pub fn auto_changes_form(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    server: &ServerFacts,
) -> Option<(String, String)> {
    let chosen = choose(config, facts, server).engine?;
    form_changes(config, catalog, chosen).map(|before| (before, chosen.to_owned()))
}

/// Tells of a tool that the configuration names by its key.
pub(crate) fn named_tool(config: &Config, error: PlanError) -> PlanError {
    let PlanError::Tool { role, path: Some(path), problem } = &error else { return error };
    let (key, named) = match role {
        ToolRole::Backup => ("xtrabackup", &config.xtrabackup),
        ToolRole::BinlogReader => ("mysqlbinlog", &config.mysqlbinlog),
        ToolRole::Client => ("mysql", &config.mysql),
        ToolRole::Server => ("mysqld", &config.mysqld),
        ToolRole::Dump => ("mysqldump", &config.mysqldump),
    };
    match named {
        Some(named) if named == path => PlanError::NamedTool { key, path: path.clone(), problem: problem.clone() },
        _ => error,
    }
}

/// The backup tool, where it suits the server.
fn suitable_tool<'a>(facts: &'a Facts, server: &ServerFacts) -> Option<&'a ToolVersion> {
    let (_, version) = tool(facts, ToolRole::Backup).ok()?;
    let engine = engine_for(version.kind)?;
    engine.suits(version, server.flavor, server.version).is_ok().then_some(version)
}

/// Whether the backup tool that was found suits the server that answered.
pub fn backup_tool_suits(facts: &Facts) -> bool {
    matches!(&facts.server, Some(Ok(server)) if suitable_tool(facts, server).is_some())
}

/// What each engine needs for a full of the server, and what is missing. The facts are those of a plan for a full.
pub fn report_engines(config: &Config, catalog: &Catalog, facts: &Facts, server: &ServerFacts) -> Vec<EngineReport> {
    let choice = choose(config, facts, server);
    let found = tool(facts, ToolRole::Backup).ok().map(|(_, version)| version);
    // What the configuration names must be there: a full is refused then, and no other engine takes it.
    let unusable = config.xtrabackup.as_ref().filter(|_| found.is_none()).map(|path| {
        let problem = facts.tool(ToolRole::Backup).and_then(|tool| tool.problem.clone()).unwrap_or_default();
        format!("xtrabackup names {}, which cannot be used: {problem}", path.display())
    });
    let refused = unusable.is_some() && config.engine.name().is_none();
    let report = |name: &'static str| match name {
        "clone" => (
            Some(server.version_text.clone()).filter(|_| can_clone(server.flavor, server.version)),
            lacks(facts, server),
        ),
        "dump" => dump_lacks(config, facts, server),
        _ => match found.filter(|version| engine_for(version.kind).is_some_and(|engine| engine.name() == name)) {
            None => (None, vec![unusable.clone().unwrap_or_else(|| format!("{name} was not found"))]),
            Some(version) => {
                let misfit = engine_for(version.kind)
                    .and_then(|engine| engine.suits(version, server.flavor, server.version).err());
                let missing = misfit.map(|misfit| format!("{} is needed, found {}", misfit.expected, misfit.found));
                (Some(version.full.clone()), missing.into_iter().collect())
            }
        },
    };
    let newest = |name: &str| {
        let taken = catalog.backups.iter().filter(|backup| backup.entry.engine.as_deref() == Some(name));
        taken.max_by_key(|backup| backup.ts()).and_then(|backup| backup.entry.lock_seconds)
    };
    engines()
        .iter()
        .map(|engine| {
            let name = engine.name();
            let (version, missing) = report(name);
            let wanted = match choice.engine {
                Some(wanted) => wanted == name,
                None => found.and_then(|found| engine_for(found.kind)).is_some_and(|engine| engine.name() == name),
            };
            let chosen = wanted && missing.is_empty() && !refused;
            EngineReport {
                name: name.to_owned(),
                chosen,
                reason: choice.reason.clone().filter(|_| chosen),
                version,
                missing,
                incrementals: engine.has_incrementals(),
                locks: engine.locks().to_owned(),
                last_lock_seconds: newest(name),
            }
        })
        .collect()
}

/// How a full of the server is taken where the backup tool does not take it: by which engine, why, and what is missing for
/// that. `None`: the tool takes it, or nothing can. The facts are those of a plan for a full.
pub fn engine_without_tool(
    config: &Config,
    facts: &Facts,
    server: &ServerFacts,
) -> Option<(&'static str, Option<String>, Vec<String>)> {
    let choice = choose(config, facts, server);
    match choice.engine {
        Some("clone") => Some(("clone", choice.reason, lacks(facts, server))),
        Some("dump") => Some(("dump", choice.reason, dump_lacks(config, facts, server).1)),
        None if suitable_tool(facts, server).is_none() && can_clone(server.flavor, server.version) => {
            Some(("clone", None, lacks(facts, server)))
        }
        _ => None,
    }
}

/// The dump program's version, and what is missing to dump the server.
fn dump_lacks(config: &Config, facts: &Facts, server: &ServerFacts) -> (Option<String>, Vec<String>) {
    let Ok((_, version)) = tool(facts, ToolRole::Dump) else {
        return (None, vec!["mysqldump or mariadb-dump was not found".into()]);
    };
    let mut missing = Vec::new();
    if let Some(engine) = engine_named("dump")
        && let Err(misfit) = engine.suits(version, server.flavor, server.version)
    {
        missing.push(format!("{} is needed, found {}", misfit.expected, misfit.found));
    }
    missing.extend(dump::missing_privileges(server).into_iter().map(|lacked| format!("the account lacks {lacked}")));
    match &facts.prepared {
        None => missing.push("the server did not say whether XA transactions stand prepared".into()),
        Some(ids) if !ids.is_empty() => {
            missing.push(format!("XA transactions stand prepared: {}", ids.join("; ")));
        }
        Some(_) => {}
    }
    match &facts.non_transactional {
        None => missing.push("the server did not say which of its tables have transactions".into()),
        Some(tables) if !tables.is_empty() && config.non_transactional == NonTransactional::Refuse => {
            let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
            missing.push(format!("tables without transactions are in no snapshot: {}", tables.join(", ")));
        }
        Some(_) => {}
    }
    match &facts.dump {
        None => missing.push("the server did not say what a dump of it would not hold".into()),
        Some(found) => missing.extend(Findings::sort(config, server, found).err().map(|error| error.to_string())),
    }
    (Some(version.full.clone()), missing)
}

/// What is missing to clone the server.
fn lacks(facts: &Facts, server: &ServerFacts) -> Vec<String> {
    if !can_clone(server.flavor, server.version) {
        return vec![format!("a server of MySQL 8.0.17 or later, found {} {}", server.flavor, server.version)];
    }
    let mut missing = Vec::new();
    let clone = facts.clone.clone().unwrap_or_default();
    if clone.plugin.as_deref() != Some("ACTIVE") {
        missing.push(format!("the clone plugin is {}", clone.plugin.as_deref().unwrap_or("not installed")));
    }
    if !server.grants.missing(&["BACKUP_ADMIN"]).is_empty() {
        missing.push("the account lacks BACKUP_ADMIN".into());
    }
    let tables: Vec<String> = clone.uncloned.iter().map(ToString::to_string).collect();
    if !tables.is_empty() {
        missing.push(format!("tables that are not InnoDB's would be left empty: {}", tables.join(", ")));
    }
    match tool(facts, ToolRole::Server) {
        Ok((_, version)) if version.version == Some(server.version) => {}
        Ok((_, version)) => missing.push(format!("mysqld {} is needed, found {version}", server.version)),
        Err(_) => missing.push(format!("mysqld {} is needed, none was found", server.version)),
    }
    missing
}
