//! Writes to a server as a small shop would, and knows what the tables must hold after each transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::random::Random;
use crate::server::{Checksums, MariadbServer, ServerError, Session};

/// What a workload's tables held at one moment between two transactions, and where the server's binary log stood then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// How many steps had been done.
    pub step: u64,
    /// The sums of all tables.
    pub checksums: Checksums,
    /// The binary log's file and position, or empty and 0 where the server has none.
    pub binlog: (String, u64),
    /// `@@gtid_binlog_pos`.
    pub gtid: String,
    /// The server's clock in UTC, `YYYY-MM-DD HH:MM:SS.ffffff`.
    pub time: String,
}

/// What kind of steps a workload takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Whether it changes the schema now and then.
    pub ddl: bool,
    /// The share of explicit transactions that are rolled back, in percent.
    pub rollbacks: u64,
    /// The pause after each step.
    pub pause: Duration,
}

impl Default for Mix {
    fn default() -> Self {
        Self { ddl: true, rollbacks: 5, pause: Duration::ZERO }
    }
}

/// A seeded writer on a database of its own: the same seed makes the same statements.
///
/// It is the only one to write to its database, so between two steps the tables hold exactly what its committed
/// transactions put there. Several of them, on several databases, make parallel load.
#[derive(Debug)]
pub struct Workload {
    database: String,
    session: Session,
    random: Random,
    mix: Mix,
    steps: u64,
    customers: u64,
    orders: u64,
    /// Whether the table that comes and goes is there now.
    extra: Option<u64>,
    extras: u64,
}

