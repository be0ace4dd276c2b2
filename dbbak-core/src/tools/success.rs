//! Judges whether a backup tool succeeded: by its exit status, its last line, its alarms, the files it left and what
//! they say.

use super::{
    backup_files::{BackupFileError, MetadataFile},
    checkpoints::{BackupType, Checkpoints, parse_checkpoints},
    stderr_scan::{FailureClass, StderrScan},
    tool::{Family, ToolKind},
};
use crate::model::Lsn;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// By itself, with a status.
    Code(i32),
    /// By a signal, with its number.
    Signal(i32),
}

/// What a run of a backup tool must leave to count as a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The tool.
    pub kind: ToolKind,
    /// The type that the directory must have afterwards; `None` for a copy-back, which leaves no checkpoints file.
    pub backup_type: Option<BackupType>,
    /// The metadata files that must be there.
    pub files: Vec<MetadataFile>,
    /// Where the backup must begin: an incremental's parent's `to_lsn`, 0 for a full.
    pub from_lsn: Option<Lsn>,
    /// Where a prepared directory must end: the `to_lsn` of the last backup that was applied.
    pub to_lsn: Option<Lsn>,
}

/// A run that ended, as the executor saw it.
#[derive(Debug, Clone, Copy)]
pub struct RunEnd<'a> {
    /// How the process ended.
    pub exit: Exit,
    /// What it printed.
    pub stderr: &'a StderrScan,
    /// The names at the top of the directory that the run wrote.
    pub files: &'a [String],
    /// The content of the checkpoints file there, as selected by [`MetadataFile::select`].
    pub checkpoints: Option<&'a [u8]>,
}

/// A run that did not succeed, whatever its exit status says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolRunError {
    /// The process ended with an error or by a signal.
    #[error("{kind} ended with {exit}: {class}")]
    Exited {
        /// The tool.
        kind: ToolKind,
        /// How it ended.
        exit: Exit,
        /// The cause, as far as its messages tell.
        class: FailureClass,
        /// The line that tells the cause.
        line: Option<String>,
        /// The last lines of standard error.
        tail: Vec<String>,
    },
    /// Status 0, but the last line is not the tool's word for success.
    #[error("{kind} ended with status 0, but its last line is {last_line:?}")]
    NoSuccessLine {
        /// The tool.
        kind: ToolKind,
        /// The last line of standard error.
        last_line: String,
        /// The last lines of standard error.
        tail: Vec<String>,
    },
    /// Status 0 and a good last line, but lines that mean a loss of data.
    #[error("{kind} reported success and {count} alarms, first {:?}", lines.first().map_or("", String::as_str))]
    Alarms {
        /// The tool.
        kind: ToolKind,
        /// How many there were.
        count: usize,
        /// The first of them.
        lines: Vec<String>,
        /// Their cause, as far as the tool's messages tell.
        class: FailureClass,
    },
    /// It said the same again and again, and was ended: it would never have come to an end by itself.
    #[error("{kind} said the same {count} times and went no further, so that it was ended: {class}")]
    Stuck {
        /// The tool.
        kind: ToolKind,
        /// The line that it said last.
        line: String,
        /// How often it said this and the like.
        count: u64,
        /// Their cause, as far as the tool's messages tell.
        class: FailureClass,
    },
    /// A metadata file is absent.
    #[error("{kind} reported success, but left no {file}")]
    MissingFile {
        /// The tool.
        kind: ToolKind,
        /// The file.
        file: MetadataFile,
    },
    /// A file that only a damaged backup has.
    #[error("{kind} reported success, but left {name}")]
    DamageReported {
        /// The tool.
        kind: ToolKind,
        /// The file's name.
        name: String,
    },
    /// The directory is of another type than it should be.
    #[error("backup type is {found}, expected {expected}")]
    WrongType {
        /// What it should be.
        expected: BackupType,
        /// What it is.
        found: BackupType,
    },
    /// The directory begins or ends at another LSN than it should.
    #[error("{key} is {found}, expected {expected}")]
    WrongLsn {
        /// `from_lsn` or `to_lsn`.
        key: &'static str,
        /// What it should be.
        expected: Lsn,
        /// What it is.
        found: Lsn,
    },
    /// The checkpoints file cannot be read.
    #[error(transparent)]
    BadFile(#[from] BackupFileError),
}

