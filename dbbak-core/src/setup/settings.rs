//! What `check` says of the server's settings: those that a replay depends on and no log tells.

use super::Finding;
use crate::{
    config::Config,
    facts::ServerFacts,
    tools::{told_settings, unknown_settings},
};

/// Judges the variables of a server that answered.
pub(super) fn of_settings(config: &Config, server: &ServerFacts, findings: &mut Vec<Finding>) {
    let unknown = unknown_settings(&server.variables);
    if !unknown.is_empty() {
        findings.push(Finding::SettingsUnknown { names: unknown.into_iter().collect() });
    }
    findings.extend(told_settings(&server.variables).into_iter().map(|setting| Finding::SettingTold {
        name: setting.name,
        value: setting.value,
        what: setting.what,
    }));
    let variable = |name: &str| server.variables.get(name).map(String::as_str);
    if let (Some("SYSTEM"), Some(zone)) = (variable("time_zone"), variable("system_time_zone"))
        && config.server.time_zone.is_none()
        && !matches!(zone, "UTC" | "GMT" | "Etc/UTC")
    {
        findings.push(Finding::SystemZone { zone: zone.to_owned() });
    }
}
