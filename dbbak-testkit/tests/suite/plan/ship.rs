//! Golden plans of shipping.

use super::{Case, story, text};
use dbbak_core::plan::{Plan, ShipRequest, Step};
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
