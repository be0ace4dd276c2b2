//! What a planner makes of several histories, rescued copies, and clocks that disagree.

use super::{Case, exact, story};
use chrono::TimeDelta;
use dbbak_core::{
    catalog::timeline_report,
    plan::{Plan, PlanError, Step, Summary, check},
    store::{BinlogEntry, BinlogSource, KeyPart},
};
use dbbak_testkit::history::{History, Product, at};

/// The backup that the replay starts from, the timeline, and the numbers of the transactions that are replayed.
fn replayed(history: &History, plan: &Plan) -> (String, String, Vec<usize>) {
    assert_eq!(check(plan), []);
    let Summary::Restore { report } = &plan.summary else { panic!("no restore") };
    let window = report.window.as_ref().unwrap();
    let mut numbers = Vec::new();
    for step in &plan.steps {
        let Step::UnpackBinlogs(unpack) = step else { continue };
        for (place, entry) in unpack.files.iter().enumerate() {
            let start = if place == 0 { unpack.start } else { 0 };
            let stop = unpack.stop.filter(|_| place + 1 == unpack.files.len()).unwrap_or(u64::MAX);
            let there = history.copied(history.copy_of(entry).unwrap()).iter();
            numbers.extend(there.filter(|one| one.start >= start && one.end <= stop).map(|one| one.number));
        }
    }
    (report.chain.last().unwrap().backup.clone(), window.timeline.clone(), numbers)
}

fn restore(history: &History, time: &str) -> Result<(String, String, Vec<usize>), PlanError> {
    Case::of(history.clone()).restore(&exact(time)).map(|plan| replayed(history, &plan))
}

/// A server that dies at 3:00 with a transaction in its open file, and is replaced at once by one restored from the full
/// of 2:00.
fn failover() -> History {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:10").commit().at("02:20").rotate().at("02:30").commit().at("03:00").rescue().replace_by(0);
    history.at("03:05").full();
    history.at("03:10").commit().at("03:20").rotate().ship().at("03:30").commit();
    history
}

#[test]
fn a_target_belongs_to_the_server_that_was_live() {
    let history = failover();
    let (first, second) = ("full_2025-10-02T02-00Z".to_owned(), "full_2025-10-02T03-05Z".to_owned());
    assert_eq!(restore(&history, "02:25"), Ok((first.clone(), "t1".into(), vec![0])));
    assert_eq!(restore(&history, "02:30:01"), Ok((first, "t1".into(), vec![0, 1])));
    assert_eq!(restore(&history, "03:15"), Ok((second, "t2".into(), vec![2])));
    // No backup of the new server yet, and of the old one nothing is known after its last transaction: that its log was
    // saved at 3:00 does not say that it was the live server until then.
    for time in ["02:30:02", "03:00", "03:03"] {
        let Err(PlanError::TargetBeyondBinlogs { latest, .. }) = restore(&history, time) else { panic!("{time}") };
        assert_eq!(latest, Some(at("02:30:01")));
    }
}

#[test]
fn a_whole_copy_stands_for_the_rescued_one() {
    for product in [Product::Mysql57, Product::Mysql84] {
        let mut history = story(product);
        history.at("05:06").rescue();
        // It had not died: the file went on, was closed, and was archived whole.
        history.at("05:10").commit().at("05:20").rotate().at("05:30").commit().at("05:40").rotate().ship();
        let (_, _, numbers) = restore(&history, "05:35").unwrap();
        assert_eq!(numbers, (5..13).collect::<Vec<_>>(), "{product:?}");
    }
}

#[test]
fn nothing_is_replayed_over_the_unknown_end_of_a_rescued_file() {
    for (product, more) in [(Product::Mysql57, true), (Product::Mysql57, false), (Product::Mysql84, true)] {
        let mut history = story(product);
        history.at("05:06").rescue();
        if more {
            history.at("05:10").commit();
        }
        // The server purged the file before it was archived whole.
        history.at("05:20").rotate().purge_to(5).at("05:30").commit().at("05:40").rotate().ship();
        let error = restore(&history, "05:35").unwrap_err();
        let PlanError::BinlogGap { after, latest, .. } = error else { panic!("{product:?}: {error}") };
        assert_eq!((after.as_str(), latest), ("binlog.000004", Some(at("05:05:01"))));
    }
}

#[test]
fn gtids_prove_that_a_rescued_file_was_all() {
    for product in [Product::Mariadb, Product::Mysql84] {
        let mut history = story(product);
        history.at("05:06").rescue();
        history.at("05:20").rotate().purge_to(5).at("05:30").commit().at("05:40").rotate().ship();
        let (_, _, numbers) = restore(&history, "05:35").unwrap();
        assert_eq!(numbers, (5..12).collect::<Vec<_>>(), "{product:?}");
    }
}

#[test]
fn gtids_prove_that_a_file_of_the_next_number_is_another_history() {
    // A reset that nobody saw: the new history has grown past the old one's last archived number.
    let mut history = story(Product::Mysql84);
    let mut index = history.index();
    let stranger = {
        history.at("05:06").rotate().at("05:10").commit().at("05:15").rotate().ship();
        let mut entry = history.index().pop().unwrap();
        entry.name = "binlog.000004".parse().unwrap();
        entry
    };
    index.push(stranger);
    let mut case = Case::of(history);
    case.catalog.binlogs = index;
    let error = case.restore(&exact("05:12")).unwrap_err();
    assert!(matches!(error, PlanError::BinlogGap { .. }), "{error}");
}

