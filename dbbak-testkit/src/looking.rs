//! Looks at what a run left behind: files, and processes that outlived it.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Every file below a directory.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(dir) else { return files };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files.extend(files_below(&entry.path())),
            _ => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

/// The command lines of processes that mention a directory and are not this process or its own children.
pub fn processes_that_mention(dir: &Path) -> Vec<String> {
    let own = std::process::id().to_string();
    let dir = dir.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let proc = entry.path();
        let Some(command) = read(&proc.join("cmdline")) else { continue };
        if !command.contains(&dir) {
            continue;
        }
        let status = read(&proc.join("status")).unwrap_or_default();
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        // What ended and was not waited for yet is no process any more.
        let ended = status.is_empty() || field("State:").starts_with(['Z', 'X']);
        if !ended && field("PPid:") != own && field("Pid:") != own {
            found.push(format!("{} {}", proc.display(), command.replace('\0', " ")));
        }
    }
    found
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
