//! Has a restored server follow living sources until it is hardly behind them, and stops it.

use super::{
    Process,
    error::ExecuteError,
    examine::{Ended, Examiner, Parts, close},
    files,
    gtid_text::read_gtids,
    replay::describe,
    run_dir::{in_run_dir, start_server},
    running::Running,
};
use crate::{
    model::{MariadbGtidState, MysqlGtidSet},
    plan::{CatchUp, CaughtUp, Channel},
    tools::{
        ChannelStatus, Family, Launch, SourceLogin, ask_channels, forget_channel, parse_channels, parse_table,
        stop_channels, wait_for,
    },
};
use std::time::Duration;

/// How long a channel may lack its source.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the private server, catches up, examines it, drops the account and shuts the server down.
///
/// # Errors
///
/// [`ExecuteError::CatchUp`] when a channel stops; as an examination.
pub(super) fn run_catch_up(step: &CatchUp, running: &Running<'_>) -> Result<(Ended, Vec<CaughtUp>), ExecuteError> {
    // MariaDB's file of masters holds the password of the source's account, and the server lets its group read it.
    files::make_private(&step.dir)?;
    in_run_dir(&step.server, &[&step.dir], running, || caught_up(step, running))
}

fn caught_up(step: &CatchUp, running: &Running<'_>) -> Result<(Ended, Vec<CaughtUp>), ExecuteError> {
    let server = &step.server;
    let text = files::read_file_behind(&step.login)?.unwrap_or_default();
    let login = SourceLogin::parse(&String::from_utf8_lossy(&text));
    let login = login.map_err(|problem| failed(step, &step.login.display().to_string(), problem))?;
    let mut parts = Parts::new(running);
    let mut process = start_server(server, running)?;
    parts.done("start the server");
    let examiner = Examiner { step: &step.examination, server, running, window: None };
    let follower = Follower { step, examiner: &examiner, running };
    let followed = follower.run(&login, &mut *process);
    parts.done("follow the sources");
    let mut reached = Vec::new();
    let result = followed.and_then(|followed| {
        reached = followed;
        examiner.look(&mut *process, &mut parts).map(Some)
    });
    close(result, server, &mut *process, running, parts).map(|ended| (ended, reached))
}

fn failed(step: &CatchUp, source: &str, problem: String) -> ExecuteError {
    ExecuteError::CatchUp { from: source.to_owned(), problem, log: step.server.launch.log.clone() }
}

struct Follower<'a> {
    step: &'a CatchUp,
    examiner: &'a Examiner<'a>,
    running: &'a Running<'a>,
}

