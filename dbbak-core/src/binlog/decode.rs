//! Decodes the body of an event, as far as transactions and their tables are concerned.

use super::compressed::{Payload, open_statement, parse_payload};
use super::format::LogFlavor;
use super::gtid_events::{GtidEvent, parse_gtid};
use super::header::{EventHeader, event_type};
use super::source::Source;
use super::statement::{
    QueryEvent, XaId, is_begin, parse_incident, parse_load_query, parse_query, parse_query_head, parse_xa_prepare,
    read_text,
};
use super::table_maps::{KnownMaps, TableMap};
use super::tables::{Contents, RowsEvent, RowsForm, parse_rows};
use crate::model::BinlogName;
use std::{io::Read, rc::Rc};

/// What an event says.
#[derive(Debug)]
pub(super) enum Content {
    /// A transaction begins.
    Gtid(GtidEvent),
    /// A transaction begins: the word BEGIN, as the servers write it.
    Begin,
    /// A statement.
    Query(QueryEvent),
    /// A LOAD DATA statement whose file came in the events before.
    LoadQuery(QueryEvent),
    /// A piece of such a file.
    LoadBlock,
    /// The commit of a transaction.
    Xid,
    /// The preparation of an XA transaction, or its commit in one phase.
    XaPrepare { one_phase: bool, xa: XaId },
    /// A value for the statement that follows.
    Variable {
        /// It is a user variable that MySQL's applier would set under another name.
        renamed: bool,
    },
    /// A table map; `None` where it cannot be decoded.
    TableMap(Option<Rc<TableMap>>),
    /// Rows; `None` where the event cannot be decoded.
    Rows(Option<RowsEvent>),
    /// The text of the statement whose rows follow.
    Text(String),
    /// A whole transaction, compressed.
    Payload(Box<Payload>),
    /// Data that the server knows it did not log.
    Incident { number: u16, message: String },
    /// The log goes on in another file.
    Rotate { next: BinlogName, position: u64 },
    /// The server was shut down.
    Stop,
    /// An event that may stand only at the start.
    OutOfPlace,
    /// Anything else.
    Other,
}

/// Decodes a body; `None` where it does not follow the layout of its type and that cannot be passed over.
///
/// Row events are read by the table maps that `contents` holds; `known` are those that were decoded before.
pub(super) fn decode<S: Source + Read>(
    header: &EventHeader,
    body: &mut S,
    contents: &Contents,
    known: &mut KnownMaps,
    flavor: LogFlavor,
) -> Option<Content> {
    Some(match header.event_type {
        event_type::GTID | event_type::ANONYMOUS_GTID | event_type::GTID_TAGGED | event_type::MARIADB_GTID => {
            Content::Gtid(parse_gtid(header, body)?)
        }
        event_type::QUERY if is_begin(body) => Content::Begin,
        event_type::QUERY => Content::Query(QueryEvent { own: header.is_own(), ..parse_query(body, flavor)? }),
        event_type::QUERY_COMPRESSED => {
            let mut query = parse_query_head(body, flavor)?;
            query.take(open_statement(body, query.reading)?);
            query.own = header.is_own();
            Content::Query(query)
        }
        event_type::EXECUTE_LOAD_QUERY => {
            Content::LoadQuery(QueryEvent { own: header.is_own(), ..parse_load_query(body, flavor)? })
        }
        event_type::BEGIN_LOAD_QUERY | event_type::APPEND_BLOCK | event_type::DELETE_FILE => Content::LoadBlock,
        event_type::XID => Content::Xid,
        event_type::XA_PREPARE => {
            let (one_phase, xa) = parse_xa_prepare(body)?;
            Content::XaPrepare { one_phase, xa }
        }
        event_type::INTVAR | event_type::RAND => Content::Variable { renamed: false },
        event_type::USER_VAR => Content::Variable { renamed: is_renamed(body)? },
        event_type::TABLE_MAP => Content::TableMap(known.read(body)),
        event_type::ROWS_QUERY => {
            // One byte of a length that is cut to 255, and so of no use.
            body.skip(1)?;
            Content::Text(read_text(body)?)
        }
        event_type::ANNOTATE_ROWS => Content::Text(read_text(body)?),
        event_type::TRANSACTION_PAYLOAD => Content::Payload(Box::new(parse_payload(body, known)?)),
        event_type::INCIDENT => {
            let (number, message) = parse_incident(body)?;
            Content::Incident { number, message }
        }
        event_type::ROTATE => parse_rotate(body)?,
        event_type::STOP => Content::Stop,
        event_type::FORMAT_DESCRIPTION | event_type::START_ENCRYPTION => Content::OutOfPlace,
        other => match RowsForm::of(other) {
            Some(form) => Content::Rows(parse_rows(form, body, contents)),
            None => Content::Other,
        },
    })
}

/// Whether MySQL's applier sets a user variable under another name than the log's: it takes blanks and control characters off the
/// name's beginning, as off that of an unnamed column, so that the statement behind it finds NULL (seen on 9.7.4).
fn is_renamed<S: Source>(body: &mut S) -> Option<bool> {
    let length = body.u32()?;
    Some(length > 0 && matches!(body.u8()?, 0..=b' ' | 0x7f))
}

/// The longest file name of a Rotate event, with its directory.
const MAX_NAME: u64 = 512;

fn parse_rotate<S: Source>(body: &mut S) -> Option<Content> {
    let position = body.u64()?;
    let length = Some(body.remaining()).filter(|length| *length <= MAX_NAME)?;
    let name = String::from_utf8(body.chunk(length as usize)?.to_vec()).ok()?;
    Some(Content::Rotate { next: name.parse().ok()?, position })
}
