//! Tests of the stores: what all must do, faults of the file system, locks, damage, and the index at length.

mod children;
mod conformance;
mod damage;
mod faults;
mod index;
mod locks;

use dbbak_core::store::{LocalStore, local::LocalParts};
use tempfile::TempDir;

/// An empty directory that is removed at the end of the test.
fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A local store made of these parts.
fn local(directory: &TempDir, parts: &LocalParts) -> LocalStore {
    LocalStore::with(directory.path(), parts.clone())
}
