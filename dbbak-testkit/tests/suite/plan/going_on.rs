//! Replays that died: one goes on where it is proven how far it came, and is redone wherever it is not.

use super::{
    exact, restore_to,
    resume::{Death, Stage, dead_in},
};
use dbbak_core::{
    facts::JournalFact,
    halfway::{DeadReplay, DonePlace, Halfway},
    model::{Gtid, Target},
    plan::{ReplayWay, RestoreRequest, Step},
};
use dbbak_testkit::history::Product;
use insta::assert_snapshot;

/// A work directory in which the replay died, and what is known of that.
fn half_replayed(stage: &Stage, change: &dyn Fn(&mut JournalFact, &mut DeadReplay)) -> Box<JournalFact> {
    let mut fact = dead_in(stage, "replay", Death::InItsWork).fact().unwrap();
    let plan = stage.plan(None).unwrap();
    let unpack = plan.steps.iter().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack),
        _ => None,
    });
    let (_, stop) = unpack.unwrap().span_of(0);
    let end = stop.min(unpack.unwrap().files[0].size);
    let place = DonePlace { file: 0, end, transactions: Some(1), half_done: None, again: None };
    let last: Gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:7".parse().unwrap();
    let mut dead = DeadReplay {
        halfway: Some(Halfway::new(fact.boot.clone(), None)),
        last: Some(last),
        flaw: None,
        place: Some(place),
    };
    change(&mut fact, &mut dead);
    fact.replay = Some(dead);
    fact
}

/// Row 59.
#[test]
fn a_half_done_replay_goes_on_behind_what_was_logged() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let going_on = |change: &dyn Fn(&mut JournalFact, &mut DeadReplay)| {
        let plan = stage.plan(Some(half_replayed(&stage, change))).unwrap();
        let resume = plan.journal.as_ref().unwrap().resume.as_ref().unwrap();
        let going_on = plan.steps.iter().find_map(|step| match step {
            Step::Replay(replay) => replay.going_on.clone(),
            _ => None,
        });
        assert_eq!(resume.restart, going_on.is_none());
        (plan.text(None).to_string(), going_on)
    };
    let (shown, place) = going_on(&|_, _| {});
    assert_snapshot!("resume_half_replayed_goes_on", shown);
    assert_eq!(place.unwrap().applied, Some(1));
    // It had logged nothing yet.
    let (_, place) = going_on(&|_, dead| (dead.last, dead.place) = (None, None));
    let place = place.unwrap();
    assert_eq!((place.after, place.applied), (None, Some(0)));
}

/// Row 60: whatever is not known, or not as a death leaves it, is no reason to go on.
#[test]
fn a_half_done_replay_is_redone_where_it_is_not_proven() {
    let stage = Stage::of(Product::Mysql84, exact("04:41"), true);
    let redone = |change: &dyn Fn(&mut JournalFact, &mut DeadReplay)| {
        let plan = stage.plan(Some(half_replayed(&stage, change))).unwrap();
        assert!(plan.journal.as_ref().unwrap().resume.as_ref().unwrap().restart);
        let goes_on = |step: &Step| match step {
            Step::Replay(replay) => replay.going_on.is_some(),
            Step::UnpackBinlogs(unpack) => unpack.done_until.is_some(),
            _ => false,
        };
        assert!(!plan.steps.iter().any(goes_on));
        let why = plan.reasons.iter().find_map(|reason| reason.strip_prefix("begins anew in it: "));
        why.unwrap().trim_start_matches("it died in the replay, which cannot go on: ").to_owned()
    };
    let reasons = [
        redone(&|fact, _| fact.boot = Some("another".into())),
        redone(&|_, dead| dead.halfway.as_mut().unwrap().boot = None),
        redone(&|fact, _| fact.journal.as_mut().unwrap().failed = Some(("no room".into(), false))),
        redone(&|_, dead| dead.halfway = None),
        redone(&|_, dead| {
            dead.halfway.as_mut().unwrap().hindrance = Some("there is an XA transaction at a.1:4".into())
        }),
        redone(&|_, dead| dead.flaw = Some("there is no log before replay.000003".into())),
        redone(&|_, dead| dead.place = None),
        redone(&|_, dead| dead.place.as_mut().unwrap().again = Some("mysql-bin.000004:900".into())),
        redone(&|_, dead| dead.place.as_mut().unwrap().half_done = Some("ALTER at mysql-bin.000003:700".into())),
        redone(&|fact, _| {
            let identity = &mut fact.journal.as_mut().unwrap().header.identity;
            identity.insert("server".into(), "another".into());
        }),
        // What came before the replay is not finished: it is not a replay of these data.
        redone(&|fact, _| drop(fact.journal.as_mut().unwrap().done.remove(1))),
    ];
    assert_snapshot!(reasons.join("\n"));
    let begins_anew = |stage: &Stage| {
        let plan = stage.plan(Some(half_replayed(stage, &|_, _| {}))).unwrap();
        plan.journal.as_ref().unwrap().resume.as_ref().unwrap().restart.then(|| plan.reasons.join("\n"))
    };
    assert_eq!(begins_anew(&Stage::of(Product::Mariadb, restore_to(Target::End), true)), None);
    let pipe = RestoreRequest { replay: ReplayWay::Pipe, ..exact("04:41") };
    let why = begins_anew(&Stage::of(Product::Mysql84, pipe, true)).unwrap();
    assert!(why.contains("it went through a pipe"), "{why}");
    // No GTIDs.
    let why = begins_anew(&Stage::of(Product::Mysql57, restore_to(Target::End), true)).unwrap();
    assert!(why.contains("it went through a pipe") || why.contains("the backup recorded no GTIDs"), "{why}");
}
