//! Writes down how far a replay is, so that one that died can go on behind it.

use super::{error::ExecuteError, files, follow::log_behind, journal};
use crate::{
    halfway::{Compared, HALFWAY, Halfway},
    model::BinlogName,
    plan::PrivateServer,
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// What is written down of a replay that is under way; two threads know it in part each.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    halfway: Mutex<Halfway>,
}

impl Notes {
    /// Those of a replay that begins.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub(super) fn begin(server: &PrivateServer, hindrance: Option<String>) -> Result<Self, ExecuteError> {
        let halfway = Mutex::new(Halfway::new(journal::boot_id(), hindrance));
        let notes = Notes { path: server.log_dir.join(HALFWAY), halfway };
        notes.change(|_| {})?;
        Ok(notes)
    }

    /// Those of a replay that died.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::GoingOn`] where they are not there any more.
    pub(super) fn take_over(server: &PrivateServer) -> Result<Self, ExecuteError> {
        let path = server.log_dir.join(HALFWAY);
        let halfway = files::read_file(&path)?.and_then(|bytes| Halfway::parse(&bytes));
        let missing = || ExecuteError::GoingOn { problem: format!("{} cannot be read", path.display()) };
        Ok(Notes { halfway: Mutex::new(halfway.ok_or_else(missing)?), path })
    }

    /// Notes why it cannot go on after its death, before that can be.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn hindrance(&self, hindrance: Option<&String>) -> Result<(), ExecuteError> {
        match hindrance {
            Some(hindrance) => self.change(|halfway| halfway.hindrance = Some(hindrance.clone())),
            None => Ok(()),
        }
    }

    /// Notes what was compared, before what it rests on is removed.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub(super) fn compared(&self, compared: Compared) -> Result<(), ExecuteError> {
        self.change(|halfway| halfway.compared = compared)
    }

    /// What a dead run had compared.
    pub(super) fn found(&self) -> Compared {
        self.halfway.lock().unwrap_or_else(PoisonError::into_inner).compared.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Halfway)) -> Result<(), ExecuteError> {
        let mut halfway = self.halfway.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut halfway);
        let json = serde_json::to_vec(&*halfway)
            .map_err(|error| ExecuteError::BadPlan { problem: format!("a replay cannot be noted: {error}") })?;
        files::write_replacing(&self.path, &json)
    }
}

/// Takes the logs that were emptied out of the list that the private server reads when it starts.
///
/// # Errors
///
/// When the list cannot be read or written.
pub(super) fn list_what_is_left(server: &PrivateServer) -> Result<(), ExecuteError> {
    let index = server.log_dir.join(format!("{}.index", server.log_name.base()));
    if files::open_if_there(&index)?.is_none() {
        return Ok(());
    }
    let mut left = String::new();
    files::each_line(&index, 0, &mut |line| {
        let name = Path::new(line.trim_end()).file_name();
        if name.is_some_and(|name| files::length(&server.log_dir.join(name)) > 0) {
            let _ = writeln!(left, "{}", line.trim_end());
        }
    })?;
    files::write_replacing(&index, left.as_bytes())
}

/// The logs of dead servers behind those that were compared, in order: all but the newest, which a server writes.
///
/// # Errors
///
/// When the directory cannot be read.
pub(super) fn dead_logs(server: &PrivateServer, compared: &Compared) -> Result<Vec<BinlogName>, ExecuteError> {
    let mut logs = Vec::new();
    let mut last = compared.log.clone();
    while let Some(next) = log_behind(&server.log_dir, &server.log_name, last.as_ref())? {
        logs.push(next.clone());
        last = Some(next);
    }
    logs.pop();
    Ok(logs)
}

/// The logs of dead servers that were compared, and may have been kept for a recovery.
///
/// # Errors
///
/// When the directory cannot be read.
pub(super) fn compared_logs(server: &PrivateServer, compared: &Compared) -> Result<Vec<PathBuf>, ExecuteError> {
    let names = files::names_in(&server.log_dir)?;
    let is_compared = |name: &String| {
        let name: Option<BinlogName> = name.parse().ok();
        let name = name.filter(|name| name.base() == server.log_name.base());
        name.zip(compared.log.as_ref()).is_some_and(|(name, log)| name <= *log)
    };
    Ok(names.into_iter().filter(is_compared).map(|name| server.log_dir.join(name)).collect())
}
