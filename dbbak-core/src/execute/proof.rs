//! Compares what a replay must log, transaction by transaction, with what the private server logged.

use super::{
    error::ExecuteError,
    files,
    landmarks::{Landmarks, Marks},
    origins::Origins,
    proof_line::{FAILED, expected_line, filled, is_failed, line_of, merged, same},
    temporaries::Temporaries,
};
use crate::{
    binlog::{EndKind, Transaction},
    halfway::Compared,
    model::{BinlogName, BinlogPosition, Gtid},
    store::{BinlogEntry, Digest},
};
use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, BufWriter, Lines, Write},
    path::{Path, PathBuf},
};

/// The transactions that a replay must log, one line each, in a file a batch: a window may hold more than memory does.
#[derive(Debug)]
pub(super) struct ExpectedLog {
    path: PathBuf,
    batch: usize,
    lines: BufWriter<File>,
    transactions: u64,
    landmarks: Landmarks,
    temporaries: Temporaries,
}

impl ExpectedLog {
    /// An empty list.
    pub(super) fn create(path: &Path, landmarks: Landmarks) -> Result<Self, ExecuteError> {
        // A dead run's lists may be of other batches.
        if let (Some(dir), Some(name)) = (path.parent(), path.file_name()) {
            let name = format!("{}.", name.to_string_lossy());
            for list in files::names_in(dir)?.iter().filter(|list| list.starts_with(&name)) {
                files::remove_file(&dir.join(list))?;
            }
        }
        let lines = begin(path)?;
        let temporaries = Temporaries::default();
        Ok(ExpectedLog { path: path.to_owned(), batch: 0, lines, transactions: 0, landmarks, temporaries })
    }

    /// Adds the next transaction of the window, which stands in this file.
    ///
    /// A group that ends with a rollback changed nothing that could be rolled back, and one that holds nothing but
    /// savepoints changed nothing at all; a client that replays it does the same, and a server need not log that again
    /// (seen on MariaDB 10.11.19). So it counts, and is not expected to appear; no more is one about temporary tables alone.
    pub(super) fn note(&mut self, file: &BinlogName, transaction: &Transaction) -> Result<(), ExecuteError> {
        self.transactions += 1;
        let skipped = self.landmarks.pass(file, transaction);
        let temporary = self.temporaries.alone(transaction);
        if skipped || temporary || may_be_left_out(transaction) {
            return Ok(());
        }
        let place = Expected {
            at: BinlogPosition { file: file.clone(), position: transaction.start },
            end: transaction.end,
            number: self.transactions,
            time: self.landmarks.newest,
        };
        writeln!(self.lines, "{place}\t{}", expected_line(transaction)).map_err(files::failed("write", &self.path))
    }

    /// Takes note of a transaction that is to be left out, which stands in this file of the archive.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::SkipRepeated`] where another one of the window has the same GTID.
    pub(super) fn leave_out(&mut self, file: &BinlogName, transaction: &Transaction) -> Result<(), ExecuteError> {
        let Some(first) = self.landmarks.leave_out(file, transaction) else { return Ok(()) };
        let gtid = transaction.gtid.as_ref().map(ToString::to_string).unwrap_or_default();
        let again = BinlogPosition { file: file.clone(), position: transaction.start };
        Err(ExecuteError::SkipRepeated { gtid, places: Box::new((first, again)) })
    }

    /// Notes that a file of the batch was read to its end.
    pub(super) fn file(&mut self, file: &BinlogName) {
        self.landmarks.file(file);
    }

    /// Completes the list of a batch: from now on it may be read.
    pub(super) fn end_batch(&mut self) -> Result<Marks, ExecuteError> {
        self.lines.flush().map_err(files::failed("write", &self.path))?;
        let (written, list) = (unfinished(&self.path), list_of(&self.path, self.batch));
        files::rename(&written, &list)?;
        self.batch += 1;
        self.lines = begin(&self.path)?;
        Ok(self.landmarks.end_batch())
    }

    /// Takes the next file of the window.
    pub(super) fn begin(&mut self, entry: &BinlogEntry, origins: Origins) {
        self.landmarks.begin(entry, origins);
    }

    /// Takes a transaction of the history, be it in the window or before it.
    pub(super) fn remember(&mut self, transaction: &Transaction) {
        self.landmarks.remember(transaction);
    }

