//! Everything that describes a store, lost, cut, emptied and older than the data, alone and two at once, and a repair that dies in
//! its middle: nothing that is good is removed, and what was rebuilt restores.

use super::{Bench, Series, run, with_store};
use dbbak_core::{
    execute::Silent,
    model::BackupId,
    record::rebuild,
    store::{
        BackupMeta, BackupPaths, BinlogIndex, Digest, FileList, KeyPart, LocalStore, LockRequest, LockScope, Manifest,
        Store, Sums, layout, local::LocalParts,
    },
};
use dbbak_testkit::{faulty::FaultyDisk, shim::Point};
use std::{fs, path::PathBuf, sync::Arc, thread, time::Duration};
use uuid::Uuid;

/// A store as it should be, and what it restores.
struct Case {
    bench: Bench,
    whole: Vec<(PathBuf, Vec<u8>)>,
    full: BackupId,
    incr: BackupId,
    segment: String,
    backups: usize,
    newest: &'static str,
}

/// A full with all trees, an incremental, and two archived binlogs, the first of them in a segment. `full_last`: another full is
/// the last that was recorded.
fn case(full_last: bool) -> Case {
    let (bench, _) = with_store(Series::Xtrabackup80);
    let ends = bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 2, true).unwrap();
    bench.binlog(3, 1, false).unwrap();
    let states = (1..=3).zip(&ends).map(|(number, end)| {
        let state = format!("orders {number}");
        Point::new(1000 * number).table("shop/orders", &state).binlog("mysql-bin.000001", *end, None)
    });
    bench.play(&bench.scenario().points(states)).unwrap();
    let kinds = ["backup-full", "backup-incr", "backup-full"];
    for kind in kinds.into_iter().take(if full_last { 3 } else { 2 }) {
        assert_eq!(run(&bench, &[kind, "--exec"]).code(), Some(0));
        thread::sleep(Duration::from_millis(1010));
    }
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
    let segment = seal(&bench);
    let dirs = bench.backup_dirs();
    let id = |kind: &str| dirs.iter().find(|name| name.starts_with(kind)).unwrap().parse().unwrap();
    let (full, incr) = (id("full_"), id("incr_"));
    let whole = bench.contents("store").unwrap();
    let newest = if full_last { "orders 3" } else { "orders 2" };
    Case { bench, whole, full, incr, segment, backups: dirs.len(), newest }
}

/// Moves the index's first entry into a segment, as the 401st binlog would. Returns its path.
fn seal(bench: &Bench) -> String {
    let path = bench.path("store/binlogs/index.json");
    let none = |_: &KeyPart| Ok(None);
    let index = BinlogIndex::parse(&fs::read(&path).unwrap(), Sums::Required, none).unwrap();
    let entries = index.into_entries();
    let (first, rest) = entries.split_first().unwrap();
    let bytes = format!("{{\"files\":[\n{}\n]}}\n", serde_json::to_string(first).unwrap()).into_bytes();
    let digest = Digest::of(&bytes);
    let name = layout::segment_name(1, &digest);
    let segment = format!("store/binlogs/index/{name}");
    bench.write(&segment, &bytes).unwrap();
    let reference = serde_json::json!({
        "name": name, "digest": digest, "count": 1, "first": first.first_event_time, "last": first.last_event_time,
    });
    let head = serde_json::json!({ "segments": [reference], "files": rest });
    let read = |_: &KeyPart| Ok(Some(bytes.clone()));
    let sealed = BinlogIndex::parse(head.to_string().as_bytes(), Sums::Optional, read).unwrap();
    for name in ["index.json", "index.json.prev"] {
        fs::write(bench.path("store/binlogs").join(name), sealed.encode().index).unwrap();
    }
    assert_eq!(run(bench, &["list"]).code(), Some(0));
    segment
}

