//! What belongs to every tool of its kind: names that can be given back, short options, logs, pages, completions.

use super::{Bench, Series, backup, run, with_store};
use std::{fs, os::unix::fs::symlink, process::Stdio};

/// Runs it without the option that names the configuration, and gives back what it printed.
fn run_with(
    bench: &Bench,
    args: &[&str],
    change: impl FnOnce(&mut std::process::Command),
) -> (Option<i32>, String, String) {
    let mut command = bench.command(args);
    change(&mut command);
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_backup_is_named_as_it_is_printed() {
    let (bench, _) = with_store(Series::Mariadb1011);
    let told = backup(&bench, &["backup-full", "-x"]).stdout;
    let name = told.split(':').next().unwrap();
    assert!(name.starts_with("full_"), "{told}");
    for given in [name, &format!("{name}/"), name.strip_prefix("full_").unwrap()] {
        let spoken = run(&bench, &["restore", "-b", given, "--no-pitr"]);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
        assert!(spoken.stdout.contains(&format!("from {name}")), "{spoken}");
        assert_eq!(run(&bench, &["backup-incr", "-b", given]).code(), Some(0));
    }
    assert_eq!(run(&bench, &["restore", "-b", "full_yesterday"]).code(), Some(2));
}

#[test]
fn an_option_file_that_is_not_there_is_the_configurations_fault() {
    let (bench, _) = with_store(Series::Mariadb1011);
    fs::remove_file(bench.path("my.cnf")).unwrap();
    for args in [&["backup-full"][..], &["backup-incr"], &["ship-binlogs"], &["engines"]] {
        let spoken = run(&bench, args);
        assert_eq!(spoken.code(), Some(3), "{spoken}");
        assert!(spoken.stderr.contains("mysql_option_file") && spoken.stderr.contains("is not there"), "{spoken}");
    }
    // What asks no server goes on.
    for args in [&["list"][..], &["timeline"], &["find"], &["prune", "--orphans"]] {
        assert_eq!(run(&bench, args).code(), Some(0), "{args:?}");
    }
}

#[test]
fn relative_times_are_shown_absolutely() {
    let (bench, _) = with_store(Series::Mariadb1011);
    backup(&bench, &["backup-full", "-x"]);
    let spoken = run(&bench, &["restore", "--no-pitr", "--time", "0 minutes ago"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    assert!(spoken.stdout.contains("UTC") && !spoken.stdout.contains("ago"), "{spoken}");
    assert_eq!(run(&bench, &["restore", "--time", "a while ago"]).code(), Some(2));
}

#[test]
fn a_page_is_written_over_nothing_else() {
    let (bench, _) = with_store(Series::Mariadb1011);
    let html = |name: &str| run(&bench, &["timeline", "--html", bench.path(name).to_str().unwrap()]);
    assert_eq!(html("page.html").code(), Some(0));
    assert_eq!(html("page.html").code(), Some(0));
    let options = fs::read(bench.path("my.cnf")).unwrap();
    symlink(bench.path("my.cnf"), bench.path("link.html")).unwrap();
    symlink(bench.path("page.html"), bench.path("page-link.html")).unwrap();
    for name in ["my.cnf", "link.html", "page-link.html", "data"] {
        let spoken = html(name);
        assert_eq!(spoken.code(), Some(2), "{spoken}");
    }
    assert_eq!(fs::read(bench.path("my.cnf")).unwrap(), options);
}

#[test]
fn lines_have_times_and_quiet_keeps_what_matters() {
    let (bench, _) = with_store(Series::Mariadb1011);
    let log = bench.path("run.log");
    let (code, stdout, stderr) =
        run_with(&bench, &["backup-full", "-x", "-q", "--log-file", log.to_str().unwrap()], |_| {});
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(stdout.starts_with("full_"), "{stdout}");
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("Z Plan: take full_") && said.contains("Z [1/"), "{said}");
    let is_timed = |line: &str| line.len() > 21 && &line[4..5] == "-" && &line[10..11] == "T" && &line[19..21] == "Z ";
    assert!(said.lines().all(is_timed), "{said}");
    // Without a terminal standard error bears times too; the journal of systemd has its own.
    let (_, _, stderr) = run_with(&bench, &["find"], |_| {});
    assert!(stderr.lines().all(is_timed) && !stderr.is_empty(), "{stderr}");
    let (_, _, stderr) = run_with(&bench, &["find"], |command| {
        command.env("JOURNAL_STREAM", "8:1");
    });
    assert!(!stderr.lines().any(is_timed) && !stderr.is_empty(), "{stderr}");
    let (code, _, stderr) = run_with(&bench, &["list", "-q", "--log-file", "/nowhere/log"], |_| {});
    assert!(code == Some(2) && stderr.contains("/nowhere/log"), "{stderr}");
}

#[test]
fn a_run_that_ships_nothing_says_one_line() {
    let (bench, _) = with_store(Series::Mariadb1011);
    let spoken = run(&bench, &["ship-binlogs", "--exec"]);
    assert_eq!(
        (spoken.code(), spoken.stdout.as_str(), spoken.stderr.as_str()),
        (Some(0), "0 binlogs archived, 0 B\n", "")
    );
}

/// systemd sets no HOME for its services.
#[test]
fn without_a_home_in_the_environment_the_accounts_is_taken() {
    let (bench, _) = with_store(Series::Mariadb1011);
    bench.configure("mysql_option_file: ~/no-such-file-of-a-test.cnf\n").unwrap();
    let (code, _, stderr) = run_with(&bench, &["engines"], |command| {
        command.env_remove("HOME");
    });
    // The path was resolved: what is wrong is that nothing lies there.
    assert_eq!(code, Some(3), "{stderr}");
    assert!(stderr.contains("/no-such-file-of-a-test.cnf is not there") && !stderr.contains('~'), "{stderr}");
}

#[test]
fn the_configuration_is_found_by_the_environment() {
    let (bench, _) = with_store(Series::Mariadb1011);
    let config = bench.path("dbbak.yml");
    let program = bench.path("path/dbbak");
    let list = |variable: Option<&std::path::Path>| {
        let mut command = std::process::Command::new(&program);
        command.arg("list").env_clear().env("HOME", bench.path("home"));
        if let Some(path) = variable {
            command.env("DBBAK_CONFIG", path);
        }
        command.output().unwrap()
    };
    assert!(list(Some(&config)).status.success());
    assert_eq!(list(Some(&bench.path("other.yml"))).status.code(), Some(3));
    fs::copy(&config, bench.path("home/.dbbak.yml")).unwrap();
    assert!(list(None).status.success());
}

#[test]
fn completions_and_manual_pages() {
    let (bench, _) = with_store(Series::Mariadb1011);
    for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef dbbak"), ("fish", "complete -c dbbak")] {
        let spoken = run(&bench, &["completions", shell]);
        assert!(spoken.code() == Some(0) && spoken.stdout.contains(part), "{shell}");
    }
    let page = run(&bench, &["man"]).stdout;
    assert!(page.contains(".TH") && page.contains("restore"), "{page}");
    assert!(run(&bench, &["man", "restore"]).stdout.contains("before\\-gtid"));
    assert_eq!(run(&bench, &["man", "dance"]).code(), Some(2));
}

#[test]
fn the_list_fits_eighty_columns() {
    let (bench, _) = with_store(Series::Mariadb1011);
    backup(&bench, &["backup-full", "-x"]);
    for _ in 0..3 {
        backup(&bench, &["backup-incr", "-x"]);
    }
    let narrow = run(&bench, &["list"]).stdout;
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    let wide = run(&bench, &["list", "--wide"]).stdout;
    assert!(wide.contains("FROM LSN") && !narrow.contains("FROM LSN"), "{wide}");
    // A full takes what all of its trees take, and that is more than its data.
    let list = run(&bench, &["list", "--json"]).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let full = &list["backups"][0];
    assert!(full["stored_size"].as_u64() > full["size"].as_u64(), "{full}");
}
