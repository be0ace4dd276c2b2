//! Embeds dbbak: plans a restore, prints the plan as text and as JSON, and runs it with an executor and a probe of its own.
//!
//! `cargo run -p dbbak-core --example embed -- CONFIG.yml "2025-10-02 14:41" [WORKDIR]` shows the plan; with a work
//! directory it is carried out too. A program that needs nothing special takes `DuctExecutor`, `SystemProbe` and
//! `TerminalReporter` from the crate `dbbak-cli` instead of bringing its own.
#![expect(clippy::disallowed_methods, reason = "an embedder brings its own effects")]

mod executor;
mod probe;

use dbbak_core::{
    clock::SystemClock,
    config::Config,
    execute::{Event, Reporter},
    model::{Target, parse_time},
    plan::{FinishRequest, ReplayWay, RestoreRequest, Summary},
    run::{Command, Planning, Running, lock, run},
    store::{LocalStore, LockRequest},
};
use executor::LoggingExecutor;
use probe::OwnProbe;
use std::{error::Error, io::Write, path::Path};
use uuid::Uuid;

/// Says on standard error what the run does.
#[derive(Debug)]
struct Lines;

impl Reporter for Lines {
    fn report(&self, event: &Event<'_>) {
        let line = match event {
            Event::StepStarted { number, of, title, .. } => format!("step {number} of {of}: {title}"),
            Event::Warning { text } => format!("warning: {text}"),
            _ => return,
        };
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (config, time, workdir) = match args.as_slice() {
        [config, time] => (config, time, None),
        [config, time, workdir] => (config, time, Some(std::path::absolute(workdir)?)),
        _ => return Err("usage: embed CONFIG.yml \"YYYY-MM-DD HH:MM:SS\" [WORKDIR]".into()),
    };
    // The library knows no home directory: `~/` in the configuration is resolved against the one that is named here.
    let home = std::env::var_os("HOME");
    let config = Config::parse(&std::fs::read(config)?, home.as_deref().map(Path::new))?;
    let store = LocalStore::new(&config.nfs_root);
    let (clock, probe) = (SystemClock::new(), OwnProbe);

    let act = workdir.is_some();
    let target = Target::Time { at: parse_time(time)?, exact: true };
    let request = RestoreRequest {
        id: Uuid::new_v4(),
        target,
        backup: None,
        avoid: Vec::new(),
        raw_only: false,
        timeline: None,
        workdir,
        replay: ReplayWay::Auto,
        skip: Vec::new(),
        finish: FinishRequest::default(),
    };

    // The locks come before the plan: a read lease keeps a prune away from what the plan names.
    let session = match act {
        true => Some(lock(&store, Command::Restore, &LockRequest::new("embed"))?),
        false => None,
    };
    // Planning holds a reader and a probe. Nothing in it can change anything.
    let planning = Planning { config: &config, store: &store, probe: &probe, clock: &clock };
    let plan = planning.restore(&request)?;

    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", plan.text(None))?;
    writeln!(out, "{}", serde_json::to_string_pretty(&plan)?)?;
    if let Summary::Restore { report } = &plan.summary
        && let Some(window) = &report.window
    {
        writeln!(out, "lands at {}", window.cut)?;
    }

    let Some(session) = session else { return Ok(()) };
    // The value that was printed is the value that runs.
    let executor = LoggingExecutor;
    let running =
        Running { store: &store, session: Some(&*session), executor: &executor, clock: &clock, reporter: &Lines };
    let finished = run(&plan, &running)?;
    session.release()?;
    if let Some(report) = finished.report {
        let proven = report.proof.map_or(0, |proof| proof.transactions);
        writeln!(out, "restored into {}, {proven} transactions proven", report.datadir.display())?;
    }
    Ok(())
}
