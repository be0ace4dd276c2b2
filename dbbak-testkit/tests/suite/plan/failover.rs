//! What a planner makes of a failover: two segments where the same state is proven, and a refusal everywhere else.

use super::{Case, exact, restore_to, story, text};
use dbbak_core::{
    catalog::timeline_report,
    facts::{CrossingFact, CrossingPlace, CutFact, CutPlace, Facts},
    model::{Goal, Gtid, LogTime, Target},
    plan::{Plan, PlanError, RestoreRequest, Step, Summary, UnpackBinlogs, check},
    store::{BinlogEntry, BinlogSource, KeyPart},
};
use dbbak_testkit::history::{Product, at};

const NEW: &str = "00000000-0000-4000-8000-000000000002";

/// A server whose binlogs reach up to 5:10, and its replica, which took over; its log was archived from 5:10 to 5:50.
fn case() -> Case {
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
    // An equal name, of another server.
    let entry = BinlogEntry {
        stored_as: KeyPart::new("binlog_replica.gz").unwrap(),
        timeline: Some("t2".into()),
        source: Some(server(2)),
        head: None,
        gtids_before: last.gtids_after().map(|set| set.to_string()),
        gtids_added: Some(format!("{NEW}:1-4")),
        transactions: Some(4),
        size: 2000,
        first_event_time: LogTime::from_utc(at("05:09")),
        reaches: Some(LogTime::from_utc(at("05:50"))),
        newest_commit_time: Some(LogTime::from_utc(at("05:45"))),
        ..last
    };
    case.catalog.binlogs.push(entry);
    case
}

fn old_last(case: &Case) -> &BinlogEntry {
    case.catalog.binlogs.iter().rfind(|entry| entry.timeline.as_deref() != Some("t2")).unwrap()
}

fn crossing(case: &Case, left_behind: Option<&str>) -> CrossingFact {
    let last = old_last(case);
    // With a loss, the place is before the file's only transaction.
    let (position, before) = if left_behind.is_some() { (197, 0) } else { (last.size, last.transactions.unwrap()) };
    CrossingFact {
        from: "t1".into(),
        last: last.name.clone(),
        to: "t2".into(),
        first: last.name.clone(),
        place: Ok(CrossingPlace {
            leave: format!("{}:{position}", last.name).parse().unwrap(),
            leave_before: before,
            leave_until: position,
            enter: format!("{}:500", last.name).parse().unwrap(),
            enter_before: 1,
            newest: Some(LogTime::from_utc(at("04:50"))),
            gtids: last.gtids_after().unwrap().to_string(),
            left_behind: left_behind.map(str::to_owned),
            promoted: true,
        }),
    }
}

fn planned(case: &Case, request: &RestoreRequest, crossing: CrossingFact) -> Result<Plan, PlanError> {
    case.restore_where(request, |facts| facts.crossings.push(crossing))
}

fn on(timeline: &str, request: RestoreRequest) -> RestoreRequest {
    RestoreRequest { timeline: Some(timeline.into()), ..request }
}

fn unpacked(plan: &mut Plan) -> &mut UnpackBinlogs {
    let found = plan.steps.iter_mut().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack),
        _ => None,
    });
    found.unwrap()
}

