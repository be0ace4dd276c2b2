//! A new incremental that is applied on trial right after it was taken, with a real tool that really cannot apply it.

use dbbak_testkit::real::{find_program, require_servers};
use dbbak_testkit::scenario::Scenario;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// mariadb-backup that spoils what it wrote, where a file says how: as its own faults and a failing disk do. Its prepares are the
/// real one's.
fn with_a_spoiler(scenario: &Scenario) {
    let real = find_program("mariadb-backup").expect("mariadb-backup is installed");
    let (program, root) = (scenario.root().join("mariadb-backup"), scenario.root().display().to_string());
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\" || exit $?\n\
         case \"$*\" in *--incremental-basedir=*) if [ -e '{root}/spoil' ]; then\n\
         for arg; do case $arg in --target-dir=*) dir=${{arg#--target-dir=}};; esac; done\n\
         cd \"$dir\" && . '{root}/spoil'; fi;; esac\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("xtrabackup: {}\ntry_incrementals: true\n", program.display()));
}

/// Ways in which the real tool fails for good when it applies what it wrote, and what 10.11.19 or 10.6.23 says then.
const SPOILT: [(&str, [&str; 2]); 2] = [
    ("printf shop/none >shop/gone.ren", ["Can't rename"; 2]),
    (
        "dd if=/dev/zero of=ib_logfile0 bs=512 seek=4 count=200 conv=notrunc 2>/dev/null",
        ["No valid checkpoint", "innodb_init() returned 11"],
    ),
];

#[test]
fn real_an_incremental_is_tried_when_it_is_taken() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    with_a_spoiler(&scenario);
    let write = |value: usize| scenario.server.sql(&format!("INSERT INTO shop.t VALUES ({value}, 'row')"));
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB");
    write(1);
    scenario.full();
    let spoil = scenario.root().join("spoil");
    let mut marked = String::new();
    for (number, (how, said)) in SPOILT.into_iter().enumerate() {
        write(10 * number + 2);
        let good = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(0).json();
        assert!(good["backup"].as_str().unwrap().starts_with("incr_"), "{good}");
        write(10 * number + 3);
        fs::write(&spoil, how).unwrap();
        scenario.next_second();
        let ran = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(9);
        fs::remove_file(&spoil).unwrap();
        let report = ran.json();
        marked = report["backup"].as_str().unwrap().to_owned();
        assert_eq!(report["unusable"][0]["backup"], *marked, "{report}");
        let reason = report["unusable"][0]["reason"].as_str().unwrap();
        assert!(said.iter().any(|said| reason.contains(said)), "{report}");
        assert_eq!(fs::read_dir(scenario.root().join("scratch")).unwrap().count(), 0);
        if number + 1 < SPOILT.len() {
            scenario.next_second();
            let next = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(0);
            assert!(next.json()["backup"].as_str().unwrap().starts_with("full_"), "{}", next.stderr);
            scenario.next_second();
        }
    }
    write(100);
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    let chain: Vec<&str> = restored.report.chain.iter().map(|link| link.backup.as_str()).collect();
    assert!(chain.len() == 2 && !chain.contains(&&*marked), "{chain:?}");
    let passed_over = &restored.report.passed_over;
    assert!(passed_over.len() == 1 && marked.contains(&passed_over[0].backup.to_string()), "{passed_over:?}");
    assert!(restored.ran.stderr.contains("was passed over"), "{}", restored.ran.stderr);
    scenario.nothing_survives();
}
