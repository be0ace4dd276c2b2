//! Lists that are lost, cut, emptied or older than the data: reading goes on, nothing is removed, and they are rebuilt.

use super::{Bench, Series, backup, run, with_store};
use dbbak_testkit::shim::Point;
use std::{fs, path::PathBuf};

/// A store with a full, an incremental, and two archived binlogs; and its lists as they were before the last of each.
struct Case {
    bench: Bench,
    older: Vec<(&'static str, Vec<u8>)>,
}

const LISTS: [&str; 3] = ["store/dbbak.json", "store/manifest.json", "store/binlogs/index.json"];

/// Three states at the ends of the first binlog's transactions, and the binlogs that are there now.
fn play(bench: &Bench, ends: &[u64]) {
    let states = (1..=3).zip(ends).map(|(number, end)| {
        let state = format!("orders {number}");
        Point::new(1000 * number).table("shop/orders", &state).binlog("mysql-bin.000001", *end, None)
    });
    bench.play(&bench.scenario().points(states)).unwrap();
}

/// A bench with a store, a closed binlog and an open one.
fn with_two_binlogs() -> (Bench, Vec<u64>) {
    let (bench, _) = with_store(Series::Xtrabackup80);
    let ends = bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 2, false).unwrap();
    play(&bench, &ends);
    (bench, ends)
}

fn case() -> Case {
    let (bench, ends) = with_two_binlogs();
    backup(&bench, &["backup-full", "--exec"]);
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
    let older = LISTS.iter().map(|name| (*name, fs::read(bench.path(name)).unwrap())).collect();
    backup(&bench, &["backup-incr", "--exec"]);
    bench.binlog(2, 2, true).unwrap();
    bench.binlog(3, 1, false).unwrap();
    play(&bench, &ends);
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
    Case { bench, older }
}

impl Case {
    fn backup_dir(&self, kind: &str) -> PathBuf {
        let name = self.bench.backup_dirs().into_iter().find(|name| name.starts_with(kind)).unwrap();
        self.bench.path("store").join(name)
    }

    fn data(&self) -> Vec<PathBuf> {
        let mut kept: Vec<PathBuf> = self.bench.contents("store").unwrap().into_iter().map(|(path, _)| path).collect();
        let is_data = |path: &PathBuf| {
            let text = path.to_string_lossy();
            text.contains("/raw/") || text.contains("/prepared-") || text.contains("/binlogs/binlog_")
        };
        kept.retain(is_data);
        kept
    }

    fn restore(&self, name: &str) -> String {
        let workdir = self.bench.path(name);
        let args = ["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"];
        let spoken = run(&self.bench, &args);
        assert_eq!(spoken.code(), Some(0), "{spoken}");
        let datadir = spoken.stdout.trim().to_owned();
        fs::read_to_string(format!("{datadir}/shop/orders.ibd")).unwrap()
    }

