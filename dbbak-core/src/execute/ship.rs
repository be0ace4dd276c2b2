//! Archives one binlog in one pass: reads, verifies, digests, compresses, publishes.

use super::{Event, Reporter, error::ExecuteError, files};
use crate::{
    binlog::{self, BinlogError, Ending, FileScan},
    model::LogTime,
    plan::ShipBinlog,
    store::{
        BinlogDamage, BinlogEnding, BinlogEntry, Codec, Digest, Encoder, Operation, PartialBinlog, Publish, Session,
        StoreError,
    },
};
use std::{
    io::{self, Read, Write},
    num::NonZero,
    ops::ControlFlow,
};

/// Offset of the low byte of the format description event's flags, whose lowest bit says that the file is in use.
const IN_USE_OFFSET: u64 = 21;

/// Archives one binlog and returns its index entry.
///
/// Every event's checksum is verified on the way. A damaged file is kept too, marked with what is wrong and the offset
/// up to which it may be replayed.
///
/// # Errors
///
/// When the file cannot be read, is no longer the file that the plan was made for, or cannot be stored. Nothing of it is
/// in the store then.
pub(super) fn ship_binlog(
    step: &ShipBinlog,
    session: &dyn Session,
    reporter: &dyn Reporter,
) -> Result<BinlogEntry, ExecuteError> {
    let file = files::open(&step.from)?;
    let mut publish = session.publish(&step.to)?;
    let result = (|| {
        let mut output = output(&mut *publish, step).map_err(|source| step_error(step, source))?;
        let scan = {
            let mut input = Tee {
                input: file.take(step.bytes.unwrap_or(u64::MAX)),
                output: &mut output,
                offset: 0,
                hasher: blake3::Hasher::new(),
                reporter,
            };
            let scan = binlog::scan(&mut input, &mut |_| ControlFlow::Continue(()));
            // Damage ends the scan, not the copy.
            io::copy(&mut input, &mut io::sink()).map_err(|source| step_error(step, source))?;
            Scanned { scan, size: input.offset, digest: Digest::from(input.hasher.finalize()) }
        };
        let stored = output.finish().map_err(|source| step_error(step, source))?;
        let (stored_size, stored_digest) = (stored.size, Digest::from(stored.hasher.finalize()));
        entry_of(step, scan, stored_size, stored_digest)
    })();
    match result {
        Ok(entry) => {
            publish.commit()?;
            Ok(entry)
        }
        Err(error) => {
            publish.abort()?;
            Err(error)
        }
    }
}

struct Scanned {
    scan: Result<FileScan, BinlogError>,
    size: u64,
    digest: Digest,
}

