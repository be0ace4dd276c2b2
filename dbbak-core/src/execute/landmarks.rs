//! What stands along a window: where it ends, and the transactions that a replay must stop at.

use super::origins::Origins;
use crate::{
    binlog::{EndKind, Outside, Transaction, defines_event, demands},
    model::{BinlogName, BinlogPosition, Gtid, GtidSet, MariadbGtidState, MysqlGtidSet, Need},
    store::BinlogEntry,
    tools::xa_name,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
};

/// What stands along a window, noted while its files are read.
#[derive(Debug, Default)]
pub(super) struct Landmarks {
    /// Transactions to leave out that were not met yet.
    awaited: BTreeSet<Gtid>,
    /// What stands in the batch that is being read.
    batch: Marks,
    /// What the window's statements name that a server may lack, in upper case.
    named: BTreeSet<(Need, String)>,
    /// The transaction that was left out last.
    skipped: Option<Gtid>,
    /// Where each of those that are left out stands, and the end of its last group.
    left_out: BTreeMap<Gtid, (BinlogPosition, u64)>,
    /// MariaDB: the transactions that the server's own applier must not apply.
    pub(super) apart: BTreeSet<Gtid>,
    /// MariaDB: the last transaction of each domain in log order, whatever its number: server and number.
    pub(super) position: BTreeMap<u32, (u32, u64)>,
    /// MariaDB: what a binlog that follows the window would list as its history.
    pub(super) state: Option<MariadbGtidState>,
    /// MySQL: the GTIDs of the window.
    pub(super) executed: MysqlGtidSet,
    /// The latest time of any transaction, seconds since 1970, UTC.
    pub(super) newest: u64,
    /// The same without what the server's own applier does not apply.
    applied: BTreeMap<u32, (u32, u64)>,
    /// The place up to which a dead replay had applied the window.
    done_until: Option<BinlogPosition>,
    /// Something behind which nobody can say what a dead server had done.
    hindrance: Option<String>,
    /// The names of the XA transactions that the batch prepares, as their hashes.
    prepared: HashSet<u64>,
    /// Whether the file that is read prepares one under a name that was used before.
    name_used_again: bool,
    /// MySQL: the file that is read last, as far as it holds single statements alone.
    statements: Statements,
    /// Who wrote the file that is read.
    origins: Origins,
    /// XA transactions that the window prepares and does not end.
    xa_left: BTreeSet<String>,
    /// XA transactions that the window ends and did not prepare.
    xa_ended: BTreeSet<String>,
}

/// The window's transactions of a file that holds nothing but single statements.
///
/// MySQL looks through its relay logs, and takes out a last one in which it finds no whole transaction. It knows as one what begins with
/// BEGIN, and DDL that is atomic; not ANALYZE, FLUSH, REPAIR or the DDL of a MyISAM table (seen on 9.7.4).
#[derive(Debug, Default)]
struct Statements {
    file: Option<BinlogName>,
    /// `None`: there are others, or too many.
    all: Option<Vec<Apart>>,
    /// The end of what stands before them.
    before: Option<BinlogPosition>,
}

/// A statement of so many bytes may have been cut off (8 KiB are kept, less what stands in the way of a sign's end).
const SURELY_WHOLE: usize = (8 << 10) - 8;

/// The most statements of a file that go through the pipe one by one.
const MOST_STATEMENTS: usize = 200;

impl Statements {
    /// `for_the_applier`: nobody else can do what it says.
    fn see(
        &mut self,
        file: &BinlogName,
        (transaction, for_the_applier): (&Transaction, bool),
        before: Option<&BinlogPosition>,
    ) {
        if self.file.as_ref() != Some(file) {
            *self = Statements { file: Some(file.clone()), all: Some(Vec::new()), before: before.cloned() };
        }
        let single = matches!(transaction.end_kind, EndKind::Ddl | EndKind::Statement) && !transaction.has_rows;
        let single = single && !for_the_applier;
        // A temporary table is of one session, and each goes through the pipe in one of its own.
        let single = single && transaction.session.as_ref().is_none_or(|session| session.temporary.is_empty());
        let mysql = matches!(transaction.gtid, Some(Gtid::Mysql { .. }) | None);
        let (start, end) = (transaction.start, transaction.end);
        match &mut self.all {
            Some(all) if single && mysql && all.len() < MOST_STATEMENTS => {
                all.push(Apart { file: file.clone(), start, end, gtid: transaction.gtid.clone(), way: Way::Pipe });
            }
            all => *all = None,
        }
    }
}

