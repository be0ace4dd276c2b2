//! The report for a terminal: bars and lines of at most 80 columns.

use super::{bars::Range, words};
use dbbak_core::{
    catalog::{Hole, RestoreWindow, TimelineReport},
    model::BackupKind,
};

/// Columns of a terminal that everybody has.
const COLUMNS: usize = 80;
/// Columns of the bars.
const BAR: usize = 76;
/// How many windows and holes, and how many findings, are listed.
const LISTED: usize = 20;

/// The report of `dbbak timeline` as text of at most 80 columns.
pub fn text(report: &TimelineReport, colored: bool) -> String {
    let mut page = Page { lines: Vec::new(), colored };
    page.wrapped(&words::headline(report), "", Color::Bold);
    if let Some(range) = Range::of(report) {
        page.bars(report, range);
        if let Some(newest) = range.newest() {
            page.line("The last 24 hours:");
            page.bars(report, newest);
        }
        page.line("█ restorable   ▒ in part   ░ not   F full   i incremental");
    }
    page.line("");
    let mut parts: Vec<Part<'_>> = report.windows.iter().map(Part::Window).collect();
    parts.extend(report.holes.iter().map(Part::Hole));
    parts.sort_by_key(|part| match part {
        Part::Window(window) => (window.from, 0),
        Part::Hole(hole) => (hole.from, 1),
    });
    let earlier = parts.len().saturating_sub(LISTED);
    if earlier > 0 {
        page.line(&format!("{earlier} earlier windows and holes are not listed; --json lists all."));
    }
    for part in parts.iter().skip(earlier) {
        match part {
            Part::Window(window) => page.window(window),
            Part::Hole(hole) => page.hole(report, hole),
        }
    }
    for stitch in &report.stitches {
        let (from, to, file) = (&stitch.from, &stitch.to, &stitch.file);
        let left = stitch.left_behind.as_ref().map(|left| format!("; it never had {left}"));
        let text = format!(
            "Timeline {from} goes on in timeline {to} from {file}: its GTIDs prove it{}",
            left.unwrap_or_default()
        );
        page.wrapped(&text, "", Color::Plain);
    }
    for backup in report.backups.iter().rev().filter(|backup| backup.broken.is_some()).take(LISTED) {
        let broken = backup.broken.as_deref().unwrap_or_default();
        page.wrapped(&format!("Of no use: {broken}"), "", Color::Red);
    }
    let findings = words::other_findings(report);
    let more = findings.len().saturating_sub(LISTED);
    for finding in findings.iter().skip(more) {
        let color = if finding.gap { Color::Red } else { Color::Plain };
        let mark = if finding.gap { "GAP" } else { "Note" };
        page.wrapped(&format!("{mark} in timeline {}: {}", finding.timeline, finding.text), "", color);
    }
    if more > 0 {
        page.line(&format!("{more} earlier findings are not listed; --json lists all."));
    }
    page.lines.push(String::new());
    page.lines.join("\n")
}

