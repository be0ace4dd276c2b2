//! Plans to a transaction, a position and the end of the archive, and why there is none. "Row" is one of the decision table
//! in `docs/pitr.md`.

use super::{Case, exact, restore_to, story, text};
use dbbak_core::{
    facts::{Facts, TimeJump},
    model::{Goal, Target},
    plan::{PlanError, RestoreRequest, Summary, Whereabouts, resolve_aim, select},
    store::BinlogEntry,
};
use dbbak_testkit::history::{History, Product, at};
use insta::assert_snapshot;

/// The GTID of a transaction of the story, by its number from 1.
fn gtid(product: Product, number: u64) -> String {
    product.gtid(0, number)
}

fn after(gtid: &str) -> RestoreRequest {
    restore_to(Target::Cut(Goal::After(gtid.parse().unwrap())))
}

fn before(gtid: &str) -> RestoreRequest {
    restore_to(Target::Cut(Goal::Before(gtid.parse().unwrap())))
}

fn position(place: &str) -> RestoreRequest {
    restore_to(Target::Cut(Goal::Position(place.parse().unwrap())))
}

fn end() -> RestoreRequest {
    restore_to(Target::End)
}

fn from(ts: &str, request: RestoreRequest) -> RestoreRequest {
    RestoreRequest { backup: Some(ts.parse().unwrap()), ..request }
}

fn on(timeline: &str, request: RestoreRequest) -> RestoreRequest {
    RestoreRequest { timeline: Some(timeline.to_owned()), ..request }
}

fn planned(history: &History, request: &RestoreRequest) -> String {
    text(&Case::of(history.clone()).restore(request).unwrap())
}

fn refusal(history: &History, request: &RestoreRequest) -> PlanError {
    Case::of(history.clone()).restore(request).unwrap_err()
}

#[track_caller]
fn refused(history: &History, request: &RestoreRequest, expected: &str) {
    assert_eq!(refusal(history, request).to_string(), expected);
}

/// Row 48.
#[test]
fn to_a_transaction() {
    for (product, name) in [(Product::Mariadb, "mariadb"), (Product::Mysql84, "mysql")] {
        let history = story(product);
        assert_snapshot!(format!("gtid_{name}"), planned(&history, &after(&gtid(product, 7))));
        assert_snapshot!(format!("before_gtid_{name}"), planned(&history, &before(&gtid(product, 7))));
    }
}

/// Row 48.
#[test]
fn to_a_position() {
    assert_snapshot!("position", planned(&story(Product::Mysql57), &position("binlog.000003:500")));
}

/// Row 37.
#[test]
fn to_the_end() {
    assert_snapshot!("to_the_end_of_the_archive", planned(&story(Product::Mariadb), &end()));
}

#[test]
fn as_json() {
    let product = Product::Mariadb;
    let requests = [after(&gtid(product, 7)), before(&gtid(product, 7)), position("binlog.000003:500"), end()];
    for (request, name) in requests.iter().zip(["gtid", "before_gtid", "position", "latest"]) {
        let plan = Case::of(story(product)).restore(request).unwrap();
        let Summary::Restore { report } = &plan.summary else { panic!("no restore") };
        let shown = (&report.aim, &report.target, &report.window, &report.edges);
        assert_snapshot!(format!("json_{name}"), serde_json::to_string_pretty(&shown).unwrap());
    }
}

/// Row 36: nothing is floored, so nothing of the last second is left out.
#[test]
fn without_a_target_and_without_rounding() {
    let mut case = Case::of(story(Product::Mariadb));
    case.config.pitr_round_minutes = 0;
    let nothing = text(&case.restore(&restore_to(Target::Latest)).unwrap());
    let latest = text(&case.restore(&end()).unwrap());
    let warning = "  WARNING: no target was given: this restore lands at the end of the archive, binlog.000003:1150 (timeline t1)\n";
    assert_eq!(nothing.replace(warning, ""), latest);
    assert!(nothing.contains(warning), "{nothing}");
}

/// The backup is chosen by its place in the log: those behind the cut are no candidates, whatever the clock said.
#[test]
fn a_backup_behind_the_cut_is_not_chosen() {
    let product = Product::Mysql84;
    let history = story(product);
    let chain = |request: &RestoreRequest| {
        let plan = Case::of(history.clone()).restore(request).unwrap();
        let Summary::Restore { report } = plan.summary else { panic!("no restore") };
        (report.chain.last().unwrap().backup.clone(), report.window.unwrap().transactions)
    };
    let (full, third) = ("full_2025-10-02T02-00Z", "incr_2025-10-02T03-00Z_from_2025-10-02T02-00Z");
    assert_eq!(chain(&before(&gtid(product, 3))), (full.into(), Some(1)));
    // Row 47: the incremental of 3:00 was taken right behind the third transaction.
    assert_eq!(chain(&after(&gtid(product, 3))), (third.into(), Some(0)));
    assert_eq!(chain(&before(&gtid(product, 4))), (third.into(), Some(0)));
    // The fourth ends a file; in between no transaction stands.
    assert_eq!(chain(&after(&gtid(product, 4))), (third.into(), Some(1)));
}

