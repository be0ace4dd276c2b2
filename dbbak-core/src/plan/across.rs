//! Says where a timeline goes on in another one, when a target lies beyond its end and no restore can go over.

use super::error::PlanError;
use crate::{
    catalog::{Catalog, Stitch},
    model::Stamp,
};

/// The error of a target that lies beyond a timeline's end names the timeline that goes on there, where GTID sets prove that
/// one does, and why no restore can go over to it.
pub(super) fn explained(catalog: &Catalog, error: PlanError, refused: &[(Stamp, PlanError)]) -> PlanError {
    let PlanError::TargetBeyondBinlogs { latest: Some(latest), timeline, .. } = &error else { return error };
    let (latest, timeline) = (*latest, timeline.clone());
    let ends_here =
        |stitch: &Stitch| stitch.from == timeline && catalog.end_of(&stitch.from).is_some_and(|end| end.at() == latest);
    match (catalog.stitches().into_iter().find(ends_here), error) {
        (Some(stitch), PlanError::TargetBeyondBinlogs { target, latest, .. }) => {
            let why = refused.iter().find_map(|(_, error)| match error {
                PlanError::CannotCross { to, reason, .. } if *to == stitch.to => Some(reason.clone()),
                _ => None,
            });
            let reason =
                why.unwrap_or_else(|| "no place is proven at which both held the very same transactions".into());
            PlanError::OtherTimeline { target, latest, stitch: Box::new(stitch), reason }
        }
        (_, error) => error,
    }
}
