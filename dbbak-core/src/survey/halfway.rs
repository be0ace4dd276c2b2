//! Looks at what a replay has left that died in a work directory: how far its private server came.

use super::{SurveyError, scanned};
use crate::{
    binlog::{self, EndKind, Ending, Transaction},
    facts::Facts,
    halfway::{DeadReplay, DonePlace, HALFWAY, Halfway, REPLAY_BASE, REPLAY_LOG},
    model::{BinlogName, Gtid, GtidSet},
    probe::{FileState, PathState, Probe},
    store::{BinlogEntry, StoreReader},
};
use std::{
    collections::BTreeSet,
    io::{BufReader, Read},
    ops::ControlFlow,
    path::Path,
};

/// The directory of the restored data, in the work directory.
const DATA: &str = "data";
/// How many transactions behind the last one that was logged are looked at: each of the applier's workers may have begun
/// one, and there are fewer of them.
const BEGUN: usize = 16;
/// What the files of InnoDB's tables end in, and those that hold definitions alone.
const CRASH_SAFE: [&str; 7] = ["ibd", "frm", "opt", "trg", "trn", "par", "isl"];
/// What the file of a view begins with.
const VIEW: &[u8; 9] = b"TYPE=VIEW";
/// Databases of the server's own, whose tables keep themselves.
const OWN: [&str; 3] = ["mysql", "performance_schema", "sys"];

/// A replay that was begun in a work directory and not finished.
///
/// # Errors
///
/// When the work directory cannot be looked at.
pub(super) fn dead_replay(probe: &dyn Probe, workdir: &Path) -> Result<Option<DeadReplay>, SurveyError> {
    let (dir, data) = (workdir.join(REPLAY_LOG), workdir.join(DATA));
    let path = dir.join(HALFWAY);
    let PathState::File { .. } = probe.path_state(&path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = probe.open_file(&path)?.read_to_end(&mut bytes);
    let mut dead = DeadReplay { halfway: None, last: None, flaw: None, place: None };
    dead.halfway = read.ok().and_then(|_| Halfway::parse(&bytes));
    let Some(halfway) = &dead.halfway else { return Ok(Some(dead)) };
    let compared = &halfway.compared;
    dead.last.clone_from(&compared.last);
    let names = probe.list_dir(&dir)?;
    let logs = names.iter().filter_map(|name| name.parse().ok()).filter(|name: &BinlogName| name.base() == REPLAY_BASE);
    let mut logs: Vec<BinlogName> = logs.filter(|name| compared.log.as_ref().is_none_or(|log| name > log)).collect();
    logs.sort();
    let first = compared.log.as_ref().map_or(1, |log| log.number() + 1);
    for (place, log) in logs.iter().enumerate() {
        if log.number() != first + place as u64 {
            dead.flaw = Some(format!("there is no log before {log}"));
            return Ok(Some(dead));
        }
        let mut input = BufReader::with_capacity(1 << 20, probe.open_file(&dir.join(log.as_str()))?);
        match binlog::scan(&mut input, &mut |_| ControlFlow::Continue(())) {
            Ok(scan) => {
                // What a server was writing when it died is not whole. That no transaction is missing is proven later.
                if matches!(scan.ending, Ending::Damaged(_) | Ending::Interrupted { .. }) {
                    dead.flaw = Some(format!("{log}, which it wrote, is damaged: {}", scan.ending));
                    return Ok(Some(dead));
                }
                dead.last = scan.last_gtid.or(dead.last);
            }
            Err(error) => {
                dead.flaw = Some(format!("{log}, which it wrote, cannot be read: {error}"));
                return Ok(Some(dead));
            }
        }
    }
    if logs.is_empty() {
        dead.flaw = Some("its private server has left no log".into());
    }
    if let PathState::Directory { .. } = probe.path_state(&data)? {
        let is_view = |path: &str| {
            let mut start = [0; VIEW.len()];
            let read = probe.open_file(&data.join(path)).map(|mut file| file.read_exact(&mut start));
            matches!(read, Ok(Ok(()))) && start == *VIEW
        };
        if let Some(file) = unsafe_file(&probe.tree_files(&data)?, &is_view) {
            dead.flaw = Some(format!("{file} is of a table that a crash may leave half-changed"));
        }
    } else {
        dead.flaw = Some("the data are gone".into());
    }
    Ok(Some(dead))
}

/// The first file of a table that is not InnoDB's. MySQL writes an `.sdi` for each of those, MariaDB an `.frm` alone where
/// the rows lie elsewhere. MariaDB's own table of positions must be InnoDB's too.
fn unsafe_file<'f>(files: &'f [FileState], is_view: &dyn Fn(&str) -> bool) -> Option<&'f str> {
    let paths = files.iter().map(|file| file.path.as_str()).filter(|path| !path.ends_with('/'));
    let paths: BTreeSet<&str> = paths.collect();
    let has_rows = |stem: &str| {
        let parts = ["#P#", "#p#"].map(|part| format!("{stem}{part}"));
        let partitioned =
            |part: &String| paths.range(part.as_str()..).next().is_some_and(|path| path.starts_with(part));
        paths.contains(format!("{stem}.ibd").as_str()) || parts.iter().any(partitioned)
    };
    let is_unsafe = |path: &&str| {
        let Some((database, name)) = path.split_once('/') else { return false };
        if database.starts_with('#') {
            return false;
        }
        let Some((stem, end)) = path.rsplit_once('.') else { return !OWN.contains(&database) };
        let defines = end == "frm";
        if OWN.contains(&database) {
            return defines && name.starts_with("gtid_slave_pos") && !has_rows(stem);
        }
        let end = end.to_ascii_lowercase();
        !CRASH_SAFE.contains(&end.as_str()) || (defines && !has_rows(stem) && !is_view(path))
    };
    paths.iter().copied().find(is_unsafe)
}

