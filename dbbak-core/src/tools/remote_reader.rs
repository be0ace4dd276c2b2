//! Builds the command lines with which a binlog reader asks a server: for a file's first events, and for a whole file.

use super::{
    command::{CommandError, CommandSpec, QueryCommand},
    login::Login,
    mysqlbinlog::{ReaderError, ReaderFailure, judge_binlog_reader},
    success::Exit,
    tool::Family,
};
use crate::model::BinlogName;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A binlog reader that asks a server, which decrypts what it sends. The account needs REPLICATION SLAVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteReader {
    /// The reader, of the server's vendor.
    pub program: PathBuf,
    /// Its family.
    pub family: Family,
    /// Where it finds its credentials.
    pub login: Login,
    /// The server's socket, where the option file does not name it.
    pub socket: Option<PathBuf>,
}

impl RemoteReader {
    /// The question for a file's first events, byte by byte, which writes no file: for
    /// [`parse_hexdump`](super::parse_hexdump).
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn head(&self, file: &BinlogName) -> Result<QueryCommand, CommandError> {
        // Events that begin before this offset are printed whole. It lies behind the start of the last event of every
        // head, and before the first event that can be large: MySQL's format description ends at 120 (5.6) to 127 (9.7)
        // and the GTIDs behind it take 31 bytes or more; MariaDB's ends at 256, and an encryption event of 36 or 40
        // bytes, or the GTIDs with 25 or more and a small checkpoint event, follow.
        let behind_the_head = match self.family {
            Family::Mysql => 140,
            Family::Mariadb => 300,
        };
        let spec = self.command()?.arg("--hexdump").option("--stop-position", behind_the_head);
        Ok(QueryCommand::of(spec.arg(file.as_str())))
    }

    /// The command that copies one closed file into a directory, under its own name. It ends at the file's end. A full disk
    /// cuts the copy without a word and with status 0 (seen with both vendors' readers), so that its size must be compared
    /// with the one that the server lists.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn fetch(&self, file: &BinlogName, dir: &Path) -> Result<CommandSpec, CommandError> {
        // The value is the beginning of the file's name: only a slash at the end makes it a directory.
        let spec = self.command()?.arg("--raw").path_option("--result-file", &dir.join(""))?;
        Ok(spec.arg(file.as_str()))
    }

    fn command(&self) -> Result<CommandSpec, CommandError> {
        let spec = self.login.command(&self.program)?;
        let spec = match &self.socket {
            Some(socket) => spec.path_option("--socket", socket)?,
            None => spec,
        };
        Ok(spec.arg("--read-from-remote-server"))
    }
}

/// Judges a run of [`RemoteReader::head`]: a file that is shorter than what was asked for is no failure.
///
/// # Errors
///
/// [`ReaderError`].
pub fn judge_head_reader(exit: Exit, stderr: &str) -> Result<(), ReaderError> {
    match judge_binlog_reader(exit, stderr, false) {
        Err(ReaderError { exit: Exit::Code(0), failure: ReaderFailure::EndNotReached, .. }) => Ok(()),
        judged => judged,
    }
}

/// The bytes that the reader delivers of a file that the server lists with a size. MySQL counts the 512 bytes that it puts
/// before an encrypted file's events (`SHOW BINARY LOGS` of 9.7: 754 for a file of which 242 arrive); MariaDB's encrypted
/// files have the size of their plain content.
pub fn delivered_size(listed: u64, encrypted: Option<bool>) -> u64 {
    const MYSQL_ENCRYPTION_HEADER: u64 = 512;
    match encrypted {
        Some(true) => listed.saturating_sub(MYSQL_ENCRYPTION_HEADER),
        Some(false) | None => listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn reader(family: Family) -> RemoteReader {
        RemoteReader {
            program: if family == Family::Mysql { "/usr/bin/mysqlbinlog" } else { "/usr/bin/mariadb-binlog" }.into(),
            family,
            login: Login::OptionFile("/etc/dbbak/backup.cnf".into()),
            socket: None,
        }
    }

    #[test]
    fn asks_for_the_head_without_writing_a_file() {
        let head = |family| reader(family).head(&"binlog.000012".parse().unwrap()).unwrap();
        assert_snapshot!(head(Family::Mysql), @"/usr/bin/mysqlbinlog --defaults-file=/etc/dbbak/backup.cnf --read-from-remote-server --hexdump --stop-position=140 binlog.000012");
        assert_snapshot!(head(Family::Mariadb), @"/usr/bin/mariadb-binlog --defaults-file=/etc/dbbak/backup.cnf --read-from-remote-server --hexdump --stop-position=300 binlog.000012");
    }

    #[test]
    fn fetches_one_file_into_a_directory() {
        let fetch = |family| {
            let reader = RemoteReader { socket: Some("/run/s.sock".into()), ..reader(family) };
            reader.fetch(&"binlog.000012".parse().unwrap(), Path::new("/work/fetch")).unwrap()
        };
        assert_snapshot!(fetch(Family::Mysql), @"/usr/bin/mysqlbinlog --defaults-file=/etc/dbbak/backup.cnf --socket=/run/s.sock --read-from-remote-server --raw --result-file=/work/fetch/ binlog.000012");
        assert_snapshot!(fetch(Family::Mariadb), @"/usr/bin/mariadb-binlog --defaults-file=/etc/dbbak/backup.cnf --socket=/run/s.sock --read-from-remote-server --raw --result-file=/work/fetch/ binlog.000012");
    }

    #[test]
    fn a_short_file_is_no_failure_of_the_head() {
        let short = "WARNING: Did not reach stop position 300 before end of input\n";
        assert_eq!(judge_head_reader(Exit::Code(0), short), Ok(()));
        assert!(judge_head_reader(Exit::Code(1), short).is_err());
        let denied = "ERROR: Got error reading packet from server: Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s) for this operation\n";
        let denied = judge_head_reader(Exit::Code(1), &format!("{denied}{short}")).unwrap_err();
        assert_eq!(denied.failure, ReaderFailure::AccessDenied);
    }

    #[test]
    fn only_mysql_counts_a_header() {
        assert_eq!([delivered_size(754, Some(true)), delivered_size(754, Some(false))], [242, 754]);
        assert_eq!(delivered_size(754, None), 754);
    }
}
