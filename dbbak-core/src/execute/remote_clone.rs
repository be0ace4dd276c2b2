//! Fetches a clone from a server on another machine, through a private server here.

use super::{
    clone::clone,
    error::ExecuteError,
    files,
    replay::stop,
    run_dir::{in_run_dir, start_server},
    running::Running,
};
use crate::{
    plan::{RemoteClone, TakeClone},
    tools::{Secret, parse_account, remote_clone_statements},
};

/// Has a private server fetch the data. It writes them into a directory of their own, so that it neither gives up its own
/// data nor has to be started again by anybody.
///
/// # Errors
///
/// [`ExecuteError::Clone`] with what the servers said. The private server is dead then, and the donor goes on.
pub(super) fn fetch(step: &TakeClone, remote: &RemoteClone, running: &Running<'_>) -> Result<(), ExecuteError> {
    let statements = statements(step, remote)?;
    in_run_dir(&remote.server, &[], running, || fetched(step, remote, &statements, running))
}

fn fetched(
    step: &TakeClone,
    remote: &RemoteClone,
    statements: &Secret,
    running: &Running<'_>,
) -> Result<(), ExecuteError> {
    let server = &remote.server;
    let mut process = start_server(server, running)?;
    if let Err(error) = clone(step, Some(statements), running) {
        process.kill()?;
        return Err(error);
    }
    stop(server, &mut *process, running).map(drop)
}

fn statements(step: &TakeClone, remote: &RemoteClone) -> Result<Secret, ExecuteError> {
    let path = &remote.option_file;
    let failed = |problem: String| ExecuteError::Clone { problem, stderr: Vec::new(), log: step.launch.log.clone() };
    let bytes = files::read_file_behind(path)?.ok_or_else(|| failed(format!("{} is not there", path.display())))?;
    let account = parse_account(&String::from_utf8_lossy(&bytes))
        .ok_or_else(|| failed(format!("{} names no user in its group [client]", path.display())))?;
    remote_clone_statements(&remote.donor, &account, &step.dir)
        .map_err(|error| ExecuteError::BadPlan { problem: error.to_string() })
}