impl Workload {
    /// Creates the database with its tables and first rows.
    pub fn new(server: &MariadbServer, database: &str, seed: u64, mix: Mix) -> Result<Self, ServerError> {
        let mut session = server.client()?;
        session.run(&format!(
            "CREATE DATABASE `{database}` CHARACTER SET utf8mb4; USE `{database}`;
             CREATE TABLE customers (id BIGINT PRIMARY KEY, name VARCHAR(80) NOT NULL, balance DECIMAL(12,2) NOT NULL,
               changed TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), KEY (name)) ENGINE=InnoDB;
             CREATE TABLE orders (id BIGINT PRIMARY KEY, customer BIGINT NOT NULL, state VARCHAR(10) NOT NULL,
               placed DATETIME(6) NOT NULL, KEY (customer), FOREIGN KEY (customer) REFERENCES customers (id)) ENGINE=InnoDB;
             CREATE TABLE items (id BIGINT AUTO_INCREMENT PRIMARY KEY, order_id BIGINT NOT NULL, article INT NOT NULL,
               quantity INT NOT NULL, note VARBINARY(200), KEY (order_id),
               FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE) ENGINE=InnoDB;"
        ))?;
        let mut workload = Self {
            database: database.to_owned(),
            session,
            random: Random::new(seed),
            mix,
            steps: 0,
            customers: 0,
            orders: 0,
            extra: None,
            extras: 0,
        };
        for _ in 0..20 {
            let statement = workload.new_customer();
            workload.session.run(&statement)?;
        }
        Ok(workload)
    }

    /// The database it writes to.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How many steps were done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Does one step: a transaction, a statement that commits by itself, or now and then a change of the schema.
    pub fn step(&mut self) -> Result<(), ServerError> {
        let kind = self.random.below(100);
        let sql = if kind < 2 && self.mix.ddl {
            self.change_schema()
        } else if kind < 12 {
            self.new_customer()
        } else if kind < 30 {
            self.change_customers()
        } else if kind < 38 {
            self.delete_order()
        } else if kind < 45 && self.extra.is_some() {
            self.write_extra()
        } else {
            self.place_order()
        };
        self.session.run(&sql)?;
        self.steps += 1;
        if !self.mix.pause.is_zero() {
            thread::sleep(self.mix.pause);
        }
        Ok(())
    }

    /// Does several steps.
    pub fn run(&mut self, steps: u64) -> Result<(), ServerError> {
        (0..steps).try_for_each(|_| self.step())
    }

    /// What the tables hold now. No step is in progress, since this borrows the writer.
    pub fn snapshot(&mut self, server: &MariadbServer) -> Result<Snapshot, ServerError> {
        let checksums = server.checksums(&self.database)?;
        let state = server.try_sql("SELECT @@gtid_binlog_pos, UTC_TIMESTAMP(6); SHOW MASTER STATUS;")?;
        let field = |row: usize, column: usize| {
            state.get(row).and_then(|row: &Vec<String>| row.get(column)).cloned().unwrap_or_default()
        };
        Ok(Snapshot {
            step: self.steps,
            checksums,
            binlog: (field(1, 0), field(1, 1).parse().unwrap_or(0)),
            gtid: field(0, 0),
            time: field(0, 1),
        })
    }

    /// Goes on in a thread of its own until it is stopped.
    pub fn spawn(self) -> RunningWorkload {
        let workload = Arc::new(Mutex::new(self));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (Arc::clone(&workload), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                lock(&shared).step()?;
                // The lock is not fair: without this a snapshot would wait for long.
                thread::yield_now();
                thread::sleep(Duration::from_micros(50));
            }
            Ok(())
        });
        RunningWorkload { workload, stop, thread }
    }

    fn new_customer(&mut self) -> String {
        self.customers += 1;
        let (id, name, cents) = (self.customers, self.random.word(), self.random.below(1_000_000));
        format!("INSERT INTO customers (id, name, balance) VALUES ({id}, '{name}', {}.{:02})", cents / 100, cents % 100)
    }

    fn change_customers(&mut self) -> String {
        let (a, b) = (self.customer(), self.customer());
        let cents = self.random.below(10_000);
        match self.random.below(3) {
            0 => format!("UPDATE customers SET name = '{}', changed = NOW(6) WHERE id = {a}", self.random.word()),
            1 => format!("UPDATE customers SET balance = balance + 1 WHERE id BETWEEN {} AND {}", a.min(b), a.max(b)),
            _ => self.transaction(&format!(
                "UPDATE customers SET balance = balance - {cents} / 100 WHERE id = {a};
                 UPDATE customers SET balance = balance + {cents} / 100 WHERE id = {b};"
            )),
        }
    }

    fn place_order(&mut self) -> String {
        self.orders += 1;
        let (id, customer) = (self.orders, self.customer());
        let mut sql = format!("INSERT INTO orders VALUES ({id}, {customer}, 'new', NOW(6));");
        for _ in 0..=self.random.below(4) {
            let (article, quantity) = (self.random.below(5_000), 1 + self.random.below(9));
            let note: String = (0..self.random.below(40)).map(|_| format!("{:02x}", self.random.below(256))).collect();
            sql += &format!(
                "INSERT INTO items (order_id, article, quantity, note) VALUES ({id}, {article}, {quantity}, x'{note}');"
            );
        }
        sql += &format!("UPDATE customers SET balance = balance - {} WHERE id = {customer};", self.random.below(50));
        self.transaction(&sql)
    }

    fn delete_order(&mut self) -> String {
        let order = 1 + self.random.below(self.orders.max(1));
        match self.random.below(3) {
            0 => format!("DELETE FROM orders WHERE id = {order}"),
            1 => format!("UPDATE orders SET state = 'sent' WHERE id = {order}"),
            _ => format!(
                "UPDATE orders o JOIN items i ON i.order_id = o.id SET o.state = 'packed', i.quantity = i.quantity + 1 WHERE o.id = {order}"
            ),
        }
    }

    fn write_extra(&mut self) -> String {
        let table = self.extra.unwrap_or_default();
        format!("INSERT INTO extra_{table} (words) VALUES ('{}')", self.random.word())
    }

    fn change_schema(&mut self) -> String {
        match (self.extra, self.random.below(4)) {
            (None, _) => {
                self.extras += 1;
                let n = self.extras;
                self.extra = Some(n);
                format!("CREATE TABLE extra_{n} (id INT AUTO_INCREMENT PRIMARY KEY, words TEXT) ENGINE=InnoDB")
            }
            (Some(n), 0) => {
                self.extra = None;
                format!("DROP TABLE extra_{n}")
            }
            (Some(n), 1) => format!("ALTER TABLE extra_{n} ADD COLUMN IF NOT EXISTS more INT DEFAULT 7"),
            (Some(n), 2) => format!("ALTER TABLE extra_{n} ENGINE=InnoDB"),
            (Some(n), _) => {
                self.extras += 1;
                self.extra = Some(self.extras);
                format!("RENAME TABLE extra_{n} TO extra_{}", self.extras)
            }
        }
    }

    fn transaction(&mut self, statements: &str) -> String {
        let end = if self.random.below(100) < self.mix.rollbacks { "ROLLBACK" } else { "COMMIT" };
        format!("BEGIN; {statements} {end};")
    }

    fn customer(&mut self) -> u64 {
        1 + self.random.below(self.customers.max(1))
    }
}

/// A workload that writes in the background.
#[derive(Debug)]
pub struct RunningWorkload {
    workload: Arc<Mutex<Workload>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), ServerError>>,
}

impl RunningWorkload {
    /// What the tables hold between two transactions: the writer waits meanwhile.
    pub fn snapshot(&self, server: &MariadbServer) -> Result<Snapshot, ServerError> {
        lock(&self.workload).snapshot(server)
    }

    /// How many steps were done so far.
    pub fn steps(&self) -> u64 {
        lock(&self.workload).steps()
    }

    /// Holds the writer between two transactions for as long as the value lives.
    pub fn pause(&self) -> MutexGuard<'_, Workload> {
        lock(&self.workload)
    }

    /// Whether the writer has ended by itself, as it does when its server is gone.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets the step in progress end and gives the workload back, or the error that had ended it.
    pub fn stop(self) -> Result<Workload, ServerError> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join();
        let workload = Arc::into_inner(self.workload);
        match (ended, workload) {
            (Ok(Ok(())), Some(workload)) => Ok(workload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            (Ok(Err(error)), _) => Err(error),
            _ => Err(ServerError::io("stopping the workload")(std::io::Error::other("its thread panicked"))),
        }
    }
}

fn lock(workload: &Mutex<Workload>) -> MutexGuard<'_, Workload> {
    workload.lock().unwrap_or_else(PoisonError::into_inner)
}
