//! Examines a restored server before it is shut down: its GTIDs, its tables, what it still holds prepared.

use super::{
    Event, Process,
    error::ExecuteError,
    files,
    gtid_text::{position_in, read_gtids, recorded_gtids},
    landmarks::Landmarks,
    relay::overlaid,
    replay::{describe, stop},
    run_dir::{in_run_dir, start_server},
    running::Running,
};
use crate::{
    model::{MariadbGtidState, MysqlGtidSet},
    plan::{DurabilityReport, Examination, ExaminationReport, Examine, Phase, PrivateServer, by_transaction_warning},
    tools::{
        ALL_TABLES, AnswerError, Applier, BY_TRANSACTION, CheckRow, CheckSays, CheckWay, Family, Launch,
        SET_DURABILITY, TableName, ask_prepared, check_statement, is_barred, lost_prepared, may_be_lost,
        parse_check_row, parse_durability, parse_prepared, parse_tables,
    },
};
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

/// How often a check is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long a server may take to be seen dead after its client has lost it.
const DYING: Duration = Duration::from_secs(10);
/// Damaged tables that an error names.
const NAMED: usize = 20;

/// How long the parts of a step took.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    running: &'a Running<'a>,
    since: Duration,
    pub(super) phases: Vec<Phase>,
}

impl<'a> Parts<'a> {
    pub(super) fn new(running: &'a Running<'a>) -> Self {
        Parts { running, since: running.clock.monotonic(), phases: Vec::new() }
    }

    /// A part is done.
    pub(super) fn done(&mut self, title: &str) {
        let now = self.running.clock.monotonic();
        let seconds = now.saturating_sub(self.since).as_secs_f64();
        self.since = now;
        self.phases.push(Phase { title: title.to_owned(), seconds, parts: Vec::new() });
    }
}

/// What became of a private server.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// What it said of itself.
    pub(super) examination: Option<ExaminationReport>,
    /// How long its parts took.
    pub(super) parts: Vec<Phase>,
}

/// Starts a private server on a backup that is restored as it is, examines it and shuts it down.
///
/// # Errors
///
/// When the server does not start or end, or is not what it must be. It is dead then.
pub(super) fn run_examine(step: &Examine, running: &Running<'_>) -> Result<Ended, ExecuteError> {
    in_run_dir(&step.server, &[], running, || examined(step, running))
}

fn examined(step: &Examine, running: &Running<'_>) -> Result<Ended, ExecuteError> {
    let server = &step.server;
    let mut parts = Parts::new(running);
    let mut process = start_server(server, running)?;
    parts.done("start the server");
    let examiner = Examiner { step: &step.examination, server, running, window: None };
    let examined = examiner.forget_channels().and_then(|channels| {
        let report = examiner.examine(&mut *process, &mut parts)?;
        Ok(Some(ExaminationReport { channels, ..report }))
    });
    close(examined, server, &mut *process, running, parts)
}

/// Ends a server after all that it was there for: in order where it is to be kept, also for a look at what is wrong.
pub(super) fn close(
    result: Result<Option<ExaminationReport>, ExecuteError>,
    server: &PrivateServer,
    process: &mut dyn Process,
    running: &Running<'_>,
    mut parts: Parts<'_>,
) -> Result<Ended, ExecuteError> {
    let mut examination = match result {
        Ok(examination) => examination,
        Err(error) => {
            let alive = process.wait(Some(Duration::ZERO))?.is_none();
            // The account of the run must not stay in data that are kept; that they are wrong matters more than how
            // their server ended.
            if !(error.is_unproven() && alive && stop(server, process, running).is_ok()) {
                process.kill()?;
            }
            return Err(error);
        }
    };
    let shutdown = stop(server, process, running)?;
    if let Some(examination) = &mut examination {
        examination.account_dropped = true;
        examination.shutdown = shutdown.line;
    }
    parts.done("drop the account, shut the server down");
    Ok(Ended { examination, parts: parts.phases })
}

/// Asks a private server.
#[derive(Debug)]
pub(super) struct Examiner<'a> {
    pub(super) step: &'a Examination,
    pub(super) server: &'a PrivateServer,
    pub(super) running: &'a Running<'a>,
    /// What was replayed.
    pub(super) window: Option<&'a Landmarks>,
}

