//! What a plan says of that which no log tells: settings that a replay does not take over, and transactions of which the log does
//! not say what came of them.

use crate::{
    binlog::Untold,
    facts::{EdgeFact, UntoldFact},
    tools::{told_settings, unknown_settings},
};
use std::collections::BTreeMap;

/// How many names of unknown settings are told.
const NAMED: usize = 20;

/// Warnings about the settings of the source, as they were at the backup.
pub(super) fn of_settings(variables: &BTreeMap<String, String>) -> Vec<String> {
    let told = told_settings(variables);
    let mut warnings: Vec<String> = told
        .into_iter()
        .map(|setting| format!("the server ran with {} = {}: {}", setting.name, setting.value, setting.what))
        .collect();
    let unknown = unknown_settings(variables);
    if !unknown.is_empty() {
        let more = if unknown.len() > NAMED { ", ..." } else { "" };
        let names: Vec<String> =
            unknown.into_iter().take(NAMED).map(|name| name.escape_default().to_string()).collect();
        warnings.push(format!(
            "the server had settings that this dbbak does not know, and does not take over: {}{more}",
            names.join(", ")
        ));
    }
    warnings
}

/// Warnings about transactions of the window: the restored data may differ from the source's in what they did.
pub(super) fn of_window(edges: &EdgeFact, variables: Option<&BTreeMap<String, String>>) -> Vec<String> {
    let sysdate_is_now = variables
        .and_then(|variables| variables.get("sysdate_is_now"))
        .is_some_and(|value| value.eq_ignore_ascii_case("on"));
    let matters = |fact: &&UntoldFact| !(fact.what == Untold::NewTimes && sysdate_is_now);
    let mut warnings: Vec<String> = edges.untold.iter().filter(matters).map(line).collect();
    let more = edges.untold_count.saturating_sub(edges.untold.len() as u64);
    if more > 0 {
        warnings.push(format!("{more} more transactions of the window hold something that the log does not tell"));
    }
    warnings
}

fn line(fact: &UntoldFact) -> String {
    let gtid = fact.gtid.as_deref().map(|gtid| format!(" {gtid}")).unwrap_or_default();
    let tables = match fact.tables.len() {
        0 => String::new(),
        _ => format!(" on {}", fact.tables.join(", ").escape_debug()),
    };
    format!("transaction{gtid} at {}{tables}: {}", fact.at, words(fact.what))
}

fn words(what: Untold) -> &'static str {
    match what {
        Untold::NewValues => {
            "it filled a new column by a function that gives another value each time, and the log does not hold the values: the \
             restored ones are others"
        }
        Untold::NewTimes => {
            "it filled a new column by SYSDATE, and the log does not hold the values: the restored ones are the times of the replay"
        }
        Untold::NewNumbers => {
            "it numbered the rows of a table by a new AUTO_INCREMENT column: if the table had no primary key, the numbers went \
             by the order in which the rows lay there, and the restored ones may be others"
        }
        Untold::Values => {
            "it was logged as a statement that calls a function which gives another value each time: the restored rows hold others"
        }
        Untold::Tablespace => {
            "it discards or imports a tablespace, whose file is in no log: a replay cannot do that, and what follows on the table \
             depends on it. Take a backup behind it, land before it, or leave it out with --skip-gtid"
        }
    }
}
