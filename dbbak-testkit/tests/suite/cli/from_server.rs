//! Binlogs that the server sends: fetched, proven whole, archived; and what is refused.

use super::{Bench, Series, run, with_store};
use dbbak_testkit::{
    command_line::Spoken,
    shim::{Done, Effect, Scenario, ShimTool},
};
use insta::assert_snapshot;
use std::{fs, os::unix::fs::symlink};

const DENIED: &str = "ERROR: Got error reading packet from server: Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation";

/// A server with two closed binlogs and an open one, that also sends them.
fn with_server(series: Series) -> (Bench, Scenario) {
    let (bench, _) = with_store(series);
    bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 2, true).unwrap();
    bench.binlog(3, 1, false).unwrap();
    symlink(bench.path("binlogs"), bench.path("bin/server-binlogs")).unwrap();
    let scenario = bench.scenario();
    bench.play(&scenario).unwrap();
    (bench, scenario)
}

fn fetch(bench: &Bench) -> Spoken {
    run(bench, &["ship-binlogs", "--from-server", "--exec"])
}

/// What is archived, without the moments of archiving.
fn archived(bench: &Bench) -> Vec<(String, serde_json::Value)> {
    let Ok(index) = fs::read(bench.path("store/binlogs/index.json")) else { return Vec::new() };
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let file = |file: &serde_json::Value| {
        let mut file = file.clone();
        for member in ["archived_at", "reaches", "sum"] {
            file.as_object_mut().unwrap().remove(member);
        }
        // Of a server that sends them nobody knows where its data lie.
        if let Some(data) = file.get_mut("data").and_then(|data| data.as_object_mut()) {
            data.remove("born");
        }
        (file["name"].as_str().unwrap().to_owned(), file)
    };
    index["files"].as_array().unwrap().iter().map(file).collect()
}

#[test]
fn fetched_binlogs_are_those_that_lie_there() {
    for (series, name) in [(Series::Xtrabackup80, "fetch_mysql"), (Series::Mariadb1011, "fetch_mariadb")] {
        let (bench, _) = with_server(series);
        assert_snapshot!(format!("{name}_plan"), run(&bench, &["ship-binlogs", "--from-server"]));
        assert!(bench.names_in("scratch").is_empty() && archived(&bench).is_empty());
        assert_snapshot!(name, fetch(&bench));
        let fetched = archived(&bench);
        assert_eq!(fetched.len(), 2);
        assert!(bench.names_in("scratch").is_empty(), "{:?}", bench.names_in("scratch"));
        // The server's own files are the same to the archive, and the other way round.
        assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
        assert_eq!(archived(&bench), fetched);

        let (local, _) = with_server(series);
        assert_eq!(run(&local, &["ship-binlogs", "--exec"]).code(), Some(0));
        assert_eq!(archived(&local), fetched);
        assert_eq!(fetch(&local).code(), Some(0));
        assert_eq!(archived(&local), fetched);
    }
}

#[test]
fn asks_for_no_more_heads_than_it_needs() {
    let (bench, scenario) = with_server(Series::Mariadb1011);
    assert_eq!(fetch(&bench).code(), Some(0));
    let heads = |bench: &Bench| {
        let calls = fs::read_to_string(bench.path("bin/calls.jsonl")).unwrap();
        calls.lines().filter(|line| line.contains("--hexdump")).count()
    };
    assert_eq!(heads(&bench), 2);
    bench.play(&scenario).unwrap();
    let before = heads(&bench);
    assert_eq!(fetch(&bench).code(), Some(0));
    // The newest archived one alone: if that is the same, so are those before it.
    assert_eq!(heads(&bench) - before, 1);
}

