//! Taking locks: creating the files, waiting, and taking over from the dead.
//!
//! A reader and a pruner each create their own file first and look for the other's afterwards, so at least one of them
//! sees the other. Both files lie in one directory: creating one makes an NFS client look at the directory afresh.

use super::{
    files::Files,
    judge::{Verdict, end_children, judge},
    owner::{self, Owner},
    processes::{ProcessIdentity, Processes},
};
use crate::store::{LockHolder, LockScope, StoreError, StoreKey, layout};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// One attempt to take locks.
#[derive(Debug)]
pub(super) struct Contender<'a> {
    files: &'a Files,
    processes: &'a dyn Processes,
    here: &'a ProcessIdentity,
    owner: &'a Owner,
    deadline: Duration,
    watches: BTreeMap<StoreKey, Watch>,
}

/// How long one holder has been silent, as far as it was watched.
#[derive(Debug)]
struct Watch {
    owner: Uuid,
    heartbeat: u64,
    silence: Duration,
    last_look: Duration,
    /// Whether a sign of life was seen.
    moved: bool,
}

/// What came of an attempt to take over.
#[derive(Debug)]
enum Takeover {
    /// The dead owner's lock is gone.
    Done,
    /// Something changed meanwhile: the lock is to be looked at again.
    Changed,
    /// Someone else is taking over.
    Claimed(Box<LockHolder>),
}

impl<'a> Contender<'a> {
    pub(super) fn new(
        files: &'a Files,
        processes: &'a dyn Processes,
        here: &'a ProcessIdentity,
        owner: &'a Owner,
    ) -> Self {
        let deadline = files.clock.monotonic().saturating_add(owner.request().wait);
        Contender { files, processes, here, owner, deadline, watches: BTreeMap::new() }
    }

    /// Takes one lock, waiting as the request says.
    pub(super) fn take(&mut self, scope: LockScope) -> Result<(), StoreError> {
        let key = layout::lock(scope, self.owner.id());
        while !self.files.create_lock(&key, &self.owner.holder(scope))? {
            self.get_past(&key, scope)?;
        }
        let settled = match scope {
            LockScope::Prune => self.outlast_readers(),
            LockScope::Read => self.outlast_pruner(&key),
            LockScope::Backups | LockScope::Binlogs => Ok(()),
        };
        settled.inspect_err(|_| self.give_back(scope))
    }

    /// Gives a lock back that this attempt took, as far as that is possible.
    pub(super) fn give_back(&self, scope: LockScope) {
        let _ = self.files.take_away_lock(&layout::lock(scope, self.owner.id()), scope, self.owner.id());
    }

    /// Waits until no read lease of anyone else's is left.
    fn outlast_readers(&mut self) -> Result<(), StoreError> {
        loop {
            let own = layout::lock(LockScope::Read, self.owner.id());
            let Some(lease) = self.files.read_leases()?.into_iter().find(|lease| *lease != own) else {
                return Ok(());
            };
            self.get_past(&lease, LockScope::Read)?;
        }
    }

    /// Waits until nobody else prunes. Meanwhile our own lease is taken back, lest both wait for each other.
    fn outlast_pruner(&mut self, lease: &StoreKey) -> Result<(), StoreError> {
        let prune = layout::lock(LockScope::Prune, Uuid::nil());
        loop {
            match self.files.read_lock(&prune, LockScope::Prune)? {
                Some(pruner) if pruner.owner != self.owner.id() => {}
                _ => return Ok(()),
            }
            self.files.take_away_lock(lease, LockScope::Read, self.owner.id())?;
            self.get_past(&prune, LockScope::Prune)?;
            self.files.create_lock(lease, &self.owner.holder(LockScope::Read))?;
        }
    }

    /// Returns when the lock is worth another attempt: its holder is gone, or a little time has passed.
    fn get_past(&mut self, key: &StoreKey, scope: LockScope) -> Result<(), StoreError> {
        let Some(holder) = self.files.read_lock(key, scope)? else {
            return Ok(());
        };
        let blocker = if self.is_dead(key, &holder) {
            match self.take_over(key, &holder)? {
                Takeover::Done | Takeover::Changed => return Ok(()),
                Takeover::Claimed(claimer) => claimer,
            }
        } else {
            Box::new(holder)
        };
        let now = self.files.clock.monotonic();
        let watching = self.may_be_dead(key, &blocker);
        if now >= self.deadline && !watching {
            return Err(StoreError::Locked { scope, holder: blocker });
        }
        let rest = self.deadline.saturating_sub(now);
        self.files.clock.sleep(if watching { self.poll() } else { self.poll().min(rest) });
        Ok(())
    }

