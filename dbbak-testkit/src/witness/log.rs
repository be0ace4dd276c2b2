//! The server's log as the vendor's own binlog reader shows it: which transaction stands where, in what order.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::server::{Server, ServerError, Vendor};
use crate::vendor_reading::{self, Shown};

/// A transaction in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The name of the file.
    pub file: String,
    /// Its GTID.
    pub gtid: String,
    /// Offset of its first event.
    pub start: u64,
    /// Offset after its last event.
    pub end: u64,
    /// When it was committed, microseconds since 1970 (MySQL).
    pub committed: Option<u64>,
    /// The newest stamp of its events, seconds since 1970.
    pub newest: u32,
}

/// The transactions of all binlogs that the server has, in log order.
///
/// # Errors
///
/// When the reader fails on one of them.
pub fn read(server: &Server) -> Result<Vec<Logged>, ServerError> {
    let mut log = Vec::new();
    for path in files(server)? {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        log.extend(read_file(server.options().vendor, &path)?.into_iter().map(|shown| Logged {
            file: file.clone(),
            gtid: shown.gtid,
            start: shown.start,
            end: shown.end,
            committed: shown.commit.map(|(original, _)| original),
            newest: shown.newest,
        }));
    }
    Ok(log)
}

/// The transactions of one binlog.
///
/// # Errors
///
/// When the reader fails.
pub fn read_file(vendor: Vendor, path: &Path) -> Result<Vec<Shown>, ServerError> {
    let output = Command::new(vendor.binlog_reader()?)
        .args(["--no-defaults", "-v", "--base64-output=decode-rows", "--verify-binlog-checksum"])
        .arg(path)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::io("running the binlog reader"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || stderr.contains("ERROR") {
        return Err(ServerError::Tool {
            what: format!("the binlog reader on {}", path.display()),
            status: output.status.to_string(),
            message: stderr.into_owned(),
        });
    }
    Ok(vendor_reading::read(&String::from_utf8_lossy(&output.stdout)).transactions)
}

/// The server's binlogs in their order, as its own index names them.
///
/// # Errors
///
/// When the index cannot be read.
pub fn files(server: &Server) -> Result<Vec<PathBuf>, ServerError> {
    let base = server.options().log_bin.clone().unwrap_or_default();
    let dir = server.binlog_dir();
    let index = dir.join(format!("{base}.index"));
    let text = fs::read_to_string(&index).map_err(ServerError::io(format!("reading {}", index.display())))?;
    let name = |line: &str| dir.join(Path::new(line.trim()).file_name().unwrap_or_default());
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(name).collect())
}
