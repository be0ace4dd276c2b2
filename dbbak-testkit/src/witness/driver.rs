//! Drives the clients by turns, so that their statements interleave and the order of their commits is known.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::clients::{
    CLIENTS, Client, ISOLATION, Open, SLOW_OWNER, STATEMENTS, Statement, XA_OWNER, create, insert, own_rows, write,
};
use super::model::{Change, State};
use super::noise::{self, Noise};
use super::{Commit, Witness, clients};
use crate::random::Random;
use crate::server::{Rows, Server, ServerError, Session, Vendor};

/// A random workload, determined by its seed: the statements and the order in which they are sent. Beside it a client writes
/// that waits for nobody.
///
/// The server belongs to the caller and is given to each call, so that it can be backed up between them.
#[derive(Debug)]
pub struct Driver {
    pub(super) vendor: Vendor,
    pub(super) random: Random,
    pub(super) state: State,
    pub(super) witness: Witness,
    clients: Vec<Client>,
    xa: Vec<Xa>,
    slow: Option<Slow>,
    noise: Noise,
    asker: Option<Session>,
    /// What was executed when it was asked last.
    executed: String,
    /// The last id, in units of the number of owners.
    ids: u64,
    pub(super) names: u64,
    /// The longest pause after a step.
    pub pace: Duration,
}

/// An XA transaction and its session, which is gone once the server was restarted.
#[derive(Debug)]
struct Xa {
    name: String,
    changes: Vec<Change>,
    table: String,
    session: Option<Session>,
}

/// A statement that runs until it is let go.
#[derive(Debug)]
struct Slow {
    session: Session,
    gate: Session,
    statement: Statement,
    since: Instant,
    began: u64,
    lasts: Duration,
}

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}

impl Driver {
    /// Creates the first tables on a new server.
    pub fn new(server: &Server, seed: u64) -> Result<Self, ServerError> {
        let mut driver = Self {
            vendor: server.options().vendor,
            random: Random::new(seed),
            state: State::default(),
            witness: Witness::default(),
            clients: (0..CLIENTS).map(Client::new).collect(),
            xa: Vec::new(),
            slow: None,
            noise: Noise::new(),
            asker: None,
            executed: String::new(),
            ids: 0,
            names: 0,
            pace: Duration::from_millis(20),
        };
        for database in ["alpha", "beta", "noise"] {
            driver.auto(server, 0, &format!("CREATE DATABASE {database}"), Vec::new())?;
        }
        for table in noise::TABLES {
            let sql = format!("CREATE TABLE {table} (id BIGINT PRIMARY KEY) ENGINE=InnoDB");
            driver.auto(server, 0, &sql, vec![Change::Create(table.to_owned(), noise::columns())])?;
        }
        for table in ["alpha.one", "alpha.two", "beta.one", "beta.two"] {
            driver.auto(server, 0, &create(table), vec![Change::Create(table.to_owned(), clients::columns())])?;
        }
        driver.noise.start(server)?;
        Ok(driver)
    }

    /// How many commits of the clients there were.
    pub fn commits(&self) -> usize {
        self.witness.commits.len()
    }

    /// Takes so many steps.
    pub fn run(&mut self, server: &Server, steps: u64) -> Result<(), ServerError> {
        for _ in 0..steps {
            self.step(server)?;
            let pace = u64::try_from(self.pace.as_micros()).unwrap_or(0);
            if pace > 0 {
                std::thread::sleep(Duration::from_micros(self.random.below(pace)));
            }
        }
        Ok(())
    }

    /// Restarts the server in order, or kills it. What was open is lost; what was prepared is not.
    pub fn restart(&mut self, server: &mut Server, kill: bool) -> Result<(), ServerError> {
        if kill {
            server.kill9();
        } else {
            // A shutdown ends sessions one by one: a lock may go before the statement that waits for it.
            self.end_slow(server)?;
            server.stop()?;
        }
        self.noise.ended();
        self.slow = None;
        self.asker = None;
        self.clients = (0..CLIENTS).map(Client::new).collect();
        self.xa.iter_mut().for_each(|xa| xa.session = None);
        server.restart()?;
        self.noise.resolve(server)?;
        self.noise.start(server)
    }

    /// Waits for everybody to be between two transactions, and keeps them there while `quiet` runs.
    pub fn quietly<T>(&mut self, server: &Server, quiet: impl FnOnce() -> T) -> Result<T, ServerError> {
        self.end_slow(server)?;
        let _held = self.noise.hold();
        Ok(quiet())
    }

