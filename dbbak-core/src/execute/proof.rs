//! Compares what a replay must log, transaction by transaction, with what the private server logged.

use super::{error::ExecuteError, files, landmarks::Landmarks};
use crate::{
    binlog::{self, EndKind, Ending, Transaction},
    model::{BinlogName, Gtid},
};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Lines, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Stands for the GTID of a transaction that has none.
const NO_GTID: &str = "-";

/// The transactions that a replay must log, one line each, in a file: a window may hold more than memory does.
#[derive(Debug)]
pub(super) struct ExpectedLog {
    path: PathBuf,
    lines: BufWriter<File>,
    transactions: u64,
    landmarks: Landmarks,
}

impl ExpectedLog {
    /// An empty list in a new file.
    pub(super) fn create(path: &Path, skip: &[Gtid]) -> Result<Self, ExecuteError> {
        files::remove_file(path)?;
        let lines = BufWriter::new(files::create_new(path)?);
        Ok(ExpectedLog { path: path.to_owned(), lines, transactions: 0, landmarks: Landmarks::new(skip) })
    }

    /// Adds the next transaction of the window, which stands in this file.
    ///
    /// A group that ends with a rollback changed nothing that could be rolled back; a client that replays it does the
    /// same, and a server need not log that again. So it counts, and is not expected to appear.
    pub(super) fn note(&mut self, file: &BinlogName, transaction: &Transaction) -> Result<(), ExecuteError> {
        self.transactions += 1;
        let skipped = self.landmarks.pass(file, transaction);
        if skipped || transaction.end_kind == EndKind::Rollback {
            return Ok(());
        }
        writeln!(self.lines, "{}", line_of(transaction)).map_err(files::failed("write", &self.path))
    }

    /// Writes out what is buffered.
    pub(super) fn finish(&mut self) -> Result<(), ExecuteError> {
        self.lines.flush().map_err(files::failed("write", &self.path))
    }

    /// What was noted of the way.
    pub(super) fn landmarks(&self) -> &Landmarks {
        &self.landmarks
    }

    /// How many transactions were noted.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Reads the logs of the private server and compares.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ProofFailed`] at the first transaction that differs, is missing, or is one too many.
    pub(super) fn prove(&self, log_dir: &Path, first: &BinlogName) -> Result<(), ExecuteError> {
        let lines = BufReader::new(files::open(&self.path)?).lines();
        let mut comparison =
            Comparison { expected: Groups { lines, next: None, path: &self.path }, found: None, number: 0 };
        for path in logs_of(log_dir, first)? {
            let mut failed = Ok(());
            let mut input = BufReader::with_capacity(1 << 20, files::open(&path)?);
            let scan = binlog::scan(&mut input, &mut |transaction| {
                if transaction.end_kind == EndKind::Rollback {
                    return ControlFlow::Continue(());
                }
                failed = comparison.see(line_of(transaction));
                if failed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            failed?;
            let scan = scan.map_err(|source| ExecuteError::Binlog { path: path.clone(), source })?;
            if !matches!(scan.ending, Ending::Rotate { .. } | Ending::Stop) {
                let found = format!("a damaged log {}: {}", path.display(), scan.ending);
                let number = comparison.number + 1;
                return Err(ExecuteError::ProofFailed { number, expected: "a whole log".into(), found });
            }
        }
        comparison.finish()
    }
}

/// Compares the groups that were logged, one by one, with those expected.
///
/// Groups that follow each other with one GTID are one transaction: a server that logs statements and rows mixed writes
/// `CREATE TABLE ... SELECT` as two groups where its source wrote one (seen on MariaDB 10.11.19).
struct Comparison<'a> {
    expected: Groups<'a>,
    found: Option<String>,
    number: u64,
}

impl Comparison<'_> {
    fn see(&mut self, line: String) -> Result<(), ExecuteError> {
        match self.found.take() {
            Some(held) => match merged(&held, &line) {
                Some(both) => self.found = Some(both),
                None => {
                    self.found = Some(line);
                    self.compare(held)?;
                }
            },
            None => self.found = Some(line),
        }
        Ok(())
    }

    fn compare(&mut self, found: String) -> Result<(), ExecuteError> {
        self.number += 1;
        match self.expected.next()? {
            Some(expected) if same(&expected, &found) => Ok(()),
            other => {
                let expected = other.unwrap_or_else(|| "the end of the window".to_owned());
                Err(ExecuteError::ProofFailed { number: self.number, expected, found })
            }
        }
    }

    fn finish(mut self) -> Result<(), ExecuteError> {
        if let Some(found) = self.found.take() {
            self.compare(found)?;
        }
        match self.expected.next()? {
            None => Ok(()),
            Some(expected) => {
                let found = "nothing more".to_owned();
                Err(ExecuteError::ProofFailed { number: self.number + 1, expected, found })
            }
        }
    }
}

/// The expected lines, those of one GTID merged.
struct Groups<'a> {
    lines: Lines<BufReader<File>>,
    next: Option<String>,
    path: &'a Path,
}

impl Groups<'_> {
    fn next(&mut self) -> Result<Option<String>, ExecuteError> {
        let mut held = match self.next.take() {
            Some(line) => line,
            None => match self.line()? {
                Some(line) => line,
                None => return Ok(None),
            },
        };
        while let Some(line) = self.line()? {
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

    fn line(&mut self) -> Result<Option<String>, ExecuteError> {
        self.lines.next().transpose().map_err(files::failed("read", self.path))
    }
}

/// Two lines of one GTID as one.
fn merged(first: &str, second: &str) -> Option<String> {
    let (gtid, rows) = first.split_once('\t')?;
    let (other, more) = second.split_once('\t')?;
    if gtid != other || gtid == NO_GTID {
        return None;
    }
    let gap = if rows.is_empty() || more.is_empty() { "" } else { " " };
    Some(format!("{gtid}\t{rows}{gap}{more}"))
}

/// The private server's logs in order.
fn logs_of(dir: &Path, first: &BinlogName) -> Result<Vec<PathBuf>, ExecuteError> {
    let mut names: Vec<BinlogName> = files::names_in(dir)?
        .iter()
        .filter_map(|name| name.parse().ok())
        .filter(|name: &BinlogName| name.base() == first.base())
        .collect();
    names.sort();
    Ok(names.iter().map(|name| dir.join(name.as_str())).collect())
}

/// A transaction as a line: its GTID, and per table the rows that it changed where it logged rows.
///
/// A statement may be logged as rows by one server and as text by another, so that only the GTID can be compared then.
fn line_of(transaction: &Transaction) -> String {
    let gtid = transaction.gtid.as_ref().map_or_else(|| NO_GTID.to_owned(), ToString::to_string);
    let mut tables: Vec<String> = transaction
        .tables
        .iter()
        .filter(|change| change.inserts + change.updates + change.deletes > 0)
        .map(|change| {
            let (inserts, updates, deletes) = (change.inserts, change.updates, change.deletes);
            format!("{}.{}:{inserts}/{updates}/{deletes}", change.database, change.table)
        })
        .collect();
    tables.sort();
    format!("{gtid}\t{}", tables.join(" "))
}

fn same(expected: &str, found: &str) -> bool {
    let (expected_gtid, expected_rows) = expected.split_once('\t').unwrap_or((expected, ""));
    let (found_gtid, found_rows) = found.split_once('\t').unwrap_or((found, ""));
    expected_gtid == found_gtid && (expected_rows.is_empty() || expected_rows == found_rows)
}
