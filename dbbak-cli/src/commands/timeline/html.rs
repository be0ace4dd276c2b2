//! The report as one page: nothing is fetched, nothing runs, and it fits a phone, a screen and a sheet of paper.

use super::{
    bars::{Range, joined},
    words,
};
use crate::page_file::MARKER;
use dbbak_core::{
    catalog::{ArchivedTimeline, Hole, RestoreWindow, TimelineReport},
    model::BackupKind,
};
use std::fmt::{Display, Write};

/// How many windows and holes, timelines, and findings the page shows, the newest of each.
const LISTED: (usize, usize, usize) = (60, 12, 60);
/// Pieces of a bar that lie closer than this part of its width are one.
const STEP: f64 = 0.001;

/// The report of `dbbak timeline` as a page for a browser, complete in one file. `store` says where the store is.
pub fn page(report: &TimelineReport, store: &str) -> String {
    let mut page = String::new();
    let css = include_str!("page.css");
    let now = words::utc(report.now);
    let _ = write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">{MARKER}\
         <title>What can be restored</title>\n<style>\n{css}</style></head>\n<body>\n{HATCH}\
         <h1>What can be restored</h1>\n<p class=\"dim\">Store {}, as of {now} UTC. All times are UTC.</p>\n",
        escaped(store)
    );
    state(&mut page, report);
    if let Some(range) = Range::of(report) {
        figure(&mut page, report, range, "Everything that is archived");
        if let Some(newest) = range.newest() {
            figure(&mut page, report, newest, "The last 24 hours");
        }
        page.push_str(KEY);
    }
    windows_and_holes(&mut page, report);
    timelines(&mut page, report);
    findings(&mut page, report);
    page.push_str("</body></html>\n");
    page
}

/// The pattern of a hole, which a printer without colours shows too.
const HATCH: &str = "<svg style=\"position:absolute;left:0;width:0;height:0\" aria-hidden=\"true\"><defs>\
    <pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
    <rect width=\"6\" height=\"6\" style=\"fill:var(--badpaper)\"/><rect width=\"2\" height=\"6\" style=\"fill:var(--bad)\"/>\
    </pattern></defs></svg>\n";

/// What the marks mean.
const KEY: &str = "<p class=\"key\"><span><svg viewBox=\"0 0 16 12\"><rect class=\"good\" width=\"16\" height=\"12\"/></svg>restorable</span>\
    <span><svg viewBox=\"0 0 16 12\"><rect class=\"hole\" x=\"1\" y=\"1\" width=\"14\" height=\"10\"/></svg>hole</span>\
    <span><svg viewBox=\"0 0 16 12\"><rect class=\"lag\" x=\"1\" y=\"1\" width=\"14\" height=\"10\"/></svg>not archived yet</span>\
    <span><svg viewBox=\"0 0 16 12\"><path class=\"full\" d=\"M2 12 L8 0 L14 12Z\"/></svg>full backup</span>\
    <span><svg viewBox=\"0 0 16 12\"><path class=\"incr\" d=\"M8 0V12\"/></svg>incremental</span>\
    <span><svg viewBox=\"0 0 16 12\"><rect class=\"file\" y=\"3\" width=\"16\" height=\"6\"/></svg>archived binlogs</span></p>\n";

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// A text whose commands, in backquotes, are set as code.
fn prose(text: &str) -> String {
    let mut out = String::new();
    for (place, part) in escaped(text).split('`').enumerate() {
        let _ = if place % 2 == 1 { write!(out, "<code>{part}</code>") } else { write!(out, "{part}") };
    }
    out
}

fn state(page: &mut String, report: &TimelineReport) {
    let holes = words::holes(report);
    let bad = holes > 0 || report.windows.is_empty();
    let told = match (report.windows.is_empty(), bad) {
        (true, _) => "See below what is missing.",
        (false, true) => "Moments in a hole cannot be restored; see below what would close it.",
        (false, false) => "No moment before that is missing.",
    };
    let class = if bad { "state bad" } else { "state" };
    let _ = writeln!(page, "<p class=\"{class}\">{}<span>{told}</span></p>", escaped(&words::headline(report)));
}

/// A share of the width, in percent.
struct Percent(f64);

impl Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.3}", self.0 * 100.0);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

fn rects(page: &mut String, class: &str, (y, height): (u32, u32), spans: Vec<(f64, f64)>) {
    for (from, until) in joined(spans, STEP) {
        let (x, width) = (Percent(from), Percent((until - from).max(STEP)));
        let _ = write!(page, "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>");
    }
}

