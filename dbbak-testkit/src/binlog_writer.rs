//! Writes binlogs event by event, as servers of both vendors do, for tests and benchmarks.

use dbbak_core::model::{MariadbGtidState, MysqlGtidSet};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Whose binlog is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// MySQL 8.0 and later.
    Mysql,
    /// MySQL 5.6: GTID events without logical timestamps and commit stamps.
    Mysql56,
    /// MariaDB 10.11.
    Mariadb,
}

/// Numbers of the event types that the writer knows.
pub mod event_type {
    #![expect(missing_docs, reason = "the names are the servers' own")]
    pub const QUERY: u8 = 2;
    pub const STOP: u8 = 3;
    pub const ROTATE: u8 = 4;
    pub const INTVAR: u8 = 5;
    pub const FORMAT_DESCRIPTION: u8 = 15;
    pub const XID: u8 = 16;
    pub const TABLE_MAP: u8 = 19;
    pub const WRITE_ROWS_V1: u8 = 23;
    pub const UPDATE_ROWS_V1: u8 = 24;
    pub const DELETE_ROWS_V1: u8 = 25;
    pub const INCIDENT: u8 = 26;
    pub const HEARTBEAT: u8 = 27;
    pub const ROWS_QUERY: u8 = 29;
    pub const WRITE_ROWS: u8 = 30;
    pub const UPDATE_ROWS: u8 = 31;
    pub const DELETE_ROWS: u8 = 32;
    pub const GTID: u8 = 33;
    pub const ANONYMOUS_GTID: u8 = 34;
    pub const PREVIOUS_GTIDS: u8 = 35;
    pub const XA_PREPARE: u8 = 38;
    pub const TRANSACTION_PAYLOAD: u8 = 40;
    pub const GTID_TAGGED: u8 = 42;
    pub const ANNOTATE_ROWS: u8 = 160;
    pub const BINLOG_CHECKPOINT: u8 = 161;
    pub const MARIADB_GTID: u8 = 162;
    pub const GTID_LIST: u8 = 163;
    pub const START_ENCRYPTION: u8 = 164;
    pub const QUERY_COMPRESSED: u8 = 165;
    pub const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
}

/// What a row event does to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowChange {
    /// Inserts each row.
    Insert,
    /// Updates rows: each even row to the one after it.
    Update,
    /// Deletes each row.
    Delete,
}

/// First and last transaction numbers, both included.
type Intervals = Vec<(u64, u64)>;

/// MariaDB: the group has no terminating event.
pub const STANDALONE: u8 = 1;
/// MariaDB: the group is transactional.
pub const TRANSACTIONAL: u8 = 4;

/// A binlog in memory. Every method appends one event and returns the offset after it.
#[derive(Debug, Clone)]
pub struct BinlogWriter {
    vendor: Vendor,
    checksum: bool,
    bytes: Vec<u8>,
    /// Added to every offset: as if so many bytes stood before.
    base: u64,
    in_payload: bool,
    /// Leave out the end positions of the next events, as MariaDB 11.4 and later do within a transaction.
    pub without_positions: bool,
    /// Stamp of the next events, seconds since 1970.
    pub time: u32,
    /// Commit stamps of the next GTID events, microseconds since 1970: of the original server, and of this one.
    pub commit: (u64, u64),
    /// Server of the next events.
    pub server_id: u32,
}

impl BinlogWriter {
    /// Begins a file with magic and format description; `time` stamps the next events too.
    pub fn new(vendor: Vendor, checksum: bool, time: u32) -> Self {
        let mut writer = BinlogWriter {
            vendor,
            checksum: true,
            bytes: vec![0xfe, 0x62, 0x69, 0x6e],
            base: 0,
            in_payload: false,
            without_positions: false,
            time,
            commit: (u64::from(time) * 1_000_000, u64::from(time) * 1_000_000),
            server_id: 1,
        };
        let (version, types) = match vendor {
            Vendor::Mysql => ("8.4.3", 42),
            Vendor::Mysql56 => ("5.6.51-log", 35),
            Vendor::Mariadb => ("10.11.19-MariaDB-log", 171),
        };
        let mut body = vec![4, 0];
        let mut text = [0; 50];
        text[..version.len()].copy_from_slice(version.as_bytes());
        body.extend_from_slice(&text);
        body.extend_from_slice(&0_u32.to_le_bytes());
        body.push(19);
        // The lengths themselves are not read by anything that reads version 4 logs.
        body.extend(std::iter::repeat_n(8, types));
        body.push(checksum.into());
        writer.event(event_type::FORMAT_DESCRIPTION, 0, &body);
        writer.checksum = checksum;
        writer
    }

