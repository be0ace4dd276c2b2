//! Where one server's log goes on in another's, against an oracle that compares the sets at all pairs of places.

use dbbak_core::{
    catalog::Catalog,
    facts::CrossingPlace,
    model::{BinlogName, GtidSet, LogTime},
    store::{BinlogEnding, BinlogEntry, BinlogSource, KeyPart, layout},
    survey,
};
use dbbak_testkit::binlog_writer::{BinlogWriter, TRANSACTIONAL, Vendor};
use dbbak_testkit::mem_store::MemStore;
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Server and number.
type Transaction = (u32, u64);

/// A server's whole log, and the part of it that is archived.
#[derive(Debug, Clone)]
struct Log {
    server: u32,
    transactions: Vec<Transaction>,
    /// Where files begin, as numbers of transactions, the first one 0.
    files: Vec<usize>,
    /// Files that were never archived, at the start.
    purged: usize,
}

#[derive(Debug, Clone)]
struct Failover {
    vendor: Vendor,
    old: Log,
    new: Log,
}

impl Log {
    fn begin(&self) -> usize {
        self.files[self.purged]
    }

    /// The file that a number of a transaction is in, or begins.
    fn place(&self, name: &BinlogName, before: u64) -> usize {
        self.files[name.number() as usize - 1] + before as usize
    }
}

fn uuid(server: u32) -> Uuid {
    Uuid::from_u128(u128::from(server))
}

fn set_of(vendor: Vendor, transactions: &[Transaction]) -> GtidSet {
    let mut set: GtidSet = "".parse().unwrap();
    for (server, number) in transactions {
        let text = match vendor {
            Vendor::Mariadb => format!("0-{server}-{number}"),
            _ => format!("{}:{number}", uuid(*server)),
        };
        set.insert(&text.parse().unwrap()).unwrap();
    }
    set
}

/// Writes the archived files of a log and their entries.
fn archived(vendor: Vendor, log: &Log, store: &MemStore) -> Vec<BinlogEntry> {
    let mut entries = Vec::new();
    for (index, begin) in log.files.iter().enumerate().skip(log.purged) {
        let end = log.files.get(index + 1).copied().unwrap_or(log.transactions.len());
        let mut writer = BinlogWriter::new(vendor, true, 1_759_413_600);
        writer.server_id = log.server;
        let before = set_of(vendor, &log.transactions[..*begin]);
        match &before {
            GtidSet::Mariadb(state) => writer.gtid_list(state),
            GtidSet::Mysql(set) if vendor != Vendor::Mariadb => writer.previous_gtids(set),
            GtidSet::Mysql(_) => writer.gtid_list(&Default::default()),
        };
        for (server, number) in &log.transactions[*begin..end] {
            writer.server_id = *server;
            match vendor {
                Vendor::Mariadb => drop(writer.mariadb_gtid(0, *number, TRANSACTIONAL)),
                _ => {
                    writer.gtid(uuid(*server), *number);
                    writer.begin();
                }
            }
            writer.query("shop", "INSERT INTO t VALUES (1)");
            writer.xid(*number);
        }
        writer.server_id = log.server;
        let name: BinlogName = format!("bin.{:06}", index + 1).parse().unwrap();
        writer.rotate(name.successor().as_str());
        let bytes = writer.into_bytes();
        let stored_as = KeyPart::new(format!("binlog_{}_{name}", log.server)).unwrap();
        store.put(&layout::binlog(&stored_as), &bytes);
        let at = LogTime::from_seconds(1_759_413_600);
        entries.push(BinlogEntry {
            timeline: Some(format!("t{}", log.server)),
            source: Some(BinlogSource {
                server_id: Some(log.server),
                uuid: (vendor != Vendor::Mariadb).then(|| uuid(log.server).to_string()),
                ..BinlogSource::default()
            }),
            gtids_before: Some(before.to_string()),
            gtids_added: Some(set_of(vendor, &log.transactions[*begin..end]).to_string()),
            transactions: Some((end - begin) as u64),
            ending: Some(BinlogEnding::Rotate),
            successor: Some(name.successor()),
            ..BinlogEntry::basic(name, stored_as, bytes.len() as u64, at, at)
        });
    }
    entries
}

fn surveyed(case: &Failover) -> Option<CrossingPlace> {
    let store = MemStore::new();
    let mut entries = archived(case.vendor, &case.old, &store);
    entries.extend(archived(case.vendor, &case.new, &store));
    let catalog = Catalog::from_parts(None, None, Vec::new(), &[], entries, BTreeSet::new());
    let found = survey::crossings(&store, &catalog);
    let place = found.into_iter().find(|fact| (fact.from.as_str(), fact.to.as_str()) == ("t1", "t2"));
    place.and_then(|fact| fact.place.ok())
}

