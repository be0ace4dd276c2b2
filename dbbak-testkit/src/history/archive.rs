//! Ships a history's binlogs, and shows its store as a catalog.

use super::{ArchivedCopy, History, LoggedTransaction, TakenBackup};
use dbbak_core::{
    catalog::Catalog,
    model::{BinlogCoordinates, LogTime, Stamp},
    store::{
        BackedUpServer, BinlogDamage, BinlogEnding, BinlogEntry, Digest, KeyPart, ManifestEntry, PartialBinlog,
        PitrState, StoreFile,
    },
};
use std::{collections::BTreeSet, path::PathBuf};
use uuid::Uuid;

/// The store's root.
pub const ROOT: &str = "/backup";

impl History {
    /// Archives the closed binlogs that the server has and the archive lacks.
    pub fn ship(&mut self) -> &mut Self {
        for file in 0..self.files.len() {
            let held = self.archived.iter().any(|copy| copy.file == file && !copy.partial);
            if self.files[file].present && self.files[file].closed.is_some() && !held {
                self.archive(file, self.files[file].transactions.len(), false);
            }
        }
        self
    }

    /// Archives what there is, the open binlog too, as of a dead server.
    pub fn rescue(&mut self) -> &mut Self {
        self.ship();
        let open = self.open_file();
        self.archive(open, self.files[open].transactions.len(), true);
        self
    }

    fn archive(&mut self, file: usize, transactions: usize, partial: bool) {
        let at = self.now;
        self.archived.push(ArchivedCopy { file, transactions, at, partial, damaged: false, lost: false });
    }

    /// Has the index lose every copy of a binlog of the present history, by the number in its name.
    pub fn lose_binlog(&mut self, number: u64) -> &mut Self {
        for copy in &mut self.archived {
            let file = &self.files[copy.file];
            copy.lost |= file.history == self.history && file.name.number() == number;
        }
        self
    }

    /// Damages the archived binlog of a number in the present history behind some of its transactions.
    pub fn damage_binlog(&mut self, number: u64, good: usize) -> &mut Self {
        for copy in &mut self.archived {
            let file = &self.files[copy.file];
            if file.history == self.history && file.name.number() == number {
                (copy.damaged, copy.transactions) = (true, good);
            }
        }
        self
    }

    /// Has the manifest lose a backup.
    pub fn lose_backup(&mut self, ts: Stamp) -> &mut Self {
        self.backups.iter_mut().filter(|backup| backup.id.ts == ts).for_each(|backup| backup.lost = true);
        self
    }

    /// The store, as a planner sees it.
    pub fn catalog(&self) -> Catalog {
        let entries: Vec<ManifestEntry> =
            self.backups.iter().filter(|backup| !backup.lost).map(|backup| self.manifest_entry(backup)).collect();
        let names: BTreeSet<String> = self.backups.iter().map(|backup| backup.id.to_string()).collect();
        let store = StoreFile::new(Uuid::nil(), super::at("00:00"));
        Catalog::from_parts(Some(store), Some(PathBuf::from(ROOT)), entries, &[], self.index(), names)
    }

    /// The binlog index.
    pub fn index(&self) -> Vec<BinlogEntry> {
        let mut taken = BTreeSet::new();
        let kept = self.archived.iter().filter(|copy| !copy.lost);
        kept.map(|copy| {
            let mut entry = self.binlog_entry(copy);
            if !taken.insert(entry.stored_as.clone()) {
                let marked = entry.stored_as.as_str().replace(".gz", &format!("-{}.gz", taken.len()));
                entry.stored_as = KeyPart::new(marked).expect("a name");
            }
            entry
        })
        .collect()
    }

    /// The digest of a binlog's head.
    pub fn head(&self, file: usize) -> Digest {
        let file = &self.files[file];
        Digest::of(format!("{}/{}", file.history, file.name).as_bytes())
    }

    /// The digest of a binlog's bytes before a position.
    pub fn prefix(&self, file: usize, position: u64) -> Digest {
        let file = &self.files[file];
        Digest::of(format!("{}/{}/{position}", file.history, file.name).as_bytes())
    }

    /// The transactions of a copy that can be replayed.
    pub fn copied(&self, copy: &ArchivedCopy) -> &[LoggedTransaction] {
        &self.files[copy.file].transactions[..copy.transactions]
    }

