//! What helps against errors that other programs report.

use dbbak_core::tools::{ReaderError, ReaderFailure};
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

/// What helps where a private server did not apply a transaction.
pub(crate) fn applier_hints(problem: &str, log: &Path) -> Vec<String> {
    let lacks = |words: &&str| problem.contains(*words);
    if ["is not loaded", "Unknown storage engine", "(error 1524)", "(error 1286)"].iter().any(lacks) {
        return vec![
            "the source has a plugin loaded by its option file that the private server has not: name it in server.options, \
             as in [--plugin-load-add=NAME.so]"
                .into(),
            format!("the server's log is {}", log.display()),
        ];
    }
    vec![
        format!("the restored data and the archive do not fit each other there; the server's log is {}", log.display()),
        "land before it with --before-gtid or --position, or leave it out with --skip-gtid".into(),
    ]
}
