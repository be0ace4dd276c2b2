//! The command lines and parsers of `dbbak_core::tools` against the real programs: what the shims claim is checked here.
#![expect(clippy::unwrap_used, reason = "a helper of a test that cannot go on fails the test")]

use dbbak_core::{
    model::Lsn,
    tools::{
        BackupCommand, BackupSeries, Checkpoints, Client, CommandSpec, Dialect, Exit, Expected, FailureClass, Family,
        Flavor, FrmKind, Login, MetadataFile, PrepareCommand, PrivateServerCommand, Query, ReaderFailure, ReplayReader,
        RunEnd, StderrScan, StreamReader, ToolKind, ToolRole, ToolRunError, carried_settings, consumed_deltas,
        frm_kind, judge_backup_run, judge_binlog_reader, parse_backup_cnf, parse_binary_logs, parse_binlog_info,
        parse_binlog_status, parse_clock, parse_engines, parse_grants, parse_info, parse_replica_status,
        parse_server_version, parse_variables, parse_version, version_query,
    },
};
use dbbak_testkit::{
    real::{find_program, require_servers},
    server::{MariadbServer, Options},
};
use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

fn program(name: &str) -> PathBuf {
    find_program(name).unwrap()
}

fn command(spec: &CommandSpec) -> Command {
    let mut command = Command::new(&spec.program);
    command.args(spec.masked_args()).envs(&spec.env).stdin(Stdio::null());
    command
}

