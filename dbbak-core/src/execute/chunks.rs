//! A file in pieces, on its way from the thread that copies it to the one that scans it.

use std::{
    io::{self, Read},
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
};

/// Bytes of a piece.
const CHUNK: usize = 1 << 20;
/// Pieces that may wait for the scan.
const WAITING: usize = 4;

/// The two ends for one file.
pub(super) fn chunks() -> (ChunkSender, ChunkReader) {
    let (chunks, incoming) = sync_channel(WAITING);
    let (used, spare) = channel();
    let sender = ChunkSender { chunks, spare };
    (sender, ChunkReader { incoming, used, current: Vec::new(), at: 0 })
}

/// The end of the thread that copies.
#[derive(Debug)]
pub(super) struct ChunkSender {
    chunks: SyncSender<Vec<u8>>,
    /// Pieces that were scanned: their memory is used again.
    spare: Receiver<Vec<u8>>,
}

impl ChunkSender {
    /// Reads the next piece; an empty one is the end.
    pub(super) fn read(&self, input: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut chunk = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        chunk.clear();
        input.take(CHUNK as u64).read_to_end(&mut chunk)?;
        Ok(chunk)
    }

    /// Hands a piece on. A scan that ended early, for it met damage, wants no more.
    pub(super) fn send(&self, chunk: Vec<u8>) {
        let _ = self.chunks.send(chunk);
    }
}

/// The end of the thread that scans. It ends when the other end is dropped.
#[derive(Debug)]
pub(super) struct ChunkReader {
    incoming: Receiver<Vec<u8>>,
    used: Sender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            let Ok(next) = self.incoming.recv() else { return Ok(0) };
            // Nobody takes it when the copy has ended.
            let _ = self.used.send(std::mem::replace(&mut self.current, next));
            self.at = 0;
        }
        let count = (&self.current[self.at..]).read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 17).map(|number| (number % 251) as u8).collect();
        let (sender, mut reader) = chunks();
        let read = std::thread::scope(|scope| {
            let read = scope.spawn(move || {
                let mut read = Vec::new();
                reader.read_to_end(&mut read).map(|_| read)
            });
            let mut input = bytes.as_slice();
            loop {
                let chunk = sender.read(&mut input).unwrap();
                if chunk.is_empty() {
                    break;
                }
                sender.send(chunk);
            }
            drop(sender);
            read.join().unwrap().unwrap()
        });
        assert!(read == bytes);
    }

    #[test]
    fn a_scan_that_ends_early_holds_nobody_up() {
        let (sender, reader) = chunks();
        drop(reader);
        for _ in 0..3 * WAITING {
            sender.send(vec![0; 10]);
        }
    }
}
