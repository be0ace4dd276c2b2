//! Asks the world and the store what must be known before deciding, and keeps the answers as facts.

mod cut;
mod paths;
mod server;
mod source;
mod stored;
mod tools;

pub use cut::LogClock;
pub use paths::{backup_paths, check_paths, restore_paths};
pub use server::{client_of, live_server, server};
pub use source::{listed_in, source_binlogs};
pub use stored::stored_chain;
pub use tools::tools;

use crate::{
    binlog::BinlogError,
    catalog::Catalog,
    facts::Facts,
    model::{BinlogCoordinates, Stamp},
    probe::{Probe, ProbeError},
    store::{BinlogEntry, StoreError, StoreReader},
    tools::CommandError,
};
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// Why the world could not be asked. A server that does not answer, or a missing tool, is a fact and no error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SurveyError {
    /// A path or a program could not be looked at.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An archived binlog cannot be read.
    #[error("archived binlog {stored_as} cannot be read")]
    Binlog {
        /// Its name in the store.
        stored_as: String,
        /// What is wrong with it.
        source: BinlogError,
    },
    /// The server's binlog index cannot be read.
    #[error("{} names no binlog in line {line}: {text:?}", path.display())]
    IndexLine {
        /// The index file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The text.
        text: String,
    },
    /// A file in a backup cannot be understood.
    #[error("cannot read {what} of backup {backup}: {problem}")]
    BackupFile {
        /// The backup.
        backup: Stamp,
        /// The file.
        what: String,
        /// What is wrong.
        problem: String,
    },
    /// A question cannot be put together.
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Facts about the machine alone.
pub fn host(probe: &dyn Probe) -> Facts {
    Facts::of_host(probe.host())
}

/// Finds where a moment cuts each timeline of the archive.
///
/// # Errors
///
/// When an archived binlog cannot be read.
pub fn cuts(
    facts: &mut Facts,
    store: &dyn StoreReader,
    catalog: &Catalog,
    target: DateTime<Utc>,
) -> Result<(), SurveyError> {
    for timeline in catalog.timelines() {
        facts.cuts.push(cut::find_cut(store, &timeline, target)?);
    }
    Ok(())
}

/// Looks at the place in the archive that a backup's coordinates name.
///
/// # Errors
///
/// When the archived binlog cannot be read.
pub fn start(
    facts: &mut Facts,
    store: &dyn StoreReader,
    backup: Stamp,
    file: &BinlogEntry,
    coordinates: &BinlogCoordinates,
) -> Result<(), SurveyError> {
    facts.starts.push(cut::find_start(store, backup, file, coordinates)?);
    Ok(())
}
