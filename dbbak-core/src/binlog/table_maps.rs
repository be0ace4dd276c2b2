//! Table maps: which table a number stands for in the row events that follow, and the table's columns.

use super::rows::{Column, parse_columns};
use super::source::Source;
use std::rc::Rc;

/// The most columns that a server lets a table have.
const MAX_COLUMNS: u64 = 4096;

/// A table map event: the table that a number stands for in the row events that follow.
#[derive(Debug)]
pub(super) struct TableMap {
    pub(super) id: u64,
    pub(super) database: String,
    pub(super) table: String,
    /// `None` where a column has a type that this reader does not know.
    pub(super) columns: Option<Vec<Column>>,
}

/// How many table maps are kept.
const KEPT_MAPS: usize = 64;

/// The largest table map that is kept, in bytes of its event.
const KEPT_BYTES: usize = 8 << 10;

/// Table maps that were decoded before: each transaction bears those of its tables, and they are nearly always the same.
#[derive(Debug)]
pub(super) struct KnownMaps {
    /// Each in the place that its table's number gives it.
    kept: [Option<Kept>; KEPT_MAPS],
}

#[derive(Debug)]
struct Kept {
    body: Vec<u8>,
    map: Rc<TableMap>,
}

impl KnownMaps {
    pub(super) fn new() -> Self {
        KnownMaps { kept: [const { None }; KEPT_MAPS] }
    }

    /// Reads the body of a Table_map event, unless the same bytes were read before.
    pub(super) fn read<S: Source>(&mut self, body: &mut S) -> Option<Rc<TableMap>> {
        let Some(bytes) = body.in_memory().filter(|bytes| bytes.len() <= KEPT_BYTES) else {
            return parse_table_map(body).map(Rc::new);
        };
        let place = self.kept.get_mut(usize::from(*bytes.first()?) % KEPT_MAPS)?;
        if let Some(kept) = place
            && kept.body == bytes
        {
            return Some(Rc::clone(&kept.map));
        }
        let mut rest = bytes;
        let map = Rc::new(parse_table_map(&mut rest)?);
        *place = Some(Kept { body: bytes.to_vec(), map: Rc::clone(&map) });
        Some(map)
    }
}

/// Reads the body of a Table_map event.
fn parse_table_map<S: Source>(body: &mut S) -> Option<TableMap> {
    let id = body.uint(6)?;
    body.skip(2)?;
    let database = parse_name(body)?;
    let table = parse_name(body)?;
    let count = body.packed().filter(|count| *count <= MAX_COLUMNS)?;
    let types = body.chunk(count as usize)?.to_vec();
    let length = body.packed().filter(|length| *length <= 4 * MAX_COLUMNS)?;
    let columns = parse_columns(&types, body.chunk(length as usize)?);
    Some(TableMap { id, database, table, columns })
}

fn parse_name<S: Source>(body: &mut S) -> Option<String> {
    let length = usize::from(body.u8()?);
    let name = String::from_utf8_lossy(body.chunk(length)?).into_owned();
    body.skip(1)?;
    Some(name)
}