/// Rows 45 and 46.
#[test]
fn backups_that_hold_too_much() {
    let product = Product::Mysql84;
    let history = story(product);
    let (second, stamp) = (gtid(product, 2), "2025-10-02T04-00Z");
    refused(
        &history,
        &from(stamp, after(&second)),
        &format!(
            "backup {stamp} stands at binlog.000002:500, which is behind transaction {second}: it holds that already, and more"
        ),
    );
    // What is archived no more can still be told from the backup's GTID set.
    let mut lost = history.clone();
    lost.lose_binlog(1);
    refused(
        &lost,
        &from(stamp, after(&second)),
        &format!(
            "backup {stamp} stands at binlog.000002:500, which is behind transaction {second}: it holds that already, and more"
        ),
    );
    let first = gtid(product, 1);
    refused(
        &history,
        &before(&first),
        &format!(
            "no backup stands before transaction {first} (binlog.000001:200, timeline t1); the oldest there, 2025-10-02T02-00Z, stands at binlog.000001:500"
        ),
    );
}

/// Row 41.
#[test]
fn what_is_not_in_the_archive() {
    let product = Product::Mysql84;
    let told = |history: &History, request: &RestoreRequest| match refusal(history, request) {
        PlanError::TargetNotArchived { whereabouts, .. } => whereabouts.to_string(),
        error => panic!("{error}"),
    };
    let whole = story(product);
    let beyond = "it would stand behind binlog.000003:1150, the end of the archive (timeline t1)";
    assert_eq!(told(&whole, &after(&gtid(product, 11))), beyond);
    assert_eq!(told(&whole, &position("binlog.000003:1151")), beyond);
    assert_eq!(told(&whole, &position("binlog.000004:4")), beyond);
    assert_eq!(told(&whole, &position("other.000001:4")), "no archived binlog knows of it");
    assert_eq!(told(&whole, &after("00000000-0000-4000-8000-000000000009:1")), "no archived binlog knows of it");
    let expected = "binlog.000001 (1450 bytes) would have to hold it, and does not (timeline t1)";
    assert_eq!(told(&whole, &position("binlog.000001:1451")), expected);

    let mut gone = whole.clone();
    gone.lose_binlog(1);
    let expected = "it would stand before binlog.000002, the first archived binlog (timeline t1)";
    assert_eq!(told(&gone, &after(&gtid(product, 2))), expected);
    assert_eq!(told(&gone, &position("binlog.000001:500")), expected);

    let mut gap = whole.clone();
    gap.lose_binlog(2);
    let expected = "it would stand in the gap between binlog.000001 and binlog.000003 (timeline t1)";
    assert_eq!(told(&gap, &after(&gtid(product, 6))), expected);
    assert_eq!(told(&gap, &position("binlog.000002:500")), expected);

    let mut damaged = whole.clone();
    damaged.damage_binlog(2, 1);
    let expected = "it would stand behind byte 500 of binlog.000002, up to which that can be used (timeline t1)";
    assert_eq!(told(&damaged, &after(&gtid(product, 6))), expected);
    assert_eq!(told(&damaged, &position("binlog.000002:800")), expected);
    let error = refusal(&damaged, &after(&gtid(product, 6)));
    assert!(
        matches!(&error, PlanError::TargetNotArchived { whereabouts, .. } if matches!(**whereabouts, Whereabouts::BehindGoodPart { .. }))
    );
}

/// Row 43.
#[test]
fn a_position_inside_a_transaction() {
    refused(
        &story(Product::Mariadb),
        &position("binlog.000002:600"),
        "binlog.000002:600 lies inside a transaction or an event: the nearest places to cut at are binlog.000002:500 and binlog.000002:800",
    );
}

