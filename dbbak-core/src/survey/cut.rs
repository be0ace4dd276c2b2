//! Finds the place in a timeline that a goal cuts.

use super::{LogClock, SurveyError, scanned};
use crate::{
    binlog::{self, Boundary, Transaction},
    catalog::Timeline,
    facts::{CutFact, CutFlaw, CutPlace, StartFact},
    model::{BinlogCoordinates, BinlogPosition, Goal, Gtid, GtidSet, Stamp},
    store::{BinlogEntry, StoreReader, TimePrecision, open_binlog},
};
use chrono::{DateTime, Utc};
use std::ops::ControlFlow;

/// Finds where a goal cuts a timeline. Only files that can hold the cut are read.
///
/// # Errors
///
/// When an archived file cannot be read or is no binlog.
pub(super) fn find_cut(store: &dyn StoreReader, timeline: &Timeline<'_>, goal: &Goal) -> Result<CutFact, SurveyError> {
    let (cut, flaw) = match goal {
        Goal::Moment(at) => (moment(store, timeline, *at)?, None),
        Goal::After(gtid) => transaction(store, timeline, gtid, true)?,
        Goal::Before(gtid) => transaction(store, timeline, gtid, false)?,
        Goal::Position(position) => offset(store, timeline, position)?,
    };
    Ok(CutFact { timeline: timeline.id.clone(), goal: goal.clone(), cut, flaw })
}

/// The place before the first transaction in log order whose time is a moment or later.
fn moment(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    target: DateTime<Utc>,
) -> Result<Option<CutPlace>, SurveyError> {
    let mut clock = LogClock::default();
    for file in &timeline.files {
        // Kept for a person to look at: nothing of it can be read, or replayed.
        if unreadable(file) {
            continue;
        }
        if ends_before(file, target) {
            clock.see_file(file);
            continue;
        }
        let (mut before, mut cut) = (0, None);
        scanned(store, file, &mut |transaction| {
            if clock.time_of(&transaction.time).0.at() >= target {
                cut = Some(transaction.start);
                return ControlFlow::Break(());
            }
            before += 1;
            ControlFlow::Continue(())
        })?;
        if let Some(position) = cut {
            let at = BinlogPosition { file: file.name.clone(), position };
            return Ok(Some(CutPlace { until: at.clone(), at, transactions_before: before }));
        }
    }
    Ok(None)
}

/// Whether the index alone proves that each transaction of a file is earlier than a moment.
///
/// Stamps tell when statements began: where the log has commit times, one that ran for long has a later time than every
/// stamp of the file.
fn ends_before(file: &BinlogEntry, target: DateTime<Utc>) -> bool {
    let Some(newest) = file.max_event_time else { return false };
    // Stamps are whole seconds: a commit time of the same second may be later.
    if newest.at().timestamp() >= target.timestamp() {
        return false;
    }
    match file.newest_commit_time {
        Some(commit) => commit.at() < target,
        None if file.transactions == Some(0) || !logs_commit_times(file) => true,
        // An entry from before the index held commit times: nothing is committed after it was archived.
        None => file.archived_at.is_some_and(|archived| archived < target),
    }
}

/// Whether the server of a file writes commit times, as far as the index knows; where it does not, they are possible.
fn logs_commit_times(file: &BinlogEntry) -> bool {
    if file.transaction_times == Some(TimePrecision::LowerBound) {
        return false;
    }
    let Some(source) = &file.source else { return true };
    let version = source.version.as_deref().unwrap_or_default();
    let old = version.starts_with("5.") || version.starts_with("10.") || version.starts_with("11.");
    source.flavor.as_deref() != Some("mariadb") && !version.contains("MariaDB") && !old
}

/// A transaction that was looked for.
struct Hit {
    /// The start of its first group.
    start: BinlogPosition,
    before_start: u64,
    /// The end of its last group.
    end: BinlogPosition,
    before_end: u64,
    /// The start of the transaction behind it.
    next: Option<BinlogPosition>,
    again: Option<BinlogPosition>,
}

