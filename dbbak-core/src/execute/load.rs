//! Makes an empty data directory, and loads a dump into it through a private server.

use super::{
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
    in_run_dir(&step.server, &[], || load(step, running))?;
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

fn write_all(
    mut input: Box<dyn Read + Send + '_>,
    mut output: Box<dyn Write + Send>,
    farewell: &str,
    running: &Running<'_>,
) -> io::Result<()> {
    let mut scan = DumpScan::default();
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        scan.take(&buffer[..count]);
        output.write_all(&buffer[..count])?;
        running.reporter.report(&Event::Progress { bytes: count as u64 });
    }
    // What was cut off is not made good by a clean shutdown.
    scan.finish().map_err(io::Error::other)?;
    output.write_all(b"\n")?;
    output.write_all(farewell.as_bytes())?;
    output.write_all(b"\n")?;
    output.flush()
}
