//! A window that is larger than its room flows through the applier in batches.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dbbak_testkit::planted::plant_full;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Rows, Server, Vendor};

/// Room for less than a quarter of the window.
const SMALL: &str = "replay_space: 1M";

/// Binlogs of a quarter of a megabyte each, with what must survive from one batch to the next: a temporary table, a
/// prepared XA transaction, and definitions of events, which do not go through the applier.
const WINDOW: &str = "
    SCRATCH
    INSERT INTO shop.t (b) VALUES ('BIG_a');
    FLUSH BINARY LOGS;
    INSERT INTO shop.t (b) VALUES ('BIG_b');
    CREATE EVENT shop.on_event ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t WHERE a < 0;
    FLUSH BINARY LOGS;
    FLUSH BINARY LOGS;
    INSERT INTO shop.t (b, n) SELECT REPEAT('c', 125000), x FROM shop.scratch;
    FLUSH BINARY LOGS;
    INSERT INTO shop.t (b) VALUES ('BIG_d');
    FLUSH BINARY LOGS;
    INSERT INTO shop.t (b) VALUES ('BIG_e');
    ALTER EVENT shop.on_event COMMENT 'changed';
    FLUSH BINARY LOGS;
    INSERT INTO shop.t (b) VALUES ('BIG_f');
";

/// A temporary table. MySQL logs none of it again where its format is not STATEMENT.
const SCRATCH: &str = "CREATE TEMPORARY TABLE shop.scratch (x INT); INSERT INTO shop.scratch VALUES (41), (42);";
const NO_SCRATCH: &str = "CREATE TABLE shop.scratch (x INT); INSERT INTO shop.scratch VALUES (41), (42);";

fn scenario(options: Options) -> Scenario {
    let mut scenario = Scenario::with(options.with("--binlog-format=STATEMENT"), SMALL);
    scenario.server.sql(
        "CREATE DATABASE shop;
         CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b LONGTEXT, n INT);
         INSERT INTO shop.t (b) VALUES ('before')",
    );
    if scenario.server.options().vendor == Vendor::Mariadb {
        scenario.full();
    } else {
        fs::remove_file(scenario.store().join("dbbak.json")).unwrap();
        let store = scenario.store();
        plant_full(&mut scenario.server, &store).unwrap();
        scenario.dbbak(&["init"]).exits(0);
    }
    scenario
}

fn shown(server: &Server) -> Vec<Rows> {
    [
        "SELECT a, CRC32(b), LENGTH(b), n FROM shop.t ORDER BY a",
        "SELECT event_name, status, event_comment FROM information_schema.events WHERE event_schema = 'shop'",
    ]
    .iter()
    .map(|sql| server.sql(sql))
    .collect()
}

fn looked_at(scenario: &Scenario, datadir: &Path) -> Vec<Rows> {
    let options = Options { log_bin: None, ..scenario.server.options().clone() };
    let mut server = Server::on_datadir(datadir, &scenario.fresh("look"), options).unwrap();
    let shown = shown(&server);
    server.stop().unwrap();
    shown
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Restores while somebody watches how much the unpacked binlogs take.
fn watched(scenario: &Scenario, args: &[&str]) -> (PathBuf, u64) {
    let (workdir, done) = (scenario.fresh("flow"), AtomicBool::new(false));
    let (ran, most) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(bytes_in(&workdir.join("binlogs")));
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            most
        });
        let ran = scenario.dbbak(&[&["restore"], args, &["--exec", "--workdir", workdir.to_str().unwrap()]].concat());
        done.store(true, Ordering::Relaxed);
        (ran, watch.join().unwrap())
    });
    let ran = ran.exits(0);
    assert!(ran.stderr.contains("the binlogs are unpacked in "), "{ran}");
    assert!(!workdir.join("binlogs").exists() && !workdir.join("replay-log").exists());
    (workdir.join("data"), most)
}

fn flows(options: Options) {
    let scenario = scenario(options);
    let mariadb = scenario.server.options().vendor == Vendor::Mariadb;
    let window = WINDOW.replace("SCRATCH", if mariadb { SCRATCH } else { NO_SCRATCH });
    // Statements are logged as they are written.
    let window = ["a", "b", "d", "e", "f"]
        .iter()
        .fold(window, |text, letter| text.replace(&format!("BIG_{letter}"), &letter.repeat(250_000)));
    scenario.server.sql(&window);
    let wanted = shown(&scenario.server);
    scenario.ship();
    let (datadir, most) = watched(&scenario, &["--latest"]);
    assert_eq!(looked_at(&scenario, &datadir), wanted);
    assert!(most < 900_000, "of 1.5 MB {most} bytes lay there at once");
    // One reader goes through all.
    let pipe = scenario.restore(&["--latest", "--replay", "pipe"]);
    assert!(!pipe.ran.stderr.contains(" batches "), "{}", pipe.ran);
    assert_eq!(looked_at(&scenario, &pipe.datadir), wanted);
    scenario.nothing_survives();
}

