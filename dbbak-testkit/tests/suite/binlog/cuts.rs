//! Where goals cut archived binlogs: the worked examples of `docs/pitr.md`, and the traps of each family.

use super::{sample, scan_all};
use dbbak_core::{
    catalog::Catalog,
    facts::{CutFact, CutFlaw, EdgeFact, Facts, TransactionFact},
    model::{BinlogPosition, Goal, LogTime},
    probe::HostFacts,
    store::{BinlogEntry, Digest, KeyPart, layout},
    survey,
};
use dbbak_testkit::{
    binlog_writer::{BinlogWriter, RowChange, STANDALONE, TRANSACTIONAL, Vendor},
    mem_store::MemStore,
};
use std::{collections::BTreeSet, fmt::Write, path::Path};

const START: u32 = 1_759_413_660;
const UUID: &str = "11111111-1111-4111-8111-111111111111";

/// An archive that holds files as one timeline.
struct Archive {
    store: MemStore,
    catalog: Catalog,
}

impl Archive {
    fn of(files: &[(&str, Vec<u8>)]) -> Self {
        let store = MemStore::new();
        let entries = files.iter().map(|(name, bytes)| {
            let (scan, transactions) = scan_all(bytes).unwrap();
            let stored_as = KeyPart::new(format!("binlog_2025-10-02T14-00Z_{name}")).unwrap();
            store.put(&layout::binlog(&stored_as), bytes);
            let newest = transactions.iter().filter_map(|one| one.time.commit()).max();
            let at = LogTime::from_seconds;
            BinlogEntry {
                timeline: Some("t1".into()),
                digest: Some(Digest::of(bytes)),
                max_event_time: Some(at(scan.max_event_time)),
                first_transaction_time: scan.first_transaction_time.map(at),
                last_transaction_time: scan.last_transaction_time.map(at),
                newest_commit_time: newest.and_then(LogTime::from_micros),
                transactions: Some(scan.transactions),
                gtids_before: scan.head.previous_gtids.as_ref().map(ToString::to_string),
                gtids_added: scan.gtids.as_ref().map(ToString::to_string),
                gtids_last: scan.gtids_last.as_ref().filter(|_| scan.went_back).map(ToString::to_string),
                ..BinlogEntry::basic(
                    name.parse().unwrap(),
                    stored_as,
                    bytes.len() as u64,
                    at(scan.head.first_event_time),
                    at(scan.last_event_time),
                )
            }
        });
        let catalog = Catalog::from_parts(None, None, Vec::new(), &[], entries.collect(), BTreeSet::new());
        Archive { store, catalog }
    }

    fn cut(&self, goal: &Goal) -> CutFact {
        let mut facts = facts();
        survey::cuts(&mut facts, &self.store, &self.catalog, goal, None).unwrap();
        facts.cuts.pop().unwrap()
    }

    fn edges(&self, goal: &Goal, from: Option<&str>) -> EdgeFact {
        let at = self.cut(goal).cut.expect("a cut").at;
        let from = from.map(|from| from.parse::<BinlogPosition>().unwrap());
        let mut facts = facts();
        survey::edges(&mut facts, &self.store, &self.catalog, "t1", (from.as_ref(), &at), Some(goal)).unwrap();
        facts.edges.pop().unwrap()
    }

    /// What a goal cuts, as the documentation shows it.
    fn told(&self, option: &str, goal: &Goal) -> String {
        let edges = self.edges(goal, None);
        let mut text = format!("    {option}: the cut is at {}\n", edges.at);
        for (side, one) in [("last included: ", &edges.last_included), ("first excluded:", &edges.first_excluded)] {
            writeln!(text, "      {side} {}", one.as_ref().map_or("none".into(), line)).unwrap();
        }
        for late in &edges.earlier {
            writeln!(text, "      behind the cut, with an earlier time: {}", line(late)).unwrap();
        }
        text
    }
}

