//! The trees that a backup may keep.

use serde::{Deserialize, Serialize};

/// The trees of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TreeName {
    /// As the tool wrote it.
    #[serde(rename = "raw")]
    Raw,
    /// Ready to accept incrementals.
    #[serde(rename = "prepared-redo")]
    PreparedRedo,
    /// Ready for a server to start on.
    #[serde(rename = "prepared-final")]
    PreparedFinal,
    /// A dump: statements that make the databases anew.
    #[serde(rename = "dump")]
    Dump,
}

impl TreeName {
    /// The directory's name in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            TreeName::Raw => "raw",
            TreeName::PreparedRedo => "prepared-redo",
            TreeName::PreparedFinal => "prepared-final",
            TreeName::Dump => "dump",
        }
    }
}
