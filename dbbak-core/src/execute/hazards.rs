//! Refuses to give a window to a client where its text could be taken for other statements.

use super::{error::ExecuteError, files, running::Running};
use crate::{
    binlog::{Accounts, PipeHazard, PipeSession, ShortTime, pipe_hazard},
    model::{BinlogName, BinlogPosition, Printable},
    plan::UnpackBinlogs,
    tools::{Launch, masked_statement},
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
pub(super) fn check_window(step: &UnpackBinlogs, reader: &Launch, running: &Running<'_>) -> Result<(), ExecuteError> {
    // The private server has this id.
    let server_id = step.files.last().and_then(|file| file.source.as_ref()).and_then(|source| source.server_id);
    let mut session = PipeSession::new(Accounts::Lost { server_id });
    let mut short = None;
    for (place, name) in step.names().iter().enumerate() {
        let (start, stop) = step.span_of(place);
        check_file((&step.dir, name), (start, stop), &mut session, false)?;
        short = short.or_else(|| session.short_time().map(|time| (name.clone(), time)));
    }
    short.map_or(Ok(()), |(name, time)| prints_times((&step.dir, &name, time), reader, running, false))
}

/// The same for a part of one file that a client gets alone, whose accounts are seen to.
pub(super) fn check_alone(
    (dir, name): (&Path, &BinlogName),
    span: (u64, u64),
    reader: &Launch,
    running: &Running<'_>,
) -> Result<(), ExecuteError> {
    let mut session = PipeSession::new(Accounts::Kept);
    check_file((dir, name), span, &mut session, true)?;
    session.short_time().map_or(Ok(()), |time| prints_times((dir, name, time), reader, running, true))
}

fn check_file(
    (dir, name): (&Path, &BinlogName),
    span: (u64, u64),
    session: &mut PipeSession,
    apart: bool,
) -> Result<(), ExecuteError> {
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
            Err(ExecuteError::PipeHazard { at, problem: format!("{problem}{shown}"), apart })
        }
    }
}

/// Has the reader print one statement, and looks whether its time is right.
fn prints_times(
    (dir, name, time): (&Path, &BinlogName, ShortTime),
    reader: &Launch,
    running: &Running<'_>,
    apart: bool,
) -> Result<(), ExecuteError> {
    let mut command = reader.command.clone();
    let path = dir.join(name.as_str()).display().to_string();
    command.args = vec!["--no-defaults".into()];
    let command = command.option("--start-position", time.at).option("--stop-position", time.end).arg(path);
    let printed = running.ask(Launch { command, log: reader.log.clone() }, None)?.unwrap_or_default();
    let wanted = format!("SET TIMESTAMP={}.{:06}", time.seconds, time.microseconds);
    if printed.contains(&wanted) {
        return Ok(());
    }
    let problem = format!(
        "{} does not print {}.{:06}, the time of a statement, as it is: it leaves the zeros behind the point out",
        reader.command.program.display(),
        time.seconds,
        time.microseconds
    );
    let at = BinlogPosition { file: name.clone(), position: time.at };
    Err(ExecuteError::PipeHazard { at, problem, apart })
}
