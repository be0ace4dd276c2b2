//! The report in words, for text and page alike: why there is a hole, and what would close it.

use chrono::{DateTime, TimeDelta, Utc};
use dbbak_core::catalog::{Finding, Hole, RestoreWindow, ServingChain, TimelineFinding, TimelineReport, WindowEnd};

/// A moment, to the second.
pub(super) fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment, to the minute.
pub(super) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// A length of time in its two largest units.
pub(super) fn length(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let units = [(86_400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = units.iter().position(|(size, _)| seconds >= *size).unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (size, name) in units.iter().skip(largest).take(2) {
        if rest / size > 0 || parts.is_empty() {
            parts.push(format!("{} {name}", rest / size));
        }
        rest %= size;
    }
    parts.join(" ")
}

/// `1 binlog`, `2 binlogs`.
pub(super) fn count(number: u64, noun: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{end}")
}

/// The one sentence that matters most.
pub(super) fn headline(report: &TimelineReport) -> String {
    let newest = report.windows.iter().map(|window| window.until).max();
    let holes = match self::holes(report) {
        0 => String::new(),
        holes => format!(", with {}", count(holes as u64, "hole")),
    };
    match newest {
        Some(newest) if newest >= report.now => format!("Restorable up to now{holes}."),
        Some(newest) => {
            let behind = length(report.now - newest);
            format!("Restorable up to {} UTC ({behind} behind now){holes}.", utc(newest))
        }
        None if report.backups.iter().any(|backup| backup.broken.is_none()) => {
            "No moment can be restored, only backups as they are.".to_owned()
        }
        None => "Nothing can be restored.".to_owned(),
    }
}

/// How many holes there are; what is merely not archived yet is none.
pub(super) fn holes(report: &TimelineReport) -> usize {
    report.holes.iter().filter(|hole| !is_lag(hole)).count()
}

/// What a window spans.
pub(super) fn span(window: &RestoreWindow) -> String {
    let transactions = window.transactions.map(|number| format!(", {}", count(number, "transaction")));
    format!(
        "{} to {} (timeline {}): {}, {}{}",
        window.first,
        window.last,
        window.timeline,
        count(window.files as u64, "binlog"),
        crate::output::bytes(window.bytes),
        transactions.unwrap_or_default(),
    )
}

/// The backups that serve a window, a line each, the newest first.
pub(super) fn chains(window: &RestoreWindow, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = window.chains.iter().rev().take(most).map(chain_line).collect();
    let more = window.chains.len().saturating_sub(most);
    if more > 0 {
        lines.push(format!("and from {}", count(more as u64, "older full")));
    }
    lines
}

fn chain_line(chain: &ServingChain) -> String {
    match chain.backups {
        1 if chain.newest == chain.full => format!("from full {}", chain.full),
        1 => format!("from incremental {} on full {}", chain.newest, chain.full),
        backups => format!("from full {}: {backups} backups, the newest {}", chain.full, chain.newest),
    }
}

/// Whether a hole is nothing but what the server wrote since binlogs were last archived.
pub(super) fn is_lag(hole: &Hole) -> bool {
    let open = matches!(hole.end, Some(WindowEnd::ArchiveEnds { rescued: false, .. }));
    hole.is_last && open && hole.goes_on_in.is_none()
}

/// Why there is a hole.
pub(super) fn cause(hole: &Hole) -> String {
    let timeline = hole.timeline.as_deref().unwrap_or_default();
    match &hole.end {
        None => "no backup has binlogs that lead on from it".to_owned(),
        Some(WindowEnd::Blocked { finding }) => format!("{finding} (timeline {timeline})"),
        Some(WindowEnd::ArchiveEnds { last, rescued: true }) => format!(
            "{last} is the last binlog of timeline {timeline}, saved while its server wrote it; nothing tells what came after its last transaction"
        ),
        Some(WindowEnd::ArchiveEnds { last, .. }) if hole.is_last => {
            format!("nothing after {last} is archived (timeline {timeline})")
        }
        Some(WindowEnd::ArchiveEnds { last, .. }) => {
            format!("the archive of timeline {timeline} ends with {last}")
        }
    }
}

/// What would close a hole.
pub(super) fn remedy(report: &TimelineReport, hole: &Hole) -> String {
    const SHIP: &str = "`dbbak ship-binlogs --flush --exec` archives what the server wrote since.";
    const FULL: &str = "`dbbak backup-full --exec` begins the next window";
    let others = |timeline: &String| {
        let later = report.timelines.iter().filter(|one| one.timeline != *timeline);
        later.flat_map(|one| &one.pieces).any(|piece| piece.reaches.is_some_and(|reach| reach.at() > hole.from))
    };
    match (&hole.end, &hole.timeline) {
        (None, _) | (_, None) => {
            format!("{FULL}, and `dbbak ship-binlogs --flush --exec` makes it reach on.")
        }
        (Some(WindowEnd::ArchiveEnds { rescued, .. }), Some(timeline)) => match (&hole.goes_on_in, hole.is_last) {
            (Some(next), true) => format!(
                "Timeline {next} goes on here, as its GTIDs prove, but a restore does not cross from one server's binlogs to another's: {FULL}, taken on that server."
            ),
            (Some(next), false) => format!(
                "Timeline {next} goes on here, as its GTIDs prove, but a restore does not cross from one server's binlogs to another's."
            ),
            (None, true) if *rescued || others(timeline) => {
                format!("If another server writes now: {FULL}, taken on that server. Else {SHIP}")
            }
            (None, true) => SHIP.to_owned(),
            (None, false) if *rescued => "Nothing: no more of that server can come.".to_owned(),
            (None, false) => format!(
                "The rest of timeline {timeline} closes it, if its server's files still exist: `dbbak ship-binlogs --rescue DIR --exec`."
            ),
        },
        (Some(WindowEnd::Blocked { finding }), _) => {
            let last = if hole.is_last { format!(" If not: {FULL}.") } else { String::new() };
            match &**finding {
                Finding::Gap { .. } | Finding::GtidsMissing { .. } | Finding::OpenEnd { .. } => format!(
                    "`dbbak ship-binlogs --exec` closes it where the server still has the files, `--rescue DIR` from a copy of them.{last}"
                ),
                Finding::Damaged { .. } => {
                    format!("Only an undamaged copy of the file could close it.{last}")
                }
                _ => format!("Nothing closes it: the files before and after it are of different histories.{last}"),
            }
        }
    }
}

/// The findings that no hole tells already.
pub(super) fn other_findings(report: &TimelineReport) -> Vec<&TimelineFinding> {
    let told = |finding: &TimelineFinding| {
        report.windows.iter().any(|window| {
            window.timeline == finding.timeline
                && match (&window.end, &finding.finding) {
                    (WindowEnd::Blocked { finding: end }, finding) => **end == *finding,
                    (WindowEnd::ArchiveEnds { last, rescued: true }, Finding::Partial { file, .. }) => last == file,
                    _ => false,
                }
        })
    };
    report.findings.iter().filter(|finding| !told(finding)).collect()
}
