//! Replays a window on a private server: start, one pipeline, proof, clean shutdown.

use super::{
    ExitStatus, MemberExit, Process,
    batches::{Ahead, Unpacking},
    blame::Files,
    error::ExecuteError,
    examine::{Ended, Examiner, Parts, close},
    files,
    follow::{Begin, Follower},
    halfway::{Notes, list_what_is_left},
    hazards,
    lacking::Lacking,
    landmarks::Marks,
    password::new_password,
    relay::RelayRun,
    run_dir::{in_run_dir, start_server},
    running::Running,
};
use crate::{
    plan::{ExaminationReport, PrivateServer, Replay, UnpackBinlogs},
    store::StoreReader,
    tools::{Exit, HeldChannel, Launch, ShutdownLog, judge_binlog_reader, judge_shutdown, parse_client_error},
};
use std::{path::Path, sync::Arc, thread, time::Duration};

/// How often a session looks whether something ended.
const TICK: Duration = Duration::from_millis(50);
/// After so many looks a server is asked though it has no socket.
const ASK_ANYHOW: u32 = 20;
/// How long a server whose client has lost it may take to be dead.
const DYING: Duration = Duration::from_secs(1);
/// How long a private server may take to shut down once it was asked to (writing back a large buffer pool included).
const SHUTDOWN_TIME: Duration = Duration::from_secs(3600);

/// Starts the private server, replays, drops the account, shuts the server down, and proves that it logged what the
/// archive holds. Returns the window.
///
/// # Errors
///
/// When the server does not start, the window cannot be unpacked or applied, or the server does not end cleanly;
/// [`ExecuteError::ProofFailed`]. The server is dead then.
pub(super) fn run_replay(
    step: &Replay,
    window: Unpacking,
    store: &dyn StoreReader,
    running: &Running<'_>,
) -> Result<(Unpacking, Ended), ExecuteError> {
    if step.going_on.is_none() {
        // Logs of another replay would be taken for those of this one.
        files::remove_tree(&step.server.log_dir)?;
    }
    files::create_private_dir(&step.server.log_dir)?;
    let unpack = window.step.clone();
    in_run_dir(&step.server, &[], running, || {
        thread::scope(|scope| {
            let ahead = Ahead::start(window, scope, (store, running.reporter));
            let mut follower = None;
            let replayed = replay_on((step, &unpack), ahead, running, &mut |begin, notes| {
                let tellers = (running.clock, running.reporter, notes);
                follower = Some(Follower::start((step, &unpack, begin), scope, tellers));
            });
            match (replayed, follower) {
                (Ok(window), Some(follower)) => follower.prove().map(|()| window),
                (Ok(_), None) => Err(ExecuteError::BadPlan { problem: "nobody looked at the replay".into() }),
                (Err(error), Some(follower)) => Err(blamed(error, follower, &unpack)),
                (Err(error), None) => Err(error),
            }
        })
    })
}

/// Where a client was refused, the transaction that it was refused for: the first one that the server has not logged.
fn blamed(error: ExecuteError, follower: Follower<'_>, window: &UnpackBinlogs) -> ExecuteError {
    let missing = follower.first_missing();
    let (ExecuteError::Replay { stderr, log, .. }, Some(missing)) = (&error, missing) else { return error };
    let Some(problem) = stderr.iter().find(|line| line.starts_with("ERROR ")) else { return error };
    let found = Files { dir: &window.dir, names: &window.names() }.at_or_behind(&missing.at);
    let transaction = found.map_or_else(|| format!("the transaction at {}", missing.at), |found| found.to_string());
    ExecuteError::Applier { transaction, problem: problem.clone(), log: log.clone() }
}