    /// Goes on at an offset, as if so many bytes had been written before.
    pub fn continued(vendor: Vendor, checksum: bool, time: u32, offset: u64) -> Self {
        let mut writer = BinlogWriter::payload(time);
        writer.vendor = vendor;
        writer.checksum = checksum;
        writer.in_payload = false;
        writer.base = offset;
        writer
    }

    /// Events for the inside of a Transaction_payload event: neither checksums nor positions.
    pub fn payload(time: u32) -> Self {
        BinlogWriter {
            vendor: Vendor::Mysql,
            checksum: false,
            bytes: Vec::new(),
            base: 0,
            in_payload: true,
            without_positions: false,
            time,
            commit: (0, 0),
            server_id: 1,
        }
    }

    /// The bytes written so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Offset of the next event.
    pub fn offset(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Sets the in-use flag, as it stands while the server writes.
    pub fn set_in_use(&mut self) {
        self.bytes[21] |= 1;
    }

    /// Appends an event with any type, flags and body.
    pub fn event(&mut self, event_type: u8, flags: u16, body: &[u8]) -> u64 {
        let length = 19 + body.len() + if self.checksum { 4 } else { 0 };
        let end = self.offset() + length as u64;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.time.to_le_bytes());
        self.bytes.push(event_type);
        self.bytes.extend_from_slice(&self.server_id.to_le_bytes());
        self.bytes.extend_from_slice(&(length as u32).to_le_bytes());
        let position = if self.in_payload || self.without_positions { 0 } else { end as u32 };
        self.bytes.extend_from_slice(&position.to_le_bytes());
        self.bytes.extend_from_slice(&flags.to_le_bytes());
        self.bytes.extend_from_slice(body);
        if self.checksum {
            let crc = crc32fast::hash(&self.bytes[start..]);
            self.bytes.extend_from_slice(&crc.to_le_bytes());
        }
        end
    }

    /// Previous_gtids, in the tagged form where a tag is in the set.
    pub fn previous_gtids(&mut self, set: &MysqlGtidSet) -> u64 {
        let mut owners: BTreeMap<(Uuid, Option<&str>), Intervals> = BTreeMap::new();
        for (uuid, tag, first, last) in set.intervals() {
            owners.entry((*uuid, tag)).or_default().push((first, last));
        }
        let tagged = owners.keys().any(|(_, tag)| tag.is_some());
        let count = owners.len() as u64;
        let first = if tagged { count << 8 | 1 << 56 | 1 } else { count };
        let mut body = first.to_le_bytes().to_vec();
        for ((uuid, tag), intervals) in owners {
            body.extend_from_slice(uuid.as_bytes());
            if tagged {
                let tag = tag.unwrap_or_default();
                put_varint(&mut body, tag.len() as u64);
                body.extend_from_slice(tag.as_bytes());
            }
            body.extend_from_slice(&(intervals.len() as u64).to_le_bytes());
            for (first, last) in intervals {
                body.extend_from_slice(&first.to_le_bytes());
                body.extend_from_slice(&(last + 1).to_le_bytes());
            }
        }
        self.event(event_type::PREVIOUS_GTIDS, 0x80, &body)
    }

    /// Gtid_list of MariaDB.
    pub fn gtid_list(&mut self, state: &MariadbGtidState) -> u64 {
        let mut body = (state.entries().count() as u32).to_le_bytes().to_vec();
        for (domain, server, seq) in state.entries() {
            body.extend_from_slice(&domain.to_le_bytes());
            body.extend_from_slice(&server.to_le_bytes());
            body.extend_from_slice(&seq.to_le_bytes());
        }
        // The server pads an empty list.
        body.resize(body.len().max(6), 0);
        self.event(event_type::GTID_LIST, 0, &body)
    }

