//! The seam through which a run says what it does.

use crate::model::BinlogPosition;
use std::{fmt, time::Duration};

/// Takes what a run says. Called from several threads.
pub trait Reporter: fmt::Debug + Send + Sync {
    /// One thing that happened.
    fn report(&self, event: &Event<'_>);

    /// The signal by which the user asked to stop, if one came. Long steps ask now and then, and end early.
    fn interrupted(&self) -> Option<i32> {
        None
    }
}

/// One thing that happened in a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step begins.
    StepStarted {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// What it does.
        title: &'a str,
        /// How many bytes it will go through, where that is known.
        bytes: Option<u64>,
    },
    /// Bytes gone through since the last such event of the step.
    Progress {
        /// Bytes.
        bytes: u64,
    },
    /// How far a replay is.
    Replayed {
        /// The place in the source's binlogs.
        at: &'a BinlogPosition,
        /// Transactions of the window up to there.
        transactions: u64,
        /// Transactions of the whole window, where the index of binlogs tells.
        of: Option<u64>,
        /// The latest time of any of them, seconds since 1970, UTC.
        time: u64,
        /// How long the replay has taken so far.
        elapsed: Duration,
        /// How long it still takes at the rate of the last while; none: that cannot be said yet.
        left: Option<Duration>,
    },
    /// A step ended well.
    StepFinished {
        /// Its number, from 1.
        number: usize,
        /// What it does.
        title: &'a str,
        /// How long it took.
        took: Duration,
    },
    /// Something worth a line.
    Note {
        /// The line.
        text: &'a str,
    },
    /// Something that the user must know.
    Warning {
        /// The line.
        text: &'a str,
    },
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _event: &Event<'_>) {}
}
