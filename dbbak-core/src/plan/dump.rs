//! Plans a full by mysqldump or mariadb-dump.

use super::{
    Plan, PlanError, Summary,
    backup::{binlog_dir, free_stamp, persisted, program, tool},
    dump_findings::Findings,
    server_record::server_record,
    step::{PassTree, RecordBackup, Step, SyncSide, TakeDump},
};
use crate::{
    catalog::Catalog,
    config::{BinlogCompression, Config, NonTransactional},
    engine::{BackupJob, engine_named},
    facts::{Facts, ServerFacts},
    model::{BackupId, TreeName},
    store::{Codec, LockScope, layout},
    survey::client_of,
    tools::{Dialect, Family, Flavor, Launch, Query, ToolRole},
};
use chrono::{DateTime, Utc};
use std::path::Path;

/// The file in the tree, without what its coding adds.
const FILE: &str = "dump.sql";

/// What an account needs on everything: of what it may not see, the dump programs say nothing and dump nothing.
const PRIVILEGES: &[&str] = &["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "LOCK TABLES", "RELOAD"];

/// The privileges that a dump of the server lacks.
pub(super) fn missing_privileges(server: &ServerFacts) -> Vec<String> {
    let mut missing: Vec<String> = server.grants.missing(PRIVILEGES).into_iter().map(str::to_owned).collect();
    if server.log_bin {
        missing.extend(server.grants.missing(&["REPLICATION CLIENT"]).into_iter().map(str::to_owned));
    }
    // Without it nobody says whether transactions stand prepared.
    if server.family() == Family::Mysql && server.version.series() >= (8, 0) {
        missing.extend(server.grants.missing(&["XA_RECOVER_ADMIN"]).into_iter().map(str::to_owned));
    }
    // With partial revokes a privilege on everything may lack single databases.
    if server.grants.lines.iter().any(|line| line.starts_with("REVOKE ")) {
        missing.push("what REVOKE took from it in single databases (partial_revokes)".into());
    }
    missing
}

/// Plans a full by a dump.
///
/// # Errors
///
/// [`PlanError`] when the program does not suit the server, the account does not see all of it, or it has tables that no
/// snapshot holds.
pub(super) fn plan_dump(
    (config, catalog, facts): (&Config, &Catalog, &Facts),
    server: &ServerFacts,
    now: DateTime<Utc>,
    reason: String,
) -> Result<Plan, PlanError> {
    let root = catalog.root.as_deref().ok_or_else(|| PlanError::StoreUnusable {
        reason: "the backup's files must be reachable as a directory".into(),
    })?;
    let engine = engine_named("dump").ok_or(PlanError::NoFull)?;
    let (dumper, version) = tool(facts, ToolRole::Dump)?;
    engine.suits(version, server.flavor, server.version).map_err(|misfit| PlanError::Mismatch {
        what: format!("{} {} for a {} {} server", version.kind, version.full, server.flavor, server.version),
        expected: misfit.expected,
        found: misfit.found,
    })?;
    let missing = missing_privileges(server);
    if !missing.is_empty() {
        return Err(PlanError::DumpPrivileges { missing });
    }
    let tables = facts.non_transactional.as_ref().ok_or_else(|| PlanError::ServerUnreachable {
        problem: "it did not say which of its tables have transactions".into(),
        access_denied: false,
    })?;
    let ids = facts.prepared.clone().ok_or_else(|| PlanError::ServerUnreachable {
        problem: "it did not say whether XA transactions stand prepared".into(),
        access_denied: false,
    })?;
    if !ids.is_empty() {
        return Err(PlanError::Prepared { ids });
    }
    let tables: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let found = facts.dump.clone().ok_or_else(|| PlanError::ServerUnreachable {
        problem: "it did not say what a dump of it would not hold".into(),
        access_denied: false,
    })?;
    let findings = Findings::sort(config, server, &found)?;
    let mut plan = Plan::new("backup", now);
    plan.warnings.extend(findings.warnings());
    let mut accepted = Vec::new();
    if !tables.is_empty() {
        let names = tables.join(", ");
        match config.non_transactional {
            NonTransactional::Refuse => return Err(PlanError::NotTransactional { tables }),
            NonTransactional::Lock => {
                plan.warnings.push("all tables are locked for the whole dump: nobody can write meanwhile".into());
            }
            NonTransactional::Accept => {
                plan.warnings.push(format!(
                    "these tables have no transactions, and are dumped as they are when it is their turn: {names}; no \
                     point-in-time recovery can start from this backup"
                ));
                accepted = tables;
            }
        }
    }
    if !server.log_bin {
        plan.warnings.push("the server writes no binlog: this backup cannot start a point-in-time recovery".into());
    }
    let binlog_dir = binlog_dir(config, server);
    let ts = free_stamp(catalog, now)?;
    let id = BackupId::full(ts);
    let dir = root.join(id.to_string()).join(TreeName::Dump.as_str());
    let codec = match (config.compress, config.binlog_compression) {
        (false, _) => Codec::Plain,
        (true, BinlogCompression::Gzip) => Codec::Gzip,
        (true, BinlogCompression::Zstd) => Codec::Zstd,
    };
    let log = root.join("logs").join(format!("{id}.log"));
    let command = engine.backup_command(&BackupJob {
        config,
        program: program(dumper)?,
        version,
        target_dir: &dir,
        parent_dir: None,
        datadir: &server.datadir,
        log_bin: server.log_bin,
        gtids: has_gtids(server),
    })?;
    let command = findings.options(command)?;
    let dialect = Dialect { family: server.family(), version: server.version };
    let ask = |query| {
        let (client, _) = tool(facts, ToolRole::Client)?;
        Ok::<_, PlanError>(client_of(config, program(client)?).query(query)?.spec().clone())
    };
    let status = if server.log_bin { Some(ask(Query::BinlogStatus(dialect))?) } else { None };
    let shown = command.to_string();
    plan.locks = vec![LockScope::Backups];
    plan.reasons.push(reason);
    for leftover in &facts.leftovers {
        plan.reasons.push(format!("{} was left by a run that died", leftover.display()));
        plan.steps.push(Step::RemoveTree { path: leftover.clone() });
    }
    plan.steps.push(Step::CreateStoreDir { key: layout::backup(&id) });
    plan.steps.push(Step::TakeDump(Box::new(TakeDump {
        file: dir.join(format!("{FILE}{}", codec.suffix())),
        codec,
        threads: config.parallel,
        launch: Launch { command, log },
        status,
        binlog_dir,
        binlog_enabled: server.log_bin,
        accepted,
        rounded: findings.floats,
        prelude: findings.prelude,
        findings: (ask(Query::DumpFindings(dialect))?, found),
        locked: config.non_transactional == NonTransactional::Lock,
        prepared: ask(Query::Prepared(server.family()))?,
    })));
    plan.steps.push(list(&dir, config));
    plan.steps.push(Step::KeepServerFiles {
        broken: Vec::new(),
        standing: facts.standing.clone(),
        variables: server.variables.clone(),
        files: config.server.config_files.clone(),
        persisted: persisted(server),
        to: layout::server(&id),
    });
    let trees = vec![TreeName::Dump];
    plan.steps.push(Step::RecordBackup(RecordBackup {
        id: id.to_string(),
        parent: None,
        engine: engine.name().to_owned(),
        tool_version: version.full.clone(),
        server: server_record(server, facts),
        command: shown,
        trees: trees.clone(),
        final_from: None,
    }));
    plan.discard_on_failure = vec![layout::backup(&id)];
    plan.summary = Summary::Backup { id: id.to_string(), engine: engine.name().to_owned(), trees };
    Ok(plan)
}

/// Whether the dump names GTIDs.
fn has_gtids(server: &ServerFacts) -> bool {
    match server.flavor {
        Flavor::Mariadb => server.log_bin,
        Flavor::Mysql | Flavor::Percona => {
            server.variables.get("gtid_mode").is_some_and(|mode| !mode.eq_ignore_ascii_case("off"))
        }
    }
}

fn list(dir: &Path, config: &Config) -> Step {
    Step::PassTree(PassTree {
        title: "list and sync the dump".into(),
        from: dir.to_owned(),
        to: None,
        verify: None,
        list_as: Some(TreeName::Dump),
        sync: SyncSide::Source,
        threads: config.parallel,
        bytes: None,
    })
}
