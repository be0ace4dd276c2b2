//! One block of transactions as columns: gathering them, and reading them back.

use super::codes::{ChangeCode, Form};
use super::columns::{Cursor, difference, put, put_bytes, put_signed};
use super::directory::{BlockFacts, COLUMNS, Column};
use super::gtids::GtidColumns;
use super::kinds::Kinds;
use crate::binlog::{TableChange, Transaction, TransactionTime};
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// The most bytes of a statement that the index keeps.
pub const MAX_STATEMENT: usize = 2 << 10;

/// The columns of a block that is being gathered.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    pub(super) count: usize,
    /// Asked for each change; std's hash took as long as everything else here.
    names: HashMap<String, u64, RandomState>,
    name_bytes: Vec<u8>,
    key: String,
    columns: [Vec<u8>; COLUMNS],
    gtids: GtidColumns,
    facts: BlockFacts,
    stamp: u32,
    commit: u64,
}

impl BlockBuilder {
    /// Bytes gathered so far, of what can grow out of proportion to the number of transactions.
    pub(super) fn bytes(&self) -> usize {
        let large = [Column::Text, Column::Tables, Column::Rare];
        self.name_bytes.len() + large.iter().map(|column| self.columns[*column as usize].len()).sum::<usize>()
    }

    pub(super) fn push(&mut self, transaction: &Transaction) {
        if self.count == 0 {
            self.facts.start = transaction.start;
            self.facts.end = transaction.start;
            self.facts.first_stamp = transaction.time.header_max;
            self.facts.min_stamp = transaction.time.header_max;
            self.stamp = transaction.time.header_max;
        }
        self.count += 1;
        let gap = transaction.start.wrapping_sub(self.facts.end);
        put(self.column(Column::Gaps), gap);
        put(self.column(Column::Lengths), transaction.end.wrapping_sub(transaction.start));
        self.facts.end = transaction.end;
        self.push_time(&transaction.time);
        self.push_tables(transaction);
        self.gtids.push(transaction.gtid.as_ref());
        let form = Form {
            end_kind: transaction.end_kind,
            has_rows: transaction.has_rows,
            compressed: transaction.compressed,
            has_xa: transaction.xa.is_some(),
            has_error: transaction.error_code != 0,
        };
        self.column(Column::Forms).push(form.number());
        if let Some(xa) = &transaction.xa {
            put_bytes(self.column(Column::Rare), xa.as_str().as_bytes());
        }
        if form.has_error {
            put(self.column(Column::Rare), transaction.error_code.into());
        }
        match &transaction.statement {
            None => put(self.column(Column::Text), 0),
            Some(text) => {
                let text = capped(text);
                put(self.column(Column::Text), text.len() as u64 + 1);
                self.column(Column::Text).extend_from_slice(text.as_bytes());
            }
        }
        self.facts.kinds = self.facts.kinds.with(Kinds::of(transaction));
    }

    fn push_time(&mut self, time: &TransactionTime) {
        let stamp = i64::from(time.header_max) - i64::from(self.stamp);
        put_signed(self.column(Column::Stamps), stamp);
        self.stamp = time.header_max;
        self.facts.min_stamp = self.facts.min_stamp.min(time.header_max);
        self.facts.max_stamp = self.facts.max_stamp.max(time.header_max);
        match time.immediate_commit {
            None => put(self.column(Column::Commits), 0),
            Some(commit) => {
                let moved = difference(commit, self.commit);
                put(self.column(Column::Commits), 1);
                put_signed(self.column(Column::CommitTimes), moved);
                self.commit = commit;
            }
        }
        match time.original_commit {
            None => put(self.column(Column::Originals), 0),
            Some(original) if Some(original) == time.immediate_commit => put(self.column(Column::Originals), 1),
            Some(original) => {
                put(self.column(Column::Originals), 2);
                let base = time.immediate_commit.unwrap_or(0);
                put_signed(self.column(Column::CommitTimes), difference(original, base));
            }
        }
        match time.original_commit.or(time.immediate_commit) {
            None => {}
            Some(commit) => {
                let known = self.facts.committed > 0;
                self.facts.min_commit = if known { self.facts.min_commit.min(commit) } else { commit };
                self.facts.max_commit = self.facts.max_commit.max(commit);
                self.facts.committed += 1;
            }
        }
    }

