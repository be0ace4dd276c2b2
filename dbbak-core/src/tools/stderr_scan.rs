//! Watches what a backup tool prints on standard error: its last line, its alarms, the cause of its failure.

use super::tablespace_ids::TablespaceIds;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

/// How many lines are kept for a report.
const TAIL_LINES: usize = 50;

/// How many alarms are kept; further ones are only counted.
const ALARM_LINES: usize = 20;

/// How XtraBackup's prepare names a tablespace that the backup lacks (seen on 8.4.0-5 and 9.7.1).
const MISSING_TABLESPACE: &str = "Could not find any file associated with the tablespace ID: ";

/// How mariadb-backup's prepare names one: `Tablespace N was not found at ./db/t.ibd when restoring a (partial?) backup`.
fn missing_tablespace(line: &str) -> Option<u32> {
    let xtrabackup = || line.split_once(MISSING_TABLESPACE)?.1.trim().parse().ok();
    let mariadb = || {
        let (before, after) = line.split_once(" was not found at ")?;
        let is_it = after.contains("when restoring a (partial?) backup");
        before.rsplit_once("Tablespace ")?.1.trim().parse().ok().filter(|_| is_it)
    };
    xtrabackup().or_else(mariadb)
}

/// Why a tool failed, as far as its messages tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureClass {
    /// The user or password is wrong.
    AccessDenied,
    /// The user may log in, but lacks a privilege.
    MissingPrivilege,
    /// No server answers there.
    CannotConnect,
    /// The server went away in the middle.
    ServerGone,
    /// The server overwrote redo before the tool had copied it. Worth another try at a quieter time.
    RedoOverwritten,
    /// A DDL statement ran that the tool cannot follow. Worth another try.
    DdlDuringBackup,
    /// Tables altered with ALGORITHM=INSTANT by MySQL 8.0.29 to 8.0.31, which the tool cannot read.
    InstantColumns,
    /// A lock was not granted in time. Worth another try.
    LockTimeout,
    /// The target is full, or over a quota.
    NoSpace,
    /// The limit of open files is too low.
    TooManyOpenFiles,
    /// The machine, or a limit, has not the memory that was asked for.
    NoMemory,
    /// A disk or file system failed: an I/O error, or one that became read-only.
    StorageFault,
    /// The target directory holds something.
    TargetNotEmpty,
    /// The target's parent directory is absent.
    NoParentDirectory,
    /// The system forbids access to a file.
    PermissionDenied,
    /// The incremental does not begin where the target ends.
    LsnGap,
    /// The target takes no incremental: not prepared yet, or prepared to the end.
    TargetNotReady,
    /// The directory is no backup of a kind that can be prepared.
    NotABackup,
    /// The metadata of a backup cannot be read.
    MetadataUnreadable,
    /// The redo in the backup does not reach as far as its metadata says.
    RedoIncomplete,
    /// The target holds pages newer than its redo: increments in the wrong order.
    PagesFromTheFuture,
    /// The tool does not know an argument, or takes it only in another place.
    UnknownOption,
    /// Tool and server are of versions that do not fit.
    VersionMismatch,
    /// Nothing known.
    Unknown,
}

