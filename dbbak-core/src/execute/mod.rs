//! The seams behind which effects happen, and the walk through the steps of a plan.

mod executor;
mod reporter;
mod tree;

pub use executor::{ExecError, Executor, ExitStatus, Launch, MemberExit, Process};
pub use reporter::{Event, Reporter, Silent};
pub use tree::{SyncSide, TreeError, TreeFile, TreeListing, TreePass, walk_tree};
