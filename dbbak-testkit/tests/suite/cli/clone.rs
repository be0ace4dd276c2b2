//! Fulls by the engine `clone`: the whole run, and the failures of a server that clones itself.

use super::{Bench, Series, bench, run};
use dbbak_core::tools::{Dialect, Family, Query};
use dbbak_testkit::command_line::Spoken;
use dbbak_testkit::shim::{Done, Effect, Scenario, ShimTool};
use insta::assert_snapshot;

const FULL: [&str; 3] = ["backup-full", "--engine", "clone"];
const GTIDS: &str = "00000000-0000-0000-0000-000000000001:101-103";

/// A MySQL 8.4 with the clone plugin, and a server program that opens copies.
fn ready() -> (Bench, Scenario) {
    let bench = bench(Series::Xtrabackup84);
    let ends = bench.binlog(1, 3, false).unwrap();
    let at = ends[2].to_string();
    let here = ["mysql-bin.000001", &at];
    let status = Query::BinlogStatus(Dialect { family: Family::Mysql, version: "8.4.8".parse().unwrap() });
    let scenario = bench
        .scenario()
        .answer_with(Query::ClonePlugin.sql(), &["status"], &[&["ACTIVE"]])
        .answer_with(Query::NotCloned.sql(), &["db", "name", "engine"], &[])
        .answer_with(Query::Sessions.sql(), &["Id", "User", "Host", "db", "Command", "Time", "State", "Info"], &[])
        .answer_with(
            status.sql(),
            &["File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"],
            &[&[here[0], here[1], "", "", GTIDS]],
        )
        .answer_with(
            Query::CloneStatus.sql(),
            &["state", "file", "position", "gtids", "executed"],
            &[&["Completed", here[0], here[1], GTIDS, GTIDS]],
        )
        .answer_with(Query::InnodbLsn.sql(), &["Variable_name", "Value"], &[&["Innodb_redo_log_current_lsn", "5000"]]);
    // It serves until its client says SHUTDOWN: the client is a shim, which keeps what it was told.
    let told = bench.path("bin/client-input.sql");
    let script = format!(
        "case \"$*\" in *--version*) echo 'mysqld  Ver 8.4.8 for Linux on x86_64 (MySQL Community Server - GPL)'; exit;; esac\n\
         for arg; do case \"$arg\" in --pid-file=*) echo $$ > \"${{arg#*=}}\";; esac; done\n\
         until /bin/grep -q SHUTDOWN '{}' 2>/dev/null; do /bin/sleep 0.02; done\n\
         echo '2025-10-02T03:00:00.000000Z 0 [System] [MY-010910] [Server] /usr/sbin/mysqld: Shutdown complete (mysqld 8.4.8)' >&2",
        told.display()
    );
    bench.script("mysqld", &script).unwrap();
    bench.play(&scenario).unwrap();
    assert_eq!(run(&bench, &["init"]).code(), Some(0));
    (bench, scenario)
}

/// The same whoever runs the tests: a server wants to be told where that is root.
fn shown(spoken: &Spoken) -> String {
    spoken.to_string().replace(" --user=root", "")
}

#[test]
fn full_by_clone() {
    let (bench, _) = ready();
    let dry = run(&bench, &FULL);
    assert_eq!(dry.code(), Some(0), "{dry}");
    assert_snapshot!("clone_dry", shown(&dry));
    assert_eq!(bench.backup_dirs(), [""; 0]);
    let done = run(&bench, &[&FULL[..], &["--exec"]].concat());
    assert_eq!(done.code(), Some(0), "{done}");
    assert_snapshot!("clone_exec", shown(&done));
    let [backup] = &bench.backup_dirs()[..] else { panic!("{:?}", bench.backup_dirs()) };
    for file in ["ibdata1", "mysql.ibd", "shop/orders.ibd"] {
        assert!(bench.path(&format!("store/{backup}/prepared-final/{file}")).is_file(), "{file}");
    }
    assert_eq!(bench.names_in("scratch"), [""; 0]);
    // What the private server was told last ends its account and itself.
    let told = std::fs::read_to_string(bench.path("bin/client-input.sql")).unwrap();
    assert!(told.contains("DROP USER 'dbbak_clone'@'localhost'; SHUTDOWN;"), "{told}");
    assert_snapshot!("clone_list", run(&bench, &["list"]));
}

#[test]
fn server_that_does_not_clone_itself() {
    let (bench, scenario) = ready();
    let text = |code: u32, message: &str| format!("ERROR {code} (HY000) at line 1: {message}");
    let failures = [
        ("clone_concurrent", text(3634, "Too many concurrent clone operations. Maximum allowed - 1."), Done::Nothing),
        (
            "clone_disk_full",
            text(3868, "Clone: Error writing file '/x' (OS errno: 28 - No space left on device)"),
            Done::Half,
        ),
        ("clone_ddl", text(1205, "Lock wait timeout exceeded; try restarting transaction"), Done::Nothing),
    ];
    for (number, (name, stderr, done)) in failures.into_iter().enumerate() {
        let effect = Effect::Exit { code: 1, stderr, done };
        let statement = "--execute=CLONE LOCAL DATA DIRECTORY = ";
        bench.play(&scenario.clone().fail(ShimTool::Client, statement, number + 1, effect)).unwrap();
        let failed = run(&bench, &[&FULL[..], &["--exec"]].concat());
        assert_eq!(failed.code(), Some(6), "{failed}");
        assert_snapshot!(name, shown(&failed));
        assert_eq!(bench.backup_dirs(), [""; 0]);
        assert_eq!(bench.names_in("scratch"), [""; 0], "{name}");
    }
}
