//! Blanks out a part of a binlog: events that every reader and server passes over, in the place of others.

use super::format::ChecksumAlgorithm;
use super::head::FileHead;
use super::header::{CHECKSUM_LENGTH, FLAG_IGNORABLE, HEADER_LENGTH, event_type};
use std::io::{self, Write};

/// Bytes of one filling event at most.
const LONGEST: u64 = 1 << 20;

/// Writes events without content that fill a file of this head from one offset up to another one. Offsets of what follows
/// stay as they are.
///
/// # Errors
/// When the output fails; when the gap is too small for an event, as no gap between two events is.
pub(crate) fn fill(head: &FileHead, from: u64, to: u64, output: &mut dyn Write) -> io::Result<()> {
    let checksum = match head.checksum {
        ChecksumAlgorithm::None => 0,
        ChecksumAlgorithm::Crc32 => CHECKSUM_LENGTH,
    };
    let least = (HEADER_LENGTH + checksum) as u64;
    let mut at = from;
    while at < to {
        let left = to - at;
        // What is left after this one must be enough for another one.
        let length = if left <= LONGEST { left } else { LONGEST.min(left - least) };
        if length < least {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no event is {length} bytes long")));
        }
        let mut event = Vec::with_capacity(length as usize);
        event.extend(head.first_event_time.to_le_bytes());
        event.push(event_type::IGNORABLE);
        event.extend(head.server_id.to_le_bytes());
        event.extend((length as u32).to_le_bytes());
        event.extend(((at + length) as u32).to_le_bytes());
        event.extend(FLAG_IGNORABLE.to_le_bytes());
        event.resize(length as usize - checksum, 0);
        if checksum > 0 {
            event.extend(crc32fast::hash(&event).to_le_bytes());
        }
        output.write_all(&event)?;
        at += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{Transaction, scan};
    use std::ops::ControlFlow;

    const MYSQL: &[u8] = include_bytes!("../../../fixtures/binlog/mysql-9.7.4/binlog.000004");
    const MARIADB: &[u8] = include_bytes!("../../../fixtures/binlog/mariadb-10.11.19/types-bin.000003");

    /// The transactions of a file: offsets and GTIDs.
    fn transactions(bytes: &[u8]) -> Vec<(u64, u64, String)> {
        let mut found = Vec::new();
        let mut sink = |one: &Transaction| {
            found.push((one.start, one.end, one.gtid.as_ref().unwrap().to_string()));
            ControlFlow::Continue(())
        };
        scan(&mut &*bytes, &mut sink).unwrap();
        found
    }

    #[test]
    fn what_is_blanked_out_is_gone_and_the_rest_stays_where_it_was() {
        for (name, bytes) in [("MySQL", MYSQL), ("MariaDB", MARIADB)] {
            let all = transactions(bytes);
            let head = super::super::read_head(&mut &*bytes).unwrap();
            for skipped in 1..all.len() {
                let (from, to) = (head.length as usize, all[skipped].0 as usize);
                let mut blanked = bytes.to_vec();
                let mut filling = Vec::new();
                fill(&head, from as u64, to as u64, &mut filling).unwrap();
                blanked.splice(from..to, filling);
                assert_eq!(blanked.len(), bytes.len());
                assert_eq!(transactions(&blanked), all[skipped..], "{name}");
            }
        }
    }

    #[test]
    fn a_long_gap_takes_several_events() {
        let head = super::super::read_head(&mut &*MYSQL).unwrap();
        for more in [0, 1, 22, 23, 24, 5000] {
            let length = 2 * LONGEST + more;
            let mut filling = MYSQL[..head.length as usize].to_vec();
            fill(&head, head.length, head.length + length, &mut filling).unwrap();
            assert_eq!(filling.len() as u64, head.length + length, "{more}");
            assert_eq!(
                scan(&mut filling.as_slice(), &mut |_| ControlFlow::Continue(())).unwrap().good_end,
                head.length + length
            );
        }
        assert!(fill(&head, 200, 210, &mut Vec::new()).is_err());
    }
}