    /// A plain MySQL GTID.
    pub fn gtid(&mut self, uuid: Uuid, gno: u64) -> u64 {
        let body = self.gtid_body(uuid, gno);
        self.event(event_type::GTID, 0, &body)
    }

    /// What MySQL 5.7 and later write where GTIDs are off.
    pub fn anonymous(&mut self) -> u64 {
        let body = self.gtid_body(Uuid::nil(), 0);
        self.event(event_type::ANONYMOUS_GTID, 0, &body)
    }

    fn gtid_body(&self, uuid: Uuid, gno: u64) -> Vec<u8> {
        let mut body = vec![0];
        body.extend_from_slice(uuid.as_bytes());
        body.extend_from_slice(&gno.to_le_bytes());
        if self.vendor == Vendor::Mysql56 {
            return body;
        }
        body.push(2);
        body.extend_from_slice(&[0; 16]);
        let (original, immediate) = self.commit;
        if original == immediate {
            body.extend_from_slice(&immediate.to_le_bytes()[..7]);
        } else {
            body.extend_from_slice(&(immediate | 1 << 55).to_le_bytes()[..7]);
            body.extend_from_slice(&original.to_le_bytes()[..7]);
        }
        // A transaction length of 0: not known, as with servers that do not compute it. Then the server version.
        body.push(0);
        body.extend_from_slice(&80403_u32.to_le_bytes());
        body
    }

    /// A tagged MySQL GTID (8.3 and later).
    pub fn tagged_gtid(&mut self, uuid: Uuid, tag: &str, gno: u64) -> u64 {
        let mut fields = vec![0, 0];
        fields.push(1 << 1);
        for byte in uuid.as_bytes() {
            put_varint(&mut fields, (*byte).into());
        }
        fields.push(2 << 1);
        put_varint(&mut fields, gno << 1);
        fields.push(3 << 1);
        put_varint(&mut fields, tag.len() as u64);
        fields.extend_from_slice(tag.as_bytes());
        fields.extend_from_slice(&[4 << 1, 0, 5 << 1, 2 << 1, 6 << 1]);
        put_varint(&mut fields, self.commit.1);
        if self.commit.0 != self.commit.1 {
            fields.push(7 << 1);
            put_varint(&mut fields, self.commit.0);
        }
        fields.extend_from_slice(&[8 << 1, 0, 9 << 1]);
        put_varint(&mut fields, 90704);
        // Version of the format, size of the whole message with this head, last field that must be known.
        let mut body = vec![1 << 1];
        let size = fields.len() as u64 + if fields.len() < 124 { 3 } else { 4 };
        put_varint(&mut body, size);
        body.push(0);
        body.extend_from_slice(&fields);
        self.event(event_type::GTID_TAGGED, 0, &body)
    }

    /// A MariaDB GTID with its flags; the server is the event's.
    pub fn mariadb_gtid(&mut self, domain: u32, seq: u64, flags: u8) -> u64 {
        let mut body = seq.to_le_bytes().to_vec();
        body.extend_from_slice(&domain.to_le_bytes());
        body.push(flags);
        body.extend_from_slice(&[0; 6]);
        self.event(event_type::MARIADB_GTID, 0, &body)
    }

    /// A statement in a database.
    pub fn query(&mut self, database: &str, text: &str) -> u64 {
        let mut body = query_head(database);
        body.extend_from_slice(text.as_bytes());
        self.event(event_type::QUERY, 0, &body)
    }

    /// A statement as MariaDB compresses it.
    pub fn compressed_query(&mut self, database: &str, text: &str) -> u64 {
        let mut body = query_head(database);
        put_compressed(&mut body, text.as_bytes());
        self.event(event_type::QUERY_COMPRESSED, 0, &body)
    }

    /// A statement of a session with these status variables, which may be compressed as MariaDB does it.
    pub fn query_of(&mut self, status: &[u8], database: &str, text: &[u8], compressed: bool) -> u64 {
        let mut body = query_head(database);
        body.splice(13..13, status.iter().copied());
        body[11..13].copy_from_slice(&(status.len() as u16).to_le_bytes());
        if compressed {
            put_compressed(&mut body, text);
            return self.event(event_type::QUERY_COMPRESSED, 0, &body);
        }
        body.extend_from_slice(text);
        self.event(event_type::QUERY, 0, &body)
    }

