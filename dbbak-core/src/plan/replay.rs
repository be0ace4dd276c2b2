//! Chooses how a window is replayed, and plans the replay by the private server's own applier.

use super::{
    PlanError,
    request::{ReplayWay, RestoreRequest},
    restore::PRIVATE_SERVER_ID,
    select::{Segment, Window},
    step::{BinlogCopy, Feeder, Relay},
};
use crate::{
    facts::{CutFact, CutFlaw},
    model::{BinlogName, BinlogPosition, Goal, GtidSet},
    tools::{
        Applier, Client, Dialect, Family, FeederCommand, Launch, Login, Query, RelayReplay, ReplayReader, RunAs,
        Version,
    },
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The base name of the relay logs that a MariaDB server writes.
const RELAY_BASE: &str = "relay";
/// The base name of the copies in a window of two servers' binlogs.
const STITCHED_BASE: &str = "stitched";
/// Workers of MySQL's applier.
const MYSQL_WORKERS: u32 = 4;

/// How a window is replayed, and why so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// Whether the private server's own applier does it.
    pub relay: bool,
    /// Why.
    pub reason: String,
}

/// Chooses how a window is replayed.
///
/// # Errors
///
/// [`PlanError::NoRelay`] where the applier was asked for and cannot; [`PlanError::NoSkip`] where transactions are to be
/// left out and only the pipe can replay.
pub(super) fn choose(request: &RestoreRequest, window: &Window<'_>, dialect: Dialect) -> Result<Choice, PlanError> {
    let hindrance = hindrance(dialect, window);
    let choice = match (request.replay, hindrance) {
        (ReplayWay::Pipe, _) => Choice { relay: false, reason: "replayed through a pipe: asked for".into() },
        (ReplayWay::Relay, Some(reason)) => return Err(PlanError::NoRelay { reason }),
        (ReplayWay::Auto, Some(reason)) => {
            Choice { relay: false, reason: format!("replayed through a pipe: {reason}") }
        }
        (ReplayWay::Auto | ReplayWay::Relay, None) => {
            let how = match dialect.family {
                Family::Mariadb => {
                    "which a second private server feeds with the binlogs; in one thread, the fastest way on few cores"
                        .to_owned()
                }
                Family::Mysql => {
                    format!("with the binlogs as its relay logs; {MYSQL_WORKERS} workers, commits in log order")
                }
            };
            Choice { relay: true, reason: format!("replayed by the private server's own applier, {how}") }
        }
    };
    if !request.skip.is_empty() && !choice.relay {
        return Err(PlanError::NoSkip { reason: choice.reason });
    }
    Ok(choice)
}

/// Checks that each transaction that is to be left out stands in the window.
///
/// # Errors
///
/// [`PlanError::SkipNotInWindow`]; [`PlanError::GtidRepeated`] where it is not clear which one is meant.
pub(super) fn check_skips(request: &RestoreRequest, window: &Window<'_>, cuts: &[CutFact]) -> Result<(), PlanError> {
    let from = window.coordinates.place();
    for gtid in &request.skip {
        let goal = Goal::Before(gtid.clone());
        let (mut places, mut twice) = (Vec::<BinlogPosition>::new(), None);
        for segment in window.segments(&from) {
            let found = cuts.iter().filter(|fact| fact.timeline == segment.timeline && fact.goal == goal);
            let stand = found.flat_map(|fact| match (&fact.cut, &fact.flaw) {
                (Some(cut), _) => vec![cut.at.clone()],
                (None, Some(CutFlaw::Repeated { first, again })) => vec![first.clone(), again.clone()],
                _ => Vec::new(),
            });
            let stand: Vec<_> = stand.filter(|at| holds(&segment, at)).collect();
            // Numbers that went back bring it again in another file of the same log.
            twice = twice.or_else(|| Some((stand.first()?.clone(), stand.get(1)?.clone())));
            places.extend(stand);
        }
        if let [first, again] = places.as_slice()
            && first.file == again.file
        {
            twice = Some((first.clone(), again.clone()));
        }
        if let Some((first, again)) = twice {
            return Err(PlanError::GtidRepeated { target: goal.to_string(), first, again: Box::new(again) });
        }
        if places.is_empty() {
            // Of one that stands twice the log may hold more, and of these one in the window.
            let twice = cuts.iter().filter(|fact| fact.goal == goal).find_map(|fact| match &fact.flaw {
                Some(CutFlaw::Repeated { first, again }) => Some((first.clone(), Box::new(again.clone()))),
                _ => None,
            });
            if let Some((first, again)) = twice {
                return Err(PlanError::GtidRepeated { target: goal.to_string(), first, again });
            }
            let (gtid, cut) = (gtid.to_string(), window.cut.clone());
            return Err(PlanError::SkipNotInWindow { gtid, from, cut });
        }
    }
    Ok(())
}