fn replay_on(
    (step, unpack): (&Replay, &UnpackBinlogs),
    mut ahead: Ahead<'_>,
    running: &Running<'_>,
    follow: &mut dyn FnMut(Begin, Arc<Notes>),
) -> Result<(Unpacking, Ended), ExecuteError> {
    let server = &step.server;
    let mut parts = Parts::new(running);
    let first = first_batch(step, unpack, &mut ahead)?;
    let notes = Arc::new(match &step.going_on {
        None => Notes::begin(server, first.hindrance.clone())?,
        Some(_) => Notes::take_over(server)?,
    });
    let run = |relay| RelayRun { step, relay, running, files: Vec::new(), notes: Arc::clone(&notes), lacking: None };
    let mut relay = step.relay.as_deref().map(run);
    if let Some(relay) = &mut relay {
        relay.prepare(&first)?;
    }
    if step.going_on.is_some() {
        list_what_is_left(server)?;
    }
    let mut process = start_server(server, running)?;
    let mut channels = Vec::new();
    let given = forget_channels(step, running).and_then(|found| {
        channels = found;
        let lacking = Lacking::of(step, running)?;
        lacking.check(&first)?;
        relay.as_mut().map_or(Ok(()), |relay| {
            relay.lacking = Some(lacking);
            relay.begin(&first)
        })
    });
    let begin = given.and_then(|()| match (&step.going_on, &relay) {
        (None, _) => Ok(Begin::fresh(unpack)),
        (Some(_), Some(_)) => Begin::behind_the_dead(step, unpack, &notes),
        (Some(_), None) => Err(ExecuteError::BadPlan { problem: "a pipe cannot go on".into() }),
    });
    match begin {
        Ok(begin) => follow(begin, Arc::clone(&notes)),
        Err(error) => {
            process.kill()?;
            return Err(error);
        }
    }
    parts.done("start the server");
    let replayed = match &mut relay {
        Some(relay) => relay.run(first, ahead, &mut *process),
        None => pipe_all((step, unpack), ahead, &mut *process, running),
    };
    parts.done("replay");
    let (window, examined) = match replayed {
        Err(error) => (None, Err(error)),
        Ok(window) => {
            let examined = step.examination.as_ref().map(|step| {
                let examiner = Examiner { step, server, running, window: Some(window.landmarks()) };
                let report = examiner.examine(&mut *process, &mut parts)?;
                Ok(ExaminationReport { channels, ..report })
            });
            (Some(window), examined.transpose())
        }
    };
    let ended = close(examined, server, &mut *process, running, parts)?;
    let missing = || ExecuteError::BadPlan { problem: "a replay ended without its window".into() };
    Ok((window.ok_or_else(missing)?, ended))
}

/// Has the server forget the channels that the data hold. One that goes on after a death has no other than the applier's, whose
/// place it needs.
fn forget_channels(step: &Replay, running: &Running<'_>) -> Result<Vec<HeldChannel>, ExecuteError> {
    let Some(examination) = &step.examination else { return Ok(Vec::new()) };
    let examiner = Examiner { step: examination, server: &step.server, running, window: None };
    if step.going_on.is_some() { examiner.channels_of_the_dead() } else { examiner.forget_channels() }
}

/// The first batch that is not applied as a whole yet. What a dead run has applied is of no more use.
fn first_batch(step: &Replay, unpack: &UnpackBinlogs, ahead: &mut Ahead<'_>) -> Result<Marks, ExecuteError> {
    let mut batch = ahead.next()?.unwrap_or_default();
    let Some(going_on) = &step.going_on else { return Ok(batch) };
    while !batch.files.contains(&going_on.at.file) {
        for file in &batch.files {
            files::remove_file(&unpack.dir.join(file.as_str()))?;
        }
        let missing = || ExecuteError::GoingOn { problem: format!("the window has no {}", going_on.at) };
        batch = ahead.next()?.ok_or_else(missing)?;
    }
    Ok(batch)
}

/// Replays a window through one pipeline, which needs all of it.
fn pipe_all(
    (step, unpack): (&Replay, &UnpackBinlogs),
    mut ahead: Ahead<'_>,
    server: &mut dyn Process,
    running: &Running<'_>,
) -> Result<Unpacking, ExecuteError> {
    if ahead.next()?.is_some() {
        return Err(ExecuteError::BadPlan { problem: "one reader cannot read a window in batches".into() });
    }
    hazards::check_window(unpack, &step.reader, running)?;
    let piped = pipe(&step.reader, &step.client, running);
    if let Err(ExecuteError::Replay { .. }) = &piped
        && let Some(exits) = server.wait(Some(DYING))?
    {
        return Err(server_died(&step.server, &exits));
    }
    piped?;
    ahead.finish()
}

