//! Follows what the private server logs while it replays: compares it with the archive, and tells how far it is.

use super::{
    Event, Reporter,
    error::ExecuteError,
    files,
    halfway::{Notes, compared_logs, dead_logs},
    pace::Pace,
    proof::{Comparison, Expected, Lists},
};
use crate::{
    binlog::{self, Ending},
    clock::Clock,
    model::{BinlogName, BinlogPosition},
    plan::{Relay, Replay, UnpackBinlogs},
    tools::Applier,
};
use std::{
    fs::File,
    io::{self, BufReader, Read},
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Scope, ScopedJoinHandle},
    time::Duration,
};

/// How often a log is looked at that has not grown.
const TICK: Duration = Duration::from_millis(50);
/// How often is told how far the replay is.
const TOLD: Duration = Duration::from_millis(200);

/// A thread that follows the logs of the private server.
#[derive(Debug)]
pub(super) struct Follower<'scope> {
    ended: Sender<()>,
    thread: ScopedJoinHandle<'scope, (Comparison<Lists>, Result<(), ExecuteError>)>,
}

/// Where the comparison begins: at the window's start, or behind what dead runs have logged.
#[derive(Debug)]
pub(super) struct Begin {
    comparison: Comparison<Lists>,
    last: Option<BinlogName>,
}

impl Begin {
    /// At the start of the window.
    pub(super) fn fresh(window: &UnpackBinlogs) -> Self {
        Begin { comparison: Comparison::of(Lists::new(&window.expected_list)), last: None }
    }

    /// Behind what dead runs have logged, which is compared first. The server has started: its own recovery has cut off
    /// what was not whole.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ProofFailed`]; [`ExecuteError::GoingOn`] where a log does not end between two transactions, or what
    /// was compared before is not of this window.
    pub(super) fn behind_the_dead(step: &Replay, window: &UnpackBinlogs, notes: &Notes) -> Result<Self, ExecuteError> {
        let compared = notes.found();
        let mut begin = Begin {
            comparison: Comparison::behind(Lists::new(&window.expected_list), &compared)?,
            last: compared.log.clone(),
        };
        for path in compared_logs(&step.server, &compared)? {
            files::truncate(&path, 0)?;
        }
        for name in dead_logs(&step.server, &compared)? {
            let path = step.server.log_dir.join(name.as_str());
            let mut input = BufReader::with_capacity(1 << 20, files::open(&path)?);
            let comparison = &mut begin.comparison;
            let ending = compare(&mut input, &path, &mut |transaction| comparison.logged(transaction))?;
            // MariaDB leaves what was not whole when it died, and does not go by it.
            let leaves_parts = matches!(step.relay.as_deref(), Some(Relay { applier: Applier::Fed, .. }));
            let in_part = matches!(ending, Ending::InTransaction { .. } | Ending::Truncated { .. });
            let whole = matches!(ending, Ending::Rotate { .. } | Ending::Stop | Ending::Open);
            if !whole && !(in_part && leaves_parts) {
                let problem = format!("the private server left {} as it is: {ending}", path.display());
                return Err(ExecuteError::GoingOn { problem });
            }
            notes.compared(begin.comparison.compared(&name))?;
            files::truncate(&path, 0)?;
            begin.last = Some(name);
        }
        Ok(begin)
    }
}

impl<'scope> Follower<'scope> {
    /// Begins to follow.
    pub(super) fn start<'env>(
        (step, window, begin): (&Replay, &UnpackBinlogs, Begin),
        scope: &'scope Scope<'scope, 'env>,
        (clock, reporter, notes): (&'env dyn Clock, &'env dyn Reporter, Arc<Notes>),
    ) -> Self {
        let (ended, receiver) = channel();
        let Begin { mut comparison, last } = begin;
        let mut following = Following {
            dir: step.server.log_dir.clone(),
            first: step.server.log_name.clone(),
            end: End { receiver, seen: false },
            telling: Telling::new(step, window, clock, reporter),
            notes,
            kept: None,
        };
        let thread = scope.spawn(move || {
            let result = following.follow(last, &mut comparison);
            (comparison, result)
        });
        Follower { ended, thread }
    }

    /// Reads what is left after the server has shut down, and judges.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ProofFailed`] at the first transaction that differs, is missing, or is one too many.
    pub(super) fn prove(self) -> Result<(), ExecuteError> {
        let (mut comparison, result) = self.join();
        result?;
        comparison.finish()
    }

    /// After a replay that broke off: the first transaction that the server has not logged.
    pub(super) fn first_missing(self) -> Option<Expected> {
        // The log of a server that was killed ends anyhow.
        let (comparison, _) = self.join();
        comparison.next_expected()
    }

    fn join(self) -> (Comparison<Lists>, Result<(), ExecuteError>) {
        drop(self.ended);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Whether the server has ended: it logs no more.
#[derive(Debug)]
struct End {
    receiver: Receiver<()>,
    seen: bool,
}

impl End {
    /// Waits a little; whether the server has ended.
    fn wait(&mut self) -> bool {
        self.seen |= matches!(self.receiver.recv_timeout(TICK), Ok(()) | Err(RecvTimeoutError::Disconnected));
        self.seen
    }
}

/// The logs of a server that runs, one after the other.
#[derive(Debug)]
struct Following<'a> {
    dir: PathBuf,
    first: BinlogName,
    end: End,
    telling: Telling<'a>,
    notes: Arc<Notes>,
    /// The log that was compared last.
    kept: Option<PathBuf>,
}

