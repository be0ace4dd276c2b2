//! Finds the place in a timeline that a moment cuts.

use super::SurveyError;
use crate::{
    binlog::{self, Boundary, Transaction, TransactionTime},
    catalog::Timeline,
    facts::{CutFact, CutPlace, StartFact, TransactionFact},
    model::{BinlogCoordinates, BinlogName, LogTime, Stamp},
    store::{BinlogEntry, StoreReader, open_binlog},
    tools::masked,
};
use chrono::{DateTime, Utc};
use std::ops::ControlFlow;

/// How many transactions behind the cut with an earlier time are listed.
const EARLIER_LISTED: usize = 10;

/// Finds where a moment cuts a timeline: before the first transaction in log order whose time is the moment or later.
///
/// The time of a transaction is the original commit time where its GTID event has one (MySQL 8.0 and later), else the
/// running maximum of the event stamps in log order, a lower bound. Only files that can hold the cut are read.
///
/// # Errors
///
/// When an archived file cannot be read or is no binlog.
pub(super) fn find_cut(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    target: DateTime<Utc>,
) -> Result<CutFact, SurveyError> {
    let mut clock = LogClock::default();
    let mut fact = CutFact { timeline: timeline.id.clone(), target, cut: None, last_included: None };
    for (index, file) in timeline.files.iter().enumerate() {
        // Kept for a person to look at: nothing of it can be read, or replayed.
        if unreadable(file) {
            continue;
        }
        // The index knows the newest stamp of a file in whole seconds: a commit time of the same second may be later.
        if let Some(newest) = file.max_event_time
            && newest.at().timestamp() < target.timestamp()
        {
            clock.see_seconds(newest.at().timestamp().try_into().unwrap_or(0));
            continue;
        }
        let before_file = clock;
        let mut search = Search { file: &file.name, target, clock: &mut clock, last: None, cut: None, seen: 0 };
        scan(store, file, &mut |transaction| search.see(transaction))?;
        let (last, cut) = (search.last, search.cut);
        if cut.is_some() {
            fact.last_included = match last {
                Some(last) => Some(last),
                None => last_before(store, timeline, index, before_file)?,
            };
            fact.cut = cut;
            return Ok(fact);
        }
    }
    fact.last_included = last_before(store, timeline, timeline.files.len(), LogClock::default())?;
    Ok(fact)
}

/// Looks at the place in an archived file that a backup's coordinates name.
///
/// # Errors
///
/// When the file cannot be read or is no binlog.
pub(super) fn find_start(
    store: &dyn StoreReader,
    backup: Stamp,
    file: &BinlogEntry,
    coordinates: &BinlogCoordinates,
) -> Result<StartFact, SurveyError> {
    let position = coordinates.position;
    let (mut before, mut all) = (0, 0);
    let mut input = open_binlog(store, file)?;
    let scanned = binlog::scan_with_boundary(&mut input, position, &mut |transaction: &Transaction| {
        all += 1;
        before += u64::from(transaction.end <= position);
        ControlFlow::Continue(())
    });
    let (_, boundary) =
        scanned.map_err(|source| SurveyError::Binlog { stored_as: file.stored_as.to_string(), source })?;
    let boundary = boundary == Boundary::Yes;
    let coordinates = coordinates.clone();
    Ok(StartFact { backup, coordinates, boundary, transactions_before: before, transactions: all })
}

/// The last transaction of the files before an index.
fn last_before(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    index: usize,
    clock: LogClock,
) -> Result<Option<TransactionFact>, SurveyError> {
    for file in timeline.files[..index].iter().rev() {
        if file.transactions == Some(0) || unreadable(file) {
            continue;
        }
        let (mut clock, mut last) = (clock, None);
        scan(store, file, &mut |transaction| {
            let (time, committed_at) = clock.time_of(&transaction.time);
            last = Some(fact_of(&file.name, transaction, time, committed_at));
            ControlFlow::Continue(())
        })?;
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}

/// Whether no part of a file can be read as a binlog.
fn unreadable(file: &BinlogEntry) -> bool {
    file.damaged.as_ref().is_some_and(|damage| damage.last_good == 0)
}

fn scan(
    store: &dyn StoreReader,
    file: &BinlogEntry,
    sink: &mut dyn FnMut(&Transaction) -> ControlFlow<()>,
) -> Result<binlog::FileScan, SurveyError> {
    let mut input = open_binlog(store, file)?;
    binlog::scan(&mut input, sink)
        .map_err(|source| SurveyError::Binlog { stored_as: file.stored_as.to_string(), source })
}

/// The time of transactions in log order.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogClock {
    newest_seconds: u32,
}

impl LogClock {
    /// Takes note of the newest stamp of transactions that are passed over.
    pub fn see_seconds(&mut self, seconds: u32) {
        self.newest_seconds = self.newest_seconds.max(seconds);
    }

    /// The time of the next transaction, and whether it is the commit time.
    pub fn time_of(&mut self, time: &TransactionTime) -> (LogTime, bool) {
        self.see_seconds(time.header_max);
        let commit = time.original_commit.or(time.immediate_commit).and_then(LogTime::from_micros);
        (commit.unwrap_or_else(|| LogTime::from_seconds(self.newest_seconds)), commit.is_some())
    }
}

struct Search<'a> {
    file: &'a BinlogName,
    target: DateTime<Utc>,
    clock: &'a mut LogClock,
    last: Option<TransactionFact>,
    cut: Option<CutPlace>,
    seen: u64,
}

impl Search<'_> {
    fn see(&mut self, transaction: &Transaction) -> ControlFlow<()> {
        let (time, committed_at) = self.clock.time_of(&transaction.time);
        let fact = || fact_of(self.file, transaction, time, committed_at);
        let later = time.at() >= self.target;
        match &mut self.cut {
            None if later => {
                self.cut = Some(CutPlace {
                    file: self.file.clone(),
                    position: transaction.start,
                    transactions_before: self.seen,
                    first_excluded: fact(),
                    earlier_after_cut: Vec::new(),
                });
            }
            None => self.last = Some(fact()),
            Some(cut) if !later && cut.earlier_after_cut.len() < EARLIER_LISTED => {
                cut.earlier_after_cut.push(fact());
            }
            Some(_) => {}
        }
        self.seen += 1;
        ControlFlow::Continue(())
    }
}

fn fact_of(file: &BinlogName, transaction: &Transaction, time: LogTime, committed_at: bool) -> TransactionFact {
    TransactionFact {
        file: file.clone(),
        start: transaction.start,
        end: transaction.end,
        gtid: transaction.gtid.as_ref().map(ToString::to_string),
        time,
        committed_at,
        tables: transaction.tables.iter().map(|change| format!("{}.{}", change.database, change.table)).collect(),
        // A logged statement may hold a password; the log's own text is for the archive alone.
        statement: transaction.statement.as_deref().map(masked),
    }
}
