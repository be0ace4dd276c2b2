//! The transaction index (`.tx`) beside each archived binlog: what every transaction did, to which tables, and when.
//!
//! Transactions stand in blocks, each field of a block in a column of its own that is compressed and guarded alone, so
//! that a search reads only what it asks about. `docs/store-format.md` has the format; this code is pure over `Write`
//! and a source of byte ranges.

mod block;
mod codes;
mod columns;
mod directory;
mod error;
mod gtids;
mod kinds;
mod reader;
mod source;
mod writer;

pub use block::{BlockTables, MAX_STATEMENT};
pub use directory::{BlockFacts, Column, Contents};
pub use error::TransactionsError;
pub use kinds::Kinds;
pub use reader::{Block, BlockChanges, Change, TransactionIndex};
pub use source::{RangeSource, StoredRanges};
pub use writer::{BLOCK_TRANSACTIONS, IndexedFile, TransactionWriter};

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;
