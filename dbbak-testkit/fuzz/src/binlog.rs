//! Whatever bytes a binlog consists of: the reader neither panics nor grows, and what it says agrees with itself.
#![no_main]

use dbbak_core::binlog::{Boundary, Ending, FileScan, Transaction, boundary, scan};
use libfuzzer_sys::fuzz_target;
use std::{
    io::{self, Read},
    ops::ControlFlow,
};

const MAGIC: usize = 4;
const HEADER: usize = 19;

/// Gives a few bytes at a time, as a pipe does.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.0.len()).min(self.0.len() % 13 + 1);
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

fn read(mut input: impl Read) -> Option<(FileScan, Vec<Transaction>)> {
    let mut transactions = Vec::new();
    let found = scan(&mut input, &mut |transaction| {
        transactions.push(transaction.clone());
        ControlFlow::Continue(())
    });
    Some((found.ok()?, transactions))
}

/// Gives every event the checksum that fits, so that the bodies are looked into.
fn repair(bytes: &mut [u8]) {
    let mut at = MAGIC;
    while bytes.len() >= at + HEADER {
        let length = u32::from_le_bytes([bytes[at + 9], bytes[at + 10], bytes[at + 11], bytes[at + 12]]) as usize;
        let Some(event) = bytes.get_mut(at..at.saturating_add(length)).filter(|event| event.len() >= HEADER + 4) else {
            return;
        };
        // The format description's is taken with the in-use bit clear.
        let flags = event[17];
        if event[4] == 15 {
            event[17] &= !1;
        }
        let (body, sum) = event.split_at_mut(length - 4);
        sum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        event[17] = flags;
        at += length;
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((mode, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mode & 1 == 1 {
        repair(&mut bytes);
    }
    let whole = read(bytes.as_slice());
    assert_eq!(read(Dribble(&bytes)), whole, "the size of the reads made a difference");
    let Some((found, transactions)) = whole else { return };
    assert_eq!(found.size, bytes.len() as u64);
    assert_eq!(found.transactions, transactions.len() as u64);
    assert!(found.good_end <= found.size);
    let mut end = found.head.length.min(transactions.first().map_or(u64::MAX, |first| first.start));
    for transaction in &transactions {
        assert!(end <= transaction.start && transaction.start < transaction.end, "{transaction:?} after {end}");
        end = transaction.end;
    }
    assert!(end <= found.good_end.max(end.min(found.head.length)), "{end} > {}", found.good_end);
    if let Some(last) = transactions.last() {
        assert_eq!(boundary(&mut bytes.as_slice(), last.end).ok(), Some(Boundary::Yes));
        if last.end - last.start > 1 {
            let inside = boundary(&mut bytes.as_slice(), last.start + 1).ok();
            assert!(matches!(inside, Some(Boundary::No { before, .. }) if before <= last.start), "{inside:?}");
        }
    }
    // What is called good stays good when the rest is gone.
    if let Ok(good) = usize::try_from(found.good_end)
        && good < bytes.len()
        && let Some((cut, again)) = read(&bytes[..good])
    {
        assert_eq!(again, transactions);
        assert!(matches!(cut.ending, Ending::Open | Ending::Rotate { .. } | Ending::Stop), "{:?}", cut.ending);
    }
});
