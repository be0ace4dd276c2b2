//! What in a binlog would be something else as text, in the output of a vendor's binlog reader, for a client.

use super::client_lexer::{self, ClientReading};
use super::compressed::{open as open_compressed, open_payload};
use super::ddl::defines_event;
use super::error::{BinlogError, Damage};
use super::format::LogFlavor;
use super::head::{Opened, open};
use super::header::{EventHeader, event_type};
use super::reader::{Body, EventReader, Frame};
use super::source::Source;
use super::statement::STATEMENT_CAP;
use super::status::Status;
use super::usual_text::{ANSI_QUOTES, Letters, NO_BACKSLASH_ESCAPES, Reading};
use crate::model::Printable;
use std::io::Read;

/// The longest statement that is looked at: no server takes a longer one.
const LONGEST_STATEMENT: u64 = 1 << 30;
/// The most bytes of a statement that are told.
const TOLD: usize = 1000;

/// An event that a binlog reader's output does not carry safely to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipeHazard {
    /// Offset of the event; that of the compressed transaction where it stands in one.
    pub at: u64,
    /// What it is about, and why: without line ends and control characters.
    pub problem: String,
    /// The beginning of the statement that it is about, as it was logged: with its secrets.
    pub statement: Option<String>,
}

/// What becomes of statements that go by the account that ran them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accounts {
    /// The client's account would be taken, and its server for the one that they come from: they are no safe text.
    Lost {
        /// The id of that server, which is the source's own where that is known.
        server_id: Option<u32>,
    },
    /// Whoever replays them sees to it.
    Kept,
}

/// What a client's session was told by the files before, and what becomes of accounts.
#[derive(Debug)]
pub struct PipeSession {
    /// A reader prints only what changes.
    sql_mode: Option<u64>,
    charset: u16,
    /// The schema that was last printed for the present file; `None` where the reader prints the next one in any case.
    database: Option<Vec<u8>>,
    accounts: Accounts,
    /// The vendor of the present file's server.
    flavor: LogFlavor,
    /// What the present transaction holds so far.
    group: Group,
    /// Where the session got the character set `binary`, if it has that.
    binary_since: Option<u64>,
    /// The first statement of the present file whose microseconds begin with a zero.
    short_time: Option<ShortTime>,
}

/// A statement at a time less than a tenth of a second behind a full one, on which it depends. Readers of MariaDB print that without the
/// zeros at its beginning (seen with 10.6.7, 10.6.23 and 10.11.7), or with them (10.11.18, 11.8.6 and later).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortTime {
    /// Offset of its event.
    pub at: u64,
    /// Offset behind it.
    pub end: u64,
    /// Seconds since 1970, UTC.
    pub seconds: u32,
    /// Microseconds behind them, below 100,000.
    pub microseconds: u32,
}

impl PipeSession {
    /// The first statement of the file that was looked at last whose time a reader may print wrongly.
    pub fn short_time(&self) -> Option<ShortTime> {
        self.short_time
    }

    /// The session of a client that was started with utf8mb4 and has read nothing yet.
    pub fn new(accounts: Accounts) -> Self {
        Self {
            sql_mode: None,
            charset: UTF8MB4_GENERAL_CI,
            database: None,
            accounts,
            flavor: LogFlavor::Mysql,
            group: Group::default(),
            binary_since: None,
            short_time: None,
        }
    }
}

