//! Looks at what stands on both sides of the place that a restore ends at.

use super::{LogClock, SurveyError, cut::unreadable, scanned};
use crate::{
    binlog::Transaction,
    catalog::Timeline,
    facts::{EdgeFact, TimeJump, TransactionFact},
    model::{BinlogName, BinlogPosition, Goal, LogTime},
    store::{BinlogEntry, StoreReader},
    tools::masked_statement,
};
use chrono::TimeDelta;
use std::ops::{ControlFlow, Range};

/// How many transactions behind the cut with an earlier time are kept.
const EARLIER_KEPT: usize = 10;
/// How many places at which times go back are kept.
const JUMPS_KEPT: usize = 5;
/// Bytes of binlogs that are gone through, backwards from the cut, for times that go back.
const JUMPS_BYTES: u64 = 256 << 20;

/// Looks at both sides of a place in a timeline; `None` where the timeline does not have its file.
///
/// # Errors
///
/// When an archived file cannot be read or is no binlog.
pub(super) fn find_edges(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    (from, at): (Option<&BinlogPosition>, &BinlogPosition),
    goal: Option<&Goal>,
) -> Result<Option<EdgeFact>, SurveyError> {
    let files = &timeline.files;
    let Some(index) = files.iter().position(|file| file.name == at.file) else { return Ok(None) };
    let looking = Looking { store, files, at };
    let mut fact = EdgeFact {
        timeline: timeline.id.clone(),
        at: at.clone(),
        last_included: looking.last_before(index)?,
        first_excluded: None,
        unknown_after: None,
        earlier: Vec::new(),
        earlier_count: 0,
        earlier_up_to: None,
        jumps: Vec::new(),
        jump_count: 0,
        jumps_from: None,
    };
    looking.behind(index, goal, &mut fact)?;
    if let Some(first) = from.and_then(|from| files.iter().position(|file| file.name == from.file))
        && let Some(from) = from
        && first <= index
    {
        looking.jumps(first..index + 1, from, &mut fact)?;
    }
    Ok(Some(fact))
}

struct Looking<'a> {
    store: &'a dyn StoreReader,
    files: &'a [&'a BinlogEntry],
    at: &'a BinlogPosition,
}

