//! The client shim, asked by dbbak's own questions.

use super::{Bench, exit, run, text};
use dbbak_core::tools::{
    Client, Exit, FailureClass, Login, Query, ToolRole, parse_binary_logs, parse_client_error, parse_clock,
    parse_grants, parse_variables, parse_version, version_query,
};
use dbbak_testkit::shim::{Answer, Done, Effect, Scenario, Series, ShimTool};
use std::{
    io::Write,
    process::{Command, Stdio},
};

fn client(bench: &Bench) -> Client {
    Client { program: bench.shims.client.clone(), login: Login::Defaults, socket: None, run_as: None }
}

fn ask(bench: &Bench, query: Query) -> String {
    let output = run(client(bench).query(query).unwrap().spec());
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn answers_the_questions_that_dbbak_asks() {
    let bench = Bench::new(&Scenario::of(Series::Xtrabackup80).with_variables(&[("report_password", "hunter2")]));
    let variables = parse_variables(&ask(&bench, Query::Variables)).unwrap();
    assert_eq!(variables["version"], "8.0.35");
    assert_eq!(variables["report_password"], "***");
    assert!(parse_grants(&ask(&bench, Query::Grants)).unwrap().has("RELOAD"));
    assert_eq!(parse_binary_logs(&ask(&bench, Query::BinaryLogs)).unwrap()[0].size, 4711);
    assert!(parse_clock(&ask(&bench, Query::Clock)).is_ok());
    assert!(ask(&bench, Query::Ping).contains('1'));
}

#[test]
fn answers_in_the_order_of_the_asking_and_knows_no_other_statement() {
    let answers = [
        Answer::error(2013, "HY000", "Lost connection to server"),
        Answer { stdout: "one\n1\n".into(), ..Answer::default() },
    ];
    let bench = Bench::new(&Scenario::of(Series::Mariadb1011).answer("SELECT 1 AS one", answers));
    let first = run(client(&bench).query(Query::Ping).unwrap().spec());
    assert_eq!(first.status.code(), Some(1));
    assert_eq!(parse_client_error(&text(&first.stderr)).unwrap().class(), FailureClass::ServerGone);
    for _ in 0..2 {
        assert!(ask(&bench, Query::Ping).contains('1'));
    }
    let unknown = run(client(&bench).query(Query::Engines).unwrap().spec());
    assert_eq!(parse_client_error(&text(&unknown.stderr)).map(|error| error.code), Some(1064));
}

#[test]
fn takes_statements_and_a_replay() {
    let bench = Bench::new(&Scenario::of(Series::Mariadb1011));
    assert!(run(&client(&bench).statements("SHUTDOWN;\n").unwrap()).status.success());
    let spec = client(&bench).replay().unwrap();
    let mut child = Command::new(&spec.program).args(spec.masked_args()).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"BINLOG 'x'/*!*/;\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(bench.shims.client_input().unwrap(), "SHUTDOWN;\nBINLOG 'x'/*!*/;\n");
}

#[test]
fn stops_in_the_middle_of_a_replay_as_scripted() {
    let stderr = "ERROR 1062 (23000) at line 9: Duplicate entry '1' for key 'PRIMARY'".to_owned();
    let stop = Effect::Exit { code: 1, stderr, done: Done::Half };
    let bench = Bench::new(&Scenario::of(Series::Mariadb1011).fail(ShimTool::Client, "--binary-mode", 1, stop));
    let spec = client(&bench).replay().unwrap();
    let mut child = Command::new(&spec.program)
        .args(spec.masked_args())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A reader that goes on writing finds the pipe broken.
    let broken = (0..1000).find_map(|_| stdin.write_all(&[b'x'; 4096]).err());
    assert_eq!(broken.map(|error| error.kind()), Some(std::io::ErrorKind::BrokenPipe));
    let output = child.wait_with_output().unwrap();
    assert_eq!(exit(&output), Exit::Code(1));
    assert_eq!(parse_client_error(&text(&output.stderr)).and_then(|error| error.line), Some(9));
}

#[test]
fn prints_its_version() {
    for series in [Series::Xtrabackup24, Series::Xtrabackup84, Series::Mariadb1011, Series::Mariadb118] {
        let bench = Bench::new(&Scenario::of(series));
        let output = run(version_query(&bench.shims.client).spec());
        let version = parse_version(ToolRole::Client, &text(&output.stdout)).unwrap();
        assert_eq!(version.version, Scenario::of(series).server_version.parse().ok());
    }
}
