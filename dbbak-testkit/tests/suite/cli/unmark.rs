//! A mark that a backup cannot be applied, taken off: tried again first, and what was said is kept.

use super::{
    Bench, Series, Spoken, backup, run,
    trial::{fail_prepare, fail_twice, refusal, with_full},
};
use dbbak_testkit::shim::Scenario;
use serde_json::Value;
use std::{fs, path::PathBuf};

fn json(spoken: &Spoken) -> Value {
    serde_json::from_str(&spoken.stdout).unwrap_or_else(|_| panic!("{spoken}"))
}

/// A store with a full and an incremental that a trial has marked; its name.
fn marked(series: Series) -> ((Bench, Scenario), String) {
    let it = with_full(series, "both");
    fail_twice(&it, refusal(), refusal());
    let spoken = run(&it.0, &["backup-incr", "--json", "--exec"]);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    let id = json(&spoken)["backup"].as_str().unwrap().to_owned();
    // Stamps are to the second.
    std::thread::sleep(std::time::Duration::from_millis(1010));
    (it, id)
}

fn listed(bench: &Bench, id: &str) -> Value {
    let listed = json(&run(bench, &["list", "--json"]));
    listed["backups"].as_array().unwrap().iter().find(|entry| entry["backup"] == id).unwrap().clone()
}

/// How many backups the restore of the newest one is made of.
fn links(bench: &Bench, workdir: &str) -> usize {
    let workdir = bench.path(workdir);
    let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
    let spoken = run(bench, &args);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    let report: Value = serde_json::from_slice(&fs::read(workdir.join("dbbak-restore.json")).unwrap()).unwrap();
    report["chain"].as_array().unwrap().len()
}

fn meta(bench: &Bench, id: &str) -> PathBuf {
    bench.path("store").join(id).join("meta.json")
}

#[test]
fn a_mark_is_taken_off_where_the_backup_can_be_applied() {
    for series in [Series::Xtrabackup80, Series::Xtrabackup84, Series::Mariadb1011] {
        let ((bench, scenario), id) = marked(series);
        bench.play(&scenario).unwrap();
        assert_eq!(links(&bench, "without"), 1);
        let before = fs::read(bench.path("store/manifest.json")).unwrap();
        let shown = run(&bench, &["unmark", &id]);
        assert_eq!(shown.code(), Some(0), "{shown}");
        assert!(shown.stdout.contains(&format!("Plan: try {id} again")), "{shown}");
        assert!(shown.stdout.contains("it is marked: a trial could not apply it"), "{shown}");
        assert_eq!(fs::read(bench.path("store/manifest.json")).unwrap(), before, "a dry run changes nothing");

        let reason = "the tool was broken that day";
        let spoken = run(&bench, &["unmark", &id, "--reason", reason, "--json", "--exec"]);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
        let said = json(&spoken);
        assert_eq!(
            (&said["backup"], &said["unmarked"], &said["reason"]),
            (&id.clone().into(), &true.into(), &reason.into())
        );
        assert!(said["said"].as_str().unwrap().contains("rename ./shop/ex#.ibd.meta"), "{said}");
        assert_eq!(bench.names_in("scratch"), [""; 0]);

        // Restores choose it again, and the next incremental goes on it. What was said is still there.
        assert_eq!(links(&bench, "with"), 2);
        let entry = listed(&bench, &id);
        assert_eq!((&entry["unusable"], &entry["whole"]), (&Value::Null, &true.into()));
        let marks = entry["marks"].as_array().unwrap();
        assert_eq!((marks.len(), &marks[0]["change"], &marks[1]["change"]), (2, &"set".into(), &"taken_off".into()));
        assert_eq!((&marks[0]["reason"], &marks[1]["note"]), (&said["said"], &reason.into()));
        assert!(marks[1]["at"].is_string() && marks[1]["by"].as_str().unwrap().contains(" on "), "{marks:?}");
        let checked = run(&bench, &["check", "--json"]);
        assert!(!checked.stdout.contains("backup_unusable"), "{checked}");
        bench.configure("prepared: both\n").unwrap();
        let next = backup(&bench, &["backup-incr", "--json", "--exec"]);
        assert!(json(&next)["backup"].as_str().unwrap().starts_with("incr_"), "{next}");
        assert_eq!(links(&bench, "on-it"), 3);

        let again = run(&bench, &["unmark", &id, "--exec"]);
        assert_eq!(again.code(), Some(5), "{again}");
        assert!(again.stderr.contains("bears no mark"), "{again}");
    }
}

