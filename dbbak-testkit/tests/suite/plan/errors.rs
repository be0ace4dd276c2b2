//! Why there is no plan: one case for each reason.

use super::{Case, exact, restore_to, story};
use dbbak_core::{
    facts::{Facts, ServerProblem},
    model::{Lsn, Target},
    plan::{BackupRequest, PlanError, RestoreRequest, ShipRequest},
    probe::{Filesystem, PathState},
    store::{Digest, PitrState},
    tools::{ToolRole, Version},
};
use dbbak_testkit::history::{DATADIR, History, Product, ROOT, SCRATCH, at};
use std::path::Path;

const INCREMENTAL: BackupRequest = BackupRequest::Incremental { base: None, differential: false };

fn mysql() -> History {
    story(Product::Mysql84)
}

/// What a restore of a history answers.
#[track_caller]
fn restore(history: History, request: &RestoreRequest, expected: &str) {
    refused(&Case::of(history).restore(request).unwrap_err(), expected);
}

#[track_caller]
fn refused(error: &PlanError, expected: &str) {
    assert_eq!(error.to_string(), expected);
}

/// What a restore to 4:41 answers when the facts are changed.
#[track_caller]
fn restore_where(change: impl FnOnce(&mut Facts), expected: &str) {
    refused(&Case::of(mysql()).restore_where(&exact("04:41"), change).unwrap_err(), expected);
}

/// What a backup answers when the facts are changed.
#[track_caller]
fn backup_where(request: &BackupRequest, change: impl FnOnce(&mut Facts), expected: &str) {
    let mut case = Case::of(mysql());
    change(&mut case.facts);
    refused(&case.backup(request).unwrap_err(), expected);
}

#[test]
fn no_full() {
    restore(History::new(Product::Mariadb), &exact("00:00"), "the store holds no full backup");
    let case = Case::of(History::new(Product::Mariadb));
    assert_eq!(case.backup(&INCREMENTAL), Err(PlanError::NoFull));
}

#[test]
fn no_full_before() {
    restore(
        mysql(),
        &exact("01:00"),
        "no full backup ended at or before 2025-10-02 01:00:00 UTC; the oldest ended 2025-10-02 02:00:31 UTC",
    );
    let floored = restore_to(Target::Time { at: at("02:10"), exact: false });
    restore(
        mysql(),
        &floored,
        "no full backup ended at or before 2025-10-02 02:00:00 UTC; the oldest ended 2025-10-02 02:00:31 UTC",
    );
    let none = restore_to(Target::NoPitr { at: Some(at("02:00:30")) });
    assert!(matches!(Case::of(mysql()).restore(&none), Err(PlanError::NoFullBefore { .. })));
}

#[test]
fn unknown_backup() {
    let ts = "2025-10-02T03-59Z".parse().unwrap();
    let request = RestoreRequest { backup: Some(ts), ..restore_to(Target::Latest) };
    let Err(PlanError::UnknownBackup { nearest, .. }) = Case::of(mysql()).restore(&request) else { panic!() };
    assert_eq!(nearest[0].to_string(), "2025-10-02T04-00Z");
    let request = BackupRequest::Incremental { base: Some(ts), differential: false };
    backup_where(&request, |_| {}, "the store holds no backup 2025-10-02T03-59Z");
}

#[test]
fn not_a_full() {
    let base = Some("2025-10-02T03-00Z".parse().unwrap());
    let request = BackupRequest::Incremental { base, differential: true };
    backup_where(&request, |_| {}, "backup 2025-10-02T03-00Z is an incremental on the full 2025-10-02T02-00Z");
}

#[test]
fn missing_parent() {
    let mut history = mysql();
    history.lose_backup("2025-10-02T03-00Z".parse().unwrap());
    let expected = "backup 2025-10-02T04-00Z was taken on 2025-10-02T03-00Z, which the store does not hold";
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    restore(history.clone(), &request, expected);
    refused(&Case::of(history.clone()).backup(&INCREMENTAL).unwrap_err(), expected);
    // Without a backup being named, the full before the hole will do.
    assert!(Case::of(history).restore(&exact("04:41")).is_ok());
}

