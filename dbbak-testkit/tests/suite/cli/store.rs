//! Stores that cannot be used: exit code 4, or 8 where somebody else holds the lock.

use super::{Series, bench, run, with_store};
use dbbak_core::store::{LocalStore, LockRequest, LockScope, Store, layout};
use dbbak_testkit::command_line::{Bench, Spoken};
use insta::assert_snapshot;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn store_missing() {
    let bench = bench(Series::Xtrabackup80);
    assert_snapshot!(run(&bench, &["list"]));
}

#[test]
fn store_missing_for_a_backup() {
    let bench = bench(Series::Xtrabackup80);
    assert_snapshot!(run(&bench, &["backup-full", "--exec"]));
    assert!(!bench.path("store").exists(), "a missing mount must not be filled in");
}

#[test]
fn directory_that_is_no_store() {
    let bench = bench(Series::Xtrabackup80);
    bench.write("store/notes.txt", "the mount below").unwrap();
    assert_snapshot!(run(&bench, &["list"]));
}

#[test]
fn init_below_a_missing_mount() {
    let bench = bench(Series::Xtrabackup80);
    bench.configure(&format!("nfs_root: {}\n", bench.path("mnt/backup").display())).unwrap();
    assert_snapshot!(run(&bench, &["init"]));
}

#[test]
fn init_twice() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    let before = bench.contents("store").unwrap();
    assert_snapshot!(run(&bench, &["init"]));
    assert_eq!(bench.contents("store").unwrap(), before);
}

#[test]
fn init_where_nothing_can_be_written() {
    let bench = bench(Series::Xtrabackup80);
    fs::create_dir(bench.path("locked")).unwrap();
    bench.configure(&format!("nfs_root: {}\n", bench.path("locked").display())).unwrap();
    let spoken = run_where_modes_count(&bench, "locked", &["init"]);
    assert_eq!(spoken.code(), Some(4), "{spoken}");
    assert!(spoken.stderr.starts_with("error: the store "), "{spoken}");
    assert!(spoken.stderr.lines().next().unwrap_or_default().contains("the store is not writable"), "{spoken}");
}

#[test]
fn store_that_is_read_only() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    fs::remove_dir_all(bench.path("store/locks")).unwrap();
    let spoken = run_where_modes_count(&bench, "store", &["backup-full", "--exec"]);
    assert_eq!(spoken.code(), Some(4), "{spoken}");
    assert!(spoken.stderr.contains("the store is not writable"), "{spoken}");
}

/// A store of which a plain user may read a part alone: what is missing is a right, not a list.
#[test]
fn store_that_a_plain_user_may_not_read() {
    let (bench, _) = with_store(Series::Mariadb1011);
    assert_eq!(run(&bench, &["backup-full", "--exec"]).code(), Some(0));
    let full = bench.names_in("store").into_iter().find(|name| name.starts_with("full_")).unwrap();
    for closed in ["store/dbbak.json", "store/manifest.json", "store/binlogs", &format!("store/{full}")] {
        for args in [&["list"][..], &["find"], &["timeline"]] {
            let spoken = run_with_mode(&bench, closed, 0, args);
            assert_eq!(spoken.code(), Some(4), "{closed}: {spoken}");
            assert!(spoken.stderr.contains("Permission denied"), "{closed}: {spoken}");
            assert!(spoken.stderr.contains("hint: this user may not read it: run dbbak as"), "{closed}: {spoken}");
        }
        let check = run_with_mode(&bench, closed, 0, &["check"]);
        assert!(
            check.stdout.contains(": Permission denied") && check.stdout.contains("this user may not read it"),
            "{check}"
        );
        assert!(!check.stdout.contains("reindex"), "{check}");
    }
    let config = run_with_mode(&bench, "dbbak.yml", 0, &["list"]);
    assert_eq!(config.code(), Some(3), "{config}");
    assert!(config.stderr.contains("hint: this user may not read it: run dbbak as one that may"), "{config}");
}

