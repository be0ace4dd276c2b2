//! An incremental that cannot be applied: a restore that meets it falls back by itself, one that shows it when it is taken is marked.

use dbbak_testkit::real::{find_program, require_servers};
use dbbak_testkit::scenario::Scenario;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// mariadb-backup, with faults of its own that are switched on by files: `refuse` lets no incremental be applied, `ring` leaves an
/// incremental in which two tables took each other's names.
fn with_faults(scenario: &Scenario) {
    let real = find_program("mariadb-backup").expect("mariadb-backup is installed");
    let (program, root) = (scenario.root().join("mariadb-backup"), scenario.root().display().to_string());
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *--incremental-dir=*) if [ -e '{root}/refuse' ]; then\n\
         echo \"[00] FATAL ERROR: Can't rename ./shop/t.ibd.meta to ./shop/t#.ibd.meta errno 2\" >&2; exit 1; fi;; esac\n\
         '{}' \"$@\" || exit $?\n\
         case \"$*\" in *--incremental-basedir=*) if [ -e '{root}/ring' ]; then\n\
         for arg; do case $arg in --target-dir=*) dir=${{arg#--target-dir=}};; esac; done\n\
         printf shop/u >\"$dir/shop/t.ren\"; printf shop/t >\"$dir/shop/u.ren\"; fi;; esac\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    scenario.configure(&format!("xtrabackup: {}", program.display()));
}

#[track_caller]
fn restores_with(scenario: &Scenario, links: usize) -> String {
    let wanted = scenario.server.checksums("shop").unwrap();
    scenario.ship();
    let restored = scenario.restore(&["--latest"]);
    assert_eq!(restored.report.chain.len(), links, "{}", restored.ran.stderr);
    assert_eq!(scenario.checksums_of(&restored.datadir, "shop"), wanted);
    restored.ran.stderr
}

#[test]
fn real_an_incremental_that_cannot_be_applied_is_passed_over() {
    if !require_servers() {
        return;
    }
    let scenario = Scenario::new();
    with_faults(&scenario);
    let write = |value: u32| scenario.server.sql(&format!("INSERT INTO shop.t VALUES ({value}, 'row')"));
    scenario.server.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY, t TEXT) ENGINE=InnoDB");
    scenario.server.sql("CREATE TABLE shop.u (id INT PRIMARY KEY) ENGINE=InnoDB");
    write(1);
    scenario.full();
    write(2);
    let link = scenario.incr();
    write(3);
    restores_with(&scenario, 2);

    // The restore finds out: an older backup and more binlogs, in the same work directory.
    let refuse = scenario.root().join("refuse");
    fs::write(&refuse, "").unwrap();
    let said = restores_with(&scenario, 1);
    assert!(said.contains(&format!("incremental {link} cannot be applied, and is passed over")), "{said}");
    let aside = fs::read_dir(scenario.root()).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<_> = aside.filter(|path| path.to_string_lossy().contains("-failed-")).collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert!(aside.iter().all(|dir| dir.join("prepare.log").exists()));
    assert!(said.contains("is tried once more, on fresh copies"), "{said}");
    assert!(said.contains("was marked in the store"), "{said}");
    fs::remove_file(refuse).unwrap();
    // What a restore found is kept: nothing rests on the link again, whatever is asked for.
    restores_with(&scenario, 1);
    let refused = scenario.try_restore(&["--backup", &link, "--no-pitr"]).exits(5);
    assert!(refused.stderr.contains("a restore could not apply it"), "{}", refused.stderr);
    scenario.next_second();
    let ran = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(0);
    assert!(ran.json()["backup"].as_str().unwrap().starts_with("full_"), "{}", ran.stderr);
    write(30);

    // The backup shows it: it is marked, restores pass it over, and the next one is a full.
    let ring = scenario.root().join("ring");
    fs::write(&ring, "").unwrap();
    scenario.next_second();
    let ran = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(9);
    let marked = ran.json()["backup"].as_str().unwrap().to_owned();
    assert!(marked.starts_with("incr_") && ran.stderr.contains("took each other's names"), "{}", ran.stderr);
    fs::remove_file(ring).unwrap();
    write(4);
    restores_with(&scenario, 1);
    let ts = marked.split('_').nth(1).unwrap();
    let refused = scenario.try_restore(&["--backup", ts, "--no-pitr"]).exits(5);
    assert!(refused.stderr.contains("cannot be applied"), "{}", refused.stderr);
    scenario.next_second();
    let ran = scenario.dbbak(&["backup-incr", "--json", "--exec"]).exits(0);
    assert!(ran.json()["backup"].as_str().unwrap().starts_with("full_"), "{}", ran.stderr);
    assert!(ran.stderr.contains("a full is taken instead of an incremental"), "{}", ran.stderr);
    write(5);
    restores_with(&scenario, 1);

    // The tool is mended, and the first link was good all the time: tried again by the real one, its mark is taken off.
    fs::write(scenario.root().join("refuse"), "").unwrap();
    let failed = scenario.dbbak(&["unmark", &link, "--exec"]).exits(6);
    assert!(failed.stderr.contains("stays marked: "), "{}", failed.stderr);
    fs::remove_file(scenario.root().join("refuse")).unwrap();
    scenario.dbbak(&["unmark", &link, "--exec"]).exits(0);
    let restored = scenario.restore(&["--backup", &link, "--no-pitr"]);
    assert_eq!(restored.report.chain.len(), 2);
    scenario.nothing_survives();
}
