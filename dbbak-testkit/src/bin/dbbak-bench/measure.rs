//! Runs a program and measures it: wall time, and the peak memory of that process alone.

use crate::Failure;
use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What one run of a program took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Seconds from start to end.
    pub(crate) seconds: f64,
    /// The largest resident set of the process itself, its children left out, in bytes.
    pub(crate) peak: u64,
}

/// Runs a program to its end and measures it. What it says goes to `log`.
///
/// The kernel's own high-water mark is read again and again while the program runs; only what it grows by in the last
/// `tick` before its end can be missed.
///
/// # Errors
///
/// When it cannot be started or fails.
pub(crate) fn run(command: &mut Command, log: &Path, tick: Duration) -> Result<Run, Failure> {
    let output = File::create(log)?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let started = Instant::now();
    let mut child = command.spawn()?;
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        peak = peak.max(high_water_mark(&status_file).unwrap_or(0));
        thread::sleep(tick);
    };
    let seconds = started.elapsed().as_secs_f64();
    if status.success() {
        return Ok(Run { seconds, peak });
    }
    let text = fs::read_to_string(log).unwrap_or_default();
    let tail: Vec<&str> = text.lines().rev().take(20).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    let signal = status.signal().map(|signal| format!(" (signal {signal})")).unwrap_or_default();
    Err(Failure(format!("{command:?} ended with {status}{signal}:\n{}", tail.join("\n"))))
}

fn high_water_mark(status_file: &str) -> Option<u64> {
    let text = fs::read_to_string(status_file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// Median, least and greatest of some measurements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// The spread of at least one measurement.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => f64::NAN,
            even if even % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        let end = |value: Option<&f64>| value.copied().unwrap_or(f64::NAN);
        Spread { median, least: end(values.first()), greatest: end(values.last()) }
    }

    /// `median (least-greatest)` with so many decimals and a unit.
    pub(crate) fn text(&self, decimals: usize, unit: &str) -> String {
        let Spread { median, least, greatest } = self;
        format!("{median:.decimals$}{unit} ({least:.decimals$}-{greatest:.decimals$})")
    }
}

/// What pairs of runs took, in seconds, and the ratios of the two in each pair.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pairs {
    pub(crate) own: Spread,
    pub(crate) hand: Spread,
    pub(crate) ratio: Spread,
}

/// Measures dbbak and the expert's way in interleaved pairs.
pub(crate) fn pairs(
    name: &str,
    count: usize,
    own: &dyn Fn() -> Result<f64, Failure>,
    hand: &dyn Fn() -> Result<f64, Failure>,
) -> Result<Pairs, Failure> {
    let mut pairs = Vec::new();
    for number in 0..count {
        // Who goes first changes, for what one leaves behind may slow the other.
        let (own, hand) = if number % 2 == 0 {
            let own = own()?;
            (own, hand()?)
        } else {
            let hand = hand()?;
            (own()?, hand)
        };
        crate::say(&format!("{name}, pair {}: dbbak {own:.2} s, by hand {hand:.2} s", number + 1));
        pairs.push((own, hand));
    }
    Ok(Pairs {
        own: Spread::of(pairs.iter().map(|(own, _)| *own)),
        hand: Spread::of(pairs.iter().map(|(_, hand)| *hand)),
        ratio: Spread::of(pairs.iter().map(|(own, hand)| own / hand)),
    })
}

/// Writes everything to the disk that waits for it, so that no run pays for what was before it.
pub(crate) fn settle() -> Result<(), Failure> {
    let status = Command::new("sync").status()?;
    if status.success() { Ok(()) } else { Err(Failure(format!("sync ended with {status}"))) }
}
