//! The directory in which a private server runs.

use super::{
    Process, custody, dead_runs,
    error::ExecuteError,
    files, keyring,
    replay::{wait_until_ready, write_account},
    running::Running,
};
use crate::{plan::PrivateServer, tools::PERSISTED};
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
    running: &Running<'_>,
    work: impl FnOnce() -> Result<T, ExecuteError>,
) -> Result<T, ExecuteError> {
    let persisted = persisted(server)?;
    dead_runs::remove_dead(&server.run_dir, server.custody.as_ref().map(|custody| custody.uid));
    // Whoever may write to its parent may have made one of this name: only one that is new is this run's own.
    files::create_new_dir(&server.run_dir)?;
    let result = dead_runs::sign(&server.run_dir).and_then(|()| work());
    let taken_back = server.custody.as_ref().map_or(Ok(()), custody::take_back);
    // Files first: they hold the account, and the rest of the directory may be large. It may be another's meanwhile.
    let files: Vec<_> = [&server.init_file, &server.client_file].map(|path| files::remove_inside(path)).into();
    let own = [server.run_dir.as_path()];
    let keyring = server.keyring.iter().map(|file| file.to.as_path());
    let removed = files::remove_each(own.into_iter().chain(keyring).chain(secrets.iter().copied()));
    let done = result?;
    removed.and(files.into_iter().collect::<Result<(), _>>())?;
    taken_back?;
    // What failed goes on with its keys, or is discarded with them.
    server.keyring.iter().try_for_each(|file| keyring::settle(file, running))?;
    // The server's own settings for the replay are options, which end with it. Those of the source stay as they are.
    if self::persisted(server)? != persisted {
        let problem = format!("settings were persisted in the data ({PERSISTED})");
        return Err(ExecuteError::Examination { problem, stderr: Vec::new(), log: server.launch.log.clone() });
    }
    Ok(done)
}

/// What MySQL has persisted in a private server's data directory.
fn persisted(server: &PrivateServer) -> Result<Option<Vec<u8>>, ExecuteError> {
    files::read_file(&server.datadir.join(PERSISTED))
}

/// Makes the account, starts the server and waits until it answers.
///
/// # Errors
///
/// When it does not start, or not in time. It is dead then.
pub(super) fn start_server(server: &PrivateServer, running: &Running<'_>) -> Result<Box<dyn Process>, ExecuteError> {
    write_account(server)?;
    for file in &server.keyring {
        keyring::lay_out(file)?;
    }
    if let Some(custody) = &server.custody {
        custody::give(&server.run_dir, (custody.uid, custody.gid))?;
        custody::hand_over(custody)?;
    }
    let log_start = files::length(&server.launch.log);
    let mut process = running.spawn(std::slice::from_ref(&server.launch))?;
    wait_until_ready(server, log_start, &mut *process, running)?;
    // The server has read it.
    files::remove_inside(&server.init_file)?;
    Ok(process)
}
