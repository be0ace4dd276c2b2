//! Enters that a backup cannot be applied, and that it can after all.

use super::{RecordError, split, sums, supersede};
use crate::{
    model::BackupId,
    plan::TakeMarkOff,
    store::{
        BackupMeta, Digest, Manifest, ManifestEntry, MarkAct, MarkChange, Session, StoreKey, layout, read_version,
    },
};
use chrono::{DateTime, Utc};

/// Notes in the store that a recorded backup cannot be applied: no restore and no incremental rests on it any more.
///
/// # Errors
///
/// [`RecordError`]; the backup is listed as it was then.
pub fn record_unusable(
    session: &dyn Session,
    id: &BackupId,
    reason: &str,
    now: DateTime<Utc>,
) -> Result<(), RecordError> {
    change(session, id, |entry| {
        entry.mark(reason, now);
        Ok(())
    })
}

/// Takes the mark off a backup that a trial has applied. What was said of it stays beside.
///
/// # Errors
///
/// [`RecordError`], also where the mark is not the one that the plan speaks of; the backup bears it then.
pub fn record_mark_off(session: &dyn Session, plan: &TakeMarkOff, now: DateTime<Utc>) -> Result<(), RecordError> {
    let id = plan.backup.parse().map_err(|_| RecordError::Incomplete { missing: "the backup's name" })?;
    change(session, &id, |entry| {
        if entry.unusable.as_ref() != Some(&plan.said) {
            return Err(RecordError::Incomplete { missing: "the mark that the plan speaks of" });
        }
        entry.take_mark_off(MarkChange {
            change: MarkAct::TakenOff,
            by: Some(plan.by.clone()),
            note: plan.note.clone(),
            ..MarkChange::set(Some(now), &plan.because)
        });
        Ok(())
    })
}

/// Changes a backup's facts, and last its entry in the manifest.
fn change(
    session: &dyn Session,
    id: &BackupId,
    of: impl FnOnce(&mut ManifestEntry) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let missing = |missing| RecordError::Incomplete { missing };
    let sums = sums(session)?;
    let (mut manifest, version) = split(Manifest::load(session, sums)?);
    let entry = manifest.entries.iter_mut().find(|entry| entry.id() == *id).ok_or(missing("the backup's entry"))?;
    let mut meta = BackupMeta::load(session, id, entry.meta_digest.as_ref(), sums)?;
    of(entry)?;
    (meta.entry.unusable, meta.entry.marks) = (entry.unusable.clone(), entry.marks.clone());
    let facts = meta.to_bytes();
    let key = layout::meta(id);
    bring_back(session, &key, entry.meta_digest.as_ref())?;
    supersede(session, &key, &facts)?;
    entry.meta_digest = Some(Digest::of(&facts));
    manifest.save(session, version.as_ref())?;
    let _ = session.remove(&layout::previous(&key));
    Ok(())
}

/// Puts the generation before in its place again, where that is the one that the manifest names: a run died, or failed, before it named the next. Else
/// a second failure would leave none that it names.
fn bring_back(session: &dyn Session, key: &StoreKey, named: Option<&Digest>) -> Result<(), RecordError> {
    let Some(named) = named else { return Ok(()) };
    let is_named = |bytes: &[u8]| Digest::of(bytes) == *named;
    let held = |key| Ok::<_, RecordError>(read_version(session, key)?.map(|(bytes, _)| bytes));
    if held(key)?.is_some_and(|current| is_named(&current)) {
        return Ok(());
    }
    match held(&layout::previous(key))?.filter(|before| is_named(before)) {
        Some(before) => Ok(supersede(session, key, &before)?),
        None => Ok(()),
    }
}
