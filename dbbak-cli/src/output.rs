//! Standard output: text for people, JSON for programs.

use crate::CommandError;
use dbbak_core::model::Printable;
use serde::Serialize;
use std::io::{BufWriter, Write};

/// A text of several lines without anything that a terminal would obey: names and messages of servers stand in it.
pub(crate) fn screened(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| Printable(line).to_string()).collect();
    lines.join("\n")
}

/// Prints a text, screened; a closed pipe is the reader's choice and no error.
pub(crate) fn text(text: &str) -> Result<(), CommandError> {
    painted(&screened(text))
}

/// Prints a text that has colours of dbbak's own in it, and nothing that another has written.
pub(crate) fn painted(text: &str) -> Result<(), CommandError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CommandError::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a value as JSON, piece by piece: a list of ten thousand backups is not held as a text too.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CommandError> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let written = serde_json::to_writer_pretty(&mut out, value).map_err(std::io::Error::from);
    match written.and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CommandError::Output(error)),
        _ => Ok(()),
    }
}

/// `1 backup`, `2 backups`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Bytes as a person reads them.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}
