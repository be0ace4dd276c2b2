//! Asks the server.

use super::SurveyError;
use crate::{
    config::Config,
    facts::{CloneFacts, Facts, ListedBinlog, ServerFacts, ServerProblem},
    model::Lsn,
    probe::{Probe, QueryOutput},
    store::Encryption,
    tools::{
        ACTIVE_PLUGINS, ActivePlugins, AnswerError, CHANNELS, COMPONENTS, Client, Dialect, FailureClass, Family,
        INSTALLED_PLUGINS, LOADABLE_FUNCTIONS, Login, Query, ToolRole, encrypted_logs, encrypts_tables, key_plugin,
        masked, parse_binary_logs, parse_binlog_status, parse_client_error, parse_clock, parse_clone_plugin,
        parse_dump_findings, parse_encrypted, parse_grants, parse_keyring, parse_libraries, parse_prepared,
        parse_server_version, parse_status, parse_table, parse_uncloned, parse_variables,
    },
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The client with the configured login.
pub fn client_of(config: &Config, program: &Path) -> Client {
    Client {
        program: program.to_owned(),
        login: config.mysql_option_file.clone().map_or(Login::Defaults, Login::OptionFile),
        socket: config.server.socket.clone(),
        run_as: None,
    }
}

/// Asks the server for its identity, its variables, its binlogs and the account's grants. A server that does not answer is
/// a fact.
///
/// # Errors
///
/// When the client cannot be started.
pub fn server(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    let Some(program) = facts.tool(ToolRole::Client).and_then(|tool| tool.version.as_ref().and(tool.path.clone()))
    else {
        return Ok(());
    };
    let questions = Questions { client: client_of(config, &program), probe };
    facts.server = Some(match questions.all() {
        Ok(server) => Ok(server),
        Err(Unanswered::Problem(problem)) => Err(problem),
        Err(Unanswered::Survey(error)) => return Err(error),
    });
    Ok(())
}

/// Asks the server as [`server()`] does, for a restore: there it only matters which data directory is in use, so that
/// nothing may come of it.
pub fn live_server(facts: &mut Facts, config: &Config, probe: &dyn Probe) {
    if server(facts, config, probe).is_err() {
        facts.server = None;
    }
}

/// Asks what decides whether the server can be cloned. Where it does not answer, nothing is known.
///
/// # Errors
///
/// When the client cannot be started.
pub fn clone_facts(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    let Some(program) = facts.tool(ToolRole::Client).and_then(|tool| tool.path.clone()) else { return Ok(()) };
    let questions = Questions { client: client_of(config, &program), probe };
    let ask = || -> Result<CloneFacts, Unanswered> {
        Ok(CloneFacts {
            plugin: parse_clone_plugin(&questions.ask(Query::ClonePlugin)?)?,
            uncloned: parse_uncloned(&questions.ask(Query::NotCloned)?)?,
            outside: questions.names(Query::OutsideFiles(Family::Mysql), "path", true),
        })
    };
    match ask() {
        Ok(found) => facts.clone = Some(found),
        Err(Unanswered::Problem(_)) => facts.clone = None,
        Err(Unanswered::Survey(error)) => return Err(error),
    }
    Ok(())
}

/// Asks for the tables that no snapshot of a dump holds, and for transactions that none holds. Where the server does not answer, nothing is known.
///
/// # Errors
///
/// When the client cannot be started.
pub fn dump_facts(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    let Some(program) = facts.tool(ToolRole::Client).and_then(|tool| tool.path.clone()) else { return Ok(()) };
    let questions = Questions { client: client_of(config, &program), probe };
    let ask = || -> Result<_, Unanswered> { Ok(parse_uncloned(&questions.ask(Query::NotTransactional)?)?) };
    match ask() {
        Ok(found) => facts.non_transactional = Some(found),
        Err(Unanswered::Problem(_)) => facts.non_transactional = None,
        Err(Unanswered::Survey(error)) => return Err(error),
    }
    let Some(Ok(server)) = &facts.server else { return Ok(()) };
    let prepared =
        || -> Result<_, Unanswered> { Ok(parse_prepared(&questions.ask(Query::Prepared(server.family()))?)?) };
    facts.prepared = match prepared() {
        Ok(found) => Some(found),
        Err(Unanswered::Problem(_)) => None,
        Err(Unanswered::Survey(error)) => return Err(error),
    };
    let dialect = Dialect { family: server.family(), version: server.version };
    let findings =
        || -> Result<_, Unanswered> { Ok(parse_dump_findings(&questions.ask(Query::DumpFindings(dialect))?)?) };
    facts.dump = match findings() {
        Ok(found) => Some(found),
        Err(Unanswered::Problem(_)) => None,
        Err(Unanswered::Survey(error)) => return Err(error),
    };
    Ok(())
}

/// Asks what is encrypted on a server that answered, and which plugin or component keeps the keys. What it does not say is
/// not known.
///
/// # Errors
///
/// When the client cannot be started.
pub fn encryption(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    let Some(program) = facts.tool(ToolRole::Client).and_then(|tool| tool.path.clone()) else { return Ok(()) };
    let Some(Ok(server)) = &mut facts.server else { return Ok(()) };
    let questions = Questions { client: client_of(config, &program), probe };
    let ask = |query| match questions.ask(query) {
        Ok(answer) => Ok(Some(answer)),
        Err(Unanswered::Problem(_)) => Ok(None),
        Err(Unanswered::Survey(error)) => Err(error),
    };
    let dialect = Dialect { family: server.family(), version: server.version };
    let spaces = ask(Query::Encrypted(dialect))?.and_then(|answer| parse_encrypted(&answer).ok()).unwrap_or_default();
    let mut found = Encryption {
        tablespaces: spaces.count,
        example: spaces.example,
        logs: encrypted_logs(&server.variables).into_iter().map(str::to_owned).collect(),
        keyring: key_plugin(&server.variables).map(str::to_owned),
        ..Encryption::default()
    };
    if !found.needs_keys() && !encrypts_tables(&server.variables) {
        return Ok(());
    }
    if found.keyring.is_none() && server.family() == Family::Mysql {
        found.keyring = ask(Query::Keyring)?.and_then(|answer| parse_keyring(&answer).ok()).flatten();
    }
    server.encryption = Some(found);
    Ok(())
}

pub(super) enum Unanswered {
    Problem(ServerProblem),
    Survey(SurveyError),
}

impl From<AnswerError> for Unanswered {
    fn from(error: AnswerError) -> Self {
        Unanswered::Problem(ServerProblem { text: error.to_string(), access_denied: false })
    }
}

pub(super) struct Questions<'a> {
    pub(super) client: Client,
    pub(super) probe: &'a dyn Probe,
}

