//! A replica takes over from its source: a backup of the old source and the binlogs of both lead to the new one's state, where
//! the GTIDs prove it.

use std::net::TcpListener;

use super::resume::Stage;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Checksums, Options, Server, Vendor};
use dbbak_testkit::workload::{Mix, Workload};

/// A source with a store, and a replica that logs what it applies.
struct Pair {
    scenario: Scenario,
    vendor: Vendor,
    /// The server that is not the scenario's: the replica, and after the failover the old source.
    other: Server,
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn options(vendor: Vendor, server_id: u32, port: u16) -> Options {
    let options = match vendor {
        Vendor::Mariadb => Options::default().with("--log-slave-updates"),
        Vendor::Mysql => Options::mysql(),
    };
    let options = options.with("--skip-networking=OFF").with("--bind-address=127.0.0.1");
    Options { server_id, ..options }.with(format!("--port={port}"))
}

impl Pair {
    fn new(vendor: Vendor) -> Self {
        Self::with_replica(vendor, |_| ())
    }

    /// With something done on the replica before it follows.
    fn with_replica(vendor: Vendor, prepare: impl Fn(&Server)) -> Self {
        let port = free_port();
        let scenario = Scenario::with(options(vendor, 1, port), "");
        scenario.next_second();
        let dir = scenario.root().join("replica");
        let replica = Server::start(&dir, options(vendor, 2, free_port())).unwrap();
        prepare(&replica);
        let pair = Self { scenario, vendor, other: replica };
        if vendor == Vendor::Mysql {
            pair.scenario.server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
            let uuid = |server: &Server| server.value("SELECT @@server_uuid");
            assert_ne!(uuid(&pair.scenario.server), uuid(&pair.other));
        }
        pair.scenario.server.sql(
            "CREATE USER 'repl'@'127.0.0.1' IDENTIFIED BY 'word'; GRANT REPLICATION SLAVE ON *.* TO 'repl'@'127.0.0.1'",
        );
        pair.follow(port);
        pair
    }

    fn follow(&self, port: u16) {
        self.other.sql(&match self.vendor {
            Vendor::Mariadb => format!(
                "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='repl', MASTER_PASSWORD='word',
                 MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1; START SLAVE"
            ),
            Vendor::Mysql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='repl',
                 SOURCE_PASSWORD='word', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1; START REPLICA"
            ),
        });
    }

    /// Waits until the replica has everything that its source has.
    fn catch_up(&self) {
        let (source, replica) = (&self.scenario.server, &self.other);
        let reached = match self.vendor {
            Vendor::Mariadb => {
                let position = source.value("SELECT @@GLOBAL.gtid_binlog_pos");
                replica.value(&format!("SELECT MASTER_GTID_WAIT('{position}', 60)"))
            }
            Vendor::Mysql => {
                let executed = source.value("SELECT @@GLOBAL.gtid_executed");
                replica.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', 60)"))
            }
        };
        assert_eq!(reached, "0", "the replica does not follow");
    }

    /// The replica stops to follow: what the source writes from here on it never gets.
    fn part(&self) {
        self.other.sql(match self.vendor {
            Vendor::Mariadb => "STOP SLAVE; RESET SLAVE ALL",
            Vendor::Mysql => "STOP REPLICA; RESET REPLICA ALL",
        });
    }

    /// The replica is the scenario's server from here on.
    fn promote(&mut self) {
        std::mem::swap(&mut self.scenario.server, &mut self.other);
        self.scenario.configure("");
    }

    fn full(&self) -> String {
        match self.vendor {
            Vendor::Mariadb => self.scenario.full(),
            Vendor::Mysql => self.scenario.backup(&["backup-full", "--engine", "clone"]),
        }
    }

    fn workload(&self, seed: u64) -> Workload {
        let mix = Mix { ddl: self.vendor == Vendor::Mariadb, ..Mix::default() };
        Workload::new(&self.scenario.server, "shop", seed, mix).unwrap()
    }

    /// One transaction of its own.
    fn write(&self, text: &str) {
        self.scenario.server.sql(&format!(
            "CREATE TABLE IF NOT EXISTS shop.notes (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(99)) ENGINE=InnoDB;
             INSERT INTO shop.notes (text) VALUES ('{text}')"
        ));
    }

    fn sums(&self) -> Checksums {
        self.scenario.server.checksums("shop").unwrap()
    }

    /// The last transaction, in the vendor's form.
    fn last_gtid(&self) -> String {
        let server = &self.scenario.server;
        match self.vendor {
            Vendor::Mariadb => server.value("SELECT @@GLOBAL.gtid_binlog_pos"),
            Vendor::Mysql => {
                let uuid = server.value("SELECT @@server_uuid");
                let set = server.value("SELECT @@GLOBAL.gtid_executed").replace(['\n', ' '], "");
                let own = set.split(',').find(|part| part.starts_with(&uuid)).expect("its own transactions");
                format!("{uuid}:{}", own.rsplit([':', '-']).next().unwrap())
            }
        }
    }

