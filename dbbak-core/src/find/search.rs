//! Searches the archive by its transaction indexes, on several threads.

use super::{
    FindError, FindRequest, Hit, block,
    hit::{Place, tell_apart},
};
use crate::{
    catalog::Catalog,
    model::{BinlogName, Gtid, GtidSet},
    store::{
        BinlogEntry, StoreError, StoreReader, layout,
        transactions::{Kinds, StoredRanges, TransactionIndex, TransactionsError},
    },
    survey::LogClock,
};
use serde::Serialize;
use std::{
    collections::{HashMap, HashSet},
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// Files that are searched at the same time, at most.
const THREADS: usize = 4;

/// What a search found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How many transactions fit.
    pub total: u64,
    /// The newest of them, newest first: against the order of the log, timeline by timeline.
    pub hits: Vec<Hit>,
    /// How many binlogs were searched, those that the index excludes included.
    pub searched: usize,
    /// Binlogs that could not be searched.
    pub unsearched: Vec<Unsearched>,
}

/// A binlog that could not be searched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unsearched {
    /// The binlog.
    pub file: BinlogName,
    /// Its timeline.
    pub timeline: Option<String>,
    /// Whether it has no transaction index at all.
    pub missing: bool,
    /// Why.
    pub problem: String,
}

/// A file of the archive, and what is known before it.
struct Candidate<'a> {
    entry: &'a BinlogEntry,
    timeline: &'a str,
    clock: LogClock,
    /// Whether numbers went back in the timeline.
    went_back: bool,
}

/// What was found in one file: blocks and places in them, in log order.
type Places = Vec<(u32, u32)>;

/// Searches the archive.
///
/// # Errors
///
/// [`FindError::NoTimeline`]. A file that cannot be read is no error: it stands in [`Found::unsearched`].
pub fn find_archived(store: &dyn StoreReader, catalog: &Catalog, request: &FindRequest) -> Result<Found, FindError> {
    let timelines = catalog.timelines();
    if let Some(id) = &request.timeline
        && !timelines.iter().any(|timeline| timeline.id == *id)
    {
        let known = timelines.iter().map(|timeline| timeline.id.clone()).collect();
        return Err(FindError::NoTimeline { id: id.clone(), known });
    }
    let mut candidates = Vec::new();
    for timeline in &timelines {
        let mut clock = LogClock::default();
        let wanted = request.timeline.as_ref().is_none_or(|id| *id == timeline.id);
        let went_back = timeline.files.iter().any(|entry| entry.went_back());
        for entry in &timeline.files {
            if wanted {
                candidates.push(Candidate { entry, timeline: &timeline.id, clock, went_back });
            }
            see_file(&mut clock, entry);
        }
    }
    let results = on_threads(candidates.len(), &|place| search_file(store, request, &candidates[place]));
    let mut found = Found { searched: candidates.len(), ..Found::default() };
    let mut places: Vec<(usize, u32, u32)> = Vec::new();
    for (place, result) in results.into_iter().enumerate() {
        match result {
            Ok(rows) => {
                found.total += rows.len() as u64;
                places.extend(rows.into_iter().map(|(block, row)| (place, block, row)));
            }
            Err(problem) => {
                found.searched -= 1;
                found.unsearched.push(unsearched(&candidates[place], &problem));
            }
        }
    }
    // What was archived and is gone holds what nobody looks at any more; that is told each time.
    let wanted = |entry: &&BinlogEntry| {
        request.timeline.as_ref().is_none_or(|id| entry.timeline.as_ref() == Some(id))
            && request.since.is_none_or(|since| entry.reach().is_none_or(|reach| reach.at() >= since))
            && request.until.is_none_or(|until| entry.first_event_time.at() < until)
    };
    found.unsearched.extend(catalog.lost_binlogs.iter().filter(wanted).map(|entry| Unsearched {
        file: entry.name.clone(),
        timeline: entry.timeline.clone(),
        missing: false,
        problem: "it was archived, and is no longer in the store".into(),
    }));
    places.reverse();
    places.truncate(request.limit.unwrap_or(usize::MAX));
    show(store, catalog, &candidates, &places, &mut found);
    Ok(found)
}

