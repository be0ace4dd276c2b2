//! The directory in which a private server runs.

use super::{
    Process,
    error::ExecuteError,
    files,
    replay::{wait_until_ready, write_account},
    running::Running,
};
use crate::plan::PrivateServer;
use std::path::Path;

/// Does work in a private server's run directory, and removes it with all that holds the password of the account or what
/// unlocks keys, whatever became of the work; `secrets` are trees elsewhere that hold one too.
///
/// # Errors
///
/// Those of the work; else the first of the removals, each of which is tried.
pub(super) fn in_run_dir<T>(
    server: &PrivateServer,
    secrets: &[&Path],
    work: impl FnOnce() -> Result<T, ExecuteError>,
) -> Result<T, ExecuteError> {
    let result = files::create_private_dir(&server.run_dir).and_then(|()| work());
    let own = [&server.init_file, &server.client_file, &server.run_dir].map(|path| path.as_path());
    let keyring = server.keyring.iter().map(|file| file.to.as_path());
    let removed = files::remove_each(own.into_iter().chain(keyring).chain(secrets.iter().copied()));
    let done = result?;
    removed?;
    Ok(done)
}

/// Makes the account, starts the server and waits until it answers.
///
/// # Errors
///
/// When it does not start, or not in time. It is dead then.
pub(super) fn start_server(server: &PrivateServer, running: &Running<'_>) -> Result<Box<dyn Process>, ExecuteError> {
    write_account(server)?;
    for file in &server.keyring {
        files::copy_private(&file.from, &file.to)?;
    }
    let mut process = running.spawn(std::slice::from_ref(&server.launch))?;
    wait_until_ready(server, &mut *process, running)?;
    // The server has read it.
    files::remove_file(&server.init_file)?;
    Ok(process)
}
