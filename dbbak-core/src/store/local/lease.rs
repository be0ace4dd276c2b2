//! The locks that a session stands on.

use super::{
    contend::Contender,
    files::Files,
    owner::Owner,
    processes::{ProcessIdentity, Processes},
};
use crate::store::{LockRequest, LockScope, Operation, ProcessGroup, StoreError, StoreKey, covers, layout};
use std::sync::atomic::{AtomicBool, Ordering};

/// Locks that are held, together with the heartbeat that keeps them.
#[derive(Debug)]
pub(super) struct Lease {
    files: Files,
    owner: Owner,
    scopes: Vec<LockScope>,
    released: AtomicBool,
    /// Whether the store was changed under it, or its reserve given up.
    changed: AtomicBool,
}

impl Lease {
    /// Takes the locks, all or none. Where no room is left for them and they are to make some, the reserve gives it.
    pub(super) fn take(
        files: &Files,
        processes: &dyn Processes,
        scopes: &[LockScope],
        request: &LockRequest,
    ) -> Result<Self, StoreError> {
        match Lease::take_once(files, processes, scopes, request) {
            Err(StoreError::NoSpace { .. }) if scopes.contains(&LockScope::Prune) && files.give_up_reserve() => {
                Lease::take_once(files, processes, scopes, request).inspect(Lease::note_change)
            }
            taken => taken,
        }
    }

    fn take_once(
        files: &Files,
        processes: &dyn Processes,
        scopes: &[LockScope],
        request: &LockRequest,
    ) -> Result<Self, StoreError> {
        let here: ProcessIdentity = processes.identity();
        files.create_dirs(&layout::locks())?;
        files.create_dirs(&layout::tmp())?;
        let owner = Owner::start(files, &here, request)?;
        // One order for all, so that two that want the same locks never wait for each other.
        let mut wanted = scopes.to_vec();
        wanted.sort();
        wanted.dedup();
        let mut contender = Contender::new(files, processes, &here, &owner);
        let mut held = Vec::with_capacity(wanted.len());
        for scope in wanted {
            if let Err(error) = contender.take(scope) {
                held.into_iter().rev().for_each(|scope| contender.give_back(scope));
                return Err(error);
            }
            held.push(scope);
        }
        let (released, changed) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Lease { files: files.clone(), owner, scopes: held, released, changed })
    }

    /// Notes that the store is changed.
    pub(super) fn note_change(&self) {
        self.changed.store(true, Ordering::Release);
    }

    pub(super) fn scopes(&self) -> &[LockScope] {
        &self.scopes
    }

    /// Checks that the locks cover a place and still hold.
    pub(super) fn check_for(&self, key: &StoreKey, operation: Operation) -> Result<(), StoreError> {
        if !covers(&self.scopes, key) {
            return Err(StoreError::NotCovered { key: key.clone(), operation, held: self.scopes.clone() });
        }
        self.check()
    }

    /// Checks that the locks still hold.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.owner.has_been_silent() {
            // Someone may be about to take over: they claim and then look at our heartbeat, so we write it and then
            // look for their claim. At least one sees the other.
            self.owner.beat()?;
            let claim = layout::takeover(self.owner.id());
            if let Some(scope) = self.scopes.first()
                && let Some(claimer) = self.files.read_lock(&claim, *scope)?
            {
                return Err(StoreError::LeaseLost { scope: claimer.scope, holder: Some(Box::new(claimer)) });
            }
        }
        for scope in &self.scopes {
            let holder = match self.released.load(Ordering::Acquire) {
                true => None,
                false => self.files.read_lock(&layout::lock(*scope, self.owner.id()), *scope)?,
            };
            if holder.as_ref().is_none_or(|holder| holder.owner != self.owner.id()) {
                return Err(StoreError::LeaseLost { scope: *scope, holder: holder.map(Box::new) });
            }
        }
        Ok(())
    }

    pub(super) fn note_children(&self, groups: &[ProcessGroup]) -> Result<(), StoreError> {
        self.owner.note_children(groups)
    }

    /// Gives the locks back; the second time does nothing.
    pub(super) fn release(&self) -> Result<(), StoreError> {
        if self.released.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let mut outcome = self.owner.stop();
        for scope in self.scopes.iter().rev() {
            let key = layout::lock(*scope, self.owner.id());
            let released = match self.files.take_away_lock(&key, *scope, self.owner.id()) {
                Ok(true) => Ok(()),
                Ok(false) => {
                    let holder = self.files.read_lock(&key, *scope).ok().flatten().map(Box::new);
                    Err(StoreError::LeaseLost { scope: *scope, holder })
                }
                Err(error) => Err(error),
            };
            outcome = outcome.and(released);
        }
        if self.changed.load(Ordering::Acquire) {
            self.files.keep_reserve();
        }
        outcome
    }
}
