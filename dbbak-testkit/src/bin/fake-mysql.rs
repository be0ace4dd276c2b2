//! Stands in for the clients `mysql` and `mariadb` in tests: answers questions from the scenario, takes a replay.

use dbbak_testkit::shim::{
    Answer, Done, Effect, ShimTool,
    run::{Invocation, main_of, say},
};
use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
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
            if let Some(dir) = sql.strip_prefix(CLONE).and_then(|rest| rest.strip_suffix('\'')) {
                return clone(call, Path::new(dir));
            }
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

/// The statement that has a server clone itself, up to the directory.
const CLONE: &str = "CLONE LOCAL DATA DIRECTORY = '";

/// Writes what MySQL's clone plugin leaves (seen on 9.7.4): InnoDB's files and the plugin's own, no `auto.cnf`, no binlogs.
fn clone(call: &Invocation, dir: &Path) -> io::Result<ExitCode> {
    let done = call.done();
    if dir.exists() && done != Done::Nothing {
        say(&format!("ERROR 1007 (HY000) at line 1: Can't create database '{}'; database exists", dir.display()));
        return Ok(ExitCode::FAILURE);
    }
    if done != Done::Nothing {
        fs::create_dir_all(dir.join("#clone"))?;
        fs::write(dir.join("ibdata1"), vec![0; 4096])?;
    }
    if done == Done::All {
        fs::create_dir_all(dir.join("#innodb_redo"))?;
        fs::write(dir.join("#innodb_redo/#ib_redo0"), "redo")?;
        fs::write(dir.join("#clone/#view_status"), "1\n")?;
        fs::write(dir.join("mysql.ibd"), "dictionary")?;
        for (table, content) in call.scenario.points.iter().flat_map(|point| &point.tables) {
            let path = dir.join(format!("{table}.ibd"));
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, content)?;
        }
    }
    Ok(call.end().unwrap_or(ExitCode::SUCCESS))
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
