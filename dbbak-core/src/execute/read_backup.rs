//! Reads what the backup tool left of a new backup, and checks that its coordinates are a transaction boundary.

use super::{
    Event, error::ExecuteError, files, lost_tables, outcome::NewBackup, renames, running::Running,
    tablespaces::Tablespaces,
};
use crate::{
    binlog::{self, Boundary},
    model::BinlogCoordinates,
    plan::ReadBackup,
    store::{Digest, PitrState},
    tools::{
        BackupFileError, BackupInfo, Checkpoints, MetadataFile, TablespaceIds, consumed_deltas, parse_binlog_info,
        parse_checkpoints, parse_galera_info, parse_info, parse_slave_info,
    },
};
use chrono::{DateTime, Utc};
use std::{io::BufReader, path::Path};

/// The most tables that are named.
const NAMED: usize = 10;

/// Reads a new backup's own files. `times` are when the tool was started and when it ended, `before` which tablespaces the
/// server had then.
///
/// # Errors
///
/// When a file that every backup has is missing or cannot be read, a tablespace is missing, or the backup does not begin where
/// it must.
pub(super) fn read_backup(
    step: &ReadBackup,
    times: (DateTime<Utc>, DateTime<Utc>),
    before: Option<&TablespaceIds>,
    running: &Running<'_>,
) -> Result<NewBackup, ExecuteError> {
    // First of all, so that little can be dropped between the backup and the answer.
    let tablespaces = match &step.tablespaces {
        Some(ask) => Tablespaces::ask(ask, running)?,
        None => None,
    };
    if let (Some(tablespaces), Some(before)) = (&tablespaces, before) {
        tablespaces.all_in(before, &step.dir)?;
    }
    let broken = match &step.datadir {
        Some(datadir) => lost_tables::all_tables_in(&step.dir, datadir, step.system_tables.as_deref())?,
        None => Vec::new(),
    };
    if !broken.is_empty() {
        let text = format!(
            "tables are broken on the server already (a file of theirs is gone, or their definition cannot be read), and the backup holds \
             them as they are: {}",
            some_of(&broken)
        );
        running.reporter.report(&Event::Warning { text: &text });
    }
    if let Some(datadir) = &step.datadir {
        let passed_over = lost_tables::passed_over(&step.dir, datadir)?;
        if !passed_over.is_empty() {
            let text = format!(
                "files in the server's databases are not in the backup, since the backup tool does not know them (of the engine CONNECT, \
                 or another that it was not made for): {}",
                some_of(&passed_over)
            );
            running.reporter.report(&Event::Warning { text: &text });
        }
    }
    let dir = BackupDir { path: &step.dir, names: files::names_in(&step.dir)? };
    let checkpoints: Checkpoints = dir.required(MetadataFile::Checkpoints, parse_checkpoints)?;
    let info: BackupInfo = dir.required(MetadataFile::Info, parse_info)?;
    if let Some(expected) = step.from_lsn.filter(|expected| *expected != checkpoints.from_lsn) {
        return Err(ExecuteError::LsnMismatch { expected, found: checkpoints.from_lsn });
    }
    let binlog = dir.optional(MetadataFile::BinlogInfo, parse_binlog_info)?;
    let (pitr, binlog_head) = judge_coordinates(step, &info, binlog.as_ref())?;
    let binlog_prefix = step.binlog_dir.as_deref().zip(binlog.as_ref()).and_then(|(dir, place)| prefix_of(dir, place));
    Ok(NewBackup {
        broken,
        started_at: times.0,
        ended_at: times.1,
        from_lsn: Some(checkpoints.from_lsn),
        to_lsn: Some(checkpoints.to_lsn),
        last_lsn: checkpoints.last_lsn,
        binlog,
        binlog_head,
        binlog_prefix,
        unusable: unusable(step)?,
        pitr,
        slave_info: dir.optional(MetadataFile::SlaveInfo, parse_slave_info)?,
        galera_info: dir.optional(MetadataFile::GaleraInfo, parse_galera_info)?,
        lock_seconds: info.lock_seconds,
        tablespaces: tablespaces.map(|tablespaces| tablespaces.ids()),
    })
}

/// The first names of a list.
fn some_of(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| name.escape_debug().to_string()).collect();
    match names.len().saturating_sub(NAMED) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Why an incremental cannot be applied, where its files show that.
