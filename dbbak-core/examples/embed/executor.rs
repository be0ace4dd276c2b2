//! An executor on `std::process` that prints each command before it starts it.

use dbbak_core::{
    execute::{ExecError, Executor, ExitStatus, MemberExit, Process},
    tools::{Arg, Launch, Stdin},
};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs::File,
    io::{self, PipeReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    time::{Duration, Instant},
};

/// Prints each command and runs it in a process group of its own. Unlike `DuctExecutor` it does not tie the life of the
/// children to this process: should the process be killed, they go on.
#[derive(Debug)]
pub(crate) struct LoggingExecutor;

#[derive(Debug)]
struct Running {
    members: Vec<(PathBuf, Child)>,
    stdin: Option<ChildStdin>,
    stdout: Option<PipeReader>,
}

impl Executor for LoggingExecutor {
    fn spawn(&self, members: &[Launch]) -> Result<Box<dyn Process>, ExecError> {
        let mut running = Running { members: Vec::new(), stdin: None, stdout: None };
        for launch in members {
            // `Display` masks secrets; only the executor may read their text.
            let _ = writeln!(io::stderr(), "+ {}", launch.command);
            running.start(launch)?;
        }
        Ok(Box::new(running))
    }
}

impl Running {
    fn start(&mut self, launch: &Launch) -> Result<(), ExecError> {
        let spec = &launch.command;
        let failed = |source| ExecError::Start { program: spec.program.clone(), source };
        let log = File::options().append(true).create(true).open(&launch.log);
        let log = log.map_err(|source| ExecError::Log { log: launch.log.clone(), source })?;
        let (reader, writer) = io::pipe().map_err(failed)?;
        let mut command = Command::new(&spec.program);
        command.args(spec.args.iter().map(|arg| match arg {
            Arg::Plain(text) => text.as_str(),
            Arg::Secret(secret) => secret.expose().unwrap_or_default(),
        }));
        command.envs(&spec.env).stdout(writer).stderr(log).process_group(0);
        if let Some(dir) = &spec.cwd {
            command.current_dir(dir);
        }
        match &spec.run_as {
            // An executor that covers no directories must not start what needs them covered.
            Some(user) if !user.screens.is_empty() => return Err(failed(io::ErrorKind::Unsupported.into())),
            Some(user) => {
                command.uid(user.uid).gid(user.gid).current_dir("/");
            }
            None => {}
        }
        match (self.stdout.take(), &spec.stdin) {
            (Some(upstream), _) => command.stdin(upstream),
            (None, Stdin::Null) => command.stdin(Stdio::null()),
            (None, Stdin::Text(_) | Stdin::Pipe) => command.stdin(Stdio::piped()),
        };
        let mut child = command.spawn().map_err(failed)?;
        let input = child.stdin.take();
        self.members.push((spec.program.clone(), child));
        match (&spec.stdin, input) {
            (Stdin::Text(text), Some(mut input)) => input.write_all(text.as_bytes()).map_err(failed)?,
            (Stdin::Pipe, Some(input)) => self.stdin = Some(input),
            _ => {}
        }
        self.stdout = Some(reader);
        Ok(())
    }

    fn signal(&mut self, signal: Signal) -> Result<(), ExecError> {
        for (program, child) in &mut self.members {
            // A member that was not waited for keeps its id, so that no other group can be hit.
            let runs = matches!(child.try_wait(), Ok(None));
            if let (true, Some(group)) = (runs, Pid::from_raw(child.id() as i32)) {
                kill_process_group(group, signal).map_err(|error| ExecError::Control {
                    action: "signal",
                    program: program.clone(),
                    source: error.into(),
                })?;
            }
        }
        Ok(())
    }
}

impl Process for Running {
    fn groups(&self) -> Vec<u32> {
        self.members.iter().map(|(_, child)| child.id()).collect()
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        Some(Box::new(self.stdin.take()?))
    }

    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        Some(Box::new(self.stdout.take()?))
    }

    fn wait(&mut self, at_most: Option<Duration>) -> Result<Option<Vec<MemberExit>>, ExecError> {
        let begun = Instant::now();
        loop {
            let mut exits = Vec::with_capacity(self.members.len());
            for (program, child) in &mut self.members {
                let control = |source| ExecError::Control { action: "wait for", program: program.clone(), source };
                let Some(status) = child.try_wait().map_err(control)? else { break };
                exits.push(MemberExit {
                    program: program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    status: match (status.code(), status.signal()) {
                        (Some(code), _) => ExitStatus::Code(code),
                        (None, signal) => ExitStatus::Signal(signal.unwrap_or_default()),
                    },
                });
            }
            if exits.len() == self.members.len() {
                return Ok(Some(exits));
            }
            if at_most.is_some_and(|at_most| begun.elapsed() >= at_most) {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn terminate(&mut self) -> Result<(), ExecError> {
        self.signal(Signal::TERM)
    }

    fn kill(&mut self) -> Result<(), ExecError> {
        self.signal(Signal::KILL)?;
        self.wait(None).map(|_| ())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
