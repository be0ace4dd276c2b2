//! Reads a transaction index: its directory, and of its blocks only the columns that are asked for.

use super::block::{
    BlockTables, ChangeCodes, ChangedTables, FormFacts, parse_forms, parse_offsets, parse_texts, parse_times,
};
use super::directory::{BlockFacts, COLUMNS, Column, Contents, MAGIC, Stored, TRAILER, Trailer};
use super::error::TransactionsError;
use super::gtids::Gtids;
use super::kinds::Kinds;
use super::source::RangeSource;
use crate::binlog::{TableChange, Transaction, TransactionTime, XaId};
use crate::model::Gtid;
use crate::store::Digest;

/// A file up to this size is read at once.
const WHOLE: u64 = 256 << 10;

/// A transaction index that was opened.
pub struct TransactionIndex<'s> {
    source: Box<dyn RangeSource + 's>,
    contents: Contents,
}

/// A block of an index, of which what was read once is kept.
pub struct Block<'i> {
    index: &'i TransactionIndex<'i>,
    number: usize,
    /// What the directory says of it.
    pub facts: &'i BlockFacts,
    plain: [Option<Vec<u8>>; COLUMNS],
}

/// What the transactions of a block do to tables.
#[derive(Debug)]
pub struct BlockChanges {
    /// The tables by number.
    pub tables: BlockTables,
    changed: ChangedTables,
    codes: ChangeCodes,
    rows: Vec<[u64; 3]>,
}

/// What one transaction does to one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The table's number in the block.
    pub table: usize,
    /// What is done.
    pub kinds: Kinds,
    /// Rows inserted, updated and deleted.
    pub rows: [u64; 3],
    /// Whether these are all.
    pub counted: bool,
}

