//! Has the server clone itself, and opens the copy once to learn where it stands.

use super::{
    Event, ExitStatus, NewBackup, Reporter,
    error::ExecuteError,
    files,
    read_ahead::read_ahead,
    read_backup, remote_clone,
    replay::{describe, stop},
    run_dir::{in_run_dir, start_server},
    running::Running,
};
use crate::{
    model::{Lsn, MysqlGtidSet},
    plan::{EndClones, OpenClone, TakeClone},
    store::{Digest, PitrState},
    tools::{
        AnswerError, BinlogStatus, CloneStatus, CommandSpec, Launch, Secret, parse_binlog_status, parse_clone_progress,
        parse_clone_sessions, parse_clone_status, parse_status, parse_uncloned,
    },
};
use chrono::{DateTime, Utc};
use std::{
    io::{Read, Write},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

/// How often the server is asked whether a clone has ended.
const TICK: Duration = Duration::from_millis(100);
/// How often it is asked how far one is.
const PROGRESS: Duration = Duration::from_secs(1);
/// How long a clone may take to end once its session was killed (it looks between two blocks, seen: under a second).
const PATIENCE: Duration = Duration::from_secs(120);

/// Says everything on, and hears no signal.
#[derive(Debug)]
struct Deaf<'a>(&'a dyn Reporter);

impl Reporter for Deaf<'_> {
    fn report(&self, event: &Event<'_>) {
        self.0.report(event);
    }

    fn interrupted(&self) -> Option<i32> {
        None
    }
}

/// What was seen of a clone from outside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taken {
    /// When it was begun and when it ended.
    pub(super) times: (DateTime<Utc>, DateTime<Utc>),
    /// Where the server wrote its binlog before and after.
    pub(super) between: Option<(BinlogStatus, BinlogStatus)>,
    /// Whether the binlog that was written before is another file of that name now.
    pub(super) reset: bool,
}

/// Ends the clones that nobody waits for: a server goes on cloning when its client has died (seen on 9.7.4).
///
/// # Errors
///
/// When the server cannot be asked, or a clone does not end.
pub(super) fn end_clones(step: &EndClones, running: &Running<'_>) -> Result<(), ExecuteError> {
    let deadline = running.clock.monotonic() + PATIENCE;
    loop {
        let answer = ask(&step.sessions, &step.log, running)?;
        let sessions = parse_clone_sessions(&answer).map_err(|error| unreadable(&error))?;
        // Whatever is quoted in the statement: the path is ours if it stands there as we would write it.
        let ours = format!("'{}", step.below.display().to_string().replace('\\', "\\\\").replace('\'', "''"));
        let left: Vec<_> = sessions.iter().filter(|session| session.statement.contains(&ours)).collect();
        if left.is_empty() {
            return Ok(());
        }
        if running.clock.monotonic() >= deadline {
            let problem = format!("session {} still clones {PATIENCE:?} after it was killed", left[0].id);
            return Err(ExecuteError::Clone { problem, stderr: Vec::new(), log: step.log.clone() });
        }
        for session in left {
            let command =
                step.client.kill(session.id).map_err(|error| ExecuteError::BadPlan { problem: error.to_string() })?;
            // It may have ended by itself meanwhile.
            running.run(&[Launch { command, log: step.log.clone() }])?;
        }
        running.clock.sleep(TICK);
    }
}

/// Has the server write the copy.
///
/// # Errors
///
/// [`ExecuteError::Clone`] with what the server said; the clone is at work no more.
pub(super) fn take_clone(step: &TakeClone, running: &Running<'_>) -> Result<Taken, ExecuteError> {
    let place = || -> Result<Option<BinlogStatus>, ExecuteError> {
        let Some(status) = &step.status else { return Ok(None) };
        let answer = ask(status, &step.launch.log, running)?;
        parse_binlog_status(&answer).map_err(|error| unreadable(&error))
    };
    let before = place()?;
    let head = || {
        let (dir, before) = (step.binlog_dir.as_ref()?, before.as_ref()?);
        read_backup::head_digest(&dir.join(before.at.file.as_str()))
    };
    let head_before = head();
    let started = running.clock.now();
    let result = match &step.remote {
        None => clone(step, None, running),
        Some(remote) => {
            remote_clone::fetch(step, remote, running)?;
            Ok(())
        }
    };
    if let Err(error) = result {
        // The client is dead; the server may not know it. A signal must not keep this from being done.
        let deaf = Deaf(running.reporter);
        if let Err(problem) = end_clones(&step.end, &Running { reporter: &deaf, ..*running }) {
            let text = format!("the server may still be cloning itself into {}: {problem}", step.dir.display());
            running.reporter.report(&Event::Warning { text: &text });
        }
        return Err(error);
    }
    let ended = running.clock.now();
    let after = place()?;
    let reset = head_before.zip(head()).is_some_and(|(before, after)| before != after);
    Ok(Taken { times: (started, ended), between: before.zip(after), reset })
}

