//! What `check` says of the room that the next full needs.

use super::Finding;
use crate::{
    config::Config,
    facts::Facts,
    plan::{scratch_root, unusable_scratch},
};
use std::path::PathBuf;

/// Judges the room in the store and in the scratch directory. `data`: bytes of the server's data, where that is known.
pub(super) fn of_space(config: &Config, facts: &Facts, data: Option<u64>, findings: &mut Vec<Finding>) {
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
    // A copy is made there for each prepare, and moved into the store where both are of one file system.
    let device = |path: &PathBuf| facts.filesystems.get(path).map(|filesystem| filesystem.device);
    let moved = device(&scratch).is_some() && device(&scratch) == device(&config.nfs_root);
    if config.scratch_dir.is_some() && !moved && trees > 1 {
        judge(&scratch, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Filesystem, HostFacts};

    /// What is lacking where, as path and bytes needed, with 10 bytes of data.
    fn lacking(more: &str, store: (u64, u64), scratch: (u64, u64)) -> Vec<(String, u64)> {
        let config = Config::parse(format!("nfs_root: /b\nscratch_dir: /s\n{more}").as_bytes(), None).unwrap();
        let mut facts = Facts::of_host(HostFacts {
            name: "h".into(),
            utc_offset_seconds: 0,
            time_zone: None,
            root: false,
            uid: None,
            temp_dir: "/tmp".into(),
        });
        for (path, (free, device)) in [("/b", store), ("/s", scratch)] {
            let filesystem = Filesystem { free, total: 1000, network: false, read_only: false, device };
            facts.filesystems.insert(path.into(), filesystem);
        }
        let mut findings = Vec::new();
        of_space(&config, &facts, Some(10), &mut findings);
        let low = findings.into_iter().filter_map(|finding| match finding {
            Finding::SpaceLow { path, needed, .. } => Some((path.display().to_string(), needed)),
            _ => None,
        });
        low.collect()
    }

    #[test]
    fn a_full_that_cannot_fit_is_a_problem() {
        let of = |path: &str, needed| (path.to_owned(), needed);
        assert_eq!(lacking("", (29, 1), (10, 2)), [of("/b", 30)]);
        assert_eq!(lacking("", (30, 1), (9, 2)), [of("/s", 10)]);
        assert_eq!(lacking("", (30, 1), (10, 2)), []);
        // The copy is moved into the store where that is one file system: it is counted once.
        assert_eq!(lacking("", (30, 1), (30, 1)), []);
        assert_eq!(lacking("", (29, 1), (29, 1)), [of("/b", 30)]);
        // Nothing is copied where nothing is prepared.
        assert_eq!(lacking("prepared: none", (10, 1), (0, 2)), []);
        assert_eq!(lacking("prepared: none", (9, 1), (0, 2)), [of("/b", 10)]);
    }
}
