//! Cuts a binlog into events: framing, positions and the checksum of every event, in bounded memory.

use super::error::{Damage, DamageKind};
use super::format::{ChecksumAlgorithm, LogFlavor};
use super::header::{CHECKSUM_LENGTH, EventHeader, FLAG_IN_USE, FLAGS_AT, HEADER_LENGTH, event_type};
use super::source::Source;
use std::io::{self, Read};

/// Events up to this size are held in memory whole; larger ones are read through.
const WHOLE_EVENT: usize = 1 << 20;

/// The first events may be this large and are still held whole: a set of GTIDs ends up in memory anyway.
const WHOLE_HEAD_EVENT: usize = 64 << 20;

/// Cuts an input into events.
pub(super) struct EventReader<'r> {
    input: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// The unread bytes of the buffer.
    from: usize,
    to: usize,
    /// Offset in the file of the first unread byte.
    offset: u64,
    checksum: ChecksumAlgorithm,
    positions: Positions,
    read_size: usize,
    whole: usize,
    /// Whether the events read are the file's first: a larger one than `whole` is then no event.
    in_head: bool,
}

/// What the `end_log_pos` of events must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Positions {
    /// Where the event ends.
    Exact,
    /// That, or 0: MariaDB 11.4 and later set it only in the first and the last event of a transaction
    /// (`binlog_legacy_event_pos=OFF`). What is missing between shows in the last one's.
    OrZero,
    /// Anything: events inside a compressed transaction have no place in the file.
    Any,
}

/// What comes next in a binlog.
pub(super) enum Frame<'e, 'r> {
    /// An event; its checksum holds, or will have been verified by [`Event::finish`].
    Event(Event<'e, 'r>),
    /// The input ends here, on an event boundary.
    End,
    /// No event can be read here.
    Damaged(Damage),
}

/// One event.
pub(super) struct Event<'e, 'r> {
    pub(super) header: EventHeader,
    /// Offset of the event in the file.
    pub(super) at: u64,
    /// Offset after the event.
    pub(super) end: u64,
    pub(super) body: Body<'e, 'r>,
}

/// The bytes of an event between header and checksum.
pub(super) enum Body<'e, 'r> {
    /// In memory, checksum verified.
    Whole {
        /// What is left of the body.
        rest: &'e [u8],
        /// The whole event, from header to checksum.
        event: &'e [u8],
    },
    /// Too large for that: read as it is decoded, checksum not yet known.
    Large(Box<LargeBody<'e, 'r>>),
}

/// The body of a large event, with the checksum of what was read so far.
pub(super) struct LargeBody<'e, 'r> {
    reader: &'e mut EventReader<'r>,
    /// Bytes of the body left, without the checksum.
    left: u64,
    crc: crc32fast::Hasher,
    taken: Vec<u8>,
    /// The input ended or failed within the body.
    failed: Option<io::Error>,
    at: u64,
    length: u64,
}

impl<'r> EventReader<'r> {
    /// Reads a file from its start; checksums are off until [`Self::set_format`], but the format description's own.
    ///
    /// Starts with few bytes at a time and events held whole, for the head; [`Self::stream`] goes on in bulk.
    pub(super) fn new(input: &'r mut dyn Read) -> Self {
        EventReader {
            input,
            buffer: Vec::new(),
            from: 0,
            to: 0,
            offset: 0,
            checksum: ChecksumAlgorithm::None,
            positions: Positions::Exact,
            read_size: 8 << 10,
            whole: WHOLE_HEAD_EVENT,
            in_head: true,
        }
    }

    /// Reads events that stand in no file: without checksums, their positions meaningless.
    pub(super) fn of_payload(input: &'r mut dyn Read) -> Self {
        let mut reader = EventReader::new(input);
        reader.positions = Positions::Any;
        reader.stream();
        reader
    }

    /// Goes on with large reads, and passes over large events.
    pub(super) fn stream(&mut self) {
        self.read_size = 256 << 10;
        self.whole = WHOLE_EVENT;
        self.in_head = false;
    }

    /// What follows is written so.
    pub(super) fn set_format(&mut self, checksum: ChecksumAlgorithm, flavor: LogFlavor) {
        self.checksum = checksum;
        if flavor == LogFlavor::Mariadb {
            self.positions = Positions::OrZero;
        }
    }

    /// Offset of the next event.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next bytes that are no event, such as the magic; fewer at the input's end.
    pub(super) fn raw(&mut self, count: usize) -> io::Result<&[u8]> {
        let count = self.fill(count)?.min(count);
        let from = self.from;
        self.advance(count);
        Ok(self.buffer.get(from..from + count).unwrap_or_default())
    }

    /// The type of the next event, where a header follows.
    pub(super) fn peek_type(&mut self) -> io::Result<Option<u8>> {
        self.fill(HEADER_LENGTH)?;
        Ok(EventHeader::parse(self.unread()).map(|header| header.event_type))
    }

