//! The events that open a transaction with its GTID: MySQL's plain, anonymous and tagged ones, and MariaDB's.

use super::header::{EventHeader, event_type};
use super::source::Source;
use super::statement::XaId;
use crate::model::Gtid;
use uuid::Uuid;

/// What a GTID event says of the transaction that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GtidEvent {
    /// `None` for an anonymous transaction.
    pub(super) gtid: Option<Gtid>,
    /// Microseconds since 1970: commit on the server that first executed it (MySQL 8.0 and later).
    pub(super) original_commit: Option<u64>,
    /// Microseconds since 1970: commit on the server that wrote this log (MySQL 8.0 and later).
    pub(super) immediate_commit: Option<u64>,
    /// Bytes of the whole transaction, this event included (MySQL 8.0 and later).
    pub(super) transaction_length: Option<u64>,
    /// MariaDB: the transaction is in one group that ends with Xid, COMMIT or ROLLBACK, without a BEGIN.
    pub(super) has_end: bool,
    /// MariaDB: the XA transaction that the group prepares or completes.
    pub(super) xa: Option<XaId>,
}

/// The typecode before the logical timestamps of MySQL 5.7 and later.
const LOGICAL_TIMESTAMPS: u8 = 2;

/// In a seven-byte commit stamp: the original's stamp follows, being another one.
const ORIGINAL_COMMIT_FOLLOWS: u64 = 1 << 55;

/// MariaDB's `FL_STANDALONE`: the group has no terminating event.
const STANDALONE: u8 = 1;
/// MariaDB's `FL_GROUP_COMMIT_ID`.
const GROUP_COMMIT_ID: u8 = 2;
/// MariaDB's `FL_PREPARED_XA` and `FL_COMPLETED_XA`.
const XA: u8 = 64 | 128;

/// Reads the body of a GTID event of any of the four types.
pub(super) fn parse_gtid<S: Source>(header: &EventHeader, body: &mut S) -> Option<GtidEvent> {
    match header.event_type {
        event_type::MARIADB_GTID => parse_mariadb(header.server_id, body),
        event_type::GTID_TAGGED => parse_tagged(body),
        _ => parse_plain(body, header.event_type == event_type::ANONYMOUS_GTID),
    }
}

fn parse_plain<S: Source>(body: &mut S, anonymous: bool) -> Option<GtidEvent> {
    body.skip(1)?;
    let uuid = Uuid::from_slice(body.chunk(16)?).ok()?;
    let gno = body.u64()?;
    let gtid = if anonymous { None } else { Some(mysql_gtid(uuid, None, gno)?) };
    let mut event = GtidEvent::of(gtid);
    // Servers added to the event over time: 5.6 ends here, 5.7 with the logical timestamps.
    if body.remaining() < 17 || body.u8()? != LOGICAL_TIMESTAMPS {
        return Some(event);
    }
    body.skip(16)?;
    if body.remaining() < 7 {
        return Some(event);
    }
    let immediate = body.uint(7)?;
    let original = if immediate & ORIGINAL_COMMIT_FOLLOWS != 0 { body.uint(7)? } else { immediate };
    event.set_commits(original, immediate & !ORIGINAL_COMMIT_FOLLOWS);
    if body.remaining() > 0 {
        event.transaction_length = Some(body.packed()?);
    }
    Some(event)
}

/// The event is a message of MySQL's serialization library: fields with ascending numbers, known ones first.
fn parse_tagged<S: Source>(body: &mut S) -> Option<GtidEvent> {
    // Version of the serialization, size of the message, number of the last field that may not be passed over.
    body.varint()?;
    body.varint()?;
    body.varint()?;
    let (mut uuid, mut gno, mut tag) = (None, None, None);
    let (mut original, mut immediate, mut length) = (None, None, None);
    while body.remaining() > 0 {
        match body.varint()? {
            1 => {
                let mut bytes = [0; 16];
                for byte in &mut bytes {
                    *byte = u8::try_from(body.varint()?).ok()?;
                }
                uuid = Some(Uuid::from_bytes(bytes));
            }
            // A signed number: its lowest bit is the sign.
            2 => gno = Some(body.varint()? >> 1),
            3 => {
                let count = usize::try_from(body.varint()?).ok().filter(|count| *count <= 32)?;
                tag = Some(String::from_utf8(body.chunk(count)?.to_vec()).ok()?);
            }
            6 => immediate = Some(body.varint()?),
            7 => original = Some(body.varint()?),
            8 => length = Some(body.varint()?),
            // Flags, logical timestamps, server versions, commit ticket: all numbers.
            0 | 4 | 5 | 9..=11 => {
                body.varint()?;
            }
            // A field of a newer server, of unknown form. Fields ascend, so what matters here was before it.
            _ => break,
        }
    }
    let tag = tag.filter(|tag| !tag.is_empty());
    let mut event = GtidEvent::of(Some(mysql_gtid(uuid?, tag, gno?)?));
    if let Some(immediate) = immediate {
        event.set_commits(original.unwrap_or(immediate), immediate);
    }
    event.transaction_length = length;
    Some(event)
}

fn parse_mariadb<S: Source>(server: u32, body: &mut S) -> Option<GtidEvent> {
    let (seq, domain, flags) = (body.u64()?, body.u32()?, body.u8()?);
    let mut event = GtidEvent::of(Some(Gtid::Mariadb { domain, server, seq }));
    event.has_end = flags & STANDALONE == 0;
    if flags & GROUP_COMMIT_ID != 0 {
        body.skip(8)?;
    }
    if flags & XA != 0 {
        let format = body.u32()?;
        let (gtrid, bqual) = (usize::from(body.u8()?), usize::from(body.u8()?));
        event.xa = Some(XaId::from_parts(format, body.chunk(gtrid + bqual)?, gtrid));
    }
    Some(event)
}

fn mysql_gtid(uuid: Uuid, tag: Option<String>, gno: u64) -> Option<Gtid> {
    (gno > 0).then_some(Gtid::Mysql { uuid, tag, gno })
}

impl GtidEvent {
    fn of(gtid: Option<Gtid>) -> Self {
        GtidEvent {
            gtid,
            original_commit: None,
            immediate_commit: None,
            transaction_length: None,
            has_end: false,
            xa: None,
        }
    }

    fn set_commits(&mut self, original: u64, immediate: u64) {
        // A transaction that came through a server without these stamps has a zero for the original.
        self.original_commit = Some(original).filter(|stamp| *stamp != 0);
        self.immediate_commit = Some(immediate).filter(|stamp| *stamp != 0);
    }
}
