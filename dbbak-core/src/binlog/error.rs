//! What can be wrong with a binlog: no binlog at all, or damage at a place in it.

use std::fmt;

/// Why bytes cannot be read as a binlog at all. Damage after a readable start is no error but an
/// [`Ending`](super::Ending) of the scan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinlogError {
    /// The input holds no bytes.
    #[error("an empty file")]
    Empty,
    /// The input ends within the four bytes of the magic.
    #[error("a file of only {length} bytes")]
    TooShort {
        /// How many bytes there are.
        length: u64,
    },
    /// The first four bytes are those of no known binlog format.
    #[error("not a binlog: first bytes are {found:02x?}")]
    NotABinlog {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The whole file is encrypted (MySQL's `binlog_encryption`, magic `fd 62 69 6e`).
    #[error("an encrypted binlog (binlog_encryption)")]
    Encrypted,
    /// The events after the format description are encrypted (MariaDB's `encrypt_binlog`, a Start_encryption event).
    #[error("a binlog with encrypted events (encrypt_binlog)")]
    EncryptedEvents,
    /// A file of MariaDB's binlog inside InnoDB (`binlog_storage_engine=innodb`, `.ibb`), which is another format.
    #[error("an InnoDB-based binlog (binlog_storage_engine)")]
    InnodbBinlog,
    /// The input ends within the format description event.
    #[error("the format description event ends after {available} of {expected} bytes")]
    FormatDescriptionTruncated {
        /// Bytes that the event should have.
        expected: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// The first event is damaged or no format description.
    #[error("the format description event is damaged: {damage}")]
    FormatDescriptionDamaged {
        /// What is wrong with it.
        damage: Damage,
    },
    /// The event after the format description, which names the GTIDs before this file, is cut or damaged.
    /// Only [`read_head`](super::read_head) says so; a scan has an ending for it.
    #[error("the event after the format description is damaged: {damage}")]
    HeadDamaged {
        /// What is wrong with it.
        damage: Damage,
    },
    /// The log's format version is not 4.
    #[error("binlog format version {found}, not 4")]
    FormatVersion {
        /// The version in the format description.
        found: u16,
    },
    /// The log was written by a server older than MySQL 5.6.1 or MariaDB 5.3, whose events bear no checksums.
    #[error("a binlog of server version {server_version:?}, older than MySQL 5.6.1")]
    ServerTooOld {
        /// The version text in the format description.
        server_version: String,
    },
    /// The format description names a checksum algorithm other than none and CRC32.
    #[error("checksum algorithm {found}, neither 0 (none) nor 1 (CRC32)")]
    ChecksumAlgorithm {
        /// The algorithm's number.
        found: u8,
    },
    /// The input could not be read.
    #[error("the input cannot be read")]
    Input(#[from] std::io::Error),
}

impl BinlogError {
    /// Whether the server alone can read the log, because it is encrypted: it sends it in the clear.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, BinlogError::Encrypted | BinlogError::EncryptedEvents)
    }
}

/// A place where a binlog is not as its server wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Offset of the event that is wrong, in bytes from the start of the file.
    pub at: u64,
    /// What is wrong.
    pub what: DamageKind,
    /// The value that should stand there; its unit follows from `what`.
    pub expected: u64,
    /// The value that stands there.
    pub found: u64,
}

/// What is wrong with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DamageKind {
    /// The event's CRC32 is not that of its bytes: `expected` as computed, `found` as stored.
    Checksum,
    /// The event's length is impossible: `expected` the least (or, for the first events, the greatest) number of bytes.
    EventLength,
    /// The event's `end_log_pos` is not where it ends (modulo 2^32): bytes are missing before it, or its header is wrong.
    EndPosition,
    /// The input ends within the event: `expected` bytes, `found` bytes.
    Truncated,
    /// The event's content does not follow its type's layout: `found` is the event type.
    Content,
    /// An event of this type cannot stand here: `found` is the event type.
    OutOfPlace,
    /// A transaction begins before the previous one ended: `expected` is the offset where the open one began, `found`
    /// the type of the event.
    Unfinished,
    /// Bytes follow the Rotate or Stop event: `expected` is none, `found` their number.
    AfterEnd,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { at, what, expected, found } = self;
        match what {
            DamageKind::Checksum => write!(f, "checksum {expected:08x} expected, {found:08x} found at {at}"),
            DamageKind::EventLength => write!(f, "event length {found} at {at}, out of bounds (limit {expected})"),
            DamageKind::EndPosition => write!(f, "end position {expected} expected, {found} found at {at}"),
            DamageKind::Truncated => write!(f, "{found} of {expected} bytes of the event at {at}"),
            DamageKind::Content => write!(f, "event of type {found} at {at} cannot be decoded"),
            DamageKind::OutOfPlace => write!(f, "event of type {found} at {at} is out of place"),
            DamageKind::Unfinished => write!(f, "transaction at {expected} has no end before {at}"),
            DamageKind::AfterEnd => write!(f, "{found} bytes after the log's end at {at}"),
        }
    }
}