    /// Sees to it that an XA transaction is prepared and undecided, so that a backup meets one.
    pub fn leave_one_prepared(&mut self, server: &Server) -> Result<(), ServerError> {
        while self.xa.is_empty() {
            self.xa(server)?;
        }
        Ok(())
    }

    /// Decides every XA transaction that is prepared: a logical copy holds none.
    pub fn decide_all(&mut self, server: &Server) -> Result<(), ServerError> {
        while !self.xa.is_empty() {
            self.decide(server, 0)?;
        }
        Ok(())
    }

    /// Ends the workload, rolls back what is open and gives out what was written down.
    pub fn stop(mut self, server: &Server) -> Result<Witness, ServerError> {
        self.end_slow(server)?;
        self.clients.clear();
        self.noise.stop();
        self.witness.noise = std::mem::take(&mut self.noise.hold().acknowledged);
        Ok(self.witness)
    }

    fn step(&mut self, server: &Server) -> Result<(), ServerError> {
        if self.slow.as_ref().is_some_and(|slow| slow.since.elapsed() >= slow.lasts) {
            return self.end_slow(server);
        }
        let number = usize::try_from(self.random.below(CLIENTS)).unwrap_or(0);
        if self.clients[number].open.is_some() {
            return self.go_on(server, number);
        }
        match self.random.below(100) {
            0..=29 => self.begin(server, number),
            30..=69 => {
                let Some(table) = self.any_table() else { return Ok(()) };
                let statement = self.clients[number].write(&self.state, &mut self.random, &table, &mut self.ids);
                self.skew(server, number)?;
                self.auto(server, number, &statement.sql, statement.changes)
            }
            70..=79 => self.change_schema(server, number),
            80..=86 => self.xa(server),
            87..=88 => self.large(server, number),
            89..=92 => {
                self.skew(server, number)?;
                self.clients[number].session(server)?.run("FLUSH BINARY LOGS")?;
                self.unskew(server, number)
            }
            93..=94 => {
                let checksum = if self.random.percent(50) { "NONE" } else { "CRC32" };
                self.ask(server, &format!("SET GLOBAL binlog_checksum = {checksum}")).map(drop)
            }
            95 | 96 if self.vendor == Vendor::Mariadb => {
                let on = self.random.below(2);
                self.ask(server, &format!("SET GLOBAL log_bin_compress = {on}, log_bin_compress_min_len = 10"))
                    .map(drop)
            }
            _ => self.slow(server),
        }
    }

    /// Tables that the clients write to.
    fn tables(&self) -> Vec<String> {
        self.state.tables.keys().filter(|name| !noise::TABLES.contains(&name.as_str())).cloned().collect()
    }

    fn any_table(&mut self) -> Option<String> {
        let tables = self.tables();
        self.random.pick(&tables).cloned()
    }

    /// Tables that no open transaction has touched: DDL on others would wait.
    pub(super) fn idle_tables(&self) -> Vec<String> {
        let mut busy: BTreeSet<&str> = BTreeSet::new();
        busy.extend(
            self.clients
                .iter()
                .filter_map(|client| client.open.as_ref())
                .flat_map(|open| open.tables.iter().map(String::as_str)),
        );
        busy.extend(self.xa.iter().map(|xa| xa.table.as_str()));
        busy.extend(self.slow.as_ref().map(|slow| slow.statement.table.as_str()));
        self.tables().into_iter().filter(|table| !busy.contains(table.as_str())).collect()
    }

    fn begin(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        self.skew(server, number)?;
        let begin = if self.random.percent(30) && self.clients[number].number != STATEMENTS {
            "START TRANSACTION WITH CONSISTENT SNAPSHOT"
        } else {
            "BEGIN"
        };
        self.clients[number].session(server)?.run(begin)?;
        self.clients[number].open = Some(Open::default());
        Ok(())
    }

