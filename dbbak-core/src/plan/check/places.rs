//! Rules 2 and 8: what a prepare or a server works on was copied before, and what a run writes or removes is its own.

use super::{Broken, has, option};
use crate::{
    model::BackupId,
    plan::{Plan, PrivateServer, SCRATCH_PREFIX, Step, Summary},
    store::{BackupPart, KeyClass, StoreKey, classify},
};
use std::path::{Path, PathBuf};

/// Whether a path is the store itself or lies among its originals.
fn is_original(root: Option<&Path>, path: &Path) -> bool {
    let Some(Ok(below)) = root.map(|root| path.strip_prefix(root)) else { return false };
    match below.components().next().and_then(|first| first.as_os_str().to_str()) {
        None => true,
        Some(first) => first == "binlogs" || first.parse::<BackupId>().is_ok(),
    }
}

/// The work directory of a restore.
fn workdir(plan: &Plan) -> Option<&Path> {
    match &plan.summary {
        Summary::Restore { report } => report.datadir.parent(),
        _ => None,
    }
}

/// Whether the plan goes on with a restore that died: what it works on was made by that one. Its journal says so, and is
/// looked at when the plan is carried out.
fn goes_on(plan: &Plan) -> bool {
    plan.journal.as_ref().is_some_and(|journal| journal.resume.is_some())
}

fn climbs(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "..") || !path.is_absolute()
}

/// Whether a path lies in a directory that the run makes before a step.
fn made_before(plan: &Plan, place: usize, path: &Path) -> bool {
    !climbs(path)
        && plan.steps[..place].iter().any(|step| match step {
            Step::CreateDir { path: made } => !climbs(made) && path.starts_with(made),
            _ => false,
        })
}

/// Whether a path lies in a directory of the store that the run makes before a step.
fn stored_before(plan: &Plan, place: usize, path: &Path) -> bool {
    let Some(root) = &plan.store else { return false };
    !climbs(path)
        && plan.steps[..place].iter().any(|step| match step {
            Step::CreateStoreDir { key } => path.starts_with(root.join(key.as_str())),
            _ => false,
        })
}

/// Whether a path is that of a directory which only runs of this program make.
fn is_run_dir(path: &Path) -> bool {
    !climbs(path) && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(SCRATCH_PREFIX))
}

/// Rule 2: a plan that touches trees says which store it is for: without that nothing tells originals from copies.
pub(super) fn store_is_named(plan: &Plan, broken: Broken<'_>) {
    let touches = |step: &Step| {
        matches!(
            step,
            Step::CreateStoreDir { .. }
                | Step::RecordBackup(_)
                | Step::PassTree(_)
                | Step::MendTree(_)
                | Step::MoveTree { .. }
                | Step::RemoveTree { .. }
                | Step::RunTool(_)
                | Step::TakeClone(_)
                | Step::InitDatadir(_)
                | Step::TakeDump(_)
                | Step::CutTies { .. }
                | Step::MakeReady(_)
                | Step::GiveDir { .. }
        ) || step.private_server().is_some()
    };
    let removes = !plan.discard_dirs.is_empty() || !plan.discard_on_failure.is_empty();
    if plan.store.is_none() && (removes || plan.steps.iter().any(touches)) {
        broken(2, "the plan does not say which store it is for".into());
    }
}

