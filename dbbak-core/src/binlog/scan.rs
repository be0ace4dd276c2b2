//! The one pass over a binlog: its transactions, how it ends, and which offsets are transaction boundaries.

use super::decode::{Content, decode};
use super::error::{BinlogError, Damage, DamageKind};
use super::head::{FileHead, Opened, open};
use super::reader::{EventReader, Frame};
use super::table_maps::KnownMaps;
use super::transaction::{Grouper, Incident, Transaction};
use crate::model::{BinlogName, Gtid, GtidSet, MariadbGtidState};
use std::io::Read;
use std::ops::ControlFlow;

/// What one pass over a binlog found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileScan {
    /// What stands at its start.
    pub head: FileHead,
    /// How it ends.
    pub ending: Ending,
    /// Bytes of the input, to its very end even where the events are damaged before. Where the sink broke off the scan,
    /// the offset where it did.
    pub size: u64,
    /// Offset after the last whole transaction, or after the last whole event between transactions: a replay may go up
    /// to here and no further.
    pub good_end: u64,
    /// How many whole transactions there are.
    pub transactions: u64,
    /// Stamp of the last whole event, seconds since 1970, UTC.
    pub last_event_time: u32,
    /// The latest stamp of any whole event, seconds since 1970, UTC. A client can set stamps, so that it orders nothing.
    pub max_event_time: u32,
    /// The first transaction's `header_max`.
    pub first_transaction_time: Option<u32>,
    /// The latest `header_max` of the transactions, which in a log without commit times is the last one's time.
    pub last_transaction_time: Option<u32>,
    /// The transactions that this file adds; `None` where none has a GTID.
    pub gtids: Option<GtidSet>,
    /// MariaDB: the last transaction of each domain and server, in the order of the log.
    pub gtids_last: Option<MariadbGtidState>,
    /// MariaDB: whether a sequence number was lower than that server's last one in the file.
    pub went_back: bool,
    /// The first transaction with a GTID.
    pub first_gtid: Option<Gtid>,
    /// The last transaction with a GTID.
    pub last_gtid: Option<Gtid>,
    /// Places where the server tells that it lost changes, outside of a transaction that stands for them.
    pub incidents: Vec<Incident>,
}

/// How a binlog ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The log goes on in another file: the server closed this one.
    Rotate {
        /// The next file.
        next: BinlogName,
        /// Where its events begin; 4.
        position: u64,
    },
    /// The server was shut down in order.
    Stop,
    /// On an event boundary between transactions, without Rotate or Stop: the server crashed, or still writes the file,
    /// or the file is a copy of such a state.
    Open,
    /// On an event boundary, but the last transaction lacks its end.
    InTransaction {
        /// Where the transaction began.
        start: u64,
    },
    /// Within an event.
    Truncated {
        /// Offset of the event.
        at: u64,
        /// Bytes that the event should have.
        expected: u64,
        /// Bytes of it that are there.
        available: u64,
    },
    /// With damage; what comes after it was not read.
    Damaged(Damage),
    /// Not at all: the sink broke off the scan after the transaction that ends here.
    Interrupted {
        /// Offset after the transaction.
        at: u64,
    },
}

/// Whether an offset is a transaction boundary: no transaction is open there, and events before it are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// It is one.
    Yes,
    /// It lies in a transaction, in an event, or after damage.
    No {
        /// The last boundary before it (for offsets within the magic: 4, the first of all).
        before: u64,
        /// The next boundary after it; `None` where the file has none.
        after: Option<u64>,
    },
    /// It lies beyond the end of the file.
    BeyondEnd {
        /// Bytes of the file.
        size: u64,
    },
}

/// The most incidents that a scan keeps.
const MAX_INCIDENTS: usize = 1000;

/// Reads a whole binlog once, verifies each event, and gives each whole transaction to the sink, in log order.
///
/// Damage is no error: the scan stops there and [`FileScan::ending`] says so. The input is read to its end all the same,
/// so that a digest taken on the way covers all of it.
///
/// # Errors
/// The input is no binlog that can be read at all, or fails.
pub fn scan(
    input: &mut dyn Read,
    sink: &mut dyn FnMut(&Transaction) -> ControlFlow<()>,
) -> Result<FileScan, BinlogError> {
    walk(input, &mut |step| match step {
        Step::Transaction(transaction) => sink(transaction),
        Step::Boundary(_) => ControlFlow::Continue(()),
    })
}

