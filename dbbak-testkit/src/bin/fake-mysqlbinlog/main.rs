//! Stands in for `mysqlbinlog` and `mariadb-binlog` in tests: reads the frames of real binlogs and prints a line an
//! event, with the statuses and messages of the real readers; or copies a server's binlogs as `--raw` does.

mod remote;
mod scan;

use dbbak_testkit::shim::{
    Done, Effect, ShimTool,
    run::{Invocation, main_of, say},
};
use scan::{Event, Problem, scan};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    process::ExitCode,
};

fn main() -> ExitCode {
    main_of(ShimTool::Reader, play)
}

fn play(call: &Invocation) -> io::Result<ExitCode> {
    if call.has("version") {
        version(call)?;
        return Ok(ExitCode::SUCCESS);
    }
    if let Err((line, code)) = check_options(call) {
        say(&line);
        return Ok(ExitCode::from(code));
    }
    if call.has("raw") {
        return remote::copy_raw(call);
    }
    if call.has("hexdump") {
        return remote::print_hexdump(call);
    }
    let mut out = String::from("/* fake-mysqlbinlog */;\nDELIMITER /*!*/;\n");
    let code = print_all(call, &mut out);
    if code == 0 {
        out.push_str("DELIMITER ;\n# End of log file\n");
        if call.scenario.series.is_mariadb() {
            out.push_str("ROLLBACK /* added by mysqlbinlog */;\n");
        }
    }
    let wanted = match call.done() {
        Done::Nothing => "",
        Done::Half => &out[..out.len() / 2],
        Done::All => out.as_str(),
    };
    io::stdout().write_all(wanted.as_bytes())?;
    io::stdout().flush()?;
    if let Some(code) = call.end() {
        return Ok(code);
    }
    if let Some(Effect::Alarm { line }) = &call.effect {
        say(line);
    }
    Ok(ExitCode::from(code))
}

fn version(call: &Invocation) -> io::Result<()> {
    let number = call.scenario.server_version.split('-').next().unwrap_or_default().to_owned();
    let program = &call.program;
    let mut out = io::stdout();
    match number.as_str() {
        // Readers up to MySQL 5.7 and MariaDB 10.11 print a number of their own.
        old if old.starts_with("5.") => writeln!(out, "{program} Ver 3.4 for Linux at x86_64"),
        old if old.starts_with("10.") => writeln!(out, "{program} Ver 3.5 for debian-linux-gnu at x86_64"),
        new if call.scenario.series.is_mariadb() => {
            writeln!(out, "{program} from {new}-MariaDB, client 3.6 for debian-linux-gnu (x86_64)")
        }
        new => writeln!(out, "{program}  Ver {new} for Linux on x86_64 (MySQL Community Server - GPL)"),
    }
}

fn check_options(call: &Invocation) -> Result<(), (String, u8)> {
    const KNOWN: &[&str] = &[
        "verify-binlog-checksum",
        "start-position",
        "stop-position",
        "local-load",
        "read-from-remote-server",
        "raw",
        "hexdump",
        "socket",
        "stop-never",
        "to-last-log",
        "result-file",
        "connection-server-id",
        "stop-never-slave-server-id",
        "exclude-gtids",
        "loose-skip-gtid-strict-mode",
        "help",
    ];
    for (at, arg) in call.args.iter().enumerate() {
        let Some(option) = arg.strip_prefix("--") else { continue };
        let name = option.split('=').next().unwrap_or_default().replace('_', "-");
        let first = matches!(name.as_str(), "no-defaults" | "defaults-file" | "defaults-extra-file");
        let foreign = match name.as_str() {
            "exclude-gtids" | "connection-server-id" => call.scenario.series.is_mariadb(),
            "loose-skip-gtid-strict-mode" => !call.scenario.series.is_mariadb(),
            _ => false,
        };
        if foreign || !(KNOWN.contains(&name.as_str()) || (first && at == 0)) {
            return Err((format!("{}: unknown option '--{option}'", call.program), 2));
        }
    }
    Ok(())
}

