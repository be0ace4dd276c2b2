//! What `timeline` calls restorable against what the planner accepts, over random histories.

use super::{Ask, answer, config, event, moments, products, told};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use dbbak_core::catalog::{BackupMark, TimelineReport, timeline_report};
use dbbak_testkit::history::{History, Product, at};
use proptest::prelude::*;

fn report(history: &History) -> TimelineReport {
    timeline_report(&history.catalog(), &[], history.now + TimeDelta::hours(1))
}

fn is_restorable(report: &TimelineReport, at: DateTime<Utc>) -> bool {
    report.windows.iter().any(|window| window.from <= at && at <= window.until)
}

/// Every moment of a window finds a plan; what finds a plan outside of all windows does so by a fraction of a second that
/// the index does not know.
fn agrees(history: &History) -> Result<(), TestCaseError> {
    let report = report(history);
    let mut all = moments(history);
    all.extend(report.windows.iter().flat_map(|window| [window.from, window.until]));
    all.extend(report.holes.iter().map(|hole| hole.from + (hole.until - hole.from) / 2));
    for at in all {
        let plan = answer(history, Ask::Exact(at));
        if is_restorable(&report, at) {
            prop_assert!(plan.is_ok(), "{at} lies in a window: {:?}", plan.err());
        } else if plan.is_ok() {
            let whole = at.with_nanosecond(0).unwrap_or(at);
            // Or the backup itself ended in that second.
            let begun = |mark: &BackupMark| mark.ended_at > whole && mark.ended_at <= at;
            let is_near = is_restorable(&report, whole) || report.backups.iter().any(begun);
            prop_assert!(at != whole && is_near, "{at} lies in no window");
        }
    }
    // Windows and holes leave nothing out.
    let (Some(first), Some(last)) = (report.windows.first(), report.holes.last()) else { return Ok(()) };
    prop_assert_eq!(last.until, report.now);
    for window in report.holes.windows(2) {
        prop_assert!(window[0].until < window[1].from || is_restorable(&report, window[0].until));
    }
    let mut at = first.from;
    while at < report.now {
        let in_hole = report.holes.iter().any(|hole| hole.from < at && (at < hole.until || hole.is_last));
        prop_assert!(in_hole != is_restorable(&report, at), "{at}");
        at += TimeDelta::minutes(7);
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn windows_are_what_the_planner_accepts(product in products(), events in prop::collection::vec(event(), 3..60)) {
        agrees(&told(product, &events))?;
    }
}

/// A check that never fails proves nothing: a window that is a second too long must be found out.
#[test]
fn a_window_that_is_too_long_is_found_out() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:10").commit().at("02:20").rotate().ship();
    assert!(agrees(&history).is_ok());
    let end = report(&history).windows[0].until;
    assert_eq!(end, at("02:20"));
    assert!(answer(&history, Ask::Exact(end)).is_ok());
    assert!(answer(&history, Ask::Exact(end + TimeDelta::seconds(1))).is_err());
}
