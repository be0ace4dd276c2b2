//! Rule 9: a mark is taken off last of all, and from what was applied right before.

use super::{Broken, has};
use crate::{
    model::BackupId,
    plan::{Plan, Step},
};

pub(super) fn taken_off(plan: &Plan, broken: Broken<'_>) {
    for (place, step) in plan.steps.iter().enumerate() {
        let Step::TakeMarkOff(mark) = step else { continue };
        let id: Option<BackupId> = mark.backup.parse().ok();
        if place + 1 != plan.steps.len() {
            broken(9, format!("the mark of {} is taken off before all is done", mark.backup));
        }
        let prepared = plan.steps[..place].iter().rev().find_map(|step| match step {
            Step::RunTool(run) if has(&run.launch.command, "--prepare") => Some(run.applies),
            _ => None,
        });
        if id.is_none() || prepared.flatten() != id.map(|id| id.ts) {
            broken(9, format!("the mark of {} is taken off, but it was not applied", mark.backup));
        }
        // Copies that nothing is compared with show nothing of what the store holds.
        let copied = plan.steps[..place].iter().any(|step| match step {
            Step::PassTree(pass) => {
                pass.to.is_some() && pass.verify.as_ref().is_some_and(|of| of.backup == mark.backup)
            }
            _ => false,
        });
        if !copied {
            broken(9, format!("the mark of {} is taken off, but no copy of it was tried", mark.backup));
        }
    }
}
