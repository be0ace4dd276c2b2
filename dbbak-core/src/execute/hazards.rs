//! Refuses to give a window to a client where its text could be taken for other statements.

use super::{error::ExecuteError, files};
use crate::{
    binlog::{Accounts, PipeHazard, PipeSession, pipe_hazard},
    model::{BinlogName, BinlogPosition, Printable},
    plan::UnpackBinlogs,
    tools::masked_statement,
};
use std::path::Path;

/// The most signs of a statement that are shown.
const SHOWN: usize = 100;

/// Looks through a window that is unpacked, before a binlog reader prints it for a client.
///
/// # Errors
///
/// [`ExecuteError::PipeHazard`] with the first event that is not safe; [`ExecuteError::ArchivedBinlog`] where a file cannot
/// be read.
pub(super) fn check_window(step: &UnpackBinlogs) -> Result<(), ExecuteError> {
    // The private server has this id.
    let server_id = step.files.last().and_then(|file| file.source.as_ref()).and_then(|source| source.server_id);
    let mut session = PipeSession::new(Accounts::Lost { server_id });
    for (place, name) in step.names().iter().enumerate() {
        let (start, stop) = step.span_of(place);
        check_file(&step.dir, name, (start, stop), &mut session)?;
    }
    Ok(())
}

/// The same for a part of one file that a client gets alone, whose accounts are seen to.
pub(super) fn check_alone(dir: &Path, name: &BinlogName, span: (u64, u64)) -> Result<(), ExecuteError> {
    check_file(dir, name, span, &mut PipeSession::new(Accounts::Kept))
}

fn check_file(dir: &Path, name: &BinlogName, span: (u64, u64), session: &mut PipeSession) -> Result<(), ExecuteError> {
    let unreadable = |problem: String| ExecuteError::ArchivedBinlog {
        stored_as: dir.join(name.as_str()).display().to_string(),
        problem,
    };
    let mut input = files::open(&dir.join(name.as_str()))?;
    match pipe_hazard(&mut input, span, session).map_err(|error| unreadable(error.to_string()))? {
        None => Ok(()),
        Some(PipeHazard { at, problem, statement }) => {
            let shown = statement.map(|statement| masked_statement(&statement).chars().take(SHOWN).collect::<String>());
            let shown = shown.map(|shown| format!(": {}", Printable(&shown))).unwrap_or_default();
            let at = BinlogPosition { file: name.clone(), position: at };
            Err(ExecuteError::PipeHazard { at, problem: format!("{problem}{shown}") })
        }
    }
}
