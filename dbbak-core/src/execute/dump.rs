//! Takes a dump: stores what the dump program prints, and proves that it is whole and of one moment.

use super::{
    NewBackup,
    clone::{ask, gtids, unreadable},
    error::ExecuteError,
    files, read_backup,
    replay::describe,
    reporter::Event,
    running::Running,
};
use crate::{
    binlog::{self, EndKind, Transaction},
    model::{BinlogCoordinates, BinlogName, BinlogPosition},
    plan::TakeDump,
    store::{Codec, Digest, PitrState},
    tools::{
        BinlogStatus, DumpFacts, DumpScan, masked_statement, parse_binlog_status, parse_dump_findings, parse_prepared,
    },
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufReader, Read, Write},
    num::NonZero,
    ops::ControlFlow,
    path::Path,
};

const BUFFER: usize = 1 << 18;

/// What flowed by.
struct Stored {
    scan: DumpScan,
    /// When the head was there: every table's moment lies before.
    snapshot: Option<DateTime<Utc>>,
}

/// Takes a dump.
///
/// # Errors
///
/// [`ExecuteError::Dump`] when the program fails, or what it printed does not end as a whole dump does;
/// [`ExecuteError::Prepared`] when XA transactions stood prepared at its moment;
/// [`ExecuteError::SchemaChanged`] when statements changed the schema meanwhile: what is no table's rows is not in the
/// snapshot, so that such a dump is of no one moment.
pub(super) fn take_dump(step: &TakeDump, running: &Running<'_>) -> Result<NewBackup, ExecuteError> {
    let log = &step.launch.log;
    let place = || -> Result<Option<BinlogStatus>, ExecuteError> {
        let Some(status) = &step.status else { return Ok(None) };
        parse_binlog_status(&ask(status, log, running)?).map_err(|error| unreadable(&error))
    };
    let prepared = || parse_prepared(&ask(&step.prepared, log, running)?).map_err(|error| unreadable(&error));
    let before = place()?;
    let (question, planned) = &step.findings;
    let found = parse_dump_findings(&ask(question, log, running)?).map_err(|error| unreadable(&error))?;
    if let Some(new) = found.iter().find(|one| !planned.contains(one)) {
        return Err(failed(step, format!("since the plan was made, this has come: {}", new.shown()), u64::MAX));
    }
    let standing = prepared()?;
    if !standing.is_empty() {
        return Err(ExecuteError::Prepared { ids: standing });
    }
    let head = || {
        let (dir, before) = (step.binlog_dir.as_ref()?, before.as_ref()?);
        read_backup::head_digest(&dir.join(before.at.file.as_str()))
    };
    let head_before = head();
    let (started, since) = (running.clock.now(), running.clock.monotonic());
    let stored = dump(step, running)?;
    let took = running.clock.monotonic().saturating_sub(since);
    let after = place()?;
    let whole = stored.scan.finish().map_err(|error| failed(step, error.to_string(), 0))?;
    let reset = head_before.zip(head()).is_some_and(|(before, after)| before != after);
    let standing = match (&before, &step.binlog_dir, &whole.binlog, reset) {
        (Some(before), Some(dir), Some(at), false) => prepared_between(dir, &before.at, &at.place()),
        _ => None,
    };
    if standing.is_none() && step.binlog_enabled {
        let text = "whether an XA transaction was prepared while the dump was taken, and ended since, is not known: the server's \
                    binlog cannot be read here";
        running.reporter.report(&Event::Warning { text });
    }
    // Where the log cannot be read: what stands prepared after the dump may have done so when it was taken.
    let ids = standing.map_or_else(prepared, Ok)?;
    if !ids.is_empty() {
        return Err(ExecuteError::Prepared { ids });
    }
    let (pitr, binlog_head) = judge(step, &whole, before.zip(after), reset, running)?;
    Ok(NewBackup {
        started_at: started,
        ended_at: stored.snapshot.unwrap_or_else(|| running.clock.now()),
        from_lsn: None,
        to_lsn: None,
        binlog: whole.binlog,
        binlog_head,
        binlog_prefix: None,
        unusable: None,
        last_lsn: None,
        pitr,
        slave_info: None,
        galera_info: None,
        lock_seconds: step.locked.then_some(took.as_secs()),
        tablespaces: None,
        broken: Vec::new(),
    })
}

