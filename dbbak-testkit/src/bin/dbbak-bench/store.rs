//! Writes a large store through dbbak's own types: years of backups and binlogs, of which only those are real that
//! planning reads.

use crate::Failure;
use chrono::{DateTime, TimeDelta, Utc};
use dbbak_core::{
    model::{BackupId, BinlogCoordinates, BinlogName, LogTime, Lsn, Stamp},
    record::record_layout,
    store::{
        BackedUpServer, BackupMeta, BackupPaths, BinlogEnding, BinlogEntry, BinlogIndex, BinlogSource, Codec, Digest,
        FileEntry, FileList, LocalStore, LockRequest, LockScope, Manifest, ManifestEntry, PitrState, Session, Store,
        StoreFile, StoreKey, StoredBinlog, Sums, ToolRecord, layout,
    },
};
use dbbak_testkit::binlog_writer::{BinlogWriter, RowChange, TRANSACTIONAL, Vendor};
use std::{
    fs,
    io::Write,
    num::NonZero,
    path::{Path, PathBuf},
};

/// Backups in a chain, the full included.
const CHAIN: usize = 100;
/// Binlogs from one backup to the next, an hour later.
const BINLOGS_PER_BACKUP: usize = 10;
/// Seconds that a binlog spans.
const BINLOG_SECONDS: usize = 360;
/// Transactions in a binlog that is real, and those before a backup's coordinates.
const TRANSACTIONS: usize = 1000;
/// Files that a backup lists.
const LISTED_FILES: usize = 60;

/// How large a store is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) backups: usize,
    pub(crate) binlogs: usize,
}

impl Size {
    /// So many backups with the binlogs between them.
    pub(crate) fn of_backups(backups: usize) -> Self {
        Size { backups, binlogs: backups * BINLOGS_PER_BACKUP }
    }
}

/// A store that was written.
#[derive(Debug)]
pub(crate) struct LargeStore {
    pub(crate) root: PathBuf,
    pub(crate) size: Size,
    version: String,
}

/// The bytes of a real binlog, and the offset after each transaction.
struct RealBinlog {
    bytes: Vec<u8>,
    ends: Vec<u64>,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_704_067_200, 0).unwrap_or_default()
}

fn seconds(at: DateTime<Utc>) -> u32 {
    at.timestamp().try_into().unwrap_or(u32::MAX)
}

fn name(number: usize) -> Result<BinlogName, Failure> {
    Ok(format!("mysql-bin.{:06}", number + 1).parse()?)
}

/// A number that stands for a digest which nothing checks.
fn made_up(what: &str, number: usize) -> Digest {
    Digest::of(format!("{what} {number}").as_bytes())
}

impl LargeStore {
    /// Writes a store; `version` is that of the server and tool that it claims to be of.
    pub(crate) fn write(root: &Path, size: Size, version: &str) -> Result<Self, Failure> {
        let large = LargeStore { root: root.to_owned(), size, version: version.to_owned() };
        fs::create_dir_all(root)?;
        let store = LocalStore::new(root);
        let scopes = [LockScope::Backups, LockScope::Binlogs];
        let session = store.lock_many(&scopes, &LockRequest::new("dbbak-bench"))?;
        record_layout(&*session, &StoreFile::new(uuid::Uuid::new_v4(), start()))?;
        large.write_binlogs(&*session)?;
        large.write_backups(&*session)?;
        session.release()?;
        Ok(large)
    }

    /// A moment in the last binlog but one: the longest chain leads to it.
    pub(crate) fn target(&self) -> DateTime<Utc> {
        self.binlog_start(self.size.binlogs - 2) + TimeDelta::seconds(100)
    }

    /// The content of a binlog after the last archived one.
    pub(crate) fn next_binlog(&self, later: usize) -> Result<(BinlogName, Vec<u8>), Failure> {
        let number = self.size.binlogs + later;
        Ok((name(number)?, self.real_binlog(number)?.bytes))
    }

    fn binlog_start(&self, number: usize) -> DateTime<Utc> {
        start() + TimeDelta::seconds((number * BINLOG_SECONDS) as i64)
    }

    /// The binlogs after the last backup are real.
    fn first_real(&self) -> usize {
        self.size.binlogs - BINLOGS_PER_BACKUP
    }

