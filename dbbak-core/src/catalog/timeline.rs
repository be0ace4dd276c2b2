//! Timelines: the archived binlogs of one history of one server, in order, and where they have holes.

use super::{Catalog, Continuity, Finding, archive::Placed, continuity};
use crate::{
    model::{BinlogCoordinates, BinlogName, LogTime},
    store::{BinlogEntry, Digest},
};

/// The archived binlogs of one history of one server, ordered by number, each name once.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline<'a> {
    /// Its id.
    pub id: String,
    /// The files.
    pub files: Vec<&'a BinlogEntry>,
}

/// A gap-free piece of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub struct Run<'a> {
    /// The files, at least one.
    pub files: Vec<&'a BinlogEntry>,
    /// What comes after the last.
    pub end: RunEnd,
}

/// What ends a gap-free piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// The archive ends here.
    ArchiveEnds,
    /// No replay can go on; the archive goes on with this file.
    Gap {
        /// The first file after the gap.
        next: BinlogName,
        /// Why no replay can go on with it.
        finding: Box<Finding>,
    },
    /// The last file is damaged.
    Incomplete {
        /// What is wrong with it.
        what: String,
        /// The offset after its last whole transaction.
        last_good: u64,
    },
}

/// Where a backup's coordinates lie in the archive.
#[derive(Debug, Clone, PartialEq)]
pub enum Located<'a> {
    /// In this file of this timeline.
    At {
        /// The timeline.
        timeline: Timeline<'a>,
        /// The file's place in the timeline.
        index: usize,
    },
    /// In a file that is not archived (not yet, or never).
    NotArchived,
    /// Several archived files of that name could be it.
    Ambiguous {
        /// How many.
        candidates: usize,
    },
}

impl<'a> Timeline<'a> {
    /// The gap-free piece that begins with a file.
    pub fn run_from(&self, index: usize) -> Run<'a> {
        let mut files = Vec::new();
        for (position, file) in self.files.iter().enumerate().skip(index) {
            files.push(*file);
            if let Some((what, last_good)) = file.incomplete() {
                return Run { files, end: RunEnd::Incomplete { what, last_good } };
            }
            if let Some(next) = self.files.get(position + 1)
                && let Continuity::Broken(finding) = continuity(file, next)
            {
                return Run { files, end: RunEnd::Gap { next: next.name.clone(), finding: Box::new(finding) } };
            }
        }
        Run { files, end: RunEnd::ArchiveEnds }
    }
}

impl Run<'_> {
    /// The moment up to which the piece holds everything; `None` when no file of it says.
    pub fn reaches(&self) -> Option<LogTime> {
        self.files.iter().filter_map(|file| file.reach()).max()
    }
}

impl Catalog {
    /// The timelines of the archive, in the order in which they began.
    pub fn timelines(&self) -> Vec<Timeline<'_>> {
        self.archive().lines.iter().map(|line| line.timeline(&self.binlogs)).collect()
    }

    /// Finds the file that coordinates name: by the digest of its head where it was recorded, else by name, provided
    /// that only one file of that name can be meant.
    pub fn locate(&self, coordinates: &BinlogCoordinates, head: Option<&Digest>) -> Located<'_> {
        match self.place(coordinates, head) {
            Placed::At { line, place } => Located::At { timeline: line.timeline(&self.binlogs), index: place },
            Placed::Nowhere => Located::NotArchived,
            Placed::Several(candidates) => Located::Ambiguous { candidates },
        }
    }
}

/// Timelines of entries that name none (a basic store): a name that comes again begins a new one.
#[derive(Default)]
pub(super) struct BasicTimelines {
    number: u32,
    last: Option<BinlogName>,
}

impl BasicTimelines {
    pub(super) fn id_of(&mut self, entry: &BinlogEntry) -> String {
        if self.last.as_ref().is_none_or(|last| entry.name <= *last) {
            self.number += 1;
        }
        self.last = Some(entry.name.clone());
        format!("basic-{}", self.number)
    }
}
