//! Programs of distributions: what they print for `--version` is read, and their vendor asked for where it does not say.

use super::{Series, run, with_store};

/// The programs that `check` names as usable, and what it holds them for.
fn found(series: Series, name: &str, script: &str, key: &str) -> String {
    let (bench, _) = with_store(series);
    bench.script(name, script).unwrap();
    bench.configure(&format!("{key}: {}\n", bench.path(&format!("bin/{name}")).display())).unwrap();
    let spoken = run(&bench, &["check"]);
    let line = spoken.stdout.lines().find(|line| line.contains(&format!("bin/{name}"))).unwrap_or_default();
    assert!(line.starts_with("ok "), "{spoken}");
    line.rsplit(" is ").next().unwrap_or_default().to_owned()
}

/// Debian puts `from Debian` behind the version, and a remark at the end.
#[test]
fn a_server_of_debian_13() {
    let line = "mariadbd  Ver 10.11.19-MariaDB-0+deb13u1 from Debian for debian-linux-gnu on x86_64 (-- Please help get to \
                10k stars at https://github.com/MariaDB/Server)";
    let script = format!("echo '{line}'");
    assert_eq!(found(Series::Mariadb1011, "mariadbd", &script, "mysqld"), "mariadbd 10.11.19-MariaDB-0+deb13u1");
}

/// The reader of MySQL 5.7 says only a number of its own; its help names the maker.
#[test]
fn a_reader_that_tells_its_vendor_in_its_help_alone() {
    let script = r#"echo "mysqlbinlog Ver 3.4 for Linux at x86_64"
case "$*" in *--help*) echo "Copyright (c) 2000, 2022, Oracle and/or its affiliates." ;; esac"#;
    assert_eq!(found(Series::Xtrabackup80, "reader", script, "mysqlbinlog"), "mysqlbinlog 3.4");
}
