//! The real `dbbak` binary on shims: what it says, what it does, and how it ends.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

mod chains;
mod clone;
mod config;
mod conveniences;
mod find;
mod from_server;
mod lost_lists;
mod never_archived;
mod owner;
mod rebuild;
mod restore_refused;
mod server;
mod ship;
mod spoilt;
mod store;
mod timeline;
mod tool_failures;
mod trial;
mod unmark;
mod versions;

use dbbak_testkit::{
    command_line::{Bench, Spoken},
    dbbak_program,
    shim::{Point, Scenario, Series},
    shim_programs,
};
use std::{path::Path, thread, time::Duration};

fn bench(series: Series) -> Bench {
    Bench::new(Path::new(env!("CARGO_TARGET_TMPDIR")), dbbak_program!(), &shim_programs!(), series).unwrap()
}

/// A bench with an empty store and three states of one table at the ends of the transactions of its first binlog.
fn with_store(series: Series) -> (Bench, Scenario) {
    let bench = bench(series);
    let ends = bench.binlog(1, 3, false).unwrap();
    let scenario = bench.scenario().points((1..=3).zip(ends).map(|(number, end)| {
        let state = format!("orders {number}");
        Point::new(1000 * number).table("shop/orders", &state).table("shop/same", "same").binlog(
            "mysql-bin.000001",
            end,
            None,
        )
    }));
    bench.play(&scenario).unwrap();
    assert_eq!(run(&bench, &["init"]).code(), Some(0));
    (bench, scenario)
}

fn run(bench: &Bench, args: &[&str]) -> Spoken {
    bench.run(args).unwrap()
}

/// Runs a backup and asserts that it succeeded. Stamps are to the second: the next one waits for the next second.
fn backup(bench: &Bench, args: &[&str]) -> Spoken {
    let spoken = run(bench, args);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    thread::sleep(Duration::from_millis(1010));
    spoken
}
