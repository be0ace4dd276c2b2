//! The journal of a restore: what was begun and finished in its work directory, so that a restore that died can go on.
//!
//! One line of JSON for each event, appended and synced. The first line says which restore it is; secrets never stand in it.

use crate::{
    model::{BinlogPosition, Stamp},
    store::Digest,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use uuid::Uuid;

/// The journal's name in the work directory.
pub const JOURNAL: &str = "dbbak-journal.jsonl";

/// The format of the journals that this program writes and reads.
const FORMAT: u32 = 1;

/// Which restore a journal belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// The format of the journal.
    pub journal: u32,
    /// Tells the restore apart; names its private directories and account.
    pub restore: Uuid,
    /// When it began.
    pub began: DateTime<Utc>,
    /// What it aims at, in words.
    pub aim: String,
    /// The moment that it aims at; none for anything else.
    pub target: Option<DateTime<Utc>>,
    /// What was asked for, without what may differ from one run to the next.
    pub request: serde_json::Value,
    /// What that came to when it began: it counts, whatever was archived since.
    pub pin: Pin,
    /// What the finished steps rest on, by name: the backups, the binlogs, the programs' versions.
    pub identity: BTreeMap<String, String>,
}

/// Where a restore lands, fixed when it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The last backup of the chain.
    pub backup: Stamp,
    /// The end of the window, and its timeline; none: the backup as it is.
    pub cut: Option<PinnedCut>,
}

/// The end of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedCut {
    /// The timeline.
    pub timeline: String,
    /// The place.
    pub at: BinlogPosition,
}

/// One run of dbbak at a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalSession {
    /// When it began.
    pub at: DateTime<Utc>,
    /// Its process.
    pub pid: u32,
    /// The start of the machine that it ran on, where the system says so.
    pub boot: Option<String>,
}

/// A step that was finished.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedStep {
    /// Tells the step apart.
    pub step: Digest,
    /// What it did.
    pub title: String,
    /// How long it took.
    pub phase: serde_json::Value,
    /// The start of the machine under which it ended.
    pub boot: Option<String>,
    /// How it left the trees that it changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<PathBuf, LeftTree>,
    /// What it and the steps before it found out for later ones.
    pub carried: serde_json::Value,
}

/// How a step left a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftTree {
    /// Digest of names, sizes and times of change.
    pub state: Digest,
    /// Whether all of it was on disk by then.
    pub synced: bool,
    /// The same without the files that the last step brings about, which may be done twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apart: Option<LeftApart>,
}

/// How a step left the files of a tree that no later step changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftApart {
    /// The other files: paths below the tree, and with a dot at the end the base names of binlogs.
    pub others: Vec<String>,
    /// Digest of names, sizes and times of change of the rest.
    pub state: Digest,
}

impl LeftApart {
    /// The state of a tree's files without others.
    pub fn of(others: &[String], files: &[(String, u64, i128)]) -> Self {
        let is_other = |path: &str| {
            others.iter().any(|other| {
                let number = path.strip_prefix(other.as_str()).filter(|_| other.ends_with('.'));
                path == other || number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
            })
        };
        let state = tree_state(files.iter().filter(|(path, ..)| !is_other(path)).cloned());
        LeftApart { others: others.to_vec(), state }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum JournalLine {
    /// The first one.
    Restore(Box<JournalHeader>),
    /// A run of dbbak begins.
    Session(JournalSession),
    /// A step begins.
    Begun {
        /// The step.
        step: Digest,
        /// What it does.
        title: String,
    },
    /// A step was finished.
    Done(FinishedStep),
    /// A step failed, and dbbak lived to say so.
    Failed {
        /// The step.
        step: Digest,
        /// Why, in words.
        problem: String,
        /// Whether the restored state was looked at and is not what was planned.
        unproven: bool,
    },
}

impl JournalLine {
    /// The line as it is appended.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string(self).expect("a line holds nothing that JSON cannot hold");
        text.push('\n');
        text
    }
}

/// What a journal says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Journal {
    /// Which restore it is.
    pub header: JournalHeader,
    /// The runs of dbbak, the first one first.
    pub sessions: Vec<JournalSession>,
    /// The finished steps, in order.
    pub done: Vec<FinishedStep>,
    /// The step that was begun and not finished.
    pub begun: Option<Digest>,
    /// Why the last run failed, where it lived to say so, and whether what it restored is not what was planned.
    pub failed: Option<(String, bool)>,
}

