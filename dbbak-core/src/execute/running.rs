//! Runs programs under the eyes of the reporter and the lock.

use super::{
    Event, Executor, ExitStatus, MemberExit, Process, Reporter,
    copies::{CopyState, Verified},
    error::ExecuteError,
    files,
    growth::Growth,
    log_mask,
    prepare_options::write_option_files,
    replay,
    rut::Rut,
};
use crate::{
    clock::Clock,
    plan::RunTool,
    store::{ProcessGroup, Session, local::give_new_dir},
    tools::{
        Checkpoints, Exit, Launch, MetadataFile, RunEnd, StderrScan, TablespaceIds, ToolRunError, judge_backup_run,
    },
};
use std::{
    io::{Read, Write},
    time::Duration,
};

/// How often a running program is looked at.
const TICK: Duration = Duration::from_millis(100);

/// How often a client that was asked something is looked at.
const ANSWER_TICK: Duration = Duration::from_millis(10);
/// How long a client may take to answer: no question of dbbak's looks at rows, but a server may be slow to start to serve.
const LONGEST_QUESTION: Duration = Duration::from_secs(3600);
/// The longest answer that is taken, in bytes: a line for each of some hundred thousand tables.
const LONGEST_ANSWER: u64 = 256 << 20;

/// What running a program needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Running<'a> {
    pub(super) executor: &'a dyn Executor,
    pub(super) session: Option<&'a dyn Session>,
    pub(super) clock: &'a dyn Clock,
    pub(super) reporter: &'a dyn Reporter,
}

