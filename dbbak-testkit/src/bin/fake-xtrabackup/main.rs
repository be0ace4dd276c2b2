//! Stands in for `xtrabackup` 2.4, 8.0 and 8.4 and for `mariadb-backup` in tests: the same arguments, files, states,
//! refusals, exit statuses and last lines, over tables that are small text files.

mod backup;
mod metadata;
mod options;
mod prepare;
mod voice;

use dbbak_testkit::shim::{
    Effect, ShimTool,
    run::{Invocation, main_of, say},
};
use std::{fs, io, path::Path, process::ExitCode};
use voice::Voice;

/// A refusal as the real tool words it: lines on standard error and an exit status.
#[derive(Debug)]
struct Refusal {
    lines: Vec<String>,
    code: u8,
}

/// What a step of the tool ends with: done, refused, or a failure of the shim itself.
type Outcome = io::Result<Result<(), Refusal>>;

impl Refusal {
    fn of(line: impl Into<String>) -> Self {
        Refusal { lines: vec![line.into()], code: 1 }
    }
}

fn main() -> ExitCode {
    main_of(ShimTool::Backup, play)
}

fn play(call: &Invocation) -> io::Result<ExitCode> {
    let voice = Voice::of(call);
    if call.has("version") {
        voice.version();
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(Effect::Exit { done: dbbak_testkit::shim::Done::Nothing, .. }) = &call.effect
        && let Some(code) = call.end()
    {
        return Ok(code);
    }
    let outcome = match options::check(call) {
        Err(refusal) => Err(refusal),
        Ok(mode) => {
            voice.version();
            match mode {
                options::Mode::Backup => backup::run(call, &voice)?,
                options::Mode::Prepare => prepare::run(call, &voice)?,
                options::Mode::CopyBack => copy_back(call, &voice)?,
            }
        }
    };
    if let Err(refusal) = outcome {
        refusal.lines.iter().for_each(|line| say(line));
        return Ok(ExitCode::from(refusal.code));
    }
    if let Some(code) = call.end() {
        return Ok(code);
    }
    spoil(call)?;
    if call.effect != Some(Effect::NoSuccessLine) {
        voice.note("completed OK!");
    }
    Ok(ExitCode::SUCCESS)
}

/// Carries out the failures that leave the status 0.
fn spoil(call: &Invocation) -> io::Result<()> {
    let target = Path::new(call.option("target-dir").unwrap_or_default());
    match &call.effect {
        Some(Effect::MissingFile { name }) => fs::remove_file(target.join(name)),
        Some(Effect::WrongType { backup_type }) => {
            let path = target.join(metadata::checkpoints_name(call));
            let text = fs::read_to_string(&path)?;
            let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
            fs::write(path, format!("backup_type = {backup_type}\n{rest}"))
        }
        Some(Effect::Alarm { line }) => {
            say(line);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Copies a backup into an empty data directory: not its checkpoints and coordinates. mariadb-backup does it with an
/// unprepared one too.
fn copy_back(call: &Invocation, voice: &Voice<'_>) -> Outcome {
    let mariadb = call.scenario.series.is_mariadb();
    let target = Path::new(call.option("target-dir").unwrap_or_default());
    let Some(datadir) = call.option("datadir") else {
        return Ok(Err(Refusal::of(voice.error_line("datadir must be specified."))));
    };
    if !mariadb {
        let state = match metadata::read_checkpoints(call, target)? {
            Ok(state) => state,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if state.backup_type != "full-prepared" {
            let text = "The target is not fully prepared. Please prepare it without option --apply-log-only";
            return Ok(Err(Refusal::of(voice.error_line(text))));
        }
    }
    let datadir = Path::new(datadir);
    if datadir.exists() && fs::read_dir(datadir)?.next().is_some() {
        let text = format!("Original data directory {} is not empty!", datadir.display());
        return Ok(Err(Refusal::of(voice.line(&text))));
    }
    fs::create_dir_all(datadir)?;
    for path in backup::files_below(target)? {
        let name = path.as_str();
        let left_behind = name == "backup-my.cnf"
            || name == "xtrabackup_logfile"
            || name.ends_with("_checkpoints")
            || name.ends_with("_binlog_info");
        if left_behind {
            continue;
        }
        let to = datadir.join(name);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        voice.note(&format!("Copying ./{name} to {}", to.display()));
        fs::copy(target.join(name), to)?;
    }
    Ok(Ok(()))
}
