//! Another way for a restore whose incremental cannot be applied: an older backup, and binlogs.

use crate::{CommandError, context::Context};
use dbbak_core::{
    execute::ExecuteError,
    model::Stamp,
    plan::RestoreRequest,
    run::RunError,
    tools::{FailureClass, ToolRunError},
};
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// The request without the incremental that a restore failed at, where that leads to the target too. What the failed run left in its
/// work directory is set aside, beside it.
pub(super) fn another_way(context: &Context, request: &RestoreRequest, error: &CommandError) -> Option<RestoreRequest> {
    let link = link_that_failed(error)?;
    // Where nothing is replayed, an older backup is another state.
    if request.replays_nothing() || request.avoid.contains(&link) {
        return None;
    }
    let mut other = RestoreRequest { id: uuid::Uuid::new_v4(), ..request.clone() };
    other.avoid.push(link);
    // In no directory yet: what lies in the one that is named belongs to the failed run.
    context.planning().restore(&RestoreRequest { workdir: None, ..other.clone() }).ok()?;
    let aside = match &request.workdir {
        Some(workdir) => Some(set_aside(workdir, link).ok()?),
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

/// The incremental that could not be applied, unless the place to work in was at fault: room, rights, the program.
fn link_that_failed(error: &CommandError) -> Option<Stamp> {
    let CommandError::Run(RunError::Execute(ExecuteError::Tool { link, problem, .. })) = error else { return None };
    let of_the_place = [
        FailureClass::NoSpace,
        FailureClass::TooManyOpenFiles,
        FailureClass::PermissionDenied,
        FailureClass::UnknownOption,
        FailureClass::VersionMismatch,
    ];
    match &**problem {
        ToolRunError::Exited { class, .. } if of_the_place.contains(class) => None,
        _ => *link,
    }
}

/// Moves what lies in a directory into a new one beside it, and leaves the directory empty.
fn set_aside(workdir: &Path, link: Stamp) -> io::Result<PathBuf> {
    let name = workdir.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let beside = |number: u32| match number {
        0 => workdir.with_file_name(format!("{name}-failed-{link}")),
        _ => workdir.with_file_name(format!("{name}-failed-{link}-{number}")),
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
        let link: Stamp = "2025-10-02T03-00Z".parse().unwrap();
        for (number, expected) in [(1, "restored-failed-2025-10-02T03-00Z"), (2, "restored-failed-2025-10-02T03-00Z-1")]
        {
            fs::create_dir_all(workdir.join("data")).unwrap();
            fs::write(workdir.join("prepare.log"), number.to_string()).unwrap();
            let aside = set_aside(&workdir, link).unwrap();
            assert_eq!(aside, dir.path().join(expected));
            assert_eq!(fs::read_to_string(aside.join("prepare.log")).unwrap(), number.to_string());
            assert!(aside.join("data").is_dir());
            assert_eq!(fs::read_dir(&workdir).unwrap().count(), 0);
        }
    }
}
