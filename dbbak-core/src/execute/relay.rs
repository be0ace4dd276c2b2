//! Has the private server's own applier replay a window: up to each transaction that is treated apart, and to the end.

use super::{
    Process,
    batches::{Ahead, Unpacking},
    blame::{Blamed, Files},
    error::ExecuteError,
    feeder::RunningFeeder,
    files,
    gtid_text::{position_in, read_gtids, recorded_gtids},
    halfway::Notes,
    hazards,
    lacking::Lacking,
    landmarks::{Apart, Done, Landmarks, Marks, Way},
    relay_logs::RelayLogs,
    replay::{pipe, server_died},
    running::Running,
};
use crate::{
    model::{BinlogName, BinlogPosition, Gtid, MariadbGtidState, MysqlGtidSet},
    plan::{GoingOn, Relay, Replay},
    tools::{Applier, ApplierStatus, Launch, parse_applier_status, parse_worker_failures},
};
use std::{fmt::Write as _, sync::Arc, time::Duration};

/// Where the first event of a binlog begins.
const FIRST_EVENT: u64 = 4;
/// The servers' number for a table that is not there.
const UNKNOWN_TABLE: u32 = 1051;
/// How long an applier may lack its feeder.
const PATIENCE: Duration = Duration::from_secs(60);

/// A replay by the applier of the private server that runs.
#[derive(Debug)]
pub(super) struct RelayRun<'a> {
    pub(super) step: &'a Replay,
    pub(super) relay: &'a Relay,
    pub(super) running: &'a Running<'a>,
    /// The files of the batch that is applied.
    pub(super) files: Vec<BinlogName>,
    pub(super) notes: Arc<Notes>,
    /// What the private server has, once it was asked.
    pub(super) lacking: Option<Lacking<'a>>,
}