fn run(spec: &CommandSpec) -> Output {
    command(spec).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn exit(output: &Output) -> Exit {
    output.status.code().map_or_else(|| Exit::Signal(output.status.signal().unwrap_or_default()), Exit::Code)
}

fn ask(client: &Client, query: Query) -> String {
    let output = run(client.query(query).unwrap().spec());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn names_in(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

fn copy_tree(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn judge(expected: &Expected, output: &Output, dir: &Path) -> Result<Option<Checkpoints>, ToolRunError> {
    let files = names_in(dir);
    let checkpoints = MetadataFile::Checkpoints.select(&files).map(|name| std::fs::read(dir.join(name)).unwrap());
    let (stderr, checkpoints) = (StderrScan::of(&text(&output.stderr)), checkpoints.as_deref());
    judge_backup_run(expected, &RunEnd { exit: exit(output), stderr: &stderr, files: &files, checkpoints })
}

fn backup(server: &MariadbServer, target: &Path, parent: Option<&Path>) -> BackupCommand {
    BackupCommand {
        program: program("mariadb-backup"),
        series: BackupSeries::MariadbBackup,
        login: Login::OptionFile(server.backup_option_file()),
        target_dir: target.to_owned(),
        parent_dir: parent.map(Path::to_owned),
        datadir: Some(server.datadir().to_owned()),
        socket: Some(server.socket()),
        parallel: Some(2),
        throttle: Some(10_000),
        slave_info: false,
        galera_info: false,
        safe_slave_backup: false,
        extra: vec!["--open-files-limit=1024".into()],
    }
}

fn prepare(target: &Path, incremental: Option<&Path>) -> Output {
    let prepare = PrepareCommand {
        program: program("mariadb-backup"),
        series: BackupSeries::MariadbBackup,
        target_dir: target.to_owned(),
        incremental_dir: incremental.map(Path::to_owned),
        more_follow: true,
        use_memory: Some(64 << 20),
        extra: Vec::new(),
    };
    run(&prepare.build().unwrap())
}

/// Takes a backup and judges it.
fn take(server: &MariadbServer, target: &Path, parent: Option<(&Path, Lsn)>) -> Checkpoints {
    let output = run(&backup(server, target, parent.map(|(dir, _)| dir)).build().unwrap());
    assert_eq!(output.stdout, b"");
    let expected = match parent {
        None => Expected::full(ToolKind::MariadbBackup, true, false),
        Some((_, lsn)) => Expected::incremental(ToolKind::MariadbBackup, true, false, lsn),
    };
    judge(&expected, &output, target).unwrap_or_else(|error| panic!("{error}\n{}", text(&output.stderr))).unwrap()
}

fn tables(dir: &Path) -> Vec<String> {
    let mut names = names_in(dir);
    names.retain(|name| name.ends_with(".ibd"));
    names.sort();
    names
}

#[test]
fn real_tools_are_told_apart() {
    if !require_servers() {
        return;
    }
    for (name, role) in [
        ("mariadb-backup", ToolRole::Backup),
        ("mariadb-binlog", ToolRole::BinlogReader),
        ("mariadb", ToolRole::Client),
        ("mariadbd", ToolRole::Server),
    ] {
        let output = run(version_query(&program(name)).spec());
        let version = parse_version(role, &(text(&output.stdout) + &text(&output.stderr))).unwrap();
        assert_eq!((version.flavor, version.kind.role()), (Flavor::Mariadb, role), "{name}");
    }
}

#[test]
fn real_server_answers_every_question() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = MariadbServer::start(dir.path(), Options::default()).unwrap();
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT) ENGINE=InnoDB; INSERT INTO d.t VALUES (1)");
    let login = Login::OptionFile(server.backup_option_file());
    let client = Client { program: program("mariadb"), login, socket: None, run_as: None };
    let variables = parse_variables(&ask(&client, Query::Variables)).unwrap();
    let (flavor, version) = parse_server_version(&variables["version"], &variables["version_comment"]).unwrap();
    assert_eq!(flavor, Flavor::Mariadb);
    assert!(variables.len() > 400 && variables["server_id"] == "1");
    let dialect = Dialect { family: Family::Mariadb, version };

    let logs = parse_binary_logs(&ask(&client, Query::BinaryLogs)).unwrap();
    let status = parse_binlog_status(&ask(&client, Query::BinlogStatus(dialect))).unwrap().unwrap();
    assert_eq!((&status.at.file, status.at.position), (&logs.last().unwrap().name, logs.last().unwrap().size));
    assert!(run(&client.flush_binary_logs().unwrap()).status.success());
    let flushed = parse_binary_logs(&ask(&client, Query::BinaryLogs)).unwrap();
    assert_eq!(flushed.len(), logs.len() + 1);

    let grants = parse_grants(&ask(&client, Query::Grants)).unwrap();
    assert_eq!(grants.missing(&["RELOAD", "PROCESS"]), [] as [&str; 0]);
    assert!(grants.lines[0].contains("'***'"), "{:?}", grants.lines);
    let apart = (parse_clock(&ask(&client, Query::Clock)).unwrap() - chrono::Utc::now()).num_seconds();
    assert!(apart.abs() < 5, "{apart}");

    let root = Client { login: Login::OptionFile(server.root_option_file()), ..client };
    let engines = parse_engines(&ask(&root, Query::Engines)).unwrap();
    assert!(engines.iter().any(|engine| engine.engine == "InnoDB" && engine.tables == 1));
    assert_eq!(parse_replica_status(&ask(&root, Query::ReplicaStatus(dialect))).unwrap(), []);
}

#[test]
fn real_chain_prepares_once_and_is_used_up() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = MariadbServer::start(&dir.path().join("server"), Options::default()).unwrap();
    let path = |name: &str| dir.path().join(name);
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY) ENGINE=InnoDB; INSERT INTO d.t VALUES (1)");
    let full = take(&server, &path("full"), None);
    server.sql("INSERT INTO d.t VALUES (2); CREATE TABLE d.u (a INT) ENGINE=InnoDB; INSERT INTO d.u VALUES (1)");
    let inc = take(&server, &path("inc"), Some((&path("full"), full.to_lsn)));

    let read = |dir: &str, file: MetadataFile| {
        let name = file.select(&names_in(&path(dir))).unwrap();
        std::fs::read(path(dir).join(name)).unwrap()
    };
    let info = parse_info(&read("inc", MetadataFile::Info)).unwrap();
    assert_eq!((info.from_lsn, info.to_lsn, info.incremental), (full.to_lsn, inc.to_lsn, true));
    let at = parse_binlog_info(&read("inc", MetadataFile::BinlogInfo)).unwrap();
    assert_eq!(info.binlog, Some(at));
    let cnf = parse_backup_cnf(&read("full", MetadataFile::BackupCnf)).unwrap();
    assert!(cnf.get("innodb_page_size").is_some() && cnf.paths_outside().is_empty());
    assert_eq!(frm_kind(&std::fs::read(path("full/d/t.frm")).unwrap()), FrmKind::Innodb);

    copy_tree(&path("full"), &path("first"));
    copy_tree(&path("full"), &path("second"));
    // An incremental on a full that was not prepared is refused, and has moved its new tables all the same.
    copy_tree(&path("inc"), &path("inc-refused"));
    let refused = prepare(&path("first"), Some(&path("inc-refused")));
    assert_eq!(StderrScan::of(&text(&refused.stderr)).cause().0, FailureClass::TargetNotReady);
    std::fs::remove_dir_all(path("first")).unwrap();
    copy_tree(&path("full"), &path("first"));

    for target in ["first", "second"] {
        let output = prepare(&path(target), None);
        let expected = Expected::prepared(ToolKind::MariadbBackup, true, full.to_lsn);
        assert!(judge(&expected, &output, &path(target)).is_ok(), "{}", text(&output.stderr));
    }
    let applied = Expected::prepared(ToolKind::MariadbBackup, false, inc.to_lsn);
    assert_eq!(consumed_deltas(names_in(&path("inc")).iter().map(String::as_str)), [] as [&str; 0]);
    let output = prepare(&path("first"), Some(&path("inc")));
    assert!(judge(&applied, &output, &path("first")).is_ok(), "{}", text(&output.stderr));
    assert_eq!(tables(&path("first/d")), ["t.ibd", "u.ibd"]);

    // The incremental is used up now: the tool says that all is well, and every table is gone.
    let inc = names_in(&path("inc"));
    let mut used = consumed_deltas(inc.iter().map(String::as_str)).into_iter();
    // From MariaDB 11 on there are undo tablespaces as well.
    assert!(used.any(|name| name == "ibdata1.delta"), "{inc:?}");
    let output = prepare(&path("second"), Some(&path("inc")));
    assert!(output.status.success() && StderrScan::of(&text(&output.stderr)).ends_in_success());
    assert_eq!(tables(&path("second/d")), [] as [String; 0]);
    assert!(path("second/d/t.frm").exists());
}

