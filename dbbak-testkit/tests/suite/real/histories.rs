//! Binlogs whose names, stamps or bytes mislead: two servers, two resets, shuffled times of modification, damage on the server.

use std::fs;
use std::time::{Duration, SystemTime};

use dbbak_testkit::looking::files_below;
use dbbak_testkit::random::Random;
use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Options, Server, copy_tree};
use dbbak_testkit::workload::{Mix, Workload};

/// The binlogs of two servers that know nothing of each other lie in one store under equal names: each backup is led on with
/// its own server's.
#[test]
fn real_two_servers_with_equal_file_names_are_told_apart() {
    if !require_servers() {
        return;
    }
    let mut scenario = Scenario::new();
    // Two servers with one id that begin their logs in one second write the same first events: dbbak could only refuse.
    scenario.next_second();
    let other = Server::start(&scenario.root().join("other"), Options::default()).unwrap();
    let mut stories = Vec::new();
    let mut waiting = Some(other);
    for seed in [71, 72] {
        let mut workload = scenario.workload("shop", seed);
        workload.run(30).unwrap();
        let full = scenario.full();
        workload.run(30).unwrap();
        scenario.server.sql("FLUSH BINARY LOGS");
        workload.run(30).unwrap();
        let wanted = workload.snapshot(&scenario.server).unwrap();
        let time = scenario.next_second();
        workload.run(30).unwrap();
        scenario.next_second();
        scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]);
        stories.push((full, time, wanted));
        // The configuration names the other server from here on.
        if let Some(other) = waiting.take() {
            drop(workload);
            let first = std::mem::replace(&mut scenario.server, other);
            scenario.configure("");
            drop(first);
        }
    }
    let names: Vec<String> = files_below(&scenario.store().join("binlogs"))
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| name.contains("mysql-bin.000001"))
        .collect();
    assert!(names.len() >= 2, "{names:?}");
    for (full, time, wanted) in &stories {
        let restored = scenario.restore(&["--backup", full, "--time", time, "--exact"]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums, "{full} to {time}");
    }
}

/// File names and GTIDs come again twice, all within a minute or little more.
#[test]
fn real_two_resets_in_a_row_make_three_histories() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 73);
    let mut stories = Vec::new();
    for round in 0..3 {
        workload.run(20).unwrap();
        scenario.server.sql("FLUSH BINARY LOGS");
        let full = scenario.full();
        workload.run(20).unwrap();
        let wanted = workload.snapshot(&scenario.server).unwrap();
        let time = scenario.next_second();
        workload.run(20).unwrap();
        scenario.next_second();
        // What the open file of the history before held at the reset is lost, and that is told.
        let code = if round == 0 { 0 } else { 9 };
        scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(code);
        stories.push((full, time, wanted));
        if round < 2 {
            scenario.server.sql("RESET MASTER");
        }
    }
    let list = scenario.dbbak(&["list", "--json"]).exits(0).json();
    let timelines = list["binlogs"].as_array().unwrap();
    assert_eq!(timelines.len(), 3, "{list:#}");
    assert!(timelines.iter().all(|timeline| timeline["first"] == "mysql-bin.000001"), "{list:#}");
    for (full, time, wanted) in &stories {
        let restored = scenario.restore_at(time);
        assert!(restored.report.chain[0].backup.contains(full.as_str()), "{:?}", restored.report.chain);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums, "{time}");
    }
}

#[test]
fn real_shuffled_times_of_modification_change_nothing() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = scenario.workload("shop", 74);
    workload.run(30).unwrap();
    scenario.full();
    for _ in 0..4 {
        workload.run(15).unwrap();
        scenario.server.sql("FLUSH BINARY LOGS");
    }
    scenario.incr();
    workload.run(15).unwrap();
    let wanted = workload.snapshot(&scenario.server).unwrap();
    let time = scenario.next_second();
    workload.run(15).unwrap();
    scenario.next_second();
    scenario.ship();

    // What is restored from what; into one directory, since a name would be made up for each plan.
    let workdir = scenario.fresh("planned");
    let plan = |scenario: &Scenario| {
        let args = ["restore", "--time", &time, "--exact", "--workdir", workdir.to_str().unwrap()];
        let ran = scenario.dbbak(&args).exits(0);
        let lines = ran.stdout.lines().take_while(|line| *line != "Steps:");
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = plan(&scenario);
    let mut random = Random::new(74);
    for path in files_below(&scenario.store()) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + random.below(900_000_000));
        fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
    }
    assert_eq!(plan(&scenario), before);
    let restored = scenario.restore_at(&time);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted.checksums);
}

