//! Programs, option file and server that do not serve: exit code 6, or 5 where they do not fit each other.

use super::{Series, backup, run, with_store};
use dbbak_core::tools::Query;
use dbbak_testkit::{
    command_line::{Bench, Spoken},
    shim::{Answer, Point, Scenario, ShimDir},
    shim_programs,
};
use insta::assert_snapshot;
use std::{fs, os::unix::fs::PermissionsExt};

/// Asks for a full; nothing may come of it.
fn refused(bench: &Bench) -> Spoken {
    let spoken = run(bench, &["backup-full", "--exec"]);
    assert_eq!(bench.backup_dirs(), [""; 0], "{spoken}");
    assert!(!bench.shims.calls().unwrap().iter().any(|call| call.args.contains(&"--backup".to_owned())));
    spoken
}

#[test]
fn backup_tool_missing() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.configure("xtrabackup: /nowhere/xtrabackup\n").unwrap();
    assert_snapshot!(refused(&bench));
}

#[test]
fn backup_tool_is_not_executable() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.write("plain", "no program\n").unwrap();
    bench.configure(&format!("xtrabackup: {}\n", bench.path("plain").display())).unwrap();
    assert_snapshot!(refused(&bench));
}

#[test]
fn backup_tool_is_something_else() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.script("xtrabackup-wrapper", "echo GNU tar 1.34").unwrap();
    bench.configure(&format!("xtrabackup: {}\n", bench.path("bin/xtrabackup-wrapper").display())).unwrap();
    assert_snapshot!(refused(&bench));
}

#[test]
fn client_missing() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.configure("mysql: /nowhere/mysql\n").unwrap();
    assert_snapshot!(refused(&bench));
}

/// Has the configuration name another series' backup tool than the server's.
fn foreign_tool(server: Series, tool: Series) -> Spoken {
    let (bench, _) = with_store(server);
    let foreign = ShimDir::install(&bench.path("foreign"), &shim_programs!(), &Scenario::of(tool)).unwrap();
    bench.configure(&format!("xtrabackup: {}\n", foreign.backup.display())).unwrap();
    let spoken = refused(&bench);
    assert!(!foreign.calls().unwrap().iter().any(|call| call.args.contains(&"--backup".to_owned())));
    spoken
}

#[test]
fn mariadb_backup_for_a_mysql_server() {
    assert_snapshot!(foreign_tool(Series::Xtrabackup80, Series::Mariadb1011));
}

#[test]
fn xtrabackup_for_a_mariadb_server() {
    assert_snapshot!(foreign_tool(Series::Mariadb1011, Series::Xtrabackup80));
}

#[test]
fn xtrabackup_of_another_series() {
    assert_snapshot!(foreign_tool(Series::Xtrabackup84, Series::Xtrabackup80));
}

/// The same server behind a client that cannot reach it or is not let in.
fn unreachable(code: u32, state: &str, message: &str) -> Spoken {
    let (bench, scenario) = with_store(Series::Xtrabackup80);
    let answer = Answer { stderr: format!("ERROR {code} ({state}): {message}\n"), code: 1, ..Answer::default() };
    bench.play(&scenario.answer("SHOW GLOBAL VARIABLES", [answer])).unwrap();
    refused(&bench)
}

#[test]
fn access_denied() {
    assert_snapshot!(unreachable(1045, "28000", "Access denied for user 'backup'@'localhost' (using password: YES)"));
}

#[test]
fn server_down() {
    let message = "Can't connect to local MySQL server through socket '/run/mysqld/mysqld.sock' (2)";
    assert_snapshot!(unreachable(2002, "HY000", message));
}

#[test]
fn option_file_missing() {
    let (bench, scenario) = with_store(Series::Xtrabackup80);
    fs::remove_file(bench.path("my.cnf")).unwrap();
    let message = format!(
        "mysql: [ERROR] Could not open required defaults file: {}\nmysql: [ERROR] Fatal error in defaults handling. Program aborted!\n",
        bench.path("my.cnf").display()
    );
    let answer = Answer { stderr: message, code: 1, ..Answer::default() };
    bench.play(&scenario.answer("SHOW GLOBAL VARIABLES", [answer])).unwrap();
    assert_snapshot!(refused(&bench));
}

#[test]
fn option_file_that_everybody_may_read() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    fs::set_permissions(bench.path("my.cnf"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(run(&bench, &["list"]));
}

#[test]
fn server_without_a_binlog() {
    let (bench, scenario) = with_store(Series::Xtrabackup80);
    let datadir = bench.path("data").display().to_string();
    let scenario = scenario.points([Point::new(1000).table("shop/orders", "v1")]);
    bench.play(&scenario.with_variables(&[("log_bin", "OFF"), ("datadir", &datadir)])).unwrap();
    assert_snapshot!("server_without_a_binlog_backup", backup(&bench, &["backup-full", "--exec"]));
    assert_snapshot!("server_without_a_binlog_ship", run(&bench, &["ship-binlogs", "--exec"]));
}

#[test]
fn chain_of_another_server() {
    let (bench, mut scenario) = with_store(Series::Xtrabackup80);
    backup(&bench, &["backup-full", "--exec"]);
    scenario.server_uuid = Some("99999999-e54c-11f1-bda1-02fc00000001".to_owned());
    bench.play(&scenario.with_variables(&[("datadir", bench.path("data").to_str().unwrap())])).unwrap();
    assert_snapshot!(run(&bench, &["backup-incr", "--exec"]));
}

/// Tables that a full by a backup tool does not hold as a restore needs them are told before it is taken, and by `check`.
#[test]
fn tables_that_no_full_holds_as_a_restore_needs_them() {
    for series in [Series::Mariadb1011, Series::Xtrabackup84] {
        let (bench, scenario) = with_store(series);
        let family = series.family();
        let told = scenario
            .answer_with(Query::OutsideFiles(family).sql(), &["path"], &[&["/srv/far/shop/t\n.ibd"]])
            .answer_with(Query::WithoutTablespace(family).sql(), &["space", "name"], &[&["7", "shop/gone"]])
            .answer_with(Query::MemoryTables.sql(), &["db", "name"], &[&["shop", "mem"]]);
        bench.play(&told).unwrap();
        let checked = run(&bench, &["check"]);
        assert_eq!(checked.code(), Some(5), "{checked}");
        for line in [
            r"PROBLEM  tables: files outside of the data directory, and a full that holds such tables is not restored: /srv/far/shop/t\n.ibd",
            "WARNING  tables: without their tablespace on the server (discarded, or the file is gone), and so in backups: shop.gone",
            "WARNING  tables: of the engine MEMORY, whose rows are in no backup: shop.mem",
        ] {
            assert!(checked.stdout.lines().any(|found| found == line), "{line}\n{checked}");
        }
        let planned = run(&bench, &["backup-full"]);
        assert!(
            planned.stdout.contains(
                r"PathLeavesWorkdir): a server on the copy would open these very files: /srv/far/shop/t\n.ibd"
            ),
            "{planned}"
        );
    }
}
