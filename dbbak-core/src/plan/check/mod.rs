//! Checks a finished plan against the rules that always hold.

mod chain;
mod fetch;
mod marks;
mod places;
mod resumed;
mod tools;
mod window;

pub use resumed::check_resumed;

use super::{Plan, Step, Summary, Trial};
use crate::{
    store::layout,
    tools::{Arg, CommandSpec},
};
use std::fmt;

/// A rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's number in the design.
    pub rule: u8,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)
    }
}

/// The rules that a plan breaks; none for every plan that a planner makes.
pub fn check(plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut broken = |rule: u8, what: String| found.push(Violation { rule, what });
    chain::restored(plan, &mut broken);
    chain::taken(plan, &mut broken);
    anywhere(plan, &mut broken);
    tools::prepares(plan, &mut broken);
    window::replay(plan, &mut broken);
    window::files(plan, &mut broken);
    window::history(plan, &mut broken);
    window::caught_up(plan, &mut broken);
    shipped(plan, &mut broken);
    indexed(plan, &mut broken);
    fetch::fetched(plan, &mut broken);
    if let Some(trial) = plan.trial.as_ref().filter(|trial| !trial.again.is_empty()) {
        // What a second try does keeps the rules in the place of the first.
        let mut again = plan.clone();
        again.steps.truncate(trial.from);
        again.steps.extend(trial.again.iter().cloned());
        again.trial = Some(Trial { again: Vec::new(), ..trial.clone() });
        found.extend(check(&again));
    }
    found
}

/// The rules that a plan breaks which is about to be carried out, wherever it comes from. What goes on with a restore holds
/// a part of its steps: the rules that speak of all of them were checked on the whole.
pub fn check_runnable(plan: &Plan) -> Vec<Violation> {
    let goes_on = plan.journal.as_ref().is_some_and(|journal| journal.resume.is_some());
    if !goes_on {
        return check(plan);
    }
    let mut found = Vec::new();
    anywhere(plan, &mut |rule, what| found.push(Violation { rule, what }));
    found
}

/// The rules that also hold for a part of a plan.
fn anywhere(plan: &Plan, broken: Broken<'_>) {
    places::store_is_named(plan, broken);
    places::private_copies(plan, broken);
    places::discarded(plan, broken);
    places::written(plan, broken);
    places::own_directories(plan, broken);
    tools::private_server(plan, broken);
    order(plan, broken);
    marks::taken_off(plan, broken);
    bound(plan, broken);
}

/// Rule 9: what changes the store is bound to the state that it was planned on.
fn bound(plan: &Plan, broken: Broken<'_>) {
    for key in plan.lists() {
        if !plan.made_from.iter().any(|from| from.key == key) {
            broken(9, format!("the plan does not say on which {key} it was made"));
        }
    }
}

type Broken<'a> = &'a mut dyn FnMut(u8, String);

/// Rule 6: only closed binlogs are archived, each once; an open one only as the last of a dead server, or after the
/// server was made to close it.
fn shipped(plan: &Plan, broken: Broken<'_>) {
    let mut names = std::collections::BTreeSet::new();
    let mut flushed = false;
    for step in &plan.steps {
        flushed |= matches!(step, Step::FlushBinlogs { .. });
        let Step::ShipBinlog(ship) = step else { continue };
        let name = &ship.entry.name;
        if !names.insert(ship.to.clone()) {
            broken(6, format!("{} is stored twice", ship.to));
        }
        if ship.partial != ship.bytes.is_some() {
            broken(6, format!("{name} is archived in part, and is not marked so"));
        }
        if ship.open && !ship.partial && !flushed {
            broken(6, format!("{name} is archived while the server still writes it"));
        }
        if ship.to != layout::binlog(&ship.entry.stored_as) {
            broken(6, format!("{name} is stored elsewhere than the index will say"));
        }
    }
}

