//! What the binlog index says of one archived binlog.

use super::{Digest, KeyPart};
use crate::model::{BinlogName, LogTime, Lsn, readable_gtids};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// One archived binlog. Entries of other programs may hold the first five fields only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BinlogEntry {
    /// The name that the server gave it.
    pub name: BinlogName,
    /// The name that it has in the store.
    pub stored_as: KeyPart,
    /// Bytes of the original.
    pub size: u64,
    /// The stamp of its first event.
    pub first_event_time: LogTime,
    /// The stamp of its last event.
    pub last_event_time: LogTime,
    /// The timeline that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeline: Option<String>,
    /// The server that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<BinlogSource>,
    /// The digest of the original's head, which tells it from a later file of the same name before it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<Digest>,
    /// The digest of the original, its in-use bit taken as clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The digest of what lies in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_digest: Option<Digest>,
    /// Bytes of what lies in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<u64>,
    /// The latest stamp of any event; the last event's need not be the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_event_time: Option<LogTime>,
    /// The newest event stamp of its first transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_transaction_time: Option<LogTime>,
    /// The newest event stamp of all its transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transaction_time: Option<LogTime>,
    /// The commit time of its first transaction that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_commit_time: Option<LogTime>,
    /// The latest commit time of its transactions, where the log has commit times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_commit_time: Option<LogTime>,
    /// How exact the times of its transactions are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_times: Option<TimePrecision>,
    /// Whether it was archived in the clear although its server has it encrypted (MariaDB): the event that begins the
    /// encryption is still in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decrypted: Option<bool>,
    /// How many transactions it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transactions: Option<u64>,
    /// Its transaction index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<TransactionIndexFile>,
    /// The GTIDs of everything before it, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_gtids")]
    pub gtids_before: Option<String>,
    /// The GTIDs that it adds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_gtids")]
    pub gtids_added: Option<String>,
    /// MariaDB, where the sequence numbers of a domain went back in it: the last transaction of each domain and server, in the order of the
    /// log and not of the numbers.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "readable_gtids")]
    pub gtids_last: Option<String>,
    /// How it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<BinlogEnding>,
    /// The name of the file that follows, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<BinlogName>,
    /// The moment up to which it and the files before it hold everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaches: Option<LogTime>,
    /// What is wrong with it, where something is: nothing may be replayed past the last good transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<BinlogDamage>,
    /// That it is not whole: the end was not to be had when it was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<PartialBinlog>,
    /// When it was archived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<DateTime<Utc>>,
    /// The data of the server that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataState>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What told a server's data from others when a binlog was archived: data that were put back leave the binlogs as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataState {
    /// When the first file of InnoDB's system tablespace was made; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub born: Option<DateTime<Utc>>,
    /// The server's LSN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lsn: Option<Lsn>,
    /// MariaDB from 10.8 on: the LSN that the server was started at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Lsn>,
    /// The restore of this program that they came from, by the mark that lay in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Uuid>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// The server that wrote a binlog.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BinlogSource {
    /// Its `server_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_id: Option<u32>,
    /// Its `server_uuid`; MariaDB has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Its version, as the binlog says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its flavour: `mysql`, `percona` or `mariadb`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<String>,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// What is known of the times of a binlog's transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimePrecision {
    /// All are commit times, to the microsecond.
    Commit,
    /// All are starts of statements, to the second: lower bounds of the commit times.
    LowerBound,
    /// Some are these, some those.
    Mixed,
}

/// The transaction index beside an archived binlog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionIndexFile {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How a binlog ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BinlogEnding {
    /// With the event that names the next file.
    Rotate,
    /// With the event of an orderly shutdown.
    Stop,
    /// Without either, and the server has gone on to another file: it crashed.
    Crashed,
    /// It was still being written.
    InUse,
}

/// What is wrong with a binlog.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BinlogDamage {
    /// In words.
    pub what: String,
    /// Bytes from the file's start to the end of the last transaction that is good.
    pub last_good: u64,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How much of a binlog there is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartialBinlog {
    /// Bytes from the file's start to the end of the last whole transaction.
    pub last_good: u64,
    /// Members that this program does not know, kept through a rewrite.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

impl BinlogEntry {
    /// The end of the second in which its last event, or the last commit that it logs, was stamped: the whole file is older.
    pub fn end_of_last_event(&self) -> LogTime {
        let last = self.last_event_time.end_of_second();
        self.newest_commit_time.map_or(last, |commit| last.max(commit.end_of_second()))
    }

    /// An entry with the basic fields only.
    pub fn basic(name: BinlogName, stored_as: KeyPart, size: u64, first: LogTime, last: LogTime) -> Self {
        BinlogEntry {
            name,
            stored_as,
            size,
            first_event_time: first,
            last_event_time: last,
            timeline: None,
            source: None,
            head: None,
            digest: None,
            stored_digest: None,
            stored_size: None,
            max_event_time: None,
            first_transaction_time: None,
            last_transaction_time: None,
            first_commit_time: None,
            newest_commit_time: None,
            transaction_times: None,
            decrypted: None,
            transactions: None,
            tx: None,
            gtids_before: None,
            gtids_added: None,
            gtids_last: None,
            ending: None,
            successor: None,
            reaches: None,
            damaged: None,
            partial: None,
            archived_at: None,
            data: None,
            unknown: BTreeMap::new(),
        }
    }
}
