//! Asks the world and the store what must be known before deciding, and keeps the answers as facts.

mod broken;
mod closed;
mod copies;
mod crossing;
mod cut;
mod edges;
mod halfway;
mod indexes;
mod journal;
mod log_clock;
mod owner;
mod past;
mod paths;
mod prison;
mod remote;
mod restored;
mod server;
mod source;
mod standing;
mod stored;
mod tools;
mod window;

pub use broken::broken_tables;
pub use copies::copies_of_listed;
pub use halfway::done_place;
pub use indexes::transaction_indexes;
pub use journal::journal;
pub use log_clock::LogClock;
pub use owner::owner;
pub use past::past;
pub use paths::{backup_paths, check_paths, fetch_paths, restore_paths};
pub use prison::prison;
pub use remote::{reader_of, remote_binlogs};
pub use restored::{data_born, restored};
pub use server::{client_of, clone_facts, dump_facts, encryption, live_server, server};
pub use source::{listed_in, source_binlogs};
pub use standing::standing;
pub use stored::{leave_prepared_aside, stored_chain};
pub use tools::{install_db, tools};
pub use window::{WindowFindings, window, window_within};

use crate::{
    binlog::{self, BinlogError, Transaction},
    catalog::Catalog,
    facts::{CrossingFact, Facts},
    model::{BinlogCoordinates, BinlogName, BinlogPosition, Goal, Stamp},
    probe::{Probe, ProbeError},
    store::{BinlogEntry, StoreError, StoreReader, open_binlog},
    tools::{CommandError, ReaderError},
};
use std::{ops::ControlFlow, path::PathBuf};

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
    /// The server did not deliver the first events of a binlog.
    #[error("cannot read binlog {file} from the server: {source}: {}", source.lines.join("; "))]
    Remote {
        /// The file.
        file: BinlogName,
        /// How the binlog reader ended.
        source: ReaderError,
    },
    /// What the server delivered of a binlog's first events cannot be understood.
    #[error("cannot read the first events of binlog {file} from the server: {problem}")]
    RemoteHead {
        /// The file.
        file: BinlogName,
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

/// Finds where a goal cuts each timeline of the archive, or the one that is named and those that go on in it.
///
/// # Errors
///
/// When an archived binlog cannot be read.
pub fn cuts(
    facts: &mut Facts,
    store: &dyn StoreReader,
    catalog: &Catalog,
    goal: &Goal,
    timeline: Option<&str>,
) -> Result<(), SurveyError> {
    for line in catalog.timelines() {
        let goes_on = |id: &str| facts.crossings.iter().any(|fact| fact.from == line.id && fact.to == id);
        if timeline.is_none_or(|id| line.id == id || goes_on(id)) {
            facts.cuts.push(cut::find_cut(store, &line, goal)?);
        }
    }
    Ok(())
}

/// Finds where one server's binlogs go on in another's, for each pair of gap-free pieces of which the index allows it. A
/// binlog that cannot be read proves nothing, and that is what the fact says then.
pub fn crossings(store: &dyn StoreReader, catalog: &Catalog) -> Vec<CrossingFact> {
    catalog.passages().iter().map(|passage| crossing::find_crossing(store, catalog, passage)).collect()
}

/// Looks at what stands on both sides of a place in a timeline, the place that a restore ends at. With `from`, where the
/// replay starts, the times in between are looked at too.
///
/// # Errors
///
/// When an archived binlog cannot be read.
pub fn edges(
    facts: &mut Facts,
    store: &dyn StoreReader,
    catalog: &Catalog,
    timeline: &str,
    (from, at): (Option<&BinlogPosition>, &BinlogPosition),
    goal: Option<&Goal>,
) -> Result<(), SurveyError> {
    if let Some(line) = catalog.timelines().into_iter().find(|line| line.id == timeline) {
        facts.edges.extend(edges::find_edges(store, &line, (from, at), goal)?);
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

/// Goes through the whole transactions of an archived file.
fn scanned(
    store: &dyn StoreReader,
    file: &BinlogEntry,
    sink: &mut dyn FnMut(&Transaction) -> ControlFlow<()>,
) -> Result<binlog::FileScan, SurveyError> {
    let mut input = open_binlog(store, file)?;
    binlog::scan(&mut input, sink)
        .map_err(|source| SurveyError::Binlog { stored_as: file.stored_as.to_string(), source })
}