/// What stands in one batch.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// The files.
    pub(super) files: Vec<BinlogName>,
    /// Transactions that the server's own applier must not apply, in log order.
    pub(super) apart: Vec<Apart>,
    /// The end of the last transaction.
    pub(super) end: Option<BinlogPosition>,
    /// The end of the last one that the applier reads a file for, where that is another: `Some(None)` where it reads none.
    pub(super) applied_end: Option<Option<BinlogPosition>>,
    /// What stands before the place up to which a dead replay had applied the window, where that is in this batch.
    pub(super) done: Option<Done>,
    /// Why a replay that dies in this batch or a later one cannot go on.
    pub(super) hindrance: Option<String>,
    /// What its statements name that a server may lack: name, and the first transaction that does.
    pub(super) demands: Vec<(Need, String, String)>,
    /// The files that MySQL may cut off or remove while it looks through them: those that prepare an XA transaction under a name that was
    /// used before, and a last one of single statements.
    pub(super) may_be_cut: BTreeSet<BinlogName>,
}

/// What a dead replay had done.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// MySQL: its GTIDs.
    pub(super) executed: MysqlGtidSet,
    /// MariaDB: the last transaction of each domain that its applier applied.
    pub(super) position: BTreeMap<u32, (u32, u64)>,
}

/// A transaction that the server's own applier must not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Apart {
    pub(super) file: BinlogName,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) gtid: Option<Gtid>,
    pub(super) way: Way,
}

/// What is done with a transaction that is treated apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is left out.
    LeftOut,
    /// It goes through the pipe.
    Pipe,
    /// The applier applies it with `NO_DIR_IN_CREATE` in its SQL mode; so too what follows it up to the end that is noted. An
    /// applier takes that of its own session alone and leaves the log's aside, and a routine keeps the mode that it was made in.
    NoDirectories,
}

impl Way {
    /// How a transaction has to be treated, unless it is simply applied. `piped`: it goes through the pipe.
    fn of(transaction: &Transaction, skipped: bool, piped: bool) -> Option<Self> {
        let definition = matches!(transaction.end_kind, EndKind::Ddl | EndKind::Statement);
        let logged = transaction.session.as_ref().is_some_and(|session| session.no_directories);
        match (skipped, piped) {
            (true, _) => Some(Way::LeftOut),
            (_, true) => Some(Way::Pipe),
            _ if (definition && logged) || needs_no_directories(transaction) => Some(Way::NoDirectories),
            _ => None,
        }
    }
}

/// Whether MySQL's applier would give a statement NULL for a user variable. A client gives it the value.
fn loses_variable(transaction: &Transaction) -> bool {
    transaction.renames_variable && !matches!(transaction.gtid, Some(Gtid::Mariadb { .. }))
}

/// Whether the applier would put files elsewhere, or note in the dictionary that it should have. MariaDB's private server leaves directories aside
/// by itself.
fn needs_no_directories(transaction: &Transaction) -> bool {
    let mysql = !matches!(transaction.gtid, Some(Gtid::Mariadb { .. }));
    mysql && matches!(transaction.outside, Some(Outside::Table(_) | Outside::Unread))
}

impl Marks {
    /// Takes the next transaction that is treated apart. Those that follow each other with directories left aside are one.
    fn set_apart(&mut self, apart: Apart) {
        let joins = |last: &&mut Apart| {
            last.file == apart.file
                && last.end == apart.start
                && (last.way, apart.way) == (Way::NoDirectories, Way::NoDirectories)
        };
        match self.apart.last_mut().filter(joins) {
            Some(last) => last.end = apart.end,
            None => self.apart.push(apart),
        }
    }

    /// The end of the last transaction that the server's applier reads a file for.
    pub(super) fn for_the_applier(&self) -> Option<&BinlogPosition> {
        match &self.applied_end {
            Some(end) => end.as_ref(),
            None => self.end.as_ref(),
        }
    }
}

