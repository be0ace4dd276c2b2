//! What was found out about archived binlogs that do not simply follow each other. Facts only; advice is the frontend's.

use crate::model::{BinlogName, Lsn, Stamp};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something about archived binlogs that a person should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Files between two archived ones are missing.
    Gap {
        /// The last file before the gap.
        after: BinlogName,
        /// The file that should follow it.
        first_missing: BinlogName,
        /// The first file after the gap.
        next: BinlogName,
    },
    /// The names follow each other, but the next file knows GTIDs that are in no file before it.
    GtidsMissing {
        /// The file before.
        after: BinlogName,
        /// The next file.
        next: BinlogName,
        /// The GTIDs that are missing.
        missing: String,
    },
    /// The names follow each other, but the next file does not know GTIDs of the one before it: the server had begun
    /// anew in between, or had been set back.
    OtherHistory {
        /// The file before.
        after: BinlogName,
        /// The next file.
        next: BinlogName,
        /// The GTIDs that it does not know.
        unknown: String,
    },
    /// The names follow each other, but without GTIDs nothing else says so, and the next file was begun long before or
    /// after the first was closed.
    OtherTimes {
        /// The file before.
        after: BinlogName,
        /// The next file.
        next: BinlogName,
        /// Seconds from the closing of the first to the beginning of the next; negative: it was begun before.
        seconds: i64,
    },
    /// The names follow each other, but another server wrote the next file.
    Foreign {
        /// The file before.
        after: BinlogName,
        /// The next file.
        next: BinlogName,
        /// Who wrote the file before.
        expected: String,
        /// Who wrote the next file.
        found: String,
    },
    /// A file was archived while its server still wrote it, and what came after that is not in the archive.
    OpenEnd {
        /// The file.
        file: BinlogName,
        /// The next file.
        next: BinlogName,
        /// The GTIDs that are known to be missing; `None`: nothing tells.
        missing: Option<String>,
    },
    /// A server's GTID state was changed by hand between two files that follow each other all the same. No gap.
    GtidStateChanged {
        /// The file before.
        after: BinlogName,
        /// The next file.
        next: BinlogName,
        /// GTIDs that came without a transaction.
        added: String,
        /// GTIDs that were taken out.
        removed: String,
    },
    /// The server's data files were others when the next file was archived: moved, restored, or older ones put back, which lack what the log
    /// holds. No gap.
    OtherData {
        /// The last file that was archived with the data before.
        after: BinlogName,
        /// The first file of the other data.
        next: BinlogName,
        /// When the first file of their system tablespace was made.
        born: DateTime<Utc>,
    },
    /// The server's data had come to a later LSN before the file was closed than they had when it was started with the next one: they went
    /// back, and their binlogs did not.
    DataWentBack {
        /// The file before.
        after: BinlogName,
        /// The next file.
        next: BinlogName,
        /// The LSN that they had come to.
        reached: Lsn,
        /// The LSN that they had after the start.
        found: Lsn,
    },
    /// Two files of one name in one timeline have different content; none of them counts.
    SameNameOtherContent {
        /// The name.
        file: BinlogName,
        /// The names that they have in the store.
        stored: Vec<String>,
    },
    /// A shorter copy of a file that is also archived at greater length. No gap.
    Prefix {
        /// The file.
        file: BinlogName,
        /// The shorter copy's name in the store.
        stored_as: String,
        /// The whole transactions of the shorter copy end here.
        bytes: u64,
        /// Those of the longer copy.
        of: u64,
    },
    /// Two timelines hold the same GTIDs for what need not be the same transactions: the server's GTIDs began anew.
    Reset {
        /// The earlier timeline.
        before: String,
        /// The later one.
        timeline: String,
        /// Its first archived file.
        file: BinlogName,
    },
    /// Two servers' timelines hold some of the same transactions, as a source and its replica do. No gap.
    Overlap {
        /// One timeline.
        one: String,
        /// The other.
        other: String,
        /// How many transactions both hold; `None` where the GTIDs do not count them (MariaDB).
        transactions: Option<u64>,
    },
    /// A file is damaged: nothing is replayed past its last good transaction.
    Damaged {
        /// The file.
        file: BinlogName,
        /// The end of its last good transaction, in bytes from its start.
        last_good: u64,
        /// The damage.
        what: String,
    },
    /// A backup stands in a file that was never archived, and the archive begins behind it.
    BackupCutOff {
        /// The backup.
        backup: Stamp,
        /// The file that it stands in.
        file: BinlogName,
        /// The first archived file.
        next: BinlogName,
    },
    /// A file stands in the index and is no longer in the store.
    Lost {
        /// The file.
        file: BinlogName,
        /// The name that it had in the store.
        stored_as: String,
    },
    /// Of a file only the beginning was to be had.
    Partial {
        /// The file.
        file: BinlogName,
        /// The end of its last whole transaction, in bytes from its start.
        last_good: u64,
    },
}

