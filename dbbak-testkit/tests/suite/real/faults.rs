//! What can go wrong on the way: a private server that dies, binlogs of another history, an end that is none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dbbak_core::plan::RestoreReport;
use dbbak_testkit::cli::Ran;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Vendor};

/// A server with a full in the store, and an empty table.
fn small(vendor: Vendor) -> Scenario {
    let options = match vendor {
        Vendor::Mariadb => Options::default(),
        Vendor::Mysql => Options::mysql(),
    };
    let mut scenario = Scenario::with(options.with("--binlog-format=STATEMENT"), "");
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(20)) ENGINE=InnoDB",
    );
    scenario.planted_full();
    scenario
}

/// However the private server is used: when it is killed while it applies, that is what is said.
fn dies_while_it_applies(vendor: Vendor) {
    let scenario = small(vendor);
    scenario.server.sql("INSERT INTO shop.t (b) VALUES (SLEEP(20))");
    scenario.ship();
    for way in ["relay", "pipe"] {
        let workdir = scenario.fresh("dies");
        let args = ["restore", "--latest", "--replay", way, "--exec", "--workdir", workdir.to_str().unwrap()];
        let child = scenario.command(&args).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        // The replay has begun when the server has read the statements that make its account, and they are gone.
        let pid = loop {
            let private = fs::read_dir(scenario.root().join("tmp")).unwrap().flatten().map(|entry| entry.path());
            let mut ready = private.filter(|dir| dir.join("pid").exists() && !dir.join("init.sql").exists());
            if let Some(dir) = ready.next() {
                break fs::read_to_string(dir.join("pid")).unwrap();
            }
            assert!(Instant::now() < deadline, "no private server");
            std::thread::sleep(Duration::from_millis(20));
        };
        std::thread::sleep(Duration::from_millis(2500));
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{stderr}");
        assert!(stderr.contains("the private server died while it applied"), "{way}: {stderr}");
        scenario.nothing_survives();
    }
}

