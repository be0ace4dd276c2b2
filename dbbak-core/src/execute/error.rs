//! Why a plan could not be carried out.

use super::{copies::CopyState, executor::ExecError, tree::TreeError};
use crate::{
    binlog::BinlogError,
    model::{BinlogName, BinlogPosition, Lsn, Stamp},
    store::StoreError,
    tools::{ReaderError, ToolRunError},
};
use std::{io, path::PathBuf};

/// Why a plan could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// A program could not be started or controlled.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A tree could not be copied, or is not what was recorded.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file of the work directory could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tool failed, or says that it succeeded and did not.
    #[error("could not {title}: {problem}")]
    Tool {
        /// The program.
        program: String,
        /// What it was to do.
        title: String,
        /// What is wrong: the exit status, the last line, a missing file.
        problem: Box<ToolRunError>,
        /// Where all that it printed lies.
        log: PathBuf,
        /// The incremental that it was to apply.
        link: Option<Stamp>,
        /// What is known of the copies that it worked on.
        copy: Box<CopyState>,
    },
    /// An incremental was used up by an earlier prepare: its pages are gone.
    #[error("the incremental was used up by an earlier prepare: {} has lost its delta", path.display())]
    ConsumedIncremental {
        /// The page list whose delta is gone.
        path: PathBuf,
    },
    /// What the backup tool left cannot be read.
    #[error("cannot read {} of the new backup: {problem}", path.display())]
    BackupFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The tool ended well, and tablespaces are missing that the server had all the while.
    #[error(
        "the backup tool reported success, and the backup lacks {count} of the server's tablespaces, first {first} (number {id})"
    )]
    LostTablespaces {
        /// The name of the first one, as the server has it (`shop/orders`).
        first: String,
        /// Its number.
        id: u32,
        /// How many are missing.
        count: usize,
    },
    /// The tool ended well, and files of tables are missing that the server has.
    #[error(
        "the backup tool reported success, and the backup lacks files of {count} tables, first {}", first.display()
    )]
    LostTables {
        /// The first file, by its path below the data directory.
        first: PathBuf,
        /// How many tables lack files.
        count: usize,
    },
    /// The new backup does not begin where its parent ends.
    #[error("the new backup starts at LSN {found}, its parent ends at LSN {expected}")]
    LsnMismatch {
        /// The LSN that the parent ends at.
        expected: Lsn,
        /// The LSN that the new backup starts at.
        found: Lsn,
    },
    /// A binlog to be archived is another file than the one that the plan was made for.
    #[error("{} changed since the plan was made: expected head {expected}, found {found}", path.display())]
    BinlogChanged {
        /// The file.
        path: PathBuf,
        /// The digest of its head at planning.
        expected: String,
        /// The digest of its head now.
        found: String,
    },
    /// The server did not send a binlog.
    #[error("could not fetch binlog {file} from the server: {problem}")]
    Fetch {
        /// The file.
        file: BinlogName,
        /// How the binlog reader ended, and what it said.
        problem: Box<ReaderError>,
        /// Where all that it printed lies.
        log: PathBuf,
    },
    /// A binlog was fetched without an error, and has not the size that the server lists.
    #[error("binlog {file} was fetched with {found} bytes, the server lists {expected}")]
    FetchedSize {
        /// The file.
        file: BinlogName,
        /// Where the copy lay.
        path: PathBuf,
        /// Bytes that the server lists.
        expected: u64,
        /// Bytes of the copy.
        found: u64,
    },
    /// A binlog was fetched without an error, and does not end as the server ends a file.
    #[error("binlog {file} was fetched, and does not end with a rotation: {ending}")]
    FetchedEnd {
        /// The file.
        file: BinlogName,
        /// How it ends.
        ending: String,
    },
    /// An archived binlog is not what was archived.
    #[error("archived binlog {stored_as} is damaged: {problem}")]
    ArchivedBinlog {
        /// Its name in the store.
        stored_as: String,
        /// What is wrong.
        problem: String,
    },
    /// A binlog cannot be read.
    #[error("cannot read binlog {}", path.display())]
    Binlog {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BinlogError,
    },
    /// The server did not begin a new binlog.
    #[error("the server did not begin a new binlog: {problem}")]
    Flush {
        /// How the client ended.
        problem: String,
        /// The end of what it printed on standard error.
        stderr: Vec<String>,
    },
    /// The server did not clone itself, or the clone cannot be read.
    #[error("the clone failed: {problem}")]
    Clone {
        /// What is known of it.
        problem: String,
        /// What the client printed on standard error.
        stderr: Vec<String>,
        /// Where all of it lies.
        log: PathBuf,
    },
    /// The clone lacks the rows of tables.
    #[error("the clone holds InnoDB's tables alone, and left these empty: {}", tables.join(", "))]
    NotCloned {
        /// The tables with their engines.
        tables: Vec<String>,
    },
    /// The dump failed, or is not whole.
    #[error("the dump failed: {problem}")]
    Dump {
        /// What is known of it.
        problem: String,
        /// What the program printed on standard error.
        stderr: Vec<String>,
        /// Where all of it lies.
        log: PathBuf,
    },
    /// The schema was changed while the dump was taken: it is of no one moment.
    #[error("the schema was changed while the dump was taken, at {at}: {statement}")]
    SchemaChanged {
        /// The statement, literals masked.
        statement: String,
        /// Where it stands in the server's binlogs.
        at: String,
    },
    /// XA transactions stood prepared when the dump was taken: it does not hold what they changed.
    #[error("XA transactions stood prepared when the dump was taken, which does not hold what they changed: {}", ids.join("; "))]
    Prepared {
        /// Their names, as `XA COMMIT` takes them.
        ids: Vec<String>,
    },
    /// No empty data directory could be made.
    #[error("could not make an empty data directory: {problem}")]
    Initialise {
        /// How the program ended.
        problem: String,
        /// The end of what it printed on standard error.
        stderr: Vec<String>,
        /// Where all of it lies.
        log: PathBuf,
    },
    /// The dump could not be loaded.
    #[error("the dump could not be loaded: {problem}")]
    Load {
        /// How the client ended.
        problem: String,
        /// The errors that it printed.
        stderr: Vec<String>,
        /// Where all of it lies.
        log: PathBuf,
    },
    /// The private server did not start.
    #[error("the private server did not start: {problem}")]
    ServerStart {
        /// What is known of it.
        problem: String,
        /// The end of its error log.
        stderr: Vec<String>,
        /// Its error log.
        log: PathBuf,
    },
    /// The private server did not stop cleanly.
    #[error("the private server did not shut down cleanly: {problem}")]
    ServerStop {
        /// What is known of it.
        problem: String,
        /// Its error log.
        log: PathBuf,
    },
    /// The replay failed.
    #[error("the replay failed: {problem}")]
    Replay {
        /// How the members of the pipeline ended.
        problem: String,
        /// The end of what they printed on standard error.
        stderr: Vec<String>,
        /// Where all of it lies.
        log: PathBuf,
    },
    /// The private server's own applier stopped before the end of the window.
    #[error("the private server did not apply {transaction}: {problem}")]
    Applier {
        /// The transaction that it stopped at: GTID, file and position.
        transaction: String,
        /// What the server says, without the statement.
        problem: String,
        /// Its error log.
        log: PathBuf,
    },
    /// A binlog reader would print the event in a way that a client takes for other statements.
    #[error("the event at {at} is not safe to be replayed through a pipe: {problem}")]
    PipeHazard {
        /// Where the event begins.
        at: BinlogPosition,
        /// Why, and the name or the statement with its control characters escaped.
        problem: String,
        /// Whether the applier replays the window, and this statement alone was to go through a pipe.
        apart: bool,
    },
    /// The private server cut off a binlog that it was to apply.
    #[error(
        "the private server cut {file} off after {found} of {expected} bytes: it takes what follows for half a transaction"
    )]
    RelayLogCut {
        /// The binlog.
        file: BinlogName,
        /// Its bytes.
        expected: u64,
        /// What is left of them.
        found: u64,
    },
    /// A half-done replay cannot be gone on with.
    #[error("the half-done replay cannot be gone on with: {problem}")]
    GoingOn {
        /// What is not as the dead run must have left it.
        problem: String,
    },
    /// The replay left another GTID position than the plan says.
    #[error("the replay ended at GTID position {found}, the window ends at {expected}")]
    PositionDiffers {
        /// Where the window ends.
        expected: String,
        /// What the private server says.
        found: String,
    },
    /// The private server names its GTIDs in a way that cannot be read.
    #[error("the private server says {found:?} of its GTIDs, which cannot be read")]
    UnreadGtids {
        /// What it says.
        found: String,
    },
    /// Tables of the restored data are damaged.
    #[error("tables of the restored data are damaged: {}", tables.join("; "))]
    TablesDamaged {
        /// The tables, and what the server says of each.
        tables: Vec<String>,
    },
    /// A statement of the window names an engine or plugin that the private server has not.
    #[error(
        "transaction {transaction} names the {what} {}, which the private server has not",
        crate::model::Printable(name)
    )]
    Lacks {
        /// What it is.
        what: &'static str,
        /// Its name.
        name: String,
        /// The transaction.
        transaction: String,
        /// The library that the source had it from, where that is known.
        library: Option<String>,
    },
    /// The user of a private server has made a link, symbolic or hard, a pipe, a socket or a device in its files: no server
    /// makes one there.
    #[error("a link, pipe, socket or device was made in a private server's files: {}", path.display())]
    PlantedLink {
        /// What was made, or a file that has another name.
        path: PathBuf,
    },
    /// The private server could not be asked at the end.
    #[error("the private server could not be examined: {problem}")]
    Examination {
        /// How its client ended.
        problem: String,
        /// What the client printed on standard error.
        stderr: Vec<String>,
        /// The server's error log.
        log: PathBuf,
    },
    /// The restored server could not follow a living source.
    #[error("the restored server could not catch up from {from}: {problem}")]
    CatchUp {
        /// The source.
        from: String,
        /// What the server says, without statements.
        problem: String,
        /// Its error log.
        log: PathBuf,
    },
    /// Transactions of the window carry the private server's own id: its applier would skip them without a word.
    #[error("transaction {transaction} carries server id {server_id}, which the private server was to have")]
    ServerIdTaken {
        /// The transaction: GTID, file and position.
        transaction: String,
        /// The id.
        server_id: u32,
    },
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
    /// A transaction that is to be left out is not in the window.
    #[error("transaction {gtid}, which is to be left out, is not in the window")]
    SkipNotFound {
        /// Its GTID.
        gtid: String,
    },
    /// A transaction that is to be left out stands in the window twice: which one is meant cannot be told.
    #[error("transaction {gtid}, which is to be left out, stands in the window twice, at {} and at {}", places.0, places.1)]
    SkipRepeated {
        /// Its GTID.
        gtid: String,
        /// Where it stands first, and where it comes again.
        places: Box<(BinlogPosition, BinlogPosition)>,
    },
    /// The archive holds another number of transactions in the window than the plan says.
    #[error("the window holds {found} transactions, the plan says {expected}")]
    WindowDiffers {
        /// The plan's count.
        expected: u64,
        /// The count found.
        found: u64,
    },
    /// The state reached is not the state planned.
    #[error("transaction {number} of the replay differs: expected {expected}, the server logged {found}")]
    ProofFailed {
        /// Which transaction of the window, from 1.
        number: u64,
        /// What the archive holds.
        expected: String,
        /// What the private server logged.
        found: String,
    },
    /// A binlog in the archive stops before its recorded end.
    #[error("binlog {file} has no transaction boundary at {position}")]
    NotABoundary {
        /// The file.
        file: BinlogName,
        /// The position.
        position: u64,
    },
    /// The user asked to stop.
    #[error("interrupted by signal {signal}")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// Another run is at work in the work directory.
    #[error("another dbbak is at work in {}", path.display())]
    WorkdirBusy {
        /// The work directory.
        path: PathBuf,
    },
    /// The plan lacks what a step needs: somebody edited it.
    #[error("the plan is not whole: {problem}")]
    BadPlan {
        /// What is missing.
        problem: String,
    },
}

impl ExecuteError {
    /// Whether restored data came of it that are not what they must be: they are kept for a look, and marked.
    pub fn is_unproven(&self) -> bool {
        matches!(
            self,
            ExecuteError::ProofFailed { .. }
                | ExecuteError::PositionDiffers { .. }
                | ExecuteError::UnreadGtids { .. }
                | ExecuteError::TablesDamaged { .. }
                | ExecuteError::Examination { .. }
                | ExecuteError::ServerStop { .. }
        )
    }

    /// The signal by which the user asked to stop, if that is why.
    pub fn signal(&self) -> Option<i32> {
        match self {
            ExecuteError::Interrupted { signal }
            | ExecuteError::Tree(TreeError::Interrupted { signal })
            | ExecuteError::Exec(ExecError::Interrupted { signal }) => Some(*signal),
            _ => None,
        }
    }
}