/// Runs the client that asks for the clone; where it asks for a pipe, it is given the statements.
pub(super) fn clone(step: &TakeClone, statements: Option<&Secret>, running: &Running<'_>) -> Result<(), ExecuteError> {
    let log = &step.launch.log;
    let start = files::length(log);
    let mut process = running.spawn(std::slice::from_ref(&step.launch))?;
    if let (Some(mut input), Some(statements)) = (process.take_stdin(), statements) {
        // A client that ended early has said why.
        let _ = input.write_all(statements.expose().unwrap_or_default().as_bytes());
    }
    let mut watch = Watch { copied: 0, asked: running.clock.monotonic() };
    let exits = running.wait(&mut *process, || watch.look(&step.progress, log, running))?;
    if exits.iter().all(|exit| exit.status.success()) {
        return Ok(());
    }
    let mut stderr = Vec::new();
    files::each_line(log, start, &mut |line| stderr.push(line.trim_end().to_owned()))?;
    Err(ExecuteError::Clone { problem: describe(&exits), stderr, log: log.clone() })
}

/// Tells how far a clone is, as far as the server says.
struct Watch {
    copied: u64,
    asked: Duration,
}

impl Watch {
    /// Asks now and then. An account that may not ask is told nothing, and clones all the same.
    fn look(&mut self, progress: &CommandSpec, log: &Path, running: &Running<'_>) {
        let now = running.clock.monotonic();
        if now.saturating_sub(self.asked) < PROGRESS {
            return;
        }
        self.asked = now;
        let log = log.with_extension("progress.log");
        let launch = Launch { command: progress.clone(), log: log.clone() };
        if let Ok(Ok(answer)) = running.ask(launch, None)
            && let Ok(copied) = parse_clone_progress(&answer)
        {
            running.reporter.report(&Event::Progress { bytes: copied.saturating_sub(self.copied) });
            self.copied = self.copied.max(copied);
        }
        let _ = files::remove_file(&log);
    }
}

/// Starts a private server on the copy, asks it, and shuts it down: where a clone stands is known only after its recovery.
///
/// # Errors
///
/// When the server does not start or does not end cleanly, or the copy lacks rows. The server is dead then.
pub(super) fn open_clone(step: &OpenClone, taken: &Taken, running: &Running<'_>) -> Result<NewBackup, ExecuteError> {
    let backup = in_run_dir(&step.server, &[], running, || opened(step, taken, running))?;
    // Each data directory gets a server_uuid of its own when its first server starts on it.
    files::remove_file(&step.server.datadir.join("auto.cnf"))?;
    Ok(backup)
}

fn opened(step: &OpenClone, taken: &Taken, running: &Running<'_>) -> Result<NewBackup, ExecuteError> {
    let server = &step.server;
    let mut process = start_server(server, running)?;
    let ended = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        // The copy is hashed next; a server that shuts down leaves the disk idle most of the time.
        scope.spawn(|| read_ahead(&server.datadir, &ended));
        let answers = questions(step, running);
        let stopped = match &answers {
            Ok(_) => stop(server, &mut *process, running).map(|_| ()).map_err(not_stopped),
            Err(_) => process.kill().map_err(ExecuteError::from),
        };
        ended.store(true, Ordering::Relaxed);
        stopped.and(answers)
    });
    let (status, lsn) = answers?;
    let (pitr, binlog_head) = judge(step, taken, &status)?;
    Ok(NewBackup {
        started_at: taken.times.0,
        ended_at: taken.times.1,
        from_lsn: Some(Lsn(0)),
        to_lsn: lsn,
        binlog: status.binlog,
        binlog_head,
        binlog_prefix: None,
        unusable: None,
        last_lsn: None,
        pitr,
        slave_info: None,
        galera_info: None,
        lock_seconds: None,
        tablespaces: None,
        broken: Vec::new(),
    })
}

/// Nothing was restored that could be kept for a look.
fn not_stopped(error: ExecuteError) -> ExecuteError {
    match error {
        ExecuteError::ServerStop { problem, log } => ExecuteError::Clone {
            problem: format!("the server on the copy did not shut down cleanly: {problem}"),
            stderr: Vec::new(),
            log,
        },
        error => error,
    }
}