    fn real_binlog(&self, number: usize) -> Result<RealBinlog, Failure> {
        let begins = seconds(self.binlog_start(number));
        let mut log = BinlogWriter::new(Vendor::Mariadb, true, begins);
        let before = format!("0-1-{}", number * TRANSACTIONS);
        log.gtid_list(&before.parse()?);
        let mut ends = Vec::with_capacity(TRANSACTIONS);
        for transaction in 0..TRANSACTIONS {
            log.time = begins + (transaction * (BINLOG_SECONDS - 1) / TRANSACTIONS) as u32;
            log.mariadb_gtid(0, (number * TRANSACTIONS + transaction + 1) as u64, TRANSACTIONAL);
            log.table_map(18, "shop", "orders");
            log.rows(RowChange::Insert, 18, &[(transaction as i32, "a row of some length, as rows are")], true);
            ends.push(log.xid(transaction as u64));
        }
        log.rotate(name(number + 1)?.as_str());
        Ok(RealBinlog { bytes: log.into_bytes(), ends })
    }

    fn write_binlogs(&self, session: &dyn Session) -> Result<(), Failure> {
        let mut index = BinlogIndex::default();
        let version = BinlogIndex::load(session, Sums::Required)?.map(|(_, version)| version);
        let dir = self.root.join("binlogs");
        for number in 0..self.size.binlogs {
            let mut entry = self.binlog_entry(number)?;
            let path = dir.join(entry.stored_as.as_str());
            if number < self.first_real() {
                fs::write(path, b"")?;
            } else {
                let real = self.real_binlog(number)?;
                entry.size = real.bytes.len() as u64;
                entry.head = Some(head_of(&real)?);
                let stored = Codec::Gzip.encode(fs::File::create(path)?, NonZero::<usize>::MIN);
                let mut stored = stored?;
                stored.write_all(&real.bytes)?;
                stored.finish()?;
            }
            index.append(entry);
        }
        index.save(session, version.as_ref())?;
        Ok(())
    }

    /// An entry with every fact that shipping records.
    fn binlog_entry(&self, number: usize) -> Result<BinlogEntry, Failure> {
        let first = self.binlog_start(number);
        let last = LogTime::from_utc(first + TimeDelta::seconds(BINLOG_SECONDS as i64 - 1));
        let name = name(number)?;
        let stored = StoredBinlog {
            first: Stamp::to_the_minute(first),
            name: name.clone(),
            digest: None,
            coding: Codec::Gzip.suffix().to_owned(),
        };
        let first = LogTime::from_utc(first);
        let after = (number + 1) * TRANSACTIONS;
        Ok(BinlogEntry {
            timeline: Some("t1".into()),
            source: Some(BinlogSource {
                server_id: Some(1),
                version: Some(self.version.clone()),
                flavor: Some("mariadb".into()),
                ..BinlogSource::default()
            }),
            head: Some(made_up("head", number)),
            digest: Some(made_up("content", number)),
            stored_digest: Some(made_up("stored", number)),
            stored_size: Some(20_000_000),
            max_event_time: Some(last),
            first_transaction_time: Some(first),
            last_transaction_time: Some(last),
            transactions: Some(TRANSACTIONS as u64),
            gtids_before: Some(format!("0-1-{}", number * TRANSACTIONS)),
            gtids_added: Some(format!("0-1-{after}")),
            ending: Some(BinlogEnding::Rotate),
            successor: Some(name.successor()),
            reaches: Some(last),
            archived_at: Some(last.at() + TimeDelta::seconds(30)),
            ..BinlogEntry::basic(name, stored.stored_as()?, 104_857_600, first, last)
        })
    }

    fn write_backups(&self, session: &dyn Session) -> Result<(), Failure> {
        let (_, version) = Manifest::load(session, Sums::Required)?.unzip();
        let mut manifest = Manifest::default();
        let stamps: Vec<Stamp> = (0..self.size.backups).map(|number| self.backup_stamp(number)).collect();
        let list = listed_files()?;
        for number in 0..self.size.backups {
            let root = stamps[number - number % CHAIN];
            let id = match number % CHAIN {
                0 => BackupId::full(stamps[number]),
                _ => BackupId::incremental(stamps[number], root),
            };
            let parent = number.checked_sub(1).filter(|_| id.base.is_some()).map(|parent| stamps[parent]);
            let entry = self.backup_entry(id, number, parent, Digest::of(&list))?;
            manifest.entries.push(self.write_backup(&entry, &list)?);
        }
        manifest.save(session, version.as_ref())?;
        Ok(())
    }

