//! Takes a backup of the scenario's server: a full, or an incremental on the directory that it is given.

use super::{
    Outcome, Refusal,
    metadata::{State, binlog_info_text, cnf_text, info_text, own_name, read_checkpoints, write_checkpoints},
    voice::Voice,
};
use dbbak_testkit::shim::{Done, Point, Series, run::Invocation};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// What stands before the content of an InnoDB file that was copied while it changed, up to the tablespace's number, which
/// InnoDB keeps at offset 34.
const BEFORE_NUMBER: &str = "raw, InnoDB's number at its place:";

/// The number of a table's tablespace. The scenario's server names that of `shop/orders`, which is 5.
fn number_of(table: &str) -> u8 {
    if table == "shop/orders" { 5 } else { 6 }
}

/// The number of what belongs to the server.
const SYSTEM: u8 = 9;

/// What was copied while it changed, without what a prepare removes; `None` for what is whole.
pub(crate) fn made_whole(content: &[u8]) -> Option<&[u8]> {
    content.strip_prefix(BEFORE_NUMBER.as_bytes())?.get(5..)
}

fn raw(number: u8, content: &str) -> String {
    format!("{BEFORE_NUMBER}\0\0\0{}\n{content}", char::from(number))
}

pub(crate) fn run(call: &Invocation, voice: &Voice<'_>) -> Outcome {
    let target = PathBuf::from(call.option("target-dir").unwrap_or_default());
    let parent = match call.option("incremental-basedir") {
        None => None,
        Some(dir) => match read_checkpoints(call, Path::new(dir))? {
            Ok(state) => Some(state),
            Err(refusal) => return Ok(Err(refusal)),
        },
    };
    if let Some(parent) = &parent {
        voice.note(&format!("incremental backup from {} is enabled.", parent.to_lsn));
    }
    if let Err(refusal) = make_target(&target)? {
        return Ok(Err(refusal));
    }
    let number = backups_so_far(call)?;
    let points = &call.scenario.points;
    let Some(point) = points.get(number).or(points.last()) else {
        return Err(io::Error::other("the scenario has no point for a backup"));
    };
    let state = State {
        backup_type: if parent.is_some() { "incremental" } else { "full-backuped" }.to_owned(),
        from_lsn: parent.as_ref().map_or(0, |parent| parent.to_lsn),
        to_lsn: point.to_lsn,
        last_lsn: point.last_lsn,
    };
    // The tool knows no more of its parent than the LSN; the scenario knows what the server held then.
    let before = parent.as_ref().map(|parent| {
        let known = points.iter().find(|point| point.to_lsn == parent.to_lsn);
        known.map(|point| point.tables.clone()).unwrap_or_default()
    });
    let files = data_files(call, point, before.as_ref());
    let (last, done) = (files.len(), call.done());
    let count = match done {
        Done::Nothing => 0,
        Done::Half => last / 2,
        Done::All => last,
    };
    for (path, content) in files.into_iter().take(count) {
        voice.note(&format!("Copying ./{path} to {}", target.join(&path).display()));
        let to = target.join(&path);
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(to, content)?;
    }
    if done == Done::All {
        write_metadata(call, &target, point, &state)?;
        voice.note(&format!("Redo log (from LSN {} to {}) was copied.", state.to_lsn, state.last_lsn));
    }
    Ok(Ok(()))
}

/// The target is created without its parents, and must be empty.
fn make_target(target: &Path) -> io::Result<Result<(), Refusal>> {
    if !target.exists() && fs::create_dir(target).is_err() {
        return Ok(Err(Refusal::of(format!("[00] 2026-11-21 03:00:00 Error: cannot mkdir 2: {}/", target.display()))));
    }
    if fs::read_dir(target)?.next().is_some() {
        let name = target.join("ib_logfile0");
        return Ok(Err(Refusal::of(format!("Can't create file '{}' (errno: 17 \"File exists\")", name.display()))));
    }
    Ok(Ok(()))
}

/// Backups before this call, from the log of calls.
fn backups_so_far(call: &Invocation) -> io::Result<usize> {
    let log = fs::read_to_string(call.dir.join("calls.jsonl"))?;
    Ok(log.lines().filter(|line| line.contains("\"--backup\"")).count().saturating_sub(1))
}