    fn push_tables(&mut self, transaction: &Transaction) {
        let head = (transaction.tables.len() as u64) << 1 | u64::from(transaction.more_tables);
        put(self.column(Column::Tables), head);
        for change in &transaction.tables {
            let name = self.name(change);
            put(self.column(Column::Tables), name);
            put(self.column(Column::Changes), ChangeCode::of(change).number());
            for rows in [change.inserts, change.updates, change.deletes].into_iter().filter(|rows| *rows > 0) {
                put(self.column(Column::Rows), rows);
            }
        }
    }

    fn name(&mut self, change: &TableChange) -> u64 {
        self.key.clear();
        self.key.push_str(&change.database);
        self.key.push('\0');
        self.key.push_str(&change.table);
        if let Some(place) = self.names.get(&self.key) {
            return *place;
        }
        let place = self.names.len() as u64;
        self.names.insert(self.key.clone(), place);
        put_bytes(&mut self.name_bytes, change.database.as_bytes());
        put_bytes(&mut self.name_bytes, change.table.as_bytes());
        place
    }

    fn column(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.columns[column as usize]
    }

    /// Database and table of each table that the block names.
    pub(super) fn tables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.keys().map(|key| key.split_once('\0').unwrap_or((key, "")))
    }

    /// The columns, and what is known of them but their places. The builder begins anew.
    pub(super) fn finish(&mut self) -> (BlockFacts, [Vec<u8>; COLUMNS]) {
        let block = std::mem::take(self);
        let mut columns = block.columns;
        let mut names = Vec::with_capacity(block.name_bytes.len() + 4);
        put(&mut names, block.names.len() as u64);
        names.extend_from_slice(&block.name_bytes);
        columns[Column::Names as usize] = names;
        let (sources, numbers) = block.gtids.finish();
        columns[Column::GtidSources as usize] = sources;
        columns[Column::GtidNumbers as usize] = numbers;
        (BlockFacts { count: block.count, ..block.facts }, columns)
    }
}

/// The beginning of a statement, whole characters.
fn capped(text: &str) -> &str {
    let mut end = text.len().min(MAX_STATEMENT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// The tables that a block names: database and table.
#[derive(Debug)]
pub struct BlockTables(pub(super) Vec<(String, String)>);

impl BlockTables {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let count = cursor.number()?;
        let mut names = Vec::new();
        for _ in 0..count {
            names.push((cursor.text()?.to_owned(), cursor.text()?.to_owned()));
        }
        cursor.is_empty().then_some(BlockTables(names))
    }

    /// Database and table of each, by number; the table is empty where a database as such was changed.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(database, table)| (database.as_str(), table.as_str()))
    }
}

/// Which tables each transaction of a block changes.
#[derive(Debug)]
pub(super) struct ChangedTables {
    /// For each transaction where its changes end, and whether there are more than are listed.
    pub(super) ends: Vec<(u32, bool)>,
    /// The table's number of each change.
    pub(super) tables: Vec<u32>,
}

impl ChangedTables {
    pub(super) fn parse(count: usize, names: usize, bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let (mut ends, mut tables) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let head = cursor.number()?;
            for _ in 0..head >> 1 {
                tables.push(u32::try_from(cursor.number()?).ok().filter(|table| (*table as usize) < names)?);
            }
            ends.push((u32::try_from(tables.len()).ok()?, head & 1 != 0));
        }
        cursor.is_empty().then_some(ChangedTables { ends, tables })
    }

    /// The changes of a transaction.
    pub(super) fn of(&self, row: usize) -> std::ops::Range<usize> {
        let end = |row: usize| self.ends.get(row).map_or(0, |(end, _)| *end as usize);
        row.checked_sub(1).map_or(0, end)..end(row)
    }

    pub(super) fn more(&self, row: usize) -> bool {
        self.ends.get(row).is_some_and(|(_, more)| *more)
    }
}

/// What is done by each change of a block.
#[derive(Debug)]
pub(super) struct ChangeCodes(pub(super) Vec<ChangeCode>);