    fn go_on(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        let kind = self.random.below(100);
        let Some(mut table) = self.any_table() else { return Ok(()) };
        let client = &mut self.clients[number];
        let Some(mut open) = client.open.take() else { return Ok(()) };
        // Its view of the data is that of its first statement: a table that was altered since then it cannot use.
        if client.number == STATEMENTS
            && let Some(first) = open.tables.first()
        {
            table.clone_from(first);
        }
        match kind {
            0..=54 => {
                client.open = Some(open);
                let statement = client.write(&self.state, &mut self.random, &table, &mut self.ids);
                client.session(server)?.run(&statement.sql)?;
                let open = client.open.get_or_insert_default();
                open.tables.insert(statement.table);
                open.changes.extend(statement.changes);
                return Ok(());
            }
            55..=64 => {
                let name = format!("s{}", open.savepoints.len());
                client.session(server)?.run(&format!("SAVEPOINT {name}"))?;
                open.savepoints.push((name, open.changes.len()));
            }
            65..=72 => {
                if !open.savepoints.is_empty() && client.number != STATEMENTS {
                    let count = u64::try_from(open.savepoints.len()).unwrap_or(1);
                    let back = usize::try_from(self.random.below(count)).unwrap_or(0);
                    let (name, changes) = open.savepoints[back].clone();
                    client.session(server)?.run(&format!("ROLLBACK TO SAVEPOINT {name}"))?;
                    open.changes.truncate(changes);
                    open.savepoints.truncate(back + 1);
                }
            }
            73..=79 => {
                client.session(server)?.run("ROLLBACK")?;
                return self.unskew(server, number);
            }
            _ => return self.auto(server, number, "COMMIT", open.changes),
        }
        client.open = Some(open);
        Ok(())
    }

    /// Many rows in one transaction.
    fn large(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        let Some(table) = self.any_table() else { return Ok(()) };
        let (rows, bytes) = (300 + self.random.below(1500), 20 + self.random.below(900));
        let owner = self.clients[number].number;
        let one = insert(&self.state, &mut self.random, &table, owner, rows, bytes, &mut self.ids);
        let mut changes = one.changes;
        let mut sql = format!("BEGIN; {}; ", one.sql);
        if self.random.percent(50) {
            let own = own_rows(&self.state, &table, owner, &changes);
            let gone: Vec<u64> = own.keys().rev().take(own.len() / 2).copied().collect();
            // One by one: no index can be forced in a DELETE, and another one would lock the rows of others.
            gone.iter().for_each(|id| sql += &format!("DELETE FROM {table} WHERE id = {id}; "));
            changes.extend(gone.iter().map(|id| Change::Delete(table.clone(), *id)));
        }
        self.auto(server, number, &format!("{sql} COMMIT"), changes)
    }

    /// Begins and prepares an XA transaction, or decides one.
    fn xa(&mut self, server: &Server) -> Result<(), ServerError> {
        let undecided = self.xa.len();
        if undecided > 0 && (undecided >= 3 || self.random.percent(60)) {
            let at = usize::try_from(self.random.below(u64::try_from(undecided).unwrap_or(1))).unwrap_or(0);
            return self.decide(server, at);
        }
        let Some(table) = self.any_table() else { return Ok(()) };
        self.names += 1;
        let name = format!("x{}", self.names);
        // Rows that another undecided one has locked stay as they are: it has inserted or changed them.
        let locked: BTreeSet<u64> = self.xa.iter().flat_map(|xa| &xa.changes).filter_map(row_of).collect();
        let mut rows = own_rows(&self.state, &table, XA_OWNER, &[]);
        rows.retain(|id, _| !locked.contains(id));
        let one = write(&self.state, &mut self.random, &table, XA_OWNER, &rows, &mut self.ids);
        let two = insert(&self.state, &mut self.random, &table, XA_OWNER, 1, 0, &mut self.ids);
        let changes: Vec<Change> = one.changes.into_iter().chain(two.changes).collect();
        let mut session = server.client()?;
        session.run(&format!("{ISOLATION}; XA START '{name}'; {}; {}; XA END '{name}'", one.sql, two.sql))?;
        if self.random.percent(25) {
            let sql = format!("XA COMMIT '{name}' ONE PHASE");
            return self.told_by_server(server, &sql, changes, |sql| session.run(sql));
        }
        let sql = format!("XA PREPARE '{name}'");
        let prepared = vec![Change::Prepared(name.clone())];
        self.told_by_server(server, &sql, prepared, |sql| {
            // The session answers nothing else until the transaction is decided.
            session.send(sql)?;
            wait_until(|| {
                let found = server.try_sql("XA RECOVER")?;
                Ok(found.iter().any(|row| row.get(3) == Some(&name)))
            })?;
            Ok(Rows::new())
        })?;
        // Some lose their session: another one decides then.
        let session = self.random.percent(50).then_some(session);
        self.xa.push(Xa { name, changes, table, session });
        Ok(())
    }

