//! The seam behind which programs run.

use crate::tools::Launch;
use serde::{Deserialize, Serialize};
use std::{
    fmt,
    io::{self, Read, Write},
    path::PathBuf,
    time::Duration,
};

/// Starts programs. The real one is `dbbak_cli::DuctExecutor`; an embedder may bring its own.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Starts a pipeline: each member's standard output is the next one's standard input. Every member runs in a
    /// process group of its own and dies when this process dies.
    ///
    /// # Errors
    ///
    /// [`ExecError`] when a member cannot be started; those already started have been killed.
    fn spawn(&self, members: &[Launch]) -> Result<Box<dyn Process>, ExecError>;
}

/// Running programs. Dropping it kills what still runs.
pub trait Process: fmt::Debug + Send {
    /// The process groups, one a member.
    fn groups(&self) -> Vec<u32>;

    /// The first member's standard input, once, where its command asks for a pipe.
    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>>;

    /// The last member's standard output, once.
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>>;

    /// Waits until every member has ended, at most as long as said; `None` when the time was not enough.
    ///
    /// # Errors
    ///
    /// [`ExecError`] when a member cannot be waited for.
    fn wait(&mut self, at_most: Option<Duration>) -> Result<Option<Vec<MemberExit>>, ExecError>;

    /// Asks every member that still runs to end (SIGTERM).
    ///
    /// # Errors
    ///
    /// [`ExecError`] when a signal cannot be sent.
    fn terminate(&mut self) -> Result<(), ExecError>;

    /// Kills every process group and waits for the members.
    ///
    /// # Errors
    ///
    /// [`ExecError`] when a group cannot be killed.
    fn kill(&mut self) -> Result<(), ExecError>;
}

/// How a member of a pipeline ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberExit {
    /// The program's file name.
    pub program: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// An exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitStatus {
    /// The program ended by itself.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// Whether the status is 0.
    pub fn success(self) -> bool {
        self == ExitStatus::Code(0)
    }

    /// The exit code, `None` after a signal.
    pub fn code(self) -> Option<i32> {
        match self {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal(_) => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Why a program could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecError {
    /// It could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its log could not be opened.
    #[error("cannot write the log {}", log.display())]
    Log {
        /// The log.
        log: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be waited for, signalled, or connected.
    #[error("cannot {action} {}", program.display())]
    Control {
        /// What was tried.
        action: &'static str,
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The caller asked to stop (a signal).
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}
