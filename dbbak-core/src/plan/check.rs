//! Checks a finished plan against the rules that always hold.

use super::{Plan, Step, Summary};
use crate::{
    model::TreeName,
    tools::{Arg, CommandSpec, ToolKind},
};
use std::{fmt, path::Path};

/// A rule that a plan breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule's number in the design.
    pub rule: u8,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)
    }
}

/// The rules that a plan breaks; none for every plan that a planner makes.
pub fn check(plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut broken = |rule: u8, what: String| found.push(Violation { rule, what });
    chain(plan, &mut broken);
    private_copies(plan, &mut broken);
    prepares(plan, &mut broken);
    replay(plan, &mut broken);
    binlogs(plan, &mut broken);
    order(plan, &mut broken);
    found
}

type Broken<'a> = &'a mut dyn FnMut(u8, String);

/// Rule 1: the links of a restored chain meet.
fn chain(plan: &Plan, broken: Broken<'_>) {
    let Summary::Restore { report } = &plan.summary else { return };
    if report.chain.first().is_none_or(|full| !full.backup.starts_with("full_")) {
        broken(1, "the chain does not begin with a full".into());
    }
    for link in report.chain.windows(2) {
        let [parent, child] = link else { continue };
        if let (Some(end), Some(start)) = (parent.to_lsn, child.from_lsn)
            && end != start
        {
            broken(1, format!("{} starts at {start}, {} ends at {end}", child.backup, parent.backup));
        }
    }
    let copied = plan.steps.iter().filter_map(|step| match step {
        Step::PassTree(pass) => pass.verify.as_ref().map(|stored| stored.backup.as_str()),
        _ => None,
    });
    if !copied.eq(report.chain.iter().map(|backup| backup.backup.as_str())) {
        broken(1, "the backups that are copied are not those of the chain, each once and in order".into());
    }
}

/// Rules 2 and 8: what a prepare or a server works on was copied before, and lies in the run's own directories.
fn private_copies(plan: &Plan, broken: Broken<'_>) {
    let mut copies: Vec<&Path> = Vec::new();
    for step in &plan.steps {
        match step {
            Step::PassTree(pass) => copies.extend(pass.to.as_deref()),
            Step::RunTool(run) if has(&run.launch.command, "--prepare") => {
                let dirs =
                    [option(&run.launch.command, "--target-dir"), option(&run.launch.command, "--incremental-dir")];
                for dir in dirs.into_iter().flatten() {
                    if !copies.iter().any(|copy| Path::new(dir) == *copy) {
                        broken(2, format!("{dir} is prepared, but it is no private copy"));
                    }
                }
            }
            Step::RunTool(_) => {}
            Step::Replay(replay) => {
                let command = &replay.server.launch.command;
                let datadir = option(command, "--datadir").map(Path::new);
                if datadir.is_none_or(|datadir| !copies.contains(&datadir)) {
                    broken(2, "the private server works on something else than the private copy".into());
                }
                for must in ["--skip-networking", "--event-scheduler=OFF"] {
                    if !has(command, must) {
                        broken(8, format!("the private server lacks {must}"));
                    }
                }
                if !has(command, "--skip-slave-start") && !has(command, "--skip-replica-start") {
                    broken(8, "the private server would begin to replicate".into());
                }
                if has(command, "--skip-grant-tables") {
                    broken(8, "the private server lets everybody in".into());
                }
            }
            Step::MoveTree { from, .. } | Step::RemoveTree { path: from } => {
                let own = |dir: &std::path::PathBuf| from.starts_with(dir) || dir.starts_with(from);
                let made = plan.steps.iter().any(|step| match step {
                    Step::CreateDir { path } => from.starts_with(path),
                    Step::UnpackBinlogs(unpack) => *from == unpack.dir,
                    _ => false,
                });
                let left = from.file_name().is_some_and(|name| name.to_string_lossy().starts_with("dbbak-"));
                if !made && !left && !plan.discard_dirs.iter().any(own) {
                    broken(2, format!("{} is moved or removed, but the run did not make it", from.display()));
                }
            }
            _ => {}
        }
    }
}