/// Row 24b.
#[test]
fn a_target_behind_a_failover_takes_both_servers_binlogs() {
    let case = case();
    let mut plan = planned(&case, &exact("05:40"), crossing(&case, None)).unwrap();
    let told = text(&plan);
    let last = &old_last(&case).name;
    assert!(told.contains("timeline t1: binlog.000002:"), "{told}");
    assert!(told.contains(&format!("timeline t2: {last}:500 to {last}:2000 in 1 binlog")), "{told}");
    let unpack = unpacked(&mut plan);
    let count = unpack.files.len();
    let (left, entered) = (&unpack.copies[count - 2], &unpack.copies[count - 1]);
    assert_eq!((left.leave, left.enter, left.trim), (Some(old_last(&case).size), None, true));
    assert_eq!((entered.leave, entered.enter, entered.trim), (None, Some(500), false));
    // What the files hold, without what stands before the coordinates and before the place that is entered.
    let held: u64 = unpack.files.iter().map(|file| file.transactions.unwrap()).sum();
    assert_eq!(unpack.transactions, Some(held - 1 - 1), "{:?}", unpack.files);
    let Summary::Restore { report } = &plan.summary else { panic!() };
    let window = report.window.as_ref().unwrap();
    assert_eq!(window.segments.len(), 2);
    assert_eq!(window.segments[1].gtids_before, old_last(&case).gtids_after().map(|set| set.to_string()));
    // The windows say the same.
    let report = timeline_report(&case.catalog, &[crossing(&case, None)], case.now);
    let window = report.windows.iter().find(|window| window.timeline == "t2").unwrap();
    assert_eq!((window.from, window.until), (at("04:50:01"), at("05:50")));
    assert!(planned(&case, &exact("05:50"), crossing(&case, None)).is_ok());
    let beyond = planned(&case, &exact("05:50:01"), crossing(&case, None)).unwrap_err();
    let PlanError::TargetBeyondBinlogs { latest, timeline, .. } = &beyond else { panic!("{beyond}") };
    assert_eq!((*latest, timeline.as_str()), (Some(at("05:50")), "t2"));
}

/// A log that only follows says nothing of a moment by its end: it may lag.
#[test]
fn a_replica_that_did_not_take_over_reaches_as_far_as_its_transactions() {
    let case = case();
    let mut fact = crossing(&case, None);
    fact.place.as_mut().unwrap().promoted = false;
    assert!(planned(&case, &exact("05:45"), fact.clone()).is_ok());
    let error = planned(&case, &exact("05:46"), fact).unwrap_err();
    assert!(matches!(&error, PlanError::TargetBeyondBinlogs { latest, .. } if *latest == Some(at("05:45"))), "{error}");
}

/// Row 24c.
#[test]
fn a_moment_that_both_servers_have_is_ambiguous() {
    let case = case();
    let lost = crossing(&case, Some("00000000-0000-4000-8000-000000000001:12"));
    let error = planned(&case, &exact("05:08"), lost.clone()).unwrap_err();
    assert!(matches!(&error, PlanError::AmbiguousTimeline { candidates, .. } if candidates.len() == 2), "{error}");
    let error = planned(&case, &restore_to(Target::End), lost.clone()).unwrap_err();
    assert!(matches!(&error, PlanError::AmbiguousTimeline { candidates, .. } if candidates.len() == 2), "{error}");
    let old = planned(&case, &on("t1", exact("05:08")), lost.clone()).unwrap();
    assert!(!text(&old).contains("timeline t2"), "{}", text(&old));
    let new = planned(&case, &on("t2", exact("05:08")), lost.clone()).unwrap();
    assert!(
        text(&new).contains("without 00000000-0000-4000-8000-000000000001:12, which timeline t2 never had"),
        "{}",
        text(&new)
    );
    // Before the place there is one history.
    assert!(planned(&case, &exact("04:45"), lost.clone()).is_ok());
    // Without a loss the end is the other timeline's.
    let end = planned(&case, &restore_to(Target::End), crossing(&case, None)).unwrap();
    assert!(text(&end).contains("(timeline t2)"), "{}", text(&end));
}

/// Row 24d.
#[test]
fn a_moment_before_the_place_is_the_first_timelines() {
    let case = case();
    let error = planned(&case, &on("t2", exact("04:25")), crossing(&case, None)).unwrap_err();
    let PlanError::CannotCross { from, to, reason, .. } = &error else { panic!("{error}") };
    assert_eq!((from.as_str(), to.as_str()), ("t1", "t2"));
    assert!(reason.contains("before the place where that is left"), "{reason}");
    let mut unproven = crossing(&case, None);
    unproven.place = Err("at no place both logs hold the very same transactions".into());
    let error = planned(&case, &on("t2", exact("05:40")), unproven).unwrap_err();
    assert!(matches!(&error, PlanError::CannotCross { reason, .. } if reason.starts_with("at no place")), "{error}");
}