    /// The record of the server in manifest and index.
    pub fn server_record(&self) -> BackedUpServer {
        BackedUpServer {
            uuid: self.product.has_gtids().then(|| "00000000-0000-4000-8000-000000000000".to_owned()),
            id: Some(1),
            version: Some(self.product.version_text()),
            flavor: Some(self.product.flavor().to_string()),
            ..BackedUpServer::default()
        }
    }

    fn manifest_entry(&self, backup: &TakenBackup) -> ManifestEntry {
        let file = &self.files[backup.file];
        let before = file.before + (backup.position - super::HEAD) / super::TRANSACTION;
        let gtid = self.product.has_gtids().then(|| self.product.gtids(file.history, 1, before));
        ManifestEntry {
            parent: backup.parent,
            from_lsn: Some(backup.from_lsn),
            to_lsn: Some(backup.to_lsn),
            started_at: Some(backup.started_at),
            ended_at: Some(backup.ended_at),
            binlog: Some(BinlogCoordinates { file: file.name.clone(), position: backup.position, gtid }),
            binlog_head: Some(self.head(backup.file)),
            binlog_prefix: Some(self.prefix(backup.file, backup.position)),
            pitr: Some(PitrState::Yes),
            server: Some(self.server_record()),
            engine: Some(self.product.engine().into()),
            tool_version: Some(self.product.tool_version().into()),
            ..ManifestEntry::basic(backup.id, Some(10_000))
        }
    }

    /// The index entry of a copy, as archiving it would make it.
    fn binlog_entry(&self, copy: &ArchivedCopy) -> BinlogEntry {
        let file = &self.files[copy.file];
        let seconds = |at: chrono::DateTime<chrono::Utc>| LogTime::from_seconds(at.timestamp() as u32);
        let good = self.copied(copy);
        let last_good = good.last().map_or(super::HEAD, |transaction| transaction.end);
        let newest = good.iter().map(|transaction| transaction.time).chain([file.opened]);
        let whole = !copy.partial && !copy.damaged;
        let newest = newest.chain(whole.then_some(file.closed).flatten()).max().unwrap_or(file.opened);
        let stamp = Stamp::to_the_minute(file.opened);
        let stored_as = KeyPart::new(format!("binlog_{stamp}_{}.gz", file.name)).expect("a name");
        let gtids = |from, to| self.product.has_gtids().then(|| self.product.gtids(file.history, from, to));
        let size = if copy.partial { last_good } else { file.size() };
        let after = file.before + copy.transactions as u64;
        let reaches = if copy.partial {
            seconds(newest).end_of_second().min(LogTime::from_utc(copy.at))
        } else {
            seconds(newest)
        };
        BinlogEntry {
            timeline: Some(format!("t{}", file.history + 1)),
            head: Some(self.head(copy.file)),
            digest: Some(Digest::of(format!("{}/{}/{size}", file.history, file.name).as_bytes())),
            max_event_time: Some(seconds(newest)),
            first_transaction_time: good.first().map(|transaction| seconds(transaction.time)),
            last_transaction_time: good.last().map(|transaction| seconds(transaction.time)),
            newest_commit_time: (good.iter().map(|transaction| transaction.time).max())
                .filter(|_| self.product.logs_commit_times())
                .map(LogTime::from_utc),
            transactions: Some(copy.transactions as u64),
            gtids_before: gtids(1, file.before),
            gtids_added: gtids(file.before + 1, after).filter(|set| !set.is_empty()),
            ending: Some(if copy.partial { BinlogEnding::Crashed } else { BinlogEnding::Rotate }),
            successor: whole.then(|| file.name.successor()),
            reaches: (!copy.damaged).then_some(reaches),
            damaged: copy.damaged.then(|| BinlogDamage {
                what: format!("checksum mismatch at byte {last_good}"),
                last_good,
                ..BinlogDamage::default()
            }),
            partial: copy.partial.then_some(PartialBinlog { last_good, ..PartialBinlog::default() }),
            archived_at: Some(copy.at),
            ..BinlogEntry::basic(file.name.clone(), stored_as, size, seconds(file.opened), seconds(newest))
        }
    }
}
