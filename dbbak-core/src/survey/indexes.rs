//! Looks at the transaction indexes in the archive.

use crate::{
    catalog::Catalog,
    facts::{Facts, IndexFact},
    store::{
        BinlogEntry, Digest, HashingReader, Operation, StoreError, StoreReader, layout,
        transactions::{StoredRanges, TransactionIndex, TransactionsError},
    },
};
use std::io;

/// Looks at the transaction index of each archived binlog, and reads it whole.
///
/// # Errors
///
/// When the store cannot be read. An index that cannot be used is a fact.
pub fn transaction_indexes(facts: &mut Facts, store: &dyn StoreReader, catalog: &Catalog) -> Result<(), StoreError> {
    for entry in &catalog.binlogs {
        let key = layout::transactions(&entry.stored_as);
        let fact = match store.head(&key)? {
            None => IndexFact::Missing,
            Some(info) => match problem(store, entry, info.size)? {
                None => IndexFact::Good,
                Some(problem) => IndexFact::Bad { problem },
            },
        };
        facts.indexes.insert(entry.stored_as.to_string(), fact);
    }
    Ok(())
}

fn problem(store: &dyn StoreReader, entry: &BinlogEntry, size: u64) -> Result<Option<String>, StoreError> {
    let key = layout::transactions(&entry.stored_as);
    let read = || -> Result<(), TransactionsError> {
        let index = TransactionIndex::open(StoredRanges::new(store, key.clone(), Some(size)))?;
        if let Some(digest) = &entry.digest {
            index.check_is_of(digest)?;
        }
        index.verify()
    };
    match read() {
        Err(TransactionsError::Input(source)) => return Err(StoreError::from_io(&key, Operation::Read, source)),
        Err(error) => return Ok(Some(error.to_string())),
        Ok(()) => {}
    }
    let Some(recorded) = &entry.tx else { return Ok(None) };
    let mut bytes = HashingReader::new(store.open(&key, None)?);
    io::copy(&mut bytes, &mut io::sink()).map_err(|source| StoreError::from_io(&key, Operation::Read, source))?;
    let found: Digest = bytes.digest();
    Ok((found != recorded.digest).then(|| format!("digest {found}, expected {}", recorded.digest)))
}
