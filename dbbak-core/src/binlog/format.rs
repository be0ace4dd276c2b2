//! The format description: which server wrote the file, and whether its events bear checksums.

use super::error::BinlogError;
use super::header::{CHECKSUM_LENGTH, EventHeader, FLAG_IN_USE};
use super::source::Source;

/// How the events of a file are secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChecksumAlgorithm {
    /// Not at all: damage shows only where it breaks the framing.
    None,
    /// By a CRC32 at each event's end.
    Crc32,
}

/// The vendor whose format the events have. Percona Server's is MySQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFlavor {
    /// MySQL and Percona Server.
    Mysql,
    /// MariaDB.
    Mariadb,
}

/// What the format description event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FormatDescription {
    pub(super) server_version: String,
    /// Seconds since 1970 of the server's start, in the first file after it; else 0.
    pub(super) created: u32,
    pub(super) checksum: ChecksumAlgorithm,
    pub(super) flavor: LogFlavor,
    pub(super) in_use: bool,
}

/// Bytes of the version text.
const VERSION_LENGTH: usize = 50;

/// The header length that every server since MySQL 5.0 uses.
const COMMON_HEADER: u8 = 19;

/// How many event types MySQL 5.6 knows: up to Previous_gtids. MySQL 5.5 knows 27.
const OLDEST_TYPES: usize = 35;

/// MariaDB numbers its own events from 160: only its table of post-header lengths is this long.
const MARIADB_TYPES: usize = 160;

/// Reads the event's body, which still ends with its checksum.
pub(super) fn parse_format_description(
    header: &EventHeader,
    mut body: &[u8],
) -> Result<Option<FormatDescription>, BinlogError> {
    let Some(version) = body.u16() else { return Ok(None) };
    if version != 4 {
        return Err(BinlogError::FormatVersion { found: version });
    }
    let Some(server_version) = body.chunk(VERSION_LENGTH).map(|text| {
        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
        String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned()
    }) else {
        return Ok(None);
    };
    let (Some(created), Some(COMMON_HEADER)) = (body.u32(), body.u8()) else {
        return Ok(None);
    };
    // The rest is a table of post-header lengths, one byte for each event type, then the algorithm and the checksum.
    // Servers too old for checksums know fewer types and end with the table.
    let Some(types) = body.len().checked_sub(1 + CHECKSUM_LENGTH).filter(|types| *types >= OLDEST_TYPES) else {
        return Err(BinlogError::ServerTooOld { server_version });
    };
    let checksum = match body.get(types) {
        Some(0) => ChecksumAlgorithm::None,
        Some(1) => ChecksumAlgorithm::Crc32,
        other => {
            return Err(BinlogError::ChecksumAlgorithm { found: other.copied().unwrap_or_default() });
        }
    };
    // The version text can be set freely on MariaDB; the length of the table cannot.
    let flavor = if types >= MARIADB_TYPES { LogFlavor::Mariadb } else { LogFlavor::Mysql };
    Ok(Some(FormatDescription { server_version, created, checksum, flavor, in_use: header.flags & FLAG_IN_USE != 0 }))
}
