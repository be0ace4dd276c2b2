//! Prepares a backup, alone or with an incremental: the states, the refusals, and what they leave behind.

use super::{
    Outcome, Refusal,
    backup::{files_below, made_whole},
    metadata::{State, read_checkpoints, write_checkpoints},
    voice::Voice,
};
use dbbak_testkit::shim::{
    Done,
    run::{Invocation, say},
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

pub(crate) fn run(call: &Invocation, voice: &Voice<'_>) -> Outcome {
    let target = PathBuf::from(call.option("target-dir").unwrap_or_default());
    let incremental = call.option("incremental-dir").map(PathBuf::from);
    if !target.is_dir() {
        let text = format!("can't my_setwd {}/", target.display());
        return Ok(Err(Refusal::of(voice.line(&text))));
    }
    let increment = match &incremental {
        None => None,
        Some(dir) => match read_checkpoints(call, dir)? {
            Ok(state) => Some(state),
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    if call.scenario.series.is_mariadb() {
        // Before it looks at anything: so that a refusal too has used up these files.
        move_new_files(incremental.as_deref().unwrap_or(&target), &target, voice)?;
    }
    let state = match read_checkpoints(call, &target)? {
        Ok(state) => state,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Err(refusal) = check_version(call, &target, voice)? {
        return Ok(Err(refusal));
    }
    if let Err(refusal) = check_state(call, voice, &state, increment.as_ref()) {
        return Ok(Err(refusal));
    }
    if let (Some(dir), Some(increment)) = (&incremental, &increment) {
        if call.scenario.series.is_mariadb() && reach(increment) < reach(&state) {
            return ruin(&target, voice);
        }
        apply(call, &target, dir, voice)?;
    }
    recover(&target, call.done())?;
    if call.done() != Done::All {
        return Ok(Ok(()));
    }
    finish(call, &target, incremental.as_deref(), &state, increment.as_ref())?;
    Ok(Ok(()))
}

/// Tables created while a backup ran lie in it as `.new`; the tool moves them into the target.
fn move_new_files(from: &Path, target: &Path, voice: &Voice<'_>) -> io::Result<()> {
    for name in files_below(from)? {
        if let Some(stem) = name.strip_suffix(".new") {
            let to = target.join(format!("{stem}.ibd"));
            if to.exists() {
                voice.note(&format!("Removing ./{stem}.ibd"));
            }
            voice.note(&format!("Renaming {}//{name} to ./{stem}.ibd", from.display()));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(from.join(&name), to)?;
        }
    }
    Ok(())
}

/// XtraBackup prepares only what its own series took.
fn check_version(call: &Invocation, target: &Path, voice: &Voice<'_>) -> io::Result<Result<(), Refusal>> {
    if call.scenario.series.is_mariadb() {
        return Ok(Ok(()));
    }
    let info = fs::read_to_string(target.join("xtrabackup_info")).unwrap_or_default();
    let taken_by = info.lines().find_map(|line| line.strip_prefix("tool_version = "));
    let series = |version: &str| version.split('.').take(2).collect::<Vec<_>>().join(".");
    match taken_by {
        None => {
            let text = "Failed to parse xtrabackup_info from './xtrabackup_info'";
            Ok(Err(Refusal::of(voice.error_line(text))))
        }
        Some(version) if series(version) != series(&call.scenario.tool_version) => {
            let text = format!(
                "This version of Percona XtraBackup can only perform backups and restores against MySQL {}",
                series(&call.scenario.tool_version)
            );
            Ok(Err(Refusal::of(voice.error_line(&text))))
        }
        Some(_) => Ok(Ok(())),
    }
}

fn check_state(call: &Invocation, voice: &Voice<'_>, state: &State, increment: Option<&State>) -> Result<(), Refusal> {
    let mariadb = call.scenario.series.is_mariadb();
    match (state.backup_type.as_str(), increment.is_some()) {
        ("full-backuped", true) if mariadb => {
            return Err(Refusal::of(voice.error_line("applying incremental backup needs a prepared target.")));
        }
        ("full-backuped" | "full-prepared", true) if !mariadb => {
            let text = "applying incremental backup needs target prepared with --apply-log-only.";
            return Err(Refusal::of(voice.error_line(text)));
        }
        ("full-backuped", false) => voice.note("This target seems to be not prepared yet."),
        ("log-applied", _) | ("full-prepared", false) => voice.note("This target seems to be already prepared."),
        _ if mariadb => return Err(Refusal::of(voice.line("This target does not have correct metadata."))),
        _ => return Err(Refusal::of(voice.line("This target seems not to have correct metadata..."))),
    }
    if increment.is_some_and(|increment| increment.from_lsn != state.to_lsn) {
        let (first, second) = (
            "This incremental backup seems not to be proper for the target.",
            "Check 'to_lsn' of the target and 'from_lsn' of the incremental.",
        );
        let lines = if mariadb {
            vec![voice.error_line(&format!("{first} {second}"))]
        } else {
            vec![voice.error_line(first), voice.error_line(second)]
        };
        return Err(Refusal { lines, code: 1 });
    }
    Ok(())
}

/// How far the pages of a backup reach.
fn reach(state: &State) -> (u64, u64) {
    (state.to_lsn, state.last_lsn)
}

/// An older incremental on a newer target passes the test of LSNs where no checkpoint ran in between, and then finds
/// pages newer than its redo: the target is spoilt.
fn ruin(target: &Path, voice: &Voice<'_>) -> Outcome {
    fs::write(target.join("ibdata1"), "ruined")?;
    say(
        "2026-11-21  3:00:00 0 [ERROR] InnoDB: Page [page id: space=0, page number=5] log sequence number 497146 is in the future! Current system log sequence number 455469.",
    );
    Ok(Err(Refusal::of(voice.error_line("xtrabackup: InnoDB corruption."))))
}

/// Applies deltas, removes the tables that the incremental does not know, copies what is not InnoDB's.
fn apply(call: &Invocation, target: &Path, dir: &Path, voice: &Voice<'_>) -> io::Result<()> {
    let mariadb = call.scenario.series.is_mariadb();
    let names = files_below(dir)?;
    if !mariadb {
        move_new_files(dir, target, voice)?;
    }
    let mut present: BTreeSet<String> = BTreeSet::new();
    for name in &names {
        if let Some(space) = name.strip_suffix(".delta") {
            voice.note(&format!("Applying {}//{name} to ./{space}...", dir.display()));
            present.insert(space.to_owned());
            let delta = fs::read_to_string(dir.join(name))?;
            let to = target.join(space);
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            if !delta.is_empty() {
                fs::write(&to, delta)?;
            }
            // mariadb-backup deletes what it has applied; XtraBackup keeps it.
            if mariadb {
                fs::remove_file(dir.join(name))?;
            }
        } else if let Some(stem) = name.strip_suffix(".new") {
            present.insert(format!("{stem}.ibd"));
        }
    }
    // With mariadb-backup the .new files were moved before the listing above: they are in the target, fresh.
    for name in files_below(target)?.iter().filter(|name| name.ends_with(".ibd")) {
        let fresh = fs::read(target.join(name)).is_ok_and(|content| made_whole(&content).is_some());
        if !present.contains(name) && !fresh {
            fs::remove_file(target.join(name))?;
            if mariadb && names.iter().all(|other| !other.ends_with(".delta")) {
                // The incremental was used up before: its tables are taken for dropped ones.
                say(&format!(
                    "2026-11-21  3:00:00 0 [Warning] InnoDB: Tablespace 8 was not found at ./{name} when restoring a \
                     (partial?) backup. All redo log for this file will be ignored!"
                ));
            }
        }
    }
    for name in &names {
        let other = name.ends_with(".frm") || name.ends_with(".opt") || name.starts_with("aria_log");
        let metadata = ["info", "binlog_info", "slave_info", "galera_info", "tablespaces"]
            .iter()
            .any(|what| *name == format!("xtrabackup_{what}") || *name == format!("mariadb_backup_{what}"));
        if other || metadata {
            if let Some(parent) = target.join(name).parent() {
                fs::create_dir_all(parent)?;
            }
            fs::copy(dir.join(name), target.join(name))?;
        }
    }
    if !mariadb {
        // The redo of the incremental is read in its own directory, which is written to on the way.
        fs::write(dir.join("xtrabackup_logfile"), "used")?;
    }
    Ok(())
}

/// Applies the redo: the files become whole. A prepare that is cut off leaves some of them as they were.
fn recover(target: &Path, done: Done) -> io::Result<()> {
    let names = files_below(target)?;
    let count = match done {
        Done::Nothing => 0,
        Done::Half => names.len() / 2,
        Done::All => names.len(),
    };
    for name in names.iter().take(count) {
        let path = target.join(name);
        let bytes = fs::read(&path)?;
        if let Some(content) = made_whole(&bytes) {
            fs::write(path, content)?;
        }
    }
    Ok(())
}

fn finish(
    call: &Invocation,
    target: &Path,
    incremental: Option<&Path>,
    state: &State,
    increment: Option<&State>,
) -> io::Result<()> {
    let mariadb = call.scenario.series.is_mariadb();
    let final_step = !mariadb && !call.has("apply-log-only");
    let newer = |increment: &&State| match mariadb {
        true => reach(increment) > reach(state),
        false => increment.to_lsn > state.to_lsn,
    };
    let newest = increment.filter(newer).unwrap_or(state);
    let prepared = State {
        backup_type: if final_step { "full-prepared" } else { "log-applied" }.to_owned(),
        from_lsn: state.from_lsn,
        to_lsn: newest.to_lsn,
        last_lsn: newest.last_lsn,
    };
    write_checkpoints(call, target, &prepared)?;
    if mariadb {
        fs::write(target.join("ib_logfile0"), "")?;
        // The position that InnoDB itself knows may be older than that of the binlog info.
        let from = incremental.unwrap_or(target);
        let names = ["mariadb_backup_binlog_info", "xtrabackup_binlog_info"];
        if names.iter().any(|name| from.join(name).exists()) {
            fs::write(target.join("xtrabackup_binlog_pos_innodb"), "./mysql-bin.000001\t4\n")?;
        }
    }
    Ok(())
}
