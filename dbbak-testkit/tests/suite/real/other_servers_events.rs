//! Events of the event scheduler that another server made: a replica does not run them, and what is restored from one does not either.

use dbbak_testkit::{
    real::{require_mysql, require_servers},
    scenario::Scenario,
    server::{Options, Rows, Server, Vendor},
};
use std::net::TcpListener;

fn with_network(vendor: Vendor, server_id: u32) -> (Options, u16) {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let options = match vendor {
        Vendor::Mariadb => Options::default().with("--log-slave-updates"),
        Vendor::Mysql => Options::mysql(),
    };
    let options = options.with("--skip-networking=OFF").with("--bind-address=127.0.0.1");
    (Options { server_id, ..options }.with(format!("--port={port}")), port)
}

/// A server that replicates from another one.
struct Replica {
    upstream: Server,
    scenario: Scenario,
}

impl Replica {
    fn new(vendor: Vendor) -> Self {
        let scenario = Scenario::with(with_network(vendor, 1).0, "");
        let (options, port) = with_network(vendor, 11);
        let upstream = Server::start(&scenario.root().join("upstream"), options).unwrap();
        upstream.sql(
            "CREATE USER 'repl'@'127.0.0.1' IDENTIFIED BY 'word'; GRANT REPLICATION SLAVE ON *.* TO 'repl'@'127.0.0.1'",
        );
        scenario.server.sql(&match vendor {
            Vendor::Mariadb => format!(
                "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='repl', MASTER_PASSWORD='word',
                 MASTER_USE_GTID=slave_pos; START SLAVE"
            ),
            Vendor::Mysql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port}, SOURCE_USER='repl',
                 SOURCE_PASSWORD='word', SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1; START REPLICA"
            ),
        });
        let replica = Self { upstream, scenario };
        replica.catch_up();
        replica
    }

    fn catch_up(&self) {
        let reached = match self.scenario.server.options().vendor {
            Vendor::Mariadb => {
                let position = self.upstream.value("SELECT @@GLOBAL.gtid_binlog_pos");
                self.scenario.server.value(&format!("SELECT MASTER_GTID_WAIT('{position}', 60)"))
            }
            Vendor::Mysql => {
                let executed = self.upstream.value("SELECT @@GLOBAL.gtid_executed");
                self.scenario.server.value(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{executed}', 60)"))
            }
        };
        assert_eq!(reached, "0", "{}", self.scenario.server.error_log_tail(9));
    }

    /// Statements on the source, which the replica has then.
    fn above(&self, sql: &str) {
        self.upstream.sql(sql);
        self.catch_up();
    }
}

fn events(server: &Server) -> Rows {
    server.sql(
        "SELECT event_name, status, originator, definer, event_comment FROM information_schema.events WHERE event_schema = 'shop' \
         ORDER BY 1",
    )
}

const EACH: &str = "ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t";

fn events_of_another_server(vendor: Vendor, dump: bool) {
    let mut replica = Replica::new(vendor);
    replica.above(&format!(
        "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY); CREATE EVENT shop.above_old {EACH};
         CREATE EVENT shop.above_taken {EACH}; CREATE EVENT shop.above_changed {EACH}"
    ));
    let own = |sql: &str| replica.scenario.server.sql(sql);
    own(&format!("CREATE EVENT shop.own_old {EACH}"));
    own("CREATE EVENT shop.own_aside ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO DELETE FROM shop.t");
    let before = events(&replica.scenario.server);
    assert!(before[0][1].ends_with("SIDE_DISABLED") && before[0][2] == "11", "{before:?}");
    if dump {
        let scenario = &replica.scenario;
        scenario.server.sql("GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'dbbak'@'localhost'");
        if vendor == Vendor::Mysql {
            scenario.server.sql("GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost'");
        }
        scenario.backup(&["backup-full", "--engine", "dump"]);
    } else {
        replica.scenario.planted_full();
        replica.scenario.server.sql(if vendor == Vendor::Mysql { "START REPLICA" } else { "START SLAVE" });
    }
    let scenario = &replica.scenario;
    let looked_at = |args: &[&str]| {
        let restored = scenario.restore(args);
        let options = Options { vendor, log_bin: None, ..Options::default() };
        let mut server = Server::on_datadir(&restored.datadir, &scenario.fresh("look"), options).unwrap();
        let found = events(&server);
        server.stop().unwrap();
        found
    };
    assert_eq!(looked_at(&["--no-pitr"]), before);
    scenario
        .server
        .sql(&format!("CREATE EVENT shop.own_new {EACH}; ALTER DEFINER=root@localhost EVENT shop.above_taken ENABLE"));
    let wanted = events(&scenario.server);
    scenario.ship();
    if !dump {
        assert_eq!(looked_at(&["--latest", "--replay", "pipe"]), wanted);
    }
    replica.above(&format!("CREATE EVENT shop.above_new {EACH}; ALTER EVENT shop.above_changed COMMENT 'changed'"));
    // A last binlog with nothing else in it.
    scenario.server.sql("FLUSH BINARY LOGS");
    replica.above(&format!("CREATE EVENT shop.above_last {EACH}"));
    let wanted = events(&scenario.server);
    scenario.ship();
    assert_eq!(looked_at(&["--latest", "--replay", "relay"]), wanted);
    let refused = scenario.try_restore(&["--latest", "--replay", "pipe"]).exits(5);
    assert!(refused.stderr.contains("makes or changes an event of server 11"), "{refused}");
    scenario.nothing_survives();
}

#[test]
fn real_events_of_another_server_stay_as_they_are() {
    if require_servers() {
        events_of_another_server(Vendor::Mariadb, false);
    }
}

#[test]
fn real_events_of_another_server_stay_as_they_are_in_a_dump() {
    if require_servers() {
        events_of_another_server(Vendor::Mariadb, true);
    }
}

#[test]
fn real_mysql_events_of_another_server_stay_as_they_are() {
    if require_mysql() {
        events_of_another_server(Vendor::Mysql, false);
        events_of_another_server(Vendor::Mysql, true);
    }
}
