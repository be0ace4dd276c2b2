//! Events that hold SQL: which transaction they begin or end, which tables and objects they name.

use super::ddl::{self, Named};
use super::directories::{Outside, may_put_files, puts_outside};
use super::format::LogFlavor;
use super::source::Source;
use super::untold::{Untold, may_be_untold, untold};
use super::usual_text::Reading;
use std::fmt;

/// The most bytes of a statement that are kept.
pub(super) const STATEMENT_CAP: usize = 8 << 10;
/// How much of a statement is looked through for directories. Servers take a table's definition of about 16 MiB at most: 4096
/// columns, each with a comment and a default.
const WHOLE_CAP: usize = 32 << 20;

/// What a query event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QueryEvent {
    /// The session that ran the statement: temporary tables are its own.
    pub(super) thread: u32,
    /// The default database.
    pub(super) database: String,
    /// Whether it depends on what only its session has: temporary tables, or the session's number
    /// (`LOG_EVENT_THREAD_SPECIFIC_F` in the event's header, both vendors).
    pub(super) own: bool,
    /// The error that the statement is expected to end with; 0 for none.
    pub(super) error_code: u16,
    /// How the session had its statements read.
    pub(super) reading: Reading,
    /// The statement in the usual reading, cut to [`STATEMENT_CAP`].
    pub(super) text: String,
    /// Where the whole statement puts files, if that is outside of the data directory.
    pub(super) outside: Option<Outside>,
    /// What the log does not tell of the whole statement.
    pub(super) untold: Option<Untold>,
}

/// A statement as it is read out of an event's body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ReadStatement {
    /// The text in the usual reading, cut to [`STATEMENT_CAP`].
    pub(super) text: String,
    /// Where the whole of it puts files, if that is outside of the data directory.
    pub(super) outside: Option<Outside>,
    /// What the log does not tell of it, as far as it is looked through.
    pub(super) untold: Option<Untold>,
}

impl QueryEvent {
    /// Takes the statement that was read.
    pub(super) fn take(&mut self, statement: ReadStatement) {
        let ReadStatement { text, outside, untold } = statement;
        (self.text, self.outside, self.untold) = (text, outside, untold);
    }
}

/// What a statement means for the transaction that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatementKind {
    /// `BEGIN`, or `XA START` with the transaction's name.
    Begin(Option<XaId>),
    /// `COMMIT`.
    Commit,
    /// `ROLLBACK`, but not `ROLLBACK TO`.
    Rollback,
    /// `XA END`, which comes before the XA_prepare event.
    XaEnd,
    /// `XA COMMIT` of a prepared transaction.
    XaCommit(XaId),
    /// `XA ROLLBACK` of a prepared transaction.
    XaRollback(XaId),
    /// `SAVEPOINT`.
    Savepoint,
    /// `ROLLBACK TO`: it takes a part of the transaction back.
    RollbackTo,
    /// Anything else, with what it names.
    Other(Named),
}

/// The name of an XA transaction as the servers log it: `X'677472',X'6271',1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XaId(String);

impl XaId {
    /// Puts the name together from its binary parts; `data` is the global part and then the branch.
    pub(super) fn from_parts(format: u32, data: &[u8], global: usize) -> Self {
        let (global, branch) = data.split_at_checked(global).unwrap_or((data, &[]));
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        XaId(format!("X'{}',X'{}',{format}", hex(global), hex(branch)))
    }

    /// Takes the name out of a statement, after its keywords.
    fn from_text(text: &str) -> Self {
        let text = text.trim();
        // Both servers write the digits in lower case; make sure of it, since names are compared.
        XaId(text.to_ascii_lowercase().replace("x'", "X'"))
    }