/// The facts of a machine of which nothing is asked.
pub(crate) fn facts() -> Facts {
    Facts::of_host(HostFacts {
        name: "db1".into(),
        utc_offset_seconds: 0,
        time_zone: None,
        root: false,
        uid: None,
        temp_dir: "/tmp".into(),
    })
}

fn line(one: &TransactionFact) -> String {
    let bound = if one.committed_at { "" } else { " or later" };
    let here = one.committed_here.map(|here| format!(" (committed here {here})")).unwrap_or_default();
    let own = one.own_stamp.map(|own| format!(" (own stamp {own})")).unwrap_or_default();
    format!("{}{bound}{here}{own} {} at {}", one.time, one.gtid.as_deref().unwrap_or("-"), one.start)
}

fn moment(text: &str) -> Goal {
    Goal::Moment(text.parse::<LogTime>().unwrap().at())
}

fn after(gtid: &str) -> Goal {
    Goal::After(gtid.parse().unwrap())
}

fn before(gtid: &str) -> Goal {
    Goal::Before(gtid.parse().unwrap())
}

fn position(text: &str) -> Goal {
    Goal::Position(text.parse().unwrap())
}

/// Checks that the documentation shows an example just as it comes out.
#[track_caller]
fn shown(examples: &[String]) {
    let docs = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pitr.md")).unwrap();
    let text = examples.concat();
    assert!(docs.contains(&text), "docs/pitr.md does not show\n{text}");
}

/// A row event's transaction, its start.
fn insert(log: &mut BinlogWriter, number: u64) {
    log.begin();
    log.table_map(7, "shop", "orders");
    log.rows(RowChange::Insert, 7, &[(1, "milk")], true);
    log.xid(number);
}

/// A MySQL 5.6 log: a statement that began first is committed last, and a client has set its clock.
fn mysql_56() -> Archive {
    let mut log = BinlogWriter::new(Vendor::Mysql56, true, START);
    log.previous_gtids(&Default::default());
    for (number, second) in [(1, 5), (2, 3), (3, 7), (4, 6), (5, 8)] {
        log.time = START + second;
        log.gtid(UUID.parse().unwrap(), number);
        insert(&mut log, number);
    }
    log.rotate("mysql-bin.000002");
    Archive::of(&[("mysql-bin.000001", log.into_bytes())])
}

#[test]
fn cut_of_mysql_56_and_57() {
    let archive = mysql_56();
    shown(&[
        archive.told("--time \"2025-10-02 14:01:07\"", &moment("2025-10-02 14:01:07")),
        archive.told(&format!("--gtid {UUID}:4"), &after(&format!("{UUID}:4"))),
    ]);
    // The running maximum decides: with 14:01:06 the cut is the same, with 14:01:05 before the first one.
    let at = |text: &str| archive.cut(&moment(text)).cut.map(|cut| cut.at.position);
    assert_eq!(at("2025-10-02 14:01:06"), at("2025-10-02 14:01:07"));
    let first = archive.cut(&before(&format!("{UUID}:1"))).cut.map(|cut| cut.at.position);
    assert_eq!(at("2025-10-02 14:01:05"), first);
    assert_eq!(at("2025-10-02 14:01:09"), None);
}

#[test]
fn cut_of_mysql_8_and_later_with_tagged_gtids() {
    let archive = Archive::of(&[("binlog.000004", sample("mysql-9.7.4/binlog.000004"))]);
    let owner = "5548e6f5-e54c-11f1-bda1-02fc00000001";
    shown(&[
        archive.told("--time \"2026-11-21 01:40:43.277843\" --exact", &moment("2026-11-21 01:40:43.277843")),
        archive.told(&format!("--before-gtid {owner}:nightly:1"), &before(&format!("{owner}:nightly:1"))),
        archive.told(&format!("--gtid {owner}:109"), &after(&format!("{owner}:109"))),
    ]);
    // The same number without the tag, or under another one, is another transaction.
    assert_eq!(archive.cut(&after(&format!("{owner}:1"))).cut, None);
    assert_eq!(archive.cut(&after(&format!("{owner}:dbbak:2"))).cut, None);
}