#[test]
fn real_private_server_takes_a_replay_and_logs_it() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut server = MariadbServer::start(&path("server"), Options::default()).unwrap();
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT PRIMARY KEY, b BLOB) ENGINE=InnoDB");
    take(&server, &path("data"), None);
    server.sql("INSERT INTO d.t VALUES (1, x'00')");
    server.sql("FLUSH BINARY LOGS");
    server.sql("SET binlog_format=STATEMENT; INSERT INTO d.t VALUES (2, 'a\\r\\nb')");
    let client = Client {
        program: program("mariadb"),
        login: Login::OptionFile(server.root_option_file()),
        socket: None,
        run_as: None,
    };
    let variables = parse_variables(&ask(&client, Query::Variables)).unwrap();
    let rows = server.value("SELECT MD5(GROUP_CONCAT(a, HEX(b) ORDER BY a)) FROM d.t");
    let logs: Vec<PathBuf> = parse_binary_logs(&ask(&client, Query::BinaryLogs))
        .unwrap()
        .iter()
        .map(|log| server.binlog_dir().join(log.name.as_str()))
        .collect();
    server.stop().unwrap();

    assert!(prepare(&path("data"), None).status.success());
    let info = MetadataFile::BinlogInfo.select(&names_in(&path("data"))).unwrap();
    let at = parse_binlog_info(&std::fs::read(path("data").join(info)).unwrap()).unwrap();
    let first = server.binlog_dir().join(at.file.as_str());
    let files: Vec<PathBuf> = logs.into_iter().skip_while(|log| *log != first).collect();
    assert!(files.len() >= 2);

    let private = private_server(dir.path(), &variables);
    std::fs::write(path("init.sql"), "SET sql_log_bin=0;\nCREATE USER 'replayer'@'localhost' IDENTIFIED BY 'p';\nGRANT ALL ON *.* TO 'replayer'@'localhost' WITH GRANT OPTION;\n").unwrap();
    std::fs::write(
        path("private.cnf"),
        format!("[client]\nuser=replayer\npassword=p\nsocket={}\n", private.socket.display()),
    )
    .unwrap();
    std::fs::create_dir(path("tmp")).unwrap();
    std::fs::create_dir(path("log")).unwrap();
    let mut child =
        Running(command(&private.build().unwrap()).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    let client = Client { login: Login::OptionFile(path("private.cnf")), ..client };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let output = run(client.query(Query::Ping).unwrap().spec());
        if output.status.success() {
            break;
        }
        let log = || std::fs::read_to_string(path("error.log")).unwrap_or_default() + &text(&output.stderr);
        assert!(Instant::now() < deadline && child.0.try_wait().unwrap().is_none(), "{}", log());
        std::thread::sleep(Duration::from_millis(100));
    }

    let reader = ReplayReader {
        program: program("mariadb-binlog"),
        family: Family::Mariadb,
        files,
        start: at.position,
        stop: None,
        local_load: Some(path("tmp")),
        exclude_gtids: None,
    };
    let mut from = command(&reader.build().unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let applied = command(&client.replay().unwrap()).stdin(from.stdout.take().unwrap()).output().unwrap();
    let from = from.wait_with_output().unwrap();
    assert!(applied.status.success(), "{}", text(&applied.stderr));
    assert_eq!(judge_binlog_reader(exit(&from), &text(&from.stderr), false), Ok(()));
    let mut ask_rows = command(&client.statements("").unwrap());
    let sum = "--execute=SELECT MD5(GROUP_CONCAT(a, HEX(b) ORDER BY a)) FROM d.t";
    let found = text(&ask_rows.args(["--skip-column-names", sum]).output().unwrap().stdout);
    assert_eq!(found.trim(), rows);
    let stop = client.statements("SET sql_log_bin=0;\nDROP USER 'replayer'@'localhost';\nSHUTDOWN;\n").unwrap();
    let mut told = command(&stop).stdin(Stdio::piped()).spawn().unwrap();
    let dbbak_core::tools::Stdin::Text(sql) = &stop.stdin else { panic!() };
    std::io::Write::write_all(&mut told.stdin.take().unwrap(), sql.as_bytes()).unwrap();
    assert!(told.wait().unwrap().success());
    assert!(child.0.wait().unwrap().success());
    // Two transactions of the source, nothing of dbbak's own.
    let log =
        Command::new(program("mariadb-binlog")).arg("--no-defaults").arg(path("log/replay.000001")).output().unwrap();
    let log = text(&log.stdout);
    assert_eq!(log.matches("\tGTID ").count(), 2, "{log}");
    assert!(!log.contains("replayer"));
}

