//! Fetches one binlog from its server, and proves that it is whole.

use super::{Event, ExitStatus, error::ExecuteError, files, running::Running};
use crate::{
    binlog::{self, Ending},
    plan::FetchBinlog,
    tools::{Exit, judge_binlog_reader},
};
use std::ops::ControlFlow;

/// Runs the binlog reader and checks what it left.
///
/// The reader's status says nothing about a full disk: it goes on without a word and ends with 0. So the copy of a file
/// that was closed must have the size that the server lists, and that of one that was closed since must end as the server
/// ends a file. What is in it is verified when it is archived.
///
/// # Errors
///
/// [`ExecuteError::Fetch`], [`ExecuteError::FetchedSize`], [`ExecuteError::FetchedEnd`]; the copy is the caller's to discard.
pub(super) fn fetch_binlog(step: &FetchBinlog, running: &Running<'_>) -> Result<(), ExecuteError> {
    let log = &step.launch.log;
    let log_start = files::length(log);
    let mut process = running.spawn(std::slice::from_ref(&step.launch))?;
    // It prints nothing; what it might must not fill a pipe.
    let drain = process.take_stdout().map(|mut output| {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut output, &mut std::io::sink());
        })
    });
    let mut seen = 0;
    let exits = running.wait(&mut *process, || {
        let length = files::length(&step.path);
        running.reporter.report(&Event::Progress { bytes: length.saturating_sub(seen) });
        seen = seen.max(length);
    })?;
    drop(process);
    if let Some(drain) = drain {
        let _ = drain.join();
    }
    let exit = match exits.first().map(|exit| exit.status) {
        Some(ExitStatus::Code(code)) => Exit::Code(code),
        Some(ExitStatus::Signal(signal)) => Exit::Signal(signal),
        None => Exit::Code(-1),
    };
    let mut stderr = String::new();
    if files::length(log) > log_start {
        files::each_line(log, log_start, &mut |line| stderr.push_str(line))?;
    }
    judge_binlog_reader(exit, &stderr, false).map_err(|problem| ExecuteError::Fetch {
        file: step.name.clone(),
        problem: Box::new(problem),
        log: log.clone(),
    })?;
    let found = files::length(&step.path);
    if found < step.size || (found > step.size && !step.open) {
        return Err(ExecuteError::FetchedSize {
            file: step.name.clone(),
            path: step.path.clone(),
            expected: step.size,
            found,
        });
    }
    if step.open { ends_closed(step) } else { Ok(()) }
}

/// Of a file that grew after it was listed no size is known: its own last event says that nothing is missing.
fn ends_closed(step: &FetchBinlog) -> Result<(), ExecuteError> {
    let mut input = files::open(&step.path)?;
    let scan = binlog::scan(&mut input, &mut |_| ControlFlow::Continue(()))
        .map_err(|source| ExecuteError::Binlog { path: step.path.clone(), source })?;
    match scan.ending {
        Ending::Rotate { .. } | Ending::Stop => Ok(()),
        ending => Err(ExecuteError::FetchedEnd { file: step.name.clone(), ending: ending.to_string() }),
    }
}