/// Takes note of a whole file by what the archive's index says of it. Of a file of a basic store that is its last event.
pub(super) fn see_file(clock: &mut LogClock, entry: &BinlogEntry) {
    clock.see_file(entry);
    if entry.transactions.is_none() && entry.max_event_time.is_none() && !unreadable(entry) {
        clock.see_seconds(entry.last_event_time.at().timestamp().try_into().unwrap_or(0));
    }
}

/// Whether no part of a file can be read as a binlog.
fn unreadable(entry: &BinlogEntry) -> bool {
    entry.damaged.as_ref().is_some_and(|damage| damage.last_good == 0)
}

fn unsearched(candidate: &Candidate<'_>, problem: &TransactionsError) -> Unsearched {
    let is_missing = |error: &StoreError| matches!(error, StoreError::NotFound { .. });
    let missing = match problem {
        TransactionsError::Input(error) => {
            error.get_ref().and_then(|inner| inner.downcast_ref::<StoreError>()).is_some_and(is_missing)
        }
        _ => false,
    };
    let problem = match (unreadable(candidate.entry), missing) {
        (true, _) => "the archived file cannot be read as a binlog".to_owned(),
        (false, true) => "it has no transaction index".to_owned(),
        (false, false) => {
            let cause = std::error::Error::source(problem).map(|cause| format!(": {cause}")).unwrap_or_default();
            format!("its transaction index: {problem}{cause}")
        }
    };
    Unsearched {
        file: candidate.entry.name.clone(),
        timeline: Some(candidate.timeline.to_owned()),
        missing: missing && !unreadable(candidate.entry),
        problem,
    }
}

fn open<'s>(store: &'s dyn StoreReader, entry: &BinlogEntry) -> Result<TransactionIndex<'s>, TransactionsError> {
    let size = entry.tx.as_ref().map(|tx| tx.size);
    let at = |size| TransactionIndex::open(StoredRanges::new(store, layout::transactions(&entry.stored_as), size));
    let index = match at(size) {
        // It may have been made anew since the archive's index was read.
        Err(TransactionsError::NotOne { .. } | TransactionsError::Damaged { .. }) if size.is_some() => at(None)?,
        opened => opened?,
    };
    if let Some(digest) = &entry.digest {
        index.check_is_of(digest)?;
    }
    Ok(index)
}

/// Whether the archive's index alone says that a file holds nothing that fits.
fn is_excluded(request: &FindRequest, candidate: &Candidate<'_>) -> bool {
    let entry = candidate.entry;
    if entry.transactions == Some(0) {
        return true;
    }
    // Only an entry that was made with a transaction index knows all the times.
    if entry.transactions.is_some()
        && let Some(gtid) = &request.gtid
        && !may_hold(entry, gtid)
    {
        return true;
    }
    let (Some(since), Some(_), Some(newest)) = (request.since, entry.transaction_times, entry.last_transaction_time)
    else {
        return false;
    };
    let mut clock = candidate.clock;
    let bound = clock.time_of(&crate::binlog::TransactionTime {
        header_max: newest.at().timestamp().try_into().unwrap_or(u32::MAX),
        ..Default::default()
    });
    bound.0.at() < since && entry.newest_commit_time.is_none_or(|commit| commit.at() < since)
}

/// Whether the GTIDs that a file adds have this one among them.
fn may_hold(entry: &BinlogEntry, gtid: &Gtid) -> bool {
    match entry.gtids_added.as_deref().map(str::parse::<GtidSet>) {
        Some(Ok(added)) => added.contains(gtid),
        Some(Err(_)) => true,
        None => false,
    }
}

fn search_file(
    store: &dyn StoreReader,
    request: &FindRequest,
    candidate: &Candidate<'_>,
) -> Result<Places, TransactionsError> {
    if is_excluded(request, candidate) {
        return Ok(Vec::new());
    }
    let index = open(store, candidate.entry)?;
    let contents = index.contents();
    let no_table = || {
        let listed = |tables: &Vec<(String, String)>| tables.iter().any(|(db, table)| request.wants_table(db, table));
        !contents.kinds.meets(Kinds::UNLISTED) && contents.tables.as_ref().is_some_and(|tables| !listed(tables))
    };
    if !request.wants_kinds(contents.kinds) || (!request.tables.is_empty() && no_table()) {
        return Ok(Vec::new());
    }
    let mut clock = candidate.clock;
    let mut places = Vec::new();
    for (number, mut part) in (0..).zip(index.blocks()) {
        let rows = block::search(request, &mut part, clock)?;
        places.extend(rows.into_iter().map(|row| (number, row)));
        clock.see_seconds(part.facts.max_stamp);
    }
    Ok(places)
}

