//! Planning over a large store: a restore's dry run, a list, and what archiving one binlog writes.

use crate::{
    Failure, Options,
    measure::{Run, Spread, run},
    report::{Row, Section},
    store::{LargeStore, Size},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

const TICK: Duration = Duration::from_millis(1);
const SECONDS_ALLOWED: f64 = 1.0;
const BYTES_ALLOWED: f64 = 300e6;
const INDEX_BYTES_ALLOWED: f64 = 1e6;
/// Binlogs that are archived one after the other: enough to meet the fullest index and the sealing of a segment.
const SHIPPED: usize = 3;

/// Measures planning.
pub(crate) fn measure(options: &Options, dbbak: &Path, dir: &Path) -> Result<Section, Failure> {
    let version = crate::machine::server_version().ok_or_else(|| Failure("mariadbd is not installed".into()))?;
    let size = Size::of_backups(if options.quick { 1000 } else { 10_000 });
    let root = dir.join("large-store");
    let started = Instant::now();
    crate::say(&format!("writing a store of {} backups and {} binlogs", size.backups, size.binlogs));
    let store = LargeStore::write(&root, size, &version)?;
    crate::say(&format!("written in {:.1} s", started.elapsed().as_secs_f64()));
    let bench = Bench { dbbak, dir, config: config(dir, &root)?, repetitions: options.repetitions() * 2 };
    let target = store.target().format("%Y-%m-%d %H:%M:%S").to_string();
    let mut rows = Vec::new();
    let page = dir.join("page.html").display().to_string();
    let commands: [(&str, Vec<&str>); 6] = [
        ("restore --time T --exact", vec!["restore", "--time", &target, "--exact"]),
        ("restore (the latest moment)", vec!["restore"]),
        ("list", vec!["list"]),
        ("list --json", vec!["list", "--json"]),
        ("timeline", vec!["timeline"]),
        ("timeline --html", vec!["timeline", "--html", &page]),
    ];
    for (title, arguments) in &commands {
        crate::say(title);
        rows.extend(bench.command(title, arguments)?);
    }
    rows.extend(bench.ship(&store)?);
    if !options.keep {
        fs::remove_dir_all(&root)?;
    }
    Ok(Section {
        name: "planning",
        title: format!("Planning over {} backups and {} binlogs", size.backups, size.binlogs),
        method: "A store written by the bench through dbbak's own types: chains of a full and 99 incrementals, one \
                 backup an hour, ten binlogs an hour in one timeline, every entry with all the facts that dbbak \
                 records. The archived files that planning reads (those after the last backup) are real, the others \
                 are empty. The target lies in the last binlog but one, so that the chain has 100 backups. Each \
                 command is a new process; the store is in the page cache. Memory is the high-water mark of dbbak's \
                 own process. Archiving is `ship-binlogs --rescue --exec` of one binlog; what it writes is the sizes of \
                 `index.json` and of the new segments afterwards."
            .into(),
        rows,
        table: Vec::new(),
    })
}

struct Bench<'a> {
    dbbak: &'a Path,
    dir: &'a Path,
    config: PathBuf,
    repetitions: usize,
}

fn config(dir: &Path, root: &Path) -> Result<PathBuf, Failure> {
    let path = dir.join("planning.yml");
    let scratch = dir.join("scratch");
    fs::create_dir_all(&scratch)?;
    fs::write(&path, format!("nfs_root: {}\nscratch_dir: {}\n", root.display(), scratch.display()))?;
    Ok(path)
}

impl Bench<'_> {
    fn dbbak(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.dbbak);
        command.arg("--config-path").arg(&self.config).args(arguments);
        command
    }

    fn command(&self, title: &str, arguments: &[&str]) -> Result<[Row; 2], Failure> {
        let log = self.dir.join("planning.log");
        let once = || run(&mut self.dbbak(arguments), &log, TICK);
        // The first run brings the store into the page cache.
        once()?;
        let runs: Vec<Run> = (0..self.repetitions).map(|_| once()).collect::<Result<_, _>>()?;
        let seconds = Spread::of(runs.iter().map(|run| run.seconds));
        let peak = Spread::of(runs.iter().map(|run| run.peak as f64));
        Ok([
            Row::limited(format!("{title}: time"), seconds, 3, " s", 1.0, SECONDS_ALLOWED),
            Row::limited(format!("{title}: peak memory"), peak, 0, " MB", 1e-6, BYTES_ALLOWED),
        ])
    }

    /// Archives binlogs one by one, from the directory of a server that died.
    fn ship(&self, store: &LargeStore) -> Result<Vec<Row>, Failure> {
        crate::say("ship-binlogs");
        let source = self.dir.join("dead-server");
        fs::create_dir_all(&source)?;
        let (mut seconds, mut bytes) = (Vec::new(), Vec::new());
        for later in 0..SHIPPED {
            let (name, content) = store.next_binlog(later)?;
            fs::write(source.join(name.as_str()), content)?;
            let before = index_files(&store.root)?;
            let directory = source.display().to_string();
            let arguments = ["ship-binlogs", "--rescue", &directory, "--exec"];
            let shipped = run(&mut self.dbbak(&arguments), &self.dir.join("ship.log"), TICK)?;
            seconds.push(shipped.seconds);
            let after = index_files(&store.root)?;
            let written =
                after.iter().filter(|(path, size)| path.ends_with("index.json") || before.get(*path) != Some(size));
            bytes.push(written.map(|(_, size)| *size as f64).sum::<f64>());
            if fs::metadata(store.root.join("binlogs/index.json"))?.len() == 0 || after == before {
                return Err(Failure(format!("{name} was not archived")));
            }
        }
        fs::remove_dir_all(&source)?;
        let (seconds, bytes) = (Spread::of(seconds), Spread::of(bytes));
        Ok(vec![
            Row::free("ship-binlogs of one binlog: time".into(), seconds, 3, " s", 1.0),
            Row::limited("ship-binlogs: bytes of index written".into(), bytes, 0, " kB", 1e-3, INDEX_BYTES_ALLOWED),
        ])
    }
}

/// The files of the binlog index with their sizes; the previous generation is the old file under another name.
fn index_files(root: &Path) -> Result<BTreeMap<PathBuf, u64>, Failure> {
    let binlogs = root.join("binlogs");
    let mut files = BTreeMap::new();
    files.insert(binlogs.join("index.json"), fs::metadata(binlogs.join("index.json"))?.len());
    for entry in fs::read_dir(binlogs.join("index"))? {
        let entry = entry?;
        files.insert(entry.path(), entry.metadata()?.len());
    }
    Ok(files)
}