    #[track_caller]
    fn restored(&self, args: &[&str], wanted: &Checksums) -> dbbak_core::plan::RestoreReport {
        let restored = self.scenario.restore(args);
        assert_eq!(self.scenario.checksums_of(&restored.datadir, "shop"), *wanted, "{args:?}");
        restored.report
    }
}

/// The replica has everything, and takes over. The backup is the old source's, the target the new one's.
fn a_clean_failover(vendor: Vendor, seed: u64) {
    let mut pair = Pair::new(vendor);
    let mut workload = pair.workload(seed);
    workload.run(40).unwrap();
    pair.write("before the backup");
    pair.full();
    workload.run(30).unwrap();
    pair.scenario.server.sql("FLUSH BINARY LOGS");
    workload.run(20).unwrap();
    pair.write("last of the old");
    drop(workload);
    pair.catch_up();
    // Its older binlogs go before they are archived.
    pair.other.sql("FLUSH BINARY LOGS");
    let first = pair.other.value("SHOW BINARY LOGS");
    let base = first.rsplit_once('.').unwrap().0.to_owned();
    pair.other.sql(&format!("PURGE BINARY LOGS TO '{base}.000002'"));
    pair.scenario.ship();
    pair.part();
    pair.scenario.next_second();
    pair.promote();
    pair.write("first of the new");
    pair.write("second of the new");
    let (gtid, at_gtid) = (pair.last_gtid(), pair.sums());
    let time = pair.scenario.next_second();
    pair.write("third of the new");
    let last = pair.sums();
    pair.scenario.next_second();
    pair.scenario.ship();

    for replay in ["relay", "pipe"] {
        let report = pair.restored(&["--gtid", &gtid, "--replay", replay], &at_gtid);
        let window = report.window.unwrap();
        let timelines: Vec<&str> = window.segments.iter().map(|segment| segment.timeline.as_str()).collect();
        assert_eq!(timelines, ["t1", "t2"], "{window:#?}");
        assert_eq!(window.segments[1].left_behind, None);
        assert_eq!(report.proof.unwrap().transactions, window.transactions.unwrap());
    }
    pair.restored(&["--time", &time, "--exact", "--timeline", "t2"], &at_gtid);
    pair.restored(&["--latest"], &last);
    pair.scenario.nothing_survives();
}

#[test]
fn real_failover_is_crossed() {
    if require_servers() {
        a_clean_failover(Vendor::Mariadb, 81);
    }
}

#[test]
fn real_mysql_failover_is_crossed() {
    if require_mysql() {
        a_clean_failover(Vendor::Mysql, 82);
    }
}

/// A restore over a failover dies at each of its steps, and again and again.
fn dies_on_its_way_over(vendor: Vendor, seed: u64) {
    let mut pair = Pair::new(vendor);
    let mut workload = pair.workload(seed);
    workload.run(20).unwrap();
    pair.full();
    workload.run(40).unwrap();
    drop(workload);
    pair.catch_up();
    pair.scenario.ship();
    pair.part();
    pair.scenario.next_second();
    pair.promote();
    (0..20).for_each(|number| pair.write(&number.to_string()));
    pair.scenario.next_second();
    pair.scenario.ship();
    let Pair { scenario, other, .. } = pair;
    let mut stage = Stage::of(scenario, &["--latest", "--timeline", "t2"]);
    stage.dies_at_each_step_if_there_is_time(10);
    assert!(stage.dies_in("replay", seed) >= 2);
    drop(other);
}

#[test]
fn real_failover_restore_goes_on_after_kills() {
    if require_servers() {
        dies_on_its_way_over(Vendor::Mariadb, 83);
    }
}

#[test]
fn real_mysql_failover_restore_goes_on_after_kills() {
    if require_mysql() {
        dies_on_its_way_over(Vendor::Mysql, 84);
    }
}

/// The source writes on after the replica was cut off, and takes a backup then; the replica's log was never rotated, so that it is
/// entered in the middle of a file.
fn a_failover_with_a_loss(vendor: Vendor, seed: u64) {
    let mut pair = Pair::new(vendor);
    let mut workload = pair.workload(seed);
    workload.run(30).unwrap();
    pair.write("before the backup");
    let first = pair.full();
    workload.run(20).unwrap();
    drop(workload);
    pair.catch_up();
    pair.part();
    pair.scenario.next_second();
    pair.write("lost: 1");
    let (lost, with_one_lost) = (pair.last_gtid(), pair.sums());
    pair.write("lost: 2");
    let second = pair.full();
    pair.write("lost: 3");
    let with_all_lost = pair.sums();
    pair.scenario.next_second();
    pair.scenario.ship();
    pair.promote();
    pair.write("first of the new");
    let (gtid, at_gtid) = (pair.last_gtid(), pair.sums());
    pair.write("second of the new");
    let last = pair.sums();
    pair.scenario.next_second();
    let time = pair.scenario.next_second();
    pair.scenario.ship();
    let told = pair.scenario.dbbak(&["timeline"]).exits(0);
    assert!(told.stdout.contains("t2"), "{told}");

    // The new server's state has nothing of what it never had; the backup that has it is passed over.
    for (args, wanted) in [
        (&["--gtid", &gtid, "--replay", "pipe"][..], &at_gtid),
        (&["--gtid", &gtid, "--replay", "relay"], &at_gtid),
        (&["--latest", "--timeline", "t2"], &last),
        (&["--time", &time, "--exact", "--timeline", "t2"], &last),
    ] {
        let report = pair.restored(args, wanted);
        let window = report.window.unwrap();
        assert!(report.chain[0].backup.contains(&first), "{:?}", report.chain);
        assert!(window.segments[1].left_behind.is_some() && window.segments[0].from == window.from, "{window:#?}");
        assert_eq!(report.proof.unwrap().transactions, window.transactions.unwrap());
    }
    // What was lost can be had in the old server's timeline.
    pair.restored(&["--gtid", &lost], &with_one_lost);
    pair.restored(&["--latest", "--timeline", "t1"], &with_all_lost);
    // A backup that holds some of it does not lead to the new server.
    let refused = pair.scenario.try_restore(&["--gtid", &gtid, "--backup", &second]).exits(5);
    assert!(refused.stderr.contains("does not lead to timeline t2"), "{refused}");
    assert!(refused.stderr.contains("the last place at which both servers had the same"), "{refused}");
    // Which of the two is meant would be a guess.
    pair.scenario.try_restore(&["--latest"]).exits(5).says("t2");
    pair.scenario.nothing_survives();
}