impl Landmarks {
    /// Those of a window; of one that a dead replay had applied in part, up to where.
    pub(super) fn new(skip: &[Gtid], done_until: Option<BinlogPosition>) -> Self {
        Landmarks { awaited: skip.iter().cloned().collect(), done_until, ..Landmarks::default() }
    }

    /// Notes what stands before the place up to which a dead replay came, if that is here.
    fn note_done(&mut self, at: &BinlogPosition) {
        if self.done_until.as_ref() == Some(at) {
            self.batch.done = Some(Done { executed: self.executed.clone(), position: self.applied.clone() });
        }
    }

    /// The next file begins, with this history, written by this server.
    pub(super) fn begin(&mut self, entry: &BinlogEntry, origins: Origins) {
        self.origins = origins;
        if let Some(Ok(GtidSet::Mariadb(state))) = entry.gtids_before.as_deref().map(str::parse) {
            self.state = Some(state);
        }
    }

    /// Takes a transaction of the history, be it in the window or before it.
    pub(super) fn remember(&mut self, transaction: &Transaction) {
        if let (Some(state), Some(Gtid::Mariadb { domain, server, seq })) = (&mut self.state, &transaction.gtid) {
            state.insert(*domain, *server, *seq);
        }
        if let (EndKind::XaPrepare, Some(name)) = (transaction.end_kind, &transaction.xa) {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            self.name_used_again |= !self.prepared.insert(hasher.finish());
        }
    }

    /// Takes the next transaction of the window; whether it is to be left out.
    pub(super) fn pass(&mut self, file: &BinlogName, transaction: &Transaction) -> bool {
        let skipped =
            transaction.gtid.as_ref().is_some_and(|gtid| self.awaited.contains(gtid) || self.was_skipped(gtid));
        if let Some(gtid) = &transaction.gtid {
            self.awaited.remove(gtid);
            match gtid {
                Gtid::Mariadb { domain, server, seq } => drop(self.position.insert(*domain, (*server, *seq))),
                Gtid::Mysql { uuid, tag, gno } => self.executed.insert(*uuid, tag.as_deref(), *gno, *gno),
            }
        }
        if !skipped {
            self.note_xa(transaction);
        }
        let (start, end) = (transaction.start, transaction.end);
        let event = transaction.end_kind == EndKind::Ddl && transaction.statement.as_deref().is_some_and(defines_event);
        // The source has disabled what it applied itself, as any applier does.
        let foreign_event = event && self.origins.is_foreign(transaction);
        let way = Way::of(transaction, skipped, (event && !foreign_event) || loses_variable(transaction));
        if let Some(way) = way {
            self.batch.set_apart(Apart { file: file.clone(), start, end, gtid: transaction.gtid.clone(), way });
        }
        if matches!(way, Some(Way::LeftOut | Way::Pipe)) {
            self.skipped = transaction.gtid.clone().filter(|_| skipped);
            self.apart.extend(transaction.gtid.clone().filter(|gtid| matches!(gtid, Gtid::Mariadb { .. })));
        } else if let Some(Gtid::Mariadb { domain, server, seq }) = &transaction.gtid {
            self.applied.insert(*domain, (*server, *seq));
        }
        if !skipped {
            self.note_demands(file, transaction);
        }
        let end = BinlogPosition { file: file.clone(), position: end };
        let time = transaction.time.original_commit.map_or(u64::from(transaction.time.header_max), |at| at / 1_000_000);
        self.newest = self.newest.max(time);
        self.note_done(&end);
        let for_the_applier = !skipped && (foreign_event || needs_no_directories(transaction));
        self.statements.see(file, (transaction, for_the_applier), self.batch.end.as_ref());
        self.batch.end = Some(end);
        if self.hindrance.is_none()
            && let Some(hindrance) = hindrance(transaction)
        {
            self.hindrance = Some(format!("{hindrance} at {file}:{start}"));
        }
        skipped
    }

