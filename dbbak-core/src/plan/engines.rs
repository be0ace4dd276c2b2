//! What each engine needs to take a full of the server, and what of it is missing.

use super::{backup::tool, clone};
use crate::{
    catalog::Catalog,
    config::Config,
    engine::{can_clone, engine_for, engines},
    facts::{Facts, ServerFacts},
    tools::ToolRole,
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
    /// How long its newest backup in the store kept its locks, in seconds, where that is recorded.
    pub last_lock_seconds: Option<f64>,
}

/// What each engine needs for a full of the server, and what is missing. The facts are those of a plan for a full.
pub fn report_engines(config: &Config, catalog: &Catalog, facts: &Facts, server: &ServerFacts) -> Vec<EngineReport> {
    let by_clone = clone::reason(config, facts, server).is_some();
    let found = tool(facts, ToolRole::Backup).ok().map(|(_, version)| version);
    let report = |name: &'static str| {
        let (version, missing) = if name == "clone" {
            (
                Some(server.version_text.clone()).filter(|_| can_clone(server.flavor, server.version)),
                lacks(facts, server),
            )
        } else {
            match found.filter(|version| engine_for(version.kind).is_some_and(|engine| engine.name() == name)) {
                None => (None, vec![format!("{name} was not found")]),
                Some(version) => {
                    let misfit = engine_for(version.kind)
                        .and_then(|engine| engine.suits(version, server.flavor, server.version).err());
                    let missing = misfit.map(|misfit| format!("{} is needed, found {}", misfit.expected, misfit.found));
                    (Some(version.full.clone()), missing.into_iter().collect())
                }
            }
        };
        (version, missing)
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
            let wanted = match config.engine.name() {
                Some(wanted) => wanted == name,
                None => by_clone == (name == "clone"),
            };
            EngineReport {
                name: name.to_owned(),
                chosen: wanted && missing.is_empty(),
                version,
                missing,
                incrementals: engine.has_incrementals(),
                last_lock_seconds: newest(name),
            }
        })
        .collect()
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
