//! Finds windows of MySQL's binlogs that hold transactions with GTIDs and transactions without.

use super::select::Window;
use crate::model::MysqlGtidSet;
use std::collections::BTreeMap;

/// The mode in which a server applies both kinds.
const BOTH: &str = "ON_PERMISSIVE";

/// Sets the mode in which the private server can apply a window, where the source's own at the backup does not do; says why.
///
/// A server with `gtid_mode = OFF` refuses transactions with GTIDs (error 1781), one with `ON` those without (1782). The mode can be
/// changed while a server runs, and a window may hold both: the ordinary way to GTIDs, or back.
pub(super) fn fit(settings: &mut BTreeMap<String, String>, window: &Window<'_>) -> Option<String> {
    let (with, without) = kinds(window);
    let fits = match settings.get("gtid_mode").map(|mode| mode.to_ascii_uppercase()).as_deref() {
        Some("OFF") => !with,
        Some("ON") => !without,
        Some(_) => false,
        None => !(with && without),
    };
    if fits {
        return None;
    }
    let before = settings.insert("gtid_mode".into(), BOTH.into()).unwrap_or_else(|| "unknown".into());
    Some(format!(
        "gtid_mode was {before} at the backup, and the window holds transactions {}: the private server runs with gtid_mode={BOTH}",
        match (with, without) {
            (true, true) => "with GTIDs and without",
            (true, false) => "with GTIDs",
            (false, _) => "without GTIDs",
        }
    ))
}

/// Whether the window's files hold transactions with GTIDs, and without, as far as the index says.
fn kinds(window: &Window<'_>) -> (bool, bool) {
    let mut found = (false, false);
    for file in &window.files {
        let added: Option<MysqlGtidSet> = file.gtids_added.as_deref().and_then(|text| text.parse().ok());
        let count = added.map(|set| set.count());
        found.0 |= count.is_some_and(|count| count > 0);
        // What the index does not say is not known.
        found.1 |= matches!((file.transactions, count), (Some(all), Some(count)) if all > count)
            || matches!((file.transactions, &file.gtids_added), (Some(all), None) if all > 0);
    }
    found
}
