//! Finds windows of MySQL's binlogs that hold transactions with GTIDs and transactions without.

use crate::{model::MysqlGtidSet, store::BinlogEntry};
use std::collections::BTreeMap;

/// The mode in which a server applies both kinds.
const BOTH: &str = "ON_PERMISSIVE";

/// Sets the mode in which the private server can apply a window, where the source's own at the backup does not do; says why.
///
/// A server with `gtid_mode = OFF` refuses transactions with GTIDs (error 1781), one with `ON` those without (1782). The mode can be
/// changed while a server runs, and a window may hold both: the ordinary way to GTIDs, or back.
pub(super) fn fit(settings: &mut BTreeMap<String, String>, files: &[&BinlogEntry]) -> Option<String> {
    let (with, without) = kinds(files);
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

/// Whether a window's files hold transactions with GTIDs, and without, as far as the index says.
fn kinds(files: &[&BinlogEntry]) -> (bool, bool) {
    let mut found = (false, false);
    for file in files {
        let added: Option<MysqlGtidSet> = file.gtids_added.as_deref().and_then(|text| text.parse().ok());
        let count = added.map(|set| set.count());
        found.0 |= count.is_some_and(|count| count > 0);
        // What the index does not say is not known.
        found.1 |= matches!((file.transactions, count), (Some(all), Some(count)) if all > count)
            || matches!((file.transactions, &file.gtids_added), (Some(all), None) if all > 0);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LogTime;

    /// A binlog of so many transactions, with these GTIDs.
    fn file(transactions: u64, gtids: Option<&str>) -> BinlogEntry {
        let at = LogTime::from_seconds(1);
        BinlogEntry {
            transactions: Some(transactions),
            gtids_added: gtids.map(str::to_owned),
            ..BinlogEntry::basic("b.000001".parse().unwrap(), "b.000001".parse().unwrap(), 1, at, at)
        }
    }

    const SET: &str = "11111111-1111-4111-8111-111111111111:5-7";

    fn fitted(mode: Option<&str>, files: &[BinlogEntry]) -> (Option<String>, Option<String>) {
        let mut settings: BTreeMap<String, String> =
            mode.map(|mode| ("gtid_mode".into(), mode.into())).into_iter().collect();
        let why = fit(&mut settings, &files.iter().collect::<Vec<_>>());
        (settings.remove("gtid_mode"), why)
    }

    #[test]
    fn a_window_of_one_kind_is_applied_as_its_source_was() {
        for (mode, files) in [
            (Some("ON"), vec![file(3, Some(SET)), file(0, None), file(0, Some(""))]),
            (Some("OFF"), vec![file(3, None), file(2, Some("")), file(0, None)]),
            (None, vec![file(3, None)]),
            (None, vec![file(3, Some(SET))]),
        ] {
            assert_eq!(fitted(mode, &files), (mode.map(str::to_owned), None), "{mode:?}");
        }
    }

    #[test]
    fn a_window_of_both_kinds_is_applied_by_a_server_that_takes_both() {
        for (mode, files, said) in [
            (Some("OFF"), vec![file(3, None), file(3, Some(SET))], "with GTIDs and without"),
            (Some("OFF"), vec![file(3, Some(SET))], "transactions with GTIDs:"),
            (Some("on"), vec![file(3, Some(SET)), file(4, Some(SET))], "with GTIDs and without"),
            (Some("ON"), vec![file(2, Some(""))], "transactions without GTIDs"),
            (Some("OFF_PERMISSIVE"), vec![file(2, None)], "transactions without GTIDs"),
            (None, vec![file(2, None), file(3, Some(SET))], "with GTIDs and without"),
        ] {
            let (found, why) = fitted(mode, &files);
            assert_eq!(found.as_deref(), Some(BOTH), "{mode:?}");
            assert!(why.is_some_and(|why| why.contains(said)), "{mode:?} {said}");
        }
    }
}
