//! A restore that died goes on with the same command: equal rows, a proof of the whole window, nothing left behind.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::disk_full::SmallDisk;
use dbbak_core::plan::RestoreReport;
use dbbak_testkit::cli::Ran;
use dbbak_testkit::real::{require_mysql, require_servers};
use dbbak_testkit::scenario::Scenario;
use dbbak_testkit::server::{Checksums, Options};
use dbbak_testkit::workload::{Mix, Workload};
use rustix::process::{Pid, Signal, kill_process};

/// A chain, a window, and what they must come to.
pub(super) struct Stage {
    pub(super) scenario: Scenario,
    wanted: Checksums,
    transactions: Option<u64>,
    /// What is asked for beside the work directory.
    asked: Vec<String>,
    /// How often a run was ended.
    ended: AtomicUsize,
}

impl Stage {
    /// A full, an incremental where the engine takes them, and a window of a few files.
    fn new(options: Options, way: &'static str, seed: u64) -> Self {
        let mysql = options.vendor == dbbak_testkit::server::Vendor::Mysql;
        let scenario = Scenario::with(options, "prepared: none");
        let mut workload = if mysql {
            scenario.server.sql("INSTALL PLUGIN clone SONAME 'mysql_clone.so'");
            Workload::new(&scenario.server, "shop", seed, Mix { ddl: false, ..Mix::default() }).unwrap()
        } else {
            scenario.workload("shop", seed)
        };
        workload.run(40).unwrap();
        if mysql {
            scenario.backup(&["backup-full", "--engine", "clone"]);
        } else {
            scenario.full();
            workload.run(20).unwrap();
            scenario.incr();
        }
        for _ in 0..3 {
            workload.run(40).unwrap();
            scenario.server.sql("FLUSH BINARY LOGS");
        }
        scenario.ship();
        Stage::of(scenario, &["--latest", "--replay", way])
    }

    /// A restore to what the server has now.
    pub(super) fn of(scenario: Scenario, asked: &[&str]) -> Self {
        let wanted = scenario.server.checksums("shop").unwrap();
        let asked = asked.iter().map(|&arg| arg.to_owned()).collect();
        Stage { scenario, wanted, transactions: None, asked, ended: AtomicUsize::new(0) }
    }

    /// Asks for more.
    fn with(mut self, more: &[&str]) -> Self {
        self.asked.extend(more.iter().map(|&arg| arg.to_owned()));
        self
    }

    fn args(&self, workdir: &Path) -> Vec<String> {
        let workdir = workdir.to_str().unwrap();
        let mut args = vec!["restore".to_owned(), "--workdir".into(), workdir.into(), "--json".into(), "--exec".into()];
        args.extend(self.asked.iter().cloned());
        args
    }