#[test]
fn a_mark_stays_where_the_backup_still_cannot_be_applied() {
    for series in [Series::Xtrabackup84, Series::Mariadb1011] {
        let (it, id) = marked(series);
        let bench = &it.0;
        // The raw full is prepared first.
        fail_prepare(&it, 1, refusal());
        let spoken = run(bench, &["unmark", &id, "--json", "--exec"]);
        assert_eq!(spoken.code(), Some(6), "{spoken}");
        let said = json(&spoken);
        assert!(said["error"].as_str().unwrap().contains("stays marked: "), "{said}");
        assert!(spoken.stderr.contains("rename ./shop/ex#.ibd.meta"), "{spoken}");
        assert_eq!(bench.names_in("scratch"), [""; 0]);
        let entry = listed(bench, &id);
        assert!(entry["unusable"].is_string(), "{entry}");
        assert_eq!(entry["marks"].as_array().unwrap().len(), 1);
        assert_eq!(links(bench, "without"), 1);

        // A copy that is not what was recorded shows nothing, and is told as damage.
        bench.play(&it.1).unwrap();
        let file = bench.path("store").join(&id).join("raw/shop/orders.ibd.delta");
        let size = fs::read(&file).unwrap().len();
        fs::write(&file, vec![b'x'; size]).unwrap();
        let spoken = run(bench, &["unmark", &id, "--exec"]);
        assert_eq!(spoken.code(), Some(7), "{spoken}");
        assert!(spoken.stderr.contains("stays marked: ") && spoken.stderr.contains("is damaged"), "{spoken}");
        assert!(listed(bench, &id)["unusable"].is_string());
    }
}

/// Lists from before the mark, from while it stood, and from after it: the last word counts, whichever list says it.
#[test]
fn reindex_keeps_the_last_word_on_a_mark() {
    let (it, id) = marked(Series::Mariadb1011);
    let bench = &it.0;
    bench.play(&it.1).unwrap();
    let manifest = bench.path("store/manifest.json");
    let while_marked = (fs::read(&manifest).unwrap(), fs::read(meta(bench, &id)).unwrap());
    assert_eq!(run(bench, &["unmark", &id, "--exec"]).code(), Some(0));
    let after = (fs::read(&manifest).unwrap(), fs::read(meta(bench, &id)).unwrap());
    let states = [
        ("an older manifest", &while_marked.0, &after.1),
        ("an older meta.json", &after.0, &while_marked.1),
        ("both as they were left", &after.0, &after.1),
    ];
    for (what, list, facts) in states {
        fs::write(&manifest, list).unwrap();
        fs::write(meta(bench, &id), facts).unwrap();
        assert_eq!(run(bench, &["reindex", "--exec"]).code(), Some(0), "{what}");
        let entry = listed(bench, &id);
        assert_eq!(entry["unusable"], Value::Null, "{what}");
        assert_eq!(entry["marks"].as_array().unwrap().len(), 2, "{what}");
    }
    // Without a manifest, and with the generation before it that still bears the mark.
    fs::write(bench.path("store/manifest.json.prev"), &while_marked.0).unwrap();
    fs::remove_file(&manifest).unwrap();
    assert_eq!(run(bench, &["reindex", "--exec"]).code(), Some(0));
    assert_eq!(listed(bench, &id)["unusable"], Value::Null);
    assert_eq!(links(bench, "after"), 2);

    // The other way: marked again, and a list from when it was not.
    fail_twice(&it, refusal(), refusal());
    let (ts, workdir) = (id.split('_').nth(1).unwrap(), bench.path("fails"));
    let workdir = workdir.to_str().unwrap();
    let spoken =
        run(bench, &["restore", "--backup", ts, "--no-pitr", "--check", "none", "--workdir", workdir, "--exec"]);
    assert!(spoken.stderr.contains("was marked in the store"), "{spoken}");
    for (path, older) in [(manifest, &after.0), (meta(bench, &id), &after.1)] {
        fs::write(&path, older).unwrap();
        assert_eq!(run(bench, &["reindex", "--exec"]).code(), Some(0));
        let entry = listed(bench, &id);
        assert!(entry["unusable"].as_str().unwrap().contains("a restore could not apply it"), "{entry}");
        assert_eq!(entry["marks"].as_array().unwrap().len(), 3);
    }
}
