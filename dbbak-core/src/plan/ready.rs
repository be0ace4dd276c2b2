//! Plans what makes a restored data directory ready to be taken into use: identity, history, coordinates, settings, owner.

use super::{
    Plan, PlanError,
    report::ReadyReport,
    restore::{Restore, stored},
    select::Window,
    step::{MakeReady, Ownership, PlaceBinlogs, Step},
};
use crate::{
    store::BinlogEntry,
    tools::{Family, JOINS_AT_START, PERSISTED},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Where a restored server will look for its binlogs.
struct LogPlace {
    /// The directory that they are put into here.
    dir: PathBuf,
    /// Their base name.
    base: String,
    /// The name of their index.
    index: String,
    /// The source's directory, where it is another one than the data directory.
    belongs_to: Option<PathBuf>,
}

impl Restore<'_> {
    /// Removes what a copy of the source's data may hold of it: identity, replication, lists of its binlogs.
    pub(super) fn cut_ties(&self, plan: &mut Plan) {
        let kept = self.chain.last().and_then(|last| stored(self.facts, last).ok());
        let kept = kept.and_then(|stored| stored.server_files.iter().find(|key| key.file_name() == Some(PERSISTED)));
        if kept.is_some() {
            plan.reasons.push(format!(
                "the settings that the source had persisted (SET PERSIST) come back with {PERSISTED}, but for those that name paths"
            ));
        }
        let group = self.last_variables().and_then(|variables| variables.get("group_replication_group_name"));
        if group.is_some_and(|name| !name.is_empty()) {
            plan.warnings.push(format!(
                "the source was a member of a replication group: a server joins it by itself when it starts on the restored data, unless \
                 it is started with {JOINS_AT_START}=OFF; where the source had persisted settings of the group, that is set"
            ));
        }
        plan.steps.push(Step::CutTies { datadir: self.datadir(), persisted: kept.cloned() });
    }

    /// The files that make up a server's identity.
    fn identity(&self) -> Vec<PathBuf> {
        match self.family {
            Family::Mysql => vec![self.datadir().join("auto.cnf")],
            Family::Mariadb => Vec::new(),
        }
    }

    /// The steps that make the data directory ready.
    ///
    /// # Errors
    ///
    /// [`PlanError::NoOwner`], [`PlanError::NoHistory`].
    pub(super) fn make_ready(&self, plan: &mut Plan, stop: Option<u64>) -> Result<ReadyReport, PlanError> {
        let place = self.log_place();
        let request = &self.request.finish;
        let history = request.with_binlogs.then(|| self.history(place.as_ref(), stop)).transpose()?;
        let binlog_state = place
            .as_ref()
            .filter(|_| self.family == Family::Mariadb)
            .map(|place| place.dir.join(format!("{}.state", place.base)));
        let logs = place.as_ref().filter(|_| history.is_some() || binlog_state.is_some());
        let own_logs = logs.filter(|place| place.belongs_to.is_some());
        let owner = self.ownership(own_logs.map(|place| place.dir.clone()))?;
        if let Some(place) = own_logs {
            plan.steps.push(Step::CreateDir { path: place.dir.clone() });
            if let Some(belongs_to) = &place.belongs_to {
                let (dir, base, index) = (place.dir.display(), &place.base, &place.index);
                plan.reasons.push(format!(
                    "the source had its binlogs in {}, where a living server's may lie: start a server on the restored data \
                     with log_bin={dir}/{base} and log_bin_index={dir}/{index}",
                    belongs_to.display(),
                ));
            }
        }
        let replays = plan.steps.iter().any(|step| matches!(step, Step::Replay(_)));
        let stale_logs = place.as_ref().filter(|place| replays && place.belongs_to.is_none());
        let stale_logs = stale_logs.map(|place| (place.base.clone(), place.index.clone()));
        let settings = self.settings();
        let report = ReadyReport {
            coordinates: self.workdir.join("coordinates.json"),
            settings: settings.values().next().and_then(|path| path.parent()).map(Path::to_owned),
            binlogs: logs.map(|place| place.dir.clone()),
            binlogs_belong_to: logs.and_then(|place| place.belongs_to.clone()),
            owner: request.owner.clone(),
        };
        plan.steps.push(Step::MakeReady(Box::new(MakeReady {
            datadir: self.datadir(),
            restore: Some(self.request.id),
            identity: self.identity(),
            stale_logs,
            coordinates: report.coordinates.clone(),
            at: self.ends_at(),
            base_gtid: self.base_gtid(),
            source: self.chain.last().and_then(|last| last.entry.source_binlog.clone()),
            channels: self.standing().channels,
            settings,
            binlog_state,
            history,
            owner,
        })));
        Ok(report)
    }

    /// The timeline and the place in its binlogs where the data stand before anything is caught up.
    fn ends_at(&self) -> Option<(Option<String>, crate::model::BinlogPosition)> {
        match self.window {
            Some(window) => Some((Some(window.timeline.clone()), window.cut.clone())),
            None => self.chain.last()?.entry.binlog.as_ref().map(|binlog| (None, binlog.place())),
        }
    }

    /// The GTIDs of the chain's end, as the backup recorded them.
    pub(super) fn base_gtid(&self) -> Option<String> {
        self.chain.last().and_then(|last| last.entry.binlog.as_ref()?.gtid.clone())
    }

    fn settings(&self) -> BTreeMap<crate::store::StoreKey, PathBuf> {
        let kept = self.chain.last().and_then(|last| stored(self.facts, last).ok());
        let kept = kept.map(|stored| stored.server_files.as_slice()).unwrap_or_default();
        let place = |name: &str| self.workdir.join("server-settings").join(name);
        kept.iter().filter_map(|key| Some((key.clone(), place(key.file_name()?)))).collect()
    }

    /// Where a server with the source's settings looks for its binlogs.
    fn log_place(&self) -> Option<LogPlace> {
        let variables = self.last_variables()?;
        let path = |name: &str| variables.get(name).filter(|value| !value.is_empty()).map(Path::new);
        let basename = path("log_bin_basename")?;
        let (dir, base) = (basename.parent()?, basename.file_name()?.to_str()?);
        let index = path("log_bin_index").and_then(|path| path.file_name()?.to_str());
        let inside = path("datadir").is_some_and(|datadir| datadir == dir);
        Some(LogPlace {
            dir: if inside { self.datadir() } else { self.workdir.join("log-bin") },
            base: base.to_owned(),
            index: index.map_or_else(|| format!("{base}.index"), str::to_owned),
            belongs_to: (!inside).then(|| dir.to_owned()),
        })
    }

    /// The window's binlogs as the server's own history.
    fn history(&self, place: Option<&LogPlace>, stop: Option<u64>) -> Result<PlaceBinlogs, PlanError> {
        let no = |reason: String| PlanError::NoHistory { reason };
        let window = self.window.filter(|window| window.coordinates.place() != window.cut);
        let window = window.ok_or_else(|| no("no binlogs are replayed".into()))?;
        let place = place.ok_or_else(|| no("the backup does not say where its server kept its binlogs".into()))?;
        if window.lead.is_some() {
            return Err(no("they are those of two servers".into()));
        }
        if !self.request.finish.catch_up.is_empty() {
            return Err(no("they end before the data that are caught up".into()));
        }
        if !self.request.skip.is_empty() {
            return Err(no("they hold transactions that are left out of the data".into()));
        }
        if let Some(reason) = broken_sequence(window, &place.base) {
            return Err(no(reason));
        }
        Ok(PlaceBinlogs {
            dir: place.dir.clone(),
            files: window.files.iter().map(|entry| (*entry).clone()).collect(),
            stop,
            index: place.dir.join(&place.index),
            listed_in: if place.belongs_to.is_some() { place.dir.clone() } else { ".".into() },
        })
    }

    fn ownership(&self, logs: Option<PathBuf>) -> Result<Option<Ownership>, PlanError> {
        let Some(owner) = &self.request.finish.owner else { return Ok(None) };
        let no = |reason: String| PlanError::NoOwner { owner: owner.clone(), reason };
        let fact = match &self.facts.owner {
            Some(Ok(fact)) => fact,
            Some(Err(reason)) => return Err(no(reason.clone())),
            None => return Err(no("it was not looked up".into())),
        };
        if !self.facts.host.root {
            return Err(no("only root can give files away".into()));
        }
        Ok(Some(Ownership {
            uid: fact.uid,
            gid: fact.gid,
            trees: std::iter::once(self.datadir()).chain(logs).chain(self.keyring_copy()).collect(),
            parent: self.workdir.clone(),
        }))
    }
}