#[test]
fn real_server_that_dies_while_it_applies() {
    if require_servers() {
        dies_while_it_applies(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_that_dies_while_it_applies() {
    if require_mysql() {
        dies_while_it_applies(Vendor::Mysql);
    }
}

/// Puts a script in the place of one of the vendor's programs: it does something, and then runs the real one.
fn wrap(scenario: &Scenario, key: &str, name: &str, script: &str) {
    let (program, real) = (scenario.root().join(name), scenario.server.options().vendor.program(name).unwrap());
    fs::write(&program, format!("#!/bin/sh\nreal='{}'\n{script}\nexec \"$real\" \"$@\"\n", real.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("{key}: {}", program.display()));
}

/// A script that puts another file in the place of the unpacked binlog of this size, before the program opens it: the
/// directory is found by an argument.
fn slip_in(found: &str, size: usize, other: &Path) -> String {
    format!(
        "for arg; do case \"$arg\" in {found} for name in \"$dir\"/mysql-bin.0*; do \
         [ \"$(stat -c %s \"$name\")\" = {size} ] && cp '{}' \"$name\"; done;; esac; done",
        other.display()
    )
}

/// A binlog of another history, with the same name and the same GTIDs, takes the place of one that was verified: what
/// the server logs is not what the archive holds.
fn another_timeline(vendor: Vendor, ways: [(&str, &str, &str, &str); 2]) {
    let scenario = small(vendor);
    let insert = "INSERT INTO shop.t (b) VALUES ('one'); INSERT INTO shop.t (b) VALUES ('two')";
    scenario.server.sql(&format!("SET SESSION binlog_format = ROW; {insert}; FLUSH BINARY LOGS"));
    scenario.ship();
    // The first file stands before the full.
    let log = scenario.server.binlog_dir().join("mysql-bin.000002");
    let of_the_archive = fs::read(&log).unwrap();
    // The same two GTIDs again, with other changes under them.
    let again = match vendor {
        Vendor::Mysql => {
            let behind = scenario.server.value("SELECT @@GLOBAL.gtid_executed");
            let last: u64 = behind.rsplit(['-', ':']).next().unwrap().parse().unwrap();
            let uuid = behind.split(':').next().unwrap();
            format!("RESET BINARY LOGS AND GTIDS; SET GLOBAL gtid_purged = '{uuid}:1-{}'; FLUSH BINARY LOGS", last - 2)
        }
        Vendor::Mariadb => {
            let behind = scenario.server.value("SELECT @@GLOBAL.gtid_binlog_pos");
            let last: u64 = behind.rsplit('-').next().unwrap().parse().unwrap();
            // So that the second file begins with the list of GTIDs that it began with before.
            format!("RESET MASTER; SET GLOBAL gtid_binlog_state = '0-1-{}'; FLUSH BINARY LOGS", last - 2)
        }
    };
    scenario.server.sql(&format!(
        "{again}; SET SESSION binlog_format = ROW; DELETE FROM shop.t; INSERT INTO shop.t (b) VALUES ('three'); FLUSH BINARY LOGS"
    ));
    let of_another = fs::read(&log).unwrap();
    assert_ne!(of_the_archive, of_another);
    let slip = scenario.root().join("slip");
    fs::write(&slip, of_another).unwrap();
    for (way, key, program, found) in ways {
        let script = slip_in(found, of_the_archive.len(), &slip);
        wrap(&scenario, key, program, &script);
        let failed = scenario.try_restore(&["--latest", "--replay", way]);
        assert!(matches!(failed.code, Some(6 | 7)), "{way}: {failed}");
        let said = ["differs: expected", "did not apply", "ended at GTID position"];
        assert!(said.iter().any(|said| failed.stderr.contains(said)), "{way}: {failed}");
        scenario.nothing_survives();
    }
}

/// An argument of a binlog reader: the file.
const READ: &str = "*/binlogs/mysql-bin.0*) dir=${arg%/*};";

#[test]
fn real_binlog_of_another_timeline_slipped_in() {
    if require_servers() {
        let fed = "--log-bin=*/binlogs/*) dir=${arg#*=}; dir=${dir%/*};";
        let ways = [("relay", "mysqld", "mariadbd", fed), ("pipe", "mysqlbinlog", "mariadb-binlog", READ)];
        another_timeline(Vendor::Mariadb, ways);
    }
}

#[test]
fn real_mysql_binlog_of_another_timeline_slipped_in() {
    if require_mysql() {
        let applied = "--replica-load-tmpdir=*) dir=${arg#*=};";
        let ways = [("relay", "mysqld", "mysqld", applied), ("pipe", "mysqlbinlog", "mysqlbinlog", READ)];
        another_timeline(Vendor::Mysql, ways);
    }
}

/// The replay was whole and its end was none: the data are kept and marked, and no account of the run serves anybody.
#[track_caller]
fn is_kept_and_marked(scenario: &Scenario, args: &[&str], said: &str) -> (Ran, PathBuf) {
    let workdir = scenario.fresh("unclean");
    let all = [&["restore"], args, &["--workdir", workdir.to_str().unwrap(), "--exec"]].concat();
    let failed = scenario.dbbak(&all).exits(7);
    assert!(failed.stderr.contains(said), "{failed}");
    assert!(workdir.join("data").exists(), "the data are kept for a look");
    let report: RestoreReport = serde_json::from_slice(&fs::read(workdir.join("dbbak-restore.json")).unwrap()).unwrap();
    assert!(report.unproven.as_ref().is_some_and(|text| text.contains(said)), "{report:?}");
    assert_eq!(report.finished_at, None);
    scenario.nothing_survives();
    (failed, workdir)
}

/// The client of a private server: where it is to say something, its server is killed.
fn kills_at(said: &str, then: &str) -> String {
    format!(
        "for arg; do case \"$arg\" in --socket=*) dir=${{arg#*=}}; dir=${{dir%/*}};; esac; done\n\
         case \"$*\" in *--binary-mode*|*--execute=SELECT*) exec \"$real\" \"$@\";; esac\n\
         [ -f \"$dir/pid\" ] || exec \"$real\" \"$@\"\n\
         pid=$(cat \"$dir/pid\")\n\
         case \"$*\" in *--execute=*) exec \"$real\" \"$@\";; esac\n\
         input=$(cat)\n\
         case \"$input\" in *\"{said}\"*) kill -9 \"$pid\"; sleep 1; {then};; esac\n\
         printf '%s\\n' \"$input\" | \"$real\" \"$@\"; exit"
    )
}

/// The server dies when it is to shut down, and when it is to be looked at: by real signals, at its real end.
fn unclean_end(vendor: Vendor) {
    let scenario = small(vendor);
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('on')");
    scenario.ship();
    let client = match vendor {
        Vendor::Mariadb => "mariadb",
        Vendor::Mysql => "mysql",
    };
    wrap(&scenario, "mysql", client, &kills_at("SHUTDOWN", "exit 0"));
    for args in [&["--latest", "--replay", "relay"][..], &["--latest", "--replay", "pipe"], &["--no-pitr"]] {
        let (failed, _) = is_kept_and_marked(&scenario, args, "the private server did not shut down cleanly: ");
        assert!(failed.stderr.contains("signal 9"), "{failed}");
    }
    wrap(&scenario, "mysql", client, &kills_at("XA RECOVER", ":"));
    for args in [&["--latest", "--replay", "relay"][..], &["--no-pitr"]] {
        is_kept_and_marked(&scenario, args, "the private server could not be examined: ");
    }
    wrap(&scenario, "mysql", client, "");
    scenario.restore(&["--latest"]);
}

#[test]
fn real_end_that_is_unclean_leaves_data_marked() {
    if require_servers() {
        unclean_end(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_end_that_is_unclean_leaves_data_marked() {
    if require_mysql() {
        unclean_end(Vendor::Mysql);
    }
}