/// The private server ended while it was to apply.
pub(super) fn server_died(server: &PrivateServer, exits: &[MemberExit]) -> ExecuteError {
    let log = server.launch.log.clone();
    let problem = format!("the private server died while it applied: {}", describe(exits));
    ExecuteError::Replay { problem, stderr: files::tail(&log), log }
}

/// Writes the statements that make the account, and the option file with which the client uses it. The password exists
/// nowhere else.
pub(super) fn write_account(server: &PrivateServer) -> Result<(), ExecuteError> {
    let (account, password) = (&server.account, new_password());
    let less =
        if server.all_rights { String::new() } else { format!("REVOKE FILE ON *.* FROM '{account}'@'localhost';\n") };
    let statements = format!(
        // A dead run may have left its own.
        "SET sql_log_bin=0;\n\
         DROP USER IF EXISTS '{account}'@'localhost';\n\
         CREATE USER '{account}'@'localhost' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{account}'@'localhost' WITH GRANT OPTION;\n\
         GRANT PROXY ON ''@'' TO '{account}'@'localhost' WITH GRANT OPTION;\n{less}"
    );
    files::write_private(&server.init_file, &statements)?;
    let socket = server.socket.display();
    files::write_private(
        &server.client_file,
        format!("[client]\nuser={account}\npassword={password}\nsocket={socket}\n"),
    )
}

/// What a server's log says before it gives up, or waits for something that will not come.
const HOPELESS: [&str; 3] = ["Unable to lock ./", "Can't lock aria control file", "[ERROR] Aborting"];

/// What a client was told that no later one is told otherwise: the account was made before the server listens, or it was
/// refused.
pub(super) fn refusal(log: &Path) -> Option<String> {
    let lines = files::tail(log);
    let told = parse_client_error(lines.last()?)?;
    let refused = matches!(told.code, 1044 | 1045 | 1130 | 1396 | 1524 | 1698 | 1820 | 1862 | 2059 | 2061);
    refused.then(|| format!("it refuses the account that was made for it: {told}"))
}

/// `log_start`: what stands before in the server's log is another one's.
pub(super) fn wait_until_ready(
    server: &PrivateServer,
    log_start: u64,
    process: &mut dyn Process,
    running: &Running<'_>,
) -> Result<(), ExecuteError> {
    let log = &server.launch.log;
    let failed = |problem: String| ExecuteError::ServerStart { problem, stderr: files::tail(log), log: log.clone() };
    let deadline = running.clock.monotonic() + Duration::from_secs(server.start_timeout_seconds);
    let mut ticks = 0;
    loop {
        // Each question is a client that takes the processor from the server; before its socket is there none gets in.
        let ask = ticks % ASK_ANYHOW == 0 || files::exists(&server.socket);
        ticks += 1;
        if let Some(exits) = process.wait(Some(TICK))? {
            return Err(failed(describe(&exits)));
        }
        if let Some(signal) = running.reporter.interrupted() {
            process.kill()?;
            return Err(ExecuteError::Interrupted { signal });
        }
        let ping = Launch { command: server.ping.clone(), log: server.run_dir.join("ping.log") };
        let answers = server.run_dir.join("ping.log");
        if ask && running.run(&[ping])?.iter().all(|exit| exit.status.success()) {
            return Ok(());
        }
        let mut hopeless = refusal(&answers).filter(|_| ask);
        if ticks % ASK_ANYHOW == 0 {
            files::each_line(log, log_start, &mut |line| {
                if HOPELESS.iter().any(|words| line.contains(words)) {
                    hopeless.get_or_insert_with(|| format!("it gives up: {}", line.trim()));
                }
            })?;
        }
        if let Some(problem) = hopeless {
            process.kill()?;
            return Err(failed(problem));
        }
        if running.clock.monotonic() >= deadline {
            process.kill()?;
            return Err(failed(format!("it did not answer within {} s", server.start_timeout_seconds)));
        }
    }
}

