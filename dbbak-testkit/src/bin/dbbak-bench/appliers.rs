//! Replays with different numbers of appliers: the one that dbbak chooses must not be slower than a single one.

use crate::{
    Failure, Options,
    measure::Spread,
    replay::{Bench, Load},
    report::{Row, Section},
    source::vendors,
};
use dbbak_testkit::server::Vendor;
use std::path::Path;

/// Numbers of workers that are tried beside dbbak's own choice. MariaDB's 0: one thread that reads and applies.
const NUMBERS: [u32; 4] = [1, 2, 4, 8];
/// What noise may add to a time that is the same.
const RATIO_ALLOWED: f64 = 1.03;

/// Measures the numbers of appliers on both vendors.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let transactions: u64 = if options.quick { 2_000 } else { 30_000 };
    let rounds = options.repetitions().min(3);
    let mut rows = Vec::new();
    for (vendor, name) in vendors() {
        let option = match vendor {
            Vendor::Mariadb => "--slave-parallel-threads",
            Vendor::Mysql => "--replica-parallel-workers",
        };
        for (load, what) in [(Load::Sell(transactions), "spread rows"), (Load::Hot(transactions), "one row")] {
            let place = dir.join(format!("appliers-{name}-{}", what.replace(' ', "-")));
            let bench = Bench::new(vendor, options, dbbak, &place, load)?;
            let mut ways = vec![("dbbak's choice".to_owned(), bench.config.clone())];
            for number in NUMBERS {
                let config = bench.configure(&format!("workers-{number}"), &[format!("{option}={number}")])?;
                ways.push((number.to_string(), config));
            }
            let mut times = vec![Vec::new(); ways.len()];
            for round in 0..=rounds {
                for step in 0..ways.len() {
                    // Each round begins with another one.
                    let way = (round + step) % ways.len();
                    let seconds = bench.of_the_appliers(&ways[way].1)?;
                    crate::say(&format!("{name}, {what}, {}: {seconds:.2} s", ways[way].0));
                    // The first round is not counted.
                    if round > 0 {
                        times[way].push(seconds);
                    }
                }
            }
            for ((way, _), times) in ways.iter().zip(&times) {
                let spread = Spread::of(times.iter().copied());
                rows.push(Row::free(format!("{name}, {what}, appliers: {way}"), spread, 2, " s", 1.0));
            }
            let ratio = Spread::of(times[0].iter().zip(&times[1]).map(|(own, one)| own / one));
            let what = format!("{name}, {what}: ratio dbbak's choice / one");
            rows.push(Row::limited(what, ratio, 3, "", 1.0, RATIO_ALLOWED));
        }
    }
    Ok(Section {
        name: "appliers",
        title: format!("Numbers of appliers, over {transactions} transactions"),
        method: format!(
            "The replay of dbbak's as in the section before this one, of which the part counts in which the appliers are at work \
             (the server's start and its shutdown are left out: MySQL's takes one second or two, by chance), with the numbers of the \
             private server's appliers set \
             (`replica_parallel_workers`, on MariaDB `slave_parallel_threads`) and with dbbak's own choice. Once with the \
             transactions of that section, of which most may be applied side by side, and once with transactions that all \
             update the same row, of which none may. {rounds} rounds of all, each beginning with another one, after one that is not \
             counted. The ratio is that of each round; a goal of 1 with 3 % for noise."
        ),
        rows,
        table: Vec::new(),
    })
}
