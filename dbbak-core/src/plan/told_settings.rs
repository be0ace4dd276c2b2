//! What a plan says of the source's settings that a replay does not take over.

use crate::tools::{told_settings, unknown_settings};
use std::collections::BTreeMap;

/// How many names of unknown settings are told.
const NAMED: usize = 20;

/// Warnings about the settings of the source, as they were at the backup.
pub(super) fn warnings(variables: &BTreeMap<String, String>) -> Vec<String> {
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