    /// `BEGIN`.
    pub fn begin(&mut self) -> u64 {
        self.query("", "BEGIN")
    }

    /// The commit of a transaction.
    pub fn xid(&mut self, number: u64) -> u64 {
        self.event(event_type::XID, 0, &number.to_le_bytes())
    }

    /// The insert id for the next statement.
    pub fn intvar(&mut self, value: u64) -> u64 {
        let mut body = vec![2];
        body.extend_from_slice(&value.to_le_bytes());
        self.event(event_type::INTVAR, 0, &body)
    }

    /// The text of the statement whose rows follow.
    pub fn statement_text(&mut self, text: &str) -> u64 {
        if self.vendor == Vendor::Mariadb {
            return self.event(event_type::ANNOTATE_ROWS, 0, text.as_bytes());
        }
        let mut body = vec![text.len().min(255) as u8];
        body.extend_from_slice(text.as_bytes());
        self.event(event_type::ROWS_QUERY, 0x80, &body)
    }

    /// A table of two columns, INT and VARCHAR(255).
    pub fn table_map(&mut self, id: u64, database: &str, table: &str) -> u64 {
        self.table_map_of(id, database, table, &[3, 15], &[255, 0])
    }

    /// A table of any columns: their types and metadata.
    pub fn table_map_of(&mut self, id: u64, database: &str, table: &str, types: &[u8], metadata: &[u8]) -> u64 {
        let mut body = id.to_le_bytes()[..6].to_vec();
        body.extend_from_slice(&[1, 0]);
        for name in [database, table] {
            body.push(name.len() as u8);
            body.extend_from_slice(name.as_bytes());
            body.push(0);
        }
        put_packed(&mut body, types.len() as u64);
        body.extend_from_slice(types);
        put_packed(&mut body, metadata.len() as u64);
        body.extend_from_slice(metadata);
        body.extend(std::iter::repeat_n(0xff, types.len().div_ceil(8)));
        self.event(event_type::TABLE_MAP, 0, &body)
    }

    /// Rows of the table of [`Self::table_map`]; `last` says that the statement ends with them.
    pub fn rows(&mut self, change: RowChange, id: u64, rows: &[(i32, &str)], last: bool) -> u64 {
        let mut images = Vec::new();
        for (number, text) in rows {
            images.push(0xfc);
            images.extend_from_slice(&number.to_le_bytes());
            images.push(text.len() as u8);
            images.extend_from_slice(text.as_bytes());
        }
        self.rows_of(change, id, 2, &images, last)
    }

    /// Rows of any table, as bytes of images that hold all columns.
    pub fn rows_of(&mut self, change: RowChange, id: u64, columns: u64, images: &[u8], last: bool) -> u64 {
        let old = self.vendor == Vendor::Mariadb;
        let mut body = rows_head(change, id, columns, last, !old);
        body.extend_from_slice(images);
        let event_type = match (change, old) {
            (RowChange::Insert, false) => event_type::WRITE_ROWS,
            (RowChange::Update, false) => event_type::UPDATE_ROWS,
            (RowChange::Delete, false) => event_type::DELETE_ROWS,
            (RowChange::Insert, true) => event_type::WRITE_ROWS_V1,
            (RowChange::Update, true) => event_type::UPDATE_ROWS_V1,
            (RowChange::Delete, true) => event_type::DELETE_ROWS_V1,
        };
        self.event(event_type, 0, &body)
    }

    /// Inserted rows of the table of [`Self::table_map`] as MariaDB compresses them.
    pub fn compressed_inserts(&mut self, id: u64, rows: &[(i32, &str)], last: bool) -> u64 {
        let mut plain = BinlogWriter::payload(0);
        plain.vendor = Vendor::Mariadb;
        plain.rows(RowChange::Insert, id, rows, last);
        let head = rows_head(RowChange::Insert, id, 2, last, false);
        let mut body = head.clone();
        put_compressed(&mut body, &plain.bytes[19 + head.len()..]);
        self.event(event_type::WRITE_ROWS_COMPRESSED_V1, 0, &body)
    }

