//! Golden plans that take a mark off, and why there is none.

use super::{Case, story, text};
use dbbak_core::{
    model::Stamp,
    plan::{Plan, PlanError, UnmarkError, UnmarkRequest, plan_unmark},
    store::LockScope,
};
use dbbak_testkit::history::{Product, SCRATCH};
use insta::assert_snapshot;
use std::path::Path;

/// The story, with a mark on one of its backups: 0 is the full.
fn marked(product: Product, place: usize) -> (Case, Stamp) {
    let mut case = Case::of(story(product));
    case.facts.stored = case.history.restore_facts(&case.catalog, None).stored;
    let ts = case.catalog.backups[place].ts();
    case.catalog.pass_over(ts, "a trial could not apply it");
    (case, ts)
}

fn unmark(case: &Case, backup: Stamp) -> Result<Plan, PlanError> {
    let request = UnmarkRequest { backup, note: Some("a broken tool".into()) };
    plan_unmark(&case.config, &case.catalog, &case.facts, case.now, &request)
}

#[test]
fn taking_a_mark_off() {
    for (name, product, place) in [
        ("unmark_incremental_mariadb", Product::Mariadb, 2),
        ("unmark_incremental_xtrabackup", Product::Mysql84, 1),
        ("unmark_full_xtrabackup", Product::Mysql84, 0),
    ] {
        let (case, ts) = marked(product, place);
        let plan = unmark(&case, ts).unwrap();
        assert_eq!(plan.locks, [LockScope::Backups]);
        assert_snapshot!(name, text(&plan));
    }
}

/// The server need not run, and what it says now is of no matter.
#[test]
fn no_server_is_asked() {
    let (mut case, ts) = marked(Product::Mariadb, 2);
    case.facts.server = None;
    assert_eq!(unmark(&case, ts).unwrap().steps.len(), unmark(&marked(Product::Mariadb, 2).0, ts).unwrap().steps.len());
}

#[test]
fn a_mark_that_cannot_be_tried_stays() {
    let (case, ts) = marked(Product::Mysql84, 1);
    let [full, _, last] = [0, 1, 2].map(|place| case.catalog.backups[place].ts());
    let error = |case: &Case, backup| unmark(case, backup).unwrap_err();
    assert_eq!(error(&case, full), UnmarkError::NotMarked { backup: full }.into());
    let reason = "a trial could not apply it".to_owned();
    assert_eq!(error(&case, last), UnmarkError::OnMarked { backup: last, link: ts, reason }.into());
    let unknown = "2020-01-01T00-00Z".parse().unwrap();
    assert!(matches!(error(&case, unknown), PlanError::UnknownBackup { .. }));

    let not_tried = |change: fn(&mut Case), said: &str| {
        let (mut case, ts) = marked(Product::Mysql84, 1);
        change(&mut case);
        let error = error(&case, ts);
        assert!(matches!(error, PlanError::Unmark(UnmarkError::NotTried { .. })), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    };
    not_tried(|case| case.facts.filesystems.get_mut(Path::new(SCRATCH)).unwrap().free = 19_999, "20000 are needed");
    not_tried(|case| case.facts.stored.clear(), "could not be looked at");
    not_tried(
        |case| case.catalog.backups[0].entry.engine = Some("clone".into()),
        "a full of the engine clone is not prepared",
    );
    let (mut case, ts) = marked(Product::Mysql84, 1);
    case.facts.tools = Product::Percona80.tools();
    assert!(matches!(error(&case, ts), PlanError::Mismatch { .. }));
    case.facts.tools.clear();
    assert!(matches!(error(&case, ts), PlanError::Tool { .. }));
}
