//! dbbak as a user that is neither root nor the server's: what it may read works, and what it may not is named before anything begins.

use dbbak_testkit::{cli::Ran, cli::dbbak, real::require_servers, scenario::Scenario};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::Command,
};

/// A user and a group that no system has.
const USER: u32 = 64_321;
const GROUP: u32 = 64_322;

/// Gives a tree to a user or a group.
fn give(path: &Path, user: Option<u32>, group: Option<u32>) {
    let meta = fs::symlink_metadata(path).unwrap();
    if meta.is_symlink() {
        return;
    }
    chown(path, user, group).unwrap();
    if meta.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), user, group));
    }
}

/// Sets the modes of the data directory and of the directories in it.
fn dirs(datadir: &Path, mode: u32, inner: u32) {
    fs::set_permissions(datadir, fs::Permissions::from_mode(mode)).unwrap();
    for entry in fs::read_dir(datadir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(inner)).unwrap();
        }
    }
}

struct Plain<'a> {
    scenario: &'a Scenario,
    program: std::path::PathBuf,
}

impl Plain<'_> {
    /// Runs dbbak as the user, with more of its rights by words for `setpriv`.
    fn run(&self, rights: &[&str], args: &[&str]) -> Ran {
        let command = self.scenario.command(args);
        let mut plain = Command::new("setpriv");
        plain.args(["--reuid", &USER.to_string(), "--regid", &USER.to_string()]).args(rights).arg(&self.program);
        plain.args(command.get_args());
        command.get_envs().for_each(|(name, value)| {
            plain.env(name, value.unwrap_or_default());
        });
        let output = plain.output().unwrap();
        Ran {
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

#[test]
fn real_plain_users_back_up_what_they_may_read() {
    // The test gives files away, and becomes somebody else.
    if !require_servers() || !rustix::process::geteuid().is_root() {
        return;
    }
    let scenario = Scenario::new();
    scenario
        .server
        .sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); INSERT INTO shop.t VALUES (1), (2)");
    scenario.server.sql("FLUSH BINARY LOGS");
    let datadir = scenario.server.datadir().to_owned();
    for path in [scenario.store(), scenario.root().join("scratch"), scenario.root().join("tmp")] {
        give(&path, Some(USER), Some(USER));
    }
    give(&scenario.server.backup_option_file(), Some(USER), Some(USER));
    fs::set_permissions(scenario.root(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(datadir.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    let binlog_dir = Path::new(&scenario.server.value("SELECT @@log_bin_basename")).parent().unwrap().to_owned();
    give(&datadir, None, Some(GROUP));
    give(&binlog_dir, None, Some(GROUP));
    let program = scenario.root().join("dbbak");
    fs::copy(dbbak(), &program).unwrap();
    let plain = Plain { scenario: &scenario, program };
    let number = GROUP.to_string();
    let (alone, group) = (&["--clear-groups"][..], &["--groups", &number][..]);
    let capable = &["--clear-groups", "--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"][..];
    let refused = |rights: &[&str], closed: &Path| {
        let told = format!("may not list {} as user {USER}", closed.display());
        let check = plain.run(rights, &["check"]).exits(5);
        let line =
            check.stdout.lines().find(|line| line.starts_with("PROBLEM  full: ")).unwrap_or_else(|| panic!("{check}"));
        assert!(line.contains(&told) && check.stdout.contains("docs/users.md"), "{check}");
        for args in [&["backup-full"][..], &["backup-full", "--exec"]] {
            plain.run(rights, args).exits(5).says(&told);
        }
        assert_eq!(
            fs::read_dir(scenario.store())
                .unwrap()
                .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("full_") })
                .count(),
            0
        );
    };

    // Nobody else may enter: the distributions' 0700.
    dirs(&datadir, 0o700, 0o700);
    refused(alone, &datadir);
    refused(group, &datadir);
    // A capability is no right of the user, by which mariadb-backup goes; dbbak itself reads the binlogs with it.
    let told = plain.run(capable, &["backup-full"]).exits(5);
    assert!(told.stderr.contains("a capability does not change"), "{told}");
    plain.run(capable, &["ship-binlogs", "--exec"]).exits(0);
    let ran = plain.run(alone, &["ship-binlogs", "--flush", "--exec"]).exits(5);
    assert!(ran.stderr.contains(&format!("dbbak may not read {}", binlog_dir.display())), "{ran}");
    assert!(ran.stderr.contains("--from-server"), "{ran}");
    fs::set_permissions(&binlog_dir, fs::Permissions::from_mode(0o700)).unwrap();
    let ran = plain.run(group, &["ship-binlogs", "--exec"]).exits(5);
    assert!(ran.stderr.contains(&format!("dbbak may not enter {}", binlog_dir.display())), "{ran}");
    plain.run(alone, &["ship-binlogs", "--from-server", "--flush", "--exec"]).exits(0);

    // The group (new files are of it by the directory's mode) may enter the data directory, and not those of databases, as MariaDB makes them.
    dirs(&datadir, 0o2750, 0o700);
    fs::set_permissions(&binlog_dir, fs::Permissions::from_mode(0o2750)).unwrap();
    give(&datadir, None, Some(GROUP));
    give(&binlog_dir, None, Some(GROUP));
    let named = plain.run(group, &["backup-full", "--exec"]).exits(5);
    assert!(named.stderr.contains(&format!("may not list {}/", datadir.display())), "{named}");
    plain.run(group, &["ship-binlogs", "--flush", "--exec"]).exits(0);

    // It may enter all.
    dirs(&datadir, 0o2750, 0o2750);
    let frm = datadir.join("shop/t.frm");
    fs::set_permissions(&frm, fs::Permissions::from_mode(0o600)).unwrap();
    let named = plain.run(group, &["backup-full", "--exec"]).exits(5);
    assert!(named.stderr.contains(&format!("may not read {}", frm.display())), "{named}");
    fs::set_permissions(&frm, fs::Permissions::from_mode(0o660)).unwrap();
    fs::write(datadir.join("private-key.pem"), "no file of a tool").unwrap();
    fs::set_permissions(datadir.join("private-key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    plain.run(group, &["check"]).exits(0);
    plain.run(group, &["backup-full", "--exec"]).exits(0);
    let workdir = scenario.root().join("scratch/r");
    plain.run(group, &["restore", "--no-pitr", "--exec", "--workdir", workdir.to_str().unwrap()]).exits(0);
    assert_eq!(fs::metadata(workdir.join("data/ibdata1")).unwrap().uid(), USER);
    scenario.nothing_survives();
}