impl RelayRun<'_> {
    /// Makes the files of a batch ready for the applier: they must not hold its own id, nothing behind the window's end,
    /// and stand in a list. The first ones before the server starts.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::ServerIdTaken`]; when a file cannot be read or written.
    pub(super) fn prepare(&mut self, batch: &Marks) -> Result<(), ExecuteError> {
        self.notes.hindrance(batch.hindrance.as_ref())?;
        let done = std::mem::replace(&mut self.files, batch.files.clone());
        self.check_ids()?;
        let last = self.relay.files.last().filter(|last| self.files.contains(last));
        if let (Some(stop), Some(last)) = (self.relay.stop, last) {
            files::truncate(&self.relay.binlogs.join(last.as_str()), stop)?;
        }
        match &self.relay.applier {
            Applier::RelayLogs { .. } if !done.is_empty() => self.list_for_a_running(&done),
            // A MySQL that starts looks at its relay logs: it would cut off what it takes for half a transaction (an XA
            // COMMIT whose name was used before, seen on 9.7.4), and not let go of the place at which a dead server stood.
            Applier::RelayLogs { .. } => self.list(""),
            _ => self.list(&self.listed()),
        }
    }

    /// The files as lines of a list.
    fn listed(&self) -> String {
        self.files.iter().fold(String::new(), |mut text, file| {
            let _ = writeln!(text, "{}", self.relay.binlogs.join(file.as_str()).display());
            text
        })
    }

    fn list(&self, files: &str) -> Result<(), ExecuteError> {
        files::remove_file(&self.relay.index)?;
        files::write_private(&self.relay.index, files)
    }

    /// A server that runs has written files of its own; they stay behind those that it is to apply.
    fn list_for_a_running(&self, done: &[BinlogName]) -> Result<(), ExecuteError> {
        let mut index = self.listed();
        let done: Vec<String> =
            done.iter().map(|file| self.relay.binlogs.join(file.as_str()).display().to_string()).collect();
        files::each_line(&self.relay.index, 0, &mut |line| {
            if !done.iter().any(|done| done == line.trim_end()) {
                index += line;
            }
        })?;
        files::rewrite(&self.relay.index, &index)
    }

    /// Gives the first batch to a server that has started. What a dead server had applied is taken over: this one must
    /// have just that, and forgets where its applier stood.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::GoingOn`] where the server has something else.
    pub(super) fn begin(&self, first: &Marks) -> Result<(), ExecuteError> {
        if let Some(going_on) = &self.step.going_on {
            self.take_over(going_on, first)?;
        }
        if let Applier::RelayLogs { .. } = self.relay.applier {
            self.tell(self.relay.applier.forget())?;
            self.list_for_a_running(&[])?;
        }
        Ok(())
    }

    fn take_over(&self, going_on: &GoingOn, first: &Marks) -> Result<(), ExecuteError> {
        let missing = || ExecuteError::GoingOn { problem: format!("no transaction ends at {}", going_on.at) };
        let done = match (&going_on.after, &first.done) {
            (None, _) => Done::default(),
            (Some(_), Some(done)) => done.clone(),
            (Some(_), None) => return Err(missing()),
        };
        self.check_done(&done)
    }

    /// Compares what the server says it has with what the dead one had applied.
    fn check_done(&self, done: &Done) -> Result<(), ExecuteError> {
        let found = self.position()?;
        let (equal, expected) = match self.relay.applier {
            Applier::RelayLogs { .. } => {
                let base: Option<MysqlGtidSet> = recorded_gtids(self.relay.base_gtid.as_deref())?;
                let expected = base.unwrap_or_default().union(&done.executed);
                (read_gtids::<MysqlGtidSet>(&found)? == expected, expected.to_string())
            }
            Applier::Fed => {
                let state: MariadbGtidState = read_gtids(&found)?;
                let mut expected = MariadbGtidState::default();
                done.position.iter().for_each(|(domain, (server, seq))| expected.insert(*domain, *server, *seq));
                let is_there = |(domain, last): (&u32, &(u32, u64))| state.last_in(*domain) == Some(*last);
                (done.position.iter().all(is_there), expected.to_string())
            }
        };
        if equal {
            return Ok(());
        }
        Err(ExecuteError::GoingOn { problem: format!("the server has {found}, the dead run had applied {expected}") })
    }

    /// Replays the window, batch after batch, and leaves the server without a source, its GTID position at the window's
    /// end.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::Applier`] with the transaction that could not be applied; [`ExecuteError::Replay`] when a server
    /// dies; [`ExecuteError::PositionDiffers`].
    pub(super) fn run(
        &mut self,
        first: Marks,
        mut ahead: Ahead<'_>,
        server: &mut dyn Process,
    ) -> Result<Unpacking, ExecuteError> {
        let mut batch = first;
        let mut at = self.from().clone();
        loop {
            self.apply_batch(&batch, at, server)?;
            // What was applied is of no more use; the next batch but one needs its room.
            for file in &batch.files {
                files::remove_file(&self.relay.binlogs.join(file.as_str()))?;
            }
            let Some(next) = ahead.next()? else { break };
            self.lacking.as_ref().map_or(Ok(()), |lacking| lacking.check(&next))?;
            self.prepare(&next)?;
            if let Applier::RelayLogs { .. } = self.relay.applier {
                self.tell(Applier::read_index())?;
            }
            let Some(file) = next.files.first().cloned() else { break };
            at = BinlogPosition { file, position: FIRST_EVENT };
            batch = next;
        }
        self.tell(self.relay.applier.forget())?;
        let window = ahead.finish()?;
        match self.relay.applier {
            Applier::Fed => self.settle_position(window.landmarks())?,
            Applier::RelayLogs { .. } => self.check_executed(window.landmarks())?,
        }
        Ok(window)
    }

    /// Replays one batch.
    fn apply_batch(
        &mut self,
        batch: &Marks,
        from: BinlogPosition,
        server: &mut dyn Process,
    ) -> Result<(), ExecuteError> {
        if batch.end.is_none() {
            return Ok(());
        }
        let applier = &self.relay.applier;
        let mut at = from;
        let mut feeder = match &self.relay.feeder {
            Some(feeder) => {
                // The one of the batch before made tables there.
                files::remove_tree(&feeder.datadir)?;
                files::create_private_dir(&feeder.datadir)?;
                let running = RunningFeeder::start(feeder, self.step.server.start_timeout_seconds, self.running)?;
                self.tell(&Applier::follow(running.port, &feeder.account, &running.password, &at))?;
                Some(running)
            }
            None => None,
        };
        // Where the applier stands; MySQL's is not moved yet.
        let mut stands = feeder.is_some().then(|| at.clone());
        let last = batch.for_the_applier();
        for apart in &batch.apart {
            let end = BinlogPosition { file: apart.file.clone(), position: apart.end };
            // A dead run has applied it.
            if end <= at {
                continue;
            }
            // Of several transactions it may have applied some.
            let start = BinlogPosition { file: apart.file.clone(), position: apart.start }.max(at.clone());
            if let Some(until) = last.map(|last| last.min(&start)).filter(|until| at < **until) {
                self.apply_from((&at, until), (&mut stands, batch), server, &mut feeder)?;
            }
            match (&apart.gtid, apart.way) {
                // MySQL knows what it has executed by GTIDs: what is left out counts.
                (Some(gtid @ Gtid::Mysql { .. }), Way::LeftOut) => {
                    self.tell(&Applier::commit_empty(&gtid.to_string()))?;
                }
                (_, Way::LeftOut) => {}
                (_, Way::Pipe) => self.pipe_as_invoker(apart)?,
                (_, Way::NoDirectories) => {
                    self.tell(Applier::leave_directories_aside(true))?;
                    self.apply_from((&start, &end), (&mut stands, batch), server, &mut feeder)?;
                    self.tell(Applier::leave_directories_aside(false))?;
                }
            }
            at = end;
        }
        if let Some(until) = last.filter(|last| at < **last) {
            self.apply_from((&at, until), (&mut stands, batch), server, &mut feeder)?;
        }
        self.tell(applier.rest())?;
        feeder.map_or(Ok(()), RunningFeeder::end)
    }

    /// Runs the applier from one place to another; moves it before that, unless it stands there.
    fn apply_from(
        &mut self,
        (from, until): (&BinlogPosition, &BinlogPosition),
        (stands, batch): (&mut Option<BinlogPosition>, &Marks),
        server: &mut dyn Process,
        feeder: &mut Option<RunningFeeder>,
    ) -> Result<(), ExecuteError> {
        if stands.as_ref() != Some(from) {
            self.move_to(from, batch)?;
        }
        self.apply_until(until, server, feeder)?;
        *stands = Some(until.clone());
        Ok(())
    }

    /// Moves the applier. MySQL looks through its relay logs then, and removes those behind the last transaction.
    fn move_to(&self, place: &BinlogPosition, batch: &Marks) -> Result<(), ExecuteError> {
        let statements = self.relay.applier.move_to(place);
        if self.relay.applier == Applier::Fed {
            return self.tell(&statements);
        }
        let read = |file: &&BinlogName| {
            let applied = batch.for_the_applier().is_some_and(|end| **file <= end.file);
            applied || batch.may_be_cut.contains(*file)
        };
        let read = batch.files.iter().filter(read);
        let logs = RelayLogs::keep(&self.relay.binlogs, read, &batch.may_be_cut)?;
        self.tell(&statements)?;
        logs.give_back()
    }

    /// Runs the applier up to a place.
    fn apply_until(
        &mut self,
        place: &BinlogPosition,
        server: &mut dyn Process,
        feeder: &mut Option<RunningFeeder>,
    ) -> Result<(), ExecuteError> {
        self.apply(place, server, feeder, false)
    }

    /// The end of the transaction that stopped a fed applier, if it is a DROP TABLE of several tables of which one is not there.
    /// MariaDB drops the others, and logs the statement without its error: any replica passes over it (`slave_ddl_exec_mode`). What
    /// it leaves is the same in any case: none of the tables.
    fn end_of_half_a_drop(&self, status: &ApplierStatus, number: u32, lenient: bool) -> Option<BinlogPosition> {
        if lenient || number != UNKNOWN_TABLE || self.relay.applier != Applier::Fed {
            return None;
        }
        let applied = self.relay.applier.reached(status).unwrap_or(self.from());
        let found = self.next_transaction(applied).filter(|found| found.drops_several)?;
        Some(BinlogPosition { file: found.at.file, position: found.end })
    }

    fn apply(
        &mut self,
        place: &BinlogPosition,
        server: &mut dyn Process,
        feeder: &mut Option<RunningFeeder>,
        lenient: bool,
    ) -> Result<(), ExecuteError> {
        self.tell(&self.relay.applier.run_until(place))?;
        let mut connected = self.running.clock.monotonic();
        let mut asked = 0;
        loop {
            if let Some(exits) = server.wait(Some(Duration::ZERO))? {
                return Err(server_died(&self.step.server, &exits));
            }
            if let Some(signal) = self.running.reporter.interrupted() {
                return Err(ExecuteError::Interrupted { signal });
            }
            let ended = feeder.as_mut().map(RunningFeeder::ended).transpose()?.flatten();
            if let (Some(ended), Some(feeder)) = (ended, &self.relay.feeder) {
                let log = feeder.launch.log.clone();
                let problem = format!("the server that feeds the binlogs died: {ended}");
                return Err(ExecuteError::Replay { problem, stderr: files::tail(&log), log });
            }
            let answer = match self.ask(&self.relay.applier.wait_and_ask(place, asked)) {
                Ok(answer) => answer,
                // The client fails at once when the server dies under it; the server's own end says more.
                Err(error) => match server.wait(Some(Duration::from_secs(10)))? {
                    Some(exits) => return Err(server_died(&self.step.server, &exits)),
                    None => return Err(error),
                },
            };
            asked += 1;
            let status = self.status(&answer)?;
            if let Some((number, text)) = &status.sql_error {
                if let Some(end) = self.end_of_half_a_drop(&status, *number, lenient) {
                    self.tell(Applier::drop_what_is_there(true))?;
                    self.apply(&end, server, feeder, true)?;
                    self.tell(Applier::drop_what_is_there(false))?;
                    if end < *place {
                        self.tell(&self.relay.applier.run_until(place))?;
                        continue;
                    }
                    return Ok(());
                }
                return Err(self.stuck(&status, &format!("{text} (error {number})")));
            }
            let reached = self.relay.applier.reached(&status).is_some_and(|reached| self.is_at(reached, place));
            match (status.sql_running, reached) {
                (false, true) => return Ok(()),
                // What stands at the start of a file is no transaction, and moves no position.
                (false, false) if self.nothing_before(&status, place) => return Ok(()),
                (false, false) => return Err(self.stuck(&status, "the applier stopped and does not say why")),
                // It looks whether it is there when the next event comes, and none comes behind the last one.
                (true, true) if feeder.is_none() => self.tell(self.relay.applier.stop())?,
                (true, _) => {}
            }
            if feeder.is_none() || status.io_error.is_none() {
                connected = self.running.clock.monotonic();
            } else if let Some((number, text)) = &status.io_error
                && (!status.io_running || self.running.clock.monotonic().saturating_sub(connected) > PATIENCE)
            {
                return Err(self.stuck(&status, &format!("{text} (error {number})")));
            }
        }
    }

    /// Replays one transaction through the pipe.
    pub(super) fn pipe(&self, apart: &Apart) -> Result<(), ExecuteError> {
        let span = (apart.start, apart.end);
        hazards::check_alone((&self.relay.binlogs, &apart.file), span, &self.step.reader, self.running)?;
        let mut reader = self.relay.reader.clone();
        reader.files = vec![self.relay.binlogs.join(apart.file.as_str())];
        (reader.start, reader.stop) = (apart.start, Some(apart.end));
        let command = reader.build().map_err(|error| ExecuteError::BadPlan { problem: error.to_string() })?;
        let reader = Launch { command, log: self.step.reader.log.clone() };
        pipe(&reader, &self.step.client, self.running)
    }

    /// Compares the executed GTIDs with those of backup and window.
    fn check_executed(&self, landmarks: &Landmarks) -> Result<(), ExecuteError> {
        let found = self.position()?;
        let executed: MysqlGtidSet = read_gtids(&found)?;
        let window = &landmarks.executed;
        let equal = match recorded_gtids::<MysqlGtidSet>(self.relay.base_gtid.as_deref())? {
            Some(base) => base.union(window) == executed,
            // A log without GTIDs, or a backup that does not say: then the server's log alone is compared.
            None => window.is_subset_of(&executed),
        };
        if equal {
            return Ok(());
        }
        let base = self.relay.base_gtid.as_deref().unwrap_or_default();
        Err(ExecuteError::PositionDiffers { expected: format!("{base} and {window}"), found })
    }

    /// The GTIDs that the server says it has.
    fn position(&self) -> Result<String, ExecuteError> {
        let answer = self.ask(self.relay.applier.ask_position())?;
        position_in(&answer).map_err(|error| ExecuteError::UnreadGtids { found: error.to_string() })
    }

    /// Compares the GTID position with the window's end, and puts that of the backup and of transactions apart into it.
    fn settle_position(&self, landmarks: &Landmarks) -> Result<(), ExecuteError> {
        let found = self.position()?;
        let state: MariadbGtidState = read_gtids(&found)?;
        let mut settled = state.clone();
        if let Some(base) = recorded_gtids::<MariadbGtidState>(self.relay.base_gtid.as_deref())? {
            settled = overlaid(&settled, &base.position());
        }
        for (domain, (server, seq)) in &landmarks.position {
            let apart = landmarks.apart.contains(&Gtid::Mariadb { domain: *domain, server: *server, seq: *seq });
            if !apart && state.last_in(*domain) != Some((*server, *seq)) {
                let expected = format!("{domain}-{server}-{seq}");
                return Err(ExecuteError::PositionDiffers { expected, found });
            }
            let mut last = MariadbGtidState::default();
            last.insert(*domain, *server, *seq);
            settled = overlaid(&settled, &last);
        }
        if settled == state {
            return Ok(());
        }
        self.tell(&Applier::set_position(&settled.to_string()))
    }

    /// The applier would skip its own server's transactions without a word.
    fn check_ids(&self) -> Result<(), ExecuteError> {
        let own = self.relay.server_id;
        for file in &self.files {
            let path = self.relay.binlogs.join(file.as_str());
            let mut found = None;
            files::each_event(&path, &mut |at, server_id| {
                if server_id == own {
                    found = Some(at);
                }
                found.is_none()
            })?;
            if let Some(at) = found {
                return Err(ExecuteError::ServerIdTaken { transaction: format!("{file}:{at}"), server_id: own });
            }
        }
        Ok(())
    }

    /// Where this run begins.
    fn from(&self) -> &BinlogPosition {
        self.step.going_on.as_ref().map_or(&self.step.from, |going_on| &going_on.at)
    }

    pub(super) fn tell(&self, statements: &str) -> Result<(), ExecuteError> {
        self.ask(statements).map(|_| ())
    }

    /// Statements to the private server; what they answer.
    pub(super) fn ask(&self, statements: &str) -> Result<String, ExecuteError> {
        let command = self.relay.client.secret_statements();
        let command = command.map_err(|error| ExecuteError::BadPlan { problem: error.to_string() })?;
        let log = self.step.server.run_dir.join("applier.log");
        files::remove_file(&log)?;
        let launch = Launch { command, log: log.clone() };
        self.running.ask(launch, Some(statements))?.map_err(|problem| {
            let mut stderr = files::tail(&log);
            stderr.retain(|line| line.starts_with("ERROR "));
            ExecuteError::Replay { problem, stderr, log: self.step.server.launch.log.clone() }
        })
    }

    fn status(&self, answer: &str) -> Result<ApplierStatus, ExecuteError> {
        parse_applier_status(answer).ok().flatten().ok_or_else(|| ExecuteError::Replay {
            problem: "the private server does not say how its applier stands".into(),
            stderr: Vec::new(),
            log: self.step.server.launch.log.clone(),
        })
    }

    /// Whether no transaction stands between what was applied and a place.
    fn nothing_before(&self, status: &ApplierStatus, place: &BinlogPosition) -> bool {
        let applied = self.relay.applier.reached(status).unwrap_or(self.from());
        self.next_transaction(applied).is_some_and(|next| next.at >= *place)
    }

    /// Whether a place was reached. Behind the files of the batch the servers have some of their own.
    fn is_at(&self, reached: &BinlogPosition, place: &BinlogPosition) -> bool {
        !self.files.contains(&reached.file) || reached >= place
    }

    /// The applier stands still: the transaction of the worker that failed, or the one behind what was applied, is the one.
    fn stuck(&self, status: &ApplierStatus, problem: &str) -> ExecuteError {
        let applied = self.relay.applier.reached(status).unwrap_or(self.from());
        let before = self.files.iter().position(|file| *file == applied.file).unwrap_or(0);
        let files = Files { dir: &self.relay.binlogs, names: self.files.get(before..).unwrap_or_default() };
        let log = self.step.server.launch.log.clone();
        let failures = self.relay.applier.ask_workers().and_then(|ask| self.ask(ask).ok());
        let failures = failures.map(|answer| parse_worker_failures(&answer).unwrap_or_default()).unwrap_or_default();
        let failed = failures.iter().filter_map(|failure| {
            let found = files
                .find(|transaction| failure.is_of(transaction.gtid.as_ref(), (transaction.start, transaction.end)))?;
            Some((found, failure))
        });
        if let Some((found, failure)) = failed.min_by(|(one, _), (other, _)| one.at.cmp(&other.at)) {
            let problem = format!("{} (error {})", failure.text, failure.number);
            return ExecuteError::Applier { transaction: found.to_string(), problem, log };
        }
        let transaction = match self.next_transaction(applied) {
            Some(found) => found.to_string(),
            None => format!("the transaction behind {applied}"),
        };
        ExecuteError::Applier { transaction, problem: problem.to_owned(), log }
    }

    /// The first transaction at or behind a place.
    fn next_transaction(&self, place: &BinlogPosition) -> Option<Blamed> {
        Files { dir: &self.relay.binlogs, names: &self.files }.at_or_behind(place)
    }
}

/// A position in which the domains of another stand as they do there.
pub(super) fn overlaid(state: &MariadbGtidState, over: &MariadbGtidState) -> MariadbGtidState {
    let mut settled = MariadbGtidState::default();
    for (domain, server, seq) in state.entries().filter(|(domain, _, _)| over.last_in(*domain).is_none()) {
        settled.insert(domain, server, seq);
    }
    for (domain, server, seq) in over.entries() {
        settled.insert(domain, server, seq);
    }
    settled
}
