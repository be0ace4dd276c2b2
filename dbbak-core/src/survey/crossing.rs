//! Finds the last place at which the logs of two servers hold the very same transactions.

use super::{LogClock, cut::unreadable, scanned};
use crate::{
    binlog::Transaction,
    catalog::{Catalog, Passage, every_transaction_has_a_gtid, minus},
    facts::{CrossingFact, CrossingPlace},
    model::{BinlogPosition, Gtid, GtidSet, LogTime, MariadbGtidState},
    store::{BinlogEntry, StoreReader},
};
use std::ops::ControlFlow;

/// How often the two logs are compared anew: where a replica commits in another order than its source, each comparison
/// takes both back by some transactions.
const ROUNDS: usize = 50;

/// Finds how one server's log goes on in another's. Of each log one file is read, or few.
///
/// A place in each log is found such that the GTIDs up to it are the same in both, transaction for transaction: the state of the
/// one server there was the state of the other. Of all such places the last one counts.
pub(super) fn find_crossing(store: &dyn StoreReader, catalog: &Catalog, passage: &Passage<'_>) -> CrossingFact {
    let (from, to) = (passage.from.files(usize::MAX), passage.to.files(usize::MAX));
    let place = meeting(store, &from, &to, passage).map(|mut place| {
        for (timeline, at) in [(passage.from.timeline(), &place.leave), (passage.to.timeline(), &place.enter)] {
            let before = catalog.stretch_from(timeline, &at.file).and_then(|piece| piece.newest_before());
            place.newest = place.newest.max(before);
        }
        place
    });
    CrossingFact {
        from: passage.from.timeline().to_owned(),
        last: passage.from.last().name.clone(),
        to: passage.to.timeline().to_owned(),
        first: to.first().map_or_else(|| passage.to.last().name.clone(), |first| first.name.clone()),
        place,
    }
}

/// A place in a log, and what is before it.
struct Prefix {
    /// The file's place among the files of the piece.
    index: usize,
    position: u64,
    transactions: u64,
    /// The start of the next transaction, or the end of the file's good part.
    until: u64,
    gtids: GtidSet,
    /// The time of the newest transaction of the file before it.
    newest: Option<LogTime>,
}

fn meeting(
    store: &dyn StoreReader,
    from: &[&BinlogEntry],
    to: &[&BinlogEntry],
    passage: &Passage<'_>,
) -> Result<CrossingPlace, String> {
    // What the other log holds of the first one, strictly: a transaction of its own before the place would be one too many.
    let mut entered = prefix(store, to, &|gtid| passage.held.contains(gtid), &|set| set.is_subset_of(&passage.held))?;
    for _ in 0..ROUNDS {
        let set = entered.gtids.clone();
        let left = prefix(store, from, &|gtid| covers(&set, gtid), &|all| covers_all(&set, all))?;
        if same(&left.gtids, &set) {
            return place_of(from, to, left, entered, passage);
        }
        let held = left.gtids.clone();
        let before = (entered.index, entered.position);
        entered = prefix(store, to, &|gtid| held.contains(gtid), &|all| all.is_subset_of(&held))?;
        if before == (entered.index, entered.position) {
            break;
        }
    }
    Err(String::from("at no place both logs hold the very same transactions"))
}

fn place_of(
    from: &[&BinlogEntry],
    to: &[&BinlogEntry],
    left: Prefix,
    entered: Prefix,
    passage: &Passage<'_>,
) -> Result<CrossingPlace, String> {
    if left.gtids.is_empty() {
        return Err(String::from(
            "no GTIDs stand before the place, so that nothing proves that both servers held the same",
        ));
    }
    // A transaction without a GTID is in no set.
    let counted = |files: &[&BinlogEntry]| files.iter().all(|file| every_transaction_has_a_gtid(file));
    if !counted(&from[..=left.index]) || !counted(&to[..=entered.index]) {
        return Err(String::from("transactions without GTIDs stand in the logs, which no set of GTIDs can prove"));
    }
    let at = |files: &[&BinlogEntry], prefix: &Prefix| BinlogPosition {
        file: files[prefix.index].name.clone(),
        position: prefix.position,
    };
    Ok(CrossingPlace {
        leave: at(from, &left),
        leave_before: left.transactions,
        leave_until: left.until,
        enter: at(to, &entered),
        enter_before: entered.transactions,
        newest: entered.newest.max(left.newest),
        // What stands further on in the other log, behind transactions of its own, is not lost.
        left_behind: minus(&passage.held, passage.led_to.as_ref().unwrap_or(&left.gtids)).map(|set| set.to_string()),
        promoted: passage.led_to.as_ref().is_some_and(|all| adds_own(all, &passage.held, to)),
        gtids: left.gtids.to_string(),
    })
}

