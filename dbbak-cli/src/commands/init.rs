//! `dbbak init`.

use crate::{CommandError, context::Context, exit_code, output};
use dbbak_core::{
    clock::Clock,
    record::record_layout,
    store::{LockRequest, LockScope, Store, StoreError, StoreFile},
};
use serde_json::json;
use uuid::Uuid;

pub(super) fn run(context: &Context) -> Result<u8, CommandError> {
    let root = context.root();
    // A missing mount must not be filled in by a directory of the same name: only the last component is made.
    if root.parent().is_some_and(|parent| !parent.exists()) {
        return Err(CommandError::NoParent { root: root.to_owned() });
    }
    if !root.exists()
        && let Err(source) = std::fs::create_dir(root)
    {
        let key = dbbak_core::store::StoreKey::root();
        let operation = dbbak_core::store::Operation::CreateDir;
        return Err(StoreError::from_io(&key, operation, source).into());
    }
    let session =
        context.store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("dbbak init"))?;
    let file = StoreFile::new(Uuid::new_v4(), context.clock.now());
    let created = record_layout(&*session, &file)?;
    session.release()?;
    if context.json {
        let created: Vec<String> = created.iter().map(ToString::to_string).collect();
        output::json(&json!({ "version": 1, "store": root, "created": created }))?;
    } else if created.is_empty() {
        output::text(&format!("{} is a store already\n", root.display()))?;
    } else {
        output::text(&format!("{} is a store now\n", root.display()))?;
    }
    Ok(exit_code::DONE)
}
