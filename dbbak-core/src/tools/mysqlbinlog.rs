//! Builds the command lines of the binlog readers, and judges their runs.

use super::{
    command::{CommandError, CommandSpec},
    login::Login,
    secrets::masked,
    success::Exit,
    tool::Family,
};
use crate::model::BinlogName;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf};

/// Binlogs turned into statements, for a client that applies them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayReader {
    /// The reader: of the vendor that wrote the logs. MariaDB's drops MySQL's GTIDs without a word, MySQL's refuses
    /// MariaDB's logs.
    pub program: PathBuf,
    /// Its family.
    pub family: Family,
    /// The files in log order, without a gap: the reader does not look whether one is missing.
    pub files: Vec<PathBuf>,
    /// Where to begin in the first file: a transaction boundary that was checked. Past the end of the file the reader
    /// prints nothing and ends with status 0.
    pub start: u64,
    /// Where to end in the last file: a transaction boundary that was checked. Inside a transaction the reader adds a
    /// `ROLLBACK` and ends with status 0.
    pub stop: Option<u64>,
    /// A private directory for the files of `LOAD DATA` events; the system's temporary directory when absent.
    pub local_load: Option<PathBuf>,
    /// GTIDs to leave out; MySQL's reader alone can.
    pub exclude_gtids: Option<String>,
}

/// Binlogs copied from a running server, as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamReader {
    /// The reader.
    pub program: PathBuf,
    /// Its family.
    pub family: Family,
    /// Where it finds its credentials.
    pub login: Login,
    /// The first file. A local file of this name is truncated and written anew.
    pub first: BinlogName,
    /// The directory that the files go to.
    pub dir: PathBuf,
    /// The id under which the server knows the reader: a second one with the same id ends the first.
    pub connection_server_id: u32,
    /// Go on for ever; otherwise up to the end of the server's last file.
    pub never_stop: bool,
}

impl ReplayReader {
    /// The command: one run over all files, so that temporary tables and session settings live across them.
    ///
    /// No option file is read: one could name another server, or a filter. Checksums are verified, which both readers
    /// leave out unless told. MariaDB's readers from 10.8 on stop where a number is not higher than the one before, as a source
    /// without `gtid_strict_mode` writes it, unless told otherwise: that the files are those of the window is known before. The statements are not kept from the binlog of the server that applies them: what a
    /// private server logs is the proof of what it applied.
    ///
    /// # Errors
    ///
    /// [`CommandError`]: a path that is no text, no file at all, GTIDs to leave out with MariaDB's reader.
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        let mut spec = CommandSpec::new(&self.program).args(["--no-defaults", "--verify-binlog-checksum"]);
        spec = spec.option("--start-position", self.start);
        if self.family == Family::Mariadb {
            spec = spec.arg("--loose-skip-gtid-strict-mode");
        }
        if let Some(stop) = self.stop {
            spec = spec.option("--stop-position", stop);
        }
        if let Some(dir) = &self.local_load {
            spec = spec.path_option("--local-load", dir)?;
        }
        if let Some(gtids) = &self.exclude_gtids {
            if self.family == Family::Mariadb {
                return Err(CommandError::Unsupported { tool: "mariadb-binlog".into(), feature: "exclusion of GTIDs" });
            }
            spec = spec.option("--exclude-gtids", gtids);
        }
        if self.files.is_empty() {
            return Err(CommandError::NothingToDo { what: "binlog to read" });
        }
        for file in &self.files {
            spec = spec.path_arg(file)?;
        }
        Ok(spec)
    }
}

impl StreamReader {
    /// The command. Its files are named as the server names them, and hold the bytes as they come: their checksums are
    /// dbbak's own to verify.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        let mut spec = self.login.command(&self.program)?.args(["--read-from-remote-server", "--raw"]);
        spec = match (self.never_stop, self.family) {
            (true, Family::Mysql) => {
                spec.arg("--stop-never").option("--connection-server-id", self.connection_server_id)
            }
            (true, Family::Mariadb) => {
                spec.arg("--stop-never").option("--stop-never-slave-server-id", self.connection_server_id)
            }
            (false, _) => spec.arg("--to-last-log"),
        };
        // The value is the beginning of the files' names: only a slash at the end makes it a directory.
        spec = spec.path_option("--result-file", &self.dir.join(""))?;
        Ok(spec.arg(self.first.as_str()))
    }
}

