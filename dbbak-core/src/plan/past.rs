//! Whether the end of a backup lies in the present past of the server: only then may an incremental be taken on it.
//!
//! The numbers in which two backups meet (LSN, `server_id`, binlog names, GTIDs) come again after a data directory was put back, on a
//! copied machine and after a reset. What does not come again is the content of the server's binlogs: the bytes before the parent's place
//! are in them, and something was written behind it.

use crate::{
    catalog::{Backup, Catalog, Located},
    facts::{Facts, PastFact, PastFile, ServerFacts},
    model::{BinlogCoordinates, BinlogName, Lsn, RestoredFact, Stamp},
    store::{BinlogEnding, Digest},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Why it is not proven that the end of a backup lies in the server's past.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unproven {
    /// The redo log of the server does not reach so far.
    #[error(
        "the server's LSN {found} is before {expected}, at which it ended: the data directory was put back or made anew"
    )]
    LsnWentBack {
        /// The LSN that the backup's redo reaches.
        expected: Lsn,
        /// The server's LSN.
        found: Lsn,
    },
    /// The server was started with data that did not reach so far.
    #[error(
        "the server was started since then at LSN {found}, before {expected}, at which it ended: the data directory was put back"
    )]
    StartedBefore {
        /// The LSN that the backup's redo reaches.
        expected: Lsn,
        /// The LSN that the server was started at.
        found: Lsn,
    },
    /// The file has other first events.
    #[error(
        "the server's {file} is another file than the one that it ended in: its log was begun anew, or this is another server"
    )]
    OtherFile {
        /// The file.
        file: BinlogName,
    },
    /// The file is shorter.
    #[error(
        "the server's {file} ends at byte {size}, before byte {position}, at which it ended: the server was put back"
    )]
    Shorter {
        /// The file.
        file: BinlogName,
        /// Its bytes.
        size: u64,
        /// The backup's place in it.
        position: u64,
    },
    /// The file has other content.
    #[error(
        "the server's {file} holds other bytes before {position} than when it ended there: the server was put back"
    )]
    OtherContent {
        /// The file.
        file: BinlogName,
        /// The backup's place in it.
        position: u64,
    },
    /// The file ends just there, and the server was started anew.
    #[error(
        "the server's {file} ends just where it ended, at byte {position}, and the server was started since: nothing tells whether its data were put back"
    )]
    NothingBehind {
        /// The file.
        file: BinlogName,
        /// The backup's place in it.
        position: u64,
    },
    /// The server has not come so far, or was reset.
    #[error(
        "the server's newest binlog is {newest}, and it ended in {file}: the log was begun anew, or the server was put back"
    )]
    NotReached {
        /// The backup's file.
        file: BinlogName,
        /// The newest that the server lists.
        newest: BinlogName,
    },
    /// The server has purged the file, and the archive does not lead on.
    #[error(
        "the server no longer has {file}, in which it ended, and no archived binlogs lead from there to one that it has: {why}"
    )]
    Purged {
        /// The backup's file.
        file: BinlogName,
        /// What is in the way.
        why: String,
    },
    /// The server names its binlogs otherwise now.
    #[error("the server's binlogs are named {found} now, and it ended in {file}")]
    Renamed {
        /// The backup's file.
        file: BinlogName,
        /// The new base name.
        found: String,
    },
    /// The file cannot be read.
    #[error("the server's {file} cannot be read ({problem}), and the server was started since then")]
    Unread {
        /// The file.
        file: BinlogName,
        /// Why.
        problem: String,
    },
    /// A backup of the chain cannot be applied.
    #[error("backup {link} of its chain cannot be applied: {reason}")]
    Unusable {
        /// The backup.
        link: Stamp,
        /// Why.
        reason: String,
    },
    /// There are no binlogs to look at.
    #[error("no binlog tells of it, and the server was started since then")]
    NoLog,
    /// The data directory came from a restore that was made after the backup.
    #[error(
        "the server's data directory was restored by dbbak (restore {restore}, {at}), and it was taken of the one before: pages of restored data are others"
    )]
    Restored {
        /// The restore.
        restore: Uuid,
        /// When it ended.
        at: DateTime<Utc>,
    },
    /// The backup is of a restored data directory, and the server's is another one.
    #[error(
        "it was taken of the data directory that dbbak restored ({restore}), and the server's is not that one any more"
    )]
    NotThatRestored {
        /// The restore whose mark lay in the data directory then.
        restore: Uuid,
    },
    /// Whether the data directory was restored is not known.
    #[error("whether the server's data directory was restored by dbbak is not known: {problem}")]
    MarkUnread {
        /// Why.
        problem: String,
    },
    /// The data files were made after the backup, or are others.
    #[error(
        "the server's data files are not those that were backed up (its system tablespace was made {}): they may have been put back beside their binlogs",
        born.to_rfc3339_opts(SecondsFormat::Secs, true)
    )]
    OtherFiles {
        /// When the first file of the system tablespace was made.
        born: DateTime<Utc>,
    },
    /// The server was started, and its LSN does not tell with which data.
    #[error(
        "the server was started {starts} times since then, and nothing tells with which data: they may have been put back beside their binlogs"
    )]
    Started {
        /// How many starts.
        starts: usize,
    },
    /// Nothing is known of the server's binlogs.
    #[error("the server's binlogs were not looked at")]
    NotLooked,
    /// The binlogs lie elsewhere than the data, so that the one may have been put back without the other.
    #[error("the binlogs prove nothing of the data: they lie in {}, not in the data directory, and the server was started {starts} times since then", dir.display())]
    LogElsewhere {
        /// The directory of the binlogs.
        dir: PathBuf,
        /// How many starts.
        starts: usize,
    },
}

