//! Opens archived binlogs, decoded.

use super::{BinlogEntry, Codec, StoreError, StoreReader, layout};
use std::io::Read;

/// Opens an archived binlog and decodes it on the way.
///
/// # Errors
///
/// When it is not in the store, or coded in a way that this program does not know.
pub fn open_binlog(reader: &dyn StoreReader, entry: &BinlogEntry) -> Result<Box<dyn Read + Send>, StoreError> {
    let key = layout::binlog(&entry.stored_as);
    let coding = match entry.stored_as.as_str().parse::<layout::StoredBinlog>() {
        Ok(stored) => stored.coding,
        // Another program's name: what follows the original's tells the coding.
        Err(_) => match entry.stored_as.as_str().split_once(entry.name.as_str()) {
            Some((_, rest)) => rest.to_owned(),
            None => String::new(),
        },
    };
    let codec = Codec::from_suffix(&coding).map_err(|error| StoreError::Damaged {
        key: key.clone(),
        entry: None,
        flaw: super::Flaw::Contradiction(error.to_string()),
    })?;
    Ok(codec.decode(reader.open(&key, None)?))
}