/// Why a binlog reader failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReaderFailure {
    /// A checksum does not match.
    Checksum,
    /// A file ends in the middle of an event.
    Truncated,
    /// The file is encrypted: only the server can read it.
    Encrypted,
    /// Not a binlog, or one of the other vendor.
    NotABinlog,
    /// The position is no event's start, or the event is damaged.
    BadEvent,
    /// The end that was asked for lies behind the end of the files.
    EndNotReached,
    /// The GTIDs of the files do not follow on one another.
    Gap,
    /// A file is absent, here or on the server.
    NoSuchFile,
    /// The server refused the account.
    AccessDenied,
    /// The server cannot be reached.
    CannotConnect,
    /// The copy cannot be written.
    CannotWrite,
    /// The server went away, or ended the stream.
    ServerGone,
    /// Nothing known.
    Unknown,
}

/// A run of a binlog reader that did not succeed, whatever its status says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("binlog reader ended with {exit}: {failure}")]
pub struct ReaderError {
    /// How it ended.
    pub exit: Exit,
    /// Why, as far as its messages tell.
    pub failure: ReaderFailure,
    /// The lines that tell.
    pub lines: Vec<String>,
}

impl ReaderError {
    /// Whether the server no longer has the file: it was purged since the server listed it. The text is that of error 1236
    /// of both vendors (`sql/rpl_source.cc`, `sql/sql_repl.cc`).
    pub fn is_purged(&self) -> bool {
        const TEXTS: [&str; 2] =
            ["Could not find first log file name in binary log index", "Could not find target log"];
        self.lines.iter().any(|line| TEXTS.iter().any(|text| line.contains(text)))
    }
}

const TEXTS: &[(ReaderFailure, &[&str])] = {
    use ReaderFailure as F;
    &[
        (F::Encrypted, &["Reading encrypted log files", "encrypted"]),
        (F::Checksum, &["crc check failed", "checksum verification failed"]),
        (F::Truncated, &["Event truncated", "truncated in the middle of event", "ends with a truncated event"]),
        (F::Gap, &["are missing data for domain"]),
        (F::AccessDenied, &["Access denied"]),
        (F::CannotConnect, &["Failed on connect"]),
        (F::CannotWrite, &["Can't create/write to file", "Could not create"]),
        (
            F::NotABinlog,
            &[
                "File is not a binary log file",
                "Failed reading header",
                "reading the header from",
                "Found invalid event",
            ],
        ),
        (F::BadEvent, &["Could not read entry at offset", "Event too big", "Event too small", "Found invalid"]),
        (F::NoSuchFile, &["Could not find first log file name", "Errcode: 2 ", "not found (", "No such file"]),
        (F::ServerGone, &["Lost connection", "server has gone away", "replica with the same"]),
        // MariaDB's reader says so after every other failure too.
        (F::EndNotReached, &["Did not reach stop", "never reached expected GTID state"]),
    ]
};

