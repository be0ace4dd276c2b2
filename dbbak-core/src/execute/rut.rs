//! Notices a tool that says the same for ever: InnoDB writes a page again and again where the system does not take it.
#![expect(clippy::disallowed_methods, reason = "it reads the log that a tool writes")]

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often the log is read.
const EVERY: Duration = Duration::from_secs(1);
/// The most of it that is read at once, in bytes: what was written before that is passed over.
const AT_ONCE: u64 = 4 << 20;

/// What InnoDB prints each time that the system did not take (or give) a page, before it tries again: `IO Error: 28 during write of 16384
/// bytes, for file shop/t.ibd(9), returned 0`. mariadb-backup 10.11 and 11.8 do so some hundred times a second, and never end, where a
/// prepare meets a full file system (28) or a limit of file sizes (27, with SIGXFSZ ignored).
const REFUSED: &str = "IO Error: ";
/// So often, and for so long without a pause: room that was made meanwhile ends it.
const REFUSED_TIMES: u64 = 100;
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Other words of failure that a tool repeats: so often, for so long, and nothing else but a few lines beside them.
const REPEATED_TIMES: u64 = 600;
const REPEATED_FOR: Duration = Duration::from_secs(60);
const REPEATED_LINES: usize = 8;
/// What tools print of each file that they work on.
const WORK: [&str; 6] = [" Copying ", " Applying ", " Renaming ", " Removing ", " Moving ", " Streaming "];
/// Bytes of a line that are compared.
const COMPARED: usize = 200;

/// What a tool said again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stuck {
    /// The last line of failure.
    pub(super) line: String,
    /// How many there were.
    pub(super) count: u64,
}

/// A stretch of a log in which a tool got no further.
#[derive(Debug)]
struct Spell {
    since: Duration,
    line: String,
    count: u64,
}

/// A tool's log, as it is written.
#[derive(Debug)]
pub(super) struct Rut {
    log: PathBuf,
    offset: u64,
    /// The begin of a line that was not written to its end.
    open: Vec<u8>,
    next: Duration,
    refused: Option<Spell>,
    repeated: Option<Spell>,
    texts: BTreeSet<String>,
}

impl Rut {
    /// The log from an offset on.
    pub(super) fn new(log: &Path, offset: u64, now: Duration) -> Self {
        Rut {
            log: log.to_owned(),
            offset,
            open: Vec::new(),
            next: now + EVERY,
            refused: None,
            repeated: None,
            texts: BTreeSet::new(),
        }
    }

    /// Reads what was written since the last look, and says whether the tool gets no further. `now` is a monotonic time.
    pub(super) fn look(&mut self, now: Duration) -> Option<Stuck> {
        if now < self.next {
            return None;
        }
        self.next = now + EVERY;
        let written = self.read();
        self.take(&written, now)
    }

    fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Ok(mut file) = File::open(&self.log) else { return bytes };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        self.offset = self.offset.max(length.saturating_sub(AT_ONCE));
        if file.seek(SeekFrom::Start(self.offset)).is_ok() {
            let _ = file.take(AT_ONCE).read_to_end(&mut bytes);
        }
        self.offset += bytes.len() as u64;
        bytes
    }

    fn take(&mut self, written: &[u8], now: Duration) -> Option<Stuck> {
        self.open.extend_from_slice(written);
        let end = self.open.iter().rposition(|byte| *byte == b'\n').map_or(0, |place| place + 1);
        let rest = self.open.split_off(end);
        let lines = std::mem::replace(&mut self.open, rest);
        let (mut refused, mut failed) = (false, false);
        for line in String::from_utf8_lossy(&lines).lines().filter(|line| !line.trim().is_empty()) {
            if line.contains(REFUSED) {
                refused = true;
                count(&mut self.refused, line, now);
            }
            failed |= self.repeats(line, now);
        }
        // It is silent, or says something else: it goes on.
        if !refused {
            self.refused = None;
        }
        if !failed {
            self.repeated = None;
        }
        let over = |spell: &Option<Spell>, times: u64, long: Duration| {
            let spell = spell.as_ref().filter(|spell| spell.count >= times && now >= spell.since + long)?;
            Some(Stuck { line: spell.line.clone(), count: spell.count })
        };
        over(&self.refused, REFUSED_TIMES, REFUSED_FOR).or_else(|| over(&self.repeated, REPEATED_TIMES, REPEATED_FOR))
    }

    /// Whether the line is one of failure.
    fn repeats(&mut self, line: &str, now: Duration) -> bool {
        let text: String = line.chars().take(COMPARED).map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        self.texts.insert(text);
        if self.texts.len() > REPEATED_LINES {
            self.texts.clear();
            self.repeated = None;
        }
        // Not what stands in a path: `/srv/mirror`, a table `error_log`.
        let words = || line.split_whitespace().filter(|word| !word.contains('/'));
        let fails = words().any(|word| ["rror", "ERROR", "FATAL"].iter().any(|sign| word.contains(sign)));
        let counts = fails && !WORK.iter().any(|work| line.contains(work));
        if counts {
            count(&mut self.repeated, line, now);
        }
        counts
    }
}

