//! What helps against errors that other programs report.

use chrono::{TimeDelta, Utc};
use dbbak_core::{
    model::BinlogName,
    store::LockHolder,
    tools::{ReaderError, ReaderFailure},
};
use std::path::Path;

/// Says where a private server is told where its keys are.
pub(crate) fn keyring_hints(keyring: Option<&str>) -> Vec<String> {
    let component = "MySQL: list the files that say where the keys are (mysqld.my, component_keyring_file.cnf) under \
                     server.keyring_files; an empty list says that mysqld finds its keyring by itself";
    let options = "give the plugin's options under server.options: --plugin-load-add=file_key_management, \
                   --file-key-management-filename=PATH";
    match keyring {
        Some(name) if name.starts_with("component_") => vec![component.into()],
        Some(name) if name.contains("key_management") => vec![options.into()],
        _ => vec![component.into(), format!("MariaDB, and plugins of MySQL: {options}")],
    }
}

/// Reads what the server says of a clone that failed.
pub(crate) fn clone_hints(stderr: &[String]) -> Vec<String> {
    let says = |text: &str| stderr.iter().any(|line| line.contains(text));
    let hint = if says("ERROR 1227") || (says("ERROR 3862") && says("BACKUP_ADMIN")) {
        "the account needs it: GRANT BACKUP_ADMIN ON *.* TO the account"
    } else if says("ERROR 3862") && says("Lost connection") {
        "the server that is cloned is gone, or the network is: nothing of it is listed, run the command again"
    } else if says("ERROR 3862") && says("Access denied") {
        "user and password of mysql_option_file must be good from this machine too: 'user'@'host' on the server"
    } else if says("ERROR 1205") {
        "a change of the schema lasted longer than clone_ddl_timeout, and clone_block_ddl has the clone wait for it: try again when it is done"
    } else if says("ERROR 3634") || says("Concurrent clone") {
        "the server is cloned by somebody else already, and takes one clone at a time: try again later"
    } else if says("Errcode: 13") || says("errno: 13") {
        "the server's own user writes the clone: it must be allowed to write in scratch_dir"
    } else if says("Errcode: 28") || says("errno: 28") {
        "free some space in scratch_dir, then run the command again"
    } else {
        return Vec::new();
    };
    vec![hint.into()]
}

/// Tells what a binlog reader lacked.
pub(crate) fn reader_hints(error: &ReaderError) -> Vec<String> {
    let hint = match error.failure {
        ReaderFailure::AccessDenied => {
            "the account needs it: GRANT REPLICATION SLAVE ON *.* TO the account; user and password stand in mysql_option_file"
        }
        ReaderFailure::NoSuchFile => "the server purged it meanwhile, or was reset: run the command again",
        ReaderFailure::CannotConnect => "is it running, and does mysql_option_file name its socket or host?",
        ReaderFailure::CannotWrite => "free some space in scratch_dir, or name another one",
        _ => return Vec::new(),
    };
    vec![hint.into()]
}

/// Says what to do about XA transactions that stand prepared.
pub(crate) fn prepared_hints() -> Vec<String> {
    vec![
        "end each with XA COMMIT or XA ROLLBACK (their transaction manager does), then take the dump again; nothing of this one is listed".into(),
        "a backup of files (--engine clone, or a backup tool) holds prepared transactions".into(),
    ]
}

/// After a backup that lacks files of tables: what makes a tool pass them over.
pub(crate) fn lost_hints() -> Vec<String> {
    vec![
        "was the table imported a moment ago (IMPORT TABLESPACE)? then SET GLOBAL innodb_log_checkpoint_now=1 (MariaDB), and the backup again".into(),
        "does its file lie behind a symbolic link (DATA DIRECTORY, INDEX DIRECTORY), or in a directory whose name begins with a dot? bring it into the data directory".into(),
    ]
}

/// What the library says of a binlog whose name does not end with a number. MySQL gives it none where `log_bin` has several dots
/// (seen on 9.7.4).
pub(crate) const NO_NUMBER: &str = "a binlog file's name";
/// What to do about it.
pub(crate) const GIVE_A_NUMBER: &str =
    "the server answers, and its binlog has no number: set log_bin to a name without dots, and restart the server";

/// Says how to keep what stands before a place that nothing leads over.
pub(crate) fn keep_hint(file: &BinlogName, good: u64, timeline: &str) -> String {
    // Nothing of the file can be read: no offset of it is a place to land at.
    match good {
        0..4 => format!(
            "nothing of {file} can be used: land before it with --time, --gtid or --position of a file before it, with --timeline {timeline}"
        ),
        _ => format!("to keep every transaction before it: --position {file}:{good} --timeline {timeline}"),
    }
}