#[test]
fn a_copy_that_was_cut_without_a_word_is_not_archived() {
    let (bench, scenario) = with_server(Series::Mariadb1011);
    let cut = Effect::Exit { code: 0, stderr: String::new(), done: Done::Half };
    bench.play(&scenario.fail(ShimTool::Reader, "--raw", 2, cut)).unwrap();
    let spoken = fetch(&bench);
    assert_eq!(spoken.code(), Some(6), "{spoken}");
    assert_snapshot!("fetch_cut", spoken.without_plan());
    assert_eq!(archived(&bench).len(), 1, "the first one was whole");
    assert!(bench.names_in("scratch").is_empty());
    // With room again the rest comes.
    assert_eq!(fetch(&bench).code(), Some(0));
    assert_eq!(archived(&bench).len(), 2);
}

#[test]
fn a_missing_grant_is_named() {
    let denied = |done| Effect::Exit { code: 1, stderr: DENIED.into(), done };
    for (argument, name) in [("--hexdump", "fetch_denied_head"), ("--raw", "fetch_denied")] {
        let (bench, scenario) = with_server(Series::Xtrabackup80);
        bench.play(&scenario.fail(ShimTool::Reader, argument, 1, denied(Done::Nothing))).unwrap();
        let spoken = fetch(&bench);
        assert_eq!(spoken.code(), Some(6), "{spoken}");
        assert_snapshot!(name, spoken.without_plan());
        assert!(archived(&bench).is_empty() && bench.names_in("scratch").is_empty());
    }
}

#[test]
fn a_file_that_the_server_purged_meanwhile_is_named() {
    let (bench, _) = with_server(Series::Mariadb1011);
    fs::remove_file(bench.path("binlogs/mysql-bin.000001")).unwrap();
    let spoken = fetch(&bench);
    // A gap, and what follows is archived.
    assert_eq!((spoken.code(), archived(&bench).len()), (Some(9), 1), "{spoken}");
    assert_snapshot!("fetch_purged", spoken);
}

#[test]
fn the_reader_of_the_other_vendor_is_refused() {
    let (bench, scenario) = with_server(Series::Mariadb1011);
    let variables = [("version", "8.4.8"), ("version_comment", "MySQL Community Server - GPL")];
    bench.play(&scenario.with_variables(&variables)).unwrap();
    let spoken = fetch(&bench);
    assert_eq!(spoken.code(), Some(5), "{spoken}");
    assert!(spoken.to_string().contains("the binlog reader does not fit"), "{spoken}");
}

#[test]
fn a_binlog_inside_innodb_is_refused() {
    let (bench, scenario) = with_server(Series::Mariadb1011);
    bench.play(&scenario.with_variables(&[("binlog_storage_engine", "innodb")])).unwrap();
    assert_snapshot!("fetch_innodb", fetch(&bench));
}

#[test]
fn what_a_killed_run_left_is_removed() {
    let (bench, _) = with_server(Series::Mariadb1011);
    bench.write("scratch/dbbak-fetch-2025-10-02T02-00-00Z/mysql-bin.000001", "half").unwrap();
    bench.write("scratch/dbbak-backup-2025-10-02T02-00Z/raw/x", "another command's").unwrap();
    let spoken = fetch(&bench);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    assert_eq!(bench.names_in("scratch"), ["dbbak-backup-2025-10-02T02-00Z"]);
    assert_eq!(archived(&bench).len(), 2);
}

/// A server on another host, and one that encrypts: what is done without `--from-server`, and the way out.
#[test]
fn files_that_are_not_here_or_are_encrypted_have_a_hint() {
    let (bench, _) = with_server(Series::Xtrabackup80);
    let path = bench.path("binlogs/mysql-bin.000002");
    fs::write(&path, b"\xfdbin and then only what the keyring opens").unwrap();
    bench.play(&bench.scenario()).unwrap();
    let spoken = run(&bench, &["ship-binlogs"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    assert_snapshot!("ship_encrypted", spoken);
    bench.configure(&format!("binlog_source_dir: {}", bench.path("tmp").display())).unwrap();
    assert_snapshot!("ship_not_here", run(&bench, &["ship-binlogs", "--exec"]));
}