/// Why a journal cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum JournalError {
    /// It holds no whole line.
    #[error("it was never begun")]
    Empty,
    /// A line cannot be understood.
    #[error("line {line} cannot be read")]
    Line {
        /// The line, from 1.
        line: usize,
    },
    /// The first line does not say which restore it is.
    #[error("its first line does not say which restore it is")]
    NoHeader,
    /// Another version of dbbak wrote it.
    #[error("it has format {found}, and this dbbak reads {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
}

impl Journal {
    /// The journal of a restore that has done nothing yet.
    pub fn new(header: JournalHeader) -> Self {
        Journal { header, sessions: Vec::new(), done: Vec::new(), begun: None, failed: None }
    }

    /// Reads a journal. A last line without its end was being written when the power failed, and counts as not written.
    ///
    /// # Errors
    ///
    /// [`JournalError`].
    pub fn parse(text: &str) -> Result<Self, JournalError> {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut lines = whole.lines().enumerate();
        let first = lines.next().filter(|(_, line)| !line.is_empty()).ok_or(JournalError::Empty)?.1;
        // What another format says is not for this one to read.
        let format = serde_json::from_str::<serde_json::Value>(first).map_err(|_| JournalError::Line { line: 1 })?;
        match format.get("journal").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(FORMAT) => {
                return Err(JournalError::Format { found: u32::try_from(found).unwrap_or(u32::MAX) });
            }
            _ => {}
        }
        let Ok(JournalLine::Restore(header)) = serde_json::from_value(format) else {
            return Err(JournalError::NoHeader);
        };
        let mut journal = Journal::new(*header);
        for (number, line) in lines {
            let line = serde_json::from_str(line).map_err(|_| JournalError::Line { line: number + 1 })?;
            journal.take(line).map_err(|()| JournalError::Line { line: number + 1 })?;
        }
        Ok(journal)
    }

    fn take(&mut self, line: JournalLine) -> Result<(), ()> {
        match line {
            JournalLine::Restore(_) => return Err(()),
            JournalLine::Session(session) => {
                self.sessions.push(session);
                self.failed = None;
            }
            JournalLine::Begun { step, .. } => self.begun = Some(step),
            JournalLine::Done(done) => {
                self.begun = None;
                self.done.retain(|earlier| earlier.step != done.step);
                self.done.push(done);
            }
            JournalLine::Failed { problem, unproven, .. } => self.failed = Some((problem, unproven)),
        }
        Ok(())
    }

    /// The record of a finished step.
    pub fn finished(&self, step: &Digest) -> Option<&FinishedStep> {
        self.done.iter().find(|done| done.step == *step)
    }
}

impl JournalHeader {
    /// The format of the journals that this program writes.
    pub const FORMAT: u32 = FORMAT;
}

