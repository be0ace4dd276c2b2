//! Plans how binlogs are fetched from their server: one at a time, through a private directory.

use super::{
    Plan, PlanError, SCRATCH_PREFIX,
    backup::{program, server, tool},
    step::{FetchBinlog, Step},
};
use crate::{
    catalog::Catalog,
    config::Config,
    facts::{Facts, SourceBinlog},
    model::Stamp,
    survey::reader_of,
    tools::{Launch, RemoteReader, ToolRole},
};
use chrono::{DateTime, Utc};
use std::path::{Path, PathBuf};

/// Fetching binlogs: each is in the private directory only while it is archived, so that one file's room is enough.
#[derive(Debug)]
pub(super) struct Fetching {
    reader: RemoteReader,
    dir: PathBuf,
    log: PathBuf,
    free: Option<u64>,
    begun: bool,
}

impl Fetching {
    /// # Errors
    ///
    /// [`PlanError`] when the server does not answer, writes no binlog that can be fetched, or no fitting reader is there.
    pub(super) fn new(
        config: &Config,
        catalog: &Catalog,
        facts: &Facts,
        now: DateTime<Utc>,
    ) -> Result<Self, PlanError> {
        let server = server(facts)?;
        if !server.log_bin {
            return Err(PlanError::NoBinlog);
        }
        if let Some(engine) = server.variables.get("binlog_storage_engine").filter(|engine| !engine.is_empty()) {
            return Err(PlanError::BinlogInEngine { engine: engine.clone() });
        }
        let (reader, version) = tool(facts, ToolRole::BinlogReader)?;
        if version.kind.family() != server.family() {
            return Err(PlanError::Mismatch {
                what: "the binlog reader".into(),
                expected: format!("the reader of the vendor of {}", server.version_text),
                found: format!("{} {}", version.kind, version.full),
            });
        }
        let parent = scratch_parent(config, catalog);
        Ok(Fetching {
            reader: reader_of(config, program(reader)?, server.family()),
            free: facts.filesystems.get(&parent).map(|filesystem| filesystem.free),
            dir: parent.join(format!("{SCRATCH_PREFIX}fetch-{}", Stamp::to_the_second(now))),
            log: catalog.logs_dir().join(format!("fetch-{}.log", Stamp::to_the_second(now))),
            begun: false,
        })
    }

    /// Where a file lies once it is fetched.
    pub(super) fn path(&self, file: &SourceBinlog) -> PathBuf {
        self.dir.join(file.name.as_str())
    }

    /// Adds what fetches a file.
    ///
    /// # Errors
    ///
    /// [`PlanError::NotEnoughSpace`] when there is not even room for this one.
    pub(super) fn fetch(&mut self, plan: &mut Plan, facts: &Facts, file: &SourceBinlog) -> Result<(), PlanError> {
        if let Some(free) = self.free.filter(|free| *free < file.size) {
            let path = self.dir.parent().unwrap_or(Path::new("/")).to_owned();
            return Err(PlanError::NotEnoughSpace { path, free, needed: file.size });
        }
        if !self.begun {
            self.begun = true;
            for leftover in &facts.leftovers {
                plan.reasons.push(format!("{} was left by a run that died", leftover.display()));
                plan.steps.push(Step::RemoveTree { path: leftover.clone() });
            }
            plan.steps.push(Step::CreateDir { path: self.dir.clone() });
            plan.discard_dirs.push(self.dir.clone());
        }
        let command = self.reader.fetch(&file.name, &self.dir)?;
        plan.steps.push(Step::FetchBinlog(Box::new(FetchBinlog {
            name: file.name.clone(),
            launch: Launch { command, log: self.log.clone() },
            path: self.path(file),
            size: file.size,
            open: file.open,
        })));
        Ok(())
    }

    /// Adds the removal of a file that was archived.
    pub(super) fn drop_copy(&self, plan: &mut Plan, file: &SourceBinlog) {
        plan.steps.push(Step::RemoveTree { path: self.path(file) });
    }

    /// Adds the removal of the directory.
    pub(super) fn end(self, plan: &mut Plan) {
        if self.begun {
            plan.steps.push(Step::RemoveTree { path: self.dir });
        }
    }
}

/// The directory below which fetched files lie. No prepare runs on them, so that it may be reached through the network.
pub(super) fn scratch_parent(config: &Config, catalog: &Catalog) -> PathBuf {
    let root = catalog.root.as_ref().unwrap_or(&config.nfs_root);
    config.scratch_dir.clone().unwrap_or_else(|| root.join("tmp"))
}