    /// Ends the last list.
    pub(super) fn finish(&mut self) -> Result<(), ExecuteError> {
        files::remove_file(&unfinished(&self.path))
    }

    /// What was noted of the way.
    pub(super) fn landmarks(&self) -> &Landmarks {
        &self.landmarks
    }

    /// How many transactions were noted.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions
    }
}

/// A list that is being written: under this name nobody reads it.
fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn begin(path: &Path) -> Result<BufWriter<File>, ExecuteError> {
    let path = unfinished(path);
    files::remove_file(&path)?;
    Ok(BufWriter::new(files::create_new(&path)?))
}

/// The list of a batch; the first has the number 0.
fn list_of(path: &Path, batch: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", batch + 1));
    name.into()
}

/// A transaction that a replay must log, as a place in the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    /// Where it begins.
    pub(super) at: BinlogPosition,
    /// Where it ends, in the same file.
    pub(super) end: u64,
    /// Its number in the window, from 1.
    pub(super) number: u64,
    /// The latest time of any transaction up to it, seconds since 1970, UTC.
    pub(super) time: u64,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Expected { at, end, number, time } = self;
        write!(f, "{}\t{end}\t{number}\t{time}\t{}", at.position, at.file)
    }
}

/// A line of the list: where the transaction stands, and what is compared.
fn split_line(line: &str) -> Option<(Expected, &str)> {
    let mut parts = line.splitn(6, '\t');
    let mut number = || parts.next()?.parse().ok();
    let (position, end, number, time) = (number()?, number()?, number()?, number()?);
    let at = BinlogPosition { file: parts.next()?.parse().ok()?, position };
    Some((Expected { at, end, number, time }, parts.next()?))
}

/// The lists of a window's batches in order, as they are completed. What was read is removed.
#[derive(Debug)]
pub(super) struct Lists {
    path: PathBuf,
    batch: usize,
    lines: Option<Lines<BufReader<File>>>,
    /// The line before the last, and the last one that was read.
    before: Option<Expected>,
    last: Option<Expected>,
    taken: Taken,
}

/// Which lines were taken of the lists.
#[derive(Debug, Default)]
struct Taken {
    lines: u64,
    /// Of all but the last.
    before: Box<blake3::Hasher>,
    last: String,
}

impl Taken {
    fn take(&mut self, line: &str) {
        self.lines += 1;
        self.before.update(self.last.as_bytes());
        self.last.clear();
        self.last.push_str(line);
        self.last.push('\n');
    }

    /// Their digest, with the last one or without it.
    fn digest(&self, with_last: bool) -> Digest {
        let mut all = self.before.clone();
        if with_last {
            all.update(self.last.as_bytes());
        }
        all.finalize().into()
    }
}

impl Lists {
    pub(super) fn new(path: &Path) -> Self {
        Lists { path: path.to_owned(), batch: 0, lines: None, before: None, last: None, taken: Taken::default() }
    }
}