/// Somebody who may write into the store puts a link in place of a part: what it leads to is neither read, nor written, nor removed.
#[test]
fn store_with_a_link_in_place_of_a_part() {
    let (bench, _) = with_store(Series::Mariadb1011);
    assert_eq!(run(&bench, &["backup-full", "--exec"]).code(), Some(0));
    let full = bench.names_in("store").into_iter().find(|name| name.starts_with("full_")).unwrap();
    let raw = format!("store/{full}/raw");
    let restore = |bench: &Bench, workdir: &str| {
        let workdir = bench.path(workdir).display().to_string();
        run(bench, &["restore", "--backup", &full, "--no-pitr", "--check", "none", "--workdir", &workdir, "--exec"])
    };
    let before = restore(&bench, "before");
    assert_eq!(before.code(), Some(0), "{before}");
    let cases: [(&str, &[&str]); 5] = [
        ("store/dbbak.json", &["list"]),
        ("store/manifest.json", &["list"]),
        ("store/locks", &["backup-full", "--exec"]),
        ("store/tmp", &["backup-full", "--exec"]),
        ("store/history", &["backup-full", "--exec"]),
    ];
    for (number, (part, args)) in cases.into_iter().enumerate() {
        let (part, elsewhere) = (bench.path(part), bench.path(&format!("elsewhere{number}")));
        fs::rename(&part, &elsewhere).unwrap();
        symlink(&elsewhere, &part).unwrap();
        let names = |dir: &Path| {
            fs::read_dir(dir).map(|dir| dir.map(|entry| entry.unwrap().file_name()).collect::<BTreeSet<_>>()).ok()
        };
        let before = (names(&elsewhere), fs::read(&elsewhere).ok());
        let spoken = run(&bench, args);
        // The reserve that lies in `history/` is of use, and no backup depends on it.
        if !part.ends_with("history") {
            assert!(!matches!(spoken.code(), Some(0 | 9)), "{}: {spoken}", part.display());
            assert!(spoken.stderr.contains("is not followed"), "{}: {spoken}", part.display());
        }
        assert_eq!((names(&elsewhere), fs::read(&elsewhere).ok()), before, "{}", part.display());
        fs::remove_file(&part).unwrap();
        fs::rename(&elsewhere, &part).unwrap();
    }
    fs::rename(bench.path(&raw), bench.path("raw")).unwrap();
    symlink(bench.path("raw"), bench.path(&raw)).unwrap();
    let spoken = restore(&bench, "behind-raw");
    assert!(spoken.code() != Some(0) && spoken.stderr.contains("is not followed"), "{spoken}");
    assert!(!bench.path("behind-raw/data/ibdata1").exists());
    fs::remove_file(bench.path(&raw)).unwrap();
    fs::rename(bench.path("raw"), bench.path(&raw)).unwrap();
    assert_eq!(restore(&bench, "after").code(), Some(0));
    // A link in a backup's place costs that backup alone, and one with the name of a backup that nobody took costs nothing.
    fs::rename(bench.path(&format!("store/{full}")), bench.path("aside")).unwrap();
    symlink(bench.path("aside"), bench.path(&format!("store/{full}"))).unwrap();
    symlink("/nowhere", bench.path("store/full_2020-01-01T00-00Z")).unwrap();
    let spoken = restore(&bench, "behind");
    assert!(spoken.code() == Some(5) && spoken.stderr.contains("no longer in the store"), "{spoken}");
    let checked = run(&bench, &["check"]);
    assert!(checked.stdout.contains(&format!("{full} is in the manifest, and no longer in the store")), "{checked}");
    let listed = run(&bench, &["list"]);
    assert!(listed.stdout.contains("in the manifest") || listed.stderr.contains("in the manifest"), "{listed}");
    let reindexed = run(&bench, &["reindex", "--exec"]);
    assert!(reindexed.code() == Some(9) && reindexed.stderr.contains("no longer in the store"), "{reindexed}");
    assert_eq!(run(&bench, &["prune", "--orphans", "--exec"]).code(), Some(0));
    assert!(bench.path("aside/raw").exists());
    fs::remove_file(bench.path(&format!("store/{full}"))).unwrap();
    fs::rename(bench.path("aside"), bench.path(&format!("store/{full}"))).unwrap();
    assert_eq!(restore(&bench, "again").code(), Some(0));
    // The store itself may be a link.
    fs::rename(bench.path("store"), bench.path("moved")).unwrap();
    symlink(bench.path("moved"), bench.path("store")).unwrap();
    assert_eq!(run(&bench, &["reindex", "--exec"]).code(), Some(0));
    assert_eq!(restore(&bench, "through").code(), Some(0));
}

