//! A restored server catches up from living ones, and leaves nothing of that behind.

use super::ready::{attach, follows, free_port, gtids, put_into_use, reachable, with_a_full};
use super::resume::Stage;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dbbak_testkit::looking::files_below;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::Vendor;

const PASSWORD: &str = "planted-repl-77c0";

fn login(scenario: &Scenario, password: &str) -> String {
    let path = scenario.fresh("repl.cnf");
    fs::write(&path, format!("[client]\nuser=repl\npassword=\"{password}\"\nconnect-timeout=10\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Files below a directory that hold the password.
fn holding_the_password(dir: &Path) -> Vec<String> {
    let holds = |path: &Path| fs::read(path).unwrap().windows(PASSWORD.len()).any(|bytes| bytes == PASSWORD.as_bytes());
    files_below(dir).into_iter().filter(|path| holds(path)).map(|path| path.display().to_string()).collect()
}

/// The archived server is lost; two replicas of it live on, and one of them is written to all the time.
fn catches_up(vendor: Vendor) {
    let port = free_port();
    let mut scenario = with_a_full(reachable(vendor, 1, port));
    let base = [scenario.restore(&["--no-pitr"]), scenario.restore(&["--no-pitr"])];
    let ports = [free_port(), free_port()];
    let living = [
        put_into_use(&scenario, &base[0], reachable(vendor, 2, ports[0])),
        put_into_use(&scenario, &base[1], reachable(vendor, 3, ports[1])),
    ];
    living.iter().for_each(|server| attach(server, port));
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('archived')");
    scenario.ship();
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('not archived, and written by the lost server')");
    living.iter().for_each(|server| follows(server, &scenario.server));
    let lost = gtids(&scenario.server);
    scenario.server.kill9();
    let [first, second] = &living;
    let forget =
        if vendor == Vendor::Mysql { "STOP REPLICA; RESET REPLICA ALL" } else { "STOP SLAVE; RESET SLAVE ALL" };
    living.iter().for_each(|server| drop(server.sql(forget)));
    attach(second, ports[0]);

    let login_file = login(&scenario, PASSWORD);
    let sources = ports.map(|port| format!("127.0.0.1:{port}"));
    let args = [
        "--catch-up-from",
        &sources[0],
        "--catch-up-from",
        &sources[1],
        "--catch-up-login",
        &login_file,
        "--max-lag",
        "5",
    ];
    let stop = AtomicBool::new(false);
    let restored = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                first.sql("INSERT INTO shop.t (b) VALUES ('by the new source')");
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        let restored = scenario.restore(&args);
        stop.store(true, Ordering::Relaxed);
        restored
    });
    let reached = &restored.report.caught_up;
    assert_eq!(reached.iter().map(|channel| channel.source.to_string()).collect::<Vec<_>>(), sources);
    assert!(reached.iter().all(|channel| channel.lag_seconds <= 5.0 && channel.gtids != lost), "{reached:?}");
    let examination = restored.report.examination.as_ref().unwrap();
    assert!(examination.tables > 10 && examination.account_dropped, "{examination:?}");
    let workdir = restored.datadir.parent().unwrap();
    // The account itself came with the data, as a hash.
    assert_eq!(holding_the_password(workdir), Vec::<String>::new());
    assert!(!restored.ran.stderr.contains(PASSWORD), "{}", restored.ran);

    let server = put_into_use(&scenario, &restored, reachable(vendor, 4, free_port()));
    assert_eq!(gtids(&server), examination.gtids);
    let channels = if vendor == Vendor::Mysql { "SHOW REPLICA STATUS" } else { "SHOW ALL SLAVES STATUS" };
    assert!(server.sql(channels).is_empty(), "no channel is left");
    let rows: u64 = server.value("SELECT COUNT(*) FROM shop.t").parse().unwrap();
    assert!(rows > 3, "{rows}");
    attach(&server, ports[0]);
    follows(&server, first);

    let past = scenario.try_restore(&["--time", "2026-01-01 00:00", "--catch-up-from", &sources[0]]).exits(2);
    assert!(past.stderr.contains("cannot be used with"), "{past}");
    let wrong = login(&scenario, "wrong");
    let refused = scenario.try_restore(&["--catch-up-from", &sources[0], "--catch-up-login", &wrong]).exits(6);
    assert!(refused.stderr.contains(&format!("could not catch up from {}", sources[0])), "{refused}");
    assert!(refused.stderr.contains("1045"), "{refused}");
}

/// A restore that is to catch up dies at each of its steps, and while it catches up.
fn dies_while_it_catches_up(vendor: Vendor) {
    let port = free_port();
    let scenario = with_a_full(reachable(vendor, 1, port));
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('archived')");
    scenario.ship();
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('not archived')");
    let login_file = login(&scenario, PASSWORD);
    let source = format!("127.0.0.1:{port}");
    let mut stage =
        Stage::of(scenario, &["--catch-up-from", &source, "--catch-up-login", &login_file, "--max-lag", "5"]);
    stage.dies_at_each_step_if_there_is_time(10);
    assert!(stage.dies_in("catch up", 7) >= 2);
    // What a killed run leaves of the password goes with the next one.
    for dir in ["dies-1", "dies-2", "resumed-0", "tmp"] {
        assert_eq!(holding_the_password(&stage.scenario.root().join(dir)), Vec::<String>::new());
    }
}

#[test]
fn real_catch_up_begins_anew_after_kills() {
    if require_servers() {
        dies_while_it_catches_up(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_catch_up_begins_anew_after_kills() {
    if require_mysql() {
        dies_while_it_catches_up(Vendor::Mysql);
    }
}

#[test]
fn real_catch_up_from_living_servers() {
    if require_servers() {
        catches_up(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_catch_up_from_living_servers() {
    if require_mysql() {
        catches_up(Vendor::Mysql);
    }
}
