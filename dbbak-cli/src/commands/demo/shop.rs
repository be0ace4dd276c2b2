//! A small shop under write load.

use super::server::{DemoError, DemoServer, Programs};
use dbbak_core::{
    execute::Executor,
    tools::{CommandSpec, Launch, Stdin},
};
use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// The shop's tables.
pub(super) const TABLES: [&str; 3] = ["customers", "orders", "items"];

/// Makes the tables with some rows in them.
pub(super) fn create(server: &DemoServer<'_>) -> Result<(), DemoError> {
    server.sql(
        "CREATE DATABASE shop; USE shop;
         CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) NOT NULL, spent DECIMAL(12,2) NOT NULL DEFAULT 0) ENGINE=InnoDB;
         CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, placed DATETIME NOT NULL, total DECIMAL(10,2) NOT NULL, KEY (customer)) ENGINE=InnoDB;
         CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, order_id INT NOT NULL, article VARCHAR(60) NOT NULL, price DECIMAL(8,2) NOT NULL, KEY (order_id)) ENGINE=InnoDB;
         INSERT INTO customers (name) SELECT CONCAT('customer ', seq) FROM seq_1_to_200;
         INSERT INTO orders (customer, placed, total) SELECT 1 + seq % 200, NOW(), seq % 97 FROM seq_1_to_5000;
         INSERT INTO items (order_id, article, price) SELECT seq % 5000 + 1, CONCAT('article ', seq), seq % 31 FROM seq_1_to_20000;",
    )?;
    Ok(())
}

/// Row count and checksum of each table.
pub(super) fn sums(server: &DemoServer<'_>) -> Result<Vec<(String, String, String)>, DemoError> {
    let mut sums = Vec::new();
    for table in TABLES {
        let last = |text: String| {
            text.lines().last().unwrap_or_default().split('\t').next_back().unwrap_or_default().to_owned()
        };
        let rows = last(server.sql(&format!("SELECT COUNT(*) FROM shop.{table}"))?);
        let sum = last(server.sql(&format!("CHECKSUM TABLE shop.{table} EXTENDED"))?);
        sums.push((table.to_owned(), rows, sum));
    }
    Ok(sums)
}

/// Orders that keep coming in until the load is stopped.
#[derive(Debug)]
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64, DemoError>>,
}

impl Load {
    /// Starts the load: one client, one order a transaction.
    pub(super) fn start(programs: &Programs, server: &DemoServer<'_>) -> Result<Self, DemoError> {
        let command: CommandSpec = server.client().statements("")?.stdin(Stdin::Pipe);
        let mut process = programs.executor.spawn(&[Launch { command, log: server.dir.join("load.log") }])?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (stdin, stdout) = (process.take_stdin(), process.take_stdout());
        let thread = std::thread::spawn(move || {
            let drain =
                stdout.map(|mut stdout| std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink())));
            let mut orders = 0;
            if let Some(mut stdin) = stdin {
                while !stopped.load(Ordering::Relaxed) {
                    let customer = orders % 200 + 1;
                    let written = writeln!(
                        stdin,
                        "BEGIN; INSERT INTO shop.orders (customer, placed, total) VALUES ({customer}, NOW(), {total}); \
                         INSERT INTO shop.items (order_id, article, price) VALUES (LAST_INSERT_ID(), 'article {orders}', {total}); \
                         UPDATE shop.customers SET spent = spent + {total} WHERE id = {customer}; COMMIT;",
                        total = orders % 89 + 1,
                    );
                    if written.and_then(|()| stdin.flush()).is_err() {
                        break;
                    }
                    orders += 1;
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
            let exits = process.wait(None)?;
            if let Some(drain) = drain {
                let _ = drain.join();
            }
            match exits {
                Some(exits) if exits.iter().all(|exit| exit.status.success()) => Ok(orders),
                _ => Err(DemoError::Failed { what: "the write load", output: "its client ended".into() }),
            }
        });
        Ok(Load { stop, thread })
    }

    /// Ends the load and returns how many orders came in.
    pub(super) fn stop(self) -> Result<u64, DemoError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or(Err(DemoError::Interrupted))
    }
}
