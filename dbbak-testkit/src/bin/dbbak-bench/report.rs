//! Writes what was measured, as a document that each run writes anew.

use crate::{Failure, measure::Spread};
use chrono::{SecondsFormat, Utc};
use std::{fmt::Write as _, fs, path::Path};

/// One measured quantity.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    value: String,
    goal: String,
    reached: &'static str,
}

impl Row {
    /// A quantity that is to stay at or below a limit (given in the measurements' own unit); `scale` brings both into
    /// the unit that is shown.
    pub(crate) fn limited(what: String, spread: Spread, decimals: usize, unit: &str, scale: f64, limit: f64) -> Self {
        let reached = if spread.median <= limit { "yes" } else { "no" };
        // A third is not written out.
        let goal = format!("at most {}{unit}", (limit * scale * 1000.0).round() / 1000.0);
        Row { goal, reached, ..Row::free(what, spread, decimals, unit, scale) }
    }

    /// A quantity without a goal.
    pub(crate) fn free(what: String, spread: Spread, decimals: usize, unit: &str, scale: f64) -> Self {
        let Spread { median, least, greatest } = spread;
        let scaled = Spread { median: median * scale, least: least * scale, greatest: greatest * scale };
        Row { what, value: scaled.text(decimals, unit), goal: "-".into(), reached: "-" }
    }
}

/// What one benchmark found.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) method: String,
    pub(crate) rows: Vec<Row>,
    /// A table of its own shape, the head first; empty: none.
    pub(crate) table: Vec<Vec<String>>,
}

impl Section {
    /// The section as text, with the marks between which a later run of this benchmark alone replaces it.
    pub(crate) fn text(&self, facts: &[(String, String)]) -> String {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut text =
            format!("{}\n\n## {}\n\n{}\n\nMeasured {now} on:\n\n", begin(self.name), self.title, self.method);
        for (name, value) in facts {
            let _ = writeln!(text, "- {name}: {value}");
        }
        for (number, cells) in self.table.iter().enumerate() {
            let start = if number == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{start}| {} |", cells.join(" | "));
            if number == 0 {
                let _ = writeln!(text, "|{}", "---|".repeat(cells.len()));
            }
        }
        if !self.rows.is_empty() {
            text.push_str("\n| Quantity | Median (least-greatest) | Goal | Reached |\n|---|---|---|---|\n");
        }
        for Row { what, value, goal, reached } in &self.rows {
            let _ = writeln!(text, "| {what} | {value} | {goal} | {reached} |");
        }
        let _ = writeln!(text, "\n{}", end(self.name));
        text
    }
}

fn begin(name: &str) -> String {
    format!("<!-- {name}: begin -->")
}

fn end(name: &str) -> String {
    format!("<!-- {name}: end -->")
}

const INTRODUCTION: &str = "# Benchmarks\n\n\
    Written by `./dev bench`; each run writes the sections of the benchmarks that it ran anew. Edit the program \
    (`dbbak-testkit/src/bin/dbbak-bench/`), not this file. Only the section on random targets is written by hand, from what \
    `./dev soak` prints.\n";

/// The section that is written by hand.
const BY_HAND: &str = "random-targets";

/// Writes the document: the new sections, and those of the benchmarks that did not run as they were.
pub(crate) fn write(path: &Path, order: &[&str], sections: &[(&str, String)]) -> Result<(), Failure> {
    let old = fs::read_to_string(path).unwrap_or_default();
    let mut text = INTRODUCTION.to_owned();
    for name in order {
        let new = sections.iter().find(|(section, _)| section == name).map(|(_, text)| text.as_str());
        if let Some(section) = new.or_else(|| kept(&old, name)) {
            let _ = write!(text, "\n{}\n", section.trim_end());
        }
    }
    if let Some(section) = kept(&old, BY_HAND) {
        let _ = write!(text, "\n{}\n", section.trim_end());
    }
    Ok(fs::write(path, text)?)
}

fn kept<'a>(old: &'a str, name: &str) -> Option<&'a str> {
    let from = old.find(&begin(name))?;
    let to = old[from..].find(&end(name))? + end(name).len();
    Some(&old[from..from + to])
}