    /// What is wrong with the next event, which stays unread.
    pub(super) fn peek_damage(&mut self) -> io::Result<Option<Damage>> {
        let before = self.offset;
        let damage = match self.next()? {
            Frame::Damaged(damage) => Some(damage),
            Frame::Event(_) | Frame::End => None,
        };
        self.from -= (self.offset - before) as usize;
        self.offset = before;
        Ok(damage)
    }

    /// Reads on to the input's end; returns how many bytes there were.
    pub(super) fn drain(&mut self) -> io::Result<u64> {
        let buffered = (self.to - self.from) as u64;
        self.advance(self.to - self.from);
        let rest = io::copy(self.input, &mut io::sink())?;
        self.offset += rest;
        Ok(buffered + rest)
    }

    /// The next event.
    pub(super) fn next(&mut self) -> io::Result<Frame<'_, 'r>> {
        let at = self.offset;
        let damaged = |what, expected, found| Ok(Frame::Damaged(Damage { at, what, expected, found }));
        let available = self.fill(HEADER_LENGTH)?;
        if available == 0 {
            return Ok(Frame::End);
        }
        let Some(header) = EventHeader::parse(self.unread()) else {
            return damaged(DamageKind::Truncated, HEADER_LENGTH as u64, available as u64);
        };
        // The format description alone has a checksum whatever the algorithm is.
        let secured = self.checksum == ChecksumAlgorithm::Crc32
            || (self.positions != Positions::Any && header.event_type == event_type::FORMAT_DESCRIPTION);
        let trailer = if secured { CHECKSUM_LENGTH } else { 0 };
        let length = header.length as usize;
        if length < HEADER_LENGTH + trailer {
            return damaged(DamageKind::EventLength, (HEADER_LENGTH + trailer) as u64, header.length.into());
        }
        let end = at + u64::from(header.length);
        // The field has 32 bits, and files grow past 4 GiB.
        let fits = match self.positions {
            Positions::Exact => header.end_position == end as u32,
            Positions::OrZero => header.end_position == end as u32 || header.end_position == 0,
            Positions::Any => true,
        };
        if !fits {
            return damaged(DamageKind::EndPosition, u64::from(end as u32), header.end_position.into());
        }
        if length > self.whole {
            if self.in_head {
                return damaged(DamageKind::EventLength, WHOLE_HEAD_EVENT as u64, header.length.into());
            }
            return self.large(header, at, end, secured);
        }
        let available = self.fill(length)?;
        if available < length {
            return damaged(DamageKind::Truncated, header.length.into(), available as u64);
        }
        let from = self.from;
        self.advance(length);
        let event = self.buffer.get(from..from + length).unwrap_or_default();
        let content = event.get(..length - trailer).unwrap_or_default();
        if secured {
            let computed = checksum_of(&header, content);
            let stored = stored_checksum(event.get(length - trailer..).unwrap_or_default());
            if computed != stored {
                return damaged(DamageKind::Checksum, computed.into(), stored.into());
            }
        }
        let rest = content.get(HEADER_LENGTH..).unwrap_or_default();
        Ok(Frame::Event(Event { header, at, end, body: Body::Whole { rest, event } }))
    }

    fn large(&mut self, header: EventHeader, at: u64, end: u64, secured: bool) -> io::Result<Frame<'_, 'r>> {
        let trailer = if secured { CHECKSUM_LENGTH } else { 0 };
        let mut crc = crc32fast::Hasher::new();
        crc.update(self.unread().get(..HEADER_LENGTH).unwrap_or_default());
        self.advance(HEADER_LENGTH);
        let left = u64::from(header.length) - (HEADER_LENGTH + trailer) as u64;
        let body =
            LargeBody { left, crc, taken: Vec::new(), failed: None, at, length: header.length.into(), reader: self };
        Ok(Frame::Event(Event { header, at, end, body: Body::Large(Box::new(body)) }))
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.from += count;
        self.offset += count as u64;
    }

    /// Makes at least `count` bytes unread, or as many as the input holds; returns how many are.
    fn fill(&mut self, count: usize) -> io::Result<usize> {
        let unread = self.to - self.from;
        if unread >= count {
            return Ok(unread);
        }
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, unread);
        // The length in a damaged header must not make us allocate: grow with the bytes that are really there.
        while self.to < count {
            let goal = (self.to * 2).clamp(self.read_size, count.max(self.read_size));
            if self.buffer.len() < goal {
                // Fresh zeroed pages cost nothing, growing in place would write them.
                let mut larger = vec![0; goal];
                if let (Some(into), Some(unread)) = (larger.get_mut(..self.to), self.buffer.get(..self.to)) {
                    into.copy_from_slice(unread);
                }
                self.buffer = larger;
            }
            let Some(free) = self.buffer.get_mut(self.to..) else {
                break;
            };
            match self.input.read(free) {
                Ok(0) => break,
                Ok(read) => self.to += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.to)
    }
}