/// Rows 49 and 50: what is asked for as everything is not cut short in silence.
#[test]
fn the_end_behind_a_gap_or_damage() {
    let mut gap = story(Product::Mysql84);
    gap.at("05:06").rotate().at("05:10").commit().at("05:15").rotate().ship().lose_binlog(4);
    let error = refusal(&gap, &end());
    let PlanError::BinlogGap { after, end: place, .. } = &error else { panic!("{error}") };
    assert_eq!((after.as_str(), place.position.to_string().as_str()), ("binlog.000003", "binlog.000003:1150"));
    // The position that is named keeps everything before the gap.
    let kept = planned(&gap, &position("binlog.000003:1150"));
    assert!(kept.contains("replay 5 transactions"), "{kept}");
    // Without a request for all of it, it is said.
    let mut case = Case::of(gap);
    case.config.pitr_round_minutes = 0;
    let told = text(&case.restore(&restore_to(Target::Latest)).unwrap());
    assert!(
        told.contains(
            "WARNING: binlogs are missing behind binlog.000003:1150: binlog.000005 and what follows is not replayed"
        ),
        "{told}"
    );

    let mut damaged = story(Product::Mysql84);
    damaged.damage_binlog(2, 2);
    let error = refusal(&damaged, &end());
    assert!(
        matches!(&error, PlanError::DamagedBinlog { end, .. } if end.position.to_string() == "binlog.000002:800"),
        "{error}"
    );
    let error = refusal(&damaged, &after_gtid(8));
    assert!(matches!(&error, PlanError::DamagedBinlog { .. }), "{error}");
    // Damage at the very end hides nothing that is archived and whole.
    let mut damaged = story(Product::Mysql84);
    damaged.damage_binlog(3, 1);
    assert!(planned(&damaged, &end()).contains("to binlog.000003:500 (timeline t1)"));
}

fn after_gtid(number: u64) -> RestoreRequest {
    after(&gtid(Product::Mysql84, number))
}

/// Row 33.
#[test]
fn a_backup_whose_coordinates_are_no_boundary_is_passed_over() {
    let change = |facts: &mut Facts| {
        let newest = facts.starts.iter_mut().max_by_key(|start| start.backup).unwrap();
        newest.boundary = false;
    };
    for request in [exact("04:41"), after_gtid(7), position("binlog.000003:500"), end()] {
        let plan = Case::of(story(Product::Mysql84)).restore_where(&request, change).unwrap();
        let told = text(&plan);
        let expected = "WARNING: backup 2025-10-02T04-00Z was passed over: binlog.000002:500 lies inside a transaction or an event";
        assert!(told.contains(expected) && told.contains("from incr_2025-10-02T03-00Z"), "{told}");
    }
    let named = from("2025-10-02T04-00Z", end());
    let error = Case::of(story(Product::Mysql84)).restore_where(&named, change).unwrap_err();
    assert!(matches!(error, PlanError::NotABoundary { .. }), "{error}");
}

/// After a reset the names begin anew: rows 40 and 42.
#[test]
fn names_that_repeat_need_a_timeline() {
    let mut history = story(Product::Mysql84);
    history.at("05:10").reset();
    history.at("05:20").full();
    history.at("05:30").commit().at("05:40").rotate().ship();
    let place = position("binlog.000001:500");
    refused(
        &history,
        &place,
        "position binlog.000001:500 is in 2 timelines: t1: binlog.000001 to binlog.000003, 2025-10-02 00:00:00 UTC to 2025-10-02 04:55:00 UTC; t2: binlog.000001 to binlog.000001, 2025-10-02 05:10:00 UTC to 2025-10-02 05:40:00 UTC",
    );
    assert!(planned(&history, &on("t1", place.clone())).contains("(timeline t1)"));
    assert!(planned(&history, &on("t2", place.clone())).contains("(timeline t2)"));
    // A named backup tells too.
    assert!(planned(&history, &from("2025-10-02T05-20Z", place.clone())).contains("(timeline t2)"));
    let error = refusal(&history, &on("t7", place));
    assert!(matches!(&error, PlanError::UnknownTimeline { known, .. } if known.len() == 2), "{error}");
    // The end of the archive is that of the newest backup's timeline, unless another one is named.
    assert!(planned(&history, &end()).contains("(timeline t2)"));
    assert!(planned(&history, &on("t1", end())).contains("(timeline t1)"));
    assert!(matches!(refusal(&history, &on("t2", exact("04:41"))), PlanError::NoBackupInTimeline { .. }));
}

/// Rows 11 and 38.
#[test]
fn the_end_of_what_no_backup_leads_to() {
    let mut history = story(Product::Mysql84);
    history.at("05:10").reset();
    history.at("05:30").commit().at("05:40").rotate().ship();
    refused(&history, &end(), "no backup that could be used leads to the end of the archive in timeline t2");
    assert!(planned(&history, &on("t1", end())).contains("(timeline t1)"));
    let mut fresh = History::new(Product::Mysql84);
    fresh.at("02:01").full();
    let told = planned(&fresh, &end());
    assert!(
        told.contains("the archive holds no binlogs after backup 2025-10-02T02-01Z: it is restored as it is"),
        "{told}"
    );
}