    /// A name that was read from a log before.
    pub(crate) fn of_index(text: String) -> Self {
        XaId(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for XaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads the body of a Query event.
pub(super) fn parse_query<S: Source>(body: &mut S, flavor: LogFlavor) -> Option<QueryEvent> {
    let (mut event, status) = parse_post_header(body)?;
    finish_query(body, &mut event, status, flavor)?;
    event.take(read_statement(body, event.reading)?);
    Some(event)
}

/// Whether the body of a Query event holds the word BEGIN as the servers write it, as every transaction with rows does.
pub(super) fn is_begin<S: Source>(body: &S) -> bool {
    let text = |mut rest: &[u8]| {
        let (_, lengths) = parse_post_header(&mut rest)?;
        rest.skip(lengths.status)?;
        rest.skip(lengths.database as u64 + 1)?;
        Some(rest == b"BEGIN")
    };
    body.in_memory().and_then(text).unwrap_or(false)
}

/// Reads the body of an Execute_load_query event: a query whose file came with the events before.
pub(super) fn parse_load_query<S: Source>(body: &mut S, flavor: LogFlavor) -> Option<QueryEvent> {
    let (mut event, status) = parse_post_header(body)?;
    // File id, where its name stands in the statement, how duplicates are handled.
    body.skip(4 + 4 + 4 + 1)?;
    finish_query(body, &mut event, status, flavor)?;
    event.take(read_statement(body, event.reading)?);
    Some(event)
}

/// Reads a query event up to its text, which the caller reads; used for MariaDB's compressed ones.
pub(super) fn parse_query_head<S: Source>(body: &mut S, flavor: LogFlavor) -> Option<QueryEvent> {
    let (mut event, status) = parse_post_header(body)?;
    finish_query(body, &mut event, status, flavor)?;
    Some(event)
}

/// The lengths that the post-header holds.
struct Lengths {
    database: usize,
    status: u64,
}

fn parse_post_header<S: Source>(body: &mut S) -> Option<(QueryEvent, Lengths)> {
    let thread = body.u32()?;
    // Execution time.
    body.skip(4)?;
    let database = usize::from(body.u8()?);
    let error_code = body.u16()?;
    let status = u64::from(body.u16()?);
    let event = QueryEvent {
        thread,
        own: false,
        database: String::new(),
        error_code,
        reading: Reading::default(),
        text: String::new(),
        outside: None,
        untold: None,
    };
    Some((event, Lengths { database, status }))
}

fn finish_query<S: Source>(body: &mut S, event: &mut QueryEvent, lengths: Lengths, flavor: LogFlavor) -> Option<()> {
    event.reading = Reading::of_status(flavor, body.chunk(usize::try_from(lengths.status).ok()?)?);
    event.database = String::from_utf8_lossy(body.chunk(lengths.database)?).into_owned();
    // The zero after the name.
    body.skip(1)
}

/// Reads what is left of a body as a statement, of which the text is cut and the whole is looked through.
pub(super) fn read_statement<S: Source>(body: &mut S, reading: Reading) -> Option<ReadStatement> {
    if body.remaining() <= STATEMENT_CAP as u64 {
        let usual = reading.usual(read_beginning(body)?);
        // What is rewritten may be longer.
        let whole = (usual.len() > STATEMENT_CAP).then(|| String::from_utf8_lossy(&usual).into_owned());
        let text = capped(&usual);
        let looked_at = whole.as_ref().unwrap_or(&text);
        let outside = puts_outside(looked_at);
        let untold = Some(looked_at).filter(|text| may_be_untold(text)).and_then(|text| untold(text));
        return Some(ReadStatement { text, outside, untold });
    }
    let mut whole = Vec::new();
    while body.remaining() > 0 && whole.len() < WHOLE_CAP {
        whole.extend_from_slice(read_beginning(body)?);
    }
    let text = capped(&reading.usual(whole.get(..STATEMENT_CAP).unwrap_or(&whole)));
    let whole = reading.usual(&whole);
    let whole = String::from_utf8_lossy(&whole);
    let cut = body.remaining() > 0;
    let outside = may_put_files(&text).then(|| puts_outside(&whole).or_else(|| cut.then_some(Outside::Unread)));
    let untold = Some(&whole).filter(|whole| may_be_untold(whole)).and_then(|whole| untold(whole));
    Some(ReadStatement { text, outside: outside.flatten(), untold })
}

/// Reads what is left of a body as text, cut to [`STATEMENT_CAP`].
pub(super) fn read_text<S: Source>(body: &mut S) -> Option<String> {
    read_beginning(body).map(capped)
}

/// At most [`STATEMENT_CAP`] bytes.
fn read_beginning<S: Source>(body: &mut S) -> Option<&[u8]> {
    let count = usize::try_from(body.remaining()).unwrap_or(STATEMENT_CAP).min(STATEMENT_CAP);
    body.chunk(count)
}

/// Bytes as text, cut to [`STATEMENT_CAP`] bytes of them.
fn capped(bytes: &[u8]) -> String {
    let bytes = bytes.get(..STATEMENT_CAP).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // The cut may have gone through a character.
        Err(error) if error.error_len().is_none() => {
            String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default()).into_owned()
        }
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Reads the body of an XA_prepare event: whether it commits at once, and the name.
pub(super) fn parse_xa_prepare<S: Source>(body: &mut S) -> Option<(bool, XaId)> {
    let one_phase = body.u8()? != 0;
    let format = body.u32()?;
    let (global, branch) = (body.u32()? as usize, body.u32()? as usize);
    // The servers allow 64 bytes for each part.
    if global > 64 || branch > 64 {
        return None;
    }
    Some((one_phase, XaId::from_parts(format, body.chunk(global + branch)?, global)))
}

/// Reads the body of an Incident event: its number and message.
pub(super) fn parse_incident<S: Source>(body: &mut S) -> Option<(u16, String)> {
    let number = body.u16()?;
    let length = usize::from(body.u8()?);
    Some((number, String::from_utf8_lossy(body.chunk(length)?).into_owned()))
}

/// Tells what a statement means for its transaction.
pub(super) fn classify(text: &str) -> StatementKind {
    // The servers write these themselves, in this form; a client's own words for them are not logged.
    match text {
        "BEGIN" => return StatementKind::Begin(None),
        "COMMIT" => return StatementKind::Commit,
        "ROLLBACK" => return StatementKind::Rollback,
        _ => {}
    }
    let after = |keywords: &str| {
        let start = text.get(..keywords.len())?;
        start.eq_ignore_ascii_case(keywords).then(|| text.get(keywords.len()..).unwrap_or_default())
    };
    if let Some(name) = after("XA START ").or_else(|| after("XA BEGIN ")) {
        StatementKind::Begin(Some(XaId::from_text(name)))
    } else if after("XA END ").is_some() {
        StatementKind::XaEnd
    } else if let Some(name) = after("XA COMMIT ") {
        StatementKind::XaCommit(XaId::from_text(name))
    } else if let Some(name) = after("XA ROLLBACK ") {
        StatementKind::XaRollback(XaId::from_text(name))
    } else if after("SAVEPOINT ").is_some() {
        StatementKind::Savepoint
    } else if after("ROLLBACK TO ").is_some() {
        StatementKind::RollbackTo
    } else if after("BEGIN").is_some_and(|rest| rest.trim().is_empty()) {
        StatementKind::Begin(None)
    } else if after("COMMIT").is_some_and(ends_word) {
        StatementKind::Commit
    } else if after("ROLLBACK").is_some_and(ends_word) {
        StatementKind::Rollback
    } else {
        StatementKind::Other(ddl::parse(text))
    }
}

fn ends_word(rest: &str) -> bool {
    !rest.starts_with(|char: char| char.is_alphanumeric() || char == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_begins_and_ends_a_transaction() {
        let xa = XaId("X'7831',X'',1".to_owned());
        for (text, kind) in [
            ("BEGIN", StatementKind::Begin(None)),
            ("begin ", StatementKind::Begin(None)),
            ("XA START X'7831',X'',1", StatementKind::Begin(Some(xa.clone()))),
            ("XA END X'7831',X'',1", StatementKind::XaEnd),
            ("XA COMMIT X'7831',X'',1", StatementKind::XaCommit(xa.clone())),
            ("XA ROLLBACK x'7831',X'',1", StatementKind::XaRollback(xa.clone())),
            ("COMMIT", StatementKind::Commit),
            ("ROLLBACK", StatementKind::Rollback),
            ("ROLLBACK TO `a`", StatementKind::RollbackTo),
            ("ROLLBACK /* added by mysqlbinlog */", StatementKind::Rollback),
            ("SAVEPOINT `a`", StatementKind::Savepoint),
        ] {
            assert_eq!(classify(text), kind, "{text}");
        }
        for text in ["BEGIN NOT ATOMIC", "COMMITTED", "insert into t values(1)", ""] {
            assert!(matches!(classify(text), StatementKind::Other(_)), "{text}");
        }
        assert_eq!(XaId::from_parts(1, b"x1", 2), xa);
    }

    #[test]
    fn cuts_a_long_statement_between_characters() {
        let text = format!("x{}", "ü".repeat(STATEMENT_CAP));
        let found = read_text(&mut text.as_bytes()).unwrap();
        assert!(text.starts_with(&found) && found.len() == STATEMENT_CAP - 1);
        assert_eq!(read_text(&mut &b"a\xffb"[..]).unwrap(), "a\u{fffd}b");
    }
}
