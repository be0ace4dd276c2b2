//! No plan because of programs, servers and directories.

use super::*;
use dbbak_core::{facts::OwnerFact, plan::FinishRequest};

/// Row 35.
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

/// Row 35.
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
    case.catalog.backups[0].entry.engine = Some("tape".into());
    refused(
        &case.restore(&exact("04:41")).unwrap_err(),
        "the engine of backup 2025-10-02T02-00Z does not fit: expected one that this dbbak knows, found tape",
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
    let expected = format!(
        "nothing proves that the end of backup 2025-10-02T04-00Z lies in this server's past: the server's LSN 5 is before {end}, at which it ended: the data directory was put back or made anew"
    );
    let named = BackupRequest::Incremental { base: Some("2025-10-02T02-00Z".parse().unwrap()), differential: false };
    backup_where(&named, back, &expected);
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

/// Rows 29 and 30.
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

/// Row 31.
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

/// Row 34.
#[test]
fn not_enough_space() {
    // The full, the two incrementals once each, the larger of them twice, the binlogs twice, a redo log, and what a server makes.
    let needed = 40_000 + 2 * (1150 + 1150) + (100 << 20) + (32 << 20);
    let free = |free| move |facts: &mut Facts| facts.filesystems.get_mut(Path::new(SCRATCH)).unwrap().free = free;
    let error = Case::of(mysql()).restore_where(&exact("04:41"), free(needed - 1)).unwrap_err();
    let PlanError::NotEnoughSpace { needed: found, .. } = error else { panic!("{error}") };
    assert_eq!(found, needed);
    assert!(Case::of(mysql()).restore_where(&exact("04:41"), free(needed)).is_ok());
}

/// Row 32.
#[test]
fn path_leaves_workdir() {
    let change = |facts: &mut Facts| {
        facts.stored.values_mut().for_each(|stored| stored.outside_paths = vec!["/data2/t1.ibd".into()]);
    };
    restore_where(change, "backup 2025-10-02T02-00Z keeps files outside of its data directory: /data2/t1.ibd");
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

/// What is asked for at the end of a restore is checked before anything is written.
#[test]
fn an_end_that_cannot_be_reached() {
    let finish = |owner: Option<&str>, with_binlogs| FinishRequest {
        owner: owner.map(|owner| owner.parse().unwrap()),
        with_binlogs,
        ..FinishRequest::default()
    };
    let case = |request: &RestoreRequest, change: fn(&mut Facts), expected: &str| {
        refused(&Case::of(mysql()).restore_where(request, change).unwrap_err(), expected);
    };
    let owned = RestoreRequest { finish: finish(Some("mysql:mysql"), false), ..exact("04:41") };
    let known = |facts: &mut Facts| facts.owner = Some(Ok(OwnerFact { uid: 1, gid: 1 }));
    case(&owned, known, "the restored files cannot be given to mysql:mysql: only root can give files away");
    let unknown = |facts: &mut Facts| {
        facts.host.root = true;
        facts.owner = Some(Err("there is no user mysql in /etc/passwd".into()));
    };
    case(&owned, unknown, "the restored files cannot be given to mysql:mysql: there is no user mysql in /etc/passwd");

    let gtids = |facts: &mut Facts| {
        for stored in facts.stored.values_mut() {
            stored.variables.insert("gtid_mode".into(), "ON".into());
            stored.variables.insert("log_bin_basename".into(), "/var/lib/mysql/binlog".into());
        }
    };
    let no_gtids = |facts: &mut Facts| {
        facts.stored.values_mut().for_each(|stored| drop(stored.variables.insert("gtid_mode".into(), "OFF".into())));
    };
    let no = "the binlogs cannot be put back as the server's own: ";
    let with_binlogs = RestoreRequest { finish: finish(None, true), ..exact("04:41") };
    let other = |facts: &mut Facts| {
        for stored in facts.stored.values_mut() {
            stored.variables.insert("log_bin_basename".into(), "/var/lib/mysql/other".into());
        }
    };
    let said = format!("{no}binlog.000002 is not named other, as the server's own are");
    case(&with_binlogs, other, &said);
    let unsaid = |facts: &mut Facts| facts.stored.values_mut().for_each(|stored| stored.variables.clear());
    case(&with_binlogs, unsaid, &format!("{no}the backup does not say where its server kept its binlogs"));
    let followed = FinishRequest { catch_up: vec!["db2".parse().unwrap()], ..finish(None, true) };
    let both = RestoreRequest { finish: followed.clone(), ..restore_to(Target::End) };
    case(&both, gtids, &format!("{no}they end before the data that are caught up"));

    let no_catch_up = "the restored server cannot catch up: ";
    let followed = FinishRequest { with_binlogs: false, ..followed };
    let past = "the target lies in the past, and what came after it would be followed";
    let with = |request: RestoreRequest, finish: &FinishRequest| RestoreRequest { finish: finish.clone(), ..request };
    case(&with(exact("04:41"), &followed), gtids, &format!("{no_catch_up}{past}"));
    case(&with(restore_to(Target::Latest), &followed), gtids, &format!("{no_catch_up}{past}"));
    let twice = ["db2", "db2:3306"].map(|source| source.parse().unwrap()).to_vec();
    let twice = FinishRequest { catch_up: twice, ..followed.clone() };
    case(&with(restore_to(Target::End), &twice), gtids, &format!("{no_catch_up}a source is named twice"));
    let without = "the source had no GTIDs (gtid_mode), so that a living one cannot tell what is missing";
    case(&with(restore_to(Target::End), &followed), no_gtids, &format!("{no_catch_up}{without}"));
    let backup = Some("2025-10-02T02-00Z".parse().unwrap());
    let as_it_is = RestoreRequest { finish: finish(None, true), backup, ..restore_to(Target::Latest) };
    case(&as_it_is, |_| (), &format!("{no}no binlogs are replayed"));
}