impl<'s> TransactionIndex<'s> {
    /// Opens an index and reads its directory.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn open(source: impl RangeSource + 's) -> Result<Self, TransactionsError> {
        let size = source.size()?;
        let too_short = || TransactionsError::NotOne { problem: format!("it has {size} bytes") };
        let trailer_at = size.checked_sub(TRAILER as u64).filter(|at| *at >= MAGIC.len() as u64);
        let trailer_at = trailer_at.ok_or_else(too_short)?;
        let source: Box<dyn RangeSource + 's> = match size {
            ..=WHOLE => Box::new(source.read(0..size)?),
            _ => Box::new(source),
        };
        if source.read(0..MAGIC.len() as u64)? != MAGIC {
            return Err(TransactionsError::NotOne { problem: "it does not begin as one".to_owned() });
        }
        let trailer = Trailer::parse(&source.read(trailer_at..size)?, size)?;
        let place = Stored { at: trailer.at, stored: trailer.stored, plain: trailer.plain, crc: trailer.crc };
        let packed = source.read(place.at..place.at + u64::from(place.stored))?;
        let directory = unpack(&place, &packed, &|| "directory".to_owned())?;
        let contents = Contents::parse(&directory, trailer.at).ok_or(TransactionsError::content("directory"))?;
        Ok(TransactionIndex { source, contents })
    }

    /// What it says of the whole binlog.
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// Checks that it is of a binlog with this digest.
    ///
    /// # Errors
    ///
    /// [`TransactionsError::OtherBinlog`].
    pub fn check_is_of(&self, digest: &Digest) -> Result<(), TransactionsError> {
        match &self.contents.digest {
            Some(found) if found != digest => {
                Err(TransactionsError::OtherBinlog { expected: digest.to_string(), found: found.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// One of its blocks.
    pub fn block(&self, number: usize) -> Option<Block<'_>> {
        let facts = self.contents.blocks.get(number)?;
        Some(Block { index: self, number, facts, plain: [const { None }; COLUMNS] })
    }

    /// Its blocks, in log order.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = Block<'_>> {
        (0..self.contents.blocks.len()).filter_map(|number| self.block(number))
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// The first part that is damaged.
    pub fn verify(&self) -> Result<(), TransactionsError> {
        for mut block in self.blocks() {
            block.transactions()?;
        }
        Ok(())
    }
}

impl Block<'_> {
    /// Reads columns, those that stand side by side at once.
    fn need(&mut self, columns: &[Column]) -> Result<(), TransactionsError> {
        let wanted = |place: &usize| columns.iter().any(|column| *column as usize == *place);
        let mut missing = (0..COLUMNS).filter(|place| wanted(place) && self.plain[*place].is_none()).peekable();
        let mut pieces = Vec::new();
        while let Some(first) = missing.next() {
            let mut last = first;
            while let Some(next) = missing.next_if_eq(&(last + 1)) {
                last = next;
            }
            pieces.push((first, last));
        }
        for (first, last) in pieces {
            let places = &self.facts.columns[first..=last];
            let (Some(start), Some(end)) = (places.first(), places.last()) else { continue };
            let bytes = self.index.source.read(start.at..end.at + u64::from(end.stored))?;
            for (number, place) in (first..).zip(places) {
                let from = (place.at - start.at) as usize;
                let packed = bytes.get(from..from + place.stored as usize).unwrap_or_default();
                let part = || self.part(Column::ALL[number]);
                self.plain[number] = Some(unpack(place, packed, &part)?);
            }
        }
        Ok(())
    }

    fn part(&self, column: Column) -> String {
        format!("block {}, column {}", self.number, column.name())
    }

    fn column(&self, column: Column) -> &[u8] {
        self.plain[column as usize].as_deref().unwrap_or_default()
    }

    fn content(&self, column: Column) -> TransactionsError {
        TransactionsError::content(&self.part(column))
    }

    /// The tables that the block names.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn tables(&mut self) -> Result<BlockTables, TransactionsError> {
        self.need(&[Column::Names])?;
        BlockTables::parse(self.column(Column::Names)).ok_or_else(|| self.content(Column::Names))
    }

    /// What the transactions do to tables, and to how many rows.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn changes(&mut self) -> Result<BlockChanges, TransactionsError> {
        self.need(&[Column::Names, Column::Tables, Column::Changes, Column::Rows])?;
        let tables = self.tables()?;
        let changed = ChangedTables::parse(self.facts.count, tables.0.len(), self.column(Column::Tables))
            .ok_or_else(|| self.content(Column::Tables))?;
        let codes = ChangeCodes::parse(changed.tables.len(), self.column(Column::Changes))
            .ok_or_else(|| self.content(Column::Changes))?;
        let rows = codes.rows(self.column(Column::Rows)).ok_or_else(|| self.content(Column::Rows))?;
        Ok(BlockChanges { tables, changed, codes, rows })
    }

    /// The times of the transactions, as they were logged.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn times(&mut self) -> Result<Vec<TransactionTime>, TransactionsError> {
        self.need(&[Column::Stamps, Column::Commits, Column::Originals, Column::CommitTimes])?;
        let commits = [Column::Commits, Column::Originals, Column::CommitTimes].map(|column| self.column(column));
        parse_times(self.facts, self.column(Column::Stamps), commits).ok_or_else(|| self.content(Column::Stamps))
    }

    fn gtid_columns(&mut self) -> Result<Gtids, TransactionsError> {
        self.need(&[Column::GtidSources, Column::GtidNumbers])?;
        Gtids::parse(self.facts.count, self.column(Column::GtidSources), self.column(Column::GtidNumbers))
            .ok_or_else(|| self.content(Column::GtidSources))
    }

    /// The transactions with a GTID, by their places in the block.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn rows_with(&mut self, gtid: &Gtid) -> Result<Vec<u32>, TransactionsError> {
        Ok(self.gtid_columns()?.rows_with(gtid))
    }

    /// The GTIDs of the transactions, in log order.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn gtids(&mut self) -> Result<Vec<Option<Gtid>>, TransactionsError> {
        let gtids = self.gtid_columns()?;
        Ok((0..self.facts.count).map(|row| gtids.get(row)).collect())
    }

    fn forms(&mut self) -> Result<Vec<FormFacts>, TransactionsError> {
        self.need(&[Column::Forms, Column::Rare])?;
        parse_forms(self.facts.count, self.column(Column::Forms), self.column(Column::Rare))
            .ok_or_else(|| self.content(Column::Forms))
    }

    /// What is known of each transaction apart from its tables, and whether it changes tables that are not listed.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn form_kinds(&mut self, changes: &BlockChanges) -> Result<Vec<Kinds>, TransactionsError> {
        let forms = self.forms()?;
        Ok(forms
            .iter()
            .enumerate()
            .map(|(row, form)| Kinds::of_form(form.0.end_kind, changes.changed.more(row)))
            .collect())
    }

    /// The statements.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn texts(&mut self) -> Result<Vec<Option<&str>>, TransactionsError> {
        self.need(&[Column::Text])?;
        let content = self.content(Column::Text);
        parse_texts(self.facts.count, self.column(Column::Text)).ok_or(content)
    }

    /// All transactions of the block.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn transactions(&mut self) -> Result<Vec<Transaction>, TransactionsError> {
        let all: Vec<usize> = (0..self.facts.count).collect();
        self.pick(&all)
    }

    /// The transactions at some places of the block; those that it does not have are left out.
    ///
    /// # Errors
    ///
    /// [`TransactionsError`], naming the part that is damaged.
    pub fn pick(&mut self, rows: &[usize]) -> Result<Vec<Transaction>, TransactionsError> {
        self.need(&Column::ALL)?;
        let (changes, times, gtids, forms) = (self.changes()?, self.times()?, self.gtid_columns()?, self.forms()?);
        let offsets = parse_offsets(self.facts, self.column(Column::Gaps), self.column(Column::Lengths))
            .ok_or_else(|| self.content(Column::Lengths))?;
        let texts = self.texts()?;
        let transaction = |row: &usize| {
            let (form, xa, error_code) = forms.get(*row)?;
            let (start, end) = *offsets.get(*row)?;
            Some(Transaction {
                gtid: gtids.get(*row),
                start,
                end,
                time: *times.get(*row)?,
                tables: changes.table_changes(*row),
                more_tables: changes.changed.more(*row),
                statement: texts.get(*row)?.map(str::to_owned),
                end_kind: form.end_kind,
                has_rows: form.has_rows,
                compressed: form.compressed,
                xa: xa.clone().map(XaId::of_index),
                error_code: *error_code,
                taken_back: false,
                plain_commit: false,
                server_id: 0,
                session: None,
                outside: None,
                untold: None,
                by_statement: false,
                renames_variable: false,
            })
        };
        Ok(rows.iter().filter_map(transaction).collect())
    }
}