impl Looking<'_> {
    /// The clock as it stands before a file.
    fn clock(&self, index: usize) -> LogClock {
        let mut clock = LogClock::default();
        self.files[..index].iter().filter(|file| !unreadable(file)).for_each(|file| clock.see_file(file));
        clock
    }

    /// The last transaction before the place, as far as gap-free files lead back.
    fn last_before(&self, index: usize) -> Result<Option<TransactionFact>, SurveyError> {
        for place in (0..=index).rev() {
            let file = self.files[place];
            let gap = place < index && (file.incomplete().is_some() || !file.is_followed_by(self.files[place + 1]));
            if gap || unreadable(file) {
                return Ok(None);
            }
            if file.transactions == Some(0) {
                continue;
            }
            let stop = if place == index { self.at.position } else { u64::MAX };
            let (mut clock, mut last) = (self.clock(place), None);
            scanned(self.store, file, &mut |transaction| {
                if transaction.end > stop {
                    return ControlFlow::Break(());
                }
                last = Some(fact_of(&file.name, transaction, &mut clock));
                ControlFlow::Continue(())
            })?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// The first transaction behind the place, and those further on whose own time is before the moment asked for: in
    /// the file of the first one, the file after it, and those further on that begin with such a transaction (a clock that was ahead and
    /// was set back later).
    fn behind(&self, index: usize, goal: Option<&Goal>, fact: &mut EdgeFact) -> Result<(), SurveyError> {
        let moment = match goal {
            Some(Goal::Moment(at)) => Some(*at),
            _ => None,
        };
        let (mut clock, mut more) = (self.clock(index), 1);
        let mut budget = JUMPS_BYTES;
        for (place, file) in self.files.iter().enumerate().skip(index) {
            let known = fact.first_excluded.is_some();
            if place > index && !self.files[place - 1].is_followed_by(file) {
                if !known {
                    fact.unknown_after = Some(format!("binlogs are missing after {}", self.files[place - 1].name));
                }
                return Ok(());
            }
            if known && more == 0 {
                let begins = file.first_commit_time.or(file.first_transaction_time);
                let early = moment.is_some_and(|moment| begins.is_some_and(|begins| begins.at() < moment));
                if !early || file.size > budget || unreadable(file) {
                    clock.see_file(file);
                    continue;
                }
                budget -= file.size;
            }
            let start = if place == index { self.at.position } else { 0 };
            let seen = scanned(self.store, file, &mut |transaction| {
                let behind = transaction.start >= start;
                if !behind || fact.first_excluded.is_none() {
                    let found = fact_of(&file.name, transaction, &mut clock);
                    fact.first_excluded = behind.then_some(found);
                    return ControlFlow::Continue(());
                }
                if moment.is_none() {
                    return ControlFlow::Break(());
                }
                let found = fact_of(&file.name, transaction, &mut clock);
                if moment.is_some_and(|moment| LogClock::own_time(&transaction.time).at() < moment) {
                    fact.earlier_count += 1;
                    if fact.earlier.len() < EARLIER_KEPT {
                        fact.earlier.push(found);
                    }
                }
                ControlFlow::Continue(())
            });
            match seen {
                // What comes behind the place is not needed for the restore.
                Err(_) if known => return Ok(()),
                Err(_) if place > index || file.incomplete().is_some() => {
                    fact.unknown_after = Some(format!("{} cannot be read", file.name));
                    return Ok(());
                }
                seen => seen?,
            };
            if fact.first_excluded.is_some() {
                fact.earlier_up_to = moment.map(|_| file.name.clone());
                if moment.is_none() {
                    return Ok(());
                }
                // The file of the first one is counted once it was gone through.
                more = if known { 0 } else { more };
            }
            if let Some((what, _)) = file.incomplete() {
                if fact.first_excluded.is_none() {
                    fact.unknown_after = Some(format!("{} is damaged there: {what}", file.name));
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Places in the window at which the times of transactions go back: the commit times by a second or more, stamps by
    /// two or more (each is that of a statement's start).
    fn jumps(&self, window: Range<usize>, from: &BinlogPosition, fact: &mut EdgeFact) -> Result<(), SurveyError> {
        let (mut first, mut bytes) = (window.end - 1, self.files[window.end - 1].size);
        while first > window.start && bytes + self.files[first - 1].size <= JUMPS_BYTES {
            first -= 1;
            bytes += self.files[first].size;
        }
        fact.jumps_from = (first > window.start).then(|| self.files[first].name.clone());
        let mut newest: Option<LogTime> = None;
        for place in first..window.end {
            let file = self.files[place];
            let start = if place == window.start { from.position } else { 0 };
            let stop = if place + 1 == window.end { self.at.position } else { u64::MAX };
            scanned(self.store, file, &mut |transaction| {
                if transaction.end > stop {
                    return ControlFlow::Break(());
                }
                if transaction.start < start {
                    return ControlFlow::Continue(());
                }
                let own = LogClock::own_time(&transaction.time);
                let least = if transaction.time.commit().is_some() { 1 } else { 2 };
                if let Some(before) = newest
                    && before.at() - own.at() >= TimeDelta::seconds(least)
                {
                    fact.jump_count += 1;
                    if fact.jumps.len() < JUMPS_KEPT {
                        fact.jumps.push(TimeJump {
                            at: BinlogPosition { file: file.name.clone(), position: transaction.start },
                            gtid: transaction.gtid.as_ref().map(ToString::to_string),
                            from: before,
                            to: own,
                        });
                    }
                    // A clock that was set back is one jump, and not one for each transaction after it.
                    newest = Some(own);
                } else {
                    newest = newest.max(Some(own));
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }
}

fn tables_of(transaction: &Transaction) -> Vec<String> {
    transaction.tables.iter().map(|change| format!("{}.{}", change.database, change.table)).collect()
}

fn fact_of(file: &BinlogName, transaction: &Transaction, clock: &mut LogClock) -> TransactionFact {
    let (time, committed_at) = clock.time_of(&transaction.time);
    let own = LogClock::own_time(&transaction.time);
    let immediate = transaction.time.immediate_commit.and_then(LogTime::from_micros);
    TransactionFact {
        file: file.clone(),
        start: transaction.start,
        end: transaction.end,
        gtid: transaction.gtid.as_ref().map(ToString::to_string),
        time,
        committed_at,
        own_stamp: (own != time).then_some(own),
        committed_here: immediate.filter(|here| committed_at && *here != time),
        tables: tables_of(transaction),
        // A logged statement may hold a password; the log's own text is for the archive alone.
        statement: transaction.statement.as_deref().map(masked_statement),
    }
}
