//! Finding transactions in a large archive.

use crate::{
    Failure, Options,
    measure::{Run, Spread, run},
    report::{Row, Section},
    transactions::{Random, START, small_transaction},
};
use chrono::{DateTime, Utc};
use dbbak_core::{
    model::{BinlogName, LogTime, Stamp},
    record::record_layout,
    store::{
        BinlogEntry, BinlogIndex, Digest, HashingWriter, LocalStore, LockRequest, LockScope, Session, Store, StoreFile,
        StoredBinlog, Sums, TimePrecision, TransactionIndexFile, layout,
        transactions::{IndexedFile, TransactionWriter},
    },
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(1);
const SECONDS_ALLOWED: f64 = 2.0;
const PER_FILE: u64 = 100_000;

/// Measures searching.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let files: u64 = if options.quick { 10 } else { 100 };
    let root = dir.join("find-store");
    let started = Instant::now();
    crate::say(&format!("writing the transaction indexes of {files} binlogs"));
    let (index_bytes, binlog_bytes, middle) = write(&root, files)?;
    crate::say(&format!("written in {:.1} s", started.elapsed().as_secs_f64()));
    let config = dir.join("find.yml");
    fs::write(&config, format!("nfs_root: {}\n", root.display()))?;
    let bench = Bench { dbbak, config, log: dir.join("find.log"), repetitions: options.repetitions() * 2 };
    let time = |seconds: u64| {
        let at = DateTime::<Utc>::from_timestamp(seconds as i64, 0).unwrap_or_default();
        at.format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let (since, until) = (time(middle), time(middle + 60));
    let timed: [(&str, &[&str]); 6] = [
        ("--table shop.orders (one transaction of 12)", &["--table", "shop.orders"]),
        ("--table shop.rare (one of 50,000)", &["--table", "shop.rare"]),
        ("--kind drop (one of 100,000)", &["--kind", "drop"]),
        ("--kind delete (one of 3)", &["--kind", "delete"]),
        (
            "--table shop.orders --kind delete --min-rows 1",
            &["--table", "shop.orders", "--kind", "delete", "--min-rows", "1"],
        ),
        ("--since T --until T + 1 minute", &["--since", &since, "--until", &until]),
    ];
    let mut rows = Vec::new();
    for (title, arguments) in timed {
        let (seconds, peak) = bench.find(title, arguments)?;
        rows.push(Row::limited(format!("find {title}: time"), seconds, 3, " s", 1.0, SECONDS_ALLOWED));
        rows.push(Row::free(format!("find {title}: peak memory"), peak, 0, " MB", 1e-6));
    }
    let (seconds, peak) = bench.find("--statement", &["--statement", "values \\(4712, "])?;
    rows.push(Row::free("find --statement 'values \\(4712, ': time".into(), seconds, 3, " s", 1.0));
    rows.push(Row::free("find --statement: peak memory".into(), peak, 0, " MB", 1e-6));
    if !options.keep {
        fs::remove_dir_all(&root)?;
    }
    Ok(Section {
        name: "find",
        title: format!("Finding among {} transactions", files * PER_FILE),
        method: format!(
            "An archive of {files} binlogs with {PER_FILE} small transactions each, in 12 tables and a rare one, with GTIDs, commit \
             times and statements. Only what `find` reads is there: the index and the transaction indexes, which dbbak's own \
             writer wrote from made-up transactions; the binlogs themselves ({:.1} GB, had they been written) are not. The \
             transaction indexes have {:.0} MB, the statements' text included. Each command is a new process that finds all \
             and shows the newest 20; the files are in the page cache.",
            binlog_bytes as f64 / 1e9,
            index_bytes as f64 / 1e6
        ),
        rows,
        table: Vec::new(),
    })
}

/// Writes the archive; returns the bytes of the transaction indexes, those of the binlogs that they stand for, and a time
/// in the middle, in seconds since 1970.
fn write(root: &Path, files: u64) -> Result<(u64, u64, u64), Failure> {
    fs::create_dir_all(root)?;
    let store = LocalStore::new(root);
    let session = store.lock_many(&[LockScope::Backups, LockScope::Binlogs], &LockRequest::new("dbbak-bench"))?;
    record_layout(&*session, &StoreFile::new(uuid::Uuid::new_v4(), Utc::now()))?;
    let version = BinlogIndex::load(&*session, Sums::Required)?.map(|(_, version)| version);
    let mut index = BinlogIndex::default();
    let (mut random, mut micros, mut number) = (Random::new(2), START * 1_000_000, 0);
    let (mut index_bytes, mut binlog_bytes, mut middle) = (0, 0, START);
    for file in 1..=files {
        if file == files / 2 {
            middle = micros / 1_000_000;
        }
        let entry = write_file(&*session, file, &mut random, &mut number, &mut micros)?;
        index_bytes += entry.tx.as_ref().map_or(0, |tx| tx.size);
        binlog_bytes += entry.size;
        index.append(entry);
    }
    index.save(&*session, version.as_ref())?;
    session.release()?;
    Ok((index_bytes, binlog_bytes, middle))
}

fn write_file(
    session: &dyn Session,
    file: u64,
    random: &mut Random,
    number: &mut u64,
    micros: &mut u64,
) -> Result<BinlogEntry, Failure> {
    let name: BinlogName = format!("mysql-bin.{file:06}").parse()?;
    let first = LogTime::from_seconds((*micros / 1_000_000) as u32);
    let stored = StoredBinlog {
        first: Stamp::to_the_minute(first.at()),
        name: name.clone(),
        digest: None,
        coding: ".gz".into(),
    };
    let stored_as = stored.stored_as()?;
    let mut publish = session.publish(&layout::transactions(&stored_as))?;
    let mut writer = TransactionWriter::new(HashingWriter::new(&mut publish))?;
    let (mut at, begin) = (157, *number + 1);
    for _ in 0..PER_FILE {
        *number += 1;
        writer.push(&small_transaction(random, *number, &mut at, micros))?;
    }
    let digest = Digest::of(name.as_str().as_bytes());
    let stamp = (*micros / 1_000_000) as u32;
    let written = writer.finish(&IndexedFile { digest, size: at, max_event_stamp: stamp })?;
    let tx = TransactionIndexFile { digest: written.digest(), size: written.count(), unknown: Default::default() };
    publish.commit()?;
    let last = LogTime::from_seconds(stamp);
    Ok(BinlogEntry {
        timeline: Some("t1".into()),
        digest: Some(digest),
        max_event_time: Some(last),
        first_transaction_time: Some(first),
        last_transaction_time: Some(last),
        newest_commit_time: LogTime::from_micros(*micros),
        transaction_times: Some(TimePrecision::Commit),
        transactions: Some(PER_FILE),
        gtids_added: Some(format!("{}:{begin}-{number}", uuid::Uuid::from_u128(0x1234_5678_9abc_def0))),
        tx: Some(tx),
        ..BinlogEntry::basic(name, stored_as, at, first, last)
    })
}

struct Bench<'a> {
    dbbak: &'a Path,
    config: PathBuf,
    log: PathBuf,
    repetitions: usize,
}

impl Bench<'_> {
    fn find(&self, title: &str, arguments: &[&str]) -> Result<(Spread, Spread), Failure> {
        let once = || {
            let mut command = Command::new(self.dbbak);
            command.arg("--config-path").arg(&self.config).arg("find").args(arguments);
            run(&mut command, &self.log, TICK)
        };
        // The first run brings the files into the page cache.
        once()?;
        let said = fs::read_to_string(&self.log)?;
        let found = said.lines().next().unwrap_or_default().to_owned();
        if !found.contains(" found in ") || found.starts_with("nothing") {
            return Err(Failure(format!("find {title} found nothing: {said}")));
        }
        let runs: Vec<Run> = (0..self.repetitions).map(|_| once()).collect::<Result<_, _>>()?;
        let seconds = Spread::of(runs.iter().map(|run| run.seconds));
        crate::say(&format!("find {title}: {}; {found}", seconds.text(3, " s")));
        Ok((seconds, Spread::of(runs.iter().map(|run| run.peak as f64))))
    }
}