/// Tells whether an offset is a transaction boundary. Reads, and verifies, as far as the next boundary after it.
///
/// Boundaries are: 4, the offsets between the events of the head, the start of a transaction, of any event between
/// transactions, and the end of the last good one of them.
///
/// # Errors
/// The input is no binlog that can be read at all, or fails.
pub fn boundary(input: &mut dyn Read, position: u64) -> Result<Boundary, BinlogError> {
    let mut check = BoundaryCheck::new(position);
    let found = walk(input, &mut |step| {
        if let Step::Boundary(at) = step {
            check.see(at);
        }
        if check.is_decided() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(check.finish(&found))
}

/// As [`scan`] and [`boundary`] in one pass.
///
/// # Errors
/// The input is no binlog that can be read at all, or fails.
pub fn scan_with_boundary(
    input: &mut dyn Read,
    position: u64,
    sink: &mut dyn FnMut(&Transaction) -> ControlFlow<()>,
) -> Result<(FileScan, Boundary), BinlogError> {
    let mut check = BoundaryCheck::new(position);
    let found = walk(input, &mut |step| match step {
        Step::Transaction(transaction) => sink(transaction),
        Step::Boundary(at) => {
            check.see(at);
            ControlFlow::Continue(())
        }
    })?;
    let boundary = check.finish(&found);
    Ok((found, boundary))
}

/// What the walk comes by.
enum Step<'s> {
    Boundary(u64),
    Transaction(&'s Transaction),
}

/// Finds out about one offset while the boundaries go by in order.
struct BoundaryCheck {
    position: u64,
    before: u64,
    hit: bool,
    after: Option<u64>,
}

impl BoundaryCheck {
    fn new(position: u64) -> Self {
        BoundaryCheck { position, before: FIRST_EVENT, hit: false, after: None }
    }

    fn see(&mut self, at: u64) {
        if at < self.position {
            self.before = at;
        } else if at == self.position {
            self.hit = true;
        } else if self.after.is_none() {
            self.after = Some(at);
        }
    }

    fn is_decided(&self) -> bool {
        self.hit || self.after.is_some()
    }

    fn finish(&self, scan: &FileScan) -> Boundary {
        if self.hit {
            Boundary::Yes
        } else if self.after.is_none() && self.position > scan.size {
            Boundary::BeyondEnd { size: scan.size }
        } else {
            Boundary::No { before: self.before, after: self.after }
        }
    }
}

/// Where the first event of every binlog lies.
const FIRST_EVENT: u64 = 4;

fn walk(input: &mut dyn Read, visit: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>) -> Result<FileScan, BinlogError> {
    let mut reader = EventReader::new(input);
    let Opened { head, damage, offsets } = open(&mut reader)?;
    reader.stream();
    let mut found = FileScan {
        last_event_time: head.first_event_time,
        max_event_time: head.first_event_time,
        good_end: head.length,
        ending: Ending::Open,
        size: 0,
        transactions: 0,
        first_transaction_time: None,
        last_transaction_time: None,
        gtids: None,
        gtids_last: None,
        went_back: false,
        first_gtid: None,
        last_gtid: None,
        incidents: Vec::new(),
        head,
    };
    let stopped = offsets.into_iter().find(|at| visit(Step::Boundary(*at)).is_break());
    let ending = match (stopped, damage) {
        (Some(at), _) => Walked::Ended(Ending::Interrupted { at }),
        (None, Some(damage)) => Walked::Damaged(damage),
        (None, None) => walk_events(&mut reader, &mut found, visit)?,
    };
    let at = reader.offset();
    found.ending = match ending {
        Walked::Ended(ending) => ending,
        Walked::Damaged(Damage { at, what: DamageKind::Truncated, expected, found: available }) => {
            Ending::Truncated { at, expected, available }
        }
        Walked::Damaged(damage) => Ending::Damaged(damage),
    };
    if matches!(found.ending, Ending::Interrupted { .. }) {
        found.size = at;
        return Ok(found);
    }
    let more = reader.drain()?;
    found.size = reader.offset();
    if more > 0 && matches!(found.ending, Ending::Rotate { .. } | Ending::Stop) {
        found.ending = Ending::Damaged(Damage { at, what: DamageKind::AfterEnd, expected: 0, found: more });
    }
    Ok(found)
}

/// Why the walk over the events stopped.
enum Walked {
    Ended(Ending),
    Damaged(Damage),
}

fn walk_events(
    reader: &mut EventReader<'_>,
    found: &mut FileScan,
    visit: &mut dyn FnMut(Step<'_>) -> ControlFlow<()>,
) -> Result<Walked, BinlogError> {
    let mut grouper = Grouper::new(found.head.flavor);
    let mut known = KnownMaps::new();
    let interrupted = |at| Ok(Walked::Ended(Ending::Interrupted { at }));
    loop {
        let mut event = match reader.next()? {
            Frame::Event(event) => event,
            Frame::Damaged(damage) => return Ok(Walked::Damaged(damage)),
            Frame::End => {
                return Ok(Walked::Ended(match grouper.open_since() {
                    None => Ending::Open,
                    Some(start) => Ending::InTransaction { start },
                }));
            }
        };
        let (header, at, end) = (event.header, event.at, event.end);
        let content = decode(&header, &mut event.body, grouper.contents(), &mut known, found.head.flavor);
        // Only now is the checksum of a large event known: nothing of it counts before.
        if let Some(damage) = event.finish()? {
            return Ok(Walked::Damaged(damage));
        }
        let damage = |what| {
            Ok(Walked::Damaged(Damage {
                at,
                what,
                expected: header.event_type.into(),
                found: header.event_type.into(),
            }))
        };
        let content = match content {
            None => return damage(DamageKind::Content),
            Some(Content::OutOfPlace) => return damage(DamageKind::OutOfPlace),
            Some(content) => content,
        };
        found.last_event_time = header.time;
        found.max_event_time = found.max_event_time.max(header.time);
        let ending = match &content {
            Content::Rotate { next, position } => Some(Ending::Rotate { next: next.clone(), position: *position }),
            Content::Stop => Some(Ending::Stop),
            _ => None,
        };
        if let Some(ending) = ending {
            if let Some(start) = grouper.open_since() {
                return Ok(Walked::Ended(Ending::InTransaction { start }));
            }
            found.good_end = end;
            let _ = visit(Step::Boundary(end));
            return Ok(Walked::Ended(ending));
        }
        let transaction = match content {
            Content::Incident { number, message } if grouper.open_since().is_none() => {
                if found.incidents.len() < MAX_INCIDENTS {
                    found.incidents.push(Incident { at, number, message });
                }
                None
            }
            content => match grouper.feed(&header, at, end, content) {
                Ok(transaction) => transaction,
                Err(damage) => return Ok(Walked::Damaged(damage)),
            },
        };
        if let Some(transaction) = &transaction
            && let Err(damage) = found.count(transaction, header.event_type)
        {
            return Ok(Walked::Damaged(damage));
        }
        if grouper.open_since().is_none() {
            found.good_end = end;
            if visit(Step::Boundary(end)).is_break() {
                return interrupted(end);
            }
        }
        if let Some(transaction) = transaction {
            if visit(Step::Transaction(&transaction)).is_break() {
                return interrupted(end);
            }
            grouper.reuse(transaction);
        }
    }
}

impl FileScan {
    fn count(&mut self, transaction: &Transaction, event_type: u8) -> Result<(), Damage> {
        if let Some(gtid) = &transaction.gtid {
            let added = match &mut self.gtids {
                Some(gtids) => gtids.insert(gtid),
                none => {
                    let mut gtids = GtidSet::Mysql(Default::default());
                    let added = gtids.insert(gtid);
                    *none = Some(gtids);
                    added
                }
            };
            if let Gtid::Mariadb { domain, server, seq } = gtid {
                let last = self.gtids_last.get_or_insert_default();
                let before = match &self.head.previous_gtids {
                    Some(GtidSet::Mariadb(before)) => Some(before),
                    _ => None,
                };
                self.went_back |= last.follow_in_file(before, (*domain, *server, *seq));
            }
            // GTIDs of both vendors in one file.
            if added.is_err() {
                return Err(Damage {
                    at: transaction.start,
                    what: DamageKind::OutOfPlace,
                    expected: event_type.into(),
                    found: event_type.into(),
                });
            }
            self.first_gtid.get_or_insert_with(|| gtid.clone());
            self.last_gtid = Some(gtid.clone());
        }
        let time = transaction.time.header_max;
        self.transactions += 1;
        self.first_transaction_time.get_or_insert(time);
        self.last_transaction_time = self.last_transaction_time.max(Some(time));
        Ok(())
    }
}
