//! A restored data directory starts on a production configuration, as a replica and as a source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use dbbak_core::model::RestoredMark;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::{Restored, Scenario};
use dbbak_testkit::server::{Options, Server, Vendor};

/// A port of the loopback address that nobody listens on at this moment.
pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A server that others can replicate from.
pub(super) fn reachable(vendor: Vendor, server_id: u32, port: u16) -> Options {
    let options = match vendor {
        Vendor::Mariadb => Options::default().with("--log-slave-updates=ON"),
        Vendor::Mysql => Options::mysql(),
    };
    let options = options.with("--skip-networking=OFF").with("--bind-address=127.0.0.1");
    Options { server_id, ..options.with(format!("--port={port}")) }
}

/// Tables, an account that may replicate, and a full.
pub(super) fn with_a_full(options: Options) -> Scenario {
    let vendor = options.vendor;
    let mut scenario = Scenario::with(options, "");
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY AUTO_INCREMENT, b VARCHAR(300));
         CREATE USER repl@'%' IDENTIFIED BY 'planted-repl-77c0'; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO repl@'%';
         INSERT INTO shop.t (b) VALUES ('before')",
    );
    match vendor {
        Vendor::Mariadb => drop(scenario.full()),
        Vendor::Mysql => {
            scenario.planted_full();
        }
    }
    scenario
}

/// Has a server follow another from where its own GTIDs say that it stands.
pub(super) fn attach(replica: &Server, port: u16) {
    replica.sql(&match replica.options().vendor {
        Vendor::Mariadb => format!(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='repl', \
             MASTER_PASSWORD='planted-repl-77c0', MASTER_USE_GTID=slave_pos; START SLAVE"
        ),
        Vendor::Mysql => format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='repl', \
             SOURCE_PASSWORD='planted-repl-77c0', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1; START REPLICA"
        ),
    });
}

pub(super) fn gtids(server: &Server) -> String {
    let sql = match server.options().vendor {
        Vendor::Mariadb => "SELECT @@GLOBAL.gtid_binlog_pos",
        Vendor::Mysql => "SELECT @@GLOBAL.gtid_executed",
    };
    server.value(sql).split_whitespace().collect()
}

