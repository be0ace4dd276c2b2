//! A file system that a run has found full.

use crate::output;
use serde::Serialize;
use std::{fmt, path::PathBuf};

/// A file system on which room was lacking, as it was right after the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpaceLack {
    /// Where it is mounted.
    pub mounted_at: PathBuf,
    /// Bytes free on it.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// What the whole plan writes at most, in bytes, there and elsewhere; `None`: not known.
    pub planned: Option<u64>,
}

impl fmt::Display for SpaceLack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no space was left on the file system at {}: {} of {} are free now ({} bytes)",
            self.mounted_at.display(),
            output::bytes(self.free),
            output::bytes(self.total),
            self.free,
        )?;
        match self.planned {
            Some(bytes) => write!(f, "; the whole plan writes up to {} ({bytes} bytes)", output::bytes(bytes)),
            None => Ok(()),
        }
    }
}
