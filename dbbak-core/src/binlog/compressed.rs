//! Opens what servers compress in a binlog: whole transactions (MySQL), statements and rows (MariaDB).

use super::decode::{Content, decode};
use super::format::LogFlavor;
use super::header::event_type;
use super::reader::{EventReader, Frame};
use super::source::{ReadSource, Source};
use super::statement::{ReadStatement, StatementKind, classify, read_statement};
use super::table_maps::KnownMaps;
use super::tables::Contents;
use super::transaction::EndKind;
use super::usual_text::Reading;
use flate2::read::ZlibDecoder;
use std::io::Read;

/// What a Transaction_payload event holds.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) contents: Contents,
    pub(super) end_kind: EndKind,
    /// The latest stamp of the events in it.
    pub(super) header_max: u32,
    pub(super) error_code: u16,
    /// Whether a part of it was taken back.
    pub(super) taken_back: bool,
}

/// Fields of a Transaction_payload event's header.
const END_OF_FIELDS: u64 = 0;
const PAYLOAD_SIZE: u64 = 1;
const COMPRESSION: u64 = 2;

/// Numbers of the compression algorithms.
const ZSTD: u64 = 0;
const UNCOMPRESSED: u64 = 255;

/// Reads the body of a Transaction_payload event; `None` where its header does not follow the layout.
///
/// A payload that cannot be opened or read is no damage of the log: it is passed over, and says that it hides tables.
pub(super) fn parse_payload<S: Source + Read>(body: &mut S, known: &mut KnownMaps) -> Option<Payload> {
    let opened = opened_payload(body)?.and_then(|mut events| read_events(&mut *events, known));
    Some(opened.unwrap_or_else(|| {
        let mut closed = Payload::empty();
        closed.contents.more_tables = true;
        closed
    }))
}

/// The events in the body of a Transaction_payload event, uncompressed; `None` where they cannot be read.
pub(super) fn open_payload<'b, S: Source + Read>(body: &'b mut S) -> Option<Box<dyn Read + 'b>> {
    opened_payload(body)?
}

/// `None` where the header does not follow the layout, `Some(None)` where what it announces cannot be opened.
#[expect(clippy::option_option, reason = "the one is damage of the log, the other is none")]
fn opened_payload<'b, S: Source + Read>(body: &'b mut S) -> Option<Option<Box<dyn Read + 'b>>> {
    let mut compression = UNCOMPRESSED;
    let mut size = None;
    loop {
        let field = body.packed()?;
        if field == END_OF_FIELDS {
            break;
        }
        let length = body.packed()?;
        let left = body.remaining().checked_sub(length)?;
        match field {
            PAYLOAD_SIZE => size = Some(body.packed()?),
            COMPRESSION => compression = body.packed()?,
            _ => body.skip(length)?,
        }
        if body.remaining() != left {
            return None;
        }
    }
    if size.is_some_and(|size| size > body.remaining()) {
        return None;
    }
    Some(match compression {
        ZSTD => zstd::stream::read::Decoder::new(body).ok().map(|events| Box::new(events) as Box<dyn Read>),
        UNCOMPRESSED => Some(Box::new(body)),
        _ => None,
    })
}

impl Payload {
    fn empty() -> Self {
        Payload {
            contents: Contents::default(),
            end_kind: EndKind::Payload,
            header_max: 0,
            error_code: 0,
            taken_back: false,
        }
    }
}

fn read_events(input: &mut dyn Read, known: &mut KnownMaps) -> Option<Payload> {
    let mut reader = EventReader::of_payload(input);
    let mut payload = Payload::empty();
    loop {
        let mut event = match reader.next().ok()? {
            Frame::Event(event) => event,
            Frame::Damaged(_) => return None,
            Frame::End => return (payload.end_kind != EndKind::Payload).then_some(payload),
        };
        let header = event.header;
        // Servers do not nest them, and a forged log shall not make us recurse.
        if header.event_type == event_type::TRANSACTION_PAYLOAD {
            return None;
        }
        let content = decode(&header, &mut event.body, &payload.contents, known, LogFlavor::Mysql)?;
        if event.finish().ok()?.is_some() {
            return None;
        }
        payload.header_max = payload.header_max.max(header.time);
        match content {
            Content::Xid => payload.end_kind = EndKind::Commit,
            Content::XaPrepare { .. } => payload.end_kind = EndKind::XaPrepare,
            Content::Query(query) => match classify(&query.text) {
                StatementKind::Commit => payload.end_kind = EndKind::Commit,
                StatementKind::Rollback => payload.end_kind = EndKind::Rollback,
                StatementKind::RollbackTo => payload.taken_back = true,
                StatementKind::Other(named) => {
                    payload.contents.add_query(&query, &named);
                    if payload.error_code == 0 {
                        payload.error_code = query.error_code;
                    }
                }
                _ => {}
            },
            content => payload.contents.add_event(content),
        }
    }
}

/// Reads the statement of MariaDB's compressed query.
pub(super) fn open_statement<S: Source + Read>(body: &mut S, reading: Reading) -> Option<ReadStatement> {
    let mut source = open(body)?;
    read_statement(&mut source, reading)
}

/// Opens a piece that MariaDB compressed: a byte with the algorithm and the length's length, the length, zlib's stream.
pub(super) fn open<S: Source + Read>(body: &mut S) -> Option<ReadSource<ZlibDecoder<&mut S>>> {
    const IS_COMPRESSED: u8 = 0x80;
    const ALGORITHM: u8 = 0x70;
    const LENGTH_BYTES: u8 = 0x07;
    let first = body.u8()?;
    if first & IS_COMPRESSED == 0 || first & ALGORITHM != 0 {
        return None;
    }
    let bytes = usize::from(first & LENGTH_BYTES);
    // Unlike every other number in the log, the high byte comes first.
    let length = body.chunk(bytes)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
    Some(ReadSource::new(ZlibDecoder::new(body), length))
}