/// Looks for the first event between two offsets whose text could be taken for something else. Files of one pipe are looked
/// at one after another, with the same session.
///
/// Both vendors' readers print a table's name as it is into a comment line before its rows: what stands behind a line end in
/// it is a statement for the client. Statements are printed as they are too, and the client finds their ends by rules of its
/// own. Names in quotes, XA names and user variables are escaped by the readers (seen with MariaDB 10.11, 11.8 and MySQL
/// 9.7).
///
/// The names of schemas and user variables stand in a log in UTF-8, and are printed before the character set that belongs to
/// the statement: the client's session still has the one before, in which `é` may be the name of another schema.
///
/// # Errors
/// The input is no binlog that can be read, or fails.
pub fn pipe_hazard(
    input: &mut dyn Read,
    (from, until): (u64, u64),
    session: &mut PipeSession,
) -> Result<Option<PipeHazard>, BinlogError> {
    session.database = None;
    session.short_time = None;
    session.group = Group::default();
    let mut reader = EventReader::new(input);
    let Opened { head, damage, .. } = open(&mut reader)?;
    if let Some(damage) = damage {
        return Err(BinlogError::HeadDamaged { damage });
    }
    if let Some(problem) = line_in("the server's version", head.server_version.as_bytes()) {
        return Ok(Some(PipeHazard { at: 4, problem, statement: None }));
    }
    session.flavor = head.flavor;
    reader.stream();
    loop {
        if reader.offset() >= until {
            return Ok(session.end());
        }
        let mut event = match reader.next()? {
            Frame::Event(event) => event,
            Frame::End => return Ok(session.end()),
            Frame::Damaged(damage) => return Ok(Some(damaged(&damage))),
        };
        let at = event.at;
        if at >= from {
            let charset = session.charset;
            let found = match event.header.event_type {
                event_type::TRANSACTION_PAYLOAD => payload(&mut event.body, session),
                kind => look(kind, &event.header, &mut event.body, session),
            };
            if let Some(short) = session.short_time.as_mut().filter(|short| short.end == 0) {
                (short.at, short.end) = (at, at + u64::from(event.header.length));
            }
            if session.charset != charset {
                session.binary_since = (session.charset == BINARY).then_some(at);
            }
            match found {
                Some(Ok(())) => {}
                Some(Err((problem, statement))) => return Ok(Some(PipeHazard { at, problem, statement })),
                None => {
                    let problem = "an event cannot be read".to_owned();
                    return Ok(Some(PipeHazard { at, problem, statement: None }));
                }
            }
        }
        if let Some(damage) = event.finish()? {
            return Ok(Some(damaged(&damage)));
        }
    }
}

fn damaged(damage: &Damage) -> PipeHazard {
    PipeHazard { at: damage.at, problem: format!("the binlog is damaged: {damage}"), statement: None }
}

/// What is wrong, and with which statement. `None`: it cannot be read.
type Looked = Option<Result<(), (String, Option<String>)>>;

fn payload(body: &mut Body<'_, '_>, session: &mut PipeSession) -> Looked {
    let mut input = open_payload(body)?;
    let mut reader = EventReader::of_payload(&mut *input);
    loop {
        let mut event = match reader.next().ok()? {
            Frame::Event(event) => event,
            Frame::End => return Some(Ok(())),
            Frame::Damaged(_) => return None,
        };
        if let Err(problem) = look(event.header.event_type, &event.header, &mut event.body, session)? {
            return Some(Err(problem));
        }
        if event.finish().ok()?.is_some() {
            return None;
        }
    }
}

fn look<S: Source + Read>(kind: u8, header: &EventHeader, body: &mut S, session: &mut PipeSession) -> Looked {
    let problem = match kind {
        event_type::TABLE_MAP => {
            body.skip(6 + 2)?;
            let database = name(body)?;
            body.skip(1)?;
            let table = name(body)?;
            body.skip(1)?;
            let sequence = is_sequence(body)?.then(|| String::from_utf8_lossy(&table).into_owned());
            line_in("a schema's name", &database)
                .or(line_in("a table's name", &table))
                .or_else(|| session.group.takes_part(sequence))
        }
        event_type::MARIADB_GTID => {
            session.group = Group { mariadb: true, ..Group::default() };
            None
        }
        event_type::QUERY | event_type::EXECUTE_LOAD_QUERY | event_type::QUERY_COMPRESSED => {
            return query(kind, header, body, session);
        }
        event_type::USER_VAR => {
            let length = body.u32()? as usize;
            let name = body.chunk(length.min(1 << 16))?;
            quoted("a variable's name", name).or_else(|| session.misread("a variable's name", name))
        }
        event_type::ROTATE => {
            body.skip(8)?;
            line_in("a binlog's name", &rest(body)?)
        }
        event_type::INCIDENT => {
            body.skip(2)?;
            line_in("an incident's message", &rest(body)?)
        }
        BINLOG_CHECKPOINT => {
            body.skip(4)?;
            line_in("a binlog's name", &rest(body)?)
        }
        event_type::IGNORABLE => line_in("an event's text", &rest(body)?),
        // The rest is printed as numbers, in hexadecimal digits or base64, or line by line behind a comment sign.
        _ => None,
    };
    Some(problem.map_or(Ok(()), |problem| Err((problem, None))))
}

/// What a transaction holds.
#[derive(Debug, Default)]
struct Group {
    /// It is one of MariaDB's.
    mariadb: bool,
    /// The first sequence whose rows are in it.
    sequence: Option<String>,
    /// How many statements and tables there are.
    parts: u32,
}

impl Group {
    /// Takes the next statement or table, which may be a sequence.
    ///
    /// What MariaDB's reader prints of a sequence's row is a statement that commits, with all that came before (seen with 10.11.19): a
    /// client makes two transactions of one, and the second one gets another GTID.
    fn takes_part(&mut self, sequence: Option<String>) -> Option<String> {
        if !self.mariadb {
            return None;
        }
        self.parts += 1;
        self.sequence = self.sequence.take().or(sequence);
        let name = self.sequence.as_ref().filter(|_| self.parts > 1)?;
        Some(format!(
            "a transaction holds a number of the sequence {}, which a client would commit by itself",
            Printable(name)
        ))
    }
}

