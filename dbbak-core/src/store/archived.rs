//! Opens archived binlogs, decoded.

use super::{BinlogEntry, Codec, StoreError, StoreReader, layout};
use std::io::Read;

/// How an archived binlog is coded, by its stored name.
///
/// # Errors
///
/// When this program does not know the coding.
pub fn codec_of(entry: &BinlogEntry) -> Result<Codec, StoreError> {
    let coding = match entry.stored_as.as_str().parse::<layout::StoredBinlog>() {
        Ok(stored) => stored.coding,
        // Another program's name: what follows the original's tells the coding.
        Err(_) => match entry.stored_as.as_str().split_once(entry.name.as_str()) {
            Some((_, rest)) => rest.to_owned(),
            None => String::new(),
        },
    };
    Codec::from_suffix(&coding).map_err(|error| StoreError::Damaged {
        key: layout::binlog(&entry.stored_as),
        entry: None,
        flaw: super::Flaw::Contradiction(error.to_string()),
    })
}

/// Opens an archived binlog and decodes it on the way.
///
/// # Errors
///
/// When it is not in the store, or coded in a way that this program does not know.
pub fn open_binlog(reader: &dyn StoreReader, entry: &BinlogEntry) -> Result<Box<dyn Read + Send>, StoreError> {
    let codec = codec_of(entry)?;
    Ok(codec.decode(reader.open(&layout::binlog(&entry.stored_as), None)?))
}
