//! Bytes of an event's body, read from the front: from memory, or from an input when the event is too large for it.

use std::io::Read;

/// Bytes that are read from the front. Every read answers `None` where the bytes do not suffice.
pub(super) trait Source {
    /// Bytes that are left.
    fn remaining(&self) -> u64;

    /// The next bytes. Callers ask for few: names, bitmaps, the capped text of a statement.
    fn chunk(&mut self, count: usize) -> Option<&[u8]>;

    /// Passes over bytes, however many.
    fn skip(&mut self, count: u64) -> Option<()>;

    /// All bytes that are left, unread, where they are in memory.
    fn in_memory(&self) -> Option<&[u8]> {
        None
    }

    /// An unsigned little-endian number of up to eight bytes.
    fn uint(&mut self, bytes: usize) -> Option<u64> {
        let taken = self.chunk(bytes)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn u8(&mut self) -> Option<u8> {
        self.chunk(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.chunk(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.chunk(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.chunk(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// MySQL's length-encoded ("packed") integer of 1, 3, 4 or 9 bytes.
    fn packed(&mut self) -> Option<u64> {
        match self.u8()? {
            small @ 0..=250 => Some(small.into()),
            252 => self.uint(2),
            253 => self.uint(3),
            254 => self.uint(8),
            _ => None,
        }
    }

    /// The variable-length integer of MySQL's serialization library: as many trailing one bits in the first byte as
    /// bytes follow it, the value in the bits above.
    fn varint(&mut self) -> Option<u64> {
        let first = self.u8()?;
        let more = first.trailing_ones() as usize;
        let rest = self.uint(more)?;
        Some(match more {
            8 => rest,
            // Seven bytes follow and the first one holds no bit of the value.
            7 => rest,
            _ => u64::from(first >> (more + 1)) | rest << (7 - more),
        })
    }
}

impl Source for &[u8] {
    fn remaining(&self) -> u64 {
        self.len() as u64
    }

    fn chunk(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.split_at_checked(count)?;
        *self = rest;
        Some(taken)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.chunk(usize::try_from(count).ok()?).map(|_| ())
    }

    fn in_memory(&self) -> Option<&[u8]> {
        Some(self)
    }
}

/// A source over an input of unknown length, such as a decompressor.
pub(super) struct ReadSource<R> {
    input: R,
    taken: Vec<u8>,
    left: u64,
}

impl<R: Read> ReadSource<R> {
    /// Reads at most `limit` bytes of the input.
    pub(super) fn new(input: R, limit: u64) -> Self {
        ReadSource { input, taken: Vec::new(), left: limit }
    }
}

impl<R: Read> Source for ReadSource<R> {
    fn remaining(&self) -> u64 {
        self.left
    }

    fn chunk(&mut self, count: usize) -> Option<&[u8]> {
        self.left = self.left.checked_sub(count as u64)?;
        self.taken.resize(count, 0);
        self.input.read_exact(&mut self.taken).ok()?;
        Some(&self.taken)
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        self.left = self.left.checked_sub(count)?;
        let skipped = std::io::copy(&mut self.input.by_ref().take(count), &mut std::io::sink()).ok()?;
        (skipped == count).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_packed_numbers() {
        for (bytes, number) in [
            (&[0xfa][..], Some(250)),
            (&[0xfc, 1, 2], Some(0x201)),
            (&[0xfd, 1, 2, 3], Some(0x30201)),
            (&[0xfe, 1, 0, 0, 0, 0, 0, 0, 1], Some(0x0100_0000_0000_0001)),
            (&[0xfb], None),
            (&[0xfc, 1], None),
        ] {
            let mut source = bytes;
            assert_eq!(source.packed(), number, "{bytes:x?}");
        }
    }

    #[test]
    fn reads_the_serialization_librarys_numbers() {
        // The examples of its documentation and numbers taken from a tagged GTID event of MySQL 9.7.
        for (bytes, number) in [
            (&[0b1111_1011, 0xff, 0x07][..], Some(65535)),
            (&[0xaa], Some(0x55)),
            (&[0x99, 0x03], Some(0xe6)),
            (&[0xd9, 0x04], Some(310)),
            (&[0x83, 0x12, 0x0b], Some(90704)),
            (&[0x7f, 0xd0, 0xba, 0xea, 0x72, 0xbf, 0x60, 0x06], Some(1_795_225_243_269_840)),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Some(u64::MAX)),
            (&[0xff, 0xff], None),
        ] {
            let mut source = bytes;
            assert_eq!(source.varint(), number, "{bytes:x?}");
        }
    }

    #[test]
    fn an_input_reads_like_memory() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut input = ReadSource::new(&bytes[..], 50);
        assert_eq!(input.u16(), Some(0x100));
        assert_eq!(input.skip(40), Some(()));
        assert_eq!((input.remaining(), input.u8()), (8, Some(42)));
        assert_eq!(input.chunk(8), None);
    }
}
