//! A gap-free piece of a timeline, answered from the index.

use super::{Finding, RunEnd, archive::Line};
use crate::{
    model::{BinlogName, LogTime},
    store::BinlogEntry,
};

/// A gap-free piece of a timeline, its files not gathered yet: what a [`super::Run`] says, without going through them.
#[derive(Debug, Clone, Copy)]
pub struct Stretch<'a> {
    binlogs: &'a [BinlogEntry],
    line: &'a Line,
    first: usize,
}

impl<'a> Stretch<'a> {
    pub(super) fn new(binlogs: &'a [BinlogEntry], line: &'a Line, first: usize) -> Self {
        Stretch { binlogs, line, first }
    }

    /// The timeline's id.
    pub fn timeline(&self) -> &'a str {
        &self.line.id
    }

    /// How many files it has, at least one.
    pub fn count(&self) -> usize {
        self.line.last[self.first] - self.first + 1
    }

    /// Its first so many files.
    pub fn files(&self, count: usize) -> Vec<&'a BinlogEntry> {
        let files = self.line.files.iter().skip(self.first).take(count.min(self.count()));
        files.map(|position| &self.binlogs[*position]).collect()
    }

    /// The place of a file in it.
    pub fn find(&self, name: &BinlogName) -> Option<usize> {
        let place = self.line.place_of(self.binlogs, name)?;
        place.checked_sub(self.first).filter(|place| *place < self.count())
    }

    /// Its last file.
    pub fn last(&self) -> &'a BinlogEntry {
        &self.binlogs[self.line.files[self.line.last[self.first]]]
    }

    /// What comes after the last file.
    pub fn end(&self) -> RunEnd {
        if let Some((what, last_good)) = self.last().incomplete() {
            return RunEnd::Incomplete { what, last_good };
        }
        match self.line.files.get(self.line.last[self.first] + 1) {
            Some(next) => {
                let (place, next) = (self.line.last[self.first], &self.binlogs[*next]);
                let unnamed = || Finding::Gap {
                    after: self.last().name.clone(),
                    first_missing: self.last().name.successor(),
                    next: next.name.clone(),
                };
                let finding = self.line.told.get(&place).cloned().unwrap_or_else(unnamed);
                RunEnd::Gap { next: next.name.clone(), finding: Box::new(finding) }
            }
            None => RunEnd::ArchiveEnds,
        }
    }

    /// The moment up to which it holds everything; `None` when no file of it says.
    pub fn reaches(&self) -> Option<LogTime> {
        self.line.reach[self.first]
    }

    /// The time of its newest transaction.
    pub fn newest(&self) -> Option<LogTime> {
        self.line.newest[self.first]
    }

    /// The time of the newest transaction in the timeline's files before it.
    pub fn newest_before(&self) -> Option<LogTime> {
        self.line.newest_before[self.first]
    }

    /// The place of its last file in the timeline.
    pub(super) fn end_place(&self) -> usize {
        self.line.last[self.first]
    }
}
