//! Plans of every command, and why there is none: golden texts, errors, and the rules that every plan keeps.

mod backup;
mod clone;
mod dump;
mod errors;
mod failover;
mod going_on;
mod keyring;
mod past;
mod restore;
mod resume;
mod rules;
mod settings;
mod ship;
mod targets;
mod timelines;
mod unmark;

use chrono::{DateTime, FixedOffset, Utc};
use dbbak_core::{
    catalog::Catalog,
    config::Config,
    facts::Facts,
    model::Target,
    plan::{
        BackupRequest, FinishRequest, Plan, PlanError, ReplayWay, RestoreRequest, ShipRequest, check, parent_of,
        plan_backup, plan_ship,
    },
};
use dbbak_testkit::history::{History, Product, at};
use uuid::Uuid;

/// A plan's five inputs but the request.
struct Case {
    history: History,
    config: Config,
    catalog: Catalog,
    facts: Facts,
    now: DateTime<Utc>,
}

impl Case {
    fn of(history: History) -> Self {
        let (config, catalog, facts) = (history.config(), history.catalog(), history.facts());
        let now = history.now;
        Case { history, config, catalog, facts, now }
    }

    fn backup(&self, request: &BackupRequest) -> Result<Plan, PlanError> {
        let mut facts = self.facts.clone();
        if let (None, Ok(Some(parent))) = (&facts.past, parent_of(&self.catalog, request)) {
            facts.past = Some(self.history.past(parent));
        }
        plan_backup(&self.config, &self.catalog, &facts, self.now, request)
    }

    fn ship(&self, request: &ShipRequest) -> Result<Plan, PlanError> {
        plan_ship(&self.config, &self.catalog, &self.facts, self.now, request)
    }

    fn restore(&self, request: &RestoreRequest) -> Result<Plan, PlanError> {
        self.restore_where(request, |_| {})
    }

    /// Plans a restore over facts that something was changed in.
    fn restore_where(&self, request: &RestoreRequest, change: impl FnOnce(&mut Facts)) -> Result<Plan, PlanError> {
        self.history.restore((&self.config, &self.catalog), self.now, request, change)
    }
}

/// A full at 2:00, incrementals at 3:00 and 4:00, a transaction every ten minutes, a new binlog at 3:35, 4:25 and 4:55, all of them
/// shipped, and the last ones still to come at 5:05.
fn story(product: Product) -> History {
    let mut history = History::new(product);
    history.at("01:50").commit().at("02:00").full();
    history.at("02:10").commit().at("02:50").commit().at("03:00").incremental();
    history.at("03:10").commit().at("03:35").rotate().at("03:50").commit().at("04:00").incremental();
    for (time, rotate) in [("04:10", false), ("04:20", true), ("04:30", false), ("04:40", false), ("04:50", true)] {
        history.at(time).commit();
        if rotate {
            history.wait(chrono::TimeDelta::minutes(5)).rotate();
        }
    }
    history.at("05:00").ship().at("05:05").commit();
    history
}

fn restore_to(target: Target) -> RestoreRequest {
    let id = Uuid::from_u128(0x1234_5678 << 96);
    RestoreRequest {
        id,
        target,
        backup: None,
        avoid: Vec::new(),
        raw_only: false,
        timeline: None,
        workdir: None,
        replay: ReplayWay::Auto,
        skip: Vec::new(),
        finish: FinishRequest::default(),
    }
}

fn exact(time: &str) -> RestoreRequest {
    restore_to(Target::Time { at: at(time), exact: true })
}

/// The plan as a person two hours ahead of UTC reads it.
fn text(plan: &Plan) -> String {
    assert_eq!(check(plan), Vec::new(), "a valid plan keeps every rule");
    plan.text(FixedOffset::east_opt(7200)).to_string()
}
