//! Lock files: creating them so that one contender wins, reading them, and taking them away from one owner only.

use super::{files::Files, owner::Heartbeat};
use crate::store::{Digest, LockHolder, LockScope, Operation, StoreError, StoreKey, layout};
use chrono::DateTime;
use std::io::ErrorKind;
use uuid::Uuid;

/// What stands for the host of a lock file that cannot be read.
const UNREADABLE: &str = "unknown (unreadable lock file)";

/// The locks that have one holder.
const SINGLE: [LockScope; 3] = [LockScope::Backups, LockScope::Binlogs, LockScope::Prune];

impl Files {
    /// Creates a lock file whole. Returns whether it was created: `false` when someone has one there.
    pub(super) fn create_lock(&self, key: &StoreKey, holder: &LockHolder) -> Result<bool, StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::Lock, source);
        let bytes = serde_json::to_vec_pretty(holder).map_err(|error| failed(error.into()))?;
        let settled = self.stage_bytes(key, &bytes)?;
        match self.publish_strictly(settled, key) {
            Ok(()) => Ok(true),
            Err(StoreError::AlreadyExists { .. }) => Ok(false),
            // No name can be given without a clobber here, but a file can always be created without one. Others may see
            // it before it is whole, and take it for one that they cannot judge.
            Err(StoreError::Io { source, .. }) if super::files::cannot(&source) => {
                self.create_lock_in_place(key, &bytes)
            }
            Err(error) => Err(error),
        }
    }

    fn create_lock_in_place(&self, key: &StoreKey, bytes: &[u8]) -> Result<bool, StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::Lock, source);
        let path = self.place(key);
        let mut file = match self.disk.create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            file => file.map_err(failed)?,
        };
        let written = file.write_all(bytes).and_then(|()| file.sync()).and_then(|()| file.close());
        if let Err(error) = written {
            let _ = self.disk.remove_file(&path);
            return Err(failed(error));
        }
        Ok(true)
    }

    /// Reads a lock file, with its owner's heartbeat; `None` when nobody holds it.
    ///
    /// One that cannot be read yields a holder about whom nothing is known, named by the content, so that it is waited
    /// for and taken over like any other that is silent.
    pub(super) fn read_lock(&self, key: &StoreKey, scope: LockScope) -> Result<Option<LockHolder>, StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::Lock, source);
        let Some(bytes) = self.read(key).map_err(failed)? else {
            return Ok(None);
        };
        let Ok(mut holder) = serde_json::from_slice::<LockHolder>(&bytes) else {
            return Ok(Some(unknown_holder(scope, &bytes)));
        };
        let heartbeat = layout::heartbeat(holder.owner);
        let bytes = self.read(&heartbeat).map_err(|source| StoreError::from_io(&heartbeat, Operation::Lock, source))?;
        // A heartbeat that is not there or half written says nothing; the next one is whole.
        if let Some(heartbeat) = bytes.and_then(|bytes| serde_json::from_slice::<Heartbeat>(&bytes).ok())
            && heartbeat.owner == holder.owner
        {
            holder.heartbeat = heartbeat.heartbeat;
            holder.heartbeat_at = Some(heartbeat.heartbeat_at);
            holder.children = heartbeat.children;
        }
        Ok(Some(holder))
    }

    /// Takes a lock file away, if it is this owner's. Returns whether it was.
    ///
    /// It is moved aside first and looked at again: should another owner's have taken its place between the look and
    /// the move, that is put back.
    pub(super) fn take_away_lock(&self, key: &StoreKey, scope: LockScope, owner: Uuid) -> Result<bool, StoreError> {
        let failed = |source| StoreError::from_io(key, Operation::Lock, source);
        if self.read_lock(key, scope)?.is_none_or(|holder| holder.owner != owner) {
            return Ok(false);
        }
        let aside = layout::removed(Uuid::new_v4());
        match self.disk.rename(&self.place(key), &self.place(&aside)) {
            Ok(()) => {}
            // Sent twice over NFS, it may be aside already; the look at it tells.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let moved = self.read_lock(&aside, scope)?;
        match moved {
            Some(moved) if moved.owner == owner => {
                self.remove(&aside)?;
                self.sync_dir(&layout::locks())?;
                Ok(true)
            }
            Some(_) => {
                let back = self.disk.link(&self.place(&aside), &self.place(key));
                let removed = self.remove(&aside);
                back.map_err(failed)?;
                removed?;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// Everyone who holds a lock or a read lease, ordered by scope and then by start.
    pub(super) fn lock_holders(&self) -> Result<Vec<LockHolder>, StoreError> {
        let mut holders = Vec::new();
        for scope in SINGLE {
            holders.extend(self.read_lock(&layout::lock(scope, Uuid::nil()), scope)?);
        }
        for key in self.read_leases()? {
            holders.extend(self.read_lock(&key, LockScope::Read)?);
        }
        holders.sort_by_key(|holder| (holder.scope, holder.since, holder.owner));
        Ok(holders)
    }

    /// The files of the read leases.
    pub(super) fn read_leases(&self) -> Result<Vec<StoreKey>, StoreError> {
        let children = match self.children(&layout::locks(), Operation::Lock) {
            Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
            children => children?,
        };
        Ok(children.into_iter().filter(layout::is_read_lease).collect())
    }
}

/// A holder about whom nothing is known but that its lock file has this content.
fn unknown_holder(scope: LockScope, content: &[u8]) -> LockHolder {
    let mut id = [0; 16];
    id.copy_from_slice(&Digest::of(content).as_bytes()[..16]);
    LockHolder {
        scope,
        owner: Uuid::from_bytes(id),
        host: UNREADABLE.to_owned(),
        machine: None,
        boot_id: None,
        pid_namespace: None,
        pid: 0,
        pid_start: None,
        command: String::new(),
        since: DateTime::UNIX_EPOCH,
        heartbeat: 0,
        heartbeat_at: None,
        children: Vec::new(),
    }
}