impl ToolRunError {
    /// What is wrong, with the line of the tool that says so, where one does: for a note that outlives its log.
    pub fn with_its_line(&self) -> String {
        self.line().map_or_else(|| self.to_string(), |line| format!("{self}: {line}"))
    }

    /// The line of the tool that says what is wrong, where one does.
    fn line(&self) -> Option<&str> {
        let (line, tail) = match self {
            ToolRunError::Exited { line, tail, .. } => (line.as_ref(), tail.as_slice()),
            ToolRunError::Stuck { line, .. } => return Some(line),
            _ => return None,
        };
        let alarming = |line: &&String| line.contains("ERROR") || line.contains("rror:") || line.contains("Can't");
        let told = line.or_else(|| tail.iter().rev().find(alarming)).or_else(|| tail.last());
        told.map(String::as_str)
    }

    /// Why it failed, as far as the tool's messages tell.
    pub fn class(&self) -> FailureClass {
        match self {
            ToolRunError::Exited { class, .. }
            | ToolRunError::Alarms { class, .. }
            | ToolRunError::Stuck { class, .. } => *class,
            _ => FailureClass::Unknown,
        }
    }

    /// Whether another run failed in the same way: with the same status and the same words, whatever numbers (times, LSNs, process
    /// ids) stand in them.
    pub fn is_like(&self, other: &ToolRunError) -> bool {
        let words = |error: &ToolRunError| {
            let first = match error {
                ToolRunError::Alarms { lines, .. } => lines.first().map(String::as_str),
                _ => error.line(),
            };
            first.unwrap_or_default().replace(|c: char| c.is_ascii_digit(), "")
        };
        match (self, other) {
            (ToolRunError::Exited { exit, class, .. }, ToolRunError::Exited { exit: as_well, class: too, .. }) => {
                exit == as_well && class == too && words(self) == words(other)
            }
            (ToolRunError::Alarms { .. }, ToolRunError::Alarms { .. }) => words(self) == words(other),
            _ => self == other,
        }
    }

    /// Whether a prepare that ended so may show that the backups it worked on cannot be applied, wherever that is tried. It does so
    /// where the copies that it worked on were whole, and another try ended [alike](Self::is_like). A signal, a lack of room, memory or rights, and a wrong option or program show nothing of them; nor does a
    /// lack of their metadata, which were read when they were recorded, so that somebody has taken the copy away.
    pub fn is_of_the_backup(&self) -> bool {
        match self {
            ToolRunError::Exited { exit, class, .. } => {
                let of_the_data =
                    [FailureClass::Unknown, FailureClass::RedoIncomplete, FailureClass::PagesFromTheFuture];
                // 126 and 127 are a shell's, and a loader's, for a program that cannot be started.
                matches!(exit, Exit::Code(code) if !matches!(code, 126 | 127)) && of_the_data.contains(class)
            }
            ToolRunError::NoSuccessLine { .. } | ToolRunError::Stuck { .. } => false,
            ToolRunError::Alarms { class, .. } if class.is_of_the_place() => false,
            ToolRunError::Alarms { .. }
            | ToolRunError::MissingFile { .. }
            | ToolRunError::DamageReported { .. }
            | ToolRunError::WrongType { .. }
            | ToolRunError::WrongLsn { .. }
            | ToolRunError::BadFile(_) => true,
        }
    }
}

impl Expected {
    /// After `--backup` of a full. `binlog`: the server keeps binlogs, so that coordinates must be there. `source`: the
    /// coordinates of a replica's source were asked for.
    pub fn full(kind: ToolKind, binlog: bool, source: bool) -> Self {
        Expected {
            kind,
            backup_type: Some(BackupType::FullBackuped),
            files: backup_files(binlog, source),
            from_lsn: Some(Lsn(0)),
            to_lsn: None,
        }
    }