impl ChangeCodes {
    pub(super) fn parse(changes: usize, bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let mut codes = Vec::with_capacity(changes);
        for _ in 0..changes {
            codes.push(ChangeCode::parse(cursor.number()?)?);
        }
        cursor.is_empty().then_some(ChangeCodes(codes))
    }

    /// Rows inserted, updated and deleted by each change.
    pub(super) fn rows(&self, bytes: &[u8]) -> Option<Vec<[u64; 3]>> {
        let mut cursor = Cursor::new(bytes);
        let mut rows = Vec::with_capacity(self.0.len());
        for code in &self.0 {
            let mut counts = [0; 3];
            for (count, there) in counts.iter_mut().zip([code.inserts(), code.updates(), code.deletes()]) {
                if there {
                    *count = cursor.number()?;
                }
            }
            rows.push(counts);
        }
        cursor.is_empty().then_some(rows)
    }
}

/// The times of a block's transactions.
pub(super) fn parse_times(
    facts: &BlockFacts,
    stamps: &[u8],
    [commits, originals, times]: [&[u8]; 3],
) -> Option<Vec<TransactionTime>> {
    let (mut stamps, mut commits) = (Cursor::new(stamps), Cursor::new(commits));
    let (mut originals, mut times) = (Cursor::new(originals), Cursor::new(times));
    let (mut stamp, mut commit) = (i64::from(facts.first_stamp), 0_u64);
    let mut all = Vec::with_capacity(facts.count);
    for _ in 0..facts.count {
        stamp = stamp.checked_add(stamps.signed()?)?;
        let immediate_commit = match commits.number()? {
            0 => None,
            1 => {
                commit = commit.wrapping_add(times.signed()? as u64);
                Some(commit)
            }
            _ => return None,
        };
        let original_commit = match originals.number()? {
            0 => None,
            1 => Some(immediate_commit?),
            2 => Some(immediate_commit.unwrap_or(0).wrapping_add(times.signed()? as u64)),
            _ => return None,
        };
        all.push(TransactionTime { header_max: u32::try_from(stamp).ok()?, original_commit, immediate_commit });
    }
    (stamps.is_empty() && commits.is_empty() && originals.is_empty() && times.is_empty()).then_some(all)
}

/// The offsets of a block's transactions: start and end.
pub(super) fn parse_offsets(facts: &BlockFacts, gaps: &[u8], lengths: &[u8]) -> Option<Vec<(u64, u64)>> {
    let (mut gaps, mut lengths) = (Cursor::new(gaps), Cursor::new(lengths));
    let mut at = facts.start;
    let mut offsets = Vec::with_capacity(facts.count);
    for _ in 0..facts.count {
        let start = at.checked_add(gaps.number()?)?;
        at = start.checked_add(lengths.number()?)?;
        offsets.push((start, at));
    }
    (gaps.is_empty() && lengths.is_empty() && at == facts.end).then_some(offsets)
}

/// The statements of a block's transactions.
pub(super) fn parse_texts(count: usize, bytes: &[u8]) -> Option<Vec<Option<&str>>> {
    let mut cursor = Cursor::new(bytes);
    let mut texts = Vec::with_capacity(count);
    for _ in 0..count {
        texts.push(match cursor.number()? {
            0 => None,
            length => Some(std::str::from_utf8(cursor.take(usize::try_from(length - 1).ok()?)?).ok()?),
        });
    }
    cursor.is_empty().then_some(texts)
}

/// A transaction's form, XA name and error code.
pub(super) type FormFacts = (Form, Option<String>, u16);

/// The forms of a block's transactions.
pub(super) fn parse_forms(count: usize, forms: &[u8], rare: &[u8]) -> Option<Vec<FormFacts>> {
    let mut cursor = Cursor::new(rare);
    let mut all = Vec::with_capacity(count);
    for number in forms {
        let form = Form::parse(*number)?;
        let xa = if form.has_xa { Some(cursor.text()?.to_owned()) } else { None };
        let error = if form.has_error { cursor.number()?.try_into().ok()? } else { 0 };
        all.push((form, xa, error));
    }
    (all.len() == count && cursor.is_empty()).then_some(all)
}