    fn run(&self, workdir: &Path) -> Ran {
        let args = self.args(workdir);
        self.scenario.dbbak(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Runs until a step begins at which it was not killed before, and kills; whether there was still something to kill.
    #[track_caller]
    fn kill_at_new_step(&self, workdir: &Path, known: &mut BTreeSet<String>) -> bool {
        let args = self.args(workdir);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = self.scenario.command(&args).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let (mut killed, mut line, mut said) = (false, String::new(), String::new());
        while !killed && lines.read_line(&mut line).unwrap() > 0 {
            let begins = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
            if begins.is_some_and(|(_, title)| known.insert(title.trim().to_owned())) {
                child.kill().unwrap();
                killed = true;
            }
            said.push_str(&line);
            line.clear();
        }
        lines.read_to_string(&mut said).unwrap();
        let status = child.wait().unwrap();
        assert!(killed || status.success(), "{args:?} ended with {status}:\n{said}");
        self.scenario.nothing_survives();
        killed
    }

    /// Ends it by one of the ways in which a run may be ended: each leaves what goes on.
    fn end(&self, child: &mut std::process::Child) {
        let signals = [Signal::TERM, Signal::KILL, Signal::HUP, Signal::KILL, Signal::INT];
        let signal = signals[self.ended.fetch_add(1, Ordering::Relaxed) % signals.len()];
        // It may have ended by itself.
        let _ = kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal);
        child.wait().unwrap();
    }

    /// Kills it a while after a step with such a title has begun; whether there was still something to kill.
    #[track_caller]
    fn kill_in(&self, workdir: &Path, title: &str, delay: Duration) -> bool {
        let args = self.args(workdir);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = self.scenario.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let begun = lines.any(|line| line.split_once("] ").is_some_and(|(_, rest)| rest.starts_with(title)));
        assert!(begun, "no step {title}");
        std::thread::sleep(delay);
        let running = child.try_wait().unwrap().is_none();
        self.end(&mut child);
        self.scenario.nothing_survives();
        running
    }

    /// Runs for a while, and kills; whether there was still something to kill.
    fn kill_after(&self, workdir: &Path, delay: Duration) -> bool {
        let args = self.args(workdir);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut child = self.scenario.command(&args).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        let running = child.try_wait().unwrap().is_none();
        self.end(&mut child);
        self.scenario.nothing_survives();
        running
    }

    /// What a dry run says.
    #[track_caller]
    fn dry_run(&self, workdir: &Path) -> String {
        let args = self.args(workdir);
        let args: Vec<&str> =
            args.iter().map(String::as_str).filter(|arg| !["--json", "--exec"].contains(arg)).collect();
        self.scenario.dbbak(&args).exits(0).stdout
    }

    /// Goes on with a restore to its end, and checks what it came to.
    #[track_caller]
    fn go_on(&mut self, workdir: &Path, what: &str) {
        let ran = self.run(workdir).exits(0);
        self.is_right(workdir, Some(&ran), what);
    }

    /// Checks what a restore that is done has come to.
    #[track_caller]
    fn is_right(&mut self, workdir: &Path, ran: Option<&Ran>, what: &str) {
        let report = fs::read(workdir.join("dbbak-restore.json")).unwrap();
        let report: RestoreReport = serde_json::from_slice(&report).unwrap();
        let ran = ran.map(ToString::to_string).unwrap_or_default();
        let proven = report.proof.as_ref().map(|proof| proof.transactions);
        assert!(proven.is_some(), "{what}: nothing was proven: {ran}");
        assert_eq!(self.transactions.get_or_insert(proven.unwrap()), &proven.unwrap(), "{what}");
        assert_eq!(self.scenario.checksums_of(&report.datadir, "shop"), self.wanted, "{what}: {ran}");
        let titles: Vec<&str> = report.phases.iter().map(|phase| phase.title.as_str()).collect();
        assert!(titles.iter().any(|title| title.starts_with("replay")), "{what}: {titles:?}");
        let ready = ["coordinates.json", "log-bin", "server-settings"];
        let left: Vec<String> = names(workdir).into_iter().filter(|name| !ready.contains(&name.as_str())).collect();
        assert_eq!(left, ["data", "dbbak-restore.json"], "{what}: {ran}");
        // What was found out before it died is not lost.
        let coordinates = fs::read(workdir.join("coordinates.json")).unwrap();
        let coordinates: serde_json::Value = serde_json::from_slice(&coordinates).unwrap();
        let examination = report.examination.unwrap_or_else(|| panic!("{what}: nothing was examined: {ran}"));
        assert_eq!(coordinates["gtids"], *examination.gtids, "{what}");
        let sockets: Vec<_> = fs::read_dir(self.scenario.root().join("tmp")).unwrap().collect();
        assert!(sockets.is_empty(), "{what}: {sockets:?}");
        self.scenario.nothing_survives();
    }

    /// [`Self::dies_at_each_step`] of so many steps or more, where each step's turn comes: the planner that decides is the
    /// same on both vendors, and MySQL takes its time.
    #[track_caller]
    pub(super) fn dies_at_each_step_if_there_is_time(&mut self, least: usize) {
        let mysql = self.scenario.server.options().vendor == dbbak_testkit::server::Vendor::Mysql;
        if !mysql || std::env::var_os("DBBAK_SOAK").is_some() {
            let steps = self.dies_at_each_step();
            assert!(steps >= least, "{steps}");
        }
    }

    /// Kills a restore as each of its steps begins for the first time, and goes on to the next one.
    fn dies_at_each_step(&mut self) -> usize {
        let workdir = self.scenario.fresh("resumed");
        let mut known = BTreeSet::new();
        while self.kill_at_new_step(&workdir, &mut known) {
            // The last step is short: it may have been done before the kill came.
            if is_done(&workdir) {
                break;
            }
            let shown = self.dry_run(&workdir);
            assert!(shown.contains("goes on with the restore of") || !is_begun(&workdir), "{shown}");
            if known.len() == 3 {
                self.refuses_while_somebody_is_at_work(&workdir);
            }
        }
        self.is_right(&workdir, None, "killed at each step");
        known.len()
    }

    /// A server, say, that outlived its dbbak.
    #[track_caller]
    fn refuses_while_somebody_is_at_work(&self, workdir: &Path) {
        let datadir = format!("--datadir={}", workdir.join("data").display());
        let mut server = std::process::Command::new("sh")
            .args(["-c", "read line", "mariadbd", &datadir])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let before = names(workdir);
        let ran = self.run(workdir).exits(8);
        assert!(ran.stderr.contains(&format!("process {} (sh) is at work in", server.id())), "{ran}");
        assert_eq!(names(workdir), before);
        drop(server.stdin.take());
        server.wait().unwrap();
    }

    /// Kills restores somewhere in a step with such a title, each once, and goes on with it; how many were killed.
    pub(super) fn dies_in(&mut self, title: &str, seed: u64) -> usize {
        let mut random = dbbak_testkit::random::Random::new(seed);
        let mut deaths = 0;
        let mut longest = if title == "make " { 12 } else { 1500 };
        for _ in 0..12 {
            if deaths == 3 {
                break;
            }
            let workdir = self.scenario.fresh("dies");
            let after = random.below(longest);
            if self.kill_in(&workdir, title, Duration::from_millis(after)) && !is_done(&workdir) {
                deaths += 1;
                self.go_on(&workdir, &format!("killed in {title:?}"));
            } else {
                // How long the step takes is the machine's affair: next time sooner than this.
                longest = after.max(1);
            }
            fs::remove_dir_all(&workdir).unwrap();
        }
        deaths
    }

    /// Kills a restore again and again until it is done.
    pub(super) fn dies_again_and_again(&mut self, seed: u64, longest: Duration) -> usize {
        let (mut random, mut hits) = (seed, 0);
        let workdir = self.scenario.fresh("resumed");
        // Each time it gets further, also where it must begin anew.
        for round in 1.. {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let thousandth = u32::try_from((random >> 33) % 1000).unwrap();
            if !self.kill_after(&workdir, longest * round * thousandth / 1000) || round > 8 {
                break;
            }
            hits += 1;
        }
        if journal(&workdir).exists() || !workdir.exists() || names(&workdir).is_empty() {
            self.go_on(&workdir, "killed again and again");
        }
        hits
    }
}

fn journal(workdir: &Path) -> PathBuf {
    workdir.join("dbbak-journal.jsonl")
}

/// Whether a restore's journal says which one it is: dbbak may die while it writes that.
fn is_begun(workdir: &Path) -> bool {
    fs::read_to_string(journal(workdir)).is_ok_and(|text| text.contains('\n'))
}

/// Whether a restore was done before the kill came.
fn is_done(workdir: &Path) -> bool {
    workdir.join("dbbak-restore.json").exists() && !journal(workdir).exists()
}

/// What lies in a work directory, but for logs.
fn names(workdir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(workdir) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> =
        names.filter(|name| !name.ends_with(".log") && name != "expected-transactions").collect();
    names.into_iter().collect()
}

#[test]
fn real_restore_goes_on_after_a_kill_at_each_step() {
    if !require_servers() {
        return;
    }
    let mut stage = Stage::new(Options::default(), "relay", 171);
    let steps = stage.dies_at_each_step();
    assert!(steps >= 12, "{steps}");
}

#[test]
fn real_restore_through_a_pipe_goes_on_after_kills_at_any_moment() {
    if !require_servers() {
        return;
    }
    let mut stage = Stage::new(Options::default(), "pipe", 172);
    for seed in seeds(1) {
        stage.dies_again_and_again(seed, Duration::from_millis(900));
    }
}

#[test]
fn real_mysql_restore_goes_on_after_kills_at_any_moment() {
    if !require_mysql() {
        return;
    }
    let mut stage = Stage::new(Options::mysql(), "relay", 173);
    for seed in seeds(1) {
        stage.dies_again_and_again(seed, Duration::from_millis(900));
    }
}

/// What is there already is not loaded, or made ready, twice: a load that was under way is thrown away.
fn a_dump_dies(options: Options, seed: u64) {
    let scenario = Scenario::with(options, "");
    scenario.server.sql("GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON *.* TO 'dbbak'@'localhost'");
    if scenario.server.options().vendor == dbbak_testkit::server::Vendor::Mysql {
        scenario.server.sql("GRANT XA_RECOVER_ADMIN ON *.* TO 'dbbak'@'localhost'");
    }
    let mix = Mix { ddl: false, ..Mix::default() };
    let mut workload = Workload::new(&scenario.server, "shop", seed, mix).unwrap();
    workload.run(40).unwrap();
    scenario.backup(&["backup-full", "--engine", "dump"]);
    for _ in 0..3 {
        workload.run(40).unwrap();
        scenario.server.sql("FLUSH BINARY LOGS");
    }
    scenario.ship();
    let mut stage = Stage::of(scenario, &["--latest"]);
    stage.dies_at_each_step_if_there_is_time(10);
    stage.dies_again_and_again(seed, Duration::from_millis(1500));
}

#[test]
fn real_restore_of_a_dump_goes_on_after_kills() {
    if require_servers() {
        a_dump_dies(Options::default(), 175);
    }
}

#[test]
fn real_mysql_restore_of_a_dump_goes_on_after_kills() {
    if require_mysql() {
        a_dump_dies(Options::mysql(), 176);
    }
}

/// Binlogs are put back as the server's own while it is made ready, which takes a while.
fn dies_while_it_is_made_ready(options: Options, seed: u64) {
    let mut stage = Stage::new(options, "relay", seed).with(&["--with-binlogs"]);
    stage.dies_at_each_step_if_there_is_time(10);
    assert!(stage.dies_in("make ", seed) >= 1);
}

#[test]
fn real_restore_goes_on_after_kills_while_it_is_made_ready() {
    if require_servers() {
        dies_while_it_is_made_ready(Options::default(), 177);
    }
}

#[test]
fn real_mysql_restore_goes_on_after_kills_while_it_is_made_ready() {
    if require_mysql() {
        dies_while_it_is_made_ready(Options::mysql(), 178);
    }
}

/// So many seeds, or more where there is time.
fn seeds(few: u64) -> impl Iterator<Item = u64> {
    let count = if std::env::var_os("DBBAK_SOAK").is_some() { 20 } else { few };
    (1..=count).map(|number| number * 0x5EED)
}

/// Runs until a step begins, fills the disk, and waits for the end; a server may wait for room, and gets it then.
#[track_caller]
fn fills_in(stage: &Stage, workdir: &Path, title: &str) -> bool {
    let args = stage.args(workdir);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let filler = workdir.parent().unwrap().join("filler");
    let mut child = stage.scenario.command(&args).stdout(std::process::Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let (mut line, mut said) = (String::new(), String::new());
    while lines.read_line(&mut line).unwrap() > 0 {
        said.push_str(&line);
        if line.split_once("] ").is_some_and(|(_, rest)| rest.starts_with(title)) {
            break;
        }
        line.clear();
    }
    // It stands still until the disk is full: the step may be a short one.
    let process = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let mut file = fs::File::create(&filler).unwrap();
    for piece in [1 << 20, 4096] {
        let zeros = vec![0; piece];
        while file.write_all(&zeros).is_ok() {}
    }
    drop(file);
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    let reader = std::thread::spawn(move || {
        let mut rest = String::new();
        let _ = lines.read_to_string(&mut rest);
        rest
    });
    let mut waited = 0;
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(50));
        waited += 1;
        if waited == 200 {
            fs::remove_file(&filler).unwrap();
        }
    }
    let status = child.wait().unwrap();
    said.push_str(&reader.join().unwrap());
    let _ = fs::remove_file(&filler);
    assert!(matches!(status.code(), Some(0 | 4 | 6)), "{title}: {status}\n{said}");
    stage.scenario.nothing_survives();
    !status.success()
}

