//! Removes the run directories that dead runs have left: a private server's account stands in them.
#![expect(clippy::disallowed_methods, reason = "looks at run directories and processes, and removes the former")]

use super::{error::ExecuteError, files, journal::boot_id, opened};
use crate::{plan::SCRATCH_PREFIX, store::ProcessGroup};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

/// The file in a run directory that says whose it is.
const RUN_FILE: &str = "run.json";
/// Bytes that it may have.
const RUN_FILE_BYTES: u64 = 64 << 10;

/// Who made a run directory.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RunFile {
    /// The process, as long as it lives.
    process: ProcessGroup,
    /// The start of the machine that it belongs to.
    boot: Option<String>,
}

/// Notes in a run directory that this process has made it.
///
/// # Errors
///
/// When it cannot be written.
pub(super) fn sign(run_dir: &Path) -> Result<(), ExecuteError> {
    let Some(process) = ProcessGroup::led_by(std::process::id()) else { return Ok(()) };
    let run = serde_json::json!(RunFile { process, boot: boot_id() });
    files::write_private(&run_dir.join(RUN_FILE), run.to_string())
}

/// Removes those beside a run directory whose runs are provably dead: of this user, readable by nobody else, made by a
/// process that has gone, and named by no process that lives. Others stay. `user`: whose they are while a private server
/// runs, where that is another one.
pub(super) fn remove_dead(run_dir: &Path, user: Option<u32>) {
    let Some(parent) = run_dir.parent() else { return };
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let named = name
            .to_string_lossy()
            .strip_prefix(SCRATCH_PREFIX)
            .is_some_and(|rest| rest.len() == 8 && rest.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if named && path != run_dir && is_ours(&path, user) && is_dead(&path) {
            // What cannot be removed is for the next run.
            let _ = files::remove_tree(&path);
        }
    }
}

fn is_ours(path: &Path, user: Option<u32>) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return false };
    let own = meta.uid() == rustix::process::geteuid().as_raw() || Some(meta.uid()) == user;
    meta.is_dir() && own && meta.mode() & 0o077 == 0
}

fn is_dead(path: &Path) -> bool {
    // Who made it may be anybody.
    let bytes = opened::regular(&path.join(RUN_FILE)).and_then(|file| opened::read_at_most(file, RUN_FILE_BYTES));
    let run = bytes.ok().and_then(|bytes| serde_json::from_slice::<RunFile>(&bytes).ok());
    let Some(RunFile { process, boot }) = run else { return false };
    if boot.is_some() && boot_id().is_some() && boot != boot_id() {
        return true;
    }
    ProcessGroup::led_by(process.pgid).is_none_or(|found| found != process) && !is_named_by_a_process(path)
}

/// Whether a process has the path in its arguments, as a private server has; `true` where that cannot be known.
fn is_named_by_a_process(path: &Path) -> bool {
    let Ok(processes) = fs::read_dir("/proc") else { return true };
    let wanted = path.as_os_str().as_bytes();
    processes.flatten().any(|process| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        arguments.windows(wanted.len()).any(|part| part == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(parent: &Path, name: &str, run: Option<&RunFile>) -> std::path::PathBuf {
        let dir = parent.join(name);
        files::create_new_dir(&dir).unwrap();
        files::write_private(&dir.join("client.cnf"), "password=x").unwrap();
        if let Some(run) = run {
            fs::write(dir.join(RUN_FILE), serde_json::json!(run).to_string()).unwrap();
        }
        dir
    }

    #[test]
    fn what_a_dead_run_left_goes_away_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let own = ProcessGroup::led_by(std::process::id()).unwrap();
        let earlier = ProcessGroup { start_time: own.start_time - 1, ..own };
        let boot = boot_id();
        let run = |process, boot| RunFile { process, boot };
        let dead = made(parent.path(), "dbbak-00000001", Some(&run(earlier, boot.clone())));
        let rebooted = made(parent.path(), "dbbak-00000002", Some(&run(own, Some("another".into()))));
        let living = made(parent.path(), "dbbak-00000003", Some(&run(own, boot.clone())));
        let unsigned = made(parent.path(), "dbbak-00000004", None);
        let other = made(parent.path(), "dbbak-restore-1", Some(&run(earlier, boot.clone())));
        let open = made(parent.path(), "dbbak-00000005", Some(&run(earlier, boot)));
        fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        remove_dead(&parent.path().join("dbbak-00000009"), None);
        assert!(!dead.exists() && !rebooted.exists());
        assert!(living.exists() && unsigned.exists() && other.exists() && open.exists());
    }

    #[test]
    fn a_run_directory_is_never_taken_over() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("dbbak-00000001");
        files::create_new_dir(&dir).unwrap();
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);
        assert!(files::create_new_dir(&dir).is_err());
        let link = parent.path().join("dbbak-00000002");
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        assert!(files::create_new_dir(&link).is_err());
        sign(&dir).unwrap();
        assert!(!is_dead(&dir));
    }
    #[test]
    fn a_strangers_run_file_is_neither_followed_nor_awaited_nor_read_whole() {
        let parent = tempfile::tempdir().unwrap();
        let own = ProcessGroup::led_by(std::process::id()).unwrap();
        let run = RunFile { process: ProcessGroup { start_time: own.start_time - 1, ..own }, boot: boot_id() };
        let dead = made(parent.path(), "dbbak-00000001", Some(&run));
        assert!(is_dead(&dead));
        let (file, aside) = (dead.join(RUN_FILE), parent.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        std::os::unix::fs::symlink(&aside, &file).unwrap();
        assert!(!is_dead(&dead));
        fs::remove_file(&file).unwrap();
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        mknodat(CWD, &file, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        assert!(!is_dead(&dead));
        fs::remove_file(&file).unwrap();
        // The same, with more blanks behind it than fit.
        let text = fs::read_to_string(&aside).unwrap();
        fs::write(&file, text.clone() + &" ".repeat(RUN_FILE_BYTES as usize - text.len())).unwrap();
        assert!(is_dead(&dead));
        fs::write(&file, text.clone() + &" ".repeat(RUN_FILE_BYTES as usize - text.len() + 1)).unwrap();
        assert!(!is_dead(&dead));
    }
}
