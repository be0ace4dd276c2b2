//! Builds valid histories of a fake server (transactions, rotations, resets, failovers, backups, shipped binlogs), and
//! what a catalog and a survey would find of them. Nothing runs, nothing is read: it is for tests of planners.

mod archive;
mod facts;
mod product;

pub use archive::ROOT;
pub use facts::{DATADIR, SCRATCH};
pub use product::Product;

use chrono::{DateTime, TimeDelta, Utc};
use dbbak_core::model::{BackupId, BinlogName, Lsn, Stamp};

/// Bytes of a fresh binlog before its first transaction.
pub const HEAD: u64 = 200;
/// Bytes of each transaction.
pub const TRANSACTION: u64 = 300;
/// Bytes of the event that ends a closed binlog.
pub const ROTATE: u64 = 50;

/// The server that was backed up, and all that ever happened to it.
#[derive(Debug, Clone)]
pub struct History {
    /// Who made the server.
    pub product: Product,
    /// The clock.
    pub now: DateTime<Utc>,
    /// Every binlog that ever was, in the order in which they were begun.
    pub files: Vec<LogFile>,
    /// Every backup that was taken.
    pub backups: Vec<TakenBackup>,
    /// What was archived, in order.
    pub archived: Vec<ArchivedCopy>,
    /// What changed the data, in order: what an oracle replays.
    pub happened: Vec<(DateTime<Utc>, Happening)>,
    /// Number of the server's present history of binlogs.
    pub history: usize,
    /// The transactions that the server holds, by number, in log order.
    pub state: Vec<usize>,
    lsn: u64,
    committed: usize,
}

/// What changed the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A transaction.
    Committed(usize),
    /// The server was replaced by one restored from a backup.
    Replaced(Vec<usize>),
}

/// A binlog as the server wrote it.
#[derive(Debug, Clone)]
pub struct LogFile {
    /// Number of the history that it belongs to.
    pub history: usize,
    /// Its name.
    pub name: BinlogName,
    /// When it was begun.
    pub opened: DateTime<Utc>,
    /// When it was closed; none: it is still written, or was lost with its server.
    pub closed: Option<DateTime<Utc>>,
    /// Its transactions.
    pub transactions: Vec<LoggedTransaction>,
    /// How many transactions the history's earlier files hold.
    pub before: u64,
    /// Whether the server still has it.
    pub present: bool,
}

/// A transaction in a binlog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedTransaction {
    /// Its number, over all histories.
    pub number: usize,
    /// Where it starts.
    pub start: u64,
    /// The offset after it.
    pub end: u64,
    /// Its stamp.
    pub time: DateTime<Utc>,
}

/// A backup that was taken.
#[derive(Debug, Clone)]
pub struct TakenBackup {
    /// Its identity.
    pub id: BackupId,
    /// The backup that it was taken on.
    pub parent: Option<Stamp>,
    /// The LSN that it starts at.
    pub from_lsn: Lsn,
    /// The LSN that it ends at.
    pub to_lsn: Lsn,
    /// The binlog that its coordinates name, as a place in [`History::files`].
    pub file: usize,
    /// Its coordinates' offset.
    pub position: u64,
    /// The transactions in it.
    pub state: Vec<usize>,
    /// When the tool was started.
    pub started_at: DateTime<Utc>,
    /// When the tool ended.
    pub ended_at: DateTime<Utc>,
    /// Whether the manifest has lost it.
    pub lost: bool,
}

/// A binlog, or the beginning of one, in the archive.
#[derive(Debug, Clone)]
pub struct ArchivedCopy {
    /// Which, as a place in [`History::files`].
    pub file: usize,
    /// How many of its transactions are there.
    pub transactions: usize,
    /// When it was archived.
    pub at: DateTime<Utc>,
    /// Whether it was taken while open, from a dead server.
    pub partial: bool,
    /// Whether what follows those transactions cannot be read.
    pub damaged: bool,
    /// Whether the index has lost it.
    pub lost: bool,
}

impl LogFile {
    /// The offset after the last transaction.
    pub fn end(&self) -> u64 {
        self.transactions.last().map_or(HEAD, |transaction| transaction.end)
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.end() + if self.closed.is_some() { ROTATE } else { 0 }
    }
}

/// A moment of 2 October 2025, written `HH:MM` or `HH:MM:SS[.ffffff]`.
///
/// # Panics
///
/// When it is no such time.
pub fn at(text: &str) -> DateTime<Utc> {
    let seconds = if text.len() == 5 { ":00" } else { "" };
    format!("2025-10-02T{text}{seconds}Z").parse().expect("a time of day")
}

