//! The planner of restores against an oracle, over random histories.

mod crossings;
mod oracle;
mod places;
mod planted;
mod windows;

use chrono::{DateTime, TimeDelta, Utc};
use dbbak_core::{
    model::{BinlogPosition, Goal, Target},
    plan::{Plan, PlanError, ReplayWay, RestoreRequest, check},
};
use dbbak_testkit::history::{History, Product};
use oracle::{Ask, judge};
use proptest::{prelude::*, sample::Index};
use uuid::Uuid;

/// One event of a history.
#[derive(Debug, Clone)]
enum Event {
    Wait(i64),
    Commit,
    Rotate,
    Ship,
    Full { tail: u8 },
    Incremental { tail: u8 },
    Differential,
    Reset,
    Replaced { by: Index, rescued: bool },
    LoseBackup(Index),
    LoseCopy(Index),
    DamageCopy(Index, Index),
    Purge(Index),
}

fn event() -> impl Strategy<Value = Event> {
    // Equal stamps, fractions of a second and long pauses all matter.
    let pause = prop_oneof![Just(0), Just(1), Just(300), Just(1000), Just(1000), 1000..5000_i64, Just(600_000)];
    prop_oneof![
        12 => pause.prop_map(Event::Wait),
        14 => Just(Event::Commit),
        5 => Just(Event::Rotate),
        5 => Just(Event::Ship),
        2 => (0..4_u8).prop_map(|tail| Event::Full { tail }),
        4 => (0..4_u8).prop_map(|tail| Event::Incremental { tail }),
        1 => Just(Event::Differential),
        1 => Just(Event::Reset),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(by, rescued)| Event::Replaced { by, rescued }),
        1 => any::<Index>().prop_map(Event::LoseBackup),
        1 => any::<Index>().prop_map(Event::LoseCopy),
        1 => any::<(Index, Index)>().prop_map(|(copy, good)| Event::DamageCopy(copy, good)),
        1 => any::<Index>().prop_map(Event::Purge),
    ]
}

/// Lets an event happen, where it can.
fn happen(history: &mut History, event: &Event) {
    let tail = |tail: u8| {
        move |history: &mut History| {
            (0..tail).for_each(|number| {
                history.commit();
                if number == 1 {
                    history.rotate();
                }
                history.wait(TimeDelta::seconds(1));
            });
        }
    };
    match event {
        // Logs without commit times hold whole seconds.
        Event::Wait(millis) if history.product.logs_commit_times() => {
            history.wait(TimeDelta::milliseconds(*millis));
        }
        Event::Wait(millis) => {
            history.wait(TimeDelta::seconds(millis / 1000));
        }
        Event::Commit => {
            history.commit();
        }
        Event::Rotate => {
            history.rotate();
        }
        Event::Ship => {
            history.ship();
        }
        Event::Full { tail: number } => {
            history.backup(None, tail(*number));
        }
        Event::Incremental { tail: number } => {
            if let Some(newest) = history.backups.len().checked_sub(1) {
                history.backup(Some(newest), tail(*number));
            }
        }
        Event::Differential => {
            if !history.backups.is_empty() {
                history.differential();
            }
        }
        Event::Reset => {
            history.reset();
        }
        Event::Replaced { by, rescued } => {
            if !history.backups.is_empty() {
                if *rescued {
                    history.rescue();
                }
                history.replace_by(by.index(history.backups.len()));
            }
        }
        Event::LoseBackup(index) => {
            if !history.backups.is_empty() {
                let ts = index.get(&history.backups).id.ts;
                history.lose_backup(ts);
            }
        }
        Event::LoseCopy(index) => {
            if !history.archived.is_empty() {
                let file = index.get(&history.archived).file;
                history.archived.iter_mut().filter(|copy| copy.file == file).for_each(|copy| copy.lost = true);
            }
        }
        Event::DamageCopy(index, good) => {
            if !history.archived.is_empty() {
                let copy = index.index(history.archived.len());
                let copy = &mut history.archived[copy];
                if copy.transactions > 0 {
                    (copy.damaged, copy.transactions) = (true, good.index(copy.transactions));
                }
            }
        }
        Event::Purge(index) => {
            let number = index.get(&history.files).name.number();
            let open = history.files[history.open_file()].name.number();
            history.purge_to(number.min(open));
        }
    }
}