/// Reads the transactions that are shown.
fn show(
    store: &dyn StoreReader,
    catalog: &Catalog,
    candidates: &[Candidate<'_>],
    places: &[(usize, u32, u32)],
    found: &mut Found,
) {
    let ambiguous = ambiguous_names(catalog);
    let files: Vec<&[(usize, u32, u32)]> = places.chunk_by(|one, other| one.0 == other.0).collect();
    let shown = on_threads(files.len(), &|number| {
        let places = files[number];
        let candidate = &candidates[places[0].0];
        let rows: Vec<(u32, u32)> = places.iter().map(|(_, block, row)| (*block, *row)).collect();
        let place = Place {
            file: &candidate.entry.name,
            timeline: Some(candidate.timeline),
            archived: true,
            name_is_ambiguous: ambiguous.contains(&candidate.entry.name),
            went_back: candidate.went_back,
        };
        hits_of(store, catalog, candidate, &place, &rows)
    });
    for (places, hits) in files.into_iter().zip(shown) {
        match hits {
            Ok(hits) => found.hits.extend(hits),
            Err(problem) => {
                found.total -= places.len() as u64;
                found.searched = found.searched.saturating_sub(1);
                found.unsearched.push(unsearched(&candidates[places[0].0], &problem));
            }
        }
    }
    // An older entry of the index does not tell that numbers went back.
    tell_apart(&mut found.hits, &|name| ambiguous.contains(name));
}

/// The transactions at places of one file, in the order of the places.
fn hits_of(
    store: &dyn StoreReader,
    catalog: &Catalog,
    candidate: &Candidate<'_>,
    place: &Place<'_>,
    rows: &[(u32, u32)],
) -> Result<Vec<Hit>, TransactionsError> {
    let index = open(store, candidate.entry)?;
    let mut hits = Vec::with_capacity(rows.len());
    for rows in rows.chunk_by(|one, other| one.0 == other.0) {
        let number = rows[0].0 as usize;
        let Some(mut block) = index.block(number) else { continue };
        let mut clock = candidate.clock;
        for before in &index.contents().blocks[..number] {
            clock.see_seconds(before.max_stamp);
        }
        let times: Vec<_> = block.times()?.iter().map(|time| clock.time_of(time)).collect();
        let wanted: Vec<usize> = rows.iter().map(|(_, row)| *row as usize).collect();
        for (row, transaction) in wanted.iter().zip(block.pick(&wanted)?) {
            let ambiguous = transaction.gtid.as_ref().is_some_and(|gtid| elsewhere(catalog, candidate.timeline, gtid));
            let Some(time) = times.get(*row) else { continue };
            hits.push(Hit::new(place, &transaction, *time, ambiguous));
        }
    }
    Ok(hits)
}

/// Whether another timeline may hold a GTID too.
fn elsewhere(catalog: &Catalog, timeline: &str, gtid: &Gtid) -> bool {
    let timelines = catalog.timelines();
    let others = timelines.iter().filter(|other| other.id != timeline);
    others.flat_map(|other| &other.files).any(|entry| may_hold(entry, gtid))
}

/// Names that files of several timelines have.
pub(super) fn ambiguous_names(catalog: &Catalog) -> HashSet<BinlogName> {
    let mut counts: HashMap<BinlogName, usize> = HashMap::new();
    for timeline in catalog.timelines() {
        for entry in &timeline.files {
            *counts.entry(entry.name.clone()).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect()
}

/// Does some work for each number, on several threads; the results are in the order of the numbers.
fn on_threads<T: Send>(count: usize, work: &(dyn Fn(usize) -> T + Sync)) -> Vec<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(THREADS).min(count);
    if threads < 2 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return done;
            }
            done.push((place, work(place)));
        }
    };
    let mut all: Vec<(usize, T)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        workers.into_iter().flat_map(join).collect()
    });
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, done)| done).collect()
}
