//! What dbbak knows of other programs: their names and versions, the arguments that they take, the text and the files
//! that they leave.
//!
//! Nothing here runs a program, reads a file or knows the time: argument builders return [`CommandSpec`] values, and
//! parsers take bytes. The formats and rules were read off real programs and their sources; each item names its own.

mod command;
mod names;
mod tool;

pub use command::{Arg, CommandError, CommandSpec, MASK, QueryCommand, Secret, Stdin, shell_quoted, version_query};
pub use names::{SERVER_DIRS, names_for};
pub use tool::{
    Family, Flavor, ToolKind, ToolRole, ToolVersion, Version, VersionError, parse_server_version, parse_version,
};
