//! The start of a binlog: who wrote it, when, and which transactions came before it.

use super::error::{BinlogError, Damage, DamageKind};
use super::format::{ChecksumAlgorithm, LogFlavor, parse_format_description};
use super::gtid_lists::{is_gtid_list, parse_gtid_list};
use super::header::{FLAG_IGNORABLE, FLAG_IN_USE, FLAGS_AT, event_type};
use super::reader::{Body, EventReader, Frame};
use crate::model::GtidSet;
use std::io::Read;

/// What stands at a binlog's start: its format description, and the GTIDs before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    /// The server's version text, as in `@@version`.
    pub server_version: String,
    /// The server that wrote the file (`server_id` of the format description).
    pub server_id: u32,
    /// Stamp of the format description, seconds since 1970, UTC: when the file was begun.
    pub first_event_time: u32,
    /// Seconds since 1970 of the server's start in the first file after it; 0 in every other file.
    pub created: u32,
    /// How the events are secured.
    pub checksum: ChecksumAlgorithm,
    /// The flag that the server sets while it writes the file and clears on closing it. Says nothing in a file that was
    /// fetched over the protocol, where it is always clear.
    pub in_use: bool,
    /// The transactions before this file: Previous_gtids (MySQL), or the state in Gtid_list (MariaDB). `None` where the
    /// file holds neither; an empty set where it holds an empty one.
    pub previous_gtids: Option<GtidSet>,
    /// Names the content of the head: the BLAKE3 hash, in hex digits, of the bytes up to `length`, with the
    /// in-use flag cleared. It tells files of one name apart, and is the same in a copy that was cut short.
    pub digest: String,
    /// Offset after the events that the head consists of.
    pub length: u64,
    /// Whether the server sent the file in the clear although it has it encrypted (MariaDB): the event that begins the
    /// encryption is still in it, and a server that reads the copy would try to decrypt it.
    pub decrypted: bool,
    /// The vendor's format.
    pub flavor: LogFlavor,
}

/// The four bytes at the start of a binlog.
const MAGIC: [u8; 4] = [0xfe, 0x62, 0x69, 0x6e];
/// The four bytes at the start of a binlog that MySQL encrypted.
const ENCRYPTED_MAGIC: [u8; 4] = [0xfd, 0x62, 0x69, 0x6e];
/// The four bytes at the start of MariaDB's binlog inside InnoDB (`IBB_MAGIC`).
const INNODB_MAGIC: [u8; 4] = [0xfe, 0xfe, 0x0d, 0x01];

/// Reads the start of a binlog, and little more of the input than that.
///
/// # Errors
/// The input is no binlog that can be read, or is damaged or cut within its first events.
pub fn read_head(input: &mut dyn Read) -> Result<FileHead, BinlogError> {
    let mut reader = EventReader::new(input);
    match open(&mut reader)? {
        Opened { head, damage: None, .. } => Ok(head),
        Opened { damage: Some(damage), .. } => Err(BinlogError::HeadDamaged { damage }),
    }
}

/// A binlog whose head has been read.
pub(super) struct Opened {
    pub(super) head: FileHead,
    /// What is wrong with the event after the head, or with the last one of the head.
    pub(super) damage: Option<Damage>,
    /// Offset of each event of the head, and of the event after it.
    pub(super) offsets: Vec<u64>,
}

