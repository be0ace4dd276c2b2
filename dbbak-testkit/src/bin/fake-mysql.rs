//! Stands in for the clients `mysql` and `mariadb` in tests: answers questions from the scenario, takes a replay.

use dbbak_testkit::shim::{
    Answer, Done, Effect, ShimTool,
    run::{Invocation, main_of, say},
};
use std::{
    fs,
    io::{self, Read, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    main_of(ShimTool::Client, play)
}

fn play(call: &Invocation) -> io::Result<ExitCode> {
    if call.has("version") {
        return version(call);
    }
    match call.option("execute") {
        Some(sql) => {
            if let Some(code) = call.end() {
                return Ok(code);
            }
            answer(call, sql)
        }
        None => take_input(call),
    }
}

fn version(call: &Invocation) -> io::Result<ExitCode> {
    let version = &call.scenario.server_version;
    let number = version.split('-').next().unwrap_or(version);
    if call.scenario.series.is_mariadb() {
        writeln!(
            io::stdout(),
            "mariadb  Ver 15.1 Distrib {number}-MariaDB, for debian-linux-gnu (x86_64) using  EditLine wrapper"
        )?;
    } else {
        writeln!(io::stdout(), "mysql  Ver {number} for Linux on x86_64 (MySQL Community Server - GPL)")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(call: &Invocation, sql: &str) -> io::Result<ExitCode> {
    let unknown = Answer::error(1064, "42000", &format!("You have an error in your SQL syntax near '{sql}'"));
    let answers = call.scenario.answers.get(sql).map_or(&[][..], Vec::as_slice);
    let asked = fs::read_to_string(call.dir.join("calls.jsonl"))?;
    let same = format!("{:?}", format!("--execute={sql}"));
    let number = asked.lines().filter(|line| line.contains(&same)).count();
    let answer = answers.get(number.saturating_sub(1)).or(answers.last()).unwrap_or(&unknown);
    io::stdout().write_all(answer.stdout.as_bytes())?;
    io::stderr().write_all(answer.stderr.as_bytes())?;
    Ok(ExitCode::from(answer.code))
}

/// Reads statements to the end of the input, as a replay or a script gives them.
fn take_input(call: &Invocation) -> io::Result<ExitCode> {
    let mut kept = fs::OpenOptions::new().create(true).append(true).open(call.dir.join("client-input.sql"))?;
    match call.done() {
        Done::Nothing => {}
        // A client that stops in the middle leaves the rest unread: the writer dies of a broken pipe.
        Done::Half => {
            let mut start = vec![0; 512];
            let count = io::stdin().read(&mut start)?;
            kept.write_all(&start[..count])?;
        }
        Done::All => {
            io::copy(&mut io::stdin(), &mut kept)?;
        }
    }
    if let Some(code) = call.end() {
        return Ok(code);
    }
    if let Some(Effect::Alarm { line }) = &call.effect {
        say(line);
    }
    Ok(ExitCode::SUCCESS)
}