impl Questions<'_> {
    pub(super) fn ask(&self, query: Query) -> Result<String, Unanswered> {
        let command = self.client.query(query).map_err(|error| Unanswered::Survey(error.into()))?;
        let output = self.probe.query(&command).map_err(|error| Unanswered::Survey(error.into()))?;
        match output.code {
            Some(0) => Ok(output.stdout),
            _ => Err(Unanswered::Problem(problem(&output))),
        }
    }

    /// One column of an answer, where the question suits the server; empty where it does not answer.
    pub(super) fn names(&self, query: Query, column: &str, suits: bool) -> Vec<String> {
        let answer = if suits { self.ask(query).ok() } else { None };
        let table = answer.as_deref().filter(|answer| !answer.is_empty()).and_then(|answer| parse_table(answer).ok());
        table.iter().flat_map(|table| table.rows()).filter_map(|row| row.get(column).map(str::to_owned)).collect()
    }

    fn all(&self) -> Result<ServerFacts, Unanswered> {
        let variables = parse_variables(&self.ask(Query::Variables)?)?;
        let text = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        let version_text = text("version").unwrap_or_default().to_owned();
        let parsed = parse_server_version(&version_text, text("version_comment").unwrap_or_default());
        let (flavor, version) = parsed
            .map_err(|error| Unanswered::Problem(ServerProblem { text: error.to_string(), access_denied: false }))?;
        let server_id = text("server_id").map_or(Ok(0), str::parse).map_err(|_| AnswerError::BadField {
            column: "server_id",
            text: text("server_id").unwrap_or_default().to_owned(),
            expected: "a number",
        })?;
        let log_bin = text("log_bin").is_some_and(|value| value.eq_ignore_ascii_case("on") || value == "1");
        // A binlog inside InnoDB has files of another kind, with other names.
        let in_innodb = text("binlog_storage_engine").is_some();
        let binlogs =
            if log_bin && !in_innodb { parse_binary_logs(&self.ask(Query::BinaryLogs)?)? } else { Vec::new() };
        let status = self.ask(Query::InnodbLsn).ok().and_then(|text| parse_status(&text).ok()).unwrap_or_default();
        let mut server = ServerFacts {
            flavor,
            version,
            server_id,
            uuid: text("server_uuid").map(str::to_owned),
            datadir: path("datadir").unwrap_or_default(),
            log_bin,
            log_bin_basename: path("log_bin_basename"),
            lsn: lsn(&status),
            start_lsn: lsn(&status)
                .zip(number(&status, "innodb_os_log_written"))
                .map(|(at, written)| Lsn(at.0.saturating_sub(written))),
            uptime: number(&status, "uptime"),
            binlogs: binlogs
                .into_iter()
                .map(|log| ListedBinlog { name: log.name, size: log.size, encrypted: log.encrypted })
                .collect(),
            now: self.ask(Query::Clock).ok().and_then(|text| parse_clock(&text).ok()),
            grants: self.ask(Query::Grants).ok().and_then(|text| parse_grants(&text).ok()).unwrap_or_default(),
            encryption: None,
            persisted: self.names(Query::Persisted, "name", flavor.family() == Family::Mysql),
            version_text,
            variables,
        };
        let beside = self.beside_variables(Dialect { family: server.family(), version }, log_bin && !in_innodb);
        server.variables.extend(beside);
        Ok(server)
    }

    /// What decides what statements do, or what of them is logged, and is none of the variables: kept among them, under the
    /// option's name. What the account may not ask is not known.
    fn beside_variables(&self, dialect: Dialect, logs: bool) -> BTreeMap<String, String> {
        let sysdate = self.ask(Query::SysdateIsNow).ok().and_then(|answer| parse_variables(&answer).ok());
        let mut found = sysdate.unwrap_or_default();
        // MariaDB 11.8 has them as variables.
        let status = logs.then(|| self.ask(Query::BinlogStatus(dialect)).ok()).flatten();
        if let Some(status) = status.and_then(|answer| parse_binlog_status(&answer).ok()).flatten() {
            let filters = [("binlog_do_db", status.do_db), ("binlog_ignore_db", status.ignore_db)];
            let filters = filters.into_iter().filter(|(_, names)| !names.is_empty());
            found.extend(filters.map(|(name, names)| (name.to_owned(), names.join(","))));
        }
        let plugins = self.ask(Query::Plugins).ok().and_then(|answer| ActivePlugins::parse(&answer).ok());
        found.extend(plugins.map(|plugins| (ACTIVE_PLUGINS.to_owned(), plugins.kept())));
        let components = [(COMPONENTS, Query::Components)].into_iter().filter(|_| dialect.family == Family::Mysql);
        let lists = [(INSTALLED_PLUGINS, Query::InstalledPlugins), (LOADABLE_FUNCTIONS, Query::LoadableFunctions)];
        for (name, query) in lists.into_iter().chain(components) {
            let libraries = self.ask(query).ok().and_then(|answer| parse_libraries(&answer).ok());
            found.extend(libraries.map(|libraries| (name.to_owned(), libraries)));
        }
        let channels = self.ask(Query::ReplicaStatus(dialect)).ok().and_then(|answer| parse_table(&answer).ok());
        found.extend(channels.map(|table| (CHANNELS.to_owned(), table.rows().count().to_string())));
        found
    }
}

/// Where InnoDB stands: `Innodb_lsn_current` (MariaDB, Percona Server) or `Innodb_redo_log_current_lsn` (MySQL 8.0.30 and
/// later).
fn lsn(status: &BTreeMap<String, String>) -> Option<Lsn> {
    let names = ["innodb_lsn_current", "innodb_redo_log_current_lsn"];
    names.iter().find_map(|name| status.get(*name)?.parse().ok())
}

fn number(status: &BTreeMap<String, String>, name: &str) -> Option<u64> {
    status.get(name)?.parse().ok()
}

fn problem(output: &QueryOutput) -> ServerProblem {
    match parse_client_error(&output.stderr) {
        Some(error) => {
            let access_denied = matches!(error.class(), FailureClass::AccessDenied | FailureClass::MissingPrivilege);
            ServerProblem { text: error.to_string(), access_denied }
        }
        None => {
            // What cannot be read of an option file is said in two lines, the cause first.
            let lines: Vec<&str> = output.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let text = lines[lines.len().saturating_sub(2)..].join("; ");
            let text = if text.is_empty() { "its client printed nothing".to_owned() } else { masked(&text) };
            ServerProblem { text, access_denied: false }
        }
    }
}