impl Iterator for Lists {
    type Item = Result<String, ExecuteError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let path = list_of(&self.path, self.batch);
            let lines = match &mut self.lines {
                Some(lines) => lines,
                None => match files::open_if_there(&path) {
                    Ok(Some(file)) => self.lines.insert(BufReader::new(file).lines()),
                    // The next batch is not complete yet.
                    Ok(None) => return None,
                    Err(error) => return Some(Err(error)),
                },
            };
            match lines.next() {
                Some(Ok(line)) => {
                    let Some((place, line)) = split_line(&line) else {
                        let problem = format!("{} holds a line that is none", path.display());
                        return Some(Err(ExecuteError::BadPlan { problem }));
                    };
                    self.before = self.last.replace(place);
                    self.taken.take(line);
                    return Some(Ok(line.to_owned()));
                }
                Some(Err(source)) => return Some(Err(files::failed("read", &path)(source))),
                None => {
                    self.lines = None;
                    self.batch += 1;
                    if let Err(error) = files::remove_file(&path) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}

/// Whether a logged transaction is one that the list does not hold either.
fn is_listed(transaction: &Transaction) -> bool {
    !may_be_left_out(transaction)
}

/// Compares the groups that were logged, one by one, with those expected.
///
/// Groups that follow each other with one GTID are one transaction: a server that logs statements and rows mixed writes
/// `CREATE TABLE ... SELECT` as two groups where its source wrote one. Where the source logged rows, the client that
/// replays them commits the new table by itself: the group of the rows then gets the next free GTID (both seen on
/// MariaDB 10.11.19).
#[derive(Debug)]
pub(super) struct Comparison<I> {
    expected: Groups<I>,
    found: Option<String>,
    number: u64,
    /// The GTID of the last transaction that was logged.
    last: Option<Gtid>,
    /// Empty again in a replay that goes on: one that died while there was a temporary table does not.
    temporaries: Temporaries,
}

impl Comparison<Lists> {
    /// The comparison of what is logged with the lists of a window.
    pub(super) fn of(lists: Lists) -> Self {
        Comparison::new(lists)
    }

    /// A comparison that goes on behind what a dead run had compared: the lists must hold it.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::GoingOn`] where they hold something else.
    pub(super) fn behind(mut lists: Lists, compared: &Compared) -> Result<Self, ExecuteError> {
        for line in 1..=compared.lines {
            let missing = || ExecuteError::GoingOn { problem: format!("the window has no transaction {line}") };
            lists.next().ok_or_else(missing)??;
        }
        if compared.chain.is_some_and(|chain| chain != lists.taken.digest(true)) {
            let problem = "the dead run compared other transactions than those of the window".to_owned();
            return Err(ExecuteError::GoingOn { problem });
        }
        let (found, number, last) = (compared.found.clone(), compared.number, compared.last.clone());
        Ok(Comparison { found, number, last, ..Comparison::of(lists) })
    }

    /// What was compared, up to the end of a log.
    pub(super) fn compared(&self, log: &BinlogName) -> Compared {
        let (taken, held) = (&self.expected.lines.taken, self.expected.next.is_some());
        Compared {
            log: Some(log.clone()),
            lines: taken.lines - u64::from(held),
            chain: Some(taken.digest(!held)),
            found: self.found.clone(),
            number: self.number,
            last: self.last.clone(),
        }
    }

    /// Takes the next transaction that the private server logged.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ProofFailed`] where it, or the one before it, is not the one that is expected.
    pub(super) fn logged(&mut self, transaction: &Transaction) -> Result<(), ExecuteError> {
        self.last.clone_from(&transaction.gtid);
        let temporary = self.temporaries.alone(transaction);
        if !temporary && is_listed(transaction) { self.see(line_of(transaction)) } else { Ok(()) }
    }

    /// How many transactions were compared.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The last transaction that was logged as expected. One more may be logged already.
    pub(super) fn reached(&self) -> Option<&Expected> {
        match &self.expected.next {
            Some(_) => self.expected.lines.before.as_ref(),
            None => self.expected.lines.last.as_ref(),
        }
    }

    /// The first transaction that was not logged, after a replay that broke off.
    pub(super) fn next_expected(mut self) -> Option<Expected> {
        if let Some(found) = self.found.take() {
            self.compare(found, None).ok()?;
        }
        if self.expected.next.is_none() {
            self.expected.lines.next()?.ok()?;
        }
        self.expected.lines.last
    }
}

impl<I: Iterator<Item = Result<String, ExecuteError>>> Comparison<I> {
    fn new(lines: I) -> Self {
        let expected = Groups { lines, next: None };
        Comparison { expected, found: None, number: 0, last: None, temporaries: Temporaries::default() }
    }

    fn see(&mut self, line: String) -> Result<(), ExecuteError> {
        self.found = match self.found.take() {
            Some(held) => match merged(&held, &line) {
                Some(both) => Some(both),
                None => {
                    let also_the_next = self.compare(held, Some(&line))?;
                    (!also_the_next).then_some(line)
                }
            },
            None => Some(line),
        };
        Ok(())
    }

    /// Compares a group with the next one that is expected; `true` when the group after it belongs to it.
    fn compare(&mut self, found: String, next: Option<&String>) -> Result<bool, ExecuteError> {
        self.number += 1;
        let mut expected = self.expected.next()?;
        // What failed at the source may be logged again or not.
        while let Some(failed) = expected.as_deref().and_then(|line| line.strip_prefix(FAILED)) {
            if is_failed(failed, &found) {
                return Ok(false);
            }
            self.number += 1;
            expected = self.expected.next()?;
        }
        match expected {
            Some(expected) if same(&expected, &found) => Ok(false),
            Some(expected) if next.is_some_and(|rows| filled(&expected, &found, rows)) => Ok(true),
            other => {
                let expected = other.unwrap_or_else(|| "the end of the window".to_owned());
                Err(ExecuteError::ProofFailed { number: self.number, expected, found })
            }
        }
    }

    /// Ends the comparison: nothing more is logged.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ProofFailed`] where a transaction is missing.
    pub(super) fn finish(&mut self) -> Result<(), ExecuteError> {
        if let Some(found) = self.found.take() {
            self.compare(found, None)?;
        }
        let mut expected = self.expected.next()?;
        while expected.as_ref().is_some_and(|line| line.starts_with(FAILED)) {
            self.number += 1;
            expected = self.expected.next()?;
        }
        match expected {
            None => Ok(()),
            Some(expected) => {
                let found = "nothing more".to_owned();
                Err(ExecuteError::ProofFailed { number: self.number + 1, expected, found })
            }
        }
    }
}

/// The expected lines, those of one GTID merged.
#[derive(Debug)]
struct Groups<I> {
    lines: I,
    next: Option<String>,
}

impl<I: Iterator<Item = Result<String, ExecuteError>>> Groups<I> {
    fn next(&mut self) -> Result<Option<String>, ExecuteError> {
        let mut held = match self.next.take() {
            Some(line) => line,
            None => match self.lines.next().transpose()? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        while let Some(line) = self.lines.next().transpose()? {
            match merged(&held, &line) {
                Some(both) => held = both,
                None => {
                    self.next = Some(line);
                    break;
                }
            }
        }
        Ok(Some(held))
    }
}

/// Whether a server that replays a group need not log it.
fn may_be_left_out(transaction: &Transaction) -> bool {
    transaction.end_kind == EndKind::Rollback || transaction.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proves(expected: &[&str], logged: &[&str]) -> Result<(), ExecuteError> {
        let mut comparison = Comparison::new(expected.iter().map(|line| Ok((*line).to_owned())));
        logged.iter().try_for_each(|line| comparison.see((*line).to_owned()))?;
        comparison.finish()
    }

    /// How MariaDB 10.11.19 logs a replayed `CREATE TABLE ... SELECT` that its source had logged as rows in one group: the
    /// rows get the GTID of the transaction that comes next.
    #[test]
    fn a_table_that_was_made_and_filled_in_one_group_may_be_logged_in_two() {
        let window = ["0-1-6\tshop.a:1/0/0", "0-1-7\tnew shop.t:33/0/0", "0-1-8\tshop.a:1/0/0"];
        let rest = ["0-1-6\tshop.a:1/0/0", "0-1-7\t"];
        for next in ["0-1-7", "0-1-8", "0-1-900"] {
            let rows = format!("{next}\tshop.t:33/0/0");
            proves(&window, &[rest[0], rest[1], &rows, "0-1-8\tshop.a:1/0/0"]).unwrap();
            proves(&window[..2], &[rest[0], rest[1], &rows]).unwrap();
        }
        // As the source logged it.
        proves(&window, &window).unwrap();
        let statements = ["0-1-6\tshop.a:1/0/0", "0-1-7\t", "0-1-8\tshop.a:1/0/0"];
        proves(&statements, &window).unwrap();
    }

    #[test]
    fn rows_that_are_missing_or_others_are_noticed() {
        let window = ["0-1-7\tnew shop.t:33/0/0", "0-1-8\tshop.a:1/0/0"];
        for logged in [
            ["0-1-7\t", "0-1-8\tshop.t:32/0/0", "0-1-8\tshop.a:1/0/0"],
            ["0-1-7\t", "0-1-8\tshop.u:33/0/0", "0-1-8\tshop.a:1/0/0"],
            ["0-1-7\t", "0-1-8\tshop.a:1/0/0", "0-1-8\tshop.t:33/0/0"],
            ["0-1-9\t", "0-1-8\tshop.t:33/0/0", "0-1-8\tshop.a:1/0/0"],
        ] {
            let ExecuteError::ProofFailed { number, .. } = proves(&window, &logged).unwrap_err() else { panic!() };
            assert_eq!(number, 1, "{logged:?}");
        }
        assert!(proves(&window, &["0-1-7\t", "0-1-8\tshop.a:1/0/0"]).is_err());
        // Rows of a table that was there before come with their own GTID.
        let window = ["0-1-7\tshop.t:33/0/0", "0-1-8\tshop.a:1/0/0"];
        assert!(proves(&window, &["0-1-7\t", "0-1-8\tshop.t:33/0/0", "0-1-8\tshop.a:1/0/0"]).is_err());
    }

    #[test]
    fn what_failed_at_the_source_need_not_be_logged_again() {
        let window = ["0-1-6\tshop.a:1/0/0", "!0-1-7\t", "!0-1-8\t", "0-1-9\tshop.a:1/0/0", "!0-1-10\t"];
        let all = ["0-1-6\tshop.a:1/0/0", "0-1-7\tshop.m:2/0/0", "0-1-8\t", "0-1-9\tshop.a:1/0/0", "0-1-10\t"];
        for left_out in [&[][..], &[1], &[2], &[4], &[1, 2], &[1, 2, 4]] {
            let logged: Vec<&str> =
                all.iter().enumerate().filter(|(at, _)| !left_out.contains(at)).map(|(_, line)| *line).collect();
            proves(&window, &logged).unwrap();
        }
        // The others must be there.
        for missing in [0, 3] {
            let logged: Vec<&str> =
                all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, line)| *line).collect();
            assert!(proves(&window, &logged).is_err(), "{missing}");
        }
        // Without GTIDs rows are never those of a failed statement.
        let window = ["!-\t", "-\tshop.a:1/0/0"];
        proves(&window, &["-\tshop.a:1/0/0"]).unwrap();
        proves(&window, &["-\t", "-\tshop.a:1/0/0"]).unwrap();
        assert!(proves(&window, &["-\t"]).is_err());
    }

    /// The list of a window, in a directory.
    fn lists(dir: &Path, lines: &[&str]) -> Lists {
        let path = dir.join("expected");
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| format!("{at}\t{}\t{}\t0\tb.000001\t{line}\n", at + 1, at + 1))
            .collect();
        files::remove_file(&list_of(&path, 0)).unwrap();
        files::write_private(&list_of(&path, 0), text.concat()).unwrap();
        Lists::new(&path)
    }

