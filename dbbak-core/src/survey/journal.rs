//! Looks for the journal of a dead restore in a work directory, and at what is there of what it tells of.

use super::{SurveyError, halfway};
use crate::{
    facts::{Facts, JournalFact, LivingProcess},
    journal::{JOURNAL, Journal, JournalError, JournalSession, LeftApart, tree_state},
    probe::{PathState, Probe},
};
use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
};

/// Where Linux tells about itself.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Looks for the journal of a dead restore in a work directory.
///
/// # Errors
///
/// When the work directory cannot be looked at.
pub fn journal(facts: &mut Facts, probe: &dyn Probe, workdir: Option<&Path>) -> Result<(), SurveyError> {
    let Some(workdir) = workdir else { return Ok(()) };
    let path = workdir.join(JOURNAL);
    let PathState::File { .. } = probe.path_state(&path)? else { return Ok(()) };
    let mut bytes = Vec::new();
    let read = probe.open_file(&path)?.read_to_end(&mut bytes);
    read.map_err(|source| crate::probe::ProbeError::Io { action: "read", path: path.clone(), source })?;
    let journal = Journal::parse(&String::from_utf8_lossy(&bytes));
    let names = probe.list_dir(workdir)?;
    let boot = text(probe, Path::new(BOOT_ID)).map(|text| text.trim().to_owned());
    let (trees, apart) = match &journal {
        Ok(journal) => trees_of(journal, probe)?,
        Err(_) => Default::default(),
    };
    let living = living(probe, workdir, journal.as_ref(), boot.as_deref());
    // What is there is used again, or makes room.
    facts.sizes.insert(workdir.to_owned(), probe.tree_size(workdir)?);
    let replay = halfway::dead_replay(probe, workdir)?;
    facts.journal = Some(Box::new(JournalFact { path, journal, boot, living, trees, apart, names, replay }));
    Ok(())
}

/// The states of trees.
type States = BTreeMap<PathBuf, crate::store::Digest>;

/// The state of the trees that finished steps have left, as far as they are there.
fn trees_of(journal: &Journal, probe: &dyn Probe) -> Result<(States, States), SurveyError> {
    let (mut trees, mut apart) = (States::new(), States::new());
    for (tree, left) in journal.done.iter().flat_map(|done| &done.left) {
        if !trees.contains_key(tree) && matches!(probe.path_state(tree)?, PathState::Directory { .. }) {
            let files = probe.tree_files(tree)?.into_iter().map(|file| (file.path, file.size, file.changed));
            let files: Vec<_> = files.collect();
            // The same files in each line: the plan tells which, and it is the same.
            apart.extend(left.apart.as_ref().map(|left| (tree.clone(), LeftApart::of(&left.others, &files).state)));
            trees.insert(tree.clone(), tree_state(files));
        }
    }
    Ok((trees, apart))
}

/// Processes that are at work in the work directory: the dbbak that began the restore, and programs (a private server, a
/// prepare) that were given one of its directories.
fn living(
    probe: &dyn Probe,
    workdir: &Path,
    journal: Result<&Journal, &JournalError>,
    boot: Option<&str>,
) -> Vec<LivingProcess> {
    let last = journal.ok().and_then(|journal| journal.sessions.last());
    let mut found = Vec::new();
    // A system without /proc does not tell.
    for pid in probe.list_dir(Path::new("/proc")).unwrap_or_default().iter().filter_map(|name| name.parse().ok()) {
        let Some(command) = text(probe, Path::new(&format!("/proc/{pid}/cmdline"))) else { continue };
        let mut arguments = command.split('\0');
        let program = arguments.next().unwrap_or_default();
        let program =
            Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if works_in(arguments, workdir) || last.is_some_and(|last| is_that(last, pid, &program, &command, boot)) {
            found.push(LivingProcess { pid, program });
        }
    }
    found
}

/// Whether a program was given something in a work directory as the value of an option.
fn works_in<'a>(mut arguments: impl Iterator<Item = &'a str>, workdir: &Path) -> bool {
    let inside = |value: &str| Path::new(value) != workdir && Path::new(value).starts_with(workdir);
    arguments
        .any(|argument| argument.starts_with("--") && argument.split_once('=').is_some_and(|(_, value)| inside(value)))
}

/// Whether a process is the one that a journal names: of the same run of the machine, and a restore.
fn is_that(last: &JournalSession, pid: u32, program: &str, command: &str, boot: Option<&str>) -> bool {
    let restores = || command.split('\0').any(|argument| argument == "restore");
    last.pid == pid && last.boot.as_deref() == boot && program.starts_with("dbbak") && restores()
}

fn text(probe: &dyn Probe, path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    probe.open_file(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
