//! Makes an empty data directory, and loads a dump into it through a private server.

use super::{
    custody,
    error::ExecuteError,
    files,
    replay::{await_end, describe},
    reporter::Event,
    run_dir::{in_run_dir, start_server},
    running::Running,
};
use crate::{
    plan::{InitDatadir, LoadDump},
    store::Codec,
    tools::DumpScan,
};
use std::{
    io::{self, Read, Write},
    path::PathBuf,
};

const BUFFER: usize = 1 << 18;

/// Makes a data directory with a server's own tables.
///
/// # Errors
///
/// [`ExecuteError::Initialise`] with what the program said.
pub(super) fn init_datadir(step: &InitDatadir, running: &Running<'_>) -> Result<(), ExecuteError> {
    if let Some(custody) = &step.custody {
        // The program's user may not make it itself.
        files::create_private_dir(&step.datadir)?;
        custody::hand_over(custody)?;
    }
    let exits = running.run(std::slice::from_ref(&step.launch))?;
    let made = files::names_in(&step.datadir.join("mysql")).is_ok_and(|names| !names.is_empty())
        || files::length(&step.datadir.join("mysql.ibd")) > 0;
    if exits.iter().all(|exit| exit.status.success()) && made {
        return Ok(());
    }
    let log = step.launch.log.clone();
    Err(ExecuteError::Initialise { problem: describe(&exits), stderr: files::tail(&log), log })
}

/// Loads a dump, and shuts the server down.
///
/// # Errors
///
/// [`ExecuteError::Load`] when a statement fails; others when the server does not start or does not end cleanly. The
/// server is dead then.
pub(super) fn load_dump(step: &LoadDump, running: &Running<'_>) -> Result<(), ExecuteError> {
    in_run_dir(&step.server, &[], running, || load(step, running))?;
    // Each data directory gets a server_uuid of its own when its first server starts on it.
    files::remove_file(&step.server.datadir.join("auto.cnf"))
}

fn load(step: &LoadDump, running: &Running<'_>) -> Result<(), ExecuteError> {
    let server = &step.server;
    let (file, codec) = dump_file(step)?;
    let mut process = start_server(server, running)?;
    if let Err(error) = feed(step, &file, codec, running) {
        process.kill()?;
        return Err(error);
    }
    await_end(server, &mut *process).map(drop)
}

/// The one file of the tree, and how it is coded.
fn dump_file(step: &LoadDump) -> Result<(PathBuf, Codec), ExecuteError> {
    let names = files::names_in(&step.dir)?;
    let problem = |problem: String| ExecuteError::BackupFile { path: step.dir.clone(), problem };
    let [name] = names.as_slice() else {
        return Err(problem(format!("it holds {} files, a dump is one", names.len())));
    };
    let suffix = name.strip_prefix("dump.sql").ok_or_else(|| problem(format!("{name} is no dump")))?;
    let codec = Codec::from_suffix(suffix).map_err(|error| problem(error.to_string()))?;
    Ok((step.dir.join(name), codec))
}

/// Gives the client the dump, and behind it what drops the account and ends the server.
fn feed(step: &LoadDump, file: &std::path::Path, codec: Codec, running: &Running<'_>) -> Result<(), ExecuteError> {
    let log = &step.client.log;
    let start = files::length(log);
    let input = codec.decode(files::open(file)?);
    let mut process = running.spawn(std::slice::from_ref(&step.client))?;
    let output = process.take_stdin().unwrap_or_else(|| Box::new(io::sink()));
    // Nobody needs what the client prints: it must not fill a pipe.
    let drain = process.take_stdout();
    let (exits, fed) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| write_all(input, output, &step.farewell, running));
        scope.spawn(move || drain.map(|mut drain| io::copy(&mut drain, &mut io::sink())));
        let exits = running.wait(&mut *process, || {});
        (exits, feeder.join())
    });
    let exits = exits?;
    let failed = |problem: String| {
        let mut stderr = Vec::new();
        let _ = files::each_line(log, start, &mut |line| {
            // Beside the error the client may print the whole statement: data that belongs in no message.
            if line.starts_with("ERROR ") {
                stderr.push(line.trim_end().to_owned());
            }
        });
        ExecuteError::Load { problem, stderr, log: log.clone() }
    };
    if !exits.iter().all(|exit| exit.status.success()) {
        return Err(failed(describe(&exits)));
    }
    match fed {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(format!("the dump could not be given to the client: {error}"))),
        Err(_) => Err(failed("the dump could not be given to the client".into())),
    }
}

/// Behind the dump's head, which sets the SQL mode for all that follows: no table is made at a path of the source's, where
/// it may lie beside the living one, and none by another engine than its own.
const MODES: &[u8] =
    b"SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',NO_DIR_IN_CREATE,NO_ENGINE_SUBSTITUTION');\n";

/// Passes a dump on, with [`MODES`] behind the line at which its head ends.
#[derive(Default)]
struct Passing {
    scan: DumpScan,
    /// The head has ended, and its last line has not.
    due: bool,
    given: bool,
}

impl Passing {
    fn give(&mut self, bytes: &[u8], output: &mut dyn Write) -> io::Result<()> {
        let end = self.scan.take(bytes);
        self.due |= end.is_some();
        let line = self.due.then(|| bytes.iter().skip(end.unwrap_or(0)).position(|byte| *byte == b'\n')).flatten();
        let Some(line) = line else { return output.write_all(bytes) };
        let (head, rest) = bytes.split_at(end.unwrap_or(0) + line + 1);
        (self.due, self.given) = (false, true);
        output.write_all(head)?;
        output.write_all(MODES)?;
        output.write_all(rest)
    }

    /// What was cut off is not made good by a clean shutdown.
    fn finish(&self) -> io::Result<()> {
        self.scan.finish().map_err(io::Error::other)?;
        if self.given { Ok(()) } else { Err(io::Error::other("it names no database")) }
    }
}

fn write_all(
    mut input: Box<dyn Read + Send + '_>,
    mut output: Box<dyn Write + Send>,
    farewell: &str,
    running: &Running<'_>,
) -> io::Result<()> {
    let mut passing = Passing::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        passing.give(&buffer[..count], &mut *output)?;
        running.reporter.report(&Event::Progress { bytes: count as u64 });
    }
    passing.finish()?;
    output.write_all(b"\n")?;
    output.write_all(farewell.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modes_stand_behind_the_head_however_the_dump_is_cut() {
        let head = "-- MySQL dump\n/*!40101 SET SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n\n--\n-- Current Database: `a`\n";
        let tail = "--\nCREATE DATABASE `a`;\n-- Current Database: `b`\n-- Dump completed on 2026-11-28\n";
        let text = format!("{head}{tail}");
        for chunk in 1..=text.len() {
            let (mut passing, mut output) = (Passing::default(), Vec::new());
            for bytes in text.as_bytes().chunks(chunk) {
                passing.give(bytes, &mut output).unwrap();
            }
            passing.finish().unwrap();
            let modes = std::str::from_utf8(MODES).unwrap();
            assert_eq!(String::from_utf8(output).unwrap(), format!("{head}{modes}{tail}"), "{chunk}");
        }
        let mut passing = Passing::default();
        passing.give(b"-- Dump completed on 2026-11-28\n", &mut Vec::new()).unwrap();
        assert!(passing.finish().unwrap_err().to_string().contains("no database"));
    }
}
