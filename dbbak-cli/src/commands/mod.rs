//! One file a subcommand.

mod backup;
mod check;
mod demo;
mod engines;
mod fall_back;
mod find;
mod init;
mod list;
mod prune;
mod reindex;
mod restore;
mod ship;
mod timeline;
mod unlock;

pub use timeline::{page as timeline_page, text as timeline_text};

use crate::{
    CommandError,
    args::{Cli, Command},
    context::Context,
    exit_code, output,
};
use clap::Parser;
use dbbak_core::{
    model::Printable,
    plan::{Plan, Remedy},
    run::{Command as Locking, Finished, RunError},
    store::Session,
};
use serde::Serialize;
use std::{io::Write, path::Path, process::ExitCode};

/// The program: reads the command line, runs the subcommand, tells what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            // clap's own codes are 0 for help and 2 for a wrong command line.
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit_code::USAGE));
        }
    };
    match run(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // What a check found stands on standard output already, and a program reads one document there.
            if cli.json && !matches!(error, CommandError::CheckFailed { .. }) {
                let _ = output::json(&ErrorJson {
                    version: 1,
                    error: error.message(),
                    hints: error.hints(),
                    exit_code: error.exit_code(),
                });
            }
            let _ = writeln!(std::io::stderr(), "{}", error.render());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<u8, CommandError> {
    if let Command::Demo(args) = &cli.command {
        return demo::run(args, cli.json);
    }
    let context = Context::load(cli)?;
    dispatch(cli, &context).map_err(|error| error.in_store(context.root()))
}

fn dispatch(cli: &Cli, context: &Context) -> Result<u8, CommandError> {
    match &cli.command {
        Command::Init => init::run(context),
        Command::Check => check::run(context),
        Command::BackupFull(args) => backup::full(context, args),
        Command::BackupIncr(args) => backup::incremental(context, args),
        Command::ShipBinlogs(args) => ship::run(context, args),
        Command::Restore(args) => restore::run(context, args),
        Command::Engines => engines::run(context),
        Command::List => list::run(context),
        Command::Timeline(args) => timeline::run(context, args),
        Command::Find(args) => find::run(context, args, &cli.config_path),
        Command::Prune(args) => prune::run(context, args),
        Command::Reindex(args) => reindex::run(context, args),
        Command::Unlock(args) => unlock::run(context, args),
        Command::Demo(_) => Ok(exit_code::DONE),
    }
}

#[derive(Serialize)]
struct ErrorJson {
    version: u32,
    error: String,
    hints: Vec<String>,
    exit_code: u8,
}

/// A plan that was carried out, and what came of it.
struct Done {
    plan: Plan,
    finished: Finished,
}

/// Shows a plan, or takes the locks, makes the plan and carries it out. `None`: it was only shown.
fn plan_and_run(
    context: &Context,
    command: Locking,
    exec: bool,
    make: &dyn Fn() -> Result<Plan, RunError>,
) -> Result<Option<Done>, CommandError> {
    if !exec {
        let plan = make()?;
        if context.json {
            output::json(&plan)?;
        } else {
            output::text(&plan.text(context.offset()).to_string())?;
            advise(&plan);
            if !plan.steps.is_empty() {
                output::text("This was a dry run. Add --exec to do it.\n")?;
            }
        }
        return Ok(None);
    }
    let session = context.lock(command)?;
    let plan = make()?;
    let _ = write!(std::io::stderr(), "{}", output::screened(&plan.text(context.offset()).to_string()));
    advise(&plan);
    let finished = context.run(&plan, session.as_deref()).inspect_err(|error| say_how_to_go_on(&plan, error))?;
    release(session)?;
    for warning in &finished.warnings {
        let _ = writeln!(std::io::stderr(), "WARNING: {}", Printable(warning));
    }
    // Those that the plan knew of were shown with it.
    for gap in finished.incomplete.iter().filter(|gap| !plan.incomplete.contains(gap)) {
        let _ = writeln!(std::io::stderr(), "INCOMPLETE: {}", Printable(gap));
    }
    Ok(Some(Done { plan, finished }))
}

/// Says how a restore that failed goes on, where it has kept what to go on from.
fn say_how_to_go_on(plan: &Plan, error: &RunError) {
    let unproven = matches!(error, RunError::Execute(error) if error.is_unproven());
    let kept = |journal: &Path| journal.exists() && plan.datadir().exists() && !unproven;
    let Some(journal) = plan.journal.as_ref().map(|journal| &journal.path).filter(|path| kept(path)) else { return };
    let dir = journal.parent().unwrap_or(journal).display();
    let _ = writeln!(std::io::stderr(), "hint: the same command with --workdir {dir} goes on with this restore");
}

/// Says what would mend what a plan leaves incomplete.
fn advise(plan: &Plan) {
    for remedy in &plan.remedies {
        let hint = match remedy {
            Remedy::FetchFromServer => {
                "`dbbak ship-binlogs --from-server --exec` has the server send them, in the clear"
            }
            _ => continue,
        };
        let _ = writeln!(std::io::stderr(), "hint: {hint}");
    }
}

fn release(session: Option<Box<dyn Session>>) -> Result<(), CommandError> {
    match session {
        Some(session) => Ok(session.release()?),
        None => Ok(()),
    }
}

/// The exit code of a plan that was shown or run.
fn code_of(incomplete: &[String]) -> u8 {
    if incomplete.is_empty() { exit_code::DONE } else { exit_code::INCOMPLETE }
}
