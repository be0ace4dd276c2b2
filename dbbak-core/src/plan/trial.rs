//! Plans the trial of a new incremental: its chain is copied and prepared as a restore does it, and thrown away.

use super::{
    Plan, PlanError,
    backup::Work,
    base::base_tree,
    scratch::{self, Scratch},
    step::{KnownTablespaces, OptionFiles, PassTree, RunTool, Step, StoredTree, SyncSide},
};
use crate::{
    catalog::{Backup, Catalog},
    engine::PrepareJob,
    facts::StoredBackup,
    model::{BackupId, Lsn, TreeName},
    store::layout,
    tools::Launch,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The steps at a plan's end that try whether an incremental that is recorded by then can be applied. A failure in them ends no
/// run: it says something of the backup, or that it could not be tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The place of the first of them.
    pub from: usize,
    /// The incremental.
    pub backup: String,
    /// What is done where one of them fails in a way that may be the backup's own: the same once more on fresh copies, from what the tool
    /// wrote (`raw`). Nothing is marked before that has failed alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub again: Vec<Step>,
}

/// A link of the chain that is tried.
struct Link<'a> {
    id: BackupId,
    tree: TreeName,
    /// None: the backup that was just taken, of which no list was there when the plan was made.
    stored: Option<&'a StoredBackup>,
    to_lsn: Option<Lsn>,
}

