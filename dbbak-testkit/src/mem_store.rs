//! A store in memory: no directories, no clock, no other machines. What an object store can do, and no more.

use chrono::DateTime;
use dbbak_core::store::{
    LocalDir, LockHolder, LockRequest, LockScope, ObjectInfo, Operation, ProcessGroup, Publish, Session, Store,
    StoreError, StoreKey, StoreReader, Version, covers, layout,
};
use std::{
    collections::BTreeMap,
    io::{self, Cursor, Read, Write},
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use uuid::Uuid;

/// A store in memory. Clones are the same store.
#[derive(Debug, Clone, Default)]
pub struct MemStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<StoreKey, Arc<[u8]>>,
    holders: Vec<LockHolder>,
}

impl MemStore {
    /// An empty store.
    pub fn new() -> Self {
        MemStore::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a content in place without any lock, as a broken store or another program would have it.
    pub fn put(&self, key: &StoreKey, bytes: &[u8]) {
        self.state().objects.insert(key.clone(), bytes.into());
    }

    /// Takes every lock away from its holder.
    pub fn break_locks(&self) {
        self.state().holders.clear();
    }

    /// The keys of everything in the store, ordered.
    pub fn keys(&self) -> Vec<StoreKey> {
        self.state().objects.keys().cloned().collect()
    }
}

impl State {
    fn head(&self, key: &StoreKey) -> Option<ObjectInfo> {
        if let Some(bytes) = self.objects.get(key) {
            return Some(ObjectInfo { key: key.clone(), size: bytes.len() as u64, is_prefix: false, modified: None });
        }
        let has_children = key.is_root() || self.objects.keys().any(|other| other.starts_with(key));
        has_children.then(|| ObjectInfo { key: key.clone(), size: 0, is_prefix: true, modified: None })
    }

    fn list(&self, prefix: &StoreKey) -> Vec<ObjectInfo> {
        let mut children: Vec<StoreKey> = self
            .objects
            .keys()
            .filter_map(|key| key.strip_prefix(prefix)?.parts().next().and_then(|part| prefix.join_text(part).ok()))
            .collect();
        children.sort();
        children.dedup();
        children.iter().filter_map(|key| self.head(key)).collect()
    }
}

impl StoreReader for MemStore {
    fn list(&self, prefix: &StoreKey) -> Result<Vec<ObjectInfo>, StoreError> {
        Ok(self.state().list(prefix))
    }

    fn head(&self, key: &StoreKey) -> Result<Option<ObjectInfo>, StoreError> {
        Ok(self.state().head(key))
    }

    fn open(&self, key: &StoreKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, StoreError> {
        let bytes = self.state().objects.get(key).cloned();
        let bytes = bytes.ok_or_else(|| StoreError::NotFound { key: key.clone(), operation: Operation::Open })?;
        let range = range.unwrap_or(0..u64::MAX);
        let mut content = Cursor::new(bytes);
        content.set_position(range.start);
        Ok(Box::new(content.take(range.end.saturating_sub(range.start))))
    }

    fn local_dir(&self) -> Option<LocalDir> {
        None
    }

    fn describe(&self) -> String {
        "a store in memory".to_owned()
    }
}

impl Store for MemStore {
    fn lock_many(&self, scopes: &[LockScope], request: &LockRequest) -> Result<Box<dyn Session>, StoreError> {
        let mut wanted = scopes.to_vec();
        wanted.sort();
        wanted.dedup();
        let mut state = self.state();
        for scope in &wanted {
            let excludes = |held: LockScope| match scope {
                LockScope::Prune => matches!(held, LockScope::Prune | LockScope::Read),
                LockScope::Read => held == LockScope::Prune,
                LockScope::Backups | LockScope::Binlogs => held == *scope,
            };
            if let Some(holder) = state.holders.iter().find(|holder| excludes(holder.scope)) {
                return Err(StoreError::Locked { scope: holder.scope, holder: Box::new(holder.clone()) });
            }
        }
        let owner = Uuid::new_v4();
        state.holders.extend(wanted.iter().map(|scope| LockHolder {
            scope: *scope,
            owner,
            host: "memory".to_owned(),
            machine: None,
            boot_id: None,
            pid_namespace: None,
            pid: 1,
            pid_start: None,
            command: request.command.clone(),
            since: DateTime::UNIX_EPOCH,
            heartbeat: 0,
            heartbeat_at: None,
            children: Vec::new(),
        }));
        drop(state);
        Ok(Box::new(MemSession { store: self.clone(), owner, scopes: wanted }))
    }

    fn lock_holders(&self) -> Result<Vec<LockHolder>, StoreError> {
        let mut holders = self.state().holders.clone();
        holders.sort_by_key(|holder| (holder.scope, holder.since, holder.owner));
        Ok(holders)
    }
}

#[derive(Debug, Clone)]
struct Lease {
    store: MemStore,
    owner: Uuid,
    scopes: Vec<LockScope>,
}

#[derive(Debug)]
struct MemSession {
    store: MemStore,
    owner: Uuid,
    scopes: Vec<LockScope>,
}

impl MemSession {
    fn lease(&self) -> Lease {
        Lease { store: self.store.clone(), owner: self.owner, scopes: self.scopes.clone() }
    }

