//! Takes binlogs out of the archive while verifying them, and notes what a replay of them must log.

use super::{Event, Reporter, error::ExecuteError, files, origins::Origins, proof::ExpectedLog, untold::UntoldLook};
use crate::{
    binlog::{self, FileHead, Outside, Transaction},
    model::BinlogName,
    plan::{BinlogCopy, UnpackBinlogs},
    store::{BinlogEntry, Digest, StoreReader, open_binlog},
};
use std::{
    io::{self, BufWriter, Read, Write},
    ops::ControlFlow,
    path::Path,
};

/// Unpacks one of a window's files, notes its transactions in `expected`, and in `untold` what no log tells of them.
///
/// # Errors
///
/// When the archived file is missing, differs from what was archived, or an end of the window is no transaction boundary.
pub(super) fn unpack_file(
    step: &UnpackBinlogs,
    place: usize,
    store: &dyn StoreReader,
    (expected, untold): (&mut ExpectedLog, &mut UntoldLook),
    reporter: &dyn Reporter,
) -> Result<(), ExecuteError> {
    let names = step.names();
    let (Some(entry), Some(name)) = (step.files.get(place), names.get(place)) else {
        return Err(ExecuteError::BadPlan { problem: format!("the window has no file {}", place + 1) });
    };
    expected.begin(entry, Origins::of(step, place));
    let found =
        copy_binlog(entry, (&step.dir, name), step.span_of(place), store, reporter, &mut |transaction, inside| {
            expected.remember(transaction);
            if !inside {
                return Ok(());
            }
            let skipped = transaction.gtid.as_ref().is_some_and(|gtid| step.skip.contains(gtid));
            match skipped {
                true => expected.leave_out(&entry.name, transaction)?,
                false => stays_inside(step, &entry.name, transaction, reporter)?,
            }
            untold.see(&step.told, (&entry.name, transaction), skipped, reporter);
            expected.note(name, transaction)
        })?;
    if let Some(copy) = step.copies.get(place) {
        fit(&step.dir.join(name.as_str()), copy, &found)?;
    }
    expected.file(name);
    Ok(())
}

/// Refuses a transaction that would make files outside of the work directory; tells of one that names a directory which is
/// left aside.
fn stays_inside(
    step: &UnpackBinlogs,
    file: &BinlogName,
    transaction: &Transaction,
    reporter: &dyn Reporter,
) -> Result<(), ExecuteError> {
    let Some(outside) = transaction.outside.clone() else { return Ok(()) };
    let gtid = transaction.gtid.as_ref().map(|gtid| format!("{gtid} at ")).unwrap_or_default();
    let transaction = format!("{gtid}{file}:{}", transaction.start);
    match outside {
        Outside::Table(path) if step.leaves_directories_aside => {
            let text = format!(
                "transaction {transaction} has a table in {path:?}: it is made in the restored data directory, and its definition \
                 does not name that directory"
            );
            reporter.report(&Event::Warning { text: &text });
            Ok(())
        }
        Outside::Table(path) => Err(ExecuteError::PutsOutside { transaction, path: path.into(), table: true }),
        Outside::Tablespace(path) => Err(ExecuteError::PutsOutside { transaction, path: path.into(), table: false }),
        Outside::Unread if step.leaves_directories_aside => Ok(()),
        Outside::Unread => Err(ExecuteError::PutsOutside { transaction, path: "?".into(), table: true }),
    }
}

/// Unpacks one file while verifying it; the sink gets each transaction that ends before the stop, and whether it lies behind
/// the start.
///
/// # Errors
///
/// When the archived file is missing, differs from what was archived, or start or stop are no transaction boundaries.
pub(super) fn copy_binlog(
    entry: &BinlogEntry,
    (dir, name): (&Path, &BinlogName),
    (start, stop): (u64, u64),
    store: &dyn StoreReader,
    reporter: &dyn Reporter,
    sink: &mut dyn FnMut(&Transaction, bool) -> Result<(), ExecuteError>,
) -> Result<Unpacked, ExecuteError> {
    let path = dir.join(name.as_str());
    let damaged = |problem: String| ExecuteError::ArchivedBinlog { stored_as: entry.stored_as.to_string(), problem };
    let mut copy = Copy {
        input: open_binlog(store, entry)?,
        output: BufWriter::with_capacity(1 << 20, files::create_new(&path)?),
        hasher: blake3::Hasher::new(),
        size: 0,
        reporter,
        write_failed: false,
    };
    let mut noted = Ok(());
    let mut cut_through = None;
    let mut last_end = 0;
    let scan = binlog::scan(&mut copy, &mut |transaction| {
        let through = |place| transaction.start < place && transaction.end > place;
        if through(start) || through(stop) {
            cut_through = Some(if transaction.start < start { start } else { stop });
        } else if transaction.end <= stop {
            noted = sink(transaction, transaction.start >= start);
        }
        last_end = transaction.end;
        if noted.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    noted?;
    let drained = io::copy(&mut copy, &mut io::sink());
    if copy.write_failed {
        return Err(drained.err().map_or_else(
            || damaged("it could not be written".into()),
            |source| ExecuteError::Io { action: "write", path: path.clone(), source },
        ));
    }
    if let Err(source) = drained {
        return Err(match super::interrupted_by(&source) {
            Some(signal) => ExecuteError::Interrupted { signal },
            None => damaged(format!("it cannot be unpacked: {source}")),
        });
    }
    copy.output.flush().map_err(files::failed("write", &path))?;
    let digest = Digest::from(copy.hasher.finalize());
    if copy.size != entry.size {
        return Err(damaged(format!("expected {} bytes, found {}", entry.size, copy.size)));
    }
    if let Some(expected) = entry.digest.filter(|expected| *expected != digest) {
        return Err(damaged(format!("expected digest {expected}, found {digest}")));
    }
    let scan = scan.map_err(|error| damaged(error.to_string()))?;
    if let Some(position) = cut_through {
        return Err(ExecuteError::NotABoundary { file: entry.name.clone(), position });
    }
    // Where a window ends inside a file, what lies behind the end may be damaged.
    if scan.good_end < stop.min(entry.good_bytes()) {
        return Err(damaged(format!("whole transactions end at byte {}", scan.good_end)));
    }
    let end = last_end.max(scan.head.length);
    Ok(Unpacked { head: scan.head, end })
}

/// What was seen of a file that was unpacked.
#[derive(Debug)]
pub(super) struct Unpacked {
    head: FileHead,
    /// The end of its last whole transaction, or of its head.
    end: u64,
}

/// Makes a copy ready to be one of several that are read as one log.
fn fit(path: &Path, copy: &BinlogCopy, found: &Unpacked) -> Result<(), ExecuteError> {
    if let Some(enter) = copy.enter {
        let from = found.head.length;
        files::overwrite(path, from, |output| binlog::fill(&found.head, from, enter, output))?;
    }
    match copy.leave {
        Some(leave) => files::truncate(path, leave),
        None if copy.trim => files::truncate(path, found.end),
        None => Ok(()),
    }
}

struct Copy<'a> {
    input: Box<dyn Read + Send>,
    output: BufWriter<std::fs::File>,
    hasher: blake3::Hasher,
    size: u64,
    reporter: &'a dyn Reporter,
    write_failed: bool,
}

impl Read for Copy<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(signal) = self.reporter.interrupted() {
            return Err(super::interruption(signal));
        }
        let count = self.input.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.output.write_all(&buffer[..count]).inspect_err(|_| self.write_failed = true)?;
        self.size += count as u64;
        self.reporter.report(&Event::Progress { bytes: count as u64 });
        Ok(count)
    }
}
