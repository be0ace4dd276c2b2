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
mod shell;
mod ship;
mod space;
mod timeline;
mod unlock;
mod unmark;

pub use timeline::{page as timeline_page, text as timeline_text};

use crate::{
    CommandError,
    args::{Cli, Command},
    context::Context,
    exit_code,
    messages::{self, Weight, say},
    old_files, output,
    space_lack::SpaceLack,
};
use clap::Parser;
use dbbak_core::{
    model::Printable,
    plan::{Plan, Remedy},
    run::{Command as Locking, Finished, RunError},
    store::Session,
};
use serde::Serialize;
use std::{path::Path, process::ExitCode, time::SystemTime};

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
                    space: error.lack().cloned(),
                    exit_code: error.exit_code(),
                });
            }
            say(Weight::Important, &error.render());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<u8, CommandError> {
    messages::set_up(cli.quiet, cli.log_file.as_deref())
        .map_err(|source| CommandError::LogFile { path: cli.log_file.clone().unwrap_or_default(), source })?;
    match &cli.command {
        Command::Demo(args) => return demo::run(args, cli.json),
        Command::Completions(args) => return shell::completions(args),
        Command::Man(args) => return shell::man(args),
        _ => {}
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
        Command::List(args) => list::run(context, args),
        Command::Timeline(args) => timeline::run(context, args),
        Command::Find(args) => find::run(context, args, cli.config_path.as_deref()),
        Command::Prune(args) => prune::run(context, args),
        Command::Reindex(args) => reindex::run(context, args),
        Command::Unmark(args) => unmark::run(context, args),
        Command::Unlock(args) => unlock::run(context, args),
        Command::Demo(_) | Command::Completions(_) | Command::Man(_) => Ok(exit_code::DONE),
    }
}

#[derive(Serialize)]
struct ErrorJson {
    version: u32,
    error: String,
    hints: Vec<String>,
    /// The file system that was full, where that is why the command failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    space: Option<SpaceLack>,
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
    let session = context.lock(command).map_err(|error| space::told(context, None, error))?;
    let plan = make()?;
    announce(context, &plan);
    advise(&plan);
    let finished = context.run(&plan, session.as_deref()).map_err(|error| {
        say_how_to_go_on(&plan, &error);
        space::told(context, Some(&plan), error)
    })?;
    release(session)?;
    for warning in &finished.warnings {
        say(Weight::Important, &format!("WARNING: {}", Printable(warning)));
    }
    // Those that the plan knew of were shown with it.
    for gap in finished.incomplete.iter().filter(|gap| !plan.incomplete.contains(gap)) {
        say(Weight::Important, &format!("INCOMPLETE: {}", Printable(gap)));
    }
    if !plan.steps.is_empty() && command != Locking::Restore {
        old_files::remove(context.root(), SystemTime::now());
    }
    Ok(Some(Done { plan, finished }))
}

/// Says what will be done. Of a plan without steps only what somebody must know: a run every two minutes that finds nothing
/// to do has its result to say, and that is one line.
fn announce(context: &Context, plan: &Plan) {
    if !plan.steps.is_empty() {
        say(Weight::Detail, &output::screened(&plan.text(context.offset()).to_string()));
    }
    if plan.steps.is_empty() || messages::is_quiet() {
        for warning in &plan.warnings {
            say(Weight::Important, &format!("WARNING: {}", Printable(warning)));
        }
        for gap in &plan.incomplete {
            say(Weight::Important, &format!("INCOMPLETE: {}", Printable(gap)));
        }
    }
}

/// Says how a restore that failed goes on, where it has kept what to go on from.
fn say_how_to_go_on(plan: &Plan, error: &RunError) {
    let unproven = matches!(error, RunError::Execute(error) if error.is_unproven());
    let kept = |journal: &Path| journal.exists() && plan.datadir().exists() && !unproven;
    let Some(journal) = plan.journal.as_ref().map(|journal| &journal.path).filter(|path| kept(path)) else { return };
    let dir = journal.parent().unwrap_or(journal).display();
    say(Weight::Important, &format!("hint: the same command with --workdir {dir} goes on with this restore"));
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
        say(Weight::Detail, &format!("hint: {hint}"));
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