fn figure(page: &mut String, report: &TimelineReport, range: Range, caption: &str) {
    let shown =
        |from, until| (until >= range.from && from <= range.until).then(|| (range.place(from), range.place(until)));
    let windows: Vec<_> = report.windows.iter().filter_map(|window| shown(window.from, window.until)).collect();
    let held = |lag: bool| -> Vec<_> {
        let holes = report.holes.iter().filter(|hole| words::is_lag(hole) == lag);
        holes.filter_map(|hole| shown(hole.from, hole.until)).collect()
    };
    let (holes, lag) = (held(false), held(true));
    let (first, last, middle) = (words::minute(range.from), words::minute(range.until), words::minute(range.at(0.5)));
    let name = format!("{caption}: {} windows and {} holes from {first} to {last}", windows.len(), holes.len());
    let _ = write!(
        page,
        "<figure><figcaption>{caption}</figcaption><svg height=\"62\" role=\"img\" aria-label=\"{name}\"><title>{name}</title>\
         <rect class=\"void\" x=\"0\" y=\"4\" width=\"100%\" height=\"38\"/>"
    );
    rects(page, "good", (4, 38), windows);
    rects(page, "lag", (4, 38), lag);
    rects(page, "hole", (4, 38), holes);
    for kind in [BackupKind::Incremental, BackupKind::Full] {
        let usable = report.backups.iter().filter(|backup| backup.kind == kind && backup.broken.is_none());
        let places = usable.filter_map(|backup| shown(backup.ended_at, backup.ended_at)).collect();
        for (from, _) in joined(places, STEP * 2.0) {
            let x = Percent(from);
            let _ = match kind {
                BackupKind::Full => write!(
                    page,
                    "<svg x=\"{x}\" y=\"46\" width=\"1\" height=\"14\"><path class=\"full\" d=\"M-6 14 L0 0 L6 14Z\"/></svg>"
                ),
                BackupKind::Incremental => {
                    write!(page, "<line class=\"incr\" x1=\"{x}\" x2=\"{x}\" y1=\"46\" y2=\"56\"/>")
                }
            };
        }
    }
    page.push_str("</svg>");
    let newest = report.timelines.len().saturating_sub(LISTED.1);
    for timeline in report.timelines.iter().skip(newest) {
        lane(page, timeline, range);
    }
    let _ = writeln!(
        page,
        "<div class=\"axis\"><span>{first}</span><span>{middle}</span><span>{last}</span></div></figure>"
    );
}

/// The gap-free pieces of a timeline's binlogs.
fn lane(page: &mut String, timeline: &ArchivedTimeline, range: Range) {
    let pieces = timeline.pieces.iter().filter_map(|piece| {
        let (from, until) = (piece.from.at(), piece.reaches?.at());
        (until >= range.from && from <= range.until).then(|| (range.place(from), range.place(until)))
    });
    let pieces: Vec<_> = pieces.collect();
    if pieces.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<p class=\"dim\" style=\"margin:4px 0 0\">{}</p><svg height=\"8\" aria-hidden=\"true\">\
         <rect class=\"void\" x=\"0\" y=\"1\" width=\"100%\" height=\"6\"/>",
        escaped(&name_of(timeline))
    );
    rects(page, "file", (1, 6), pieces);
    page.push_str("</svg>");
}

/// A timeline and the server that wrote it.
fn name_of(timeline: &ArchivedTimeline) -> String {
    let server = timeline.source.as_ref().and_then(|source| {
        let version = source.version.as_ref().map(|version| format!(", {version}"));
        Some(format!(" (server {}{})", source.server_id?, version.unwrap_or_default()))
    });
    format!("timeline {}{}", timeline.timeline, server.unwrap_or_default())
}

