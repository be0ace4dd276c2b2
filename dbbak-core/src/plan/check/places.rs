//! Rules 2 and 8: what a prepare or a server works on was copied before, and what a run writes or removes is its own.

use super::{Broken, has, option};
use crate::{
    model::BackupId,
    plan::{Plan, PrivateServer, SCRATCH_PREFIX, Step, Summary},
};
use std::path::{Path, PathBuf};

/// The store's root, as far as the plan tells.
fn store_root(plan: &Plan) -> Option<PathBuf> {
    plan.steps.iter().find_map(|step| match step {
        Step::PassTree(pass) if pass.verify.is_some() => pass.from.ancestors().nth(2).map(Path::to_owned),
        Step::RunTool(run) if has(&run.launch.command, "--backup") => run.dir.ancestors().nth(2).map(Path::to_owned),
        Step::TakeDump(take) => take.launch.log.ancestors().nth(2).map(Path::to_owned),
        Step::OpenClone(open) => open.server.launch.log.ancestors().nth(2).map(Path::to_owned),
        _ => None,
    })
}

/// Whether a path is the store itself or lies among its originals.
fn is_original(root: Option<&Path>, path: &Path) -> bool {
    let Some(Ok(below)) = root.map(|root| path.strip_prefix(root)) else { return false };
    match below.components().next().and_then(|first| first.as_os_str().to_str()) {
        None => true,
        Some(first) => first == "binlogs" || first.parse::<BackupId>().is_ok(),
    }
}

/// Rule 2: prepares, servers, renames and removals touch private copies alone.
pub(super) fn private_copies(plan: &Plan, broken: Broken<'_>) {
    let root = store_root(plan);
    let original = |path: &Path| is_original(root.as_deref(), path);
    let mut copies: Vec<&Path> = Vec::new();
    for step in &plan.steps {
        if let Some(PrivateServer { launch, datadir, .. }) = step.private_server() {
            let named = option(&launch.command, "--datadir").map(Path::new);
            if named != Some(datadir) || !copies.contains(&&**datadir) || original(datadir) {
                broken(2, format!("a private server works on {}, which is no private copy", datadir.display()));
            }
        }
        match step {
            Step::PassTree(pass) => copies.extend(pass.to.as_deref()),
            Step::RunTool(run) if has(&run.launch.command, "--prepare") => {
                let command = &run.launch.command;
                for dir in ["--target-dir", "--incremental-dir"].iter().filter_map(|name| option(command, name)) {
                    let dir = Path::new(dir);
                    if !copies.contains(&dir) || original(dir) {
                        broken(2, format!("{} is prepared, but it is no private copy", dir.display()));
                    }
                }
                if option(command, "--target-dir").map(Path::new) != Some(&run.dir) {
                    broken(2, format!("a prepare works elsewhere than on {}", run.dir.display()));
                }
                // An incremental is used up by being applied.
                copies.retain(|copy| option(command, "--incremental-dir").map(Path::new) != Some(copy));
            }
            Step::TakeClone(take) => copies.push(&take.dir),
            Step::InitDatadir(init) => copies.push(&init.datadir),
            Step::MoveTree { from, .. } | Step::RemoveTree { path: from } => {
                let made = plan.steps.iter().any(|step| match step {
                    Step::CreateDir { path } => from.starts_with(path),
                    Step::UnpackBinlogs(unpack) => *from == unpack.dir,
                    _ => false,
                });
                let own = |dir: &PathBuf| from.starts_with(dir);
                let left = from.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SCRATCH_PREFIX));
                if original(from) || (!made && !left && !plan.discard_dirs.iter().any(own)) {
                    broken(2, format!("{} is moved or removed, but the run did not make it", from.display()));
                }
            }
            _ => {}
        }
    }
}

/// Rule 8: a restore writes in its own two directories, which are not in the store.
pub(super) fn own_directories(plan: &Plan, broken: Broken<'_>) {
    let Summary::Restore { report } = &plan.summary else { return };
    let Some(workdir) = report.datadir.parent() else { return broken(8, "the data directory has no parent".into()) };
    // What lies in the store's `tmp/` are private copies.
    if store_root(plan).is_some_and(|root| workdir.starts_with(&root) && !workdir.starts_with(root.join("tmp"))) {
        broken(8, format!("the work directory {} lies in the store", workdir.display()));
    }
    let run_dirs: Vec<&Path> = plan.discard_dirs.iter().map(PathBuf::as_path).collect();
    let mut own = |path: &Path| {
        let climbs = path.components().any(|part| part.as_os_str() == "..");
        if climbs || !(path.starts_with(workdir) || run_dirs.iter().any(|dir| path.starts_with(dir))) {
            broken(8, format!("{} lies outside of the work directory", path.display()));
        }
    };
    for step in &plan.steps {
        if let Some(server) = step.private_server() {
            let PrivateServer { run_dir, socket, init_file, client_file, log_dir, .. } = server;
            [run_dir, socket, init_file, client_file, log_dir].into_iter().for_each(|path| own(path));
            for name in ["--datadir", "--log-bin", "--tmpdir", "--pid-file", "--innodb-data-home-dir", "--relay-log"] {
                option(&server.launch.command, name).into_iter().for_each(|dir| own(Path::new(dir)));
            }
        }
        match step {
            Step::CreateDir { path } | Step::RemoveTree { path } | Step::WriteReport { path, .. } => own(path),
            Step::PassTree(pass) => pass.to.iter().for_each(|to| own(to)),
            Step::MakeReady(ready) => {
                own(&ready.datadir);
                own(&ready.coordinates);
                ready.settings.values().chain(&ready.binlog_state).chain(&ready.identity).for_each(|path| own(path));
                ready
                    .history
                    .iter()
                    .for_each(|history| [&history.dir, &history.index].into_iter().for_each(|dir| own(dir)));
                // A list that names another server's files has this one read them, and purge them.
                let listed = ready.history.iter().map(|history| &history.listed_in);
                listed.filter(|dir| dir.as_path() != Path::new(".")).for_each(|dir| own(dir));
                let owner = ready.owner.iter();
                owner.flat_map(|owner| owner.trees.iter().chain([&owner.parent])).for_each(|tree| own(tree));
            }
            Step::RunTool(run) => own(&run.dir),
            Step::MoveTree { to, .. } => own(to),
            Step::UnpackBinlogs(unpack) => [&unpack.dir, &unpack.expected_list].into_iter().for_each(|dir| own(dir)),
            Step::InitDatadir(init) => {
                own(&init.datadir);
                option(&init.launch.command, "--datadir").into_iter().for_each(|dir| own(Path::new(dir)));
            }
            _ => {}
        }
    }
}
