//! Looks at the transaction indexes in the archive.

use crate::{
    catalog::Catalog,
    facts::{Facts, IndexFact},
    model::{Gtid, GtidSet, MariadbGtidState},
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
            Some(info) => look_at(store, entry, info.size)?,
        };
        facts.indexes.insert(entry.stored_as.to_string(), fact);
    }
    Ok(())
}

fn look_at(store: &dyn StoreReader, entry: &BinlogEntry, size: u64) -> Result<IndexFact, StoreError> {
    let key = layout::transactions(&entry.stored_as);
    let read = || -> Result<bool, TransactionsError> {
        let index = TransactionIndex::open(StoredRanges::new(store, key.clone(), Some(size)))?;
        if let Some(digest) = &entry.digest {
            index.check_is_of(digest)?;
        }
        index.verify()?;
        tells_order(&index, entry)
    };
    let good = match read() {
        Err(TransactionsError::Input(source)) => return Err(StoreError::from_io(&key, Operation::Read, source)),
        Err(error) => return Ok(IndexFact::Bad { problem: error.to_string() }),
        Ok(true) => IndexFact::TellsOrder,
        Ok(false) => IndexFact::Good,
    };
    let Some(recorded) = &entry.tx else { return Ok(good) };
    let mut bytes = HashingReader::new(store.open(&key, None)?);
    io::copy(&mut bytes, &mut io::sink()).map_err(|source| StoreError::from_io(&key, Operation::Read, source))?;
    let found: Digest = bytes.digest();
    Ok(match found == recorded.digest {
        true => good,
        false => IndexFact::Bad { problem: format!("digest {found}, expected {}", recorded.digest) },
    })
}

/// Whether an index tells that the numbers of a MariaDB server went back, and the entry does not: dbbak did not record that at first.
fn tells_order(index: &TransactionIndex<'_>, entry: &BinlogEntry) -> Result<bool, TransactionsError> {
    let set = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<GtidSet>().ok());
    if entry.gtids_last.is_some() || !matches!(set(&entry.gtids_added), Some(GtidSet::Mariadb(_))) {
        return Ok(false);
    }
    let before = match set(&entry.gtids_before) {
        Some(GtidSet::Mariadb(before)) => Some(before),
        _ => None,
    };
    let (mut last, mut went_back) = (MariadbGtidState::default(), false);
    for mut block in index.blocks() {
        for gtid in block.gtids()?.into_iter().flatten() {
            if let Gtid::Mariadb { domain, server, seq } = gtid {
                went_back |= last.follow_in_file(before.as_ref(), (domain, server, seq));
            }
        }
    }
    Ok(entry.order_of(&last, went_back).is_some())
}