#[test]
fn broken_chain() {
    let mut history = mysql();
    history.backups[2].from_lsn = Lsn(7);
    let end = history.backups[1].to_lsn;
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    let expected =
        format!("backup 2025-10-02T04-00Z starts at LSN 7, but its parent 2025-10-02T03-00Z ends at LSN {end}");
    restore(history, &request, &expected);
}

#[test]
fn ambiguous_parent_in_a_basic_store() {
    let mut case = Case::of(mysql());
    let mut entries: Vec<_> = case.catalog.backups.iter().map(|backup| backup.entry.clone()).collect();
    entries.iter_mut().for_each(|entry| entry.parent = None);
    // Nothing was written between the full and the first incremental, so that both end at one LSN.
    (entries[1].to_lsn, entries[2].from_lsn) = (entries[0].to_lsn, entries[0].to_lsn);
    let basic = |entries, commands: &[_]| {
        let binlogs = case.history.index();
        dbbak_core::catalog::Catalog::from_parts(None, Some(ROOT.into()), entries, commands, binlogs, [].into())
    };
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    let with_command = Some(format!("xtrabackup --backup --incremental-basedir={ROOT}/full_2025-10-02T02-00Z/raw"));
    let told = basic(entries.clone(), &[None, with_command.clone(), with_command]);
    case.catalog = basic(entries.clone(), &[]);
    refused(
        &case.restore(&request).unwrap_err(),
        "backup 2025-10-02T04-00Z does not say which backup it was taken on, and 2 end at the LSN it starts at",
    );
    case.catalog = told;
    assert!(case.restore(&request).is_ok());
    entries[2].from_lsn = Some(Lsn(7));
    let binlogs = case.history.index();
    case.catalog = dbbak_core::catalog::Catalog::from_parts(None, Some(ROOT.into()), entries, &[], binlogs, [].into());
    refused(
        &case.restore(&request).unwrap_err(),
        "backup 2025-10-02T04-00Z was taken on an unknown parent, which the store does not hold",
    );
}

#[test]
fn future_target() {
    let expected = "the target 2025-10-02 05:06:00 UTC is in the future (now 2025-10-02 05:05:00 UTC)";
    restore(mysql(), &exact("05:06"), expected);
    restore(mysql(), &restore_to(Target::NoPitr { at: Some(at("05:06")) }), expected);
}

#[test]
fn beyond_the_binlogs() {
    restore(
        mysql(),
        &exact("04:55:00.000001"),
        "the target 2025-10-02 04:55:00.000001 UTC is not archived yet: binlogs reach up to 2025-10-02 04:55:00 UTC",
    );
    assert!(Case::of(mysql()).restore(&exact("04:55")).is_ok());
}

#[test]
fn gap() {
    let mut history = mysql();
    history.at("05:06").rotate().at("05:10").commit().at("05:15").rotate().ship().lose_binlog(4);
    restore(
        history.clone(),
        &exact("05:12"),
        "binlogs are missing between binlog.000003 and binlog.000005 (backup 2025-10-02T04-00Z)",
    );
    let Err(PlanError::BinlogGap { latest, .. }) = Case::of(history.clone()).restore(&exact("05:12")) else { panic!() };
    assert_eq!(latest, Some(at("04:55")));
    // The archive up to the gap is as good as ever.
    assert!(Case::of(history).restore(&exact("04:55")).is_ok());
}

#[test]
fn damaged_binlog() {
    let mut history = mysql();
    history.damage_binlog(3, 1);
    restore(
        history.clone(),
        &exact("04:45"),
        "binlog binlog.000003 is damaged after byte 500: checksum mismatch at byte 500",
    );
    assert!(Case::of(history).restore(&exact("04:30")).is_ok());
}

#[test]
fn coordinates_not_archived() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:10").commit().at("02:20").rotate();
    let expected = "backup 2025-10-02T02-00Z stands in binlog binlog.000001, which is not in the archive";
    restore(history, &exact("02:15"), expected);
}

