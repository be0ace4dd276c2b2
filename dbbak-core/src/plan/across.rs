//! Says where a timeline goes on in another one, when a target lies beyond its end.

use super::error::PlanError;
use crate::{
    catalog::{Catalog, Stitch, WindowEnd, timeline_report},
    model::Target,
};
use chrono::{DateTime, Utc};

/// The error of a target that lies beyond a timeline's end names the timeline that goes on there, where GTID sets prove that
/// one does. A restore does not cross from one server's binlogs to another's.
pub fn across(catalog: &Catalog, target: &Target, now: DateTime<Utc>, error: PlanError) -> PlanError {
    let (PlanError::TargetBeyondBinlogs { latest: Some(latest), .. }, Target::Time { .. }) = (&error, target) else {
        return error;
    };
    let stitches = catalog.stitches();
    if stitches.is_empty() {
        return error;
    }
    let report = timeline_report(catalog, now);
    let ends_here = |stitch: &&Stitch| {
        report.windows.iter().any(|window| {
            let ends = matches!(&window.end, WindowEnd::ArchiveEnds { last, .. } if *last == stitch.last);
            ends && window.timeline == stitch.from && window.until == *latest
        })
    };
    match (stitches.into_iter().find(|stitch| ends_here(&stitch)), error) {
        (Some(stitch), PlanError::TargetBeyondBinlogs { target, latest, .. }) => {
            PlanError::OtherTimeline { target, latest, stitch: Box::new(stitch) }
        }
        (_, error) => error,
    }
}
