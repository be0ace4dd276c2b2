//! Why no plan is possible.

use super::{
    not_readable::NotReadable,
    past::Unproven,
    replay_end::ReplayEnd,
    whereabouts::{TimelineSpan, Whereabouts},
    words::{gap, role_name, spans, utc},
};
use crate::{
    catalog::{Finding, Stitch},
    model::{BinlogCoordinates, BinlogName, BinlogPosition, Lsn, OwnerName, Stamp},
    tools::{CommandError, ToolRole},
};
use chrono::{DateTime, Utc};
use std::path::PathBuf;

/// Why no plan is possible. Each answers what could be asked for instead, as far as that is known.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The store holds no full backup at all.
    #[error("the store holds no full backup")]
    NoFull,
    /// No backup ended at or before the target.
    #[error("no full backup ended at or before {}; the oldest ended {}", utc(target), oldest.as_ref().map_or("never".into(), utc))]
    NoFullBefore {
        /// The target.
        target: DateTime<Utc>,
        /// When the oldest full ended.
        oldest: Option<DateTime<Utc>>,
    },
    /// A backup that was asked for by its stamp is not in the store.
    #[error("the store holds no backup {ts}")]
    UnknownBackup {
        /// The stamp asked for.
        ts: Stamp,
        /// The backups nearest in time.
        nearest: Vec<Stamp>,
    },
    /// A backup that was asked for by its stamp is in the manifest, and no longer in the store.
    #[error("backup {ts} is in the manifest, and no longer in the store")]
    BackupLost {
        /// The stamp asked for.
        ts: Stamp,
    },
    /// A full was asked for by its stamp, but that backup is an incremental.
    #[error("backup {ts} is an incremental on the full {base}")]
    NotAFull {
        /// The stamp asked for.
        ts: Stamp,
        /// The full at the root of its chain.
        base: Stamp,
    },
    /// The server cannot be cloned: its plugin is not at work.
    #[error("the server's clone plugin is {}", state.as_deref().unwrap_or("not installed"))]
    NoClonePlugin {
        /// The plugin's state; `None`: it is not installed.
        state: Option<String>,
    },
    /// A clone from another machine needs an account that dbbak can name.
    #[error("a clone from {donor} needs the account of an option file: mysql_option_file is not set")]
    NoDonorAccount {
        /// The server.
        donor: String,
    },
    /// Tables lie outside of the data directory: the server would write their copies over them, and refuses.
    #[error("a clone cannot hold tables that lie outside of the data directory: {}", files.join(", "))]
    ClonedElsewhere {
        /// Their files.
        files: Vec<String>,
    },
    /// The server writes the copy as its own user, which cannot write into a directory of dbbak's.
    #[error("the server runs as user {owner}, who owns {}, and dbbak as user {own}: neither may use what the other writes", datadir.display())]
    CloneOfAnother {
        /// The server's data directory.
        datadir: PathBuf,
        /// Who owns it.
        owner: u32,
        /// The user that dbbak runs as.
        own: u32,
    },
    /// A clone would leave tables empty.
    #[error("a clone holds InnoDB's tables alone, and would leave these empty: {}", tables.join(", "))]
    NotCloned {
        /// The tables with their engines.
        tables: Vec<String>,
    },
    /// No snapshot holds tables of engines without transactions.
    #[error("tables without transactions are in no snapshot that a dump could be taken of: {}", tables.join(", "))]
    NotTransactional {
        /// The tables with their engines.
        tables: Vec<String>,
    },
    /// A dump would hold something otherwise than the server does.
    #[error("a dump would not hold these as they are: {}", what.join(", "))]
    NotInDump {
        /// What, with what would become of it.
        what: Vec<String>,
        /// Whether all of them are columns whose rounding can be accepted.
        floats: bool,
    },
    /// XA transactions stand prepared: no dump holds what they changed, and what ends them could not be replayed.
    #[error("XA transactions stand prepared, and no dump holds what they changed: {}", ids.join("; "))]
    Prepared {
        /// Their names, as `XA COMMIT` takes them.
        ids: Vec<String>,
    },
    /// The account does not see all of the server: a dump would leave out what it does not see, without a word.
    #[error("a dump would leave out what the account may not see; it lacks {}", missing.join(", "))]
    DumpPrivileges {
        /// The privileges that it lacks on everything.
        missing: Vec<String>,
    },
    /// Something is encrypted, and nothing says where a private server finds the keys.
    #[error("{holder} is encrypted ({encrypted}), and the section server names no keyring for a private server{}", keyring.as_ref().map_or(String::new(), |keyring| format!("; its keys are kept by {keyring}")))]
    NoKeyring {
        /// What is encrypted: a backup, or the server.
        holder: String,
        /// What of it.
        encrypted: String,
        /// The plugin or component that keeps the keys, where it is known.
        keyring: Option<String>,
    },
    /// The server was given a secret itself, and not the place of one: the backup tool would write it into the backup.
    #[error("the server's {variable} holds a secret itself, which {tool} would write into the backup")]
    KeyInTheClear {
        /// The server's variable.
        variable: String,
        /// The tool.
        tool: String,
    },
    /// What makes an empty data directory of MariaDB is not there.
    #[error("a dump of MariaDB is loaded into a new data directory, and mariadb-install-db was not found")]
    NoInstallDb,
    /// The full was taken by an engine that takes no incrementals.
    #[error("backup {full} was taken by {engine}, which takes no incrementals")]
    NoIncrementals {
        /// The full.
        full: Stamp,
        /// Its engine.
        engine: String,
    },
    /// A chain lacks a backup.
    #[error("backup {child} was taken on {}, which the store does not hold", parent.map_or("an unknown parent".into(), |ts| ts.to_string()))]
    MissingParent {
        /// The incremental.
        child: Stamp,
        /// The parent, where it is known.
        parent: Option<Stamp>,
    },
    /// A link of a chain does not fit.
    #[error("backup {child} starts at LSN {found}, but its parent {parent} ends at LSN {expected}")]
    BrokenChain {
        /// The incremental.
        child: Stamp,
        /// Its parent.
        parent: Stamp,
        /// The LSN that the parent ends at.
        expected: Lsn,
        /// The LSN that the incremental starts at.
        found: Lsn,
    },
    /// A basic store does not say which backup an incremental was taken on.
    #[error("backup {child} does not say which backup it was taken on, and {candidates} end at the LSN it starts at")]
    AmbiguousParent {
        /// The incremental.
        child: Stamp,
        /// How many backups would fit.
        candidates: usize,
    },
    /// The target lies after the plan's own time.
    #[error("the target {} is in the future (now {})", utc(target), utc(now))]
    TargetInFuture {
        /// The target.
        target: DateTime<Utc>,
        /// Now.
        now: DateTime<Utc>,
    },
    /// The archive does not reach up to the target.
    #[error("the target {} is not archived yet: binlogs reach up to {}", utc(target), latest.as_ref().map_or("nowhere".into(), utc))]
    TargetBeyondBinlogs {
        /// The target.
        target: DateTime<Utc>,
        /// The latest reachable moment.
        latest: Option<DateTime<Utc>>,
        /// The timeline that was looked at.
        timeline: String,
    },
    /// The target lies beyond the end of a timeline that goes on in another server's binlogs, to which no restore can go over.
    #[error(
        "the target {} lies beyond the end of timeline {} ({}); timeline {} goes on there from {}, but no restore can go over to it: {reason}",
        utc(target), stitch.from, latest.as_ref().map_or("unknown".into(), utc), stitch.to, stitch.file
    )]
    OtherTimeline {
        /// The target.
        target: DateTime<Utc>,
        /// The latest reachable moment of the first timeline.
        latest: Option<DateTime<Utc>>,
        /// What the GTID sets prove.
        stitch: Box<Stitch>,
        /// Why no restore can go over.
        reason: String,
    },
    /// A backup does not lead from its own server's timeline to another server's.
    #[error("backup {backup} of timeline {from} does not lead to timeline {to}: {reason}")]
    CannotCross {
        /// The backup.
        backup: Stamp,
        /// The timeline that it was taken in.
        from: String,
        /// The timeline that was looked at.
        to: String,
        /// Why not.
        reason: String,
    },
    /// Binlogs between the backup and the target are missing.
    #[error("{} (backup {backup})", gap(after, finding.as_deref()))]
    BinlogGap {
        /// The backup that the replay would start from.
        backup: Stamp,
        /// The last binlog before the gap.
        after: BinlogName,
        /// What was found there; `None`: nothing follows.
        finding: Option<Box<Finding>>,
        /// The latest moment that can be reached before the gap.
        latest: Option<DateTime<Utc>>,
        /// The end of what can be replayed before the gap.
        end: Box<ReplayEnd>,
    },
    /// A binlog on the way is damaged.
    #[error("binlog {file} is damaged after byte {last_good}: {what}")]
    DamagedBinlog {
        /// The file.
        file: BinlogName,
        /// The offset after its last whole transaction.
        last_good: u64,
        /// The damage.
        what: String,
        /// The latest moment that can be reached before the damage.
        latest: Option<DateTime<Utc>>,
        /// The end of what can be replayed before the damage.
        end: Box<ReplayEnd>,
    },
    /// The binlog that a backup's coordinates name was not archived.
    #[error("backup {backup} stands in binlog {}, which is not in the archive", coordinates.file)]
    CoordinatesNotArchived {
        /// The backup.
        backup: Stamp,
        /// Its coordinates.
        coordinates: BinlogCoordinates,
    },
    /// Several archived files could be the one that a backup's coordinates name.
    #[error("backup {backup} stands in binlog {file}, and the archive holds {candidates} different files of that name")]
    AmbiguousBinlog {
        /// The backup.
        backup: Stamp,
        /// The name.
        file: BinlogName,
        /// How many files have it.
        candidates: usize,
    },
    /// A backup has no usable coordinates.
    #[error("backup {backup} cannot start a point-in-time recovery: {reason}")]
    BackupWithoutPitr {
        /// The backup.
        backup: Stamp,
        /// Why.
        reason: String,
    },
    /// A backup ended after the target.
    #[error("backup {backup} ended {}, after the target {}", utc(ended), utc(target))]
    BackupAfterTarget {
        /// The backup.
        backup: Stamp,
        /// When it ended.
        ended: DateTime<Utc>,
        /// The target.
        target: DateTime<Utc>,
    },
    /// The work directory holds the journal of another restore.
    #[error("{} holds another restore ({aim}); it was asked for with another {}", path.display(), differs.join(", "))]
    JournalOfAnother {
        /// The work directory.
        path: PathBuf,
        /// What that restore aims at.
        aim: String,
        /// The options that differ.
        differs: Vec<String>,
    },
    /// The journal of a work directory cannot be used.
    #[error("the journal {} cannot be used: {problem}", path.display())]
    JournalUnusable {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody is at work in the work directory.
    #[error("process {pid} ({program}) is at work in {}", path.display())]
    WorkdirInUse {
        /// The work directory.
        path: PathBuf,
        /// The process.
        pid: u32,
        /// Its program.
        program: String,
    },
    /// What was restored in the work directory is not what was planned.
    #[error("what was restored in {} is not what was planned: {problem}", path.display())]
    Unproven {
        /// The work directory.
        path: PathBuf,
        /// What was found.
        problem: String,
    },
    /// A position is not a place between two transactions.
    #[error("{position} lies inside a transaction or an event")]
    NotABoundary {
        /// The position.
        position: BinlogPosition,
    },
    /// The position that was asked for is not a place between two transactions.
    #[error("{position} lies inside a transaction or an event: the nearest places to cut at are {}:{before}{}", position.file, after.map_or(String::new(), |after| format!(" and {}:{after}", position.file)))]
    PositionNotBoundary {
        /// The position.
        position: BinlogPosition,
        /// The last boundary before it in the file.
        before: u64,
        /// The first boundary after it, where the file has one.
        after: Option<u64>,
    },
    /// A transaction or a position is not in the archive.
    #[error("{target} is not in the archive: {whereabouts}")]
    TargetNotArchived {
        /// What was asked for.
        target: String,
        /// Where it would have to be.
        whereabouts: Box<Whereabouts>,
    },
    /// Two transactions have the GTID that was asked for.
    #[error("{target} stands in the log twice, at {first} and at {again}")]
    GtidRepeated {
        /// What was asked for.
        target: String,
        /// Where the first stands.
        first: BinlogPosition,
        /// Where the second stands.
        again: Box<BinlogPosition>,
    },
    /// Several timelines have what was asked for.
    #[error("{target} is in {} timelines: {}", candidates.len(), spans(candidates))]
    AmbiguousTimeline {
        /// What was asked for.
        target: String,
        /// The timelines.
        candidates: Vec<TimelineSpan>,
    },
    /// The archive has no such timeline.
    #[error("the archive has no timeline {timeline}; it has {}", spans(known))]
    UnknownTimeline {
        /// The timeline asked for.
        timeline: String,
        /// The timelines that there are.
        known: Vec<TimelineSpan>,
    },
    /// No backup leads to a timeline.
    #[error("no backup that could be used leads to {target} in timeline {timeline}")]
    NoBackupInTimeline {
        /// The timeline.
        timeline: String,
        /// What was asked for.
        target: String,
    },
    /// Every backup of the timeline was taken after the cut.
    #[error("no backup stands before {target} ({cut}, timeline {timeline}){}", oldest.as_ref().map_or(String::new(), |oldest| format!("; the oldest there, {}, stands at {}", oldest.0, oldest.1)))]
    NoBackupBefore {
        /// What was asked for.
        target: String,
        /// The timeline.
        timeline: String,
        /// The place of the cut.
        cut: BinlogPosition,
        /// The oldest backup of the timeline, and its coordinates.
        oldest: Option<Box<(Stamp, BinlogPosition)>>,
    },
    /// The backup that was named already holds what the cut shall leave out.
    #[error("backup {backup} stands at {coordinates}, which is behind {target}: it holds that already, and more")]
    BackupHoldsTarget {
        /// The backup.
        backup: Stamp,
        /// What was asked for.
        target: String,
        /// The backup's coordinates.
        coordinates: BinlogPosition,
    },
    /// A tool that the plan needs is missing or unusable.
    #[error("no usable {}: {problem}", role_name(*role))]
    Tool {
        /// What it is needed for.
        role: ToolRole,
        /// Its path, where one was named or found.
        path: Option<PathBuf>,
        /// What is wrong.
        problem: String,
    },
    /// The tools or the server do not fit the backup or each other.
    #[error("{what} does not fit: expected {expected}, found {found}")]
    Mismatch {
        /// What was compared.
        what: String,
        /// What would fit.
        expected: String,
        /// What was found.
        found: String,
    },
    /// The server cannot be asked.
    #[error("the server cannot be asked: {problem}")]
    ServerUnreachable {
        /// What its client said.
        problem: String,
        /// Whether it was the credentials that were refused.
        access_denied: bool,
    },
    /// A backup of the chain cannot be applied.
    #[error("backup {backup} needs {link}, which cannot be applied: {reason}")]
    UnusableLink {
        /// The backup.
        backup: Stamp,
        /// The one of its chain that cannot be applied; perhaps itself.
        link: Stamp,
        /// Why.
        reason: String,
    },
    /// A program that the configuration names is missing or unusable.
    #[error("{key} names {}, which cannot be used: {problem}", path.display())]
    NamedTool {
        /// The configuration's key.
        key: &'static str,
        /// The program.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Nothing proves that the end of the parent lies in the server's past.
    #[error("nothing proves that the end of backup {parent} lies in this server's past: {why}")]
    NotInPast {
        /// The parent.
        parent: Stamp,
        /// What is in the way of a proof.
        why: Unproven,
    },
    /// The work directory holds something.
    #[error("the work directory {} is not empty", path.display())]
    WorkdirNotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The work directory cannot be used.
    #[error("the work directory {} cannot be used: {reason}", path.display())]
    WorkdirUnusable {
        /// The directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Neither a scratch directory nor a local store.
    #[error("a prepare needs a local directory: {} is reached through the network and scratch_dir is not set", store.display())]
    NoScratch {
        /// The store.
        store: PathBuf,
    },
    /// A file system lacks room.
    #[error("{} has {free} bytes free, {needed} are needed", path.display())]
    NotEnoughSpace {
        /// A path on the file system.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// A path in the backup leads out of the work directory.
    #[error("backup {backup} keeps files outside of its data directory: {path}")]
    PathLeavesWorkdir {
        /// The backup.
        backup: Stamp,
        /// The path.
        path: String,
    },
    /// The stamps of this minute and second are taken.
    #[error("the stamp {ts} is taken")]
    StampTaken {
        /// The stamp.
        ts: Stamp,
    },
    /// The server writes no binlog.
    #[error("the server writes no binlog (log_bin is off)")]
    NoBinlog,
    /// The server keeps its binlog in a storage engine (MariaDB 12.3 and later), not in files of the binlog format.
    #[error("the server keeps its binlog in {engine} (binlog_storage_engine), whose files cannot be archived")]
    BinlogInEngine {
        /// The storage engine.
        engine: String,
    },
    /// The directory of the server's binlogs is not known.
    #[error("the directory of the server's binlogs is not known: {problem}")]
    BinlogDirUnknown {
        /// Why.
        problem: String,
    },
    /// The store cannot be written in the way the plan needs.
    #[error("the store cannot be used: {reason}")]
    StoreUnusable {
        /// Why.
        reason: String,
    },
    /// The private server's own applier cannot replay this window.
    #[error("the window cannot be replayed with --replay relay: {reason}")]
    NoRelay {
        /// Why.
        reason: String,
    },
    /// There is no user that private servers could run as.
    #[error("there is no user that private servers could run as{}: {problem}", user.as_ref().map(|user| format!(" ({user})")).unwrap_or_default())]
    NoPrivateUser {
        /// Whom the configuration names.
        user: Option<String>,
        /// Why that is not possible.
        problem: String,
    },
    /// The user that private servers run as cannot reach what they need.
    #[error("private servers run as {user}, who may not enter {}: {} is needed", dir.display(), needed.display())]
    ClosedToUser {
        /// The user.
        user: String,
        /// The directory.
        dir: PathBuf,
        /// What lies below it.
        needed: PathBuf,
    },
    /// A statement of the window names an engine or plugin that the private server will not have.
    #[error("{0}")]
    Lacks(super::Lack),
    /// A statement of the window would make files outside of the work directory, where the source has its own.
    #[error("transaction {transaction} puts files into {}, outside of the work directory", path.display())]
    PutsOutside {
        /// The transaction: GTID, file and position.
        transaction: String,
        /// The directory or file that it names.
        path: PathBuf,
        /// Whether it is a table's directory, which an applier can leave aside.
        table: bool,
    },
    /// Restored files cannot be given to the owner asked for.
    #[error("the restored files cannot be given to {owner}: {reason}")]
    NoOwner {
        /// The owner.
        owner: OwnerName,
        /// Why.
        reason: String,
    },
    /// Living sources cannot be followed.
    #[error("the restored server cannot catch up: {reason}")]
    NoCatchUp {
        /// Why.
        reason: String,
    },
    /// The archived binlogs cannot be put back as the server's own history.
    #[error("the binlogs cannot be put back as the server's own: {reason}")]
    NoHistory {
        /// Why.
        reason: String,
    },
    /// Single transactions cannot be left out of this replay.
    #[error("transactions cannot be left out of this replay: {reason}")]
    NoSkip {
        /// Why.
        reason: String,
    },
    /// A transaction that is to be left out is not in the window.
    #[error("transaction {gtid}, which is to be left out, is not in the window from {from} to {cut}")]
    SkipNotInWindow {
        /// Its GTID.
        gtid: String,
        /// Where the window starts.
        from: BinlogPosition,
        /// Where it ends.
        cut: BinlogPosition,
    },
    /// The server's files cannot be read.
    #[error(transparent)]
    Closed(#[from] Box<NotReadable>),
    /// A mark cannot be taken off.
    #[error(transparent)]
    Unmark(#[from] super::UnmarkError),
    /// A command cannot be put together.
    #[error(transparent)]
    Command(#[from] CommandError),
}