/// Row 25.
#[test]
fn a_backup_past_the_cut_is_passed_over() {
    // The clock was set back by an hour between the transaction at 4:00 and the incremental.
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("03:00").commit().at("04:00").commit();
    history.now = at("03:10");
    history.incremental();
    history.at("03:20").commit().at("04:30").rotate().ship();
    let case = Case::of(history.clone());
    let plan = case.restore(&exact("03:30")).unwrap();
    assert_eq!(replayed(&history, &plan), ("full_2025-10-02T02-00Z".into(), "t1".into(), vec![0]));
    let told = plan.text(None).to_string();
    assert!(
        told.contains("backup 2025-10-02T03-10Z was passed over: backup 2025-10-02T03-10Z cannot start a point-in-time recovery: it already holds transactions from binlog.000001:500 on"),
        "{told}"
    );
    assert!(told.contains("stands behind the cut, although its time is 2025-10-02 03:20:00"), "{told}");
}

#[test]
fn a_stamp_that_a_client_made_up_cuts_where_it_stands() {
    for product in [Product::Mariadb, Product::Mysql57] {
        let mut history = History::new(product);
        history.at("02:00").full();
        history.at("02:10").commit().at("02:20").commit_stamped(at("09:00"));
        history.at("02:30").commit().at("02:40").rotate().at("02:41").ship();
        assert_eq!(restore(&history, "02:35").unwrap().2, [0]);
        assert_eq!(restore(&history, "02:15").unwrap().2, [0]);
    }
}

#[test]
fn a_backup_says_nothing_of_binlogs_that_were_begun_while_it_ran() {
    let mut history = History::new(Product::Mysql84);
    history.backup(None, |history| {
        history.wait(TimeDelta::seconds(1)).rotate();
        history.wait(TimeDelta::seconds(1)).commit();
    });
    history.ship();
    // It ended at 0:00:33 with its coordinates in the first file, which was closed at 0:00:31.
    history.at("00:10");
    let error = restore(&history, "00:00:33").unwrap_err();
    assert!(matches!(error, PlanError::TargetBeyondBinlogs { latest: None, .. }), "{error}");
    history.rotate().ship();
    assert_eq!(restore(&history, "00:00:33").unwrap().2, [0]);
}

#[test]
fn a_rescued_copy_that_ends_before_the_coordinates_is_refused() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").commit().commit();
    history.full();
    history.at("02:10").rescue();
    // The machine lost what had not reached the disk.
    history.archived[0].transactions = 1;
    let error = restore(&history, "02:05").unwrap_err();
    assert!(matches!(error, PlanError::TargetBeyondBinlogs { latest: None, .. }), "{error}");
}

#[test]
fn the_backup_that_gets_furthest_tells_why_not_further() {
    let mut history = story(Product::Mysql84);
    // A gap at the fourth binlog, a full after it, and then nothing archived that reaches the target.
    history.at("05:10").rotate().at("05:20").full();
    history.at("05:30").commit().at("05:40").rotate().ship().lose_binlog(4).at("05:50").commit();
    let Err(PlanError::TargetBeyondBinlogs { latest, .. }) = restore(&history, "05:50") else { panic!() };
    assert_eq!(latest, Some(at("05:40")));
    assert_eq!(restore(&history, "05:40").unwrap().0, "full_2025-10-02T05-20Z");
}

/// A server and its replica, which took over with everything that the server had.
fn taken_over() -> Case {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rotate().ship().at("06:00");
    let mut case = Case::of(history);
    let server = |id: u32| BinlogSource {
        server_id: Some(id),
        uuid: Some(format!("00000000-0000-4000-8000-00000000000{id}")),
        ..BinlogSource::default()
    };
    case.catalog.binlogs.iter_mut().for_each(|entry| entry.source = Some(server(1)));
    let last = case.catalog.binlogs.last().unwrap().clone();
    let entry = BinlogEntry {
        name: "replica-bin.000007".parse().unwrap(),
        stored_as: KeyPart::new("binlog_replica.gz").unwrap(),
        timeline: Some("t2".into()),
        source: Some(server(2)),
        head: None,
        gtids_before: last.gtids_after().map(|set| set.to_string()),
        gtids_added: Some("00000000-0000-4000-8000-000000000002:1-4".into()),
        successor: Some("replica-bin.000008".parse().unwrap()),
        ..last
    };
    case.catalog.binlogs.push(entry);
    case
}

/// Row 24a.
#[test]
fn a_target_behind_a_failover_names_both_timelines() {
    let case = taken_over();
    let error = case.restore(&exact("05:40")).unwrap_err();
    let PlanError::OtherTimeline { latest, stitch, .. } = &error else { panic!("{error}") };
    assert_eq!((*latest, stitch.from.as_str(), stitch.to.as_str()), (Some(at("05:10")), "t1", "t2"));
    assert_eq!(
        error.to_string(),
        "the target 2025-10-02 05:40:00 UTC lies beyond the end of timeline t1 (2025-10-02 05:10:00 UTC); timeline t2 goes on there from replica-bin.000007, but no restore can go over to it: no place is proven at which both held the very same transactions"
    );
    let report = timeline_report(&case.catalog, &[], case.now);
    assert_eq!(report.holes.last().unwrap().goes_on_in.as_deref(), Some("t2"));
    let text = dbbak_cli::timeline_text(&report, false);
    assert!(text.contains("Timeline t1 goes on in timeline t2 from replica-bin.000007"), "{text}");
    // Before the failover nothing changes.
    assert!(case.restore(&exact("05:10")).is_ok());
}