/// Whether a transaction that begins at a place is in a part of the window.
fn holds(segment: &Segment<'_, '_>, at: &BinlogPosition) -> bool {
    segment.files.iter().any(|file| file.name == at.file)
        && (at.file != segment.from.file || at.position >= segment.from.position)
        && (at.file != segment.until.file || at.position < segment.until.position)
}

/// How the files of a window of two servers' binlogs are copied; empty for one of a single timeline.
///
/// Two servers may have equal file names, and one reader, or one applier, goes through all copies: so they are numbered
/// anew, and end where nothing more is wanted.
pub(super) fn copies(window: &Window<'_>) -> Result<Vec<BinlogCopy>, PlanError> {
    let Some(lead) = &window.lead else { return Ok(Vec::new()) };
    let (before, last) = (lead.files.len(), window.files.len().saturating_sub(1));
    let copy = |place: usize| {
        let name = format!("{STITCHED_BASE}.{:06}", place + 1);
        let name =
            name.parse().map_err(|_| PlanError::StoreUnusable { reason: format!("no binlog can be named {name}") })?;
        Ok(BinlogCopy {
            name,
            enter: (place == before).then_some(lead.place.enter.position),
            leave: (place + 1 == before).then_some(lead.leave.position),
            trim: place != last,
        })
    };
    (0..window.files.len()).map(copy).collect()
}

/// Why the applier cannot replay, if so.
fn hindrance(dialect: Dialect, window: &Window<'_>) -> Option<String> {
    let bases: BTreeSet<&str> = window.files.iter().map(|file| file.name.base()).collect();
    if bases.len() > 1 && window.lead.is_none() {
        return Some(format!("the binlogs change their name: {}", bases.into_iter().collect::<Vec<_>>().join(", ")));
    }
    if let Some(file) = window.files.iter().find(|file| file.decrypted == Some(true)) {
        return Some(format!("{} says that it is encrypted, which a server would believe", file.name));
    }
    match dialect.family {
        // Accounts stand in global_priv, which the feeder has to make, since 10.4.
        Family::Mariadb if dialect.version >= Version::new(10, 4, 0) => None,
        Family::Mariadb => Some(format!("MariaDB {} cannot feed a replica without grant tables", dialect.version)),
        Family::Mysql if dialect.version >= Version::new(8, 0, 26) => None,
        Family::Mysql => Some(format!("the applier of MySQL {} is steered by other statements", dialect.version)),
    }
}

/// Two server ids that occur in none of the window's transactions, as far as the index tells: the private server's and
/// the feeder's.
pub(super) fn free_server_ids(window: &Window<'_>) -> (u32, u32) {
    let mut taken = BTreeSet::new();
    for file in &window.files {
        taken.extend(file.source.as_ref().and_then(|source| source.server_id));
        for set in [&file.gtids_before, &file.gtids_added].into_iter().flatten() {
            if let Ok(GtidSet::Mariadb(state)) = set.parse() {
                taken.extend(state.entries().map(|(_, server, _)| server));
            }
        }
    }
    let mut free = (0..=u32::MAX).rev().filter(|id| !taken.contains(id));
    (free.next().unwrap_or(u32::MAX), free.next().unwrap_or(1))
}

/// The id of the server whose window it is: what a client makes there keeps it, as the origin of an event. Where the index
/// does not know it, one like any other.
pub(super) fn source_id(window: &Window<'_>) -> u32 {
    let source = window.files.last().and_then(|file| file.source.as_ref());
    source.and_then(|source| source.server_id).filter(|id| *id != 0).unwrap_or(PRIVATE_SERVER_ID)
}