impl Case {
    /// What describes the store: the file, and how it was before the last change.
    fn described(&self) -> Vec<(String, Vec<u8>)> {
        let read = |name: &str| fs::read(self.bench.path(name)).unwrap();
        let mut all = Vec::new();
        for list in ["store/manifest.json", "store/binlogs/index.json"] {
            all.push((list.to_owned(), read(&format!("{list}.prev"))));
        }
        all.push(("store/dbbak.json".to_owned(), Vec::new()));
        // Under its name, what an older program would have written of the same binlog.
        let segment: serde_json::Value = serde_json::from_slice(&read(&self.segment)).unwrap();
        let mut older = segment.clone();
        older["files"][0].as_object_mut().unwrap().remove("transactions");
        all.push((self.segment.clone(), older.to_string().into_bytes()));
        for id in [&self.full, &self.incr] {
            let (meta, files) = (format!("store/{id}/meta.json"), format!("store/{id}/files.json"));
            if id.base.is_some() {
                all.extend([(meta, Vec::new()), (files, Vec::new())]);
                continue;
            }
            // As they were when the tool's own tree was recorded, and nothing made of it yet.
            let list = FileList::parse(&read(&files), id, None).unwrap();
            let raw = list.entries.into_iter().filter(|entry| entry.path.parts().next() == Some("raw"));
            let raw = FileList::new(raw.collect()).to_bytes();
            let facts = BackupMeta::parse(&read(&meta), id, None, Sums::Required).unwrap();
            let mut entry = facts.entry;
            (entry.files_digest, entry.stored_size) = (Some(Digest::of(&raw)), entry.size);
            let paths = BackupPaths { raw: facts.paths.raw.clone(), ..BackupPaths::default() };
            all.push((meta, BackupMeta::new(entry, paths, facts.tool).to_bytes()));
            all.push((files, raw));
        }
        all
    }

    fn reset(&self) {
        fs::remove_dir_all(self.bench.path("store")).unwrap();
        for (path, bytes) in &self.whole {
            match path.is_dir() || bytes.is_empty() && self.is_dir(path) {
                true => fs::create_dir_all(path).unwrap(),
                false => {
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    fs::write(path, bytes).unwrap();
                }
            }
        }
        let _ = fs::remove_dir_all(self.bench.path("restored"));
    }

    fn is_dir(&self, path: &PathBuf) -> bool {
        let empty = ["locks", "logs", "tmp", "history", "index", "server", "raw"];
        self.whole.iter().any(|(other, _)| other != path && other.starts_with(path))
            || path.file_name().is_some_and(|name| empty.iter().any(|dir| name == *dir))
    }

    fn data(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut kept = self.bench.contents("store").unwrap();
        kept.retain(|(path, _)| {
            let text = path.to_string_lossy();
            let tree = ["/raw/", "/prepared-redo/", "/prepared-final/", "/server/"];
            tree.iter().any(|tree| text.contains(tree)) || text.contains("/binlogs/binlog_") && !text.ends_with(".tx")
        });
        kept
    }

    /// Reading fails for nothing, a clean-up removes nothing that is good, and after the repair all is there.
    fn survives(&self, what: &str, reading: bool) {
        self.survives_with(what, reading, true);
    }