fn products() -> impl Strategy<Value = Product> {
    prop_oneof![Just(Product::Mariadb), Just(Product::Mysql57), Just(Product::Mysql84)]
}

fn told(product: Product, events: &[Event]) -> History {
    let mut history = History::new(product);
    history.wait(TimeDelta::seconds(7 * 60));
    events.iter().for_each(|event| happen(&mut history, event));
    history
}

/// The moments at which something happened, and those right beside them.
fn moments(history: &History) -> Vec<DateTime<Utc>> {
    let mut moments: Vec<DateTime<Utc>> = history.happened.iter().map(|(time, _)| *time).collect();
    moments.extend(history.files.iter().flat_map(|file| [Some(file.opened), file.closed]).flatten());
    moments.extend(history.backups.iter().flat_map(|backup| [backup.started_at, backup.ended_at]));
    moments.extend(history.archived.iter().map(|copy| copy.at));
    let step = TimeDelta::microseconds(1);
    moments = moments.iter().flat_map(|at| [*at - step, *at, *at + step]).collect();
    moments.push(history.now + TimeDelta::minutes(20));
    moments.sort();
    moments.dedup();
    moments
}

/// Everything that is asked of a history.
fn asks(history: &History) -> Vec<Ask> {
    let moments = moments(history);
    let mut asks: Vec<Ask> = moments.iter().map(|at| Ask::Exact(*at)).collect();
    asks.extend(moments.iter().step_by(5).flat_map(|at| [Ask::Floored(*at), Ask::NoPitr(*at)]));
    asks.extend(history.backups.iter().filter(|backup| !backup.lost).map(|backup| Ask::Backup(backup.id.ts)));
    asks.extend([Ask::Latest, Ask::End]);
    asks.extend(places::asks(history));
    asks
}

/// Asks the planner.
fn answer(history: &History, ask: Ask) -> Result<Plan, PlanError> {
    let timeline = |file: usize| format!("t{}", history.files[file].history + 1);
    let mut named_timeline = None;
    let (target, backup) = match ask {
        Ask::Exact(at) => (Target::Time { at, exact: true }, None),
        Ask::Floored(at) => (Target::Time { at, exact: false }, None),
        Ask::Latest => (Target::Latest, None),
        Ask::Backup(ts) => (Target::Latest, Some(ts)),
        Ask::NoPitr(at) => (Target::NoPitr { at: Some(at) }, None),
        Ask::End => (Target::End, None),
        Ask::Gtid { file, place, included } => {
            let log = &history.files[file];
            let gtid = history.product.gtid(log.history, log.before + place as u64 + 1).parse().unwrap();
            (Target::Cut(if included { Goal::After(gtid) } else { Goal::Before(gtid) }), None)
        }
        Ask::Position { file, position, named } => {
            named_timeline = named.then(|| timeline(file));
            let file = history.files[file].name.clone();
            (Target::Cut(Goal::Position(BinlogPosition { file, position })), None)
        }
    };
    let request = RestoreRequest {
        id: Uuid::nil(),
        target,
        backup,
        avoid: Vec::new(),
        raw_only: false,
        timeline: named_timeline,
        workdir: None,
        replay: ReplayWay::Auto,
        skip: Vec::new(),
        finish: dbbak_core::plan::FinishRequest::default(),
    };
    let (config, catalog) = (history.config(), history.catalog());
    let now = history.now + TimeDelta::hours(1);
    history.restore((&config, &catalog), now, &request, |_| ())
}

/// Whether the planner's answers to everything that can be asked of a history are right.
fn agrees(history: &History) -> Result<(), TestCaseError> {
    for ask in asks(history) {
        let answer = answer(history, ask);
        judge(history, ask, &answer).map_err(TestCaseError::fail)?;
        if let Ok(plan) = &answer
            && let Some(violation) = check(plan).first()
        {
            return Err(TestCaseError::fail(format!("{ask:?}: {violation}")));
        }
    }
    Ok(())
}

fn config() -> ProptestConfig {
    let soak = std::env::var_os("DBBAK_SOAK").is_some();
    ProptestConfig { cases: if soak { 20_000 } else { 200 }, max_shrink_iters: 4000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_planner_agrees_with_the_oracle(product in products(), events in prop::collection::vec(event(), 3..60)) {
        agrees(&told(product, &events))?;
    }
}
