//! `dbbak timeline` on a store that a history left: what it prints, what it writes, and that it changes nothing.

use super::{bench, run};
use dbbak_core::{
    record::record_layout,
    store::{BinlogIndex, LocalStore, LockRequest, LockScope, Manifest, Store, StoreFile, Sums},
};
use dbbak_testkit::{
    command_line::Bench,
    history::{History, Product},
    shim::Series,
};
use std::fs;

/// A bench whose store holds what a history archived and backed up, in the lists alone.
fn with_history(history: &History) -> Bench {
    let bench = bench(Series::Xtrabackup80);
    let root = bench.path("store");
    fs::create_dir_all(&root).unwrap();
    let store = LocalStore::new(&root);
    let session = store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("test")).unwrap();
    record_layout(&*session, &StoreFile::new(uuid::Uuid::nil(), history.now)).unwrap();
    let catalog = history.catalog();
    let (_, version) = Manifest::load(&*session, Sums::Required).unwrap().unzip();
    let entries = catalog.backups.iter().map(|backup| backup.entry.clone()).collect();
    Manifest { entries }.save(&*session, version.as_ref()).unwrap();
    let version = BinlogIndex::load(&*session, Sums::Required).unwrap().map(|(_, version)| version);
    let mut index = BinlogIndex::default();
    history.index().into_iter().for_each(|entry| index.append(entry));
    index.save(&*session, version.as_ref()).unwrap();
    session.release().unwrap();
    bench.fill_store().unwrap();
    bench
}

fn broken() -> History {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    for hour in 2..6 {
        history.at(&format!("{hour:02}:10")).commit().at(&format!("{hour:02}:50")).rotate().ship();
    }
    history.lose_binlog(3).at("06:00").full();
    history.at("06:10").commit().rotate().ship();
    history
}

#[test]
fn text_json_and_page_agree() {
    let bench = with_history(&broken());
    let before = bench.contents("store").unwrap();
    let spoken = run(&bench, &["timeline"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    assert!(spoken.stdout.contains("binlog.000003 was never archived (timeline t1)"), "{spoken}");
    // Standard output is no terminal here.
    assert!(!spoken.stdout.contains('\u{1b}') && spoken.stdout.contains('█'));
    assert!(spoken.stdout.lines().all(|line| line.chars().count() <= 80));
    let json = run(&bench, &["timeline", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    let count = |of: &str| value[of].as_array().unwrap().len();
    assert_eq!((&value["version"], count("windows"), count("holes")), (&1.into(), 2, 2), "{json}");
    assert_eq!(value["windows"][0]["from"], "2025-10-02T02:00:31Z");
    let page = bench.path("page.html");
    let told = run(&bench, &["timeline", "--html", page.to_str().unwrap()]);
    assert_eq!(told.code(), Some(0), "{told}");
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(html.matches("<article").count(), 4);
    assert!(html.contains("binlog.000003 was never archived"));
    assert_eq!(bench.contents("store").unwrap(), before);
}

/// The store of a history is copied file by file in any order: nothing that is told depends on modification times.
#[test]
fn a_copied_store_tells_the_same() {
    let bench = with_history(&broken());
    let told = |bench: &Bench| {
        let spoken = run(bench, &["timeline", "--json"]);
        let mut value: serde_json::Value = serde_json::from_str(&spoken.stdout).unwrap();
        // The clock goes on between two runs.
        value["now"].take();
        value["lag_seconds"].take();
        value["holes"].as_array_mut().unwrap().pop();
        value
    };
    let before = told(&bench);
    let files = ["manifest.json", "binlogs/index.json", "dbbak.json"];
    for (place, name) in files.iter().enumerate() {
        let path = bench.path(&format!("store/{name}"));
        let age = std::time::Duration::from_secs(10_000_000 * (place as u64 * 7 % 3 + 1));
        fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::now() - age).unwrap();
    }
    assert_eq!(told(&bench), before);
}

#[test]
fn page_that_cannot_be_written() {
    let bench = with_history(&broken());
    let spoken = run(&bench, &["timeline", "--html", "/nowhere/page.html"]);
    assert_eq!(spoken.code(), Some(2), "{spoken}");
    assert!(spoken.stderr.contains("cannot write the page /nowhere/page.html"), "{spoken}");
}

#[test]
fn store_that_holds_nothing() {
    let bench = bench(Series::Xtrabackup80);
    assert_eq!(run(&bench, &["init"]).code(), Some(0));
    assert_eq!(run(&bench, &["timeline"]).stdout, "Nothing can be restored.\n\n");
}
