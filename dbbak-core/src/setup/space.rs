//! What `check` says of the room that the next full needs.

use super::Finding;
use crate::{
    config::Config,
    facts::{Facts, ServerFacts},
    plan::{scratch_root, unusable_scratch},
};
use std::path::PathBuf;

/// Judges the room in the store and in the scratch directory.
pub(super) fn of_space(config: &Config, facts: &Facts, server: Option<&ServerFacts>, findings: &mut Vec<Finding>) {
    let scratch = match scratch_root(config, facts, &config.nfs_root) {
        Ok(scratch) => scratch,
        Err(error) => {
            findings.push(Finding::NoScratch { problem: error.to_string() });
            return;
        }
    };
    if let Some(problem) = unusable_scratch(facts, &scratch) {
        findings.push(Finding::NoScratch { problem: format!("{}: {problem}", scratch.display()) });
        return;
    }
    let data = server.and_then(|server| facts.sizes.get(&server.datadir)).map(|size| size.bytes);
    let trees = 1 + u64::from(config.prepared.redo()) + u64::from(config.prepared.finished());
    let mut judge = |path: &PathBuf, needed: Option<u64>| {
        if let Some(filesystem) = facts.filesystems.get(path) {
            let (path, free) = (path.clone(), filesystem.free);
            findings.push(match needed.filter(|needed| free < *needed) {
                None => Finding::Space { path, free, needed },
                Some(needed) => Finding::SpaceLow { path, free, needed },
            });
        }
    };
    judge(&config.nfs_root, data.map(|data| data.saturating_mul(trees)));
    if config.scratch_dir.is_some() {
        judge(&scratch, data);
    }
}
