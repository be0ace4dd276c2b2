//! Groups the events of a binlog to transactions.

use super::ddl::{Action, parse};
use super::decode::Content;
use super::directories::Outside;
use super::error::{Damage, DamageKind};
use super::format::LogFlavor;
use super::gtid_events::GtidEvent;
use super::header::EventHeader;
use super::session::SessionTables;
use super::statement::{QueryEvent, StatementKind, XaId, classify};
use super::tables::{Contents, TableChange};
use super::untold::Untold;
use crate::model::Gtid;

/// One transaction of a binlog, or one statement that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its GTID; `None` in a MySQL log that was written without GTIDs.
    pub gtid: Option<Gtid>,
    /// Offset of its first event.
    pub start: u64,
    /// Offset after its last event.
    pub end: u64,
    /// When it happened.
    pub time: TransactionTime,
    /// The tables that it changes, in the order of their first change.
    pub tables: Vec<TableChange>,
    /// Whether more tables are changed than `tables` lists: too many to keep, or events that cannot be read.
    pub more_tables: bool,
    /// Its first statement as text, cut to 8 KiB: the query itself, or what the server logged beside row events.
    pub statement: Option<String>,
    /// How it ends.
    pub end_kind: EndKind,
    /// Whether it holds row events.
    pub has_rows: bool,
    /// Whether it was logged compressed (a Transaction_payload event).
    pub compressed: bool,
    /// The name of the XA transaction that it prepares, commits or rolls back.
    pub xa: Option<XaId>,
    /// The error that a statement in it is expected to end with; 0 for none.
    pub error_code: u16,
    /// Whether a part of it was taken back (`ROLLBACK TO SAVEPOINT`) and is in it all the same: the rows that it holds are more than
    /// those that stayed. Not known of a transaction that comes from an index.
    pub taken_back: bool,
    /// Whether it ends with a logged COMMIT, and not with the commit of an engine: it changed tables without transactions alone. Not
    /// known of a transaction that comes from an index.
    pub plain_commit: bool,
    /// The id of the server that first logged it; 0 where it comes from an index.
    pub server_id: u32,
    /// The session that ran its statements; `None` where it holds none, or comes from an index.
    pub session: Option<SessionTables>,
    /// Where a statement of it puts files, if that is outside of a server's data directory. Not known of a transaction that comes from
    /// an index.
    pub outside: Option<Outside>,
    /// What the log does not tell of a statement of it. Not known of a transaction that comes from an index.
    pub untold: Option<Untold>,
    /// Whether a logged statement of it writes rows, or calls something that may: what came of it is in no log. Not known of a
    /// transaction that comes from an index.
    pub by_statement: bool,
    /// Whether it sets a user variable whose name begins with a blank or a control character: MySQL's applier would set another one. Not
    /// known of a transaction that comes from an index.
    pub renames_variable: bool,
}

/// When a transaction happened, as far as the log says. Stamps are the servers' own clocks', a client may have set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TransactionTime {
    /// The latest stamp in its events' headers, seconds since 1970, UTC: the start of a statement, not the commit.
    pub header_max: u32,
    /// Commit on the server where it was first executed, microseconds since 1970, UTC (MySQL 8.0 and later).
    pub original_commit: Option<u64>,
    /// Commit on the server that wrote this log, microseconds since 1970, UTC (MySQL 8.0 and later).
    pub immediate_commit: Option<u64>,
}

impl TransactionTime {
    /// When it was committed, on the server where it was first executed if that is known (microseconds since 1970, UTC).
    pub fn commit(&self) -> Option<u64> {
        self.original_commit.or(self.immediate_commit)
    }
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndKind {
    /// With its commit.
    Commit,
    /// With a rollback: it changed tables that cannot be rolled back, or is logged for another reason.
    Rollback,
    /// It is one data definition statement.
    Ddl,
    /// It is one other statement, or the row events of one, without BEGIN and COMMIT.
    Statement,
    /// It prepares an XA transaction: what it changes takes effect with a later [`EndKind::XaCommit`].
    XaPrepare,
    /// It commits an XA transaction that was prepared before.
    XaCommit,
    /// It rolls back an XA transaction that was prepared before.
    XaRollback,
    /// It stands for changes that the server lost.
    Incident,
    /// It was logged compressed, in a form that this reader cannot open.
    Payload,
}

/// An incident: the server tells that it did not log something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Offset of the event.
    pub at: u64,
    /// The server's number for what happened; 1 is lost events.
    pub number: u16,
    /// The server's message.
    pub message: String,
}