/// A replica's log: the original servers' commit times count, and their clocks differ.
#[test]
fn cut_of_a_mysql_replica() {
    let mut log = BinlogWriter::new(Vendor::Mysql, true, START);
    log.previous_gtids(&Default::default());
    let micros = |seconds: f64| (f64::from(START) * 1e6 + seconds * 1e6) as u64;
    for (number, original, here) in [(1, 7.1, 7.3), (2, 7.5, 7.6), (3, 7.2, 7.7)] {
        log.commit = (micros(original), micros(here));
        log.time = START + 7;
        log.gtid(UUID.parse().unwrap(), number);
        insert(&mut log, number);
    }
    let archive = Archive::of(&[("binlog.000001", log.into_bytes())]);
    shown(&[archive.told("--time \"2025-10-02 14:01:07.5\" --exact", &moment("2025-10-02 14:01:07.5"))]);
    assert_eq!(archive.edges(&moment("2025-10-02 14:01:07.5"), None).earlier_count, 1);
}

/// A clock that was ahead for a while and was set back: what follows has earlier times than the cut, however many binlogs behind it.
#[test]
fn edges_name_what_a_clock_that_was_set_back_left_behind() {
    let mut files = Vec::new();
    let mut number = 0;
    for (place, seconds) in [&[1, 600][..], &[601], &[602], &[3, 4], &[20], &[5]].into_iter().enumerate() {
        let mut log = BinlogWriter::new(Vendor::Mysql56, true, START);
        let before = if number == 0 { String::new() } else { format!("{UUID}:1-{number}") };
        log.previous_gtids(&before.parse().unwrap());
        for second in seconds {
            number += 1;
            log.time = START + second;
            log.gtid(UUID.parse().unwrap(), number);
            insert(&mut log, number);
        }
        log.rotate(&format!("mysql-bin.{:06}", place + 2));
        files.push((format!("mysql-bin.{:06}", place + 1), log.into_bytes()));
    }
    let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let edges = Archive::of(&files).edges(&moment("2025-10-02 14:01:10"), None);
    assert_eq!((edges.at.file.as_str(), edges.last_included.is_some()), ("mysql-bin.000001", true));
    let earlier: Vec<&str> = edges.earlier.iter().map(|one| one.file.as_str()).collect();
    assert_eq!(earlier, ["mysql-bin.000004", "mysql-bin.000004", "mysql-bin.000006"]);
    assert_eq!((edges.earlier_count, edges.earlier_up_to.unwrap().as_str()), (3, "mysql-bin.000006"));
}

#[test]
fn cut_of_mariadb() {
    let archive = Archive::of(&[("types-bin.000003", sample("mariadb-10.11.19/types-bin.000003"))]);
    shown(&[
        archive.told("--time \"2026-11-21 04:02:41\" --exact", &moment("2026-11-21 04:02:41")),
        archive.told("--gtid 5-77-1", &after("5-77-1")),
        archive.told("--before-gtid 0-77-60", &before("0-77-60")),
        archive.told("--position types-bin.000003:2539", &position("types-bin.000003:2539")),
    ]);
}

/// A commit time can be later than every stamp of its file: the statement ran for long.
#[test]
fn a_long_statement_is_not_overlooked() {
    let mut log = BinlogWriter::new(Vendor::Mysql, true, START);
    log.previous_gtids(&Default::default());
    log.commit = ((u64::from(START) + 3600) * 1_000_000, (u64::from(START) + 3600) * 1_000_000);
    log.gtid(UUID.parse().unwrap(), 1);
    insert(&mut log, 1);
    log.rotate("binlog.000002");
    let mut archive = Archive::of(&[("binlog.000001", log.into_bytes())]);
    let half_past = moment("2025-10-02 14:31:00");
    assert!(archive.cut(&half_past).cut.is_some());
    // An entry that does not hold commit times proves nothing.
    let mut entries = archive.catalog.binlogs.clone();
    entries[0].newest_commit_time = None;
    archive.catalog = Catalog::from_parts(None, None, Vec::new(), &[], entries, BTreeSet::new());
    assert!(archive.cut(&half_past).cut.is_some());
}

