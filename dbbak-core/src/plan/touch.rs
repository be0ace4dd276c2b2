//! What a step does to the trees of a work directory: that decides what a restore that died in it may keep.

use super::{Plan, Step, Summary, Told, UnpackBinlogs};
use crate::{store::Digest, tools::Arg};
use std::{collections::BTreeMap, path::Path};

/// What a step does to a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch<'a> {
    /// Fills a tree from the store. Each file can be compared with its recorded digest, unless none was recorded.
    Copies {
        /// The copy.
        tree: &'a Path,
        /// Whether digests were recorded.
        recorded: bool,
    },
    /// Changes a tree: a half-done change cannot be told from a whole one, and is no state to go on from.
    Changes {
        /// The tree.
        tree: &'a Path,
    },
    /// Makes a directory, and fills it with what can be made again.
    Makes {
        /// The directory.
        tree: &'a Path,
    },
    /// Removes a tree. Doing so twice does no harm.
    Removes {
        /// The tree.
        tree: &'a Path,
    },
    /// Touches no tree.
    Nothing,
}

/// What a step does. One that is not known counts as changing the restored data.
pub fn touch<'a>(step: &'a Step, datadir: &'a Path) -> Touch<'a> {
    match step {
        Step::PassTree(pass) | Step::MendTree(pass) => match &pass.to {
            Some(tree) => {
                let recorded = pass.verify.as_ref().is_some_and(|stored| stored.list_digest.is_some());
                Touch::Copies { tree, recorded }
            }
            None => Touch::Nothing,
        },
        Step::RunTool(run) => Touch::Changes { tree: &run.dir },
        Step::CreateDir { path } => Touch::Makes { tree: path },
        Step::UnpackBinlogs(unpack) => Touch::Makes { tree: &unpack.dir },
        // Something in the restored data, not the data.
        Step::RemoveTree { path } if path != datadir && path.starts_with(datadir) => Touch::Changes { tree: datadir },
        Step::RemoveTree { path } => Touch::Removes { tree: path },
        Step::WriteReport { .. } => Touch::Nothing,
        _ => Touch::Changes { tree: datadir },
    }
}

/// Whether a step works on a tree, be it that it only reads it.
pub(super) fn works_on(step: &Step, datadir: &Path, tree: &Path) -> bool {
    let touched = match touch(step, datadir) {
        Touch::Copies { tree, .. } | Touch::Changes { tree } | Touch::Makes { tree } | Touch::Removes { tree } => {
            Some(tree)
        }
        Touch::Nothing => None,
    };
    let named = |arg: &Arg| match arg {
        Arg::Plain(text) => text.split_once('=').is_some_and(|(_, value)| Path::new(value) == tree),
        Arg::Secret(_) => false,
    };
    touched == Some(tree) || matches!(step, Step::RunTool(run) if run.launch.command.args.iter().any(named))
}

impl Step {
    /// Tells a step apart from others of its plan, and from another restore's: by what it brings about. How fast it does so
    /// (threads, memory) does not count, so that a run with other settings can go on.
    pub fn key(&self) -> Digest {
        let essence = match self {
            Step::PassTree(pass) | Step::MendTree(pass) => {
                serde_json::json!({ "copy": pass.from, "to": pass.to, "of": pass.verify })
            }
            Step::RunTool(run) => serde_json::json!({ "run": run.title, "on": run.dir, "for": run.expect }),
            Step::Replay(replay) => serde_json::json!({
                "replay": replay.from, "to": replay.cut, "on": replay.server.log_dir, "relay": replay.relay.is_some(),
            }),
            // How it is divided depends on the room that there is, and how much of it is applied already does not count.
            Step::UnpackBinlogs(unpack) => {
                serde_json::json!(UnpackBinlogs {
                    batches: Vec::new(),
                    done_until: None,
                    told: Told::default(),
                    ..unpack.clone()
                })
            }
            Step::WriteReport { path, .. } => serde_json::json!({ "report": path }),
            step => serde_json::json!(step),
        };
        Digest::of(essence.to_string().as_bytes())
    }
}

impl Plan {
    /// What tells each step apart from the others, also from one that does the same. It is counted from the end: what goes on
    /// with a restore ends as the whole one does.
    pub fn step_keys(&self) -> Vec<Digest> {
        let mut seen: BTreeMap<Digest, u32> = BTreeMap::new();
        let mut keys: Vec<Digest> = self
            .steps
            .iter()
            .rev()
            .map(|step| {
                let key = step.key();
                let behind = seen.entry(key).or_default();
                *behind += 1;
                Digest::of(format!("{key} {behind}").as_bytes())
            })
            .collect();
        keys.reverse();
        keys
    }

    /// The data directory that a restore makes; the empty path for every other plan.
    pub fn datadir(&self) -> &Path {
        match &self.summary {
            Summary::Restore { report } => &report.datadir,
            _ => Path::new(""),
        }
    }
}
