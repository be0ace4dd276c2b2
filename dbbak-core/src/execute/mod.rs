//! The seams behind which effects happen, and the walk through the steps of a plan.

mod batches;
mod blame;
mod catch_up;
mod channels;
mod chunks;
mod clone;
mod copies;
mod custody;
mod dead_runs;
mod dump;
mod error;
mod examine;
mod executor;
mod feeder;
mod fetch;
mod files;
mod follow;
mod growth;
mod gtid_text;
mod halfway;
mod hazards;
mod invoker;
mod journal;
mod keyring;
mod lacking;
mod landmarks;
mod lease_watch;
mod load;
mod log_mask;
mod lost_tables;
mod mend;
mod opened;
mod origins;
mod outcome;
mod pace;
mod password;
mod prepare_options;
mod proof;
mod proof_line;
mod read_ahead;
mod read_backup;
mod ready;
mod reindex;
mod relay;
mod relay_logs;
mod remote_clone;
mod renames;
mod replay;
mod reporter;
mod run_dir;
mod running;
mod rut;
mod ship;
mod summary;
mod tablespaces;
mod temporaries;
mod ties;
mod tree;
mod tree_owner;
mod unpack;
mod untold;
mod walk;

pub use copies::CopyState;
pub use error::ExecuteError;
pub use executor::{ExecError, Executor, ExitStatus, MemberExit, Process};
pub use journal::JournalWriter;
pub use lease_watch::LeaseWatch;
pub use opened::in_own_directory;
pub use outcome::{IndexedBinlog, NewBackup, Outcome};
pub use reindex::describe_stored;
pub use reporter::{Event, Reporter, Silent};
pub use tree::{ExpectedFiles, TreeError, TreeFile, TreeListing, TreePass, walk_tree};
pub use walk::{Effects, Walk, discard, kept_keyring, write_report};

use std::io;

/// A signal on its way through readers and writers.
#[derive(Debug, thiserror::Error)]
#[error("interrupted by signal {0}")]
struct Interruption(i32);

/// An error that ends a copy because the user asked to stop.
fn interruption(signal: i32) -> io::Error {
    io::Error::other(Interruption(signal))
}

/// The signal, if that is why a copy ended.
fn interrupted_by(error: &io::Error) -> Option<i32> {
    error.get_ref()?.downcast_ref::<Interruption>().map(|interruption| interruption.0)
}
