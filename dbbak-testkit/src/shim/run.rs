//! What all shims do: find the scenario, log the call, carry out a scripted failure.

use super::{Call, Done, Effect, Scenario, ShimTool};
use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

/// One call of a shim.
#[derive(Debug)]
pub struct Invocation {
    /// What the shims of this directory do.
    pub scenario: Scenario,
    /// The directory of the scenario.
    pub dir: PathBuf,
    /// The path that the shim was started under.
    pub program: String,
    /// The arguments.
    pub args: Vec<String>,
    /// What goes wrong in this call.
    pub effect: Option<Effect>,
}

impl Invocation {
    /// Reads the scenario and logs the call.
    ///
    /// # Errors
    ///
    /// When there is no readable scenario, or the log cannot be written.
    pub fn begin(tool: ShimTool) -> io::Result<Self> {
        let mut args = env::args();
        let program = args.next().unwrap_or_default();
        let args: Vec<String> = args.collect();
        let path = match env::var_os("DBBAK_SHIM_SCENARIO") {
            Some(path) => PathBuf::from(path),
            None => Path::new(&program).with_file_name("scenario.json"),
        };
        let bytes = fs::read(&path).map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let scenario: Scenario = serde_json::from_slice(&bytes)?;
        let dir = path.parent().unwrap_or(Path::new(".")).to_owned();
        let earlier = fs::read_to_string(dir.join("calls.jsonl")).unwrap_or_default();
        let call = Call {
            tool: name(tool).to_owned(),
            program: program.clone(),
            args: args.clone(),
            tz: env::var("TZ").ok(),
            lc_all: env::var("LC_ALL").ok(),
        };
        let mut log = fs::OpenOptions::new().create(true).append(true).open(dir.join("calls.jsonl"))?;
        log.write_all((serde_json::to_string(&call)? + "\n").as_bytes())?;
        let effect = effect(&scenario, tool, &call, &earlier);
        Ok(Invocation { scenario, dir, program, args, effect })
    }

    /// The value of `--name=value`, the last one; dashes and underscores are the same.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.args.iter().rev().find_map(|arg| {
            let (found, value) = arg.strip_prefix("--")?.split_once('=')?;
            (found.replace('_', "-") == name).then_some(value)
        })
    }

    /// Whether `--name` is among the arguments.
    pub fn has(&self, name: &str) -> bool {
        self.args.iter().any(|arg| arg.strip_prefix("--").is_some_and(|found| found.replace('_', "-") == name))
    }

    /// How much of the work this call does before a failure; everything without one.
    pub fn done(&self) -> Done {
        match self.effect {
            Some(Effect::Exit { done, .. } | Effect::Hang { done } | Effect::Killed { done }) => done,
            _ => Done::All,
        }
    }

    /// Carries out a failure that ends the call; `None` where it goes on.
    pub fn end(&self) -> Option<ExitCode> {
        match self.effect.as_ref()? {
            Effect::Exit { code, stderr, .. } => {
                say(stderr.trim_end());
                Some(ExitCode::from(*code))
            }
            Effect::Hang { .. } => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Effect::Killed { .. } => {
                // The standard library sends no signals; the shell's parent is this process.
                let _ = Command::new("/bin/sh").args(["-c", "kill -9 $PPID"]).status();
                Some(ExitCode::FAILURE)
            }
            _ => None,
        }
    }
}

/// Runs a shim: an error of its own ends with a status that no real tool has.
pub fn main_of(tool: ShimTool, play: impl FnOnce(&Invocation) -> io::Result<ExitCode>) -> ExitCode {
    match Invocation::begin(tool).and_then(|call| play(&call)) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("shim: {error}"));
            ExitCode::from(99)
        }
    }
}

/// Prints a line, or several, on standard error.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn effect(scenario: &Scenario, tool: ShimTool, call: &Call, earlier: &str) -> Option<Effect> {
    let earlier: Vec<Call> = earlier.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failure = scenario.failures.iter().find(|failure| {
        let counts = |call: &Call| {
            let wanted = &failure.argument;
            let has = |arg: &String| arg == wanted || (wanted.ends_with(' ') && arg.starts_with(wanted.as_str()));
            call.tool == name(tool) && (wanted.is_empty() || call.args.iter().any(has))
        };
        let number = earlier.iter().filter(|call| counts(call)).count() + 1;
        failure.tool == tool && counts(call) && number == failure.call
    })?;
    Some(failure.effect.clone())
}

fn name(tool: ShimTool) -> &'static str {
    match tool {
        ShimTool::Backup => "backup",
        ShimTool::Reader => "reader",
        ShimTool::Client => "client",
    }
}
