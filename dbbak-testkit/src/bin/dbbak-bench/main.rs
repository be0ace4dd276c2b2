//! Measures what dbbak promises about speed and memory, and writes `docs/benchmarks.md`. Run it with `./dev bench`.

mod appliers;
mod archive;
mod backup;
mod clone;
mod engines;
mod find;
mod machine;
mod measure;
mod planning;
mod replay;
mod report;
mod restore;
mod source;
mod store;
mod transactions;

use std::{
    env, fmt,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Why the bench ended early.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            text.push_str(&format!(": {error}"));
            source = error.source();
        }
        Failure(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Options {
    quick: bool,
    only: Option<String>,
    dir: Option<PathBuf>,
    keep: bool,
    repeat: Option<usize>,
    with: Vec<String>,
}

impl Options {
    /// How often each measurement is repeated.
    pub(crate) fn repetitions(&self) -> usize {
        self.repeat.unwrap_or(if self.quick { 2 } else { 5 })
    }
}

const NAMES: [&str; 9] = ["backup", "clone", "engines", "archive", "replay", "appliers", "restore", "find", "planning"];

const USAGE: &str = "usage: ./dev bench [--quick] [--only NAME] [--dir DIR] [--keep] [--repeat N] [--with OPTION]

  --quick      small and few: to see that it works; docs/benchmarks.md stays as it is
  --only NAME  one benchmark alone: backup, clone, engines, archive, replay, appliers, restore, find or planning
  --dir DIR    where the stores and the server lie while it runs (20 GB free); below target/ when absent
  --keep       leave the stores of planning, find and replay in place, to profile with
  --repeat N   so many repetitions instead of 5; docs/benchmarks.md stays as it is where they are fewer than 3
  --with OPTION  one more option of dbbak's private servers in replay, appliers and restore, to try it (repeatable);
               docs/benchmarks.md stays as it is
";

/// Tells the person who waits how far the bench is.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, Failure> {
    let mut options = Options::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| Failure(format!("{argument} needs a value\n{USAGE}")));
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--keep" => options.keep = true,
            "--repeat" => {
                let value = value()?;
                options.repeat = Some(value.parse().map_err(|_| Failure(format!("--repeat {value} is no number")))?);
            }
            "--only" => options.only = Some(value()?),
            "--with" => options.with.push(value()?),
            "--dir" => options.dir = Some(value()?.into()),
            _ => return Err(Failure(format!("unknown argument {argument}\n{USAGE}"))),
        }
    }
    match &options.only {
        Some(name) if !NAMES.contains(&name.as_str()) => Err(Failure(format!("no benchmark {name}\n{USAGE}"))),
        _ => Ok(options),
    }
}

/// Builds the program that is measured, beside this one.
fn build(repository: &Path) -> Result<PathBuf, Failure> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "-p", "dbbak-cli"])
        .current_dir(repository)
        .status()?;
    let own = env::current_exe()?;
    match own.parent() {
        Some(dir) if status.success() => Ok(dir.join("dbbak")),
        _ => Err(Failure("dbbak could not be built".into())),
    }
}

fn bench(options: &Options) -> Result<(), Failure> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let dbbak = build(repository)?;
    let default_dir = || dbbak.parent().and_then(Path::parent).unwrap_or(repository).to_owned();
    let parent = options.dir.clone().unwrap_or_else(default_dir);
    std::fs::create_dir_all(&parent)?;
    let work = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
    let facts = machine::facts(&dbbak, work.path());
    let mut sections = Vec::new();
    for name in NAMES.into_iter().filter(|name| options.only.as_deref().is_none_or(|only| only == *name)) {
        let section = match name {
            "backup" => backup::measure(options, &dbbak, work.path())?,
            "archive" => archive::measure(options, &dbbak, work.path())?,
            "clone" => clone::measure(options, &dbbak, work.path())?,
            "engines" => engines::measure(options, &dbbak, work.path())?,
            "appliers" => appliers::measure(options, &dbbak, work.path())?,
            "restore" => restore::measure(options, &dbbak, work.path())?,
            "replay" => replay::measure(options, &dbbak, work.path())?,
            "find" => find::measure(options, &dbbak, work.path())?,
            _ => planning::measure(options, &dbbak, work.path())?,
        };
        let text = section.text(&facts);
        writeln!(std::io::stdout(), "{text}")?;
        sections.push((name, text));
        // Written after each, so that what was measured is not lost when a later one fails.
        if !options.quick && options.repetitions() >= 3 && options.with.is_empty() {
            report::write(&repository.join("docs/benchmarks.md"), &NAMES, &sections)?;
        }
    }
    if options.keep {
        say(&format!("kept: {}", work.keep().display()));
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [what, file, index] if what == archive::PASS => archive::pass(Path::new(file), Path::new(index)),
        _ => parse(arguments.into_iter()).and_then(|options| bench(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}
