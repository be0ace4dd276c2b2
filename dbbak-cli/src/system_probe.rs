//! The real probe: looks at files, file systems and the answers of read-only commands.

use crate::closed_paths;
use chrono::{DateTime, Utc};
use dbbak_core::probe::{
    Access, ClosedPath, FileState, Filesystem, HostFacts, PathState, Probe, ProbeError, QueryOutput, TreeSize,
};
use dbbak_core::tools::{Arg, QueryCommand, Stdin};
use std::{
    fs,
    io::{self, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Asks this machine.
#[derive(Debug, Clone, Default)]
pub struct SystemProbe;

impl Probe for SystemProbe {
    fn query(&self, query: &QueryCommand) -> Result<QueryOutput, ProbeError> {
        let spec = query.spec();
        let args = spec.args.iter().map(|arg| match arg {
            Arg::Plain(text) => text.as_str(),
            Arg::Secret(secret) => secret.expose().unwrap_or_default(),
        });
        let mut expression = duct::cmd(&spec.program, args).unchecked().stdout_capture().stderr_capture().stdin_null();
        if let Stdin::Text(text) = &spec.stdin {
            expression = expression.stdin_bytes(text.as_bytes());
        }
        for (name, value) in &spec.env {
            expression = expression.env(name, value);
        }
        let output = expression.run().map_err(|source| ProbeError::Start { program: spec.program.clone(), source })?;
        Ok(QueryOutput {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn find_program(&self, names: &[&str]) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let dirs: Vec<PathBuf> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
        let executable = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        };
        // A server's program often lies in sbin, which is not on every user's path.
        let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        names.iter().find_map(|name| dirs.iter().chain(&system).map(|dir| dir.join(name)).find(executable))
    }

    fn path_state(&self, path: &Path) -> Result<PathState, ProbeError> {
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            // Below a file, too, there is nothing.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(PathState::Missing);
            }
            // A link that leads to itself.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                return Ok(PathState::Other);
            }
            Err(source) => return Err(look(path, source)),
        };
        let (mode, owner) = (meta.mode() & 0o7777, meta.uid());
        Ok(if meta.is_file() {
            PathState::File { size: meta.len(), mode, owner }
        } else if meta.is_dir() {
            let empty = fs::read_dir(path).map_err(|source| look(path, source))?.next().is_none();
            let writable = rustix::fs::access(path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
            PathState::Directory { empty, mode, owner, writable }
        } else {
            PathState::Other
        })
    }

    fn access(&self, path: &Path) -> Result<Option<Access>, ProbeError> {
        match fs::metadata(path) {
            Ok(meta) => Ok(Some(Access { owner: meta.uid(), group: meta.gid(), mode: meta.mode() & 0o7777 })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(look(path, source)),
        }
    }

    fn born(&self, path: &Path) -> Result<Option<DateTime<Utc>>, ProbeError> {
        match fs::metadata(path) {
            Ok(meta) => Ok(meta.created().ok().map(DateTime::from)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(look(path, source)),
        }
    }

    fn closed(&self, path: &Path) -> Vec<ClosedPath> {
        closed_paths::closed(path)
    }

    fn list_dir(&self, path: &Path) -> Result<Vec<String>, ProbeError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(|source| look(path, source))? {
            names.push(entry.map_err(|source| look(path, source))?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open_file(&self, path: &Path) -> Result<Box<dyn Read + Send>, ProbeError> {
        let file = fs::File::open(path).map_err(|source| look(path, source))?;
        Ok(Box::new(io::BufReader::with_capacity(256 << 10, file)))
    }

    fn filesystem(&self, path: &Path) -> Result<Filesystem, ProbeError> {
        let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let error = |errno: rustix::io::Errno| look(existing, errno.into());
        let space = rustix::fs::statvfs(existing).map_err(error)?;
        let kind = rustix::fs::statfs(existing).map_err(error)?.f_type;
        let device = fs::metadata(existing).map_err(|source| look(existing, source))?.dev();
        Ok(Filesystem {
            free: space.f_bavail.saturating_mul(space.f_frsize),
            total: space.f_blocks.saturating_mul(space.f_frsize),
            network: is_network(kind as u64),
            read_only: space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
            device,
        })
    }

    fn tree_size(&self, path: &Path) -> Result<TreeSize, ProbeError> {
        let mut size = TreeSize::default();
        let mut open = vec![path.to_owned()];
        while let Some(dir) = open.pop() {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                // A server drops tables while it is looked at.
                Err(error) if error.kind() == io::ErrorKind::NotFound && dir != path => continue,
                Err(source) => return Err(look(&dir, source)),
            };
            for entry in entries.flatten() {
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => open.push(entry.path()),
                    Ok(meta) => {
                        size.bytes += meta.len();
                        size.files += 1;
                    }
                    Err(_) => {}
                }
            }
        }
        Ok(size)
    }

    fn tree_files(&self, path: &Path) -> Result<Vec<FileState>, ProbeError> {
        let mut files = Vec::new();
        let mut open = vec![(path.to_owned(), String::new())];
        while let Some((dir, below)) = open.pop() {
            let entries = match fs::read_dir(&dir) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound && dir != path => continue,
                Err(source) => return Err(look(&dir, source)),
            };
            let mut is_empty = true;
            for entry in entries.flatten() {
                is_empty = false;
                let name = format!("{below}{}", entry.file_name().to_string_lossy());
                match entry.metadata() {
                    Ok(meta) if meta.is_dir() => open.push((entry.path(), format!("{name}/"))),
                    Ok(meta) => {
                        let changed = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
                        files.push(FileState { path: name, size: meta.len(), changed });
                    }
                    Err(_) => {}
                }
            }
            if is_empty && !below.is_empty() {
                files.push(FileState { path: below, size: 0, changed: 0 });
            }
        }
        Ok(files)
    }

    fn host(&self) -> HostFacts {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        HostFacts {
            name,
            utc_offset_seconds: chrono::Local::now().offset().local_minus_utc(),
            time_zone: time_zone(),
            root: rustix::process::geteuid().is_root(),
            uid: Some(rustix::process::geteuid().as_raw()),
            temp_dir: std::env::temp_dir(),
        }
    }
}

/// The zone that `/etc/localtime` links to.
fn time_zone() -> Option<String> {
    let path = fs::canonicalize("/etc/localtime").ok()?;
    let (_, zone) = path.to_str()?.split_once("/zoneinfo/")?;
    Some(zone.to_owned())
}

/// File systems reached through the network, by the magic numbers of statfs(2): NFS, SMB, CIFS, SMB2, FUSE, Ceph, 9P, AFS.
fn is_network(kind: u64) -> bool {
    matches!(
        kind & 0xffff_ffff,
        0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x6573_5546 | 0x00c3_6400 | 0x0102_1997 | 0x5346_414f
    )
}

fn look(path: &Path, source: io::Error) -> ProbeError {
    ProbeError::Io { action: "read", path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dbbak_core::journal::tree_state;

    /// What somebody else puts into a tree while a restore waits is no part of what was left there, whatever it is.
    #[test]
    fn whatever_is_added_to_a_tree_changes_its_state() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir_all(path("shop/empty")).unwrap();
        fs::write(path("shop/t.ibd"), "pages").unwrap();
        let state = || {
            let files = SystemProbe.tree_files(dir.path()).unwrap();
            tree_state(files.into_iter().map(|file| (file.path, file.size, file.changed)))
        };
        let left = state();
        type Make = fn(&Path);
        let strangers: [(&str, Make); 4] = [
            ("a file", |path| fs::write(path, "").unwrap()),
            ("a directory, which a server takes for a database", |path| fs::create_dir(path).unwrap()),
            ("a link", |path| std::os::unix::fs::symlink("/etc", path).unwrap()),
            ("a link that leads nowhere", |path| std::os::unix::fs::symlink("/none", path).unwrap()),
        ];
        for (what, make) in strangers {
            for place in ["stranger", "shop/stranger", "shop/empty/stranger"] {
                make(&path(place));
                assert_ne!(state(), left, "{what} at {place}");
                let _ = fs::remove_file(path(place)).or_else(|_| fs::remove_dir(path(place)));
                assert_eq!(state(), left, "{what} at {place}");
            }
        }
    }
}