/// Waits until a replica has all that its source has, and compares the rows.
#[track_caller]
pub(super) fn follows(replica: &Server, source: &Server) {
    let at = gtids(source);
    let (wait, status) = match replica.options().vendor {
        Vendor::Mariadb => (format!("SELECT MASTER_GTID_WAIT('{at}', 60)"), "SHOW ALL SLAVES STATUS"),
        Vendor::Mysql => (format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{at}', 60)"), "SHOW REPLICA STATUS"),
    };
    let reached = replica.value(&wait);
    assert_eq!(reached, "0", "{:?}\n{}", replica.sql(status), replica.error_log_tail(20));
    let sums = |server: &Server| server.checksums("shop").unwrap();
    assert_eq!(sums(replica), sums(source));
}

/// A server on restored data, with the source's configuration but for its id and port.
pub(super) fn put_into_use(scenario: &Scenario, restored: &Restored, options: Options) -> Server {
    let work = scenario.fresh("used");
    let ready = restored.report.ready.as_ref().unwrap();
    if let (Some(from), Some(_)) = (&ready.binlogs, &ready.binlogs_belong_to) {
        let to = work.join("binlog");
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        // Who takes them elsewhere has the index name them there.
        let index = to.join("mysql-bin.index");
        if let Ok(text) = fs::read_to_string(&index) {
            let (old, new) = (from.to_str().unwrap(), to.to_str().unwrap());
            assert!(text.lines().all(|line| line.starts_with(old)), "{text}");
            fs::write(&index, text.replace(old, new)).unwrap();
        }
    }
    Server::on_datadir(&restored.datadir, &work, options).unwrap()
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What a source shows of its binlogs.
fn binlogs(server: &Server) -> Vec<String> {
    server.sql("SHOW BINARY LOGS").into_iter().map(|row| row[0].clone()).collect()
}

/// The old source feeds the restored server, and that one a replica; then it is the source itself.
fn replicates(vendor: Vendor) {
    let port = free_port();
    let scenario = with_a_full(reachable(vendor, 1, port));
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('in the window'), ('too')");
    scenario.ship();
    let all = gtids(&scenario.server);
    let source_names = names_in(scenario.server.datadir());
    let owner = if rustix::process::geteuid().is_root() { &["--owner", "65534:65533"][..] } else { &[] };
    let restored = scenario.restore(&[&["--latest"], owner].concat());
    let second = scenario.restore(&["--latest"]);
    for datadir in [&restored.datadir, &second.datadir] {
        let more: Vec<String> = names_in(datadir).difference(&source_names).cloned().collect();
        let tool = |name: &String| name == "ib_logfile0" || name == RestoredMark::FILE;
        assert_eq!(more.iter().filter(|name| !tool(name)).collect::<Vec<_>>(), Vec::<&String>::new());
        assert!(!datadir.join("auto.cnf").exists());
    }
    if !owner.is_empty() {
        for path in [&restored.datadir, &restored.datadir.join("shop"), &restored.datadir.join("shop/t.ibd")] {
            let meta = fs::metadata(path).unwrap();
            assert_eq!((meta.uid(), meta.gid()), (65534, 65533), "{}", path.display());
            assert_eq!(meta.mode() & 0o777, if meta.is_dir() { 0o750 } else { 0o640 });
        }
    }
    let ready = restored.report.ready.as_ref().unwrap();
    let coordinates: serde_json::Value = serde_json::from_slice(&fs::read(&ready.coordinates).unwrap()).unwrap();
    assert_eq!(coordinates["gtids"], *all);
    let cut = &restored.report.window.as_ref().unwrap().cut;
    assert_eq!(coordinates["binlog"], serde_json::to_value(cut).unwrap());
    assert!(ready.settings.as_ref().unwrap().join("variables.json").exists());

    let (middle_port, last_port) = (free_port(), free_port());
    let middle = put_into_use(&scenario, &restored, reachable(vendor, 2, middle_port));
    assert_eq!(gtids(&middle), all, "nothing of dbbak's own, and all that there was");
    let last = put_into_use(&scenario, &second, reachable(vendor, 3, last_port));
    attach(&middle, port);
    attach(&last, middle_port);
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('later')");
    follows(&middle, &scenario.server);
    follows(&last, &middle);
    let forget =
        if vendor == Vendor::Mysql { "STOP REPLICA; RESET REPLICA ALL" } else { "STOP SLAVE; RESET SLAVE ALL" };
    middle.sql(forget);
    middle.sql("INSERT INTO shop.t (b) VALUES ('by the restored server')");
    follows(&last, &middle);
    assert_ne!(gtids(&middle), gtids(&scenario.server));
    let text = gtids(&middle);
    let owners: BTreeSet<String> = match vendor {
        Vendor::Mysql => text.split(',').map(|set| set.split(':').next().unwrap().to_owned()).collect(),
        Vendor::Mariadb => [text.split('-').nth(1).unwrap().to_owned()].into(),
    };
    let expected: BTreeSet<String> = match vendor {
        Vendor::Mysql => [&scenario.server, &middle].iter().map(|s| s.value("SELECT @@server_uuid")).collect(),
        Vendor::Mariadb => ["2".to_owned()].into(),
    };
    assert_eq!(owners, expected, "{text}");
}

#[test]
fn real_ready_as_a_replica_and_as_a_source() {
    if require_servers() {
        replicates(Vendor::Mariadb);
    }
}

#[test]
fn real_mysql_ready_as_a_replica_and_as_a_source() {
    if require_mysql() {
        replicates(Vendor::Mysql);
    }
}

/// The binlogs in a directory and their index, each with its content.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    // MariaDB 11.4 and later keep an index of GTIDs beside each.
    let logs = names_in(dir).into_iter().filter(|name| name.starts_with("mysql-bin.") && !name.ends_with(".idx"));
    logs.map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// The files below a directory that hold a path of somewhere else.
pub(super) fn files_that_name(dir: &Path, elsewhere: &Path) -> Vec<String> {
    let mut named = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let wanted = elsewhere.to_str().unwrap().as_bytes();
                let found = fs::read(&path).unwrap().windows(wanted.len()).any(|bytes| bytes == wanted);
                named.extend(found.then(|| path.display().to_string()));
            }
        }
    }
    named
}

