//! What one pass over a binlog finds out: the facts of its index entry, and its transaction index.

use crate::{
    binlog::{Ending, FileScan, Transaction},
    model::LogTime,
    store::{
        BinlogDamage, BinlogEnding, BinlogEntry, Digest, HashingWriter, PartialBinlog, TimePrecision,
        TransactionIndexFile,
        transactions::{IndexedFile, TransactionWriter},
    },
    tools::masked_statement,
};
use std::{
    io::{self, Write},
    ops::ControlFlow,
};

/// Takes the transactions of a binlog as they go by.
#[derive(Debug)]
pub(super) struct Indexer<'p> {
    writer: TransactionWriter<HashingWriter<&'p mut (dyn Write + Send)>>,
    times: Times,
    failed: Option<io::Error>,
}

/// The commit times of a binlog's transactions.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Times {
    /// Microseconds since 1970.
    first: Option<u64>,
    /// Likewise.
    newest: Option<u64>,
    /// Whether there is a transaction without a commit time.
    bounded: bool,
}

impl<'p> Indexer<'p> {
    pub(super) fn new(into: &'p mut (dyn Write + Send)) -> io::Result<Self> {
        let writer = TransactionWriter::new(HashingWriter::new(into))?;
        Ok(Indexer { writer, times: Times::default(), failed: None })
    }

    pub(super) fn see(&mut self, transaction: &Transaction) -> ControlFlow<()> {
        self.times.see(transaction);
        match self.push(transaction) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// What the index keeps of a statement holds no secret; the binlog beside it does, as the server wrote it.
    fn push(&mut self, transaction: &Transaction) -> io::Result<()> {
        let masked = transaction.statement.as_deref().map(|text| (text, masked_statement(text)));
        match masked {
            Some((text, masked)) if text != masked => {
                self.writer.push(&Transaction { statement: Some(masked), ..transaction.clone() })
            }
            _ => self.writer.push(transaction),
        }
    }

    pub(super) fn finish(self, file: &IndexedFile) -> io::Result<(TransactionIndexFile, Times)> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let written = self.writer.finish(file)?;
        let (digest, size) = (written.digest(), written.count());
        Ok((TransactionIndexFile { digest, size, unknown: Default::default() }, self.times))
    }
}

impl Times {
    fn see(&mut self, transaction: &Transaction) {
        let time = &transaction.time;
        let commit = time.commit().filter(|micros| LogTime::holds_micros(*micros));
        self.first = self.first.or(commit);
        self.newest = self.newest.max(commit);
        self.bounded |= commit.is_none();
    }

    /// Enters the times into an index entry.
    pub(super) fn enter(self, entry: &mut BinlogEntry) {
        entry.first_commit_time = self.first.and_then(LogTime::from_micros);
        entry.newest_commit_time = self.newest.and_then(LogTime::from_micros);
        entry.transaction_times = self.precision();
    }

    fn precision(self) -> Option<TimePrecision> {
        match (self.first.is_some(), self.bounded) {
            (true, true) => Some(TimePrecision::Mixed),
            (true, false) => Some(TimePrecision::Commit),
            (false, true) => Some(TimePrecision::LowerBound),
            (false, false) => None,
        }
    }
}

/// Enters the order of MariaDB's numbers, where the entry lacks it.
pub(super) fn tell_order(entry: &mut BinlogEntry, scan: &FileScan) {
    if entry.gtids_last.is_none() {
        entry.gtids_last = scan.gtids_last.as_ref().and_then(|last| entry.order_of(last, scan.went_back));
    }
}

/// Enters into an index entry what a pass over the binlog found. `partial`: it is a dead server's open file, cut after its
/// last whole transaction.
pub(super) fn describe(entry: &mut BinlogEntry, scan: &FileScan, times: Times, partial: bool) {
    entry.head = scan.head.digest.parse::<Digest>().ok();
    entry.first_event_time = LogTime::from_seconds(scan.head.first_event_time);
    entry.last_event_time = LogTime::from_seconds(scan.last_event_time);
    entry.max_event_time = Some(LogTime::from_seconds(scan.max_event_time));
    entry.first_transaction_time = scan.first_transaction_time.map(LogTime::from_seconds);
    entry.last_transaction_time = scan.last_transaction_time.map(LogTime::from_seconds);
    times.enter(entry);
    entry.decrypted = scan.head.decrypted.then_some(true);
    entry.transactions = Some(scan.transactions);
    entry.gtids_before = scan.head.previous_gtids.as_ref().map(ToString::to_string);
    entry.gtids_added = scan.gtids.as_ref().map(ToString::to_string);
    entry.gtids_last = None;
    tell_order(entry, scan);
    match &scan.ending {
        Ending::Rotate { next, .. } => {
            entry.ending = Some(BinlogEnding::Rotate);
            entry.successor = Some(next.clone());
        }
        Ending::Stop => entry.ending = Some(BinlogEnding::Stop),
        Ending::Open => entry.ending = Some(BinlogEnding::Crashed),
        Ending::InTransaction { .. } | Ending::Truncated { .. } if partial => {
            entry.ending = Some(BinlogEnding::Crashed);
        }
        other => {
            entry.damaged =
                Some(BinlogDamage { what: other.to_string(), last_good: scan.good_end, ..BinlogDamage::default() });
        }
    }
    if partial {
        entry.partial = Some(PartialBinlog { last_good: scan.good_end, ..PartialBinlog::default() });
    }
    // What a closed file's successor does not hold either: everything before the moment at which the file was closed.
    // That is its last event's stamp, not the newest: a client can set a transaction's into the future. No archive
    // reaches beyond the moment of archiving.
    if entry.damaged.is_none() {
        // Of a file that was still open nothing is known after its last event: another server may have taken over.
        let closed = if partial { entry.end_of_last_event() } else { entry.last_event_time };
        let archived = entry.archived_at.map(LogTime::from_utc);
        entry.reaches = Some(archived.map_or(closed, |archived| closed.min(archived)));
    }
}
