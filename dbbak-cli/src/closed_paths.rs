//! Finds what the user of this process may not read in a tree.

use dbbak_core::probe::{Access, CLOSED_LIMIT, ClosedPath, ReadRight};
use rustix::fs::Access as Asked;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by their numbers in the system's masks (capabilities(7)).
const READ_CAPABILITIES: u64 = 1 << 1 | 1 << 2;

/// Symbolic links to directories are followed so deep: a database's directory is one at most.
const LINK_DEPTH: usize = 1;

/// What the user of this process may not read of a path, of the directories above it, and below it.
pub(crate) fn closed(path: &Path) -> Vec<ClosedPath> {
    if rustix::process::getuid().is_root() {
        return Vec::new();
    }
    let mut search = Search { found: Vec::new(), inherited: inherits_capability() };
    let above: Vec<&Path> = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
    for dir in above.into_iter().rev() {
        if may(dir, Asked::EXEC_OK) {
            continue;
        }
        // Without a capability nothing below can be looked at.
        let passes = fs::symlink_metadata(path).is_ok();
        match search.note(dir, ReadRight::Enter, passes) {
            true if passes => break,
            true => return search.found,
            false => {}
        }
    }
    // Without a slash at the end, as a server names its directory.
    let path: PathBuf = path.components().collect();
    search.look(&path, 0);
    search.found
}

struct Search {
    found: Vec<ClosedPath>,
    inherited: bool,
}

impl Search {
    /// Notes a closed path; false where it is not there.
    fn note(&mut self, path: &Path, right: ReadRight, by_capability: bool) -> bool {
        let access = match fs::metadata(path) {
            Ok(meta) => Some(Access { owner: meta.uid(), group: meta.gid(), mode: meta.mode() & 0o7777 }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
            Err(_) => None,
        };
        let inherited = by_capability && self.inherited;
        self.found.push(ClosedPath { path: path.to_owned(), right, access, by_capability, inherited });
        true
    }

    fn look(&mut self, path: &Path, depth: usize) {
        if self.found.len() >= CLOSED_LIMIT {
            return;
        }
        // What a link names counts. Where that cannot be looked at, it is closed.
        let is_dir = match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => true,
            Ok(meta) if meta.is_file() => false,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                self.note(path, ReadRight::Read, false);
                return;
            }
            _ => return,
        };
        if !is_dir {
            if !may(path, Asked::READ_OK) {
                self.note(path, ReadRight::Read, fs::File::open(path).is_ok());
            }
            return;
        }
        let entries = fs::read_dir(path);
        if !may(path, Asked::READ_OK | Asked::EXEC_OK) {
            self.note(path, ReadRight::List, entries.is_ok());
        }
        for entry in entries.into_iter().flatten().flatten() {
            let linked = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            if linked && depth >= LINK_DEPTH && entry.path().is_dir() {
                continue;
            }
            self.look(&entry.path(), depth + 1);
        }
    }
}

/// Whether the user of this process has a right, without its capabilities: access(2) leaves them aside but for root.
fn may(path: &Path, asked: Asked) -> bool {
    !matches!(rustix::fs::access(path, asked), Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM))
}

/// Whether programs that this process starts may read everything: they keep its ambient capabilities.
fn inherits_capability() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapAmb:")?.trim(), 16).ok());
    mask.is_some_and(|mask| mask & READ_CAPABILITIES != 0)
}
