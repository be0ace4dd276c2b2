//! Says where room is lacking after a run that ran out of it.

use crate::{context::Context, output};
use dbbak_core::{
    execute::{ExecuteError, TreeError},
    plan::{Plan, Step},
    probe::Probe,
    record::RecordError,
    run::RunError,
    store::StoreError,
    tools::{FailureClass, ToolRunError},
};
use std::{
    error::Error,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A hint that names the file system that is full, what is free there, and what the plan writes; `None` where a run failed for
/// another reason.
pub(super) fn lacking(context: &Context, plan: &Plan, error: &RunError) -> Option<String> {
    let place = full_place(context.root(), plan, error)?;
    let place = place.ancestors().find(|path| path.exists())?.to_owned();
    let filesystem = context.probe.filesystem(&place).ok()?;
    let written: u64 = plan.steps.iter().filter_map(Step::bytes).sum();
    let needs = match written {
        0 => String::new(),
        bytes => format!("; the whole plan writes up to {}", output::bytes(bytes)),
    };
    Some(format!(
        "no space was left on the file system at {}: {} of {} are free now{needs}",
        mount_point(&place).display(),
        output::bytes(filesystem.free),
        output::bytes(filesystem.total),
    ))
}

/// Where it was that no space was left.
fn full_place(root: &Path, plan: &Plan, error: &RunError) -> Option<PathBuf> {
    let is_full = |error: &std::io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    match error {
        RunError::Store(StoreError::NoSpace { .. })
        | RunError::Record(RecordError::Store(StoreError::NoSpace { .. }))
        | RunError::Execute(ExecuteError::Store(StoreError::NoSpace { .. })) => Some(root.to_owned()),
        RunError::Execute(
            ExecuteError::Io { path, source, .. } | ExecuteError::Tree(TreeError::Io { path, source, .. }),
        ) if is_full(source) => Some(path.clone()),
        RunError::Execute(ExecuteError::Tool { title, problem, .. }) => {
            let full = matches!(&**problem, ToolRunError::Exited { class: FailureClass::NoSpace, .. });
            let dir = plan.steps.iter().find_map(|step| match step {
                Step::RunTool(run) if run.title == *title => Some(run.dir.clone()),
                _ => None,
            });
            dir.filter(|_| full)
        }
        RunError::Execute(error) => {
            // Whatever step it was: the cause says it, and the work is done in the work directory.
            let mut cause = error.source();
            while let Some(error) = cause {
                if error.downcast_ref::<std::io::Error>().is_some_and(is_full) {
                    return plan.discard_dirs.first().cloned().or_else(|| Some(root.to_owned()));
                }
                cause = error.source();
            }
            None
        }
        _ => None,
    }
}

/// The highest directory above a path on the same file system.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    let own = device(path);
    let same = path.ancestors().take_while(|above| device(above) == own);
    same.last().unwrap_or(path).to_owned()
}
