//! Keeps the journal of a restore: each step is noted before it begins and after it was finished, at once and durably.
#![expect(clippy::disallowed_methods, reason = "the journal in a work directory is written here")]

use super::{error::ExecuteError, files, opened, outcome::Outcome, tree};
use crate::{
    clock::Clock,
    journal::{FinishedStep, Journal, JournalLine, JournalSession, LeftApart, LeftTree, tree_state},
    plan::{Plan, PlannedJournal, Step, Touch, touch},
    store::Digest,
};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// The journal of a run, once its directory is there.
#[derive(Debug)]
pub struct JournalWriter<'a> {
    plan: &'a Plan,
    planned: Option<&'a PlannedJournal>,
    clock: &'a dyn Clock,
    boot: Option<String>,
    open: Option<Open>,
    number: usize,
    keys: Vec<Digest>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Held for as long as the run lives: two runs in one work directory would spoil each other's copies.
    _lock: File,
}

impl<'a> JournalWriter<'a> {
    /// The journal of a plan; one without a journal notes nothing. That of a restore that goes on is there already.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::WorkdirBusy`]; when the work directory cannot be written.
    pub fn begin(plan: &'a Plan, clock: &'a dyn Clock) -> Result<Self, ExecuteError> {
        let boot = boot_id();
        let planned = plan.journal.as_deref();
        let mut writer = JournalWriter { plan, planned, clock, boot, open: None, number: 0, keys: plan.step_keys() };
        if let Some(planned) = planned
            && let Some(resume) = &planned.resume
        {
            writer.open(planned, resume.restart)?;
        }
        Ok(writer)
    }

    /// Notes that a step begins.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn begun(&mut self, step: &Step) -> Result<(), ExecuteError> {
        self.number += 1;
        if self.holds_back() {
            return Ok(());
        }
        self.append(&JournalLine::Begun { step: self.key(step), title: step.title() })
    }

    /// Notes that a step was finished, and how it left what it changed.
    ///
    /// # Errors
    ///
    /// When the tree cannot be looked at, or the journal cannot be written.
    pub fn done(&mut self, step: &Step, outcome: &Outcome) -> Result<(), ExecuteError> {
        match (self.planned, step) {
            (Some(planned), Step::CreateDir { path }) if self.open.is_none() && planned.path.parent() == Some(path) => {
                return self.open(planned, true);
            }
            _ if self.holds_back() => return Ok(()),
            _ => {}
        }
        let mut left = BTreeMap::new();
        if let Touch::Changes { tree } = touch(step, self.plan.datadir()) {
            // A prepare is cheap, and what follows it changes the copy again. The rest is not to be lost in a power failure.
            let synced = !matches!(step, Step::RunTool(_) | Step::RemoveTree { .. } | Step::CutTies { .. });
            if synced {
                tree::sync_file_system(tree)?;
            }
            let files = files_of(tree)?;
            let apart = self.plan.made_ready().filter(|_| tree == self.plan.datadir());
            let apart = apart.map(|ready| LeftApart::of(&ready.files_in_data(), &files));
            left.insert(tree.to_owned(), LeftTree { state: tree_state(files), synced, apart });
        }
        let phase = serde_json::json!(outcome.phases.last());
        let carried = serde_json::json!(outcome.carried());
        let (title, boot) = (step.title(), self.boot.clone());
        self.append(&JournalLine::Done(FinishedStep { step: self.key(step), title, phase, boot, left, carried }))
    }

    /// Notes why a step failed, as well as that goes.
    pub fn failed(&mut self, step: &Step, problem: &str, unproven: bool) {
        let problem = problem.to_owned();
        let _ = self.append(&JournalLine::Failed { step: self.key(step), problem, unproven });
    }

    /// Removes the journal of a restore that is done.
    ///
    /// # Errors
    ///
    /// When it cannot be removed.
    pub fn end(&mut self) -> Result<(), ExecuteError> {
        if self.open.is_none() {
            return Ok(());
        }
        self.planned.map_or(Ok(()), |planned| files::remove_file(&planned.path))
    }

    /// Whether a path lies in the work directory that this run has taken over from one that died. No other run is at work
    /// in it.
    pub fn has_taken_over(&self, path: &Path) -> bool {
        let planned = self.planned.filter(|planned| planned.resume.is_some() && self.open.is_some());
        let dir = planned.and_then(|planned| planned.path.parent());
        dir.is_some_and(|dir| path != dir && path.starts_with(dir))
    }

    /// What tells the step that is being done apart.
    fn key(&self, step: &Step) -> Digest {
        self.keys.get(self.number.saturating_sub(1)).copied().unwrap_or_else(|| step.key())
    }

    /// The first steps of a restore that goes on only bring its directory in order.
    fn holds_back(&self) -> bool {
        let resume = self.planned.and_then(|planned| planned.resume.as_ref());
        self.open.is_none() || resume.is_some_and(|resume| self.number <= resume.preparing)
    }

    fn open(&mut self, planned: &PlannedJournal, anew: bool) -> Result<(), ExecuteError> {
        let path = &planned.path;
        let dir = path.parent().unwrap_or(path);
        let lock = File::open(dir).map_err(files::failed("open", dir))?;
        if lock.try_lock().is_err() {
            return Err(ExecuteError::WorkdirBusy { path: dir.to_owned() });
        }
        if planned.resume.is_some() {
            check_same(planned)?;
        }
        let at = self.clock.now();
        let session = JournalLine::Session(JournalSession { at, pid: std::process::id(), boot: self.boot.clone() });
        if anew {
            let first = JournalLine::Restore(Box::new(planned.header.clone())).to_text();
            match planned.resume {
                Some(_) => files::write_replacing(path, first.as_bytes())?,
                // No other file but this one may be there if it dies now.
                None => {
                    files::write_private(path, &first)?;
                    tree::sync_dir(dir)?;
                }
            }
        } else {
            // A line that was being written when the power failed.
            let mut bytes = Vec::new();
            let read = opened::regular(path).and_then(|mut file| file.read_to_end(&mut bytes));
            read.map_err(files::failed("read", path))?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            files::truncate(path, whole as u64)?;
        }
        let file = File::options().append(true).open(path).map_err(files::failed("write", path))?;
        self.open = Some(Open { file, _lock: lock });
        self.append(&session)
    }

    fn append(&mut self, line: &JournalLine) -> Result<(), ExecuteError> {
        let (Some(open), Some(planned)) = (&mut self.open, self.planned) else { return Ok(()) };
        let text = line.to_text();
        let written = open.file.write_all(text.as_bytes()).and_then(|()| open.file.sync_data());
        written.map_err(files::failed("write", &planned.path))
    }
}