impl BlockChanges {
    /// What a transaction does, table by table.
    pub fn of(&self, row: usize) -> impl Iterator<Item = Change> {
        self.changed.of(row).filter_map(|place| {
            let code = self.codes.0.get(place)?;
            Some(Change {
                table: *self.changed.tables.get(place)? as usize,
                kinds: code.kinds(),
                rows: *self.rows.get(place)?,
                counted: code.counted(),
            })
        })
    }

    fn table_changes(&self, row: usize) -> Vec<TableChange> {
        let change = |place: usize| {
            let code = self.codes.0.get(place)?;
            let [inserts, updates, deletes] = *self.rows.get(place)?;
            let (database, table) = self.tables.0.get(*self.changed.tables.get(place)? as usize)?.clone();
            let (ddl, dml) = (code.ddl(), code.dml());
            Some(TableChange { database, table, inserts, updates, deletes, counted: code.counted(), ddl, dml })
        };
        self.changed.of(row).filter_map(change).collect()
    }
}

fn unpack(place: &Stored, packed: &[u8], part: &dyn Fn() -> String) -> Result<Vec<u8>, TransactionsError> {
    let damaged = |problem: String| TransactionsError::Damaged { part: part(), problem };
    if packed.len() != place.stored as usize {
        return Err(damaged(format!("{} bytes, expected {}", packed.len(), place.stored)));
    }
    let found = crc32fast::hash(packed);
    if found != place.crc {
        return Err(damaged(format!("checksum {found:08x}, expected {:08x}", place.crc)));
    }
    if place.stored == place.plain {
        return Ok(packed.to_vec());
    }
    let plain = zstd::bulk::decompress(packed, place.plain as usize).map_err(|error| damaged(error.to_string()))?;
    if plain.len() != place.plain as usize {
        return Err(damaged(format!("{} bytes unpacked, expected {}", plain.len(), place.plain)));
    }
    Ok(plain)
}

impl std::fmt::Debug for TransactionIndex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionIndex").field("blocks", &self.contents.blocks.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Block").field("number", &self.number).field("facts", self.facts).finish_non_exhaustive()
    }
}