/// Runs `dbbak` while a directory refuses to be written.
fn run_where_modes_count(bench: &Bench, directory: &str, args: &[&str]) -> Spoken {
    run_with_mode(bench, directory, 0o555, args)
}

/// Runs `dbbak` while a path has another mode; root is deprived of its right to read and write whatever the mode says.
fn run_with_mode(bench: &Bench, path: &str, mode: u32, args: &[&str]) -> Spoken {
    let path = bench.path(path);
    let before = fs::metadata(&path).unwrap().permissions();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let above_modes = rustix::process::geteuid().is_root();
    let plain = bench.command(args);
    let mut command = match above_modes {
        true => Command::new("/usr/bin/setpriv"),
        false => Command::new(plain.get_program()),
    };
    if above_modes {
        let less = ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];
        command.args(less).arg(plain.get_program());
    }
    command.args(plain.get_args()).current_dir(plain.get_current_dir().unwrap()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spoken = bench.finish(command.spawn().unwrap(), args).unwrap();
    fs::set_permissions(&path, before).unwrap();
    spoken
}

#[test]
fn store_of_another_program_is_read_and_not_written() {
    let bench = bench(Series::Xtrabackup80);
    bench.write("store/manifest.json", "[]").unwrap();
    assert_eq!(run(&bench, &["list"]).code(), Some(0));
    assert_snapshot!("another_program_backup", run(&bench, &["backup-full", "--exec"]));
    assert_eq!(bench.names_in("store"), ["manifest.json"]);
    assert_eq!(run(&bench, &["init"]).code(), Some(0));
    assert_eq!(run(&bench, &["backup-full", "--exec"]).code(), Some(0));
}

/// Writes a store of its own file and a manifest that lists one full.
fn store_of(file: &str, manifest: &str) -> Bench {
    let bench = bench(Series::Xtrabackup80);
    bench.write("store/dbbak.json", file).unwrap();
    bench.write("store/manifest.json", manifest).unwrap();
    bench
}

const STORE: &str = r#"{"format": 1, "id": "5548e6f5-e54c-11f1-bda1-02fc00000001", "created": "2025-10-01T00:00:00Z"}"#;

/// Lists and tries to take a full; what cannot be read cannot be written either. The list ends with a code: what can be
/// trusted of a damaged store is shown.
fn both_ending(bench: &Bench, list: i32) -> String {
    let before = bench.contents("store").unwrap();
    let asked = [(&["list"][..], list), (&["backup-full", "--exec"], 4)];
    let spoken = asked.map(|(args, code)| {
        let spoken = run(bench, args);
        assert_eq!(spoken.code(), Some(code), "{spoken}");
        spoken.to_string()
    });
    assert_eq!(kept(bench), before);
    spoken.join("\n\n")
}

fn both(bench: &Bench) -> String {
    both_ending(bench, 4)
}

fn damaged(bench: &Bench) -> String {
    both_ending(bench, 9)
}

/// What lies in the store but for what a lock leaves.
fn kept(bench: &Bench) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let left = ["store/locks", "store/tmp"].map(|name| bench.path(name));
    let mut contents = bench.contents("store").unwrap();
    contents.retain(|(path, _)| !left.iter().any(|left| path.starts_with(left)));
    contents
}

#[test]
fn store_of_a_newer_format() {
    assert_snapshot!(both(&store_of(&STORE.replace("\"format\": 1", "\"format\": 2"), "[]")));
}

