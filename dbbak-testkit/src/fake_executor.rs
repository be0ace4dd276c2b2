//! An executor whose processes are scripted: what they write, how they end, and what was launched.

use dbbak_core::{
    execute::{ExecError, Executor, ExitStatus, MemberExit, Process},
    tools::Launch,
};
use std::{
    collections::VecDeque,
    fmt, fs,
    io::{self, Cursor, Read, Write},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What a pipeline does at once when it is started, given its members.
type Act = Box<dyn FnMut(&[Launch]) -> io::Result<()> + Send>;

/// How one launch goes.
pub struct Script {
    act: Option<Act>,
    stderr: Vec<String>,
    status: Vec<ExitStatus>,
    end: End,
}

/// When a scripted pipeline ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    AtOnce,
    /// Never, until it is killed.
    Hangs,
    /// Once as many other pipelines were launched after it: as a server that is told to shut down.
    AfterLaunches(usize),
    NotStarted,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("status", &self.status).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Script {
    /// A pipeline that succeeds at once.
    pub fn success() -> Self {
        Script { act: None, stderr: Vec::new(), status: Vec::new(), end: End::AtOnce }
    }

    /// A pipeline that cannot be started.
    pub fn not_started() -> Self {
        Script { end: End::NotStarted, ..Script::success() }
    }

    /// The same, ending with these statuses, one a member; members without one succeed.
    #[must_use]
    pub fn status(mut self, status: impl IntoIterator<Item = ExitStatus>) -> Self {
        self.status = status.into_iter().collect();
        self
    }

    /// The same, with a line in the last member's log.
    #[must_use]
    pub fn says(mut self, line: &str) -> Self {
        self.stderr.push(line.to_owned());
        self
    }

    /// The same, doing this when it is started.
    #[must_use]
    pub fn does(mut self, act: impl FnMut(&[Launch]) -> io::Result<()> + Send + 'static) -> Self {
        self.act = Some(Box::new(act));
        self
    }

    /// The same, doing this as well, behind what it does already.
    #[must_use]
    pub fn also(mut self, mut act: impl FnMut(&[Launch]) -> io::Result<()> + Send + 'static) -> Self {
        let mut before = self.act.take();
        self.does(move |members| {
            before.as_mut().map_or(Ok(()), |before| before(members))?;
            act(members)
        })
    }

    /// The same, never ending until it is killed.
    #[must_use]
    pub fn hangs(mut self) -> Self {
        self.end = End::Hangs;
        self
    }

    /// The same, ending once so many other pipelines were launched after it.
    #[must_use]
    pub fn ends_after(mut self, launches: usize) -> Self {
        self.end = End::AfterLaunches(launches);
        self
    }
}

/// An executor that plays scripts in the order of the launches.
#[derive(Debug, Clone, Default)]
pub struct FakeExecutor {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    scripts: VecDeque<Script>,
    launched: Vec<Vec<Launch>>,
    killed: usize,
}

impl FakeExecutor {
    /// An executor that plays these scripts; a launch beyond them succeeds and does nothing.
    pub fn new(scripts: impl IntoIterator<Item = Script>) -> Self {
        let state = State { scripts: scripts.into_iter().collect(), ..State::default() };
        FakeExecutor { state: Arc::new(Mutex::new(state)) }
    }

    /// What was launched, in order.
    pub fn launched(&self) -> Vec<Vec<Launch>> {
        self.state().launched.clone()
    }

    /// How many pipelines were killed before their end.
    pub fn killed(&self) -> usize {
        self.state().killed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Executor for FakeExecutor {
    fn spawn(&self, members: &[Launch]) -> Result<Box<dyn Process>, ExecError> {
        let script = {
            let mut state = self.state();
            state.launched.push(members.to_vec());
            state.scripts.pop_front().unwrap_or_else(Script::success)
        };
        let program = members.first().map(|launch| launch.command.program.clone()).unwrap_or_default();
        let failed = |source| ExecError::Start { program: program.clone(), source };
        if script.end == End::NotStarted {
            return Err(failed(io::ErrorKind::NotFound.into()));
        }
        for launch in members {
            append(&launch.log, &[]).map_err(failed)?;
        }
        if let Some(last) = members.last() {
            append(&last.log, &script.stderr).map_err(failed)?;
        }
        if let Some(mut act) = script.act {
            act(members).map_err(failed)?;
        }
        let exits = members.iter().enumerate().map(|(at, launch)| MemberExit {
            program: name(&launch.command.program),
            status: script.status.get(at).copied().unwrap_or(ExitStatus::Code(0)),
        });
        let number = self.state().launched.len();
        Ok(Box::new(Scripted {
            executor: self.clone(),
            exits: exits.collect(),
            end: script.end,
            number,
            killed: false,
        }))
    }
}

fn append(log: &Path, lines: &[String]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(log)?;
    lines.iter().try_for_each(|line| writeln!(file, "{line}"))
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[derive(Debug)]
struct Scripted {
    executor: FakeExecutor,
    exits: Vec<MemberExit>,
    end: End,
    /// How many pipelines were launched up to this one.
    number: usize,
    killed: bool,
}

impl Scripted {
    fn has_ended(&self) -> bool {
        self.killed
            || match self.end {
                End::AtOnce | End::NotStarted => true,
                End::Hangs => false,
                End::AfterLaunches(count) => self.executor.state().launched.len() >= self.number + count,
            }
    }
}

impl Process for Scripted {
    fn groups(&self) -> Vec<u32> {
        Vec::new()
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        None
    }

    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        Some(Box::new(Cursor::new(Vec::new())))
    }

    fn wait(&mut self, _at_most: Option<Duration>) -> Result<Option<Vec<MemberExit>>, ExecError> {
        Ok(self.has_ended().then(|| self.exits.clone()))
    }

    fn terminate(&mut self) -> Result<(), ExecError> {
        self.kill()
    }

    fn kill(&mut self) -> Result<(), ExecError> {
        if !self.has_ended() {
            self.killed = true;
            self.executor.state().killed += 1;
        }
        Ok(())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
