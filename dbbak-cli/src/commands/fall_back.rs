//! Another way for a restore whose incremental cannot be applied (an older backup, and binlogs), or whose prepared tree is damaged (the
//! raw one).

use crate::{CommandError, context::Context};
use dbbak_core::{
    clock::Clock,
    execute::{CopyState, ExecuteError, TreeError},
    model::{BackupId, Stamp, TreeName},
    plan::{RestoreRequest, Step},
    record::record_unusable,
    run::RunError,
    store::{LockRequest, LockScope, Store},
    tools::ToolRunError,
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The request without the incremental that a restore failed at, where that leads to the target too. What the failed run left in its
/// work directory is set aside, beside it.
pub(super) fn another_way(
    context: &Context,
    request: &RestoreRequest,
    error: &CommandError,
    first: &mut Option<FirstFailure>,
) -> Option<RestoreRequest> {
    if let Some(path) = damaged_prepared_tree(error).filter(|_| !request.raw_only) {
        return with_raw_trees(context, request, error, path);
    }
    let link = link_that_failed(error)?;
    if let Some((problem, _)) = shown(error)
        && first.as_ref().is_none_or(|first| first.link != link)
    {
        *first = Some(FirstFailure { link, problem: problem.clone() });
        if let Some(request) = once_more(context, request, error, link) {
            return Some(request);
        }
    }
    if let Some(text) = marked(context, link, error, first.as_ref()) {
        let _ = writeln!(io::stderr(), "WARNING: {text}");
    }
    // Where nothing is replayed, an older backup is another state.
    if request.replays_nothing() || request.avoid.contains(&link) {
        return None;
    }
    let mut other = RestoreRequest { id: uuid::Uuid::new_v4(), ..request.clone() };
    other.avoid.push(link);
    // In no directory yet: what lies in the one that is named belongs to the failed run.
    context.planning().restore(&RestoreRequest { workdir: None, ..other.clone() }).ok()?;
    let aside = match &request.workdir {
        Some(workdir) => Some(set_aside(workdir, &link.to_string()).ok()?),
        None => None,
    };
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "WARNING: {}", error.message());
    let _ = writeln!(
        stderr,
        "WARNING: incremental {link} cannot be applied, and is passed over: an older backup is restored, and more binlogs are replayed"
    );
    if let Some(aside) = aside {
        let _ = writeln!(stderr, "WARNING: the log of the failed attempt lies in {}", aside.display());
    }
    Some(other)
}

/// A link that a restore could not apply, before it was tried once more.
#[derive(Debug)]
pub(super) struct FirstFailure {
    link: Stamp,
    problem: ToolRunError,
}

/// What a failure may show of the link that was applied, and what is known of the copy.
fn shown(error: &CommandError) -> Option<(&ToolRunError, &CopyState)> {
    match error {
        CommandError::Run(RunError::Execute(ExecuteError::Tool { problem, copy, .. }))
            if problem.is_of_the_backup() =>
        {
            Some((problem, copy))
        }
        _ => None,
    }
}

/// The same restore on fresh copies, of what the tool wrote where the store has that: what failed may be the copy's fault, and a link is
/// marked only where it fails alike again.
fn once_more(context: &Context, request: &RestoreRequest, error: &CommandError, link: Stamp) -> Option<RestoreRequest> {
    let same = RestoreRequest { id: uuid::Uuid::new_v4(), ..request.clone() };
    let raw = RestoreRequest { raw_only: true, ..same.clone() };
    let plans = |request: &RestoreRequest| {
        context.planning().restore(&RestoreRequest { workdir: None, ..request.clone() }).is_ok()
    };
    let other = [raw, same].into_iter().find(plans)?;
    let aside = match &request.workdir {
        Some(workdir) => Some(set_aside(workdir, &link.to_string()).ok()?),
        None => None,
    };
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "WARNING: {}", error.message());
    let _ = writeln!(stderr, "WARNING: incremental {link} is tried once more, on fresh copies");
    if let Some(aside) = aside {
        let _ = writeln!(stderr, "WARNING: the log of the failed attempt lies in {}", aside.display());
    }
    Some(other)
}

