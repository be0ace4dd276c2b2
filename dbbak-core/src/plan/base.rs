//! What a restore begins with: the full's engine, the family of its server, and the tree that is copied or loaded.

use super::{
    PlanError,
    backup::{series, tool},
};
use crate::{
    catalog::Backup,
    engine::{Engine, engine_for, engine_named},
    facts::{Facts, StoredBackup, ToolFact},
    model::TreeName,
    tools::{Family, Flavor, ToolRole, ToolVersion},
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

/// The backup tool, where it is of the series that made the backups of a chain.
pub(super) fn fitting_tool<'a>(
    facts: &'a Facts,
    engine: &dyn Engine,
    chain: &[&Backup],
) -> Result<(&'a ToolFact, &'a ToolVersion), PlanError> {
    let (tool, version) = tool(facts, ToolRole::Backup)?;
    if engine_for(version.kind).map(Engine::name) != Some(engine.name()) {
        return Err(PlanError::Mismatch {
            what: "the backup tool".into(),
            expected: engine.tool().to_string(),
            found: version.kind.to_string(),
        });
    }
    for backup in chain {
        let Some(recorded) = &backup.entry.tool_version else { continue };
        let (Some(made), Some(found)) = (series(recorded), version.version.map(|version| version.series())) else {
            continue;
        };
        // A newer mariadb-backup prepares what an older one took; XtraBackup takes only its own series.
        let fits = if engine.tool().family() == Family::Mariadb { made <= found } else { made == found };
        if !fits {
            return Err(PlanError::Mismatch {
                what: format!("the version of {} for backup {}", version.kind, backup.ts()),
                expected: recorded.clone(),
                found: version.full.clone(),
            });
        }
    }
    Ok((tool, version))
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
///
/// XtraBackup 8.0 and later does not support a plain `--prepare` after one with `--apply-log-only` (its makers' PXB-2865, their
/// manual since 8.0.30): the first skips what the redo says of counters, and the second does not make up for it. The server's
/// dictionary then gives numbers that are taken (`Duplicate entry '375' for key 'tables.PRIMARY'` at each change of the schema,
/// seen on 9.7.1). So a full alone is prepared once, from `raw`; with incrementals the last one's prepare brings the counters.
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
    let finishes = engine.has_final_prepare();
    if engine.is_logical() {
        return if has(TreeName::Dump) { Ok((TreeName::Dump, false)) } else { lacks(TreeName::Dump) };
    }
    if has(TreeName::PreparedFinal) && (!finishes || alone && (stored.final_from_raw || !skips_counters(full))) {
        return Ok((TreeName::PreparedFinal, false));
    }
    if has(TreeName::PreparedRedo) && !(finishes && alone) {
        return Ok((TreeName::PreparedRedo, false));
    }
    match (engine.writes_raw(), has(TreeName::Raw)) {
        (true, true) => Ok((TreeName::Raw, true)),
        // Another program's store may have nothing else; the plan warns.
        (true, false) if has(TreeName::PreparedFinal) && alone => Ok((TreeName::PreparedFinal, false)),
        (true, false) => lacks(TreeName::Raw),
        (false, _) => lacks(TreeName::PreparedFinal),
    }
}

/// Whether a full's `prepared-final` may lack the counters: it is not known to be made from `raw`, by a tool that may need that.
pub(super) fn may_lack_counters(engine: &dyn Engine, full: &Backup, stored: &StoredBackup) -> bool {
    engine.has_final_prepare()
        && stored.trees.contains_key(&TreeName::PreparedFinal)
        && !stored.final_from_raw
        && skips_counters(full)
}

/// Whether the tool that took a backup leaves counters to the last prepare; one that is not known may.
fn skips_counters(backup: &Backup) -> bool {
    backup.entry.tool_version.as_deref().and_then(series).is_none_or(|series| series >= (8, 0))
}
