//! Reads an archived binlog once more, and makes its transaction index and the facts of its entry anew.

use super::{
    Event, Reporter,
    error::ExecuteError,
    outcome::IndexedBinlog,
    summary::{Indexer, describe, tell_order},
};
use crate::{
    binlog::{self, BinlogError},
    model::LogTime,
    plan::IndexBinlog,
    store::{
        BinlogDamage, BinlogEntry, BinlogSource, Codec, Digest, HashingReader, KeyPart, Operation, Session, StoreError,
        StoreReader, StoredBinlog, StoredBinlogError, TransactionIndexFile, codec_of, layout,
        transactions::IndexedFile,
    },
};
use std::{
    io::{self, Read, Write},
    sync::{Arc, Mutex, PoisonError},
};

/// Makes the transaction index of an archived binlog, in place of the one that is there, and completes its entry.
///
/// An archived file that cannot be read, or is not what was recorded, is no error: nothing is changed then, and the outcome
/// says why.
///
/// # Errors
///
/// When the store cannot be written, or the run is interrupted.
pub(super) fn index_binlog(
    step: &IndexBinlog,
    session: &dyn Session,
    reporter: &dyn Reporter,
) -> Result<IndexedBinlog, ExecuteError> {
    let left = |problem: String| IndexedBinlog { stored_as: step.entry.stored_as.clone(), result: Err(problem) };
    let write_error = |source| ExecuteError::from(StoreError::from_io(&step.to, Operation::Write, source));
    let stored = match (codec_of(&step.entry), session.open(&step.from, None)) {
        (Ok(codec), Ok(stored)) => (codec, stored),
        (Err(error), _) | (_, Err(error)) => return Ok(left(error.to_string())),
    };
    let counted = Arc::new(Mutex::new(Counted::default()));
    let stored = (stored.0, Counting { input: stored.1, counted: Arc::clone(&counted) });
    let mut input = Original { input: stored.0.decode(stored.1), hasher: blake3::Hasher::new(), size: 0, reporter };
    let mut publish = match step.rewrite {
        true => {
            // The one that is there is of no use, and a file that is published never replaces another.
            session.remove(&step.to)?;
            Some(session.publish(&step.to)?)
        }
        false => None,
    };
    let mut nowhere = io::sink();
    let into: &mut (dyn Write + Send) = match &mut publish {
        Some(publish) => publish,
        None => &mut nowhere,
    };
    let mut indexer = Indexer::new(into).map_err(write_error)?;
    let scanned = binlog::scan(&mut input, &mut |transaction| indexer.see(transaction));
    let read = match scanned {
        Ok(scan) => io::copy(&mut input, &mut io::sink()).map(|_| scan).map_err(BinlogError::Input),
        Err(error) => Err(error),
    };
    let scan = match read {
        Ok(scan) => scan,
        Err(error) => {
            publish.map_or(Ok(()), |publish| publish.abort())?;
            if let BinlogError::Input(source) = &error
                && let Some(signal) = super::interrupted_by(source)
            {
                return Err(ExecuteError::Interrupted { signal });
            }
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            return Ok(left(format!("{error}{cause}")));
        }
    };
    let (digest, size) = (Digest::from(input.hasher.finalize()), input.size);
    let indexed = IndexedFile { digest, size, max_event_stamp: scan.max_event_time };
    let (tx, times) = indexer.finish(&indexed).map_err(write_error)?;
    let mut entry = step.entry.clone();
    if let Some(problem) = contradiction(&entry, digest, size) {
        publish.map_or(Ok(()), |publish| publish.abort())?;
        return Ok(left(problem));
    }
    entry.tx = Some(match publish {
        Some(publish) => {
            publish.commit()?;
            tx
        }
        None => {
            let mut there = HashingReader::new(session.open(&step.to, None)?);
            let read = |source| ExecuteError::from(StoreError::from_io(&step.to, Operation::Read, source));
            io::copy(&mut there, &mut io::sink()).map_err(read)?;
            TransactionIndexFile { digest: there.digest(), size: there.count(), unknown: Default::default() }
        }
    });
    if entry.transactions.is_none() {
        entry.digest = Some(digest);
        let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        entry.stored_digest = Some(Digest::from(counted.hasher.finalize()));
        entry.stored_size = Some(counted.size);
        entry.source.get_or_insert_with(|| BinlogSource {
            server_id: Some(scan.head.server_id),
            version: Some(scan.head.server_version.clone()),
            ..BinlogSource::default()
        });
        let partial = entry.partial.is_some();
        describe(&mut entry, &scan, times, partial);
    } else {
        times.enter(&mut entry);
        tell_order(&mut entry, &scan);
    }
    Ok(IndexedBinlog { stored_as: entry.stored_as.clone(), result: Ok(Box::new(entry)) })
}

