//! Golden plans of shipping.

use super::{Case, story, text};
use chrono::DateTime;
use dbbak_core::{
    model::Lsn,
    plan::{Plan, ShipRequest, Step},
    store::DataState,
};
use dbbak_testkit::history::{DATADIR, Product};
use insta::assert_snapshot;

fn shipped(plan: &Plan) -> Vec<(String, Option<String>)> {
    let ship = |step: &Step| match step {
        Step::ShipBinlog(ship) => Some((ship.entry.stored_as.to_string(), ship.entry.timeline.clone())),
        _ => None,
    };
    plan.steps.iter().filter_map(ship).collect()
}

#[test]
fn closed_files() {
    let mut history = story(Product::Mariadb);
    history.at("05:10").rotate().at("05:20").commit().rotate();
    assert_snapshot!("closed_files", text(&Case::of(history).ship(&ShipRequest::default()).unwrap()));
}

#[test]
fn nothing_new() {
    let plan = Case::of(story(Product::Mariadb)).ship(&ShipRequest::default()).unwrap();
    assert!(plan.is_empty());
    assert_eq!(text(&plan), "Plan: nothing to archive\n");
}

#[test]
fn flush() {
    let request = ShipRequest { flush: true, ..ShipRequest::default() };
    assert_snapshot!("flush", text(&Case::of(story(Product::Mysql84)).ship(&request).unwrap()));
}

#[test]
fn rescue() {
    let mut case = Case::of(story(Product::Mysql84));
    case.facts.server = None;
    case.facts.source = Some(case.history.source(false));
    let request = ShipRequest { rescue: Some(DATADIR.into()), ..ShipRequest::default() };
    assert_snapshot!("rescue", text(&case.ship(&request).unwrap()));
}

#[test]
fn a_rescued_file_is_archived_again_once_it_is_closed() {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rescue();
    let dead = Case::of(history.clone());
    assert!(shipped(&dead.ship(&ShipRequest::default()).unwrap()).is_empty());
    history.at("05:20").commit().rotate();
    let plan = Case::of(history).ship(&ShipRequest::default()).unwrap();
    let [(stored_as, timeline)] = &shipped(&plan)[..] else { panic!("{}", text(&plan)) };
    assert!(stored_as.starts_with("binlog_2025-10-02T04-55Z_binlog.000004_"), "{stored_as}");
    assert_eq!(timeline.as_deref(), Some("t1"));
}

/// What the entries of a plan say of the server's data: when their first file was made, as seconds.
fn data(plan: &Plan) -> Vec<Option<i64>> {
    let of = |step: &Step| match step {
        Step::ShipBinlog(ship) => {
            Some(ship.entry.data.as_ref().and_then(|data| data.born).map(|born| born.timestamp()))
        }
        _ => None,
    };
    plan.steps.iter().filter_map(of).collect()
}

#[test]
fn data_that_were_put_back_beside_their_binlogs_are_told() {
    let mut history = story(Product::Mariadb);
    history.at("05:10").rotate().at("05:20").commit().rotate().at("05:30").commit().rotate();
    let born = |second: i64| DateTime::from_timestamp(second, 0);
    let before = |lsn: u64, started: u64| DataState {
        born: born(1),
        lsn: Some(Lsn(lsn)),
        started: Some(Lsn(started)),
        ..DataState::default()
    };
    let planned = |seen: DataState, now: i64, lsn: u64, started: u64| {
        let mut case = Case::of(history.clone());
        let last = case.catalog.binlogs.last_mut().unwrap();
        last.data = Some(seen);
        case.facts.data_born = born(now);
        match &mut case.facts.server {
            Some(Ok(server)) => (server.lsn, server.start_lsn) = (Some(Lsn(lsn)), Some(Lsn(started))),
            other => panic!("{other:?}"),
        }
        let source = case.facts.source.as_mut().unwrap();
        let last = source.files.len() - 1;
        source.files[last - 1].head.as_mut().unwrap().begun_by_start = Some(true);
        case.ship(&ShipRequest::default()).unwrap()
    };
    let gaps = |plan: &Plan| plan.incomplete.clone();
    // Restarted, and nothing else. The file from before the start was written with the data that were seen.
    let restarted = planned(before(50, 10), 1, 90, 70);
    assert_eq!((data(&restarted), gaps(&restarted)), (vec![Some(1), Some(1), Some(1)], vec![]));
    assert_eq!(restarted.warnings, [""; 0]);
    // Other files.
    let other = planned(before(50, 10), 2, 90, 70);
    assert_eq!((data(&other), gaps(&other)), (vec![Some(1), Some(1), Some(2)], vec![]));
    let [told] = &other.warnings[..] else { panic!("{:?}", other.warnings) };
    assert!(told.contains("the server's data files are others from binlog.000006 on"), "{told}");
    // The same files, and less in them, which the start still tells once the LSN has passed. A little less is what was written meanwhile.
    let behind = "gap: binlog.000006 follows binlog.000005 by name, but the server's data went back between them";
    // Cold copies were started at the same place as before.
    for (lsn, started) in [(6_000_000, 10), (9_000_000, 5_000_000), (9_000_000, 10)] {
        let [gap] = &gaps(&planned(before(8_000_000, 10), 1, lsn, started))[..] else { panic!("{lsn}") };
        assert!(gap.starts_with(behind), "{gap}");
    }
    assert_eq!(gaps(&planned(before(8_000_000, 10), 1, 9_000_000, 7_999_000)), [""; 0]);
}

#[test]
fn gap() {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rotate().at("05:20").commit().at("05:30").rotate().commit().rotate().purge_to(6);
    let plan = Case::of(history).ship(&ShipRequest::default()).unwrap();
    assert_snapshot!("gap", text(&plan));
}

#[test]
fn same_name_other_content() {
    let mut history = story(Product::Mysql84);
    history.reset();
    history.files.last_mut().unwrap().opened = history.files[0].opened;
    history.at("05:20").commit().rotate();
    let plan = Case::of(history.clone()).ship(&ShipRequest::default()).unwrap();
    let digest = history.head(history.files.len() - 2).short();
    let name = format!("binlog_2025-10-02T00-00Z_binlog.000001_{digest}.gz");
    assert_eq!(shipped(&plan), [(name, Some("t2".to_owned()))], "{}", text(&plan));
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn a_new_timeline_never_takes_the_id_of_an_old_one() {
    let mut history = story(Product::Mysql84);
    history.reset();
    history.at("05:20").commit().rotate().ship();
    // Of two timelines the first was pruned: the second keeps its id, and a third must not get it.
    history.archived.retain(|copy| history.files[copy.file].history == 1);
    history.reset();
    history.at("05:40").commit().rotate();
    let plan = Case::of(history).ship(&ShipRequest::default()).unwrap();
    assert_eq!(shipped(&plan)[0].1.as_deref(), Some("t3"));
}