    const EXPECTED: [&str; 6] = ["a-1\tx:1", "a-2\tnew y:2", "a-3\tx:1", "a-3\tz:4", "a-4\t", "a-5\tx:1"];
    /// One line less or more than expected here and there, and the same all the same.
    const LOGGED: [&str; 7] = ["a-1\tx:1", "a-2\t", "a-9\ty:2", "a-3\tx:1", "a-3\tz:4", "a-4\tw:1", "a-5\tx:1"];

    #[test]
    fn a_comparison_goes_on_wherever_it_was_broken_off() {
        let dir = tempfile::tempdir().unwrap();
        let log: BinlogName = "replay.000001".parse().unwrap();
        let run = |breaks: &[usize], logged: &[&str]| -> Result<u64, ExecuteError> {
            let mut comparison = Comparison::of(lists(dir.path(), &EXPECTED));
            for (at, line) in logged.iter().enumerate() {
                if breaks.contains(&at) {
                    let compared = serde_json::to_string(&comparison.compared(&log)).unwrap();
                    let compared = serde_json::from_str(&compared).unwrap();
                    comparison = Comparison::behind(lists(dir.path(), &EXPECTED), &compared)?;
                }
                comparison.see((*line).to_owned())?;
            }
            comparison.finish().map(|()| comparison.number())
        };
        let whole = run(&[], &LOGGED).unwrap();
        for first in 0..LOGGED.len() {
            for second in first..LOGGED.len() {
                assert_eq!(run(&[first, second], &LOGGED).unwrap(), whole, "{first} {second}");
                // What is missing is missed, on whichever side.
                for missing in [0, 3, 4, 5, 6] {
                    let mut logged = LOGGED.to_vec();
                    logged.remove(missing);
                    assert!(
                        matches!(run(&[first, second], &logged), Err(ExecuteError::ProofFailed { .. })),
                        "{missing}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_was_compared_with_another_window_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut comparison = Comparison::of(lists(dir.path(), &EXPECTED));
        LOGGED[..5].iter().for_each(|line| comparison.see((*line).to_owned()).unwrap());
        let compared = comparison.compared(&"replay.000001".parse().unwrap());
        assert!(compared.lines > 1);
        let mut other = EXPECTED;
        other[0] = "b-1\tx:1";
        for lines in [&other[..], &EXPECTED[..1]] {
            let refused = Comparison::behind(lists(dir.path(), lines), &compared);
            assert!(matches!(refused, Err(ExecuteError::GoingOn { .. })), "{refused:?}");
        }
    }
}
