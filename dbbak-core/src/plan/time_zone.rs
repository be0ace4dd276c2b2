//! The time zone of a replay: statements that were logged under `time_zone = SYSTEM` mean the zone of the source's machine.

use crate::{config::Config, facts::Facts};
use std::collections::BTreeMap;

/// Warns where statements may be replayed in another zone than their source's. `binlog_format = ROW` is no way out: DDL
/// is logged as a statement always, and it converts times (DATETIME to TIMESTAMP, `DEFAULT NOW()`, `CREATE EVENT ... STARTS`).
pub(super) fn warning(config: &Config, facts: &Facts, variables: &BTreeMap<String, String>) -> Option<String> {
    let variable = |name: &str| variables.get(name).map(String::as_str);
    let system = variable("system_time_zone").unwrap_or("unknown");
    let own = variable("time_zone")? == "SYSTEM" && !matches!(system, "UTC" | "GMT" | "Etc/UTC");
    if !own || config.server.time_zone.is_some() {
        return None;
    }
    let zone = facts.host.time_zone.as_deref().unwrap_or("UTC");
    Some(format!(
        "the server ran in its system's time zone ({system}): logged statements, DDL among them, are replayed in {zone}; \
         if that is another zone, set server.time_zone"
    ))
}

/// The zone that the private server runs in; `None` for UTC.
pub(super) fn of_private_server(
    config: &Config,
    facts: &Facts,
    variables: &BTreeMap<String, String>,
) -> Option<String> {
    let variable = |name: &str| variables.get(name).map(String::as_str);
    if let Some(zone) = &config.server.time_zone {
        return Some(zone.clone());
    }
    match (variable("time_zone"), variable("system_time_zone")) {
        (Some("SYSTEM") | None, Some("UTC" | "GMT" | "Etc/UTC")) => None,
        (Some("SYSTEM") | None, _) => facts.host.time_zone.clone(),
        // A zone of the server's own is logged by name with each statement.
        _ => None,
    }
}
