//! What a restore begins with: the full's engine, the family of its server, and the tree that is copied or loaded.

use super::{PlanError, backup::tool};
use crate::{
    catalog::Backup,
    engine::{Engine, engine_for, engine_named},
    facts::{Facts, StoredBackup},
    model::TreeName,
    tools::{Family, Flavor, ToolRole},
};

/// The engine that took a backup; for a basic store, which does not say, the one of the tool that is there.
pub(super) fn engine_of(facts: &Facts, full: &Backup) -> Result<&'static dyn Engine, PlanError> {
    if let Some(name) = &full.entry.engine {
        return engine_named(name).ok_or_else(|| PlanError::Mismatch {
            what: format!("the engine of backup {}", full.ts()),
            expected: "one that this dbbak knows".into(),
            found: name.clone(),
        });
    }
    let (_, version) = tool(facts, ToolRole::Backup)?;
    engine_for(version.kind).ok_or_else(|| PlanError::Tool {
        role: ToolRole::Backup,
        path: None,
        problem: format!("{} takes no backups", version.kind),
    })
}

/// The family of the server that a backup was taken of, where the backup says. A dump may be of either vendor's server.
pub fn family_of(backup: &Backup) -> Option<Family> {
    let engine = engine_named(backup.entry.engine.as_deref()?)?;
    if !engine.is_logical() {
        return Some(engine.tool().family());
    }
    let flavor = backup.server()?.flavor.as_deref()?;
    Some(if flavor == Flavor::Mariadb.to_string() { Family::Mariadb } else { Family::Mysql })
}

/// The tree of the full that is copied, or loaded, and whether it still has to be prepared. `alone`: no incrementals follow.
pub(super) fn base_tree(
    engine: &dyn Engine,
    full: &Backup,
    stored: &StoredBackup,
    alone: bool,
) -> Result<(TreeName, bool), PlanError> {
    let has = |tree| stored.trees.contains_key(&tree);
    let lacks = |tree: TreeName| {
        let reason = format!("backup {} has no {}", full.ts(), tree.as_str());
        Err(PlanError::StoreUnusable { reason })
    };
    if engine.is_logical() {
        if has(TreeName::Dump) { Ok((TreeName::Dump, false)) } else { lacks(TreeName::Dump) }
    } else if has(TreeName::PreparedFinal) && (alone || !engine.has_final_prepare()) {
        Ok((TreeName::PreparedFinal, false))
    } else if has(TreeName::PreparedRedo) {
        Ok((TreeName::PreparedRedo, alone && engine.has_final_prepare()))
    } else if engine.writes_raw() {
        Ok((TreeName::Raw, true))
    } else {
        lacks(TreeName::PreparedFinal)
    }
}
