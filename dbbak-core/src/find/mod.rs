//! Finds transactions: in the archive by its transaction indexes, and in binlogs that are not archived yet by reading
//! them. Reads alone.

mod block;
mod hit;
mod local;
mod pattern;
mod request;
mod search;

pub use hit::{Hit, HitTable, RestorePoint};
pub use local::{LocalFind, find_local};
pub use pattern::{PatternError, TablePattern};
pub use request::FindRequest;
pub use search::{Found, Unsearched, find_archived};

use crate::{probe::ProbeError, store::StoreError, survey::SurveyError};

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A directory or a file cannot be looked at.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The list of binlogs in a directory cannot be made out.
    #[error(transparent)]
    Survey(#[from] SurveyError),
    /// There is no such timeline.
    #[error("there is no timeline {id}; there are: {}", known.join(", "))]
    NoTimeline {
        /// The timeline that was named.
        id: String,
        /// Those of the archive.
        known: Vec<String>,
    },
}
