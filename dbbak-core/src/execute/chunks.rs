//! A file in pieces, on its way from the thread that copies it to the one that scans it.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
};

/// Bytes of a piece: as many as are packed at a time, so that they need not be gathered.
const CHUNK: usize = 1 << 20;
/// Pieces that may wait for the scan.
const WAITING: usize = 4;

/// The two ends for one file.
pub(super) fn chunks() -> (ChunkSender, ChunkReader) {
    let (chunks, incoming) = sync_channel(WAITING);
    let (used, spare) = channel();
    let sender = ChunkSender { chunks, spare, used };
    (sender, ChunkReader { incoming, current: None, at: 0 })
}

/// A piece of a file. Its memory is used again when nobody holds it any more.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    used: Sender<Vec<u8>>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // Nobody takes it when the copy has ended.
        let _ = self.used.send(std::mem::take(&mut self.bytes));
    }
}

/// The end of the thread that copies.
#[derive(Debug)]
pub(super) struct ChunkSender {
    chunks: SyncSender<Arc<Chunk>>,
    spare: Receiver<Vec<u8>>,
    used: Sender<Vec<u8>>,
}

impl ChunkSender {
    /// Reads the next piece; an empty one is the end.
    pub(super) fn read(&self, input: &mut impl Read) -> io::Result<Chunk> {
        let mut bytes = self.spare.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK));
        bytes.clear();
        input.take(CHUNK as u64).read_to_end(&mut bytes)?;
        Ok(Chunk { bytes, used: self.used.clone() })
    }

    /// Hands a piece on. A scan that ended early, for it met damage, wants no more.
    pub(super) fn send(&self, chunk: Arc<Chunk>) {
        let _ = self.chunks.send(chunk);
    }
}

/// The end of the thread that scans. It ends when the other end is dropped.
#[derive(Debug)]
pub(super) struct ChunkReader {
    incoming: Receiver<Arc<Chunk>>,
    current: Option<Arc<Chunk>>,
    at: usize,
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let rest = self.current.as_ref().and_then(|chunk| chunk.bytes.get(self.at..)).unwrap_or_default();
            if !rest.is_empty() {
                let count = { rest }.read(buffer)?;
                self.at += count;
                return Ok(count);
            }
            self.current = None;
            let Ok(next) = self.incoming.recv() else { return Ok(0) };
            (self.current, self.at) = (Some(next), 0);
        }
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
                if chunk.bytes.is_empty() {
                    break;
                }
                sender.send(Arc::new(chunk));
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
            sender.send(Arc::new(sender.read(&mut [0; 10].as_slice()).unwrap()));
        }
    }
}
