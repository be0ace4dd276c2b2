//! Asks the server for what stands on it and is in no backup: prepared XA transactions, channels of replication, whose its events are.

use super::{
    SurveyError,
    server::{Questions, Unanswered, client_of},
};
use crate::{
    config::Config,
    facts::Facts,
    probe::Probe,
    tools::{
        Dialect, Family, Query, Standing, ToolRole, parse_foreign_events, parse_prepared, parse_status_of_channels,
        parse_tables,
    },
};

/// Asks the server that answered. What it does not say is not known.
///
/// # Errors
///
/// When the client cannot be started.
pub fn standing(facts: &mut Facts, config: &Config, probe: &dyn Probe) -> Result<(), SurveyError> {
    let Some(program) = facts.tool(ToolRole::Client).and_then(|tool| tool.path.clone()) else { return Ok(()) };
    let Some(Ok(server)) = &facts.server else { return Ok(()) };
    let questions = Questions { client: client_of(config, &program), probe };
    let ask = |query| match questions.ask(query) {
        Ok(answer) => Ok(Some(answer)),
        Err(Unanswered::Problem(_)) => Ok(None),
        Err(Unanswered::Survey(error)) => Err(error),
    };
    let dialect = Dialect { family: server.family(), version: server.version };
    let prepared = ask(Query::Prepared(dialect.family))?.and_then(|answer| parse_prepared(&answer).ok());
    let channels = ask(Query::ReplicaStatus(dialect))?.and_then(|answer| parse_status_of_channels(&answer).ok());
    let events = ask(Query::ForeignEvents)?.and_then(|answer| parse_foreign_events(&answer).ok());
    let memory =
        ask(Query::MemoryTables)?.filter(|answer| !answer.is_empty()).and_then(|answer| parse_tables(&answer).ok());
    let memory = memory.unwrap_or_default().iter().map(ToString::to_string).collect();
    let by_transaction = match dialect.family {
        Family::Mariadb => ask(Query::ByTransaction)?
            .filter(|answer| !answer.is_empty())
            .and_then(|answer| parse_tables(&answer).ok())
            .unwrap_or_default(),
        Family::Mysql => Vec::new(),
    };
    facts.standing = Standing {
        memory,
        by_transaction: by_transaction.iter().map(ToString::to_string).collect(),
        prepared,
        channels: channels.unwrap_or_default(),
        events: events.unwrap_or_default(),
    };
    Ok(())
}