/// A MariaDB log: `CREATE TABLE ... SELECT` as two groups of one GTID, which may be cut by a rotation.
fn two_groups(split: bool) -> Archive {
    let begun = |before: u64| {
        let mut log = BinlogWriter::new(Vendor::Mariadb, true, START);
        log.gtid_list(&if before == 0 { String::new() } else { format!("0-1-{before}") }.parse().unwrap());
        log
    };
    let rows = |log: &mut BinlogWriter, number| {
        log.mariadb_gtid(0, number, TRANSACTIONAL);
        log.table_map(7, "shop", "copied");
        log.rows(RowChange::Insert, 7, &[(1, "milk")], true);
        log.xid(number);
    };
    let mut log = begun(0);
    rows(&mut log, 1);
    log.mariadb_gtid(0, 2, STANDALONE);
    log.query("shop", "CREATE TABLE copied (a INT, b TEXT)");
    let mut files = Vec::new();
    if split {
        log.rotate("bin.000002");
        files.push(("bin.000001", log.into_bytes()));
        log = begun(2);
    }
    rows(&mut log, 2);
    rows(&mut log, 3);
    log.rotate("bin.000003");
    files.push((if split { "bin.000002" } else { "bin.000001" }, log.into_bytes()));
    Archive::of(&files)
}

#[test]
fn both_groups_of_one_gtid_are_taken_or_left() {
    for split in [false, true] {
        let archive = two_groups(split);
        let gtids = |goal: &Goal| {
            let edges = archive.edges(goal, None);
            let gtid = |one: Option<TransactionFact>| one.and_then(|one| one.gtid).unwrap_or_default();
            (gtid(edges.last_included), gtid(edges.first_excluded))
        };
        assert_eq!(gtids(&before("0-1-2")), ("0-1-1".into(), "0-1-2".into()), "{split}");
        assert_eq!(gtids(&after("0-1-2")), ("0-1-2".into(), "0-1-3".into()), "{split}");
        assert_eq!(gtids(&after("0-1-1")), ("0-1-1".into(), "0-1-2".into()), "{split}");
        assert_eq!(archive.edges(&after("0-1-3"), None).first_excluded, None, "{split}");
    }
}

/// Without `gtid_strict_mode` a lower number may come later, and a number twice.
#[test]
fn sequence_numbers_out_of_order_are_found() {
    let file = |numbers: &[u64], before: &str, next: &str| {
        let mut log = BinlogWriter::new(Vendor::Mariadb, true, START);
        log.gtid_list(&before.parse().unwrap());
        for number in numbers {
            log.mariadb_gtid(0, *number, TRANSACTIONAL);
            log.table_map(7, "shop", "orders");
            log.rows(RowChange::Insert, 7, &[(1, "milk")], true);
            log.xid(*number);
        }
        log.rotate(next);
        log.into_bytes()
    };
    let files = [
        ("bin.000001", file(&[1, 2, 9], "", "bin.000002")),
        ("bin.000002", file(&[5, 10], "0-1-9", "bin.000003")),
        ("bin.000003", file(&[11, 12, 11], "0-1-10", "bin.000004")),
    ];
    let archive = Archive::of(&files);
    let edges = archive.edges(&after("0-1-5"), None);
    assert_eq!(edges.at.file.as_str(), "bin.000002");
    assert_eq!(edges.first_excluded.and_then(|one| one.gtid).as_deref(), Some("0-1-10"));
    assert_eq!(archive.cut(&after("0-1-7")).cut, None);
    let repeated = archive.cut(&after("0-1-11"));
    assert_eq!(repeated.cut, None);
    assert!(matches!(repeated.flaw, Some(CutFlaw::Repeated { again, first }) if again > first));
    // In another file, to which the numbers went back.
    let files = [
        ("bin.000001", file(&[1, 6, 7, 4], "", "bin.000002")),
        ("bin.000002", file(&[5, 6], "0-1-4", "bin.000003")),
        ("bin.000003", file(&[7, 8], "0-1-6", "bin.000004")),
    ];
    let archive = Archive::of(&files);
    for goal in [after("0-1-6"), before("0-1-6"), after("0-1-7"), before("0-1-7")] {
        let cut = archive.cut(&goal);
        let Some(CutFlaw::Repeated { first, again }) = cut.flaw else { panic!("{cut:?}") };
        assert!(first.file.as_str() == "bin.000001" && again.file > first.file, "{first} {again}");
    }
    assert_eq!(archive.cut(&after("0-1-8")).flaw, None);
    assert!(archive.cut(&before("0-1-5")).cut.is_some());
}