/// The restored server has the window as its own history, and feeds a replica that stands at the backup. It does so, purges
/// and is written to beside its living source, whose binlogs stay as they are.
fn has_its_history(vendor: Vendor, binlogs_in_datadir: bool) {
    let scenario = with_a_full(Options { binlogs_in_datadir, ..reachable(vendor, 1, free_port()) });
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('in the window'); FLUSH BINARY LOGS");
    scenario.server.sql("INSERT INTO shop.t (b) VALUES ('in another file')");
    let all = gtids(&scenario.server);
    let sums = scenario.server.checksums("shop").unwrap();
    scenario.server.sql("DROP TABLE shop.t");
    let accident = match vendor {
        Vendor::Mariadb => gtids(&scenario.server),
        Vendor::Mysql => {
            format!(
                "{}:{}",
                scenario.server.value("SELECT @@server_uuid"),
                gtids(&scenario.server).rsplit('-').next().unwrap()
            )
        }
    };
    scenario.ship();
    let restored = scenario.restore(&["--before-gtid", &accident, "--with-binlogs"]);
    let window = restored.report.window.clone().unwrap();
    let port = free_port();
    let theirs = scenario.server.binlog_dir();
    let before = contents(&theirs);
    let ready = restored.report.ready.as_ref().unwrap();
    for dir in [Some(&restored.datadir), ready.binlogs.as_ref()].into_iter().flatten() {
        for elsewhere in [scenario.server.datadir(), &theirs] {
            assert_eq!(files_that_name(dir, elsewhere), Vec::<String>::new());
        }
    }
    // As the plan says: with its binlogs where the restore has put them.
    let log_bin = ready.binlogs.as_ref().unwrap().join("mysql-bin").display().to_string();
    let options = Options { binlogs_in_datadir, log_bin: Some(log_bin), ..reachable(vendor, 2, port) };
    let server = Server::on_datadir(&restored.datadir, &scenario.fresh("used"), options).unwrap();
    assert_eq!(gtids(&server), all);
    assert_eq!(server.checksums("shop").unwrap(), sums);
    let listed = binlogs(&server);
    let expected: Vec<String> = std::iter::successors(Some(window.from.file.clone()), |name| Some(name.successor()))
        .take(window.files + 1)
        .map(|name| name.to_string())
        .collect();
    assert_eq!(listed, expected);
    let size = |name: &str| {
        let row = server.sql("SHOW BINARY LOGS").into_iter().find(|row| row[0] == name).unwrap();
        row[1].parse::<u64>().unwrap()
    };
    assert_eq!(size(window.cut.file.as_str()), window.cut.position, "cut at the target");

    let base = scenario.restore(&["--no-pitr"]);
    let replica = put_into_use(&scenario, &base, reachable(vendor, 3, free_port()));
    attach(&replica, port);
    server.sql("INSERT INTO shop.t (b) VALUES ('goes on')");
    follows(&replica, &server);

    // A log that a replica still reads is not purged.
    server.sql("FLUSH BINARY LOGS; INSERT INTO shop.t (b) VALUES ('in the last file')");
    follows(&replica, &server);
    let last = binlogs(&server).pop().unwrap();
    server.sql(&format!("PURGE BINARY LOGS TO '{last}'"));
    // MariaDB keeps the one that it would need after a crash.
    let (left, window_files) = (binlogs(&server), &listed[..window.files]);
    assert!(left.iter().all(|name| !window_files.contains(name)), "{left:?}");
    assert!(window_files.iter().all(|name| !ready.binlogs.as_ref().unwrap().join(name).exists()));
    server.sql("INSERT INTO shop.t (b) VALUES ('after the purge')");
    follows(&replica, &server);
    assert_eq!(contents(&theirs), before, "the source's binlogs are its own");
    scenario.server.sql("CREATE TABLE shop.u (a INT); FLUSH BINARY LOGS");
    assert_eq!(binlogs(&scenario.server).len(), before.len(), "an index and the files, and one file more");

    let skip = scenario.try_restore(&["--latest", "--with-binlogs", "--skip-gtid", &accident]).exits(5);
    assert!(skip.stderr.contains("the binlogs cannot be put back as the server's own"), "{skip}");
}

#[test]
fn real_ready_with_its_own_history() {
    if require_servers() {
        has_its_history(Vendor::Mariadb, false);
        has_its_history(Vendor::Mariadb, true);
    }
}

#[test]
fn real_mysql_ready_with_its_own_history() {
    if require_mysql() {
        has_its_history(Vendor::Mysql, false);
        has_its_history(Vendor::Mysql, true);
    }
}
