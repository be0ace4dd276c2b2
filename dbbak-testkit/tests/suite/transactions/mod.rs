//! Tests of the transaction index: its format, and what is found in it.

mod find;
mod format;
mod halfway;
mod window;

use dbbak_core::{
    binlog::{FileScan, Transaction},
    store::{
        Digest,
        transactions::{IndexedFile, MAX_STATEMENT, TransactionIndex, TransactionWriter},
    },
};
use std::ops::ControlFlow;

/// The transaction index of a binlog, and what the reader says of it; `None` where it is no binlog that can be read.
fn index_of(binlog: &[u8]) -> Option<(Vec<u8>, FileScan, Vec<Transaction>)> {
    let mut writer = TransactionWriter::new(Vec::new()).unwrap();
    let mut transactions = Vec::new();
    let scan = dbbak_core::binlog::scan(&mut &*binlog, &mut |transaction| {
        writer.push(transaction).unwrap();
        transactions.push(transaction.clone());
        ControlFlow::Continue(())
    });
    let scan = scan.ok()?;
    let size = binlog.len() as u64;
    let file = IndexedFile { digest: Digest::of(binlog), size, max_event_stamp: scan.max_event_time };
    Some((writer.finish(&file).unwrap(), scan, transactions))
}

/// As the index keeps it.
fn kept(transaction: &Transaction) -> Transaction {
    let mut kept = Transaction {
        session: None,
        outside: None,
        untold: None,
        by_statement: false,
        renames_variable: false,
        taken_back: false,
        plain_commit: false,
        server_id: 0,
        ..transaction.clone()
    };
    if let Some(text) = &mut kept.statement {
        let end = (0..=text.len().min(MAX_STATEMENT)).rev().find(|end| text.is_char_boundary(*end)).unwrap();
        text.truncate(end);
    }
    kept
}

/// All transactions of an index.
fn read(bytes: &[u8]) -> Vec<Transaction> {
    let index = TransactionIndex::open(bytes).unwrap();
    index.blocks().flat_map(|mut block| block.transactions().unwrap()).collect()
}
