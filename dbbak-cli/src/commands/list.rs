//! `dbbak list`.

use super::code_of;
use crate::{CommandError, args::ListArgs, context::Context, output};
use comfy_table::{Table, presets::NOTHING};
use dbbak_core::{
    catalog::{Backup, Catalog},
    model::{BackupKind, LogTime, Stamp},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn run(context: &Context, args: &ListArgs) -> Result<u8, CommandError> {
    let mut catalog = context.trusted()?;
    catalog.find_binlog_orphans(&context.store)?;
    if context.json {
        output::json(&as_json(&catalog))?;
    } else {
        output::text(&as_text(&catalog, args.wide))?;
    }
    Ok(code_of(&catalog.distrusted))
}

/// The moment up to which binlogs lead from a backup; `None` where no replay can start from it.
fn reach(catalog: &Catalog, backup: &Backup) -> Option<LogTime> {
    let coordinates = backup.coordinates().ok()?;
    catalog.reach(coordinates, backup.entry.binlog_head.as_ref())
}

/// What is wrong with a backup's chain.
fn problem(catalog: &Catalog, backup: &Backup) -> Option<String> {
    let broken = || catalog.chain(backup.ts()).err().map(|error| error.to_string());
    if catalog.is_whole(backup.ts()) { None } else { broken() }
}

/// What is wrong with a backup that the manifest names and the store lacks.
fn lost_problem() -> &'static str {
    "it is in the manifest, and no longer in the store"
}

/// The list as programs read it. No `Value` as a whole: putting one together would copy the backups.
#[derive(Serialize)]
struct Listed {
    backups: Vec<Value>,
    binlogs: Vec<Value>,
    gaps: Vec<Value>,
    orphans: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unlisted: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    distrusted: Vec<String>,
    version: u32,
}

fn as_json(catalog: &Catalog) -> Listed {
    let backups: Vec<Value> = catalog
        .backups
        .iter()
        .map(|backup| {
            json!({
                "backup": backup.id, "type": backup.kind(), "ts": backup.ts(), "base": backup.id.base,
                "link": backup.link, "ended_at": backup.ended_at, "size": backup.entry.size, "stored_size": backup.entry.stored_size,
                "from_lsn": backup.from_lsn, "to_lsn": backup.to_lsn, "engine": backup.entry.engine,
                "tool_version": backup.entry.tool_version, "server": backup.entry.server,
                "binlog": backup.entry.binlog, "pitr": backup.entry.pitr,
                "pitr_until": reach(catalog, backup), "whole": catalog.is_whole(backup.ts()),
                "problem": problem(catalog, backup), "unusable": backup.entry.unusable, "marks": backup.entry.marks,
            })
        })
        .collect();
    let lost = catalog.lost_backups.iter().map(|entry| {
        json!({
            "backup": entry.id(), "type": entry.kind, "ts": entry.ts, "base": entry.base,
            "ended_at": entry.ended_at, "size": entry.size, "whole": false, "lost": true, "problem": lost_problem(),
        })
    });
    let backups = backups.into_iter().chain(lost).collect();
    let timelines: Vec<Value> = catalog
        .timelines()
        .iter()
        .map(|timeline| {
            let (first, last) = (timeline.files.first(), timeline.files.last());
            json!({
                "timeline": timeline.id, "files": timeline.files.len(),
                "first": first.map(|file| &file.name), "last": last.map(|file| &file.name),
                "from": first.map(|file| file.first_event_time), "reaches": last.and_then(|file| file.reach()),
            })
        })
        .collect();
    let orphans: Vec<String> = catalog.orphans.iter().map(|orphan| orphan.key.to_string()).collect();
    let gaps: Vec<Value> =
        gaps(catalog).into_iter().map(|(timeline, gap)| json!({ "timeline": timeline, "gap": gap })).collect();
    let unlisted = catalog.unlisted.iter().map(ToString::to_string).collect();
    Listed { backups, binlogs: timelines, gaps, orphans, unlisted, distrusted: catalog.distrusted.clone(), version: 1 }
}