/// Rule 6: an index is made of the binlog that it lies beside.
fn indexed(plan: &Plan, broken: Broken<'_>) {
    for step in &plan.steps {
        let (to, stored_as) = match step {
            Step::ShipBinlog(ship) => (&ship.index_to, &ship.entry.stored_as),
            Step::IndexBinlog(index) if index.from == layout::binlog(&index.entry.stored_as) => {
                (&index.to, &index.entry.stored_as)
            }
            Step::IndexBinlog(index) => {
                broken(6, format!("{} is read for the index of {}", index.from, index.entry.stored_as));
                continue;
            }
            _ => continue,
        };
        if *to != layout::transactions(stored_as) {
            broken(6, format!("the transaction index of {stored_as} is stored elsewhere"));
        }
    }
}

/// Rule 9: what makes a backup exist, or says that a restore is done, comes last, and what a failed run leaves is known.
fn order(plan: &Plan, broken: Broken<'_>) {
    let last = plan.steps.len().saturating_sub(1);
    let record = plan.steps.iter().position(|step| matches!(step, Step::RecordBackup(_)));
    for (position, step) in plan.steps.iter().enumerate() {
        let ends = matches!(step, Step::RecordBackup(_) if record != Some(position))
            || matches!(step, Step::RecordTrees(_) | Step::WriteReport { .. }) && position != last;
        if ends {
            broken(9, format!("step {} says that all is done, and is not the last", position + 1));
        }
        let derives = match step {
            Step::CreateDir { .. }
            | Step::PassTree(_)
            | Step::MoveTree { .. }
            | Step::RemoveTree { .. }
            | Step::RecordBackup(_)
            | Step::RecordTrees(_) => true,
            Step::RunTool(run) => has(&run.launch.command, "--prepare"),
            _ => false,
        };
        if record.is_some_and(|record| position > record) && !derives {
            broken(9, format!("step {} comes after the backup was recorded", position + 1));
        }
    }
    if let Some(trial) = &plan.trial
        && record.is_none_or(|record| trial.from != record + 1)
    {
        broken(9, format!("{} is tried before it is recorded, or not right after that", trial.backup));
    }
    let recorded = record.and_then(|record| match plan.steps.get(record) {
        Some(Step::RecordBackup(record)) => Some(record),
        _ => None,
    });
    match (&plan.summary, recorded) {
        (Summary::Backup { id, trees, .. }, Some(record)) => {
            if record.id != *id {
                broken(9, format!("{id} is taken, and {} is recorded", record.id));
            }
            let added = match plan.steps.last() {
                Some(Step::RecordTrees(added)) if added.id == *id => Some(&added.trees),
                _ => None,
            };
            if added.unwrap_or(&record.trees) != trees {
                broken(9, "not all trees that are kept are recorded".into());
            }
            let discarded = |key: &crate::store::StoreKey| key.as_str() == id;
            if !plan.discard_on_failure.iter().any(discarded) {
                broken(9, "what a failed run leaves of the backup would stay".into());
            }
        }
        (Summary::Backup { .. }, _) => broken(9, "the backup is never recorded".into()),
        (Summary::Restore { report }, _) => match plan.steps.last() {
            Some(Step::WriteReport { report: written, .. }) if report == written => {}
            Some(Step::WriteReport { .. }) => broken(9, "the report is not that of this restore".into()),
            _ => broken(9, "the restore is never reported".into()),
        },
        _ => {}
    }
}

/// Whether a command has an argument, as it stands.
fn has(command: &CommandSpec, flag: &str) -> bool {
    plain(command).any(|text| text == flag)
}

/// The value of an option; of several the last, as the programs take it.
fn option<'a>(command: &'a CommandSpec, name: &str) -> Option<&'a str> {
    plain(command).filter_map(|text| text.strip_prefix(name)?.strip_prefix('=')).last()
}

fn plain(command: &CommandSpec) -> impl Iterator<Item = &str> {
    command.args.iter().filter_map(|arg| match arg {
        Arg::Plain(text) => Some(text.as_str()),
        Arg::Secret(_) => None,
    })
}