/// Proves that the end of a backup lies in the past of the server that answered. Returns how it is proven.
///
/// # Errors
///
/// [`Unproven`]: an incremental on the backup would go to a foreign base.
pub(super) fn prove(
    parent: &Backup,
    server: &ServerFacts,
    facts: &Facts,
    catalog: &Catalog,
) -> Result<String, Unproven> {
    same_data_directory(parent, facts)?;
    if let (Some(expected), Some(found)) = (reach(parent), server.lsn)
        && found < expected
    {
        return Err(Unproven::LsnWentBack { expected, found });
    }
    let running = running_since(server, parent.entry.started_at);
    let Some(end) = parent.entry.binlog.as_ref().filter(|_| server.log_bin) else {
        return match running {
            true => Ok("the server was not started anew since then".into()),
            false => Err(Unproven::NoLog),
        };
    };
    let fact = facts.past.as_ref().filter(|fact| fact.backup == parent.ts()).ok_or(Unproven::NotLooked)?;
    let proof = match fact.files.first() {
        Some(own) if own.name == end.file => in_own_file(parent, end, fact, own, running)?,
        Some(_) => through_archive(parent, end, fact, catalog)?,
        None => return Err(Unproven::NotLooked),
    };
    proof.holds_for_data(parent, server, facts, fact)?;
    Ok(proof.text)
}

/// Whether the data directory is the one that the backup was taken of, as far as restores of this program are concerned: a replay makes the
/// same rows, and with `--with-binlogs` the same logs, on pages that are others.
fn same_data_directory(parent: &Backup, facts: &Facts) -> Result<(), Unproven> {
    let then = parent.entry.server.as_ref().and_then(|server| server.restored);
    match (facts.restored.as_ref().ok_or(Unproven::NotLooked)?, then) {
        (RestoredFact::Never, None) => Ok(()),
        (RestoredFact::By(mark), Some(then)) if mark.restore == then => Ok(()),
        (RestoredFact::By(mark), _) => Err(Unproven::Restored { restore: mark.restore, at: mark.at }),
        (RestoredFact::Never, Some(restore)) => Err(Unproven::NotThatRestored { restore }),
        (RestoredFact::Unread { problem }, _) => Err(Unproven::MarkUnread { problem: problem.clone() }),
    }
}

/// The LSN that the data of a backup reach, by their own redo.
fn reach(backup: &Backup) -> Option<Lsn> {
    backup.entry.last_lsn.max(backup.to_lsn)
}

/// What the binlogs prove.
struct Proof {
    text: String,
    /// How often the server was started since, as far as the binlogs tell: each start begins a binlog.
    starts: usize,
    /// That nothing stands behind the place.
    nothing_behind: Option<Unproven>,
}

impl Proof {
    /// Whether what is proven of the binlogs is so of the data too: both lie in one directory and are put back together, or the server
    /// runs since then, or it was started once, from data that reached so far.
    fn holds_for_data(
        &self,
        parent: &Backup,
        server: &ServerFacts,
        facts: &Facts,
        fact: &PastFact,
    ) -> Result<(), Unproven> {
        if self.starts == 0 {
            return Ok(());
        }
        if let (1, Some(expected), Some(found)) = (self.starts, reach(parent), server.start_lsn) {
            if found >= expected {
                return Ok(());
            }
            if server.exact_start().is_some() {
                return Err(Unproven::StartedBefore { expected, found });
            }
        }
        if let Some(unproven) = &self.nothing_behind {
            return Err(unproven.clone());
        }
        if let Some(dir) = &fact.dir
            && (!lies_in(dir, &server.datadir) || fact.apart == Some(true))
        {
            return Err(Unproven::LogElsewhere { dir: dir.clone(), starts: self.starts });
        }
        same_files(parent, facts.data_born)?;
        // Older content can have been written into the same files, and the newer binlogs left beside them.
        Err(Unproven::Started { starts: self.starts })
    }
}

/// Whether the data files are those that were backed up: data that were put back from copies are files that were made later, whatever
/// binlogs were left beside them.
fn same_files(parent: &Backup, born: Option<DateTime<Utc>>) -> Result<(), Unproven> {
    let Some(born) = born else { return Ok(()) };
    let then = parent.entry.server.as_ref().and_then(|server| server.data_born);
    let later = parent.entry.started_at.is_some_and(|started| born > started);
    match then {
        Some(then) if then != born => Err(Unproven::OtherFiles { born }),
        None if later => Err(Unproven::OtherFiles { born }),
        _ => Ok(()),
    }
}

