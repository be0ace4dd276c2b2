//! Finding the accident in the archive of a real server, and restoring to just before it.

use dbbak_testkit::real::require_servers;
use dbbak_testkit::scenario::Scenario;

#[test]
fn real_dropped_table_is_found_and_comes_back() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    scenario.configure("binlog_compression: zstd\n");
    let mut workload = scenario.workload("shop", 31);
    workload.run(40).unwrap();
    scenario.full();
    scenario.next_second();
    workload.run(60).unwrap();
    scenario.server.sql("CREATE DATABASE till; CREATE TABLE till.sales (id INT PRIMARY KEY, what TEXT)");
    scenario.server.sql("INSERT INTO till.sales VALUES (1, 'beer'), (2, 'wine'), (3, 'bread')");
    scenario.server.sql("CREATE USER clerk IDENTIFIED BY 'planted-password'");
    // Statements are not counted, and this server's binlog_format is MIXED.
    scenario.server.sql("SET SESSION binlog_format = ROW; DELETE FROM till.sales WHERE id < 3");
    scenario.server.sql("DROP TABLE till.sales");
    workload.run(40).unwrap();
    scenario.ship();

    let found = scenario.dbbak(&["find", "--table", "till.sales", "--kind", "drop", "--json"]).exits(0).json();
    assert_eq!((&found["total"], &found["unsearched"]), (&1.into(), &serde_json::json!([])), "{found:#}");
    let hit = &found["hits"][0];
    // What the server itself says of that place.
    let (file, start) = (hit["file"].as_str().unwrap(), hit["start"].as_u64().unwrap());
    let events = scenario.server.sql(&format!("SHOW BINLOG EVENTS IN '{file}' FROM {start} LIMIT 2"));
    let gtid = hit["gtid"].as_str().unwrap();
    assert!(events[0][2] == "Gtid" && events[0][5].contains(gtid), "{events:?}");
    assert!(events[1][5].contains("DROP TABLE"), "{events:?}");
    assert_eq!(events[1][4], hit["end"].to_string(), "{events:?}");
    let command = hit["restore_command"].as_str().unwrap();
    assert!(command.ends_with(&format!(" restore --before-gtid {gtid}")), "{command}");

    // The command that is printed plans to end just before it, and so does the place by file and offset.
    let position = format!("{file}:{start}");
    for (option, value) in [("--before-gtid", gtid), ("--position", position.as_str())] {
        let plan = scenario.dbbak(&["restore", option, value]).exits(0);
        let excluded = plan.stdout.lines().find(|line| line.contains("first excluded:")).unwrap_or_default();
        assert!(excluded.contains(gtid) && excluded.contains("DROP TABLE"), "{plan}");
    }

    let deleted = scenario.dbbak(&["find", "--kind", "delete", "--table", "till.*", "--min-rows", "2"]).exits(0);
    assert!(deleted.stdout.contains("till.sales: delete 2 rows"), "{deleted}");
    let none = scenario.dbbak(&["find", "--kind", "delete", "--table", "till.*", "--min-rows", "3"]).exits(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("nothing found"), "{none}");
    let ddl = scenario.dbbak(&["find", "--kind", "ddl", "--statement", "create user"]).exits(0);
    assert!(ddl.stdout.contains("CREATE USER clerk") && !ddl.stdout.contains("planted"), "{ddl}");

    // The time that is shown is the one that a restore goes by: it ends before this very transaction, or before others of
    // its second.
    let time = hit["time"].as_str().unwrap();
    let plan = scenario.dbbak(&["restore", "--time", time, "--exact"]).exits(0);
    let shown = plan.stdout.lines().find(|line| line.contains("first excluded:")).unwrap();
    assert!(shown.contains(&format!("{time} UTC or later")), "{shown}");

    // Lost indexes are made again from the zstd files as they were.
    let binlogs = scenario.store().join("binlogs");
    let indexes = || {
        let names = std::fs::read_dir(&binlogs).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<_> = names
            .filter(|path| path.extension().is_some_and(|extension| extension == "tx"))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect();
        all.sort();
        all
    };
    let before = indexes();
    assert!(!before.is_empty());
    for (path, _) in &before {
        std::fs::remove_file(path).unwrap();
    }
    scenario.dbbak(&["find", "--kind", "drop"]).exits(9).says("dbbak reindex --exec");
    scenario.dbbak(&["reindex", "--exec"]).exits(0);
    assert!(indexes() == before);
    // The replay reads the zstd files.
    let restored = scenario.restore(&["--time", time, "--exact"]);
    assert!(!scenario.checksums_of(&restored.datadir, "shop").is_empty());
}
