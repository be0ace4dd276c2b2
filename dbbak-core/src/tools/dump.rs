//! Builds the command line of the dump programs, and reads what a dump says of itself.

use super::{
    command::{CommandError, CommandSpec},
    login::Login,
    tool::{Family, Version},
};
use crate::model::{BinlogCoordinates, GtidSet};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a dump gets tables of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DumpWay {
    /// All tables are read in one transaction. Tables of other engines than transactional ones are read whenever it is
    /// their turn.
    Snapshot,
    /// All tables are locked for the whole dump: nobody writes meanwhile.
    LockAll,
}

/// A dump of all that a server holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpCommand {
    /// `mysqldump` or `mariadb-dump`.
    pub program: PathBuf,
    /// The server's family, which is the program's too.
    pub family: Family,
    /// The program's version.
    pub version: Version,
    /// Where it finds its credentials.
    pub login: Login,
    /// The server's socket, where the option file does not name it.
    pub socket: Option<PathBuf>,
    /// How the tables get to be of one moment.
    pub way: DumpWay,
    /// Whether the server writes a binlog, so that the dump says where it stands there.
    pub coordinates: bool,
    /// Whether the server has GTIDs (MySQL's `gtid_mode`; MariaDB always has them where it writes a binlog).
    pub gtids: bool,
}

impl DumpCommand {
    /// The command. It prints the dump on standard output. An option file may turn off what a restore stands on; each such
    /// option is given here.
    ///
    /// # Errors
    ///
    /// [`CommandError::PathNotUtf8`].
    pub fn build(&self) -> Result<CommandSpec, CommandError> {
        let mut spec = self.login.command(&self.program)?;
        if let Some(socket) = &self.socket {
            spec = spec.path_option("--socket", socket)?;
        }
        spec = spec.args(["--all-databases", "--quick"]);
        spec = match self.way {
            DumpWay::Snapshot => spec.args(["--single-transaction", "--skip-lock-tables"]),
            DumpWay::LockAll => spec.arg("--lock-all-tables"),
        };
        spec = spec.args([
            "--routines",
            "--events",
            "--triggers",
            "--hex-blob",
            "--tz-utc",
            "--quote-names",
            "--create-options",
            "--extended-insert",
            "--disable-keys",
            "--set-charset",
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1073741824",
            "--no-tablespaces",
            // The last line is what proves that a dump is whole.
            "--comments",
            "--dump-date",
            "--skip-force",
        ]);
        if self.coordinates {
            let renamed = self.family == Family::Mysql && self.version >= Version::new(8, 0, 26);
            spec = spec.arg(if renamed { "--source-data=2" } else { "--master-data=2" });
        }
        Ok(match (self.family, self.gtids) {
            (Family::Mysql, true) => spec.arg("--set-gtid-purged=ON"),
            (Family::Mysql, false) => spec.arg("--set-gtid-purged=OFF"),
            (Family::Mariadb, true) if self.coordinates => spec.arg("--gtid"),
            (Family::Mariadb, _) => spec,
        })
    }
}

/// What a dump says of itself, read while it flows by: its first lines name where it stands, its last line that it is
/// whole.
#[derive(Debug, Default)]
pub struct DumpScan {
    head: Vec<u8>,
    head_done: bool,
    tail: Vec<u8>,
    /// Bytes seen.
    bytes: u64,
}

/// The head ends where the first database begins; GTID sets of megabytes stand before.
const HEAD_END: &[u8] = b"\n-- Current Database: ";
const MAX_HEAD: usize = 64 << 20;
/// MariaDB's GTID position and the last lines.
const TAIL: usize = 64 << 10;

/// What a whole dump says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpFacts {
    /// Where it stands in the server's binlogs, where it says so.
    pub binlog: Option<BinlogCoordinates>,
    /// Bytes of SQL.
    pub bytes: u64,
}

/// Why a dump cannot be taken for whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The last line is missing: the dump was cut off.
    #[error("it does not end with \"-- Dump completed\": {last:?}")]
    NotCompleted {
        /// The last line.
        last: String,
    },
    /// A line that names where the dump stands cannot be read.
    #[error("cannot read where it stands: {line:?}")]
    BadCoordinates {
        /// The line.
        line: String,
    },
}

