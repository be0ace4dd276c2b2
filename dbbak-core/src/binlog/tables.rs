//! Which tables a transaction changes, and by how many rows.

use super::compressed::open;
use super::ddl::{Action, DdlKind, DmlKind, Named};
use super::decode::Content;
use super::header::event_type;
use super::rows::{Column, Images, count_rows, parse_columns};
use super::source::Source;
use super::statement::QueryEvent;
use std::collections::HashMap;
use std::io::Read;

/// What a transaction does to one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableChange {
    /// The database.
    pub database: String,
    /// The table, or the view, routine, trigger or event; empty where a statement is about the database as such.
    pub table: String,
    /// Rows inserted, as far as row events tell.
    pub inserts: u64,
    /// Rows updated.
    pub updates: u64,
    /// Rows deleted.
    pub deletes: u64,
    /// Whether the three counts are all rows that changed. They are not where the change was logged as a statement, or
    /// in row events that cannot be counted.
    pub counted: bool,
    /// The data definition statement on the table, the last one where there are several.
    pub ddl: Option<DdlKind>,
    /// The kind of change that was logged as a statement, the last one where there are several.
    pub dml: Option<DmlKind>,
}

/// The most tables of one transaction that are told apart, and the most table maps kept at a time.
pub(super) const MAX_TABLES: usize = 4096;

/// The most columns that a server lets a table have.
const MAX_COLUMNS: u64 = 4096;

/// In a row event's flags: the statement is over, and with it the validity of its table maps.
const STATEMENT_END: u16 = 1;

/// A table map event: the table that a number stands for in the row events that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableMap {
    pub(super) id: u64,
    pub(super) database: String,
    pub(super) table: String,
    /// `None` where a column has a type that this reader does not know.
    pub(super) columns: Option<Vec<Column>>,
}

/// What a row event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowsKind {
    Insert,
    Update,
    Delete,
}

/// A row event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowsEvent {
    pub(super) table_id: u64,
    pub(super) kind: RowsKind,
    pub(super) ends_statement: bool,
    /// `None` where the rows cannot be counted.
    pub(super) rows: Option<u64>,
}

/// The form that a row event's type implies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowsForm {
    kind: RowsKind,
    images: Images,
    /// Version 2: with extra data after the flags.
    extra: bool,
    /// MariaDB's compressed rows.
    compressed: bool,
}

impl RowsForm {
    /// The form of an event type; `None` where it is no row event.
    pub(super) fn of(event_type: u8) -> Option<Self> {
        let form = |kind, extra, compressed| RowsForm {
            kind,
            images: if kind == RowsKind::Update { Images::Two } else { Images::One },
            extra,
            compressed,
        };
        Some(match event_type {
            event_type::WRITE_ROWS_V1 => form(RowsKind::Insert, false, false),
            event_type::UPDATE_ROWS_V1 => form(RowsKind::Update, false, false),
            event_type::DELETE_ROWS_V1 => form(RowsKind::Delete, false, false),
            event_type::WRITE_ROWS => form(RowsKind::Insert, true, false),
            event_type::UPDATE_ROWS => form(RowsKind::Update, true, false),
            event_type::DELETE_ROWS => form(RowsKind::Delete, true, false),
            event_type::PARTIAL_UPDATE_ROWS => {
                RowsForm { images: Images::TwoPartial, ..form(RowsKind::Update, true, false) }
            }
            event_type::WRITE_ROWS_COMPRESSED_V1 => form(RowsKind::Insert, false, true),
            event_type::UPDATE_ROWS_COMPRESSED_V1 => form(RowsKind::Update, false, true),
            event_type::DELETE_ROWS_COMPRESSED_V1 => form(RowsKind::Delete, false, true),
            event_type::WRITE_ROWS_COMPRESSED => form(RowsKind::Insert, true, true),
            event_type::UPDATE_ROWS_COMPRESSED => form(RowsKind::Update, true, true),
            event_type::DELETE_ROWS_COMPRESSED => form(RowsKind::Delete, true, true),
            _ => return None,
        })
    }
}

/// Reads the body of a Table_map event.
pub(super) fn parse_table_map<S: Source>(body: &mut S) -> Option<TableMap> {
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

/// Reads the body of a row event, by the table maps that `contents` holds.
pub(super) fn parse_rows<S: Source + Read>(form: RowsForm, body: &mut S, contents: &Contents) -> Option<RowsEvent> {
    let table_id = body.uint(6)?;
    let flags = body.u16()?;
    if form.extra {
        let extra = body.u16()?;
        body.skip(u64::from(extra).checked_sub(2)?)?;
    }
    Some(RowsEvent {
        table_id,
        kind: form.kind,
        ends_statement: flags & STATEMENT_END != 0,
        rows: contents.columns(table_id).and_then(|columns| parse_images(form, body, columns)),
    })
}

fn parse_images<S: Source + Read>(form: RowsForm, body: &mut S, columns: &[Column]) -> Option<u64> {
    let width = body.packed().filter(|width| *width == columns.len() as u64)?;
    let bitmap = (width as usize).div_ceil(8);
    let before = body.chunk(bitmap)?.to_vec();
    let after = if form.images == Images::One { Vec::new() } else { body.chunk(bitmap)?.to_vec() };
    if form.compressed {
        count_rows(&mut open(body)?, columns, form.images, &before, &after)
    } else {
        count_rows(body, columns, form.images, &before, &after)
    }
}

/// What the events of one transaction add up to.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) changes: Vec<TableChange>,
    /// More tables were changed than are listed.
    pub(super) more_tables: bool,
    /// The first statement: a query, or the text that precedes row events.
    pub(super) statement: Option<String>,
    pub(super) has_rows: bool,
    maps: HashMap<u64, Mapped>,
}

