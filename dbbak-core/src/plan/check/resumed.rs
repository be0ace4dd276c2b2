//! What goes on with a restore does nothing that the whole restore would not do.

use super::Violation;
use crate::plan::{Plan, Replay, Step, UnpackBinlogs};

/// The rules that a plan breaks which goes on with a restore, given the plan of the whole restore, which was checked: it
/// removes nothing but the restore's own directories, and after that does what the whole plan does up to its end.
pub fn check_resumed(whole: &Plan, resumed: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let preparing = resumed.journal.as_ref().and_then(|journal| journal.resume.as_ref());
    let preparing = preparing.map_or(0, |resume| resume.preparing).min(resumed.steps.len());
    let (first, rest) = resumed.steps.split_at(preparing);
    let same = |step: &Step, other: &Step| match (step, other) {
        (Step::MendTree(pass), Step::PassTree(other)) => pass == other,
        (Step::Replay(replay), Step::Replay(other)) => {
            Replay { going_on: None, ..(**replay).clone() } == **other && in_window(replay)
        }
        (Step::UnpackBinlogs(unpack), Step::UnpackBinlogs(other)) => {
            UnpackBinlogs { done_until: None, ..unpack.clone() } == *other
        }
        _ => step == other,
    };
    for step in first {
        let own = match step {
            Step::RemoveTree { path } => {
                whole.discard_dirs.contains(path)
                    || whole
                        .steps
                        .iter()
                        .any(|step| matches!(step, Step::PassTree(pass) if pass.to.as_ref() == Some(path)))
            }
            _ => whole.steps.iter().any(|other| same(step, other)),
        };
        if !own {
            found.push(Violation { rule: 8, what: format!("\"{}\" is none of the restore's own", step.title()) });
        }
    }
    let behind = whole.steps.len().checked_sub(rest.len()).map(|start| &whole.steps[start..]);
    let ends_alike = behind.is_some_and(|behind| behind.iter().zip(rest).all(|(other, step)| same(step, other)));
    if resumed.journal.as_ref().is_some_and(|journal| journal.resume.is_some()) && !ends_alike {
        found.push(Violation { rule: 2, what: "what is still to do is not the end of the whole restore".into() });
    }
    found
}

/// Whether a replay goes on in its window, if it does.
fn in_window(replay: &Replay) -> bool {
    let place = replay.going_on.as_ref().map(|going_on| &going_on.at);
    place.is_none_or(|at| *at >= replay.from && *at <= replay.cut && replay.relay.is_some())
}