/// What the server will purge must not be lost: a damaged binlog is kept and marked, and nothing is replayed over the damage.
#[test]
fn real_binlog_that_was_damaged_on_the_server_is_kept_and_not_crossed() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    let mut workload = Workload::new(&scenario.server, "shop", 75, Mix { ddl: false, ..Mix::default() }).unwrap();
    workload.run(30).unwrap();
    scenario.full();
    workload.run(30).unwrap();
    let before = workload.snapshot(&scenario.server).unwrap();
    let before_damage = scenario.next_second();
    workload.run(30).unwrap();
    let hit = workload.snapshot(&scenario.server).unwrap().binlog;
    workload.run(30).unwrap();
    scenario.next_second();
    scenario.server.sql("FLUSH BINARY LOGS");
    workload.run(30).unwrap();
    let beyond = scenario.next_second();
    // The disk flips a bit of a closed file.
    let path = scenario.server.binlog_dir().join(&hit.0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(hit.1).unwrap() + 40] ^= 0x10;
    fs::write(&path, &bytes).unwrap();

    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(9).says(&hit.0);
    let again = scenario.dbbak(&["ship-binlogs", "--exec"]);
    assert!(again.stdout.contains("0 binlogs archived"), "{again}");

    let restored = scenario.restore_at(&before_damage);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), before.checksums);
    let refused = scenario.try_restore(&["--time", &beyond, "--exact"]).exits(5);
    assert!(refused.stderr.contains(&hit.0) && refused.stderr.contains("damaged"), "{refused}");
    // A new full leads on from behind the damage.
    scenario.full();
    workload.run(15).unwrap();
    let after = workload.snapshot(&scenario.server).unwrap();
    let time = scenario.next_second();
    workload.run(15).unwrap();
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]);
    let restored = scenario.restore_at(&time);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), after.checksums);
}

/// Sequence numbers of a domain go back, as `gtid_strict_mode=OFF` lets a session do: it is one history, and is replayed as one. A data
/// directory that was put back and wrote on is another one, and is told.
#[test]
fn real_numbers_that_go_back_are_one_history_and_a_directory_put_back_another() {
    if !require_servers() {
        return;
    }
    let mut scenario = Scenario::with(Options::default().with("--gtid-strict-mode=OFF"), "");
    let write = |scenario: &Scenario, value: u32| scenario.server.sql(&format!("INSERT INTO shop.t VALUES ({value})"));
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY) ENGINE=InnoDB");
    scenario.full();
    (1..8).for_each(|value| drop(write(&scenario, value)));
    // Back in the same file, once as its last transaction, and in the files that follow.
    for (value, number) in [(20, 3), (30, 5), (40, 1)] {
        scenario.server.sql(&format!("SET SESSION gtid_seq_no = {number}; INSERT INTO shop.t VALUES ({value})"));
        scenario.server.sql("FLUSH BINARY LOGS");
        scenario.dbbak(&["ship-binlogs", "--exec"]).exits(0);
        assert_eq!(scenario.server.value("SELECT @@gtid_binlog_state"), format!("0-1-{number}"));
        write(&scenario, value + 1);
    }
    scenario.next_second();
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0);
    for way in ["relay", "pipe"] {
        let restored = scenario.restore(&["--latest", "--replay", way]);
        assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted, "{way}");
    }

    // Data and logs are put back to where they were, and the server writes on: its numbers come again.
    let dirs = [scenario.server.datadir().to_owned(), scenario.server.binlog_dir()];
    let kept = |place: usize| scenario.root().join(format!("kept-{place}"));
    let kept = [kept(0), kept(1)];
    scenario.server.stop().unwrap();
    dirs.iter().zip(&kept).for_each(|(dir, kept)| copy_tree(dir, kept).unwrap());
    scenario.server.restart().unwrap();
    (100..110).for_each(|value| drop(write(&scenario, value)));
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0);
    scenario.server.stop().unwrap();
    for (dir, kept) in dirs.iter().zip(&kept) {
        fs::remove_dir_all(dir).unwrap();
        copy_tree(kept, dir).unwrap();
    }
    scenario.server.restart().unwrap();
    (200..204).for_each(|value| drop(write(&scenario, value)));
    let told = scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0).stderr;
    assert!(told.contains("WARNING: another history: the server's mysql-bin.00000"), "{told}");
    // Nothing tells by GTIDs from where on: no restore pretends to know.
    let refused = scenario.try_restore(&["--latest"]).exits(5);
    assert!(refused.stderr.contains("in timeline t2"), "{}", refused.stderr);
    scenario.next_second();
    scenario.full();
    write(&scenario, 300);
    scenario.next_second();
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]).exits(0);
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
}