/// Judges a run of a binlog reader by its status and its standard error.
///
/// Status 0 proves nothing: where the in-use bit of a file is set, mariadb-binlog 10.11 prints `ERROR: ... Event crc check
/// failed` or `Event truncated`, stops there and ends with 0; where the end is not reached, it warns and ends with 0.
/// A warning for character sets (`is not a compiled character set`) tells that the other vendor's log was given.
///
/// `pipe_closed`: whoever reads the output ended first, so that the reader's own status says nothing.
///
/// # Errors
///
/// [`ReaderError`].
pub fn judge_binlog_reader(exit: Exit, stderr: &str, pipe_closed: bool) -> Result<(), ReaderError> {
    let telling = |line: &&str| {
        line.contains("ERROR")
            || line.contains("WARNING")
            || line.contains("Character set '#")
            || line.contains("not found")
    };
    let lines: Vec<String> = stderr.lines().filter(telling).map(masked).take(20).collect();
    if (exit == Exit::Code(0) || pipe_closed) && lines.is_empty() {
        return Ok(());
    }
    let lines = if lines.is_empty() { stderr.lines().map(masked).take(20).collect() } else { lines };
    let tells = |texts: &[&str]| lines.iter().any(|line| texts.iter().any(|text| line.contains(text)));
    let failure = if lines.iter().any(|line| line.contains("Character set '#")) {
        ReaderFailure::NotABinlog
    } else {
        TEXTS.iter().find(|(_, texts)| tells(texts)).map_or(ReaderFailure::Unknown, |(failure, _)| *failure)
    };
    Err(ReaderError { exit, failure, lines })
}