impl Examiner<'_> {
    /// Settles and compares the GTIDs, checks the tables, looks for what is prepared.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::PositionDiffers`]; [`ExecuteError::TablesDamaged`]; when the server cannot be asked.
    pub(super) fn examine(
        &self,
        process: &mut dyn Process,
        parts: &mut Parts<'_>,
    ) -> Result<ExaminationReport, ExecuteError> {
        match self.step.family {
            Family::Mariadb => self.settle_position()?,
            Family::Mysql => self.settle_executed()?,
        };
        self.look(process, parts)
    }

    /// Looks for what is prepared, and checks the tables.
    ///
    /// # Errors
    ///
    /// As [`examine`](Self::examine).
    pub(super) fn look(
        &self,
        process: &mut dyn Process,
        parts: &mut Parts<'_>,
    ) -> Result<ExaminationReport, ExecuteError> {
        let mut report = ExaminationReport { check: self.step.check, ..ExaminationReport::default() };
        report.gtids = self.gtids()?;
        report.prepared = parse_prepared(&self.ask(ask_prepared(self.step.family))?).map_err(|e| self.unread(&e))?;
        if !report.prepared.is_empty() {
            let text = format!(
                "XA transactions stand prepared in the restored data; end each with XA COMMIT or XA ROLLBACK: {}",
                report.prepared.join("; ")
            );
            self.running.reporter.report(&Event::Warning { text: &text });
        }
        self.compare_prepared(&mut report);
        if self.window.is_some() && self.step.family == Family::Mariadb {
            let answer = self.ask(&format!("{BY_TRANSACTION};"))?;
            if !answer.is_empty() {
                let tables = parse_tables(&answer).map_err(|error| self.unread(&error))?;
                report.by_transaction = tables.iter().map(ToString::to_string).collect();
            }
            if let Some(text) = by_transaction_warning(&report.by_transaction) {
                self.running.reporter.report(&Event::Warning { text: &text });
            }
        }
        parts.done("compare the GTIDs, look for prepared XA transactions");
        if self.step.check != CheckWay::None {
            self.check_tables(process, &mut report)?;
            parts.done("check the tables");
        }
        report.durability = Some(self.settle_durability()?);
        Ok(report)
    }

    /// Compares what is prepared with what stood prepared at the backup, and what the window made of it. MySQL loses some at a restart.
    fn compare_prepared(&self, report: &mut ExaminationReport) {
        let (left, ended) = self.window.map(Landmarks::xa).unwrap_or_default();
        let recorded = self.step.standing.prepared.as_deref().unwrap_or_default();
        report.lost_prepared = lost_prepared(recorded, (&left, &ended), &report.prepared);
        if !report.lost_prepared.is_empty() {
            let text = format!(
                "XA transactions that stood prepared on the source are not prepared in the restored data, and their changes are not \
                 in them: {}",
                report.lost_prepared.join("; ")
            );
            self.running.reporter.report(&Event::Warning { text: &text });
        }
        let doubtful = may_be_lost(self.step.family, &report.prepared);
        if !doubtful.is_empty() {
            let text = format!(
                "MySQL may roll prepared XA transactions of another format than 1 back when it is started again; end them in its first \
                 start on these data: {}",
                doubtful.join("; ")
            );
            self.running.reporter.report(&Event::Warning { text: &text });
        }
    }

    /// From here on a commit is as durable as on any server: what is dropped with the account, and what the shutdown
    /// writes. The private server was started with less; nothing of that may stay in the data.
    fn settle_durability(&self) -> Result<DurabilityReport, ExecuteError> {
        let found = parse_durability(&self.ask(SET_DURABILITY)?).map_err(|error| self.unread(&error))?;
        let (innodb_flush_log_at_trx_commit, sync_binlog) = found;
        if found == (1, 1) {
            return Ok(DurabilityReport { innodb_flush_log_at_trx_commit, sync_binlog });
        }
        let problem = format!(
            "it was told to make each commit durable, and says innodb_flush_log_at_trx_commit={innodb_flush_log_at_trx_commit}, \
             sync_binlog={sync_binlog}"
        );
        Err(ExecuteError::Examination { problem, stderr: Vec::new(), log: self.server.launch.log.clone() })
    }

    /// MariaDB: the position is that of the backup, with what was replayed. A pipe, and a backup that is restored as it
    /// is, leave none. Setting it is logged nowhere.
    fn settle_position(&self) -> Result<String, ExecuteError> {
        let found = self.position("gtid_slave_pos")?;
        let found: MariadbGtidState = read_gtids(&found)?;
        let mut settled = found.clone();
        if let Some(base) = recorded_gtids::<MariadbGtidState>(self.step.base_gtid.as_deref())? {
            settled = overlaid(&settled, &base.position());
        }
        if let Some(window) = self.window {
            let mut reached = MariadbGtidState::default();
            for (domain, (server, seq)) in &window.position {
                reached.insert(*domain, *server, *seq);
            }
            settled = overlaid(&settled, &reached);
        }
        if settled != found {
            self.ask(&Applier::set_position(&settled.to_string()))?;
        }
        Ok(settled.to_string())
    }

    /// MySQL: the executed set is that of backup and window, exactly. What a backup that is restored as it is lacks of its
    /// own set is added, since nothing else would.
    fn settle_executed(&self) -> Result<String, ExecuteError> {
        let found = self.position("gtid_executed")?;
        let executed: MysqlGtidSet = read_gtids(&found)?;
        let window = self.window.map(|window| window.executed.clone()).unwrap_or_default();
        let Some(base) = recorded_gtids::<MysqlGtidSet>(self.step.base_gtid.as_deref())? else {
            // A log without GTIDs, or a backup that does not say.
            return if window.is_subset_of(&executed) {
                Ok(found)
            } else {
                Err(self.differs(&window.to_string(), &found))
            };
        };
        let expected = base.union(&window);
        if executed == expected {
            return Ok(found);
        }
        if self.window.is_none() && executed.is_subset_of(&expected) {
            let missing = expected.subtract(&executed);
            let plus = if executed.is_empty() { "" } else { "+" };
            self.ask(&format!("SET GLOBAL gtid_purged='{plus}{missing}';"))?;
            let settled = self.position("gtid_executed")?;
            if read_gtids::<MysqlGtidSet>(&settled)? == expected {
                return Ok(settled);
            }
            return Err(self.differs(&expected.to_string(), &settled));
        }
        Err(self.differs(&expected.to_string(), &found))
    }

    /// The GTIDs that the server has.
    pub(super) fn gtids(&self) -> Result<String, ExecuteError> {
        self.position(match self.step.family {
            Family::Mariadb => "gtid_slave_pos",
            Family::Mysql => "gtid_executed",
        })
    }

    fn differs(&self, expected: &str, found: &str) -> ExecuteError {
        ExecuteError::PositionDiffers { expected: expected.to_owned(), found: found.to_owned() }
    }

    /// One of the server's GTID variables, without white space.
    fn position(&self, variable: &str) -> Result<String, ExecuteError> {
        let answer = self.ask(&format!("SELECT @@GLOBAL.{variable} AS position;"))?;
        position_in(&answer).map_err(|error| self.unread(&error))
    }

    /// Checks every table, one after the other, in one session.
    fn check_tables(&self, process: &mut dyn Process, report: &mut ExaminationReport) -> Result<(), ExecuteError> {
        let tables = parse_tables(&self.ask(ALL_TABLES)?).map_err(|error| self.unread(&error))?;
        let log = self.server.run_dir.join("check.log");
        let command = self.step.client.secret_statements();
        let command = command.map_err(|error| ExecuteError::BadPlan { problem: error.to_string() })?;
        let mut client = self.running.spawn(&[Launch { command: command.arg("--unbuffered"), log: log.clone() }])?;
        let rows = self.converse(&mut *client, &tables);
        let mut damaged: Vec<String> = Vec::new();
        let mut broken: BTreeSet<String> = BTreeSet::new();
        let mut answered = 0;
        loop {
            if let Some(signal) = self.running.reporter.interrupted() {
                client.kill()?;
                return Err(ExecuteError::Interrupted { signal });
            }
            let row = match rows.recv_timeout(TICK) {
                Ok(row) => row,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            // The last row of a table is its status, or the note that says that it has none.
            match row.says {
                CheckSays::Sound => (answered, report.tables) = (answered + 1, report.tables + 1),
                CheckSays::Unchecked => (answered, report.unchecked) = (answered + 1, report.unchecked + 1),
                CheckSays::Remark(text) => report.remarks.push(format!("{}: {text}", row.table)),
                CheckSays::Damaged(text) if self.step.broken.contains(&row.table) => {
                    report.remarks.push(format!("{}: {text} (as on the source when it was backed up)", row.table));
                    broken.insert(row.table);
                }
                // Two rows tell of it: that the engine is not known, and that the table is corrupt.
                CheckSays::Damaged(_) if broken.contains(&row.table) => {}
                CheckSays::Damaged(text) if is_barred(&text) => {
                    report
                        .remarks
                        .push(format!("{}: {text} (it reaches other servers, and is not loaded here)", row.table));
                    broken.insert(row.table);
                }
                CheckSays::Damaged(text) => damaged.push(format!("{}: {text}", row.table)),
            }
        }
        let exits = client.wait(None)?.unwrap_or_default();
        if !exits.iter().all(|exit| exit.status.success()) {
            let dead = process.wait(Some(DYING))?;
            let ended =
                dead.map_or_else(|| describe(&exits), |dead| format!("the private server died: {}", describe(&dead)));
            let said = files::tail(&log).into_iter().find(|line| line.starts_with("ERROR ")).unwrap_or_default();
            let next = tables.get(answered + damaged.len()).or(tables.last());
            let next = next.map_or_else(String::new, ToString::to_string);
            damaged.push(format!("{next}: the check broke off: {ended} {said}").trim_end().to_owned());
        } else if damaged.is_empty() && answered + broken.len() != tables.len() {
            damaged.push(format!("{} of {} tables were answered for", answered + broken.len(), tables.len()));
        }
        for remark in &report.remarks {
            self.running.reporter.report(&Event::Warning { text: &format!("CHECK TABLE remarks: {remark}") });
        }
        if damaged.is_empty() {
            return Ok(());
        }
        let more = damaged.len().saturating_sub(NAMED);
        damaged.truncate(NAMED);
        if more > 0 {
            damaged.push(format!("and {more} more"));
        }
        Err(ExecuteError::TablesDamaged { tables: damaged })
    }

    /// Gives a client a check of each table, and hands on what it answers, row by row.
    fn converse(&self, client: &mut dyn Process, tables: &[TableName]) -> Receiver<CheckRow> {
        let statements: Vec<String> = tables.iter().map(|table| check_statement(table, self.step.check)).collect();
        if let Some(mut stdin) = client.take_stdin() {
            // A client that ended early has said why; the pipe is closed when all is written.
            std::thread::spawn(move || {
                let _ = statements.iter().try_for_each(|statement| writeln!(stdin, "{statement}"));
            });
        }
        let (sender, rows) = mpsc::channel();
        if let Some(stdout) = client.take_stdout() {
            std::thread::spawn(move || {
                let lines = BufReader::new(stdout).split(b'\n').map_while(Result::ok);
                for row in lines.filter_map(|line| parse_check_row(&String::from_utf8_lossy(&line))) {
                    if sender.send(row).is_err() {
                        return;
                    }
                }
            });
        }
        rows
    }

    /// Statements to the private server; what they answer.
    pub(super) fn ask(&self, statements: &str) -> Result<String, ExecuteError> {
        let command = self.step.client.secret_statements();
        let command = command.map_err(|error| ExecuteError::BadPlan { problem: error.to_string() })?;
        let log = self.server.run_dir.join("examine.log");
        files::remove_file(&log)?;
        self.running.ask(Launch { command, log: log.clone() }, Some(statements))?.map_err(|problem| {
            let mut stderr = files::tail(&log);
            stderr.retain(|line| line.starts_with("ERROR "));
            ExecuteError::Examination { problem, stderr, log: self.server.launch.log.clone() }
        })
    }

    pub(super) fn unread(&self, error: &AnswerError) -> ExecuteError {
        let problem = format!("its answer cannot be read: {error}");
        ExecuteError::Examination { problem, stderr: Vec::new(), log: self.server.launch.log.clone() }
    }
}
