//! A pass over a tree, as a step of a plan: what is read, compared, copied and synced.

use crate::{model::TreeName, store::Digest};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A pass over a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassTree {
    /// What it is for, as a person would say it.
    pub title: String,
    /// The tree that is read.
    pub from: PathBuf,
    /// Where the copy goes; none: the tree is only read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PathBuf>,
    /// The backup and tree whose recorded digests every file must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<StoredTree>,
    /// The name under which the listing is kept for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_as: Option<TreeName>,
    /// What is on disk when the step ends.
    pub sync: SyncSide,
    /// Files worked on at the same time.
    pub threads: u32,
    /// How many bytes the tree holds, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What is to be on disk when a pass ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncSide {
    /// Nothing: the copy is a private one, which a power failure may take.
    Nothing,
    /// The tree that is read: another program wrote it, and nobody synced it yet.
    Source,
    /// The copy.
    Copy,
}

/// A tree of a backup in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTree {
    /// The backup's directory name.
    pub backup: String,
    /// Which of its trees.
    pub tree: TreeName,
    /// Digest of the list that holds the digests, where the store records one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_digest: Option<Digest>,
}
