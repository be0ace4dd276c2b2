//! The directory at the end of a transaction index: what each block holds and where, and what the file is of.

use super::columns::{Cursor, put, put_bytes, put_signed};
use super::error::TransactionsError;
use super::kinds::Kinds;
use super::{VERSION, columns::difference};
use crate::store::Digest;

/// The bytes that a transaction index begins with.
pub(super) const MAGIC: [u8; 8] = *b"dbbak.tx";

/// Bytes of the trailer.
pub(super) const TRAILER: usize = 36;

/// How many columns a block has.
pub(super) const COLUMNS: usize = 15;

/// The most bytes that a column or a directory may claim to have unpacked.
const MAX_PLAIN: u64 = 64 << 20;

/// A column, by its place in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// The tables that the block names.
    Names,
    /// Which tables each transaction changes.
    Tables,
    /// What is done to each.
    Changes,
    /// To how many rows.
    Rows,
    /// Newest event stamps.
    Stamps,
    /// Whether there is a commit time.
    Commits,
    /// Whether the original server's is another one.
    Originals,
    /// The commit times.
    CommitTimes,
    /// Who gave out the GTIDs.
    GtidSources,
    /// Their numbers.
    GtidNumbers,
    /// Bytes between a transaction and the one before.
    Gaps,
    /// Bytes of a transaction.
    Lengths,
    /// How transactions end.
    Forms,
    /// XA names and error codes.
    Rare,
    /// Statements.
    Text,
}

impl Column {
    /// All columns, in the order in which they stand in a block.
    pub const ALL: [Column; COLUMNS] = [
        Column::Names,
        Column::Tables,
        Column::Changes,
        Column::Rows,
        Column::Stamps,
        Column::Commits,
        Column::Originals,
        Column::CommitTimes,
        Column::GtidSources,
        Column::GtidNumbers,
        Column::Gaps,
        Column::Lengths,
        Column::Forms,
        Column::Rare,
        Column::Text,
    ];

    /// Its name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Column::Names => "names",
            Column::Tables => "tables",
            Column::Changes => "changes",
            Column::Rows => "rows",
            Column::Stamps => "stamps",
            Column::Commits => "commits",
            Column::Originals => "originals",
            Column::CommitTimes => "commit times",
            Column::GtidSources => "GTID sources",
            Column::GtidNumbers => "GTID numbers",
            Column::Gaps => "gaps",
            Column::Lengths => "lengths",
            Column::Forms => "forms",
            Column::Rare => "rare",
            Column::Text => "text",
        }
    }
}

/// Where a column lies, and what guards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stored {
    /// Offset in the file.
    pub(super) at: u64,
    /// Bytes in the file.
    pub(super) stored: u32,
    /// Bytes unpacked; as many as stored: it is not packed.
    pub(super) plain: u32,
    pub(super) crc: u32,
}

/// What the directory says of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlockFacts {
    /// How many transactions it holds.
    pub count: usize,
    /// Offset in the binlog of its first transaction.
    pub start: u64,
    /// Offset in the binlog after its last transaction.
    pub end: u64,
    /// The first transaction's newest event stamp, seconds since 1970.
    pub first_stamp: u32,
    /// The oldest of the transactions' newest event stamps.
    pub min_stamp: u32,
    /// The newest of them.
    pub max_stamp: u32,
    /// How many transactions have a commit time.
    pub committed: usize,
    /// The earliest commit time, microseconds since 1970: the original server's where the log has it.
    pub min_commit: u64,
    /// The latest commit time.
    pub max_commit: u64,
    /// What its transactions do.
    pub kinds: Kinds,
    pub(super) columns: [Stored; COLUMNS],
}

/// What a transaction index says of the whole binlog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Digest of the original binlog, its in-use bit clear.
    pub digest: Option<Digest>,
    /// Bytes of the original binlog.
    pub size: u64,
    /// The newest stamp of any event, seconds since 1970.
    pub max_event_stamp: u32,
    /// All tables that its transactions change, `database` and `table`; `None` where they are too many to list.
    pub tables: Option<Vec<(String, String)>>,
    /// What its transactions do.
    pub kinds: Kinds,
    /// The blocks, in log order.
    pub blocks: Vec<BlockFacts>,
}

impl Contents {
    /// How many transactions there are.
    pub fn transactions(&self) -> u64 {
        self.blocks.iter().map(|block| block.count as u64).sum()
    }

    /// The newest of the transactions' event stamps; 0 without transactions.
    pub fn max_stamp(&self) -> u32 {
        self.blocks.iter().map(|block| block.max_stamp).max().unwrap_or(0)
    }

