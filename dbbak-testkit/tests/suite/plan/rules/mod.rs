//! The rules that every plan keeps: for each, changes of a valid plan that must be noticed under its number.

mod backups;
mod fetch;
mod replay;
mod run;

use super::{Case, exact, restore_to, story};
use dbbak_core::{
    model::{Lsn, Target},
    plan::{
        BackupRequest, MakeReady, PassTree, Plan, Replay, RestoreReport, RestoreRequest, RunTool, ShipBinlog,
        ShipRequest, Step, Summary, UnpackBinlogs, check,
    },
    store::BinlogDamage,
    tools::{Arg, CommandSpec},
};
use dbbak_testkit::history::{DATADIR, Product};

/// A change, and what it does.
type Change = (&'static str, fn(&mut Plan));

/// Whether each change of a plan is noticed as a break of a rule.
#[track_caller]
fn notices(rule: u8, plan: &Plan, changes: &[Change]) {
    assert_eq!(check(plan), [], "the plan is valid");
    for (what, change) in changes {
        let mut changed = plan.clone();
        change(&mut changed);
        assert_ne!(changed, *plan, "{what}: nothing was changed");
        let found = check(&changed);
        assert!(found.iter().any(|violation| violation.rule == rule), "{what}: rule {rule} is not among {found:?}");
    }
}

/// A restore over two incrementals and two binlogs.
fn restore(product: Product) -> Plan {
    Case::of(story(product)).restore(&exact("04:41")).unwrap()
}

fn backup(request: &BackupRequest) -> Plan {
    Case::of(story(Product::Mysql84)).backup(request).unwrap()
}

fn ship(flush: bool, rescue: bool) -> Plan {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rotate().at("05:20").commit();
    let mut case = Case::of(history);
    let request = ShipRequest { flush, rescue: rescue.then(|| DATADIR.into()), ..ShipRequest::default() };
    if rescue {
        case.facts.source = Some(case.history.source(false));
    }
    case.ship(&request).unwrap()
}

fn report(plan: &mut Plan) -> &mut RestoreReport {
    let Summary::Restore { report } = &mut plan.summary else { panic!("no restore") };
    report
}

fn place(plan: &Plan, is: fn(&Step) -> bool) -> usize {
    plan.steps.iter().position(is).unwrap()
}

/// The steps of a kind.
macro_rules! steps {
    ($plan:expr, $kind:ident) => {
        $plan.steps.iter_mut().filter_map(|step| match step {
            Step::$kind(step) => Some(step),
            _ => None,
        })
    };
}

fn replay(plan: &mut Plan) -> &mut Replay {
    steps!(plan, Replay).next().unwrap()
}

fn ready(plan: &mut Plan) -> &mut MakeReady {
    steps!(plan, MakeReady).map(|ready| &mut **ready).next().unwrap()
}

fn unpack(plan: &mut Plan) -> &mut UnpackBinlogs {
    steps!(plan, UnpackBinlogs).next().unwrap()
}

/// The prepares, or the backup.
fn tools(plan: &mut Plan) -> Vec<&mut RunTool> {
    steps!(plan, RunTool).map(|run| &mut **run).collect()
}

fn passes(plan: &mut Plan) -> Vec<&mut PassTree> {
    steps!(plan, PassTree).collect()
}

fn shipped(plan: &mut Plan) -> Vec<&mut ShipBinlog> {
    steps!(plan, ShipBinlog).map(|ship| &mut **ship).collect()
}

/// Sets an option, in place or at the end.
fn set(command: &mut CommandSpec, name: &str, value: &str) {
    remove(command, name);
    command.args.push(Arg::Plain(format!("{name}={value}")));
}

/// Removes an argument, with or without a value.
fn remove(command: &mut CommandSpec, name: &str) {
    let with_value = format!("{name}=");
    command.args.retain(|arg| !matches!(arg, Arg::Plain(text) if text == name || text.starts_with(&with_value)));
}

#[test]
fn plans_of_every_shape_keep_the_rules() {
    for product in [Product::Mariadb, Product::Mysql57, Product::Percona80, Product::Mysql84] {
        let case = Case::of(story(product));
        for hour in 2..5 {
            for minute in (1..60).step_by(7) {
                let request = exact(&format!("{hour:02}:{minute:02}"));
                if let Ok(plan) = case.restore(&request) {
                    assert_eq!(check(&plan), [], "{product:?} {hour}:{minute}");
                }
            }
        }
        let in_tmp = RestoreRequest { workdir: Some("/backup/tmp/r".into()), ..restore_to(Target::Latest) };
        let local = |facts: &mut dbbak_core::facts::Facts| {
            facts.filesystems.values_mut().for_each(|filesystem| filesystem.network = false);
        };
        assert_eq!(check(&case.restore_where(&in_tmp, local).unwrap()), []);
    }
    for (flush, rescue) in [(false, false), (true, false), (false, true)] {
        assert_eq!(check(&ship(flush, rescue)), []);
    }
}