    /// Whether a holder elsewhere looks dead and has shown no sign of life since it is watched: then it is watched on, also
    /// by a request that would not wait, until its silence proves it or it gives a sign. Its clock only says whether that is
    /// worth the time: a holder that lives, and whose clock is wrong, is told by its next heartbeat.
    fn may_be_dead(&self, key: &StoreKey, holder: &LockHolder) -> bool {
        let stale = chrono::TimeDelta::from_std(self.owner.request().stale_after).unwrap_or(chrono::TimeDelta::MAX);
        let looks_dead = match holder.heartbeat_at {
            Some(at) => (self.files.clock.now() - at).abs() > stale,
            None => (self.files.clock.now() - holder.since).abs() > stale,
        };
        let silent = self
            .watches
            .get(key)
            .is_some_and(|watch| !watch.moved && (watch.owner, watch.heartbeat) == (holder.owner, holder.heartbeat));
        looks_dead && silent && judge(holder, self.here, self.processes) == Verdict::OutOfSight
    }

    /// The time between two looks at a lock.
    fn poll(&self) -> Duration {
        self.owner.request().heartbeat / 5
    }

    fn is_dead(&mut self, key: &StoreKey, holder: &LockHolder) -> bool {
        match judge(holder, self.here, self.processes) {
            Verdict::Dead => true,
            Verdict::Alive => false,
            Verdict::OutOfSight => self.silence(key, holder) >= self.owner.request().stale_after,
        }
    }

    /// How long a holder has shown no new heartbeat, by our own clock since we watch. A look that comes late, because we
    /// were suspended ourselves, counts as little as one in time.
    fn silence(&mut self, key: &StoreKey, holder: &LockHolder) -> Duration {
        let now = self.files.clock.monotonic();
        let longest = self.poll().saturating_mul(2);
        let watch = self.watches.entry(key.clone()).or_insert(Watch {
            owner: holder.owner,
            heartbeat: holder.heartbeat,
            silence: Duration::ZERO,
            last_look: now,
            moved: false,
        });
        if (watch.owner, watch.heartbeat) == (holder.owner, holder.heartbeat) {
            watch.silence += now.saturating_sub(watch.last_look).min(longest);
        } else {
            watch.moved = watch.owner == holder.owner;
            (watch.owner, watch.heartbeat, watch.silence) = (holder.owner, holder.heartbeat, Duration::ZERO);
        }
        watch.last_look = now;
        watch.silence
    }

    /// Takes a dead owner's lock away.
    ///
    /// One contender alone does so at a time: the one that created the claim, which is named by the dead owner. It then
    /// looks again, because whoever held the claim before may have finished. A claim is itself a lock file, so that of a
    /// contender that died is taken over in the same way.
    fn take_over(&mut self, key: &StoreKey, dead: &LockHolder) -> Result<Takeover, StoreError> {
        let claim_key = layout::takeover(dead.owner);
        let request = self.owner.request();
        let now = self.files.clock.now();
        let claim = owner::holder(self.here, dead.scope, Uuid::new_v4(), &request.command, now);
        let began = self.files.clock.monotonic();
        if !self.files.create_lock(&claim_key, &claim)? {
            let Some(claimer) = self.files.read_lock(&claim_key, dead.scope)? else {
                return Ok(Takeover::Changed);
            };
            if self.is_dead(&claim_key, &claimer) {
                return match self.take_over(&claim_key, &claimer)? {
                    Takeover::Done => Ok(Takeover::Changed),
                    other => Ok(other),
                };
            }
            return Ok(Takeover::Claimed(Box::new(claimer)));
        }
        let taken = self.take_over_under_claim(key, dead, began);
        self.files.take_away_lock(&claim_key, dead.scope, claim.owner)?;
        Ok(if taken? { Takeover::Done } else { Takeover::Changed })
    }

    fn take_over_under_claim(&self, key: &StoreKey, dead: &LockHolder, began: Duration) -> Result<bool, StoreError> {
        let request = self.owner.request();
        let is_same = |holder: &LockHolder| (holder.owner, holder.heartbeat) == (dead.owner, dead.heartbeat);
        if !self.files.read_lock(key, dead.scope)?.is_some_and(|holder| is_same(&holder)) {
            return Ok(false);
        }
        end_children(dead, self.here, self.processes, self.files, request.kill_patience)?;
        // Others may take our claim for a dead one's when it is this old: then we start again.
        if self.files.clock.monotonic().saturating_sub(began) > request.stale_after / 2 {
            return Ok(false);
        }
        let taken = self.files.take_away_lock(key, dead.scope, dead.owner)?;
        if taken {
            self.files.remove(&layout::heartbeat(dead.owner))?;
        }
        Ok(taken)
    }
}