/// Notes in the store that a link cannot be applied, so that no plan rests on it again, and says what came of that. `None`: what happened is no
/// proof of it (a signal, an unknown cause).
fn marked(context: &Context, link: Stamp, error: &CommandError, first: Option<&FirstFailure>) -> Option<String> {
    let reason = match error {
        CommandError::Run(RunError::Execute(ExecuteError::Tool { .. })) => {
            let (problem, copy) = shown(error)?;
            let alike = first.is_some_and(|first| first.link == link && first.problem.is_like(problem));
            match copy {
                CopyState::Whole if alike => {}
                CopyState::Changed { path } => {
                    return Some(format!(
                        "{link} is not marked: somebody else removed or changed {} while it was applied",
                        path.display()
                    ));
                }
                _ => {
                    return Some(format!(
                        "{link} is not marked: it did not fail twice alike on copies that were compared"
                    ));
                }
            }
            problem.with_its_line()
        }
        // Its files are those that were recorded, or the copy would have said otherwise.
        CommandError::Run(RunError::Execute(error @ ExecuteError::ConsumedIncremental { .. })) => error.to_string(),
        _ => return None,
    };
    let id = context.trusted().ok()?.backup(link)?.id;
    let mark = || -> Result<(), String> {
        let request = LockRequest::new("restore: note an incremental that cannot be applied");
        let session = context.store.lock(LockScope::Backups, &request).map_err(|error| error.to_string())?;
        let noted =
            record_unusable(&*session, &id, &format!("a restore could not apply it: {reason}"), context.clock.now());
        noted.map_err(|error| error.to_string())
    };
    Some(match mark() {
        Ok(()) => format!("{id} was marked in the store: no restore and no incremental rests on it any more"),
        Err(problem) => {
            format!("{id} could not be marked in the store, and the next restore finds it again: {problem}")
        }
    })
}

/// The file of a full's prepared tree that is not what was recorded.
fn damaged_prepared_tree(error: &CommandError) -> Option<&Path> {
    let CommandError::Run(RunError::Execute(ExecuteError::Tree(error))) = error else { return None };
    let path = match error {
        TreeError::Damaged { path, .. } | TreeError::Missing { path } | TreeError::Unknown { path } => path,
        _ => return None,
    };
    let prepared = [TreeName::PreparedFinal, TreeName::PreparedRedo];
    path.components().any(|part| prepared.iter().any(|tree| part.as_os_str() == tree.as_str())).then_some(path)
}

/// The same restore from raw trees, where the store has them.
fn with_raw_trees(
    context: &Context,
    request: &RestoreRequest,
    error: &CommandError,
    damaged: &Path,
) -> Option<RestoreRequest> {
    let other = RestoreRequest { id: uuid::Uuid::new_v4(), raw_only: true, ..request.clone() };
    let plan = context.planning().restore(&RestoreRequest { workdir: None, ..other.clone() }).ok()?;
    let reads = |step: &Step| matches!(step, Step::PassTree(pass) if damaged.starts_with(&pass.from));
    if plan.steps.iter().any(reads) {
        return None;
    }
    let aside = match &request.workdir {
        Some(workdir) if workdir.exists() => Some(set_aside(workdir, "prepared").ok()?),
        _ => None,
    };
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "WARNING: {}", error.message());
    let _ = writeln!(
        stderr,
        "WARNING: the prepared tree is left aside, and the raw one is restored: that takes a prepare more"
    );
    if let Some(aside) = aside {
        let _ = writeln!(stderr, "WARNING: what the failed attempt left lies in {}", aside.display());
    }
    Some(other)
}

/// The incremental that could not be applied, unless the place to work in was at fault: room, rights, the program.
fn link_that_failed(error: &CommandError) -> Option<Stamp> {
    if let CommandError::Run(RunError::Execute(ExecuteError::ConsumedIncremental { path })) = error {
        return path.iter().filter_map(|part| part.to_str()?.parse().ok()).map(|id: BackupId| id.ts).next_back();
    }
    let CommandError::Run(RunError::Execute(ExecuteError::Tool { link, problem, .. })) = error else { return None };
    let of_the_place = problem.class().is_of_the_place() || matches!(**problem, ToolRunError::Stuck { .. });
    if of_the_place { None } else { *link }
}

/// Moves what lies in a directory into a new one beside it, and leaves the directory empty.
fn set_aside(workdir: &Path, label: &str) -> io::Result<PathBuf> {
    let name = workdir.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let beside = |number: u32| match number {
        0 => workdir.with_file_name(format!("{name}-failed-{label}")),
        _ => workdir.with_file_name(format!("{name}-failed-{label}-{number}")),
    };
    for number in 0..100 {
        let aside = beside(number);
        match fs::create_dir(&aside) {
            Ok(()) => {
                for entry in fs::read_dir(workdir)? {
                    let entry = entry?;
                    fs::rename(entry.path(), aside.join(entry.file_name()))?;
                }
                return Ok(aside);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_run_left_is_moved_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let workdir = dir.path().join("restored");
        for (number, expected) in [(1, "restored-failed-2025-10-02T03-00Z"), (2, "restored-failed-2025-10-02T03-00Z-1")]
        {
            fs::create_dir_all(workdir.join("data")).unwrap();
            fs::write(workdir.join("prepare.log"), number.to_string()).unwrap();
            let aside = set_aside(&workdir, "2025-10-02T03-00Z").unwrap();
            assert_eq!(aside, dir.path().join(expected));
            assert_eq!(fs::read_to_string(aside.join("prepare.log")).unwrap(), number.to_string());
            assert!(aside.join("data").is_dir());
            assert_eq!(fs::read_dir(&workdir).unwrap().count(), 0);
        }
    }
}
