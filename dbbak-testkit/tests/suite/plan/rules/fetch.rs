//! Rules 6 and 8: what is fetched is closed, lies in a directory of the run's own, and is archived at once.

use super::*;
use dbbak_core::plan::FetchBinlog;

/// A server that sends two files.
fn fetching(flush: bool) -> Plan {
    let mut history = story(Product::Mysql84);
    history.at("05:10").rotate().at("05:20").commit();
    let mut case = Case::of(history);
    for file in &mut case.facts.source.as_mut().unwrap().files {
        file.path = None;
    }
    case.ship(&ShipRequest { flush, from_server: true, ..ShipRequest::default() }).unwrap()
}

fn fetches(plan: &mut Plan) -> Vec<&mut FetchBinlog> {
    let fetch = |step| match step {
        &mut Step::FetchBinlog(ref mut fetch) => Some(&mut **fetch),
        _ => None,
    };
    plan.steps.iter_mut().filter_map(fetch).collect()
}

#[test]
fn rule_6_only_closed_binlogs_are_fetched_and_each_is_archived() {
    notices(
        6,
        &fetching(false),
        &[
            ("an open one", |plan| fetches(plan)[0].open = true),
            ("another one archived", |plan| fetches(plan)[0].name = "binlog.000099".parse().unwrap()),
            ("archived from elsewhere", |plan| {
                shipped(plan)[0].from = "/var/lib/mysql/binlog.000001".into();
            }),
            ("never archived", |plan| plan.steps.retain(|step| !matches!(step, Step::ShipBinlog(_)))),
        ],
    );
    notices(
        6,
        &fetching(true),
        &[("no flush", |plan| plan.steps.retain(|step| !matches!(step, Step::FlushBinlogs { .. })))],
    );
}

#[test]
fn rule_8_what_is_fetched_lies_in_a_directory_of_the_runs_own() {
    notices(
        8,
        &fetching(false),
        &[
            ("the server's directory", |plan| fetches(plan)[0].path = "/var/lib/mysql/binlog.000001".into()),
            ("a directory that stands there", |plan| {
                plan.steps.retain(|step| !matches!(step, Step::CreateDir { .. }));
            }),
            ("a directory that stays", |plan| plan.discard_dirs.clear()),
        ],
    );
}
