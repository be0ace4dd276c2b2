//! Command lines and configurations that cannot be used: exit codes 2 and 3.

use super::{bench, run};
use dbbak_testkit::shim::Series;
use insta::assert_snapshot;

#[test]
fn no_configuration() {
    let bench = bench(Series::Xtrabackup80);
    assert_snapshot!(run(&bench, &["list", "--config-path", "nowhere.yml"]));
}

#[test]
fn no_configuration_at_the_usual_place() {
    let bench = bench(Series::Xtrabackup80);
    assert_snapshot!(run(&bench, &["list", "--config-path", "~/.dbbak.yml"]));
}

#[test]
fn configuration_is_a_directory() {
    let bench = bench(Series::Xtrabackup80);
    assert_snapshot!(run(&bench, &["list", "--config-path", "home"]));
}

/// Writes a configuration as it stands, and asks for the list.
fn list_with(text: &str) -> String {
    let bench = bench(Series::Xtrabackup80);
    bench.write("dbbak.yml", text).unwrap();
    run(&bench, &["list"]).to_string()
}

#[test]
fn bad_yaml() {
    assert_snapshot!(list_with("nfs_root: /mnt/backup\nserver: {socket: [\n"));
}

#[test]
fn empty_configuration() {
    assert_snapshot!(list_with(""));
}

#[test]
fn unknown_key() {
    assert_snapshot!(list_with("nfs_root: /mnt/backup\nmysql_optionfile: /root/.my.cnf\n"));
}

#[test]
fn unknown_key_in_a_section() {
    assert_snapshot!(list_with("nfs_root: /mnt/backup\nserver:\n  sokket: /run/mysqld/mysqld.sock\n"));
}

#[test]
fn value_of_the_wrong_type() {
    assert_snapshot!(list_with("nfs_root: /mnt/backup\nparallel: many\n"));
}

#[test]
fn value_out_of_range() {
    assert_snapshot!(list_with("nfs_root: /mnt/backup\nparallel: 0\n"));
}

#[test]
fn relative_path() {
    assert_snapshot!(list_with("nfs_root: backup/mysql\n"));
}

#[test]
fn password_in_the_configuration() {
    let said = list_with("nfs_root: /mnt/backup\nextra_backup_options: [--password=hunter2]\n");
    assert!(!said.contains("hunter2"));
    assert_snapshot!(said);
}

#[test]
fn configuration_is_no_text() {
    let bench = bench(Series::Xtrabackup80);
    bench.write("dbbak.yml", b"nfs_root: \xff\xfe\n").unwrap();
    assert_snapshot!(run(&bench, &["list"]));
}

#[test]
fn errors_as_json() {
    let bench = bench(Series::Xtrabackup80);
    assert_snapshot!(run(&bench, &["list", "--json", "--config-path", "nowhere.yml"]));
}

/// Asks with a command line that cannot be understood; a configuration is not even looked for.
fn misuse(args: &[&str]) -> String {
    let spoken = run(&bench(Series::Xtrabackup80), args);
    assert_eq!(spoken.code(), Some(2), "{spoken}");
    spoken.to_string()
}

#[test]
fn unknown_subcommand() {
    assert_snapshot!(misuse(&["backup-ful"]));
}

#[test]
fn unknown_flag() {
    assert_snapshot!(misuse(&["backup-full", "--execute"]));
}

#[test]
fn flags_that_exclude_each_other() {
    assert_snapshot!(misuse(&["ship-binlogs", "--flush", "--rescue", "/var/lib/mysql"]));
}

#[test]
fn flag_that_needs_another() {
    assert_snapshot!(misuse(&["restore", "--exact"]));
}

#[test]
fn nonsense_time() {
    assert_snapshot!(misuse(&["restore", "--time", "yesterday at noon"]));
}

#[test]
fn time_that_no_calendar_has() {
    assert_snapshot!(misuse(&["restore", "--time", "2025-02-30 12:00"]));
}

#[test]
fn nonsense_stamp() {
    assert_snapshot!(misuse(&["restore", "--backup", "latest"]));
}

#[test]
fn no_subcommand() {
    let spoken = run(&bench(Series::Xtrabackup80), &[]);
    assert_eq!(spoken.code(), Some(2));
}
