//! The oracle's part for targets that the log itself names: transactions, offsets, and the end of the archive.

use super::oracle::{Ask, best_copy, chain, newest};
use dbbak_core::plan::PlanError;
use dbbak_testkit::history::{HEAD, Happening, History, ROTATE};

/// Everything that is asked about places of a history.
pub(super) fn asks(history: &History) -> Vec<Ask> {
    let mut asks = Vec::new();
    for (file, log) in history.files.iter().enumerate() {
        for (place, transaction) in log.transactions.iter().enumerate() {
            if history.product.has_gtids() {
                asks.extend([true, false].map(|included| Ask::Gtid { file, place, included }));
            }
            let inside = transaction.start + 1;
            for (position, named) in [(transaction.end, true), (transaction.end, false), (inside, true)] {
                asks.push(Ask::Position { file, position, named });
            }
        }
        let edges = [4, HEAD, log.end() + ROTATE];
        asks.extend(edges.map(|position| Ask::Position { file, position, named: true }));
    }
    asks
}

/// What the server held once its first so many happenings were over.
fn folded(history: &History, count: usize) -> Vec<usize> {
    let mut state = Vec::new();
    for (_, happening) in &history.happened[..count] {
        match happening {
            Happening::Committed(number) => state.push(*number),
            Happening::Replaced(by) => state.clone_from(by),
        }
    }
    state
}

fn when(history: &History, number: usize) -> usize {
    history.happened.iter().position(|(_, one)| *one == Happening::Committed(number)).expect("it happened")
}

/// The state at an offset of a file: that after the last transaction before it, or before the history's first one.
/// `None` where the history has neither transactions nor backups.
fn state_at(history: &History, file: usize, position: u64) -> Option<Vec<usize>> {
    let of = history.files[file].history;
    let same = || history.files.iter().enumerate().filter(move |(_, log)| log.history == of);
    let mut before = same().flat_map(|(number, log)| log.transactions.iter().map(move |one| (number, one)));
    let last = before.rfind(|(number, one)| (*number, one.end) <= (file, position));
    if let Some((_, last)) = last {
        return Some(folded(history, when(history, last.number) + 1));
    }
    match same().find_map(|(_, log)| log.transactions.first()) {
        Some(first) => Some(folded(history, when(history, first.number))),
        // Without transactions a history holds from its first backup to its last what these hold.
        None => {
            history.backups.iter().find(|backup| history.files[backup.file].history == of).map(|one| one.state.clone())
        }
    }
}

/// The end of what the archive holds of a file.
fn good_end(history: &History, file: usize) -> Option<u64> {
    let copy = best_copy(history, file)?;
    let last = history.copied(copy).last().map_or(HEAD, |one| one.end);
    Some(if copy.damaged || copy.partial { last } else { history.files[file].size() })
}

/// Whether the archive holds each of some files, all but the last to their ends.
fn unbroken(history: &History, from: usize, to: usize) -> bool {
    (from..=to).all(|file| match best_copy(history, file) {
        Some(copy) => file == to || !(copy.damaged || copy.partial),
        None => false,
    })
}

/// Whether some backup leads to a place that the archive holds.
fn leads_to(history: &History, file: usize, position: u64) -> bool {
    let of = history.files[file].history;
    let place = (file, position.max(HEAD));
    history.backups.iter().any(|backup| {
        let own = (backup.file, backup.position);
        let between = || {
            let logs = history.files.iter().enumerate().filter(|(_, log)| log.history == of);
            let ends = logs.flat_map(|(number, log)| log.transactions.iter().map(move |one| (number, one.end)));
            ends.filter(|end| *end > place && *end <= own).count()
        };
        history.files[backup.file].history == of
            && chain(history, backup).is_some()
            && if own <= place {
                unbroken(history, backup.file, file)
            } else {
                between() == 0 && unbroken(history, file, backup.file)
            }
    })
}

/// The state right after or right before a transaction, if a restore can reach it.
pub(super) fn around(history: &History, file: usize, place: usize, included: bool) -> Option<Vec<usize>> {
    let one = &history.files[file].transactions[place];
    let held = best_copy(history, file).is_some_and(|copy| place < copy.transactions);
    let position = if included { one.end } else { one.start };
    (held && leads_to(history, file, position)).then(|| state_at(history, file, position)).flatten()
}

fn boundaries(history: &History, file: usize) -> Vec<u64> {
    let mut places = vec![4, HEAD];
    let copy = best_copy(history, file);
    places.extend(copy.into_iter().flat_map(|copy| history.copied(copy)).map(|one| one.end));
    places.extend(good_end(history, file));
    places
}

