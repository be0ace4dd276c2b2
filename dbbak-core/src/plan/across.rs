//! Says where a timeline goes on in another one, when a target lies beyond its end.

use super::error::PlanError;
use crate::catalog::{Catalog, Stitch};

/// The error of a target that lies beyond a timeline's end names the timeline that goes on there, where GTID sets prove that
/// one does. A restore does not cross from one server's binlogs to another's.
pub(super) fn across(catalog: &Catalog, error: PlanError) -> PlanError {
    let PlanError::TargetBeyondBinlogs { latest: Some(latest), .. } = &error else { return error };
    let latest = *latest;
    let ends_here = |stitch: &Stitch| catalog.end_of(&stitch.from).is_some_and(|end| end.at() == latest);
    match (catalog.stitches().into_iter().find(ends_here), error) {
        (Some(stitch), PlanError::TargetBeyondBinlogs { target, latest, .. }) => {
            PlanError::OtherTimeline { target, latest, stitch: Box::new(stitch) }
        }
        (_, error) => error,
    }
}