fn entry_of(
    step: &ShipBinlog,
    scanned: Scanned,
    stored_size: u64,
    stored_digest: Digest,
) -> Result<BinlogEntry, ExecuteError> {
    let mut entry = step.entry.clone();
    entry.size = scanned.size;
    entry.digest = Some(scanned.digest);
    entry.stored_size = Some(stored_size);
    entry.stored_digest = Some(stored_digest);
    let scan = match scanned.scan {
        Ok(scan) => scan,
        // No binlog at all, as far as can be told: kept for a person to look at, never replayed.
        Err(error) => {
            entry.damaged = Some(BinlogDamage { what: error.to_string(), last_good: 0, ..BinlogDamage::default() });
            return Ok(entry);
        }
    };
    if let Some(expected) = &step.head
        && Some(*expected) != scan.head.digest.parse().ok()
    {
        let (expected, found) = (expected.to_string(), scan.head.digest);
        return Err(ExecuteError::BinlogChanged { path: step.from.clone(), expected, found });
    }
    let newest = LogTime::from_seconds(scan.max_event_time);
    entry.head = scan.head.digest.parse().ok();
    entry.first_event_time = LogTime::from_seconds(scan.head.first_event_time);
    entry.last_event_time = LogTime::from_seconds(scan.last_event_time);
    entry.max_event_time = Some(newest);
    entry.first_transaction_time = scan.first_transaction_time.map(LogTime::from_seconds);
    entry.last_transaction_time = scan.last_transaction_time.map(LogTime::from_seconds);
    entry.transactions = Some(scan.transactions);
    entry.gtids_before = scan.head.previous_gtids.as_ref().map(ToString::to_string);
    entry.gtids_added = scan.gtids.as_ref().map(ToString::to_string);
    match &scan.ending {
        Ending::Rotate { next, .. } => {
            entry.ending = Some(BinlogEnding::Rotate);
            entry.successor = Some(next.clone());
        }
        Ending::Stop => entry.ending = Some(BinlogEnding::Stop),
        Ending::Open => entry.ending = Some(BinlogEnding::Crashed),
        Ending::InTransaction { .. } | Ending::Truncated { .. } if step.partial => {
            entry.ending = Some(BinlogEnding::Crashed);
        }
        other => {
            entry.damaged =
                Some(BinlogDamage { what: other.to_string(), last_good: scan.good_end, ..BinlogDamage::default() });
        }
    }
    if step.partial {
        entry.partial = Some(PartialBinlog { last_good: scan.good_end, ..PartialBinlog::default() });
    }
    // What a closed file's successor does not hold either: everything before the moment at which the file was closed.
    // That is its last event's stamp, not the newest: a client can set a transaction's into the future. No archive
    // reaches beyond the moment of archiving.
    if entry.damaged.is_none() {
        // Of a file that was still open nothing is known after its last event: another server may have taken over.
        let closed = if step.partial { entry.last_event_time.end_of_second() } else { entry.last_event_time };
        let archived = entry.archived_at.map(LogTime::from_utc);
        entry.reaches = Some(archived.map_or(closed, |archived| closed.min(archived)));
    }
    Ok(entry)
}

fn step_error(step: &ShipBinlog, source: io::Error) -> ExecuteError {
    if let Some(signal) = super::interrupted_by(&source) {
        return ExecuteError::Interrupted { signal };
    }
    match StoreError::from_io(&step.to, Operation::Write, source) {
        StoreError::Io { source, .. } => ExecuteError::Io { action: "archive", path: step.from.clone(), source },
        error => error.into(),
    }
}

/// A publication whose bytes are digested and counted.
struct HashedPublish<'a> {
    publish: &'a mut dyn Publish,
    hasher: blake3::Hasher,
    size: u64,
}

impl Write for HashedPublish<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.publish.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.publish.flush()
    }
}

/// The stored side: coded as the plan says, and the digest of what is stored.
fn output<'a>(publish: &'a mut dyn Publish, step: &ShipBinlog) -> io::Result<Encoder<HashedPublish<'a>>> {
    let plain = HashedPublish { publish, hasher: blake3::Hasher::new(), size: 0 };
    let threads = NonZero::new(step.threads as usize).unwrap_or(NonZero::<usize>::MIN);
    let codec = if step.gzip { Codec::Gzip } else { Codec::Plain };
    codec.encode(plain, threads)
}

/// Hands on what it reads to the stored side, the in-use bit cleared: it says something about the server, nothing about
/// the content.
struct Tee<'a, 'b, R> {
    input: R,
    output: &'a mut Encoder<HashedPublish<'b>>,
    offset: u64,
    hasher: blake3::Hasher,
    reporter: &'a dyn Reporter,
}

impl<R: Read> Read for Tee<'_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(signal) = self.reporter.interrupted() {
            return Err(super::interruption(signal));
        }
        let count = self.input.read(buffer)?;
        let bytes = &mut buffer[..count];
        if let Some(flags) = IN_USE_OFFSET.checked_sub(self.offset).and_then(|at| bytes.get_mut(at as usize)) {
            *flags &= !1;
        }
        self.hasher.update(bytes);
        self.output.write_all(bytes)?;
        self.offset += count as u64;
        self.reporter.report(&Event::Progress { bytes: count as u64 });
        Ok(count)
    }
}