fn failed(step: &TakeDump, problem: String, log_start: u64) -> ExecuteError {
    let log = &step.launch.log;
    let mut stderr = Vec::new();
    let _ = files::each_line(log, log_start, &mut |line| stderr.push(line.trim_end().to_owned()));
    ExecuteError::Dump { problem, stderr, log: log.clone() }
}

/// Runs the program and stores what it prints.
fn dump(step: &TakeDump, running: &Running<'_>) -> Result<Stored, ExecuteError> {
    let log = &step.launch.log;
    let start = files::length(log);
    let dir = step.file.parent().unwrap_or(Path::new("/"));
    files::create_empty_dir(dir)?;
    let file = files::create_new(&step.file)?;
    let mut process = running.spawn(std::slice::from_ref(&step.launch))?;
    let output = process.take_stdout().unwrap_or_else(|| Box::new(io::empty()));
    let threads = NonZero::new(step.threads as usize).unwrap_or(NonZero::<usize>::MIN);
    let (exits, stored) = std::thread::scope(|scope| {
        let store = scope.spawn(|| store(output, file, (step.codec, threads), &step.prelude, running));
        let exits = running.wait(&mut *process, || {});
        (exits, store.join())
    });
    let exits = exits?;
    let stored = match stored {
        Ok(Ok(stored)) => stored,
        // The program died of what became of its output.
        Ok(Err(source)) => return Err(files::failed("write", &step.file)(source)),
        Err(_) => return Err(failed(step, "its output could not be stored".into(), start)),
    };
    if !exits.iter().all(|exit| exit.status.success()) {
        return Err(failed(step, describe(&exits), start));
    }
    let mut complaint = None;
    files::each_line(log, start, &mut |line| {
        let is_error = line.contains(": Error") || line.contains(": Got error") || line.contains(": Couldn't");
        complaint = complaint.take().or_else(|| is_error.then(|| line.trim_end().to_owned()));
    })?;
    match complaint {
        Some(line) => Err(failed(step, format!("{}, and says {line:?}", describe(&exits)), start)),
        None => Ok(stored),
    }
}

fn store(
    mut output: Box<dyn Read + Send>,
    file: File,
    (codec, threads): (Codec, NonZero<usize>),
    prelude: &str,
    running: &Running<'_>,
) -> io::Result<Stored> {
    let mut encoder = codec.encode(file, threads)?;
    encoder.write_all(prelude.as_bytes())?;
    let mut stored = Stored { scan: DumpScan::default(), snapshot: None };
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match output.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if stored.scan.take(&buffer[..count]).is_some() {
            stored.snapshot = Some(running.clock.now());
        }
        encoder.write_all(&buffer[..count])?;
        running.reporter.report(&Event::Progress { bytes: count as u64 });
    }
    encoder.finish()?.sync_all()?;
    Ok(stored)
}

/// Whether a replay may start from the dump's coordinates, and the digest of their binlog's head.
fn judge(
    step: &TakeDump,
    dump: &DumpFacts,
    between: Option<(BinlogStatus, BinlogStatus)>,
    reset: bool,
    running: &Running<'_>,
) -> Result<(PitrState, Option<Digest>), ExecuteError> {
    let no = |reason: String| Ok((PitrState::No(reason), None));
    if let (Some((_, after)), Some(dir), false) = (&between, &step.binlog_dir, reset)
        && let Some(binlog) = &dump.binlog
    {
        match schema_change(dir, &binlog.place(), &after.at) {
            Seen::Change { statement, at } => return Err(ExecuteError::SchemaChanged { statement, at }),
            Seen::None => {}
            Seen::Unreadable(why) => running.reporter.report(&Event::Warning {
                text: &format!("whether the schema was changed while the dump was taken is not known: {why}"),
            }),
        }
    }
    if !step.accepted.is_empty() {
        return no(format!("it holds tables without transactions of another moment: {}", step.accepted.join(", ")));
    }
    if !step.rounded.is_empty() {
        return no(format!("its FLOAT columns are rounded: {}", step.rounded.join(", ")));
    }
    if !step.binlog_enabled {
        return no("the server writes no binlog (log_bin is off)".into());
    }
    let Some(binlog) = &dump.binlog else { return no("the dump recorded no binlog coordinates".into()) };
    let Some((before, after)) = &between else {
        return no("the server did not say where it wrote its binlog".into());
    };
    let at = binlog.place();
    if reset || at < before.at || after.at < at || !gtids_fit(binlog, before, after) {
        let (before, after) = (&before.at, &after.at);
        return no(format!(
            "the dump's coordinates {at} do not lie between those before it ({before}) and after it ({after}), or their \
             GTIDs do not: were the binlogs reset meanwhile?"
        ));
    }
    match &step.binlog_dir {
        Some(dir) => read_backup::judge_place(dir, binlog),
        None => Ok((PitrState::Yes, None)),
    }
}

