//! How archived binlogs are coded: gzip on several threads, readable by plain `gunzip`.

use flate2::{Compression, GzBuilder, read::MultiGzDecoder};
use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufReader, Read, Write},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// Bytes of input in each gzip member. Every member starts without a dictionary, which costs about half a per cent.
const MEMBER: usize = 1 << 20;

/// The compression level of `gzip` itself.
const LEVEL: u32 = 6;

const READ_BUFFER: usize = 128 * 1024;

/// How a stored binlog is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// As the original.
    Plain,
    /// Compressed with gzip.
    Gzip,
}

/// A name's ending that stands for no known coding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown coding {coding:?}")]
pub struct CodecError {
    /// The ending.
    pub coding: String,
}

impl Codec {
    /// What is added to the name of a file that is coded so.
    pub fn suffix(self) -> &'static str {
        match self {
            Codec::Plain => "",
            Codec::Gzip => ".gz",
        }
    }

    /// The coding that a name's ending stands for, as [`StoredBinlog::coding`](super::layout::StoredBinlog) has it.
    ///
    /// # Errors
    ///
    /// When this program does not know the coding.
    pub fn from_suffix(suffix: &str) -> Result<Self, CodecError> {
        match suffix {
            "" => Ok(Codec::Plain),
            ".gz" => Ok(Codec::Gzip),
            _ => Err(CodecError { coding: suffix.to_owned() }),
        }
    }

    /// Reads what lies in the store back into the original.
    pub fn decode<'a>(self, stored: impl Read + Send + 'a) -> Box<dyn Read + Send + 'a> {
        match self {
            Codec::Plain => Box::new(stored),
            Codec::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER, stored))),
        }
    }

    /// Writes the original into what is to lie in the store, compressing on `threads` threads.
    ///
    /// # Errors
    ///
    /// When the threads cannot be started.
    pub fn encode<W: Write>(self, stored: W, threads: NonZeroUsize) -> io::Result<Encoder<W>> {
        Ok(Encoder(match self {
            Codec::Plain => Encoding::Plain(stored),
            Codec::Gzip => Encoding::Gzip(ParallelGzip::new(stored, threads)?),
        }))
    }
}

/// Writes a coded file. Only [`Encoder::finish`] makes it whole.
#[derive(Debug)]
pub struct Encoder<W: Write>(Encoding<W>);

#[derive(Debug)]
enum Encoding<W: Write> {
    Plain(W),
    Gzip(ParallelGzip<W>),
}

impl<W: Write> Encoder<W> {
    /// Writes what is left and returns the writer beneath.
    ///
    /// # Errors
    ///
    /// As the writer beneath.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Encoding::Plain(mut stored) => {
                stored.flush()?;
                Ok(stored)
            }
            Encoding::Gzip(gzip) => gzip.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Encoding::Plain(stored) => stored.write(bytes),
            Encoding::Gzip(gzip) => gzip.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Encoding::Plain(stored) => stored.flush(),
            // A member that is cut short for a flush would cost room; `finish` writes everything.
            Encoding::Gzip(_) => Ok(()),
        }
    }
}

/// Compresses a stream into a row of gzip members, each on the thread that is free, and writes them in order.
///
/// At most two members for each thread are in memory; then the writer waits for the oldest.
struct ParallelGzip<W: Write> {
    stored: W,
    input: Vec<u8>,
    /// Members on their way, oldest first.
    pending: VecDeque<Receiver<io::Result<Member>>>,
    jobs: Option<SyncSender<Job>>,
    workers: Vec<JoinHandle<()>>,
    /// Buffers that can be used again.
    spare: Vec<Vec<u8>>,
    has_members: bool,
}

struct Job {
    member: Member,
    done: SyncSender<io::Result<Member>>,
}

/// Input and output of one member.
struct Member {
    input: Vec<u8>,
    output: Vec<u8>,
}

fn compress(mut member: Member) -> io::Result<Member> {
    member.output.clear();
    // No time stamp and no name: the same input gives the same bytes.
    let mut encoder = GzBuilder::new().write(member.output, Compression::new(LEVEL));
    encoder.write_all(&member.input)?;
    member.output = encoder.finish()?;
    Ok(member)
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { member, done }) = job else {
            return;
        };
        // Nobody waits for it when the encoder was dropped.
        let _ = done.send(compress(member));
    }
}