/// Two servers that were live at the same time, in one store: rows 39 and 51.
#[test]
fn servers_that_were_live_at_once_need_a_timeline() {
    let mut one = History::new(Product::Mysql84);
    one.at("02:00").full();
    one.at("02:10").commit().at("03:00").rotate().ship();
    let mut other = History::new(Product::Mysql84);
    other.at("01:00").reset();
    other.at("02:05").full();
    other.at("02:15").commit().at("03:10").rotate().ship();
    let (first, second) = (Case::of(one), Case::of(other));
    let mut case = first;
    let entries = case.catalog.backups.iter().chain(&second.catalog.backups).map(|backup| backup.entry.clone());
    let binlogs: Vec<BinlogEntry> = case.catalog.binlogs.iter().chain(&second.catalog.binlogs).cloned().collect();
    let both = dbbak_core::catalog::Catalog::from_parts(
        case.catalog.store.clone(),
        case.catalog.root.clone(),
        entries.collect(),
        &[],
        binlogs,
        Default::default(),
    );
    case.catalog = both;
    case.now = at("04:00");
    let chosen = |request: &RestoreRequest| {
        let aim = resolve_aim(&case.config, &case.catalog, &case.facts, case.now, request)?;
        let goal = aim.goal();
        let mut facts = case.history.restore_facts(&case.catalog, goal.as_ref());
        let more = second.history.restore_facts(&case.catalog, goal.as_ref());
        facts.cuts.retain(|cut| cut.timeline == "t1");
        facts.cuts.extend(more.cuts.into_iter().filter(|cut| cut.timeline == "t2"));
        let selection = select(&case.catalog, request, &aim, &facts)?;
        Ok::<_, PlanError>(selection.window.map(|window| window.timeline))
    };
    for request in [exact("02:30"), end(), restore_to(Target::Latest)] {
        let error = chosen(&request).unwrap_err();
        assert!(matches!(&error, PlanError::AmbiguousTimeline { candidates, .. } if candidates.len() == 2), "{error}");
        for timeline in ["t1", "t2"] {
            assert_eq!(chosen(&on(timeline, request.clone())), Ok(Some(timeline.to_owned())));
        }
    }
    // Only one of them had a backup by then.
    assert_eq!(chosen(&exact("02:03")), Ok(Some("t1".into())));
}

/// Row 44 is in `binlog::cuts`; here is what the planner makes of it.
#[test]
fn a_gtid_that_stands_twice_is_refused() {
    let change = |facts: &mut Facts| {
        let fact = &mut facts.cuts[0];
        let first = fact.cut.take().unwrap().at;
        fact.flaw = Some(dbbak_core::facts::CutFlaw::Repeated { first, again: "binlog.000002:9000".parse().unwrap() });
    };
    let error = Case::of(story(Product::Mariadb)).restore_where(&before("0-1-7"), change).unwrap_err();
    assert_eq!(
        error.to_string(),
        "transaction 0-1-7 stands in the log twice, at binlog.000002:800 and at binlog.000002:9000"
    );
    // One that is to be left out likewise, where both are in the window; one behind its end is not meant.
    let skipping = |again: &str| {
        let again = again.parse().unwrap();
        let (skip, goal) = ("0-1-7".parse().unwrap(), Goal::Before("0-1-7".parse().unwrap()));
        let request = RestoreRequest { skip: vec![skip], ..exact("04:41") };
        let first = "binlog.000002:800".parse().unwrap();
        let flaw = Some(dbbak_core::facts::CutFlaw::Repeated { first, again });
        let fact = dbbak_core::facts::CutFact { timeline: "t1".into(), goal, cut: None, flaw };
        Case::of(story(Product::Mariadb)).restore_where(&request, |facts| facts.cuts.push(fact))
    };
    let error = skipping("binlog.000002:9000").unwrap_err();
    assert!(matches!(&error, PlanError::GtidRepeated { again, .. } if again.position == 9000), "{error}");
}

#[test]
fn times_that_go_back_are_a_reason_line() {
    let case = Case::of(story(Product::Mariadb));
    let mut facts = case.history.restore_facts(&case.catalog, None);
    let request = end();
    let aim = resolve_aim(&case.config, &case.catalog, &facts, case.now, &request).unwrap();
    let (timeline, place) = select(&case.catalog, &request, &aim, &facts).unwrap().ends_at(&case.catalog).unwrap();
    let mut edges = case.history.edges(&case.catalog, &timeline, &place, None);
    let time = |text: &str| text.parse().unwrap();
    edges.jump_count = 7;
    edges.jumps.push(TimeJump {
        at: "binlog.000003:500".parse().unwrap(),
        gtid: Some("0-1-8".into()),
        from: time("2025-10-02 05:40:00"),
        to: time("2025-10-02 04:40:00"),
    });
    facts.edges.push(edges);
    let plan = dbbak_core::plan::plan_restore(&case.config, &case.catalog, &facts, case.now, &request).unwrap();
    let expected = "because: times go back 7 times in the window: at binlog.000003:500 (0-1-8) from 2025-10-02 05:40:00 to 2025-10-02 04:40:00, ... (a clock that was set";
    assert!(text(&plan).contains(expected), "{}", text(&plan));
}
