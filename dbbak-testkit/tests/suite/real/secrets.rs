//! The server account's password shows up nowhere but in the option file.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::BACKUP_PASSWORD;

/// The secret of other settings than the client's password.
const OTHER: &str = "Other-s3cret.of-the/server";

/// Settings that hold one, of the server and its plugins.
const OTHERS: [&str; 5] = [
    "wsrep_sst_auth",
    "loose-authentication_ldap_simple_bind_root_pwd",
    "hashicorp-key-management-token",
    "file_key_management_filekey",
    "report-password",
];

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Looks at the arguments and environment of every process until it is told to stop. Returns how many different command
/// lines of the test it saw, and those that held the password.
fn watch(stop: &AtomicBool, root: &str) -> (usize, BTreeSet<String>) {
    let (mut seen, mut leaks) = (BTreeSet::new(), BTreeSet::new());
    while !stop.load(Ordering::Relaxed) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            let line = String::from_utf8_lossy(&command).replace('\0', " ");
            if holds(&command, BACKUP_PASSWORD) || holds(&environment, BACKUP_PASSWORD) {
                leaks.insert(line.clone());
            }
            if line.contains(root) {
                seen.insert(line);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (seen.len(), leaks)
}

#[test]
fn real_password_shows_up_nowhere() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 61);
    workload.run(40).unwrap();
    // A server's own option file is kept with a full: its secrets are not.
    let kept = scenario.root().join("my.cnf");
    let more: String = OTHERS.iter().map(|name| format!("{name} = {OTHER}\n#loose-{name}={OTHER}\n")).collect();
    fs::write(&kept, format!("[client]\npassword={BACKUP_PASSWORD}\n[mysqld]\nmax_connections=99\n{more}")).unwrap();
    // The server's own variables hold secrets too.
    scenario.server.sql(&format!("SET GLOBAL init_connect = \"SET @password = '{OTHER}'\""));
    scenario.configure_server(&format!("config_files: [\"{}\"]", kept.display()));
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (stop, root) = (Arc::clone(&stop), scenario.root().display().to_string());
        std::thread::spawn(move || watch(&stop, &root))
    };
    let mut said = Vec::new();
    let commands: [&[&str]; 10] = [
        &["backup-full"],
        &["backup-full", "--json", "--exec"],
        &["backup-incr", "--json"],
        &["backup-incr", "--exec"],
        &["ship-binlogs", "--flush"],
        &["ship-binlogs", "--flush", "--exec"],
        &["restore", "--json"],
        &["list"],
        &["list", "--json"],
        &["check"],
    ];
    for args in commands {
        let ran = scenario.dbbak(args);
        assert!(args == ["check"] || ran.code == Some(0), "{ran}");
        said.push(ran);
        workload.run(5).unwrap();
    }
    scenario.next_second();
    said.push(scenario.ship());
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let restored = scenario.restore(&[]);
    said.push(restored.ran);

    // A wrong password fails, and neither is told.
    let option_file = scenario.server.backup_option_file();
    let right = fs::read_to_string(&option_file).unwrap();
    let wrong = format!("{BACKUP_PASSWORD}-wrong");
    fs::write(&option_file, right.replace(BACKUP_PASSWORD, &wrong)).unwrap();
    for args in [&["backup-full", "--exec"][..], &["ship-binlogs", "--exec"], &["check"]] {
        let ran = scenario.dbbak(args);
        assert_ne!(ran.code, Some(0), "{ran}");
        said.push(ran);
    }
    fs::write(&option_file, &right).unwrap();

    stop.store(true, Ordering::Relaxed);
    let (seen, leaks) = watcher.join().unwrap();
    assert!(seen > 5, "the watcher saw {seen} command lines only");
    assert!(leaks.is_empty(), "processes that held the password: {leaks:#?}");
    for ran in &said {
        let said = format!("{ran}");
        assert!(![BACKUP_PASSWORD, OTHER].iter().any(|secret| holds(said.as_bytes(), secret)), "{ran}");
    }
    // Every file but the option file: the store with its logs, the scratch directory, the restored data with its report.
    let mut looked_at = 0;
    for path in files_below(scenario.root()) {
        if path == option_file || path == kept || path.starts_with(scenario.root().join("server")) {
            continue;
        }
        looked_at += 1;
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(![BACKUP_PASSWORD, OTHER].iter().any(|secret| holds(&bytes, secret)), "{}", path.display());
    }
    assert!(looked_at > 100, "{looked_at}");
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
}
