//! Asks the server for tables that a backup cannot hold as a restore needs them: those that have lost their tablespace already, and those
//! whose files lie outside of the data directory.

use super::{
    SurveyError,
    server::{Questions, Unanswered, client_of},
};
use crate::{
    config::Config,
    facts::Facts,
    probe::Probe,
    tools::{Family, Query, ToolRole, parse_table, parse_tablespaces_asked, table_of_tablespace},
};

/// Asks the server that answered for InnoDB's tables without a tablespace, and with one elsewhere. Where it does not say, none is known.
///
/// # Errors
///
/// When the client cannot be started.
pub fn broken_tables(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    let Some(program) = facts.tool(ToolRole::Client).and_then(|tool| tool.path.clone()) else { return Ok(()) };
    let Some(Ok(server)) =
        facts.server.as_ref().filter(|server| matches!(server, Ok(server) if server.tells_tablespaces()))
    else {
        return Ok(());
    };
    let questions = Questions { client: client_of(config, &program), probe };
    let found = match questions.ask(Query::WithoutTablespace(server.family())) {
        Ok(answer) => parse_tablespaces_asked(&answer).unwrap_or_default(),
        Err(Unanswered::Problem(_)) => return Ok(()),
        Err(Unanswered::Survey(error)) => return Err(error),
    };
    let mut tables: Vec<String> = found.iter().map(|(_, name)| table_of_tablespace(name)).collect();
    tables.sort();
    tables.dedup();
    if server.family() == Family::Mariadb {
        facts.system_tables = match questions.ask(Query::InSystemTablespace) {
            Ok(answer) if answer.is_empty() => Some(Vec::new()),
            Ok(answer) => parse_table(&answer)
                .ok()
                .map(|table| table.rows().filter_map(|row| row.get("name").map(str::to_owned)).collect()),
            Err(Unanswered::Problem(_)) => None,
            Err(Unanswered::Survey(error)) => return Err(error),
        };
    }
    facts.broken = tables;
    facts.outside_files = questions.names(Query::OutsideFiles(server.family()), "path", true);
    Ok(())
}
