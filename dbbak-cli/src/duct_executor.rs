//! The real executor: programs in process groups of their own, dead when dbbak dies.

use dbbak_core::execute::{ExecError, Executor, ExitStatus, MemberExit, Process, in_own_directory};
use dbbak_core::tools::{Arg, CommandSpec, Launch, RunAs, Stdin};
use duct::Expression;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    ffi::OsString,
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Goes on to the program only as a child of dbbak: one that died before `setpriv` had asked for the signal would never
/// cause it.
const IF_STILL_A_CHILD: &str = r#"[ "$PPID" = "$0" ] || exit 137; exec "$@""#;

/// Covers directories in a mount namespace of its own, and goes on to the program as its user: `+ DIRECTORY SHOWN... ...`, `--`,
/// user, group, `setpriv`, the program and its arguments. What is shown lies below the directory, and is reached from there
/// when that is covered; what is not there yet is passed over.
const SCREENED: &str = r#"set -eu
umask 022
while [ "$1" = + ]; do
    over=$2
    shift 2
    cd "$over"
    mount -t tmpfs -o mode=0711,size=1m dbbak "$over"
    while [ "${1#/}" != "$1" ]; do
        if [ -d "./${1#"$over"/}" ]; then
            mkdir -p "$1"
            mount --no-canonicalize --bind "./${1#"$over"/}" "$1"
        fi
        shift
    done
done
uid=$2 gid=$3 setpriv=$4
shift 4
cd /
exec "$setpriv" --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs --pdeathsig KILL -- "$@""#;

/// Runs commands through `duct`. Each member of a pipeline gets a process group of its own, so that its children die
/// with it, and is started through `setpriv --pdeathsig KILL` where that program is present, so that it does not
/// outlive dbbak. A command must be spawned from a thread that lives as long as the command: the kernel sends that
/// signal when the spawning thread ends.
#[derive(Debug, Clone)]
pub struct DuctExecutor {
    setpriv: Option<PathBuf>,
}

impl DuctExecutor {
    /// An executor; `setpriv` is the program of that name, if the machine has it.
    pub fn new(setpriv: Option<PathBuf>) -> Self {
        DuctExecutor { setpriv }
    }
}

impl Executor for DuctExecutor {
    fn spawn(&self, members: &[Launch]) -> Result<Box<dyn Process>, ExecError> {
        // Should a later member fail to start, dropping the group kills the earlier ones.
        let mut group = ProcessGroup { members: Vec::new(), stdin: None, stdout: None };
        let mut upstream: Option<PipeReader> = None;
        for (position, launch) in members.iter().enumerate() {
            let last = position + 1 == members.len();
            upstream = group.start(self.expression(&launch.command), launch, upstream, last)?;
        }
        Ok(Box::new(group))
    }
}

impl DuctExecutor {
    fn expression(&self, command: &CommandSpec) -> Expression {
        let program = command.program.as_os_str().to_owned();
        let args = command.args.iter().map(|arg| match arg {
            Arg::Plain(text) => text.clone(),
            Arg::Secret(secret) => secret.expose().unwrap_or_default().to_owned(),
        });
        let run_as = command.run_as.as_ref();
        let expression = match &self.setpriv {
            Some(setpriv) => {
                let parent = std::process::id().to_string();
                let mut words: Vec<OsString> = ["--pdeathsig", "KILL"].map(Into::into).into();
                words.extend(run_as.filter(|user| user.screens.is_empty()).map(|_| "--no-new-privs".into()));
                words.extend(["--", "/bin/sh", "-c", IF_STILL_A_CHILD, &parent].map(OsString::from));
                words.extend(run_as.map(|user| screened(user, setpriv)).unwrap_or_default());
                words.push(program);
                words.extend(args.map(Into::into));
                duct::cmd(setpriv, words)
            }
            None => duct::cmd(program, args),
        };
        let user = run_as.map(|user| (user.uid, user.gid, user.screens.is_empty()));
        let may_screen = self.setpriv.is_some();
        let expression = expression.unchecked().before_spawn(move |command| {
            command.process_group(0);
            match user {
                // Without root's other groups, which the standard library sees to.
                Some((uid, gid, true)) => {
                    command.uid(uid).gid(gid);
                }
                Some((_, _, false)) if !may_screen => {
                    return Err(io::Error::new(io::ErrorKind::NotFound, "setpriv is not installed"));
                }
                _ => {}
            }
            Ok(())
        });
        let expression = command.env.iter().fold(expression, |expression, (name, value)| expression.env(name, value));
        match (&command.cwd, run_as) {
            (Some(dir), _) => expression.dir(dir),
            // Another user may not be let into dbbak's own.
            (None, Some(_)) => expression.dir("/"),
            (None, None) => expression,
        }
    }
}

