//! The story: backups under load, an accident, the restore to just before it, the proof.

use super::{
    server::{DemoError, DemoServer, Programs},
    shop::{self, Load},
};
use crate::{CommandError, context::Context, output};
use chrono::{DateTime, Utc};
use dbbak_core::{
    clock::{Clock, SystemClock},
    config::Config,
    model::Target,
    plan::{BackupRequest, FinishRequest, Plan, ReplayWay, RestoreReport, RestoreRequest, ShipRequest},
    record::record_layout,
    run::{Command, Finished, RunError},
    store::{LockRequest, LockScope, Store, StoreFile},
};
use serde_json::json;
use std::{
    io::Write,
    path::Path,
    sync::{Arc, atomic::AtomicI32},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Where and how the story is told.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) dir: &'a Path,
    pub(super) signal: Arc<AtomicI32>,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Summary {
    before: Vec<(String, String, String)>,
    restored: Vec<(String, String, String)>,
    accident: DateTime<Utc>,
    report: Option<RestoreReport>,
    backup_seconds: f64,
    restore_seconds: f64,
    orders: u64,
    pub(super) equal: bool,
}

impl Story<'_> {
    /// Plays it.
    pub(super) fn tell(&self) -> Result<Summary, DemoError> {
        let programs = Programs::find()?;
        self.say(&format!("working in {} (the store is its store/)", self.dir.display()));
        self.say("starting a private MariaDB server (socket only)");
        let server = DemoServer::create(&programs, &self.dir.join("server"))?;
        shop::create(&server)?;
        let context = self.context(&server)?;
        self.init(&context)?;
        let load = Load::start(&programs, &server)?;
        let started = Instant::now();
        self.backup(&context, "a full backup under write load", &BackupRequest::Full)?;
        let incremental = BackupRequest::Incremental { base: None, differential: false };
        for title in ["an incremental", "another incremental"] {
            std::thread::sleep(Duration::from_millis(1200));
            self.backup(&context, title, &incremental)?;
        }
        let backup_seconds = started.elapsed().as_secs_f64();
        std::thread::sleep(Duration::from_millis(1500));
        let orders = load.stop()?;
        let before = shop::sums(&server)?;
        // MariaDB logs whole seconds: the accident gets a second of its own.
        let clock = SystemClock::new();
        std::thread::sleep(Duration::from_millis(1100));
        let accident = clock.now();
        self.say("the accident: DROP TABLE shop.orders");
        server.sql("DROP TABLE shop.orders; INSERT INTO shop.customers (name) VALUES ('too late')")?;
        let ship = ShipRequest { flush: true, ..ShipRequest::default() };
        self.run(&context, Command::Ship, "archiving the binlogs", &|| context.planning().ship(&ship))?;
        let at = DateTime::from_timestamp(accident.timestamp(), 0).unwrap_or(accident);
        let request = RestoreRequest {
            id: Uuid::new_v4(),
            target: Target::Time { at, exact: true },
            backup: None,
            avoid: Vec::new(),
            raw_only: false,
            timeline: None,
            workdir: Some(self.dir.join("restored")),
            replay: ReplayWay::Auto,
            skip: Vec::new(),
            finish: FinishRequest::default(),
        };
        let started = Instant::now();
        let title = format!("restoring to just before {} UTC", at.format("%Y-%m-%d %H:%M:%S"));
        let finished = self.run(&context, Command::Restore, &title, &|| context.planning().restore(&request))?;
        let restore_seconds = started.elapsed().as_secs_f64();
        self.say("starting a server on the restored data and comparing");
        let datadir = finished.report.as_ref().map(|report| report.datadir.clone()).unwrap_or_default();
        let restored_server = DemoServer::start(&programs, &self.dir.join("second"), &datadir, false)?;
        let restored = shop::sums(&restored_server)?;
        restored_server.stop()?;
        server.stop()?;
        let equal = before == restored;
        let report = finished.report;
        Ok(Summary { before, restored, accident: at, report, backup_seconds, restore_seconds, orders, equal })
    }

    fn context(&self, server: &DemoServer<'_>) -> Result<Context, DemoError> {
        let yaml = format!(
            "nfs_root: {0}/store\nmysql_option_file: {1}/backup.cnf\nscratch_dir: {0}/scratch\n",
            self.dir.display(),
            server.dir.display()
        );
        let bad = |text: String| DemoError::Failed { what: "the demonstration's configuration", output: text };
        let config = Config::parse(yaml.as_bytes(), None).map_err(|error| bad(error.to_string()))?;
        let file = self.dir.join("dbbak.yml");
        std::fs::write(&file, yaml).map_err(|error| bad(error.to_string()))?;
        for dir in [&config.nfs_root, &self.dir.join("scratch")] {
            std::fs::create_dir_all(dir).map_err(|error| bad(error.to_string()))?;
        }
        Ok(Context::quiet(config, Arc::clone(&self.signal)))
    }

    fn init(&self, context: &Context) -> Result<(), DemoError> {
        let request = LockRequest::new("dbbak demo");
        let scopes = [LockScope::Backups, LockScope::Binlogs];
        let session = context.store.lock_many(&scopes, &request).map_err(RunError::from)?;
        let file = StoreFile::new(Uuid::new_v4(), context.clock.now());
        record_layout(&*session, &file).map_err(RunError::from)?;
        session.release().map_err(RunError::from)?;
        Ok(())
    }

    fn backup(&self, context: &Context, title: &str, request: &BackupRequest) -> Result<(), DemoError> {
        self.run(context, Command::Backup, &format!("taking {title}"), &|| context.planning().backup(request))?;
        Ok(())
    }

    fn run(
        &self,
        context: &Context,
        command: Command,
        title: &str,
        plan: &dyn Fn() -> Result<Plan, RunError>,
    ) -> Result<Finished, DemoError> {
        let started = Instant::now();
        let session = context.lock(command)?;
        let plan = plan()?;
        let finished = context.run(&plan, session.as_deref())?;
        if let Some(session) = session {
            session.release().map_err(RunError::from)?;
        }
        self.say(&format!("{title} ({:.1} s)", started.elapsed().as_secs_f64()));
        Ok(finished)
    }

    fn say(&self, line: &str) {
        let _ = writeln!(std::io::stderr(), "  * {line}");
    }
}

