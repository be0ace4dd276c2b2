//! Planted bugs: the oracle must notice each.

use super::{Event, answer, asks, event, moments, products, told};
use crate::props::oracle::{Ask, judge};
use dbbak_core::plan::{Plan, PlanError, Step, Summary, UnpackBinlogs};
use dbbak_testkit::history::{History, Product, ROTATE, TRANSACTION};
use proptest::{prelude::*, test_runner::TestRunner};

/// A planner with a bug: it may spoil an answer.
type Bug = fn(&History, Ask, &mut Result<Plan, PlanError>);

fn window(plan: &mut Plan) -> Option<&mut UnpackBinlogs> {
    plan.steps.iter_mut().find_map(|step| match step {
        Step::UnpackBinlogs(unpack) => Some(unpack),
        _ => None,
    })
}

const BUGS: [(&str, Bug); 13] = [
    ("the cut is a transaction too early", |_, _, answer| {
        let Ok(plan) = answer else { return };
        if let Some(window) = window(plan) {
            let end = window.files.last().map_or(0, |file| file.good_bytes());
            let rotate = if window.stop.is_none() { ROTATE } else { 0 };
            window.stop = Some((window.stop.unwrap_or(end) - rotate).saturating_sub(TRANSACTION));
            window.transactions = None;
        }
    }),
    ("the cut is a transaction too late", |_, _, answer| {
        let Ok(plan) = answer else { return };
        if let Some(window) = window(plan) {
            window.stop = window.stop.map(|stop| stop + TRANSACTION);
            window.transactions = None;
        }
    }),
    ("a replay from the start of the file", |_, _, answer| {
        let Ok(plan) = answer else { return };
        if let Some(window) = window(plan) {
            window.start = 0;
            window.transactions = None;
        }
    }),
    ("a link of the chain is skipped", |_, _, answer| {
        let Ok(plan) = answer else { return };
        let Summary::Restore { report } = &mut plan.summary else { return };
        if report.chain.len() > 2 {
            report.chain.remove(1);
        }
    }),
    ("a binlog of the window is skipped", |_, _, answer| {
        let Ok(plan) = answer else { return };
        if let Some(window) = window(plan).filter(|window| window.files.len() > 2) {
            window.files.remove(1);
            window.transactions = None;
        }
    }),
    ("the file of that name of another timeline", |history, _, answer| {
        let Ok(plan) = answer else { return };
        let Some(window) = window(plan) else { return };
        for file in &mut window.files {
            let other = history.index().into_iter().find(|one| one.name == file.name && one.head != file.head);
            *file = other.unwrap_or_else(|| file.clone());
        }
        window.transactions = None;
    }),
    ("refused without need", |_, ask, answer| {
        if let Ask::Exact(target) = ask {
            *answer = Err(PlanError::NoFullBefore { target, oldest: None });
        }
    }),
    ("a latest moment that is not reachable", |history, _, answer| {
        if let Err(PlanError::TargetBeyondBinlogs { latest, .. }) = answer {
            *latest = Some(history.now + chrono::TimeDelta::minutes(10));
        }
    }),
    ("--gtid leaves its own transaction out", |history, ask, given| {
        if let Ask::Gtid { file, place, included: true } = ask {
            *given = answer(history, Ask::Gtid { file, place, included: false });
        }
    }),
    ("--before-gtid takes its transaction in", |history, ask, given| {
        if let Ask::Gtid { file, place, included: false } = ask {
            *given = answer(history, Ask::Gtid { file, place, included: true });
        }
    }),
    ("a backup behind the transaction is taken as it is", |history, ask, given| {
        if let (Ask::Gtid { .. }, Ok(_)) = (ask, &given) {
            let last = history.backups.iter().rev().find(|backup| !backup.lost).map(|backup| backup.id.ts);
            *given = answer(history, Ask::Backup(last.expect("a plan has a backup")));
        }
    }),
    ("a position takes the newest file of its name", |history, ask, given| {
        if let Ask::Position { file, position, named: true } = ask {
            let name = &history.files[file].name;
            let newest = history.files.iter().rposition(|log| log.name == *name).unwrap_or(file);
            *given = answer(history, Ask::Position { file: newest, position, named: true });
        }
    }),
    ("the end of the archive is floored", |history, ask, given| {
        if ask == Ask::End {
            *given = answer(history, Ask::Latest);
        }
    }),
];

#[test]
fn the_oracle_notices_every_planted_bug() {
    for (what, bug) in BUGS {
        // The same histories as the property's; the first one that trips the bug ends the search.
        let mut runner = TestRunner::deterministic();
        let strategy = (products(), proptest::collection::vec(event(), 20..60));
        let noticed = (0..300).any(|_| {
            let Ok(tree) = strategy.new_tree(&mut runner) else { return false };
            let (product, events): (Product, Vec<Event>) = proptest::strategy::ValueTree::current(&tree);
            let history = told(product, &events);
            asks(&history).into_iter().any(|ask| {
                let mut spoilt = answer(&history, ask);
                bug(&history, ask, &mut spoilt);
                judge(&history, ask, &spoilt).is_err()
            })
        });
        assert!(noticed, "{what}");
    }
}

#[test]
fn the_histories_reach_what_matters() {
    let mut runner = TestRunner::deterministic();
    let strategy = (products(), proptest::collection::vec(event(), 20..60));
    let (mut plans, mut long, mut wide) = (0, 0, 0);
    let mut errors = std::collections::BTreeMap::<String, usize>::new();
    let (mut placed, mut refusals) = (0, errors.clone());
    for _ in 0..100 {
        let (product, events) = proptest::strategy::ValueTree::current(&strategy.new_tree(&mut runner).unwrap());
        let history = told(product, &events);
        for ask in super::places::asks(&history).into_iter().chain([Ask::End]) {
            match answer(&history, ask) {
                Ok(_) => placed += 1,
                Err(error) => {
                    let name = format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
                    *refusals.entry(name).or_default() += 1;
                }
            }
        }
        for at in moments(&history) {
            match answer(&history, Ask::Exact(at)) {
                Ok(mut plan) => {
                    plans += 1;
                    let Summary::Restore { report } = &plan.summary else { continue };
                    long += usize::from(report.chain.len() > 2);
                    wide += usize::from(window(&mut plan).is_some_and(|window| window.files.len() > 1));
                }
                Err(error) => {
                    let name = format!("{error:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
                    *errors.entry(name).or_default() += 1;
                }
            }
        }
    }
    assert!(plans > 300 && long > 20 && wide > 50, "{plans} plans, {long} long chains, {wide} wide windows");
    for name in ["NoFullBefore", "TargetBeyondBinlogs", "BinlogGap", "DamagedBinlog", "CoordinatesNotArchived"] {
        assert!(errors.contains_key(name), "{name} is not among {errors:?}");
    }
    assert!(placed > 300, "{placed} plans to places");
    for name in ["TargetNotArchived", "AmbiguousTimeline", "PositionNotBoundary", "NoBackupBefore", "BinlogGap"] {
        assert!(refusals.contains_key(name), "{name} is not among {refusals:?}");
    }
}