/// The bytes of a window, from its start to its end.
pub(super) fn bytes_between(window: &Window<'_>) -> u64 {
    let from = window.coordinates.place();
    let of = |segment: &Segment<'_, '_>| {
        let before_last = segment.files.iter().take(segment.files.len().saturating_sub(1));
        let before_last: u64 = before_last.map(|file| file.size).sum();
        (before_last + segment.until.position).saturating_sub(segment.from.position)
    };
    window.segments(&from).iter().map(of).sum()
}

/// What planning a relay needs to know.
#[derive(Debug)]
pub(super) struct RelayJob<'a> {
    pub family: Family,
    pub window: &'a Window<'a>,
    /// The names of the unpacked files, in order.
    pub copies: Vec<BinlogName>,
    pub workdir: &'a Path,
    pub run_dir: &'a Path,
    /// The eight digits that tell the run apart.
    pub id: &'a str,
    pub server_program: &'a Path,
    pub run_as: Option<String>,
    pub prisoner: Option<RunAs>,
    pub stop: Option<u64>,
    pub client: Client,
    pub reader: ReplayReader,
    pub server_ids: (u32, u32),
}

/// What the private server is told of its applier.
pub(super) fn relay_settings(family: Family, workdir: &Path, window: &Window<'_>, space: u64) -> RelayReplay {
    match family {
        Family::Mariadb => RelayReplay { dir: relay_dir(workdir), base: RELAY_BASE.to_owned(), workers: 0, space },
        Family::Mysql => {
            let base = match &window.lead {
                Some(_) => STITCHED_BASE,
                None => window.files.last().map_or(RELAY_BASE, |last| last.name.base()),
            };
            RelayReplay { dir: workdir.join("binlogs"), base: own_base(base), workers: MYSQL_WORKERS, space }
        }
    }
}

/// The base name of what a server writes itself into the directory of the binlogs: no file of the window has it.
fn own_base(base: &str) -> String {
    format!("{base}-own")
}

/// Directories of a relay's own.
pub(super) const OWN_DIRS: [&str; 2] = ["relay", "feeder"];

fn relay_dir(workdir: &Path) -> PathBuf {
    workdir.join("relay")
}

impl RelayJob<'_> {
    /// The replay by the private server's own applier.
    ///
    /// # Errors
    ///
    /// [`PlanError::Command`]: a path that is no text.
    pub(super) fn plan(self) -> Result<Relay, PlanError> {
        let binlogs = self.workdir.join("binlogs");
        let files = self.copies.clone();
        let base = own_base(files.last().map_or(RELAY_BASE, |last| last.base()));
        let index = binlogs.join(format!("{base}.index"));
        let (applier, feeder) = match self.family {
            Family::Mariadb => (Applier::Fed, Some(self.feeder(&binlogs.join(&base), &index)?)),
            Family::Mysql => (Applier::RelayLogs { dir: binlogs.clone() }, None),
        };
        Ok(Relay {
            dir: relay_dir(self.workdir),
            binlogs,
            files,
            stop: self.stop,
            applier,
            index,
            feeder,
            client: self.client,
            reader: ReplayReader { files: Vec::new(), ..self.reader },
            base_gtid: self.window.coordinates.gtid.clone(),
            server_id: self.server_ids.0,
        })
    }

    fn feeder(&self, log_bin: &Path, index: &Path) -> Result<Feeder, PlanError> {
        let datadir = self.workdir.join("feeder");
        let (init_file, client_file) = (self.run_dir.join("feeder.sql"), self.run_dir.join("feeder.cnf"));
        let command = FeederCommand {
            program: self.server_program.to_owned(),
            datadir: datadir.clone(),
            socket: self.run_dir.join("f"),
            pid_file: self.run_dir.join("feeder.pid"),
            tmpdir: self.workdir.join("tmp"),
            init_file: init_file.clone(),
            log_bin: log_bin.to_owned(),
            log_bin_index: index.to_owned(),
            server_id: self.server_ids.1,
            run_as: self.run_as.clone(),
        }
        .build()?
        .run_as(self.prisoner.clone());
        let login = Login::OptionFile(client_file.clone());
        let ping =
            Client { program: self.client.program.clone(), login, socket: None, run_as: self.client.run_as.clone() };
        Ok(Feeder {
            launch: Launch { command, log: self.workdir.join("feeder.log") },
            datadir,
            init_file,
            client_file,
            account: format!("dbbak_feed_{}", self.id),
            ping: ping.query(Query::CurrentUser)?.spec().clone(),
        })
    }
}