    fn unsupported<T>(&self, key: &StoreKey, operation: Operation) -> Result<T, StoreError> {
        Err(StoreError::Unsupported { key: key.clone(), operation, store: self.store.describe() })
    }
}

impl Lease {
    fn check(&self) -> Result<(), StoreError> {
        let state = self.store.state();
        for scope in &self.scopes {
            if !state.holders.iter().any(|holder| (holder.owner, holder.scope) == (self.owner, *scope)) {
                let other = |holder: &&LockHolder| holder.scope == *scope && *scope != LockScope::Read;
                let holder = state.holders.iter().find(other).cloned().map(Box::new);
                return Err(StoreError::LeaseLost { scope: *scope, holder });
            }
        }
        Ok(())
    }

    fn check_for(&self, key: &StoreKey, operation: Operation) -> Result<(), StoreError> {
        if !covers(&self.scopes, key) {
            return Err(StoreError::NotCovered { key: key.clone(), operation, held: self.scopes.clone() });
        }
        self.check()
    }
}

impl StoreReader for MemSession {
    fn list(&self, prefix: &StoreKey) -> Result<Vec<ObjectInfo>, StoreError> {
        self.store.list(prefix)
    }

    fn head(&self, key: &StoreKey) -> Result<Option<ObjectInfo>, StoreError> {
        self.store.head(key)
    }

    fn open(&self, key: &StoreKey, range: Option<Range<u64>>) -> Result<Box<dyn Read + Send>, StoreError> {
        self.store.open(key, range)
    }

    fn local_dir(&self) -> Option<LocalDir> {
        None
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

impl Session for MemSession {
    fn scopes(&self) -> &[LockScope] {
        &self.scopes
    }

    fn publish(&self, key: &StoreKey) -> Result<Box<dyn Publish>, StoreError> {
        let operation = Operation::Publish;
        self.lease().check_for(key, operation)?;
        if self.head(key)?.is_some() {
            return Err(StoreError::AlreadyExists { key: key.clone(), operation });
        }
        Ok(Box::new(MemPublish { lease: self.lease(), key: key.clone(), bytes: Vec::new() }))
    }

    fn replace(&self, key: &StoreKey, expected: Option<&Version>, bytes: &[u8]) -> Result<Version, StoreError> {
        self.lease().check_for(key, Operation::Replace)?;
        let mut state = self.store.state();
        let current = state.objects.get(key).cloned();
        let found = current.as_deref().map(Version::of);
        if found.as_ref() != expected {
            return Err(StoreError::VersionConflict { key: key.clone(), expected: expected.copied(), found });
        }
        let version = Version::of(bytes);
        if found != Some(version) {
            if let Some(current) = current {
                state.objects.insert(layout::previous(key), current);
            }
            state.objects.insert(key.clone(), bytes.into());
        }
        Ok(version)
    }

    fn create_dir(&self, key: &StoreKey) -> Result<PathBuf, StoreError> {
        self.unsupported(key, Operation::CreateDir)
    }

    fn sync_tree(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.unsupported(key, Operation::Sync)
    }

    fn remove(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.lease().check_for(key, Operation::Remove)?;
        self.store.state().objects.remove(key);
        Ok(())
    }

    fn remove_tree(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.lease().check_for(key, Operation::Remove)?;
        self.store.state().objects.retain(|other, _| !other.starts_with(key));
        Ok(())
    }

    fn check_lease(&self) -> Result<(), StoreError> {
        self.lease().check()
    }

    fn note_children(&self, groups: &[ProcessGroup]) -> Result<(), StoreError> {
        let mut state = self.store.state();
        for holder in state.holders.iter_mut().filter(|holder| holder.owner == self.owner) {
            holder.children = groups.to_vec();
        }
        Ok(())
    }

    fn release(self: Box<Self>) -> Result<(), StoreError> {
        self.check_lease()
    }
}

impl Drop for MemSession {
    fn drop(&mut self) {
        self.store.state().holders.retain(|holder| holder.owner != self.owner);
    }
}

#[derive(Debug)]
struct MemPublish {
    lease: Lease,
    key: StoreKey,
    bytes: Vec<u8>,
}

impl Write for MemPublish {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Publish for MemPublish {
    fn commit(self: Box<Self>) -> Result<ObjectInfo, StoreError> {
        self.lease.check()?;
        let MemPublish { lease, key, bytes } = *self;
        let mut state = lease.store.state();
        if state.head(&key).is_some() {
            return Err(StoreError::AlreadyExists { key, operation: Operation::Publish });
        }
        let size = bytes.len() as u64;
        state.objects.insert(key.clone(), bytes.into());
        Ok(ObjectInfo { key, size, is_prefix: false, modified: None })
    }

    fn abort(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}