fn count(spell: &mut Option<Spell>, line: &str, now: Duration) {
    let spell = spell.get_or_insert_with(|| Spell { since: now, line: String::new(), count: 0 });
    spell.count += 1;
    line.clone_into(&mut spell.line);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rut() -> Rut {
        Rut::new(Path::new("/no/log"), 0, Duration::ZERO)
    }

    /// As mariadb-backup 10.11.19 writes them.
    fn refused(number: u64) -> String {
        let bytes = if number.is_multiple_of(20) { 12288 } else { 16384 };
        format!(
            "2026-11-29  3:22:28 0 [Note] InnoDB: IO Error: 28 during write of {bytes} bytes, for file shop/t.ibd(9), returned 0\n"
        )
    }

    /// As mariadb-backup 10.11.19 tells of the partitions that it renames in the prepare of an incremental, and what a path or a table may hold.
    #[test]
    fn work_in_a_directory_that_is_named_like_a_failure_goes_on() {
        let mut rut = rut();
        for second in 0..90_u32 {
            let lines: String = (0..10)
                .map(|part| format!("[00] 2026-11-29 09:30:01 Renaming /srv/mirror/errors/part#P#p{second}{part}.new to ./errors/x.ibd\n"))
                .chain((0..10).map(|part| format!("[00] 2026-11-29 09:30:01 Looking at /srv/mirror/{part}\n")))
                .collect();
            assert_eq!(rut.take(lines.as_bytes(), SECOND * second), None, "{second}");
        }
    }

    #[test]
    fn a_page_that_is_never_taken_is_noticed() {
        let mut rut = rut();
        for second in 0..10_u32 {
            let lines: String = (0..50).map(refused).collect();
            assert_eq!(rut.take(lines.as_bytes(), SECOND * second), None, "{second}");
        }
        let stuck = rut.take(refused(0).as_bytes(), SECOND * 10).unwrap();
        assert_eq!(stuck.count, 501);
        assert!(stuck.line.contains("IO Error: 28 during write"), "{}", stuck.line);
    }

    #[test]
    fn room_that_was_made_lets_the_tool_go_on() {
        let mut rut = rut();
        for second in 0..9_u32 {
            let lines: String = (0..50).map(refused).collect();
            assert_eq!(rut.take(lines.as_bytes(), SECOND * second), None);
        }
        assert_eq!(rut.take(b"[00] 2026-11-29 03:22:28 Last binlog file , position 0\n", SECOND * 9), None);
        let lines: String = (0..200).map(refused).collect();
        assert_eq!(rut.take(lines.as_bytes(), SECOND * 11), None);
        // Nor is a silent one in a rut.
        let mut silent = self::rut();
        assert_eq!(silent.take(lines.as_bytes(), Duration::ZERO), None);
        assert_eq!(silent.take(b"", SECOND * 60), None);
        assert_eq!(silent.take(lines.as_bytes(), SECOND * 61), None);
        // A few in a long time are none.
        let mut rut = self::rut();
        assert_eq!(rut.take(refused(0).as_bytes(), Duration::ZERO), None);
        assert_eq!(rut.take(refused(1).as_bytes(), SECOND * 3600), None);
    }

    #[test]
    fn other_words_of_failure_are_noticed_where_nothing_else_is_said() {
        let line =
            |second: u32| format!("2026-11-29T03:22:{second:02}.0Z 0 [ERROR] [Xtrabackup] cannot write\nretrying\n");
        let mut rut = rut();
        let said: Vec<_> =
            (0..=60).map(|second| rut.take(line(second).repeat(10).as_bytes(), SECOND * second)).collect();
        assert_eq!(said.iter().position(Option::is_some), Some(60));
        // Beside the names of many files it goes on; nor is anything wrong with notes that are repeated.
        let mut rut = self::rut();
        for second in 0..200_u32 {
            let copies: String = (0..10)
                .map(|file| {
                    format!("[01] Copying ./shop/{}.ibd to /b/raw\n", "abcdefghij".chars().cycle().nth(file).unwrap())
                })
                .collect();
            assert_eq!(rut.take((line(second).repeat(10) + &copies).as_bytes(), SECOND * second), None);
        }
        let mut rut = self::rut();
        for second in 0..200_u32 {
            let notes =
                "[Note] InnoDB: At LSN: 48948960: unable to open file ./shop/z12.ibd for tablespace 33\n".repeat(50);
            assert_eq!(rut.take(notes.as_bytes(), SECOND * second), None);
        }
    }

    #[test]
    fn what_is_written_in_pieces_is_read_as_lines() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        std::fs::write(&log, "before\n").unwrap();
        let mut rut = Rut::new(&log, 7, Duration::ZERO);
        let mut text = "before\n".to_owned();
        for second in 1..=12_u32 {
            text.push_str(&(0..50).map(refused).collect::<String>());
            std::fs::write(&log, &text[..text.len() - 30]).unwrap();
            let stuck = rut.look(SECOND * second);
            assert_eq!(stuck.is_some(), second >= 11, "{second}");
            assert_eq!(rut.look(SECOND * second), None, "it is not due yet");
        }
    }
}
