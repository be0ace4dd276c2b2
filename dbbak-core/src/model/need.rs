//! What a logged statement needs of the server that it is applied to.

use serde::{Deserialize, Serialize};

/// What a statement needs of the server that it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// A storage engine.
    Engine,
    /// An authentication plugin.
    Login,
    /// Any storage engine: the statement is too long to be read to its end.
    AnyEngine,
}

impl Need {
    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Need::Engine | Need::AnyEngine => "storage engine",
            Need::Login => "authentication plugin",
        }
    }
}
