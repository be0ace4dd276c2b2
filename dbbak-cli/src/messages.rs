//! What is said beside the result: on standard error, and in a log file where one is named.
//!
//! A person at a terminal reads plain lines; a file or a pipe gets each line with its time. The journal of systemd notes the
//! time of each line by itself.

use chrono::Utc;
use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::OnceLock,
};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weight {
    /// A plan, a step, progress: `--quiet` leaves it out.
    Detail,
    /// A warning, an error and what to do about it.
    Important,
}

/// Where lines go.
#[derive(Debug)]
struct Outlets {
    /// Only what matters goes to standard error.
    quiet: bool,
    /// Lines bear their time.
    timed: bool,
    /// Gets everything.
    log: Option<File>,
}

static OUTLETS: OnceLock<Outlets> = OnceLock::new();

/// Says where lines go; the first call counts.
///
/// # Errors
///
/// When the log file cannot be opened.
pub(crate) fn set_up(quiet: bool, log_file: Option<&Path>) -> io::Result<()> {
    let log = log_file.map(|path| OpenOptions::new().append(true).create(true).mode(0o640).open(path)).transpose()?;
    let _ = OUTLETS.set(Outlets { quiet, timed: is_timed(), log });
    Ok(())
}

fn is_timed() -> bool {
    !io::stderr().is_terminal() && std::env::var_os("JOURNAL_STREAM").is_none()
}

/// Whether standard error gets only what matters.
pub(crate) fn is_quiet() -> bool {
    OUTLETS.get().is_some_and(|outlets| outlets.quiet)
}

/// Says a text of one or more lines.
pub(crate) fn say(weight: Weight, text: &str) {
    let shown = write_log(weight, text);
    if let Some(lines) = shown {
        // A closed standard error must not end a backup.
        let _ = io::stderr().lock().write_all(lines.as_bytes());
    }
}

/// Writes a text into the log file. Returns what standard error gets.
pub(crate) fn write_log(weight: Weight, text: &str) -> Option<String> {
    let outlets = OUTLETS.get_or_init(|| Outlets { quiet: false, timed: is_timed(), log: None });
    let timed = || {
        let now = Utc::now().format("%Y-%m-%dT%H:%M:%SZ");
        text.lines().map(|line| format!("{now} {line}\n")).collect::<String>()
    };
    if let Some(mut log) = outlets.log.as_ref() {
        let _ = log.write_all(timed().as_bytes());
    }
    if outlets.quiet && weight == Weight::Detail {
        None
    } else if outlets.timed {
        Some(timed())
    } else {
        Some(text.lines().map(|line| format!("{line}\n")).collect())
    }
}