/// Reads the head and leaves the reader on the event after it.
pub(super) fn open(reader: &mut EventReader<'_>) -> Result<Opened, BinlogError> {
    let mut hasher = blake3::Hasher::new();
    check_magic(reader.raw(MAGIC.len())?)?;
    hasher.update(&MAGIC);
    let mut offsets = vec![reader.offset()];
    let mut head = first_event(reader, &mut hasher)?;
    offsets.push(head.length);
    reader.set_format(head.checksum, head.flavor);
    let mut damage = None;
    if reader.peek_type()? == Some(event_type::START_ENCRYPTION) {
        // The server that sends such a file decrypts it, and marks the event as one to pass over (seen with MariaDB
        // 10.11). In the file itself the mark is absent.
        match reader.next()? {
            Frame::Event(event) if event.header.flags & FLAG_IGNORABLE == 0 => {
                return Err(BinlogError::EncryptedEvents);
            }
            Frame::Event(event) => {
                hasher.update(event.bytes().unwrap_or_default());
                head.length = event.end;
                head.decrypted = true;
                offsets.push(event.end);
            }
            Frame::Damaged(found) => damage = Some(found),
            Frame::End => {}
        }
    }
    while damage.is_none() && reader.peek_type()?.is_some_and(is_gtid_list) {
        match reader.next()? {
            Frame::Event(mut event) => {
                let bytes = event.bytes().unwrap_or_default();
                let mut hashed = hasher.clone();
                hashed.update(bytes);
                let Some(gtids) = parse_gtid_list(event.header.event_type, &mut event.body) else {
                    damage = Some(Damage {
                        at: event.at,
                        what: DamageKind::Content,
                        expected: event.header.event_type.into(),
                        found: event.header.event_type.into(),
                    });
                    break;
                };
                head.length = event.end;
                offsets.push(event.end);
                hasher = hashed;
                head.previous_gtids = Some(gtids);
            }
            Frame::Damaged(found) => {
                damage = Some(found);
                break;
            }
            Frame::End => break,
        }
    }
    // A damaged type may hide that the next event belongs to the head.
    if damage.is_none() && head.previous_gtids.is_none() {
        damage = reader.peek_damage()?;
    }
    head.digest = hasher.finalize().to_hex().to_string();
    Ok(Opened { head, damage, offsets })
}

fn check_magic(found: &[u8]) -> Result<(), BinlogError> {
    let Ok(found) = <[u8; 4]>::try_from(found) else {
        return Err(if found.is_empty() {
            BinlogError::Empty
        } else {
            BinlogError::TooShort { length: found.len() as u64 }
        });
    };
    match found {
        MAGIC => Ok(()),
        ENCRYPTED_MAGIC => Err(BinlogError::Encrypted),
        INNODB_MAGIC => Err(BinlogError::InnodbBinlog),
        found => Err(BinlogError::NotABinlog { found }),
    }
}

fn first_event(reader: &mut EventReader<'_>, hasher: &mut blake3::Hasher) -> Result<FileHead, BinlogError> {
    let at = reader.offset();
    let damaged =
        |what, expected, found| BinlogError::FormatDescriptionDamaged { damage: Damage { at, what, expected, found } };
    let event = match reader.next()? {
        Frame::Event(event) => event,
        Frame::End => {
            return Err(BinlogError::TooShort { length: MAGIC.len() as u64 });
        }
        Frame::Damaged(Damage { what: DamageKind::Truncated, expected, found: available, .. }) => {
            return Err(BinlogError::FormatDescriptionTruncated { expected, available });
        }
        Frame::Damaged(damage) => return Err(BinlogError::FormatDescriptionDamaged { damage }),
    };
    let header = event.header;
    let expected = event_type::FORMAT_DESCRIPTION;
    if header.event_type != expected {
        return Err(damaged(DamageKind::OutOfPlace, expected.into(), header.event_type.into()));
    }
    let Body::Whole { event: bytes, .. } = event.body else {
        return Err(damaged(DamageKind::EventLength, 0, header.length.into()));
    };
    let body = bytes.get(super::header::HEADER_LENGTH..).unwrap_or_default();
    let Some(format) = parse_format_description(&header, body)? else {
        return Err(damaged(DamageKind::Content, expected.into(), expected.into()));
    };
    let mut unused = bytes.to_vec();
    if let Some(flags) = unused.get_mut(FLAGS_AT) {
        *flags &= !(FLAG_IN_USE as u8);
    }
    hasher.update(&unused);
    Ok(FileHead {
        decrypted: false,
        server_version: format.server_version,
        server_id: header.server_id,
        first_event_time: header.time,
        created: format.created,
        checksum: format.checksum,
        in_use: format.in_use,
        previous_gtids: None,
        digest: String::new(),
        length: event.end,
        flavor: format.flavor,
    })
}