    /// After `--backup` of an incremental on a parent that ended at `parent_to_lsn`.
    pub fn incremental(kind: ToolKind, binlog: bool, source: bool, parent_to_lsn: Lsn) -> Self {
        Expected {
            backup_type: Some(BackupType::Incremental),
            from_lsn: Some(parent_to_lsn),
            ..Expected::full(kind, binlog, source)
        }
    }

    /// After `--prepare`. `apply_log_only`: the step was not the last one of XtraBackup's. `to_lsn`: that of the last
    /// backup that was applied.
    ///
    /// mariadb-backup ends every prepare as `log-applied`; it never rolls back, the server does.
    pub fn prepared(kind: ToolKind, apply_log_only: bool, to_lsn: Lsn) -> Self {
        let backup_type = match kind.family() {
            Family::Mysql if !apply_log_only => BackupType::FullPrepared,
            Family::Mysql | Family::Mariadb => BackupType::LogApplied,
        };
        Expected {
            kind,
            backup_type: Some(backup_type),
            files: vec![MetadataFile::Checkpoints, MetadataFile::Info],
            from_lsn: Some(Lsn(0)),
            to_lsn: Some(to_lsn),
        }
    }

    /// After `--copy-back` or `--move-back`, which leave no metadata that could be checked.
    pub fn copied_back(kind: ToolKind) -> Self {
        Expected { kind, backup_type: None, files: Vec::new(), from_lsn: None, to_lsn: None }
    }
}

fn backup_files(binlog: bool, source: bool) -> Vec<MetadataFile> {
    let mut files = vec![MetadataFile::Checkpoints, MetadataFile::Info, MetadataFile::BackupCnf];
    if binlog {
        files.push(MetadataFile::BinlogInfo);
    }
    if source {
        files.push(MetadataFile::SlaveInfo);
    }
    files
}