#[test]
fn real_failover_with_a_loss() {
    if require_servers() {
        a_failover_with_a_loss(Vendor::Mariadb, 83);
    }
}

#[test]
fn real_mysql_failover_with_a_loss() {
    if require_mysql() {
        a_failover_with_a_loss(Vendor::Mysql, 84);
    }
}

/// A replica that had written something of its own was never again what its source was: a backup before that leads to its state,
/// which has both, and one behind it to nothing that could be proven.
fn a_replica_with_writes_of_its_own(vendor: Vendor, seed: u64) {
    let mut pair = Pair::new(vendor);
    let mut workload = pair.workload(seed);
    workload.run(20).unwrap();
    let before = pair.full();
    workload.run(10).unwrap();
    pair.catch_up();
    pair.other.sql("CREATE TABLE shop.errant (id INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO shop.errant VALUES (1)");
    workload.run(10).unwrap();
    let behind = pair.full();
    pair.write("last of the old");
    drop(workload);
    pair.catch_up();
    pair.part();
    pair.scenario.ship();
    pair.promote();
    pair.write("first of the new");
    let (gtid, wanted) = (pair.last_gtid(), pair.sums());
    assert!(wanted.contains_key("errant"));
    pair.scenario.next_second();
    let time = pair.scenario.next_second();
    pair.scenario.ship();

    for target in [&["--gtid", &gtid][..], &["--time", &time, "--exact", "--timeline", "t2"]] {
        let report = pair.restored(target, &wanted);
        assert!(report.chain[0].backup.contains(&before), "{:?}", report.chain);
        assert_eq!(report.window.unwrap().segments[1].left_behind, None);
        let refused = pair.scenario.try_restore(&[target, &["--backup", &behind]].concat()).exits(5);
        assert!(
            refused.stderr.contains("behind") && refused.stderr.contains("does not lead to timeline t2"),
            "{refused}"
        );
    }
    pair.scenario.nothing_survives();
}

#[test]
fn real_failover_to_a_replica_with_writes_of_its_own() {
    if require_servers() {
        a_replica_with_writes_of_its_own(Vendor::Mariadb, 85);
    }
}

#[test]
fn real_mysql_failover_to_a_replica_with_writes_of_its_own() {
    if require_mysql() {
        a_replica_with_writes_of_its_own(Vendor::Mysql, 86);
    }
}

/// Two servers whose logs hold no place at which both had the same: the other one's history began with something of its own.
fn an_unproven_failover(vendor: Vendor, seed: u64) {
    let mut pair = Pair::with_replica(vendor, |replica| drop(replica.sql("CREATE DATABASE errant")));
    let mut workload = pair.workload(seed);
    workload.run(20).unwrap();
    pair.full();
    workload.run(10).unwrap();
    drop(workload);
    pair.catch_up();
    pair.part();
    pair.scenario.ship();
    pair.promote();
    pair.write("first of the new");
    let gtid = pair.last_gtid();
    pair.scenario.next_second();
    let time = pair.scenario.next_second();
    pair.scenario.dbbak(&["ship-binlogs", "--flush", "--exec"]);
    for target in [
        &["--gtid", &gtid][..],
        &["--time", &time, "--exact"],
        &["--time", &time, "--exact", "--timeline", "t2"],
        &["--latest", "--timeline", "t2"],
        &["--latest"],
    ] {
        pair.scenario.try_restore(target).exits(5);
    }
}

#[test]
fn real_failover_that_nothing_proves_is_refused() {
    if require_servers() {
        an_unproven_failover(Vendor::Mariadb, 87);
    }
}

#[test]
fn real_mysql_failover_that_nothing_proves_is_refused() {
    if require_mysql() {
        an_unproven_failover(Vendor::Mysql, 88);
    }
}