impl DumpScan {
    /// Takes the next bytes. Where the head ends among them, returns the place in them at which it is known: within the
    /// line that names the first database. The tables' moment is past then.
    pub fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        self.bytes += bytes.len() as u64;
        let keep = bytes.len().min(TAIL);
        self.tail.extend_from_slice(&bytes[bytes.len() - keep..]);
        if self.tail.len() > 4 * TAIL {
            self.tail.drain(..self.tail.len() - TAIL);
        }
        if self.head_done {
            return None;
        }
        let before = self.head.len();
        let from = self.head.len().saturating_sub(HEAD_END.len());
        self.head.extend_from_slice(bytes);
        let end = self.head[from..].windows(HEAD_END.len()).position(|window| window == HEAD_END);
        if let Some(end) = end {
            self.head.truncate(from + end + 1);
        }
        self.head_done = end.is_some() || self.head.len() > MAX_HEAD;
        end.map(|end| from + end + HEAD_END.len() - before)
    }

    /// What the dump says of itself, once all of it went by.
    ///
    /// # Errors
    ///
    /// [`DumpError`] where it is not whole, or names a place that cannot be read.
    pub fn finish(&self) -> Result<DumpFacts, DumpError> {
        let tail = String::from_utf8_lossy(&self.tail);
        let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        if !last.starts_with("-- Dump completed") {
            return Err(DumpError::NotCompleted { last: last.chars().take(200).collect() });
        }
        let head = String::from_utf8_lossy(&self.head);
        Ok(DumpFacts { binlog: coordinates(&head, &tail)?, bytes: self.bytes })
    }
}

fn coordinates(head: &str, tail: &str) -> Result<Option<BinlogCoordinates>, DumpError> {
    let names_file = |line: &&str| line.starts_with("-- CHANGE ") && line.contains("_LOG_FILE='");
    let Some(line) = head.lines().find(names_file) else { return Ok(None) };
    let bad = || DumpError::BadCoordinates { line: line.to_owned() };
    let file = line.split("_LOG_FILE='").nth(1).and_then(|rest| rest.split('\'').next()).ok_or_else(bad)?;
    let digits = line.split("_LOG_POS=").nth(1).ok_or_else(bad)?;
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    let position = digits.parse().ok().filter(|position| *position >= 4).ok_or_else(bad)?;
    let gtid = match purged(head) {
        Some(set) => Some(set),
        // The last such line is the program's own: what follows it is the same in every dump.
        None => slave_position(tail).or_else(|| slave_position(head)),
    };
    let gtid = gtid.filter(|text| !text.is_empty());
    gtid.as_deref().unwrap_or_default().parse::<GtidSet>().map_err(|_| bad())?;
    Ok(Some(BinlogCoordinates { file: file.parse().map_err(|_| bad())?, position, gtid }))
}

/// MySQL: `SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'uuid:1-5,\nuuid:1';`
fn purged(head: &str) -> Option<String> {
    let rest = head.split("GTID_PURGED=").nth(1)?;
    let rest = rest.split_once("*/").filter(|(before, _)| before.starts_with("/*!")).map_or(rest, |(_, rest)| rest);
    let set = rest.trim_start().strip_prefix('\'')?.split('\'').next()?;
    Some(set.split_whitespace().collect())
}