#[test]
fn ambiguous_binlog_name() {
    let mut history = mysql();
    history.at("05:06").reset();
    history.at("05:10").commit().rotate().at("05:20").commit().rotate().commit().rotate().ship();
    let mut case = Case::of(history);
    // The heads tell the two histories apart; a basic store has none.
    assert!(case.restore(&exact("04:41")).is_ok());
    case.catalog.backups.iter_mut().for_each(|backup| backup.entry.binlog_head = None);
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    refused(
        &case.restore(&request).unwrap_err(),
        "backup 2025-10-02T04-00Z stands in binlog binlog.000002, and the archive holds 2 different files of that name",
    );
}

#[test]
fn backup_without_pitr() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    history.at("02:10").commit().at("02:20").rotate().ship();
    let mut case = Case::of(history);
    case.catalog.backups[0].entry.pitr = Some(PitrState::No("log_bin is off".into()));
    refused(
        &case.restore(&exact("02:15")).unwrap_err(),
        "backup 2025-10-02T02-00Z cannot start a point-in-time recovery: log_bin is off",
    );
    case.catalog.backups[0].entry.pitr = None;
    case.catalog.backups[0].entry.binlog = None;
    refused(
        &case.restore(&exact("02:15")).unwrap_err(),
        "backup 2025-10-02T02-00Z cannot start a point-in-time recovery: no binlog coordinates were recorded",
    );
}

#[test]
fn backup_after_target() {
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("03:41") };
    restore(
        mysql(),
        &request,
        "backup 2025-10-02T04-00Z ended 2025-10-02 04:00:31 UTC, after the target 2025-10-02 03:41:00 UTC",
    );
}

#[test]
fn not_a_boundary() {
    let change = |facts: &mut Facts| facts.starts.iter_mut().for_each(|start| start.boundary = false);
    restore_where(change, "binlog.000002:500 lies inside a transaction or an event");
}

#[test]
fn tool_missing_unusable_or_of_the_wrong_vendor() {
    backup_where(
        &BackupRequest::Full,
        |facts| facts.tools.clear(),
        "no usable backup tool (xtrabackup or mariadb-backup): none was named or found on PATH",
    );
    let broken = |facts: &mut Facts| {
        let tool = facts.tools.iter_mut().find(|tool| tool.role == ToolRole::BinlogReader).unwrap();
        (tool.version, tool.problem) = (None, Some("cannot start /usr/bin/mysqlbinlog: no such file".into()));
    };
    restore_where(
        broken,
        "no usable binlog reader (mysqlbinlog or mariadb-binlog): cannot start /usr/bin/mysqlbinlog: no such file",
    );
    for (role, what, expected, found) in [
        (ToolRole::Client, "the vendor of /usr/bin/mariadb", "MySQL", "MariaDB"),
        (ToolRole::Server, "the vendor of /usr/bin/mariadbd", "MySQL", "MariaDB"),
        (ToolRole::Backup, "the backup tool", "xtrabackup", "mariadb-backup"),
    ] {
        let swap = |facts: &mut Facts| {
            facts.tools.retain(|tool| tool.role != role);
            facts.tools.push(Product::Mariadb.tool(role));
        };
        restore_where(swap, &format!("{what} does not fit: expected {expected}, found {found}"));
    }
    let swap = |facts: &mut Facts| facts.tools = vec![Product::Mariadb.tool(ToolRole::Backup)];
    backup_where(
        &BackupRequest::Full,
        swap,
        "mariadb-backup 10.11.19-MariaDB for a MySQL 8.4.3 server does not fit: expected xtrabackup for 8.4, found mariadb-backup 10.11.19-MariaDB",
    );
}

#[test]
fn version_mismatch() {
    let old = |facts: &mut Facts| facts.tools = Product::Percona80.tools();
    restore_where(
        old,
        "the version of xtrabackup for backup 2025-10-02T02-00Z does not fit: expected 8.4.0-1, found 8.0.35-31",
    );
    let server = |facts: &mut Facts| {
        facts.tools.retain(|tool| tool.role != ToolRole::Server);
        facts.tools.push(Product::Percona80.tool(ToolRole::Server));
    };
    restore_where(
        server,
        "the version series of the private server does not fit: expected 8.4 (the backup is of 8.4.3), found 8.0.35-27",
    );
    let upgraded = |facts: &mut Facts| {
        if let Some(Ok(server)) = &mut facts.server {
            server.version = Version::new(8, 0, 35);
        }
        facts.tools = Product::Percona80.tools();
    };
    backup_where(
        &INCREMENTAL,
        upgraded,
        "the version series of the server and of the parent 2025-10-02T04-00Z does not fit: expected 8.4, found 8.0",
    );
    let mut case = Case::of(mysql());
    case.catalog.backups[0].entry.engine = Some("clone".into());
    refused(
        &case.restore(&exact("04:41")).unwrap_err(),
        "the engine of backup 2025-10-02T02-00Z does not fit: expected one that this dbbak knows, found clone",
    );
}

