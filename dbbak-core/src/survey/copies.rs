//! Finds archived binlogs that no list names, and whose content the store holds once more under a name that the index has.

use super::SurveyError;
use crate::{
    catalog::Catalog,
    store::{Codec, Digest, HashingReader, KeyClass, StoreKey, StoreReader, StoredBinlog, classify},
};
use std::{collections::HashSet, io};

/// Counts the unlisted binlogs as orphans that are only copies: of a run that was killed before it entered them, say. Each
/// is read whole.
///
/// # Errors
///
/// When the store cannot be read. What cannot be decoded is no copy.
pub fn copies_of_listed(store: &dyn StoreReader, catalog: &mut Catalog) -> Result<(), SurveyError> {
    let listed: HashSet<Digest> = catalog.binlogs.iter().filter_map(|entry| entry.digest).collect();
    for key in catalog.unlisted.clone() {
        if content_of(store, &key)?.is_some_and(|digest| listed.contains(&digest)) {
            catalog.is_twice(store, &key)?;
        }
    }
    Ok(())
}

/// The digest of an archived binlog's content.
fn content_of(store: &dyn StoreReader, key: &StoreKey) -> Result<Option<Digest>, SurveyError> {
    let KeyClass::Binlog(name) = classify(key) else { return Ok(None) };
    let Ok(stored) = name.as_str().parse::<StoredBinlog>() else { return Ok(None) };
    let Ok(codec) = Codec::from_suffix(&stored.coding) else { return Ok(None) };
    let mut content = HashingReader::new(codec.decode(store.open(key, None)?));
    Ok(io::copy(&mut content, &mut io::sink()).ok().map(|_| content.digest()))
}