#[test]
fn real_restore_goes_on_after_a_full_disk() {
    if !require_servers() {
        return;
    }
    let steps = ["copy the full", "prepare the copy", "apply incremental", "unpack", "replay", "make "];
    the_disk_is_full(Options::default(), &steps, 400);
}

#[test]
fn real_mysql_restore_goes_on_after_a_full_disk() {
    if !require_mysql() {
        return;
    }
    the_disk_is_full(Options::mysql(), &["copy the full", "unpack", "replay", "make "], 700);
}

/// The disk is full when each of these steps begins, and has room again later.
fn the_disk_is_full(options: Options, steps: &[&str], megabytes: u32) {
    if !SmallDisk::can_be_mounted("a restore that goes on after a full disk") {
        return;
    }
    let scenario = Stage::new(options, "relay", 174).scenario;
    // A window that takes a while to be put back.
    scenario.server.sql("CREATE TABLE shop.big (a INT PRIMARY KEY, b LONGBLOB) ENGINE=InnoDB");
    for number in 0..24 {
        scenario.server.sql(&format!("INSERT INTO shop.big VALUES ({number}, REPEAT(UUID(), 30000))"));
    }
    scenario.ship();
    let mut stage = Stage::of(scenario, &["--latest", "--replay", "relay", "--with-binlogs"]);
    let disk = stage.scenario.root().join("disk");
    fs::create_dir(&disk).unwrap();
    let _disk = SmallDisk::mount(&disk, megabytes);
    let mut failures = Vec::new();
    for title in steps {
        let workdir = disk.join("work");
        if fills_in(&stage, &workdir, title) {
            failures.push(*title);
            stage.go_on(&workdir, &format!("the disk was full in {title:?}"));
        }
        fs::remove_dir_all(&workdir).unwrap();
    }
    // A short step may be done before the disk is full, and a server waits for room.
    assert!(failures.contains(&"copy the full") && failures.contains(&"make "), "{failures:?}");
}
