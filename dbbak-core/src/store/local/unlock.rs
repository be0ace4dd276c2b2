//! Takes locks away at a person's word.

use super::{
    LocalStore,
    judge::{Verdict, end_children, judge},
};
use crate::store::{LockHolder, LockRequest, LockScope, Operation, Session, Store, StoreError, StoreKey, layout};
use std::io::Write;
use uuid::Uuid;

impl LocalStore {
    /// Takes the locks of these scopes away from their holders, all holders without any, and notes the reason in the store's
    /// logs. A holder that still lives elsewhere finds out at its next write. What a dead holder of this machine left running
    /// is ended first. Returns whose locks they were.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when a holder's process runs on this machine: end it instead; nothing is taken away then.
    /// [`StoreError::ChildrenAlive`]; others when the store cannot be written.
    pub fn unlock(&self, scopes: &[LockScope], reason: &str) -> Result<Vec<LockHolder>, StoreError> {
        let here = self.processes.identity();
        let mut holders = self.lock_holders()?;
        holders.retain(|holder| scopes.is_empty() || scopes.contains(&holder.scope));
        for holder in &holders {
            if judge(holder, &here, &*self.processes) == Verdict::Alive {
                return Err(StoreError::Locked { scope: holder.scope, holder: Box::new(holder.clone()) });
            }
        }
        let patience = LockRequest::new("").kill_patience;
        for holder in &holders {
            end_children(holder, &here, &*self.processes, &self.files, patience)?;
            let key = layout::lock(holder.scope, holder.owner);
            if self.files.take_away_lock(&key, holder.scope, holder.owner)? {
                self.files.remove(&layout::heartbeat(holder.owner))?;
            }
        }
        if !holders.is_empty() {
            self.note_unlock(&holders, reason)?;
        }
        Ok(holders)
    }

    fn note_unlock(&self, holders: &[LockHolder], reason: &str) -> Result<(), StoreError> {
        let session = self.lock(LockScope::Read, &LockRequest::new("dbbak unlock"))?;
        let name =
            format!("logs/unlock-{}-{}.log", self.files.clock.now().format("%Y-%m-%dT%H-%M-%SZ"), Uuid::new_v4());
        let Ok(key) = StoreKey::new(name) else { return Ok(()) };
        let mut file = session.publish(&key)?;
        let mut text = format!("reason: {}\n", reason.replace(['\n', '\r'], " "));
        holders.iter().for_each(|holder| text.push_str(&format!("{} lock of {holder}\n", holder.scope)));
        file.write_all(text.as_bytes()).map_err(|error| StoreError::from_io(&key, Operation::Write, error))?;
        file.commit()?;
        Session::release(session)
    }
}
