//! A probe on the standard library: it looks, and changes nothing.

use chrono::{DateTime, Utc};
use dbbak_core::{
    probe::{
        Access, ClosedPath, FileState, Filesystem, HostFacts, PathState, Probe, ProbeError, QueryOutput, TreeSize,
    },
    tools::{Arg, QueryCommand},
};
use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Looks at this machine.
#[derive(Debug)]
pub(crate) struct OwnProbe;

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ProbeError {
    move |source| ProbeError::Io { action, path: path.to_owned(), source }
}

impl Probe for OwnProbe {
    fn query(&self, query: &QueryCommand) -> Result<QueryOutput, ProbeError> {
        let spec = query.spec();
        let mut command = Command::new(&spec.program);
        for arg in &spec.args {
            match arg {
                Arg::Plain(text) => command.arg(text),
                Arg::Secret(secret) => command.arg(secret.expose().unwrap_or_default()),
            };
        }
        let output = command.envs(&spec.env).stdin(Stdio::null()).output();
        let output = output.map_err(|source| ProbeError::Start { program: spec.program.clone(), source })?;
        Ok(QueryOutput {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn find_program(&self, names: &[&str]) -> Option<PathBuf> {
        let path = std::env::var_os("PATH")?;
        let mut dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
        dirs.push("/usr/sbin".into());
        names.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
    }

    fn access(&self, path: &Path) -> Result<Option<Access>, ProbeError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            meta => {
                let meta = meta.map_err(failed("look at", path))?;
                Ok(Some(Access { owner: meta.uid(), group: meta.gid(), mode: meta.mode() & 0o7777 }))
            }
        }
    }

    fn path_state(&self, path: &Path) -> Result<PathState, ProbeError> {
        let metadata = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PathState::Missing),
            metadata => metadata.map_err(failed("look at", path))?,
        };
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        Ok(if metadata.is_file() {
            PathState::File { size: metadata.len(), mode, owner }
        } else if metadata.is_dir() {
            let empty = self.list_dir(path)?.is_empty();
            let writable = rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
            PathState::Directory { empty, mode, owner, writable }
        } else {
            PathState::Other
        })
    }

    fn born(&self, path: &Path) -> Result<Option<DateTime<Utc>>, ProbeError> {
        Ok(fs::metadata(path).map_err(failed("look at", path))?.created().ok().map(DateTime::from))
    }

    fn closed(&self, _path: &Path) -> Vec<ClosedPath> {
        // This program runs as a user that may read the server's files.
        Vec::new()
    }

    fn list_dir(&self, path: &Path) -> Result<Vec<String>, ProbeError> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(failed("list", path))? {
            names.push(entry.map_err(failed("list", path))?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn open_file(&self, path: &Path) -> Result<Box<dyn Read + Send>, ProbeError> {
        Ok(Box::new(File::open(path).map_err(failed("read", path))?))
    }

    fn filesystem(&self, path: &Path) -> Result<Filesystem, ProbeError> {
        const NETWORK: [u64; 4] = [0x6969, 0x517b, 0xff53_4d42, 0x6573_5546];
        let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let failed_errno = |error: rustix::io::Errno| failed("look at the file system of", existing)(error.into());
        let sizes = rustix::fs::statvfs(existing).map_err(failed_errno)?;
        let kind = rustix::fs::statfs(existing).map_err(failed_errno)?.f_type;
        Ok(Filesystem {
            free: sizes.f_bavail.saturating_mul(sizes.f_frsize),
            total: sizes.f_blocks.saturating_mul(sizes.f_frsize),
            network: NETWORK.contains(&u64::try_from(kind).unwrap_or_default()),
            read_only: sizes.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
            device: fs::metadata(existing).map_err(failed("look at", existing))?.dev(),
        })
    }

    fn tree_size(&self, path: &Path) -> Result<TreeSize, ProbeError> {
        let mut size = TreeSize::default();
        for entry in fs::read_dir(path).map_err(failed("list", path))? {
            let entry = entry.map_err(failed("list", path))?;
            let Ok(metadata) = entry.metadata() else { continue };
            let below = match metadata.is_dir() {
                true => self.tree_size(&entry.path())?,
                false => TreeSize { bytes: metadata.len(), files: 1 },
            };
            size = TreeSize { bytes: size.bytes + below.bytes, files: size.files + below.files };
        }
        Ok(size)
    }

    fn tree_files(&self, path: &Path) -> Result<Vec<FileState>, ProbeError> {
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed("list", path))? {
            let entry = entry.map_err(failed("list", path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                let below = self.tree_files(&entry.path())?;
                if below.is_empty() {
                    files.push(FileState { path: format!("{name}/"), size: 0, changed: 0 });
                }
                files.extend(below.into_iter().map(|file| FileState { path: format!("{name}/{}", file.path), ..file }));
            } else {
                let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
                files.push(FileState { path: name, size: metadata.len(), changed });
            }
        }
        Ok(files)
    }

    fn host(&self) -> HostFacts {
        HostFacts {
            name: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            utc_offset_seconds: 0,
            time_zone: None,
            root: rustix::process::geteuid().is_root(),
            uid: None,
            temp_dir: std::env::temp_dir(),
        }
    }
}