impl Transaction {
    /// Whether it holds nothing that could change anything: savepoints and its commit alone. MariaDB logs so what is left
    /// of a transaction after `ROLLBACK TO SAVEPOINT`.
    pub fn is_empty(&self) -> bool {
        let commits = matches!(self.end_kind, EndKind::Commit);
        let changes = self.has_rows || self.more_tables || !self.tables.is_empty();
        commits && !changes && self.statement.is_none() && self.xa.is_none()
    }
}

/// The transaction that is being read.
#[derive(Debug)]
struct Open {
    start: u64,
    gtid: Option<Gtid>,
    time: TransactionTime,
    /// It ends with a commit or the like; else with the first statement.
    begun: bool,
    contents: Contents,
    compressed: bool,
    xa: Option<XaId>,
    error_code: u16,
    taken_back: bool,
    plain_commit: bool,
    server_id: u32,
}

/// Collects events until a transaction is whole.
#[derive(Debug)]
pub(super) struct Grouper {
    flavor: LogFlavor,
    open: Option<Open>,
    /// Empty, with the memory of what was in it before.
    spare: Contents,
}

impl Grouper {
    pub(super) fn new(flavor: LogFlavor) -> Self {
        Grouper { flavor, open: None, spare: Contents::default() }
    }

    /// Where the open transaction began.
    pub(super) fn open_since(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.start)
    }

    /// What the open transaction holds so far.
    pub(super) fn contents(&self) -> &Contents {
        self.open.as_ref().map_or(&self.spare, |open| &open.contents)
    }

    /// Takes an event that is part of a transaction, or may be; returns the transaction that it completes.
    pub(super) fn feed(
        &mut self,
        header: &EventHeader,
        at: u64,
        end: u64,
        content: Content,
    ) -> Result<Option<Transaction>, Damage> {
        let finished = match content {
            Content::Gtid(gtid) => {
                self.begin(header, at, gtid)?;
                None
            }
            Content::Begin => {
                self.begin_statement(header, at, None)?;
                None
            }
            Content::Query(query) => self.query(header, at, &query)?,
            Content::LoadQuery(query) => {
                let open = self.opened(at);
                open.contents.add_query(&query, &parse(&query.text));
                open.note_error(query.error_code);
                open.unless_begun(EndKind::Statement)
            }
            Content::Xid => {
                self.expect_open(header, at)?;
                Some(EndKind::Commit)
            }
            Content::XaPrepare { one_phase, xa } => {
                self.expect_open(header, at)?.xa = Some(xa);
                Some(if one_phase { EndKind::Commit } else { EndKind::XaPrepare })
            }
            Content::LoadBlock => {
                self.opened(at);
                None
            }
            Content::Rows(rows) => {
                let open = self.opened(at);
                let ends = rows.is_none_or(|rows| rows.ends_statement);
                open.contents.add_event(content);
                if ends { open.unless_begun(EndKind::Statement) } else { None }
            }
            Content::Text(_) | Content::TableMap(_) | Content::Variable { .. } => {
                self.opened(at).contents.add_event(content);
                None
            }
            Content::Payload(payload) => {
                let open = self.opened(at);
                open.compressed = true;
                open.contents.add_all(payload.contents);
                open.note_error(payload.error_code);
                open.taken_back |= payload.taken_back;
                open.time.header_max = open.time.header_max.max(payload.header_max);
                open.unless_begun(payload.end_kind)
            }
            Content::Incident { message, .. } => {
                let open = self.opened(at);
                open.contents.add_text(&message);
                Some(EndKind::Incident)
            }
            Content::Rotate { .. } | Content::Stop | Content::OutOfPlace | Content::Other => None,
        };
        if let Some(open) = &mut self.open {
            open.time.header_max = open.time.header_max.max(header.time);
            open.server_id = header.server_id;
        }
        let Some((end_kind, open)) = finished.and_then(|end_kind| Some((end_kind, self.open.take()?))) else {
            return Ok(None);
        };
        let (transaction, contents) = open.close(end, end_kind);
        self.spare = contents;
        Ok(Some(transaction))
    }

    /// Takes a transaction back that nobody needs any more.
    pub(super) fn reuse(&mut self, transaction: Transaction) {
        self.spare.reuse(transaction.tables);
    }

    fn begin(&mut self, header: &EventHeader, at: u64, event: GtidEvent) -> Result<(), Damage> {
        self.expect_none(header, at)?;
        let open = self.opened(at);
        open.gtid = event.gtid;
        open.time.original_commit = event.original_commit;
        open.time.immediate_commit = event.immediate_commit;
        open.begun = event.has_end;
        open.xa = event.xa;
        Ok(())
    }

    /// Takes a BEGIN, or an XA START with the transaction's name.
    fn begin_statement(&mut self, header: &EventHeader, at: u64, xa: Option<XaId>) -> Result<(), Damage> {
        // MariaDB's GTID events begin a transaction by themselves; what follows is the XA START in it.
        if self.flavor == LogFlavor::Mysql && self.open.as_ref().is_some_and(|open| open.begun) {
            self.expect_none(header, at)?;
        }
        let open = self.opened(at);
        open.begun = true;
        open.xa = xa.or(open.xa.take());
        Ok(())
    }

    fn query(&mut self, header: &EventHeader, at: u64, query: &QueryEvent) -> Result<Option<EndKind>, Damage> {
        Ok(match classify(&query.text) {
            StatementKind::Begin(xa) => {
                self.begin_statement(header, at, xa)?;
                None
            }
            StatementKind::Commit => {
                self.opened(at).plain_commit = true;
                Some(EndKind::Commit)
            }
            StatementKind::Rollback => {
                self.opened(at);
                Some(EndKind::Rollback)
            }
            StatementKind::XaCommit(xa) => {
                self.opened(at).xa = Some(xa);
                Some(EndKind::XaCommit)
            }
            StatementKind::XaRollback(xa) => {
                self.opened(at).xa = Some(xa);
                Some(EndKind::XaRollback)
            }
            StatementKind::XaEnd | StatementKind::Savepoint => None,
            StatementKind::RollbackTo => {
                self.opened(at).taken_back = true;
                None
            }
            StatementKind::Other(named) => {
                let open = self.opened(at);
                open.contents.add_query(query, &named);
                open.note_error(query.error_code);
                open.unless_begun(match named.action {
                    Action::Ddl(_) => EndKind::Ddl,
                    Action::Dml(_) | Action::Unknown => EndKind::Statement,
                })
            }
        })
    }

    /// The open transaction, or one that begins here without a GTID event.
    fn opened(&mut self, at: u64) -> &mut Open {
        self.open.get_or_insert_with(|| Open::at(at, std::mem::take(&mut self.spare)))
    }

    fn expect_open(&mut self, header: &EventHeader, at: u64) -> Result<&mut Open, Damage> {
        self.open.as_mut().ok_or(Damage {
            at,
            what: DamageKind::OutOfPlace,
            expected: 0,
            found: header.event_type.into(),
        })
    }

    fn expect_none(&self, header: &EventHeader, at: u64) -> Result<(), Damage> {
        match &self.open {
            None => Ok(()),
            Some(open) => {
                Err(Damage { at, what: DamageKind::Unfinished, expected: open.start, found: header.event_type.into() })
            }
        }
    }
}

