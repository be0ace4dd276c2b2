//! What a survey would find out about a history's server, machine and archive.

use super::{ArchivedCopy, HEAD, History, LoggedTransaction, archive::ROOT};
use chrono::{DateTime, Utc};
use dbbak_core::{
    catalog::{Backup, Catalog, Timeline},
    config::Config,
    facts::{
        CutFact, CutFlaw, CutPlace, EdgeFact, Facts, HeadFact, ListedBinlog, OwnerFact, PastFact, PastFile,
        PrisonFacts, PrisonUser, ServerFacts, SourceBinlog, SourceBinlogs, StartFact, StoredBackup, TransactionFact,
    },
    model::{BinlogCoordinates, BinlogName, BinlogPosition, Goal, LogTime, RestoredFact, TreeName},
    plan::{Plan, PlanError, RestoreRequest, plan_restore, resolve_aim, select},
    probe::{Filesystem, HostFacts, PathState, TreeSize},
    store::{BinlogEntry, layout},
    tools::{Grants, Standing},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The server's data directory.
pub const DATADIR: &str = "/var/lib/mysql";
/// The directory for private copies.
pub const SCRATCH: &str = "/scratch";

/// A transaction in the archive.
struct Logged {
    fact: TransactionFact,
    /// Its time by the documented definition.
    time: DateTime<Utc>,
    /// Its own stamp.
    own: DateTime<Utc>,
    /// Transactions of its file before it.
    before: u64,
}

impl History {
    /// Plans a restore as `Planning` does, with facts that a test may change.
    ///
    /// # Errors
    ///
    /// As the planner has them.
    pub fn restore(
        &self,
        (config, catalog): (&Config, &Catalog),
        now: DateTime<Utc>,
        request: &RestoreRequest,
        change: impl FnOnce(&mut Facts),
    ) -> Result<Plan, PlanError> {
        let mut facts = self.restore_facts(catalog, None);
        let known = resolve_aim(config, catalog, &facts, now, request).ok().and_then(|aim| aim.goal());
        facts = self.restore_facts(catalog, known.as_ref());
        change(&mut facts);
        // What was changed may be how timelines go on, and so what is aimed at.
        let aim = resolve_aim(config, catalog, &facts, now, request)?;
        let goal = aim.goal();
        if goal != known {
            facts.cuts.extend(self.restore_facts(catalog, goal.as_ref()).cuts);
        }
        if let Some((timeline, at)) = select(catalog, request, &aim, &facts)?.ends_at(catalog) {
            facts.edges.push(self.edges(catalog, &timeline, &at, goal.as_ref()));
        }
        plan_restore(config, catalog, &facts, now, request)
    }

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
            uid: Some(1000),
            temp_dir: "/tmp".into(),
        });
        // Looked at where dbbak is root alone; a test may make it that.
        let owner = OwnerFact { uid: 105, gid: 112 };
        let user = Ok(PrisonUser { name: "mysql".into(), owner, why: "no other user is known of the data".into() });
        facts.prison = Some(PrisonFacts { user, access: BTreeMap::new(), screens: false });
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
        facts.restored = Some(RestoredFact::Never);
        facts
    }

    /// What a survey for a restore finds, but for what stands around the place where it ends.
    pub fn restore_facts(&self, catalog: &Catalog, goal: Option<&Goal>) -> Facts {
        let mut facts = Facts { source: None, ..self.facts() };
        facts.sizes.clear();
        for timeline in catalog.timelines() {
            facts.cuts.extend(goal.map(|goal| self.cut(&timeline, goal)));
        }
        for backup in self.backups.iter().filter(|backup| !backup.lost) {
            let mut trees = BTreeMap::from([(TreeName::Raw, Some(10_000))]);
            if backup.parent.is_none() {
                trees.extend([(TreeName::PreparedRedo, Some(10_000)), (TreeName::PreparedFinal, Some(10_000))]);
            }
            let stored = StoredBackup {
                final_from_raw: true,
                trees,
                list_digest: None,
                outside_paths: Vec::new(),
                broken: Vec::new(),
                standing: Standing::default(),
                settings: BTreeMap::from([("innodb_page_size".into(), "16384".into())]),
                server_files: vec![
                    layout::server(&backup.id).child(&"etc__mysql__my.cnf".parse().expect("a name")),
                    layout::server_variables(&backup.id),
                ],
                variables: self.server().variables,
                spoilt: Vec::new(),
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

    /// Where a goal cuts a timeline, as a survey would find it.
    fn cut(&self, timeline: &Timeline<'_>, goal: &Goal) -> CutFact {
        let mut fact = CutFact { timeline: timeline.id.clone(), goal: goal.clone(), cut: None, flaw: None };
        let logged = self.logged(timeline);
        let hit = match goal {
            Goal::Moment(at) => logged.iter().position(|one| one.time >= *at),
            Goal::After(gtid) | Goal::Before(gtid) => {
                logged.iter().position(|one| one.fact.gtid.as_deref() == Some(&*gtid.to_string()))
            }
            Goal::Position(position) => {
                self.offset(timeline, position, &mut fact);
                return fact;
            }
        };
        let Some(hit) = hit else { return fact };
        let one = &logged[hit];
        let start = |one: &Logged| BinlogPosition { file: one.fact.file.clone(), position: one.fact.start };
        fact.cut = Some(match goal {
            Goal::After(_) => {
                let at = BinlogPosition { file: one.fact.file.clone(), position: one.fact.end };
                let until = self.free_until(timeline, &at);
                CutPlace { at, transactions_before: one.before + 1, until }
            }
            _ => CutPlace { at: start(one), transactions_before: one.before, until: start(one) },
        });
        fact
    }

    fn offset(&self, timeline: &Timeline<'_>, position: &BinlogPosition, fact: &mut CutFact) {
        let Some(entry) = timeline.files.iter().find(|entry| entry.name == position.file) else { return };
        let Some(copy) = self.copy_of(entry) else { return };
        if position.position > entry.good_bytes() {
            return;
        }
        let there = self.copied(copy);
        let mut places = vec![4, HEAD];
        places.extend(there.iter().map(|one| one.end));
        places.push(entry.good_bytes());
        if !places.contains(&position.position) {
            let before = places.iter().copied().filter(|place| *place < position.position).max().unwrap_or(4);
            let after = places.into_iter().filter(|place| *place > position.position).min();
            fact.flaw = Some(CutFlaw::NoBoundary { before, after });
            return;
        }
        let at = BinlogPosition { file: position.file.clone(), position: position.position.max(HEAD) };
        let transactions_before = there.iter().filter(|one| one.end <= at.position).count() as u64;
        let until = self.free_until(timeline, &at);
        fact.cut = Some(CutPlace { at, transactions_before, until });
    }

    /// The next transaction's start, or the end of what follows without a gap.
    fn free_until(&self, timeline: &Timeline<'_>, at: &BinlogPosition) -> BinlogPosition {
        let index = timeline.files.iter().position(|entry| entry.name == at.file).unwrap_or(0);
        let mut until = at.clone();
        for entry in timeline.run_from(index).files {
            let there = self.copy_of(entry).map(|copy| self.copied(copy)).unwrap_or_default();
            let start = if entry.name == at.file { at.position } else { 0 };
            until = BinlogPosition { file: entry.name.clone(), position: entry.good_bytes() };
            if let Some(next) = there.iter().find(|one| one.start >= start) {
                return BinlogPosition { file: entry.name.clone(), position: next.start };
            }
        }
        until
    }

    /// What stands around a place, as a survey would find it.
    pub fn edges(&self, catalog: &Catalog, timeline: &str, at: &BinlogPosition, goal: Option<&Goal>) -> EdgeFact {
        let timelines = catalog.timelines();
        let line = timelines.iter().find(|line| line.id == timeline).expect("the timeline");
        let logged = self.logged(line);
        let place = |one: &Logged| BinlogPosition { file: one.fact.file.clone(), position: one.fact.start };
        let (before, behind): (Vec<Logged>, Vec<Logged>) = logged.into_iter().partition(|one| place(one) < *at);
        let moment = match goal {
            Some(Goal::Moment(at)) => Some(*at),
            _ => None,
        };
        let earlier: Vec<TransactionFact> = behind
            .iter()
            .skip(1)
            .filter(|one| moment.is_some_and(|moment| one.own < moment))
            .map(|one| one.fact.clone())
            .collect();
        EdgeFact {
            timeline: timeline.to_owned(),
            at: at.clone(),
            last_included: before.last().map(|one| one.fact.clone()),
            first_excluded: behind.first().map(|one| one.fact.clone()),
            unknown_after: None,
            earlier_count: earlier.len() as u64,
            earlier: earlier.into_iter().take(10).collect(),
            earlier_up_to: moment.and_then(|_| line.files.last().map(|file| file.name.clone())),
            jumps: Vec::new(),
            jump_count: 0,
            jumps_from: None,
        }
    }

    /// The archived transactions of a timeline.
    fn logged(&self, timeline: &Timeline<'_>) -> Vec<Logged> {
        let mut newest: Option<DateTime<Utc>> = None;
        let mut all = Vec::new();
        for entry in &timeline.files {
            let Some(copy) = self.copy_of(entry) else { continue };
            for (before, transaction) in self.copied(copy).iter().enumerate() {
                newest = newest.max(Some(transaction.time));
                let time = if self.product.logs_commit_times() { Some(transaction.time) } else { newest };
                let time = time.unwrap_or(transaction.time);
                let fact = self.transaction_fact(copy.file, before, time);
                all.push(Logged { fact, time, own: transaction.time, before: before as u64 });
            }
        }
        all
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
            own_stamp: (LogTime::from_utc(transaction.time) != time).then(|| LogTime::from_utc(transaction.time)),
            committed_here: None,
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
            start_lsn: None,
            uptime: None,
            variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            binlogs: listed
                .map(|file| ListedBinlog { name: file.name.clone(), size: file.size(), encrypted: None })
                .collect(),
            now: Some(self.now),
            grants: Grants::default(),
            encryption: None,
            persisted: Vec::new(),
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
                begun_by_start: None,
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

impl History {
    /// What a survey finds in the server's binlogs of the place that a backup ended at.
    pub fn past(&self, backup: &Backup) -> PastFact {
        let end = backup.entry.binlog.as_ref();
        let present: Vec<usize> = (0..self.files.len()).filter(|place| self.files[*place].present).collect();
        let own = present.iter().position(|place| end.is_some_and(|end| self.files[*place].name == end.file));
        let file = |place: usize| {
            let (file, head) = (&self.files[place], self.head(place));
            let position = end.filter(|end| end.file == file.name).map(|end| end.position);
            PastFile {
                name: file.name.clone(),
                size: file.size(),
                head: Some(head),
                begun_by_start: Some(place == 0),
                prefix: position
                    .filter(|position| *position <= file.size())
                    .map(|position| self.prefix(place, position)),
                content: (own.is_none() && file.closed.is_some()).then(|| self.prefix(place, file.size())),
                problem: None,
            }
        };
        PastFact {
            backup: backup.ts(),
            dir: Some(DATADIR.into()),
            apart: Some(false),
            files: present.into_iter().skip(own.unwrap_or(0)).map(file).collect(),
        }
    }
}