/// The texts that tell a class, in the order of trust: the first class of this table with a match anywhere wins, because
/// consequences (a failed copy, a lost connection) are printed besides their cause.
const TEXTS: &[(FailureClass, &[&str])] = {
    use FailureClass as F;
    &[
        (
            F::UnknownOption,
            &["unknown option", "unknown variable", "unknown argument", "must be specified first on the command line"],
        ),
        (
            F::MissingPrivilege,
            &[
                "missing required privilege",
                "nsufficient privileges",
                "Access denied; you need",
                "command denied to user",
            ],
        ),
        (F::AccessDenied, &["Access denied for user"]),
        (
            F::CannotConnect,
            &["Can't connect to", "Failed to connect to", "Unknown MySQL server host", "Unknown server host"],
        ),
        (
            F::VersionMismatch,
            &[
                "Unsupported server version",
                "can only perform backups and restores against",
                "Unsupported redo log format",
            ],
        ),
        (
            F::NoSpace,
            &[
                "errno: 28",
                "OS errno 28",
                "No space left on device",
                "errno: 122",
                "Disk quota exceeded",
                // InnoDB inside mariadb-backup (10.11, 11.8): the first where a file is to grow, the second for ever.
                "failed with error 28",
                "failed with error 122",
                "IO Error: 28 ",
                "IO Error: 122 ",
            ],
        ),
        (F::TooManyOpenFiles, &["errno: 24", "Too many open files"]),
        (
            F::NoMemory,
            &["annot allocate memory", "Out of memory", "out of memory", "errno: 12,", "Cannot map innodb_buffer_pool"],
        ),
        (
            F::StorageFault,
            &[
                "Input/output error",
                "Read-only file system",
                "Stale file handle",
                "File too large",
                "errno: 27",
                "failed with error 27",
                "failed with error 5",
                // Any other number: a call to the system failed, which says nothing of what was to be written.
                "IO Error: ",
            ],
        ),
        (
            F::RedoOverwritten,
            &["log has wrapped around", "Was only able to copy log from", "log block numbers mismatch"],
        ),
        // mariadb-backup 11.8 copies anew what DDL has touched, and fails where a database was dropped meanwhile.
        (F::DdlDuringBackup, &["without redo logging) DDL", "An undo ddl truncation", "Failed to re-copy"]),
        (F::InstantColumns, &["Found tables with row versions due to INSTANT"]),
        (F::LockTimeout, &["Lock wait timeout exceeded", "Unable to obtain lock"]),
        (F::LsnGap, &["seems not to be proper for the target"]),
        (F::TargetNotReady, &["needs a prepared target", "needs target prepared", "target is not fully prepared"]),
        (F::NotABackup, &["have correct metadata"]),
        (F::MetadataUnreadable, &["failed to read metadata from", "Failed to parse xtrabackup_info", "my_setwd"]),
        (F::RedoIncomplete, &["was not applied to the intended LSN", "transaction log file is corrupted"]),
        (F::PagesFromTheFuture, &["log sequence number", "is in the future"]),
        (F::NoParentDirectory, &["cannot mkdir 2"]),
        (F::TargetNotEmpty, &["errno: 17", "OS errno 17", "is not empty!", "File exists"]),
        (F::PermissionDenied, &["errno: 13", "OS errno 13", "Permission denied"]),
        (F::ServerGone, &["server has gone away", "Lost connection to"]),
    ]
};

/// Reads a tool's standard error line by line, in constant memory.
///
/// Lines that mean failure although the tool ends with status 0 and `completed OK!` are its *alarms*:
/// - `Tablespace N was not found at ./db/t.ibd when restoring a (partial?) backup`: redo for a table whose file is gone.
///   Printed by mariadb-backup when an incremental was applied that an earlier prepare had consumed, and for tables that
///   were dropped with their database, and made again, while the backup ran. The note `unable to open file ./db/t.ibd for tablespace N` is no alarm: good prepares
///   print it by the hundred for tables that were dropped, renamed or rebuilt while the backup ran.
/// - `[ERROR]` and `FATAL ERROR`: XtraBackup goes on after a tablespace whose first page it cannot validate, and leaves
///   it out.
/// - `[ERROR] ... Could not find any file associated with the tablespace ID: N`: redo for a tablespace that the backup
///   lacks. XtraBackup 8.4 and 9.7 print it for every table that was dropped or rebuilt since the checkpoint before the
///   backup, and for tables that were lost, with the same words: see [`settle_tablespaces`](Self::settle_tablespaces), which
///   tells the first kind apart too. A number is not used twice by one server.
#[derive(Debug, Clone, Default)]
pub struct StderrScan {
    tail: VecDeque<String>,
    last: String,
    alarms: Vec<String>,
    alarm_count: usize,
    missing: BTreeMap<u32, String>,
    cause: Option<(usize, String)>,
    accepted: Vec<String>,
}

impl StderrScan {
    /// A scan that takes every alarm for one.
    pub fn new() -> Self {
        StderrScan::default()
    }

    /// A scan that lets pass the alarms which contain one of these texts: an operator's answer to a message that is
    /// known to be harmless on that server.
    pub fn accepting(texts: impl IntoIterator<Item = String>) -> Self {
        StderrScan { accepted: texts.into_iter().filter(|text| !text.is_empty()).collect(), ..StderrScan::default() }
    }