    /// Takes note of a transaction that is to be left out, in this file of the archive; where the same GTID stood before, if it did.
    /// MariaDB may log one statement as two groups: those that follow each other are one.
    pub(super) fn leave_out(&mut self, file: &BinlogName, transaction: &Transaction) -> Option<BinlogPosition> {
        let gtid = transaction.gtid.clone()?;
        let place = BinlogPosition { file: file.clone(), position: transaction.start };
        match self.left_out.get_mut(&gtid) {
            Some((first, end)) if first.file == *file && *end == transaction.start => *end = transaction.end,
            Some((first, _)) => return Some(first.clone()),
            None => drop(self.left_out.insert(gtid, (place, transaction.end))),
        }
        None
    }

    fn note_xa(&mut self, transaction: &Transaction) {
        let Some(name) = transaction.xa.as_ref().map(|xa| xa_name(xa.as_str())) else { return };
        match transaction.end_kind {
            EndKind::XaPrepare => drop(self.xa_left.insert(name)),
            EndKind::XaCommit | EndKind::XaRollback if !self.xa_left.remove(&name) => drop(self.xa_ended.insert(name)),
            _ => {}
        }
    }

    /// The XA transactions that the window leaves prepared, and those that it ends and were prepared before it.
    pub(super) fn xa(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        (self.xa_left.clone(), self.xa_ended.clone())
    }

    /// Notes what a statement names that a server may lack. One that failed at its source made nothing.
    fn note_demands(&mut self, file: &BinlogName, transaction: &Transaction) {
        let Some(statement) = transaction.statement.as_deref().filter(|_| transaction.error_code == 0) else { return };
        let found = demands(statement, statement.len() < SURELY_WHOLE);
        for (need, name) in found.needs() {
            if self.named.insert((need, name.to_ascii_uppercase())) {
                let gtid = transaction.gtid.as_ref().map(|gtid| format!("{gtid} at ")).unwrap_or_default();
                self.batch.demands.push((need, name, format!("{gtid}{file}:{}", transaction.start)));
            }
        }
    }

    /// A source may log two groups of one GTID.
    fn was_skipped(&self, gtid: &Gtid) -> bool {
        self.skipped.as_ref() == Some(gtid)
    }

    /// Notes that a file of the batch was read.
    pub(super) fn file(&mut self, file: &BinlogName) {
        self.batch.files.push(file.clone());
        if std::mem::take(&mut self.name_used_again) {
            self.batch.may_be_cut.insert(file.clone());
        }
    }

    /// What was noted of the batch, which ends here.
    pub(super) fn end_batch(&mut self) -> Marks {
        self.prepared.clear();
        self.set_last_statements_apart();
        Marks { hindrance: self.hindrance.clone(), ..std::mem::take(&mut self.batch) }
    }

    /// Where the batch's last transactions are single statements of a file of their own, none of them is for the applier: MySQL might take
    /// their file out of its relay logs.
    fn set_last_statements_apart(&mut self) {
        let Statements { file, all: Some(all), before } = std::mem::take(&mut self.statements) else { return };
        let fed = self.state.is_some() || !self.position.is_empty();
        if fed || all.is_empty() {
            return;
        }
        let skipped: BTreeSet<u64> = self
            .batch
            .apart
            .iter()
            .filter(|apart| Some(&apart.file) == file.as_ref() && apart.way == Way::LeftOut)
            .map(|apart| apart.start)
            .collect();
        self.batch.apart.retain(|apart| Some(&apart.file) != file.as_ref());
        self.batch.apart.extend(all.into_iter().map(|apart| match skipped.contains(&apart.start) {
            true => Apart { way: Way::LeftOut, ..apart },
            false => apart,
        }));
        self.batch.may_be_cut.extend(file);
        self.batch.applied_end = Some(before);
    }

    /// A transaction that is to be left out and was not met.
    pub(super) fn not_met(&self) -> Option<String> {
        self.awaited.iter().next().map(ToString::to_string)
    }
}

