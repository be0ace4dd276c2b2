//! Decides whether a replay that died goes on behind what its private server had applied, or is redone.

use super::{GoingOn, Plan, Relay, Replay, Step, Touch, UnpackBinlogs, touch::touch};
use crate::{
    facts::JournalFact, halfway::DeadReplay, journal::Journal, model::BinlogPosition, store::Digest, tools::Applier,
};

/// How far a replay had come that died, or why it is redone; `None` where none died.
///
/// It goes on only where each of these holds: its server's own applier was at work, by GTIDs; the machine still runs, so that
/// nothing is lost that was written; what it wrote down and its logs are whole; nothing was applied, or was being applied,
/// of which a dead server may have done a part.
pub(super) fn going_on(
    plan: &Plan,
    keys: &[Digest],
    (fact, journal): (&JournalFact, &Journal),
) -> Option<Result<GoingOn, String>> {
    let dead = fact.replay.as_ref()?;
    let at = plan.steps.iter().position(|step| matches!(step, Step::Replay(_)))?;
    let Step::Replay(replay) = &plan.steps[at] else { return None };
    // What comes before it must be as a finished step left it: otherwise the replay is one of data that are gone.
    let makes = |step: &Step| matches!(touch(step, plan.datadir()), Touch::Makes { .. });
    let mut before = plan.steps[..at].iter().zip(keys).filter(|(step, _)| !makes(step));
    if journal.finished(&keys[at]).is_some() || !before.all(|(_, key)| journal.finished(key).is_some()) {
        return None;
    }
    let unpack = plan.steps[..at].iter().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack),
        _ => None,
    })?;
    Some(judge(replay, unpack, dead, (fact, journal)))
}

fn judge(
    replay: &Replay,
    unpack: &UnpackBinlogs,
    dead: &DeadReplay,
    (fact, journal): (&JournalFact, &Journal),
) -> Result<GoingOn, String> {
    let relay = replay.relay.as_deref();
    let relay = relay.ok_or("it went through a pipe, and nothing tells how far a statement of it came")?;
    by_gtids(relay)?;
    if let Some((problem, _)) = &journal.failed {
        return Err(format!("it failed: {problem}"));
    }
    let halfway = dead.halfway.as_ref().ok_or("what it wrote down cannot be read")?;
    if halfway.boot.is_none() || halfway.boot != fact.boot {
        return Err("the machine was started anew since, and what it had not written to disk by then is lost".into());
    }
    if let Some(what) = halfway.hindrance.as_ref().or(dead.flaw.as_ref()) {
        return Err(what.clone());
    }
    let Some(last) = &dead.last else {
        return Ok(GoingOn { after: None, at: replay.from.clone(), applied: Some(0) });
    };
    let place = dead.place.as_ref().ok_or_else(|| format!("{last}, which it logged last, is not in the window"))?;
    if let Some(again) = &place.again {
        return Err(format!("{last}, which it logged last, stands twice in the window, the second time at {again}"));
    }
    if let Some(what) = &place.half_done {
        return Err(format!("its server may have done a part of what comes next: {what}"));
    }
    let names = unpack.names();
    let file = names.get(place.file).ok_or("the window has not so many files")?.clone();
    let at = BinlogPosition { file, position: place.end };
    Ok(GoingOn { after: Some(last.clone()), at, applied: place.transactions })
}

/// Whether what a server has can be compared with the window, GTID by GTID.
fn by_gtids(relay: &Relay) -> Result<(), String> {
    match (&relay.applier, &relay.base_gtid) {
        (Applier::RelayLogs { .. }, None) => Err("the backup recorded no GTIDs".into()),
        // MariaDB's position tells the last transaction of each domain, whatever it was before.
        (Applier::RelayLogs { .. }, Some(_)) | (Applier::Fed, _) => Ok(()),
    }
}

impl Plan {
    /// The plan of a whole restore as one that goes on with a half-done replay.
    pub(super) fn going_on(mut self, going_on: &GoingOn) -> Self {
        for step in &mut self.steps {
            match step {
                Step::Replay(replay) => replay.going_on = Some(going_on.clone()),
                Step::UnpackBinlogs(unpack) => unpack.done_until = Some(going_on.at.clone()),
                _ => {}
            }
        }
        self
    }

    /// The binlogs of a restore's window, each with the part of it that belongs to the window.
    pub fn window_files(&self) -> Vec<(crate::store::BinlogEntry, (u64, u64))> {
        let unpack = self.steps.iter().find_map(|step| match step {
            Step::UnpackBinlogs(unpack) => Some(unpack),
            _ => None,
        });
        let files = |unpack: &UnpackBinlogs| {
            let files = unpack.files.iter().enumerate();
            files.map(|(place, file)| (file.clone(), unpack.span_of(place))).collect()
        };
        unpack.map(files).unwrap_or_default()
    }
}

impl GoingOn {
    /// What a plan says of it.
    pub(super) fn reason(&self, of: Option<u64>) -> String {
        let count = |count: Option<u64>| count.map_or("?".to_owned(), |count| count.to_string());
        match &self.after {
            None => "goes on with the replay: its server had applied nothing".to_owned(),
            Some(after) => format!(
                "goes on with the replay after {after}, which its server logged last: {} of {} transactions are applied; \
                 before more is applied the server must have just these GTIDs",
                count(self.applied),
                count(of)
            ),
        }
    }
}