impl Event<'_, '_> {
    /// Reads what is left of the event and verifies its checksum; `Some` where the event is damaged after all.
    pub(super) fn finish(self) -> io::Result<Option<Damage>> {
        match self.body {
            Body::Whole { .. } => Ok(None),
            Body::Large(body) => body.finish(&self.header),
        }
    }

    /// The whole event, where it is held in memory.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Whole { event, .. } => Some(event),
            Body::Large(_) => None,
        }
    }
}

impl LargeBody<'_, '_> {
    /// Passes over bytes and gives each piece to `see`; `None` where the body or the input ends before.
    fn through(&mut self, count: u64, mut see: impl FnMut(&[u8])) -> Option<()> {
        if count > self.left || self.failed.is_some() {
            return None;
        }
        let mut wanted = count;
        while wanted > 0 {
            let available = match self.reader.fill(1) {
                Ok(0) => {
                    self.failed = Some(io::ErrorKind::UnexpectedEof.into());
                    return None;
                }
                Ok(available) => available,
                Err(error) => {
                    self.failed = Some(error);
                    return None;
                }
            };
            let now = usize::try_from(wanted).unwrap_or(available).min(available);
            let piece = self.reader.unread().get(..now).unwrap_or_default();
            self.crc.update(piece);
            see(piece);
            self.reader.advance(now);
            wanted -= now as u64;
            self.left -= now as u64;
        }
        Some(())
    }

    fn finish(mut self, header: &EventHeader) -> io::Result<Option<Damage>> {
        let rest = self.left;
        self.through(rest, |_| ());
        let (at, expected) = (self.at, self.length);
        if let Some(error) = self.failed.take() {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                let found = self.reader.offset - at;
                return Ok(Some(Damage { at, what: DamageKind::Truncated, expected, found }));
            }
            return Err(error);
        }
        if u64::from(header.length) == self.reader.offset - at {
            return Ok(None);
        }
        let stored = self.reader.raw(CHECKSUM_LENGTH)?;
        if stored.len() < CHECKSUM_LENGTH {
            let found = self.reader.offset - at;
            return Ok(Some(Damage { at, what: DamageKind::Truncated, expected, found }));
        }
        let (computed, stored) = (self.crc.finalize(), stored_checksum(stored));
        Ok((computed != stored).then_some(Damage {
            at,
            what: DamageKind::Checksum,
            expected: computed.into(),
            found: stored.into(),
        }))
    }
}

impl Source for Body<'_, '_> {
    fn remaining(&self) -> u64 {
        match self {
            Body::Whole { rest, .. } => rest.remaining(),
            Body::Large(large) => large.left,
        }
    }

    fn chunk(&mut self, count: usize) -> Option<&[u8]> {
        match self {
            Body::Whole { rest, .. } => rest.chunk(count),
            Body::Large(large) => {
                if count as u64 > large.left {
                    return None;
                }
                let mut taken = std::mem::take(&mut large.taken);
                taken.clear();
                let complete = large.through(count as u64, |piece| taken.extend_from_slice(piece));
                large.taken = taken;
                complete.map(|()| large.taken.as_slice())
            }
        }
    }

    fn skip(&mut self, count: u64) -> Option<()> {
        match self {
            Body::Whole { rest, .. } => rest.skip(count),
            Body::Large(large) => large.through(count, |_| ()),
        }
    }

    fn in_memory(&self) -> Option<&[u8]> {
        match self {
            Body::Whole { rest, .. } => Some(rest),
            Body::Large(_) => None,
        }
    }
}

/// For decompressors.
impl Read for Body<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.remaining()).unwrap_or(into.len()).min(into.len());
        match self.chunk(count.min(64 << 10)) {
            Some(taken) => {
                if let Some(into) = into.get_mut(..taken.len()) {
                    into.copy_from_slice(taken);
                }
                Ok(taken.len())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The CRC32 of an event; the in-use flag of a format description counts as cleared, since the server clears it later.
fn checksum_of(header: &EventHeader, content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    match (content.get(..FLAGS_AT), content.get(FLAGS_AT), content.get(FLAGS_AT + 1..)) {
        (Some(before), Some(flags), Some(after)) if header.event_type == event_type::FORMAT_DESCRIPTION => {
            crc.update(before);
            crc.update(&[flags & !(FLAG_IN_USE as u8)]);
            crc.update(after);
        }
        _ => crc.update(content),
    }
    crc.finalize()
}

fn stored_checksum(bytes: &[u8]) -> u32 {
    bytes.try_into().map(u32::from_le_bytes).unwrap_or_default()
}