/// Where a transaction of the new server stands.
fn found(facts: &mut Facts, case: &Case, goal: &Goal) {
    let at = |position: u64| format!("{}:{position}", old_last(case).name).parse().unwrap();
    let cut = CutPlace { at: at(800), transactions_before: 2, until: at(800) };
    facts.cuts.retain(|fact| fact.timeline != "t2");
    facts.cuts.push(CutFact { timeline: "t2".into(), goal: goal.clone(), cut: Some(cut), flaw: None });
}

/// Rows 46a and 46b.
#[test]
fn a_transaction_of_the_new_server() {
    let case = case();
    let goal = Goal::After(format!("{NEW}:1").parse::<Gtid>().unwrap());
    let request = restore_to(Target::Cut(goal.clone()));
    let with = |fact: CrossingFact| {
        case.restore_where(&request, |facts| {
            found(facts, &case, &goal);
            facts.crossings.push(fact);
        })
    };
    let mut plan = with(crossing(&case, None)).unwrap();
    assert_eq!(check(&plan), []);
    assert_eq!(
        (unpacked(&mut plan).stop, unpacked(&mut plan).copies.len()),
        (Some(800), unpacked(&mut plan).files.len())
    );
    let mut unproven = crossing(&case, None);
    unproven.place = Err("nothing proves it".into());
    let error = with(unproven).unwrap_err();
    assert!(matches!(&error, PlanError::CannotCross { reason, .. } if reason == "nothing proves it"), "{error}");
    // The backups stand behind the place.
    let mut early = crossing(&case, Some("00000000-0000-4000-8000-000000000001:2-12"));
    let place = early.place.as_mut().unwrap();
    place.leave = "binlog.000001:4".parse().unwrap();
    place.leave_until = 100;
    let error = with(early).unwrap_err();
    assert!(
        matches!(&error, PlanError::CannotCross { reason, .. } if reason.contains("the other one never had")),
        "{error}"
    );
    // A backup whose own set says something else.
    let mut other = crossing(&case, None);
    other.place.as_mut().unwrap().gtids = "00000000-0000-4000-8000-000000000009:1".into();
    let error = with(other).unwrap_err();
    assert!(matches!(&error, PlanError::CannotCross { reason, .. } if reason.contains("is not within")), "{error}");
}

type Change = fn(&mut Plan);

/// A plan that goes over wrongly never leaves the planner.
#[test]
fn rule_5_both_segments_meet_where_it_was_proven() {
    let case = case();
    let good = planned(&case, &exact("05:40"), crossing(&case, None)).unwrap();
    assert_eq!(check(&good), []);
    let changes: [(&str, Change); 8] = [
        ("entered elsewhere", |plan| unpacked(plan).copies.last_mut().unwrap().enter = Some(300)),
        ("entered at its start", |plan| unpacked(plan).copies.last_mut().unwrap().enter = None),
        ("left at its end", |plan| unpacked(plan).copies.iter_mut().for_each(|copy| copy.leave = None)),
        ("a copy twice", |plan| {
            let first = unpacked(plan).copies[0].name.clone();
            unpacked(plan).copies[1].name = first;
        }),
        ("not copied", |plan| unpacked(plan).copies.clear()),
        ("another timeline's file", |plan| unpacked(plan).files[0].timeline = Some("t2".into())),
        ("a file of the first left out", |plan| {
            unpacked(plan).files.remove(1);
            unpacked(plan).copies.remove(1);
        }),
        ("a name that the copy before goes on to", |plan| unpacked(plan).copies[0].trim = false),
    ];
    for (what, change) in changes {
        let mut plan = good.clone();
        change(&mut plan);
        assert!(check(&plan).iter().any(|violation| violation.rule == 5), "{what}: {:?}", check(&plan));
    }
}