    fn decide(&mut self, server: &Server, at: usize) -> Result<(), ServerError> {
        let xa = self.xa.remove(at);
        let commits = self.random.percent(70);
        let verb = if commits { "COMMIT" } else { "ROLLBACK" };
        let mut changes = vec![Change::Decided(xa.name.clone())];
        changes.extend(xa.changes.into_iter().filter(|_| commits));
        let sql = format!("XA {verb} '{}'", xa.name);
        // A session that prepared it is ended first on MariaDB, where nobody else can decide before that.
        drop(xa.session);
        self.told_by_server(server, &sql, changes, |sql| {
            let mut last = Ok(Rows::new());
            wait_until(|| {
                last = server.try_sql(sql);
                match &last {
                    // Its session is not gone yet.
                    Err(ServerError::Sql { message, .. }) if message.contains("XAER_") => Ok(false),
                    _ => Ok(true),
                }
            })?;
            last
        })
    }

    /// Begins a statement that runs for seconds, while others commit.
    fn slow(&mut self, server: &Server) -> Result<(), ServerError> {
        let Some(table) = self.any_table().filter(|_| self.slow.is_none()) else { return Ok(()) };
        let mut statement = insert(&self.state, &mut self.random, &table, SLOW_OWNER, 1, 0, &mut self.ids);
        let Some(Change::Put(_, id, row)) = statement.changes.first() else { return Ok(()) };
        let values: String = row[1..].iter().map(|value| format!(", '{value}'")).collect();
        statement.sql = format!("INSERT INTO {table} SELECT {id}, {} + 0 * GET_LOCK('gate', 600){values}", row[0]);
        let (mut gate, mut session) = (server.client()?, server.client()?);
        gate.run("DO GET_LOCK('gate', 0)")?;
        session.run(&format!("{ISOLATION}; SET SESSION binlog_format = ROW"))?;
        session.send(&statement.sql)?;
        wait_until(|| {
            let waiting = match self.vendor {
                Vendor::Mariadb => "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'",
                Vendor::Mysql => {
                    "SELECT COUNT(*) FROM performance_schema.metadata_locks \
                     WHERE object_type = 'USER LEVEL LOCK' AND lock_status = 'PENDING'"
                }
            };
            Ok(server.try_sql(waiting)?.into_iter().flatten().next().as_deref() == Some("1"))
        })?;
        let lasts = Duration::from_millis(500 + self.random.below(2500));
        self.slow = Some(Slow { session, gate, statement, since: Instant::now(), began: micros(), lasts });
        Ok(())
    }

    /// Lets the statement end that runs for long, if there is one.
    pub fn end_slow(&mut self, server: &Server) -> Result<(), ServerError> {
        let Some(Slow { mut session, mut gate, statement, began, .. }) = self.slow.take() else { return Ok(()) };
        self.told_by_server(server, &statement.sql, statement.changes, |sql| {
            gate.run("DO RELEASE_LOCK('gate')")?;
            session.receive(sql)
        })?;
        let gtid = self.witness.commits.last().map(|commit| commit.gtid.clone());
        self.witness.slow.push((gtid.unwrap_or_default(), began, micros()));
        Ok(())
    }

    /// Sets the client's clock to another time, for one transaction: MySQL's by hours in both directions. On MariaDB, where
    /// stamps are all that a log has, a clock that is ahead would put all that follows ahead too: seconds at most.
    pub(super) fn skew(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        if !self.random.percent(20) {
            return Ok(());
        }
        let ahead = match self.vendor {
            Vendor::Mysql => self.random.below(7200),
            Vendor::Mariadb => self.random.below(3),
        };
        let by = if self.random.percent(50) { format!("+ {ahead}") } else { format!("- {}", self.random.below(7200)) };
        self.clients[number].session(server)?.run(&format!("SET TIMESTAMP = UNIX_TIMESTAMP() {by}"))?;
        self.clients[number].skewed = true;
        Ok(())
    }

    fn unskew(&mut self, server: &Server, number: usize) -> Result<(), ServerError> {
        let client = &mut self.clients[number];
        if std::mem::take(&mut client.skewed) {
            client.session(server)?.run("SET TIMESTAMP = DEFAULT")?;
        }
        Ok(())
    }

    /// Runs statements, the last of which commits, in a client's session, and writes the commit down.
    pub(super) fn auto(
        &mut self,
        server: &Server,
        number: usize,
        sql: &str,
        changes: Vec<Change>,
    ) -> Result<(), ServerError> {
        let before = micros();
        let question = match self.vendor {
            Vendor::Mariadb => "SELECT @@last_gtid",
            Vendor::Mysql => "DO 0",
        };
        let session = self.clients[number].session(server)?;
        let last = match self.vendor {
            Vendor::Mariadb => session.run(question)?,
            Vendor::Mysql => Rows::new(),
        };
        let rows = session.run(&format!("{sql}; {question}"))?;
        let between = (before, micros());
        let gtid = match self.vendor {
            Vendor::Mariadb => Some(rows).filter(|rows| *rows != last).into_iter().flatten().flatten().next(),
            Vendor::Mysql => self.executed_since(server)?,
        };
        self.enter(gtid, changes, sql, between);
        self.unskew(server, number)
    }