    /// Bytes of the columns in the file: the statements' text, and all others.
    pub fn stored_bytes(&self) -> (u64, u64) {
        let columns = self.blocks.iter().flat_map(|block| block.columns.iter().enumerate());
        columns.fold((0, 0), |(text, others), (place, column)| {
            let stored = u64::from(column.stored);
            if place == Column::Text as usize { (text + stored, others) } else { (text, others + stored) }
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut into = Vec::new();
        match &self.digest {
            None => put(&mut into, 0),
            Some(digest) => put_bytes(&mut into, digest.to_string().as_bytes()),
        }
        put(&mut into, self.size);
        put(&mut into, self.max_event_stamp.into());
        match &self.tables {
            None => put(&mut into, 0),
            Some(tables) => {
                put(&mut into, tables.len() as u64 + 1);
                for (database, table) in tables {
                    put_bytes(&mut into, database.as_bytes());
                    put_bytes(&mut into, table.as_bytes());
                }
            }
        }
        put(&mut into, self.kinds.0.into());
        put(&mut into, self.blocks.len() as u64);
        let mut end = 0;
        for block in &self.blocks {
            put(&mut into, block.count as u64);
            put(&mut into, block.start.wrapping_sub(end));
            put(&mut into, block.end.wrapping_sub(block.start));
            end = block.end;
            put(&mut into, block.first_stamp.into());
            put_signed(&mut into, i64::from(block.min_stamp) - i64::from(block.first_stamp));
            put_signed(&mut into, i64::from(block.max_stamp) - i64::from(block.first_stamp));
            put(&mut into, block.committed as u64);
            put(&mut into, block.min_commit);
            put_signed(&mut into, difference(block.max_commit, block.min_commit));
            put(&mut into, block.kinds.0.into());
            for column in &block.columns {
                put(&mut into, column.stored.into());
                put(&mut into, column.plain.into());
                into.extend_from_slice(&column.crc.to_le_bytes());
            }
        }
        into
    }

    /// Reads a directory; `end` is where the blocks must end.
    pub(super) fn parse(bytes: &[u8], end: u64) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let digest = match cursor.text()? {
            "" => None,
            text => Some(text.parse().ok()?),
        };
        let size = cursor.number()?;
        let max_event_stamp = cursor.number()?.try_into().ok()?;
        let tables = match cursor.number()? {
            0 => None,
            count => {
                let mut tables = Vec::new();
                for _ in 1..count {
                    tables.push((cursor.text()?.to_owned(), cursor.text()?.to_owned()));
                }
                Some(tables)
            }
        };
        let kinds = Kinds(cursor.number()?.try_into().ok()?);
        let count = cursor.number()?;
        let (mut at, mut offset) = (MAGIC.len() as u64, 0_u64);
        let mut blocks = Vec::new();
        for _ in 0..count {
            let mut block = BlockFacts { count: usize::try_from(cursor.number()?).ok()?, ..BlockFacts::default() };
            block.start = offset.checked_add(cursor.number()?)?;
            block.end = block.start.checked_add(cursor.number()?)?;
            offset = block.end;
            block.first_stamp = cursor.number()?.try_into().ok()?;
            let first = i64::from(block.first_stamp);
            block.min_stamp = first.checked_add(cursor.signed()?)?.try_into().ok()?;
            block.max_stamp = first.checked_add(cursor.signed()?)?.try_into().ok()?;
            block.committed = usize::try_from(cursor.number()?).ok()?;
            block.min_commit = cursor.number()?;
            block.max_commit = block.min_commit.wrapping_add(cursor.signed()? as u64);
            block.kinds = Kinds(cursor.number()?.try_into().ok()?);
            for column in &mut block.columns {
                let stored: u32 = cursor.number()?.try_into().ok()?;
                let plain = cursor.number().filter(|plain| *plain <= MAX_PLAIN)?.try_into().ok()?;
                let crc = u32::from_le_bytes(cursor.take(4)?.try_into().ok()?);
                *column = Stored { at, stored, plain, crc };
                at += u64::from(stored);
            }
            blocks.push(block);
        }
        // No byte of the file lies outside of what some checksum guards.
        let contents = Contents { digest, size, max_event_stamp, tables, kinds, blocks };
        (cursor.is_empty() && at == end).then_some(contents)
    }
}

/// The end of the file: where the directory lies, and what guards it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) at: u64,
    pub(super) stored: u32,
    pub(super) plain: u32,
    pub(super) crc: u32,
}

const END_MAGIC: [u8; 8] = *b"xt.kabbd";

impl Trailer {
    pub(super) fn encode(&self) -> [u8; TRAILER] {
        let mut bytes = Vec::with_capacity(TRAILER);
        bytes.extend_from_slice(&self.at.to_le_bytes());
        for number in [self.stored, self.plain, self.crc, VERSION] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes.extend_from_slice(&END_MAGIC);
        let mut trailer = [0; TRAILER];
        trailer.copy_from_slice(&bytes);
        trailer
    }

    /// Reads the trailer of a file of `size` bytes.
    pub(super) fn parse(bytes: &[u8], size: u64) -> Result<Self, TransactionsError> {
        let not_one = |problem: &str| TransactionsError::NotOne { problem: problem.to_owned() };
        if bytes.len() != TRAILER || !bytes.ends_with(&END_MAGIC) {
            return Err(not_one("it does not end as one"));
        }
        let number = |at: usize| {
            bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).map(u32::from_le_bytes).unwrap_or_default()
        };
        let damaged = |problem: String| TransactionsError::Damaged { part: "trailer".to_owned(), problem };
        let (computed, found) = (crc32fast::hash(bytes.get(..24).unwrap_or_default()), number(24));
        if computed != found {
            return Err(damaged(format!("checksum {computed:08x}, expected {found:08x}")));
        }
        if number(20) > VERSION {
            return Err(TransactionsError::TooNew { found: number(20), known: VERSION });
        }
        let at = u64::from(number(0)) | u64::from(number(4)) << 32;
        let trailer = Trailer { at, stored: number(8), plain: number(12), crc: number(16) };
        let fits = at >= MAGIC.len() as u64
            && at.checked_add(u64::from(trailer.stored) + TRAILER as u64) == Some(size)
            && u64::from(trailer.plain) <= MAX_PLAIN;
        if fits { Ok(trailer) } else { Err(damaged("it points outside of the file".to_owned())) }
    }
}