/// Judges a run. A success gives back what the checkpoints file says; `None` after a copy-back.
///
/// # Errors
/// [`ToolRunError`], the first thing that is wrong in the order: exit status, last line, alarms, files, type, LSNs.
pub fn judge_backup_run(expected: &Expected, run: &RunEnd<'_>) -> Result<Option<Checkpoints>, ToolRunError> {
    let kind = expected.kind;
    if run.exit != Exit::Code(0) {
        let (class, line) = run.stderr.cause();
        return Err(ToolRunError::Exited {
            kind,
            exit: run.exit,
            class,
            line: line.map(str::to_owned),
            tail: run.stderr.tail(),
        });
    }
    if !run.stderr.ends_in_success() {
        return Err(ToolRunError::NoSuccessLine {
            kind,
            last_line: run.stderr.last_line().to_owned(),
            tail: run.stderr.tail(),
        });
    }
    if run.stderr.alarm_count() > 0 {
        let (count, lines, class) = (run.stderr.alarm_count(), run.stderr.alarms(), run.stderr.cause().0);
        return Err(ToolRunError::Alarms { kind, count, lines, class });
    }
    if let Some(file) = expected.files.iter().find(|file| file.select(run.files).is_none()) {
        return Err(ToolRunError::MissingFile { kind, file: *file });
    }
    // Written by --log-innodb-page-corruption; a prepare that repairs the pages removes it.
    if let Some(name) = run.files.iter().find(|name| *name == "innodb_corrupted_pages") {
        return Err(ToolRunError::DamageReported { kind, name: name.clone() });
    }
    let Some(expected_type) = expected.backup_type else {
        return Ok(None);
    };
    let file = MetadataFile::Checkpoints;
    let bytes = run.checkpoints.ok_or(ToolRunError::MissingFile { kind, file })?;
    let found = parse_checkpoints(bytes)?;
    if found.backup_type != expected_type {
        return Err(ToolRunError::WrongType { expected: expected_type, found: found.backup_type });
    }
    for (key, expected, found) in
        [("from_lsn", expected.from_lsn, found.from_lsn), ("to_lsn", expected.to_lsn, found.to_lsn)]
    {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(ToolRunError::WrongLsn { key, expected, found });
        }
    }
    Ok(Some(found))
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "status {code}"),
            Exit::Signal(number) => write!(f, "signal {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use ToolKind::{MariadbBackup, Xtrabackup};

    const MARIADB: &str = "mariadb-backup-10.11.19";

    fn stderr(name: &str) -> StderrScan {
        let bytes = fixture(&format!("{MARIADB}/stderr/{name}.stderr"));
        StderrScan::of(&String::from_utf8(bytes).unwrap())
    }

    fn files(dir: &str) -> Vec<String> {
        let text = String::from_utf8(fixture(&format!("{MARIADB}/{dir}/FILES.txt"))).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn judge(expected: &Expected, exit: i32, log: &str, dir: &str) -> Result<Option<Checkpoints>, ToolRunError> {
        let files = files(dir);
        let checkpoints = fixture(&format!("{MARIADB}/{dir}/xtrabackup_checkpoints"));
        judge_backup_run(
            expected,
            &RunEnd { exit: Exit::Code(exit), stderr: &stderr(log), files: &files, checkpoints: Some(&checkpoints) },
        )
    }

    #[test]
    fn only_what_the_data_show_is_of_the_backup() {
        let ended = |code: i32, text: &str| {
            ToolRunError::Exited {
                kind: ToolKind::MariadbBackup,
                exit: Exit::Code(code),
                class: StderrScan::of(text).cause().0,
                line: None,
                tail: Vec::new(),
            }
            .is_of_the_backup()
        };
        assert!(ended(1, "[00] Can't rename ./a/b.ibd.meta\n"));
        for code in [126, 127] {
            assert!(!ended(code, "sh: cannot execute\n"), "{code}");
        }
        for text in [
            "[ERROR] InnoDB: Cannot map innodb_buffer_pool_size_max=64m\n",
            "IO Error: 27 File too large\n",
            "[00] error: Stale file handle\n",
            "[ERROR] InnoDB: preallocating 28311552 bytes for file ./shop/t.ibd failed with error 28\n",
            "[Note] InnoDB: IO Error: 28 during write of 16384 bytes, for file shop/t.ibd(9), returned 0\n",
            "[Note] InnoDB: IO Error: 5 during read of 16384 bytes, for file shop/t.ibd(9), returned 0\n",
        ] {
            assert!(!ended(1, text), "{text}");
        }
    }

    #[test]
    fn two_failures_are_alike_by_their_words() {
        let failed = |text: &str, code: i32| {
            let scan = StderrScan::of(text);
            let (class, line) = scan.cause();
            let line = line.map(str::to_owned);
            ToolRunError::Exited { kind: MariadbBackup, exit: Exit::Code(code), class, line, tail: scan.tail() }
        };
        let one = failed("[00] 2026-11-29 03:22:00 Can't rename ./shop/ex#.ibd.meta\n", 1);
        assert!(one.is_like(&failed("[00] 2026-11-30 04:00:01 Can't rename ./shop/ex#.ibd.meta\n", 1)));
        assert!(!one.is_like(&failed("[00] 2026-11-29 03:22:00 Can't rename ./shop/ey#.ibd.meta\n", 1)));
        assert!(!one.is_like(&failed("[00] 2026-11-29 03:22:00 Can't rename ./shop/ex#.ibd.meta\n", 2)));
        let alarm = |line: &str| ToolRunError::Alarms {
            kind: MariadbBackup,
            count: 1,
            lines: vec![line.to_owned()],
            class: FailureClass::Unknown,
        };
        let lost = alarm("Tablespace 9 was not found at ./shop/t.ibd when restoring a (partial?) backup");
        assert!(lost.is_like(&alarm("Tablespace 11 was not found at ./shop/t.ibd when restoring a (partial?) backup")));
        assert!(!lost.is_like(&alarm("Tablespace 9 was not found at ./shop/u.ibd when restoring a (partial?) backup")));
        assert!(!lost.is_like(&one));
    }

    #[test]
    fn accepts_the_good_runs() {
        let full = judge(&Expected::full(MariadbBackup, true, false), 0, "backup-full", "full").unwrap().unwrap();
        assert_eq!(full.to_lsn, Lsn(389745));
        let incremental = Expected::incremental(MariadbBackup, true, false, full.to_lsn);
        let incremental = judge(&incremental, 0, "backup-inc1", "inc1").unwrap().unwrap();
        let prepared = Expected::prepared(MariadbBackup, false, full.to_lsn);
        assert!(judge(&prepared, 0, "prepare-ok-full", "prepared-full").is_ok());
        let applied = Expected::prepared(MariadbBackup, false, incremental.to_lsn);
        assert!(judge(&applied, 0, "prepare-ok-inc1", "prepared-after-inc1").is_ok());
        assert_eq!(judge(&Expected::copied_back(MariadbBackup), 0, "copyback", "full"), Ok(None));
    }

    #[test]
    fn refuses_each_way_to_fail() {
        let full = Expected::full(MariadbBackup, true, false);
        assert!(matches!(
            judge(&full, 1, "backup-auth", "full"),
            Err(ToolRunError::Exited { class: FailureClass::AccessDenied, .. })
        ));
        assert!(matches!(judge(&full, 0, "backup-auth", "full"), Err(ToolRunError::NoSuccessLine { .. })));
        assert!(matches!(
            judge(&Expected::full(MariadbBackup, true, true), 0, "backup-full", "full"),
            Err(ToolRunError::MissingFile { file: MetadataFile::SlaveInfo, .. })
        ));
        assert_eq!(
            judge(&full, 0, "backup-full", "inc1"),
            Err(ToolRunError::WrongType { expected: BackupType::FullBackuped, found: BackupType::Incremental })
        );
        assert_eq!(
            judge(&Expected::incremental(MariadbBackup, true, false, Lsn(7)), 0, "backup-inc1", "inc1"),
            Err(ToolRunError::WrongLsn { key: "from_lsn", expected: Lsn(7), found: Lsn(389745) })
        );
        assert!(matches!(
            judge(&Expected::prepared(MariadbBackup, false, Lsn(7)), 0, "prepare-ok-full", "prepared-full"),
            Err(ToolRunError::WrongLsn { key: "to_lsn", .. })
        ));
    }

    #[test]
    fn refuses_the_second_use_of_an_incremental_that_ended_ok() {
        let expected = Expected::prepared(MariadbBackup, false, Lsn(455453));
        assert!(matches!(
            judge(&expected, 0, "prepare-reuse-second", "prepared-after-inc1"),
            Err(ToolRunError::Alarms { count: 3, .. })
        ));
    }

    #[test]
    fn refuses_a_backup_that_lists_corrupt_pages() {
        let scan = stderr("backup-full");
        let mut names = files("full");
        names.push("innodb_corrupted_pages".into());
        let checkpoints = fixture(&format!("{MARIADB}/full/xtrabackup_checkpoints"));
        let run = RunEnd { exit: Exit::Code(0), stderr: &scan, files: &names, checkpoints: Some(&checkpoints) };
        let result = judge_backup_run(&Expected::full(MariadbBackup, true, false), &run);
        assert!(matches!(result, Err(ToolRunError::DamageReported { .. })), "{result:?}");
    }

    #[test]
    fn knows_what_each_tool_ends_a_prepare_with() {
        let kind = |tool, only| Expected::prepared(tool, only, Lsn(1)).backup_type;
        assert_eq!(kind(Xtrabackup, true), Some(BackupType::LogApplied));
        assert_eq!(kind(Xtrabackup, false), Some(BackupType::FullPrepared));
        assert_eq!(kind(MariadbBackup, false), Some(BackupType::LogApplied));
    }

    #[test]
    fn names_what_is_wrong_in_one_line() {
        let error = judge(&Expected::full(MariadbBackup, true, false), 1, "backup-redo-lost", "full").unwrap_err();
        assert_eq!(error.to_string(), "mariadb-backup ended with status 1: redo overwritten before it was copied");
        assert_eq!(Exit::Signal(9).to_string(), "signal 9");
    }
}