/// MariaDB: `-- SET GLOBAL gtid_slave_pos='0-1-12';`
fn slave_position(text: &str) -> Option<String> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("-- SET GLOBAL gtid_slave_pos='"))?;
    line.split('\'').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use insta::assert_snapshot;

    fn command(family: Family, version: &str) -> DumpCommand {
        DumpCommand {
            program: if family == Family::Mysql { "/usr/bin/mysqldump" } else { "/usr/bin/mariadb-dump" }.into(),
            family,
            version: version.parse().unwrap(),
            login: Login::OptionFile("/etc/dbbak/backup.cnf".into()),
            socket: Some("/run/s.sock".into()),
            way: DumpWay::Snapshot,
            coordinates: true,
            gtids: true,
        }
    }

    #[test]
    fn every_option_that_a_restore_stands_on() {
        let shown = |command: DumpCommand| command.build().unwrap().masked_args().collect::<Vec<_>>().join("\n");
        assert_snapshot!("dump_mysql_9_7", shown(command(Family::Mysql, "9.7.4")));
        assert_snapshot!("dump_mariadb_10_11", shown(command(Family::Mariadb, "10.11.19")));
        let locked = DumpCommand { way: DumpWay::LockAll, gtids: false, ..command(Family::Mysql, "8.0.20") };
        assert_snapshot!("dump_mysql_8_0_20_locked", shown(locked));
        let quiet = DumpCommand { coordinates: false, ..command(Family::Mariadb, "10.11.19") };
        let args = shown(quiet);
        assert!(!args.contains("--gtid") && !args.contains("master-data"), "{args}");
    }

    const MYSQL: &str = "-- MySQL dump 10.13  Distrib 9.7.4, for Linux (x86_64)\n\
        SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'e37aeab7-e58d-11f1-a3cc-02fc00000001:1-5,\n\
        f37aeab7-e58d-11f1-a3cc-02fc00000001:1';\n\n\
        -- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='bin.000001', SOURCE_LOG_POS=343;\n\n\
        --\n-- Current Database: `mysql`\n--\n-- CHANGE MASTER TO MASTER_LOG_FILE='no.000009', MASTER_LOG_POS=9;\n\
        INSERT INTO `t` VALUES (1);\n\n-- Dump completed on 2026-11-21  9:31:10\n";

    fn scanned(text: &str, chunk: usize) -> (Result<DumpFacts, DumpError>, usize) {
        let mut scan = DumpScan::default();
        let heads = text.as_bytes().chunks(chunk).filter(|bytes| scan.take(bytes).is_some()).count();
        (scan.finish(), heads)
    }

    #[test]
    fn reads_a_mysql_dump_in_pieces_of_any_size() {
        for chunk in [1, 7, 64, 100_000] {
            let (facts, heads) = scanned(MYSQL, chunk);
            let binlog = facts.unwrap().binlog.unwrap();
            assert_eq!((binlog.place().to_string().as_str(), heads), ("bin.000001:343", 1));
            assert_eq!(
                binlog.gtid.as_deref(),
                Some("e37aeab7-e58d-11f1-a3cc-02fc00000001:1-5,f37aeab7-e58d-11f1-a3cc-02fc00000001:1")
            );
        }
        let older = MYSQL.replace("REPLICATION SOURCE TO SOURCE_LOG_FILE", "MASTER TO MASTER_LOG_FILE");
        let older = older.replace("SOURCE_LOG_POS", "MASTER_LOG_POS").replace("/*!80000 '+'*/ ", "");
        assert_eq!(
            scanned(&older, 50).0,
            scanned(MYSQL, 50).0.map(|facts| DumpFacts { bytes: older.len() as u64, ..facts })
        );
    }

    #[test]
    fn reads_a_mariadb_dump() {
        let text = |end: &str| {
            format!(
                "-- MariaDB dump 10.19\n-- CHANGE MASTER TO MASTER_USE_GTID=slave_pos;\n\n\
                 -- CHANGE MASTER TO MASTER_LOG_FILE='bin.000001', MASTER_LOG_POS=451;\n\n\
                 --\n-- Current Database: `shop`\n--\n-- SET GLOBAL gtid_slave_pos='9-9-9';\n{}\n{end}\n\n\
                 -- Dump completed on 2026-11-21  9:31:55\n",
                "INSERT INTO `t` VALUES ('0123456789');\n".repeat(10_000)
            )
        };
        let binlog = |end: &str| scanned(&text(end), 4096).0.unwrap().binlog.unwrap();
        let found = binlog("-- SET GLOBAL gtid_slave_pos='0-1-12';\n/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;");
        assert_eq!((found.place().to_string().as_str(), found.gtid.as_deref()), ("bin.000001:451", Some("0-1-12")));
        assert_eq!(binlog("-- SET GLOBAL gtid_slave_pos='';").gtid, None);
    }

    #[test]
    fn a_dump_that_was_cut_off_is_none() {
        for end in [MYSQL.len() - 60, MYSQL.len() - 41, 0] {
            assert!(matches!(scanned(&MYSQL[..end], 64).0, Err(DumpError::NotCompleted { .. })), "{end}");
        }
        let broken = MYSQL.replace("SOURCE_LOG_POS=343", "SOURCE_LOG_POS=3");
        assert!(matches!(scanned(&broken, 64).0, Err(DumpError::BadCoordinates { .. })));
        let silent = MYSQL.replace("-- CHANGE REPLICATION SOURCE", "-- ");
        assert_eq!(scanned(&silent, 64).0.unwrap().binlog, None);
    }
}
