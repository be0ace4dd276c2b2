//! The time of transactions, as design and documentation define it.

use crate::{binlog::TransactionTime, model::LogTime, store::BinlogEntry};

/// The time of transactions in log order: the commit time where the log has one (the original server's), else the newest
/// stamp of the transactions up to it, a lower bound.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogClock {
    newest_seconds: u32,
}

impl LogClock {
    /// Takes note of the newest stamp of transactions that are passed over.
    pub fn see_seconds(&mut self, seconds: u32) {
        self.newest_seconds = self.newest_seconds.max(seconds);
    }

    /// Takes note of a whole file by what the index says of it.
    pub fn see_file(&mut self, file: &BinlogEntry) {
        let newest = match file.transactions {
            Some(0) => None,
            Some(_) => file.last_transaction_time,
            None => file.max_event_time,
        };
        self.see_seconds(newest.and_then(|newest| newest.at().timestamp().try_into().ok()).unwrap_or(0));
    }

    /// The time of the next transaction, and whether it is the commit time.
    pub fn time_of(&mut self, time: &TransactionTime) -> (LogTime, bool) {
        self.see_seconds(time.header_max);
        let commit = time.commit().and_then(LogTime::from_micros);
        (commit.unwrap_or_else(|| LogTime::from_seconds(self.newest_seconds)), commit.is_some())
    }

    /// The time that a transaction has by itself, whatever came before it.
    pub fn own_time(time: &TransactionTime) -> LogTime {
        time.commit().and_then(LogTime::from_micros).unwrap_or_else(|| LogTime::from_seconds(time.header_max))
    }
}