/// Whether a log adds transactions of its own server to what another one holds.
fn adds_own(all: &GtidSet, held: &GtidSet, files: &[&BinlogEntry]) -> bool {
    let Some(source) = files.last().and_then(|last| last.source.as_ref()) else { return false };
    match minus(all, held) {
        Some(GtidSet::Mysql(added)) => {
            let own = source.uuid.as_deref().map(str::to_ascii_lowercase);
            added.intervals().any(|(uuid, ..)| Some(uuid.to_string()) == own)
        }
        Some(GtidSet::Mariadb(added)) => added.entries().any(|(_, server, _)| Some(server) == source.server_id),
        None => false,
    }
}

/// The longest beginning of a log of which a set holds everything.
fn prefix(
    store: &dyn StoreReader,
    files: &[&BinlogEntry],
    holds: &dyn Fn(&Gtid) -> bool,
    holds_all: &dyn Fn(&GtidSet) -> bool,
) -> Result<Prefix, String> {
    let before = |index: usize| -> Option<GtidSet> { files.get(index)?.gtids_before.as_deref()?.parse().ok() };
    let mut fits = (0, files.len());
    while fits.0 < fits.1 {
        let middle = fits.0.midpoint(fits.1);
        match before(middle) {
            Some(set) if holds_all(&set) => fits.0 = middle + 1,
            _ => fits.1 = middle,
        }
    }
    let index = fits.0.checked_sub(1);
    let found = index.and_then(|index| Some((index, *files.get(index)?, before(index)?)));
    let Some((index, file, mut gtids)) = found else {
        return Err(String::from("the log begins with transactions that the other does not have"));
    };
    if unreadable(file) {
        return Err(format!("{} cannot be read", file.name));
    }
    let (mut end, mut transactions, mut next, mut problem, mut newest) = (None, 0, None, None, None::<LogTime>);
    let mut last: Option<Gtid> = None;
    let scan = scanned(store, file, &mut |transaction: &Transaction| {
        let Some(gtid) = &transaction.gtid else {
            problem = Some(format!("the transaction at {}:{} has no GTID", file.name, transaction.start));
            return ControlFlow::Break(());
        };
        if !holds(gtid) {
            next = Some(transaction.start);
            return ControlFlow::Break(());
        }
        if last.as_ref() != Some(gtid) && !goes_up(&gtids, gtid) {
            problem =
                Some(format!("the numbers of the GTIDs do not rise at {}:{} ({gtid})", file.name, transaction.start));
            return ControlFlow::Break(());
        }
        if let Err(error) = gtids.insert(gtid) {
            problem = Some(error.to_string());
            return ControlFlow::Break(());
        }
        last = Some(gtid.clone());
        end = Some(transaction.end);
        transactions += 1;
        newest = newest.max(Some(LogClock::own_time(&transaction.time)));
        ControlFlow::Continue(())
    })
    .map_err(|error| format!("{}: {error}", file.name))?;
    if let Some(problem) = problem {
        return Err(problem);
    }
    let position = end.unwrap_or(scan.head.length);
    let until = next.unwrap_or_else(|| file.good_bytes()).max(position);
    Ok(Prefix { index, position, transactions, until, gtids, newest })
}

/// Whether a transaction is a new one in a log whose numbers rise within each domain, as `gtid_strict_mode` keeps them. MySQL
/// gives each GTID once.
fn goes_up(before: &GtidSet, gtid: &Gtid) -> bool {
    match (before, gtid) {
        (GtidSet::Mariadb(state), Gtid::Mariadb { domain, seq, .. }) => {
            state.last_in(*domain).is_none_or(|(_, last)| *seq > last)
        }
        (set, gtid) => !set.contains(gtid),
    }
}

/// Whether a server that logged these transactions has one of its source's. MariaDB's log of a server that was made from a
/// backup names no server whose transactions it never logged itself; what it logged later in the domain stands for
/// them, as numbers rise.
fn covers(set: &GtidSet, gtid: &Gtid) -> bool {
    match (set, gtid) {
        (GtidSet::Mariadb(state), Gtid::Mariadb { domain, server, seq }) => covered(state, *domain, *server, *seq),
        (set, gtid) => set.contains(gtid),
    }
}

fn covers_all(set: &GtidSet, all: &GtidSet) -> bool {
    match (set, all) {
        (GtidSet::Mariadb(state), GtidSet::Mariadb(all)) => {
            all.entries().all(|(domain, server, seq)| covered(state, domain, server, seq))
        }
        (set, all) => all.is_subset_of(set),
    }
}

fn covered(state: &MariadbGtidState, domain: u32, server: u32, seq: u64) -> bool {
    match state.last_of(domain, server) {
        Some(last) => seq <= last,
        None => state.last_in(domain).is_some_and(|(_, last)| seq < last),
    }
}

/// Whether two sets are of the same transactions: MySQL's are equal; of MariaDB's each domain ends with the same transaction,
/// and the log that was entered names no other last transaction of any server.
fn same(left: &GtidSet, entered: &GtidSet) -> bool {
    match (left, entered) {
        (GtidSet::Mariadb(left), GtidSet::Mariadb(entered)) => {
            left.position() == entered.position()
                && entered.entries().all(|(domain, server, seq)| left.last_of(domain, server) == Some(seq))
        }
        (left, entered) => left == entered,
    }
}
