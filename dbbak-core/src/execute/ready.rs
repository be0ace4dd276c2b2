//! Makes a restored data directory ready to be taken into use.

use super::{Outcome, Reporter, error::ExecuteError, files, gtid_text::read_gtids, unpack::copy_binlog};
use crate::{
    model::{BinlogCoordinates, BinlogPosition, MariadbGtidState, RestoredMark},
    plan::{MakeReady, PlaceBinlogs},
    store::{StoreReader, read_version},
    tools::HeldChannel,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::fmt::Write as _;

/// Where restored data stand, for whoever lets a server go on from there.
#[derive(Debug, Serialize)]
struct Coordinates<'a> {
    version: u32,
    /// The timeline of the archive; none for a backup as it is.
    timeline: Option<&'a str>,
    /// The place in the source's binlogs; what a living source brought later is not in it.
    binlog: Option<&'a BinlogPosition>,
    /// The GTIDs that the data hold: MySQL's executed set, MariaDB's position.
    gtids: &'a str,
    /// The channels that the source replicated on, and where they stood when the backup ended. The data hold them no more.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    channels: &'a [HeldChannel],
    /// Where the source stood in its own source's binlogs when the backup ended, as the backup tool wrote it down.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a BinlogCoordinates>,
}

/// Makes a restored data directory ready to be taken into use.
///
/// # Errors
///
/// When a file cannot be read, written or given away.
pub(super) fn make_ready(
    step: &MakeReady,
    outcome: &Outcome,
    store: &dyn StoreReader,
    now: DateTime<Utc>,
    reporter: &dyn Reporter,
) -> Result<(), ExecuteError> {
    let gtids = outcome.examination.as_ref().map(|examination| examination.gtids.as_str());
    let gtids = gtids.or(step.base_gtid.as_deref()).unwrap_or_default();
    let coordinates = Coordinates {
        version: 1,
        timeline: step.at.as_ref().and_then(|(timeline, _)| timeline.as_deref()),
        binlog: step.at.as_ref().map(|(_, at)| at),
        gtids,
        channels: outcome.examination.as_ref().map_or(&step.channels, |examination| &examination.channels),
        source: step.source.as_ref(),
    };
    let json = serde_json::to_vec_pretty(&coordinates)
        .map_err(|error| ExecuteError::BadPlan { problem: format!("the coordinates cannot be written: {error}") })?;
    files::write_replacing(&step.coordinates, &json)?;
    for (key, path) in &step.settings {
        if let (Some((bytes, _)), Some(parent)) = (read_version(store, key)?, path.parent()) {
            files::create_private_dir(parent)?;
            files::write_replacing(path, &bytes)?;
        }
    }
    for path in &step.identity {
        files::remove_file(path)?;
    }
    if let Some((base, index)) = &step.stale_logs {
        for name in files::names_in(&step.datadir)? {
            let numbered = name.strip_prefix(base.as_str()).and_then(|rest| rest.strip_prefix('.'));
            let numbered = numbered.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
            if numbered || name == *index {
                files::remove_file(&step.datadir.join(&name))?;
            }
        }
    }
    if let Some(history) = &step.history {
        place_binlogs(history, store, reporter)?;
    }
    if let Some(path) = &step.binlog_state {
        let reached: MariadbGtidState = read_gtids(gtids)?;
        let state = outcome.binlog_state.clone().unwrap_or_default().union(&reached);
        // One a line, the last transaction of each domain behind the others of its domain.
        let text = state.entries().fold(String::new(), |mut text, (domain, server, seq)| {
            let _ = writeln!(text, "{domain}-{server}-{seq}");
            text
        });
        files::write_replacing(path, text.as_bytes())?;
    }
    if let Some(restore) = step.restore {
        // Behind all that may bring an older one along.
        let mark = RestoredMark { version: 1, restore, at: now };
        let json = serde_json::to_vec_pretty(&mark)
            .map_err(|error| ExecuteError::BadPlan { problem: format!("the mark cannot be written: {error}") })?;
        files::write_replacing(&step.datadir.join(RestoredMark::FILE), &json)?;
    }
    if let Some(owner) = &step.owner {
        for tree in &owner.trees {
            files::give_tree(tree, owner.uid, owner.gid)?;
        }
        files::give(&owner.parent, owner.uid, owner.gid)?;
    }
    Ok(())
}

/// Puts binlogs back: verified, the last one cut off, all of them closed and listed.
fn place_binlogs(step: &PlaceBinlogs, store: &dyn StoreReader, reporter: &dyn Reporter) -> Result<(), ExecuteError> {
    let last = step.files.len().saturating_sub(1);
    let mut index = String::new();
    for (number, entry) in step.files.iter().enumerate() {
        let stop = step.stop.filter(|_| number == last);
        let path = step.dir.join(entry.name.as_str());
        files::remove_file(&path)?;
        copy_binlog(entry, (&step.dir, &entry.name), (0, stop.unwrap_or(u64::MAX)), store, reporter, &mut |_, _| {
            Ok(())
        })?;
        if let Some(stop) = stop {
            files::truncate(&path, stop)?;
        }
        files::mark_closed(&path)?;
        let _ = writeln!(index, "{}", step.listed_in.join(entry.name.as_str()).display());
    }
    files::write_replacing(&step.index, index.as_bytes())
}
