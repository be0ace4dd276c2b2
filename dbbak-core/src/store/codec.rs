//! How archived binlogs are coded: gzip or zstd on several threads, readable by plain `gunzip` and `zstd -d`.

use flate2::{Compression, GzBuilder, read::MultiGzDecoder};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

/// Bytes of input in each gzip member. Every member starts without a dictionary, which costs about half a per cent.
const GZIP_MEMBER: usize = 1 << 20;

/// With this level of the library the files are at most as large as those of `gzip -6`, in half the time of its level 6
/// (measured on binlogs of large and of small transactions, docs/benchmarks.md).
const GZIP_LEVEL: u32 = 5;

/// Bytes of input in each zstd frame. Every frame starts without a dictionary, which costs next to nothing: this level
/// looks no further back than half of it.
const ZSTD_FRAME: usize = 1 << 20;

/// On binlogs, files hardly larger than those of the tool's own level 3, in two thirds of its time (measured on large and
/// on small transactions, docs/benchmarks.md).
const ZSTD_LEVEL: i32 = 1;

/// More threads do not make it faster than a disk, and each holds some megabytes.
const MAX_THREADS: usize = 8;

const READ_BUFFER: usize = 128 * 1024;

/// How a stored binlog is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Codec {
    /// As the original.
    Plain,
    /// Compressed with gzip.
    Gzip,
    /// Compressed with zstd.
    Zstd,
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
            Codec::Zstd => ".zst",
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
            ".zst" => Ok(Codec::Zstd),
            _ => Err(CodecError { coding: suffix.to_owned() }),
        }
    }

    /// Reads what lies in the store back into the original.
    pub fn decode<'a>(self, stored: impl Read + Send + 'a) -> Box<dyn Read + Send + 'a> {
        match self {
            Codec::Plain => Box::new(stored),
            Codec::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER, stored))),
            Codec::Zstd => Box::new(ZstdReader::new(stored)),
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
            Codec::Gzip => Encoding::Packed(ParallelPacker::new(stored, threads, Packing::Gzip)?),
            Codec::Zstd => Encoding::Packed(ParallelPacker::new(stored, threads, Packing::Zstd)?),
        }))
    }
}

/// Writes a coded file. Only [`Encoder::finish`] makes it whole.
#[derive(Debug)]
pub struct Encoder<W: Write>(Encoding<W>);

#[derive(Debug)]
enum Encoding<W: Write> {
    Plain(W),
    Packed(ParallelPacker<W>),
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
            Encoding::Packed(packer) => packer.finish(),
        }
    }
}

impl<W: Write> Encoder<W> {
    /// Writes a piece that others may hold too: a piece as large as a member is packed where it lies.
    ///
    /// # Errors
    ///
    /// As the writer beneath.
    pub fn write_shared(&mut self, piece: Arc<dyn AsRef<[u8]> + Send + Sync>) -> io::Result<()> {
        match &mut self.0 {
            Encoding::Packed(packer) if packer.takes_whole((*piece).as_ref()) => packer.submit(Input::Shared(piece)),
            _ => self.write_all((*piece).as_ref()),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Encoding::Plain(stored) => stored.write(bytes),
            Encoding::Packed(packer) => packer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Encoding::Plain(stored) => stored.flush(),
            // A member that is cut short for a flush would cost room; `finish` writes everything.
            Encoding::Packed(_) => Ok(()),
        }
    }
}

/// What packs the members of a stream.
#[derive(Debug, Clone, Copy)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// Bytes of input in each member.
    fn member(self) -> usize {
        match self {
            Packing::Gzip => GZIP_MEMBER,
            Packing::Zstd => ZSTD_FRAME,
        }
    }
}

/// Compresses a stream into a row of gzip members or zstd frames, each on the thread that is free, and writes them in
/// order. The same input gives the same bytes, however many threads there are.
///
/// At most two members more than there are threads are in memory; then the writer waits for the oldest.
struct ParallelPacker<W: Write> {
    stored: W,
    packing: Packing,
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
    input: Input,
    output: Vec<u8>,
}

/// What is packed into a member.
enum Input {
    /// Gathered from what was written.
    Own(Vec<u8>),
    /// Somebody else's.
    Shared(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl AsRef<[u8]> for Input {
    fn as_ref(&self) -> &[u8] {
        match self {
            Input::Own(bytes) => bytes,
            Input::Shared(piece) => (**piece).as_ref(),
        }
    }
}

/// What a thread packs with.
enum Packer {
    Gzip,
    Zstd(Box<zstd::bulk::Compressor<'static>>),
}

impl Packer {
    fn new(packing: Packing) -> io::Result<Self> {
        match packing {
            Packing::Gzip => Ok(Packer::Gzip),
            Packing::Zstd => {
                let mut compressor = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                compressor.include_checksum(true)?;
                Ok(Packer::Zstd(Box::new(compressor)))
            }
        }
    }

    fn pack(&mut self, mut member: Member) -> io::Result<Member> {
        member.output.clear();
        let input = member.input.as_ref();
        match self {
            Packer::Gzip => {
                // No time stamp and no name: the same input gives the same bytes.
                let mut encoder = GzBuilder::new().write(member.output, Compression::new(GZIP_LEVEL));
                encoder.write_all(input)?;
                member.output = encoder.finish()?;
            }
            Packer::Zstd(compressor) => {
                member.output.reserve(zstd::zstd_safe::compress_bound(input.len()));
                compressor.compress_to_buffer(input, &mut member.output)?;
            }
        }
        Ok(member)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, mut packer: Packer) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { member, done }) = job else {
            return;
        };
        // Nobody waits for it when the encoder was dropped.
        let _ = done.send(packer.pack(member));
    }
}

impl<W: Write> ParallelPacker<W> {
    fn new(stored: W, threads: NonZeroUsize, packing: Packing) -> io::Result<Self> {
        let threads = threads.get().min(MAX_THREADS);
        let (jobs, queue) = sync_channel::<Job>(threads);
        let queue = Arc::new(Mutex::new(queue));
        let mut workers = Vec::with_capacity(threads);
        for _ in 0..threads {
            let (queue, packer) = (Arc::clone(&queue), Packer::new(packing)?);
            let builder = std::thread::Builder::new().name("dbbak-pack".to_owned());
            workers.push(builder.spawn(move || work(&queue, packer))?);
        }
        Ok(ParallelPacker {
            stored,
            packing,
            input: Vec::new(),
            pending: VecDeque::new(),
            jobs: Some(jobs),
            workers,
            spare: Vec::new(),
            has_members: false,
        })
    }