fn data_files(call: &Invocation, point: &Point, before: Option<&BTreeMap<String, String>>) -> Vec<(String, String)> {
    let series = call.scenario.series;
    let mut files = Vec::new();
    let meta = |number: u8| match series.is_mariadb() {
        true => format!("page_size = 16384\nzip_size = 0 \nspace_id = {number}\n"),
        false => format!("page_size = 16384\nzip_size = 0\nspace_id = {number}\nspace_flags = 16417\n"),
    };
    let system: &[&str] = match series {
        Series::Xtrabackup80 | Series::Xtrabackup84 => &["ibdata1", "mysql.ibd", "undo_001", "undo_002"],
        Series::Mariadb118 => &["ibdata1", "undo001", "undo002", "undo003"],
        Series::Xtrabackup24 | Series::Mariadb1011 => &["ibdata1"],
    };
    let mut space = |number: u8, name: String, content: String, unchanged: bool| match before {
        None => files.push((name, raw(number, &content))),
        Some(_) => {
            let delta = if unchanged { String::new() } else { content };
            files.push((format!("{name}.delta"), delta));
            files.push((format!("{name}.meta"), meta(number)));
        }
    };
    for name in system {
        space(SYSTEM, (*name).to_owned(), format!("{name} at {}", point.to_lsn), false);
    }
    for (table, content) in &point.tables {
        if !(series.is_mariadb() && point.created_meanwhile.contains(table)) {
            let unchanged = before.is_some_and(|before| before.get(table) == Some(content));
            space(number_of(table), format!("{table}.ibd"), content.clone(), unchanged);
        }
    }
    if series.is_mariadb() {
        for table in &point.created_meanwhile {
            if let Some(content) = point.tables.get(table) {
                files.push((format!("{table}.new"), raw(number_of(table), content)));
            }
        }
    }
    // Everything that is not InnoDB's is copied whole each time; MySQL 8 keeps no such files for tables.
    if matches!(series, Series::Xtrabackup24 | Series::Mariadb1011 | Series::Mariadb118) {
        for table in point.tables.keys() {
            files.push((format!("{table}.frm"), "\u{1}frm".to_owned()));
            if let Some((database, _)) = table.split_once('/') {
                files.push((format!("{database}/db.opt"), "default-character-set=utf8mb4\n".to_owned()));
            }
        }
    }
    if series.is_mariadb() {
        files.push(("aria_log_control".to_owned(), "aria".to_owned()));
        files.push(("aria_log.00000001".to_owned(), "aria".to_owned()));
        files.push(("ib_logfile0".to_owned(), format!("redo to {}", point.last_lsn)));
    } else {
        files.push(("xtrabackup_logfile".to_owned(), format!("redo to {}", point.last_lsn)));
    }
    files
}

fn write_metadata(call: &Invocation, target: &Path, point: &Point, state: &State) -> io::Result<()> {
    let series = call.scenario.series;
    fs::write(target.join("backup-my.cnf"), cnf_text(call))?;
    if let Some(at) = &point.binlog {
        fs::write(target.join(own_name(call, "binlog_info")), binlog_info_text(at))?;
        if matches!(series, Series::Xtrabackup80 | Series::Xtrabackup84) {
            // The current binlog up to the position, and an index of one line, for the server to know its GTIDs by.
            let base = at.file.rsplit_once('.').map_or("binlog", |(base, _)| base);
            fs::write(target.join(&at.file), format!("binlog up to {}", at.position))?;
            fs::write(target.join(format!("{base}.index")), format!("./{}\n", at.file))?;
        }
    }
    if call.has("slave-info") {
        fs::write(target.join(own_name(call, "slave_info")), point.source.as_deref().unwrap_or("\n"))?;
    }
    if matches!(series, Series::Xtrabackup80 | Series::Xtrabackup84) {
        fs::write(target.join("xtrabackup_tablespaces"), r#"{"version":2,"external_tablespaces":[]}"#)?;
    }
    write_checkpoints(call, target, state)?;
    fs::write(target.join(own_name(call, "info")), info_text(call, state, point.binlog.as_ref()))
}

/// The paths of all files below a directory, from its top, sorted.
pub(crate) fn files_below(top: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut open = vec![top.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if let Ok(rest) = path.strip_prefix(top) {
                files.push(rest.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}
