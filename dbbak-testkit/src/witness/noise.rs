//! A client that commits whenever it likes: its transactions stand between those of the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::model::{Change, Column};
use crate::server::{Server, ServerError, Session, Vendor};

/// The tag of its GTIDs on MySQL.
pub(super) const TAG: &str = "noise";

/// Its tables: each transaction puts the same number into both.
pub(super) const TABLES: [&str; 2] = ["noise.a", "noise.b"];

/// What one of its transactions does.
pub(super) fn changes(number: u64) -> Vec<Change> {
    TABLES.iter().map(|table| Change::Put((*table).to_owned(), number, Vec::new())).collect()
}

/// The columns of its tables but `id`: none.
pub(super) fn columns() -> Vec<Column> {
    Vec::new()
}

/// What it wrote, and whether it may go on.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The transactions that were acknowledged, with their GTIDs.
    pub(super) acknowledged: Vec<(u64, Option<String>)>,
    /// The one that is on its way.
    pub(super) doubtful: Option<u64>,
}

/// The client, in a thread of its own.
#[derive(Debug)]
pub(super) struct Noise {
    written: Arc<Mutex<Written>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Noise {
    pub(super) fn new() -> Self {
        Self { written: Arc::default(), stop: Arc::default(), thread: None }
    }

    /// Goes on from the number after the last one.
    pub(super) fn start(&mut self, server: &Server) -> Result<(), ServerError> {
        let vendor = server.options().vendor;
        let mut session = server.client()?;
        if vendor == Vendor::Mysql {
            session.run(&format!("SET gtid_next = 'AUTOMATIC:{TAG}'"))?;
        }
        let uuid = match vendor {
            Vendor::Mysql => server.try_sql("SELECT @@server_uuid")?.into_iter().flatten().next().unwrap_or_default(),
            Vendor::Mariadb => String::new(),
        };
        self.stop.store(false, Ordering::Relaxed);
        let (written, stop) = (Arc::clone(&self.written), Arc::clone(&self.stop));
        self.thread = Some(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mut pause = written.lock().unwrap_or_else(PoisonError::into_inner);
                let number = pause.acknowledged.len() as u64 + 1;
                pause.doubtful = Some(number);
                let Ok(gtid) = write(&mut session, vendor, &uuid, number) else { return };
                pause.acknowledged.push((number, Some(gtid)));
                pause.doubtful = None;
                drop(pause);
                thread::sleep(Duration::from_millis(15));
            }
        }));
        Ok(())
    }

    /// What it wrote: it commits nothing while this is locked.
    pub(super) fn written(&self) -> Arc<Mutex<Written>> {
        Arc::clone(&self.written)
    }

    /// Keeps it from committing while the guard lives.
    pub(super) fn hold(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets it end its transaction, and waits for the end of the thread.
    pub(super) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.ended();
    }

    /// Waits for the end of the thread, which the end of its server brings about.
    pub(super) fn ended(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Decides about the transaction that was on its way when the server died, by what the server has now.
    pub(super) fn resolve(&mut self, server: &Server) -> Result<(), ServerError> {
        let mut written = self.hold();
        if let Some(number) = written.doubtful.take() {
            let there = server.try_sql(&format!("SELECT id FROM noise.b WHERE id = {number}"))?;
            if !there.is_empty() {
                written.acknowledged.push((number, None));
            }
        }
        Ok(())
    }
}

fn write(session: &mut Session, vendor: Vendor, uuid: &str, number: u64) -> Result<String, ServerError> {
    let inserts: String = TABLES.iter().map(|table| format!("INSERT INTO {table} VALUES ({number}); ")).collect();
    let question = match vendor {
        Vendor::Mariadb => "SELECT @@last_gtid",
        Vendor::Mysql => "DO 0",
    };
    let rows = session.run(&format!("BEGIN; {inserts} COMMIT; {question}"))?;
    Ok(match vendor {
        Vendor::Mariadb => rows.into_iter().flatten().next().unwrap_or_default(),
        // It is the only one with its tag, and the server counts from 1.
        Vendor::Mysql => format!("{uuid}:{TAG}:{number}"),
    })
}