    fn survives_with(&self, what: &str, reading: bool, all: bool) {
        let data = self.data();
        if reading {
            for args in [&["list"][..], &["timeline"], &["restore", "--no-pitr"]] {
                let spoken = run(&self.bench, args);
                assert!(matches!(spoken.code(), Some(0 | 4 | 5 | 7 | 9)), "{what}: {args:?}: {spoken}");
            }
        }
        run(&self.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        assert_eq!(self.data(), data, "{what}: data were removed");
        let repaired = run(&self.bench, &["reindex", "--exec"]);
        assert_eq!(repaired.code(), Some(if all { 0 } else { 9 }), "{what}: {repaired}");
        if all {
            return self.is_whole(what, &data);
        }
        run(&self.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        assert_eq!(self.data(), data, "{what}: the repair made orphans");
        assert!(repaired.stderr.contains("stays as it is"), "{what}: {repaired}");
    }

    #[track_caller]
    fn is_whole(&self, what: &str, data: &[(PathBuf, Vec<u8>)]) {
        let pruned = run(&self.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        assert_eq!(pruned.code(), Some(0), "{what}: {pruned}");
        assert_eq!(self.data(), data, "{what}: the repair made orphans");
        let list = run(&self.bench, &["list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
        let backups = listed["backups"].as_array().unwrap();
        assert!(backups.len() == self.backups && backups.iter().all(|one| one["whole"] == true), "{what}: {list}");
        assert!(
            listed["binlogs"].as_array().unwrap().len() == 1 && listed["binlogs"][0]["files"] == 2,
            "{what}: {list}"
        );
        let _ = fs::remove_dir_all(self.bench.path("restored"));
        let workdir = self.bench.path("restored");
        let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
        let restored = run(&self.bench, &args);
        assert_eq!(restored.code(), Some(0), "{what}: {restored}");
        let table = fs::read_to_string(workdir.join("data/shop/orders.ibd")).unwrap();
        assert_eq!(table, self.newest, "{what}");
        let planned = run(&self.bench, &["restore", "--latest"]);
        assert_eq!(planned.code(), Some(0), "{what}: {planned}");
    }
}

/// What befalls a file.
fn harm(path: &PathBuf, how: &str, older: &[u8]) {
    match how {
        "lost" => fs::remove_file(path).unwrap(),
        "cut" => {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }
        "emptied" => fs::write(path, "").unwrap(),
        _ => fs::write(path, older).unwrap(),
    }
}

/// What [`super::rebuild`] does not go through: segments, what is older than the data, and a manifest whose generation before knows a
/// full without its prepared trees.
#[test]
fn each_is_mended_and_restores() {
    for full_last in [false, true] {
        let case = case(full_last);
        for (name, older) in case.described() {
            let is_new = |how: &&str| match (full_last, name.contains("/index/")) {
                (true, _) => name.contains("manifest"),
                (false, true) => true,
                (false, false) => *how == "older" && !older.is_empty(),
            };
            for how in ["lost", "cut", "emptied", "older"].into_iter().filter(is_new) {
                case.reset();
                harm(&case.bench.path(&name), how, &older);
                case.survives(&format!("{name} {how} (a full last: {full_last})"), true);
            }
        }
    }
}

/// Two that have to do with each other: those of the backups, those of the binlogs, and both with the lists.
#[test]
fn two_at_once_are_mended_and_restore() {
    let case = case(false);
    let all = case.described();
    let of_binlogs = |name: &str| name.contains("/binlogs/");
    let mut tried = 0;
    for (place, (first, _)) in all.iter().enumerate() {
        for (second, older) in &all[place + 1..] {
            let is_list = |name: &str| name.ends_with("dbbak.json") || name.ends_with("index.json");
            if of_binlogs(first) != of_binlogs(second) && !is_list(first) && !is_list(second) {
                continue;
            }
            case.reset();
            harm(&case.bench.path(first), "lost", &[]);
            harm(&case.bench.path(second), if older.is_empty() { "cut" } else { "older" }, older);
            let what = format!("{first} lost, {second} older");
            // The generation before does not know the incremental: nothing describes it, and it stays where it is.
            let nothing_left = first.contains("manifest") && second.contains("incr_") && second.ends_with("meta.json");
            case.survives_with(&what, false, !nothing_left);
            tried += 1;
        }
    }
    assert!(tried > 15, "{tried}");
}

/// Whatever it had done by then, the next repair ends it, and nothing is an orphan in between.
#[test]
fn a_repair_that_dies_in_its_middle_is_done_again() {
    let case = case(false);
    let spoil = || {
        case.reset();
        for name in ["store/dbbak.json", "store/manifest.json", "store/binlogs/index.json"] {
            fs::remove_file(case.bench.path(name)).unwrap();
        }
        fs::remove_file(case.bench.path(&case.segment)).unwrap();
        // Of the incremental the manifest's generation before knows nothing: its own facts must stay.
        fs::remove_file(case.bench.path(&format!("store/{}/files.json", case.incr))).unwrap();
        fs::write(case.bench.path(&format!("store/{}/meta.json", case.full)), "").unwrap();
    };
    let mut deaths = 0;
    for operations in (0..).step_by(2) {
        spoil();
        let data = case.data();
        let disk = FaultyDisk::new();
        let parts = LocalParts { disk: Arc::new(disk.clone()), ..LocalParts::default() };
        let store = LocalStore::with(case.bench.path("store"), parts);
        let session = store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("reindex")).unwrap();
        disk.dies_after(operations);
        let ended = rebuild(&*session, (Uuid::from_u128(9), chrono::Utc::now()), &Silent);
        disk.heal();
        session.release().unwrap();
        if ended.is_ok() && disk.happened() == 0 {
            break;
        }
        deaths += 1;
        let what = format!("dead after {operations} operations");
        run(&case.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        assert_eq!(case.data(), data, "{what}: data were removed");
        let repaired = run(&case.bench, &["reindex", "--exec"]);
        assert_eq!(repaired.code(), Some(0), "{what}: {repaired}");
        case.is_whole(&what, &data);
    }
    assert!(deaths > 5, "only {deaths} places to die at");
    let store = LocalStore::new(case.bench.path("store"));
    assert_eq!(Manifest::load(&store, Sums::Required).unwrap().unwrap().0.entries.len(), case.backups);
}