/// The files that a position may mean.
fn meant(history: &History, file: usize, position: u64, named: bool) -> Vec<usize> {
    let name = &history.files[file].name;
    let held = |number: &usize| good_end(history, *number).is_some_and(|end| position <= end);
    let all = (0..history.files.len()).filter(|number| history.files[*number].name == *name).filter(held);
    all.filter(|number| !named || *number == file).collect()
}

/// The state at an offset, if a restore can reach it.
pub(super) fn at(history: &History, file: usize, position: u64, named: bool) -> Option<Vec<usize>> {
    let [file] = meant(history, file, position, named)[..] else { return None };
    let fits = boundaries(history, file).contains(&position);
    (fits && leads_to(history, file, position)).then(|| state_at(history, file, position)).flatten()
}

/// The state at the end of the archive; where it was asked for, everything archived must be in it.
pub(super) fn at_the_end(history: &History, asked: bool) -> Option<Vec<usize>> {
    let newest = newest(history, history.now + chrono::TimeDelta::hours(1))?;
    let reach = |file: usize| {
        let copy = best_copy(history, file)?;
        let log = &history.files[file];
        match (copy.damaged, copy.partial) {
            (true, _) => history.copied(copy).last().map(|one| one.time),
            (false, true) => super::oracle::known_of_partial(history, file, copy),
            (false, false) => log.closed,
        }
    };
    let later = |file: &usize| {
        let second = |at: chrono::DateTime<chrono::Utc>| at.timestamp();
        let partial = best_copy(history, *file).is_some_and(|copy| copy.partial && !copy.damaged);
        reach(*file).is_some_and(|at| if partial { at > newest.ended_at } else { second(at) > second(newest.ended_at) })
    };
    let of = history.files[newest.file].history;
    let archived = |file: &usize| best_copy(history, *file).is_some();
    let files = || (0..history.files.len()).filter(archived);
    if !archived(&newest.file) {
        // Nothing but the backup itself, unless the archive goes on behind it: later by the clock, or by the names of what was archived since with
        // something in it, whatever the clock says.
        let number = |file: usize| history.files[file].name.number();
        let behind =
            history.archived.iter().filter(|copy| !copy.lost && copy.transactions > 0 && copy.at > newest.ended_at);
        let behind = behind.map(|copy| copy.file).any(|file| number(file) > number(newest.file));
        return (!(behind || files().any(|file| later(&file))) || !asked).then(|| newest.state.clone());
    }
    if asked && files().filter(|file| history.files[*file].history != of).any(|file| later(&file)) {
        return None;
    }
    let mut last = newest.file;
    while files().any(|file| file == last + 1)
        && history.files[last + 1].history == of
        && unbroken(history, newest.file, last + 1)
    {
        last += 1;
    }
    if asked && files().any(|file| file > last && history.files[file].history == of) {
        return None;
    }
    let end = good_end(history, last)?;
    if (last, end) <= (newest.file, newest.position) {
        return Some(newest.state.clone());
    }
    state_at(history, last, end)
}

/// Whether what an error says of a place is so.
pub(super) fn refusal(history: &History, ask: Ask, error: &PlanError) -> Result<(), String> {
    let says = |so: bool| so.then_some(()).ok_or_else(|| format!("it is not so: {error}"));
    let (held, inside) = match ask {
        Ask::Gtid { file, place, .. } => {
            (best_copy(history, file).is_some_and(|copy| place < copy.transactions), false)
        }
        Ask::Position { file, position, named } => {
            let meant = meant(history, file, position, named);
            let inside = meant.iter().any(|file| !boundaries(history, *file).contains(&position));
            (!meant.is_empty(), inside)
        }
        _ => (true, false),
    };
    match (error, ask) {
        (PlanError::NoFull, _) => Ok(()),
        (PlanError::TargetNotArchived { .. } | PlanError::UnknownTimeline { .. }, _) => says(!held),
        (PlanError::AmbiguousTimeline { candidates, .. }, Ask::Position { file, position, named }) => {
            says(!named && candidates.len() == meant(history, file, position, named).len() && candidates.len() > 1)
        }
        (PlanError::PositionNotBoundary { before, after, .. }, Ask::Position { file, position, named }) => {
            let [file] = meant(history, file, position, named)[..] else { return says(false) };
            let places = boundaries(history, file);
            let lower = places.iter().copied().filter(|place| *place < position).max();
            let upper = places.iter().copied().filter(|place| *place > position).min();
            says(inside && Some(*before) == lower && *after == upper)
        }
        (PlanError::PositionNotBoundary { .. } | PlanError::GtidRepeated { .. }, _) => says(false),
        (_, _) => says(held && !inside),
    }
}
