//! The owner of locks: its identity, and the heartbeat by which others see that it lives.
//!
//! The heartbeat has a file of its own. The lock file is never written again after it was created, so an owner that
//! was suspended for long and taken for dead cannot overwrite the lock of whoever took over when it wakes.

use super::{files::Files, processes::ProcessIdentity};
use crate::store::{LockHolder, LockRequest, LockScope, Operation, ProcessGroup, StoreError, layout};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};
use uuid::Uuid;

/// What stands in an owner's heartbeat file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Heartbeat {
    pub(super) owner: Uuid,
    pub(super) heartbeat: u64,
    pub(super) heartbeat_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) children: Vec<ProcessGroup>,
}

/// An owner of locks, whose heart beats until it is stopped or dropped.
#[derive(Debug)]
pub(super) struct Owner {
    shared: Arc<Shared>,
    identity: ProcessIdentity,
    request: LockRequest,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    id: Uuid,
    files: Files,
    beat: Mutex<Beat>,
    stopped: Mutex<bool>,
    wake: Condvar,
}

#[derive(Debug)]
struct Beat {
    count: u64,
    children: Vec<ProcessGroup>,
    /// When the last heartbeat was written, by both clocks: a suspended machine may stop either.
    wall: DateTime<Utc>,
    monotonic: Duration,
}

/// A mutex here guards values that are whole at any time, so a panic elsewhere leaves them usable.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Owner {
    /// A new owner, whose first heartbeat is written.
    pub(super) fn start(files: &Files, identity: &ProcessIdentity, request: &LockRequest) -> Result<Self, StoreError> {
        let (wall, monotonic) = (files.clock.now(), files.clock.monotonic());
        let shared = Arc::new(Shared {
            id: Uuid::new_v4(),
            files: files.clone(),
            beat: Mutex::new(Beat { count: 0, children: Vec::new(), wall, monotonic }),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        });
        shared.beat(None)?;
        let beating = Arc::clone(&shared);
        let interval = request.heartbeat;
        let thread = std::thread::Builder::new()
            .name("dbbak-heartbeat".to_owned())
            .spawn(move || beating.keep_beating(interval))
            .map_err(|source| StoreError::from_io(&layout::heartbeat(shared.id), Operation::Lock, source));
        let thread = thread.inspect_err(|_| {
            let _ = files.remove(&layout::heartbeat(shared.id));
        })?;
        Ok(Owner { shared, identity: identity.clone(), request: request.clone(), thread: Mutex::new(Some(thread)) })
    }

    pub(super) fn id(&self) -> Uuid {
        self.shared.id
    }

    pub(super) fn request(&self) -> &LockRequest {
        &self.request
    }

    /// What goes into a lock file of this owner's.
    pub(super) fn holder(&self, scope: LockScope) -> LockHolder {
        holder(&self.identity, scope, self.shared.id, &self.request.command, self.shared.files.clock.now())
    }

    pub(super) fn note_children(&self, groups: &[ProcessGroup]) -> Result<(), StoreError> {
        self.shared.beat(Some(groups))
    }

    /// Whether the last heartbeat is so old that others may have begun to take this owner for dead.
    pub(super) fn has_been_silent(&self) -> bool {
        let limit = self.request.heartbeat.saturating_mul(3).min(self.request.stale_after / 2);
        let clock = &self.shared.files.clock;
        let beat = guard(&self.shared.beat);
        let wall = (clock.now() - beat.wall).abs().to_std().unwrap_or(Duration::MAX);
        wall.max(clock.monotonic().saturating_sub(beat.monotonic)) > limit
    }

    /// Writes a heartbeat now.
    pub(super) fn beat(&self) -> Result<(), StoreError> {
        self.shared.beat(None)
    }

    /// Ends the heartbeat and removes its file.
    pub(super) fn stop(&self) -> Result<(), StoreError> {
        *guard(&self.shared.stopped) = true;
        self.shared.wake.notify_all();
        let Some(thread) = guard(&self.thread).take() else {
            return Ok(());
        };
        // The thread only writes files; should it have panicked, there is no heartbeat left to end.
        let _ = thread.join();
        self.shared.files.remove(&layout::heartbeat(self.shared.id))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl Shared {
    fn beat(&self, children: Option<&[ProcessGroup]>) -> Result<(), StoreError> {
        let mut beat = guard(&self.beat);
        // Those that were noted before stay as long as they live: a client's start must not make a server forgotten.
        let mut children = children.map_or_else(|| beat.children.clone(), <[ProcessGroup]>::to_vec);
        let noted = beat.children.iter().filter(|group| !children.contains(group)).copied();
        let alive: Vec<_> = noted.filter(|group| ProcessGroup::led_by(group.pgid).as_ref() == Some(group)).collect();
        children.extend(alive);
        let heartbeat =
            Heartbeat { owner: self.id, heartbeat: beat.count + 1, heartbeat_at: self.files.clock.now(), children };
        let key = layout::heartbeat(self.id);
        let bytes = serde_json::to_vec(&heartbeat)
            .map_err(|error| StoreError::from_io(&key, Operation::Lock, io::Error::other(error)))?;
        self.files.overwrite(&key, &bytes)?;
        *beat = Beat {
            count: heartbeat.heartbeat,
            children: heartbeat.children,
            wall: heartbeat.heartbeat_at,
            monotonic: self.files.clock.monotonic(),
        };
        Ok(())
    }

    fn keep_beating(&self, interval: Duration) {
        let mut stopped = guard(&self.stopped);
        while !*stopped {
            let (guard, waited) = self.wake.wait_timeout(stopped, interval).unwrap_or_else(PoisonError::into_inner);
            stopped = guard;
            if waited.timed_out() && !*stopped {
                // A failure shows in the silence: writes then look closer at the lock.
                let _ = self.beat(None);
            }
        }
    }
}

/// What goes into a lock file.
pub(super) fn holder(
    identity: &ProcessIdentity,
    scope: LockScope,
    owner: Uuid,
    command: &str,
    since: DateTime<Utc>,
) -> LockHolder {
    let ProcessIdentity { host, machine, boot_id, pid_namespace, pid, pid_start } = identity.clone();
    LockHolder {
        scope,
        owner,
        host,
        machine,
        boot_id,
        pid_namespace,
        pid,
        pid_start,
        command: command.to_owned(),
        since,
        heartbeat: 0,
        heartbeat_at: None,
        children: Vec::new(),
    }
}
