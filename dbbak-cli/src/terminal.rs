//! Tells a person at a terminal, or a log, what a run does.

use crate::{
    messages::{self, Weight},
    output,
};
use chrono::DateTime;
use dbbak_core::execute::{Event, Reporter};
use dbbak_core::model::Printable;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    fmt,
    io::IsTerminal,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// How often a plain line tells how far a replay is.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Reports on standard error: with bars on a terminal, in plain lines otherwise.
#[derive(Debug)]
pub struct TerminalReporter {
    bar: Mutex<Option<ProgressBar>>,
    interactive: bool,
    quiet: bool,
    /// How many steps there are.
    steps: AtomicUsize,
    /// When the next plain line about a replay is due, counted from its beginning.
    next_line: Mutex<Duration>,
    signal: Arc<AtomicI32>,
}

impl TerminalReporter {
    /// A reporter that also says which signal has come.
    pub fn new(signal: Arc<AtomicI32>) -> Self {
        TerminalReporter {
            bar: Mutex::new(None),
            interactive: std::io::stderr().is_terminal() && !messages::is_quiet(),
            quiet: false,
            steps: AtomicUsize::new(0),
            next_line: Mutex::new(LINE_EVERY),
            signal,
        }
    }

    /// Says warnings alone from now on.
    pub fn quiet(&mut self) {
        self.quiet = true;
    }

    fn line(&self, weight: Weight, text: &str) {
        let bar = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        match &*bar {
            Some(bar) if self.interactive => {
                if let Some(lines) = messages::write_log(weight, text) {
                    bar.println(lines.trim_end());
                }
            }
            _ => messages::say(weight, text),
        }
    }

    /// Whether another plain line is due, so long after the replay began.
    fn is_due(&self, elapsed: Duration) -> bool {
        let mut next = self.next_line.lock().unwrap_or_else(PoisonError::into_inner);
        // A replay that begins anew is another one.
        if elapsed + LINE_EVERY < *next {
            *next = LINE_EVERY;
        }
        if elapsed < *next {
            return false;
        }
        *next = elapsed + LINE_EVERY;
        true
    }

    fn set_bar(&self, bar: Option<ProgressBar>) {
        let mut held = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = held.take() {
            old.finish_and_clear();
        }
        *held = bar;
    }
}

impl Reporter for TerminalReporter {
    fn report(&self, event: &Event<'_>) {
        if self.quiet && !matches!(event, Event::Warning { .. }) {
            return;
        }
        match event {
            Event::StepStarted { number, of, title, bytes } => {
                self.steps.store(*of, Ordering::Relaxed);
                if !self.interactive {
                    self.line(Weight::Detail, &format!("[{number}/{of}] {title}"));
                    return;
                }
                let bar =
                    match bytes {
                        Some(bytes) => ProgressBar::new(*bytes).with_style(
                            style("[{prefix}] {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {left}")
                                .with_key("left", |state: &ProgressState, text: &mut dyn fmt::Write| {
                                    let _ = text.write_str(&time_left(state.pos(), state.eta()));
                                }),
                        ),
                        None => ProgressBar::new_spinner().with_style(style("[{prefix}] {spinner} {msg} {elapsed}")),
                    };
                bar.set_draw_target(ProgressDrawTarget::stderr());
                bar.enable_steady_tick(Duration::from_millis(200));
                self.set_bar(Some(bar.with_prefix(format!("{number}/{of}")).with_message((*title).to_owned())));
            }
            Event::Progress { bytes } => {
                if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
                    bar.inc(*bytes);
                    // What is read may have grown since the plan was made.
                    if bar.length().is_some_and(|length| length < bar.position()) {
                        bar.set_length(bar.position());
                    }
                }
            }
            Event::Replayed { at, transactions, of, time, elapsed, left } => {
                let time = DateTime::from_timestamp(i64::try_from(*time).unwrap_or_default(), 0);
                let time = time.unwrap_or_default().format("%Y-%m-%d %H:%M:%S UTC");
                let of = of.map(|of| format!(" of {of}")).unwrap_or_default();
                let noun = if *transactions == 1 && of.is_empty() { "transaction" } else { "transactions" };
                let reached = format!("replayed {transactions}{of} {noun}, up to {time}, {at}");
                let left =
                    left.map_or_else(|| "time left unknown".to_owned(), |left| format!("{} left", HumanDuration(left)));
                if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
                    // The bar's own guess knows nothing of how a replay goes.
                    bar.set_style(style("[{prefix}] {msg} {wide_bar} {bytes}/{total_bytes}"));
                    bar.set_message(format!("{reached}; {left}"));
                }
                if !self.interactive && self.is_due(*elapsed) {
                    self.line(Weight::Detail, &format!("  {reached}; {left}"));
                }
            }
            Event::StepFinished { number, title, took } => {
                self.set_bar(None);
                if self.interactive {
                    let of = self.steps.load(Ordering::Relaxed);
                    self.line(Weight::Detail, &format!("[{number}/{of}] {title} ({})", HumanDuration(*took)));
                }
            }
            Event::Note { text } => self.line(Weight::Detail, &output::screened(text)),
            Event::Warning { text } => self.line(Weight::Important, &format!("warning: {}", Printable(text))),
            _ => {}
        }
    }

    fn interrupted(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}

/// What is left of a step. Before its first bytes nobody knows.
fn time_left(done: u64, left: Duration) -> String {
    match done {
        0 => "time left unknown".to_owned(),
        _ => format!("{} left", HumanDuration(Duration::from_secs(left.as_secs()))),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_promised_before_the_first_bytes() {
        assert_eq!(time_left(0, Duration::ZERO), "time left unknown");
        assert_eq!(time_left(1, Duration::from_millis(90_400)), "2 minutes left");
        assert_eq!(time_left(7, Duration::from_secs(1)), "1 second left");
    }

    #[test]
    fn a_bar_grows_with_what_is_read() {
        let mut reporter = TerminalReporter::new(Arc::default());
        reporter.interactive = true;
        reporter.report(&Event::StepStarted { number: 1, of: 2, title: "archive a binlog", bytes: Some(373) });
        reporter.report(&Event::Progress { bytes: 414 });
        let bar = reporter.bar.lock().unwrap().take().unwrap();
        assert_eq!((bar.position(), bar.length()), (414, Some(414)));
    }
}
