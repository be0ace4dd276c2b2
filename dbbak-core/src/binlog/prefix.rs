//! The digest of a binlog's beginning: whether a file still holds what it held when a backup ended in it.

use super::header::FLAGS_AT;
use std::io::{self, Read};

/// Where the format description begins in a binlog that is not encrypted, and in what follows MySQL's header of an encrypted one.
const FIRST_EVENT_AT: usize = 4;
/// Bytes of the header that MySQL puts before an encrypted binlog. A rotation of the master key rewrites it.
/// Source: MySQL's `sql/basic_ostream.h` and `rpl_log_encryption.h` (`RplEncryptionHeader::HEADER_SIZE`).
const ENCRYPTED_HEADER: u64 = 512;
/// The four bytes at the start of a binlog that MySQL encrypted.
const ENCRYPTED_MAGIC: [u8; 4] = [0xfd, 0x62, 0x69, 0x6e];

/// The BLAKE3 digest of the bytes before a position as the server counts it, in hex digits, with the in-use flag cleared; `None` where
/// the input is shorter. What is encrypted is taken as it stands: a server appends to a binlog and changes nothing in it but that flag.
///
/// # Errors
/// The input cannot be read.
pub fn prefix_digest(input: &mut dyn Read, position: u64) -> io::Result<Option<String>> {
    let mut start = Vec::new();
    (&mut *input).take(4).read_to_end(&mut start)?;
    if start == ENCRYPTED_MAGIC {
        let rest = ENCRYPTED_HEADER - 4;
        if io::copy(&mut (&mut *input).take(rest), &mut io::sink())? < rest {
            return Ok(None);
        }
        start.clear();
    }
    let flags = FIRST_EVENT_AT + FLAGS_AT;
    let wanted = (flags as u64 + 1).min(position).saturating_sub(start.len() as u64);
    (&mut *input).take(wanted).read_to_end(&mut start)?;
    if let Some(flags) = start.get_mut(flags) {
        *flags &= !1;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&start);
    let rest = position.saturating_sub(start.len() as u64);
    let read = hasher.update_reader(input.take(rest))?.count();
    Ok((read >= position).then(|| hasher.finalize().to_hex().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8], position: u64) -> Option<String> {
        prefix_digest(&mut &bytes[..], position).unwrap()
    }

    fn file(in_use: u8) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..=255).collect();
        bytes[..4].copy_from_slice(&[0xfe, 0x62, 0x69, 0x6e]);
        bytes[21] = in_use;
        bytes
    }

    #[test]
    fn only_the_bytes_before_the_position_count() {
        let (open, closed) = (file(1), file(0));
        assert_eq!(digest(&open, 100), digest(&closed, 100));
        assert_eq!(digest(&open, 100), digest(&closed[..100], 100));
        assert_ne!(digest(&open, 100), digest(&closed, 101));
        assert_eq!(digest(&closed[..99], 100), None);
        let mut other = file(0);
        other[99] ^= 1;
        assert_ne!(digest(&other, 100), digest(&closed, 100));
        assert_eq!(digest(&other, 99), digest(&closed, 99));
        assert_eq!(digest(&closed, 100), Some(blake3::hash(&closed[..100]).to_hex().to_string()));
        assert!(digest(&closed, 4).is_some());
    }

    #[test]
    fn the_header_of_an_encrypted_file_does_not_count() {
        let encrypted = |header: u8| {
            let mut bytes = vec![header; 512];
            bytes[..4].copy_from_slice(&ENCRYPTED_MAGIC);
            bytes.extend(file(1));
            bytes
        };
        assert_eq!(digest(&encrypted(7), 100), digest(&encrypted(8), 100));
        assert_eq!(digest(&encrypted(7), 100), digest(&file(0), 100));
        assert_eq!(digest(&encrypted(7)[..600], 100), None);
    }
}
