//! Which tables a transaction changes, and by how many rows.

use super::compressed::open;
use super::ddl::{Action, DdlKind, DmlKind, Named};

use super::decode::Content;
use super::directories::Outside;
use super::header::event_type;
use super::rows::{Column, Images, count_rows};
use super::session::SessionTables;
use super::source::Source;
use super::statement::QueryEvent;
use super::table_maps::TableMap;
use super::untold::{Untold, changes_rows_behind_settings, selects};
use std::{io::Read, rc::Rc};

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

/// In a row event's flags: the statement is over, and with it the validity of its table maps.
const STATEMENT_END: u16 = 1;

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
    /// What its statements say of the session that ran them.
    pub(super) session: Option<SessionTables>,
    /// Where the first statement that does so puts files outside of the data directory.
    pub(super) outside: Option<Outside>,
    /// What the log does not tell of the first statement of which that is so.
    pub(super) untold: Option<Untold>,
    /// Whether a logged statement writes rows.
    pub(super) by_statement: bool,
    /// Whether it sets a user variable that MySQL's applier would set under another name.
    pub(super) renames_variable: bool,
    /// The table maps of the statement, ordered by the table's number.
    maps: Vec<Mapped>,
    /// Changes of transactions before, for their memory alone.
    spare: Vec<TableChange>,
}

#[derive(Debug)]
struct Mapped {
    map: Rc<TableMap>,
    /// Where its changes are counted, once there are some.
    change: Option<usize>,
}

/// Changes whose memory is kept for the next transaction.
const MAX_SPARE: usize = 16;

impl Contents {
    /// Nothing, with the memory that this held.
    pub(super) fn emptied(mut self) -> Self {
        self.maps.clear();
        Contents { maps: self.maps, spare: self.spare, ..Contents::default() }
    }

    /// Takes changes that nobody needs any more: what follows uses their memory.
    pub(super) fn reuse(&mut self, mut tables: Vec<TableChange>) {
        tables.truncate(MAX_SPARE.saturating_sub(self.spare.len()));
        self.spare.append(&mut tables);
        self.changes = tables;
    }

    fn columns(&self, table_id: u64) -> Option<&[Column]> {
        self.maps.get(self.place_of_map(table_id).ok()?)?.map.columns.as_deref()
    }

    /// Where the map of a table stands, or is to stand.
    fn place_of_map(&self, table_id: u64) -> Result<usize, usize> {
        self.maps.binary_search_by_key(&table_id, |mapped| mapped.map.id)
    }

    fn add_map(&mut self, map: Rc<TableMap>) {
        let place = self.place_of_map(map.id);
        let mapped = Mapped { map, change: None };
        match place {
            Ok(place) => {
                if let Some(old) = self.maps.get_mut(place) {
                    *old = mapped;
                }
            }
            Err(place) if self.maps.len() < MAX_TABLES => self.maps.insert(place, mapped),
            Err(_) => {}
        }
    }

    fn add_rows(&mut self, event: &RowsEvent) {
        self.has_rows = true;
        let found = self.place_of_map(event.table_id).ok().and_then(|place| self.maps.get_mut(place));
        let place = match found {
            Some(Mapped { change: Some(at), .. }) => Some(*at),
            Some(Mapped { map, change }) => {
                let at = place_of(&mut self.changes, &mut self.spare, &map.database, &map.table);
                self.more_tables |= at.is_none();
                *change = at;
                at
            }
            // A row event that only closes its statement bears a number that no table has, and no rows.
            None => {
                self.more_tables |= event.rows != Some(0) && event.table_id != DUMMY_TABLE;
                None
            }
        };
        if let Some(change) = place.and_then(|at| self.changes.get_mut(at)) {
            change.add(event);
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
            Content::Variable { renamed } => self.renames_variable |= renamed,
            _ => {}
        }
    }

    /// Adds a query that changes something.
    pub(super) fn add_query(&mut self, query: &QueryEvent, named: &Named) {
        self.add_text(&query.text);
        if self.outside.is_none() {
            self.outside.clone_from(&query.outside);
        }
        self.untold = self.untold.or(query.untold);
        // What is no definition is a change of rows, or calls something that may be one.
        self.by_statement |= match named.action {
            Action::Ddl(DdlKind::CreateTable) => selects(&query.text),
            Action::Ddl(DdlKind::Account) => changes_rows_behind_settings(&query.text),
            Action::Ddl(_) => false,
            Action::Dml(_) | Action::Unknown => true,
        };
        let session = self.session.get_or_insert_with(|| SessionTables::of(query.thread));
        session.partial |= named.partial || session.thread != query.thread;
        session.own |= query.own;
        session.no_directories |= query.reading.no_directories;
        self.add_statement(&query.database, named);
    }

    /// Adds a statement that was logged as text, in its default database.
    fn add_statement(&mut self, database: &str, named: &Named) {
        for (own, table) in &named.tables {
            let database = own.as_deref().unwrap_or(database);
            let place = place_of(&mut self.changes, &mut self.spare, database, table);
            let Some(change) = place.and_then(|at| self.changes.get_mut(at)) else {
                self.more_tables = true;
                continue;
            };
            let untouched = change.ddl.is_none() && change.dml.is_none();
            if let (Some(session), Some(table)) = (&mut self.session, place) {
                session.note(table, named, untouched);
            }
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
            let place = place_of(&mut self.changes, &mut self.spare, &change.database, &change.table);
            match place.and_then(|at| self.changes.get_mut(at)) {
                Some(own) => own.add_all(&change),
                None => self.more_tables = true,
            }
        }
        self.more_tables |= inner.more_tables;
        self.has_rows |= inner.has_rows;
        self.by_statement |= inner.by_statement;
        self.renames_variable |= inner.renames_variable;
        self.untold = self.untold.or(inner.untold);
        self.outside = self.outside.take().or(inner.outside);
        // A compressed transaction holds all of its statements: nothing stands beside it.
        self.session = self.session.take().or(inner.session);
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
fn place_of(
    changes: &mut Vec<TableChange>,
    spare: &mut Vec<TableChange>,
    database: &str,
    table: &str,
) -> Option<usize> {
    let found = changes.iter().position(|change| change.table == table && change.database == database);
    if found.is_some() {
        return found;
    }
    if changes.len() >= MAX_TABLES {
        return None;
    }
    let (mut own_database, mut own_table) =
        spare.pop().map_or_else(Default::default, |change| (change.database, change.table));
    own_database.clear();
    own_database.push_str(database);
    own_table.clear();
    own_table.push_str(table);
    changes.push(TableChange {
        database: own_database,
        table: own_table,
        inserts: 0,
        updates: 0,
        deletes: 0,
        counted: true,
        ddl: None,
        dml: None,
    });
    Some(changes.len() - 1)
}
