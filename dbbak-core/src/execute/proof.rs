//! Compares what a replay must log, transaction by transaction, with what the private server logged.

use super::{error::ExecuteError, files};
use crate::{
    binlog::{self, Ending, Transaction},
    model::BinlogName,
};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The transactions that a replay must log, one line each, in a file: a window may hold more than memory does.
#[derive(Debug)]
pub(super) struct ExpectedLog {
    path: PathBuf,
    lines: BufWriter<File>,
    transactions: u64,
}

impl ExpectedLog {
    /// An empty list in a new file.
    pub(super) fn create(path: &Path) -> Result<Self, ExecuteError> {
        files::remove_file(path)?;
        Ok(ExpectedLog { path: path.to_owned(), lines: BufWriter::new(files::create_new(path)?), transactions: 0 })
    }

    /// Adds the next transaction of the window.
    pub(super) fn note(&mut self, transaction: &Transaction) -> Result<(), ExecuteError> {
        self.transactions += 1;
        writeln!(self.lines, "{}", line_of(transaction)).map_err(files::failed("write", &self.path))
    }

    /// Writes out what is buffered.
    pub(super) fn finish(&mut self) -> Result<(), ExecuteError> {
        self.lines.flush().map_err(files::failed("write", &self.path))
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
        let mut expected = BufReader::new(files::open(&self.path)?).lines();
        let mut number = 0;
        for path in logs_of(log_dir, first)? {
            let mut difference = None;
            let mut input = BufReader::with_capacity(1 << 20, files::open(&path)?);
            let scan = binlog::scan(&mut input, &mut |transaction| {
                number += 1;
                let found = line_of(transaction);
                match expected.next() {
                    Some(Ok(expected)) if same(&expected, &found) => return ControlFlow::Continue(()),
                    Some(Ok(expected)) => difference = Some((expected, found)),
                    Some(Err(_)) | None => difference = Some(("the end of the window".to_owned(), found)),
                }
                ControlFlow::Break(())
            });
            if let Some((expected, found)) = difference {
                return Err(ExecuteError::ProofFailed { number, expected, found });
            }
            let scan = scan.map_err(|source| ExecuteError::Binlog { path: path.clone(), source })?;
            if !matches!(scan.ending, Ending::Rotate { .. } | Ending::Stop) {
                let found = format!("a damaged log {}: {}", path.display(), scan.ending);
                return Err(ExecuteError::ProofFailed { number: number + 1, expected: "a whole log".into(), found });
            }
        }
        match expected.next() {
            Some(Ok(expected)) => {
                Err(ExecuteError::ProofFailed { number: number + 1, expected, found: "nothing more".into() })
            }
            Some(Err(source)) => Err(files::failed("read", &self.path)(source)),
            None => Ok(()),
        }
    }
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
    let gtid = transaction.gtid.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
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