    /// Scans a whole text.
    pub fn of(text: &str) -> Self {
        let mut scan = StderrScan::new();
        text.lines().for_each(|line| scan.line(line));
        scan
    }

    /// Takes the next line, with or without its line end.
    pub fn line(&mut self, line: &str) {
        let line = super::masked(line.trim_end());
        if line.trim().is_empty() {
            return;
        }
        // These lines carry names of tables and files, which may say anything.
        let names_a_file = [" Copying ", " Streaming ", " Compressing", " Encrypting", " Moving "]
            .iter()
            .any(|word| line.contains(word));
        if !names_a_file {
            self.look_at(&line);
        }
        self.last.clone_from(&line);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    fn look_at(&mut self, line: &str) {
        let lost = line.contains("was not found at") && line.contains("when restoring a (partial?) backup");
        let alarm = lost || line.contains("[ERROR]") || line.contains("FATAL ERROR");
        if alarm && !self.accepted.iter().any(|text| line.contains(text)) {
            if let Some(id) = missing_tablespace(line) {
                self.missing.insert(id, line.to_owned());
            } else {
                self.alarm_count += 1;
                if self.alarms.len() < ALARM_LINES {
                    self.alarms.push(line.to_owned());
                }
            }
        }
        let known = self.cause.as_ref().map_or(TEXTS.len(), |(rank, _)| *rank);
        // The text of the future LSN is two halves around a number, so that all of its parts must be there.
        let matches = |(class, texts): &(FailureClass, &[&str])| match class {
            FailureClass::PagesFromTheFuture => texts.iter().all(|text| line.contains(text)),
            _ => texts.iter().any(|text| line.contains(text)),
        };
        // The tool goes on after an option that it need not know.
        let let_pass = line.contains("[Warning] unknown option '--loose-");
        if let Some(rank) = TEXTS[..known].iter().position(matches).filter(|_| !let_pass) {
            self.cause = Some((rank, line.to_owned()));
        }
    }

    /// The last line that is not empty.
    pub fn last_line(&self) -> &str {
        &self.last
    }

    /// Whether the last line is the tool's word for success. XtraBackup 2.4, 8.x and mariadb-backup put different
    /// stamps and tags before the same end.
    pub fn ends_in_success(&self) -> bool {
        self.last.ends_with("completed OK!")
    }

    /// The last lines, oldest first.
    pub fn tail(&self) -> Vec<String> {
        self.tail.iter().cloned().collect()
    }

    /// Whether the prepare named tablespaces that the backup lacks.
    pub fn misses_tablespaces(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Takes no alarm at tablespaces that the server had not any more when the backup had ended.
    pub fn settle_tablespaces(&mut self, at_the_end: &TablespaceIds) {
        self.missing.retain(|id, _| at_the_end.contains(*id));
    }

    /// The first alarms.
    pub fn alarms(&self) -> Vec<String> {
        self.alarms.iter().chain(self.missing.values()).take(ALARM_LINES).cloned().collect()
    }

    /// How many alarms there were.
    pub fn alarm_count(&self) -> usize {
        self.alarm_count + self.missing.len()
    }

    /// Why the tool failed, if it did, and the line that says so.
    pub fn cause(&self) -> (FailureClass, Option<&str>) {
        match &self.cause {
            Some((rank, line)) => (TEXTS[*rank].0, Some(line)),
            None => (FailureClass::Unknown, None),
        }
    }
}

/// Why a tool failed, from the whole text of its standard error.
pub fn classify_failure(stderr: &str) -> FailureClass {
    StderrScan::of(stderr).cause().0
}

impl FailureClass {
    /// Whether the place that the tool worked in was at fault, or the tool itself: room, memory, rights, the program.
    pub fn is_of_the_place(self) -> bool {
        matches!(
            self,
            FailureClass::NoSpace
                | FailureClass::TooManyOpenFiles
                | FailureClass::NoMemory
                | FailureClass::StorageFault
                | FailureClass::PermissionDenied
                | FailureClass::UnknownOption
                | FailureClass::VersionMismatch
        )
    }

    /// Whether the same command may well succeed later, on a quieter server.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            FailureClass::RedoOverwritten
                | FailureClass::DdlDuringBackup
                | FailureClass::LockTimeout
                | FailureClass::ServerGone
        )
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailureClass::AccessDenied => "access denied",
            FailureClass::MissingPrivilege => "missing privilege",
            FailureClass::CannotConnect => "no connection to the server",
            FailureClass::ServerGone => "the server went away",
            FailureClass::RedoOverwritten => "redo overwritten before it was copied",
            FailureClass::DdlDuringBackup => "DDL during the backup",
            FailureClass::InstantColumns => "tables with INSTANT columns",
            FailureClass::LockTimeout => "lock not granted in time",
            FailureClass::NoSpace => "no space left",
            FailureClass::TooManyOpenFiles => "too many open files",
            FailureClass::NoMemory => "not enough memory",
            FailureClass::StorageFault => "a disk or file system failed",
            FailureClass::TargetNotEmpty => "target is not empty",
            FailureClass::NoParentDirectory => "target's parent directory is absent",
            FailureClass::PermissionDenied => "permission denied",
            FailureClass::LsnGap => "LSN gap",
            FailureClass::TargetNotReady => "target is not ready for an incremental",
            FailureClass::NotABackup => "not a backup that can be prepared",
            FailureClass::MetadataUnreadable => "metadata cannot be read",
            FailureClass::RedoIncomplete => "redo is incomplete",
            FailureClass::PagesFromTheFuture => "pages newer than the redo",
            FailureClass::UnknownOption => "unknown option",
            FailureClass::VersionMismatch => "versions do not fit",
            FailureClass::Unknown => "unknown cause",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use FailureClass as F;

    fn scan(name: &str) -> StderrScan {
        let bytes = fixture(&format!("mariadb-backup-10.11.19/stderr/{name}.stderr"));
        StderrScan::of(&String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn finds_the_cause_of_every_failed_sample() {
        for (name, class) in [
            ("backup-auth", F::AccessDenied),
            ("backup-badbase", F::MetadataUnreadable),
            ("backup-badsock", F::CannotConnect),
            ("backup-full-existing-target", F::TargetNotEmpty),
            ("backup-no-parent-dir", F::NoParentDirectory),
            ("backup-no-process", F::MissingPrivilege),
            ("backup-no-reload", F::MissingPrivilege),
            ("backup-no-slave-monitor", F::MissingPrivilege),
            ("backup-redo-lost", F::RedoOverwritten),
            ("backup-stream-diskfull", F::NoSpace),
            ("backup-unknown-variable", F::UnknownOption),
            ("copyback-nonempty", F::TargetNotEmpty),
            ("prepare-again-inc1", F::LsnGap),
            ("prepare-alo-full", F::UnknownOption),
            ("prepare-gap-inc2", F::LsnGap),
            ("prepare-unprep-inc1", F::TargetNotReady),
        ] {
            let scan = scan(name);
            assert_eq!(scan.cause().0, class, "{name}: {:?}", scan.tail());
            assert!(!scan.ends_in_success(), "{name}");
        }
        assert_eq!(classify_failure("something else"), F::Unknown);
        // As XtraBackup 8.4.0-5 and 9.7.1 put them.
        assert_eq!(classify_failure("xtrabackup: [ERROR] unknown option '--bogus-opt'."), F::UnknownOption);
        assert_eq!(classify_failure("xtrabackup: [Warning] unknown option '--loose-bogus-opt'."), F::Unknown);
        let denied = "[Xtrabackup] failed to execute query 'SELECT ...' : 1142 (42000) SELECT command denied to user 'b'@'localhost'";
        assert_eq!(classify_failure(denied), F::MissingPrivilege);
        assert_eq!(
            classify_failure("[ERROR] InnoDB: Page [1] log sequence number 5 is in the future!"),
            F::PagesFromTheFuture
        );
    }

    #[test]
    fn takes_no_good_sample_for_a_failure() {
        for name in [
            "backup-full",
            "backup-inc1",
            "copyback",
            "prepare-ddl-inc1",
            "prepare-ok-full",
            "prepare-ok-inc1",
            "prepare-reuse-first",
        ] {
            let scan = scan(name);
            assert!(scan.ends_in_success(), "{name}: {}", scan.last_line());
            assert_eq!(scan.alarms(), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn raises_an_alarm_where_the_tool_says_ok_and_lost_tables() {
        let lost = scan("prepare-reuse-second");
        assert!(lost.ends_in_success());
        assert_eq!(lost.alarm_count(), 3);
        assert!(lost.alarms().iter().any(|line| line.contains("./nn/t.ibd")), "{:?}", lost.alarms());

        let mut accepting = StderrScan::accepting(["./nn/t.ibd".to_owned(), String::new()]);
        lost.alarms().iter().for_each(|line| accepting.line(line));
        assert_eq!(accepting.alarm_count(), 2);
    }

    #[test]
    fn a_tablespace_that_is_missing_is_no_alarm_where_the_server_had_dropped_it() {
        let bytes = fixture("xtrabackup-9.7/stderr/prepare-after-drop.stderr");
        let mut scan = StderrScan::of(&String::from_utf8(bytes).unwrap());
        assert!(scan.ends_in_success() && scan.misses_tablespaces());
        assert_eq!(scan.alarm_count(), 1);
        assert!(scan.alarms()[0].ends_with("tablespace ID: 20"), "{:?}", scan.alarms());
        let mut lost = scan.clone();
        lost.settle_tablespaces(&[1, 3, 20].into_iter().collect());
        assert_eq!(lost.alarm_count(), 1);
        scan.settle_tablespaces(&[1, 3, 19, 21].into_iter().collect());
        assert_eq!((scan.alarm_count(), scan.alarms().len()), (0, 0));
        // The scan of another line is not swayed.
        scan.line("2026-11-21T23:01:05Z 0 [ERROR] [MY-000001] [InnoDB] something else");
        assert_eq!(scan.alarm_count(), 1);
    }

    #[test]
    fn knows_every_success_line() {
        for line in [
            "161011 12:41:04 completed OK!",
            "2026-05-05T19:27:29.382428+01:00 0 [Note] [MY-011825] [Xtrabackup] completed OK!",
            "[00] 2026-11-21 01:50:14 completed OK!\n\n",
        ] {
            assert!(StderrScan::of(line).ends_in_success(), "{line}");
        }
        for line in ["", "completed OK! not", "[00] 2026-11-21 completed OK!\nlater words"] {
            assert!(!StderrScan::of(line).ends_in_success(), "{line}");
        }
    }

    #[test]
    fn keeps_the_last_lines_and_hides_hashes() {
        let mut scan = StderrScan::new();
        (0..200).for_each(|number| scan.line(&format!("line {number}")));
        assert_eq!((scan.tail().len(), scan.tail()[0].as_str()), (50, "line 150"));

        let shown = scan_text("backup-no-process");
        assert!(shown.contains("IDENTIFIED BY PASSWORD '***'"), "{shown}");
    }

    fn scan_text(name: &str) -> String {
        scan(name).tail().join("\n")
    }

    #[test]
    fn does_not_read_the_names_of_tables() {
        let scan = StderrScan::of("[01] Copying ./shop/No space left on device.ibd to /b/x [ERROR]");
        assert_eq!((scan.cause().0, scan.alarm_count()), (F::Unknown, 0));
    }

    #[test]
    fn a_table_that_was_dropped_is_no_alarm_and_one_that_was_lost_is() {
        let line = |id: u32| {
            format!(
                "2026-11-28 17:43:07 0 [ERROR] InnoDB: Tablespace {id} was not found at ./c/x.ibd when restoring a (partial?) backup. All redo log for this file will be ignored!"
            )
        };
        let mut scan = StderrScan::of(&format!("{}\n{}\ncompleted OK!", line(41), line(57)));
        assert!(scan.misses_tablespaces());
        assert_eq!(scan.alarm_count(), 2);
        scan.settle_tablespaces(&[1, 2, 57].into_iter().collect());
        assert_eq!(scan.alarms(), [line(57)]);
        scan.settle_tablespaces(&[1, 2, 58].into_iter().collect());
        assert_eq!(scan.alarm_count(), 0);
        // A number that cannot be read is not let pass.
        let mut odd =
            StderrScan::of("[ERROR] Tablespace x was not found at ./c/x.ibd when restoring a (partial?) backup");
        odd.settle_tablespaces(&TablespaceIds::default());
        assert_eq!(odd.alarm_count(), 1);
    }
}