/// The words that cover what a program's user may not enter, in front of the program.
fn screened(user: &RunAs, setpriv: &Path) -> Vec<OsString> {
    if user.screens.is_empty() {
        return Vec::new();
    }
    let mut words: Vec<OsString> =
        ["unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", SCREENED, "sh"]
            .map(Into::into)
            .into();
    for screen in &user.screens {
        words.push("+".into());
        words.push(screen.over.clone().into());
        words.extend(screen.shown.iter().map(|path| path.clone().into()));
    }
    words.push("--".into());
    words.extend([user.uid, user.gid].map(|id| id.to_string().into()));
    words.push(setpriv.into());
    words
}

#[derive(Debug)]
struct Member {
    program: PathBuf,
    handle: duct::Handle,
    pid: u32,
    ended: Option<ExitStatus>,
}

/// The running members of one pipeline.
#[derive(Debug)]
struct ProcessGroup {
    members: Vec<Member>,
    stdin: Option<PipeWriter>,
    stdout: Option<PipeReader>,
}

impl ProcessGroup {
    fn start(
        &mut self,
        expression: Expression,
        launch: &Launch,
        upstream: Option<PipeReader>,
        last: bool,
    ) -> Result<Option<PipeReader>, ExecError> {
        let program = launch.command.program.clone();
        let start = |source| ExecError::Start { program: program.clone(), source };
        let log = open_log(&launch.log)?;
        let mut expression = expression.stderr_file(log);
        expression = match (upstream, &launch.command.stdin) {
            (Some(reader), _) => expression.stdin_file(reader),
            (None, Stdin::Null) => expression.stdin_null(),
            (None, Stdin::Text(text)) => expression.stdin_bytes(text.as_bytes()),
            (None, Stdin::Pipe) => {
                let (reader, writer) = io::pipe().map_err(start)?;
                self.stdin = Some(writer);
                expression.stdin_file(reader)
            }
        };
        let (reader, writer) = io::pipe().map_err(start)?;
        let handle = expression.stdout_file(writer).start().map_err(start)?;
        let pid = handle.pids().first().copied().unwrap_or_default();
        self.members.push(Member { program, handle, pid, ended: None });
        if last {
            self.stdout = Some(reader);
            return Ok(None);
        }
        Ok(Some(reader))
    }
}

impl Member {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        // The group may be gone already; only then is there nothing to signal.
        match Pid::from_raw(self.pid as i32) {
            Some(group) => match kill_process_group(group, signal) {
                Err(rustix::io::Errno::SRCH) => Ok(()),
                other => other.map_err(Into::into),
            },
            None => Ok(()),
        }
    }

    fn wait(&mut self, deadline: Option<Instant>) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            let output = match deadline {
                Some(deadline) => self.handle.wait_deadline(deadline)?,
                None => Some(self.handle.wait()?),
            };
            self.ended = output.map(|output| match output.status.code() {
                Some(code) => ExitStatus::Code(code),
                None => ExitStatus::Signal(output.status.signal().unwrap_or_default()),
            });
        }
        Ok(self.ended)
    }

    fn control(&self, action: &'static str, source: io::Error) -> ExecError {
        ExecError::Control { action, program: self.program.clone(), source }
    }
}

