//! Reads the frames of a binlog: headers, lengths, checksums.

/// One event's frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) at: u64,
    pub(crate) kind: u8,
    pub(crate) server_id: u32,
    pub(crate) end: u64,
}

/// What is wrong with an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Problem {
    /// Its checksum does not match.
    Checksum { at: u64 },
    /// The file ends in it.
    Truncated { at: u64 },
}

/// The frames of a file, up to its end or to the first damage.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) events: Vec<Event>,
    pub(crate) in_use: bool,
    pub(crate) problem: Option<Problem>,
}

impl Read {
    /// Whether the events tell which vendor wrote the file: one with a format description alone does not.
    pub(crate) fn tells_its_vendor(&self) -> bool {
        self.events.iter().any(|event| event.kind >= 160 || matches!(event.kind, 33..=35 | 42))
    }
}

const HEADER: usize = 19;

/// Reads a file.
///
/// # Errors
///
/// The reader's message for what is no binlog at all.
pub(crate) fn scan(bytes: &[u8], verify: bool) -> Result<Read, &'static str> {
    match bytes.get(..4) {
        Some([0xfe, 0x62, 0x69, 0x6e]) => {}
        Some([0xfd, 0x62, 0x69, 0x6e]) => return Err("ERROR: Reading encrypted log files directly is not supported."),
        Some(_) => return Err("ERROR: File is not a binary log file."),
        None => return Err("ERROR: Failed reading header; probably an empty file."),
    }
    let mut read =
        Read { events: Vec::new(), in_use: bytes.get(21).is_some_and(|flags| flags & 1 == 1), problem: None };
    let mut checked = false;
    let mut at = 4;
    while at < bytes.len() {
        let here = at as u64;
        let length = word(bytes, at + 9).map_or(0, |length| length as usize);
        let Some(event) = bytes.get(at..at + length).filter(|event| event.len() >= HEADER) else {
            read.problem = Some(Problem::Truncated { at: here });
            break;
        };
        let kind = event[4];
        if kind == 15 {
            checked = length >= HEADER + 5 && event[length - 5] == 1;
        }
        if checked && verify && !has_its_checksum(event) {
            read.problem = Some(Problem::Checksum { at: here });
            break;
        }
        let end = here + length as u64;
        read.events.push(Event { at: here, kind, server_id: word(event, 5).unwrap_or_default(), end });
        at += length;
    }
    Ok(read)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

/// The format description's checksum leaves the in-use bit out.
fn has_its_checksum(event: &[u8]) -> bool {
    let (body, stored) = event.split_at(event.len() - 4);
    let mut body = body.to_vec();
    if body[4] == 15 {
        body[17] &= !1;
    }
    word(stored, 0) == Some(crc32(&body))
}

/// CRC-32 as zlib has it, bit by bit: the shim's files are small.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
