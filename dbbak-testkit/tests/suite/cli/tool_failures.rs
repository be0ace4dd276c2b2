//! A backup tool that fails in each way that it can: exit code 6, nothing listed, nothing left.

use super::{Series, backup, run, with_store};
use dbbak_core::tools::Query;
use dbbak_testkit::{
    command_line::{Bench, Spoken},
    shim::{Answer, Done, Effect, Scenario, ShimTool},
};
use insta::assert_snapshot;
use rustix::process::{Pid, Signal, kill_process};
use std::{fs, os::unix::fs::PermissionsExt};

/// Takes a full while the tool's call that has this argument goes wrong; nothing may come of it.
fn failing(series: Series, argument: &str, call: usize, effect: Effect) -> Spoken {
    let (bench, scenario) = with_store(series);
    bench.play(&scenario.fail(ShimTool::Backup, argument, call, effect)).unwrap();
    let spoken = run(&bench, &["backup-full", "--exec"]);
    assert_eq!(spoken.code(), Some(6), "{spoken}");
    match argument {
        "--prepare" => assert_raw_is_recorded(&bench),
        _ => assert_nothing_came_of_it(&bench),
    }
    spoken.without_plan()
}

/// A full that was taken is not thrown away because of what is made of it.
fn assert_raw_is_recorded(bench: &Bench) {
    let dirs = bench.backup_dirs();
    assert_eq!(dirs.len(), 1);
    let inside = bench.names_in(&format!("store/{}", dirs[0]));
    assert_eq!(inside, ["files.json", "meta.json", "raw", "server"]);
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    assert_eq!(bench.names_in("store/locks"), [""; 0]);
    let list = run(bench, &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(listed["backups"].as_array().unwrap().len(), 1, "{list}");
}

fn assert_nothing_came_of_it(bench: &Bench) {
    assert_eq!(bench.backup_dirs(), [""; 0]);
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    assert_eq!(bench.shims_running(), [""; 0]);
    assert_eq!(bench.names_in("store/locks"), [""; 0]);
    let list = run(bench, &["list"]);
    assert_eq!(
        (list.code(), list.stdout.as_str()),
        (Some(0), "No backups. Take the first with `dbbak backup-full --exec`.\n")
    );
}

fn exit(code: u8, stderr: &str, done: Done) -> Effect {
    Effect::Exit { code, stderr: stderr.to_owned(), done }
}

#[test]
fn exit_status() {
    let line = "2026-11-21T03:00:00.000000-00:00 0 [ERROR] [MY-011825] [Xtrabackup] log block checksum mismatch";
    assert_snapshot!(failing(Series::Xtrabackup80, "--backup", 1, exit(1, line, Done::Half)));
}

#[test]
fn access_denied_to_the_tool() {
    let line = "2026-11-21T03:00:00.000000-00:00 0 [ERROR] [MY-011825] [Xtrabackup] Failed to connect to MySQL server: Access denied for user 'backup'@'localhost' (using password: YES).";
    assert_snapshot!(failing(Series::Xtrabackup80, "--backup", 1, exit(1, line, Done::Nothing)));
}

#[test]
fn no_space_for_the_tool() {
    let line =
        "[00] 2026-11-21 03:00:00 Error: write to file ./ibdata1 failed: Errcode: 28 \"No space left on device\"";
    assert_snapshot!(failing(Series::Mariadb1011, "--backup", 1, exit(1, line, Done::Half)));
}

#[test]
fn missing_last_line() {
    assert_snapshot!(failing(Series::Xtrabackup80, "--backup", 1, Effect::NoSuccessLine));
}

#[test]
fn missing_file() {
    let effect = Effect::MissingFile { name: "xtrabackup_checkpoints".into() };
    assert_snapshot!(failing(Series::Xtrabackup80, "--backup", 1, effect));
}

#[test]
fn missing_coordinates() {
    let effect = Effect::MissingFile { name: "xtrabackup_binlog_info".into() };
    assert_snapshot!(failing(Series::Mariadb1011, "--backup", 1, effect));
}

#[test]
fn wrong_type() {
    let effect = Effect::WrongType { backup_type: "incremental".into() };
    assert_snapshot!(failing(Series::Xtrabackup80, "--backup", 1, effect));
}

#[test]
fn alarm() {
    assert_snapshot!(failing(Series::Mariadb1011, "--prepare", 1, not_found(5)));
}

/// A full is recorded before its prepare; where that shows that the tool left a table out, nothing rests on it any more.
#[test]
fn a_full_whose_prepare_shows_a_loss_is_marked() {
    let (bench, scenario) = with_store(Series::Mariadb1011);
    bench.play(&scenario.fail(ShimTool::Backup, "--prepare", 1, not_found(5))).unwrap();
    let spoken = run(&bench, &["backup-full", "--exec"]);
    assert_eq!(spoken.code(), Some(6), "{spoken}");
    assert!(spoken.stderr.contains("cannot be applied: restores pass it over"), "{spoken}");
    let list = run(&bench, &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(listed["backups"][0]["whole"], false, "{list}");
    assert_eq!(run(&bench, &["restore", "--no-pitr"]).code(), Some(5));
    // What is rebuilt from the store says so too.
    fs::remove_file(bench.path("store/manifest.json")).unwrap();
    let rebuilt = run(&bench, &["reindex", "--manifest", "--exec"]);
    assert_eq!(rebuilt.code(), Some(0), "{rebuilt}");
    let list = run(&bench, &["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(listed["backups"][0]["whole"], false, "{list}");
}

fn not_found(id: u32) -> Effect {
    let said = "was not found at ./shop/orders.ibd when restoring a (partial?) backup. All redo log for this file will be ignored!";
    Effect::Alarm { line: format!("2026-11-21  3:00:00 0 [Warning] InnoDB: Tablespace {id} {said}") }
}

/// mariadb-backup says the same of a table that was dropped, with its database, and made again while the backup ran.
#[test]
fn a_table_that_was_dropped_meanwhile_is_no_alarm() {
    let (bench, scenario) = with_store(Series::Mariadb1011);
    bench.play(&scenario.fail(ShimTool::Backup, "--prepare", 1, not_found(4))).unwrap();
    backup(&bench, &["backup-full", "--exec"]);
}

/// mariadb-backup 11.8 misses a file where a database is dropped while it copies anew what DDL has touched: it prints these lines, and ends with
/// status 0 (seen on 11.8.9). Older ones may end with an error.
#[test]
fn a_backup_beside_ddl_is_taken_anew() {
    let recopy = "[00] 2026-11-28 22:34:38 Failed to re-copy ./c/db.opt.";
    let alarm = Effect::Alarm {
        line: format!(
            "2026-11-28 22:34:38 0 [ERROR] InnoDB: Operating system error number 2 in a file operation.\n{recopy}"
        ),
    };
    for effect in [alarm, exit(1, recopy, Done::Half)] {
        let fails = |scenario: Scenario, call| scenario.fail(ShimTool::Backup, "--backup", call, effect.clone());
        let (bench, scenario) = with_store(Series::Mariadb118);
        bench.play(&fails(fails(scenario, 1), 2)).unwrap();
        let spoken = backup(&bench, &["backup-full", "--exec"]);
        assert!(spoken.stderr.contains("the backup is taken anew (2 times more at most)"), "{spoken}");
        assert!(spoken.stderr.contains("the backup is taken anew (once more at most)"), "{spoken}");
        let workdir = bench.path("w");
        let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
        let restored = run(&bench, &args);
        assert_eq!(restored.code(), Some(0), "{restored}");
        // Not for ever.
        let (bench, scenario) = with_store(Series::Mariadb118);
        bench.play(&fails(fails(fails(scenario, 1), 2), 3)).unwrap();
        let spoken = run(&bench, &["backup-full", "--exec"]);
        assert_eq!(spoken.code(), Some(6), "{spoken}");
        assert_eq!(bench.backup_dirs(), [""; 0]);
    }
}

/// The tool ends well, and a table's file is not there.
#[test]
fn lost_tablespace() {
    let effect = Effect::MissingFile { name: "shop/orders.ibd".into() };
    assert_snapshot!(failing(Series::Xtrabackup84, "--backup", 1, effect));
}

fn misses(id: u32) -> Effect {
    let said = "2026-11-21T03:00:00.000000-00:00 0 [ERROR] [MY-012179] [InnoDB] Could not find any file associated with the tablespace ID:";
    Effect::Alarm { line: format!("{said} {id}") }
}

/// The prepare misses a tablespace that the server still had when the backup had ended.
#[test]
fn prepare_that_misses_a_tablespace() {
    assert_snapshot!(failing(Series::Xtrabackup84, "--prepare", 1, misses(5)));
    assert_eq!(failing(Series::Xtrabackup80, "--prepare", 2, misses(5)).code(), Some(6));
}

/// It says the same of one that was dropped before: the incremental's list tells, when the restore prepares it.
#[test]
fn prepare_that_misses_a_dropped_tablespace() {
    let (bench, scenario) = with_store(Series::Xtrabackup84);
    bench.play(&scenario.clone().fail(ShimTool::Backup, "--prepare", 1, misses(4))).unwrap();
    backup(&bench, &["backup-full", "--exec"]);
    backup(&bench, &["backup-incr", "--exec"]);
    for (id, code) in [(4, 0), (5, 6)] {
        let calls = bench.shims.calls().unwrap_or_default();
        let prepares = calls.iter().filter(|call| call.args.contains(&"--prepare".to_owned())).count();
        // The second: on fresh copies, behind the prepare of the raw full.
        let fails =
            |scenario: Scenario, call| scenario.fail(ShimTool::Backup, "--prepare", prepares + call, misses(id));
        bench.play(&fails(fails(scenario.clone(), 1), 3)).unwrap();
        let workdir = bench.path(&format!("restored-{id}"));
        let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
        let spoken = run(&bench, &args);
        assert_eq!(spoken.code(), Some(code), "{spoken}");
    }
}

/// A server that does not say which tablespaces it has: the backup goes on with a warning, and no prepare that misses one is
/// believed.
#[test]
fn nobody_knows_the_tablespaces() {
    let (bench, scenario) = with_store(Series::Xtrabackup84);
    let denied = || Answer::error(1227, "42000", "Access denied; you need (at least one of) the PROCESS privilege(s)");
    let scenario = scenario.answer(Query::Tablespaces(dbbak_core::tools::Family::Mysql).sql(), [denied()]);
    bench.play(&scenario).unwrap();
    let taken = run(&bench, &["backup-full", "--exec"]);
    assert_eq!(taken.code(), Some(0), "{taken}");
    assert!(taken.stderr.contains("whether all tablespaces are in the backup is not known"), "{taken}");
    bench.play(&scenario.fail(ShimTool::Backup, "--prepare", 3, misses(4))).unwrap();
    let spoken = run(&bench, &["backup-full", "--exec"]);
    assert_eq!(spoken.code(), Some(6), "{spoken}");
}

#[test]
fn killed_by_a_signal() {
    assert_snapshot!(failing(Series::Xtrabackup80, "--backup", 1, Effect::Killed { done: Done::Half }));
}

#[test]
fn first_prepare_fails() {
    let line =
        "2026-11-21T03:00:00.000000-00:00 0 [ERROR] [MY-011825] [Xtrabackup] innodb_init_param(): Error occurred";
    assert_snapshot!(failing(Series::Xtrabackup80, "--prepare", 1, exit(1, line, Done::Half)));
}

#[test]
fn last_prepare_leaves_the_wrong_type() {
    let effect = Effect::WrongType { backup_type: "log-applied".into() };
    assert_snapshot!(failing(Series::Xtrabackup84, "--prepare", 2, effect));
}

#[test]
fn incremental_fails_and_its_parent_stays() {
    let (bench, scenario) = with_store(Series::Xtrabackup80);
    backup(&bench, &["backup-full", "--exec"]);
    let kept = bench.backup_dirs();
    bench.play(&scenario.fail(ShimTool::Backup, "--backup", 2, exit(1, "cannot go on", Done::Half))).unwrap();
    let spoken = run(&bench, &["backup-incr", "--exec"]);
    assert_eq!(spoken.code(), Some(6), "{spoken}");
    assert_eq!(bench.backup_dirs(), kept);
    backup(&bench, &["backup-incr", "--exec"]);
    assert_eq!(bench.backup_dirs().len(), 2);
}

/// Sends a signal to a `dbbak` whose tool hangs.
fn interrupted(signal: Signal) -> (Bench, Spoken) {
    let (bench, scenario) = with_store(Series::Xtrabackup80);
    bench.play(&scenario.fail(ShimTool::Backup, "--backup", 1, Effect::Hang { done: Done::Half })).unwrap();
    let args = ["backup-full", "--exec"];
    let child = bench.command(&args).spawn().unwrap();
    // Not before the tool itself has noted the call: until then it may still be the program that starts it.
    let runs = || bench.shims.calls().unwrap_or_default().iter().any(|call| call.args.contains(&"--backup".to_owned()));
    bench.wait_until("the tool runs", runs).unwrap();
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal).unwrap();
    let spoken = bench.finish(child, &args).unwrap();
    (bench, spoken.without_plan())
}

#[test]
fn sigterm() {
    let (bench, spoken) = interrupted(Signal::TERM);
    assert_nothing_came_of_it(&bench);
    assert_snapshot!(spoken);
}

#[test]
fn sigint() {
    let (bench, spoken) = interrupted(Signal::INT);
    assert_nothing_came_of_it(&bench);
    assert_snapshot!(spoken);
}

/// Nothing can be cleaned up then; but nothing is listed, the tool dies too, and the next run takes the lock over.
#[test]
fn sigkill() {
    let (bench, spoken) = interrupted(Signal::KILL);
    assert_eq!(spoken.code(), None);
    if bench.path("path/setpriv").exists() {
        bench.wait_until("the tool is dead", || bench.shims_running().is_empty()).unwrap();
    }
    assert_eq!(bench.backup_dirs().len(), 1);
    assert_snapshot!("sigkill_list", run(&bench, &["list"]));
    let next = backup(&bench, &["backup-full", "--exec"]);
    assert_snapshot!("sigkill_next", next.without_plan());
    assert_snapshot!("sigkill_prune", run(&bench, &["prune", "--orphans", "--older-than", "0", "--exec"]));
    assert_eq!(bench.backup_dirs().len(), 1);
}

/// The moment between the start of a child and its request to die with dbbak.
#[test]
fn sigkill_before_the_tool_could_ask_to_die_with_dbbak() {
    let (bench, scenario) = with_store(Series::Xtrabackup80);
    bench.play(&scenario).unwrap();
    let setpriv = bench.path("path/setpriv");
    if !setpriv.exists() {
        return;
    }
    let real = fs::canonicalize(&setpriv).unwrap();
    fs::remove_file(&setpriv).unwrap();
    bench.write("path/setpriv", SLOW_SETPRIV.replace("SETPRIV", &real.display().to_string())).unwrap();
    fs::set_permissions(&setpriv, fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = bench.command(&["backup-full", "--exec"]).spawn().unwrap();
    bench.wait_until("the tool is about to be started", || bench.path("tmp/about-to").exists()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    bench.write("tmp/go-on", "").unwrap();
    bench.wait_until("the program that starts it has ended", || bench.path("tmp/went-on").exists()).unwrap();
    bench.wait_until("nothing runs", || bench.shims_running().is_empty()).unwrap();
    let calls = bench.shims.calls().unwrap();
    assert!(!calls.iter().any(|call| call.args.contains(&"--backup".to_owned())), "{calls:?}");
}

/// Waits before it starts a backup until dbbak is dead. What it starts has the same parent as it would have had.
const SLOW_SETPRIV: &str = r#"#!/bin/sh
case "$*" in
    *--backup*)
        : > "$TMPDIR/about-to"
        while [ ! -e "$TMPDIR/go-on" ]; do sleep 0.02; done
        : > "$TMPDIR/went-on"
        ;;
esac
exec SETPRIV "$@"
"#;