    /// The same, where the server is asked for the GTID: nobody else commits meanwhile.
    fn told_by_server(
        &mut self,
        server: &Server,
        sql: &str,
        changes: Vec<Change>,
        run: impl FnOnce(&str) -> Result<Rows, ServerError>,
    ) -> Result<(), ServerError> {
        let noise = self.noise.written();
        let held = noise.lock().unwrap_or_else(PoisonError::into_inner);
        let position = |driver: &mut Self| driver.ask(server, "SELECT @@global.gtid_binlog_pos");
        let last = if self.vendor == Vendor::Mariadb { position(self)? } else { Rows::new() };
        let before = micros();
        run(sql)?;
        let between = (before, micros());
        let gtid = match self.vendor {
            Vendor::Mariadb => Some(position(self)?).filter(|now| *now != last).into_iter().flatten().flatten().next(),
            Vendor::Mysql => self.executed_since(server)?,
        };
        drop(held);
        self.enter(gtid, changes, sql, between);
        Ok(())
    }

    fn enter(&mut self, gtid: Option<String>, changes: Vec<Change>, sql: &str, between: (u64, u64)) {
        let what: String = sql.chars().take(120).collect();
        let Some(gtid) = gtid else {
            assert!(changes.is_empty(), "the server logged nothing for {what}: {changes:?}");
            return;
        };
        changes.iter().for_each(|change| self.state.apply(change));
        self.witness.commits.push(Commit { gtid, changes, what, between });
    }

    /// On MySQL: the one GTID that was added since the last question and is not of the client that waits for nobody.
    fn executed_since(&mut self, server: &Server) -> Result<Option<String>, ServerError> {
        let before = self.executed.clone();
        let rows = self.ask(
            server,
            &format!("SELECT @@global.gtid_executed INTO @now; SELECT GTID_SUBTRACT(@now, '{before}'); SELECT @now"),
        )?;
        let mut values = rows.into_iter().flatten();
        let added = values.next().unwrap_or_default();
        self.executed = values.next().unwrap_or_default().replace('\n', "");
        let added = one_by_one(&added);
        let mut own = added.into_iter().filter(|gtid| !gtid.contains(&format!(":{}:", noise::TAG)));
        let gtid = own.next();
        assert_eq!(own.next(), None, "two transactions at once");
        Ok(gtid)
    }

    fn ask(&mut self, server: &Server, sql: &str) -> Result<Rows, ServerError> {
        if self.asker.is_none() {
            self.asker = Some(server.client()?);
        }
        match &mut self.asker {
            Some(asker) => asker.run(sql),
            None => Ok(Rows::new()),
        }
    }
}

fn row_of(change: &Change) -> Option<u64> {
    match change {
        Change::Put(_, id, _) | Change::Delete(_, id) => Some(*id),
        _ => None,
    }
}

/// The GTIDs of a small MySQL set, which may have tags: `uuid:1-2:tag:3,uuid:...`.
fn one_by_one(set: &str) -> Vec<String> {
    let mut all = Vec::new();
    for part in set.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let mut fields = part.split(':');
        let mut prefix = fields.next().unwrap_or_default().to_owned();
        let uuid = prefix.clone();
        for field in fields {
            let (first, last) = field.split_once('-').unwrap_or((field, field));
            match (first.parse::<u64>(), last.parse::<u64>()) {
                (Ok(first), Ok(last)) => all.extend((first..=last).map(|number| format!("{prefix}:{number}"))),
                _ => prefix = format!("{uuid}:{field}"),
            }
        }
    }
    all
}

fn wait_until(mut done: impl FnMut() -> Result<bool, ServerError>) -> Result<(), ServerError> {
    let started = Instant::now();
    while !done()? {
        if started.elapsed() > Duration::from_secs(30) {
            return Err(ServerError::io("waiting for the server")(std::io::ErrorKind::TimedOut.into()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn sets_with_tags_are_taken_apart() {
        let set = "u-1:3-4:noise:7:shop:1-2,\nu-2:9";
        assert_eq!(super::one_by_one(set), ["u-1:3", "u-1:4", "u-1:noise:7", "u-1:shop:1", "u-1:shop:2", "u-2:9"]);
    }
}