impl Following<'_> {
    fn follow(&mut self, mut last: Option<BinlogName>, comparison: &mut Comparison<Lists>) -> Result<(), ExecuteError> {
        while let Some(name) = self.next_log(last.as_ref())? {
            let path = self.dir.join(name.as_str());
            self.follow_one(&name, &path, comparison)?;
            // It is compared, and nobody reads it any more; the server still has it in its list. A MariaDB server that
            // recovers may need the one before that which it writes.
            self.notes.compared(comparison.compared(&name))?;
            if let Some(done) = self.kept.replace(path) {
                files::truncate(&done, 0)?;
            }
            last = Some(name);
        }
        self.telling.tell(comparison, true);
        Ok(())
    }

    /// The log behind another, or the first; waits for it while the server runs.
    fn next_log(&mut self, last: Option<&BinlogName>) -> Result<Option<BinlogName>, ExecuteError> {
        loop {
            // Asked before the look: what the server wrote to its very end is seen.
            let ended = self.end.seen;
            if let Some(next) = log_behind(&self.dir, &self.first, last)? {
                return Ok(Some(next));
            }
            if ended {
                return Ok(None);
            }
            self.end.wait();
        }
    }

    fn follow_one(
        &mut self,
        name: &BinlogName,
        path: &Path,
        comparison: &mut Comparison<Lists>,
    ) -> Result<(), ExecuteError> {
        let tail = Tail { file: files::open(path)?, name, dir: &self.dir, first: &self.first, end: &mut self.end };
        let mut input = BufReader::with_capacity(1 << 20, tail);
        let telling = &mut self.telling;
        let ending = compare(&mut input, path, &mut |transaction| {
            let compared = comparison.logged(transaction);
            telling.tell(comparison, false);
            compared
        })?;
        if matches!(ending, Ending::Rotate { .. } | Ending::Stop) {
            return Ok(());
        }
        let found = format!("a damaged log {}: {ending}", path.display());
        Err(ExecuteError::ProofFailed { number: comparison.number() + 1, expected: "a whole log".into(), found })
    }
}

/// Goes through a log; how it ends.
fn compare(
    input: &mut dyn Read,
    path: &Path,
    sink: &mut dyn FnMut(&binlog::Transaction) -> Result<(), ExecuteError>,
) -> Result<Ending, ExecuteError> {
    let mut failed = Ok(());
    let scan = binlog::scan(input, &mut |transaction| {
        failed = sink(transaction);
        if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    failed?;
    let scan = scan.map_err(|source| ExecuteError::Binlog { path: path.to_owned(), source })?;
    Ok(scan.ending)
}

/// The log behind another by their numbers, or the first.
pub(super) fn log_behind(
    dir: &Path,
    first: &BinlogName,
    last: Option<&BinlogName>,
) -> Result<Option<BinlogName>, ExecuteError> {
    let names = files::names_in(dir)?;
    let logs =
        names.iter().filter_map(|name| name.parse().ok()).filter(|name: &BinlogName| name.base() == first.base());
    Ok(logs.filter(|name| last.is_none_or(|last| name > last)).min())
}

/// A log that grows: it ends when there is another behind it, or when the server has ended.
struct Tail<'a> {
    file: File,
    name: &'a BinlogName,
    dir: &'a Path,
    first: &'a BinlogName,
    end: &'a mut End,
}

impl Read for Tail<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before the file is read: nothing is written to it afterwards.
            let closed =
                self.end.seen || log_behind(self.dir, self.first, Some(self.name)).map_err(io::Error::other)?.is_some();
            let count = self.file.read(buffer)?;
            if count > 0 || closed {
                return Ok(count);
            }
            self.end.wait();
        }
    }
}

/// Tells how far a replay is.
#[derive(Debug)]
struct Telling<'a> {
    clock: &'a dyn Clock,
    reporter: &'a dyn Reporter,
    /// The window's files, and the bytes before each.
    files: Vec<(BinlogName, u64)>,
    from: BinlogPosition,
    bytes: u64,
    transactions: Option<u64>,
    pace: Pace,
    started: Duration,
    told: Option<Duration>,
    reported: u64,
}

impl<'a> Telling<'a> {
    fn new(step: &Replay, window: &UnpackBinlogs, clock: &'a dyn Clock, reporter: &'a dyn Reporter) -> Self {
        let before = window.files.iter().zip(window.names()).scan(0, |before, (file, name)| {
            let here = *before;
            *before += file.size;
            Some((name, here))
        });
        let started = clock.monotonic();
        Telling {
            clock,
            reporter,
            files: before.collect(),
            from: step.from.clone(),
            bytes: step.bytes,
            transactions: window.transactions,
            pace: Pace::default(),
            started,
            told: None,
            reported: 0,
        }
    }

    /// Tells it, at most every so often.
    fn tell(&mut self, comparison: &Comparison<Lists>, at_once: bool) {
        let now = self.clock.monotonic();
        if !at_once && self.told.is_some_and(|told| now.saturating_sub(told) < TOLD) {
            return;
        }
        let Some(reached) = comparison.reached() else { return };
        self.told = Some(now);
        let before = self.files.iter().find(|(name, _)| *name == reached.at.file).map_or(0, |(_, before)| *before);
        let done = (before + reached.end).saturating_sub(self.from.position).min(self.bytes);
        self.pace.note(now, done);
        self.reporter.report(&Event::Progress { bytes: done.saturating_sub(self.reported) });
        self.reported = self.reported.max(done);
        self.reporter.report(&Event::Replayed {
            at: &BinlogPosition { file: reached.at.file.clone(), position: reached.end },
            transactions: reached.number,
            of: self.transactions,
            time: reached.time,
            elapsed: now.saturating_sub(self.started),
            left: self.pace.left(self.bytes.saturating_sub(done)),
        });
    }
}
