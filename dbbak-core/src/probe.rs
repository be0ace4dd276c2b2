//! The read-only seam to the world: what a survey may ask, and nothing that changes anything.

use crate::tools::QueryCommand;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{
    fmt::Debug,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// Asks the world without changing it. Dry runs and read-only commands hold a probe and never an executor.
pub trait Probe: Debug + Send + Sync {
    /// Runs a command that only reads (a version, a query) and waits for its end.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Start`] when the program cannot be started; a failing program is an answer, not an error.
    fn query(&self, query: &QueryCommand) -> Result<QueryOutput, ProbeError>;

    /// The first of the program names that stands on the search path, as an absolute path.
    fn find_program(&self, names: &[&str]) -> Option<PathBuf>;

    /// What stands at a path; symbolic links are followed.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`] for everything but a missing path.
    fn path_state(&self, path: &Path) -> Result<PathState, ProbeError>;

    /// Whom a path belongs to, and its mode; `None`: nothing is there. Asked where this process is root alone.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`] for everything but a missing path.
    fn access(&self, path: &Path) -> Result<Option<Access>, ProbeError>;

    /// When a file was made, as its file system says (`statx(2)`, `stx_btime`); symbolic links are followed. `None`: nothing is there, or the
    /// file system does not keep it.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`] for everything but a missing path.
    fn born(&self, path: &Path) -> Result<Option<DateTime<Utc>>, ProbeError>;

    /// What the user of this process may not read: of the directories above a path the first that it may not enter, then of the
    /// path and what lies below it. The user's own rights count (`access(2)`), those of a capability are told beside them.
    /// At most [`CLOSED_LIMIT`] are named; what is not there, and what vanishes meanwhile, is none.
    fn closed(&self, path: &Path) -> Vec<ClosedPath>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`], also for a missing directory.
    fn list_dir(&self, path: &Path) -> Result<Vec<String>, ProbeError>;

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`], also for a missing file.
    fn open_file(&self, path: &Path) -> Result<Box<dyn Read + Send>, ProbeError>;

    /// The file system that holds a path, or would hold it: the nearest existing parent answers.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`] when no parent can be looked at.
    fn filesystem(&self, path: &Path) -> Result<Filesystem, ProbeError>;

    /// Bytes and files below a directory; what vanishes meanwhile is passed over.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`] when the directory cannot be read.
    fn tree_size(&self, path: &Path) -> Result<TreeSize, ProbeError>;

    /// The files below a directory, in any order; what vanishes meanwhile is passed over. An empty directory below it is one too, with
    /// a `/` at its end, of size and time 0.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Io`] when the directory cannot be read.
    fn tree_files(&self, path: &Path) -> Result<Vec<FileState>, ProbeError>;

    /// What is known of the machine and of this process.
    fn host(&self) -> HostFacts;
}

/// What a command that only reads has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryOutput {
    /// The exit status; `None` when a signal ended the program.
    pub code: Option<i32>,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, invalid UTF-8 replaced.
    pub stderr: String,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathState {
    /// Nothing.
    Missing,
    /// A file.
    File {
        /// Bytes.
        size: u64,
        /// Permission bits.
        mode: u32,
        /// The owner's user id.
        owner: u32,
    },
    /// A directory.
    Directory {
        /// Whether nothing lies in it.
        empty: bool,
        /// Permission bits.
        mode: u32,
        /// The owner's user id.
        owner: u32,
        /// Whether this process may create files in it.
        writable: bool,
    },
    /// Something else: a socket, a device.
    Other,
}

/// Whom a file or directory belongs to, and what its mode lets others do. Access control lists are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The owner's number.
    pub owner: u32,
    /// The group's number.
    pub group: u32,
    /// Permission bits.
    pub mode: u32,
}

/// How many closed paths are named.
pub const CLOSED_LIMIT: usize = 1000;

/// A path that the user of this process may not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedPath {
    /// The path.
    pub path: PathBuf,
    /// What it may not do with it.
    pub right: ReadRight,
    /// Whom it belongs to, and its mode; `None`: it cannot be looked at.
    pub access: Option<Access>,
    /// Whether this process may all the same, by a capability.
    pub by_capability: bool,
    /// Whether programs that it starts may too: they keep ambient capabilities alone.
    pub inherited: bool,
}

/// What reading takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadRight {
    /// Passing through a directory.
    Enter,
    /// Listing a directory and entering it.
    List,
    /// Reading a file.
    Read,
}

/// A file system as far as a plan needs to know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Bytes that this process may still write.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Whether it is reached through the network (NFS, CIFS, FUSE), where no prepare may run.
    pub network: bool,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Tells file systems apart: a rename works only inside one.
    pub device: u64,
}

/// The size of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeSize {
    /// Bytes of all files.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
}

/// A file of a tree, by what a look at it from outside tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// Path below the tree's root, with slashes.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was changed last, nanoseconds since 1970.
    pub changed: i128,
}

/// What is known of the machine and of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The host's name.
    pub name: String,
    /// Seconds that local time is ahead of UTC.
    pub utc_offset_seconds: i32,
    /// The name of the system's time zone, where it has one.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// Whether this process is root.
    pub root: bool,
    /// The user that this process is, where that is known.
    #[serde(default)]
    pub uid: Option<u32>,
    /// A directory for short paths (sockets), as the caller's environment names it.
    pub temp_dir: PathBuf,
}

/// Why the world could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path could not be looked at.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `list`.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
