//! The binlog reader on real logs, on damaged ones, and on every shape that servers write.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as the tests do")]

pub(crate) mod cuts;
mod damage;
mod hazards;
mod samples;
mod shapes;
mod size;

use dbbak_core::binlog::{BinlogError, FileScan, Transaction, scan};
use dbbak_testkit::vendor_reading::Shown;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Where the samples lie.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/binlog")
}

/// The samples of all servers, by path below [`fixtures`]; the vendor tools' readings beside them are left out.
pub(crate) fn sample_names() -> Vec<String> {
    let mut names = Vec::new();
    for vendor in ["mysql-9.7.4", "mariadb-10.11.19", "mariadb-11.8.6"] {
        for entry in std::fs::read_dir(fixtures().join(vendor)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if !name.ends_with(".txt") {
                names.push(format!("{vendor}/{name}"));
            }
        }
    }
    names.sort();
    assert!(names.len() > 20, "the samples are missing: {names:?}");
    names
}

pub(crate) fn sample(name: &str) -> Vec<u8> {
    std::fs::read(fixtures().join(name)).unwrap()
}

/// Scans bytes and collects the transactions.
pub(crate) fn scan_all(mut bytes: &[u8]) -> Result<(FileScan, Vec<Transaction>), BinlogError> {
    let mut transactions = Vec::new();
    let found = scan(&mut bytes, &mut |transaction| {
        transactions.push(transaction.clone());
        ControlFlow::Continue(())
    })?;
    Ok((found, transactions))
}

/// Our reading in the oracle's form.
pub(crate) fn as_shown(transaction: &Transaction) -> Shown {
    let mut rows = BTreeMap::new();
    for change in &transaction.tables {
        let counts = [change.inserts, change.updates, change.deletes];
        if counts != [0; 3] {
            rows.insert(format!("{}.{}", change.database, change.table), counts);
        }
    }
    Shown {
        gtid: transaction.gtid.as_ref().map(ToString::to_string).unwrap_or_default(),
        start: transaction.start,
        end: transaction.end,
        newest: transaction.time.header_max,
        commit: transaction.time.original_commit.zip(transaction.time.immediate_commit),
        rows,
    }
}
