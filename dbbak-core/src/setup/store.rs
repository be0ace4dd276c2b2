//! Whether the store can be read.

use super::Finding;
use crate::{catalog::Catalog, store::StoreError};
use serde::Serialize;
use std::io;

/// What is the matter with a store that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StoreTrouble {
    /// It is not there at all.
    Missing,
    /// It is closed to the user.
    Closed,
    /// A part of it is a symbolic link.
    Linked,
    /// Something that it needs is damaged, or cannot be read.
    Damaged,
}

/// The finding about a store that was read, or could not be.
pub(super) fn finding(catalog: Result<&Catalog, &StoreError>) -> Finding {
    let unusable = |problem, trouble| Finding::StoreUnusable { problem, trouble };
    match catalog {
        Ok(catalog) => Finding::Store {
            backups: catalog.backups.len(),
            binlogs: catalog.binlogs.len(),
            orphans: catalog.orphans.len(),
        },
        Err(error @ StoreError::Io { source, .. }) => {
            let closed = source.kind() == io::ErrorKind::PermissionDenied;
            let trouble = if closed { StoreTrouble::Closed } else { StoreTrouble::Damaged };
            unusable(format!("{error}: {source}"), trouble)
        }
        Err(error @ StoreError::Link { source, .. }) => unusable(format!("{error}: {source}"), StoreTrouble::Linked),
        Err(error @ StoreError::NotFound { .. }) => unusable(error.to_string(), StoreTrouble::Missing),
        Err(error) => unusable(error.to_string(), StoreTrouble::Damaged),
    }
}