/// The place right after or right before the first transaction of a GTID.
///
/// The index tells which files may hold it, and reading the file whether it does. MariaDB may log one statement as two
/// groups of the same GTID (`CREATE TABLE ... SELECT`): groups that follow each other count as one.
fn transaction(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    gtid: &Gtid,
    included: bool,
) -> Result<(Option<CutPlace>, Option<CutFlaw>), SurveyError> {
    for wanted in [Likely::Yes, Likely::OutOfOrder] {
        for (index, file) in timeline.files.iter().enumerate() {
            if unreadable(file) || likely(file, gtid) != wanted {
                continue;
            }
            let Some(mut hit) = look_in(store, file, gtid)? else { continue };
            if let Some(again) = hit.again {
                return Ok((None, Some(CutFlaw::Repeated { first: hit.start, again })));
            }
            let whole = included || timeline.files.iter().any(|file| file.went_back());
            if !whole {
                let place = CutPlace { at: hit.start.clone(), transactions_before: hit.before_start, until: hit.start };
                return Ok((Some(place), None));
            }
            let run = timeline.run_from(index);
            let mut until = end_of(run.files.first().unwrap_or(file));
            let mut last = index;
            if hit.next.is_none() {
                for file in run.files.iter().skip(1) {
                    until = end_of(file);
                    if file.transactions == Some(0) {
                        continue;
                    }
                    // The second group of a statement may stand in the next file.
                    match first_of(store, file, gtid)? {
                        (Some(end), next) => {
                            hit.end = BinlogPosition { file: file.name.clone(), position: end };
                            (hit.before_end, hit.next) = (1, next);
                            last = timeline.files.iter().position(|other| other.name == file.name).unwrap_or(last);
                        }
                        (None, next) => hit.next = next,
                    }
                    if hit.next.is_some() {
                        break;
                    }
                }
            }
            if let Some(again) = comes_again(store, timeline, gtid, (index, last))? {
                return Ok((None, Some(CutFlaw::Repeated { first: hit.start, again })));
            }
            if !included {
                let place = CutPlace { at: hit.start.clone(), transactions_before: hit.before_start, until: hit.start };
                return Ok((Some(place), None));
            }
            let until = hit.next.unwrap_or(until);
            return Ok((Some(CutPlace { at: hit.end, transactions_before: hit.before_end, until }), None));
        }
    }
    Ok((None, None))
}

/// Where a GTID that was found comes again in another file, which it can where the numbers of a MariaDB server went back. It was found in the
/// files between two places of the timeline, these included.
fn comes_again(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    gtid: &Gtid,
    (first, last): (usize, usize),
) -> Result<Option<BinlogPosition>, SurveyError> {
    if !timeline.files.iter().any(|file| file.went_back()) {
        return Ok(None);
    }
    for (index, file) in timeline.files.iter().enumerate() {
        if (first..=last).contains(&index) || unreadable(file) || likely(file, gtid) == Likely::No {
            continue;
        }
        if let Some(hit) = look_in(store, file, gtid)? {
            return Ok(Some(hit.start));
        }
    }
    Ok(None)
}

/// Whether a file may hold a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Likely {
    Yes,
    /// Only if the sequence numbers of a MariaDB server are out of order.
    OutOfOrder,
    No,
}

fn likely(file: &BinlogEntry, gtid: &Gtid) -> Likely {
    let set = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<GtidSet>().ok());
    match file.transactions {
        None => return Likely::Yes,
        Some(0) => return Likely::No,
        Some(_) => {}
    }
    match set(&file.gtids_added) {
        Some(added) if !added.contains(gtid) => Likely::No,
        // A MariaDB server's numbers: each one up to the last may be meant.
        Some(GtidSet::Mariadb(_)) if set(&file.gtids_before).is_some_and(|before| before.contains(gtid)) => {
            Likely::OutOfOrder
        }
        Some(_) => Likely::Yes,
        // What another program's index says is no proof.
        None if file.digest.is_none() || file.gtids_added.is_some() => Likely::Yes,
        None => Likely::No,
    }
}