impl History {
    /// A server that begins its first binlog at midnight.
    pub fn new(product: Product) -> Self {
        let mut history = History {
            product,
            now: at("00:00"),
            files: Vec::new(),
            backups: Vec::new(),
            archived: Vec::new(),
            happened: Vec::new(),
            history: 0,
            state: Vec::new(),
            lsn: 1000,
            committed: 0,
        };
        history.open(1);
        history
    }

    /// Sets the clock, which never goes back.
    pub fn at(&mut self, text: &str) -> &mut Self {
        self.now = at(text).max(self.now);
        self
    }

    /// Lets time go by.
    pub fn wait(&mut self, time: TimeDelta) -> &mut Self {
        self.now += time;
        self
    }

    fn open(&mut self, number: u64) {
        let name = format!("binlog.{number:06}").parse().expect("a binlog's name");
        let same = self.files.iter().filter(|file| file.history == self.history);
        let before = same.map(|file| file.transactions.len() as u64).sum();
        self.files.push(LogFile {
            history: self.history,
            name,
            opened: self.now,
            closed: None,
            transactions: Vec::new(),
            before,
            present: true,
        });
    }

    /// The binlog that the server writes, as a place in [`History::files`].
    pub fn open_file(&self) -> usize {
        self.files.len() - 1
    }

    /// A transaction, now.
    pub fn commit(&mut self) -> &mut Self {
        self.commit_stamped(self.now)
    }

    /// A transaction whose client has set its stamp.
    pub fn commit_stamped(&mut self, time: DateTime<Utc>) -> &mut Self {
        let (number, place) = (self.committed, self.open_file());
        let start = self.files[place].end();
        self.files[place].transactions.push(LoggedTransaction { number, start, end: start + TRANSACTION, time });
        self.committed += 1;
        self.lsn += 100;
        self.state.push(number);
        self.happened.push((time, Happening::Committed(number)));
        self
    }

    /// Has the server begin a new binlog.
    pub fn rotate(&mut self) -> &mut Self {
        let place = self.open_file();
        self.files[place].closed = Some(self.now);
        let next = self.files[place].name.number() + 1;
        self.open(next);
        self
    }

    /// RESET MASTER: the data stay, the binlogs go, and their names begin anew.
    pub fn reset(&mut self) -> &mut Self {
        self.files.iter_mut().for_each(|file| file.present = false);
        self.history += 1;
        self.open(1);
        self
    }

    /// The server dies, and another, restored from a backup, takes its place.
    pub fn replace_by(&mut self, backup: usize) -> &mut Self {
        self.state.clone_from(&self.backups[backup].state);
        self.happened.push((self.now, Happening::Replaced(self.state.clone())));
        self.reset()
    }

    /// A full.
    pub fn full(&mut self) -> Stamp {
        self.backup(None, |_| {})
    }

    /// An incremental on the newest backup.
    pub fn incremental(&mut self) -> Stamp {
        let newest = self.backups.len() - 1;
        self.backup(Some(newest), |_| {})
    }

    /// An incremental on the newest full.
    pub fn differential(&mut self) -> Stamp {
        let full = self.backups.iter().rposition(|backup| backup.parent.is_none()).expect("a full to stand on");
        self.backup(Some(full), |_| {})
    }

    /// A backup on a parent (a place in [`History::backups`]). It takes 30 seconds; `tail` happens after its coordinates
    /// were taken and before the tool ends.
    pub fn backup(&mut self, parent: Option<usize>, tail: impl FnOnce(&mut Self)) -> Stamp {
        let started_at = self.now;
        let mut ts = Stamp::to_the_minute(started_at);
        if self.backups.iter().any(|backup| backup.id.ts == ts) {
            ts = Stamp::to_the_second(started_at);
        }
        let parent = parent.map(|place| &self.backups[place]);
        let id = parent.map_or(BackupId::full(ts), |parent| BackupId::incremental(ts, parent.id.root()));
        let (from_lsn, parent) = (parent.map_or(Lsn(0), |parent| parent.to_lsn), parent.map(|parent| parent.id.ts));
        self.now += TimeDelta::seconds(30);
        self.lsn += 10;
        let (file, to_lsn, state) = (self.open_file(), Lsn(self.lsn), self.state.clone());
        let position = self.files[file].end();
        tail(self);
        self.now += TimeDelta::seconds(1);
        let ended_at = self.now;
        let taken =
            TakenBackup { id, parent, from_lsn, to_lsn, file, position, state, started_at, ended_at, lost: false };
        self.backups.push(taken);
        ts
    }
}