    /// Nothing that reads fails, nothing is removed, the lists are rebuilt, and a restore goes on as before.
    fn survives(&self, what: &str, readable: bool) {
        let data = self.data();
        for args in [&["list"][..], &["timeline"], &["list", "--json"]] {
            let spoken = run(&self.bench, args);
            assert!(matches!(spoken.code(), Some(0 | 9)), "{what}: {spoken}");
        }
        if readable {
            assert_eq!(self.restore("before"), "orders 2", "{what}");
        }
        run(&self.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        run(&self.bench, &["init"]);
        run(&self.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        assert_eq!(self.data(), data, "{what}: data were removed");
        let spoken = run(&self.bench, &["reindex", "--exec"]);
        assert_eq!(spoken.code(), Some(0), "{what}: {spoken}");
        let spoken = run(&self.bench, &["reindex"]);
        assert!(!spoken.stdout.contains("damaged") && !spoken.stdout.contains("in no list"), "{what}: {spoken}");
        let spoken = run(&self.bench, &["prune", "--orphans", "--older-than", "0", "--exec"]);
        assert_eq!(spoken.code(), Some(0), "{what}: {spoken}");
        assert_eq!(self.data(), data, "{what}: the repair made orphans");
        let list = run(&self.bench, &["list", "--json"]);
        let listed: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
        assert_eq!(listed["backups"].as_array().unwrap().len(), 2, "{what}: {list}");
        assert_eq!(listed["binlogs"][0]["files"], 2, "{what}: {list}");
        assert_eq!(listed["binlogs"].as_array().unwrap().len(), 1, "{what}: {list}");
        assert_eq!(self.restore("after"), "orders 2", "{what}");
        // And the archive goes on.
        let shipped = run(&self.bench, &["ship-binlogs", "--exec"]);
        assert_eq!(shipped.code(), Some(0), "{what}: {shipped}");
    }
}

fn cut(path: &PathBuf) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

type Harm = fn(&PathBuf);
const HARMS: [(&str, Harm); 3] =
    [("lost", |path| fs::remove_file(path).unwrap()), ("cut", cut), ("emptied", |path| fs::write(path, "").unwrap())];

#[test]
fn lists_that_are_lost_cut_or_emptied() {
    for name in LISTS {
        for (how, harm) in HARMS {
            let case = case();
            harm(&case.bench.path(name));
            case.survives(&format!("{name} {how}"), true);
        }
    }
}

/// The generation before is gone as well: only what describes itself is left.
#[test]
fn lists_without_the_generation_before() {
    for name in LISTS {
        let case = case();
        fs::remove_file(case.bench.path(name)).unwrap();
        let _ = fs::remove_file(case.bench.path(&format!("{name}.prev")));
        case.survives(&format!("{name} and its generation before"), true);
    }
    let case = case();
    for name in LISTS {
        fs::remove_file(case.bench.path(name)).unwrap();
        let _ = fs::remove_file(case.bench.path(&format!("{name}.prev")));
    }
    case.survives("all lists", true);
}

#[test]
fn generations_before_that_are_lost_or_cut_are_not_missed() {
    for (how, harm) in HARMS {
        let case = case();
        for name in LISTS {
            let path = case.bench.path(&format!("{name}.prev"));
            if path.exists() {
                harm(&path);
            }
        }
        case.survives(&format!("generations before {how}"), true);
    }
}

#[test]
fn lists_that_are_older_than_the_data() {
    for place in 0..LISTS.len() {
        let case = case();
        let (name, bytes) = &case.older[place];
        fs::write(case.bench.path(name), bytes).unwrap();
        let _ = fs::remove_file(case.bench.path(&format!("{name}.prev")));
        case.survives(&format!("{name} of yesterday"), *name != "store/manifest.json");
    }
}

#[test]
fn a_backups_own_files_that_are_lost_cut_or_emptied() {
    for (kind, name) in
        [("full_", "meta.json"), ("full_", "files.json"), ("incr_", "meta.json"), ("incr_", "files.json")]
    {
        for (how, harm) in HARMS {
            let case = case();
            harm(&case.backup_dir(kind).join(name));
            case.survives(&format!("{kind} {name} {how}"), false);
        }
    }
}

/// A list of files is made anew only where it comes out as it was: it must not say that changed files are good.
#[test]
fn a_list_of_files_is_not_made_of_changed_files() {
    let case = case();
    let dir = case.backup_dir("full_");
    fs::remove_file(dir.join("files.json")).unwrap();
    fs::write(dir.join("raw/ibdata1"), "other pages").unwrap();
    let spoken = run(&case.bench, &["reindex", "--exec"]);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    assert!(spoken.stderr.contains("not those that were recorded"), "{spoken}");
    assert!(!dir.join("files.json").exists());
}

#[test]
fn init_makes_no_empty_lists_over_what_is_there() {
    let case = case();
    for name in ["store/manifest.json", "store/binlogs/index.json"] {
        let bytes = fs::read(case.bench.path(name)).unwrap();
        let store = fs::read(case.bench.path("store/dbbak.json")).unwrap();
        fs::remove_file(case.bench.path(name)).unwrap();
        fs::remove_file(case.bench.path("store/dbbak.json")).unwrap();
        let spoken = run(&case.bench, &["init"]);
        assert_eq!(spoken.code(), Some(4), "{spoken}");
        assert!(spoken.stderr.contains("reindex") && !case.bench.path(name).exists(), "{spoken}");
        fs::write(case.bench.path(name), bytes).unwrap();
        fs::write(case.bench.path("store/dbbak.json"), store).unwrap();
    }
}

/// What the lists name and the store lacks is told by every command, and is not chosen.
#[test]
fn what_was_removed_from_the_store_is_told_and_not_chosen() {
    let (bench, _) = with_two_binlogs();
    backup(&bench, &["backup-full", "--exec"]);
    backup(&bench, &["backup-full", "--exec"]);
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(0));
    let dirs = bench.backup_dirs();
    let gone = dirs.last().unwrap().clone();
    fs::remove_dir_all(bench.path("store").join(&gone)).unwrap();
    for (args, code) in
        [(&["list"][..], 0), (&["timeline"], 0), (&["check"], 5), (&["backup-full"], 0), (&["restore", "--no-pitr"], 0)]
    {
        let spoken = run(&bench, args);
        let told = format!("{}{}", spoken.stdout, spoken.stderr);
        assert!(told.contains("no longer in the store"), "{args:?}: {spoken}");
        assert_eq!(spoken.code(), Some(code), "{args:?}: {spoken}");
    }
    let ts = gone.strip_prefix("full_").unwrap();
    let spoken = run(&bench, &["restore", "--no-pitr", "--backup", ts]);
    assert_eq!(spoken.code(), Some(5), "{spoken}");
    assert!(spoken.stderr.contains("no longer in the store"), "{spoken}");
    assert!(spoken.stderr.contains("bring its directory back into the store, or name another backup"), "{spoken}");
    // So does taking a mark off it.
    let spoken = run(&bench, &["unmark", ts, "--exec"]);
    assert_eq!(spoken.code(), Some(5), "{spoken}");
    assert!(spoken.stderr.contains("bring its directory back into the store, or name another backup"), "{spoken}");
    let spoken = run(&bench, &["unmark", "2020-01-01T00-00Z"]);
    assert!(spoken.code() == Some(5) && spoken.stderr.contains("the nearest are"), "{spoken}");
    let workdir = bench.path("restored");
    let spoken =
        run(&bench, &["restore", "--no-pitr", "--check", "none", "--workdir", workdir.to_str().unwrap(), "--exec"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    backup(&bench, &["backup-incr", "--exec"]);
    // A binlog: the server still has it, so that it is archived again.
    let archived = |bench: &Bench| {
        let mut names = bench.names_in("store/binlogs");
        names.retain(|name| name.starts_with("binlog_") && !name.ends_with(".tx"));
        names
    };
    let before = archived(&bench);
    fs::remove_file(bench.path("store/binlogs").join(&before[0])).unwrap();
    for args in [&["list"][..], &["timeline"], &["check"], &["reindex"]] {
        let spoken = run(&bench, args);
        let told = format!("{}{}", spoken.stdout, spoken.stderr);
        assert!(told.contains("no longer in the store"), "{args:?}: {spoken}");
    }
    let index = fs::read_to_string(bench.path("store/binlogs/index.json")).unwrap();
    let spoken = run(&bench, &["ship-binlogs", "--exec"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
    assert_eq!(archived(&bench), before);
    let after = fs::read_to_string(bench.path("store/binlogs/index.json")).unwrap();
    assert_eq!(index.matches("\"stored_as\"").count(), after.matches("\"stored_as\"").count(), "entered twice");
    assert!(!run(&bench, &["list"]).stdout.contains("was archived, and is no longer"));
    // One that the server has no longer either is told each time.
    fs::remove_file(bench.path("store/binlogs").join(&before[0])).unwrap();
    fs::remove_file(bench.path("binlogs/mysql-bin.000001")).unwrap();
    for _ in 0..2 {
        let spoken = run(&bench, &["ship-binlogs", "--exec"]);
        assert_eq!(spoken.code(), Some(9), "{spoken}");
        assert!(spoken.stderr.contains("no longer in the store"), "{spoken}");
    }
}

/// The server purges a file between the plan and its archiving: a gap, told, and what follows is archived.
#[test]
fn a_gap_is_told_each_time_until_a_backup_stands_behind_it() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    let ends = bench.binlog(1, 3, true).unwrap();
    bench.binlog(2, 2, true).unwrap();
    bench.binlog(3, 2, true).unwrap();
    bench.binlog(4, 1, false).unwrap();
    play(&bench, &ends);
    backup(&bench, &["backup-full", "--exec"]);
    let kept = fs::read(bench.path("binlogs/mysql-bin.000002")).unwrap();
    fs::remove_file(bench.path("binlogs/mysql-bin.000002")).unwrap();
    assert_eq!(run(&bench, &["ship-binlogs", "--exec"]).code(), Some(9));
    for args in [&["ship-binlogs", "--exec"][..], &["list"], &["timeline"], &["check"]] {
        let spoken = run(&bench, args);
        let told = format!("{}{}", spoken.stdout, spoken.stderr);
        assert!(told.contains("mysql-bin.000002"), "{args:?}: {spoken}");
    }
    // It comes back, and is healed.
    fs::write(bench.path("binlogs/mysql-bin.000002"), kept).unwrap();
    let spoken = run(&bench, &["ship-binlogs", "--exec"]);
    assert!(spoken.stderr.contains("archive mysql-bin.000002"), "{spoken}");
    let spoken = run(&bench, &["ship-binlogs", "--exec"]);
    assert_eq!(spoken.code(), Some(0), "{spoken}");
}

#[test]
fn unlock_wants_a_reason() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    assert_eq!(run(&bench, &["unlock"]).code(), Some(2));
    let spoken = run(&bench, &["unlock", "--reason", "nobody is there"]);
    assert_eq!((spoken.code(), spoken.stdout.as_str()), (Some(0), "nobody holds a lock\n"), "{spoken}");
}
