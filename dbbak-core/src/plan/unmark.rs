//! Plans how a mark is taken off: the chain is applied on copies once more, and what was marked by a mistake is used again.

use super::{
    Plan, PlanError, Step, Summary,
    backup::{Work, program},
    base::{engine_of, fitting_tool},
    request::UnmarkRequest,
    select,
    step::TakeMarkOff,
};
use crate::{
    catalog::{Backup, Catalog},
    config::Config,
    facts::Facts,
    model::Stamp,
    store::LockScope,
};
use chrono::{DateTime, Utc};

/// Why a mark is not taken off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnmarkError {
    /// The backup bears none.
    #[error("backup {backup} bears no mark that it cannot be applied")]
    NotMarked {
        /// The backup.
        backup: Stamp,
    },
    /// A backup that it stands on bears one too, or alone.
    #[error("backup {backup} stands on {link}, which is marked: {reason}")]
    OnMarked {
        /// The backup.
        backup: Stamp,
        /// The one that it stands on.
        link: Stamp,
        /// What the mark says.
        reason: String,
    },
    /// It cannot be tried, and nothing else shows that a mark is wrong.
    #[error("backup {backup} cannot be tried: {why}")]
    NotTried {
        /// The backup.
        backup: Stamp,
        /// Why.
        why: String,
    },
}

/// Plans to try a backup that is marked, and to take the mark off where it can be applied. A trial is from what the tool wrote, as the
/// second one before a mark is.
///
/// # Errors
///
/// [`PlanError`], above all [`UnmarkError`].
pub fn plan_unmark(
    config: &Config,
    catalog: &Catalog,
    facts: &Facts,
    now: DateTime<Utc>,
    request: &UnmarkRequest,
) -> Result<Plan, PlanError> {
    let ts = request.backup;
    let chain = match catalog.backup(ts) {
        Some(_) => catalog.linked(ts).map_err(select::chain_error)?,
        None => return Err(select::unknown_backup(catalog, ts)),
    };
    let (Some((last, below)), Some(full)) = (chain.split_last(), chain.first()) else { return Err(PlanError::NoFull) };
    let marked = |link: &&Backup| Some((link.ts(), link.entry.unusable.clone()?));
    if let Some((link, reason)) = below.iter().find_map(marked) {
        return Err(UnmarkError::OnMarked { backup: ts, link, reason }.into());
    }
    let said = last.entry.unusable.clone().ok_or(UnmarkError::NotMarked { backup: ts })?;
    let not_tried = |why: String| PlanError::from(UnmarkError::NotTried { backup: ts, why });
    let engine = engine_of(facts, full)?;
    if !engine.writes_raw() {
        return Err(not_tried(format!("a full of the engine {} is not prepared", engine.name())));
    }
    let (tool, version) = fitting_tool(facts, engine, &chain)?;
    let root = catalog
        .root
        .clone()
        .ok_or_else(|| PlanError::StoreUnusable { reason: "the backup tools need a directory to work in".into() })?;
    let mut plan = Plan::new("unmark", now);
    plan.locks = vec![LockScope::Backups];
    plan.reasons.push(format!("it is marked: {said}"));
    plan.scratch = super::scratch_root(config, facts, &root).ok();
    for leftover in &facts.leftovers {
        plan.reasons.push(format!("{} was left by a run that died", leftover.display()));
        plan.steps.push(Step::RemoveTree { path: leftover.clone() });
    }
    let work = Work { config, facts, engine, program: program(tool)?, version, root: &root, id: last.id, ts };
    let steps = work.trial(&chain, false, true)?.map_err(not_tried)?;
    let applies = |step: &Step| matches!(step, Step::RunTool(run) if run.applies == Some(ts));
    if !steps.iter().any(applies) {
        return Err(not_tried("the store holds nothing of it that a tool could prepare".into()));
    }
    plan.discard_dirs.extend(steps.iter().find_map(|step| match step {
        Step::CreateDir { path } => Some(path.clone()),
        _ => None,
    }));
    plan.steps.extend(steps);
    let host = &facts.host;
    let user = host.uid.map_or_else(|| "somebody".to_owned(), |uid| format!("uid {uid}"));
    plan.steps.push(Step::TakeMarkOff(TakeMarkOff {
        backup: last.id.to_string(),
        said,
        because: format!("a trial applied it on fresh copies, with {} {}", version.kind, version.full),
        by: format!("{user} on {}", host.name),
        note: request.note.clone(),
    }));
    plan.summary = Summary::Unmark { id: last.id.to_string() };
    plan.warn_of_losses(catalog);
    plan.bind(catalog);
    Ok(plan)
}
