//! Writes a transaction index while a binlog is read: block after block, in memory that does not grow with the binlog's
//! size.

use super::block::BlockBuilder;
use super::directory::{Contents, MAGIC, Stored, Trailer};
use super::kinds::Kinds;
use crate::binlog::Transaction;
use crate::store::Digest;
use std::{
    collections::BTreeSet,
    io::{self, Write},
};

/// Transactions in a block, at most.
pub const BLOCK_TRANSACTIONS: usize = 8192;

/// A block ends early where its texts and names take so many bytes.
const BLOCK_BYTES: usize = 4 << 20;

/// Tables that are listed for the whole file, at most.
const MAX_LISTED: usize = 1024;

/// On these columns hardly larger than with zstd's own default, 3.
const LEVEL: i32 = 1;

/// What is known of a binlog once it was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedFile {
    /// Digest of the original, its in-use bit clear.
    pub digest: Digest,
    /// Bytes of the original.
    pub size: u64,
    /// The newest stamp of any event, seconds since 1970.
    pub max_event_stamp: u32,
}

/// Writes a transaction index.
pub struct TransactionWriter<W: Write> {
    into: W,
    at: u64,
    block: BlockBuilder,
    contents: Contents,
    listed: BTreeSet<(String, String)>,
    /// More tables than are listed.
    too_many: bool,
    compressor: zstd::bulk::Compressor<'static>,
}

impl<W: Write> TransactionWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// As the writer beneath.
    pub fn new(mut into: W) -> io::Result<Self> {
        into.write_all(&MAGIC)?;
        Ok(TransactionWriter {
            into,
            at: MAGIC.len() as u64,
            block: BlockBuilder::default(),
            contents: Contents::default(),
            listed: BTreeSet::new(),
            too_many: false,
            compressor: zstd::bulk::Compressor::new(LEVEL)?,
        })
    }

    /// Adds a transaction. They come in log order.
    ///
    /// # Errors
    ///
    /// As the writer beneath.
    pub fn push(&mut self, transaction: &Transaction) -> io::Result<()> {
        self.block.push(transaction);
        if self.block.count >= BLOCK_TRANSACTIONS || self.block.bytes() >= BLOCK_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let tables = self.block.tables();
        for (database, table) in tables.filter(|_| !self.too_many) {
            self.listed.insert((database.to_owned(), table.to_owned()));
        }
        if self.listed.len() > MAX_LISTED {
            self.too_many = true;
            self.listed.clear();
        }
        let (mut facts, columns) = self.block.finish();
        for (place, column) in facts.columns.iter_mut().zip(&columns) {
            *place = store(&mut self.into, &mut self.compressor, self.at, column)?;
            self.at += u64::from(place.stored);
        }
        self.contents.kinds = self.contents.kinds.with(facts.kinds);
        self.contents.blocks.push(facts);
        Ok(())
    }

    /// Writes what is left, and the directory. Returns the writer beneath.
    ///
    /// # Errors
    ///
    /// As the writer beneath.
    pub fn finish(mut self, file: &IndexedFile) -> io::Result<W> {
        if self.block.count > 0 {
            self.end_block()?;
        }
        self.contents.kinds = self.contents.kinds.with(Kinds::TELLS_STATEMENTS);
        self.contents.digest = Some(file.digest);
        self.contents.size = file.size;
        self.contents.max_event_stamp = file.max_event_stamp;
        self.contents.tables = (!self.too_many).then(|| self.listed.into_iter().collect());
        let directory = self.contents.encode();
        let stored = store(&mut self.into, &mut self.compressor, self.at, &directory)?;
        let trailer = Trailer { at: stored.at, stored: stored.stored, plain: stored.plain, crc: stored.crc };
        self.into.write_all(&trailer.encode())?;
        self.into.flush()?;
        Ok(self.into)
    }
}

/// Writes a piece, packed where that saves room.
fn store(
    into: &mut dyn Write,
    compressor: &mut zstd::bulk::Compressor<'static>,
    at: u64,
    plain: &[u8],
) -> io::Result<Stored> {
    let too_large = |_| io::Error::other("a column is too large for the transaction index");
    let packed = if plain.len() > 16 { compressor.compress(plain)? } else { Vec::new() };
    let bytes = if packed.is_empty() || packed.len() >= plain.len() { plain } else { &packed };
    into.write_all(bytes)?;
    Ok(Stored {
        at,
        stored: bytes.len().try_into().map_err(too_large)?,
        plain: plain.len().try_into().map_err(too_large)?,
        crc: crc32fast::hash(bytes),
    })
}

impl<W: Write> std::fmt::Debug for TransactionWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionWriter").field("at", &self.at).finish_non_exhaustive()
    }
}