fn look_in(store: &dyn StoreReader, file: &BinlogEntry, gtid: &Gtid) -> Result<Option<Hit>, SurveyError> {
    let at = |position| BinlogPosition { file: file.name.clone(), position };
    let (mut seen, mut hit, mut open) = (0, None::<Hit>, false);
    scanned(store, file, &mut |transaction| {
        let same = transaction.gtid.as_ref() == Some(gtid);
        match &mut hit {
            None if same => {
                open = true;
                hit = Some(Hit {
                    start: at(transaction.start),
                    before_start: seen,
                    end: at(transaction.end),
                    before_end: seen + 1,
                    next: None,
                    again: None,
                });
            }
            None => {}
            Some(hit) if same && open => (hit.end, hit.before_end) = (at(transaction.end), seen + 1),
            Some(hit) if same && hit.again.is_none() => hit.again = Some(at(transaction.start)),
            Some(hit) if open => {
                hit.next = Some(at(transaction.start));
                open = false;
            }
            Some(_) => {}
        }
        seen += 1;
        ControlFlow::Continue(())
    })?;
    Ok(hit)
}

/// For a file that follows one that ends with a GTID: where a second group of it at the start ends, and where the first
/// other transaction starts.
fn first_of(
    store: &dyn StoreReader,
    file: &BinlogEntry,
    gtid: &Gtid,
) -> Result<(Option<u64>, Option<BinlogPosition>), SurveyError> {
    let (mut end, mut next) = (None, None);
    scanned(store, file, &mut |transaction| {
        if transaction.gtid.as_ref() == Some(gtid) {
            end = Some(transaction.end);
            return ControlFlow::Continue(());
        }
        next = Some(BinlogPosition { file: file.name.clone(), position: transaction.start });
        ControlFlow::Break(())
    })?;
    Ok((end, next))
}

/// An offset, if it is a transaction boundary.
fn offset(
    store: &dyn StoreReader,
    timeline: &Timeline<'_>,
    position: &BinlogPosition,
) -> Result<(Option<CutPlace>, Option<CutFlaw>), SurveyError> {
    let Some(index) = timeline.files.iter().position(|file| file.name == position.file) else {
        return Ok((None, None));
    };
    let file = timeline.files[index];
    // Behind what is there, or can be used: the planner says so.
    if unreadable(file) || position.position > file.good_bytes() {
        return Ok((None, None));
    }
    let (mut before, mut next) = (0, None);
    let mut input = open_binlog(store, file)?;
    let scan = binlog::scan_with_boundary(&mut input, position.position, &mut |transaction: &Transaction| {
        if transaction.end <= position.position {
            before += 1;
        } else if next.is_none() {
            next = Some(transaction.start);
        }
        ControlFlow::Continue(())
    });
    let (scan, boundary) =
        scan.map_err(|source| SurveyError::Binlog { stored_as: file.stored_as.to_string(), source })?;
    match boundary {
        Boundary::BeyondEnd { .. } => return Ok((None, None)),
        Boundary::No { before, after } => return Ok((None, Some(CutFlaw::NoBoundary { before, after }))),
        Boundary::Yes => {}
    }
    // Whatever offset in the head is meant, nothing stands before the head's end.
    let at = position.position.max(scan.head.length);
    let until = match next {
        Some(next) => BinlogPosition { file: file.name.clone(), position: next },
        None => {
            let run = timeline.run_from(index);
            let empty = run.files.iter().skip(1).take_while(|file| file.transactions == Some(0));
            end_of(empty.last().unwrap_or(&file))
        }
    };
    let at = BinlogPosition { file: file.name.clone(), position: at };
    Ok((Some(CutPlace { at, transactions_before: before, until }), None))
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

/// The end of what a file holds.
fn end_of(file: &BinlogEntry) -> BinlogPosition {
    BinlogPosition { file: file.name.clone(), position: file.good_bytes() }
}

/// Whether no part of a file can be read as a binlog.
pub(super) fn unreadable(file: &BinlogEntry) -> bool {
    file.damaged.as_ref().is_some_and(|damage| damage.last_good == 0)
}