    fn backup_stamp(&self, number: usize) -> Stamp {
        Stamp::to_the_minute(self.binlog_start(number * BINLOGS_PER_BACKUP))
    }

    fn backup_entry(
        &self,
        id: BackupId,
        number: usize,
        parent: Option<Stamp>,
        files_digest: Digest,
    ) -> Result<ManifestEntry, Failure> {
        let binlog = number * BINLOGS_PER_BACKUP;
        let (head, position) = if binlog >= self.first_real() {
            let real = self.real_binlog(binlog)?;
            (head_of(&real)?, real.ends[TRANSACTIONS / 3])
        } else {
            (made_up("head", binlog), 100_000)
        };
        let lsn = |number: usize| Lsn(1_000_000 + number as u64 * 50_000);
        Ok(ManifestEntry {
            parent,
            from_lsn: Some(if parent.is_some() { lsn(number) } else { Lsn(0) }),
            to_lsn: Some(lsn(number + 1)),
            started_at: Some(id.ts.at()),
            ended_at: Some(id.ts.at() + TimeDelta::seconds(120)),
            binlog: Some(BinlogCoordinates {
                file: name(binlog)?,
                position,
                gtid: Some(format!("0-1-{}", binlog * TRANSACTIONS + TRANSACTIONS / 3)),
            }),
            binlog_head: Some(head),
            pitr: Some(PitrState::Yes),
            server: Some(BackedUpServer {
                id: Some(1),
                version: Some(self.version.clone()),
                flavor: Some("mariadb".into()),
                ..BackedUpServer::default()
            }),
            engine: Some("mariadb-backup".into()),
            tool_version: Some(self.version.clone()),
            lock_seconds: Some(0.25),
            format: Some("directory".into()),
            files_digest: Some(files_digest),
            ..ManifestEntry::basic(id, Some(1 << 30))
        })
    }

    fn write_backup(&self, entry: &ManifestEntry, list: &[u8]) -> Result<ManifestEntry, Failure> {
        let dir = self.root.join(entry.id().to_string());
        fs::create_dir_all(dir.join("raw"))?;
        let paths = BackupPaths { raw: Some("raw".into()), ..BackupPaths::default() };
        let cmd = Some("mariadb-backup --backup --target-dir=raw --parallel=4".to_owned());
        let meta = BackupMeta::new(entry.clone(), paths, ToolRecord { cmd, ..ToolRecord::default() });
        let bytes = meta.to_bytes();
        fs::write(dir.join("meta.json"), &bytes)?;
        fs::write(dir.join("files.json"), list)?;
        fs::write(dir.join("raw/backup-my.cnf"), "[mysqld]\ninnodb_page_size=16384\ninnodb_data_home_dir=\n")?;
        let variables = self.root.join(layout::server_variables(&entry.id()).as_str());
        fs::create_dir_all(dir.join("server"))?;
        fs::write(variables, r#"{"time_zone":"SYSTEM","system_time_zone":"UTC","binlog_format":"ROW"}"#)?;
        Ok(meta.manifest_entry(Digest::of(&bytes)))
    }
}

fn head_of(real: &RealBinlog) -> Result<Digest, Failure> {
    let head = dbbak_core::binlog::read_head(&mut real.bytes.as_slice())?;
    Ok(head.digest.parse()?)
}

/// The content of a `files.json` with as many files as a small server has.
fn listed_files() -> Result<Vec<u8>, Failure> {
    let mut entries = Vec::with_capacity(LISTED_FILES);
    for number in 0..LISTED_FILES {
        let path: StoreKey = format!("raw/shop/table_{number:03}.ibd").parse()?;
        // Small, for the plan of a restore asks for as much free room as the chain's files would take.
        entries.push(FileEntry::file(path, 1 << 17, made_up("table", number)));
    }
    Ok(FileList::new(entries).to_bytes())
}
