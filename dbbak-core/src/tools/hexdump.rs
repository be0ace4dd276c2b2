//! Rebuilds a binlog's first events from what a binlog reader prints with `--hexdump`.

/// Why a hexdump cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HexdumpError {
    /// No event begins at the offset where one must.
    #[error("no event at {at} in the hexdump")]
    NoEvent {
        /// The offset.
        at: u64,
    },
    /// An event's bytes are not all there.
    #[error("{found} of {expected} bytes of the event at {at} in the hexdump")]
    Incomplete {
        /// The event's offset.
        at: u64,
        /// How many bytes its header says.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// The output ends before it is known that the head is whole.
    #[error("the hexdump ends at {at}, before the event that names the GTIDs")]
    HeadNotWhole {
        /// Where the last event ends.
        at: u64,
    },
}

/// Bytes of an event's header.
const HEADER: usize = 19;
/// Where in a header the type stands, and the event's length.
const TYPE_AT: usize = 4;
const LENGTH_AT: usize = 9;
/// Bytes of a checksum.
const CHECKSUM: usize = 4;
/// The types of the events of a head: format description, previous GTIDs, GTID list, start of encryption.
const HEAD_TYPES: [u8; 4] = [15, 35, 163, 164];
/// Those of them that end a head.
const LAST_TYPES: [u8; 2] = [35, 163];

/// Rebuilds the beginning of a binlog, from its magic to the end of its head (or of the event after it, where the head
/// names no GTIDs), from the output of
/// [`RemoteReader::head`](super::RemoteReader::head): byte for byte what stands in the file (the in-use bit apart), so that
/// [`read_head`](crate::binlog::read_head) makes the same of it.
///
/// Both vendors' readers print every byte of an event with its offset, `#  17  04 00 31 ...  |..1|`, the header apart from
/// the rest. Those that leave the checksum out print it in the line above. What events say as text is not looked at: reading
/// stops before the first text that another than the server could have chosen.
///
/// # Errors
///
/// [`HexdumpError`].
pub fn parse_hexdump(text: &str) -> Result<Vec<u8>, HexdumpError> {
    let mut file = vec![0xfe, 0x62, 0x69, 0x6e];
    let mut lines = text.lines().peekable();
    loop {
        let at = file.len() as u64;
        let started = lines.by_ref().find_map(|line| line.strip_prefix("# at ")?.trim().parse::<u64>().ok());
        match started {
            Some(found) if found == at => {}
            Some(_) => return Err(HexdumpError::NoEvent { at }),
            None if file.len() > 4 => return Err(HexdumpError::HeadNotWhole { at }),
            None => return Err(HexdumpError::NoEvent { at }),
        }
        let printed_checksum = lines.peek().and_then(|line| checksum_in(line));
        let mut event: Vec<u8> = Vec::new();
        // Up to the end of the event, or to the text that follows where its checksum is left out.
        while length_of(&event).is_none_or(|length| event.len() < length)
            && let Some(line) = lines.next_if(|line| !line.starts_with("# at "))
        {
            match hex_line(line, at + event.len() as u64, event.is_empty()) {
                Some(bytes) => event.extend(bytes),
                None if event.len() >= HEADER && line.contains(':') => break,
                None => {}
            }
        }
        let (Some(length), Some(kind)) = (length_of(&event), event.get(TYPE_AT).copied()) else {
            return Err(HexdumpError::NoEvent { at });
        };
        if event.len() + CHECKSUM == length
            && let Some(checksum) = printed_checksum
        {
            event.extend(checksum.to_le_bytes());
        }
        if event.len() != length {
            return Err(HexdumpError::Incomplete { at, expected: length as u64, found: event.len() as u64 });
        }
        file.extend(event);
        if !HEAD_TYPES.contains(&kind) || LAST_TYPES.contains(&kind) {
            return Ok(file);
        }
    }
}

/// The length that an event's header says.
fn length_of(event: &[u8]) -> Option<usize> {
    let bytes = event.get(LENGTH_AT..LENGTH_AT + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes) as usize)
}

/// The checksum in `#261121  6:46:04 server id 7  end_log_pos 256 CRC32 0x395615f3`.
fn checksum_in(line: &str) -> Option<u32> {
    let (_, digits) = line.split_once(" CRC32 0x")?;
    u32::from_str_radix(digits.split_whitespace().next()?, 16).ok()
}

/// The bytes in a line of a hexdump that begins at an offset; `None` for every other line. The line of the header has bars
/// between its fields (MariaDB), every other one has the characters behind a bar.
fn hex_line(line: &str, offset: u64, header: bool) -> Option<Vec<u8>> {
    let line = line.strip_prefix('#')?.trim_start();
    let (address, rest) = line.split_once(char::is_whitespace)?;
    if u64::from_str_radix(address, 16).ok()? != offset {
        return None;
    }
    let digits = if header { rest.replace('|', " ") } else { rest.split('|').next()?.to_owned() };
    let bytes: Option<Vec<u8>> = digits.split_whitespace().map(byte).collect();
    bytes.filter(|bytes| if header { bytes.len() == HEADER } else { !bytes.is_empty() })
}

