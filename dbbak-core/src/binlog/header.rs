//! The 19 bytes before every event, and the numbers of the event types.

use super::source::Source;

/// Bytes of an event's header.
pub(super) const HEADER_LENGTH: usize = 19;

/// Bytes of the CRC32 at an event's end.
pub(super) const CHECKSUM_LENGTH: usize = 4;

/// `LOG_EVENT_BINLOG_IN_USE_F`: set in the format description while the server writes the file.
pub(super) const FLAG_IN_USE: u16 = 0x0001;

/// `LOG_EVENT_IGNORABLE_F`: who does not know the event's type may pass over it.
pub(super) const FLAG_IGNORABLE: u16 = 0x0080;

/// Where the low byte of the flags lies in a header.
pub(super) const FLAGS_AT: usize = 17;

/// The header of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventHeader {
    /// Seconds since 1970, UTC: when the statement began (or, in GTID events of newer servers, when it committed).
    pub(super) time: u32,
    /// One of the numbers in [`event_type`].
    pub(super) event_type: u8,
    /// The server that first logged the event.
    pub(super) server_id: u32,
    /// Bytes from the start of the header to the end of the checksum.
    pub(super) length: u32,
    /// Offset of the next event, modulo 2^32.
    pub(super) end_position: u32,
    /// Flag bits.
    pub(super) flags: u16,
}

impl EventHeader {
    /// Reads a header; `None` where the bytes do not suffice.
    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        Some(EventHeader {
            time: bytes.u32()?,
            event_type: bytes.u8()?,
            server_id: bytes.u32()?,
            length: bytes.u32()?,
            end_position: bytes.u32()?,
            flags: bytes.u16()?,
        })
    }

    /// Whether a statement depends on what only its session has: its temporary tables, or its number
    /// (`LOG_EVENT_THREAD_SPECIFIC_F` of both vendors' `log_event.h`).
    pub(super) fn is_own(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// Whether a binlog reader leaves the statement's schema out (`LOG_EVENT_SUPPRESS_USE_F`).
    pub(super) fn suppresses_use(&self) -> bool {
        self.flags & 0x8 != 0
    }
}

/// Numbers of event types, of both vendors.
pub(super) mod event_type {
    pub(crate) const QUERY: u8 = 2;
    pub(crate) const STOP: u8 = 3;
    pub(crate) const ROTATE: u8 = 4;
    pub(crate) const INTVAR: u8 = 5;
    pub(crate) const APPEND_BLOCK: u8 = 9;
    pub(crate) const DELETE_FILE: u8 = 11;
    pub(crate) const RAND: u8 = 13;
    pub(crate) const USER_VAR: u8 = 14;
    pub(crate) const FORMAT_DESCRIPTION: u8 = 15;
    pub(crate) const XID: u8 = 16;
    pub(crate) const BEGIN_LOAD_QUERY: u8 = 17;
    pub(crate) const EXECUTE_LOAD_QUERY: u8 = 18;
    pub(crate) const TABLE_MAP: u8 = 19;
    pub(crate) const WRITE_ROWS_V1: u8 = 23;
    pub(crate) const UPDATE_ROWS_V1: u8 = 24;
    pub(crate) const DELETE_ROWS_V1: u8 = 25;
    pub(crate) const INCIDENT: u8 = 26;
    pub(crate) const IGNORABLE: u8 = 28;
    pub(crate) const ROWS_QUERY: u8 = 29;
    pub(crate) const WRITE_ROWS: u8 = 30;
    pub(crate) const UPDATE_ROWS: u8 = 31;
    pub(crate) const DELETE_ROWS: u8 = 32;
    pub(crate) const GTID: u8 = 33;
    pub(crate) const ANONYMOUS_GTID: u8 = 34;
    pub(crate) const PREVIOUS_GTIDS: u8 = 35;
    pub(crate) const XA_PREPARE: u8 = 38;
    pub(crate) const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub(crate) const TRANSACTION_PAYLOAD: u8 = 40;
    pub(crate) const GTID_TAGGED: u8 = 42;
    pub(crate) const ANNOTATE_ROWS: u8 = 160;
    pub(crate) const MARIADB_GTID: u8 = 162;
    pub(crate) const GTID_LIST: u8 = 163;
    pub(crate) const START_ENCRYPTION: u8 = 164;
    pub(crate) const QUERY_COMPRESSED: u8 = 165;
    pub(crate) const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub(crate) const UPDATE_ROWS_COMPRESSED_V1: u8 = 167;
    pub(crate) const DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub(crate) const WRITE_ROWS_COMPRESSED: u8 = 169;
    pub(crate) const UPDATE_ROWS_COMPRESSED: u8 = 170;
    pub(crate) const DELETE_ROWS_COMPRESSED: u8 = 171;
}
