//! Where the bytes of a transaction index come from.

use crate::store::{Operation, StoreError, StoreKey, StoreReader};
use std::{
    io::{self, Read},
    ops::Range,
};

/// Something that byte ranges can be read from.
pub trait RangeSource: Send + Sync {
    /// Bytes in all.
    ///
    /// # Errors
    ///
    /// When it cannot be looked at.
    fn size(&self) -> io::Result<u64>;

    /// The bytes of a range; fewer where it ends before.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>>;
}

impl RangeSource for &[u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.len());
        Ok(self.get(place(range.start)..place(range.end)).unwrap_or_default().to_vec())
    }
}

impl RangeSource for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        self.as_slice().size()
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.as_slice().read(range)
    }
}

/// A file in a store, read by ranges.
#[derive(Debug)]
pub struct StoredRanges<'s> {
    reader: &'s dyn StoreReader,
    key: StoreKey,
    size: Option<u64>,
}

impl<'s> StoredRanges<'s> {
    /// The file at a place; its size is asked for where it is not known.
    pub fn new(reader: &'s dyn StoreReader, key: StoreKey, size: Option<u64>) -> Self {
        StoredRanges { reader, key, size }
    }
}

impl RangeSource for StoredRanges<'_> {
    fn size(&self) -> io::Result<u64> {
        if let Some(size) = self.size {
            return Ok(size);
        }
        let missing = || StoreError::NotFound { key: self.key.clone(), operation: Operation::Open };
        let found = self.reader.head(&self.key).and_then(|found| found.ok_or_else(missing));
        found.map(|info| info.size).map_err(StoreError::into_io)
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(0);
        let mut input = self.reader.open(&self.key, Some(range)).map_err(StoreError::into_io)?;
        let mut bytes = Vec::with_capacity(length.min(64 << 20));
        input.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
