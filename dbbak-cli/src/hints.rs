//! What helps against errors that other programs report.

use chrono::{TimeDelta, Utc};
use dbbak_core::{
    model::BinlogName,
    store::{Access, LockHolder, StoreError, layout},
    tools::{ReaderError, ReaderFailure},
};
use std::path::Path;

/// The first number of an error in a server's or client's words: `ERROR 1045 (28000): ...`, `Error_code: 1032`, `errno 1146`.
fn error_number(text: &str) -> Option<u32> {
    ["ERROR ", "Error_code: ", "error code ", "errno ", "Errno: ", "MY-", "(error "].iter().find_map(|word| {
        let rest = &text[text.find(word)? + word.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    })
}

/// Reads why a server does not answer, and says what to do about that.
pub(crate) fn server_hint(problem: &str) -> &'static str {
    if problem.contains("defaults file") || problem.contains("defaults handling") {
        return "mysql_option_file must name a file with [client], user, password, socket or host; then chmod 600";
    }
    if problem.contains(NO_NUMBER) {
        return GIVE_A_NUMBER;
    }
    match error_number(problem) {
        Some(1045 | 1698) => "the server refuses user or password: check those in mysql_option_file",
        Some(1044 | 1142 | 1143 | 1227 | 1370 | 3118) => {
            "user and password are right, and the account lacks a privilege: README has the grants, `dbbak check` names those that are missing"
        }
        Some(1130) => "the account is for another host: CREATE USER 'name'@'host' for the one that dbbak runs on",
        Some(1129) => "the server has blocked this host after failed connections: FLUSH HOSTS there",
        Some(1040 | 1203) => "the server takes no more connections: raise max_connections, or try again later",
        Some(1820 | 1862) => "the account's password has expired: ALTER USER on the server",
        Some(1524 | 2059 | 2061 | 1251) => {
            "client and account have no authentication plugin in common: use the client of the server's own vendor and series (mysql: PATH)"
        }
        Some(2026) => {
            "the client and the server do not agree on TLS: ssl options in the [client] group of mysql_option_file decide"
        }
        Some(2005) => "no such host: check host in mysql_option_file",
        Some(2003) => {
            "nothing answers at this host and port: is the server running, is bind-address right, is a firewall between?"
        }
        Some(2002) => "is it running, and does mysql_option_file name its socket or host?",
        Some(2006 | 2013 | 1053) => "the server broke the connection: is it shutting down? its error log says more",
        Some(1064 | 1193) => {
            "the server does not know what dbbak asks: is it of a series that README names, or a proxy in front of it?"
        }
        _ => "is it running, and does mysql_option_file name its socket or host?",
    }
}

/// What helps where the private server lacks an engine or a plugin.
pub(crate) fn lacking_hints(name: &str, library: Option<&str>) -> Vec<String> {
    let is = |engine: &&str| name.eq_ignore_ascii_case(engine);
    let option = match is(&"FEDERATED") {
        // MySQL's is built in.
        true => "--federated=ON".to_owned(),
        false => format!("--plugin-load-add={}.so", library.unwrap_or("NAME")),
    };
    let mut hints = vec![
        format!(
            "give it to the private server: server.options: [{option}], and plugin-dir=PATH where it lies elsewhere"
        ),
        "to go without it: land before it with --before-gtid or --position, or leave it out with --skip-gtid".into(),
    ];
    if ["FEDERATED", "CONNECT", "SPIDER", "S3", "SPHINX"].iter().any(is) {
        hints.push(
            "its tables lead elsewhere: with it, rows that the window holds of them are written there a second time; without it, the restore stops at them"
                .into(),
        );
    }
    hints
}

/// Reads why the private server's applier stopped, and says what to do about that.
pub(crate) fn applier_hints(problem: &str, log: &Path) -> Vec<String> {
    let lower = problem.to_ascii_lowercase();
    let hint = match error_number(problem) {
        // A row or table that is not there, or there already.
        // ER_KEY_NOT_FOUND of a row event.
        Some(1032) => {
            "the row is not there: no backup holds the rows of a MEMORY table, so leave transactions that change such rows out with \
             --skip-gtid (`dbbak find --table` names them); of another table, the restored data and the archive do not fit each other there"
        }
        // XAER_NOTA
        Some(1397) => {
            "the XA transaction is not prepared in the restored data: MySQL may roll one of another format id than 1 back when it is \
             started on a backup; take an older backup, with which its XA PREPARE is replayed"
        }
        Some(1062 | 1050 | 1051 | 1146 | 1007 | 1008 | 1054 | 1091 | 1060 | 1061 | 1396) => {
            "the restored data and the archive do not fit each other there"
        }
        Some(1524 | 1126 | 1127 | 1128 | 1286) => {
            "the private server lacks a plugin or engine that the source has: give it under server.options, --plugin-load-add=NAME"
        }
        Some(1114 | 1021 | 1026) => {
            "the private server ran out of space: free some where the work directory and tmp lie"
        }
        Some(1205 | 1213) => "the private server waited too long for a lock: run the same command again",
        Some(1153 | 1197) => {
            "a transaction is larger than the private server takes: set max_allowed_packet or max_binlog_cache_size under server.options"
        }
        Some(1044 | 1142 | 1227 | 1290) => {
            "the private server's account or settings do not allow what the transaction does: --replay pipe runs it in another way"
        }
        Some(1193 | 1231 | 1273 | 1115) => {
            "the private server does not know a setting, character set or collation of the source: use the server program that wrote the log (mysqld: PATH)"
        }
        Some(1781 | 1782 | 1837) => {
            "gtid_mode was changed in the window: give the private server one that takes both, --gtid-mode=ON_PERMISSIVE, under server.options"
        }
        _ if lower.contains("no space left") || lower.contains("errno: 28") => {
            "the private server ran out of space: free some where the work directory and tmp lie"
        }
        _ => "it does not say why the data and the transaction do not go together",
    };
    vec![
        format!("{hint}; the server's log is {}", log.display()),
        "to go without it: land before it with --before-gtid or --position, or leave it out with --skip-gtid".into(),
    ]
}

