//! Removes what runs leave in a store and nobody needs any more: old logs, and the leases of readers that died.

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

/// How long a log stays.
const LOGS_FOR: Duration = Duration::from_secs(60 * 86400);
/// A log that holds nothing: of a run that is over.
const EMPTY_LOGS_FOR: Duration = Duration::from_secs(3600);
/// A heart that has not beaten for so long does not beat again. It beats every few seconds.
const LEASES_FOR: Duration = Duration::from_secs(7 * 86400);

/// Removes old files of a store. What cannot be removed stays: nothing depends on it.
pub(crate) fn remove(root: &Path, now: SystemTime) {
    let old = |meta: &fs::Metadata, limit: Duration| {
        meta.modified().ok().and_then(|at| now.duration_since(at).ok()).is_some_and(|age| age > limit)
    };
    for (path, meta) in files_in(&root.join("logs")) {
        let limit = if meta.len() == 0 { EMPTY_LOGS_FOR } else { LOGS_FOR };
        if path.extension() == Some(OsStr::new("log")) && old(&meta, limit) {
            let _ = fs::remove_file(path);
        }
    }
    let locks = root.join("locks");
    for (path, meta) in files_in(&locks) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(owner) = name.strip_prefix("read-") else { continue };
        let heartbeat = locks.join(format!("heartbeat-{owner}"));
        let beat = fs::symlink_metadata(&heartbeat);
        if old(&meta, LEASES_FOR) && beat.as_ref().map_or(true, |beat| old(beat, LEASES_FOR)) {
            // The lease last: as long as it stands, whoever looks at it finds its heartbeat silent.
            let _ = fs::remove_file(&heartbeat);
            let _ = fs::remove_file(locks.join(format!("takeover-{owner}")));
            let _ = fs::remove_file(&path);
        }
    }
}

/// The regular files of a directory; none where it cannot be read. Links are not followed.
fn files_in(dir: &Path) -> Vec<(std::path::PathBuf, fs::Metadata)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| Some((entry.path(), fs::symlink_metadata(entry.path()).ok()?)));
    files.filter(|(_, meta)| meta.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_logs_and_dead_leases_go() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let file = |name: &str, days: u64, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(now - Duration::from_secs(days * 86400)).unwrap();
        };
        for (name, days, text) in [
            ("logs/full_a.log", 70, "x"),
            ("logs/full_b.log", 50, "x"),
            ("logs/flush-a.log", 1, ""),
            ("logs/flush-b.log", 0, ""),
            ("logs/notes.txt", 100, "x"),
            ("locks/read-1.json", 9, "{}"),
            ("locks/heartbeat-1.json", 8, "{}"),
            ("locks/takeover-1.json", 8, "{}"),
            // It was taken long ago, and its owner lives.
            ("locks/read-2.json", 9, "{}"),
            ("locks/heartbeat-2.json", 0, "{}"),
            ("locks/read-3.json", 9, "{}"),
            ("locks/backups.json", 9, "{}"),
            ("locks/heartbeat-4.json", 9, "{}"),
        ] {
            file(name, days, text);
        }
        remove(dir.path(), now);
        let mut left: Vec<String> = ["logs", "locks"]
            .iter()
            .flat_map(|name| files_in(&dir.path().join(name)))
            .map(|(path, _)| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        left.sort();
        let expected = [
            "backups.json",
            "flush-b.log",
            "full_b.log",
            "heartbeat-2.json",
            "heartbeat-4.json",
            "notes.txt",
            "read-2.json",
        ];
        assert_eq!(left, expected);
    }
}
