//! A command together with the file that takes what it says.

use super::command::CommandSpec;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One member of a pipeline: a command, and the file that takes its standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The command.
    pub command: CommandSpec,
    /// Standard error is appended to this file.
    pub log: PathBuf,
}