#[derive(Debug)]
struct Mapped {
    map: TableMap,
    /// Where its changes are counted, once there are some.
    change: Option<usize>,
}

impl Contents {
    fn columns(&self, table_id: u64) -> Option<&[Column]> {
        self.maps.get(&table_id)?.map.columns.as_deref()
    }

    fn add_map(&mut self, map: TableMap) {
        if self.maps.len() < MAX_TABLES || self.maps.contains_key(&map.id) {
            self.maps.insert(map.id, Mapped { map, change: None });
        }
    }

    fn add_rows(&mut self, event: &RowsEvent) {
        self.has_rows = true;
        let place = match self.maps.get(&event.table_id) {
            Some(Mapped { change: Some(at), .. }) => Some(*at),
            Some(Mapped { map, change: None }) => {
                let at = place_of(&mut self.changes, &map.database, &map.table);
                self.more_tables |= at.is_none();
                at
            }
            // A row event that only closes its statement bears a number that no table has, and no rows.
            None => {
                self.more_tables |= event.rows != Some(0) && event.table_id != DUMMY_TABLE;
                None
            }
        };
        if let Some(at) = place {
            if let Some(mapped) = self.maps.get_mut(&event.table_id) {
                mapped.change = Some(at);
            }
            if let Some(change) = self.changes.get_mut(at) {
                change.add(event);
            }
        }
        if event.ends_statement {
            self.maps.clear();
        }
    }

    /// Adds an event that belongs to row changes.
    pub(super) fn add_event(&mut self, content: Content) {
        match content {
            Content::TableMap(Some(map)) => self.add_map(map),
            Content::Rows(Some(rows)) => self.add_rows(&rows),
            Content::TableMap(None) | Content::Rows(None) => self.more_tables = true,
            Content::Text(text) => self.add_text(&text),
            _ => {}
        }
    }

    /// Adds a query that changes something.
    pub(super) fn add_query(&mut self, query: &QueryEvent, named: &Named) {
        self.add_text(&query.text);
        self.add_statement(&query.database, named);
    }

    /// Adds a statement that was logged as text, in its default database.
    fn add_statement(&mut self, database: &str, named: &Named) {
        for (own, table) in &named.tables {
            let database = own.as_deref().unwrap_or(database);
            let Some(change) = place_of(&mut self.changes, database, table).and_then(|at| self.changes.get_mut(at))
            else {
                self.more_tables = true;
                continue;
            };
            match named.action {
                Action::Ddl(kind) => change.ddl = Some(kind),
                Action::Dml(kind) => {
                    change.dml = Some(kind);
                    change.counted = false;
                }
                Action::Unknown => {}
            }
        }
    }

    /// Keeps a text as the statement, where it is the first.
    pub(super) fn add_text(&mut self, text: &str) {
        if self.statement.is_none() {
            self.statement = Some(text.to_owned());
        }
    }

    /// Adds what a compressed transaction held.
    pub(super) fn add_all(&mut self, inner: Contents) {
        for change in inner.changes {
            match place_of(&mut self.changes, &change.database, &change.table).and_then(|at| self.changes.get_mut(at)) {
                Some(own) => own.add_all(&change),
                None => self.more_tables = true,
            }
        }
        self.more_tables |= inner.more_tables;
        self.has_rows |= inner.has_rows;
        if let Some(text) = &inner.statement {
            self.add_text(text);
        }
    }
}

/// The number in a row event that belongs to no table.
const DUMMY_TABLE: u64 = 0x00ff_ffff;

impl TableChange {
    fn add(&mut self, event: &RowsEvent) {
        let count = match event.kind {
            RowsKind::Insert => &mut self.inserts,
            RowsKind::Update => &mut self.updates,
            RowsKind::Delete => &mut self.deletes,
        };
        match event.rows {
            Some(rows) => *count = count.saturating_add(rows),
            None => self.counted = false,
        }
    }

    fn add_all(&mut self, other: &TableChange) {
        self.inserts = self.inserts.saturating_add(other.inserts);
        self.updates = self.updates.saturating_add(other.updates);
        self.deletes = self.deletes.saturating_add(other.deletes);
        self.counted &= other.counted;
        self.ddl = other.ddl.or(self.ddl);
        self.dml = other.dml.or(self.dml);
    }
}

/// Where the changes of a table stand; adds the table, unless there are too many.
fn place_of(changes: &mut Vec<TableChange>, database: &str, table: &str) -> Option<usize> {
    let found = changes.iter().position(|change| change.table == table && change.database == database);
    if found.is_some() {
        return found;
    }
    if changes.len() >= MAX_TABLES {
        return None;
    }
    changes.push(TableChange {
        database: database.to_owned(),
        table: table.to_owned(),
        inserts: 0,
        updates: 0,
        deletes: 0,
        counted: true,
        ddl: None,
        dml: None,
    });
    Some(changes.len() - 1)
}
