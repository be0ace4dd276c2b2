//! Prints a plan for a person.

use super::{Plan, ReportedWindow, RestoreReport, Step, Summary, words::utc};
use crate::facts::{EdgeFact, TransactionFact};
use crate::model::Printable;
use chrono::{DateTime, FixedOffset, Utc};
use std::fmt;

/// A plan as a person reads it. Times are UTC, and local time where an offset is given.
#[derive(Debug, Clone, Copy)]
pub struct PlanText<'a> {
    plan: &'a Plan,
    offset: Option<FixedOffset>,
}

impl Plan {
    /// The plan as a person reads it, local times with this offset beside the UTC ones.
    pub fn text(&self, offset: Option<FixedOffset>) -> PlanText<'_> {
        PlanText { plan: self, offset }
    }
}

impl fmt::Display for PlanText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.plan;
        match &plan.summary {
            Summary::Nothing => writeln!(f, "Plan: {}", plan.command)?,
            Summary::Backup { id, engine, .. } => writeln!(f, "Plan: take {id} with {engine}")?,
            Summary::Ship { files: 0, .. } => writeln!(f, "Plan: nothing to archive")?,
            Summary::Ship { files, bytes } => writeln!(f, "Plan: archive {}, {bytes} bytes", count(*files, "binlog"))?,
            Summary::Restore { report } => self.restore(f, report)?,
            Summary::Reindex { files: 0, .. } => writeln!(f, "Plan: nothing to index")?,
            Summary::Reindex { files, bytes } => {
                writeln!(
                    f,
                    "Plan: read {}, {bytes} bytes, and index the transactions",
                    count(*files, "archived binlog")
                )?;
            }
            Summary::Unmark { id } => {
                writeln!(f, "Plan: try {id} again, and take its mark off where it can be applied")?
            }
            Summary::Orphans { removed } => writeln!(f, "Plan: remove {}", count(*removed, "orphan"))?,
        }
        for reason in &plan.reasons {
            writeln!(f, "  because: {reason}")?;
        }
        for warning in &plan.warnings {
            writeln!(f, "  WARNING: {warning}")?;
        }
        for gap in &plan.incomplete {
            writeln!(f, "  INCOMPLETE: {gap}")?;
        }
        if !plan.steps.is_empty() {
            writeln!(f, "Steps:")?;
        }
        for (number, step) in plan.steps.iter().enumerate() {
            writeln!(f, "  {:>2}. {}", number + 1, step.title())?;
            match step {
                Step::RunTool(run) => writeln!(f, "      $ {}", run.launch.command)?,
                Step::ReadBackup(read) if read.tablespaces.is_some() => {
                    writeln!(
                        f,
                        "      then look whether every tablespace is in it that the server had before and has now"
                    )?;
                }
                Step::TakeClone(take) => {
                    if let Some(remote) = &take.remote {
                        writeln!(f, "      $ {} &", remote.server.launch.command)?;
                    }
                    writeln!(f, "      $ {}", take.launch.command)?;
                }
                Step::OpenClone(open) => writeln!(f, "      $ {} &", open.server.launch.command)?,
                Step::TakeDump(take) => {
                    writeln!(f, "      $ {} > {}", take.launch.command, take.file.display())?;
                }
                Step::InitDatadir(init) => writeln!(f, "      $ {}", init.launch.command)?,
                Step::LoadDump(load) => {
                    writeln!(f, "      $ {} &", load.server.launch.command)?;
                    writeln!(f, "      $ {} < {}/*", load.client.command, load.dir.display())?;
                }
                Step::RemoveStored { keys } => {
                    for key in keys {
                        writeln!(f, "      {key}")?;
                    }
                }
                Step::FetchBinlog(fetch) => writeln!(f, "      $ {}", fetch.launch.command)?,
                Step::FlushBinlogs { launch } => writeln!(f, "      $ {}", launch.command)?,
                Step::Replay(replay) => {
                    writeln!(f, "      $ {} &", replay.server.launch.command)?;
                    match &replay.relay {
                        Some(relay) => {
                            if let Some(feeder) = &relay.feeder {
                                writeln!(f, "      $ {} --port=FREE &", feeder.launch.command)?;
                            }
                        }
                        None => writeln!(f, "      $ {} | {}", replay.reader.command, replay.client.command)?,
                    }
                    if let Some(examination) = &replay.examination {
                        writeln!(f, "      then {}", examination.line())?;
                    }
                }
                Step::CatchUp(step) => {
                    writeln!(f, "      $ {} &", step.server.launch.command)?;
                    writeln!(f, "      with the account in {}", step.login.display())?;
                    writeln!(f, "      then {}", step.examination.line())?;
                }
                Step::MakeReady(ready) => {
                    for line in ready.lines() {
                        writeln!(f, "      {line}")?;
                    }
                }
                Step::Examine(step) => {
                    writeln!(f, "      $ {} &", step.server.launch.command)?;
                    writeln!(f, "      {}", step.examination.line())?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl PlanText<'_> {
    fn time(&self, at: &DateTime<Utc>) -> String {
        match self.offset {
            Some(offset) => {
                format!("{} (local {})", utc(at), at.with_timezone(&offset).format("%Y-%m-%d %H:%M:%S %:z"))
            }
            None => utc(at),
        }
    }

    fn restore(&self, f: &mut fmt::Formatter<'_>, report: &RestoreReport) -> fmt::Result {
        match &report.target {
            Some(target) => writeln!(f, "Plan: restore to just before {}", self.time(target))?,
            None => writeln!(f, "Plan: restore {}", report.aim)?,
        }
        writeln!(f, "  into {}", report.datadir.display())?;
        for backup in &report.chain {
            writeln!(f, "  from {} (ended {})", backup.backup, utc(&backup.ended_at))?;
        }
        match &report.window {
            None => writeln!(f, "  no binlogs are replayed")?,
            Some(window) => window_line(f, window)?,
        }
        report.edges.as_ref().map_or(Ok(()), |edges| edge_lines(f, edges))
    }
}

/// `1 binlog`, `2 binlogs`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

fn window_line(f: &mut fmt::Formatter<'_>, window: &ReportedWindow) -> fmt::Result {
    let transactions = window.transactions.map_or("an unknown number of transactions".to_owned(), |number| {
        count(usize::try_from(number).unwrap_or(usize::MAX), "transaction")
    });
    writeln!(
        f,
        "  replay {transactions} in {}, from {} to {} (timeline {})",
        count(window.files, "binlog"),
        window.from,
        window.cut,
        window.timeline
    )?;
    for segment in &window.segments {
        writeln!(
            f,
            "    timeline {}: {} to {} in {}",
            segment.timeline,
            segment.from,
            segment.until,
            count(segment.files, "binlog")
        )?;
        if let Some(lost) = &segment.left_behind {
            writeln!(f, "      without {lost}, which timeline {} never had", segment.timeline)?;
        }
    }
    Ok(())
}

fn edge_lines(f: &mut fmt::Formatter<'_>, edges: &EdgeFact) -> fmt::Result {
    match &edges.last_included {
        Some(transaction) => writeln!(f, "  last included:  {}", line(transaction))?,
        None => writeln!(f, "  last included:  none in the archive")?,
    }
    match (&edges.first_excluded, &edges.unknown_after) {
        (Some(transaction), _) => writeln!(f, "  first excluded: {}", line(transaction)),
        (None, Some(why)) => writeln!(f, "  first excluded: not known, {why}"),
        (None, None) => writeln!(f, "  first excluded: none, the archive ends here"),
    }
}

fn line(transaction: &TransactionFact) -> String {
    let gtid = transaction.gtid.as_deref().map(|gtid| format!(" {gtid}")).unwrap_or_default();
    let tables = match transaction.tables.len() {
        0 => String::new(),
        _ => format!(" on {}", Printable(&transaction.tables.join(", "))),
    };
    let bound = if transaction.committed_at { "" } else { " or later" };
    let statement =
        transaction.statement.as_deref().map(|text| format!(": {}", Printable(&first_line(text)))).unwrap_or_default();
    let here = transaction.committed_here.map(|here| format!(" (committed here {here})")).unwrap_or_default();
    format!(
        "{} UTC{bound}{here}{gtid} at {}:{}{tables}{statement}",
        transaction.time, transaction.file, transaction.start
    )
}

fn first_line(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(80) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