/// The state of a tree, by the path, size and time of change (nanoseconds since 1970) of each of its files.
pub fn tree_state(files: impl IntoIterator<Item = (String, u64, i128)>) -> Digest {
    let sorted: BTreeMap<String, (u64, i128)> =
        files.into_iter().map(|(path, size, changed)| (path, (size, changed))).collect();
    let mut text = String::new();
    for (path, (size, changed)) in sorted {
        use std::fmt::Write as _;
        let _ = writeln!(text, "{size} {changed} {path:?}");
    }
    Digest::of(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> JournalHeader {
        JournalHeader {
            journal: FORMAT,
            restore: Uuid::from_u128(7),
            began: DateTime::UNIX_EPOCH,
            aim: "to the end of the archive".into(),
            target: None,
            request: serde_json::json!({ "target": "end" }),
            pin: Pin { backup: "2025-10-02T02-00Z".parse().unwrap(), cut: None },
            identity: BTreeMap::new(),
        }
    }

    fn begun(name: &str) -> JournalLine {
        JournalLine::Begun { step: Digest::of(name.as_bytes()), title: name.into() }
    }

    fn done(name: &str) -> JournalLine {
        JournalLine::Done(FinishedStep {
            step: Digest::of(name.as_bytes()),
            title: name.into(),
            phase: serde_json::Value::Null,
            boot: None,
            left: BTreeMap::new(),
            carried: serde_json::Value::Null,
        })
    }

    fn text(lines: &[JournalLine]) -> String {
        let first = JournalLine::Restore(Box::new(header()));
        std::iter::once(&first).chain(lines).map(JournalLine::to_text).collect()
    }

    #[test]
    fn a_journal_says_what_was_finished_and_what_was_begun() {
        let session = JournalSession { at: DateTime::UNIX_EPOCH, pid: 4, boot: None };
        let lines = [JournalLine::Session(session), begun("copy"), done("copy"), begun("prepare")];
        let journal = Journal::parse(&text(&lines)).unwrap();
        assert_eq!(journal.header, header());
        assert_eq!(journal.done.len(), 1);
        assert!(journal.finished(&Digest::of(b"copy")).is_some());
        assert_eq!(journal.begun, Some(Digest::of(b"prepare")));
        assert_eq!(journal.sessions.len(), 1);
    }

    #[test]
    fn a_line_that_was_being_written_counts_as_not_written() {
        let whole = text(&[begun("copy"), done("copy")]);
        let until = text(&[begun("copy")]).len();
        for end in until..whole.len() {
            let journal = Journal::parse(&whole[..end]).unwrap();
            assert_eq!((journal.done.len(), journal.begun.is_some()), (0, true), "{}", &whole[..end]);
        }
        assert_eq!(Journal::parse(&whole).unwrap().done.len(), 1);
        let header = text(&[]);
        assert_eq!(Journal::parse(&header[..header.len() - 1]), Err(JournalError::Empty));
        assert_eq!(Journal::parse(""), Err(JournalError::Empty));
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        let lines = text(&[begun("copy"), done("copy")]);
        assert_eq!(Journal::parse(&lines.replacen("\"begun\"", "\"huh\"", 1)), Err(JournalError::Line { line: 2 }));
        assert_eq!(
            Journal::parse(&lines.replacen("\"journal\":1", "\"journal\":2", 1)),
            Err(JournalError::Format { found: 2 })
        );
        assert_eq!(Journal::parse(&begun("copy").to_text()), Err(JournalError::NoHeader));
        assert_eq!(Journal::parse("word\n"), Err(JournalError::Line { line: 1 }));
        let twice = format!("{lines}{}", text(&[]));
        assert_eq!(Journal::parse(&twice), Err(JournalError::Line { line: 4 }));
    }

    #[test]
    fn files_that_may_be_made_twice_do_not_count() {
        let others = ["auto.cnf".to_owned(), "mysql.".into(), "mysql.index".into()];
        let state = |paths: &[&str]| {
            let files: Vec<_> = paths.iter().map(|path| ((*path).to_owned(), 1, 1)).collect();
            LeftApart::of(&others, &files).state
        };
        let rest = state(&["mysql.ibd", "shop/auto.cnf"]);
        assert_eq!(state(&["mysql.ibd", "shop/auto.cnf", "auto.cnf", "mysql.000007", "mysql.index"]), rest);
        assert_ne!(state(&["mysql.ibd"]), rest);
        assert_ne!(state(&["shop/auto.cnf"]), rest);
        assert_ne!(state(&["mysql.ibd", "shop/auto.cnf", "mysql.00x"]), rest);
    }

    #[test]
    fn the_state_of_a_tree_is_that_of_its_files_in_any_order() {
        let (a, b) = (("a".to_owned(), 1, 5), ("b".to_owned(), 2, 6));
        let state = tree_state([a.clone(), b.clone()]);
        assert_eq!(state, tree_state([b.clone(), a.clone()]));
        assert_ne!(state, tree_state([a.clone()]));
        assert_ne!(state, tree_state([a.clone(), ("b".to_owned(), 2, 7)]));
        assert_ne!(state, tree_state([a, ("b".to_owned(), 3, 6)]));
    }
}