impl Finding {
    /// Whether no replay can go past it.
    pub fn is_gap(&self) -> bool {
        !matches!(
            self,
            Finding::GtidStateChanged { .. }
                | Finding::OtherData { .. }
                | Finding::Prefix { .. }
                | Finding::Overlap { .. }
                | Finding::Reset { .. }
                | Finding::Partial { .. }
        )
    }

    /// The names of the files that a gap lacks, the first and the last, where they are known.
    pub fn missing_files(&self) -> Option<(String, String)> {
        let Finding::Gap { first_missing, next, .. } = self else { return None };
        let known = first_missing.base() == next.base() && first_missing.number() < next.number();
        known.then(|| (first_missing.to_string(), format!("{}.{:06}", next.base(), next.number() - 1)))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Gap { after, next, .. } => match self.missing_files() {
                Some((first, last)) if first == last => write!(f, "{first} was never archived"),
                Some((first, last)) => write!(f, "{first} to {last} were never archived"),
                None => write!(f, "files between {after} and {next} were never archived"),
            },
            Finding::GtidsMissing { after, next, missing } => {
                write!(f, "{next} follows {after} by name, but transactions are missing between them: {missing}")
            }
            Finding::OtherHistory { after, next, unknown } => {
                write!(f, "{next} follows {after} by name, but belongs to another history: it does not know {unknown}")
            }
            Finding::OtherTimes { after, next, seconds } => write!(
                f,
                "{next} follows {after} by name, but was begun {} seconds {} that was closed",
                seconds.unsigned_abs(),
                if *seconds < 0 { "before" } else { "after" },
            ),
            Finding::Foreign { after, next, expected, found } => {
                write!(f, "{next} follows {after} by name, but was written by {found}, not by {expected}")
            }
            Finding::OpenEnd { file, next, missing: Some(missing) } => {
                write!(f, "{file} was archived while open, and {missing} before {next} was not archived")
            }
            Finding::OpenEnd { file, next, missing: None } => {
                write!(f, "{file} was archived while open, and nothing tells what came after that and before {next}")
            }
            Finding::GtidStateChanged { after, next, added, removed } => {
                write!(f, "the GTID state was changed by hand between {after} and {next}:")?;
                match (added.as_str(), removed.as_str()) {
                    (added, "") => write!(f, " {added} came without a transaction"),
                    ("", removed) => write!(f, " {removed} was taken out"),
                    (added, removed) => write!(f, " {added} came without a transaction, {removed} was taken out"),
                }
            }
            Finding::OtherData { after, next, born } => write!(
                f,
                "the server's data files are others from {next} on (made {}) than up to {after}: if older data were put back beside their \
                 binlogs, they lack what the log holds before that",
                born.to_rfc3339_opts(SecondsFormat::Secs, true)
            ),
            Finding::DataWentBack { after, next, reached, found } => write!(
                f,
                "{next} follows {after} by name, but the server's data went back between them, from LSN {reached} to {found}: they lack what \
                 the log holds before that"
            ),
            Finding::SameNameOtherContent { file, stored } => {
                write!(f, "the timeline has {} different files {file}: {}", stored.len(), stored.join(", "))
            }
            Finding::Prefix { file, stored_as, bytes, of } => {
                write!(f, "{stored_as} holds the first {bytes} of {of} bytes of {file}")
            }
            Finding::Reset { before, timeline, file } => {
                write!(f, "the server of timeline {before} began anew with {file} (timeline {timeline})")
            }
            Finding::Overlap { one, other, transactions: Some(count) } => {
                write!(f, "timelines {one} and {other} both hold {count} transactions")
            }
            Finding::Overlap { one, other, transactions: None } => {
                write!(f, "timelines {one} and {other} hold some of the same transactions")
            }
            Finding::Damaged { file, last_good, what } => {
                write!(f, "{file} is damaged after byte {last_good}: {what}")
            }
            Finding::BackupCutOff { backup, file, next } => {
                write!(f, "backup {backup} stands in {file}, which was never archived; the archive begins with {next}")
            }
            Finding::Lost { file, stored_as } => {
                write!(f, "{file} was archived, and is no longer in the store (binlogs/{stored_as})")
            }
            Finding::Partial { file, last_good } => {
                write!(f, "{file} was archived while open: its whole transactions end at byte {last_good}")
            }
        }
    }
}