/// The last pair of places in the archived parts up to which both servers logged the same transactions, by brute force.
fn oracle(case: &Failover) -> Option<(usize, usize)> {
    let places = |log: &Log| log.begin()..=log.transactions.len();
    let before = |log: &Log, place: usize| log.transactions[..place].iter().copied().collect::<BTreeSet<_>>();
    let mut found = None;
    for left in places(&case.old) {
        for entered in places(&case.new) {
            let set = before(&case.old, left);
            if !set.is_empty() && set == before(&case.new, entered) {
                found = Some((left, entered));
            }
        }
    }
    let whole = before(&case.old, case.old.transactions.len());
    found.filter(|_| !before(&case.new, case.new.transactions.len()).is_subset(&whole))
}

fn agrees(case: &Failover) -> Result<(), TestCaseError> {
    let found = surveyed(case);
    let places = found.as_ref().map(|place| {
        let left = case.old.place(&place.leave.file, place.leave_before);
        (left, case.new.place(&place.enter.file, place.enter_before))
    });
    prop_assert_eq!(places, oracle(case));
    let Some(place) = found else { return Ok(()) };
    let there: BTreeSet<Transaction> = case.new.transactions.iter().copied().collect();
    let lost: Vec<Transaction> = case.old.transactions.iter().copied().filter(|one| !there.contains(one)).collect();
    prop_assert_eq!(place.left_behind.is_some(), !lost.is_empty(), "{:?}", place);
    let own = case.new.transactions.iter().any(|(server, _)| *server == 2);
    prop_assert_eq!(place.promoted, own);
    Ok(())
}

fn split(server: u32, transactions: Vec<Transaction>, cuts: &[prop::sample::Index], purged: usize) -> Log {
    let mut files: Vec<usize> = cuts.iter().map(|cut| cut.index(transactions.len() + 1)).chain([0]).collect();
    files.sort_unstable();
    let purged = purged.min(files.len() - 1);
    Log { server, transactions, files, purged }
}

prop_compose! {
    fn failovers()(
        vendor in prop_oneof![Just(Vendor::Mysql), Just(Vendor::Mariadb)],
        written in 1..14_u64,
        received in any::<prop::sample::Index>(),
        swaps in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        errant in prop_oneof![3 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)],
        own in 0..4_u64,
        kept in any::<prop::sample::Index>(),
        cuts in (prop::collection::vec(any::<prop::sample::Index>(), 0..4), prop::collection::vec(any::<prop::sample::Index>(), 0..4)),
        purged in (0..4_usize, 0..4_usize),
    ) -> Failover {
        let mut old: Vec<Transaction> = (1..=written).map(|number| (1, number)).collect();
        let received = received.index(old.len() + 1);
        let mut new = old[..received].to_vec();
        // A replica with several workers may commit in another order; MariaDB's keeps it.
        for swap in swaps.iter().filter(|_| vendor == Vendor::Mysql && new.len() > 1).cloned().collect::<Vec<_>>() {
            let at = swap.index(new.len() - 1);
            new.swap(at, at + 1);
        }
        if let Some(at) = errant {
            let at = at.index(new.len() + 1);
            new.insert(at, (2, if vendor == Vendor::Mysql { 1 } else { at as u64 + 1 }));
        }
        let next = if vendor == Vendor::Mysql { 2 } else { received as u64 + 2 };
        new.extend((0..own).map(|number| (2, next + number)));
        // The end of the old server's log may be lost with its disk.
        old.truncate(kept.index(old.len()) + 1);
        Failover { vendor, old: split(1, old, &cuts.0, purged.0), new: split(2, new, &cuts.1, purged.1) }
    }
}

proptest! {
    #![proptest_config(super::config())]

    #[test]
    fn logs_are_crossed_where_both_hold_the_same(case in failovers()) {
        agrees(&case)?;
    }
}

/// A check that never fails proves nothing: some cases are crossed, and another oracle's answer is found out.
#[test]
fn crossings_are_found_and_refused() {
    let log =
        |server: u32, transactions: Vec<Transaction>, files: Vec<usize>| Log { server, transactions, files, purged: 0 };
    let shared = |count: u64| (1..=count).map(|number| (1, number));
    for vendor in [Vendor::Mysql, Vendor::Mariadb] {
        let old = log(1, shared(9).collect(), vec![0, 4]);
        let new = log(2, shared(6).chain([(2, 10), (2, 11)]).collect(), vec![0, 3]);
        let mut case = Failover { vendor, old, new };
        assert_eq!(oracle(&case), Some((6, 6)));
        agrees(&case).unwrap();
        // The same GTIDs but one.
        case.new.transactions[0] = (2, 1);
        assert_eq!((oracle(&case), surveyed(&case)), (None, None));
    }
}