#[test]
fn server_unreachable() {
    let down = |facts: &mut Facts| {
        facts.server = Some(Err(ServerProblem { text: "ERROR 2002: no socket".into(), access_denied: false }));
        facts.source = None;
    };
    let expected = "the server cannot be asked: ERROR 2002: no socket";
    backup_where(&BackupRequest::Full, down, expected);
    let mut case = Case::of(mysql());
    down(&mut case.facts);
    refused(&case.ship(&ShipRequest::default()).unwrap_err(), expected);
    // A restore needs no server.
    assert!(Case::of(mysql()).restore_where(&exact("04:41"), down).is_ok());
}

#[test]
fn lsn_went_back_or_another_server() {
    let back = |facts: &mut Facts| {
        if let Some(Ok(server)) = &mut facts.server {
            server.lsn = Some(Lsn(5));
        }
    };
    let end = mysql().backups[2].to_lsn;
    let expected = format!("the server's LSN went back: it is at 5, backup 2025-10-02T04-00Z ended at {end}");
    backup_where(&INCREMENTAL, back, &expected);
    let other = |facts: &mut Facts| {
        if let Some(Ok(server)) = &mut facts.server {
            server.uuid = Some("11111111-0000-4000-8000-000000000000".into());
        }
    };
    backup_where(
        &INCREMENTAL,
        other,
        "the server_uuid of the server and of the parent 2025-10-02T04-00Z does not fit: expected 00000000-0000-4000-8000-000000000000, found 11111111-0000-4000-8000-000000000000",
    );
}

