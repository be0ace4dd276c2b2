//! Looks for the programs.

use crate::{
    config::Config,
    facts::{Facts, ToolFact},
    probe::Probe,
    tools::{Family, QueryCommand, ToolRole, VersionError, help_query, names_for, parse_version, version_query},
};
use std::path::{Path, PathBuf};

/// Looks for the programs of some roles: the configured one, else the first on the search path, those of the preferred
/// vendor first. What a program is, its own word decides, not its name.
pub fn tools(facts: &mut Facts, config: &Config, probe: &dyn Probe, roles: &[ToolRole], prefer: Option<Family>) {
    for role in roles {
        let path = match configured(config, *role) {
            Some(path) => Some(path.to_owned()),
            None => found(probe, *role, prefer),
        };
        let fact = look_at(probe, *role, path);
        facts.tools.retain(|tool| tool.role != *role);
        facts.tools.push(fact);
    }
}

/// Looks for what makes an empty data directory of MariaDB.
pub fn install_db(facts: &mut Facts, config: &Config, probe: &dyn Probe) {
    let found = || probe.find_program(&["mariadb-install-db", "mysql_install_db"]);
    facts.install_db = config.mariadb_install_db.clone().or_else(found);
}

fn configured(config: &Config, role: ToolRole) -> Option<&Path> {
    match role {
        ToolRole::Backup => config.xtrabackup.as_deref(),
        ToolRole::BinlogReader => config.mysqlbinlog.as_deref(),
        ToolRole::Client => config.mysql.as_deref(),
        ToolRole::Server => config.mysqld.as_deref(),
        ToolRole::Dump => config.mysqldump.as_deref(),
    }
}

fn found(probe: &dyn Probe, role: ToolRole, prefer: Option<Family>) -> Option<PathBuf> {
    let other = |family| if family == Family::Mysql { Family::Mariadb } else { Family::Mysql };
    let first = prefer.unwrap_or(Family::Mariadb);
    let names: Vec<&str> = [first, other(first)].iter().flat_map(|family| names_for(role, *family)).copied().collect();
    probe.find_program(&names)
}

fn look_at(probe: &dyn Probe, role: ToolRole, path: Option<PathBuf>) -> ToolFact {
    let mut fact = ToolFact { role, path, version: None, problem: None };
    let Some(path) = &fact.path else { return fact };
    let text = match ask(probe, &version_query(path)) {
        Ok(text) => text,
        Err(problem) => {
            fact.problem = Some(problem);
            return fact;
        }
    };
    let parsed = match parse_version(role, &text) {
        Err(VersionError::UnknownVendor { .. }) => {
            let help = ask(probe, &help_query(path)).unwrap_or_default();
            parse_version(role, &format!("{text}\n{help}"))
        }
        parsed => parsed,
    };
    match parsed {
        Ok(version) => fact.version = Some(version),
        Err(error) => fact.problem = Some(error.to_string()),
    }
    fact
}

/// What a program prints. XtraBackup prints its version on standard error.
fn ask(probe: &dyn Probe, query: &QueryCommand) -> Result<String, String> {
    match probe.query(query) {
        Ok(output) => Ok(format!("{}{}", output.stdout, output.stderr)),
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            Err(format!("{error}{source}"))
        }
    }
}
