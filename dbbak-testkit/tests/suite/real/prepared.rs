//! XA transactions that stand prepared when a backup is taken: a restore says which of them it does not have.

use dbbak_testkit::{
    real::{require_mysql, require_servers},
    scenario::Scenario,
    server::Options,
};

fn prepare(scenario: &Scenario, ids: &[&str]) {
    for (number, id) in ids.iter().enumerate() {
        scenario
            .server
            .sql(&format!("XA START {id}; INSERT INTO shop.t VALUES ({number}, 'xa'); XA END {id}; XA PREPARE {id}"));
    }
}

const TABLE: &str = "CREATE DATABASE shop; CREATE TABLE shop.t (a INT PRIMARY KEY, b VARCHAR(9)) ENGINE=InnoDB";

/// MySQL rolls some of them back when it is started again (seen on 9.7.4).
#[test]
fn real_mysql_prepared_transactions_that_are_lost_are_named() {
    if !require_mysql() {
        return;
    }
    let scenario = Scenario::with(Options::mysql(), "");
    let grant = "INSTALL PLUGIN clone SONAME 'mysql_clone.so'; GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost'";
    scenario.server.sql(&format!("{grant}; {TABLE}"));
    prepare(&scenario, &["'a','b',9", "'c'", "'e','f',1", "'g','',7", "'h'"]);
    let full = scenario.dbbak(&["backup-full", "--engine", "clone", "--exec"]).exits(0);
    assert!(full.stderr.contains("with another format id than 1"), "{full}");
    let restored = scenario.restore(&["--no-pitr"]);
    let examination = restored.report.examination.as_ref().unwrap();
    let all = [&examination.prepared[..], &examination.lost_prepared].concat();
    let mut all: Vec<&str> = all.iter().map(String::as_str).collect();
    all.sort_unstable();
    assert_eq!(all, ["X'61',X'62',9", "X'63',X'',1", "X'65',X'66',1", "X'67',X'',7", "X'68',X'',1"]);
    for lost in &examination.lost_prepared {
        assert!(restored.ran.stderr.contains("are not prepared in the restored data"), "{}", restored.ran);
        assert!(restored.ran.stderr.contains(lost), "{}", restored.ran);
    }
    // What the window ends is not missed, what it prepares is expected.
    scenario.server.sql("XA COMMIT 'c'; XA ROLLBACK 'h'");
    scenario.server.sql("XA START 'new'; INSERT INTO shop.t VALUES (70, 'xa'); XA END 'new'; XA PREPARE 'new'");
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    let examination = restored.report.examination.as_ref().unwrap();
    assert!(examination.prepared.contains(&"X'6E6577',X'',1".to_owned()), "{examination:?}");
    assert!(examination.lost_prepared.iter().all(|id| !id.ends_with(",1")), "{examination:?}");
    if !examination.lost_prepared.is_empty() {
        scenario.server.sql("XA COMMIT 'a','b',9; XA COMMIT 'g','',7");
        scenario.ship();
        let failed = scenario.try_restore(&["--latest"]).exits(6);
        assert!(failed.stderr.contains("XA COMMIT X'61',X'62',9"), "{failed}");
        assert!(failed.stderr.contains("not prepared in the restored data"), "{failed}");
    }
    scenario.nothing_survives();
}

#[test]
fn real_prepared_transactions_are_compared() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    scenario.server.sql(TABLE);
    prepare(&scenario, &["'a','b',9", "'c'", "'q','',7"]);
    let ts = scenario.full();
    let restored = scenario.restore(&["--no-pitr"]);
    let examination = restored.report.examination.as_ref().unwrap();
    assert_eq!((examination.prepared.len(), examination.lost_prepared.len()), (3, 0), "{examination:?}");
    // As if the server had lost one.
    let standing = scenario.store().join(format!("full_{ts}/server/standing.json"));
    let text = std::fs::read_to_string(&standing).unwrap().replace("'c'", "'gone'");
    std::fs::write(&standing, text).unwrap();
    scenario.server.sql("XA COMMIT 'a','b',9; XA COMMIT 'c'");
    scenario.server.sql("XA START 'new'; INSERT INTO shop.t VALUES (70, 'xa'); XA END 'new'; XA PREPARE 'new'");
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    let examination = restored.report.examination.as_ref().unwrap();
    assert_eq!(examination.lost_prepared, ["X'676f6e65',X'',1"], "{examination:?}");
    assert!(restored.ran.stderr.contains("are not prepared in the restored data"), "{}", restored.ran);
    scenario.nothing_survives();
}