#[test]
fn store_that_readers_must_know_more_of() {
    let file = STORE.replace('}', r#", "reader_requires": ["packed-trees"]}"#);
    assert_snapshot!(both(&store_of(&file, "[]")));
}

#[test]
fn store_that_writers_must_know_more_of() {
    let file = STORE.replace('}', r#", "writer_requires": ["retention"]}"#);
    let bench = store_of(&file, "[]");
    assert_eq!(run(&bench, &["list"]).code(), Some(0));
    assert_snapshot!(run(&bench, &["backup-full", "--exec"]));
    for args in [&["ship-binlogs"][..], &["prune", "--orphans"], &["reindex", "--manifest"]] {
        assert_eq!(run(&bench, &[args, &["--exec"]].concat()).code(), Some(4), "{args:?}");
    }
    assert_eq!(bench.names_in("store"), ["dbbak.json", "manifest.json"]);
}

#[test]
fn damaged_store_file() {
    assert_snapshot!(damaged(&store_of("{\"format\": 1, ", "[]")));
}

#[test]
fn damaged_manifest() {
    assert_snapshot!(damaged(&store_of(STORE, "[{\"type\": \"full\", \"ts\": \"2025-10-02T02-00Z\", ")));
}

#[test]
fn manifest_with_a_nonsense_stamp() {
    assert_snapshot!(damaged(&store_of(STORE, "[{\"type\": \"full\", \"ts\": \"yesterday\"}]")));
}

#[test]
fn damaged_binlog_index() {
    let bench = store_of(STORE, "[]");
    bench.write("store/binlogs/index.json", "{\"files\": [{\"name\": ").unwrap();
    assert_snapshot!(damaged(&bench));
}

/// Changes a byte of a manifest that this program wrote itself.
#[test]
fn manifest_that_was_tampered_with() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    super::backup(&bench, &["backup-full", "--exec"]);
    let path = bench.path("store/manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"to_lsn\":1000", "\"to_lsn\":1001")).unwrap();
    let spoken = run(&bench, &["list"]);
    assert_eq!(spoken.code(), Some(9), "{spoken}");
    assert!(spoken.stderr.contains("manifest.json is damaged") && spoken.stderr.contains("dbbak reindex"), "{spoken}");
    assert_eq!(run(&bench, &["reindex", "--manifest", "--exec"]).code(), Some(0));
    assert_eq!(run(&bench, &["list"]).code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// Holds a lock in this process while `dbbak` asks for it.
fn locked(scope: LockScope, args: &[&str]) -> String {
    let (bench, _) = with_store(Series::Xtrabackup80);
    let store = LocalStore::new(bench.path("store"));
    let session = store.lock(scope, &LockRequest::new("dbbak backup-full --exec")).unwrap();
    let spoken: Spoken = run(&bench, args);
    assert_eq!(spoken.code(), Some(8), "{spoken}");
    assert!(spoken.stderr.contains(&format!("process {}", std::process::id())), "{spoken}");
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert!(spoken.stderr.contains(&host), "{spoken}");
    session.release().unwrap();
    assert_ne!(run(&bench, args).code(), Some(8));
    spoken.to_string().replace(&format!("on {host}"), "on HOST")
}

#[test]
fn locked_by_a_backup() {
    assert_snapshot!(locked(LockScope::Backups, &["backup-full", "--exec"]));
}

#[test]
fn locked_by_a_shipping() {
    assert_snapshot!(locked(LockScope::Binlogs, &["ship-binlogs", "--exec"]));
}

#[test]
fn locked_by_a_restore() {
    assert_snapshot!(locked(LockScope::Read, &["prune", "--orphans", "--exec"]));
}

/// A ten-hour full must not keep binlogs from being archived, and a dry run asks for no lock.
#[test]
fn a_backup_keeps_no_binlogs_away() {
    let (bench, _) = with_store(Series::Xtrabackup80);
    bench.binlog(1, 2, true).unwrap();
    bench.binlog(2, 1, false).unwrap();
    bench.play(&bench.scenario()).unwrap();
    let store = LocalStore::new(bench.path("store"));
    let session = store.lock(LockScope::Backups, &LockRequest::new("a full")).unwrap();
    let shipped = run(&bench, &["ship-binlogs", "--exec"]);
    assert_eq!(shipped.code(), Some(0), "{shipped}");
    assert_eq!(run(&bench, &["backup-full"]).code(), Some(0));
    session.release().unwrap();
    assert!(bench.path("store").join(layout::binlog_index().as_str()).exists());
}
