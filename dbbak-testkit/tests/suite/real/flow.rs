//! A window that is larger than its room flows through the applier in batches.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

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
    ALTER DEFINER=root@localhost EVENT shop.on_event COMMENT 'changed';
    FLUSH BINARY LOGS;
    INSERT INTO shop.t (b) VALUES ('BIG_f');
";

/// A temporary table.
const SCRATCH: &str = "CREATE TEMPORARY TABLE shop.scratch (x INT); INSERT INTO shop.scratch VALUES (41), (42);";

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
        scenario.planted_full();
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
    let window = WINDOW.replace("SCRATCH", SCRATCH);
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
fn real_mysql_window_flows_in_batches() {
    if require_mysql() {
        flows(Options::mysql());
    }
}