#[test]
fn unusable_workdirs() {
    let directory = |empty, writable| PathState::Directory { empty, mode: 0o755, owner: 0, writable };
    let case = Case::of(mysql());
    let answer = |workdir: &str, state: PathState, network: bool| {
        let request = RestoreRequest { workdir: Some(workdir.into()), ..exact("04:41") };
        let filesystem = Filesystem { free: 1 << 40, total: 1 << 41, network, read_only: false, device: 9 };
        let look = |facts: &mut Facts| {
            facts.paths.insert(workdir.into(), state);
            facts.filesystems.insert(workdir.into(), filesystem);
        };
        case.restore_where(&request, look).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(answer("/restore", directory(true, true), false), Ok(()));
    assert_eq!(answer("/restore", PathState::Missing, false), Ok(()));
    assert_eq!(answer("/backup/tmp/restore", PathState::Missing, false), Ok(()));
    for (workdir, state, network, expected) in [
        ("/restore", directory(false, true), false, "is not empty"),
        ("/restore", directory(true, false), false, "cannot be used: it is not writable"),
        ("/restore", PathState::Other, false, "cannot be used: it is no directory"),
        ("restore", PathState::Missing, false, "cannot be used: it is not an absolute path"),
        (DATADIR, directory(true, true), false, "cannot be used: a running server uses /var/lib/mysql"),
        ("/var/lib/mysql/new", PathState::Missing, false, "cannot be used: a running server uses /var/lib/mysql"),
        ("/var", directory(true, true), false, "cannot be used: a running server uses /var/lib/mysql"),
        ("/backup/restore", PathState::Missing, false, "cannot be used: it lies in the store"),
        (
            "/restore",
            PathState::Missing,
            true,
            "cannot be used: it is reached through the network, where no prepare may run",
        ),
    ] {
        assert_eq!(answer(workdir, state, network), Err(format!("the work directory {workdir} {expected}")));
    }
}

#[test]
fn a_stopped_servers_datadir_is_no_workdir_either() {
    let mut case = Case::of(mysql());
    case.config.server.datadir = Some("/srv/mysql".into());
    let request = RestoreRequest { workdir: Some("/srv/mysql/new".into()), ..exact("04:41") };
    let error = case.restore_where(&request, |facts| facts.server = None).unwrap_err();
    assert!(matches!(error, PlanError::WorkdirUnusable { .. }), "{error}");
}

#[test]
fn no_scratch_on_a_network_store() {
    let mut case = Case::of(mysql());
    case.config.scratch_dir = None;
    let expected =
        "a prepare needs a local directory: /backup is reached through the network and scratch_dir is not set";
    refused(&case.restore(&exact("04:41")).unwrap_err(), expected);
    refused(&case.backup(&BackupRequest::Full).unwrap_err(), expected);
    case.config.prepared = dbbak_core::config::Prepared::None;
    assert!(case.backup(&BackupRequest::Full).is_ok());
    let mut case = Case::of(mysql());
    case.facts.filesystems.get_mut(Path::new(SCRATCH)).unwrap().network = true;
    refused(
        &case.backup(&BackupRequest::Full).unwrap_err(),
        "the work directory /scratch cannot be used: it is reached through the network, where no prepare may run",
    );
}

#[test]
fn not_enough_space() {
    // The full, the two incrementals once each, the larger of them twice, and the binlogs twice.
    let needed = 40_000 + 2 * (1150 + 1150);
    let free = |free| move |facts: &mut Facts| facts.filesystems.get_mut(Path::new(SCRATCH)).unwrap().free = free;
    let error = Case::of(mysql()).restore_where(&exact("04:41"), free(needed - 1)).unwrap_err();
    let PlanError::NotEnoughSpace { needed: found, .. } = error else { panic!("{error}") };
    assert_eq!(found, needed);
    assert!(Case::of(mysql()).restore_where(&exact("04:41"), free(needed)).is_ok());
}

#[test]
fn path_leaves_workdir() {
    let change = |facts: &mut Facts| {
        facts.stored.values_mut().for_each(|stored| stored.outside_paths = vec!["/data2/t1.ibd".into()]);
    };
    restore_where(change, "backup 2025-10-02T02-00Z keeps files outside of its data directory: /data2/t1.ibd");
}

#[test]
fn stamp_taken() {
    let mut history = History::new(Product::Mysql84);
    history.at("02:00").full();
    let mut second = history.backups[0].clone();
    second.id = dbbak_core::model::BackupId::full("2025-10-02T02-00-31Z".parse().unwrap());
    history.backups.push(second);
    let error = Case::of(history).backup(&BackupRequest::Full).unwrap_err();
    refused(&error, "the stamp 2025-10-02T02-00-31Z is taken");
}

#[test]
fn nothing_to_ship_from() {
    let mut case = Case::of(mysql());
    case.facts.source = None;
    refused(
        &case.ship(&ShipRequest::default()).unwrap_err(),
        "the directory of the server's binlogs is not known: set binlog_source_dir",
    );
    if let Some(Ok(server)) = &mut case.facts.server {
        server.log_bin = false;
    }
    refused(&case.ship(&ShipRequest::default()).unwrap_err(), "the server writes no binlog (log_bin is off)");
}

#[test]
fn unusable_store_and_unusable_option() {
    let mut case = Case::of(mysql());
    case.catalog.root = None;
    let error = case.backup(&BackupRequest::Full).unwrap_err();
    refused(&error, "the store cannot be used: the backup tools need a directory to write into");
    let mut case = Case::of(mysql());
    case.config.extra_backup_options = vec!["--no-lock".into()];
    assert!(matches!(case.backup(&BackupRequest::Full), Err(PlanError::Command(_))));
    restore_where(|facts| facts.stored.clear(), "the store cannot be used: backup 2025-10-02T02-00Z was not looked at");
}

#[test]
fn a_head_that_differs_is_another_file() {
    let mut case = Case::of(mysql());
    case.catalog.backups[2].entry.binlog_head = Some(Digest::of(b"another history"));
    let request = RestoreRequest { backup: Some("2025-10-02T04-00Z".parse().unwrap()), ..exact("04:41") };
    assert!(matches!(case.restore(&request), Err(PlanError::CoordinatesNotArchived { .. })));
}