impl Work<'_> {
    /// Adds the steps that try the new incremental, where the configuration wants that; where it cannot be tried, the plan
    /// says why.
    ///
    /// # Errors
    ///
    /// When the chain is broken, or an option cannot be passed.
    pub(super) fn try_it(&self, plan: &mut Plan, catalog: &Catalog, parent: &Backup) -> Result<(), PlanError> {
        if !self.config.try_incrementals {
            return Ok(());
        }
        let chain = catalog.chain(parent.ts()).map_err(super::select::chain_error)?;
        let (steps, again) = match (self.trial(&chain, true, false)?, self.trial(&chain, true, true)?) {
            (Ok(steps), again) => (steps, again.unwrap_or_default()),
            (Err(why), _) => {
                plan.incomplete.push(format!("the incremental is not tried (try_incrementals): {why}"));
                return Ok(());
            }
        };
        plan.trial = Some(Trial { from: plan.steps.len(), backup: self.id.to_string(), again });
        plan.discard_dirs.extend(steps.iter().find_map(|step| match step {
            Step::CreateDir { path } => Some(path.clone()),
            _ => None,
        }));
        plan.steps.extend(steps);
        Ok(())
    }

    /// The steps that apply a chain on copies, and throw them away; `Err`: why that cannot be done. `new`: this backup comes behind it.
    /// `raw`: a prepared tree of the full is left aside, where there is a raw one.
    pub(super) fn trial(
        &self,
        chain: &[&Backup],
        new: bool,
        raw: bool,
    ) -> Result<Result<Vec<Step>, String>, PlanError> {
        let Some((full, links)) = chain.split_first() else { return Err(PlanError::NoFull) };
        let stored = |backup: &Backup| {
            let found = self.facts.stored.get(&backup.id.to_string());
            found.ok_or_else(|| format!("backup {} could not be looked at", backup.ts()))
        };
        let found = stored(full).and_then(|found| {
            let alone = links.is_empty() && !new;
            let tree = base_tree(self.engine, full, found, alone).map_err(|error| error.to_string())?;
            let has_raw = self.engine.writes_raw() && found.trees.contains_key(&TreeName::Raw);
            Ok((found, if raw && has_raw { (TreeName::Raw, true) } else { tree }))
        });
        let (full_stored, (tree, prepare)) = match found {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let mut tried = vec![Link { id: full.id, tree, stored: Some(full_stored), to_lsn: full.to_lsn }];
        for link in links {
            match stored(link) {
                Ok(found) => {
                    tried.push(Link { id: link.id, tree: TreeName::Raw, stored: Some(found), to_lsn: link.to_lsn })
                }
                Err(why) => return Ok(Err(why)),
            }
        }
        if new {
            tried.push(Link { id: self.id, tree: TreeName::Raw, stored: None, to_lsn: None });
        }
        let root = scratch::scratch_root(self.config, self.facts, self.root)?;
        if let Some(why) = scratch::unusable(self.facts, &root) {
            return Ok(Err(format!("{} cannot be used ({why})", root.display())));
        }
        let bytes = |link: &Link<'_>| link.stored.and_then(|stored| *stored.trees.get(&link.tree)?).unwrap_or(0);
        // The links are copied one after the other. How large the new one gets, only the tool knows.
        let needed = tried.first().map_or(0, bytes) + tried.iter().skip(1).map(bytes).max().unwrap_or(0);
        if let Some(filesystem) = self.facts.filesystems.get(&root).filter(|filesystem| filesystem.free < needed) {
            return Ok(Err(format!("{} has {} bytes free, and {needed} are needed", root.display(), filesystem.free)));
        }
        let Scratch { dir, .. } = scratch::backup_scratch(self.config, self.facts, self.root, self.ts)?;
        self.steps(&dir, &tried, prepare).map(Ok)
    }

    fn steps(&self, dir: &Path, tried: &[Link<'_>], prepare: bool) -> Result<Vec<Step>, PlanError> {
        let data = dir.join("trial");
        let mut steps = vec![Step::CreateDir { path: dir.to_owned() }];
        for (number, link) in tried.iter().enumerate() {
            if number == 0 {
                steps.push(self.copy_of(link, &data, "copy the full for a trial"));
                if prepare {
                    steps.push(self.apply(link, &data, None, tried.len() == 1, "prepare the copy")?);
                }
                continue;
            }
            let incremental = dir.join(format!("incremental-{number}"));
            steps.push(self.copy_of(link, &incremental, &format!("copy incremental {}", link.id.ts)));
            let title = format!("try to apply incremental {}", link.id.ts);
            steps.push(self.apply(link, &data, Some(&incremental), number + 1 == tried.len(), &title)?);
            steps.push(Step::RemoveTree { path: incremental });
        }
        steps.push(Step::RemoveTree { path: dir.to_owned() });
        Ok(steps)
    }

    fn copy_of(&self, link: &Link<'_>, to: &Path, title: &str) -> Step {
        let verify = Some(StoredTree {
            backup: link.id.to_string(),
            tree: link.tree,
            list_digest: link.stored.and_then(|stored| stored.list_digest),
        });
        Step::PassTree(PassTree {
            title: title.to_owned(),
            from: self.root.join(link.id.to_string()).join(link.tree.as_str()),
            to: Some(to.to_owned()),
            verify,
            list_as: None,
            sync: SyncSide::Nothing,
            threads: self.config.parallel,
            bytes: link.stored.and_then(|stored| *stored.trees.get(&link.tree)?),
        })
    }

    fn apply(
        &self,
        link: &Link<'_>,
        data: &Path,
        incremental: Option<&Path>,
        last: bool,
        title: &str,
    ) -> Result<Step, PlanError> {
        let command = self.engine.prepare_command(&PrepareJob {
            config: self.config,
            program: self.program,
            version: self.version,
            target_dir: data,
            incremental_dir: incremental,
            last,
        })?;
        let known = match link.stored {
            Some(_) => KnownTablespaces::Stored(layout::server_tablespaces(&link.id)),
            None => KnownTablespaces::Asked,
        };
        Ok(Step::RunTool(Box::new(RunTool {
            title: title.to_owned(),
            launch: Launch { command, log: self.log() },
            dir: data.to_owned(),
            expect: self.engine.prepared(last, link.to_lsn),
            applies: Some(link.id.ts),
            tablespaces: self.engine.misses_dropped_tablespaces(self.version).then_some(known),
            bytes: None,
            options: Some(OptionFiles {
                dirs: [Some(data.to_owned()), incremental.map(Path::to_owned)].into_iter().flatten().collect(),
                keys: self.keys(),
            }),
            again: 0,
        })))
    }
}