/// Rule 3: `--apply-log-only` stands on every XtraBackup prepare but the last, and never on mariadb-backup's.
fn prepares(plan: &Plan, broken: Broken<'_>) {
    let prepares: Vec<_> = plan
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::RunTool(run) if has(&run.launch.command, "--prepare") => Some(run),
            _ => None,
        })
        .collect();
    let ends_redo_only =
        matches!(&plan.summary, Summary::Backup { trees, .. } if !trees.contains(&TreeName::PreparedFinal));
    for (number, run) in prepares.iter().enumerate() {
        let last = number + 1 == prepares.len() && !ends_redo_only;
        let expected = run.expect.kind == ToolKind::Xtrabackup && !last;
        if has(&run.launch.command, "--apply-log-only") != expected {
            let word = if expected { "lacks" } else { "has" };
            broken(3, format!("prepare {} {word} --apply-log-only", number + 1));
        }
        if run.expect.files.is_empty() || run.expect.backup_type.is_none() {
            broken(4, format!("prepare {} succeeds without leaving anything", number + 1));
        }
    }
    for step in &plan.steps {
        if let Step::RunTool(run) = step
            && has(&run.launch.command, "--backup")
            && (run.expect.files.is_empty() || run.expect.backup_type.is_none())
        {
            broken(4, "a backup succeeds without leaving anything".into());
        }
    }
}

/// Rules 5 and 7: a replay starts and stops at positions, never at times, and is compared with what was unpacked.
fn replay(plan: &Plan, broken: Broken<'_>) {
    let unpacked = plan.steps.iter().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack),
        _ => None,
    });
    for step in &plan.steps {
        let Step::Replay(replay) = step else { continue };
        for time in ["--start-datetime", "--stop-datetime"] {
            if option(&replay.reader.command, time).is_some() {
                broken(5, format!("the replay uses {time}"));
            }
        }
        if option(&replay.reader.command, "--start-position") != Some(replay.from.position.to_string().as_str()) {
            broken(5, format!("the replay does not start at {}", replay.from));
        }
        if !has(&replay.reader.command, "--verify-binlog-checksum") {
            broken(5, "the replay does not verify checksums".into());
        }
        match unpacked {
            None => broken(7, "a replay is compared with nothing".into()),
            Some(unpack) if unpack.start != replay.from.position => {
                broken(7, "the replay starts elsewhere than the window it is compared with".into());
            }
            Some(_) => {}
        }
        if option(&replay.server.launch.command, "--log-bin").is_none() {
            broken(7, "the private server logs nothing that could be compared".into());
        }
    }
    let Some(unpack) = unpacked else { return };
    for pair in unpack.files.windows(2) {
        let [before, after] = pair else { continue };
        if before.timeline != after.timeline {
            broken(5, format!("{} and {} are of different timelines", before.name, after.name));
        }
        let next = before.successor.clone().unwrap_or_else(|| before.name.successor());
        if after.name != next {
            broken(5, format!("binlogs are missing between {} and {}", before.name, after.name));
        }
        if before.damaged.is_some() {
            broken(6, format!("the window goes through {}, which is damaged", before.name));
        }
    }
    if let (Some(last), Some(stop)) = (unpack.files.last(), unpack.stop)
        && stop > last.good_bytes()
    {
        broken(6, format!("the window ends behind the good part of {}", last.name));
    }
}

/// Rule 6: only closed binlogs are archived, each once; an open one only as the last of a dead server.
fn binlogs(plan: &Plan, broken: Broken<'_>) {
    let mut names = std::collections::BTreeSet::new();
    for step in &plan.steps {
        let Step::ShipBinlog(ship) = step else { continue };
        if !names.insert(ship.to.clone()) {
            broken(6, format!("{} is stored twice", ship.to));
        }
        if ship.partial != ship.bytes.is_some() {
            broken(6, format!("{} is archived in part, and is not marked so", ship.entry.name));
        }
    }
}

/// Rule 9: what makes a backup exist, or says that a restore is done, comes last.
fn order(plan: &Plan, broken: Broken<'_>) {
    let last = plan.steps.len().saturating_sub(1);
    for (position, step) in plan.steps.iter().enumerate() {
        if matches!(step, Step::RecordBackup(_) | Step::WriteReport { .. }) && position != last {
            broken(9, format!("step {} says that all is done, and is not the last", position + 1));
        }
    }
    let is_backup = matches!(plan.summary, Summary::Backup { .. });
    if is_backup && !matches!(plan.steps.last(), Some(Step::RecordBackup(_))) {
        broken(9, "the backup is never recorded".into());
    }
}

fn has(command: &CommandSpec, flag: &str) -> bool {
    command.args.iter().any(|arg| matches!(arg, Arg::Plain(text) if text == flag))
}

fn option<'a>(command: &'a CommandSpec, name: &str) -> Option<&'a str> {
    command.args.iter().find_map(|arg| match arg {
        Arg::Plain(text) => text.strip_prefix(name)?.strip_prefix('='),
        Arg::Secret(_) => None,
    })
}