impl<W: Write> ParallelGzip<W> {
    fn new(stored: W, threads: NonZeroUsize) -> io::Result<Self> {
        let (jobs, queue) = sync_channel::<Job>(threads.get());
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Vec::with_capacity(threads.get());
        for _ in 0..threads.get() {
            let queue = Arc::clone(&queue);
            workers.push(std::thread::Builder::new().name("dbbak-gzip".to_owned()).spawn(move || work(&queue))?);
        }
        Ok(ParallelGzip {
            stored,
            input: Vec::with_capacity(MEMBER),
            pending: VecDeque::new(),
            jobs: Some(jobs),
            workers,
            spare: Vec::new(),
            has_members: false,
        })
    }

    /// Hands the gathered input to a thread.
    fn submit(&mut self) -> io::Result<()> {
        while self.pending.len() >= 2 * self.workers.len() {
            self.write_oldest()?;
        }
        let next = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(MEMBER));
        let input = std::mem::replace(&mut self.input, next);
        let output = self.spare.pop().unwrap_or_default();
        let (done, result) = sync_channel(1);
        let job = Job { member: Member { input, output }, done };
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        self.pending.push_back(result);
        self.has_members = true;
        Ok(())
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some(oldest) = self.pending.pop_front() else {
            return Ok(());
        };
        let Member { mut input, mut output } = oldest.recv().map_err(|_| gone())??;
        self.stored.write_all(&output)?;
        input.clear();
        output.clear();
        self.spare.extend([output, input]);
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        // An empty stream is one empty member: no bytes at all would be no gzip file.
        if !self.input.is_empty() || !self.has_members {
            self.submit()?;
        }
        while !self.pending.is_empty() {
            self.write_oldest()?;
        }
        self.stored.flush()?;
        drop(self.jobs.take());
        for worker in self.workers.drain(..) {
            worker.join().map_err(|_| gone())?;
        }
        Ok(self.stored)
    }
}

fn gone() -> io::Error {
    io::Error::other("a compression thread has gone")
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.input.len() == MEMBER {
            self.submit()?;
        }
        let taken = bytes.len().min(MEMBER - self.input.len());
        self.input.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> fmt::Debug for ParallelGzip<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelGzip")
            .field("threads", &self.workers.len())
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::new(2).unwrap();

    fn encode(codec: Codec, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = codec.encode(Vec::new(), TWO).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode(codec: Codec, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut original = Vec::new();
        codec.decode(bytes).read_to_end(&mut original)?;
        Ok(original)
    }

    /// Text that repeats itself at no short distance.
    fn sample(len: usize) -> Vec<u8> {
        (0..).flat_map(|n: u32| format!("{} ", n.wrapping_mul(2_654_435_761)).into_bytes()).take(len).collect()
    }

    #[test]
    fn gives_the_original_back_in_order() {
        for len in [0, 1, MEMBER - 1, MEMBER, MEMBER + 1, 7 * MEMBER + 3] {
            let original = sample(len);
            for codec in [Codec::Plain, Codec::Gzip] {
                let stored = encode(codec, &original);
                assert!(decode(codec, &stored).unwrap() == original, "{codec:?} of {len}");
                assert_eq!(stored, encode(codec, &original), "the same bytes each time");
            }
        }
    }

    #[test]
    fn sees_a_cut_and_a_flip() {
        let original = sample(2 * MEMBER);
        let stored = encode(Codec::Gzip, &original);
        assert!(decode(Codec::Gzip, &stored[..stored.len() - 1]).is_err());
        let mut flipped = stored.clone();
        flipped[stored.len() / 3] ^= 1;
        assert!(decode(Codec::Gzip, &flipped).is_err());
        assert!(decode(Codec::Gzip, b"").is_err());
    }

    #[test]
    fn ends_when_the_writer_fails_or_nobody_finishes() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut encoder = Codec::Gzip.encode(Full, TWO).unwrap();
        let error = encoder.write_all(&sample(20 * MEMBER)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        drop(encoder);
        let mut encoder = Codec::Gzip.encode(Vec::new(), TWO).unwrap();
        encoder.write_all(&sample(3 * MEMBER)).unwrap();
    }

    #[test]
    fn knows_codings_by_their_suffix() {
        assert_eq!(Codec::from_suffix(".gz"), Ok(Codec::Gzip));
        assert_eq!(Codec::from_suffix(Codec::Plain.suffix()), Ok(Codec::Plain));
        assert_eq!(Codec::from_suffix(".zst.age").unwrap_err().to_string(), "unknown coding \".zst.age\"");
    }
}