impl Running<'_> {
    /// Starts a pipeline, and notes its process groups in the lock, so that whoever takes the lock over from a dead
    /// dbbak finds them.
    pub(super) fn spawn(&self, members: &[Launch]) -> Result<Box<dyn Process>, ExecuteError> {
        let process = self.start(members)?;
        if let Some(session) = self.session {
            let groups: Vec<ProcessGroup> = process.groups().into_iter().filter_map(ProcessGroup::led_by).collect();
            session.note_children(&groups)?;
        }
        Ok(process)
    }

    fn start(&self, members: &[Launch]) -> Result<Box<dyn Process>, ExecuteError> {
        for dir in members.iter().filter_map(|launch| launch.log.parent()) {
            files::create_private_dir(dir)?;
            // The store's own directory of logs, not one of a run.
            let stored = self.session.and_then(|session| session.local_dir());
            if stored.is_some_and(|store| dir.parent() == Some(store.root())) {
                give_new_dir(dir);
            }
        }
        Ok(self.executor.spawn(members)?)
    }

    /// Waits for the end of a pipeline, with a look at what it does every tenth of a second.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Interrupted`]; the pipeline is dead then.
    pub(super) fn wait(
        &self,
        process: &mut dyn Process,
        mut look: impl FnMut(),
    ) -> Result<Vec<MemberExit>, ExecuteError> {
        self.wait_unless(process, || {
            look();
            false
        })
    }

    /// The same; what the look finds to be of no use any more is killed, and nothing is returned of how it ended.
    fn wait_unless(
        &self,
        process: &mut dyn Process,
        mut hopeless: impl FnMut() -> bool,
    ) -> Result<Vec<MemberExit>, ExecuteError> {
        loop {
            if let Some(exits) = process.wait(Some(TICK))? {
                return Ok(exits);
            }
            if let Some(signal) = self.reporter.interrupted() {
                process.kill()?;
                return Err(ExecuteError::Interrupted { signal });
            }
            if hopeless() {
                process.kill()?;
                return Ok(Vec::new());
            }
        }
    }

    /// Runs a pipeline to its end.
    pub(super) fn run(&self, members: &[Launch]) -> Result<Vec<MemberExit>, ExecuteError> {
        self.run_to_end(self.start(members)?)
    }

    /// The same for one that takes long: whoever takes the lock over finds it.
    pub(super) fn run_noted(&self, members: &[Launch]) -> Result<Vec<MemberExit>, ExecuteError> {
        self.run_to_end(self.spawn(members)?)
    }

    fn run_to_end(&self, mut process: Box<dyn Process>) -> Result<Vec<MemberExit>, ExecuteError> {
        // Nobody reads the last member's output: it must not fill a pipe.
        let output = process.take_stdout();
        let drain = output.map(|mut output| {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut output, &mut std::io::sink());
            })
        });
        let exits = self.wait(&mut *process, || {})?;
        if let Some(drain) = drain {
            let _ = drain.join();
        }
        Ok(exits)
    }

    /// Runs a client, gives it statements where it asks for a pipe, and returns its standard output; where it fails, how
    /// it ended. An answer is bounded, in length and in time.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Interrupted`]; the client is dead then.
    pub(super) fn ask(&self, launch: Launch, statements: Option<&str>) -> Result<Result<String, String>, ExecuteError> {
        let log = launch.log.clone();
        let mut process = self.start(&[launch])?;
        if let (Some(mut stdin), Some(statements)) = (process.take_stdin(), statements) {
            // A client that ended early has said why.
            let _ = stdin.write_all(statements.as_bytes());
        }
        let answer = process.take_stdout().map(|stdout| {
            std::thread::spawn(move || {
                let mut answer = Vec::new();
                stdout.take(LONGEST_ANSWER + 1).read_to_end(&mut answer).map(|_| answer)
            })
        });
        let deadline = self.clock.monotonic() + LONGEST_QUESTION;
        let exits = loop {
            if let Some(exits) = process.wait(Some(ANSWER_TICK))? {
                break exits;
            }
            if let Some(signal) = self.reporter.interrupted() {
                process.kill()?;
                return Err(ExecuteError::Interrupted { signal });
            }
            if self.clock.monotonic() >= deadline {
                process.kill()?;
                return Ok(Err(format!("no answer within {} s", LONGEST_QUESTION.as_secs())));
            }
        };
        let answer = match answer.map(std::thread::JoinHandle::join) {
            None => Vec::new(),
            Some(Ok(answer)) => answer.map_err(files::failed("read", &log))?,
            Some(Err(_)) => return Ok(Err("its answer could not be read".into())),
        };
        if answer.len() as u64 > LONGEST_ANSWER {
            return Ok(Err(format!("its answer is longer than {LONGEST_ANSWER} bytes")));
        }
        if exits.iter().all(|exit| exit.status.success()) {
            return Ok(Ok(String::from_utf8_lossy(&answer).into_owned()));
        }
        Ok(Err(replay::describe(&exits)))
    }

    /// Runs the backup tool and judges whether it succeeded. `tablespaces` tells which ones the backup must have; it is
    /// asked where the tool misses some. `copies` are those that this run has made.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Tool`] when its status, its last line, the files it left or what they say is not as it must be, or it came
    /// to no end.
    pub(super) fn run_tool(
        &self,
        step: &RunTool,
        copies: &mut Verified,
        tablespaces: impl FnOnce() -> Result<Option<TablespaceIds>, ExecuteError>,
    ) -> Result<Option<Checkpoints>, ExecuteError> {
        let watched = copies.before(step);
        if let Some(options) = &step.options {
            write_option_files(options, self.reporter)?;
        }
        let log_start = files::length(&step.launch.log);
        let mut process = self.spawn(std::slice::from_ref(&step.launch))?;
        let mut growth = Growth::new(&step.dir);
        let mut rut = Rut::new(&step.launch.log, log_start, self.clock.monotonic());
        let mut stuck = None;
        let exits = self.wait_unless(&mut *process, || {
            if step.bytes.is_some()
                && let Some(bytes) = growth.since_last()
            {
                self.reporter.report(&Event::Progress { bytes });
            }
            stuck = rut.look(self.clock.monotonic());
            stuck.is_some()
        })?;
        drop(process);
        let exit = match exits.first().map(|exit| exit.status) {
            Some(ExitStatus::Code(code)) => Exit::Code(code),
            Some(ExitStatus::Signal(signal)) => Exit::Signal(signal),
            None => Exit::Code(-1),
        };
        let mut stderr = StderrScan::new();
        log_mask::mask_log(&step.launch.log, log_start)?;
        files::each_line(&step.launch.log, log_start, &mut |line| stderr.line(line))?;
        if stderr.misses_tablespaces()
            && let Some(ids) = tablespaces()?
        {
            stderr.settle_tablespaces(&ids);
        }
        let judged = match stuck {
            Some(stuck) => {
                let (kind, class) = (step.expect.kind, stderr.cause().0);
                Err(ToolRunError::Stuck { kind, line: crate::tools::masked(&stuck.line), count: stuck.count, class })
            }
            None => {
                let names = files::names_in(&step.dir)?;
                let checkpoints = match MetadataFile::Checkpoints.select(&names) {
                    Some(name) => files::read_file(&step.dir.join(name))?,
                    None => None,
                };
                let run = RunEnd { exit, stderr: &stderr, files: &names, checkpoints: checkpoints.as_deref() };
                judge_backup_run(&step.expect, &run)
            }
        };
        judged.map_err(|problem| ExecuteError::Tool {
            program: step.launch.command.program.display().to_string(),
            title: step.title.clone(),
            problem: Box::new(problem),
            log: step.launch.log.clone(),
            link: step.applies,
            copy: Box::new(watched.map_or(CopyState::Unverified, |watched| watched.after(&step.launch.log, log_start))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        execute::{ExecError, Silent},
        tools::CommandSpec,
    };
    use chrono::{DateTime, Utc};
    use std::{
        io::{self, Cursor},
        sync::{
            Arc,
            atomic::{AtomicU64, AtomicUsize, Ordering},
        },
    };

    /// Each look at it takes ten minutes.
    #[derive(Debug, Default)]
    struct FastClock(AtomicU64);

    impl Clock for FastClock {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn monotonic(&self) -> Duration {
            Duration::from_secs(600 * self.0.fetch_add(1, Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) {}
    }

    /// A client that prints, and ends or does not.
    #[derive(Debug, Clone)]
    struct Answering {
        /// It prints so many bytes.
        bytes: u64,
        ends: bool,
        killed: Arc<AtomicUsize>,
    }

    impl Executor for Answering {
        fn spawn(&self, _: &[Launch]) -> Result<Box<dyn Process>, ExecError> {
            Ok(Box::new(self.clone()))
        }
    }

    impl Process for Answering {
        fn groups(&self) -> Vec<u32> {
            Vec::new()
        }

        fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
            Some(Box::new(Cursor::new(Vec::new())))
        }

        fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
            Some(Box::new(io::repeat(b'x').take(self.bytes)))
        }

        fn wait(&mut self, _: Option<Duration>) -> Result<Option<Vec<MemberExit>>, ExecError> {
            let exit = MemberExit { program: "mysql".into(), status: ExitStatus::Code(0) };
            Ok(self.ends.then(|| vec![exit]))
        }

        fn terminate(&mut self) -> Result<(), ExecError> {
            self.kill()
        }

        fn kill(&mut self) -> Result<(), ExecError> {
            self.killed.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    /// What comes of asking, and how often the client was killed.
    fn asked(bytes: u64, ends: bool) -> (Result<String, String>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let executor = Answering { bytes, ends, killed: Arc::default() };
        let clock = FastClock::default();
        let running = Running { executor: &executor, session: None, clock: &clock, reporter: &Silent };
        let launch = Launch { command: CommandSpec::new("/bin/mysql"), log: dir.path().join("log") };
        let answer = running.ask(launch, Some("SELECT 1;")).unwrap();
        (answer, executor.killed.load(Ordering::Relaxed))
    }

    /// mariadb-backup that says the same each time that it is looked at.
    #[derive(Debug)]
    struct Repeating(std::path::PathBuf, Arc<AtomicUsize>);

    impl Executor for Repeating {
        fn spawn(&self, _: &[Launch]) -> Result<Box<dyn Process>, ExecError> {
            Ok(Box::new(Repeating(self.0.clone(), self.1.clone())))
        }
    }

    impl Process for Repeating {
        fn groups(&self) -> Vec<u32> {
            Vec::new()
        }

        fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
            None
        }

        fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
            None
        }

        #[expect(clippy::disallowed_methods, reason = "a tool writes its log")]
        fn wait(&mut self, _: Option<Duration>) -> Result<Option<Vec<MemberExit>>, ExecError> {
            let line = "[Note] InnoDB: IO Error: 28 during write of 16384 bytes, for file shop/t.ibd(9), returned 0\n";
            let mut log = std::fs::OpenOptions::new().create(true).append(true).open(&self.0).unwrap();
            log.write_all(line.repeat(60).as_bytes()).unwrap();
            Ok(None)
        }

        fn terminate(&mut self) -> Result<(), ExecError> {
            self.kill()
        }

        fn kill(&mut self) -> Result<(), ExecError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    #[test]
    fn a_tool_that_comes_to_no_end_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let (log, killed) = (dir.path().join("log"), Arc::<AtomicUsize>::default());
        let executor = Repeating(log.clone(), killed.clone());
        let clock = FastClock::default();
        let running = Running { executor: &executor, session: None, clock: &clock, reporter: &Silent };
        let step = RunTool {
            title: "prepare the copy".into(),
            launch: Launch { command: CommandSpec::new("/bin/mariadb-backup"), log },
            dir: dir.path().to_owned(),
            expect: crate::tools::Expected::copied_back(crate::tools::ToolKind::MariadbBackup),
            applies: None,
            tablespaces: None,
            bytes: None,
            options: None,
            again: 0,
        };
        let error = running.run_tool(&step, &mut Verified::default(), || Ok(None)).unwrap_err();
        let ExecuteError::Tool { problem, .. } = &error else { panic!("{error}") };
        let ToolRunError::Stuck { count, class, line, .. } = &**problem else { panic!("{error}") };
        assert_eq!((*count, *class), (120, crate::tools::FailureClass::NoSpace));
        assert!(line.contains("IO Error: 28 during write"), "{line}");
        assert!(!problem.is_of_the_backup());
        assert_eq!(killed.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn an_answer_is_bounded_in_length_and_in_time() {
        assert_eq!(asked(3, true), (Ok("xxx".into()), 0));
        let (answer, killed) = asked(3, false);
        assert_eq!((answer, killed), (Err("no answer within 3600 s".into()), 1));
        let (answer, _) = asked(LONGEST_ANSWER + 1, true);
        assert_eq!(answer, Err(format!("its answer is longer than {LONGEST_ANSWER} bytes")));
    }
}