impl Follower<'_> {
    fn run(&self, login: &SourceLogin, server: &mut dyn Process) -> Result<Vec<CaughtUp>, ExecuteError> {
        let family = self.step.examination.family;
        let before = self.examiner.gtids()?;
        for channel in &self.step.channels {
            self.tell(channel, &login.follow(family, &channel.name, &channel.source))?;
        }
        let reached = self.catch_up(server)?;
        self.examiner.ask(stop_channels(family))?;
        let channels = self.channels()?;
        for channel in &self.step.channels {
            self.examiner.ask(&forget_channel(family, &channel.name))?;
        }
        self.compare(&before, &reached, &channels)?;
        Ok(reached)
    }

    /// Waits until all that each source had less than the greatest lag ago is applied.
    fn catch_up(&self, server: &mut dyn Process) -> Result<Vec<CaughtUp>, ExecuteError> {
        let clock = self.running.clock;
        let limit = Duration::from_secs(u64::from(self.step.max_lag_seconds));
        let mut connected = clock.monotonic();
        loop {
            if let Some(exits) = server.wait(Some(Duration::ZERO))? {
                let problem = format!("the private server died: {}", describe(&exits));
                return Err(failed(self.step, "the sources", problem));
            }
            if let Some(signal) = self.running.reporter.interrupted() {
                return Err(ExecuteError::Interrupted { signal });
            }
            let asked = self.step.channels.iter().map(|channel| Ok((clock.monotonic(), self.source_gtids(channel)?)));
            let asked: Vec<(Duration, String)> = asked.collect::<Result<_, ExecuteError>>()?;
            let mut all = true;
            for (_, gtids) in &asked {
                let answer =
                    self.examiner.ask(&wait_for(self.step.examination.family, gtids, self.step.max_lag_seconds))?;
                all &= field(&answer, "reached").as_deref() == Some("0");
            }
            let now = clock.monotonic();
            if all && asked.iter().all(|(at, _)| now.saturating_sub(*at) <= limit) {
                let lag = |at: Duration| now.saturating_sub(at).as_secs_f64();
                let channels = self.step.channels.iter().zip(asked);
                return Ok(channels
                    .map(|(channel, (at, gtids))| CaughtUp {
                        source: channel.source.clone(),
                        channel: channel.name.clone(),
                        gtids,
                        lag_seconds: lag(at),
                    })
                    .collect());
            }
            self.check_channels(&mut connected)?;
        }
    }

    /// A channel that applies nothing any more will not do so by waiting; one without a connection may get it back.
    fn check_channels(&self, connected: &mut Duration) -> Result<(), ExecuteError> {
        let channels = self.channels()?;
        let source = |name: &str| {
            let channel = self.step.channels.iter().find(|channel| channel.name == name);
            channel.map_or_else(|| name.to_owned(), |channel| channel.source.to_string())
        };
        for channel in &channels {
            let problem = channel.error.clone().unwrap_or_else(|| "it does not say why".into());
            if !channel.sql_running || !channel.io_running {
                return Err(failed(self.step, &source(&channel.name), problem));
            }
        }
        let now = self.running.clock.monotonic();
        match channels.iter().find(|channel| channel.error.is_some()) {
            None => *connected = now,
            Some(channel) if now.saturating_sub(*connected) > PATIENCE => {
                return Err(failed(self.step, &source(&channel.name), channel.error.clone().unwrap_or_default()));
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// What is there now is what was there before and what came from the sources: all that was waited for, and nothing else.
    fn compare(&self, before: &str, reached: &[CaughtUp], channels: &[ChannelStatus]) -> Result<(), ExecuteError> {
        let found = self.examiner.gtids()?;
        let differs = |expected: String| Err(ExecuteError::PositionDiffers { expected, found: found.clone() });
        match self.step.examination.family {
            Family::Mysql => {
                let set = read_gtids::<MysqlGtidSet>;
                let (now, before_set) = (set(&found)?, set(before)?);
                for channel in reached {
                    if !set(&channel.gtids)?.is_subset_of(&now) {
                        return differs(channel.gtids.clone());
                    }
                }
                let mut all = before_set.clone();
                for channel in channels {
                    all = all.union(&set(&channel.retrieved)?);
                }
                if !before_set.is_subset_of(&now) || !now.is_subset_of(&all) {
                    return differs(format!("{before} and what was fetched"));
                }
            }
            Family::Mariadb => {
                let state = read_gtids::<MariadbGtidState>;
                let now = state(&found)?;
                for channel in reached {
                    if !state(&channel.gtids)?.position().is_reached_by(&now) {
                        return differs(channel.gtids.clone());
                    }
                }
            }
        }
        Ok(())
    }

    fn channels(&self) -> Result<Vec<ChannelStatus>, ExecuteError> {
        let answer = self.examiner.ask(ask_channels(self.step.examination.family))?;
        parse_channels(&answer).map_err(|error| failed(self.step, "the sources", error.to_string()))
    }

    /// What a source has at this moment.
    fn source_gtids(&self, channel: &Channel) -> Result<String, ExecuteError> {
        let log = self.step.server.run_dir.join("source.log");
        files::remove_file(&log)?;
        let answer = self.running.ask(Launch { command: channel.ask.clone(), log: log.clone() }, None)?;
        let problem = |problem: String| {
            let said = files::tail(&log).into_iter().find(|line| line.starts_with("ERROR ")).unwrap_or_default();
            failed(
                self.step,
                &channel.source.to_string(),
                format!("it cannot be asked: {problem} {said}").trim().to_owned(),
            )
        };
        let answer = answer.map_err(problem)?;
        field(&answer, "gtids").ok_or_else(|| problem("it does not say which GTIDs it has".into()))
    }

    /// Tells the private server something that may hold a password: what its client says of it is passed on to nobody.
    fn tell(&self, channel: &Channel, statements: &str) -> Result<(), ExecuteError> {
        self.examiner.ask(statements).map(drop).map_err(|error| match error {
            ExecuteError::Examination { problem, stderr, .. } => {
                let code: Vec<&str> = stderr.iter().filter_map(|line| line.split(": ").next()).collect();
                let problem = format!("it cannot be followed: {problem} {}", code.join(", "));
                failed(self.step, &channel.source.to_string(), problem.trim().to_owned())
            }
            other => other,
        })
    }
}

/// A field of the first row, without white space.
fn field(answer: &str, name: &str) -> Option<String> {
    let table = parse_table(answer).ok()?;
    let row = table.rows().next()?;
    Some(row.get(name)?.split_whitespace().collect())
}