/// What to do where tables are called damaged because nothing could look at them.
pub(crate) fn engine_hint(tables: &[String]) -> Option<String> {
    let lacking = tables.iter().any(|table| table.contains("Unknown storage engine"));
    lacking.then(|| {
        "the private server lacks an engine that the source has, and cannot look at its tables: give its plugin under server.options \
         (--plugin-load-add=NAME, --plugin-dir=DIR), and restore again"
            .into()
    })
}

/// What to do where a part of a store is a link.
pub(crate) const LINK: &str =
    "no link in a store is followed: put what it leads to in its place, or mount it there (`mount --bind`)";

/// What to do about a store of which a part is closed to the user.
pub(crate) const NOT_READABLE: &str = "this user may not read it: run dbbak as the user that the store belongs to, or give this one the right to read all of the store";

/// Says what to do about a store that cannot be used.
pub(crate) fn store_hints(error: &StoreError) -> Vec<String> {
    match error {
        StoreError::NotFound { key, .. } if key.is_root() => {
            vec!["is nfs_root right, and is it mounted?".into(), "`dbbak init` makes a new store".into()]
        }
        StoreError::NotFound { key, .. } if *key == layout::store_file() => vec![
            "`dbbak init` makes it a store, and one that another program made writable".into(),
            "look first whether it is the directory that is meant: what should be mounted there may be missing".into(),
        ],
        StoreError::NotFound { .. } => {
            vec![
                "the store's lists name it, and it is not there: restore from another backup (see `dbbak list`)".into(),
            ]
        }
        StoreError::Locked { holder, .. } => locked_hints(holder),
        StoreError::TooNew { access: Access::Read, .. } => vec!["use the dbbak that wrote it, or a newer one".into()],
        StoreError::TooNew { .. } => vec!["use a newer dbbak to write to this store".into()],
        StoreError::Damaged { .. } => vec![
            "`dbbak reindex` tells what can be rebuilt, `dbbak reindex --exec` does it".into(),
            "`dbbak list` and `dbbak restore` go on with what can be trusted".into(),
        ],
        StoreError::NoSpace { .. } => {
            vec![
                "free some space, then run the command again: nothing half-done is listed".into(),
                "`dbbak prune --orphans --exec` removes what dead runs left, also from a full store; what lies in its logs/ may be removed by hand".into(),
            ]
        }
        StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            vec![NOT_READABLE.into()]
        }
        StoreError::Link { .. } => vec![LINK.into()],
        StoreError::ReadOnly { .. } => vec!["is the store mounted read-only, or owned by somebody else?".into()],
        _ => Vec::new(),
    }
}

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

    #[test]
    fn an_engine_that_is_built_in_is_no_library() {
        let federated = lacking_hints("federated", None);
        assert!(federated[0].contains("server.options: [--federated=ON]"));
        assert!(federated[2].contains("are written there a second time"));
        assert!(lacking_hints("ROCKSDB", Some("ha_rocksdb"))[0].contains("[--plugin-load-add=ha_rocksdb.so]"));
        assert_eq!(lacking_hints("ROCKSDB", None).len(), 2);
    }

    #[test]
    fn each_cause_has_its_own_hint() {
        for (problem, part) in [
            ("ERROR 1045 (28000): Access denied for user 'b'@'localhost' (using password: YES)", "user or password"),
            (
                "ERROR 1227 (42000) at line 1: Access denied; you need (at least one of) the PROCESS privilege(s)",
                "lacks a privilege",
            ),
            (
                "ERROR 1142 (42000): SELECT command denied to user 'b'@'localhost' for table 'log_status'",
                "lacks a privilege",
            ),
            ("ERROR 1130 (HY000): Host '10.0.0.1' is not allowed to connect to this MariaDB server", "another host"),
            ("ERROR 2059 (HY000): Authentication plugin 'caching_sha2_password' cannot be loaded", "plugin"),
            ("ERROR 2026 (HY000): TLS/SSL error: SSL is required, but the server does not support it", "TLS"),
            ("ERROR 2002 (HY000): Can't connect to local MySQL server through socket '/x' (2)", "is it running"),
            ("ERROR 2003 (HY000): Can't connect to MySQL server on 'db1:3306' (111)", "firewall"),
            ("mysql: [ERROR] Could not open required defaults file: /x", "[client]"),
        ] {
            assert!(server_hint(problem).contains(part), "{problem}: {}", server_hint(problem));
        }
        for (problem, part) in [
            ("Error 'x', Error_code: 1032; handler error HA_ERR_KEY_NOT_FOUND", "MEMORY"),
            ("Error 'Plugin 'ed25519' is not loaded' on query, Error_code: 1524", "plugin"),
            ("The table 't' is full, Error_code: 1114", "space"),
            ("Error 'XAER_NOTA: Unknown XID' on query. Default database: '' (error 1397)", "not prepared"),
            ("something new", "does not say why"),
        ] {
            let hints = applier_hints(problem, Path::new("/w/log"));
            assert!(hints[0].contains(part) && hints[0].contains("/w/log"), "{problem}: {hints:?}");
        }
    }
}