/// Runs a reader into a client, and judges both.
pub(super) fn pipe(reader: &Launch, client: &Launch, running: &Running<'_>) -> Result<(), ExecuteError> {
    let exits = running.run_noted(&[reader.clone(), client.clone()])?;
    // mariadb-binlog may end with status 0 after an error that it only prints (seen on 10.11.19): its words count too.
    let reader_words = files::text(&reader.log)?;
    let reader_exit = exits.first().map_or(Exit::Code(-1), |exit| exit_of(exit.status));
    let client_ended = exits.last().is_some_and(|exit| !exit.status.success());
    let judged = judge_binlog_reader(reader_exit, &reader_words, client_ended);
    if exits.iter().all(|exit| exit.status.success()) && judged.is_ok() {
        return Ok(());
    }
    // The reader dies of a broken pipe when the client stops: then the client's word is the one that counts.
    let client_failed = exits.last().is_some_and(|exit| !exit.status.success());
    let log = if client_failed { &client.log } else { &reader.log };
    let mut stderr = files::tail(log);
    if client_failed {
        // Beside the error the client may print the whole statement: data that belongs in no message.
        stderr.retain(|line| line.starts_with("ERROR "));
    }
    let mut problem = describe(&exits);
    if let (Err(error), false) = (judged, client_failed) {
        problem = format!("{problem}: {error}");
    }
    Err(ExecuteError::Replay { problem, stderr, log: log.clone() })
}

fn exit_of(status: ExitStatus) -> Exit {
    match status {
        ExitStatus::Code(code) => Exit::Code(code),
        ExitStatus::Signal(signal) => Exit::Signal(signal),
    }
}

/// Drops the account, shuts the server down and waits for its end.
pub(super) fn stop(
    server: &PrivateServer,
    process: &mut dyn Process,
    running: &Running<'_>,
) -> Result<ShutdownLog, ExecuteError> {
    let log = server.launch.log.clone();
    let unclean = |problem: String| ExecuteError::ServerStop { problem, log: log.clone() };
    let last_words = Launch { command: server.statements.clone(), log: server.run_dir.join("statements.log") };
    let told = running.run(&[last_words])?;
    if !told.iter().all(|exit| exit.status.success()) {
        process.kill()?;
        let words = files::tail(&server.run_dir.join("statements.log")).join("; ");
        return Err(unclean(format!("{}: {words}", describe(&told))));
    }
    await_end(server, process)
}

/// Waits for the end of a server that was told to shut down, and checks that it was a clean one.
pub(super) fn await_end(server: &PrivateServer, process: &mut dyn Process) -> Result<ShutdownLog, ExecuteError> {
    let log = server.launch.log.clone();
    let unclean = |problem: String| ExecuteError::ServerStop { problem, log: log.clone() };
    match process.wait(Some(SHUTDOWN_TIME))? {
        Some(exits) if exits.iter().all(|exit| exit.status.success()) => {}
        Some(exits) => return Err(unclean(describe(&exits))),
        None => {
            process.kill()?;
            return Err(unclean("it did not end in an hour".into()));
        }
    }
    judge_shutdown(&files::tail(&log)).map_err(unclean)
}

/// How the members of a pipeline ended, in words.
pub(super) fn describe(exits: &[MemberExit]) -> String {
    let word = |exit: &MemberExit| match exit.status {
        ExitStatus::Code(0) => format!("{} succeeded", exit.program),
        status => format!("{} ended with {status}", exit.program),
    };
    exits.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_no_later_question_changes() {
        let dir = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            let log = dir.path().join("ping.log");
            files::remove_file(&log).unwrap();
            files::write_private(&log, text).unwrap();
            refusal(&log)
        };
        let cannot = "ERROR 2002 (HY000): Can't connect to local MySQL server through socket '/x/s' (2)\n";
        let denied = "ERROR 1045 (28000): Access denied for user 'dbbak_1'@'localhost' (using password: YES)\n";
        assert_eq!(told(cannot), None);
        assert_eq!(told(""), None);
        assert!(told(&format!("{cannot}{denied}")).unwrap().contains("ERROR 1045"));
        assert_eq!(refusal(&dir.path().join("none")), None);
    }
}
