//! Whom a program runs as where dbbak is root, and what it finds of directories that only root may enter.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The user that a program runs as, without root's rights and without other groups. Only root can start one so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAs {
    /// The user's name, or its number where the system has no name for it.
    pub name: String,
    /// The user's number, not 0.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Where it makes its temporary files; dbbak's own place for them may be closed to it.
    pub tmpdir: PathBuf,
    /// Directories that the user may not enter, and below which the program has work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub screens: Vec<Screen>,
}

/// A directory that a program finds empty but for what it needs of it. It is covered in a mount namespace of the program's own:
/// nobody else sees a change, and the directory's mode stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Screen {
    /// The directory.
    pub over: PathBuf,
    /// Directories below it that are seen, at their own paths.
    pub shown: Vec<PathBuf>,
}