/// Looks for the place in the window up to which a replay that died had come. `window` has the files in log order, each
/// with the part of it that belongs to the window.
///
/// # Errors
///
/// When an archived binlog cannot be read.
pub fn done_place(
    facts: &mut Facts,
    store: &dyn StoreReader,
    window: &[(BinlogEntry, (u64, u64))],
) -> Result<(), SurveyError> {
    let dead = facts.journal.as_mut().and_then(|journal| journal.replay.as_mut());
    let Some((dead, gtid)) = dead.and_then(|dead| dead.last.clone().map(|gtid| (dead, gtid))) else { return Ok(()) };
    if dead.flaw.is_none() && dead.halfway.as_ref().is_some_and(|halfway| halfway.hindrance.is_none()) {
        dead.place = find(store, window, &gtid)?;
    }
    Ok(())
}

fn find(
    store: &dyn StoreReader,
    window: &[(BinlogEntry, (u64, u64))],
    gtid: &Gtid,
) -> Result<Option<DonePlace>, SurveyError> {
    let (mut before, mut found) = (Some(0_u64), None::<DonePlace>);
    let mut behind = 0;
    let went_back = window.iter().any(|(file, _)| file.went_back());
    for (number, (file, (start, stop))) in window.iter().enumerate() {
        let whole = (*start, *stop) == (0, u64::MAX);
        if found.is_none() && whole && !may_hold(file, gtid) {
            before = before.zip(file.transactions).map(|(before, here)| before + here);
            continue;
        }
        if found.is_some() && behind >= BEGUN && !may_hold_again(file, gtid, went_back) {
            continue;
        }
        let mut here = 0;
        scanned(store, file, &mut |transaction| {
            if transaction.start < *start {
                return ControlFlow::Continue(());
            }
            if transaction.end > *stop {
                return ControlFlow::Break(());
            }
            here += 1;
            let same = transaction.gtid.as_ref() == Some(gtid);
            match &mut found {
                None if same => {
                    let transactions = before.map(|before| before + here);
                    let place =
                        DonePlace { file: number, end: transaction.end, transactions, half_done: None, again: None };
                    found = Some(place);
                }
                None => {}
                Some(found) if same => {
                    found.again = Some(format!("{}:{}", file.name, transaction.start));
                    return ControlFlow::Break(());
                }
                Some(found) => {
                    behind += 1;
                    if behind <= BEGUN && !may_be_redone(transaction) && found.half_done.is_none() {
                        let what = transaction.statement.as_deref().unwrap_or_default();
                        let word: String = what.split_whitespace().next().unwrap_or("a statement").to_owned();
                        found.half_done = Some(format!("{word} at {}:{}", file.name, transaction.start));
                    }
                }
            }
            // The rest of a file that has it is looked at too: the numbers may go back in it.
            ControlFlow::Continue(())
        })?;
        if found.as_ref().is_some_and(|found| found.again.is_some()) {
            break;
        }
        before = before.map(|before| before + here);
    }
    Ok(found)
}