#[test]
fn real_window_flows_in_batches() {
    if require_servers() {
        flows(Options::default());
    }
}

#[test]
fn real_window_flows_in_batches_on_mysql() {
    if require_mysql() {
        flows(Options::mysql());
    }
}

/// A MySQL server with a full in the store, and a table of three rows.
fn small(config: &str) -> Scenario {
    let mut scenario = Scenario::with(Options::mysql().with("--binlog-format=STATEMENT"), config);
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(20))");
    fs::remove_file(scenario.store().join("dbbak.json")).unwrap();
    let store = scenario.store();
    plant_full(&mut scenario.server, &store).unwrap();
    scenario.dbbak(&["init"]).exits(0);
    scenario
}

/// However the private server is used: when it is killed while it applies, that is what is said.
#[test]
fn real_mysql_that_dies_while_it_applies() {
    if !require_mysql() {
        return;
    }
    let scenario = small("");
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
        std::thread::sleep(Duration::from_millis(1500));
        let pid = rustix::process::Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{stderr}");
        assert!(stderr.contains("the private server died while it applied"), "{way}: {stderr}");
        scenario.nothing_survives();
    }
}

/// A binlog of another history, with the same name and the same GTIDs, takes the place of one that was verified: what
/// the server logs is not what the archive holds.
#[test]
fn real_binlog_of_another_timeline_slipped_in() {
    if !require_mysql() {
        return;
    }
    let scenario = small("");
    let insert = "INSERT INTO shop.t (b) VALUES ('one'); INSERT INTO shop.t (b) VALUES ('two')";
    scenario.server.sql(&format!("SET SESSION binlog_format = ROW; {insert}; FLUSH BINARY LOGS"));
    scenario.ship();
    let log = scenario.server.binlog_dir().join("mysql-bin.000002");
    let of_the_archive = fs::read(&log).unwrap();
    let behind = scenario.server.value("SELECT @@GLOBAL.gtid_executed");
    let first: u64 = behind.rsplit(['-', ':']).next().unwrap().parse::<u64>().unwrap() - 1;
    let uuid = behind.split(':').next().unwrap();
    // The same two GTIDs again, with other changes under them.
    scenario.server.sql(&format!(
        "RESET BINARY LOGS AND GTIDS; SET GLOBAL gtid_purged = '{uuid}:1-{}'; FLUSH BINARY LOGS;
         SET SESSION binlog_format = ROW; DELETE FROM shop.t; INSERT INTO shop.t (b) VALUES ('three'); FLUSH BINARY LOGS",
        first - 1
    ));
    let of_another = fs::read(&log).unwrap();
    assert_ne!(of_the_archive, of_another);
    let (slip, program) = (scenario.root().join("slip"), scenario.root().join("mysqld"));
    fs::write(&slip, of_another).unwrap();
    let real = Vendor::Mysql.program("mysqld").unwrap();
    let script = format!(
        "#!/bin/sh\nfor arg; do case \"$arg\" in --replica-load-tmpdir=*)\n\
         for name in \"${{arg#*=}}\"/mysql-bin.0*; do [ \"$(stat -c %s \"$name\")\" = {} ] && cp '{}' \"$name\"; done;;\n\
         esac; done\nexec '{}' \"$@\"\n",
        of_the_archive.len(),
        slip.display(),
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let config = fs::read_to_string(scenario.root().join("dbbak.yml")).unwrap();
    let config = config.replace(&real.display().to_string(), &program.display().to_string());
    fs::write(scenario.root().join("dbbak.yml"), config).unwrap();
    let failed = scenario.try_restore(&["--latest", "--replay", "relay"]);
    assert!(matches!(failed.code, Some(6 | 7)), "{failed}");
    let said = ["differs: expected", "did not apply", "ended at GTID position"];
    assert!(said.iter().any(|said| failed.stderr.contains(said)), "{failed}");
    scenario.nothing_survives();
}