/// MySQL: what was executed before is in the dump's set, and that in what was executed after. MariaDB's status has none.
fn gtids_fit(binlog: &BinlogCoordinates, before: &BinlogStatus, after: &BinlogStatus) -> bool {
    let (Some(first), Some(last)) = (before.gtid_executed.as_deref(), after.gtid_executed.as_deref()) else {
        return true;
    };
    match (gtids(Some(first)), gtids(binlog.gtid.as_deref()), gtids(Some(last))) {
        (Some(first), Some(set), Some(last)) => first.is_subset_of(&set) && set.is_subset_of(&last),
        _ => false,
    }
}

enum Seen {
    None,
    Change { statement: String, at: String },
    Unreadable(String),
}

/// The first statement between two places that changed the schema, or the accounts.
fn schema_change(dir: &Path, from: &BinlogPosition, to: &BinlogPosition) -> Seen {
    let mut found = None;
    let read = each_between(dir, (from, to), &mut |file, transaction| {
        let statement = transaction.statement.as_deref().unwrap_or_default();
        if transaction.end_kind == EndKind::Ddl && !is_harmless(statement) {
            found = Some((statement.chars().take(200).collect::<String>(), format!("{file}:{}", transaction.start)));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    match (found, read) {
        (Some((statement, at)), _) => Seen::Change { statement: masked_statement(&statement), at },
        (None, Err(why)) => Seen::Unreadable(why),
        (None, Ok(())) => Seen::None,
    }
}

/// The XA transactions that were prepared between two places and not ended there; none stood prepared at the first.
/// `None` where the log cannot be read.
fn prepared_between(dir: &Path, from: &BinlogPosition, to: &BinlogPosition) -> Option<Vec<String>> {
    let mut standing = BTreeSet::new();
    let read = each_between(dir, (from, to), &mut |_, transaction| {
        if let Some(id) = &transaction.xa {
            match transaction.end_kind {
                EndKind::XaPrepare => drop(standing.insert(id.to_string())),
                EndKind::XaCommit | EndKind::XaRollback => drop(standing.remove(id.as_str())),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    });
    read.is_ok().then(|| standing.into_iter().collect())
}

/// Goes through the transactions between two places.
///
/// # Errors
///
/// Why they cannot be read.
fn each_between(
    dir: &Path,
    (from, to): (&BinlogPosition, &BinlogPosition),
    sink: &mut dyn FnMut(&BinlogName, &Transaction) -> ControlFlow<()>,
) -> Result<(), String> {
    let mut name = from.file.clone();
    loop {
        let path = dir.join(name.as_str());
        let file = files::open_behind(&path).map_err(|_| format!("{} cannot be read here", path.display()))?;
        let start = if name == from.file { from.position } else { 0 };
        let mut ended = false;
        let scanned = binlog::scan(&mut BufReader::with_capacity(1 << 20, file), &mut |transaction| {
            let behind = name == to.file && transaction.start >= to.position;
            ended = behind || (transaction.start >= start && sink(&name, transaction).is_break());
            if ended { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if ended {
            return Ok(());
        }
        scanned.map_err(|error| format!("{}: {error}", path.display()))?;
        if name == to.file {
            return Ok(());
        }
        name = name.successor();
    }
}

/// Statements that change no definition: maintenance, and tables that only their session sees.
fn is_harmless(statement: &str) -> bool {
    let words: Vec<String> = statement
        .split_whitespace()
        .take(4)
        .map(|word| word.trim_matches(['/', '*', '!']).to_ascii_uppercase())
        .collect();
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    matches!(word(0), "ANALYZE" | "OPTIMIZE" | "FLUSH" | "CHECK" | "REPAIR")
        || (matches!(word(0), "CREATE" | "DROP") && words.iter().skip(1).take(3).any(|word| word == "TEMPORARY"))
}
