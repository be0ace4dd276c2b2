//! Whether the holder of a lock is dead, and the end of the children it left behind.

use super::{
    files::Files,
    processes::{GroupState, ProcessIdentity, ProcessState, Processes},
};
use crate::store::{LockHolder, ProcessGroup, StoreError};
use std::time::Duration;

/// The pause between two looks at children that were killed.
const KILL_POLL: Duration = Duration::from_millis(50);

/// What can be said of a holder without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs.
    Alive,
    /// It ran on this machine, and does not any more.
    Dead,
    /// It ran where its processes cannot be seen from here: only its silence can tell.
    OutOfSight,
}

/// Judges a holder by its process.
pub(super) fn judge(holder: &LockHolder, here: &ProcessIdentity, processes: &dyn Processes) -> Verdict {
    // Host names repeat, and a container sees process ids of its own: all that is known must agree.
    let same_host = holder.host == here.host && holder.pid_namespace == here.pid_namespace;
    match (&holder.boot_id, &here.boot_id) {
        (Some(theirs), Some(ours)) if theirs == ours && same_host => match processes.process(holder.pid) {
            ProcessState::Gone => Verdict::Dead,
            ProcessState::Running(start) => match (start, holder.pid_start) {
                (Some(start), Some(recorded)) if start != recorded => Verdict::Dead,
                _ => Verdict::Alive,
            },
        },
        (Some(_), Some(_)) if same_host && holder.machine.is_some() && holder.machine == here.machine => Verdict::Dead,
        _ => Verdict::OutOfSight,
    }
}

/// Makes sure that a dead holder's children are gone. Those of another boot went with it; those of another machine are
/// out of reach, and die with their parent or by the silence that doomed it.
pub(super) fn end_children(
    holder: &LockHolder,
    here: &ProcessIdentity,
    processes: &dyn Processes,
    files: &Files,
    patience: Duration,
) -> Result<(), StoreError> {
    if holder.boot_id.is_none()
        || holder.boot_id != here.boot_id
        || holder.host != here.host
        || holder.pid_namespace != here.pid_namespace
    {
        return Ok(());
    }
    let deadline = files.clock.monotonic() + patience;
    loop {
        let alive = |group: &&ProcessGroup| processes.group(group) != GroupState::Gone;
        let groups: Vec<ProcessGroup> = holder.children.iter().filter(alive).copied().collect();
        if groups.is_empty() {
            return Ok(());
        }
        if files.clock.monotonic() >= deadline {
            return Err(StoreError::ChildrenAlive { scope: holder.scope, holder: Box::new(holder.clone()), groups });
        }
        for group in &groups {
            // A group without its leader may be a later one with the same number: it is only waited for.
            if processes.group(group) == GroupState::Running {
                // Failing, it shows as a group that stays.
                let _ = processes.kill_group(group);
            }
        }
        files.clock.sleep(KILL_POLL);
    }
}