impl Process for ProcessGroup {
    fn groups(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.pid).collect()
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.stdin.take().map(|writer| Box::new(writer) as Box<dyn Write + Send>)
    }

    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.stdout.take().map(|reader| Box::new(reader) as Box<dyn Read + Send>)
    }

    fn wait(&mut self, at_most: Option<Duration>) -> Result<Option<Vec<MemberExit>>, ExecError> {
        let deadline = at_most.map(|at_most| Instant::now() + at_most);
        let mut exits = Vec::new();
        for member in &mut self.members {
            let status = member.wait(deadline).map_err(|source| ExecError::Control {
                action: "wait for",
                program: member.program.clone(),
                source,
            })?;
            let Some(status) = status else { return Ok(None) };
            exits.push(MemberExit { program: file_name(&member.program), status });
        }
        Ok(Some(exits))
    }

    fn terminate(&mut self) -> Result<(), ExecError> {
        self.members
            .iter()
            .filter(|member| member.ended.is_none())
            .try_for_each(|member| member.signal(Signal::TERM).map_err(|source| member.control("terminate", source)))
    }

    fn kill(&mut self) -> Result<(), ExecError> {
        self.stdin = None;
        self.stdout = None;
        for member in &mut self.members {
            // Also after the leader's end: its children may live on in the group.
            member.signal(Signal::KILL).map_err(|source| member.control("kill", source))?;
            member.wait(None).map_err(|source| ExecError::Control {
                action: "wait for",
                program: member.program.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.members.iter().any(|member| member.ended.is_none()) {
            let _ = self.kill();
        }
    }
}

fn open_log(log: &Path) -> Result<std::fs::File, ExecError> {
    // A private server's user may have made a link of that name in its run directory, or a pipe that nobody reads, or have put a
    // link in the place of that directory.
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NONBLOCK;
    in_own_directory(log, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|source| ExecError::Log { log: log.to_owned(), source })
}

fn file_name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Launch {
        Launch { command: CommandSpec::new("/bin/sh").args(["-c", script]), log: log.to_owned() }
    }

    fn executor() -> DuctExecutor {
        DuctExecutor::new(Path::new("/usr/bin/setpriv").exists().then(|| "/usr/bin/setpriv".into()))
    }

    #[test]
    fn every_member_has_its_own_status() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut process = executor().spawn(&[shell("exit 3", &log), shell("cat; echo two >&2", &log)]).unwrap();
        let exits = process.wait(None).unwrap().unwrap();
        assert_eq!(
            exits.iter().map(|exit| exit.status).collect::<Vec<_>>(),
            [ExitStatus::Code(3), ExitStatus::Code(0)]
        );
        assert_eq!(std::fs::read_to_string(log).unwrap(), "two\n");
    }

    #[test]
    fn output_flows_and_input_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut first = shell("cat", &log);
        first.command.stdin = Stdin::Pipe;
        let mut process = executor().spawn(&[first, shell("tr a-z A-Z", &log)]).unwrap();
        process.take_stdin().unwrap().write_all(b"hello").unwrap();
        let mut text = String::new();
        process.take_stdout().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "HELLO");
        assert!(process.wait(None).unwrap().unwrap().iter().all(|exit| exit.status.success()));
    }

    #[test]
    fn killing_takes_the_grandchildren_along() {
        let dir = tempfile::tempdir().unwrap();
        let pidfile = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", pidfile.display());
        let mut process = executor().spawn(&[shell(&script, &dir.path().join("log"))]).unwrap();
        let pid = loop {
            match std::fs::read_to_string(&pidfile).unwrap_or_default().trim().parse::<u32>() {
                Ok(pid) => break pid,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert!(process.wait(Some(Duration::from_millis(10))).unwrap().is_none());
        drop(process);
        for _ in 0..200 {
            let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("process {pid} outlived its group");
    }

    #[test]
    fn names_a_program_that_cannot_start() {
        let dir = tempfile::tempdir().unwrap();
        let launch = Launch { command: CommandSpec::new("/no/such/tool"), log: dir.path().join("log") };
        let error = DuctExecutor::new(None).spawn(std::slice::from_ref(&launch)).unwrap_err();
        assert_eq!(error.to_string(), "cannot start /no/such/tool");
    }
}