fn byte(digits: &str) -> Option<u8> {
    u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)
}

#[cfg(test)]
mod tests {
    use super::{super::fixture, *};
    use crate::binlog::read_head;

    /// Each file as it came, or, of an encrypted one, as the server delivers it.
    const FILES: [(&str, &str); 7] = [
        ("mariadb-10.11.19/plain.000002", "mariadb-10.11.19/plain.000002"),
        ("mariadb-10.11.19/no-checksums.000003", "mariadb-10.11.19/no-checksums.000003"),
        ("mariadb-10.11.19/encrypted.000002", "mariadb-10.11.19/encrypted.000002.raw"),
        ("mariadb-10.11.19/encrypted-no-checksums.000004", "mariadb-10.11.19/encrypted-no-checksums.000004.raw"),
        ("mysql-9.7.4/plain.000002", "mysql-9.7.4/plain.000002"),
        ("mysql-9.7.4/encrypted.000004", "mysql-9.7.4/encrypted.000004.raw"),
        ("mysql-9.7.4/encrypted-no-checksums.000007", "mysql-9.7.4/encrypted-no-checksums.000007.raw"),
    ];

    fn dump(name: &str) -> String {
        String::from_utf8_lossy(&fixture(&format!("remote/{name}.hexdump"))).into_owned()
    }

    #[test]
    fn rebuilds_the_head_that_the_file_has() {
        for (name, delivered) in FILES {
            let head = parse_hexdump(&dump(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            let file = fixture(&format!("remote/{delivered}"));
            assert_eq!(head, file[..head.len()], "{name}");
            let (rebuilt, read) = (read_head(&mut &head[..]).unwrap(), read_head(&mut &file[..]).unwrap());
            assert_eq!((&rebuilt, rebuilt.length), (&read, head.len() as u64), "{name}");
            assert!(rebuilt.previous_gtids.is_some(), "{name}");
        }
    }

    #[test]
    fn takes_the_checksum_from_the_line_above_where_the_dump_leaves_it_out() {
        for (name, _) in [FILES[0], FILES[4]] {
            let whole = dump(name);
            let expected = parse_hexdump(&whole).unwrap();
            // The last four bytes of the format description, which both files' dumps end a line with.
            let last: Vec<String> = expected.iter().map(|byte| format!("{byte:02x}")).collect();
            let end = if name.starts_with("maria") { 256 } else { 127 };
            let crc = last[end - 4..end].join(" ");
            let pieces = [crc.as_str(), "f3 15 56  39", "a5 c9 6d  e4"];
            let cut = pieces.iter().fold(whole.clone(), |text, piece| text.replacen(piece, "", 1));
            assert_ne!(cut, whole, "{name}");
            assert_eq!(parse_hexdump(&cut).unwrap(), expected, "{name}");
            // A printed checksum of other bytes does not get through the reader.
            let other = cut.replacen(" CRC32 0x", " CRC32 0x1", 1);
            assert!(parse_hexdump(&other).is_err() || read_head(&mut &parse_hexdump(&other).unwrap()[..]).is_err());
        }
    }

    #[test]
    fn every_cut_of_the_text_is_refused_or_whole() {
        for (name, _) in FILES {
            let text = dump(name);
            let whole = parse_hexdump(&text).unwrap();
            for (end, _) in text.char_indices() {
                if let Ok(head) = parse_hexdump(&text[..end]) {
                    assert_eq!(head, whole, "{name} cut at {end}");
                }
            }
        }
    }

    #[test]
    fn every_other_digit_is_refused_or_found_by_the_reader() {
        for (name, _) in [FILES[0], FILES[2], FILES[4], FILES[5]] {
            let text = dump(name);
            let whole = parse_hexdump(&text).unwrap();
            for at in 0..text.len() {
                let mut bytes = text.clone().into_bytes();
                if !bytes[at].is_ascii_hexdigit() {
                    continue;
                }
                bytes[at] = if bytes[at] == b'7' { b'8' } else { b'7' };
                let Ok(head) = parse_hexdump(&String::from_utf8(bytes).unwrap()) else { continue };
                assert!(head == whole || read_head(&mut &head[..]).is_err(), "{name}: digit at {at}");
            }
        }
    }

    #[test]
    fn says_what_is_missing() {
        assert_eq!(parse_hexdump(""), Err(HexdumpError::NoEvent { at: 4 }));
        assert_eq!(parse_hexdump("# at 97\n"), Err(HexdumpError::NoEvent { at: 4 }));
        let text = dump(FILES[4].0);
        let first = &text[..text.find("# at 127").unwrap()];
        assert_eq!(parse_hexdump(first), Err(HexdumpError::HeadNotWhole { at: 127 }));
    }
}