#[test]
fn positions_are_boundaries_or_tell_the_nearest() {
    let archive = mysql_56();
    let start = |gtid: &str| archive.cut(&before(&format!("{UUID}:{gtid}"))).cut.unwrap();
    let (two, three) = (start("2").at, start("3").at);
    let place = |offset: u64| format!("mysql-bin.000001:{offset}");
    let cut = archive.cut(&position(&two.to_string())).cut.unwrap();
    assert_eq!((&cut.at, cut.transactions_before, &cut.until), (&two, 1, &two));
    let inside = archive.cut(&position(&place(two.position + 1)));
    let flaw = CutFlaw::NoBoundary { before: two.position, after: Some(three.position) };
    assert_eq!((inside.cut, inside.flaw), (None, Some(flaw)));
    // Whatever stands in the head, nothing is before it.
    let first = start("1").at;
    assert_eq!(archive.cut(&position(&place(4))).cut.unwrap().at, first);
    // The end of the file is one; behind it there is nothing.
    let size = archive.catalog.binlogs[0].size;
    let end = archive.cut(&position(&place(size))).cut.unwrap();
    assert_eq!((end.transactions_before, end.until.position), (5, size));
    assert_eq!(archive.cut(&position(&place(size + 1))).cut, None);
    assert_eq!(archive.cut(&position("mysql-bin.000009:4")).cut, None);
}

#[test]
fn times_that_go_back_are_told() {
    let mut log = BinlogWriter::new(Vendor::Mysql56, true, START);
    log.previous_gtids(&Default::default());
    for (number, second) in [(1, 10), (2, 3600), (3, 20), (4, 21), (5, 19), (6, 3700)] {
        log.time = START + second;
        log.gtid(UUID.parse().unwrap(), number);
        insert(&mut log, number);
    }
    let archive = Archive::of(&[("bin.000001", log.into_bytes())]);
    let edges = archive.edges(&after(&format!("{UUID}:6")), Some("bin.000001:4"));
    let jumps: Vec<(String, String)> =
        edges.jumps.iter().map(|jump| (jump.from.to_string(), jump.to.to_string())).collect();
    let expected = [("2025-10-02 15:01:00", "2025-10-02 14:01:20"), ("2025-10-02 14:01:21", "2025-10-02 14:01:19")];
    assert_eq!(jumps, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    assert_eq!(edges.jump_count, 2);
    // Only those of the window count, and behind a cut by time those with an earlier stamp of their own.
    let behind_second = archive.cut(&before(&format!("{UUID}:3"))).cut.unwrap().at.to_string();
    assert_eq!(archive.edges(&after(&format!("{UUID}:6")), Some(&behind_second)).jump_count, 1);
    let edges = archive.edges(&moment("2025-10-02 14:30:00"), None);
    assert_eq!((edges.earlier_count, edges.earlier.len()), (3, 3));
    let own: Vec<bool> = edges.earlier.iter().map(|one| one.own_stamp.is_some_and(|own| own < one.time)).collect();
    assert_eq!(own, [true; 3]);
}