/// Why a replay that holds a transaction cannot go on after its death, wherever it died behind it: what the server kept of
/// it is in no log and no set of GTIDs.
fn hindrance(transaction: &Transaction) -> Option<&'static str> {
    let statement = transaction.statement.as_deref().unwrap_or_default();
    let words = statement.get(..statement.floor_char_boundary(200)).unwrap_or_default().to_ascii_uppercase();
    let session = transaction.session.as_ref();
    match transaction.end_kind {
        _ if transaction.gtid.is_none() => Some("there is a transaction without GTID"),
        _ if transaction.xa.is_some() => Some("there is an XA transaction"),
        EndKind::Incident => Some("there are changes that the server lost"),
        EndKind::Payload => Some("there is a transaction that cannot be read"),
        _ if session.is_some_and(|session| !session.temporary.is_empty()) => Some("there is a temporary table"),
        _ if session.is_some_and(|session| session.partial) => {
            Some("there are statements on tables that are not known")
        }
        _ if words.starts_with("CREATE") && words.contains("TEMPORARY") => Some("there is a temporary table"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binlog::{SessionTables, TransactionTime};

    fn transaction(gno: u64, end_kind: EndKind, has_rows: bool) -> Transaction {
        let uuid = uuid::Uuid::from_u128(1);
        Transaction {
            gtid: Some(Gtid::Mysql { uuid, tag: None, gno }),
            start: gno * 100,
            end: gno * 100 + 90,
            time: TransactionTime::default(),
            tables: Vec::new(),
            more_tables: false,
            statement: Some("ANALYZE TABLE t".into()),
            end_kind,
            has_rows,
            compressed: false,
            xa: None,
            error_code: 0,
            taken_back: false,
            plain_commit: false,
            server_id: 0,
            session: None,
            outside: None,
            untold: None,
            by_statement: false,
            renames_variable: false,
        }
    }

    fn marks(files: &[&[(EndKind, bool)]]) -> Marks {
        let mut landmarks = Landmarks::new(&[], None);
        let mut gno = 0;
        for (place, transactions) in files.iter().enumerate() {
            let name: BinlogName = format!("b.{:06}", place + 1).parse().unwrap();
            for (kind, rows) in *transactions {
                gno += 1;
                landmarks.pass(&name, &transaction(gno, *kind, *rows));
            }
            landmarks.file(&name);
        }
        landmarks.end_batch()
    }

    #[test]
    fn a_variable_that_mysqls_applier_would_rename_goes_through_the_pipe() {
        let file: BinlogName = "b.000001".parse().unwrap();
        let renames = Transaction { renames_variable: true, ..transaction(1, EndKind::Commit, false) };
        let ways = |transaction: &Transaction| {
            let mut landmarks = Landmarks::new(&[], None);
            landmarks.pass(&file, transaction);
            landmarks.pass(&file, &self::transaction(2, EndKind::Commit, true));
            landmarks.end_batch().apart.iter().map(|apart| (apart.start, apart.way)).collect::<Vec<_>>()
        };
        assert_eq!(ways(&renames), [(100, Way::Pipe)]);
        assert_eq!(ways(&Transaction { gtid: None, ..renames.clone() }), [(100, Way::Pipe)]);
        let mariadb = Some(Gtid::Mariadb { domain: 0, server: 1, seq: 1 });
        assert_eq!(ways(&Transaction { gtid: mariadb, ..renames }), []);
    }

    #[test]
    fn one_that_is_left_out_and_comes_again_is_told() {
        let file = |number: u32| -> BinlogName { format!("b.{number:06}").parse().unwrap() };
        let at = |start: u64, end: u64| Transaction { start, end, ..transaction(1, EndKind::Commit, true) };
        let mut landmarks = Landmarks::new(&[], None);
        // Two groups that follow each other are one statement.
        assert_eq!(landmarks.leave_out(&file(1), &at(100, 200)), None);
        assert_eq!(landmarks.leave_out(&file(1), &at(200, 300)), None);
        let first = BinlogPosition { file: file(1), position: 100 };
        assert_eq!(landmarks.leave_out(&file(1), &at(900, 990)), Some(first.clone()));
        assert_eq!(landmarks.leave_out(&file(2), &at(300, 400)), Some(first));
    }

    const ROWS: (EndKind, bool) = (EndKind::Commit, true);
    const ALONE: (EndKind, bool) = (EndKind::Statement, false);

    #[test]
    fn a_last_file_of_single_statements_is_not_for_the_applier() {
        let found = marks(&[&[ROWS], &[ALONE, ALONE]]);
        let apart: Vec<u64> = found.apart.iter().map(|apart| apart.start).collect();
        assert_eq!(apart, [200, 300]);
        assert_eq!(found.for_the_applier().map(ToString::to_string).as_deref(), Some("b.000001:190"));
        assert_eq!(found.end.map(|end| end.to_string()).as_deref(), Some("b.000002:390"));
        // Nothing else in the batch.
        let found = marks(&[&[], &[ALONE]]);
        assert_eq!((found.apart.len(), found.for_the_applier()), (1, None));
    }

    /// A routine keeps the SQL mode that it was made in, of which an applier takes all from the log but this.
    #[test]
    fn what_takes_no_directories_is_applied_so() {
        let name: BinlogName = "b.000001".parse().unwrap();
        let session = |no_directories| {
            Some(SessionTables { thread: 1, partial: false, own: false, no_directories, temporary: Vec::new() })
        };
        let ddl = |gno, no_directories| Transaction {
            session: session(no_directories),
            ..transaction(gno, EndKind::Ddl, false)
        };
        let outside = |gno, outside| Transaction { outside: Some(outside), ..ddl(gno, false) };
        let mariadb = |seq| Some(Gtid::Mariadb { domain: 0, server: 1, seq });
        let found = |transactions: Vec<Transaction>| {
            let mut landmarks = Landmarks::new(&[], None);
            let mut end = 0;
            for transaction in transactions {
                let (start, transaction_end) = (end, end + 10);
                end = transaction_end;
                landmarks.pass(&name, &Transaction { start, end, ..transaction });
            }
            landmarks.pass(&name, &Transaction { start: end, end: end + 10, ..transaction(9, EndKind::Commit, true) });
            landmarks.file(&name);
            assert!(landmarks.apart.is_empty(), "the applier applies them");
            let apart = landmarks.end_batch().apart.into_iter();
            apart.map(|apart| (apart.way, apart.start, apart.end)).collect::<Vec<_>>()
        };
        let inside = Way::NoDirectories;
        assert_eq!(found(vec![ddl(1, false), ddl(2, true), ddl(3, false)]), [(inside, 10, 20)]);
        let table = || Outside::Table("/far".into());
        let both = vec![outside(1, table()), ddl(2, true), ddl(3, false), outside(4, Outside::Unread)];
        assert_eq!(found(both), [(inside, 0, 20), (inside, 30, 40)]);
        // MariaDB's private server knows no links.
        let fed = |gtid, transaction| Transaction { gtid, ..transaction };
        assert_eq!(found(vec![fed(mariadb(1), outside(1, table()))]), []);
        assert_eq!(found(vec![fed(mariadb(1), ddl(1, true))]), [(inside, 0, 10)]);
    }

    /// A client would leave an event enabled that the source, as a replica, had disabled.
    #[test]
    fn an_event_of_another_server_is_for_the_applier() {
        let name: BinlogName = "b.000001".parse().unwrap();
        let apart = |server_id, known: Option<u32>, uuid: Option<&str>| {
            let mut landmarks = Landmarks::new(&[], None);
            landmarks.origins = Origins::known(known, uuid);
            let statement = Some("CREATE DEFINER=`a`@`b` EVENT e ON SCHEDULE EVERY 1 DAY DO SET @a = 1".to_owned());
            landmarks.pass(&name, &Transaction { server_id, statement, ..transaction(1, EndKind::Ddl, false) });
            landmarks.file(&name);
            landmarks.end_batch().apart.len()
        };
        assert_eq!(apart(1, Some(1), None), 1, "its own");
        assert_eq!(apart(11, Some(1), None), 0, "another server's");
        assert_eq!(apart(11, None, None), 1, "nobody knows");
        assert_eq!(apart(11, Some(1), Some("00000000-0000-0000-0000-000000000001")), 1, "its id was changed");
    }

    #[test]
    fn what_the_applier_finds_a_transaction_in_is_for_it() {
        for files in [&[&[ALONE][..], &[ROWS]][..], &[&[ROWS], &[ROWS, ALONE]], &[&[ALONE, ROWS], &[]], &[&[ROWS]]] {
            let found = marks(files);
            assert_eq!((found.apart.len(), found.for_the_applier()), (0, found.end.as_ref()), "{files:?}");
        }
    }
}
