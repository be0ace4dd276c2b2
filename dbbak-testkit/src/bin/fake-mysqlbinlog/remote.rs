//! What the binlog readers do with a server: copy its files (`--raw`), or print their bytes (`--hexdump`). The server's files
//! lie in `server-binlogs` beside the scenario.

use crate::scan::{Event, scan};
use dbbak_testkit::shim::{
    Done,
    run::{Invocation, say},
};
use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

/// The names of the server's files, and the one that is asked for; a message where the server has it not.
fn names(call: &Invocation) -> io::Result<Option<(Vec<String>, String)>> {
    let first = call.args.iter().rfind(|arg| !arg.starts_with("--")).cloned().unwrap_or_default();
    let mut names: Vec<String> = fs::read_dir(call.dir.join("server-binlogs"))?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.rsplit_once('.').is_some_and(|(_, digits)| digits.parse::<u64>().is_ok()))
        .collect();
    names.sort();
    if names.contains(&first) {
        return Ok(Some((names, first)));
    }
    say("ERROR: Got error reading packet from server: Could not find first log file name in binary log index file");
    Ok(None)
}

/// A file as the server sends it: the in-use bit never comes through.
fn sent(call: &Invocation, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = fs::read(call.dir.join("server-binlogs").join(name))?;
    if let Some(flags) = bytes.get_mut(21) {
        *flags &= !1;
    }
    Ok(bytes)
}

/// Copies the file that is named, or all from it on.
pub(crate) fn copy_raw(call: &Invocation) -> io::Result<ExitCode> {
    if call.done() == Done::Nothing
        && let Some(code) = call.end()
    {
        return Ok(code);
    }
    let prefix = call.option("result-file").unwrap_or_default();
    let Some((names, first)) = names(call)? else { return Ok(ExitCode::from(1)) };
    let all = call.has("to-last-log") || call.has("stop-never");
    for name in names.iter().filter(|name| **name == first || (all && **name >= first)) {
        let mut bytes = sent(call, name)?;
        if call.done() == Done::Half {
            bytes.truncate(bytes.len() / 2);
        }
        // A file of the same name is truncated and written anew.
        fs::write(Path::new(&format!("{prefix}{name}")), bytes)?;
        if call.done() == Done::Half {
            break;
        }
    }
    if let Some(code) = call.end() {
        return Ok(code);
    }
    if call.has("stop-never") {
        loop {
            std::thread::sleep(std::time::Duration::from_secs(3600));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the events that begin before the stop, byte by byte, in the vendor's own form.
pub(crate) fn print_hexdump(call: &Invocation) -> io::Result<ExitCode> {
    if let Some(code) = call.end() {
        return Ok(code);
    }
    let Some((_, name)) = names(call)? else { return Ok(ExitCode::from(1)) };
    let bytes = sent(call, &name)?;
    let Ok(read) = scan(&bytes, false) else { return Ok(ExitCode::from(1)) };
    let stop = call.option("stop-position").and_then(|text| text.parse().ok()).unwrap_or(u64::MAX);
    let mariadb = call.scenario.series.is_mariadb();
    let mut out = String::from("DELIMITER /*!*/;\n");
    for event in read.events.iter().filter(|event| event.at < stop) {
        let Event { at, server_id, end, .. } = event;
        let _ = writeln!(out, "# at {at}\n#251002  2:00:00 server id {server_id}  end_log_pos {end}");
        print_event(&mut out, *at, &bytes[*at as usize..*end as usize], mariadb);
    }
    out.push_str("DELIMITER ;\n# End of log file\n");
    io::stdout().write_all(out.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn print_event(out: &mut String, at: u64, event: &[u8], mariadb: bool) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    let fields = [0..4, 4..5, 5..9, 9..13, 13..17, 17..19].map(|range| hex(&event[range]));
    let _ = if mariadb {
        writeln!(out, "# Position\n#           |Timestamp   |Type |Master ID   |Size        |Master Pos  |Flags")
            .and_then(|()| writeln!(out, "# {at:8x}  |{}\n#", fields.join(" |")))
    } else {
        writeln!(out, "# Position  Timestamp   Type   Source ID        Size      Source Pos    Flags ")
            .and_then(|()| writeln!(out, "# {at:08x} {}", fields.join("   ")))
    };
    for (row, bytes) in event[19..].chunks(16).enumerate() {
        let address = at + 19 + row as u64 * 16;
        let (left, right) = bytes.split_at(bytes.len().min(8));
        let text: String =
            bytes.iter().map(|byte| if byte.is_ascii_alphanumeric() { *byte as char } else { '.' }).collect();
        let bytes = format!("{}  {}", hex(left), hex(right));
        let _ = if mariadb {
            writeln!(out, "# {address:8x}  {bytes:<49} |{text}|")
        } else {
            writeln!(out, "# {address:08x} {bytes:<49}|{text}|")
        };
    }
    let _ = writeln!(out, "#\n# Event: \tof type {}", event[4]);
}