    /// Whether a piece can be a member as it is.
    fn takes_whole(&self, piece: &[u8]) -> bool {
        self.input.is_empty() && piece.len() == self.packing.member()
    }

    /// Hands the gathered input to a thread.
    fn submit_gathered(&mut self) -> io::Result<()> {
        let next = self.spare.pop().unwrap_or_default();
        let input = std::mem::replace(&mut self.input, next);
        self.submit(Input::Own(input))
    }

    /// Hands a member to a thread.
    fn submit(&mut self, input: Input) -> io::Result<()> {
        while self.pending.len() >= self.workers.len() + 2 {
            self.write_oldest()?;
        }
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
        let Member { input, mut output } = oldest.recv().map_err(|_| gone())??;
        self.stored.write_all(&output)?;
        output.clear();
        self.spare.push(output);
        if let Input::Own(mut input) = input {
            input.clear();
            self.spare.push(input);
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        // An empty stream is one empty member: no bytes at all would be no gzip file.
        if !self.input.is_empty() || !self.has_members {
            self.submit_gathered()?;
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

/// Reads a row of zstd frames. The decoder is made with the first bytes that are read, for making it can fail.
struct ZstdReader<R: Read> {
    stored: Option<R>,
    decoder: Option<zstd::stream::read::Decoder<'static, BufReader<R>>>,
    /// Whether there were bytes at all: no bytes are no zstd file.
    any: bool,
}

impl<R: Read> ZstdReader<R> {
    fn new(stored: R) -> Self {
        ZstdReader { stored: Some(stored), decoder: None, any: false }
    }
}

impl<R: Read> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(stored) = self.stored.take() {
            let mut buffered = BufReader::with_capacity(READ_BUFFER, stored);
            self.any = !buffered.fill_buf()?.is_empty();
            self.decoder = Some(zstd::stream::read::Decoder::with_buffer(buffered)?);
        }
        match &mut self.decoder {
            Some(decoder) if self.any => decoder.read(buffer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("a compression thread has gone")
}

impl<W: Write> Write for ParallelPacker<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let member = self.packing.member();
        if self.input.len() == member {
            self.submit_gathered()?;
        }
        let taken = bytes.len().min(member - self.input.len());
        self.input.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write> fmt::Debug for ParallelPacker<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParallelPacker")
            .field("threads", &self.workers.len())
            .field("pending", &self.pending.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: usize = GZIP_MEMBER;
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
        for len in [0, 1, MEMBER - 1, MEMBER, MEMBER + 1, 2 * MEMBER, 7 * MEMBER + 3] {
            let original = sample(len);
            for codec in [Codec::Plain, Codec::Gzip, Codec::Zstd] {
                let stored = encode(codec, &original);
                assert!(decode(codec, &stored).unwrap() == original, "{codec:?} of {len}");
                assert_eq!(stored, encode(codec, &original), "the same bytes each time");
            }
        }
    }

    #[test]
    fn shared_pieces_give_the_same_bytes() {
        let original = sample(5 * MEMBER + 3);
        for codec in [Codec::Plain, Codec::Gzip, Codec::Zstd] {
            for begun in [0, 7, MEMBER] {
                let mut encoder = codec.encode(Vec::new(), TWO).unwrap();
                let (start, rest) = original.split_at(begun);
                encoder.write_all(start).unwrap();
                for piece in rest.chunks(MEMBER) {
                    encoder.write_shared(Arc::new(piece.to_vec())).unwrap();
                }
                assert!(encoder.finish().unwrap() == encode(codec, &original), "{codec:?} after {begun}");
            }
        }
    }

    #[test]
    fn sees_a_cut_and_a_flip() {
        let original = sample(3 * MEMBER);
        for codec in [Codec::Gzip, Codec::Zstd] {
            let stored = encode(codec, &original);
            assert!(decode(codec, &stored[..stored.len() - 1]).is_err(), "{codec:?}");
            let mut flipped = stored.clone();
            flipped[stored.len() / 3] ^= 1;
            assert!(decode(codec, &flipped).is_err(), "{codec:?}");
            assert!(decode(codec, b"").is_err(), "{codec:?}");
        }
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
        assert_eq!(Codec::from_suffix(".zst"), Ok(Codec::Zstd));
        assert_eq!(Codec::from_suffix(Codec::Plain.suffix()), Ok(Codec::Plain));
        assert_eq!(Codec::from_suffix(".zst.age").unwrap_err().to_string(), "unknown coding \".zst.age\"");
    }
}