/// Whether a statement only ends a transaction.
fn is_end(text: &[u8]) -> bool {
    [&b"COMMIT"[..], b"ROLLBACK", b"BEGIN"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a table has the columns of MariaDB's sequences: four of one type of whole numbers (next, least, greatest and first value; BIGINT,
/// others from 11.5 on), BIGINT twice (increment, cache), TINYINT and BIGINT (cycle), as `sql_sequence.cc` defines them. An ordinary table may have
/// them too.
fn is_sequence<S: Source>(body: &mut S) -> Option<bool> {
    const TINY: u8 = 1;
    const SHORT: u8 = 2;
    const LONG: u8 = 3;
    const LONGLONG: u8 = 8;
    const INT24: u8 = 9;
    let columns = body.packed()?;
    if columns != 8 {
        return Some(false);
    }
    Some(match body.chunk(8)? {
        [next, least, greatest, first, LONGLONG, LONGLONG, TINY, LONGLONG] => {
            matches!(*next, TINY | SHORT | LONG | LONGLONG | INT24)
                && [least, greatest, first].iter().all(|kind| *kind == next)
        }
        _ => false,
    })
}

/// MariaDB's note of the oldest binlog that a recovery needs.
const BINLOG_CHECKPOINT: u8 = 161;

fn query<S: Source + Read>(kind: u8, header: &EventHeader, body: &mut S, session: &mut PipeSession) -> Looked {
    // Session, execution time.
    body.skip(4 + 4)?;
    let database = usize::from(body.u8()?);
    // Error.
    body.skip(2)?;
    let status = usize::from(body.u16()?);
    if kind == event_type::EXECUTE_LOAD_QUERY {
        body.skip(4 + 4 + 4 + 1)?;
    }
    let status = body.chunk(status)?;
    let reading = Reading::of_status(session.flavor, status);
    let status = Status::read(status);
    if status.time_zone.is_some_and(|zone| zone.iter().any(|byte| byte.is_ascii_control() || b"'\\".contains(byte))) {
        return Some(Err(("the name of a time zone has a quote or a control character".into(), None)));
    }
    if let Some(microseconds) = status.microseconds.filter(|found| (1..100_000).contains(found)) {
        // Its place is known where the event is.
        let time = ShortTime { at: 0, end: 0, seconds: header.time, microseconds };
        session.short_time.get_or_insert(time);
    }
    let database = body.chunk(database)?.to_vec();
    body.skip(1)?;
    if let Some(problem) = quoted("a schema's name", &database) {
        return Some(Err((problem, None)));
    }
    // The reader leaves the schema out where the event says so, and where it printed the same one before.
    if header.suppresses_use() {
        session.database = None;
    } else {
        if session.database.as_ref() != Some(&database)
            && let Some(problem) = session.misread("a schema's name", &database)
        {
            return Some(Err((problem, None)));
        }
        session.database = Some(database);
    }
    session.sql_mode = status.sql_mode.or(session.sql_mode);
    session.charset = status.charset.unwrap_or(session.charset);
    if body.remaining() > LONGEST_STATEMENT {
        return None;
    }
    let text = if kind == event_type::QUERY_COMPRESSED {
        let mut opened = open_compressed(body)?;
        if opened.remaining() > LONGEST_STATEMENT {
            return None;
        }
        rest(&mut opened)?
    } else {
        rest(body)?
    };
    if !is_end(&text)
        && let Some(problem) = session.group.takes_part(None)
    {
        return Some(Err((problem, None)));
    }
    let told = || String::from_utf8_lossy(text.get(..TOLD).unwrap_or(&text)).into_owned();
    if let Err(doubt) = client_lexer::check(&text, session.reading()) {
        return Some(Err((format!("a statement could end elsewhere for the client: {doubt}"), Some(told()))));
    }
    // The beginning suffices for what it defines.
    let usual = || String::from_utf8_lossy(&reading.usual(text.get(..STATEMENT_CAP).unwrap_or(&text))).into_owned();
    if let Accounts::Lost { server_id: Some(own) } = session.accounts
        && own != header.server_id
        && defines_event(&usual())
    {
        // Whoever applied it has disabled the event, and noted whose it is.
        let problem = format!(
            "a statement makes or changes an event of server {}, which a client would take for its own server's",
            header.server_id
        );
        return Some(Err((problem, Some(told()))));
    }
    Some(match status.invoker {
        // A reader prints nothing of it: the client's own account would be taken.
        Some((user, host)) if session.accounts != Accounts::Kept && !names_definer(&told()) => {
            let account = format!("{user}@{host}");
            let problem = format!("a statement goes by the account that ran it, {}", Printable(&account));
            Err((problem, Some(told())))
        }
        _ => Ok(()),
    })
}

/// Whether a statement makes or changes something and says whose the object is: servers write so into the log what the client left out.
fn names_definer(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_uppercase();
    matches!(first.as_str(), "CREATE" | "ALTER")
        && words.take(5).any(|word| word.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("DEFINER=")))
}

impl PipeSession {
    fn reading(&self) -> ClientReading {
        ClientReading {
            plain_backslash: self.sql_mode.map(|mode| mode & NO_BACKSLASH_ESCAPES != 0),
            ansi_quotes: self.sql_mode.map(|mode| mode & ANSI_QUOTES != 0),
            multibyte: Letters::of(self.charset).hide_signs(),
            plain_m: self.flavor == LogFlavor::Mysql,
        }
    }

    /// What is behind the last event that a reader prints of a file: it goes back to the usual delimiter.
    fn end(&self) -> Option<PipeHazard> {
        let at = self.binary_since.filter(|_| self.flavor == LogFlavor::Mysql)?;
        let problem = "the session has the character set binary at the end: MySQL's client does not know the reader's \
                       DELIMITER then, which is no statement"
            .to_owned();
        Some(PipeHazard { at, problem, statement: None })
    }

    /// A name in UTF-8 that the session would read as another one.
    fn misread(&self, what: &str, name: &[u8]) -> Option<String> {
        let plain = if self.charset < 2048 { self.charset & 1023 } else { self.charset };
        // swe7 alone reads signs of ASCII as letters (collations 10 and 82; of all client character sets of MariaDB 10.11).
        let swedish = matches!(plain, 10 | 82) && name.iter().any(|byte| b"@[\\]^`{|}~".contains(byte));
        let other = !name.is_ascii() && !is_utf8(self.charset) && self.charset != BINARY;
        (other || swedish).then(|| {
            let name = String::from_utf8_lossy(name);
            format!("{what} is printed before its statement's character set, and would be another one in that of the statement before: {}", Printable(&name))
        })
    }
}

/// The collation that stands for utf8mb4 in a log where nothing else is known.
const UTF8MB4_GENERAL_CI: u16 = 45;

/// The collation of the character set `binary`, in which letters have no case. MySQL's client knows its commands in small letters there
/// (seen with 9.7.4), and its binlog reader prints `DELIMITER`. MariaDB's client goes by latin1. A server takes texts in it as they are: the bytes
/// of a name stay those that were logged (a schema behind `use`, a variable behind `SET`; seen with the servers of MariaDB 10.11 and MySQL 9.7, and
/// with their clients and that of MariaDB 11.8).
const BINARY: u16 = 63;

/// Whether this is the number of a collation of utf8mb3 or utf8mb4, of both vendors (`information_schema.COLLATIONS` of
/// MariaDB 10.11 and 11.8, MySQL 9.7; those from 2048 on are MariaDB's later UCA 14.0.0, whose first 512 are these two). What is not known is none.
fn is_utf8(collation: u16) -> bool {
    // MariaDB's without padding are numbered 1024 higher; its UCA 14.0.0 begins at 2048.
    let plain = if collation < 2048 { collation & 1023 } else { collation };
    matches!(plain, 33 | 45 | 46 | 76 | 83 | 192..=215 | 223..=247 | 255..=323 | 576..=579 | 608..=611 | 2048..=2559)
}

fn name<S: Source>(body: &mut S) -> Option<Vec<u8>> {
    let length = usize::from(body.u8()?);
    Some(body.chunk(length)?.to_vec())
}

fn rest<S: Source>(body: &mut S) -> Option<Vec<u8>> {
    let length = usize::try_from(body.remaining()).ok()?;
    Some(body.chunk(length)?.to_vec())
}

/// A text that is printed as it is must not end the line.
fn line_in(what: &str, text: &[u8]) -> Option<String> {
    let ends = text.iter().any(|byte| matches!(byte, b'\n' | b'\r' | 0));
    ends.then(|| format!("{what} has a line end or a zero in it: {}", Printable(&String::from_utf8_lossy(text))))
}

/// A name that is printed in backticks: some clients take a backslash before one for an escape.
fn quoted(what: &str, name: &[u8]) -> Option<String> {
    let ends = name.ends_with(b"\\") || name.windows(2).any(|pair| pair == b"\\`");
    ends.then(|| format!("{what} has a backslash at its end: {}", Printable(&String::from_utf8_lossy(name))))
}
