//! What a survey would find out about a history's server, machine and archive.

use super::{ArchivedCopy, History, LoggedTransaction, archive::ROOT};
use chrono::{DateTime, Utc};
use dbbak_core::{
    catalog::{Catalog, Timeline},
    config::Config,
    facts::{
        CutFact, CutPlace, Facts, HeadFact, ListedBinlog, ServerFacts, SourceBinlog, SourceBinlogs, StartFact,
        StoredBackup, TransactionFact,
    },
    model::{BinlogCoordinates, BinlogName, LogTime, TreeName},
    probe::{Filesystem, HostFacts, PathState, TreeSize},
    store::BinlogEntry,
    tools::Grants,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The server's data directory.
pub const DATADIR: &str = "/var/lib/mysql";
/// The directory for private copies.
pub const SCRATCH: &str = "/scratch";

impl History {
    /// A configuration that suits the server.
    pub fn config(&self) -> Config {
        let yaml = format!("nfs_root: {ROOT}\nmysql_option_file: /etc/dbbak/my.cnf\nscratch_dir: {SCRATCH}\n");
        Config::parse(yaml.as_bytes(), None).expect("a valid configuration")
    }

    /// What a survey for a backup finds, or for shipping.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts::of_host(HostFacts {
            name: "db1".into(),
            utc_offset_seconds: 7200,
            time_zone: Some("Europe/Berlin".into()),
            root: false,
            temp_dir: "/tmp".into(),
        });
        facts.tools = self.product.tools();
        facts.server = Some(Ok(self.server()));
        for (path, device, network) in [(ROOT, 1, true), (SCRATCH, 2, false), (DATADIR, 3, false)] {
            let (free, total) = (1 << 40, 1 << 41);
            let filesystem = Filesystem { free, total, network, read_only: false, device };
            facts.filesystems.insert(path.into(), filesystem);
            let directory = PathState::Directory { empty: false, mode: 0o750, owner: 1000, writable: true };
            facts.paths.insert(path.into(), directory);
        }
        facts.sizes.insert(DATADIR.into(), TreeSize { bytes: 10_000, files: 20 });
        facts.source = Some(self.source(true));
        facts
    }

    /// What a survey for a restore to a moment finds; without one, for a restore of a backup as it is.
    pub fn restore_facts(&self, catalog: &Catalog, target: Option<DateTime<Utc>>) -> Facts {
        let mut facts = Facts { source: None, ..self.facts() };
        facts.sizes.clear();
        for timeline in catalog.timelines() {
            facts.cuts.extend(target.map(|target| self.cut(&timeline, target)));
        }
        for backup in self.backups.iter().filter(|backup| !backup.lost) {
            let mut trees = BTreeMap::from([(TreeName::Raw, Some(10_000))]);
            if backup.parent.is_none() {
                trees.extend([(TreeName::PreparedRedo, Some(10_000)), (TreeName::PreparedFinal, Some(10_000))]);
            }
            let stored = StoredBackup {
                trees,
                list_digest: None,
                outside_paths: Vec::new(),
                settings: BTreeMap::from([("innodb_page_size".into(), "16384".into())]),
                variables: self.server().variables,
            };
            facts.stored.insert(backup.id.to_string(), stored);
            let file = &self.files[backup.file];
            let whole = |transaction: &&LoggedTransaction| transaction.end <= backup.position;
            facts.starts.push(StartFact {
                backup: backup.id.ts,
                coordinates: BinlogCoordinates { file: file.name.clone(), position: backup.position, gtid: None },
                boundary: true,
                transactions_before: file.transactions.iter().filter(whole).count() as u64,
                transactions: file.transactions.len() as u64,
            });
        }
        facts
    }

    /// The copy that an index entry stands for.
    pub fn copy_of(&self, entry: &BinlogEntry) -> Option<&ArchivedCopy> {
        let digest = |copy: &&ArchivedCopy| {
            Some(self.head(copy.file)) == entry.head && entry.transactions == Some(copy.transactions as u64)
        };
        self.archived.iter().find(digest)
    }

    fn cut(&self, timeline: &Timeline<'_>, target: DateTime<Utc>) -> CutFact {
        let mut fact = CutFact { timeline: timeline.id.clone(), target, cut: None, last_included: None };
        let mut newest: Option<DateTime<Utc>> = None;
        for entry in &timeline.files {
            let Some(copy) = self.copy_of(entry) else { continue };
            for (before, transaction) in self.copied(copy).iter().enumerate() {
                newest = newest.max(Some(transaction.time));
                let time = if self.product.logs_commit_times() { Some(transaction.time) } else { newest };
                let time = time.unwrap_or(transaction.time);
                let shown = self.transaction_fact(copy.file, before, time);
                match &mut fact.cut {
                    Some(cut) if time < target => cut.earlier_after_cut.push(shown),
                    Some(_) => {}
                    None if time < target => fact.last_included = Some(shown),
                    None => {
                        fact.cut = Some(CutPlace {
                            file: entry.name.clone(),
                            position: transaction.start,
                            transactions_before: before as u64,
                            first_excluded: shown,
                            earlier_after_cut: Vec::new(),
                        });
                    }
                }
            }
        }
        fact
    }

    fn transaction_fact(&self, file: usize, before: usize, time: DateTime<Utc>) -> TransactionFact {
        let (log, product) = (&self.files[file], self.product);
        let transaction = &log.transactions[before];
        let time = match product.logs_commit_times() {
            true => LogTime::from_utc(time),
            false => LogTime::from_seconds(time.timestamp() as u32),
        };
        TransactionFact {
            file: log.name.clone(),
            start: transaction.start,
            end: transaction.end,
            gtid: product.has_gtids().then(|| product.gtid(log.history, log.before + before as u64 + 1)),
            time,
            committed_at: product.logs_commit_times(),
            tables: vec!["shop.orders".into()],
            statement: Some(format!("INSERT INTO orders VALUES ({})", transaction.number)),
        }
    }

    fn server(&self) -> ServerFacts {
        let listed = self.files.iter().filter(|file| file.present);
        let variables = [
            ("version", self.product.version_text()),
            ("time_zone", "SYSTEM".into()),
            ("system_time_zone", "UTC".into()),
            ("binlog_format", "ROW".into()),
        ];
        ServerFacts {
            flavor: self.product.flavor(),
            version: self.product.version(),
            version_text: self.product.version_text(),
            server_id: 1,
            uuid: self.server_record().uuid,
            datadir: DATADIR.into(),
            log_bin: true,
            log_bin_basename: Some(Path::new(DATADIR).join("binlog")),
            lsn: Some(dbbak_core::model::Lsn(self.lsn)),
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            binlogs: listed
                .map(|file| ListedBinlog { name: file.name.clone(), size: file.size(), encrypted: None })
                .collect(),
            now: Some(self.now),
            grants: Grants::default(),
        }
    }

    /// The server's binlogs, as a survey before shipping finds them.
    pub fn source(&self, listed_by_server: bool) -> SourceBinlogs {
        let dir = PathBuf::from(DATADIR);
        let last = self.open_file();
        let file = |(place, file): (usize, &super::LogFile)| SourceBinlog {
            path: Some(dir.join(file.name.as_str())),
            name: file.name.clone(),
            size: file.size(),
            open: place == last,
            head: Some(HeadFact {
                digest: self.head(place),
                first_event_time: LogTime::from_seconds(file.opened.timestamp() as u32),
                server_id: 1,
                server_version: self.product.version_text(),
                family: self.product.family(),
                gtids_before: self.product.has_gtids().then(|| self.product.gtids(file.history, 1, file.before)),
            }),
            problem: None,
            sealed: false,
            digest: None,
            good_end: (place == last && !listed_by_server).then(|| file.end()),
        };
        let present = self.files.iter().enumerate().filter(|(_, file)| file.present);
        SourceBinlogs { dir: dir.clone(), listed_by_server, files: present.map(file).collect() }
    }

    /// Has the server purge its binlogs before the one with a number.
    pub fn purge_to(&mut self, number: u64) -> &mut Self {
        let purged = |name: &BinlogName| name.number() < number;
        self.files.iter_mut().filter(|file| purged(&file.name)).for_each(|file| file.present = false);
        self
    }
}