fn as_text(catalog: &Catalog, wide: bool) -> String {
    let mut text = String::new();
    if catalog.backups.is_empty() && !catalog.distrusted.is_empty() {
        text.push_str("No backups can be told.\n");
    } else if catalog.backups.is_empty() {
        text.push_str("No backups. Take the first with `dbbak backup-full --exec`.\n");
    } else {
        let mut listing = Listing { catalog, wide, table: Table::new(), notes: Vec::new() };
        let narrow = ["BACKUP", "DATA", "SIZE", "RESTORABLE UNTIL (UTC)"];
        let all = [
            "BACKUP",
            "ENDED (UTC)",
            "DATA",
            "SIZE",
            "FROM LSN",
            "TO LSN",
            "ENGINE",
            "SERVER",
            "RESTORABLE UNTIL (UTC)",
        ];
        let header = if wide { all.to_vec() } else { narrow.to_vec() };
        listing.table.load_style(NOTHING).set_header(header);
        let children = catalog.children();
        for backup in catalog.backups.iter().filter(|backup| backup.id.base.is_none()) {
            listing.rows(&children, backup, 0);
        }
        // What hangs on nothing that the store holds is shown too: it is there, and it is of no use.
        let lost = |backup: &&Backup| backup.id.base.is_some() && !catalog.is_whole(backup.ts());
        for backup in catalog.backups.iter().filter(lost) {
            listing.row(backup, 0);
        }
        text.push_str(&listing.table.to_string());
        text.push('\n');
        for note in listing.notes {
            text.push_str(&format!("{note}\n"));
        }
    }
    for entry in &catalog.lost_backups {
        text.push_str(&format!("LOST {}: {}\n", entry.id(), lost_problem()));
    }
    for timeline in catalog.timelines() {
        let (Some(first), Some(last)) = (timeline.files.first(), timeline.files.last()) else { continue };
        let reach = last.reach().map_or("unknown".to_owned(), |reach| reach.to_string());
        text.push_str(&format!(
            "Binlogs of timeline {}: {}, {} to {},\n  {} to {reach} UTC\n",
            timeline.id,
            output::count(timeline.files.len(), "file"),
            first.name,
            last.name,
            first.first_event_time,
        ));
    }
    for (timeline, gap) in gaps(catalog) {
        text.push_str(&format!("GAP in timeline {timeline}: {gap}\n"));
    }
    if !catalog.unlisted.is_empty() {
        text.push_str("In no list, and no orphans (`dbbak reindex --exec` enters them):\n");
        for key in &catalog.unlisted {
            text.push_str(&format!("  {key}\n"));
        }
    }
    if !catalog.orphans.is_empty() {
        text.push_str("Orphans (`dbbak prune --orphans` removes them):\n");
        for orphan in &catalog.orphans {
            text.push_str(&format!("  {}\n", orphan.key));
        }
    }
    text
}

/// Where a timeline has holes, or a file that a replay cannot go through.
fn gaps(catalog: &Catalog) -> Vec<(String, String)> {
    let gaps = catalog.findings().into_iter().filter(|(_, finding)| finding.is_gap());
    gaps.map(|(timeline, gap)| (timeline, gap.to_string())).collect()
}

/// The table while it is filled.
struct Listing<'a> {
    catalog: &'a Catalog,
    wide: bool,
    table: Table,
    /// What does not fit into a narrow table.
    notes: Vec<String>,
}

/// How far a narrow table shows the depth of a chain.
const DEPTH_SHOWN: usize = 2;

impl Listing<'_> {
    fn rows(&mut self, children: &BTreeMap<Stamp, Vec<&Backup>>, backup: &Backup, depth: usize) {
        self.row(backup, depth);
        for child in children.get(&backup.ts()).into_iter().flatten() {
            if self.catalog.is_whole(child.ts()) {
                self.rows(children, child, depth + 1);
            }
        }
    }

    fn row(&mut self, backup: &Backup, depth: usize) {
        let dash = || "-".to_owned();
        let entry = &backup.entry;
        let shown = if self.wide { depth } else { depth.min(DEPTH_SHOWN) };
        let indent = "  ".repeat(shown.saturating_sub(1));
        let branch = if depth == 0 { "" } else { "└ " };
        // One whose chain is broken stands below the others, and is what it is.
        let kind = match backup.id.kind() {
            BackupKind::Full => "full",
            BackupKind::Incremental => "incr",
        };
        let name = format!("{indent}{branch}{kind} {}", backup.ts());
        let data = entry.size.map_or_else(dash, output::bytes);
        let stored = entry.stored_size.map_or_else(dash, output::bytes);
        let until = self.until(backup);
        if !self.wide {
            self.table.add_row([name, data, stored, until]);
            return;
        }
        self.table.add_row([
            name,
            backup.ended_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            data,
            stored,
            backup.from_lsn.map_or_else(dash, |lsn| lsn.to_string()),
            backup.to_lsn.map_or_else(dash, |lsn| lsn.to_string()),
            match (&entry.engine, &entry.tool_version) {
                (Some(engine), Some(version)) => format!("{engine} {version}"),
                (engine, _) => engine.clone().unwrap_or_else(dash),
            },
            entry.server.as_ref().and_then(|server| server.version.clone()).unwrap_or_else(dash),
            until,
        ]);
    }

    /// Up to when binlogs lead from a backup. A reason why they do not is a note of its own where the table is narrow.
    fn until(&mut self, backup: &Backup) -> String {
        let (short, reason) = match (problem(self.catalog, backup), backup.coordinates()) {
            (Some(problem), _) => ("unusable", problem),
            (None, Err(reason)) => ("as it is alone", format!("no replay can start from it: {reason}")),
            (None, Ok(_)) => {
                let Some(reach) = reach(self.catalog, backup) else { return "not shipped yet".into() };
                return if self.wide { reach.to_string() } else { reach.at().format("%Y-%m-%d %H:%M:%S").to_string() };
            }
        };
        if self.wide {
            return reason;
        }
        self.notes.push(format!("{}: {reason}", backup.id));
        short.to_owned()
    }
}
