//! `kill -9` of dbbak at any moment: nothing survives, nothing is locked, nothing half-done is listed, the next run works.

use std::io::{BufRead as _, BufReader, Read as _};
use std::time::{Duration, Instant};

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::workload::Workload;

/// What is checked after each kill. A killed run may have ended well just before; what it listed must then be whole.
#[track_caller]
fn all_is_well(scenario: &Scenario, what: &str) {
    scenario.nothing_survives();
    scenario.server_is_free();
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    for backup in list["backups"].as_array().unwrap() {
        assert_eq!(backup["whole"], true, "{what}: {backup:#}");
        assert!(backup["to_lsn"].is_number() || backup["to_lsn"].is_string(), "{what}: {backup:#}");
    }
}

/// Runs until a step begins, and kills. Returns whether there was still something to kill; a run that ends by itself ends
/// well.
#[track_caller]
fn kill_at_step(scenario: &Scenario, args: &[&str], number: usize) -> bool {
    let at = format!("[{number}/");
    let mut child = scenario.command(args).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut killed = false;
    let (mut line, mut said) = (String::new(), String::new());
    while !killed && lines.read_line(&mut line).unwrap() > 0 {
        if line.starts_with(&at) {
            child.kill().unwrap();
            killed = true;
        }
        said.push_str(&line);
        line.clear();
    }
    // Nothing is left that could hold the pipe open.
    lines.read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert!(killed || status.success(), "{args:?} ended with {status}:\n{said}");
    // The last steps are short: one may end well before the kill comes.
    killed
}

/// Kills a command as each of its steps begins.
fn kill_at_each_step(scenario: &Scenario, workload: &mut Workload, args: &dyn Fn() -> Vec<String>) -> usize {
    for number in 1.. {
        workload.run(5).unwrap();
        // What a killed run began keeps its stamp, which is a whole second.
        scenario.next_second();
        let owned = args();
        let args: Vec<&str> = owned.iter().map(String::as_str).collect();
        let killed = kill_at_step(scenario, &args, number);
        all_is_well(scenario, &format!("{args:?} at step {number}"));
        if !killed {
            return number - 1;
        }
    }
    0
}

/// Kills a command after a while.
fn kill_after(scenario: &Scenario, args: &[&str], delay: Duration) -> bool {
    let mut child = scenario.command(args).stderr(std::process::Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    all_is_well(scenario, &format!("{args:?} after {delay:?}"));
    running
}

fn texts(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

fn restore_args(scenario: &Scenario) -> Vec<String> {
    let workdir = scenario.fresh("killed");
    texts(&["restore", "--workdir", workdir.to_str().unwrap(), "--exec"])
}

/// What must still work after all the kills: backup, incremental, archive, restore.
fn next_runs_work(scenario: &Scenario, workload: &mut Workload) {
    scenario.full();
    workload.run(20).unwrap();
    scenario.incr();
    workload.run(20).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    scenario.next_second();
    scenario.ship();
    let restored = scenario.restore(&[]);
    assert_eq!(restored.report.chain.len(), 2);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
    scenario.dbbak(&["prune", "--orphans", "--older-than", "0", "--exec"]).exits(0);
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    assert_eq!(list["orphans"].as_array().map(Vec::len), Some(0), "{list:#}");
    // And what was removed was nothing that a restore needs.
    let restored = scenario.restore(&[]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
}

#[test]
fn real_kill_at_each_step_leaves_nothing_half_done() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 51);
    workload.run(40).unwrap();
    let steps = kill_at_each_step(&scenario, &mut workload, &|| texts(&["backup-full", "--exec"]));
    assert!(steps >= 5, "{steps}");
    // The last run was not killed. Those that were killed behind the step that lists the raw tree left a full without prepared trees.
    let fulls = scenario.listed().len();
    assert!((1..=steps).contains(&fulls), "{:?} after {steps} steps", scenario.listed());
    let steps = kill_at_each_step(&scenario, &mut workload, &|| texts(&["backup-incr", "--exec"]));
    assert!(steps >= 4, "{steps}");
    assert!(matches!(scenario.listed().len() - fulls, 1..=3), "{:?}", scenario.listed());
    for _ in 0..3 {
        workload.run(5).unwrap();
        scenario.server.sql("FLUSH BINARY LOGS");
    }
    let steps = kill_at_each_step(&scenario, &mut workload, &|| texts(&["ship-binlogs", "--flush", "--exec"]));
    assert!(steps >= 2, "{steps}");
    scenario.next_second();
    scenario.ship();
    let before = scenario.store_digests();
    let steps = kill_at_each_step(&scenario, &mut workload, &|| restore_args(&scenario));
    assert!(steps >= 5, "{steps}");
    assert_eq!(scenario.store_digests(), before);
    next_runs_work(&scenario, &mut workload);
}

#[test]
fn real_kill_at_any_moment_leaves_nothing_half_done() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 52);
    workload.run(40).unwrap();
    scenario.full();
    let kills: u64 = if std::env::var_os("DBBAK_SOAK").is_some() { 200 } else { 20 };
    let (mut random, mut hits) = (0x5EED_u64, 0);
    let mut lasted = [Duration::from_millis(1500); 4];
    for round in 0..kills {
        workload.run(5).unwrap();
        let kind = usize::try_from(round % 4).unwrap();
        let args = match kind {
            0 => texts(&["backup-full", "--exec"]),
            1 => texts(&["backup-incr", "--exec"]),
            2 => texts(&["ship-binlogs", "--flush", "--exec"]),
            _ => restore_args(&scenario),
        };
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let thousandth = u32::try_from((random >> 33) % 1000).unwrap();
        let started = Instant::now();
        if kill_after(&scenario, &args, lasted[kind] * thousandth / 1000) {
            hits += 1;
        } else {
            // It ended before: the next one of its kind is hit earlier.
            lasted[kind] = lasted[kind].min(started.elapsed()) * 3 / 4;
        }
    }
    assert!(hits >= kills / 2, "only {hits} of {kills} hit a running dbbak");
    // Each backup that is listed is whole: the newest and the oldest are restored, the rest planned.
    for ts in scenario.listed() {
        scenario.dbbak(&["restore", "--backup", &ts]).exits(0);
    }
    next_runs_work(&scenario, &mut workload);
}