/// Checks that the journal in a work directory is that of the restore that a plan goes on with: only then is what lies there
/// the restore's own, and may be removed.
fn check_same(planned: &PlannedJournal) -> Result<(), ExecuteError> {
    let text =
        opened::regular(&planned.path).and_then(io::read_to_string).map_err(files::failed("read", &planned.path))?;
    // One that begins anew keeps the request, and gets an id of its own.
    let same = Journal::parse(&text).is_ok_and(|found| {
        found.header.restore == planned.header.restore || found.header.request == planned.header.request
    });
    if same {
        return Ok(());
    }
    let path = planned.path.display();
    Err(ExecuteError::BadPlan {
        problem: format!("{path} is not the journal of the restore that the plan goes on with"),
    })
}

/// What tells this start of the machine from others, where the system says so.
pub(super) fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|text| text.trim().to_owned())
}

/// The files of a tree, as a survey sees them.
fn files_of(root: &Path) -> Result<Vec<(String, u64, i128)>, ExecuteError> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), String::new())];
    while let Some((dir, below)) = open.pop() {
        let mut is_empty = true;
        for entry in fs::read_dir(&dir).map_err(files::failed("read", &dir))? {
            is_empty = false;
            let entry = entry.map_err(files::failed("read", &dir))?;
            let meta = entry.metadata().map_err(files::failed("read", &dir))?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            if meta.is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else {
                let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
                found.push((name, meta.len(), changed));
            }
        }
        // A server takes it for a database: one that somebody else made is not to pass for what was left.
        if is_empty && !below.is_empty() {
            found.push((below, 0, 0));
        }
    }
    Ok(found)
}