/// Prints the events of the window; the status is that of the real readers.
fn print_all(call: &Invocation, out: &mut String) -> u8 {
    let number = |name| call.option(name).and_then(|text| text.parse::<u64>().ok());
    let (start, stop) = (number("start-position").unwrap_or(4), number("stop-position"));
    let files: Vec<&String> = call.args.iter().filter(|arg| !arg.starts_with("--")).collect();
    for (at, path) in files.iter().enumerate() {
        let (first, last) = (at == 0, at + 1 == files.len());
        let start = if first { start } else { 4 };
        let stop = stop.filter(|_| last);
        if let Err(code) = print_file(call, path, start, stop, out) {
            return code;
        }
    }
    0
}

fn print_file(call: &Invocation, path: &str, start: u64, stop: Option<u64>, out: &mut String) -> Result<(), u8> {
    let mariadb = call.scenario.series.is_mariadb();
    let Ok(bytes) = fs::read(path) else {
        say(&format!("{}: File '{path}' not found (Errcode: 2 \"No such file or directory\")", call.program));
        return Err(1);
    };
    let read = match scan(&bytes, call.has("verify-binlog-checksum")) {
        Ok(read) => read,
        Err(line) => {
            say(line);
            return Err(1);
        }
    };
    let foreign = read.events.iter().any(|event| event.kind >= 160) != mariadb && read.tells_its_vendor();
    if foreign && !mariadb {
        say("ERROR: Could not read entry at offset 4: Error in log format or read error 1.");
        say("ERROR: Found invalid event in binary log");
        return Err(1);
    }
    if foreign {
        // It goes on, and leaves MySQL's GTIDs out.
        say(&format!(
            "{}: Character set '#255' is not a compiled character set and is not specified in the file",
            call.program
        ));
    }
    // Behind the end of the file there is nothing, and that is no error.
    if start >= bytes.len() as u64 {
        return Ok(());
    }
    if !read.events.iter().any(|event| event.at == start) && read.problem.is_none() {
        say(&format!("ERROR: Could not read entry at offset {start}: Error in log format or read error."));
        return Err(1);
    }
    let wanted = |event: &&Event| (event.at >= start || event.kind == 15) && stop.is_none_or(|stop| event.at < stop);
    for event in read.events.iter().filter(wanted) {
        let Event { at, kind, server_id, end } = event;
        let _ = writeln!(out, "# at {at}\n# server id {server_id}  end_log_pos {end}  event type {kind}");
    }
    let reached = stop.is_some_and(|stop| read.events.last().is_some_and(|event| event.end >= stop));
    match read.problem {
        Some(problem) if !reached => return stumble(problem, mariadb, read.in_use),
        _ => {}
    }
    if let Some(stop) = stop.filter(|stop| mariadb && *stop > bytes.len() as u64) {
        say(&format!("WARNING: Did not reach stop position {stop} before end of input"));
    }
    Ok(())
}

/// A damaged event: with the in-use bit set both readers end with status 0.
fn stumble(problem: Problem, mariadb: bool, in_use: bool) -> Result<(), u8> {
    match (problem, mariadb) {
        (Problem::Checksum { at }, true) => {
            say(
                "ERROR: Error in Log_event::read_log_event(): 'Event crc check failed! Most likely there is event corruption.', data_len: 8181, event_type: 23",
            );
            if !in_use {
                say(&format!("ERROR: Could not read entry at offset {at}: Error in log format or read error."));
            }
        }
        (Problem::Checksum { at }, false) => {
            say(&format!("ERROR: Could not read entry at offset {at}: Error in log format or read error 1."));
            say("ERROR: Event crc check failed! Most likely there is event corruption.");
            return Err(1);
        }
        (Problem::Truncated { at }, true) => {
            say("ERROR: Error in Log_event::read_log_event(): 'Event truncated', data_len: 8181, event_type: 23");
            if !in_use {
                say(&format!("ERROR: Could not read entry at offset {at}: Error in log format or read error."));
            }
        }
        (Problem::Truncated { .. }, false) if in_use => say("WARNING: File ends with a truncated event"),
        (Problem::Truncated { at }, false) => {
            say(&format!("ERROR: Could not read entry at offset {at}: Error in log format or read error 1."));
            say("ERROR: binlog truncated in the middle of event; consider out of disk space");
        }
    }
    if in_use { Ok(()) } else { Err(1) }
}