/// Whether a file may hold a transaction, as far as the index tells.
fn may_hold(file: &BinlogEntry, gtid: &Gtid) -> bool {
    let added = file.gtids_added.as_deref().and_then(|text| text.parse::<GtidSet>().ok());
    added.is_none_or(|added| added.contains(gtid))
}

/// Whether a file behind one that holds a transaction may hold another one of the same GTID. What MariaDB's file adds reaches up to a number:
/// one that stood before it already counts only where numbers went back in the window.
fn may_hold_again(file: &BinlogEntry, gtid: &Gtid, went_back: bool) -> bool {
    let before = file.gtids_before.as_deref().and_then(|text| text.parse::<GtidSet>().ok());
    may_hold(file, gtid) && (went_back || !before.is_some_and(|before| before.contains(gtid)))
}

/// Whether a server that dies while it applies a transaction has done all of it or nothing: rows of InnoDB's tables.
fn may_be_redone(transaction: &Transaction) -> bool {
    let defines = transaction.tables.iter().any(|change| change.ddl.is_some());
    transaction.is_empty() || (transaction.end_kind == EndKind::Commit && !defines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_a_crash_may_leave_half_changed_are_found() {
        let found = |paths: &[&str]| {
            let files: Vec<FileState> =
                paths.iter().map(|path| FileState { path: (*path).to_owned(), size: 1, changed: 0 }).collect();
            unsafe_file(&files, &|path| path == "shop/view.frm").map(str::to_owned)
        };
        let innodb = [
            "ibdata1",
            "mysql/general_log.CSV",
            "shop/t.ibd",
            "shop/t#p#p0.ibd",
            "#innodb_temp/temp_1.ibt",
            "#clone/#view",
        ];
        assert_eq!(found(&innodb), None);
        let mariadb = [
            "mysql/gtid_slave_pos.frm",
            "mysql/gtid_slave_pos.ibd",
            "mysql/db.MAD",
            "shop/db.opt",
            "shop/part#P#p0.ibd",
            "shop/part.frm",
            "shop/part.par",
            "shop/t.frm",
            "shop/t.ibd",
            "shop/view.frm",
        ];
        assert_eq!(found(&mariadb), None);
        assert_eq!(found(&["shop/heap.frm", "shop/heap2.ibd"]).as_deref(), Some("shop/heap.frm"));
        assert_eq!(found(&["mysql/gtid_slave_pos.frm"]).as_deref(), Some("mysql/gtid_slave_pos.frm"));
        assert_eq!(found(&["shop/t.ibd", "shop/flat.MYD"]).as_deref(), Some("shop/flat.MYD"));
        assert_eq!(found(&["shop/heap_412.sdi"]).as_deref(), Some("shop/heap_412.sdi"));
        assert_eq!(found(&["shop/what"]).as_deref(), Some("shop/what"));
    }
}