fn unusable(step: &ReadBackup) -> Result<Option<String>, ExecuteError> {
    if step.from_lsn.is_none() {
        return Ok(None);
    }
    let mut names = Vec::new();
    files::each_file(&step.dir, &mut |path| {
        names.extend(path.strip_prefix(&step.dir).ok().map(|below| below.to_string_lossy().into_owned()));
        Ok(())
    })?;
    if let Some(lost) = consumed_deltas(names.iter().map(String::as_str)).into_iter().next() {
        return Ok(Some(format!("the changed pages of a table are not in it ({lost})")));
    }
    if step.datadir.is_none() {
        return Ok(None);
    }
    let ring = renames::ring_in(&step.dir)?;
    Ok(ring.map(|ring| {
        format!(
            "tables took each other's names while it was taken ({}), which mariadb-backup's prepare cannot follow",
            ring.join(" to ")
        )
    }))
}

/// Whether a replay may start from the coordinates, and the digest of their binlog's head.
fn judge_coordinates(
    step: &ReadBackup,
    info: &BackupInfo,
    binlog: Option<&BinlogCoordinates>,
) -> Result<(PitrState, Option<Digest>), ExecuteError> {
    let no = |reason: String| Ok((PitrState::No(reason), None));
    if info.partial {
        return no("the backup holds only some of the tables".into());
    }
    let Some(coordinates) = binlog else {
        return no(match step.binlog_enabled {
            true => "the backup tool recorded no binlog coordinates".into(),
            false => "the server writes no binlog (log_bin is off)".into(),
        });
    };
    // Without the server's files the coordinates are taken at the tool's word; the restore looks at them again in the
    // archive before it replays anything.
    match &step.binlog_dir {
        Some(dir) => judge_place(dir, coordinates),
        None => Ok((PitrState::Yes, None)),
    }
}

/// Digest of a binlog's first events, where the file is here and can be read.
pub(super) fn head_digest(path: &Path) -> Option<String> {
    let head = binlog::read_head(&mut BufReader::new(files::open_behind(path).ok()?)).ok()?;
    Some(head.digest)
}

/// Digest of the bytes before coordinates, where their file is here and can be read.
fn prefix_of(dir: &Path, coordinates: &BinlogCoordinates) -> Option<Digest> {
    let mut input = files::open_behind(&dir.join(coordinates.file.as_str())).ok()?;
    binlog::prefix_digest(&mut input, coordinates.position).ok()??.parse().ok()
}

/// Whether coordinates are a transaction boundary of the server's binlogs in a directory, as far as their file is here,
/// and the digest of its head.
pub(super) fn judge_place(
    dir: &Path,
    coordinates: &BinlogCoordinates,
) -> Result<(PitrState, Option<Digest>), ExecuteError> {
    let no = |reason: String| Ok((PitrState::No(reason), None));
    let path = dir.join(coordinates.file.as_str());
    let Ok(file) = files::open_behind(&path) else { return Ok((PitrState::Yes, None)) };
    let head = match binlog::read_head(&mut BufReader::new(file)) {
        Ok(head) => head,
        // The archive will have it as the server sends it.
        Err(error) if error.is_encrypted() => return Ok((PitrState::Yes, None)),
        Err(error) => return no(format!("its binlog {} cannot be read: {error}", path.display())),
    };
    let mut input = BufReader::with_capacity(1 << 20, files::open_behind(&path)?);
    let boundary = match binlog::boundary(&mut input, coordinates.position) {
        Ok(boundary) => boundary,
        Err(error) => return no(format!("its binlog {} cannot be read: {error}", path.display())),
    };
    match boundary {
        Boundary::Yes => Ok((PitrState::Yes, head.digest.parse().ok())),
        other => {
            let place = coordinates.place();
            no(format!("the recorded coordinates {place} are no transaction boundary ({other})"))
        }
    }
}

struct BackupDir<'a> {
    path: &'a Path,
    names: Vec<String>,
}

impl BackupDir<'_> {
    fn optional<T>(
        &self,
        file: MetadataFile,
        parse: impl Fn(&[u8]) -> Result<T, BackupFileError>,
    ) -> Result<Option<T>, ExecuteError> {
        let Some(name) = file.select(&self.names) else { return Ok(None) };
        let path = self.path.join(name);
        let Some(bytes) = files::read_file(&path)? else { return Ok(None) };
        parse(&bytes).map(Some).map_err(|error| ExecuteError::BackupFile { path, problem: error.to_string() })
    }

    fn required<T>(
        &self,
        file: MetadataFile,
        parse: impl Fn(&[u8]) -> Result<T, BackupFileError>,
    ) -> Result<T, ExecuteError> {
        self.optional(file, parse)?.ok_or_else(|| ExecuteError::BackupFile {
            path: self.path.to_owned(),
            problem: format!("it has no {file}"),
        })
    }
}
