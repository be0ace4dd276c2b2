//! Replays a window on a private server: start, one pipeline, proof, clean shutdown.

use super::{
    Event, ExitStatus, MemberExit, Process, Reporter,
    error::ExecuteError,
    examine::{Ended, Examiner, Parts, close},
    files,
    landmarks::Landmarks,
    relay::RelayRun,
    running::Running,
};
use crate::{
    plan::{PrivateServer, Replay},
    tools::{Exit, Launch, ShutdownLog, judge_binlog_reader, judge_shutdown},
};
use std::time::Duration;
use uuid::Uuid;

/// How often a session looks whether something ended.
const TICK: Duration = Duration::from_millis(50);
/// How long a private server may take to shut down once it was asked to (writing back a large buffer pool included).
const SHUTDOWN_TIME: Duration = Duration::from_secs(3600);

/// Starts the private server, replays, drops the account and shuts the server down.
///
/// # Errors
///
/// When the server does not start, the pipeline fails, or the server does not end cleanly. The server is dead then.
pub(super) fn run_replay(step: &Replay, landmarks: &Landmarks, running: &Running<'_>) -> Result<Ended, ExecuteError> {
    let server = &step.server;
    files::create_private_dir(&server.run_dir)?;
    files::create_private_dir(&server.log_dir)?;
    let result = replay_on(step, landmarks, running);
    // The option file and the statements hold the password of the account, also after a failure.
    for file in [&server.init_file, &server.client_file] {
        files::remove_file(file)?;
    }
    files::remove_tree(&server.run_dir)?;
    result
}

fn replay_on(step: &Replay, landmarks: &Landmarks, running: &Running<'_>) -> Result<Ended, ExecuteError> {
    let server = &step.server;
    let mut parts = Parts::new(running);
    write_account(server)?;
    let mut relay = step.relay.as_ref().map(|relay| RelayRun { step, relay, landmarks, running, reported: 0 });
    if let Some(relay) = &relay {
        relay.prepare()?;
    }
    let mut process = running.spawn(std::slice::from_ref(&server.launch))?;
    wait_until_ready(server, &mut *process, running)?;
    files::remove_file(&server.init_file)?;
    parts.done("start the server");
    let replayed = match &mut relay {
        Some(relay) => relay.run(&mut *process),
        None => {
            let watch = LogGrowth { step, seen: std::cell::Cell::new(0), reporter: running.reporter };
            pipe(&step.reader, &step.client, Some(&|| watch.tick()), running)
        }
    };
    parts.done("replay");
    let result = replayed.and_then(|()| {
        let Some(step) = &step.examination else { return Ok(None) };
        let examiner = Examiner { step, server, running, window: Some(landmarks) };
        examiner.examine(&mut *process, &mut parts).map(Some)
    });
    close(result, server, &mut *process, running, parts)
}

/// Writes the statements that make the account, and the option file with which the client uses it. The password exists
/// nowhere else.
pub(super) fn write_account(server: &PrivateServer) -> Result<(), ExecuteError> {
    let (account, password) = (&server.account, Uuid::new_v4().simple().to_string());
    let statements = format!(
        "SET sql_log_bin=0;\n\
         CREATE USER '{account}'@'localhost' IDENTIFIED BY '{password}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{account}'@'localhost' WITH GRANT OPTION;\n"
    );
    files::write_private(&server.init_file, &statements)?;
    let socket = server.socket.display();
    files::write_private(
        &server.client_file,
        &format!("[client]\nuser={account}\npassword={password}\nsocket={socket}\n"),
    )
}

pub(super) fn wait_until_ready(
    server: &PrivateServer,
    process: &mut dyn Process,
    running: &Running<'_>,
) -> Result<(), ExecuteError> {
    let log = &server.launch.log;
    let failed = |problem: String| ExecuteError::ServerStart { problem, stderr: files::tail(log), log: log.clone() };
    let deadline = running.clock.monotonic() + Duration::from_secs(server.start_timeout_seconds);
    loop {
        if let Some(exits) = process.wait(Some(TICK))? {
            return Err(failed(describe(&exits)));
        }
        if let Some(signal) = running.reporter.interrupted() {
            process.kill()?;
            return Err(ExecuteError::Interrupted { signal });
        }
        let ping = Launch { command: server.ping.clone(), log: server.run_dir.join("ping.log") };
        if running.run(&[ping], None)?.iter().all(|exit| exit.status.success()) {
            return Ok(());
        }
        if running.clock.monotonic() >= deadline {
            process.kill()?;
            return Err(failed(format!("it did not answer within {} s", server.start_timeout_seconds)));
        }
    }
}

/// Runs a reader into a client, and judges both.
pub(super) fn pipe(
    reader: &Launch,
    client: &Launch,
    tick: Option<&dyn Fn()>,
    running: &Running<'_>,
) -> Result<(), ExecuteError> {
    let exits = running.run(&[reader.clone(), client.clone()], tick)?;
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
    let told = running.run(&[last_words], None)?;
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

/// Tells how far a replay is by what the private server has logged: about as many bytes as it was given.
struct LogGrowth<'a> {
    step: &'a Replay,
    seen: std::cell::Cell<u64>,
    reporter: &'a dyn Reporter,
}

impl LogGrowth<'_> {
    fn tick(&self) {
        let dir = &self.step.server.log_dir;
        let names = files::names_in(dir).unwrap_or_default();
        let logged: u64 = names.iter().map(|name| files::length(&dir.join(name))).sum();
        let logged = logged.min(self.step.bytes);
        let grown = logged.saturating_sub(self.seen.get());
        self.seen.set(self.seen.get() + grown);
        self.reporter.report(&Event::Progress { bytes: grown });
    }
}