impl fmt::Display for ReaderFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReaderFailure::Checksum => "a checksum does not match",
            ReaderFailure::Truncated => "a file ends in the middle of an event",
            ReaderFailure::Encrypted => "the file is encrypted",
            ReaderFailure::NotABinlog => "not a binlog of this vendor",
            ReaderFailure::BadEvent => "no event at the position, or a damaged one",
            ReaderFailure::EndNotReached => "the files end before the position",
            ReaderFailure::Gap => "GTIDs are missing between the files",
            ReaderFailure::NoSuchFile => "a file is absent",
            ReaderFailure::AccessDenied => "access denied",
            ReaderFailure::CannotConnect => "the server cannot be reached",
            ReaderFailure::CannotWrite => "the copy cannot be written",
            ReaderFailure::ServerGone => "the server ended the stream",
            ReaderFailure::Unknown => "unknown cause",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn replay(family: Family) -> ReplayReader {
        let (program, base) = match family {
            Family::Mysql => ("/usr/bin/mysqlbinlog", "binlog"),
            Family::Mariadb => ("/usr/bin/mariadb-binlog", "mariadb-bin"),
        };
        ReplayReader {
            program: program.into(),
            family,
            files: (3..6).map(|number| format!("/work/binlogs/{base}.{number:06}").into()).collect(),
            start: 26565,
            stop: Some(1197),
            local_load: Some("/work/load".into()),
            exclude_gtids: None,
        }
    }

    fn stream(family: Family, never_stop: bool) -> String {
        let reader = StreamReader {
            program: replay(family).program,
            family,
            login: Login::OptionFile("/etc/dbbak/backup.cnf".into()),
            first: "mysql-bin.000012".parse().unwrap(),
            dir: "/work/stream".into(),
            connection_server_id: 4_000_000_001,
            never_stop,
        };
        reader.build().unwrap().to_string()
    }

    #[test]
    fn replay_over_three_files() {
        let shown = |family| replay(family).build().unwrap().to_string();
        assert_snapshot!(shown(Family::Mysql), @"/usr/bin/mysqlbinlog --no-defaults --verify-binlog-checksum --start-position=26565 --stop-position=1197 --local-load=/work/load /work/binlogs/binlog.000003 /work/binlogs/binlog.000004 /work/binlogs/binlog.000005");
        assert_snapshot!(shown(Family::Mariadb), @"/usr/bin/mariadb-binlog --no-defaults --verify-binlog-checksum --start-position=26565 --loose-skip-gtid-strict-mode --stop-position=1197 --local-load=/work/load /work/binlogs/mariadb-bin.000003 /work/binlogs/mariadb-bin.000004 /work/binlogs/mariadb-bin.000005");
    }

    #[test]
    fn replay_without_one_transaction() {
        let skip = |family| ReplayReader { exclude_gtids: Some("u:17".into()), stop: None, ..replay(family) }.build();
        assert!(skip(Family::Mysql).unwrap().to_string().contains(" --exclude-gtids=u:17 "));
        assert!(matches!(skip(Family::Mariadb), Err(CommandError::Unsupported { .. })));
    }

    #[test]
    fn refuses_to_read_nothing() {
        let nothing = ReplayReader { files: Vec::new(), ..replay(Family::Mysql) };
        assert!(matches!(nothing.build(), Err(CommandError::NothingToDo { .. })));
    }

    #[test]
    fn stream_of_each_vendor() {
        assert_snapshot!(stream(Family::Mysql, true), @"/usr/bin/mysqlbinlog --defaults-file=/etc/dbbak/backup.cnf --read-from-remote-server --raw --stop-never --connection-server-id=4000000001 --result-file=/work/stream/ mysql-bin.000012");
        assert_snapshot!(stream(Family::Mariadb, true), @"/usr/bin/mariadb-binlog --defaults-file=/etc/dbbak/backup.cnf --read-from-remote-server --raw --stop-never --stop-never-slave-server-id=4000000001 --result-file=/work/stream/ mysql-bin.000012");
        assert_snapshot!(stream(Family::Mysql, false), @"/usr/bin/mysqlbinlog --defaults-file=/etc/dbbak/backup.cnf --read-from-remote-server --raw --to-last-log --result-file=/work/stream/ mysql-bin.000012");
    }

    #[test]
    fn believes_no_status() {
        use ReaderFailure as F;
        let ok = Exit::Code(0);
        assert_eq!(judge_binlog_reader(ok, "", false), Ok(()));
        for (exit, stderr, failure) in [
            (
                0,
                "ERROR: Error in Log_event::read_log_event(): 'Event crc check failed! Most likely there is event corruption.', data_len: 8181, event_type: 23\n",
                F::Checksum,
            ),
            (
                0,
                "ERROR: Error in Log_event::read_log_event(): 'Event truncated', data_len: 8181, event_type: 23\n",
                F::Truncated,
            ),
            (0, "WARNING: File ends with a truncated event\n", F::Truncated),
            (0, "WARNING: Did not reach stop position 99999999 before end of input\n", F::EndNotReached),
            (
                0,
                "mariadb-binlog: Character set '#255' is not a compiled character set and is not specified in the 'x' file\n",
                F::NotABinlog,
            ),
            (1, "ERROR: File is not a binary log file.\n", F::NotABinlog),
            (1, "ERROR: Reading encrypted log files directly is not supported.\n", F::Encrypted),
            (
                1,
                "ERROR: Could not read entry at offset 4962: Error in log format or read error 1.\nERROR: Event crc check failed! Most likely there is event corruption.\n",
                F::Checksum,
            ),
            (1, "ERROR: Could not read entry at offset 331: Error in log format or read error.\n", F::BadEvent),
            (
                1,
                "mariadb-binlog: File '/x.000001' not found (Errcode: 2 \"No such file or directory\")\n",
                F::NoSuchFile,
            ),
            (
                1,
                "ERROR: Got error reading packet from server: Could not find first log file name in binary log index file\n",
                F::NoSuchFile,
            ),
            (2, "mariadb-binlog: unknown option '--bogus'\n", F::Unknown),
            (1, "ERROR: Failed on connect: Can't connect to local server through socket 's' (2)\n", F::CannotConnect),
            (
                1,
                "ERROR: Failed on connect: Access denied for user 'x'@'localhost' (using password: YES)\n",
                F::AccessDenied,
            ),
            (
                1,
                "mariadb-binlog: Can't create/write to file '/x/bin.000001' (Errcode: 2 \"No such file or directory\")\nERROR: Could not create output log file: /x/bin.000001\n",
                F::CannotWrite,
            ),
            (1, "ERROR: Could not create log file '/x/binlog.000002'\n", F::CannotWrite),
            (
                1,
                "ERROR: Got error reading packet from server: Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation\n",
                F::AccessDenied,
            ),
        ] {
            let error = judge_binlog_reader(Exit::Code(exit), stderr, false).unwrap_err();
            assert_eq!(error.failure, failure, "{stderr}");
            assert!(!error.lines.is_empty());
        }
        assert_eq!(judge_binlog_reader(Exit::Signal(13), "", true), Ok(()));
        assert!(judge_binlog_reader(Exit::Signal(13), "", false).is_err());
    }
}