/// Why a server would not take a window's files for its own, if so.
fn broken_sequence(window: &Window<'_>, base: &str) -> Option<String> {
    if let Some(file) = window.files.iter().find(|file| file.name.base() != base) {
        return Some(format!("{} is not named {base}, as the server's own are", file.name));
    }
    let follows = |pair: &[&BinlogEntry]| match pair {
        [before, after] => before.name.successor() == after.name,
        _ => true,
    };
    if !window.files.windows(2).all(follows) {
        return Some("their numbers do not follow each other".into());
    }
    if let Some(file) = window.files.iter().find(|file| file.decrypted == Some(true)) {
        return Some(format!("{} says that it is encrypted, which a server would believe", file.name));
    }
    window.files.is_empty().then(|| "the window has none".into())
}

impl Plan {
    /// The step that makes restored data ready.
    pub(crate) fn made_ready(&self) -> Option<&MakeReady> {
        self.steps.iter().find_map(|step| match step {
            Step::MakeReady(ready) => Some(&**ready),
            _ => None,
        })
    }
}

impl MakeReady {
    /// The files in the data directory that the step removes or makes, whatever is there: it may be done again after it was done in part.
    /// Paths below the directory, and base names of binlogs with a dot at the end.
    pub(crate) fn files_in_data(&self) -> Vec<String> {
        let inside = |path: &Path| {
            let below = path.strip_prefix(&self.datadir).ok()?.to_str()?;
            Some(below.to_owned())
        };
        let written = self.binlog_state.iter().chain(self.history.iter().map(|history| &history.index));
        // A file that is replaced has another name until it is whole.
        let written = written.flat_map(|path| [path.clone(), path.with_extension("tmp")]);
        let mut files: Vec<String> =
            self.identity.iter().cloned().chain(written).filter_map(|path| inside(&path)).collect();
        if let Some((base, index)) = &self.stale_logs {
            files.extend([format!("{base}."), index.clone()]);
        }
        if let Some(history) = self.history.as_ref().filter(|history| history.dir == self.datadir) {
            files.extend(history.files.iter().map(|file| file.name.to_string()));
        }
        files
    }

    /// What is done, in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.identity.iter().map(|path| format!("remove {}", path.display())).collect();
        lines.push(format!("write where the data stand to {}", self.coordinates.display()));
        if let Some(to) = self.settings.values().next().and_then(|path| path.parent()) {
            lines.push(format!("copy the source's settings to {}", to.display()));
        }
        if let Some(state) = &self.binlog_state {
            lines.push(format!("write the GTIDs of its history to {}", state.display()));
        }
        if let Some(history) = &self.history {
            let (first, last) = (history.files.first(), history.files.last());
            let name = |file: Option<&BinlogEntry>| file.map_or_else(String::new, |file| file.name.to_string());
            let dir = history.dir.display();
            lines.push(format!("put binlogs {} to {} back into {dir}", name(first), name(last)));
        }
        if let Some(owner) = &self.owner {
            lines.push(format!("give the files to {}:{}, directories 0750, files 0640", owner.uid, owner.gid));
        }
        lines
    }
}
