//! Archives one binlog in one pass: reads, verifies, digests, compresses, publishes.

use super::{
    Event, Reporter,
    chunks::{ChunkSender, chunks},
    error::ExecuteError,
    files,
    summary::{Indexer, describe},
};
use crate::{
    binlog,
    plan::ShipBinlog,
    store::{
        BinlogDamage, BinlogEntry, BinlogIndex, Digest, Encoder, HashingReader, HashingWriter, Operation, Publish,
        Session, StoreError, StoreFile, sums_of, transactions::IndexedFile,
    },
};
use std::{
    fs::File,
    io::{self, Read, Write},
    num::NonZero,
    sync::Arc,
    thread,
};

/// Offset of the low byte of the format description event's flags, whose lowest bit says that the file is in use.
const IN_USE_OFFSET: u64 = 21;

/// Archives one binlog and its transaction index, and returns its index entry; none where the file is no longer there: the
/// server has purged it since the plan was made.
///
/// Every event's checksum is verified on the way. A damaged file is kept too, marked with what is wrong and the offset
/// up to which it may be replayed; its transaction index holds what stands before.
///
/// # Errors
///
/// When the file cannot be read, is no longer the file that the plan was made for, or cannot be stored. Nothing that the
/// index names is in the store then.
pub(super) fn ship_binlog(
    step: &ShipBinlog,
    session: &dyn Session,
    reporter: &dyn Reporter,
) -> Result<Option<BinlogEntry>, ExecuteError> {
    let file = match files::open_behind(&step.from) {
        Err(ExecuteError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    clear_leftover(step, session)?;
    let mut publish = session.publish(&step.to)?;
    // What a run left that was killed before it entered the binlog into the index.
    session.remove(&step.index_to)?;
    let mut index = session.publish(&step.index_to)?;
    let result = pass_over(step, file, &mut *publish, &mut *index, reporter);
    match result {
        Ok(entry) => {
            publish.commit()?;
            match entry.tx {
                Some(_) => index.commit().map(|_| ())?,
                None => index.abort()?,
            }
            Ok(Some(entry))
        }
        Err(error) => {
            publish.abort()?;
            index.abort()?;
            Err(error)
        }
    }
}

/// Removes the copy of this very file that a run left which was killed before it entered it into the index. Other content
/// stays, and keeps the name.
fn clear_leftover(step: &ShipBinlog, session: &dyn Session) -> Result<(), ExecuteError> {
    if session.head(&step.to)?.is_none() {
        return Ok(());
    }
    // Only what no run has entered is a leftover.
    let sums = sums_of(StoreFile::load(session)?.map(|(file, _)| file).as_ref());
    let index = BinlogIndex::load(session, sums)?.map(|(index, _)| index).unwrap_or_default();
    if index.into_entries().iter().any(|entry| entry.stored_as == step.entry.stored_as) {
        return Err(StoreError::AlreadyExists { key: step.to.clone(), operation: Operation::Publish }.into());
    }
    let digest_of = |input: &mut dyn Read| {
        let mut start = Vec::new();
        (&mut *input).take(64).read_to_end(&mut start)?;
        clear_in_use(&mut start, 0);
        let mut content = HashingReader::new(start.as_slice().chain(input));
        io::copy(&mut content, &mut io::sink()).map(|_| content.digest())
    };
    let mut source = files::open_behind(&step.from)?.take(step.bytes.unwrap_or(u64::MAX));
    let wanted = digest_of(&mut source).map_err(|source| step_error(step, source))?;
    let left = digest_of(&mut step.codec.decode(session.open(&step.to, None)?));
    if left.is_ok_and(|left| left == wanted) {
        session.remove(&step.to)?;
    }
    Ok(())
}

/// The one pass. This thread reads, digests, packs and stores; another one verifies, summarises and indexes. Each is about
/// half of the work.
fn pass_over(
    step: &ShipBinlog,
    file: File,
    publish: &mut dyn Publish,
    index: &mut dyn Publish,
    reporter: &dyn Reporter,
) -> Result<BinlogEntry, ExecuteError> {
    let failed = |source| step_error(step, source);
    let mut output = output(publish, step).map_err(failed)?;
    let mut indexer = Indexer::new(index).map_err(failed)?;
    let (copied, scanned) = thread::scope(|scope| {
        let (sender, mut chunks) = chunks();
        let indexer = &mut indexer;
        let scan = scope.spawn(move || binlog::scan(&mut chunks, &mut |transaction| indexer.see(transaction)));
        let copied = copy(file.take(step.bytes.unwrap_or(u64::MAX)), &mut output, sender, reporter);
        (copied, scan.join())
    });
    let (size, digest) = copied.map_err(failed)?;
    let scan = scanned.map_err(|_| failed(io::Error::other("the scan ended without a word")))?;
    let stored = output.finish().map_err(failed)?;
    let mut entry = step.entry.clone();
    entry.size = size;
    entry.digest = Some(digest);
    entry.stored_size = Some(stored.count());
    entry.stored_digest = Some(stored.digest());
    let scan = match scan {
        Ok(scan) => scan,
        // No binlog at all, as far as can be told: kept for a person to look at, never replayed.
        Err(error) => {
            entry.damaged = Some(BinlogDamage { what: error.to_string(), last_good: 0, ..BinlogDamage::default() });
            return Ok(entry);
        }
    };
    let indexed = IndexedFile { digest, size, max_event_stamp: scan.max_event_time };
    let (tx, times) = indexer.finish(&indexed).map_err(failed)?;
    if let Some(expected) = &step.head
        && Some(*expected) != scan.head.digest.parse().ok()
    {
        let (expected, found) = (expected.to_string(), scan.head.digest);
        return Err(ExecuteError::BinlogChanged { path: step.from.clone(), expected, found });
    }
    entry.tx = Some(tx);
    describe(&mut entry, &scan, times, step.partial);
    Ok(entry)
}

/// Clears the in-use bit in a piece of a binlog that begins at an offset.
pub(super) fn clear_in_use(bytes: &mut [u8], offset: u64) {
    if let Some(flags) = IN_USE_OFFSET.checked_sub(offset).and_then(|at| bytes.get_mut(at as usize)) {
        *flags &= !1;
    }
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

/// The stored side: coded as the plan says, and the digest of what is stored.
fn output<'a>(publish: &'a mut dyn Publish, step: &ShipBinlog) -> io::Result<Encoder<Hashed<'a>>> {
    let threads = NonZero::new(step.threads as usize).unwrap_or(NonZero::<usize>::MIN);
    step.codec.encode(HashingWriter::new(publish), threads)
}

/// A publication whose bytes are digested and counted.
type Hashed<'a> = HashingWriter<&'a mut dyn Publish>;

/// Copies a file to the stored side and to the scan, the in-use bit cleared: it says something about the server, nothing
/// about the content. Damage ends the scan, not the copy. Returns the bytes copied and their digest.
fn copy(
    mut input: impl Read,
    output: &mut Encoder<impl Write>,
    sender: ChunkSender,
    reporter: &dyn Reporter,
) -> io::Result<(u64, Digest)> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    loop {
        if let Some(signal) = reporter.interrupted() {
            return Err(super::interruption(signal));
        }
        let mut chunk = sender.read(&mut input)?;
        let bytes = chunk.bytes.len() as u64;
        if bytes == 0 {
            return Ok((offset, hasher.finalize().into()));
        }
        clear_in_use(&mut chunk.bytes, offset);
        hasher.update(&chunk.bytes);
        let chunk = Arc::new(chunk);
        // The scan first: it can go on while this thread waits for room to pack.
        sender.send(Arc::clone(&chunk));
        output.write_shared(chunk)?;
        offset += bytes;
        reporter.report(&Event::Progress { bytes });
    }
}