/// The state of the copy, and its LSN where the server tells it (MySQL 8.0.30 and later, Percona Server).
fn questions(step: &OpenClone, running: &Running<'_>) -> Result<(CloneStatus, Option<Lsn>), ExecuteError> {
    let ask = |command: &CommandSpec| ask(command, &step.server.launch.log, running);
    // The account of the backup may not see all tables; this one sees them all, and in the state that was cloned.
    let uncloned = parse_uncloned(&ask(&step.uncloned)?).map_err(|error| unreadable(&error))?;
    if !uncloned.is_empty() {
        return Err(ExecuteError::NotCloned { tables: uncloned.iter().map(ToString::to_string).collect() });
    }
    let status = parse_clone_status(&ask(&step.status)?).map_err(|error| unreadable(&error))?;
    if status.state != "Completed" {
        let problem = format!("the server on the copy calls it {}", status.state);
        return Err(ExecuteError::Clone { problem, stderr: Vec::new(), log: step.server.launch.log.clone() });
    }
    let variables = parse_status(&ask(&step.lsn)?).map_err(|error| unreadable(&error))?;
    let lsn = ["innodb_redo_log_current_lsn", "innodb_lsn_current"]
        .iter()
        .find_map(|name| variables.get(*name)?.parse().ok());
    Ok((status, lsn))
}

/// Whether a replay may start from the copy's coordinates, and the digest of their binlog's head.
fn judge(step: &OpenClone, taken: &Taken, status: &CloneStatus) -> Result<(PitrState, Option<Digest>), ExecuteError> {
    let no = |reason: String| Ok((PitrState::No(reason), None));
    if !step.binlog_enabled {
        return no("the server writes no binlog (log_bin is off)".into());
    }
    let Some(binlog) = &status.binlog else { return no("the clone recorded no binlog coordinates".into()) };
    let Some((before, after)) = &taken.between else {
        return no("the server did not say where it wrote its binlog".into());
    };
    let at = binlog.place();
    let fits = before.at <= at && at <= after.at;
    let holds = |outer: Option<&str>, inner: Option<&str>| match (gtids(outer), gtids(inner)) {
        (Some(outer), Some(inner)) => inner.is_subset_of(&outer),
        _ => false,
    };
    let (set_before, set, set_after) =
        (before.gtid_executed.as_deref(), binlog.gtid.as_deref(), after.gtid_executed.as_deref());
    if taken.reset || !fits || !holds(set, set_before) || !holds(set_after, set) {
        let (before, after) = (&before.at, &after.at);
        return no(format!(
            "the clone's coordinates {at} do not lie between those before it ({before}) and after it ({after}), or their \
             GTIDs do not: were the binlogs reset meanwhile?"
        ));
    }
    if gtids(set) != gtids(Some(&status.executed)) {
        return no(format!(
            "the clone's GTIDs ({}) are not those that a server on it has ({})",
            binlog.gtid.as_deref().unwrap_or_default(),
            status.executed
        ));
    }
    match &step.binlog_dir {
        Some(dir) => read_backup::judge_place(dir, binlog),
        None => Ok((PitrState::Yes, None)),
    }
}

/// A set of GTIDs; none given is the empty one.
pub(super) fn gtids(text: Option<&str>) -> Option<MysqlGtidSet> {
    text.unwrap_or_default().parse().ok()
}

/// Runs a question to its end.
pub(super) fn ask(command: &CommandSpec, log: &Path, running: &Running<'_>) -> Result<String, ExecuteError> {
    let start = files::length(log);
    let mut process = running.spawn(&[Launch { command: command.clone(), log: log.to_owned() }])?;
    let output = process.take_stdout();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        output.map(|mut output| output.read_to_end(&mut bytes)).transpose().map(|_| bytes)
    });
    let exits = running.wait(&mut *process, || {})?;
    let failed = |problem: String, stderr| ExecuteError::Clone { problem, stderr, log: log.to_owned() };
    if exits.iter().any(|exit| exit.status != ExitStatus::Code(0)) {
        let mut stderr = Vec::new();
        files::each_line(log, start, &mut |line| stderr.push(line.trim_end().to_owned()))?;
        return Err(failed(describe(&exits), stderr));
    }
    match reader.join() {
        Ok(Ok(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Err(failed("its client's answer could not be read".into(), Vec::new())),
    }
}

pub(super) fn unreadable(error: &AnswerError) -> ExecuteError {
    ExecuteError::Clone {
        problem: format!("the server's answer cannot be read: {error}"),
        stderr: Vec::new(),
        log: std::path::PathBuf::new(),
    }
}
