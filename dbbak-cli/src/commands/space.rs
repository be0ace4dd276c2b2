//! Says where room is lacking after a run that ran out of it.

use crate::{CommandError, context::Context, space_lack::SpaceLack};
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
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// How a database server, its client or a reader says that a disk is full.
const FULL: [&str; 7] = [
    "No space left on device",
    "failed with error 28",
    "error number 28",
    "rrcode: 28",
    "rrno: 28",
    "isk is full",
    "isk full",
];

/// How much of a log's end is looked at, in bytes.
const LOG_END: u64 = 64 << 10;

/// The failure of a run, with the file system that was full where that is why it failed.
pub(super) fn told(context: &Context, plan: Option<&Plan>, error: RunError) -> CommandError {
    match lacking(context, plan, &error) {
        Some(lack) => CommandError::OutOfSpace { error: Box::new(error.into()), lack },
        None => error.into(),
    }
}

fn lacking(context: &Context, plan: Option<&Plan>, error: &RunError) -> Option<SpaceLack> {
    let place = full_place(context.root(), plan, error)?;
    let place = place.ancestors().find(|path| path.exists())?.to_owned();
    let filesystem = context.probe.filesystem(&place).ok()?;
    let planned: u64 = plan.iter().flat_map(|plan| &plan.steps).filter_map(Step::bytes).sum();
    let (free, total) = (filesystem.free, filesystem.total);
    let planned = (planned > 0).then_some(planned);
    Some(SpaceLack { mounted_at: mount_point(&place), free, total, planned })
}

/// Where it was that no space was left.
fn full_place(root: &Path, plan: Option<&Plan>, error: &RunError) -> Option<PathBuf> {
    let is_full = |error: &std::io::Error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    match error {
        RunError::Store(StoreError::NoSpace { .. })
        | RunError::Record(RecordError::Store(StoreError::NoSpace { .. }))
        | RunError::Execute(ExecuteError::Store(StoreError::NoSpace { .. })) => Some(root.to_owned()),
        RunError::Execute(
            ExecuteError::Io { path, source, .. } | ExecuteError::Tree(TreeError::Io { path, source, .. }),
        ) if is_full(source) => Some(path.clone()),
        RunError::Execute(ExecuteError::Tool { title, problem, .. }) => {
            let ended = matches!(&**problem, ToolRunError::Exited { .. } | ToolRunError::Stuck { .. });
            let full = ended && problem.class() == FailureClass::NoSpace;
            let dir = plan.into_iter().flat_map(|plan| &plan.steps).find_map(|step| match step {
                Step::RunTool(run) if run.title == *title => Some(run.dir.clone()),
                _ => None,
            });
            dir.filter(|_| full)
        }
        RunError::Execute(error) if told_by_program(error) => Some(match error {
            ExecuteError::Dump { .. } => root.to_owned(),
            ExecuteError::Fetch { .. } => plan.and_then(|plan| plan.scratch.clone()).unwrap_or_else(|| root.to_owned()),
            _ => work_dir(plan).unwrap_or_else(|| root.to_owned()),
        }),
        RunError::Execute(error) => {
            // Whatever step it was: the cause says it, and the work is done in the work directory.
            let mut cause = error.source();
            while let Some(error) = cause {
                if error.downcast_ref::<std::io::Error>().is_some_and(is_full) {
                    return work_dir(plan).or_else(|| Some(root.to_owned()));
                }
                cause = error.source();
            }
            None
        }
        _ => None,
    }
}

/// Where private servers and copies of a plan work.
fn work_dir(plan: Option<&Plan>) -> Option<PathBuf> {
    let plan = plan?;
    let journal = plan.journal.as_ref().and_then(|journal| journal.path.parent());
    journal.map(Path::to_owned).or_else(|| plan.discard_dirs.first().cloned())
}

/// Whether a program says that it found a disk full: in what it printed, or at the end of its log.
fn told_by_program(error: &ExecuteError) -> bool {
    let full = |text: &str| FULL.iter().any(|words| text.contains(words));
    let (lines, log): (&[String], Option<&Path>) = match error {
        ExecuteError::ServerStart { stderr, log, .. }
        | ExecuteError::Replay { stderr, log, .. }
        | ExecuteError::Dump { stderr, log, .. }
        | ExecuteError::Initialise { stderr, log, .. }
        | ExecuteError::Load { stderr, log, .. } => (stderr, Some(log)),
        ExecuteError::Clone { stderr, .. } => (stderr, None),
        ExecuteError::Applier { problem, log, .. } => (std::slice::from_ref(problem), Some(log)),
        ExecuteError::CatchUp { log, .. } => (&[], Some(log)),
        ExecuteError::Fetch { problem, log, .. } => (&problem.lines, Some(log)),
        _ => return false,
    };
    lines.iter().any(|line| full(line)) || log.is_some_and(|log| end_of(log).is_ok_and(|text| full(&text)))
}

fn end_of(log: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(log)?;
    let start = file.metadata()?.len().saturating_sub(LOG_END);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(LOG_END).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The highest directory above a path on the same file system.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
    let own = device(path);
    let same = path.ancestors().take_while(|above| device(above) == own);
    same.last().unwrap_or(path).to_owned()
}