/// Rule 2: prepares, servers, renames and removals touch private copies alone.
pub(super) fn private_copies(plan: &Plan, broken: Broken<'_>) {
    let original = |path: &Path| is_original(plan.store.as_deref(), path);
    let workdir = workdir(plan);
    let taken_over = |path: &Path| goes_on(plan) && workdir.is_some_and(|dir| path != dir && path.starts_with(dir));
    let mut copies: Vec<&Path> = Vec::new();
    for (place, step) in plan.steps.iter().enumerate() {
        if let Some(PrivateServer { launch, datadir, .. }) = step.private_server() {
            let named = option(&launch.command, "--datadir").map(Path::new);
            let copied = copies.contains(&&**datadir) || taken_over(datadir);
            if named != Some(datadir) || !copied || original(datadir) {
                broken(2, format!("a private server works on {}, which is no private copy", datadir.display()));
            }
        }
        match step {
            Step::PassTree(pass) => copies.extend(pass.to.as_deref()),
            Step::RunTool(run) if has(&run.launch.command, "--prepare") => {
                let command = &run.launch.command;
                for dir in ["--target-dir", "--incremental-dir"].iter().filter_map(|name| option(command, name)) {
                    let dir = Path::new(dir);
                    if !(copies.contains(&dir) || taken_over(dir)) || original(dir) {
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
            Step::GiveDir { path, .. } if !made_before(plan, place, path) => {
                broken(2, format!("{} is given away, but the run did not make it", path.display()));
            }
            Step::MoveTree { from, .. } | Step::RemoveTree { path: from } => {
                // What another run left lies where this run's own directory is made, and has the name of such a one.
                let left = is_run_dir(from) && from.parent().is_some() && from.parent() == plan.scratch.as_deref();
                // A journal that was begun, and holds nothing.
                let journal = plan.journal.as_ref().is_some_and(|journal| journal.path == *from);
                let of_dead = goes_on(plan) && plan.discard_dirs.contains(from);
                if original(from)
                    || climbs(from)
                    || !(made_before(plan, place, from) || left || journal || of_dead || taken_over(from))
                {
                    broken(2, format!("{} is moved or removed, but the run did not make it", from.display()));
                }
            }
            _ => {}
        }
    }
}

/// Rule 8: what a failed run removes is what it makes: in the store the backup that it takes, elsewhere directories.
pub(super) fn discarded(plan: &Plan, broken: Broken<'_>) {
    let all = plan.steps.len();
    let workdir = workdir(plan);
    for dir in &plan.discard_dirs {
        let below = workdir.is_some_and(|workdir| dir != workdir && dir.starts_with(workdir)) && !climbs(dir);
        let run_dir = workdir.is_some() && is_run_dir(dir);
        if is_original(plan.store.as_deref(), dir) || !(made_before(plan, all, dir) || below || run_dir) {
            broken(8, format!("{} would be removed by a failure, but the run does not make it", dir.display()));
        }
    }
    for key in &plan.discard_on_failure {
        let below =
            |made: &StoreKey| key.as_str().strip_prefix(made.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let made = |step: &Step| matches!(step, Step::CreateStoreDir { key: made } if made == key || below(made));
        if !plan.steps.iter().any(made) {
            broken(8, format!("{key} would be removed by a failure, but the run does not make it"));
        }
    }
    for step in &plan.steps {
        let Step::RemoveStored { keys } = step else { continue };
        for key in keys {
            let whole = match classify(key) {
                KeyClass::Backup { part, .. } => part == BackupPart::Directory,
                KeyClass::Binlog(_) | KeyClass::Transactions(_) => true,
                _ => false,
            };
            if !whole {
                broken(8, format!("{key} is removed, but it is neither a backup nor a binlog"));
            }
        }
    }
}

/// Rule 8: whatever is no restore writes in directories that it makes, in the store and elsewhere.
pub(super) fn written(plan: &Plan, broken: Broken<'_>) {
    if matches!(plan.summary, Summary::Restore { .. }) {
        return;
    }
    for (place, step) in plan.steps.iter().enumerate() {
        let to = match step {
            Step::PassTree(pass) | Step::MendTree(pass) => pass.to.as_deref(),
            Step::MoveTree { to, .. } => Some(&**to),
            Step::RunTool(run) => Some(&*run.dir),
            Step::TakeClone(take) => Some(&*take.dir),
            Step::InitDatadir(init) => Some(&*init.datadir),
            Step::TakeDump(take) => Some(&*take.file),
            Step::FetchBinlog(fetch) => Some(&*fetch.path),
            _ => None,
        };
        if let Some(to) = to
            && !made_before(plan, place, to)
            && !stored_before(plan, place, to)
        {
            broken(8, format!("{} is written, but the run did not make its directory", to.display()));
        }
    }
}

/// Rule 8: a restore writes in its own two directories, which are not in the store.
pub(super) fn own_directories(plan: &Plan, broken: Broken<'_>) {
    let Summary::Restore { report } = &plan.summary else { return };
    let Some(workdir) = report.datadir.parent() else { return broken(8, "the data directory has no parent".into()) };
    // What lies in the store's `tmp/` are private copies.
    let store = plan.store.as_deref();
    if store.is_some_and(|root| workdir.starts_with(root) && !workdir.starts_with(root.join("tmp"))) {
        broken(8, format!("the work directory {} lies in the store", workdir.display()));
    }
    let run_dirs: Vec<&Path> = plan.discard_dirs.iter().map(PathBuf::as_path).collect();
    let mut own = |path: &Path| {
        if climbs(path) || !(path.starts_with(workdir) || run_dirs.iter().any(|dir| path.starts_with(dir))) {
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
            Step::CutTies { datadir, .. } => own(datadir),
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