/// Makes the entry of an archived binlog from its name and its content alone, without its timeline and its transaction index.
///
/// # Errors
///
/// Why it cannot be described, in words: its name or its coding is not known, or what lies there cannot be decoded.
pub fn describe_stored(
    reader: &dyn StoreReader,
    stored_as: &KeyPart,
    reporter: &dyn Reporter,
) -> Result<BinlogEntry, String> {
    let name: StoredBinlog = stored_as.as_str().parse().map_err(|error: StoredBinlogError| error.to_string())?;
    let codec = Codec::from_suffix(&name.coding).map_err(|error| error.to_string())?;
    let key = layout::binlog(stored_as);
    let archived = reader.head(&key).map_err(|error| error.to_string())?.and_then(|info| info.modified);
    let stored = reader.open(&key, None).map_err(|error| error.to_string())?;
    let counted = Arc::new(Mutex::new(Counted::default()));
    let stored = Counting { input: stored, counted: Arc::clone(&counted) };
    let mut input = Original { input: codec.decode(stored), hasher: blake3::Hasher::new(), size: 0, reporter };
    let mut nowhere = io::sink();
    let mut indexer = Indexer::new(&mut nowhere).map_err(|error| error.to_string())?;
    let scanned = binlog::scan(&mut input, &mut |transaction| indexer.see(transaction));
    let scan = match scanned {
        Err(BinlogError::Input(error)) => return Err(error.to_string()),
        scan => scan,
    };
    // Behind damage too: the digests are those of the whole.
    io::copy(&mut input, &mut io::sink()).map_err(|error| error.to_string())?;
    let (digest, size) = (Digest::from(input.hasher.finalize()), input.size);
    let begun = LogTime::from_utc(name.first.at());
    let mut entry = BinlogEntry::basic(name.name.clone(), stored_as.clone(), size, begun, begun);
    entry.digest = Some(digest);
    let counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
    entry.stored_digest = Some(Digest::from(counted.hasher.finalize()));
    entry.stored_size = Some(counted.size);
    entry.archived_at = archived;
    match scan {
        Ok(scan) => {
            let indexed = IndexedFile { digest, size, max_event_stamp: scan.max_event_time };
            let (_, times) = indexer.finish(&indexed).map_err(|error| error.to_string())?;
            entry.source = Some(BinlogSource {
                server_id: Some(scan.head.server_id),
                version: Some(scan.head.server_version.clone()),
                ..BinlogSource::default()
            });
            describe(&mut entry, &scan, times, false);
        }
        Err(error) => {
            entry.damaged = Some(BinlogDamage { what: error.to_string(), last_good: 0, ..BinlogDamage::default() });
        }
    }
    Ok(entry)
}

/// What of the content is not as the index says.
fn contradiction(entry: &BinlogEntry, digest: Digest, size: u64) -> Option<String> {
    if entry.size != size {
        return Some(format!("{size} bytes, and the index says {}", entry.size));
    }
    entry.digest.filter(|recorded| *recorded != digest).map(|recorded| format!("digest {digest}, expected {recorded}"))
}

#[derive(Default)]
struct Counted {
    hasher: blake3::Hasher,
    size: u64,
}

/// Digests and counts what lies in the store, on its way to the decoder.
struct Counting {
    input: Box<dyn Read + Send>,
    counted: Arc<Mutex<Counted>>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.hasher.update(&buffer[..count]);
        counted.size += count as u64;
        Ok(count)
    }
}

/// The decoded content.
struct Original<'a> {
    input: Box<dyn Read + Send + 'a>,
    hasher: blake3::Hasher,
    size: u64,
    reporter: &'a dyn Reporter,
}

impl Read for Original<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(signal) = self.reporter.interrupted() {
            return Err(super::interruption(signal));
        }
        let count = self.input.read(buffer)?;
        let bytes = &mut buffer[..count];
        // Another program's copy may still have the in-use bit, which says nothing about the content.
        super::ship::clear_in_use(bytes, self.size);
        self.hasher.update(bytes);
        self.size += count as u64;
        self.reporter.report(&Event::Progress { bytes: count as u64 });
        Ok(count)
    }
}