    /// A whole transaction in one event: `payload` compressed as `compression` says (0: zstd, 255: not at all).
    pub fn transaction_payload(&mut self, payload: &[u8], compression: u8, plain_size: u64) -> u64 {
        let mut body = Vec::new();
        for (field, value) in [(2, u64::from(compression)), (1, payload.len() as u64), (3, plain_size)] {
            let mut packed = Vec::new();
            put_packed(&mut packed, value);
            put_packed(&mut body, field);
            put_packed(&mut body, packed.len() as u64);
            body.extend_from_slice(&packed);
        }
        body.push(0);
        body.extend_from_slice(payload);
        self.event(event_type::TRANSACTION_PAYLOAD, 0, &body)
    }

    /// The preparation of an XA transaction.
    pub fn xa_prepare(&mut self, gtrid: &str, one_phase: bool) -> u64 {
        let mut body = vec![one_phase.into()];
        body.extend_from_slice(&1_u32.to_le_bytes());
        body.extend_from_slice(&(gtrid.len() as u32).to_le_bytes());
        body.extend_from_slice(&0_u32.to_le_bytes());
        body.extend_from_slice(gtrid.as_bytes());
        self.event(event_type::XA_PREPARE, 0, &body)
    }

    /// Lost events.
    pub fn incident(&mut self, message: &str) -> u64 {
        let mut body = vec![1, 0, message.len() as u8];
        body.extend_from_slice(message.as_bytes());
        self.event(event_type::INCIDENT, 0, &body)
    }

    /// The end of a file that another one follows.
    pub fn rotate(&mut self, next: &str) -> u64 {
        let mut body = 4_u64.to_le_bytes().to_vec();
        body.extend_from_slice(next.as_bytes());
        self.event(event_type::ROTATE, 0, &body)
    }

    /// The end of a file with the server's shutdown.
    pub fn stop(&mut self) -> u64 {
        self.event(event_type::STOP, 0, &[])
    }
}

fn query_head(database: &str) -> Vec<u8> {
    let mut head = vec![0; 8];
    head.push(database.len() as u8);
    head.extend_from_slice(&[0, 0, 0, 0]);
    head.extend_from_slice(database.as_bytes());
    head.push(0);
    head
}

fn rows_head(change: RowChange, id: u64, columns: u64, last: bool, extra: bool) -> Vec<u8> {
    let mut head = id.to_le_bytes()[..6].to_vec();
    head.extend_from_slice(&u16::from(last).to_le_bytes());
    if extra {
        head.extend_from_slice(&[2, 0]);
    }
    put_packed(&mut head, columns);
    let bitmaps = if change == RowChange::Update { 2 } else { 1 };
    head.extend(std::iter::repeat_n(0xff, bitmaps * columns.div_ceil(8) as usize));
    head
}

fn put_packed(into: &mut Vec<u8>, number: u64) {
    match number {
        0..=250 => into.push(number as u8),
        251..=0xffff => {
            into.push(252);
            into.extend_from_slice(&number.to_le_bytes()[..2]);
        }
        0x1_0000..=0xff_ffff => {
            into.push(253);
            into.extend_from_slice(&number.to_le_bytes()[..3]);
        }
        _ => {
            into.push(254);
            into.extend_from_slice(&number.to_le_bytes());
        }
    }
}

/// The variable-length integer of MySQL's serialization library.
fn put_varint(into: &mut Vec<u8>, number: u64) {
    let bits = 64 - number.leading_zeros().min(63);
    let more = ((bits - 1) / 7).min(8) as usize;
    match more {
        8 => {
            into.push(0xff);
            into.extend_from_slice(&number.to_le_bytes());
        }
        more => {
            let marked = number << (more + 1) | ((1 << more) - 1);
            into.extend_from_slice(&marked.to_le_bytes()[..=more]);
        }
    }
}

/// MariaDB's frame for compressed pieces: flags and the length's length, the length (high byte first), zlib.
fn put_compressed(into: &mut Vec<u8>, plain: &[u8]) {
    use std::io::Write;
    into.push(0x80 | 4);
    into.extend_from_slice(&(plain.len() as u32).to_be_bytes());
    let mut encoder = flate2::write::ZlibEncoder::new(into, flate2::Compression::default());
    encoder.write_all(plain).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail");
}