enum Part<'a> {
    Window(&'a RestoreWindow),
    Hole(&'a Hole),
}

#[derive(Clone, Copy)]
enum Color {
    Plain,
    Bold,
    Green,
    Red,
    Yellow,
}

struct Page {
    lines: Vec<String>,
    colored: bool,
}

impl Page {
    fn line(&mut self, text: &str) {
        self.lines.push(text.to_owned());
    }

    fn paint(&self, text: &str, color: Color) -> String {
        let code = match color {
            Color::Plain => return text.to_owned(),
            Color::Bold => "1",
            Color::Green => "32",
            Color::Red => "31",
            Color::Yellow => "33",
        };
        if self.colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// Adds a text in lines of at most 80 columns, those after the first indented.
    fn wrapped(&mut self, text: &str, indent: &str, color: Color) {
        let mut line = indent.to_owned();
        let mut is_empty = true;
        for (space, word) in words_of(text) {
            let space = if is_empty { "" } else { space };
            if line.chars().count() + space.len() + word.chars().count() > COLUMNS && !is_empty {
                let done = self.paint(&line, color);
                self.lines.push(done);
                line = format!("{indent}  ");
            } else {
                line.push_str(space);
            }
            let room = COLUMNS - line.chars().count();
            match word.chars().count() <= room {
                true => line.push_str(word),
                false => {
                    line.extend(word.chars().take(room - 1));
                    line.push('…');
                }
            }
            is_empty = false;
        }
        let done = self.paint(&line, color);
        self.lines.push(done);
    }

    fn bars(&mut self, report: &TimelineReport, range: Range) {
        let (from, until) = (words::minute(range.from), words::minute(range.until));
        self.line(&format!("  {from}{}{until}", " ".repeat(BAR - from.len() - until.len())));
        let mut bar = String::new();
        let mut colored = String::new();
        for cell in 0..BAR {
            let mark = cell_of(report, range, cell);
            bar.push(mark);
            let color = if mark == '█' { Color::Green } else { Color::Red };
            colored.push_str(&self.paint(&mark.to_string(), color));
        }
        self.line(&format!("  {}", if self.colored { colored } else { bar }));
        let mut marks = [' '; BAR];
        let inside = report.backups.iter().filter(|backup| backup.broken.is_none() && backup.ended_at >= range.from);
        for backup in inside {
            let cell = ((range.place(backup.ended_at) * BAR as f64) as usize).min(BAR - 1);
            match backup.kind {
                BackupKind::Full => marks[cell] = 'F',
                BackupKind::Incremental if marks[cell] != 'F' => marks[cell] = 'i',
                BackupKind::Incremental => {}
            }
        }
        let marks: String = marks.iter().collect();
        self.line(format!("  {marks}").trim_end());
    }

    fn window(&mut self, window: &RestoreWindow) {
        let time = words::length(window.until - window.from);
        let head = format!("WINDOW {} to {} UTC ({time})", words::utc(window.from), words::utc(window.until));
        self.wrapped(&head, "", Color::Green);
        self.wrapped(&words::span(window), "  ", Color::Plain);
        for chain in words::chains(window, 3) {
            self.wrapped(&chain, "  ", Color::Plain);
        }
    }

    fn hole(&mut self, report: &TimelineReport, hole: &Hole) {
        let time = words::length(hole.until - hole.from);
        let end = if hole.is_last { "now".to_owned() } else { format!("{} UTC", words::utc(hole.until)) };
        let from = words::utc(hole.from);
        let (mark, color) = if words::is_lag(hole) { ("LAG   ", Color::Yellow) } else { ("HOLE  ", Color::Red) };
        self.wrapped(&format!("{mark} {from} to {end} ({time})"), "", color);
        self.wrapped(&words::cause(hole), "  ", Color::Plain);
        self.wrapped(&words::remedy(report, hole), "  ", Color::Plain);
    }
}

/// A cell of the bar: restorable throughout, in part, or not at all.
fn cell_of(report: &TimelineReport, range: Range, cell: usize) -> char {
    let (from, until) = (range.at(cell as f64 / BAR as f64), range.at((cell + 1) as f64 / BAR as f64));
    let covers = report.windows.iter().any(|window| window.from <= until && window.until >= from);
    let lacks = report.holes.iter().any(|hole| hole.from < until && hole.until > from);
    match (covers, lacks || report.windows.first().is_none_or(|first| first.from > from)) {
        (true, false) => '█',
        (true, true) => '▒',
        (false, _) => '░',
    }
}

/// The words of a text, each with what stands before it; a long set of GTIDs breaks after its commas.
fn words_of(text: &str) -> Vec<(&'static str, &str)> {
    let mut words = Vec::new();
    for word in text.split(' ') {
        match word.chars().count() > COLUMNS / 2 {
            true => {
                let parts = word.split_inclusive(',').enumerate();
                words.extend(parts.map(|(place, part)| (if place == 0 { " " } else { "" }, part)));
            }
            false => words.push((" ", word)),
        }
    }
    words
}
