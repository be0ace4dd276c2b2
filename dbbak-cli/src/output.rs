//! Standard output: text for people, JSON for programs.

use crate::CommandError;
use serde::Serialize;
use std::io::Write;

/// Prints a text; a closed pipe is the reader's choice and no error.
pub(crate) fn text(text: &str) -> Result<(), CommandError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CommandError::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), CommandError> {
    let mut line = serde_json::to_string_pretty(value).map_err(|error| CommandError::Output(error.into()))?;
    line.push('\n');
    text(&line)
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