fn windows_and_holes(page: &mut String, report: &TimelineReport) {
    enum Part<'a> {
        Window(&'a RestoreWindow),
        Hole(&'a Hole),
    }
    let mut parts: Vec<Part<'_>> = report.windows.iter().map(Part::Window).collect();
    parts.extend(report.holes.iter().map(Part::Hole));
    // The newest first: what is wrong now stands at the top.
    parts.sort_by_key(|part| match part {
        Part::Window(window) => std::cmp::Reverse((window.from, 0)),
        Part::Hole(hole) => std::cmp::Reverse((hole.from, 1)),
    });
    if !parts.is_empty() {
        page.push_str("<h2>Windows and holes, the newest first</h2>\n");
    }
    for part in parts.iter().take(LISTED.0) {
        match part {
            Part::Window(window) => window_card(page, window),
            Part::Hole(hole) => hole_card(page, report, hole),
        }
    }
    let more = parts.len().saturating_sub(LISTED.0);
    if more > 0 {
        let _ =
            writeln!(page, "<p class=\"dim\">{more} earlier ones are not shown; <code>--json</code> lists all.</p>");
    }
}

fn window_card(page: &mut String, window: &RestoreWindow) {
    let (from, until) = (words::utc(window.from), words::utc(window.until));
    let time = words::length(window.until - window.from);
    let _ = write!(
        page,
        "<article class=\"window\" data-from=\"{from}\" data-until=\"{until}\"><h3><b>Window</b> <time>{from}</time> to <time>{until}</time></h3>\
         <p>{time}. {}</p>",
        escaped(&words::span(window))
    );
    for chain in words::chains(window, 5) {
        let _ = write!(page, "<p class=\"dim\">{}</p>", escaped(&chain));
    }
    page.push_str("</article>\n");
}

fn hole_card(page: &mut String, report: &TimelineReport, hole: &Hole) {
    let (from, until) = (words::utc(hole.from), words::utc(hole.until));
    let time = words::length(hole.until - hole.from);
    let shown = if hole.is_last { "now" } else { &until };
    let (class, name) = if words::is_lag(hole) { ("late", "Lag") } else { ("gap", "Hole") };
    let (cause, remedy) = (prose(&words::cause(hole)), prose(&words::remedy(report, hole)));
    let _ = writeln!(
        page,
        "<article class=\"{class}\" data-from=\"{from}\" data-until=\"{until}\"><h3><b>{name}</b> <time>{from}</time> to <time>{shown}</time></h3>\
         <p>{time}: {cause}</p><p class=\"fix\">{remedy}</p></article>"
    );
}

fn timelines(page: &mut String, report: &TimelineReport) {
    if report.timelines.is_empty() {
        return;
    }
    page.push_str("<h2>Timelines</h2>\n<ul>\n");
    let more = report.timelines.len().saturating_sub(LISTED.1);
    for timeline in report.timelines.iter().skip(more) {
        let (Some(first), Some(last)) = (timeline.pieces.first(), timeline.pieces.last()) else { continue };
        let pieces = match timeline.pieces.len() {
            1 => "without a gap".to_owned(),
            pieces => format!("in {pieces} pieces"),
        };
        let _ = writeln!(
            page,
            "<li>{}: {}, {}, {} to {}, {pieces}</li>",
            escaped(&name_of(timeline)),
            words::count(timeline.files as u64, "binlog"),
            crate::output::bytes(timeline.bytes),
            first.first,
            last.last,
        );
    }
    page.push_str("</ul>\n");
    if more > 0 {
        let _ = writeln!(page, "<p class=\"dim\">{more} earlier ones are not shown.</p>");
    }
    for stitch in &report.stitches {
        let left = stitch.left_behind.as_ref().map(|left| format!(" It never had {left}."));
        let text = format!(
            "Timeline {} goes on in timeline {} from {}: its GTIDs prove it.{}",
            stitch.from,
            stitch.to,
            stitch.file,
            left.unwrap_or_default()
        );
        let _ = writeln!(page, "<p>{}</p>", escaped(&text));
    }
}

fn findings(page: &mut String, report: &TimelineReport) {
    let broken = report.backups.iter().filter(|backup| backup.broken.is_some());
    let broken = broken
        .map(|backup| format!("Backup {} is of no use: {}", backup.ts, backup.broken.as_deref().unwrap_or_default()));
    let found = words::other_findings(report).into_iter().map(|finding| {
        let mark = if finding.gap { "Gap" } else { "Note" };
        format!("{mark} in timeline {}: {}", finding.timeline, finding.text)
    });
    let all: Vec<String> = found.chain(broken).collect();
    if all.is_empty() {
        return;
    }
    page.push_str("<h2>Findings</h2>\n<ul>\n");
    let more = all.len().saturating_sub(LISTED.2);
    for text in all.iter().skip(more) {
        let _ = writeln!(page, "<li>{}</li>", escaped(text));
    }
    page.push_str("</ul>\n");
    if more > 0 {
        let _ =
            writeln!(page, "<p class=\"dim\">{more} earlier ones are not shown; <code>--json</code> lists all.</p>");
    }
}