fn lies_in(dir: &Path, datadir: &Path) -> bool {
    dir.starts_with(datadir)
}

/// The server still lists the file that the backup ended in.
fn in_own_file(
    parent: &Backup,
    end: &BinlogCoordinates,
    fact: &PastFact,
    own: &PastFile,
    running: bool,
) -> Result<Proof, Unproven> {
    let (file, position) = (end.file.clone(), end.position);
    if own.size < position {
        return Err(Unproven::Shorter { file, size: own.size, position });
    }
    let recorded = (parent.entry.binlog_head, parent.entry.binlog_prefix);
    let differs =
        |one: Option<Digest>, other: Option<Digest>| matches!((one, other), (Some(one), Some(other)) if one != other);
    if differs(recorded.0, own.head) {
        return Err(Unproven::OtherFile { file });
    }
    if differs(recorded.1, own.prefix) {
        return Err(Unproven::OtherContent { file, position });
    }
    let starts = starts_in(fact.files.iter().skip(1));
    let text = match (recorded, own.head, own.prefix) {
        ((_, Some(_)), _, Some(_)) => format!("the server's {file} holds the very bytes before {position}"),
        ((Some(_), _), Some(_), _) => format!("the server's {file} is the very file, and reaches to {position}"),
        _ if running => format!("the server lists {file} up to {position}, and was not started anew since then"),
        _ => {
            let problem = own.problem.clone().unwrap_or_else(|| "nothing was recorded of its content".into());
            return Err(Unproven::Unread { file, problem });
        }
    };
    let nothing_behind = own.size == position && fact.files.len() > 1;
    Ok(Proof { text, starts, nothing_behind: nothing_behind.then_some(Unproven::NothingBehind { file, position }) })
}

/// The server has purged the file: archived binlogs must lead without a gap to one that it has.
fn through_archive(
    parent: &Backup,
    end: &BinlogCoordinates,
    fact: &PastFact,
    catalog: &Catalog,
) -> Result<Proof, Unproven> {
    let file = end.file.clone();
    let (Some(first), Some(newest)) = (fact.files.first(), fact.files.last()) else { return Err(Unproven::NotLooked) };
    if newest.name.base() != file.base() {
        return Err(Unproven::Renamed { file, found: newest.name.base().to_owned() });
    }
    if newest.name < file {
        return Err(Unproven::NotReached { file, newest: newest.name.clone() });
    }
    let purged = |why: String| Unproven::Purged { file: file.clone(), why };
    let (timeline, index) = match catalog.locate(end, parent.entry.binlog_head.as_ref()) {
        Located::At { timeline, index } => (timeline, index),
        Located::NotArchived => return Err(purged(format!("{file} is not archived"))),
        Located::Ambiguous { candidates } => {
            return Err(purged(format!("{candidates} archived files could be {file}")));
        }
    };
    let run = timeline.run_from(index);
    let same = |seen: &PastFile| {
        run.files.iter().position(|held| {
            let same = |one: Option<Digest>, other: Option<Digest>| one.is_some() && one == other;
            held.name == seen.name
                && held.partial.is_none()
                && same(held.head, seen.head)
                && same(held.digest, seen.content)
        })
    };
    let meeting = fact.files.iter().enumerate().find_map(|(place, seen)| Some((place, same(seen)?)));
    let Some((place, meets)) = meeting else {
        let last = run.files.last().map_or(&file, |last| &last.name);
        return Err(purged(format!(
            "they reach to {last} without a gap, and the server's files begin with {}",
            first.name
        )));
    };
    let crossed = run.files.iter().take(meets).filter(|held| held.ending != Some(BinlogEnding::Rotate)).count();
    let starts = crossed + starts_in(fact.files.iter().skip(place + 1));
    let text =
        format!("archived binlogs lead without a gap from {file} to {}, which the server has", fact.files[place].name);
    Ok(Proof { text, starts, nothing_behind: None })
}

/// How many of the files were begun by a start; one that cannot be read may be.
fn starts_in<'a>(files: impl Iterator<Item = &'a PastFile>) -> usize {
    files.filter(|file| file.begun_by_start != Some(false)).count()
}

/// Whether the server runs since before a moment.
fn running_since(server: &ServerFacts, moment: Option<DateTime<Utc>>) -> bool {
    let started = server.now.zip(server.uptime).and_then(|(now, uptime)| {
        let uptime = chrono::TimeDelta::try_seconds(i64::try_from(uptime).ok()?)?;
        now.checked_sub_signed(uptime)
    });
    matches!((started, moment), (Some(started), Some(moment)) if started < moment)
}

/// Why a backup is a full although an incremental was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InsteadOf {
    pub(super) parent: Stamp,
    pub(super) why: Unproven,
}

impl InsteadOf {
    pub(super) fn warning(&self) -> String {
        let InsteadOf { parent, why } = self;
        if let Unproven::Unusable { link, reason } = why {
            return format!("a full is taken instead of an incremental: backup {link} cannot be applied; {reason}");
        }
        format!(
            "a full is taken instead of an incremental: nothing proves that the end of backup {parent} lies in this server's past; {why}"
        )
    }
}