impl Summary {
    /// Prints what happened, to be read in ten seconds.
    pub(super) fn print(&self, kept: Option<&Path>, json: bool) -> Result<(), CommandError> {
        let window = self.report.as_ref().and_then(|report| report.window.as_ref());
        if json {
            return output::json(&json!({
                "version": 1, "equal": self.equal, "accident": self.accident, "before": self.before,
                "restored": self.restored, "report": self.report, "kept": kept,
            }));
        }
        let mut text = String::new();
        let mut line = |words: String| text.push_str(&format!("{words}\n"));
        line(String::new());
        line(format!("{:<12} {:>12} {:>14}   {:>12} {:>14}", "", "rows before", "checksum", "restored", "checksum"));
        for (before, restored) in self.before.iter().zip(&self.restored) {
            let mark = if before == restored { "equal" } else { "DIFFERENT" };
            line(format!(
                "{:<12} {:>12} {:>14}   {:>12} {:>14}   {mark}",
                before.0, before.1, before.2, restored.1, restored.2
            ));
        }
        line(String::new());
        let chain = self.report.as_ref().map_or(0, |report| report.chain.len());
        line(format!(
            "{} orders came in while 1 full and 2 incrementals were taken ({:.1} s).",
            self.orders, self.backup_seconds
        ));
        line(format!("At {} UTC somebody dropped shop.orders.", self.accident.format("%Y-%m-%d %H:%M:%S")));
        line(format!(
            "The restore used {chain} backups and replayed {} transactions from {} ({:.1} s), and",
            window.and_then(|window| window.transactions).unwrap_or(0),
            output::count(window.map_or(0, |window| window.files), "binlog"),
            self.restore_seconds
        ));
        line(match self.equal {
            true => "landed just before it: every table is as it was, row for row.".into(),
            false => "DID NOT land where it was asked to.".into(),
        });
        match kept {
            Some(dir) => {
                line(format!("The store lies in {0}/store, the configuration in {0}/dbbak.yml.", dir.display()))
            }
            None => line("Everything was removed again; --keep leaves the store and the restored data.".into()),
        }
        output::text(&text)
    }
}
