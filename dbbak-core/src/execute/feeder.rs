//! Runs the feeder: the second private server, which serves unpacked binlogs to the first one's applier.

use super::{
    Process, custody,
    error::ExecuteError,
    files,
    password::new_password,
    replay::{describe, refusal},
    running::Running,
};
use crate::{
    plan::Feeder,
    tools::{FeederCommand, Launch, parse_table},
};
use std::{net::TcpListener, time::Duration};

/// How often a starting server is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Another program may take a port between the moment that it is found free and the server's start.
const PORTS_TRIED: usize = 5;

/// A feeder that serves. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct RunningFeeder {
    process: Box<dyn Process>,
    pub(super) port: u16,
    pub(super) password: String,
}

impl RunningFeeder {
    /// Starts the feeder and waits until its account can log in, and only with its password.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ServerStart`] with its log.
    pub(super) fn start(feeder: &Feeder, seconds: u64, running: &Running<'_>) -> Result<Self, ExecuteError> {
        let password = new_password();
        for _ in 1..PORTS_TRIED {
            if let Some(feeder) = Self::start_once(feeder, &password, seconds, running)? {
                return Ok(feeder);
            }
        }
        let problem = format!("none of {PORTS_TRIED} free ports could be used");
        Err(failed(feeder, problem))
    }

    /// `None` when the port was taken meanwhile.
    fn start_once(
        feeder: &Feeder,
        password: &str,
        seconds: u64,
        running: &Running<'_>,
    ) -> Result<Option<Self>, ExecuteError> {
        let port = free_port().map_err(files::failed("find a free port for", &feeder.datadir))?;
        for file in [&feeder.init_file, &feeder.client_file] {
            files::remove_file(file)?;
        }
        files::write_private(&feeder.init_file, FeederCommand::account_statements(&feeder.account, password))?;
        let account = &feeder.account;
        let login =
            format!("[client]\nuser={account}\npassword={password}\nhost=127.0.0.1\nport={port}\nprotocol=TCP\n");
        files::write_private(&feeder.client_file, &login)?;
        let mut launch = feeder.launch.clone();
        launch.command = launch.command.option("--port", port);
        if let Some(user) = &launch.command.run_as {
            custody::give(&feeder.datadir, (user.uid, user.gid))?;
        }
        let log_start = files::length(&launch.log);
        let mut process = running.spawn(&[launch])?;
        let deadline = running.clock.monotonic() + Duration::from_secs(seconds);
        loop {
            if let Some(exits) = process.wait(Some(TICK))? {
                let mut taken = false;
                files::each_line(&feeder.launch.log, log_start, &mut |line| {
                    taken |= line.contains("Bind on TCP/IP port")
                })?;
                return if taken { Ok(None) } else { Err(failed(feeder, describe(&exits))) };
            }
            if let Some(signal) = running.reporter.interrupted() {
                process.kill()?;
                return Err(ExecuteError::Interrupted { signal });
            }
            let ping = Launch { command: feeder.ping.clone(), log: feeder.client_file.with_extension("log") };
            if let Ok(answer) = running.ask(ping, None)? {
                // Without the checks every name is let in, and the server says so: the account has no host then.
                let account = parse_table(&answer).ok().and_then(|table| {
                    let row = table.rows().next()?;
                    row.get("account").map(str::to_owned)
                });
                if account.as_deref() == Some(&format!("{}@127.0.0.1", feeder.account)) {
                    break;
                }
                process.kill()?;
                return Err(failed(feeder, "it lets everybody in".into()));
            }
            if let Some(refusal) = refusal(&feeder.client_file.with_extension("log")) {
                process.kill()?;
                return Err(failed(feeder, refusal));
            }
            if running.clock.monotonic() >= deadline {
                process.kill()?;
                return Err(failed(feeder, format!("it did not answer within {seconds} s")));
            }
        }
        // The password is known to both sides now.
        for file in [&feeder.init_file, &feeder.client_file] {
            files::remove_file(file)?;
        }
        Ok(Some(RunningFeeder { process, port, password: password.to_owned() }))
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Result<Option<String>, ExecuteError> {
        Ok(self.process.wait(Some(Duration::ZERO))?.map(|exits| describe(&exits)))
    }

    /// Ends it: it holds nothing that is needed any more.
    pub(super) fn end(mut self) -> Result<(), ExecuteError> {
        Ok(self.process.kill()?)
    }
}

fn failed(feeder: &Feeder, problem: String) -> ExecuteError {
    let log = feeder.launch.log.clone();
    let problem = format!("the one that feeds the binlogs: {problem}");
    ExecuteError::ServerStart { problem, stderr: files::tail(&log), log }
}

/// A port that nobody listens on at this moment.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
