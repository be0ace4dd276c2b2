//! Tables that are broken on the source already: a backup names them, and a restore takes them for no damage of its own.

use dbbak_testkit::{real::require_servers, scenario::Scenario};
use std::fs;

#[test]
fn real_tables_that_are_broken_on_the_source_stop_no_backup() {
    if !require_servers() {
        return;
    }
    let mut scenario = Scenario::new();
    scenario.server.sql(
        "CREATE DATABASE shop; CREATE TABLE shop.ok (a INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO shop.ok VALUES (1);
         CREATE TABLE shop.discarded (a INT PRIMARY KEY) ENGINE=InnoDB; ALTER TABLE shop.discarded DISCARD TABLESPACE;
         CREATE TABLE shop.gone (a INT PRIMARY KEY) ENGINE=InnoDB; CREATE TABLE shop.my (a INT) ENGINE=MyISAM;
         CREATE TABLE shop.aria (a INT) ENGINE=Aria; SET GLOBAL innodb_file_per_table = OFF;
         CREATE TABLE shop.inside (a INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO shop.inside VALUES (7);
         SET GLOBAL innodb_file_per_table = ON; FLUSH TABLES",
    );
    scenario.server.stop().unwrap();
    let shop = scenario.server.datadir().join("shop");
    for file in ["gone.ibd", "my.MYD", "aria.MAD"] {
        fs::remove_file(shop.join(file)).unwrap();
    }
    fs::copy(shop.join("ok.frm"), shop.join("orphan.frm")).unwrap();
    fs::write(shop.join("garbage.frm"), "half").unwrap();
    scenario.server.restart().unwrap();

    let ts = scenario.full();
    let kept = fs::read(scenario.store().join(format!("full_{ts}/server/broken.json"))).unwrap();
    let kept: Vec<String> = serde_json::from_slice(&kept).unwrap();
    assert_eq!(kept, ["shop.aria", "shop.discarded", "shop.garbage", "shop.gone", "shop.my", "shop.orphan"]);
    let said = scenario.dbbak(&["backup-incr", "--exec"]).exits(0);
    assert!(said.stderr.contains("broken on the server already") && said.stderr.contains("shop.garbage"), "{said}");
    scenario.server.sql("INSERT INTO shop.ok VALUES (2); UPDATE shop.inside SET a = 8");
    scenario.ship();
    for args in [&["--no-pitr"][..], &["--latest"]] {
        let restored = scenario.restore(args);
        let remarks = restored.report.examination.as_ref().unwrap().remarks.join("\n");
        assert!(remarks.contains("shop.orphan: ") && remarks.contains("as on the source"), "{remarks}");
        assert!(!remarks.contains("shop.ok") && !remarks.contains("shop.inside"), "{remarks}");
    }
    scenario.nothing_survives();
}