/// Says how to go on behind a transaction that was not applied.
pub(crate) fn applier_hints(problem: &str, log: &Path) -> Vec<String> {
    let around = "land before it with --before-gtid or --position, or leave it out with --skip-gtid";
    let misfit =
        format!("the restored data and the archive do not fit each other there; the server's log is {}", log.display());
    // ER_KEY_NOT_FOUND of a row event.
    if problem.contains("(error 1032)") {
        return vec![
            "the row is not there. No backup holds the rows of a MEMORY table: leave transactions that change such rows out with \
             --skip-gtid (what else they change is left out too; `dbbak find --table` names them)"
                .into(),
            format!("of another table: {misfit}"),
            around.into(),
        ];
    }
    // ER_CANT_SET_GTID_NEXT_TO_GTID_WHEN_GTID_MODE_IS_OFF, ..._TO_ANONYMOUS_WHEN_GTID_MODE_IS_ON
    if problem.contains("(error 1781)") || problem.contains("(error 1782)") {
        return vec![
            "the window holds transactions with GTIDs and without: set `server.options: [--gtid-mode=ON_PERMISSIVE]`"
                .into(),
        ];
    }
    vec![misfit, around.into()]
}

/// Says what a difference may come from: the server logged rows of tables that the archive does not name.
pub(crate) fn cascade_hint(expected: &str, found: &str) -> Option<String> {
    let tables = |line: &str| -> Vec<String> {
        let rows = line.split_once('\t').map_or("", |(_, rows)| rows);
        rows.split(' ').filter_map(|word| word.rsplit_once(':')).map(|(table, _)| table.to_owned()).collect()
    };
    let (expected_tables, found_tables) = (tables(expected), tables(found));
    let same_transaction = expected.split('\t').next() == found.split('\t').next();
    let more = found_tables.iter().any(|table| !expected_tables.contains(table));
    (same_transaction && more && !expected_tables.is_empty()).then(|| {
        "rows of more tables were changed than the log holds. MySQL 9.6 and later logs a REPLACE or a DELETE of several tables on the \
         parent of a foreign key with a cascade so that whoever replays it deletes the children, which the source kept: land before \
         it with --before-gtid, or leave it out with --skip-gtid and execute the statement on the restored server"
            .into()
    })
}

/// Says who holds a lock, and what to do when that lasts.
pub(crate) fn locked_hints(holder: &LockHolder) -> Vec<String> {
    let mut hints = vec![format!("try again later; if it hangs, look at process {} on {}", holder.pid, holder.host)];
    if let Some(at) = holder.heartbeat_at.filter(|at| Utc::now() - *at > TimeDelta::minutes(2)) {
        hints.push(format!(
            "its last sign of life was at {}: nothing is backed up or archived while it holds the lock; if it is dead, \
             `dbbak unlock --reason WHY` takes the lock away",
            at.format("%Y-%m-%d %H:%M:%S UTC")
        ));
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_no_place_in_a_file_that_cannot_be_read() {
        let file: BinlogName = "b.000007".parse().unwrap();
        assert_eq!(
            keep_hint(&file, 420, "t1"),
            "to keep every transaction before it: --position b.000007:420 --timeline t1"
        );
        assert!(!keep_hint(&file, 0, "t1").contains("b.000007:0"));
    }

    #[test]
    fn tells_what_a_transaction_failed_of() {
        let first = |problem: &str| applier_hints(problem, Path::new("/w/server.log")).remove(0);
        assert!(first("Can't find record in 'sess' (error 1032)").contains("MEMORY"));
        assert!(first("... when @@GLOBAL.GTID_MODE = OFF (error 1781)").contains("--gtid-mode=ON_PERMISSIVE"));
        assert!(first("Unknown column (error 1054)").contains("/w/server.log"));
    }

    #[test]
    fn tells_of_cascades_where_rows_of_more_tables_were_changed() {
        assert!(cascade_hint("u:7\td.p:1/0/1", "u:7\td.c:0/0/1 d.p:1/0/1").is_some());
        for (expected, found) in [
            ("u:7\td.p:1/0/1", "u:7\td.p:1/0/0"),
            ("u:7\td.p:1/0/1", "u:8\td.c:0/0/1 d.p:1/0/1"),
            ("u:7\t", "u:7\td.c:0/0/1"),
            ("the end of the window", "u:7\td.p:1/0/1"),
        ] {
            assert_eq!(cascade_hint(expected, found), None, "{expected} {found}");
        }
    }
}
