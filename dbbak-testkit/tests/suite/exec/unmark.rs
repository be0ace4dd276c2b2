//! A mark that is taken off through the library: the plan is bound to the store's state, and what fails leaves the mark.

use super::{
    Trouble, Watcher,
    backup::{Bench, bench, bench_on, prepares, whole},
};
use dbbak_core::{
    catalog::Catalog,
    clock::Clock as _,
    execute::ExitStatus,
    plan::{Plan, Step, UnmarkRequest, check, plan_unmark},
    record::record_unusable,
    run::{self, Command, Finished, RunError},
    store::{LockRequest, layout, local::LocalParts},
    survey,
};
use dbbak_testkit::{
    fake_executor::{FakeExecutor, Script},
    faulty::{Fault, FaultyDisk, Op},
};
use rustix::io::Errno;
use std::sync::Arc;

/// A store with one full, which is marked.
fn marked() -> Bench {
    let bench = bench();
    bench.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
    mark(&bench, "it was said");
    bench
}

pub(super) fn mark(bench: &Bench, said: &str) {
    let id = Catalog::load(&bench.store).unwrap().backups[0].id;
    let session = run::lock(&bench.store, Command::Backup, &LockRequest::new("mark")).unwrap();
    record_unusable(&*session, &id, said, bench.clock.now()).unwrap();
    session.release().unwrap();
}

pub(super) fn plan(bench: &Bench) -> Plan {
    let catalog = Catalog::load(&bench.store).unwrap();
    let mut facts = bench.facts(&catalog);
    let chain: Vec<_> = catalog.backups.iter().collect();
    survey::stored_chain(&mut facts, &bench.store, &chain).unwrap();
    let request = UnmarkRequest { backup: chain[0].ts(), note: Some("a broken tool".into()) };
    let plan = plan_unmark(&bench.config, &catalog, &facts, bench.clock.now(), &request).unwrap();
    assert_eq!(check(&plan), []);
    plan
}

fn carry_out(bench: &Bench, plan: &Plan, executor: &FakeExecutor) -> Result<Finished, RunError> {
    bench.carry_out(Command::Unmark, plan, executor, &Watcher::new(Trouble::Never))
}

fn said(bench: &Bench) -> Option<String> {
    Catalog::load(&bench.store).unwrap().backups[0].entry.unusable.clone()
}

#[test]
fn a_plan_that_takes_a_mark_off_is_carried_out_once() {
    let bench = marked();
    // What was shown is what runs, also after a way through JSON.
    let plan: Plan = serde_json::from_str(&serde_json::to_string(&plan(&bench)).unwrap()).unwrap();
    carry_out(&bench, &plan, &FakeExecutor::new([prepares("full-prepared")])).unwrap();
    let catalog = Catalog::load(&bench.store).unwrap();
    let entry = &catalog.backups[0].entry;
    assert_eq!((entry.unusable.as_deref(), entry.marks.len()), (None, 2));
    assert_eq!(entry.marks[0].reason, "it was said");
    assert_eq!(entry.marks[1].note.as_deref(), Some("a broken tool"));
    assert!(entry.marks[1].by.as_deref().is_some_and(|by| by.starts_with("uid ")), "{entry:?}");
    assert!(catalog.is_whole(catalog.backups[0].ts()));
    assert_eq!(bench.names_in("scratch"), [""; 0]);

    let again = FakeExecutor::new([prepares("full-prepared")]);
    let error = carry_out(&bench, &plan, &again).unwrap_err();
    assert!(matches!(&error, RunError::Outdated { key } if *key == layout::manifest()), "{error:?}");
    assert!(again.launched().is_empty(), "something was begun");
    // A mark that came since is another one, whatever the plan says of the store.
    mark(&bench, "and again");
    let mut forged = plan.clone();
    let now = Catalog::load(&bench.store).unwrap().manifest.map(|version| version.0);
    forged.made_from.iter_mut().for_each(|from| from.content = now);
    carry_out(&bench, &forged, &FakeExecutor::new([prepares("full-prepared")])).unwrap_err();
    assert_eq!(said(&bench).as_deref(), Some("and again"));
}

#[test]
fn a_plan_is_refused_where_the_store_has_moved() {
    let bench = marked();
    let plan = plan(&bench);
    bench.clock.advance(std::time::Duration::from_secs(120));
    bench.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
    let executor = FakeExecutor::new([prepares("full-prepared")]);
    let error = carry_out(&bench, &plan, &executor).unwrap_err();
    assert!(matches!(error, RunError::Outdated { .. }), "{error:?}");
    assert!(executor.launched().is_empty() && said(&bench).is_some());
}

#[test]
fn a_tool_that_fails_leaves_the_mark() {
    let scripts = [
        Script::success().status([ExitStatus::Code(1)]).says("[00] FATAL ERROR: no"),
        Script::not_started(),
        // Success in word, without what it must leave.
        Script::success().says("completed OK!"),
    ];
    for script in scripts {
        let bench = marked();
        carry_out(&bench, &plan(&bench), &FakeExecutor::new([script])).unwrap_err();
        assert_eq!(said(&bench).as_deref(), Some("it was said"));
        assert_eq!(bench.names_in("scratch"), [""; 0]);
    }
}

/// A plan that somebody edited takes no mark off what was not tried.
#[test]
fn what_was_not_tried_keeps_its_mark() {
    let bench = marked();
    type Change = fn(&mut Plan);
    let changes: [(&str, Change); 4] = [
        ("without the trial", |plan| drop(plan.steps.drain(..plan.steps.len() - 1))),
        ("before the trial", |plan| plan.steps.rotate_right(1)),
        ("of another backup", |plan| {
            let Some(Step::TakeMarkOff(mark)) = plan.steps.last_mut() else { panic!("no mark is taken off") };
            mark.backup = "full_2020-01-01T00-00Z".into();
        }),
        ("bound to nothing", |plan| plan.made_from.clear()),
    ];
    for (what, change) in changes {
        let mut plan = plan(&bench);
        change(&mut plan);
        let executor = FakeExecutor::new([prepares("full-prepared")]);
        let error = carry_out(&bench, &plan, &executor).unwrap_err();
        assert!(matches!(error, RunError::Broken(_)), "{what}: {error:?}");
        assert!(executor.launched().is_empty() && said(&bench).is_some(), "{what}");
    }
}

/// The facts are written before the list, which names their digest: a second failure must not cost the generation that it names.
#[test]
fn failures_behind_the_facts_leave_those_that_the_list_names() {
    let disk = FaultyDisk::new();
    let bench = bench_on(LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() });
    bench.run(&FakeExecutor::new(whole()), &Watcher::new(Trouble::Never)).unwrap();
    mark(&bench, "it was said");
    let plan = plan(&bench);
    for _ in 0..3 {
        disk.always(Op::Rename, "store/manifest.json", Fault::Refused(Errno::NOSPC));
        carry_out(&bench, &plan, &FakeExecutor::new([prepares("full-prepared")])).unwrap_err();
        assert!(disk.happened() > 0);
        disk.heal();
        assert_eq!(said(&bench).as_deref(), Some("it was said"));
        let catalog = Catalog::load(&bench.store).unwrap();
        assert_eq!((catalog.lost_backups.len(), catalog.losses().len()), (0, 0));
        // What is written the next time is something else.
        bench.clock.advance(std::time::Duration::from_secs(5));
    }
    carry_out(&bench, &plan, &FakeExecutor::new([prepares("full-prepared")])).unwrap();
    assert_eq!(said(&bench), None);
}