impl Open {
    fn at(start: u64, contents: Contents) -> Self {
        Open {
            start,
            gtid: None,
            time: TransactionTime::default(),
            begun: false,
            contents,
            compressed: false,
            xa: None,
            error_code: 0,
            taken_back: false,
            plain_commit: false,
            server_id: 0,
        }
    }

    fn unless_begun(&self, end_kind: EndKind) -> Option<EndKind> {
        (!self.begun).then_some(end_kind)
    }

    fn note_error(&mut self, error_code: u16) {
        if self.error_code == 0 {
            self.error_code = error_code;
        }
    }

    /// The transaction, and what held its contents.
    fn close(mut self, end: u64, end_kind: EndKind) -> (Transaction, Contents) {
        let transaction = Transaction {
            gtid: self.gtid,
            start: self.start,
            end,
            time: self.time,
            tables: std::mem::take(&mut self.contents.changes),
            more_tables: self.contents.more_tables,
            statement: self.contents.statement.take(),
            end_kind,
            has_rows: self.contents.has_rows,
            compressed: self.compressed,
            xa: self.xa,
            error_code: self.error_code,
            taken_back: self.taken_back,
            plain_commit: self.plain_commit,
            server_id: self.server_id,
            session: self.contents.session.take(),
            outside: self.contents.outside.take(),
            untold: self.contents.untold,
            by_statement: self.contents.by_statement,
            renames_variable: self.contents.renames_variable,
        };
        (transaction, self.contents.emptied())
    }
}