/// A server that does not outlive a test that fails.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn private_server(dir: &Path, variables: &BTreeMap<String, String>) -> PrivateServerCommand {
    let (_, version) = parse_server_version(&variables["version"], "").unwrap();
    let cnf = parse_backup_cnf(&std::fs::read(dir.join("data/backup-my.cnf")).unwrap()).unwrap();
    PrivateServerCommand {
        program: program("mariadbd"),
        family: Family::Mariadb,
        version,
        datadir: dir.join("data"),
        socket: dir.join("s"),
        pid_file: dir.join("pid"),
        log_error: Some(dir.join("error.log")),
        tmpdir: dir.join("tmp"),
        init_file: Some(dir.join("init.sql")),
        log_bin: Some(dir.join("log/replay")),
        log_size: 1 << 30,
        server_id: 4_000_000_000,
        settings: carried_settings(Family::Mariadb, version, variables, &cnf.settings),
        time_zone: None,
        run_as: rustix::process::geteuid().is_root().then(|| "root".to_owned()),
        buffer_pool: Some(64 << 20),
        redo_log: Some(64 << 20),
        relay: None,
        extra: Vec::new(),
    }
}

#[test]
fn real_reader_is_not_believed() {
    if !require_servers() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut server = MariadbServer::start(&dir.path().join("server"), Options::default()).unwrap();
    server.sql("CREATE DATABASE d; CREATE TABLE d.t (a INT); INSERT INTO d.t VALUES (1), (2)");
    let copies = dir.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    let first = names_in(&server.binlog_dir()).into_iter().find(|name| name.ends_with(".000001")).unwrap();
    let stream = StreamReader {
        program: program("mariadb-binlog"),
        family: Family::Mariadb,
        login: Login::OptionFile(server.root_option_file()),
        first: first.parse().unwrap(),
        dir: copies.clone(),
        connection_server_id: 77,
        never_stop: false,
    };
    assert!(run(&stream.build().unwrap()).status.success());
    // Readers of 10.6.7 and 10.11.7 say nothing, that of 10.6.23 does: that the end is in the file, dbbak has found out by itself before.
    let warns = server.value("SELECT VERSION() NOT RLIKE '^10[.]([0-9]|10|11[.][0-9])[.-]'") == "1";
    server.kill9();
    let original = std::fs::read(server.binlog_dir().join(&first)).unwrap();
    let mut copied = std::fs::read(copies.join(&first)).unwrap();
    assert_eq!((original[21] & 1, copied[21] & 1), (1, 0), "the in-use bit does not come through");
    copied[21] |= 1;
    assert!(original == copied);

    let judge = |bytes: &[u8], stop: Option<u64>| {
        let file = dir.path().join("x.000001");
        std::fs::write(&file, bytes).unwrap();
        let reader = ReplayReader {
            program: program("mariadb-binlog"),
            family: Family::Mariadb,
            files: vec![file],
            start: 4,
            stop,
            local_load: None,
            exclude_gtids: None,
        };
        let output = run(&reader.build().unwrap());
        judge_binlog_reader(exit(&output), &text(&output.stderr), false).map_err(|error| (error.exit, error.failure))
    };
    assert_eq!(judge(&original, None), Ok(()));
    let ok = Exit::Code(0);
    assert_eq!(judge(&original[..original.len() - 3], None), Err((ok, ReaderFailure::Truncated)));
    let unreached = judge(&original, Some(99_999_999));
    assert!(unreached == Err((ok, ReaderFailure::EndNotReached)) || (!warns && unreached == Ok(())), "{unreached:?}");
    let mut flipped = original.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    assert_eq!(judge(&flipped, None), Err((ok, ReaderFailure::Checksum)));
}
